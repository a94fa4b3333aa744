// SPDX-License-Identifier: Apache-2.0
//
// fumibako-revoke at work: from `fumibako message recall` to Box and the ledger.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { waitFor } from '../../support/harness.mjs';
import { run } from '../upload/stage.mjs';
import { isClosed, TO, uploaded } from './kit.mjs';

test('one recipient loses access, then all, then the content goes', async (t) => {
  const stage = await uploaded(t);
  await stage.recall('--recipient', TO[0]);
  await stage.until('two collaborators', (b) => b.collaborations.length === 2);
  assert.deepEqual((await stage.box()).collaborations.map((c) => c.login).sort(), TO.slice(1));
  await stage.recall();
  await stage.until('nobody', (b) => isClosed(b));
  assert.equal((await stage.box()).files.length, 1);
  await stage.recall('--content');
  await stage.until('nothing', (b) => b.folders.length === 0);
  await waitFor(async () => (await stage.sim.state('trash')).trash.folders.length === 0, { what: 'an empty trash' });
  await waitFor(async () => (await stage.show()).recipients.every((r) => r.grant === 'purged'), { what: 'the ledger' });
  assert.equal(await stage.count('dead'), 0);
  assert.deepEqual(await stage.revoke.stop(), { code: 0, signal: null });
  for (const address of TO) assert.ok(!stage.revoke.output.includes(address), 'no address in the log');
});

test('a Box that is away for a while loses no recall', async (t) => {
  const stage = await uploaded(t);
  await stage.sim.faults([{ match: { path: '/2.0/' }, times: 4, do: { drop: 'before' } },
    { match: { method: 'DELETE' }, times: 2, do: { status: 503, effect: true } }]);
  await stage.recall();
  await stage.until('nobody', isClosed, 120000);
  assert.equal(await stage.count('dead'), 0);
});

test('killed in the middle of a recall, another one ends it', async (t) => {
  const stage = await uploaded(t);
  await stage.sim.faults([{ match: { method: 'DELETE' }, after: 1, times: 1, do: { delay_ms: 60000 } }]);
  await stage.recall();
  await stage.until('one gone', (b) => b.collaborations.length === 2);
  await stage.revoke.kill();
  await stage.redis.abandon('revoke');
  await stage.sim.faults([]);
  await stage.start('revoke');
  await waitFor(async () => (await stage.box()).collaborations.length === 0, { what: 'nobody', timeout: 60000 });
});

test('one recipient of an open link cannot be recalled alone; the whole can', async (t) => {
  const stage = await uploaded(t, { spec: { security: 'open' } });
  const r = await run('fumibako', ['--config', stage.ctlConfig, 'message', 'recall', (await stage.show()).id, '--recipient', TO[0]], '');
  assert.notEqual(r.code, 0);
  assert.match(r.stderr + r.stdout, /one link/);
  assert.equal((await stage.box()).links[0].effective_access, 'open');
  await stage.recall();
  await stage.until('a link that opens nothing', isClosed);
});

test('content that Box keeps under retention: access is ended, it is told in words, and tried again a day later', async (t) => {
  const stage = await uploaded(t);
  const refusal = [{ match: { method: 'DELETE', path: '/folders/' },
    do: { status: 403, body: { type: 'error', status: 403, code: 'forbidden_by_policy', message: 'retention' } } }];
  await stage.sim.faults(refusal);
  await stage.recall('--content');
  await waitFor(async () => (await stage.show()).recipients.every((r) => r.grant === 'recalled'), { what: 'the ledger' });
  const box = await stage.box();
  assert.ok(isClosed(box) && box.files.length === 1);
  await waitFor(async () => /content is kept: access is ended.*retention/.test((await stage.show()).branches[0].history.map((h) => h.event).join('\n')),
    { what: 'the reason in the history' });
  await stage.idle();
  assert.equal(await stage.count('dead'), 0, 'no job that fails for ever');
  assert.equal(await stage.revoke.metric('fumibako_purges_total', 'outcome="refused"'), 1);
  const at = await stage.redis.command('ZSCORE', 'fb:{s0}:due', `purge:${stage.id}-0`);
  assert.ok(Number(at) > Date.now() + 23 * 3600e3);
  // A day later it may go.
  await stage.sim.faults([]);
  await stage.dueNow();
  await stage.until('nothing', (b) => b.folders.length === 0);
  await waitFor(async () => (await stage.show()).recipients.every((r) => r.grant === 'purged'), { what: 'the ledger' });
});

test('a parcel past its time is closed by itself', async (t) => {
  const expires = Date.now() + 9000;
  const stage = await uploaded(t, { spec: { expires_ms: expires } });
  const before = (await stage.box()).collaborations.length;
  if (Date.now() < expires) assert.equal(before, 3); // a busy machine may come too late to see it
  await stage.until('nobody', (b) => b.collaborations.length === 0 && b.links.length === 0);
  await waitFor(async () => (await stage.show()).recipients.every((r) => r.grant === 'expired'), { what: 'the ledger' });
});

test('what cannot be closed waits as one job: a day passes before the schedule asks again', async (t) => {
  const stage = await uploaded(t, { spec: { expires_ms: Date.now() + 6000 }, start: ['upload'] });
  stage.policy({ name: 'another' }, { rules: [] }); // the parcel's storage is not in the policy any more
  await stage.start('revoke');
  const waiting = () => stage.redis.command('ZCARD', 'fb:{s0}:delayed:revoke');
  await waitFor(async () => (await waiting()) === 1, { what: 'a job that waits for the setting' });
  const [parcel, due] = await stage.redis.command('ZRANGE', 'fb:{s0}:due', '0', '-1', 'WITHSCORES');
  assert.match(parcel, /-0$/);
  assert.ok(Number(due) > Date.now() + 12 * 3600e3, 'or jobs pile up as long as the setting is wrong');
});
