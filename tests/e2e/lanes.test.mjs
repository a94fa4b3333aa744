// SPDX-License-Identifier: Apache-2.0
//
// One sender's flood and everybody else's mail, through real services: nobody waits behind the flood, and the flood comes
// through, whatever happens to the workers on the way.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Relay } from '../support/relay.mjs';
import { Smtp, request, waitFor } from '../support/harness.mjs';
import { Stack } from './stack.mjs';

const FLOOD = 400;
const BURST = 20;
const PASS = { rules: [{ name: 'pass everything', action: 'pass' }] };

async function handIn(stack, from, count, tag) {
  const smtp = await Smtp.connect(stack.world.ports.smtp, { timeout: 60000 });
  for (let i = 0; i < count; i++) {
    const reply = await smtp.send({ from, to: [`${tag}${i}@partner.example.com`],
      content: `From: ${from}\r\nSubject: ${tag}${i}\r\n\r\nHello\r\n` });
    assert.equal(reply.code, 250, reply.text);
  }
  smtp.close();
}

const subjects = (relay) => relay.mails.map((m) => /^Subject: (\S+)/m.exec(m.content.toString('latin1'))?.[1]);
const countOf = (list, tag) => list.filter((s) => s.startsWith(tag)).length;
const depth = async (stack, key) => Number(await stack.world.redis.command('XLEN', `fb:{s0}:${key}`));

test('a sender\'s flood delays nobody, and comes through with kill -9, refusals and a drain on the way', async (t) => {
  const refused = new Set();
  let goOn;
  const isSeen = new Promise((resolve) => { goOn = () => resolve(null); });
  const relay = await Relay.start({ rcpt: (address) => { // each tenth is refused once: a retry
    if (!/^flood\d*0@/.test(address) || refused.has(address)) return null;
    refused.add(address);
    return '451 4.3.0 not now';
  }, end: () => (relay.mails.length >= 60 && subjects(relay).includes('one0') ? isSeen : null) }); // the flood is not over before it was looked at
  t.after(() => relay.stop());
  const stack = await Stack.start(t, { postfix: false, policy: PASS, services: ['ingest'],
    overrides: { queue: { sender_burst: BURST, sender_rate: 1 }, rewrite: { relay: `smtp://127.0.0.1:${relay.port}`, concurrency: 2 },
      render: { concurrency: 2 } } });

  const begun = Date.now();
  await handIn(stack, 'Flood@example.jp', FLOOD, 'flood');
  await handIn(stack, 'taro@example.jp', 1, 'one');
  await waitFor(async () => await depth(stack, 'render') + await depth(stack, 'render:bulk') === FLOOD + 1, { what: 'all jobs' });
  // Some of the flood found room again at the rate: one a minute.
  const normal = await depth(stack, 'render');
  const again = Math.ceil((Date.now() - begun) / 60000);
  assert.ok(normal >= BURST + 1 && normal <= BURST + 1 + again, `${normal} jobs in the normal lane`);
  const shown = (await stack.ctl('queue', '--json')).json();
  const { render } = shown;
  assert.equal(render.waiting, FLOOD + 1);
  assert.equal(render.bulk, FLOOD + 1 - normal);
  assert.match((await stack.ctl('queue')).stdout, /bulk/);

  await stack.startService('rewrite');
  await stack.startService('render');
  await waitFor(() => subjects(relay).includes('one0'), { timeout: 180000, what: 'the one mail' });
  const before = subjects(relay).indexOf('one0');
  assert.ok(before <= 2 * BURST + 20, `${before} mails went before it`);
  t.diagnostic(`mails before the one that came behind ${FLOOD}: ${before}`);
  const metrics = (await request(`http://127.0.0.1:${stack.world.ports.metrics_render}/metrics`)).body.toString();
  assert.match(metrics, /^fumibako_queue_bulk_depth\{stage="render"\} \d/m); // how many are left there is a matter of time

  // Both stages die with jobs of the flood in hand; what they held is claimed by the next ones, in its lane.
  await waitFor(() => relay.mails.length >= 60, { timeout: 180000, what: 'the flood to be under way' });
  await waitFor(async () => (await stack.by.rewrite.metric('fumibako_queue_bulk_depth', 'stage="rewrite"')) > 0,
    { timeout: 180000, what: 'the depth of the bulk lane' });
  await stack.by.render.kill();
  goOn();
  await stack.by.rewrite.stop(); // a drain: hands back what it did not begin
  assert.equal((await stack.by.rewrite.exited).code, 0);
  assert.equal(await stack.world.redis.command('XLEN', 'fb:{s0}:rewrite') > normal, false, 'nothing changed its lane');
  for (const stage of ['render', 'rewrite']) await stack.world.redis.abandon(`${stage}:bulk`);
  await stack.startService('rewrite');
  await stack.startService('render');

  // Others go on sending; the flood is delivered all the same.
  for (let i = 0; i < 5; i++) await handIn(stack, `other${i}@example.jp`, 15, `other${i}-`);
  await waitFor(async () => {
    for (const key of ['delayed:rewrite', 'delayed:rewrite:bulk']) { // the next try of the refused ones, now
      for (const member of await stack.world.redis.command('ZRANGE', `fb:{s0}:${key}`, 0, -1)) {
        await stack.world.redis.command('ZADD', `fb:{s0}:${key}`, 'XX', 1, member);
      }
    }
    return new Set(subjects(relay)).size === FLOOD + 1 + 75;
  }, { timeout: 400000, interval: 500, what: 'everything to be delivered' });
  assert.ok(refused.size >= FLOOD / 10);
  await stack.settled();
  const all = subjects(relay);
  assert.equal(countOf(all, 'flood'), FLOOD, 'each once');
  assert.equal(all.length, FLOOD + 1 + 75);
  for (const key of ['render', 'rewrite', 'render:bulk', 'rewrite:bulk']) assert.equal(await depth(stack, key), 0, key);
});
