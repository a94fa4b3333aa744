// SPDX-License-Identifier: Apache-2.0
//
// What we compose, read by another implementation (npm postal-mime): the structure, the names and the words come out as
// they went in.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import PostalMime from 'postal-mime';

import { Stage, run, secured } from './kit.mjs';

const parse = (bytes) => new PostalMime().parse(bytes);

test('the standard notices', async (t) => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'fumibako-notices-'));
  t.after(() => fs.rmSync(dir, { recursive: true }));
  const result = await run('notice_look', [dir], '');
  assert.equal(result.code, 0, result.stderr);
  for (const kind of ['notice', 'logo']) {
    for (const language of ['ja', 'en', 'both']) {
      const mail = await parse(fs.readFileSync(path.join(dir, `${kind}-${language}.eml`)));
      const what = `${kind}-${language}`;
      for (const text of [mail.text, mail.html]) {
        assert.ok(text.includes('https://app.box.com/folder/318273645509'), what);
        assert.ok(text.includes('見積書_第3四半期_株式会社サンプル御中_最終版_v2.1.xlsx'), what);
        assert.equal(text.includes('安全な保管場所'), language !== 'en', what);
        assert.equal(text.includes('kept in a secure place'), language !== 'ja', what);
        assert.ok(!text.includes('\ufffd'), what);
      }
      assert.equal(mail.attachments.length, kind === 'logo' ? 1 : 0, what);
      if (kind === 'logo') {
        assert.equal(mail.attachments[0].mimeType, 'image/png');
        assert.ok(mail.html.includes(`cid:${mail.attachments[0].contentId.replace(/[<>]/g, '')}`));
        assert.equal(Buffer.from(mail.attachments[0].content).toString('latin1', 1, 4), 'PNG');
      }
    }
  }
});

test('attachments that stay keep name, type and bytes; unpacked ones as well', async (t) => {
  const stage = await Stage.create(t);
  const bytes = Buffer.from(Array.from({ length: 100000 }, (_, i) => (i * 31) & 255));
  const base64 = bytes.toString('base64').replace(/.{76}/g, '$&\r\n');
  const parts = [
    { name: 'お見積り（最終）とても長い名前のファイルで折り返しが必要になるもの.xlsx', type: 'application/x-a', find: base64, encoding: 1 },
    { name: 'a "quoted" name\\.txt', type: 'text/plain', find: 'caf=C3=A9=20', encoding: 2 },
    { name: 'plain.txt', type: 'text/plain', find: 'seven bits', encoding: 0 },
    { name: '未開封.bin', type: 'application/x-b', object: 'tnef.0' },
    { name: 'body.pdf', type: 'application/pdf', object: 'body.pdf' },
  ];
  const spec = secured({ plan: { language: 'both', parts,
    branches: [{ kind: 1, to: [0, 1, 2], rule: 'tagged', body: true, attachments: false, parts: [4] }] },
  objects: { 'tnef.0': bytes, 'body.pdf': 'PDF' } });
  spec.content = `Subject: x\r\n\r\nSECRET\r\n${base64}\r\ncaf=C3=A9=20\r\nseven bits\r\n`;
  const id = await stage.seed(spec);
  assert.equal(await stage.finished(id), 'sent');
  const mail = await parse(stage.relay.mails[0].content);
  assert.deepEqual(mail.attachments.map((a) => [a.filename, a.mimeType]), parts.slice(0, 4).map((p) => [p.name, p.type]));
  assert.ok(Buffer.from(mail.attachments[0].content).equals(bytes));
  assert.equal(Buffer.from(mail.attachments[1].content).toString().trimEnd(), 'café');
  assert.equal(Buffer.from(mail.attachments[2].content).toString().trimEnd(), 'seven bits');
  assert.ok(Buffer.from(mail.attachments[3].content).equals(bytes));
  assert.ok(mail.text.includes('https://box.example/s/1'));
  assert.ok(!stage.relay.mails[0].content.includes('SECRET'));
});

test('a body that stays: our block above its text and inside its HTML, its image with it', async (t) => {
  const stage = await Stage.create(t);
  const png = Buffer.from('\x89PNG\r\n\x1a\nimage', 'latin1');
  const parts = [
    { name: 'i.png', type: 'image/png', cid: 'img@x', find: png.toString('base64'), encoding: 1, inline: true },
    { name: 's.bin', type: 'application/x', find: 'SECRET-FILE', encoding: 0 },
  ];
  const spec = secured({ plan: { language: 'ja', parts, kept_text: 'kept.txt', kept_html: 'kept.html',
    branches: [{ kind: 1, to: [0, 1, 2], rule: 'tagged', body: false, attachments: true, parts: [1], subject: '=?UTF-8?B?5aCx5ZGK?=' }] },
  objects: { 'kept.txt': '田中様\n\nよろしく。\n', 'kept.html': '<html><body><!--fumibako-notice--><p>田中様 <img src="cid:img@x"></p></body></html>' } });
  spec.content = `Subject: x\r\n\r\n${png.toString('base64')}\r\nSECRET-FILE\r\n`;
  const id = await stage.seed(spec);
  assert.equal(await stage.finished(id), 'sent');
  const mail = await parse(stage.relay.mails[0].content);
  assert.equal(mail.subject, '報告');
  assert.ok(mail.text.indexOf('添付ファイルは安全な保管場所') >= 0 && mail.text.indexOf('添付') < mail.text.indexOf('田中様'));
  assert.ok(mail.html.indexOf('添付ファイルを開く') >= 0 && mail.html.indexOf('添付') < mail.html.indexOf('田中様'));
  assert.ok(!mail.html.includes('fumibako-notice'));
  assert.equal(mail.attachments.length, 1);
  assert.ok(Buffer.from(mail.attachments[0].content).equals(png));
  assert.equal(mail.attachments[0].contentId, '<img@x>');
  assert.ok(!stage.relay.mails[0].content.includes('SECRET-FILE'));
});

test('the password mail and the delivery report', async (t) => {
  const stage = await Stage.create(t, { relay: { rcpt: (a) => (a === 'c@example.com' ? '550 5.1.1 no' : null) },
    policy: 'storages: [{name: box, type: box, auth_file: /x.json, root_folder: "0"}]\nsecurity_definitions: [{name: s}]\n' +
      'rules: [{name: tagged, when: {subject: ["[secure]"]}, action: secure, storage: box, security: s, strip_tag: true}]\n' +
      'notices: {organisation: "株式会社 文箱商事, Inc."}\n' });
  const subject = '[secure] とても長い件名で、折り返さなければならないもの：2025年度 第3四半期 お見積りの件（至急ご確認ください）';
  const id = await stage.seed(secured({ plan: { language: 'ja', subject,
    branches: [{ kind: 1, to: [0, 1, 2], rule: 'tagged', body: true, attachments: true, subject: 'x' }] },
  parcel: { access: 'anyone', password: 'Kq7-mZ2' } }));
  assert.equal(await stage.finished(id), 'sent');
  const mails = await Promise.all(stage.relay.mails.map((m) => parse(m.content)));
  const password = mails.find((m) => m.text?.includes('Kq7-mZ2'));
  assert.deepEqual(password.from, { name: '株式会社 文箱商事, Inc.', address: 'postmaster@example.jp' });
  assert.equal(password.subject, `パスワードのお知らせ: ${subject.slice(9)}`);
  const report = mails.find((m) => m.headers.some((h) => h.key === 'auto-submitted' && h.value === 'auto-replied'));
  assert.equal(report.from.name, 'Mail Delivery System');
  assert.equal(report.subject, '配送できませんでした (Undelivered mail)');
  assert.ok(report.text.includes('c@example.com'));
  assert.ok(report.text.includes('届けられませんでした'));
});
