// SPDX-License-Identifier: Apache-2.0
// Pieces of mails that no library of Node makes: ISO-2022-JP as mailers really write it (CP50221), a winmail.dat,
// small PNGs.

import { spawnSync } from 'node:child_process';
import { deflateSync } from 'node:zlib';
import { bytes } from './kit.mjs';

/** ISO-2022-JP with NEC row 13 and half-width kana (JIS X 0201 by ESC ( I), as Outlook and friends send it. */
export function cp50221(text) {
  const out = [];
  let mode = 'ascii';
  const enter = (to, escape) => {
    if (mode !== to) out.push(0x1b, ...Buffer.from(escape));
    mode = to;
  };
  for (const c of text) {
    if (c.codePointAt(0) < 0x80) {
      enter('ascii', '(B');
      out.push(c.codePointAt(0));
      continue;
    }
    const r = spawnSync('iconv', ['-f', 'UTF-8', '-t', 'CP932'], { input: c });
    if (r.status !== 0) throw new Error(`not in CP932: ${c}`);
    if (r.stdout.length === 1) {
      enter('kana', '(I');
      out.push(r.stdout[0] & 0x7f);
      continue;
    }
    let [a, b] = r.stdout;
    let row = (a < 0xe0 ? a - 0x81 : a - 0xc1) * 2;
    if (b >= 0x9f) { row++; b -= 0x9f; } else b -= b > 0x7f ? 0x41 : 0x40;
    enter('kanji', '$B');
    out.push(row + 0x21, b + 0x21);
  }
  enter('ascii', '(B');
  return Buffer.from(out);
}

/** A multipart of parts (Buffers: header fields, empty line, body); head: fields of the message, or "" with inner. */
export function multipart(kind, head, parts, { inner = false } = {}) {
  const boundary = `b${Math.random().toString(36).slice(2)}`;
  return bytes(inner ? '' : `${head}MIME-Version: 1.0\r\n`, `Content-Type: multipart/${kind}; boundary="${boundary}"\r\n\r\n`,
    ...parts.flatMap((p) => [`--${boundary}\r\n`, p, '\r\n']), `--${boundary}--\r\n`);
}

/** A winmail.dat with these files: [[name, data]]. */
export function tnef(list) {
  const attribute = (level, id, data) => {
    const head = Buffer.alloc(9);
    head.writeUInt8(level, 0);
    head.writeUInt32LE(id, 1);
    head.writeUInt32LE(data.length, 5);
    const sum = Buffer.alloc(2);
    sum.writeUInt16LE(data.reduce((n, b) => (n + b) & 0xffff, 0));
    return Buffer.concat([head, data, sum]);
  };
  return Buffer.concat([Buffer.from([0x78, 0x9f, 0x3e, 0x22, 1, 0]),
    attribute(1, 0x00089006, Buffer.from([0, 0, 1, 0])),
    ...list.flatMap(([name, data]) => [attribute(2, 0x00069002, Buffer.alloc(14)),
      attribute(2, 0x00018010, Buffer.from(`${name}\0`)), attribute(2, 0x0006800f, data)])]);
}

const crcTable = Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c >>> 0;
});
const crc = (data) => (data.reduce((c, b) => (crcTable[(c ^ b) & 255] ^ (c >>> 8)) >>> 0, 0xffffffff) ^ 0xffffffff) >>> 0;

/** A PNG of one colour; rows may be fewer than height says (a bomb needs no data). */
export function png(width, height, rgb, rows = height) {
  const chunk = (type, data) => {
    const out = Buffer.alloc(12 + data.length);
    out.writeUInt32BE(data.length, 0);
    out.write(type, 4, 'latin1');
    data.copy(out, 8);
    out.writeUInt32BE(crc(out.subarray(4, 8 + data.length)), 8 + data.length);
    return out;
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 2, 0, 0, 0], 8);
  const row = Buffer.concat([Buffer.from([0]), Buffer.from(Array.from({ length: Math.min(width, 4096) }, () => rgb).flat())]);
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), chunk('IHDR', head),
    chunk('IDAT', deflateSync(Buffer.concat(Array.from({ length: rows }, () => row)))), chunk('IEND', Buffer.alloc(0))]);
}

export const PNG_RED = png(60, 40, [220, 20, 20]);
