// SPDX-License-Identifier: Apache-2.0
//
// deploy/redis/users.acl.sample: each service runs with its user's rights, and has no others.  The harness gives each
// program its user when FB_REDIS_ACL is set, and fails a test when Redis refused something (ACL LOG).
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { describe, test } from 'node:test';
import { ROOT, World } from '../../support/harness.mjs';
import { hasPostfix } from '../../support/postfix.mjs';

const SERVICES = ['ingest', 'render', 'upload', 'rewrite', 'revoke', 'watch', 'portal', 'operator'];

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
    ['rewrite', 'fb:{s0}:h:x'], ['rewrite', 'fb:box:limit:{1}'], ['rewrite', 'fb:{s0}:a:x'], ['revoke', 'fb:{s0}:a:x'],
    ['watch', 'fb:{s0}:rc:x'], ['watch', 'fb:{s0}:revoke'],
    ['portal', 'fb:{s0}:render'], ['portal', 'fb:{s0}:rewrite'], ['portal', 'fb:{s0}:dead'], ['portal', 'fb:{s0}:a:x'], ['portal', 'fb:{s0}:t'],
    ['portal', 'fb:{s0}:open'], ['portal', 'fb:{s0}:watch:pos'], ['portal', 'fb:policy'], ['watch', 'fb:{s0}:dead'], ['operator', 'other']]) {
    assert.match(as(user, 'HGET', key, 'f'), /^NOPERM/, `${user}: ${key}`);
  }
  // What portal and rewrite only show, they cannot change.
  for (const user of ['portal', 'rewrite']) {
    for (const key of ['fb:{s0}:p:x', 'fb:{s0}:g:x', 'fb:{s0}:w:x', 'fb:{s0}:watch:seen']) {
      assert.equal(as(user, 'HGETALL', key), '', `${user} reads ${key}`);
      assert.match(as(user, 'HSET', key, 'f', 'v'), /^NOPERM/, `${user} does not write ${key}`);
    }
  }
  // The policy is the operator's to write.
  for (const user of SERVICES.filter((u) => u !== 'operator')) {
    assert.match(as(user, 'HDEL', 'fb:policy', 'document'), ['ingest', 'portal'].includes(user) ? /^NOPERM/ : /^(NOPERM|0)/, user);
    assert.match(as(user, 'LPUSH', 'fb:policy:history', 'x'), /^NOPERM/, user);
  }
});

const FILES = ['e2e/pipeline', 'e2e/recall', 'integration/ingest/durability', 'integration/upload/service',
  'integration/rewrite/service', 'integration/rewrite/letters', 'integration/revoke/service',
  'integration/revoke/restore', 'integration/revoke/schedule', 'integration/watch/access', 'integration/portal/page',
  'integration/portal/recall', 'integration/portal/service', 'integration/ctl/mail', 'integration/ctl/recall'];
/** Of a suite that takes long, only what its names say. */
const SMALL = { 'e2e/recall': 'one recipient has opened it', 'integration/revoke/restore': '^(?!killed)' };

// They wait most of the time.
describe('as their users', { concurrency: 3 }, () => {
  for (const file of FILES) {
    const skip = file.startsWith('e2e') && !hasPostfix() ? 'needs root and Postfix' : false;
    test(`${file}: all that the services do there, each may do`, { skip, timeout: 600000 }, async () => {
      const env = { ...process.env, FB_REDIS_ACL: '1' };
      delete env.NODE_TEST_CONTEXT; // a run of its own
      const child = spawn(process.execPath, ['--test', ...(SMALL[file] ? ['--test-name-pattern', SMALL[file]] : []),
        path.join(ROOT, 'tests', `${file}.test.mjs`)], { env, stdio: ['ignore', 'pipe', 'pipe'] });
      let output = '';
      child.stdout.on('data', (c) => { output += c; });
      child.stderr.on('data', (c) => { output += c; });
      const [code] = await once(child, 'close');
      assert.equal(code, 0, output.slice(-6000));
    });
  }
});
