// SPDX-License-Identifier: Apache-2.0
// Collaborations: who was let in, and whether they are in yet.
//
//   POST --account exists, nothing in the way--> accepted
//   POST --no account, no second factor, or acceptance is by hand--> pending --accept--> accepted
//   any --DELETE or expires_at--> gone
'use strict';
const { BoxError, badRequest, missing, denied, notFound } = require('./errors');
const { ROLES, FILE_ROLES } = require('./world');
const access = require('./access');
const shapes = require('./shapes');

const LIST_MAX = 1000;
const VIEW_PATH_MAX = 1000;
const LOGIN = /^[^\s@]+@[^\s@]+$/;

const grantee = (user) => ({ ...shapes.userMini(user), is_active: true });

// Nobody is named while the invited address has no account; only invite_email says whom it is for.
function show(ctx, collab) {
  const { world } = ctx;
  const isUnknown = collab.user === null;
  const all = {
    type: 'collaboration',
    id: collab.id,
    created_by: grantee(collab.createdBy),
    created_at: shapes.date(collab.createdAt),
    modified_at: shapes.date(collab.modifiedAt),
    expires_at: shapes.date(collab.expiresAt),
    status: collab.status,
    accessible_by: isUnknown ? null : grantee(collab.user),
    invite_email: isUnknown ? collab.email : null,
    role: collab.role,
    acknowledged_at: shapes.date(collab.acknowledgedAt),
    item: isUnknown ? null : shapes.mini(collab.node),
    is_access_only: collab.isAccessOnly,
    app_item: null,
  };
  const fields = shapes.fieldList(ctx.query);
  if (!fields) {
    return all;
  }
  const out = { type: all.type, id: all.id };
  for (const name of fields) {
    if (name === 'acceptance_requirements_status') {
      out[name] = requirements(world, collab);
    } else if (name === 'can_view_path') {
      out[name] = collab.canViewPath;
    } else if (name in all) {
      out[name] = all[name];
    }
  }
  return out;
}

// A person's own state is shown only where the enterprise asks for it.
function requirements(world, collab) {
  const isAsked = world.settings.external_mfa_state !== 'disabled';
  const { user } = collab;
  return {
    terms_of_service_requirement: { is_accepted: null, terms_of_service: null },
    strong_password_requirement: {
      enterprise_has_strong_password_required_for_external_users: false,
      user_has_strong_password: null,
    },
    two_factor_authentication_requirement: {
      enterprise_has_two_factor_auth_enabled: isAsked,
      user_has_two_factor_authentication_enabled:
        isAsked && user && world.needsSecondFactor(user) ? world.hasSecondFactor(user) : null,
    },
  };
}

const canJoin = (world, user) => !world.needsSecondFactor(user) || world.hasSecondFactor(user);

function resolveGrantee(ctx, by) {
  if (!access.isObject(by)) {
    throw missing('accessible_by');
  }
  access.checkTypes(by, {
    type: (v) => v === 'user' || v === 'group',
    id: access.isText,
    login: (v) => access.isText(v) && LOGIN.test(v),
  });
  if (by.type === undefined) {
    throw missing('accessible_by.type');
  }
  if (by.type === 'group') {
    throw notFound('group', by.id || '');
  }
  if (by.id !== undefined) {
    const user = ctx.world.users.get(by.id);
    if (!user) {
      throw notFound('user', by.id);
    }
    return { user, email: user.login };
  }
  if (by.login === undefined) {
    throw missing('accessible_by.login');
  }
  return { user: ctx.world.account(by.login), email: by.login };
}

function itemOf(ctx, item) {
  if (!access.isObject(item) || typeof item.id !== 'string') {
    throw missing('item.id');
  }
  if (item.type !== 'file' && item.type !== 'folder') {
    throw badRequest('item.type', "must be 'file' or 'folder'");
  }
  if (item.type === 'folder' && item.id === '0') {
    throw new BoxError(
      400,
      'collaborations_not_available_on_root_folder',
      'Root folder cannot be collaborated'
    );
  }
  return access.need(ctx, access.visible(ctx, item.type, item.id), 'invite');
}

function checkRole(role, node) {
  if (role === undefined || role === null) {
    throw missing('role');
  }
  if (!ROLES[role] || role === 'owner') {
    throw badRequest('role', `Invalid value '${role}'`);
  }
  if (node.type === 'file' && !FILE_ROLES.includes(role)) {
    throw badRequest('role', 'files have the roles editor and viewer only');
  }
}

function checkExpiry(ctx, body) {
  if (body.expires_at === undefined || body.expires_at === null) {
    return null;
  }
  if (!ctx.world.settings.collab_expiration) {
    throw new BoxError(
      403,
      'forbidden',
      'expires_at needs the setting "Automatically remove invited collaborators"'
    );
  }
  if (!access.isDate(body.expires_at) || Date.parse(body.expires_at) <= ctx.world.now()) {
    throw badRequest('expires_at', 'must be a date in the future');
  }
  return Date.parse(body.expires_at);
}

function checkViewPath(ctx, body, node) {
  if (!body.can_view_path) {
    return;
  }
  if (node.type !== 'folder') {
    throw badRequest('can_view_path', 'can only be set for folders');
  }
  access.need(ctx, node, 'manage');
  const made = [...ctx.world.collabs.values()].filter(
    (c) => c.canViewPath && c.createdBy === ctx.user
  );
  if (made.length >= VIEW_PATH_MAX) {
    throw badRequest('can_view_path', `at most ${VIEW_PATH_MAX} per user`);
  }
}

function refuseOutsiders(ctx, node, { user, email }) {
  const isManaged = Boolean(user && user.managed);
  const { collab_domains: limited } = ctx.world.settings;
  const listed = [...ctx.world.allowedDomains.values()].filter((x) => x.direction !== 'inbound');
  const domains = [...(limited || []), ...listed.map((x) => x.domain)];
  const domain = email.slice(email.lastIndexOf('@') + 1).toLowerCase();
  if (!isManaged && limited && !domains.some((x) => x.toLowerCase() === domain)) {
    throw new BoxError(403, 'forbidden_by_policy', 'Collaboration with this domain is not allowed');
  }
  for (let n = node; n; n = n.parent) {
    if (n.enterpriseOnly && !isManaged) {
      throw new BoxError(
        403,
        'forbidden_by_policy',
        'Collaboration on this folder is restricted to the enterprise'
      );
    }
  }
}

function refuseDuplicate(node, { user, email }) {
  const key = email.toLowerCase();
  const isThere =
    node.owner === user ||
    [...node.collabs.values()].some(
      (c) => (user && c.user === user) || (c.email && c.email.toLowerCase() === key)
    );
  if (isThere) {
    throw new BoxError(400, 'user_already_collaborator', 'User is already a collaborator');
  }
}

async function create(ctx) {
  const { world, events, user: by, query } = ctx;
  const body = await ctx.json();
  const node = itemOf(ctx, body.item);
  access.checkTypes(body, { is_access_only: access.isFlag, can_view_path: access.isFlag });
  const who = resolveGrantee(ctx, body.accessible_by);
  checkRole(body.role, node);
  const expiresAt = checkExpiry(ctx, body);
  checkViewPath(ctx, body, node);
  refuseOutsiders(ctx, node, who);
  refuseDuplicate(node, who);
  const collab = {
    id: world.newId(),
    node,
    user: who.user,
    email: who.email,
    role: body.role,
    status: 'pending',
    createdBy: by,
    createdAt: world.now(),
    modifiedAt: world.now(),
    acknowledgedAt: null,
    expiresAt,
    isAccessOnly: Boolean(body.is_access_only),
    canViewPath: Boolean(body.can_view_path),
  };
  node.collabs.set(collab.id, collab);
  world.collabs.set(collab.id, collab);
  if (expiresAt) {
    world.due(expiresAt);
  }
  if (query.get('notify') !== 'false') {
    world.invitations.push({
      to: who.email,
      collaboration: collab.id,
      at: shapes.date(world.now()),
    });
  }
  events.record(node, by, {
    userType: 'COLLAB_INVITE_COLLABORATOR',
    adminType: 'COLLABORATION_INVITE',
    details: details(collab),
  });
  const isManaged = Boolean(who.user && who.user.managed);
  if (who.user && (isManaged || (world.settings.auto_accept && canJoin(world, who.user)))) {
    accept(ctx, collab, who.user);
  }
  return { status: 201, body: show(ctx, collab) };
}

// For tests: somebody with an account who is in already, and nobody was told.
function seed(world, node, by, login) {
  const collab = {
    id: world.newId(),
    node,
    user: world.account(login),
    email: login,
    role: 'viewer',
    status: 'accepted',
    createdBy: by,
    createdAt: world.now(),
    modifiedAt: world.now(),
    acknowledgedAt: world.now(),
    expiresAt: null,
    isAccessOnly: true,
    canViewPath: false,
  };
  node.collabs.set(collab.id, collab);
  world.collabs.set(collab.id, collab);
  return collab;
}

const details = (collab) => ({
  collab_id: collab.id,
  role: collab.role,
  is_performed_by_admin: false,
  accessible_by: collab.user ? grantee(collab.user) : { type: 'user', login: collab.email },
});

function accept(ctx, collab, user) {
  collab.user = user;
  collab.status = 'accepted';
  collab.acknowledgedAt = ctx.world.now();
  collab.modifiedAt = ctx.world.now();
  ctx.events.record(collab.node, user, {
    userType: 'COLLAB_ADD_COLLABORATOR',
    adminType: 'COLLABORATION_ACCEPT',
    alsoTo: [user],
    details: details(collab),
  });
}

// The collaborator may see their own; others only who may see the item's collaborators.
function find(ctx) {
  const { collaboration_id: id } = ctx.params;
  const collab = ctx.world.collabs.get(id);
  const isVisible =
    collab &&
    ctx.world.isLive(collab.node) &&
    (collab.user === ctx.user || maySeeAll(ctx, collab.node));
  if (!isVisible) {
    throw notFound('collaboration', id);
  }
  return collab;
}

function maySeeAll(ctx, node) {
  const rights = ctx.world.rights(ctx.user, node);
  return (
    rights.has('manage') || (rights.has('see') && node.canNonOwnersViewCollaborators !== false)
  );
}

const get = (ctx) => ({ status: 200, body: show(ctx, find(ctx)) });

async function update(ctx) {
  const { world, events, user } = ctx;
  const collab = find(ctx);
  const body = await ctx.json();
  access.checkTypes(body, {
    can_view_path: access.isFlag,
    role: access.isText,
    status: (v) => ['pending', 'accepted', 'rejected'].includes(v),
  });
  if (body.status !== undefined) {
    return answer(ctx, collab, body.status);
  }
  access.need(ctx, collab.node, body.role === 'owner' ? 'own' : 'invite');
  if (body.role === 'owner') {
    return handOver(ctx, collab);
  }
  if (body.role !== undefined) {
    checkRole(body.role, collab.node);
  }
  const expiresAt = checkExpiry(ctx, body);
  checkViewPath(ctx, body, collab.node);
  const isChanged = body.role !== undefined && body.role !== collab.role;
  if (body.role !== undefined) {
    collab.role = body.role;
  }
  if (body.can_view_path !== undefined) {
    collab.canViewPath = body.can_view_path;
  }
  if (expiresAt !== null) {
    // null does not clear it: that is not offered
    collab.expiresAt = expiresAt;
    world.due(expiresAt);
  }
  collab.modifiedAt = world.now();
  if (isChanged) {
    events.record(collab.node, user, {
      userType: 'COLLAB_ROLE_CHANGE',
      adminType: 'COLLABORATION_ROLE_CHANGE',
      details: details(collab),
    });
  }
  return { status: 200, body: show(ctx, collab) };
}

// Accepting or rejecting is for the invited person alone.
function answer(ctx, collab, status) {
  if (collab.user !== ctx.user || collab.status !== 'pending' || status === 'pending') {
    throw denied();
  }
  if (status === 'accepted') {
    accept(ctx, collab, ctx.user);
  } else {
    collab.status = 'rejected';
    ctx.world.dropCollab(collab);
  }
  return { status: 200, body: show(ctx, collab) };
}

function handOver(ctx, collab) {
  const { world, user } = ctx;
  const { node, user: heir } = collab;
  if (!heir || collab.status !== 'accepted' || !heir.managed || node.type !== 'folder') {
    throw denied('Ownership goes to accepted collaborators of the enterprise only');
  }
  if (world.childNamed(heir.root, node.name)) {
    throw new BoxError(409, 'item_name_in_use', 'Item with the same name already exists');
  }
  world.dropCollab(collab);
  world.move(node, heir.root);
  const old = {
    ...collab,
    id: world.newId(),
    user,
    email: user.login,
    role: 'co-owner',
    createdBy: heir,
    createdAt: world.now(),
    modifiedAt: world.now(),
  };
  node.collabs.set(old.id, old);
  world.collabs.set(old.id, old);
  return { status: 204 };
}

function remove(ctx) {
  const collab = find(ctx);
  if (collab.user !== ctx.user) {
    access.need(ctx, collab.node, 'invite');
  }
  drop(ctx, collab);
  return { status: 204 };
}

function drop(ctx, collab) {
  ctx.world.dropCollab(collab);
  ctx.events.record(collab.node, ctx.user, {
    userType: 'COLLAB_REMOVE_COLLABORATOR',
    adminType: 'COLLABORATION_REMOVE',
    alsoTo: collab.user ? [collab.user] : [],
    details: details(collab),
  });
}

const listOf = (type) => (ctx) => {
  const node = access.visible(ctx, type, ctx.params[`${type}_id`]);
  const limit = access.limitOf(ctx.query, 100, LIST_MAX);
  const seesAll = maySeeAll(ctx, node);
  const all = [...node.collabs.values()]
    .filter((c) => seesAll || c.user === ctx.user)
    .sort(shapes.byId);
  const { page, next } = access.pageByMarker(all, ctx.query, limit);
  return {
    status: 200,
    body: { limit, next_marker: next, entries: page.map((c) => show(ctx, c)) },
  };
};

// The caller's own invitations that wait for an answer.
function listPending(ctx) {
  if (ctx.query.get('status') !== 'pending') {
    throw badRequest('status', "must be 'pending'");
  }
  const limit = access.limitOf(ctx.query, 100, LIST_MAX);
  const offset = Number(ctx.query.get('offset') || 0) || 0;
  const all = [...ctx.world.collabs.values()].filter(
    (c) => c.user === ctx.user && c.status === 'pending'
  );
  return {
    status: 200,
    body: {
      total_count: all.length,
      limit,
      offset,
      entries: all.slice(offset, offset + limit).map((c) => show(ctx, c)),
    },
  };
}

const routes = [
  ['POST', '/2.0/collaborations', create],
  ['GET', '/2.0/collaborations', listPending],
  ['GET', '/2.0/collaborations/{collaboration_id}', get],
  ['PUT', '/2.0/collaborations/{collaboration_id}', update],
  ['DELETE', '/2.0/collaborations/{collaboration_id}', remove],
  ['GET', '/2.0/folders/{folder_id}/collaborations', listOf('folder')],
  ['GET', '/2.0/files/{file_id}/collaborations', listOf('file')],
];

module.exports = { routes, accept, canJoin, drop, requirements, seed };
