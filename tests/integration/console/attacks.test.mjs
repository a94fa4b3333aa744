// SPDX-License-Identifier: Apache-2.0
//
// More attacks on the console's API than security.test.mjs has: what the help desk could read of subjects, things of others,
// names that lead elsewhere, requests that can be read in two ways, slow and huge bodies, cells that are formulas.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import test from 'node:test';
import { request, sleep, waitFor } from '../../support/harness.mjs';
import { Cast, call } from './roles-kit.mjs';
import { MATRIX, POLICY } from './roles-matrix.mjs';

const SECRET = '極秘SUBJECT-4711';
const ESCAPED = JSON.stringify(SECRET).replace(/[^\x20-\x7e]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`).slice(1, -1);
const holds = (r) => [SECRET, ESCAPED, encodeURIComponent(SECRET), 'SUBJECT-4711'].some((s) => r.body.includes(s) || JSON.stringify(r.headers).includes(s));

async function begin(t) {
  const cast = await Cast.create(t);
  cast.admin = await cast.member('admin');
  await cast.admin.browser.api('PUT', '/policy', { document: POLICY, comment: '=1+1' }, { 'if-match': '*' });
  return cast;
}

/** Bytes of ours, and all that comes back until the end of the connection or `quiet` ms without more. */
const raw = (port, bytes, { quiet = 1500 } = {}) => new Promise((resolve, reject) => {
  const socket = net.connect(port, '127.0.0.1', () => socket.write(bytes, 'latin1'));
  let text = '';
  socket.setTimeout(quiet, () => { socket.destroy(); resolve(text); });
  socket.on('data', (c) => { text += c.toString('latin1'); });
  socket.on('error', (e) => (e.code === 'ECONNRESET' || e.code === 'EPIPE' ? resolve(text) : reject(e)));
  socket.on('close', () => resolve(text));
});
const statuses = (text) => [...text.matchAll(/^HTTP\/1\.1 (\d+)/gm)].map(([, s]) => Number(s));

test('the help desk reads no subject: not by any call, any filter, any token, nor out of the log', async (t) => {
  const cast = await begin(t);
  const sent = await cast.mail({ subject: SECRET });
  await cast.mail({ subject: SECRET, state: 'queued' });
  const held = await cast.held({ subject: SECRET });
  await cast.admin.browser.good('POST', `/messages/${sent}/recall`, { reason: 'x' }, 202);
  const desk = await cast.member('helpdesk');
  const owner = await cast.member('admin');
  const lesser = (await owner.browser.good('POST', '/account/tokens', { label: 'x', role: 'helpdesk' }, 201)).token;
  const programs = { session: desk.browser, token: cast.stranger(desk.token), 'lesser token of an administrator': cast.stranger(lesser) };

  // That it can be found at all: an auditor reads it in all of these places.
  const auditor = (await cast.member('auditor')).browser;
  for (const path of [`/messages/${sent}`, '/messages', `/messages?subject=${encodeURIComponent(SECRET)}`, `/dead/${held.id}`, '/dead']) {
    assert.ok((await auditor.good('GET', path), await auditor.call('GET', `/api/v1${path}`)).body.includes(SECRET), path);
  }
  for (const [who, browser] of Object.entries(programs)) {
    for (const o of Object.entries(cast.document.document.paths).flatMap(([form, item]) => Object.keys(item).map((m) => `${m.toUpperCase()} ${form}`))) {
      if (!MATRIX[o] || MATRIX[o].slow || o === 'DELETE /api/v1/session' || o === 'POST /api/v1/session') continue;
      const { path, body, headers } = await MATRIX[o].good(cast, {});
      const r = await call(browser, cast, { method: o.split(' ')[0], path, body, headers });
      assert.ok(!holds(r), `${who}: ${o}`);
    }
    for (const path of [`/messages/${sent}`, `/messages/${held.message}`, '/messages', '/messages?limit=200&state=done', '/dead', `/dead/${held.id}`, '/overview']) {
      const r = await browser.call('GET', `/api/v1${path}`);
      assert.equal(r.status, 200, path);
      assert.ok(!holds(r), `${who}: ${path}`);
      for (const item of r.json.items ?? [r.json]) assert.equal(item.subject ?? null, null, path);
    }
    // No oracle either: a search that would find it is answered as one that would not.
    const answers = new Set();
    for (const q of [`subject=${encodeURIComponent(SECRET)}`, 'subject=nothing', `subject=4711&sender=taro@example.jp`, `subject=%00${SECRET.slice(2)}`, `limit=1&%73ubject=SUBJECT`]) {
      const r = await browser.api('GET', `/messages?${q}`);
      answers.add(`${r.status} ${r.json.detail}`);
    }
    assert.equal(answers.size, 1, [...answers].join('\n'));
    assert.match([...answers][0], /^403 /);
    // A first empty value does not hide a second one.
    const twice = await browser.api('GET', '/messages?subject=&subject=nothing');
    assert.ok(twice.status === 403 || twice.json.items.length >= 3, `${twice.status}`);
    const unfiltered = (await browser.good('GET', '/messages')).items.length;
    for (const q of ['Subject=nothing', 'SUBJECT=nothing']) assert.equal((await browser.api('GET', `/messages?${q}`)).status, 403, q);
    for (const q of ['subject[]=nothing', 'subject%20=nothing', 'title=nothing']) {
      assert.equal((await browser.good('GET', `/messages?${q}`)).items.length, unfiltered, q);
    }
    // A place in somebody else's search is a place, not the search.
    const first = await auditor.good('GET', `/messages?subject=${encodeURIComponent('SUBJECT')}&limit=1`);
    assert.ok(first.next, 'there is a next page');
    assert.ok(!holds(await browser.call('GET', `/api/v1/messages?cursor=${encodeURIComponent(first.next)}`)));
    assert.equal((await browser.api('POST', `/messages/${sent}/recall`, { preview: true })).status, 403);
    assert.equal((await browser.api('GET', '/audit/export?format=csv')).status, 403);
  }
  for (const text of [SECRET, 'SUBJECT-4711', 'hanako@example.com', desk.token, lesser]) assert.ok(!cast.desk.service.output.includes(text), `the log has ${text}`);
});

test('what is another\'s is not there: passkeys, tokens and sessions by any id, keys of repeated calls, begun ceremonies', async (t) => {
  const cast = await begin(t);
  const [a, b] = [await cast.member('admin'), await cast.member('admin')];
  await cast.app(a);
  await cast.app(b);
  const { id: passkey } = await cast.passkey(a);
  await cast.passkey(b);
  const { id: token } = await a.browser.good('POST', '/account/tokens', { label: 'mine' }, 201);
  const { items: [session] } = await a.browser.good('GET', '/account/sessions');
  const mine = async () => JSON.stringify([(await a.browser.good('GET', '/account')).tokens, (await a.browser.good('GET', '/account')).passkeys,
    (await a.browser.good('GET', '/account/sessions')).items.map((s) => s.id)]);
  const before = await mine();
  for (const [path, id] of [['passkeys', passkey], ['tokens', token], ['sessions', session.id]]) {
    for (const spelled of [id, id.toUpperCase(), id.slice(0, 4), id.slice(0, -1), `${id}0`, `${a.name}:${id}`, `${id}%00`, '%2a', '%20', `..%2f..%2fusers%2f${a.name}`]) {
      const r = await b.browser.api('DELETE', `/account/${path}/${spelled}`);
      assert.equal(r.status, 404, `${path} ${spelled}`);
    }
  }
  assert.equal(await mine(), before);
  // The beginning of an id is no id, of one's own things neither.
  for (const [path, id] of [['passkeys', passkey], ['tokens', token]]) assert.equal((await a.browser.api('DELETE', `/account/${path}/${id.slice(0, 8)}`)).status, 404);
  assert.equal(await mine(), before);

  // The same key of somebody else is another key: his recall is made, and not taken for the first one.
  const id = await cast.mail({ to: ['hanako@example.com', 'jiro@example.com'] });
  const recall = async (who, message, to) => who.browser.api('POST', `/messages/${message}/recall`, { recipients: [to] }, { 'idempotency-key': 'the same' });
  const first = await recall(a, id, 'hanako@example.com');
  const second = await recall(b, id, 'jiro@example.com');
  assert.deepEqual([first.json.is_repeated, second.json.is_repeated], [false, false]);
  assert.notEqual(first.json.recall, second.json.recall);
  assert.equal((await recall(a, await cast.mail(), 'hanako@example.com')).json.is_repeated, false, 'nor of another message');

  // A user has no name within the path of another: roles of paths are those of the router alone.
  const desk = await cast.member('helpdesk');
  for (const path of [`/users/${desk.name}`, `/users/${desk.name}%2f`, `/users/${desk.name}%3frole=admin`, `/account/../users/${desk.name}`, `//users/${desk.name}`]) {
    const r = await desk.browser.call('PATCH', `/api/v1${path}`, { role: 'admin' });
    assert.ok([403, 404, 405].includes(r.status), `${path}: ${r.status}`);
  }
  const bearer = await cast.stranger(desk.token).call('PATCH', '/api/v1/account', { language: 'ja', role: 'admin' });
  assert.equal(bearer.status, 403);
  assert.equal((await desk.browser.good('GET', '/session')).role, 'helpdesk');
  // A path that ends within a name is not that name's path.
  const victim = await cast.member('operator');
  assert.equal((await cast.admin.browser.api('DELETE', `/users/${victim.name}%00.evil`)).status, 404);
  assert.equal((await victim.browser.good('GET', '/session')).user, victim.name);
});

test('neither Host nor forwarded names nor parameters lead anywhere else', async (t) => {
  const cast = await begin(t);
  const evil = { 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'https', forwarded: 'host=evil.example;proto=https', 'x-original-url': '/api/v1/users', 'x-rewrite-url': '/api/v1/users' };
  const options = await cast.stranger().api('POST', '/session/passkey/options', undefined, evil);
  assert.equal(options.json.rpId, 'localhost');
  for (const host of ['evil.example', 'localhost.evil.example', 'localhost:80@evil.example', 'evil.example#localhost', 'localhost, evil.example', '', '127.0.0.1.evil.example', '[::1].evil.example']) {
    const r = await cast.stranger().api('POST', '/session', { user: 'first', password: cast.first }, { host, origin: `http://${host}` });
    assert.ok([400, 403].includes(r.status), `${host}: ${r.status}`);
    assert.equal(r.headers['set-cookie'], undefined, host);
  }
  for (const path of ['/login?next=https://evil.example/', '/login?error=https://evil.example', '/?next=//evil.example', '//evil.example/', '/%2f%2fevil.example/', '/\\evil.example',
    '/login/oidc?next=https://evil.example', '/login/oidc/callback?state=https://evil.example', '/api/v1/session?next=//evil.example', '/https://evil.example/']) {
    const r = await raw(cast.desk.world.ports.console, `GET ${path} HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: evil.example\r\nConnection: close\r\n\r\n`);
    assert.ok(statuses(r).every((s) => s < 500), path);
    assert.doesNotMatch(r, /^location:/im, path);
    assert.ok(!r.includes('evil.example'), `${path} is repeated`);
  }
  // A proxy's word for who asks counts for the network; it is no text of ours.
  const odd = cast.desk.browser({ headers: { 'x-forwarded-for': '"><script>, 10.0.0.1\t, ::1' } });
  assert.equal((await odd.api('POST', '/session', { user: 'first', password: 'x' })).status, 401);
  // Another path by a header is none: this is still the session, and nobody's.
  const r = await cast.stranger().api('GET', '/session', undefined, evil);
  assert.equal(r.json.user, null);
});

test('a request that can be read in two ways is none, and nothing behind it is read', async (t) => {
  const cast = await begin(t);
  const { console: port } = cast.desk.world.ports;
  const head = `Host: ${cast.desk.host}\r\n`;
  const hidden = `GET /api/v1/openapi.json HTTP/1.1\r\n${head}\r\n`;
  const json = 'Content-Type: application/json\r\n';
  for (const [what, fields, body] of [
    ['two lengths', `Content-Length: 2\r\nContent-Length: ${2 + hidden.length}\r\n`, `{}${hidden}`],
    ['length and chunks', `Content-Length: 4\r\nTransfer-Encoding: chunked\r\n`, `0\r\n\r\n${hidden}`],
    ['chunks and length', `Transfer-Encoding: chunked\r\nContent-Length: 4\r\n`, `0\r\n\r\n${hidden}`],
    ['an encoding that is none', `Transfer-Encoding: xchunked\r\n`, `0\r\n\r\n${hidden}`],
    ['two encodings', `Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n`, `0\r\n\r\n${hidden}`],
    ['a list of encodings', `Transfer-Encoding: gzip, chunked\r\n`, `0\r\n\r\n${hidden}`],
    ['a blank before the colon', `Content-Length : 2\r\n`, `{}${hidden}`],
    ['a negative length', `Content-Length: -1\r\n`, `{}${hidden}`],
    ['a signed length', `Content-Length: +2\r\n`, `{}${hidden}`],
    ['a hexadecimal length', `Content-Length: 0x2\r\n`, `{}${hidden}`],
    ['a list of lengths', `Content-Length: 2, 2\r\n`, `{}${hidden}`],
    ['a length beyond all', `Content-Length: 99999999999999999999999\r\n`, `{}${hidden}`],
  ]) {
    const text = await raw(port, `POST /api/v1/session HTTP/1.1\r\n${head}${json}${fields}\r\n${body}`);
    const seen = statuses(text);
    // (The library repeats its own head where a length is wrong.)
    assert.ok(new Set(seen).size <= 1 && seen.every((s) => s >= 400 && s < 500), `${what}: ${seen}`);
    assert.ok(!text.includes('"openapi"') && (text === '' || /^connection: close/im.test(text)), `${what}: what was hidden was answered`);
  }
  for (const [what, line] of [['a NUL', 'X-A: a\0b\r\n'], ['no colon', 'nonsense\r\n'], ['a bare CR', 'X-A: a\rX-Evil: 1\r\n'], ['a large head', `X-A: ${'x'.repeat(40000)}\r\n`],
    ['many fields', 'X-A: b\r\n'.repeat(5000)]]) {
    const text = await raw(port, `GET /api/v1/session HTTP/1.1\r\n${head}${line}\r\n`);
    assert.ok(statuses(text).every((s) => s < 500), `${what}: ${text.slice(0, 60)}`);
    assert.doesNotMatch(text, /x-evil/i);
  }
  // What the browser's own cookie header says twice is one session at most; nothing of it comes back.
  const twice = await request(`${cast.desk.base}/api/v1/session`, { headers: { cookie: 'fumibako=x; fumibako=y; __Host-fumibako=z; fumibako=%0d%0aX-Evil:1' } });
  assert.deepEqual([twice.status, JSON.parse(twice.body).user, twice.headers['x-evil']], [200, null, undefined]);
  assert.ok(cast.desk.service.isRunning);
});

test('slow bodies of nobody hold nobody up, and large ones of nobody are not kept', { timeout: 400000 }, async (t) => {
  const cast = await begin(t);
  const { console: port } = cast.desk.world.ports;
  const sockets = [];
  t.after(() => sockets.forEach((s) => s.destroy()));
  const open = (bytes) => new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => { socket.write(bytes, () => resolve(socket)); });
    socket.on('error', () => {});
    socket.text = '';
    socket.on('data', (c) => { socket.text += c; });
    sockets.push(socket);
  });
  const head = (path, more) => `POST /api/v1${path} HTTP/1.1\r\nHost: ${cast.desk.host}\r\nContent-Type: application/json\r\n${more}\r\n`;
  await Promise.all(Array.from({ length: 200 }, (_, i) => open(i % 2 === 0 ? head('/session', 'Content-Length: 500\r\n').slice(0, -(i % 20) - 1) : `${head('/session', 'Content-Length: 500\r\n')}{"user":`)));
  // As many as there are places for mails to the rule tester, and more; with what looks like a token as well.
  for (let i = 0; i < 6; i++) {
    await open(`${head('/policy/test', `Content-Length: 60000000\r\n${i % 2 ? `Authorization: Bearer fbt.eA.${'A'.repeat(43)}\r\n` : ''}`)}{"mail":"${'x'.repeat(200000)}`);
  }
  await sleep(200);
  const rss = () => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${cast.desk.service.pid}/status`, 'utf8'))[1]) / 1024;
  const before = rss();
  const began = Date.now();
  const mail = Buffer.from('Subject: x\r\n\r\nHello\r\n').toString('base64');
  const tested = await cast.admin.browser.api('POST', '/policy/test', { mail, from: 'taro@example.jp', to: ['hanako@example.com'] });
  assert.equal(tested.status, 200, tested.body.toString());
  const token = await cast.stranger(cast.admin.token).api('POST', '/policy/test', { mail, from: 'taro@example.jp', to: ['hanako@example.com'] });
  assert.equal(token.status, 200, token.body.toString());
  for (let i = 0; i < 20; i++) await cast.admin.browser.good('GET', '/overview');
  console.log(`200 slow bodies beside: two mails tested and 20 calls in ${Date.now() - began} ms`);

  // A hundred who are nobody send 3 MB each and never end.
  const large = `{"user":"${'x'.repeat(3 << 20)}`;
  await Promise.all(Array.from({ length: 100 }, () => open(`${head('/session', 'Content-Length: 4000000\r\n')}${large}`)));
  await waitFor(async () => (await cast.admin.browser.api('GET', '/session')).status === 200, { what: 'an answer' });
  await sleep(500);
  const grown = rss() - before;
  console.log(`100 bodies of 3 MiB by nobody: ${grown.toFixed(0)} MiB more`);
  assert.ok(grown < 150, `${grown} MiB`);
});

test('no cell of an export is a formula, in any spelling that a spreadsheet takes for one', async (t) => {
  const cast = await begin(t);
  const { browser } = cast.admin;
  for (const label of ['=1+1', '+1', '-1+1', '@SUM(A1)', '\t=1', '\r=1', '\n=1', ' =1', '＝1＋1', '＋1', '－1', '＠SUM(A1)', '"=1', '\u200b=1', "=cmd|' /C calc'!A0", 'x\r\n=1,"y']) {
    const made = await browser.api('POST', '/account/tokens', { label });
    assert.ok(made.status === 201, `${JSON.stringify(label)}: ${made.body}`);
    await browser.good('DELETE', `/account/tokens/${made.json.id}`, undefined, 204);
  }
  const { etag } = await cast.policy();
  await browser.api('PUT', '/policy', { document: `${POLICY}# 2\n`, comment: '＝HYPERLINK("http://evil.example")' }, { 'if-match': etag });
  // Written by hand, or by another version: each column, whatever is in it.
  for (const text of ['=1+1', '＝1', '@x', '\u00a0=1', ' \t=1']) {
    await cast.redis.command('XADD', 'fb:{s0}:console:audit', '*', 'e', JSON.stringify({ at: Date.now(), user: text, role: text, by: text, address: text, action: text, object: text, before: text, after: [text] }));
  }
  const csv = (await browser.api('GET', '/audit/export?format=csv')).body.toString();
  const cells = [...csv.matchAll(/"((?:[^"]|"")*)"(?:,|\r\n)/g)].map(([, c]) => c.replaceAll('""', '"'));
  assert.ok(cells.length > 100, `${cells.length}`);
  for (const cell of cells) assert.doesNotMatch(cell, /^[\s\p{Cf}\u00a0]*[=+\-@＝＋－＠]/u, JSON.stringify(cell));
  assert.equal(cells.length % 9, 0, 'as many cells as columns: no line of its own within one');
});
