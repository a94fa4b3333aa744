// SPDX-License-Identifier: Apache-2.0
//
// The viewer of the reading page: pages as they come near, text above them, zoom, without anything that the page's policy
// forbids; and what is there without scripts. (Real mails: vault.test.mjs.)

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { ROOT, waitFor } from '../support/harness.mjs';
import { Reading, makePdf } from '../integration/portal/reading_kit.mjs';
import { Browser } from './kit.mjs';

const SHOTS = path.join(ROOT, 'build', 'screenshots');
const lines = Array.from({ length: 12 }, (_, i) => `This is page number ${i + 1}`);

test('pages are drawn when they come near, their text is there from the start, and everything fits a telephone', async (t) => {
  const reading = await Reading.create(t);
  const browser = await Browser.start(t);
  fs.mkdirSync(SHOTS, { recursive: true });
  const parcel = reading.parcel({ files: [{ name: 'mail.pdf', type: 'application/pdf', bytes: makePdf(lines), body: true }] });
  for (const width of [1200, 375]) {
    const page = await browser.page({ width, height: 800, scripts: true });
    await page.open(`${reading.base}/r/${parcel.link}`);
    await page.click('form[action*="/open"] button');
    await waitFor(() => page.evaluate(() => document.querySelector('#viewer').dataset.ready === 'yes'
      && document.querySelector('.pdf').dataset.drawn === 'yes'), { what: 'the viewer' });
    const seen = await page.evaluate(() => ({
      texts: [...document.querySelectorAll('.pdf .text')].map((e) => e.textContent),
      drawn: document.querySelectorAll('.pdf canvas').length,
      names: [...document.querySelectorAll('.pdf')].slice(0, 2).map((e) => e.getAttribute('aria-label')),
      wide: document.documentElement.scrollWidth - innerWidth,
      at: (() => { // the text lies where it is drawn: 24 of 842 points high, 72 from the left
        const [page, word] = [document.querySelector('.pdf').getBoundingClientRect(), document.querySelector('.pdf .text span').getBoundingClientRect()];
        return { left: (word.left - page.left) / page.width, height: word.height / page.height };
      })(),
    }));
    assert.deepEqual(seen.texts, lines);
    assert.ok(seen.drawn > 0 && seen.drawn < 12, `${seen.drawn} pages are drawn`);
    assert.deepEqual(seen.names, ['Page 1 of 12', 'Page 2 of 12']);
    assert.ok(seen.wide <= 0, 'it fits');
    assert.ok(Math.abs(seen.at.left - 72 / 595) < 0.01 && Math.abs(seen.at.height - 24 / 842) < 0.01, JSON.stringify(seen.at));

    // Down to the end: the last page is drawn, the first one is let go, its text stays.
    await page.evaluate(() => document.querySelector('.pdf:last-child').scrollIntoView());
    await waitFor(() => page.evaluate(() => document.querySelector('.pdf:last-child canvas') !== null
      && document.querySelector('.pdf:first-child canvas') === null), { what: 'the last page' });
    assert.equal(await page.evaluate(() => document.querySelector('.pdf .text').textContent), lines[0]);
    await page.evaluate(() => scrollTo(0, 0));

    const before = await page.evaluate(() => document.querySelector('.pdf').offsetWidth);
    await page.click('.bar button:nth-of-type(2)', { leads: false });
    assert.ok(await page.evaluate(() => document.querySelector('.pdf').offsetWidth) > before, 'larger');
    assert.match(await page.text('.bar output'), /^\d+%$/);
    await page.click('.bar button:nth-of-type(3)', { leads: false });
    assert.equal(await page.evaluate(() => document.querySelector('.pdf').offsetWidth), before);
    await waitFor(() => page.evaluate(() => document.querySelector('.pdf canvas') !== null), { what: 'the first page again' });
    assert.deepEqual(await page.accessibility(), []);
    assert.deepEqual(page.problems, [], 'nothing that the policy forbids');
    await page.screenshot(path.join(SHOTS, `viewer-${width}.png`));
  }
});

test('a body that cannot be read is told, with the download beside it; without scripts there are pictures', async (t) => {
  const reading = await Reading.create(t);
  const browser = await Browser.start(t);
  const parcel = reading.parcel({ files: [{ name: 'mail.pdf', type: 'application/pdf', bytes: Buffer.from('no PDF'), body: true }] });
  const page = await browser.page({ scripts: true, language: 'ja' });
  await page.open(`${reading.base}/r/${parcel.link}`);
  await page.click('form[action*="/open"] button');
  await waitFor(() => page.evaluate(() => document.querySelector('#viewer [role=alert]') !== null), { what: 'the alert' });
  assert.match(await page.text('#viewer'), /本文を表示できませんでした/);
  assert.match(await page.text('#view'), /本文をダウンロード/);

  const good = reading.parcel({ files: [{ name: 'mail.pdf', type: 'application/pdf', bytes: makePdf(lines.slice(0, 2)), body: true }] });
  const plain = await browser.page({ scripts: false });
  await plain.open(`${reading.base}/r/${good.link}`);
  await plain.click('form[action*="/open"] button');
  await plain.click('#view a[href$="view=pictures"]');
  await waitFor(() => plain.evaluate(() => [...document.querySelectorAll('img.sheet')].slice(0, 1).every((i) => i.complete && i.naturalWidth === 1240)), { what: 'the picture' });
  assert.equal(await plain.evaluate(() => document.querySelectorAll('img.sheet').length), 2);
  assert.match(await plain.text('#view'), /Show as text/);
  assert.deepEqual(await plain.accessibility(), []);
});
