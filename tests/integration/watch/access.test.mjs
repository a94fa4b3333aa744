// SPDX-License-Identifier: Apache-2.0
//
// What recipients do in Box appears in the ledger, once, and says no more than Box said.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bucket } from '../../support/ledger.mjs';
import { Scene, TO } from './kit.mjs';

test('previews and downloads of recipients are in the ledger, each once', async (t) => {
  const scene = await Scene.create(t, { settings: { rate: 'off', event_duplicates: true } });
  const p = await scene.parcel();
  await scene.act(TO[0], 'preview', { file: p.files[0] });
  await scene.grant(p.id, TO[0], 'opened');
  await scene.act(TO[0], 'download', { file: p.files[0] });
  await scene.act(TO[1], 'download', { file: p.files[1] });
  await scene.grant(p.id, TO[0], 'downloaded');
  await scene.grant(p.id, TO[1], 'downloaded');
  await scene.act(TO[0], 'preview', { file: p.files[1] });
  await scene.until('the second preview', async () => (await scene.recipient(p.id, TO[0])).previews === 2);
  await scene.settled();
  const a = await scene.recipient(p.id, TO[0]);
  assert.equal(a.grant, 'downloaded', 'a preview after a download takes nothing back');
  assert.deepEqual([a.previews, a.downloads], [2, 1]);
  const lines = (await scene.history(p.id)).filter((l) => ['preview', 'download'].includes(l.event));
  assert.deepEqual(lines.map((l) => [l.recipient, l.event]).sort(),
    [[0, 'download'], [0, 'preview'], [0, 'preview'], [1, 'download']]);
  assert.ok(lines.every((l) => Math.abs(l.at - Date.now()) < 120000 && l.source === 'events'));
  const text = await scene.ctl('message', 'show', p.id);
  assert.match(text, /a@example\.com .*downloaded, seen 2, downloaded 1 times/);
  assert.match(text, /preview, by events \(a@example\.com\)/);
  assert.equal(await scene.watch.metric('fumibako_accesses_total', 'storage="box",event="download",by="recipient"'), 2);
  assert.deepEqual(await scene.watch.stop(), { code: 0, signal: null });
  for (const address of TO) assert.ok(!scene.watch.output.includes(address), 'no address in the log');
});

test('an accepted invitation makes a pending grant active; until then it is listed', async (t) => {
  const scene = await Scene.create(t);
  const p = await scene.parcel();
  assert.equal((await scene.recipient(p.id, TO[2])).grant, 'pending');
  const list = await scene.ctl('message', 'list', '--pending');
  assert.match(list, new RegExp(p.id));
  assert.match(list, /pending\.c@example\.com +invited .*has not accepted/);
  await scene.act(TO[2], 'accept', { folder: p.folder });
  await scene.grant(p.id, TO[2], 'active');
  await scene.act(TO[2], 'preview', { file: p.files[0] });
  await scene.grant(p.id, TO[2], 'opened');
  assert.match(await scene.ctl('message', 'list', '--pending'), /no message/);
  const events = (await scene.history(p.id)).filter((l) => l.recipient === 2).map((l) => l.event);
  assert.deepEqual(events.filter((e) => e === 'preview').length, 1);
  assert.ok(events.includes('accepted'));
  await scene.until('nothing to ask', async () => (await scene.redis.command('ZCARD', 'fb:{s0}:pending:box')) === 0);
});

test('who has no two-step login is known where Box tells it', async (t) => {
  const scene = await Scene.create(t, { settings: { rate: 'off', accounts: { [TO[2]]: { exists: true, mfa: false } } } });
  const p = await scene.parcel();
  await scene.until('the state', async () => (await scene.recipient(p.id, TO[2])).two_step === 'off');
  assert.equal((await scene.recipient(p.id, TO[2])).grant, 'pending');
  assert.match(await scene.ctl('message', 'list', '--pending'), /two-step login is not set up/);
  assert.match(await scene.ctl('message', 'show', p.id), /two-step login off/);
});

test('accesses of others are recorded as theirs, and change no recipient', async (t) => {
  const scene = await Scene.create(t);
  const p = await scene.parcel({ security: 'open' });
  const password = (await scene.sim.state()).shared_links.find((l) => l.item.id === p.folder)?.password;
  await scene.act(null, 'preview', { file: p.files[0], password });
  await scene.until('the access', async () => (await scene.history(p.id)).length > 0);
  await scene.settled();
  const lines = await scene.history(p.id);
  assert.deepEqual(lines.map((l) => [l.recipient, l.actor, l.event]), [[null, 'anonymous', 'preview']]);
  assert.ok((await scene.show(p.id)).recipients.every((r) => r.grant === 'active' && r.previews === 0));
  assert.match(await scene.ctl('message', 'show', p.id), /somebody else: preview, by events \(anonymous\)/);
});

test('a link that a recipient makes is ended again and reported; the notice\'s own link goes on', async (t) => {
  const scene = await Scene.create(t);
  const p = await scene.parcel();
  const before = (await scene.sim.state()).shared_links.find((l) => l.item.id === p.folder);
  await scene.act(TO[0], 'share', { file: p.files[0] });
  await scene.act(TO[1], 'share', { folder: p.folder });
  await scene.until('no open link', async () => {
    const links = (await scene.sim.state()).shared_links;
    return links.every((l) => l.access === 'collaborators') && !links.some((l) => l.item.id === p.files[0]);
  });
  const after = (await scene.sim.state()).shared_links.find((l) => l.item.id === p.folder);
  assert.equal(after.url, before.url);
  await scene.until('two lines', async () => (await scene.history(p.id)).filter((l) => l.event === 'link removed').length === 2);
  const lines = (await scene.history(p.id)).filter((l) => l.event === 'link removed');
  assert.deepEqual(lines.map((l) => l.actor).sort(), [TO[0], TO[1]]);
  await scene.until('the count', async () => (await scene.watch.metric('fumibako_foreign_links_total', 'storage="box",outcome="removed"')) === 2);
  await scene.until('a line in the log for each', () => scene.watch.log.filter((l) => l.level === 'warn' && l.parcel_id === `${p.id}-0`).length === 2);
});

test('a link that is not open any more when watch looks is not called removed', async (t) => {
  const scene = await Scene.create(t, { watch: false });
  const p = await scene.parcel();
  await scene.act(TO[0], 'share', { file: p.files[0] });
  await scene.act(TO[1], 'share', { file: p.files[0] });
  scene.watch = await scene.start();
  const events = async () => (await scene.history(p.id)).filter((l) => l.event.startsWith('link')).map((l) => l.event);
  await scene.until('a line for each', async () => (await events()).length > 1);
  assert.deepEqual(await events(), ['link removed', 'link not open']);
  for (const outcome of ['removed', 'gone']) {
    await scene.until(`the count of ${outcome}`, async () =>
      (await scene.watch.metric('fumibako_foreign_links_total', `storage="box",outcome="${outcome}"`)) === 1);
  }
});

test('how far the events were read is known, and stands still while they cannot be read', async (t) => {
  const scene = await Scene.create(t);
  const seen = async () => Number(await scene.redis.command('HGET', 'fb:{s0}:watch:seen', 'box user ') ?? 0);
  const started = Date.now();
  const p = await scene.parcel();
  await scene.act(TO[0], 'preview', { file: p.files[0] });
  const acted = Date.now();
  await scene.until('the stream read behind it', async () => (await seen()) > acted);
  assert.ok((await seen()) <= Date.now());
  const w = await scene.redis.command('HGETALL', `fb:{s0}:g:${p.id}-0`);
  const first = Number(w[w.indexOf('o:0') + 1]);
  assert.ok(first >= started - 1000 && first <= acted + 1000, `${w}`);
  await scene.watch.stop();
  const last = await seen();
  await new Promise((resolve) => setTimeout(resolve, 1500));
  assert.equal(await seen(), last);
});

test('what was recalled stays recalled, whatever comes late', async (t) => {
  const scene = await Scene.create(t, { watch: false });
  await scene.stage.start('revoke');
  const p = await scene.parcel();
  await scene.act(TO[0], 'download', { file: p.files[0] });
  await scene.ctl('message', 'recall', p.id);
  await scene.grant(p.id, TO[0], 'recalled');
  scene.watch = await scene.start();
  await scene.until('the access', async () => (await scene.recipient(p.id, TO[0])).downloads === 1);
  assert.equal((await scene.recipient(p.id, TO[0])).grant, 'recalled');
});

test('who is faster than upload is put by and counted when the parcel is known', async (t) => {
  const scene = await Scene.create(t);
  const p = await scene.parcel();
  const key = bucket(p.folder);
  await scene.redis.command('RENAME', key, `${key}:away`);
  await scene.act(TO[0], 'preview', { file: p.files[0] });
  await scene.until('an event put by', async () => (await scene.redis.command('HLEN', 'fb:{s0}:watch:parked')) > 0);
  await scene.redis.command('RENAME', `${key}:away`, key);
  await scene.grant(p.id, TO[0], 'opened');
  await scene.until('nothing put by', async () => (await scene.redis.command('HLEN', 'fb:{s0}:watch:parked')) === 0);
  assert.equal((await scene.recipient(p.id, TO[0])).previews, 1);
});

test('each pool user has its stream, and the enterprise\'s does the same in one', async (t) => {
  const probe = await Scene.create(t, { users: 2, watch: false });
  const state = await probe.sim.state();
  const users = (state.users ?? []).filter((u) => u.managed && !u.service).map((u) => u.id);
  assert.ok(users.length >= 2, JSON.stringify(state.users)?.slice(0, 300));
  for (const events of ['user', 'enterprise']) {
    const scene = await Scene.create(t, { sim: probe.sim, storage: { users: users.slice(0, 2).map((id) => ({ id })), events } });
    const parcels = [];
    for (let i = 0; i < 4; i++) parcels.push(await scene.parcel());
    for (const p of parcels) await scene.act(TO[1], 'download', { file: p.files[0] });
    for (const p of parcels) await scene.grant(p.id, TO[1], 'downloaded');
    for (const p of parcels) assert.equal((await scene.recipient(p.id, TO[1])).downloads, 1, events);
    await scene.watch.stop();
  }
});
