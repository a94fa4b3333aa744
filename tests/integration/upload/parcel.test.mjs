// SPDX-License-Identifier: Apache-2.0
//
// The life of a parcel in Box when nothing goes wrong, and what each access level opens.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkDir, look, openDrive, parcelId, startSim } from './kit.mjs';

const SECURITY = { access: 'recipients', download: true };

async function whole(drive, id, { path = '', security = SECURITY, to = ['a@example.com', 'b@example.com'], more = {} } = {}) {
  await drive.do('forget');
  await drive.do('create', { parcel_id: id, path, ...more });
  await drive.do('put', { name: 'letter.pdf', type: 'application/pdf', size: 3000, seed: 7 });
  await drive.do('put', { name: '見積.xlsx', type: 'application/octet-stream', size: 10, seed: 8 });
  return drive.do('share', { security, to });
}

async function calls(sim) {
  const { json } = await sim.request('GET', '/__requests');
  const posts = json.entries.filter((e) => e.method === 'POST' && e.template === '/2.0/folders');
  return { total: json.total, folderPosts: posts.reduce((n, e) => n + e.count, 0) };
}

test('requests are checked against the specification', { skip: checkDir ? false : 'no box/boxcheck.js in FUMIBAKO_SHARED' },
  async (t) => {
    const sim = await startSim(t);
    const drive = await openDrive(t, sim);
    await whole(drive, parcelId());
    await drive.do('revoke');
    await drive.do('purge');
    const state = await sim.state('violations');
    assert.deepEqual(state.violations, []);
  });

test('a parcel is one restricted folder with its files, open to its recipients only', async (t) => {
  const sim = await startSim(t);
  const drive = await openDrive(t, sim);
  const id = parcelId();
  const answer = await whole(drive, id, { path: 'sender@example.jp/2026-11', to: ['a@example.com', 'pending.b@example.com'] });
  const box = await look(sim, id);
  assert.equal(box.folders.length, 1);
  assert.equal(box.folder.path, `/sender@example.jp/2026-11/m-${id}`);
  assert.equal(box.folder.can_non_owners_invite, false);
  assert.equal(box.folder.can_non_owners_view_collaborators, false);
  assert.deepEqual(box.files.map((f) => [f.name, f.size]).sort(), [['letter.pdf', 3000], ['見積.xlsx', 10]]);
  assert.deepEqual(box.collaborations.map((c) => [c.login, c.role, c.status, c.is_access_only]).sort(),
    [['a@example.com', 'viewer', 'accepted', true], ['pending.b@example.com', 'viewer', 'pending', true]]);
  assert.deepEqual(box.state.invitations, [], 'Box mails nobody');
  assert.equal(box.links.length, 1);
  assert.equal(box.links[0].effective_access, 'collaborators');
  assert.equal(answer.parcel.link, box.links[0].url);
  assert.equal(answer.parcel.access, 'recipients');
  assert.equal(answer.parcel.can_download, true);
  assert.deepEqual(answer.parcel.grants.map((g) => [g.recipient, g.state]), [[0, 'active'], [1, 'pending']]);
  assert.deepEqual(answer.parcel.grants.map((g) => g.id).sort(), box.collaborations.map((c) => c.id).sort());
  await drive.end();
});

test('restrictions stand before there is any content', async (t) => {
  const sim = await startSim(t);
  const drive = await openDrive(t, sim);
  const id = parcelId();
  await sim.faults([{ match: { method: 'PUT', path: '/folders/\\d+$' }, do: { status: 403 } }]);
  const answer = await drive.ask('create', { parcel_id: id, path: '' });
  assert.equal(answer.status, 'denied');
  const box = await look(sim, id);
  assert.equal(box.folders.length, 1);
  assert.equal(box.files.length, 0);
});

test('parents are made once and then known', async (t) => {
  const sim = await startSim(t);
  const drive = await openDrive(t, sim);
  for (let i = 0; i < 3; i++) await whole(drive, parcelId(), { path: 'Sender/2026-11' });
  const state = await sim.state('folders');
  assert.equal(state.folders.filter((f) => f.name === 'Sender').length, 1);
  assert.equal(state.folders.filter((f) => f.name === '2026-11').length, 1);
  assert.equal((await calls(sim)).folderPosts, 5, 'two parents and three leaves');
});

test('a parcel of two files and two recipients costs seven calls', async (t) => {
  const sim = await startSim(t);
  const drive = await openDrive(t, sim);
  await whole(drive, parcelId());
  await sim.request('DELETE', '/__requests');
  await whole(drive, parcelId());
  assert.equal((await calls(sim)).total, 7);
});

test('preview only makes previewers', async (t) => {
  const sim = await startSim(t);
  const drive = await openDrive(t, sim);
  const id = parcelId();
  const answer = await whole(drive, id, { security: { access: 'recipients', download: false }, to: ['a@example.com'] });
  const box = await look(sim, id);
  assert.deepEqual(box.collaborations.map((c) => c.role), ['previewer']);
  assert.equal(answer.parcel.can_download, false);
  assert.equal((await sim.act('a@example.com', 'preview', { file: box.files[0].id })).status, 200);
  assert.equal((await sim.act('a@example.com', 'download', { file: box.files[0].id })).status, 403);
  assert.equal((await sim.act('c@example.com', 'preview', { file: box.files[0].id })).status, 403);
});

test('a watermark is set when the definition asks for it', async (t) => {
  const sim = await startSim(t);
  const drive = await openDrive(t, sim);
  const id = parcelId();
  await whole(drive, id, { security: { ...SECURITY, watermark: true } });
  assert.equal((await look(sim, id)).folder.watermarked, true);
  await sim.faults([{ match: { method: 'PUT', path: '/watermark$' }, do: { status: 403 } }]);
  const other = parcelId();
  await drive.do('forget');
  await drive.do('create', { parcel_id: other, path: '' });
  const answer = await drive.ask('share', { security: { ...SECURITY, watermark: true }, to: ['a@example.com'] });
  assert.equal(answer.status, 'denied');
  assert.match(answer.error, /watermark/);
  assert.equal((await look(sim, other)).collaborations.length, 0, 'nobody is let in without the watermark');
});

test('company: one link for the enterprise, no collaborations, an end when the definition has one', async (t) => {
  const sim = await startSim(t, { users: 1 });
  const drive = await openDrive(t, sim);
  const id = parcelId();
  const answer = await whole(drive, id, { security: { access: 'company', download: false },
    more: { expires_ms: Date.now() + 86400000 } });
  const box = await look(sim, id);
  assert.equal(box.links[0].effective_access, 'company');
  assert.ok(box.links[0].unshared_at);
  assert.equal(box.collaborations.length, 0);
  assert.equal(answer.parcel.access, 'company');
  assert.equal(answer.parcel.can_download, false);
  assert.deepEqual(answer.parcel.grants.map((g) => [g.id, g.state]), [['', 'active'], ['', 'active']]);
  assert.equal((await sim.act('pool-1@fumibako.example', 'preview', { file: box.files[0].id })).status, 200);
  assert.equal((await sim.act('pool-1@fumibako.example', 'download', { file: box.files[0].id })).status, 403);
  assert.equal((await sim.act('a@example.com', 'preview', { file: box.files[0].id })).status, 403);
});

test('anyone: an open link with a password that Box takes and nobody guesses', async (t) => {
  const sim = await startSim(t);
  const drive = await openDrive(t, sim);
  const seen = new Set();
  for (let i = 0; i < 5; i++) {
    const id = parcelId();
    const answer = await whole(drive, id, { security: { access: 'anyone', download: true, password: true } });
    const box = await look(sim, id);
    const { password } = answer.parcel;
    assert.ok(password.length >= 16 && /[A-Z]/.test(password) && /[0-9]/.test(password) && /[a-z]/.test(password));
    assert.equal(box.links[0].password, password);
    assert.equal(box.links[0].effective_access, 'open');
    assert.equal(box.links[0].unshared_at, null);
    seen.add(password);
    assert.equal((await sim.act(null, 'download', { file: box.files[0].id })).status, 403);
    assert.equal((await sim.act(null, 'download', { file: box.files[0].id, password })).status, 200);
    const again = await drive.do('share', { security: { access: 'anyone', download: true, password: true }, to: ['a@example.com'] });
    assert.equal(again.parcel.password, password, 'a repetition keeps the password');
  }
  assert.equal(seen.size, 5);
});

test('a link that Box narrows or widens is taken back and the parcel is refused', async (t) => {
  const sim = await startSim(t, { settings: { rate: 'off', allowed_shared_link_access_levels: ['company', 'collaborators'] } });
  const drive = await openDrive(t, sim);
  const id = parcelId();
  await drive.do('create', { parcel_id: id, path: '' });
  const narrowed = await drive.ask('share', { security: { access: 'anyone' }, to: ['a@example.com'] });
  assert.equal(narrowed.status, 'denied');
  assert.match(narrowed.error, /"company" where "open".*could not read/);
  assert.equal((await look(sim, id)).links.length, 0);
  const wide = { type: 'folder', id: '1', shared_link: { url: `${sim.base}/s/x`, access: 'collaborators', effective_access: 'open',
    effective_permission: 'can_download', is_password_enabled: false, unshared_at: null } };
  await sim.faults([{ match: { method: 'PUT', path: '/folders/\\d+$' }, times: 1, do: { status: 200, body: wide } }]);
  const widened = await drive.ask('share', { security: SECURITY, to: ['a@example.com'] });
  assert.equal(widened.status, 'denied');
  assert.match(widened.error, /more people could read/);
  assert.equal((await look(sim, id)).links.length, 0);
});

for (const [what, link] of [
  ['downloads where preview was promised', { effective_permission: 'can_download' }],
  ['has no password', { is_password_enabled: false }],
  ['leads elsewhere', { url: 'https://box.com.example.net/s/x' }],
]) {
  test(`an open link that ${what} is taken back`, async (t) => {
    const sim = await startSim(t);
    const drive = await openDrive(t, sim);
    const id = parcelId();
    await drive.do('create', { parcel_id: id, path: '' });
    const good = { url: `${sim.base}/s/x`, access: 'open', effective_access: 'open', effective_permission: 'can_preview',
      is_password_enabled: true, unshared_at: null };
    await sim.faults([{ match: { method: 'PUT', path: '/folders/\\d+$' }, times: 1,
      do: { status: 200, effect: true, body: { type: 'folder', id: '1', shared_link: { ...good, ...link } } } }]);
    const answer = await drive.ask('share', { security: { access: 'anyone', download: false, password: true }, to: ['a@example.com'] });
    assert.equal(answer.status, 'denied', answer.error);
    assert.equal((await look(sim, id)).links.length, 0);
  });
}

test('the token goes to Box and to the configured origins only', async (t) => {
  const sim = await startSim(t);
  const drive = await openDrive(t, sim);
  const table = [
    [`${sim.base}/upload/api/2.0/files/upload_sessions/1`, true],
    ['https://upload.app.box.com/api/2.0/files/upload_sessions/1', true],
    ['https://public.boxcloud.com/x', true],
    ['http://upload.box.com/x', false],
    ['https://upload.box.com:8443/x', false],
    ['https://box.com.example.net/x', false],
    ['https://evilbox.com/x', false],
    ['https://user@upload.box.com/x', false],
    ['https://upload.box.com@example.net/x', false],
    ['http://127.0.0.1:1/x', false],
    ['file:///etc/passwd', false],
    ['', false],
    ['//upload.box.com/x', false],
  ];
  for (const [url, want] of table) {
    assert.equal((await drive.do('trusted', { url })).trusted, want, url);
  }
});
