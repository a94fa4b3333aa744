// SPDX-License-Identifier: Apache-2.0
//
// What a message costs by stage, how throughput grows with shards and workers, and whether the model of
// deploy/sizing.md, fed with the costs of this run, predicts two other loads (kit/costs.mjs).
//
//   BENCH_COST_MAILS (60) mails a measurement, BENCH_COST_ROUNDS (3); BENCH_GRID=0: without the grid

import os from 'node:os';
import { SECONDS, caseOf, format, median, progress, report } from './lib.mjs';
import { CostStack, STAGES, boxCalls, predict } from './kit/costs.mjs';
import { mailOf, officeMail } from './kit/mails.mjs';

const MAILS = Number(process.env.BENCH_COST_MAILS ?? 60);
const ROUNDS = Number(process.env.BENCH_COST_ROUNDS ?? 3);
const MB = 1000000;
const begun = os.loadavg();
const KINDS = {
  text: (n) => mailOf('text', n),
  html: (n) => mailOf('html', n),
  'text + 1 MB': (n) => mailOf('text', n, { attachment: MB }),
};
// Two loads that no constant was taken from.
const POINTS = {
  'office mail': { mail: officeMail, html: 0.4, attachmentMB: 0.41 / 3, attachments: 1 / 3, recipients: 1 },
  'HTML, 300 kB, 3 recipients': { html: 1, attachmentMB: 0.3, attachments: 1, recipients: 3,
    mail: (n) => { const m = mailOf('html', n, { attachment: 300000 }); return { ...m, to: [m.to, `b-${n}@partner.example.com`, `c-${n}@partner.example.com`] }; } },
};

/** The median of each number in objects of the same form. */
function middle(all) {
  if (typeof all[0] === 'number') return median(all);
  const keys = [...new Set(all.flatMap(Object.keys))];
  return Object.fromEntries(keys.map((k) => [k, middle(all.map((o) => o[k] ?? (typeof all.find((p) => p[k] !== undefined)[k] === 'number' ? 0 : {})))]));
}

function table(title, rows) {
  const widths = rows[0].map((_, i) => Math.max(...rows.map((r) => String(r[i]).length)));
  process.stdout.write(`${title}\n`);
  for (const r of rows) process.stdout.write(`  ${r.map((c, i) => (i === 0 ? String(c).padEnd(widths[i]) : String(c).padStart(widths[i]))).join('  ')}\n`);
}

/** Costs by kind and at the two points, interleaved; what is watched, once for each kind. */
async function costs() {
  const c = await CostStack.start();
  try {
    const all = { ...KINDS, ...Object.fromEntries(Object.entries(POINTS).map(([k, p]) => [k, p.mail])) };
    await c.run(20, officeMail); // browsers, tokens, scripts
    const measured = Object.fromEntries(Object.keys(all).map((k) => [k, []]));
    for (let round = 0; round < ROUNDS; round++) {
      for (const [kind, mail] of Object.entries(all)) {
        measured[kind].push(await c.measure(MAILS, mail));
        const ms = Object.values(measured[kind].at(-1).cpu).reduce((a, b) => a + b, 0);
        progress(`round ${round + 1}/${ROUNDS} ${kind}: ${ms.toFixed(1)} ms, load ${os.loadavg()[0].toFixed(1)}`);
      }
    }
    const result = Object.fromEntries(Object.entries(measured).map(([k, v]) => [k, middle(v)]));
    for (const kind of ['text', 'html']) Object.assign(result[kind], await c.watch(Math.min(MAILS, 30), KINDS[kind]));
    result.idle = await c.idle();
    return { result, measured };
  } finally {
    await c.end();
  }
}

function printCosts(result) {
  const rows = (of, digits) => ['redis', ...STAGES].map((s) => [s, ...Object.keys(KINDS).map((k) => (of(result[k], s) ?? 0).toFixed(digits))]);
  table('processor time, ms a message', [['', ...Object.keys(KINDS), 'idle, ms/s'],
    ...rows((r, s) => r.cpu[s], 2).map((r) => [...r, result.idle[r[0]].toFixed(1)])]);
  table('written to disk, kB a message', [['', ...Object.keys(KINDS)], ...rows((r, s) => (r.disk[s] ?? 0) / 1000, 1)]);
  table('Redis commands sent and syncs, a message', [['', 'commands, text', 'html', 'syncs, text', 'html'],
    ...[...STAGES, 'redis'].map((s) => [s, ...['text', 'html'].map((k) => (result[k].redis[s] ?? 0).toFixed(1)),
      ...['text', 'html'].map((k) => (result[k].syncs[s] ?? 0).toFixed(2))])]);
  process.stdout.write(`  commands inside of scripts: text ${result.text.inScripts.toFixed(1)}, html ${result.html.inScripts.toFixed(1)}\n`);
  const http = Object.entries(result['text + 1 MB'].http).sort((a, b) => b[1] - a[1]);
  table('calls of the storage, a message with one attachment and one recipient', [['', ''], ...http.map(([k, v]) => [k, v.toFixed(2)])]);
}

/** Prediction against measurement at each point. */
function checkModel(result) {
  const perMB = Object.fromEntries(['cpu', 'disk'].map((what) => [what, Object.fromEntries(['redis', ...STAGES].map((s) =>
    [s, Math.max(0, (result['text + 1 MB'][what][s] ?? 0) - (result.text[what][s] ?? 0))]))]));
  const model = { text: result.text, html: result.html, perMB };
  const sum = (o) => Object.values(o).reduce((a, b) => a + b, 0);
  const rows = [['', 'predicted', 'measured', 'measured/predicted']];
  const points = {};
  for (const [name, point] of Object.entries(POINTS)) {
    const p = predict(model, point);
    const m = result[name];
    const pairs = { 'CPU, ms': [p.cpu, sum(m.cpu)], 'disk, kB': [p.disk / 1000, sum(m.disk) / 1000],
      'Box calls': [boxCalls(point), sum(m.http)] };
    points[name] = pairs;
    for (const [what, [a, b]] of Object.entries(pairs)) rows.push([`${name}: ${what}`, format(a), format(b), (b / a).toFixed(2)]);
  }
  table('the model at two points', rows);
  return { perMB, points };
}

/** Mails a second by shards and workers of render, upload and rewrite each. */
async function grid() {
  const count = Math.max(MAILS, 40 * SECONDS);
  const rows = [['shards', ...[1, 2, 4].map((w) => `${w} worker${w > 1 ? 's' : ''}`)]];
  const cells = [];
  for (const shards of [1, 2, 4]) {
    const row = [shards];
    for (const workers of [1, 2, 4]) {
      const c = await CostStack.start({ shards, workers: { render: workers, upload: workers, rewrite: workers } });
      try {
        await c.run(20, KINDS.text);
        const m = await c.measure(count, KINDS.text);
        const rate = count / m.seconds;
        const ms = Object.values(m.cpu).reduce((a, b) => a + b, 0);
        row.push(`${rate.toFixed(1)} (${ms.toFixed(1)} ms)`);
        cells.push({ shards, workers, rate, cpu_ms: ms });
        progress(`${shards} shards, ${workers} workers: ${rate.toFixed(1)}/s, ${ms.toFixed(1)} ms, load ${os.loadavg()[0].toFixed(1)}`);
      } finally {
        await c.end();
      }
    }
    rows.push(row);
  }
  table('plain text, end to end: mails a second (processor time a mail)', rows);
  return cells;
}

const { result, measured } = await costs();
const cells = process.env.BENCH_GRID === '0' ? [] : await grid();
printCosts(result);
const check = checkModel(result);
const total = (kind) => measured[kind].map((m) => Object.values(m.cpu).reduce((a, b) => a + b, 0));
report('cost', [...Object.keys(KINDS), ...Object.keys(POINTS)].map((k) => caseOf(`processor time a message: ${k}`, 'ms', total(k))), begun,
  { costs: result, model: check, grid: cells });
