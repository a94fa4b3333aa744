// SPDX-License-Identifier: Apache-2.0
// fumibako-ingest as its peers see it: SMTP, LMTP, STARTTLS, limits, many sessions at once.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import test from 'node:test';
import { Smtp, World, sleep, waitFor } from '../../support/harness.mjs';

const STREAM = 'fb:{s0}:render';
const jobs = async (redis) => (await redis.command('XLEN', STREAM)) + (await redis.command('XLEN', `${STREAM}:bulk`));

async function setUp(t, overrides = {}, options = {}) {
  const world = await World.create(t);
  const redis = await world.startRedis();
  const ingest = await world.start('ingest', overrides, options);
  return { world, redis, ingest };
}

function makeCertificate(dir) {
  const cert = path.join(dir, 'cert.pem');
  const key = path.join(dir, 'key.pem');
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=mx.example',
    '-keyout', key, '-out', cert], { stdio: 'ignore' });
  return { tls_cert_file: cert, tls_key_file: key };
}

test('a mail is answered with its id and enqueued', async (t) => {
  const { world, redis, ingest } = await setUp(t);
  const smtp = await Smtp.connect(world.ports.smtp);
  assert.equal(smtp.greeting.code, 220);
  const reply = await smtp.send();
  assert.equal(reply.code, 250);
  assert.match(reply.id, /^[0-9A-HJKMNP-TV-Z]{26}$/);
  await waitFor(async () => (await redis.command('XLEN', STREAM)) === 1, { what: 'the render job' });
  assert.equal(await redis.command('HEXISTS', `fb:{s0}:m:${reply.id}`, 'queued'), 1);
  assert.equal(await ingest.metric('fumibako_messages_accepted_total'), 1);
  assert.equal(await ingest.metric('fumibako_accept_seconds_count'), 1);
  assert.equal((await smtp.cmd('QUIT')).code, 221);
  assert.ok(await smtp.closed());
});

test('Postfix-like pipelining: all commands at once, dot and QUIT together', async (t) => {
  const { world } = await setUp(t);
  const smtp = await Smtp.connect(world.ports.smtp);
  assert.equal((await smtp.cmd('EHLO x')).code, 250);
  smtp.write('MAIL FROM:<a@example.jp>\r\nRCPT TO:<b@example.com>\r\nRCPT TO:<c@example.com>\r\nDATA\r\n');
  for (const code of [250, 250, 250, 354]) assert.equal((await smtp.read()).code, code);
  smtp.write('S: x\r\n\r\nhi\r\n.\r\nQUIT\r\n');
  assert.equal((await smtp.read()).code, 250);
  assert.equal((await smtp.read()).code, 221);
  assert.ok(await smtp.closed());
});

test('content before the 354 is refused, and so is a bare LF', async (t) => {
  const { world, ingest } = await setUp(t);
  const early = await Smtp.connect(world.ports.smtp);
  await early.cmd('EHLO x');
  early.write('MAIL FROM:<a@example.jp>\r\nRCPT TO:<b@example.com>\r\nDATA\r\nx\r\n.\r\n');
  assert.equal((await early.read()).code, 250);
  assert.equal((await early.read()).code, 250);
  assert.equal((await early.read()).code, 503);
  assert.ok(await early.closed());
  // Everything that some server somewhere takes for the end of the content, and is not: each is one refused mail.
  for (const trick of ['\n.\n', '\n.\r\n', '\r\n.\n', '\r\n.\r\r\n', '\r.\r', '\r.\r\n', '\n.\r', '\r\n.\r', '\r.\n',
    '\0.\0', '\r\n.\0\r\n', '\r\n\0.\r\n', '\r\n.\r\0\n', '\n\n.\r\n', '\r\r\n.\r\n']) {
    const smtp = await Smtp.connect(world.ports.smtp);
    await smtp.cmd('EHLO x');
    await smtp.cmd('MAIL FROM:<a@example.jp>');
    await smtp.cmd('RCPT TO:<b@example.com>');
    await smtp.cmd('DATA');
    smtp.write(`x${trick}MAIL FROM:<evil@example.org>\r\nRCPT TO:<b@example.com>\r\nDATA\r\nevil\r\n.\r\n`);
    const reply = await smtp.read();
    assert.equal(reply.code, 550, JSON.stringify(trick));
    assert.equal(reply.enhanced, '5.6.11');
    assert.ok(await smtp.closed(), JSON.stringify(trick));
  }
  assert.equal(await ingest.metric('fumibako_messages_accepted_total') ?? 0, 0);
});

test('BDAT, large and small, and a mail of many megabytes', async (t) => {
  const { world, redis } = await setUp(t);
  const smtp = await Smtp.connect(world.ports.smtp, { timeout: 60000 });
  await smtp.cmd('EHLO x');
  smtp.write('MAIL FROM:<a@example.jp>\r\nRCPT TO:<b@example.com>\r\nBDAT 6\r\nS: x\r\nBDAT 4 LAST\r\n\r\n.\r');
  assert.equal((await smtp.read()).code, 250);
  assert.equal((await smtp.read()).code, 250);
  assert.equal((await smtp.read()).code, 250);
  assert.equal((await smtp.read()).code, 550); // "\r" at the end is bare
  assert.equal((await smtp.cmd('NOOP')).code, 250); // in step
  const big = `S: big\r\n\r\n${`${'x'.repeat(76)}\r\n`.repeat(120000)}`;
  const reply = await smtp.send({ content: big, helo: '' });
  assert.equal(reply.code, 250);
  smtp.write('MAIL FROM:<a@example.jp>\r\nRCPT TO:<b@example.com>\r\n');
  await smtp.read();
  await smtp.read();
  smtp.write(`BDAT ${big.length} LAST\r\n${big}`);
  assert.equal((await smtp.read()).code, 250);
  await waitFor(async () => (await redis.command('XLEN', STREAM)) === 2, { what: 'both jobs' });
});

test('size limit: refused at MAIL by SIZE=, and at the end without it', async (t) => {
  const { world } = await setUp(t, { ingest: { max_message: '65536' } });
  const smtp = await Smtp.connect(world.ports.smtp);
  assert.match((await smtp.cmd('EHLO x')).text, /SIZE 65536/);
  assert.equal((await smtp.cmd('MAIL FROM:<a@example.jp> SIZE=65537')).code, 552);
  const line = `${'x'.repeat(62)}\r\n`;
  assert.equal((await smtp.send({ content: line.repeat(1024), helo: '' })).code, 250);
  const reply = await smtp.send({ content: `${line.repeat(1024)}\r\n`, helo: '' });
  assert.equal(`${reply.code} ${reply.enhanced}`, '552 5.3.4');
});

test('LMTP answers once per recipient', async (t) => {
  const { world } = await setUp(t);
  const lmtp = await Smtp.connect(world.ports.lmtp);
  assert.equal((await lmtp.cmd('EHLO x')).code, 500);
  assert.equal((await lmtp.cmd('LHLO x')).code, 250);
  const first = await lmtp.send({ to: ['b@example.com', 'c@example.com'], helo: '' });
  const second = await lmtp.read();
  assert.equal(first.code, 250);
  assert.equal(second.id, first.id);
});

test('STARTTLS: mail goes through, TLS 1.1 and injected commands do not', async (t) => {
  const world = await World.create(t);
  await world.startRedis();
  await world.start('ingest', { ingest: makeCertificate(world.dir) });
  const smtp = await Smtp.connect(world.ports.smtp);
  assert.match((await smtp.cmd('EHLO x')).text, /STARTTLS/);
  await smtp.starttls();
  assert.match(smtp.socket.getProtocol(), /TLSv1\.[23]/);
  assert.equal((await smtp.cmd('MAIL FROM:<a@example.jp>')).code, 503); // all is forgotten
  assert.doesNotMatch((await smtp.cmd('EHLO x')).text, /STARTTLS/);
  const content = `S: x\r\n\r\n${`${'y'.repeat(70)}\r\n`.repeat(30000)}`;
  assert.equal((await smtp.send({ content, helo: '' })).code, 250);
  smtp.write('MAIL FROM:<a@example.jp>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n');
  for (const code of [250, 250, 354]) assert.equal((await smtp.read()).code, code);
  smtp.write('x\r\n.\r\nQUIT\r\n');
  assert.equal((await smtp.read()).code, 250);
  assert.equal((await smtp.read()).code, 221);
  assert.ok(await smtp.closed());

  const inject = await Smtp.connect(world.ports.smtp);
  await inject.cmd('EHLO x');
  inject.write('STARTTLS\r\nEHLO evil\r\nMAIL FROM:<evil@example.org>\r\n');
  assert.equal((await inject.read()).code, 220);
  await sleep(50);
  inject.socket.removeAllListeners('data');
  const { default: tls } = await import('node:tls');
  const secure = tls.connect({ socket: inject.socket, rejectUnauthorized: false });
  await once(secure, 'secureConnect');
  const after = new Smtp(secure, 60000);
  assert.equal((await after.cmd('RCPT TO:<b@example.com>')).code, 503);

  const old = await Smtp.connect(world.ports.smtp);
  await old.cmd('EHLO x');
  await assert.rejects(old.starttls({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1' }));
});

test('networks, connection limits and errors', async (t) => {
  const { world } = await setUp(t, { ingest: { allow: ['127.0.0.1/32', '127.0.0.2/32'], max_connections: 4,
    max_connections_per_client: 3, xforward: ['127.0.0.2/32'] } });
  const stranger = await Smtp.connect(world.ports.smtp, { localAddress: '127.0.0.3' });
  assert.equal(`${stranger.greeting.code} ${stranger.greeting.enhanced}`, '554 5.7.1');
  assert.ok(await stranger.closed());
  const open = [];
  for (let i = 0; i < 3; i++) open.push(await Smtp.connect(world.ports.smtp));
  const fourth = await Smtp.connect(world.ports.smtp);
  assert.equal(`${fourth.greeting.code} ${fourth.greeting.enhanced}`, '421 4.7.0');
  assert.ok(await fourth.closed());
  open.push(await Smtp.connect(world.ports.smtp, { localAddress: '127.0.0.2' }));
  assert.equal(open[3].greeting.code, 220);
  const fifth = await Smtp.connect(world.ports.smtp, { localAddress: '127.0.0.2' });
  assert.equal(`${fifth.greeting.code} ${fifth.greeting.enhanced}`, '421 4.3.2');
  assert.doesNotMatch((await open[0].cmd('EHLO x')).text, /XFORWARD/);
  assert.equal((await open[0].cmd('XFORWARD NAME=x')).code, 550);
  assert.match((await open[3].cmd('EHLO x')).text, /XFORWARD/);
  assert.equal((await open[3].cmd('XFORWARD NAME=x')).code, 250);
  for (let i = 0; i < 19; i++) assert.equal((await open[0].cmd('BAD')).code, 500);
  assert.equal((await open[0].cmd('BAD')).code, 421);
  assert.ok(await open[0].closed());
  await waitFor(async () => {
    const again = await Smtp.connect(world.ports.smtp);
    again.close();
    return again.greeting.code === 220;
  }, { what: 'a place to be free again' });
});

test('a client that says nothing is sent away; octets without a line do not count', async (t) => {
  const { world } = await setUp(t, { ingest: { command_timeout: '2s' } });
  const smtp = await Smtp.connect(world.ports.smtp);
  const begun = Date.now();
  const drip = setInterval(() => smtp.write('x'), 200);
  t.after(() => clearInterval(drip));
  const reply = await smtp.read();
  assert.equal(`${reply.code} ${reply.enhanced}`, '421 4.4.2');
  assert.ok(Date.now() - begun < 50000, 'as long as it drips, were it not for the limit');
});

test('500 sessions at once', async (t) => {
  const { world, redis, ingest } = await setUp(t);
  const sessions = await Promise.all(Array.from({ length: 500 }, () => Smtp.connect(world.ports.smtp,
    { timeout: 60000 })));
  const replies = await Promise.all(sessions.map((s) => s.send()));
  assert.deepEqual([...new Set(replies.map((r) => r.code))], [250]);
  assert.equal(new Set(replies.map((r) => r.id)).size, 500);
  await waitFor(async () => (await jobs(redis)) === 500, { what: '500 jobs' });
  assert.equal(await ingest.metric('fumibako_messages_accepted_total'), 500);
  for (const s of sessions) s.close();
});

test('a peer that vanishes in the middle of DATA leaves nothing behind', async (t) => {
  const { world, ingest } = await setUp(t);
  const smtp = await Smtp.connect(world.ports.smtp);
  await smtp.cmd('EHLO x');
  await smtp.cmd('MAIL FROM:<a@example.jp>');
  await smtp.cmd('RCPT TO:<b@example.com>');
  await smtp.cmd('DATA');
  smtp.write(`x\r\n${'y'.repeat(100000)}`);
  await waitFor(async () => (await ingest.metric('fumibako_sessions')) === 1, { what: 'the session to be counted' }); // once a second
  await sleep(100);
  smtp.close();
  await waitFor(async () => (await ingest.metric('fumibako_sessions')) === 0, { what: 'the session to end' });
  assert.equal(await ingest.metric('fumibako_messages_accepted_total') ?? 0, 0);
  assert.deepEqual(fs.readdirSync(path.join(world.spoolDir, 'large')), []);
});

test('peers that vanish while their mail is being committed: their 250 reaches nobody else', async (t) => {
  // Who has vanished counts until his mail is committed: a slow disk must not make those who stay too many.
  const { world, redis, ingest } = await setUp(t, { ingest: { max_connections: 10000 } });
  let isOver = false;
  let sent = 0;
  const vanish = async () => {
    while (!isOver) {
      const smtp = await Smtp.connect(world.ports.smtp);
      await smtp.cmd('EHLO x');
      smtp.write('MAIL FROM:<a@example.jp>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n');
      for (let i = 0; i < 3; i++) await smtp.read();
      smtp.write('S: x\r\n\r\nx\r\n.\r\n');
      await new Promise((resolve) => { setImmediate(resolve); });
      smtp.socket.resetAndDestroy?.() ?? smtp.close();
      sent++;
    }
  };
  const stay = async () => {
    while (!isOver) {
      const smtp = await Smtp.connect(world.ports.smtp);
      assert.equal(smtp.greeting.code, 220);
      assert.equal((await smtp.cmd('NOOP')).text, '2.0.0 ok');
      await sleep(3);
      assert.equal((await smtp.cmd('VRFY x')).code, 252);
      assert.equal((await smtp.cmd('QUIT')).code, 221);
      smtp.close();
    }
  };
  const work = [...Array.from({ length: 10 }, vanish), ...Array.from({ length: 10 }, stay)];
  await sleep(1500);
  await waitFor(() => sent > 50, { what: 'fifty of them' });
  isOver = true;
  await Promise.all(work);
  assert.ok(ingest.isRunning);
  const accepted = await ingest.metric('fumibako_messages_accepted_total');
  await waitFor(async () => (await jobs(redis)) === await ingest.metric('fumibako_messages_accepted_total'),
    { what: 'a job for each of them' });
  assert.ok(accepted > 0);
});

test('replies that nobody reads do not fill the memory', async (t) => {
  const { world, ingest } = await setUp(t);
  const socket = net.connect({ port: world.ports.smtp, host: '127.0.0.1' });
  t.after(() => socket.destroy());
  await once(socket, 'connect');
  socket.pause();
  socket.on('error', () => {});
  let isBlocked = false;
  for (let i = 0; i < 4000 && !isBlocked; i++) {
    isBlocked = !socket.write('NOOP\r\n'.repeat(20000)) && socket.writableLength > 8 << 20;
    await sleep(2);
  }
  assert.ok(isBlocked, 'ingest must stop reading');
  const smtp = await Smtp.connect(world.ports.smtp); // and others are served
  assert.equal((await smtp.send()).code, 250);
  assert.ok(ingest.isRunning);
});
