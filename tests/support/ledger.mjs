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
export function pieces(text) {
  const bytes = Buffer.from(text, 'base64');
  const out = {};
  for (let i = 0; i * 60 < bytes.length; i += 1) out[i === 0 ? 'title' : `title:${i}`] = bytes.subarray(i * 60, i * 60 + 60);
  return out;
}

const HOUR = 3600000;
const YEAR = 34560000; // 400 days, in seconds: retention.ledger
const LIFE = 30 * 24 * HOUR; // of a parcel

/** An id as the listings have it (common/ledger/listing.h). */
export function packed(id) {
  const out = Buffer.alloc(16);
  let bits = 0;
  let have = -2;
  let at = 0;
  for (const c of id) {
    bits = ((bits << 5) | ALPHABET.indexOf(c)) & 0xffff;
    have += 5;
    if (have >= 8) {
      have -= 8;
      out[at++] = (bits >> have) & 0xff;
    }
  }
  return out;
}

/** Where the way from a folder to its parcel lies (common/ledger/folder.c). */
export function bucket(folder) {
  let hash = 2166136261;
  for (const c of Buffer.from(folder)) hash = Math.imul(hash ^ c, 16777619) >>> 0;
  return `fb:{s0}:f:b:${(((hash ^ (hash >>> 16)) >>> 0) % 0x4000).toString(16)}`;
}

const flat = (o) => Object.entries(o).filter(([, v]) => v !== undefined).flatMap(([k, v]) => [k, Buffer.isBuffer(v) ? v : String(v)]);

/** The commands that list a mail. */
function listed({ id, at, from, to }) {
  const member = packed(id);
  const hour = Math.floor(at / HOUR);
  const life = String(YEAR + 90 * 86400 + 3600);
  const names = [...new Set(to.map((a) => `fb:{s0}:l:a:${a.toLowerCase()}`)),
    `fb:{s0}:l:s:${Math.floor(at / (720 * HOUR))}:${from.toLowerCase()}`];
  return [['ZADD', 'fb:{s0}:l:hours', String(hour), String(hour)], ['EXPIRE', 'fb:{s0}:l:hours', life],
    ['APPEND', `fb:{s0}:l:t:${hour}`, member], ['EXPIRE', `fb:{s0}:l:t:${hour}`, life],
    ...names.flatMap((key) => [['ZADD', key, '0', member], ['EXPIRE', key, life]])];
}

/** The message's own record.  Not ended: as it is before its parcel is there. */
function message({ id, at, from, to, subject, key, size, state, rule, sealed }) {
  const title = sealed ?? (key ? sealTitle(key, id, subject) : null);
  const isDone = state === 'done';
  const m = { queued: isDone ? 1 : at, state, at, from, size, n: to.length, ...(isDone ? {} : { ttl: YEAR * 1000 }), branches: 1,
    ...(title ? pieces(title) : {}), 'b:0': `secure|${id}-0|${rule}`, 'bs:0': isDone ? 'sent' : 'rendered', left: isDone ? 0 : 1 };
  if (isDone) Object.assign(m, { 'bt:0': at + 2200, 'u:0': at + 1500, done_ms: at + 2210, 'd:rewrite:0': 187654321 });
  else m['d:render:0'] = '1764300000000-0/render-host-1';
  to.forEach((address, i) => {
    m[`r:${i}`] = address;
    m[isDone ? `s:${i}` : `i:${i}`] = isDone ? 'sending' : 0;
  });
  return m;
}

/** The commands that make one record, as arrays of strings and buffers.  expired: the parcel's time is over, and revoke has been there. */
export function record({ id, at, from, to, subject, key, size = 48213, state = 'done', opened = false, expired = false, rule = 'secure outbound',
  storage = 'box', folder = '397654321098', secret = 'a'.repeat(64), sealed = null }) {
  const parcel = `${id}-0`;
  const out = [['HSET', `fb:{s0}:m:${id}`, ...flat(message({ id, at, from, to, subject, key, size, state, rule, sealed }))],
    ...listed({ id, at, from, to })];
  if (state !== 'done') {
    out.push(['ZADD', 'fb:{s0}:open', String(at), id], ['EXPIRE', `fb:{s0}:m:${id}`, String(YEAR + 90 * 86400)]);
    return out;
  }
  const ttl = String(YEAR + LIFE / 1000);
  const expires = at + LIFE;
  const bucketKey = bucket(folder);
  out.push(['EXPIRE', `fb:{s0}:m:${id}`, String(YEAR)]);
  const g = `fb:{s0}:g:${parcel}`;
  out.push(['HSET', g, ...flat({ storage, folder, access: 'recipients', at: at + 1500, expires, user: '12345678901', receipt: 1 })],
    ['EXPIRE', g, ttl]);
  out.push(['HSET', bucketKey, `${folder} ${storage}`, `${parcel} ${Math.floor((at + LIFE) / 86400000) + 401}`], ['EXPIRE', bucketKey, ttl]);
  if (!expired) out.push(['ZADD', 'fb:{s0}:due', String(expires), parcel]);
  to.forEach((address, i) => {
    const isOpened = opened && i === 0;
    const grant = storage === 'box' ? `556677889${i}0` : '';
    const now = expired ? ['expired', grant, expires + 900, 'schedule', 'revoke']
      : isOpened ? ['opened', grant, at + 60000, address, 'events'] : ['active', grant, at + 1500, '', 'upload'];
    if (now.join('|').length > 64) now[3] = '';
    out.push(['HSET', g, String(i), now.join('|')]);
    if (storage !== 'box') out.push(['HSET', g, `v:${i}`, Buffer.from(secret, 'hex')]);
    if (!isOpened) return;
    out.push(['HSET', g, 'n:0:preview', '1', 'o:0', String(at + 60000), 'u:22334455667', '0'],
      ['RPUSH', `fb:{s0}:h:${parcel}`, JSON.stringify({ at: at + 60000, recipient: i, from: 'active', to: 'opened', actor: address, source: 'events',
        event: 'preview' })], ['EXPIRE', `fb:{s0}:h:${parcel}`, ttl]);
  });
  return out;
}

/** A command for Redis, as a string of bytes (latin1): millions of small buffers are slow. */
const bytesOf = (c) => (Buffer.isBuffer(c) ? c.toString('latin1') : /[^\x00-\x7f]/.test(c) ? Buffer.from(c).toString('latin1') : c);
export function resp(command) {
  let out = `*${command.length}\r\n`;
  for (const part of command) {
    const bytes = bytesOf(part);
    out += `$${bytes.length}\r\n${bytes}\r\n`;
  }
  return out;
}

/** The grants of a parcel: [recipient's index, state, id], the id of a vault's in hex; by index. */
export async function grantsOf(redis, parcel) {
  const flat = await redis.command('EVAL', `local all, out = redis.call('HGETALL', KEYS[1]), {}
    for i = 1, #all, 2 do
      if all[i]:match('^%d+$') then
        local state, id = all[i + 1]:match('^([^|]*)|([^|]*)|')
        local vault = redis.call('HGET', KEYS[1], 'v:' .. all[i])
        if vault then id = vault:gsub('.', function(c) return string.format('%02x', c:byte()) end) end
        table.insert(out, all[i]); table.insert(out, state); table.insert(out, id)
      end
    end
    return out`, 1, `fb:{s0}:g:${parcel}`);
  return Array.from({ length: flat.length / 3 }, (_, i) => flat.slice(3 * i, 3 * i + 3)).sort((a, b) => a[0] - b[0]);
}
