// SPDX-License-Identifier: Apache-2.0
//
// The painters of bodies side by side: messages per second of processor time (Chromium's processes included), on the
// fixtures of tests/fixtures/html and, where FUMIBAKO_SHARED is, on its corpus.  Chromium as render drives it: one browser,
// one page reused; and cold, a browser for each page.

import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { ROOT, binDir } from '../support/harness.mjs';
import { ROUNDS, caseOf, interleave, median, progress, report } from './lib.mjs';
import { mailOf } from './kit/mails.mjs';
import { Meter, sizeOf, treeOf } from './kit/meter.mjs';

const begun = os.loadavg();
process.setMaxListeners(0); // a control group for each run
const CORPUS = path.join(process.env.FUMIBAKO_SHARED ?? path.join(ROOT, '../shared'), 'corpus');
const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'fb-bench-'));
const fixtures = fs.readdirSync(path.join(ROOT, 'tests/fixtures/html/inside')).map((f) => path.join(ROOT, 'tests/fixtures/html/inside', f));
const hasCorpus = fs.existsSync(path.join(CORPUS, 'index.tsv'));
const corpus = !hasCorpus ? [] : fs.readFileSync(path.join(CORPUS, 'index.tsv'), 'utf8').split('\n').slice(1).filter(Boolean)
  .map((l) => path.join(CORPUS, 'files', l.split('\t')[0]));
if (!hasCorpus) progress(`render: no corpus at FUMIBAKO_SHARED (${CORPUS}), fixtures only`);
const bench = (kind) => Array.from({ length: 10 }, (_, i) => {
  const file = path.join(dir, `${kind}${i}.eml`);
  fs.writeFileSync(file, mailOf(kind, i).content);
  return file;
});

/** One run: {perCpuSecond, p99_ms, memory, bytes, results}. */
async function run(engine, files, { recycle = 200, rounds = 1 } = {}) {
  const meter = Meter.create();
  const child = spawn(path.join(binDir(), 'render-paint'), ['-e', engine, '-w', '1', '-n', String(rounds), '-r', String(recycle), ...files],
    { stdio: ['pipe', 'pipe', 'inherit'] });
  const exit = new Promise((resolve) => { child.on('exit', resolve); });
  meter.add(child.pid);
  const results = [];
  let cpu = 0;
  let memory = 0;
  for await (const line of readline.createInterface({ input: child.stdout })) {
    if (line === 'ready') {
      cpu = meter.seconds();
      child.stdin.write('\n');
    } else if (line.includes('"done"')) {
      cpu = meter.seconds() - cpu;
      memory = treeOf(child.pid).reduce((sum, pid) => sum + (sizeOf(pid)?.memory ?? 0), 0);
      child.stdin.write('\n');
    } else results.push(JSON.parse(line));
  }
  await exit;
  meter.end();
  const painted = results.filter((r) => r.status === 'ok');
  const ms = painted.flatMap((r) => r.ms).sort((a, b) => a - b);
  return { perCpuSecond: rounds * painted.length / cpu, p99_ms: ms[Math.floor(ms.length * 0.99)], memory,
    bytes: painted.reduce((sum, r) => sum + r.bytes, 0) / painted.length, results };
}

const more = {};
/** Names -> how each is run; gives the rounds' values of each, and notes p99, memory and size of the last round. */
async function side(what, runs) {
  progress(`${what}:`);
  const last = {};
  const values = await interleave(Object.keys(runs), async (name) => {
    last[name] = await run(...runs[name]);
    return last[name].perCpuSecond;
  }, ROUNDS);
  more[what] = Object.fromEntries(Object.entries(last).map(([name, r]) => [name, { p99_ms: Math.round(r.p99_ms * 10) / 10,
    memory_mb: Math.round(r.memory / 1e5) / 10, pdf_kb: Math.round(r.bytes / 100) / 10, messages: r.results.length }]));
  for (const [name, r] of Object.entries(more[what])) {
    progress(`  ${name}: ${median(values[name]).toFixed(1)}/CPU s, p99 ${r.p99_ms} ms, memory ${r.memory_mb} MB, PDF ${r.pdf_kb} kB, ${r.messages} mails`);
  }
  return values;
}

let isKept = false;
try {
  const all = [...fixtures, ...corpus];
  const first = (await run('auto', all)).results;
  const native = first.filter((r) => r.painter === 'native').map((r) => r.file);
  const readable = first.map((r) => r.file);
  const share = {};
  for (const r of first) share[r.painter] = (share[r.painter] ?? 0) + 1;
  const why = {};
  for (const r of first.filter((x) => x.outside)) why[r.outside] = (why[r.outside] ?? 0) + 1;
  more.share = share;
  more.why = why;
  progress(`who paints ${first.length} mails: ${JSON.stringify(share)}; Chromium because of ${JSON.stringify(why)}`);
  const html = await side('mails that native takes', { native: ['native', native, { rounds: 3 }], chromium: ['chromium', native],
    cold: ['chromium', native.slice(0, 12), { recycle: 1 }] });
  const whole = await side('all mails', { auto: ['auto', readable, { rounds: 2 }], chromium: ['chromium', readable] });
  const letters = await side('business letters of 10 kB', { text: ['text', bench('text'), { rounds: 5 }],
    native: ['native', bench('html'), { rounds: 5 }], chromium: ['chromium', bench('html')] });
  isKept = report('render', [
    caseOf('native, mails that it takes', 'msg/CPU s', html.native, { chromium: html.chromium, 'chromium cold': html.cold }, { chromium: 5 }),
    caseOf('auto, all mails', 'msg/CPU s', whole.auto, { chromium: whole.chromium }, { chromium: 2 }),
    caseOf('text, letters of 10 kB (peer: as HTML)', 'msg/CPU s', letters.text, { chromium: letters.chromium }, { chromium: 10 }),
    caseOf('native, the same letters as HTML', 'msg/CPU s', letters.native, { chromium: letters.chromium }),
  ], begun, more);
} finally {
  fs.rmSync(dir, { recursive: true, force: true });
}
process.exitCode = isKept ? 0 : 1;
