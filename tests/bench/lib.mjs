// SPDX-License-Identifier: Apache-2.0
//
// What every benchmark needs: interleaved rounds, medians, the machine, the table and build/bench/NAME.json.
//
//   const results = await interleave(['ours', 'peer'], async (who, round) => messagesPerSecond);
//   report('mybench', [caseOf('what is measured', 'msg/s', results.ours, { peer: results.peer })]);
//
// Peers are measured in the same run, because figures of different hours on a shared machine say nothing: it
// is the ratios of medians that are compared and that have targets.

import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { ROOT } from '../support/harness.mjs';

const OUT = path.join(ROOT, 'build', 'bench');

export const ROUNDS = Math.max(3, Number(process.env.BENCH_ROUNDS ?? 3));
export const SECONDS = Math.max(0.2, Number(process.env.BENCH_SECONDS ?? 2));

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/**
 * Calls measure(name, round) for each name in each round, the order turned around from one round to the next,
 * so that whatever drifts (heat, caches, neighbours) hits all alike.  Gives {name: [value of each round]}.
 */
export async function interleave(names, measure, rounds = ROUNDS) {
  const values = Object.fromEntries(names.map((n) => [n, []]));
  for (let round = 0; round < rounds; round++) {
    for (const name of round % 2 === 0 ? names : [...names].reverse()) {
      values[name].push(await measure(name, round));
      progress(`round ${round + 1}/${rounds} ${name}: ${format(values[name].at(-1))}, load ${os.loadavg()[0].toFixed(1)}`);
    }
  }
  return values;
}

/**
 * One case of the report: ours and the peers' values are the rounds' values; targets: {peer: least ratio}; most: what the
 * value itself may be at most.
 */
export function caseOf(name, unit, ours, peers = {}, targets = {}, most = undefined) {
  const value = median(ours);
  const medians = Object.fromEntries(Object.entries(peers).map(([peer, values]) => [peer, round3(median(values))]));
  const result = {
    case: name,
    unit,
    value: round3(value),
    spread: [round3(Math.min(...ours)), round3(Math.max(...ours))],
    peers: medians,
    ratios: Object.fromEntries(Object.entries(peers).map(([peer, values]) => [peer, round3(value / median(values))])),
  };
  if (Object.keys(targets).length > 0) result.targets = targets;
  if (most !== undefined) result.most = most;
  return result;
}

/** Whether a case keeps its targets. */
export const isKept = (c) => (c.most === undefined || c.value <= c.most)
  && Object.entries(c.targets ?? {}).every(([peer, least]) => c.ratios[peer] >= least);

export function machine(dir = OUT) {
  const cpus = os.cpus();
  const run = (command, args) => {
    try { return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim(); } catch { return ''; }
  };
  return {
    cpu: `${cpus.length} x ${cpus[0]?.model.trim() ?? 'unknown'}`,
    memory_bytes: os.totalmem(),
    kernel: os.release(),
    system: /^PRETTY_NAME="?([^"\n]*)/m.exec(fs.readFileSync('/etc/os-release', 'utf8'))?.[1] ?? os.type(),
    disk: run('findmnt', ['-no', 'FSTYPE,SOURCE', '-T', dir]).replace(/\s+/g, ' '),
    redis: /v=([0-9.]+)/.exec(run('redis-server', ['--version']))?.[1] ?? '',
    postfix: run('postconf', ['-dh', 'mail_version']),
    load_average: os.loadavg().map((l) => Math.round(l * 100) / 100),
  };
}

/** Prints the table and writes the JSON, with what else is given in more; gives whether every target is kept. */
export function report(name, cases, begun = null, more = {}) {
  fs.mkdirSync(OUT, { recursive: true });
  const about = machine();
  if (begun) about.load_average_before = begun;
  const document = { name, machine: about, date: new Date().toISOString(), cases, ...more };
  fs.writeFileSync(path.join(OUT, `${name}.json`), `${JSON.stringify(document, null, 2)}\n`);
  progress('');
  const rows = [['case', 'unit', 'ours', 'least-most', 'peer', 'ratio', 'target', '']];
  for (const c of cases) {
    const peers = Object.keys(c.peers);
    const head = [c.case, c.unit, format(c.value), `${format(c.spread[0])}-${format(c.spread[1])}`];
    if (peers.length === 0) rows.push([...head, '', '', ...(c.most === undefined ? ['', ''] : [`at most ${format(c.most)}`, isKept(c) ? 'kept' : 'MISSED'])]);
    peers.forEach((peer, i) => {
      const target = c.targets?.[peer];
      rows.push([...(i === 0 ? head : ['', '', '', '']), `${peer} ${format(c.peers[peer])}`, c.ratios[peer].toFixed(2),
        target === undefined ? '' : target.toFixed(2), target === undefined ? '' : c.ratios[peer] >= target ? 'kept' : 'MISSED']);
    });
  }
  const widths = rows[0].map((_, i) => Math.max(...rows.map((r) => r[i].length)));
  process.stdout.write(`${name}: ${about.cpu}, ${about.disk}, load ${about.load_average.join(' ')}\n`);
  for (const r of rows) {
    process.stdout.write(`${r.map((cell, i) => (i === 0 || i === 4 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  ').trimEnd()}\n`);
  }
  process.stdout.write(`written: ${path.relative(process.cwd(), path.join(OUT, `${name}.json`))}\n`);
  return cases.every(isKept);
}

/** Runs a program to its end; gives the seconds that took. Throws with its output when it fails. */
export function timed(command, args, { timeout = 120000 } = {}) {
  return new Promise((resolve, reject) => {
    let output = '';
    const begun = process.hrtime.bigint();
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const timer = setTimeout(() => child.kill('SIGKILL'), timeout);
    child.stdout.on('data', (c) => { output += c; });
    child.stderr.on('data', (c) => { output += c; });
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      const seconds = Number(process.hrtime.bigint() - begun) / 1e9;
      clearTimeout(timer);
      if (code === 0) resolve(seconds);
      else reject(new Error(`${command} ${args.join(' ')} ended with ${signal ?? code}: ${output.slice(-2000)}`));
    });
  });
}

/** What earlier measurements left to write must not be written during the next one. */
export const settle = () => execFileSync('sync', { timeout: 120000 });

/** A line for whoever waits; not part of the result. */
export const progress = (text) => process.stderr.write(`${text}\n`);

const round3 = (v) => Math.round(v * 1000) / 1000;

export function format(v) {
  return v >= 100 ? Math.round(v).toString() : v >= 10 ? v.toFixed(1) : v.toFixed(2);
}
