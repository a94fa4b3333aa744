// SPDX-License-Identifier: Apache-2.0
// What hangs on items beside content and sharing: watermarks, metadata, folder locks, webhooks, and
// the list of allowed domains.  Webhooks are registered but not delivered: Box delivers to public
// HTTPS addresses only, which a loopback test has none of.
'use strict';
const { BoxError, badRequest, missing, notFound, denied } = require('./errors');
const access = require('./access');
const shapes = require('./shapes');

const LIST_MAX = 1000;
const WEBHOOKS_MAX = 1000;

const nodeOf = (ctx, type) => access.visible(ctx, type, ctx.params[`${type}_id`]);

// ---- watermarks ----

const showMark = (mark) => ({
  watermark: { created_at: shapes.date(mark.createdAt), modified_at: shapes.date(mark.modifiedAt) },
});

const putWatermark = (type) => async (ctx) => {
  const node = access.need(ctx, nodeOf(ctx, type), 'edit');
  const body = await ctx.json();
  if (node.isRoot) {
    throw denied();
  }
  if (!access.isObject(body.watermark) || body.watermark.imprint !== 'default') {
    throw badRequest('watermark.imprint', "must be 'default'");
  }
  const isNew = !node.watermark;
  const now = ctx.world.now();
  node.watermark = { createdAt: isNew ? now : node.watermark.createdAt, modifiedAt: now };
  return { status: isNew ? 201 : 200, body: showMark(node.watermark) };
};

function markOf(ctx, type) {
  const node = nodeOf(ctx, type);
  if (!node.watermark) {
    throw notFound('watermark', node.id);
  }
  return node;
}

const getWatermark = (type) => (ctx) => ({
  status: 200,
  body: showMark(markOf(ctx, type).watermark),
});

const deleteWatermark = (type) => (ctx) => {
  access.need(ctx, markOf(ctx, type), 'edit').watermark = null;
  return { status: 204 };
};

// ---- metadata ----

const metaKey = (ctx) => {
  const { scope, template_key: template } = ctx.params;
  if (
    scope !== 'global' &&
    scope !== 'enterprise' &&
    scope !== `enterprise_${ctx.world.enterpriseId}`
  ) {
    throw notFound('scope', scope);
  }
  const full = scope === 'enterprise' ? `enterprise_${ctx.world.enterpriseId}` : scope;
  return { scope: full, template, key: `${full}/${template}` };
};

const showMeta = (node, meta) => ({
  $id: meta.id,
  $type: meta.template,
  $parent: `${node.type}_${node.id}`,
  $template: meta.template,
  $scope: meta.scope,
  $version: meta.version,
  $typeVersion: 0,
  $canEdit: true,
  ...meta.values,
});

const createMeta = (type) => async (ctx) => {
  const node = access.need(ctx, nodeOf(ctx, type), 'edit');
  const values = await ctx.json();
  const { scope, template, key } = metaKey(ctx);
  if (node.metadata.has(key)) {
    throw new BoxError(409, 'tuple_already_exists', 'Tuple already exists');
  }
  const meta = { id: ctx.world.newId(), scope, template, version: 0, values };
  node.metadata.set(key, meta);
  return { status: 201, body: showMeta(node, meta) };
};

function metaOf(ctx, node) {
  const { key, template } = metaKey(ctx);
  const meta = node.metadata.get(key);
  if (!meta) {
    throw new BoxError(404, 'instance_not_found', `Instance of template '${template}' not found`);
  }
  return { meta, key };
}

const getMeta = (type) => (ctx) => {
  const node = nodeOf(ctx, type);
  return { status: 200, body: showMeta(node, metaOf(ctx, node).meta) };
};

const listMeta = (type) => (ctx) => {
  const node = nodeOf(ctx, type);
  return {
    status: 200,
    body: { entries: [...node.metadata.values()].map((m) => showMeta(node, m)), limit: 100 },
  };
};

// JSON Patch on a flat object; all operations hold or none is done.
function patched(values, operations) {
  const out = { ...values };
  for (const { op, path, value } of operations) {
    const name = typeof path === 'string' && path.startsWith('/') ? path.slice(1) : null;
    const isThere = name !== null && Object.prototype.hasOwnProperty.call(out, name);
    if (
      name === null ||
      !['add', 'replace', 'test', 'remove'].includes(op) ||
      (op !== 'add' && !isThere) ||
      (op === 'test' && out[name] !== value)
    ) {
      throw badRequest('operations', `'${op}' on '${path}' failed`);
    }
    if (op === 'remove') {
      delete out[name];
    } else if (op !== 'test') {
      out[name] = value;
    }
  }
  return out;
}

const updateMeta = (type) => async (ctx) => {
  const node = access.need(ctx, nodeOf(ctx, type), 'edit');
  const { meta } = metaOf(ctx, node);
  const operations = await ctx.json({ array: true });
  meta.values = patched(meta.values, operations);
  meta.version += 1;
  return { status: 200, body: showMeta(node, meta) };
};

const deleteMeta = (type) => (ctx) => {
  const node = access.need(ctx, nodeOf(ctx, type), 'edit');
  node.metadata.delete(metaOf(ctx, node).key);
  return { status: 204 };
};

// ---- folder locks ----

const showLock = (lock) => ({
  type: 'folder_lock',
  id: lock.id,
  folder: shapes.mini(lock.node),
  created_by: { type: 'user', id: lock.by.id },
  created_at: shapes.date(lock.createdAt),
  locked_operations: lock.operations,
  lock_type: 'freeze',
});

async function createLock(ctx) {
  const body = await ctx.json();
  if (!access.isObject(body.folder) || typeof body.folder.id !== 'string') {
    throw missing('folder.id');
  }
  const node = access.need(ctx, access.visible(ctx, 'folder', body.folder.id), 'manage');
  const operations = body.locked_operations || { move: true, delete: true };
  if (operations.move !== true || operations.delete !== true) {
    throw badRequest('locked_operations', 'move and delete are locked together');
  }
  const lock = {
    id: ctx.world.newId(),
    node,
    by: ctx.user,
    createdAt: ctx.world.now(),
    operations,
  };
  ctx.world.folderLocks.set(lock.id, lock);
  return { status: 200, body: showLock(lock) };
}

function listLocks(ctx) {
  const node = access.visible(ctx, 'folder', ctx.query.get('folder_id') || '');
  const entries = [...ctx.world.folderLocks.values()].filter((x) => x.node === node).map(showLock);
  return { status: 200, body: { entries, limit: LIST_MAX, next_marker: null } };
}

function deleteLock(ctx) {
  const lock = ctx.world.folderLocks.get(ctx.params.folder_lock_id);
  if (!lock) {
    throw notFound('folder_lock', ctx.params.folder_lock_id);
  }
  access.need(ctx, lock.node, 'manage');
  ctx.world.folderLocks.delete(lock.id);
  return { status: 204 };
}

// ---- allowed domains ----

const showDomain = (x) => ({
  type: 'collaboration_whitelist_entry',
  id: x.id,
  domain: x.domain,
  direction: x.direction,
  enterprise: { type: 'enterprise', id: x.enterpriseId },
  created_at: shapes.date(x.createdAt),
});

async function allowDomain(ctx) {
  if (!ctx.user.service) {
    throw denied();
  }
  const body = await ctx.json();
  if (
    typeof body.domain !== 'string' ||
    !['inbound', 'outbound', 'both'].includes(body.direction)
  ) {
    throw badRequest('domain', 'domain and direction (inbound, outbound, both) are needed');
  }
  const { world } = ctx;
  const entry = {
    id: world.newId(),
    domain: body.domain,
    direction: body.direction,
    enterpriseId: world.enterpriseId,
    createdAt: world.now(),
  };
  world.allowedDomains.set(entry.id, entry);
  return { status: 201, body: showDomain(entry) };
}

const listDomains = (ctx) => ({
  status: 200,
  body: {
    limit: LIST_MAX,
    next_marker: null,
    entries: [...ctx.world.allowedDomains.values()].map(showDomain),
  },
});

// ---- webhooks ----

const showHook = (hook) => ({
  type: 'webhook',
  id: hook.id,
  target: hook.target,
  created_by: shapes.userMini(hook.by),
  created_at: shapes.date(hook.createdAt),
  address: hook.address,
  triggers: hook.triggers,
});

function checkTarget(ctx, target) {
  if (
    !access.isObject(target) ||
    typeof target.id !== 'string' ||
    !['file', 'folder'].includes(target.type)
  ) {
    throw badRequest('target', 'type and id are needed');
  }
  if (target.type === 'folder' && target.id === '0') {
    throw badRequest('target', 'webhooks are not available on the root folder');
  }
  access.visible(ctx, target.type, target.id);
}

function checkAddress(address) {
  let url;
  try {
    url = new URL(address);
  } catch {
    throw badRequest('address', `Invalid value '${address}'`);
  }
  if (url.protocol !== 'https:' || (url.port !== '' && url.port !== '443')) {
    throw badRequest('address', 'must be HTTPS on port 443');
  }
}

function checkTriggers(triggers, target) {
  const isListed =
    Array.isArray(triggers) &&
    triggers.length > 0 &&
    triggers.every((x) => typeof x === 'string' && /^[A-Z_]+\.[A-Z_]+$/.test(x));
  if (!isListed) {
    throw badRequest('triggers', 'a list of triggers is needed');
  }
  if (target.type === 'file' && triggers.some((x) => /^(FOLDER|COLLABORATION)\./.test(x))) {
    throw badRequest('triggers', 'folder and collaboration triggers need a folder');
  }
}

function checkHook(ctx, { target, address, triggers }, self) {
  checkTarget(ctx, target);
  checkAddress(address);
  checkTriggers(triggers, target);
  const own = [...ctx.world.webhooks.values()].filter((h) => h.by === ctx.user && h !== self);
  if (own.some((h) => h.target.type === target.type && h.target.id === target.id)) {
    throw new BoxError(409, 'conflict', 'Webhook already exists on this item');
  }
  if (own.length >= WEBHOOKS_MAX) {
    throw badRequest('target', `at most ${WEBHOOKS_MAX} webhooks per user`);
  }
}

async function createHook(ctx) {
  const { target, address, triggers } = await ctx.json();
  checkHook(ctx, { target, address, triggers }, null);
  const hook = {
    id: ctx.world.newId(),
    target: { type: target.type, id: target.id },
    address,
    triggers,
    by: ctx.user,
    createdAt: ctx.world.now(),
  };
  ctx.world.webhooks.set(hook.id, hook);
  return { status: 201, body: showHook(hook) };
}

function findHook(ctx) {
  const hook = ctx.world.webhooks.get(ctx.params.webhook_id);
  if (!hook || hook.by !== ctx.user) {
    throw notFound('webhook', ctx.params.webhook_id);
  }
  return hook;
}

async function updateHook(ctx) {
  const hook = findHook(ctx);
  const {
    target = hook.target,
    address = hook.address,
    triggers = hook.triggers,
  } = await ctx.json();
  checkHook(ctx, { target, address, triggers }, hook);
  Object.assign(hook, { target: { type: target.type, id: target.id }, address, triggers });
  return { status: 200, body: showHook(hook) };
}

function deleteHook(ctx) {
  ctx.world.webhooks.delete(findHook(ctx).id);
  return { status: 204 };
}

function listHooks(ctx) {
  const limit = access.limitOf(ctx.query, 100, 200);
  const own = [...ctx.world.webhooks.values()].filter((h) => h.by === ctx.user).sort(shapes.byId);
  const { page, next } = access.pageByMarker(own, ctx.query, limit);
  return { status: 200, body: { limit, next_marker: next, entries: page.map(showHook) } };
}

const perItem = (type) => [
  ['PUT', `/2.0/${type}s/{${type}_id}/watermark`, putWatermark(type)],
  ['GET', `/2.0/${type}s/{${type}_id}/watermark`, getWatermark(type)],
  ['DELETE', `/2.0/${type}s/{${type}_id}/watermark`, deleteWatermark(type)],
  ['GET', `/2.0/${type}s/{${type}_id}/metadata`, listMeta(type)],
  ['POST', `/2.0/${type}s/{${type}_id}/metadata/{scope}/{template_key}`, createMeta(type)],
  ['GET', `/2.0/${type}s/{${type}_id}/metadata/{scope}/{template_key}`, getMeta(type)],
  ['PUT', `/2.0/${type}s/{${type}_id}/metadata/{scope}/{template_key}`, updateMeta(type)],
  ['DELETE', `/2.0/${type}s/{${type}_id}/metadata/{scope}/{template_key}`, deleteMeta(type)],
];

const routes = [
  ...perItem('file'),
  ...perItem('folder'),
  ['POST', '/2.0/folder_locks', createLock],
  ['GET', '/2.0/folder_locks', listLocks],
  ['DELETE', '/2.0/folder_locks/{folder_lock_id}', deleteLock],
  ['POST', '/2.0/collaboration_whitelist_entries', allowDomain],
  ['GET', '/2.0/collaboration_whitelist_entries', listDomains],
  ['POST', '/2.0/webhooks', createHook],
  ['GET', '/2.0/webhooks', listHooks],
  ['GET', '/2.0/webhooks/{webhook_id}', (ctx) => ({ status: 200, body: showHook(findHook(ctx)) })],
  ['PUT', '/2.0/webhooks/{webhook_id}', updateHook],
  ['DELETE', '/2.0/webhooks/{webhook_id}', deleteHook],
];

module.exports = { routes };
