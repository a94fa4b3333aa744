// SPDX-License-Identifier: Apache-2.0
//
// The Box simulator, and the storage in a process of its own (bin/box_drive) that a test commands and can kill.

import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { binDir, freePort, Redis, ROOT, waitFor } from '../../support/harness.mjs';

const require = createRequire(import.meta.url);
const harness = require(path.join(ROOT, 'tests/boxsim/harness.js'));

export const checkDir = harness.specificationDir();
if (!checkDir) {
  console.log('# requests are not checked against the specification: set FUMIBAKO_SHARED to a folder that has box/boxcheck.js');
}

/** Times of the storage, shortened: a test does not wait for a real back-off. */
export const FAST = { backoff_ms: 20, patience_ms: 4000, commit_ms: 30000, call_ms: 60000, low_speed_s: 30 };

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
let counter = 0;

/** A parcel id that no other test has. */
export function parcelId(branch = 0) {
  let text = '01';
  for (let i = 0; i < 18; i++) text += ALPHABET[Math.floor(Math.random() * 32)];
  counter++;
  for (let n = counter, i = 0; i < 6; i++, n = Math.floor(n / 32)) text += ALPHABET[n % 32];
  return `${text}-${branch}`;
}

/** A simulator that ends with the test; its check of every request is part of the test. */
export async function startSim(t, { settings = { rate: 'off' }, users = 0, violations = true } = {}) {
  const args = [...(users ? ['--users', String(users)] : []), ...(checkDir ? ['--check', checkDir] : [])];
  const sim = await harness.start({ args, settings });
  t.after(async () => {
    const state = violations && checkDir ? await sim.state('violations') : null;
    await sim.stop('SIGKILL');
    const bad = state?.violations ?? [];
    if (bad.length > 0) throw new Error(`Box's specification: ${JSON.stringify(bad).slice(0, 2000)}`);
  });
  sim.storage = (more = {}) => ({
    name: 'box',
    auth_file: sim.configFile,
    root_folder: '0',
    api_url: `${sim.base}/2.0`,
    upload_url: `${sim.base}/upload/api/2.0`,
    token_url: `${sim.base}/oauth2/token`,
    ...more,
  });
  return sim;
}

export class Drive {
  static start(t, { env = {} } = {}) {
    const drive = new Drive();
    drive.child = spawn(path.join(binDir(), 'box_drive'), [], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ASAN_OPTIONS: 'detect_leaks=0:quarantine_size_mb=1:abort_on_error=0', ...env },
    });
    drive.output = '';
    drive.waiting = [];
    drive.exited = once(drive.child, 'exit');
    drive.child.stderr.on('data', (c) => { drive.output += c; });
    drive.child.stdin.on('error', () => {});
    const lines = readline.createInterface({ input: drive.child.stdout });
    lines.on('line', (line) => drive.waiting.shift()?.resolve(JSON.parse(line)));
    drive.child.on('exit', (code, signal) => {
      for (const w of drive.waiting.splice(0)) {
        w.reject(new Error(`box_drive ended (${code ?? signal}): ${drive.output.slice(0, 4000)}`));
      }
    });
    t?.after(() => drive.kill());
    return drive;
  }

  /** One command; resolves with its answer whatever its status is. */
  ask(op, args = {}, timeout = 120000) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${op}: no answer: ${this.output}`)), timeout);
      const done = (f) => (x) => { clearTimeout(timer); f(x); };
      this.waiting.push({ resolve: done(resolve), reject: done(reject) });
      this.child.stdin.write(`${JSON.stringify({ op, ...args })}\n`);
    });
  }

  /** As ask, but the status must be ok. */
  async do(op, args = {}, timeout) {
    const answer = await this.ask(op, args, timeout);
    if (answer.status !== 'ok') throw new Error(`${op}: ${answer.status}: ${answer.error}\n${this.output}`);
    return answer;
  }

  async kill() {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill('SIGKILL');
    await this.exited;
  }

  /** End of input: the process ends by itself, so that a sanitizer can complain. */
  async end() {
    this.child.stdin.end();
    const [code] = await this.exited;
    if (code !== 0) throw new Error(`box_drive ended with ${code}: ${this.output}`);
  }
}

/** A drive with its session open. */
export async function openDrive(t, sim, { storage = {}, redis, times = FAST, env } = {}) {
  const drive = Drive.start(t, { env });
  await drive.do('open', { storage: sim.storage(storage), redis, times });
  return drive;
}

/** A Redis of the test's own. */
export async function startRedis(t) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'fumibako-test-'));
  const redis = new Redis(dir, await freePort());
  await redis.start();
  t.after(async () => {
    await redis.stop();
    fs.rmSync(dir, { recursive: true, force: true });
  });
  return redis;
}

/** Folder, files, collaborations and link of one parcel as the simulator has them. */
export async function look(sim, id) {
  const state = await sim.state();
  const folders = state.folders.filter((f) => f.name.toLowerCase() === `m-${id}`.toLowerCase());
  const folder = folders[0];
  return {
    state,
    folders,
    folder,
    files: state.files.filter((f) => folder && f.parent === folder.id),
    collaborations: state.collaborations.filter((c) => folder && c.item.id === folder.id),
    links: state.shared_links.filter((l) => folder && l.item.id === folder.id),
  };
}

export { waitFor };
