// SPDX-License-Identifier: Apache-2.0
// multipart/form-data as a stream.  Parts are handed on while they arrive: the order of the parts
// is part of Box's contract (attributes first), and a body may be larger than memory.
'use strict';
const { BoxError } = require('./errors');

const HEADER_MAX_BYTES = 16 * 1024;
const HEADER_END = Buffer.from('\r\n\r\n');

const malformed = (message) => new BoxError(400, 'bad_request', message);

function boundaryOf(contentType) {
  if (!/^multipart\/form-data\s*(;|$)/i.test(contentType || '')) {
    throw malformed('Expected multipart/form-data');
  }
  const found = /;\s*boundary=(?:"([^"]{1,200})"|([^\s";]{1,200}))/i.exec(contentType);
  if (!found) {
    throw malformed('multipart/form-data without a boundary');
  }
  return found[1] || found[2];
}

function parseHeaders(text) {
  const headers = {};
  for (const line of text.split('\r\n')) {
    const colon = line.indexOf(':');
    if (colon > 0) {
      headers[line.slice(0, colon).trim().toLowerCase()] = line.slice(colon + 1).trim();
    }
  }
  const disposition = headers['content-disposition'] || '';
  const name =
    /;\s*name="((?:[^"\\]|\\.)*)"/i.exec(disposition) || /;\s*name=([^\s;"]+)/i.exec(disposition);
  return {
    name: name ? name[1] : undefined,
    hasFilename: /;\s*filename\*?=/i.test(disposition),
    headers,
  };
}

// The states a body goes through; each method handles one and says whether another can follow at
// once, or more bytes are needed first.
class Parser {
  constructor(boundary, onPart) {
    this.delimiter = Buffer.from(`\r\n--${boundary}`, 'latin1');
    this.onPart = onPart;
    // The first delimiter has no line break before it; lending it one keeps a single rule for all.
    this.buffer = Buffer.from('\r\n');
    this.state = 'data'; // what comes before the first part is content that nobody wants
    this.sink = null;
  }

  async feed(chunk) {
    this.buffer = this.buffer.length ? Buffer.concat([this.buffer, chunk]) : chunk;
    while (await this[this.state]()) {
      /* one state a turn */
    }
  }

  async data() {
    const at = this.buffer.indexOf(this.delimiter);
    // Without a delimiter the last bytes may be the beginning of one: they wait.
    const safe = at >= 0 ? at : Math.max(this.buffer.length - this.delimiter.length + 1, 0);
    if (this.sink && safe > 0) {
      await this.sink.write(this.buffer.subarray(0, safe));
    }
    this.buffer = this.buffer.subarray(at >= 0 ? at + this.delimiter.length : safe);
    if (at < 0) {
      return false;
    }
    if (this.sink) {
      await this.sink.end();
      this.sink = null;
    }
    this.state = 'boundary';
    return true;
  }

  async boundary() {
    if (this.buffer.length < 2) {
      return false;
    }
    const mark = this.buffer.toString('latin1', 0, 2);
    if (mark !== '--' && mark !== '\r\n') {
      throw malformed('Malformed multipart boundary');
    }
    this.state = mark === '--' ? 'epilogue' : 'headers';
    this.buffer = this.buffer.subarray(2);
    return true;
  }

  async headers() {
    const end = this.buffer.indexOf(HEADER_END);
    if (end > HEADER_MAX_BYTES || (end < 0 && this.buffer.length > HEADER_MAX_BYTES)) {
      throw malformed('Multipart headers too long');
    }
    if (end < 0) {
      return false;
    }
    this.sink = await this.onPart(parseHeaders(this.buffer.toString('utf8', 0, end)));
    this.buffer = this.buffer.subarray(end + HEADER_END.length);
    this.state = 'data';
    return true;
  }

  async epilogue() {
    this.buffer = Buffer.alloc(0);
    return false;
  }
}

// onPart(part) returns { write(chunk), end() }, each possibly a promise.
async function parse(chunks, boundary, onPart) {
  const parser = new Parser(boundary, onPart);
  for await (const chunk of chunks) {
    await parser.feed(chunk);
  }
  if (parser.state !== 'epilogue') {
    throw malformed('Multipart body ends early');
  }
}

module.exports = { boundaryOf, parse };
