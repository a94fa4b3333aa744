// SPDX-License-Identifier: Apache-2.0
// fumibako submit, message, queue, dead, spool, ledger: with the real Redis and the real services.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { waitFor } from '../../support/harness.mjs';
import { Desk, JAPANESE, PLAIN, POLICIES, run, tooDeep } from './kit.mjs';

const MINIMAL = path.join(POLICIES, 'minimal.yaml');
const REJECT = 'rules:\n  - {name: no, when: {subject: ["plain"]}, action: reject}\n';

async function submit(desk, content, { from = 'taro@example.jp', to = ['hanako@example.com'] } = {}) {
  const r = await desk.json('submit', desk.write('m.eml', content), '--from', from, ...to.flatMap((x) => ['--to', x]));
  assert.match(r.id, /^[0-9A-Z]{26}$/);
  await waitFor(async () => (await desk.redis.command('HEXISTS', `fb:{s0}:m:${r.id}`, 'queued')) === 1, { what: 'the job' });
  return r.id;
}

const isReady = async (desk, stage, n) =>
  waitFor(async () => (await desk.json('queue'))[stage].dead === n, { what: `${n} dead of ${stage}` });

/** The ledger's record; ingest makes it right behind its answer, not before. */
const recorded = (desk, id) => waitFor(() => desk.json('message', 'show', id), { what: `the record of ${id}` });

test('submit hands a mail with LF or CRLF to ingest and prints its id', async (t) => {
  const desk = await Desk.create(t);
  await desk.world.start('ingest');
  for (const content of [PLAIN, PLAIN.replace(/\n/g, '\r\n'), JAPANESE]) {
    const r = await desk.ok('submit', desk.write('m.eml', content), '--from', 'a@example.jp', '--to', 'b@example.com', '--to',
      'c@example.com');
    assert.match(r.stdout, /^[0-9A-Z]{26}\n$/);
    const shown = await recorded(desk, r.stdout.trim());
    assert.deepEqual(shown.recipients.map((x) => [x.address, x.state]), [['b@example.com', 'waiting'], ['c@example.com', 'waiting']]);
    assert.equal(shown.from, 'a@example.jp');
  }
  const sizes = (await desk.json('spool', 'list')).messages.map((m) => m.size).sort((a, b) => a - b);
  assert.equal(sizes[0], sizes[1]);
  const bounce = await desk.json('submit', desk.write('m.eml', PLAIN), '--from', '', '--to', 'b@example.com');
  assert.equal((await recorded(desk, bounce.id)).from, '');
});

test('submit: what is refused says why and what to do', async (t) => {
  const desk = await Desk.create(t);
  const mail = desk.write('m.eml', PLAIN);
  const who = ['--from', 'a@example.jp', '--to', 'b@example.com'];
  const usage = await desk.ctl('submit', mail, '--to', 'b@example.com');
  assert.equal(usage.status, 2);
  assert.match(usage.stderr, /submit needs --from A \("" for the null sender\) and at least one --to B/);
  const away = await desk.ctl('submit', mail, ...who);
  assert.equal(away.status, 1);
  assert.match(away.stderr, /^fumibako: ingest at 127\.0\.0\.1:\d+: .*; is fumibako-ingest running\?\n$/);
  await desk.world.start('ingest');
  const gone = await desk.ctl('submit', '/nonexistent.eml', ...who);
  assert.equal(gone.status, 1);
  assert.match(gone.stderr, /^fumibako: \/nonexistent\.eml: No such file/);
  const folder = await desk.ctl('submit', desk.world.dir, ...who);
  assert.equal(folder.status, 1);
  assert.match(folder.stderr, /is not a file/);
  for (const [from, to, words] of [['nobody', 'b@example.com', /X-Mail-From/], ['a@example.jp', 'no body', /X-Rcpt-To/],
    ['a@example.jp\r\nX-Evil: 1', 'b@example.com', /--from.*control character/]]) {
    const r = await desk.ctl('submit', mail, '--from', from, '--to', to, '--json');
    assert.equal(r.status === 1 || r.status === 2, true);
    assert.match(r.json().error.message, words);
  }
  const empty = await desk.ctl('submit', desk.write('empty.eml', ''), ...who);
  assert.equal(empty.status, 1);
  assert.match(empty.stderr, /The message is empty/);
  const off = await run(['--config', desk.write('off.yaml', JSON.stringify(desk.world.config('ingest',
    { ingest: { token: '' } }))), 'submit', mail, ...who]);
  assert.equal(off.status, 78);
  assert.match(off.stderr, /set ingest\.http and ingest\.token_file/);
  const wrong = await run(['--config', desk.write('wrong.yaml', JSON.stringify(desk.world.config('ingest',
    { ingest: { token: 'x'.repeat(40) } }))), 'submit', mail, ...who]);
  assert.equal(wrong.status, 1);
  assert.match(wrong.stderr, /ingest answered 401: .*token/);
});

test('message list filters by sender, recipient, state and time', async (t) => {
  const desk = await Desk.create(t);
  await desk.world.start('ingest');
  assert.deepEqual(await desk.json('message', 'list'), []);
  assert.equal((await desk.ok('message', 'list')).stdout, 'no message\n');
  const a = await submit(desk, PLAIN, { from: 'Taro@Example.jp', to: ['b@example.com'] });
  const b = await submit(desk, PLAIN, { from: 'jiro@example.jp', to: ['b@example.com', 'c@example.com'] });
  const ids = async (...args) => (await desk.json('message', 'list', ...args)).map((m) => m.id);
  assert.deepEqual(await ids(), [b, a]);
  assert.deepEqual(await ids('--limit', '1'), [b]);
  assert.deepEqual(await ids('--sender', 'taro@example.jp'), [a]);
  assert.deepEqual(await ids('--sender', 'taro@example.jp', '--limit', '1'), [a]);
  assert.deepEqual(await ids('--recipient', 'C@example.com'), [b]);
  assert.deepEqual(await ids('--recipient', 'b@example.com', '--sender', 'jiro@example.jp'), [b]);
  assert.deepEqual(await ids('--state', 'queued'), [b, a]);
  assert.deepEqual(await ids('--state', 'done'), []);
  assert.deepEqual(await ids('--since', '1h'), [b, a]);
  assert.deepEqual(await ids('--until', '1h'), []);
  assert.deepEqual(await ids('--since', '2020-01-01', '--until', '2020-01-02T10:00:00'), []);
  // As the JSON gives it, whatever the zone here.
  const zoned = async (...args) => (await run(['--config', desk.config, 'message', 'list', '--json', ...args], { env: { TZ: 'Asia/Tokyo' } })).json();
  const [{ accepted }] = await zoned();
  const later = (ms) => new Date(Date.parse(accepted) + ms).toISOString().replace('.000', '');
  assert.equal((await zoned('--until', later(1000))).length, 2);
  assert.equal((await zoned('--until', later(-3600000))).length, 0);
  const wrong = await desk.ctl('message', 'list', '--since', 'yesterday');
  assert.equal(wrong.status, 2);
  assert.match(wrong.stderr, /--since and --until take 2026-11-25, 2026-11-25T10:15:00, or 2h, 3d/);
  const unknown = await desk.ctl('message', 'show', '01ARZ3NDEKTSV4RRFFQ69G5FAV');
  assert.equal(unknown.status, 1);
  assert.match(unknown.stderr, /the ledger does not know message/);
  assert.equal((await desk.ctl('message', 'show', 'x', '--json')).json().error.code, 'not_found');
});

test('recall says for each recipient whether it was stopped in time', async (t) => {
  const desk = await Desk.create(t);
  await desk.world.start('ingest');
  const relay = await desk.relay();
  await desk.ok('policy', 'apply', MINIMAL);
  const stopped = await submit(desk, PLAIN, { to: ['b@example.com', 'c@example.com'] });
  const nobody = await desk.ctl('message', 'recall', stopped, '--recipient', 'x@example.com');
  assert.equal(nobody.status, 1);
  assert.match(nobody.stderr, /x@example\.com is no recipient of message/);
  const one = await desk.ok('message', 'recall', stopped, '--recipient', 'B@example.com');
  assert.match(one.stdout, /^b@example\.com +stopped before anything was sent\nnext: `fumibako message report [0-9A-Z]{26}` says/);
  assert.doesNotMatch(one.stdout, /restore/, 'there is no access to give back');
  assert.deepEqual((await desk.json('message', 'show', stopped)).recipients.map((r) => r.state), ['recalled', 'waiting']);

  await desk.world.start('render');
  await desk.world.start('rewrite');
  await waitFor(async () => (await desk.json('message', 'show', stopped)).state === 'done', { what: 'the end' });
  assert.deepEqual(relay.mails.map((m) => m.to), [['c@example.com']]);
  const late = await desk.json('message', 'recall', stopped);
  assert.deepEqual(late.recipients, [{ address: 'b@example.com', was_out: false, was_secured: false },
    { address: 'c@example.com', was_out: true, was_secured: false }]);
  assert.match((await desk.ok('message', 'recall', stopped)).stdout,
    /c@example\.com +the mail itself was sent, it was not secured: it cannot be taken back/);
});

test('held mail: listed with its reason, and tried again', async (t) => {
  const desk = await Desk.create(t);
  await desk.ok('policy', 'apply', MINIMAL);
  await desk.world.start('ingest');
  await desk.world.start('render');
  assert.equal((await desk.ok('dead', 'list')).stdout, 'no mail is held\n');
  const id = await submit(desk, tooDeep());
  await isReady(desk, 'render', 1);
  const [dead] = await desk.json('dead', 'list');
  assert.deepEqual([dead.message, dead.stage, dead.status], [id, 'render', 'too_big']);
  assert.match(dead.id, /^s0-\d+-\d+$/);
  assert.doesNotMatch(JSON.stringify(dead), /secret content/);
  assert.match((await desk.ok('dead', 'list')).stdout, /too_big: .*\n    from taro@example\.jp to hanako@example\.com\nnext: fumibako dead retry ID, dead release ID/);
  const shown = await desk.ok('dead', 'show', dead.id);
  assert.match(shown.stdout, new RegExp(`dead release ${dead.id}\\n +Sends the mail as it came, .*UNPROTECTED`));
  const { explained, ...same } = await desk.json('dead', 'show', dead.id);
  assert.deepEqual(same, dead);
  assert.match(explained.what, /A limit of size, depth or number was passed/);
  const message = await desk.json('message', 'show', id);
  assert.equal(message.state, 'held');
  assert.match(message.branches[0].reason, /^too_big\|/);

  assert.deepEqual(await desk.json('dead', 'retry', dead.id), { id: dead.id, message: id, action: 'retry', untold: null });
  await isReady(desk, 'render', 1); // held again: the mail has not changed
  const [again] = await desk.json('dead', 'list');
  assert.notEqual(again.id, dead.id);
  for (const verb of ['show', 'retry', 'release', 'reject']) {
    const r = await desk.ctl('dead', verb, dead.id);
    assert.equal(r.status, 1, verb);
    assert.match(r.stderr, /is not there \(any more\)|no dead letter/);
    assert.equal((await desk.ctl('dead', verb, 'rubbish', '--json')).json().error.code, 'not_found');
  }
});

test('release sends held mail on untouched, reject tells its sender; both once', async (t) => {
  const desk = await Desk.create(t);
  const relay = await desk.relay();
  await desk.ok('policy', 'apply', MINIMAL);
  await desk.world.start('ingest');
  await desk.world.start('render');
  const released = await submit(desk, tooDeep(), { to: ['b@example.com', 'c@example.com'] });
  await isReady(desk, 'render', 1);
  const rejected = await submit(desk, tooDeep());
  await isReady(desk, 'render', 2);
  const dead = Object.fromEntries((await desk.json('dead', 'list')).map((d) => [d.message, d.id]));
  assert.match((await desk.ok('dead', 'release', dead[released])).stdout, /goes on UNPROTECTED, as it came/);
  assert.equal((await desk.ctl('dead', 'release', dead[released])).status, 1);
  assert.equal((await desk.json('dead', 'reject', dead[rejected])).action, 'reject');
  await desk.world.start('rewrite');
  await waitFor(() => relay.mails.length === 2, { what: 'two mails at the relay' });
  const report = relay.mails.find((m) => m.from === '');
  const mail = relay.mails.find((m) => m.from !== '');
  assert.deepEqual([mail.from, mail.to.sort()], ['taro@example.jp', ['b@example.com', 'c@example.com']]);
  assert.match(mail.content, /secret content/);
  assert.deepEqual(report.to, ['taro@example.jp']);
  assert.match(report.content, /Final-Recipient: rfc822; ?hanako@example\.com/i);
  for (const [id, state] of [[released, 'sent'], [rejected, 'refused']]) {
    const message = await waitFor(async () => {
      const m = await desk.json('message', 'show', id);
      return m.state === 'done' && m;
    }, { what: `${id} to be done` });
    if (message.branches.length > 0) assert.equal(message.branches[0].state, state);
  }
  await waitFor(async () => (await desk.json('spool', 'list')).count === 0, { what: 'an empty spool' });
  assert.deepEqual(await desk.json('dead', 'list'), []);
});

test('a mail that was through already is recognised by policy test, and only with our key', async (t) => {
  const desk = await Desk.create(t);
  const relay = await desk.relay();
  await desk.ok('policy', 'apply', MINIMAL);
  for (const service of ['ingest', 'render', 'rewrite']) await desk.world.start(service);
  await submit(desk, PLAIN, { to: ['b@example.com'] });
  await waitFor(() => relay.mails.length === 1, { what: 'the mail' });
  const through = desk.write('through.eml', relay.mails[0].content);
  const ask = async (config, to) => {
    const r = await run([...config, 'policy', 'test', through, desk.write('p.yaml', REJECT), '--from', 'taro@example.jp', '--to', to,
      '--json']);
    assert.equal(r.status, 0, r.stdout);
    return [r.json().mail.is_already_through, r.json().recipients[0].action, r.json().recipients[0].reason];
  };
  assert.deepEqual(await ask(['--config', desk.config], 'b@example.com'), [true, 'pass', 'already through']);
  assert.deepEqual(await ask(['--config', desk.config], 'other@example.com'), [false, 'reject', 'rule']);
  assert.deepEqual(await ask([], 'b@example.com'), [false, 'reject', 'rule']);
  const other = desk.write('other.yaml', JSON.stringify(desk.world.config('ingest', { rewrite: { key: 'x'.repeat(40) } })));
  assert.deepEqual(await ask(['--config', other], 'b@example.com'), [false, 'reject', 'rule']);
});

test('a letter to a sender that comes through us is recognised, for this sender alone', async (t) => {
  const desk = await Desk.create(t);
  const relay = await desk.relay();
  await desk.ok('policy', 'apply', MINIMAL);
  for (const service of ['ingest', 'render', 'rewrite']) await desk.world.start(service);
  await submit(desk, tooDeep());
  await waitFor(() => relay.mails.length === 1, { what: 'the letter' });
  assert.deepEqual([relay.mails[0].from, relay.mails[0].to], ['', ['taro@example.jp']]);
  const letter = desk.write('letter.eml', relay.mails[0].content);
  const policy = desk.write('p.yaml', 'rules:\n  - {name: no, action: reject}\n');
  const ask = async (to) => {
    const r = await desk.ctl('policy', 'test', letter, policy, '--from', '', '--to', to, '--json');
    assert.equal(r.status, 0, r.stdout);
    return [r.json().mail.is_already_through, r.json().recipients[0].action];
  };
  assert.deepEqual(await ask('taro@example.jp'), [true, 'pass']);
  assert.deepEqual(await ask('hanako@example.com'), [false, 'reject']);
});

test('--json: every command answers with one JSON value, good or bad', async (t) => {
  const desk = await Desk.create(t);
  await desk.world.start('ingest');
  await desk.ok('policy', 'apply', MINIMAL);
  const id = await submit(desk, PLAIN);
  const mail = desk.write('m.eml', PLAIN);
  const who = ['--from', 'a@b.jp', '--to', 'c@d.jp'];
  for (const [args, status] of [
    [['policy', 'check', MINIMAL], 0], [['policy', 'check', '/nonexistent'], 1], [['policy', 'show'], 0],
    [['policy', 'apply', MINIMAL], 0], [['policy', 'apply', '/nonexistent'], 1], [['policy', 'history'], 0],
    [['policy', 'diff', '1'], 0], [['policy', 'diff', '99'], 1], [['policy', 'rollback', '1'], 0], [['policy', 'rollback', 'x'], 1], [['overview'], 0],
    [['policy', 'test', mail, ...who], 0], [['policy', 'test', mail], 2], [['policy', 'test', '/nonexistent', ...who], 1],
    [['message', 'list'], 0], [['message', 'list', '--since', 'x'], 2], [['message', 'show', id], 0],
    [['message', 'show', 'x'], 1], [['message', 'recall', id], 0], [['message', 'recall', 'x'], 1], [['queue'], 0],
    [['dead', 'list'], 0], [['dead', 'show', 'x'], 1], [['dead', 'retry', 'x'], 1], [['dead', 'release', 'x'], 1],
    [['dead', 'reject', 'x'], 1], [['spool', 'list'], 0], [['spool', 'replay'], 0], [['ledger', 'rebuild'], 0],
    [['doctor'], 1], [['submit', mail, ...who], 0], [['submit', mail], 2], [['submit', '/nonexistent', ...who], 1],
  ]) {
    const r = await desk.ctl(...args, '--json');
    assert.equal(r.status, status, `${args.join(' ')}: ${r.stdout}${r.stderr}`);
    const value = r.json();
    assert.ok(value !== null && typeof value === 'object', args.join(' '));
    if (status !== 0 && args[0] !== 'doctor') {
      assert.equal(typeof value.error?.message, 'string', args.join(' '));
      assert.equal(typeof value.error?.code, 'string', args.join(' '));
    }
  }
});

test('queue shows every stage, as text and as JSON', async (t) => {
  const desk = await Desk.create(t);
  await desk.world.start('ingest');
  await submit(desk, PLAIN);
  const queue = await desk.json('queue');
  assert.deepEqual(Object.keys(queue), ['render', 'upload', 'rewrite', 'revoke', 'alarms', 'due']);
  assert.equal(queue.render.waiting, 1);
  assert.match((await desk.ok('queue')).stdout, /^stage +waiting +inflight +bulk +delayed +dead +oldest\nrender +1 +0 +0 +0 +0 +\d+\.\d s\n/);
});

test('spool replay brings everything back after Redis was wiped', async (t) => {
  const desk = await Desk.create(t);
  const ingest = await desk.world.start('ingest');
  const ids = [];
  for (let i = 0; i < 5; i++) ids.push(await submit(desk, PLAIN));
  const list = await desk.json('spool', 'list');
  assert.deepEqual([list.count, list.damaged, list.messages.map((m) => m.id).sort()], [5, 0, [...ids].sort()]);
  assert.equal((await desk.json('spool', 'list', '--limit', '2')).messages.length, 2);
  assert.match((await desk.ok('spool', 'list')).stdout, /5 messages in flight, \d+ bytes, 0 damaged records\n$/);
  assert.deepEqual(await desk.json('spool', 'replay'), { enqueued: 0, known: 5, damaged: 0 });
  await ingest.stop(); // it would replay by itself
  await desk.redis.command('FLUSHALL');
  assert.equal((await desk.ctl('message', 'show', ids[0])).status, 1);
  assert.match((await desk.ok('spool', 'replay')).stdout, /^5 enqueued again, 0 were known, 0 damaged\n$/);
  assert.deepEqual(await desk.json('spool', 'replay'), { enqueued: 0, known: 5, damaged: 0 });
  assert.equal(await desk.redis.command('XLEN', 'fb:{s0}:render'), 5);
  assert.equal((await desk.json('message', 'show', ids[0])).from, 'taro@example.jp');
});

test('spool list with the wrong key or none says so', async (t) => {
  const desk = await Desk.create(t, { redis: false });
  fs.rmSync(desk.world.keyFile);
  const r = await desk.ctl('spool', 'list');
  assert.equal(r.status, 78);
  assert.match(r.stderr, /spool\.key: No such file/);
});

test('a rule that rejects: the report is told by message show', async (t) => {
  const desk = await Desk.create(t);
  const relay = await desk.relay();
  await desk.ok('policy', 'apply', desk.write('p.yaml', REJECT));
  for (const service of ['ingest', 'render', 'rewrite']) await desk.world.start(service);
  const id = await submit(desk, PLAIN);
  await waitFor(async () => (await desk.json('message', 'show', id)).state === 'done', { what: 'the end' });
  assert.equal(relay.mails.length, 1);
  assert.match((await desk.ok('message', 'show', id)).stdout, /reject by rule "no": refused/);
});

test('Redis away: every command that needs it says so and ends with 1', async (t) => {
  const desk = await Desk.create(t, { redis: false });
  for (const args of [['queue'], ['dead', 'list'], ['dead', 'show', 's0-1-1'], ['message', 'list'], ['message', 'show', 'x'],
    ['policy', 'show'], ['policy', 'history'], ['spool', 'replay'], ['ledger', 'rebuild']]) {
    const r = await desk.ctl(...args);
    assert.equal(r.status, 1, args.join(' '));
    assert.match(r.stderr, args.at(-1) === 'x' ? /not a message id/ : args.at(-1) === 's0-1-1' ? /redis: connect/
      : /redis: connect: Connection refused; is Redis running\? `fumibako doctor` looks at everything\n$/, args.join(' '));
    const json = await desk.ctl(...args, '--json');
    assert.doesNotThrow(() => json.json(), args.join(' '));
  }
});

test('usage: no command, an unknown one, too many words; help and version', async () => {
  for (const args of [[], ['polish'], ['policy'], ['policy', 'polish'], ['policy', 'check'], ['policy', 'check', 'a', 'b'],
    ['queue', '--wrong'], ['message', 'list', '--limit', '0'], ['message', 'list', '--limit', 'x']]) {
    const r = await run(args);
    assert.equal(r.status, 2, args.join(' '));
    assert.equal(r.stdout, '');
    assert.match(r.stderr, /usage: fumibako \[--config FILE\] \[--json\] COMMAND/);
  }
  assert.match((await run(['polish', 'x'])).stderr, /^fumibako: there is no such command: polish x\n/);
  assert.match((await run(['policy', 'check'])).stderr, /^fumibako: policy check is called as: policy check FILE \[--language ja\|en\]\n/);
  assert.match((await run(['queue', '--limit', '-1'])).stderr, /^fumibako: --limit takes a number above 0\n/);
  const many = await run(['policy', 'test', 'm', 'p', '--from', 'a@b', ...Array(1001).fill(['--to', 'c@d']).flat()]);
  assert.equal(many.status, 2);
  assert.match(many.stderr, /^fumibako: more than 1000 --to\n/);
  const help = await run(['--help']);
  assert.equal(help.status, 0);
  assert.match(help.stdout, /exit: 0 done, 1 failed \(or the check found errors\), 2 usage, 78 bad configuration\n$/);
  assert.match(help.stdout, /--pending/);
  assert.match(help.stdout, /message restore ID/);
  assert.ok(help.stdout.split('\n').every((l) => l.length <= 120));
  assert.match((await run(['--version'])).stdout, /^fumibako \d+\.\d+\.\d+\n$/);
});

test('bad configuration is 78 for every command that reads it', async (t) => {
  const desk = await Desk.create(t, { redis: false });
  const config = desk.write('bad.yaml', 'redis: {url: "redis://127.0.0.1:1/0", shrads: 1}\n');
  for (const args of [['queue'], ['dead', 'list'], ['policy', 'show'], ['spool', 'list'], ['doctor'],
    ['submit', 'x', '--from', 'a@b', '--to', 'c@d']]) {
    const r = await run(['--config', config, ...args]);
    assert.equal(r.status, 78, args.join(' '));
    assert.match(r.stdout + r.stderr, /bad\.yaml:1: redis\.shrads/, args.join(' '));
  }
  assert.equal((await run(['queue', '--json'], { env: { FUMIBAKO_CONFIG: config } })).json().error.code, 'config');
});
