// SPDX-License-Identifier: Apache-2.0
// Held mail of every stage: each decision about it, with the real services, and the words that explain it.

import assert from 'node:assert/strict';
import test from 'node:test';
import { SECURE_EVERYTHING, SERVICES, Stack, everythingIn } from '../../e2e/stack.mjs';
import { Relay } from '../../support/relay.mjs';
import { waitFor } from '../../support/harness.mjs';
import { tooDeep } from './kit.mjs';

const TO = 'hanako@partner.example.com';
const patience = { timeout: 180000, interval: 200 };
const mail = (name) => Buffer.from(`From: taro@example.jp\r\nTo: ${TO}\r\nSubject: ${name}\r\nMIME-Version: 1.0\r\n\r\nbody of ${name}\r\n`);

async function start(t) {
  const stack = await Stack.start(t, { postfix: false, services: SERVICES.filter((s) => s !== 'rewrite' && s !== 'watch') });
  stack.relay = await Relay.start({}, stack.world.ports.relay);
  t.after(() => stack.relay.stop());
  return stack;
}

const submit = (stack, content, from) => stack.submit(content, { from, to: [TO], port: stack.world.ports.smtp });

/** The dead letters, when there are as many as expected. */
const held = (stack, count, stage) => waitFor(async () => {
  const list = (await stack.ctl('dead', 'list', '--json')).json();
  return list.length === count && list.every((d) => d.stage === stage) && list;
}, { what: `${count} held in ${stage}`, ...patience });

/** What left, but for letters: the mails and reports by what was held. */
const isLetter = (m) => m.from === '' && !/report-type=delivery-status/.test(m.content.toString());
const out = (stack) => stack.relay.mails.filter((m) => !isLetter(m));
const reports = (stack) => out(stack).filter((m) => m.from === '');
const sent = (stack) => out(stack).filter((m) => m.from !== '');

async function act(stack, verb, dead) {
  const r = await stack.ctl('dead', verb, dead.id);
  assert.equal(r.status, 0, `${verb}: ${r.stderr}`);
  return r.stdout;
}

/** In both languages: what happened, what it means, what each decision does. */
async function explained(stack, dead, { ja, en, release = true }) {
  const english = await stack.ctl('dead', 'show', dead.id, '--language', 'en');
  const japanese = await stack.ctl('dead', 'show', dead.id, '--language', 'ja');
  assert.match(english.stdout, en);
  assert.match(english.stdout, /What you can do:\n {2}fumibako dead retry s/);
  assert.match(english.stdout, release ? /dead release s\S+\n +Sends the mail as it came, .*UNPROTECTED/ : /dead release: not possible/);
  assert.match(english.stdout, /dead reject s\S+\n +\S/);
  assert.match(japanese.stdout, ja);
  assert.match(japanese.stdout, /選べる処置:/);
  assert.match(japanese.stdout, release ? /【保護なしで】/ : /dead release: 選べません/);
  const json = (await stack.ctl('dead', 'show', dead.id, '--json', '--language', 'ja')).json();
  assert.equal(json.explained.can_release, release);
  for (const key of ['what', 'meaning', 'retry', 'release', 'reject']) assert.match(json.explained[key], /[ぁ-ん]/, key);
}

const done = (stack, what) => waitFor(async () => (await stack.messages()).every((m) => m.state === 'done'), { what, ...patience });

test('render, upload, rewrite: what is held can be retried, released and rejected, and says why', async (t) => {
  const stack = await start(t);

  await t.test('render', async () => {
    await stack.startService('rewrite');
    for (let i = 0; i < 3; i++) await submit(stack, Buffer.from(tooDeep().replace(/\r?\n/g, '\r\n')));
    const [a, b, c] = await held(stack, 3, 'render');
    await explained(stack, a, { en: /could not be read.*A limit of size, depth or number[\s\S]*Nothing of it has reached/,
      ja: /読み取れない[\s\S]*上限を超えて[\s\S]*どの宛先にも何も届いていません/ });
    await act(stack, 'retry', a);
    await act(stack, 'release', b);
    await act(stack, 'reject', c);
    await waitFor(() => sent(stack).length === 1 && reports(stack).length === 1, { what: 'mail and report', ...patience });
    assert.match(sent(stack)[0].content.toString(), /secret content/, 'as it came');
    assert.match(reports(stack)[0].content.toString(), /Action: failed/);
    const [again] = await held(stack, 1, 'render');
    assert.equal(again.message, a.message, 'the same mail fails again');
    await act(stack, 'reject', again);
    await waitFor(() => reports(stack).length === 2, { what: 'its report', ...patience });
    await done(stack, 'an end of all');
  });

  await t.test('upload', async () => {
    await stack.box.faults([{ match: { method: 'POST', path: '/2.0/folders' }, do: { status: 403 } }]);
    stack.relay.mails.length = 0;
    for (const name of ['one', 'two', 'three']) await submit(stack, mail(name));
    const [a, b, c] = await held(stack, 3, 'upload');
    await explained(stack, b, { en: /could not be put into the storage.*refused/, ja: /保管先に置けません.*拒否しました/ });
    await stack.box.faults([]);
    await act(stack, 'retry', a);
    await act(stack, 'release', b);
    await act(stack, 'reject', c);
    await done(stack, 'an end of all');
    const bodies = sent(stack).map((m) => /body of/.test(everythingIn(m.content)));
    assert.deepEqual([sent(stack).length, bodies.filter(Boolean).length], [2, 1], 'one notice, one mail as it came');
    assert.equal(reports(stack).length, 1);
  });

  await t.test('rewrite', async () => {
    await stack.by.rewrite.stop();
    stack.relay.mails.length = 0;
    for (const name of ['four', 'five', 'six']) await submit(stack, mail(name));
    await waitFor(async () => (await stack.ctl('queue', '--json')).json().rewrite.waiting === 3, { what: 'three notices', ...patience });
    const ids = (await stack.messages()).filter((m) => m.state !== 'done').map((m) => m.id);
    for (const id of ids) await stack.world.redis.command('HSET', `fb:{s0}:m:${id}`, 'f:0', 'later'); // what no version knows
    await stack.startService('rewrite');
    const [a, b, c] = await held(stack, 3, 'rewrite');
    await explained(stack, c, { en: /could not be handed to the next mail server[\s\S]*Some recipients may have it/,
      ja: /メールサーバーへ渡せません[\s\S]*届いた宛先があるかもしれません/ });
    await stack.world.redis.command('HDEL', `fb:{s0}:m:${a.message}`, 'f:0');
    await act(stack, 'retry', a);
    await act(stack, 'release', b);
    await act(stack, 'reject', c);
    await done(stack, 'an end of all');
    const bodies = sent(stack).map((m) => /body of/.test(everythingIn(m.content)));
    assert.deepEqual([sent(stack).length, bodies.filter(Boolean).length], [2, 1]);
    assert.equal(reports(stack).length, 1);
  });

  await t.test('a sender that no mail can be written to: the mail can be ended all the same, and who ends it is told so', async () => {
    const nobody = '"a<b"@example.jp';
    const ended = async (dead, why) => {
      await waitFor(async () => (await stack.messages()).find((m) => m.id === dead.message)?.state === 'done', { what: 'its end', ...patience });
      const shown = (await stack.ctl('message', 'show', dead.message, '--json')).json();
      assert.deepEqual(shown.recipients.map((r) => [r.state, r.timeline.at(-1).what]), [['refused', 'sender not told']]);
      const line = (await stack.ctl('audit', 'list', '--action', 'held.reject', '--json')).json()[0];
      assert.match(line.after.untold, why);
    };
    await stack.settled(); // letters about the mails before may still come behind their end
    stack.relay.mails.length = 0;
    await stack.box.faults([{ match: { method: 'POST', path: '/2.0/folders' }, do: { status: 403 } }]);
    await stack.apply({ rules: [{ ...SECURE_EVERYTHING, on_failure: 'bounce' }] });
    await submit(stack, mail('seven'), nobody); // nobody could be told of a bounce: held, whatever the rule says
    const [a] = await held(stack, 1, 'upload');
    await explained(stack, a, { release: false, en: /sender cannot be told[\s\S]*dead reject \S+\n.*nobody is told/,
      ja: /差出人には通知できません[\s\S]*dead reject \S+\n.*通知は送られません/ });
    const refused = await stack.ctl('dead', 'release', a.id);
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /angle bracket[\s\S]*fumibako dead reject/);
    const answer = await stack.ctl('dead', 'reject', a.id, '--json');
    assert.match(answer.json().untold, /angle bracket/);
    await ended(a, /angle bracket/);
    assert.match((await stack.ctl('message', 'show', a.message)).stdout, /sender not told/);

    await submit(stack, Buffer.from(tooDeep().replace(/\r?\n/g, '\r\n')), ''); // before there is a plan, and from the null sender
    const [b] = await held(stack, 1, 'render');
    await explained(stack, b, { en: /it has no sender[\s\S]*nobody is told/, ja: /差出人がない[\s\S]*通知は送られません/ });
    assert.match(await act(stack, 'reject', b), /is given up; its sender is not told: it has no sender/);
    await ended(b, /no sender/);
    assert.deepEqual(stack.relay.mails.filter((m) => !/alarm/.test(m.content.toString())), []);
  });

  assert.deepEqual((await stack.ctl('dead', 'list', '--json')).json(), []);
  await waitFor(async () => (await stack.ctl('spool', 'list', '--json')).json().count === 0, { what: 'an empty spool', ...patience });
});

test('revoke: a recall that failed can be retried and given up; there is nothing to release, and it says so', async (t) => {
  const stack = await start(t);
  await stack.startService('rewrite');
  for (const name of ['one', 'two']) await submit(stack, mail(name));
  await done(stack, 'both sent');
  await stack.box.faults([{ match: { method: 'DELETE', path: '/2.0/collaborations' }, do: { status: 403 } }]);
  for (const m of await stack.messages()) assert.equal((await stack.ctl('message', 'recall', m.id)).status, 0);
  const [a, b] = await held(stack, 2, 'revoke');
  await explained(stack, a, { release: false, en: /access in the storage could not be changed[\s\S]*may still be able to open/,
    ja: /閲覧権の変更[\s\S]*まだ内容を開ける可能性/ });
  const refused = await stack.ctl('dead', 'release', a.id);
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, /nothing to send: `fumibako dead retry \S+` tries it again, `fumibako dead reject/);
  await stack.box.faults([]);
  await act(stack, 'retry', a);
  assert.match(await act(stack, 'reject', b), /is given up/);
  const grant = async (id) => (await stack.ctl('message', 'show', id, '--json')).json().recipients[0].grant;
  await waitFor(async () => (await grant(a.message)) === 'recalled', { what: 'the recall', ...patience });
  assert.notEqual(await grant(b.message), 'recalled', 'the access stays as it was, and nobody says otherwise');
  assert.deepEqual((await stack.ctl('dead', 'list', '--json')).json(), []);
});
