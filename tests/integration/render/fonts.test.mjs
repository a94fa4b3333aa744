// SPDX-License-Identifier: Apache-2.0
// Characters that no font has are told by metric and log, whoever paints, and never which mail they were of; the header
// block says the same in text, native and Chromium.

import assert from 'node:assert/strict';
import test from 'node:test';
import { request, waitFor } from '../../support/harness.mjs';
import { RenderWorld, base64, colours, fonts, hasChromium, tool } from './kit.mjs';

const head = (type, more = {}) => [`From: ${more.from ?? 'Taro <taro@example.jp>'}`, `To: ${more.to ?? 'hanako@example.com'}`,
  `Subject: =?UTF-8?B?${Buffer.from(more.subject ?? 'fonts').toString('base64')}?=`, 'Date: Fri, 27 Nov 2026 10:15:00 +0900', 'MIME-Version: 1.0',
  `Content-Type: text/${type}; charset=utf-8`, 'Content-Transfer-Encoding: base64', ''].join('\r\n');
const mail = (type, body, more) => `${head(type, more)}\r\n${base64(body)}\r\n`;

const metric = async (w) => {
  const { body } = await request(`http://127.0.0.1:${w.render.metricsPort}/metrics`);
  return Number(/^fumibako_missing_glyphs_total (\d+)/m.exec(body)?.[1] ?? NaN);
};

test('missing characters: metric and log line with number and blocks, never the text; emoji, rare kanji and many recipients', async (t) => {
  const w = await RenderWorld.create(t, {});
  const plain = await w.letter(mail('plain', '𠮷野家 葛\u{E0100}城市 😀👩🏿‍💻🇯🇵 ▁▂▃', { subject: '髙﨑 𠮷 様' }));
  assert.equal(plain.plan.painter, 'text');
  assert.equal(await metric(w), 0, 'the metric is there from the first letter on');
  assert.ok(plain.text.includes('𠮷') && plain.text.includes('葛\u{E0100}'), plain.text);
  assert.ok(colours(plain.pdf).yellow > 3, 'emoji in colour');
  assert.ok(fonts(plain.pdf).some((f) => /IPAmjMincho/.test(f.name) && f.isEmbedded && f.isSubset));

  await w.letter(mail('plain', 'secret-word \ue801\ue802 \u{18b00}', { subject: '\uf8ff' }));
  await waitFor(async () => (await metric(w)) === 4, { what: 'the metric to count four' });
  await w.letter(mail('plain', 'docomo \ue63e au \ue488 \uea80'));
  assert.equal(await metric(w), 4, 'emoji of phone companies are none');
  const line = await waitFor(() => w.render.log.find((l) => l.count === '4'), { what: 'a line with the count' });
  assert.equal(line.level, 'warn');
  assert.equal(line.blocks, 'Private Use Area; Tangut and Khitan');
  assert.ok(!JSON.stringify(w.render.log).includes('secret-word'));

  const people = Array.from({ length: 1000 }, (_, i) => `Person ${i + 1} <p${i + 1}@example.com>`).join(',\r\n ');
  const crowd = await w.letter(mail('html', '<p>to all</p>', { to: people }), { to: ['p1@example.com'] });
  assert.equal(crowd.plan.painter, 'native');
  const pages = [crowd];
  if (hasChromium) {
    const html = await w.letter(mail('html', '<p>Company sign \ue801</p>', { to: people }), { to: ['p1@example.com'] });
    assert.deepEqual([html.plan.painter, html.plan.painter_reason], ['chromium', 'glyph']);
    await waitFor(async () => (await metric(w)) === 5, { what: 'the metric to count what Chromium painted' });
    pages.push(html);
  }
  for (const { pdf } of pages) {
    const text = tool('pdftotext', ['-raw', pdf, '-']).replace(/\s+/g, ' ');
    assert.ok(text.includes('Person 20 <p20@example.com>, and 980 more'), text);
    assert.ok(!text.includes('Person 21'));
    assert.match(tool('pdfinfo', [pdf]), /Pages:\s+1\n/);
  }
});
