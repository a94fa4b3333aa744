// SPDX-License-Identifier: Apache-2.0
//
// What the tests of the portal share: links and sealed titles made by the format's description (common/link.h,
// common/title.h) and not by our own code, a ledger with a mail in any state, and a client with cookies that fills in forms
// as a browser without scripts would.

import { createCipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto';
import { World, request } from '../../support/harness.mjs';

export const KEY = 'k'.repeat(40); // rewrite.key of the harness
const DIGITS = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const HOUR = 3600000;
export const DAY = 24 * HOUR;

const derive = (key, purpose) => Buffer.from(hkdfSync('sha256', key, Buffer.alloc(0), purpose, 32));

/** A ULID of now. */
export function newId(ms = Date.now()) {
  let value = (BigInt(ms) << 80n) | BigInt(`0x${randomBytes(10).toString('hex')}`);
  let text = '';
  for (let i = 0; i < 26; i++) {
    text = DIGITS[Number(value & 31n)] + text;
    value >>= 5n;
  }
  return text;
}

/** The text of a link to a message's page. */
export function makeLink(id, { ends = Date.now() + 30 * DAY, key = KEY, version = 1 } = {}) {
  let value = 0n;
  for (const c of id) value = (value << 5n) | BigInt(DIGITS.indexOf(c));
  const head = Buffer.alloc(25);
  head[0] = version;
  Buffer.from(value.toString(16).padStart(32, '0'), 'hex').copy(head, 1);
  head.writeBigUInt64BE(BigInt(ends), 17);
  const mac = createHmac('sha256', derive(key, 'fumibako sender link 1')).update(head).digest();
  return Buffer.concat([head, mac]).toString('base64url');
}

export function sealTitle(id, subject, language = 'ja', key = KEY) {
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', derive(key, 'fumibako title 1'), nonce);
  cipher.setAAD(Buffer.from(id));
  const plain = Buffer.concat([Buffer.from([language.length]), Buffer.from(language), Buffer.from(subject)]);
  const sealed = Buffer.concat([cipher.update(plain), cipher.final()]);
  return Buffer.concat([Buffer.from([1]), nonce, sealed, cipher.getAuthTag()]).toString('base64');
}

/** What a browser without scripts keeps: cookies by path. Sends what a browser sends with its own forms. */
export class Client {
  constructor(base, { headers = {} } = {}) {
    this.base = base;
    this.headers = { 'accept-language': 'en', ...headers };
    this.cookies = new Map();
  }

  #cookie(path) {
    return [...this.cookies.values()].filter((c) => path === c.path || path.startsWith(`${c.path}/`))
      .map((c) => `${c.name}=${c.value}`).join('; ');
  }

  #keep(response) {
    for (const line of response.headers['set-cookie'] ?? []) {
      const [pair, ...rest] = line.split('; ');
      const [name, value] = pair.split('=');
      const path = rest.find((a) => a.startsWith('Path='))?.slice(5) ?? '/';
      this.cookies.set(`${name} ${path}`, { name, value, path });
    }
  }

  async get(path, { method = 'GET', headers = {} } = {}) {
    const cookie = this.#cookie(path.split('?')[0]);
    const response = await request(`${this.base}${path}`, { method,
      headers: { ...this.headers, ...(cookie ? { cookie } : {}), ...headers } });
    this.#keep(response);
    response.text = response.body.toString();
    return response;
  }

  /** fields: pairs or URLSearchParams; headers override or (null) remove what a browser would send. */
  async post(path, fields, { headers = {} } = {}) {
    const cookie = this.#cookie(path.split('?')[0]);
    const body = typeof fields === 'string' || Buffer.isBuffer(fields) ? fields : new URLSearchParams(fields).toString();
    const all = { ...this.headers, ...(cookie ? { cookie } : {}), origin: this.base, 'sec-fetch-site': 'same-origin',
      'content-type': 'application/x-www-form-urlencoded', 'content-length': Buffer.byteLength(body), ...headers };
    for (const name of Object.keys(all)) if (all[name] === null) delete all[name];
    const response = await request(`${this.base}${path}`, { method: 'POST', headers: all, body });
    this.#keep(response);
    response.text = response.body.toString();
    return response;
  }
}

const plain = (text) => text.replace(/&lt;/g, '<').replace(/&gt;/g, '>').replace(/&quot;/g, '"').replace(/&#39;/g, "'")
  .replace(/&amp;/g, '&');

/** The form of a page: where it goes, its hidden fields as pairs, its checkboxes. */
export function formOf(html) {
  const form = /<form [^>]*action="([^"]*)"[^>]*>([\s\S]*?)<\/form>/.exec(html);
  if (!form) return null;
  const attributes = (tag) => Object.fromEntries([...tag.matchAll(/([a-z-]+)="([^"]*)"/g)].map((m) => [m[1], plain(m[2])]));
  const inputs = [...form[2].matchAll(/<input [^>]*>/g)].map((m) => attributes(m[0]));
  return { action: plain(form[1]), hidden: inputs.filter((i) => i.type === 'hidden').map((i) => [i.name, i.value]),
    boxes: inputs.filter((i) => i.type === 'checkbox').map((i) => i.value),
    buttons: [...form[2].matchAll(/<button [^>]*>/g)].map((m) => attributes(m[0]).value) };
}

/** What a reader sees of a page. */
export const visible = (html) => plain(html.replace(/<style>[\s\S]*?<\/style>/g, '').replace(/<[^>]+>/g, ' '))
  .replace(/\s+/g, ' ');

/** A portal with a Redis of its own, and mails that are written into the ledger as ledger.md describes it. */
export class Portal {
  static async create(t, overrides = {}, options = {}) {
    const portal = new Portal();
    portal.world = await World.create(t);
    portal.redis = await portal.world.startRedis();
    portal.service = await portal.world.start('portal', overrides, options);
    portal.base = `http://127.0.0.1:${portal.world.ports.portal}`;
    return portal;
  }

  client(options) { return new Client(this.base, options); }

  /**
   * recipients: [{address, branch, grant: 'active', state: 'sending', opened, downloaded}]; branches: [{kind, access,
   * state, expires, uploaded}].  Gives the message's id.
   */
  async mail({ id = newId(Date.now() - HOUR), subject = '契約更新のご案内', language = 'ja', from = 'taro@example.jp',
    recipients = [{ address: 'hanako@partner.example.com' }], branches = [{}], read = Date.now() - 60000,
    accepted = Date.now() - HOUR } = {}) {
    const fields = { state: 'done', queued: accepted, at: accepted, from, size: 1000, n: recipients.length, ttl: 400 * DAY,
      branches: branches.length };
    if (subject !== null) fields.title = sealTitle(id, subject, language);
    for (const [b, { kind = 'secure', state = 'sent', access = 'recipients', expires = Date.now() + 30 * DAY, uploaded = true,
      held, storage = 'box' }] of branches.entries()) {
      const parcel = kind === 'secure' ? `${id}-${b}` : '';
      fields[`b:${b}`] = `${kind}|${parcel}|rule ${b}`;
      fields[`bs:${b}`] = state;
      if (state === 'sent') fields[`bt:${b}`] = accepted + 60000;
      if (held) fields[`h:${b}`] = held;
      if (parcel && uploaded) {
        fields[`u:${b}`] = accepted + 30000;
        await this.redis.command('HSET', `fb:{s0}:p:${parcel}`, 'storage', storage, 'user', '', 'folder', `7${b}`, 'access',
          access, 'expires', expires, 'branch', b, 'at', accepted, 'rule', `rule ${b}`, 'download', 1, 'receipt', 1);
      }
    }
    for (const [i, { address, branch = 0, state = 'sending', grant = 'active', at = accepted + 30000, opened, downloaded,
      recalled }] of recipients.entries()) {
      fields[`r:${i}`] = address;
      fields[`i:${i}`] = branch;
      if (state) fields[`s:${i}`] = state;
      if (recalled) fields[`x:${i}`] = recalled;
      const { kind = 'secure', uploaded = true } = branches[branch];
      if (kind !== 'secure' || !uploaded) continue;
      const parcel = `${id}-${branch}`;
      await this.redis.command('HSET', `fb:{s0}:g:${parcel}`, i, `${grant}|c${i}|${at}|upload|upload`);
      if (opened) await this.redis.command('HSET', `fb:{s0}:w:${parcel}`, `n:${i}:preview`, 1, `o:${i}`, opened);
      if (downloaded) await this.redis.command('HSET', `fb:{s0}:w:${parcel}`, `n:${i}:download`, 1, `l:${i}`, downloaded);
    }
    await this.redis.command('HSET', `fb:{s0}:m:${id}`, ...Object.entries(fields).flat());
    if (read) await this.redis.command('HSET', 'fb:{s0}:watch:seen', 'box user ', read);
    return id;
  }

  /** Everything in Redis but what the portal itself writes now and then, for "nothing was changed". */
  async snapshot() {
    const keys = (await this.redis.command('KEYS', '*')).filter((k) => k !== 'fb:{s0}:alarm').sort();
    const all = {};
    for (const key of keys) all[key] = await this.redis.command('DUMP', key);
    return JSON.stringify(all);
  }

  recalls(id) {
    return this.redis.command('HGETALL', `fb:{s0}:rc:${id}`).then((list) => Object.fromEntries(
      list.flatMap((v, i) => (i % 2 === 0 && /^[0-9A-Z]{26}$/.test(v) ? [[v, JSON.parse(list[i + 1])]] : []))));
  }

  jobs() { return this.redis.command('XLEN', 'fb:{s0}:revoke'); }
}
