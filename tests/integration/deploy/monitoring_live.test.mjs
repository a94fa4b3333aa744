// SPDX-License-Identifier: Apache-2.0
// A real Prometheus beside all services, under a small load of everything: each query of each panel is answered, and what has
// not happened is 0 and not nothing.  Then some alerts come with their causes and go with them; tests/alerts/run has all.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import test from 'node:test';
import { sleep } from '../../support/harness.mjs';
import { BUCKET, hasS3, startS3 } from '../../support/s3.mjs';
import { SHORT } from '../../alerts/causes.mjs';
import { round } from '../../alerts/load.mjs';
import { concrete, panels, shorter, shorterExpr } from '../../alerts/monitor.mjs';
import { playGroup } from '../../alerts/play.mjs';
import { Scene } from '../../alerts/scene.mjs';

const has = spawnSync('sh', ['-c', 'command -v prometheus']).status === 0;
const skip = !has ? 'prometheus is not installed' : !hasS3() && 's3rver is not installed';

test('a shorter time changes durations and nothing else', () => {
  assert.equal(shorter('5m', 60), '5000ms');
  assert.equal(shorterExpr('sum(increase(fumibako_recalls_total{outcome="failed"}[15m])) > 0', 60),
    'sum(increase(fumibako_recalls_total{outcome="failed"}[15000ms])) > 0');
  assert.equal(shorterExpr('fumibako:queue_oldest_age_seconds:max > 900', 60), 'fumibako:queue_oldest_age_seconds:max > 15');
  assert.equal(shorterExpr('time() - max by (storage) (fumibako_watch_read_timestamp_seconds) > 900', 60),
    'time() - max by (storage) (fumibako_watch_read_timestamp_seconds) > 15');
  assert.equal(shorterExpr('max by (cause) (fumibako_ingest_pressure) >= 0.8', 60), 'max by (cause) (fumibako_ingest_pressure) >= 0.8');
});

test('under load every panel is answered; alerts come with their causes and go with them', { skip, timeout: 800000 }, async (t) => {
  const s3 = await startS3();
  t.after(() => s3.stop());
  Object.assign(process.env, s3.env);
  const scene = await Scene.start(t, { factor: 60, overrides: { spool: { url: `s3://${BUCKET}/mail` } } });
  await round(scene, 0);
  let empty = [];
  const until = Date.now() + 120000;
  for (let n = 1; n === 1 || (empty.length > 0 && (n < 5 || Date.now() < until)); n++) { // a rate needs two
    await round(scene, n);
    await sleep(2500); // a scrape, and the rules behind it
    const answers = await Promise.all(panels().map(async (p) => ({ ...p, result: await scene.monitor.ask(concrete(p.expr, '60s')) })));
    empty = answers.filter((p) => p.result.length === 0 || p.result.every((s) => s.value[1] === 'NaN'));
  }
  assert.deepEqual(empty.map((p) => `${p.where}: ${p.expr}`), []);
  const value = async (expr) => Number((await scene.monitor.ask(expr))[0].value[1]);
  // What happened once is seen: its counter stood at 0 before.
  for (const expr of ['sum(increase(fumibako_portal_proofs_total{outcome="wrong"}[5m]))', 'sum(increase(fumibako_console_signins_total{outcome="wrong"}[5m]))',
    'sum(increase(fumibako_portal_refused_total{reason="link"}[5m]))', 'sum(increase(fumibako_fetches_total{outcome="denied"}[5m]))',
    'sum(increase(fumibako_purges_total{outcome="deleted"}[5m]))', 'sum(increase(fumibako_portal_recalls_total{outcome="asked"}[5m]))']) {
    assert.ok(await value(expr) > 0, expr);
  }
  assert.equal(await value('sum(increase(fumibako_recalls_total{outcome="failed"}[5m]))'), 0);
  await scene.decideAll();
  for (const group of SHORT) {
    for (const row of await playGroup(scene, group)) {
      assert.equal(row.error, undefined, `${row.name}: ${row.error}\n${scene.stack.logs().slice(-3000)}`);
      t.diagnostic(`${row.name} fired after ${row.seconds.toFixed(0)} s, ended after ${row.ended.toFixed(0)} s: ${row.summary}`);
    }
  }
});
