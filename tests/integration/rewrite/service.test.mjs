// SPDX-License-Identifier: Apache-2.0
//
// What the rewrite service promises: who gets which mail, who is told what, and what happens when things break.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';

import { Relay, Stage, deliveryStatus, parseMail, secured, untouched, waitFor } from './kit.mjs';

const addresses = (mail) => mail.rcpts.map((r) => r.address).sort();

test('visible recipients share one notice, a Bcc recipient has one alone, and none shows the other', async (t) => {
  const stage = await Stage.create(t);
  const id = await stage.seed(secured());
  assert.equal(await stage.finished(id), 'sent');
  const [shared, alone] = stage.relay.mails;
  assert.equal(stage.relay.mails.length, 2);
  assert.deepEqual(addresses(shared), ['b@example.com', 'c@example.com']);
  assert.deepEqual(addresses(alone), ['d@example.com']);
  assert.ok(!shared.content.includes('d@example.com'));
  assert.ok(alone.content.includes('d@example.com'), 'the Bcc recipient sees that they may open it');
  for (const mail of [shared, alone]) {
    assert.equal(mail.from, 'a@example.jp');
    assert.ok(!mail.content.includes('SECRET'));
    assert.ok(!mail.content.includes('DKIM'));
    assert.ok(mail.content.includes('https://box.example/s/1'));
    const { get, fields } = parseMail(mail.content);
    assert.equal(fields[0][0], 'X-Fumibako-Id');
    assert.match(get('X-Fumibako-Id'), new RegExp(`^${id}; b=0; h=[\\w-]{43}$`));
    assert.equal(get('Subject'), 'Report');
    assert.equal(get('Message-ID'), '<1@example.jp>');
    assert.equal(get('To'), 'b@example.com');
    assert.equal(get('Cc'), 'c@example.com');
    assert.ok(get('Received'), 'the trace stays: MTAs count hops by it');
  }
  assert.deepEqual(stage.relay.violations, []);
});

test('untouched mail is byte for byte what came, behind one header', async (t) => {
  const stage = await Stage.create(t);
  const content = 'X-Fumibako-Id: 01ARZ3NDEKTSV4RRFFQ69G5FAV; b=0; h=forged\r\nSubject: x\r\n.odd: header\r\n\r\n' +
    '.\r\n..\r\n\ttabs \r\nlong ' + 'y'.repeat(3000) + '\r\n\r\n\r\nno end';
  const id = await stage.seed(untouched({ content }));
  assert.equal(await stage.finished(id), 'sent');
  const text = stage.relay.mails[0].content.toString('latin1');
  assert.match(text, /^X-Fumibako-Id: [^\r]+\r\n/);
  assert.equal(text.slice(text.indexOf('\n') + 1), content.slice(content.indexOf('\n') + 1) + '\r\n');
  assert.ok(!text.includes('forged'));
  assert.deepEqual(stage.relay.violations, []);
});

test('each refused recipient is told to the sender, once, and the others get their mail', async (t) => {
  const relay = { rcpt: (a) => (a === 'c@example.com' ? '550 5.1.1 <c@example.com> no such user' : null) };
  const stage = await Stage.create(t, { relay });
  const id = await stage.seed(untouched({ envelope: { envid: 'E+2B1' } }));
  assert.equal(await stage.finished(id), 'sent');
  const [mail, report] = stage.relay.mails;
  assert.deepEqual(addresses(mail), ['b@example.com']);
  assert.equal(report.from, '');
  assert.deepEqual(addresses(report), ['a@example.jp']);
  assert.ok(report.rcpts[0].params.includes('NOTIFY=NEVER'));
  const { get } = parseMail(report.content);
  assert.equal(get('Auto-Submitted'), 'auto-replied');
  const [head, group] = deliveryStatus(report);
  assert.equal(head['reporting-mta'], 'dns; gw.example.jp');
  assert.equal(head['original-envelope-id'], 'E+1');
  assert.equal(group['final-recipient'], 'rfc822; c@example.com');
  assert.equal(group.action, 'failed');
  assert.equal(group.status, '5.1.1');
  assert.match(group['diagnostic-code'], /^smtp; 550 5?\.?.*no such user/);
  assert.equal(stage.relay.mails.length, 2);
  assert.ok(!report.content.includes('.dot'), 'no content in a report');
});

test('no report about a report, and none where NOTIFY forbids it', async (t) => {
  const stage = await Stage.create(t, { relay: { rcpt: () => '550 5.1.1 no' } });
  const id = await stage.seed(untouched({ envelope: { from: '' } }));
  assert.equal(await stage.finished(id), 'refused');
  const quiet = await stage.seed(untouched({ envelope: { to: [{ address: 'b@example.com', notify: 'NEVER' },
    { address: 'c@example.com', notify: 'SUCCESS' }] } }));
  assert.equal(await stage.finished(quiet), 'refused');
  const loud = await stage.seed(untouched());
  assert.equal(await stage.finished(loud), 'refused', 'the report is refused, too: logged, not repeated');
  assert.equal(stage.relay.mails.length, 0);
  assert.equal(await stage.dead(), 0);
  const commands = stage.relay.commands.filter((c) => c.startsWith('MAIL FROM:<>') && !c.includes('a@'));
  assert.equal(commands.length, 2, 'the null sender\'s mail itself and one report for the loud one');
});

test('put-off recipients are tried again, and only they', async (t) => {
  let isBusy = true;
  const relay = { rcpt: (a) => (a === 'c@example.com' && isBusy ? '450 4.2.0 <c@example.com> later' : null) };
  const stage = await Stage.create(t, { relay });
  const id = await stage.seed(secured());
  await waitFor(async () => (await stage.delayed()) === 1, { what: 'a delayed job' });
  assert.equal(stage.relay.mails.length, 2);
  isBusy = false;
  await stage.hurry();
  assert.equal(await stage.finished(id), 'sent');
  assert.deepEqual(stage.relay.mails.map(addresses), [['b@example.com'], ['d@example.com'], ['c@example.com']]);
  assert.ok(!stage.relay.mails[2].content.includes('d@example.com'));
  assert.ok(!stage.service.output.includes('example.com'), 'no address in the log');
});

test('a refusal is told once, though others of the mail are tried again', async (t) => {
  let isBusy = true;
  const relay = { rcpt: (a) => (a[0] === 'b' ? '550 5.1.1 no' : a[0] === 'c' && isBusy ? '451 4.3.0 later' : null) };
  const stage = await Stage.create(t, { relay });
  const id = await stage.seed(secured({ parcel: { access: 'anyone', password: 'Kq7-mZ2' } }));
  const tries = () => stage.relay.commands.filter((c) => c.startsWith('RCPT TO:<c@')).length;
  const patience = { interval: 200 };
  await waitFor(async () => { await stage.hurry(); return tries() >= 3; }, { what: 'three tries', ...patience });
  isBusy = false;
  await waitFor(async () => { await stage.hurry(); return (await stage.ledger(id))['d:rewrite:0']; }, { what: 'the end', ...patience });
  assert.equal(await stage.finished(id), 'sent');
  assert.equal(stage.relay.mails.filter((m) => m.from === '').length, 1);
  const asked = stage.relay.commands.filter((c) => c.startsWith('RCPT TO:<b@'));
  assert.equal(asked.length, 1, 'not asked again, nor sent a password');
  assert.deepEqual(stage.relay.mails.filter((m) => m.content.includes('Kq7-mZ2')).flatMap(addresses), ['d@example.com', 'c@example.com']);
});

test('a relay that takes few recipients at a time gets the rest in further transactions, at once', async (t) => {
  const relay = { rcpt: (a, p, n) => (a.startsWith('full') ? '452 4.2.2 mailbox full' : n >= 10 ? '452 4.5.3 too many recipients' : null) };
  const stage = await Stage.create(t, { relay });
  const to = Array.from({ length: 45 }, (_, i) => ({ address: `r${i}@example.com` }));
  const id = await stage.seed(untouched({ envelope: { to }, plan: { branches: [{ kind: 0, to: to.map((_, i) => i) }] } }));
  assert.equal(await stage.finished(id), 'sent');
  assert.deepEqual(stage.relay.mails.map((m) => m.rcpts.length), [10, 10, 10, 10, 5]);
  assert.equal(new Set(stage.relay.mails.flatMap(addresses)).size, 45);
});

test('after the lifetime the sender is told and the mail is given up', async (t) => {
  const stage = await Stage.create(t, { relay: { rcpt: (a) => (a === 'c@example.com' ? '450 4.2.2 full' : null) },
    config: { rewrite: { lifetime: '1h' } } });
  const id = await stage.seed(untouched({ top: { age_ms: 3700 * 1000 } }));
  assert.equal(await stage.finished(id), 'sent');
  const [, group] = deliveryStatus(stage.relay.mails[1]);
  assert.equal(group.status, '4.4.7');
  assert.equal(group['final-recipient'], 'rfc822; c@example.com');
});

test('the message is erased from the spool behind its last branch', async (t) => {
  const stage = await Stage.create(t);
  const both = secured({ plan: { branches: [
    { kind: 1, to: [0, 2], rule: 'tagged', body: true, attachments: true, subject: 'Report' }, { kind: 0, to: [1] }] } });
  const id = await stage.seed(both);
  await stage.finished(id, 0);
  await stage.finished(id, 1);
  const objects = path.join(stage.world.spoolDir, 'objects', id.slice(-2).toLowerCase());
  await waitFor(() => {
    try { return readdirSync(objects).length === 0; } catch { return true; }
  }, { what: 'the derived objects to go' });
  const pass = stage.relay.mails.find((m) => addresses(m)[0] === 'c@example.com');
  assert.ok(pass.content.includes('TOP SECRET BODY'), 'c is in no rule');
  assert.deepEqual(addresses(pass), ['c@example.com']);
  for (const mail of stage.relay.mails.filter((m) => m !== pass)) assert.ok(!mail.content.includes('SECRET'));
});

test('a relay that drops after DATA costs one duplicate, and the log says so', async (t) => {
  let drops = 1;
  const stage = await Stage.create(t, { relay: { end: () => (drops-- > 0 ? 'DROP' : null) } });
  const id = await stage.seed(untouched());
  await waitFor(async () => (await stage.delayed()) === 1 || stage.relay.mails.length > 1, { what: 'a second try' });
  await stage.hurry();
  assert.equal(await stage.finished(id), 'sent');
  assert.equal(stage.relay.mails.length, 2, 'the relay had taken the first one (RFC 1047)');
  assert.ok(stage.relay.mails[0].content.equals(stage.relay.mails[1].content), 'the same bytes: receivers can tell');
  await stage.service.says(/may arrive twice/);
});

test('killed between the relay\'s reply and the journal: one duplicate at most, nothing lost', async (t) => {
  const stage = await Stage.create(t, { starts: false });
  const ids = [];
  for (let i = 0; i < 6; i++) ids.push(await stage.seed(untouched({ content: `Subject: n${i}\r\n\r\nbody\r\n` })));
  let kills = 0;
  stage.relay.options.end = () => {
    if (kills < 2 && stage.service?.isRunning) { // a third one would bury what was in hand each time: a crash loop
      kills++;
      stage.service.signal('SIGKILL'); // as it waits for this very reply
      return '250 2.0.0 taken';
    }
    return null;
  };
  for (let round = 0; round < 8; round++) {
    await stage.start({ ready: false });
    const isDone = await Promise.race([stage.service.exited.then(() => false),
      Promise.all(ids.map((id) => stage.finished(id, 0, 60000))).then(() => true, () => false)]);
    if (isDone) break;
    // The dead worker's jobs belong to it until it is idle for three heartbeats: time is made to pass.
    for (const [job, consumer] of (await stage.world.redis.command('XPENDING', 'fb:{s0}:rewrite', 'workers', '-', '+', 100))) {
      await stage.world.redis.command('XCLAIM', 'fb:{s0}:rewrite', 'workers', consumer, 0, job, 'IDLE', 600000, 'JUSTID');
    }
  }
  assert.equal(kills, 2);
  const counts = ids.map((_, i) => stage.relay.mails.filter((m) => m.content.includes(`Subject: n${i}\r\n`)).length);
  t.diagnostic(`mails sent per message after ${kills} kills: ${counts}`);
  for (const n of counts) assert.ok(n >= 1 && n <= 1 + kills, `${counts}`);
  const extra = counts.reduce((a, b) => a + b, 0) - ids.length;
  assert.ok(extra <= kills * 8, 'each kill repeats at most what its eight threads had in hand');
});

test('a recalled recipient gets nothing; one that was sent stays sent', async (t) => {
  const stage = await Stage.create(t, { starts: false });
  const id = await stage.seed(secured());
  await stage.world.redis.command('HSET', `fb:{s0}:m:${id}`, 'x:1', '1');
  await stage.start();
  assert.equal(await stage.finished(id), 'sent');
  assert.deepEqual(stage.relay.mails.map(addresses), [['b@example.com'], ['d@example.com']]);
  const text = stage.relay.mails[0].content.toString('latin1');
  assert.ok(!text.slice(text.indexOf('\r\n\r\n')).includes('c@example.com'), 'the recalled one is not among those who may open it');
});

test('a message that was recalled as a whole ends without a mail, though it has no parcel', async (t) => {
  const stage = await Stage.create(t, { starts: false });
  const id = await stage.seed({ ...secured(), parcels: {} });
  await stage.world.redis.command('HSET', `fb:{s0}:m:${id}`, 'recalled', '1');
  await stage.start();
  assert.equal(await stage.finished(id), 'recalled');
  assert.equal(stage.relay.mails.length, 0);
});

test('the operator\'s release sends a mail that never had a plan', async (t) => {
  const stage = await Stage.create(t);
  const id = await stage.seed({ ...untouched(), plan: null, objects: {} });
  assert.equal(await stage.finished(id), 'sent');
  assert.deepEqual(addresses(stage.relay.mails[0]), ['b@example.com', 'c@example.com']);
  assert.ok(stage.relay.mails[0].content.includes('\r\nbody\r\n'));
});

test('a rule that rejects is a delivery report and no mail', async (t) => {
  const stage = await Stage.create(t);
  const id = await stage.seed(untouched({ plan: { branches: [{ kind: 2, to: [0, 1], rule: 'no games' }] } }));
  assert.equal(await stage.finished(id), 'refused');
  const groups = deliveryStatus(stage.relay.mails[0]);
  assert.equal(stage.relay.mails.length, 1);
  assert.equal(groups.length, 3);
  assert.equal(groups[1].status, '5.7.1');
  assert.equal(groups[1]['diagnostic-code'], 'x-fumibako; refused by the rule "no games"');
});

test('the password comes in a mail of its own, to each recipient apart, never beside the link', async (t) => {
  const stage = await Stage.create(t);
  const id = await stage.seed(secured({ parcel: { access: 'anyone', password: 'Kq7-mZ2' } }));
  assert.equal(await stage.finished(id), 'sent');
  const notices = stage.relay.mails.filter((m) => m.content.includes('https://box.example/s/1'));
  const passwords = stage.relay.mails.filter((m) => m.content.includes('Kq7-mZ2'));
  assert.equal(notices.length, 2);
  assert.deepEqual(passwords.map(addresses), [['b@example.com'], ['c@example.com'], ['d@example.com']]);
  for (const mail of passwords) assert.ok(!notices.includes(mail));
  assert.equal(parseMail(passwords[0].content).get('To'), '<b@example.com>');
});

test('a password that is refused is told to the sender, and one that is put off comes later', async (t) => {
  let isBusy = true;
  const isPassword = (mail) => mail.rcpts.length === 1 && stage.relay.mails.some((m) => m.rcpts.some((r) => r.address === mail.rcpts[0].address));
  const relay = { data: (mail) => (mail.from === '' || !isPassword(mail) ? null
    : mail.rcpts[0].address === 'b@example.com' ? '554 5.7.1 no' : mail.rcpts[0].address === 'c@example.com' && isBusy ? '451 4.3.0 later' : null) };
  const stage = await Stage.create(t, { relay });
  const id = await stage.seed(secured({ parcel: { access: 'anyone', password: 'Kq7-mZ2' } }));
  await waitFor(async () => (await stage.delayed()) === 1, { what: 'a delayed job' });
  isBusy = false;
  await stage.hurry();
  assert.equal(await stage.finished(id), 'sent');
  const passwords = stage.relay.mails.filter((m) => m.content.includes('Kq7-mZ2')).map((m) => addresses(m)[0]);
  assert.deepEqual(passwords, ['d@example.com', 'c@example.com'], 'each once, b not at all');
  const reports = stage.relay.mails.filter((m) => m.from === '');
  assert.equal(reports.length, 1);
  assert.equal(deliveryStatus(reports[0])[1]['final-recipient'], 'rfc822; b@example.com');
});

test('a password that cannot be sent within the lifetime is told to the sender', async (t) => {
  let seen = 0;
  const relay = { mail: (path) => (path !== '' && seen++ > 1 ? 'DROP' : null) }; // both notices, then no password any more
  const stage = await Stage.create(t, { relay, config: { rewrite: { lifetime: '1h' } } });
  const id = await stage.seed(secured({ parcel: { access: 'anyone', password: 'Kq7-mZ2' }, top: { age_ms: 3700 * 1000 } }));
  assert.equal(await stage.finished(id), 'refused');
  const [head, ...groups] = deliveryStatus(stage.relay.mails.find((m) => m.from === ''));
  assert.ok(head['arrival-date']);
  assert.deepEqual(groups.map((g) => [g['final-recipient'], g.status]),
    ['b', 'c', 'd'].map((name) => [`rfc822; ${name}@example.com`, '4.4.7']));
});

test('a journal that cannot be written does not undo a delivery', async (t) => {
  const stage = await Stage.create(t, { starts: false });
  const journal = path.join(stage.world.spoolDir, 'journal');
  stage.relay.options.end = () => { // between the journal's look-up and its commit
    rmSync(journal, { recursive: true, force: true });
    writeFileSync(journal, 'no folder');
    return null;
  };
  const id = await stage.seed(untouched());
  await stage.start();
  assert.equal(await stage.finished(id), 'sent');
  assert.equal(stage.relay.mails.length, 1, 'once, not again and again');
  await stage.service.says(/sent journal cannot be written/);
});

test('DSN is carried on; to a relay without it the sender is told "relayed"', async (t) => {
  const stage = await Stage.create(t);
  const envelope = { ret: 'HDRS', envid: 'QQ1', to: [{ address: 'b@example.com', notify: 'SUCCESS,FAILURE', orcpt: 'rfc822;b@old.example' },
    { address: 'c@example.com', notify: 'NEVER' }] };
  assert.equal(await stage.finished(await stage.seed(untouched({ envelope }))), 'sent');
  const [mail] = stage.relay.mails;
  assert.ok(mail.params.includes('RET=HDRS') && mail.params.includes('ENVID=QQ1'));
  assert.deepEqual(mail.rcpts[0].params, ['NOTIFY=SUCCESS,FAILURE', 'ORCPT=rfc822;b@old.example']);
  assert.deepEqual(mail.rcpts[1].params, ['NOTIFY=NEVER']);
  assert.equal(stage.relay.mails.length, 1);

  const plain = await Stage.create(t, { relay: { extensions: ['8BITMIME'] } });
  assert.equal(await plain.finished(await plain.seed(untouched({ envelope }))), 'sent');
  const [sent, report] = plain.relay.mails;
  assert.deepEqual([...sent.params, ...sent.rcpts.flatMap((r) => r.params)], []);
  const groups = deliveryStatus(report);
  assert.equal(groups.length, 2, 'b alone asked for success');
  assert.equal(groups[1].action, 'relayed');
  assert.equal(groups[1]['original-recipient'], 'rfc822; b@old.example');
});

test('8BITMIME and SMTPUTF8: announced where needed, refused where the relay has none', async (t) => {
  const eight = 'Subject: x\r\n\r\n\u3042\r\n';
  const stage = await Stage.create(t);
  assert.equal(await stage.finished(await stage.seed(untouched({ content: eight, envelope: { '8bit': true } }))), 'sent');
  assert.ok(stage.relay.mails[0].params.includes('BODY=8BITMIME'));
  const utf8 = { envelope: { utf8: true, to: [{ address: '\u7530@example.com' }, { address: 'c@example.com' }] } };
  assert.equal(await stage.finished(await stage.seed(untouched(utf8))), 'sent');
  assert.ok(stage.relay.mails[1].params.includes('SMTPUTF8'));
  assert.deepEqual(addresses(stage.relay.mails[1]), ['c@example.com', '\u7530@example.com']);

  const plain = await Stage.create(t, { relay: { extensions: ['PIPELINING'] } });
  assert.equal(await plain.finished(await plain.seed(untouched({ content: eight, envelope: { '8bit': true } }))), 'refused');
  assert.equal(deliveryStatus(plain.relay.mails[0])[1].status, '5.6.3');
  assert.equal(await plain.finished(await plain.seed(untouched(utf8))), 'sent');
  assert.deepEqual(addresses(plain.relay.mails[1]), ['c@example.com']);
  const group = deliveryStatus(plain.relay.mails[2])[1];
  assert.equal(group.status, '5.6.7');
  assert.equal(group['final-recipient'], 'utf-8; \\x{7530}@example.com');
  // Our own words never need 8BITMIME: a secured mail passes where its original would not.
  assert.equal(await plain.finished(await plain.seed(secured({ plan: { language: 'both' }, envelope: { '8bit': true,
    from: 'a@example.jp', to: [{ address: 'b@example.com' }, { address: 'c@example.com' }, { address: 'd@example.com' }] } }))), 'sent');
  assert.deepEqual(plain.relay.violations, []);
});

test('a lost parcel or plan goes back to render, never out', async (t) => {
  const stage = await Stage.create(t);
  const id = await stage.seed({ ...secured(), parcels: {} });
  await waitFor(async () => (await stage.world.redis.command('XLEN', 'fb:{s0}:render')) > 0, { what: 'a render job' });
  assert.equal(stage.relay.mails.length, 0);
  assert.equal((await stage.ledger(id))['d:rewrite:0'], undefined);
});

test('a notice that can never be made: held, bounced or delivered as the rule says', async (t) => {
  const stage = await Stage.create(t);
  // The header is larger than a notice may have.
  const broken = (onFailure) => secured({ plan: {
    branches: [{ kind: 1, to: [0, 1, 2], rule: 'tagged', body: true, attachments: true, on_failure: onFailure }] },
  objects: { head: `X: ${'x'.repeat(2 << 20)}\r\n` } });
  const held = await stage.seed(broken(0));
  const letter = await waitFor(() => stage.relay.mails[0], { what: 'the letter to the sender' });
  assert.equal(await stage.dead(), 1);
  assert.deepEqual(addresses(letter), ['a@example.jp']);
  assert.equal(parseMail(letter.content).get('Message-ID'), `<held-${held}-0@example.jp>`);
  assert.match((await stage.ledger(held))['h:0'], /^too_big\|/);

  assert.equal(await stage.finished(await stage.seed(broken(1))), 'refused');
  assert.equal(stage.relay.mails.length, 2);
  assert.equal(deliveryStatus(stage.relay.mails[1]).length, 4, 'b, c and d');

  assert.equal(await stage.finished(await stage.seed(broken(2))), 'sent');
  assert.equal(stage.relay.mails.length, 3);
  assert.ok(stage.relay.mails[2].content.includes('TOP SECRET BODY'), 'this rule allows it');
  assert.equal(await stage.dead(), 1);

  // A bounce that cannot be written would tell nobody: the operator decides.
  const untold = await stage.seed(secured({ envelope: { from: '"a<b"@example.jp' }, plan: {
    branches: [{ kind: 1, to: [0, 1, 2], rule: 'tagged', body: true, attachments: true, on_failure: 1 }] } }));
  await waitFor(async () => (await stage.dead()) === 2, { what: 'the second one held', timeout: 30000 });
  const record = await stage.ledger(untold);
  assert.equal(record['f:0'], undefined);
  assert.match(record['h:0'], /^invalid\|/);
});

test('no policy: secured mail waits, untouched mail goes', async (t) => {
  const stage = await Stage.create(t, { policy: 'rules: [' });
  const held = await stage.seed(secured());
  const id = await stage.seed(untouched());
  assert.equal(await stage.finished(id), 'sent');
  await waitFor(async () => (await stage.delayed()) === 1, { what: 'a delayed job' });
  assert.equal((await stage.ledger(held))['d:rewrite:0'], undefined);
  assert.equal(stage.relay.mails.length, 1);
  await waitFor(() => /fumibako policy apply/.test(stage.service.output), { what: 'the line in the log' });
});

test('a relay that is down: the mail waits, the log says which relay and why', async (t) => {
  const stage = await Stage.create(t);
  await stage.relay.stop();
  const id = await stage.seed(untouched());
  await waitFor(async () => (await stage.delayed()) === 1, { what: 'a delayed job' });
  const why = new RegExp(`relay 127.0.0.1 port ${stage.world.ports.relay}: connect: Connection refused`);
  await waitFor(() => why.test(stage.service.output), { what: 'the line in the log' }); // written behind Redis' answer
  const again = await Relay.start({}, stage.world.ports.relay);
  t.after(() => again.stop());
  await stage.hurry();
  assert.equal(await stage.finished(id), 'sent');
  assert.equal(again.mails.length, 1);
});

test('SIGTERM finishes what is in hand', async (t) => {
  const stage = await Stage.create(t, { relay: { slow: { END: 1000 } } });
  const id = await stage.seed(untouched());
  await waitFor(() => stage.relay.commands.includes('DATA'), { what: 'DATA' });
  const how = await stage.service.stop();
  assert.equal(how.code, 0);
  assert.equal((await stage.ledger(id))['bs:0'], 'sent');
  assert.equal(stage.relay.mails.length, 1);
});

test('--check refuses a short key and a relay that is none', async (t) => {
  const stage = await Stage.create(t, { starts: false });
  for (const [rewrite, want] of [[{ key: 'short' }, /rewrite\.key: shorter than 32 characters/],
    [{ key: undefined }, /rewrite\.key: missing/], [{ relay: 'localhost:25' }, /rewrite\.relay: "localhost:25" is not smtp:/]]) {
    stage.overrides.rewrite = { ...stage.overrides.rewrite, key: 'k'.repeat(40), relay: 'smtp://127.0.0.1:25', ...rewrite };
    const service = await stage.world.start('rewrite', stage.overrides, { ready: false, args: ['--check'] });
    assert.equal((await service.exited).code, 78);
    assert.match(service.output, want);
  }
});

test('memory does not grow with the mail', async (t) => {
  const stage = await Stage.create(t, { starts: false });
  // The sanitizer keeps what was freed for a while: as little as it can.
  await stage.start({ env: { ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ''}:quarantine_size_mb=1` } });
  const line = `${'z'.repeat(76)}\r\n`;
  const size = 60 << 20;
  const memory = (key) => Number(new RegExp(`${key}:\\s+(\\d+) kB`).exec(
    readFileSync(`/proc/${stage.service.pid}/status`, 'utf8'))[1]);
  await stage.finished(await stage.seed(untouched()));
  const before = memory('VmRSS');
  const id = await stage.seed(untouched({ content: `Subject: big\r\n\r\n${line.repeat(Math.floor(size / 78))}` }));
  assert.equal(await stage.finished(id, 0, 240000), 'sent');
  assert.ok(stage.relay.mails[1].content.length > size - 100);
  const grown = memory('VmHWM') - before;
  t.diagnostic(`${size >> 20} MiB sent, memory grew by ${grown} kB`);
  assert.ok(grown < size / 1024 / 3, `grew by ${grown} kB`);
});
