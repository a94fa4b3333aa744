// SPDX-License-Identifier: Apache-2.0
// Remote images: the fetcher takes pictures from the public web and nothing else from anywhere; render shows them where a
// rule says so, and a box in their place everywhere else.  The web is a server on 127.0.0.2, which fetch.allow names; what
// must not be reached is a listener on 127.0.0.1 and ::1, which counts.

import assert from 'node:assert/strict';
import http from 'node:http';
import os from 'node:os';
import { gzipSync } from 'node:zlib';
import test, { after, before } from 'node:test';
import { World, freePort, request, waitFor } from '../../support/harness.mjs';
import { NEEDS_CHROMIUM, RenderWorld, base64, bytes, colours, hasChromium } from './kit.mjs';
import { png } from './mails.mjs';

const RED = png(40, 20, [255, 0, 0]);
const GREEN = png(300, 200, [0, 200, 0]);
const JPEG = Buffer.from('/9j/4AAQSkZJRgABAQEASABIAAD/2wBDAP//////////////////////////////////////////////////////////////////////////////////////wAALCAABAAEBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAAA//EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8AN//Z', 'base64');
const GIF = Buffer.from('R0lGODlhAQABAPAAAP8AAAAAACwAAAAAAQABAAACAkQBADs=', 'base64');
const BOMB = gzipSync(Buffer.concat([RED, Buffer.alloc(40 << 20)]));
const WEBP = Buffer.from('UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA', 'base64');

/** A server that keeps what it is asked; handle may be changed by the test. */
async function listen(host, port, handle = (req, res) => res.end('no')) {
  const seen = [];
  const server = http.createServer((req, res) => { seen.push(req); handle(req, res); });
  server.on('clientError', (error, socket) => socket.destroy());
  await new Promise((resolve, reject) => { server.once('error', reject); server.listen(port, host, resolve); });
  return { seen, server, close: () => { server.closeAllConnections?.(); server.close(); } };
}

const send = (res, type, body, head = {}) => { res.writeHead(200, { 'Content-Type': type, ...head }); res.end(body); };
/** Writes as long as somebody reads. */
function pour(res, piece, pause) {
  const timer = setInterval(() => res.write(piece), pause);
  res.on('close', () => clearInterval(timer));
}

const PAGES = {
  '/red.png': (req, res) => send(res, 'text/html', RED), // the type is what the bytes say
  '/green.png': (req, res) => send(res, 'image/png', GREEN),
  '/a.jpg': (req, res) => send(res, 'image/jpeg', JPEG),
  '/a.gif': (req, res) => send(res, 'image/gif', GIF),
  '/a.webp': (req, res) => send(res, 'image/webp', WEBP),
  '/slow.png': (req, res) => { res.writeHead(200); res.write(RED); pour(res, Buffer.alloc(1), 200); },
  '/silent.png': () => {},
  '/endless.png': (req, res) => { res.writeHead(200); res.write(RED); pour(res, Buffer.alloc(1 << 18), 10); },
  '/large.png': (req, res) => { res.writeHead(200, { 'Content-Length': 6 << 20 }); res.write(RED); },
  '/page.png': (req, res) => { res.writeHead(200, { 'Content-Type': 'image/png' }); res.write('<!DOCTYPE html><script>'); pour(res, 'x'.repeat(1000), 20); },
  '/svg.png': (req, res) => send(res, 'image/svg+xml', '<svg xmlns="http://www.w3.org/2000/svg"><rect/></svg>'),
  '/empty.png': (req, res) => send(res, 'image/png', ''),
  '/bomb.png': (req, res) => send(res, 'image/png', BOMB, { 'Content-Encoding': 'gzip' }),
  '/heads.png': (req, res) => { res.socket.write('HTTP/1.1 200 OK\r\n'); pour({ write: () => res.socket.write(`X-A: ${'a'.repeat(1000)}\r\n`), on: (e, f) => res.socket.on('close', f) }, '', 5); },
  '/204.png': (req, res) => { res.writeHead(204); res.end(); },
  '/404.png': (req, res) => { res.writeHead(404); res.end(RED); },
  '/500.png': (req, res) => { res.writeHead(500); res.end('x'); },
  '/loop.png': (req, res) => { res.writeHead(302, { Location: '/loop.png' }); res.end(); },
  '/cookie.png': (req, res) => { res.writeHead(302, { Location: '/red.png?cookie', 'Set-Cookie': 'a=b; Path=/' }); res.end(); },
};

let world;
let fetcher;
let web;
let url;
let canaries;
let forbidden; // port of the canaries

before(async () => {
  world = await World.create();
  const port = await freePort();
  forbidden = await freePort();
  url = `http://127.0.0.2:${port}`;
  web = await listen('127.0.0.2', port, (req, res) => {
    const at = new URL(req.url, url);
    if (at.pathname === '/to') {
      res.writeHead(Number(at.searchParams.get('status') ?? 302), { Location: at.searchParams.get('url') });
      res.end('moved');
    } else if (PAGES[at.pathname]) PAGES[at.pathname](req, res);
    else send(res, 'image/png', RED);
  });
  canaries = [await listen('127.0.0.1', forbidden)];
  await listen('::1', forbidden).then((c) => canaries.push(c), () => {}); // where there is IPv6
  const proxy = `http://127.0.0.1:${forbidden}`;
  fetcher = await world.start('fetch', { fetch: { allow: ['127.0.0.2/32'] } },
    { env: { http_proxy: proxy, https_proxy: proxy, HTTP_PROXY: proxy, ALL_PROXY: proxy, all_proxy: proxy } });
});
after(async () => {
  web?.close();
  for (const c of canaries ?? []) c.close();
  await world?.end();
});

const touched = () => canaries.reduce((n, c) => n + c.seen.length, 0);
const ask = (target, { token = world.fetchToken, body = JSON.stringify({ url: target }), method = 'POST', path = '/v1/image' } = {}) =>
  request(`http://127.0.0.1:${world.ports.fetch}${path}`, { method, body, timeout: 60000,
    headers: { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body), ...(token ? { Authorization: `Bearer ${token}` } : {}) } });

test('PNG, JPEG, GIF and WebP come as they are, by their bytes and not by what the server says', async () => {
  for (const [path, type, data] of [['/red.png', 'image/png', RED], ['/a.jpg', 'image/jpeg', JPEG], ['/a.gif', 'image/gif', GIF], ['/a.webp', 'image/webp', WEBP]]) {
    const res = await ask(`${url}${path}?types`);
    assert.equal(res.status, 200, path);
    assert.equal(res.headers['content-type'], type);
    assert.ok(res.body.equals(data), path);
  }
});

test('without the token nothing is fetched, and there is nothing but the one call', async () => {
  const before = web.seen.length;
  for (const token of [null, 'wrong', `${world.fetchToken}x`, '']) {
    const res = await ask(`${url}/red.png?token`, { token });
    assert.equal(res.status, 401);
    assert.equal(res.json().error.code, 'denied');
  }
  assert.equal((await ask(`${url}/x`, { path: '/' })).status, 404);
  assert.equal((await ask(`${url}/x`, { path: '/v1/image/../image2' })).status, 404);
  assert.equal((await ask(`${url}/x`, { method: 'PUT' })).status, 405);
  for (const body of ['', '{', '[]', '{"url":1}', '{}', `{"url":"${'x'.repeat(20000)}"}`]) {
    assert.ok([400, 413].includes((await ask('', { body })).status), body.slice(0, 20));
  }
  assert.equal(web.seen.length, before);
  await waitFor(async () => (await fetcher.metric('fumibako_fetches_total', 'outcome="denied"')) === 4, { what: 'the count' });
});

test('nothing of ours is in the request: no cookie, no referrer, no name, no proxy', async () => {
  const res = await ask(`${url}/cookie.png`);
  assert.equal(res.status, 200);
  const last = web.seen.at(-1);
  assert.equal(last.url, '/red.png?cookie');
  assert.deepEqual(Object.keys(last.headers).sort(), ['accept', 'host', 'user-agent']);
  assert.equal(last.headers['user-agent'], 'Mozilla/5.0 (compatible; mail image)');
  assert.equal(touched(), 0);
});

/** URLs that lead to this machine or its network, whatever they look like. */
const inside = () => {
  const p = forbidden;
  return [`http://127.0.0.1:${p}/`, `http://localhost:${p}/`, `http://localhost.:${p}/`, `http://LOCALHOST:${p}/`, `http://2130706433:${p}/`,
    `http://0x7f000001:${p}/`, `http://0177.0.0.1:${p}/`, `http://127.1:${p}/`, `http://127.0.0.3:${p}/`, `http://[::1]:${p}/`, `http://[::ffff:127.0.0.1]:${p}/`,
    `http://[::ffff:7f00:1]:${p}/`, `http://[::127.0.0.1]:${p}/`, `http://0.0.0.0:${p}/`, `http://0:${p}/`, `http://[::]:${p}/`, `http://${os.hostname()}:${p}/`,
    `https://127.0.0.1:${p}/`, 'http://169.254.169.254/latest/meta-data/', 'http://[::ffff:169.254.169.254]/', 'http://[fd00:ec2::254]/latest/', 'http://[fe80::1]/',
    'http://10.0.0.1/', 'http://172.16.0.1/', 'http://192.168.0.1/', 'http://100.64.0.1/', 'http://192.0.2.1/', 'http://198.18.0.1/', 'http://224.0.0.1/', 'http://255.255.255.255/',
    'http://[64:ff9b::7f00:1]/', 'http://[2002:7f00:1::1]/', 'http://[2001:db8::1]/', 'http://[ff02::1]/', 'http://8.8.8.8:25/', 'http://8.8.8.8:6379/', 'https://[2606:4700:4700::1111]:22/'];
};
const OTHER = ['file:///etc/passwd', 'ftp://127.0.0.2/x', 'gopher://127.0.0.2/x', 'dict://127.0.0.2/x', 'ldap://127.0.0.2/x', 'data:image/png;base64,AAAA', 'cid:1', 'javascript:1', '//127.0.0.2/x',
  '/x', 'http://', 'http://a b/', 'smb://127.0.0.2/x', 'telnet://127.0.0.2', 'http://exa\nmple/'];

test('no URL reaches what is not public: by number, by name, in any notation, on any port but the web\'s', async () => {
  const started = Date.now();
  for (const target of [...inside(), ...OTHER, `http://user:pass@${url.slice(7)}/x`, `${url}@127.0.0.1:${forbidden}/`, `http://127.0.0.1:${forbidden}\\@${url.slice(7)}/`]) {
    const res = await ask(target);
    // Names that nobody knows, and notations that this resolver does not take, lead nowhere just as well.
    assert.ok([403, ...(/0177|hostname|\[::ffff|localhost\.|:\/\/[a-z]/.test(target) ? [502] : [])].includes(res.status), `${target}: ${res.status} ${res.body}`);
  }
  assert.equal(touched(), 0);
  assert.ok(Date.now() - started < 30000, 'nothing was waited for');
});

test('a redirect reaches no more than a URL does, and three of them are enough', async () => {
  const count = web.seen.length;
  const all = [...inside(), ...OTHER.filter((u) => /^[a-z]+:/.test(u) && !/\s/.test(u) && u !== 'http://')];
  await Promise.all(all.map(async (target, i) => {
    const res = await ask(`${url}/to?status=${[301, 302, 303, 307, 308][i % 5]}&url=${encodeURIComponent(target)}`);
    assert.ok([403, 502].includes(res.status), `${target}: ${res.status} ${res.body}`);
  }));
  assert.equal(web.seen.length - count, all.length);
  assert.equal(touched(), 0);
  const chain = (n) => (n === 0 ? `${url}/red.png` : `${url}/to?url=${encodeURIComponent(chain(n - 1))}`);
  assert.equal((await ask(chain(3))).status, 200);
  assert.equal((await ask(chain(4))).status, 404);
  assert.equal((await ask(`${url}/loop.png`)).status, 404);
  // Sent on from the third answer, still nothing inside.
  assert.equal((await ask(`${url}/to?url=${encodeURIComponent(`${url}/to?url=${encodeURIComponent(`http://127.0.0.1:${forbidden}/`)}`)}`)).status, 403);
  assert.equal(touched(), 0);
});

test('what is no image, too large, too slow or endless ends early, and the answer says why', async () => {
  const want = { '/page.png': [415, 'type'], '/svg.png': [415, 'type'], '/empty.png': [415, 'type'], '/bomb.png': [415, 'type'],
    '/large.png': [413, 'too_big'], '/endless.png': [413, 'too_big'], '/heads.png': [502, 'failed'], '/204.png': [404, 'missing'],
    '/404.png': [404, 'missing'], '/500.png': [404, 'missing'], '/slow.png': [504, 'timeout'], '/silent.png': [504, 'timeout'] };
  await Promise.all(Object.entries(want).map(async ([path, [status, code]]) => {
    let res, ms;
    for (let tries = 0; tries < 4; tries++) { // this process is the server: where it stood still for five seconds it was too slow itself
      const begun = Date.now();
      res = await ask(`${url}${path}${tries ? `?again${tries}` : ''}`); // a failure is remembered by its URL
      ms = Date.now() - begun;
      if (res.status !== 504 || status === 504) break;
    }
    assert.deepEqual([res.status, res.json().error.code], [status, code], path);
    assert.ok(res.json().error.message.length > 10);
    assert.ok(ms < 20000, `${path}: ${ms} ms, 5 seconds of them for the image`);
  }));
  assert.ok(fetcher.isRunning);
  assert.equal((await ask(`${url}/slow.png`)).status, 504); // remembered: a dead server costs its time once
  assert.equal(web.seen.filter((r) => r.url === '/slow.png').length, 1, 'it is not asked again');
});

test('a logo is fetched once for all who ask within the time, at once or one after the other', async () => {
  const count = web.seen.length;
  const all = await Promise.all(Array.from({ length: 40 }, () => ask(`${url}/green.png?once`)));
  assert.deepEqual([...new Set(all.map((r) => r.status))], [200]);
  assert.equal((await ask(`${url}/green.png?once`)).status, 200);
  assert.equal(web.seen.length, count + 1);
  await waitFor(async () => (await fetcher.metric('fumibako_fetches_total', 'outcome="kept"')) >= 40, { what: 'the count' });
  await waitFor(async () => (await fetcher.metric('fumibako_fetch_kept_bytes')) > 0, { what: 'the size' });
});

test('the log says which host, never which URL', async () => {
  await fetcher.says(/"host":"127\.0\.0\.1"/);
  assert.doesNotMatch(fetcher.output, /slow\.png|latest\/meta-data|\?once/);
});

// ---- render ----

const POLICY = (secure) => (w) => `
storages:
  - {name: vault, type: vault, url: "file://${w.dir}/vault", key_file: "${w.keyFile}"}
security_definitions:
  - {name: recipients only, access: recipients}
rules:
  - name: boxes only
    when: {to: ["@boxes.example.com"]}
    action: secure
    secure: {body: true, attachments: true}
    storage: vault
    security: recipients only
  - name: secure outbound
    when: {to: ["!@example.jp"]}
    action: secure
    secure: {body: true, attachments: true${secure}}
    storage: vault
    security: recipients only
`;
const HEAD = 'From: Taro <taro@example.jp>\r\nTo: hanako@example.com\r\nSubject: logo\r\nDate: Fri, 27 Nov 2026 10:00:00 +0900\r\nMIME-Version: 1.0\r\n'
  + 'Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n';
const html = (body) => bytes(HEAD, base64(body), '\r\n');
const paths = () => web.seen.map((r) => r.url);

test('render shows remote images where the rule says so: in native and in Chromium, each once, none that counts readers', async (t) => {
  const w = await RenderWorld.create(t, { policy: POLICY(', remote_images: true'), render: { remote_images: `http://127.0.0.1:${world.ports.fetch}` } });
  // The fetcher of this file has its own token.
  await w.render.stop();
  w.overrides.fetch = { token: world.fetchToken };
  await w.startRender();
  const body = (extra, n) => `<p>Kind regards,<br>Taro</p><img src="${url}/red.png?mail${n}" alt="the logo" width="200" height="100">`
    + `<img src=" ${url}/red.png?mail${n} " width="200" height="100"><img src="${url}/green.png?mail${n}" style="width:150px;height:100px">`
    + `<img src="${url}/count.png?${n}" width="1" height="1"><img src="${url}/hidden.png?${n}" style="display:none"><img src="${url}/404.png?mail${n}" alt="lost" width="300" height="60">`
    + `<p style="background:url(${url}/back.png)">end</p>${extra}`;
  const native = await w.letter(html(body('', 1)));
  assert.deepEqual(paths().filter((p) => /mail1|\?1/.test(p)).sort(), ['/404.png?mail1', '/green.png?mail1', '/red.png?mail1']); // asked for side by side
  assert.match(native.text, /Kind regards/);
  assert.match(native.text, /lost \(remote image, not\s+shown\)/);
  assert.doesNotMatch(native.text, /the logo/);
  let seen = colours(native.pdf);
  assert.ok(seen.red > 100 && seen.green > 50, JSON.stringify({ painter: native.plan.painter, why: native.plan.painter_reason, ...seen }));
  if (hasChromium) {
    const rich = await w.letter(html(body('<div style="display:flex"><p>a</p><p>b</p></div>', 2)));
    assert.equal(rich.plan.painter, 'chromium');
    assert.deepEqual(paths().filter((p) => /mail2|\?2/.test(p)).sort(), ['/404.png?mail2', '/green.png?mail2', '/red.png?mail2']);
    seen = colours(rich.pdf);
    assert.ok(seen.red > 100 && seen.green > 50, JSON.stringify(seen));
  }
  assert.ok(!paths().some((p) => /back\.png|count|hidden/.test(p)));
  // One PDF for all who get it: a recipient whose rule does not want them has the others' boxes.
  const both = await w.letter(html(body('', 3)), { to: ['hanako@example.com', 'jiro@boxes.example.com'] });
  assert.match(both.text, /the logo/);
  assert.deepEqual(paths().filter((p) => /mail3/.test(p)), []);
  // Limits of a letter: fifty images, and not for longer than its time.
  const many = await w.letter(html(Array.from({ length: 80 }, (_, i) => `<img src="${url}/red.png?many${i}" alt="picture ${i}" width="90" height="20">`).join('')));
  assert.equal(paths().filter((p) => /many/.test(p)).length, 50);
  assert.match(many.text, /picture 79/);
  const begun = Date.now();
  const slow = await w.letter(html(`${Array.from({ length: 30 }, (_, i) => `<img src="${url}/silent.png?${i}" alt="slow ${i}" width="90" height="20">`).join('')}<p>still here</p>`));
  assert.ok(Date.now() - begun < 60000, `${Date.now() - begun} ms, 10 seconds of them for the images`);
  assert.match(slow.text, /slow 29[\s\S]*still here/);
  assert.ok(await w.render.metric('fumibako_remote_images_total', 'outcome="shown"') > 50);
  assert.ok(await w.render.metric('fumibako_remote_images_total', 'outcome="missing"') > 30);
  assert.equal(touched(), 0);
});

test('without the fetcher, without the rule, or with a wrong token there are boxes, and no mail is held', async (t) => {
  const count = web.seen.length;
  const letter = html(`<p>text</p><img src="${url}/red.png?never" alt="the logo" width="200" height="100"><img src="${url}/x.png" width="300" height="80">`);
  const w = await RenderWorld.create(t, { policy: POLICY(''), render: { remote_images: `http://127.0.0.1:${world.ports.fetch}` } });
  const check = async () => {
    const { text, plan } = await w.letter(letter);
    assert.equal(plan.painter, 'native');
    assert.match(text, /the logo \(remote image, not\s+shown\)/);
    assert.match(text, /Remote image, not\s+shown/);
  };
  await check(); // its rule does not say so
  await w.render.stop();
  const wants = await RenderWorld.create(t, { policy: POLICY(', remote_images: true'), render: { remote_images: `http://127.0.0.1:${world.ports.fetch}` } });
  wants.render.output = '';
  const { text } = await wants.letter(letter); // another world's token
  assert.match(text, /the logo \(remote image/);
  await wants.render.says(/does not know our fetch\.token/);
  await wants.render.stop();
  wants.overrides.render.remote_images = `http://127.0.0.1:${forbidden === 1 ? 2 : await freePort()}`; // nobody there
  await wants.startRender();
  assert.match((await wants.letter(letter)).text, /the logo \(remote image/);
  assert.equal(web.seen.length, count);
});

test('hostile pictures from the web end as a box or a picture, in native and in Chromium', { ...NEEDS_CHROMIUM }, async (t) => {
  const w = await RenderWorld.create(t, { policy: POLICY(', remote_images: true'), render: { remote_images: `http://127.0.0.1:${world.ports.fetch}` } });
  await w.render.stop();
  w.overrides.fetch = { token: world.fetchToken };
  await w.startRender();
  PAGES['/huge.png'] = (req, res) => send(res, 'image/png', png(50000, 50000, [1, 2, 3], 3));
  PAGES['/torn.png'] = (req, res) => send(res, 'image/png', GREEN.subarray(0, GREEN.length / 2));
  PAGES['/torn.jpg'] = (req, res) => send(res, 'image/jpeg', JPEG.subarray(0, 60));
  PAGES['/junk.png'] = (req, res) => send(res, 'image/png', Buffer.concat([RED.subarray(0, 40), Buffer.alloc(3000, 0xa5)]));
  PAGES['/junk.webp'] = (req, res) => send(res, 'image/webp', Buffer.concat([WEBP.subarray(0, 20), Buffer.alloc(3000, 0xff)]));
  const list = ['/huge.png', '/torn.png', '/torn.jpg', '/junk.png', '/junk.webp', '/a.gif', '/a.webp'].map((p) => `<p><img src="${url}${p}?hostile" alt="picture" width="200" height="100"></p>`).join('');
  for (const extra of ['', '<div style="display:flex">x</div>']) {
    const { text } = await w.letter(html(`<p>before</p>${list}<p>behind</p>${extra}`));
    assert.match(text, /before[\s\S]*behind/);
  }
});
