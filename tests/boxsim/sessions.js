// SPDX-License-Identifier: Apache-2.0
// Chunked uploads.
//
// Invariants
//  1. Parts are immutable: a stored part is never replaced, another on its range is a conflict.
//  2. A part counts only when its length and digest are right; until then it leaves no trace.
//  3. A commit joins the stored parts without copying and succeeds once; then the session is gone.
//
//   open --commit--> committing --digest wrong--> open
//                               --right--------> gone
//   open --abort--> gone        open --time--> expired (410)
'use strict';
const crypto = require('crypto');
const { BoxError, badRequest, missing, denied, notFound } = require('./errors');
const access = require('./access');
const names = require('./names');
const shapes = require('./shapes');
const uploads = require('./uploads');

const PARTS_OFFSET_MAX = 10000;
const PARTS_LIMIT_MAX = 1000;
const PARTS_MAX = 10000;

const refuse = (code, message) => new BoxError(400, code, message);

function checkSize(world, size) {
  if (size === undefined || size === null) {
    throw refuse('missing_file_size', 'file_size was not provided');
  }
  if (!Number.isSafeInteger(size) || size < 0) {
    throw refuse('invalid_file_size', 'file_size was not a valid number');
  }
  if (size < world.settings.chunk_min) {
    throw refuse(
      'file_size_too_small',
      'file_size is below the minimum file size for uploads via this API'
    );
  }
}

// Large files get larger parts: there is a most number of them.
function partSize(world, size) {
  let bytes = world.settings.part_size;
  while (Math.ceil(size / bytes) > PARTS_MAX) {
    bytes *= 2;
  }
  return bytes;
}

function open(ctx, target, size) {
  const { world, sim } = ctx;
  const bytes = partSize(world, size);
  const session = {
    id: crypto.randomBytes(16).toString('hex').toUpperCase(),
    user: ctx.user,
    ...target,
    size,
    partSize: bytes,
    totalParts: Math.ceil(size / bytes),
    parts: new Map(),
    isCommitting: false,
    expiresAt: world.now() + world.settings.session_lifetime_s * 1000,
  };
  sim.sessions.set(session.id, session);
  return { status: 201, body: show(ctx, session) };
}

function show(ctx, session) {
  const url = `${ctx.base}/upload/api/2.0/files/upload_sessions/${session.id}`;
  return {
    id: session.id,
    type: 'upload_session',
    session_expires_at: shapes.dateUtc(session.expiresAt),
    part_size: session.partSize,
    total_parts: session.totalParts,
    num_parts_processed: session.parts.size,
    session_endpoints: {
      upload_part: url,
      commit: `${url}/commit`,
      abort: url,
      list_parts: `${url}/parts`,
      status: url,
      log_event: `${url}/log`,
    },
  };
}

async function create(ctx) {
  const body = await ctx.json();
  if (body.folder_id === undefined || body.folder_id === null) {
    throw refuse('missing_destination', 'No folder_id was provided');
  }
  if (typeof body.folder_id !== 'string' || !/^\d+$/.test(body.folder_id)) {
    throw refuse('invalid_folder_id', 'folder_id is not valid');
  }
  if (body.file_name === undefined || body.file_name === null) {
    throw refuse('missing_file_name', 'file_name was not provided');
  }
  names.check(body.file_name, ctx.world, 'file_name');
  checkSize(ctx.world, body.file_size);
  const parent = access.parentOf(ctx, { id: body.folder_id });
  uploads.checkNew(ctx, { name: body.file_name, parent, size: body.file_size });
  return open(ctx, { parent, name: body.file_name, file: null }, body.file_size);
}

async function createForVersion(ctx) {
  const body = await ctx.json();
  const file = access.visible(ctx, 'file', ctx.params.file_id);
  checkSize(ctx.world, body.file_size);
  uploads.checkVersion(ctx, { file, name: body.file_name, size: body.file_size });
  return open(ctx, { parent: file.parent, name: body.file_name, file }, body.file_size);
}

function find(ctx) {
  const id = ctx.params.upload_session_id;
  const session = ctx.sim.sessions.get(id);
  if (!session) {
    throw notFound('upload_session', id);
  }
  if (session.user !== ctx.user) {
    throw denied('Only the user who created the session may use it');
  }
  if (session.expiresAt <= ctx.world.now()) {
    discard(ctx, session);
    throw new BoxError(410, 'session_expired', 'The upload session has expired');
  }
  return session;
}

// Expired sessions stay known, without their parts, so that they go on answering 410.
function discard(ctx, session) {
  for (const part of session.parts.values()) {
    ctx.world.store.free(part.segments);
  }
  session.parts.clear();
}

const outOfRange = (message) => new BoxError(416, 'range_not_satisfiable', message);

function rangeOf(ctx, session) {
  const header = ctx.headers['content-range'];
  if (header === undefined) {
    throw missing('content-range');
  }
  const found = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(header);
  if (!found) {
    throw badRequest('content-range', `Invalid value '${header}'`);
  }
  const [first, last, total] = found.slice(1).map(Number);
  if (total !== session.size) {
    throw outOfRange(`The session is for ${session.size} bytes`);
  }
  if (first % session.partSize !== 0 || first >= session.size) {
    throw outOfRange(`Parts start at multiples of ${session.partSize}`);
  }
  const size = Math.min(session.partSize, session.size - first);
  if (last - first + 1 !== size) {
    throw outOfRange(`The part at ${first} must have ${size} bytes`);
  }
  return { first, size };
}

function digestOf(ctx) {
  const header = ctx.headers.digest;
  if (header === undefined) {
    throw missing('digest');
  }
  const found = /^sha=([A-Za-z0-9+/]{27}=)$/.exec(header.trim());
  if (!found) {
    throw badRequest('digest', 'must be sha=<base64 of a SHA-1>');
  }
  return Buffer.from(found[1], 'base64').toString('hex');
}

const badDigest = () =>
  new BoxError(400, 'bad_digest', 'The specified digest did not match what we received');

async function putPart(ctx) {
  const session = find(ctx);
  const digest = digestOf(ctx);
  const { first, size } = rangeOf(ctx, session);
  refuseOverlap(session, first);
  const writer = ctx.world.store.writer();
  let content;
  try {
    let received = 0;
    for await (const chunk of ctx.chunks()) {
      received += chunk.length;
      if (received <= size) {
        await writer.write(chunk);
      }
    }
    if (received !== size) {
      throw badRequest('content-range', `says ${size} bytes, the body has ${received}`);
    }
    content = await writer.finish();
  } catch (error) {
    await writer.abort();
    throw error;
  }
  try {
    if (content.sha1 !== digest) {
      throw badDigest();
    }
    find(ctx); // aborted meanwhile?
    refuseOverlap(session, first); // or the same part came twice at the same time?
  } catch (error) {
    ctx.world.store.free(content.segments);
    throw error;
  }
  const part = {
    part_id: crypto.randomBytes(4).toString('hex').toUpperCase(),
    offset: first,
    size,
    sha1: content.sha1,
  };
  session.parts.set(first, { ...part, segments: content.segments });
  return { status: 200, body: { part } };
}

function refuseOverlap(session, first) {
  if (session.parts.has(first)) {
    throw new BoxError(409, 'range_overlaps_existing_part', 'The part overlaps an existing part');
  }
}

const inOrder = (session) => [...session.parts.values()].sort((a, b) => a.offset - b.offset);

const bare = ({ part_id: id, offset, size, sha1 }) => ({ part_id: id, offset, size, sha1 });

function listParts(ctx) {
  const session = find(ctx);
  const text = ctx.query.get('offset') || '0';
  if (!/^\d+$/.test(text) || Number(text) > PARTS_OFFSET_MAX) {
    throw badRequest('offset', `must be a number up to ${PARTS_OFFSET_MAX}`);
  }
  const limit = access.limitOf(ctx.query, 100, PARTS_LIMIT_MAX);
  const offset = Number(text);
  const all = inOrder(session);
  return {
    status: 200,
    body: {
      total_count: all.length,
      limit,
      offset,
      order: [{ by: 'offset', direction: 'ASC' }],
      entries: all.slice(offset, offset + limit).map(bare),
    },
  };
}

// The list in the request must be what is stored, whole and without gaps.
function checkParts(session, given) {
  if (!Array.isArray(given) || given.length === 0) {
    throw missing('parts');
  }
  const isSame =
    given.length === session.totalParts &&
    session.parts.size === session.totalParts &&
    given.every((x) => {
      const part = access.isObject(x) && session.parts.get(x.offset);
      return (
        part &&
        part.part_id === x.part_id &&
        part.size === x.size &&
        (x.sha1 === undefined || part.sha1 === String(x.sha1).toLowerCase())
      );
    }) &&
    new Set(given.map((x) => x.offset)).size === given.length;
  if (!isSame) {
    throw refuse('parts_mismatch', 'The list of parts does not match the uploaded parts');
  }
}

async function commit(ctx) {
  const session = find(ctx);
  const digest = digestOf(ctx);
  const body = await ctx.json();
  if (session.isCommitting) {
    return { status: 202, headers: { 'retry-after': '1' } }; // the first commit is still hashing
  }
  checkParts(session, body.parts);
  const attributes = body.attributes === undefined ? {} : body.attributes;
  if (!access.isObject(attributes)) {
    throw badRequest('attributes', 'an object is expected');
  }
  const times = uploads.timesOf(attributes);
  access.checkTypes(attributes, { description: access.isDescription });
  session.isCommitting = true;
  try {
    const segments = inOrder(session).flatMap((x) => x.segments);
    const sha1 = (await ctx.world.store.sha1(segments)).toString('hex');
    if (sha1 !== digest) {
      throw badDigest();
    }
    const content = { segments, size: session.size, sha1 };
    const file = take(ctx, session, { content, times, description: attributes.description });
    ctx.sim.sessions.delete(session.id);
    return uploads.filesReply(ctx, file, 201);
  } finally {
    session.isCommitting = false;
  }
}

function take(ctx, session, { content, times, description }) {
  if (session.file) {
    const file = access.visible(ctx, 'file', session.file.id);
    uploads.checkVersion(ctx, { file, name: session.name, size: content.size });
    return uploads.addVersion(ctx, { file, content, times, name: session.name });
  }
  const parent = access.parentOf(ctx, { id: session.parent.id });
  uploads.checkNew(ctx, { name: session.name, parent, size: content.size });
  return uploads.addFile(ctx, { name: session.name, parent, content, times, description });
}

const get = (ctx) => ({ status: 200, body: show(ctx, find(ctx)) });

function abort(ctx) {
  const session = find(ctx);
  discard(ctx, session);
  ctx.sim.sessions.delete(session.id);
  return { status: 204 };
}

const BASE = '/upload/api/2.0/files';
const routes = [
  ['POST', `${BASE}/upload_sessions`, create, { isUpload: true }],
  ['POST', `${BASE}/{file_id}/upload_sessions`, createForVersion, { isUpload: true }],
  ['GET', `${BASE}/upload_sessions/{upload_session_id}`, get],
  ['PUT', `${BASE}/upload_sessions/{upload_session_id}`, putPart],
  ['DELETE', `${BASE}/upload_sessions/{upload_session_id}`, abort],
  ['GET', `${BASE}/upload_sessions/{upload_session_id}/parts`, listParts],
  ['POST', `${BASE}/upload_sessions/{upload_session_id}/commit`, commit],
];

module.exports = { routes };
