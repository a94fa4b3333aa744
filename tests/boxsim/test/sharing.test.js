// SPDX-License-Identifier: Apache-2.0
'use strict';
const assert = require('assert');
const { test, before, after } = require('node:test');
const { start } = require('../harness');

let sim;
let pool;
before(async () => {
  sim = await start({ args: ['--users', '2'] });
  pool = (await sim.state('users')).users.slice(1).map((x) => x.id);
});
after(() => sim.stop());

let count = 0;
async function parcel() {
  count += 1;
  const folder = await sim.folder(`m-${count}`);
  const file = await sim.file('body.pdf', folder.id, `content ${count}`);
  return { folder, file };
}

const code = (reply) => [reply.status, reply.json && reply.json.code];

const link = (type, id, value) =>
  sim.api('PUT', `${type}s/${id}?fields=shared_link`, { shared_link: value });

// ---- collaborations ----

test('an address with an account is let in at once', async () => {
  const { folder, file } = await parcel();
  const reply = await sim.invite('folder', folder.id, 'hanako@example.com', 'viewer', {
    is_access_only: true,
    can_view_path: false,
  });
  assert.strictEqual(reply.status, 201, reply.text);
  const { json } = reply;
  assert.deepStrictEqual(
    [json.type, json.status, json.role, json.is_access_only, json.invite_email],
    ['collaboration', 'accepted', 'viewer', true, null]
  );
  assert.deepStrictEqual(
    [json.accessible_by.login, json.accessible_by.type, json.accessible_by.is_active],
    ['hanako@example.com', 'user', true]
  );
  assert.strictEqual(json.item.id, folder.id);
  assert.strictEqual(
    (await sim.act('hanako@example.com', 'download', { file: file.id })).status,
    200
  );
});

test('an address without an account is pending, known by invite_email only, and may not open', async () => {
  const { folder, file } = await parcel();
  await sim.config({ accounts: { 'new@example.com': false } });
  for (const login of ['pending.person@example.com', 'NoAccount1@example.com', 'New@example.com']) {
    const { json } = await sim.invite('folder', folder.id, login);
    assert.deepStrictEqual(
      [json.status, json.accessible_by, json.item, json.invite_email],
      ['pending', null, null, login]
    );
    assert.strictEqual((await sim.act(login, 'preview', { file: file.id })).status, 403);
  }
  const list = (await sim.api('GET', `folders/${folder.id}/collaborations?limit=1000`)).json;
  assert.deepStrictEqual(
    list.entries.map((x) => x.status),
    ['pending', 'pending', 'pending']
  );
  assert.strictEqual(list.next_marker, null);
});

test('a pending person who signs up is in', async () => {
  const { folder, file } = await parcel();
  const { json } = await sim.invite('folder', folder.id, 'pending.taro@example.com', 'previewer');
  const joined = await sim.act('pending.taro@example.com', 'accept', { folder: folder.id });
  assert.strictEqual(joined.status, 200, joined.text);
  const now = (
    await sim.api('GET', `collaborations/${json.id}?fields=status,accessible_by,invite_email`)
  ).json;
  assert.deepStrictEqual(
    [now.status, now.accessible_by.login, now.invite_email],
    ['accepted', 'pending.taro@example.com', null]
  );
  assert.strictEqual(
    (await sim.act('pending.taro@example.com', 'preview', { folder: folder.id })).status,
    200
  );
  assert.strictEqual(
    (await sim.act('pending.taro@example.com', 'download', { file: file.id })).status,
    403
  );
  assert.strictEqual(
    (await sim.act('pending.else@example.com', 'accept', { folder: folder.id })).status,
    403
  );
});

test('while a required second factor is missing an account stays pending', async () => {
  const { folder, file } = await parcel();
  await sim.config({ accounts: { 'nomfa@example.com': { exists: true, mfa: false } } });
  const { json } = await sim.invite('folder', folder.id, 'nomfa@example.com');
  assert.strictEqual(json.status, 'pending');
  const ask = async () =>
    (await sim.api('GET', `collaborations/${json.id}?fields=acceptance_requirements_status`)).json
      .acceptance_requirements_status.two_factor_authentication_requirement;
  assert.deepStrictEqual(await ask(), {
    enterprise_has_two_factor_auth_enabled: true,
    user_has_two_factor_authentication_enabled: false,
  });
  assert.strictEqual(
    (await sim.act('nomfa@example.com', 'accept', { folder: folder.id })).status,
    403
  );
  await sim.config({ accounts: { 'nomfa@example.com': { exists: true, mfa: true } } });
  assert.strictEqual(
    (await sim.act('nomfa@example.com', 'accept', { folder: folder.id })).status,
    200
  );
  assert.strictEqual((await ask()).user_has_two_factor_authentication_enabled, true);
  assert.strictEqual(
    (await sim.act('nomfa@example.com', 'preview', { file: file.id })).status,
    200
  );
  await sim.config({ external_mfa_state: 'disabled' });
  assert.strictEqual((await ask()).user_has_two_factor_authentication_enabled, null);
  await sim.config({ external_mfa_state: 'enabled' });
});

test('a second invitation of the same address is refused, whatever its case and state', async () => {
  const { folder } = await parcel();
  await sim.invite('folder', folder.id, 'twice@example.com');
  await sim.invite('folder', folder.id, 'pending.twice@example.com');
  for (const login of ['Twice@Example.com', 'pending.TWICE@example.com']) {
    assert.deepStrictEqual(code(await sim.invite('folder', folder.id, login)), [
      400,
      'user_already_collaborator',
    ]);
  }
});

test('notify=false sends no invitation mail', async () => {
  const { folder } = await parcel();
  const sent = async () => (await sim.state('invitations')).invitations.map((x) => x.to);
  await sim.invite('folder', folder.id, 'quiet@example.com');
  assert.ok(!(await sent()).includes('quiet@example.com'));
  await sim.api('POST', 'collaborations', {
    item: { type: 'folder', id: folder.id },
    accessible_by: { type: 'user', login: 'loud@example.com' },
    role: 'viewer',
  });
  assert.ok((await sent()).includes('loud@example.com'));
});

test('what cannot be shared is refused', async () => {
  const { folder, file } = await parcel();
  assert.deepStrictEqual(code(await sim.invite('folder', '0', 'a@example.com')), [
    400,
    'collaborations_not_available_on_root_folder',
  ]);
  assert.deepStrictEqual(code(await sim.invite('folder', '999999', 'a@example.com')), [
    404,
    'not_found',
  ]);
  assert.deepStrictEqual(code(await sim.invite('folder', folder.id, 'a@example.com', 'owner')), [
    400,
    'bad_request',
  ]);
  assert.deepStrictEqual(code(await sim.invite('file', file.id, 'a@example.com', 'previewer')), [
    400,
    'bad_request',
  ]);
  assert.strictEqual((await sim.invite('file', file.id, 'a@example.com', 'viewer')).status, 201);
  assert.deepStrictEqual(code(await sim.invite('folder', folder.id, 'nonsense')), [
    400,
    'bad_request',
  ]);
  await sim.config({ collab_domains: ['example.com'] });
  assert.deepStrictEqual(code(await sim.invite('folder', folder.id, 'a@other.example')), [
    403,
    'forbidden_by_policy',
  ]);
  await sim.config({ collab_domains: null });
  await sim.api('PUT', `folders/${folder.id}`, { is_collaboration_restricted_to_enterprise: true });
  assert.deepStrictEqual(code(await sim.invite('folder', folder.id, 'a@example.com')), [
    403,
    'forbidden_by_policy',
  ]);
});

test('expires_at is refused until the administrator allows it, and then takes access away', async () => {
  const other = await start({ settings: { token_lifetime_s: 99999999 } });
  try {
    const folder = await other.folder('expiring');
    const soon = new Date(Date.now() + 3600000).toISOString();
    assert.strictEqual(
      (await other.invite('folder', folder.id, 'e@example.com', 'viewer', { expires_at: soon }))
        .status,
      403
    );
    await other.config({ collab_expiration: true });
    const { json } = await other.invite('folder', folder.id, 'e@example.com', 'viewer', {
      expires_at: soon,
    });
    assert.match(json.expires_at, /^\d{4}-/);
    await other.config({ now_ms: Date.now() + 3700000 });
    assert.strictEqual((await other.api('GET', `collaborations/${json.id}`)).status, 404);
    const { admin_events: events } = await other.state('admin_events');
    assert.strictEqual(events.pop().event_type, 'COLLABORATION_EXPIRATION');
  } finally {
    await other.stop();
  }
});

test('roles change by PUT, access ends with DELETE', async () => {
  const { folder, file } = await parcel();
  const { json } = await sim.invite('folder', folder.id, 'role@example.com', 'previewer');
  assert.strictEqual(
    (await sim.act('role@example.com', 'download', { file: file.id })).status,
    403
  );
  const changed = await sim.api('PUT', `collaborations/${json.id}`, { role: 'viewer' });
  assert.strictEqual(changed.json.role, 'viewer');
  assert.strictEqual(
    (await sim.act('role@example.com', 'download', { file: file.id })).status,
    200
  );
  assert.strictEqual((await sim.api('DELETE', `collaborations/${json.id}`)).status, 204);
  assert.strictEqual((await sim.api('DELETE', `collaborations/${json.id}`)).status, 404);
  assert.strictEqual((await sim.act('role@example.com', 'preview', { file: file.id })).status, 403);
});

test('each role does what it says and no more', async () => {
  const { folder, file } = await parcel();
  const rows = [
    ['editor', 200, 200],
    ['viewer', 200, 200],
    ['previewer', 200, 403],
    ['uploader', 403, 403],
    ['previewer uploader', 200, 403],
    ['viewer uploader', 200, 200],
    ['co-owner', 200, 200],
  ];
  for (const [role, preview, download] of rows) {
    const login = `${role.replace(' ', '-')}@example.com`;
    await sim.invite('folder', folder.id, login, role);
    assert.strictEqual((await sim.act(login, 'preview', { file: file.id })).status, preview, role);
    assert.strictEqual(
      (await sim.act(login, 'download', { file: file.id })).status,
      download,
      role
    );
  }
});

test('sharing flows down, never up', async () => {
  const { folder, file } = await parcel();
  const inner = await sim.folder('inner', folder.id);
  const deep = await sim.file('deep.txt', inner.id, 'x');
  await sim.invite('folder', inner.id, 'down@example.com');
  assert.strictEqual((await sim.act('down@example.com', 'preview', { file: deep.id })).status, 200);
  assert.strictEqual((await sim.act('down@example.com', 'preview', { file: file.id })).status, 403);
});

test('collaborators of the enterprise work with their own token, within their role', async () => {
  const { folder, file } = await parcel();
  const as = { as: pool[0] };
  assert.strictEqual((await sim.api('GET', `files/${file.id}`, undefined, as)).status, 404);
  await sim.invite('folder', folder.id, (await sim.state('users')).users[1].login, 'previewer');
  assert.strictEqual((await sim.api('GET', `files/${file.id}`, undefined, as)).status, 200);
  assert.strictEqual((await sim.api('GET', `files/${file.id}/content`, undefined, as)).status, 403);
  assert.strictEqual((await sim.api('DELETE', `files/${file.id}`, undefined, as)).status, 403);
  assert.strictEqual(
    (await sim.api('PUT', `files/${file.id}`, { shared_link: {} }, as)).status,
    403
  );
});

test('with can_non_owners_view_collaborators off a collaborator sees only themselves', async () => {
  const { folder } = await parcel();
  const logins = (await sim.state('users')).users.slice(1).map((x) => x.login);
  await sim.invite('folder', folder.id, logins[0], 'editor');
  await sim.invite('folder', folder.id, logins[1], 'viewer');
  const seen = async () =>
    (
      await sim.api('GET', `folders/${folder.id}/collaborations`, undefined, { as: pool[0] })
    ).json.entries.map((x) => x.accessible_by.login);
  assert.strictEqual((await seen()).length, 2);
  await sim.api('PUT', `folders/${folder.id}`, { can_non_owners_view_collaborators: false });
  assert.deepStrictEqual(await seen(), [logins[0]]);
  const invite = await sim.api(
    'POST',
    'collaborations',
    {
      item: { type: 'folder', id: folder.id },
      accessible_by: { type: 'user', login: 'x@example.com' },
      role: 'viewer',
    },
    { as: pool[0] }
  );
  assert.strictEqual(invite.status, 403, 'and invites nobody');
});

// ---- shared links ----

test('a link has an address, its level and what it permits; one per item', async () => {
  const { folder, file } = await parcel();
  const first = (await link('folder', folder.id, { access: 'collaborators' })).json.shared_link;
  assert.match(first.url, /^https:\/\/app\.box\.com\/s\/[a-z0-9]{32}$/);
  assert.deepStrictEqual(
    [
      first.access,
      first.effective_access,
      first.effective_permission,
      first.is_password_enabled,
      first.unshared_at,
    ],
    ['collaborators', 'collaborators', 'can_download', false, null]
  );
  const again = (await link('folder', folder.id, { access: 'collaborators' })).json.shared_link;
  assert.strictEqual(again.url, first.url);
  const plain = await sim.api('PUT', `files/${file.id}`, { shared_link: { access: 'open' } });
  assert.strictEqual(plain.json.shared_link.access, 'open', 'in the default reply too');
  assert.strictEqual((await link('folder', folder.id, null)).json.shared_link, null);
  assert.strictEqual((await sim.state('shared_links')).shared_links.length, 1);
});

test('a link with a bad combination is refused and changes nothing', async () => {
  const { folder, file } = await parcel();
  const later = new Date(Date.now() + 86400000).toISOString();
  const bad = [
    { access: 'everyone' },
    { access: 'company', password: 'Secret#1234' },
    { access: 'open', password: 'Short1#' },
    { access: 'open', password: 'lowercaseonly' },
    { access: 'collaborators', permissions: { can_download: true } },
    { access: 'open', permissions: { can_preview: false } },
    { access: 'open', permissions: { can_edit: true } },
    { access: 'open', unshared_at: '2020-01-01T00:00:00Z' },
    { access: 'open', unshared_at: 'tomorrow' },
    { access: 'open', vanity_name: 'short' },
    'x',
  ];
  for (const value of bad) {
    assert.strictEqual((await link('folder', folder.id, value)).status, 400, JSON.stringify(value));
  }
  assert.strictEqual((await sim.api('GET', `folders/${folder.id}`)).json.shared_link, null);
  const good = {
    access: 'open',
    password: 'Secret#1234',
    unshared_at: later,
    permissions: { can_download: false },
  };
  const { shared_link: made } = (await link('file', file.id, good)).json;
  assert.deepStrictEqual(
    [made.is_password_enabled, made.effective_permission, made.permissions.can_download],
    [true, 'can_preview', false]
  );
  assert.strictEqual((await sim.api('PUT', 'folders/0', { shared_link: {} })).status, 403);
});

test('the enterprise narrows links, and effective_access says so', async () => {
  const { folder } = await parcel();
  await sim.config({ allowed_shared_link_access_levels: ['collaborators'] });
  try {
    const { shared_link: made } = (await link('folder', folder.id, { access: 'open' })).json;
    assert.deepStrictEqual([made.access, made.effective_access], ['open', 'collaborators']);
    const { json } = await sim.api(
      'GET',
      `folders/${folder.id}?fields=allowed_shared_link_access_levels`
    );
    assert.deepStrictEqual(json.allowed_shared_link_access_levels, ['collaborators']);
    const { file } = await parcel();
    assert.strictEqual(
      (await sim.act('anyone@example.com', 'preview', { file: file.id })).status,
      403
    );
  } finally {
    await sim.config({ allowed_shared_link_access_levels: ['open', 'company', 'collaborators'] });
  }
});

test('who may open by a link depends on its level, password and permissions', async () => {
  const { folder, file } = await parcel();
  const open = (as, what = 'preview', more = {}) =>
    sim.act(as, what, { file: file.id, ...more }).then((x) => x.status);
  await link('folder', folder.id, { access: 'collaborators' });
  assert.strictEqual(
    await open('anyone@example.com'),
    403,
    'a collaborators link grants nothing by itself'
  );
  await link('folder', folder.id, { access: 'company' });
  assert.strictEqual(await open('anyone@example.com'), 403);
  assert.strictEqual(await open('pool-1@fumibako.example'), 200);
  await link('folder', folder.id, {
    access: 'open',
    password: 'Secret#1234',
    permissions: { can_download: false },
  });
  assert.strictEqual(await open('anyone@example.com'), 403);
  assert.strictEqual(await open(null, 'preview', { password: 'Secret#1234' }), 200);
  assert.strictEqual(await open(null, 'download', { password: 'Secret#1234' }), 403);
  await link('folder', folder.id, null);
  assert.strictEqual(await open(null, 'preview', { password: 'Secret#1234' }), 403);
});

test('at unshared_at a link is gone', async () => {
  const other = await start({ settings: { token_lifetime_s: 99999999 } });
  try {
    const folder = await other.folder('short');
    const at = new Date(Date.now() + 60000).toISOString();
    await other.api('PUT', `folders/${folder.id}`, {
      shared_link: { access: 'open', unshared_at: at },
    });
    await other.config({ now_ms: Date.now() + 61000 });
    assert.strictEqual((await other.api('GET', `folders/${folder.id}`)).json.shared_link, null);
  } finally {
    await other.stop();
  }
});

test('a link leads back to its item', async () => {
  const { folder } = await parcel();
  const { url } = (await link('folder', folder.id, { access: 'company' })).json.shared_link;
  const ask = (header) =>
    sim.api('GET', 'shared_items', undefined, { as: pool[0], headers: { boxapi: header } });
  assert.strictEqual((await ask(`shared_link=${url}`)).json.id, folder.id);
  assert.strictEqual((await ask('shared_link=https://app.box.com/s/unknown')).status, 404);
  await link('folder', folder.id, { access: 'open', password: 'Secret#1234' });
  assert.strictEqual((await ask(`shared_link=${url}`)).status, 403);
  assert.strictEqual(
    (await ask(`shared_link=${url}&shared_link_password=Secret%231234`)).status,
    200
  );
});

test('download by outsiders can be barred per file', async () => {
  const { folder, file } = await parcel();
  await sim.invite('folder', folder.id, 'barred@example.com');
  await sim.api('PUT', `files/${file.id}`, { permissions: { can_download: 'company' } });
  assert.strictEqual(
    (await sim.act('barred@example.com', 'download', { file: file.id })).status,
    403
  );
  assert.strictEqual(
    (await sim.act('barred@example.com', 'preview', { file: file.id })).status,
    200
  );
});

test('a viewer can make an open link, a previewer cannot; the owner hears of it', async () => {
  const { folder, file } = await parcel();
  await sim.invite('folder', folder.id, 'viewer2@example.com', 'viewer');
  await sim.invite('folder', folder.id, 'previewer2@example.com', 'previewer');
  assert.strictEqual(
    (await sim.act('previewer2@example.com', 'share', { file: file.id })).status,
    403
  );
  assert.strictEqual(
    (await sim.act('stranger@example.com', 'share', { file: file.id })).status,
    403
  );
  const made = await sim.act('viewer2@example.com', 'share', { file: file.id });
  assert.strictEqual(made.json.shared_link.effective_access, 'open');
  const { events } = await sim.state('events');
  const last = events.filter((x) => x.event_type === 'ITEM_SHARED_CREATE').pop();
  assert.deepStrictEqual(
    [last.created_by.login, last.source.item_id],
    ['viewer2@example.com', file.id]
  );
});

test('ownership goes to a collaborator of the enterprise, and the old owner stays', async () => {
  const { folder, file } = await parcel();
  const { users } = await sim.state('users');
  const outsider = (await sim.invite('folder', folder.id, 'heir@example.com', 'editor')).json;
  const refused = await sim.api('PUT', `collaborations/${outsider.id}`, { role: 'owner' });
  assert.strictEqual(refused.status, 403);
  const { json } = await sim.invite('folder', folder.id, users[1].login, 'editor');
  assert.strictEqual(
    (await sim.api('PUT', `collaborations/${json.id}`, { role: 'owner' })).status,
    204
  );
  const now = (await sim.api('GET', `files/${file.id}`)).json;
  assert.strictEqual(now.owned_by.login, users[1].login);
  const list = (await sim.api('GET', `folders/${folder.id}/collaborations`)).json.entries;
  assert.deepStrictEqual(list.map((x) => x.role).sort(), ['co-owner', 'editor']);
});

test('domains can be limited, and the allowed list widens the limit', async () => {
  const { folder } = await parcel();
  await sim.config({ collab_domains: [] });
  const invite = (login) => sim.invite('folder', folder.id, login);
  assert.strictEqual((await invite('a@partner.example')).status, 403);
  assert.strictEqual(
    (
      await sim.api('POST', 'collaboration_whitelist_entries', {
        domain: 'partner.example',
        direction: 'both',
      })
    ).status,
    201
  );
  assert.strictEqual((await invite('a@partner.example')).status, 201);
  assert.strictEqual((await invite('a@other.example')).status, 403);
  await sim.config({ collab_domains: null });
});

test('nobody opens what is in the trash', async () => {
  const { folder, file } = await parcel();
  await sim.invite('folder', folder.id, 'late@example.com');
  await sim.api('DELETE', `folders/${folder.id}?recursive=true`);
  assert.strictEqual((await sim.act('late@example.com', 'preview', { file: file.id })).status, 404);
});
