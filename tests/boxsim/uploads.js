// SPDX-License-Identifier: Apache-2.0
// Uploads in one request, and the check before them.
//
// The answer is given when the whole body was read, also when it was refused half way: a client
// that is still sending would see a broken connection in place of the error.
'use strict';
const { BoxError, badRequest, missing } = require('./errors');
const access = require('./access');
const multipart = require('./multipart');
const names = require('./names');
const shapes = require('./shapes');

const ATTRIBUTES_MAX = 64 * 1024;

const noRoom = () => new BoxError(403, 'storage_limit_exceeded', 'Account storage limit reached');

function refuseHuge(world, size) {
  if (size > world.settings.max_file_size) {
    throw new BoxError(
      403,
      'file_size_limit_exceeded',
      `File size exceeds the folder owner's file size limit of ${world.settings.max_file_size} bytes`
    );
  }
}

const nowhere = { write() {}, end() {} };

// The two parts of an upload as they come in.  The first thing wrong is kept as `failure`; what
// follows is read and thrown away.
class Incoming {
  constructor(world, isNewVersion) {
    this.world = world;
    this.isNewVersion = isNewVersion;
    this.attributes = null;
    this.writer = null;
    this.failure = null;
  }

  part(part) {
    if (this.failure) {
      return nowhere;
    }
    const isEarly = part.name === 'file' && !this.attributes && !this.isNewVersion;
    const isLate = part.name === 'attributes' && (this.writer || this.attributes);
    if (isEarly || isLate) {
      this.failure = new BoxError(
        400,
        'metadata_after_file_contents',
        'The "attributes" part must come before the file contents'
      );
      return nowhere;
    }
    if (part.name === 'attributes') {
      return this.attributesSink();
    }
    if (part.name !== 'file' || this.writer) {
      return nowhere;
    }
    if (!part.hasFilename) {
      this.failure = badRequest('file', 'the part has no file name');
      return nowhere;
    }
    return this.fileSink();
  }

  attributesSink() {
    const held = [];
    let size = 0;
    return {
      write: (chunk) => {
        size += chunk.length;
        if (size <= ATTRIBUTES_MAX) {
          held.push(Buffer.from(chunk));
        }
      },
      end: () => {
        try {
          this.attributes = JSON.parse(Buffer.concat(held).toString('utf8'));
        } catch {
          this.attributes = null;
        }
        if (!access.isObject(this.attributes) || size > ATTRIBUTES_MAX) {
          this.failure = badRequest('attributes', 'not a JSON object');
        }
      },
    };
  }

  fileSink() {
    this.writer = this.world.store.writer();
    return {
      write: async (chunk) => {
        if (this.failure) {
          return;
        }
        if (this.writer.size + chunk.length > this.world.settings.direct_max) {
          this.failure = new BoxError(413, 'request_entity_too_large', 'Request Entity Too Large');
          await this.writer.abort();
          return;
        }
        await this.writer.write(chunk);
      },
      end() {},
    };
  }

  async content() {
    if (this.failure) {
      throw this.failure;
    }
    if (!this.writer) {
      throw missing('file');
    }
    return this.writer.finish();
  }

  async abort() {
    if (this.writer) {
      await this.writer.abort();
    }
  }
}

// Resolves to { attributes, content } or throws, leaving nothing behind.
async function receive(ctx, { isNewVersion }) {
  if (ctx.headers['content-length'] === undefined) {
    throw new BoxError(411, 'length_required', 'Length Required');
  }
  const boundary = multipart.boundaryOf(ctx.headers['content-type']);
  const incoming = new Incoming(ctx.world, isNewVersion);
  let content;
  try {
    await multipart.parse(ctx.chunks(), boundary, (part) => incoming.part(part));
    content = await incoming.content();
  } catch (error) {
    await incoming.abort();
    throw error;
  }
  const promised = ctx.headers['content-md5']; // a SHA-1, in spite of the name
  if (promised !== undefined && promised.trim().toLowerCase() !== content.sha1) {
    ctx.world.store.free(content.segments);
    throw new BoxError(
      400,
      'bad_digest',
      'The specified content-md5 did not match what we received'
    );
  }
  return { attributes: incoming.attributes || {}, content };
}

function timesOf(attributes) {
  access.checkTypes(attributes, {
    content_created_at: access.isDate,
    content_modified_at: access.isDate,
  });
  const parse = (v) => (v === undefined ? undefined : Date.parse(v));
  return {
    created: parse(attributes.content_created_at),
    modified: parse(attributes.content_modified_at),
  };
}

// Everything that can refuse a new file, in one place for both ways of uploading.
function checkNew(ctx, { name, parent, size }) {
  names.check(name, ctx.world);
  names.refuseTaken(ctx.world, parent, name, { asList: false });
  refuseHuge(ctx.world, size);
  if (!ctx.world.hasRoomFor(parent.owner, size)) {
    throw noRoom();
  }
}

function addFile(ctx, { name, parent, content, times, description }) {
  const file = ctx.world.addNode('file', name, parent, ctx.user, times);
  ctx.world.addVersion(file, content, ctx.user, times.modified);
  file.description = description || '';
  ctx.events.record(file, ctx.user, { userType: 'ITEM_UPLOAD', adminType: 'UPLOAD' });
  return file;
}

function addVersion(ctx, { file, content, times, name }) {
  ctx.world.addVersion(file, content, ctx.user, times.modified);
  if (name !== undefined && name !== file.name) {
    ctx.world.rename(file, name);
  }
  ctx.world.touch(file, ctx.user);
  ctx.events.record(file, ctx.user, { userType: 'ITEM_UPLOAD', adminType: 'UPLOAD' });
  return file;
}

function checkVersion(ctx, { file, name, size }) {
  access.need(ctx, file, 'upload');
  access.checkMatch(ctx, file);
  if (file.lock && file.lock.by !== ctx.user) {
    throw new BoxError(403, 'access_denied_item_locked', 'Access denied - item locked');
  }
  if (name !== undefined) {
    names.check(name, ctx.world);
    names.refuseTaken(ctx.world, file.parent, name, { asList: false, except: file });
  }
  refuseHuge(ctx.world, size);
  if (!ctx.world.hasRoomFor(file.owner, size)) {
    throw noRoom();
  }
}

const filesReply = (ctx, file, status) => ({
  status,
  body: { total_count: 1, entries: [shapes.item(ctx.world, file, ctx.user, ctx.query)] },
});

// Content that is not taken in must not stay on disk.
function orFree(ctx, content, work) {
  try {
    return work();
  } catch (error) {
    ctx.world.store.free(content.segments);
    throw error;
  }
}

async function upload(ctx) {
  const { attributes, content } = await receive(ctx, { isNewVersion: false });
  return orFree(ctx, content, () => {
    const times = timesOf(attributes);
    names.check(attributes.name, ctx.world);
    const parent = access.parentOf(ctx, attributes.parent);
    checkNew(ctx, { name: attributes.name, parent, size: content.size });
    const file = addFile(ctx, { name: attributes.name, parent, content, times });
    return filesReply(ctx, file, 201);
  });
}

async function uploadVersion(ctx) {
  access.visible(ctx, 'file', ctx.params.file_id);
  const { attributes, content } = await receive(ctx, { isNewVersion: true });
  return orFree(ctx, content, () => {
    const file = access.visible(ctx, 'file', ctx.params.file_id);
    const times = timesOf(attributes);
    checkVersion(ctx, { file, name: attributes.name, size: content.size });
    addVersion(ctx, { file, content, times, name: attributes.name });
    return filesReply(ctx, file, 200);
  });
}

async function preflight(ctx) {
  const body = await ctx.json();
  const size = body.size === undefined ? 0 : body.size;
  if (!Number.isSafeInteger(size) || size < 0) {
    throw badRequest('size', 'must be a number');
  }
  if (ctx.params.file_id === undefined) {
    names.check(body.name, ctx.world);
    checkNew(ctx, { name: body.name, parent: access.parentOf(ctx, body.parent), size });
  } else {
    const file = access.visible(ctx, 'file', ctx.params.file_id);
    checkVersion(ctx, { file, name: body.name, size });
  }
  const where = ctx.params.file_id === undefined ? 'content' : `${ctx.params.file_id}/content`;
  ctx.sim.preflights += 1;
  return {
    status: 200,
    body: {
      upload_url: `${ctx.base}/upload/api/2.0/files/${where}?upload_session_id=${ctx.sim.preflights}`,
      upload_token: null,
    },
  };
}

const routes = [
  ['OPTIONS', '/2.0/files/content', preflight],
  ['OPTIONS', '/2.0/files/{file_id}/content', preflight],
  ['POST', '/upload/api/2.0/files/content', upload, { isUpload: true }],
  ['POST', '/upload/api/2.0/files/{file_id}/content', uploadVersion, { isUpload: true }],
];

module.exports = {
  routes,
  checkNew,
  checkVersion,
  addFile,
  addVersion,
  filesReply,
  timesOf,
};
