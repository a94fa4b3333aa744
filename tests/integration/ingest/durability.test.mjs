// SPDX-License-Identifier: Apache-2.0
// What a 250 promises: the mail is in the spool, and is enqueued sooner or later, whatever dies in between.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import test from 'node:test';
import { Smtp, World, request, sleep, waitFor } from '../../support/harness.mjs';

const STREAM = 'fb:{s0}:render';
const jobs = async (redis) => (await redis.command('XLEN', STREAM)) + (await redis.command('XLEN', `${STREAM}:bulk`));
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

test('a failing fdatasync: 451, the next mail goes to a new segment, and only what was answered 250 exists', async (t) => {
  if (spawnSync('strace', ['-V']).status !== 0) {
    t.skip('strace is not installed');
    return;
  }
  const world = await World.create(t);
  const redis = await world.startRedis();
  const ingest = await world.start('ingest', {}, {
    wrap: ['strace', '-D', '-f', '-o', path.join(world.dir, 'trace'), '-e', 'trace=fdatasync', '-e', 'inject=fdatasync:error=EIO:when=3..4'],
    env: { ASAN_OPTIONS: 'detect_leaks=0' },
  });
  const smtp = await Smtp.connect(world.ports.smtp);
  const replies = [];
  for (let i = 0; i < 6; i++) replies.push(await smtp.send(i === 0 ? {} : { helo: '' }));
  assert.deepEqual(replies.map((r) => r.code), [250, 250, 451, 451, 250, 250]);
  assert.match(replies[2].enhanced, /^4\./);
  const ids = replies.filter((r) => r.code === 250).map((r) => r.id);
  await waitFor(async () => (await jobs(redis)) === 4, { what: '4 jobs' });
  smtp.close();
  await ingest.kill();
  await redis.command('FLUSHALL');
  await world.start('ingest');
  await waitFor(async () => (await jobs(redis)) === 4, { what: '4 jobs out of the spool' });
  for (const id of ids) assert.ok(await known(redis, id));
  assert.ok(ingest.log.some((l) => l.level === 'error' && /could not be stored/.test(JSON.stringify(l))));
});

test('Redis down for long: 250 up to the mark, then 452, and all of it is enqueued afterwards', async (t) => {
  const world = await World.create(t);
  const redis = await world.startRedis();
  await redis.stop();
  const ingest = await world.start('ingest', { ingest: { spool_max: '2MiB' } });
  const smtp = await Smtp.connect(world.ports.smtp, { timeout: 30000 }); // near the mark answers take their time
  const ids = [];
  let last = null;
  for (let i = 0; i < 4000 && (last === null || last.code === 250); i++) {
    last = await smtp.send({ content: `S: x\r\n\r\n${`${'x'.repeat(78)}\r\n`.repeat(800)}`, ...(i === 0 ? {} : { helo: '' }) });
    if (last.code === 250) ids.push(last.id);
    await sleep(2);
  }
  assert.equal(`${last.code} ${last.enhanced}`, '452 4.3.1');
  assert.ok(ids.length > 10, `only ${ids.length} mails`); // how many fit, the size of their groups decides
  await waitFor(async () => (await request(`http://127.0.0.1:${ingest.metricsPort}/readyz`)).status === 503, { what: 'not to be ready' });
  await ingest.says(/Redis is away/);
  assert.equal(ingest.log.filter((l) => /Redis is away/.test(JSON.stringify(l))).length, 1); // said once
  await redis.start();
  await waitFor(async () => (await jobs(redis)) === ids.length, { what: `${ids.length} jobs` });
  for (const id of ids) assert.ok(await known(redis, id));
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
  // the session and the spool go on, at the latest when the disk was measured again
  await waitFor(async () => (await smtp.send({ helo: '' })).code === 250, { interval: 250, what: 'mail to be taken again' });
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
    { what: 'not to be ready' });
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
    const before = ids.length;
    await waitFor(() => ids.length > before + 20, { what: 'some mails' });
    await ingest.kill();
    await Promise.allSettled(work);
  }
  await world.start('ingest');
  // There are more than those that were answered: so each of them is asked for.
  for (const id of ids) await waitFor(() => known(redis, id), { what: `${id}, which was answered 250` });
});

test('what stands in the way of the start is said in one line, with exit 78 (or 1, when it is not the configuration)', async (t) => {
  const world = await World.create(t);
  await world.startRedis();
  const makeCert = (name, ...args) => {
    const file = (kind) => path.join(world.dir, `${name}.${kind}`);
    const made = spawnSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=mx.example',
      '-keyout', file('key'), '-out', file('pem'), ...args]);
    assert.equal(made.status, 0, made.stderr?.toString());
    return { tls_cert_file: file('pem'), tls_key_file: file('key') };
  };
  const good = makeCert('good', '-days', '2');
  const other = makeCert('other', '-days', '2');
  const csr = path.join(world.dir, 'old.csr');
  const old = { tls_cert_file: path.join(world.dir, 'old.pem'), tls_key_file: good.tls_key_file };
  assert.equal(spawnSync('openssl', ['req', '-new', '-key', good.tls_key_file, '-subj', '/CN=mx.example', '-out', csr]).status, 0);
  assert.equal(spawnSync('openssl', ['x509', '-req', '-in', csr, '-signkey', good.tls_key_file, '-days', '-1',
    '-out', old.tls_cert_file]).status, 0);
  fs.writeFileSync(path.join(world.dir, 'broken.pem'), '-----BEGIN CERTIFICATE-----\nbroken\n-----END CERTIFICATE-----\n');
  const taken = net.createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  t.after(() => taken.close());
  const address = `127.0.0.1:${taken.address().port}`;
  const openKey = path.join(world.dir, 'open.key');
  fs.copyFileSync(world.keyFile, openKey);
  fs.chmodSync(openKey, 0o644);
  fs.writeFileSync(path.join(world.dir, 'bad.key'), 'k1:AAAA\n', { mode: 0o600 });
  for (const [overrides, pattern, code = 78] of [
    [{ ingest: old }, /ingest\.tls_cert_file: .*old\.pem: the certificate expired at \d{4}-.*renew/],
    [{ ingest: { ...good, tls_cert_file: path.join(world.dir, 'broken.pem') } }, /ingest\.tls_cert_file: .*broken\.pem/],
    [{ ingest: { ...good, tls_key_file: other.tls_key_file } }, /ingest\.tls_key_file: .*other\.key: .*mismatch/],
    [{ ingest: { smtp: address } }, /ingest\.smtp: listen on .*[Aa]ddress already in use/],
    [{ ingest: { lmtp: address } }, /ingest\.lmtp: listen on .*[Aa]ddress already in use/],
    [{ ingest: { http: address } }, /ingest\.http: listen on .*[Aa]ddress already in use/],
    [{ spool: { key_file: path.join(world.dir, 'none.key') } }, /none\.key.*No such file/],
    [{ spool: { key_file: openKey } }, /open\.key can be read or changed by others.*chmod 600/],
    [{ spool: { key_file: path.join(world.dir, 'bad.key') } }, /bad\.key: line 1: .*32 bytes/],
    [{ spool: { url: `file://${world.keyFile}/x` } }, /open spool: .*Not a directory/, 1],
  ]) {
    const service = await world.start('ingest', overrides, { ready: false });
    assert.deepEqual(await service.exited, { code, signal: null }, service.output);
    const bad = service.output.split('\n').filter((l) => /"level":"(error|fatal)"/.test(l) || !l.startsWith('{')).filter(Boolean);
    assert.equal(bad.length, 1, service.output);
    assert.match(bad[0], pattern);
  }
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
