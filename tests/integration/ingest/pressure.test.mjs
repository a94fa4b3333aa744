// SPDX-License-Identifier: Apache-2.0
//
// Near a limit ingest slows down, then refuses for now and says why, and takes mail again by itself; what it took is there.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Smtp, World, request, sleep, waitFor } from '../../support/harness.mjs';

const post = (world) => request(`http://127.0.0.1:${world.ports.http}/v1/messages`, { method: 'POST', body: 'S: x\n\nx\n', timeout: 60000,
  headers: { authorization: `Bearer ${world.token}`, 'content-type': 'message/rfc822', 'x-mail-from': 'a@example.jp',
    'x-rcpt-to': 'b@example.com' } });
const jobs = (redis) => redis.command('XLEN', 'fb:{s0}:render');
const isReady = async (ingest) => (await request(`http://127.0.0.1:${ingest.metricsPort}/readyz`)).status === 200;
/** The answer to a sender when no mail is taken: the metric tells it first, and readiness last. */
const refusal = (smtp) => waitFor(async () => {
  const reply = await smtp.cmd('MAIL FROM:<a@example.jp>');
  if (reply.code === 250) await smtp.cmd('RSET');
  return reply.code !== 250 && reply;
}, { interval: 300, what: 'a refusal' });
const pressureOf = (ingest, cause) => ingest.metric('fumibako_ingest_pressure', `cause="${cause}"`);
/** Sets maxmemory so that ingest sees this part of its limit (90%) used; Redis' own ups and downs are small beside the ballast. */
async function press(redis, part) {
  await redis.command('SETRANGE', 'ballast', String(64 << 20), 'x');
  const used = Number(/used_memory:(\d+)/.exec(String(await redis.command('INFO', 'memory')))[1]);
  await redis.command('CONFIG', 'SET', 'maxmemory', String(Math.floor(used / 0.9 / part)));
}
/** The jobs of a stream wait so much longer, all at once: an age that must pass may pass while they are still handed in. */
const age = (redis, stream, ms) => redis.command('EVAL', `local all = redis.call('XRANGE', KEYS[1], '-', '+')
  redis.call('DEL', KEYS[1])
  for _, e in ipairs(all) do
    local at, n = string.match(e[1], '(%d+)-(%d+)')
    redis.call('XADD', KEYS[1], string.format('%.0f-%s', at - ARGV[1], n), unpack(e[2]))
  end`, 1, stream, ms);

test('Redis near its maxmemory: slow, then 452 and 503 with the reason, and mail again afterwards', async (t) => {
  const world = await World.create(t);
  const redis = await world.startRedis();
  const ingest = await world.start('ingest', { ingest: { redis_memory_max: '90%' } });
  const smtp = await Smtp.connect(world.ports.smtp, { timeout: 60000 });
  assert.equal((await smtp.send()).code, 250);
  const at = async (part) => {
    await redis.command('CONFIG', 'SET', 'maxmemory', '0');
    await press(redis, part);
    await waitFor(async () => Math.abs(await pressureOf(ingest, 'redis') - part) < 0.05, { what: `a pressure of ${part}` });
  };
  await at(0.9);
  for (const send of [async () => (await smtp.send({ helo: '' })).code === 250, async () => (await post(world)).status === 202]) {
    const begun = Date.now();
    assert.ok(await send());
    assert.ok(Date.now() - begun >= 700, `${Date.now() - begun} ms: slower than at ease`);
  }
  await at(1.2);
  const refused = await refusal(smtp);
  assert.equal(`${refused.code} ${refused.enhanced}`, '452 4.3.1');
  assert.match(refused.text, /the queue's memory is nearly full; try again later/);
  // A full Redis is a slow one: what it said last holds while it says nothing for a moment.
  await redis.command('CLIENT', 'PAUSE', '6000');
  for (let i = 0; i < 25; i++) {
    assert.equal((await smtp.cmd('MAIL FROM:<a@example.jp>')).code, 452);
    await sleep(200);
  }
  const answer = await post(world);
  assert.equal(answer.status, 503);
  assert.ok(Number(answer.headers['retry-after']) > 0);
  assert.match(answer.json().error.message, /the queue's memory is nearly full/);
  await waitFor(async () => !await isReady(ingest), { what: 'not to be ready' });
  await redis.command('CONFIG', 'SET', 'maxmemory', '0');
  await ingest.ready();
  assert.ok((await pressureOf(ingest, 'redis')) < 0.5, 'nobody is held back any more');
  assert.equal((await smtp.send({ helo: '' })).code, 250);
  await waitFor(async () => (await jobs(redis)) === 4, { what: 'the four mails that were taken' });
  await ingest.says(/no mail is taken/);
  assert.equal(ingest.log.filter((l) => /no mail is taken/.test(JSON.stringify(l))).length, 1);
});

test('jobs that wait too long: 452 says so, a flood in the bulk lane does not count', async (t) => {
  const world = await World.create(t);
  const redis = await world.startRedis();
  const ingest = await world.start('ingest', { ingest: { queue_age_max: '1h' }, queue: { sender_burst: 1, sender_rate: 1 } });
  const smtp = await Smtp.connect(world.ports.smtp, { timeout: 60000 });
  for (let i = 0; i < 3; i++) assert.equal((await smtp.send({ from: 'flood@example.jp', helo: i ? '' : 'EHLO x.example' })).code, 250);
  await waitFor(async () => Number(await redis.command('XLEN', 'fb:{s0}:render:bulk')) === 2, { what: 'the flood' });
  await age(redis, 'fb:{s0}:render', 2 * 3600000);
  await age(redis, 'fb:{s0}:render:bulk', 2 * 3600000);
  const refused = await refusal(smtp);
  assert.equal(refused.code, 452);
  assert.match(refused.text, /mail waits too long to be processed/);
  await waitFor(async () => !await isReady(ingest), { what: 'not to be ready' });
  // A worker takes the one that waits in the normal lane: what is left is the flood's own business.
  await redis.command('XGROUP', 'CREATE', 'fb:{s0}:render', 'workers', '0');
  const keys = await redis.command('XREADGROUP', 'GROUP', 'workers', 'w', 'COUNT', '9', 'STREAMS', 'fb:{s0}:render', '>');
  assert.equal(keys[0][1].length, 1);
  await ingest.ready();
  assert.equal((await smtp.send({ from: 'b@example.jp', helo: '' })).code, 250);
});

test('sessions that are held back do not hold others back, and a stop lets them go', async (t) => {
  const world = await World.create(t);
  const redis = await world.startRedis();
  const ingest = await world.start('ingest');
  await press(redis, 0.93);
  const held = await Smtp.connect(world.ports.smtp, { timeout: 60000 });
  const other = await Smtp.connect(world.ports.smtp, { timeout: 60000 });
  await held.cmd('EHLO a.example');
  // Held back for three seconds: when the machine stood still for as long in between, it is tried again.
  const reply = await waitFor(async () => {
    await waitFor(async () => (await pressureOf(ingest, 'redis')) > 0.85, { what: 'pressure' });
    const late = held.cmd('MAIL FROM:<a@example.jp>');
    const done = [];
    late.then(() => done.push('held back'));
    await Promise.all([1, 2, 3].map(() => other.cmd('NOOP').then((r) => { assert.equal(r.code, 250); done.push('other'); })));
    if (!done.includes('held back')) return { late };
    assert.equal((await late).code, 250);
    assert.equal((await held.cmd('RSET')).code, 250);
    return null;
  }, { what: 'others to be answered first' });
  ingest.signal('SIGTERM');
  assert.equal((await reply.late).code, 250);
  held.close();
  other.close();
  assert.equal((await ingest.exited).code, 0);
});
