// SPDX-License-Identifier: Apache-2.0
// The engine "native" against Chromium: the classifier's table is true, what it lets through looks as Chromium's pages do,
// and what harms it harms nobody else.  NATIVE_LIST=FILE writes down every mail that was compared.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { promisify } from 'node:util';
import { ROOT, binDir, waitFor } from '../../support/harness.mjs';
import { compare } from './compare.mjs';
import { NEEDS_CHROMIUM, RenderWorld, crlf, hasChromium, links, tool } from './kit.mjs';

const run = promisify(execFile);
const FIXTURES = path.join(ROOT, 'tests/fixtures/html');
const CORPUS = path.join(process.env.FUMIBAKO_SHARED ?? path.join(ROOT, '../shared'), 'corpus');
const WORDS = 0.002; // may be missing
const NEAR = 0.8; // of the words must stand in their place, each mail; on average:
const NEAR_MEAN = 0.97;
const FEW = 2; // words of a mail that may stand elsewhere in any case

const below = (dir) => fs.readdirSync(path.join(FIXTURES, dir)).map((f) => path.join(FIXTURES, dir, f));

/** [{file, html, painter, outside, status, pdf}] */
async function paint(t, engine, files) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'fb-native-'));
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
  const { stdout } = await run(path.join(binDir(), 'render-paint'), ['-b', '-e', engine, '-o', dir, ...files],
    { maxBuffer: 64 << 20, timeout: 600000 });
  const results = stdout.trim().split('\n').map((l) => JSON.parse(l)).filter((r) => r.file);
  return results.map((r) => ({ ...r, pdf: path.join(dir, `${files.indexOf(r.file)}.pdf`) }));
}

test('each row of the table has its mail, which goes to Chromium for that very reason', async (t) => {
  const { stdout } = await run(path.join(binDir(), 'render-paint'), ['-f']);
  const rows = stdout.trim().split('\n').map((l) => JSON.parse(l));
  const found = new Map((await paint(t, 'native', below('outside'))).map((r) => [path.basename(r.file), r]));
  for (const row of rows) assert.equal(found.get(row.mail)?.outside, row.name, `${row.mail}: ${row.what}`);
  assert.deepEqual([...found.keys()].filter((f) => !rows.some((r) => r.mail === f)), [], 'mails that no row names');
  for (const r of found.values()) assert.equal(r.status, 'ok', `${r.file}: native paints it all the same when told to`);
});

test('what lies inside the subset is painted as Chromium paints it', { ...NEEDS_CHROMIUM, timeout: 900000 }, async (t) => {
  const hasCorpus = fs.existsSync(path.join(CORPUS, 'index.tsv'));
  if (!hasCorpus) t.diagnostic(`no corpus at FUMIBAKO_SHARED (${CORPUS}): fixtures only`);
  const corpus = !hasCorpus ? [] : fs.readFileSync(path.join(CORPUS, 'index.tsv'), 'utf8').split('\n').slice(1).filter(Boolean)
    .map((l) => path.join(CORPUS, 'files', l.split('\t')[0]));
  const all = await paint(t, 'auto', [...below('inside'), ...corpus]);
  const html = all.filter((r) => r.html);
  const native = html.filter((r) => r.painter === 'native');
  assert.deepEqual(html.filter((r) => r.file.startsWith(FIXTURES) && r.painter !== 'native').map((r) => [r.file, r.outside]), []);
  const theirs = await paint(t, 'chromium', native.map((r) => r.file));
  const compared = [];
  for (const [i, r] of native.entries()) {
    assert.equal(r.status, 'ok', `${r.file}: ${r.error}`);
    if (theirs[i].status === 'ok') compared.push({ file: r.file, ...await compare(r.pdf, theirs[i].pdf) });
  }
  compared.sort((a, b) => a.near - b.near);
  const line = (c) => `${c.near.toFixed(3)} near, ${c.lost.toFixed(4)} lost, ${c.added.toFixed(4)} added, pages ${c.pages}/${c.otherPages}: `
    + `${path.relative(c.file.startsWith(CORPUS) ? CORPUS : FIXTURES, c.file)}`;
  t.diagnostic(`${native.length} of ${html.length} HTML mails native; the worst twenty of ${compared.length}:`);
  for (const c of compared.slice(0, 20)) t.diagnostic(line(c));
  if (process.env.NATIVE_LIST) fs.writeFileSync(process.env.NATIVE_LIST, `${compared.map(line).join('\n')}\n`);
  assert.deepEqual(compared.filter((c) => c.lost > WORDS || c.added > 0).map((c) => [line(c), c.what]), [], 'words');
  assert.deepEqual(compared.filter((c) => c.near < NEAR && c.far > FEW).map(line), [], `fewer than ${NEAR} of the words in their place`);
  const mean = compared.reduce((sum, c) => sum + c.near, 0) / compared.length;
  assert.ok(mean >= NEAR_MEAN, `${mean} of the words in their place on average`);
  assert.deepEqual(compared.filter((c) => Math.abs(c.pages - c.otherPages) > 1).map(line), [], 'pages');
});

const mail = (body) => ['From: Taro <taro@example.jp>', 'To: hanako@example.com', 'Subject: native', 'Date: Fri, 27 Nov 2026 10:15:00 +0900',
  'MIME-Version: 1.0', 'Content-Type: text/html; charset=utf-8', '', crlf(body), ''].join('\r\n');

test('the plan says who painted and why; links stay within their strings; heads of tables come again', async (t) => {
  const w = await RenderWorld.create(t, {});
  const inside = await w.letter(mail('<p>Plain <a href="https://example.com/a)/S/URI/URI(https://evil.example/">link</a></p>'));
  assert.equal(inside.plan.painter, 'native');
  assert.equal(inside.plan.painter_reason, 'inside the subset');
  assert.deepEqual(links(inside.pdf), ['https://example.com/a%29/S/URI/URI%28https://evil.example/']);
  const table = await w.letter(mail(fs.readFileSync(path.join(FIXTURES, 'inside/invoice.html'), 'utf8')));
  const pages = tool('pdftotext', ['-raw', table.pdf, '-']).split('\f').filter((p) => p.trim() !== '');
  assert.ok(pages.length >= 3);
  for (const page of pages) assert.equal(page.match(/Item Description Amount/g)?.length, 1);
  if (hasChromium) {
    const outside = await w.letter(mail('<div style="display:flex"><p>Left</p><p>Right</p></div>'));
    assert.equal(outside.plan.painter, 'chromium');
    assert.equal(outside.plan.painter_reason, 'flex');
  }
  await waitFor(() => w.render.log.some((l) => l.text === 'painted' && l.engine === 'native' && l.why === 'inside the subset'), { what: 'a line that says who and why' });
});

test('hostile HTML ends as a PDF or held, and the next mail is painted', { timeout: 900000 }, async (t) => {
  const w = await RenderWorld.create(t, { render: { engine: 'native', timeout: '20s' }, ingest: { max_message: '64MiB' } });
  const bomb = `<img src="data:image/png;base64,${Buffer.concat([Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex'),
    Buffer.from('0000c3500000c350', 'hex'), Buffer.from('0802000000', 'hex'), Buffer.alloc(64)]).toString('base64')}">`;
  const cases = {
    '100,000 nested <div>': '<div>'.repeat(100000),
    '100,000 unclosed <b>': '<b>x'.repeat(100000),
    'tables 25 deep': '<table><tr><td>'.repeat(25) + 'x',
    'a table of 200,000 cells': `<table>${'<tr>' + '<td>x'.repeat(20)}`.repeat(1) + ('<tr>' + '<td>x'.repeat(20)).repeat(9999),
    'colspan and rowspan of a billion': '<table><tr><td colspan=1000000000 rowspan=1000000000>x</table>'.repeat(50),
    'a height of 100 million pixels': '<div style="height:100000000px">x</div>'.repeat(10) + '<div style="height:9999px">x</div>'.repeat(300),
    'a PNG of 50,000 by 50,000': bomb.repeat(20),
    'a JPEG that is none': `<img src="data:image/jpeg;base64,${Buffer.from('ffd8ffc0001108ffff00ff03012200', 'hex').toString('base64')}">`,
    'one word of 2 MB': 'x'.repeat(2 << 20).replace(/.{900}/g, '$&\r\n').replace(/\r\n/g, '&shy;\r\n'),
    'one paragraph of 3 MB': 'word '.repeat(600000).replace(/(.{900})/g, '$1\r\n'),
    '2,000 rules on 10,000 elements': `<style>${Array.from({ length: 2000 }, (_, i) => `div b i.c${i} u{color:red}`).join('\r\n')}</style>`
      + '<div><b><i class="c7"><u>x</u></i></b></div>\r\n'.repeat(2500),
    'a tiny column of much text': `<table width="1"><tr><td width="1" style="font-size:0.01px">${'word '.repeat(100000).replace(/(.{900})/g, '$1\r\n')}`,
    'broken UTF-8 and controls': '<p>\xff\xfe\x01\x02\u202e\ufeff</p>',
    'one of 48 MB': '<p>text of a line</p>\r\n'.repeat(2200000),
  };
  for (const [name, body] of Object.entries(cases)) {
    const begun = Date.now();
    const id = await w.send(mail(body.replace(/(.{900}>)/g, '$1\r\n')));
    const { plan, dead } = await w.outcome(id, 300000);
    t.diagnostic(`${name}: ${dead ? `held: ${dead.status}: ${dead.reason}` : `painted by ${plan.painter}`} in ${Date.now() - begun} ms`);
    if (!dead) assert.match(tool('pdfinfo', [(await w.open(id, plan)).pdf]), /Pages:\s+[1-9]/, name);
  }
  assert.equal((await w.letter(mail('<p>after</p>'))).plan.painter, 'native');
  assert.ok(w.render.process.exitCode === null, 'the service lives');
});
