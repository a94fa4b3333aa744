// SPDX-License-Identifier: Apache-2.0
//
// Recall against a mail that is being sent: as long as it is certain that nothing went out to a recipient, a recall stops
// it for good; where nobody knows, the ledger goes on saying that it may be out.

import assert from 'node:assert/strict';
import test from 'node:test';

import { Relay, Stage, secured, untouched, waitFor } from './kit.mjs';

const addresses = (mail) => mail.rcpts.map((r) => r.address).sort();
const claims = async (stage, id) => {
  const ledger = await stage.ledger(id);
  return Object.fromEntries(Object.entries(ledger).filter(([k]) => k.startsWith('s:')));
};
const putOff = (stage) => stage.world.redis.putOff('rewrite');
const recall = (stage, id, ...fields) =>
  stage.world.redis.command('HSET', `fb:{s0}:m:${id}`, ...fields.flatMap((f) => [f, '1']));

const SOFT = {
  'MAIL is answered 451': { mail: () => '451 4.3.0 later' },
  'each RCPT is answered 451': { rcpt: () => '451 4.3.0 later' },
  'DATA is answered 451': { data: () => '451 4.3.0 later' },
  'the end of the mail is answered 451': { end: () => '451 4.3.0 later' },
  'the greeting is 421': { greeting: () => '421 4.3.2 busy' },
  'the connection is lost at RCPT': { rcpt: () => 'DROP' },
  'the connection is lost at DATA': { data: () => 'DROP' },
};
for (const [what, relay] of Object.entries(SOFT)) {
  test(`${what}: a recall now stops the mail, for one or for all`, async (t) => {
    const stage = await Stage.create(t, { relay });
    const id = await stage.seed(secured());
    await putOff(stage);
    assert.deepEqual(await claims(stage, id), {}, 'nobody counts as sent');
    await recall(stage, id, 'x:1');
    stage.relay.options = {};
    await stage.hurry();
    assert.equal(await stage.finished(id), 'sent');
    assert.deepEqual(stage.relay.mails.map(addresses), [['b@example.com'], ['d@example.com']]);

    stage.relay.options = relay;
    for (const socket of stage.relay.sockets) socket.destroy(); // a connection that was kept has had its greeting
    const whole = await stage.seed(secured());
    await putOff(stage);
    await recall(stage, whole, 'recalled');
    stage.relay.options = {};
    await stage.hurry();
    assert.equal(await stage.finished(whole), 'recalled');
    assert.equal(stage.relay.mails.length, 2);
    const left = Object.values(await claims(stage, whole));
    assert.ok(left.length > 0 && left.every((state) => state === 'recalled'), JSON.stringify(left));
  });
}

test('no relay at all: a recall stops the mail', async (t) => {
  const stage = await Stage.create(t);
  await stage.relay.stop();
  const id = await stage.seed(untouched());
  await putOff(stage);
  assert.deepEqual(await claims(stage, id), {});
  await recall(stage, id, 'recalled');
  const relay = await Relay.start({}, stage.world.ports.relay);
  t.after(() => relay.stop());
  await stage.hurry();
  assert.equal(await stage.finished(id), 'recalled');
  assert.equal(relay.mails.length, 0);
});

test('a connection lost in the middle of the content: nothing went out', async (t) => {
  const stage = await Stage.create(t, { relay: { stall: true } });
  const id = await stage.seed(untouched({ content: `Subject: x\r\n\r\n${`${'y'.repeat(70)}\r\n`.repeat(200000)}` }));
  await waitFor(() => stage.relay.commands.includes('DATA'), { what: 'DATA' });
  await new Promise((resolve) => setTimeout(resolve, 500));
  for (const socket of stage.relay.sockets) socket.destroy();
  await putOff(stage);
  assert.deepEqual(await claims(stage, id), {});
});

test('the answer to the whole mail is lost: it counts as out, and a recall keeps it from going a second time', async (t) => {
  const stage = await Stage.create(t, { relay: { end: 'DROP', rcpt: (a) => (a[0] === 'c' ? '450 4.2.0 later' : null) } });
  const id = await stage.seed(untouched());
  await putOff(stage);
  assert.equal(stage.relay.mails.length, 1);
  assert.deepEqual(await claims(stage, id), { 's:0': 'sending' }, 'c was refused before: it has nothing for certain');
  await recall(stage, id, 'recalled');
  stage.relay.options = {};
  await stage.hurry();
  assert.equal(await stage.finished(id), 'recalled');
  assert.equal(stage.relay.mails.length, 1);
  assert.deepEqual(await claims(stage, id), { 's:0': 'sending', 's:1': 'recalled' });
});

test('what may be out stays so, though a later try is refused for certain', async (t) => {
  const stage = await Stage.create(t, { relay: { end: 'DROP' } });
  const id = await stage.seed(untouched());
  await putOff(stage);
  assert.deepEqual(await claims(stage, id), { 's:0': 'sending', 's:1': 'sending' });
  stage.relay.options = { rcpt: () => '451 4.3.0 later' };
  const before = stage.relay.commands.length;
  await stage.hurry();
  await waitFor(() => stage.relay.commands.length > before, { what: 'the second try' });
  await putOff(stage);
  assert.deepEqual(await claims(stage, id), { 's:0': 'sending', 's:1': 'sending' });
});

test('one put off, one taken: only the one that waits is stopped', async (t) => {
  const stage = await Stage.create(t, { relay: { rcpt: (a) => (a[0] === 'c' ? '450 4.2.0 later' : null) } });
  const id = await stage.seed(secured());
  await putOff(stage);
  assert.deepEqual(await claims(stage, id), { 's:0': 'sending', 's:2': 'sending' });
  await recall(stage, id, 'recalled');
  stage.relay.options = {};
  await stage.hurry();
  assert.equal(await stage.finished(id), 'sent');
  assert.deepEqual(stage.relay.mails.map(addresses), [['b@example.com'], ['d@example.com']]);
});

test('a held mail is not out', async (t) => {
  const stage = await Stage.create(t);
  const id = await stage.seed(untouched({ content: 'Subject: x\r\n\r\na bare\nline feed\r\n' }));
  await waitFor(async () => (await stage.dead()) === 1, { what: 'a dead letter' });
  assert.deepEqual(await claims(stage, id), {});
  assert.match((await stage.ledger(id))['h:0'], /^invalid\|/);
});

test('a password that was put off does not follow a recall', async (t) => {
  const isPassword = (mail) => mail.rcpts.length === 1 && stage.relay.mails.some((m) => m.rcpts.some((r) => r.address === mail.rcpts[0].address));
  const stage = await Stage.create(t, { relay: { data: (mail) => (isPassword(mail) ? '451 4.3.0 later' : null) } });
  const id = await stage.seed(secured({ parcel: { access: 'anyone', password: 'Kq7-mZ2' } }));
  await putOff(stage);
  assert.equal(stage.relay.mails.length, 2);
  assert.deepEqual(Object.values(await claims(stage, id)), ['sending', 'sending', 'sending'], 'their notices are out');
  await recall(stage, id, 'recalled');
  stage.relay.options = {};
  await stage.hurry();
  assert.equal(await stage.finished(id), 'sent');
  assert.ok(!stage.relay.mails.some((m) => m.content.includes('Kq7-mZ2')));
});

test('a recall that only the sent journal knows, because a fail-over of Redis took it, keeps the mail back', async (t) => {
  const stage = await Stage.create(t);
  const id = await stage.seed(secured({ top: { recalled: [1] } }));
  assert.equal(await stage.finished(id), 'sent');
  assert.deepEqual(stage.relay.mails.map(addresses), [['b@example.com'], ['d@example.com']]);
  assert.deepEqual(await claims(stage, id), { 's:0': 'sending', 's:1': 'recalled', 's:2': 'sending' });
  const ledger = await stage.ledger(id);
  assert.ok(ledger['x:1'] && !ledger['x:0'] && !ledger['x:2'] && !ledger.recalled, 'Redis knows it again');
  // Its parcel may be open to them: the revoke job was lost with the recall.
  assert.equal(await stage.world.redis.command('XLEN', 'fb:{s0}:revoke'), 1);

  const whole = await stage.seed(untouched({ top: { recalled: [0, 1] } }));
  assert.equal(await stage.finished(whole), 'recalled');
  const unmade = await stage.seed({ ...secured({ top: { recalled: [0, 1, 2] } }), parcels: {} });
  assert.equal(await stage.finished(unmade), 'recalled', 'no parcel is made for nobody');
  assert.equal(stage.relay.mails.length, 2);
});

test('a lost parcel sends the mail back, and until it is made again nobody counts as sent', async (t) => {
  const stage = await Stage.create(t);
  const id = await stage.seed({ ...secured(), parcels: {} });
  await waitFor(async () => (await stage.ledger(id))['n:0'] === '1', { what: 'the restart' });
  assert.deepEqual(await claims(stage, id), {});
  assert.equal(stage.relay.mails.length, 0);
});

test('whom the relay refuses shows as refused beside those who were sent, unless an earlier try may be out', async (t) => {
  const stage = await Stage.create(t, { relay: { rcpt: (a) => (a[0] === 'c' ? '550 5.1.1 unknown' : null) } });
  const id = await stage.seed(secured());
  assert.equal(await stage.finished(id), 'sent');
  assert.deepEqual(await claims(stage, id), { 's:0': 'sending', 's:1': 'refused', 's:2': 'sending' });

  stage.relay.options = { end: 'DROP' };
  const unknown = await stage.seed(secured());
  await putOff(stage);
  stage.relay.options = { rcpt: (a) => (a[0] === 'c' ? '550 5.1.1 unknown' : null) };
  await stage.hurry();
  assert.equal(await stage.finished(unknown), 'sent');
  assert.equal((await claims(stage, unknown))['s:1'], 'sending', 'the first try may have reached it');
});
