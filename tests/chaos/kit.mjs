// SPDX-License-Identifier: Apache-2.0
//
// What a chaos run stands on: the stack of tests/e2e with Sentinel, the spool on a small disk of its own, the relay that can
// fail in front of the MTA, and each service under a supervisor that starts it again whenever it ends, as systemd would.

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { ROOT, binDir, freePort, request, sleep, waitFor } from '../support/harness.mjs';
import { Sentinels } from '../integration/redis/kit.mjs';
import { Stack } from '../e2e/stack.mjs';
import { DOMAINS, RULES } from './mails.mjs';
import { seeded } from './random.mjs';
import { ChaosRelay } from './relay.mjs';

/** Which processes there are: workers twice, so that there is somebody who takes over. */
export const PROCESSES = ['ingest-1', 'render-1', 'render-2', 'upload-1', 'upload-2', 'rewrite-1', 'rewrite-2', 'revoke-1', 'watch-1', 'portal-1'];
const SHIMMED = /^(ingest|render|upload|rewrite|revoke)-/;
const AGAIN_MS = 300;

/** One line a happening: {at, what, ...}; kept in memory for the oracle, and in a file for people. */
export class Journal {
  constructor(file, echo) {
    this.events = [];
    this.file = fs.openSync(file, 'a');
    this.echo = echo;
  }

  note(what, more = {}) {
    const event = { at: Date.now(), what, ...more };
    this.events.push(event);
    const line = `${new Date(event.at).toISOString()} ${what} ${Object.entries(more).map(([k, v]) => `${k}=${typeof v === 'object' ? JSON.stringify(v) : v}`).join(' ')}\n`;
    fs.writeSync(this.file, line);
    if (this.echo?.test(what)) process.stderr.write(line);
    return event;
  }
}

/** A service that is started again whenever it ends. */
class Supervised {
  constructor(kit, name) {
    Object.assign(this, { kit, name, service: name.split('-')[0], lives: [], isWanted: true });
    this.disk = path.join(kit.control, `disk-${name}`);
    this.clock = path.join(kit.control, `clock-${name}`);
    fs.writeFileSync(this.disk, Buffer.alloc(2));
    fs.writeFileSync(this.clock, Buffer.alloc(8));
  }

  get pid() { return this.process?.pid; }
  get isRunning() { return Boolean(this.process) && this.process.exitCode === null && this.process.signalCode === null; }

  start() {
    const { kit } = this;
    const env = SHIMMED.test(this.name) && kit.shim
      ? { LD_PRELOAD: kit.shim, CHAOS_DISK: this.disk, CHAOS_CLOCK: this.clock, CHAOS_ROOT: kit.world.spoolDir } : {};
    const out = fs.openSync(path.join(kit.logs, `${this.name}.log`), 'a');
    this.process = kit.world.spawn(path.join(binDir(), `fumibako-${this.service}`), ['--config', kit.configs[this.name]], { env, stdio: ['ignore', out, out] });
    fs.closeSync(out);
    const life = { name: this.name, service: this.service, pid: this.process.pid, from: Date.now(), to: null, how: null, isOurs: false };
    this.lives.push(life);
    kit.lives.push(life);
    this.process.once('exit', (code, signal) => {
      Object.assign(life, { to: Date.now(), how: signal ?? code });
      if (!life.isOurs && this.isWanted) kit.journal.note('ended by itself', { name: this.name, pid: life.pid, how: life.how });
      if (this.isWanted) setTimeout(() => { if (this.isWanted) this.start(); }, life.to - life.from < 1000 ? 1000 : AGAIN_MS);
    });
  }

  signal(signal) {
    const life = this.lives.at(-1);
    if (!this.isRunning) return;
    if (signal === 'SIGKILL' || signal === 'SIGTERM') life.isOurs = true;
    this.process.kill(signal);
  }

  async ready(timeout = 180000) {
    await waitFor(async () => (await request(`http://127.0.0.1:${this.kit.ports[this.name]}/readyz`)).status === 200,
      { timeout, interval: 200, what: `${this.name} to be ready` });
  }

  async end() {
    this.isWanted = false;
    if (!this.isRunning) return;
    const gone = once(this.process, 'exit');
    this.signal('SIGCONT');
    this.signal('SIGTERM');
    const timer = setTimeout(() => this.process.kill('SIGKILL'), 40000);
    await gone;
    clearTimeout(timer);
  }
}

function buildShim(dir) {
  const file = path.join(dir, 'shim.so');
  const r = spawnSync('cc', ['-std=gnu11', '-O2', '-shared', '-fPIC', '-o', file, path.join(ROOT, 'tests/chaos/shim.c'), '-ldl'], { encoding: 'utf8' });
  if (r.status !== 0) throw new Error(`tests/chaos/shim.c: ${r.stderr}`);
  // The programs with sanitizers want their library first.
  const asan = /libasan\S*/.exec(spawnSync('ldd', [path.join(binDir(), 'fumibako-ingest')], { encoding: 'utf8' }).stdout ?? '')?.[0];
  return asan ? `${asan}:${file}` : file;
}

export class Kit {
  static async start({ seed, dir, users = 60, spoolMb = 3072, echo = null }) {
    const kit = new Kit();
    Object.assign(kit, { seed, dir, lives: [], logs: path.join(dir, 'logs'), control: path.join(dir, 'control') });
    for (const d of [kit.logs, kit.control]) fs.mkdirSync(d, { recursive: true });
    kit.journal = new Journal(path.join(dir, 'chaos.log'), echo);
    const relayPort = await freePort();
    kit.overrides = {
      ingest: { sweep_after: '30s' }, revoke: { settle: '2s' }, watch: { interval: '20s' },
      render: { concurrency: 2 }, upload: { concurrency: 8 }, rewrite: { concurrency: 8, relay: `smtp://127.0.0.1:${relayPort}` },
    };
    kit.stack = await Stack.start(null, {
      services: [], box: { users, check: false }, overrides: kit.overrides,
      redis: (where) => Sentinels.start(where, { args: ['--maxmemory', '6gb', '--maxmemory-policy', 'noeviction', '--min-replicas-to-write', '1', '--min-replicas-max-lag', '5'] }),
      policy: { rules: RULES, notices: { language: 'en' } },
      // A destination that was away for a moment is tried again soon: the run is hours of a real day in minutes.
      main: { minimal_backoff_time: '2s', maximal_backoff_time: '4s', queue_run_delay: '2s', default_destination_concurrency_failed_cohort_limit: '100',
        smtp_data_done_timeout: '30s', smtp_helo_timeout: '30s', smtp_rcpt_timeout: '30s', smtp_mail_timeout: '30s', smtp_data_init_timeout: '30s',
        smtp_data_xfer_timeout: '30s', smtp_connect_timeout: '10s', qmgr_message_active_limit: '40000', qmgr_message_recipient_limit: '60000', smtputf8_enable: 'no' },
    });
    kit.world = kit.stack.world;
    kit.redis = kit.world.redis;
    kit.relay = await ChaosRelay.start(relayPort, kit.stack.postfix.back, seeded('relay', seed), (a) => a.endsWith(`@${DOMAINS.unknown}`));
    kit.#mountSpool(spoolMb);
    kit.shim = buildShim(dir);
    kit.ports = {};
    kit.configs = {};
    kit.processes = {};
    for (const name of PROCESSES) {
      kit.ports[name] = await freePort();
      const overrides = { ...kit.stack.overrides, metrics: { listen: `127.0.0.1:${kit.ports[name]}` } };
      kit.configs[name] = path.join(dir, `${name}.yaml`);
      fs.writeFileSync(kit.configs[name], JSON.stringify(kit.world.config(name.split('-')[0], overrides), null, 2), { mode: 0o600 });
      kit.processes[name] = new Supervised(kit, name);
      kit.processes[name].start();
    }
    for (const p of Object.values(kit.processes)) await p.ready();
    return kit;
  }

  #mountSpool(mb) {
    const dir = this.world.spoolDir;
    fs.mkdirSync(dir, { recursive: true });
    this.spoolBytes = mb * 1048576;
    const r = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${this.spoolBytes},mode=700`, 'tmpfs', dir], { encoding: 'utf8' });
    if (r.status !== 0) throw new Error(`mount: ${r.stderr}`);
    this.world.atEnd(() => spawnSync('umount', ['-l', dir]));
  }

  /** The operator's command line. Waits no longer than so: under faults an answer may take long. */
  async ctl(args, timeout = 60000) {
    const child = spawn(path.join(binDir(), 'fumibako'), ['--config', this.stack.configFile, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    const out = [];
    let stderr = '';
    child.stdout.on('data', (c) => out.push(c));
    child.stderr.on('data', (c) => { stderr += c; });
    const timer = setTimeout(() => child.kill('SIGKILL'), timeout);
    const [status] = await once(child, 'close');
    clearTimeout(timer);
    const stdout = Buffer.concat(out).toString();
    return { status, stdout, stderr, json: () => JSON.parse(stdout) };
  }

  /** Everything at work, nothing faulty any more. */
  async allReady(timeout = 180000) {
    await waitFor(async () => (await this.redis.command('PING')) === 'PONG', { timeout, interval: 500, what: 'Redis' });
    for (const p of Object.values(this.processes)) await p.ready(timeout);
  }

  async end() {
    for (const p of Object.values(this.processes)) p.isWanted = false;
    await Promise.all(Object.values(this.processes).map((p) => p.end()));
    await this.stack.end();
    await this.relay.stop();
  }
}

/** Waits, and ends earlier when `signal.isOver`. */
export async function pause(ms, signal = {}) {
  const end = Date.now() + ms;
  while (Date.now() < end && !signal.isOver) await sleep(Math.min(200, Math.max(0, end - Date.now())));
}
