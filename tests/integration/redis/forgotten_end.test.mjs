// SPDX-License-Identifier: Apache-2.0
//
// A fail-over that forgets the end of a message, or the whole of it, costs the ledger nothing: the mail is still in the
// spool, goes through once more, is not sent again, and can be recalled.

import test from 'node:test';
import assert from 'node:assert/strict';
import { Smtp, waitFor } from '../../support/harness.mjs';
import { Relay } from '../../support/relay.mjs';
import { Stack } from '../../e2e/stack.mjs';
import { plainMail } from '../../e2e/mails.mjs';
import { Sentinels } from './kit.mjs';

const RULES = [{ name: 'plain', when: { to: ['@plain.example'] }, action: 'pass' },
  { name: 'secure', action: 'secure', storage: 'box', security: 'recipients only', receipt: false }];

test('a message whose end, and one whose all, a fail-over forgot is in the ledger again, was sent once, and can be recalled',
  { timeout: 600000 }, async (t) => {
    const relay = await Relay.start();
    t.after(() => relay.stop());
    // A replica that was cut off for more than ten times downAfter is none that sentinels choose: longer than both waits below.
    const stack = await Stack.start(t, { postfix: false, box: { users: 4 }, policy: { rules: RULES },
      redis: (dir) => Sentinels.start(dir, { downAfter: 15000 }),
      overrides: { ingest: { sweep_after: '5s' }, rewrite: { relay: `smtp://127.0.0.1:${relay.port}` } } });
    const { redis } = stack.world;
    const smtp = await Smtp.connect(stack.world.ports.smtp, { timeout: 60000 });
    const send = async (i) => {
      const to = [`r${i}@partner.example.com`, `r${i}@plain.example`];
      const reply = await smtp.send({ from: 'taro@example.jp', to, content: plainMail({ token: `t${i}x`, to: to.join(', ') }) });
      assert.equal(reply?.code, 250, reply?.text);
    };
    const arrived = (n) => waitFor(() => relay.mails.length >= n, { timeout: 60000, what: `${n} mails` });

    const primary = await redis.primary();
    const replicas = redis.nodes.filter((n) => n !== primary);
    // The first message is planned when the replicas hear of it for the last time; rewrite has not got it yet.
    relay.options.slow = { END: 1500 };
    await send(0);
    await waitFor(async () => /sending/.test(String(await primary.command('HGETALL', `fb:{s0}:m:${(await stack.messages())[0]?.id}`))),
      { what: 'the first message to be under way' });
    // A process that is stopped would still find what lies in its socket: the replicas must lose their primary for good.
    for (const n of replicas) await n.command('CONFIG', 'SET', 'masterauth', 'wrong');
    await primary.command('CLIENT', 'KILL', 'TYPE', 'replica');
    await waitFor(async () => (await primary.command('ROLE'))[2].length === 0, { what: 'the replicas to be cut off' });
    relay.options.slow = {};
    await send(1); // of this one they hear nothing
    await arrived(4);
    await waitFor(async () => (await primary.command('ZCARD', 'fb:{s0}:open')) === 0, { what: 'both to end' });
    await primary.stop('SIGKILL');
    for (const n of replicas) await n.command('CONFIG', 'SET', 'masterauth', '');
    await redis.failedOver(primary);

    const messages = await waitFor(async () => {
      const all = await stack.messages();
      return all.length === 2 && all.every((m) => m.state === 'done') && all;
    }, { timeout: 120000, interval: 500, what: 'the ledger to know both, ended' });
    for (const m of messages) {
      assert.deepEqual(m.recipients.map((r) => [r.address.split('@')[1], r.state, r.grant]).sort(), [['partner.example.com', 'sent', 'active'], ['plain.example', 'sent', '']]);
    }
    assert.equal(relay.mails.length, 4, 'nothing went out twice');
    assert.equal((await stack.box.state('folders')).folders.filter((f) => /^m-/.test(f.name)).length, 2, 'no second folder');
    const recall = async (m) => {
      const r = await stack.ctl('message', 'recall', m.id, '--json');
      assert.equal(r.status, 0, r.stderr);
      return r.json();
    };
    await waitFor(async () => (await (await redis.primary()).command('ROLE'))[2].length === 1,
      { what: 'the other replica to follow the new primary' });
    await waitFor(async () => (await recall(messages[0])).unsure === false, { what: 'a replica to confirm a recall', interval: 500 });
    // A primary without any replica may have been replaced: whoever recalls is told that it is not sure.
    const now = await redis.primary();
    for (const n of redis.nodes.filter((x) => x !== now && x.isRunning)) await n.stop('SIGKILL');
    await waitFor(async () => (await now.command('ROLE'))[2].length === 0, { what: 'the primary to be alone' });
    assert.equal((await recall(messages[1])).unsure, true);
    await waitFor(async () => (await stack.box.state('collaborations')).collaborations.length === 0, { what: 'the recalls' });
    await waitFor(async () => (await stack.ctl('spool', 'list', '--json')).json().count === 0,
      { timeout: 60000, interval: 1000, what: 'the spool to be empty in the end' });
  });

test('all data deleted right behind a recall: whoever has the notice is not said to have been stopped', { timeout: 300000 }, async (t) => {
  const relay = await Relay.start();
  t.after(() => relay.stop());
  const stack = await Stack.start(t, { postfix: false, box: { users: 4 }, policy: { rules: RULES }, redis: (dir) => Sentinels.start(dir),
    overrides: { ingest: { sweep_after: '5s' }, rewrite: { relay: `smtp://127.0.0.1:${relay.port}` } } });
  const smtp = await Smtp.connect(stack.world.ports.smtp, { timeout: 60000 });
  const reply = await smtp.send({ from: 'taro@example.jp', to: ['r@partner.example.com'], content: plainMail({ token: 'tx', to: 'r@partner.example.com' }) });
  assert.equal(reply?.code, 250, reply?.text);
  const done = () => waitFor(async () => { const [m] = await stack.messages(); return m?.state === 'done' && m; }, { timeout: 60000, interval: 250, what: 'the end' });
  const { id } = await done();
  assert.equal((await stack.ctl('message', 'recall', id)).status, 0);
  await waitFor(async () => (await done()).recipients[0].grant === 'recalled', { what: 'the recall' });
  await stack.world.redis.command('FLUSHALL');
  const again = await done();
  assert.deepEqual([again.id, again.recipients[0].state], [id, 'sent']);
  assert.equal(relay.mails.filter((m) => m.from !== '').length, 1, 'it went out once');
  await waitFor(async () => (await stack.box.state('collaborations')).collaborations.length === 0, { what: 'nobody to be able to open it' });
});
