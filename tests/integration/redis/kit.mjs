// SPDX-License-Identifier: Apache-2.0
//
// Redis as it is run where one node is not enough: Sentinel (a primary, two replicas, three sentinels) and Redis
// Cluster (three primaries, a replica each), of real processes.  Both look to a test like the harness's Redis: `url`,
// `command()`, `stop()`; so a World or a Stack can be given one.

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { Redis, freePorts, sleep, waitFor } from '../../support/harness.mjs';

const DURABLE = ['--appendonly', 'yes', '--appendfsync', 'everysec', '--save', '', '--repl-diskless-sync-delay', '0'];

/** One redis-server with a folder of its own. */
export class Node extends Redis {
  constructor(dir, port, args) {
    super(path.join(dir, `redis-${port}`), port);
    this.args = args;
    fs.mkdirSync(this.dir, { recursive: true });
  }

  async start() {
    this.isStopped = false;
    await super.start([...DURABLE, ...this.args]);
  }
  signal(signal) {
    if (signal === 'SIGSTOP' || signal === 'SIGCONT') this.isStopped = signal === 'SIGSTOP';
    this.process.kill(signal);
  }

  get isRunning() { return this.process?.exitCode === null && this.process?.signalCode === null; }

  /** A command to a node that may be stopped: that one would hold the test up. */
  async ask(...args) {
    if (this.isStopped) throw new Error('no answer');
    return Promise.race([this.command(...args), sleep(10000).then(() => { throw new Error('no answer'); })]);
  }

  async role() { return (await this.ask('ROLE'))[0]; }
}

class Group {
  constructor(dir) {
    this.dir = dir;
    this.nodes = [];
  }

  get process() { return { kill: (signal) => { for (const n of this.all) n.process?.kill(signal); } }; }
  get all() { return this.nodes; }

  async stop() {
    for (const node of this.all) {
      if (node.isRunning) node.signal('SIGCONT');
      await node.stop();
    }
  }
}

/** What CRC-16 makes of a hash tag: the slot of `fb:{sN}:...`. */
export function slotOf(key) {
  const tag = /\{([^}]+)\}/.exec(key)?.[1] ?? key;
  let crc = 0;
  for (const byte of Buffer.from(tag)) {
    crc ^= byte << 8;
    for (let i = 0; i < 8; i++) crc = ((crc & 0x8000) ? (crc << 1) ^ 0x1021 : crc << 1) & 0xffff;
  }
  return crc % 16384;
}

export class Sentinels extends Group {
  static async start(dir, { name = 'fumibako', replicas = 2, downAfter = 1500, args = [] } = {}) {
    const group = new Sentinels(dir);
    group.name = name;
    const ports = await freePorts(1 + replicas + 3);
    for (let i = 0; i <= replicas; i++) {
      group.nodes.push(new Node(dir, ports[i], [...args, ...(i > 0 ? ['--replicaof', '127.0.0.1', String(ports[0])] : [])]));
      await group.nodes[i].start();
    }
    group.sentinels = [];
    for (const port of ports.slice(1 + replicas)) {
      const sentinel = new Node(dir, port, []);
      const file = path.join(sentinel.dir, 'sentinel.conf');
      fs.writeFileSync(file, [`port ${port}`, 'bind 127.0.0.1', `dir ${sentinel.dir}`,
        `sentinel monitor ${name} 127.0.0.1 ${ports[0]} 2`, `sentinel down-after-milliseconds ${name} ${downAfter}`,
        `sentinel failover-timeout ${name} 6000`, `sentinel parallel-syncs ${name} 1`, ''].join('\n'));
      sentinel.process = spawn('redis-server', [file, '--sentinel'], { stdio: 'ignore' });
      sentinel.exited = once(sentinel.process, 'exit');
      group.sentinels.push(sentinel);
    }
    for (const s of group.sentinels) {
      await waitFor(async () => {
        const about = await s.command('SENTINEL', 'MASTER', name);
        const of = (key) => Number(about[about.indexOf(key) + 1]);
        return of('num-slaves') === replicas && of('num-other-sentinels') === 2;
      }, { what: 'the sentinels to know each other' });
    }
    return group;
  }

  get all() { return [...this.nodes, ...(this.sentinels ?? [])]; }
  get url() {
    return `redis+sentinel://${this.sentinels.map((s) => `127.0.0.1:${s.port}`).join(',')}/${this.name}/0`;
  }

  /** The node that the sentinels name. */
  async primary() {
    for (const sentinel of this.sentinels) {
      const at = await sentinel.ask('SENTINEL', 'get-master-addr-by-name', this.name).catch(() => null);
      if (at) return this.nodes.find((n) => n.port === Number(at[1]));
    }
    throw new Error('no sentinel answers');
  }

  async command(...args) { return (await this.primary()).ask(...args); }

  /**
   * How often the sentinels look what their nodes are, and tell each other.  Theirs is every ten seconds, and every two: so
   * long may a primary that came back, or was replaced by order, take itself for one.
   */
  async look({ isQuick = false } = {}) {
    for (const s of this.sentinels) {
      await s.ask('SENTINEL', 'DEBUG', 'INFO-PERIOD', isQuick ? '500' : '10000', 'PUBLISH-PERIOD', isQuick ? '250' : '2000');
    }
  }

  /** Whether a primary without replicas takes writes. */
  async protect(isOn) {
    for (const node of this.nodes) {
      await node.ask('CONFIG', 'SET', 'min-replicas-to-write', isOn ? '1' : '0');
      await node.ask('CONFIG', 'SET', 'min-replicas-max-lag', '5');
    }
  }

  /** All nodes run again: one is primary, the others follow it, and the sentinels see it so. */
  async recover(timeout = 60000) {
    for (const node of this.nodes) if (!node.isRunning) await node.start();
    await this.look({ isQuick: true });
    await waitFor(async () => {
      const primary = await this.primary();
      const [role, , replicas] = await primary.ask('ROLE');
      if (role !== 'master' || replicas.length !== this.nodes.length - 1) return false;
      for (const node of this.nodes.filter((n) => n !== primary)) {
        const about = await node.ask('ROLE');
        if (about[0] !== 'slave' || about[2] !== primary.port || about[3] !== 'connected') return false;
      }
      for (const s of this.sentinels) {
        const about = await s.ask('SENTINEL', 'MASTER', this.name);
        const of = (key) => about[about.indexOf(key) + 1];
        if (Number(of('port')) !== primary.port || of('flags') !== 'master') return false;
      }
      return true;
    }, { timeout, interval: 100, what: 'one primary and its replicas' });
    await this.look();
  }

  /** Another node than `old` is primary and says so itself. */
  async failedOver(old, timeout = 60000) {
    return waitFor(async () => {
      const now = await this.primary();
      return now !== old && await now.role() === 'master' && now;
    }, { timeout, what: 'the fail-over' });
  }
}

export class Cluster extends Group {
  static async start(dir, { masters = 3, replicas = 1, nodeTimeout = 1500, args = [] } = {}) {
    const group = new Cluster(dir);
    group.masters = masters;
    const count = masters * (1 + replicas);
    const ports = await freePorts(count * 2);
    for (let i = 0; i < count; i++) {
      group.nodes.push(new Node(dir, ports[i], ['--cluster-enabled', 'yes', '--cluster-port', String(ports[count + i]),
        '--cluster-node-timeout', String(nodeTimeout), '--cluster-require-full-coverage', 'no',
        '--cluster-replica-validity-factor', '0', ...args]));
      await group.nodes[i].start();
    }
    const r = spawnSync('redis-cli', ['--cluster', 'create', ...ports.slice(0, count).map((p) => `127.0.0.1:${p}`),
      '--cluster-replicas', String(replicas), '--cluster-yes'], { encoding: 'utf8', timeout: 120000 });
    if (r.status !== 0) throw new Error(`redis-cli --cluster create: ${r.stdout}${r.stderr}`);
    await group.healthy();
    return group;
  }

  /** All nodes agree that all is well and who has which slots; each primary has a replica that follows it, and knows so. */
  async healthy(timeout = 60000) {
    await waitFor(async () => {
      let primaries = 0;
      const views = new Set();
      for (const node of this.nodes.filter((n) => n.isRunning)) {
        const info = await node.ask('CLUSTER', 'INFO');
        if (!/cluster_state:ok/.test(info) || !/cluster_slots_ok:16384/.test(info)) return false;
        const slots = await node.ask('CLUSTER', 'SLOTS');
        views.add(slots.map(([first, last, [, port]]) => `${first}-${last} ${port}`).sort().join());
        const role = await node.ask('ROLE');
        if (role[0] === 'slave' && role[3] !== 'connected') return false;
        if (role[0] !== 'master') continue;
        const replicas = await node.ask('CLUSTER', 'REPLICAS', await node.ask('CLUSTER', 'MYID'));
        if (!replicas.some((r) => !/fail|noaddr|handshake/.test(r.split(' ')[2]))) return false;
        primaries++;
      }
      return primaries === this.masters && views.size === 1;
    }, { timeout, what: 'the cluster to be healthy' });
  }

  /** How long a node may say nothing until the others replace it: on a busy machine, a healthy one is silent, too. */
  async patience(ms) {
    for (const node of this.nodes) await node.ask('CONFIG', 'SET', 'cluster-node-timeout', String(ms));
  }

  /** All nodes run again, and agree. */
  async recover() {
    for (const node of this.nodes) if (!node.isRunning) await node.start();
    await this.healthy();
  }

  get url() { return `redis+cluster://${this.nodes.slice(0, 3).map((n) => `127.0.0.1:${n.port}`).join(',')}`; }

  /** The primary of a key's slot, as the others see it. */
  async primary(key) {
    const slot = slotOf(key);
    for (const node of this.nodes) {
      const runs = await node.ask('CLUSTER', 'SLOTS').catch(() => null);
      const run = runs?.find(([first, last]) => first <= slot && slot <= last);
      if (run) return this.nodes.find((n) => n.port === run[2][1]);
    }
    throw new Error(`no node has ${key}`);
  }

  async primaries() {
    const all = [];
    for (const node of this.nodes) {
      if (await node.role().catch(() => '') === 'master') all.push(node);
    }
    return all;
  }

  async command(...args) {
    const key = args.find((a) => String(a).startsWith('fb:')) ?? 'fb:{s0}';
    return (await this.primary(String(key))).ask(...args);
  }

  async failedOver(key, old, timeout = 60000) {
    return waitFor(async () => {
      const now = await this.primary(key);
      return now !== old && await now.role() === 'master' && now;
    }, { timeout, what: 'the fail-over' });
  }

  /**
   * Moves a slot as redis-cli --cluster reshard does, key by key; `pause` ms after each key, so that clients are met in
   * the middle of it: some keys here, some there.
   */
  async moveSlot(slot, from, to, pause = 0) {
    const [fromId, toId] = await Promise.all([from.command('CLUSTER', 'MYID'), to.command('CLUSTER', 'MYID')]);
    await to.command('CLUSTER', 'SETSLOT', slot, 'IMPORTING', fromId);
    await from.command('CLUSTER', 'SETSLOT', slot, 'MIGRATING', toId);
    let moved = 0;
    for (;;) {
      const keys = await from.command('CLUSTER', 'GETKEYSINSLOT', slot, 1);
      if (keys.length === 0) break;
      await from.command('MIGRATE', '127.0.0.1', to.port, '', 0, 10000, 'KEYS', ...keys);
      moved++;
      if (pause > 0) await sleep(pause);
    }
    for (const node of [to, from, ...(await this.primaries())]) await node.command('CLUSTER', 'SETSLOT', slot, 'NODE', toId);
    return moved;
  }
}
