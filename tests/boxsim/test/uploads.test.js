// SPDX-License-Identifier: Apache-2.0
'use strict';
const assert = require('assert');
const crypto = require('crypto');
const fs = require('fs');
const http = require('http');
const { Readable } = require('stream');
const { test, before, after } = require('node:test');
const { start, form, sha1 } = require('../harness');

let sim;
let area;
before(async () => {
  sim = await start();
  area = await sim.folder('uploads');
});
after(() => sim.stop());

const code = (reply) => [reply.status, reply.json && reply.json.code];

async function post(parts, headers = {}) {
  const { body, type } = form(parts);
  return sim.request('POST', '/upload/api/2.0/files/content', {
    body,
    headers: {
      authorization: `Bearer ${await sim.token()}`,
      'content-type': type,
      'content-length': String(body.length),
      ...headers,
    },
  });
}

const attributes = (name) => ['attributes', JSON.stringify({ name, parent: { id: area.id } })];

test('what was uploaded comes back byte for byte', async () => {
  for (const size of [0, 1, 1000, 65536, 262144, 262145, 1500000]) {
    const content = crypto.randomBytes(size);
    const reply = await sim.upload(`r${size}.bin`, area.id, content);
    assert.strictEqual(reply.status, 201, reply.text);
    assert.strictEqual(reply.json.total_count, 1);
    const [file] = reply.json.entries;
    assert.deepStrictEqual(
      [file.type, file.size, file.sha1, file.parent.id],
      ['file', size, sha1(content), area.id]
    );
    const raw = await sim.request('GET', `/__content/${file.id}`);
    assert.ok(raw.bytes.equals(content), `size ${size}`);
  }
});

test('content that looks like a boundary is still content', async () => {
  const content = Buffer.from('\r\n--x\r\n------boxsim\r\n\r\n--\r\n-');
  const file = await sim.file('boundary.bin', area.id, content);
  assert.ok((await sim.request('GET', `/__content/${file.id}`)).bytes.equals(content));
});

test('a body that arrives byte by byte is read the same', async () => {
  const content = Buffer.from('slow\r\ncontent\r\n--');
  const { body, type } = form([attributes('bytewise.bin'), ['file', content, 'f']]);
  const reply = await sim.request('POST', '/upload/api/2.0/files/content', {
    body: Readable.from([...body].map((x) => Buffer.from([x]))),
    headers: {
      authorization: `Bearer ${await sim.token()}`,
      'content-type': type,
      'content-length': String(body.length),
    },
  });
  assert.strictEqual(reply.status, 201, reply.text);
  assert.strictEqual(reply.json.entries[0].sha1, sha1(content));
});

test('the owner downloads by redirect, also a range', async () => {
  const file = await sim.file('down.txt', area.id, '0123456789');
  const found = await sim.api('GET', `files/${file.id}/content`);
  assert.strictEqual(found.status, 302);
  assert.strictEqual((await sim.request('GET', found.headers.location)).text, '0123456789');
  const part = await sim.request('GET', found.headers.location, {
    headers: { range: 'bytes=2-4' },
  });
  assert.deepStrictEqual(
    [part.status, part.text, part.headers['content-range']],
    [206, '234', 'bytes 2-4/10']
  );
});

test('the digest in Content-MD5 is the SHA-1 and is verified', async () => {
  const bad = await sim.upload('digest.bin', area.id, 'content', {
    headers: { 'content-md5': sha1('other') },
  });
  assert.deepStrictEqual(code(bad), [400, 'bad_digest']);
  const md5 = crypto.createHash('md5').update('content').digest('base64');
  assert.deepStrictEqual(
    code(await sim.upload('digest.bin', area.id, 'content', { headers: { 'content-md5': md5 } })),
    [400, 'bad_digest']
  );
  assert.strictEqual(
    (await sim.upload('digest.bin', area.id, 'content')).status,
    201,
    'nothing was left'
  );
});

test('attributes come before the file', async () => {
  const reply = await post([['file', 'x', 'f'], attributes('order.bin')]);
  assert.deepStrictEqual(code(reply), [400, 'metadata_after_file_contents']);
});

test('malformed uploads are 400, one without a length 411', async () => {
  assert.deepStrictEqual(code(await post([attributes('m1')])), [400, 'bad_request']);
  assert.deepStrictEqual(
    code(
      await post([
        ['attributes', '{"name":'],
        ['file', 'x', 'f'],
      ])
    ),
    [400, 'bad_request']
  );
  assert.deepStrictEqual(code(await post([attributes('m2'), ['file', 'x']])), [400, 'bad_request']);
  assert.deepStrictEqual(
    code(
      await post([attributes('m3'), ['file', 'x', 'f']], { 'content-type': 'multipart/form-data' })
    ),
    [400, 'bad_request']
  );
  assert.deepStrictEqual(
    code(
      await post([attributes('m4'), ['file', 'x', 'f']], {
        'content-type': 'multipart/form-data; boundary=another',
      })
    ),
    [400, 'bad_request']
  );
  const { body, type } = form([attributes('m5'), ['file', 'x', 'f']]);
  const chunked = await sim.request('POST', '/upload/api/2.0/files/content', {
    body: Readable.from([body]),
    headers: { authorization: `Bearer ${await sim.token()}`, 'content-type': type },
  });
  assert.deepStrictEqual(code(chunked), [411, 'length_required']);
});

test('a taken name is reported as one object with the digest of what is there', async () => {
  const file = await sim.file('Taken.pdf', area.id, 'there');
  const reply = await sim.upload('tAKEN.pdf', area.id, 'new');
  assert.deepStrictEqual(code(reply), [409, 'item_name_in_use']);
  const { conflicts } = reply.json.context_info;
  assert.deepStrictEqual(
    [conflicts.id, conflicts.sha1, conflicts.type],
    [file.id, sha1('there'), 'file']
  );
  const folder = await sim.folder('taken folder', area.id);
  const other = await sim.upload('TAKEN folder', area.id, 'new');
  assert.strictEqual(other.json.context_info.conflicts.id, folder.id);
});

test('of two uploads of one name at the same time one wins', async () => {
  const replies = await Promise.all(['a', 'b'].map((x) => sim.upload('race.bin', area.id, x)));
  assert.deepStrictEqual(replies.map((x) => x.status).sort(), [201, 409]);
});

test('parents and names are checked as for folders', async () => {
  assert.deepStrictEqual(code(await sim.upload('x', '999999', 'x')), [404, 'not_found']);
  assert.deepStrictEqual(code(await sim.upload('a/b', area.id, 'x')), [400, 'item_name_invalid']);
  assert.deepStrictEqual(code(await sim.upload('x', 0, 'x')), [400, 'bad_request']);
  const wrongHost = await sim.api('POST', 'files/content', {});
  assert.strictEqual(wrongHost.status, 405);
});

test('the largest direct upload passes, one byte more is 413', async () => {
  await sim.config({ direct_max: 300000 });
  assert.strictEqual((await sim.upload('limit.bin', area.id, Buffer.alloc(300000))).status, 201);
  const over = await sim.upload('over.bin', area.id, Buffer.alloc(300001));
  assert.deepStrictEqual(code(over), [413, 'request_entity_too_large']);
  await sim.config({ direct_max: 50000000, max_file_size: 1000 });
  assert.deepStrictEqual(code(await sim.upload('plan.bin', area.id, Buffer.alloc(1001))), [
    403,
    'file_size_limit_exceeded',
  ]);
  await sim.config({ max_file_size: 150000000000 });
});

test('a full account refuses until its space is raised', async () => {
  const { json: me } = await sim.api('GET', 'users/me');
  assert.strictEqual(me.space_amount, 10000000000);
  await sim.config({ quota_bytes: me.space_used + 10 });
  assert.strictEqual((await sim.upload('fits.bin', area.id, Buffer.alloc(10))).status, 201);
  assert.deepStrictEqual(code(await sim.upload('full.bin', area.id, 'x')), [
    403,
    'storage_limit_exceeded',
  ]);
  assert.strictEqual((await sim.api('PUT', `users/${me.id}`, { space_amount: -1 })).status, 200);
  assert.strictEqual((await sim.upload('full.bin', area.id, 'x')).status, 201);
});

test('the preflight says what the upload would, and where to send it', async () => {
  const ask = (body) => sim.api('OPTIONS', 'files/content', body);
  const good = await ask({ name: 'pre.bin', size: 3, parent: { id: area.id } });
  assert.strictEqual(good.status, 200);
  assert.strictEqual(good.json.upload_token, null);
  assert.ok(
    good.json.upload_url.startsWith(`${sim.base}/upload/api/2.0/files/content?upload_session_id=`)
  );
  await sim.file('pre.bin', area.id, 'pre');
  const taken = await ask({ name: 'PRE.bin', size: 3, parent: { id: area.id } });
  assert.deepStrictEqual(code(taken), [409, 'item_name_in_use']);
  assert.strictEqual(taken.json.context_info.conflicts.sha1, sha1('pre'));
  assert.deepStrictEqual(code(await ask({ name: 'x', size: 3, parent: { id: '999999' } })), [
    404,
    'not_found',
  ]);
});

test('a new version needs the current etag and keeps the id', async () => {
  const file = await sim.file('version.txt', area.id, 'one');
  const put = (etag) =>
    sim.upload('version.txt', null, 'two', {
      to: `files/${file.id}/content`,
      headers: { 'if-match': etag },
    });
  assert.deepStrictEqual(code(await put('7')), [412, 'precondition_failed']);
  const reply = await put(file.etag);
  assert.strictEqual(reply.status, 200);
  assert.deepStrictEqual(
    [reply.json.entries[0].id, reply.json.entries[0].sha1],
    [file.id, sha1('two')]
  );
  const { json } = await sim.api('GET', `files/${file.id}/versions`);
  assert.deepStrictEqual(
    json.entries.map((x) => x.sha1),
    [sha1('one')]
  );
});

test('a file goes to the trash and from there for good', async () => {
  const file = await sim.file('gone.txt', area.id, 'x');
  assert.strictEqual((await sim.api('DELETE', `files/${file.id}/trash`)).status, 404);
  assert.strictEqual((await sim.api('DELETE', `files/${file.id}`)).status, 204);
  assert.strictEqual((await sim.api('GET', `files/${file.id}/trash`)).json.item_status, 'trashed');
  assert.strictEqual((await sim.api('DELETE', `files/${file.id}/trash`)).status, 204);
  assert.strictEqual((await sim.request('GET', `/__content/${file.id}`)).status, 404);
});

test('a client that goes away in the middle leaves nothing', async () => {
  const { body, type } = form([attributes('aborted.bin'), ['file', Buffer.alloc(1000000), 'f']]);
  const req = http.request(new URL('/upload/api/2.0/files/content', sim.base), {
    method: 'POST',
    headers: {
      authorization: `Bearer ${await sim.token()}`,
      'content-type': type,
      'content-length': String(body.length),
    },
  });
  const broken = new Promise((resolve) => {
    req.on('error', resolve);
  });
  await new Promise((resolve) => {
    req.write(body.subarray(0, 500000), resolve);
  });
  await new Promise((resolve) => setTimeout(resolve, 50));
  req.destroy();
  await broken;
  await new Promise((resolve) => setTimeout(resolve, 50));
  const { files } = await sim.state('files');
  assert.ok(!files.some((x) => x.name === 'aborted.bin'));
  assert.strictEqual((await sim.upload('aborted.bin', area.id, 'x')).status, 201);
});

test('an upload of 400 MB needs no more memory than a small one', { timeout: 120000 }, async () => {
  await sim.config({ direct_max: 1000000000 });
  const memory = () =>
    Number(/VmRSS:\s+(\d+) kB/.exec(fs.readFileSync(`/proc/${sim.pid}/status`, 'utf8'))[1]);
  const total = 400 * 1024 * 1024;
  const block = crypto.randomBytes(1024 * 1024);
  const boundary = 'boxsim-large';
  const head = Buffer.from(
    `--${boundary}\r\nContent-Disposition: form-data; name="attributes"\r\n\r\n` +
      `${JSON.stringify({ name: 'large.bin', parent: { id: area.id } })}\r\n--${boundary}\r\n` +
      'Content-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
  );
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`);
  const hash = crypto.createHash('sha1');
  const before0 = memory();
  let peak = 0;
  const body = Readable.from(
    (async function* pieces() {
      yield head;
      for (let sent = 0; sent < total; sent += block.length) {
        hash.update(block);
        peak = Math.max(peak, memory());
        yield block;
      }
      yield tail;
    })()
  );
  const reply = await sim.request('POST', '/upload/api/2.0/files/content', {
    body,
    headers: {
      authorization: `Bearer ${await sim.token()}`,
      'content-type': `multipart/form-data; boundary=${boundary}`,
      'content-length': String(head.length + total + tail.length),
    },
  });
  assert.strictEqual(reply.status, 201, reply.text);
  assert.strictEqual(reply.json.entries[0].sha1, hash.digest('hex'));
  const reread = await sim.request('GET', `/__content/${reply.json.entries[0].id}`, {
    headers: { range: `bytes=${total - 40000000}-` },
  });
  assert.strictEqual(reread.bytes.length, 40000000);
  assert.doesNotMatch(sim.output.stderr, /Warning/);
  assert.ok(peak - before0 < 120 * 1024, `grew by ${peak - before0} kB`);
});
