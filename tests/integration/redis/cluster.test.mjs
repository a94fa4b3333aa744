// SPDX-License-Identifier: Apache-2.0
//
// The pipeline on a cluster (flow.mjs).
import { test } from 'node:test';
import { sleep } from '../../support/harness.mjs';
import { Flow, options } from './flow.mjs';
import { Cluster, slotOf } from './kit.mjs';

async function kill(group) {
  const old = await group.primary('fb:{s0}');
  old.signal('SIGKILL');
  const begun = Date.now();
  await group.failedOver('fb:{s0}', old);
  await old.start();
  return `, ${Date.now() - begun} ms until the next one had its slots`;
}

test('Cluster: whatever happens to a primary or its slots, every mail arrives, once, and no recall is forgotten', options, async (t) => {
  const flow = await Flow.start(t, (dir) => Cluster.start(dir), 6);
  await flow.through('Cluster, primary killed', kill);
  await flow.group.recover();
  await flow.through('Cluster, primary stopped (SIGSTOP) until it had been replaced', async (group) => {
    const old = await group.primary('fb:{s1}');
    old.signal('SIGSTOP');
    await group.failedOver('fb:{s1}', old);
    await sleep(2000);
    old.signal('SIGCONT');
  });
  await flow.group.recover();
  await flow.through('Cluster, slots moved', async (group) => {
    let keys = 0;
    for (let i = 0; i < 4; i++) {
      const from = await group.primary(`fb:{s${i}}`);
      const to = (await group.primaries()).find((n) => n !== from);
      keys += await group.moveSlot(slotOf(`fb:{s${i}}`), from, to, 5);
    }
    return `, 4 shards of ${keys} keys`;
  });
  await flow.arrived();
  await flow.group.recover();
  await flow.recalled(kill);
});
