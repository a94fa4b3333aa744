// SPDX-License-Identifier: Apache-2.0
//
// What an operator is told while mail waits: alarms go on with the cause, and off when it is over; `fumibako doctor` and
// `fumibako queue` name them.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { sleep, waitFor } from '../../support/harness.mjs';
import { run, Stage } from './stage.mjs';

const POLICY_ALARM_S = 15;

test('a login that is refused, and jobs that wait too long, are alarms until they are over; doctor names them', async (t) => {
  const stage = await Stage.create(t, { start: [] });
  await stage.sim.faults([{ match: { path: '^/oauth2/' }, do: { status: 400, body: { error: 'invalid_client', error_description: 'The client credentials are not valid' } } }]);
  await stage.seed();
  stage.upload = await stage.world.start('upload', { policy: { source: `file:${stage.policyFile}`, cache: path.join(stage.world.dir, 'cache') } });
  const on = (kind) => stage.upload.metric('fumibako_alarm', `kind="${kind}"`);
  await waitFor(async () => (await on('storage')) === 1, { what: 'the alarm of the storage' });
  await waitFor(async () => (await stage.redis.command('HLEN', 'fb:{s0}:alarm')) > 0, { what: 'it to be in Redis' });
  const config = path.join(stage.world.dir, 'ctl.yaml');
  fs.writeFileSync(config, JSON.stringify(stage.world.config('ctl', { policy: { source: `file:${stage.policyFile}` } })), { mode: 0o600 });
  const doctor = (await run('fumibako', ['--config', config, 'doctor'], '')).stdout;
  assert.match(doctor, /warn +alarm storage.*\n?.*/);
  const queue = JSON.parse((await run('fumibako', ['--config', config, 'queue', '--json'], '')).stdout);
  assert.deepEqual(queue.alarms.map((a) => [a.kind, a.cause]), [['storage', 'box, login']]);

  await stage.sim.faults([]);
  await waitFor(async () => { await stage.hurry(); return (await stage.count('rewrite')) === 1; }, { what: 'the mail to go on', interval: 300 });
  await waitFor(async () => (await on('storage')) === 0, { what: 'the alarm to end' });
  await stage.upload.stop();

  await stage.seed();
  await sleep(1200); // longer than ingest.queue_age_max
  await stage.sim.faults([{ match: { path: '^/(2\\.0|upload)/' }, do: { delay_ms: 8000 } }]);
  await stage.seed();
  stage.upload = await stage.world.start('upload', { policy: { source: `file:${stage.policyFile}`, cache: path.join(stage.world.dir, 'cache') },
    ingest: { queue_age_max: '1s' }, upload: { concurrency: 1 } });
  await waitFor(async () => (await on('queue_age')) === 1, { what: 'the alarm of the queue' });
  await stage.sim.faults([]);
  await stage.passed(3, 180000);
  await waitFor(async () => (await on('queue_age')) === 0, { what: 'the alarm to end' });
});

test('without any policy mail waits, and an alarm says so until there is one', async (t) => {
  const stage = await Stage.create(t, { start: [] });
  await stage.seed();
  const missing = path.join(stage.world.dir, 'later.yaml');
  stage.upload = await stage.world.start('upload', { policy: { source: `file:${missing}`, cache: path.join(stage.world.dir, 'none') } }, { ready: false });
  const on = () => stage.upload.metric('fumibako_alarm', 'kind="policy"');
  await waitFor(async () => (await on()) === 1, { what: 'the alarm', timeout: (POLICY_ALARM_S + 60) * 1000 });
  fs.renameSync(stage.policyFile, missing);
  await waitFor(async () => (await on()) === 0, { what: 'the alarm to end' });
  await waitFor(async () => { await stage.hurry(); return (await stage.count('rewrite')) === 1; }, { what: 'the mail to go on', interval: 300 });
});
