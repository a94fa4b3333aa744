// SPDX-License-Identifier: Apache-2.0
//
// The console with a full ledger: 1,000,000 mails, each with the record that a secured, delivered one leaves in Redis
// (tests/support/ledger.mjs); then list, pages, filters, detail and recall through the API, a few hundred times each.  What
// Redis needs for a mail is printed.  FB_BENCH_MESSAGES: how many instead.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { request } from '../support/harness.mjs';
import { Console } from '../integration/console/api-kit.mjs';
import { pieces, record, resp, sealTitle, ulid } from '../support/ledger.mjs';
import { caseOf, machine, progress, report } from './lib.mjs';

const MESSAGES = Number(process.env.FB_BENCH_MESSAGES ?? 1e6);
const SENDERS = 2000;
const RECIPIENTS = Math.min(200000, Math.ceil(MESSAGES / 5));
const TIMES = 200;
const BATCH = 500; // records a write
const MOST_BYTES = 1536; // of Redis a mail
const MOST_MS = 100; // at the median
const DAYS = 400;

const before = machine().load_average;
const cleanups = [];
const missed = []; // what is slower or larger than it may be

/** Writes commands as fast as Redis takes them; answers are counted, none may be an error. */
class Pipe {
  constructor(port) {
    this.socket = net.connect(port, '127.0.0.1');
    this.socket.on('data', (chunk) => { if (chunk.includes('-ERR') || chunk.includes('-OOM')) throw new Error(chunk.toString().slice(0, 200)); });
  }

  async write(text) {
    if (!this.socket.write(text)) await once(this.socket, 'drain');
  }

  async end() {
    this.socket.end();
    await once(this.socket, 'close');
  }
}

const recipient = (i) => `recipient-${i % RECIPIENTS}@customer-${i % 977}.example.com`;
const sender = (i) => `employee.${i % SENDERS}@example.co.jp`;

async function fill(c) {
  const pipe = new Pipe(c.world.ports.redis);
  const now = Date.now();
  const step = (DAYS * 86400000) / MESSAGES;
  const ids = [];
  // Sealing a million titles is not what is measured: most have one that does not open, of the same size.
  const sample = sealTitle(c.key, ulid(now), '【ご確認】11月度のお見積書をお送りします');
  for (let i = 0; i < MESSAGES; i += BATCH) {
    let text = '';
    for (let k = i; k < Math.min(i + BATCH, MESSAGES); k += 1) {
      const at = Math.floor(now - DAYS * 86400000 + k * step);
      const id = ulid(at, randomBytes(16));
      if (k % 5000 === 0) ids.push(id);
      const n = (k * 7919) % 1000003;
      const commands = record({ id, at, from: sender(n), to: [recipient(n)], subject: '', key: null, opened: k % 3 === 0 });
      commands[0].push(...Object.entries(pieces(k % 5000 === 0 ? sealTitle(c.key, id, `件名 ${k}`) : sample)).flat());
      for (const command of commands) text += resp(command);
      text += resp(['EXPIRE', `fb:{s0}:m:${id}`, '34560000']);
      for (const kind of ['p', 'g', ...(k % 3 === 0 ? ['h', 'w'] : [])]) text += resp(['EXPIRE', `fb:{s0}:${kind}:${id}-0`, '34560000']);
    }
    await pipe.write(text);
  }
  await pipe.end();
  return ids;
}

const info = async (c) => Number(/used_memory:(\d+)/.exec(await c.redis.command('INFO', 'memory'))[1]);
const pick = (list) => list[Math.floor(Math.random() * list.length)];

async function measure(c, name, times, call) {
  const took = [];
  for (let i = 0; i < times; i += 1) {
    const began = performance.now();
    await call(i);
    took.push(performance.now() - began);
  }
  took.sort((a, b) => a - b);
  const at = (p) => took[Math.min(took.length - 1, Math.floor(took.length * p))];
  progress(`${name}: median ${at(0.5).toFixed(1)} ms, 95 % within ${at(0.95).toFixed(1)} ms, at most ${took.at(-1).toFixed(1)} ms`);
  if (at(0.5) > MOST_MS) missed.push(`${name}: the median is ${at(0.5).toFixed(1)} ms`);
  return caseOf(name, 'ms', [at(0.5), at(0.05), at(0.95)], {}, {});
}

const c = await Console.create({ after: (fn) => cleanups.push(fn) }, { overrides: { log: { level: 'warn' } } });
try {
  const empty = await info(c);
  const began = Date.now();
  const ids = await fill(c);
  const bytes = (await info(c) - empty) / MESSAGES;
  progress(`${MESSAGES} mails in ${((Date.now() - began) / 1000).toFixed(0)} s; Redis: ${bytes.toFixed(0)} bytes a mail, index and all`);
  // As a program calls: without the comparison with the document.
  const headers = { Authorization: `Bearer ${c.tokens.admin}`, 'Content-Type': 'application/json' };
  const ask = async (method, path, body) => {
    const r = await request(`${c.base}/api/v1${path}`, { method, headers, body });
    assert.ok(r.status < 300, `${path}: ${r.status} ${r.body}`);
    return r;
  };
  const get = (path) => ask('GET', path);
  const cases = [];
  cases.push(await measure(c, 'first page of 50', TIMES, () => get('/messages')));
  cases.push(await measure(c, 'page of 50 somewhere', TIMES, () => get(`/messages?until=${Date.now() - Math.floor(Math.random() * DAYS * 86400000)}`)));
  cases.push(await measure(c, 'mails of one recipient', TIMES, () => get(`/messages?recipient=${recipient(Math.floor(Math.random() * 1e6))}`)));
  cases.push(await measure(c, 'mails of one sender', TIMES, () => get(`/messages?sender=${sender(Math.floor(Math.random() * 1e6))}`)));
  cases.push(await measure(c, 'sender and recipient', TIMES, () => {
    const n = Math.floor(Math.random() * 1e6);
    return get(`/messages?sender=${sender(n)}&recipient=${recipient(n)}`);
  }));
  cases.push(await measure(c, 'not ended (state=queued)', TIMES, () => get('/messages?state=queued')));
  cases.push(await measure(c, 'subject, 1,000 mails looked through', TIMES / 8, () => get('/messages?subject=nobody-has-this')));
  cases.push(await measure(c, 'detail', TIMES, () => get(`/messages/${pick(ids)}`)));
  cases.push(await measure(c, 'recall', Math.min(TIMES, ids.length), (i) => ask('POST', `/messages/${ids[i]}/recall`, '{"reason":"bench"}')));
  cases.push(await measure(c, 'overview', TIMES / 4, () => get('/overview')));
  const kept = report('console', cases, before, { messages: MESSAGES, redis_bytes_a_mail: Math.round(bytes) });
  if (bytes > MOST_BYTES) missed.push(`Redis needs ${bytes.toFixed(0)} bytes a mail`);
  for (const text of missed) progress(`MISSED: ${text}`);
  process.exitCode = kept && missed.length === 0 ? 0 : 1;
} finally {
  for (const fn of cleanups.reverse()) await fn();
}
