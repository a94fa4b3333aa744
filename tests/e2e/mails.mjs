// SPDX-License-Identifier: Apache-2.0
//
// Mails for the end-to-end tests, as mail programs write them.

import { createHash, randomBytes } from 'node:crypto';

export const sha1 = (bytes) => createHash('sha1').update(bytes).digest('hex');
export const crlf = (text) => Buffer.from(Buffer.from(text).toString('latin1').replace(/\r?\n/g, '\r\n'), 'latin1');
const b64 = (bytes) => Buffer.from(bytes).toString('base64').replace(/.{76}/g, '$&\r\n');
const word = (text) => `=?UTF-8?B?${Buffer.from(text).toString('base64')}?=`;

export const SECRET = 'ひみつの契約金額は9876543210円です。';
export const SECRET_EN = 'Launch code orchid-seven-delta stays between us.';

/** A Japanese business mail with two attachments: {content (CRLF), attachments: [{name, bytes, sha1}], messageId}. */
export function japaneseMail({ from = '"=?UTF-8?B?5bGx55Sw5aSq6YOO?=" <taro@example.jp>',
  to = 'hanako@partner.example.com', cc = null, subject = '【見積書】ご確認のお願い', size = 200000, extra = [] } = {}) {
  const attachments = [
    { name: '見積書（最終版）.xlsx', bytes: randomBytes(size) },
    { name: 'photo.jpg', bytes: randomBytes(5000) },
  ].map((a) => ({ ...a, sha1: sha1(a.bytes) }));
  const messageId = `<${randomBytes(8).toString('hex')}@mail.example.jp>`;
  const date = 'Fri, 27 Nov 2026 10:15:00 +0900';
  const encoded = encodeURIComponent(attachments[0].name).replace(/[()!'*]/g, (c) => `%${c.charCodeAt(0).toString(16)}`);
  const text = [
    `Received: from pc.example.jp (pc.example.jp [192.0.2.7]) by mail.example.jp; ${date}`,
    'DKIM-Signature: v=1; a=rsa-sha256; d=example.jp; s=x; h=from:to:subject; bh=AAAA; b=BBBB',
    `From: ${from}`, `To: ${to}`, ...(cc ? [`Cc: ${cc}`] : []),
    `Subject: ${word(subject)}`, `Date: ${date}`, `Message-ID: ${messageId}`,
    'References: <earlier@mail.example.jp>', 'In-Reply-To: <earlier@mail.example.jp>', ...extra,
    'MIME-Version: 1.0', 'Content-Type: multipart/mixed; boundary="=_outer"', '',
    '--=_outer', 'Content-Type: multipart/alternative; boundary="=_inner"', '',
    '--=_inner', 'Content-Type: text/plain; charset=UTF-8', 'Content-Transfer-Encoding: base64', '',
    b64(`お世話になっております。\n${SECRET}\n${SECRET_EN}\n`),
    '--=_inner', 'Content-Type: text/html; charset=UTF-8', 'Content-Transfer-Encoding: base64', '',
    b64(`<html><body><p>お世話になっております。</p><p><b>${SECRET}</b></p><p>${SECRET_EN}</p>`
      + '<p><a href="https://www.example.jp/quote">見積ページ</a></p></body></html>'),
    '--=_inner--', '',
    '--=_outer',
    'Content-Type: application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
    `Content-Disposition: attachment; filename*=UTF-8''${encoded}`, 'Content-Transfer-Encoding: base64', '',
    b64(attachments[0].bytes),
    '--=_outer', 'Content-Type: image/jpeg; name="photo.jpg"', 'Content-Disposition: attachment; filename="photo.jpg"',
    'Content-Transfer-Encoding: base64', '', b64(attachments[1].bytes), '--=_outer--', ''].join('\r\n');
  return { content: Buffer.from(text), attachments, messageId, date, subject };
}

/** A short plain mail whose body holds a token of its own. */
export function plainMail({ token, from = 'taro@example.jp', to, subject = 'Report', lines = 5 }) {
  return Buffer.from([`From: ${from}`, `To: ${to}`, `Subject: ${subject}`, 'Date: Fri, 27 Nov 2026 10:15:00 +0900',
    `Message-ID: <${token}@mail.example.jp>`, 'MIME-Version: 1.0', 'Content-Type: text/plain; charset=utf-8', '',
    ...Array.from({ length: lines }, (_, i) => `Line ${i} of a confidential report: body-${token}-end.`), ''].join('\r\n'));
}
