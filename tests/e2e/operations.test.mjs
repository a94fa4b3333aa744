// SPDX-License-Identifier: Apache-2.0
//
// Procedures of the operations guide (deploy/README.md), done as it says: keys are rotated while mail goes on, the spool is
// lost, a mail went to the wrong person, and the console's accounts come back on a fresh machine.  Upgrades, back-up and
// restore, the loss of Redis and an outage of Box have tests of their own.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { request, waitFor } from '../support/harness.mjs';
import { Scene, mail } from '../alerts/scene.mjs';
import { Desk } from '../integration/console/accounts-kit.mjs';
import { makeLink } from '../integration/portal/kit.mjs';

const patience = { timeout: 120000, interval: 200 };
const key = (id) => `${id}:${randomBytes(32).toString('base64')}\n`;

/** A new line on top. */
function onTop(file, line) {
  fs.writeFileSync(`${file}.new`, line + fs.readFileSync(file, 'utf8'), { mode: 0o600 });
  fs.renameSync(`${file}.new`, file);
}

/** One service after another, with what the configuration says now. */
async function restart(scene, ...names) {
  for (const name of names) await scene.restart(name);
}

const gone = async (scene, id) => (await scene.show(id)).recipients.every((r) => r.grant === 'recalled');

async function recalled(scene, id, ...more) {
  const r = await scene.ctl('message', 'recall', id, '--reason', 'a test', ...more);
  assert.equal(r.status, 0, r.stdout + r.stderr);
  await waitFor(() => gone(scene, id), { ...patience, what: `the recall of ${id}` }).catch(async (e) => {
    assert.fail(`${e.message}: ${JSON.stringify((await scene.show(id)).recipients)}`);
  });
}

test('keys are rotated: mail goes on, old parcels can be read and recalled', { timeout: 800000 }, async (t) => {
  const scene = await Scene.start(t, { prometheus: false });
  const { world } = scene;
  const old = await scene.inBox();
  const reader = await scene.reader('link');
  const opens = async (link) => (await request(scene.base + link)).status;
  assert.equal(await opens(reader.link), 200);

  // spool.key and vault.key: a new line on top, one service after another.
  onTop(world.keyFile, key('k2'));
  onTop(path.join(world.dir, 'vault.key'), key('v2'));
  await restart(scene, 'ingest', 'render', 'upload', 'rewrite', 'revoke', 'portal');
  const next = await scene.reader('link');
  assert.equal(await opens(next.link), 200, 'a parcel of the new key');
  assert.equal(await opens(reader.link), 200, 'and one of the old key');
  const sealed = (await scene.inBox()).id;
  await recalled(scene, old.id); // by its manifest, which the old key seals
  await recalled(scene, reader.id);

  // A key that is taken away too early is told by its name, and is put back.
  const both = fs.readFileSync(world.keyFile, 'utf8');
  fs.writeFileSync(world.keyFile, both.split('\n')[1] + '\n', { mode: 0o600 });
  await restart(scene, 'revoke');
  await scene.ctl('message', 'recall', sealed, '--reason', 'a test');
  await waitFor(() => /the key k2 is not in the key file/.test(scene.by.revoke.output), { ...patience, what: 'a word about the key' });
  fs.writeFileSync(world.keyFile, both, { mode: 0o600 });
  await restart(scene, 'revoke');
  await scene.redis.due('revoke');
  await waitFor(() => gone(scene, sealed), { ...patience, what: 'the recall with the key' });

  // rewrite.key: old receipts' links end, new mail is as before.
  const page = (id, more) => request(`${scene.base}/s/${makeLink(id, more)}`);
  assert.equal((await page(next.id)).status, 200);
  const fresh = 'n'.repeat(40);
  scene.stack.overrides.rewrite.key = fresh;
  await restart(scene, 'render', 'rewrite', 'portal', 'console');
  assert.equal((await page(next.id)).status, 404, 'a link of the old key');
  const after = await scene.inBox();
  assert.equal((await page(after.id, { key: fresh })).status, 200);

  // A password of Redis: the second one is added, used, and the first one removed.
  await scene.redis.command('ACL', 'SETUSER', 'fumibako-upload', '>second-password');
  await scene.restart('upload', { redis: { url: `redis://fumibako-upload:second-password@127.0.0.1:${world.ports.redis}/0` } });
  await scene.redis.command('ACL', 'SETUSER', 'fumibako-upload', '<CHANGE-ME-upload');
  await scene.inBox();

  // The token of ingest.
  const submit = async (token) => (await request(`http://127.0.0.1:${world.ports.http}/v1/messages?from=taro@example.jp&to=token@elsewhere.example.com`, { method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'message/rfc822' }, body: mail('token@elsewhere.example.com') })).status;
  const before = world.token;
  assert.notEqual(await submit(before), 401);
  world.token = randomBytes(24).toString('hex');
  await restart(scene, 'ingest');
  assert.equal(await submit(before), 401);
  assert.notEqual(await submit(world.token), 401);
});

test('the spool is lost: what was in flight is known, the rest goes on, and old mail can be recalled', { timeout: 600000 }, async (t) => {
  const scene = await Scene.start(t, { prometheus: false });
  const { world } = scene;
  const sent = await scene.inBox();
  // The back-up of the hour: spool.id and manifests.
  const backup = path.join(world.dir, 'backup');
  fs.mkdirSync(backup);
  for (const f of ['spool.id', 'manifests']) fs.cpSync(path.join(world.spoolDir, f), path.join(backup, f), { recursive: true, preserveTimestamps: true });
  await scene.by.upload.stop();
  const lost = await scene.send('lost@partner.example.com');
  await waitFor(async () => (await scene.redis.command('XLEN', 'fb:{s0}:upload')) > 0, { ...patience, what: 'the job' });

  const spooling = ['ingest', 'render', 'rewrite', 'revoke'];
  for (const name of spooling) await scene.by[name].stop();
  const open = (await scene.ctl('message', 'list', '--state', 'open', '--json')).json();
  assert.deepEqual(open.map((m) => [m.id, m.from]), [[lost, 'taro@example.jp']], 'whom to ask to send again');
  fs.renameSync(world.spoolDir, path.join(world.dir, 'broken-disk'));
  fs.mkdirSync(world.spoolDir, { mode: 0o700 });
  for (const f of ['spool.id', 'manifests']) fs.cpSync(path.join(backup, f), path.join(world.spoolDir, f), { recursive: true });
  for (const name of [...spooling, 'upload']) await scene.stack.startService(name);

  // Its job finds no mail: that is told, and who got nothing.
  await waitFor(async () => (await scene.by.upload.metric('fumibako_jobs_without_mail_total', 'stage="upload"')) === 1, { ...patience, what: 'the count' });
  const told = new RegExp(`is not in the spool[^\\n]*${lost}`);
  await waitFor(() => told.test(scene.by.upload.output), { ...patience, what: 'a word about the mail' });
  assert.match((await scene.ctl('message', 'show', lost)).stdout, /lost@partner\.example\.com +waiting/);
  await scene.inBox(); // it goes on
  assert.equal(scene.inbox('lost@partner.example.com').length, 0, 'nothing went out unprotected');
  await recalled(scene, sent.id);
});

test('a mail went to the wrong person: found, taken back from that person alone, told about, given back', { timeout: 600000 }, async (t) => {
  const scene = await Scene.start(t, { prometheus: false });
  const [right, wrong] = ['right@partner.example.com', 'wrong@partner.example.com'];
  const file = path.join(scene.world.dir, 'mail.eml');
  fs.writeFileSync(file, mail(`${right}, ${wrong}`));
  const submitted = await scene.ctl('submit', file, '--from', 'taro@example.jp', '--to', right, '--to', wrong);
  assert.equal(submitted.status, 0, submitted.stderr);
  await Promise.all([scene.arrives(right), scene.arrives(wrong)]);
  const [{ id }] = (await scene.ctl('message', 'list', '--sender', 'taro@example.jp', '--since', '2d', '--json')).json();
  const folder = (await scene.stack.box.state('folders')).folders.find((f) => f.name.includes(id));
  await scene.stack.box.act({ as: wrong, do: 'preview', folder: folder.id });
  const grants = async () => Object.fromEntries((await scene.show(id)).recipients.map((r) => [r.address, r.grant]));
  await waitFor(async () => (await grants())[wrong] === 'opened', { ...patience, what: 'the access to be known' });

  const recall = await scene.ctl('message', 'recall', id, '--recipient', wrong, '--reason', 'the wrong person');
  assert.equal(recall.status, 0, recall.stderr);
  await waitFor(async () => (await grants())[wrong] === 'recalled', { ...patience, what: 'the recall' });
  const may = async (as) => (await scene.stack.box.act({ as, do: 'preview', folder: folder.id })).status;
  assert.deepEqual([await may(wrong), await may(right)], [403, 200]);

  const report = (await scene.ctl('message', 'report', id, '--language', 'ja')).stdout;
  assert.match(report, /wrong@partner\.example\.com/);
  assert.match(report, /[ぁ-ん]/);
  const rule = await scene.ctl('policy', 'test', file, '--from', 'taro@example.jp', '--to', wrong);
  assert.equal(rule.status, 0, rule.stderr);
  assert.match(rule.stdout, /Box/);

  const restored = await scene.ctl('message', 'restore', id, '--recipient', wrong);
  assert.equal(restored.status, 0, restored.stdout + restored.stderr);
  await waitFor(async () => (await may(wrong)) === 200, { ...patience, what: 'the access to be back' });
});

test('a fresh machine has the console\'s accounts again from console.users_file, with their second factor', async (t) => {
  const desk = await Desk.create(t);
  const hanako = await desk.person('hanako', 'admin');
  // The copy follows each step of the first log-in; what is wanted is the last one.
  const { changed } = JSON.parse(await desk.redis.command('HGET', 'fb:{s0}:console:users', 'hanako'));
  await waitFor(() => JSON.parse(fs.readFileSync(desk.usersFile, 'utf8')).accounts.some((a) => a.name === 'hanako' && a.changed === changed),
    { what: 'the copy' });
  const backup = fs.readFileSync(desk.usersFile);
  await desk.service.stop();
  await desk.redis.command('FLUSHALL');
  fs.rmSync(path.dirname(desk.usersFile), { recursive: true });
  // The back-up, put back before the console starts.
  fs.mkdirSync(path.dirname(desk.usersFile), { mode: 0o700 });
  fs.writeFileSync(desk.usersFile, backup, { mode: 0o600 });
  desk.service = await desk.world.start('console', desk.settings);
  await waitFor(async () => (await desk.redis.command('HEXISTS', 'fb:{s0}:console:users', 'hanako')) === 1, { ...patience, what: 'the account' });
  await desk.browser().signIn(hanako);
  const list = desk.ctl('user', 'list');
  assert.equal(list.status, 0);
  assert.match(JSON.stringify(list.json), /hanako/);
});
