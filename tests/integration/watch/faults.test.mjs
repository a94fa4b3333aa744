// SPDX-License-Identifier: Apache-2.0
//
// A storage that refuses, breaks or is away; positions beyond 2^53; webhooks.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import { freePort, request, sleep } from '../../support/harness.mjs';
import { run } from '../upload/stage.mjs';
import { Scene, TO } from './kit.mjs';

for (const kind of ['raw', 'string']) {
  test(`a position beyond 2^53 (${kind}) goes back as it came`, async (t) => {
    const scene = await Scene.create(t, { settings: { rate: 'off', event_position: kind } });
    const p = await scene.parcel();
    for (let i = 0; i < 3; i++) {
      await scene.act(TO[0], 'preview', { file: p.files[0] });
      await scene.until('the access', async () => (await scene.recipient(p.id, TO[0])).previews === i + 1);
    }
    const state = await scene.sim.state(); // the stream's end counts everybody's events
    const all = [...state.events, ...state.admin_events].map((e) => BigInt(e.position));
    const end = String(all.reduce((a, b) => (a > b ? a : b)));
    assert.ok(BigInt(end) > 2n ** 53n);
    await scene.until(`the position ${end}`, async () => (await scene.redis.command('HGETALL', 'fb:{s0}:watch:pos'))[1] === end);
  });
}

test('storms of 429, 500 and lost answers delay accesses and lose none', async (t) => {
  const scene = await Scene.create(t);
  const p = await scene.parcel();
  await scene.sim.faults([
    { match: { path: '/2.0/events' }, times: 3, do: { status: 429, headers: { 'retry-after': '1' } } },
    { match: { path: '/2.0/events' }, times: 8, do: { status: 500 } },
    { match: { path: '/2.0/events' }, times: 2, do: { drop: 'after' } },
  ]);
  for (let i = 0; i < 20; i++) await scene.act(TO[0], 'preview', { file: p.files[0] });
  await scene.until('20 accesses', async () => (await scene.recipient(p.id, TO[0])).previews === 20, 90000);
  await scene.settled();
  assert.equal((await scene.recipient(p.id, TO[0])).previews, 20);
});

test('a storage that is away does not hold up another one', async (t) => {
  const scene = await Scene.create(t, { watch: false });
  const port = await freePort();
  const away = { ...scene.sim.storage({ name: 'away' }), type: 'box', api_url: `http://127.0.0.1:${port}/2.0`,
    token_url: `http://127.0.0.1:${port}/oauth2/token` };
  scene.stage.policy({}, { storages: [away, { ...scene.sim.storage(), type: 'box' }] });
  const p = await scene.parcel();
  scene.watch = await scene.start();
  await scene.act(TO[0], 'preview', { file: p.files[0] });
  await scene.grant(p.id, TO[0], 'opened');
  assert.deepEqual(await scene.watch.stop(), { code: 0, signal: null });
});

test('a link that Box does not let be ended is reported, and holds up nothing', async (t) => {
  const scene = await Scene.create(t);
  const p = await scene.parcel();
  await scene.act(TO[0], 'share', { file: p.files[0] });
  await scene.sim.faults([{ match: { method: 'PUT', path: '/2.0/files/' },
    do: { status: 403, body: { type: 'error', status: 403, code: 'forbidden_by_policy', message: 'no' } } }]);
  await scene.act(TO[0], 'share', { file: p.files[1] });
  await scene.act(TO[1], 'preview', { file: p.files[0] });
  await scene.grant(p.id, TO[1], 'opened');
  await scene.until('what remains in the history', async () => (await scene.history(p.id)).some((l) => l.event === 'link remains'));
  await scene.until('the count', async () => (await scene.watch.metric('fumibako_foreign_links_total', 'storage="box",outcome="failed"')) >= 1);
  await scene.watch.says(/"level":"error".*cannot be ended/);
});

test('a signed webhook wakes the reading at once; others, old ones and repetitions do not', async (t) => {
  const port = await freePort();
  const keys = { primary: 'p'.repeat(32), secondary: 's'.repeat(32) };
  const scene = await Scene.create(t, { config: { interval: '1h', listen: `127.0.0.1:${port}`,
    webhook_primary_key: keys.primary, webhook_secondary_key: keys.secondary } });
  const p = await scene.parcel();
  const readBehind = (at) => scene.until('the reading to end', async () =>
    Number(await scene.redis.command('HGET', 'fb:{s0}:watch:seen', 'box user ') ?? 0) >= at);
  await readBehind(1); // the first reading is over
  await sleep(1500);
  const send = (body, { key = keys.primary, at = Date.now(), as = 'primary', change = (b) => b } = {}) => {
    const timestamp = new Date(at).toISOString().replace(/\.\d+Z$/, '-00:00');
    const signature = createHmac('sha256', key).update(body).update(timestamp).digest('base64');
    return request(`http://127.0.0.1:${port}/box`, { method: 'POST', body: change(body),
      headers: { 'box-delivery-timestamp': timestamp, 'box-signature-version': '1',
        'box-signature-algorithm': 'HmacSHA256', [`box-signature-${as}`]: signature } });
  };
  const body = (id) => `{"type":"webhook_event","id":"${id}","trigger":"FILE.PREVIEWED","source":{"name":"T\\u00e9","p":"a\\/b"}}`;
  await scene.act(TO[0], 'preview', { file: p.files[0] });
  assert.equal((await send(body('1'), { key: 'x'.repeat(32) })).status, 403);
  assert.equal((await send(body('1'), { at: Date.now() - 11 * 60000 })).status, 403);
  assert.equal((await send(body('1'), { change: (b) => b.replace('\\/', '/') })).status, 403);
  assert.equal((await request(`http://127.0.0.1:${port}/box`)).status, 405);
  await sleep(1500);
  assert.equal((await scene.recipient(p.id, TO[0])).grant, 'active', 'nothing woke it');
  const sent = Date.now();
  assert.equal((await send(body('1'))).status, 200);
  await scene.grant(p.id, TO[0], 'opened');
  await readBehind(sent); // or it would see what happens next
  await scene.act(TO[0], 'download', { file: p.files[0] });
  assert.equal((await send(body('1'))).status, 200);
  await sleep(1500);
  assert.equal((await scene.recipient(p.id, TO[0])).grant, 'opened', 'a repetition wakes nothing');
  assert.equal((await send(body('2'), { key: keys.secondary, as: 'secondary' })).status, 200);
  await scene.grant(p.id, TO[0], 'downloaded');
  assert.equal(await scene.watch.metric('fumibako_webhooks_total', 'outcome="refused"'), 3);
  assert.equal(await scene.watch.metric('fumibako_webhooks_total', 'outcome="repeated"'), 1);
  assert.ok(!scene.watch.output.includes(keys.primary));
});

test('webhooks without a key are refused at the start', async (t) => {
  const scene = await Scene.create(t, { watch: false });
  const service = await scene.stage.world.start('watch', { watch: { listen: '127.0.0.1:1' } }, { ready: false, args: ['--check'] });
  assert.equal((await service.exited).code, 78);
  assert.match(service.output, /watch\.webhook_primary_key/);
  assert.equal((await run('fumibako-watch', ['--version'])).code, 0);
});
