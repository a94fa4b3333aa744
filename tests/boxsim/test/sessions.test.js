// SPDX-License-Identifier: Apache-2.0
'use strict';
const assert = require('assert');
const crypto = require('crypto');
const { test, before, after } = require('node:test');
const { start, sha1 } = require('../harness');

const PART = 100000;
const content = crypto.randomBytes(2 * PART + 5);
let sim;
let area;
before(async () => {
  sim = await start({
    args: ['--users', '1'],
    settings: { part_size: PART, chunk_min: 150000, token_lifetime_s: 99999999 },
  });
  area = await sim.folder('chunked');
});
after(() => sim.stop());

const code = (reply) => [reply.status, reply.json && reply.json.code];

const create = (name, size = content.length, more = {}) =>
  sim.api('POST', '/upload/api/2.0/files/upload_sessions', {
    folder_id: area.id,
    file_size: size,
    file_name: name,
    ...more,
  });

async function put(session, at, { bytes, headers = {}, as } = {}) {
  const data = bytes || content.subarray(at, at + PART);
  return sim.request('PUT', session.session_endpoints.upload_part, {
    body: data,
    headers: {
      authorization: `Bearer ${await sim.token(as)}`,
      'content-type': 'application/octet-stream',
      'content-length': String(data.length),
      digest: `sha=${sha1(data, 'base64')}`,
      'content-range': `bytes ${at}-${at + data.length - 1}/${content.length}`,
      ...headers,
    },
  });
}

async function putAll(session) {
  const parts = [];
  for (const at of [PART, 0, 2 * PART]) {
    // the order does not matter
    parts.push((await put(session, at)).json.part);
  }
  return parts.sort((a, b) => a.offset - b.offset);
}

const commit = (session, parts, { digest, more = {}, headers = {} } = {}) =>
  sim.api(
    'POST',
    session.session_endpoints.commit,
    { parts, ...more },
    { headers: { digest: digest || `sha=${sha1(content, 'base64')}`, ...headers } }
  );

test('parts in any order make one file', async () => {
  const reply = await create('whole.bin');
  assert.strictEqual(reply.status, 201, reply.text);
  const session = reply.json;
  assert.deepStrictEqual(
    [session.type, session.part_size, session.total_parts, session.num_parts_processed],
    ['upload_session', PART, 3, 0]
  );
  for (const url of Object.values(session.session_endpoints)) {
    assert.ok(url.startsWith(`${sim.base}/upload/api/2.0/files/upload_sessions/${session.id}`));
  }
  const parts = await putAll(session);
  assert.deepStrictEqual(
    parts.map((x) => [x.offset, x.size]),
    [
      [0, PART],
      [PART, PART],
      [2 * PART, 5],
    ]
  );
  const listed = await sim.api(
    'GET',
    `${session.session_endpoints.list_parts}?limit=1000&offset=0`
  );
  assert.deepStrictEqual(listed.json.entries, parts);
  assert.strictEqual(listed.json.total_count, 3);
  assert.strictEqual(
    (await sim.api('GET', session.session_endpoints.status)).json.num_parts_processed,
    3
  );
  const done = await commit(session, parts, { more: { attributes: { description: 'd' } } });
  assert.strictEqual(done.status, 201, done.text);
  const [file] = done.json.entries;
  assert.deepStrictEqual(
    [file.name, file.size, file.sha1, file.description],
    ['whole.bin', content.length, sha1(content), 'd']
  );
  assert.ok((await sim.request('GET', `/__content/${file.id}`)).bytes.equals(content));
  assert.strictEqual((await sim.api('GET', session.session_endpoints.status)).status, 404);
});

test('the session is refused for what the upload would be refused for', async () => {
  const bad = async (body, status, name) => {
    const reply = await sim.api('POST', '/upload/api/2.0/files/upload_sessions', body);
    assert.deepStrictEqual(code(reply), [status, name]);
  };
  const size = content.length;
  await bad({ file_size: size, file_name: 'x' }, 400, 'missing_destination');
  await bad({ folder_id: 'x', file_size: size, file_name: 'x' }, 400, 'invalid_folder_id');
  await bad({ folder_id: area.id, file_name: 'x' }, 400, 'missing_file_size');
  await bad({ folder_id: area.id, file_size: '9', file_name: 'x' }, 400, 'invalid_file_size');
  await bad({ folder_id: area.id, file_size: 149999, file_name: 'x' }, 400, 'file_size_too_small');
  await bad({ folder_id: area.id, file_size: size }, 400, 'missing_file_name');
  await bad({ folder_id: area.id, file_size: size, file_name: 'a/b' }, 400, 'item_name_invalid');
  await bad({ folder_id: '999999', file_size: size, file_name: 'x' }, 404, 'not_found');
  await sim.file('there.bin', area.id, 'x');
  await bad(
    { folder_id: area.id, file_size: size, file_name: 'THERE.bin' },
    409,
    'item_name_in_use'
  );
  await sim.config({ quota_bytes: 1000 });
  await bad({ folder_id: area.id, file_size: size, file_name: 'x' }, 403, 'storage_limit_exceeded');
  await sim.config({ quota_bytes: 10000000000 });
});

test('a stored part is immutable', async () => {
  const { json: session } = await create('immutable.bin');
  assert.strictEqual((await put(session, 0)).status, 200);
  assert.deepStrictEqual(code(await put(session, 0)), [409, 'range_overlaps_existing_part']);
  const other = crypto.randomBytes(PART);
  assert.deepStrictEqual(code(await put(session, 0, { bytes: other })), [
    409,
    'range_overlaps_existing_part',
  ]);
  const both = await Promise.all([put(session, PART), put(session, PART)]);
  assert.deepStrictEqual(both.map((x) => x.status).sort(), [200, 409]);
});

test('a part with a wrong digest, range or length leaves no trace', async () => {
  const { json: session } = await create('wrong.bin');
  const range = (text) => put(session, 0, { headers: { 'content-range': text } });
  assert.deepStrictEqual(
    code(await put(session, 0, { headers: { digest: `sha=${sha1('x', 'base64')}` } })),
    [400, 'bad_digest']
  );
  assert.strictEqual((await put(session, 0, { headers: { digest: sha1('x') } })).status, 400);
  assert.strictEqual((await range('bytes 0-99998/200005')).status, 416);
  assert.strictEqual((await range('bytes 5-100004/200005')).status, 416);
  assert.strictEqual((await range('bytes 0-99999/200006')).status, 416);
  assert.strictEqual((await range('bytes=0-99999/200005')).status, 400);
  assert.strictEqual(
    (
      await put(session, 0, {
        bytes: content.subarray(0, 99),
        headers: { 'content-range': 'bytes 0-99999/200005' },
      })
    ).status,
    400
  );
  assert.strictEqual(
    (await sim.api('GET', session.session_endpoints.list_parts)).json.total_count,
    0
  );
  assert.strictEqual((await put(session, 0)).status, 200);
});

test('a commit needs all parts, the right digest and a free name', async () => {
  const { json: session } = await create('commit.bin');
  const parts = [(await put(session, 0)).json.part];
  assert.deepStrictEqual(code(await commit(session, parts)), [400, 'parts_mismatch']);
  parts.push((await put(session, PART)).json.part, (await put(session, 2 * PART)).json.part);
  assert.deepStrictEqual(
    code(await commit(session, parts, { digest: `sha=${sha1('x', 'base64')}` })),
    [400, 'bad_digest']
  );
  const blocker = await sim.file('COMMIT.bin', area.id, 'x');
  assert.deepStrictEqual(code(await commit(session, parts)), [409, 'item_name_in_use']);
  await sim.api('DELETE', `files/${blocker.id}`);
  assert.strictEqual((await commit(session, parts)).status, 201);
});

test('a commit may be answered 202 first, and the same commit again succeeds', async () => {
  const { json: session } = await create('later.bin');
  const parts = await putAll(session);
  await sim.faults([
    {
      match: { method: 'POST', path: '/commit$' },
      times: 1,
      do: { status: 202, headers: { 'retry-after': 1 } },
    },
  ]);
  const first = await commit(session, parts);
  assert.deepStrictEqual([first.status, first.headers['retry-after'], first.text], [202, '1', '']);
  assert.strictEqual((await commit(session, parts)).status, 201);
});

test('an aborted session is gone', async () => {
  const { json: session } = await create('abort.bin');
  await put(session, 0);
  assert.strictEqual((await sim.api('DELETE', session.session_endpoints.abort)).status, 204);
  assert.strictEqual((await sim.api('DELETE', session.session_endpoints.abort)).status, 404);
  assert.strictEqual((await put(session, PART)).status, 404);
});

test('only who opened a session may use it', async () => {
  const { json: session } = await create('mine.bin');
  const { users } = await sim.state('users');
  assert.strictEqual((await put(session, 0, { as: users[1].id })).status, 403);
});

test('a session gives a file a new version', async () => {
  const file = await sim.file('versioned.bin', area.id, 'old');
  const reply = await sim.api('POST', `/upload/api/2.0/files/${file.id}/upload_sessions`, {
    file_size: content.length,
    file_name: 'versioned.bin',
  });
  assert.strictEqual(reply.status, 201, reply.text);
  const parts = await putAll(reply.json);
  const stale = await commit(reply.json, parts, { headers: { 'if-match': '9' } });
  assert.deepStrictEqual(code(stale), [412, 'precondition_failed']);
  const done = await commit(reply.json, parts, { headers: { 'if-match': '0' } });
  assert.deepStrictEqual(
    [done.status, done.json.entries[0].id, done.json.entries[0].etag],
    [201, file.id, '1']
  );
});

test('after seven days a session has expired', async () => {
  const { json: session } = await create('expired.bin');
  await put(session, 0);
  await sim.config({ now_ms: Date.now() + 7 * 24 * 3600 * 1000 + 1000 });
  assert.deepStrictEqual(code(await put(session, PART)), [410, 'session_expired']);
  assert.deepStrictEqual(code(await sim.api('GET', session.session_endpoints.list_parts)), [
    410,
    'session_expired',
  ]);
});
