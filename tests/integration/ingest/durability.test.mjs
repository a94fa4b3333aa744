// SPDX-License-Identifier: Apache-2.0
// What a 250 promises: the mail is in the spool, and is enqueued sooner or later, whatever dies in between.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { Smtp, World, request, sleep, waitFor } from '../../support/harness.mjs';

const STREAM = 'fb:{s0}:render';
const jobs = async (redis) => redis.command('XLEN', STREAM);
const known = async (redis, id) => (await redis.command('HEXISTS', `fb:{s0}:m:${id}`, 'queued')) === 1;

async function sendMany(port, count) {
  const smtp = await Smtp.connect(port);
  const ids = [];
  for (let i = 0; i < count; i++) {
    const reply = await smtp.send({ content: `S: ${i}\r\n\r\n${'x'.repeat(i * 100)}\r\n` });
    assert.equal(reply.code, 250);
    ids.push(reply.id);
  }
  smtp.close();
  return ids;
}

test('SIGKILL right behind the 250: the mail is in the spool and enqueued by the next start', async (t) => {
  const world = await World.create(t);
  const redis = await world.startRedis();
  await redis.stop(); // so that nothing can be enqueued before the kill
  const ingest = await world.start('ingest');
  const ids = await sendMany(world.ports.smtp, 20);
  await ingest.kill();
  await redis.start();
  await world.start('ingest');
  await waitFor(async () => (await jobs(redis)) === 20, { what: '20 jobs' });
  for (const id of ids) assert.ok(await known(redis, id));
});

test('Redis down: still 250, ready, and enqueued once Redis is back', async (t) => {
  const world = await World.create(t);
  const redis = await world.startRedis();
  const ingest = await world.start('ingest');
  await sendMany(world.ports.smtp, 3);
  await waitFor(async () => (await jobs(redis)) === 3, { what: '3 jobs' });
  await redis.stop();
  const ids = await sendMany(world.ports.smtp, 10);
  await sleep(1200);
  assert.equal((await request(`http://127.0.0.1:${ingest.metricsPort}/readyz`)).status, 200);
  await redis.start(); // empty: all 13 are unknown now
  await waitFor(async () => (await jobs(redis)) === 13, { what: '13 jobs' });
  for (const id of ids) assert.ok(await known(redis, id));
});

test('FLUSHALL: everything in the spool is enqueued again, once', async (t) => {
  const world = await World.create(t);
  const redis = await world.startRedis();
  await world.start('ingest');
  await sendMany(world.ports.smtp, 70); // more than a batch
  await waitFor(async () => (await jobs(redis)) === 70, { what: '70 jobs' });
  await redis.command('FLUSHALL');
  await waitFor(async () => (await jobs(redis)) === 70, { what: '70 jobs again' });
  await sleep(1500);
  assert.equal(await jobs(redis), 70);
});

test('a restart enqueues nothing twice', async (t) => {
  const world = await World.create(t);
  const redis = await world.startRedis();
  const first = await world.start('ingest');
  await sendMany(world.ports.smtp, 5);
  await waitFor(async () => (await jobs(redis)) === 5, { what: '5 jobs' });
  assert.deepEqual(await first.stop(), { code: 0, signal: null });
  const second = await world.start('ingest');
  await waitFor(() => second.log.some((l) => /replay: 5 messages in the spool, 0 enqueued/.test(JSON.stringify(l))),
    { what: 'the replay to end' });
  assert.equal(await jobs(redis), 5);
});

test('SIGTERM: idle sessions get 421, an open DATA ends with 250 and is enqueued, exit 0', async (t) => {
  const world = await World.create(t);
  const redis = await world.startRedis();
  const ingest = await world.start('ingest');
  const idle = await Smtp.connect(world.ports.smtp);
  await idle.cmd('EHLO x');
  const busy = await Smtp.connect(world.ports.smtp);
  for (const line of ['EHLO x', 'MAIL FROM:<a@example.jp>', 'RCPT TO:<b@example.com>', 'DATA']) await busy.cmd(line);
  busy.write('S: x\r\n\r\nfirst half\r\n');
  await sleep(50);
  const ended = ingest.stop();
  const goodbye = await idle.read();
  assert.equal(`${goodbye.code} ${goodbye.enhanced}`, '421 4.3.2');
  assert.ok(await idle.closed());
  await assert.rejects(Smtp.connect(world.ports.smtp));
  busy.write('second half\r\n.\r\n');
  const reply = await busy.read();
  assert.equal(reply.code, 250);
  assert.equal((await busy.read()).code, 421);
  busy.close();
  assert.deepEqual(await ended, { code: 0, signal: null });
  assert.ok(await known(redis, reply.id));
});

test('no 250 before fdatasync', async (t) => {
  if (spawnSync('strace', ['-V']).status !== 0) {
    t.skip('strace is not installed');
    return;
  }
  const world = await World.create(t);
  await world.startRedis();
  const trace = path.join(world.dir, 'trace');
  const ingest = await world.start('ingest', {}, {
    wrap: ['strace', '-D', '-f', // -D: the service is our child, and gets our signals
      '-o', trace, '-s', '64', '-e', 'trace=fdatasync,fsync,pwrite64,pwritev,pwritev2,writev,sendto'],
    env: { ASAN_OPTIONS: 'detect_leaks=0' },
  });
  const smtp = await Smtp.connect(world.ports.smtp);
  for (let i = 0; i < 5; i++) assert.equal((await smtp.send({ content: 'S: x\r\n\r\nhello\r\n' })).code, 250);
  smtp.close();
  await ingest.stop();
  await waitFor(() => /\+\+\+ exited/.test(fs.readFileSync(trace, 'utf8')), { what: 'the end of the trace' });
  // Each 250 with an id must have a sync that ended (not merely begun) between it and the 250 before.
  let isSynced = false;
  let answers = 0;
  for (const line of fs.readFileSync(trace, 'utf8').split('\n')) {
    if (/(fdatasync|fsync)(\(\d+\)| resumed>\)).*= 0/.test(line)) isSynced = true;
    if (/sendto\(.*"250 2\.0\.0 [0-9A-Z]{26} queued/.test(line)) {
      assert.ok(isSynced, `answered before the sync: ${line}`);
      isSynced = false;
      answers++;
    }
  }
  assert.equal(answers, 5);
});

test('full disk: 452, not ready, and mail again when there is room', async (t) => {
  const world = await World.create(t);
  fs.mkdirSync(world.spoolDir, { mode: 0o700 });
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=12m,mode=0700', 'tmpfs', world.spoolDir]);
  if (mounted.status !== 0) {
    t.skip('cannot mount a tmpfs here');
    return;
  }
  world.atEnd(() => spawnSync('umount', ['-l', world.spoolDir]));
  await world.startRedis();
  const ingest = await world.start('ingest', { ingest: { high_water: '90%' } });
  const smtp = await Smtp.connect(world.ports.smtp);
  assert.equal((await smtp.send()).code, 250);
  // more than the disk holds, at once: the writes fail while the content comes, or at the commit
  const big = await smtp.send({ content: `S: x\r\n\r\n${`${'x'.repeat(78)}\r\n`.repeat(200000)}`, helo: '' });
  assert.equal(`${big.code} ${big.enhanced}`, '452 4.3.1');
  assert.equal((await smtp.send({ helo: '' })).code, 250); // the session and the spool go on
  fs.writeFileSync(path.join(world.spoolDir, 'ballast'), Buffer.alloc(1 << 20));
  for (let i = 0; i < 12; i++) { // fill it up to the mark
    try { fs.appendFileSync(path.join(world.spoolDir, 'ballast'), Buffer.alloc(1 << 20)); } catch { break; }
  }
  await waitFor(async () => (await request(`http://127.0.0.1:${ingest.metricsPort}/readyz`)).status === 503,
    { what: 'not to be ready' });
  const refused = await smtp.cmd('MAIL FROM:<a@example.jp>');
  assert.equal(`${refused.code} ${refused.enhanced}`, '452 4.3.1');
  const http = await request(`http://127.0.0.1:${world.ports.http}/v1/messages`, { method: 'POST', body: 'S: x\n\nx\n',
    headers: { authorization: `Bearer ${world.token}`, 'content-type': 'message/rfc822', 'x-mail-from': 'a@example.jp',
      'x-rcpt-to': 'b@example.com' } });
  assert.equal(http.status, 503);
  assert.ok(Number(http.headers['retry-after']) > 0);
  fs.rmSync(path.join(world.spoolDir, 'ballast'));
  await ingest.ready();
  assert.equal((await smtp.send({ helo: '' })).code, 250);
});

test('spool_max stops mail as well', async (t) => {
  const world = await World.create(t);
  await world.startRedis();
  const ingest = await world.start('ingest', { ingest: { spool_max: '100KiB' } });
  const smtp = await Smtp.connect(world.ports.smtp);
  const content = `S: x\r\n\r\n${`${'x'.repeat(78)}\r\n`.repeat(4000)}`;
  assert.equal((await smtp.send({ content })).code, 250);
  await waitFor(async () => (await request(`http://127.0.0.1:${ingest.metricsPort}/readyz`)).status === 503,
    { what: 'not to be ready', timeout: 60000 });
  assert.equal((await smtp.send({ helo: '' })).code, 452);
});

test('a kill in the middle of load loses nothing that was answered', async (t) => {
  const world = await World.create(t);
  const redis = await world.startRedis();
  const ids = [];
  for (let round = 0; round < 3; round++) {
    const ingest = await world.start('ingest');
    const work = Array.from({ length: 10 }, async () => {
      const smtp = await Smtp.connect(world.ports.smtp);
      for (;;) {
        const reply = await smtp.send({ content: `S: x\r\n\r\n${'y'.repeat(5000)}\r\n` });
        if (reply === null || reply.code !== 250) return;
        ids.push(reply.id);
      }
    });
    await sleep(300);
    await ingest.kill();
    await Promise.allSettled(work);
  }
  assert.ok(ids.length > 30, `only ${ids.length} mails`);
  await world.start('ingest');
  await waitFor(async () => (await jobs(redis)) >= ids.length, { what: `${ids.length} jobs`, timeout: 20000 });
  for (const id of ids) assert.ok(await known(redis, id), `${id} was answered 250 and is lost`);
});

test('--check finds what would stop the start', async (t) => {
  const world = await World.create(t);
  for (const [ingest, pattern] of [
    [{ allow: ['10.0.0.1/8'] }, /ingest\.allow.*10\.0\.0\.1\/8/],
    [{ xforward: ['nowhere'] }, /ingest\.xforward.*nowhere/],
    [{ tls_cert_file: '/nonexistent.pem', tls_key_file: '/nonexistent.pem' }, /ingest\.tls_cert_file.*nonexistent/],
    [{ tls_cert_file: world.keyFile }, /both or neither/],
  ]) {
    const service = await world.start('ingest', { ingest }, { ready: false, args: ['--check'] });
    assert.deepEqual(await service.exited, { code: 78, signal: null });
    assert.match(service.output, pattern);
  }
  const good = await world.start('ingest', {}, { ready: false, args: ['--check'] });
  assert.equal((await good.exited).code, 0);
});
