// SPDX-License-Identifier: Apache-2.0
// Folders: create, read, change, list, delete, trash.
'use strict';
const { BoxError, badRequest, denied } = require('./errors');
const access = require('./access');
const links = require('./links');
const names = require('./names');
const shapes = require('./shapes');

const ITEMS_MAX = 1000;

const show = (ctx, node, status = 200) => ({
  status,
  body: shapes.item(ctx.world, node, ctx.user, ctx.query),
});

async function create(ctx) {
  const body = await ctx.json();
  const name = names.check(body.name, ctx.world);
  const parent = access.parentOf(ctx, body.parent);
  names.refuseTaken(ctx.world, parent, name, { asList: true });
  const folder = ctx.world.addNode('folder', name, parent, ctx.user);
  ctx.events.record(folder, ctx.user, { userType: 'ITEM_CREATE' });
  return show(ctx, folder, 201);
}

function get(ctx) {
  const folder = access.visible(ctx, 'folder', ctx.params.folder_id);
  return access.isUnchanged(ctx, folder) ? { status: 304 } : show(ctx, folder);
}

function listItems(ctx) {
  const { query, world } = ctx;
  const folder = access.visible(ctx, 'folder', ctx.params.folder_id);
  const limit = access.limitOf(query, 100, ITEMS_MAX);
  const one = (node) =>
    shapes.fieldList(query) ? shapes.item(world, node, ctx.user, query) : shapes.mini(node);
  const shared = folder.isRoot ? sharedWith(world, ctx.user) : [];
  if (query.get('usemarker') === 'true') {
    const all = [...folder.children.values(), ...shared].sort(shapes.byId);
    const { page, next } = access.pageByMarker(all, query, limit);
    return { status: 200, body: { entries: page.map(one), limit, next_marker: next } };
  }
  const offset = query.get('offset') || '0';
  if (!/^\d+$/.test(offset)) {
    throw badRequest('offset', `Invalid value '${offset}'`);
  }
  const sort = query.get('sort') || 'name';
  const direction = query.get('direction') || 'ASC';
  const all = [...shapes.sortedChildren(folder, sort, direction), ...shared];
  return {
    status: 200,
    body: {
      total_count: all.length,
      entries: all.slice(Number(offset), Number(offset) + limit).map(one),
      offset: Number(offset),
      limit,
      order: [
        { by: 'type', direction: 'ASC' },
        { by: sort, direction },
      ],
    },
  };
}

// "All Files" also shows what others have shared, save what was shared for access only.
function sharedWith(world, user) {
  const out = [];
  for (const collab of world.collabs.values()) {
    if (
      collab.user === user &&
      collab.status === 'accepted' &&
      !collab.isAccessOnly &&
      world.isLive(collab.node)
    ) {
      out.push(collab.node);
    }
  }
  return out;
}

const OWNER_FLAGS = {
  can_non_owners_invite: 'canNonOwnersInvite',
  can_non_owners_view_collaborators: 'canNonOwnersViewCollaborators',
  is_collaboration_restricted_to_enterprise: 'enterpriseOnly',
};

async function update(ctx) {
  const { world } = ctx;
  const folder = access.visible(ctx, 'folder', ctx.params.folder_id);
  const body = await ctx.json();
  access.checkMatch(ctx, folder);
  const flags = Object.fromEntries(Object.keys(OWNER_FLAGS).map((x) => [x, access.isFlag]));
  access.checkTypes(body, {
    ...flags,
    description: access.isDescription,
    tags: access.isTags,
    sync_state: access.isText,
  });
  const touched = Object.keys(body).filter((x) => x !== 'shared_link');
  if (touched.length > 0) {
    if (folder.isRoot) {
      throw denied();
    }
    access.need(ctx, folder, 'edit');
  }
  if (touched.some((x) => OWNER_FLAGS[x])) {
    access.need(ctx, folder, 'manage');
  }
  const setLink =
    body.shared_link === undefined ? null : links.prepare(ctx, folder, body.shared_link);
  const relocate = relocation(ctx, folder, body);
  for (const [name, member] of Object.entries(OWNER_FLAGS)) {
    if (body[name] !== undefined) {
      folder[member] = body[name];
    }
  }
  if (body.description !== undefined) {
    folder.description = body.description;
  }
  if (body.tags !== undefined) {
    folder.tags = body.tags;
  }
  if (body.sync_state !== undefined) {
    folder.syncState = body.sync_state;
  }
  relocate();
  if (touched.length > 0) {
    world.touch(folder, ctx.user);
  }
  if (setLink) {
    setLink();
  }
  return show(ctx, folder);
}

// Renaming and moving, for files as well: checks now, returns the function that does it.
function relocation(ctx, node, body) {
  const { world, events, user } = ctx;
  const name = body.name === undefined ? node.name : names.check(body.name, world);
  const parent =
    body.parent === undefined || body.parent === null
      ? node.parent
      : access.parentOf(ctx, body.parent);
  const isMove = parent !== node.parent;
  if (isMove) {
    for (let n = parent; n; n = n.parent) {
      if (n === node) {
        throw badRequest('parent', 'a folder cannot be moved into itself');
      }
    }
    refuseLocked(world, node, 'move');
  }
  if (name !== node.name || isMove) {
    names.refuseTaken(world, parent, name, { asList: node.type === 'folder', except: node });
  }
  return () => {
    if (name !== node.name) {
      world.rename(node, name);
      events.record(node, user, { userType: 'ITEM_RENAME', adminType: 'RENAME' });
    }
    if (isMove) {
      world.move(node, parent);
      events.record(node, user, { userType: 'ITEM_MOVE', adminType: 'MOVE' });
    }
  };
}

function refuseLocked(world, node, operation) {
  for (const lock of world.folderLocks.values()) {
    if (lock.node === node && lock.operations[operation]) {
      throw denied('A folder lock prevents this operation');
    }
  }
}

// Shared with files: to the trash, or gone at once where the enterprise has none.
function discard(ctx, node) {
  ctx.events.record(node, ctx.user, { userType: 'ITEM_TRASH', adminType: 'DELETE' });
  if (ctx.world.settings.delete_to_trash) {
    ctx.world.trashNode(node);
  } else {
    ctx.world.purgeNode(node);
  }
  return { status: 204 };
}

function remove(ctx) {
  const folder = access.visible(ctx, 'folder', ctx.params.folder_id);
  if (folder.isRoot) {
    throw denied('The root folder cannot be deleted');
  }
  access.need(ctx, folder, 'edit');
  if (folder.owner !== ctx.user && !ctx.world.rights(ctx.user, folder.parent).has('edit')) {
    throw denied(); // an editor of a shared folder empties it, but does not delete it
  }
  access.checkMatch(ctx, folder);
  refuseLocked(ctx.world, folder, 'delete');
  if (folder.children.size > 0 && ctx.query.get('recursive') !== 'true') {
    throw new BoxError(400, 'folder_not_empty', 'Cannot delete - folder not empty');
  }
  return discard(ctx, folder);
}

const trashGet = (type) => (ctx) => show(ctx, access.trashed(ctx, type, ctx.params[`${type}_id`]));

const trashPurge = (type) => (ctx) => {
  const node = access.trashed(ctx, type, ctx.params[`${type}_id`]);
  access.need(ctx, node, 'edit');
  if (!ctx.world.settings.purge_allowed) {
    throw denied('Permanent deletion is reserved for administrators');
  }
  ctx.world.purgeNode(node);
  return { status: 204 };
};

const restore = (type) => async (ctx) => {
  const node = access.trashed(ctx, type, ctx.params[`${type}_id`]);
  access.need(ctx, node, 'edit');
  const body = await ctx.json({ optional: true });
  const isHome = ctx.world.isLive(node.parent);
  // The old parent wins while it exists; the given one is the way out when it does not.
  const parent = isHome ? node.parent : access.parentOf(ctx, body.parent);
  const name = body.name === undefined ? node.name : names.check(body.name, ctx.world);
  names.refuseTaken(ctx.world, parent, name, { asList: type === 'folder' });
  ctx.world.restoreNode(node, parent, name);
  ctx.events.record(node, ctx.user, { userType: 'ITEM_UNDELETE_VIA_TRASH', adminType: 'UNDELETE' });
  return show(ctx, node, 201);
};

function trashItems(ctx) {
  const limit = access.limitOf(ctx.query, 100, ITEMS_MAX);
  const all = [...ctx.world.trash].filter((n) => n.owner === ctx.user).sort(shapes.byId);
  const { page, next } = access.pageByMarker(all, ctx.query, limit);
  return {
    status: 200,
    body: { total_count: all.length, entries: page.map(shapes.mini), limit, next_marker: next },
  };
}

const routes = [
  ['POST', '/2.0/folders', create],
  ['GET', '/2.0/folders/trash/items', trashItems],
  ['GET', '/2.0/folders/{folder_id}', get],
  ['PUT', '/2.0/folders/{folder_id}', update],
  ['POST', '/2.0/folders/{folder_id}', restore('folder')],
  ['DELETE', '/2.0/folders/{folder_id}', remove],
  ['GET', '/2.0/folders/{folder_id}/items', listItems],
  ['GET', '/2.0/folders/{folder_id}/trash', trashGet('folder')],
  ['DELETE', '/2.0/folders/{folder_id}/trash', trashPurge('folder')],
];

module.exports = { routes, relocation, discard, trashGet, trashPurge, restore };
