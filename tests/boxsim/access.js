// SPDX-License-Identifier: Apache-2.0
// From an id in a request to an item the user may see, and the checks that every call shares.
'use strict';
const { BoxError, badRequest, notFound, denied, preconditionFailed } = require('./errors');

// An id that is no decimal string is not "unknown": Box answers 405.
function checkIdForm(type, id) {
  if (!/^\d+$/.test(id)) {
    throw new BoxError(
      405,
      'method_not_allowed',
      `Method Not Allowed: '${id}' is not a ${type} id`
    );
  }
}

function visible(ctx, type, id) {
  checkIdForm(type, id);
  const node = ctx.world.find(type, id, ctx.user);
  if (!node || ctx.world.rights(ctx.user, node).size === 0) {
    throw notFound(type, id);
  }
  if (!ctx.world.isLive(node)) {
    throw new BoxError(404, 'trashed', 'Item is trashed');
  }
  return node;
}

// Only what was itself deleted can be addressed in the trash, not what went with it.
function trashed(ctx, type, id) {
  checkIdForm(type, id);
  const node = ctx.world.find(type, id, ctx.user);
  if (!node || ctx.world.rights(ctx.user, node).size === 0) {
    throw notFound(type, id);
  }
  if (node.status !== 'trashed') {
    throw new BoxError(404, 'not_trashed', 'Item is not trashed');
  }
  return node;
}

function need(ctx, node, right) {
  if (!ctx.world.rights(ctx.user, node).has(right)) {
    throw denied();
  }
  return node;
}

// A parent as given in a body: {"id": "…"}, and never a number.
function parentOf(ctx, parent, right = 'upload') {
  if (parent === null || typeof parent !== 'object' || typeof parent.id !== 'string') {
    throw badRequest('parent', 'parent.id must be a string', 'missing_parameter');
  }
  if (!/^\d+$/.test(parent.id)) {
    throw notFound('folder', parent.id);
  }
  return need(ctx, visible(ctx, 'folder', parent.id), right);
}

function checkMatch(ctx, node) {
  const wanted = ctx.headers['if-match'];
  if (wanted !== undefined && wanted.replace(/^"|"$/g, '') !== String(node.etag)) {
    throw preconditionFailed();
  }
}

const isUnchanged = (ctx, node) => {
  const known = ctx.headers['if-none-match'];
  return known !== undefined && known.replace(/^"|"$/g, '') === String(node.etag);
};

const isObject = (v) => v !== null && typeof v === 'object' && !Array.isArray(v);

// Optional members of a body: name -> test; anything else of that name is a bad request.
function checkTypes(body, tests) {
  for (const [name, test] of Object.entries(tests)) {
    if (body[name] !== undefined && !test(body[name])) {
      throw badRequest(name, `Invalid value '${JSON.stringify(body[name])}'`);
    }
  }
}

const isText = (v) => typeof v === 'string';
const isFlag = (v) => typeof v === 'boolean';
const isDate = (v) =>
  isText(v) &&
  /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(v) &&
  !Number.isNaN(Date.parse(v));

const DESCRIPTION_MAX = 256;
const isDescription = (v) => isText(v) && [...v].length <= DESCRIPTION_MAX;
const isTags = (v) => Array.isArray(v) && v.every(isText);

function limitOf(query, fallback, max) {
  const text = query.get('limit');
  if (text === null) {
    return fallback;
  }
  if (!/^\d+$/.test(text) || Number(text) > max) {
    throw badRequest('limit', `must be a number up to ${max}`);
  }
  return Number(text) || fallback;
}

// Pages by marker over a list in the order of ids.  The marker holds the last id seen, so that
// items which come or go between two pages neither shift nor repeat the rest.
function pageByMarker(list, query, limit) {
  const marker = query.get('marker');
  let rest = list;
  if (marker) {
    const last = Buffer.from(marker, 'base64url').toString('latin1');
    if (!/^\d+$/.test(last)) {
      throw badRequest('marker', `Invalid value '${marker}'`);
    }
    rest = list.filter(
      (x) => x.id.length > last.length || (x.id.length === last.length && x.id > last)
    );
  }
  const page = rest.slice(0, limit);
  const hasMore = rest.length > page.length;
  return {
    page,
    next: hasMore ? Buffer.from(page[page.length - 1].id).toString('base64url') : null,
  };
}

module.exports = {
  visible,
  trashed,
  need,
  parentOf,
  checkMatch,
  isUnchanged,
  checkTypes,
  isObject,
  isText,
  isFlag,
  isDate,
  isDescription,
  isTags,
  limitOf,
  pageByMarker,
};
