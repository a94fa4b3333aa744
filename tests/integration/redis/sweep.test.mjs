// SPDX-License-Identifier: Apache-2.0
//
// The sweeper: what a queue has lost comes back, once; what only waits is left alone.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { Smtp, World, sleep, waitFor } from '../../support/harness.mjs';
import { run } from '../ctl/kit.mjs';

const FIELD = { stream: 'fb:{s0}:render', open: 'fb:{s0}:open' };

async function surroundings(t, count, overrides = {}) {
  const world = await World.create(t);
  const redis = await world.startRedis();
  await redis.command('XGROUP', 'CREATE', FIELD.stream, 'w', '0', 'MKSTREAM').catch(() => {});
  const ingest = await world.start('ingest', { ingest: { sweep_after: '1s', ...overrides } });
  const ids = [];
  const smtp = await Smtp.connect(world.ports.smtp);
  for (let i = 0; i < count; i++) ids.push((await smtp.send()).id);
  smtp.close();
  await waitFor(async () => (await redis.command('XLEN', FIELD.stream)) === count, { what: 'the jobs' });
  return { world, redis, ingest, ids };
}

const entries = async (redis, key = FIELD.stream) => redis.command('XRANGE', key, '-', '+');
const entryOf = async (redis, id, key) => (await entries(redis, key)).filter(([, f]) => f[1].includes(id));
const requeued = async (ingest) => (await ingest.metric('fumibako_sweep_requeued_total')) ?? 0;

// Each waits for the sweeper most of the time.
describe('the sweeper', { concurrency: 5 }, () => {
  test('a message whose job is gone gets it again, once, and the others are left alone', async (t) => {
    const { redis, ingest, ids } = await surroundings(t, 4);
    const [lost, delayed, dead, inHand] = ids;
    // Moved inside Redis: jobs are bytes.
    const move = async (id, how) => redis.command('EVAL', `local e = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
      local job, first = e[2][2], e[2][4]
      redis.call('XDEL', KEYS[1], ARGV[1])
      ${how}`, 1, FIELD.stream, (await entryOf(redis, id))[0][0]);
    await move(lost, '');
    await move(delayed, `redis.call('ZADD', 'fb:{s0}:delayed:render', ${Date.now() + 3600000}, first .. ':' .. job)`);
    await move(dead, `redis.call('XADD', 'fb:{s0}:dead', '*', 'j', job, 'f', first, 'g', 'render', 's', 'crashed', 'r', 'x',
      't', '1', 'i', '1-1')`);
    // In hand: delivered to a worker that does not answer.
    await redis.command('XREADGROUP', 'GROUP', 'w', 'somebody', 'COUNT', '1', 'STREAMS', FIELD.stream, '>');
    await waitFor(async () => (await requeued(ingest)) === 1, { what: 'the sweeper' });
    const again = await entryOf(redis, lost);
    assert.equal(again.length, 1);
    await sleep(8000); // three more looks
    assert.equal((await entries(redis)).length, 2);
    assert.equal((await entryOf(redis, inHand)).length, 1);
    assert.equal(await requeued(ingest), 1);
    await waitFor(async () => (await redis.command('EXISTS', 'fb:{s0}:sweep:lease')) === 0, { what: 'the lease to be given back' });
  });

  test('a message between two stages gets the job of its next undone stage', async (t) => {
    const { redis, ingest, ids } = await surroundings(t, 3);
    const hash = (id, ...fields) => redis.command('HSET', `fb:{s0}:m:${id}`, ...fields);
    // Planned: a secure branch, an untouched one that is sent; the rewrite job of the third is lost, too; the last is held.
    await hash(ids[0], 'd:render:0', 'x', 'state', 'planned', 'left', 3, 'branches', 4, 'b:0', 'secure|p|rule', 'b:1', 'pass||',
      'd:rewrite:1', 'x', 'b:2', 'secure|p|rule', 'd:upload:2', 'x', 'b:3', 'secure|p|rule', 'h:3', 'invalid|why');
    await hash(ids[1], 'state', 'done');
    await redis.command('DEL', `fb:{s0}:m:${ids[2]}`); // its hash is lost: the replay's business; before the sweeper misses its job
    await redis.command('XTRIM', FIELD.stream, 'MAXLEN', 0);
    await waitFor(async () => (await requeued(ingest)) === 1, { what: 'the sweeper' });
    assert.equal((await entryOf(redis, ids[0], 'fb:{s0}:upload')).length, 1);
    assert.equal((await entryOf(redis, ids[0], 'fb:{s0}:rewrite')).length, 1);
    assert.equal((await entryOf(redis, ids[0])).length, 0, 'it is rendered');
    await sleep(6000);
    assert.equal((await entries(redis, 'fb:{s0}:upload')).length, 1);
    assert.equal((await entries(redis, 'fb:{s0}:rewrite')).length, 1);
    await waitFor(async () => (await redis.command('ZSCORE', FIELD.open, ids[1])) === null, { what: 'what has ended not to be open' });
  });

  test('a held branch whose dead letter is lost gets it again, with its reason, and can be decided', async (t) => {
    const { world, redis, ingest, ids } = await surroundings(t, 4);
    const [unread, planned, known, expired] = ids;
    const hash = (id, ...fields) => redis.command('HSET', `fb:{s0}:m:${id}`, ...fields);
    // Held by render; by rewrite, in its second branch; held with its dead letter; and one that nobody released in time.
    const job = (await entryOf(redis, known))[0][0];
    await redis.command('EVAL', `local e = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
      redis.call('XADD', 'fb:{s0}:dead', '*', 'j', e[2][2], 'f', e[2][4], 'g', 'render', 's', 'crashed', 'r', 'x', 't', '1', 'i', '1-1')
      redis.call('HSET', 'fb:{s0}:dead:count', 'render', 1)`, 1, FIELD.stream, job);
    await hash(unread, 'h:0', 'too_big|a part | of it is too large');
    await hash(planned, 'd:render:0', 'x', 'state', 'planned', 'left', 1, 'branches', 2, 'b:0', 'pass||', 'd:rewrite:0', 'x',
      'b:1', 'secure|p|rule', 'd:upload:1', 'x', 'h:1', 'denied|the relay says no');
    await hash(known, 'h:0', 'crashed|x');
    await hash(expired, 'h:0', 'expired|nobody released it in time');
    await redis.command('XTRIM', FIELD.stream, 'MAXLEN', 0);
    await waitFor(async () => (await requeued(ingest)) === 2, { what: 'the sweeper' });
    const file = path.join(world.dir, 'ctl.yaml');
    fs.writeFileSync(file, JSON.stringify(world.config('ctl')), { mode: 0o600 });
    const ctl = (...args) => run(['--config', file, ...args]);
    const letters = Object.fromEntries((await ctl('dead', 'list', '--json')).json().map((d) => [d.message, d]));
    assert.deepEqual(Object.keys(letters).sort(), [unread, planned, known].sort());
    assert.equal(letters[unread].stage, 'render');
    assert.equal(letters[unread].status, 'too_big');
    assert.equal(letters[unread].reason, 'its dead letter was lost and is written again; held because: a part | of it is too large');
    assert.deepEqual([letters[planned].stage, letters[planned].branch, letters[planned].status], ['rewrite', 1, 'denied']);
    assert.deepEqual(await redis.command('HMGET', 'fb:{s0}:dead:count', 'render', 'upload', 'rewrite'), ['2', null, '1']);
    await sleep(6000);
    assert.equal(await redis.command('XLEN', 'fb:{s0}:dead'), 3, 'once');
    assert.equal((await ctl('dead', 'retry', letters[unread].id)).status, 0);
    assert.equal((await entryOf(redis, unread)).length, 1);
  });

  test('two ingests sweep at the same time and put a job back once', async (t) => {
    const { world, redis, ids } = await surroundings(t, 30);
    const second = await world.start('ingest', { ingest: { sweep_after: '1s', smtp: '', http: '', name: 'second',
      lmtp: `127.0.0.1:${world.ports.portal}` }, metrics: { listen: `127.0.0.1:${world.ports.metrics_render}` } }, { ready: false });
    await redis.command('XTRIM', FIELD.stream, 'MAXLEN', 0);
    await waitFor(async () => (await entries(redis)).length >= 30, { what: 'all jobs' });
    await sleep(8000);
    const all = await entries(redis);
    assert.equal(all.length, 30);
    for (const id of ids) assert.equal((await entryOf(redis, id)).length, 1);
    assert.ok(second.isRunning, second.output);
  });

  test('a message whose mail is not in the spool is told, not touched', async (t) => {
    const { world, redis, ingest } = await surroundings(t, 1);
    const id = '01J00000000000000000000000';
    await redis.command('HSET', `fb:{s0}:m:${id}`, 'state', 'queued', 'queued', 1);
    await redis.command('ZADD', FIELD.open, Date.now() - 60000, id);
    await redis.command('XTRIM', FIELD.stream, 'MAXLEN', 0);
    await waitFor(async () => (await ingest.metric('fumibako_sweep_orphans')) === 1, { what: 'the gauge' });
    await ingest.says(new RegExp(`not in the spool.*${id}`));
    assert.ok(world.dir);
  });
});
