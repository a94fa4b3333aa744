// SPDX-License-Identifier: Apache-2.0
//
// A real browser for the tests of pages: Debian's headless Chromium, driven over its pipe (DevTools protocol), each with a
// profile of its own. Keys and clicks are real input events; scripts of the page can be switched off.
//
//   const browser = await Browser.start(t);
//   const page = await browser.page({ width: 375, language: 'ja', dark: true, scripts: false });
//   await page.open(url);
//   await page.click('button[value=all]');       // waits for the next page
//   await page.text('main');

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createRequire } from 'node:module';
import { remove } from '../support/harness.mjs';

const WAIT = 90000; // for what must come, however busy the machine is
const NOBODY = 65534;
const KEYS = { Tab: { code: 9 }, Enter: { code: 13, text: '\r' }, ' ': { code: 32, text: ' ' },
  Escape: { code: 27 }, Delete: { code: 46 }, ArrowUp: { code: 38 }, ArrowRight: { code: 39 }, ArrowDown: { code: 40 } };

export class Browser {
  #next = 1;
  #waiting = new Map();
  #listeners = new Set();
  #input = Buffer.alloc(0);

  static async start(t) {
    const browser = new Browser();
    browser.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'fumibako-browser-'));
    // Chromium's sandbox does not start as root; nothing here switches it off.
    const isRoot = process.getuid() === 0;
    if (isRoot) fs.chownSync(browser.dir, NOBODY, NOBODY);
    browser.process = spawn('/usr/bin/chromium-headless-shell', ['--headless', '--remote-debugging-pipe', '--disable-gpu',
      '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
      '--disable-dev-shm-usage', '--disable-breakpad', '--font-render-hinting=none', '--hide-scrollbars',
      '--host-resolver-rules=MAP localhost 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1', '--no-proxy-server',
      `--user-data-dir=${browser.dir}/profile`, 'about:blank'],
    { detached: true, stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'], ...(isRoot ? { uid: NOBODY, gid: NOBODY } : {}),
      env: { HOME: browser.dir, TMPDIR: browser.dir, PATH: '/usr/bin:/bin', LANG: 'C.UTF-8' } });
    browser.process.on('error', () => {});
    process.on('exit', browser.#kill);
    browser.process.stdio[3].on('error', () => {});
    browser.process.stdio[4].on('data', (c) => browser.#take(c));
    t?.after(() => browser.stop());
    await browser.call('Browser.getVersion');
    return browser;
  }

  #take(chunk) {
    this.#input = Buffer.concat([this.#input, chunk]);
    for (;;) {
      const end = this.#input.indexOf(0);
      if (end < 0) return;
      const message = JSON.parse(this.#input.subarray(0, end).toString());
      this.#input = this.#input.subarray(end + 1);
      if (message.id) {
        const waiter = this.#waiting.get(message.id);
        this.#waiting.delete(message.id);
        if (message.error) waiter?.reject(new Error(`${waiter.method}: ${message.error.message}`));
        else waiter?.resolve(message.result);
      } else {
        for (const listener of this.#listeners) listener(message);
      }
    }
  }

  /** One command; rejected after a time. */
  call(method, params = {}, sessionId) {
    return new Promise((resolve, reject) => {
      const id = this.#next++;
      const timer = setTimeout(() => reject(new Error(`${method}: no answer within ${WAIT} ms`)), WAIT);
      const done = (fn) => (value) => { clearTimeout(timer); fn(value); };
      this.#waiting.set(id, { method, resolve: done(resolve), reject: done(reject) });
      this.process.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    });
  }

  listen(fn) { this.#listeners.add(fn); }
  unlisten(fn) { this.#listeners.delete(fn); }

  /** A page in a context of its own: cookies are shared with nobody, unless another page's context is given. */
  async page({ width = 1200, height = 900, language = 'en', dark = false, scripts = false, context = null, headers = {} } = {}) {
    const browserContextId = context ?? (await this.call('Target.createBrowserContext')).browserContextId;
    const { targetId } = await this.call('Target.createTarget', { url: 'about:blank', browserContextId });
    const { sessionId } = await this.call('Target.attachToTarget', { targetId, flatten: true });
    const page = new Page(this, sessionId, browserContextId, targetId);
    await page.call('Page.enable');
    await page.call('Runtime.enable');
    await page.call('Log.enable');
    await page.call('Network.enable');
    await page.call('Network.setExtraHTTPHeaders', { headers: { 'Accept-Language': language, ...headers } });
    await page.call('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: width < 600 });
    await page.call('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: dark ? 'dark' : 'light' }] });
    if (!scripts) await page.call('Emulation.setScriptExecutionDisabled', { value: true });
    return page;
  }

  // With its children, which are in its process group.
  #kill = () => {
    if (this.process.exitCode === null && this.process.signalCode === null && this.process.pid) {
      process.kill(-this.process.pid, 'SIGKILL');
    }
  };

  async stop() {
    const ended = this.process.exitCode ?? this.process.signalCode ?? once(this.process, 'exit');
    this.#kill();
    await ended;
    process.off('exit', this.#kill);
    for (const pipe of this.process.stdio) pipe?.destroy(); // a child may still hold the other end
    remove(this.dir); // its children end a moment later than it does, and may still write
  }
}

class Page {
  problems = []; // what the browser's console says: refused styles, blocked requests, errors of scripts
  requests = []; // every URL that was asked for

  constructor(browser, session, context, target) {
    Object.assign(this, { browser, session, context, target });
    browser.listen((m) => {
      if (m.sessionId !== session) return;
      if (m.method === 'Log.entryAdded' && m.params.entry.level === 'error') this.problems.push(m.params.entry.text);
      if (m.method === 'Runtime.exceptionThrown') this.problems.push(m.params.exceptionDetails.exception?.description ?? m.params.exceptionDetails.text);
      if (m.method === 'Runtime.consoleAPICalled' && m.params.type === 'error') {
        this.problems.push(m.params.args.map((a) => a.value ?? a.description).join(' '));
      }
      if (m.method === 'Network.requestWillBeSent') this.requests.push(m.params.request.url);
      if (m.method === 'Network.responseReceived' && m.params.type === 'Document') this.status = m.params.response.status;
    });
  }

  call(method, params) { return this.browser.call(method, params, this.session); }

  async #loaded(start) {
    await Promise.all([this.loaded(), start()]);
  }

  /** The load event of another document than this one: that of the first, empty page may come late. */
  loaded() {
    return new Promise((resolve, reject) => {
      let isOther = false;
      const end = (fn) => (value) => { clearTimeout(timer); this.browser.unlisten(listener); fn(value); };
      const timer = setTimeout(() => end(reject)(new Error('no page was loaded')), WAIT);
      const listener = (m) => {
        if (m.sessionId !== this.session) return;
        if (m.method === 'Page.frameNavigated' && !m.params.frame.parentId) isOther = true;
        else if (m.method === 'Page.loadEventFired' && isOther) end(resolve)();
      };
      this.browser.listen(listener);
    });
  }

  close() { return this.browser.call('Target.closeTarget', { targetId: this.target }); }

  open(url) { return this.#loaded(() => this.call('Page.navigate', { url })); }
  reload() { return this.#loaded(() => this.call('Page.reload')); }

  /** fn runs in the page, whether or not its own scripts may. */
  async evaluate(fn, ...args) {
    const { result, exceptionDetails } = await this.call('Runtime.evaluate', { returnByValue: true, awaitPromise: true,
      expression: `(${fn})(${args.map((a) => JSON.stringify(a)).join(',')})` });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  text(selector) { return this.evaluate((s) => document.querySelector(s)?.innerText ?? null, selector); }
  url() { return this.evaluate(() => location.href); }

  async #middle(selector) {
    return this.evaluate((s) => {
      const e = document.querySelector(s);
      if (!e) throw new Error(`there is no ${s}`);
      e.scrollIntoView({ block: 'center' });
      const { x, y, width, height } = e.getBoundingClientRect();
      return { x: x + width / 2, y: y + height / 2 };
    }, selector);
  }

  /** A click of the mouse; with leads, the next page is waited for. */
  async click(selector, { leads = true, times = 1 } = {}) {
    const { x, y } = await this.#middle(selector);
    const press = async () => {
      for (let i = 1; i <= times; i++) {
        for (const type of ['mousePressed', 'mouseReleased']) {
          await this.call('Input.dispatchMouseEvent', { type, x, y, button: 'left', clickCount: i });
        }
      }
    };
    await (leads ? this.#loaded(press) : press());
  }

  async type(selector, text) {
    await this.click(selector, { leads: false });
    await this.call('Input.insertText', { text });
  }

  async key(key, code = key) {
    for (const type of ['keyDown', 'keyUp']) {
      await this.call('Input.dispatchKeyEvent', { type, key, code, ...(type === 'keyDown' && KEYS[key].text ? { text: KEYS[key].text } : {}),
        windowsVirtualKeyCode: KEYS[key].code });
    }
  }

  /** Chooses files in a field; the browser's user must be able to read them. */
  async choose(selector, files) {
    const { root } = await this.call('DOM.getDocument');
    const { nodeId } = await this.call('DOM.querySelector', { nodeId: root.nodeId, selector });
    await this.call('DOM.setFileInputFiles', { nodeId, files });
  }

  /** A click that begins a download: {name, bytes}. */
  async download(selector) {
    const dir = fs.mkdtempSync(path.join(this.browser.dir, 'download-'));
    fs.chmodSync(dir, 0o777);
    await this.browser.call('Browser.setDownloadBehavior', { behavior: 'allow', browserContextId: this.context, downloadPath: dir,
      eventsEnabled: true });
    let begun = null;
    const done = new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('no download')), WAIT);
      this.browser.listen((m) => {
        if (m.method === 'Browser.downloadWillBegin') begun = m.params;
        if (m.method !== 'Browser.downloadProgress' || m.params.state === 'inProgress') return;
        clearTimeout(timer);
        (m.params.state === 'completed' ? resolve : reject)(new Error(`the download was ${m.params.state}`));
      });
    });
    await Promise.all([done, this.click(selector, { leads: false })]);
    return { name: begun.suggestedFilename, bytes: fs.readFileSync(path.join(dir, fs.readdirSync(dir)[0])) };
  }

  async screenshot(file) {
    const { cssContentSize } = await this.call('Page.getLayoutMetrics');
    const { data } = await this.call('Page.captureScreenshot', { captureBeyondViewport: true,
      clip: { x: 0, y: 0, width: cssContentSize.width, height: cssContentSize.height, scale: 1 } });
    fs.writeFileSync(file, Buffer.from(data, 'base64'));
  }

  /** What axe-core finds of WCAG 2.0 to 2.2, A and AA: rule, and where. */
  async accessibility() {
    const source = fs.readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
    await this.call('Emulation.setScriptExecutionDisabled', { value: false }); // axe waits, which needs timers
    await this.call('Runtime.evaluate', { expression: source });
    return this.evaluate(async () => {
      const { violations } = await window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] });
      return violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(' | ')}`);
    });
  }
}
