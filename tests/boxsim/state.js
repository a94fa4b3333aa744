// SPDX-License-Identifier: Apache-2.0
// The whole simulated enterprise as one JSON object, for tests to look at.  Collaborations name the
// login also while they are pending, and links show their password: a test needs what Box hides.
'use strict';
const { World } = require('./world');
const shapes = require('./shapes');

function pathOf(node) {
  const names = [];
  for (let n = node; n && !n.isRoot; n = n.parent) {
    names.unshift(n.name);
  }
  return `/${names.join('/')}`;
}

const link = (world, node) => {
  const shown = shapes.sharedLink(world, node);
  return (
    shown && { ...shown, item: { type: node.type, id: node.id }, password: node.link.password }
  );
};

function item(world, node) {
  const out = {
    id: node.id,
    name: node.name,
    parent: node.parent.id,
    path: pathOf(node),
    owner: node.owner.login,
    owner_id: node.owner.id,
    etag: String(node.etag),
    description: node.description,
    tags: node.tags,
    size: node.size,
    watermarked: Boolean(node.watermark),
    shared_link: link(world, node),
  };
  if (node.type === 'file') {
    return {
      ...out,
      sha1: World.current(node).sha1,
      versions: node.versions.length,
      can_download: node.downloadBy,
      content_created_at: shapes.date(node.contentCreatedAt),
      content_modified_at: shapes.date(node.contentModifiedAt),
    };
  }
  return {
    ...out,
    can_non_owners_invite: node.canNonOwnersInvite,
    can_non_owners_view_collaborators: node.canNonOwnersViewCollaborators,
    is_collaboration_restricted_to_enterprise: node.enterpriseOnly,
  };
}

const collab = (c) => ({
  id: c.id,
  item: { type: c.node.type, id: c.node.id },
  login: c.email,
  role: c.role,
  status: c.status,
  user_id: c.user ? c.user.id : null,
  is_access_only: c.isAccessOnly,
  can_view_path: c.canViewPath,
  expires_at: shapes.date(c.expiresAt),
  created_by: c.createdBy.login,
});

const session = (s) => ({
  id: s.id,
  folder: s.parent.id,
  file: s.file ? s.file.id : null,
  name: s.name || null,
  size: s.size,
  part_size: s.partSize,
  total_parts: s.totalParts,
  parts: s.parts.size,
  expires_at: shapes.dateUtc(s.expiresAt),
});

const user = (world, u) => ({
  id: u.id,
  name: u.name,
  login: u.login,
  managed: u.managed,
  service_account: u.service,
  space_amount: world.spaceAmount(u),
  space_used: u.spaceUsed,
});

// ?only=folders,files leaves the rest out; the events alone can be long.
function dump(sim, only) {
  const { world } = sim;
  const nodes = [...world.folders.values(), ...world.files.values()];
  const live = nodes.filter((n) => world.isLive(n));
  const away = nodes.filter((n) => !world.isLive(n));
  const pick = (list, type) => list.filter((n) => n.type === type).map((n) => item(world, n));
  const parts = {
    now: () => shapes.date(world.now()),
    enterprise_id: () => world.enterpriseId,
    users: () => [...world.users.values()].map((u) => user(world, u)),
    folders: () => pick(live, 'folder'),
    files: () => pick(live, 'file'),
    trash: () => ({ folders: pick(away, 'folder'), files: pick(away, 'file') }),
    collaborations: () => [...world.collabs.values()].map(collab),
    shared_links: () => live.filter((n) => world.liveLink(n)).map((n) => link(world, n)),
    invitations: () => world.invitations,
    upload_sessions: () => [...sim.sessions.values()].map(session),
    webhooks: () =>
      [...world.webhooks.values()].map((h) => ({
        id: h.id,
        target: h.target,
        address: h.address,
        triggers: h.triggers,
        user_id: h.by.id,
      })),
    events: () => sim.events.dump().events,
    admin_events: () => sim.events.dump().admin_events,
    violations: () => sim.traffic.violations,
  };
  const names = only ? only.split(',') : Object.keys(parts);
  return Object.fromEntries(names.filter((x) => parts[x]).map((x) => [x, parts[x]()]));
}

module.exports = { dump };
