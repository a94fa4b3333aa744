// SPDX-License-Identifier: Apache-2.0
// POST /v1/messages: what is taken, what is refused and how it is said.

import assert from 'node:assert/strict';
import http from 'node:http';
import test from 'node:test';
import { World, request, waitFor } from '../../support/harness.mjs';

const STREAM = 'fb:{s0}:render';

async function setUp(t, overrides = {}) {
  const world = await World.create(t);
  const redis = await world.startRedis();
  const ingest = await world.start('ingest', overrides);
  const url = `http://127.0.0.1:${world.ports.http}/v1/messages`;
  const headers = { authorization: `Bearer ${world.token}`, 'content-type': 'message/rfc822',
    'x-mail-from': 'a@example.jp', 'x-rcpt-to': ['b@example.com', '<c@example.com>'] };
  const post = (change = {}, body = 'Subject: x\n\nhello\n', more = {}) => {
    const all = { ...headers, ...change };
    for (const key of Object.keys(all)) if (all[key] === undefined) delete all[key];
    return request(url, { method: 'POST', headers: all, body, ...more });
  };
  return { world, redis, ingest, url, headers, post };
}

test('mail is taken with LF and with CRLF, and enqueued', async (t) => {
  const { redis, post } = await setUp(t);
  for (const body of ['Subject: x\n\nhello\n', 'Subject: x\r\n\r\nhello\r\n', 'Subject: x\n\nno line end']) {
    const res = await post({}, body);
    assert.equal(res.status, 202);
    assert.match(res.json().id, /^[0-9A-Z]{26}$/);
    await waitFor(async () => (await redis.command('HEXISTS', `fb:{s0}:m:${res.json().id}`, 'queued')) === 1,
      { what: 'the job' });
  }
  assert.equal(await redis.command('XLEN', STREAM), 3);
});

test('null sender, UTF-8 addresses, parameters of the content type', async (t) => {
  const { post } = await setUp(t);
  assert.equal((await post({ 'x-mail-from': '<>' })).status, 202);
  assert.equal((await post({ 'x-rcpt-to': Buffer.from('太郎@例え.jp').toString('latin1') })).status, 202);
  assert.equal((await post({ 'content-type': 'message/rfc822; charset=utf-8' })).status, 202);
});

test('refusals say what is wrong', async (t) => {
  const { post, url, headers } = await setUp(t, { ingest: { max_recipients: 2, max_message: '65536' } });
  for (const [change, body, status, code] of [
    [{ authorization: undefined }, undefined, 401, 'unauthorized'],
    [{ authorization: 'Bearer wrong' }, undefined, 401, 'unauthorized'],
    [{ 'content-type': 'text/plain' }, undefined, 415, 'content_type'],
    [{ 'x-mail-from': undefined }, undefined, 400, 'no_sender'],
    [{ 'x-mail-from': 'nobody' }, undefined, 400, 'bad_sender'],
    [{ 'x-rcpt-to': undefined }, undefined, 400, 'no_recipient'],
    [{ 'x-rcpt-to': ['b@example.com', 'b c@example.com'] }, undefined, 400, 'bad_recipient'],
    [{ 'x-rcpt-to': ['a@x.jp', 'b@x.jp', 'c@x.jp'] }, undefined, 400, 'too_many_recipients'],
    [{}, 'Subject: x\n\na\rb\n', 400, 'bare_cr'],
    [{}, 'Subject: x\n\na\0b\n', 400, 'bare_cr'],
    [{}, '', 400, 'empty'],
    [{}, 'x'.repeat(65537), 413, 'too_big'],
    [{ 'transfer-encoding': 'chunked' }, 'x'.repeat(65537), 413, 'too_big'],
    [{}, 'Received: x\n'.repeat(51) + '\nx\n', 400, 'loop'],
  ]) {
    const res = await post(change, body);
    assert.equal(res.status, status, `${JSON.stringify(change)} ${code}`);
    assert.equal(res.json().error.code, code);
    assert.match(res.json().error.message, /^[A-Z].*[.?]$/);
  }
  assert.equal((await request(url, { headers })).status, 405);
  assert.equal((await request(url.replace('messages', 'other'), { method: 'POST', headers, body: 'x' })).status, 404);
  assert.equal((await post()).status, 202); // at the limits
  assert.equal((await post({}, `${'x'.repeat(65534)}\n`)).status, 202);
});

test('a large mail streams, many at once are kept apart', async (t) => {
  const { redis, post } = await setUp(t);
  const body = `Subject: big\n\n${`${'x'.repeat(76)}\n`.repeat(200000)}`;
  const results = await Promise.all(Array.from({ length: 6 }, () => post({}, body, { timeout: 60000 })));
  assert.deepEqual(results.map((r) => r.status), [202, 202, 202, 202, 202, 202]);
  assert.equal(new Set(results.map((r) => r.json().id)).size, 6);
  await waitFor(async () => (await redis.command('XLEN', STREAM)) === 6, { what: '6 jobs' });
});

test('a client that hangs up in the middle leaves nothing behind', async (t) => {
  const { ingest, url, headers } = await setUp(t);
  const req = http.request(url, { method: 'POST', headers: { ...headers, 'content-length': 1000000 } });
  req.on('error', () => {});
  req.write('Subject: x\n\nhalf');
  await new Promise((resolve) => { setTimeout(resolve, 200); });
  req.destroy();
  const ended = await ingest.stop();
  assert.deepEqual(ended, { code: 0, signal: null });
  assert.equal(ingest.log.some((l) => l.level === 'error'), false);
});
