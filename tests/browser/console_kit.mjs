// SPDX-License-Identifier: Apache-2.0
//
// A whole Fumibako with a vault and no policy, and an administrator with a browser: fields are found by their labels, buttons
// by their words, as a person or a screen reader finds them.
//
//   const desk = await Desk.start(t);
//   const visit = await desk.visit({ language: 'ja', width: 1280 });
//   await visit.signIn('admin');
//   await visit.press('ルールを作成');

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { World, binDir, waitFor } from '../support/harness.mjs';
import { textOf } from '../e2e/stack.mjs';
import { Relay } from '../integration/ctl/kit.mjs';
import { Browser } from './kit.mjs';
import { mail, totp } from './vault_kit.mjs';

export const SERVICES = ['ingest', 'render', 'upload', 'rewrite', 'revoke', 'portal', 'console'];

export class Desk {
  static async start(t, { services = SERVICES, overrides = {} } = {}) {
    const desk = new Desk();
    const world = await World.create(t);
    Object.assign(desk, { world, secrets: new Map(), passwords: new Map() });
    fs.chmodSync(world.dir, 0o711);
    desk.redis = await world.startRedis();
    desk.keyFile = path.join(world.dir, 'vault.key');
    fs.writeFileSync(desk.keyFile, `v1:${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
    desk.vaultUrl = `file://${world.dir}/vault`;
    desk.relay = new Relay();
    await desk.relay.start(world.ports.relay);
    world.atEnd(() => desk.relay.stop());
    const all = { revoke: { settle: '1s' }, ...overrides };
    desk.configFile = path.join(world.dir, 'fumibako.yaml');
    fs.writeFileSync(desk.configFile, JSON.stringify(world.config('ctl', all), null, 2), { mode: 0o600 });
    desk.running = await Promise.all(services.map((s) => world.start(s, all)));
    world.atEnd(() => {
      if (process.env.FB_KEEP_LOGS) for (const s of desk.running) fs.writeFileSync(path.join(process.env.FB_KEEP_LOGS, `${s.name}.log`), s.output);
    });
    desk.base = `http://127.0.0.1:${world.ports.console}`;
    desk.browser = await Browser.start(t);
    return desk;
  }

  /** fumibako, the command: {status, stdout, stderr}. */
  async ctl(args) {
    const child = spawn(path.join(binDir(), 'fumibako'), ['--config', this.configFile, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (c) => { stdout += c; });
    child.stderr.on('data', (c) => { stderr += c; });
    const status = await new Promise((resolve) => { child.on('close', resolve); });
    return { status, stdout, stderr };
  }

  /** An account of this name and role, which has not signed in yet. */
  async account(name, role) {
    const r = await this.ctl(['user', 'add', name, role, '--json']);
    assert.equal(r.status, 0, r.stdout + r.stderr);
    this.passwords.set(name, JSON.parse(r.stdout).password);
  }

  async send({ from = 'taro@example.jp', to = ['hanako@partner.example.com'], ...content } = {}) {
    const file = path.join(this.world.dir, `mail-${randomBytes(4).toString('hex')}.eml`);
    fs.writeFileSync(file, mail({ to, ...content }));
    const r = await this.ctl(['submit', file, '--from', from, ...to.flatMap((a) => ['--to', a])]);
    assert.equal(r.status, 0, r.stderr);
    return r.stdout.trim();
  }

  texts(address) {
    return this.relay.mails.filter((m) => m.to.includes(address)).map((m) => textOf(Buffer.from(m.content)));
  }

  async visit({ language = 'en', width = 1280, height = width < 600 ? 844 : 900, dark = false } = {}) {
    const page = await this.browser.page({ language, width, height, dark, scripts: true });
    const agent = await page.evaluate(() => navigator.userAgent);
    await page.call('Emulation.setUserAgentOverride', { userAgent: agent, acceptLanguage: language });
    // A draft asks before it is left.
    this.browser.listen((m) => {
      if (m.sessionId === page.session && m.method === 'Page.javascriptDialogOpening') void page.call('Page.handleJavaScriptDialog', { accept: true });
    });
    const visit = new Visit(this, page);
    await page.open(`${this.base}/`);
    return visit;
  }
}

/**
 * In the page: the one visible element of these kinds that has this name; the last one, which is that of an open dialog.
 * Where it is now and two frames later.
 */
async function find(kinds, name, isExact) {
  const words = (e) => {
    const by = e.getAttribute('aria-labelledby')?.split(' ').map((id) => document.getElementById(id)?.textContent ?? '').join(' ');
    const labels = e.labels ? [...e.labels].map((l) => l.textContent).join(' ') : '';
    return (e.getAttribute('aria-label') ?? (by || labels || e.textContent)).replace(/\s+/g, ' ').trim();
  };
  const isSeen = (e) => e.getClientRects().length > 0 || e.closest('label')?.getClientRects().length > 0;
  const all = [...document.querySelectorAll(kinds)].filter((e) => isSeen(e) && !e.closest('[inert], [aria-hidden=true]'));
  for (const old of document.querySelectorAll('[data-found]')) old.removeAttribute('data-found');
  const found = all.filter((e) => (isExact ? words(e).replace(/(?<=\D)[\d,]+$/, '') === name || words(e) === name : words(e).includes(name))).at(-1);
  if (!found) return null;
  // What one presses of a check box or switch is its label.
  const target = found.matches('input[type=checkbox], input[type=radio]') ? found.closest('label') ?? found : found;
  target.setAttribute('data-found', '');
  target.scrollIntoView({ block: 'center' });
  const place = () => { const { x, y, width, height } = target.getBoundingClientRect(); return [x, y, width, height].join(); };
  const before = place();
  await new Promise((resolve) => {
    requestAnimationFrame(() => requestAnimationFrame(resolve));
    setTimeout(resolve, 500); // of a page that nobody sees there are no frames
  });
  return { isOff: found.disabled === true || found.getAttribute('aria-disabled') === 'true', isStill: target.isConnected && place() === before };
}

const BUTTONS = 'button, a[href], [role=button], [role=tab], [role=option], [role=menuitem], summary, input[type=checkbox], input[type=radio]';
const FIELDS = 'input:not([type=checkbox]):not([type=radio]):not([type=hidden]), textarea, button[aria-haspopup=listbox]';

class Visit {
  constructor(desk, page) {
    Object.assign(this, { desk, page });
  }

  /** Clicks on it, once it is there and stays where it is. */
  async #click(kinds, name, isExact) {
    await waitFor(async () => {
      const found = await this.page.evaluate(find, kinds, name, isExact);
      return found && !found.isOff && found.isStill;
    }, { what: `"${name}" to be there` }).catch(async (e) => {
      throw new Error(`${e.message}\n${this.page.problems.join('\n')}\n${await this.page.text('body')}`);
    });
    await this.page.click('[data-found]', { leads: false });
  }

  press(name, { exact = true } = {}) { return this.#click(BUTTONS, name, exact); }

  /** Types into a field in place of what is there. */
  async fill(label, text) {
    await this.#click(FIELDS, label, false);
    await this.page.evaluate(() => document.querySelector('[data-found]').select?.());
    if (text) await this.page.call('Input.insertText', { text });
    else await this.page.key('Delete');
  }

  async choose(label, option) {
    await this.#click(FIELDS, label, false);
    await this.press(option);
  }

  async keys(...names) {
    for (const name of names) {
      await this.page.key(name);
      // A list moves its focus in the next frame.
      await this.page.evaluate(() => new Promise((resolve) => { requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(resolve, 20))); }));
    }
  }

  sees(pattern) {
    return waitFor(async () => pattern.test(await this.page.text('body') ?? ''), { what: `${pattern}` }).catch(async (e) => {
      throw new Error(`${e.message}\n${this.page.problems.join('\n')}\n${await this.page.text('body')}`);
    });
  }

  /** Goes to a page by its link in the menu. */
  async go(name) {
    const isSmall = await this.page.evaluate(() => innerWidth < 960);
    if (isSmall) await this.press((await this.page.evaluate(() => document.documentElement.lang)) === 'ja' ? 'メニュー' : 'Menu');
    await this.#click('nav a', name, true); // behind it may be a number
    await waitFor(async () => (await this.page.evaluate(() => document.querySelector('h1')?.textContent)) === name, { what: `the page ${name}` });
  }

  /** With the password that was given: enrols an app, and chooses a password where it is asked for. */
  async signIn(name, words) {
    const { desk } = this;
    await this.fill(words.user, name);
    await this.fill(words.password, desk.passwords.get(name));
    await this.press(words.signIn);
    if (!desk.secrets.has(name)) {
      await this.sees(words.enrol);
      const secret = await waitFor(() => this.page.evaluate(() => document.querySelector('.secret')?.textContent), { what: 'the secret' });
      desk.secrets.set(name, secret);
      await this.fill(words.code, totp(secret));
      await this.press(words.confirm);
      await this.sees(words.recovery);
      await this.press(words.kept);
    } else {
      await this.sees(words.second);
      await this.fill(words.code, totp(desk.secrets.get(name), Date.now() + 30000)); // the one before was used
      await this.press(words.next);
    }
    await waitFor(() => this.page.evaluate(() => document.querySelector('nav') !== null || document.querySelector('input[name=new]') !== null), { what: 'to be in' });
    if (await this.page.evaluate(() => document.querySelector('input[name=new]') !== null)) {
      const next = `${randomBytes(12).toString('base64url')}-bY8`;
      await this.page.type('input[name=new]', next);
      await this.page.type('input[name=again]', next);
      desk.passwords.set(name, next);
      await this.press(words.savePassword);
      await waitFor(() => this.page.evaluate(() => document.querySelector('nav') !== null), { what: 'to be in' });
    }
  }

  /** What every page promises: nothing from elsewhere, nothing in the console, nothing that axe finds, no wider than the screen. */
  async check(what, { expected = /^$/ } = {}) {
    const { page, desk } = this;
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${what}: wider than the screen`);
    assert.deepEqual(page.requests.filter((u) => !u.startsWith(`${desk.base}/`) && !/^(about|blob|data):/.test(u)), [], `${what}: requests`);
    assert.deepEqual(page.problems.filter((p) => !expected.test(p)), [], `${what}: console`);
    assert.deepEqual(await page.accessibility(), [], what);
  }
}
