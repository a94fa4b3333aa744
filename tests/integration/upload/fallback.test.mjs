// SPDX-License-Identifier: Apache-2.0
//
// A rule with without_account: vault. Who has no account in Box reads in the vault, the others in Box, each in one place
// only, whatever happens in between; and recall, restore, expiry and purge reach both.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { waitFor } from '../../support/harness.mjs';
import { grantsOf } from '../../support/ledger.mjs';
import { look, startSim } from './kit.mjs';
import { run, Stage } from './stage.mjs';

const TO = ['a@example.com', 'pending.b@example.com', 'c@example.com'];
const PARTS = [{ name: 'letter.pdf', size: 30000, object: 'body' }, { name: 'data.bin', size: 90001, type: 'application/octet-stream' }];

async function create(t, { start = ['upload', 'revoke'], spec = {}, sim, hasKey = true } = {}) {
  sim ??= await startSim(t);
  const stage = await Stage.create(t, { sim, start: [] });
  const dir = path.join(stage.world.dir, 'vault');
  const keyFile = path.join(stage.world.dir, 'vault.key');
  stage.writeKey = () => fs.writeFileSync(keyFile, `v1:${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
  if (hasKey) stage.writeKey();
  stage.policy({}, {
    storages: [{ ...sim.storage(), type: 'box' }, { name: 'vault', type: 'vault', url: `file://${dir}`, key_file: keyFile }],
    rules: [{ name: 'r', action: 'secure', storage: 'box', security: 's', without_account: 'vault' }],
  });
  stage.config = path.join(stage.world.dir, 'ctl.yaml');
  fs.writeFileSync(stage.config, JSON.stringify(stage.world.config('ctl', { policy: { source: `file:${stage.policyFile}` } })), { mode: 0o600 });
  for (const name of start) await stage.start(name);
  stage.ctl = async (...args) => {
    const r = await run('fumibako', ['--config', stage.config, '--json', ...args], '');
    assert.equal(r.code, 0, r.stderr + r.stdout);
    return JSON.parse(r.stdout);
  };
  stage.vault = async () => {
    const r = await run('vault_look', [`file://${dir}`, keyFile, `${stage.id}-0`], '');
    assert.equal(r.code, 0, r.stderr);
    return JSON.parse(r.stdout);
  };
  stage.box = () => look(sim, `${stage.id}-0`);
  stage.grants = async () => Object.fromEntries((await grantsOf(stage.redis, `${stage.id}-0`)).map(([i, ...grant]) => [i, grant]));
  stage.states = async () => Object.values(await stage.grants()).map(([state]) => state);
  stage.untilStates = (...want) => waitFor(async () => JSON.stringify(await stage.states()) === JSON.stringify(want),
    { what: `states ${want}` }).catch(async (e) => {
    throw new Error(`${e.message}, they are ${await stage.states()}: ${stage.revoke?.output.slice(-2000)}`);
  });
  stage.message = await stage.seed({ to: TO, parts: PARTS, ...spec });
  stage.id = stage.message.id;
  /** As if rewrite had sent the notices. */
  stage.sent = () => stage.redis.command('HSET', `fb:{s0}:m:${stage.id}`, 'bs:0', 'sent', 'bt:0', String(Date.now()), 'state', 'done',
    'd:rewrite:0', 'x', ...TO.flatMap((_, i) => [`s:${i}`, 'sending']));
  return stage;
}

/** a and c in Box, b in the vault, and nobody anywhere else. */
async function checkSplit(stage) {
  const box = await stage.box();
  assert.deepEqual(box.collaborations.map((c) => [c.login, c.status]).sort(), [['a@example.com', 'accepted'], ['c@example.com', 'accepted']]);
  const vault = await stage.vault();
  assert.deepEqual(vault.grants.filter((g) => !g.recalled).map((g) => [g.rcpt, g.to]), [[1, 'pending.b@example.com']]);
  assert.equal(vault.closed, false);
  assert.deepEqual(vault.files.map((f) => [f.name, f.size, f.sha1]),
    PARTS.map((p, i) => [p.name, p.size, stage.message.sha1[i]]));
  const grants = await stage.grants();
  assert.deepEqual(grants['1'], ['active', vault.grants.find((g) => !g.recalled).hash]);
  assert.match(grants['0'][1], /^\d+$/);
  assert.equal(await stage.redis.command('HGET', `fb:{s0}:g:${stage.id}-0`, 'fallback'), 'vault');
  assert.deepEqual(await stage.redis.command('KEYS', 'fb:*:pending:*'), [], 'watch asks about nobody');
}

test('who has no account reads in the vault, the others in Box; recall, restore and purge reach both', async (t) => {
  const stage = await create(t);
  await stage.passed();
  await checkSplit(stage);
  assert.equal(await stage.upload.metric('fumibako_fallback_total'), 1);
  await stage.sent();
  const shown = await stage.ctl('message', 'show', stage.id);
  assert.deepEqual(shown.recipients.map((r) => r.fallback), ['', 'vault', '']);

  await stage.ctl('message', 'recall', stage.id, '--recipient', TO[1]);
  await stage.untilStates('active', 'recalled', 'active');
  assert.deepEqual((await stage.vault()).grants.map((g) => g.recalled), [true]);
  assert.equal((await stage.box()).collaborations.length, 2);
  const report = (await stage.ctl('message', 'report', stage.id)).recipients[1];
  const evidence = report.evidence ?? report;
  assert.deepEqual([evidence.kind, evidence.final], ['closed', true], 'nothing is waited for');

  await stage.ctl('message', 'restore', stage.id);
  await stage.untilStates('active', 'active', 'active');
  await checkSplit(stage);

  await stage.ctl('message', 'recall', stage.id);
  await stage.untilStates('recalled', 'recalled', 'recalled');
  assert.deepEqual((await stage.vault()).grants.map((g) => g.recalled), [true]);
  assert.equal((await stage.box()).collaborations.length, 0);

  await stage.ctl('message', 'restore', stage.id);
  await stage.untilStates('active', 'active', 'active');
  await checkSplit(stage);

  await stage.ctl('message', 'recall', stage.id, '--content');
  await stage.untilStates('purged', 'purged', 'purged');
  assert.equal(await stage.vault(), null);
  assert.equal((await stage.box()).folders.length, 0);
  assert.equal(await stage.count('dead'), 0);
  for (const address of TO) assert.ok(!stage.revoke.output.includes(address) && !stage.upload.output.includes(address), 'no address in a log');
});

test('expiry ends both', async (t) => {
  const stage = await create(t, { spec: { expires_ms: Date.now() + 3600e3 } });
  await stage.passed();
  await stage.sent();
  await stage.redis.command('ZADD', 'fb:{s0}:due', 'XX', 1, `${stage.id}-0`);
  await stage.untilStates('expired', 'expired', 'expired');
  const vault = await stage.vault();
  assert.deepEqual([vault.closed, vault.grants.map((g) => g.recalled)], [true, [true]]);
  assert.equal((await stage.box()).collaborations.length, 0);
});

for (const [when, fault] of [
  ['before the invitation is taken back', { match: { method: 'DELETE', path: '/collaborations/' }, times: 1, do: { delay_ms: 60000 } }],
  ['when it is taken back, and nothing is written down', { match: { method: 'DELETE', path: '/collaborations/' }, times: 100, do: { status: 503, effect: true } }],
]) {
  test(`killed ${when}: in the end each reads in one place`, async (t) => {
    const sim = await startSim(t);
    await sim.faults([fault]);
    const stage = await create(t, { sim, start: ['upload'] });
    await waitFor(async () => (await stage.vault())?.grants.length === 1 &&
      (fault.do.effect !== true || (await stage.box()).collaborations.length === 2), { what: 'the vault to have it' })
      .catch((e) => { throw new Error(`${e.message}: ${stage.upload.output.slice(-2000)}`); });
    await stage.upload.kill();
    await stage.redis.abandon('upload');
    await sim.faults([]);
    await stage.start('upload');
    await stage.passed();
    await checkSplit(stage);
  });
}

test('who got an account before the next try reads in Box, and the vault has nothing of it any more', async (t) => {
  const sim = await startSim(t);
  await sim.faults([{ match: { method: 'DELETE', path: '/collaborations/' }, times: 1, do: { delay_ms: 60000 } }]);
  const stage = await create(t, { sim, start: ['upload'] });
  await waitFor(async () => (await stage.vault())?.grants.length === 1, { what: 'the vault to have it' });
  await stage.upload.kill();
  await stage.redis.abandon('upload');
  await sim.faults([]);
  const accepted = await sim.act(TO[1], 'accept', { folder: (await stage.box()).folder.id });
  assert.equal(accepted.status, 200, JSON.stringify(accepted));
  await stage.start('upload');
  await stage.passed();
  assert.equal((await stage.box()).collaborations.filter((c) => c.status === 'accepted').length, 3);
  assert.equal(await stage.vault(), null);
  assert.equal(await stage.redis.command('HGET', `fb:{s0}:g:${stage.id}-0`, 'fallback'), null);
});

test('recalled while it is made: neither place lets anybody in', async (t) => {
  const stage = await create(t, { start: [] });
  await stage.ctl('message', 'recall', stage.id);
  await stage.start('upload');
  await stage.passed();
  assert.equal((await stage.box()).folders.length, 0);
  assert.equal(await stage.vault(), null);
});

test('a vault that cannot be opened keeps its mail, uses up no try, and is told; it goes on when it is mended', async (t) => {
  const stage = await create(t, { start: ['upload'], hasKey: false });
  await waitFor(async () => (await stage.count('delayed:upload')) === 1, { what: 'the job to wait' });
  await waitFor(() => /storage \\"vault\\".*vault\.key/.test(stage.upload.output), { what: 'the reason in the log' }); // written behind Redis' answer
  assert.equal(await stage.count('rewrite'), 0, 'nobody is told of anything yet');
  stage.writeKey();
  await stage.hurry();
  await stage.passed();
  await checkSplit(stage);
});
