// SPDX-License-Identifier: Apache-2.0
//
// Two storages; one takes connections and never answers.  Mail for the other goes on, what waits loses nothing and uses
// up no attempt, and all of it goes out when the storage is back; recalls the same.
import assert from 'node:assert/strict';
import net from 'node:net';
import { once } from 'node:events';
import { test } from 'node:test';
import { Relay } from '../support/relay.mjs';
import { Smtp, waitFor } from '../support/harness.mjs';
import { Stack } from './stack.mjs';

/** A way to the simulator that can turn into a black hole. */
class Hole {
  static async start(url) {
    const hole = new Hole();
    const to = new URL(url);
    hole.isBlack = false;
    hole.sockets = new Set();
    hole.server = net.createServer((socket) => {
      hole.sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => hole.sockets.delete(socket));
      const other = net.connect({ host: to.hostname, port: Number(to.port) });
      other.on('error', () => socket.destroy());
      other.on('close', () => socket.destroy());
      socket.on('close', () => other.destroy());
      socket.on('data', (c) => { if (!hole.isBlack) other.write(c); });
      other.on('data', (c) => { if (!hole.isBlack) socket.write(c); });
    });
    hole.server.listen(0, '127.0.0.1');
    await once(hole.server, 'listening');
    hole.url = `http://127.0.0.1:${hole.server.address().port}`;
    return hole;
  }

  async stop() {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

const subjects = (relay) => relay.mails.map((m) => /^Subject: (\S+)/m.exec(m.content.toString('latin1'))?.[1]);
const countOf = (relay, tag) => new Set(subjects(relay).filter((s) => s?.startsWith(tag))).size;

async function handIn(stack, tag, from, to) {
  const smtp = await Smtp.connect(stack.world.ports.smtp, { timeout: 60000 });
  for (let i = from; i < to; i++) {
    const reply = await smtp.send({ from: `s${i}@example.jp`, to: [`${tag}${i}@${tag}.example.com`],
      content: `From: s${i}@example.jp\r\nTo: ${tag}${i}@${tag}.example.com\r\nSubject: ${tag}${i}\r\n\r\nHello\r\n` });
    assert.equal(reply.code, 250, reply.text);
  }
  smtp.close();
}

test('a storage that never answers stops only its own parcels and recalls', async (t) => {
  const relay = await Relay.start();
  t.after(() => relay.stop());
  const stack = await Stack.start(t, { postfix: false, box: { users: 12 }, services: ['ingest', 'render', 'rewrite'],
    overrides: { rewrite: { relay: `smtp://127.0.0.1:${relay.port}` }, upload: { concurrency: 4 }, revoke: { concurrency: 4 } } });
  const hole = await Hole.start(stack.box.url);
  t.after(() => hole.stop());
  const through = { api_url: `${hole.url}/2.0`, upload_url: `${hole.url}/upload/api/2.0`, token_url: `${hole.url}/oauth2/token` };
  await stack.apply({
    storages: [stack.box.storage({ name: 'a', ...through, users: stack.box.users.slice(0, 6) }),
      stack.box.storage({ name: 'b', users: stack.box.users.slice(6) })],
    rules: ['a', 'b'].map((s) => ({ name: `to ${s}`, when: { to: [`@${s}.example.com`] }, action: 'secure', storage: s,
      security: 'recipients only' })),
  });
  await stack.startService('upload');
  await stack.startService('revoke');
  const began = Date.now();
  await handIn(stack, 'a', 0, 6);
  await handIn(stack, 'b', 0, 6);
  await waitFor(() => countOf(relay, 'a') === 6 && countOf(relay, 'b') === 6, { timeout: 180000, what: 'both storages to work' });
  // As long as twice as many took while both worked, and twice that again, is no time of waiting for the hole.
  const pace = 40000 + 4 * (Date.now() - began);

  hole.isBlack = true;
  await handIn(stack, 'a', 6, 30);
  await handIn(stack, 'b', 6, 30);
  const begun = Date.now();
  await waitFor(() => countOf(relay, 'b') === 30, { timeout: pace, what: 'the mail of storage b' });
  t.diagnostic(`24 parcels of b beside a black hole: ${Date.now() - begun} ms`);
  assert.equal(countOf(relay, 'a'), 6);

  // Recalls: those of b are done while those of a wait.
  const sent = await stack.messages();
  const idsOf = (tag) => sent.filter((m) => m.state === 'done' && m.recipients[0].address.startsWith(tag)).map((m) => m.id).slice(0, 6);
  for (const id of [...idsOf('a'), ...idsOf('b')]) assert.equal((await stack.ctl('message', 'recall', id)).status, 0);
  const isRecalled = async (ids) => (await stack.messages()).filter((m) => ids.includes(m.id) && m.recipients[0].grant === 'recalled').length === ids.length;
  assert.equal(idsOf('b').length, 6);
  await waitFor(() => isRecalled(idsOf('b')), { timeout: pace, interval: 250, what: 'the recalls of b' });
  assert.equal(await isRecalled(idsOf('a').slice(0, 1)), false);

  await waitFor(async () => (await stack.by.upload.metric('fumibako_storage_up', 'storage="a"')) === 0, { timeout: 180000, what: 'down' });
  assert.equal(await stack.by.upload.metric('fumibako_storage_up', 'storage="b"'), 1);
  await waitFor(() => /storage \\"a\\" does not answer/.test(stack.by.upload.output), { what: 'upload to say so' });
  await waitFor(async () => /storage.*"?a/.test((await stack.ctl('queue')).stdout), { what: 'fumibako queue to say so' });

  // Another wave of b at full pace, now that it is known.
  const again = Date.now();
  await handIn(stack, 'b', 30, 54);
  await waitFor(() => countOf(relay, 'b') === 54, { timeout: pace, what: 'b while a is down' });
  t.diagnostic(`24 parcels of b while a is known to be down: ${Date.now() - again} ms`);

  hole.isBlack = false;
  for (const socket of hole.sockets) socket.destroy();
  await waitFor(() => countOf(relay, 'a') === 30, { timeout: 300000, what: 'the mail of storage a' });
  await stack.settled();
  await waitFor(() => isRecalled(idsOf('a')), { timeout: 180000, interval: 250, what: 'the recalls of a' });
  assert.equal(await stack.by.upload.metric('fumibako_storage_up', 'storage="a"'), 1);
  assert.equal(Number(await stack.world.redis.command('XLEN', 'fb:{s0}:dead')), 0);
  const notices = subjects(relay).filter((s) => /^[ab]\d+$/.test(s)); // the rest are letters about the recalls
  assert.equal(notices.length, new Set(notices).size, 'nothing twice');
});
