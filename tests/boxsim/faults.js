// SPDX-License-Identifier: Apache-2.0
// Faults on demand.  A fault matches requests by method and by a regular expression on the path
// (the query is not part of it), skips the first `after` matches, fires `times` times (absent:
// always) and does one or more of these:
//   delay_ms       waits first
//   hold: true     waits first, until the faults are replaced
//   drop           "before": closes the connection, nothing has happened;
//                  "after": does the work, then closes without an answer
//   status, headers, body
//                  answers this instead of doing the work; an error status without a body gets Box's
//                  error object, 401 and anything below 400 get none
//   effect: true   with status: the work is done all the same and only its answer is lost
//   truncate       cuts the reply body after so many bytes, then closes
//   slow_bps       bytes per second, both ways
'use strict';
const fs = require('fs');
const { ofStatus, newRequestId } = require('./errors');

const isCount = (v) => Number.isSafeInteger(v) && v >= 0;

const DO_CHECKS = {
  status: (v) => Number.isInteger(v) && v >= 200 && v <= 599,
  headers: (v) => v !== null && typeof v === 'object' && !Array.isArray(v),
  body: () => true,
  delay_ms: isCount,
  hold: (v) => v === true,
  drop: (v) => v === 'before' || v === 'after',
  effect: (v) => typeof v === 'boolean',
  truncate: isCount,
  slow_bps: (v) => isCount(v) && v > 0,
};

class FaultError extends Error {}

function checkKeys(object, where, known) {
  if (object === null || typeof object !== 'object' || Array.isArray(object)) {
    throw new FaultError(`${where}: an object is expected`);
  }
  for (const key of Object.keys(object)) {
    if (!known.includes(key)) {
      throw new FaultError(`${where}: unknown key '${key}'`);
    }
  }
}

function compile(raw, where) {
  checkKeys(raw, where, ['match', 'times', 'after', 'do']);
  const match = raw.match || {};
  checkKeys(match, `${where}.match`, ['method', 'path']);
  checkKeys(raw.do, `${where}.do`, Object.keys(DO_CHECKS));
  for (const [key, value] of Object.entries(raw.do)) {
    if (!DO_CHECKS[key](value)) {
      throw new FaultError(`${where}.do.${key}: bad value`);
    }
  }
  for (const key of ['times', 'after']) {
    if (raw[key] !== undefined && !isCount(raw[key])) {
      throw new FaultError(`${where}.${key}: a number is expected`);
    }
  }
  let path = null;
  try {
    path = match.path === undefined ? null : new RegExp(match.path);
  } catch (error) {
    throw new FaultError(`${where}.match.path: ${error.message}`);
  }
  return {
    raw,
    method: match.method === undefined ? null : String(match.method).toUpperCase(),
    path,
    times: raw.times === undefined ? Infinity : raw.times,
    after: raw.after || 0,
    action: raw.do,
    seen: 0,
    fired: 0,
  };
}

class Faults {
  constructor() {
    this.list = [];
    this.expectChange();
  }

  // What is held waits for this.changed.
  expectChange() {
    this.changed = new Promise((resolve) => {
      this.release = resolve;
    });
  }

  replace(array) {
    if (!Array.isArray(array)) {
      throw new FaultError('an array of faults is expected');
    }
    this.list = array.map((raw, i) => compile(raw, `fault ${i + 1}`));
    this.release();
    this.expectChange();
  }

  load(file) {
    const lines = fs.readFileSync(file, 'utf8').split('\n');
    const list = [];
    lines.forEach((line, i) => {
      if (line.trim() === '') {
        return;
      }
      try {
        list.push(compile(JSON.parse(line), 'fault'));
      } catch (error) {
        throw new FaultError(`${file}:${i + 1}: ${error.message}`);
      }
    });
    this.list = list;
  }

  // Every fault counts every request it matches; the first that is due acts.
  pick(method, path) {
    let chosen = null;
    for (const fault of this.list) {
      const isMatch =
        (!fault.method || fault.method === method) && (!fault.path || fault.path.test(path));
      if (isMatch) {
        fault.seen += 1;
        if (!chosen && fault.seen > fault.after && fault.fired < fault.times) {
          fault.fired += 1;
          chosen = fault.action;
        }
      }
    }
    return chosen;
  }

  show() {
    return this.list.map(({ raw, seen, fired }) => ({ ...raw, seen, fired }));
  }

  static reply(action) {
    const headers = Object.fromEntries(
      Object.entries(action.headers || {}).map(([k, v]) => [k, String(v)])
    );
    if (typeof action.body === 'string') {
      return { status: action.status, headers, text: action.body };
    }
    if (action.body !== undefined && action.body !== null) {
      return { status: action.status, headers, body: action.body };
    }
    if (action.status < 400 || action.status === 401) {
      return { status: action.status, headers };
    }
    return { ...ofStatus(action.status).reply(newRequestId()), headers };
  }
}

module.exports = { Faults, FaultError };
