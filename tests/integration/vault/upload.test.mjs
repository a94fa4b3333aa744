// SPDX-License-Identifier: Apache-2.0
//
// Upload and revoke with a vault: what they leave is what common/vault/vault.md says (read by format.mjs, which has
// nothing of ours), whatever happens in between.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { ROOT, sleep, waitFor } from '../../support/harness.mjs';
import { grantsOf } from '../../support/ledger.mjs';
import { hasS3, startS3 } from '../../support/s3.mjs';
import { run, Stage } from '../upload/stage.mjs';
import { parcelKey, place, readKeys, readParcel, readState } from './format.mjs';

const TO = ['taro@example.com', 'hanako@example.com'];
const PARTS = [{ name: '本文.pdf', size: 30000, object: 'body' }, { name: 'data.bin', size: 200001, type: 'application/octet-stream' },
  { name: 'DATA.BIN', size: 70000, type: 'image/png', base64: true }, { name: 'empty.txt', size: 0, type: 'text/plain' }];
const SECURITY = { name: 's', access: 'recipients', proof: 'totp', download: false, trusted_days: 30, members: true, reply: false };

async function create(t, { start = ['upload'], url, env = {}, storage = {}, security = {}, spec = {} } = {}) {
  const stage = await Stage.create(t, { sim: { storage: () => ({}) }, start: [] });
  stage.dir = path.join(stage.world.dir, 'vault');
  stage.keyFile = path.join(stage.world.dir, 'vault.key');
  fs.writeFileSync(stage.keyFile, `v1:${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
  stage.write = (more = {}) => stage.policy({}, {
    storages: [{ name: 'vault', type: 'vault', url: url ?? `file://${stage.dir}`, key_file: stage.keyFile, ...storage, ...more }],
    security_definitions: [{ ...SECURITY, ...security }], rules: [{ name: 'r', action: 'secure', storage: 'vault', security: 's' }] });
  stage.write();
  stage.env = env;
  stage.again = (name) => stage.start(name, { env });
  stage.config = path.join(stage.world.dir, 'ctl.yaml');
  fs.writeFileSync(stage.config, JSON.stringify(stage.world.config('ctl', { policy: { source: `file:${stage.policyFile}` } })), { mode: 0o600 });
  stage.ctl = async (...args) => {
    const r = await run('fumibako', ['--config', stage.config, '--json', ...args], '');
    return { code: r.code, ...JSON.parse(r.stdout) };
  };
  stage.put = async (more = {}) => {
    stage.message = await stage.seed({ to: TO, parts: PARTS, storage: 'vault', path: 'has/no/meaning', ...spec, ...more });
    stage.id = `${stage.message.id}-0`;
  };
  await stage.put();
  for (const name of start) await stage.again(name);
  stage.read = () => readParcel(stage.dir, stage.keyFile, stage.id);
  stage.grants = async () => (await grantsOf(stage.redis, stage.id)).map(([, ...grant]) => grant);
  stage.untilStates = (...want) => waitFor(async () => JSON.stringify((await stage.grants()).map(([s]) => s)) === JSON.stringify(want),
    { what: `states ${want}` }).catch((e) => { throw new Error(`${e.message}: ${stage.revoke?.output.slice(-2000)}`); });
  stage.sent = () => stage.redis.command('HSET', `fb:{s0}:m:${stage.message.id}`, 'bs:0', 'sent', 'bt:0', String(Date.now()), 'state', 'done',
    'd:rewrite:0', 'x', ...TO.flatMap((_, i) => [`s:${i}`, 'sending']));
  stage.names = () => fs.readdirSync(place(stage.dir, stage.id)).sort();
  return stage;
}

const hex = (bytes) => Buffer.from(bytes).toString('hex');

/** The one parcel there is, whole, as another program reads it. */
async function whole(stage, { recalled = [false, false] } = {}) {
  const { state, files } = stage.read();
  assert.deepEqual(state.files.map((f) => [f.name, f.type, f.size, hex(f.sha1), f.body]),
    PARTS.map((p, i) => [['本文.pdf', 'data.bin', 'DATA (2).BIN', 'empty.txt'][i], p.type ?? 'application/pdf', p.size, stage.message.sha1[i], i === 0]));
  for (const f of state.files) {
    const file = files[f.id];
    assert.deepEqual([file.content.length, createHash('sha1').update(file.content).digest('hex'), file.sha1, file.type, file.isBody],
      [f.size, hex(f.sha1), hex(f.sha1), f.type, f.body]);
  }
  assert.deepEqual(state.grants.map((g) => [g.rcpt, g.to, g.recalled]), TO.map((to, i) => [i, to, recalled[i]]));
  assert.deepEqual(stage.names(), ['key', 'state', ...state.files.map((f) => f.id)].sort(), 'nothing else lies there');
  return state;
}

test('a parcel lies in the vault as the text says, and recall, restore and purge change it', async (t) => {
  const expires = Date.now() + 3600e3;
  const stage = await create(t, { start: ['upload', 'revoke'], spec: { expires_ms: expires } });
  await stage.passed();
  const state = await whole(stage);
  assert.deepEqual([state.storage, state.security, state.access, state.proof, state.download, state.watermark, state.members, state.reply,
    state.max, state.trusted, state.closed, state.expires], ['vault', 's', 0, 2, false, false, true, false, 0, 30, false, expires]);
  assert.deepEqual(await stage.grants(), state.grants.map((g) => ['active', hex(g.hash)]));
  const id = fs.readFileSync(path.join(stage.dir, 'vault.id'), 'utf8');
  assert.equal(await stage.redis.command('HGET', `fb:{s0}:g:${stage.id}`, 'folder'), `${id}/${stage.id}`);
  assert.ok(!stage.upload.output.includes('example.com'), 'no address in a log');
  let look = await stage.ctl('vault', 'verify');
  assert.deepEqual([look.code, look.findings, look.storages], [0, [], [{ storage: 'vault', parcels: 1, files: 4,
    bytes: PARTS.reduce((n, p) => n + p.size, 0), damaged: 0, missing: 0, unknown: 0, orphans: 0, half_made: 0, repaired: 0 }]]);
  await stage.sent();

  assert.equal((await stage.ctl('message', 'recall', stage.message.id, '--recipient', TO[1])).code, 0);
  await stage.untilStates('active', 'recalled');
  await whole(stage, { recalled: [false, true] });
  assert.equal((await stage.ctl('message', 'restore', stage.message.id)).code, 0);
  await stage.untilStates('active', 'active');
  const again = await whole(stage);
  assert.deepEqual(again.grants.map((g) => hex(g.hash)), state.grants.map((g) => hex(g.hash)), 'the links are the same');

  // Another folder in the vault's place is no vault whose parcels were purged.
  await stage.revoke.stop(); // it holds the right one open
  fs.renameSync(stage.dir, `${stage.dir}-away`);
  assert.equal((await stage.ctl('message', 'recall', stage.message.id)).code, 0);
  await stage.again('revoke');
  await waitFor(() => /the parcel lies in the vault .* mount the right folder/.test(stage.revoke.output), { what: 'the reason in the log' });
  assert.deepEqual((await stage.grants()).map(([s]) => s), ['active', 'active']);
  fs.rmSync(stage.dir, { recursive: true });
  fs.renameSync(`${stage.dir}-away`, stage.dir);
  await stage.revoke.stop();
  await stage.hurry('revoke');
  await stage.again('revoke');
  await stage.untilStates('recalled', 'recalled');
  await whole(stage, { recalled: [true, true] });

  const key = fs.readFileSync(place(stage.dir, stage.id, 'key'));
  const kept = path.join(stage.world.dir, 'kept');
  fs.linkSync(place(stage.dir, stage.id, 'key'), kept); // as an undelete finds it
  assert.equal((await stage.ctl('message', 'recall', stage.message.id, '--content')).code, 0);
  await stage.untilStates('purged', 'purged');
  assert.ok(!fs.existsSync(place(stage.dir, stage.id)));
  assert.throws(() => stage.read());
  const left = fs.readFileSync(kept);
  assert.equal(left.indexOf(key.subarray(68, 128)), -1);
  assert.deepEqual([...left.subarray(68, 128)], Array(60).fill(0));
  look = await stage.ctl('vault', 'verify');
  assert.deepEqual([look.code, look.findings, look.storages[0].parcels], [0, [], 0]);
});

test('killed twice at any time and started again: each parcel once, whole, and nothing left over', async (t) => {
  const stage = await create(t, { start: [], security: { password: 'generated' } });
  const messages = [stage.message];
  for (let i = 0; i < 35; i++) {
    await stage.put();
    messages.push(stage.message);
  }
  const made = () => messages.filter((m) => fs.existsSync(place(stage.dir, `${m.id}-0`))).length;
  for (const share of [2, 5]) { // far from all of them, however late it is seen
    const upload = await stage.again('upload');
    await waitFor(() => made() >= share, { what: 'some parcels', interval: 1 });
    await upload.kill();
    await stage.redis.abandon('upload');
    await stage.hurry();
  }
  const before = await stage.count('rewrite');
  assert.ok(before < messages.length, `${before} were through`);
  await stage.again('upload');
  await stage.passed(messages.length);
  for (const message of messages) {
    Object.assign(stage, { message, id: `${message.id}-0` });
    const state = await whole(stage);
    assert.equal(state.salt.length, 16);
    assert.deepEqual((await stage.grants()).map(([, hash]) => hash), state.grants.map((g) => hex(g.hash)),
      'the ledger has the hashes of the links that go out');
  }
  const look = await stage.ctl('vault', 'verify');
  assert.deepEqual([look.code, look.findings, look.storages[0].parcels], [0, [], messages.length]);
  assert.equal(await stage.count('dead'), 0);
});

test('recalled while it is half made: nobody is let in, and it is closed for good', async (t) => {
  const stage = await create(t, { start: [], storage: { quota: 250000 } });
  const upload = await stage.again('upload');
  await waitFor(() => /the vault is full/.test(upload.output), { what: 'a try that ends in the middle' });
  await upload.kill();
  assert.equal(stage.names().length, 4, 'key, state, two files');
  assert.equal((await stage.ctl('message', 'recall', stage.message.id)).code, 0);
  await stage.again('upload');
  await stage.hurry();
  await stage.passed();
  const keys = readKeys(fs.readFileSync(stage.keyFile, 'utf8'));
  const state = readState(parcelKey(keys, stage.id, fs.readFileSync(place(stage.dir, stage.id, 'key'))), stage.id,
    fs.readFileSync(place(stage.dir, stage.id, 'state')));
  assert.deepEqual([state.closed, state.grants], [true, []]);
});

test('a full vault: the mail waits with the reason, and goes on when there is room', async (t) => {
  const stage = await create(t, { start: [], storage: { quota: 250000 } });
  await stage.again('upload');
  await waitFor(() => /the vault is full: .* raise the quota in the policy/.test(stage.upload.output), { what: 'the reason' });
  assert.equal(await stage.count('dead'), 0);
  await stage.upload.stop();
  stage.write({ quota: 0 });
  await stage.again('upload');
  await stage.hurry();
  await stage.passed();
  await whole(stage);
});

test('a vault outside of vault.roots is never opened', async (t) => {
  const stage = await create(t, { url: 'file:///var/tmp/fumibako-elsewhere' });
  await waitFor(() => /lies in none of the folders of vault\.roots/.test(stage.upload.output), { what: 'the reason' });
  assert.equal(await stage.count('dead'), 0);
  assert.ok(!fs.existsSync('/var/tmp/fumibako-elsewhere'));
});

test('a large attachment is streamed with flat memory', async (t) => {
  const size = Number(process.env.FB_LARGE_BYTES ?? 100e6);
  // What a sanitizer keeps of freed memory is none of ours.
  const stage = await create(t, { start: [], env: { ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ''}:quarantine_size_mb=1` } });
  const small = stage.message.id;
  await stage.again('upload');
  await stage.passed();
  const memory = (what) => Number(new RegExp(`${what}:\\s*(\\d+)`).exec(fs.readFileSync(`/proc/${stage.upload.pid}/status`, 'utf8'))[1]) * 1024;
  const before = memory('VmHWM');
  await stage.put({ parts: [{ name: 'large.bin', size, type: 'application/octet-stream' }] });
  await stage.passed(2, 120000 + size / 1e3);
  const grown = memory('VmHWM') - before;
  t.diagnostic(`${size} bytes: memory grew by ${grown}`);
  assert.ok(grown < 24e6, `memory grew by ${grown} bytes`);
  assert.notEqual(stage.message.id, small);
  const r = await run('vault_look', [`file://${stage.dir}`, stage.keyFile, stage.id], '');
  assert.deepEqual(JSON.parse(r.stdout).files.map((f) => [f.size, f.sha1]), [[size, stage.message.sha1[0]]]);
});

test('in a bucket: the same, through faults, with every version gone at the end', { skip: !hasS3() && 'npm ci in tests/' }, async (t) => {
  const s3 = await startS3();
  t.after(() => s3.stop());
  const stage = await create(t, { start: [], url: `s3://${s3.bucket}/a/versioned/vault`, env: s3.env });
  for (const [k, v] of Object.entries(s3.env)) process.env[k] = v; // for the programs that this test runs
  t.after(() => { for (const k of Object.keys(s3.env)) delete process.env[k]; });
  s3.front.rate = 0.05;
  for (const delay of [100, 400]) {
    const upload = await stage.again('upload');
    await sleep(delay);
    await upload.kill();
    await stage.redis.abandon('upload');
    await stage.hurry();
  }
  await stage.again('upload');
  await stage.again('revoke');
  await stage.passed(1, 120000);
  s3.front.rate = 0;
  const look = () => run('vault_look', [`s3://${s3.bucket}/a/versioned/vault`, stage.keyFile, stage.id], '').then((r) => JSON.parse(r.stdout));
  const parcel = await look();
  assert.deepEqual(parcel.files.map((f) => [f.size, f.sha1]), PARTS.map((p, i) => [p.size, stage.message.sha1[i]]));
  assert.deepEqual(parcel.grants.map((g) => [g.to, g.recalled]), TO.map((to) => [to, false]));
  assert.equal((await stage.ctl('vault', 'verify')).code, 0);
  await stage.sent();
  assert.equal((await stage.ctl('message', 'recall', stage.message.id, '--recipient', TO[0])).code, 0);
  await stage.untilStates('recalled', 'active');
  assert.deepEqual((await look()).grants.map((g) => g.recalled), [true, false]);
  assert.equal((await stage.ctl('message', 'recall', stage.message.id, '--content')).code, 0);
  await stage.untilStates('purged', 'purged');
  assert.equal(await look(), null);
  assert.deepEqual(s3.front.versions.filter((v) => v.key.includes('/parcels/')), []);
  assert.deepEqual(s3.counts().bad, []);
});

test('the golden vault is read by another program, too', () => {
  const dir = path.join(ROOT, 'proto/vectors/vault');
  const { state, files } = readParcel(dir, path.join(dir, 'vault.key'), `01JDQ${'0'.repeat(19)}VA-1`);
  assert.equal(state.subject, '見積書の件');
  const [file] = Object.values(files);
  assert.equal(createHash('sha1').update(file.content).digest('hex'), file.sha1);
  assert.equal(readKeys(fs.readFileSync(path.join(dir, 'vault.key'), 'utf8'))[0].id, 'golden');
});
