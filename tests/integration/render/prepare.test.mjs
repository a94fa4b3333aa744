// SPDX-License-Identifier: Apache-2.0
// Mail HTML as it really is, on paper: what tests/fixtures/html/prepare has, painted by native and by Chromium.  Nothing is
// lost, cut, white on white or beyond the edge; what is meant for other programs or screens does not count.

import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { promisify } from 'node:util';
import { ROOT, binDir } from '../../support/harness.mjs';
import { hasChromium, tool } from './kit.mjs';

const run = promisify(execFile);
const DIR = path.join(ROOT, 'tests/fixtures/html/prepare');
const NAMES = fs.readdirSync(DIR).map((f) => path.basename(f, '.html')).sort();
const ENGINES = ['native', ...hasChromium ? ['chromium'] : []];
const A4 = { width: 595, height: 842, side: 56 };
const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'fb-prepare-'));
after(() => fs.rmSync(dir, { recursive: true, force: true }));

const painted = {};
before(async () => {
  for (const engine of ENGINES) {
    const out = path.join(dir, engine);
    fs.mkdirSync(out);
    const { stdout } = await run(path.join(binDir(), 'render-paint'), ['-b', '-e', engine, '-o', out, ...NAMES.map((n) => path.join(DIR, `${n}.html`))],
      { maxBuffer: 16 << 20, timeout: 300000 });
    for (const r of stdout.trim().split('\n').map((l) => JSON.parse(l)).filter((x) => x.file)) assert.equal(r.status, 'ok', `${engine} ${r.file}: ${r.error}`);
    painted[engine] = Object.fromEntries(NAMES.map((n, i) => [n, path.join(out, `${i}.pdf`)]));
  }
});

/** Words of a PDF with their boxes: [{page, width: of that page, text, x0, y0, x1, y1}]. */
function words(pdf) {
  const found = [];
  let page = 0;
  let width = 0;
  for (const line of tool('pdftotext', ['-bbox', pdf, '-']).split('\n')) {
    page += /<page /.test(line) ? 1 : 0;
    width = Number(/<page width="([\d.]+)"/.exec(line)?.[1] ?? width);
    const m = /<word xMin="([\d.-]+)" yMin="([\d.-]+)" xMax="([\d.-]+)" yMax="([\d.-]+)">(.*)<\/word>/.exec(line);
    if (m) found.push({ page, width, text: m[5], x0: Number(m[1]), y0: Number(m[2]), x1: Number(m[3]), y1: Number(m[4]) });
  }
  return found;
}

/** Shares of the pixels around a word, at 60 dpi: fn(r, g, b) true. */
function around(pdf, word, fn, pad = 3) {
  const w = words(pdf).find((x) => x.text === word);
  assert.ok(w, `${word} in ${pdf}`);
  const at = (v) => Math.round(v / 72 * 60);
  const box = ['-x', at(w.x0 - pad), '-y', at(w.y0 - pad), '-W', at(w.x1 - w.x0 + 2 * pad), '-H', at(w.y1 - w.y0 + 2 * pad)].map(String);
  const ppm = spawnSync('pdftoppm', ['-r', '60', '-f', String(w.page), '-l', String(w.page), ...box, pdf], { maxBuffer: 16 << 20 }).stdout;
  const head = /^P6\s+(\d+)\s+(\d+)\s+255\s/.exec(ppm.subarray(0, 40).toString('latin1'));
  const pixels = ppm.subarray(head[0].length);
  let n = 0;
  for (let i = 0; i + 2 < pixels.length; i += 3) n += fn(pixels[i], pixels[i + 1], pixels[i + 2]) ? 1 : 0;
  return n / (pixels.length / 3);
}

const each = (name, fn) => {
  for (const engine of ['native', 'chromium']) {
    test(`${name} (${engine})`, { skip: !ENGINES.includes(engine) && 'chromium-headless-shell is not installed' }, () => fn(painted[engine], engine));
  }
};
const has = (pdf, list) => {
  const text = tool('pdftotext', ['-raw', pdf, '-']);
  for (const w of list.split(' ')) assert.ok(text.includes(w), `no ${w} in\n${text}`);
  return text;
};

each('every word lies within the page, on one page, above its foot', (pdfs) => {
  for (const name of NAMES) {
    for (const w of words(pdfs[name])) {
      assert.ok(w.x0 >= A4.side - 3 && w.x1 <= w.width - A4.side + 4, `${name}: "${w.text}" from ${w.x0} to ${w.x1}`);
      assert.ok(w.y0 >= 40 && w.y1 <= A4.height - 25, `${name}: "${w.text}" from ${w.y0} to ${w.y1} on page ${w.page}`);
    }
  }
});

each('conditional comments: what is for Word alone is not shown, what is for all others is', (pdfs) => {
  const text = has(pdfs.mso, 'OTHERSONE OTHERSTWO FAREAST SMARTTAG FIRSTITEM LASTWORD');
  assert.doesNotMatch(text, /ONLYWORD|GHOST|SWALLOWED|endif|AllowPNG/);
});

each('broken nesting loses no word', (pdfs) => {
  has(pdfs.broken, 'BOLD ITALIC LINK INLINK BEHIND CELL INNER STRAY ROW FOSTERED ONE TWO THREE FOUR QUOTED FONT STILL PLAIN UNKNOWN HEAD SUB TAIL QUOTE OUT CAPTION TH TD FOOT THEAD END');
});

each('the head of a long table comes again on each page, each row once', (pdfs) => {
  const pages = tool('pdftotext', ['-raw', pdfs.heads, '-']).split('\f').filter((p) => p.trim() !== '');
  assert.ok(pages.length >= 4);
  for (const [i, page] of pages.entries()) assert.equal(page.match(/ARTICLE DESCRIPTION AMOUNT/g)?.length, 1, `page ${i + 1}`);
  const rows = pages.join('\n').match(/P-\d+ Part number/g);
  assert.equal(rows.length, 200);
  assert.equal(new Set(rows).size, 200);
});

each('wide tables and long words are made smaller or broken, all columns are there, and can be read', (pdfs) => {
  has(pdfs.wide, Array.from({ length: 8 }, (_, i) => `COLUMN${i}`).join(' ') + ' POINTS');
  const wide = words(pdfs.wide).find((w) => w.text === 'COLUMN7');
  assert.ok(wide.y1 - wide.y0 > 6.5, 'not smaller than six tenths');
  assert.ok(words(pdfs.nowrap).every((w) => w.y1 - w.y0 > 6 && w.width > 1000), 'the page becomes wider instead');
  const text = has(pdfs.nowrap, 'PREFORMATTED');
  assert.equal(text.match(/PREFORMATTED/g).length, 20);
  assert.equal(text.replace(/\s/g, '').match(/averylongpathwithoutanybreak/g).length, 12);
});

each('light text on a picture that is not shown stands on a dark ground, dark text does not', (pdfs) => {
  for (const w of ['WHITEONE', 'WHITETWO']) {
    assert.ok(around(pdfs.white, w, (r, g, b) => r + g + b < 400) > 0.4, `${w}: dark around it`);
    assert.ok(around(pdfs.white, w, (r, g, b) => r + g + b > 600) > 0.05, `${w}: light itself`);
  }
  assert.ok(around(pdfs.white, 'DARKTEXT', (r, g, b) => r + g + b > 700) > 0.5);
});

each('styles are those of a wide light screen: neither a telephone\'s, nor the dark\'s, nor a printer\'s', (pdfs) => {
  has(pdfs.media, 'BLUETEXT');
  assert.equal(around(pdfs.media, 'BLUETEXT', (r, g, b) => r > 180 && g < 90 && b < 90), 0);
  assert.ok(around(pdfs.media, 'BLUETEXT', (r, g, b) => b > 180 && r < 120 && g < 120) > 0.05);
});

each('no line is cut by the end of a page, none is printed twice, none is missing', (pdfs) => {
  const seen = words(pdfs.lines).filter((w) => /^LINE\d{3}$/.test(w.text));
  assert.deepEqual(seen.map((w) => w.text), Array.from({ length: 90 }, (_, i) => `LINE${String(i).padStart(3, '0')}`));
  assert.ok(seen.at(-1).page >= 3);
});

each('forty quotations in each other stay readable', (pdfs) => {
  const all = words(pdfs.thread);
  has(pdfs.thread, `TOPMOST ${Array.from({ length: 40 }, (_, i) => `LEVEL${String(i).padStart(2, '0')}`).join(' ')}`);
  const deepest = all.find((w) => w.text === 'LEVEL39');
  assert.ok(deepest.x1 < A4.width - A4.side && deepest.y1 - deepest.y0 > 4);
});

each('attributes from before style sheets count: colours, widths, sides', (pdfs) => {
  const pdf = pdfs.legacy;
  assert.ok(around(pdf, 'YELLOW', (r, g, b) => r > 180 && g < 80 && b < 80) > 0.3, 'a red cell');
  assert.ok(around(pdf, 'YELLOW', (r, g, b) => r > 200 && g > 200 && b < 120) > 0.02, 'yellow letters');
  assert.ok(around(pdf, 'GREEN', (r, g, b) => g > 150 && r < 90 && b < 90) > 0.3, 'a green cell');
  const find = (t) => words(pdf).find((w) => w.text === t);
  assert.ok(Math.abs((find('CENTRED').x0 + find('CENTRED').x1) / 2 - A4.width / 2) < 5);
  assert.ok(find('RIGHTSIDE').x1 > A4.width - A4.side - 12);
  assert.ok(find('YELLOW').x0 > 150, 'the table is centred');
  assert.ok(find('YELLOW').y1 - find('YELLOW').y0 > find('GREEN').y1 - find('GREEN').y0, 'size=5');
  has(pdf, 'SQUARE C. LETTERED BORDERED');
});
