// SPDX-License-Identifier: Apache-2.0
// Shared links: one per item, set as a state by PUT on the item.
'use strict';
const crypto = require('crypto');
const { BoxError, badRequest, missing, denied, notFound } = require('./errors');
const access = require('./access');
const shapes = require('./shapes');
const { LEVELS } = require('./settings');

const PASSWORD_MIN = 8;
const VANITY_MIN = 12;

const newToken = () =>
  crypto
    .randomBytes(24)
    .toString('base64')
    .replace(/[^A-Za-z0-9]/g, 'q')
    .toLowerCase();

function checkPassword(password, level) {
  if (level !== 'open') {
    throw badRequest('password', 'Passwords can only be set on open shared links');
  }
  const isStrong = password.length >= PASSWORD_MIN && /[0-9A-Z]|[^A-Za-z0-9]/.test(password);
  if (!isStrong) {
    throw badRequest(
      'password',
      'must have 8 characters or more, among them a digit, an upper case letter or a special one'
    );
  }
}

function checkPermissions(permissions, level, node) {
  access.checkTypes(permissions, {
    can_download: access.isFlag,
    can_preview: access.isFlag,
    can_edit: access.isFlag,
  });
  if (permissions.can_download !== undefined && level === 'collaborators') {
    throw badRequest('permissions.can_download', 'can only be set for open and company links');
  }
  if (permissions.can_preview === false) {
    throw badRequest('permissions.can_preview', 'must be true');
  }
  if (permissions.can_edit && node.type !== 'file') {
    throw badRequest('permissions.can_edit', 'can only be set for files');
  }
  if (permissions.can_edit && permissions.can_download === false) {
    throw badRequest('permissions.can_download', 'must be true when can_edit is');
  }
}

// Everything is checked before the first change, so that a refused link leaves the item as it was.
// Returns the function that makes the change.
function prepare(ctx, node, spec) {
  const { world } = ctx;
  if (node.isRoot) {
    throw denied('The root folder cannot be shared');
  }
  access.need(ctx, node, 'share');
  if (spec === null) {
    return () => remove(ctx, node);
  }
  if (!access.isObject(spec)) {
    throw badRequest('shared_link', 'an object or null is expected');
  }
  access.checkTypes(spec, {
    access: (v) => LEVELS.includes(v),
    password: (v) => v === null || access.isText(v),
    unshared_at: (v) => v === null || access.isDate(v),
    vanity_name: (v) => v === null || access.isText(v),
    permissions: access.isObject,
  });
  const old = world.liveLink(node);
  const level =
    spec.access || (old ? old.access : world.settings.allowed_shared_link_access_levels[0]);
  if (typeof spec.password === 'string') {
    checkPassword(spec.password, level);
  }
  const permissions = spec.permissions || {};
  checkPermissions(permissions, level, node);
  const unsharedAt = spec.unshared_at ? Date.parse(spec.unshared_at) : null;
  if (unsharedAt !== null && unsharedAt <= world.now()) {
    throw badRequest('unshared_at', 'must be in the future');
  }
  if (unsharedAt !== null && !world.settings.paid_plan) {
    throw new BoxError(403, 'forbidden', 'Expiring shared links need a paid account');
  }
  if (spec.vanity_name) {
    checkVanity(world, node, spec.vanity_name);
  }
  return () => apply(ctx, node, { level, spec, permissions, unsharedAt });
}

function checkVanity(world, node, name) {
  if (name.length < VANITY_MIN || !/^[A-Za-z0-9_-]+$/.test(name)) {
    throw badRequest('vanity_name', `must have ${VANITY_MIN} characters or more`);
  }
  for (const link of world.linksByToken.values()) {
    if (link.node !== node && link.vanityName === name) {
      throw new BoxError(409, 'shared_link_vanity_name_in_use', 'The vanity name is in use');
    }
  }
}

function apply(ctx, node, { level, spec, permissions, unsharedAt }) {
  const { world, events, user } = ctx;
  const isNew = !world.liveLink(node);
  if (isNew) {
    if (node.link) {
      world.dropLink(node);
    }
    node.link = {
      token: newToken(),
      node,
      downloads: 0,
      previews: 0,
      password: null,
      unsharedAt: null,
      vanityName: null,
      canDownload: true,
      canEdit: false,
    };
    world.linksByToken.set(node.link.token, node.link);
  }
  const { link } = node;
  link.access = level;
  if (spec.password !== undefined) {
    link.password = spec.password;
  }
  if (level !== 'open') {
    link.password = null; // only open links have one
  }
  if (spec.unshared_at !== undefined) {
    link.unsharedAt = unsharedAt;
    world.due(unsharedAt === null ? Infinity : unsharedAt);
  }
  if (spec.vanity_name !== undefined) {
    link.vanityName = spec.vanity_name;
  }
  if (permissions.can_download !== undefined) {
    link.canDownload = permissions.can_download;
  }
  if (permissions.can_edit !== undefined) {
    link.canEdit = permissions.can_edit;
  }
  if (level === 'collaborators') {
    link.canDownload = true; // not a matter of the link: the collaborator's role decides
    link.canEdit = false;
  }
  events.record(
    node,
    user,
    isNew
      ? { userType: 'ITEM_SHARED_CREATE', adminType: 'SHARE' }
      : { userType: 'ITEM_SHARED_UPDATE', adminType: 'ITEM_SHARED_UPDATE' }
  );
}

function remove(ctx, node) {
  if (node.link) {
    ctx.world.dropLink(node);
    ctx.events.record(node, ctx.user, { userType: 'ITEM_SHARED_UNSHARE', adminType: 'UNSHARE' });
  }
}

// What a link on the item or above it lets this person do; collaborators' links open nothing.
function rightsByLink(world, node, user, password) {
  for (let n = node; n && !n.isRoot; n = n.parent) {
    const link = world.liveLink(n);
    const level = link && world.effectiveAccess(link);
    const isOpen = level === 'open' && (!link.password || link.password === password);
    if (isOpen || (level === 'company' && user.managed)) {
      const isBarred = node.type === 'file' && node.downloadBy === 'company' && !user.managed;
      return {
        link,
        rights: new Set(
          link.canDownload && !isBarred ? ['see', 'preview', 'download'] : ['see', 'preview']
        ),
      };
    }
  }
  return { link: null, rights: new Set() };
}

// GET /shared_items with the header BoxApi: shared_link=URL&shared_link_password=…
function resolve(ctx) {
  const given = /(?:^|&)shared_link=([^&]+)/.exec(ctx.headers.boxapi || '');
  if (!given) {
    throw missing('shared_link');
  }
  const url = decodeURIComponent(given[1]);
  const link = ctx.world.linksByToken.get(url.split('/').pop());
  if (!link || !ctx.world.isLive(link.node) || !ctx.world.liveLink(link.node)) {
    throw notFound('shared_link', url);
  }
  const word = /(?:^|&)shared_link_password=([^&]+)/.exec(ctx.headers.boxapi);
  const password = word ? decodeURIComponent(word[1]) : undefined;
  const { node } = link;
  const isAllowed =
    ctx.world.rights(ctx.user, node).has('see') ||
    rightsByLink(ctx.world, node, ctx.user, password).rights.has('see');
  if (!isAllowed) {
    if (ctx.world.effectiveAccess(link) === 'open' && link.password) {
      throw new BoxError(403, 'incorrect_shared_item_password', 'Incorrect password');
    }
    throw notFound('shared_link', url);
  }
  return { status: 200, body: shapes.item(ctx.world, node, ctx.user, ctx.query) };
}

module.exports = { prepare, rightsByLink, resolve };
