// SPDX-License-Identifier: Apache-2.0
//
// The services upload and revoke between a seeded queue (bin/parcel_seed) and the Box simulator.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { binDir, waitFor, World } from '../../support/harness.mjs';
import { startSim } from './kit.mjs';

const SECURITIES = [
  { name: 's', access: 'recipients' },
  { name: 'open', access: 'anyone', password: 'generated' },
];

export const PARTS = [
  { name: 'letter.pdf', size: 30000, object: 'body' },
  { name: 'data.bin', size: 200001, type: 'application/octet-stream' },
  { name: 'DATA.BIN', size: 70000, type: 'application/octet-stream', base64: true },
  { name: 'empty.txt', size: 0, type: 'text/plain' },
];
export const TO = ['a@example.com', 'pending.b@example.com'];

/** A program of ours, run to its end. */
export async function run(program, args, input) {
  const child = spawn(path.join(binDir(), program), args, { stdio: ['pipe', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (c) => { stdout += c; });
  child.stderr.on('data', (c) => { stderr += c; });
  child.stdin.on('error', () => {}); // it may end without reading
  child.stdin.end(input);
  const [code] = await once(child, 'close');
  return { code, stdout, stderr };
}

export class Stage {
  static async create(t, { sim, storage = {}, start = ['upload'], policy = {} } = {}) {
    const stage = new Stage();
    stage.sim = sim ?? await startSim(t);
    stage.world = await World.create(t);
    stage.redis = await stage.world.startRedis();
    stage.policyFile = path.join(stage.world.dir, 'policy.yaml');
    stage.policy(storage, policy);
    for (const name of start) await stage.start(name);
    return stage;
  }

  policy(storage, more = {}) {
    fs.writeFileSync(this.policyFile, JSON.stringify({
      storages: [{ ...this.sim.storage(storage), type: 'box' }],
      security_definitions: SECURITIES,
      rules: [{ name: 'r', action: 'secure', storage: 'box', security: 's' }, { name: 'o', action: 'secure', storage: 'box', security: 'open' }],
      ...more,
    }));
  }

  async start(name, options) {
    this[name] = await this.world.start(name, { policy: { source: `file:${this.policyFile}`, cache: path.join(this.world.dir, 'cache') },
      upload: { concurrency: 4 } }, options);
    return this[name];
  }

  async seed(spec = {}) {
    const r = await run('parcel_seed', [], JSON.stringify({ spool: `file://${this.world.spoolDir}`, key_file: this.world.keyFile,
      redis: this.redis.url, to: TO, path: 'taro/2026-11', parts: PARTS, ...spec }));
    if (r.code !== 0) throw new Error(r.stderr);
    return JSON.parse(r.stdout);
  }

  async ledger(id) {
    const flat = await this.redis.command('HGETALL', `fb:{s0}:m:${id}`);
    return Object.fromEntries(Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i], flat[2 * i + 1]]));
  }

  count(key) { return this.redis.command(key.includes('delayed') ? 'ZCARD' : 'XLEN', `fb:{s0}:${key}`); }

  /** Upload has handed the message on. */
  passed(n = 1, timeout = 60000) {
    return waitFor(async () => (await this.count('rewrite')) >= n, { timeout, what: `${n} jobs for rewrite` })
      .catch(async (e) => { throw new Error(`${e.message}; log: ${this.upload?.output.slice(-3000)}`); });
  }

  /** What waits for its next try is due now. */
  hurry(stage = 'upload') { return this.redis.due(stage); }
}
