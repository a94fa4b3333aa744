// SPDX-License-Identifier: Apache-2.0
//
// Other programs that make PDFs of HTML, as people use them.  They get what Chromium gets from us: the prepared document,
// images within it, our fonts.
//
//   weasyprint     Debian's, one Python (Debian's, too) that stays
//   weasyprint cold, wkhtmltopdf (Debian 12 has it, 13 does not): a process for each mail
//   new target     one Chromium that stays, a page of its own for each mail, as drivers by pipe do it by default
//
// What is not there is installed where that can be done; what cannot be had is named and left out.

import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import { ROOT, binDir } from '../../support/harness.mjs';
import { progress } from '../lib.mjs';
import { Meter, cpuOf, sizeOf, treeOf } from './meter.mjs';

const TIMEOUT = 60000;
const KIT = path.join(ROOT, 'tests/bench/kit');

/** The command of a Debian package, installed when it is missing; null where it cannot be had. */
export function peer(command) {
  const has = () => spawnSync('sh', ['-c', `command -v ${command}`]).status === 0;
  if (has()) return command;
  const candidate = spawnSync('apt-cache', ['policy', command], { encoding: 'utf8' }).stdout ?? '';
  if (process.getuid() === 0 && /Candidate: [^(]/.test(candidate)) {
    progress(`installing ${command}`);
    spawnSync('apt-get', ['-o', 'DPkg::Lock::Timeout=300', 'install', '-y', '-qq', '--no-install-recommends', command],
      { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }, timeout: 600000 });
  }
  if (has()) return command;
  progress(`${command}: not here and not to be had (Debian 13 has no wkhtmltopdf; others need root): left out`);
  return null;
}

/** Mails as documents, files in dir that need no other; mails without HTML are left out. */
export function documentsOf(files, dir) {
  fs.mkdirSync(dir, { recursive: true });
  fs.chmodSync(dir, 0o755);
  const r = spawnSync(path.join(binDir(), 'render-paint'), ['-d', '-o', dir, ...files], { encoding: 'utf8', maxBuffer: 1 << 26 });
  if (r.status !== 0) throw new Error(`render-paint -d: ${r.stderr}`);
  return r.stdout.split('\n').filter(Boolean).map((line) => {
    const { index, images } = JSON.parse(line);
    const file = path.join(dir, `${index}.html`);
    const html = fs.readFileSync(file, 'utf8').replace(/"cid:(\d+)"/g, (whole, n) => (images[n] === undefined ? whole
      : `"data:${images[n]};base64,${fs.readFileSync(path.join(dir, `${index}-${n}`)).toString('base64')}"`));
    fs.writeFileSync(file, html, { mode: 0o644 });
    return file;
  });
}

/** A process that puts itself into the meter's group: what it starts cannot come before it is counted. */
function launch(meter, command, args, options) {
  if (meter.procs) return spawn('sh', ['-c', 'echo $$ >"$0" && exec "$@"', meter.procs, command, ...args], options);
  const child = spawn(command, args, options);
  meter.add(child.pid);
  return child;
}

const summary = (results, cpu, memory) => {
  const painted = results.filter((r) => r.status === 'ok');
  const ms = painted.flatMap((r) => r.ms).sort((a, b) => a - b);
  return { perCpuSecond: painted.length / cpu, p99_ms: ms[Math.floor(ms.length * 0.99)] ?? 0, memory,
    bytes: painted.reduce((sum, r) => sum + r.bytes, 0) / (painted.length || 1), results, failed: results.length - painted.length };
};

/** The processes of a tree, looked at while it works: the most that they had at once. */
function watchMemory(pid) {
  let most = 0;
  const look = () => { most = Math.max(most, treeOf(pid).reduce((sum, p) => sum + (sizeOf(p)?.memory ?? 0), 0)); };
  const timer = setInterval(look, 200);
  return () => { look(); clearInterval(timer); return most; };
}

/** One that stays: `ready`, a line, a JSON object for each file, `done`, a line. */
export async function stays(command, args, { env = {}, rounds = 1 } = {}) {
  const meter = Meter.create();
  const child = launch(meter, command, args, { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, ...env } });
  const exit = new Promise((resolve) => { child.on('exit', resolve); });
  const results = [];
  let cpu = 0;
  let most = () => 0;
  let memory = 0;
  for await (const line of readline.createInterface({ input: child.stdout })) {
    if (line === 'ready') {
      cpu = meter.seconds();
      most = watchMemory(child.pid);
      child.stdin.write('\n');
    } else if (line.includes('"done"')) {
      cpu = meter.seconds() - cpu;
      memory = most();
      child.stdin.write('\n');
    } else results.push(JSON.parse(line));
  }
  await exit;
  meter.end();
  return summary(results, cpu / rounds, memory);
}

export const weasyStays = (documents, conf) => stays('/usr/bin/python3', [path.join(KIT, 'weasy.py'), ...documents], { env: { FONTCONFIG_FILE: conf } });

/** A process for each. */
export async function each(argsOf, documents, conf) {
  const meter = Meter.create();
  const results = [];
  let memory = 0;
  const seconds = () => (meter.dir ? meter.seconds() : cpuOf(process.pid)); // else only what was waited for counts: see Meter
  const before = seconds();
  for (const file of documents) {
    const out = `${file}.pdf`;
    const [command, ...args] = argsOf(file, out);
    const begun = performance.now();
    const child = launch(meter, command, args, { stdio: 'ignore', env: { ...process.env, FONTCONFIG_FILE: conf, QT_QPA_PLATFORM: 'offscreen' } });
    const exit = new Promise((resolve) => { child.on('exit', resolve); child.on('error', resolve); });
    const most = watchMemory(child.pid);
    const timer = setTimeout(() => child.kill('SIGKILL'), TIMEOUT);
    await exit;
    clearTimeout(timer);
    memory = Math.max(memory, most());
    const isDone = fs.existsSync(out);
    results.push({ file, status: isDone ? 'ok' : 'failed', ms: [performance.now() - begun], bytes: isDone ? fs.statSync(out).size : 0 });
    fs.rmSync(out, { force: true });
  }
  const cpu = seconds() - before;
  meter.end();
  return summary(results, cpu, memory);
}

/** Chromium's protocol by pipe, as little of it as a new page for each document needs. */
class Browser {
  async start(conf) {
    const id = (flag) => Number(spawnSync('id', [flag, 'nobody']).stdout.toString());
    this.home = fs.mkdtempSync('/tmp/fumibako-newtarget-');
    fs.chmodSync(this.home, 0o777);
    this.meter = Meter.create();
    this.process = launch(this.meter, 'chromium-headless-shell', ['--remote-debugging-pipe', `--user-data-dir=${this.home}`, '--disable-gpu',
      '--disable-dev-shm-usage', '--no-first-run'], { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'], detached: true,
      env: { ...process.env, HOME: this.home, FONTCONFIG_FILE: conf }, ...(process.getuid() === 0 ? { uid: id('-u'), gid: id('-g') } : {}) });
    this.waiting = new Map();
    this.next = 0;
    let text = '';
    this.process.stdio[4].on('data', (c) => {
      text += c;
      const parts = text.split('\0');
      text = parts.pop();
      for (const message of parts.map((p) => JSON.parse(p))) {
        const resolve = this.waiting.get(message.id ?? `${message.sessionId} ${message.method}`);
        resolve?.(message.result ?? message.params ?? {});
      }
    });
    await this.call('Browser.getVersion');
  }

  wait(key) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => { this.waiting.delete(key); reject(new Error(`Chromium: ${key} does not come`)); }, TIMEOUT);
      this.waiting.set(key, (value) => { clearTimeout(timer); this.waiting.delete(key); resolve(value); });
    });
  }

  call(method, params = {}, sessionId = undefined) {
    const id = ++this.next;
    const answer = this.wait(id);
    this.process.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    return answer;
  }

  async print(file) {
    const { targetId } = await this.call('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await this.call('Target.attachToTarget', { targetId, flatten: true });
    const call = (method, params) => this.call(method, params, sessionId);
    await call('Page.enable');
    await call('Emulation.setScriptExecutionDisabled', { value: true });
    await call('Emulation.setEmulatedMedia', { media: 'screen' });
    const { frameTree } = await call('Page.getFrameTree');
    const loaded = this.wait(`${sessionId} Page.loadEventFired`);
    await call('Page.setDocumentContent', { frameId: frameTree.frame.id, html: fs.readFileSync(file, 'utf8') });
    await loaded;
    const { data } = await call('Page.printToPDF', { preferCSSPageSize: true, printBackground: true, generateTaggedPDF: false });
    await this.call('Target.closeTarget', { targetId });
    return Buffer.from(data ?? '', 'base64').length;
  }

  end() {
    try { process.kill(-this.process.pid, 'SIGKILL'); } catch { /* gone */ }
    this.meter.end();
    fs.rmSync(this.home, { recursive: true, force: true });
  }
}

export async function newTargets(documents, conf) {
  const browser = new Browser();
  await browser.start(conf);
  try {
    await browser.print(documents[0]);
    const results = [];
    const most = watchMemory(browser.process.pid);
    const cpu = browser.meter.seconds();
    for (const file of documents) {
      const begun = performance.now();
      let bytes = 0;
      try { bytes = await browser.print(file); } catch (error) { progress(error.message); }
      results.push({ file, status: bytes > 0 ? 'ok' : 'failed', ms: [performance.now() - begun], bytes });
    }
    return summary(results, browser.meter.seconds() - cpu, most());
  } finally {
    browser.end();
  }
}
