// SPDX-License-Identifier: Apache-2.0
//
// What the tests of the console's API share: a console with an account of each role, calls whose answers are compared with
// the OpenAPI document, and records in the ledger.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import Ajv2020 from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { World, request, sleep } from '../../support/harness.mjs';
import { record, ulid } from '../../support/ledger.mjs';

export const ROLES = ['admin', 'operator', 'auditor', 'helpdesk'];
const sha256 = (text) => createHash('sha256').update(text).digest('hex');

/** Token of a new account, which is written as common/accounts/codec.c does. */
export async function account(redis, name, role) {
  const token = `fbt.${Buffer.from(name).toString('base64url')}.${randomBytes(32).toString('base64url')}`;
  const now = Date.now();
  await write(redis, name, role, token, now);
  return token;
}

async function write(redis, name, role, token, now) {
  await redis.command('HSET', 'fb:{s0}:console:users', name, JSON.stringify({ name, handle: randomBytes(16).toString('hex'), role,
    since: now, changed: now, off: false, password: '', change: false, totp: '', recovery: [], passkeys: [],
    tokens: [{ hash: sha256(token), label: 'test', role, since: now, until: now + 3600000 }], oidc: '', language: '' }));
}

/** What fn gives, and for how many ms each of these services, or Redis, or this test, stood still meanwhile: that much a
 *  busy machine took, and a bound of time has it on top.  A service that looks too seldom answers all the same. */
export async function withStandstill(redis, services, fn) {
  const lost = Array(services.length + 1).fill(0);
  let isOver = false;
  const watch = async (ask, i) => {
    while (!isOver) {
      const asked = Date.now();
      await ask().catch(() => {});
      await sleep(50);
      const late = Date.now() - asked - 50;
      if (late > 250) lost[i] += late;
    }
  };
  const asks = services.map((s) => () => request(`http://127.0.0.1:${s.metricsPort}/healthz`));
  const watches = [...asks, () => redis.command('PING')].map(watch);
  const value = await fn().finally(() => { isOver = true; });
  await Promise.all(watches);
  const ofRedis = lost.pop();
  return { value, lost: lost.map((ms) => ms + ofRedis) };
}

export class Console {
  static async create(t, { overrides = {} } = {}) {
    const c = new Console();
    c.world = await World.create(t);
    c.redis = await c.world.startRedis();
    c.tokens = {};
    for (const role of ROLES) c.tokens[role] = await account(c.redis, role, role);
    c.service = await c.world.start('console', overrides);
    c.base = `http://127.0.0.1:${c.world.ports.console}`;
    c.key = c.world.config('console').rewrite.key;
    await c.readDocument();
    return c;
  }

  /** Writes the account of a role anew, with the token that it has. */
  async restore(role) { await write(this.redis, role, role, this.tokens[role], Date.now()); }

  async readDocument() {
    const r = await request(`${this.base}/api/v1/openapi.json`);
    assert.equal(r.status, 200);
    this.document = JSON.parse(r.body);
    const ajv = new Ajv2020({ strict: false, allErrors: true });
    addFormats(ajv);
    ajv.addSchema(this.document, 'openapi');
    this.validators = new Map();
    this.ajv = ajv;
    this.covered = new Set();
  }

  /** The operation of a path, or null. */
  operation(method, path) {
    for (const [form, item] of Object.entries(this.document.paths)) {
      const re = new RegExp(`^${form.replace(/\{[^}]+\}/g, '[^/]+')}$`);
      if (re.test(path) && item[method.toLowerCase()]) return { form, op: item[method.toLowerCase()] };
    }
    return null;
  }

  check(method, path, status, type, body) {
    const found = this.operation(method, path);
    assert.ok(found, `${method} ${path} is in the document`);
    const { form, op } = found;
    let answer = op.responses[String(status)];
    assert.ok(answer, `${method} ${form} may answer ${status}: ${body.slice(0, 300)}`);
    if (answer.$ref) answer = this.document.components.responses[answer.$ref.split('/').pop()];
    this.covered.add(`${method} ${form} ${status}`);
    const essence = type.split(';')[0];
    if (!answer.content) { assert.equal(body, '', `${method} ${form} ${status} has no body`); return; }
    assert.ok(answer.content[essence], `${method} ${form} ${status} may be ${essence}`);
    if (!essence.endsWith('json') || essence.endsWith('ndjson')) return;
    const pointer = `openapi#/${['paths', form, method.toLowerCase(), 'responses', String(status)].map((p) => p.replace(/~/g, '~0')
      .replace(/\//g, '~1')).map(encodeURIComponent).join('/')}`;
    const schema = op.responses[String(status)].$ref ? { $ref: `openapi${op.responses[String(status)].$ref}/content/application~1problem+json/schema` }
      : { $ref: `${pointer}/content/${essence.replace(/\//g, '~1')}/schema` };
    const key = JSON.stringify(schema);
    if (!this.validators.has(key)) this.validators.set(key, this.ajv.compile(schema));
    const validate = this.validators.get(key);
    assert.ok(validate(JSON.parse(body)), `${method} ${form} ${status}: ${JSON.stringify(validate.errors)} in ${body.slice(0, 500)}`);
  }

  /** {status, headers, body, json}; the answer fits the document. role null: nobody. */
  async call(role, method, path, { body, headers = {}, language = 'en', raw } = {}) {
    const all = { 'Accept-Language': language, ...headers };
    const token = this.tokens[role] ?? role;
    if (token !== null) all.Authorization = `Bearer ${token}`;
    if (body !== undefined && !all['Content-Type']) all['Content-Type'] = 'application/json';
    const r = await request(this.base + path, { method, headers: all, body: raw ?? (body === undefined ? undefined : JSON.stringify(body)) });
    this.check(method, new URL(this.base + path).pathname, r.status, r.headers['content-type'] ?? '', r.body.toString());
    const isJson = /json/.test(r.headers['content-type'] ?? '') && !/ndjson/.test(r.headers['content-type']);
    return { ...r, json: isJson && r.body.length > 0 ? JSON.parse(r.body) : null };
  }

  async ok(role, method, path, options = {}, status = undefined) {
    const r = await this.call(role, method, path, options);
    if (status === undefined ? r.status >= 300 : r.status !== status) {
      throw new Error(`${method} ${path} as ${role}: ${r.status} ${r.body.slice(0, 500)}`);
    }
    return r.json;
  }

  /** Puts a mail into the ledger; gives its id. */
  async mail(options = {}) {
    const at = options.at ?? Date.now() - 60000;
    const id = ulid(at);
    for (const command of record({ id, at, from: 'taro@example.jp', to: ['hanako@example.com'], subject: 'お見積書の件', key: this.key,
      ...options })) await this.redis.command(...command);
    return id;
  }
}
