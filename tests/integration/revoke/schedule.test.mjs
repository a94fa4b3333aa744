// SPDX-License-Identifier: Apache-2.0
//
// What falls due: expiry at once and in masses, purge, each once, by whichever process.  The same at scale, with
// figures: tests/bench/expiry.mjs.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { sleep, waitFor } from '../../support/harness.mjs';
import { run } from '../upload/stage.mjs';
import { due, seedDue, startDue, writeDue } from './due.mjs';

const open = async (scene) => (await scene.sim.state('collaborations')).collaborations.length;
// What the schedule has taken, and made no job of yet, is due again 15 seconds later (services/revoke/schedule.c).
const over = (scene, timeout = 120000) => waitFor(async () => (await due(scene, 60000)) === 0
  && (await scene.world.redis.left('revoke')) === 0, { what: 'nothing to be due', timeout });
const grants = async (scene, parcel) => {
  const flat = await scene.world.redis.command('HGETALL', `fb:{s0}:g:${parcel}`);
  return flat.filter((_, i) => i % 2 === 1 && /^\d+$/.test(flat[i - 1])).map((v) => v.split('|')[0]);
};

test('a thousand due grants are closed once each, by two processes, with a call a grant and one a parcel', async (t) => {
  const scene = await startDue(t, { users: 40 });
  await seedDue(scene, { singles: 300, hundreds: 7, users: 40 });
  await scene.sim.request('DELETE', '/__requests');
  const first = await scene.world.start('revoke', scene.settings());
  const port = scene.world.ports.metrics_revoke;
  scene.world.ports.metrics_revoke = scene.world.ports.metrics_render;
  const second = await scene.world.start('revoke', scene.settings());
  scene.world.ports.metrics_revoke = port;
  await over(scene);
  assert.equal(await open(scene), 0);
  const { json } = await scene.sim.request('GET', '/__requests');
  const count = (method) => json.entries.filter((e) => e.method === method).reduce((n, e) => n + e.count, 0);
  assert.equal(count('DELETE'), 1000, 'each grant once');
  assert.equal(count('PUT'), 307, 'each parcel once');
  assert.equal(count('GET'), 0, 'no list is read where the answer says that nobody is in');
  for (const parcel of scene.parcels) assert.ok((await grants(scene, parcel)).every((s) => s === 'expired'), parcel);
  assert.equal(await scene.world.redis.command('ZCARD', 'fb:{s0}:due'), 0);
  await waitFor(async () => (await first.metric('fumibako_due_backlog')) === 0, { what: 'no backlog in the metrics' });
  for (const revoke of [first, second]) assert.deepEqual(await revoke.stop(), { code: 0, signal: null });
});

test('killed in the middle of many, another ends it; nothing is left open', async (t) => {
  const scene = await startDue(t, { users: 40 });
  await seedDue(scene, { singles: 400, hundreds: 4, users: 40 });
  await scene.sim.faults([{ match: { method: 'DELETE' }, after: 200, do: { delay_ms: 60000 } }]); // here it is killed, not later
  const first = await scene.world.start('revoke', scene.settings());
  await waitFor(async () => (await open(scene)) < 700, { what: 'some to be closed' });
  await first.kill();
  await scene.world.redis.abandon('revoke');
  assert.ok((await open(scene)) > 0);
  await scene.sim.faults([]);
  await scene.world.start('revoke', scene.settings());
  await over(scene, 120000);
  assert.equal(await open(scene), 0);
  for (const parcel of scene.parcels) assert.ok((await grants(scene, parcel)).every((s) => s === 'expired'), parcel);
});

test('with the rate limit on, the limit is the pace, and the backlog is told', async (t) => {
  const scene = await startDue(t, { settings: {} });
  await seedDue(scene, { singles: 2000, hundreds: 0 });
  const begun = Date.now();
  const revoke = await scene.world.start('revoke', scene.settings());
  await waitFor(async () => (await revoke.metric('fumibako_due_lag_seconds')) > 0, { what: 'the backlog to be measured' });
  await sleep(8000);
  const backlog = await revoke.metric('fumibako_due_backlog');
  assert.ok(backlog > 1000, `${backlog}`);
  assert.ok((await revoke.metric('fumibako_due_lag_seconds')) > 0);
  const ctl = path.join(scene.world.dir, 'ctl.yaml');
  fs.writeFileSync(ctl, JSON.stringify(scene.world.config('ctl', scene.settings())), { mode: 0o600 });
  const told = JSON.parse((await run('fumibako', ['--config', ctl, '--json', 'queue'], '')).stdout);
  assert.ok(told.due > 1000 && told.revoke.waiting < 300, 'a recall does not wait behind thousands of expiries');
  const { json } = await scene.sim.request('GET', '/__requests');
  assert.equal(json.entries.filter((e) => e.status === 429).length, 0);
  const most = 100 + (850 / 60) * ((Date.now() - begun) / 1000) + 50;
  assert.ok(json.total < most, `${json.total} calls: 100 at once and 850 a minute are ${most}`);
});

test('the content goes at its date, also of a parcel that was recalled as a whole; the manifest goes with it', async (t) => {
  const scene = await startDue(t);
  const parcels = await scene.seed([{ name: 'm-a', to: ['a@partner.example.com'] }, { name: 'm-b', to: ['b@partner.example.com', 'c@partner.example.com'] }]);
  const at = Date.now() + 4000;
  const [a, b] = await writeDue(scene, parcels, { expires_ms: Date.now() - 1000, purge_ms: at });
  await scene.world.start('revoke', scene.settings());
  await waitFor(async () => (await open(scene)) === 0, { what: 'expiry' });
  const kept = (await scene.sim.state('folders')).folders.length;
  if (Date.now() < at) assert.equal(kept, 2, 'the content stays until its date'); // a busy machine may come too late to see it
  await waitFor(async () => (await scene.sim.state('folders')).folders.length === 0, { what: 'purge' });
  assert.ok(Date.now() >= at);
  await over(scene);
  assert.deepEqual(await grants(scene, a), ['purged']);
  assert.deepEqual(await grants(scene, b), ['purged', 'purged']);
  assert.equal((await scene.sim.state('trash')).trash.folders.length, 0);
  const fans = path.join(scene.world.spoolDir, 'manifests');
  assert.deepEqual(fs.readdirSync(fans).flatMap((f) => fs.readdirSync(path.join(fans, f))), []);
  assert.equal(await scene.world.redis.command('ZCARD', 'fb:{s0}:due'), 0);
});
