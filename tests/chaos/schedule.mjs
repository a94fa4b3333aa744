// SPDX-License-Identifier: Apache-2.0
//
// Which fault comes when, to whom, for how long: decided by the seed alone, before anything runs.

import { FAULTS } from './faults.mjs';
import { seeded } from './random.mjs';

/**
 * Endless: {n, at, kind, target, seconds, dose}; `at` in ms from the start, `every` s apart on average.  Faults of one
 * group (one service, one disk, Redis, ...) follow each other, those of different groups meet.  `only`: a regular expression.
 */
export function* schedule(seed, every, only = null) {
  const r = seeded('schedule', seed);
  const weights = Object.fromEntries(Object.entries(FAULTS).filter(([k]) => !only || only.test(k)).map(([k, f]) => [k, f.weight]));
  if (Object.keys(weights).length === 0) return;
  const busy = new Map();
  let at = 0;
  for (let n = 1; ; n++) {
    at += Math.max(200, Math.min(4, -Math.log(1 - r.next())) * every * 1000);
    for (let tries = 0; tries < 50; tries++) {
      const kind = r.weighted(weights);
      const fault = FAULTS[kind];
      const target = fault.targets ? r.one(fault.targets) : null;
      const seconds = Math.round(r.between(...fault.seconds) * 10) / 10;
      const dose = r.next();
      const group = fault.group ?? target;
      if ((busy.get(group) ?? 0) > at) continue;
      busy.set(group, at + seconds * 1000 + (fault.rest ?? 2000));
      yield { n, at: Math.round(at), kind, target, seconds, dose };
      break;
    }
  }
}
