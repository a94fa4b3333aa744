// SPDX-License-Identifier: Apache-2.0
// How a recipient gets in: by link, code, password and trusted device; and what keeps others out.

import assert from 'node:assert/strict';
import test from 'node:test';
import { request, waitFor } from '../../support/harness.mjs';
import { Door, HANAKO, MINUTE, sha256 } from './door_kit.mjs';

const DAY = 24 * 60 * MINUTE;

test('a code: asked for, entered, read; used once; every step in history, log and figures, and no secret in them', async (t) => {
  const door = await Door.create(t);
  const parcel = door.parcel({ proof: 'code', subject: 'Top secret plans', from: 'taro@example.jp' });
  const reader = await door.reader(parcel.links[0], { headers: { 'user-agent': `Test "browser" ${'x'.repeat(300)}` } }).open();
  assert.match(reader.text, /Is it you\? To make sure that it is you, a code is sent to h•••@partner\.example\.com/);
  assert.doesNotMatch(reader.page.text, /hanako@|Top secret|taro@/, 'nothing is told before');
  assert.match(reader.page.headers['set-cookie'][0], new RegExp(`^fumibako=[\\w-]{22}; Path=/r/${reader.link}; HttpOnly; SameSite=Lax$`));
  const first = reader.browser;

  await reader.submit('code');
  assert.equal(reader.answer.status, 303);
  assert.equal(await door.letters(), 1);
  assert.match(reader.text, /Enter the code A code was sent to h•••@partner\.example\.com/);
  assert.match(reader.page.text, /<input id="code" name="code" class="code" type="text" inputmode="numeric" autocomplete="one-time-code"/);
  const code = await door.code(parcel);
  assert.match(code, /^\d{6}$/);
  const record = Object.fromEntries((await door.redis.command('HGETALL', door.key(parcel))).flatMap((v, i, a) => (i % 2 ? [] : [[v, a[i + 1]]])));
  assert.equal(record.to, HANAKO);
  assert.ok(!Object.values(record).includes(code) && !Object.values(record).includes(sha256(code)), 'Redis alone cannot tell it');
  assert.ok(Number(record.until) - Date.now() <= 10 * MINUTE && Number(record.until) - Date.now() > 9 * MINUTE);

  await reader.submit('enter', { code: ` ${code.slice(0, 3)} ${code.slice(3)} ` });
  assert.equal(reader.answer.status, 303);
  assert.ok(reader.isIn, reader.text);
  assert.match(reader.page.text, /Top secret plans/);
  const set = reader.answer.headers['set-cookie'].find((c) => c.startsWith('fumibako-session='));
  assert.match(set, new RegExp(`^fumibako-session=[\\w-]{43}; Path=/r/${reader.link}; HttpOnly; SameSite=Lax$`));
  assert.notEqual(reader.browser, first, 'who the browser is, is new as well');
  assert.equal(await door.redis.command('EXISTS', door.key(parcel)), 0);
  assert.equal(await door.redis.command('EXISTS', `fb:{s0}:ps:${sha256(reader.session)}`), 1);
  assert.equal(await door.redis.command('HGET', `fb:{s0}:w:${parcel.id}`, 'n:0:preview'), '1', 'opened, once');
  await reader.open();
  assert.equal(await door.redis.command('HGET', `fb:{s0}:w:${parcel.id}`, 'n:0:preview'), '1');

  const again = await door.reader(parcel.links[0]).open();
  await again.submit('code');
  await again.submit('enter', { code });
  assert.equal(again.page.status, 403, 'a used code opens nothing');

  const lines = await door.history(parcel);
  assert.deepEqual(lines.map((l) => l.event).slice(0, 4), ['code asked', 'code right', 'preview', 'session opened']);
  const { at, agent, ...rest } = lines[0];
  assert.deepEqual(rest, { recipient: 0, from: '', to: '', actor: HANAKO, source: 'portal', event: 'code asked', network: '127.0.0.0/24' });
  assert.ok(Math.abs(at - Date.now()) < 60000);
  assert.equal(agent, `Test "browser" ${'x'.repeat(185)}`);
  await waitFor(() => door.service.log.some((l) => JSON.stringify(l).includes('code right')), { what: 'a word in the log' });
  assert.equal(await door.service.metric('fumibako_portal_proofs_total', 'kind="code",outcome="right"'), 1);
  for (const secret of [code, reader.link, reader.session, first, HANAKO, 'Top secret']) {
    assert.ok(!door.service.output.includes(secret), 'it is in the log');
  }
});

test('a code belongs to the browser that asked, to its ten minutes, and to its place in the row', async (t) => {
  const door = await Door.create(t);
  const parcel = door.parcel();
  const reader = await door.reader(parcel.links[0]).open();
  await reader.submit('code');
  const code = await door.code(parcel);

  const other = await door.reader(parcel.links[0]).open();
  assert.ok(other.forms.code && !other.forms.enter, 'another browser is not asked for it');
  const forged = { action: reader.forms.enter.action, fields: { ...reader.forms.enter.fields, code } };
  assert.equal((await other.client.post(forged.action, forged.fields)).status, 403);
  await door.age(door.key(parcel), -10 * MINUTE, 'next'); // it is half a minute, and a busy machine may take as long
  await other.submit('code');
  assert.equal(other.answer.status, 429, 'a minute has not gone by');
  assert.match(other.answer.headers['retry-after'], /^\d+$/);
  assert.match(other.text, /Another code cannot be sent yet\. Please come again after/);
  assert.equal(await door.letters(), 1);

  await door.age(door.key(parcel), 11 * MINUTE, 'next');
  await reader.open();
  await reader.submit('code');
  const second = await door.code(parcel);
  assert.equal(await door.letters(), 2);
  await reader.submit('enter', { code: code === second ? 'x' : code });
  assert.match(reader.text, /This is not right\. Tries left: 4/);
  await door.age(door.key(parcel), 10 * MINUTE, 'until', 'next');
  await reader.submit('enter', { code: second });
  assert.equal(reader.answer.status, 403);
  assert.match(reader.text, /There is no code for this browser: it has expired/);
  assert.ok(reader.forms.code);
});

test('five wrong codes end the code, and a growing delay begins', async (t) => {
  const door = await Door.create(t);
  const parcel = door.parcel();
  const reader = await door.reader(parcel.links[0]).open();
  let delay = 0;
  for (const minutes of [1, 5]) {
    await reader.submit('code');
    const code = await door.code(parcel);
    const wrong = code === '000000' ? '000001' : '000000';
    for (let left = 4; left > 0; left--) {
      await reader.submit('enter', { code: wrong });
      assert.equal(reader.answer.status, 403);
      assert.match(reader.text, new RegExp(`This is not right\\. Tries left: ${left}`));
      assert.match(reader.page.text, /<div class="note bad" id="alert" role="alert" tabindex="-1" autofocus><p><a href="#code">/);
      assert.match(reader.page.text, /aria-invalid="true" aria-describedby="alert"/);
    }
    const form = reader.forms.enter;
    await reader.submit('enter', { code: wrong });
    assert.equal(reader.answer.status, 429);
    const retry = Number(reader.answer.headers['retry-after']);
    assert.ok(retry > (minutes - 1) * 60 && retry <= minutes * 60 + 1, `${retry}`);
    assert.ok(retry > delay);
    delay = retry;
    const late = await reader.client.post(form.action, { ...form.fields, code });
    assert.equal(late.status, 429, 'even the right one');
    await reader.submit('code');
    assert.equal(reader.answer.status, 429, 'nor is another one sent');
    await door.age(door.key(parcel), minutes * MINUTE, 'next', 'lock');
    await reader.open();
  }
  const events = await door.events(parcel);
  assert.equal(events.filter((e) => e === 'code wrong').length, 8);
  assert.equal(events.filter((e) => e === 'code locked').length, 2);
  assert.equal(await door.service.metric('fumibako_portal_proofs_total', 'kind="code",outcome="refused"'), 2);

  await reader.submit('code'); // many at the same time are no more than five either
  const right = await door.code(parcel);
  const many = [...Array(40).keys()].map((i) => String(i).padStart(6, '0')).filter((c) => c !== right);
  const form = reader.forms.enter;
  const statuses = await Promise.all(many.map((code) => reader.client.post(form.action, { ...form.fields, code }).then((a) => a.status)));
  assert.equal(statuses.filter((s) => s === 403).length, 4);
  assert.equal(statuses.filter((s) => s === 429).length, many.length - 4);
});

test('what is no code is asked for again, and no try is lost', async (t) => {
  const door = await Door.create(t);
  const parcel = door.parcel();
  const reader = await door.reader(parcel.links[0], { headers: { 'accept-language': 'ja' } }).open();
  assert.match(reader.text, /ご本人の確認 ご本人であることを確認するため、/);
  await reader.submit('code');
  for (const code of ['12345', 'abcdef', '', '1234567']) {
    await reader.submit('enter', { code });
    assert.equal(reader.answer.status, 400);
    assert.match(reader.text, /コードの形式が正しくありません/);
  }
  assert.equal(await door.redis.command('HGET', door.key(parcel), 'tries'), '0');
  const full = (await door.code(parcel)).replace(/\d/g, (d) => String.fromCharCode(0xff10 + Number(d)));
  await reader.submit('enter', { code: full });
  assert.ok(reader.isIn, 'as Japanese keyboards write digits');
});

test('link and password: a person presses the button; the password is tried five times', async (t) => {
  const door = await Door.create(t);
  const open = await door.enter(door.parcel({ proof: 'link' }));
  assert.ok(open.isIn);
  const parcel = door.parcel({ proof: 'link', password: 'correct horse' });
  const reader = await door.reader(parcel.links[0]).open();
  assert.match(reader.text, /Enter the password/);
  assert.ok(!reader.forms.open, 'no way around it');
  for (let left = 4; left >= 0; left--) {
    await reader.submit('password', { password: 'wrong' });
    assert.equal(reader.answer.status, 403);
  }
  await reader.submit('password', { password: 'correct horse' });
  assert.equal(reader.answer.status, 429);
  await door.age(`fb:{s0}:pl:password:${sha256(`${parcel.id}.0`)}`, MINUTE, 'next');
  await reader.submit('password', { password: ' correct horse\n' });
  assert.ok(reader.isIn, reader.text);

  const both = door.parcel({ proof: 'code', password: 'correct horse' });
  const second = await door.reader(both.links[0]).open();
  assert.ok(!second.forms.password, 'first the mailbox');
  await second.submit('code');
  await second.submit('enter', { code: await door.code(both) });
  assert.match(second.text, /Enter the password/);
  const half = second.session;
  assert.equal(await door.redis.command('HGET', `fb:{s0}:w:${both.id}`, 'n:0:preview'), null, 'not opened yet');
  for (const path of ['/body.pdf', '/reply', '/page/x/1.png']) {
    assert.equal((await second.client.get(`${second.path}${path}`)).status, 303, 'half a session reads nothing');
  }
  await second.submit('password', { password: 'correct horse' });
  assert.ok(second.isIn);
  assert.notEqual(second.session, half, 'each proof makes a new session');
  assert.equal(await door.redis.command('EXISTS', `fb:{s0}:ps:${sha256(half)}`), 0);
});

test('a session: bound to its grant, ended by idleness, by age, by its owner; no stranger\'s cookie becomes one', async (t) => {
  const door = await Door.create(t, { portal: { session_idle: '2m', session_max: '10m' } });
  const parcel = door.parcel({ proof: 'link', grants: [{}, { address: 'jiro@partner.example.com' }] });
  const other = door.parcel({ proof: 'link' });
  const reader = await door.enter(parcel);
  const key = `fb:{s0}:ps:${sha256(reader.session)}`;
  const ttl = await door.redis.command('PTTL', key);
  assert.ok(ttl > 0 && ttl <= 120000);
  const cookie = `fumibako-session=${reader.session}`;
  for (const link of [parcel.links[1], other.links[0]]) {
    const answer = await request(`${door.base}/r/${link}`, { headers: { cookie } });
    assert.match(answer.body.toString(), /\/open/, 'another grant asks anew');
  }
  const chosen = 'A'.repeat(43); // fixation: a name that somebody else chose
  const victim = door.reader(parcel.links[1]);
  victim.client.cookies.set(`fumibako-session ${victim.path}`, { name: 'fumibako-session', value: chosen, path: victim.path });
  await victim.open();
  await victim.submit('open');
  assert.ok(victim.isIn);
  assert.equal(await door.redis.command('EXISTS', `fb:{s0}:ps:${sha256(chosen)}`), 0);

  await door.redis.command('PEXPIRE', key, 30000);
  await reader.open();
  assert.ok(await door.redis.command('PTTL', key) > 30000, 'its use keeps it alive');
  await door.redis.command('HSET', key, 'until', Date.now());
  await reader.open();
  assert.ok(!reader.isIn, 'but not beyond its end');
  const third = await door.enter(parcel);
  const name = `fb:{s0}:ps:${sha256(third.session)}`;
  await door.redis.command('PEXPIRE', name, 1);
  await waitFor(async () => await door.redis.command('EXISTS', name) === 0, { what: 'its end' });
  await third.open();
  assert.ok(!third.isIn, 'idle for too long');

  const fourth = await door.enter(parcel);
  const ended = `fumibako-session=${fourth.session}`;
  await fourth.submit('leave');
  assert.match(fourth.text, /You are signed out/);
  assert.ok(fourth.answer.headers['set-cookie'].some((c) => /^fumibako-session=; .*Max-Age=0/.test(c)));
  const late = await request(`${door.base}${fourth.path}/body.pdf`, { headers: { cookie: ended } });
  assert.equal(late.status, 303);
});

test('a device is trusted for its days, for its address, for what was proved; until its owner leaves', async (t) => {
  const door = await Door.create(t);
  const parcel = door.parcel({ trusted_days: 14 });
  const reader = await door.reader(parcel.links[0]).open();
  await reader.submit('code');
  assert.match(reader.text, /Do not ask again on this device for 14 days/);
  await reader.submit('enter', { code: await door.code(parcel), trust: '1' });
  assert.ok(reader.isIn);
  const device = [...reader.client.cookies.values()].find((c) => c.name.startsWith('fumibako-device-'));
  assert.equal(device.path, '/r');
  const key = `fb:{s0}:pd:${sha256(device.value)}`;
  assert.ok(Math.abs(await door.redis.command('PTTL', key) - 14 * DAY) < MINUTE);
  assert.match(reader.answer.headers['set-cookie'].find((c) => c.startsWith('fumibako-device-')), /; Max-Age=1209600; HttpOnly; SameSite=Lax$/);

  const at = async (wanted, grant = 0) => {
    const next = door.parcel(wanted);
    const visit = door.reader(next.links[grant]);
    visit.client.cookies.set('d', device);
    await visit.open();
    return visit;
  };
  const next = await at({ trusted_days: 14 });
  assert.ok(next.forms.open, 'the next mail needs a press of the button');
  await next.submit('open');
  assert.ok(next.isIn);
  assert.equal((await at({ trusted_days: 0 })).forms.open, undefined, 'not where the rule does not trust');
  assert.equal((await at({ trusted_days: 14, proof: 'totp' })).forms.open, undefined, 'nor where more is asked for');
  assert.equal((await at({ trusted_days: 14, grants: [{ address: 'jiro@partner.example.com' }] })).forms.open, undefined);
  await door.age(key, 10 * DAY, 'since');
  assert.equal((await at({ trusted_days: 7 })).forms.open, undefined, 'longer ago than this rule trusts');
  assert.ok((await at({ trusted_days: 14 })).forms.open);
  await next.submit('leave');
  assert.equal(await door.redis.command('EXISTS', key), 0);
  assert.equal((await at({ trusted_days: 14 })).forms.open, undefined);
});

test('a colleague proves an address of the same domain; whether it may read is not said', async (t) => {
  const door = await Door.create(t);
  const group = { grants: [{ address: 'team@partner.example.com' }], members: true };
  const closed = await door.reader(door.parcel({ grants: group.grants }).links[0]).open();
  assert.doesNotMatch(closed.page.text, /name="address"/);
  await closed.client.post(closed.forms.code.action, { ...closed.forms.code.fields, address: HANAKO });
  const parcel = door.parcel(group);
  const reader = await door.reader(parcel.links[0]).open();
  assert.match(reader.page.text, /<input id="address" name="address" type="email" autocomplete="email"/);
  const before = await door.letters();
  await reader.submit('code', { address: ' Hanako@Partner.example.com ' });
  assert.equal(reader.answer.status, 303);
  assert.equal(await door.letters(), before + 1);
  const member = reader.text;
  assert.equal(await door.redis.command('HGET', door.key(parcel), 'to'), 'Hanako@Partner.example.com');
  await reader.submit('enter', { code: await door.code(parcel) });
  assert.ok(reader.isIn);
  assert.match(reader.page.text, /Hanako@Partner\.example\.com/);

  const elsewhere = door.parcel(group);
  const stranger = await door.reader(elsewhere.links[0]).open();
  await stranger.submit('code', { address: 'hanako@other.example.org' });
  assert.equal(stranger.answer.status, 303);
  const timeless = (text) => text.replace(/\d{4}-\d\d-\d\d \d\d:\d\d UTC/g, 'T'); // a minute may begin in between
  assert.equal(timeless(stranger.text).replace('other.example.org', 'D'),
    timeless(member).replace('Partner.example.com', 'D').replace('H•••', 'h•••'));
  assert.equal(await door.letters(), before + 1, 'nothing is sent');
  assert.equal(await door.code(elsewhere), null);
  await stranger.submit('enter', { code: '123456' });
  assert.match(stranger.text, /This is not right\. Tries left: 4/, 'the same as with any wrong code');
  await stranger.open();
  for (const address of ['nobody', 'a@b\r\nc', '<a@partner.example.com>']) {
    const wrong = await door.reader(door.parcel(group).links[0]).open();
    await wrong.submit('code', { address });
    assert.equal(wrong.answer.status, 400);
    assert.match(wrong.text, /Please enter a mail address/);
  }
});

test('behind https every cookie is Secure and says so by its name', async (t) => {
  const door = await Door.create(t, { portal: { public_url: 'https://mail.example.jp' } });
  const parcel = door.parcel({ trusted_days: 3 });
  const reader = await door.reader(parcel.links[0]).open();
  const here = { headers: { origin: 'https://mail.example.jp' } };
  const cookies = [...reader.page.headers['set-cookie']];
  await reader.submit('code', {}, here);
  await reader.submit('enter', { code: await door.code(parcel), trust: '1' }, here);
  cookies.push(...reader.answer.headers['set-cookie']);
  assert.ok(reader.isIn, reader.text);
  assert.deepEqual(cookies.map((c) => c.split('=')[0].replace(/-[0-9a-f]{8}$/, '')), ['__Secure-fumibako', '__Secure-fumibako-device',
    '__Secure-fumibako-session', '__Secure-fumibako']);
  for (const cookie of cookies) assert.match(cookie, /; HttpOnly; SameSite=Lax; Secure$/);
  assert.match(reader.page.headers['strict-transport-security'], /max-age=/);
});
