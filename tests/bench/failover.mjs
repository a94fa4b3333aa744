// SPDX-License-Identifier: Apache-2.0
//
// What the loss of a primary of Redis costs: a cluster of three primaries with a replica each, and a primary with two
// replicas under three sentinels, mail flowing at an even rate into ingest and out of rewrite, and in the middle of it
// SIGKILL, later the same node comes back.
//
//   no 250        longest time without an accepted mail (ingest commits to the spool, it does not ask Redis)
//   no delivery   longest time without a delivered mail, of all shards
//   its shards    the same, of the shards that the killed primary had: their jobs are what waits
//   recovery      from the kill until mail goes out as fast as it comes in again and what had gathered is out: no mail is
//                 older than twice the oldest one before the kill (or a second)
//   lost, twice   mails that never came, mails that came more than once
//
//   BENCH_RATE (15) mails a second, BENCH_SHARDS (12), FB_NODE_TIMEOUT (1500) ms until a node counts as down

import os from 'node:os';
import { Stack } from '../e2e/stack.mjs';
import { plainMail } from '../e2e/mails.mjs';
import { Cluster, Sentinels } from '../integration/redis/kit.mjs';
import { Smtp, sleep, waitFor } from '../support/harness.mjs';
import { Relay } from '../support/relay.mjs';
import { ROUNDS, caseOf, progress, report } from './lib.mjs';

const RATE = Number(process.env.BENCH_RATE ?? 15);
const SHARDS = Number(process.env.BENCH_SHARDS ?? 12);
const DOWN_MS = Number(process.env.FB_NODE_TIMEOUT ?? 1500);
const BEFORE_S = 8;
const AFTER_S = 17;
const SAFE = ['--min-replicas-to-write', '1', '--min-replicas-max-lag', '5'];
const begun = os.loadavg();

function shardOf(id) { // CRC-32, as the queue has it
  let crc = 0xffffffff;
  for (const byte of Buffer.from(id)) {
    crc ^= byte;
    for (let i = 0; i < 8; i++) crc = (crc & 1) ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return ((crc ^ 0xffffffff) >>> 0) % SHARDS;
}

const KINDS = {
  cluster: {
    start: (dir) => Cluster.start(dir, { nodeTimeout: DOWN_MS, args: SAFE }),
    victim: async (group) => {
      const node = await group.primary('fb:{s0}');
      const owners = await Promise.all([...Array(SHARDS).keys()].map((i) => group.primary(`fb:{s${i}}`)));
      return { node, shards: new Set([...owners.keys()].filter((i) => owners[i] === node)) };
    },
    over: (group, node) => group.failedOver('fb:{s0}', node),
  },
  sentinel: {
    start: (dir) => Sentinels.start(dir, { downAfter: DOWN_MS, args: SAFE }),
    victim: async (group) => ({ node: await group.primary(), shards: new Set(Array(SHARDS).keys()) }),
    over: (group, node) => group.failedOver(node),
  },
};

/** The longest time between two of them, of those that reach behind `from`. */
function longestGap(times, from) {
  const sorted = [...times].sort((a, b) => a - b);
  let gap = 0;
  for (let i = 1; i < sorted.length; i++) if (sorted[i] > from) gap = Math.max(gap, sorted[i] - sorted[i - 1]);
  return gap;
}

/** Hands mails in evenly, over four connections; each notes when it was accepted, and as what. */
async function send(stack, mails, count) {
  const from = Date.now();
  let next = 0;
  await Promise.all([...Array(4).keys()].map(async () => {
    const smtp = await Smtp.connect(stack.world.ports.smtp, { timeout: 60000 });
    while (next < count) {
      const i = next++;
      const to = `r${i}@partner.example.com`;
      await sleep(from + (i * 1000) / RATE - Date.now());
      const reply = await smtp.send({ from: `s${i % 50}@example.jp`, to: [to], content: plainMail({ token: `t${i}x`, to }) });
      if (reply?.code !== 250) throw new Error(`mail ${i}: ${reply?.text}`);
      mails[i] = { acceptedAt: Date.now(), id: reply.id, at: [] };
    }
    smtp.close();
  }));
}

/** When no mail waits longer any more than twice what was usual before the kill. */
function recovery(mails, killedAt) {
  const wait = (m) => Math.min(...m.at) - m.acceptedAt;
  const usual = Math.max(...mails.filter((m) => Math.min(...m.at) < killedAt).map(wait));
  const late = mails.filter((m) => wait(m) > Math.max(1000, 2 * usual) && Math.min(...m.at) > killedAt);
  return late.length > 0 ? Math.max(...late.map((m) => Math.min(...m.at))) - killedAt : 0;
}

async function round(kind, values) {
  const count = RATE * (BEFORE_S + AFTER_S);
  const mails = [];
  const early = new Map(); // delivered before we know that it was accepted
  const relay = await Relay.start({ end: (mail) => {
    const i = Number(/^r(\d+)@/.exec(mail.rcpts[0].address)?.[1] ?? -1);
    if (mails[i]) mails[i].at.push(Date.now());
    else early.set(i, Date.now());
    return null;
  } });
  let group;
  const stack = await Stack.start(null, { postfix: false, services: ['ingest', 'render', 'upload', 'rewrite'], box: { users: 100 },
    redis: async (dir) => { group = await KINDS[kind].start(dir); return group; },
    overrides: { log: { level: 'warn' }, redis: { shards: SHARDS }, ingest: { sweep_after: '5s' },
      rewrite: { relay: `smtp://127.0.0.1:${relay.port}` } } });
  try {
    const sending = send(stack, mails, count);
    sending.catch(() => {});
    await sleep(BEFORE_S * 1000);
    const { node, shards } = await KINDS[kind].victim(group);
    const killedAt = Date.now();
    node.signal('SIGKILL');
    await KINDS[kind].over(group, node);
    const named = Date.now() - killedAt;
    await sleep(2000);
    await node.start(); // and comes back as a replica
    await sending;
    const out = () => mails.filter((m) => m.at.length > 0).length;
    for (const [i, at] of early) mails[i]?.at.push(at);
    await waitFor(() => out() === count, { timeout: 120000, interval: 100, what: 'the last mail' }).catch(() => {});
    await sleep(3000);
    const arrived = mails.filter((m) => m.at.length > 0);
    const firsts = (list) => list.map((m) => Math.min(...m.at));
    const row = {
      named, accepts: longestGap(mails.map((m) => m.acceptedAt), killedAt), deliveries: longestGap(firsts(arrived), killedAt),
      shards: longestGap(firsts(arrived.filter((m) => shards.has(shardOf(m.id)))), killedAt),
      recovery: recovery(arrived, killedAt), lost: count - arrived.length,
      twice: arrived.reduce((sum, m) => sum + m.at.length - 1, 0),
    };
    for (const [k, v] of Object.entries(row)) (values[k] ??= []).push(v);
    progress(`${kind}: ${count} mails, ${shards.size} of ${SHARDS} shards; ms: next primary ${named}, no 250 ${row.accepts}, no delivery ` +
      `${row.deliveries}, on its shards ${row.shards}, recovery ${row.recovery}; lost ${row.lost}, twice ${row.twice}`);
  } finally {
    await stack.end();
    await relay.stop();
  }
}

const values = { cluster: {}, sentinel: {} };
for (let i = 0; i < ROUNDS; i++) {
  for (const kind of i % 2 === 0 ? ['cluster', 'sentinel'] : ['sentinel', 'cluster']) await round(kind, values[kind]);
}
const NAMES = { named: 'the next primary is named', accepts: 'no 250', deliveries: 'no delivery', shards: 'no delivery on its shards',
  recovery: 'recovery' };
const cases = [];
for (const [kind, v] of Object.entries(values)) {
  for (const [k, name] of Object.entries(NAMES)) cases.push(caseOf(`${kind}: ${name}`, 'ms', v[k]));
  cases.push(caseOf(`${kind}: lost`, 'mails', v.lost), caseOf(`${kind}: twice`, 'mails', v.twice));
}
report('failover', cases, begun);
if (Object.values(values).some((v) => v.lost.some((n) => n > 0))) {
  progress('mail was lost');
  process.exitCode = 1;
}
