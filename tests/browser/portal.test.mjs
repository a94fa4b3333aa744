// SPDX-License-Identifier: Apache-2.0
// The portal's pages in a real browser, without scripts, as a sender uses them: on a phone and a desk, in both languages,
// light and dark, with the keyboard alone, and all the way from the receipt's link to closed access in the storage.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import test from 'node:test';
import { waitFor } from '../support/harness.mjs';
import { Stack } from '../e2e/stack.mjs';
import { JAPANESE, Relay } from '../integration/ctl/kit.mjs';
import { Portal, makeLink } from '../integration/portal/kit.mjs';
import { Browser } from './kit.mjs';
import { LOGO } from './vault_kit.mjs';

const HOUR = 3600000;

/** One mail in many states. */
async function mixed(portal) {
  const now = Date.now();
  return portal.mail({ subject: '【重要】契約更新のご案内(御見積書・仕様書を添付いたします)', recipients: [
    { address: 'hanako@partner.example.com' }, { address: 'jiro@partner.example.com', grant: 'opened', opened: now - HOUR / 2 },
    { address: 'kenji@another-company.example.org', grant: 'downloaded', downloaded: now - HOUR / 3 },
    { address: 'newcomer@small-office.example.net', grant: 'pending' },
    { address: 'gone@partner.example.com', grant: 'recalled', recalled: now - HOUR, at: now - HOUR + 4000 },
    { address: 'soumu@example.jp', branch: 1 },
    { address: 'a-very-long-address-that-goes-on-and-on@department.of.something.long.example.co.jp' }],
  branches: [{}, { kind: 'pass' }] });
}

test('every page fits its screen, is accessible, and breaks none of its own rules', async (t) => {
  const portal = await Portal.create(t);
  const browser = await Browser.start(t);
  const id = await mixed(portal);
  const shared = await portal.mail({ recipients: [{ address: 'a@x.example' }, { address: 'b@x.example' }], branches: [{ access: 'anyone' }] });
  const url = (message, options) => `${portal.base}/s/${makeLink(message, options)}`;
  const pages = {
    page: (p) => p.open(url(id)),
    confirm: async (p) => {
      await p.open(url(id));
      for (const i of [0, 1, 2]) await p.click(`input[value="${i}"]`, { leads: false });
      await p.type('#reason', '宛先を間違えました。');
      await p.click('button[value=chosen]');
    },
    shared: (p) => p.open(url(shared)),
    'no such page': (p) => p.open(`${portal.base}/s/x`),
    ended: (p) => p.open(url(id, { ends: 1000 })),
  };
  for (const language of ['ja', 'en']) {
    for (const [width, dark] of [[375, false], [320, true], [1200, false], [1200, true]]) {
      for (const [name, go] of Object.entries(pages)) {
        const where = `${name}, ${language}, ${width}, ${dark ? 'dark' : 'light'}`;
        const page = await browser.page({ width, language, dark });
        await go(page);
        assert.equal(await page.evaluate(() => document.documentElement.lang), language, where);
        assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${where}: wider than the screen`);
        assert.deepEqual(page.problems.filter((p) => !/status of (404|410)/.test(p)), [], where);
        assert.deepEqual(await page.accessibility(), [], where);
      }
    }
  }
});

test('with the keyboard alone: choose one, confirm, go back', async (t) => {
  const portal = await Portal.create(t);
  const browser = await Browser.start(t);
  const id = await mixed(portal);
  const page = await browser.page();
  await page.open(`${portal.base}/s/${makeLink(id)}`);
  const focused = () => page.evaluate(() => `${document.activeElement.tagName} ${document.activeElement.value ?? document.activeElement.textContent}`);
  const tabTo = async (what) => {
    for (let i = 0; i < 30; i++) {
      await page.key('Tab');
      if ((await focused()) === what) return;
    }
    assert.fail(`${what} is not reached with Tab`);
  };
  await tabTo('A Skip to the content');
  await tabTo('INPUT 0');
  await page.key(' ');
  assert.equal(await page.evaluate(() => document.activeElement.checked), true);
  assert.notEqual(await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle), 'none', 'the focus is seen');
  await tabTo('BUTTON chosen');
  const loaded = page.loaded();
  await page.key('Enter');
  await loaded;
  assert.match(await page.text('h1'), /Take the mail back from 1 recipient\?/);
  await page.click('form a.button');
  assert.equal(await page.text('h1'), '【重要】契約更新のご案内(御見積書・仕様書を添付いたします)');
  assert.deepEqual(await portal.recalls(id), {});
});

test('language is switched by a link and stays; print has no controls; another browser cannot send the form', async (t) => {
  const portal = await Portal.create(t);
  const browser = await Browser.start(t);
  const id = await mixed(portal);
  const page = await browser.page({ language: 'en' });
  await page.open(`${portal.base}/s/${makeLink(id)}`);
  await page.click('a[hreflang=ja]');
  assert.match(await page.text('main'), /送信を取り消す/);
  await page.click('button[value=all]');
  assert.match(await page.text('h1'), /全員への送信を取り消しますか/);
  await page.click('button.main', { times: 2 });
  // The second click may have sent the form once more: then another page takes the place of the first.
  await waitFor(async () => /取り消しを受け付けました/.test(await page.text('[role=status]')), { what: 'the answer' });
  assert.equal(Object.keys(await portal.recalls(id)).length, 1, 'a double click asks once');
  assert.match(await page.url(), /\?lang=ja&done=[0-9A-Z]{26}$/);
  await page.call('Emulation.setEmulatedMedia', { media: 'print' });
  assert.deepEqual(await page.evaluate(() => [...document.querySelectorAll('button,input,.lang,textarea')].filter((e) => e.checkVisibility()).length), 0);

  const other = await portal.mail({ recipients: [{ address: 'a@x.example' }] });
  const [mine, theirs] = [await browser.page(), await browser.page()];
  for (const p of [mine, theirs]) await p.open(`${portal.base}/s/${makeLink(other)}`);
  const token = await mine.evaluate(() => document.querySelector('[name=token]').value);
  await theirs.evaluate((value) => { document.querySelector('[name=token]').value = value; }, token);
  await theirs.click('button[value=all]');
  assert.equal(theirs.status, 403);
  assert.match(await theirs.text('h1'), /open for too long/);
  // The same browser with cookies switched off, as it seems to the portal.
  await mine.call('Network.clearBrowserCookies');
  await mine.click('button[value=all]');
  assert.equal(mine.status, 403);
  await mine.click('a.button');
  await mine.click('button[value=all]');
  assert.match(await mine.text('h1'), /Take the mail back/, 'and opened again it works');
});

test('a page of another site that sends the form is refused by what the browser says of it', async (t) => {
  const portal = await Portal.create(t);
  const browser = await Browser.start(t);
  const id = await portal.mail({ recipients: [{ address: 'a@x.example' }] });
  const link = makeLink(id);
  const page = await browser.page();
  await page.open(`${portal.base}/s/${link}`);
  const token = await page.evaluate(() => document.querySelector('[name=token]').value);
  const evil = `<form method=post action="${portal.base}/s/${link}/confirm"><input name=token value="${token}"><button name=scope value=all>x</button></form>`;
  await page.open(`data:text/html,${encodeURIComponent(evil)}`);
  await page.click('button');
  assert.equal(page.status, 403);
  assert.match(await page.text('h1'), /This was not accepted/);
});

test('from the receipt: open the page, choose one recipient, confirm; the storage closes, the page says so', async (t) => {
  const people = ['hanako@partner.example.com', 'jiro@partner.example.com'];
  const stack = await Stack.start(t, { postfix: false, services: ['ingest', 'render', 'upload', 'rewrite', 'revoke', 'watch', 'portal'],
    overrides: { watch: { interval: '1s' }, revoke: { settle: '1s' } },
    policy: { rules: [{ name: 'all', action: 'secure', storage: 'box', security: 'recipients only', receipt: true }],
      notices: { organisation: '株式会社エグザンプル', logo: LOGO } } });
  const relay = new Relay();
  await relay.start(stack.world.ports.relay);
  stack.world.atEnd(() => relay.stop());
  const mail = `${stack.world.dir}/m.eml`;
  fs.writeFileSync(mail, JAPANESE);
  const submitted = await stack.ctl('submit', mail, '--from', 'taro@example.jp', ...people.flatMap((p) => ['--to', p]));
  assert.equal(submitted.status, 0, submitted.stderr);
  const receipt = await waitFor(() => relay.mails.find((m) => m.to.join() === 'taro@example.jp'), { what: 'the receipt' });
  const decoded = receipt.content.replace(/=\r?\n/g, '') + [...receipt.content.matchAll(/\r\n\r\n([A-Za-z0-9+/=\r\n]{40,})/g)]
    .map((m) => Buffer.from(m[1], 'base64').toString()).join('\n');
  const url = new RegExp(`http://127\\.0\\.0\\.1:${stack.world.ports.portal}/s/[A-Za-z0-9_-]{76}`).exec(decoded)?.[0];
  assert.ok(url, decoded);

  const browser = await Browser.start(t);
  const page = await browser.page({ width: 375, language: 'ja' });
  await page.open(url);
  assert.match(await page.text('h1'), /見積書/);
  assert.equal(await page.text('.brand'), '株式会社エグザンプル', 'whose page it is');
  assert.equal(await page.evaluate(() => document.querySelector('.brand img').naturalWidth), 48);
  const index = await page.evaluate((who) => [...document.querySelectorAll('li')].find((li) => li.innerText.includes(who)).querySelector('input').value, people[0]);
  await page.click(`input[value="${index}"]`, { leads: false });
  await page.type('#reason', '宛先の誤り');
  await page.click('button[value=chosen]');
  assert.match(await page.text('main'), /1 名への送信を取り消しますか.*開けなくなります.*hanako@partner\.example\.com/s);
  await page.click('button.main');
  assert.match(await page.text('[role=status]'), /取り消しを受け付けました/);
  assert.match(await page.text('#recalls'), /hanako@partner\.example\.com/);
  await waitFor(async () => (await stack.box.state()).collaborations.length === 1, { what: 'access to go' });
  assert.equal((await stack.box.state()).collaborations[0].login, people[1]);
  await waitFor(async () => {
    await page.click('dl + .actions a');
    return /取り消し済み|完了/.test(await page.text('#recalls'));
  }, { interval: 500, what: 'the page to say so' });
  const words = await page.text('main');
  assert.match(words, /hanako@partner\.example\.com\s*取り消し済み/);
  assert.match(words, /jiro@partner\.example\.com\s*(公開中|招待中)/);
  assert.deepEqual(page.problems, []);
  for (const s of stack.running) assert.ok(!s.output.includes(url.slice(-70)), `${s.name} logged the link`);
});
