// SPDX-License-Identifier: Apache-2.0
// Header injection: line ends, controls, tags and paths in every name that a mail brings (subject, display names, addresses,
// file names, Message-ID, DSN parameters, what XFORWARD and HTTP say) stay values in everything that is made of them:
// notices, untouched mail, kept bodies, receipts, delivery reports, folders and files in Box, the sender's page, logs.

import assert from 'node:assert/strict';
import test from 'node:test';
import { parseMail } from '../../support/relay.mjs';
import { Smtp, request } from '../../support/harness.mjs';
import { handIn, startStack } from './kit.mjs';

const EVIL = 'x\r\nBcc: victim@evil.example\r\nX-Evil: 1\r\n\r\n<script>alert(1)</script>\r\n.\r\nQUIT';
const word = (text) => `=?UTF-8?B?${Buffer.from(text).toString('base64')}?=`;
const q = (text) => `=?utf-8?Q?${[...Buffer.from(text)].map((c) => `=${c.toString(16).toUpperCase().padStart(2, '0')}`).join('')}?=`;
const NAMES = [EVIL, 'a\rb', 'a\nX-Evil: 1', '../../../etc/passwd', '..', '/etc/shadow', 'C:\\x\\..\\evil.txt', 'a\0.txt', 'gpj.\u202efdp.exe',
  '"; filename="x.exe', 'a\u0085b\u2028c\u2029d', '<img src=x onerror=alert(1)>.png', '%0d%0aX-Evil: 1', '\u001b[2Jescape', '=?utf-8?B?WA0KWC1FdmlsOiAx?='];
const part = (disposition) => `--b\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment; ${disposition}\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n`;
const parts = NAMES.map((n) => part(`filename*=UTF-8''${[...Buffer.from(n)].map((c) => `%${c.toString(16).padStart(2, '0')}`).join('')}`))
  .concat(NAMES.map((n) => part(`filename="${word(n)}"`)))
  .concat(part('filename*0*=UTF-8\'\'a%0d; filename*1*=%0aX-Evil: 1'), part('filename="a\r\n X-Evil: 1"'));

// All names in one mail, one of them in each other: Box is asked for every file.
const mail = ({ files = parts.slice(0, 1), subject = word(EVIL), from = `${word(EVIL)} <taro@example.jp>`, to = `${q(EVIL)} <c@secured.example>`, id = '<plain@example.jp>', extra = '' } = {}) => Buffer.from(
  `From: ${from}\r\nTo: ${to}\r\nCc: ${word('a\r\n.\r\n<b>')} <b@kept.example>\r\nSubject: ${subject}\r\nMessage-ID: ${id}\r\n${extra}Date: Fri, 27 Nov 2026 10:00:00 +0900\r\n`
  + `MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nbody\r\n${files.join('')}--b--\r\n`);

/** No field of the attacker's in any header block, and no part or mail that is not ours. */
function assertClean(m) {
  const text = m.content.toString('latin1');
  const { fields, head } = parseMail(m.content);
  for (const line of head.split('\r\n').slice(0, -1)) assert.match(line, /^([!-9;-~]+:|[ \t]+\S)/, `a line of the header: ${JSON.stringify(line)}`);
  const names = fields.map(([n]) => n.toLowerCase());
  for (const bad of ['bcc', 'x-evil']) assert.ok(!names.includes(bad), `${bad}\n${head}`);
  for (const single of ['subject', 'from', 'to', 'message-id', 'date', 'content-type']) assert.ok(names.filter((n) => n === single).length <= 1, single);
  // Not in the heads of the parts either.
  for (const piece of text.split(/\r\n--/).slice(1)) assert.doesNotMatch(piece.split('\r\n\r\n')[0], /^(bcc|x-evil):/im);
  assert.ok(m.rcpts.every((r) => r.address !== 'victim@evil.example'));
}
/** The text parts, decoded. */
function texts(m) {
  return [...m.content.toString('latin1').matchAll(/Content-Type: text\/(html|plain)[^]*?\r\n\r\n([^]*?)\r\n--/gi)].map(([whole, kind, body]) => ({
    kind, text: /base64/i.test(whole.split('\r\n\r\n')[0]) ? Buffer.from(body, 'base64').toString()
      : body.replace(/=\r\n/g, '').replace(/=([0-9A-F]{2})/g, (_, h) => String.fromCharCode(parseInt(h, 16))) }));
}

test('whatever names a mail brings, they stay values in everything that is made of it', { timeout: 600000 }, async (t) => {
  const stack = await startStack(t, { policy: { rules: [
    { name: 'within', when: { to: ['@pass.example'] }, action: 'pass' },
    { name: 'no', when: { to: ['@rejected.example'] }, action: 'reject' },
    { name: 'kept', when: { to: ['@kept.example'] }, action: 'secure', secure: { body: false, attachments: true }, storage: 'box', security: 'recipients only', receipt: true },
    { name: 'all', action: 'secure', storage: 'box', security: 'recipients only', path: '{sender}/{rule}', receipt: true }] },
  overrides: { log: { level: 'debug' } } });
  const to = ['a@pass.example', 'b@kept.example', 'c@secured.example', 'd@rejected.example'];
  const mails = [
    mail({ files: parts }), mail({ subject: q('a\nb\rc') }), mail({ subject: `${word('=?UTF-8?B?')}${word('x\r\n')}`, from: `"a\\\r\n b" <taro@example.jp>` }),
    mail({ id: `<${word('x\r\ny')}@example.jp>` }), mail({ id: '<x\r\n y@example.jp>' }), mail({ id: 'no brackets, "quotes" and <two> <ids@x>' }),
    mail({ extra: `References: ${word('\r\nX-Evil: 1')}\r\nReply-To: ${word(EVIL)} <evil@example.org>\r\nX-Priority: =?x?Q?=0D=0AX-Evil=3A1?=\r\n` }),
    mail({ to: '"a\\\r\n b"@example.jp, <script>alert(1)</script> <c@secured.example>' }),
  ];
  for (const content of mails) assert.equal((await handIn(stack, content, { to })).code, 250);

  // By SMTP: DSN parameters with line ends in xtext, XFORWARD with the same; names with line ends are refused.
  const smtp = await Smtp.connect(stack.world.ports.smtp);
  await smtp.cmd('EHLO x');
  assert.equal((await smtp.cmd('XFORWARD NAME=a+0D+0AX-Evil:+201 ADDR=192.0.2.1 HELO=+0D+0A.+0D+0AQUIT IDENT=x+0AX-Evil:1')).code, 250);
  assert.equal((await smtp.cmd('MAIL FROM:<taro@example.jp> ENVID=x+0D+0AX-Evil:+201')).code, 250);
  assert.equal((await smtp.cmd('RCPT TO:<d@rejected.example> ORCPT=rfc822;x+0D+0AX-Evil:+201@example.com')).code, 250);
  assert.equal((await smtp.cmd('RCPT TO:<"a\\\rb"@rejected.example>')).code >= 500, true);
  assert.equal((await smtp.cmd('RCPT TO:<"<script>"@rejected.example>')).code, 250);
  await smtp.cmd('DATA');
  smtp.write(`${mail().toString('latin1')}.\r\n`);
  assert.equal((await smtp.read()).code, 250);
  smtp.close();
  // By HTTP: parameters as percent text or as Node lets them through.
  for (const value of ['"a%0d%0ab"@pass.example', 'a%0d%0ab@pass.example']) {
    const res = await request(`http://127.0.0.1:${stack.world.ports.http}/v1/messages`, { method: 'POST', body: mail(), headers: {
      authorization: `Bearer ${stack.world.token}`, 'content-type': 'message/rfc822', 'x-mail-from': 'taro@example.jp', 'x-rcpt-to': value } });
    assert.ok([202, 400].includes(res.status));
  }

  await stack.settled({ timeout: 300000 });
  const states = (await stack.messages()).map((m) => m.state);
  assert.ok(states.every((s) => s === 'done'), JSON.stringify(states));
  assert.deepEqual(stack.relay.violations, []);
  const outside = stack.relay.mails.filter((m) => !m.rcpts.some((r) => r.address === 'a@pass.example'));
  assert.ok(outside.length > 3 * mails.length, `${outside.length} notices, receipts and reports`);
  for (const m of outside) {
    assertClean(m);
    for (const { kind, text } of texts(m)) {
      if (kind === 'html') assert.doesNotMatch(text, /<script|<img src=x|<svg/i);
      assert.doesNotMatch(text, /[\0\x1b\u202e\u2028\u2029]/, 'controls and overrides are not shown');
    }
  }
  // An untouched mail is what came, behind one field of ours.
  for (const m of stack.relay.mails.filter((x) => x.rcpts.some((r) => r.address === 'a@pass.example'))) {
    const text = m.content.toString('latin1');
    assert.ok(mails.concat(mail()).some((sent) => text.endsWith(sent.toString('latin1').slice(0, 1e6))));
  }
  const reports = outside.filter((m) => /multipart\/report/.test(m.content.toString('latin1')));
  assert.ok(reports.length >= mails.length + 1, 'delivery reports');

  // Box: names that Box takes, without a path, a control or a line end.
  const state = await stack.box.state();
  const named = [...state.folders, ...state.files].map((x) => x.name);
  assert.ok(named.length > 4 * NAMES.length);
  for (const name of named) {
    assert.doesNotMatch(name, /[\0-\x1f\x7f/\\\u0085\u2028\u2029\u202a-\u202e\u2066-\u2069]/, JSON.stringify(name));
    assert.ok(name !== '.' && name !== '..' && name.trim() === name, JSON.stringify(name));
  }

  // The sender's page, by the links of all receipts.
  const links = new Set(outside.flatMap((m) => texts(m).flatMap(({ text }) => [...text.matchAll(/http:\/\/127\.0\.0\.1:\d+\/s\/[\w-]+/g)].map(([l]) => l))));
  assert.ok(links.size >= mails.length, 'receipts have links');
  for (const link of links) {
    const page = await request(link);
    assert.equal(page.status, 200);
    assert.doesNotMatch(page.body.toString(), /<script|<img|<svg|onerror=(?!alert\(1\)&gt;)|[\0\x1b\u202e\u2028\u2029]/i);
    assert.ok(!Object.keys(page.headers).includes('x-evil') && !/evil/i.test(JSON.stringify(page.headers)));
  }

  // Logs: one JSON object a line, at every level, and no escape sequence for a terminal.
  for (const service of stack.running) {
    for (const line of service.output.split('\n').slice(0, -1).filter(Boolean)) { // the last one may go on
      assert.doesNotThrow(() => JSON.parse(line), `${service.name}: ${line}`);
      assert.doesNotMatch(line, /[\0-\x08\x0b-\x1f\x7f]/);
      assert.ok(!('X-Evil' in JSON.parse(line)));
    }
  }
});
