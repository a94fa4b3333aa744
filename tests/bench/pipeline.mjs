// SPDX-License-Identifier: Apache-2.0
//
// What the pipeline does in a second on this machine, stage by stage and end to end, and what a message costs when
// 1,000 and when 100,000 wait.  Durable ingest, real Redis, the Box simulator without its rate limit, smtp-sink as
// the MTA that takes mail back.
//
//   stage      N mails wait for this stage, the others stand still: N divided by the time until none is left
//   end to end all stages at work from the first mail on: accepted until the last notice is out
//   cost       processor time of all services and Redis for one message of the render and rewrite stages, measured on
//              the same number of messages with so many waiting
//
//   peers      mails per second of processor time, against what people would write: kit/peers.mjs
//
//   BENCH_MAILS (400) mails a round, BENCH_DEEP (100000) the deep queue; plain text of 10 kB by smtp-source

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import { Stack } from '../e2e/stack.mjs';
import { sleep, waitFor } from '../support/harness.mjs';
import { ROUNDS, caseOf, progress, report, timed } from './lib.mjs';
import { comparePeers } from './kit/peers.mjs';

const MAILS = Number(process.env.BENCH_MAILS ?? 400);
const DEEP = Number(process.env.BENCH_DEEP ?? 100000);
const SHALLOW = 1000;
const POOL = 100; // users at Box: 240 uploads a minute and user are Box's limit, not ours
const TICKS = Number(execFileSync('getconf', ['CLK_TCK']).toString());
const begun = os.loadavg();

/** Processor seconds so far of a process and everything below it that has ended or still runs. */
function cpuOf(pid) {
  let total = 0;
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'latin1');
    const f = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    total = (Number(f[11]) + Number(f[12]) + Number(f[13]) + Number(f[14])) / TICKS;
    for (const task of fs.readdirSync(`/proc/${pid}/task`)) {
      const children = fs.readFileSync(`/proc/${pid}/task/${task}/children`, 'latin1').trim();
      for (const child of children.split(' ').filter(Boolean)) total += cpuOf(child);
    }
  } catch { /* it ended meanwhile; its parent has its time */ }
  return total;
}

const cpuOfStack = (stack) => stack.running.filter((s) => s.isRunning).reduce((sum, s) => sum + cpuOf(s.pid),
  cpuOf(stack.world.redis.process.pid));

async function newStack(services) {
  const stack = await Stack.start(null, { postfix: false, services, box: { users: POOL }, overrides: { log: { level: 'warn' },
    ingest: { spool_max: '8GiB' } } });
  // smtp-sink refuses to run as root.
  const user = process.getuid() === 0 ? ['-u', 'nobody'] : [];
  stack.world.spawn('/usr/sbin/smtp-sink', [...user, `127.0.0.1:${stack.world.ports.relay}`, '1000'], { stdio: 'ignore' });
  return stack;
}

const feed = (stack, count) => timed('/usr/sbin/smtp-source', ['-s', '20', '-l', '10240', '-m', String(count), '-d', '-f',
  'taro@example.jp', '-t', 'hanako@partner.example.com', `127.0.0.1:${stack.world.ports.smtp}`], { timeout: 600000 });

const depth = async (stack, stage) => (await stack.world.redis.command('XLEN', `fb:{s0}:${stage}`))
  + (await stack.world.redis.command('XLEN', `fb:{s0}:${stage}:bulk`));
const waitDepth = (stack, stage, least) => waitFor(async () => (await depth(stack, stage)) >= least,
  { timeout: 120000, interval: 20, what: `${least} jobs for ${stage}` });
/** Seconds until a stage's stream is empty. */
async function drained(stack, stage, most = 0) {
  const from = process.hrtime.bigint();
  await waitFor(async () => (await depth(stack, stage)) <= most, { timeout: 20 * 60000, interval: 20, what: `${stage} to drain` });
  return Number(process.hrtime.bigint() - from) / 1e9;
}

/** One round: each stage alone, then all together. */
async function round(values) {
  const stack = await newStack(['ingest']);
  try {
    values.ingest.push(MAILS / await feed(stack, MAILS));
    await waitDepth(stack, 'render', MAILS);
    for (const [stage, next] of [['render', 'upload'], ['upload', 'rewrite'], ['rewrite', null]]) {
      await stack.startService(stage);
      values[stage].push(MAILS / await drained(stack, stage));
      await stack.by[stage].stop();
      if (next) await waitDepth(stack, next, MAILS);
    }
    for (const stage of ['render', 'upload', 'rewrite']) await stack.startService(stage);
    const from = process.hrtime.bigint();
    await feed(stack, MAILS);
    await waitFor(async () => (await stack.world.redis.command('ZCARD', 'fb:{s0}:open')) === 0,
      { timeout: 20 * 60000, interval: 20, what: 'the last notice' });
    values.all.push(MAILS / (Number(process.hrtime.bigint() - from) / 1e9));
  } finally {
    await stack.end();
  }
}

/** Processor milliseconds a message costs from the queue to the notice, with `waiting` behind it. */
async function cost(waiting) {
  const stack = await newStack(['ingest']);
  try {
    await feed(stack, waiting);
    await waitDepth(stack, 'render', waiting);
    for (const stage of ['render', 'upload', 'rewrite']) await stack.startService(stage);
    await sleep(1000); // what starting costs is no message's cost
    const open = await stack.world.redis.command('ZCARD', 'fb:{s0}:open');
    const cpu = cpuOfStack(stack);
    await sleep(waiting > SHALLOW ? 20000 : 8000);
    const done = open - await stack.world.redis.command('ZCARD', 'fb:{s0}:open');
    const spent = cpuOfStack(stack) - cpu;
    progress(`${waiting} waiting: ${done} messages, ${spent.toFixed(2)} s of processor time`);
    return (spent / done) * 1000;
  } finally {
    await stack.end();
  }
}

const values = { ingest: [], render: [], upload: [], rewrite: [], all: [] };
for (let i = 0; i < ROUNDS; i++) {
  await round(values);
  progress(`round ${i + 1}/${ROUNDS}: ${Object.entries(values).map(([k, v]) => `${k} ${v.at(-1).toFixed(0)}/s`).join(', ')}`);
}
const shallow = [];
const deep = [];
for (let i = 0; i < ROUNDS; i++) {
  shallow.push(await cost(SHALLOW));
  deep.push(await cost(DEEP));
}
const peers = await comparePeers(); // what people would write, on the same mails in the same run
process.exitCode = report('pipeline', [
  caseOf('ingest alone', 'msg/s', values.ingest),
  caseOf('render alone (plain text)', 'msg/s', values.render),
  caseOf('upload alone (simulator)', 'msg/s', values.upload),
  caseOf('rewrite alone (smtp-sink)', 'msg/s', values.rewrite),
  caseOf('end to end', 'msg/s', values.all),
  caseOf(`processor time a message, ${DEEP} waiting`, 'ms', deep, { [`${SHALLOW} waiting`]: shallow }),
  ...peers,
], begun) ? 0 : 1;
