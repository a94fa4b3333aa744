// SPDX-License-Identifier: Apache-2.0
//
// No access is lost and none recorded twice, whatever happens to watch: kill -9, a leader that is stopped and wakes up,
// hours without it.  The simulator's own log is the judge.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { sleep, waitFor } from '../../support/harness.mjs';
import { Scene, TO } from './kit.mjs';

const seed = Number(process.env.FB_SEED ?? Date.now() % 1000000);
console.log(`# FB_SEED=${seed}`);
let state = seed;
function random(below) { // a small generator: the same seed, the same run
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
}

/** `count` random previews and downloads, about `pace` ms apart; each after what `before` waits for. */
async function traffic(scene, parcels, count, pace = 0, before = null) {
  for (let i = 0; i < count; i++) {
    await before?.(i);
    const p = parcels[random(parcels.length)];
    await scene.act(TO[random(2)], ['preview', 'download'][random(2)], { file: p.files[random(p.files.length)] });
    if (pace) await sleep(random(2 * pace));
  }
}

/** Accesses by parcel, actor and kind: as the simulator logged them, and as the ledger has them. */
async function compare(scene, parcels) {
  const folders = new Map(parcels.map((p) => [p.folder, p.id]));
  const want = {};
  const seen = new Set();
  for (const e of (await scene.sim.state()).events) {
    const kind = { ITEM_PREVIEW: 'preview', ITEM_DOWNLOAD: 'download' }[e.event_type];
    const id = folders.get(e.source.parent?.id);
    if (!kind || !id || seen.has(e.event_id)) continue;
    seen.add(e.event_id);
    const key = `${id} ${e.created_by.login} ${kind}`;
    want[key] = (want[key] ?? 0) + 1;
  }
  const got = {};
  for (const p of parcels) {
    const message = await scene.show(p.id);
    for (const l of await scene.history(p.id)) {
      if (!['preview', 'download'].includes(l.event)) continue;
      const key = `${p.id} ${l.actor} ${l.event}`;
      got[key] = (got[key] ?? 0) + 1;
    }
    for (const r of message.recipients) { // the counts say the same as the history
      for (const [kind, n] of [['preview', r.previews], ['download', r.downloads]]) {
        assert.equal(n, want[`${p.id} ${r.address} ${kind}`] ?? 0, `${kind}s of ${p.id} recipient ${r.address}`);
      }
      const state = r.downloads ? 'downloaded' : r.previews ? 'opened' : null;
      if (state) assert.equal(r.grant, state);
    }
  }
  return { want, got, total: Object.values(want).reduce((a, b) => a + b, 0) };
}

async function checked(scene, parcels, count) {
  const total = async () => (await Promise.all(parcels.map((p) => scene.history(p.id)))).flat()
    .filter((l) => ['preview', 'download'].includes(l.event)).length;
  await scene.until(`${count} accesses`, async () => (await total()) >= count, 120000);
  await scene.settled();
  const { want, got, total: all } = await compare(scene, parcels);
  assert.equal(all, count);
  assert.deepEqual(got, want);
}

test('killed again and again while 500 accesses flow: each is recorded exactly once', async (t) => {
  const scene = await Scene.create(t, { settings: { rate: 'off', event_duplicates: true } });
  const parcels = [];
  for (let i = 0; i < 5; i++) parcels.push(await scene.parcel());
  let isOver = false;
  let kills = 0;
  // However long a start takes, there are kills before, between and behind them.
  const enough = (i) => waitFor(() => kills >= Math.floor(i / 150), { what: 'the next kill' });
  const flow = traffic(scene, parcels, 500, 25, enough).then(() => { isOver = true; });
  while (!isOver) {
    await sleep(200 + random(1800));
    await scene.watch.kill();
    kills++;
    scene.watch = await scene.start();
  }
  await flow;
  t.diagnostic(`${kills} kills`);
  assert.ok(kills >= 3);
  await checked(scene, parcels, 500);
});

test('two processes, the leader stopped and woken up: no access lost, none twice', async (t) => {
  const scene = await Scene.create(t);
  const other = await scene.start();
  const parcels = [await scene.parcel(), await scene.parcel()];
  const leader = async () => {
    for (const w of [scene.watch, other]) if ((await w.metric('fumibako_watch_leader')) === 1) return w;
    return null;
  };
  await traffic(scene, parcels, 30);
  const first = await scene.until('a leader', leader);
  const second = first === scene.watch ? other : scene.watch;
  let isOver = false;
  const flow = traffic(scene, parcels, 120, 150).then(() => { isOver = true; });
  await sleep(500 + random(1000));
  first.signal('SIGSTOP');
  await scene.until('the other one to lead', async () => (await second.metric('fumibako_watch_leader')) === 1);
  await traffic(scene, parcels, 20);
  first.signal('SIGCONT');
  while (!isOver) await sleep(100);
  await flow;
  await scene.until('one leader only', async () => (await first.metric('fumibako_watch_leader')) === 0);
  await checked(scene, parcels, 170);
  assert.equal(await second.metric('fumibako_watch_leader'), 1);
  const holder = () => scene.redis.command('GET', 'fb:{s0}:watch:lease');
  const was = await holder();
  await second.stop();
  assert.notEqual(await holder(), was, 'the lease is given back: the other one need not wait for its end');
  await scene.until('the first one to lead again', async () => (await first.metric('fumibako_watch_leader')) === 1);
});

test('what happened while watch was away is read later, page by page', async (t) => {
  const scene = await Scene.create(t);
  const parcels = [await scene.parcel(), await scene.parcel()];
  await scene.watch.stop();
  await traffic(scene, parcels, 1200);
  scene.watch = await scene.start();
  await checked(scene, parcels, 1200);
});

test('after a loss of Redis, a rebuilt ledger learns the accesses again', async (t) => {
  const scene = await Scene.create(t);
  const p = await scene.parcel();
  await scene.act(TO[0], 'download', { file: p.files[0] });
  await scene.grant(p.id, TO[0], 'downloaded');
  await scene.stage.upload.stop();
  for (const name of fs.readdirSync(scene.stage.world.spoolDir)) { // delivered: of the mail, its manifest is left
    if (!name.startsWith('manifest')) fs.rmSync(path.join(scene.stage.world.spoolDir, name), { recursive: true });
  }
  await scene.redis.command('FLUSHALL');
  await scene.until('a reading from the oldest event, which finds no folder',
    async () => (await scene.redis.command('HLEN', 'fb:{s0}:watch:pos')) > 0);
  await scene.ctl('ledger', 'rebuild');
  await scene.grant(p.id, TO[0], 'downloaded');
  assert.equal((await scene.recipient(p.id, TO[0])).downloads, 1);
});
