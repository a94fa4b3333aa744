// SPDX-License-Identifier: Apache-2.0
'use strict';
const assert = require('assert');
const { test, before, after } = require('node:test');
const { start } = require('../harness');

let sim;
before(async () => {
  sim = await start({ args: ['--users', '3'] });
});
after(() => sim.stop());

const VERSIONED = { headers: { 'box-version': '2025.0' } };
const code = (reply) => [reply.status, reply.json && reply.json.code];

test('pool users are listed, each with an id that names them for a token', async () => {
  const { json } = await sim.api('GET', 'users?limit=1000&filter_term=pool-');
  assert.deepStrictEqual(
    json.entries.map((x) => x.login),
    ['pool-1@fumibako.example', 'pool-2@fumibako.example', 'pool-3@fumibako.example']
  );
  const one = await sim.api('GET', `users/${json.entries[0].id}?fields=space_amount,enterprise`);
  assert.deepStrictEqual(
    [one.json.space_amount, one.json.enterprise.id],
    [10000000000, sim.app.enterpriseID]
  );
  assert.deepStrictEqual(code(await sim.api('GET', 'users/1')), [404, 'not_found']);
});

test('an app user can be made, only by the service account', async () => {
  const { json } = await sim.api('POST', 'users', { name: 'App', is_platform_access_only: true });
  assert.match(json.login, /^AppUser_.*@boxdevedition\.com$/);
  const reply = await sim.api(
    'POST',
    'users',
    { name: 'App', is_platform_access_only: true },
    { as: json.id }
  );
  assert.strictEqual(reply.status, 403);
});

test('the enterprise configuration shows the second factor of outsiders', async () => {
  const ask = (query, options = VERSIONED) =>
    sim.api('GET', `enterprise_configurations/${sim.app.enterpriseID}${query}`, undefined, options);
  const mfa = async () =>
    (await ask('?categories=security')).json.security.external_collab_multi_factor_auth_settings
      .value;
  assert.strictEqual((await mfa()).state, 'enabled');
  await sim.config({ external_mfa_state: 'disabled', external_mfa_factors: 'totp' });
  assert.deepStrictEqual(
    [(await mfa()).state, (await mfa()).factor_type_settings],
    ['disabled', 'totp']
  );
  const both = (await ask('?categories=security,content_and_sharing')).json;
  assert.strictEqual(both.content_and_sharing.is_collaboration_expiration_enabled.value, false);
  assert.strictEqual(both.user_settings, null);
  assert.strictEqual(
    (await ask('?categories=security', {})).status,
    400,
    'box-version is required'
  );
  assert.strictEqual((await ask('')).status, 400, 'categories are required');
  const { users } = await sim.state('users');
  assert.strictEqual(
    (await ask('?categories=security', { ...VERSIONED, as: users[1].id })).status,
    403
  );
});

test('an outsider can be removed from everything at once', async () => {
  const folders = [await sim.folder('out 1'), await sim.folder('out 2')];
  let id;
  for (const folder of folders) {
    id = (await sim.invite('folder', folder.id, 'outsider@example.com')).json.accessible_by.id;
  }
  const reply = await sim.api(
    'POST',
    'external_users/submit_delete_job',
    { external_users: [{ type: 'user', id }] },
    VERSIONED
  );
  assert.deepStrictEqual([reply.status, reply.json.entries], [207, [{ user_id: id, status: 202 }]]);
  assert.strictEqual((await sim.state('collaborations')).collaborations.length, 0);
});

test('one webhook per item, on HTTPS, not on the root', async () => {
  const folder = await sim.folder('hooked');
  const hook = (more) => ({
    target: { type: 'folder', id: folder.id },
    address: 'https://example.com/hook',
    triggers: ['FILE.PREVIEWED', 'FILE.DOWNLOADED'],
    ...more,
  });
  const made = await sim.api('POST', 'webhooks', hook());
  assert.strictEqual(made.status, 201);
  assert.strictEqual((await sim.api('POST', 'webhooks', hook())).status, 409);
  assert.strictEqual(
    (await sim.api('POST', 'webhooks', hook({ address: 'http://example.com/' }))).status,
    400
  );
  assert.strictEqual(
    (await sim.api('POST', 'webhooks', hook({ target: { type: 'folder', id: '0' } }))).status,
    400
  );
  assert.deepStrictEqual(
    (await sim.api('GET', 'webhooks')).json.entries.map((x) => x.id),
    [made.json.id]
  );
  const put = await sim.api('PUT', `webhooks/${made.json.id}`, { triggers: ['FILE.TRASHED'] });
  assert.deepStrictEqual(put.json.triggers, ['FILE.TRASHED']);
  assert.strictEqual((await sim.api('DELETE', `webhooks/${made.json.id}`)).status, 204);
  assert.strictEqual((await sim.api('DELETE', `webhooks/${made.json.id}`)).status, 404);
});

test('a watermark on a folder is inherited by its files', async () => {
  const folder = await sim.folder('marked');
  const file = await sim.file('f', folder.id, 'x');
  const mark = { watermark: { imprint: 'default' } };
  assert.strictEqual((await sim.api('GET', `folders/${folder.id}/watermark`)).status, 404);
  assert.strictEqual((await sim.api('PUT', `folders/${folder.id}/watermark`, mark)).status, 201);
  assert.strictEqual((await sim.api('PUT', `folders/${folder.id}/watermark`, mark)).status, 200);
  const info = async () =>
    (await sim.api('GET', `files/${file.id}?fields=watermark_info`)).json.watermark_info;
  assert.deepStrictEqual(
    [(await info()).is_watermarked, (await info()).is_watermark_inherited],
    [true, true]
  );
  assert.strictEqual((await sim.api('DELETE', `folders/${folder.id}/watermark`)).status, 204);
  assert.strictEqual((await info()).is_watermarked, false);
});

test('metadata is made once, then changed by JSON Patch', async () => {
  const folder = await sim.folder('described');
  const url = `folders/${folder.id}/metadata/global/properties`;
  assert.strictEqual((await sim.api('POST', url, { mail: 'm-1' })).status, 201);
  assert.deepStrictEqual(code(await sim.api('POST', url, { mail: 'm-1' })), [
    409,
    'tuple_already_exists',
  ]);
  const changed = await sim.api('PUT', url, [
    { op: 'test', path: '/mail', value: 'm-1' },
    { op: 'replace', path: '/mail', value: 'm-2' },
  ]);
  assert.deepStrictEqual([changed.json.mail, changed.json.$version], ['m-2', 1]);
  assert.strictEqual(
    (await sim.api('PUT', url, [{ op: 'test', path: '/mail', value: 'm-1' }])).status,
    400
  );
  assert.strictEqual((await sim.api('DELETE', url)).status, 204);
  assert.strictEqual((await sim.api('GET', url)).status, 404);
});

test('a locked file keeps others from downloading and replacing it', async () => {
  const folder = await sim.folder('locked');
  const file = await sim.file('f', folder.id, 'x');
  const { users } = await sim.state('users');
  await sim.invite('folder', folder.id, users[1].login, 'editor');
  const lock = { access: 'lock', type: 'lock', is_download_prevented: true };
  const reply = await sim.api('PUT', `files/${file.id}?fields=lock`, { lock });
  assert.strictEqual(reply.json.lock.is_download_prevented, true);
  const as = { as: users[1].id };
  assert.strictEqual((await sim.api('GET', `files/${file.id}/content`, undefined, as)).status, 403);
  await sim.api('PUT', `files/${file.id}`, { lock: null });
  assert.strictEqual((await sim.api('GET', `files/${file.id}/content`, undefined, as)).status, 302);
});
