// SPDX-License-Identifier: Apache-2.0
// The simulated enterprise: people, the tree of folders and files, who may do what.  No HTTP here.
//
// Invariants
//  1. An item is live when it and all its ancestors are active; whatever hangs below a trashed
//     folder is out of reach without being marked itself.
//  2. A trashed item is detached from its parent's children (its name is free again) but remembers
//     the parent for restoring; it keeps counting against the owner's space until it is purged.
//  3. node.size of a folder is the sum of what is attached below it.
//  4. Permissions flow down only: a collaboration on a folder opens what is below, nothing above.
'use strict';
const crypto = require('crypto');
const settings = require('./settings');

const DAY_MS = 24 * 3600 * 1000;
const SERVICE_ID = '11446498';
const ANONYMOUS_ID = '2'; // whom Box names when nobody was logged in
const UNLIMITED = -1;

// What each role may do on the item and below.
const ROLES = {
  owner: ['see', 'preview', 'download', 'upload', 'edit', 'share', 'invite', 'own', 'manage'],
  'co-owner': ['see', 'preview', 'download', 'upload', 'edit', 'share', 'invite', 'manage'],
  editor: ['see', 'preview', 'download', 'upload', 'edit', 'share', 'invite'],
  'viewer uploader': ['see', 'preview', 'download', 'upload', 'share'],
  'previewer uploader': ['see', 'preview', 'upload'],
  viewer: ['see', 'preview', 'download', 'share'],
  previewer: ['see', 'preview'],
  uploader: ['see', 'upload'],
};
const FILE_ROLES = ['editor', 'viewer'];

class World {
  constructor({ enterpriseId, userCount, store }) {
    this.enterpriseId = enterpriseId;
    this.store = store;
    this.settings = settings.defaults();
    this.clockOffset = 0;
    this.startedAt = Date.now();
    this.lastId = 310000000000; // as long as Box's own, so that nobody keeps them in 32 bits
    this.users = new Map();
    this.logins = new Map();
    this.folders = new Map();
    this.files = new Map();
    this.collabs = new Map();
    this.linksByToken = new Map();
    this.trash = new Set();
    this.webhooks = new Map();
    this.folderLocks = new Map();
    this.allowedDomains = new Map();
    this.invitations = [];
    this.nextDue = Infinity;
    this.onExpire = () => {};
    const random = crypto.randomBytes(5).toString('hex');
    this.service = this.addUser({
      id: SERVICE_ID,
      name: 'Fumibako service',
      login: `AutomationUser_1_${random}@boxdevedition.com`,
      managed: true,
      service: true,
    });
    for (let i = 1; i <= userCount; i += 1) {
      this.addUser({
        id: String(21000000000 + i),
        name: `Pool ${i}`,
        login: `pool-${i}@fumibako.example`,
        managed: true,
      });
    }
    this.anonymous = { id: ANONYMOUS_ID, name: 'Anonymous User', login: '', managed: false };
  }

  now() {
    return Date.now() + this.clockOffset;
  }

  newId() {
    this.lastId += 1;
    return String(this.lastId);
  }

  // ---- people ----

  addUser({ id, name, login, managed, service = false }) {
    const user = {
      id: id || this.newId(),
      name,
      login,
      managed,
      service,
      createdAt: this.now(),
      spaceAmount: null,
      spaceUsed: 0,
      root: null,
      rest: {},
    };
    user.root = {
      type: 'folder',
      id: '0',
      isRoot: true,
      name: 'All Files',
      parent: null,
      owner: user,
      etag: 0,
      children: new Map(),
      size: 0,
      status: 'active',
      collabs: new Map(),
      link: null,
      tags: [],
    };
    this.users.set(user.id, user);
    this.logins.set(login.toLowerCase(), user);
    return user;
  }

  spaceAmount(user) {
    return user.spaceAmount === null ? this.settings.quota_bytes : user.spaceAmount;
  }

  hasRoomFor(user, bytes) {
    const amount = this.spaceAmount(user);
    return amount === UNLIMITED || user.spaceUsed + bytes <= amount;
  }

  // Every address has a Box account unless it says otherwise by its name or a test did.
  accountExists(login) {
    const key = login.toLowerCase();
    if (this.logins.has(key)) {
      return true;
    }
    const told = this.settings.accounts[key];
    if (told !== undefined) {
      return typeof told === 'boolean' ? told : told.exists !== false;
    }
    return !/pending|noaccount/.test(key.split('@')[0]);
  }

  account(login) {
    const known = this.logins.get(login.toLowerCase());
    if (known) {
      return known;
    }
    return this.accountExists(login) ? this.createAccount(login) : null;
  }

  createAccount(login) {
    return this.addUser({ name: login.split('@')[0], login, managed: false });
  }

  hasSecondFactor(user) {
    const told = this.settings.accounts[user.login.toLowerCase()];
    return !(told && told.mfa === false);
  }

  needsSecondFactor(user) {
    const {
      external_mfa_state: state,
      external_mfa_domains: domains,
      external_mfa_emails: emails,
    } = this.settings;
    if (user.managed || state === 'disabled') {
      return false;
    }
    const login = user.login.toLowerCase();
    const listed =
      emails.some((x) => x.toLowerCase() === login) ||
      domains.some((x) => login.endsWith(`@${x.toLowerCase()}`));
    if (state === 'denylist') {
      return listed;
    }
    return state === 'enabled' || !listed;
  }

  // ---- the tree ----

  find(type, id, user) {
    if (type === 'folder' && id === '0') {
      return user.root;
    }
    return (type === 'folder' ? this.folders : this.files).get(id) || null;
  }

  isLive(node) {
    for (let n = node; n; n = n.parent) {
      if (n.status !== 'active') {
        return false;
      }
      if (n.isRoot) {
        return true;
      }
    }
    return false;
  }

  static key(name) {
    return name.toLowerCase();
  }

  childNamed(folder, name) {
    return folder.children.get(World.key(name)) || null;
  }

  addNode(type, name, parent, by, times = {}) {
    const now = this.now();
    const node = {
      type,
      id: this.newId(),
      isRoot: false,
      name,
      parent: null,
      owner: parent.owner,
      etag: 0,
      status: 'active',
      createdAt: now,
      modifiedAt: now,
      createdBy: by,
      modifiedBy: by,
      contentCreatedAt: times.created || now,
      contentModifiedAt: times.modified || now,
      description: '',
      tags: [],
      collabs: new Map(),
      link: null,
      watermark: null,
      metadata: new Map(),
      size: 0,
      trashedAt: null,
      purgesAt: null,
    };
    if (type === 'folder') {
      Object.assign(node, {
        children: new Map(),
        canNonOwnersInvite: true,
        canNonOwnersViewCollaborators: true,
        enterpriseOnly: false,
        syncState: 'not_synced',
      });
      this.folders.set(node.id, node);
    } else {
      Object.assign(node, { versions: [], lock: null, downloadBy: 'open' });
      this.files.set(node.id, node);
    }
    this.attach(node, parent);
    return node;
  }

  attach(node, parent) {
    node.parent = parent;
    parent.children.set(World.key(node.name), node);
    World.grow(parent, node.size);
  }

  detach(node) {
    node.parent.children.delete(World.key(node.name));
    World.grow(node.parent, -node.size);
  }

  static grow(folder, bytes) {
    for (let n = folder; n; n = n.parent) {
      n.size += bytes;
      if (n.status === 'trashed') {
        return; // detached: what is above does not count it any more
      }
    }
  }

  rename(node, name) {
    node.parent.children.delete(World.key(node.name));
    node.name = name;
    node.parent.children.set(World.key(name), node);
  }

  move(node, parent) {
    this.detach(node);
    this.attach(node, parent);
    if (parent.owner !== node.owner) {
      this.changeOwner(node, parent.owner);
    }
  }

  changeOwner(node, owner) {
    for (const n of this.below(node)) {
      const bytes = World.ownBytes(n);
      n.owner.spaceUsed -= bytes;
      owner.spaceUsed += bytes;
      n.owner = owner;
    }
  }

  // The node and everything attached below it.
  *below(node) {
    yield node;
    if (node.children) {
      for (const child of node.children.values()) {
        yield* this.below(child);
      }
    }
  }

  static ownBytes(node) {
    return node.versions ? node.versions.reduce((sum, v) => sum + v.size, 0) : 0;
  }

  addVersion(file, content, by, modified) {
    const version = { id: this.newId(), ...content, createdAt: this.now(), by, name: file.name };
    file.versions.push(version);
    file.owner.spaceUsed += version.size;
    World.grow(file.parent, version.size - file.size);
    file.size = version.size;
    file.modifiedAt = this.now();
    file.modifiedBy = by;
    file.contentModifiedAt = modified || this.now();
    return version;
  }

  static current(file) {
    return file.versions[file.versions.length - 1];
  }

  touch(node, by) {
    node.etag += 1;
    node.modifiedAt = this.now();
    node.modifiedBy = by;
  }

  trashNode(node) {
    this.detach(node);
    node.status = 'trashed';
    node.trashedAt = this.now();
    node.purgesAt = this.now() + this.settings.trash_days * DAY_MS;
    this.trash.add(node);
    this.due(node.purgesAt);
  }

  restoreNode(node, parent, name) {
    this.trash.delete(node);
    node.status = 'active';
    node.trashedAt = null;
    node.purgesAt = null;
    node.name = name;
    this.attach(node, parent);
    if (parent.owner !== node.owner) {
      this.changeOwner(node, parent.owner);
    }
  }

  // Gone for good: content, collaborations and links with it.
  purgeNode(node) {
    this.trash.delete(node);
    if (node.status === 'active') {
      this.detach(node);
    }
    for (const n of [...this.below(node)]) {
      for (const collab of n.collabs.values()) {
        this.collabs.delete(collab.id);
      }
      if (n.link) {
        this.linksByToken.delete(n.link.token);
      }
      n.owner.spaceUsed -= World.ownBytes(n);
      for (const version of n.versions || []) {
        this.store.free(version.segments);
      }
      n.status = 'deleted';
      (n.type === 'folder' ? this.folders : this.files).delete(n.id);
    }
  }

  // ---- rights ----

  // The union of what the user's roles on the item and its ancestors allow; empty when there are
  // none.
  rights(user, node) {
    if (node.owner === user) {
      return new Set(ROLES.owner);
    }
    const rights = new Set();
    for (let n = node; n; n = n.parent) {
      for (const collab of n.collabs.values()) {
        if (collab.user === user && collab.status === 'accepted') {
          ROLES[collab.role].forEach((x) => rights.add(x));
          if (
            collab.role === 'editor' &&
            n.type === 'folder' &&
            !(n.canNonOwnersInvite && n.canNonOwnersViewCollaborators)
          ) {
            rights.delete('invite');
          }
        }
      }
    }
    if (node.type === 'file' && node.downloadBy === 'company' && !user.managed) {
      rights.delete('download');
    }
    return rights;
  }

  isWatermarked(node) {
    for (let n = node; n; n = n.parent) {
      if (n.watermark) {
        return n === node ? 'own' : 'inherited';
      }
    }
    return null;
  }

  liveLink(node) {
    const { link } = node;
    return link && !(link.unsharedAt && link.unsharedAt <= this.now()) ? link : null;
  }

  effectiveAccess(link) {
    const allowed = this.settings.allowed_shared_link_access_levels;
    const wanted = settings.LEVELS.indexOf(link.access);
    const narrower = settings.LEVELS.slice(wanted).find((x) => allowed.includes(x));
    // Nothing as narrow is allowed: the narrowest that is.
    return (
      narrower ||
      settings.LEVELS.slice()
        .reverse()
        .find((x) => allowed.includes(x))
    );
  }

  // ---- what time does ----

  due(at) {
    this.nextDue = Math.min(this.nextDue, at);
  }

  // Called before each request: a scan only when something can have run out.
  sweep() {
    const now = this.now();
    if (now < this.nextDue) {
      return;
    }
    this.nextDue = Infinity;
    for (const node of [...this.trash]) {
      if (node.purgesAt <= now) {
        this.purgeNode(node);
      } else {
        this.due(node.purgesAt);
      }
    }
    for (const link of [...this.linksByToken.values()]) {
      if (link.unsharedAt && link.unsharedAt <= now) {
        this.onExpire('link', link.node);
        this.dropLink(link.node);
      } else if (link.unsharedAt) {
        this.due(link.unsharedAt);
      }
    }
    for (const collab of [...this.collabs.values()]) {
      if (collab.expiresAt && collab.expiresAt <= now) {
        this.onExpire('collab', collab);
        this.dropCollab(collab);
      } else if (collab.expiresAt) {
        this.due(collab.expiresAt);
      }
    }
  }

  dropLink(node) {
    this.linksByToken.delete(node.link.token);
    node.link = null;
  }

  dropCollab(collab) {
    this.collabs.delete(collab.id);
    collab.node.collabs.delete(collab.id);
  }
}

module.exports = { World, ROLES, FILE_ROLES, SERVICE_ID, UNLIMITED };
