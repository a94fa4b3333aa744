// SPDX-License-Identifier: Apache-2.0
//
// What a year of mails costs Redis: little, and what tests/support/ledger.mjs writes for benchmarks is what the services leave.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { World, binDir, sleep } from '../../support/harness.mjs';
import { bucket, packed, record } from '../../support/ledger.mjs';

const MOST = 1500; // bytes a mail: to two recipients, secured, out, its parcel still open
const KEY = 'a-key-that-is-not-used-elsewhere';

async function mails(world, count) {
  const { stdout } = await promisify(execFile)(path.join(binDir(), 'ledger_mails'), [`redis://127.0.0.1:${world.ports.redis}`, String(count), KEY]);
  return stdout.trim();
}

/** A hash as names and the forms of values: digits are 9s, and what is no text is its length. */
async function form(redis, key) {
  const flat = await redis.command('HGETALL', key);
  const shape = (v) => (/^[\x20-\x7e]*$/.test(v) ? v.replace(/[0-9A-Z]{26}/g, 'ID').replace(/\d+/g, '9') : 'bytes');
  return Object.fromEntries(Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i].replace(/\d{5,}/, '9'), shape(flat[2 * i + 1])]).sort());
}

test('a mail takes no more of Redis than it may, in records that stay compact', async (t) => {
  const world = await World.create(t);
  const redis = await world.startRedis();
  const used = async () => Number(/used_memory:(\d+)/.exec(await redis.command('INFO', 'memory'))[1]);
  await mails(world, 50);
  // With a year of mails behind them the buckets of folders are there already.
  await redis.command('EVAL', `for i = 0, 0x3fff do
    local key = string.format('fb:{s0}:f:b:%x', i)
    redis.call('HSET', key, 'folder', 'parcel')
    redis.call('EXPIRE', key, 1000)
  end`, 0);
  const before = await used();
  const count = 2000;
  const id = await mails(world, count);
  const bytes = (await used() - before) / count;
  t.diagnostic(`${bytes.toFixed(0)} bytes a mail`);
  assert.ok(bytes <= MOST, `${bytes.toFixed(0)} bytes a mail`);
  for (const key of [`m:${id}`, `g:${id}-0`]) assert.equal(await redis.command('OBJECT', 'ENCODING', `fb:{s0}:${key}`), 'listpack', key);
});

test('what benchmarks write into the ledger is what the services leave there', async (t) => {
  const world = await World.create(t);
  const redis = await world.startRedis();
  // Listings are by the hour: both must lie in the same one.
  const left = 3600000 - Date.now() % 3600000;
  if (left < 30000) await sleep(left + 100);
  const id = await mails(world, 1);
  const ours = '01ARZ3NDEKTSV4RRFFQ69G5FAV';
  const at = Date.now();
  for (const command of record({ id: ours, at, from: 'employee.0@example.co.jp', to: ['recipient-0@customer-0.example.com', 'recipient-31@customer-31.example.com'],
    subject: '【ご確認】11月度のお見積書をお送りします', key: KEY, folder: '397654321099' })) await redis.command(...command);
  for (const [a, b] of [[`m:${id}`, `m:${ours}`], [`g:${id}-0`, `g:${ours}-0`]]) {
    assert.deepEqual(await form(redis, `fb:{s0}:${b}`), await form(redis, `fb:{s0}:${a}`));
    const ttl = [await redis.command('TTL', `fb:{s0}:${a}`), await redis.command('TTL', `fb:{s0}:${b}`)];
    assert.ok(Math.abs(ttl[0] - ttl[1]) < 60, `${a}: ${ttl}`);
  }
  assert.deepEqual(await form(redis, bucket('397654321099')), { '9 box': 'ID-9 9' });
  assert.deepEqual(await form(redis, bucket('397654321098')), { '9 box': 'ID-9 9' });
  // Listings hold the ids as bytes: looked for, not read.
  const member = (name) => redis.command('ZSCORE', name, packed(id));
  const hour = Math.floor(at / 3600000);
  assert.equal(await member('fb:{s0}:l:a:recipient-0@customer-0.example.com'), '0');
  assert.equal(await member(`fb:{s0}:l:s:${Math.floor(hour / 720)}:employee.0@example.co.jp`), '0');
  assert.equal(await redis.command('STRLEN', `fb:{s0}:l:t:${hour}`), 32);
  assert.deepEqual((await redis.command('ZRANGE', 'fb:{s0}:due', 0, -1)).sort(), [`${id}-0`, `${ours}-0`].sort());
  for (const kind of ['p', 'w', 'h']) for (const one of [id, ours]) assert.equal(await redis.command('EXISTS', `fb:{s0}:${kind}:${one}-0`), 0);
});
