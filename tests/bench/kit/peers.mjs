// SPDX-License-Identifier: Apache-2.0
//
// The same job done by what people would write: peers/pipe (Node, mailparser, headless Chromium by puppeteer, the official
// Box SDK), behind a real Postfix.
//
//   pipe    Postfix' pipe transport starts pipe.js for each mail, two at a time
//   daemon  Postfix hands mails by LMTP to daemon.js, which keeps Node, the token and one browser: what the first becomes
//           when somebody has time to make it fast
//
// Counted is processor time, user and system, in mails per second of it: it says what a machine of a given size can do, and
// other people's work on this one changes it little.
//
//   ours    ingest, render, upload, rewrite, revoke, watch, portal, what they start (sandboxes, Chromium), and Redis
//   peers   the script and what it starts (Chromium), from exec to exit
//   neither Postfix, the Box simulator, the servers that take the notices, this program
//
// Same mails for all: one recipient, one attachment of 100 kB, body plain text of 10 kB or HTML of 12 kB with a picture
// (kit/mails.mjs).  All make the same parcel: folder, body PDF and attachment with their SHA-1, one viewer, link, notice.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { ROOT, freePort, request, waitFor } from '../../support/harness.mjs';
import { Postfix, hasPostfix } from '../../support/postfix.mjs';
import { Relay } from '../../support/relay.mjs';
import { SECURE_EVERYTHING, Stack } from '../../e2e/stack.mjs';
import { ROUNDS, caseOf, interleave, progress } from '../lib.mjs';
import { mailOf } from './mails.mjs';
import { Meter } from './meter.mjs';
import { Feeder, emptied } from './stack.mjs';

const TARGET = 20;
const KINDS = ['text', 'html'];
const MAILS = { ours: Number(process.env.BENCH_OURS ?? 200), pipe: Number(process.env.BENCH_PIPE ?? 10),
  daemon: Number(process.env.BENCH_DAEMON ?? 50) };
const ATTACHMENT = 100000;
const WARM_UP = 10;
const TIMEOUT = 20 * 60000;

/** peers/pipe with its packages, where everybody may read it; installed anew when the lock file changed. */
function installPeers() {
  const from = path.join(ROOT, 'tests/bench/peers/pipe');
  const to = path.join(ROOT, 'build/bench/peers');
  fs.mkdirSync(to, { recursive: true });
  for (const f of fs.readdirSync(from)) fs.statSync(path.join(from, f)).isFile() && fs.copyFileSync(path.join(from, f), path.join(to, f));
  const lock = createHash('sha256').update(fs.readFileSync(path.join(to, 'package-lock.json'))).digest('hex');
  const mark = path.join(to, 'node_modules/.installed');
  if (!fs.existsSync(mark) || fs.readFileSync(mark, 'utf8') !== lock) {
    progress('npm ci for tests/bench/peers/pipe');
    const r = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--prefix', to], { encoding: 'utf8', timeout: 600000 });
    if (r.status !== 0) throw new Error(`npm ci: ${r.stdout}${r.stderr}`);
    fs.writeFileSync(mark, lock);
  }
  return to;
}

class Ours {
  async start() {
    const rule = { ...SECURE_EVERYTHING, receipt: false }; // the peers write none
    this.stack = await Stack.start(null, { postfix: false, policy: { rules: [rule] }, box: { users: 10 },
      services: ['ingest', 'render', 'upload', 'rewrite', 'revoke', 'watch', 'portal'], overrides: { log: { level: 'info' } } });
    this.relay = await Relay.start({}, this.stack.world.ports.relay);
    this.feeder = new Feeder(this.stack.world.ports.smtp);
    this.meter = Meter.create();
    this.meter.add(this.stack.world.redis.process.pid);
    for (const service of this.stack.running) this.meter.add(service.pid);
    this.box = this.stack.box;
  }

  async run(count, mail) {
    const due = this.relay.mails.length + count;
    await this.feeder.all(count, mail);
    await waitFor(() => this.relay.mails.length >= due, { timeout: TIMEOUT, interval: 20, what: 'our notices' });
    await emptied(this.stack);
  }

  async end() {
    this.feeder?.close();
    await this.relay?.stop();
    await this.stack?.end();
    this.meter?.end();
  }
}

class Peer {
  constructor(kind, ours, dir) { Object.assign(this, { kind, ours, dir, box: ours.box }); }

  async start() {
    const { world } = this.ours.stack;
    this.relay = await Relay.start();
    this.meter = Meter.create();
    const config = path.join(world.dir, 'peer-box.json');
    fs.copyFileSync(this.box.config, config);
    fs.chmodSync(config, 0o644);
    const env = { BOX_CONFIG: config, BOX_URL: this.box.url, RELAY_PORT: String(this.relay.port), HOME: '/tmp',
      NODE_ENV: 'production', PATH: process.env.PATH };
    const isPipe = this.kind === 'pipe';
    const script = path.join(this.dir, isPipe ? 'pipe.js' : 'daemon.js');
    // It counts itself: whoever starts it, and as whom.
    const wrapper = path.join(world.dir, `${this.kind}.sh`);
    fs.writeFileSync(wrapper, ['#!/bin/sh', ...(this.meter.procs ? [`echo $$ >${this.meter.procs}`] : []),
      ...Object.entries(env).map(([k, v]) => `export ${k}='${v}'`), `exec ${process.execPath} ${script} "$@"`, ''].join('\n'), { mode: 0o755 });
    if (isPipe) {
      this.postfix = await Postfix.start(null, { filter: 'peer:', main: { peer_destination_concurrency_limit: '2' },
        master: `peer unix - n n - 2 pipe flags=q user=nobody argv=${wrapper} \${sender} \${recipient}\n` });
      if (!this.meter.procs) this.meter.add(Number(fs.readFileSync(path.join(this.postfix.dir, 'queue/pid/master.pid'), 'utf8')));
    } else {
      const port = await freePort();
      const id = (flag) => Number(spawnSync('id', [flag, 'nobody']).stdout.toString());
      this.daemon = world.spawn(wrapper, [String(port)], { uid: id('-u'), gid: id('-g') });
      let output = '';
      this.daemon.stdout.on('data', (c) => { output += c; });
      this.daemon.stderr.on('data', (c) => { process.stderr.write(`daemon: ${c}`); });
      await waitFor(() => output.includes('ready'), { timeout: 60000, what: 'the daemon' });
      if (!this.meter.procs) this.meter.add(this.daemon.pid);
      this.postfix = await Postfix.start(null, { filter: `fumibako-lmtp:[127.0.0.1]:${port}` });
    }
    this.feeder = new Feeder(this.postfix.port, 2);
  }

  async run(count, mail) {
    const due = this.relay.mails.length + count;
    await this.feeder.all(count, mail);
    try {
      await waitFor(() => this.relay.mails.length >= due, { timeout: TIMEOUT, interval: 50, what: `notices of ${this.kind}` });
      await waitFor(() => this.postfix.queued() === 0, { timeout: 60000, interval: 50, what: 'Postfix to be done' });
    } catch (error) {
      throw new Error(`${error.message}\n${this.postfix.log().slice(-4000)}`);
    }
  }

  async end() {
    this.feeder?.close();
    await this.postfix?.stop();
    await this.relay?.stop();
    this.daemon?.kill('SIGTERM');
    this.meter?.end();
  }
}

/** What the simulator was asked since it was last asked: {folders, files, grants}. */
async function parcels(box) {
  const { entries } = (await request(`${box.url}/__requests`)).json();
  const of = (method, template) => entries.filter((e) => e.method === method && e.template === template && e.status === 201)
    .reduce((sum, e) => sum + e.count, 0);
  await request(`${box.url}/__requests`, { method: 'DELETE' });
  return { folders: of('POST', '/2.0/folders'), files: of('POST', '/upload/api/2.0/files/content'), grants: of('POST', '/2.0/collaborations') };
}

/** Mails per second of processor time, one round; throws when not every mail became a whole parcel. */
async function measure(who, name, kind, round) {
  const count = MAILS[name];
  await parcels(who.box);
  const cpu = who.meter.seconds();
  await who.run(count, (i) => mailOf(kind, 1000 * (round + 1) + i, { attachment: ATTACHMENT }));
  const spent = who.meter.seconds() - cpu;
  const made = await parcels(who.box);
  if (made.folders !== count || made.files !== 2 * count || made.grants !== count) {
    throw new Error(`${name}: ${count} mails became ${JSON.stringify(made)}`);
  }
  return count / spent;
}

const mixed = (values) => values.text.map((v, i) => 2 / (1 / v + 1 / values.html[i])); // as many of each

/** The cases for a report; [] where no Postfix can be run. */
export async function comparePeers(rounds = ROUNDS) {
  if (!hasPostfix()) {
    progress('peers: not measured, Postfix needs root');
    return [];
  }
  const dir = installPeers();
  const all = { ours: new Ours() };
  all.pipe = null;
  try {
    await all.ours.start();
    for (const kind of ['pipe', 'daemon']) {
      all[kind] = new Peer(kind, all.ours, dir);
      await all[kind].start();
    }
    progress(`processor time by ${all.ours.meter.how}`);
    for (const [name, who] of Object.entries(all)) {
      const count = name === 'pipe' ? 1 : WARM_UP;
      await who.run(count, (i) => mailOf(KINDS[i % 2], i, { attachment: ATTACHMENT }));
    }
    const values = {};
    for (const kind of KINDS) {
      progress(`${kind}:`);
      values[kind] = await interleave(Object.keys(all), (name, round) => measure(all[name], name, kind, round), rounds);
    }
    const of = (name) => Object.fromEntries(KINDS.map((kind) => [kind, values[kind][name]]));
    const peers = (pick) => ({ 'script by pipe': pick('pipe'), 'script as daemon': pick('daemon') });
    const target = { 'script by pipe': TARGET };
    return [
      caseOf('mails per CPU second, half text, half HTML', 'msg/CPU s', mixed(of('ours')), peers((n) => mixed(of(n))), target),
      caseOf('mails per CPU second, plain text', 'msg/CPU s', values.text.ours, peers((n) => values.text[n]), target),
      caseOf('mails per CPU second, HTML', 'msg/CPU s', values.html.ours, peers((n) => values.html[n]), target),
    ];
  } finally {
    for (const who of [all.daemon, all.pipe, all.ours]) await who?.end();
  }
}
