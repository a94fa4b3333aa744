// SPDX-License-Identifier: Apache-2.0
// The vault by another program: what common/vault/vault.md says, and nothing of ours.  Reads and writes parcels.

import { createCipheriv, createDecipheriv, createHash, createHmac, hkdfSync, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { decode, encode } from '@msgpack/msgpack';

const CHUNK = 65536;
const TAG = 16;
const KINDS = { file: 5, note: 6, state: 7 };

/** [{id, key}], the first one seals. */
export const readKeys = (text) => text.split('\n').filter((l) => l.trim() && !l.startsWith('#'))
  .map((l) => ({ id: l.slice(0, l.indexOf(':')), key: Buffer.from(l.slice(l.indexOf(':') + 1), 'base64') }));

const hkdf = (key, salt, info) => Buffer.from(hkdfSync('sha256', key, salt, info, 32));
const derive = (key, salt, what, parcel, name) => hkdf(key, salt, Buffer.from(`fumibako vault ${what} 1\0${parcel}\0${name}\0`));

export const place = (dir, parcel, name = '') => path.join(dir, 'parcels', parcel.slice(24, 26), parcel, name);
export const fileId = (parcel, number) => createHash('sha256').update(`${parcel}/${number}`).digest('hex').slice(0, 16);

/** Nonce: kind and number; associated data: kind, whether it is the last, number, parcel. */
function bind(kind, index, isLast, parcel) {
  const nonce = Buffer.alloc(12);
  nonce[0] = kind;
  nonce.writeBigUInt64LE(BigInt(index), 4);
  const aad = Buffer.alloc(10);
  aad[0] = kind;
  aad[1] = isLast ? 1 : 0;
  aad.writeBigUInt64LE(BigInt(index), 2);
  return { nonce, aad: Buffer.concat([aad, Buffer.from(parcel)]) };
}

function open(key, nonce, aad, sealed) {
  const d = createDecipheriv('aes-256-gcm', key, nonce);
  d.setAAD(aad);
  d.setAuthTag(sealed.subarray(-TAG));
  return Buffer.concat([d.update(sealed.subarray(0, -TAG)), d.final()]);
}

function seal(key, nonce, aad, plain) {
  const c = createCipheriv('aes-256-gcm', key, nonce);
  c.setAAD(aad);
  return Buffer.concat([c.update(plain), c.final(), c.getAuthTag()]);
}

function openChunks(key, kind, parcel, bytes) {
  const parts = [];
  for (let i = 0; i * (CHUNK + TAG) < bytes.length; i++) {
    const part = bytes.subarray(i * (CHUNK + TAG), (i + 1) * (CHUNK + TAG));
    const { nonce, aad } = bind(kind, i, (i + 1) * (CHUNK + TAG) >= bytes.length, parcel);
    parts.push(open(key, nonce, aad, part));
  }
  return Buffer.concat(parts);
}

function sealChunks(key, kind, parcel, plain) {
  const parts = [];
  const count = Math.max(1, Math.ceil(plain.length / CHUNK));
  for (let i = 0; i < count; i++) {
    const { nonce, aad } = bind(kind, i, i === count - 1, parcel);
    parts.push(seal(key, nonce, aad, plain.subarray(i * CHUNK, (i + 1) * CHUNK)));
  }
  return Buffer.concat(parts);
}

/** The parcel's key; throws when it cannot be opened, as after a purge. */
export function parcelKey(keys, parcel, bytes) {
  if (bytes.toString('latin1', 0, 8) !== 'FBVKEYS1' || bytes.toString('latin1', 64, 68) !== 'LIVE') throw new Error('no key');
  if (!createHash('sha256').update(bytes.subarray(0, 64)).digest().equals(bytes.subarray(128, 160))) throw new Error('damaged');
  const id = bytes.toString('latin1', 8, 40).replace(/\0+$/, '');
  const by = keys.find((k) => k.id === id);
  return open(hkdf(by.key, bytes.subarray(48, 64), Buffer.from('fumibako vault wrap 1')), bytes.subarray(68, 80),
    Buffer.from(`FBVKEYS1${parcel}`), bytes.subarray(80, 128));
}

export function readState(key, parcel, bytes) {
  if (bytes.toString('latin1', 0, 8) !== 'FBVSTAT1') throw new Error('no state');
  return decode(openChunks(derive(key, bytes.subarray(8, 24), 'state', parcel, ''), KINDS.state, parcel, bytes.subarray(32)));
}

export function readFile(key, parcel, id, bytes) {
  if (bytes.toString('latin1', 0, 8) !== 'FBVFILE1') throw new Error('no file');
  const own = derive(key, bytes.subarray(8, 24), 'file', parcel, id);
  const { nonce, aad } = bind(KINDS.note, 0, true, parcel);
  const note = open(own, nonce, aad, bytes.subarray(24, 200));
  const content = openChunks(own, KINDS.file, parcel, bytes.subarray(256));
  return { content, size: Number(note.readBigUInt64LE(0)), sha1: note.subarray(8, 28).toString('hex'), isBody: note[28] === 1,
    type: note.toString('utf8', 30, 30 + note[29]) };
}

/** {state, files: {id: {...}}} of a parcel in a folder. */
export function readParcel(dir, keyFile, parcel) {
  const keys = readKeys(fs.readFileSync(keyFile, 'utf8'));
  const key = parcelKey(keys, parcel, fs.readFileSync(place(dir, parcel, 'key')));
  const state = readState(key, parcel, fs.readFileSync(place(dir, parcel, 'state')));
  const files = Object.fromEntries(state.files.map((f) => [f.id, readFile(key, parcel, f.id, fs.readFileSync(place(dir, parcel, f.id)))]));
  return { state, files };
}

/** Writes a parcel; files: [{content, type, isBody}] in their order. */
export function writeParcel(dir, keyFile, parcel, state, files) {
  const [by] = readKeys(fs.readFileSync(keyFile, 'utf8'));
  const key = randomBytes(32);
  const head = Buffer.alloc(64);
  head.write('FBVKEYS1', 0, 'latin1');
  head.write(by.id, 8, 'latin1');
  createHmac('sha256', by.key).update('fumibako vault key print 1').digest().copy(head, 40, 0, 8);
  randomBytes(16).copy(head, 48);
  const nonce = randomBytes(12);
  const wrapped = seal(hkdf(by.key, head.subarray(48, 64), Buffer.from('fumibako vault wrap 1')), nonce,
    Buffer.from(`FBVKEYS1${parcel}`), key);
  fs.mkdirSync(place(dir, parcel), { recursive: true, mode: 0o700 });
  const put = (name, bytes) => fs.writeFileSync(place(dir, parcel, name), bytes, { mode: 0o600 });
  put('key', Buffer.concat([head, Buffer.from('LIVE'), nonce, wrapped, createHash('sha256').update(head).digest()]));
  files.forEach((file, number) => {
    const id = fileId(parcel, number);
    const note = Buffer.alloc(160);
    note.writeBigUInt64LE(BigInt(file.content.length), 0);
    createHash('sha1').update(file.content).digest().copy(note, 8);
    note[28] = file.isBody ? 1 : 0;
    note[29] = Buffer.byteLength(file.type);
    note.write(file.type, 30);
    const salt = randomBytes(16);
    const own = derive(key, salt, 'file', parcel, id);
    const bound = bind(KINDS.note, 0, true, parcel);
    put(id, Buffer.concat([Buffer.from('FBVFILE1'), salt, seal(own, bound.nonce, bound.aad, note), Buffer.alloc(56),
      sealChunks(own, KINDS.file, parcel, file.content)]));
  });
  const salt = randomBytes(16);
  put('state', Buffer.concat([Buffer.from('FBVSTAT1'), salt, Buffer.alloc(8),
    sealChunks(derive(key, salt, 'state', parcel, ''), KINDS.state, parcel, Buffer.from(encode(state)))]));
}
