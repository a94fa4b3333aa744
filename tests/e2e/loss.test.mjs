// SPDX-License-Identifier: Apache-2.0
//
// Nothing is lost and nothing leaks, whoever dies: each service in turn is killed (SIGKILL) at random moments while
// mail flows, then Redis is stopped for a while, restarted, and wiped once.  FB_LOSS_MAILS sets how many mails (2000),
// FB_LOSS_SEED repeats a run.
//
// A second copy is possible in two places only, both where an answer is lost (RFC 1047): ingest dies between the commit
// and its 250, so the MTA hands the mail in once more and it becomes two messages, each with a parcel and a notice of its
// own; and rewrite dies between the MTA's reply and the sent journal's commit, so one message's notice goes out again.
// Both are counted apart and must not exceed the kills times what such a process has in hand.

import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { hasPostfix } from '../support/postfix.mjs';
import { ROOT, sleep, Smtp, waitFor } from '../support/harness.mjs';
import { SERVICES, Stack, everythingIn, splitMail } from './stack.mjs';
import { plainMail } from './mails.mjs';

// As the programs are shipped: with sanitizers 2,000 mails take too long, and a crash shows itself here as a lost mail.
const release = path.join(ROOT, 'build/release/bin');
if (fs.existsSync(path.join(release, 'fumibako-ingest'))) process.env.FB_BIN = release;

const needsPostfix = { skip: hasPostfix() ? false : 'needs root and Postfix', timeout: 40 * 60000 };
const MAILS = Number(process.env.FB_LOSS_MAILS ?? 2000);
const THREADS = 8;
const SESSIONS = 20; // of the MTA to ingest at the same time
const POOL = 60; // users at Box, so that its limits a minute are not what slows the test

function random(seed) { // mulberry32
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Sends mails to Postfix over a few kept connections; Postfix keeps what ingest cannot take. */
async function sendAll(stack, first, count) {
  let next = first;
  await Promise.all(Array.from({ length: 4 }, async () => {
    const smtp = await Smtp.connect(stack.postfix.port, { timeout: 60000 });
    while (next < first + count) {
      const i = next++;
      const to = `r${i}@partner.example.com`;
      const reply = await smtp.send({ from: 'taro@example.jp', to: [to], content: plainMail({ token: `t${i}x`, to }) });
      assert.equal(reply?.code, 250, `Postfix took mail ${i}: ${reply?.text}`);
      await sleep(5);
    }
    smtp.close();
  }));
}

/** Everything that was handed in against everything that came out. */
async function judge(stack, first, count) {
  const problems = [];
  let copies = 0; // of one message: the same trace header's id
  let twins = 0; // messages that the MTA handed in again
  const state = await stack.box.state();
  const folders = state.folders.filter((f) => /^m-/.test(f.name));
  const grants = new Map();
  for (const c of state.collaborations) {
    const login = c.login;
    grants.set(login, [...(grants.get(login) ?? []), c.item.id]);
  }
  for (let i = first; i < first + count; i++) {
    const to = `r${i}@partner.example.com`;
    const mails = stack.postfix.delivered(to);
    if (mails.length === 0) problems.push(`mail ${i} is lost`);
    const ids = new Set(mails.map((m) => splitMail(m.raw).get('x-fumibako-id')?.slice(0, 26)));
    copies += mails.length - ids.size;
    twins += Math.max(0, ids.size - 1);
    for (const m of mails) {
      const seen = everythingIn(m.raw);
      if (/body-t\d+x-end/.test(seen)) problems.push(`mail ${i} leaks its content`);
      if (!/https?:\/\//.test(seen)) problems.push(`mail ${i} has no link`);
    }
    const own = new Set(grants.get(to) ?? []);
    if (own.size !== ids.size) problems.push(`the recipient of mail ${i} has ${ids.size} notices and can open ${own.size} folders`);
  }
  const names = folders.map((f) => f.name);
  if (new Set(names).size !== names.length) problems.push('a parcel has two folders');
  for (const f of folders) {
    const files = state.files.filter((x) => x.parent === f.id);
    if (files.length !== 1) problems.push(`${f.name} holds ${files.length} files`);
  }
  return { problems: problems.slice(0, 20), copies, twins, folders: folders.length };
}

/** The latest life of a service. */
const alive = (stack, service) => stack.running.filter((s) => s.name === service && s.isRunning).at(-1);

test(`kill -9 of any service at any time during ${MAILS} mails: nothing lost, nothing leaked, copies explained`,
  needsPostfix, async (t) => {
    const seed = Number(process.env.FB_LOSS_SEED ?? Date.now() % 100000);
    const rnd = random(seed);
    console.log(`seed ${seed}`);
    const stack = await Stack.start(t, { box: { users: POOL }, overrides: { rewrite: { concurrency: THREADS } } });
    const kills = {};
    let isDone = false;
    const killer = (async () => {
      while (!isDone) {
        await sleep(300 + rnd() * 1700);
        const service = SERVICES[Math.floor(rnd() * (SERVICES.length - 2))]; // revoke and watch have nothing to do here
        const victim = alive(stack, service);
        if (isDone || !victim) continue;
        await victim.kill();
        kills[service] = (kills[service] ?? 0) + 1;
        await stack.startService(service);
      }
    })();
    killer.catch(() => {});
    await sendAll(stack, 0, MAILS);
    await waitFor(() => stack.postfix.reached() > MAILS * 0.8,
      { timeout: 20 * 60000, interval: 500, what: 'most of the mail' });
    isDone = true;
    await killer;
    await stack.settled({ timeout: 20 * 60000, still: 4 });
    const { problems, copies, twins, folders } = await judge(stack, 0, MAILS);
    console.log(`kills ${JSON.stringify(kills)}, notices sent twice ${copies}, mails handed in twice ${twins}, parcels ${folders}`);
    assert.deepEqual(problems, []);
    assert.ok(Object.values(kills).reduce((a, b) => a + b, 0) >= 4, 'something was killed');
    assert.ok(copies <= (kills.rewrite ?? 0) * THREADS, `${copies} copies are explained by kills of rewrite`);
    assert.ok(twins <= (kills.ingest ?? 0) * SESSIONS, `${twins} mails handed in twice are explained by kills of ingest`);
    const dead = await stack.ctl('dead', 'list', '--json');
    assert.deepEqual(dead.json(), [], 'nothing is held');
  });

test('Redis stopped for a minute, restarted, and wiped once: ingest goes on accepting, everything is delivered',
  needsPostfix, async (t) => {
    const stack = await Stack.start(t, { box: { users: POOL } });
    const outage = Number(process.env.FB_OUTAGE_S ?? 60) * 1000;
    await sendAll(stack, 0, 50);
    await stack.world.redis.stop('SIGKILL');
    const before = Date.now();
    await sendAll(stack, 50, 100);
    // Taken by ingest although Redis is away: Postfix has nothing left.
    await waitFor(() => stack.postfix.queued() === 0, { timeout: 180000, what: 'ingest to accept without Redis' });
    await sleep(Math.max(0, outage - (Date.now() - before)));
    await stack.world.redis.start(['--appendonly', 'yes', '--appendfsync', 'everysec']);
    await waitFor(() => stack.postfix.reached() >= 150, { timeout: 5 * 60000, what: 'the mail after the restart' });
    // Wiped in the middle of work: the spool is the truth; the policy is known from its last good copy.
    const sending = sendAll(stack, 150, 100);
    await sleep(700);
    await stack.world.redis.command('FLUSHALL');
    await sending;
    await waitFor(() => stack.postfix.reached() >= 250,
      { timeout: 5 * 60000, interval: 500, what: 'the mail after the wipe' });
    await sleep(3000);
    const { problems, copies, twins } = await judge(stack, 0, 250);
    console.log(`copies after the wipe: ${copies}`);
    assert.deepEqual(problems, []);
    assert.equal(twins, 0, 'ingest was never away');
    assert.ok(copies <= THREADS, 'only what was between the MTA\'s reply and the journal can go out twice');
  });
