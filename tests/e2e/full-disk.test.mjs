// SPDX-License-Identifier: Apache-2.0
//
// A full disk costs no mail: ingest answers 452, the MTA keeps what was refused and brings it again when there is room.

import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { spawnSync } from 'node:child_process';
import { hasPostfix } from '../support/postfix.mjs';
import { waitFor } from '../support/harness.mjs';
import { Stack, everythingIn } from './stack.mjs';
import { japaneseMail, SECRET_EN } from './mails.mjs';

const canMount = () => {
  const dir = fs.mkdtempSync('/tmp/fumibako-mount-');
  const ok = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', dir]).status === 0;
  if (ok) spawnSync('umount', [dir]);
  fs.rmdirSync(dir);
  return ok;
};
const skip = !hasPostfix() ? 'needs root and Postfix' : canMount() ? false : 'no tmpfs can be mounted here';

test('with the disk full the MTA keeps the mail; with room again everything is delivered', { skip, timeout: 600000 },
  async (t) => {
    const stack = await Stack.start(t, { services: [], box: { users: 20 } });
    const spool = stack.world.spoolDir;
    fs.mkdirSync(spool, { recursive: true });
    assert.equal(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=160m,mode=700', 'tmpfs', spool]).status, 0);
    stack.world.atEnd(() => spawnSync('umount', ['-l', spool]));
    await stack.startService('ingest'); // nobody takes mail out of the spool yet
    const count = 60;
    for (let i = 0; i < count; i++) {
      const to = `r${i}@partner.example.com`;
      await stack.submit(japaneseMail({ to, size: 3e6 }).content, { to: [to] });
    }
    await waitFor(() => /said: 45[12] 4\.3\.1/.test(stack.postfix.log()), { timeout: 120000, what: 'ingest to say that the disk is full' });
    await waitFor(async () => (await stack.world.redis.command('XLEN', 'fb:{s0}:render')) > 0, { what: 'some mail to be taken' });
    assert.ok(stack.postfix.queued() > 0, 'the MTA keeps what was refused');
    for (const service of ['render', 'upload', 'rewrite']) await stack.startService(service);
    await waitFor(() => stack.postfix.reached() >= count,
      { timeout: 240000, interval: 500, what: 'everything to be delivered' });
    for (let i = 0; i < count; i++) {
      const mails = stack.postfix.delivered(`r${i}@partner.example.com`);
      assert.equal(mails.length, 1, `mail ${i} once`);
      assert.ok(!everythingIn(mails[0].raw).includes(SECRET_EN), 'and not its content');
    }
  });
