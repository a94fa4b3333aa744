// SPDX-License-Identifier: Apache-2.0
//
// What readers of a vault get: a notice each with a link of their own, the password, and the code at the door.

import assert from 'node:assert/strict';
import { createCipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';
import test from 'node:test';
import { encode } from '@msgpack/msgpack';

import { grantsOf } from '../../support/ledger.mjs';
import { Stage, parseMail, secured, waitFor } from './kit.mjs';

const KEY = 'k'.repeat(40);
const PORTAL = 'https://read.example.jp';
const POLICY = `
storages:
  - {name: box, type: box, auth_file: /x.json, root_folder: "0"}
  - {name: vault, type: vault, url: "file:///var/lib/fumibako/vault", key_file: /v.key}
security_definitions: [{name: s}]
rules:
  - {name: tagged, when: {subject: ["[secure]"]}, action: secure, storage: vault, security: s, strip_tag: true, receipt: true}
`;
const DIGITS = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

const secrets = Array.from({ length: 3 }, () => randomBytes(32));
const hex = (i) => secrets[i].toString('hex');

/** The link's text as common/link.h has it, by another hand. */
function linkText(id, branch, recipient, secret) {
  let bits = 0n;
  for (const c of id) bits = bits * 32n + BigInt(DIGITS.indexOf(c));
  const u16 = (n) => Buffer.from([n >> 8, n & 255]);
  return Buffer.concat([Buffer.from([1]), Buffer.from(bits.toString(16).padStart(32, '0'), 'hex'), u16(branch), u16(recipient), secret])
    .toString('base64url');
}

/** Sealed as common/proof_code.h has it. */
function sealCode(parcel, recipient, code) {
  const key = Buffer.from(hkdfSync('sha256', KEY, '', 'fumibako proof code 1', 32));
  const nonce = randomBytes(12);
  const gcm = createCipheriv('aes-256-gcm', key, nonce);
  gcm.setAAD(Buffer.from(`${parcel}.${recipient}`));
  const sealed = Buffer.concat([gcm.update(code), gcm.final()]);
  return Buffer.concat([Buffer.from([1]), nonce, sealed, gcm.getAuthTag()]).toString('base64');
}

/** A mail to b (To), c (Cc) and d (Bcc), in the vault. */
function vaulted(changes = {}) {
  return secured({ ...changes,
    plan: { branches: [{ kind: 1, to: [0, 1, 2], rule: 'tagged', storage: 'vault', body: true, attachments: true, subject: 'Report',
      receipt: changes.receipt ?? false }], ...changes.plan },
    parcel: { storage: 'vault', link: '', from: 'a@example.jp', language: 'en',
      grants: [0, 1, 2].map((to) => ({ to, secret: hex(to) })), ...changes.parcel },
    top: { key: KEY, ...changes.top } });
}

/** What waits for its next try is due now (in Redis: jobs are bytes, not text). */
const create = (t, more = {}) => Stage.create(t, { policy: POLICY, config: { portal: { public_url: PORTAL }, ...more.config }, ...more });

/** The text part, decoded. */
function text(mail) {
  const whole = mail.content.toString('latin1');
  const [, head, body] = /(Content-Type: text\/plain[^]*?)\r\n\r\n([^]*?)\r\n--=_fb_/.exec(whole);
  const bytes = /base64/.test(head) ? Buffer.from(body, 'base64')
    : Buffer.from(!/quoted-printable/.test(head) ? body
      : body.replace(/=\r\n/g, '').replace(/=([0-9A-F]{2})/g, (_, h) => String.fromCharCode(parseInt(h, 16))), 'latin1');
  return bytes.toString().replaceAll('\r\n', '\n');
}

const LINK = /https:\/\/read\.example\.jp\/r\/[\w-]*/g;
const to = (mail) => mail.rcpts.map((r) => r.address).join();
const linksIn = (mail) => [...new Set(text(mail).match(LINK) ?? [])];
/** Its words: letters of a link are random, and may be those of any word. */
const words = (mail) => text(mail).replace(LINK, '');
const notices = (stage) => stage.relay.mails.filter((m) => m.from !== '');

test('each recipient gets a notice of their own with their own link; a put-off one is tried alone; a Bcc recipient stays hidden', async (t) => {
  let isAway = true;
  const stage = await create(t, { relay: { rcpt: (a) => (a === 'c@example.com' && isAway ? '451 4.7.1 later' : null) } });
  const id = await stage.seed(vaulted());
  await waitFor(() => notices(stage).length === 2, { what: 'two notices' });
  await waitFor(async () => (await stage.delayed()) === 1, { what: 'the third to wait' });
  isAway = false;
  await stage.hurry();
  assert.equal(await stage.finished(id), 'sent');
  const mails = notices(stage);
  assert.deepEqual(mails.map(to).sort(), ['b@example.com', 'c@example.com', 'd@example.com'], 'each once');
  for (const [i, address] of ['b@example.com', 'c@example.com', 'd@example.com'].entries()) {
    const mail = mails.find((m) => to(m) === address);
    assert.deepEqual(linksIn(mail), [`${PORTAL}/r/${linkText(id, 0, i, secrets[i])}`]);
    assert.ok(mail.content.includes('Subject: Report\r\n'));
    assert.match(mail.content.toString('latin1'), /^X-Fumibako-Id: /m);
    assert.match(text(mail), /You need no account: the page behind the link mails a code/);
    assert.match(text(mail), /a@example\.jp/);
    assert.match(text(mail), i === 2 ? /b@example\.com, c@example\.com, d@example\.com/ : /by: b@example\.com, c@example\.com\n/);
    if (i < 2) assert.ok(!mail.content.includes('d@example.com'), 'Bcc');
    assert.ok(!mail.content.includes('TOP SECRET'));
  }
  for (const secret of secrets) {
    assert.ok(!stage.service.output.includes(secret.toString('base64url').slice(8, 40)), 'no secret in the log');
    const grants = await grantsOf(stage.world.redis, `${id}-0`);
    assert.ok(grants.some(([, , hash]) => hash === createHash('sha256').update(secret).digest('hex')));
  }
});

test('killed between two notices: whoever the relay confirmed gets no second one', async (t) => {
  const stage = await create(t, { relay: { rcpt: (a) => (a === 'c@example.com' ? 'HANG' : null) } });
  const id = await stage.seed(vaulted());
  await waitFor(() => stage.relay.commands.some((c) => /RCPT TO:<c@/.test(String(c.line ?? c))), { what: 'the second to be asked' });
  await stage.service.kill();
  stage.relay.options.rcpt = null;
  await stage.world.redis.abandon('rewrite');
  await stage.start();
  assert.equal(await stage.finished(id), 'sent');
  assert.deepEqual(notices(stage).map(to).sort(), ['b@example.com', 'c@example.com', 'd@example.com']);
  for (const mail of notices(stage)) assert.equal(linksIn(mail).length, 1);
});

test('with a fallback those with an account share the storage\'s link, the other has one of the vault', async (t) => {
  const stage = await create(t);
  const id = await stage.seed(secured({ parcel: { fallback: 'vault',
    grants: [{ to: 0 }, { to: 1, secret: hex(1), storage: 'vault' }, { to: 2 }] } }));
  assert.equal(await stage.finished(id), 'sent');
  const by = Object.fromEntries(notices(stage).map((m) => [to(m), m]));
  assert.deepEqual(Object.keys(by).sort(), ['b@example.com', 'c@example.com', 'd@example.com']);
  assert.match(text(by['b@example.com']), /https:\/\/box\.example\/s\/1/);
  assert.deepEqual(linksIn(by['b@example.com']), []);
  assert.deepEqual(linksIn(by['c@example.com']), [`${PORTAL}/r/${linkText(id, 0, 1, secrets[1])}`]);
  assert.ok(!by['c@example.com'].content.includes('box.example'));
  assert.match(words(by['b@example.com']), /Box/);
  assert.doesNotMatch(words(by['c@example.com']), /Box/);
});

test('without the portal\'s address nothing is sent that could not be opened; it goes on when that is set', async (t) => {
  const stage = await Stage.create(t, { policy: POLICY, config: { portal: { public_url: undefined } } });
  const id = await stage.seed(vaulted());
  await waitFor(() => /portal\.public_url is not set/.test(stage.service.output), { what: 'the reason in the log' });
  await waitFor(async () => (await stage.delayed()) === 1, { what: 'the job to wait' });
  assert.equal(stage.relay.mails.length, 0);
  await stage.service.stop();
  stage.overrides.portal = { public_url: PORTAL };
  await stage.start();
  await stage.hurry();
  assert.equal(await stage.finished(id), 'sent');
  assert.equal(notices(stage).length, 3);
});

test('the password goes to each in a second mail, or to the sender in the receipt: only then', async (t) => {
  const stage = await create(t);
  const password = 'Kq7-mZ2-rT9';
  await stage.seed(vaulted({ parcel: { password }, receipt: true }));
  await waitFor(() => stage.relay.mails.length === 7, { what: 'notices, passwords, receipt' });
  const second = notices(stage).filter((m) => text(m).includes(password));
  assert.deepEqual(second.map(to).sort(), ['b@example.com', 'c@example.com', 'd@example.com']);
  for (const mail of second) assert.deepEqual(linksIn(mail), [], 'never beside the link');
  const first = notices(stage).find((m) => linksIn(m).length === 1);
  assert.match(text(first), /A password is needed as well; it comes in another mail/);
  const receipt = stage.relay.mails.find((m) => m.from === '');
  assert.match(text(receipt), /the password went to them in another mail/);
  assert.ok(!text(receipt).includes(password));

  stage.relay.mails.length = 0;
  await stage.seed(vaulted({ parcel: { password, pass: 'sender' }, receipt: true }));
  await waitFor(() => stage.relay.mails.some((m) => m.from === ''), { what: 'the receipt' });
  assert.equal(notices(stage).length, 3);
  for (const mail of notices(stage)) {
    assert.ok(!text(mail).includes(password));
    assert.match(text(mail), /ask the sender for it/);
  }
  assert.match(text(stage.relay.mails.find((m) => m.from === '')), /Password: Kq7-mZ2-rT9\nIt was not sent to the recipients/);
});

// ---- codes ----

/** As the portal does it: the code in Redis, the letter's job. */
async function askCode(stage, id, { code, made = Date.now(), sealed, address = 'b@example.com', keep = false }) {
  const key = `fb:{s0}:pc:${id}-0.0`;
  if (!keep) {
    await stage.world.redis.command('HSET', key, 'code', sealed ?? sealCode(`${id}-0`, 0, code), 'to', address, 'until', String(made + 600000));
  }
  const job = { v: 3, stage: 'rewrite', msg: id, spool: '', branch: 0, attempt: 0, first: BigInt(made),
    trace: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`, letter: 'code', rcpt: 0 };
  await stage.world.redis.command('XADD', 'fb:{s0}:rewrite', '*', 'j', Buffer.from(encode(job, { useBigInt64: true })), 'f', String(made));
}

const metric = (stage, outcome) => stage.service.metric('fumibako_letters_total', `letter="code",outcome="${outcome}"`);

test('a code is mailed to who asked, with whose mail it opens; one that was replaced, used or cannot be opened is not', async (t) => {
  let isAway = true;
  const stage = await create(t, { relay: { rcpt: (a) => (a === 'later@example.com' && isAway ? '451 4.7.1 later' : null) } });
  const id = await stage.seed(vaulted());
  await stage.finished(id);
  stage.relay.mails.length = 0;
  const asked = Date.now();
  await askCode(stage, id, { code: '042917', made: asked });
  const mail = await waitFor(() => stage.relay.mails[0], { what: 'the code' });
  assert.equal(mail.from, '');
  assert.deepEqual(mail.rcpts.map((r) => [r.address, r.params]), [['b@example.com', ['NOTIFY=NEVER']]]);
  const { get } = parseMail(mail.content);
  assert.equal(get('To'), '<b@example.com>');
  assert.equal(get('Subject'), 'Your code');
  assert.match(get('X-Fumibako-Id'), /b=90000;/);
  assert.match(text(mail), /^Your code is 042917$/m);
  assert.match(text(mail), /the mail that a@example\.jp sent you/);
  assert.match(text(mail), /within 10 minutes/);
  assert.ok(!mail.content.includes('Report'), 'not its subject');

  await askCode(stage, id, { keep: true, made: asked - 1000 }); // replaced since
  await waitFor(async () => (await metric(stage, 'not needed')) === 1, { what: 'a job without a mail' });
  await askCode(stage, id, { code: '111111', made: Date.now() - 600001 }); // over
  await waitFor(async () => (await metric(stage, 'not needed')) === 2, { what: 'a job without a mail' });
  await stage.world.redis.command('DEL', `fb:{s0}:pc:${id}-0.0`); // used
  await askCode(stage, id, { keep: true });
  await waitFor(async () => (await metric(stage, 'not needed')) === 3, { what: 'a job without a mail' });
  await askCode(stage, id, { sealed: sealCode(`${id}-0`, 1, '222222') }); // of somebody else
  await waitFor(async () => (await metric(stage, 'failed')) === 1, { what: 'a job that failed' });
  assert.equal(stage.relay.mails.length, 1);

  await askCode(stage, id, { code: '333333', address: 'later@example.com' });
  await waitFor(async () => (await stage.delayed()) === 1, { what: 'a second try' });
  isAway = false;
  await stage.hurry();
  await waitFor(() => stage.relay.mails.length === 2, { what: 'the code of the second try' });
  assert.match(text(stage.relay.mails[1]), /^Your code is 333333$/m);
  const lost = '01M8GXHGJYGWKDAAAN473BGF1J'; // neither Redis nor spool knows it any more; the vault does
  await askCode(stage, lost, { code: '444444' });
  await waitFor(() => stage.relay.mails.length === 3, { what: 'the code of a lost ledger' });
  assert.match(text(stage.relay.mails[2]), /^Your code is 444444$[^]*It opens the mail that was sent to you/m);
  await waitFor(async () => (await metric(stage, 'sent')) === 3, { what: 'the count' });
  assert.equal(await stage.world.redis.command('EXISTS', `fb:{s0}:m:${lost}`), 0);
  assert.equal(await stage.dead(), 0);
  for (const secret of ['042917', '333333', 'example.com']) assert.ok(!stage.service.output.includes(secret), `${secret} in the log`);
});
