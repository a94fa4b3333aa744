// SPDX-License-Identifier: Apache-2.0
//
// What every test against running programs needs: a temporary world with its own Redis and ports, services
// started from the built binaries with a generated configuration, and small clients for SMTP, Redis and HTTP.
// No packages: Node 18's own modules only.
//
//   test('...', async (t) => {
//     const world = await World.create(t);            // temp dir; everything in it ends with the test
//     await world.startRedis();
//     const ingest = await world.start('ingest', { ingest: { max_recipients: 5 } });
//     const smtp = await Smtp.connect(world.ports.smtp);
//     ...
//   });
//
// FB_BIN names the folder of the programs; else the first of build/{asan,dev,release}/bin that exists.

import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import dgram from 'node:dgram';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import tls from 'node:tls';
import { fileURLToPath } from 'node:url';

export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');

// Ended from outside, a test still runs its exit handlers: no process is left behind.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.once(signal, () => process.exit(1));

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Removes a folder in which somebody who is just ending may still write. */
export const remove = (dir) => fs.rmSync(dir, { recursive: true, force: true, maxRetries: 10 });

/** Returns at once but shortly before midnight (UTC): what is counted as of today is not to be counted over it. */
export async function awayFromMidnight(ms = 120000) {
  const left = 86400000 - Date.now() % 86400000;
  if (left < ms) await sleep(left + 100);
}

/** The folder of the built programs. */
export function binDir() {
  if (process.env.FB_BIN) return path.resolve(process.env.FB_BIN);
  for (const preset of ['asan', 'dev', 'release']) {
    const dir = path.join(ROOT, 'build', preset, 'bin');
    if (fs.existsSync(dir)) return dir;
  }
  throw new Error('no programs found: build a preset first, or set FB_BIN');
}

// Below the range from which the kernel takes ports for outgoing connections (net.ipv4.ip_local_port_range): a port that
// is free now must not be somebody's client a second later.
const FIRST_PORT = 10000;
const LAST_PORT = 32000;

// A test may open a port long after it was told its number.  So it is kept from the tests beside it: whoever has the UDP
// port of that number, which nobody needs, has the TCP port.  The kernel frees it with the process.
const kept = new Map();

async function keepPort(port) {
  const socket = dgram.createSocket('udp4');
  const isMine = await new Promise((resolve) => {
    socket.once('error', () => resolve(false));
    socket.bind({ port, address: '127.0.0.1', exclusive: true }, () => resolve(true));
  });
  if (isMine) kept.set(port, socket.unref());
  else socket.close();
  return isMine;
}

function giveBackPorts(ports) {
  for (const port of ports) {
    kept.get(port)?.close();
    kept.delete(port);
  }
}

const isFree = (port) => new Promise((resolve) => {
  const server = net.createServer();
  server.once('error', () => resolve(false));
  server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
});

/** Port numbers that nobody uses, and no other test is given while this process lives. */
export async function freePorts(count) {
  const ports = [];
  for (let tries = 0; ports.length < count; tries++) {
    if (tries > 1000) throw new Error('no free ports');
    const port = FIRST_PORT + randomBytes(4).readUInt32LE() % (LAST_PORT - FIRST_PORT);
    if (!await keepPort(port)) continue;
    if (await isFree(port)) ports.push(port);
    else giveBackPorts([port]);
  }
  return ports;
}

/** The ports of deploy/local at its offset 0. */
const LOCAL_PORTS = [16379, 10025, 10026, 10080, 18080, 8080, 8081, 9101, 9102, 9103, 9104, 9105, 9106, 9107, 9108];

/** A --port-offset for deploy/local at which all its ports are free, and none is one of `avoid`. */
export async function freeOffset(avoid = []) {
  for (let tries = 0; tries < 100; tries++) {
    const offset = 1000 + randomBytes(2).readUInt16LE() % 12500; // all of them below LAST_PORT
    const ports = LOCAL_PORTS.map((p) => p + offset);
    if (ports.some((p) => avoid.includes(p))) continue;
    const mine = [];
    for (const p of ports) if (await keepPort(p)) mine.push(p);
    if (mine.length === ports.length && !(await Promise.all(ports.map(isFree))).includes(false)) return offset;
    giveBackPorts(mine);
  }
  throw new Error('no ports are free');
}

export const freePort = async () => (await freePorts(1))[0];

// How long a test waits for what must come, unless it says otherwise.  It is no measure of anything: what comes late on a
// busy machine has come, and only what never comes takes this long.
const PATIENCE_MS = 60000;

/** What fn reads of files, or `none` where one of them went meanwhile. */
export function unlessGone(fn, none = null) {
  try { return fn(); } catch (e) { if (e.code === 'ENOENT') return none; throw e; }
}

/** Repeats fn until it gives something truthy; exceptions count as "not yet". */
export async function waitFor(fn, { timeout = PATIENCE_MS, interval = 25, what = 'condition' } = {}) {
  const deadline = Date.now() + timeout;
  let last;
  for (;;) {
    try {
      const value = await fn();
      if (value) {
        // What a program wrote before it did what was waited for, its log above all, lies in our pipes now and is read.
        await new Promise(setImmediate);
        return value;
      }
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) {
      throw new Error(`waited ${timeout} ms for ${what}${last ? `: ${last.message}` : ''}`);
    }
    await sleep(interval);
  }
}

/** Bytes from a socket, consumed by need; every wait has a time-out. */
class Reader {
  #chunks = [];
  #waiters = [];
  #error = null;
  #ended = false;

  constructor(socket) {
    socket.on('data', (chunk) => { this.#chunks.push(chunk); this.#wake(); });
    socket.on('end', () => { this.#ended = true; this.#wake(); });
    socket.on('close', () => { this.#ended = true; this.#wake(); });
    socket.on('error', (error) => { this.#error = error; this.#wake(); });
  }

  #wake() {
    for (const waiter of this.#waiters.splice(0)) waiter();
  }

  get isEnded() { return this.#ended || this.#error !== null; }
  get error() { return this.#error; }

  /** take(buffer) gives how many bytes it uses (0 = more needed); resolves with them, or null at the end. */
  async take(take, timeout) {
    const deadline = Date.now() + timeout;
    for (;;) {
      const all = this.#chunks.length === 1 ? this.#chunks[0] : Buffer.concat(this.#chunks);
      const n = take(all);
      if (n > 0) {
        this.#chunks = all.length > n ? [all.subarray(n)] : [];
        return all.subarray(0, n);
      }
      this.#chunks = all.length > 0 ? [all] : [];
      if (this.isEnded) return null;
      const left = deadline - Date.now();
      if (left <= 0) throw new Error(`no answer within ${timeout} ms, have ${JSON.stringify(all.toString())}`);
      let timer;
      await new Promise((resolve) => {
        this.#waiters.push(resolve);
        timer = setTimeout(resolve, left);
      });
      clearTimeout(timer);
    }
  }
}

/** A reply of SMTP: code 250, enhanced "2.0.0" (or ""), lines without code, text of all lines. */
export class SmtpReply {
  constructor(raw) {
    const lines = raw.toString('utf8').split('\r\n').filter((l) => l.length > 0);
    this.code = Number(lines[0].slice(0, 3));
    this.lines = lines.map((l) => l.slice(4));
    this.text = this.lines.join('\n');
    this.enhanced = /^[245]\.\d+\.\d+/.exec(this.text)?.[0] ?? '';
    /** id of "250 2.0.0 <id> queued" */
    this.id = /^2\.0\.0 ([0-9A-Z]{26}) queued/.exec(this.text)?.[1] ?? null;
  }
}

/** A bare SMTP or LMTP client: sends exactly what it is told. */
export class Smtp {
  static async connect(port, { host = '127.0.0.1', timeout = PATIENCE_MS, localAddress } = {}) {
    const socket = net.connect({ port, host, localAddress });
    const smtp = new Smtp(socket, timeout);
    smtp.greeting = await smtp.read();
    if (smtp.greeting === null) throw smtp.reader.error ?? new Error('the peer closed without a greeting');
    return smtp;
  }

  constructor(socket, timeout) {
    this.timeout = timeout;
    this.#use(socket);
  }

  #use(socket) {
    this.socket = socket;
    socket.setNoDelay?.(true);
    this.reader = new Reader(socket);
  }

  /** The next reply, or null when the peer closed. */
  async read() {
    const raw = await this.reader.take((buffer) => {
      let at = 0;
      for (;;) {
        const end = buffer.indexOf('\r\n', at);
        if (end < 0) return 0;
        if (buffer[at + 3] !== 0x2d) return end + 2; // not '-': the last line
        at = end + 2;
      }
    }, this.timeout);
    return raw === null ? null : new SmtpReply(raw);
  }

  write(bytes) {
    this.socket.write(bytes);
  }

  async cmd(line) {
    this.write(`${line}\r\n`);
    return this.read();
  }

  /** One mail; content is sent as it is (dots stuffed), gives the reply to the final dot, or the first refusal. */
  async send({ from = 'a@example.jp', to = ['b@example.com'], content = 'Subject: test\r\n\r\nbody\r\n',
    helo = 'EHLO client.example' } = {}) {
    if (helo && !this.greeted) {
      const reply = await this.cmd(helo);
      if (reply.code !== 250) return reply;
      this.greeted = true;
    }
    for (const line of [`MAIL FROM:<${from}>`, ...[to].flat().map((r) => `RCPT TO:<${r}>`)]) {
      const reply = await this.cmd(line);
      if (reply === null || reply.code !== 250) return reply;
    }
    const data = await this.cmd('DATA');
    if (data === null || data.code !== 354) return data;
    const bytes = Buffer.from(content);
    const text = bytes.toString('latin1').replace(/(^|\r\n)\./g, '$1..');
    this.write(Buffer.from(text, 'latin1'));
    return this.cmd(text.endsWith('\r\n') ? '.' : '\r\n.');
  }

  /** STARTTLS and the handshake; options as of tls.connect(). */
  async starttls(options = {}) {
    const reply = await this.cmd('STARTTLS');
    if (reply.code !== 220) return reply;
    this.socket.removeAllListeners('data');
    const secure = tls.connect({ socket: this.socket, rejectUnauthorized: false, ...options });
    await once(secure, 'secureConnect');
    this.#use(secure);
    this.greeted = false;
    return reply;
  }

  /** Resolves true when the peer closes within the time. */
  async closed(timeout = this.timeout) {
    return (await this.reader.take(() => 0, timeout)) === null;
  }

  close() {
    this.socket.destroy();
  }
}

/** A Redis process of the test's own, and a client connection to it. */
export class Redis {
  constructor(dir, port) {
    this.dir = dir;
    this.port = port;
    this.url = `redis://127.0.0.1:${port}/0`;
    this.client = null;
    this.always = []; // arguments of each start
  }

  async start(extra = []) {
    this.process = spawn('redis-server', ['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.dir,
      '--save', '', '--appendonly', 'no', '--daemonize', 'no', ...this.always, ...extra], { stdio: 'ignore' });
    this.exited = once(this.process, 'exit');
    await waitFor(async () => !this.isRunning || (await this.command('PING')) === 'PONG', { what: 'redis-server' });
    if (!this.isRunning) throw new Error(`redis-server on port ${this.port} ended at once`);
  }

  get isRunning() { return Boolean(this.process) && this.process.exitCode === null && this.process.signalCode === null; }

  async stop(signal = 'SIGKILL') {
    this.client?.socket.destroy();
    this.client = null;
    if (this.isRunning) {
      this.process.kill(signal);
      await this.exited;
    }
  }

  /** What a killed worker had in hand looks idle for an hour: the next one need not wait until it counts as abandoned. */
  async abandon(stage, shard = 0) {
    const key = `fb:{s${shard}}:${stage}`;
    for (const [id, consumer] of await this.command('XPENDING', key, 'workers', '-', '+', 1000)) {
      await this.command('XCLAIM', key, 'workers', consumer, 0, id, 'IDLE', 3600000, 'JUSTID');
    }
  }

  /** All that a stage has put off comes due at that time, now if none is given; how many jobs these are.  In Redis: jobs are
   *  bytes, and what `command` gives is text. */
  async due(stage, at = 1, shard = 0) {
    return this.command('EVAL', `local all = redis.call('ZRANGE', KEYS[1], 0, -1)
      for _, job in ipairs(all) do redis.call('ZADD', KEYS[1], ARGV[1], job) end
      return #all`, 1, `fb:{s${shard}}:delayed:${stage}`, at);
  }

  /** Jobs of a stage, those that wait for their next try with them: at one moment, as they go back and forth. */
  async left(stage) {
    return this.command('EVAL', 'return redis.call("XLEN", KEYS[1]) + redis.call("ZCARD", KEYS[2])', 2,
      `fb:{s0}:${stage}`, `fb:{s0}:delayed:${stage}`);
  }

  /** n jobs of a stage are put off, and stay so until the test says otherwise: they come due while it looks at them. */
  async putOff(stage, n = 1, more = {}) {
    return waitFor(async () => (await this.due(stage, Date.now() + 3600000)) === n, { what: `${n} jobs of ${stage} to be put off`, ...more });
  }

  /** One command; arrays come back as arrays, integers as numbers, nil as null, errors are thrown. */
  async command(...args) {
    if (this.client === null || this.client.reader.isEnded) {
      const socket = net.connect({ port: this.port, host: '127.0.0.1' });
      this.client = { socket, reader: new Reader(socket) };
    }
    const { socket, reader } = this.client;
    const parts = args.map((a) => (Buffer.isBuffer(a) ? a : Buffer.from(String(a))));
    socket.write(Buffer.concat([Buffer.from(`*${parts.length}\r\n`),
      ...parts.flatMap((p) => [Buffer.from(`$${p.length}\r\n`), p, Buffer.from('\r\n')])]));
    let value;
    const raw = await reader.take((buffer) => {
      const parsed = parseRedis(buffer, 0);
      if (parsed === null) return 0;
      value = parsed.value;
      return parsed.next;
    }, PATIENCE_MS).catch((error) => {
      socket.destroy(); // the answer that did not come must not be taken for the next command's
      throw error;
    });
    if (raw === null) {
      this.client = null;
      throw new Error('redis closed the connection');
    }
    if (value instanceof Error) throw value;
    return value;
  }
}

function parseRedis(buffer, at) {
  const end = buffer.indexOf('\r\n', at);
  if (end < 0) return null;
  const head = buffer.toString('utf8', at + 1, end);
  const next = end + 2;
  switch (String.fromCharCode(buffer[at])) {
    case '+': return { value: head, next };
    case '-': return { value: new Error(head), next };
    case ':': return { value: Number(head), next };
    case '$': {
      const size = Number(head);
      if (size < 0) return { value: null, next };
      if (buffer.length < next + size + 2) return null;
      return { value: buffer.toString('utf8', next, next + size), next: next + size + 2 };
    }
    case '*': {
      const items = [];
      let from = next;
      for (let i = 0; i < Number(head); i++) {
        const item = parseRedis(buffer, from);
        if (item === null) return null;
        items.push(item.value);
        from = item.next;
      }
      return { value: Number(head) < 0 ? null : items, next: from };
    }
    default: throw new Error(`not a reply of redis: ${buffer.toString('utf8', at, at + 40)}`);
  }
}

/** One HTTP request; resolves with status, headers, body (Buffer), and json() . */
export function request(url, { method = 'GET', headers = {}, body, timeout = PATIENCE_MS / 2 } = {}) {
  return new Promise((resolve, reject) => {
    const req = http.request(url, { method, headers, timeout, agent: false }, (res) => {
      const chunks = [];
      res.on('data', (c) => chunks.push(c));
      res.on('error', reject);
      res.on('end', () => {
        const all = Buffer.concat(chunks);
        resolve({ status: res.statusCode, headers: res.headers, body: all, json: () => JSON.parse(all.toString()) });
      });
    });
    req.on('timeout', () => req.destroy(new Error(`no answer from ${url} within ${timeout} ms`)));
    req.on('error', reject);
    req.end(body);
  });
}

/** A running service. */
export class Service {
  constructor(name, process_, metricsPort) {
    this.name = name;
    this.process = process_;
    this.metricsPort = metricsPort;
    this.output = '';
    process_.stderr.on('data', (c) => { this.output += c; });
    process_.stdout.on('data', (c) => { this.output += c; });
    // Its last words may arrive behind its end.  Where a child of it lives on, the pipes stay open: not for ever.
    const closed = new Promise((resolve) => { process_.once('close', resolve); });
    this.exited = once(process_, 'exit').then(async ([code, signal]) => {
      await Promise.race([closed, sleep(500)]);
      for (let i = 0; i < 5; i++) await new Promise(setImmediate); // where this process stood still its pipes are full yet
      return { code, signal };
    });
  }

  get pid() { return this.process.pid; }
  get isRunning() { return this.process.exitCode === null && this.process.signalCode === null; }
  /** The log lines so far, as objects where they are JSON. */
  get log() {
    return this.output.split('\n').filter(Boolean).map((l) => {
      try { return JSON.parse(l); } catch { return { text: l }; }
    });
  }

  /** A line of the log that matches: what a service has done can be seen before it has written that it did. */
  async says(pattern) {
    return waitFor(() => this.output.split('\n').find((line) => pattern.test(line)), { what: `${this.name} to say ${pattern}` });
  }

  async ready(timeout = PATIENCE_MS) {
    await waitFor(async () => {
      if (!this.isRunning) return true;
      return (await request(`http://127.0.0.1:${this.metricsPort}/readyz`)).status === 200;
    }, { timeout, what: `${this.name} to be ready` });
    if (!this.isRunning) {
      await this.exited; // and its last words are there
      throw new Error(`${this.name} ended at once:\n${this.output}`);
    }
  }

  /** Value of one series, e.g. metric('fumibako_messages_accepted_total'); labels as in the exposition. */
  async metric(name, labels = '') {
    const res = await request(`http://127.0.0.1:${this.metricsPort}/metrics`);
    const head = labels ? `${name}{${labels}} ` : `${name} `;
    const line = res.body.toString().split('\n').find((l) => l.startsWith(head));
    return line === undefined ? undefined : Number(line.slice(head.length));
  }

  signal(signal) { this.process.kill(signal); }

  /** SIGTERM, and how it ended: {code, signal}. */
  async stop(timeout = PATIENCE_MS) {
    if (this.isRunning) this.process.kill('SIGTERM');
    const timer = setTimeout(() => this.process.kill('SIGKILL'), timeout);
    const how = await this.exited;
    clearTimeout(timer);
    return how;
  }

  async kill() {
    if (this.isRunning) this.process.kill('SIGKILL');
    return this.exited;
  }
}

const PORT_NAMES = ['smtp', 'lmtp', 'http', 'console', 'portal', 'relay', 'redis', 'fetch'];
const METRICS = { ingest: 9101, render: 9102, upload: 9103, rewrite: 9104, revoke: 9105, watch: 9106, console: 9107,
  portal: 9108, fetch: 9109 };

/** One test's surroundings. */
export class World {
  /** t: the context of node:test (its after() ends everything), or null: then call world.end(). */
  static async create(t = null) {
    const world = new World();
    world.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'fumibako-test-'));
    world.token = randomBytes(24).toString('hex');
    world.fetchToken = randomBytes(24).toString('hex');
    world.services = [];
    world.processes = [];
    world.redis = null;
    world.cleanups = [];
    const names = [...PORT_NAMES, ...Object.keys(METRICS).map((s) => `metrics_${s}`)];
    const ports = await freePorts(names.length);
    world.ports = Object.fromEntries(names.map((n, i) => [n, ports[i]]));
    world.keyFile = path.join(world.dir, 'spool.key');
    fs.writeFileSync(world.keyFile, `k1:${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
    world.spoolDir = path.join(world.dir, 'spool');
    t?.after(() => world.end());
    // A test that dies, or is ended by an uncaught error, leaves no process behind.
    process.on('exit', world.#onExit);
    return world;
  }

  async startRedis(extra = []) {
    this.redis ??= new Redis(this.dir, this.ports.redis);
    if (this.usesAcl) this.redis.always = ['--aclfile', this.#aclFile()];
    await this.redis.start(extra);
    return this.redis;
  }

  /** Each program is its user of deploy/redis/users.acl.sample, in every test; what is refused fails it.  FB_REDIS_ACL=0: not. */
  get usesAcl() { return process.env.FB_REDIS_ACL !== '0'; }

  #aclFile() {
    const file = path.join(this.dir, 'users.acl');
    const sample = fs.readFileSync(path.join(ROOT, 'deploy/redis/users.acl.sample'), 'utf8');
    fs.writeFileSync(file, sample.replace('user default off', 'user default on nopass ~* &* +@all'));
    return file;
  }

  async #checkAcl() {
    const refused = (await this.redis.command('ACL', 'LOG')).map((e) => {
      const of = (key) => e[e.indexOf(key) + 1];
      return `${of('username')}: ${of('reason')} ${of('object')} (${of('context')})`;
    }).filter((line) => line.startsWith('fumibako-'));
    if (refused.length > 0) throw new Error(`deploy/redis/users.acl.sample refuses:\n${[...new Set(refused)].join('\n')}`);
  }

  /** The configuration as it would be written for a service; overrides: {section: {key: value}}. */
  config(service, overrides = {}) {
    const who = service === 'ctl' ? 'operator' : service;
    const user = this.usesAcl ? `fumibako-${who}:CHANGE-ME-${who}@` : '';
    const config = {
      redis: { url: `redis://${user}127.0.0.1:${this.ports.redis}/0` },
      spool: { url: `file://${this.spoolDir}`, key_file: this.keyFile },
      ingest: { smtp: `127.0.0.1:${this.ports.smtp}`, lmtp: `127.0.0.1:${this.ports.lmtp}`,
        http: `127.0.0.1:${this.ports.http}`, token: this.token, name: 'test', high_water: '99%' },
      rewrite: { relay: `smtp://127.0.0.1:${this.ports.relay}`, key: 'k'.repeat(40), alarm_mail: 'off' },
      console: { listen: `127.0.0.1:${this.ports.console}` },
      portal: { listen: `127.0.0.1:${this.ports.portal}`, public_url: `http://127.0.0.1:${this.ports.portal}`,
        reads: [path.join(this.dir, 'vault.key')] },
      fetch: { listen: `127.0.0.1:${this.ports.fetch}`, token: this.fetchToken },
      metrics: { listen: `127.0.0.1:${this.ports[`metrics_${service === 'ctl' ? 'ingest' : service}`]}` },
      policy: { source: 'redis', cache: path.join(this.dir, 'policy') },
      vault: { roots: [path.join(this.dir, 'vault')] },
      log: { level: 'info', format: 'json' },
    };
    for (const [section, keys] of Object.entries(overrides)) {
      config[section] = { ...config[section], ...keys };
    }
    return config;
  }

  /** Starts fumibako-<service> and waits until it is ready (unless ready is false). wrap: e.g. ['strace', ...]. */
  async start(service, overrides = {}, { ready = true, env = {}, wrap = [], args = [] } = {}) {
    const file = path.join(this.dir, `${service}-${this.services.length}.yaml`);
    fs.writeFileSync(file, JSON.stringify(this.config(service, overrides), null, 2), { mode: 0o600 }); // JSON is YAML
    const command = [...wrap, path.join(binDir(), `fumibako-${service}`), '--config', file, ...args];
    const child = this.spawn(command[0], command.slice(1), { env });
    const running = new Service(service, child, this.ports[`metrics_${service}`]);
    this.services.push(running);
    if (ready) {
      await Promise.race([running.ready(), once(child, 'error').then(([error]) => { throw error; })]);
    }
    return running;
  }

  /** Any other program that ends with the test. */
  spawn(command, args, { env = {}, ...options } = {}) {
    const clean = Object.fromEntries(Object.entries(process.env).filter(([k]) => !k.startsWith('FUMIBAKO_')));
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...clean, ...env }, ...options });
    child.on('error', () => {});
    this.processes.push(child);
    return child;
  }

  #onExit = () => {
    for (const child of [...this.processes, this.redis?.process]) child?.kill('SIGKILL');
  };

  /** fn runs when all processes have ended, before the folder is removed. */
  atEnd(fn) {
    this.cleanups.push(fn);
  }

  async end() {
    for (const child of this.processes) {
      if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) {
        child.kill('SIGKILL');
        await once(child, 'exit');
      }
    }
    let refusal = null;
    if (this.usesAcl && this.redis?.isRunning) await this.#checkAcl().catch((e) => { refusal = e; });
    await this.redis?.stop();
    for (const fn of this.cleanups.reverse()) await fn();
    process.off('exit', this.#onExit);
    remove(this.dir);
    giveBackPorts(Object.values(this.ports));
    if (refusal) { // also where the test failed already: this may be why
      console.log(refusal.message);
      throw refusal;
    }
  }
}
