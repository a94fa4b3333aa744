// SPDX-License-Identifier: Apache-2.0
// What tests do beside Box's API: look (GET /__state, /__content/ID, /__requests), turn settings
// and faults (POST /__config, /__faults), and be a recipient (POST /__act).  A recipient here has
// exactly the rights that Box would give: who may not open an item gets 403.
'use strict';
const { badRequest, denied, notFound } = require('./errors');
const { World } = require('./world');
const access = require('./access');
const collabs = require('./collabs');
const files = require('./files');
const { FaultError } = require('./faults');
const links = require('./links');
const settings = require('./settings');
const shapes = require('./shapes');
const state = require('./state');

const getState = (ctx) => ({ status: 200, body: state.dump(ctx.sim, ctx.query.get('only')) });

function getContent(ctx) {
  const file = ctx.world.files.get(ctx.params.file_id);
  if (!file) {
    throw notFound('file', ctx.params.file_id);
  }
  const { size, segments } = World.current(file);
  const range = files.ranged(ctx.headers.range, size);
  const { first, last } = range || { first: 0, last: size - 1 };
  return {
    status: range ? 206 : 200,
    headers: {
      'content-type': 'application/octet-stream',
      ...(range ? { 'content-range': `bytes ${first}-${last}/${size}` } : {}),
    },
    length: last - first + 1,
    stream: ctx.world.store.read(segments, first, last),
  };
}

// ---- settings and faults ----

const showConfig = (ctx) => {
  const { rate, ...rest } = ctx.world.settings;
  return { status: 200, body: { ...rest, rate: rate || 'off', now_ms: ctx.world.now() } };
};

async function setConfig(ctx) {
  const body = await ctx.json();
  const { now_ms: now } = body;
  if (now !== undefined && !Number.isSafeInteger(now)) {
    throw badRequest('now_ms', 'milliseconds since 1970 are expected');
  }
  try {
    settings.merge(ctx.world.settings, body);
  } catch (error) {
    if (error instanceof settings.SettingError) {
      throw badRequest('config', error.message);
    }
    throw error;
  }
  if (body.rate !== undefined) {
    ctx.sim.limits.reset();
  }
  if (now !== undefined) {
    ctx.world.clockOffset = now - Date.now(); // set once, the clock goes on by itself
  }
  ctx.world.sweep();
  return showConfig(ctx);
}

const showFaults = (ctx) => ({ status: 200, body: ctx.sim.faults.show() });

async function setFaults(ctx) {
  const list = await ctx.json({ array: true });
  try {
    ctx.sim.faults.replace(list);
  } catch (error) {
    if (error instanceof FaultError) {
      throw badRequest('faults', error.message);
    }
    throw error;
  }
  return showFaults(ctx);
}

const showRequests = (ctx) => ({ status: 200, body: ctx.sim.traffic.statistics() });

function resetRequests(ctx) {
  ctx.sim.traffic.counts.clear();
  return { status: 204 };
}

// ---- recipients ----

const ACTS = ['preview', 'download', 'accept', 'share'];

function itemOf(ctx, body) {
  const type = body.file !== undefined ? 'file' : 'folder';
  const id = String(body[type]);
  const node = (type === 'file' ? ctx.world.files : ctx.world.folders).get(id);
  if (!node || !ctx.world.isLive(node)) {
    throw notFound(type, id);
  }
  return node;
}

// An accepted collaboration's right, else a link's.
function enter(ctx, { node, user, right, password }) {
  if (ctx.world.rights(user, node).has(right)) {
    return null;
  }
  const { link, rights } = links.rightsByLink(ctx.world, node, user, password);
  if (!rights.has(right)) {
    throw denied();
  }
  return link;
}

async function act(ctx) {
  const body = await ctx.json();
  const isAnonymous = body.as === undefined || body.as === null || body.as === '';
  access.checkTypes(body, { do: (v) => ACTS.includes(v) });
  if (body.do === undefined) {
    throw badRequest('do', `one of ${ACTS.join(', ')}`);
  }
  if (body.do === 'accept') {
    return accept(ctx, body);
  }
  const node = itemOf(ctx, body);
  const user = isAnonymous ? ctx.world.anonymous : ctx.world.account(String(body.as));
  if (!user) {
    throw denied('No Box account with this login');
  }
  if (body.do === 'share') {
    return share(ctx, { node, user, spec: body.link || { access: 'open' } });
  }
  // A folder is looked at or fetched with all the files in it.
  const all =
    node.type === 'file' ? [node] : [...ctx.world.below(node)].filter((n) => n.type === 'file');
  const right = body.do === 'preview' ? 'preview' : 'download';
  const link = enter(ctx, { node, user, right, password: body.password });
  for (const file of all) {
    enter(ctx, { node: file, user, right, password: body.password });
  }
  for (const file of all) {
    record(ctx, { file, user, what: body.do });
  }
  if (link) {
    link[body.do === 'preview' ? 'previews' : 'downloads'] += 1;
  }
  return {
    status: 200,
    body: {
      ok: true,
      as: user.login,
      do: body.do,
      files: all.map((f) => ({
        id: f.id,
        name: f.name,
        size: f.size,
        sha1: World.current(f).sha1,
      })),
    },
  };
}

function record(ctx, { file, user, what }) {
  if (what === 'download') {
    files.recordDownload(ctx, file, user);
  } else {
    ctx.events.record(file, user, { userType: 'ITEM_PREVIEW', adminType: 'PREVIEW' });
  }
}

// A viewer may make an open link: what a careful sender has to watch for.
function share(ctx, { node, user, spec }) {
  access.need({ world: ctx.world, user }, node, 'share');
  links.prepare({ world: ctx.world, events: ctx.events, user }, node, spec)();
  return {
    status: 200,
    body: {
      ok: true,
      as: user.login,
      do: 'share',
      shared_link: shapes.sharedLink(ctx.world, node),
    },
  };
}

// Signing up for an invited address joins all that wait for it; with an account, the named item or
// all.
function accept(ctx, body) {
  const { world } = ctx;
  const login = String(body.as || '');
  const node = body.file === undefined && body.folder === undefined ? null : itemOf(ctx, body);
  const isMine = (c) => c.status === 'pending' && c.email.toLowerCase() === login.toLowerCase();
  let waiting = [...world.collabs.values()].filter(isMine);
  if (node) {
    const named = waiting.filter((c) => c.node === node);
    const isIn = [...node.collabs.values()].some(
      (c) => c.status === 'accepted' && c.email.toLowerCase() === login.toLowerCase()
    );
    if (named.length === 0 && !isIn) {
      throw denied('No invitation for this login');
    }
    waiting = world.account(login) ? named : waiting;
  }
  const user = world.account(login) || world.createAccount(login);
  if (!collabs.canJoin(world, user)) {
    throw denied('A second factor must be set up first');
  }
  waiting.forEach((c) => collabs.accept(ctx, c, user));
  return {
    status: 200,
    body: {
      ok: true,
      as: user.login,
      do: 'accept',
      accepted: waiting.map((c) => c.id),
      at: shapes.date(world.now()),
    },
  };
}

// ---- many parcels at once ----

// As if they had been made one by one, without events: {"parcels": [{"name", "owner": user id,
// "to": [login, ...]}]}.
async function seed(ctx) {
  const { world } = ctx;
  const body = await ctx.json();
  access.checkTypes(body, { parcels: Array.isArray });
  const made = (body.parcels || []).map(({ name, owner, to }) => {
    const user = owner === undefined ? world.service : world.users.get(String(owner));
    if (!user || !access.isText(name) || !Array.isArray(to)) {
      throw badRequest('parcels', 'name, to, and the owner of a user that is there are expected');
    }
    const folder = world.addNode('folder', name, user.root, user);
    folder.canNonOwnersInvite = false;
    folder.canNonOwnersViewCollaborators = false;
    links.prepare(
      { world, events: { record: () => {} }, user },
      folder,
      { access: 'collaborators' }
    )();
    return {
      folder: folder.id,
      link: shapes.sharedLink(world, folder).url,
      grants: to.map((login) => collabs.seed(world, folder, user, login).id),
    };
  });
  return { status: 200, body: { parcels: made } };
}

const routes = [
  ['POST', '/__seed', seed],
  ['GET', '/__state', getState],
  ['GET', '/__content/{file_id}', getContent],
  ['GET', '/__config', showConfig],
  ['POST', '/__config', setConfig],
  ['GET', '/__faults', showFaults],
  ['POST', '/__faults', setFaults],
  ['GET', '/__requests', showRequests],
  ['DELETE', '/__requests', resetRequests],
  ['POST', '/__act', act],
].map(([method, template, handler]) => [method, template, handler, { open: true }]);

module.exports = { routes };
