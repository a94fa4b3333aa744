// SPDX-License-Identifier: Apache-2.0
// Content on disk.  Whatever is larger than a few hundred kilobytes goes to a file as it arrives,
// so that an upload of gigabytes needs no more memory than a small one; small contents share one
// pack file, because a load test uploads them by the ten thousand and a file each would be the
// bottleneck. A content is a list of segments: committing a chunked upload joins its parts without
// copying them.
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const path = require('path');

const SMALL_BYTES = 256 * 1024;
const READ_BYTES = 256 * 1024;

async function writeAll(handle, buffer, position) {
  let done = 0;
  while (done < buffer.length) {
    const at = position === undefined ? null : position + done;
    const { bytesWritten } = await handle.write(buffer, done, buffer.length - done, at);
    done += bytesWritten;
  }
}

class Writer {
  constructor(store) {
    this.store = store;
    this.hash = crypto.createHash('sha1');
    this.size = 0;
    this.held = [];
    this.file = null;
    this.handle = null;
  }

  async write(chunk) {
    this.hash.update(chunk);
    this.size += chunk.length;
    if (this.handle) {
      await writeAll(this.handle, chunk);
      return;
    }
    this.held.push(Buffer.from(chunk)); // the parser's buffer is reused; ours must be a copy
    if (this.size > SMALL_BYTES) {
      this.file = this.store.newPath();
      this.handle = await fs.promises.open(this.file, 'wx', 0o600);
      const head = Buffer.concat(this.held);
      this.held = [];
      await writeAll(this.handle, head);
    }
  }

  async finish() {
    const sha1 = this.hash.digest('hex');
    let segment;
    if (this.handle) {
      await this.handle.close();
      this.handle = null;
      segment = { file: this.file, start: 0, size: this.size };
    } else {
      segment = await this.store.pack(Buffer.concat(this.held));
      this.held = [];
    }
    return { segments: segment.size ? [segment] : [], size: this.size, sha1 };
  }

  // Throws away what was written; after finish() the segments are freed instead.
  async abort() {
    this.held = [];
    if (this.handle) {
      const handle = this.handle;
      this.handle = null;
      await handle.close();
      await fs.promises.rm(this.file, { force: true });
    }
  }
}

class Store {
  constructor(dir) {
    this.dir = dir;
    this.count = 0;
    this.packPath = path.join(dir, 'pack');
    this.packHandle = null;
    this.packBytes = 0;
  }

  async open() {
    this.packHandle = await fs.promises.open(this.packPath, 'wx+', 0o600);
  }

  newPath() {
    this.count += 1;
    return path.join(this.dir, `c${this.count}`);
  }

  writer() {
    return new Writer(this);
  }

  async pack(buffer) {
    const start = this.packBytes;
    this.packBytes += buffer.length; // claimed before the write, so that two writers never overlap
    await writeAll(this.packHandle, buffer, start);
    return { file: this.packPath, start, size: buffer.length };
  }

  // Bytes first..last (inclusive) of the joined segments, piece by piece.
  async *read(segments, first = 0, last = Infinity) {
    let base = 0;
    for (const segment of segments) {
      const from = Math.max(first - base, 0);
      const to = Math.min(last - base, segment.size - 1);
      if (from <= to) {
        yield* fs.createReadStream(segment.file, {
          start: segment.start + from,
          end: segment.start + to,
          highWaterMark: READ_BYTES,
        });
      }
      base += segment.size;
    }
  }

  async sha1(segments) {
    const hash = crypto.createHash('sha1');
    for await (const chunk of this.read(segments)) {
      hash.update(chunk);
    }
    return hash.digest();
  }

  // Space inside the pack is not given back: it lives as long as the process.
  free(segments) {
    for (const segment of segments) {
      if (segment.file !== this.packPath) {
        fs.rm(segment.file, { force: true }, () => {});
      }
    }
  }

  // At exit there is no event loop left to wait for, hence the synchronous form.
  destroy() {
    fs.rmSync(this.dir, { recursive: true, force: true, maxRetries: 3 });
  }
}

module.exports = { Store };
