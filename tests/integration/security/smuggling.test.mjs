// SPDX-License-Identifier: Apache-2.0
// SMTP smuggling (CVE-2023-51764 Postfix, -51765 Sendmail, -51766 Exim, and what was found after them: CVE-2024-27305,
// several CRs before an LF, NUL, VU#302671).  Inwards: whatever comes, ingest takes it for the one mail that it is, or
// refuses it as a whole, and never runs a command that stands in it.  Outwards: what rewrite sends has one end for the
// most tolerant of relays.  Beside them: STARTTLS injection (CVE-2011-0411), BDAT, XFORWARD.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import test from 'node:test';
import tls from 'node:tls';
import { once } from 'node:events';
import { Smtp, World, request, waitFor } from '../../support/harness.mjs';
import { hasPostfix } from '../../support/postfix.mjs';
import { Stack } from '../../e2e/stack.mjs';
import { handIn, startStack } from './kit.mjs';

const SMUGGLED = 'MAIL FROM:<evil@example.org>\r\nRCPT TO:<victim@example.com>\r\nDATA\r\nSubject: smuggled\r\n\r\nevil\r\n.\r\n';
// What some server somewhere takes for the end of a line.
const ENDS = ['\r\n', '\n', '\r', '\r\r\n', '\r\r\r\n', '\n\r', '\0\r\n', '\r\n\0', '\r\0\n', '\r\n\r', '\x0b', '\x0c', '\x85', '\x1a', ' \r\n', '\t\n'];
const VARIANTS = ENDS.flatMap((a) => ENDS.map((b) => `${a}.${b}`)).concat(
  '\r\n..\r\n', '\r\n.\0\r\n', '\r\n.\r\0\n', '\r\n\0.\r\n', '\0.\0', '\n\n.\r\n', '\r\n. \r\n', '\r\n.\r\n'.replace('.', '\xff.'), '\r\n.\r', '\n.')
  .filter((v) => !v.includes('\r\n.\r\n')); // that one is the end
const isBad = (text) => /\0|\r(?!\n)|(?<!\r)\n/.test(text);

async function inDialogue(port, options) {
  const smtp = await Smtp.connect(port, options);
  await smtp.cmd('EHLO x');
  return smtp;
}

async function begin(smtp) {
  assert.equal((await smtp.cmd('MAIL FROM:<a@example.jp>')).code, 250);
  assert.equal((await smtp.cmd('RCPT TO:<b@example.com>')).code, 250);
}

test('inwards: every known end of data but the right one is content; nothing behind it is a command', async (t) => {
  const world = await World.create(t);
  const redis = await world.startRedis();
  const ingest = await world.start('ingest');
  const { smtp: port } = world.ports;
  let taken = 0;
  const one = async (variant, pieces) => {
    const smtp = await inDialogue(port);
    await begin(smtp);
    assert.equal((await smtp.cmd('DATA')).code, 354);
    const bytes = Buffer.from(`Subject: outer\r\n\r\nx${variant}${SMUGGLED}`, 'latin1');
    for (const piece of pieces(bytes)) {
      smtp.write(piece);
      if (piece.length < bytes.length) await new Promise(setImmediate);
    }
    const reply = await smtp.read();
    const name = JSON.stringify(variant);
    if (isBad(variant)) {
      assert.equal(`${reply.code} ${reply.enhanced}`, '550 5.6.11', name);
      assert.ok(await smtp.closed(), `${name}: nothing more is read`);
    } else {
      assert.equal(reply.code, 250, name);
      taken++;
      assert.equal((await smtp.cmd('NOOP')).code, 250, `${name}: in step`);
      smtp.close();
    }
  };
  const whole = (bytes) => [bytes];
  const byOne = (bytes) => Array.from(bytes, (_, i) => bytes.subarray(i, i + 1));
  const work = VARIANTS.map((v) => () => one(v, whole));
  // Split over segments at each place around the variant, and octet by octet.
  for (const v of ['\n.\r\n', '\r\n.\n', '\r.\r\n', '\r\n.\r\r\n', '\r\r\n.\r\n', '\n.\n', '\r\n\0.\r\n']) {
    for (let at = 16; at < 20 + v.length; at++) work.push(() => one(v, (bytes) => [bytes.subarray(0, at), bytes.subarray(at)]));
    work.push(() => one(v, byOne));
  }
  let next = 0;
  await Promise.all(Array.from({ length: 16 }, async () => { while (next < work.length) await work[next++](); }));
  assert.ok(work.length > 250, `${work.length} dialogues`);
  const jobs = async () => (await redis.command('XLEN', 'fb:{s0}:render')) + (await redis.command('XLEN', 'fb:{s0}:render:bulk'));
  await waitFor(async () => (await jobs()) === taken, { what: 'one job for each mail taken' });
  assert.equal(await ingest.metric('fumibako_messages_accepted_total'), taken);
});

test('inwards: BDAT counts octets and nothing else; DATA does not mix with it; BINARYMIME and endless lines are refused', async (t) => {
  const world = await World.create(t);
  await world.startRedis();
  const ingest = await world.start('ingest');
  const smtp = await inDialogue(world.ports.smtp);
  const chunk = `Subject: x\r\n\r\nbody\r\n.\r\n${SMUGGLED}`;
  await begin(smtp);
  smtp.write(`BDAT ${chunk.length} LAST\r\n${chunk}NOOP\r\n`); // all of it is content, the NOOP a command
  assert.equal((await smtp.read()).code, 250);
  assert.equal((await smtp.read()).code, 250);
  await begin(smtp);
  smtp.write('BDAT 8\r\nS: x\r\n\r\n');
  assert.equal((await smtp.read()).code, 250);
  assert.equal((await smtp.cmd('DATA')).code, 503, 'RFC 3030 3');
  await smtp.cmd('RSET');
  await begin(smtp);
  smtp.write('BDAT 3\r\nx\r\n'); // a CRLF cut in two by the chunks is one
  await smtp.read();
  smtp.write('BDAT 2\r\ny\r');
  await smtp.read();
  smtp.write('BDAT 1 LAST\r\n\n');
  assert.equal((await smtp.read()).code, 250);
  for (const bare of ['x\n.\r\n', 'x\r.\r\n', 'x\0\r\n']) {
    await begin(smtp);
    smtp.write(`BDAT ${bare.length} LAST\r\n${bare}`);
    assert.equal((await smtp.read()).enhanced, '5.6.11', JSON.stringify(bare));
  }
  for (const line of ['BDAT', 'BDAT -1', 'BDAT 1x', 'BDAT 0x10 LAST', 'BDAT 99999999999999999999 LAST', 'BDAT 5 LAST LAST']) {
    const other = await inDialogue(world.ports.smtp);
    await begin(other);
    assert.match(String((await other.cmd(line)).code), /^5/, line);
    other.close();
  }
  assert.equal((await smtp.cmd('MAIL FROM:<a@example.jp> BODY=BINARYMIME')).code, 504);
  smtp.close();
  const long = await inDialogue(world.ports.smtp);
  assert.equal((await long.send({ content: `Subject: x\r\n\r\n${'x'.repeat((1 << 20) + 1)}\r\n`, helo: '' })).code, 550);
  const endless = await inDialogue(world.ports.smtp);
  endless.write(`${'N'.repeat(1 << 20)}\r\n`); // a command of a megabyte is one bad command
  assert.equal((await endless.read()).code, 500);
  assert.equal((await endless.cmd('NOOP')).code, 250);
  assert.equal(await ingest.metric('fumibako_messages_accepted_total'), 2);
});

test('inwards: what comes before or with STARTTLS in plain text is not taken for encrypted; XFORWARD counts from its peers only', async (t) => {
  const world = await World.create(t);
  const [cert, key] = ['cert.pem', 'key.pem'].map((f) => path.join(world.dir, f));
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=mx.example', '-keyout', key,
    '-out', cert], { stdio: 'ignore' });
  await world.startRedis();
  const ingest = await world.start('ingest', { ingest: { tls_cert_file: cert, tls_key_file: key, allow: ['127.0.0.0/8'], xforward: ['127.0.0.2/32'] } });
  for (const injected of ['EHLO evil\r\nMAIL FROM:<evil@example.org>\r\n', 'RSET\r\n', 'XFORWARD ADDR=192.0.2.1\r\n']) {
    const smtp = await inDialogue(world.ports.smtp);
    smtp.write(`STARTTLS\r\n${injected}`);
    assert.equal((await smtp.read()).code, 220);
    smtp.socket.removeAllListeners('data');
    const secure = tls.connect({ socket: smtp.socket, rejectUnauthorized: false });
    await once(secure, 'secureConnect');
    const inside = new Smtp(secure, 60000);
    const first = await inside.cmd('NOOP'); // its own answer, and none to what was injected
    assert.equal(first.code, 250);
    assert.equal((await inside.cmd('RCPT TO:<b@example.com>')).code, 503);
    assert.equal((await inside.cmd('EHLO y')).code, 250);
    assert.equal((await inside.cmd('STARTTLS')).code, 503);
    inside.close();
  }
  // A transaction begun before is forgotten (RFC 3207 4.2).
  const begun = await inDialogue(world.ports.smtp);
  assert.equal((await begun.cmd('MAIL FROM:<a@example.jp>')).code, 250);
  if ((await begun.starttls()).code === 220) {
    await begun.cmd('EHLO y');
    assert.equal((await begun.cmd('RCPT TO:<b@example.com>')).code, 503);
  }
  begun.close();

  const stranger = await inDialogue(world.ports.smtp, { localAddress: '127.0.0.3' });
  assert.match(String((await stranger.cmd('XFORWARD ADDR=192.0.2.1 NAME=trusted.example')).code), /^5/);
  assert.doesNotMatch((await stranger.cmd('EHLO x')).text, /XFORWARD/);
  stranger.close();
  const peer = await inDialogue(world.ports.smtp, { localAddress: '127.0.0.2' });
  assert.match((await peer.cmd('EHLO x')).text, /XFORWARD/);
  assert.equal((await peer.cmd('XFORWARD ADDR=192.0.2.1 NAME=mail.example.jp HELO=a+0D+0AX-Evil:1')).code, 250); // becomes a??X-Evil:1
  assert.equal((await peer.cmd('XFORWARD ADDR=192.0.2.1 NAME=a+0')).code, 501);
  peer.close();
  assert.equal(await ingest.metric('fumibako_messages_accepted_total') ?? 0, 0);
});

// The content that a tolerant relay would read: up to the first thing that looks like an end to somebody.
const TOLERANT = /(\r\n|\n|\r)\0?\.\0?(\r\n|\n|\r)/;
const RULES = { rules: [
  { name: 'within', when: { to: ['@pass.example'] }, action: 'pass' },
  { name: 'kept', when: { to: ['@kept.example'] }, action: 'secure', secure: { body: false, attachments: true }, storage: 'box', security: 'recipients only' },
  { name: 'all', action: 'secure', storage: 'box', security: 'recipients only' },
] };
const b64 = (text) => Buffer.from(text, 'latin1').toString('base64').replace(/.{76}/g, '$&\r\n');
const dotted = ['.', '..', '.x', '...', '. ', '.\t', 'x.', '.MAIL FROM:<evil@example.org>', 'QUIT', 'RSET', ''].join('\r\n');
const hidden = `first\n.\r\n${SMUGGLED}second\r.\r${SMUGGLED}third\r\n.\n${SMUGGLED}fourth\0\r\n.\r\n${SMUGGLED}`;
const mixed = (text, head = '') => `From: taro@example.jp\r\nTo: x@example.com\r\nSubject: dots\r\nMessage-ID: <dots@example.jp>\r\n${head}MIME-Version: 1.0\r\n`
  + `Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n${text}\r\n--b\r\n`
  + `Content-Type: application/octet-stream; name="a\r\n b.bin"\r\nContent-Transfer-Encoding: base64\r\n\r\n${b64(hidden)}\r\n--b--\r\n`;
const MAILS = [
  `From: taro@example.jp\r\nTo: x@example.com\r\nSubject: plain\r\n\r\n${dotted}\r\n`,
  `From: taro@example.jp\r\nTo: x@example.com\r\nSubject: no end of line\r\n\r\n.`,
  `.From: x\r\nSubject: a dot in the header\r\nFrom: taro@example.jp\r\n\r\n.\x2e\r\n`,
  mixed(`\r\n${dotted}`),
  mixed(`Content-Transfer-Encoding: base64\r\n\r\n${b64(hidden)}`),
  mixed(`Content-Transfer-Encoding: quoted-printable\r\n\r\nfirst=0A.=0D=0A${SMUGGLED.replace(/\r\n/g, '=0D=0A')}x=0D.=0Dy=\r\n.\r\nz=\r\n..\r\n`),
  mixed(`Content-Transfer-Encoding: 8bit\r\n\r\n${'.'.repeat(900)}\r\n.\xe3\x81\x82\r\n`),
];

/** What went over the wire between "354" and the final dot, for each mail. */
function assertOneEnd(relay) {
  assert.deepEqual(relay.violations, []);
  for (const m of relay.mails) {
    const wire = m.content.toString('latin1').replace(/(^|\r\n)\./g, '$1..'); // as stuffed by the RFC: what the relay undid
    assert.doesNotMatch(wire, TOLERANT, wire.slice(0, 200));
    assert.doesNotMatch(wire, /\0|\r(?!\n)|(?<!\r)\n/, 'bare CR, LF or NUL');
  }
  const raw = Buffer.concat(relay.transcript.map((p) => p.bytes)).toString('latin1');
  assert.doesNotMatch(raw, /\0|\r(?!\n)|(?<!\r)\n/, 'nothing bare in anything that was sent');
  assert.equal(relay.commands.filter((c) => /^MAIL FROM:<evil/i.test(c)).length, 0);
}

test('outwards: whatever dots and line ends a mail has, decoded or not, one mail leaves with one end', { timeout: 600000 }, async (t) => {
  const stack = await startStack(t, { policy: RULES, services: ['ingest', 'render', 'upload', 'rewrite'] });
  const to = ['a@pass.example', 'b@kept.example', 'c@secured.example'];
  for (const content of MAILS) assert.equal((await handIn(stack, Buffer.from(content, 'latin1'), { to })).code, 250);
  // HTTP takes LF for a line's end: it becomes CRLF, and is stuffed as such.
  const url = `http://127.0.0.1:${stack.world.ports.http}/v1/messages`;
  const headers = { authorization: `Bearer ${stack.world.token}`, 'content-type': 'message/rfc822', 'x-mail-from': 'taro@example.jp', 'x-rcpt-to': to };
  const lenient = await request(url, { method: 'POST', headers, body: `Subject: lf\nFrom: taro@example.jp\n\nx\n.\n${SMUGGLED.replace(/\r/g, '')}` });
  assert.equal(lenient.status, 202);
  await stack.settled();
  assert.deepEqual((await stack.messages()).map((m) => m.state), Array(MAILS.length + 1).fill('done'));
  const to1 = (address) => stack.relay.mails.filter((m) => m.rcpts.some((r) => r.address === address)).length;
  for (const address of to) assert.equal(to1(address), MAILS.length + 1, address);
  assert.equal(to1('victim@example.com'), 0);
  assertOneEnd(stack.relay);
  const plain = stack.relay.mails.find((m) => m.rcpts[0].address === 'a@pass.example' && /Subject: plain/.test(m.content.toString('latin1')));
  assert.ok(plain.content.toString('latin1').endsWith(MAILS[0].slice(MAILS[0].indexOf('\r\n\r\n'))), 'untouched is untouched');
});

test('outwards: a Postfix that takes any line end delivers as many mails as were handed in', {
  skip: !hasPostfix() && 'needs Postfix and root', timeout: 600000 }, async (t) => {
  const stack = await Stack.start(t, { policy: RULES, services: ['ingest', 'render', 'upload', 'rewrite'],
    main: { smtpd_forbid_bare_newline: 'no', smtpd_forbid_unauth_pipelining: 'no' } });
  for (const content of MAILS) {
    assert.equal((await handIn(stack, Buffer.from(content, 'latin1'), { to: ['a@pass.example', 'b@kept.example'] })).code, 250);
  }
  await stack.settled();
  assert.equal(stack.postfix.delivered('a@pass.example').length, MAILS.length);
  assert.equal(stack.postfix.delivered('b@kept.example').length, MAILS.length);
  assert.equal(stack.postfix.delivered('victim@example.com').length, 0);
  assert.deepEqual([...new Set(stack.postfix.all().map((m) => m.to))].sort(), ['a@pass.example', 'b@kept.example', 'taro@example.jp'], 'and receipts');
});
