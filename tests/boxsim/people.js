// SPDX-License-Identifier: Apache-2.0
// Users, the enterprise's configuration, and the removal of outsiders.
'use strict';
const { BoxError, badRequest, missing, denied, notFound } = require('./errors');
const { UNLIMITED } = require('./world');
const access = require('./access');
const collabs = require('./collabs');
const shapes = require('./shapes');

const USERS_MAX = 1000;
const API_VERSION = '2025.0';
const CATEGORIES = ['security', 'content_and_sharing', 'user_settings', 'shield'];

const show = (ctx, user, status = 200) => ({
  status,
  body: shapes.user(ctx.world, user, ctx.query),
});

const me = (ctx) => show(ctx, ctx.user);

function find(ctx) {
  const user = ctx.world.users.get(ctx.params.user_id);
  if (!user) {
    throw notFound('user', ctx.params.user_id);
  }
  return user;
}

function get(ctx) {
  const user = find(ctx);
  if (!ctx.user.service && user !== ctx.user && !user.managed) {
    throw notFound('user', user.id);
  }
  return show(ctx, user);
}

function needAdmin(ctx) {
  if (!ctx.user.service) {
    throw denied();
  }
}

function apply(user, body) {
  access.checkTypes(body, {
    name: access.isText,
    login: access.isText,
    job_title: access.isText,
    phone: access.isText,
    address: access.isText,
    status: access.isText,
    space_amount: (v) => Number.isSafeInteger(v) && v >= UNLIMITED,
  });
  if (body.space_amount !== undefined) {
    user.spaceAmount = body.space_amount;
  }
  if (body.name !== undefined) {
    user.name = body.name;
  }
  for (const name of ['job_title', 'phone', 'address', 'status', 'external_app_user_id']) {
    if (body[name] !== undefined) {
      user.rest[name] = body[name];
    }
  }
}

async function update(ctx) {
  const user = find(ctx);
  needAdmin(ctx);
  if (!user.managed) {
    throw denied();
  }
  apply(user, await ctx.json());
  user.modifiedAt = ctx.world.now();
  return show(ctx, user);
}

async function create(ctx) {
  needAdmin(ctx);
  const { world } = ctx;
  const body = await ctx.json();
  if (typeof body.name !== 'string' || body.name === '') {
    throw missing('name');
  }
  const isAppUser = body.is_platform_access_only === true;
  if (!isAppUser && typeof body.login !== 'string') {
    throw missing('login');
  }
  const login = isAppUser ? `AppUser_1_${world.newId()}@boxdevedition.com` : body.login;
  if (world.logins.has(login.toLowerCase())) {
    throw new BoxError(
      409,
      'user_login_already_used',
      'User with the specified login already exists'
    );
  }
  const user = world.addUser({ name: body.name, login, managed: true });
  apply(user, { ...body, login: undefined });
  return show(ctx, user, 201);
}

function list(ctx) {
  needAdmin(ctx);
  const { world, query } = ctx;
  const limit = access.limitOf(query, 100, USERS_MAX);
  const term = (query.get('filter_term') || '').toLowerCase();
  const all = [...world.users.values()].filter(
    (u) =>
      u.managed && (u.login.toLowerCase().startsWith(term) || u.name.toLowerCase().startsWith(term))
  );
  const one = (u) => shapes.user(world, u, query);
  if (query.get('usemarker') === 'true') {
    const { page, next } = access.pageByMarker(all.sort(shapes.byId), query, limit);
    return { status: 200, body: { limit, next_marker: next, entries: page.map(one) } };
  }
  const offset = Number(query.get('offset') || 0) || 0;
  return {
    status: 200,
    body: {
      total_count: all.length,
      limit,
      offset,
      entries: all.slice(offset, offset + limit).map(one),
    },
  };
}

// ---- the enterprise ----

function needVersion(ctx) {
  if (ctx.headers['box-version'] !== API_VERSION) {
    throw new BoxError(
      400,
      'bad_request',
      `This call needs the header box-version: ${API_VERSION}`
    );
  }
}

const used = (value) => ({ is_used: true, value });

function configuration(ctx) {
  needVersion(ctx);
  const { world, query } = ctx;
  if (!ctx.user.service) {
    throw denied();
  }
  if (ctx.params.enterprise_id !== world.enterpriseId) {
    throw notFound('enterprise', ctx.params.enterprise_id);
  }
  const wanted = query
    .getAll('categories')
    .flatMap((x) => x.split(','))
    .filter(Boolean);
  if (wanted.length === 0) {
    throw missing('categories');
  }
  if (!wanted.every((x) => CATEGORIES.includes(x))) {
    throw badRequest('categories', `Invalid value '${wanted.join(',')}'`);
  }
  const s = world.settings;
  const isSet = (list, state) => (s.external_mfa_state === state ? list : []);
  const all = {
    security: {
      is_multi_factor_auth_required: used(true),
      is_strong_password_for_ext_collab_enabled: used(false),
      external_collab_multi_factor_auth_settings: used({
        state: s.external_mfa_state,
        factor_type_settings: s.external_mfa_factors,
        denylist_domains: isSet(s.external_mfa_domains, 'denylist'),
        denylist_emails: isSet(s.external_mfa_emails, 'denylist'),
        allowlist_domains: isSet(s.external_mfa_domains, 'allowlist'),
        allowlist_emails: isSet(s.external_mfa_emails, 'allowlist'),
        scheduled_status: null,
        scheduled_at: null,
      }),
    },
    content_and_sharing: {
      shared_link_access: used(s.allowed_shared_link_access_levels[0]),
      shared_link_default_access: used(s.allowed_shared_link_access_levels[0]),
      external_collaboration_status: used(
        s.collab_domains
          ? 'limit_collaboration_to_allowlisted_domains'
          : 'enable_external_collaboration'
      ),
      collaboration_permissions: used({
        is_co_owner_role_enabled: true,
        is_editor_role_enabled: true,
        is_previewer_role_enabled: true,
        is_previewer_uploader_role_enabled: true,
        is_uploader_role_enabled: true,
        is_viewer_role_enabled: true,
        is_viewer_uploader_role_enabled: true,
      }),
      is_collaboration_expiration_enabled: used(s.collab_expiration),
      permanent_deletion_access: used(s.purge_allowed ? 'all' : 'admins_and_coadmins'),
      trash_auto_clear_time: used(`${s.trash_days} days`),
    },
    user_settings: { is_enterprise_sso_required: used(false) },
    shield: { shield_rules: [] },
  };
  const body = { id: world.enterpriseId, type: 'enterprise_configuration' };
  for (const name of CATEGORIES) {
    body[name] = wanted.includes(name) ? all[name] : null;
  }
  return { status: 200, body };
}

// Takes outsiders out of everything that the enterprise owns.
async function removeExternal(ctx) {
  needVersion(ctx);
  if (!ctx.user.service) {
    throw notFound('external_user', '');
  }
  const body = await ctx.json();
  if (!Array.isArray(body.external_users) || body.external_users.length === 0) {
    throw missing('external_users');
  }
  const entries = body.external_users.map(({ id }) => {
    const user = ctx.world.users.get(id);
    if (!user || user.managed) {
      return { user_id: String(id), status: 404, detail: 'The user is no external collaborator' };
    }
    for (const collab of [...ctx.world.collabs.values()]) {
      if (collab.user === user) {
        collabs.drop(ctx, collab);
      }
    }
    return { user_id: id, status: 202 };
  });
  return { status: 207, body: { entries } };
}

const routes = [
  ['GET', '/2.0/users/me', me],
  ['GET', '/2.0/users', list],
  ['POST', '/2.0/users', create],
  ['GET', '/2.0/users/{user_id}', get],
  ['PUT', '/2.0/users/{user_id}', update],
  ['GET', '/2.0/enterprise_configurations/{enterprise_id}', configuration],
  ['POST', '/2.0/external_users/submit_delete_job', removeExternal],
];

module.exports = { routes };
