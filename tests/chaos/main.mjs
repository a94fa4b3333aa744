// SPDX-License-Identifier: Apache-2.0
//
// A chaos run, from the first mail to the verdict.  Started by tests/chaos/run, in name spaces of its own.

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { sleep, waitFor } from '../support/harness.mjs';
import { deliveries, facts } from './collect.mjs';
import { openAs, recall, send } from './drive.mjs';
import { play } from './faults.mjs';
import { Kit, pause } from './kit.mjs';
import { KINDS, corpus } from './mails.mjs';
import { Oracle } from './oracle.mjs';
import { schedule } from './schedule.mjs';
import { judgePdfs } from './pdf.mjs';

const { values: given } = parseArgs({ options: {
  minutes: { type: 'string', default: '20' }, seed: { type: 'string', default: '1' }, mails: { type: 'string' },
  every: { type: 'string', default: '5' }, only: { type: 'string' }, users: { type: 'string', default: '60' },
  settle: { type: 'string', default: '30' }, most: { type: 'string', default: '600' },
} });
const minutes = Number(given.minutes);
const most = given.mails ? Number(given.mails) : Infinity;
const only = given.only ? new RegExp(given.only) : null;
const dir = process.env.CHAOS_DIR;
const say = (text) => process.stdout.write(`${text}\n`);
const begun = Date.now();
const clock = () => `${Math.floor((Date.now() - begun) / 60000)}:${String(Math.floor((Date.now() - begun) / 1000) % 60).padStart(2, '0')}`;

const real = corpus(process.env.FUMIBAKO_SHARED);
say(`seed ${given.seed}, ${minutes} minutes, ${given.mails ?? 'as many as go through'} mails, a fault every ${given.every} s, ${real.length} real mails, load ${os.loadavg()[0].toFixed(1)}`);
say(`mix in 1,000 mails: ${Object.entries(KINDS).map(([k, n]) => `${k} ${n}`).join(', ')}`);

const kit = await Kit.start({ seed: given.seed, dir, users: Number(given.users), echo: process.env.CHAOS_ECHO ? new RegExp(process.env.CHAOS_ECHO) : null });
const maildir = path.join(kit.stack.postfix.mail, 'all/new');
kit.arrived = () => kit.relay.reached.size;

const mails = [];
const recalls = [];
const accesses = [];
const wipes = [];
const isOver = { isOver: false };
const noFaults = { isOver: false };
const noRecalls = { isOver: false };
const note = kit.journal.note.bind(kit.journal);
kit.journal.note = (what, more) => {
  const e = note(what, more);
  if (what === 'wiped') wipes.push(e.at);
  return e;
};
const started = Date.now();
const isEnough = (n) => n >= most || (most === Infinity && Date.now() - started >= minutes * 60000);
const progress = setInterval(() => {
  say(`${clock()} ${mails.length} sent, ${kit.arrived()} arrived, ${kit.journal.events.filter((e) => e.what === 'fault begins').length} faults, ${recalls.length} recalls, load ${os.loadavg()[0].toFixed(1)}`);
}, 30000);

let exit = 1;
try {
  const faults = play(kit, schedule(given.seed, Number(given.every), only), noFaults);
  const recalling = recall(kit, { mails, recalls, accesses, wipes, signal: noRecalls });
  // With a number of mails, they are spread over the time; the run lasts until all are sent and the time is over.
  const perSecond = most === Infinity ? Infinity : most / (minutes * 60);
  const { refused } = await send(kit, { real, isEnough, perSecond, most: Number(given.most), mails, signal: isOver });
  await pause(started + minutes * 60000 - Date.now());
  const sentIn = (Date.now() - started) / 1000;
  noFaults.isOver = true;
  const { counts, missed } = await faults;
  note('faults over');
  say(`${clock()} ${mails.length} sent, faults are over`);
  await kit.allReady();
  noRecalls.isOver = true;
  const { left } = await Promise.race([recalling, pause(120000).then(() => { noRecalls.isLast = true; return recalling; })]);
  const isQuiet = await settled(Number(given.settle) * 60000);
  const held = (await kit.ctl(['dead', 'list', '--json', '--limit', '1000000'])).json();
  for (const d of held) await kit.ctl(['dead', 'retry', d.id]);
  if (held.length > 0) say(`${clock()} ${held.length} held, retried: ${summary(held.map((d) => `${d.stage}: ${d.reason}`)).slice(0, 10).join('; ')}`);
  const isQuietAgain = held.length === 0 || await settled(10 * 60000);
  const quietAfter = (Date.now() - started) / 1000;
  await waitForReports();
  say(`${clock()} at rest; the oracle looks`);
  clearInterval(progress);

  const oracle = new Oracle(mails);
  for (const d of deliveries(maildir)) oracle.deliver(d);
  const all = await facts(kit, { recalls, accesses, wipes });
  const verdict = await oracle.judge(all);
  const pdfs = await judgePdfs(kit, oracle, 300);
  verdict.problems.push(...pdfs.problems);
  for (const e of kit.journal.events.filter((x) => x.what === 'ended by itself')) {
    if (!mayEnd(e)) verdict.problems.push({ kind: 'crash', text: `${e.name} (pid ${e.pid}) ended by itself with ${e.how} at ${new Date(e.at).toISOString()}`, mail: null });
  }
  if (!isQuiet || !isQuietAgain) verdict.problems.push({ kind: 'lost', text: 'the pipeline did not come to rest', mail: null });
  if (left > 0) verdict.problems.push({ kind: 'lost', text: `${left} recalls could not be made`, mail: null });
  report({ verdict, counts, missed, refused, sentIn, quietAfter, pdfs, held, stillHeld: all.dead });
  exit = verdict.problems.length === 0 ? 0 : 1;
} catch (error) {
  say(`the run failed: ${error.stack}`);
} finally {
  clearInterval(progress);
  for (const s of [isOver, noFaults, noRecalls]) s.isOver = true;
  noRecalls.isLast = true;
  keep();
  await kit.end().catch((e) => say(`end: ${e.message}`));
}
process.exit(exit);

/** On a read-only or full disk a service may refuse to start; the supervisor tries again, as systemd would. */
function mayEnd(e) {
  const begins = kit.journal.events.filter((x) => x.what === 'fault begins' && /^disk|error$/.test(x.kind) && x.at <= e.at);
  const isOf = (b) => kit.journal.events.find((x) => x.what === 'fault ends' && x.n === b.n)?.at ?? Infinity;
  // One that began meanwhile may take its time to end.
  const life = kit.lives.filter((x) => x.name === e.name && x.pid === e.pid && x.from <= e.at).at(-1);
  return typeof e.how === 'number' && e.how < 128
    && begins.some((b) => isOf(b) + 3000 >= e.at || (life && life.from >= b.at && life.from <= isOf(b)));
}

async function settled(timeout) {
  let quiet = 0;
  return waitFor(async () => {
    const r = await kit.ctl(['queue', '--json']);
    let open = 0;
    if (r.status === 0) open = await kit.redis.command('ZCARD', 'fb:{s0}:open');
    const dead = r.status === 0 ? await kit.redis.command('XLEN', 'fb:{s0}:dead') : 0;
    const isBusy = r.status !== 0 || /"(waiting|inflight|delayed)":\s*[1-9]/.test(r.stdout) || kit.stack.postfix.queued() > 0 || open > dead;
    quiet = isBusy ? 0 : quiet + 1;
    return quiet >= 4;
  }, { timeout, interval: 1000, what: 'rest' }).then(() => true, async () => {
    say(`not at rest: ${(await kit.ctl(['queue'])).stdout}; ${kit.stack.postfix.queued()} in the MTA; open ${await kit.redis.command('ZRANGE', 'fb:{s0}:open', 0, 5)}`);
    return false;
  });
}

/** Final reports of recalls come when the storage's log is complete. */
async function waitForReports() {
  const end = Date.now() + 300000;
  while (Date.now() < end) {
    const finals = new Set(kit.relay.transactions.filter((t) => t.code === 250 && /^recall-.*-final@/.test(t.letter ?? '')).map((t) => t.id));
    if (recalls.every((x) => finals.has(x.id) || wipes.some((at) => at >= x.at - 1000))) break;
    await sleep(1000);
  }
  await settled(120000);
  // What has ended lies in the spool for half a minute more.
  await waitFor(async () => (await kit.ctl(['spool', 'list', '--json'])).json().count <= (await kit.ctl(['dead', 'list', '--json', '--limit', '100000'])).json().length,
    { timeout: 120000, interval: 1000, what: 'the spool' }).catch(() => {});
}

function summary(list) {
  const counts = new Map();
  for (const x of list) counts.set(x, (counts.get(x) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]).map(([k, n]) => `${n} x ${k}`);
}

function report({ verdict, counts, missed, refused, sentIn, quietAfter, pdfs, held, stillHeld }) {
  const total = Object.values(counts).reduce((a, b) => a + b, 0);
  const by = (kind) => verdict.problems.filter((p) => p.kind === kind).length;
  const rcpts = mails.reduce((n, m) => n + m.to.length, 0);
  say('');
  say(`seed                  ${given.seed}`);
  say(`mails                 ${mails.length} (${summary(mails.map((m) => m.kind)).join(', ')}), ${rcpts} recipients, ${(mails.reduce((n, m) => n + m.bytes, 0) / 1e6).toFixed(0)} MB; refused by the MTA ${refused}`);
  say(`throughput            ${(mails.length / sentIn).toFixed(1)} mails/s over ${(sentIn / 60).toFixed(1)} minutes under faults; at rest after ${(quietAfter / 60).toFixed(1)} minutes`);
  say(`faults                ${total}, one every ${(sentIn / total).toFixed(1)} s; ${missed} more did not take hold`);
  for (const [kind, n] of Object.entries(counts).sort((a, b) => b[1] - a[1])) say(`  ${String(n).padStart(4)}  ${kind}`);
  say(`ends                  ${Object.entries(verdict.ends).map(([k, n]) => `${k} ${n}`).join(', ')}`);
  say(`letters               ${Object.entries(verdict.letters).map(([k, n]) => `${k} ${n}`).join(', ')}`);
  say(`held on the way       ${held.length}; retried by the operator when the faults were over`);
  for (const line of summary(stillHeld.map((d) => `still held: ${d.stage}: ${d.reason}`)).slice(0, 20)) say(`  ${line}`);
  say(`recalls               ${recalls.length} messages, ${recalls.reduce((n, x) => n + x.recipients.length, 0)} recipients; accesses before them ${accesses.length}`);
  say(`PDFs read             ${pdfs.read}`);
  say(`duplicates            ${verdict.duplicates.reduce((n, d) => n + d.copies - 1, 0)} second copies for ${verdict.duplicates.length} recipients`);
  for (const line of summary(verdict.duplicates.flatMap((d) => [...d.reasons, ...(d.unexplained ? [`NOT EXPLAINED: ${d.unexplained.replace(/[0-9A-Z]{26}/g, 'ID')}`] : [])]))) say(`  ${line}`);
  say(`lost ${by('lost')}, leaked ${by('leaked')}, wrong recipient ${by('wrong recipient')}, changed ${by('changed')}, twice without explanation ${by('twice')}, disagreements ${by('disagree')}, crashes ${by('crash')}`);
  for (const p of verdict.problems.slice(0, 60)) say(`  ${p.kind}: ${p.text}${p.mail === null ? '' : ` [mail ${p.mail} ${mails.find((m) => m.i === p.mail)?.kind}]`}`);
  fs.writeFileSync(path.join(dir, 'verdict.json'), JSON.stringify({ ...verdict, counts, mails: mails.length }, null, 1));
}

/** Logs for whoever looks after it. */
function keep() {
  try {
    fs.copyFileSync(path.join(kit.stack.postfix.dir, 'postfix.log'), path.join(dir, 'postfix.log'));
    fs.writeFileSync(path.join(dir, 'relay.ndjson'), kit.relay.transactions.map((t) => `${JSON.stringify(t)}\n`).join(''));
    fs.writeFileSync(path.join(dir, 'mails.ndjson'), mails.map((m) => `${JSON.stringify({ i: m.i, kind: m.kind, queue: m.queue, at: m.at, to: m.to.map((t) => t.address), base: m.base })}\n`).join(''));
  } catch (error) {
    say(`keep: ${error.message}`);
  }
}
