// SPDX-License-Identifier: Apache-2.0
//
// `fumibako doctor` looks at every primary, and says what a fail-over would cost.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { World, binDir, waitFor } from '../../support/harness.mjs';
import { Cluster, Sentinels } from './kit.mjs';

async function doctor(t, kind, shards) {
  const world = await World.create();
  t.after(() => world.end());
  world.redis = await kind.start(world.dir);
  const file = path.join(world.dir, 'fumibako.yaml');
  fs.writeFileSync(file, JSON.stringify(world.config('ctl', { redis: { url: world.redis.url, shards } })), { mode: 0o600 });
  const look = () => {
    const r = spawnSync(path.join(binDir(), 'fumibako'), ['--config', file, '--json', 'doctor'], { encoding: 'utf8', timeout: 60000 });
    const all = JSON.parse(r.stdout);
    return (all.checks ?? all).filter((c) => c.check === 'redis fail-over');
  };
  return { group: world.redis, look };
}

const protect = async (node) => {
  await node.command('CONFIG', 'SET', 'min-replicas-to-write', 1);
  await node.command('CONFIG', 'SET', 'min-replicas-max-lag', 5);
};

test('Sentinel: a primary that may write alone is told, then one without a replica', async (t) => {
  const { group, look } = await doctor(t, Sentinels, 2);
  let [check] = look();
  assert.equal(check.result, 'warn');
  assert.match(check.next, /min-replicas-to-write 1/);
  await protect(group.nodes[0]);
  [check] = await waitFor(() => { const c = look(); return c[0]?.result === 'ok' && c; }, { what: 'ok, when the replicas are in step' });
  group.nodes[1].signal('SIGKILL');
  group.nodes[2].signal('SIGKILL');
  [check] = await waitFor(() => { const c = look(); return c[0]?.result === 'warn' && c; }, { what: 'the warning' });
  assert.match(check.next, /start a replica/);
});

test('a cluster: each primary that has a shard is looked at once', async (t) => {
  const { group, look } = await doctor(t, Cluster, 8);
  const owners = new Set(await Promise.all([...Array(8).keys()].map((i) => group.primary(`fb:{s${i}}`))));
  for (const node of owners) await protect(node);
  assert.equal(look().length, owners.size);
  await waitFor(() => look().every((c) => c.result === 'ok'), { what: 'ok, when the replicas are in step' });
});
