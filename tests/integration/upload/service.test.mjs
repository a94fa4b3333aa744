// SPDX-License-Identifier: Apache-2.0
//
// fumibako-upload and fumibako-revoke at work: from a job in the queue to the parcel in Box, the manifest and the next job.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { decode } from '@msgpack/msgpack';
import { binDir, sleep, waitFor, World } from '../../support/harness.mjs';
import { look, startSim } from './kit.mjs';
import { run, Stage, TO } from './stage.mjs';

const NAMES = ['DATA (2).BIN', 'data.bin', 'empty.txt', 'letter.pdf'];

async function whole(stage, { id, sha1 }) {
  const box = await look(stage.sim, `${id}-0`);
  assert.equal(box.folders.length, 1);
  assert.equal(box.folder.path, `/taro/2026-11/m-${id}-0`);
  assert.deepEqual(box.files.map((f) => f.name).sort(), NAMES);
  const bySha = Object.fromEntries(box.files.map((f) => [f.name, f.sha1]));
  assert.deepEqual(['letter.pdf', 'data.bin', 'DATA (2).BIN', 'empty.txt'].map((n) => bySha[n]), sha1);
  assert.deepEqual(box.files.map((f) => f.versions), [1, 1, 1, 1]);
  assert.deepEqual(box.collaborations.map((c) => [c.login, c.status]).sort(), [[TO[0], 'accepted'], [TO[1], 'pending']]);
  return box;
}

test('a job becomes a parcel, a manifest, the next job and lines in the ledger', async (t) => {
  const stage = await Stage.create(t);
  const message = await stage.seed();
  await stage.passed();
  const box = await whole(stage, message);
  assert.equal(await stage.count('upload'), 0);
  const ledger = await stage.ledger(message.id);
  assert.equal(ledger['bs:0'], 'uploaded');
  const manifests = fs.readdirSync(stage.world.spoolDir, { recursive: true }).filter((f) => f.includes(`${message.id}-0`));
  assert.ok(manifests.length >= 1, 'the manifest lies beside the spool');
  const text = stage.upload.output;
  for (const secret of ['example.com', 'letter.pdf', 'data.bin', box.links[0].url]) assert.ok(!text.includes(secret), secret);
  assert.ok(await stage.upload.metric('fumibako_storage_requests_total', 'storage="box",call="files.upload",status="201"') === 4);
  assert.deepEqual(await stage.upload.stop(), { code: 0, signal: null });
});

test('the parcel says what letters to the sender and a new ledger need to know', async (t) => {
  const stage = await Stage.create(t);
  const now = Date.now();
  const subject = `x${'あ'.repeat(400)}`; // 1,201 bytes: cut within the 334th of them
  const message = await stage.seed({ subject, receipt: true, expires_ms: now + 3e9, purge_ms: now + 5e9, remind_ms: now + 1e9 });
  await stage.passed();
  const { stdout } = await promisify(execFile)(path.join(binDir(), 'render-spool-peek'), [`file://${stage.world.spoolDir}`,
    stage.world.keyFile, message.id, 'get', 'parcel.0'], { encoding: 'buffer' });
  const parcel = decode(stdout);
  assert.equal(parcel.from, 'a@example.jp');
  assert.equal(parcel.subject, `x${'あ'.repeat(333)}`);
  assert.deepEqual([parcel.language, parcel.rule, parcel.receipt], ['en', 'r', true]);
  assert.deepEqual([parcel.expires, parcel.purge, parcel.remind].map(Number), [now + 3e9, now + 5e9, now + 1e9]);
  assert.ok(Number(parcel.at) >= now - 1000 && Number(parcel.at) <= Date.now());
});

test('many messages at once: each has one folder', async (t) => {
  const sim = await startSim(t);
  const stage = await Stage.create(t, { sim, start: [] });
  const messages = [];
  for (let i = 0; i < 12; i++) messages.push(await stage.seed());
  await stage.start('upload');
  await stage.passed(12, 120000);
  for (const m of messages) await whole(stage, m);
});

test('killed in the middle of an upload, another worker ends it: one folder, one file each', async (t) => {
  const sim = await startSim(t, { violations: false }); // half a request is no valid one
  const stage = await Stage.create(t, { sim, start: [] });
  const message = await stage.seed();
  await stage.sim.faults([{ match: { method: 'POST', path: '/files/content$' }, after: 2, times: 1, do: { slow_bps: 2000 } }]);
  await stage.start('upload');
  await waitFor(async () => (await stage.sim.state('files')).files.length === 2, { what: 'two files' });
  await stage.upload.kill();
  await stage.sim.faults([]);
  await stage.start('upload');
  await stage.passed(1, 180000);
  await whole(stage, message);
});

test('a wrong secret holds the mail without using up its tries, and a mended file sets it going again', async (t) => {
  const sim = await startSim(t);
  const good = fs.readFileSync(sim.configFile, 'utf8');
  const file = path.join(sim.dir, 'mine.json');
  const bad = JSON.parse(good);
  bad.boxAppSettings.clientSecret = 'wrong';
  fs.writeFileSync(file, JSON.stringify(bad), { mode: 0o600 });
  const stage = await Stage.create(t, { sim, storage: { auth_file: file } });
  const message = await stage.seed();
  await waitFor(() => /Box refuses the login/.test(stage.upload.output), { what: 'the reason in the log' });
  const lines = stage.upload.log.filter((l) => JSON.stringify(l).includes('Box refuses the login'));
  assert.match(JSON.stringify(lines[0]), /check clientID, clientSecret/);
  assert.equal(await stage.count('dead'), 0);
  fs.writeFileSync(file, good);
  for (let i = 0; i < 60 && (await stage.count('rewrite')) === 0; i++) {
    await stage.hurry();
    await sleep(500);
  }
  await stage.passed();
  await whole(stage, message);
});

test('what Box refuses for good is held, and nothing stays open', async (t) => {
  const sim = await startSim(t, { settings: { rate: 'off', collab_domains: ['example.com'] } });
  const stage = await Stage.create(t, { sim });
  const message = await stage.seed({ to: ['a@example.com', 'x@forbidden.example'] });
  await waitFor(async () => (await stage.count('dead')) === 1, { what: 'a dead letter' });
  const next = await stage.redis.command('XRANGE', 'fb:{s0}:rewrite', '-', '+'); // the letter to the sender, no notice
  assert.equal(next.length, 1);
  assert.match(JSON.stringify(next), /letter.*held/);
  const box = await look(sim, `${message.id}-0`);
  assert.deepEqual(box.collaborations, []);
  assert.deepEqual(box.links, []);
  const dead = JSON.stringify(await stage.redis.command('XRANGE', 'fb:{s0}:dead', '-', '+'));
  assert.match(dead, /forbidden_by_policy/);
  assert.doesNotMatch(dead, /forbidden\.example/);
});

test('a part that is not what the plan says is rendered again, not sent', async (t) => {
  const stage = await Stage.create(t);
  const message = await stage.seed({ parts: [{ name: 'a.bin', size: 60 * 1000 * 1000, damage: true }] });
  await waitFor(async () => (await stage.count('render')) === 1, { what: 'a job for render', timeout: 60000 });
  assert.equal((await look(stage.sim, `${message.id}-0`)).files.length, 0);
});

test('a message that was recalled before upload is never stored', async (t) => {
  const stage = await Stage.create(t, { start: [] });
  const message = await stage.seed();
  const config = path.join(stage.world.dir, 'ctl.yaml');
  fs.writeFileSync(config, JSON.stringify(stage.world.config('ctl', { policy: { source: `file:${stage.policyFile}` } })), { mode: 0o600 });
  const r = await run('fumibako', ['--config', config, 'message', 'recall', message.id], '');
  assert.equal(r.code, 0, r.stderr + r.stdout);
  await stage.start('upload');
  await stage.passed();
  assert.equal((await look(stage.sim, `${message.id}-0`)).folders.length, 0);
});

// Redis was wiped behind the upload, and the mail, which is in the spool still, was recalled before it was planned again.
test('a parcel of an earlier life whose mail was recalled is closed, and the ledger says so', async (t) => {
  const stage = await Stage.create(t, { start: [] });
  const { id } = await stage.seed();
  const [m, queue] = [`fb:{s0}:m:${id}`, 'fb:{s0}:upload'];
  for (const key of [m, queue]) await stage.redis.command('COPY', key, `${key}:saved`);
  await stage.start('upload');
  await stage.passed();
  await stage.upload.stop();
  assert.equal((await look(stage.sim, `${id}-0`)).collaborations.length, 2);
  await stage.redis.command('DEL', ...['p', 'g', 'h'].map((k) => `fb:{s0}:${k}:${id}-0`), 'fb:{s0}:rewrite');
  await stage.redis.command('COPY', `${m}:saved`, m, 'REPLACE');
  await stage.redis.command('HDEL', m, 'branches');
  const config = path.join(stage.world.dir, 'ctl.yaml');
  fs.writeFileSync(config, JSON.stringify(stage.world.config('ctl', { policy: { source: `file:${stage.policyFile}` } })), { mode: 0o600 });
  const r = await run('fumibako', ['--config', config, 'message', 'recall', id], '');
  assert.equal(r.code, 0, r.stderr + r.stdout);
  await stage.redis.command('EVAL', `redis.call("HSET", KEYS[1], "branches", redis.call("HGET", KEYS[2], "branches"))
    redis.call("XADD", KEYS[3], "*", unpack(redis.call("XRANGE", KEYS[4], "-", "+")[1][2]))`, 4, m, `${m}:saved`, queue, `${queue}:saved`);
  await stage.start('upload');
  await stage.passed();
  assert.equal((await look(stage.sim, `${id}-0`)).collaborations.length, 0);
  const grants = await stage.redis.command('HMGET', `fb:{s0}:g:${id}-0`, '0', '1');
  assert.deepEqual(grants.map((g) => g.split('|')[0]), ['recalled', 'recalled']);
});

test('--check says that the configuration is good, or which line is not', async (t) => {
  const world = await World.create(t);
  const config = path.join(world.dir, 'c.yaml');
  for (const service of ['upload', 'revoke']) {
    fs.writeFileSync(config, JSON.stringify(world.config(service)), { mode: 0o600 });
    const good = await run(`fumibako-${service}`, ['--config', config, '--check'], '');
    assert.equal(good.code, 0, good.stderr);
    fs.writeFileSync(config, `${JSON.stringify(world.config(service))}\n`.replace('"concurrency"', '"concurency"')
      .replace('"log":', '"lgo":'), { mode: 0o600 });
    const bad = await run(`fumibako-${service}`, ['--config', config, '--check'], '');
    assert.equal(bad.code, 78);
    assert.match(bad.stderr + bad.stdout, /lgo/);
  }
});

test('a 2 GB attachment: memory stays below 64 MB', {
  skip: process.env.FUMIBAKO_BIG ? false : 'set FUMIBAKO_BIG=1 (needs 4 GB of disk and a release build in FB_BIN)' }, async (t) => {
  const stage = await Stage.create(t, { start: [] });
  const size = 2 * 1024 ** 3 + 17;
  const message = await stage.seed({ parts: [{ name: 'huge.bin', size, type: 'application/octet-stream' }] });
  await stage.start('upload');
  await stage.passed(1, 900000);
  const status = fs.readFileSync(`/proc/${stage.upload.pid}/status`, 'utf8');
  const peak = Number(/VmHWM:\s*(\d+)/.exec(status)[1]);
  t.diagnostic(`peak ${peak} kB`);
  const box = await look(stage.sim, `${message.id}-0`);
  assert.deepEqual(box.files.map((f) => [f.size, f.sha1]), [[size, message.sha1[0]]]);
  assert.ok(peak < 64 * 1024, `${peak} kB`);
});
