// SPDX-License-Identifier: Apache-2.0
// What deploy/README.md says of backups, done as it says: a fresh machine with the keys, the manifests and, or without, the
// copy of Redis knows its policy and can take back a mail that went out before.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { waitFor } from '../support/harness.mjs';
import { Relay } from '../support/relay.mjs';
import { Smtp } from '../support/harness.mjs';
import { Stack } from './stack.mjs';

const SERVICES = ['ingest', 'render', 'upload', 'rewrite', 'revoke', 'watch'];
function run(command, args) {
  const r = spawnSync(command, args, { encoding: 'utf8' });
  assert.equal(r.status, 0, `${command} ${args.join(' ')}: ${r.stderr}`);
}

test('backup, a fresh machine, restore: policy, ledger and the recall of old mail are there, with Redis\' copy and without', async (t) => {
  const relay = await Relay.start({});
  t.after(() => relay.stop());
  const stack = await Stack.start(t, { postfix: false, services: [], overrides: { rewrite: { relay: `smtp://127.0.0.1:${relay.port}`, alarm_mail: 'off' } } });
  const { world } = stack;
  await Promise.all(SERVICES.map((s) => stack.startService(s)));
  const smtp = await Smtp.connect(world.ports.smtp);
  const ids = [];
  for (const name of ['one', 'two']) {
    const reply = await smtp.send({ from: 'taro@example.jp', to: [`${name}@partner.example.com`], content: `From: taro@example.jp\r\nSubject: ${name}\r\n\r\nHello\r\n` });
    assert.equal(reply.code, 250, reply.text);
    ids.push(reply.id);
  }
  smtp.close();
  const sent = () => relay.mails.filter((m) => /^Subject: (one|two)/m.test(m.content.toString('latin1'))).length;
  await waitFor(() => sent() >= 2, { timeout: 180000, what: 'the notices' });
  await stack.settled();
  const open = async () => (await stack.box.state('collaborations')).collaborations.length;
  assert.equal(await open(), 2);

  // The backup.
  const backup = path.join(world.dir, 'backup');
  fs.mkdirSync(backup);
  run('redis-cli', ['-p', String(world.ports.redis), '--rdb', path.join(backup, 'dump.rdb')]);
  run('tar', ['-C', world.spoolDir, '-cf', path.join(backup, 'spool.tar'), 'spool.id', 'manifests']);
  fs.copyFileSync(world.keyFile, path.join(backup, 'spool.key'));

  /** Nothing is left of the old machine but the backup (and the storage, which is elsewhere). */
  async function freshMachine(withRedis) {
    for (const s of stack.running) await s.stop();
    stack.running = [];
    world.services = [];
    await world.redis.stop();
    fs.rmSync(world.spoolDir, { recursive: true });
    fs.rmSync(path.join(world.dir, 'policy'), { recursive: true, force: true });
    fs.rmSync(path.join(world.dir, 'appendonlydir'), { recursive: true, force: true });
    fs.rmSync(path.join(world.dir, 'dump.rdb'), { force: true });
    fs.mkdirSync(world.spoolDir, { mode: 0o700 });
    run('tar', ['-C', world.spoolDir, '-xpf', path.join(backup, 'spool.tar')]);
    if (withRedis) fs.copyFileSync(path.join(backup, 'dump.rdb'), path.join(world.dir, 'dump.rdb'));
    await world.redis.start();
  }

  await freshMachine(true);
  await Promise.all(SERVICES.map((s) => stack.startService(s)));
  assert.equal((await stack.ctl('policy', 'show')).status, 0);
  assert.equal((await stack.messages()).length, 2);
  let recall = await stack.ctl('message', 'recall', ids[0]);
  assert.equal(recall.status, 0, recall.stdout + recall.stderr);
  await waitFor(async () => await open() === 1, { timeout: 90000, what: 'the first recall' });
  await stack.settled();

  await freshMachine(false);
  await stack.apply({});
  await Promise.all(SERVICES.map((s) => stack.startService(s)));
  const rebuilt = await stack.ctl('ledger', 'rebuild');
  assert.equal(rebuilt.status, 0, rebuilt.stdout + rebuilt.stderr);
  recall = await stack.ctl('message', 'recall', ids[1]);
  assert.equal(recall.status, 0, recall.stdout + recall.stderr);
  await waitFor(async () => await open() === 0, { timeout: 90000, what: 'the second recall' });
  assert.equal(sent(), 2, 'no mail went out twice');
});
