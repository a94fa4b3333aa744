// SPDX-License-Identifier: Apache-2.0
//
// The wire test of proto/decisions/0001-smtp-client.md: what do libcurl and our own client say to a recording server,
// and what do they tell their caller?  The lines about libcurl state what was seen (7.88.1 and later): when one of them
// fails with a newer libcurl, the decision may be looked at again.

import assert from 'node:assert/strict';
import test from 'node:test';

import { Relay, run, smtpSend } from './kit.mjs';

const EIGHT = 'Subject: x\r\n\r\n\u3042\r\n';
const rcpt = (a) => (a.startsWith('no') ? '550 5.1.1 unknown' : a.startsWith('later') ? '450 4.2.0 later' : null);

async function recording(t) {
  const relay = await Relay.start({ rcpt });
  t.after(() => relay.stop());
  return relay;
}

/** libcurl's side: what it printed; `told` is all that its caller gets without parsing the trace. */
async function curl(relay, from, suffix, to, mail) {
  const result = await run('curl_wire', [`127.0.0.1:${relay.port}`, from, suffix, ...to], mail);
  assert.equal(result.code, 0, result.stderr);
  const [, version, code, reply] = /^curl (\S+) code (\d+) reply (\d+)$/m.exec(result.stdout);
  return { version, told: { code: Number(code), reply: Number(reply) } };
}

const line = (relay, verb) => relay.commands.filter((c) => c.startsWith(verb));

test('libcurl: 8 bit content goes out without BODY=8BITMIME', async (t) => {
  const relay = await recording(t);
  const { version } = await curl(relay, 'a@x', '', ['b@y'], EIGHT);
  t.diagnostic(`libcurl ${version}: ${line(relay, 'MAIL')[0]}`);
  assert.ok(relay.mails[0].content.includes('\u3042'));
  assert.ok(!line(relay, 'MAIL')[0].includes('BODY='));
});

test('libcurl: parameters behind an address come out malformed', async (t) => {
  const relay = await recording(t);
  await curl(relay, 'a@x', ' BODY=8BITMIME RET=HDRS', ['<b@y> NOTIFY=NEVER'], EIGHT);
  t.diagnostic(`${line(relay, 'MAIL')[0]} / ${line(relay, 'RCPT')[0]}`);
  assert.ok(!/^MAIL FROM:<a@x> BODY=8BITMIME RET=HDRS$/.test(line(relay, 'MAIL')[0]));
  assert.ok(!/^RCPT TO:<b@y> NOTIFY=NEVER$/.test(line(relay, 'RCPT')[0]));
});

test('libcurl: one result for all recipients', async (t) => {
  const relay = await recording(t);
  const { told } = await curl(relay, 'a@x', '', ['b@y', 'no@y', 'later@y'], EIGHT);
  assert.deepEqual(relay.mails[0].rcpts.map((r) => r.address), ['b@y']);
  assert.deepEqual(told, { code: 0, reply: 250 }, 'two refusals, and the caller is told none');
});

test('libcurl: SMTPUTF8 by itself, as it should be', async (t) => {
  const relay = await recording(t);
  await curl(relay, '\u7530@x', '', ['b@y'], EIGHT);
  assert.match(line(relay, 'MAIL')[0], / SMTPUTF8$/);
});

test('libcurl: a bare LF goes out as it came', async (t) => {
  const relay = await recording(t);
  await curl(relay, 'a@x', '', ['b@y'], 'Subject: x\r\n\r\na\nb\r\n');
  assert.equal(relay.violations.length, 1);
});

test('our client: BODY=8BITMIME, SMTPUTF8, DSN parameters and a reply per recipient, pipelined', async (t) => {
  const relay = await recording(t);
  const [result] = await smtpSend(relay.port, { options: ['-8', '-u', '-R', 'HDRS', '-E', 'QQ1'], from: '\u7530@x', mail: EIGHT,
    to: ['b@y,SUCCESS,rfc822;b@old', 'no@y', 'later@y,NEVER', '\u7530@y'] });
  assert.equal(line(relay, 'MAIL')[0],
    `MAIL FROM:<\u7530@x> SIZE=${Buffer.byteLength(EIGHT)} BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=QQ1`);
  assert.deepEqual(line(relay, 'RCPT'), ['RCPT TO:<b@y> NOTIFY=SUCCESS ORCPT=rfc822;b@old', 'RCPT TO:<no@y>',
    'RCPT TO:<later@y> NOTIFY=NEVER', 'RCPT TO:<\u7530@y>']);
  assert.deepEqual(result.recipients.map((r) => [r.code, r.enhanced]),
    [[250, '2.0.0'], [550, '5.1.1'], [450, '4.2.0'], [250, '2.0.0']]);
  const envelope = relay.transcript.find((p) => p.bytes.includes('MAIL FROM')).bytes.toString();
  assert.ok(envelope.includes('DATA\r\n'), 'the whole envelope in one piece');
  assert.deepEqual(relay.violations, []);
});

test('our client: a bare LF is never sent', async (t) => {
  const relay = await recording(t);
  const [result] = await smtpSend(relay.port, { to: ['b@y'], mail: 'Subject: x\r\n\r\na\nb\r\n' });
  assert.equal(result.status, 'invalid');
  assert.equal(relay.mails.length, 0);
});
