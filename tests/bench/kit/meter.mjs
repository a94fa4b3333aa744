// SPDX-License-Identifier: Apache-2.0
//
// Processor time, memory, disk writes and descriptors of process trees, as the kernel counts them.
//
//   const meter = Meter.create();       a control group of our own where the system lets us make one: it counts every
//   meter.add(pid);                     process that is ever below, those included that nobody waits for (Chromium's);
//   ... meter.seconds()                 else the sums of /proc, in which those are missing

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

const TICKS = Number(execFileSync('getconf', ['CLK_TCK']).toString());
const V1 = '/sys/fs/cgroup/cpuacct';
const V2 = '/sys/fs/cgroup';

const read = (file) => { try { return fs.readFileSync(file, 'latin1'); } catch { return ''; } };

/** The processes directly below a process. */
export function childrenOf(pid) {
  let tasks;
  try { tasks = fs.readdirSync(`/proc/${pid}/task`); } catch { return []; }
  return tasks.flatMap((task) => read(`/proc/${pid}/task/${task}/children`).trim().split(' ').filter(Boolean).map(Number));
}

/** A process and everything below it: [pid, ...]. */
export const treeOf = (pid) => [pid, ...childrenOf(pid).flatMap(treeOf)];

/** Processor seconds so far of a process and everything below it that runs, or has ended and was waited for. */
export function cpuOf(pid) {
  let total = 0;
  for (const p of treeOf(pid)) {
    const stat = read(`/proc/${p}/stat`);
    if (stat === '') continue;
    const f = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    total += (Number(f[11]) + Number(f[12]) + Number(f[13]) + Number(f[14])) / TICKS;
  }
  return total;
}

/** Bytes that a process tree had written to a disk so far; of children that ended only what their parents took over. */
export const writtenBy = (pid) => treeOf(pid).reduce((sum, p) => sum
  + Number(/^write_bytes: (\d+)/m.exec(read(`/proc/${p}/io`))?.[1] ?? 0)
  - Number(/^cancelled_write_bytes: (\d+)/m.exec(read(`/proc/${p}/io`))?.[1] ?? 0), 0);

/**
 * {name, memory, rss (bytes), descriptors, threads} of one process, or null when it is gone.  Memory is its own: anonymous
 * pages, what it shares with the process that it was forked from divided by their number.  Pages of program files are not in
 * it: how many of them count depends on who else on the machine runs the same libraries.
 */
export function sizeOf(pid) {
  const rollup = read(`/proc/${pid}/smaps_rollup`);
  const status = read(`/proc/${pid}/status`);
  if (rollup === '' || status === '') return null;
  let descriptors;
  try { descriptors = fs.readdirSync(`/proc/${pid}/fd`).length; } catch { return null; }
  const kib = (text, key) => Number(new RegExp(`^${key}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0) * 1024;
  return { pid, name: /^Name:\s+(.*)/m.exec(status)[1], memory: kib(rollup, 'Pss_Anon'), rss: kib(rollup, 'Rss'),
    threads: Number(/^Threads:\s+(\d+)/m.exec(status)[1]), descriptors };
}

export class Meter {
  static create() {
    const meter = new Meter();
    meter.pids = [];
    for (const root of [V1, V2]) {
      const isV1 = root === V1;
      if (!fs.existsSync(path.join(root, isV1 ? 'cpuacct.usage' : 'cgroup.procs'))) continue;
      const dir = path.join(root, `fumibako-bench-${process.pid}-${Meter.#count++}`);
      try {
        fs.mkdirSync(dir);
        meter.dir = dir;
        meter.isV1 = isV1;
        // A script that a mail server starts as somebody else puts itself here.
        fs.chmodSync(path.join(dir, 'cgroup.procs'), 0o666);
        process.on('exit', () => meter.end());
        break;
      } catch { if (meter.dir) meter.end(); }
    }
    return meter;
  }

  static #count = 0;

  /** How it counts, in words for the report. */
  get how() {
    if (!this.dir) return 'sums of /proc: processes that nobody waited for are missing';
    return `control group (${this.isV1 ? 'cpuacct.usage' : 'cpu.stat'}): every process of the tree`;
  }

  /** The file into which a process writes its own number to be counted; null without a control group. */
  get procs() { return this.dir ? path.join(this.dir, 'cgroup.procs') : null; }

  add(pid) {
    this.pids.push(pid);
    if (!this.dir) return;
    for (const p of treeOf(pid)) {
      try { fs.writeFileSync(this.procs, String(p)); } catch { /* it ended meanwhile */ }
    }
  }

  /** Processor seconds since the group was made, or of the processes since they began: take differences. */
  seconds() {
    if (!this.dir) return this.pids.reduce((sum, pid) => sum + cpuOf(pid), 0);
    if (this.isV1) return Number(read(path.join(this.dir, 'cpuacct.usage'))) / 1e9;
    return Number(/^usage_usec (\d+)/m.exec(read(path.join(this.dir, 'cpu.stat')))[1]) / 1e6;
  }

  end() {
    if (!this.dir) return;
    try { fs.rmdirSync(this.dir); } catch { /* somebody is in it still: it goes with the machine */ }
    this.dir = null;
  }
}
