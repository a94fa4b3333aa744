// SPDX-License-Identifier: Apache-2.0
//
// A second implementation of the wire formats: @msgpack/msgpack reads every golden vector to what its
// description says and writes the same bytes, and what it writes is read by ours (proto_cat) - also in
// shapes that ours would never write.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { decode, encode } from '@msgpack/msgpack';
import { ROOT, binDir } from '../../support/harness.mjs';

const VECTORS = path.join(ROOT, 'proto/vectors');
const CAT = path.join(binDir(), 'proto_cat');

/** The description's form of a value (see tests/unit/proto/proto_json.h). */
function describe(value) {
  if (value instanceof Uint8Array) return { $bin: Buffer.from(value).toString('hex') };
  if (typeof value === 'bigint') return value < 2n ** 53n && value > -(2n ** 53n) ? Number(value) : { $uint: `${value}` };
  if (Array.isArray(value)) return value.map(describe);
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, describe(v)]));
  }
  return value;
}

/** And back to what the library writes.  Its 64-bit mode writes a bigint in 64 bits, and a plain number of 2^32 or more
 *  as a float, which is no whole number for a reader of ours. */
function build(value) {
  if (Number.isInteger(value) && value >= 2 ** 32) return BigInt(value);
  if (Array.isArray(value)) return value.map(build);
  if (value === null || typeof value !== 'object') return value;
  if (typeof value.$bin === 'string') return Buffer.from(value.$bin, 'hex');
  if (typeof value.$uint === 'string') return BigInt(value.$uint);
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, build(v)]));
}

const pack = (value) => Buffer.from(encode(build(value), { useBigInt64: true }));
const unpack = (bytes) => describe(decode(bytes, { useBigInt64: true }));

function cat(how, kind, input) {
  const run = spawnSync(CAT, [how, kind], { input, timeout: 120000, maxBuffer: 64 << 20 });
  if (run.error) throw run.error;
  return { ok: run.status === 0, out: run.stdout, error: run.stderr.toString().trim() };
}

const read = (kind, bytes) => {
  const { ok, out, error } = cat('decode', kind, bytes);
  assert.ok(ok, `${kind}: ${error}`);
  return JSON.parse(out);
};

const good = fs.readdirSync(path.join(VECTORS, 'good')).filter((f) => f.endsWith('.json')).map((f) => {
  const base = path.join(VECTORS, 'good', f.slice(0, -5));
  return { name: f.slice(0, -5), bytes: fs.readFileSync(`${base}.msgpack`), ...JSON.parse(fs.readFileSync(`${base}.json`)) };
});

test('every good vector reads to its description', () => {
  assert.ok(good.length >= 30);
  for (const v of good) assert.deepEqual(unpack(v.bytes), v.wire, v.name);
});

test('every description is written to the vector, byte for byte', () => {
  for (const v of good.filter((g) => g.canonical !== false)) {
    assert.equal(pack(v.wire).toString('hex'), v.bytes.toString('hex'), v.name);
  }
});

test('what the library writes is read by ours', () => {
  for (const v of good) assert.deepEqual(read(v.kind, pack(v.wire)), v.reads ?? v.wire, v.name);
});

test('what ours writes is read by the library', () => {
  for (const v of good) {
    const { ok, out, error } = cat('encode', v.kind, JSON.stringify(v.reads ?? v.wire));
    assert.ok(ok, `${v.name}: ${error}`);
    assert.deepEqual(unpack(out), v.reads ?? v.wire, v.name);
  }
});

test('the order of keys means nothing', () => {
  for (const v of good) {
    const turned = Object.fromEntries(Object.entries(v.wire).reverse());
    assert.deepEqual(read(v.kind, pack(turned)), v.reads ?? v.wire, v.name);
  }
});

test('keys of a later version are skipped', () => {
  const later = { zz: { deep: [1, -1, null, 1.5, { $bin: '00ff' }] }, yy: 'text', xx: [[[[]]]] };
  for (const v of good) assert.deepEqual(read(v.kind, pack({ ...v.wire, ...later })), v.reads ?? v.wire, v.name);
});

test('each required key that is missing, and each key of a wrong type, is refused by its name', () => {
  const optional = { // keys that may be missing
    'job-revoke-recall-id': ['recall'],
    'job-v2-letter-recall': ['letter'],
    'job-v3-letter-code': ['letter'],
    'envelope-full': ['ret', 'envid', 'client', 'name', 'helo', 'proto', 'queue'],
    'plan-secure': [],
    'parcel-facts': ['from', 'subject', 'language', 'rule', 'at', 'remind', 'purge', 'receipt'],
    'parcel-fallback': ['from', 'subject', 'language', 'rule', 'at', 'remind', 'purge', 'receipt', 'fallback'],
  };
  for (const [name, mayMiss] of Object.entries(optional)) {
    const { kind, wire } = good.find((g) => g.name === name);
    for (const key of Object.keys(wire)) {
      const { [key]: _, ...rest } = wire;
      const missing = cat('decode', kind, pack(rest));
      if (mayMiss.includes(key)) assert.ok(missing.ok, missing.error);
      else assert.equal(missing.error, `invalid: ${kind}.${key}: missing`);
      for (const wrong of [null, -1, 1.5, { $bin: '00' }, { map: 1 }]) {
        const { ok, error } = cat('decode', kind, pack({ ...wire, [key]: wrong }));
        assert.ok(!ok && error.startsWith(`invalid: ${kind}.${key}`), `${kind}.${key} = ${JSON.stringify(wrong)}: ${error}`);
      }
    }
  }
});

test('every bad vector is refused with the words of the index', () => {
  const index = JSON.parse(fs.readFileSync(path.join(VECTORS, 'bad/index.json')));
  for (const [file, { kind, status, error }] of Object.entries(index)) {
    const got = cat('decode', kind, fs.readFileSync(path.join(VECTORS, 'bad', file)));
    assert.ok(!got.ok && got.error.startsWith(`${status}: ${error}`), `${file}: ${got.error}`);
  }
});

test('the specification names every key, and no other', () => {
  const text = fs.readFileSync(path.join(ROOT, 'proto/jobs.md'), 'utf8');
  const keysOf = (section) => {
    const body = text.split(/^## /m).find((s) => s.startsWith(section));
    assert.ok(body, `jobs.md has no section ${section}`);
    return [...body.matchAll(/^\| `([a-z0-9]+)` \|/gm)].map((m) => m[1]).sort();
  };
  const wire = (name) => good.find((g) => g.name === name).wire;
  const sections = {
    Job: { ...wire('job-revoke-recall-id'), ...wire('job-v2-letter-recall'), ...wire('job-v3-letter-code') }, Envelope: wire('envelope-full'), 'Envelope recipient': wire('envelope-full').rcpts[0],
    Plan: wire('plan-shadow'), 'Plan part': wire('plan-secure').parts[0], 'Plan branch': wire('plan-dates').branches[0],
    Parcel: { ...wire('parcel-vault'), ...wire('parcel-fallback') },
    'Parcel grant': { ...wire('parcel-vault').grants[0], ...wire('parcel-fallback').grants[1] },
    'Parcel file': wire('parcel-facts').files[0],
  };
  for (const [section, map] of Object.entries(sections)) {
    assert.deepEqual(keysOf(`${section}\n`), Object.keys(map).sort(), section);
  }
});
