// SPDX-License-Identifier: Apache-2.0
//
// What a message costs, by stage, measured on a stack at work: processor time (a control group for each service), bytes
// written to disk, syncs (strace), Redis commands by the user that sent them (MONITOR), calls of the storage (the
// simulator's count).

import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import { once } from 'node:events';
import { request, sleep, waitFor } from '../../support/harness.mjs';
import { SECURE_EVERYTHING } from '../../e2e/stack.mjs';
import { Feeder, benchStack, emptied } from './stack.mjs';
import { Meter, treeOf, writtenBy } from './meter.mjs';

export const STAGES = ['ingest', 'render', 'upload', 'rewrite'];
const hasStrace = () => spawnSync('strace', ['-V']).status === 0;

/** Redis commands by service: what each sent (round trips), and what ran in all, inside of scripts as well. */
class Monitor {
  constructor(world) { this.world = world; }

  async start() {
    this.text = '';
    this.socket = net.connect({ port: this.world.ports.redis, host: '127.0.0.1' });
    this.socket.on('data', (c) => { this.text += c.toString('latin1'); });
    this.socket.on('error', () => {});
    await once(this.socket, 'connect');
    this.socket.write('MONITOR\r\n');
    await waitFor(() => this.text.includes('+OK'), { what: 'MONITOR' });
  }

  async stop() {
    // Connections come and go: the list at the end has those that live as long as their service, which are nearly all.
    const list = await this.world.redis.command('CLIENT', 'LIST');
    this.socket.destroy();
    const users = new Map(list.split('\n').filter(Boolean).map((l) => [/\baddr=(\S+)/.exec(l)[1], /\buser=(\S+)/.exec(l)?.[1]]));
    const sent = {};
    let inScripts = 0;
    for (const line of this.text.split('\r\n')) {
      const m = /^\+[\d.]+ \[\d+ (\S+)\] "/.exec(line);
      if (!m) continue;
      if (m[1] === 'lua') { inScripts++; continue; }
      const user = users.get(m[1])?.replace(/^fumibako-/, '') ?? 'others';
      if (user !== 'default') sent[user] = (sent[user] ?? 0) + 1;
    }
    return { sent, inScripts };
  }
}

/** fsync and fdatasync of processes while they are watched. */
class Syncs {
  constructor(pids) {
    this.file = fs.mkdtempSync('/tmp/fumibako-strace-') + '/counts';
    this.child = spawn('strace', ['-f', '-c', '-e', 'trace=fsync,fdatasync,sync_file_range', '-o', this.file,
      ...pids.flatMap((p) => ['-p', String(p)])], { stdio: ['ignore', 'ignore', 'pipe'] });
    this.child.stderr.on('data', () => {});
  }

  async stop() {
    const ended = once(this.child, 'exit');
    this.child.kill('SIGINT');
    await ended;
    const text = fs.existsSync(this.file) ? fs.readFileSync(this.file, 'utf8') : '';
    fs.rmSync(this.file, { force: true });
    return [...text.matchAll(/^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(?:fsync|fdatasync|sync_file_range)$/gm)]
      .reduce((sum, m) => sum + Number(m[1]), 0);
  }
}

const calls = async (box) => Object.fromEntries((await request(`${box.url}/__requests`)).json().entries
  .filter((e) => !e.template.startsWith('/__')).map((e) => [`${e.method} ${e.template} ${e.status}`, e.count]));
const difference = (after, before) => Object.fromEntries(Object.entries(after).map(([k, v]) => [k, v - (before[k] ?? 0)]).filter(([, v]) => v > 0));

export class CostStack {
  static async start({ shards = 1, workers = {}, receipt = false } = {}) {
    const c = new CostStack();
    c.stack = await benchStack(STAGES, { workers, policy: { rules: [{ ...SECURE_EVERYTHING, receipt }] },
      overrides: { redis: { shards } } });
    c.feeder = new Feeder(c.stack.world.ports.smtp);
    c.meters = { redis: Meter.create() };
    c.meters.redis.add(c.stack.world.redis.process.pid);
    for (const service of c.stack.running) {
      c.meters[service.name] ??= Meter.create();
      c.meters[service.name].add(service.pid);
    }
    c.number = 0;
    return c;
  }

  get #pids() {
    const pids = { redis: [this.stack.world.redis.process.pid] };
    for (const s of this.stack.running) (pids[s.name] ??= []).push(s.pid);
    return pids;
  }

  #cpu() { return Object.fromEntries(Object.entries(this.meters).map(([k, m]) => [k, m.seconds() * 1000])); }
  #disk() { return Object.fromEntries(Object.entries(this.#pids).map(([k, pids]) => [k, pids.reduce((sum, p) => sum + writtenBy(p), 0)])); }

  /** Sends count mails and waits for the last notice; gives the seconds that took. */
  async run(count, mail) {
    const from = process.hrtime.bigint();
    const first = this.number;
    this.number += count;
    await this.feeder.all(count, (i) => mail(first + i));
    await emptied(this.stack);
    return Number(process.hrtime.bigint() - from) / 1e9;
  }

  /** {cpu: {stage: ms}, disk: {stage: bytes}, http: {call: n}, seconds} a message. */
  async measure(count, mail) {
    await sleep(300);
    const [cpu, disk, http] = [this.#cpu(), this.#disk(), await calls(this.stack.box)];
    const seconds = await this.run(count, mail);
    await sleep(300); // the last group commits
    const each = (after, before) => Object.fromEntries(Object.entries(difference(after, before)).map(([k, v]) => [k, v / count]));
    return { cpu: each(this.#cpu(), cpu), disk: each(this.#disk(), disk), http: each(await calls(this.stack.box), http), seconds };
  }

  /** {redis: {stage: commands sent}, inScripts, syncs: {stage: n}} a message; apart, as watching costs. */
  async watch(count, mail) {
    const monitor = new Monitor(this.stack.world);
    await monitor.start();
    await this.run(count, mail);
    const { sent, inScripts } = await monitor.stop();
    const syncs = {};
    if (hasStrace()) {
      const watchers = Object.fromEntries(Object.entries(this.#pids).map(([k, pids]) => [k, new Syncs(pids)]));
      await sleep(1500);
      await this.run(count, mail);
      await sleep(300);
      for (const [k, w] of Object.entries(watchers)) syncs[k] = (await w.stop()) / count;
    }
    return { redis: Object.fromEntries(Object.entries(sent).map(([k, v]) => [k, v / count])), inScripts: inScripts / count, syncs };
  }

  /** Processor time in ms of each second in which nothing happens. */
  async idle(seconds = 5) {
    const before = this.#cpu();
    await sleep(seconds * 1000);
    return Object.fromEntries(Object.entries(this.#cpu()).map(([k, v]) => [k, (v - before[k]) / seconds]));
  }

  /** How many processes there are: {stage: n}. */
  processes() { return Object.fromEntries(Object.entries(this.#pids).map(([k, pids]) => [k, pids.flatMap(treeOf).length])); }

  async end() {
    this.feeder.close();
    await this.stack.end();
    for (const m of Object.values(this.meters)) m.end();
  }
}

/** The model of deploy/sizing.md: what a mail of a kind costs, from the costs of bodies alone and of a MB of attachment. */
export function predict({ text, html, perMB }, { html: share, attachmentMB }) {
  const of = (what, stage) => (1 - share) * (text[what][stage] ?? 0) + share * (html[what][stage] ?? 0)
    + attachmentMB * (perMB[what][stage] ?? 0);
  const stages = ['redis', ...STAGES];
  const sum = (what) => stages.reduce((total, stage) => total + of(what, stage), 0);
  return { cpu: sum('cpu'), disk: sum('disk'), byStage: Object.fromEntries(stages.map((s) => [s, of('cpu', s)])) };
}

/** Calls of Box for a parcel: folder, restrictions, link, and one for each file (body included) and each recipient. */
export const boxCalls = ({ attachments, recipients }) => 3 + 1 + attachments + recipients;
