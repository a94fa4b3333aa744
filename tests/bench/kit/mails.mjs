// SPDX-License-Identifier: Apache-2.0
//
// The mails that benchmarks and the soak send: as business mail is, in two kinds of body, with as many bytes of
// attachment as asked, each one different (address, subject, a number in the body), so that nothing is found again.
//
//   mailOf('html', 17, { attachment: 100000 })  ->  { from, to, content }
//
//   text  10 kB of plain text, Japanese and English
//   html  the same letter as multipart/alternative: 12 kB of HTML with a table, styles and an inline picture

import { createHash } from 'node:crypto';
import { deflateSync } from 'node:zlib';

const b64 = (bytes) => Buffer.from(bytes).toString('base64').replace(/.{76}/g, '$&\r\n');
const SENDERS = 2000; // one who sends thousands in a minute is a case of its own (queue.sender_rate)

const PARAGRAPHS = [
  'お世話になっております。先日ご依頼いただきました件につきまして、下記のとおりご報告申し上げます。ご確認のうえ、ご不明な点がございましたらお知らせください。',
  'We have gone through the figures of the last quarter once more and found the difference that you asked about: it is the '
    + 'freight of the second delivery, which was booked a month late.',
  '納期につきましては、工場の稼働状況を踏まえ、来月中旬を予定しております。確定し次第、あらためてご連絡いたします。',
  'Please find the revised schedule in the attachment. The dates in bold have changed; all others stand as they were agreed.',
];

const letter = (n, bytes) => {
  const lines = [];
  for (let i = 0, size = 0; size < bytes; i++) {
    const line = `${i + 1}. ${PARAGRAPHS[i % PARAGRAPHS.length]} (${n}-${i})`;
    lines.push(line);
    size += Buffer.byteLength(line) + 2;
  }
  return lines;
};

/** A small picture as a PNG: what a signature has. */
function png(width, height) {
  const table = Array.from({ length: 256 }, (_, n) => {
    let c = n;
    for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
    return c >>> 0;
  });
  const crc = (bytes) => (bytes.reduce((c, b) => table[(c ^ b) & 255] ^ (c >>> 8), 0xffffffff) ^ 0xffffffff) >>> 0;
  const chunk = (type, data) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const head = Buffer.alloc(4);
    const tail = Buffer.alloc(4);
    head.writeUInt32BE(data.length);
    tail.writeUInt32BE(crc(body));
    return Buffer.concat([head, body, tail]);
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 2, 0, 0, 0], 8);
  const rows = Buffer.alloc(height * (1 + width * 3));
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width * 3; x++) rows[y * (1 + width * 3) + 1 + x] = (x * 3 + y * 5) & 255;
  }
  return Buffer.concat([Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]), chunk('IHDR', head), chunk('IDAT', deflateSync(rows)),
    chunk('IEND', Buffer.alloc(0))]);
}
const LOGO = png(160, 48);

const html = (lines, n) => `<html><head><style>body{font-family:sans-serif;font-size:11pt;color:#222}
table.q{border-collapse:collapse;width:100%}table.q td,table.q th{border:1px solid #99a;padding:4px 8px}
table.q th{background:#e8eef8}.sig{color:#667;font-size:9pt}</style></head><body>
${lines.map((l) => `<p style="margin:0 0 8px 0">${l}</p>`).join('\n')}
<table class="q"><tr><th>品番</th><th>Item</th><th>数量</th><th>単価</th></tr>
${Array.from({ length: 20 }, (_, i) => `<tr><td>A-${n}-${i}</td><td>Part ${i}</td><td align="right">${i * 7 + 1}</td>`
  + `<td align="right">${1000 + i * 35}</td></tr>`).join('\n')}</table>
<p><a href="https://www.example.jp/quote/${n}">見積ページ</a></p>
<p class="sig"><img src="cid:logo@example.jp" width="160" height="48"><br>山田太郎 / Example Inc.</p></body></html>`;

/** Bytes that no compressor makes smaller, different for each mail, without asking the system for randomness each time. */
const BLOCK = Buffer.concat(Array.from({ length: 4096 }, (_, i) => createHash('sha256').update(`block ${i}`).digest()));
function filler(n, bytes) {
  const out = Buffer.alloc(bytes);
  for (let at = 0; at < bytes; at += BLOCK.length) BLOCK.copy(out, at, 0, Math.min(BLOCK.length, bytes - at));
  out.write(`attachment of mail ${n}`);
  return out;
}

/** The n-th mail of a kind: {from, to, content (CRLF)}. */
export function mailOf(kind, n, { attachment = 0 } = {}) {
  const from = `taro-${n % SENDERS}@example.jp`;
  const to = `hanako-${n}@partner.example.com`;
  const head = [`From: "=?UTF-8?B?5bGx55Sw5aSq6YOO?=" <${from}>`, `To: ${to}`,
    `Subject: =?UTF-8?B?${Buffer.from(`ご報告 report ${n}`).toString('base64')}?=`, 'Date: Fri, 27 Nov 2026 10:15:00 +0900',
    `Message-ID: <bench-${process.pid}-${n}@mail.example.jp>`, 'MIME-Version: 1.0'];
  const plain = (bytes) => ['Content-Type: text/plain; charset=UTF-8', 'Content-Transfer-Encoding: base64', '',
    b64(letter(n, bytes).join('\r\n'))];
  let body;
  if (kind === 'text') {
    body = plain(7500); // 10 kB as base64
  } else {
    const lines = letter(n, 5000);
    body = ['Content-Type: multipart/alternative; boundary="=_alt"', '', '--=_alt', ...plain(5000), '--=_alt',
      'Content-Type: multipart/related; boundary="=_rel"', '', '--=_rel', 'Content-Type: text/html; charset=UTF-8',
      'Content-Transfer-Encoding: base64', '', b64(html(lines, n)), '--=_rel', 'Content-Type: image/png; name="logo.png"',
      'Content-ID: <logo@example.jp>', 'Content-Disposition: inline; filename="logo.png"', 'Content-Transfer-Encoding: base64', '',
      b64(LOGO), '--=_rel--', '', '--=_alt--', ''];
  }
  if (attachment > 0) {
    body = ['Content-Type: multipart/mixed; boundary="=_mix"', '', '--=_mix', ...body, '--=_mix',
      'Content-Type: application/octet-stream', "Content-Disposition: attachment; filename*=UTF-8''%E8%A6%8B%E7%A9%8D%E6%9B%B8.xlsx",
      'Content-Transfer-Encoding: base64', '', b64(filler(n, attachment)), '--=_mix--', ''];
  }
  return { from, to, content: Buffer.from([...head, ...body, ''].join('\r\n')) };
}

/**
 * What an office sends, for runs that are about the whole: 60 of 100 plain text, 40 HTML; a third of each kind has an
 * attachment, of 30 kB, 200 kB or 1 MB in turn.
 */
export function officeMail(n) {
  const attachment = n % 3 === 0 ? [30000, 200000, 1000000][(n / 3) % 3] : 0;
  return mailOf(n % 5 < 3 ? 'text' : 'html', n, { attachment });
}
