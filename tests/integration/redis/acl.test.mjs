// SPDX-License-Identifier: Apache-2.0
//
// deploy/redis/users.acl.sample: what each service's user must not do.  That it may do all that its service does is shown
// by every test of a program with a Redis: the harness gives each program its user, and fails the test when Redis refused
// it something (ACL LOG).
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { World } from '../../support/harness.mjs';

const SERVICES = ['ingest', 'render', 'upload', 'rewrite', 'revoke', 'watch', 'portal', 'console', 'operator'];

test('no user can do what none of the services needs, or read what is another one\'s', async (t) => {
  const world = await World.create();
  t.after(async () => {
    await world.redis.command('ACL', 'LOG', 'RESET'); // they were meant to be refused
    await world.end();
  });
  await world.startRedis();
  const as = (user, ...command) => spawnSync('redis-cli', ['-p', String(world.ports.redis), '--user', `fumibako-${user}`,
    '--pass', `CHANGE-ME-${user}`, '--no-auth-warning', ...command], { encoding: 'utf8' }).stdout.trim();
  for (const user of SERVICES) {
    assert.match(as(user, 'TIME'), /^\d+\n\d+$/, `${user} gets in`);
    for (const command of [['FLUSHALL'], ['FLUSHDB'], ['KEYS', '*'], ['SCAN', '0'], ['CONFIG', 'GET', '*'], ['CONFIG', 'SET', 'dir', '/'],
      ['ACL', 'LIST'], ['ACL', 'SETUSER', 'x'], ['SCRIPT', 'FLUSH'], ['FUNCTION', 'LIST'], ['SHUTDOWN'],
      ['REPLICAOF', 'NO', 'ONE'], ['MODULE', 'LIST'], ['MONITOR'], ['CLIENT', 'LIST'], ['RENAME', 'fb:{s0}:m:x', 'y'],
      ['MIGRATE', 'h', '1', 'k', '0', '1'], ['CLUSTER', 'RESET'], ['SAVE'], ['SUBSCRIBE', 'x'], ['GET', 'other']]) {
      assert.match(as(user, ...command), /^NOPERM/, `${user}: ${command.join(' ')}`);
    }
    assert.match(as(user, 'EVAL', 'return redis.call("FLUSHALL")', '0'), /NOPERM|ACL failure|can't run this command/, user);
  }
  for (const [user, key] of [['render', 'fb:{s0}:h:x'], ['render', 'fb:{s0}:a:x'], ['render', 'fb:{s0}:watch:token'],
    ['ingest', 'fb:{s0}:g:x'], ['ingest', 'fb:policy'], ['upload', 'fb:{s0}:a:x'], ['upload', 'fb:{s0}:watch:token'],
    ['rewrite', 'fb:{s0}:h:x'], ['rewrite', 'fb:box:limit:{1}'], ['rewrite', 'fb:{s0}:a:x'], ['revoke', 'fb:{s0}:a:x'],
    ['watch', 'fb:{s0}:rc:x'], ['watch', 'fb:{s0}:revoke'],
    ['portal', 'fb:{s0}:render'], ['portal', 'fb:{s0}:upload'], ['portal', 'fb:{s0}:rewrite:bulk'], ['portal', 'fb:{s0}:dead'], ['portal', 'fb:{s0}:a:x'], ['portal', 'fb:{s0}:t'], ['portal', 'fb:{s0}:l:hours'], ['render', 'fb:{s0}:l:a:x'], ['upload', 'fb:{s0}:l:t:1'],
    ['portal', 'fb:{s0}:open'], ['portal', 'fb:{s0}:watch:pos'], ['rewrite', 'fb:{s0}:ps:x'], ['rewrite', 'fb:{s0}:pt:x'], ['upload', 'fb:{s0}:pc:x'], ['watch', 'fb:{s0}:dead'], ['console', 'fb:{s0}:ps:x'], ['console', 'fb:{s0}:pt:x'], ['console', 'fb:{s0}:watch:token'],
    ['portal', 'fb:{s0}:console:users'], ['rewrite', 'fb:{s0}:console:users'], ['operator', 'other']]) {
    assert.match(as(user, 'HGET', key, 'f'), /^NOPERM/, `${user}: ${key}`);
  }
  assert.match(as('console', 'ZADD', 'fb:{s0}:l:hours', '1', 'x'), /^NOPERM/, 'the console reads the listings only');
  // What portal and rewrite only show, they cannot change.
  for (const [user, more] of [['portal', ['fb:policy']], ['rewrite', ['fb:{s0}:g:x', 'fb:{s0}:w:x', 'fb:{s0}:pc:x']]]) {
    for (const key of ['fb:{s0}:p:x', 'fb:{s0}:watch:seen', ...more]) {
      assert.equal(as(user, 'HGETALL', key), '', `${user} reads ${key}`);
      assert.match(as(user, 'HSET', key, 'f', 'v'), /^NOPERM/, `${user} does not write ${key}`);
    }
  }
  // The policy is the operator's and the console's to write.
  for (const user of SERVICES.filter((u) => !['operator', 'console'].includes(u))) {
    assert.match(as(user, 'HDEL', 'fb:policy', 'document'), ['ingest', 'portal'].includes(user) ? /^NOPERM/ : /^(NOPERM|0)/, user);
    assert.match(as(user, 'LPUSH', 'fb:policy:history', 'x'), /^NOPERM/, user);
  }
});

test('a program that is refused something fails its test', async () => {
  const world = await World.create();
  await world.startRedis();
  const ingest = await world.start('ingest');
  const url = new URL(world.config('ingest').redis.url);
  assert.equal(url.username, 'fumibako-ingest');
  assert.ok((await world.redis.command('CLIENT', 'LIST')).includes('user=fumibako-ingest'), 'the program is its user');
  assert.ok(ingest.isRunning);
  spawnSync('redis-cli', ['-u', url.href, '--no-auth-warning', 'HGET', 'fb:policy', 'document']);
  await assert.rejects(world.end(), /users\.acl\.sample refuses:\nfumibako-ingest: key fb:policy/);
});
