// SPDX-License-Identifier: Apache-2.0
// Behind the door: the page, the body, downloads with their tickets, the zip.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import test from 'node:test';
import { gunzipSync } from 'node:zlib';
import { sleep, waitFor } from '../../support/harness.mjs';
import { Client, visible } from './kit.mjs';
import { Reading, makePdf, sha1, tokenOf, unzip } from './reading_kit.mjs';

const BODY = { name: '本文.pdf', type: 'application/pdf', bytes: makePdf(['First page', 'Second page']), body: true };
const TEXT = { name: '見積書 4月.txt', type: 'text/plain', bytes: Buffer.from('明細\n'.repeat(5000)) };
const EVIL = { name: 'a"; Set-Cookie: x=1; ../<b>.html', type: 'text/html', bytes: Buffer.from('<script>alert(1)</script>') };
const DATA = { name: 'data.bin', type: 'application/octet-stream', bytes: randomBytes(300000) };

test('the page shows whose mail it is, until when, and what is in it; nothing on it comes from elsewhere', async (t) => {
  const r = await Reading.create(t);
  const parcel = r.parcel({ files: [BODY, TEXT, EVIL], subject: '契約 <更新>のご案内', max_downloads: 3, accepted: Date.UTC(2026, 10, 28, 1, 0),
    expires: Date.now() + 86400000 });
  const client = await r.enter(parcel.link);
  const page = await client.get(`/r/${parcel.link}?lang=en`);
  assert.equal(page.status, 200);
  const text = visible(page.text);
  for (const words of ['契約 <更新>のご案内', 'From taro@example.jp', 'Opened as hanako@partner.example.com', 'Can be read until',
    '3 of 3 left', 'Attachments (2)', '見積書 4月.txt', 'Text', '35.0 KB', 'Download all (ZIP)', 'Show as pictures', 'Leave']) {
    assert.ok(text.includes(words), `${words} in ${text}`);
  }
  const japanese = visible((await client.get(`/r/${parcel.link}?lang=ja`)).text);
  for (const words of ['差出人', '閲覧期限', '残り 3 回(上限 3 回)', '添付ファイル (2)', 'すべてダウンロード(ZIP)', '画像で表示', '閲覧を終了する']) {
    assert.ok(japanese.includes(words), `${words} in ${japanese}`);
  }
  const csp = page.headers['content-security-policy'];
  assert.match(csp, /^default-src 'none'; script-src http:\/\/127\.0\.0\.1:\d+\/assets\/[0-9a-f]{16}\/; worker-src /);
  assert.doesNotMatch(csp, /unsafe|\*|data:|blob:|https:/);
  assert.doesNotMatch(page.text, /(src|href|action)="(?!\/|\?|#)/, 'only paths of our own');
  assert.doesNotMatch(page.text, / on[a-z]+=|<script(?! type="module" src="\/assets)/);

  // The viewer, compressed or not, kept for good.
  const [, viewer] = /<script type="module" src="([^"]+)">/.exec(page.text);
  for (const name of ['viewer.mjs', 'viewer.css', 'pdf.min.mjs', 'pdf.worker.min.mjs']) {
    const at = viewer.replace('viewer.mjs', name);
    const plain = await client.get(at, { headers: { 'accept-encoding': 'identity' } });
    const packed = await client.get(at, { headers: { 'accept-encoding': 'br, gzip' } });
    assert.equal(plain.status, 200);
    assert.equal(packed.headers['content-encoding'], 'gzip');
    assert.ok(gunzipSync(packed.body).equals(plain.body) && packed.body.length < plain.body.length);
    assert.match(plain.headers['content-type'], name.endsWith('css') ? /^text\/css/ : /^text\/javascript/);
    assert.equal(plain.headers['cache-control'], 'public, max-age=31536000, immutable');
    assert.equal((await client.get(at, { method: 'HEAD' })).status, 200);
  }
  assert.equal((await client.get('/assets/0000000000000000/viewer.mjs')).status, 404);
  assert.equal((await client.get(viewer.replace('viewer.mjs', '../main.c'))).status, 404);
});

test('the body is for the page\'s script, whole and by ranges; an address leads to the page', async (t) => {
  const r = await Reading.create(t);
  const parcel = r.parcel({ files: [BODY, DATA] });
  const client = await r.enter(parcel.link);
  const at = `/r/${parcel.link}/body.pdf`;
  const whole = await client.get(at, { headers: { 'sec-fetch-dest': 'empty' } });
  assert.equal(whole.status, 200);
  assert.ok(whole.body.equals(BODY.bytes));
  assert.equal(whole.headers.etag, `"${sha1(BODY.bytes)}"`);
  assert.equal(whole.headers['content-type'], 'application/pdf');
  assert.equal(whole.headers['x-content-type-options'], 'nosniff');
  assert.match(whole.headers['content-security-policy'], /^sandbox; default-src 'none'/);
  assert.match(whole.headers['content-disposition'], /^attachment; filename="__\.pdf"; filename\*=UTF-8''%E6%9C%AC%E6%96%87\.pdf$/);
  const part = await client.get(at, { headers: { range: 'bytes=5-9' } });
  assert.equal(part.status, 206);
  assert.equal(part.headers['content-range'], `bytes 5-9/${BODY.bytes.length}`);
  assert.ok(part.body.equals(BODY.bytes.subarray(5, 10)));
  assert.equal((await client.get(at, { headers: { range: 'bytes=99999999-' } })).status, 416);
  assert.equal((await client.get(at, { headers: { 'sec-fetch-dest': 'document' } })).status, 303);
  // Without the session: the door.
  const turned = await new Client(r.base).get(at);
  assert.equal(turned.status, 303);
  assert.equal(turned.headers.location, `/r/${parcel.link}`);
});

test('a download counts once, by its button; its ticket is good for this session, this file, and again', async (t) => {
  const r = await Reading.create(t);
  const parcel = r.parcel({ files: [BODY, TEXT, EVIL, DATA], max_downloads: 3 });
  const ids = Reading.ids(parcel, 4);
  const client = await r.enter(parcel.link);
  const left = async () => /id="left">([^<]*)</.exec((await client.get(`/r/${parcel.link}`)).text)[1];
  assert.equal(await left(), '3 of 3 left');
  const asked = await r.ask(client, parcel.link, ids[3]);
  assert.equal(asked.status, 303);
  const at = asked.headers.location;
  assert.match(at, new RegExp(`^/r/${parcel.link}/file/${ids[3]}\\.[\\w-]{54}/data\\.bin$`));
  assert.equal(await left(), '2 of 3 left');
  const whole = await client.get(at);
  assert.equal(sha1(whole.body), sha1(DATA.bytes));
  const part = await client.get(at, { headers: { range: 'bytes=100001-', 'if-range': whole.headers.etag } });
  assert.equal(part.status, 206);
  assert.ok(part.body.equals(DATA.bytes.subarray(100001)));
  assert.equal((await client.get(at, { method: 'HEAD' })).headers['content-length'], String(DATA.bytes.length));
  assert.equal(await left(), '2 of 3 left', 'the same ticket counts nothing more');

  // Hostile and Japanese names.
  const evil = await client.get((await r.ask(client, parcel.link, ids[2])).headers.location);
  assert.equal(evil.headers['content-type'], 'application/octet-stream');
  assert.equal(evil.headers['set-cookie'], undefined);
  assert.match(evil.headers['content-disposition'], /^attachment; filename="a_; Set-Cookie_ x=1; \.\.__b_\.html"; filename\*=UTF-8''a_%3B%20Set-Cookie_/);
  const text = await r.ask(client, parcel.link, ids[1]);
  assert.ok(text.headers.location.endsWith(`/${encodeURIComponent('見積書 4月.txt')}`));
  assert.equal(sha1((await client.get(text.headers.location)).body), sha1(TEXT.bytes));

  // Used up: told so, and no ticket; tickets that were given are good to their end.
  const refused = await r.ask(client, parcel.link, ids[1]);
  assert.equal(refused.status, 403);
  assert.match(visible(refused.text), /downloaded as often as allowed/);
  assert.equal((await client.get(at)).status, 200);

  // Neither another session nor another file, nor a forged one.
  const other = await r.enter(parcel.link);
  const elsewhere = await other.get(at);
  assert.equal(elsewhere.status, 303);
  assert.equal(elsewhere.headers.location, `/r/${parcel.link}`);
  for (const ticket of [at.replace(ids[3], ids[1]), at.replace(/\.[\w-]{54}/, `.${'A'.repeat(54)}`), at.replace(ids[3], 'all')]) {
    assert.equal((await client.get(ticket)).status, 303, ticket);
  }
  // A form without token, from elsewhere, or for a file that there is not.
  assert.equal((await client.post(`/r/${parcel.link}/download`, [['file', ids[1]]])).status, 400);
  const token = tokenOf((await client.get(`/r/${parcel.link}`)).text, 'download');
  assert.equal((await client.post(`/r/${parcel.link}/download`, [['token', token], ['file', ids[1]]], { headers: { origin: 'https://evil.example' } })).status, 403);
  assert.equal((await client.post(`/r/${parcel.link}/download`, [['token', token], ['file', '0'.repeat(16)]])).status, 400);
  for (const method of ['GET', 'HEAD', 'OPTIONS']) {
    const before = await left();
    await client.get(`/r/${parcel.link}/download`, { method });
    assert.equal(await left(), before);
  }
});

test('all files come in one zip, under safe names that differ', async (t) => {
  const r = await Reading.create(t);
  const parcel = r.parcel({ files: [BODY, TEXT, { ...TEXT, bytes: Buffer.from('second') }, EVIL, { ...DATA, name: '../../etc/passwd' }] });
  const client = await r.enter(parcel.link);
  const asked = await r.ask(client, parcel.link, 'all');
  assert.match(asked.headers.location, /\/file\/all\.[\w-]{54}\/files\.zip$/);
  const zip = await client.get(asked.headers.location);
  assert.equal(zip.status, 200);
  assert.equal(zip.headers['content-type'], 'application/zip');
  assert.equal(zip.headers['transfer-encoding'], 'chunked');
  const files = unzip(zip.body);
  assert.deepEqual(files.map((f) => f.name), ['本文.pdf', '見積書 4月.txt', '見積書 4月 (2).txt', 'a_; Set-Cookie_ x=1; ..__b_.html', '_.._etc_passwd']);
  assert.ok(files[0].isUtf8 && files[1].isUtf8);
  assert.deepEqual(files.map((f) => f.isStored), [true, false, false, false, true]);
  assert.deepEqual(files.map((f) => sha1(f.bytes)), [BODY.bytes, TEXT.bytes, Buffer.from('second'), EVIL.bytes, DATA.bytes].map(sha1));
});

test('what is recalled while it is open is refused by the next request, and ends while it is sent', async (t) => {
  const r = await Reading.create(t);
  const large = path.join(r.dir, 'large');
  fs.writeFileSync(large, '');
  fs.truncateSync(large, 96 << 20);
  const parcel = r.parcel({ files: [BODY, { name: 'large.bin', type: 'application/octet-stream', path: large }] });
  const client = await r.enter(parcel.link);
  const { location } = (await r.ask(client, parcel.link, Reading.ids(parcel, 2)[1])).headers;
  const cookie = [...client.cookies.values()].map((c) => `${c.name}=${c.value}`).join('; ');
  const response = await new Promise((resolve, reject) => {
    http.get(`${r.base}${location}`, { headers: { cookie } }, resolve).on('error', reject);
  });
  assert.equal(response.statusCode, 200);
  let got = 0;
  const ended = new Promise((resolve) => { for (const e of ['end', 'aborted', 'error', 'close']) response.once(e, resolve); });
  response.on('data', (chunk) => { got += chunk.length; response.pause(); });
  await waitFor(() => got > 0);
  parcel.change({ grants: parcel.spec.grants.map((g) => ({ ...g, recalled: true })) });
  const refused = await client.get(`/r/${parcel.link}/body.pdf`);
  assert.equal(refused.status, 410);
  assert.match(visible(refused.text), /taken back/);
  assert.equal((await client.get(location)).status, 410);
  await sleep(2100); // it looks every two seconds
  response.removeAllListeners('data');
  response.on('data', (chunk) => { got += chunk.length; });
  response.resume();
  await ended;
  assert.ok(!response.complete && got < 96 << 20, `${got} bytes came`);
});
