// SPDX-License-Identifier: Apache-2.0
//
// How many mails a second ingest takes, beside smtp-sink (which stores nothing) and Postfix (which queues and
// holds).  Ours are durable, and the time runs until Redis has a job for each of them.
//
// Each measurement has a fresh receiver with an empty spool or queue and a short warm-up.

import { Ingest, Postfix, Sink } from './peers/smtp.mjs';
import { SECONDS, caseOf, interleave, machine, median, progress, report, settle, timed } from './lib.mjs';

const RECEIVERS = { ingest: Ingest, 'smtp-sink': Sink, postfix: Postfix };

/** smtp-source: count mails of size octets over so many sessions, kept or one a mail. Gives seconds. */
const send = (port, { sessions, size, isKept }, count) => timed('smtp-source', ['-s', String(sessions), '-m', String(count),
  '-l', String(size), ...(isKept ? ['-d'] : []), '-M', 'client.example', '-f', 'sender@example', '-t', 'recipient@example',
  `127.0.0.1:${port}`]);

/** How many mails take about so long; found by sending a few before the first round. */
const counts = new Map();

async function measure(who, load) {
  const receiver = new RECEIVERS[who]();
  try {
    await receiver.start();
    const key = `${who} ${load.name}`;
    const few = Math.max(load.sessions * 2, load.size > 100000 ? 40 : 200);
    const warm = few / await send(receiver.port, load, few);
    await receiver.allAdded?.(few);
    if (!counts.has(key)) counts.set(key, Math.max(few, Math.round(warm * SECONDS)));
    const count = counts.get(key);
    settle();
    const begun = process.hrtime.bigint();
    const seconds = await send(receiver.port, load, count);
    await receiver.allAdded?.(count);
    const all = receiver.allAdded ? Number(process.hrtime.bigint() - begun) / 1e9 : seconds;
    if (receiver.held && receiver.held() !== few + count) {
      throw new Error(`postfix holds ${receiver.held()} of ${few + count} mails: this does not measure what it should`);
    }
    lag.get(load.name)?.push((all - seconds) * 1000);
    return count / all;
  } finally {
    await receiver.stop();
  }
}

const LOADS = [
  { name: '10 kB, 20 sessions kept', sessions: 20, size: 10000, isKept: true, targets: { 'smtp-sink': 0.9, postfix: 5.5 } },
  { name: '10 kB, 20 sessions, one a mail', sessions: 20, size: 10000, isKept: false, targets: { 'smtp-sink': 0.75, postfix: 3.3 } },
  { name: '1 MB, 20 sessions kept', sessions: 20, size: 1000000, isKept: true, targets: { 'smtp-sink': 1.2, postfix: 3 } },
];
const MANY = { name: '10 kB, 100 sessions kept', sessions: 100, size: 10000, isKept: true };
const lag = new Map([...LOADS, MANY].map((l) => [l.name, []]));

const before = machine().load_average;
const cases = [];
for (const load of LOADS) {
  progress(`\n${load.name}`);
  const got = await interleave(['ingest', 'smtp-sink', 'postfix'], (who) => measure(who, load));
  cases.push(caseOf(load.name, 'msg/s', got.ingest, { 'smtp-sink': got['smtp-sink'], postfix: got.postfix }, load.targets));
}
progress(`\n${MANY.name}`);
const got = await interleave(['100 sessions', '20 sessions'], (which) => measure('ingest', which === '100 sessions' ? MANY : LOADS[0]));
cases.push(caseOf(MANY.name, 'msg/s', got['100 sessions'], { '20 sessions': got['20 sessions'] }, { '20 sessions': 1 }));
for (const c of cases) {
  c.jobs_added_after_ms = Math.round(median(lag.get(c.case)) * 10) / 10;
}
process.exitCode = report('ingest', cases, before) ? 0 : 1;
