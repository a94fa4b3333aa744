// SPDX-License-Identifier: Apache-2.0
// fumibako vault verify: what it finds, what it says, what it removes, and when it says that it could not look.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { Desk, run } from './kit.mjs';
import { fileId, place, writeParcel } from '../vault/format.mjs';

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
let counter = 0;
/** A ULID of that age. */
function parcelId(ageMs = 0) {
  let text = '';
  for (let n = Date.now() - ageMs, i = 0; i < 10; i++, n = Math.floor(n / 32)) text = ALPHABET[n % 32] + text;
  counter++;
  return `${text}${'0'.repeat(12)}${ALPHABET[counter % 32]}${'0'.repeat(3)}-0`;
}

const stateOf = (parcel, files, more = {}) => ({ v: 1, parcel, revision: 2, storage: 'vault', from: 'a@example.jp', subject: '機密', language: 'ja', rule: 'all',
  security: 's', at: Date.now(), expires: 0, purge: 0, access: 0, proof: 1, download: true, watermark: false, members: false, reply: true, max: 0, trusted: 0,
  closed: false, grants: [{ rcpt: 0, to: 'b@example.com', hash: new Uint8Array(32), recalled: false }],
  files: files.map((f, i) => ({ id: fileId(parcel, i), name: f.name, type: f.type, size: f.content.length,
    sha1: new Uint8Array(createHash('sha1').update(f.content).digest()), body: i === 0 })), ...more });

async function create(t) {
  const desk = await Desk.create(t, { redis: false, overrides: {} });
  const dir = path.join(desk.world.dir, 'vault', 'one');
  const keyFile = desk.write('vault.key', `k1:${randomBytes(32).toString('base64')}\n`, 0o600);
  fs.mkdirSync(dir, { recursive: true, mode: 0o700 });
  fs.writeFileSync(path.join(dir, 'vault.id'), parcelId().slice(0, 26), { mode: 0o600 });
  const policy = desk.write('policy.json', JSON.stringify({
    storages: [{ name: 'vault', type: 'vault', url: `file://${dir}`, key_file: keyFile },
      { name: 'second', type: 'vault', url: `file://${path.join(desk.world.dir, 'vault', 'two')}`, key_file: keyFile },
      { name: 'outside', type: 'vault', url: 'file:///srv/not-ours', key_file: keyFile }],
    security_definitions: [{ name: 's' }], rules: [{ name: 'all', action: 'secure', storage: 'vault', security: 's' }] }));
  const config = desk.write('vault.yaml', JSON.stringify(desk.world.config('ctl', { policy: { source: `file:${policy}` } })));
  const make = (ageMs = 0, more = {}) => {
    const id = parcelId(ageMs);
    const files = [{ name: 'a.pdf', type: 'application/pdf', content: randomBytes(100000), isBody: true },
      { name: 'b.bin', type: 'application/octet-stream', content: randomBytes(10) }];
    writeParcel(dir, keyFile, id, stateOf(id, files, more), files);
    return id;
  };
  const verify = async (...args) => {
    const r = await run(['--config', config, '--json', 'vault', 'verify', ...args]);
    return { status: r.status, ...r.json() };
  };
  const text = (...args) => run(['--config', config, 'vault', 'verify', ...args]);
  return { desk, dir, make, verify, text, file: (id, name) => place(dir, id, name) };
}

test('a vault that is whole, one that is not, and what --repair-orphans removes', async (t) => {
  const { dir, make, verify, text, file } = await create(t);
  const good = make();
  const bad = make();
  const lost = make();
  const foreign = make();
  const half = make(0, { grants: [], files: [], revision: 1 });
  const stale = make(60 * 86400e3, { grants: [], files: [], revision: 1 });
  const left = make();
  const all = await text('--storage', 'second');
  assert.deepEqual([all.status, all.stdout], [0, 'second: 0 parcels, 0 files, 0 bytes: all whole.\n'], all.stderr);

  const change = (name, at) => {
    const bytes = fs.readFileSync(name);
    bytes[at] ^= 4;
    fs.writeFileSync(name, bytes);
  };
  change(file(bad, fileId(bad, 0)), 70000);
  fs.rmSync(file(lost, fileId(lost, 1)));
  const key = fs.readFileSync(file(foreign, 'key'));
  key.write('k9\0', 8, 'latin1');
  createHash('sha256').update(key.subarray(0, 64)).digest().copy(key, 128);
  fs.writeFileSync(file(foreign, 'key'), key);
  fs.rmSync(file(left, 'key'));
  const old = new Date(Date.now() - 7200e3);
  for (const name of fs.readdirSync(file(left, ''))) fs.utimesSync(file(left, name), old, old);

  const found = await verify('--storage', 'vault');
  const brief = (list) => list.map((f) => [f.parcel, f.fault, f.name, f.repaired]).sort();
  const expected = (repaired) => [[bad, 'damaged', fileId(bad, 0), false], [lost, 'missing', fileId(lost, 1), false],
    [foreign, 'unknown', 'key', false], [half, 'half_made', '', false], [stale, 'orphan', '', repaired], [left, 'orphan', '', repaired]].sort();
  assert.equal(found.status, 1);
  assert.deepEqual(brief(found.findings), expected(false));
  const { parcels, damaged, missing, unknown, orphans, half_made: halfMade, repaired } = found.storages[0];
  assert.deepEqual({ parcels, damaged, missing, unknown, orphans, halfMade, repaired },
    { parcels: 5, damaged: 1, missing: 1, unknown: 1, orphans: 2, halfMade: 1, repaired: 0 });
  assert.ok(found.findings.every((f) => f.storage === 'vault' && f.text.length > 10));

  const words = await text('--storage', 'vault', '--repair-orphans');
  assert.equal(words.status, 1);
  assert.match(words.stdout, new RegExp(`^damaged {4}${bad}/[0-9a-f]{16}: the stored bytes of .* were changed`, 'm'));
  assert.match(words.stdout, new RegExp(`^unknown {4}${foreign}/key: .*the key k9 is not in the key file`, 'm'));
  assert.match(words.stdout, new RegExp(`^orphan {5}${left}: what is left of a purged parcel; removed$`, 'm'));
  assert.match(words.stdout, /^vault: 5 parcels, .* 3 things WRONG; 2 orphans removed\.$/m);
  assert.doesNotMatch(words.stdout, /example|機密|a\.pdf/);
  assert.deepEqual([left, stale].map((id) => fs.existsSync(file(id, ''))), [false, false]);
  assert.deepEqual([good, bad, lost, foreign, half].map((id) => fs.existsSync(file(id, 'state'))), [true, true, true, true, true]);

  const one = await verify('--storage', 'vault', '--parcel', good);
  assert.deepEqual([one.status, one.findings, one.storages[0].parcels, one.storages[0].files], [0, [], 1, 2]);
  const none = await verify('--storage', 'vault', '--parcel', parcelId());
  assert.deepEqual([none.status, none.error.code], [1, 'not_found']);
  fs.writeFileSync(path.join(dir, 'vault.id'), 'damaged');
  const broken = await verify('--storage', 'vault');
  assert.deepEqual([broken.status, broken.error.code], [78, 'config']);
});

test('what cannot be looked at is said: outside of vault.roots, no such vault, no such option', async (t) => {
  const { verify, text } = await create(t);
  const outside = await verify();
  assert.equal(outside.status, 78);
  assert.match(outside.error.message, /storage "outside": the vault file:\/\/\/srv\/not-ours lies in none of the folders of vault\.roots/);
  const unknown = await verify('--storage', 'box');
  assert.deepEqual([unknown.status, unknown.error.message], [1, 'the policy in force has no vault "box"']);
  assert.equal((await verify('--storage', 'vault', '--parcel', '../../etc')).status, 1);
  assert.equal((await text('--everything')).status, 2);
});
