// SPDX-License-Identifier: Apache-2.0
'use strict';
const assert = require('assert');
const { test, before, after } = require('node:test');
const { start } = require('../harness');

let sim;
before(async () => {
  sim = await start({ args: ['--users', '1'] });
});
after(() => sim.stop());

let count = 0;
const fresh = async () => {
  count += 1;
  return sim.folder(`area ${count}`);
};

function isError(reply, status, code) {
  assert.strictEqual(reply.status, status, reply.text);
  assert.strictEqual(reply.json.type, 'error');
  assert.strictEqual(reply.json.status, status);
  assert.strictEqual(reply.json.code, code);
  for (const key of ['message', 'help_url', 'request_id']) {
    assert.strictEqual(typeof reply.json[key], 'string', key);
  }
  assert.match(reply.headers['box-request-id'], /./);
}

const create = (name, parent) => sim.api('POST', 'folders', { name, parent: { id: parent } });

test('a new folder is answered 201 with string ids', async () => {
  const reply = await create('first', '0');
  assert.strictEqual(reply.status, 201);
  const { json } = reply;
  assert.match(json.id, /^\d+$/);
  assert.deepStrictEqual(
    [json.type, json.name, json.parent.id, json.item_status, json.etag],
    ['folder', 'first', '0', 'active', '0']
  );
  assert.strictEqual(json.shared_link, null);
  assert.deepStrictEqual(
    json.path_collection.entries.map((x) => x.id),
    ['0']
  );
  assert.match(json.created_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d-08:00$/);
});

test('?fields= gives the mini form and the named fields only', async () => {
  const folder = await fresh();
  const reply = await sim.api(
    'GET',
    `folders/${folder.id}?fields=id,allowed_shared_link_access_levels`
  );
  assert.deepStrictEqual(Object.keys(reply.json).sort(), [
    'allowed_shared_link_access_levels',
    'etag',
    'id',
    'name',
    'sequence_id',
    'type',
  ]);
  assert.deepStrictEqual(reply.json.allowed_shared_link_access_levels, [
    'open',
    'company',
    'collaborators',
  ]);
});

test('a name is taken whatever its case, by a folder or a file, and reported as a list', async () => {
  const area = await fresh();
  const there = await sim.folder('Name', area.id);
  const file = await sim.file('Other.txt', area.id, 'x');
  const first = await create('nAME', area.id);
  isError(first, 409, 'item_name_in_use');
  assert.deepStrictEqual(first.json.context_info.conflicts, [
    { type: 'folder', id: there.id, sequence_id: '0', etag: '0', name: 'Name' },
  ]);
  const second = await create('other.TXT', area.id);
  isError(second, 409, 'item_name_in_use');
  assert.strictEqual(second.json.context_info.conflicts[0].id, file.id);
});

test('names that Box does not know are refused', async () => {
  const area = await fresh();
  for (const name of [
    'a/b',
    'a\\b',
    '.',
    '..',
    ' a',
    'a ',
    '',
    'a\u0001',
    'a\u007f',
    'a\u{1F4E6}',
  ]) {
    isError(await create(name, area.id), 400, 'item_name_invalid');
  }
  for (const name of ['a<b', 'a:b', 'a|b?*"', '文箱', '-', '.a', 'ﾊﾝｶｸ']) {
    assert.strictEqual((await create(name, area.id)).status, 201, name);
  }
  assert.strictEqual((await create('箱'.repeat(255), area.id)).status, 201);
  isError(await create('箱'.repeat(256), area.id), 400, 'item_name_too_long');
});

test('ids are strings: a number is a bad request, a word is 405, an unknown id 404', async () => {
  isError(await create('x', 0), 400, 'bad_request');
  isError(await sim.api('POST', 'folders', { parent: { id: '0' } }), 400, 'bad_request');
  isError(await sim.api('POST', 'folders', { name: 'x' }), 400, 'bad_request');
  isError(await create('x', '999999'), 404, 'not_found');
  isError(await sim.api('GET', 'folders/abc'), 405, 'method_not_allowed');
  isError(await sim.api('GET', 'folders/999999'), 404, 'not_found');
  isError(await sim.api('GET', 'nothing'), 404, 'not_found');
  isError(await sim.api('DELETE', 'folders'), 405, 'method_not_allowed');
  const token = await sim.token();
  const broken = await sim.request('POST', '/2.0/folders', {
    headers: { authorization: `Bearer ${token}` },
    body: '{"name":',
  });
  isError(broken, 400, 'bad_request');
});

test('the restrictions for non-owners are set by PUT and shown on request', async () => {
  const folder = await fresh();
  const url = `folders/${folder.id}?fields=can_non_owners_invite,can_non_owners_view_collaborators`;
  const reply = await sim.api('PUT', url, {
    can_non_owners_invite: false,
    can_non_owners_view_collaborators: false,
  });
  assert.strictEqual(reply.status, 200);
  assert.strictEqual(reply.json.can_non_owners_invite, false);
  const again = await sim.api('GET', url);
  assert.strictEqual(again.json.can_non_owners_view_collaborators, false);
  assert.strictEqual(again.json.etag, '1');
  isError(await sim.api('PUT', url, { can_non_owners_invite: 'no' }), 400, 'bad_request');
});

test('If-Match guards changes, a description has 256 characters, names move on', async () => {
  const folder = await fresh();
  const put = (body, etag) =>
    sim.api('PUT', `folders/${folder.id}`, body, {
      headers: etag === undefined ? {} : { 'if-match': etag },
    });
  assert.strictEqual(
    (await put({ description: 'd'.repeat(256), tags: ['t'] }, '0')).json.etag,
    '1'
  );
  isError(await put({ description: 'e' }, '0'), 412, 'precondition_failed');
  isError(await put({ description: 'd'.repeat(257) }), 400, 'bad_request');
  assert.strictEqual(
    (await put({ name: `${folder.name} renamed` })).json.name,
    `${folder.name} renamed`
  );
  const same = await sim.api('GET', `folders/${folder.id}`, undefined, {
    headers: { 'if-none-match': '2' },
  });
  assert.strictEqual(same.status, 304);
});

test('a folder moves, but not into itself', async () => {
  const [a, b] = [await fresh(), await fresh()];
  const moved = await sim.api('PUT', `folders/${a.id}`, { parent: { id: b.id } });
  assert.strictEqual(moved.json.parent.id, b.id);
  isError(await sim.api('PUT', `folders/${b.id}`, { parent: { id: a.id } }), 400, 'bad_request');
});

test('items come in pages by marker, complete and without repeats', async () => {
  const area = await fresh();
  for (let i = 0; i < 7; i += 1) {
    await sim.folder(`f${i}`, area.id);
  }
  await sim.file('z.txt', area.id, 'z');
  const seen = [];
  let marker = '';
  do {
    const { json } = await sim.api(
      'GET',
      `folders/${area.id}/items?usemarker=true&limit=3&fields=id,type,name,sha1&marker=${marker}`
    );
    seen.push(...json.entries);
    marker = json.next_marker;
  } while (marker);
  assert.strictEqual(seen.length, 8);
  assert.strictEqual(new Set(seen.map((x) => x.id)).size, 8);
  assert.match(seen.find((x) => x.type === 'file').sha1, /^[0-9a-f]{40}$/);
  const byOffset = await sim.api('GET', `folders/${area.id}/items?limit=2&offset=6`);
  assert.deepStrictEqual(
    byOffset.json.entries.map((x) => x.name),
    ['f6', 'z.txt']
  );
  assert.strictEqual(byOffset.json.total_count, 8);
  isError(await sim.api('GET', `folders/${area.id}/items?limit=1001`), 400, 'bad_request');
});

test('a full folder goes only recursively, to the trash, and from there for good', async () => {
  const area = await fresh();
  const inner = await sim.folder('inner', area.id);
  const file = await sim.file('f', inner.id, 'content');
  isError(await sim.api('DELETE', `folders/${area.id}`), 400, 'folder_not_empty');
  assert.strictEqual((await sim.api('DELETE', `folders/${area.id}?recursive=true`)).status, 204);
  assert.strictEqual((await sim.api('GET', `folders/${area.id}`)).status, 404);
  assert.strictEqual((await sim.api('GET', `files/${file.id}`)).status, 404);
  assert.strictEqual((await sim.api('DELETE', `folders/${area.id}?recursive=true`)).status, 404);
  const away = await sim.api('GET', `folders/${area.id}/trash`);
  assert.strictEqual(away.json.item_status, 'trashed');
  isError(await sim.api('DELETE', `files/${file.id}/trash`), 404, 'not_trashed');
  assert.strictEqual((await sim.api('DELETE', `folders/${area.id}/trash`)).status, 204);
  for (const url of [`folders/${area.id}`, `folders/${area.id}/trash`, `files/${file.id}`]) {
    assert.strictEqual((await sim.api('GET', url)).status, 404, url);
  }
});

test('the trash keeps the space taken until it is emptied; restoring brings everything back', async () => {
  const used = async () => (await sim.api('GET', 'users/me')).json.space_used;
  const start0 = await used();
  const area = await fresh();
  const file = await sim.file('f', area.id, Buffer.alloc(1000));
  assert.strictEqual(await used(), start0 + 1000);
  await sim.api('DELETE', `folders/${area.id}?recursive=true`);
  assert.strictEqual(await used(), start0 + 1000);
  assert.strictEqual((await sim.folder(area.name)).name, area.name, 'the name is free again');
  isError(await sim.api('POST', `folders/${area.id}`), 409, 'item_name_in_use');
  const back = await sim.api('POST', `folders/${area.id}`, { name: `${area.name} again` });
  assert.strictEqual(back.status, 201);
  assert.strictEqual((await sim.api('GET', `files/${file.id}`)).status, 200);
  await sim.api('DELETE', `folders/${area.id}?recursive=true`);
  await sim.api('DELETE', `folders/${area.id}/trash`);
  assert.strictEqual(await used(), start0);
});

test('without a trash, and after its days, deleted is gone', async () => {
  const other = await start({ settings: { delete_to_trash: false } });
  try {
    const gone = await other.folder('gone');
    await other.api('DELETE', `folders/${gone.id}`);
    assert.strictEqual((await other.api('GET', `folders/${gone.id}/trash`)).status, 404);
    await other.config({ delete_to_trash: true, token_lifetime_s: 99999999 });
    other.tokens.clear();
    const kept = await other.folder('kept');
    await other.api('DELETE', `folders/${kept.id}`);
    await other.config({ purge_allowed: false });
    isError(
      await other.api('DELETE', `folders/${kept.id}/trash`),
      403,
      'access_denied_insufficient_permissions'
    );
    await other.config({ now_ms: Date.now() + 31 * 24 * 3600 * 1000 });
    assert.strictEqual((await other.api('GET', `folders/${kept.id}/trash`)).status, 404);
  } finally {
    await other.stop();
  }
});

test('a folder lock keeps its folder from being deleted', async () => {
  const area = await fresh();
  const lock = await sim.api('POST', 'folder_locks', {
    folder: { type: 'folder', id: area.id },
    locked_operations: { move: true, delete: true },
  });
  assert.strictEqual(lock.status, 200);
  isError(
    await sim.api('DELETE', `folders/${area.id}`),
    403,
    'access_denied_insufficient_permissions'
  );
  assert.strictEqual((await sim.api('DELETE', `folder_locks/${lock.json.id}`)).status, 204);
  assert.strictEqual((await sim.api('DELETE', `folders/${area.id}`)).status, 204);
});

test('each user has a root of their own and sees nothing of the others', async () => {
  const { users } = await sim.state('users');
  const pool = users[1].id;
  const mine = await sim.folder('private', '0', { as: pool });
  assert.strictEqual(mine.owned_by.id, pool);
  isError(await sim.api('GET', `folders/${mine.id}`), 404, 'not_found');
  const { json } = await sim.api('GET', 'folders/0/items', undefined, { as: pool });
  assert.deepStrictEqual(
    json.entries.map((x) => x.id),
    [mine.id]
  );
});
