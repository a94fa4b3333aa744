// SPDX-License-Identifier: Apache-2.0
// The authenticator app: enrolled at the first visit, asked for from then on; recovery codes; steps that are taken once.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { run } from '../ctl/kit.mjs';
import { Door, HANAKO, sha256, totp } from './door_kit.mjs';

const APP = `fb:{s0}:pt:${sha256(HANAKO)}`;
const secretOf = (page) => /<code class="secret">([A-Z2-7 ]+)<\/code>/.exec(page.text)[1].replaceAll(' ', '');

async function enrolled(door) {
  const parcel = door.parcel({ proof: 'totp' });
  const reader = await door.reader(parcel.links[0]).open();
  assert.match(reader.text, /Is it you\?/, 'the first visit: a code by mail');
  await reader.submit('code');
  await reader.submit('enter', { code: await door.code(parcel) });
  const secret = secretOf(reader.page);
  const page = reader.page;
  const now = Date.now();
  await reader.submit('enrol', { code: totp(secret, now) });
  const codes = [...reader.page.text.matchAll(/<li><code>([0-9a-z-]{14})<\/code><\/li>/g)].map((m) => m[1]);
  return { parcel, reader, secret, page, codes, now };
}

/** A visit to another mail for the same address. */
async function next(door, wanted = {}, options) {
  const parcel = door.parcel({ proof: 'totp', ...wanted });
  return door.reader(parcel.links[0], options).open();
}

test('the first visit enrols an app; the next ones ask for its code; a step is taken once', async (t) => {
  const door = await Door.create(t);
  const { reader, secret, page, codes, now } = await enrolled(door);
  assert.match(page.text, /<svg class="qr" role="img" aria-label="Square to be scanned with the app"/);
  assert.match(page.text, new RegExp(`<a href="otpauth://totp/[^"]+:hanako%40partner\\.example\\.com\\?secret=${secret}&amp;issuer=[^"]+&amp;algorithm=SHA1&amp;digits=6&amp;period=30">`));
  assert.equal(secret.length, 32, '160 bits');
  assert.equal(codes.length, 10);
  assert.equal(new Set(codes).size, 10);
  assert.equal(reader.page.status, 200);
  assert.match(reader.text, /The app is set up\..*They are shown only now/);
  assert.equal(reader.page.headers['cache-control'], 'no-store');
  await reader.open();
  assert.ok(reader.isIn);
  const stored = (await door.redis.command('HGETALL', APP)).join(' ');
  assert.ok(!stored.includes(secret) && codes.every((c) => !stored.includes(c) && !stored.includes(sha256(c))), 'Redis alone opens nothing');
  assert.ok((await door.redis.command('PTTL', APP)) > 0);

  const second = await next(door);
  assert.match(second.text, /Enter the app's code/);
  await second.submit('totp', { code: totp(secret, now) });
  assert.equal(second.answer.status, 403);
  assert.match(second.text, /This code was used before/, 'the one that confirmed the enrolment');
  const ahead = Number(await door.redis.command('HGET', APP, 'step')) * 30000 + 30000;
  const code = totp(secret, ahead);
  await second.submit('totp', { code });
  assert.ok(second.isIn, second.text);
  const third = await next(door);
  await third.submit('totp', { code });
  assert.match(third.text, /This code was used before/, 'nor twice');
  assert.ok(!door.service.output.includes(secret) && !door.service.output.includes(code));
});

test('wrong codes of the app lock, over all mails of the address; a recovery code opens, once; a new app takes the place of a lost one', async (t) => {
  const door = await Door.create(t);
  const { secret, codes } = await enrolled(door);
  for (let left = 4; left >= 0; left--) {
    const reader = await next(door);
    await reader.submit('totp', { code: '000000' });
    assert.equal(reader.answer.status, 403);
  }
  const locked = await next(door);
  const step = Number(await door.redis.command('HGET', APP, 'step')) + 1;
  await locked.submit('totp', { code: totp(secret, step * 30000) });
  assert.equal(locked.answer.status, 429);
  await locked.submit('recovery', { recovery: 'zzzz-zzzz-zzzz' });
  assert.equal(locked.answer.status, 403);
  assert.match(locked.text, /Tries left: 4/);
  await locked.submit('recovery', { recovery: ` ${codes[3].toUpperCase().replaceAll('-', ' ')}` });
  assert.ok(locked.isIn, locked.text);
  assert.equal(await door.redis.command('HGET', APP, 'left'), '9');
  const again = await next(door);
  await again.submit('recovery', { recovery: codes[3] });
  assert.equal(again.answer.status, 403);
  await again.submit('recovery', { recovery: codes[4], again: '1' });
  assert.match(again.text, /Set up an authenticator app/);
  const fresh = secretOf(again.page);
  assert.notEqual(fresh, secret);
  await again.submit('enrol', { code: '000000' });
  assert.equal(again.answer.status, 403);
  await again.submit('enrol', { code: totp(fresh) });
  assert.equal(again.page.status, 200);
  await door.redis.command('DEL', `fb:{s0}:pl:totp:${sha256(HANAKO)}`);
  const last = await next(door);
  const after = (Number(await door.redis.command('HGET', APP, 'step')) + 1) * 30000;
  await last.submit('totp', { code: totp(secret, after) });
  assert.equal(last.answer.status, 403, 'the lost one opens nothing any more');
  await last.submit('totp', { code: totp(fresh, after) });
  assert.ok(last.isIn);
});

test('whoever lost app and recovery codes is let in by the operator: `fumibako reader forget`, then a code by mail', async (t) => {
  const door = await Door.create(t);
  await enrolled(door);
  const config = path.join(door.world.dir, 'ctl.yaml');
  fs.writeFileSync(config, JSON.stringify(door.world.config('ctl')), { mode: 0o600 });
  const forget = (address) => run(['--config', config, 'reader', 'forget', address]);
  const nobody = await forget('nobody@partner.example.com');
  assert.notEqual(nobody.status, 0);
  assert.match(nobody.stderr, /no authenticator app is enrolled for this address/);
  assert.match((await next(door)).text, /Enter the app's code/);
  const done = await forget(HANAKO.replace('hanako', 'Hanako'));
  assert.equal(done.status, 0, done.stderr);
  assert.match(done.stdout, /the next visit proves the mailbox with a code/);
  const reader = await next(door);
  assert.match(reader.text, /Is it you\?/);
});

test('a code by mail is not enough where an app is enrolled; two windows enrol one app; a trusted device skips it', async (t) => {
  const door = await Door.create(t);
  const parcels = [door.parcel({ proof: 'totp', trusted_days: 3 }), door.parcel({ proof: 'totp' })];
  const windows = [];
  for (const parcel of parcels) {
    const reader = await door.reader(parcel.links[0]).open();
    await reader.submit('code');
    await reader.submit('enter', { code: await door.code(parcel) });
    windows.push(reader);
  }
  const [first, second] = windows;
  const secrets = windows.map((w) => secretOf(w.page));
  await first.submit('enrol', { code: totp(secrets[0]), trust: '1' });
  assert.equal(first.page.status, 200);
  await second.submit('enrol', { code: totp(secrets[1]) });
  assert.match(second.text, /Enter the app's code/, 'the first one counts');
  await second.client.get(`${second.path}/body.pdf`).then((a) => assert.equal(a.status, 303));
  const step = (Number(await door.redis.command('HGET', APP, 'step')) + 1) * 30000;
  await second.submit('totp', { code: totp(secrets[1], step) });
  assert.equal(second.answer.status, 403);
  await second.submit('totp', { code: totp(secrets[0], step) });
  assert.ok(second.isIn);
  const trusted = door.parcel({ proof: 'totp', trusted_days: 3 });
  const visit = door.reader(trusted.links[0]);
  for (const c of first.client.cookies.values()) if (c.name.startsWith('fumibako-device-')) visit.client.cookies.set('d', c);
  await visit.open();
  await visit.submit('open');
  assert.ok(visit.isIn);
});

test('a colleague proves the mailbox first, and enrols an app of their own', async (t) => {
  const door = await Door.create(t);
  const { secret } = await enrolled(door);
  const parcel = door.parcel({ proof: 'totp', members: true, grants: [{ address: 'team@partner.example.com' }] });
  const reader = await door.reader(parcel.links[0]).open();
  await reader.submit('code', { address: HANAKO });
  await reader.submit('enter', { code: await door.code(parcel) });
  assert.match(reader.text, /Enter the app's code/);
  const step = (Number(await door.redis.command('HGET', APP, 'step')) + 1) * 30000;
  await reader.submit('totp', { code: totp(secret, step) });
  assert.ok(reader.isIn);
  assert.match(reader.page.text, /hanako@partner\.example\.com/);
});
