// SPDX-License-Identifier: Apache-2.0
// The door against those who are not meant to pass it: strangers, scanners, other sites, guessers.

import assert from 'node:assert/strict';
import http from 'node:http';
import test from 'node:test';
import { request, waitFor } from '../../support/harness.mjs';
import { Door, MINUTE } from './door_kit.mjs';

const PATHS = ['', '/open', '/code', '/enter', '/totp', '/enrol', '/recovery', '/password', '/leave', '/body.pdf',
  '/page/0123456789abcdef/1.png', '/file/x/y', '/download', '/reply'];

/** Links that are wrong in every way, made out of a good one. */
function wrongLinks(parcel, foreign) {
  const raw = Buffer.from(parcel.links[0], 'base64url');
  const change = (at, value) => {
    const b = Buffer.from(raw);
    b[at] = value(b[at]);
    return b.toString('base64url');
  };
  const unknown = Buffer.from(raw);
  Buffer.from(foreign, 'base64url').copy(unknown, 1, 1, 17);
  unknown[16] ^= 1;
  return { unknown: unknown.toString('base64url'), secret: change(52, (v) => v ^ 1), recipient: change(20, (v) => v ^ 1),
    nobody: change(20, () => 99), branch: change(18, (v) => v ^ 1), version: change(0, () => 2), short: parcel.links[0].slice(1),
    long: `${parcel.links[0]}A`, letters: `${parcel.links[0].slice(0, -1)}!`, empty: '' };
}

test('a stranger gets the answer of a path that does not exist, byte by byte, whatever is wrong', async (t) => {
  const door = await Door.create(t, {}, { vaults: ['vault', 'second'] });
  const parcel = door.parcel({ grants: [{}, { address: 'jiro@partner.example.com' }] });
  const foreign = door.parcel().links[0];
  let n = 0;
  const ask = (path, method = 'GET') => request(`${door.base}${path}`, { method, headers: { 'accept-language': 'en',
    'x-forwarded-for': `198.51.${n >> 8}.${n++ & 255}` } });
  // A vault that cannot be asked might have it: strangers are told the same as well.
  for (const link of Object.values(wrongLinks(parcel, foreign))) assert.equal((await ask(`/r/${link}`)).status, 503);
  const second = door.parcel({ vault: 'second' });
  await waitFor(async () => (await ask(`/r/${second.links[0]}`)).status === 200, { what: 'the vault that came late' });
  const nothing = { GET: await ask('/nothing'), POST: await ask('/nothing', 'POST') };
  assert.equal(nothing.GET.status, 404);
  for (const [name, link] of Object.entries(wrongLinks(parcel, foreign))) {
    for (const behind of ['', '/code', '/body.pdf', '/x']) {
      for (const method of ['GET', 'POST']) {
        const answer = await ask(`/r/${link}${behind}`, method);
        const { date: _, ...headers } = answer.headers;
        const { date: __, ...wanted } = nothing[method].headers;
        assert.deepEqual([answer.status, headers, answer.body.toString()], [404, wanted, nothing[method].body.toString()], `${name} ${behind} ${method}`);
      }
    }
  }
  assert.equal((await ask(`/r/${parcel.links[0]}`)).status, 200);
  assert.equal((await ask(`/r/${parcel.links[0]}/`)).status, 404);
  assert.equal((await ask(`/r/${parcel.links[0]}/unknown`)).status, 404);
});

test('nor does the time tell a parcel that is there from one that is not', async (t) => {
  const door = await Door.create(t);
  const parcel = door.parcel();
  const foreign = door.parcel().links[0];
  const links = wrongLinks(parcel, foreign);
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  let n = 0;
  const time = (link) => new Promise((resolve, reject) => {
    n++;
    const begun = process.hrtime.bigint();
    http.get(`${door.base}/r/${link}`, { agent, headers: { 'x-forwarded-for': `10.${n >> 16 & 255}.${n >> 8 & 255}.${n & 255}` } }, (res) => {
      res.resume();
      res.on('end', () => { assert.equal(res.statusCode, 404); resolve(Number(process.hrtime.bigint() - begun) / 1000); });
    }).on('error', reject);
  });
  const kinds = ['unknown', 'secret', 'recipient', 'letters'];
  const at = (list, q) => list.sort((a, b) => a - b)[Math.floor(list.length * q)];
  async function measure() {
    const times = Object.fromEntries(kinds.map((k) => [k, []]));
    for (let i = 0; i < 250; i++) {
      for (const k of kinds) { // side by side: what slows one slows the others
        const us = await time(links[k]);
        if (i >= 30) times[k].push(us);
      }
    }
    const median = Object.fromEntries(kinds.map((k) => [k, at(times[k], 0.5)]));
    const noise = Math.max(...kinds.map((k) => at(times[k], 0.75) - at(times[k], 0.25)));
    t.diagnostic(`median us: ${JSON.stringify(median)}, quartiles apart: ${noise.toFixed(0)}`);
    const spread = Math.max(...Object.values(median)) - Math.min(...Object.values(median));
    return { isEven: spread < Math.max(noise, 0.2 * median.unknown), told: `medians ${JSON.stringify(median)} differ by more than the noise of ${noise}` };
  }
  let seen; // a difference that is there shows each time
  for (let tries = 0; tries < 3 && !seen?.isEven; tries++) seen = await measure();
  assert.ok(seen.isEven, seen.told);
});

test('programs that open every link with GET, HEAD and OPTIONS change nothing and send nothing', async (t) => {
  const door = await Door.create(t);
  const parcels = [door.parcel({ proof: 'link' }), door.parcel({ proof: 'code' }), door.parcel({ proof: 'totp' }),
    door.parcel({ proof: 'link', password: 'x' }), door.parcel({ proof: 'code', members: true, trusted_days: 5 })];
  const waiting = await door.reader(parcels[1].links[0]).open();
  await waiting.submit('code');
  const before = await door.snapshot();
  let n = 0;
  for (const parcel of parcels) {
    for (const behind of PATHS) {
      for (const method of ['GET', 'HEAD', 'OPTIONS']) {
        const answer = await request(`${door.base}/r/${parcel.links[0]}${behind}`, { method, headers: { 'x-forwarded-for': `10.1.0.${n++ % 250}`,
          'user-agent': 'LinkScanner/1.0', cookie: waiting.client.cookies.size > 0 && method === 'GET' ? `fumibako=${waiting.browser}` : '' } });
        assert.ok([200, 303, 405].includes(answer.status), `${method} ${behind}: ${answer.status}`);
        if (method === 'HEAD') assert.equal(answer.body.length, 0);
      }
    }
  }
  assert.equal(await door.snapshot(), before);
  assert.equal(await door.letters(), 1);
});

test('forms from elsewhere, without the token, of another step, link, browser or session are refused', async (t) => {
  const door = await Door.create(t);
  const parcel = door.parcel();
  const other = await door.reader(door.parcel().links[0]).open();
  const reader = await door.reader(parcel.links[0]).open();
  const before = await door.snapshot();
  const { action, fields } = reader.forms.code;
  const post = (more, options) => reader.client.post(action, { ...fields, ...more }, options);
  for (const [what, status, answer] of [
    ['another origin', 403, post({}, { headers: { origin: 'https://evil.example' } })],
    ['another site', 403, post({}, { headers: { 'sec-fetch-site': 'cross-site' } })],
    ['a sister site', 403, post({}, { headers: { origin: null, 'sec-fetch-site': 'same-site' } })],
    ['no word of where from', 403, post({}, { headers: { origin: null, 'sec-fetch-site': null } })],
    ['no token', 400, reader.client.post(action, {})],
    ['two tokens', 400, reader.client.post(action, [['token', fields.token], ['token', fields.token]])],
    ['another link\'s token', 403, post({ token: other.forms.code.fields.token })],
    ['no cookie', 403, post({}, { headers: { cookie: null } })],
    ['another browser', 403, post({}, { headers: { cookie: `fumibako=${other.browser}` } })],
    ['another type', 415, post({}, { headers: { 'content-type': 'text/plain' } })],
    ['another step', 403, reader.client.post(action.replace('/code', '/enter'), { ...fields, code: '123456' })],
    ['too much', 413, post({ x: 'y'.repeat(20000) })]]) {
    assert.equal((await answer).status, status, what);
  }
  assert.equal(await door.snapshot(), before, 'nothing was changed');
  const link = await door.enter(door.parcel({ proof: 'link' }));
  const leave = link.forms.leave;
  const second = await door.enter(door.parcel({ proof: 'link' }));
  const stolen = await second.client.post(`${second.path}/leave`, leave.fields);
  assert.equal(stolen.status, 403);
  assert.equal((await second.open()).isIn, true);
});

test('what is recalled or over while it is open is refused by the next request, in words', async (t) => {
  const door = await Door.create(t);
  const words = async (wanted, change, pattern, status = 410) => {
    const parcel = door.parcel({ proof: 'link', ...wanted });
    const reader = await door.enter(parcel);
    await change(parcel);
    await reader.open();
    assert.equal(reader.page.status, status);
    assert.match(reader.text, pattern);
    for (const path of ['/body.pdf', '/reply', '/page/0123456789abcdef/1.png']) {
      assert.equal((await reader.client.get(`${reader.path}${path}`)).status, status, path);
    }
    const stranger = Buffer.from(reader.link, 'base64url');
    stranger[52] ^= 1;
    assert.equal((await request(`${door.base}/r/${stranger.toString('base64url')}`)).status, 404, 'strangers are told nothing');
  };
  const taken = /This mail has been taken back/;
  const over = /This mail is no longer available/;
  await words({}, (p) => door.parcel({ ...p, grants: [{ ...p.grants[0], recalled: true }] }), taken);
  await words({}, (p) => door.parcel({ ...p, closed: true }), taken);
  await words({}, (p) => door.parcel({ ...p, expires: Date.now() - 1 }), over);
  await words({}, (p) => door.redis.command('HSET', `fb:{s0}:m:${p.id.slice(0, 26)}`, 'x:0', 1), taken);
  await words({}, (p) => door.redis.command('HSET', `fb:{s0}:m:${p.id.slice(0, 26)}`, 'recalled', 1), taken);
  await words({}, (p) => door.redis.command('HSET', `fb:{s0}:g:${p.id}`, 0, 'recalled|x|1|a|b'), taken);
  await words({}, (p) => door.redis.command('HSET', `fb:{s0}:g:${p.id}`, 0, 'expired|x|1|a|b'), over);

  // Between the code and its entering, too.
  const parcel = door.parcel();
  const reader = await door.reader(parcel.links[0]).open();
  await reader.submit('code');
  const code = await door.code(parcel);
  await door.redis.command('HSET', `fb:{s0}:m:${parcel.id.slice(0, 26)}`, 'x:0', 1);
  await reader.submit('enter', { code });
  assert.match(reader.text, taken);
  assert.equal(await door.redis.command('EXISTS', `fb:{s0}:w:${parcel.id}`), 0);
});

test('Redis away: 503, and nothing opens; back and empty: the mail is read again after a new proof', async (t) => {
  const door = await Door.create(t);
  const parcel = door.parcel({ proof: 'link' });
  const reader = await door.enter(parcel);
  await door.redis.stop();
  await reader.open();
  assert.equal(reader.page.status, 503);
  await door.redis.start();
  await waitFor(async () => (await reader.open()).page.status === 200, { what: 'Redis' });
  assert.ok(reader.forms.open, 'the session went with Redis');
  await reader.submit('open');
  assert.ok(reader.isIn, 'the vault knows all that is needed');
});

test('codes to one address over all its mails are ten an hour; other addresses go on', async (t) => {
  const door = await Door.create(t);
  let limited = null;
  for (let i = 0; i < 11; i++) {
    const reader = await door.reader(door.parcel().links[0], { headers: { 'x-forwarded-for': `203.0.${i}.1` } }).open();
    await reader.submit('code');
    if (i < 10) assert.equal(reader.answer.status, 303, `${i}: ${reader.text}`);
    else limited = reader;
  }
  assert.equal(limited.answer.status, 429);
  assert.ok(Number(limited.answer.headers['retry-after']) > 3000);
  assert.match(limited.text, /Please come again after/);
  assert.equal(await door.letters(), 10);
  const other = await door.reader(door.parcel({ grants: [{ address: 'jiro@partner.example.com' }] }).links[0]).open();
  await other.submit('code');
  assert.equal(other.answer.status, 303);
});

test('guessing 10,000 codes over 100 addresses opens nothing, and is reported', { timeout: 600000 }, async (t) => {
  const door = await Door.create(t);
  const victims = [];
  for (let i = 0; i < 100; i++) {
    victims.push({ recipient: i, address: `person${i}@partner.example.com` });
  }
  const parcel = door.parcel({ grants: victims });
  const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
  t.after(() => agent.destroy());
  const post = (path, cookie, fields, from) => new Promise((resolve, reject) => {
    const body = new URLSearchParams(fields).toString();
    const req = http.request(`${door.base}${path}`, { method: 'POST', agent, headers: { cookie, origin: door.base, 'x-forwarded-for': from,
      'content-type': 'application/x-www-form-urlencoded', 'content-length': Buffer.byteLength(body) } }, (res) => {
      res.resume();
      res.on('end', () => resolve(res.statusCode));
    });
    req.on('error', reject);
    req.end(body);
  });
  const statuses = new Map();
  let from = 0;
  const address = () => { from++; return `11.${from >> 16 & 255}.${from >> 8 & 255}.${from & 255}`; }; // a botnet: another client each time
  const attack = async (i) => {
    const reader = await door.reader(parcel.links[i], { headers: { 'x-forwarded-for': address() } }).open();
    await reader.submit('code', {}, { headers: { 'x-forwarded-for': address() } });
    assert.equal(reader.answer.status, 303);
    const right = await door.code(parcel, i);
    const form = reader.forms.enter;
    for (let k = 0; k < 100; k++) {
      let code = String(k * 7919 % 1000000).padStart(6, '0');
      if (code === right && k < 5) code = '999999'; // one in 2,000 runs it would be lucky
      const status = await post(form.action, `fumibako=${reader.browser}`, { ...form.fields, code }, address());
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      if (k === 4) await door.age(door.key(parcel, i), -60 * MINUTE, 'lock'); // it is a minute, and the others may take longer
    }
  };
  for (let at = 0; at < 100; at += 8) await Promise.all([...Array(Math.min(8, 100 - at)).keys()].map((i) => attack(at + i)));
  assert.equal([...statuses.values()].reduce((a, b) => a + b), 10000);
  assert.equal(statuses.get(303) ?? 0, 0, 'none was right');
  assert.equal(statuses.get(403), 400, 'four of each are answered as wrong, the fifth locks');
  assert.equal(statuses.get(429), 9600);
  assert.equal((await door.redis.command('KEYS', 'fb:{s0}:ps:*')).length, 0);
  assert.equal(await door.service.metric('fumibako_portal_proofs_total', 'kind="code",outcome="locked"'), 100);
  assert.equal(await door.service.metric('fumibako_alarm', 'kind="guessing"'), 1);
  await waitFor(async () => (await door.redis.command('HKEYS', 'fb:{s0}:alarm')).some((k) => k.startsWith('guessing|')), { what: 'the alarm' });
  await waitFor(() => /somebody guesses at the portal's door/.test(door.service.output), { what: 'a word in the log' });
  assert.ok((await door.history(parcel)).length < 1000, 'nor is the history flooded');
});

test('a network that guesses is not listened to for an hour; others are', async (t) => {
  const door = await Door.create(t);
  const many = door.parcel({ grants: [...Array(25).keys()].map((i) => ({ recipient: i, address: `p${i}@partner.example.com` })) });
  const guess = async (i) => {
    const reader = await door.reader(many.links[i], { headers: { 'x-forwarded-for': `192.0.2.${i}` } }).open();
    await reader.submit('code');
    for (let k = 0; k < 4; k++) await reader.submit('enter', { code: '000123' });
  };
  await Promise.all([...Array(25).keys()].map(guess));
  const parcel = door.parcel({ proof: 'link', password: 'secret' });
  const inside = await door.reader(parcel.links[0], { headers: { 'x-forwarded-for': '192.0.2.200' } }).open();
  await inside.submit('password', { password: 'secret' });
  assert.equal(inside.answer.status, 429, 'even what is right');
  const outside = await door.reader(parcel.links[0], { headers: { 'x-forwarded-for': '192.0.3.200' } }).open();
  await outside.submit('password', { password: 'secret' });
  assert.ok(outside.isIn, outside.text);
});
