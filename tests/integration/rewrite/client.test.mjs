// SPDX-License-Identifier: Apache-2.0
//
// Our SMTP client against servers that others wrote (smtp-sink, Postfix) and against a relay with faults.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';

import { Postfix, hasPostfix } from '../../support/postfix.mjs';
import { World, waitFor, Smtp } from '../../support/harness.mjs';
import { Relay, smtpSend } from './kit.mjs';

const MAIL = 'Subject: x\r\nFrom: a@example.jp\r\nDate: Tue, 25 Nov 2025 10:15:00 +0000\r\nMessage-ID: <1@example.jp>\r\n.odd: header\r\n\r\n.\r\n..\r\n\u3042\r\n';
const SINK = '/usr/sbin/smtp-sink';

async function relay(t, options) {
  const r = await Relay.start(options);
  t.after(() => r.stop());
  return r;
}

test('against a slow relay: nothing is lost while the waits allow it', async (t) => {
  const r = await relay(t, { slow: { GREETING: 300, MAIL: 300, RCPT: 100, DATA: 300, END: 500, BYTE: 2 } });
  const [result] = await smtpSend(r.port, { to: ['b@y', 'c@y'], mail: MAIL });
  assert.deepEqual(result.recipients.map((x) => x.code), [250, 250]);
  assert.equal(r.mails[0].content.toString(), MAIL);
});

test('every stage that hangs ends by its wait, and only the last is an unknown outcome', async (t) => {
  // The waits of the RFC are minutes; those here leave a busy relay the time for the stages that do not hang.
  await Promise.all(['greeting', 'ehlo', 'mail', 'rcpt', 'data', 'end'].map(async (stage) => {
    const r = await relay(t, { [stage]: 'HANG' });
    const started = Date.now();
    const [result] = await smtpSend(r.port, { options: ['-t', '15000'], to: ['b@y'], mail: MAIL });
    assert.equal(result.status, 'network', stage);
    assert.equal(result.unknown, stage === 'end', stage);
    assert.match(result.error, /not answer in time/, stage);
    assert.ok(Date.now() - started < 120000, `${stage}: ${Date.now() - started} ms`);
  }));
});

test('a relay that stops reading ends by the wait for a block', async (t) => {
  const r = await relay(t, { stall: true });
  const [result] = await smtpSend(r.port, { options: ['-t', '3000'], to: ['b@y'],
    mail: Buffer.concat([Buffer.from('Subject: x\r\n\r\n'), Buffer.from(`${'x'.repeat(70)}\r\n`.repeat(400000))]) });
  assert.equal(result.status, 'network');
  assert.equal(result.unknown, false);
});

test('a relay that drops: every stage is an error, and only the last is an unknown outcome', async (t) => {
  for (const stage of ['greeting', 'ehlo', 'mail', 'rcpt', 'data', 'end']) {
    const r = await relay(t, { [stage]: 'DROP' });
    const [result] = await smtpSend(r.port, { to: ['b@y'], mail: MAIL });
    assert.equal(result.status, 'network', stage);
    assert.equal(result.unknown, stage === 'end', stage);
    assert.equal(r.mails.length, stage === 'end' ? 1 : 0, stage);
  }
});

test('a connection that the relay closed meanwhile is made anew, and each mail arrives once', async (t) => {
  const r = await relay(t, { closeAfter: 2 });
  const results = await smtpSend(r.port, { options: ['-n', '5', '-p', '100'], to: ['b@y'], mail: MAIL });
  assert.deepEqual(results.map((x) => x.recipients[0].code), [250, 250, 250, 250, 250]);
  assert.equal(r.mails.length, 5);
  assert.equal(r.connections, 3);
  assert.deepEqual(r.violations, []);
});

test('2,000 recipients, each with its own answer', async (t) => {
  const r = await relay(t, { rcpt: (a, p, n) => (n % 3 === 1 ? `550 5.1.1 <${a}> ${'unknown '.repeat(20)}` : null) });
  const to = Array.from({ length: 2000 }, (_, i) => `r${i}@example.com`);
  const [result] = await smtpSend(r.port, { to, mail: MAIL });
  assert.deepEqual(result.recipients.map((x) => x.code), to.map((_, i) => (i % 3 === 1 ? 550 : 250)));
  assert.equal(r.mails[0].rcpts.length + r.mails[0].refused.length, 2000);
});

test('bytes of all kinds arrive as they are', async (t) => {
  const r = await relay(t, {});
  for (let i = 0; i < 30; i++) {
    // Lines of random bytes without CR, LF and NUL; many begin with a dot.
    const lines = Array.from({ length: 200 }, () => {
      const bytes = randomBytes(Math.floor(Math.random() * 200)).filter((b) => b !== 13 && b !== 10 && b !== 0);
      return Buffer.concat([Buffer.from(Math.random() < 0.3 ? '.'.repeat(1 + Math.floor(Math.random() * 3)) : ''), bytes, Buffer.from('\r\n')]);
    });
    const mail = Buffer.concat(lines);
    const [result] = await smtpSend(r.port, { to: ['b@y'], mail });
    assert.equal(result.recipients[0].code, 250);
    assert.ok(r.mails[i].content.equals(mail), `mail ${i}`);
  }
  assert.deepEqual(r.violations, []);
});

test('smtp-sink takes the same bytes', { skip: !fs.existsSync(SINK) && 'smtp-sink is not installed' }, async (t) => {
  const world = await World.create(t);
  const dump = path.join(world.dir, 'dump');
  fs.chmodSync(world.dir, 0o755);
  world.spawn(SINK, ['-u', 'root', '-D', dump, `127.0.0.1:${world.ports.relay}`, '100']);
  await waitFor(async () => { (await Smtp.connect(world.ports.relay)).close(); return true; }, { what: 'smtp-sink' });
  const results = await smtpSend(world.ports.relay, { options: ['-8', '-n', '3'], to: ['b@y', 'c@y'], mail: MAIL });
  for (const result of results) assert.deepEqual(result.recipients.map((x) => x.code), [250, 250]);
  const text = await waitFor(() => {
    const all = fs.existsSync(dump) ? fs.readFileSync(dump).toString() : '';
    return all.split('.odd: header').length === 4 ? all : null;
  }, { what: 'the dump' });
  assert.ok(text.includes(MAIL.replaceAll('\r\n', '\n')), text.slice(0, 1000));
});

test('Postfix takes and delivers the same bytes, and refuses one by one', { skip: !hasPostfix() && 'needs Postfix and root' },
  async (t) => {
    const access = 'inline:{{no@example.com = 550 5.1.1 unknown}, {later@example.com = 450 4.2.0 later}}';
    const postfix = await Postfix.start(t, { main: {
      smtpd_recipient_restrictions: `check_recipient_access ${access}, permit_mynetworks, reject` } });
    const [result] = await smtpSend(postfix.back, { options: ['-8', '-R', 'HDRS', '-E', 'QQ1'], mail: MAIL,
      to: ['b@example.com,NEVER', 'no@example.com', 'later@example.com', 'c@example.com,SUCCESS,rfc822;c@old'] });
    assert.deepEqual(result.recipients.map((x) => x.code), [250, 550, 450, 250], JSON.stringify(result));
    assert.equal(result.dsn, true);
    await waitFor(() => postfix.delivered('b@example.com').length > 0 && postfix.delivered('c@example.com').length > 0 &&
      postfix.delivered('a@example.jp').length > 0, { what: 'two copies, and the success report that c asked for' });
    for (const { raw } of [...postfix.delivered('b@example.com'), ...postfix.delivered('c@example.com')]) {
      const text = raw.toString();
      assert.equal(text.slice(text.indexOf('Subject: x')), MAIL.replaceAll('\r\n', '\n'));
    }
    const reports = postfix.delivered('a@example.jp');
    assert.equal(reports.length, 1);
    assert.match(reports[0].raw.toString(), /Original-Recipient: rfc822;\s?c@old/);
  });
