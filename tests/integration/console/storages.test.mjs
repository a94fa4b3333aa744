// SPDX-License-Identifier: Apache-2.0
// Storages as the console and the command line show them: tried by upload, which has their keys, when they ask.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { promisify } from 'node:util';
import { binDir, waitFor } from '../../support/harness.mjs';
import { startSim } from '../upload/kit.mjs';
import { Console } from './api-kit.mjs';

const run = promisify(execFile);

test('a storage is tried when somebody asks: logins, folders, writing, and what is used', async (t) => {
  const sim = await startSim(t, { users: 2 });
  const c = await Console.create(t);
  const vault = path.join(c.world.dir, 'vault');
  const key = path.join(c.world.dir, 'vault.key');
  fs.writeFileSync(key, `k1:${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
  const users = (await sim.state('users')).users;
  const pool = users.filter((u) => u.id !== users[0].id).slice(0, 2).map((u) => u.id);
  const document = (more = {}) => JSON.stringify({
    storages: [{ ...sim.storage(), type: 'box', ...more }, { ...sim.storage(), name: 'pool', type: 'box', users: pool, ...more },
      { name: 'vault', type: 'vault', url: `file://${vault}`, key_file: key, quota: '1GiB' }],
    security_definitions: [{ name: 'recipients only', access: 'recipients' }],
    rules: [{ name: 'all', when: {}, action: 'secure', storage: 'vault', security: 'recipients only' }] });
  let etag = '*';
  const apply = async (text) => { etag = (await c.call('admin', 'PUT', '/api/v1/policy', { body: { document: text }, headers: { 'If-Match': etag } })).headers.etag; };
  const list = async (language = 'en') => (await c.ok('helpdesk', 'GET', '/api/v1/storages', { language })).items;
  const one = async (name) => (await list()).find((s) => s.name === name);
  const tryIt = async (name, language = 'en') => c.ok('operator', 'POST', `/api/v1/storages/${name}/test`, { body: {}, language });
  // Who does not take the question within five seconds does not run, for all that is known: a busy machine is asked again.
  const answered = (name, language) => waitFor(async () => { const r = await tryIt(name, language); return r.checks[0].name !== 'upload' && r; },
    { what: `an answer about ${name}` });
  await apply(document());
  await waitFor(async () => (await list()).length === 3, { what: 'the console follows the policy' });
  assert.deepEqual((await list()).map((s) => s.state), [null, null, null], 'nobody has looked yet');

  // Without an upload service there is an answer, too, and it says so.
  const nobody = await tryIt('vault');
  assert.equal(nobody.is_ok, false);
  assert.match(nobody.checks[0].text, /No answer from fumibako-upload/);

  const upload = await c.world.start('upload');
  await waitFor(() => upload.output.includes('of Redis is in force'), { what: 'upload follows the policy' });
  const seen = (r) => r.checks.map((x) => `${x.name} ${x.state}`);
  const good = await waitFor(async () => { const r = await tryIt('vault'); return r.is_ok && r; }, { what: 'the vault is tried' });
  assert.deepEqual(seen(good), ['open ok', 'write ok', 'space ok', 'services ok']);
  const kept = fs.readdirSync(vault, { recursive: true }).map(String);
  assert.deepEqual(kept.filter((f) => /01[0-9A-Z]{24}-0/.test(f)), [], 'what was written is gone again');
  const state = (await one('vault')).state;
  assert.ok(state.is_ok && state.quota === 2 ** 30 && state.free > 0 && state.used >= 0 && state.used < 100000, JSON.stringify(state));
  assert.ok(Math.abs(Date.parse(state.at) - Date.now()) < 120000, 'as of now');

  assert.deepEqual(seen(await answered('box')), ['open ok', 'login ok', 'folder ok', 'services ok']);
  const me = users[0];
  assert.deepEqual(await one('box').then((s) => s.state.users.map((u) => u.user)), ['']);
  assert.equal((await one('box')).state.used, me.space_used ?? 0);
  assert.deepEqual(seen(await answered('pool')), ['open ok', 'login ok', 'folder ok', 'login ok', 'folder ok', 'services ok']);
  assert.deepEqual((await one('pool')).state.users.map((u) => u.user), pool);
  const text = (await answered('pool', 'ja')).checks[1].text;
  assert.match(text, /^ログインできました \(ユーザー \d+\)。\d+ ミリ秒$/);
  const metrics = await (await fetch(`http://127.0.0.1:${c.world.ports.metrics_upload}/metrics`)).text();
  for (const line of [/^fumibako_storage_used_bytes\{storage="vault"\} \d+/m, /^fumibako_storage_quota_bytes\{storage="vault"\} 1073741824/m,
    /^fumibako_storage_free_bytes\{storage="vault"\} \d/m, /^fumibako_storage_check_ok\{storage="box"\} 1/m]) assert.match(metrics, line);

  // The same by the command line, for people and for programs.
  const config = path.join(c.world.dir, 'ctl.yaml');
  fs.writeFileSync(config, JSON.stringify(c.world.config('ctl')));
  const ctl = async (...args) => run(path.join(binDir(), 'fumibako'), ['--config', config, ...args], { env: { ...process.env, LANG: 'C' } }).catch((e) => e);
  assert.match((await ctl('storages', 'list')).stdout, /^vault\s+vault\s+ok/m);
  assert.deepEqual(JSON.parse((await ctl('storages', 'list', '--json')).stdout).items.map((s) => [s.name, s.state.is_ok]), [['box', true], ['pool', true], ['vault', true]]);
  await waitFor(async () => /Written, read back and erased/.test((await ctl('storages', 'test', 'vault')).stdout),
    { what: 'the command to try the vault' });
  assert.equal((await ctl('storages', 'test', 'nothing')).code, 1);

  // What is wrong is found, and said: a folder that is not there, a key file that is gone.
  await apply(document({ root_folder: '987654' }));
  const broken = await waitFor(async () => { const r = await tryIt('box'); return !r.is_ok && r.checks[0].name === 'open' && r; }, { what: 'upload follows' });
  assert.deepEqual(seen(broken).slice(0, 3), ['open ok', 'login ok', 'folder error']);
  assert.match(broken.checks[2].text, /987654 is not there for this account: check root_folder/);
  assert.equal((await one('box')).is_ok, false);
  fs.rmSync(key);
  const wrong = await answered('vault');
  assert.deepEqual([wrong.is_ok, seen(wrong)[0]], [false, 'open error']);
  const failed = await waitFor(async () => {
    const r = await ctl('storages', 'test', 'vault', '--json');
    return JSON.parse(r.stdout).is_ok === false && r;
  }, { what: 'the command to find it' });
  assert.equal(failed.code, 1);

  // Who may not operate may look and not ask; a name that the policy in force does not have leads nowhere.
  assert.equal((await c.call('auditor', 'POST', '/api/v1/storages/vault/test', { body: {} })).status, 403);
  assert.equal((await c.call('operator', 'POST', '/api/v1/storages/none/test', { body: {} })).status, 404);
  assert.doesNotMatch(upload.output, /private|secret|BEGIN/i);
});
