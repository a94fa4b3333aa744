// SPDX-License-Identifier: Apache-2.0
// The rest of the mail, from SMTP to the PDF: invitations, contacts, attached messages, reports, signed and encrypted
// mail and attached images as pages that a reader understands, in Japanese and in English, whoever paints.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import test, { after, before } from 'node:test';
import { NEEDS_CHROMIUM, RenderWorld, crlf, links, tool } from './kit.mjs';

const POLICY = (world) => `
pass: {encrypted: false}
storages:
  - {name: vault, type: vault, url: "file://${world.dir}/vault", key_file: "${world.keyFile}"}
security_definitions:
  - {name: recipients only, access: recipients}
rules:
  - name: with images
    when: {to: ["images@example.com"]}
    action: secure
    secure: {images: true}
    storage: vault
    security: recipients only
  - name: secure outbound
    when: {to: ["!@example.jp"]}
    action: secure
    storage: vault
    security: recipients only
`;

let w;
before(async () => { w = await RenderWorld.create(undefined, { policy: POLICY }); });
after(async () => { await w.world.end(); });

const FOLDER = new URL('../../fixtures/sections/', import.meta.url);
const mail = (name) => crlf(fs.readFileSync(new URL(`${name}.eml`, FOLDER), 'utf8'));
/** The same mail, so that Chromium paints it. */
const forChromium = (name) => mail(name).replace(/<p>(?=Please)/, '<p style="display:inline-block">');
const squeeze = (text) => text.replace(/\s+/g, '');
const has = (l, ...wanted) => {
  for (const x of wanted) assert.ok(squeeze(l.text).includes(squeeze(x)), `"${x}" is not in: ${l.text}`);
};
const hasNot = (l, ...unwanted) => {
  for (const x of unwanted) assert.ok(!squeeze(l.text).includes(squeeze(x)), `"${x}" is in: ${l.text}`);
};
const count = (l, x) => squeeze(l.text).split(squeeze(x)).length - 1;
const files = (l) => l.plan.parts.filter((p) => p.object !== 'body.pdf' && !p.inline).map((p) => p.name);
/** Each painter's letter of a mail in HTML. */
async function painted(name, check, options) {
  for (const [painter, content] of [['native', mail(name)], ['chromium', forChromium(name)]]) {
    const l = await w.letter(content, options);
    assert.equal(l.plan.painter, painter, `${name}: ${l.plan.why ?? l.plan.reason ?? JSON.stringify(l.plan).slice(0, 400)}`);
    check(l);
  }
}

test('an invitation: what, when, how often, where, who comes; once, though mailers attach it twice', async () => {
  const l = await w.letter(mail('invitation-ja'));
  assert.equal(l.plan.painter, 'text');
  has(l, '予定への招待：文箱プロジェクト定例会議', '日時 2026年12月3日（木） 14:00 ～ 15:30 (UTC+09:00、Asia/Tokyo)',
    '繰り返し 毎週 木曜日、2027年3月31日（水）まで', '除外日：2026年12月31日（木）', '場所 本社 3階 大会議室, またはオンライン',
    '主催者 山田 太郎 <taro@example.jp>', '佐藤 花子 <hanako@example.com>（未回答）', '鈴木 一郎 <ichiro@example.com>（任意、仮承諾）',
    '大会議室 <room3@example.jp>（会議室・設備、出席）', '1. 進捗の確認', 'https://meet.example.jp/abc-defg-hij');
  assert.equal(count(l, '予定への招待：'), 1);
  assert.ok(links(l.pdf).includes('https://meet.example.jp/abc-defg-hij'));
  assert.deepEqual(files(l).length, 2); // nothing is taken away
  assert.ok(l.text.indexOf('定例会議のご案内をお送りします') < l.text.indexOf('予定への招待'));
});

test('an invitation in HTML: another zone than the sender\'s is told by both clocks', NEEDS_CHROMIUM, async () => {
  await painted('invitation-en', (l) => {
    has(l, 'Invitation: Quarterly review', 'When Thursday, 11 March 2027, 09:30 – 11:00 (UTC-05:00, Eastern Standard Time)',
      'By the sender\'s clock: Thursday, 11 March 2027, 14:30 – 16:00 (UTC+00:00)',
      'Repeats Every 3 months on the 2nd Thursday, 4 times', 'Where New York, room 12', 'Organiser Alice Smith',
      'Bob Jones <bob@example.com> (no answer yet)', 'Jones, Carol <carol@example.com> (declined)', 'Agenda:', '- next steps');
    assert.ok(l.text.indexOf('Please join') < l.text.indexOf('Invitation:'));
  });
});

test('cancelled, answered, moved, published, all day, tasks; a broken file says so and holds nothing', async () => {
  const l = await w.letter(mail('calendars-ja'));
  has(l, '予定のキャンセル：打ち合わせ', '2026年12月4日（金） 10:00 ～ 11:00 (UTC+09:00)', '状態 キャンセルされました',
    '予定への返信：新製品の説明会', '10:00 ～ 10:45', '（欠席）', '出張のため欠席いたします。',
    '日程変更の提案：見学会', '00:00 ～ 03:00 (現地時刻)', '予定：年末年始休業', '2026年12月29日（火） ～ 2027年1月4日（月） 終日',
    'タスク：報告書の提出', '期限 2026年12月18日（金） 17:00 (Asia/Tokyo)', '作業中', '毎月 末日、全6回',
    '繰り返しあり（規則：FREQ=YEARLY', 'この部分は読み取れなかったため');
  assert.equal(files(l).length, 7);
});

test('contacts as phones write them, 3.0 and 4.0', NEEDS_CHROMIUM, async () => {
  const l = await w.letter(mail('contacts-ja'));
  has(l, '連絡先：佐藤 花子', 'ｻﾄｳ ﾊﾅｺ', '携帯電話 090-1234-5678', '株式会社ﾃｽﾄ 営業部', '100-0001 東京都 千代田区 千代田1-2-3 日本',
    '誕生日 1985-04-03', '連絡先：山田 太郎', 'やまだ たろう', '電話（勤務先） 03-9876-5432', 'FAX 03-9876-5433', '役職 部長',
    'お急ぎの場合は 携帯電話へ', '連絡先：Carol Jones', '1 High Street, London, SW1A 1AA, United Kingdom', 'broken.vcf');
  await painted('contacts-en', (x) => has(x, 'Contact: Carol Jones', 'Mobile +44-20-7946-0000', 'Birthday 04-12'));
});

test('an attached message: its header block, its text, its files, and what is attached to it', NEEDS_CHROMIUM, async () => {
  const l = await w.letter(mail('forward-ja'));
  assert.equal(l.plan.painter, 'text');
  has(l, '添付されたメール：お見積りの件', '差出人 Carol Jones <carol@example.com>', 'CC team@example.com',
    '日時 2026年11月26日（木） 18:30 (UTC-05:00)', 'estimate.pdf (9 B)', '平素よりお世話になっております。', '1,200',
    '添付されたメール：The oldest message', 'OLDESTWORDS');
  hasNot(l, 'SCRIPTWORDS');
  assert.deepEqual(files(l), ['お見積りの件.eml']);
  await painted('forward-en', (x) => {
    has(x, 'Attached message: Our offer', 'Thursday, 26 November 2026, 18:30 (UTC-05:00)', 'offer.pdf (9 B)',
      'Thank you for your enquiry.', '1,200', 'Attached message: The oldest message', 'OLDESTWORDS');
    hasNot(x, 'SCRIPTWORDS');
    assert.ok(x.text.indexOf('Please see') < x.text.indexOf('Attached message'));
  });
});

test('reports of delivery and of reading, in words', async () => {
  const ja = await w.letter(mail('bounce-ja'), { from: 'postmaster@example.jp' });
  has(ja, '配信状況：nobody@example.com', '結果 配信できませんでした', '理由 宛先のメールアドレスがありません（5.1.1）',
    '元の宛先 old@example.com', '550 5.1.1', '配信状況：full@example.com', '配信が遅れています', 'メールボックスがいっぱいです（4.2.2）',
    '添付されたメール：Original subject');
  const en = await w.letter(mail('bounce-en'), { from: 'postmaster@example.jp' });
  has(en, 'Delivery report: nobody@example.com', 'Result could not be delivered', 'there is no such address (5.1.1)',
    'Tried until Wed, 2 Dec 2026 10:00:00 +0900');
  const read = await w.letter(mail('reading-report-en'));
  has(read, 'Reading report: bob@example.com', 'Result was displayed');
});

test('signed mail: its text, and that nobody verified the signature; encrypted mail: how to read it', async () => {
  has(await w.letter(mail('signed-smime-en')), 'SIGNEDWORDS', 'Signed, not verified here',
    'Signer (as it says) Alice Smith, alice@example.co.uk', 'smime.p7s', 'It was not verified here.');
  has(await w.letter(mail('signed-pgp-en')), 'SIGNEDWORDS', 'Signed, not verified here', 'OpenPGP', 'Key 3f0b24bae4f56020a');
  has(await w.letter(mail('signed-opaque-ja')), 'SIGNEDWORDS', '電子署名（ここでは検証していません）', '署名者（自称） Alice Smith');
  has(await w.letter(mail('encrypted-ja')), '暗号化されたメール', 'OpenPGP', 'encrypted.asc', 'ご自身の秘密鍵を使って開いてください');
  has(await w.letter(mail('encrypted-smime-en')), 'Encrypted mail', 'S/MIME', 'smime.p7m', 'Download the file');
});

/** How many pixels of a page are red, as the corner of each picture is. */
function redAt(pdf, page) {
  const { stdout } = spawnSync('pdftoppm', ['-r', '40', '-f', String(page), '-l', String(page), pdf], { maxBuffer: 64 << 20 });
  const head = /^P6\s+(\d+)\s+(\d+)\s+255\s/.exec(stdout.subarray(0, 40).toString('latin1'));
  let found = 0;
  for (let i = head[0].length; i < stdout.length; i += 3) {
    if (stdout[i] > 180 && stdout[i + 1] < 60 && stdout[i + 2] < 60) found++;
  }
  return found;
}

test('attached images: only where the rule wants them, the right way up, a broken one is named', NEEDS_CHROMIUM, async () => {
  const without = await w.letter(mail('images-ja'));
  hasNot(without, '添付画像');
  assert.equal(redAt(without.pdf, 1), 0);
  const l = await w.letter(mail('images-ja'), { to: ['images@example.com'] });
  has(l, '添付画像：upright.jpg', '320 × 200', '添付画像：turned.jpg', '200 × 320', 'picture.webp', 'この画像は壊れているか');
  const listed = tool('pdfimages', ['-list', l.pdf]);
  assert.equal(listed.match(/ jpeg /g)?.length, 2, listed); // as they came, not encoded again
  assert.equal(files(l).length, 6);
  await painted('images-en', (x) => {
    hasNot(x, 'cannot be shown here'); // the GIF is, its first frame
    has(x, 'Attached image: upright.jpg', 'Attached image: broken.png', 'This image is broken');
    const pages = Number(/Pages:\s+(\d+)/.exec(tool('pdfinfo', [x.pdf]))[1]);
    let red = 0;
    for (let page = 1; page <= pages; page++) red += redAt(x.pdf, page);
    assert.ok(red > 1500, `${red} red pixels`);
  }, { to: ['images@example.com'] });
  // The PDF is one for all who get it: one rule that does not want them is enough.
  const both = await w.letter(mail('images-ja'), { to: ['images@example.com', 'hanako@example.com'] });
  hasNot(both, '添付画像');
});
