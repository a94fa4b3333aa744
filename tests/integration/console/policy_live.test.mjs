// SPDX-License-Identifier: Apache-2.0
//
// A policy that is changed while mail is on its way, with the real services: a new version is taken up within two seconds
// without a restart, a mail goes on under the version it began with, and what is no good policy never comes into force,
// whoever writes it and wherever.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { request, waitFor } from '../../support/harness.mjs';
import { Relay } from '../ctl/kit.mjs';
import { Console, withStandstill } from './api-kit.mjs';

const FOLLOWERS = ['render', 'upload', 'rewrite', 'revoke', 'console'];
const TAKEN_UP_MS = 2000;
const SLACK_MS = 4000; // of a machine that has more to do
const TO = 'hanako@partner.example.com';

async function begin(t, services) {
  const c = await Console.create(t);
  const { world } = c;
  c.relay = new Relay();
  await c.relay.start(world.ports.relay);
  world.atEnd(() => c.relay.stop());
  const keyFile = path.join(world.dir, 'vault.key');
  fs.writeFileSync(keyFile, `v1:${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
  c.policy = ({ security = 'first', notice = 'FIRST', action = 'secure' } = {}) => `storages:
  - {name: vault, type: vault, url: "file://${world.dir}/vault", key_file: ${keyFile}}
security_definitions:
  - {name: ${security}, access: recipients, expires_after: ${notice === 'FIRST' ? '30d' : '7d'}}
rules:
  - {name: rule of ${notice}, when: {to: ["@partner.example.com"]}, action: ${action}${action === 'secure' ? `, storage: vault, security: ${security}` : ''}}
notices:
  language: en
  templates:
    notice.en.text: "by ${notice}: {{link}}\\n"
    notice.en.html: "<p>by ${notice}: {{link}}</p>"
`;
  c.put = async (document, etag) => {
    const r = await c.call('admin', 'PUT', '/api/v1/policy', { body: { document, comment: 'live' }, headers: { 'If-Match': etag ?? (await c.call('admin', 'GET', '/api/v1/policy')).headers.etag } });
    assert.equal(r.status, 200, r.body.toString());
    return r.json;
  };
  c.running = { console: c.service };
  c.startOne = async (name) => { c.running[name] = await world.start(name); return c.running[name]; };
  for (const name of services) await c.startOne(name);
  c.send = async (subject) => {
    const r = await request(`http://127.0.0.1:${world.ports.http}/v1/messages`, { method: 'POST', body: `Subject: ${subject}\r\nFrom: taro@example.jp\r\nTo: ${TO}\r\n\r\nHello\r\n`,
      headers: { 'Content-Type': 'message/rfc822', 'X-Mail-From': 'taro@example.jp', 'X-Rcpt-To': TO, Authorization: `Bearer ${world.token}` } });
    assert.equal(r.status, 202, r.body.toString());
    return JSON.parse(r.body).id;
  };
  c.got = (what) => waitFor(() => c.relay.mails.find((m) => m.to.includes(TO) && m.content.toString().includes(what)), { what: `the mail ${what}`, timeout: 120000 })
    .catch((e) => { throw new Error(`${e.message}\n${['upload', 'rewrite'].map((n) => c.running[n].output.slice(-2000)).join('\n')}\n${c.relay.mails.map((m) => m.content).join('\n----\n').slice(0, 3000)}`); });
  return c;
}

const follows = (service, version) => service.output.includes(`policy ${version.slice(0, 12)} of Redis is in force`);

test('all services take up a new version within two seconds; a mail on its way ends under the version it began with', { timeout: 600000 }, async (t) => {
  const c = await begin(t, ['ingest', 'render', 'rewrite', 'revoke']);
  const first = await c.put(c.policy(), '*');
  const upload = await c.startOne('upload');
  await waitFor(() => follows(c.running.render, first.version), { what: 'render has the first version' });

  // One that has been planned, and waits for upload.
  await upload.stop();
  const early = await c.send('early');
  await waitFor(async () => (await c.ok('admin', 'GET', `/api/v1/messages/${early}`)).state === 'planned', { what: 'the plan', timeout: 120000 });

  // Another version, in which neither its definition nor its rule exists any more.
  const pids = Object.fromEntries(Object.entries(c.running).map(([n, s]) => [n, s.pid]));
  await c.startOne('upload');
  await c.got('early');
  const took = {};
  const { lost } = await withStandstill(c.redis, FOLLOWERS.map((n) => c.running[n]), async () => {
    const began = Date.now();
    const second = await c.put(c.policy({ security: 'second', notice: 'SECOND' }));
    await waitFor(() => {
      for (const name of FOLLOWERS) if (took[name] === undefined && follows(c.running[name], second.version)) took[name] = Date.now() - began;
      return FOLLOWERS.every((n) => took[n] !== undefined);
    }, { what: 'all services follow', interval: 5 });
  });
  console.log(`taken up after ${FOLLOWERS.map((n, i) => `${n} ${took[n]} ms (stood still for ${lost[i]})`).join(', ')}`);
  for (const [i, name] of FOLLOWERS.entries()) assert.ok(took[name] <= TAKEN_UP_MS + SLACK_MS + lost[i], `${name}: ${took[name]} ms`);
  for (const name of Object.keys(pids).filter((n) => n !== 'upload')) assert.equal(c.running[name].pid, pids[name], `${name} was not started again`);

  const late = await c.send('late');
  await c.got('late');
  const of = async (id) => (await c.ok('admin', 'GET', `/api/v1/messages/${id}`)).branches[0];
  const [a, b] = [await of(early), await of(late)];
  assert.deepEqual([a.rule, b.rule], ['rule of FIRST', 'rule of SECOND']);
  const days = (x) => Math.round((Date.parse(x.expires) - Date.now()) / 86400000);
  assert.deepEqual([days(a), days(b)], [30, 7]);
});

test('a mail that was planned before a change is uploaded and sent as it was planned, though its rule is gone and now passes', { timeout: 600000 }, async (t) => {
  const c = await begin(t, ['ingest', 'render']);
  const first = await c.put(c.policy(), '*');
  await waitFor(() => follows(c.running.render, first.version), { what: 'render has the first version' });
  const ids = [await c.send('one'), await c.send('two')];
  for (const id of ids) await waitFor(async () => (await c.ok('admin', 'GET', `/api/v1/messages/${id}`)).state === 'planned', { what: 'the plan', timeout: 120000 });
  const second = await c.put(c.policy({ security: 'other', notice: 'SECOND', action: 'pass' }));
  await waitFor(() => follows(c.running.render, second.version), { what: 'render has the second version' });
  const after = await c.send('three');
  await c.startOne('upload');
  await c.startOne('rewrite');
  for (const subject of ['one', 'two']) {
    const mail = await c.got(`${subject}`);
    const text = mail.content.toString();
    assert.doesNotMatch(text, /^Hello$/m, `${subject} was secured: its content is not in it`);
    assert.match(text, /by FIRST/, `${subject} has the words of its version`);
  }
  assert.match((await c.got('Subject: three')).content.toString(), /^Hello\r?$/m, 'what came later passes');
  for (const id of ids) assert.equal((await c.ok('admin', 'GET', `/api/v1/messages/${id}`)).branches[0].rule, 'rule of FIRST');
  assert.equal((await c.ok('admin', 'GET', `/api/v1/messages/${after}`)).branches[0].kind, 'pass');
});

test('what is no good policy never comes into force: by the API, by the command, or by hand in Redis', { timeout: 600000 }, async (t) => {
  const c = await begin(t, ['ingest', 'render']);
  const good = await c.put(c.policy({ action: 'pass' }), '*');
  await waitFor(() => follows(c.running.render, good.version), { what: 'render has it' });
  const set = (...fields) => c.redis.command('HSET', 'fb:policy', ...fields);
  const bad = ['rules: [', 'rules:\n  - {name: x, action: secure}\n', 'nonsense: true\n', '', '\0', '{}\n{}', 'rules:\n  - {name: x, action: pass, when: {subject: ["/(/"]}}\n',
    `a: &a [${'*a,'.repeat(10)}]`, Buffer.from([0xff, 0xfe, 0x00]).toString('latin1')];
  const held = c.policy({ action: 'reject' });

  let n = 0;
  const isSaid = (text) => c.running.render.output.includes(text);
  for (const document of bad) {
    if (document !== '') assert.ok([400, 422].includes((await c.call('admin', 'PUT', '/api/v1/policy', { body: { document }, headers: { 'If-Match': `"${good.version}"` } })).status));
    assert.equal((await c.ok('admin', 'GET', '/api/v1/policy')).version, good.version);
    // By hand, under a name that nobody has seen: the services look at it, and keep what they have.
    const before = (c.running.render.output.match(/is not taken/g) ?? []).length;
    await set('version', `${String(++n).padStart(2, '0')}${'f'.repeat(62)}`, 'document', document);
    await waitFor(() => (c.running.render.output.match(/is not taken, the last good one stays in force/g) ?? []).length > before, { what: `render refuses ${JSON.stringify(document.slice(0, 20))}` });
    assert.ok((await c.call('admin', 'GET', '/api/v1/policy')).status < 500);
    await set('version', good.version, 'document', c.policy({ action: 'pass' }), 'number', '1');
  }
  // What is no text at all, or no number, or not there.
  for (const fields of [['number', 'x'], ['number', '9223372036854775807'], ['number', '-9223372036854775808'], ['at', '9223372036854775807'], ['author', Buffer.from([0xff, 0x00, 0x41])], ['comment', 'x'.repeat(100000)],
    ['version', 'x'], ['version', Buffer.from([0x41, 0x00, 0x42])], ['version', ''], ['version', 'y'.repeat(1000)]]) {
    await set(...fields);
    for (const path_ of ['/api/v1/policy', '/api/v1/policy/history', '/api/v1/overview', '/api/v1/policy/versions/1']) assert.ok((await c.call('admin', 'GET', path_)).status < 500, `${fields[0]} ${path_}`);
    // A hand that wrote there does not lock out who repairs it.
    const fixed = await c.put(`${c.policy({ action: 'pass' })}# after ${fields[0]} ${n++}\n`);
    assert.ok(fixed.number > 1 && fixed.number < 1000, `${fields[0]}: number ${fixed.number}`);
    await waitFor(() => follows(c.running.render, fixed.version), { what: 'render follows the repair' });
  }
  await c.redis.command('DEL', 'fb:policy');
  assert.equal((await c.call('admin', 'GET', '/api/v1/policy')).status, 404);
  await waitFor(() => isSaid('Redis holds no policy'), { what: 'render misses it' });
  const passed = await c.send('with the last good one');
  await waitFor(async () => (await c.ok('admin', 'GET', `/api/v1/messages/${passed}`)).branches?.[0]?.kind === 'pass', { what: 'the last good one', timeout: 120000 });

  // Another render, which has never seen Redis' policy but its own copy, while a broken one lies there.
  await set('version', 'f'.repeat(64), 'document', 'rules: [');
  await c.running.render.stop();
  const again = await c.startOne('render');
  await waitFor(() => again.output.includes('of the cache is in force') && again.output.includes('is not taken'), { what: 'the copy' });
  const last = await c.send('after a start');
  await waitFor(async () => (await c.ok('admin', 'GET', `/api/v1/messages/${last}`)).branches?.[0]?.kind === 'pass', { what: 'the copy decides', timeout: 120000 });
  const repaired = await c.put(held);
  await waitFor(() => follows(again, repaired.version), { what: 'the repair' });
  for (const s of Object.values(c.running)) assert.ok(!/AddressSanitizer|runtime error/.test(s.output));
});

test('two administrators: what the second one is told, what both keep, and that their versions are numbered without a gap', { timeout: 300000 }, async (t) => {
  const c = await begin(t, []);
  await c.put(c.policy(), '*');
  const { headers: { etag } } = await c.call('admin', 'GET', '/api/v1/policy');
  // Twenty at once, all of the same version: one is in force, each other one is told which, and nothing of theirs is half there.
  const all = await Promise.all(Array.from({ length: 20 }, (_, i) => c.call('admin', 'PUT', '/api/v1/policy', { body: { document: `${c.policy()}# by ${i}\n`, comment: `by ${i}` }, headers: { 'If-Match': etag } })));
  const won = all.filter((r) => r.status === 200);
  assert.equal(won.length, 1, all.map((r) => r.status).join(' '));
  for (const r of all.filter((x) => x.status !== 200)) {
    assert.equal(r.status, 412);
    assert.equal(r.headers.etag, won[0].headers.etag);
    assert.deepEqual([r.json.current.version, r.json.current.author, r.json.current.comment], [won[0].json.version, 'admin', won[0].json.comment]);
  }
  const history = await c.ok('admin', 'GET', '/api/v1/policy/history');
  assert.deepEqual(history.items.map((v) => v.number), [2, 1]);
  assert.equal(history.items[0].version, won[0].json.version);
  // By the command and by the page at once: the same rule.
  const [page, back] = await Promise.all([
    c.call('admin', 'PUT', '/api/v1/policy', { body: { document: `${c.policy()}# page\n` }, headers: { 'If-Match': won[0].headers.etag } }),
    c.call('admin', 'POST', '/api/v1/policy/rollback', { body: { version: '1' }, headers: { 'If-Match': won[0].headers.etag } })]);
  assert.deepEqual([page.status, back.status].sort(), [200, 412]);
  assert.deepEqual((await c.ok('admin', 'GET', '/api/v1/policy/history')).items.map((v) => v.number), [3, 2, 1]);
});
