// SPDX-License-Identifier: Apache-2.0
//
// A policy whose storage is the vault, in a whole stack: a notice for each recipient with a link of their own, nothing of
// the content anywhere outside, recalls before and after, the password apart, the code of a reader.

import test from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createCipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { encode } from '@msgpack/msgpack';
import { binDir, unlessGone, waitFor } from '../support/harness.mjs';
import { Stack, everythingIn, textOf } from './stack.mjs';
import { SECRET, SECRET_EN, japaneseMail } from './mails.mjs';

const HANAKO = 'hanako@partner.example.com';
const JIRO = 'jiro@partner.example.com';
const SABURO = 'saburo@partner.example.com'; // Bcc
const ALL = [HANAKO, JIRO, SABURO];
const POLICY = {
  security_definitions: [{ name: 'code', proof: 'code', expires_after: '30d' }, { name: 'password', password: 'generated' }],
  rules: [
    { name: 'with a password', action: 'secure', storage: 'vault', security: 'password', when: { subject: ['[pw]'] } },
    { name: 'all else', action: 'secure', storage: 'vault', security: 'code', receipt: true },
  ],
};
const patience = { timeout: 180000, interval: 100 };

const linksIn = (raw) => [...new Set(textOf(raw).match(/http:\/\/127\.0\.0\.1:\d+\/r\/[\w-]{71}(?![\w-])/g) ?? [])];

/** What a link says (common/link.h). */
function read(link) {
  const bytes = Buffer.from(link.slice(link.lastIndexOf('/') + 1), 'base64url');
  assert.equal(bytes.length, 53);
  return { branch: bytes.readUInt16BE(17), recipient: bytes.readUInt16BE(19), secret: bytes.subarray(21),
    hash: createHash('sha256').update(bytes.subarray(21)).digest('hex') };
}

function look(stack, parcel) {
  const r = spawnSync(path.join(binDir(), 'vault_look'), [stack.vault.url, stack.vault.key_file, parcel], { encoding: 'utf8' });
  assert.equal(r.status, 0, r.stderr);
  return JSON.parse(r.stdout);
}

const filesBelow = (dir) => fs.readdirSync(dir, { recursive: true, withFileTypes: true }).filter((e) => e.isFile())
  .map((e) => path.join(e.parentPath ?? e.path, e.name));

test('from the mail to the reader: notices, recalls, password and code', async (t) => {
  const stack = await Stack.start(t, { policy: POLICY, vault: true, services: ['ingest', 'render', 'upload', 'rewrite', 'revoke'] });
  const redis = (...args) => stack.world.redis.command(...args);
  const inbox = (who) => stack.postfix.delivered(who).map((m) => m.raw);
  const show = async (id) => (await stack.ctl('message', 'show', id, '--json')).json();

  // ---- the notices ----
  const mail = japaneseMail({ to: HANAKO, cc: JIRO });
  await stack.submit(mail.content, { to: ALL });
  await waitFor(() => ALL.every((who) => inbox(who).length > 0), { what: 'the notices', ...patience });
  await stack.settled();
  const [{ id }] = await stack.messages();
  const parcel = `${id}-0`;
  const vault = look(stack, parcel);
  assert.deepEqual(vault.grants.map((g) => [g.rcpt, g.to, g.recalled]), ALL.map((to, i) => [i, to, false]));
  assert.deepEqual(vault.files.slice(1).map((f) => f.sha1), mail.attachments.map((a) => a.sha1), 'the attachments, byte for byte');
  const secrets = [];
  for (const [i, who] of ALL.entries()) {
    assert.equal(inbox(who).length, 1, `one notice for ${who}`);
    const [raw] = inbox(who);
    const links = linksIn(raw);
    assert.equal(links.length, 1);
    const said = read(links[0]);
    assert.deepEqual([said.branch, said.recipient, said.hash], [0, i, vault.grants[i].hash]);
    secrets.push(said.secret);
    const all = everythingIn(raw);
    for (const secret of [SECRET, SECRET_EN]) assert.ok(!all.includes(Buffer.from(secret).toString('latin1')), 'no content');
    for (const a of mail.attachments) assert.ok(!all.includes(a.bytes.subarray(100, 130).toString('latin1')), 'no attachment');
    if (who !== SABURO) assert.ok(!all.includes(SABURO), 'Bcc');
    assert.match(textOf(raw), /アカウントの登録は不要です/);
  }
  assert.equal(new Set(secrets.map((s) => s.toString('hex'))).size, 3);
  // The sender's receipt, and no password in it.
  const receipt = await waitFor(() => inbox('taro@example.jp')[0], { what: 'the receipt', ...patience });
  assert.match(textOf(receipt), /お一人ずつ別のリンク/);
  assert.deepEqual(linksIn(receipt), []);

  // ---- a secret is in its notice, and nowhere else ----
  const files = [...filesBelow(stack.world.spoolDir), ...filesBelow(path.join(stack.world.dir, 'vault'))];
  assert.ok(files.length > 3);
  const contents = files.map((file) => [file, unlessGone(() => fs.readFileSync(file), Buffer.alloc(0))]);
  for (const secret of secrets) {
    for (const [file, bytes] of contents) assert.equal(bytes.indexOf(secret), -1, file);
    for (const form of ['base64url', 'hex']) {
      assert.ok(!stack.logs().includes(secret.toString(form).slice(4, 36)), 'no secret in a log');
    }
  }
  const dump = JSON.stringify(await Promise.all((await redis('KEYS', '*')).map(async (key) => [key,
    await redis('DUMP', key).catch(() => '')])));
  for (const secret of secrets) assert.ok(!dump.includes(secret.toString('base64url').slice(4, 36)));

  // ---- recalled after it was sent: for one, then for all ----
  assert.equal((await stack.ctl('message', 'recall', id, '--recipient', JIRO)).status, 0);
  await waitFor(async () => (await show(id)).recipients[1].grant === 'recalled', { what: 'the recall', ...patience });
  assert.deepEqual(look(stack, parcel).grants.map((g) => g.recalled), [false, true, false]);
  assert.equal((await stack.ctl('message', 'recall', id)).status, 0);
  await waitFor(() => look(stack, parcel).grants.every((g) => g.recalled), { what: 'the whole', ...patience });
  const report = await waitFor(() => inbox('taro@example.jp').find((m) => /取り消しが間に合いました/.test(textOf(m))),
    { what: 'the final report, without waiting for any log' });
  assert.ok(report);

  // ---- recalled before: no notice, no parcel ----
  await stack.by.upload.stop();
  await stack.submit(japaneseMail({ to: HANAKO }).content, { to: [HANAKO] });
  const early = await waitFor(async () => (await stack.messages()).find((m) => m.id !== id && m.state !== 'queued')?.id, { what: 'it', ...patience });
  assert.equal((await stack.ctl('message', 'recall', early)).status, 0);
  await stack.startService('upload');
  await waitFor(async () => (await show(early)).state === 'done', { what: 'its end', ...patience });
  assert.equal(inbox(HANAKO).length, 1);
  assert.equal(look(stack, `${early}-0`), null);

  // ---- the password, in a mail of its own ----
  await stack.submit(japaneseMail({ to: HANAKO, cc: JIRO, subject: '[pw] 契約書' }).content, { to: [HANAKO, JIRO] });
  for (const who of [HANAKO, JIRO]) {
    const mails = await waitFor(() => { const m = inbox(who).slice(1); return m.length === 2 && m; }, { what: 'notice and password', ...patience });
    const notice = mails.find((m) => linksIn(m).length === 1);
    const second = mails.find((m) => m !== notice);
    assert.deepEqual(linksIn(second), []);
    const password = /^[A-Za-z0-9]{16}$/m.exec(textOf(second))[0];
    assert.ok(!textOf(notice).includes(password));
    assert.match(textOf(notice), /パスワードは別のメールでお送りします/);
  }

  // ---- the code, as the portal asks for it ----
  const made = Date.now();
  const key = Buffer.from(hkdfSync('sha256', 'k'.repeat(40), '', 'fumibako proof code 1', 32));
  const nonce = randomBytes(12);
  const gcm = createCipheriv('aes-256-gcm', key, nonce);
  gcm.setAAD(Buffer.from(`${parcel}.0`));
  const sealed = Buffer.concat([Buffer.from([1]), nonce, gcm.update('042917'), gcm.final(), gcm.getAuthTag()]).toString('base64');
  await redis('HSET', `fb:{s0}:pc:${parcel}.0`, 'code', sealed, 'to', HANAKO, 'until', String(made + 600000));
  const job = { v: 3, stage: 'rewrite', msg: id, spool: '', branch: 0, attempt: 0, first: BigInt(made),
    trace: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`, letter: 'code', rcpt: 0 };
  await redis('XADD', 'fb:{s0}:rewrite', '*', 'j', Buffer.from(encode(job, { useBigInt64: true })), 'f', String(made));
  const code = await waitFor(() => inbox(HANAKO).find((m) => /042917/.test(textOf(m))), { what: 'the code', ...patience });
  assert.match(textOf(code), /確認コード: 042917/);
  assert.match(textOf(code), /taro@example\.jp からのメール/);
  assert.ok(!textOf(code).includes('見積書'), 'not the subject');
});
