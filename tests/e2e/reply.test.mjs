// SPDX-License-Identifier: Apache-2.0
//
// The secure reply without a browser: what a hostile reader may send, what the sender gets, and that a reply goes out once.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import test from 'node:test';
import { request, waitFor } from '../support/harness.mjs';
import { splitMail, textOf } from './stack.mjs';
import { Client, formOf, visible } from '../integration/portal/kit.mjs';
import { HANAKO, JIRO, Reading, SENDER } from '../browser/vault_kit.mjs';

const MIB = 1 << 20;

/** The body of a form: [[name, value] | [name, file name, type, bytes]]. Names go in as they are. */
function multipart(fields) {
  const edge = `----edge${randomBytes(8).toString('hex')}`;
  const pieces = fields.map(([name, value, type, bytes]) => Buffer.concat([Buffer.from(`--${edge}\r\nContent-Disposition: form-data; name="${name}"`
    + (bytes === undefined ? `\r\n\r\n${value}` : `; filename="${value}"\r\nContent-Type: ${type}\r\n\r\n`)), bytes ?? Buffer.alloc(0), Buffer.from('\r\n')]));
  return { type: `multipart/form-data; boundary=${edge}`, body: Buffer.concat([...pieces, Buffer.from(`--${edge}--\r\n`)]) };
}

/** A reader with a session, whose mail needs the link alone. */
class Writer {
  static async enter(reading, address) {
    const writer = new Writer();
    writer.path = reading.link(address).slice(reading.base.length);
    writer.client = new Client(reading.base);
    const door = formOf((await writer.client.get(writer.path)).text);
    const opened = await writer.client.post(door.action, door.hidden);
    assert.equal(opened.status, 303, visible(opened.text));
    return writer;
  }

  /** Where a fresh form goes. */
  async form() {
    const page = await this.client.get(`${this.path}/reply`);
    assert.equal(page.status, 200, visible(page.text));
    return formOf(page.text).action;
  }

  async send(fields, { action, headers = {} } = {}) {
    const { type, body } = multipart(fields);
    return this.client.post(action ?? await this.form(), body, { headers: { 'content-type': type, ...headers } });
  }
}

const repliesOf = (reading) => reading.mails.filter((m) => m.to.join() === SENDER && /^X-Fumibako-Reply: [0-9A-Z]{26}\r?$/m.test(m.content));
const replies = (reading, count) => waitFor(() => repliesOf(reading).length >= count && repliesOf(reading), { what: `${count} replies` });

test('a reply: from whom it says, once, within its limits, and nothing that a reader wrote becomes a header', { timeout: 600000 }, async (t) => {
  const reading = await Reading.start(t, { browser: false, security: { proof: 'link' }, overrides: { portal: { reply_max: '2MiB' } } });
  await reading.send({ to: [HANAKO, JIRO] });
  const writer = await Writer.enter(reading, HANAKO);

  // Refused, each with a page that says why, and nothing goes out.
  const action = await writer.form();
  const text = 'Hello <b>there</b>\n';
  const forged = action.replace(/t=..../, 't=AAAA');
  const refusals = [
    ['from another site', [['text', text]], { action, headers: { origin: 'https://evil.example' } }, 403],
    ['without an origin', [['text', text]], { action, headers: { origin: null, 'sec-fetch-site': null } }, 403],
    ['with a forged token', [['text', text]], { action: forged }, 403],
    ['with a forged token and a large body', [['files', 'a', 'x/y', Buffer.alloc(MIB)]], { action: forged }, 403],
    ['with another id', [['text', text]], { action: action.replace(/id=.{26}/, `id=01J${'0'.repeat(23)}`) }, 403],
    ['with nothing in it', [['text', ' \r\n'], ['files', '', 'application/octet-stream', Buffer.alloc(0)]], { action }, 400],
    ['with a NUL', [['text', 'a\0b']], { action }, 400],
    ['that is no UTF-8', [['text', text], ['files', 'x']], { action, headers: { 'content-type': 'multipart/form-data; boundary=other' } }, 400],
    ['of another type', [['text', text]], { action, headers: { 'content-type': 'application/x-www-form-urlencoded' } }, 415],
    ['with too many files', Array.from({ length: 11 }, (_, i) => ['files', `${i}`, 'x/y', Buffer.from('x')]), { action }, 413],
    ['that is too large', [['files', 'a', 'x/y', Buffer.alloc(2 * MIB + 1)]], { action }, 413],
    ['that is far too large', [['files', 'a', 'x/y', Buffer.alloc(3 * MIB)]], { action }, 413],
    ['with too long a text', [['text', 'x'.repeat(100001)]], { action }, 413],
  ];
  for (const [what, fields, options, status] of refusals) {
    const answer = await writer.send(fields, options);
    assert.equal(answer.status, status, `${what}: ${visible(answer.text)}`);
  }
  const lost = new Client(reading.base); // somebody with the link of the form, and no session
  const { type, body } = multipart([['text', text]]);
  assert.equal((await lost.post(action, body, { headers: { 'content-type': type } })).status, 303, 'back to the door');
  assert.equal(repliesOf(reading).length, 0);

  // Sent by two at once, and once more: one mail, and each is told the same.
  const both = await Promise.all([1, 2].map(() => writer.send([['text', text]], { action })));
  const again = await writer.send([['text', 'changed']], { action });
  for (const answer of [...both, again]) {
    assert.equal(answer.status, 303);
    assert.match(answer.headers.location, /\/reply\?done=[0-9A-Z]{26}$/);
  }
  assert.match(visible((await writer.client.get(again.headers.location)).text), /Your reply was sent/);
  assert.doesNotMatch(visible((await writer.client.get(`${writer.path}/reply?done=01J${'0'.repeat(23)}`)).text), /was sent/, 'a query proves nothing');
  const [first] = await replies(reading, 1);
  assert.match(textOf(Buffer.from(first.content)), /Hello <b>there<\/b>[\s\S]*mailbox was not verified|メールボックスの確認は行っていません/);

  // Names and types as nobody should write them.
  const hostile = await writer.send([['text', 'see\r\n.\r\nBcc: x@y.example\r\n'], ['files', '../../a%0D%0ABcc: x@y.example%22;.pdf', 'message/rfc822', Buffer.from('x')],
    ['files', `${'長'.repeat(300)}.xlsx`, 'text/html\u0001', Buffer.from('y')], ['files', 'C:\\secret\\c.txt', 'text/plain; charset=utf-7', Buffer.from('z')]]);
  assert.equal(hostile.status, 303, visible(hostile.text));
  const second = (await replies(reading, 2))[1];
  const mail = splitMail(Buffer.from(second.content));
  const ours = /^(received|from|reply-to|to|subject|date|message-id|x-fumibako-(reply|id)|mime-version|content-(type|transfer-encoding)|return-path)$/;
  assert.deepEqual(mail.fields.map(([name]) => name).filter((n) => !ours.test(n)), []);
  assert.equal(second.to.join(), SENDER);
  assert.equal(second.from, 'postmaster@example.jp');
  assert.doesNotMatch(second.content, /^(Bcc:|Content-Type: (message|text\/html))/mi);
  assert.doesNotMatch(second.content, /secret|\.\.\//);
  assert.match(textOf(Buffer.from(second.content)), /see\r?\n\.\r?\nBcc: x@y\.example/);

  // Ingest is away: the page keeps the text, nothing is said to be sent, and the same form works later.
  await reading.stack.by.ingest.stop();
  const late = await writer.form();
  const failed = await writer.send([['text', 'kept & <safe>\r\nline 2']], { action: late });
  assert.equal(failed.status, 502);
  assert.match(failed.text, /kept &amp; &lt;safe&gt;\nline 2/);
  await reading.stack.startService('ingest');
  assert.equal((await writer.send([['text', 'kept']], { action: late })).status, 303);
  await replies(reading, 3);

  // So many an hour, of one link; another recipient's are their own.
  let sent = 3;
  for (; sent < 12; sent++) {
    const answer = await writer.send([['text', `number ${sent}`]]);
    if (answer.status === 429) {
      assert.match(answer.text, new RegExp(`number ${sent}`), 'what was typed is kept');
      assert.ok(Number(answer.headers['retry-after']) > 0);
      break;
    }
    assert.equal(answer.status, 303, visible(answer.text));
  }
  assert.ok(sent <= 10, `${sent} were sent`);
  const other = await Writer.enter(reading, JIRO);
  assert.equal((await other.send([['text', 'mine']])).status, 303);
  await replies(reading, sent + 1);
  await reading.stack.settled();
  assert.equal(repliesOf(reading).length, sent + 1);
  const ids = repliesOf(reading).map((m) => splitMail(Buffer.from(m.content)).get('message-id'));
  assert.equal(new Set(ids).size, ids.length);
  const history = [];
  for (const key of await reading.world.redis.command('KEYS', 'fb:{s0}:h:*')) history.push(...await reading.world.redis.command('LRANGE', key, 0, -1));
  assert.equal(history.filter((line) => /reply sent/.test(line)).length, sent + 1, 'each is in the history');
  assert.ok(history.some((line) => /reply refused/.test(line) && line.includes(HANAKO)), 'and what was refused');
  const portal = reading.stack.by.portal;
  assert.doesNotMatch(portal.output, /Hello|number|kept|secret|長長/, 'what readers write is not logged');
  assert.equal(await portal.metric('fumibako_portal_replies_total', 'outcome="sent"'), sent + 1);
});

test('the policy decides: a rule makes a parcel of the reply; a definition switches replies off', async (t) => {
  const reading = await Reading.start(t, { browser: false, policy: {
    security_definitions: [{ name: 'open', access: 'recipients', proof: 'link', expires_after: '30d' },
      { name: 'quiet', access: 'recipients', proof: 'link', reply: false, expires_after: '30d' }],
    rules: [{ name: 'replies', when: { from: ['postmaster@example.jp'], to: ['@example.jp'], header: { 'X-Fumibako-Reply': ['/./'] } }, action: 'secure',
      storage: 'vault', security: 'quiet' },
    { name: 'quiet', when: { subject: ['[quiet]'] }, action: 'secure', storage: 'vault', security: 'quiet' },
    { name: 'outbound', when: { to: ['!@example.jp'] }, action: 'secure', storage: 'vault', security: 'open' }],
  } });
  await reading.send();
  const writer = await Writer.enter(reading, HANAKO);
  assert.equal((await writer.send([['text', 'a secret answer'], ['files', 'a.txt', 'text/plain', Buffer.from('secret')]])).status, 303);
  await waitFor(() => reading.links(SENDER).length > 0, { timeout: 180000, what: 'the notice to the sender' });
  assert.doesNotMatch(reading.texts(SENDER).join('\n'), /a secret answer/);
  const sender = await Writer.enter(reading, SENDER);
  assert.match(visible((await sender.client.get(sender.path)).text), /a\.txt/);
  assert.equal((await sender.client.get(`${sender.path}/reply`)).status, 404, 'replies are off there');

  await reading.send({ subject: '[quiet] お知らせ' });
  const quiet = await Writer.enter(reading, HANAKO);
  const page = await quiet.client.get(quiet.path);
  assert.doesNotMatch(page.text, /\/reply/);
  const answer = await quiet.client.get(`${quiet.path}/reply`);
  assert.equal(answer.status, 404);
  assert.match(visible(answer.text), /ordinary mail/);
});

test('at most eight large replies are held at the same time; then there is room again', async (t) => {
  const reading = await Reading.start(t, { browser: false, security: { proof: 'link' } });
  await reading.send();
  const writer = await Writer.enter(reading, HANAKO);
  const [action] = await Promise.all([writer.form()]);
  const { type, body } = multipart([['text', 'x'], ['files', 'a.bin', 'x/y', Buffer.alloc(MIB)]]);
  const cookie = [...writer.client.cookies.values()].map((c) => `${c.name}=${c.value}`).join('; ');
  // Eight that began and do not end.
  const { default: http } = await import('node:http');
  const slow = Array.from({ length: 8 }, () => {
    const req = http.request(`${reading.base}${action}`, { method: 'POST', headers: { cookie, origin: reading.base, 'content-type': type, 'content-length': body.length } });
    req.on('error', () => {});
    req.write(body.subarray(0, 50000));
    return req;
  });
  // Until they are, the ninth is refused for its many files: it must not use up the replies of this hour.
  const many = multipart(Array.from({ length: 11 }, (_, i) => ['files', `${i}`, 'x/y', Buffer.alloc(100000)]));
  const ninth = await waitFor(async () => {
    const answer = await request(`${reading.base}${await writer.form()}`, { method: 'POST', body: many.body,
      headers: { cookie, origin: reading.base, 'content-type': many.type, 'content-length': many.body.length, 'accept-language': 'en' } });
    return answer.status === 503 && answer;
  }, { interval: 200, what: 'the ninth to be refused' });
  assert.match(visible(ninth.body.toString()), /Too busy at the moment/);
  for (const req of slow) req.destroy();
  await waitFor(async () => (await writer.send([['files', 'a.bin', 'x/y', Buffer.alloc(MIB)]])).status === 303, { interval: 500, what: 'room again' });
});
