// SPDX-License-Identifier: Apache-2.0
//
// Held mail in the console: what the operator is told when the sender cannot be told.

import assert from 'node:assert/strict';
import test from 'node:test';
import { Cast } from './roles-kit.mjs';

test('who rejects a mail is told when its sender is not, and why: before, in the answer, and in the audit', async (t) => {
  const cast = await Cast.create(t);
  const { browser } = await cast.member('admin');
  const speak = { en: { 'accept-language': 'en' }, ja: { 'accept-language': 'ja' } };
  const cases = [
    ['"a<b"@example.jp', /angle bracket/, /山括弧/],
    ['', /has no sender/, /差出人がない/],
    ['taro@example.jp', null, null],
  ];
  for (const [from, en, ja] of cases) {
    const held = await cast.held({ from });
    const english = (await browser.api('GET', `/dead/${held.id}`, undefined, speak.en)).json;
    const japanese = (await browser.api('GET', `/dead/${held.id}`, undefined, speak.ja)).json;
    assert.equal(english.explained.can_release, !from.includes('<'), 'no relay is handed such an address, not even with the mail as it came');
    if (en === null) {
      assert.match(english.explained.reject, /its sender gets a delivery report/);
    } else {
      assert.match(english.explained.reject, en);
      assert.match(japanese.explained.reject, ja);
      assert.match(english.explained.meaning, /Its sender cannot be told/);
      assert.match(japanese.explained.meaning, /差出人には通知できません/);
    }
    if (from.includes('<')) {
      const refused = await browser.api('POST', `/dead/${held.id}/release`, {}, speak.en);
      assert.deepEqual([refused.status, refused.json.type], [409, 'urn:fumibako:problem:not-releasable']);
    }
    const answer = await browser.api('POST', `/dead/${held.id}/reject`, { reason: 'looked at' }, speak.ja);
    assert.equal(answer.status, 202);
    if (ja === null) assert.equal(answer.json.untold, null);
    else assert.match(answer.json.untold, ja);
    const [line] = (await browser.good('GET', '/audit?action=held.reject')).items;
    assert.equal(line.object, `held ${held.id}`);
    if (en === null) assert.equal(line.after.untold, undefined);
    else assert.match(line.after.untold, en);
  }
});
