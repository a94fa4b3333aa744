// SPDX-License-Identifier: Apache-2.0
// fumibako message recall and ledger rebuild against Box (the simulator), through all services.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { waitFor } from '../../support/harness.mjs';
import { Stack } from '../../e2e/stack.mjs';
import { JAPANESE, Relay } from './kit.mjs';

const PEOPLE = ['hanako@partner.example.com', 'jiro@partner.example.com'];
const INSIDE = 'boss@example.jp';

async function start(t) {
  const stack = await Stack.start(t, { postfix: false, policy: { rules: [
    { name: 'inside', when: { to: ['@example.jp'] }, action: 'pass' },
    { name: 'outside', action: 'secure', storage: 'box', security: 'recipients only' }] } });
  stack.relay = new Relay();
  await stack.relay.start(stack.world.ports.relay);
  stack.world.atEnd(() => stack.relay.stop());
  stack.json = async (...args) => {
    const r = await stack.ctl(...args, '--json');
    assert.equal(r.status, 0, `${args.join(' ')}: ${r.stdout}${r.stderr}`);
    return r.json();
  };
  stack.mail = path.join(stack.world.dir, 'm.eml');
  fs.writeFileSync(stack.mail, JAPANESE);
  stack.send = async (...to) => (await stack.json('submit', stack.mail, '--from', 'taro@example.jp',
    ...to.flatMap((x) => ['--to', x]))).id;
  stack.done = (id) => waitFor(async () => {
    const m = await stack.json('message', 'show', id);
    return m.state === 'done' && m;
  }, { what: `${id} to be done`, timeout: 180000, interval: 200 });
  stack.collaborators = async () => (await stack.box.state()).collaborations.map((c) => c.login).sort();
  return stack;
}

test('recall after the notice: access goes, one recipient first, then all; what was not secured is said', async (t) => {
  const stack = await start(t);
  const id = await stack.send(...PEOPLE, INSIDE);
  const sent = await stack.done(id);
  assert.deepEqual(sent.branches.map((b) => b.kind).sort(), ['pass', 'secure']);
  assert.deepEqual(await stack.collaborators(), PEOPLE);

  const preview = await stack.json('message', 'recall', id, '--content', '--preview');
  assert.deepEqual([preview.can, preview.can_restore], [true, false]);
  assert.deepEqual(Object.fromEntries(preview.recipients.map((r) => [r.address, r.effect])),
    { [PEOPLE[0]]: 'remove', [PEOPLE[1]]: 'remove', [INSIDE]: 'plain' });
  assert.match((await stack.ctl('message', 'recall', id, '--preview')).stdout,
    /^hanako@partner\.example\.com +access will be taken away\n(.*\n)+This is a preview: nothing was changed\.\n$/);
  assert.deepEqual(await stack.collaborators(), PEOPLE, 'a preview changes nothing');

  const one = await stack.json('message', 'recall', id, '--recipient', PEOPLE[0]);
  assert.deepEqual(one.recipients, [{ address: PEOPLE[0], was_out: true, was_secured: true }]);
  await waitFor(async () => (await stack.collaborators()).length === 1, { what: 'one collaborator less' });
  assert.deepEqual(await stack.collaborators(), [PEOPLE[1]]);
  const back = await waitFor(async () => {
    const r = await stack.json('message', 'restore', id, '--recipient', PEOPLE[0], '--preview').catch(() => null);
    return r?.restored === 1 && r;
  }, { what: 'a restore to be possible' });
  assert.deepEqual([back.preview, back.recipients], [true, [{ address: PEOPLE[0], restored: true, reason: null }]]);
  assert.deepEqual(await stack.collaborators(), [PEOPLE[1]]);

  const all = await stack.ctl('message', 'recall', id, '--content');
  assert.equal(all.status, 0);
  assert.match(all.stdout, /hanako@partner\.example\.com +the notice was out; access is being taken away\n/);
  assert.match(all.stdout, /boss@example\.jp +the mail itself was sent, it was not secured: it cannot be taken back\n/);
  await waitFor(async () => (await stack.box.state()).files.length === 0, { what: 'the content to go' });
  await waitFor(async () => (await stack.json('message', 'show', id)).recipients
    .filter((r) => PEOPLE.includes(r.address)).every((r) => ['recalled', 'purged'].includes(r.grant)),
  { what: 'the ledger to show it' });
  const shown = (await stack.ctl('message', 'show', id)).stdout;
  assert.match(shown, /jiro@partner\.example\.com +sent, access purged/);
  assert.match(shown, /\n {8}.*  (active|pending), by upload\n/);
  assert.match(shown, /recalling, by recall \(operator\)\n/);
  const { history } = (await stack.json('message', 'show', id)).branches.find((b) => b.kind === 'secure');
  assert.deepEqual(history.slice(0, 2).map((h) => [h.address, h.source]).sort(), PEOPLE.map((a) => [a, 'upload']));
});

test('a branch that upload holds is released or rejected alone', async (t) => {
  const stack = await start(t);
  await stack.box.faults([{ match: { method: 'POST', path: '/2.0/folders' }, times: 1000,
    do: { status: 403, headers: {} } }]);
  const ids = [await stack.send(...PEOPLE, INSIDE), await stack.send(...PEOPLE, INSIDE)];
  const dead = await waitFor(async () => {
    const list = await stack.json('dead', 'list');
    return list.length === 2 && Object.fromEntries(list.map((d) => [d.message, d]));
  }, { what: 'two dead letters', timeout: 180000, interval: 300 });
  // Two mails inside, and two letters that tell their sender what is held.
  await waitFor(() => stack.relay.mails.length === 4, { what: 'the mails inside' });
  assert.deepEqual(stack.relay.mails.map((m) => m.to.join()).sort(), [INSIDE, INSIDE, 'taro@example.jp', 'taro@example.jp'],
    'nobody outside got anything');
  for (const m of stack.relay.mails.filter((x) => x.from === '')) assert.match(m.content, /^Message-ID: <held-/mi);
  assert.ok(ids.every((id) => dead[id].stage === 'upload'));
  const held = await stack.ctl('message', 'show', ids[0]);
  assert.match(held.stdout, /: held\n/);
  assert.match(held.stdout, /next: `fumibako dead list` has the id/);

  await stack.json('dead', 'release', dead[ids[0]].id);
  await stack.json('dead', 'reject', dead[ids[1]].id);
  const [released, rejected] = [await stack.done(ids[0]), await stack.done(ids[1])];
  assert.deepEqual(released.branches.map((b) => [b.kind, b.state]).sort(), [['pass', 'sent'], ['secure', 'sent']]);
  assert.deepEqual(rejected.branches.map((b) => [b.kind, b.state]).sort(), [['pass', 'sent'], ['secure', 'refused']]);
  const later = await waitFor(() => stack.relay.mails.length >= 6 && stack.relay.mails.slice(4), { what: 'the mail and the report' });
  assert.deepEqual(later.map((m) => [...m.to].sort()).sort(), [PEOPLE, ['taro@example.jp']].sort());
  const mail = later.find((m) => m.from !== '');
  assert.match(mail.content, /極秘です/); // released: as it came
  const report = later.find((m) => m.from === '');
  for (const person of PEOPLE) assert.ok(report.content.includes(person));
  assert.ok(!report.content.includes(INSIDE), 'who got it is not reported');
  assert.doesNotMatch(report.content, /極秘です/);
  await waitFor(async () => (await stack.json('spool', 'list')).count === 0, { what: 'an empty spool' });
});

test('a parcel that is open by one link is only recalled as a whole', async (t) => {
  const stack = await start(t);
  await stack.apply({ security_definitions: [{ name: 'link', access: 'anyone' }],
    rules: [{ name: 'all', action: 'secure', storage: 'box', security: 'link' }] });
  const id = await stack.send(...PEOPLE);
  await stack.done(id);
  const one = await stack.ctl('message', 'recall', id, '--recipient', PEOPLE[0]);
  assert.equal(one.status, 1);
  assert.match(one.stderr, /is open by one link \(access: anyone\): recall the whole message, without --recipient\n$/);
  const alone = await stack.ctl('message', 'recall', id, '--recipient', PEOPLE[0], '--preview', '--json', '--language', 'ja');
  assert.deepEqual([alone.status, JSON.parse(alone.stdout).can], [1, false]);
  assert.match(JSON.parse(alone.stdout).why_not, /全員からのみ取り消せます/);
  assert.ok((await stack.json('message', 'show', id)).recipients.every((r) => r.state === 'sent'), 'nothing was marked');
  const all = await stack.json('message', 'recall', id);
  assert.deepEqual(all.recipients.map((r) => r.was_out), [true, true]);
  await waitFor(async () => { const { revoke } = await stack.json('queue'); return revoke.waiting + revoke.inflight === 0; },
    { what: 'the recall to be carried out' });
  assert.equal((await stack.json('queue')).revoke.dead, 0);
});

test('a wiped Redis: ledger rebuild makes recall work again', async (t) => {
  const stack = await start(t);
  const id = await stack.send(...PEOPLE);
  const before = await stack.done(id);
  const notices = () => stack.relay.mails.filter((m) => m.from !== '').length; // letters to the sender have a null sender
  const mails = notices();
  assert.ok(mails > 0);
  // The ledger's end comes first: what is still in the spool would be taken up again, and not be rebuilt.
  await waitFor(async () => (await stack.json('spool', 'list')).count === 0, { what: 'an empty spool' });
  await stack.world.redis.command('FLUSHALL');
  const lost = await stack.ctl('message', 'show', id);
  assert.equal(lost.status, 1);
  const rebuilt = await stack.json('ledger', 'rebuild');
  assert.deepEqual([rebuilt.restored, rebuilt.known, rebuilt.in_flight, rebuilt.damaged], [1, 0, 0, 0]);
  assert.match((await stack.ctl('ledger', 'rebuild')).stdout,
    /^messages in flight: 0 enqueued again, 0 were known, 0 damaged\nparcels: 0 restored, 1 were known, 0 of messages in flight, 0 damaged\n$/);
  const after = await stack.json('message', 'show', id);
  for (const key of ['parcel', 'storage', 'folder', 'expires']) assert.equal(after.branches[0][key], before.branches[0][key], key);
  assert.deepEqual(after.recipients.map((r) => r.address), before.recipients.map((r) => r.address));
  const recall = await stack.json('message', 'recall', id);
  assert.deepEqual(recall.recipients.map((r) => r.was_out), [true, true]);
  await waitFor(async () => (await stack.collaborators()).length === 0, { what: 'access to go' });
  assert.equal(notices(), mails, 'nothing was sent again');
});
