// SPDX-License-Identifier: Apache-2.0
// Mails that were made to break a reader: each ends within the limits of time and memory, held or painted, and alone: a
// good mail behind it is rendered as if nothing had been.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import test, { after, before } from 'node:test';
import { RenderWorld, base64, bytes, crlf, descendants, hasChromium } from './kit.mjs';
import { multipart, png } from './mails.mjs';

const TIMEOUT_S = 20;
const MEMORY = 512 << 20;
let w;
before(async () => {
  w = await RenderWorld.create(null, { render: { timeout: `${TIMEOUT_S}s`, memory: '512MiB' }, ingest: { max_message: '150MiB' } });
});
after(async () => { await w.world.end(); });

const HEAD = 'From: Taro <taro@example.jp>\r\nTo: hanako@example.com\r\nSubject: hostile\r\nDate: Fri, 27 Nov 2026 10:00:00 +0900\r\n';
const html = (body) => bytes(HEAD, 'MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n', base64(body), '\r\n');
const plain = (body) => bytes(HEAD, 'MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n', base64(body), '\r\n');
const image = (data) => multipart('related', HEAD, [
  bytes('Content-Type: text/html\r\n\r\n<p>image</p><img src="cid:i@x">\r\n'),
  bytes('Content-Type: image/png\r\nContent-ID: <i@x>\r\nContent-Transfer-Encoding: base64\r\n\r\n', base64(data), '\r\n')]);
const nest = (n) => Array.from({ length: n }, (_, i) => `Content-Type: multipart/mixed; boundary=b${i}\r\n\r\n--b${i}\r\n`).join('');

// expect: what must come out; held: refused with these words; else painted. html: needs Chromium.
const CASES = [
  { name: '50,000 nested address groups', mail: () => HEAD.replace('To: ', `To: ${'a:'.repeat(50000)} `) + '\r\nbody\r\n' },
  { name: '50,000 nested comments', mail: () => HEAD.replace('To: ', `To: ${'('.repeat(50000)} `) + '\r\nbody\r\n' },
  { name: '500,000 parts', held: /parts/, mail: () => `${HEAD}MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n${'--b\r\n\r\nx\r\n'.repeat(500000)}--b--\r\n` },
  { name: '1,000,000 headers', held: /header/i, mail: () => `${HEAD}${'X-A: b\r\n'.repeat(1000000)}\r\nbody\r\n` },
  { name: 'a header line of 20 MB', held: /header/i, mail: () => `${HEAD}X-A: ${`${'b'.repeat(900)}\r\n `.repeat(22000)}\r\n\r\nbody\r\n` },
  { name: '100,000 nested multiparts', mail: () => `${HEAD}MIME-Version: 1.0\r\n${nest(100000)}` },
  { name: '3,000 nested messages', mail: () => `${HEAD}${'Content-Type: message/rfc822\r\n\r\n'.repeat(3000)}body\r\n` },
  { name: '10 MB of text in one line', mail: () => plain('あいうえお漢字 '.repeat(450000)) },
  { name: '10 MB of text in short lines', mail: () => plain('a b c\n'.repeat(1700000)) },
  { name: '1,000,000 combining marks', mail: () => plain(`a${'\u0301'.repeat(500000)}\n`) },
  { name: '1 MB of direction overrides', mail: () => plain('\u202ea\u202d\u2067'.repeat(100000)) },
  { name: '10 MB of HTML in 300,000 elements', html: true, held: /more than 200000 elements/, mail: () => html('<p>Lorem ipsum dolor sit amet</p>\n'.repeat(300000)) },
  { name: '10 MB of HTML in 20,000 elements', html: true, mail: () => html(`<p>${'Lorem ipsum dolor sit amet. '.repeat(18)}</p>\n`.repeat(20000)) },
  { name: '11 MB of HTML', mail: () => html('<p>Lorem ipsum dolor sit amet</p>\n'.repeat(340000)) }, // a file, not a letter
  { name: '100,000 nested elements', html: true, mail: () => html(`${'<div>'.repeat(100000)}deep text`) },
  { name: '100,000 unclosed <b>', html: true, mail: () => html('<b>x'.repeat(100000)) },
  { name: '200,000 attributes', html: true, mail: () => html(`<p ${Array.from({ length: 200000 }, (_, i) => `a${i}=1`).join(' ')}>text</p>`) },
  { name: 'CSS garbage', html: true, mail: () => html(`<style>${'{'.repeat(100000)} a{b:c;;}} @media{{{ /* </style><p>text</p>`) },
  { name: '10,000 CSS rules with :not() chains', html: true, mail: () => html(`<style>${'a:not(.b):not(.c)>d~e+f *{color:red}'.repeat(10000)}</style>${'<p>x</p>'.repeat(2000)}`) },
  { name: 'colspan and rowspan of 1e9', html: true, mail: () => html('<table><tr><td colspan=1000000000 rowspan=1000000000>x<td colspan=999999>y</table>') },
  { name: '30 nested tables', html: true, mail: () => html(`${'<table><tr><td>'.repeat(30)}deep`) },
  { name: 'a height of 1e8 pixels', html: true, mail: () => html('<div style="height:100000000px">tall</div><p>end</p>') },
  { name: 'unclosed tags and quotes', html: true, mail: () => html('<p><a href="x<table><tr><td style="color:red<!-- <b><i></p> text </table') },
  { name: 'an image of 50,000 x 50,000', html: true, mail: () => image(png(50000, 50000, [1, 2, 3], 3)) },
  { name: 'five images of 144 megapixels', html: true, mail: () => html(`<p>x</p>${`<img src="data:image/png;base64,${png(12000, 12000, [9, 9, 9], 2).toString('base64')}">`.repeat(5)}`) },
  { name: 'a million <br>', html: true, mail: () => html('<br>'.repeat(1000000)) },
  { name: 'SVG entities', html: true, mail: () => html(`<svg><defs><g id=a>${'<use href="#b"/>'.repeat(10)}</g></defs>${'<use href="#a"/>'.repeat(1000)}</svg><p>x`) },
  { name: 'a base64 body of garbage', mail: () => bytes(HEAD, 'MIME-Version: 1.0\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n', '!@#$%^&*()\x01\r\n'.repeat(10000)) },
  { name: 'NUL and control characters', mail: () => plain('a\0b\x01\x02\x7f\x1b[31m\x9b c\n'.repeat(1000)) },
];

/** Largest resident size (MB) of a process of render below it: [children, Chromium as a sum]. */
function watchMemory() {
  const peak = { child: 0, chromium: 0 };
  const timer = setInterval(() => {
    let sum = 0;
    for (const p of descendants(w.render.pid)) {
      try {
        const status = fs.readFileSync(`/proc/${p.pid}/status`, 'utf8');
        const kib = Number(/RssAnon:\s+(\d+)/.exec(status)?.[1] ?? 0);
        if (/headless|chrom/i.test(p.name)) sum += kib;
        else peak.child = Math.max(peak.child, kib >> 10);
      } catch { /* it has ended */ }
    }
    peak.chromium = Math.max(peak.chromium, sum >> 10);
  }, 200);
  return () => { clearInterval(timer); return peak; };
}

for (const c of CASES) {
  test(`${c.name}: within the limits, and alone`, c.html && !hasChromium ? { skip: 'chromium-headless-shell is not installed' } : {}, async (t) => {
    const mail = c.mail();
    const stop = watchMemory();
    const start = Date.now();
    const id = await w.send(mail);
    const { plan, dead } = await w.outcome(id, 200000);
    const ms = Date.now() - start;
    const peak = stop();
    t.diagnostic(`${(mail.length / 1e6).toFixed(1)} MB, ${dead ? `held: ${dead.reason}` : `painted by ${plan.painter}`}, ${ms} ms, `
      + `child ${peak.child} MB, Chromium ${peak.chromium} MB`);
    // Two tries of two limits (the child's and Chromium's), the wait between them, and the mail's own way.
    assert.ok(ms < 2 * (2 * TIMEOUT_S * 1000 + mail.length / 20000) + 15000, `${ms} ms`);
    assert.ok(peak.child < 2 * MEMORY / (1 << 20), `${peak.child} MB`); // looked at each 100 ms; sanitizers need more
    if (c.held) assert.match(dead?.reason ?? 'painted', c.held);
    if (dead) assert.ok(dead.reason.length > 10, 'the reason says something');
    const after_ = Date.now();
    const good = await w.letter(crlf(`${HEAD}Content-Type: text/plain; charset=utf-8\n\nA good letter behind it.\n`));
    assert.match(good.text, /A good letter behind it/);
    if (hasChromium) {
      const rich = await w.letter(html('<p>A good <b>HTML letter</b> behind it.</p>'));
      assert.match(rich.text, /A good HTML letter behind it/);
    }
    assert.ok(Date.now() - after_ < 20000);
    assert.ok(w.render.isRunning);
  });
}
