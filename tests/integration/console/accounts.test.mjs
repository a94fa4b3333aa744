// SPDX-License-Identifier: Apache-2.0
// Accounts of the console: signing in with password, app, recovery code and passkey; sessions, tokens, administration, and
// what stays of it after a loss of Redis.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import test from 'node:test';
import { waitFor } from '../../support/harness.mjs';
import { Authenticator, Desk, sha256, totp } from './accounts-kit.mjs';

test('the first log-in: a printed password, an app, another password; each step is a new session', async (t) => {
  const desk = await Desk.create(t);
  const browser = desk.browser();
  const nobody = await browser.good('GET', '/session');
  assert.deepEqual([nobody.user, nobody.csrf, nobody.oidc], [null, null, false]);
  const made = desk.ctl('user', 'add', 'Hanako', 'admin');
  assert.equal(made.json.name, 'hanako');
  assert.match(made.json.password, /^[a-z0-9]{4}(-[a-z0-9]{4}){4}$/);
  assert.equal(desk.ctl('user', 'add', 'hanako', 'admin').status, 1);
  assert.equal(desk.ctl('user', 'add', 'taro', 'root').status, 2);

  const seen = new Set();
  const rotated = async (needs) => {
    const cookie = browser.cookie('fumibako');
    assert.ok(cookie && !seen.has(cookie), 'a session of its own');
    for (const old of seen) {
      const r = await desk.browser({ headers: { cookie: `fumibako=${old}` } }).api('GET', '/account');
      assert.equal(r.status, 401, 'the one before has ended');
    }
    seen.add(cookie);
    assert.equal((await browser.good('GET', '/session')).needs, needs);
    assert.equal((await browser.api('GET', '/overview')).status, needs === null ? 200 : 403);
  };
  const first = await browser.good('POST', '/session', { user: 'HANAKO', password: made.json.password });
  assert.deepEqual([first.user, first.role, first.needs], ['hanako', 'admin', 'enrol']);
  await rotated('enrol');
  for (const [method, to, body] of [['GET', '/users'], ['GET', '/audit'], ['POST', '/account/tokens', { label: 'x' }],
    ['POST', '/account/password', { current: made.json.password, new: 'a long new password' }], ['GET', '/account/sessions']]) {
    assert.equal((await browser.api(method, to, body)).status, 403, `${method} ${to} before the second factor`);
  }

  const app = await browser.good('POST', '/account/totp');
  assert.match(app.uri, /^otpauth:\/\/totp\/Fumibako:hanako\?secret=[A-Z2-7]{32}&issuer=Fumibako&algorithm=SHA1&digits=6&period=30$/);
  assert.match(app.qr.path, /^(M\d+ \d+h1v1h-1z)+$/);
  assert.equal((await browser.api('PUT', '/account/totp', { code: '000000' })).status, 422);
  const enrolled = await browser.good('PUT', '/account/totp', { code: totp(app.secret) });
  assert.equal(new Set(enrolled.recovery).size, 10);
  await rotated('password');
  for (const bad of ['short', 'hanako hanako hanako', made.json.password]) {
    assert.equal((await browser.api('POST', '/account/password', { new: bad })).status, 422, bad);
  }
  await browser.good('POST', '/account/password', { new: 'correct horse battery' });
  await rotated(null);

  // What Redis and the file keep opens nothing.
  const dump = JSON.stringify([await desk.redis.command('HGETALL', 'fb:{s0}:console:users'),
    await desk.redis.command('KEYS', '*')]) + await waitFor(() => fs.existsSync(desk.usersFile) && fs.readFileSync(desk.usersFile, 'utf8'));
  for (const secret of [made.json.password, 'correct horse battery', app.secret, ...enrolled.recovery, ...seen]) {
    assert.ok(!dump.includes(secret), 'no secret as it is');
  }
  assert.ok(dump.includes(sha256(browser.cookie('fumibako')).toString('hex')), 'the hash of the cookie is the name');
  assert.match(dump, /\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
  const log = await desk.audit();
  assert.deepEqual(log.map((e) => e.action), ['user.create', 'account.totp.enrol', 'session.begin', 'session.begin', 'account.password']);
  assert.equal(log[0].by, 'command');
});

test('a code of the app counts once, a recovery code once, and wrong ones say nothing of why', async (t) => {
  const desk = await Desk.create(t);
  const hanako = await desk.person('hanako', 'admin');
  const enter = async (browser, body) => {
    await browser.good('POST', '/session', { user: 'hanako', password: hanako.password });
    return browser.api('POST', '/session/totp', body);
  };
  const code = totp(hanako.secret, 1);
  assert.equal((await enter(desk.browser(), { code })).status, 200);
  const again = await enter(desk.browser(), { code });
  assert.equal(again.status, 401, 'a replay');
  const wrong = await enter(desk.browser(), { code: String((Number(code) + 1) % 1000000).padStart(6, '0') });
  assert.deepEqual(again.json, wrong.json);
  assert.equal((await enter(desk.browser(), { code: totp(hanako.secret, 5) })).status, 401, 'of another time');

  const recovery = hanako.recovery.pop();
  assert.equal((await enter(desk.browser(), { recovery: recovery.toUpperCase().replaceAll('-', ' ') })).status, 200);
  assert.equal((await enter(desk.browser(), { recovery })).status, 401);
  assert.equal((await hanako.browser.good('GET', '/account')).recovery_left, 9);

  const answers = [];
  for (const [user, password] of [['hanako', 'not the password'], ['nobody', 'not the password'], ['<script>', 'x'], ['', '']]) {
    const r = await desk.browser().api('POST', '/session', { user, password });
    answers.push([r.status, r.json.detail]);
  }
  assert.equal(new Set(answers.map((a) => JSON.stringify(a))).size, 1, JSON.stringify(answers));
  assert.equal(answers[0][0], 401);
});

test('a passkey is both factors; it is bound to challenge, session and site, and its count goes on', async (t) => {
  const desk = await Desk.create(t);
  const hanako = await desk.person('hanako', 'operator');
  const key = new Authenticator(desk.origin);
  const add = async (make, browser = hanako.browser) => {
    const options = await browser.good('POST', '/account/passkeys/options');
    return browser.api('POST', '/account/passkeys', { label: 'laptop', credential: make(options) });
  };
  const evil = new Authenticator('https://evil.example');
  assert.equal((await add((o) => evil.create(o))).status, 422, 'another origin');
  const unverified = new Authenticator(desk.origin, { flags: 0x01 });
  assert.equal((await add((o) => unverified.create(o))).status, 422, 'user not verified');
  assert.equal((await add((o) => key.create({ ...o, rp: { id: 'example.jp' } }))).status, 422, 'another site');
  assert.equal((await add((o) => key.create(o))).status, 200);
  assert.equal((await add((o) => key.create(o))).status, 409, 'the same again');
  const mine = await hanako.browser.good('GET', '/account');
  assert.deepEqual(mine.passkeys.map((k) => k.label), ['laptop']);

  // A challenge of somebody else's session, or one that was taken, is none.
  const other = await desk.person('taro', 'operator');
  const options = await other.browser.good('POST', '/account/passkeys/options');
  hanako.browser.cookies.set('fumibako-begin', other.browser.cookie('fumibako-begin'));
  const stolen = await hanako.browser.api('POST', '/account/passkeys', { label: 'x', credential: new Authenticator(desk.origin).create(options) });
  assert.equal(stolen.status, 409);

  const enter = async (browser, make) => {
    const o = await browser.good('POST', '/session/passkey/options');
    return browser.api('POST', '/session/passkey', { credential: make(o) });
  };
  const browser = desk.browser();
  const o = await browser.good('POST', '/session/passkey/options');
  assert.deepEqual(o.allowCredentials, [], 'a browser without a session is told of no key');
  const credential = key.get(o);
  const begun = browser.cookie('fumibako-begin');
  const r = await browser.api('POST', '/session/passkey', { credential });
  assert.equal(r.status, 200, r.body.toString());
  assert.deepEqual([r.json.user, r.json.role, r.json.needs, r.json.method], ['hanako', 'operator', null, 'passkey']);
  const replay = desk.browser();
  replay.cookies.set('fumibako-begin', begun);
  assert.equal((await replay.api('POST', '/session/passkey', { credential })).status, 409, 'a challenge counts once');
  key.counter -= 1;
  assert.equal((await enter(desk.browser(), (x) => key.get(x))).status, 401, 'a copy of the key');
  key.counter += 5;
  assert.equal((await enter(desk.browser(), (x) => key.get(x))).status, 200);
  assert.equal((await enter(desk.browser(), (x) => key.get({ ...x, challenge: 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8' }))).status, 401);
  assert.equal((await enter(desk.browser(), (x) => ({ ...key.get(x), id: evil.id.toString('base64url') }))).status, 401);
  assert.equal((await enter(other.browser, (x) => key.get(x))).status, 401, "somebody else's session");

  // As a second factor, and as the only one.
  await hanako.browser.good('DELETE', '/account/totp', undefined, 204);
  assert.equal((await hanako.browser.api('DELETE', `/account/passkeys/${mine.passkeys[0].id}`)).status, 409, 'the only factor stays');
  const second = desk.browser();
  assert.equal((await second.good('POST', '/session', { user: 'hanako', password: hanako.password })).needs, 'passkey');
  assert.equal((await second.api('GET', '/overview')).status, 403);
  assert.equal((await enter(second, (x) => key.get(x))).json.needs, null);
  assert.equal((await second.api('GET', '/overview')).status, 200);

  // Switched off, it opens nothing.
  desk.ctl('user', 'add', 'root', 'admin');
  const root = await desk.person('boss', 'admin');
  assert.equal((await root.browser.good('PATCH', '/users/hanako', { state: 'off' })).state, 'off');
  assert.equal((await second.api('GET', '/overview')).status, 401);
  assert.equal((await enter(desk.browser(), (x) => key.get(x))).status, 401);
});

test('sessions: listed, ended one by one, by idleness, in any case, and with another password or role', async (t) => {
  const desk = await Desk.create(t, { console: { session_idle: '10m', session_max: '2h' } });
  const hanako = await desk.person('hanako', 'admin');
  const taro = await desk.person('taro', 'admin');
  const second = desk.browser({ headers: { 'user-agent': 'Second/1.0 <b>\u00e9' } });
  const third = desk.browser();
  for (const browser of [second, third]) await browser.signIn(hanako);
  const list = await hanako.browser.good('GET', '/account/sessions');
  assert.equal(list.items.length, 3);
  assert.deepEqual(list.items.map((s) => s.is_this), [false, false, true]);
  assert.match(list.items[1].agent, /^Second\/1\.0 <b>/);
  const name = (browser) => `fb:{s0}:console:session:${sha256(browser.cookie('fumibako')).toString('hex')}`;
  const ttl = await desk.redis.command('PTTL', name(second));
  assert.ok(ttl > 0 && ttl <= 600000, String(ttl));
  const until = Number(await desk.redis.command('HGET', name(second), 'until'));
  assert.ok(Math.abs(until - Date.now() - 7200000) < 60000);

  await hanako.browser.good('DELETE', `/account/sessions/${list.items[1].id}`, undefined, 204);
  assert.equal((await second.api('GET', '/account')).status, 401);
  assert.equal((await hanako.browser.api('DELETE', `/account/sessions/${list.items[1].id}`)).status, 404);
  assert.equal((await taro.browser.api('DELETE', `/account/sessions/${list.items[0].id}`)).status, 404, "nobody else's");
  assert.equal((await third.api('GET', '/account')).status, 200);

  await desk.redis.command('HSET', name(third), 'until', String(Date.now() - 1)); // two hours later
  assert.equal((await third.api('GET', '/account')).status, 401);

  await second.signIn(hanako);
  await hanako.browser.good('POST', '/account/password', { current: hanako.password, new: 'quite another password' });
  assert.equal((await second.api('GET', '/account')).status, 401, 'the others end with the old password');
  assert.equal((await hanako.browser.api('GET', '/account')).status, 200);
  assert.equal((await hanako.browser.api('POST', '/account/password', { current: hanako.password, new: 'yet another password' })).status, 422);

  assert.equal((await taro.browser.good('PATCH', '/users/hanako', { role: 'helpdesk' })).role, 'helpdesk');
  assert.equal((await hanako.browser.api('GET', '/account')).status, 401, 'another role begins with a new session');
  const before = taro.browser.cookie('fumibako');
  await taro.browser.good('DELETE', '/session', undefined, 204);
  assert.equal((await desk.browser({ headers: { cookie: `fumibako=${before}` } }).api('GET', '/account')).status, 401);
});

test('personal tokens: at most their owner\'s role, for a time, and gone when they are removed', async (t) => {
  const desk = await Desk.create(t);
  const hanako = await desk.person('hanako', 'operator');
  const root = await desk.person('root', 'admin');
  assert.equal((await hanako.browser.api('POST', '/account/tokens', { label: 'x', role: 'admin' })).status, 422);
  assert.equal((await hanako.browser.api('POST', '/account/tokens', { label: '' })).status, 422);
  assert.equal((await hanako.browser.api('POST', '/account/tokens', { label: 'x', days: 1000 })).status, 422);
  const made = await hanako.browser.good('POST', '/account/tokens', { label: 'ci "><script>', role: 'helpdesk', days: 7 }, 201);
  const bearer = (token) => desk.browser({ headers: { authorization: `Bearer ${token}` } });
  const session = await bearer(made.token).good('GET', '/session');
  assert.deepEqual([session.user, session.role, session.method, session.csrf], ['hanako', 'helpdesk', 'token', null]);
  assert.equal((await bearer(made.token).api('GET', '/overview')).status, 200);
  assert.equal((await bearer(made.token).api('GET', '/policy')).status, 403);
  assert.equal((await bearer(made.token).api('POST', '/account/tokens', { label: 'more' })).status, 403, 'a token makes no token');
  for (const bad of [`${made.token}x`, made.token.slice(0, -1), made.token.replace(/^fbt\.[^.]+/, `fbt.${Buffer.from('root').toString('base64url')}`),
    'fbt..', 'fbt.a.b', '', 'x'.repeat(5000)]) {
    assert.equal((await bearer(bad).api('GET', '/overview')).status, 401, bad.slice(0, 40));
  }
  const full = await hanako.browser.good('POST', '/account/tokens', { label: 'all' }, 201);
  assert.equal((await bearer(full.token).good('GET', '/session')).role, 'operator');
  await root.browser.good('PATCH', '/users/hanako', { role: 'helpdesk' });
  assert.equal((await bearer(full.token).good('GET', '/session')).role, 'helpdesk', 'no more than its owner has now');
  await hanako.browser.signIn(hanako);
  await hanako.browser.good('DELETE', `/account/tokens/${made.id}`, undefined, 204);
  assert.equal((await bearer(made.token).api('GET', '/overview')).status, 401);
  await root.browser.good('DELETE', '/users/hanako', undefined, 204);
  assert.equal((await bearer(full.token).api('GET', '/overview')).status, 401);
});

test('administration: made, changed, reset, removed; the last administrator stays; all of it is in the audit', async (t) => {
  const desk = await Desk.create(t);
  const root = await desk.person('root', 'admin');
  const made = await root.browser.good('POST', '/users', { name: 'Taro.Yamada@Example.JP', role: 'auditor' }, 201);
  assert.equal(made.name, 'taro.yamada@example.jp');
  assert.ok(made.must_change && made.password.length === 24);
  assert.equal((await root.browser.api('POST', '/users', { name: 'taro.yamada@example.jp', role: 'auditor' })).status, 409);
  for (const name of ['', '../x', '<b>', 'a b', 'x'.repeat(129)]) {
    assert.equal((await root.browser.api('POST', '/users', { name, role: 'auditor' })).status, 422, name);
  }
  assert.equal((await root.browser.api('POST', '/users', { name: 'x', role: 'none' })).status, 422);
  for (const body of [{ role: 'operator' }, { state: 'off' }]) {
    const r = await root.browser.api('PATCH', '/users/root', body);
    assert.equal(r.status, 409);
    assert.match(r.json.type, /last-admin$/);
  }
  assert.equal((await root.browser.api('DELETE', '/users/root')).status, 409);
  assert.equal(desk.ctl('user', 'remove', 'root').status, 1, 'not by the command line either');
  assert.equal(desk.ctl('user', 'role', 'root', 'helpdesk').status, 1);
  assert.equal((await root.browser.api('DELETE', '/users/nobody')).status, 404);

  const taro = desk.browser();
  assert.equal((await taro.good('POST', '/session', { user: made.name, password: made.password })).needs, 'enrol');
  const given = await root.browser.good('POST', `/users/${made.name}/password`);
  assert.equal((await taro.api('GET', '/account')).status, 401, 'his sessions have ended');
  assert.equal((await taro.api('POST', '/session', { user: made.name, password: made.password })).status, 401);
  await taro.good('POST', '/session', { user: made.name, password: given.password });
  const reset = await root.browser.good('POST', `/users/${made.name}/reset`);
  assert.deepEqual([reset.totp, reset.passkeys, reset.recovery_left], [false, 0, 0]);
  const page = await root.browser.good('GET', '/users?limit=1');
  assert.equal(page.items[0].name, 'root');
  assert.equal((await root.browser.good('GET', `/users?limit=1&cursor=${page.next}`)).items[0].name, made.name);
  assert.equal(desk.ctl('user', 'list').json.length, 2);
  await root.browser.good('PATCH', `/users/${made.name}`, { role: 'operator' });
  assert.equal(desk.ctl('user', 'passwd', made.name).json.password.length, 24);
  await root.browser.good('DELETE', `/users/${made.name}`, undefined, 204);

  const log = (await desk.audit()).filter((e) => e.object === `user ${made.name}`);
  assert.deepEqual(log.map((e) => e.action), ['user.create', 'user.password', 'user.reset', 'user.change', 'user.password', 'user.remove']);
  assert.deepEqual([log[3].before.role, log[3].after.role, log[3].user, log[3].role], ['auditor', 'operator', 'root', 'admin']);
  assert.deepEqual([log[0].before, log[0].after.role, log[0].address], [null, 'auditor', '127.0.0.1']);
  assert.ok(!JSON.stringify(log).includes(made.password) && !JSON.stringify(log).includes('argon2'));
  const shown = await root.browser.good('GET', `/audit?user=root&action=user`);
  assert.equal(shown.items[0].action, 'user.remove');
});

test('a delicate change asks for a proof of the last minutes', async (t) => {
  const desk = await Desk.create(t);
  const root = await desk.person('root', 'admin');
  const name = `fb:{s0}:console:session:${sha256(root.browser.cookie('fumibako')).toString('hex')}`;
  await desk.redis.command('HSET', name, 'proved', String(Date.now() - 3600000));
  for (const [method, to, body] of [['POST', '/account/tokens', { label: 'x' }], ['POST', '/account/totp'], ['POST', '/account/recovery'],
    ['POST', '/account/passkeys/options'], ['POST', '/users', { name: 'x', role: 'admin' }], ['PATCH', '/users/root', { role: 'admin' }]]) {
    const r = await root.browser.api(method, to, body);
    assert.equal(r.status, 403, to);
    assert.match(r.json.type, /prove-again$/);
  }
  assert.equal((await root.browser.api('GET', '/users')).status, 200);
  await root.browser.good('POST', '/session/totp', { code: totp(root.secret, 1) });
  await root.browser.good('POST', '/account/tokens', { label: 'x' }, 201);
});

test('who guesses waits, longer each time; the owner\'s own browser does not, nor anybody else; unlock ends it', async (t) => {
  const desk = await Desk.create(t);
  const hanako = await desk.person('hanako', 'admin');
  const guess = (user = 'hanako') => desk.browser().api('POST', '/session', { user, password: 'not the password' });
  for (let i = 0; i < 5; i++) assert.equal((await guess()).status, 401);
  const locked = await guess();
  assert.equal(locked.status, 429);
  assert.ok(Number(locked.headers['retry-after']) <= 30);
  // Thirty seconds may go by here before all is looked at.
  for (const key of await desk.redis.command('KEYS', 'fb:{s0}:console:try:*')) {
    if (await desk.redis.command('TYPE', key) === 'hash') await desk.redis.command('HINCRBY', key, 'next', 600000);
  }
  const right = await desk.browser().api('POST', '/session', { user: 'hanako', password: hanako.password });
  assert.equal(right.status, 429, 'not looked at');
  assert.equal((await guess('taro')).status, 401, 'nobody else waits');
  // The browser that signed in before has tries of its own.
  await hanako.browser.good('DELETE', '/session', undefined, 204);
  await hanako.browser.signIn(hanako);
  assert.ok((await hanako.browser.good('GET', '/users')).items[0].locked_until);
  // A known browser of somebody else, or a made-up one, has not.
  const forged = desk.browser();
  forged.cookies.set('fumibako-known', hanako.browser.cookie('fumibako-known').replace(/.$/, (c) => (c === '0' ? '1' : '0')));
  assert.equal((await forged.api('POST', '/session', { user: 'hanako', password: hanako.password })).status, 429);
  assert.equal(desk.ctl('user', 'unlock', 'hanako').status, 0);
  await desk.browser().signIn(hanako);
  const log = await desk.audit();
  assert.equal(log.filter((e) => e.action === 'account.locked' && e.object === 'user hanako').length, 1);
  assert.equal(log.filter((e) => e.action === 'user.unlock').length, 1);
});

test('after a loss of Redis the accounts are there again, their sessions are not', async (t) => {
  const desk = await Desk.create(t);
  const hanako = await desk.person('hanako', 'admin');
  const removed = await hanako.browser.good('POST', '/users', { name: 'gone', role: 'admin' }, 201);
  await hanako.browser.good('DELETE', '/users/gone', undefined, 204);
  await waitFor(() => fs.existsSync(desk.usersFile) && /"removed": ?true/.test(fs.readFileSync(desk.usersFile, 'utf8')));
  assert.equal(fs.statSync(desk.usersFile).mode & 0o777, 0o600);
  await desk.redis.command('FLUSHALL');
  assert.equal((await hanako.browser.api('GET', '/account')).status, 401);
  await waitFor(async () => (await desk.redis.command('HEXISTS', 'fb:{s0}:console:users', 'hanako')) === 1);
  await desk.browser().signIn(hanako);
  assert.equal((await desk.browser().api('POST', '/session', { user: 'gone', password: removed.password })).status, 401);
});
