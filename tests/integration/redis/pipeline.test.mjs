// SPDX-License-Identifier: Apache-2.0
//
// The whole pipeline on Sentinel and on a cluster, with mail flowing while primaries are killed, stopped and their slots
// moved: every mail arrives, and once.  FB_REDIS_MAILS sets how many (200).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Stack, splitMail } from '../../e2e/stack.mjs';
import { plainMail } from '../../e2e/mails.mjs';
import { Smtp, sleep } from '../../support/harness.mjs';
import { hasPostfix } from '../../support/postfix.mjs';
import { Cluster, Sentinels, slotOf } from './kit.mjs';

const MAILS = Number(process.env.FB_REDIS_MAILS ?? 200);
const SAFE = ['--min-replicas-to-write', '1', '--min-replicas-max-lag', '5'];
const options = { skip: hasPostfix() ? false : 'needs root and Postfix', timeout: 8 * 60000 };

/** Hands mails to Postfix evenly over `seconds`. */
async function sendAll(stack, seconds) {
  const smtp = await Smtp.connect(stack.postfix.port, { timeout: 60000 });
  for (let i = 0; i < MAILS; i++) {
    const to = `r${i}@partner.example.com`;
    const reply = await smtp.send({ from: 'taro@example.jp', to: [to], content: plainMail({ token: `t${i}x`, to }) });
    assert.equal(reply?.code, 250, reply?.text);
    await sleep((seconds * 1000) / MAILS);
  }
  smtp.close();
}

/** Arrivals by recipient, and the longest time in which none came. */
class Arrivals {
  constructor(stack) {
    this.stack = stack;
    this.last = Date.now();
    this.pause = 0;
    this.count = 0;
    this.timer = setInterval(() => this.look(), 100);
  }

  look() {
    let count = 0;
    for (let i = 0; i < MAILS; i++) count += this.stack.postfix.delivered(`r${i}@partner.example.com`).length > 0 ? 1 : 0;
    if (count > this.count || count === MAILS) {
      this.pause = Math.max(this.pause, this.count > 0 && count < MAILS ? Date.now() - this.last : 0);
      this.last = Date.now();
    }
    this.count = count;
  }

  end() { clearInterval(this.timer); }
}

async function run(t, make, shards, trouble) {
  let group;
  const stack = await Stack.start(t, {
    redis: async (dir) => { group = await make(dir); return group; },
    box: { users: 40 }, overrides: { redis: { shards }, ingest: { sweep_after: '5s' } }, workers: { rewrite: 2 },
  });
  const arrivals = new Arrivals(stack);
  t.after(() => arrivals.end());
  const sending = sendAll(stack, 20);
  await sleep(3000);
  const what = await trouble(group);
  await sending;
  const sent = Date.now();
  await stack.settled({ timeout: 180000 });
  arrivals.end();
  let copies = 0;
  for (let i = 0; i < MAILS; i++) {
    const mails = stack.postfix.delivered(`r${i}@partner.example.com`);
    assert.ok(mails.length > 0, `mail ${i} is lost`);
    copies += mails.length - 1;
    for (const m of mails) assert.match(splitMail(m.raw).body + m.raw.toString('latin1'), /https?:\/\//);
  }
  const folders = (await stack.box.state()).folders.filter((f) => /^m-/.test(f.name));
  t.diagnostic(`${what}: ${MAILS} mails, 0 lost, ${copies} copies, ${folders.length} parcels; longest time without an ` +
    `arrival ${arrivals.pause} ms, at rest ${Date.now() - sent} ms after the last mail`);
  assert.equal(copies, 0, 'a recipient got a mail twice');
  assert.equal(folders.length, MAILS);
  return { stack, group };
}

test('Sentinel: the primary is killed under load', options, async (t) => {
  await run(t, (dir) => Sentinels.start(dir, { args: SAFE }), 2, async (group) => {
    const old = await group.primary();
    old.signal('SIGKILL');
    const begun = Date.now();
    await group.failedOver(old);
    await old.start(); // comes back as a replica
    return `Sentinel, primary killed, ${Date.now() - begun} ms until the next one was named`;
  });
});

test('Sentinel: the primary hangs (SIGSTOP) and comes back', options, async (t) => {
  await run(t, (dir) => Sentinels.start(dir, { args: SAFE }), 2, async (group) => {
    const old = await group.primary();
    old.signal('SIGSTOP');
    await group.failedOver(old);
    await sleep(4000);
    old.signal('SIGCONT');
    return 'Sentinel, primary stopped';
  });
});

test('Sentinel: an operator fails over, twice; Redis forgets about a second of writes, and no mail is lost', options, async (t) => {
  await run(t, (dir) => Sentinels.start(dir), 2, async (group) => { // without min-replicas-to-write: the worst case
    for (let i = 0; i < 2; i++) {
      const old = await group.primary();
      await group.sentinels[0].command('SENTINEL', 'FAILOVER', group.name);
      await group.failedOver(old);
      await sleep(11000);
    }
    return 'Sentinel, told to fail over twice';
  });
});

test('Cluster: a primary is killed under load', options, async (t) => {
  await run(t, (dir) => Cluster.start(dir), 6, async (group) => {
    const old = await group.primary('fb:{s0}');
    old.signal('SIGKILL');
    const begun = Date.now();
    await group.failedOver('fb:{s0}', old);
    await old.start();
    return `Cluster, primary killed, ${Date.now() - begun} ms until the next one had its slots`;
  });
});

test('Cluster: a primary hangs (SIGSTOP) and comes back; then slots move', options, async (t) => {
  await run(t, (dir) => Cluster.start(dir), 6, async (group) => {
    const old = await group.primary('fb:{s1}');
    old.signal('SIGSTOP');
    await group.failedOver('fb:{s1}', old);
    await sleep(2000);
    old.signal('SIGCONT');
    await group.healthy();
    let keys = 0;
    for (let i = 0; i < 4; i++) {
      const from = await group.primary(`fb:{s${i}}`);
      const to = (await group.primaries()).find((n) => n !== from);
      keys += await group.moveSlot(slotOf(`fb:{s${i}}`), from, to, 5);
    }
    return `Cluster, primary stopped, then 4 shards of ${keys} keys moved`;
  });
});
