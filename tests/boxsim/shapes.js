// SPDX-License-Identifier: Apache-2.0
// How things look on the wire.  An item has a mini form (inside other objects), a standard form
// (the default reply) and fields that come only when ?fields= names them; with ?fields= the reply
// is the mini form and the named fields, nothing else.
'use strict';
const { World, UNLIMITED } = require('./world');
const settings = require('./settings');

const ZONE_MS = 8 * 3600 * 1000;
const UNLIMITED_SPACE = 999999999999999; // what Box shows for "no limit"
const ITEMS_IN_FOLDER = 100;

// Box's own servers live on Pacific time and say so; a client must read the offset.
const date = (ms) =>
  ms === null || ms === undefined
    ? null
    : `${new Date(ms - ZONE_MS).toISOString().slice(0, 19)}-08:00`;
const dateUtc = (ms) => `${new Date(ms).toISOString().slice(0, 19)}Z`;

const userMini = (user) => ({ type: 'user', id: user.id, name: user.name, login: user.login });

const noUser = () => ({ type: 'user', id: '', name: '', login: '' });

const versionMini = (version) => ({ type: 'file_version', id: version.id, sha1: version.sha1 });

function mini(node) {
  if (node.isRoot) {
    return { type: 'folder', id: '0', sequence_id: null, etag: null, name: node.name };
  }
  const etag = String(node.etag);
  if (node.type === 'folder') {
    return { type: 'folder', id: node.id, sequence_id: etag, etag, name: node.name };
  }
  const version = World.current(node);
  return {
    type: 'file',
    id: node.id,
    file_version: versionMini(version),
    sequence_id: etag,
    etag,
    sha1: version.sha1,
    name: node.name,
  };
}

function sharedLink(world, node) {
  const link = world.liveLink(node);
  if (!link) {
    return null;
  }
  const access = world.effectiveAccess(link);
  const isFile = node.type === 'file';
  const extension = isFile && node.name.includes('.') ? `.${node.name.split('.').pop()}` : '';
  let permission = 'can_download';
  if (link.canEdit) {
    permission = 'can_edit';
  } else if (!link.canDownload) {
    permission = 'can_preview';
  }
  return {
    url: `https://app.box.com/s/${link.token}`,
    download_url:
      isFile && access === 'open' && link.canDownload
        ? `https://app.box.com/shared/static/${link.token}${extension}`
        : null,
    vanity_url: link.vanityName ? `https://app.box.com/v/${link.vanityName}` : null,
    vanity_name: link.vanityName,
    access: link.access,
    effective_access: access,
    effective_permission: permission,
    is_password_enabled: Boolean(link.password),
    unshared_at: date(link.unsharedAt),
    download_count: link.downloads,
    preview_count: link.previews,
    permissions: { can_preview: true, can_download: link.canDownload, can_edit: link.canEdit },
  };
}

function pathCollection(world, node, user) {
  const entries = [];
  for (let n = node.parent; n; n = n.parent) {
    if (n.owner !== user && world.rights(user, n).size === 0) {
      break; // a collaborator sees the path only from where the sharing starts
    }
    entries.unshift(mini(n));
  }
  return { total_count: entries.length, entries };
}

function permissions(world, node, user) {
  const rights = world.rights(user, node);
  const has = (x) => rights.has(x);
  const common = {
    can_download: has('download'),
    can_upload: has('upload'),
    can_rename: has('edit'),
    can_delete: has('edit'),
    can_share: has('share'),
    can_invite_collaborator: has('invite'),
    can_set_share_access: has('manage') || has('own'),
    can_apply_watermark: has('edit'),
  };
  return node.type === 'folder'
    ? common
    : {
        ...common,
        can_preview: has('preview'),
        can_comment: has('preview'),
        can_annotate: has('upload'),
        can_view_annotations_all: has('preview'),
        can_view_annotations_self: has('preview'),
      };
}

const orNoUser = (user) => (user ? userMini(user) : noUser());

const COMMON = {
  description: (w, n) => n.description || '',
  size: (w, n) => n.size,
  path_collection: (w, n, u) => pathCollection(w, n, u),
  created_at: (w, n) => date(n.createdAt),
  modified_at: (w, n) => date(n.modifiedAt),
  trashed_at: (w, n) => date(n.trashedAt),
  purged_at: () => null,
  content_created_at: (w, n) => date(n.contentCreatedAt),
  content_modified_at: (w, n) => date(n.contentModifiedAt),
  created_by: (w, n) => orNoUser(n.createdBy),
  modified_by: (w, n) => orNoUser(n.modifiedBy),
  owned_by: (w, n) => userMini(n.owner),
  shared_link: (w, n) => (n.status === 'active' ? sharedLink(w, n) : null),
  parent: (w, n) => (n.parent ? mini(n.parent) : null),
  item_status: (w, n) => n.status,
};

const watermarkInfo = (world, node) => {
  const how = world.isWatermarked(node);
  return {
    is_watermarked: how !== null,
    is_watermark_inherited: how === 'inherited',
    is_watermarked_by_access_policy: false,
  };
};

const EXTRA = {
  tags: (w, n) => n.tags,
  permissions,
  has_collaborations: (w, n) => n.collabs.size > 0,
  is_externally_owned: (w, n, u) => u.managed !== n.owner.managed,
  is_accessible_via_shared_link: (w, n) => {
    for (let x = n; x; x = x.parent) {
      if (w.liveLink(x)) {
        return true;
      }
    }
    return false;
  },
  watermark_info: watermarkInfo,
  classification: () => null,
  is_associated_with_app_item: () => false,
};

const FOLDER = {
  standard: {
    ...COMMON,
    folder_upload_email: () => null,
    item_collection: (w, n, u, q) => items(w, n, q),
  },
  extra: {
    ...EXTRA,
    sync_state: (w, n) => n.syncState || 'not_synced',
    can_non_owners_invite: (w, n) => (n.isRoot ? true : n.canNonOwnersInvite),
    can_non_owners_view_collaborators: (w, n) =>
      n.isRoot ? true : n.canNonOwnersViewCollaborators,
    is_collaboration_restricted_to_enterprise: (w, n) => Boolean(n.enterpriseOnly),
    // The root can never be shared, hence its empty list.
    allowed_shared_link_access_levels: (w, n) =>
      n.isRoot
        ? []
        : settings.LEVELS.filter((x) => w.settings.allowed_shared_link_access_levels.includes(x)),
    allowed_invitee_roles: () => [
      'editor',
      'viewer',
      'previewer',
      'uploader',
      'previewer uploader',
      'viewer uploader',
      'co-owner',
    ],
  },
};

const FILE = {
  standard: COMMON,
  extra: {
    ...EXTRA,
    version_number: (w, n) => String(n.versions.length),
    comment_count: () => 0,
    extension: (w, n) => (n.name.includes('.') ? n.name.split('.').pop() : ''),
    is_package: () => false,
    lock: (w, n) =>
      n.lock && {
        type: 'lock',
        id: n.lock.id,
        created_by: userMini(n.lock.by),
        created_at: date(n.lock.createdAt),
        expired_at: date(n.lock.expiresAt),
        is_download_prevented: n.lock.preventsDownload,
      },
    expires_at: () => null,
    disposition_at: () => null,
    allowed_invitee_roles: () => ['editor', 'viewer'],
    shared_link_permission_options: () => ['can_preview', 'can_download', 'can_edit'],
    uploader_display_name: (w, n) => (n.createdBy ? n.createdBy.name : ''),
  },
};

function fieldList(query) {
  const fields = query
    .getAll('fields')
    .flatMap((x) => x.split(','))
    .map((x) => x.trim());
  return query.has('fields') ? fields.filter(Boolean) : null;
}

function item(world, node, user, query) {
  const kind = node.type === 'folder' ? FOLDER : FILE;
  const fields = query && fieldList(query);
  const out = mini(node);
  if (fields) {
    for (const name of fields) {
      const make = kind.standard[name] || kind.extra[name];
      if (make) {
        out[name] = make(world, node, user, query);
      }
    }
    return out;
  }
  for (const [name, make] of Object.entries(kind.standard)) {
    out[name] = make(world, node, user, query);
  }
  return out;
}

const byId = (a, b) => a.id.length - b.id.length || (a.id < b.id ? -1 : 1);

// Folders before files, each by name, as Box orders by default.
function sortedChildren(folder, sort = 'name', direction = 'ASC') {
  const keys = {
    id: byId,
    name: (a, b) => (World.key(a.name) < World.key(b.name) ? -1 : 1),
    date: (a, b) => a.modifiedAt - b.modifiedAt || byId(a, b),
    size: (a, b) => a.size - b.size || byId(a, b),
  };
  const compare = keys[sort] || keys.name;
  const sign = /^desc$/i.test(direction) ? -1 : 1;
  return [...folder.children.values()].sort((a, b) =>
    a.type === b.type ? sign * compare(a, b) : a.type === 'folder' ? -1 : 1
  );
}

function items(world, folder, query) {
  const get = (name) => (query ? query.get(name) : null);
  const offset = Number(get('offset') || 0) || 0;
  const limit = Number(get('limit') || ITEMS_IN_FOLDER) || ITEMS_IN_FOLDER;
  const all = sortedChildren(folder, get('sort') || 'name', get('direction') || 'ASC');
  return {
    total_count: all.length,
    entries: all.slice(offset, offset + limit).map(mini),
    offset,
    limit,
    order: [
      { by: 'type', direction: 'ASC' },
      { by: 'name', direction: 'ASC' },
    ],
  };
}

function user(world, person, query) {
  const amount = world.spaceAmount(person);
  const standard = {
    name: person.name,
    login: person.login,
    created_at: date(person.createdAt),
    modified_at: date(person.modifiedAt || person.createdAt),
    language: 'en',
    timezone: 'America/Los_Angeles',
    space_amount: amount === UNLIMITED ? UNLIMITED_SPACE : amount,
    space_used: person.spaceUsed,
    max_upload_size: world.settings.max_file_size,
    status: person.rest.status || 'active',
    job_title: person.rest.job_title || '',
    phone: person.rest.phone || '',
    address: person.rest.address || '',
    avatar_url: `https://app.box.com/api/avatar/large/${person.id}`,
    notification_email: null,
  };
  const extra = {
    role: 'user',
    tracking_codes: [],
    can_see_managed_users: true,
    is_sync_enabled: false,
    is_external_collab_restricted: false,
    is_exempt_from_device_limits: false,
    is_exempt_from_login_verification: false,
    enterprise: person.managed
      ? { type: 'enterprise', id: world.enterpriseId, name: 'Fumibako test enterprise' }
      : null,
    my_tags: [],
    hostname: 'https://app.box.com/',
    is_platform_access_only: person.service,
    external_app_user_id: person.rest.external_app_user_id || '',
  };
  const fields = query && fieldList(query);
  const out = { type: 'user', id: person.id };
  if (!fields) {
    return { ...out, ...standard };
  }
  for (const name of fields) {
    if (name in standard || name in extra) {
      out[name] = name in standard ? standard[name] : extra[name];
    }
  }
  return out;
}

module.exports = {
  date,
  dateUtc,
  userMini,
  mini,
  item,
  items,
  user,
  sharedLink,
  versionMini,
  watermarkInfo,
  fieldList,
  sortedChildren,
  byId,
};
