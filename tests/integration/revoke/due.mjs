// SPDX-License-Identifier: Apache-2.0
//
// Parcels that are sent, done and due, by the thousand: in the Box simulator (/__seed), the manifests and the ledger
// (bin/expiry_seed).  For tests of the schedule and for tests/bench/expiry.mjs.

import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { binDir, ROOT, World } from '../../support/harness.mjs';

const require = createRequire(import.meta.url);
const harness = require(path.join(ROOT, 'tests/boxsim/harness.js'));

const POOL_FIRST = 21000000001;
const SEED_BATCH = 500;

/** A world with Redis, a simulator and a policy; end() ends all (by itself with a test). */
export async function startDue(t, { users = 0, settings = { rate: 'off' } } = {}) {
  const sim = await harness.start({ args: users ? ['--users', String(users)] : [], settings });
  const world = await World.create(null);
  await world.startRedis();
  const scene = { sim, world, policyFile: path.join(world.dir, 'policy.yaml') };
  const pool = Array.from({ length: users }, (_, i) => ({ id: String(POOL_FIRST + i), root_folder: '0' }));
  scene.storage = { name: 'box', type: 'box', auth_file: sim.configFile, root_folder: '0', api_url: `${sim.base}/2.0`,
    upload_url: `${sim.base}/upload/api/2.0`, token_url: `${sim.base}/oauth2/token`, ...(users ? { users: pool } : {}) };
  fs.writeFileSync(scene.policyFile, JSON.stringify({ storages: [scene.storage],
    security_definitions: [{ name: 's', access: 'recipients' }],
    rules: [{ name: 'r', action: 'secure', storage: 'box', security: 's' }] }));
  scene.settings = (more = {}) => ({ policy: { source: `file:${scene.policyFile}`, cache: path.join(world.dir, 'cache') },
    log: { level: 'warn' }, ...more });
  scene.seed = async (parcels) => {
    const made = [];
    for (let i = 0; i < parcels.length; i += SEED_BATCH) {
      const batch = parcels.slice(i, i + SEED_BATCH);
      const { status, json } = await sim.request('POST', '/__seed', { body: JSON.stringify({ parcels: batch }) });
      if (status !== 200) throw new Error(`/__seed: ${status} ${JSON.stringify(json)}`);
      made.push(...json.parcels.map((p, k) => ({ ...batch[k], ...p })));
    }
    return made;
  };
  scene.token = () => sim.token();
  scene.end = async () => {
    await world.end();
    await sim.stop('SIGKILL');
  };
  t?.after(() => scene.end());
  return scene;
}

/** Writes parcels (of scene.seed) as due into ledger and manifests; gives their ids. */
export async function writeDue(scene, parcels, { expires_ms = Date.now() - 1000, purge_ms = 0 } = {}) {
  const child = spawn(path.join(binDir(), 'expiry_seed'), [], { stdio: ['pipe', 'pipe', 'inherit'] });
  let out = '';
  child.stdout.on('data', (c) => { out += c; });
  const lines = [{ spool: `file://${scene.world.spoolDir}`, key_file: scene.world.keyFile, redis: scene.world.redis.url },
    ...parcels.map((p) => ({ folder: p.folder, link: p.link, user: p.owner ?? '', to: p.to, grants: p.grants, expires_ms, purge_ms }))];
  for (const line of lines) {
    if (!child.stdin.write(`${JSON.stringify(line)}\n`)) await once(child.stdin, 'drain');
  }
  child.stdin.end();
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`expiry_seed ended with ${code}`);
  return out.trim().split('\n');
}

/** So many due grants; gives their number. */
export async function seedDue(scene, { singles, hundreds, users = 0, ...times }) {
  const owner = (i) => (users ? { owner: String(POOL_FIRST + (i % users)) } : {});
  const to = (from, count) => Array.from({ length: count }, (_, k) => `u${(from + k) % 2000}@partner.example.com`);
  const parcels = await scene.seed([
    ...Array.from({ length: singles }, (_, i) => ({ name: `m-1-${i}`, to: to(i, 1), ...owner(i) })),
    ...Array.from({ length: hundreds }, (_, i) => ({ name: `m-100-${i}`, to: to(i * 100, 100), ...owner(i) })),
  ]);
  // As they would come: mixed.
  const mixed = parcels.map((p, i) => [((i * 2654435761) % 4294967296), p]).sort((a, b) => a[0] - b[0]).map(([, p]) => p);
  scene.parcels = await writeDue(scene, mixed, times);
  return singles + hundreds * 100;
}

/** How many entries of the due list are due now, or within so many ms. */
export const due = (scene, within = 0) => scene.world.redis.command('ZCOUNT', 'fb:{s0}:due', '-inf', String(Date.now() + within));
