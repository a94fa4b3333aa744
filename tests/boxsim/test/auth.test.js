// SPDX-License-Identifier: Apache-2.0
'use strict';
const assert = require('assert');
const crypto = require('crypto');
const { test, before, after } = require('node:test');
const { start } = require('../harness');

let sim;
before(async () => {
  sim = await start({ args: ['--users', '2'] });
});
after(() => sim.stop());

const me = async (token) => (await sim.api('GET', 'users/me', undefined, { token })).json;
const now = () => Math.floor(Date.now() / 1000);

function refused(reply, error, text) {
  assert.strictEqual(reply.status, 400);
  assert.deepStrictEqual(Object.keys(reply.json), ['error', 'error_description']);
  assert.strictEqual(reply.json.error, error);
  assert.match(reply.json.error_description, text);
}

test('an assertion signed with the key of the config file gives a service account token', async () => {
  const reply = await sim.jwt();
  assert.strictEqual(reply.status, 200);
  assert.strictEqual(reply.json.token_type, 'bearer');
  assert.strictEqual(reply.json.expires_in, 4123);
  assert.deepStrictEqual(reply.json.restricted_to, []);
  assert.strictEqual(reply.json.refresh_token, undefined);
  assert.match((await me(reply.json.access_token)).login, /^AutomationUser_.*@boxdevedition\.com$/);
});

test('an assertion without kid and typ is accepted, one with a foreign kid is not', async () => {
  assert.strictEqual((await sim.jwt({}, { kid: undefined, typ: undefined })).status, 200);
  refused(await sim.jwt({}, { kid: 'ffffffff' }), 'invalid_grant', /signature/);
});

test('an assertion is good for one use', async () => {
  const assertion = sim.assertion();
  assert.strictEqual((await sim.jwt({}, {}, { assertion })).status, 200);
  refused(
    await sim.jwt({}, {}, { assertion }),
    'invalid_grant',
    /'jti' claim. A unique 'jti' value/
  );
});

test('an assertion whose request was answered 503 counts as used', async () => {
  await sim.faults([{ match: { path: '^/oauth2/token$' }, times: 1, do: { status: 503 } }]);
  const assertion = sim.assertion();
  assert.strictEqual((await sim.jwt({}, {}, { assertion })).status, 503);
  refused(await sim.jwt({}, {}, { assertion }), 'invalid_grant', /'jti'/);
  assert.strictEqual((await sim.jwt()).status, 200);
});

test('jti has 16 to 128 characters', async () => {
  for (const [length, status] of [
    [15, 400],
    [16, 200],
    [128, 200],
    [129, 400],
  ]) {
    const jti = crypto.randomBytes(64).toString('hex').padEnd(200, 'x').slice(0, length);
    assert.strictEqual((await sim.jwt({ jti })).status, status, `length ${length}`);
  }
});

test('exp lies in the future, and at most 60 seconds away', async () => {
  refused(await sim.jwt({ exp: now() - 1 }), 'invalid_grant', /'exp' claim.*before the expiration/);
  refused(await sim.jwt({ exp: now() + 75 }), 'invalid_grant', /'exp' claim.*60 seconds/);
  assert.strictEqual((await sim.jwt({ exp: now() + 58 })).status, 200);
});

test('a client with a wrong clock can correct it by the Date header', async () => {
  const other = await start();
  try {
    await other.config({ now_ms: Date.now() + 3600000 });
    const reply = await other.jwt();
    refused(reply, 'invalid_grant', /'exp'/);
    const exp = Math.floor(Date.parse(reply.headers.date) / 1000) + 30;
    assert.strictEqual((await other.jwt({ exp })).status, 200);
  } finally {
    await other.stop();
  }
});

test('sub must be a string that names the enterprise or one of its users', async () => {
  refused(await sim.jwt({ sub: Number(sim.app.enterpriseID) }), 'invalid_grant', /'sub' claim/);
  refused(await sim.jwt({ sub: '1' }), 'invalid_grant', /'sub' claim/);
  refused(await sim.jwt({ sub: '1', box_sub_type: 'user' }), 'invalid_grant', /'sub' claim/);
});

test('iss, aud and the signature are checked', async () => {
  refused(await sim.jwt({ iss: 'someone' }), 'invalid_grant', /'iss'/);
  refused(await sim.jwt({ aud: `${sim.base}/oauth2/token` }), 'invalid_grant', /'aud'/);
  const forged = `${sim.assertion().split('.').slice(0, 2).join('.')}.${'A'.repeat(342)}`;
  refused(await sim.jwt({}, {}, { assertion: forged }), 'invalid_grant', /signature/);
  refused(await sim.jwt({}, {}, { assertion: 'x' }), 'invalid_request', /JSON Web Token/);
  refused(await sim.jwt({}, { alg: 'none' }), 'invalid_grant', /RS256/);
});

test('the client secret is checked with both grants', async () => {
  refused(await sim.jwt({}, {}, { client_secret: 'wrong' }), 'invalid_grant', /Grant credentials/);
  refused(await sim.ccg({ client_secret: 'wrong' }), 'invalid_grant', /Grant credentials/);
  refused(await sim.ccg({ client_id: 'wrong' }), 'invalid_client', /client credentials/);
  refused(await sim.ccg({ box_subject_id: '1' }), 'invalid_grant', /Grant credentials/);
  refused(
    await sim.tokenRequest({ grant_type: 'password' }),
    'unsupported_grant_type',
    /grant type/
  );
});

test('client credentials give a token of the service account or of a pool user', async () => {
  const { users } = await sim.state('users');
  const pool = users.filter((u) => u.managed && !u.service_account);
  assert.strictEqual(pool.length, 2);
  assert.match((await me((await sim.ccg()).json.access_token)).login, /^AutomationUser_/);
  for (const user of pool) {
    const byCcg = await sim.ccg({ box_subject_type: 'user', box_subject_id: user.id });
    const byJwt = await sim.jwt({ box_sub_type: 'user', sub: user.id });
    assert.strictEqual((await me(byCcg.json.access_token)).id, user.id);
    assert.strictEqual((await me(byJwt.json.access_token)).id, user.id);
  }
});

test('As-User acts for a pool user, never for the service account, and not with a pool token', async () => {
  const { users } = await sim.state('users');
  const [service, one, two] = users;
  const as = (id, token) =>
    sim.api('GET', 'users/me', undefined, { token, headers: { 'as-user': id } });
  assert.strictEqual((await as(one.id)).json.id, one.id);
  assert.strictEqual((await as(service.id)).status, 403);
  assert.strictEqual((await as(two.id, await sim.token(one.id))).status, 403);
  assert.strictEqual((await as('99')).status, 403);
});

test('a missing, unknown, revoked or expired token is 401 with an empty body', async () => {
  const bad = (reply) => {
    assert.strictEqual(reply.status, 401);
    assert.strictEqual(reply.text, '');
    assert.match(reply.headers['www-authenticate'], /invalid_token/);
  };
  bad(await sim.request('GET', '/2.0/users/me'));
  bad(await sim.api('GET', 'users/me', undefined, { token: 'nonsense' }));
  const { access_token: token } = (await sim.ccg()).json;
  const { clientID, clientSecret } = sim.app.boxAppSettings;
  const revoked = await sim.request('POST', '/oauth2/revoke', {
    body: new URLSearchParams({
      client_id: clientID,
      client_secret: clientSecret,
      token,
    }).toString(),
  });
  assert.deepStrictEqual([revoked.status, revoked.text], [200, '']);
  bad(await sim.api('GET', 'users/me', undefined, { token }));
  await sim.config({ token_lifetime_s: 4 });
  const short = (await sim.ccg()).json;
  await sim.config({ token_lifetime_s: 4123 });
  assert.strictEqual(short.expires_in, 4);
  assert.strictEqual(
    (await sim.api('GET', 'users/me', undefined, { token: short.access_token })).status,
    200
  );
  await new Promise((resolve) => setTimeout(resolve, 4100));
  bad(await sim.api('GET', 'users/me', undefined, { token: short.access_token }));
});
