// SPDX-License-Identifier: Apache-2.0
// Signing in to the console at an OpenID Connect provider: a real one (the package oidc-provider) that runs here.

import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import http from 'node:http';
import test from 'node:test';
import Provider from 'oidc-provider';
import { freePort, request } from '../../support/harness.mjs';
import { Desk } from './accounts-kit.mjs';

const SECRET = 'a secret: 100% of it & more+';

function key(kid, type) {
  const pair = type === 'RS256' ? generateKeyPairSync('rsa', { modulusLength: 2048 }) : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { ...pair.privateKey.export({ format: 'jwk' }), kid, use: 'sig', alg: type };
}

/** The provider; people: {login: claims}.  tamper(req, res): true where it answered instead. */
async function startProvider(t, redirect, { alg = 'RS256', secret = SECRET, people, keys = [key('one', alg)] }) {
  const port = await freePort();
  const issuer = `http://127.0.0.1:${port}`;
  const own = { issuer, people, requests: [], tamper: null, keys };
  const make = () => new Provider(issuer, {
    clients: [{ client_id: 'fumibako', ...(secret === null ? { token_endpoint_auth_method: 'none' } : { client_secret: secret }),
      redirect_uris: [redirect], response_types: ['code'], grant_types: ['authorization_code'], id_token_signed_response_alg: alg }],
    jwks: { keys: own.keys },
    findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id, ...people[id] }) }),
    claims: { openid: ['sub', 'fumibako_role'], email: ['email', 'email_verified'], profile: ['preferred_username'] },
    conformIdTokenClaims: false,
    pkce: { methods: ['S256'], required: () => true },
    features: { devInteractions: { enabled: true } },
    cookies: { keys: ['for the test'] },
  });
  const quiet = console.warn;
  console.warn = () => {}; // the provider's advice for production
  let handle = make().callback();
  own.renewKeys = (list) => { own.keys = list; handle = make().callback(); };
  const server = http.createServer((req, res) => {
    own.requests.push(`${req.method} ${req.url}`);
    if (req.url === '/jwks') own.keysAt = Date.now();
    if (!own.tamper?.(req, res)) handle(req, res);
  });
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  t.after(() => { server.closeAllConnections(); server.close(); console.warn = quiet; });
  return own;
}

/** Follows the provider's pages as somebody who signs in there; gives the address that it sends the browser back to. */
async function signInThere(start, login) {
  const cookies = new Map();
  let url = start;
  for (let i = 0; i < 12; i++) {
    const isForm = /\/interaction\/[^/]+$/.test(url);
    const headers = { cookie: [...cookies].map(([k, v]) => `${k}=${v}`).join('; ') };
    const step = async (method, body) => {
      const r = await request(url, { method, headers: { ...headers, ...(body ? { 'content-type': 'application/x-www-form-urlencoded' } : {}) }, body });
      for (const line of [r.headers['set-cookie'] ?? []].flat()) {
        const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
        cookies.set(name, value);
      }
      return r;
    };
    let r = await step('GET');
    if (isForm) {
      const prompt = /name="prompt" value="(\w+)"/.exec(r.body.toString())[1];
      r = await step('POST', prompt === 'login' ? `prompt=login&login=${login}&password=x` : 'prompt=consent');
    }
    assert.ok([302, 303].includes(r.status), `${r.status} ${url} ${r.body.toString().slice(0, 300)}`);
    url = new URL(r.headers.location, url).href;
    if (url.includes('/login/oidc/callback')) return url;
  }
  throw new Error('the provider never sent the browser back');
}

async function create(t, { alg, secret, people, settings = {} }) {
  let provider = null;
  const port = await freePort();
  const public_url = `http://localhost:${port}`;
  provider = await startProvider(t, `${public_url}/login/oidc/callback`, { alg, secret, people });
  const desk = await Desk.create(t, { public_url, console: { listen: `127.0.0.1:${port}`, oidc_issuer: provider.issuer,
    oidc_client_id: 'fumibako', ...(secret === null ? {} : { oidc_client_secret: secret ?? SECRET }), ...settings } });
  desk.base = `http://127.0.0.1:${port}`;
  desk.host = `localhost:${port}`;
  const begin = async (browser) => {
    const r = await browser.call('GET', '/login/oidc');
    assert.equal(r.status, 303, r.body.toString());
    return r.headers.location;
  };
  const enter = async (browser, login, change = (x) => x) => {
    const back = new URL(change(await signInThere(await begin(browser), login)));
    return browser.call('GET', back.pathname + back.search);
  };
  return { desk, provider, begin, enter };
}

const refused = (r, why) => {
  assert.equal(r.status, 303, r.body.toString());
  assert.equal(r.headers.location, `/login?error=${why}`);
};

test('whoever signs in at the provider has the role of his claim, and it follows him', async (t) => {
  const people = { u1: { fumibako_role: 'auditor', email: 'Hanako@example.jp', email_verified: true },
    u2: { fumibako_role: ['staff', 'helpdesk', 'operator'], preferred_username: 'taro' }, u3: { email: 'x@example.jp', email_verified: true } };
  const { desk, begin, enter } = await create(t, { people });
  const browser = desk.browser();
  assert.equal((await browser.good('GET', '/session')).oidc, true);
  const url = new URL(await begin(browser));
  for (const [name, value] of [['response_type', 'code'], ['client_id', 'fumibako'], ['code_challenge_method', 'S256'], ['scope', 'openid profile email']]) {
    assert.equal(url.searchParams.get(name), value);
  }
  for (const name of ['state', 'nonce', 'code_challenge']) assert.equal(url.searchParams.get(name).length, 43);

  const home = await enter(browser, 'u1');
  assert.equal(home.status, 200, home.body.toString());
  assert.match(home.body.toString(), /http-equiv="refresh" content="0;url=\/"/);
  const session = await browser.good('GET', '/session');
  assert.deepEqual([session.user, session.role, session.needs, session.method], ['hanako@example.jp', 'auditor', null, 'oidc']);
  assert.equal((await browser.api('GET', '/audit')).status, 200);
  assert.equal((await browser.api('POST', '/account/password', { current: 'x', new: 'a password of my own' })).status, 409);
  const taro = desk.browser();
  await enter(taro, 'u2');
  assert.equal((await taro.good('GET', '/session')).role, 'operator', 'the greatest of a list');
  const nobody = desk.browser();
  refused(await enter(nobody, 'u3'), 'oidc-refused');
  assert.equal((await nobody.good('GET', '/session')).user, null);

  // Another role there is another role here from the next log-in on, and ends the sessions of the old one.
  const token = await browser.good('POST', '/account/tokens', { label: 'x' }, 201);
  people.u1.fumibako_role = 'helpdesk';
  const again = desk.browser();
  await enter(again, 'u1');
  assert.equal((await again.good('GET', '/session')).role, 'helpdesk');
  assert.equal((await browser.api('GET', '/account')).status, 401);
  const bearer = desk.browser({ headers: { authorization: `Bearer ${token.token}` } });
  assert.equal((await bearer.good('GET', '/session')).role, 'helpdesk');
  delete people.u1.fumibako_role;
  refused(await enter(desk.browser(), 'u1'), 'oidc-refused');
  assert.equal((await bearer.api('GET', '/overview')).status, 401, 'who has lost his role there has none here');

  // Switched off here, he is refused whatever the provider says.
  const root = await desk.person('root', 'admin');
  await root.browser.good('PATCH', '/users/taro', { state: 'off' });
  refused(await enter(desk.browser(), 'u2'), 'oidc-refused');
});

test('a name that the provider tells opens no account of ours', async (t) => {
  const people = { a: { fumibako_role: 'helpdesk', preferred_username: 'root' }, b: { fumibako_role: 'helpdesk', email: 'root', email_verified: false },
    c: { fumibako_role: 'helpdesk', preferred_username: '<img src=x onerror=alert(1)>' } };
  const { desk, enter } = await create(t, { alg: 'ES256', people });
  await desk.person('root', 'admin');
  const names = new Set();
  for (const login of Object.keys(people)) {
    const browser = desk.browser();
    await enter(browser, login);
    const session = await browser.good('GET', '/session');
    assert.equal(session.role, 'helpdesk');
    assert.match(session.user, /^[a-z0-9._@+-]+$/);
    names.add(session.user);
  }
  assert.ok(names.size === 3 && !names.has('root'), [...names].join(' '));
});

test('an answer counts once, in the browser that began, with its own state; a public client does with PKCE alone', async (t) => {
  const people = { u1: { preferred_username: 'hanako' } };
  const { desk, provider, begin, enter } = await create(t, { people, secret: null, settings: { oidc_role_default: 'helpdesk' } });
  const browser = desk.browser();
  let back = null;
  await enter(browser, 'u1', (url) => { back = url; return url; });
  assert.equal((await browser.good('GET', '/session')).role, 'helpdesk');
  const path = new URL(back).pathname + new URL(back).search;
  refused(await browser.call('GET', path), 'oidc-start-again');
  refused(await desk.browser().call('GET', path), 'oidc-start-again'); // somebody who was sent the link: no login CSRF

  const victim = desk.browser();
  await begin(victim);
  const attacker = await signInThere(await begin(desk.browser()), 'u1');
  refused(await victim.call('GET', new URL(attacker).pathname + new URL(attacker).search), 'oidc-start-again');
  refused(await enter(desk.browser(), 'u1', (url) => url.replace(/state=./, (s) => (s === 'state=_' ? 'state=-' : 'state=_'))), 'oidc-start-again');
  refused(await enter(desk.browser(), 'u1', (url) => url.replace(/code=[^&]+/, 'code=x')), 'oidc-refused');
  refused(await enter(desk.browser(), 'u1', (url) => url.replace(/code=[^&]+/, 'error=access_denied')), 'oidc-refused');
  assert.equal((await victim.good('GET', '/session')).user, null);
  assert.ok(provider.requests.length > 0);
});

test('what a provider\'s answer may not be: other tokens, other keys, endless documents, keys that were not there', async (t) => {
  const people = { u1: { fumibako_role: 'admin', preferred_username: 'hanako' } };
  const { desk, provider, enter } = await create(t, { people });
  const json = (res, value) => { res.setHeader('content-type', 'application/json'); res.end(typeof value === 'string' ? value : JSON.stringify(value)); return true; };
  const part = (o) => Buffer.from(JSON.stringify(o)).toString('base64url');
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: provider.issuer, aud: 'fumibako', sub: 'u1', fumibako_role: 'admin', iat: now, exp: now + 600 };
  for (const answer of [{ id_token: `${part({ alg: 'none' })}.${part(claims)}.` }, { id_token: 'x' }, { access_token: 'x' }, '[]', 'x'.repeat(300000)]) {
    provider.tamper = (req, res) => req.url === '/token' && json(res, answer);
    const browser = desk.browser();
    const r = await enter(browser, 'u1');
    assert.match(r.headers.location, /error=oidc-(refused|unavailable)$/);
    assert.equal((await browser.good('GET', '/session')).user, null);
  }
  provider.tamper = null;
  const first = desk.browser();
  await enter(first, 'u1');
  assert.equal((await first.good('GET', '/session')).role, 'admin');
  // Keys that nobody knew: refused at first, since they were fetched a moment ago and are not fetched for every token.  A
  // moment is thirty seconds: a machine that took longer for this has fetched them, and comes again with others.
  const fetched = () => provider.requests.filter((r) => r === 'GET /jwks').length;
  for (let n = 2, isLate = true; isLate; n++) {
    const [before, at] = [fetched(), provider.keysAt];
    provider.renewKeys([key(`number ${n}`, 'RS256')]);
    const r = await enter(desk.browser(), 'u1');
    isLate = Date.now() - at >= 30000;
    if (isLate) continue;
    refused(r, 'oidc-refused');
    assert.equal(fetched(), before, 'not for every token that somebody makes up');
  }
});
