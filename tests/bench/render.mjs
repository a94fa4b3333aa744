// SPDX-License-Identifier: Apache-2.0
//
// The painters of bodies side by side: messages per second of processor time (user and system, every process included), on
// the fixtures of tests/fixtures/html and, where FUMIBAKO_SHARED is, on its corpus (BENCH_MAILS: so many of it).  All on one
// processor, in turn, warm.
//
//   text, native, auto   as render paints, in one process; "own process" as the zygote does it, a fork for each mail
//   chromium             as render drives it: one browser, one page reused; of plain text: the same words as HTML (-x)
//   others               kit/painters.mjs: a page for each mail, a browser for each mail, WeasyPrint, wkhtmltopdf
//
// Two figures are no ratios but milliseconds, and depend on the machine: what a business letter and a personal one cost.

import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { ROOT, binDir } from '../support/harness.mjs';
import { ROUNDS, caseOf, interleave, median, progress, report } from './lib.mjs';
import { asHtml, businessLetter, personalLetter } from './kit/letters.mjs';
import { mailOf } from './kit/mails.mjs';
import { documentsOf, each, newTargets, peer, stays, weasyStays } from './kit/painters.mjs';

const begun = os.loadavg();
process.setMaxListeners(0); // a control group for each run
const LETTERS = 10;
const FEW = 12; // for those that take a second a mail
const CORPUS = path.join(process.env.FUMIBAKO_SHARED ?? path.join(ROOT, '../shared'), 'corpus');
const FONTS = path.join(ROOT, 'services/render/fonts/fonts.conf');
const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'fb-bench-'));
fs.chmodSync(dir, 0o755);
const cpu = os.cpus().length - 1;
const isPinned = spawnSync('taskset', ['-acp', String(cpu), String(process.pid)]).status === 0;

/** At most `count` of a list, evenly from all of it. */
const some = (list, count) => (list.length <= count ? list : Array.from({ length: count }, (_, i) => list[Math.floor(i * list.length / count)]));
const fixtures = fs.readdirSync(path.join(ROOT, 'tests/fixtures/html/inside')).map((f) => path.join(ROOT, 'tests/fixtures/html/inside', f));
const hasCorpus = fs.existsSync(path.join(CORPUS, 'index.tsv'));
const corpus = !hasCorpus ? [] : some(fs.readFileSync(path.join(CORPUS, 'index.tsv'), 'utf8').split('\n').slice(1).filter(Boolean)
  .map((l) => path.join(CORPUS, 'files', l.split('\t')[0])), Number(process.env.BENCH_MAILS ?? Infinity));
if (!hasCorpus) progress(`render: no corpus at FUMIBAKO_SHARED (${CORPUS}), fixtures only`);
const written = (name, contentOf) => Array.from({ length: LETTERS }, (_, i) => {
  const file = path.join(dir, `${name}${i}.eml`);
  fs.writeFileSync(file, contentOf(i));
  return file;
});

/** render-paint: {perCpuSecond, p99_ms, memory, bytes, results}. */
const paint = (engine, files, { recycle = 200, rounds = 1, own = false, words = false } = {}) => stays(path.join(binDir(), 'render-paint'),
  [...(own ? ['-k'] : []), ...(words ? ['-x'] : []), '-e', engine, '-w', '1', '-n', String(rounds), '-r', String(recycle), ...files], { rounds });

const more = { pinned: isPinned ? cpu : null };
/** Names -> how each is run; gives the rounds' values of each, and notes p99, memory and size of the last round. */
async function side(what, runs) {
  progress(`${what}:`);
  const last = {};
  const values = await interleave(Object.keys(runs), async (name) => {
    last[name] = await runs[name]();
    return last[name].perCpuSecond;
  }, ROUNDS);
  more[what] = Object.fromEntries(Object.entries(last).map(([name, r]) => [name, { cpu_ms: Math.round(1e4 / median(values[name])) / 10,
    p99_ms: Math.round(r.p99_ms * 10) / 10, memory_mb: Math.round(r.memory / 1e5) / 10, pdf_kb: Math.round(r.bytes / 100) / 10,
    messages: r.results.length, failed: r.failed }]));
  for (const [name, r] of Object.entries(more[what])) {
    progress(`  ${name}: ${median(values[name]).toFixed(1)}/CPU s, p99 ${r.p99_ms} ms, memory ${r.memory_mb} MB, PDF ${r.pdf_kb} kB, `
      + `${r.messages} mails${r.failed > 0 ? `, ${r.failed} failed` : ''}`);
  }
  return values;
}
const ms = (values) => values.map((v) => 1000 / v);

/** Who paints what in `auto`: {text, native, all} files that it paints; notes the shares. */
async function shares() {
  const { results } = await paint('auto', [...fixtures, ...corpus]);
  const count = (key, list) => list.reduce((sum, r) => ({ ...sum, [r[key]]: (sum[r[key]] ?? 0) + 1 }), {});
  const mails = results.filter((r) => corpus.includes(r.file));
  more.share = { corpus: count('painter', mails), fixtures: count('painter', results.filter((r) => !corpus.includes(r.file))) };
  more.why = count('outside', mails.filter((r) => r.outside));
  const html = mails.filter((r) => r.html);
  progress(`who paints ${mails.length} mails of the corpus: ${JSON.stringify(more.share.corpus)} (of ${html.length} with HTML native takes `
    + `${html.filter((r) => r.painter === 'native').length}); Chromium because of ${JSON.stringify(more.why)}`);
  return { text: mails.filter((r) => r.painter === 'text').map((r) => r.file), native: results.filter((r) => r.painter === 'native').map((r) => r.file), all: results.map((r) => r.file) };
}

/** Those that are slow, on few mails. */
async function slow(files) {
  const documents = documentsOf(files, path.join(dir, 'documents'));
  const weasy = peer('weasyprint');
  const wkhtml = peer('wkhtmltopdf');
  more.absent = [...(weasy ? [] : ['weasyprint']), ...(wkhtml ? [] : ['wkhtmltopdf'])];
  const runs = {
    native: () => paint('native', files, { rounds: 5 }),
    chromium: () => paint('chromium', files),
    'chromium, new target': () => newTargets(documents, FONTS),
    'chromium, cold': () => paint('chromium', files, { recycle: 1 }),
    ...(weasy ? { weasyprint: () => weasyStays(documents, FONTS), 'weasyprint, cold': () => each((html, pdf) => [weasy, '-q', '-p', html, pdf], documents, FONTS) } : {}),
    ...(wkhtml ? { wkhtmltopdf: () => each((html, pdf) => [wkhtml, '-q', '--disable-javascript', '--disable-local-file-access', html, pdf], documents, FONTS) } : {}),
  };
  const { native, ...peers } = await side(`${files.length} of them, with those that are slow`, runs);
  return caseOf(`native, ${files.length} of them`, 'msg/CPU s', native, peers);
}

let isKept = false;
try {
  progress(isPinned ? `on processor ${cpu} alone` : 'not pinned: taskset does not work here');
  const business = written('business', businessLetter);
  const personal = written('personal', personalLetter);
  const businessHtml = written('business-html', (i) => asHtml(businessLetter(i)));
  const long = written('long', (i) => mailOf('text', i).content);
  const longHtml = written('long-html', (i) => asHtml(mailOf('text', i).content));
  const table = written('table', (i) => mailOf('html', i).content);
  const files = await shares();
  const one = await side('letters of a page', {
    text: () => paint('text', business, { rounds: 10 }), 'text, own process': () => paint('text', business, { rounds: 10, own: true }),
    'chromium of text': () => paint('chromium', businessHtml, { rounds: 2 }),
    native: () => paint('native', personal, { rounds: 10 }), 'native, own process': () => paint('native', personal, { rounds: 10, own: true }),
    chromium: () => paint('chromium', personal, { rounds: 2 }) });
  const ten = await side('letters of 10 kB', { text: () => paint('text', long, { rounds: 5 }), chromium: () => paint('chromium', longHtml),
    native: () => paint('native', table, { rounds: 5 }), 'chromium of HTML': () => paint('chromium', table) });
  const texts = files.text.length === 0 ? null : await side('text mails of the corpus', { text: () => paint('text', files.text, { rounds: 3 }),
    chromium: () => paint('chromium', files.text, { words: true }) });
  const html = await side('mails that native takes', { native: () => paint('native', files.native, { rounds: 3 }),
    chromium: () => paint('chromium', files.native) });
  const few = await slow(some(files.native, FEW));
  const whole = await side('all mails', { auto: () => paint('auto', files.all, { rounds: 2 }), chromium: () => paint('chromium', files.all) });
  isKept = report('render', [
    caseOf('business letter, plain Japanese', 'CPU ms', ms(one.text), {}, {}, 5),
    caseOf('the same, a process for each', 'CPU ms', ms(one['text, own process'])),
    caseOf('personal letter, HTML', 'CPU ms', ms(one.native), {}, {}, 8),
    caseOf('the same, a process for each', 'CPU ms', ms(one['native, own process'])),
    caseOf('text, business letters (peer: the same words as HTML)', 'msg/CPU s', one.text, { chromium: one['chromium of text'] }, { chromium: 10 }),
    caseOf('text, letters of 10 kB (peer: the same words as HTML)', 'msg/CPU s', ten.text, { chromium: ten.chromium }, { chromium: 10 }),
    ...(texts ? [caseOf('text, text mails of the corpus (peer: the same words as HTML)', 'msg/CPU s', texts.text, { chromium: texts.chromium }, { chromium: 10 })] : []),
    caseOf('native, personal letters', 'msg/CPU s', one.native, { chromium: one.chromium }, { chromium: 5 }),
    caseOf('native, letters of 12 kB with a table', 'msg/CPU s', ten.native, { chromium: ten['chromium of HTML'] }, { chromium: 5 }),
    caseOf('native, mails that it takes', 'msg/CPU s', html.native, { chromium: html.chromium }, { chromium: 5 }),
    few,
    caseOf('auto, all mails', 'msg/CPU s', whole.auto, { chromium: whole.chromium }, { chromium: 2 }),
  ], begun, more);
} finally {
  fs.rmSync(dir, { recursive: true, force: true });
}
process.exitCode = isKept ? 0 : 1;
