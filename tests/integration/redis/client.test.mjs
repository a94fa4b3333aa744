// SPDX-License-Identifier: Apache-2.0
//
// The client of common/redis*.c against real fail-overs and moving slots: `redis_walk` counts up a key of every shard
// by a script, and says what it saw.  One Sentinel group and one cluster serve all tests of their kind, side by side.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import path from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { World, binDir, sleep, waitFor } from '../../support/harness.mjs';
import { Cluster, Sentinels, slotOf } from './kit.mjs';

const SHARDS = 6;

/** How far each shard's key is counted up, by what the group says. */
const counted = (world) => waitFor(() => Promise.all([...Array(SHARDS).keys()].map(async (i) =>
  Number(await world.redis.command('GET', `fb:{s${i}}:walk`)))), { interval: 200 });

/** In every shard so many steps more are done: a pause is known only when it has ended. */
async function further(world, count) {
  const from = await counted(world);
  await waitFor(async () => (await counted(world)).every((n, i) => n >= from[i] + count), { interval: 200, what: `${count} steps of every shard` });
}

/** Runs redis_walk beside `during` and until shortly after it; what it saw, and for how many seconds. */
async function walk(world, url, during) {
  const begun = Date.now();
  const child = world.spawn(path.join(binDir(), 'redis_walk'), [url, String(SHARDS), '120']);
  let out = '';
  let errors = '';
  child.stdout.on('data', (c) => { out += c; });
  child.stderr.on('data', (c) => { errors += c; });
  const ended = once(child, 'close');
  let code;
  try {
    await further(world, 1); // it runs, and hears SIGTERM
    await sleep(500);
    await during();
    await further(world, 1);
    await sleep(2000);
  } finally {
    child.kill('SIGTERM'); // nothing of it counts on in the next test
    [code] = await ended;
  }
  assert.equal(code, 0, errors);
  const saw = JSON.parse(out);
  assert.equal(saw.wrong, 0, `an error that is no retry: ${saw.text}`);
  saw.seconds = (Date.now() - begun) / 1000;
  return saw;
}

const longest = (saw) => Math.max(...saw.shards.map((s) => s.pause));

/** How long the group itself takes until it has another primary: sentinels and nodes elect in rounds, of seconds each. */
async function replaced(failedOver) {
  const begun = Date.now();
  await failedOver();
  return Date.now() - begun;
}

// Beyond that a client needs a second or two to notice; more on a busy machine.
const NOTICE_MS = 8000;

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

/** A group of that kind for all tests of a describe(); whole again, and empty, before each of them. */
function surroundings(kind) {
  const at = {};
  before(async () => {
    at.world = await World.create();
    at.group = await kind.start(at.world.dir);
    at.world.redis = at.group;
  });
  after(() => at.world?.end());
  beforeEach(async () => {
    await at.group.recover();
    for (let i = 0; i < SHARDS; i++) {
      for (const key of ['walk', 'twin']) await at.group.command('DEL', `fb:{s${i}}:${key}`);
    }
  });
  return at;
}

describe('the client', { concurrency: 2 }, () => {
  describe('Sentinel', { concurrency: 1 }, () => {
    const at = surroundings(Sentinels);

    test('a killed primary is replaced, and the client finds the new one', async (t) => {
      let took;
      const saw = await walk(at.world, at.group.url, async () => {
        const old = await at.group.primary();
        old.signal('SIGKILL');
        took = await replaced(() => at.group.failedOver(old));
      });
      tell(t, 'Sentinel, primary killed', saw);
      t.diagnostic(`acknowledged steps lost by the fail-over: ${await check(at.group, saw, { lossless: false })}`);
      assert.ok(longest(saw) < took + NOTICE_MS, `${longest(saw)} ms, the fail-over ${took} ms`);
    });

    test('a primary that hangs and comes back is not written to any more', async (t) => {
      await at.group.protect(true);
      await at.group.look({ isQuick: true });
      let old;
      let took;
      const saw = await walk(at.world, at.group.url, async () => {
        old = await at.group.primary();
        old.signal('SIGSTOP');
        took = await replaced(() => at.group.failedOver(old));
        await sleep(3000);
        old.signal('SIGCONT');
        await waitFor(async () => await old.role() === 'slave', { what: 'the old primary to follow' });
      });
      tell(t, 'Sentinel, primary stopped', saw);
      await check(at.group, saw, { lossless: false });
      assert.ok(longest(saw) < took + NOTICE_MS, `${longest(saw)} ms, the fail-over ${took} ms`);
      await at.group.protect(false);
    });

    test('after an operator\'s fail-over nobody writes to the old primary for longer than a second or two', async (t) => {
      const saw = await walk(at.world, at.group.url, async () => {
        const old = await at.group.primary();
        await at.group.sentinels[0].command('SENTINEL', 'FAILOVER', at.group.name);
        await at.group.failedOver(old);
        await waitFor(async () => await old.role() === 'slave', { what: 'the old primary to follow' });
      });
      tell(t, 'Sentinel, told to fail over', saw);
      // The old primary takes writes until it is demoted, up to ten seconds later; without a look at the sentinels each
      // second all of them would be lost.  The sweeper finds such mail again.
      const missing = await check(at.group, saw, { lossless: false });
      const rate = saw.shards.reduce((sum, s) => sum + s.done, 0) / (saw.seconds - longest(saw) / 1000); // while it went
      t.diagnostic(`acknowledged steps lost: ${missing}, that is ${(missing / rate).toFixed(1)} seconds of them`);
      assert.ok(missing < rate * 2.5);
    });

    test('one sentinel of three is enough to find the primary', async (t) => {
      at.group.sentinels[0].signal('SIGKILL');
      at.group.sentinels[1].signal('SIGSTOP');
      const saw = await walk(at.world, at.group.url, async () => {
        await sleep(4000);
        await further(at.world, 40);
      });
      tell(t, 'Sentinel, two sentinels away', saw);
      assert.ok(saw.shards.every((s) => s.done > 20));
      await check(at.group, saw, { lossless: true });
    });
  });

  describe('Cluster', { concurrency: 1 }, () => {
    const at = surroundings(Cluster);

    test('every shard goes to its primary; a killed one stops its own shards only', async (t) => {
      await at.group.patience(15000); // a pause of its own that no other one comes near
      const old = await at.group.primary('fb:{s0}');
      const owners = await Promise.all([...Array(SHARDS).keys()].map((i) => at.group.primary(`fb:{s${i}}`)));
      assert.ok(new Set(owners).size > 1, 'the shards are on several nodes');
      let took;
      const saw = await walk(at.world, at.group.url, async () => {
        old.signal('SIGKILL');
        took = await replaced(() => at.group.failedOver('fb:{s0}', old));
      });
      tell(t, 'Cluster, primary killed', saw);
      t.diagnostic(`acknowledged steps lost by the fail-over: ${await check(at.group, saw, { lossless: false })}`);
      const own = saw.shards.filter((_, i) => owners[i] === old).map((s) => s.pause);
      assert.ok(own.every((pause) => pause > 500 && pause < took + NOTICE_MS), `its own shards wait: ${own}, the fail-over ${took} ms`);
      const least = Math.min(...own);
      for (let i = 0; i < SHARDS; i++) {
        if (owners[i] !== old) assert.ok(saw.shards[i].pause < least / 2, `shard ${i} waited ${saw.shards[i].pause} ms for a node that is not its own`);
      }
    });

    test('an orderly fail-over loses nothing', async (t) => {
      await at.group.patience(15000); // and there is no other one beside it
      const saw = await walk(at.world, at.group.url, async () => {
        const old = await at.group.primary('fb:{s1}');
        const id = await old.command('CLUSTER', 'MYID');
        const replica = (await old.command('CLUSTER', 'REPLICAS', id))[0].split(/[ :@]/)[2];
        await at.group.nodes.find((n) => n.port === Number(replica)).command('CLUSTER', 'FAILOVER');
        await at.group.failedOver('fb:{s1}', old);
      });
      tell(t, 'Cluster, told to fail over', saw);
      await check(at.group, saw, { lossless: true });
    });

    test('slots that move under load are followed (ASK, TRYAGAIN, MOVED) and nothing is lost or twice', async (t) => {
      let keys = 0;
      await at.group.patience(15000);
      const saw = await walk(at.world, at.group.url, async () => {
        for (let i = 0; i < 3; i++) {
          const from = await at.group.primary(`fb:{s${i}}`);
          const to = (await at.group.primaries()).find((n) => n !== from);
          keys += await at.group.moveSlot(slotOf(`fb:{s${i}}`), from, to, 700);
          await waitFor(async () => await at.group.primary(`fb:{s${i}}`) === to, { what: 'the nodes to tell each other' });
        }
      });
      tell(t, `Cluster, ${keys} keys of 3 shards moved`, saw);
      assert.ok(saw.again > 0, 'the script was met with its keys on both sides');
      await check(at.group, saw, { lossless: true });
    });
  });
});
