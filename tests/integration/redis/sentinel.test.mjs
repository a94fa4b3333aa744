// SPDX-License-Identifier: Apache-2.0
//
// The pipeline on Sentinel (flow.mjs).
import { test } from 'node:test';
import { sleep, waitFor } from '../../support/harness.mjs';
import { Flow, options } from './flow.mjs';
import { Sentinels } from './kit.mjs';

async function kill(group) {
  const old = await group.primary();
  old.signal('SIGKILL');
  const begun = Date.now();
  await group.failedOver(old);
  await old.start(); // comes back as a replica
  return `, ${Date.now() - begun} ms until the next one was named`;
}

test('Sentinel: whatever happens to a primary, every mail arrives, once, and no recall is forgotten', options, async (t) => {
  const flow = await Flow.start(t, (dir) => Sentinels.start(dir), 2);
  await flow.group.protect(true);
  await flow.through('Sentinel, primary killed', kill);
  await flow.group.recover();
  await flow.through('Sentinel, primary stopped (SIGSTOP) until it had been replaced', async (group) => {
    const old = await group.primary();
    old.signal('SIGSTOP');
    await group.failedOver(old);
    await sleep(4000);
    await group.look({ isQuick: true });
    old.signal('SIGCONT');
  });
  await flow.group.recover();
  // The worst case: no min-replicas-to-write, and the old primary takes writes until it is demoted, seconds later.  Redis
  // forgets about a second of them, and no mail is lost.
  await flow.group.protect(false);
  await flow.through('Sentinel, told to fail over', async (group) => {
    const old = await group.primary();
    await group.sentinels[0].command('SENTINEL', 'FAILOVER', group.name);
    await group.failedOver(old);
    await waitFor(async () => await old.role() === 'slave', { what: 'the old primary to follow' });
  });
  await flow.arrived();
  await flow.group.recover();
  await flow.recalled(kill);
});
