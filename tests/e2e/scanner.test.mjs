// SPDX-License-Identifier: Apache-2.0
//
// Programs that look at links for people (mail gateways, previews of chat programs, virus scanners) open everything that a
// mail names, with GET, HEAD and OPTIONS, and follow what they find. Nothing comes of it: no mail, no access recorded, no
// byte changed in Redis or in the vault.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { request } from '../support/harness.mjs';
import { textOf } from './stack.mjs';
import { HANAKO, JIRO, Reading } from '../browser/vault_kit.mjs';

const PROGRAMS = ['Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36',
  'Slackbot-LinkExpanding 1.0', ''];
const BEHIND = ['', '/', '?lang=en', '/open', '/code', '/enter', '/totp', '/enrol', '/recovery', '/password', '/leave', '/body.pdf',
  '/page/0000000000000000/1.png', '/download', '/download?file=all', '/file/x/y', '/reply', '/reply?done=01J00000000000000000000000',
  '/confirm', '/recall'];

/** {key: {value, ends}}, without what the portal itself writes now and then. */
async function everythingInRedis(redis) {
  const all = {};
  for (const key of (await redis.command('KEYS', '*')).filter((k) => k !== 'fb:{s0}:alarm').sort()) {
    const left = await redis.command('PTTL', key);
    all[key] = { value: await redis.command('DUMP', key), ends: left < 0 ? Infinity : Date.now() + left };
  }
  return all;
}

function everythingIn(dir) {
  const all = {};
  for (const name of fs.readdirSync(dir, { recursive: true }).sort()) {
    const file = path.join(dir, name);
    const stat = fs.statSync(file);
    all[name] = [stat.mtimeMs, stat.isFile() ? createHash('sha256').update(fs.readFileSync(file)).digest('hex') : ''];
  }
  return all;
}

test('a scanner that opens every link with GET, HEAD and OPTIONS changes nothing and sends no mail', async (t) => {
  const reading = await Reading.start(t, { browser: false, rule: { receipt: true }, security: { proof: 'code', trusted_days: 30, members: true } });
  const { stack, world, mails } = reading;
  await reading.send({ to: [HANAKO, JIRO], files: [{ name: 'a.txt', type: 'text/plain', bytes: Buffer.from('hello') }] });
  await stack.settled();
  const links = [...new Set(mails.flatMap((m) => [...textOf(Buffer.from(m.content)).matchAll(new RegExp(`${reading.base}/(?:r/[A-Za-z0-9_-]{71}|s/[A-Za-z0-9_-]{76})(?![A-Za-z0-9_-])`, 'g'))]
    .map((found) => found[0])))];
  assert.equal(links.filter((l) => l.includes('/r/')).length, 2);
  assert.equal(links.filter((l) => l.includes('/s/')).length, 1);
  const sent = mails.length;
  // Nobody else writes while the scanner is at work.
  for (const service of ['ingest', 'render', 'upload', 'rewrite', 'revoke']) await stack.by[service].stop();
  const redis = await everythingInRedis(world.redis);
  const vault = everythingIn(path.join(world.dir, 'vault'));
  let asked = 0;
  for (const link of links) {
    for (const behind of BEHIND) {
      for (const method of ['GET', 'HEAD', 'OPTIONS']) {
        const cookies = [];
        for (const agent of PROGRAMS) {
          // Each a client of its own (the proxy says so): the limits for one are another test's.
          const answer = await request(`${link}${behind}`, { method, headers: { 'user-agent': agent, 'x-forwarded-for': `198.51.${asked >> 8 & 255}.${asked & 255}`,
            ...(cookies.length ? { cookie: cookies.join('; ') } : {}) } });
          asked++;
          assert.ok(answer.status < 500, `${method} ${behind}: ${answer.status}`);
          for (const c of answer.headers['set-cookie'] ?? []) cookies.push(c.split(';')[0]);
        }
      }
    }
  }
  const after = await everythingInRedis(world.redis);
  const isOver = (key) => after[key] === undefined && redis[key].ends <= Date.now() + 1000; // by its own time
  const changed = [...new Set([...Object.keys(redis), ...Object.keys(after)])]
    .filter((key) => redis[key]?.value !== after[key]?.value && !isOver(key));
  assert.deepEqual(changed, [], `after ${asked} requests`);
  assert.deepEqual(everythingIn(path.join(world.dir, 'vault')), vault);
  await stack.startService('rewrite');
  await stack.settled();
  assert.equal(mails.length, sent, 'no mail was sent');
});
