// SPDX-License-Identifier: Apache-2.0
//
// The console with a full ledger: 1,000,000 mails of 400 days, each with two recipients and the record that a secured, delivered
// one leaves in Redis (tests/support/ledger.mjs; tests/integration/redis/ledger.test.mjs compares it with what the services write): a third was
// opened, and the parcels of all but the last 30 days are over.  Then list, pages, filters, detail and recall through the API, a
// few hundred times each, and the pages themselves in a browser.  What Redis needs for a mail is printed, in all and for one that
// has just ended.  FB_BENCH_MESSAGES: how many instead.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { request } from '../support/harness.mjs';
import { Console } from '../integration/console/api-kit.mjs';
import { Desk } from '../browser/console_kit.mjs';
import { Browser } from '../browser/kit.mjs';
import { record, resp, sealTitle, ulid } from '../support/ledger.mjs';
import { caseOf, machine, progress, report } from './lib.mjs';

const MESSAGES = Number(process.env.FB_BENCH_MESSAGES ?? 1e6);
const SENDERS = 2000;
const RECIPIENTS = Math.min(200000, Math.ceil(MESSAGES / 5));
const TIMES = 200;
const BATCH = 500; // records a write
const MOST_BYTES = 1500; // of Redis a mail
const MOST_MS = 100; // at the median
const MOST_PAGE_MS = 1500; // until a page is there, at the median: the browser's own work is most of it
const DAYS = 400;
const LIFE_DAYS = 30; // of a parcel

const WORDS = { user: 'User', password: 'Password', signIn: 'Sign in', enrol: /Set up two-step login/, code: 'Code of the app', confirm: 'Confirm',
  recovery: /Recovery codes/, kept: 'I have kept them', second: /Two-step login/, next: 'Continue', savePassword: 'Change the password' };

const before = machine().load_average;
const cleanups = [];
const missed = []; // what is slower or larger than it may be

/** Writes commands as fast as Redis takes them; answers are counted, none may be an error. */
class Pipe {
  constructor(port) {
    this.socket = net.connect(port, '127.0.0.1');
    this.socket.on('data', (chunk) => { if (chunk.includes('-ERR') || chunk.includes('-OOM')) throw new Error(chunk.toString().slice(0, 200)); });
  }

  async write(bytes) {
    if (!this.socket.write(bytes)) await once(this.socket, 'drain');
  }

  async end() {
    this.socket.end();
    await once(this.socket, 'close');
  }
}

const recipient = (i) => `recipient-${i % RECIPIENTS}@customer-${i % RECIPIENTS % 977}.example.com`;
const sender = (i) => `employee.${i % SENDERS}@example.co.jp`;

/** `count` mails from `from` to `until`; gives the ids of some. */
async function fill(c, count, from, until) {
  const pipe = new Pipe(c.world.ports.redis);
  const now = Date.now();
  const step = (until - from) / count;
  const some = Math.max(1, Math.floor(count / 200));
  const ids = [];
  const lists = new Set(); // that have their time to live
  // Sealing a million titles is not what is measured: most have one that does not open, of the same size.
  const sample = sealTitle(c.key, ulid(now), '【ご確認】11月度のお見積書をお送りします');
  for (let i = 0; i < count; i += BATCH) {
    let out = '';
    for (let k = i; k < Math.min(i + BATCH, count); k += 1) {
      const at = Math.floor(from + k * step);
      const id = ulid(at, randomBytes(16));
      const n = (k * 7919) % 1000003;
      if (k % some === 0) ids.push(id);
      for (const command of record({ id, at, from: sender(n), to: [recipient(n), recipient(n * 31 + 17)], folder: String(397654321098 + k), key: null,
        sealed: k % some === 0 ? sealTitle(c.key, id, `件名 ${k}`) : sample, opened: k % 3 === 0, expired: now - at > LIFE_DAYS * 86400000 })) {
        if (command[1].startsWith('fb:{s0}:l:') && command[0] === 'EXPIRE') {
          if (lists.has(command[1])) continue;
          lists.add(command[1]);
        }
        out += resp(command);
      }
    }
    await pipe.write(Buffer.from(out, 'latin1'));
  }
  await pipe.end();
  return ids;
}

const info = async (c) => Number(/used_memory:(\d+)/.exec(await c.redis.command('INFO', 'memory'))[1]);
const pick = (list) => list[Math.floor(Math.random() * list.length)];

async function measure(c, name, times, call, most = MOST_MS) {
  const took = [];
  for (let i = 0; i < times; i += 1) {
    const began = performance.now();
    await call(i);
    took.push(performance.now() - began);
  }
  took.sort((a, b) => a - b);
  const at = (p) => took[Math.min(took.length - 1, Math.floor(took.length * p))];
  progress(`${name}: median ${at(0.5).toFixed(1)} ms, 95 % within ${at(0.95).toFixed(1)} ms, at most ${took.at(-1).toFixed(1)} ms`);
  if (at(0.5) > most) missed.push(`${name}: the median is ${at(0.5).toFixed(1)} ms`);
  return caseOf(name, 'ms', [at(0.5), at(0.05), at(0.95)], {}, {});
}

/** The pages in a browser, signed in: from the call of the address until everything that they ask for stands there. */
async function pages(c, ids) {
  const { world } = c;
  const desk = Object.assign(Object.create(Desk.prototype), { world, redis: c.redis, secrets: new Map(), passwords: new Map(), base: c.base,
    configFile: path.join(world.dir, 'pages.yaml'), browser: await Browser.start({ after: (fn) => cleanups.push(fn) }) });
  fs.writeFileSync(desk.configFile, JSON.stringify(world.config('ctl')), { mode: 0o600 });
  await desk.account('pages', 'admin');
  const visit = await desk.visit();
  await visit.signIn('pages', WORDS);
  const shown = [['overview', '/', 'main h1'], ['messages', '/messages', 'tbody tr:nth-child(50)'],
    ['messages of a recipient', `/messages?recipient=${encodeURIComponent(recipient(7919))}`, 'tbody tr:nth-child(3)'],
    ['a message', () => `/messages/${pick(ids)}`, 'main h1 ~ *, main .card'], ['audit', '/audit', 'main h1'], ['held', '/held', 'main h1']];
  const cases = [];
  for (const [name, place, sign] of shown) {
    cases.push(await measure(c, `page: ${name}`, 12, async () => {
      await visit.page.open(c.base + (typeof place === 'function' ? place() : place));
      await visit.page.evaluate((selector) => new Promise((resolve, reject) => {
        const late = setTimeout(() => reject(new Error(`${selector} does not come: ${document.body.innerText.slice(0, 300)}`)), 15000);
        const look = () => {
          if (document.querySelector(selector) && !document.querySelector('.loading, [aria-busy=true]')) { clearTimeout(late); resolve(); }
          else requestAnimationFrame(look);
        };
        look();
      }), sign);
    }, MOST_PAGE_MS));
  }
  return cases;
}

const c = await Console.create({ after: (fn) => cleanups.push(fn) }, { overrides: { log: { level: 'warn' } } });
try {
  const empty = await info(c);
  const began = Date.now();
  const ids = await fill(c, MESSAGES, began - DAYS * 86400000, began);
  const bytes = (await info(c) - empty) / MESSAGES;
  progress(`${MESSAGES} mails in ${((Date.now() - began) / 1000).toFixed(0)} s; Redis: ${bytes.toFixed(0)} bytes a mail, index and all`);
  for (const key of [`m:${ids[0]}`, `g:${ids[0]}-0`]) {
    progress(`  ${key.slice(0, 1)}: ${await c.redis.command('MEMORY', 'USAGE', `fb:{s0}:${key}`)} bytes, ${await c.redis.command('OBJECT', 'ENCODING', `fb:{s0}:${key}`)}`);
  }
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
  cases.push(await measure(c, 'subject that nobody has, as far as one page looks', TIMES / 4, () => get('/messages?subject=nobody-has-this')));
  cases.push(await measure(c, 'detail', TIMES, () => get(`/messages/${pick(ids)}`)));
  cases.push(await measure(c, 'recall', Math.min(TIMES, ids.length), (i) => ask('POST', `/messages/${ids[i]}/recall`, '{"reason":"bench"}')));
  cases.push(await measure(c, 'overview', TIMES / 4, () => get('/overview')));
  cases.push(...await pages(c, ids));
  const kept = report('console', cases, before, { messages: MESSAGES, redis_bytes_a_mail: Math.round(bytes) });
  if (bytes > MOST_BYTES) missed.push(`Redis needs ${bytes.toFixed(0)} bytes a mail`);
  for (const text of missed) progress(`MISSED: ${text}`);
  process.exitCode = kept && missed.length === 0 ? 0 : 1;
} finally {
  for (const fn of cleanups.reverse()) await fn();
}
