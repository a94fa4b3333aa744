// SPDX-License-Identifier: Apache-2.0
//
// What the spool in a bucket costs at the door: mails a second and the time until the 250, of the same ingest with its
// spool on this disk and in a bucket, the store near (no delay) and as far as a store of the region is (20 ms an answer).
//
// The store is the tests' own (s3rver behind a front that checks every signature), on the same processors: the ratios say
// what the protocol costs, a store of one's own says what it costs there.

import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { World, request, waitFor } from '../support/harness.mjs';
import { BUCKET, KEY_ID, REGION, SECRET } from '../support/s3.mjs';
import { SECONDS, caseOf, interleave, machine, median, report, settle, timed } from './lib.mjs';

const SPOOLS = { file: null, 's3, 0 ms': 0, 's3, 20 ms': 20 };

async function startStore(world, delay) {
  const child = world.spawn(process.execPath, [fileURLToPath(new URL('../support/s3.mjs', import.meta.url))], { stdio: ['pipe', 'pipe', 'ignore'] });
  const [line] = await once(child.stdout, 'data');
  const { port } = JSON.parse(line);
  child.stdout.resume();
  await request(`http://127.0.0.1:${port}/-/faults?delay=${delay}`, { method: 'POST' });
  return { port, env: { AWS_ACCESS_KEY_ID: KEY_ID, AWS_SECRET_ACCESS_KEY: SECRET, AWS_REGION: REGION, AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${port}` } };
}

/** Mails a second, and from the histogram the mean time until the 250 in ms. */
async function measure(which, load) {
  const world = await World.create();
  try {
    await world.startRedis(['--appendonly', 'yes', '--appendfsync', 'everysec']);
    const store = SPOOLS[which] === null ? null : await startStore(world, SPOOLS[which]);
    const ingest = await world.start('ingest', { log: { level: 'warn' }, ...(store ? { spool: { url: `s3://${BUCKET}/bench`, key_file: world.keyFile } } : {}) },
      { env: store?.env ?? {} });
    const send = (count) => timed('smtp-source', ['-s', String(load.sessions), '-m', String(count), '-l', String(load.size), '-d',
      '-M', 'client.example', '-f', 'sender@example', '-t', 'recipient@example', `127.0.0.1:${world.ports.smtp}`]);
    const few = load.sessions * 2;
    const warm = few / await send(few);
    const count = Math.max(few, Math.round(warm * SECONDS));
    settle();
    const [sum, n] = [await ingest.metric('fumibako_accept_seconds_sum'), await ingest.metric('fumibako_accept_seconds_count')];
    const seconds = await send(count);
    const mean = ((await ingest.metric('fumibako_accept_seconds_sum')) - sum) / ((await ingest.metric('fumibako_accept_seconds_count')) - n);
    let puts = 0;
    if (store) {
      const { calls } = (await request(`http://127.0.0.1:${store.port}/-/counts`)).json();
      puts = calls.PUT;
    }
    await waitFor(async () => (await world.redis.command('XLEN', 'fb:{s0}:render')) + (await world.redis.command('XLEN', 'fb:{s0}:render:bulk')) >= few + count,
      { timeout: 60000, what: 'the jobs' });
    (means[load.name] ??= {})[which] ??= [];
    means[load.name][which].push(mean * 1000);
    if (store) ((perPut[load.name] ??= {})[which] ??= []).push((few + count) / puts);
    return count / seconds;
  } finally {
    await world.end();
  }
}

const LOADS = [
  { name: '10 kB, 64 sessions', sessions: 64, size: 10000 },
  { name: '10 kB, 256 sessions', sessions: 256, size: 10000 },
  { name: '1 MB, 8 sessions', sessions: 8, size: 1000000 },
];
const means = {};
const perPut = {};
const before = machine().load_average;
const cases = [];
for (const load of LOADS) {
  const got = await interleave(Object.keys(SPOOLS), (which) => measure(which, load));
  const { file, ...remote } = got;
  const m = means[load.name];
  for (const [which, rates] of Object.entries(remote)) {
    cases.push({ ...caseOf(`${load.name}: ${which}`, 'msg/s', rates, { file }), mails_a_put: median(perPut[load.name][which]) });
    cases.push(caseOf(`${load.name}: ${which}, until the 250`, 'ms', m[which], { file: m.file }));
  }
}
process.exitCode = report('spool', cases, before) ? 0 : 1;
