// SPDX-License-Identifier: Apache-2.0
// Signature version 4 of AWS, written from its description (Signature Version 4 signing process; Authenticating
// Requests: Using the Authorization Header) and from nothing of ours: what libcurl signs is compared with this.
import { createHash, createHmac } from 'node:crypto';

export const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');
const hmac = (key, text) => createHmac('sha256', key).update(text).digest();

/** UriEncode() of the description: everything but unreserved characters, in bytes, upper-case hex. */
export function uriEncode(text, keepsSlash = false) {
  let out = '';
  for (const byte of Buffer.from(text, 'utf8')) {
    const c = String.fromCharCode(byte);
    out += /[A-Za-z0-9\-._~]/.test(c) || (keepsSlash && c === '/') ? c
      : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return out;
}

function canonicalQuery(query) {
  if (!query) return '';
  const pairs = query.split('&').map((pair) => {
    const at = pair.indexOf('=');
    const decode = (s) => decodeURIComponent(s);
    return at < 0 ? [uriEncode(decode(pair)), ''] : [uriEncode(decode(pair.slice(0, at))), uriEncode(decode(pair.slice(at + 1)))];
  });
  pairs.sort(([a, x], [b, y]) => (a < b ? -1 : a > b ? 1 : x < y ? -1 : x > y ? 1 : 0));
  return pairs.map(([k, v]) => `${k}=${v}`).join('&');
}

/** headers: array of [name, value] as on the wire; target: path and query as on the wire; S3 encodes a path once. */
export function canonicalRequest({ method, target, headers, signed, payloadHash }) {
  const at = target.indexOf('?');
  const path = at < 0 ? target : target.slice(0, at);
  const values = new Map();
  for (const [name, value] of headers) {
    const key = name.toLowerCase();
    const text = value.trim().replace(/ +/g, ' ');
    values.set(key, values.has(key) ? `${values.get(key)},${text}` : text);
  }
  const names = [...signed].sort();
  return [method, uriEncode(decodeURIComponent(path), true), canonicalQuery(at < 0 ? '' : target.slice(at + 1)),
    ...names.map((n) => `${n}:${values.get(n) ?? ''}`), '', names.join(';'), payloadHash].join('\n');
}

export function stringToSign(time, scope, request) {
  return ['AWS4-HMAC-SHA256', time, scope, sha256(request)].join('\n');
}

export function signature(secret, scope, text) {
  const [date, region, service, end] = scope.split('/');
  return hmac(hmac(hmac(hmac(hmac(`AWS4${secret}`, date), region), service), end), text).toString('hex');
}

/** Checks a request as it came: '' when all is right, else what is not. */
export function verify({ method, target, headers, body }, { keyId, secret, region, service = 's3', now = Date.now() }) {
  const get = (name) => headers.find(([n]) => n.toLowerCase() === name)?.[1];
  const match = /^AWS4-HMAC-SHA256 Credential=([^/]+)\/([^,]+), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/
    .exec(get('authorization') ?? '');
  if (!match) return 'no Authorization of version 4';
  const [, id, scope, list, given] = match;
  const time = get('x-amz-date') ?? '';
  const signed = list.split(';');
  const payloadHash = get('x-amz-content-sha256') ?? '';
  if (id !== keyId) return `another key id: ${id}`;
  if (scope !== `${time.slice(0, 8)}/${region}/${service}/aws4_request`) return `another scope: ${scope}`;
  const at = Date.parse(time.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
  if (!(Math.abs(at - now) < 300000)) return `a time that is off: ${time}`;
  if (payloadHash !== sha256(body)) return 'x-amz-content-sha256 is not the hash of the body';
  if (!signed.includes('host')) return 'host is not signed';
  for (const [name] of headers) {
    if (name.toLowerCase().startsWith('x-amz-') && !signed.includes(name.toLowerCase())) return `${name} is not signed`;
  }
  const request = canonicalRequest({ method, target, headers, signed, payloadHash });
  return signature(secret, scope, stringToSign(time, scope, request)) === given ? '' : `another signature for\n${request}`;
}
