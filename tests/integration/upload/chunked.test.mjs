// SPDX-License-Identifier: Apache-2.0
//
// Files above 50 MB, in upload sessions: every fault of a session, and memory that does not grow with the file.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FAST, look, openDrive, parcelId, startSim } from './kit.mjs';

const MB = 1000 * 1000;
const BIG = { name: 'plan.zip', type: 'application/zip', size: 51 * MB + 13, seed: 3 };
const SETTINGS = { rate: 'off', part_size: 8 * 1024 * 1024 };

async function begin(t, { faults = [], settings = {}, violations = true, times = FAST } = {}) {
  const sim = await startSim(t, { settings: { ...SETTINGS, ...settings }, violations });
  const drive = await openDrive(t, sim, { times });
  const id = parcelId();
  await drive.do('create', { parcel_id: id, path: '' });
  await sim.faults(faults);
  return { sim, drive, id };
}

async function check({ sim, id }, answer, versions = 1) {
  const box = await look(sim, id);
  assert.deepEqual(box.files.map((f) => [f.name, f.size, f.sha1, f.versions]), [[BIG.name, BIG.size, answer.sha1, versions]]);
  assert.equal(answer.file.sha1, answer.sha1);
  assert.equal(answer.file.id, box.files[0].id);
  return box;
}

const fault = (method, path, action, more = {}) => ({ match: { method, path }, times: 1, do: action, ...more });
const PART = '/upload_sessions/[0-9A-F]+$';
const COMMIT = '/commit$';
const expired = { status: 410, body: { type: 'error', status: 410, code: 'session_expired', message: 'gone' } };

const CASES = {
  'nothing wrong': [],
  'the answer to the opening is lost': [fault('POST', '/upload_sessions$', { drop: 'after' })],
  'opening: 503': [fault('POST', '/upload_sessions$', { status: 503, headers: { 'retry-after': '1' } })],
  'a part is stored although Box says 500': [fault('PUT', PART, { status: 500, effect: true }, { after: 2 })],
  'a part is not stored and Box says 500': [fault('PUT', PART, { status: 500 }, { after: 2 })],
  'the connection drops before a part': [fault('PUT', PART, { drop: 'before' }, { after: 1 })],
  'the answer to the last part is lost': [fault('PUT', PART, { drop: 'after' }, { after: 6 })],
  'a part: 429': [fault('PUT', PART, { status: 429, headers: { 'retry-after': '1' } }, { after: 3 })],
  'a part: half an answer': [fault('PUT', PART, { truncate: 10 }, { after: 3 })],
  'a part is damaged on its way': [fault('PUT', PART, { status: 400,
    body: { type: 'error', status: 400, code: 'bad_digest', message: 'damaged' } }, { after: 3 })],
  'a part was stored before (409)': [fault('PUT', PART, { status: 409, effect: true,
    body: { type: 'error', status: 409, code: 'range_overlaps_existing_part', message: 'there' } }, { after: 3 })],
  'the session expires between parts': [fault('PUT', PART, expired, { after: 3 })],
  'the session is gone (404)': [fault('PUT', PART, { status: 404 }, { after: 1 })],
  'the list of parts fails as well': [fault('PUT', PART, { status: 500, effect: true }, { after: 2 }),
    fault('GET', '/parts$', { status: 503 })],
  'commit: 202, twice': [{ match: { method: 'POST', path: COMMIT }, times: 2, do: { status: 202, headers: { 'Retry-After': '1' } } }],
  'commit: 202 and yet done': [fault('POST', COMMIT, { status: 202, headers: { 'retry-after': '1' }, effect: true })],
  'commit: the answer is lost': [fault('POST', COMMIT, { drop: 'after' })],
  'commit: 500 and yet done': [fault('POST', COMMIT, { status: 500, effect: true })],
  'commit: 500 and not done': [fault('POST', COMMIT, { status: 500 })],
  'commit: half an answer': [fault('POST', COMMIT, { truncate: 15 })],
  'commit: 410': [fault('POST', COMMIT, expired)],
  'commit: 412': [fault('POST', COMMIT, { status: 412 })],
};

for (const [name, faults] of Object.entries(CASES)) {
  test(`one whole file: ${name}`, async (t) => {
    const it = await begin(t, { faults, violations: !name.includes('half') });
    const answer = await it.drive.do('put', BIG);
    await check(it, answer);
    const fired = (await it.sim.request('GET', '/__faults')).json;
    for (const f of fired) assert.ok(f.fired > 0, `the fault ${JSON.stringify(f.match)} was met`);
    await it.drive.end();
  });
}

test('a commit that never ends goes back to the queue, and the next try takes the file', async (t) => {
  const it = await begin(t, { times: { ...FAST, commit_ms: 12000 },
    faults: [{ match: { method: 'POST', path: COMMIT }, do: { status: 202, headers: { 'retry-after': '1' } } }] });
  const answer = await it.drive.ask('put', BIG);
  assert.equal(answer.status, 'again');
  assert.match(answer.error, /still putting/);
  await it.sim.faults([fault('POST', COMMIT, { status: 202, effect: true, headers: { 'retry-after': '1' } })]);
  await check(it, await it.drive.do('put', BIG));
});

test('a session that is ended again and again is given up', async (t) => {
  const it = await begin(t, { faults: [{ match: { method: 'PUT', path: PART }, do: expired }] });
  const answer = await it.drive.ask('put', BIG);
  assert.equal(answer.status, 'again');
  assert.match(answer.error, /3 upload sessions/);
});

test('an equal file is adopted and another one gets a new version', async (t) => {
  const it = await begin(t);
  const first = await it.drive.do('put', BIG);
  await it.sim.request('DELETE', '/__requests');
  const again = await it.drive.do('put', BIG);
  assert.equal(again.file.id, first.file.id);
  const { json } = await it.sim.request('GET', '/__requests');
  assert.ok(json.entries.filter((e) => e.method === 'PUT').length === 0, 'no part was sent');
  const other = await it.drive.do('put', { ...BIG, seed: 4 });
  assert.equal(other.file.id, first.file.id);
  await check(it, other, 2);
});

test('a retried worker finds the file in the folder before it sends anything', async (t) => {
  const it = await begin(t);
  const first = await it.drive.do('put', BIG);
  await it.drive.kill();
  const next = await openDrive(t, it.sim);
  await next.do('create', { parcel_id: it.id, path: '' });
  await it.sim.request('DELETE', '/__requests');
  const answer = await next.do('put', BIG);
  assert.equal(answer.file.id, first.file.id);
  const { json } = await it.sim.request('GET', '/__requests');
  assert.deepEqual(json.entries.map((e) => e.method), ['GET']);
});

test('bytes other than planned are not committed', async (t) => {
  const it = await begin(t);
  const short = await it.drive.ask('put', { ...BIG, short: 20 * MB });
  assert.equal(short.status, 'corrupt');
  const lie = await it.drive.ask('put', { ...BIG, lie: true });
  assert.equal(lie.status, 'corrupt');
  const failed = await it.drive.ask('put', { ...BIG, fail_at: 20 * MB });
  assert.equal(failed.status, 'io');
  const state = await it.sim.state('files,upload_sessions');
  assert.equal(state.files.length, 0);
  assert.ok(state.upload_sessions.length <= 1, 'sessions that cannot be finished are given up');
});

test('addresses in the answer that are not of Box get no token', async (t) => {
  const it = await begin(t);
  const url = 'http://127.0.0.1:9/steal';
  const session = { id: 'X', type: 'upload_session', part_size: 8388608, total_parts: 7, num_parts_processed: 0,
    session_endpoints: { upload_part: url, commit: url, abort: url, list_parts: url, status: url, log_event: url } };
  await it.sim.faults([fault('POST', '/upload_sessions$', { status: 201, body: session })]);
  const answer = await it.drive.ask('put', BIG);
  assert.equal(answer.status, 'denied');
  assert.match(answer.error, /neither Box's nor the policy's/);
});

for (const [what, change] of [['no size', { part_size: null }], ['a size of nothing', { part_size: 0 }],
  ['a huge size', { part_size: 2 ** 40, total_parts: 1 }], ['a wrong number', { total_parts: 3 }],
  ['a fraction', { part_size: 8388608.5 }]]) {
  test(`parts with ${what} are not believed`, async (t) => {
    const it = await begin(t);
    const url = `${it.sim.base}/upload/api/2.0/files/upload_sessions/AB`;
    const session = { id: 'AB', part_size: 8388608, total_parts: 7, session_endpoints: { upload_part: url, commit: `${url}/commit`,
      abort: url, list_parts: `${url}/parts` }, ...change };
    await it.sim.faults([{ match: { method: 'POST', path: '/upload_sessions$' }, do: { status: 201, body: session } }]);
    const answer = await it.drive.ask('put', BIG);
    assert.equal(answer.class, 1, answer.status);
    assert.match(answer.error, /do not make this file/);
  });
}

test('memory stays flat with a file of 120 MB', async (t) => {
  const it = await begin(t);
  await it.drive.do('put', { name: 'small.bin', type: 'x/y', size: 1000, seed: 1 });
  const before = (await it.drive.do('rss')).peak_kb;
  const answer = await it.drive.do('put', { ...BIG, size: 120 * MB }, 240000);
  const { peak_kb: peak } = await it.drive.do('rss');
  t.diagnostic(`peak before ${before} kB, with 120 MB ${peak} kB`);
  assert.ok(peak - before < 24 * 1024, `${peak - before} kB more`);
  const box = await look(it.sim, it.id);
  assert.equal(box.files.find((f) => f.name === BIG.name).sha1, answer.sha1);
});

test('memory stays flat with a file that goes in one request', async (t) => {
  const it = await begin(t);
  await it.drive.do('put', { name: 'small.bin', type: 'x/y', size: 1000, seed: 1 });
  const before = (await it.drive.do('rss')).peak_kb;
  const answer = await it.drive.do('put', { ...BIG, size: 50 * MB });
  const { peak_kb: peak } = await it.drive.do('rss');
  t.diagnostic(`peak before ${before} kB, with 50 MB ${peak} kB`);
  assert.ok(peak - before < 8 * 1024, `${peak - before} kB more`);
  const { json } = await it.sim.request('GET', '/__requests');
  assert.ok(!json.entries.some((e) => e.template.includes('upload_sessions')), 'exactly 50 MB still go in one request');
  assert.equal((await look(it.sim, it.id)).files.find((f) => f.name === BIG.name).sha1, answer.sha1);
});
