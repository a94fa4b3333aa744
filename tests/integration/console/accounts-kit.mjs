// SPDX-License-Identifier: Apache-2.0
//
// What the tests of the console's accounts share: a browser (cookies, Origin, the CSRF token), an authenticator app
// (RFC 6238) and an authenticator of passkeys (WebAuthn level 2), both made here and not by our own code.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash, createHmac, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { World, binDir, request } from '../../support/harness.mjs';
import { Console } from './api-kit.mjs';

export const CHEAP = { password_memory: '19MiB', password_passes: 2 };
export const sha256 = (data) => createHash('sha256').update(data).digest();

/** What a browser does: keeps cookies, sends Origin and the token that the session told. */
export class Browser {
  constructor(desk, { headers = {} } = {}) {
    this.desk = desk;
    this.headers = headers;
    this.cookies = new Map();
    this.csrf = null;
  }

  cookie(name) { return this.cookies.get(name) ?? null; }

  async call(method, to, body, headers = {}) {
    const all = { host: this.desk.host, 'accept-language': 'en', ...this.headers };
    if (this.cookies.size > 0) all.cookie = [...this.cookies].map(([k, v]) => `${k}=${v}`).join('; ');
    if (method !== 'GET') {
      all.origin = this.desk.origin;
      if (this.csrf !== null) all['x-fumibako-csrf'] = this.csrf;
      if (body !== undefined) all['content-type'] = 'application/json';
    }
    for (const [name, value] of Object.entries(headers)) {
      if (value === null) delete all[name]; else all[name] = value;
    }
    const r = await request(this.desk.base + to, { method, headers: all,
      body: body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body) });
    for (const line of [r.headers['set-cookie'] ?? []].flat()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      if (/Max-Age=0/.test(line)) this.cookies.delete(name); else this.cookies.set(name, value);
    }
    const text = r.body.toString();
    r.json = /json$/.test(r.headers['content-type'] ?? '') && !/ndjson/.test(r.headers['content-type']) && text !== '' ? JSON.parse(text) : null;
    if (typeof r.json?.csrf === 'string') this.csrf = r.json.csrf;
    return r;
  }

  /** A call of the API; its answer is as the OpenAPI document says. */
  async api(method, to, body, headers) {
    const r = await this.call(method, `/api/v1${to}`, body, headers);
    const path = new URL(`/api/v1${to}`, this.desk.base).pathname;
    if (this.desk.document.operation(method, path)) {
      this.desk.document.check(method, path, r.status, r.headers['content-type'] ?? '', r.body.toString());
    }
    return r;
  }

  /** The same where it must work. */
  async good(method, to, body, status = 200) {
    const r = await this.api(method, to, body);
    assert.equal(r.status, status, `${method} ${to}: ${r.body.toString().slice(0, 400)}`);
    return r.json;
  }

  /** Signs in as somebody who has everything: password and app. */
  async signIn(who) {
    const first = await this.good('POST', '/session', { user: who.user, password: who.password });
    assert.equal(first.needs, 'totp');
    const second = await this.good('POST', '/session/totp', { recovery: who.recovery.pop() });
    assert.equal(second.needs, null);
    return second;
  }
}

/** A console with its own Redis, and the command line beside it. */
export class Desk {
  static async create(t, { console: settings = {}, public_url = null, ...more } = {}) {
    const desk = new Desk();
    desk.t = t;
    desk.world = await World.create(t);
    desk.redis = await desk.world.startRedis();
    desk.usersFile = path.join(desk.world.dir, 'accounts', 'users.json');
    fs.mkdirSync(path.dirname(desk.usersFile), { mode: 0o700 });
    desk.host = `localhost:${desk.world.ports.console}`;
    desk.base = `http://127.0.0.1:${desk.world.ports.console}`;
    desk.origin = public_url ?? `http://${desk.host}`;
    desk.settings = { ...more, console: { users_file: desk.usersFile, ...CHEAP, ...(public_url ? { public_url } : {}), ...settings } };
    desk.service = await desk.world.start('console', desk.settings);
    desk.document = Object.assign(new Console(), { base: settings.listen ? `http://${settings.listen}` : desk.base });
    await desk.document.readDocument();
    return desk;
  }

  browser(options) { return new Browser(this, options); }

  /** `fumibako WORDS --json`. */
  ctl(...words) {
    const file = path.join(this.world.dir, 'ctl.yaml');
    fs.writeFileSync(file, JSON.stringify(this.world.config('ctl', this.settings)), { mode: 0o600 });
    const r = spawnSync(path.join(binDir(), 'fumibako'), ['--config', file, '--json', ...words], { encoding: 'utf8' });
    return { status: r.status, stderr: r.stderr, json: r.stdout.trim() === '' ? null : JSON.parse(r.stdout) };
  }

  /** Somebody who has done all that the first log-in asks for; browser is signed in. */
  async person(user, role, { browser = this.browser() } = {}) {
    const made = this.ctl('user', 'add', user, role);
    assert.equal(made.status, 0, JSON.stringify(made));
    const who = { user, password: `${user} likes long passwords`.replace(user, [...user].reverse().join('')), browser };
    await browser.good('POST', '/session', { user, password: made.json.password });
    const app = await browser.good('POST', '/account/totp');
    who.secret = app.secret;
    const enrolled = await browser.good('PUT', '/account/totp', { code: totp(app.secret) });
    assert.equal(enrolled.needs, 'password');
    who.recovery = enrolled.recovery;
    const changed = await browser.good('POST', '/account/password', { new: who.password });
    assert.equal(changed.needs, null);
    return who;
  }

  async audit() {
    const entries = await this.redis.command('XRANGE', 'fb:{s0}:console:audit', '-', '+');
    return entries.map(([, fields]) => JSON.parse(fields[1]));
  }
}

function base32(text) {
  let bits = '';
  for (const c of text.replace(/=+$/, '')) bits += 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(c).toString(2).padStart(5, '0');
  return Buffer.from(bits.match(/.{8}/g).map((b) => parseInt(b, 2)));
}

/** The app's code; steps: how many half minutes from now. */
export function totp(secret, steps = 0) {
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30000) + steps));
  const mac = createHmac('sha1', base32(secret)).update(counter).digest();
  const value = mac.readUInt32BE(mac[19] & 15) & 0x7fffffff;
  return String(value % 1000000).padStart(6, '0');
}

// ---- passkeys ----

const cborHead = (major, n) => n < 24 ? Buffer.from([(major << 5) | n])
  : n < 256 ? Buffer.from([(major << 5) | 24, n]) : Buffer.from([(major << 5) | 25, n >> 8, n & 255]);

function cbor(value) {
  if (typeof value === 'number') return value >= 0 ? cborHead(0, value) : cborHead(1, -1 - value);
  if (typeof value === 'string') return Buffer.concat([cborHead(3, Buffer.byteLength(value)), Buffer.from(value)]);
  if (Buffer.isBuffer(value)) return Buffer.concat([cborHead(2, value.length), value]);
  return Buffer.concat([cborHead(5, value.size), ...[...value].flatMap(([k, v]) => [cbor(k), cbor(v)])]);
}

export class Authenticator {
  constructor(origin, { flags = 0x05 } = {}) {
    this.origin = origin;
    this.flags = flags;
    this.counter = 0;
    this.id = randomBytes(32);
    this.keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  }

  #data(rpId, extra = Buffer.alloc(0)) {
    const head = Buffer.alloc(5);
    head[0] = this.flags | (extra.length > 0 ? 0x40 : 0);
    head.writeUInt32BE(++this.counter, 1);
    return Buffer.concat([sha256(rpId), head, extra]);
  }

  #client(type, challenge) {
    return Buffer.from(JSON.stringify({ type, challenge, origin: this.origin, crossOrigin: false }));
  }

  create(options) {
    assert.ok(options.pubKeyCredParams.some((p) => p.alg === -7));
    assert.equal(options.authenticatorSelection.userVerification, 'required');
    this.handle = options.user.id;
    const jwk = this.keys.publicKey.export({ format: 'jwk' });
    const key = cbor(new Map([[1, 2], [3, -7], [-1, 1], [-2, Buffer.from(jwk.x, 'base64url')], [-3, Buffer.from(jwk.y, 'base64url')]]));
    const length = Buffer.from([this.id.length >> 8, this.id.length & 255]);
    const data = this.#data(options.rp.id, Buffer.concat([Buffer.alloc(16), length, this.id, key]));
    const object = cbor(new Map([['fmt', 'none'], ['attStmt', new Map()], ['authData', data]]));
    return { id: this.id.toString('base64url'), rawId: this.id.toString('base64url'), type: 'public-key', response: {
      clientDataJSON: this.#client('webauthn.create', options.challenge).toString('base64url'),
      attestationObject: object.toString('base64url') } };
  }

  get(options) {
    assert.equal(options.userVerification, 'required');
    const data = this.#data(options.rpId);
    const client = this.#client('webauthn.get', options.challenge);
    return { id: this.id.toString('base64url'), rawId: this.id.toString('base64url'), type: 'public-key', response: {
      clientDataJSON: client.toString('base64url'), authenticatorData: data.toString('base64url'), userHandle: this.handle,
      signature: sign('sha256', Buffer.concat([data, sha256(client)]), this.keys.privateKey).toString('base64url') } };
  }
}
