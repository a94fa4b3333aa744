// SPDX-License-Identifier: Apache-2.0
// What a 250 promises holds for a spool in a bucket: two ingests on two machines share it, and no disk of theirs.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { Smtp, World, waitFor } from '../../support/harness.mjs';
import { hasS3, startS3 } from '../../support/s3.mjs';

const skip = !hasS3() && 's3rver is missing (npm ci in tests/)';
const STREAM = 'fb:{s0}:render';
const jobs = async (redis) => (await redis.command('XLEN', STREAM)) + (await redis.command('XLEN', `${STREAM}:bulk`));
const known = async (redis, id) => (await redis.command('HEXISTS', `fb:{s0}:m:${id}`, 'queued')) === 1;

async function sendMany(port, count, size = 100) {
  const smtp = await Smtp.connect(port, { timeout: 60000 });
  const ids = [];
  for (let i = 0; i < count; i++) {
    const reply = await smtp.send({ content: `S: ${i}\r\n\r\n${`${'x'.repeat(70)}\r\n`.repeat(1 + (i * size) / 72)}` });
    assert.equal(reply.code, 250);
    ids.push(reply.id);
  }
  smtp.close();
  return ids;
}

async function worldWithBucket(t) {
  const s3 = await startS3();
  t.after(() => s3.stop());
  const world = await World.create(t);
  const redis = await world.startRedis();
  const start = (more = {}) => world.start('ingest', { spool: { url: `s3://${s3.bucket}/spool`, key_file: world.keyFile }, ...more },
    { env: s3.env });
  return { s3, world, redis, start };
}

test('SIGKILL right behind the 250: another ingest, elsewhere, enqueues the mail out of the bucket', { skip }, async (t) => {
  const { s3, world, redis, start } = await worldWithBucket(t);
  await redis.stop();
  const first = await start();
  const ids = await sendMany(world.ports.smtp, 12, 200000); // the last ones are large: objects of their own
  await first.kill();
  assert.ok(!fs.existsSync(path.join(world.dir, 'spool')), 'nothing lies on this machine');
  await redis.start();
  await start({ ingest: { smtp: `127.0.0.1:${world.ports.smtp}`, name: 'another' } });
  await waitFor(async () => (await jobs(redis)) === 12, { what: '12 jobs' });
  for (const id of ids) assert.ok(await known(redis, id));
  assert.deepEqual(s3.counts().bad, []);
});

test('a store with one fault in ten: every mail is taken, and enqueued once', { skip }, async (t) => {
  const { s3, world, redis, start } = await worldWithBucket(t);
  await start();
  await fetch(`${s3.endpoint}/-/faults?rate=0.1&seed=5`, { method: 'POST' });
  const ids = await sendMany(world.ports.smtp, 40);
  await waitFor(async () => (await jobs(redis)) === 40, { what: '40 jobs' });
  for (const id of ids) assert.ok(await known(redis, id));
  await fetch(`${s3.endpoint}/-/faults`, { method: 'POST' });
  assert.deepEqual(s3.counts().bad, []);
});

test('a store that is away: 4xx and nothing promised; 250 again when it is back', { skip }, async (t) => {
  const { s3, world, redis, start } = await worldWithBucket(t);
  await start();
  await fetch(`${s3.endpoint}/-/faults?rate=1&kind=503`, { method: 'POST' });
  const smtp = await Smtp.connect(world.ports.smtp, { timeout: 90000 });
  const put = await smtp.send({});
  assert.equal(Math.floor(put.code / 100), 4, put.text);
  smtp.close();
  await fetch(`${s3.endpoint}/-/faults`, { method: 'POST' });
  await waitFor(async () => {
    const again = await Smtp.connect(world.ports.smtp, { timeout: 90000 });
    const reply = await again.send({}).catch(() => ({ code: 0 }));
    again.close();
    return reply.code === 250;
  }, { what: 'a 250', interval: 500 });
  await waitFor(async () => (await jobs(redis)) >= 1, { what: 'a job' });
});
