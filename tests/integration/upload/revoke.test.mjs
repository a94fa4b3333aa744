// SPDX-License-Identifier: Apache-2.0
//
// Taking access away, and deleting: complete, limited to whom it is for, and as good the second time.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { look, openDrive, parcelId, startSim } from './kit.mjs';

const TO = ['a@example.com', 'b@example.com', 'pending.c@example.com'];
const SECURITY = { access: 'recipients', download: true };

async function parcel(t, { security = SECURITY, to = TO, settings = {}, violations = true } = {}) {
  const sim = await startSim(t, { settings: { rate: 'off', ...settings }, violations });
  const drive = await openDrive(t, sim);
  const id = parcelId();
  await drive.do('create', { parcel_id: id, path: '' });
  await drive.do('put', { name: 'letter.pdf', type: 'application/pdf', size: 500, seed: 1 });
  const answer = await drive.do('share', { security, to });
  return { sim, drive, id, answer };
}

const logins = (box) => box.collaborations.map((c) => c.login).sort();

test('some recipients lose access, the others keep it', async (t) => {
  const { sim, drive, id } = await parcel(t);
  await drive.do('revoke', { recipients: [0, 2] });
  const box = await look(sim, id);
  assert.deepEqual(logins(box), ['b@example.com']);
  assert.equal(box.links.length, 1, 'the link opens nothing by itself and stays for the others');
  assert.equal((await sim.act('a@example.com', 'preview', { file: box.files[0].id })).status, 403);
  assert.equal((await sim.act('b@example.com', 'preview', { file: box.files[0].id })).status, 200);
  await drive.do('revoke', { recipients: [0, 2] });
  assert.deepEqual(logins(await look(sim, id)), ['b@example.com']);
});

test('all recipients lose access, and so does whoever else was let in', async (t) => {
  const { sim, drive, id, answer } = await parcel(t);
  await sim.invite('folder', answer.parcel.folder_id, 'added.by.hand@example.com', 'viewer');
  await drive.do('revoke');
  const box = await look(sim, id);
  assert.deepEqual(logins(box), []);
  assert.equal(box.links.length, 0);
  assert.equal(box.files.length, 1, 'the content stays');
  await drive.do('revoke');
  await drive.do('revoke', { recipients: [0] });
});

test('without ids the addresses find the collaborations', async (t) => {
  const { sim, drive, id, answer } = await parcel(t);
  // What an older manifest may hold: addresses and no ids.
  const bytes = Buffer.from(answer.bytes, 'hex');
  for (const g of answer.parcel.grants) {
    const at = bytes.indexOf(g.id);
    assert.ok(at > 0);
    bytes.fill('x', at, at + g.id.length);
  }
  const next = await openDrive(t, sim);
  await next.do('load', { parcel: bytes.toString('hex') });
  await next.do('revoke', { recipients: [1, 2] });
  assert.deepEqual(logins(await look(sim, id)), ['a@example.com']);
  await next.do('revoke');
  assert.deepEqual(logins(await look(sim, id)), []);
});

test('an open link goes with the last recipient, not before', async (t) => {
  const { sim, drive, id } = await parcel(t, { security: { access: 'anyone' } });
  await drive.do('revoke', { recipients: [0, 1] });
  assert.equal((await look(sim, id)).links.length, 1);
  await drive.do('revoke', { recipients: [0, 1, 2] });
  assert.equal((await look(sim, id)).links.length, 0);
});

test('purge ends access, deletes and empties the trash; the second time it is done already', async (t) => {
  const { sim, drive, id } = await parcel(t);
  await drive.do('purge');
  const { state, folders } = await look(sim, id);
  assert.equal(folders.length, 0);
  assert.deepEqual(state.trash, { folders: [], files: [] });
  assert.deepEqual(state.collaborations, []);
  await drive.do('purge');
  await drive.do('revoke');
});

test('purge where permanent deletion is for administrators: no access, in the trash, and said so', async (t) => {
  const { sim, drive, id } = await parcel(t, { settings: { purge_allowed: false } });
  const answer = await drive.ask('purge');
  assert.equal(answer.status, 'denied');
  assert.match(answer.error, /access is ended.*in the trash.*administrators/);
  const { state, folders } = await look(sim, id);
  assert.equal(folders.length, 0);
  assert.equal(state.trash.folders.length, 1);
  await sim.config({ purge_allowed: true });
  await drive.do('purge');
  assert.equal((await sim.state('trash')).trash.folders.length, 0);
});

test('purge under retention: no access, and said so', async (t) => {
  const { sim, drive, id } = await parcel(t);
  await sim.faults([{ match: { method: 'DELETE', path: '/folders/\\d+$' },
    do: { status: 403, body: { type: 'error', status: 403, code: 'forbidden_by_policy', message: 'retention' } } }]);
  const answer = await drive.ask('purge');
  assert.equal(answer.status, 'denied');
  assert.match(answer.error, /access is ended.*retention/);
  const box = await look(sim, id);
  assert.deepEqual(logins(box), []);
  assert.equal(box.links.length, 0);
});

const FAULTS = {
  'dropped before': { drop: 'before' },
  'dropped after': { drop: 'after' },
  '500 after the work': { status: 500, effect: true },
  '503 before the work': { status: 503 },
  '429': { status: 429, headers: { 'retry-after': '1' } },
  '401': { status: 401 },
};
for (const [name, action] of Object.entries(FAULTS)) {
  test(`nobody keeps access and nothing is left: ${name}`, async (t) => {
    const { sim, drive } = await parcel(t);
    for (let after = 0; after < 9; after++) {
      const id = parcelId();
      await drive.do('forget');
      await drive.do('create', { parcel_id: id, path: '' });
      await drive.do('put', { name: 'letter.pdf', type: 'application/pdf', size: 500, seed: 1 });
      await drive.do('share', { security: SECURITY, to: TO });
      await sim.faults([{ match: { path: '/2.0/' }, after, times: 1, do: action }]);
      for (let i = 0; i < 4; i++) {
        const answer = await drive.ask('purge');
        if (answer.status === 'ok') break;
        assert.equal(answer.class, 1, answer.error);
      }
      const fired = (await sim.request('GET', '/__faults')).json[0].fired;
      await sim.faults([]);
      const { state, folders } = await look(sim, id);
      assert.equal(folders.length, 0, `after ${after}`);
      assert.equal(state.collaborations.filter((c) => c.item.id === undefined).length, 0);
      assert.equal(state.trash.folders.filter((f) => f.name === `m-${id}`).length, 0, `after ${after}`);
      if (!fired) break;
    }
  });
}

test('a parcel without a folder has nothing to take away', async (t) => {
  const sim = await startSim(t);
  const drive = await openDrive(t, sim);
  await drive.do('revoke');
  await drive.do('purge');
  const { json } = await sim.request('GET', '/__requests');
  assert.equal(json.total, 0);
});
