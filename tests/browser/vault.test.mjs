// SPDX-License-Identifier: Apache-2.0
//
// A recipient without any account, from the notice in the mailbox to the answer that the sender gets: the whole of
// Fumibako with a vault, and a real browser on a phone and a desk, in both languages.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { waitFor } from '../support/harness.mjs';
import { everythingIn, splitMail, textOf } from '../e2e/stack.mjs';
import { HANAKO, JIRO, Reading, SENDER, SUBJECT, sha1, shot, totp } from './vault_kit.mjs';

const PEOPLE = [
  { who: HANAKO, language: 'ja', width: 375, words: { reply: /返信を送信しました/, said: 'お見積もりありがとうございます。\n検討いたします。' } },
  { who: JIRO, language: 'en', width: 1200, words: { reply: /Your reply was sent/, said: 'Thank you for the quotation.\nWe will look at it.' } },
];

/** The text of page 1 as the viewer shows it, once the page is drawn, too. */
const pageText = (page) => waitFor(async () => {
  const text = await page.evaluate(() => document.querySelector('#viewer .pdf[data-drawn] .text[data-ready]')?.textContent ?? '');
  return text.replace(/\s+/g, '') || null;
}, { what: 'the text of page 1' });

/** The leaves of a mail with a file name: {name: bytes}. */
function filesOf(content) {
  const found = {};
  const boundary = /boundary="([^"]+)"/.exec(content)?.[1];
  for (const part of content.split(`--${boundary}`).slice(1, -1)) {
    const { get, body } = splitMail(Buffer.from(part.replace(/^\r\n/, '')));
    const disposition = get('content-disposition') ?? '';
    const pieces = [...disposition.matchAll(/filename\*\d+\*=(?:UTF-8'')?([^;]+)/g)].map((m) => m[1]).join('');
    const name = /filename="([^"]*)"/.exec(disposition)?.[1] ?? decodeURIComponent(pieces.replace(/\s/g, ''));
    if (disposition.startsWith('attachment')) found[name] = Buffer.from(body, 'base64');
  }
  return found;
}

test('on a phone and a desk: link, code, text, download, reply', async (t) => {
  const reading = await Reading.start(t);
  const bytes = randomBytes(300000);
  await reading.send({ to: [HANAKO, JIRO], files: [{ name: '見積書 2026.xlsx', bytes,
    type: 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet' }] });
  assert.notEqual(reading.link(HANAKO), reading.link(JIRO), 'everybody has a link of their own');
  for (const { who, language, width, words } of PEOPLE) {
    const visit = await reading.visit(who, { language, width });
    const { page } = visit;
    const name = `${language}-${width}`;
    assert.equal(page.status, 200);
    assert.doesNotMatch(await page.text('body'), /御見積|1,234,567|見積書/, 'nothing of the mail before the code');
    assert.equal(reading.texts(who).length, 1, 'opening the link sends nothing');
    await visit.check(`${name}, the door`);
    await page.screenshot(shot(`${name}-1-door`));
    const code = await visit.ask();
    await page.screenshot(shot(`${name}-2-code`));
    await visit.check(`${name}, the code`);
    await visit.type(code);

    assert.equal(await page.text('h1'), SUBJECT);
    assert.match(await pageText(page), /1,234,567/);
    await page.screenshot(shot(`${name}-3-mail`));
    await visit.check(`${name}, the mail`);
    const file = await page.download('ul.files form[action*="/download"] button');
    assert.equal(file.name, '見積書 2026.xlsx');
    assert.equal(sha1(file.bytes), sha1(bytes));
    const all = await page.download('ul.files + .actions form[action*="/download"] button');
    assert.equal(all.bytes.subarray(0, 4).toString('latin1'), 'PK\x03\x04');

    const attached = path.join(reading.browser.dir, '注文書 "1".pdf');
    const answer = randomBytes(20000);
    fs.writeFileSync(attached, answer);
    fs.chmodSync(attached, 0o644);
    await page.click('a[href*="/reply"]');
    await visit.check(`${name}, the form of a reply`);
    await page.type('#text', words.said);
    await page.choose('#files', [attached]);
    await page.screenshot(shot(`${name}-4-reply`));
    const before = reading.mails.length;
    await page.click('button.main', { times: 2 }); // an impatient reader
    // The second click may have sent the form once more: then another page takes the place of the first.
    await waitFor(async () => words.reply.test(await page.text('h1')), { what: 'the answer' });
    await page.screenshot(shot(`${name}-5-sent`));
    await visit.check(`${name}, a reply that was sent`);
    const isReply = (m) => m.to.join() === SENDER && /^X-Fumibako-Reply:/m.test(m.content);
    const reply = await waitFor(() => reading.mails.slice(before).find(isReply), { what: 'the reply' });
    const head = splitMail(Buffer.from(reply.content));
    const known = await reading.stack.messages();
    assert.match(head.get('from'), new RegExp(`"${who.replaceAll('.', '\\.')}"\\s*<postmaster@example\\.jp>`));
    assert.equal(head.get('reply-to'), `<${who}>`);
    assert.equal(Buffer.from(head.get('subject').replace(/=\?UTF-8\?B\?(.*?)\?=\s*/g, (_, b) => Buffer.from(b, 'base64').toString('latin1')), 'latin1')
      .toString(), `Re: ${SUBJECT}`);
    assert.match(textOf(Buffer.from(reply.content)).replaceAll('\r', ''), new RegExp(words.said));
    assert.deepEqual(Object.entries(filesOf(reply.content)).map(([n, b]) => [n, sha1(b)]), [['注文書 "1".pdf', sha1(answer)]]);
    assert.ok(known.length >= 2);
    await reading.stack.settled();
    assert.equal(reading.mails.slice(before).filter(isReply).length, 1, 'two clicks are one reply');
    for (const secret of [reading.link(who).slice(-40)]) assert.ok(!everythingIn(Buffer.from(reply.content)).includes(secret), 'the link is not in it');

    await page.open(reading.link(who));
    assert.equal(await page.text('h1'), SUBJECT, 'the session lives on');
    await page.click('form[action*="/leave"] button');
    assert.doesNotMatch(await page.text('body'), /御見積/);
    await page.open(reading.link(who));
    assert.doesNotMatch(await page.text('body'), /御見積/, 'left is left');
  }
  for (const s of reading.stack.running) {
    for (const who of [HANAKO, JIRO]) assert.ok(!s.output.includes(reading.link(who).slice(-40)), `${s.name} logged a link`);
    assert.doesNotMatch(s.output, /御見積|注文書|検討いたします|hanako@partner/, `${s.name} logged content or an address`);
  }
});

test('a wrong code five times locks the door; a forwarded link asks for the mailbox', async (t) => {
  const reading = await Reading.start(t);
  await reading.send();
  const visit = await reading.visit(HANAKO);
  const code = await visit.ask();
  for (let i = 1; i <= 5; i++) {
    await visit.type(String((Number(code) + i) % 1000000).padStart(6, '0'));
    assert.ok([403, 429].includes(visit.page.status), `try ${i}: ${visit.page.status}`);
    await visit.check(`wrong code ${i}`, { expected: /status of 4(03|29)/ });
    if (i === 1) await visit.page.screenshot(shot('ja-375-wrong-code'));
  }
  await visit.page.screenshot(shot('ja-375-locked'));
  assert.equal(visit.page.status, 429);
  assert.doesNotMatch(await visit.page.text('body'), /御見積/);
  // The right code does not help any more, neither here nor in another browser.
  const other = await reading.visit(HANAKO, { language: 'en', width: 1200 });
  assert.doesNotMatch(await other.page.text('body'), /御見積/);
  await other.page.screenshot(shot('en-1200-locked'));
});

test('an authenticator app: enrolled at the first visit, asked for at the next, recovered when it is lost', async (t) => {
  const reading = await Reading.start(t, { security: { proof: 'totp' } });
  await reading.send({ files: [{ name: 'a.txt', type: 'text/plain', bytes: Buffer.from('hello') }] });
  const visit = await reading.visit(HANAKO);
  const { page } = visit;
  await visit.enter();
  await page.screenshot(shot('ja-375-enrol'));
  await visit.check('enrolment');
  assert.ok(await page.evaluate(() => document.querySelector('.qr svg, svg.qr, svg') !== null), 'a square to scan');
  const secret = (await page.text('main')).match(/\b[A-Z2-7]{4}(?: ?[A-Z2-7]{4}){7}\b/)[0];
  await page.type('form[action*="/enrol"] input[autocomplete="one-time-code"]', totp(secret));
  await page.click('form[action*="/enrol"] button');
  const codes = (await page.text('main')).match(/\b[a-z0-9]{4}-[a-z0-9]{4}-[a-z0-9]{4}\b/g);
  assert.equal(codes.length, 10, 'ten recovery codes');
  await page.screenshot(shot('ja-375-recovery-codes'));
  await visit.check('recovery codes');
  await page.open(reading.link(HANAKO));
  assert.equal(await page.text('h1'), SUBJECT);

  const before = reading.mails.length;
  const next = await reading.visit(HANAKO, { language: 'en', width: 1200 });
  assert.doesNotMatch(await next.page.text('body'), /御見積/);
  await next.page.screenshot(shot('en-1200-app'));
  await next.check('the app is asked for');
  await next.page.type('form[action*="/totp"] input[autocomplete="one-time-code"]', totp(secret, Date.now() + 30000)); // the one before was used
  await next.page.click('form[action*="/totp"] button');
  assert.equal(await next.page.text('h1'), SUBJECT);
  assert.equal(reading.mails.length, before, 'no code was sent');

  const lost = await reading.visit(HANAKO, { language: 'en', width: 375, scripts: false });
  await lost.page.click('details.more summary', { leads: false });
  await lost.page.type('#recovery', codes[3]);
  await lost.page.screenshot(shot('en-375-recovery'));
  await lost.page.click('form[action*="/recovery"] button');
  assert.equal(await lost.page.text('h1'), SUBJECT, 'a recovery code opens it');
  const again = await reading.visit(HANAKO, { language: 'en', width: 375, scripts: false });
  await again.page.click('details.more summary', { leads: false });
  await again.page.type('#recovery', codes[3]);
  await again.page.click('form[action*="/recovery"] button');
  assert.equal(again.page.status, 403, 'each works once');
});

test('taken back while it is open: the next request is refused, and the page says why', async (t) => {
  const reading = await Reading.start(t);
  const id = await reading.send({ files: [{ name: 'a.bin', type: 'application/octet-stream', bytes: randomBytes(5000) }] });
  const visit = await reading.visit(HANAKO);
  const { page } = visit;
  await visit.enter();
  await pageText(page);
  const r = await reading.stack.ctl('message', 'recall', id);
  assert.equal(r.status, 0, r.stdout + r.stderr);
  await page.click('ul.files form[action*="/download"] button');
  assert.equal(page.status, 410);
  assert.match(await page.text('h1'), /取り消/);
  await page.screenshot(shot('ja-375-recalled'));
  await visit.check('recalled', { expected: /status of 410/ });
  await page.open(reading.link(HANAKO));
  assert.equal(page.status, 410);
  await page.open(`${reading.link(HANAKO)}/body.pdf`);
  assert.equal(page.status, 410);
  await page.open(`${reading.link(HANAKO)}/reply`);
  assert.equal(page.status, 410);
});

test('preview only: pictures with the reader\'s mark, and no way to the bytes', async (t) => {
  const reading = await Reading.start(t, { security: { download: false, watermark: true } });
  const png = fs.readFileSync(new URL('../../deploy/samples/sender-ja.png', import.meta.url));
  await reading.send({ files: [{ name: '図面.png', type: 'image/png', bytes: png }] });
  const visit = await reading.visit(HANAKO, { scripts: false });
  const { page } = visit;
  await visit.enter();
  assert.equal(await page.text('h1'), SUBJECT);
  await waitFor(() => page.evaluate(() => [...document.querySelectorAll('#view img')].every((i) => i.complete && i.naturalWidth > 300)
    && document.querySelectorAll('#view img').length > 0), { what: 'the pictures' });
  await page.screenshot(shot('ja-375-preview-only'));
  await visit.check('preview only');
  assert.equal(await page.evaluate(() => document.querySelectorAll('form[action*="/download"], a[download], a[href$=".pdf"]').length), 0);
  const link = reading.link(HANAKO);
  const answers = await page.evaluate(async (base) => {
    const token = document.querySelector('[name=token]')?.value ?? '';
    const ids = [...document.querySelectorAll('#view img, a[href*="show="]')].map((e) => /page\/([0-9a-f]{16})|show=([0-9a-f]{16})/.exec(e.src ?? e.href))
      .map((m) => m[1] ?? m[2]);
    const tries = [fetch(`${base}/body.pdf`), ...[...ids, 'all'].map((file) => fetch(`${base}/download`, { method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: new URLSearchParams({ token, file }).toString() })),
    ...ids.map((id) => fetch(`${base}/file/${id}/x`))];
    return Promise.all((await Promise.all(tries)).map(async (r) => [r.status, r.headers.get('content-type'), (await r.text()).slice(0, 4)]));
  }, link);
  assert.ok(answers.length >= 5);
  for (const [status, type, head] of answers) { // refused, or back to the page
    assert.ok(status >= 400 || type.startsWith('text/html'), `${status} ${type}`);
    assert.ok(!['%PDF', 'PK\x03\x04', '\ufffdPNG'].includes(head), head);
  }
});

test('a shared mailbox: a colleague of the same domain reads with an address of their own, a stranger gets no code', async (t) => {
  const reading = await Reading.start(t, { security: { members: true } });
  await reading.send();
  const colleague = 'saburo@partner.example.com';
  const asAddress = async (page, address) => {
    const before = reading.mails.length;
    await page.click('details.more summary', { leads: false });
    await page.type('#address', address);
    await page.click('details.more form[action*="/code"] button');
    return before;
  };
  const stranger = await reading.visit(HANAKO, { language: 'en', width: 1200, scripts: false });
  const sent = await asAddress(stranger.page, 'mallory@else.example');
  const told = (await stranger.page.text('main')).replace(/\S+@\S+/g, 'ADDRESS').replace(/\d\d:\d\d/g, 'TIME');
  await stranger.check('a stranger');

  const visit = await reading.visit(HANAKO, { language: 'en', width: 375, scripts: false });
  // One code is valid at a time, and the next may be asked for a minute later.
  const state = await reading.world.redis.command('KEYS', 'fb:{s0}:pc:*');
  await reading.world.redis.command('DEL', ...state);
  const before = await asAddress(visit.page, colleague);
  assert.equal((await visit.page.text('main')).replace(/\S+@\S+/g, 'ADDRESS').replace(/\d\d:\d\d/g, 'TIME'), told, 'neither page says whether the address may');
  await visit.page.screenshot(shot('en-375-colleague'));
  await visit.type(await reading.code(colleague, before));
  assert.equal(await visit.page.text('h1'), SUBJECT);
  assert.match(await visit.page.text('dl'), /saburo@partner\.example\.com/);
  await visit.check('a colleague reads');
  assert.equal(reading.mails.slice(sent).filter((m) => m.to.includes('mallory@else.example')).length, 0);
  const history = await reading.stack.ctl('message', 'show', (await reading.stack.messages())[0].id, '--json');
  assert.match(history.stdout, /saburo@partner\.example\.com|opened/);
});
