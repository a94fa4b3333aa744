// SPDX-License-Identifier: Apache-2.0
// The whole pipeline on a spool in a bucket: a bit that flips in the bucket holds its mail and says why; then mail flows
// through two ingests while the store fails at times, one ingest is killed in the middle of it, and Redis is wiped in
// full: everything that was accepted is delivered, and nothing twice that had been confirmed.  Then the ledger is rebuilt.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { SECURE_EVERYTHING, Stack, everythingIn, splitMail } from '../../e2e/stack.mjs';
import { japaneseMail, plainMail } from '../../e2e/mails.mjs';
import { Smtp, freePorts, sleep, waitFor } from '../../support/harness.mjs';
import { hasPostfix } from '../../support/postfix.mjs';
import { BUCKET, hasS3, startS3 } from '../../support/s3.mjs';

const COUNT = Number(process.env.FB_S3_MAILS ?? 60);

/** Every object of the bucket below a prefix, as files of s3rver: [key, path]. */
function objects(s3, prefix) {
  const base = path.join(s3.directory, BUCKET);
  const found = [];
  const walk = (dir) => {
    for (const e of fs.existsSync(dir) ? fs.readdirSync(dir, { withFileTypes: true }) : []) {
      const full = path.join(dir, e.name);
      if (e.isDirectory()) walk(full);
      else if (e.name.endsWith('._S3rver_object')) found.push([path.relative(base, full).replace('._S3rver_object', ''), full]);
    }
  };
  walk(path.join(base, prefix));
  return found;
}

/** Two ingests over one spool, file:// or s3://; render is started later. */
async function twoIngests(t, isRemote) {
  const s3 = isRemote ? await startS3() : null;
  if (s3) t.after(() => s3.stop());
  if (s3) Object.assign(process.env, s3.env); // of all programs that the stack starts
  const stack = await Stack.start(t, { box: { users: 40 }, services: ['ingest', 'upload', 'rewrite', 'revoke'],
    policy: { rules: [{ name: 'untouched', when: { to: ['@plain.example.com'] }, action: 'pass' },
      { name: 'brief', when: { to: ['@brief.example.com'] }, action: 'secure', storage: 'box', security: 'for a minute' }, SECURE_EVERYTHING],
    security_definitions: [{ name: 'recipients only', access: 'recipients', expires_after: '30d' },
      { name: 'for a minute', access: 'recipients', expires_after: '25s' }] },
    overrides: { ...(s3 ? { spool: { url: `s3://${BUCKET}/mail` } } : {}), ingest: { sweep_after: '3s' } } });
  const [smtp, lmtp, http] = await freePorts(3);
  const second = { ...stack.overrides, metrics: { listen: '127.0.0.1:0' },
    ingest: { ...stack.overrides.ingest, name: 'second', smtp: `127.0.0.1:${smtp}`, lmtp: `127.0.0.1:${lmtp}`, http: `127.0.0.1:${http}` } };
  const start = () => stack.world.start('ingest', second, { ready: false });
  const other = { smtp, service: await start(), start };
  await waitFor(() => Smtp.connect(smtp).then((c) => c.close() ?? true), { what: 'the second ingest' });
  return { s3, stack, other };
}

const FLIPPED = 'flipped@partner.example.com';

/** A bit of a mail's content flips in the bucket before anybody read it. */
async function flipABit(t, s3, stack) {
  await stack.submit(plainMail({ token: 'flipped', to: FLIPPED }), { to: [FLIPPED] });
  await waitFor(async () => (await stack.world.redis.command('XLEN', 'fb:{s0}:render')) === 1, { what: 'the job' });
  const [[, file]] = objects(s3, 'mail/segments');
  const bytes = fs.readFileSync(file);
  bytes[256 + 200] ^= 0x10;
  fs.writeFileSync(file, bytes);
  await stack.startService('render');
  await waitFor(async () => (await stack.messages()).some((m) => m.state === 'held'), { timeout: 120000, interval: 200, what: 'the mail to be held' });
  const [dead] = (await stack.ctl('dead', 'list', '--json')).json();
  assert.match((await stack.ctl('dead', 'show', dead.id)).stdout, /stored bytes .* were changed/);
  t.diagnostic(`held: ${dead.status}, ${dead.reason}`);
}

/** Hands mails to an ingest as an MTA does: what is not confirmed is sent again, and noted. */
async function sendTo(port, from, step, unsure) {
  let smtp = null;
  for (let i = from; i < COUNT; i += step) {
    const to = recipient(i);
    for (let tries = 0; ; tries++) {
      assert.ok(tries < 200, `mail ${i} is never taken`);
      smtp ??= await Smtp.connect(port, { timeout: 90000 }).catch(() => null);
      const reply = await smtp?.send({ from: 'taro@example.jp', to: [to], content: plainMail({ token: `t${i}x`, to }) }).catch(() => null);
      if (reply?.code === 250) break;
      smtp?.close();
      smtp = null;
      unsure.set(to, (unsure.get(to) ?? 0) + 1); // its 250 may have been lost: then it comes twice
      await sleep(100);
    }
    await sleep(30);
  }
  smtp?.close();
}

const recipient = (i) => `r${i}@${i % 3 === 0 ? 'plain' : 'partner'}.example.com`;
const idOf = (mail) => splitMail(mail.raw).get('x-fumibako-id')?.slice(0, 26);

/** Everybody has the mail; more than once only where somebody was not told 250, or died before he could note it. */
function judge(stack, everybody, unsure) {
  let copies = 0;
  for (const to of everybody) {
    const mails = stack.postfix.delivered(to);
    assert.ok(mails.length > 0, `${to} has nothing`);
    const ids = new Set(mails.map(idOf));
    assert.ok(ids.size <= 1 + (unsure.get(to) ?? 0), `${to}: ${ids.size} messages, and ${unsure.get(to) ?? 0} were not confirmed`);
    assert.equal(mails.length, ids.size, `${to} got a message twice`); // rewrite was never killed
    for (const m of /plain/.test(to) ? [] : mails) assert.ok(!/body-t\d+x-end/.test(everythingIn(m.raw)), `${to}: the content leaks`);
    copies += mails.length - 1;
  }
  return copies;
}

async function scenario(t, isRemote) {
  const { s3, stack, other } = await twoIngests(t, isRemote);
  const store = (how) => s3 && fetch(`${s3.endpoint}/-/faults?${how}`, { method: 'POST' });
  if (s3) await flipABit(t, s3, stack);
  else await stack.startService('render');
  const early = ['early@partner.example.com', 'early@brief.example.com'];
  const sentAt = Date.now();
  for (const to of early) await stack.submit(plainMail({ token: 't999x', to }), { to: [to] });
  await waitFor(() => early.every((to) => stack.postfix.delivered(to).length > 0), { timeout: 120000, what: 'the early mail' });

  // Mail flows into both; one request in twelve fails, loses its answer or is cut; one mail is larger than a part.
  const large = 'large@partner.example.com';
  const unsure = new Map();
  await store('rate=0.08&seed=11');
  const sending = Promise.all([sendTo(stack.world.ports.smtp, 0, 2, unsure), sendTo(other.smtp, 1, 2, unsure),
    stack.submit(japaneseMail({ to: large, size: 12 << 20 }).content, { to: [large] })]);
  await sleep(1500);
  await other.service.kill(); // in the middle of whatever it has in hand
  other.service = await other.start();
  await sleep(1000);
  await stack.world.redis.command('FLUSHALL'); // queue, ledger and all
  await sending;
  const everybody = [...Array(COUNT).keys()].map(recipient).concat(large);
  await waitFor(() => everybody.every((to) => stack.postfix.delivered(to).length > 0), { timeout: 240000, interval: 250, what: 'all mail' });
  await store('rate=0');
  await stack.settled({ timeout: 120000 });
  const copies = judge(stack, everybody, unsure);
  assert.equal(stack.postfix.delivered(FLIPPED).length, 0, 'damaged mail is never sent');
  t.diagnostic(`${everybody.length} mails: 0 lost, ${copies} handed in twice by the MTA, ${s3 ? `${s3.counts().faults} faults in ${s3.counts().requests} requests` : 'files'}`);

  // What Redis knew of mail that was out before is rebuilt: it can be recalled, and it expires.
  const rebuilt = await stack.ctl('ledger', 'rebuild');
  assert.equal(rebuilt.status, 0, rebuilt.stdout + rebuilt.stderr);
  const logins = async () => (await stack.box.state('collaborations')).collaborations.map((c) => c.login);
  assert.ok((await logins()).includes(early[0]));
  const recall = await stack.ctl('message', 'recall', idOf(stack.postfix.delivered(early[0])[0]), '--json');
  assert.equal(recall.status, 0, recall.stdout + recall.stderr);
  await waitFor(async () => !(await logins()).some((l) => early.includes(l)),
    { timeout: 120000, interval: 250, what: 'the recall and the expiry of early mail' });
  assert.ok(Date.now() - sentAt > 24000, 'not before its time');
  if (s3) assert.deepEqual(s3.counts().bad, [], 'every signature was right');
}

const options = { skip: !hasPostfix() && 'needs root and Postfix', timeout: 7 * 60000 };

test('s3://: a flipped bit is held; a failing store, kill -9 of an ingest and a wiped Redis lose nothing and double nothing',
  { ...options, skip: options.skip || (!hasS3() && 's3rver is missing (npm ci in tests/)') }, (t) => scenario(t, true));

test('file://: kill -9 of one of two ingests and a wiped Redis lose nothing and double nothing', options, (t) => scenario(t, false));
