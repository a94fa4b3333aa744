// SPDX-License-Identifier: Apache-2.0
// What the console does, by the command line: audit, dry run, hits, figures, search, previews, accounts.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import os from 'node:os';
import test from 'node:test';
import { awayFromMidnight, waitFor } from '../../support/harness.mjs';
import { Desk, PLAIN, run, tooDeep } from './kit.mjs';

const ME = `${os.userInfo().username}@shell`;
const PASS = 'rules:\n  - {name: inside, when: {to: ["@example.com"]}, action: pass}\n';
const REJECT = 'rules:\n  - {name: no, when: {subject: ["plain"]}, action: reject}\n';
const sha = (text) => createHash('sha256').update(text).digest('hex');

async function submit(desk, content, to = ['hanako@example.com']) {
  const r = await desk.json('submit', desk.write('m.eml', content), '--from', 'taro@example.jp', ...to.flatMap((x) => ['--to', x]));
  await waitFor(async () => (await desk.redis.command('HEXISTS', `fb:{s0}:m:${r.id}`, 'queued')) === 1, { what: 'the job' });
  return r.id;
}
const comesTo = (desk, id, state) => waitFor(async () => (await desk.json('message', 'show', id)).state === state,
  { what: `${id} to be ${state}` });

test('each change is a line of the audit: who, what, before and after; what was refused is none', async (t) => {
  const desk = await Desk.create(t);
  await desk.world.start('ingest');
  await desk.world.start('render');
  assert.deepEqual(await desk.json('audit', 'list'), []);
  assert.equal((await desk.ok('audit', 'list')).stdout, 'no line\n');
  const pass = desk.write('pass.yaml', PASS);
  await desk.ok('policy', 'apply', pass, '--comment', '最初の版');
  await desk.ok('policy', 'apply', desk.write('reject.yaml', REJECT), '--if-version', sha(PASS));
  assert.equal((await desk.ctl('policy', 'apply', desk.write('bad.yaml', 'rules: 1\n'))).status, 1);
  assert.equal((await desk.ctl('policy', 'apply', pass, '--if-version', sha(PASS))).status, 1, 'another one is in force');
  await desk.ok('policy', 'rollback', '1');
  assert.equal((await desk.ok('policy', 'show', '2')).stdout, REJECT);
  assert.equal((await desk.json('policy', 'show', '1')).version, sha(PASS));
  assert.deepEqual((await desk.json('policy', 'history', '--after', '3')).map((v) => v.number), [2, 1]);
  const diff = await desk.json('policy', 'diff', '--file', desk.write('reject.yaml', REJECT));
  assert.deepEqual([diff.from, diff.to, diff.added, diff.removed], [sha(PASS), sha(REJECT), 1, 1]);
  assert.equal((await desk.json('policy', 'diff', '2', '--file', desk.write('reject.yaml', REJECT))).added, 0);
  assert.equal((await desk.ctl('policy', 'diff')).status, 2);
  const stopped = await submit(desk, PLAIN, ['hanako@example.com', 'jiro@example.com', 'saburo@example.com']);
  await comesTo(desk, stopped, 'planned'); // rewrite is not there: it waits
  await desk.ok('message', 'recall', stopped, '--recipient', 'hanako@example.com', '--recipient', 'jiro@example.com', '--reason', '誤送信');
  assert.equal((await desk.ctl('message', 'recall', stopped, '--recipient', 'x@example.com')).status, 1);
  await submit(desk, tooDeep());
  const [dead] = await waitFor(async () => {
    const list = await desk.json('dead', 'list');
    return list.length === 1 && list;
  }, { what: 'held mail' });
  assert.deepEqual([dead.from, dead.subject, dead.recipients], ['taro@example.jp', null, ['hanako@example.com']]);
  assert.ok(Date.parse(dead.ends_at) > Date.now());
  await desk.ok('dead', 'reject', dead.id, '--reason', 'not ours');
  await desk.ok('user', 'add', 'Anna', 'operator');
  await desk.ok('spool', 'replay');

  const all = await desk.json('audit', 'list');
  assert.deepEqual(all.map((e) => e.action), ['user.create', 'held.reject', 'message.recall', 'policy.rollback', 'policy.put', 'policy.put']);
  assert.ok(all.every((e) => e.user === ME && e.by === 'command' && e.role === ''));
  const [user, held, recall, back, second, first] = all;
  assert.deepEqual([first.before, first.after], [{ version: '' }, { version: sha(PASS), comment: '最初の版' }]);
  assert.deepEqual([second.before.version, second.after.version], [sha(PASS), sha(REJECT)]);
  assert.deepEqual([back.before.version, back.after.version], [sha(REJECT), sha(PASS)]);
  assert.deepEqual([recall.object, recall.after.recipients, recall.after.reason, recall.after.content],
    [`message ${stopped}`, ['hanako@example.com', 'jiro@example.com'], '誤送信', false]);
  assert.deepEqual([held.object, held.before.stage, held.before.status, held.after], [`held ${dead.id}`, 'render', 'too_big',
    { action: 'reject', reason: 'not ours' }]);
  assert.deepEqual([user.object, user.before, user.after.role], ['user anna', null, 'operator']);

  const actions = async (...args) => (await desk.json('audit', 'list', ...args)).map((e) => e.action);
  assert.deepEqual(await actions('--action', 'policy'), ['policy.rollback', 'policy.put', 'policy.put']);
  assert.deepEqual(await actions('--action', 'policy.put', '--limit', '1'), ['policy.put']);
  assert.deepEqual(await actions('--object', 'user anna'), ['user.create']);
  assert.deepEqual(await actions('--user', 'somebody'), []);
  assert.deepEqual(await actions('--until', '1h'), []);
  assert.equal((await actions('--since', '1h')).length, 6);
  assert.deepEqual(await actions('--limit', '2', '--after', recall.id), ['policy.rollback', 'policy.put']);
  const text = await desk.ok('audit', 'list', '--limit', '3');
  assert.ok(text.stdout.includes(`${ME} (command)  message.recall  message ${stopped}\n    after  {"`), text.stdout);
  assert.match(text.stdout, new RegExp(`older ones: --after ${recall.id}\n$`));
  assert.equal((await desk.ctl('audit', 'list', '--after', 'x')).status, 2);
  assert.equal((await desk.ctl('audit', 'list', '--since', 'x')).status, 2);

  const lines = (await desk.ok('audit', 'export')).stdout.trim().split('\n').map((l) => JSON.parse(l));
  assert.deepEqual(lines, all);
  assert.deepEqual(await desk.json('audit', 'export'), all);
  assert.deepEqual(await desk.json('audit', 'export', '--user', 'x'), []);
  const csv = (await desk.ok('audit', 'export', '--format', 'csv', '--action', 'policy')).stdout.split('\r\n');
  assert.equal(csv.length, 5);
  assert.equal(csv[0], '"time","user","role","by","address","action","object","before","after"');
  assert.ok(csv[3].includes('最初の版'));
  assert.equal((await desk.ctl('audit', 'export', '--format', 'xlsx')).status, 2);
});

test('policy dry-run, hits and figures; mails by subject, page by page; previews change nothing', async (t) => {
  await awayFromMidnight();
  const desk = await Desk.create(t);
  await desk.relay();
  await desk.ok('policy', 'apply', desk.write('pass.yaml', PASS));
  assert.match((await desk.ok('policy', 'dry-run', desk.write('pass.yaml', PASS))).stdout, /there is no mail to look at yet/);
  for (const service of ['ingest', 'render', 'rewrite']) await desk.world.start(service);
  const ids = [];
  for (const subject of ['plain', 'Quarterly figures', 'plain']) {
    ids.unshift(await submit(desk, PLAIN.replace('Subject: plain', `Subject: ${subject}`)));
    await comesTo(desk, ids[0], 'done');
  }

  const dry = await desk.json('policy', 'dry-run', desk.write('reject.yaml', REJECT));
  assert.deepEqual([dry.messages, dry.recipients, dry.changed, dry.same, dry.unknown], [3, 3, 3, 0, 0]);
  assert.deepEqual(dry.changes.find((x) => x.after.rule === 'no'),
    { before: { action: 'pass', rule: 'inside' }, after: { action: 'reject', rule: 'no' }, count: 2 });
  assert.deepEqual(dry.items.map((i) => [i.message, i.subject]), ids.map((id, i) => [id, i === 1 ? 'Quarterly figures' : 'plain']));
  assert.equal((await desk.json('policy', 'dry-run', desk.write('reject.yaml', REJECT), '--mails', '1')).messages, 1);
  const words = desk.write('body.yaml', 'rules:\n  - {name: 極秘の本文, when: {body: ["極秘"]}, action: reject}\n');
  const unknown = await desk.json('policy', 'dry-run', words);
  assert.deepEqual([unknown.unknown, unknown.unknown_rules], [3, [{ rule: '極秘の本文', count: 3 }]]);
  assert.match((await desk.ok('policy', 'dry-run', words, '--language', 'en')).stdout,
    /^of the last 3 mails \(3 recipients\), 0 recipients .*\n3 recipients cannot be judged: .*\n.*`fumibako policy test MAIL POLICY`.*\n +3  極秘の本文\n$/);
  assert.match((await desk.ok('policy', 'dry-run', words, '--language', 'ja')).stdout,
    /^3 通 \(3 宛先\) のうち、0 宛先の扱いが変わります。\n3 宛先は判定できません。/);
  assert.match((await desk.ctl('policy', 'dry-run', desk.write('bad.yaml', 'rules: 1\n'))).stderr, /has errors: `fumibako policy check /);
  assert.equal((await desk.ctl('policy', 'dry-run', words, '--mails', '1001')).status, 2);

  const [hit] = await desk.json('policy', 'hits');
  assert.deepEqual([hit.rule, hit.today, hit.month, hit.shadow_month], ['inside', 3, 3, 0]);
  assert.match((await desk.ok('policy', 'hits')).stdout, / 3 +3 +3 +0 +0 +0  inside\n/);
  const series = await desk.json('overview', '--range', 'hour');
  assert.equal(series.accepted.reduce((a, b) => a + b), 3);
  assert.equal(series.times.length, 13);
  const day = (await desk.ok('overview', '--range', 'day')).stdout;
  assert.match(day, /^from +accepted +secured .*\n/);
  const rows = [...day.matchAll(/^20\d\d-\d\d-\d\d \d\d:\d\d:\d\d +(\d+) /gm)].map(([, n]) => Number(n));
  assert.equal(rows.reduce((a, b) => a + b, 0), 3, day); // an hour may have begun in between
  assert.equal((await desk.ctl('overview', '--range', 'year')).status, 2);
  const system = await desk.json('system');
  assert.match(system.redis.version, /^\d+\./);
  assert.ok(system.processes.some((p) => p.service === 'fumibako-rewrite'));
  assert.match((await desk.ok('system')).stdout, /^Fumibako \d.*, policy from redis\nRedis \d.*\n(.*\n)*fumibako-render +\S+, asked for work/);

  const list = async (...args) => (await desk.json('message', 'list', ...args)).map((m) => m.id);
  assert.deepEqual(await list('--subject', 'QUARTER'), [ids[1]]);
  assert.deepEqual(await list('--subject', 'plain', '--sender', 'taro@example.jp'), [ids[0], ids[2]]);
  assert.deepEqual(await list('--limit', '2'), ids.slice(0, 2));
  // Accepted a moment after its id was made, as it is under load.
  await desk.world.redis.command('HINCRBY', `fb:{s0}:m:${ids[1]}`, 'at', '5');
  assert.deepEqual(await list('--limit', '2', '--after', ids[1]), [ids[2]]);
  assert.deepEqual(await list('--state', 'open'), []);
  assert.equal((await desk.ctl('message', 'list', '--state', 'lost')).status, 2);
  const page = await desk.ok('message', 'list', '--limit', '1');
  assert.match(page.stdout, new RegExp(`^${ids[0]}  .* done +taro@example\\.jp -> 1 recipient  "plain"\n$`));
  assert.equal(page.stderr, `older ones: --after ${ids[0]}\n`);

  const shown = await desk.json('message', 'show', ids[0]);
  assert.equal(shown.subject, 'plain');
  assert.deepEqual(shown.recipients[0].timeline.map((e) => [e.what, e.source]), [['accepted', 'ingest'], ['sent', 'rewrite']]);
  assert.match((await desk.ok('message', 'show', ids[0])).stdout,
    /\n {2}subject "plain"\n(.*\n)+ {8}20.*  accepted, by ingest\n {8}20.*  sent, by rewrite\n$/);

  const audit = (await desk.json('audit', 'list')).length;
  const preview = await desk.json('message', 'recall', ids[0], '--preview');
  assert.deepEqual([preview.preview, preview.can, preview.can_restore, preview.recipients[0].effect], [true, true, true, 'plain']);
  assert.match((await desk.ok('message', 'recall', ids[0], '--preview', '--language', 'ja')).stdout,
    /^hanako@example\.com +保護されずにそのまま送信済みのため、取り消せません\n(.*\n)+確認のみです。何も変更していません。\n$/);
  const restore = await desk.ctl('message', 'restore', ids[0], '--preview', '--json');
  assert.deepEqual([restore.status, restore.json().preview, restore.json().recipients[0].restored], [1, true, false]);
  assert.equal((await desk.json('audit', 'list')).length, audit);
  assert.deepEqual((await desk.json('message', 'report', ids[0])).recalls, []);
});

test('accounts: off and on, tokens and what is known of them; an option that a command does not know stops it', async (t) => {
  const desk = await Desk.create(t);
  await desk.ok('user', 'add', 'root', 'admin');
  await desk.ok('user', 'add', 'anna', 'operator');
  const made = await desk.json('user', 'token', 'anna', 'backup', '--role', 'auditor', '--days', '7');
  assert.match(made.token, /^fbt\.[\w-]+\.[\w-]{43}$/);
  assert.ok(Math.abs(Date.parse(made.until) - Date.now() - 7 * 86400000) < 60000);
  const shown = await desk.json('user', 'show', 'anna');
  assert.deepEqual(shown.tokens.map((x) => [x.id, x.label, x.role]), [[made.id, 'backup', 'auditor']]);
  assert.doesNotMatch(JSON.stringify(shown), new RegExp(made.token.split('.')[2]));
  assert.match((await desk.ok('user', 'show', 'anna')).stdout, new RegExp(`token +${made.id} .*, auditor  backup\n`));
  const more = await desk.ctl('user', 'token', 'anna', 'x', '--role', 'admin');
  assert.equal(more.status, 1);
  assert.match(more.stderr, /anna is operator: a token cannot be more/);
  assert.equal((await desk.ctl('user', 'token', 'anna', 'x')).status, 2);
  await desk.ok('user', 'revoke', 'anna', made.id);
  assert.match((await desk.ctl('user', 'revoke', 'anna', made.id)).stderr, /no token and no passkey of this id/);
  await desk.ok('user', 'off', 'anna');
  assert.equal((await desk.json('user', 'show', 'anna')).state, 'off');
  await desk.ok('user', 'on', 'anna');
  await desk.ok('user', 'signout', 'anna');
  const lines = await desk.json('audit', 'list', '--object', 'user anna');
  assert.deepEqual(lines.map((e) => e.action), ['user.signout', 'user.change', 'user.change', 'user.revoke', 'user.token.add', 'user.create']);
  assert.deepEqual([lines[2].before.state, lines[2].after.state, lines[4].after.id], ['active', 'off', made.id]);
  assert.doesNotMatch(JSON.stringify(lines), new RegExp(made.token.split('.')[2]), 'no secret in the audit');

  for (const [args, option] of [[['message', 'recall', 'x', '--sender', 'a@b'], 'sender'], [['queue', '--limit', '1'], 'limit']]) {
    const r = await run(args);
    assert.equal(r.status, 2);
    assert.match(r.stderr, new RegExp(`^fumibako: ${args[0]}.* does not take --${option}\n`));
  }
});
