// SPDX-License-Identifier: Apache-2.0
// Delivery reports about mail that is late (RFC 3461, 3464), and mails about alarms to the postmaster.

import assert from 'node:assert/strict';
import test from 'node:test';
import { Relay, Stage, deliveryStatus, secured, untouched, waitFor } from './kit.mjs';

const text = (m) => m.content.toString();
const decoded = (m) => Buffer.from(/base64\r\n\r\n([A-Za-z0-9+/=\r\n]+)/.exec(text(m))?.[1] ?? '', 'base64').toString() || text(m);
const reports = (stage) => stage.relay.mails.filter((m) => /report-type=delivery-status/.test(text(m)));

test('a mail that is put off too long: its sender is told once, about those who want it told', async (t) => {
  let isAway = true;
  const relay = { rcpt: (to) => (isAway && to !== 'a@example.jp' ? '450 4.2.0 later' : null) };
  const stage = await Stage.create(t, { relay, config: { rewrite: { delay_warning: '1h', lifetime: '1d' } } });
  const envelope = { ret: 'FULL', envid: 'QQ+2B1', to: [{ address: 'b@example.com' }, { address: 'c@example.com', notify: 'FAILURE' },
    { address: 'd@example.com', notify: 'DELAY,FAILURE', orcpt: 'rfc822;d@old.example' }, { address: 'e@example.com', notify: 'NEVER' }] };
  const plan = { branches: [{ kind: 0, to: [0, 1, 2, 3] }] };
  const young = await stage.seed(untouched({ envelope, plan }));
  await waitFor(async () => (await stage.ledger(young))['e:rewrite:0'], { what: 'the young one to be put off' });
  assert.equal(stage.relay.mails.length, 0, 'nobody is told of a short delay');

  const late = await stage.seed(untouched({ envelope, plan, top: { age_ms: 2 * 3600 * 1000 } }));
  const report = await waitFor(() => reports(stage)[0], { what: 'the report' });
  assert.deepEqual([report.from, report.rcpts?.map((r) => r.address ?? r)], ['', ['a@example.jp']]);
  assert.match(text(report), /^Subject: Delayed mail\r$/m);
  assert.match(text(report), /^Auto-Submitted: auto-replied\r$/m);
  assert.match(text(report), /has not been delivered to these recipients yet/);
  assert.match(text(report), /you need not send the mail again/);
  assert.doesNotMatch(text(report), /^body\r$/m, 'only the header goes with it, though RET was FULL');
  assert.match(text(report), /Content-Type: text\/rfc822-headers/);
  const [of, ...each] = deliveryStatus(report);
  assert.equal(of['original-envelope-id'], 'QQ+1');
  assert.deepEqual(each.map((g) => [g['final-recipient'], g.action, g.status]), [
    ['rfc822; b@example.com', 'delayed', '4.4.1'], ['rfc822; d@example.com', 'delayed', '4.4.1']]);
  assert.equal(each[1]['original-recipient'], 'rfc822; d@old.example');
  assert.ok(Date.parse(each[0]['will-retry-until']) > Date.now());
  await waitFor(async () => (await stage.ledger(late))['dl:0'] === '2', { what: 'the ledger to know it' });

  await stage.hurry();
  await waitFor(async () => /^[2-9]\|/.test((await stage.ledger(late))['e:rewrite:0']), { what: 'a second delay' });
  isAway = false;
  await waitFor(async () => { await stage.hurry(); return (await stage.ledger(late))['d:rewrite:0']; }, { what: 'the mail to go', interval: 300 });
  assert.equal(reports(stage).length, 1, 'once');
  await waitFor(async () => (await stage.service.metric('fumibako_letters_total', 'letter="delayed",outcome="sent"')) === 1,
    { what: 'the count' });
});

test('a late mail of the null sender, and one that went out meanwhile: nobody is told', async (t) => {
  let isAway = true;
  const stage = await Stage.create(t, { relay: { rcpt: () => (isAway ? '450 4.2.0 later' : null) },
    config: { rewrite: { delay_warning: '1h' } } });
  const bounce = await stage.seed(untouched({ envelope: { from: '' }, top: { age_ms: 2 * 3600 * 1000 } }));
  const gone = await stage.seed(secured({ top: { age_ms: 2 * 3600 * 1000 } }));
  for (const id of [bounce, gone]) {
    await waitFor(async () => (await stage.ledger(id))['dl:0'], { what: 'the delay' });
  }
  isAway = false;
  for (const id of [bounce, gone]) {
    await waitFor(async () => { await stage.hurry(); return (await stage.ledger(id))['d:rewrite:0']; }, { what: 'the end', interval: 300 });
  }
  await waitFor(async () => { await stage.hurry(); return (await stage.world.redis.left('rewrite')) === 0; }, { what: 'the letters to end', interval: 300 });
  assert.ok(reports(stage).length <= 1, 'at most one that was on its way while the second was late');
  assert.equal(await stage.service.metric('fumibako_letters_total', 'letter="held",outcome="failed"'), 0);
});

test('alarms: metric, log line, and one mail an hour to the postmaster, in Japanese and English', async (t) => {
  const stage = await Stage.create(t, { starts: false, config: { rewrite: { alarm_mail: 'on' } } });
  const alarms = () => stage.relay.mails.filter((m) => /^Message-ID: <alarm-/m.test(text(m)));
  const on = (kind) => stage.service.metric('fumibako_alarm', `kind="${kind}"`);
  const hold = async () => {
    const id = await stage.seed(untouched());
    await stage.world.redis.command('HSET', `fb:{s0}:m:${id}`, 'f:0', 'later'); // what no version knows
  };
  await hold();
  await stage.start();
  await waitFor(async () => (await on('held')) === 1, { what: 'the metric' });
  await waitFor(() => stage.service.log.some((l) => l.level === 'error' && l.alarm === 'held' && l.cause === 'rewrite'), { what: 'a line in the log' });
  const mail = await waitFor(() => alarms()[0], { what: 'the mail' });
  assert.equal(mail.from, '');
  assert.match(text(mail), /^To: <postmaster@example\.jp>\r$/m);
  assert.match(text(mail), /^Auto-Submitted: auto-generated\r$/m);
  assert.match(decoded(mail), /処理できなかったメールを保留しています/);
  assert.match(decoded(mail), /Mail that could not be processed is held/);
  assert.match(decoded(mail), /- rewrite: 1 held in stage rewrite/);

  // The relay goes: an alarm of another kind, which ends by itself when it is back.
  const port = stage.relay.port;
  await stage.relay.stop();
  await stage.seed(untouched());
  await waitFor(async () => { await stage.hurry(); return (await on('relay')) === 1; }, { what: 'the relay alarm', interval: 300 });
  const entries = await stage.world.redis.command('HKEYS', 'fb:{s0}:alarm');
  assert.ok(entries.some((e) => e.startsWith('held|rewrite|fumibako-rewrite@')), entries.join());
  stage.relay = await Relay.start({}, port);
  await waitFor(async () => { await stage.hurry(); return (await on('relay')) === 0; }, { what: 'its end', interval: 300 });
  assert.equal(alarms().filter((m) => /alarm-held/.test(text(m))).length, 0, 'once an hour');
  assert.equal(await stage.world.redis.command('EXISTS', 'fb:{s0}:alarm:told:held'), 1);
});
