// SPDX-License-Identifier: Apache-2.0
//
// Who calls the console in roles.test.mjs: accounts of each role with a session and with a token, and sessions of people who
// have not done yet what the first log-in asks for.  Sessions and accounts are written into Redis as services/console/session.c
// and common/accounts/codec.c do, so that each call may have somebody of its own: many of these calls end or change one.

import assert from 'node:assert/strict';
import { createHmac, hkdfSync, randomBytes } from 'node:crypto';
import { encode } from '@msgpack/msgpack';
import { Authenticator, Desk, sha256, totp } from './accounts-kit.mjs';

export const ROLES = ['admin', 'operator', 'auditor', 'helpdesk'];
export const NEEDS = ['totp', 'passkey', 'enrol', 'password']; // steps of the log-in that may still be ahead
export const RECOVERY = 'aaaa-bbbb-cccc'; // a recovery code of everybody here
const PREFIX = 'fb:{s0}:console:';
const HOUR = 3600000;
const hex = (data) => sha256(data).toString('hex');

/** Another client of another network each time: the limits of one network are not what is looked at here. */
const address = () => `10.${[...randomBytes(3)].join('.')}`;

export class Cast {
  static async create(t, settings) {
    const cast = new Cast();
    cast.desk = await Desk.create(t, settings);
    cast.redis = cast.desk.redis;
    cast.key = Buffer.from(hkdfSync('sha256', cast.desk.world.config('console').rewrite.key, '', 'fumibako console accounts 1', 32));
    cast.document = cast.desk.document;
    cast.document.redis = cast.redis;
    cast.document.key = cast.desk.world.config('console').rewrite.key;
    const first = cast.desk.ctl('user', 'add', 'first', 'admin');
    assert.equal(first.status, 0, first.stderr);
    cast.first = first.json.password;
    const given = JSON.parse(await cast.redis.command('HGET', `${PREFIX}users`, 'first'));
    cast.given = given.password; // a hash by our own cost, of a password that is known
    return cast;
  }

  #hmac(purpose, a, b) {
    return createHmac('sha256', this.key).update(`${purpose}\0${a}\0${b}\0`).digest('hex');
  }

  /** Somebody of a role: {name, role, handle, browser, token}; new, or `again` who was there before. */
  async member(role, need = '', again = null) {
    const name = again?.name ?? `${role}-${randomBytes(6).toString('hex')}`;
    const handle = again?.handle ?? randomBytes(16).toString('hex');
    const token = `fbt.${Buffer.from(name).toString('base64url')}.${randomBytes(32).toString('base64url')}`;
    const now = Date.now();
    const recovery = need === 'enrol' ? [] : [this.#hmac('recovery', handle, RECOVERY)];
    await this.redis.command('HSET', `${PREFIX}users`, name, JSON.stringify({ name, handle, role, since: now, changed: now, off: false,
      password: this.given, change: need === 'password', totp: '', recovery, passkeys: [],
      tokens: [{ hash: hex(token), label: 'test', role, since: now, until: now + HOUR }], oidc: '', language: '' }));
    await this.redis.command('HSET', `${PREFIX}handles`, handle, name);
    const who = { name, role, handle, need, token };
    who.browser = await this.session(who, need);
    return who;
  }

  /** A browser in which somebody is signed in, as far as need says. */
  async session(who, need = '') {
    const cookie = randomBytes(32).toString('base64url');
    const now = Date.now();
    const id = hex(cookie);
    await this.redis.command('HSET', `${PREFIX}session:${id}`, 'user', who.name, 'handle', who.handle, 'method', 'password', 'need', need,
      'since', now, 'until', now + HOUR, 'proved', now, 'seen', now, 'address', '127.0.0.1', 'agent', 'test');
    await this.redis.command('ZADD', `${PREFIX}of:${who.handle}`, now, id);
    const browser = this.desk.browser({ headers: { 'x-forwarded-for': address() } });
    browser.cookies.set('fumibako', cookie);
    browser.csrf = this.#hmac('csrf', cookie, '');
    return browser;
  }

  /** A browser of nobody, or a program with a token. */
  stranger(token = null) {
    return this.desk.browser({ headers: { 'x-forwarded-for': address(), ...(token === null ? {} : { authorization: `Bearer ${token}` }) } });
  }

  /** Sets up an app for somebody, in a session beside; {secret, recovery}. */
  async app(who) {
    const browser = await this.session(who);
    const { secret } = await browser.good('POST', '/account/totp');
    await browser.good('PUT', '/account/totp', { code: totp(secret) });
    const { recovery } = await browser.good('POST', '/account/recovery');
    return { secret, recovery };
  }

  /** Adds a passkey for somebody, in a session beside; {key, id}. */
  async passkey(who) {
    const browser = await this.session(who);
    const key = new Authenticator(this.desk.origin);
    const options = await browser.good('POST', '/account/passkeys/options');
    await browser.good('POST', '/account/passkeys', { label: 'x', credential: key.create(options) });
    const { passkeys } = await browser.good('GET', '/account');
    return { key, id: passkeys[0].id };
  }

  authenticator() { return new Authenticator(this.desk.origin); }

  name() { return `new-${randomBytes(6).toString('hex')}`; }

  /** A mail in the ledger; gives its id. */
  mail(options) { return this.document.mail(options); }

  /** A mail that is held, and its dead letter's id. */
  async held(options = {}) {
    const message = await this.mail({ state: 'queued', ...options });
    const job = { v: 1, stage: 'upload', msg: message, spool: 'w1/00000012:4096', branch: 0, attempt: 3, first: Date.now() - 60000, trace: '' };
    const id = await this.redis.command('XADD', 'fb:{s0}:dead', '*', 'j', Buffer.from(encode(job)), 's', 'denied', 'r', options.reason ?? 'refused: 403',
      't', String(Date.now()), 'g', 'upload');
    return { id: `s0-${id}`, message };
  }

  /** The policy in force: {document, etag}. */
  async policy() {
    const r = await this.admin.browser.api('GET', '/policy');
    assert.equal(r.status, 200, r.body.toString());
    return { document: r.json.document, etag: r.headers.etag, number: r.json.number };
  }
}

/** Makes one call; path below /api/v1, or whole where it begins so.  The answer is compared with the document. */
export async function call(browser, cast, { method, path, body, headers = {} }) {
  const whole = path.startsWith('/login/') ? path : `/api/v1${path}`;
  const r = await browser.call(method, whole, body, headers);
  cast.document.check(method, new URL(whole, cast.desk.base).pathname, r.status, r.headers['content-type'] ?? '', r.body.toString());
  return r;
}
