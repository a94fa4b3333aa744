// SPDX-License-Identifier: Apache-2.0
// Two PDFs of one mail, held against each other: which words the one has that the other has not, and how many words stand
// where they stand in the other.  Words, not pixels: two rasterisers never agree on those, and readers read words.

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);
const NEAR_PT = 12; // about a line

const pdftotext = async (...args) => (await run('pdftotext', args, { encoding: 'utf8', maxBuffer: 256 << 20 })).stdout;

/** Words of Latin and other alphabets, single characters of Chinese, Japanese and Korean; without page numbers.  */
async function words(pdf) {
  const text = (await pdftotext('-raw', pdf, '-')).normalize('NFKC').split('\f')
    .map((page) => page.split('\n').filter((line) => !/^\s*\d+\s*$/.test(line)).join('\n')).join('\n');
  return counted(text.match(/[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]|[\p{L}\p{N}]/gu) ?? []);
}

function counted(list) {
  const counts = new Map();
  for (const w of list) counts.set(w, (counts.get(w) ?? 0) + 1);
  return counts;
}

function missing(from, within) {
  const found = [];
  for (const [word, n] of from) for (let i = within.get(word) ?? 0; i < n; i++) found.push(word);
  return found;
}

/** A word, or the characters of one of Chinese or Japanese (which ends where the font changes, and that differs), each where
 *  it stands; without what is neither letter nor number: pictures are text to the one painter and none to the other.  */
function pieces(text, left, right) {
  const chars = [...text];
  const at = (i) => left + ((right - left) * i) / chars.length;
  if (/\p{Script=Han}|\p{Script=Hiragana}|\p{Script=Katakana}/u.test(text)) {
    return chars.map((c, i) => ({ text: c, x: at(i) })).filter((p) => /[\p{L}\p{N}]/u.test(p.text));
  }
  const first = chars.findIndex((c) => /[\p{L}\p{N}]/u.test(c));
  return first < 0 ? [] : [{ text: text.replace(/[^\p{L}\p{N}]/gu, ''), x: at(first) }];
}

async function boxes(pdf) {
  const html = await pdftotext('-bbox', pdf, '-');
  let page = -1;
  const found = [];
  for (const line of html.split('\n')) {
    if (line.includes('<page ')) page++;
    const m = /xMin="([\d.-]+)" yMin="([\d.-]+)" xMax="([\d.-]+)" yMax="([\d.-]+)">(.*)<\/word>/.exec(line);
    if (m) found.push(...pieces(m[5].normalize('NFKC'), Number(m[1]), Number(m[3])).map((p) => ({ page, y: (Number(m[2]) + Number(m[4])) / 2, ...p })));
  }
  return { pages: page + 1, found };
}

const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1] ?? 0;

/**
 * {lost, added: shares of the other's words; near (far: how many not): share of the other's words that stand within a line of their place, a
 * page's common shift (the header block is a little higher or lower) left out; pages, otherPages, what: some lost, added}
 */
export async function compare(pdf, other) {
  const [ours, theirs, a, b] = await Promise.all([words(pdf), words(other), boxes(pdf), boxes(other)]);
  const total = [...theirs.values()].reduce((x, y) => x + y, 0) || 1;
  const lost = missing(theirs, ours);
  const added = missing(ours, theirs);
  const by = Map.groupBy ? Map.groupBy(a.found, (w) => w.text) : a.found.reduce((m, w) => m.set(w.text, [...(m.get(w.text) ?? []), w]), new Map());
  const seen = new Map();
  const pairs = b.found.map((w) => {
    const k = seen.get(w.text) ?? 0;
    seen.set(w.text, k + 1);
    const twin = by.get(w.text)?.[k];
    return twin && { page: w.page, other: twin.page, dx: twin.x - w.x, dy: twin.y - w.y };
  });
  const height = 724; // of a page's text: what moved to the next page moved by a few lines all the same
  const shift = new Map();
  for (let page = 0; page < b.pages; page++) {
    shift.set(page, median(pairs.filter((p) => p?.page === page).map((p) => p.dy + (p.other - p.page) * height)));
  }
  /* Any of the same word will do: pdftotext does not give both in the same order.  How many there are is counted above. */
  const near = b.found.filter((w) => by.get(w.text)?.some((twin) => Math.abs(twin.x - w.x) <= NEAR_PT
    && Math.abs(twin.y - w.y + (twin.page - w.page) * height - shift.get(w.page)) <= NEAR_PT)).length;
  return { lost: lost.length / total, added: added.length / total, near: pairs.length > 0 ? near / pairs.length : 1, far: pairs.length - near,
    pages: a.pages, otherPages: b.pages, what: { lost: lost.slice(0, 8).join(''), added: added.slice(0, 8).join('') } };
}
