// SPDX-License-Identifier: Apache-2.0
'use strict';
const assert = require('assert');
const { test, before, after } = require('node:test');
const { start } = require('../harness');

let sim;
let folder;
let file;
before(async () => {
  sim = await start({ args: ['--users', '1'] });
  folder = await sim.folder('events');
  file = await sim.file('body.pdf', folder.id, 'content');
  await sim.invite('folder', folder.id, 'reader@example.com');
});
after(() => sim.stop());

const get = (query, options) => sim.api('GET', `events?${query}`, undefined, options);

// The position as it is on the wire: JSON.parse would already have rounded it.
const position = (reply) => /"next_stream_position":"?(\d+)"?/.exec(reply.text)[1];

test('"now" gives a position beyond 2^53 and no events', async () => {
  const reply = await get('stream_position=now');
  assert.deepStrictEqual([reply.status, reply.json.chunk_size, reply.json.entries], [200, 0, []]);
  assert.ok(BigInt(position(reply)) > 2n ** 53n);
  assert.match(reply.text, /"next_stream_position":\d+,/, 'a bare integer by default');
  await sim.config({ event_position: 'string' });
  assert.match((await get('stream_position=now')).text, /"next_stream_position":"\d+",/);
  await sim.config({ event_position: 'raw' });
});

test('a preview and a download reach the owner with the name of the reader', async () => {
  const from = position(await get('stream_position=now'));
  await sim.act('reader@example.com', 'preview', { file: file.id });
  await sim.act('reader@example.com', 'download', { file: file.id });
  const reply = await get(`stream_type=all&stream_position=${from}&limit=500`);
  assert.deepStrictEqual(
    reply.json.entries.map((x) => x.event_type),
    ['ITEM_PREVIEW', 'ITEM_DOWNLOAD']
  );
  assert.strictEqual(reply.json.chunk_size, 2);
  const [event] = reply.json.entries;
  assert.deepStrictEqual(
    [
      event.type,
      event.created_by.login,
      event.source.item_type,
      event.source.item_id,
      event.source.item_name,
      event.source.parent.id,
    ],
    ['event', 'reader@example.com', 'file', file.id, 'body.pdf', folder.id]
  );
  assert.match(event.event_id, /^[0-9a-f]{40}$/);
  const after0 = await get(`stream_position=${position(reply)}`);
  assert.strictEqual(after0.json.chunk_size, 0);
  assert.strictEqual(position(after0), position(reply));
});

test('previews are not among the changes', async () => {
  const { json } = await get('stream_type=changes&stream_position=0&limit=500');
  const types = json.entries.map((x) => x.event_type);
  assert.ok(types.includes('ITEM_UPLOAD') && !types.includes('ITEM_PREVIEW'));
});

test('from 0 every event comes once, in pages', async () => {
  const seen = [];
  let at = '0';
  for (;;) {
    const reply = await get(`stream_position=${at}&limit=2`);
    if (reply.json.chunk_size === 0) {
      break;
    }
    seen.push(...reply.json.entries);
    at = position(reply);
  }
  const types = seen.map((x) => x.event_type);
  assert.deepStrictEqual(types.slice(0, 4), [
    'ITEM_CREATE',
    'ITEM_UPLOAD',
    'COLLAB_INVITE_COLLABORATOR',
    'COLLAB_ADD_COLLABORATOR',
  ]);
  assert.strictEqual(new Set(seen.map((x) => x.event_id)).size, seen.length);
});

test('the user stream can be told to repeat events, with the same event_id', async () => {
  await sim.config({ event_duplicates: true });
  const { json } = await get('stream_position=0&limit=500');
  await sim.config({ event_duplicates: false });
  assert.strictEqual(new Set(json.entries.map((x) => x.event_id)).size * 2, json.entries.length);
});

test('a position that went through a double misses events', async () => {
  const from = position(await get('stream_position=now'));
  await sim.act('reader@example.com', 'preview', { file: file.id });
  const rounded = BigInt(Math.ceil(Number(from) + 200)).toString();
  assert.notStrictEqual(rounded, from);
  assert.strictEqual((await get(`stream_position=${from}`)).json.chunk_size, 1);
  assert.strictEqual((await get(`stream_position=${rounded}`)).json.chunk_size, 0);
});

test('the enterprise streams know who did what, filtered by type', async () => {
  await sim.act('reader@example.com', 'download', { file: file.id });
  const { json } = await get(
    'stream_type=admin_logs_streaming&stream_position=0&limit=500' +
      '&event_type=DOWNLOAD,PREVIEW,COLLABORATION_ACCEPT'
  );
  const types = new Set(json.entries.map((x) => x.event_type));
  assert.deepStrictEqual([...types].sort(), ['COLLABORATION_ACCEPT', 'DOWNLOAD', 'PREVIEW']);
  const late = await get(
    `stream_type=admin_logs&created_after=${encodeURIComponent(
      new Date(Date.now() + 60000).toISOString()
    )}`
  );
  assert.strictEqual(late.json.chunk_size, 0);
  const early = await get(
    `stream_type=admin_logs&created_after=${encodeURIComponent(
      new Date(Date.now() - 600000).toISOString()
    )}`
  );
  assert.ok(early.json.chunk_size > 0);
});

test('the enterprise streams need rights', async () => {
  const { users } = await sim.state('users');
  assert.strictEqual((await get('stream_type=admin_logs', { as: users[1].id })).status, 403);
  await sim.config({ admin_events: false });
  const reply = await get('stream_type=admin_logs');
  assert.deepStrictEqual([reply.status, reply.json.code], [403, 'insufficient_scope']);
  await sim.config({ admin_events: true });
});

test('sharing, revoking and deleting leave their events', async () => {
  const other = await sim.folder('life');
  const from = position(await get('stream_position=now'));
  const { json: collab } = await sim.invite('folder', other.id, 'pending.life@example.com');
  await sim.api('PUT', `folders/${other.id}`, { shared_link: { access: 'open' } });
  await sim.act('pending.life@example.com', 'accept', { folder: other.id });
  await sim.api('PUT', `collaborations/${collab.id}`, { role: 'previewer' });
  await sim.api('DELETE', `collaborations/${collab.id}`);
  await sim.api('PUT', `folders/${other.id}`, { shared_link: null });
  await sim.api('DELETE', `folders/${other.id}`);
  const { json } = await get(`stream_position=${from}`);
  assert.deepStrictEqual(
    json.entries.map((x) => x.event_type),
    [
      'COLLAB_INVITE_COLLABORATOR',
      'ITEM_SHARED_CREATE',
      'COLLAB_ADD_COLLABORATOR',
      'COLLAB_ROLE_CHANGE',
      'COLLAB_REMOVE_COLLABORATOR',
      'ITEM_SHARED_UNSHARE',
      'ITEM_TRASH',
    ]
  );
});

test('an anonymous reader is user 2; a watermarked download has its own type', async () => {
  await sim.api('PUT', `files/${file.id}`, { shared_link: { access: 'open' } });
  await sim.api('PUT', `folders/${folder.id}/watermark`, { watermark: { imprint: 'default' } });
  const from = position(await get('stream_position=now'));
  await sim.act(null, 'download', { file: file.id });
  const { json } = await get(`stream_position=${from}`);
  assert.strictEqual(json.entries[0].created_by.id, '2');
  const admin = await get(`stream_type=admin_logs_streaming&stream_position=${from}`);
  assert.deepStrictEqual(
    admin.json.entries.map((x) => x.event_type),
    ['FILE_WATERMARKED_DOWNLOAD', 'CONTENT_ACCESS']
  );
});

test('a long poll answers when something happens', async () => {
  const { json } = await sim.api('OPTIONS', 'events');
  assert.strictEqual(json.entries[0].type, 'realtime_server');
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const waiting = sim.request('GET', json.entries[0].url);
  let answer = null;
  for (let i = 0; i < 20 && !answer; i++) {
    await pause(50); // on a busy machine it may not wait yet: then something happens once more
    await sim.act('reader@example.com', 'preview', { file: file.id });
    answer = await Promise.race([waiting, pause(3000)]);
  }
  assert.deepStrictEqual(answer?.json, { message: 'new_change' });
});

test('bad queries are refused', async () => {
  for (const query of ['stream_type=x', 'stream_position=abc', 'limit=501']) {
    assert.strictEqual((await get(query)).status, 400, query);
  }
});
