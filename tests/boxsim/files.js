// SPDX-License-Identifier: Apache-2.0
// Files: read, change, download, delete, trash.  How content arrives is uploads.js and sessions.js.
'use strict';
const crypto = require('crypto');
const { BoxError, badRequest, denied, notFound } = require('./errors');
const { World } = require('./world');
const access = require('./access');
const folders = require('./folders');
const links = require('./links');
const shapes = require('./shapes');

const DOWNLOAD_LIFE_MS = 15 * 60 * 1000;

const show = (ctx, node, status = 200) => ({
  status,
  body: shapes.item(ctx.world, node, ctx.user, ctx.query),
});

const visible = (ctx) => access.visible(ctx, 'file', ctx.params.file_id);

function get(ctx) {
  const file = visible(ctx);
  return access.isUnchanged(ctx, file) ? { status: 304 } : show(ctx, file);
}

function checkLock(lock) {
  if (lock === null) {
    return;
  }
  if (!access.isObject(lock)) {
    throw badRequest('lock', 'an object or null is expected');
  }
  // The specification names `access` and requires `type`; either will do.
  access.checkTypes(lock, {
    type: (v) => v === 'lock',
    access: (v) => v === 'lock',
    expires_at: (v) => v === null || access.isDate(v),
    is_download_prevented: access.isFlag,
  });
  if (lock.type === undefined && lock.access === undefined) {
    throw badRequest('lock', 'type is required', 'missing_parameter');
  }
}

function setLock(ctx, file, lock) {
  file.lock =
    lock === null
      ? null
      : {
          id: ctx.world.newId(),
          by: ctx.user,
          createdAt: ctx.world.now(),
          expiresAt: lock.expires_at ? Date.parse(lock.expires_at) : null,
          preventsDownload: Boolean(lock.is_download_prevented),
        };
}

async function update(ctx) {
  const file = visible(ctx);
  const body = await ctx.json();
  access.checkMatch(ctx, file);
  access.checkTypes(body, {
    description: access.isDescription,
    tags: access.isTags,
    permissions: access.isObject,
  });
  const touched = Object.keys(body).filter((x) => x !== 'shared_link');
  if (touched.length > 0) {
    access.need(ctx, file, 'edit');
  }
  if (body.disposition_at !== undefined) {
    throw denied('The file is not under retention');
  }
  if (body.lock !== undefined) {
    checkLock(body.lock);
  }
  const downloadBy = body.permissions && body.permissions.can_download;
  if (downloadBy !== undefined && downloadBy !== 'open' && downloadBy !== 'company') {
    throw badRequest('permissions.can_download', "must be 'open' or 'company'");
  }
  const setLink =
    body.shared_link === undefined ? null : links.prepare(ctx, file, body.shared_link);
  const relocate = folders.relocation(ctx, file, body);
  if (body.description !== undefined) {
    file.description = body.description;
  }
  if (body.tags !== undefined) {
    file.tags = body.tags;
  }
  if (body.lock !== undefined) {
    setLock(ctx, file, body.lock);
  }
  if (downloadBy !== undefined) {
    file.downloadBy = downloadBy;
  }
  relocate();
  if (touched.length > 0) {
    ctx.world.touch(file, ctx.user);
  }
  if (setLink) {
    setLink();
  }
  return show(ctx, file);
}

function remove(ctx) {
  const file = visible(ctx);
  access.need(ctx, file, 'edit');
  access.checkMatch(ctx, file);
  return folders.discard(ctx, file);
}

function listVersions(ctx) {
  const file = visible(ctx);
  const old = file.versions.slice(0, -1).reverse();
  return {
    status: 200,
    body: {
      total_count: old.length,
      entries: old.map((v) => ({
        ...shapes.versionMini(v),
        name: v.name,
        size: v.size,
        created_at: shapes.date(v.createdAt),
        modified_at: shapes.date(v.createdAt),
        modified_by: shapes.userMini(v.by),
      })),
    },
  };
}

const isLocked = (ctx, file) => {
  const { lock } = file;
  return Boolean(
    lock &&
    lock.preventsDownload &&
    lock.by !== ctx.user &&
    !(lock.expiresAt && lock.expiresAt <= ctx.world.now())
  );
};

// As with Box the content itself is on another address, named by a redirect and valid for a while.
function download(ctx) {
  const file = visible(ctx);
  access.need(ctx, file, 'download');
  if (isLocked(ctx, file)) {
    throw denied('The file is locked');
  }
  const wanted = ctx.query.get('version');
  const version =
    wanted === null ? World.current(file) : file.versions.find((v) => v.id === wanted);
  if (!version) {
    throw notFound('file_version', wanted);
  }
  recordDownload(ctx, file, ctx.user);
  const ticket = crypto.randomBytes(18).toString('base64url');
  const now = ctx.world.now();
  const { downloads } = ctx.sim;
  for (const [old, entry] of downloads) {
    if (entry.until > now) {
      break; // in order of issue
    }
    downloads.delete(old);
  }
  downloads.set(ticket, { file, version, until: now + DOWNLOAD_LIFE_MS });
  return { status: 302, headers: { location: `${ctx.base}/dl/${ticket}` } };
}

function recordDownload(ctx, file, by) {
  const isMarked = ctx.world.isWatermarked(file) !== null;
  ctx.events.record(file, by, {
    userType: 'ITEM_DOWNLOAD',
    adminType: isMarked ? 'FILE_WATERMARKED_DOWNLOAD' : 'DOWNLOAD',
  });
  ctx.events.record(file, by, { adminType: 'CONTENT_ACCESS' });
}

function ranged(header, size) {
  const found = /^bytes=(\d*)-(\d*)$/.exec(header || '');
  if (!found || (found[1] === '' && found[2] === '')) {
    return null;
  }
  const first = found[1] === '' ? Math.max(size - Number(found[2]), 0) : Number(found[1]);
  const last = found[1] === '' || found[2] === '' ? size - 1 : Math.min(Number(found[2]), size - 1);
  if (first > last) {
    throw new BoxError(416, 'range_not_satisfiable', 'Requested Range Not Satisfiable', null, {
      'content-range': `bytes */${size}`,
    });
  }
  return { first, last };
}

function content(ctx) {
  const entry = ctx.sim.downloads.get(ctx.params.ticket);
  if (!entry || entry.until <= ctx.world.now() || entry.file.status === 'deleted') {
    throw notFound('download', ctx.params.ticket);
  }
  const { size, segments, sha1 } = entry.version;
  const range = ranged(ctx.headers.range, size);
  const { first, last } = range || { first: 0, last: size - 1 };
  return {
    status: range ? 206 : 200,
    headers: {
      'content-type': 'application/octet-stream',
      'content-disposition': `attachment; filename*=UTF-8''${encodeURIComponent(entry.file.name)}`,
      'accept-ranges': 'bytes',
      etag: `"${sha1}"`,
      ...(range ? { 'content-range': `bytes ${first}-${last}/${size}` } : {}),
    },
    length: last - first + 1,
    stream: ctx.world.store.read(segments, first, last),
  };
}

const routes = [
  ['GET', '/2.0/files/{file_id}', get],
  ['PUT', '/2.0/files/{file_id}', update],
  ['POST', '/2.0/files/{file_id}', folders.restore('file')],
  ['DELETE', '/2.0/files/{file_id}', remove],
  ['GET', '/2.0/files/{file_id}/content', download],
  ['GET', '/2.0/files/{file_id}/versions', listVersions],
  ['GET', '/2.0/files/{file_id}/trash', folders.trashGet('file')],
  ['DELETE', '/2.0/files/{file_id}/trash', folders.trashPurge('file')],
  ['GET', '/2.0/shared_items', links.resolve],
  ['GET', '/dl/{ticket}', content, { open: true }],
];

module.exports = { routes, ranged, recordDownload };
