// SPDX-License-Identifier: Apache-2.0
//
// Expiry at scale: so many grants are due at once, half of them in parcels of 1 and half in parcels of 100; how long
// until every one is closed, in Box and in the ledger, and what a grant costs.  The Box simulator without its rate
// limit; a pool of Box users wide enough that Fumibako's own limit of calls does not bind.
//
//   time       from the start of fumibako-revoke until nothing is due and nothing in the queue
//   cost       processor time of fumibako-revoke for one grant, at 1,000 and at the full number
//   simulator  the same calls made by a bare client: what the simulator itself takes
//
//   BENCH_GRANTS (100000), BENCH_REVOKE (revoke.concurrency, 24)

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import { due, seedDue, startDue } from '../integration/revoke/due.mjs';
import { sleep, waitFor } from '../support/harness.mjs';
import { ROUNDS, caseOf, progress, report } from './lib.mjs';

const GRANTS = Number(process.env.BENCH_GRANTS ?? 100000);
const FEW = 1000;
const THREADS = Number(process.env.BENCH_REVOKE ?? 24);
const GOAL_S = 60;
const POOL = 250;
const TICKS = Number(execFileSync('getconf', ['CLK_TCK']).toString());
const begun = os.loadavg();

/** Processor seconds of one process. */
function cpuOf(pid) {
  const stat = fs.readFileSync(`/proc/${pid}/stat`, 'latin1');
  const f = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(f[11]) + Number(f[12])) / TICKS;
}

/** What a bare client gets out of the simulator: deletes of grants, as many at once as revoke makes. */
async function simulatorAlone(scene, parcels, token) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: THREADS });
  const ids = parcels.flatMap((p) => p.grants);
  let at = 0;
  const call = (id) => new Promise((resolve, reject) => {
    const req = http.request(`${scene.sim.base}/2.0/collaborations/${id}`, { method: 'DELETE', agent,
      headers: { authorization: `Bearer ${token}` } }, (res) => { res.resume(); res.on('end', resolve); });
    req.on('error', reject);
    req.end();
  });
  const from = process.hrtime.bigint();
  await Promise.all(Array.from({ length: THREADS }, async () => { while (at < ids.length) await call(ids[at++]); }));
  agent.destroy();
  return ids.length / (Number(process.hrtime.bigint() - from) / 1e9);
}

/** One measurement; seconds, processor milliseconds a grant of each process, calls. */
async function measure(grants) {
  const scene = await startDue(null, { users: POOL });
  try {
    const count = await seedDue(scene, { singles: grants / 2, hundreds: grants / 200, users: POOL });
    const simPid = scene.sim.pid;
    const before = { sim: cpuOf(simPid), redis: cpuOf(scene.world.redis.process.pid) };
    await scene.sim.request('DELETE', '/__requests');
    const from = process.hrtime.bigint();
    const revoke = await scene.world.start('revoke', scene.settings({ revoke: { concurrency: THREADS } }));
    await waitFor(async () => (await due(scene)) === 0 && (await scene.world.redis.command('XLEN', 'fb:{s0}:revoke')) === 0,
      { timeout: 15 * 60000, interval: 20, what: 'nothing to be due' });
    const seconds = Number(process.hrtime.bigint() - from) / 1e9;
    const cpu = cpuOf(revoke.pid);
    const used = { sim: cpuOf(simPid) - before.sim, redis: cpuOf(scene.world.redis.process.pid) - before.redis };
    const { json } = await scene.sim.request('GET', '/__requests');
    const left = (await scene.sim.state('collaborations')).collaborations.length;
    if (left > 0) throw new Error(`${left} grants are open still`);
    const how = await revoke.stop();
    if (how.code !== 0) throw new Error(`revoke ended with ${how.code ?? how.signal}`);
    progress(`${count} grants: ${seconds.toFixed(1)} s, ${json.total} calls; processor time: revoke ${cpu.toFixed(1)} s, `
      + `simulator ${used.sim.toFixed(1)} s, redis ${used.redis.toFixed(1)} s`);
    return { seconds, cost: (cpu / count) * 1000, calls: json.total / count, sim: used.sim / seconds };
  } finally {
    await scene.end();
  }
}

async function measureSimulator() {
  const scene = await startDue(null, { users: 1 });
  try {
    const parcels = await scene.seed(Array.from({ length: 200 }, (_, i) => ({ name: `s-${i}`,
      to: Array.from({ length: 100 }, (__, k) => `u${k}@partner.example.com`) })));
    const perSecond = await simulatorAlone(scene, parcels, await scene.token());
    progress(`the simulator alone: ${perSecond.toFixed(0)} calls a second`);
    return perSecond;
  } finally {
    await scene.end();
  }
}

const few = [];
const many = [];
const alone = [];
for (let i = 0; i < ROUNDS; i++) {
  alone.push(await measureSimulator());
  few.push(await measure(FEW));
  many.push(await measure(GRANTS));
  await sleep(500);
}
const goal = Array.from({ length: many.length }, () => GOAL_S);
const kept = report('expiry', [
  caseOf(`${GRANTS} due grants: time`, 's', many.map((m) => m.seconds), { 'goal: a minute': goal }),
  caseOf(`${GRANTS} due grants: grants a second`, '1/s', many.map((m) => GRANTS / m.seconds)),
  caseOf(`processor time of revoke a grant, ${GRANTS} due`, 'ms', many.map((m) => m.cost), { [`${FEW} due`]: few.map((f) => f.cost) }),
  caseOf('calls of Box a grant', '', many.map((m) => m.calls), { [`${FEW} due`]: few.map((f) => f.calls) }),
  caseOf('simulator: share of a core it used', '', many.map((m) => m.sim)),
  caseOf('simulator alone, bare client: calls a second', '1/s', alone),
], begun);
process.exit(kept ? 0 : 1);
