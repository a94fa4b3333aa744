// SPDX-License-Identifier: Apache-2.0
//
// upload and watch between a seeded queue and the Box simulator, and what the ledger says afterwards.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { freePort, request, Service, waitFor } from '../../support/harness.mjs';
import { look, startSim } from '../upload/kit.mjs';
import { run, Stage } from '../upload/stage.mjs';

export const TO = ['a@example.com', 'b@example.com', 'pending.c@example.com'];
const PARTS = [{ name: 'a.pdf', size: 5000 }, { name: 'b.pdf', size: 300 }];

export class Scene {
  static async create(t, { sim, storage = {}, settings, users, watch = true, config = {} } = {}) {
    const scene = new Scene();
    scene.config = config;
    scene.sim = sim ?? await startSim(t, { settings: settings ?? { rate: 'off' }, users });
    scene.stage = await Stage.create(t, { sim: scene.sim, storage });
    scene.redis = scene.stage.redis;
    scene.ctlConfig = path.join(scene.stage.world.dir, 'ctl.yaml');
    fs.writeFileSync(scene.ctlConfig, JSON.stringify(scene.stage.world.config('ctl',
      { policy: { source: `file:${scene.stage.policyFile}` } })), { mode: 0o600 });
    if (watch) scene.watch = await scene.start();
    return scene;
  }

  /** A watch process with a health port of its own. */
  async start(more = {}) {
    const port = await freePort();
    const service = await this.stage.world.start('watch', {
      policy: { source: `file:${this.stage.policyFile}`, cache: path.join(this.stage.world.dir, `cache-watch-${port}`) },
      watch: { interval: '1s', ...this.config, ...more },
      metrics: { listen: `127.0.0.1:${port}` },
    }, { ready: false });
    service.metricsPort = port;
    await service.ready();
    return service;
  }

  /** A mail that upload has put into the storage: id, and the parcel's folder and files in the simulator. */
  async parcel(spec = {}) {
    const seen = await this.stage.count('rewrite');
    const message = await this.stage.seed({ to: TO, parts: PARTS, ...spec });
    await this.stage.passed(seen + 1);
    const box = await look(this.sim, `${message.id}-0`);
    return { id: message.id, folder: box.folder.id, files: box.files.map((f) => f.id) };
  }

  async act(as, what, item, { fails = false } = {}) {
    const res = await request(`${this.sim.base}/__act`, { method: 'POST', headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ as, do: what, ...item }) });
    if (!fails) assert.equal(res.status, 200, `${what} as ${as}: ${res.body}`);
    return res;
  }

  async ctl(...args) {
    const r = await run('fumibako', ['--config', this.ctlConfig, ...args]);
    assert.equal(r.code, 0, r.stderr + r.stdout);
    return r.stdout;
  }

  async show(id) { return JSON.parse(await this.ctl('--json', 'message', 'show', id)); }

  async recipient(id, address) { return (await this.show(id)).recipients.find((r) => r.address === address); }

  /** All lines of the parcel's history that watch wrote. */
  async history(id, shard = 0) {
    const lines = await this.redis.command('LRANGE', `fb:{s${shard}}:h:${id}-0`, 0, -1);
    return lines.map((l) => JSON.parse(l)).filter((l) => l.event);
  }

  async until(what, fn, timeout = 60000) {
    try {
      return await waitFor(fn, { what, timeout, interval: 150 });
    } catch (e) {
      throw new Error(`${e.message}; watch says: ${this.watch?.output.slice(-2500)}`);
    }
  }

  async grant(id, address, state) {
    return this.until(`${address} to be ${state}`, async () => (await this.recipient(id, address)).grant === state);
  }

  /** Until the position is at the simulator's end and has stayed there. */
  async settled(timeout = 60000) {
    let last = null;
    let since = Date.now();
    await this.until('the stream to be read', async () => {
      const flat = (await this.redis.command('HGETALL', 'fb:{s0}:watch:pos')).join(' ');
      const parked = await this.redis.command('HLEN', 'fb:{s0}:watch:parked');
      if (flat !== last || parked > 0) {
        last = flat;
        since = Date.now();
      }
      return flat !== '' && Date.now() - since > 3500;
    }, timeout);
  }
}

export { Service, startSim, waitFor };
