// SPDX-License-Identifier: Apache-2.0
//
// One job at a time for a parcel, and never one that nobody carries out.

import assert from 'node:assert/strict';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { isClosed, TO, uploaded } from './kit.mjs';

/** Redis behind somebody who cuts the line when it has done the first command about a turn, before its answer is there. */
async function cutter(t, port) {
  const seen = { cuts: 0, port: 0 };
  const sockets = new Set();
  const server = net.createServer((client) => {
    const redis = net.connect(port, '127.0.0.1');
    let isAsked = false;
    const end = () => { client.destroy(); redis.destroy(); };
    for (const socket of [client, redis]) {
      sockets.add(socket);
      socket.on('error', end).on('close', end);
    }
    client.on('data', (bytes) => {
      isAsked = isAsked || bytes.includes(':turn:');
      redis.write(bytes);
    });
    redis.on('data', (bytes) => {
      if (isAsked && seen.cuts === 0 && !bytes.toString('latin1').startsWith('-NOSCRIPT')) {
        seen.cuts++;
        end();
      } else {
        client.write(bytes);
      }
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => { for (const socket of sockets) socket.destroy(); server.close(); });
  seen.port = server.address().port;
  return seen;
}

test('the answer to the turn is lost: the recall is carried out all the same, within seconds', async (t) => {
  const stage = await uploaded(t, { start: ['upload'] });
  await stage.sent();
  const redis = await cutter(t, stage.world.ports.redis);
  const { url } = stage.world.config('revoke').redis;
  stage.revoke = await stage.world.start('revoke', { redis: { url: url.replace(`:${stage.world.ports.redis}/`, `:${redis.port}/`) },
    policy: { source: `file:${stage.policyFile}`, cache: path.join(stage.world.dir, 'cache') } });
  await stage.recall();
  await stage.untilStates(...TO.map(() => 'recalled'));
  await stage.idle();
  assert.equal(redis.cuts, 1);
  assert.ok(isClosed(await stage.box()));
  assert.deepEqual(await stage.redis.command('KEYS', 'fb:{s0}:turn:*'), [], 'nobody has the turn');
});
