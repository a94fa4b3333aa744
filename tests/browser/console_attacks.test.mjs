// SPDX-License-Identifier: Apache-2.0
//
// Attacks on the console's pages in a real browser: texts of mails, policies and people that want to be code, on every page;
// pages of others that act in an administrator's name, frame the console, read from it, or want to be led to.

import assert from 'node:assert/strict';
import http from 'node:http';
import test from 'node:test';
import { freePort, sleep, waitFor } from '../support/harness.mjs';
import { Cast } from '../integration/console/roles-kit.mjs';
import { Browser } from './kit.mjs';

const MARK = 'mark-4711';
const CODE = `<img src=x onerror="window.hit='img'"><script>window.hit='script'</script>"><svg/onload="window.hit='svg'">{{constructor.constructor('window.hit=1')()}}\${window.hit=2}javascript:window.hit=3`;
const NAME = `<img src=x onerror="window.hit='name'"><svg/onload=window.hit=9>`; // names are short
const GROUP = `group " onmouseover=window.hit=10 x='{{1+1}}`; // its name has none of < > @ * ? /
const TEXT = `${MARK} ${CODE}`;
const ADDRESS = `"<img src=x onerror=window.hit=4>"@example.com`;
const q = (text) => JSON.stringify(text); // YAML takes JSON's strings

const POLICY = `storages:
  - {name: ${q(`vault ${NAME}`)}, type: vault, url: "file:///srv/vault", key_file: /etc/fumibako/vault.key}
groups:
  - {name: ${q(GROUP)}, members: ["@group.example.com"]}
security_definitions:
  - {name: ${q(`definition ${NAME}`)}, access: recipients}
rules:
  - {name: ${q(`rule ${NAME}`)}, when: {subject: [${q(CODE)}], to: ["!@example.jp"]}, action: secure, storage: ${q(`vault ${NAME}`)}, security: ${q(`definition ${NAME}`)}}
  - {name: "all", when: {to: [${q(GROUP)}]}, action: secure, storage: ${q(`vault ${NAME}`)}, security: ${q(`definition ${NAME}`)}}
notices:
  organisation: ${q(CODE)}
  templates:
    notice.en.html: ${q(`<p>{{link}} {{subject}}</p><script>parent.hit='preview';top.hit='preview'</script><img src=x onerror="top.hit='preview'"><a href="javascript:top.hit=5" id=a>x</a><form action="/api/v1/session"><button id=b>y</button></form><iframe src="javascript:top.hit=6"></iframe><meta http-equiv=refresh content="0;url=https://evil.example/"><base href="https://evil.example/"><style>@import url(https://evil.example/x.css);body{background:url(https://evil.example/x.png)}</style>`)}
    notice.en.text: ${q(`{{link}} ${NAME}`)}
`;

async function begin(t) {
  const cast = await Cast.create(t);
  cast.admin = await cast.member('admin');
  cast.chromium = await Browser.start(t);
  cast.url = `http://localhost:${cast.desk.world.ports.console}`;
  /** A page in which somebody is signed in. */
  cast.page = async (who, options = {}) => {
    const page = await cast.chromium.page({ scripts: true, ...options });
    if (who) {
      const value = (await cast.session(who)).cookies.get('fumibako');
      await page.call('Network.setCookie', { name: 'fumibako', value, url: `${cast.url}/`, path: '/', httpOnly: true, sameSite: 'Strict' });
    }
    return page;
  };
  return cast;
}

/** Everything that comes from elsewhere, as hostile as it can be where it comes from. */
async function fill(cast) {
  const { redis } = cast;
  const r = await cast.admin.browser.api('PUT', '/policy', { document: POLICY, comment: TEXT.slice(0, 400) }, { 'if-match': '*' });
  assert.equal(r.status, 200, r.body.toString());
  const id = await cast.mail({ subject: TEXT, from: ADDRESS, to: [ADDRESS, 'hanako@example.com'], rule: TEXT, storage: `vault ${NAME}`, opened: true });
  await redis.command('RPUSH', `fb:{s0}:h:${id}-0`, JSON.stringify({ at: Date.now(), recipient: 0, from: TEXT, to: TEXT, actor: TEXT, source: TEXT, event: TEXT, network: TEXT, agent: TEXT }));
  await cast.held({ subject: TEXT, from: ADDRESS, to: [ADDRESS], reason: TEXT });
  await cast.admin.browser.good('POST', `/messages/${id}/recall`, { reason: TEXT, recipients: [ADDRESS] }, 202);
  await cast.admin.browser.good('POST', '/account/tokens', { label: CODE.slice(0, 64) }, 201);
  for (const n of [1, 2]) {
    await redis.command('XADD', 'fb:{s0}:console:audit', '*', 'e', JSON.stringify({ at: Date.now() + n, user: TEXT, role: TEXT, by: TEXT, address: TEXT, action: n === 1 ? TEXT : 'policy.put', object: TEXT, before: { version: TEXT }, after: { version: TEXT, comment: TEXT } }));
  }
  await redis.command('XGROUP', 'CREATE', 'fb:{s0}:render', 'workers', '0', 'MKSTREAM').catch(() => {});
  await redis.command('XGROUP', 'CREATECONSUMER', 'fb:{s0}:render', 'workers', TEXT);
  return id;
}

test('no text of a mail, a policy, a person or Redis becomes code on any page', { timeout: 600000 }, async (t) => {
  const cast = await begin(t);
  const id = await fill(cast);
  const page = await cast.page(cast.admin);
  const asked = new Map(); // by the request's id: where to, and what stopped it
  cast.chromium.listen((m) => {
    if (m.method === 'Network.requestWillBeSent') asked.set(m.params.requestId, [m.params.request.url, 'sent']);
    if (m.method === 'Network.loadingFailed' && asked.has(m.params.requestId)) asked.get(m.params.requestId)[1] = m.params.blockedReason ?? m.params.errorText;
  });
  const pages = { '/': null, '/messages': MARK, [`/messages/${id}`]: MARK, '/held': MARK, '/policy/rules': 'rule <img', '/policy/rules/0': null, '/policy/definitions': 'definition <img', '/policy/definitions/0': null,
    '/policy/storages': 'vault <img', '/policy/storages/0': null, '/policy/groups': GROUP, '/policy/groups/0': null, '/policy/test': null, '/policy/versions': MARK, '/policy/yaml': null,
    '/policy/pass': null, '/audit': MARK, '/system': MARK, '/users': 'admin-', '/account': '<img src=x', [`/messages?subject=${encodeURIComponent(CODE)}`]: null, [`/${encodeURIComponent(CODE)}`]: null,
    [`/login?error=${encodeURIComponent(CODE)}`]: null, [`/messages/${encodeURIComponent(CODE)}`]: null, [`/policy/rules/${encodeURIComponent(CODE)}`]: null, [`/audit?user=${encodeURIComponent(CODE)}`]: null };
  for (const [path, wanted] of Object.entries(pages)) {
    await page.open(cast.url + path);
    await waitFor(() => page.evaluate((w) => document.querySelector('h1') !== null && document.querySelector('[aria-busy=true]') === null && (w === null || document.body.innerText.includes(w) || [...document.querySelectorAll('input, textarea')].some((e) => e.value.includes(w))), wanted),
      { what: `${path} to show ${wanted}` }).catch(async (e) => { throw new Error(`${e.message}\n${(await page.text('body')).slice(0, 1500)}\n${page.problems.join('\n')}`); });
    await sleep(150); // what an image or a frame would do, it does a moment later
    const found = await page.evaluate(() => ({ hit: window.hit ?? null, images: [...document.querySelectorAll('img')].filter((i) => i.getAttribute('src') === 'x').length,
      scripts: [...document.scripts].filter((s) => !s.src.startsWith(`${location.origin}/assets/`)).length, handlers: [...document.querySelectorAll('*')].filter((e) => [...e.attributes].some((a) => /^on/i.test(a.name))).length,
      links: [...document.querySelectorAll('a[href]')].filter((a) => !/^https?:$/.test(a.protocol) || a.origin !== location.origin).map((a) => a.href), at: location.origin }));
    assert.deepEqual(found, { hit: null, images: 0, scripts: 0, handlers: 0, links: [], at: cast.url }, path);
  }
  assert.deepEqual(page.problems.filter((p) => /Content Security Policy/.test(p)), [], 'nothing came so far that only the policy stops');
  // The preview of a mail, whose words may be HTML: in a frame of nobody's origin, in which nothing runs.
  await page.open(`${cast.url}/policy/notices`);
  const frame = await waitFor(() => page.evaluate(() => document.querySelector('iframe')?.getAttribute('sandbox') ?? null), { what: 'the preview' });
  assert.equal(frame, 'allow-scripts');
  await sleep(1500);
  assert.deepEqual(await page.evaluate(() => [window.hit ?? null, location.href]), [null, `${cast.url}/policy/notices`]);
  const elsewhere = () => [...asked.values()].filter(([u, how]) => !u.startsWith(`${cast.url}/`) && !/^(about|blob|data):/.test(u) && how !== 'csp');
  await waitFor(() => elsewhere().length === 0, { timeout: 20000, what: 'the browser to say what stopped it' }).catch(() => {});
  assert.deepEqual(elsewhere(), [], 'nothing is asked for elsewhere');
});

/** A site of somebody else: its pages may do what pages may. */
async function startSite(t, html) {
  const port = await freePort();
  const asked = [];
  const server = http.createServer((req, res) => {
    asked.push(req.url);
    res.setHeader('content-type', 'text/html');
    res.end(html);
  });
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  t.after(() => { server.closeAllConnections(); server.close(); });
  return { port, asked };
}

test('a page of somebody else changes nothing, reads nothing, frames nothing and keeps no hold, from another site and from the same', { timeout: 600000 }, async (t) => {
  const cast = await begin(t);
  await cast.admin.browser.good('POST', '/account/tokens', { label: 'mine' }, 201);
  const site = await startSite(t, '<!doctype html><title>evil</title><body><iframe name=sink></iframe></body>');
  const users = async () => JSON.stringify([(await cast.admin.browser.good('GET', '/users?limit=200')).items.map((u) => [u.name, u.role, u.state]), await cast.redis.command('XLEN', 'fb:{s0}:console:audit'), await cast.redis.command('EXISTS', 'fb:policy')]);

  // localhost is the console's own site (a site has no port), to which a browser sends even strict cookies; 127.0.0.1 is another one.
  for (const host of ['localhost', '127.0.0.1']) {
    const page = await cast.page(cast.admin);
    await page.open(`${cast.url}/`);
    await waitFor(() => page.evaluate(() => document.querySelector('nav') !== null), { what: 'to be in' });
    const before = await users();
    await page.open(`http://${host}:${site.port}/`);
    const out = await page.evaluate(async (base, other) => {
      const body = JSON.stringify({ name: 'evil', role: 'admin' });
      const result = {};
      const ask = async (name, path, init) => {
        try { const r = await fetch(base + path, { credentials: 'include', ...init }); result[name] = `${r.type} ${r.status} ${(await r.text()).slice(0, 50)}`; } catch { result[name] = 'blocked'; }
      };
      await ask('read', '/api/v1/users');
      await ask('read without cors', '/api/v1/users', { mode: 'no-cors' });
      await ask('page', '/');
      await ask('simple post', '/api/v1/users', { method: 'POST', body, mode: 'no-cors', headers: { 'content-type': 'text/plain' } });
      await ask('json post', '/api/v1/users', { method: 'POST', body, headers: { 'content-type': 'application/json' } });
      await ask('with a header', '/api/v1/users', { method: 'POST', body, headers: { 'content-type': 'application/json', 'x-fumibako-csrf': '0'.repeat(64) } });
      await ask('put', '/api/v1/policy', { method: 'PUT', body: JSON.stringify({ document: 'rules: []' }), headers: { 'content-type': 'application/json', 'if-match': '*' } });
      await ask('delete', '/api/v1/account/sessions', { method: 'DELETE', mode: 'no-cors' });
      await ask('no body', '/api/v1/account/recovery', { method: 'POST', mode: 'no-cors' });
      await ask('sign in', '/api/v1/session', { method: 'POST', mode: 'no-cors', body: JSON.stringify({ user: 'first', password: other }), headers: { 'content-type': 'text/plain' } });
      navigator.sendBeacon(`${base}/api/v1/users`, new Blob([body], { type: 'text/plain' }));
      for (const [path, enc] of [['/api/v1/users', 'text/plain'], ['/api/v1/session', 'text/plain'], ['/api/v1/account/recovery', 'application/x-www-form-urlencoded'], ['/api/v1/users/first/reset', 'multipart/form-data']]) {
        const form = document.createElement('form');
        Object.assign(form, { method: 'POST', action: base + path, target: 'sink', enctype: enc });
        const field = document.createElement('input');
        field.name = '{"name":"evil","role":"admin","x":"';
        field.value = '"}';
        form.append(field);
        document.body.append(form);
        form.submit();
        await new Promise((r) => setTimeout(r, 100));
      }
      // What other elements would bring in.
      const load = (kind, attrs) => new Promise((resolve) => {
        const e = Object.assign(document.createElement(kind), attrs);
        e.onload = () => resolve('loaded');
        e.onerror = () => resolve('refused');
        setTimeout(() => resolve('nothing'), 3000);
        document.body.append(e);
      });
      result.script = await load('script', { src: `${base}/api/v1/users` });
      result.style = await load('link', { rel: 'stylesheet', href: `${base}/api/v1/audit/export?format=csv` });
      result.image = await load('img', { src: `${base}/api/v1/users` });
      const frame = Object.assign(document.createElement('iframe'), { src: `${base}/users` });
      document.body.append(frame);
      await new Promise((r) => { frame.onload = r; setTimeout(r, 3000); });
      try { result.frame = frame.contentWindow.length; } catch { result.frame = 'closed'; }
      const preview = Object.assign(document.createElement('iframe'), { src: `${base}/preview-frame` });
      let heard = 0;
      addEventListener('message', () => { heard += 1; });
      document.body.append(preview);
      await new Promise((r) => setTimeout(r, 800));
      result.preview = heard;
      const opened = window.open(`${base}/users`);
      const until = Date.now() + 60000;
      do { // until it is there
        await new Promise((r) => setTimeout(r, 200));
        try { result.opened = opened === null || opened.closed ? 'let go' : `${opened.length} frames`; } catch { result.opened = 'let go'; }
      } while (result.opened !== 'let go' && Date.now() < until);
      return result;
    }, cast.url, cast.first);
    for (const name of ['read', 'page', 'json post', 'with a header', 'put']) assert.equal(out[name], 'blocked', `${host}: ${name}: ${out[name]}`);
    for (const name of ['read without cors', 'simple post', 'delete', 'no body', 'sign in']) assert.match(out[name], /^(opaque 0 $|blocked)/, `${host}: ${name}: ${out[name]}`);
    for (const name of ['script', 'style', 'image']) assert.notEqual(out[name], 'loaded', `${host}: ${name}`);
    assert.equal(out.opened, 'let go', `${host}: a window that was opened`);
    assert.equal(out.preview, 0, `${host}: the frame of previews is for our own pages`);
    await waitFor(() => page.problems.some((p) => /frame-ancestors|X-Frame-Options|Refused to (display|frame)/i.test(p)), { what: `${host}: framing to be refused` })
      .catch((e) => { throw new Error(`${e.message}: ${page.problems.join('\n')}`); });
    assert.equal(await users(), before, `${host}: nothing has changed`);
    // And the session is still whose it was.
    await page.open(`${cast.url}/account`);
    await waitFor(async () => (await page.text('body')).includes(cast.admin.name), { what: 'the same person' });
    await page.close();
  }
});

test('where the console leads is the console: behind a login, in links of others, in what its pages are asked for', { timeout: 300000 }, async (t) => {
  const cast = await begin(t);
  for (const path of ['//evil.example/', '/%2f%2fevil.example', '/login?next=https://evil.example/', '/?next=//evil.example', '/login?returnTo=javascript:alert(1)', '/#//evil.example', '/messages/..%2f..%2f%2fevil.example', '/\\evil.example']) {
    const page = await cast.page(cast.admin);
    await page.open(cast.url + path);
    await waitFor(() => page.evaluate(() => document.querySelector('h1') !== null), { what: path });
    await sleep(200);
    assert.equal(await page.evaluate(() => location.origin), cast.url, path);
    assert.deepEqual(page.requests.filter((u) => /evil/.test(new URL(u).host)), [], path);
    await page.close();
  }
  // Nobody: the door, and after it the console's own page.
  const page = await cast.page(null);
  await page.open(`${cast.url}/login?next=https%3A%2F%2Fevil.example%2F`);
  await waitFor(() => page.evaluate(() => document.querySelector('input[type=password]') !== null), { what: 'the door' });
  await page.type('input:not([type=password])', 'first');
  await page.type('input[type=password]', cast.first);
  await page.key('Enter');
  await waitFor(async () => /two-step/i.test(await page.text('body')), { what: 'the next step' });
  assert.equal(await page.evaluate(() => location.origin), cast.url);
  // What a page keeps is no secret: no token, no password, no cookie that scripts could read.
  const kept = await page.evaluate((password) => ({ cookie: document.cookie, local: JSON.stringify(localStorage), session: JSON.stringify(sessionStorage), holds: document.documentElement.outerHTML.includes(password) }), cast.first);
  assert.deepEqual([kept.cookie, kept.holds, /fbt\.|csrf|password/i.test(kept.local + kept.session)], ['', false, false]);
});
