// SPDX-License-Identifier: Apache-2.0
//
// What the tests of the door share: a portal with a vault, parcels made by tests/support/vault_parcel.c, readers with a
// browser's cookies, and their mailbox: the code that is on its way is opened as rewrite opens it, by the description in
// common/proof_code.h.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createDecipheriv, createHash, createHmac, hkdfSync, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { World, binDir, request, waitFor } from '../../support/harness.mjs';
import { Client, KEY, newId, visible } from './kit.mjs';

export { newId, visible };
export const HANAKO = 'hanako@partner.example.com';
export const MINUTE = 60000;
export const sha256 = (text) => createHash('sha256').update(text).digest('hex');

/** All forms of a page by their verb: {action, fields}. */
export function formsOf(html) {
  const plain = (text) => text.replace(/&lt;/g, '<').replace(/&gt;/g, '>').replace(/&quot;/g, '"').replace(/&#39;/g, "'")
    .replace(/&amp;/g, '&');
  const forms = {};
  for (const [, action, inner] of html.matchAll(/<form [^>]*action="([^"]*)"[^>]*>([\s\S]*?)<\/form>/g)) {
    const hidden = [...inner.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)">/g)].map((m) => [m[1], plain(m[2])]);
    const verb = /^\/r\/[^/?]*\/([^/?]*)/.exec(action)?.[1] ?? action;
    forms[verb] ??= { action: plain(action), fields: Object.fromEntries(hidden), inner };
  }
  return forms;
}

/** RFC 6238 as an app computes it. */
export function totp(secret, ms = Date.now()) {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  let bits = '';
  for (const c of secret.replace(/\s/g, '')) bits += letters.indexOf(c).toString(2).padStart(5, '0');
  const key = Buffer.from((bits.match(/.{8}/g) ?? []).map((b) => parseInt(b, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(ms / 30000)));
  const mac = createHmac('sha1', key).update(counter).digest();
  return String((mac.readUInt32BE(mac[19] & 15) & 0x7fffffff) % 1000000).padStart(6, '0');
}

/** A portal with a Redis, a policy and a vault of its own. */
export class Door {
  static async create(t, overrides = {}, { vaults = ['vault'] } = {}) {
    const door = new Door();
    door.world = await World.create(t);
    door.redis = await door.world.startRedis();
    door.keyFile = path.join(door.world.dir, 'vault.key');
    fs.writeFileSync(door.keyFile, `v1:${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
    fs.mkdirSync(path.join(door.world.dir, 'vault'), { mode: 0o700 });
    door.vaults = vaults.map((name) => ({ name, type: 'vault', url: `file://${door.world.dir}/vault/${name}`, key_file: door.keyFile }));
    const policy = path.join(door.world.dir, 'policy.yaml');
    fs.writeFileSync(policy, JSON.stringify({ storages: door.vaults,
      security_definitions: [{ name: 'standard', access: 'recipients' }],
      rules: [{ name: 'rule 0', when: { to: ['!@example.jp'] }, action: 'secure', storage: vaults[0], security: 'standard' }] }));
    door.parcel({ grants: [] }); // there is one, so that a vault is there when the portal opens it
    door.service = await door.world.start('portal', { policy: { source: `file:${policy}`, cache: path.join(door.world.dir, 'policy') },
      ...overrides, portal: { reads: [door.keyFile], ...overrides.portal } });
    door.base = `http://127.0.0.1:${door.world.ports.portal}`;
    const link = door.parcel({ proof: 'link' }).links[0];
    // As somebody else: what waits for long must not use up the requests of the test's own clients.
    await waitFor(async () => (await request(`${door.base}/r/${link}`, { headers: { 'x-forwarded-for': '198.18.0.1' } })).status === 200,
      { interval: 250, what: 'the vault' })
      .catch((e) => { throw new Error(`${e.message}\n${door.service.output}`); });
    return door;
  }

  /** Makes a parcel, or changes one that parcel() gave: {id, links, grants, ...}. */
  parcel(wanted = {}) {
    const id = wanted.id ?? `${newId()}-0`;
    const grants = (wanted.grants ?? [{}]).map((g, i) => ({ recipient: i, address: HANAKO, secret: randomBytes(32).toString('hex'), ...g }));
    const vault = this.vaults.find((v) => v.name === (wanted.vault ?? this.vaults[0].name));
    const input = { url: vault.url, key_file: vault.key_file, parcel: id, ...wanted, grants };
    const r = spawnSync(path.join(binDir(), 'vault_parcel'), { input: JSON.stringify(input), encoding: 'utf8' });
    assert.equal(r.status, 0, r.stderr);
    return { ...wanted, id, grants, links: r.stdout.trim().split('\n').filter(Boolean) };
  }

  key(parcel, recipient = 0) { return `fb:{s0}:pc:${parcel.id}.${recipient}`; }

  reader(link, options) { return new Reader(this, link, options); }

  /** Everything in Redis, but what the portal itself writes now and then. */
  async snapshot() {
    const keys = (await this.redis.command('KEYS', '*')).filter((k) => k !== 'fb:{s0}:alarm').sort();
    const all = {};
    for (const key of keys) all[key] = await this.redis.command('DUMP', key);
    return JSON.stringify(all);
  }

  letters() { return this.redis.command('XLEN', 'fb:{s0}:rewrite'); }

  /** What the recipient reads in the letter. */
  async code(parcel, recipient = 0) {
    const sealed = await this.redis.command('HGET', this.key(parcel, recipient), 'code');
    if (sealed === null) return null;
    const bytes = Buffer.from(sealed, 'base64');
    for (const info of ['fumibako proof code 1']) {
      const key = Buffer.from(hkdfSync('sha256', KEY, Buffer.alloc(0), info, 32));
      const open = createDecipheriv('aes-256-gcm', key, bytes.subarray(1, 13));
      open.setAAD(Buffer.from(`${parcel.id}.${recipient}`));
      open.setAuthTag(bytes.subarray(-16));
      return Buffer.concat([open.update(bytes.subarray(13, -16)), open.final()]).toString();
    }
  }

  /** Time passes: what was written into fields is earlier by so much. */
  async age(key, ms, ...fields) {
    for (const field of fields) {
      const value = await this.redis.command('HGET', key, field);
      if (value !== null) await this.redis.command('HSET', key, field, Number(value) - ms);
    }
  }

  async history(parcel) {
    return (await this.redis.command('LRANGE', `fb:{s0}:h:${parcel.id}`, 0, -1)).map((l) => JSON.parse(l));
  }

  async events(parcel) { return (await this.history(parcel)).map((e) => e.event); }

  /** Straight to the session of a mail with proof "link" or "code". */
  async enter(parcel, options = {}) {
    const reader = this.reader(parcel.links[options.at ?? 0], options);
    await reader.open();
    if (parcel.proof === 'link') {
      await reader.submit('open');
    } else {
      await reader.submit('code');
      await reader.submit('enter', { code: await this.code(parcel, options.at ?? 0) });
    }
    assert.ok(reader.isIn, reader.text);
    return reader;
  }
}

/** Somebody with a link and a browser. */
export class Reader {
  constructor(door, link, { headers = {} } = {}) {
    this.door = door;
    this.link = link;
    this.client = new Client(door.base, { headers });
  }

  get path() { return `/r/${this.link}`; }
  get text() { return visible(this.page.text); }
  get forms() { return formsOf(this.page.text); }
  /** The reading page has the way out, and no field to prove anything. */
  get isIn() { return this.page.status === 200 && Boolean(this.forms.leave) && !/one-time-code|id="password"/.test(this.page.text) && !this.forms.code; }
  get session() { return [...this.client.cookies.values()].find((c) => c.name === 'fumibako-session')?.value ?? ''; }
  get browser() { return [...this.client.cookies.values()].find((c) => c.name === 'fumibako')?.value ?? ''; }

  async open(path = this.path) {
    this.page = await this.client.get(path);
    return this;
  }

  /** Sends a form of the page; follows a 303 as a browser does.  answer: of the form itself. */
  async submit(verb, fields = {}, options = {}) {
    const form = this.forms[verb];
    assert.ok(form, `no form ${verb} in: ${this.text}`);
    this.answer = await this.client.post(form.action, { ...form.fields, ...fields }, options);
    this.page = this.answer;
    if (this.answer.status === 303) await this.open(this.answer.headers.location);
    return this.answer;
  }
}
