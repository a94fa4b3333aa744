// SPDX-License-Identifier: Apache-2.0
// Upgrades: every service replaced under load, jobs and files of older and newer versions.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { Stack } from './stack.mjs';
import { Relay } from '../support/relay.mjs';
import { ROOT, Smtp, binDir, sleep, waitFor } from '../support/harness.mjs';

const WORKERS = ['revoke', 'rewrite', 'upload', 'render'];
const patience = { timeout: 180000, interval: 200 };
const mail = (to, name) => Buffer.from(`From: taro@example.jp\r\nTo: ${to}\r\nSubject: ${name}\r\nMIME-Version: 1.0\r\n\r\nbody of ${name}\r\n`);

async function start(t, options) {
  const stack = await Stack.start(t, { postfix: false, box: { users: 8 }, ...options });
  stack.relay = await Relay.start({}, stack.world.ports.relay);
  t.after(() => stack.relay.stop());
  return stack;
}

/** One of a fleet: the first has the port of its metrics, the others take any. */
async function replica(stack, name, number) {
  if (number === 0) {
    await stack.startService(name);
  } else {
    stack.running.push(await stack.world.start(name, { ...stack.overrides, metrics: { listen: '127.0.0.1:0' } }, { ready: false }));
    await stack.running.at(-1).says(/started, version/); // before it an order to end is not heard
  }
  return stack.running.at(-1);
}

/** As an MTA does: tries again when the server is not there, or shuts down; says which other refusals it saw. */
async function send(stack, to, name, refusals) {
  for (const until = Date.now() + 180000; Date.now() < until;) {
    let smtp;
    try {
      smtp = await Smtp.connect(stack.world.ports.smtp);
      const reply = smtp.greeting.code === 220 ? await smtp.send({ from: 'taro@example.jp', to: [to], content: mail(to, name) }) : smtp.greeting;
      if (reply?.code === 250) return;
      if (reply !== null && reply.code !== 421) refusals.push(reply.text);
    } catch (error) {
      if (!/ECONNREFUSED|ECONNRESET|EPIPE|closed without/.test(error.message)) throw error;
    } finally {
      smtp?.close();
    }
    await sleep(100);
  }
  throw new Error(`${name} was never taken`);
}

test('every service is replaced under load, two of each worker: each mail once, none lost, none held', async (t) => {
  const stack = await start(t, { services: ['ingest'] });
  const fleet = {};
  for (const name of WORKERS) fleet[name] = [await replica(stack, name, 0), await replica(stack, name, 1)];
  const refusals = [];
  const sends = [];
  let isOver = false;
  const load = (async () => {
    for (let i = 0; !isOver; i++) {
      sends.push(send(stack, `r${i}@partner.example.com`, `mail ${i}`, refusals));
      await sleep(sends.length < 60 ? 150 : 1000); // on a slow machine a restart takes its time
    }
  })();
  for (const name of WORKERS) {
    for (const [number, old] of fleet[name].entries()) {
      assert.deepEqual(await old.stop(), { code: 0, signal: null }, `${name} drains: ${old.output}`);
      await replica(stack, name, number);
    }
  }
  assert.deepEqual(await stack.by.ingest.stop(), { code: 0, signal: null }, 'ingest drains');
  await stack.startService('ingest');
  await sleep(1000);
  isOver = true;
  await load;
  await Promise.all(sends);
  await waitFor(async () => {
    const all = await stack.messages();
    return all.length === sends.length && all.every((m) => m.state === 'done');
  }, { what: `${sends.length} mails to end`, timeout: 400000, interval: 500 });
  const times = new Map();
  for (const m of stack.relay.mails.filter((x) => x.from !== '')) {
    for (const r of m.rcpts) times.set(r.address ?? r, (times.get(r.address ?? r) ?? 0) + 1);
  }
  assert.deepEqual(sends.map((_, i) => times.get(`r${i}@partner.example.com`)), sends.map(() => 1), 'each mail once');
  assert.deepEqual(refusals, []);
  assert.deepEqual((await stack.ctl('dead', 'list', '--json')).json(), []);
  assert.equal((await stack.box.state('folders')).folders.filter((f) => f.name.startsWith('m-')).length, sends.length, 'a folder each');
  assert.doesNotMatch(stack.logs(), /AddressSanitizer|runtime error:|crash-loop/);
  t.diagnostic(`${sends.length} mails, 9 processes replaced`);
});

// ---- jobs ----

/** msgpack as jobs need it: a map of short strings, numbers and flags. */
function pack(map) {
  const str = (s) => Buffer.concat([s.length < 32 ? Buffer.from([0xa0 | s.length]) : Buffer.from([0xd9, s.length]), Buffer.from(s)]);
  const number = (n) => {
    if (n < 128) return Buffer.from([n]);
    const b = Buffer.alloc(9, 0xcf);
    b.writeBigUInt64BE(BigInt(n), 1);
    return b;
  };
  const value = (v) => (typeof v === 'string' ? str(v) : typeof v === 'boolean' ? Buffer.from([v ? 0xc3 : 0xc2]) : number(v));
  const entries = Object.entries(map);
  return Buffer.concat([Buffer.from([0x80 | entries.length]), ...entries.flatMap(([k, v]) => [str(k), value(v)])]);
}

/** The job of a mail that waits for upload, taken out of the queue, in the words of the golden vector of version 1. */
async function takeJob(stack, name) {
  await send(stack, `${name}@partner.example.com`, name, []);
  const redis = stack.world.redis;
  const [[id, fields]] = await waitFor(async () => {
    const list = await redis.command('XRANGE', 'fb:{s0}:upload', '-', '+');
    return list.length > 0 && list;
  }, { what: 'the job', ...patience });
  const { wire } = JSON.parse(fs.readFileSync(path.join(ROOT, 'proto/vectors/good/job-upload.json'), 'utf8'));
  const bytes = fields[fields.indexOf('j') + 1];
  const msg = /[0-9A-HJKMNP-TV-Z]{26}/.exec(bytes)[0];
  const spool = /(?:seg|large|s)[^\x00-\x1f\x80-\xff]*?(?=\ufffd?.?branch)/.exec(bytes);
  await redis.command('XDEL', 'fb:{s0}:upload', id);
  const manifest = (await stack.ctl('spool', 'list', '--json')).json().messages.find((m) => m.id === msg || m.message === msg);
  const ref = manifest?.ref ?? spool?.[0];
  assert.ok(ref, 'where the mail lies');
  return { msg, job: { ...wire, msg, spool: ref, branch: 0, attempt: 0, first: Date.now() } };
}

const state = async (stack, id) => (await stack.messages()).find((m) => m.id === id)?.state;

test('a job of an older version is understood; one of a newer version waits, is seen, and is taken by an upgraded worker', async (t) => {
  const stack = await start(t, { services: ['ingest', 'render', 'rewrite'] });
  const redis = stack.world.redis;
  const add = (job) => redis.command('XADD', 'fb:{s0}:upload', '*', 'j', pack(job), 'f', job.first);

  const old = await takeJob(stack, 'old');
  assert.equal(old.job.v, 1);
  const next = await takeJob(stack, 'next');
  await add(old.job);
  await add({ ...next.job, v: 4, urgent: true });
  await stack.startService('upload');
  await waitFor(async () => (await state(stack, old.msg)) === 'done', { what: 'the old one', ...patience });
  await redis.putOff('upload', 1, patience); // it is looked at again every 30 s: not before the test has seen it
  const queue = await waitFor(async () => {
    const q = (await stack.ctl('queue', '--json')).json();
    return q.upload.newer === 1 && q.upload.delayed === 1 && q;
  }, { what: 'the queue to show it', ...patience });
  assert.deepEqual([queue.upload.delayed, queue.upload.dead], [1, 0]);
  assert.match((await stack.ctl('queue')).stdout, /1 of the delayed jobs are of a newer version .*upgrade fumibako-upload/);
  const upload = stack.by.upload;
  await waitFor(async () => (await upload.metric('fumibako_queue_newer', 'stage="upload"')) === 1, { what: 'the gauge', ...patience });
  for (const outcome of ['held', 'retry', 'lost']) {
    assert.equal(await upload.metric('fumibako_jobs_total', `stage="upload",outcome="${outcome}"`), 0, outcome);
  }
  assert.notEqual(await state(stack, next.msg), 'done');

  await upload.stop();
  const file = path.join(stack.world.dir, 'fumibako-upload-next.yaml');
  fs.writeFileSync(file, JSON.stringify(stack.world.config('upload', stack.overrides)), { mode: 0o600 });
  stack.world.spawn(path.join(binDir(), 'upload_next'), ['--config', file]);
  for (const job of await redis.command('ZRANGE', 'fb:{s0}:delayed:upload', 0, -1)) {
    assert.ok(job.includes('urgent'), 'its bytes are as they were');
  }
  await redis.due('upload');
  await waitFor(async () => (await state(stack, next.msg)) === 'done', { what: 'the newer one', ...patience });
  const notices = stack.relay.mails.filter((m) => m.from !== '');
  assert.equal(notices.length, 2);
  assert.doesNotMatch(notices.map((m) => m.content.toString()).join(), /body of/);
});

// ---- files and records ----

const filesIn = (dir, suffix) => fs.readdirSync(dir, { recursive: true, withFileTypes: true })
  .filter((e) => e.isFile() && e.name.endsWith(suffix)).map((e) => path.join(e.path ?? e.parentPath, e.name));

/** The file with the digit at `at` (of its magic) raised; reseal makes what follows true again. */
function raise(file, at, reseal = () => {}) {
  const bytes = fs.readFileSync(file);
  bytes[at] += 1;
  reseal(bytes);
  fs.writeFileSync(file, bytes);
  return bytes;
}

test('what a newer version wrote is refused with a clear word, and left as it is', async (t) => {
  const stack = await start(t, { services: ['ingest', 'render', 'upload', 'rewrite'] });
  await send(stack, 'a@partner.example.com', 'one', []);
  await waitFor(async () => (await stack.messages())[0]?.state === 'done', { what: 'the first mail', ...patience });
  for (const name of ['render', 'upload', 'rewrite']) await stack.by[name].stop();
  await send(stack, 'b@partner.example.com', 'two', []);
  await waitFor(async () => (await stack.messages()).length === 2, { what: 'the record', ...patience });
  await stack.by.ingest.stop();
  const newer = /written by a newer version of Fumibako.*waits for an upgraded program/;
  const spool = stack.world.spoolDir;

  const [journal] = filesIn(path.join(spool, 'journal'), '.jnl').filter((f) => fs.statSync(f).size > 0);
  const journalWas = fs.readFileSync(journal);
  const journalNew = raise(journal, 3, (b) => createHash('sha256').update(b.subarray(0, 56)).digest().copy(b, 56, 0, 8));
  const rewrite = await stack.world.start('rewrite', stack.overrides, { ready: false });
  assert.notEqual((await rewrite.exited).code, 0, 'nothing is sent without knowing what was sent');
  await rewrite.says(newer);
  assert.deepEqual(fs.readFileSync(journal), journalNew);
  fs.writeFileSync(journal, journalWas);

  const [manifest] = filesIn(path.join(spool, 'manifests'), '');
  const manifestWas = fs.readFileSync(manifest);
  const manifestNew = raise(manifest, 7);
  const rebuilt = await stack.ctl('ledger', 'rebuild');
  assert.match(rebuilt.stdout + rebuilt.stderr, newer);
  assert.deepEqual(fs.readFileSync(manifest), manifestNew);
  fs.writeFileSync(manifest, manifestWas);

  const [two] = (await stack.messages()).filter((m) => m.state !== 'done');
  const [segment] = filesIn(path.join(spool, 'segments'), '.seg').filter((f) => fs.readFileSync(f).includes(two.id));
  const at = fs.readFileSync(segment).lastIndexOf(two.id) - 96 + 7;
  const segmentWas = fs.readFileSync(segment);
  const segmentNew = raise(segment, at);
  const render = await stack.world.start('render', stack.overrides);
  await waitFor(() => newer.test(render.output), { what: 'render to say so', ...patience });
  assert.deepEqual(fs.readFileSync(segment), segmentNew);
  assert.deepEqual((await stack.ctl('dead', 'list', '--json')).json(), [], 'it waits');
  fs.writeFileSync(segment, segmentWas);
  await render.stop();

  await stack.world.redis.command('HSET', `fb:{s0}:m:${two.id}`, 'v', '2');
  const shown = await stack.ctl('message', 'show', two.id);
  assert.equal(shown.status, 1);
  assert.match(shown.stderr, /is of a newer version of Fumibako: use the upgraded program/);
  await stack.world.redis.command('HDEL', `fb:{s0}:m:${two.id}`, 'v');

  for (const name of ['render', 'upload', 'rewrite']) await stack.startService(name);
  await stack.world.redis.command('EVAL', "for _, m in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do redis.call('ZADD', KEYS[1], 1, m) end", 1,
    'fb:{s0}:delayed:render');
  await waitFor(async () => (await state(stack, two.id)) === 'done', { what: 'the second mail, as if nothing had been', ...patience });
  assert.equal(stack.relay.mails.filter((m) => m.from !== '').length, 2);
});
