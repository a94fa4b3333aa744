// SPDX-License-Identifier: Apache-2.0
//
// tests/soak/run: see there.  Mail of an office (tests/bench/kit/mails.mjs) at a part of the full rate; every 10 s
// memory (anonymous pages), descriptors and threads of every process, Redis, spool.  After
// the warm-up a line is fitted; a process may not grow.  Redis and the manifests in the spool do, by design, with each
// message, until the retention ends: that is given in bytes a message, and not judged.

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT, sleep } from '../support/harness.mjs';
import { machine } from '../bench/lib.mjs';
import { officeMail } from '../bench/kit/mails.mjs';
import { Feeder, benchStack, emptied, openMessages } from '../bench/kit/stack.mjs';
import { BOUNDS, BOUNDS_PASSING, Watch, isFlat, lineThrough } from './watch.mjs';

const SERVICES = ['ingest', 'render', 'upload', 'rewrite', 'revoke', 'watch', 'portal'];
const EVERY = 10000;
const MIB = 1 << 20;
const say = (text) => process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${text}\n`);

function options() {
  let values;
  try {
    ({ values } = parseArgs({ options: { minutes: { type: 'string', default: '60' }, load: { type: 'string', default: '70' },
      rate: { type: 'string', default: '0' } } }));
  } catch (error) {
    process.stderr.write(`tests/soak/run: ${error.message}\n`);
    process.exit(2);
  }
  const given = Object.fromEntries(Object.entries(values).map(([k, v]) => [k, Number(v)]));
  if (!(given.minutes >= 1 && given.minutes <= 10000 && given.load > 0 && given.load <= 100 && given.rate >= 0)) {
    process.stderr.write('tests/soak/run: --minutes 1 to 10000, --load 1 to 100, --rate 0 or more\n');
    process.exit(2);
  }
  return given;
}

/** Mails a second when there is always something to do. */
async function fullRate(stack, feeder) {
  const WINDOW = 200;
  let isOver = false;
  const mails = { next: 0 };
  const feed = feeder.drive(stack, 500, (n) => { mails.next = n + 1; return officeMail(n); }, () => isOver, WINDOW);
  await sleep(15000);
  const before = feeder.sent - await openMessages(stack);
  const from = Date.now();
  await sleep(30000);
  const rate = (feeder.sent - await openMessages(stack) - before) / ((Date.now() - from) / 1000);
  isOver = true;
  await feed;
  await emptied(stack);
  return rate;
}

const format = (column, v) => (column === 'memory' ? `${(v / MIB).toFixed(1)} MiB` : v.toFixed(1));

/** One line of the table for each process and column, and whether all are flat. */
function judge(watch, warmup) {
  const table = [];
  const rows = Object.keys(watch.samples.at(-1).rows);
  for (const row of rows) {
    const bounds = row.startsWith('render: ') ? BOUNDS_PASSING : BOUNDS;
    for (const column of Object.keys(watch.samples.at(-1).rows[row]).filter((c) => bounds[c])) {
      if (row === 'redis' && column === 'memory') continue; // what it holds grows: bytes a message, below
      const line = lineThrough(watch.series(row, column, warmup));
      const bound = bounds[column](line.start);
      table.push({ process: row, column, ...line, bound, isFlat: isFlat(line, bound) });
    }
  }
  return table;
}

function print(table) {
  const cells = [['process', '', 'start', 'end', 'an hour', 'grew', 'bound', '']];
  for (const t of table) {
    cells.push([t.process, t.column, format(t.column, t.start), format(t.column, t.end), format(t.column, t.slope),
      format(t.column, t.growth), format(t.column, t.bound), t.isFlat ? 'flat' : 'GREW']);
  }
  const widths = cells[0].map((_, i) => Math.max(...cells.map((r) => r[i].length)));
  for (const r of cells) {
    process.stdout.write(`${r.map((c, i) => (i < 2 ? c.padEnd(widths[i]) : c.padStart(widths[i]))).join('  ').trimEnd()}\n`);
  }
}

/** What stays of each message, by design: the slope of the size over messages done. */
function perMessage(watch, warmup) {
  const after = watch.samples.filter((s) => s.at >= warmup);
  const slope = (value) => lineThrough(after.map((s) => [s.done, value(s)])).slope;
  const result = { 'Redis, data': slope((s) => s.rows.redis.data) };
  for (const name of Object.keys(after.at(-1).spool)) {
    const bytes = slope((s) => s.spool[name]?.bytes ?? 0);
    if (Math.abs(bytes) >= 1) result[`spool/${name}, on disk`] = bytes;
  }
  return result;
}

async function soak(stack, feeder, given) {
  const rate = given.rate > 0 ? given.rate : (await fullRate(stack, feeder)) * (given.load / 100);
  const warmup = Math.min(600, given.minutes * 12);
  say(`driving at ${rate.toFixed(1)} mails a second for ${given.minutes} minutes, of which ${(warmup / 60).toFixed(1)} warm-up`);
  const watch = new Watch(stack);
  const end = Date.now() + given.minutes * 60000;
  const before = feeder.sent;
  const drive = feeder.drive(stack, rate, officeMail, () => Date.now() >= end);
  let open = 0;
  while (Date.now() < end) {
    const next = Date.now() + EVERY;
    open = await openMessages(stack);
    const s = await watch.sample(feeder.sent - before - open);
    if (watch.samples.length % 6 === 1) {
      const r = s.rows;
      say(`${s.done} done, ${open} open, load ${os.loadavg()[0].toFixed(1)}; MiB: ${Object.keys(r).map((k) => `${k} ${Math.round(r[k].memory / MIB)}`).join(', ')}`);
      if (process.env.SOAK_SAMPLES) fs.writeFileSync(process.env.SOAK_SAMPLES, JSON.stringify(watch.samples));
    }
    await sleep(Math.max(0, Math.min(next, end) - Date.now()));
  }
  const driven = await drive;
  await emptied(stack);
  return { rate, warmup, watch, driven };
}

const given = options();
const begun = os.loadavg();
const stack = await benchStack(SERVICES);
let code = 1;
try {
  const feeder = new Feeder(stack.world.ports.smtp);
  const { rate, warmup, watch, driven } = await soak(stack, feeder, given);
  const taken = await stack.by.rewrite.metric('fumibako_relayed_total', 'code="2xx"') ?? 0;
  const receipts = await stack.by.rewrite.metric('fumibako_letters_total', 'letter="receipt",outcome="sent"') ?? 0;
  const relayed = taken - receipts;
  const table = judge(watch, warmup);
  const about = machine();
  process.stdout.write(`soak: ${given.minutes} min at ${rate.toFixed(1)} mails a second, ${driven.sent} mails, `
    + `${(feeder.bytes / feeder.sent / 1000).toFixed(0)} kB on average; ${about.cpu}, ${about.disk}, load ${begun[0].toFixed(1)} before\n`);
  print(table);
  const each = perMessage(watch, warmup);
  for (const [what, bytes] of Object.entries(each)) process.stdout.write(`stays of a message: ${what}: ${Math.round(bytes)} bytes\n`);
  const isWhole = relayed === feeder.sent && feeder.failures.length === 0;
  process.stdout.write(`accepted ${feeder.sent}, sent on ${relayed}, receipts ${receipts}, refused ${feeder.failures.length}; `
    + `not driven for ${driven.held.toFixed(0)} s because too much was open\n`);
  for (const f of feeder.failures.slice(0, 3)) process.stdout.write(`  ${f}\n`);
  fs.mkdirSync(path.join(ROOT, 'build/bench'), { recursive: true });
  fs.writeFileSync(path.join(ROOT, 'build/bench/soak.json'), `${JSON.stringify({ machine: about, date: new Date().toISOString(),
    given, rate, warmup, driven, accepted: feeder.sent, relayed, refused: feeder.failures, each, table, samples: watch.samples })}\n`);
  code = isWhole && table.every((t) => t.isFlat) ? 0 : 1;
  feeder.close();
} finally {
  await stack.end();
}
process.exit(code);
