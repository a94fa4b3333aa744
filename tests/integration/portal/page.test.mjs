// SPDX-License-Identifier: Apache-2.0
// The sender's page: what it shows, to whom, in which language, and that looking changes nothing.

import assert from 'node:assert/strict';
import test from 'node:test';
import { request, waitFor } from '../../support/harness.mjs';
import { DAY, Portal, formOf, makeLink, newId, visible } from './kit.mjs';

const MINUTE = 60000;

test('the page shows the mail and what is known of each recipient, in both languages', async (t) => {
  const portal = await Portal.create(t);
  const now = Date.now();
  const id = await portal.mail({ subject: '契約更新のご案内', recipients: [
    { address: 'hanako@partner.example.com' },
    { address: 'jiro@partner.example.com', grant: 'opened', opened: now - 30 * MINUTE },
    { address: 'kenji@partner.example.com', grant: 'downloaded', downloaded: now - 20 * MINUTE },
    { address: 'new@partner.example.com', grant: 'pending' },
    { address: 'soumu@example.jp', branch: 1 }], branches: [{}, { kind: 'pass' }] });
  const client = portal.client();
  const path = `/s/${makeLink(id)}`;
  const en = await client.get(path);
  assert.equal(en.status, 200);
  assert.match(en.headers['content-type'], /^text\/html; charset=utf-8$/);
  assert.match(en.text, /<html lang="en">/);
  const words = visible(en.text);
  for (const part of ['契約更新のご案内', 'taro@example.jp', /hanako@partner\.example\.com Has access Has access; no access recorded as of/,
    /jiro@partner\.example\.com Opened .*opened at \d{4}-\d\d-\d\d \d\d:\d\d UTC/, /kenji@partner\.example\.com Downloaded .*a copy is out of reach/,
    /new@partner\.example\.com Invited /, /Sent as ordinary mail soumu@example\.jp Ordinary mail .*cannot be taken back/,
    /Available until \d{4}-/, 'do not pass it on']) {
    if (part instanceof RegExp) assert.match(words, part);
    else assert.ok(words.includes(part), `${part} in ${words}`);
  }
  assert.deepEqual(formOf(en.text).boxes, ['0', '1', '2', '3'], 'the ordinary mail cannot be chosen');

  const ja = await client.get(`${path}?lang=ja`);
  assert.match(ja.text, /<html lang="ja">/);
  assert.match(visible(ja.text), /jiro@partner\.example\.com 開封済み .*\(日本時間\) に開かれています/);
  assert.match(formOf(ja.text).action, /\/confirm\?lang=ja$/, 'the choice goes on');
  for (const [accept, lang] of [['ja', 'ja'], ['ja-JP,en;q=0.5', 'ja'], ['en-US,en;q=0.9,ja;q=0.8', 'en'], ['fr', 'en'],
    ['en;q=0.2, ja;q=0.7', 'ja'], ['jam', 'en'], ['ja;q=0', 'en'], ['', 'en']]) {
    const answer = await client.get(path, { headers: { 'accept-language': accept } });
    assert.equal(answer.headers['content-language'], lang, accept);
  }
});

test('whatever a program does that looks at links for people, nothing is changed', async (t) => {
  const portal = await Portal.create(t);
  const id = await portal.mail({ recipients: [{ address: 'a@partner.example.com' }, { address: 'b@partner.example.com' }] });
  const link = makeLink(id);
  const before = await portal.snapshot();
  const client = portal.client();
  const form = formOf((await client.get(`/s/${link}`)).text);
  const token = form.hidden[0][1];
  const paths = [`/s/${link}`, `/s/${link}/confirm`, `/s/${link}/recall`, `/s/${link}/`, `/s/${link}/other`, '/', '/s/',
    '/robots.txt', `/s/${link}?scope=all&token=${token}`, `/s/${link}/recall?scope=all&token=${token}&id=${newId()}`,
    `/s/${link}/confirm?scope=all&token=${token}`, `/s/${link}?done=${newId()}`];
  for (const [n, method] of ['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'PATCH', 'TRACE', 'PROPFIND', 'LINK'].entries()) {
    for (const path of paths) { // each method from an address of its own, below the limit of bad links
      const answer = await client.get(path, { method, headers: { 'x-forwarded-for': `192.0.2.${n}` } });
      assert.ok([200, 303, 404, 405].includes(answer.status), `${method} ${answer.status}`);
      if (method === 'HEAD') assert.equal(answer.body.length, 0);
      if (!['GET', 'HEAD'].includes(method)) assert.notEqual(answer.status, 200, method);
    }
  }
  // As a scanner that sends what it finds, but is no browser.
  for (const step of ['confirm', 'recall', '']) {
    const answer = await client.post(`/s/${link}${step && `/${step}`}`, [...form.hidden, ['scope', 'all'], ['id', newId()]],
      { headers: { origin: null, 'sec-fetch-site': null } });
    assert.ok([403, 405].includes(answer.status), String(answer.status));
  }
  // Even the confirmation, asked for in the right way, changes nothing.
  const confirm = await client.post(form.action, [...form.hidden, ['scope', 'all']]);
  assert.equal(confirm.status, 200);
  assert.match(visible(confirm.text), /Nothing has been changed yet/);
  assert.equal(await portal.snapshot(), before);
  assert.doesNotMatch(visible((await client.get(`/s/${link}?done=${newId()}`)).text), /has been accepted/, 'the query says nothing');
});

test('a link that is forged, changed, ended, of another installation or of nothing opens nothing', async (t) => {
  const portal = await Portal.create(t);
  const id = await portal.mail();
  const good = makeLink(id);
  const client = portal.client();
  const nothing = await client.get('/nothing');
  assert.equal(nothing.status, 404);
  const raw = Buffer.from(good, 'base64url');
  const changed = (at) => { const b = Buffer.from(raw); b[at] ^= 1; return b.toString('base64url'); };
  const forged = ['x', good.slice(0, -1), `${good}A`, changed(0), changed(5), changed(20), changed(56), good.toLowerCase(),
    makeLink(id, { key: 'x'.repeat(40) }), makeLink(id, { version: 2 }), 'A'.repeat(76)];
  for (const link of forged) {
    const answer = await portal.client({ headers: { 'x-forwarded-for': '192.0.2.77' } }).get(`/s/${link}`);
    assert.equal(answer.status, 404, link);
    assert.equal(answer.text, nothing.text, 'the answer says nothing');
    assert.equal(answer.headers['set-cookie'], undefined);
  }
  const ended = await client.get(`/s/${makeLink(id, { ends: Date.now() - 1 })}`);
  assert.equal(ended.status, 410);
  assert.match(visible(ended.text), /This link has ended/);
  assert.doesNotMatch(ended.text, /taro|hanako|契約/);
  const post = await client.post(`/s/${makeLink(id, { ends: Date.now() - 1 })}/recall`, [['scope', 'all'], ['token', 'x']]);
  assert.equal(post.status, 410);
  const unknown = await client.get(`/s/${makeLink(newId())}`);
  assert.equal(unknown.status, 410);
  assert.match(visible(unknown.text), /Nothing is on record/);
});

test('a hostile subject, address or reason stays text', async (t) => {
  const portal = await Portal.create(t);
  const evil = '"><script>alert(1)</script><img src=x onerror=alert(1)>\'&amp;\u202e\u0007\n</title><form action=//evil>';
  const id = await portal.mail({ subject: evil, from: `${evil}@x`, recipients: [{ address: `"${evil}"@partner.example.com` },
    { address: 'b@partner.example.com' }] });
  const client = portal.client();
  const page = await client.get(`/s/${makeLink(id)}`);
  assert.equal(page.status, 200);
  const form = formOf(page.text);
  const confirm = await client.post(form.action, [...form.hidden, ['r', '0'], ['scope', 'chosen'], ['reason', evil]]);
  assert.equal(confirm.status, 200);
  const second = formOf(confirm.text);
  const done = await client.post(second.action, second.hidden);
  assert.equal(done.status, 303);
  const after = await client.get(done.headers.location);
  for (const { text } of [page, confirm, after]) {
    assert.doesNotMatch(text, /<script|<img|onerror=alert\(1\)>|<form action=\/\/|[\u202e\u0007]/);
    assert.equal(text.match(/<title>/g).length, 1);
    assert.equal(text.match(/<form /g).length, 1);
    assert.ok(text.includes('&lt;script&gt;'), 'it is shown as what it is');
    assert.match(text, /&amp;amp;/);
  }
  assert.ok(Object.values(await portal.recalls(id))[0].reason.includes('<script>'), 'kept as it was given');
});

test('headers keep scripts, frames, caches, search engines and other sites out', async (t) => {
  const portal = await Portal.create(t);
  const id = await portal.mail();
  const link = makeLink(id);
  for (const [path, status] of [[`/s/${link}`, 200], ['/s/x', 404], [`/s/${makeLink(id, { ends: 1 })}`, 410], [`/s/${link}/recall`, 303]]) {
    const { status: got, headers } = await portal.client().get(path);
    assert.equal(got, status);
    assert.match(headers['content-security-policy'],
      /^default-src 'none'; img-src 'self'; style-src 'sha256-[A-Za-z0-9+/=]{44}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'$/);
    assert.equal(headers['referrer-policy'], 'no-referrer');
    assert.equal(headers['x-content-type-options'], 'nosniff');
    assert.equal(headers['x-frame-options'], 'DENY');
    assert.equal(headers['cache-control'], 'no-store');
    assert.match(headers['x-robots-tag'], /noindex/);
    assert.equal(headers['strict-transport-security'], undefined, 'not over http');
    assert.equal(headers.server, undefined);
  }
  const cookie = (await portal.client().get(`/s/${link}`)).headers['set-cookie'][0];
  assert.match(cookie, new RegExp(`^fumibako=[A-Za-z0-9_-]{22}; Path=/s/${link}; HttpOnly; SameSite=Strict$`));
  assert.equal((await portal.client().get('/robots.txt')).text, 'User-agent: *\nDisallow: /\n');

  const secure = await Portal.create(t, { portal: { public_url: 'https://mail.example.jp' } });
  const answer = await secure.client().get(`/s/${makeLink(await secure.mail())}`);
  assert.match(answer.headers['strict-transport-security'], /^max-age=\d{7,}$/);
  assert.match(answer.headers['set-cookie'][0], /^__Secure-fumibako=.*; SameSite=Strict; Secure$/);
});

test('with Redis away the page says so, and works again by itself', async (t) => {
  const portal = await Portal.create(t);
  const id = await portal.mail();
  const link = makeLink(id);
  const client = portal.client();
  const form = formOf((await client.get(`/s/${link}`)).text);
  await portal.redis.stop();
  for (const answer of [await client.get(`/s/${link}`), await client.post(form.action, [...form.hidden, ['scope', 'all']])]) {
    assert.equal(answer.status, 503);
    assert.match(answer.headers['retry-after'], /^\d+$/);
    assert.match(visible(answer.text), /Not available right now .*nothing was changed.* Try again/);
  }
  assert.equal((await client.get('/s/x')).status, 404, 'what needs no record is answered');
  const ready = () => request(`http://127.0.0.1:${portal.service.metricsPort}/readyz`);
  await waitFor(async () => (await ready()).status === 503, { what: 'not ready' });
  await portal.redis.start();
  await waitFor(async () => (await ready()).status === 200, { what: 'ready again' });
  assert.equal((await client.get(`/s/${link}`)).status, 410, 'this Redis is empty');
});

test('ten thousand recipients: a page at a time, and all can be recalled', async (t) => {
  const portal = await Portal.create(t);
  const recipients = Array.from({ length: 10000 }, (_, i) => ({ address: `r${i}@partner.example.com` }));
  const id = newId();
  // As many HSETs as recipients take a while; in pieces of a thousand fields it does not.
  await portal.mail({ id, recipients: recipients.slice(0, 1) });
  for (let from = 0; from < 10000; from += 1000) {
    const piece = recipients.slice(from, from + 1000).map((r, k) => [from + k, r.address]);
    await portal.redis.command('HSET', `fb:{s0}:m:${id}`, ...piece.flatMap(([i, a]) => [`r:${i}`, a, `i:${i}`, 0, `s:${i}`, 'sending']));
    await portal.redis.command('HSET', `fb:{s0}:g:${id}-0`, ...piece.flatMap(([i]) => [i, `active|c${i}|1|upload|upload`]));
  }
  const client = portal.client();
  const link = makeLink(id);
  const begun = Date.now();
  const first = await client.get(`/s/${link}`);
  t.diagnostic(`a page of 10,000 recipients: ${Date.now() - begun} ms, ${first.text.length} bytes`);
  assert.equal(first.status, 200);
  assert.equal(formOf(first.text).boxes.length, 200);
  const last = await client.get(`/s/${link}?page=50`);
  assert.deepEqual(formOf(last.text).boxes.slice(-1), ['9999']);
  assert.match(visible(last.text), /of 10000: 9801 to 10000/);
  for (const odd of ['0', '-1', '51', '99999999', 'x', '']) {
    assert.equal(formOf((await client.get(`/s/${link}?page=${odd}`)).text).boxes[0], '0', odd);
  }
  const form = formOf(first.text);
  const confirm = await client.post(form.action, [...form.hidden, ['scope', 'all']]);
  assert.match(visible(confirm.text), /from everybody\?.* and 9950 more/);
  const second = formOf(confirm.text);
  assert.equal((await client.post(second.action, second.hidden)).status, 303);
  assert.equal(Object.values(await portal.recalls(id))[0].all, true);
});

test('neither link nor content nor addresses come into the log', async (t) => {
  const portal = await Portal.create(t, { log: { level: 'debug' } });
  const id = await portal.mail({ subject: 'SUBJECT-OF-MAIL', recipients: [{ address: 'hanako@partner.example.com' }] });
  const link = makeLink(id);
  const client = portal.client();
  const form = formOf((await client.get(`/s/${link}`)).text);
  const confirm = formOf((await client.post(form.action, [...form.hidden, ['scope', 'all'], ['reason', 'REASON-GIVEN']])).text);
  assert.equal((await client.post(confirm.action, confirm.hidden)).status, 303);
  await client.post(confirm.action, [['token', 'FORGED-TOKEN'], ['scope', 'all']]);
  await client.get(`/s/${link.slice(0, -2)}xx`);
  await client.get(`/s/${makeLink(id, { ends: Date.now() - DAY })}`);
  await portal.redis.stop();
  await client.get(`/s/${link}`);
  await portal.service.stop();
  assert.match(portal.service.output, /asked for recall [0-9A-Z]{26} of all recipients/);
  for (const secret of [link, link.slice(4, 40), 'SUBJECT-OF-MAIL', 'hanako', 'taro@', 'REASON-GIVEN', 'FORGED-TOKEN', confirm.hidden[0][1]]) {
    assert.ok(!portal.service.output.includes(secret), secret);
  }
});
