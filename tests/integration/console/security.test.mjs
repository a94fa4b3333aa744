// SPDX-License-Identifier: Apache-2.0
// Attacks on the console: cross-site requests, framing, fixed sessions, other people's things, paths, guessing, and text that
// wants to be code.

import assert from 'node:assert/strict';
import net from 'node:net';
import test from 'node:test';
import { Desk, totp } from './accounts-kit.mjs';

const HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>';

test('every answer has the headers that keep others out, with https more of them', async (t) => {
  const desk = await Desk.create(t);
  const root = await desk.person('root', 'admin');
  const nobody = desk.browser();
  for (const [browser, method, to] of [[nobody, 'GET', '/'], [nobody, 'GET', '/messages'], [nobody, 'GET', '/api/v1/session'],
    [nobody, 'GET', '/api/v1/users'], [root.browser, 'GET', '/api/v1/users'], [nobody, 'GET', '/api/v1/nothing'], [nobody, 'PUT', '/api/v1/session', {}],
    [nobody, 'GET', '/login/oidc'], [root.browser, 'POST', '/api/v1/users']]) {
    const { status, headers } = await browser.call(method, to, method === 'GET' ? undefined : {});
    const policy = headers['content-security-policy'];
    assert.match(policy, /default-src 'self'/, `${method} ${to} ${status}`);
    assert.match(policy, /frame-ancestors 'none'/);
    assert.match(policy, /base-uri 'none'/);
    assert.match(policy, /object-src 'none'/);
    assert.doesNotMatch(policy, /unsafe|\*|http:/);
    assert.equal(headers['x-content-type-options'], 'nosniff');
    assert.equal(headers['x-frame-options'], 'DENY');
    assert.equal(headers['referrer-policy'], 'no-referrer');
    assert.equal(headers['cross-origin-opener-policy'], 'same-origin');
    assert.equal(headers['access-control-allow-origin'], undefined);
    assert.equal(headers['strict-transport-security'], undefined);
    if (to.startsWith('/api/') || to.startsWith('/login/')) assert.equal(headers['cache-control'], 'no-store', to);
  }

  // The frame of previews has styles of its own, and so nobody's origin; our own pages alone may have it in them.
  const frame = (await nobody.call('GET', '/preview-frame')).headers;
  assert.match(frame['content-security-policy'], /^default-src 'none'; script-src 'sha256-[\w+/=]+'; style-src 'unsafe-inline'; img-src data:; .*form-action 'none'; frame-ancestors 'self'; sandbox allow-scripts$/);
  assert.deepEqual([frame['x-content-type-options'], frame['x-frame-options']], ['nosniff', 'SAMEORIGIN']);

  const secure = await Desk.create(t, { public_url: 'https://fumibako.example.jp' });
  secure.host = 'fumibako.example.jp';
  const made = secure.ctl('user', 'add', 'root', 'admin');
  const r = await secure.browser().api('POST', '/session', { user: 'root', password: made.json.password });
  assert.equal(r.status, 200, r.body.toString());
  assert.match(r.headers['set-cookie'][0], /^__Host-fumibako=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Secure$/);
  assert.match(r.headers['strict-transport-security'], /^max-age=\d{8}$/);
  // The plain cookie's name counts for nothing there: a page without TLS could have set it.
  const value = /=([\w-]{43})/.exec(r.headers['set-cookie'][0])[1];
  assert.equal((await secure.browser({ headers: { cookie: `fumibako=${value}` } }).api('GET', '/account')).status, 401);
  assert.equal((await secure.browser({ headers: { cookie: `__Host-fumibako=${value}` } }).api('GET', '/account')).status, 200);
});

test('a change from another site, or without the session\'s own token, is refused and changes nothing', async (t) => {
  const desk = await Desk.create(t);
  const root = await desk.person('root', 'admin');
  const other = await desk.person('hanako', 'admin');
  const user = { name: 'made', role: 'admin' };
  const own = root.browser.csrf;
  for (const [name, headers] of Object.entries({
    'no token': { 'x-fumibako-csrf': null },
    'an empty token': { 'x-fumibako-csrf': '' },
    'a wrong token': { 'x-fumibako-csrf': own.replace(/.$/, (c) => (c === '0' ? '1' : '0')) },
    'a longer token': { 'x-fumibako-csrf': `${own}0` },
    'the token of another session': { 'x-fumibako-csrf': other.browser.csrf },
    'another origin': { origin: 'https://evil.example' },
    'an origin like ours': { origin: `${desk.origin}.evil.example` },
    'no origin to tell': { origin: 'null' },
    'another site': { origin: null, 'sec-fetch-site': 'cross-site' },
    'a neighbour': { origin: null, 'sec-fetch-site': 'same-site' },
    'a name that points here': { host: 'evil.example', origin: 'http://evil.example' },
  })) {
    const r = await root.browser.api('POST', '/users', user, headers);
    assert.equal(r.status, 403, name);
    assert.match(r.json.type, /csrf$/, name);
  }
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data', null]) {
    assert.equal((await root.browser.api('POST', '/users', user, { 'content-type': type })).status, 415, String(type));
  }
  assert.equal((await root.browser.good('GET', '/users')).items.length, 2);
  // Signing in is a change as well: nobody is to be signed in as somebody else by a page of others.
  for (const headers of [{ origin: 'https://evil.example' }, { origin: null, 'sec-fetch-site': 'cross-site' }, { host: 'evil.example', origin: 'http://evil.example' }]) {
    for (const to of ['/session', '/session/passkey/options', '/session/passkey']) {
      assert.equal((await desk.browser().api('POST', to, { user: 'root', password: root.password }, headers)).status, 403, to);
    }
  }
  // GET changes nothing, and an override of the method is none.
  for (const to of ['/account/recovery', '/users/hanako/reset', '/session/totp']) assert.equal((await root.browser.api('GET', to)).status, 405, to);
  const r = await root.browser.api('GET', '/users/hanako', undefined, { 'x-http-method-override': 'DELETE' });
  assert.equal(r.status, 405);
  assert.equal((await root.browser.good('GET', '/users')).items.length, 2);
});

test('a session that somebody put there first is never the one of who signs in', async (t) => {
  const desk = await Desk.create(t);
  const root = await desk.person('root', 'admin');
  const planted = 'A'.repeat(43);
  const victim = desk.browser();
  victim.cookies.set('fumibako', planted);
  const first = await victim.good('POST', '/session', { user: 'root', password: root.password });
  assert.equal(first.needs, 'totp');
  const half = victim.cookie('fumibako');
  assert.notEqual(half, planted);
  await victim.good('POST', '/session/totp', { code: totp(root.secret, 1) });
  assert.notEqual(victim.cookie('fumibako'), half);
  for (const cookie of [planted, half]) {
    assert.equal((await desk.browser({ headers: { cookie: `fumibako=${cookie}` } }).api('GET', '/account')).status, 401);
  }
  // A real session of the attacker's, planted: it ends, and the victim gets one of his own.
  const attacker = await desk.person('attacker', 'helpdesk');
  const second = desk.browser();
  second.cookies.set('fumibako', attacker.browser.cookie('fumibako'));
  second.csrf = attacker.browser.csrf;
  await second.signIn(root);
  assert.equal((await second.good('GET', '/session')).user, 'root');
  assert.equal((await attacker.browser.api('GET', '/account')).status, 401);
});

test('each role reaches its own, and nobody what belongs to another', async (t) => {
  const desk = await Desk.create(t);
  const people = {};
  for (const role of ['admin', 'operator', 'auditor', 'helpdesk']) people[role] = await desk.person(`${role}1`, role);
  const root = people.admin.browser;
  const token = await root.good('POST', '/account/tokens', { label: HOSTILE }, 201);
  const session = (await root.good('GET', '/account/sessions')).items[0];
  for (const role of ['operator', 'auditor', 'helpdesk']) {
    const { browser } = people[role];
    for (const [method, to, body] of [['GET', '/users'], ['POST', '/users', { name: 'x', role: 'admin' }], ['PATCH', `/users/${role}1`, { role: 'admin' }],
      ['DELETE', '/users/admin1'], ['POST', '/users/admin1/password'], ['POST', '/users/admin1/reset'], ['POST', '/users/admin1/unlock']]) {
      assert.equal((await browser.api(method, to, body)).status, 403, `${role} ${method} ${to}`);
    }
    assert.equal((await browser.api('GET', '/audit')).status, role === 'auditor' ? 200 : 403, role);
    assert.equal((await browser.api('DELETE', `/account/tokens/${token.id}`)).status, 404, role);
    assert.equal((await browser.api('DELETE', `/account/sessions/${session.id}`)).status, 404, role);
    // What is not asked for is not taken.
    await browser.api('PATCH', '/account', { language: 'ja', role: 'admin', name: 'admin1' });
    assert.equal((await browser.good('GET', '/session')).role, role);
    assert.equal((await browser.api('POST', '/account/tokens', { label: 'x', role: 'admin' })).status, 422);
  }
  assert.equal((await root.good('GET', '/account')).tokens.length, 1);
  assert.equal((await root.good('GET', '/account')).tokens[0].label, HOSTILE.slice(0, 64));
});

test('no path leads out of the pages', async (t) => {
  const desk = await Desk.create(t);
  const raw = (target) => new Promise((resolve, reject) => {
    const socket = net.connect(desk.world.ports.console, '127.0.0.1', () =>
      socket.write(`GET ${target} HTTP/1.1\r\nHost: ${desk.host}\r\nConnection: close\r\n\r\n`));
    let text = '';
    socket.setTimeout(60000, () => socket.destroy(new Error('no answer')));
    socket.on('data', (c) => { text += c; });
    socket.on('error', reject);
    socket.on('close', () => resolve(text));
  });
  for (const target of ['/../../etc/passwd', '/assets/../../../etc/passwd', '/assets/..%2f..%2f..%2fetc%2fpasswd', '/%2e%2e/%2e%2e/etc/passwd',
    '/assets/%00', '//etc/passwd', '/assets/....//etc/passwd', 'file:///etc/passwd', '/api/v1/../../etc/passwd', '/api/v1/users/..%2f..%2fx',
    '/\\..\\..\\etc\\passwd', '/api/v1/session%0d%0aSet-Cookie:%20x=1']) {
    const text = await raw(target);
    assert.match(text, /^HTTP\/1\.1 (200|400|401|404) /, target);
    assert.doesNotMatch(text, /root:|Set-Cookie: x/i, target);
  }
  for (const target of ['/assets/x.js', '/assets/../index.html']) assert.match(await raw(target), /^HTTP\/1\.1 (404|200) /, target);
});

test('text that wants to be code stays text: names, labels, browsers, addresses, and cells of an export', async (t) => {
  const desk = await Desk.create(t);
  const root = await desk.person('root', 'admin', { browser: desk.browser({ headers: { 'user-agent': HOSTILE, 'x-forwarded-for': HOSTILE } }) });
  await root.browser.good('POST', '/account/tokens', { label: '=HYPERLINK("http://evil.example")' }, 201);
  await root.browser.good('POST', '/account/tokens', { label: 'a\r\nSet-Cookie: x=1\u0000'.replace('\u0000', '') }, 201);
  for (const [method, to, body] of [['GET', '/account/sessions'], ['GET', '/account'], ['GET', '/users'], ['GET', `/users?cursor=${encodeURIComponent(HOSTILE)}`],
    ['GET', `/audit?user=${encodeURIComponent(HOSTILE)}`], ['GET', `/audit?cursor=${encodeURIComponent(HOSTILE)}`], ['DELETE', `/users/${encodeURIComponent(HOSTILE)}`],
    ['DELETE', `/account/tokens/${encodeURIComponent(HOSTILE)}`], ['PATCH', '/users/root', { role: HOSTILE }], ['GET', `/${encodeURIComponent(HOSTILE)}`]]) {
    const r = await root.browser.api(method, to, body);
    assert.match(r.headers['content-type'], /^application\/(problem\+)?json$/, to);
    assert.ok(r.status < 500, `${to} ${r.status}`);
    assert.equal(r.headers['set-cookie'], undefined, to);
  }
  const csv = await root.browser.api('GET', '/audit/export?format=csv');
  assert.equal(csv.status, 200, csv.body.toString());
  assert.match(csv.headers['content-type'], /^text\/csv/);
  assert.doesNotMatch(csv.body.toString(), /(^|,)"?[=+@-]/m, 'no cell is a formula');
  // Bodies that are no JSON, too deep, doubled, or not text.
  for (const body of ['', '{', '[]', 'null', '{"user":1}', '{"user":"a","user":"b"}', `{"a":${'['.repeat(3000)}${']'.repeat(3000)}}`, '{"user":"\\u0000"}', '\xff\xfe']) {
    for (const to of ['/session', '/session/passkey', '/session/totp', '/account/passkeys', '/users']) {
      const r = await root.browser.api('POST', to, body);
      assert.ok(r.status >= 400 && r.status < 500, `${to} ${body.slice(0, 20)}: ${r.status}`);
    }
  }
});

test('guessing from one network ends for all names of it; half a session opens nothing', async (t) => {
  const desk = await Desk.create(t);
  const root = await desk.person('root', 'admin');
  const half = desk.browser();
  await half.good('POST', '/session', { user: 'root', password: root.password });
  for (const [method, to, body] of [['GET', '/account'], ['PATCH', '/account', { language: 'ja' }], ['POST', '/account/totp'], ['POST', '/account/passkeys/options'],
    ['POST', '/account/password', { new: 'a password of mine' }], ['POST', '/account/tokens', { label: 'x' }], ['GET', '/users'], ['GET', '/messages'], ['GET', '/policy']]) {
    assert.equal((await half.api(method, to, body)).status, 403, `${method} ${to}`);
  }
  // Codes of the app: five, then a wait, also with the right one.
  for (let i = 0; i < 5; i++) assert.equal((await half.api('POST', '/session/totp', { code: '000000' })).status, 401);
  assert.equal((await half.api('POST', '/session/totp', { code: totp(root.secret, 1) })).status, 429);

  const from = (address, user) => desk.browser({ headers: { 'x-forwarded-for': address } }).api('POST', '/session', { user, password: 'x' });
  const statuses = [];
  for (let i = 0; i < 101; i++) statuses.push((await from('198.51.100.7', i < 8 ? `name${i % 2}` : 'name0')).status);
  assert.equal(statuses[100], 429);
  const last = await from('198.51.100.7', 'somebody-else');
  assert.equal(last.status, 429);
  assert.ok(Number(last.headers['retry-after']) > 60, 'the network has to wait');
  assert.equal((await from('198.51.100.8', 'somebody-else')).status, 401, 'another network');
});
