// SPDX-License-Identifier: Apache-2.0
//
// Records of mails as the services leave them in Redis (common/ledger/ledger.md), for tests and benchmarks that need many:
// one that was secured, went out, and was opened by some.  Titles are sealed as common/title.c does.

import { createCipheriv, hkdfSync, randomBytes } from 'node:crypto';

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

export function ulid(ms, random = randomBytes(16)) {
  let out = '';
  for (let i = 9, t = ms; i >= 0; i -= 1, t = Math.floor(t / 32)) out = ALPHABET[t % 32] + out;
  for (let i = 0; i < 16; i += 1) out += ALPHABET[random[i] % 32];
  return out;
}

const keys = new Map();

export function sealTitle(key, id, subject, language = 'ja') {
  if (!keys.has(key)) {
    keys.set(key, Buffer.from(hkdfSync('sha256', key, '', 'fumibako title 1', 32)));
  }
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', keys.get(key), nonce);
  cipher.setAAD(Buffer.from(id));
  const text = Buffer.concat([Buffer.from([language.length]), Buffer.from(language), Buffer.from(subject)]);
  const sealed = Buffer.concat([cipher.update(text), cipher.final()]);
  return Buffer.concat([Buffer.from([1]), nonce, sealed, cipher.getAuthTag()]).toString('base64');
}

/** A title as it lies in the record (common/ledger/write.c). */
export const pieces = (text) => Object.fromEntries(text.match(/.{1,60}/g).map((p, i) => [i === 0 ? 'title' : `title:${i}`, p]));

/** The commands that make one record, as arrays. */
export function record({ id, at, from, to, subject, key, size = 48213, state = 'done', opened = false, rule = 'secure outbound',
  storage = 'box', secret = 'a'.repeat(64) }) {
  const parcel = `${id}-0`;
  const m = { v: undefined, queued: at, lane: undefined, state, at, from, size, n: to.length, ttl: 34560000000, branches: 1,
    ...(key ? pieces(sealTitle(key, id, subject)) : {}), 'b:0': `secure|${parcel}|${rule}`, 'bs:0': state === 'done' ? 'sent' : 'rendered',
    left: state === 'done' ? 0 : 1, 'd:render:0': '1764300000000-0/render-host-1', };
  if (state === 'done') Object.assign(m, { 'bt:0': at + 2200, 'u:0': at + 1500, done_ms: at + 2210,
    'd:upload:0': '1764300000001-0/upload-host-1', 'd:rewrite:0': '1764300000002-0/rewrite-host-1' });
  to.forEach((address, i) => { m[`r:${i}`] = address; m[`i:${i}`] = 0; if (state === 'done') m[`s:${i}`] = 'sending'; });
  const flat = (o) => Object.entries(o).filter(([, v]) => v !== undefined).flatMap(([k, v]) => [k, String(v)]);
  const out = [['HSET', `fb:{s0}:m:${id}`, ...flat(m)], ['ZADD', 'fb:{s0}:t', String(at), id]];
  for (const address of new Set([from, ...to])) out.push(['ZADD', `fb:{s0}:a:${address.toLowerCase()}`, String(at), id]);
  if (state !== 'done') {
    out.push(['ZADD', 'fb:{s0}:open', String(at), id]);
    return out;
  }
  out.push(['HSET', `fb:{s0}:p:${parcel}`, ...flat({ storage, user: '12345678', folder: '987654321', rule, security: 'recipients only',
    access: 'recipients', download: 1, expires: at + 30 * 86400000, branch: 0, at: at + 1500, receipt: 1 })]);
  to.forEach((address, i) => {
    const grant = opened && i === 0 ? 'opened' : 'active';
    out.push(['HSET', `fb:{s0}:g:${parcel}`, String(i), `${grant}|${storage === 'box' ? '5566778899' : secret}|${at + 1500}||upload`]);
    if (opened && i === 0) {
      out.push(['HSET', `fb:{s0}:w:${parcel}`, 'n:0:preview', '1', 'o:0', String(at + 60000)]);
      out.push(['RPUSH', `fb:{s0}:h:${parcel}`, JSON.stringify({ at: at + 60000, recipient: 0, from: 'active', to: 'opened', actor: address,
        source: 'watch', event: 'preview' })]);
    }
  });
  return out;
}

export const resp = (command) => `*${command.length}\r\n${command.map((c) => `$${Buffer.byteLength(c)}\r\n${c}\r\n`).join('')}`;
