// SPDX-License-Identifier: Apache-2.0
//
// The client of common/redis*.c against real fail-overs and moving slots: `redis_walk` counts up a key of every shard
// by a script, and says what it saw.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import path from 'node:path';
import { test } from 'node:test';
import { World, binDir, sleep } from '../../support/harness.mjs';
import { Cluster, Sentinels, slotOf } from './kit.mjs';

const SHARDS = 6;

async function surroundings(t, kind, options) {
  const world = await World.create();
  const group = await kind.start(world.dir, options);
  world.redis = group;
  t.after(() => world.end());
  return { world, group };
}

/** Runs redis_walk for some seconds beside `during`; what it saw. */
async function walk(world, url, seconds, during) {
  const child = world.spawn(path.join(binDir(), 'redis_walk'), [url, String(SHARDS), String(seconds)]);
  let out = '';
  let errors = '';
  child.stdout.on('data', (c) => { out += c; });
  child.stderr.on('data', (c) => { errors += c; });
  const ended = once(child, 'close');
  await sleep(500);
  await during();
  const [code] = await ended;
  assert.equal(code, 0, errors);
  const saw = JSON.parse(out);
  assert.equal(saw.wrong, 0, `an error that is no retry: ${saw.text}`);
  return saw;
}

const longest = (saw) => Math.max(...saw.shards.map((s) => s.pause));
const tell = (t, what, saw) => t.diagnostic(`${what}: longest pause ${longest(saw)} ms, by shard ` +
  `${saw.shards.map((s) => s.pause).join(' ')}; ${saw.again} refused, ${saw.network} lost, ${saw.connections} connections`);

/** Acknowledged steps are there, but for those of a fail-over; and no more than were sent. */
async function check(group, saw, { lossless }) {
  let missing = 0;
  for (let i = 0; i < SHARDS; i++) {
    const value = Number(await group.command('GET', `fb:{s${i}}:walk`));
    const { done, unknown } = saw.shards[i];
    assert.equal(await group.command('GET', `fb:{s${i}}:twin`), String(value), 'a script was cut in two');
    assert.ok(value <= done + unknown, `shard ${i}: ${value} steps, ${done} acknowledged, ${unknown} unknown`);
    missing += Math.max(0, done - value);
  }
  if (lossless) assert.equal(missing, 0, 'acknowledged steps are missing');
  return missing;
}

test('Sentinel: a killed primary is replaced, and the client finds the new one', async (t) => {
  const { world, group } = await surroundings(t, Sentinels);
  const saw = await walk(world, group.url, 15, async () => {
    const old = await group.primary();
    old.signal('SIGKILL');
    await group.failedOver(old);
  });
  tell(t, 'Sentinel, primary killed', saw);
  t.diagnostic(`acknowledged steps lost by the fail-over: ${await check(group, saw, { lossless: false })}`);
  assert.ok(longest(saw) < 12000);
});

test('Sentinel: a primary that hangs and comes back is not written to any more', async (t) => {
  const { world, group } = await surroundings(t, Sentinels,
    { args: ['--min-replicas-to-write', '1', '--min-replicas-max-lag', '5'] });
  let old;
  const saw = await walk(world, group.url, 20, async () => {
    old = await group.primary();
    old.signal('SIGSTOP');
    await group.failedOver(old);
    await sleep(3000);
    old.signal('SIGCONT');
  });
  tell(t, 'Sentinel, primary stopped', saw);
  await check(group, saw, { lossless: false });
  assert.equal(await old.role(), 'slave');
  assert.ok(longest(saw) < 12000);
});

test('Sentinel: after an operator\'s fail-over nobody writes to the old primary for longer than a second or two', async (t) => {
  const { world, group } = await surroundings(t, Sentinels);
  const saw = await walk(world, group.url, 10, async () => {
    const old = await group.primary();
    await group.sentinels[0].command('SENTINEL', 'FAILOVER', group.name);
    await group.failedOver(old);
  });
  tell(t, 'Sentinel, told to fail over', saw);
  // The old primary takes writes until it is demoted, up to ten seconds later; without a look at the sentinels each
  // second all of them would be lost.  The sweeper finds such mail again.
  const missing = await check(group, saw, { lossless: false });
  const rate = saw.shards.reduce((sum, s) => sum + s.done, 0) / 10;
  t.diagnostic(`acknowledged steps lost: ${missing}, that is ${(missing / rate).toFixed(1)} seconds of them`);
  assert.ok(missing < rate * 2.5);
});

test('Sentinel: one sentinel of three is enough to find the primary', async (t) => {
  const { world, group } = await surroundings(t, Sentinels);
  group.sentinels[0].signal('SIGKILL');
  group.sentinels[1].signal('SIGSTOP');
  const saw = await walk(world, group.url, 6, async () => {});
  tell(t, 'Sentinel, two sentinels away', saw);
  assert.ok(saw.shards.every((s) => s.done > 100));
  await check(group, saw, { lossless: true });
});

test('Cluster: every shard goes to its primary; a killed one stops its own shards only', async (t) => {
  const { world, group } = await surroundings(t, Cluster);
  const old = await group.primary('fb:{s0}');
  const owners = await Promise.all([...Array(SHARDS).keys()].map((i) => group.primary(`fb:{s${i}}`)));
  assert.ok(new Set(owners).size > 1, 'the shards are on several nodes');
  const saw = await walk(world, group.url, 15, async () => {
    old.signal('SIGKILL');
    await group.failedOver('fb:{s0}', old);
  });
  tell(t, 'Cluster, primary killed', saw);
  t.diagnostic(`acknowledged steps lost by the fail-over: ${await check(group, saw, { lossless: false })}`);
  for (let i = 0; i < SHARDS; i++) {
    if (owners[i] === old) assert.ok(saw.shards[i].pause > 500 && saw.shards[i].pause < 12000, 'its own shards wait');
    else assert.ok(saw.shards[i].pause < 500, `shard ${i} waited ${saw.shards[i].pause} ms for a node that is not its own`);
  }
});

test('Cluster: an orderly fail-over loses nothing', async (t) => {
  const { world, group } = await surroundings(t, Cluster);
  const saw = await walk(world, group.url, 8, async () => {
    const old = await group.primary('fb:{s1}');
    const id = await old.command('CLUSTER', 'MYID');
    const replica = (await old.command('CLUSTER', 'REPLICAS', id))[0].split(/[ :@]/)[2];
    await group.nodes.find((n) => n.port === Number(replica)).command('CLUSTER', 'FAILOVER');
    await group.failedOver('fb:{s1}', old);
  });
  tell(t, 'Cluster, told to fail over', saw);
  await check(group, saw, { lossless: true });
});

test('Cluster: slots that move under load are followed (ASK, TRYAGAIN, MOVED) and nothing is lost or twice', async (t) => {
  const { world, group } = await surroundings(t, Cluster);
  let keys = 0;
  const saw = await walk(world, group.url, 14, async () => {
    for (let i = 0; i < 3; i++) {
      const from = await group.primary(`fb:{s${i}}`);
      const to = (await group.primaries()).find((n) => n !== from);
      keys += await group.moveSlot(slotOf(`fb:{s${i}}`), from, to, 700);
      assert.equal(await group.primary(`fb:{s${i}}`), to);
    }
  });
  tell(t, `Cluster, ${keys} keys of 3 shards moved`, saw);
  assert.ok(saw.again > 0, 'the script was met with its keys on both sides');
  await check(group, saw, { lossless: true });
});
