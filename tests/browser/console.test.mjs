// SPDX-License-Identifier: Apache-2.0
//
// The administrator's story in a real browser: from no policy at all to a mail that was secured, seen and recalled, on a desk
// in Japanese and on a telephone in English; two who edit at once; what the help desk does not see.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { waitFor } from '../support/harness.mjs';
import { Desk } from './console_kit.mjs';
import { HANAKO, SUBJECT, shot } from './vault_kit.mjs';

const JA = {
  user: 'ユーザー', password: 'パスワード', signIn: 'サインイン', enrol: /二段階認証の設定/, code: '認証アプリのコード', confirm: '登録する',
  recovery: /リカバリーコード/, kept: '保管しました', second: /二段階認証/, next: '次へ', savePassword: 'パスワードを変更',
  definitions: 'セキュリティ定義', newDefinition: '定義を作成', definition: 'メールの宛先のみ', take: '下書きに反映',
  storages: '保管先', newStorage: '保管先を追加', url: 'URL', key: '鍵ファイル', rules: 'ルール', newRule: 'ルールを作成', rule: 'メールを保護する',
  to: '宛先', addresses: '宛先のアドレス', review: '確認して保存', good: /誤りはありません/, comment: 'コメント', activate: '保存して有効にする',
  saved: /第 1 版を有効にしました/, messages: 'メッセージ', done: /完了/, recall: '取り消し', doRecall: '取り消す', reason: '理由', effect: /閲覧を停止/,
  recalled: /取り消し済み/, taken: /閲覧を取り消し|閲覧取り消し/, overview: '概要', audit: '監査ログ', audited: /メールを取り消し/, tester: 'ルールのテスト',
  paste: 'またはメールのソースを貼り付け', test: 'テストする', tested: /ルール「メールを保護する」が当てはまります/, versions: '変更履歴', system: 'システム', held: '保留中のメール',
  tryStorage: '接続テスト', works: /接続できました/, close: '閉じる', organisation: '組織名', html: '文面 notice.ja.html', asText: 'テキスト',
  notices: '通知文', groups: 'グループ', account: 'アカウント', users: 'ユーザー',
};
const EN = {
  user: 'User', password: 'Password', signIn: 'Sign in', enrol: /Set up two-step login/, code: 'Code of the app', confirm: 'Confirm',
  recovery: /Recovery codes/, kept: 'I have kept them', second: /Two-step login/, next: 'Continue', savePassword: 'Change the password',
  definitions: 'Security definitions', newDefinition: 'New definition', definition: 'recipients only', take: 'Put into the draft',
  storages: 'Storages', newStorage: 'New storage', url: 'URL', key: 'Key file', rules: 'Rules', newRule: 'New rule', rule: 'secure the mail',
  to: 'Recipient', addresses: 'Addresses of recipients', review: 'Review and save', good: /No errors/, comment: 'Comment', activate: 'Save and activate',
  saved: /Version 1 is in force/, messages: 'Messages', done: /done/, recall: 'Recall', doRecall: 'Recall', reason: 'Reason', effect: /access ends/,
  recalled: /recalled/, taken: /Access taken away|access recalled/, overview: 'Overview', audit: 'Audit', audited: /Mail recalled/, tester: 'Rule tester',
  paste: 'Or paste its source', test: 'Test it', tested: /Taken by rule “secure the mail”/, versions: 'Versions', system: 'System', held: 'Held mail',
  tryStorage: 'Test the connection', works: /It works/, close: 'Close', organisation: 'Organisation', html: 'Text notice.en.html', asText: 'Text',
  notices: 'Notice texts', groups: 'Groups', account: 'Account', users: 'Users',
};

async function buildPolicy(visit, desk, w, name) {
  await visit.go(w.storages);
  await visit.press(w.newStorage);
  await visit.fill(w.url, desk.vaultUrl);
  await visit.fill(w.key, desk.keyFile);
  await visit.check(`${name}, a storage`);
  await visit.page.screenshot(shot(`console-${name}-storage`));
  await visit.press(w.take);

  // "The mail's recipients can access": as it is chosen already.
  await visit.go(w.definitions);
  await visit.press(w.newDefinition);
  await visit.check(`${name}, a definition`);
  await visit.page.screenshot(shot(`console-${name}-definition`));
  await visit.press(w.take);

  // "Secure the mail": attachments and body as PDF are chosen already.
  await visit.go(w.rules);
  await visit.press(w.newRule);
  const chosen = await waitFor(() => visit.page.evaluate(() => {
    const boxes = [...document.querySelectorAll('[role=group] input[type=checkbox]')];
    return boxes.length > 0 && boxes.map((b) => b.checked);
  }), { what: 'the form of a rule' });
  assert.deepEqual(chosen, [true, true], 'attachments and body are chosen');
  await visit.press(w.to);
  await visit.fill(w.addresses, '!@example.jp');
  await visit.check(`${name}, a rule`);
  await visit.page.screenshot(shot(`console-${name}-rule`));
  await visit.press(w.take);
  await visit.sees(new RegExp(w.rule));
  await visit.check(`${name}, the rules`);
  await visit.page.screenshot(shot(`console-${name}-rules`));

  await visit.press(w.review);
  await visit.sees(w.good);
  await visit.fill(w.comment, 'first');
  await visit.check(`${name}, the review`);
  await visit.page.screenshot(shot(`console-${name}-review`));
  await visit.press(w.activate);
  await visit.sees(w.saved);
}

for (const { language, width, dark, w } of [{ language: 'ja', width: 1280, dark: false, w: JA }, { language: 'en', width: 390, dark: true, w: EN }]) {
  test(`from no policy to a recalled mail: ${language}, ${width} px, ${dark ? 'dark' : 'light'}`, async (t) => {
    const desk = await Desk.start(t);
    await desk.account('admin', 'admin');
    const name = `${language}-${width}`;
    const visit = await desk.visit({ language, width, dark });
    const { page } = visit;
    // No policy is no error: the API says 404 for it, which the browser's console repeats.
    // The frame of the preview tells of each handler in hostile HTML that it did not run.
    const expected = /status of 404|^Executing inline event handler violates/;
    const check = visit.check.bind(visit);
    visit.check = (what) => check(what, { expected });
    await visit.sees(new RegExp(w.signIn));
    await visit.check(`${name}, the door`);
    await page.screenshot(shot(`console-${name}-door`));
    await visit.signIn('admin', w);
    await visit.check(`${name}, the overview`);
    await buildPolicy(visit, desk, w, name);

    const id = await desk.send({ files: [{ name: '見積書.txt', type: 'text/plain', bytes: Buffer.from('hello') }] });
    await waitFor(() => desk.texts(HANAKO).length > 0, { timeout: 120000, what: 'the notice' });
    assert.doesNotMatch(desk.texts(HANAKO)[0], /1,234,567/, 'the content is not in it');
    await visit.go(w.overview);
    await visit.sees(/[1-9]/);
    await page.screenshot(shot(`console-${name}-overview`));
    await visit.check(`${name}, the overview with a mail`);
    await visit.go(w.messages);
    await visit.sees(new RegExp(SUBJECT));
    await visit.check(`${name}, the messages`);
    await page.screenshot(shot(`console-${name}-messages`));
    await visit.press(SUBJECT);
    await visit.sees(new RegExp(HANAKO));
    await waitFor(() => page.evaluate((i) => location.pathname === `/messages/${i}`, id), { what: 'its page' });
    await visit.sees(w.done);
    await visit.check(`${name}, a message`);
    await page.screenshot(shot(`console-${name}-message`));

    await visit.press(w.recall);
    await visit.sees(w.effect);
    await visit.fill(w.reason, 'wrong recipient');
    await visit.check(`${name}, what a recall will do`);
    await page.screenshot(shot(`console-${name}-recall`));
    await visit.press(w.doRecall);
    await visit.sees(w.recalled);
    await visit.sees(w.taken);
    await visit.check(`${name}, a recalled message`);
    await page.screenshot(shot(`console-${name}-recalled`));
    const shown = await desk.ctl(['message', 'show', id, '--json']);
    assert.equal(JSON.parse(shown.stdout).recipients[0].grant, 'recalled');

    await visit.go(w.audit);
    await visit.sees(w.audited);
    await visit.check(`${name}, the audit`);
    for (const where of ['held', 'storages', 'definitions', 'groups', 'notices', 'tester', 'versions', 'system', 'users']) {
      await visit.go(w[where]);
      await waitFor(() => page.evaluate(() => document.querySelector('.loading') === null), { what: `${where} to be loaded` });
      await visit.check(`${name}, ${where}`);
      await page.screenshot(shot(`console-${name}-${where}`));
    }
    await visit.go(w.storages);
    await visit.press(w.tryStorage);
    await visit.sees(w.works);
    await visit.check(`${name}, a storage that was tried`);
    await page.screenshot(shot(`console-${name}-storage-tried`));
    await visit.press(w.close);

    // The preview follows what is written; nothing in it runs, loads, or reaches the page around it.
    await visit.go(w.notices);
    const heights = () => page.evaluate(() => [...document.querySelectorAll('.mail-frame')].map((f) => Number(f.height)));
    await waitFor(async () => (await heights()).filter((h) => h > 300).length === 2, { what: 'a notice in both languages' });
    await page.screenshot(shot(`console-${name}-preview`));
    await page.evaluate(() => {
      const chosen = new DataTransfer();
      const bytes = Uint8Array.from(atob('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7'), (c) => c.charCodeAt(0));
      chosen.items.add(new File([bytes], 'logo.gif', { type: 'image/gif' }));
      const input = document.querySelector('input[type=file]');
      input.files = chosen.files;
      input.dispatchEvent(new Event('change', { bubbles: true }));
    });
    await waitFor(() => page.evaluate(() => document.querySelector('.logo img')?.naturalWidth === 1), { what: 'the logo that was chosen' });
    await visit.check(`${name}, a logo`);
    await visit.fill(w.organisation, '文箱商事');
    await visit.fill(w.html, '<p onclick="top.hit=1" style="height:777px">{{link}}<script>parent.hit=1</script><img src="http://192.0.2.1/x.png" onerror="parent.hit=1">'
      + '<iframe src="/"></iframe><a href="/policy/rules" target="_top">x</a></p>');
    await waitFor(async () => (await heights()).some((h) => h > 777 && h < 860), { what: 'the preview of our own text' });
    await visit.check(`${name}, a preview of hostile HTML`);
    assert.equal(await page.evaluate(() => window.hit), undefined);
    await visit.press(w.asText);
    await visit.sees(/https:\/\/mail\.example\.jp\/r\/EXAMPLE/);
    await visit.check(`${name}, a preview of text`);

    await visit.go(w.tester);
    await visit.fill(w.paste, `From: taro@example.jp\nTo: ${HANAKO}\nSubject: hello\nDate: Fri, 27 Nov 2026 10:00:00 +0900\nMIME-Version: 1.0\n\nhello\n`);
    await visit.press(w.test);
    await visit.sees(w.tested);
    await visit.check(`${name}, a tested mail`);
    await page.screenshot(shot(`console-${name}-tested`));
    for (const s of desk.running) assert.doesNotMatch(s.output, /御見積|hanako@partner/, `${s.name} logged content or an address`);
  });
}

const POLICY = (desk) => `# kept by hand
storages:
  - {name: vault, type: vault, url: "${desk.vaultUrl}", key_file: ${desk.keyFile}}
security_definitions:
  - name: recipients only
    access: recipients   # nobody else
rules:
  - name: outbound
    when:
      to: ["!@example.jp"]
    action: secure
    storage: vault
    security: recipients only

  - name: others
    when: {to: ["@example.jp"]}
    action: pass
notices:
  organisation: Example Inc.
`;

test('two who edit at once: the second is told, loses nothing, and adds his changes to the other\'s', async (t) => {
  const desk = await Desk.start(t, { services: ['console'] });
  const file = path.join(desk.world.dir, 'policy.yaml');
  fs.writeFileSync(file, POLICY(desk));
  assert.equal((await desk.ctl(['policy', 'apply', file])).status, 0);
  for (const name of ['anna', 'ben']) await desk.account(name, 'admin');
  const anna = await desk.visit();
  const ben = await desk.visit();
  await anna.signIn('anna', EN);
  await ben.signIn('ben', EN);

  // Ben begins, Anna is faster.
  await ben.go(EN.definitions);
  await ben.press('Edit');
  await ben.press('preview only', { exact: false });
  await ben.press(EN.take);
  await anna.go(EN.rules);
  // By the keyboard alone: to the list, to the second rule, its grip, up to the place before the first.
  await anna.page.evaluate(() => [...document.querySelectorAll('.page-head a')].at(-1).focus());
  await anna.keys('Tab', 'ArrowDown', 'ArrowRight', 'Enter', 'ArrowUp', 'ArrowUp', 'Enter');
  await waitFor(() => anna.page.evaluate(() => document.querySelector('.rule-name a')?.textContent === 'others'), { what: 'the other order' });
  await anna.press(EN.review);
  await anna.sees(EN.good);
  await anna.fill(EN.comment, 'others first');
  await anna.press(EN.activate);
  await anna.sees(/Version 2 is in force/);

  await ben.press(EN.review);
  await ben.sees(EN.good);
  await ben.fill(EN.comment, 'preview');
  await ben.press(EN.activate);
  await ben.sees(/Somebody else was faster/);
  await ben.sees(/others first/);
  await ben.sees(/Your draft is still here/);
  await ben.check('a conflict', { expected: /status of 412/ });
  await ben.page.screenshot(shot('console-en-1280-conflict'));
  await ben.page.reload();
  await ben.sees(/Somebody else was faster/);
  await ben.press('Add my changes to theirs');
  await ben.sees(EN.good);
  await ben.press(EN.activate);
  await ben.sees(/Version 3 is in force/);
  const shown = JSON.parse((await desk.ctl(['policy', 'show', '--json'])).stdout).document;
  assert.match(shown, /# kept by hand[\s\S]*access: recipients {3}# nobody else[\s\S]*download: false[\s\S]*name: others[\s\S]*name: outbound/);

  await ben.press('Roll back');
  await ben.sees(/Go back to version/);
  await ben.check('the preview of a roll back', { expected: /status of 412/ });
  await ben.press('Roll back');
  await ben.sees(/Version 4 is in force/);
});

// One rule for each kind of reason that a mail can give.
const REASONS = `groups: [{name: staff, members: ["@example.jp"]}]
rules:
  - {name: addresses, when: {from: [staff], to: ["!@example.com", "@rival.example"]}, action: reject}
  - {name: texts, when: {subject: ["[secure]"], body: [secret, "/[0-9]{16}/"], header: {X-Class: [public]}}, action: reject}
  - {name: excluded, when: {subject: ["!hello"]}, action: reject}
  - {name: files, when: {attachments: {present: true, name: ["*.xlsx"], type: ["image/*"], larger_than: 1MiB, count_over: 3}}, action: reject}
  - {name: large, when: {size_over: 10MiB}, action: reject}
  - {name: off, enabled: false, action: reject}
  - {name: tried, shadow: true, action: reject}
  - {name: rest, when: {from: [staff], to: ["@.example.com"], subject: [hello]}, action: pass}
`;

test('the rule tester gives its reasons in the language of the page, and again in the other one', async (t) => {
  const desk = await Desk.start(t, { services: ['console'] });
  const file = path.join(desk.world.dir, 'policy.yaml');
  fs.writeFileSync(file, REASONS);
  assert.equal((await desk.ctl(['policy', 'apply', file])).status, 0);
  await desk.account('aoi', 'auditor');
  const visit = await desk.visit({ language: 'ja' });
  await visit.signIn('aoi', JA);
  await visit.go(JA.tester);
  await visit.fill(JA.paste, `From: taro@example.jp\nTo: ${HANAKO}\nSubject: hello\nDate: Fri, 27 Nov 2026 10:00:00 +0900\nMIME-Version: 1.0\n\nhello\n`);
  await visit.press(JA.test);
  const reasons = () => visit.page.evaluate(() => [...document.querySelectorAll('.explain li')].map((li) => [li.querySelector('strong').textContent,
    [...li.querySelectorAll('p')].map((p) => p.textContent)]));
  const inJapanese = await waitFor(async () => { const all = await reasons(); return all.length === 8 && all; }, { timeout: 30000, what: 'the reasons' });
  for (const [rule, words] of inJapanese) {
    assert.ok(words.length > 0, rule);
    for (const text of words) {
      assert.match(text, /[ぁ-ん].*。$/, `${rule}: ${text}`);
      assert.doesNotMatch(text, /\b(match|matches|contains|none of|excluded|attachments?|size|count|header|body|subject|from|to|rule)\b/, `${rule}: ${text}`);
    }
  }
  assert.deepEqual(Object.fromEntries(inJapanese).rest, [`宛先: ${HANAKO} は「@.example.com」に一致します。`,
    '差出人: taro@example.jp はグループ「staff」に含まれます。', '件名: 「hello」を含みます。']);
  assert.deepEqual(Object.fromEntries(inJapanese).files.length, 5);
  await visit.check('the reasons in Japanese');
  await visit.page.screenshot(shot('console-ja-1280-reasons'));

  // The kit's own Accept-Language would stand in place of the one that the page sends.
  await visit.page.call('Network.setExtraHTTPHeaders', { headers: {} });
  await visit.press('English');
  const inEnglish = await waitFor(async () => { const all = await reasons(); return all[0]?.[1][0]?.startsWith('to: ') && all; }, { timeout: 30000, what: 'the reasons in English' });
  assert.deepEqual(Object.fromEntries(inEnglish).rest, [`to: ${HANAKO} matches @.example.com`, 'from: taro@example.jp is in group staff', 'subject: contains hello']);
  assert.ok(inEnglish.every(([, words]) => words.every((w) => !/[ぁ-ん]/.test(w))), 'nothing in Japanese');
  await visit.check('the reasons in English');
  await visit.page.screenshot(shot('console-en-1280-reasons'));
});

test('the help desk sees states and never subjects; hostile words are words', async (t) => {
  const hostile = '<img src=x onerror="document.title=1"> & {{link}}';
  const desk = await Desk.start(t, { services: ['ingest', 'render', 'upload', 'rewrite', 'console'] });
  const file = path.join(desk.world.dir, 'policy.yaml');
  fs.writeFileSync(file, POLICY(desk));
  assert.equal((await desk.ctl(['policy', 'apply', file])).status, 0);
  await desk.account('aoi', 'auditor');
  await desk.account('hana', 'helpdesk');
  const id = await desk.send({ subject: hostile, to: ['hanako@example.jp'] });
  await waitFor(() => desk.texts('hanako@example.jp').length > 0, { timeout: 120000, what: 'the mail' });
  const help = await desk.visit();
  await help.signIn('hana', EN);
  await help.go(EN.messages);
  await help.press(id);
  await help.sees(/hanako@example\.jp/);
  assert.doesNotMatch(await help.page.text('body'), /onerror/, 'no subject');
  const places = await help.page.evaluate(() => [...document.querySelectorAll('nav .nav-link')].map((a) => a.textContent));
  for (const hidden of ['Rules', 'Audit', 'Users', 'Rule tester']) assert.ok(!places.includes(hidden), hidden);
  assert.ok(!/Recall/.test(await help.page.text('main')));
  await help.page.open(`${desk.base}/policy/rules`);
  await help.sees(/Not allowed/);
  await help.check('what the help desk must not see');

  const auditor = await desk.visit({ language: 'ja' });
  await auditor.signIn('aoi', JA);
  await auditor.go(JA.messages);
  await auditor.sees(/onerror/);
  assert.match(await auditor.page.evaluate(() => document.title), /^メッセージ/);
  assert.equal(await auditor.page.evaluate(() => document.querySelectorAll('img').length), 0);
  await auditor.go(JA.rules);
  await auditor.sees(/outbound/);
  assert.ok(!/ルールを作成/.test(await auditor.page.text('body')), 'an auditor changes nothing');
  await auditor.check('a hostile subject');
});
