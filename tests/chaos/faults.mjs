// SPDX-License-Identifier: Apache-2.0
//
// The faults, a function each.  An entry of the schedule says target, seconds and dose (a number in [0, 1) that picks a
// variant); `run` brings the fault about, waits, and undoes it.  `group`: what no two faults touch at once (the target where
// none is given); `rest`: ms for it to recover.

import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { PROCESSES, pause } from './kit.mjs';
import { sleep, waitFor } from '../support/harness.mjs';

const of = (...services) => PROCESSES.filter((p) => services.includes(p.split('-')[0]));
const STORING = of('ingest', 'render', 'upload', 'rewrite', 'revoke');
const seconds = (e, signal) => pause(e.seconds * 1000, signal);
const pick = (list, e) => list[Math.floor(e.dose * list.length)];

// ---- processes ----

async function stopped(kit, e, signal) {
  const p = kit.processes[e.target];
  const { pid } = p;
  p.signal('SIGSTOP');
  await seconds(e, signal);
  if (p.pid === pid) p.signal('SIGCONT');
}

async function killAll(kit) {
  for (const p of Object.values(kit.processes)) p.signal('SIGKILL');
}

// ---- disk ----

/** In place: the service has the file mapped, and one that is cut and written anew would end it. */
function set(file, bytes) {
  const fd = fs.openSync(file, 'r+');
  fs.writeSync(fd, bytes, 0, bytes.length, 0);
  fs.closeSync(fd);
}

const disk = (kit, name, mode, oneIn = 1) => set(kit.processes[name].disk, Buffer.from([mode, oneIn]));

function remount(kit, options) {
  return spawnSync('mount', ['-o', `remount,${options}`, kit.world.spoolDir], { encoding: 'utf8' });
}

async function diskFull(kit, e, signal) {
  for (let tries = 0; tries < 50; tries++) {
    const at = fs.statfsSync(kit.world.spoolDir);
    const used = (at.blocks - at.bfree) * at.bsize;
    if (remount(kit, `size=${used}`).status === 0) break; // somebody wrote meanwhile: again
  }
  await seconds(e, signal);
  remount(kit, `size=${kit.spoolBytes}`);
}

async function shimmed(kit, names, mode, oneIn, e, signal) {
  for (const name of names) disk(kit, name, mode, oneIn);
  await seconds(e, signal);
  for (const name of names) disk(kit, name, 0);
}

/** A file system cannot be made read-only below those who write: they are killed, and find it so when they come again. */
async function readOnlyDisk(kit, e, signal) {
  for (const name of STORING) kit.processes[name].signal('SIGKILL');
  const error = await waitFor(() => remount(kit, 'ro').status === 0, { timeout: 5000, what: 'the spool to become read-only' })
    .then(() => null, (reason) => reason.message);
  if (!error) await seconds(e, signal);
  remount(kit, 'rw');
  return error ? { error } : {};
}

// ---- clock ----

async function clockStep(kit, e, signal) {
  const file = kit.processes[e.target].clock;
  const step = pick([-3600, -300, -20, 20, 90, 900, 3600], e);
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(BigInt(step * 1000));
  set(file, bytes);
  await seconds(e, signal);
  set(file, Buffer.alloc(8));
  return { step };
}

// ---- Redis ----

async function primaryOf(kit) {
  return waitFor(() => kit.redis.primary(), { timeout: 20000, interval: 200, what: 'a primary' });
}

async function backAgain(kit, node) {
  // It comes again as what it was, a primary, as its rewritten configuration would say; Sentinel makes it a replica if need be.
  const at = node.args.indexOf('--replicaof');
  if (!node.isRunning && at >= 0) node.args.splice(at, 3);
  if (!node.isRunning) await node.start().catch(() => {});
  await waitFor(async () => {
    for (const n of kit.redis.nodes) {
      const role = await n.ask('ROLE');
      if (role[0] === 'slave' && role[3] !== 'connected') return false;
    }
    return true;
  }, { timeout: 60000, interval: 250, what: 'the replicas' }).catch(() => {});
}

async function redisKilled(kit, e, signal) {
  const node = await primaryOf(kit);
  await node.stop('SIGKILL');
  await seconds(e, signal);
  await backAgain(kit, node);
  return { port: node.port };
}

async function redisStopped(kit, e, signal) {
  const node = await primaryOf(kit);
  node.signal('SIGSTOP');
  await seconds(e, signal);
  node.signal('SIGCONT');
  await backAgain(kit, node);
  return { port: node.port };
}

/**
 * The replicas hear nothing for a moment and do not know it (their own words still arrive), then one of them must take over:
 * what was written meanwhile is lost.  To stop them would not do: what lies in their sockets is not lost.
 */
async function redisForgets(kit, e) {
  const node = await primaryOf(kit);
  const ports = [...(await node.ask('CLIENT', 'LIST', 'TYPE', 'replica')).matchAll(/\baddr=127\.0\.0\.1:(\d+)/g)].map(([, port]) => port);
  net.cuts.set(e.n, ports.map((port) => `tcp sport ${node.port} tcp dport ${port} drop\n`));
  applyNet();
  await sleep(500 + e.dose * 2000);
  await node.stop('SIGKILL');
  const error = await kit.redis.failedOver(node, 20000).then(() => null, (reason) => reason.message);
  net.cuts.delete(e.n);
  applyNet();
  await backAgain(kit, node);
  return { port: node.port, ...(error ? { error } : {}) };
}

async function redisForced(kit) {
  const node = await primaryOf(kit);
  const ordered = await kit.redis.sentinels[0].ask('SENTINEL', 'FAILOVER', kit.redis.name).then(() => null, (reason) => reason.message);
  const error = ordered ?? await kit.redis.failedOver(node, 20000).then(() => null, (reason) => reason.message);
  await backAgain(kit, node);
  return error ? { error } : {};
}

async function redisFull(kit, e, signal) {
  const node = await primaryOf(kit);
  const used = Number(/used_memory:(\d+)/.exec(await node.ask('INFO', 'memory'))[1]);
  await node.ask('CONFIG', 'SET', 'maxmemory', String(Math.max(1, used - (1 << 20))));
  await seconds(e, signal);
  await node.ask('CONFIG', 'SET', 'maxmemory', '6gb').catch(() => {});
}

/** Everything is deleted while mail flows; then the operator does what the handbook says. */
async function redisWiped(kit, e) {
  const node = await primaryOf(kit);
  await sleep(e.dose * 500);
  await node.ask('FLUSHALL');
  kit.journal.note('wiped', {});
  for (let tries = 0; tries < 20; tries++) {
    await sleep(3000);
    const r = await kit.ctl(['ledger', 'rebuild'], 600000);
    if (r.status === 0) { kit.journal.note('rebuilt', { said: r.stdout.trim() }); return; }
  }
  kit.journal.note('not rebuilt');
}

// ---- network: all of the run is in a network of its own, whose loopback device these rules are on ----

const NFT = 'table inet chaos {\n chain in {\n type filter hook input priority 0\n }\n}\n';
const net = { drops: new Map(), slow: new Map(), cuts: new Map() };

function applyNet() {
  const rules = [...net.drops.values()].flat().map(({ port, percent }) => ['dport', 'sport'].map((side) =>
    `tcp ${side} ${port} ${percent < 100 ? `numgen random mod 100 < ${percent} ` : ''}drop\n`).join('')).join('') + [...net.cuts.values()].flat().join('');
  spawnSync('nft', ['-f', '-'], { input: `table inet chaos\ndelete table inet chaos\n${NFT.replace(' }\n}', `${rules} }\n}`)}` });
  spawnSync('tc', ['qdisc', 'del', 'dev', 'lo', 'root']);
  const slow = [...net.slow.values()].flat();
  if (slow.length === 0) return;
  const tc = (...args) => spawnSync('tc', args);
  tc('qdisc', 'add', 'dev', 'lo', 'root', 'handle', '1:', 'htb', 'default', '1');
  tc('class', 'add', 'dev', 'lo', 'parent', '1:', 'classid', '1:1', 'htb', 'rate', '100gbit', 'quantum', '60000');
  slow.forEach(({ port, kbit }, i) => {
    tc('class', 'add', 'dev', 'lo', 'parent', '1:', 'classid', `1:${i + 2}`, 'htb', 'rate', `${kbit}kbit`, 'burst', '16k', 'quantum', '60000');
    for (const side of ['dport', 'sport']) {
      tc('filter', 'add', 'dev', 'lo', 'parent', '1:', 'protocol', 'ip', 'prio', '1', 'u32', 'match', 'ip', side, String(port), '0xffff', 'flowid', `1:${i + 2}`);
    }
  });
}

async function portsOf(kit, what) {
  if (what === 'box') return [Number(new URL(kit.stack.box.url).port)];
  if (what === 'relay') return [kit.relay.port];
  if (what === 'redis primary') return [(await primaryOf(kit)).port];
  return kit.redis.nodes.map((n) => n.port);
}

async function netFault(kit, e, signal, { percent = 0, kbit = 0 }, what) {
  const ports = await portsOf(kit, what);
  if (percent) net.drops.set(e.n, ports.map((port) => ({ port, percent })));
  if (kbit) net.slow.set(e.n, ports.map((port) => ({ port, kbit })));
  applyNet();
  await seconds(e, signal);
  net.drops.delete(e.n);
  net.slow.delete(e.n);
  applyNet();
  if (what.startsWith('redis')) await backAgain(kit, kit.redis.nodes[0]);
  return { what };
}

// ---- Box ----

const boxFaults = new Map();

async function box(kit, e, signal, list) {
  boxFaults.set(e.n, list);
  await kit.stack.box.faults([...boxFaults.values()].flat());
  await seconds(e, signal);
  boxFaults.delete(e.n);
  await kit.stack.box.faults([...boxFaults.values()].flat());
}
const API = '^/(2\\.0|upload)/';
const EVERYTHING = '^/(2\\.0|upload|oauth2)/';
const WRITES = [{ method: 'POST', path: API }, { method: 'PUT', path: API }, { method: 'DELETE', path: API }];
const onWrites = (times, action) => WRITES.map((match) => ({ match, times, do: action }));

// ---- relay ----

async function relay(kit, e, signal, kind, share) {
  kit.relay.fault = { kind, share };
  await seconds(e, signal);
  kit.relay.fault = null;
}

export const FAULTS = {
  'kill': { weight: 20, targets: PROCESSES, seconds: [0, 0], run: async (kit, e) => kit.processes[e.target].signal('SIGKILL') },
  'kill all': { weight: 1, group: 'all', seconds: [0, 0], run: killAll },
  'restart': { weight: 5, targets: PROCESSES, seconds: [0, 0], run: async (kit, e) => kit.processes[e.target].signal('SIGTERM') },
  'stop': { weight: 7, targets: PROCESSES, seconds: [1, 10], run: stopped },
  'stop beyond leases': { weight: 3, targets: of('render', 'upload', 'rewrite', 'revoke', 'watch'), seconds: [50, 80], run: stopped },
  'disk full': { weight: 4, group: 'disk', seconds: [2, 8], run: diskFull },
  'disk read-only': { weight: 2, group: 'disk', seconds: [2, 8], run: (kit, e, s) => shimmed(kit, STORING, 3, 1, e, s) },
  'disk remounted read-only': { weight: 1, group: 'disk', seconds: [3, 6], rest: 5000, run: readOnlyDisk },
  'sync error': { weight: 4, group: 'disk', targets: STORING, seconds: [1, 6], run: (kit, e, s) => shimmed(kit, [e.target], 1, pick([1, 2, 3], e), e, s) },
  'write error': { weight: 4, group: 'disk', targets: STORING, seconds: [1, 6], run: (kit, e, s) => shimmed(kit, [e.target], 2, pick([1, 2, 5], e), e, s) },
  'clock step': { weight: 4, group: 'clock', targets: STORING, seconds: [3, 12], run: clockStep },
  'redis killed': { weight: 4, group: 'redis', seconds: [2, 6], rest: 6000, run: redisKilled },
  'redis restarted': { weight: 2, group: 'redis', seconds: [0, 0.3], rest: 3000, run: redisKilled },
  'redis stopped': { weight: 3, group: 'redis', seconds: [0.5, 8], rest: 6000, run: redisStopped },
  'redis fail-over, last writes lost': { weight: 3, group: 'redis', seconds: [1, 1], rest: 8000, run: redisForgets },
  'redis fail-over by order': { weight: 2, group: 'redis', seconds: [1, 1], rest: 8000, run: redisForced },
  'redis out of memory': { weight: 1, group: 'redis', seconds: [1, 5], run: redisFull },
  'redis wiped': { weight: 0.7, group: 'redis', seconds: [3, 3], rest: 15000, run: redisWiped },
  'redis slow and lossy': { weight: 2, group: 'redis', seconds: [2, 8], rest: 4000,
    run: (kit, e, s) => netFault(kit, e, s, { percent: 2 + Math.floor(e.dose * 6), kbit: 4000 }, 'redis nodes') },
  'redis cut off': { weight: 2, group: 'redis', seconds: [2, 8], rest: 8000, run: (kit, e, s) => netFault(kit, e, s, { percent: 100 }, pick(['redis primary', 'redis primary', 'redis nodes'], e)) },
  'box slow and lossy': { weight: 2, group: 'net box', seconds: [2, 8], run: (kit, e, s) => netFault(kit, e, s, { percent: 2 + Math.floor(e.dose * 6), kbit: 4000 }, 'box') },
  'box cut off': { weight: 2, group: 'net box', seconds: [2, 10], run: (kit, e, s) => netFault(kit, e, s, { percent: 100 }, 'box') },
  'relay slow and lossy': { weight: 1, group: 'net relay', seconds: [2, 8], run: (kit, e, s) => netFault(kit, e, s, { percent: 2 + Math.floor(e.dose * 6), kbit: 2000 }, 'relay') },
  'relay cut off': { weight: 1, group: 'net relay', seconds: [2, 8], run: (kit, e, s) => netFault(kit, e, s, { percent: 100 }, 'relay') },
  'box 429 storm': { weight: 4, group: 'box', seconds: [2, 6],
    run: (kit, e, s) => box(kit, e, s, [{ match: { path: API }, do: { status: 429, headers: { 'retry-after': String(1 + Math.floor(e.dose * 3)) } } }]) },
  'box 5xx': { weight: 4, group: 'box', seconds: [2, 6], run: (kit, e, s) => box(kit, e, s, [{ match: { path: API }, do: { status: pick([500, 502, 503, 504], e) } }]) },
  'box replies lost after success': { weight: 5, group: 'box', seconds: [1, 4], run: (kit, e, s) => box(kit, e, s, onWrites(10, { drop: 'after' })) },
  'box 5xx after success': { weight: 2, group: 'box', seconds: [1, 4], run: (kit, e, s) => box(kit, e, s, onWrites(10, { status: 502, effect: true })) },
  'box truncated bodies': { weight: 3, group: 'box', seconds: [1, 4], run: (kit, e, s) => box(kit, e, s, [{ match: { path: API }, times: 30, do: { truncate: Math.floor(e.dose * 200) } }]) },
  'box connections dropped': { weight: 2, group: 'box', seconds: [1, 4], run: (kit, e, s) => box(kit, e, s, [{ match: { path: EVERYTHING }, times: 60, do: { drop: 'before' } }]) },
  'box slow': { weight: 3, group: 'box', seconds: [2, 8], run: (kit, e, s) => box(kit, e, s, [{ match: { path: API }, do: { delay_ms: 300 + Math.floor(e.dose * 2000) } }]) },
  'box tokens refused': { weight: 1, group: 'box', seconds: [1, 3], run: (kit, e, s) => box(kit, e, s, [{ match: { path: API }, times: 30, do: { status: 401 } }]) },
  'box outage': { weight: 1, group: 'box', seconds: [20, 40], run: (kit, e, s) => box(kit, e, s, [{ match: { path: EVERYTHING }, do: { drop: 'before' } }]) },
  'relay away': { weight: 3, group: 'relay', seconds: [1, 6], run: (kit, e, s) => relay(kit, e, s, 'away', 1) },
  'relay slow': { weight: 2, group: 'relay', seconds: [1, 6], run: (kit, e, s) => relay(kit, e, s, 'slow', 0.3) },
  'relay 4xx': { weight: 3, group: 'relay', seconds: [1, 6], run: (kit, e, s) => relay(kit, e, s, 'tempfail', 0.5) },
  'relay 5xx': { weight: 2, group: 'relay', seconds: [0.5, 2], run: (kit, e, s) => relay(kit, e, s, 'refuse', 0.15) },
  'relay refuses some recipients': { weight: 3, group: 'relay', seconds: [1, 6], run: (kit, e, s) => relay(kit, e, s, 'partial', 0.4) },
  'relay drops after DATA': { weight: 4, group: 'relay', seconds: [0.5, 2], run: (kit, e, s) => relay(kit, e, s, 'drop', 0.3) },
  'relay drops in DATA': { weight: 2, group: 'relay', seconds: [0.5, 3], run: (kit, e, s) => relay(kit, e, s, 'cut', 0.4) },
  'relay hangs after DATA': { weight: 1, group: 'relay', seconds: [2, 8], run: (kit, e, s) => relay(kit, e, s, 'hang', 0.3) },
};

/**
 * Brings about what the schedule says until `signal.isOver`; resolves when all is undone, with how many there were of each
 * kind.  One that did not take hold (its function says so, or failed) is no fault and is not counted.
 */
export async function play(kit, entries, signal) {
  const begun = Date.now();
  const locks = new Map();
  const running = new Set();
  const counts = {};
  let missed = 0;
  for (const e of entries) {
    await pause(begun + e.at - Date.now(), signal);
    if (signal.isOver) break;
    const fault = FAULTS[e.kind];
    const group = fault.group ?? e.target;
    const before = locks.get(group) ?? Promise.resolve();
    const work = before.then(async () => {
      if (signal.isOver) return;
      const about = { n: e.n, kind: e.kind, ...(e.target ? { target: e.target } : {}) };
      kit.journal.note('fault begins', { ...about, seconds: e.seconds, due: e.at });
      const more = await fault.run(kit, e, signal).catch((error) => ({ error: error.message }));
      if (more?.error) missed++;
      else counts[e.kind] = (counts[e.kind] ?? 0) + 1;
      kit.journal.note('fault ends', { ...about, ...more });
    });
    locks.set(group, work);
    running.add(work);
    work.finally(() => running.delete(work));
  }
  await Promise.all(running);
  return { counts, missed };
}
