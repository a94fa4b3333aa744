// SPDX-License-Identifier: Apache-2.0
//
// What the soak samples, and the line through it.

import fs from 'node:fs';
import path from 'node:path';
import { childrenOf, sizeOf, treeOf } from '../bench/kit/meter.mjs';

const MIB = 1 << 20;

/** Bytes and files below a folder. */
function folderSize(folder) {
  let bytes = 0;
  let files = 0;
  let entries;
  try { entries = fs.readdirSync(folder, { withFileTypes: true }); } catch { return { bytes, files }; }
  for (const e of entries) {
    const name = path.join(folder, e.name);
    if (e.isDirectory()) {
      const below = folderSize(name);
      bytes += below.bytes;
      files += below.files;
    } else {
      try { bytes += fs.statSync(name).blocks * 512; files++; } catch { /* removed meanwhile */ }
    }
  }
  return { bytes, files };
}

/** What is below render: its sandboxes come and go, its browsers are replaced; each kind is a row of its own. */
function renderChildren(pid) {
  const sum = { sandboxes: { memory: 0, descriptors: 0, processes: 0 }, chromium: { memory: 0, descriptors: 0, processes: 0 } };
  for (const p of childrenOf(pid).flatMap(treeOf)) {
    const size = sizeOf(p);
    if (!size) continue;
    const kind = size.name.startsWith('chrom') || size.name.startsWith('headless') ? sum.chromium : sum.sandboxes;
    kind.memory += size.memory;
    kind.descriptors += size.descriptors;
    kind.processes++;
  }
  return sum;
}

export class Watch {
  /** stack: a running Stack; each sample is {at (s), <row>: {<column>: number}}. */
  constructor(stack) {
    this.stack = stack;
    this.samples = [];
    this.from = Date.now();
  }

  async sample(done) {
    const s = { at: (Date.now() - this.from) / 1000, done, rows: {} };
    const { world, running } = this.stack;
    for (const service of running) {
      const size = sizeOf(service.pid);
      if (!size) throw new Error(`${service.name} is gone:\n${service.output.slice(-2000)}`);
      s.rows[service.name] = { memory: size.memory, descriptors: size.descriptors, threads: size.threads };
      if (service.name === 'render') {
        const { sandboxes, chromium } = renderChildren(service.pid);
        s.rows['render: sandboxes'] = sandboxes;
        s.rows['render: Chromium'] = chromium;
      }
    }
    const info = await world.redis.command('INFO');
    const of = (key) => Number(new RegExp(`^${key}:(\\d+)`, 'm').exec(info)?.[1] ?? 0);
    const size = sizeOf(world.redis.process.pid);
    s.rows.redis = { memory: size.memory, used: of('used_memory'), data: of('used_memory_dataset'), descriptors: size.descriptors,
      threads: size.threads, clients: of('connected_clients') };
    // Walking a hundred thousand manifests each time would be a load of its own.
    if (this.samples.length % 6 === 0 || !this.spool) {
      this.spool = {};
      for (const name of fs.readdirSync(world.spoolDir)) this.spool[name] = folderSize(path.join(world.spoolDir, name));
    }
    s.spool = this.spool;
    this.samples.push(s);
    return s;
  }

  /** The values of one column after the warm-up, as [hours, value]. */
  series(row, column, warmup) {
    return this.samples.filter((s) => s.at >= warmup && s.rows[row]?.[column] !== undefined)
      .map((s) => [s.at / 3600, s.rows[row][column]]);
  }
}

/** Least squares: {start, end (on the line), slope (per hour), growth (over the time), hours, error (of growth)}. */
export function lineThrough(points) {
  const n = points.length;
  const mean = (i) => points.reduce((sum, p) => sum + p[i], 0) / n;
  const [mx, my] = [mean(0), mean(1)];
  const sxx = points.reduce((sum, [x]) => sum + (x - mx) ** 2, 0);
  const slope = sxx === 0 ? 0 : points.reduce((sum, [x, y]) => sum + (x - mx) * (y - my), 0) / sxx;
  const at = (x) => my + slope * (x - mx);
  const [first, last] = [points[0][0], points[n - 1][0]];
  const rest = points.reduce((sum, [x, y]) => sum + (y - at(x)) ** 2, 0);
  const error = n > 2 && sxx > 0 ? Math.sqrt(rest / (n - 2) / sxx) : 0;
  return { start: at(first), end: at(last), slope, growth: at(last) - at(first), hours: last - first,
    error: error * (last - first) };
}

/**
 * Whether a line is flat: what it grew over the measured time is within the bound, or within twice its own standard
 * error (processes that come and go are noise, not growth).
 */
export function isFlat(line, bound) {
  return line.growth <= Math.max(bound, 2 * line.error);
}

/** The bound on growth of a column that starts at `start`, over the whole measured time. */
export const BOUNDS = {
  memory: (start) => Math.max(0.05 * start, 2 * MIB),
  descriptors: () => 3,
  threads: () => 1,
  clients: () => 1,
};

/** Sandboxes and browsers live for a while, and how many there are depends on the moment: theirs is a wider one. */
export const BOUNDS_PASSING = { memory: (start) => Math.max(0.25 * start, 16 * MIB), descriptors: (start) => Math.max(0.25 * start, 16) };
