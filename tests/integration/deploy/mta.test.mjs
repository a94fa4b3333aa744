// SPDX-License-Identifier: Apache-2.0
//
// deploy/mta as an operator would use it, with the whole of Fumibako behind a real Exim and a real Haraka: a mail goes
// MTA -> ingest -> render -> upload -> rewrite -> MTA -> the world, once, and signed behind Fumibako.

import assert from 'node:assert/strict';
import test from 'node:test';
import { Smtp, freePorts, sleep, waitFor } from '../../support/harness.mjs';
import { Relay, parseMail } from '../../support/relay.mjs';
import { Stack } from '../../e2e/stack.mjs';
import { Exim, Haraka, findExim, findHaraka, submit, verifyDkim } from './mta_kit.mjs';

const SERVICES = ['ingest', 'render', 'upload', 'rewrite'];

const mail = (subject) => `From: Taro <taro@example.jp>\r\nTo: hanako@partner.example.com, jiro@other.example.org\r\n` +
  `Subject: ${subject}\r\nDate: Sat, 28 Nov 2026 10:00:00 +0900\r\nMessage-ID: <${subject}@example.jp>\r\n` +
  'DKIM-Signature: v=1; a=rsa-sha256; d=example.jp; s=early; h=from; bh=AAAA; b=BBBB\r\n' +
  `MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nthe body of ${subject}\r\n`;
const TO = ['hanako@partner.example.com', 'jiro@other.example.org'];

/** Fumibako between an MTA's two ports, and the world behind it. */
async function surround(t) {
  const [back] = await freePorts(1);
  const sink = await Relay.start();
  t.after(() => sink.stop());
  const stack = await Stack.start(t, { postfix: false, services: SERVICES,
    overrides: { rewrite: { relay: `smtp://127.0.0.1:${back}` } } });
  return { back, sink, stack, filter: stack.world.ports.smtp };
}

/** What reached the world of a subject; what Fumibako tells the sender goes to example.jp and does not count. */
const notices = (sink, subject) => sink.mails.filter((m) => m.content.includes(`Subject: ${subject}\r\n`) &&
  m.rcpts.every((r) => !r.address.endsWith('@example.jp')));
const reached = (sink, subject) => notices(sink, subject).flatMap((m) => m.rcpts.map((r) => r.address)).sort();

/** One submitted mail comes out as one notice to each, and Fumibako saw it once and whole. */
async function onceAndWhole({ stack, sink }, mta, subject) {
  const before = (await stack.messages()).length;
  const reply = await submit(mta.port, { content: mail(subject), to: TO });
  assert.equal(reply.code, 250, reply.text);
  await waitFor(() => reached(sink, subject).length >= 2, { timeout: 180000, what: `the notices of ${subject}` })
    .catch((e) => { throw new Error(`${e.message}\n${mta.log()}\n${stack.logs()}`); });
  await waitFor(() => mta.queued() === 0, { what: 'the queue to empty' });
  await sleep(2500); // a loop would have come round by now
  assert.deepEqual(reached(sink, subject), TO, 'each recipient has it exactly once');
  const messages = await stack.messages();
  assert.equal(messages.length, before + 1, 'Fumibako saw it once, with both recipients');
  const [notice] = notices(sink, subject);
  assert.ok(!notice.content.includes(`the body of ${subject}`), 'it is the notice, not the mail');
  assert.ok(!notice.content.includes('s=early'), 'the signature from before Fumibako is gone');
  return notice;
}

/** Fumibako's ingest is away: the MTA has answered for the mail, keeps it, and hands it over later, once. */
async function keptAndSent({ stack, sink }, mta, subject) {
  await stack.by.ingest.stop();
  const reply = await submit(mta.port, { content: mail(subject), to: TO });
  assert.equal(reply.code, 250, 'the MTA takes it all the same');
  await sleep(2500);
  assert.ok(mta.queued() > 0, 'it lies in the queue of the MTA');
  assert.deepEqual(reached(sink, subject), [], 'and does not go round Fumibako');
  await stack.startService('ingest');
  await waitFor(() => reached(sink, subject).length >= 2, { timeout: 180000, what: `the notices of ${subject}` })
    .catch((e) => { throw new Error(`${e.message}\n${mta.log()}`); });
  await waitFor(() => mta.queued() === 0, { what: 'the queue to empty' });
  assert.deepEqual(reached(sink, subject), TO);
  const [notice] = notices(sink, subject);
  assert.ok(!notice.content.includes(`the body of ${subject}`));
}

/** From another address than Fumibako's, the way back takes nothing. */
async function wayBackIsShut({ back, sink }) {
  const before = sink.mails.length;
  const smtp = await Smtp.connect(back, { localAddress: '127.0.0.9', timeout: 20000 });
  const reply = await smtp.send({ from: 'eve@example.org', to: ['hanako@partner.example.com'], content: mail('eve') });
  smtp.close();
  assert.ok(reply.code >= 500 && reply.code < 600, `${reply.code} ${reply.text}`);
  await sleep(500);
  assert.equal(sink.mails.length, before);
}

/** One valid signature, over the header that people see and the body with its link. */
function isSigned(notice, mta) {
  const key = { name: 'mail._domainkey.example.jp', record: mta.record };
  assert.equal(parseMail(notice.content).fields.filter(([n]) => n.toLowerCase() === 'dkim-signature').length, 1);
  const verdict = verifyDkim(notice.content, key);
  assert.match(verdict, /^valid example\.jp /);
  for (const name of ['from', 'subject', 'date', 'to']) assert.match(verdict, new RegExp(` ${name}\\b`), verdict);
  const changed = notice.content.toString('latin1').replace(/https?:\/\/[^\s"<]+/, 'https://evil.example/');
  assert.notEqual(changed, notice.content.toString('latin1'));
  assert.match(verifyDkim(Buffer.from(changed, 'latin1'), key), /^not valid.*body hash/, 'a changed link breaks it');
}

const exim = findExim();

test('Exim: once through Fumibako and signed behind it, kept while it is away', { skip: exim.missing }, async (t) => {
  const around = await surround(t);
  const mta = await Exim.start(t, exim.root, { ...around, sink: around.sink.port });

  await t.test('a mail goes through once, with all of its recipients', async () => {
    await onceAndWhole(around, mta, 'exim-once');
  });
  await t.test('what leaves has a valid DKIM signature over what Fumibako wrote', async () => {
    isSigned(notices(around.sink, 'exim-once')[0], mta);
  });
  await t.test('the way back is for Fumibako only, and nobody relays without a name', async () => {
    await wayBackIsShut(around);
    const reply = await submit(mta.port, { content: mail('nobody'), to: TO, user: null });
    assert.equal(reply.code, 550);
  });
  await t.test('while Fumibako is away the mail waits in the queue, and goes later', async () => {
    await keptAndSent(around, mta, 'exim-later');
  });
  assert.deepEqual(around.sink.violations, []);
});

const haraka = findHaraka();

test('Haraka: once through Fumibako, signed behind it, kept while it is away', { skip: haraka.missing }, async (t) => {
  const around = await surround(t);
  const mta = await Haraka.start(t, haraka.modules, { ...around, sink: around.sink.port });

  await t.test('a mail goes through once, with all of its recipients', async () => {
    await onceAndWhole(around, mta, 'haraka-once');
  });
  await t.test('what leaves has a valid DKIM signature over what Fumibako wrote', async () => {
    isSigned(notices(around.sink, 'haraka-once')[0], mta);
  });
  await t.test('the way back is for Fumibako only, and nobody relays without a name', async () => {
    await wayBackIsShut(around);
    const reply = await submit(mta.port, { content: mail('nobody'), to: TO, user: null });
    assert.ok(reply.code >= 500, `${reply.code} ${reply.text}`);
    const wrong = await submit(mta.port, { content: mail('nobody'), to: TO, word: 'guessed' });
    assert.equal(wrong.code, 535);
  });
  await t.test('while Fumibako is away the mail waits in the queue, and goes later', async () => {
    await keptAndSent(around, mta, 'haraka-later');
  });
  assert.deepEqual(around.sink.violations, []);
});
