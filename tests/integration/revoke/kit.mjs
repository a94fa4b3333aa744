// SPDX-License-Identifier: Apache-2.0
//
// A parcel that upload made, revoke, and `fumibako message` at the other end.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { waitFor } from '../../support/harness.mjs';
import { look } from '../upload/kit.mjs';
import { run, Stage } from '../upload/stage.mjs';

/** Nothing opens the parcel: a link that stays for a restore leads nobody in. */
export const isClosed = (b) => b.collaborations.length === 0 && b.links.every((l) => l.effective_access === 'collaborators');

export const TO = ['a@example.com', 'b@example.com', 'pending.c@example.com'];
const PARTS = [{ name: 'a.pdf', size: 5000 }];

export async function uploaded(t, { sim, spec = {}, start = ['upload', 'revoke'] } = {}) {
  const stage = await Stage.create(t, { sim, start });
  stage.ctlConfig = path.join(stage.world.dir, 'ctl.yaml');
  fs.writeFileSync(stage.ctlConfig, JSON.stringify(stage.world.config('ctl', { policy: { source: `file:${stage.policyFile}` } })),
    { mode: 0o600 });
  const message = await stage.seed({ to: TO, parts: PARTS, ...spec });
  await stage.passed();
  stage.recall = async (...args) => {
    const r = await run('fumibako', ['--config', stage.ctlConfig, 'message', 'recall', message.id, ...args], '');
    assert.equal(r.code, 0, r.stderr + r.stdout);
  };
  stage.show = async () => {
    const r = await run('fumibako', ['--config', stage.ctlConfig, '--json', 'message', 'show', message.id], '');
    assert.equal(r.code, 0, r.stderr);
    return JSON.parse(r.stdout);
  };
  stage.id = message.id;
  stage.ctl = (...args) => run('fumibako', ['--config', stage.ctlConfig, '--json', 'message', ...args], '');
  stage.ctlAll = (...args) => run('fumibako', ['--config', stage.ctlConfig, '--json', ...args], '');
  stage.deadIds = async () => JSON.parse((await stage.ctlAll('dead', 'list')).stdout).map((d) => d.id);
  stage.restore = async (...args) => {
    const r = await stage.ctl('restore', message.id, ...args);
    return { code: r.code, ...JSON.parse(r.stdout) };
  };
  /** As if rewrite had sent the notices. */
  stage.sent = () => stage.redis.command('HSET', `fb:{s0}:m:${message.id}`, 'bs:0', 'sent', 'bt:0', String(Date.now()), 'state', 'done',
    'd:rewrite:0', 'x', ...TO.flatMap((_, i) => [`s:${i}`, 'sending']));
  stage.states = async () => (await stage.show()).recipients.map((r) => r.grant);
  stage.untilStates = (...want) => waitFor(async () => JSON.stringify(await stage.states()) === JSON.stringify(want),
    { what: `states ${want}` }).catch(async (e) => {
    throw new Error(`${e.message}, they are ${await stage.states()}: ${stage.revoke?.output.slice(-3000)}`);
  });
  /** Whatever is due some day is due now. */
  stage.dueNow = () => stage.redis.command('EVAL', 'for _, m in ipairs(redis.call("ZRANGE", KEYS[1], 0, -1)) do redis.call("ZADD", KEYS[1], 1, m) end',
    1, 'fb:{s0}:due');
  stage.dead = (n) => waitFor(async () => (await stage.count('dead')) === n, { what: `${n} dead letters` });
  /** No job is left that could still do something. */
  stage.idle = (timeout = 60000) => waitFor(async () => (await stage.redis.left('revoke')) === 0, { what: 'no revoke job', timeout })
    .catch((e) => { throw new Error(`${e.message}: ${stage.revoke?.output.slice(-3000)}`); });
  /** Box's simulator has met its (first) fault once. */
  stage.struck = (what) => waitFor(async () => (await stage.sim.request('GET', '/__faults')).json[0].fired === 1, { what });
  stage.box = () => look(stage.sim, `${message.id}-0`);
  stage.until = (what, fn, timeout = 60000) => waitFor(async () => fn(await stage.box()), { what, timeout })
    .catch((e) => { throw new Error(`${e.message}: ${stage.revoke?.output.slice(-2000)}`); });
  return stage;
}
