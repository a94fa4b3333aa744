// SPDX-License-Identifier: Apache-2.0
// What the body PDF says about itself, whoever painted it: structure, language, bookmarks, links; equal bytes for equal
// input; and with render.pdfa the rules of PDF/A-3b, with the mail inside.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { ROOT, binDir, request, waitFor } from '../../support/harness.mjs';
import { NEEDS_CHROMIUM, RenderWorld, base64, bytes, crlf, fonts, hasChromium, links, tool } from './kit.mjs';
import { multipart, png } from './mails.mjs';
import { checkArchive, read, text } from './pdfa.mjs';

const HEAD = 'From: Taro <taro@example.jp>\r\nTo: hanako@example.com\r\nDate: Fri, 27 Nov 2026 10:00:00 +0900\r\nMIME-Version: 1.0\r\n';
const FIXTURES = path.join(ROOT, 'tests/fixtures/html');
const html = (body) => crlf(`${HEAD}Subject: =?UTF-8?B?${Buffer.from('件名 & <題>').toString('base64')}?=
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: 8bit

${body}
`);
const HTML = `<h1>Offer</h1><p>See <a href="https://example.com/a">the page</a> 本文</p><ul><li>One</li><li>Two</li></ul>
<table border=1><tr><th>Item</th><th>Price</th></tr><tr><td>Box</td><td>100</td></tr></table><blockquote>quoted</blockquote>`;
const MAILS = {
  text: crlf(`${HEAD}Subject: plain
Bcc: hidden@example.org
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

本文です。 https://example.com/x

-----Original Message-----
Subject: The older one

older words
`),
  native: html(HTML),
  chromium: html(`${HTML}<div style="float:left">floats</div><p style="opacity:0.5">half</p>`),
};
const PAINTERS = Object.keys(MAILS).filter((p) => p !== 'chromium' || hasChromium);

/** "Document(H1 P(Link))", from pdfinfo's tree. */
const structure = (pdf) => tool('pdfinfo', ['-struct', pdf]).split('\n').filter((l) => /^\s*[A-Z]/.test(l)).map((l) => l.trim().split(/[ :]/)[0]);

/** Titles of the bookmarks, in their order, by level. */
function bookmarks(pdf) {
  const { get, trailer } = read(pdf);
  const found = [];
  const walk = (ref, level) => {
    for (let o = get(ref); o; o = get(o['/Next'])) {
      assert.ok(o['/Dest'], 'a bookmark leads somewhere');
      found.push([level, text(get(o['/Title']))]);
      walk(o['/First'], level + 1);
    }
  };
  walk(get(get(trailer['/Root'])['/Outlines'])?.['/First'], 0);
  return found;
}

function paint(t, args, files) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'fb-pdf-'));
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
  const r = spawnSync(path.join(binDir(), 'render-paint'), [...args, '-o', dir, ...files], { encoding: 'utf8', maxBuffer: 64 << 20, timeout: 300000 });
  assert.equal(r.status, 0, r.stderr);
  const results = r.stdout.trim().split('\n').map((l) => JSON.parse(l)).filter((x) => x.file);
  assert.equal(results.length, files.length);
  return results.map((x) => ({ ...x, pdf: path.join(dir, `${files.indexOf(x.file)}.pdf`) }));
}

test('a PDF is tagged, has language, title and bookmarks, and is the same for the same mail', async (t) => {
  const w = await RenderWorld.create(t);
  for (const painter of PAINTERS) {
    const l = await w.letter(MAILS[painter]);
    assert.equal(l.plan.painter, painter);
    const { get, trailer } = read(l.pdf);
    const root = get(trailer['/Root']);
    assert.equal(spawnSync('qpdf', ['--check', l.pdf]).status, 0, `${painter}: sound`);
    assert.equal(get(root['/MarkInfo'])['/Marked'], true);
    assert.match(text(root['/Lang']), /^(ja|en)$/);
    assert.equal(get(root['/ViewerPreferences'])['/DisplayDocTitle'], true);
    assert.match(text(get(trailer['/Info'])['/Title']), painter === 'text' ? /^plain$/ : /^件名 & <題>$/);
    const tags = structure(l.pdf);
    assert.ok(tags[0] === 'Document' && tags.includes('H1') && tags.includes('P') && tags.includes('Link'), `${painter}: ${tags}`);
    if (painter !== 'text') {
      for (const tag of ['L', 'LI', 'Table', 'TR', 'TH', 'TD', 'BlockQuote']) assert.ok(tags.includes(tag), `${painter}: ${tag} in ${tags}`);
    }
    const names = bookmarks(l.pdf).map(([, title]) => title);
    if (painter === 'text') assert.ok(names.includes('The older one'), `${names}`);
    else assert.ok(names.includes('Offer'), `${painter}: ${names}`);
    assert.deepEqual(links(l.pdf), [painter === 'text' ? 'https://example.com/x' : 'https://example.com/a']);
    const again = await w.letter(MAILS[painter]);
    assert.ok(fs.readFileSync(l.pdf).equals(fs.readFileSync(again.pdf)), `${painter}: equal bytes`);
  }
  await w.world.end();
});

test('where Cairo refuses structure the letter comes without it, and plan, log and metric say so', async (t) => {
  const program = path.join(binDir(), 'render-refusing');
  const w = await RenderWorld.create(t, { wrap: ['bash', '-c', `shift; exec '${program}' "$@"`, 'render'] });
  for (const painter of ['text', 'native']) {
    const l = await w.letter(MAILS[painter]);
    assert.deepEqual([l.plan.painter, l.plan.painter_reason], [painter, 'without structure']);
    assert.ok(l.text.includes('本文'), l.text);
    assert.equal(spawnSync('qpdf', ['--check', l.pdf]).status, 0, `${painter}: sound`);
    assert.deepEqual(links(l.pdf), [painter === 'text' ? 'https://example.com/x' : 'https://example.com/a']);
    assert.ok(!structure(l.pdf).some((tag) => ['Document', 'H1', 'P'].includes(tag)), `${structure(l.pdf)}`);
    await waitFor(() => w.render.log.some((x) => x.text === 'painted' && x.engine === painter && x.why === 'without structure'), { what: 'a line that says so' });
    const { body } = await request(`http://127.0.0.1:${w.render.metricsPort}/metrics`);
    assert.match(String(body), new RegExp(`^fumibako_painted_total\\{engine="${painter}",why="without structure"\\} 1$`, 'm'));
  }
  await w.world.end();
});

test('render.pdfa: PDF/A-3b with the mail inside, of every painter; above its limit the mail stays outside', { timeout: 180000 }, async (t) => {
  const w = await RenderWorld.create(t, { render: { pdfa: true, memory: '256MiB' } });
  for (const painter of PAINTERS) {
    const l = await w.letter(MAILS[painter]);
    assert.equal(l.plan.painter, painter);
    assert.doesNotMatch(l.plan.painter_reason, /;/);
    const { errors, mail } = checkArchive(l.pdf);
    assert.deepEqual(errors, [], painter);
    const sent = MAILS[painter].replace('Bcc: hidden@example.org\r\n', '');
    assert.ok(mail.toString('utf8').endsWith(sent), `${painter}: the mail as it was sent, after what ingest put before it`);
    assert.ok(!mail.includes('hidden@example.org'), 'without Bcc');
    assert.ok(fonts(l.pdf).every((f) => f.isEmbedded && f.isSubset));
    const again = await w.letter(MAILS[painter]);
    const b = checkArchive(again.pdf);
    assert.deepEqual(b.errors, []);
  }
  const large = await w.letter(multipart('mixed', `${HEAD}Subject: large\r\n`, [bytes('Content-Type: text/plain\r\n\r\nwords\r\n'),
    bytes('Content-Type: application/octet-stream\r\nContent-Disposition: attachment; filename="x.bin"\r\nContent-Transfer-Encoding: base64\r\n\r\n',
      base64(Buffer.alloc(13 << 20, 7)), '\r\n')]));
  const { errors, mail } = checkArchive(large.pdf);
  assert.deepEqual(errors, []);
  assert.equal(mail, null);
  assert.match(large.plan.painter_reason, /^plain text; the mail is too large/);
  await w.world.end();
});

test('archives of the fixtures keep the rules, by native and by Chromium', { timeout: 900000 }, async (t) => {
  const below = (dir) => fs.readdirSync(path.join(FIXTURES, dir)).map((f) => path.join(FIXTURES, dir, f));
  const files = [...below('inside'), ...below('outside').filter((_, i) => i % 6 === 0)];
  for (const engine of hasChromium ? ['native', 'chromium'] : ['native']) {
    for (const r of paint(t, ['-a', '-e', engine], files)) {
      assert.equal(r.status, 'ok', `${r.file}: ${r.error}`);
      assert.deepEqual(checkArchive(r.pdf).errors, [], `${r.file} by ${engine}`);
    }
  }
});

test('Chromium: what was printed before leaves no trace in the bytes', NEEDS_CHROMIUM, async (t) => {
  const file = path.join(FIXTURES, 'inside/lists.html');
  const invoice = path.join(FIXTURES, 'inside/invoice.html');
  const [, first] = paint(t, ['-e', 'chromium'], [invoice, file]);
  const [second] = paint(t, ['-e', 'chromium'], [file]);
  assert.ok(fs.readFileSync(first.pdf).equals(fs.readFileSync(second.pdf)));
});

test('structure costs few bytes; a letter without it is a sound PDF, too; a JPEG is passed through', async (t) => {
  const file = path.join(FIXTURES, 'inside/letter-ja.html');
  const [tagged] = paint(t, ['-e', 'native'], [file]);
  const [plain] = paint(t, ['-e', 'native', '-u'], [file]);
  assert.ok(tagged.bytes <= 1.06 * plain.bytes, `${tagged.bytes} bytes, untagged ${plain.bytes}`);
  const letter = path.join(path.dirname(plain.pdf), 'link.eml');
  fs.writeFileSync(letter, MAILS.text);
  const [linked] = paint(t, ['-u'], [letter]);
  assert.equal(spawnSync('qpdf', ['--check', linked.pdf]).status, 0, 'links alone: each object of the table is one');
  assert.deepEqual(links(linked.pdf), ['https://example.com/x']);
  const jpeg = path.join(path.dirname(tagged.pdf), 'x.jpg');
  const ppm = path.join(path.dirname(tagged.pdf), 'x');
  spawnSync('pdftoppm', ['-jpeg', '-singlefile', '-r', '40', tagged.pdf, ppm]);
  const picture = fs.readFileSync(jpeg);
  const mail = path.join(path.dirname(tagged.pdf), 'x.eml');
  fs.writeFileSync(mail, multipart('related', `${HEAD}Subject: picture\r\n`, [
    bytes('Content-Type: text/html\r\n\r\n<p>x</p><img src="cid:a@b" alt="a small page">\r\n'),
    bytes('Content-Type: image/jpeg\r\nContent-ID: <a@b>\r\nContent-Transfer-Encoding: base64\r\n\r\n', base64(picture), '\r\n'),
    bytes('Content-Type: image/png\r\nContent-ID: <c@d>\r\nContent-Transfer-Encoding: base64\r\n\r\n', base64(png(2, 2, [1, 2, 3])), '\r\n')]));
  for (const args of [[], ['-a']]) {
    const [r] = paint(t, ['-e', 'native', ...args], [mail]);
    assert.ok(fs.readFileSync(r.pdf).includes(picture), 'the very bytes');
    const { all } = read(r.pdf);
    const figure = all.find(([, d]) => d?.['/S'] === '/Figure');
    assert.equal(text(figure?.[1]['/Alt']), 'a small page');
    if (args.length > 0) assert.deepEqual(checkArchive(r.pdf).errors, []);
  }
});
