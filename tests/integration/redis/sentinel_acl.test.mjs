// SPDX-License-Identifier: Apache-2.0
//
// Sentinels with users of their own: the client gives them their password when they ask, another one than Redis has, and
// finds the next primary with the least that a user can be allowed.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import path from 'node:path';
import { test } from 'node:test';
import { World, binDir, waitFor } from '../../support/harness.mjs';
import { Sentinels } from './kit.mjs';

test('sentinels that ask for a user and a password get theirs, through a fail-over; without, the client says what is missing', async (t) => {
  const world = await World.create();
  const group = await Sentinels.start(world.dir, { args: ['--user', 'walker', 'on', '>for-redis', '~fb:*', '+@all'] });
  world.redis = group;
  t.after(() => world.end());
  for (const s of group.sentinels) { // what is connected stays; whoever comes now must say who it is
    await s.command('SENTINEL', 'CONFIG', 'SET', 'sentinel-user', 'peer');
    await s.command('SENTINEL', 'CONFIG', 'SET', 'sentinel-pass', 'for-peers');
    await s.command('ACL', 'SETUSER', 'peer', 'on', '>for-peers', 'allchannels', 'allkeys', '+@all');
    await s.command('ACL', 'SETUSER', 'finder', 'on', '>for-finders', 'resetchannels', '-@all', '+sentinel|get-master-addr-by-name');
    await s.command('ACL', 'SETUSER', 'default', 'off');
  }
  const url = group.url.replace('://', '://walker:for-redis@');
  // Without `during` it ends by itself: nobody from outside can see that it has begun.
  const walk = async (during, ...more) => {
    const child = world.spawn(path.join(binDir(), 'redis_walk'), [url, '2', during ? '300' : '15', ...more]);
    let out = '';
    child.stdout.on('data', (c) => { out += c; });
    const ended = once(child, 'close');
    await during?.();
    if (during) child.kill('SIGTERM');
    await ended;
    return JSON.parse(out);
  };
  const steps = async () => Number(await group.command('GET', 'fb:{s0}:walk'));
  const further = async (count) => {
    const from = await steps();
    await waitFor(async () => (await steps()) >= from + count, { what: `${count} steps`, interval: 200 });
  };
  const [none, wrong, right] = await Promise.all([walk(null), walk(null, '', 'finder', 'mistyped'), walk(async () => {
    await further(60);
    const old = await group.primary();
    old.signal('SIGKILL');
    await group.failedOver(old);
    await further(60);
  }, '', 'finder', 'for-finders')]);
  assert.ok(none.shards.every((s) => s.done === 0));
  assert.match(none.text, /WRONGPASS|NOAUTH/);
  assert.match(none.text, /sentinel 127/);
  assert.ok(wrong.shards.every((s) => s.done === 0));
  assert.match(wrong.text, /WRONGPASS/);
  assert.equal(right.wrong, 0, right.text);
  assert.ok(right.shards.every((s) => s.done > 100), JSON.stringify(right));
  t.diagnostic(`through a fail-over with the sentinels' own user: longest pause ${Math.max(...right.shards.map((s) => s.pause))} ms`);
});
