// SPDX-License-Identifier: Apache-2.0
'use strict';
const assert = require('assert');
const { test, before, after, afterEach } = require('node:test');
const { start } = require('../harness');

let sim;
before(async () => {
  sim = await start({ args: ['--users', '1'] });
  await sim.token();
});
after(() => sim.stop());
afterEach(() => sim.faults([]));

const me = () => sim.api('GET', 'users/me');
const on = (path, action, more = {}) => sim.faults([{ match: { path }, do: action, ...more }]);
const broken = (attempt) =>
  attempt.then(
    (x) => `answered ${x.status}`,
    (e) => e.code
  );

// ---- limits ----

test('a user has so many calls a minute, then 429 with retry-after', async () => {
  await sim.config({ rate: { api_per_min: 5, upload_per_min: 2 } });
  const replies = [];
  for (let i = 0; i < 6; i += 1) {
    replies.push(await me());
  }
  await sim.config({ rate: { api_per_min: 1000, upload_per_min: 240 } });
  assert.deepStrictEqual(
    replies.map((x) => x.status),
    [200, 200, 200, 200, 200, 429]
  );
  const [last] = replies.slice(-1);
  assert.strictEqual(last.json.code, 'rate_limit_exceeded');
  assert.ok(Number(last.headers['retry-after']) >= 10 && Number(last.headers['retry-after']) <= 12);
});

test('uploads have a limit of their own, and each user a budget of their own', async () => {
  const folder = await sim.folder('limits');
  await sim.config({ rate: { upload_per_min: 2 } });
  const statuses = [];
  for (const name of ['a', 'b', 'c']) {
    statuses.push((await sim.upload(name, folder.id, 'x')).status);
  }
  assert.deepStrictEqual(statuses, [201, 201, 429]);
  assert.strictEqual((await me()).status, 200);
  const { users } = await sim.state('users');
  assert.strictEqual((await sim.upload('c', '0', 'x', { as: users[1].id })).status, 201);
  await sim.config({ rate: { api_per_min: 1000, upload_per_min: 240 } });
});

test('the real limits are the default, and --rate off lifts them', async () => {
  const { json } = await sim.request('GET', '/__config');
  assert.deepStrictEqual(json.rate, { api_per_min: 1000, upload_per_min: 240 });
  const other = await start({ args: ['--rate', 'off'] });
  try {
    const token = await other.token();
    let worst = 0;
    for (let i = 0; i < 60; i += 1) {
      const replies = await Promise.all(
        Array.from({ length: 20 }, () => other.api('GET', 'users/me', undefined, { token }))
      );
      worst = Math.max(worst, ...replies.map((x) => x.status));
    }
    assert.strictEqual(worst, 200);
    assert.strictEqual((await other.request('GET', '/__config')).json.rate, 'off');
  } finally {
    await other.stop();
  }
});

// ---- faults ----

test('a status fault answers instead of doing the work, as often as it says', async () => {
  await on('^/2.0/folders$', { status: 503, headers: { 'retry-after': 2 } }, { times: 2 });
  const replies = [];
  for (let i = 0; i < 3; i += 1) {
    replies.push(await sim.api('POST', 'folders', { name: 'faulty', parent: { id: '0' } }));
  }
  assert.deepStrictEqual(
    replies.map((x) => x.status),
    [503, 503, 201]
  );
  assert.strictEqual(replies[0].headers['retry-after'], '2');
  assert.strictEqual(replies[0].json.code, 'unavailable');
});

test('"after" skips matches, "method" narrows them, several faults take turns', async () => {
  await sim.faults([
    { match: { method: 'get', path: '/users/me$' }, after: 1, times: 1, do: { status: 500 } },
    { match: { path: '/users/' }, after: 2, times: 1, do: { status: 502, body: '<html>' } },
  ]);
  const replies = [await me(), await me(), await me(), await me()];
  assert.deepStrictEqual(
    replies.map((x) => x.status),
    [200, 500, 502, 200]
  );
  assert.strictEqual(replies[2].text, '<html>');
  const { json } = await sim.request('GET', '/__faults');
  assert.deepStrictEqual(
    json.map((x) => [x.seen, x.fired]),
    [
      [4, 1],
      [4, 1],
    ]
  );
});

test('with "effect" the work is done and only its answer is lost', async () => {
  await on('^/2.0/folders$', { status: 503, effect: true });
  assert.strictEqual(
    (await sim.api('POST', 'folders', { name: 'kept', parent: { id: '0' } })).status,
    503
  );
  const { folders } = await sim.state('folders');
  assert.ok(folders.some((x) => x.name === 'kept'));
});

test('drop "before" does nothing, drop "after" does the work; neither answers', async () => {
  const folder = await sim.folder('drops');
  await on('/files/content$', { drop: 'before' });
  assert.match(await broken(sim.upload('before', folder.id, 'x')), /ECONNRESET|EPIPE/);
  await on('/files/content$', { drop: 'after' });
  assert.match(await broken(sim.upload('after', folder.id, 'x')), /ECONNRESET|EPIPE/);
  const names = (await sim.state('files')).files.map((x) => x.name);
  assert.ok(names.includes('after') && !names.includes('before'));
});

test('delay_ms delays and then answers as usual', async () => {
  await on('/users/me$', { delay_ms: 300 });
  const from = Date.now();
  assert.strictEqual((await me()).status, 200);
  assert.ok(Date.now() - from >= 290);
});

test('hold waits until the faults are replaced, for those that came before', async () => {
  await on('/users/me$', { hold: true }, { times: 1 });
  let status = 0;
  const held = me().then((x) => {
    status = x.status;
  });
  const fired = async () => (await sim.request('GET', '/__faults')).json[0].fired;
  while ((await fired()) === 0);
  assert.strictEqual((await me()).status, 200, 'the next one is not held');
  assert.strictEqual(status, 0);
  await sim.faults([]);
  await held;
  assert.strictEqual(status, 200);
});

test('truncate breaks off inside the reply body', async () => {
  await on('/users/me$', { truncate: 10 });
  assert.match(await broken(me()), /ECONNRESET/);
});

test('slow_bps slows the request and the reply', async () => {
  const folder = await sim.folder('slow');
  await on('/files/content$', { slow_bps: 20000 });
  const from = Date.now();
  assert.strictEqual((await sim.upload('slow.bin', folder.id, Buffer.alloc(10000))).status, 201);
  assert.ok(Date.now() - from >= 450);
});

test("a 401 by fault has an empty body, 413 and unknown codes have Box's form", async () => {
  await on('/users/me$', { status: 401 });
  assert.strictEqual((await me()).text, '');
  await on('/users/me$', { status: 429 });
  assert.strictEqual((await me()).json.code, 'rate_limit_exceeded');
  await on('/users/me$', {
    status: 409,
    body: { type: 'error', code: 'operation_blocked_temporary' },
  });
  assert.strictEqual((await me()).json.code, 'operation_blocked_temporary');
});

test('faults come from a file of JSON lines', async () => {
  const lines = '{"match": {"path": "/users/me$"}, "times": 1, "do": {"status": 507}}\n\n';
  const other = await start({
    args: ['--faults', 'faults.ndjson'],
    files: { 'faults.ndjson': lines },
  });
  try {
    assert.strictEqual((await other.api('GET', 'users/me')).status, 507);
    assert.strictEqual((await other.api('GET', 'users/me')).status, 200);
  } finally {
    await other.stop();
  }
});

test('a misspelt fault or setting is refused, and nothing changes', async () => {
  await on('/users/me$', { status: 500 });
  for (const fault of [
    { do: { statsu: 500 } },
    { match: { path: '(' }, do: {} },
    { do: { drop: 'soon' } },
    { times: -1, do: {} },
    { match: { pth: 'x' }, do: {} },
    {},
  ]) {
    assert.strictEqual((await sim.faults([fault])).status, 400, JSON.stringify(fault));
  }
  assert.strictEqual((await sim.faults({})).status, 400);
  assert.strictEqual((await me()).status, 500, 'the old fault is still there');
  for (const setting of [
    { part_siz: 1 },
    { part_size: '1' },
    { rate: { api: 1 } },
    { now_ms: 'now' },
    { allowed_shared_link_access_levels: [] },
  ]) {
    assert.strictEqual((await sim.config(setting)).status, 400, JSON.stringify(setting));
  }
});

test('requests are counted by method, template and status', async () => {
  await sim.request('DELETE', '/__requests');
  const folder = await sim.folder('counted');
  await sim.api('GET', `folders/${folder.id}`);
  await sim.api('GET', 'folders/999999');
  await on('/users/me$', { drop: 'before' });
  await broken(me());
  const { json } = await sim.request('GET', '/__requests');
  assert.strictEqual(json.total, 4);
  assert.deepStrictEqual(json.entries, [
    { method: 'POST', template: '/2.0/folders', status: 201, count: 1 },
    { method: 'GET', template: '/2.0/folders/{folder_id}', status: 200, count: 1 },
    { method: 'GET', template: '/2.0/folders/{folder_id}', status: 404, count: 1 },
    { method: 'GET', template: '/2.0/users/me', status: 'dropped', count: 1 },
  ]);
});
