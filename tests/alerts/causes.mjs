// SPDX-License-Identifier: Apache-2.0
//
// What makes each alert fire, for real, and how it is mended.  A cause gives {undo, keep}: undo mends it, keep (optional) goes
// on making it while Prometheus watches.  `alerts`: name -> labels that the firing alert must have.

import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { ROOT, waitFor } from '../support/harness.mjs';
import { Client } from '../integration/portal/kit.mjs';
import { Scene, deepMail, mail, patience } from './scene.mjs';

const { encode } = createRequire(import.meta.url)('@msgpack/msgpack');
const API = '^/(2\\.0|upload)/';
const refusal = (code) => ({ status: 403, body: { type: 'error', status: 403, code, message: 'no' } });
const later = (n) => `later${n}@elsewhere.example.com`;

// ---- mail, people ----

const held = { alerts: { FumibakoMailHeld: { stage: 'render' }, FumibakoAlarmRaised: { kind: 'held' } }, what: 'a mail that is nested too deep',
  async run(scene) {
    await scene.send('deep@partner.example.com', deepMail('deep@partner.example.com'));
    return { undo: () => scene.decideAll() };
  } };

const proofs = { alerts: { FumibakoProofsGuessed: {} }, what: 'wrong codes at the portal',
  async run(scene) {
    const reader = await scene.reader('code');
    let form = await scene.askForCode(reader);
    for (let i = 0; i < 4 && form; i++) {
      await reader.client.post(form.action, [...form.hidden, ['code', `00000${i}`]]);
      form = Scene.forms((await reader.client.get(reader.link)).text).enter;
    }
    return { undo: async () => {} };
  } };

const links = { alerts: { FumibakoPortalGuessing: {} }, what: 'links that are none',
  async run(scene) {
    const client = new Client(scene.base);
    // Several at once: more than one a second on a slow machine as well.
    const stop = scene.again(150, () => Promise.all([1, 2, 3].map(() => client.get(`/r/${'A'.repeat(71)}`))));
    return { undo: stop };
  } };

const refused = { alerts: { FumibakoMailRefused: {} }, what: 'mail with bare line feeds',
  async run(scene) {
    const stop = scene.again(300, () => scene.send('x@partner.example.com', 'Subject: x\r\n\r\na\nb\r\n', { refused: true }));
    return { undo: stop };
  } };

const letters = { alerts: { FumibakoLettersFailed: { letter: 'held' } }, what: 'a sender to whom nobody can write',
  async run(scene) {
    const id = await scene.send('z@partner.example.com', mail('z@partner.example.com'), { from: '"a<b"@example.jp' });
    return { undo: async () => { // it cannot go out, and cannot go back
      await scene.ctl('message', 'recall', id, '--reason', 'nobody can write to its sender');
      for (const d of await scene.dead()) if (d.message === id) await scene.ctl('dead', 'retry', d.id);
    } };
  } };

const relay = { alerts: { FumibakoRelayRefuses: {}, FumibakoRetries: { stage: 'rewrite' } }, what: 'a mail server that says 451',
  async run(scene) {
    let n = 0;
    scene.relay.options.rcpt = (address) => (address.startsWith('later') ? '451 4.2.0 not now' : null);
    const stop = scene.again(250, () => scene.send(later(n++)));
    return { undo: async () => { await stop(); scene.relay.options.rcpt = null; } };
  } };

const hangs = { alerts: { FumibakoQueueSlow: { stage: 'rewrite' }, FumibakoQueueStuck: { stage: 'rewrite' } }, what: 'a mail server that says nothing any more',
  async run(scene) {
    scene.relay.options.mail = 'HANG';
    for (let i = 0; i < 2; i++) await scene.send(`hangs${i}@elsewhere.example.com`);
    return { undo: async () => {
      scene.relay.options.mail = null;
      for (const socket of scene.relay.sockets) socket.destroy();
      await scene.arrives('hangs0@elsewhere.example.com');
    } };
  } };

// ---- the storage ----

const errors = { alerts: { FumibakoStorageErrors: { storage: 'box' } }, what: 'Box answers 500 to what makes folders',
  async run(scene) {
    await scene.boxFault('errors', [{ match: { method: 'PUT', path: '^/2\\.0/folders/\\d+$' }, do: { status: 500 } }]);
    const stop = scene.again(400, () => scene.send('errors@partner.example.com'));
    return { undo: async () => { await stop(); await scene.boxFault('errors', null); } };
  } };

const limit = { alerts: { FumibakoStorageLimit: { storage: 'box' } }, what: 'Box answers 429',
  async run(scene) {
    await scene.boxFault('limit', [{ match: { method: 'POST', path: '^/2\\.0/folders$' }, do: { status: 429, headers: { 'retry-after': '1' } } }]);
    const stop = scene.again(500, () => scene.send('limit@partner.example.com'));
    return { undo: async () => { await stop(); await scene.boxFault('limit', null); } };
  } };

const away = { alerts: { FumibakoStorageDown: { storage: 'box' }, FumibakoWatchBehind: { storage: 'box' } }, what: 'Box does not answer',
  async run(scene) {
    await scene.boxFault('away', [{ match: { path: '^/(2\\.0|upload|oauth2)/' }, do: { drop: 'before' } }]);
    for (let i = 0; i < 4; i++) await scene.send(`away${i}@partner.example.com`);
    return { undo: () => scene.boxFault('away', null) };
  } };

const foreign = { alerts: { FumibakoForeignLinks: { storage: 'box' }, FumibakoForeignLinkStays: { storage: 'box' } }, what: 'recipients may make open links, and one cannot be ended',
  async run(scene) {
    await scene.stack.box.settings({ allowed_shared_link_access_levels: ['open', 'company', 'collaborators'] });
    const p = await scene.inBox();
    await scene.boxFault('links', [{ match: { method: 'PUT', path: '^/2\\.0/files/' }, do: refusal('forbidden_by_policy') }]);
    await scene.stack.box.act({ as: p.to, do: 'share', file: p.files[0].id });
    return { undo: async () => {
      await scene.boxFault('links', null);
      await scene.stack.box.settings({ allowed_shared_link_access_levels: ['collaborators'] });
      await scene.inBox(); // looked at with each parcel
    } };
  } };

const recall = { alerts: { FumibakoRecallFailed: {}, FumibakoMailHeld: { stage: 'revoke' } }, what: 'Box refuses to take access away',
  async run(scene) {
    const p = await scene.inBox();
    await scene.boxFault('recall', p.grants.map((g) => ({ match: { path: `^/2\\.0/collaborations/${g.id}$` }, do: refusal('forbidden') })));
    const r = await scene.ctl('message', 'recall', p.id, '--reason', 'a test');
    if (r.status !== 0) throw new Error(r.stderr);
    return { undo: async () => {
      await scene.boxFault('recall', null);
      await scene.decideAll();
    } };
  } };

const purge = { alerts: { FumibakoPurgeRefused: {} }, what: 'a retention policy keeps the content',
  async run(scene) {
    const p = await scene.inBox();
    await scene.boxFault('purge', [{ match: { method: 'DELETE', path: `^/2\\.0/folders/${p.folder.id}$` }, do: refusal('forbidden_by_policy') }]);
    await scene.ctl('message', 'recall', p.id, '--content', '--reason', 'a test');
    return { undo: () => scene.boxFault('purge', null) };
  } };

const due = { alerts: { FumibakoScheduleLate: {} }, what: 'more falls due at once than revoke gets done',
  async run(scene) {
    const count = 90;
    await scene.restart('revoke'); // it takes more at once the longer it gets everything done
    const ids = [];
    for (let i = 0; i < count; i++) ids.push(await scene.send(`due${i}@partner.example.com`));
    await waitFor(() => scene.relay.mails.filter((m) => m.rcpts.some((r) => r.address.startsWith('due'))).length >= count, { timeout: 120000, interval: 300, what: 'the parcels' });
    await scene.boxFault('slow', [{ match: { path: API }, do: { delay_ms: 1500 } }]);
    for (const id of ids) await scene.redis.command('ZADD', 'fb:{s0}:due', 'XX', Date.now() - 1, `${id}-0`);
    return { undo: () => scene.boxFault('slow', null) };
  } };

// ---- Redis ----

/** maxmemory so that ingest's pressure is `share`: it looks at 90 or so of a hundred. */
async function pressed(scene, share) {
  const set = (most) => scene.redis.command('CONFIG', 'SET', 'maxmemory', String(Math.round(most)));
  const now = () => scene.by.ingest.metric('fumibako_ingest_pressure', 'cause="redis"');
  const used = Number(/used_memory:(\d+)/.exec(await scene.redis.command('INFO', 'memory'))[1]);
  let most = used * 2;
  await set(most);
  const first = await waitFor(now, { ...patience, what: 'the pressure' });
  most *= first / share;
  await set(most);
  return { undo: () => set(0) };
}

const slowly = { alerts: { FumibakoTakesMailSlowly: { cause: 'redis' } }, what: 'Redis is nearly full', run: (scene) => pressed(scene, 0.87) };
const none = { alerts: { FumibakoTakesNoMail: { cause: 'redis' } }, what: 'Redis is full', run: (scene) => pressed(scene, 1.04) };

const redisAway = { alerts: { FumibakoRedisNotTold: {}, FumibakoPortalRecallFailed: {} }, what: 'Redis is away while mail comes and a sender recalls',
  async run(scene) {
    const p = await scene.inBox();
    const { client, form } = await scene.recallForm(p.id);
    await scene.redis.stop('SIGTERM');
    await scene.send('untold@partner.example.com');
    const answer = await client.post(form.action, form.hidden);
    if (answer.status !== 503) throw new Error(`the recall was answered ${answer.status}`);
    return { undo: async () => {
      await scene.world.startRedis(['--appendonly', 'yes', '--appendfsync', 'everysec']);
      await scene.arrives('untold@partner.example.com');
    } };
  } };

/** Somebody deletes a job that a worker has in hand: both that, and that the job is put back, is told. */
const deleted = { alerts: { FumibakoJobsDeleted: { stage: 'rewrite' }, FumibakoJobsRepaired: {} }, what: 'somebody deletes a job that a worker has',
  async run(scene) {
    const stream = 'fb:{s0}:rewrite';
    await scene.by.rewrite.stop();
    await scene.send('deleted@elsewhere.example.com');
    await waitFor(async () => (await scene.redis.command('XLEN', stream)) > 0, { ...patience, what: 'the job' });
    const [[, [[id]]]] = await scene.redis.command('XREADGROUP', 'GROUP', 'workers', 'killed', 'COUNT', 1, 'STREAMS', stream, '>');
    await scene.stack.startService('rewrite');
    await scene.monitor.seesFrom0('fumibako_deleted_pending_total{stage="rewrite"}');
    await scene.redis.command('XCLAIM', stream, 'workers', 'killed', 0, id, 'IDLE', 3600000, 'JUSTID');
    await scene.redis.command('XDEL', stream, id);
    return { undo: () => scene.arrives('deleted@elsewhere.example.com') };
  } };

const newer = { alerts: { FumibakoNewerJobs: { stage: 'upload' } }, what: 'a job of a version that this upload does not know',
  async run(scene) {
    const { wire } = JSON.parse(fs.readFileSync(path.join(ROOT, 'proto/vectors/good/job-upload.json'), 'utf8'));
    const job = Buffer.from(encode({ ...wire, v: 9 }));
    const id = await scene.redis.command('XADD', 'fb:{s0}:upload', '*', 'j', job, 'f', Date.now());
    return { undo: async () => { // as if an upgraded worker had taken it
      await scene.redis.command('XDEL', 'fb:{s0}:upload', id);
      await scene.redis.command('DEL', 'fb:{s0}:delayed:upload', 'fb:{s0}:newer:upload');
    } };
  } };

const orphan = { alerts: { FumibakoMailNotInSpool: {} }, what: 'a file of the spool and the job of its mail are gone',
  async run(scene) {
    await scene.by.upload.stop();
    const id = await scene.send('orphan@partner.example.com');
    await waitFor(async () => (await scene.redis.command('XLEN', 'fb:{s0}:upload')) > 0, { ...patience, what: 'the job' });
    const files = scene.segmentsOf(id);
    if (files.length === 0) throw new Error('its file is not found');
    for (const f of files) fs.renameSync(f, `${f}.away`);
    await scene.redis.command('XTRIM', 'fb:{s0}:upload', 'MAXLEN', 0);
    return { undo: async () => {
      for (const f of files) fs.renameSync(`${f}.away`, f);
      await scene.stack.startService('upload');
      await scene.arrives('orphan@partner.example.com');
    } };
  } };

const without = { alerts: { FumibakoJobWithoutMail: { stage: 'upload' } }, what: 'the spool has lost a mail whose job waits',
  async run(scene) {
    await scene.by.upload.stop();
    const id = await scene.send('lost@partner.example.com');
    await waitFor(async () => (await scene.redis.command('XLEN', 'fb:{s0}:upload')) > 0, { ...patience, what: 'the job' });
    const files = scene.segmentsOf(id);
    for (const f of files) fs.renameSync(f, `${f}.lost`);
    // It comes a moment later, so that Prometheus has seen the counter of the new process at 0.
    const move = (script) => scene.redis.command('EVAL', script, 1, 'fb:{s0}:upload');
    await move('local e = redis.call("XRANGE", KEYS[1], "-", "+")[1] redis.call("XDEL", KEYS[1], e[1]) redis.call("RPUSH", "test:{s0}:job", unpack(e[2]))');
    await scene.stack.startService('upload');
    await scene.monitor.seesFrom0('fumibako_jobs_without_mail_total{stage="upload"}');
    await move('redis.call("XADD", KEYS[1], "*", unpack(redis.call("LRANGE", "test:{s0}:job", 0, -1)))');
    return { undo: async () => { // ingest writes its next mail to this file
      for (const f of files) fs.renameSync(`${f}.lost`, f);
    } };
  } };

// ---- processes ----

const reply = { alerts: { FumibakoReplyFailed: {}, FumibakoSpoolDamaged: {} }, what: 'ingest is away while a reader replies; a record of the spool is damaged',
  async run(scene) {
    const reader = await scene.reader('link');
    await scene.enter(reader);
    const form = /<form [^>]*action="([^"]*reply[^"]*)"/.exec((await reader.client.get(`${reader.link}/reply`)).text)[1].replace(/&amp;/g, '&');
    await scene.by.upload.stop();
    const id = await scene.send('damaged@partner.example.com');
    await waitFor(async () => (await scene.redis.command('XLEN', 'fb:{s0}:upload')) > 0, { ...patience, what: 'the job' });
    const [file] = scene.segmentsOf(id);
    await scene.by.ingest.stop();
    const edge = '----edge';
    const body = `--${edge}\r\nContent-Disposition: form-data; name="text"\r\n\r\nHello\r\n--${edge}--\r\n`;
    const answer = await reader.client.post(form, body, { headers: { 'content-type': `multipart/form-data; boundary=${edge}` } });
    if (answer.status !== 502) throw new Error(`the reply was answered ${answer.status}`);
    const whole = fs.readFileSync(file);
    const at = whole.indexOf(id) - 60; // in the header of the record
    fs.writeFileSync(file, Buffer.concat([whole.subarray(0, at), Buffer.from([whole[at] ^ 255]), whole.subarray(at + 1)]));
    await scene.stack.startService('ingest');
    return { undo: async () => {
      await scene.by.ingest.stop();
      fs.writeFileSync(file, whole);
      await scene.stack.startService('ingest');
      await scene.stack.startService('upload');
      await scene.arrives('damaged@partner.example.com');
    } };
  } };

const down = { alerts: { FumibakoServiceDown: { service: 'fetch' } }, what: 'a service is killed',
  async run(scene) {
    await scene.by.fetch.kill();
    return { undo: () => scene.stack.startService('fetch') };
  } };

const chromium = { alerts: { FumibakoHtmlHeld: {} }, what: 'a Chromium that does not start',
  async run(scene) {
    await scene.restart('render', { render: { chromium: '/bin/false' } });
    return { undo: () => scene.restart('render') };
  } };

const policy = { alerts: { FumibakoNoPolicy: {} }, what: 'Redis has no policy when a service starts',
  async run(scene) {
    const file = path.join(scene.world.dir, 'kept-policy.yaml');
    fs.copyFileSync(path.join(scene.world.dir, 'policy.yaml'), file);
    await scene.redis.command('DEL', 'fb:policy');
    await scene.restart('portal', { policy: { cache: path.join(scene.world.dir, 'empty') } }, { ready: false });
    return { undo: async () => {
      const r = await scene.ctl('policy', 'apply', file);
      if (r.status !== 0) throw new Error(r.stdout + r.stderr);
    } };
  } };

const leader = { alerts: { FumibakoNobodyWatches: {} }, what: 'a process that hangs has the lease of watch',
  async run(scene) {
    const stop = scene.again(200, () => scene.redis.command('SET', 'fb:{s0}:watch:lease', '1 somebody', 'PX', 3000));
    return { undo: stop };
  } };

const nothing = { alerts: { FumibakoNothingScraped: {} }, what: 'the scrape job is missing in prometheus.yml',
  async run(scene) {
    scene.monitor.configure({ scrapes: false });
    return { undo: async () => scene.monitor.configure() };
  } };

/** What is made at the same time; one group after another. */
export const RUN = [[held, proofs, links, refused, letters, foreign, purge, newer], [relay, recall], [slowly], [none], [errors], [limit], [away, hangs], [due],
  [redisAway], [deleted], [orphan], [without], [reply], [down, chromium, leader], [policy], [nothing]];

/** The part that every test run has time for. */
export const SHORT = [[down, links, held, proofs]];
