// SPDX-License-Identifier: Apache-2.0
//
// Every page that a recipient may meet, in both languages, on a phone and a desk, dark and light: it fits its screen,
// nothing that axe finds, nothing in the console, nothing from elsewhere, the organisation's name and logo on it.

import assert from 'node:assert/strict';
import test from 'node:test';
import { request, waitFor } from '../support/harness.mjs';
import { HANAKO, Reading, shot } from './vault_kit.mjs';

const SCREENS = [[320, true], [375, false], [1200, false], [1200, true]];
const MAIN = ['door-code', 'mail', 'reply']; // the others: one screen for each language
const KINDS = {
  code: { proof: 'code', trusted_days: 30, members: true },
  link: { proof: 'link' },
  password: { proof: 'link', password: 'generated' },
  totp: { proof: 'totp' },
  once: { proof: 'link', max_downloads: 1 },
  quiet: { proof: 'link', reply: false, download: false },
  gone: { proof: 'link' },
};

test('each page fits, is accessible, and bears the organisation', async (t) => {
  const reading = await Reading.start(t, { policy: {
    security_definitions: Object.entries(KINDS).map(([name, more]) => ({ name, access: 'recipients', expires_after: '30d', ...more })),
    rules: Object.keys(KINDS).map((name) => ({ name, when: { subject: [`[${name}]`] }, action: 'secure', storage: 'vault', security: name })),
  } });
  const files = [{ name: '仕様書(第2版).txt', type: 'text/plain', bytes: Buffer.from('仕様\n'.repeat(100)) },
    { name: 'a-very-long-name-without-any-blank-in-it-that-goes-on-and-on-2026-11-28-final-final-2.bin', type: 'application/octet-stream', bytes: Buffer.alloc(2000) }];
  const links = {};
  const ids = {};
  for (const name of Object.keys(KINDS)) {
    ids[name] = await reading.send({ subject: `[${name}] 契約更新のご案内`, files });
    links[name] = reading.link(HANAKO);
  }
  assert.equal((await reading.stack.ctl('message', 'recall', ids.gone)).status, 0);
  const open = (name) => async (page) => {
    await page.open(links[name]);
    if (await page.evaluate(() => document.querySelector('form[action*="/open"]') !== null)) await page.click('form[action*="/open"] button');
  };
  // Uses up the one download.
  const first = await reading.browser.page({ scripts: true });
  await open('once')(first);
  await first.download('ul.files form[action*="/download"] button');

  const pages = {
    'door-code': (p) => p.open(links.code),
    'door-link': (p) => p.open(links.link),
    'door-password': (p) => p.open(links.password),
    'door-totp': (p) => p.open(links.totp),
    mail: open('link'),
    'mail-preview': open('quiet'),
    reply: async (p) => { await open('link')(p); await p.open(`${links.link}/reply`); },
    'reply-empty': async (p) => { await open('link')(p); await p.open(`${links.link}/reply`); await p.click('button.main'); },
    'reply-off': async (p) => { await open('quiet')(p); await p.open(`${links.quiet}/reply`); },
    'used-up': async (p) => { await open('once')(p); await p.click('ul.files form[action*="/download"] button'); },
    recalled: (p) => p.open(links.gone),
    'not-found': (p) => p.open(`${links.link.slice(0, -3)}AAA`),
  };
  const problems = [];
  let visitors = 0;
  for (const [name, go] of Object.entries(pages)) {
    for (const language of ['ja', 'en']) {
      for (const [width, dark] of MAIN.includes(name) ? SCREENS : [language === 'ja' ? SCREENS[0] : SCREENS[2]]) {
        const where = `${name}, ${language}, ${width}, ${dark ? 'dark' : 'light'}`;
        const page = await reading.browser.page({ width, height: width < 600 ? 700 : 900, language, dark, scripts: false,
          headers: { 'X-Forwarded-For': `192.0.2.${++visitors}` } }); // the limits for one client are another test's
        await go(page);
        const look = await page.evaluate(() => ({ lang: document.documentElement.lang, fits: document.documentElement.scrollWidth <= innerWidth,
          brand: document.querySelector('.brand')?.innerText, logo: document.querySelector('.brand img')?.naturalWidth,
          small: [...document.querySelectorAll('a, button, input:not([type=hidden]), textarea, summary')].filter((e) => {
            const { width: w, height: h } = e.getBoundingClientRect();
            return w > 0 && getComputedStyle(e).position !== 'absolute' && (w < 24 || h < 24) && getComputedStyle(e).display !== 'inline';
          }).map((e) => e.outerHTML.slice(0, 80)) }));
        if (look.lang !== language) problems.push(`${where}: in ${look.lang}`);
        if (!look.fits) problems.push(`${where}: wider than the screen`);
        if (!look.brand?.includes('株式会社エグザンプル') || look.logo !== 48) problems.push(`${where}: whose page is it? ${look.brand} ${look.logo}`);
        for (const s of look.small) problems.push(`${where}: too small to press: ${s}`);
        for (const p of page.problems) if (!/status of (400|403|404|410)/.test(p)) problems.push(`${where}: ${p}`);
        for (const u of page.requests) if (!u.startsWith(`${reading.base}/`)) problems.push(`${where}: asks ${u}`);
        await page.screenshot(shot(`page-${name}-${language}-${width}${dark ? '-dark' : ''}`));
        for (const v of await page.accessibility()) problems.push(`${where}: ${v}`);
        await page.close();
      }
    }
  }
  assert.deepEqual(problems, []);
});

test('a page on paper has no controls; the focus is seen; nothing moves', async (t) => {
  const reading = await Reading.start(t, { security: { proof: 'link' } });
  await reading.send({ files: [{ name: 'a.txt', type: 'text/plain', bytes: Buffer.from('a') }] });
  const page = await reading.browser.page({ width: 1200, language: 'en', scripts: false });
  await page.open(reading.link(HANAKO));
  const logo = await page.evaluate(() => document.querySelector('.brand img').src);
  const answer = await request(logo);
  assert.equal(answer.headers['content-type'], 'image/png');
  assert.match(answer.headers['cache-control'], /immutable/);
  assert.equal((await request(logo.replace(/.png$/, 'x.png'))).status, 404);
  await page.key('Tab');
  await waitFor(() => page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle !== 'none'), { what: 'the focus to be seen' });
  await page.click('form[action*="/open"] button');
  await page.call('Emulation.setEmulatedMedia', { media: 'print' });
  const seen = await page.evaluate(() => [...document.querySelectorAll('button, .lang, a.button, input')]
    .filter((e) => e.getBoundingClientRect().width > 0).map((e) => e.outerHTML));
  assert.deepEqual(seen, []);
  assert.match(await page.text('main'), /御見積/);
  await page.call('Emulation.setEmulatedMedia', { media: '', features: [{ name: 'prefers-reduced-motion', value: 'reduce' }] });
  assert.deepEqual(await page.evaluate(() => document.getAnimations().length), 0);
});
