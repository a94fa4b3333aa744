// SPDX-License-Identifier: Apache-2.0
//
// The mails of a chaos run.  Mail number i of a seed is always the same, and each recipient gets one mail of the run.
//
// Tokens: `cq<i>b<hex>q` stands in the body (not in the subject: a notice keeps that), `cq<i>a<hex>q` in the content of an
// attachment, `cq<i>n<hex>q` in an attachment's name, which the own notice may show.  So whatever is found anywhere says
// whose it is.
//
// The mix, in 1,000 mails: KINDS.  Real mails (FUMIBAKO_SHARED/corpus) take the place of generated ones of kind `corpus`;
// each of them is marked in its body, or gets one more attachment.

import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { bytesOf, seeded } from './random.mjs';

export const KINDS = {
  text: 640, // a letter of some lines, one recipient
  attached: 140, // a letter with one or two small files
  many: 60, // two to five recipients, secured and untouched ones
  plain: 60, // untouched
  corpus: 50, // a real mail, marked
  html: 25, // painted by Chromium
  receipt: 10, // its sender gets a receipt
  large: 5, // a file of 0.5 to 2 MB
  refused: 5, // a rule refuses it: a report to the sender
  unknown: 5, // the relay does not know the recipient: a report to the sender
};

export const DOMAINS = { secure: 'partner.example.com', plain: 'plain.example.net', refused: 'refused.example.org', unknown: 'unknown.example.info' };
const SENDERS = 300;

export const RULES = [
  { name: 'plain', when: { to: [`@${DOMAINS.plain}`] }, action: 'pass' },
  { name: 'refused', when: { to: [`@${DOMAINS.refused}`] }, action: 'reject' },
  { name: 'with receipt', when: { from: ['@receipts.example.jp'] }, action: 'secure', storage: 'box', security: 'recipients only', receipt: true },
  { name: 'sorted', when: { from: ['@sorted.example.jp'] }, action: 'secure', storage: 'box', security: 'recipients only', receipt: false, path: '{sender}/{date:%Y-%m}' },
  { name: 'secure everything', action: 'secure', storage: 'box', security: 'recipients only', receipt: false },
];

export const TOKEN = /cq(\d+)([ban])([0-9a-f]{12})q/g;
const sha1 = (bytes) => createHash('sha1').update(bytes).digest('hex');
const b64 = (bytes) => Buffer.from(bytes).toString('base64').replace(/.{76}/g, '$&\r\n');
const tokenOf = (seed, i, kind) => `cq${i}${kind}${createHash('sha256').update(`${seed}/${i}/${kind}`).digest('hex').slice(0, 12)}q`;

const WORDS = ('please find below the figures for the third quarter we would like to confirm delivery of the parts by friday '
  + 'and ask you to return the signed contract as soon as your legal department has approved it many thanks for your help').split(' ');
const JAPANESE = ['いつもお世話になっております。', '先日お打ち合わせいたしました件につきまして、下記のとおりご連絡申し上げます。',
  'お手数をおかけいたしますが、ご確認のほどよろしくお願いいたします。', '見積書を更新いたしましたので、ご査収ください。', '納期は来月末を予定しております。'];

function letter(r, token, isJapanese) {
  const lines = [isJapanese ? `管理番号 ${token}` : `Reference ${token}`, ''];
  for (let n = 3 + r.below(25); n > 0; n--) {
    lines.push(isJapanese ? r.one(JAPANESE) : Array.from({ length: 6 + r.below(8) }, () => r.one(WORDS)).join(' '));
  }
  return lines.join('\r\n');
}

const headOf = (m, type) => [`From: <${m.from}>`, `To: ${m.to.map((t) => `<${t.address}>`).join(',\r\n ')}`, `Subject: ${m.subject}`,
  'Date: Fri, 27 Nov 2026 10:15:00 +0900', `Message-ID: <chaos-${m.seed}-${m.i}@mail.example.jp>`, 'MIME-Version: 1.0', ...type];

function addFile(m, size, name) {
  const content = Buffer.concat([Buffer.from(`${tokenOf(m.seed, m.i, 'a')} ${m.attachments.length}\n`), bytesOf(`${m.seed}/${m.i}/${m.attachments.length}`, size)]);
  m.attachments.push({ name, sha1: sha1(content), size: content.length });
  return ['Content-Type: application/octet-stream', `Content-Disposition: attachment; filename="${name}"`, 'Content-Transfer-Encoding: base64', '', b64(content)];
}

function compose(m, r) {
  const token = tokenOf(m.seed, m.i, 'b');
  const isJapanese = r.next() < 0.4;
  const text = letter(r, token, isJapanese);
  const asText = isJapanese && r.next() < 0.5 ? ['Content-Type: text/plain; charset=utf-8', 'Content-Transfer-Encoding: base64', '', b64(text)]
    : ['Content-Type: text/plain; charset=utf-8', 'Content-Transfer-Encoding: 8bit', '', text];
  const asHtml = ['Content-Type: text/html; charset=utf-8', 'Content-Transfer-Encoding: base64', '',
    b64(`<html><body style="font-family:sans-serif"><h2>Report</h2><table border="1"><tr><td>${text.split('\r\n').join('</td></tr><tr><td>')}</td></tr></table></body></html>`)];
  const files = { attached: 1 + r.below(2), many: r.below(2), large: 1 }[m.kind] ?? 0;
  const body = m.kind === 'html' ? asHtml : asText;
  if (files === 0) return Buffer.from([...headOf(m, []), ...body, ''].join('\r\n'));
  const lines = headOf(m, ['Content-Type: multipart/mixed; boundary="=_c"']);
  lines.push('', '--=_c', ...body);
  for (let k = 0; k < files; k++) {
    const size = m.kind === 'large' ? 500000 + r.below(1500000) : 2000 + r.below(20000);
    const name = k === 0 ? `report-${tokenOf(m.seed, m.i, 'n')}.bin` : `table-${k}.xlsx`;
    lines.push('--=_c', ...addFile(m, size, name));
  }
  return Buffer.from([...lines, '--=_c--', ''].join('\r\n'));
}

/** A real mail with a mark, or null where none can be set without reading MIME as Fumibako does. */
function mark(m, original) {
  const text = original.toString('latin1').replace(/\r?\n/g, '\r\n');
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return null;
  const head = text.slice(0, end + 2).replace(/\r\n[ \t]+/g, ' ');
  const of = (name) => new RegExp(`^${name}:[ \t]*(.*)$`, 'im').exec(head)?.[1].trim() ?? '';
  const type = of('content-type');
  const encoding = of('content-transfer-encoding').toLowerCase();
  const before = text.slice(0, end + 4);
  const body = text.slice(end + 4);
  const token = tokenOf(m.seed, m.i, 'b');
  if ((type === '' || /^text\/plain/i.test(type)) && /^(|7bit|8bit|quoted-printable)$/.test(encoding)) {
    if (/utf-?(16|32|7)/i.test(type)) return null;
    return Buffer.from(`${before}Reference ${token}\r\n${body}`, 'latin1');
  }
  const boundary = /^multipart\/mixed\b.*boundary=(?:"([^"]+)"|([^;\s]+))/i.exec(type);
  if (!boundary) return null;
  const close = body.lastIndexOf(`\r\n--${boundary[1] ?? boundary[2]}--`);
  if (close < 0) return null;
  const part = [`--${boundary[1] ?? boundary[2]}`, ...addFile(m, 3000, `report-${tokenOf(m.seed, m.i, 'n')}.bin`)].join('\r\n');
  m.hasBodyToken = false;
  return Buffer.from(`${before}${body.slice(0, close)}\r\n${part}${body.slice(close)}`, 'latin1');
}

/** Real mails that can be marked; [] without the corpus. */
export function corpus(shared) {
  const index = path.join(shared ?? '', 'corpus/index.tsv');
  if (!shared || !fs.existsSync(index)) return [];
  // What passes untouched by rights (encrypted, reports) would show its mark, and what no MTA takes is no test of ours.
  const not = /smime|pgp|dsn|report|rfc822|no_from|defect|auto_submitted|bounce|no_blank_line|mbox_from|eol_mixed|long_line|header_8bit|resent/;
  return fs.readFileSync(index, 'utf8').split('\n').slice(1).filter(Boolean).map((l) => l.split('\t'))
    .filter((f) => Number(f[1]) < 150000 && !not.test(f[6]))
    .map((f) => ({ name: f[0], content: fs.readFileSync(path.join(path.dirname(index), 'files', f[0])) }))
    .filter((f) => !f.content.includes(0) && mark({ seed: 0, i: 0, attachments: [] }, f.content) !== null);
}

const untouched = (content) => {
  const bytes = Buffer.from(content.toString('latin1').replace(/\r\n/g, '\n'), 'latin1');
  return { sha1: sha1(bytes), size: bytes.length };
};

/**
 * Mail number i: {i, kind, from, to: [{address, expect: secure|plain|refused|unknown}], attachments: [{name, sha1, size}],
 * isExact: the attachments are all that there are, hasBodyToken, original: sha1 and size with LF, content}.
 */
export function mailOf(seed, i, real = []) {
  const r = seeded('mail', seed, i);
  let kind = r.weighted(KINDS);
  if (kind === 'corpus' && real.length === 0) kind = 'text';
  // Some senders send much more than others, so that both lanes are used.
  const sender = Math.floor(r.next() ** 2 * SENDERS);
  const home = kind === 'receipt' ? 'receipts.example.jp' : kind !== 'corpus' && r.next() < 0.1 ? 'sorted.example.jp' : 'example.jp';
  const m = { seed, i, kind, from: `s${sender}@${home}`, attachments: [], isExact: true, hasBodyToken: true,
    subject: r.next() < 0.3 ? `=?UTF-8?B?${Buffer.from(`ご報告 ${i}`).toString('base64')}?=` : `Report ${i}` };
  const expect = { plain: 'plain', refused: 'refused', unknown: 'unknown' }[kind] ?? 'secure';
  m.to = [{ address: `r${i}@${DOMAINS[expect]}`, expect }];
  if (kind === 'many') {
    for (let k = 1 + r.below(4); k > 0; k--) {
      const other = r.next() < 0.3 ? 'plain' : 'secure';
      m.to.push({ address: `r${i}-${k}@${DOMAINS[other]}`, expect: other });
    }
  }
  if (kind === 'corpus') {
    const base = r.one(real);
    m.base = base.name;
    m.isExact = false;
    m.content = mark(m, base.content);
  } else {
    m.content = compose(m, r);
  }
  m.original = untouched(m.content);
  return m;
}
