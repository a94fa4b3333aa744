// SPDX-License-Identifier: Apache-2.0
//
// Every call of a parcel's life meets every fault of Box, and a crash: in the end there is one folder, one of each file with
// the right bytes, and nobody in it but the recipients.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { look, openDrive, parcelId, startSim } from './kit.mjs';

const TO = ['a@example.com', 'b@example.com', 'pending.c@example.com'];
const SECURITY = { access: 'recipients', download: true };

/** Like the service: one step after the other, the first failure ends the try. */
async function attempt(drive, id, { security = SECURITY, to = TO } = {}) {
  const steps = [
    ['create', { parcel_id: id, path: 'sender/2026-11' }],
    ['put', { name: 'letter.pdf', type: 'application/pdf', size: 5000, seed: 7 }],
    ['put', { name: 'empty.txt', type: 'text/plain', size: 0, seed: 8 }],
    ['share', { security, to }],
  ];
  let answer;
  for (const [op, args] of steps) {
    answer = await drive.ask(op, args);
    if (answer.status !== 'ok') return answer;
  }
  return answer;
}

async function untilDone(drive, id, options) {
  let answer;
  for (let i = 0; i < 6; i++) {
    await drive.do('forget'); // a worker that knows nothing of the one before
    answer = await attempt(drive, id, options);
    if (answer.status === 'ok') return answer;
    assert.equal(answer.class, 1, `must be worth a retry: ${answer.status} ${answer.error}`);
  }
  throw new Error(`never done: ${answer.error}`);
}

async function checkWhole(sim, id, answer) {
  const box = await look(sim, id);
  assert.equal(box.folders.length, 1, 'one folder');
  assert.equal(box.folder.path, `/sender/2026-11/m-${id}`);
  assert.equal(box.folder.can_non_owners_invite, false);
  assert.equal(box.folder.can_non_owners_view_collaborators, false);
  assert.deepEqual(box.files.map((f) => [f.name, f.size, f.versions]).sort(), [['empty.txt', 0, 1], ['letter.pdf', 5000, 1]]);
  assert.deepEqual(box.collaborations.map((c) => [c.login, c.role]).sort(), TO.map((a) => [a, 'viewer']).sort());
  assert.equal(box.links.length, 1);
  assert.equal(box.links[0].effective_access, 'collaborators');
  assert.deepEqual(box.state.invitations, []);
  assert.equal(answer.parcel.link, box.links[0].url);
  const byLogin = Object.fromEntries(box.collaborations.map((c) => [c.login, c.id]));
  for (const g of answer.parcel.grants) assert.equal(g.id, byLogin[g.address]);
  assert.equal(answer.parcel.grants.length, 3);
}

const CALLS = [
  ['POST', '/2.0/folders$'],
  ['PUT', '/2.0/folders/\\d+$'],
  ['POST', '/files/content$'],
  ['POST', '/2.0/collaborations$'],
  ['POST', '/oauth2/token$'],
];
const FAULTS = {
  'a dropped connection before the work': { drop: 'before' },
  'a dropped connection after the work': { drop: 'after' },
  '500 before the work': { status: 500 },
  '500 after the work': { status: 500, effect: true },
  '503 with retry-after before the work': { status: 503, headers: { 'retry-after': '1' } },
  '503 after the work': { status: 503, effect: true },
  '502 without JSON': { status: 502, body: '<html>bad gateway</html>' },
  '429 with retry-after': { status: 429, headers: { 'retry-after': '1' } },
  '429 with an HTTP date': { status: 429, headers: { 'Retry-After': () => new Date(Date.now() + 1500).toUTCString() } },
  'half an answer': { truncate: 20 },
};

for (const [name, action] of Object.entries(FAULTS)) {
  test(`one parcel and no more: ${name}`, async (t) => {
    const sim = await startSim(t, { violations: name !== 'half an answer' });
    for (const [method, path] of CALLS) {
      for (const after of [0, 1]) {
        if (path.includes('token') && after === 1) continue;
        const headers = Object.fromEntries(Object.entries(action.headers ?? {}).map(([k, v]) => [k, typeof v === 'function' ? v() : v]));
        const drive = await openDrive(t, sim);
        const id = parcelId();
        await sim.faults([{ match: { method, path }, times: 1, after, do: { ...action, ...(action.headers ? { headers } : {}) } }]);
        const answer = await untilDone(drive, id).catch((e) => { throw new Error(`${method} ${path} after ${after}: ${e.message}`); });
        await sim.faults([]);
        await checkWhole(sim, id, answer).catch((e) => { throw new Error(`${method} ${path} after ${after}: ${e.message}`); });
        await drive.end();
      }
    }
  });
}

test('a storm of 429 is waited out, and nobody calls before the time that Box named', async (t) => {
  const sim = await startSim(t);
  const drive = await openDrive(t, sim);
  const id = parcelId();
  await sim.faults([{ match: { path: '/2.0/' }, times: 3, do: { status: 429, headers: { 'retry-after': '1' } } }]);
  const start = Date.now();
  const answer = await untilDone(drive, id);
  assert.ok(Date.now() - start >= 2900, 'three pauses of a second');
  await checkWhole(sim, id, answer);
});

test('a pause that Box wants longer than a worker may wait goes back to the queue at once', async (t) => {
  const sim = await startSim(t);
  const drive = await openDrive(t, sim);
  await sim.faults([{ match: { path: '/2.0/folders' }, times: 1, do: { status: 429, headers: { 'retry-after': '900' } } }]);
  const answer = await drive.ask('create', { parcel_id: parcelId(), path: '' });
  assert.equal(answer.status, 'again');
  assert.ok(answer.ms < 30000, `${answer.ms} ms, not 900 seconds`);
  const second = await drive.ask('create', { parcel_id: parcelId(), path: '' });
  assert.equal(second.status, 'again');
  assert.match(second.error, /limit of calls/);
  const { json } = await sim.request('GET', '/__requests');
  assert.equal(json.entries.filter((e) => e.template === '/2.0/folders').reduce((n, e) => n + e.count, 0), 1);
});

test('a slow Box is given up in bounded time', async (t) => {
  const sim = await startSim(t, { violations: false });
  const drive = await openDrive(t, sim, { times: { backoff_ms: 20, patience_ms: 1000, call_ms: 3000, low_speed_s: 2, commit_ms: 1000 } });
  await sim.faults([{ match: { path: '/2.0/folders' }, do: { slow_bps: 10 } }]);
  const start = Date.now();
  const answer = await drive.ask('create', { parcel_id: parcelId(), path: '' });
  assert.equal(answer.class, 1, answer.error);
  assert.match(answer.status, /again|network/);
  assert.ok(Date.now() - start < 60000);
});

test('an answer that never comes is given up and found on the next try', async (t) => {
  const sim = await startSim(t, { violations: false });
  const drive = await openDrive(t, sim, { times: { backoff_ms: 20, patience_ms: 2000, call_ms: 1500, low_speed_s: 60, commit_ms: 1000 } });
  const id = parcelId();
  await sim.faults([{ match: { method: 'POST', path: '/files/content$' }, times: 1, do: { delay_ms: 4000 } }]);
  const answer = await untilDone(drive, id);
  await new Promise((r) => setTimeout(r, 3500));
  assert.equal(answer.status, 'ok');
  const box = await look(sim, id);
  assert.equal(box.files.filter((f) => f.name === 'letter.pdf').length, 1);
});

test('a refused token is renewed once; refused again, the administrator is told', async (t) => {
  const sim = await startSim(t);
  const drive = await openDrive(t, sim);
  await sim.faults([{ match: { path: '/2.0/folders' }, times: 1, do: { status: 401 } }]);
  const id = parcelId();
  await checkWhole(sim, id, await untilDone(drive, id));
  await sim.faults([{ match: { path: '/2.0/folders' }, do: { status: 401 } }]);
  const answer = await drive.ask('create', { parcel_id: parcelId(), path: '' });
  assert.equal(answer.status, 'config');
  assert.match(answer.error, /authorised in the Admin Console/);
});

for (const code of ['operation_blocked_temporary', 'name_temporarily_reserved']) {
  test(`409 ${code} is waited out`, async (t) => {
    const sim = await startSim(t);
    const drive = await openDrive(t, sim);
    const id = parcelId();
    const body = { type: 'error', status: 409, code, message: 'busy' };
    await sim.faults([
      { match: { method: 'POST', path: '/2.0/folders$' }, times: 1, do: { status: 409, body } },
      { match: { method: 'POST', path: '/files/content$' }, times: 1, do: { status: 409, body } },
    ]);
    await checkWhole(sim, id, await untilDone(drive, id));
  });
}

test('a folder is adopted whether Box names the conflict in a list, as an object or not at all', async (t) => {
  const sim = await startSim(t);
  const drive = await openDrive(t, sim);
  for (const shape of ['list', 'object', 'none', 'wrong']) {
    const id = parcelId();
    const there = await sim.folder(`M-${id.toLowerCase()}`); // case makes no difference
    const stranger = await sim.folder(`x-${id}`);
    const mini = { type: 'folder', id: there.id, name: there.name };
    const context_info = { list: { conflicts: [mini] }, object: { conflicts: mini }, none: null,
      wrong: { conflicts: [{ ...mini, id: stranger.id }] } }[shape];
    await sim.faults([{ match: { method: 'POST', path: '/2.0/folders$' }, times: 1,
      do: { status: 409, body: { type: 'error', status: 409, code: 'item_name_in_use', message: 'taken', context_info } } }]);
    await drive.do('forget');
    const answer = await drive.do('create', { parcel_id: id, path: '' });
    assert.equal(answer.parcel.folder_id, there.id, shape);
  }
});

test('a file in the way of a folder is told, not used', async (t) => {
  const sim = await startSim(t);
  const drive = await openDrive(t, sim);
  await sim.file('sender', '0', 'x');
  const answer = await drive.ask('create', { parcel_id: parcelId(), path: 'sender' });
  assert.equal(answer.status, 'denied');
  assert.match(answer.error, /a file has the name of a folder/);
});

test('parents that were deleted meanwhile are made again', async (t) => {
  const sim = await startSim(t);
  const drive = await openDrive(t, sim);
  await drive.do('create', { parcel_id: parcelId(), path: 'a/b' });
  const a = (await sim.state('folders')).folders.find((f) => f.path === '/a');
  await sim.api('DELETE', `folders/${a.id}?recursive=true`);
  await drive.do('forget');
  const id = parcelId();
  await drive.do('create', { parcel_id: id, path: 'a/b' });
  assert.equal((await look(sim, id)).folder.path, `/a/b/m-${id}`);
});

test('equal bytes are adopted, other bytes become a new version under the same name', async (t) => {
  const sim = await startSim(t);
  const drive = await openDrive(t, sim);
  const id = parcelId();
  await drive.do('create', { parcel_id: id, path: '' });
  const first = await drive.do('put', { name: 'letter.pdf', type: 'application/pdf', size: 900, seed: 1 });
  const again = await drive.do('put', { name: 'letter.pdf', type: 'application/pdf', size: 900, seed: 1 });
  assert.equal(again.file.id, first.file.id);
  const other = await drive.do('put', { name: 'letter.pdf', type: 'application/pdf', size: 901, seed: 2 });
  assert.equal(other.file.id, first.file.id);
  assert.equal(other.file.sha1, other.sha1);
  const box = await look(sim, id);
  assert.deepEqual(box.files.map((f) => [f.sha1, f.versions]), [[other.sha1, 2]]);
});

test('a worker that finds its files sends none of them again', async (t) => {
  const sim = await startSim(t);
  const drive = await openDrive(t, sim);
  const id = parcelId();
  await untilDone(drive, id);
  await sim.request('DELETE', '/__requests');
  const next = await openDrive(t, sim);
  const answer = await attempt(next, id);
  await checkWhole(sim, id, answer);
  const { json } = await sim.request('GET', '/__requests');
  assert.deepEqual(json.entries.filter((e) => e.template.includes('/content')), []);
});

test('bytes that were damaged on their way do not count', async (t) => {
  const sim = await startSim(t, { violations: false }); // the digest is wrong on purpose
  const drive = await openDrive(t, sim);
  const id = parcelId();
  await drive.do('create', { parcel_id: id, path: '' });
  const lie = await drive.ask('put', { name: 'a.bin', type: 'application/pdf', size: 900, seed: 1, lie: true });
  assert.equal(lie.class, 1);
  assert.match(lie.error, /damaged/);
  assert.equal((await look(sim, id)).files.length, 0);
  // Box answers with another SHA-1 than was sent: not believed, sent again.
  const body = { total_count: 1, entries: [{ type: 'file', id: '99', size: 900, sha1: '0'.repeat(40) }] };
  await sim.faults([{ match: { method: 'POST', path: '/content$' }, times: 2, do: { status: 201, body } }]);
  const wrong = await drive.do('put', { name: 'b.bin', type: 'application/pdf', size: 900, seed: 1 });
  assert.equal(wrong.file.sha1, wrong.sha1);
});

test('a part that cannot be read to its end sends nothing that counts', async (t) => {
  const sim = await startSim(t, { violations: false });
  const drive = await openDrive(t, sim);
  const id = parcelId();
  await drive.do('create', { parcel_id: id, path: '' });
  const failed = await drive.ask('put', { name: 'a.bin', type: 'x/y', size: 300000, seed: 1, fail_at: 200000 });
  assert.equal(failed.status, 'io');
  assert.match(failed.error, /disk fails/);
  const short = await drive.ask('put', { name: 'a.bin', type: 'x/y', size: 300000, seed: 1, short: 1000 });
  assert.equal(short.status, 'corrupt');
  assert.equal((await look(sim, id)).files.length, 0);
});

test('who is in already is taken over, their role made right, and others are put out', async (t) => {
  const sim = await startSim(t);
  const drive = await openDrive(t, sim);
  const id = parcelId();
  const { parcel } = await drive.do('create', { parcel_id: id, path: 'sender/2026-11' });
  await sim.invite('folder', parcel.folder_id, 'a@example.com', 'editor');
  await sim.invite('folder', parcel.folder_id, 'PENDING.c@example.com', 'viewer');
  await sim.invite('folder', parcel.folder_id, 'stranger@example.com', 'viewer');
  await sim.invite('folder', parcel.folder_id, 'pending.stranger@example.com', 'viewer');
  const next = await openDrive(t, sim);
  const answer = await attempt(next, id, { security: { access: 'recipients', download: false } });
  assert.equal(answer.status, 'ok', answer.error);
  const box = await look(sim, id);
  assert.deepEqual(box.collaborations.map((c) => [c.login.toLowerCase(), c.role]).sort(), TO.map((a) => [a, 'previewer']).sort());
});

test('collaborators of a folder above are not touched', async (t) => {
  const sim = await startSim(t);
  const above = await sim.folder('above');
  await sim.invite('folder', above.id, 'auditor@example.com', 'viewer');
  await sim.invite('folder', above.id, 'pending.auditor@example.com', 'viewer');
  const drive = await openDrive(t, sim, { storage: { root_folder: above.id } });
  const id = parcelId();
  await attempt(drive, id);
  const next = await openDrive(t, sim, { storage: { root_folder: above.id } });
  const answer = await attempt(next, id);
  assert.equal(answer.status, 'ok', answer.error);
  await next.do('revoke');
  const state = await sim.state('collaborations');
  assert.deepEqual(state.collaborations.map((c) => c.login).sort(), ['auditor@example.com', 'pending.auditor@example.com']);
});

test('two spellings of one address are one collaboration and two grants', async (t) => {
  const sim = await startSim(t);
  const drive = await openDrive(t, sim);
  const id = parcelId();
  const answer = await attempt(drive, id, { to: ['a@example.com', 'A@Example.com'] });
  assert.equal(answer.status, 'ok', answer.error);
  assert.equal(answer.parcel.grants.length, 2);
  assert.equal(answer.parcel.grants[0].id, answer.parcel.grants[1].id);
});

test('is_access_only is left out where Box refuses it', async (t) => {
  const sim = await startSim(t);
  const drive = await openDrive(t, sim);
  for (const status of [400, 403]) {
    const id = parcelId();
    await sim.faults([{ match: { method: 'POST', path: '/2.0/collaborations$' }, times: 1, do: { status } }]);
    const next = status === 400 ? drive : await openDrive(t, sim);
    const answer = await attempt(next, id);
    assert.equal(answer.status, 'ok', answer.error);
    assert.deepEqual((await look(sim, id)).collaborations.map((c) => c.is_access_only), [false, false, false]);
  }
});

test('a domain that the enterprise forbids is told with what to do', async (t) => {
  const sim = await startSim(t, { settings: { rate: 'off', collab_domains: ['example.jp'] } });
  const drive = await openDrive(t, sim);
  const answer = await attempt(drive, parcelId());
  assert.equal(answer.status, 'denied');
  assert.match(answer.error, /recipient 0 \(forbidden_by_policy\).*Admin Console/);
  assert.doesNotMatch(answer.error, /example\.com/, 'no address in what is logged');
});

test('a full Box is worth a retry and says what to do', async (t) => {
  const sim = await startSim(t, { settings: { rate: 'off', quota_bytes: 100 } });
  const drive = await openDrive(t, sim);
  const answer = await attempt(drive, parcelId());
  assert.equal(answer.status, 'no_space');
  assert.match(answer.error, /quota/);
});

test('killed at any call, the next worker ends with one folder, one of each file and no wider sharing', async (t) => {
  const sim = await startSim(t, { violations: false });
  // The work is done, its answer is on its way when the worker dies: the worst moment of each call.
  for (let n = 0; n < 12; n++) {
    const id = parcelId();
    const drive = await openDrive(t, sim);
    await sim.faults([
      { match: { path: '/2.0/' }, after: n, times: 1, do: { status: 503, effect: true, headers: { 'retry-after': '25' } } },
    ]);
    const dying = attempt(drive, id).catch(() => null);
    await Promise.race([dying, (async () => {
      for (;;) {
        const { json } = await sim.request('GET', '/__faults');
        if (json[0]?.fired === 1) return;
        await new Promise((r) => setTimeout(r, 10));
      }
    })()]);
    await drive.kill();
    await dying;
    await sim.faults([]);
    const between = await look(sim, id);
    for (const c of between.collaborations) assert.ok(TO.includes(c.login) && c.role === 'viewer');
    if (between.files.length > 0) assert.equal(between.folder.can_non_owners_invite, false);
    for (const l of between.links) assert.equal(l.effective_access, 'collaborators');
    const next = await openDrive(t, sim);
    await checkWhole(sim, id, await untilDone(next, id)).catch((e) => { throw new Error(`killed at call ${n}: ${e.message}`); });
  }
});
