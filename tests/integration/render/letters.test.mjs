// SPDX-License-Identifier: Apache-2.0
// Mails as they are really sent, from SMTP to the plan and the PDF in the spool: what a reader would see, and nothing
// else.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { NEEDS_CHROMIUM, RenderWorld, base64, bytes, colours, crlf, fonts, links, tool } from './kit.mjs';
import { PNG_RED, cp50221, multipart, tnef } from './mails.mjs';

let w;
before(async () => { w = await RenderWorld.create(); });
after(async () => { await w.world.end(); });

const HEAD = 'From: Taro <taro@example.jp>\r\nTo: hanako@example.com\r\nDate: Fri, 27 Nov 2026 10:00:00 +0900\r\n';
const sha1 = (data) => createHash('sha1').update(data).digest('hex');
const files = (plan) => plan.parts.filter((p) => p.object !== 'body.pdf' && !p.inline).map((p) => p.name);
const has = (text, ...wanted) => {
  const plain = text.replace(/\s+/g, '');
  for (const x of wanted) assert.ok(plain.includes(x.replace(/\s+/g, '')), `"${x}" is not in: ${text}`);
};
const hasNot = (text, ...unwanted) => {
  for (const x of unwanted) assert.ok(!text.includes(x), `"${x}" is in: ${text}`);
};

test('ISO-2022-JP with circled digits, NEC row 13 and half-width kana: subject, names and body', async () => {
  const word = (s) => `=?ISO-2022-JP?B?${cp50221(s).toString('base64')}?=`;
  const l = await w.letter(bytes(`From: ${word('山田 太郎')} <taro@example.jp>\r\nTo: ${word('佐藤 花子㈱')} <hanako@example.com>\r\n`
    + `Subject: ${word('①見積書の件（㈱ﾃｽﾄ）')}\r\nDate: Fri, 27 Nov 2026 10:00:00 +0900\r\nMIME-Version: 1.0\r\n`
    + 'Content-Type: text/plain; charset=ISO-2022-JP\r\nContent-Transfer-Encoding: 7bit\r\n\r\n',
  cp50221('いつもお世話になっております。'), '\r\n', cp50221('①②③ ㈱テスト ℡ №1 ㍻'), '\r\n', cp50221('ﾊﾝｶｸｶﾅ ｶﾞｷﾞ'), '\r\n'));
  has(l.text, '①見積書の件（㈱ﾃｽﾄ）', '差出人 山田 太郎 <taro@example.jp>', '宛先 佐藤 花子㈱', '日時 2026年11月27日（金） 10:00',
    'いつもお世話になっております。', '①②③', '㈱テスト', '℡', '№1', '㍻', 'ﾊﾝｶｸｶﾅ', 'ｶﾞｷﾞ');
  assert.equal(l.plan.subject, '①見積書の件（㈱ﾃｽﾄ）');
  assert.equal(l.plan.language, 'ja');
  assert.equal(l.plan.painter, 'text');
});

test('Shift_JIS and undeclared ISO-2022-JP, EUC-JP and UTF-8 bodies are read', async () => {
  const body = 'これは本文です。①㈱ﾃｽﾄ 髙﨑';
  const sjis = iconv(body, 'CP932');
  for (const [type, raw, wanted] of [
    ['Content-Type: text/plain; charset=Shift_JIS\r\n', sjis, ['これは本文です。①㈱ﾃｽﾄ', '髙﨑']],
    ['', cp50221('文字コードの宣言なし①'), ['文字コードの宣言なし①']],
    ['', iconv('宣言のないEUC-JPの本文です。', 'EUC-JP'), ['宣言のないEUC-JPの本文です。']],
    ['', Buffer.from('宣言のないUTF-8の本文です。'), ['宣言のないUTF-8の本文です。']],
    ['Content-Type: text/plain; charset=us-ascii\r\n', sjis, ['これは本文です。']],
  ]) {
    const l = await w.letter(bytes(HEAD, 'Subject: x\r\nMIME-Version: 1.0\r\n', type, 'Content-Transfer-Encoding: 8bit\r\n\r\n', raw, '\r\n'));
    has(l.text, ...wanted);
  }
});

test('file names: RFC 2231 (and continued), RFC 2047, raw Shift_JIS, raw UTF-8, ISO-2022-JP, paths', async () => {
  const part = (disposition) => bytes('Content-Type: application/octet-stream\r\nContent-Disposition: attachment; ', disposition,
    '\r\nContent-Transfer-Encoding: base64\r\n\r\nAAEC\r\n');
  const l = await w.letter(multipart('mixed', HEAD + 'Subject: names\r\n', [
    bytes('Content-Type: text/plain\r\n\r\nsee files\r\n'),
    part("filename*=UTF-8''%E8%A6%8B%E7%A9%8D%E6%9B%B8%E2%91%A0.pdf"),
    part(bytes("filename*0*=ISO-2022-JP''%1B%24B%2D%21;\r\n filename*1*=%3D%29%1B%28B;\r\n filename*2=\".txt\"")),
    part(`filename="=?ISO-2022-JP?B?${cp50221('㈱契約書ﾃｽﾄ.xlsx').toString('base64')}?="`),
    part(bytes('filename="', iconv('請求書①.doc', 'CP932'), '"')),
    part(bytes('filename="', '議事録.txt', '"')),
    part(bytes('filename="', cp50221('納品書.csv'), '"')),
    part('filename="../../etc/pass\\"wd"'),
  ]));
  const names = files(l.plan);
  assert.deepEqual(names.slice(0, 6), ['見積書①.pdf', '①秋.txt', '㈱契約書ﾃｽﾄ.xlsx', '請求書①.doc', '議事録.txt', '納品書.csv']);
  assert.equal(names[6], 'pass"wd'); // no path; what a storage does not take is replaced there
  has(l.text, ...names.slice(0, 6));
  for (const p of l.plan.parts.slice(0, 7)) assert.equal(p.sha1, sha1(Buffer.from([0, 1, 2])));
});

test('alternative: the richest part that can be shown; mixed: all texts; a nested message is an attachment', NEEDS_CHROMIUM, async () => {
  const plain = bytes('Content-Type: text/plain; charset=utf-8\r\n\r\nPLAINVERSION\r\n');
  const html = bytes('Content-Type: text/html; charset=utf-8\r\n\r\n<p>HTML<b>VERSION</b></p>\r\n');
  const inner = bytes('Content-Type: message/rfc822\r\n\r\nFrom: x@example.org\r\nSubject: inner letter\r\n\r\nINNERBODY\r\n');
  const alternative = multipart('alternative', '', [plain, html], { inner: true });
  const l = await w.letter(multipart('mixed', HEAD + 'Subject: choice\r\n', [alternative,
    bytes('Content-Type: text/plain\r\n\r\nSECONDTEXT\r\n'), inner]));
  has(l.text, 'HTMLVERSION', 'SECONDTEXT');
  hasNot(l.text, 'PLAINVERSION');
  assert.ok(l.text.indexOf('SECONDTEXT') < l.text.indexOf('INNERBODY')); // below the letter, see sections.test.mjs
  assert.equal(files(l.plan).length, 1);
  assert.match(files(l.plan)[0], /inner letter.*\.eml$/);
  const two = await w.letter(multipart('mixed', HEAD + 'Subject: two texts\r\n', [
    bytes('Content-Type: text/plain\r\n\r\nFIRSTTEXT\r\n'), bytes('Content-Type: text/plain\r\n\r\nSECONDTEXT\r\n')]));
  assert.equal(two.plan.painter, 'text');
  has(two.text, 'FIRSTTEXT', 'SECONDTEXT');
});

test('format=flowed is joined, quote marks become bars; a table in text keeps its lines', async () => {
  const l = await w.letter(HEAD + crlf(`Subject: flowed
Content-Type: text/plain; charset=utf-8; format=flowed

This paragraph was 
broken by the mailer 
and is one again.

> quoted and 
> also broken.
`));
  has(l.text, 'This paragraph was broken by the mailer and is one again.', 'quoted and also broken.');
  assert.match(l.text, /was broken by the mailer and is one/);
  hasNot(l.text, '> quoted');
  const fixed = await w.letter(HEAD + 'Subject: fixed\r\n\r\na   b\r\n1   2\r\n');
  assert.match(tool('pdftotext', ['-layout', fixed.pdf, '-']), /a {2,}b\n\s*1 {2,}2/);
});

test('images by cid are shown and are no attachments; files with inline disposition are kept as files', NEEDS_CHROMIUM, async () => {
  const image = bytes('Content-Type: image/png\r\nContent-ID: <logo@x>\r\nContent-Disposition: inline; filename="logo.png"\r\nContent-Transfer-Encoding: base64\r\n\r\n', base64(PNG_RED), '\r\n');
  const html = bytes('Content-Type: text/html; charset=utf-8\r\n\r\n<p>Look:</p><img src="cid:logo@x" width=300 height=200>\r\n');
  const pdf = bytes('Content-Type: application/pdf; name="plan.pdf"\r\nContent-Disposition: inline\r\nContent-Transfer-Encoding: base64\r\n\r\n', base64('%PDF-1.4'), '\r\n');
  const l = await w.letter(multipart('mixed', HEAD + 'Subject: picture\r\n', [multipart('related', '', [html, image], { inner: true }), pdf]));
  assert.ok(colours(l.pdf).red > 1000, JSON.stringify(colours(l.pdf)));
  assert.deepEqual(files(l.plan), ['plan.pdf']);
  assert.equal(l.plan.parts.find((p) => p.cid === 'logo@x').inline, true);
  hasNot(l.text, 'logo.png');
});

test('header block on top, attachment list with sizes, embedded subset fonts, searchable text, live links', NEEDS_CHROMIUM, async () => {
  const attachment = bytes('Content-Type: application/zip\r\nContent-Disposition: attachment; filename="data.zip"\r\nContent-Transfer-Encoding: base64\r\n\r\n', base64(Buffer.alloc(3000, 7)), '\r\n');
  const head = 'From: Taro <taro@example.jp>\r\nTo: A <a@example.com>, B <b@example.com>\r\nCc: c@example.com\r\nBcc: secret@example.com\r\n'
    + 'Subject: Quarterly report\r\nDate: Fri, 27 Nov 2026 10:00:00 +0900\r\n';
  for (const [type, body, painter] of [
    ['text/plain', 'See https://example.com/a?b=1 and mail info@example.com now.', 'text'],
    ['text/html', '<p>See <a href="https://example.com/a?b=1">https://example.com/a</a> and <a href="mailto:info@example.com">mail</a>'
      + ' <a href="javascript:alert(1)">now</a>.</p>', 'native'],
    ['text/html', '<p style="float:none;opacity:.99">See <a href="https://example.com/a?b=1">https://example.com/a</a> and'
      + ' <a href="mailto:info@example.com">mail</a> <a href="javascript:alert(1)">now</a>.</p>', 'chromium']]) {
    const l = await w.letter(multipart('mixed', head, [bytes(`Content-Type: ${type}; charset=utf-8\r\n\r\n${body}\r\n`), attachment]));
    assert.equal(l.plan.painter, painter);
    has(l.text, 'Quarterly report', 'From Taro <taro@example.jp>', 'To A <a@example.com>, B <b@example.com>', 'Cc c@example.com',
      'Date Friday, 27 November 2026, 10:00 (UTC+09:00)', 'Attachments data.zip', '2.9 KB', 'See https://example.com/a', 'now.');
    hasNot(l.text, 'secret@example.com');
    assert.ok(l.text.indexOf('Quarterly report') < l.text.indexOf('From') && l.text.indexOf('data.zip') < l.text.indexOf('See https'));
    assert.deepEqual(links(l.pdf).sort(), ['https://example.com/a?b=1', 'mailto:info@example.com']);
    const used = fonts(l.pdf);
    assert.ok(used.length > 0 && used.every((f) => f.isEmbedded && f.isSubset && f.hasUnicode), JSON.stringify(used));
    const info = tool('pdfinfo', [l.pdf]);
    assert.match(info, /Title:\s+Quarterly report/);
    assert.match(info, /CreationDate:\s+Fri Nov 27 01:00:00 2026 UTC/); // the mail's date, not today's
    assert.match(info, /Page size:.*A4/);
    const again = await w.letter(multipart('mixed', head, [bytes(`Content-Type: ${type}; charset=utf-8\r\n\r\n${body}\r\n`), attachment]));
    assert.equal(again.plan.parts.find((p) => p.object === 'body.pdf').sha1, l.plan.parts.find((p) => p.object === 'body.pdf').sha1);
  }
});

test('emoji in colour; Hebrew, Arabic, Korean, Chinese, Thai, Greek and Russian without a missing glyph', NEEDS_CHROMIUM, async () => {
  const words = ['שלום', 'مرحبا', '한국어', '简体中文', 'ไทย', 'Ελληνικά', 'Русский'];
  for (const [type, body] of [['text/plain', `😀😀😀😀😀😀\n${words.join('\n')}\n`],
    ['text/html', `<p style="font-size:30px">😀😀😀😀</p><p dir="auto">${words.join('</p><p dir="auto">')}</p>`]]) {
    const l = await w.letter(HEAD + crlf(`Subject: scripts\nContent-Type: ${type}; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n${body}`));
    assert.ok(colours(l.pdf).yellow > 40, `${type}: ${JSON.stringify(colours(l.pdf))}`);
    const text = tool('pdftotext', [l.pdf, '-']).normalize('NFKC').replace(/[\s\u200e\u200f\u202a-\u202e]/g, '');
    for (const word of words.slice(2)) has(text, word);
    for (const word of words.slice(0, 2)) assert.ok(text.includes(word) || text.includes([...word].reverse().join('')), `${word}: ${text}`);
  }
  // Right-to-left paragraphs begin at the right margin.
  const l = await w.letter(HEAD + crlf('Subject: rtl\nContent-Type: text/plain; charset=utf-8\n\nשלום\n'));
  const ends = [...tool('pdftotext', ['-bbox', l.pdf, '-']).matchAll(/xMax="([\d.]+)" yMax="[\d.]+">[\u0590-\u05ff]/g)].map((m) => Number(m[1]));
  assert.ok(ends.length > 0 && Math.max(...ends) > 520, JSON.stringify(ends));
});

test('winmail.dat is unpacked', async () => {
  const data = Buffer.from('spreadsheet bytes');
  const l = await w.letter(multipart('mixed', HEAD + 'Subject: tnef\r\n', [
    bytes('Content-Type: text/plain\r\n\r\nfrom Outlook\r\n'),
    bytes('Content-Type: application/ms-tnef; name=winmail.dat\r\nContent-Disposition: attachment; filename=winmail.dat\r\nContent-Transfer-Encoding: base64\r\n\r\n',
      base64(tnef([['report.xls', data], ['memo.txt', Buffer.from('memo')]])), '\r\n')]));
  assert.deepEqual(files(l.plan), ['report.xls', 'memo.txt']);
  const part = l.plan.parts.find((p) => p.name === 'report.xls');
  assert.equal(part.sha1, sha1(data));
  assert.deepEqual(await w.peek(l.id, 'get', part.object), data);
  has(l.text, 'report.xls', 'memo.txt');
});

test('really encrypted S/MIME and PGP pass untouched; what only says so is secured', async () => {
  const cert = path.join(w.world.dir, 'cert.pem');
  const key = path.join(w.world.dir, 'key.pem');
  const openssl = (args, input) => {
    const r = spawnSync('openssl', args, { input });
    assert.equal(r.status, 0, r.stderr.toString());
    return r.stdout;
  };
  openssl(['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, '-subj', '/CN=x', '-days', '2']);
  const der = openssl(['cms', '-encrypt', '-aes256', '-outform', 'DER', cert], 'Content-Type: text/plain\r\n\r\ntop secret\r\n');
  const smime = (data) => bytes(HEAD, 'Subject: sealed\r\nMIME-Version: 1.0\r\nContent-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\r\n'
    + 'Content-Transfer-Encoding: base64\r\n\r\n', base64(data), '\r\n');
  const kind = async (mail) => (await w.letter(mail)).plan.branches.map((b) => b.kind).join();
  assert.equal(await kind(smime(der)), 'pass');
  assert.equal(await kind(smime('these are plain words')), 'secure');
  const pgp = (armor) => multipart('encrypted; protocol="application/pgp-encrypted"', HEAD + 'Subject: sealed\r\n', [
    bytes('Content-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n'), bytes(`Content-Type: application/octet-stream\r\n\r\n${crlf(armor)}`)]);
  const armor = '-----BEGIN PGP MESSAGE-----\n\nhQEMA1234567890abcdefghi\n=abcd\n-----END PGP MESSAGE-----\n';
  assert.equal(await kind(pgp(armor)), 'pass');
  assert.equal(await kind(pgp('plain words')), 'secure');
  assert.equal(await kind(pgp(`${armor}and a secret behind it\n`)), 'secure');
});

test('a table wider than the page is made smaller as a whole, and the page wider; nothing of it is cut, the header block stays as it is', NEEDS_CHROMIUM, async () => {
  const cells = Array.from({ length: 14 }, (_, i) => `<td style="white-space:nowrap">Wide column ${i}</td>`).join('');
  const l = await w.letter(HEAD + crlf(`Subject: wide\nContent-Type: text/html\n\n<table border=1><tr>${cells}</tr></table>`));
  const words = [...tool('pdftotext', ['-bbox', l.pdf, '-']).matchAll(/xMin="([\d.]+)" yMin="([\d.]+)" xMax="([\d.]+)" yMax="([\d.]+)">([^<]*)</g)];
  const at = (text) => words.find((m) => m[5] === text);
  const [, width, height] = /Page size:\s+([\d.]+) x ([\d.]+)/.exec(tool('pdfinfo', [l.pdf]));
  assert.ok(width > 700 && width < 1000 && Math.abs(height - 841.9) < 1, `${width} by ${height}`);
  assert.ok(Number(at('13')[3]) < width - 50, 'the last column ends within the page');
  assert.ok(Number(at('13')[4]) - Number(at('13')[2]) > 6.5, 'and can be read');
  assert.ok(at('taro@example.jp') || at('&lt;taro@example.jp&gt;'), JSON.stringify(words.map((m) => m[5])));
  const head = at('&lt;taro@example.jp&gt;');
  assert.ok(Number(head[4]) - Number(head[2]) > 8, 'the header block has its size');
});

test('no body, no subject, no date, undisclosed recipients: a letter all the same', async () => {
  const l = await w.letter('From: taro@example.jp\r\nTo: undisclosed-recipients:;\r\n\r\n');
  has(l.text, '(no subject)', 'From taro@example.jp', 'undisclosed-recipients');
  assert.equal(l.plan.parts.length, 1);
});

function iconv(text, to) {
  const r = spawnSync('iconv', ['-f', 'UTF-8', '-t', to], { input: text });
  if (r.status !== 0) throw new Error(r.stderr.toString());
  return r.stdout;
}

test('the dates of the policy become the plan\'s: expiry, purge, reminder; none that comes too late', async (t) => {
  const DAY = 86400000;
  const dated = await RenderWorld.create(t, { policy: (world) => `
storages: [{name: vault, type: vault, url: "file://${world.dir}/vault", key_file: "${world.keyFile}"}]
security_definitions:
  - {name: for a while, expires_after: 30d, purge_after: 60d}
  - {name: for two days, expires_after: 2d}
  - {name: for ever}
rules:
  - {name: all, when: {to: [all@example.com]}, storage: vault, security: for a while, remind_after: 5}
  - {name: late, when: {to: [late@example.com]}, storage: vault, security: for two days, remind_after: 2}
  - {name: open end, when: {to: [ever@example.com]}, storage: vault, security: for ever, remind_after: 3d}
  - {name: plain, storage: vault, security: for ever}
` });
  const before = Date.now();
  const id = await dated.send(bytes(HEAD, 'Subject: x\r\n\r\nx\r\n'),
    { to: ['all@example.com', 'late@example.com', 'ever@example.com', 'x@example.com'] });
  const { plan } = await dated.outcome(id);
  const at = Number(await dated.redis.command('HGET', `fb:{s0}:m:${id}`, 'at'));
  assert.ok(before <= at && at <= Date.now(), `${before} ${at}`);
  assert.deepEqual(Object.fromEntries(plan.branches.map((b) => [b.rule, [b.expires_ms, b.purge_ms, b.remind_ms]])), {
    all: [at + 30 * DAY, at + 90 * DAY, at + 5 * DAY],
    late: [at + 2 * DAY, 0, 0],
    'open end': [0, 0, at + 3 * DAY],
    plain: [0, 0, 0],
  });
});
