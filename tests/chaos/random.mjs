// SPDX-License-Identifier: Apache-2.0
//
// Numbers that look random and are the same for the same seed.

import { createHash, createCipheriv } from 'node:crypto';

/** A generator of its own for each purpose, so that more use in one place moves nothing in another. */
export function seeded(...parts) {
  let a = createHash('sha256').update(parts.join('\0')).digest().readUInt32LE();
  const next = () => { // mulberry32: a number in [0, 1)
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return {
    next,
    below: (n) => Math.floor(next() * n),
    between: (from, to) => from + next() * (to - from),
    one: (list) => list[Math.floor(next() * list.length)],
    /** One key of {key: weight}. */
    weighted(weights) {
      const all = Object.entries(weights);
      let left = next() * all.reduce((sum, [, w]) => sum + w, 0);
      for (const [key, w] of all) {
        left -= w;
        if (left < 0) return key;
      }
      return all.at(-1)[0];
    },
  };
}

/** So many bytes that nobody can compress or guess, the same for the same name. */
export function bytesOf(name, size) {
  const key = createHash('sha256').update(name).digest();
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(size));
}
