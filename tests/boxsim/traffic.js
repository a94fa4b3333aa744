// SPDX-License-Identifier: Apache-2.0
// Watching requests: counts, the NDJSON log, and the check against Box's own specification.
//
// A body too large to keep is replaced by an envelope of the same form with next to no content, and
// the headers that speak of the content are adapted, so that the check says nothing false.  The
// simulator itself has verified the real content.
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const Module = require('module');
const path = require('path');

const CAPTURE_MAX = 1024 * 1024;
const LOG_BODY_MAX = 64 * 1024;
const VIOLATIONS_KEPT = 1000;
const ENVELOPE_PART = Buffer.from('x');
const ENVELOPE_DIGEST = `sha=${crypto.createHash('sha1').update(ENVELOPE_PART).digest('base64')}`;

// boxcheck lies outside this tree, where its own dependencies cannot be found; ours can.
function loadChecker(dir) {
  const file = path.resolve(dir, 'boxcheck.js');
  const module = new Module(file, null);
  module.filename = file;
  module.paths = [
    ...Module._nodeModulePaths(path.dirname(file)),
    ...Module._nodeModulePaths(__dirname),
  ];
  module._compile(fs.readFileSync(file, 'utf8'), file);
  return module.exports.load(path.join(dir, 'openapi.json'));
}

// Calls of a versioned API are in another document than the one that is checked against.
const isVersioned = (record) =>
  record.rawHeaders.some((x, i) => i % 2 === 0 && x.toLowerCase() === 'box-version');

function withHeaders(record, change) {
  const rawHeaders = [];
  for (let i = 0; i < record.rawHeaders.length; i += 2) {
    const value = change(record.rawHeaders[i].toLowerCase(), record.rawHeaders[i + 1]);
    if (value !== null) {
      rawHeaders.push(record.rawHeaders[i], value);
    }
  }
  return rawHeaders;
}

const header = (record, name) => {
  const at = record.rawHeaders.findIndex((x, i) => i % 2 === 0 && x.toLowerCase() === name);
  return at < 0 ? '' : record.rawHeaders[at + 1];
};

// Keeps the head of the body up to the file's first byte, and closes it.
function multipartEnvelope(record) {
  const boundary = /boundary="?([^";]+)/i.exec(header(record, 'content-type'));
  const head = record.captured;
  const file = boundary ? head.indexOf('name="file"') : -1;
  const end = file < 0 ? -1 : head.indexOf('\r\n\r\n', file);
  if (end < 0) {
    return null;
  }
  return {
    bodyBuf: Buffer.concat([head.subarray(0, end + 4), Buffer.from(`\r\n--${boundary[1]}--\r\n`)]),
    rawHeaders: withHeaders(record, (name, value) => (name === 'content-md5' ? null : value)),
  };
}

function partEnvelope(record) {
  const range = (text) => text.replace(/^bytes (\d+)-\d+\//, 'bytes $1-$1/');
  return {
    bodyBuf: ENVELOPE_PART,
    rawHeaders: withHeaders(record, (name, value) => {
      if (name === 'content-range') {
        return range(value);
      }
      return name === 'digest' && /^sha=[A-Za-z0-9+/]{27}=$/.test(value) ? ENVELOPE_DIGEST : value;
    }),
  };
}

// The request as it is to be checked: whole, or its envelope; null when neither can be had.
function reduced(record, max) {
  const isJson = /json|urlencoded/i.test(header(record, 'content-type'));
  if (record.size <= (isJson ? CAPTURE_MAX : max) && record.size === record.captured.length) {
    return { bodyBuf: record.captured, rawHeaders: record.rawHeaders };
  }
  if (/^multipart/i.test(header(record, 'content-type'))) {
    return multipartEnvelope(record);
  }
  return /octet-stream/i.test(header(record, 'content-type')) ? partEnvelope(record) : null;
}

class Traffic {
  constructor({ log, check }) {
    this.counts = new Map();
    this.violations = [];
    // Written synchronously: whoever has the reply finds the request in the log.
    this.log = log ? fs.openSync(log, 'a', 0o600) : null;
    this.checker = check ? loadChecker(check) : null;
  }

  get captureMax() {
    return this.checker || this.log !== null ? CAPTURE_MAX : 0;
  }

  count(method, template, status) {
    const key = `${method} ${template} ${status}`;
    const entry = this.counts.get(key) || { method, template, status, count: 0 };
    entry.count += 1;
    this.counts.set(key, entry);
  }

  statistics() {
    const entries = [...this.counts.values()].sort(
      (a, b) =>
        a.template.localeCompare(b.template) ||
        a.method.localeCompare(b.method) ||
        String(a.status).localeCompare(String(b.status))
    );
    return { total: entries.reduce((sum, x) => sum + x.count, 0), entries };
  }

  // record: { method, url, rawHeaders, captured, size, isComplete, status }
  seen(record) {
    if (this.log !== null) {
      this.writeLog(record);
    }
    // A body that never arrived in full is no statement about the client.
    if (this.checker && record.isComplete && !isVersioned(record)) {
      this.check(record);
    }
  }

  check(record) {
    const form = reduced(record, CAPTURE_MAX);
    if (!form) {
      return;
    }
    const { problems } = this.checker.request({ method: record.method, url: record.url, ...form });
    if (problems.length > 0) {
      const violation = { method: record.method, url: record.url, problems };
      if (this.violations.length < VIOLATIONS_KEPT) {
        this.violations.push(violation);
      }
      process.stderr.write(`boxsim violation: ${JSON.stringify(violation)}\n`);
    }
  }

  writeLog(record) {
    const out = { method: record.method, url: record.url };
    const form = reduced(record, LOG_BODY_MAX);
    out.rawHeaders = form ? form.rawHeaders : record.rawHeaders;
    if (form && form.bodyBuf.length > 0) {
      const text = form.bodyBuf.toString('utf8');
      if (Buffer.from(text).equals(form.bodyBuf)) {
        out.body = text;
      } else {
        out.bodyB64 = form.bodyBuf.toString('base64');
      }
    }
    if (!form || form.bodyBuf !== record.captured) {
      out.bodyBytes = record.size; // the body above is an envelope
    }
    if (isVersioned(record)) {
      out.label = 'versioned API';
    }
    out.status = record.status;
    fs.writeSync(this.log, `${JSON.stringify(out)}\n`);
  }
}

module.exports = { Traffic };
