// SPDX-License-Identifier: Apache-2.0
//
// A whole Fumibako whose mail goes into the vault, and recipients as they are: they have the notice in their mailbox, a
// browser, and sometimes a telephone with an authenticator app.
//
//   const reading = await Reading.start(t, { security: { proof: 'code' } });
//   await reading.send({ to: ['hanako@partner.example.com'] });
//   const visit = await reading.visit('hanako@partner.example.com', { width: 375, language: 'ja' });
//   await visit.enter();                              // asks for the code, reads it from the mailbox, types it

import assert from 'node:assert/strict';
import { createHash, createHmac, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { ROOT, request, waitFor } from '../support/harness.mjs';
import { Stack, textOf } from '../e2e/stack.mjs';
import { Relay } from '../integration/ctl/kit.mjs';
import { Browser } from './kit.mjs';

export const SUBJECT = '第1四半期 御見積のご案内';
export const HANAKO = 'hanako@partner.example.com';
export const JIRO = 'jiro@partner.example.com';
export const SENDER = 'taro@example.jp';
export const sha1 = (bytes) => createHash('sha1').update(bytes).digest('hex');

/** A logo: a PNG of 48 by 48 pixels, a box in a circle. */
export const LOGO = `data:image/png;base64,${[
  'iVBORw0KGgoAAAANSUhEUgAAADAAAAAwCAYAAABXAvmHAAAAr0lEQVR42u3aQQ6AIAwEQJ7iA3ypn9ajMSZSLNDtsk28kh3CAVtKUd117Ntp+V',
  'KGhsN4g4dBegefBhkdfChkdviuiKjwXRDR4V0IlPC/EGjhmxGpAajhzYjaAqPLBbDsQDTgE5EagH72q4hlAAhH6AVokaMAHggBBBBAAAEESA1I',
  'f5UQAAGgPzIEwBJdCfWG1JlboblL0V6nGHBQjJgohnwUY1aaQTfNUwOaxx7RdQGfFr7av4GRbAAAAABJRU5ErkJggg=='].join('')}`;

const base64 = (bytes) => Buffer.from(bytes).toString('base64').replace(/(.{76})/g, '$1\r\n');

/** A mail with a text and files: [{name, type, bytes}]. */
export function mail({ subject = SUBJECT, text = 'いつもお世話になっております。\r\n\r\nお見積もり金額は 1,234,567 円です。\r\nご確認をお願いいたします。\r\n',
  files = [], to = [HANAKO] } = {}) {
  const b = 'edge-of-parts';
  const word = (s) => `=?UTF-8?B?${Buffer.from(s).toString('base64')}?=`;
  return [`From: ${word('山田 太郎')} <${SENDER}>`, `To: ${to.join(', ')}`, `Subject: ${word(subject)}`,
    'Date: Fri, 27 Nov 2026 10:00:00 +0900', `Message-ID: <${randomBytes(8).toString('hex')}@example.jp>`, 'MIME-Version: 1.0',
    `Content-Type: multipart/mixed; boundary=${b}`, '', `--${b}`, 'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: base64', '', base64(text),
    ...files.flatMap(({ name, type, bytes }) => [`--${b}`, `Content-Type: ${type}`, 'Content-Transfer-Encoding: base64',
      `Content-Disposition: attachment; filename*=UTF-8''${encodeURIComponent(name)}`, '', base64(bytes)]),
    `--${b}--`, ''].join('\r\n');
}

/** RFC 6238 as an app computes it: SHA-1, 30 seconds, 6 digits. */
export function totp(secret, ms = Date.now()) {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  let bits = '';
  for (const c of secret.replace(/[\s=]/g, '').toUpperCase()) bits += letters.indexOf(c).toString(2).padStart(5, '0');
  const key = Buffer.from((bits.match(/.{8}/g) ?? []).map((b) => parseInt(b, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(ms / 30000)));
  const mac = createHmac('sha1', key).update(counter).digest();
  const at = mac[19] & 15;
  return String((mac.readUInt32BE(at) & 0x7fffffff) % 1000000).padStart(6, '0');
}

/** Where pictures of pages are kept, to be looked at. */
export function shot(name) {
  const dir = path.join(ROOT, 'build/screens');
  fs.mkdirSync(dir, { recursive: true });
  return path.join(dir, `${name}.png`);
}

export class Reading {
  static async start(t, { security = {}, rule = {}, policy = {}, overrides = {}, browser = true } = {}) {
    const reading = new Reading();
    reading.stack = await Stack.start(t, { vault: true, postfix: false,
      services: ['ingest', 'render', 'upload', 'rewrite', 'revoke', 'portal'], overrides: { revoke: { settle: '1s' }, ...overrides },
      policy: {
        security_definitions: [{ name: 'recipients only', access: 'recipients', expires_after: '30d', ...security }],
        rules: [{ name: 'outbound', when: { to: ['!@example.jp'] }, action: 'secure', storage: 'vault', security: 'recipients only',
          ...rule }],
        notices: { organisation: '株式会社エグザンプル', logo: LOGO },
        ...policy,
      } });
    reading.world = reading.stack.world;
    reading.base = `http://127.0.0.1:${reading.world.ports.portal}`;
    const relay = new Relay();
    await relay.start(reading.world.ports.relay);
    reading.world.atEnd(() => relay.stop());
    reading.mails = relay.mails;
    if (browser) reading.browser = await Browser.start(t);
    return reading;
  }

  /** Sends a mail in, and gives its id once every recipient has something. */
  async send({ to = [HANAKO], ...content } = {}) {
    const file = path.join(this.world.dir, `mail-${randomBytes(4).toString('hex')}.eml`);
    fs.writeFileSync(file, mail({ to, ...content }));
    const before = to.map((a) => this.links(a).length);
    const r = await this.stack.ctl('submit', file, '--from', SENDER, ...to.flatMap((a) => ['--to', a]));
    assert.equal(r.status, 0, r.stderr);
    await waitFor(() => to.every((a, i) => this.links(a).length > before[i]),
      { timeout: 120000, what: 'the notices' }).catch((e) => {
      throw new Error(`${e.message}\n${this.stack.logs()}`);
    });
    // The portal looks once a second for a vault that upload has just made.
    const [link] = to.map((a) => this.links(a).at(-1)).filter(Boolean);
    if (link) await waitFor(async () => (await request(link)).status !== 503, { what: 'the portal to have the vault' });
    return r.stdout.trim();
  }

  texts(address, from = 0) {
    return this.mails.slice(from).filter((m) => m.to.includes(address)).map((m) => textOf(Buffer.from(m.content)));
  }

  links(address) {
    return this.texts(address).map((text) => new RegExp(`${this.base}/r/[A-Za-z0-9_-]{71}(?![A-Za-z0-9_-])`).exec(text)?.[0]).filter(Boolean);
  }

  /** The link of the newest notice to somebody. */
  link(address) {
    const found = this.links(address);
    assert.ok(found.length > 0, `no notice for ${address}:\n${this.texts(address).join('\n')}`);
    return found.at(-1);
  }

  /** A code that comes to somebody after so many mails. */
  code(address, from) {
    return waitFor(() => this.texts(address, from).map((text) => /(?:確認コード|code)[^0-9]{1,40}(\d{6})\b/i.exec(text)?.[1]).find(Boolean),
      { what: `a code for ${address}` });
  }

  async visit(address, { language = 'ja', width = 375, height = width < 600 ? 812 : 900, scripts = true, ...more } = {}) {
    const page = await this.browser.page({ language, width, height, scripts, ...more });
    const visit = new Visit(this, page, address);
    await page.open(this.link(address));
    return visit;
  }
}

/** A person with a browser. */
class Visit {
  constructor(reading, page, address) {
    Object.assign(this, { reading, page, address });
  }

  get path() { return this.reading.link(this.address).slice(this.reading.base.length); }

  /** Presses the button that sends a code; gives the code. */
  async ask() {
    const before = this.reading.mails.length;
    await this.page.click('form[action*="/code"] button');
    return this.reading.code(this.address, before);
  }

  async type(code) {
    await this.page.evaluate(() => { document.querySelector('input[autocomplete="one-time-code"]').value = ''; });
    await this.page.type('input[autocomplete="one-time-code"]', code);
    await this.page.click('form[action*="/enter"] button');
  }

  async enter() {
    await this.type(await this.ask());
  }

  /** What every page promises: nothing from elsewhere, nothing in the console, nothing that axe finds, no wider than the screen. */
  async check(what, { expected = /^$/ } = {}) {
    const { page, reading } = this;
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${what}: wider than the screen`);
    assert.deepEqual(page.requests.filter((u) => !u.startsWith(`${reading.base}/`) && !/^(about|blob|data):/.test(u)), [], `${what}: requests`);
    assert.deepEqual(page.problems.filter((p) => !expected.test(p)), [], `${what}: console`);
    assert.deepEqual(await page.accessibility(), [], what);
  }
}
