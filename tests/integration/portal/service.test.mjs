// SPDX-License-Identifier: Apache-2.0
// The portal as a service: configuration, limits, draining, metrics.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import test from 'node:test';
import { World, binDir, request, sleep, waitFor } from '../../support/harness.mjs';
import { Portal, formOf, makeLink } from './kit.mjs';

test('a configuration without public URL or key is refused, in words', async (t) => {
  const world = await World.create(t);
  const check = (overrides) => {
    const file = path.join(world.dir, 'c.yaml');
    fs.writeFileSync(file, JSON.stringify(world.config('portal', overrides)), { mode: 0o600 });
    const r = spawnSync(path.join(binDir(), 'fumibako-portal'), ['--config', file, '--check'], { encoding: 'utf8' });
    return [r.status, r.stderr + r.stdout];
  };
  assert.deepEqual(check({}), [0, 'fumibako-portal: the configuration is good\n']);
  for (const [overrides, words] of [[{ portal: { public_url: null } }, /portal\.public_url: the portal needs the URL/],
    [{ portal: { public_url: 'https://mail.example.jp/x' } }, /portal\.public_url: .* is not a URL as https:\/\/mail\.example\.jp/],
    [{ rewrite: { key: null } }, /rewrite\.key: the portal checks the links/],
    [{ portal: { listen: null } }, /portal\.listen: the portal needs host:port/],
    [{ portal: { proxies: ['10.0.0.1/8'] } }, /portal\.proxies: "10\.0\.0\.1\/8" is not a network/]]) {
    const [status, text] = check(overrides);
    assert.equal(status, 78, text);
    assert.match(text, words);
  }
});

test('a port that is taken is told', async (t) => {
  const portal = await Portal.create(t);
  const second = await portal.world.start('portal', { metrics: { listen: '127.0.0.1:0' } }, { ready: false });
  assert.deepEqual(await second.exited, { code: 78, signal: null });
  assert.match(second.output, /portal\.listen: cannot listen on 127\.0\.0\.1:\d+: Address already in use/);
});

/** Twenty-five tries of links that there are not: how many were looked at, twenty at once and then one every six seconds. */
async function tries(ask) {
  const begun = Date.now();
  let count = 0;
  for (let i = 0; i < 25; i++) count += (await ask(i)).status === 404 ? 1 : 0;
  const most = 20 + Math.ceil((Date.now() - begun) / 6000);
  assert.ok(count >= 20 && count <= most, `${count} of at most ${most}`);
}

/** Whoever has used up all is refused; of several tries, since one may have become free meanwhile. */
const refusal = async (ask) => (await Promise.all(Array.from({ length: 5 }, ask))).find((a) => a.status === 429);

test('whoever tries links gets 429, a sender at the same address does not; proxies are believed where they are ours', async (t) => {
  const portal = await Portal.create(t);
  const link = makeLink(await portal.mail());
  const from = (address, more = {}) => portal.client({ headers: { 'x-forwarded-for': address, ...more } });
  const guesser = from('198.51.100.7');
  await tries(() => guesser.get(`/s/${'x'.repeat(76)}`));
  const limited = await refusal(() => guesser.get(`/s/${'x'.repeat(76)}`));
  assert.match(limited.headers['retry-after'], /^\d+$/);
  assert.equal((await guesser.get(`/s/${link}`)).status, 200, 'a good link goes on');
  assert.equal((await from('198.51.100.8').get('/s/x')).status, 404, 'another client');
  // Who adds addresses in front is known by the last one.
  assert.ok(await refusal(() => from('203.0.113.1, 198.51.100.7').get('/s/x')));
  assert.ok(await refusal(() => from('203.0.113.1, 198.51.100.7, 127.0.0.1').get('/s/x')));
  // All of one /64 is one client.
  await tries((i) => from(`2001:db8::${i + 1}`).get('/s/x'));

  const direct = await Portal.create(t, { portal: { proxies: [] } });
  await tries((i) => direct.client({ headers: { 'x-forwarded-for': `192.0.2.${i}` } }).get('/s/x')); // nobody is believed
});

test('X-Forwarded-For in several lines is one list: what the client wrote itself is not believed', async (t) => {
  const portal = await Portal.create(t);
  // Some proxies add a line of their own behind those that came.
  const from = (...lines) => portal.client({ headers: { 'x-forwarded-for': lines } });
  await tries((i) => from(`203.0.113.${i}`, '198.51.100.7').get('/s/x')); // a new address each time is no new client
  assert.equal((await from('198.51.100.7', '203.0.113.1').get('/s/x')).status, 404, 'nobody is blocked by another');
  assert.ok(await refusal(() => from('203.0.113.1, 198.51.100.7', '127.0.0.1').get('/s/x')));
});

test('a request whose length can be read in two ways is refused, and nothing behind it is taken for another', async (t) => {
  const portal = await Portal.create(t);
  const behind = 'GET /robots.txt HTTP/1.1\r\nHost: x\r\n\r\n';
  const sent = (head, body) => new Promise((resolve) => {
    const socket = net.connect(portal.world.ports.portal, '127.0.0.1', () =>
      socket.write(`POST /s/x HTTP/1.1\r\nHost: x\r\n${head.join('\r\n')}\r\n\r\n${body}${behind}`));
    let answer = '';
    const timer = setTimeout(() => { answer += ' (not closed)'; socket.destroy(); }, 60000);
    socket.on('data', (c) => { answer += c; });
    socket.on('error', () => {});
    socket.on('close', () => { clearTimeout(timer); resolve(answer); });
  });
  for (const [head, body] of [
    [[`Content-Length: ${behind.length + 5}`, 'Transfer-Encoding: chunked'], '0\r\n\r\n'],
    [['Transfer-Encoding: chunked', 'Content-Length: 4'], '0\r\n\r\n'],
    [['Content-Length: 0', `Content-Length: ${behind.length}`], ''],
    [[`Content-Length : ${behind.length}`], ''],
    [['Transfer-Encoding : chunked'], ''],
    [['Transfer-Encoding: identity'], ''],
    [['Transfer-Encoding: gzip, chunked'], '0\r\n\r\n'],
    [['Transfer-Encoding: chunked', 'Transfer-Encoding: identity'], '0\r\n\r\n'],
  ]) {
    const answer = await sent(head, body);
    assert.match(answer, /^HTTP\/1\.1 400 [\s\S]*Connection: close/i, head.join(', '));
    assert.doesNotMatch(answer, /Disallow|not closed/, head.join(', '));
  }
  assert.match(await sent(['Transfer-Encoding: chunked'], '0\r\n\r\n'), /^HTTP\/1\.1 404 [\s\S]*HTTP\/1\.1 200 /,
    'one way to read it');
});

test('more requests than a person makes get 429', async (t) => {
  const portal = await Portal.create(t);
  const link = makeLink(await portal.mail());
  const client = portal.client();
  const begun = Date.now();
  const statuses = await Promise.all(Array.from({ length: 300 }, () => client.get(`/s/${link}`).then((a) => a.status)));
  const good = statuses.filter((s) => s === 200).length;
  const most = 120 + Math.ceil(4 * (Date.now() - begun + 1000) / 1000); // at once, and then four a second
  assert.ok(good >= 120 && good <= most, `${good} of at most ${most}`);
  assert.ok(statuses.every((s) => s === 200 || s === 429));
});

test('long URLs and headers are refused, and no request takes for ever', async (t) => {
  const portal = await Portal.create(t);
  const link = makeLink(await portal.mail());
  const sent = (text) => new Promise((resolve) => {
    const socket = net.connect(portal.world.ports.portal, '127.0.0.1', () => socket.write(text));
    let answer = '';
    socket.on('data', (c) => { answer += c; });
    socket.on('error', () => resolve(answer));
    socket.on('close', () => resolve(answer));
    setTimeout(() => socket.destroy(), 5000);
  });
  assert.match(await sent(`GET /${'x'.repeat(20000)} HTTP/1.1\r\nHost: x\r\n\r\n`), /^(HTTP\/1\.1 4(14|31|13) |$)/);
  assert.match(await sent(`GET / HTTP/1.1\r\nHost: x\r\nCookie: ${'x'.repeat(20000)}\r\n\r\n`), /^(HTTP\/1\.1 4(31|13) |$)/);
  assert.match(await sent(`GET / HTTP/1.1\r\nHost: x\r\n${Array.from({ length: 3000 }, (_, i) => `X-${i}: y\r\n`).join('')}\r\n`), /^(HTTP\/1\.1 4(31|13) |$)/);
  assert.match(await sent('\0\x16\x03\x01 nonsense\r\n\r\n'), /^(HTTP\/1\.\d 400 |$)/);

  // A byte now and then keeps no connection open: head, body and answer have 30 seconds.
  const begun = Date.now();
  const drip = (head) => new Promise((resolve) => {
    const socket = net.connect(portal.world.ports.portal, '127.0.0.1', () => socket.write(head));
    const timer = setInterval(() => socket.write('x'), 2000);
    socket.on('error', () => {});
    socket.on('data', () => {});
    socket.on('close', () => { clearInterval(timer); resolve(Date.now() - begun); });
    setTimeout(() => socket.destroy(), 120000).unref();
  });
  const [head, body] = await Promise.all([drip('GET / HTTP/1.1\r\nX-Drip: '),
    drip(`POST /s/${link}/recall HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 9000\r\n\r\n`)]);
  for (const ms of [head, body]) assert.ok(ms > 25000 && ms < 100000, `${ms} ms`); // closed by the portal, however late on a busy machine
  assert.equal((await portal.client().get(`/s/${link}`)).status, 200);
});

test('SIGTERM: what is in hand is answered, then 0; metrics and health tell', async (t) => {
  const portal = await Portal.create(t);
  const id = await portal.mail();
  const link = makeLink(id);
  const client = portal.client();
  const form = formOf((await client.get(`/s/${link}`)).text);
  await client.get('/s/x');
  await client.post(form.action, [['scope', 'all'], ['token', 'x']]);
  const metric = (labels) => portal.service.metric('fumibako_portal_requests_total', labels);
  assert.equal(await metric('page="page",status="200"'), 1);
  assert.equal(await metric('page="other",status="404"'), 1);
  assert.equal(await metric('page="confirm",status="403"'), 1);
  assert.equal(await portal.service.metric('fumibako_portal_refused_total', 'reason="token"'), 1);
  assert.equal((await request(`http://127.0.0.1:${portal.service.metricsPort}/healthz`)).status, 200);

  // A request that waits for Redis, whose answers are held back until the portal was told to end.
  let held = null;
  let isAsked = false;
  const wire = net.createServer((near) => {
    const far = net.connect(portal.world.ports.redis, '127.0.0.1');
    near.on('data', (c) => { isAsked ||= held !== null && c.includes(Buffer.from(id)); far.write(c); });
    far.on('data', (c) => { if (held === null) near.write(c); else held.push(() => near.write(c)); });
    for (const [one, other] of [[near, far], [far, near]]) one.on('error', () => {}).on('close', () => other.destroy());
  });
  await new Promise((resolve) => wire.listen(0, '127.0.0.1', resolve));
  portal.world.atEnd(() => wire.close());
  await portal.service.stop();
  const service = await portal.world.start('portal', { redis: { url: `redis://127.0.0.1:${wire.address().port}/0` } });
  assert.equal((await client.get(`/s/${link}`)).status, 200);
  held = [];
  const late = client.get(`/s/${link}`);
  await waitFor(() => isAsked, { what: 'the request to be in hand' });
  const stopped = service.stop();
  await sleep(300);
  for (const go of held) go();
  held = null;
  assert.equal((await late).status, 200, 'answered while draining');
  assert.deepEqual(await stopped, { code: 0, signal: null });
  await waitFor(() => new Promise((resolve) => {
    net.connect(portal.world.ports.portal, '127.0.0.1').on('error', () => resolve(true)).on('connect', () => resolve(false));
  }), { what: 'a closed port' });
});
