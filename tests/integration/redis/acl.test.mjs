// SPDX-License-Identifier: Apache-2.0
//
// deploy/redis/users.acl.sample: each service runs with its user's rights, and has no others.  The harness gives each
// program its user when FB_REDIS_ACL is set, and fails a test when Redis refused something (ACL LOG).
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { test } from 'node:test';
import { ROOT, World } from '../../support/harness.mjs';
import { hasPostfix } from '../../support/postfix.mjs';

const SERVICES = ['ingest', 'render', 'upload', 'rewrite', 'revoke', 'watch', 'operator'];

test('no user can do what none of the services needs, or read what is another one\'s', async (t) => {
  process.env.FB_REDIS_ACL = '1';
  const world = await World.create();
  t.after(async () => {
    await world.redis.command('ACL', 'LOG', 'RESET'); // they were meant to be refused
    await world.end();
    delete process.env.FB_REDIS_ACL;
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
    ['rewrite', 'fb:{s0}:p:x'], ['rewrite', 'fb:box:limit:{1}'], ['rewrite', 'fb:{s0}:a:x'], ['revoke', 'fb:{s0}:a:x'],
    ['watch', 'fb:{s0}:revoke'], ['watch', 'fb:{s0}:dead'], ['operator', 'other']]) {
    assert.match(as(user, 'HGET', key, 'f'), /^NOPERM/, `${user}: ${key}`);
  }
  // The policy is the operator's to write.
  for (const user of SERVICES.filter((u) => u !== 'operator')) {
    assert.match(as(user, 'HDEL', 'fb:policy', 'document'), user === 'ingest' ? /^NOPERM/ : /^(NOPERM|0)/, user);
    assert.match(as(user, 'LPUSH', 'fb:policy:history', 'x'), /^NOPERM/, user);
  }
});

for (const file of ['e2e/pipeline', 'integration/ingest/durability', 'integration/upload/service', 'integration/rewrite/service',
  'integration/revoke/service', 'integration/watch/access', 'integration/ctl/mail']) {
  const skip = file.startsWith('e2e') && !hasPostfix() ? 'needs root and Postfix' : false;
  test(`${file}: all that the services do there, each may do`, { skip, timeout: 600000 }, async () => {
    const env = { ...process.env, FB_REDIS_ACL: '1' };
    delete env.NODE_TEST_CONTEXT; // a run of its own
    const child = spawn(process.execPath, ['--test', path.join(ROOT, 'tests', `${file}.test.mjs`)],
      { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (c) => { output += c; });
    child.stderr.on('data', (c) => { output += c; });
    const [code] = await once(child, 'close');
    assert.equal(code, 0, output.slice(-6000));
  });
}
