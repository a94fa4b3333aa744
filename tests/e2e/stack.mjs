// SPDX-License-Identifier: Apache-2.0
//
// The whole of Fumibako around a real Postfix, a real Redis and the Box simulator:
//
//   test -> Postfix:port -> ingest -> render -> upload -> rewrite -> Postfix:back -> Maildir
//
//   const stack = await Stack.start(t, { policy: ... });
//   await stack.submit(mail, { from, to: [...] });
//   await stack.settled();
//   stack.postfix.delivered('hanako@partner.example.com')

import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { ROOT, World, Smtp, binDir, request, waitFor } from '../support/harness.mjs';
import { Postfix } from '../support/postfix.mjs';

export const SHARED = process.env.FUMIBAKO_SHARED ?? path.join(ROOT, '../shared');
export const SERVICES = ['ingest', 'render', 'upload', 'rewrite', 'revoke', 'watch'];

/** The Box simulator as a test sees it. */
class Box {
  static async start(world, { faults = null, rate = 'off', users = 0, check = true } = {}) {
    const box = new Box();
    // Each user of the pool takes its own share of calls: many of them, and Box's limits are not what is measured.
    box.users = Array.from({ length: users }, (_, i) => ({ id: String(21000000001 + i), root_folder: '0' }));
    box.config = path.join(world.dir, 'box.json');
    const args = [path.join(ROOT, 'tests/boxsim/boxsim'), '--port', '0', '--config', box.config, '--rate', rate,
      '--users', String(users)];
    if (check && fs.existsSync(path.join(SHARED, 'box/boxcheck.js')) &&
        fs.existsSync(path.join(ROOT, 'tests/node_modules/ajv'))) {
      args.push('--check', path.join(SHARED, 'box'));
      box.isChecked = true;
    }
    if (faults) {
      const file = path.join(world.dir, 'faults.ndjson');
      fs.writeFileSync(file, faults.map((f) => `${JSON.stringify(f)}\n`).join(''));
      args.push('--faults', file);
    }
    box.process = world.spawn(process.execPath, args);
    let output = '';
    box.process.stdout.on('data', (c) => { output += c; });
    box.process.stderr.on('data', (c) => { output += c; });
    const port = await waitFor(() => /listening on (\d+)/.exec(output)?.[1], { what: 'boxsim' });
    box.url = `http://127.0.0.1:${port}`;
    return box;
  }

  async state(only) {
    const res = await request(`${this.url}/__state${only ? `?only=${only}` : ''}`, { timeout: 60000 });
    return res.json();
  }

  async content(id) {
    return (await request(`${this.url}/__content/${id}`, { timeout: 60000 })).body;
  }

  act(what) { return this.#post('/__act', what); }
  faults(list) { return this.#post('/__faults', list); }
  async shownFaults() { return (await request(`${this.url}/__faults`)).json(); }
  settings(values) { return this.#post('/__config', values); }

  async #post(where, body) {
    return request(`${this.url}${where}`, { method: 'POST', body: JSON.stringify(body),
      headers: { 'content-type': 'application/json' } });
  }

  /** The storage as it stands in a policy. */
  storage(more = {}) {
    return { name: 'box', type: 'box', auth_file: this.config, root_folder: '0', api_url: `${this.url}/2.0`,
      upload_url: `${this.url}/upload/api/2.0`, token_url: `${this.url}/oauth2/token`, users: this.users, ...more };
  }
}

export const SECURE_EVERYTHING = {
  name: 'secure everything', action: 'secure', storage: 'box', security: 'recipients only',
};

export class Stack {
  /**
   * policy: rules and whatever else the document shall hold beside the storage; overrides: configuration by section;
   * services: which to start; workers: {render: 2}; vault: a storage of that name is in the policy, too.
   */
  static async start(t, { policy = {}, overrides = {}, services = SERVICES, workers = {}, box = {}, postfix = true,
    main = {}, vault = false, redis = ['--appendonly', 'yes', '--appendfsync', 'everysec'], transport = 'fumibako' } = {}) {
    const stack = new Stack();
    stack.world = await World.create();
    fs.chmodSync(stack.world.dir, 0o711);
    t?.after(() => stack.end());
    // redis: arguments of redis-server, or what starts another kind of Redis in a folder (tests/integration/redis/kit.mjs).
    if (typeof redis === 'function') {
      stack.world.redis = await redis(stack.world.dir);
      overrides = { ...overrides, redis: { url: stack.world.redis.url, ...overrides.redis } };
    } else {
      await stack.world.startRedis(redis);
    }
    stack.shards = overrides.redis?.shards ?? 1;
    stack.box = await Box.start(stack.world, box);
    if (postfix) {
      const port = transport === 'fumibako' ? stack.world.ports.smtp : stack.world.ports.lmtp;
      stack.postfix = await Postfix.start(null, { filter: `${transport}:[127.0.0.1]:${port}`, main });
    }
    stack.overrides = { ...overrides, rewrite: { relay: `smtp://127.0.0.1:${stack.postfix?.back ?? stack.world.ports.relay}`,
      postmaster: 'postmaster@example.jp', ...overrides.rewrite } };
    stack.configFile = path.join(stack.world.dir, 'fumibako.yaml');
    fs.writeFileSync(stack.configFile, JSON.stringify(stack.world.config('ctl', stack.overrides), null, 2));
    if (vault) stack.vault = stack.#makeVault();
    await stack.apply(policy);
    for (const service of services) await stack.startService(service, workers[service] ?? 1);
    return stack;
  }

  /** Puts a policy in force: the simulator's storage, the usual definition, and what is given. */
  async apply(policy) {
    const document = {
      storages: [this.box.storage(), ...(this.vault ? [this.vault] : [])],
      security_definitions: [{ name: 'recipients only', access: 'recipients', expires_after: '30d' }],
      rules: [SECURE_EVERYTHING],
      ...policy,
    };
    const file = path.join(this.world.dir, 'policy.yaml');
    fs.writeFileSync(file, JSON.stringify(document, null, 2));
    const r = await this.ctl('policy', 'apply', file);
    if (r.status !== 0) throw new Error(`policy apply: ${r.stdout}${r.stderr}`);
    const { version } = (await this.ctl('policy', 'show', '--json')).json();
    const inForce = (s) => [...s.output.matchAll(/policy ([0-9a-f]{12}) of Redis is in force/g)].at(-1)?.[1];
    await waitFor(() => (this.running ?? []).every((s) => !s.isRunning || ['ingest', 'fetch'].includes(s.name) || inForce(s) === version.slice(0, 12)),
      { what: 'the services to follow the policy' });
  }

  /** A vault in the world's folder, as it stands in a policy. */
  #makeVault() {
    const file = path.join(this.world.dir, 'vault.key');
    fs.writeFileSync(file, `v1:${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
    return { name: 'vault', type: 'vault', url: `file://${this.world.dir}/vault`, key_file: file };
  }

  async startService(service, count = 1) {
    for (let i = 0; i < count; i++) {
      const overrides = i === 0 ? this.overrides
        : { ...this.overrides, metrics: { ...this.overrides.metrics, listen: '127.0.0.1:0' } };
      const running = await this.world.start(service, overrides, { ready: i === 0 });
      (this.running ??= []).push(running);
      if (i === 0) (this.by ??= {})[service] = running;
    }
  }

  /** fumibako, the operator's command line: {status, stdout, stderr, json()}. Does not block the event loop. */
  async ctl(...args) {
    const child = spawn(path.join(binDir(), 'fumibako'), ['--config', this.configFile, ...args],
      { stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (c) => { stdout += c; });
    child.stderr.on('data', (c) => { stderr += c; });
    const [status] = await once(child, 'close');
    return { status, stdout, stderr, json: () => JSON.parse(stdout) };
  }

  /** Hands a mail to Postfix, as a mail program would: bytes with CRLF. */
  async submit(content, { from = 'taro@example.jp', to = ['hanako@partner.example.com'], port } = {}) {
    const smtp = await Smtp.connect(port ?? this.postfix.port, { timeout: 60000 });
    try {
      const reply = await smtp.send({ from, to, content });
      if (reply?.code !== 250) throw new Error(`the MTA said: ${reply?.code} ${reply?.text}`);
      return reply;
    } finally {
      smtp.close();
    }
  }

  /** The ledger's messages, newest first. */
  async messages(limit = 100000) {
    const r = await this.ctl('message', 'list', '--limit', String(limit), '--json');
    if (r.status !== 0) throw new Error(r.stderr || r.stdout);
    return r.json();
  }

  /** Waits until nothing is under way: no mail in the MTA, no job in a queue (held mail may be there). */
  async settled({ timeout = 180000, still = 2 } = {}) {
    let quiet = 0;
    let why = '';
    const owed = Date.now() + 60000;
    await waitFor(async () => {
      const r = await this.ctl('queue', '--json');
      if (r.status !== 0 || /"(waiting|inflight|delayed)":\s*[1-9]/.test(r.stdout)) why = `${r.stdout}${r.stderr}`;
      else if ((this.postfix?.queued() ?? 0) > 0) why = 'the MTA has mail';
      else if (await this.#isUnended()) why = 'messages are neither done nor held';
      else if (Date.now() < owed && await this.#isOwed()) why = 'ingest has mail that Redis does not know';
      else why = '';
      quiet = why ? 0 : quiet + 1;
      return quiet >= still;
    }, { timeout, interval: 250, what: 'the pipeline to come to rest' }).catch((e) => { throw new Error(`${e.message}: ${why}`); });
  }

  /** Accepted, but neither done nor held: perhaps not enqueued yet. */
  async #isUnended() {
    let keys = 0;
    for (let i = 0; i < this.shards; i++) keys += await this.world.redis.command('ZCARD', `fb:{s${i}}:open`);
    if (keys === 0) return false;
    return (await this.messages()).some((m) => m.state !== 'done' && m.state !== 'held');
  }

  /** Accepted, and not in the queue yet: ingest answers before it tells Redis. */
  async #isOwed() {
    const ingest = this.by?.ingest;
    if (!ingest?.isRunning) return false;
    const [accepted, enqueued] = await Promise.all(['accepted', 'enqueued'].map((w) => ingest.metric(`fumibako_messages_${w}_total`)));
    return (accepted ?? 0) > (enqueued ?? 0);
  }

  logs(service) {
    return (this.running ?? []).filter((s) => !service || s.name === service).map((s) => s.output).join('\n');
  }

  async end() {
    if (process.env.FB_KEEP_LOGS) {
      fs.mkdirSync(process.env.FB_KEEP_LOGS, { recursive: true });
      for (const s of this.running ?? []) fs.appendFileSync(path.join(process.env.FB_KEEP_LOGS, `${s.name}.log`), s.output);
      if (this.postfix) fs.writeFileSync(path.join(process.env.FB_KEEP_LOGS, 'postfix.log'), this.postfix.log());
    }
    try {
      await this.world.end();
    } finally {
      await this.postfix?.stop();
    }
  }
}

/** Text of a PDF, as pdftotext reads it. */
export function pdfText(bytes) {
  const r = spawnSync('pdftotext', ['-layout', '-', '-'], { input: bytes, maxBuffer: 256 << 20 });
  if (r.status !== 0) throw new Error(`pdftotext: ${r.stderr}`);
  return r.stdout.toString();
}

/** Header fields (name in lower case, unfolded, raw) and body of a mail, as latin1 text. */
export function splitMail(raw) {
  const text = raw.toString('latin1').replace(/\r\n/g, '\n');
  const end = text.indexOf('\n\n');
  const head = end < 0 ? text : text.slice(0, end + 1);
  const fields = [];
  for (const line of head.split('\n')) {
    if (/^[ \t]/.test(line) && fields.length > 0) fields[fields.length - 1][1] += `\n${line}`;
    else if (/^[!-9;-~]+:/.test(line)) fields.push([line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1)]);
  }
  return { fields, body: end < 0 ? '' : text.slice(end + 2),
    all: (name) => fields.filter(([n]) => n === name).map(([, v]) => v.replace(/\n(?=[ \t])/g, '').trim()),
    get: (name) => fields.find(([n]) => n === name)?.[1].replace(/\n(?=[ \t])/g, '').trim() };
}

/** Everything readable in a mail: its raw bytes, and each leaf decoded; one string to search for leaks. */
export function everythingIn(raw) {
  const pieces = [];
  const walk = (text, depth) => {
    pieces.push(text);
    if (depth > 8) return;
    const { get, body } = splitMail(Buffer.from(text, 'latin1'));
    const boundary = /boundary="?([^";\s]+)"?/i.exec(get('content-type') ?? '')?.[1];
    if (boundary) {
      for (const part of body.split(`--${boundary}`).slice(1, -1)) walk(part.replace(/^\n/, ''), depth + 1);
      return;
    }
    const encoding = (get('content-transfer-encoding') ?? '').toLowerCase();
    if (encoding === 'base64') pieces.push(Buffer.from(body, 'base64').toString('latin1'));
    if (encoding === 'quoted-printable') {
      pieces.push(body.replace(/=\n/g, '').replace(/=([0-9A-F]{2})/gi, (_, h) => String.fromCharCode(parseInt(h, 16))));
    }
  };
  walk(raw.toString('latin1').replace(/\r\n/g, '\n'), 0);
  return pieces.join('\n\0\n');
}

/** Decoded text (UTF-8) of the leaves of a notice. */
export const textOf = (raw) => Buffer.from(everythingIn(raw), 'latin1').toString('utf8');
