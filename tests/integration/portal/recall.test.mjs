// SPDX-License-Identifier: Apache-2.0
// A recall by the sender's page: two steps, once, and only from this page in this browser.

import assert from 'node:assert/strict';
import net from 'node:net';
import test from 'node:test';
import { waitFor } from '../../support/harness.mjs';
import { Portal, formOf, makeLink, newId, visible } from './kit.mjs';

const PEOPLE = [{ address: 'a@partner.example.com' }, { address: 'b@partner.example.com' }, { address: 'c@partner.example.com' }];

/** To the confirmation: {client, link, id, form} with its hidden fields. */
async function confirmed(portal, fields = [['scope', 'all']], options = {}) {
  const id = options.id ?? await portal.mail({ recipients: PEOPLE });
  const client = options.client ?? portal.client();
  const link = makeLink(id);
  const form = formOf((await client.get(`/s/${link}`)).text);
  const answer = await client.post(form.action, [...form.hidden, ...fields]);
  assert.equal(answer.status, 200, visible(answer.text));
  return { client, link, id, first: form, form: formOf(answer.text), text: visible(answer.text) };
}

test('a recall that no replica has confirmed is said to be unsure; one that is gone, to be asked for again', async (t) => {
  const portal = await Portal.create(t);
  await portal.redis.command('CONFIG', 'SET', 'repl-diskless-sync-delay', 0);
  const replica = portal.world.spawn('redis-server', ['--port', String(portal.world.ports.lmtp), '--bind', '127.0.0.1', '--save', '',
    '--dir', portal.world.dir, '--dbfilename', 'replica.rdb', '--replicaof', '127.0.0.1', String(portal.world.ports.redis)]);
  await waitFor(async () => /state=online/.test(await portal.redis.command('INFO', 'replication')), { what: 'a replica' });
  const { client, link, form } = await confirmed(portal, [['scope', 'all']]);
  replica.kill('SIGSTOP');
  const done = await client.post(form.action, form.hidden);
  const recallId = form.hidden.find(([name]) => name === 'id')[1];
  assert.equal(done.headers.location, `/s/${link}?done=${recallId}&unsure=1`);
  assert.match(visible((await client.get(done.headers.location)).text), /no copy of its record is confirmed yet\. Please load this page again/);
  await waitFor(() => /no replica of Redis has confirmed recall/.test(portal.service.output), { what: 'a word in the log' });
  replica.kill('SIGCONT');
  // The browser's "send again", until the replica has caught up.
  await waitFor(async () => (await client.post(form.action, form.hidden)).headers.location === `/s/${link}?done=${recallId}`,
    { interval: 500, what: 'the replica to confirm it' });
  const gone = visible((await client.get(`/s/${link}?done=01J00000000000000000000000&unsure=1`)).text);
  assert.match(gone, /The recall is not on record\. Please ask for it once more/);
});

test('two of three are recalled, with a reason; the page shows it closing', async (t) => {
  const portal = await Portal.create(t);
  const { client, link, id, form, text } = await confirmed(portal, [['r', '0'], ['r', '2'], ['scope', 'chosen'],
    ['reason', ' 宛先の誤り\r\nです ']]);
  assert.match(text, /Take the mail back from 2 recipients\? Nothing has been changed yet\./);
  assert.match(text, /Will lose access a@partner\.example\.com c@partner\.example\.com/);
  assert.doesNotMatch(text, /b@partner/);
  assert.deepEqual(await portal.recalls(id), {});
  const done = await client.post(form.action, form.hidden);
  assert.equal(done.status, 303);
  const recallId = form.hidden.find(([name]) => name === 'id')[1];
  assert.equal(done.headers.location, `/s/${link}?done=${recallId}`);
  const { [recallId]: recall } = await portal.recalls(id);
  assert.deepEqual([recall.rcpts, recall.all, recall.content, recall.actor, recall.source, recall.reason],
    [[0, 2], false, false, 'taro@example.jp', 'portal', '宛先の誤り  です']);
  assert.equal(await portal.jobs(), 1);
  const page = visible((await client.get(done.headers.location)).text);
  assert.match(page, /The recall has been accepted/);
  assert.match(page, /Recalls From a@partner\.example\.com, c@partner\.example\.com Removing access/);
  assert.match(page, /Reason: 宛先の誤り です/);
  assert.match(page, /a@partner\.example\.com Removing access .*b@partner\.example\.com Has access/);
  assert.deepEqual(formOf((await client.get(`/s/${link}`)).text).boxes, ['1'], 'the others cannot be recalled again');
  assert.equal(await portal.service.metric('fumibako_portal_recalls_total', 'outcome="asked"'), 1);
});

test('what cannot be unread is said before it is done', async (t) => {
  const portal = await Portal.create(t);
  const now = Date.now();
  const id = await portal.mail({ recipients: [
    { address: 'unopened@partner.example.com' }, { address: 'opened@partner.example.com', grant: 'opened', opened: now - 60000 },
    { address: 'loaded@partner.example.com', grant: 'downloaded', downloaded: now - 60000 },
    { address: 'plain@example.jp', branch: 1 }], branches: [{}, { kind: 'pass' }] });
  const { text } = await confirmed(portal, [['scope', 'all']], { id });
  assert.match(text, /Will lose access unopened@partner\.example\.com .*So far no access is recorded/);
  assert.match(text, /but it was opened already opened@partner\.example\.com What was read cannot be made unread/);
  assert.match(text, /but it was downloaded already loaded@partner\.example\.com The recipient's copy cannot be taken back/);
  assert.match(text, /Nothing changes for plain@example\.jp/);
  const blind = await portal.mail({ recipients: PEOPLE, read: 0, branches: [{ storage: 'unread' }] });
  assert.match((await confirmed(portal, [['scope', 'all']], { id: blind })).text, /Whether it was opened so far is not known/);
});

test('a double click, a reload and a repeat ask once', async (t) => {
  const portal = await Portal.create(t);
  const { client, id, form } = await confirmed(portal);
  const answers = await Promise.all([1, 2, 3, 4, 5].map(() => client.post(form.action, form.hidden)));
  assert.deepEqual(answers.map((a) => a.status), [303, 303, 303, 303, 303]);
  assert.equal(new Set(answers.map((a) => a.headers.location)).size, 1);
  assert.equal((await client.post(form.action, form.hidden)).status, 303);
  assert.equal(Object.keys(await portal.recalls(id)).length, 1);
  assert.equal(await portal.jobs(), 1);
  assert.equal(await portal.service.metric('fumibako_portal_recalls_total', 'outcome="repeated"'), 5);
});

test('a token of another link, browser, step, recall or time is refused', async (t) => {
  const portal = await Portal.create(t);
  const mine = await confirmed(portal);
  const other = await confirmed(portal);
  const before = [await portal.recalls(mine.id), await portal.jobs()];
  const change = (fields, name, value) => fields.map(([n, v]) => [n, n === name ? value : v]);
  const token = (f) => f.hidden.find(([n]) => n === 'token')[1];
  const refused = {
    'another link': change(mine.form.hidden, 'token', token(other.form)),
    'the first step': change(mine.form.hidden, 'token', token(mine.first)),
    'another recall': change(mine.form.hidden, 'id', newId()),
    'changed': change(mine.form.hidden, 'token', token(mine.form).replace(/.$/, (c) => (c === 'A' ? 'B' : 'A'))),
    'a later end': change(mine.form.hidden, 'token', (() => {
      const raw = Buffer.from(token(mine.form), 'base64url');
      raw.writeBigUInt64BE(raw.readBigUInt64BE(0) + 1000n, 0);
      return raw.toString('base64url');
    })()),
    'short': change(mine.form.hidden, 'token', 'AAAA'),
  };
  for (const [name, fields] of Object.entries(refused)) {
    const answer = await mine.client.post(mine.form.action, fields);
    assert.equal(answer.status, 403, name);
    assert.match(visible(answer.text), /Nothing was changed\..* Open the page again/, name);
  }
  const stranger = portal.client();
  assert.equal((await stranger.post(mine.form.action, mine.form.hidden)).status, 403, 'without a cookie');
  await stranger.get(`/s/${mine.link}`);
  assert.equal((await stranger.post(mine.form.action, mine.form.hidden)).status, 403, 'with a cookie of its own');
  assert.deepEqual([await portal.recalls(mine.id), await portal.jobs()], before);
  assert.equal(await portal.service.metric('fumibako_portal_refused_total', 'reason="token"'), 8);
  assert.equal((await mine.client.post(mine.form.action, mine.form.hidden)).status, 303, 'and the right one is not');
});

test('a form that another site sends is refused', async (t) => {
  const portal = await Portal.create(t);
  const { client, id, form } = await confirmed(portal);
  for (const headers of [{ origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }, { origin: 'https://evil.example', 'sec-fetch-site': null },
    { origin: 'null', 'sec-fetch-site': null }, { origin: 'null' }, { origin: null, 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' }, { 'sec-fetch-site': 'none' }, { origin: null, 'sec-fetch-site': null },
    { origin: `${portal.base}.evil.example` }, { origin: portal.base.replace('http:', 'https:') }]) {
    for (const [action, fields] of [[form.action, form.hidden], [form.action.replace('/recall', '/confirm'), form.hidden]]) {
      const answer = await client.post(action, fields, { headers });
      assert.equal(answer.status, 403, JSON.stringify(headers));
    }
  }
  assert.deepEqual(await portal.recalls(id), {});
  for (const headers of [{ origin: null }, { 'sec-fetch-site': null }]) {
    assert.equal((await client.post(form.action, form.hidden, { headers })).status, 303, 'one of the two is enough');
  }
});

test('what is no form of ours is refused: type, size, encoding, fields', async (t) => {
  const portal = await Portal.create(t);
  const { client, id, first, form } = await confirmed(portal);
  const token = first.hidden[0];
  const status = async (fields, options) => (await client.post(first.action, fields, options)).status;
  for (const type of ['application/json', 'multipart/form-data; boundary=x', 'text/plain', 'application/x-www-form-urlencodedx', null]) {
    assert.equal(await status([token, ['scope', 'all']], { headers: { 'content-type': type } }), 415, String(type));
  }
  const raw = `token=${token[1]}&scope=`;
  for (const body of ['', 'scope=all', `token=${token[1]}`, `${raw}both`, `${raw}all&r=x`, `${raw}all&r=-1`, `${raw}all&r=123456`, `${raw}all&r=`,
    `${raw}all&reason=%`, `${raw}all&reason=%4`, `${raw}all&reason=%zz`, `${raw}all&reason=a%00b`, `${raw}all&reason=%ff%fe`,
    `${raw}all&token=${token[1]}`, `${raw}all&id=x&id=y`, `token=${'A'.repeat(100)}&scope=all`,
    `${raw}chosen&${Array.from({ length: 201 }, (_, i) => `r=${i}`).join('&')}`]) {
    assert.equal(await status(body), 400, body.slice(0, 150));
  }
  assert.equal(await status([token, ['scope', 'chosen']]), 400, 'nobody');
  assert.equal(await status([token, ['scope', 'chosen'], ['r', '3']]), 400, 'nobody that there is');
  assert.equal(await status([token, ['scope', 'all'], ['reason', 'あ'.repeat(166)]]), 200, '498 bytes');
  const long = await client.post(first.action, [token, ['scope', 'all'], ['reason', 'あ'.repeat(167)]]);
  assert.equal(long.status, 400);
  assert.match(visible(long.text), /The reason is too long/);
  const pad = (n) => `${raw}all&x=${'x'.repeat(n - raw.length - 6)}`;
  assert.equal(await status(pad(16384)), 200, 'at the limit');
  assert.equal(await status(pad(16385)), 413, 'one more');
  assert.equal(await status(pad(900000)), 413);
  assert.equal((await client.post(form.action, form.hidden.map(([n, v]) => [n, n === 'id' ? 'I'.repeat(26) : v]))).status, 403);
  assert.deepEqual(await portal.recalls(id), {});
});

test('a parcel with one link for all is recalled as a whole only', async (t) => {
  const portal = await Portal.create(t);
  for (const access of ['anyone', 'company']) {
    const id = await portal.mail({ recipients: PEOPLE, branches: [{ access }] });
    const client = portal.client();
    const page = await client.get(`/s/${makeLink(id)}`);
    const form = formOf(page.text);
    assert.match(visible(page.text), /These recipients share one link, so the mail can only be taken back from everybody/);
    assert.deepEqual([form.boxes, form.buttons], [[], ['all']]);
    const one = await client.post(form.action, [...form.hidden, ['r', '0'], ['scope', 'chosen']]);
    assert.equal(one.status, 400);
    assert.match(visible(one.text), /share one link/);
    // By hand, past the confirmation.
    const second = formOf((await client.post(form.action, [...form.hidden, ['scope', 'all']])).text);
    const forced = second.hidden.map(([n, v]) => [n, n === 'scope' ? 'chosen' : v]);
    assert.equal((await client.post(second.action, [...forced, ['r', '0']])).status, 400);
    assert.deepEqual(await portal.recalls(id), {});
    assert.equal((await client.post(second.action, second.hidden)).status, 303);
    assert.equal(Object.values(await portal.recalls(id))[0].all, true);
  }
});

test('a mail to one is taken back with one button; what is over has none', async (t) => {
  const portal = await Portal.create(t);
  const client = portal.client();
  const one = formOf((await client.get(`/s/${makeLink(await portal.mail())}`)).text);
  assert.deepEqual([one.boxes, one.buttons], [[], ['all']]);
  const over = await portal.mail({ recipients: [{ address: 'a@x.example', grant: 'expired' }, { address: 'b@x.example', branch: 1 }],
    branches: [{}, { kind: 'pass' }] });
  const page = await client.get(`/s/${makeLink(over)}`);
  assert.equal(formOf(page.text), null);
  assert.match(visible(page.text), /There is nothing left of this mail that could be taken back/);
});

test('more recalls of one mail than the ledger keeps are refused in words', async (t) => {
  const portal = await Portal.create(t);
  const id = await portal.mail({ recipients: PEOPLE });
  await portal.redis.command('HSET', `fb:{s0}:rc:${id}`, 'n', 200);
  const { client, form } = await confirmed(portal, [['scope', 'all']], { id });
  const answer = await client.post(form.action, form.hidden);
  assert.equal(answer.status, 409);
  assert.match(visible(answer.text), /Too many recalls of this mail/);
});

test('a recall whose answer was lost is not called undone; asking again asks once', async (t) => {
  const portal = await Portal.create(t);
  // Between portal and Redis: what Redis says to the recall is lost.
  let lost = null;
  const wire = net.createServer((near) => {
    const far = net.connect(portal.world.ports.redis, '127.0.0.1');
    let isMute = false;
    near.on('data', (c) => { isMute ||= lost !== null && c.includes(lost); far.write(c); });
    far.on('data', (c) => { if (!isMute) near.write(c); });
    for (const [one, other] of [[near, far], [far, near]]) one.on('error', () => {}).on('close', () => other.destroy());
  });
  await new Promise((resolve) => wire.listen(0, '127.0.0.1', resolve));
  portal.world.atEnd(() => wire.close());
  await portal.service.stop();
  await portal.world.start('portal', { redis: { url: `redis://127.0.0.1:${wire.address().port}/0` } });

  const first = await confirmed(portal); // Redis knows the script from here on
  assert.equal((await first.client.post(first.form.action, first.form.hidden)).status, 303);
  const { client, link, id, form } = await confirmed(portal);
  lost = Object.fromEntries(form.hidden).id;
  const answer = await client.post(form.action, form.hidden);
  assert.equal(answer.status, 503);
  assert.doesNotMatch(visible(answer.text), /nothing was changed|Nothing was changed/i);
  assert.match(visible(answer.text), /not known whether .* Open the page again/);
  assert.deepEqual(Object.keys(await portal.recalls(id)), [lost], 'it was taken');
  lost = null;
  assert.match(visible((await client.get(`/s/${link}`)).text), /From everybody/);
  assert.equal((await client.post(form.action, form.hidden)).status, 303);
  assert.equal(Object.keys(await portal.recalls(id)).length, 1);
});
