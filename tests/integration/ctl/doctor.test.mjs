// SPDX-License-Identifier: Apache-2.0
// fumibako doctor: every line, right and wrong, with what to do next.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import test from 'node:test';
import { ROOT, binDir, request, waitFor } from '../../support/harness.mjs';
import { hasS3, startS3 } from '../../support/s3.mjs';
import { Desk, Relay, run, tooDeep } from './kit.mjs';

const BOX_AUTH = JSON.stringify({ boxAppSettings: { clientID: 'id', clientSecret: 'secret-of-box' }, enterpriseID: '1' });

const policyOf = (auth, vaultKey, vault) => JSON.stringify({
  storages: [{ name: 'box', type: 'box', auth_file: auth },
    { name: 'vault', type: 'vault', url: `file://${vault}`, key_file: vaultKey }],
  security_definitions: [{ name: 'code' }],
  rules: [{ name: 'all', action: 'secure', storage: 'vault', security: 'code' },
    { name: 'box', enabled: false, action: 'secure', storage: 'box', security: 'code' }] });

/** A desk where everything but the services can be right. */
async function clinic(t, { overrides = {}, redis = [], relay = true } = {}) {
  const address = `127.${randomBytes(3).map((b) => b % 250 + 2).join('.')}`; // default ports, on an address of our own
  const desk = await Desk.create(t, { redis: false, overrides: { metrics: { listen: address }, ...overrides } });
  desk.address = address;
  if (redis) desk.redis = await desk.world.startRedis(redis);
  if (relay) await desk.relay();
  fs.mkdirSync(desk.world.spoolDir, { mode: 0o700 });
  desk.vault = path.join(desk.world.dir, 'vault');
  fs.mkdirSync(desk.vault);
  desk.auth = desk.write('box.json', BOX_AUTH, 0o600);
  desk.vaultKey = desk.write('vault.key', `k1:${randomBytes(32).toString('base64')}\n`, 0o600);
  desk.policy = desk.write('policy.json', policyOf(desk.auth, desk.vaultKey, desk.vault));
  if (redis) await desk.ok('policy', 'apply', desk.policy);
  desk.look = async ({ config = desk.config } = {}) => {
    const r = await run(['--config', config, 'doctor', '--json']);
    const answer = r.json();
    return { status: r.status, answer, checks: Object.fromEntries(answer.checks.map((c) => [c.check, c])) };
  };
  desk.with = (name, more) => {
    const config = desk.world.config('ctl', desk.overrides);
    for (const [section, keys] of Object.entries(more)) config[section] = { ...config[section], ...keys };
    return desk.write(name, JSON.stringify(config, null, 2));
  };
  return desk;
}

function fails(check, text, next, what = '') {
  assert.ok(check, `${what}: the line is there`);
  assert.equal(check.result, 'FAIL', `${what}: ${JSON.stringify(check)}`);
  assert.match(check.text, text, what);
  assert.match(check.next, next, what);
}

test('everything right: each line ok, exit 0', async (t) => {
  const desk = await clinic(t, { redis: ['--appendonly', 'yes'] });
  const services = ['ingest', 'render', 'upload', 'rewrite', 'revoke', 'watch', 'console', 'portal']
    .filter((s) => fs.existsSync(path.join(binDir(), `fumibako-${s}`)));
  const port = (s) => 9101 + ['ingest', 'render', 'upload', 'rewrite', 'revoke', 'watch', 'console', 'portal'].indexOf(s);
  for (const s of services) await desk.world.start(s, desk.overrides, { ready: false });
  for (const s of services) {
    await waitFor(async () => (await request(`http://${desk.address}:${port(s)}/readyz`)).status === 200,
      { what: `${s} to be ready` });
  }
  const { status, answer, checks } = await desk.look();
  assert.deepEqual(answer.checks.filter((c) => c.result !== 'ok'), []);
  assert.equal(status, 0);
  assert.deepEqual(Object.keys(checks), ['configuration', 'spool.key_file', 'spool', 'rewrite.key', 'redis version', 'redis memory',
    'redis persistence', 'held mail', 'alarms', 'policy', 'storage box', 'storage vault', 'relay', ...services]);
  const text = await desk.ok('doctor');
  assert.match(text.stdout, /\nok {4}relay +smtp:\/\/127\.0\.0\.1:\d+ answers 220\n/);
  assert.match(text.stdout, /\neverything is right\n$/);
  assert.doesNotMatch(text.stdout, /secret-of-box|kkkk/);
});

test('configuration: the only line when it is wrong, exit 78', async (t) => {
  const desk = await clinic(t, { redis: null, relay: false });
  for (const [content, words] of [['redis: {ulr: x}\n', /:1: redis\.ulr/], ['spool: [\n', /bad\.yaml:2: /], [null, /No such file/]]) {
    const config = content === null ? '/nonexistent/fumibako.yaml' : desk.write('bad.yaml', content);
    const { status, answer } = await desk.look({ config });
    assert.equal(status, 78);
    assert.equal(answer.checks.length, 1);
    fails(answer.checks[0], words, /correct that line/);
  }
});

test('spool.key_file: missing, a folder, malformed, open to everybody', async (t) => {
  const desk = await clinic(t, { redis: null, relay: false });
  const look = async () => (await desk.look()).checks['spool.key_file'];
  const folders = () => fs.readdirSync('/tmp').filter((f) => f.startsWith('fumibako-doctor-'));
  const before = folders();
  assert.equal((await look()).result, 'ok');
  fs.chmodSync(desk.world.keyFile, 0o644);
  fails(await look(), /can be read by everybody/, /chmod o= /);
  fs.chmodSync(desk.world.keyFile, 0o600);
  fs.writeFileSync(desk.world.keyFile, 'no key\n');
  fails(await look(), /spool\.key/, /<id>:<base64 of 32 bytes>/);
  fs.rmSync(desk.world.keyFile);
  fails(await look(), /No such file/, /restore it from your backup/);
  fs.mkdirSync(desk.world.keyFile, { mode: 0o700 });
  fails(await look(), /is not a file/, /restore it/);
  // Another test's doctor may be at work beside us: its folder goes again.
  await waitFor(() => folders().every((f) => before.includes(f)), { what: 'nothing to be left behind' });
  assert.deepEqual(fs.readdirSync(desk.world.spoolDir), [], 'the spool is only looked at');
});

test('spool in a bucket: there, not there, not ours', { skip: !hasS3() && 's3rver is missing (npm ci in tests/)' }, async (t) => {
  const s3 = await startS3();
  const before = { ...process.env };
  t.after(() => { process.env = before; return s3.stop(); });
  Object.assign(process.env, s3.env);
  const desk = await clinic(t, { redis: null, relay: false });
  const look = async (url) => (await desk.look({ config: desk.with('s3.yaml', { spool: { url } }) })).checks.spool;
  const right = await look(`s3://${s3.bucket}/x`);
  assert.equal(right.result, 'ok', JSON.stringify(right));
  assert.match(right.text, /holds no spool yet/);
  process.env.AWS_SECRET_ACCESS_KEY = 'another';
  fails(await look(`s3://${s3.bucket}/x`), /HTTP 403/, /AWS_ variables/);
  fails(await look('s3://UPPER/x'), /not the name of an S3 bucket/, /check the bucket/);
});

test('spool: missing, not a folder, full, nearly full', async (t) => {
  const desk = await clinic(t, { redis: null, relay: false });
  const look = async (more) => (await desk.look(more && { config: desk.with('s.yaml', more) })).checks.spool;
  const right = await look();
  assert.equal(right.result, 'ok');
  // Others write to this disk as well: where more or less of it is in use meanwhile, it is looked at again.
  await waitFor(async () => {
    const used = Number(/(\d+)% in use/.exec((await look()).text)[1]);
    if (used > 1) {
      fails(await look({ ingest: { high_water: `${Math.max(1, used - 1)}%` } }), /mail is put off with 452/, /free space there/);
    }
    const near = await look({ ingest: { high_water: `${Math.min(99, used + 3)}%` } });
    assert.equal(near.result, used < 99 ? 'warn' : near.result);
    return true;
  }, { what: 'the same disk in three looks' });
  fails(await look({ spool: { url: 'ftp://bucket/x' } }), /is neither a folder nor a bucket/, /file:\/\/\/.* or s3:/);
  fails(await look({ spool: { url: `file://${desk.auth}` } }), /is not a folder/, /set spool\.url to a folder/);
  fails(await look({ spool: { url: `file://${desk.world.dir}/nix` } }), /No such file/, /create it, owned by the user/);
});

test('spool: a folder that this user cannot write names its owner', { skip: process.getuid() !== 0 && 'needs root' }, async (t) => {
  const desk = await clinic(t, { redis: null, relay: false });
  fs.chmodSync(desk.config, 0o644);
  const child = desk.world.spawn(path.join(binDir(), 'fumibako'), ['--config', desk.config, 'doctor', '--json'],
    { uid: 65534, gid: 65534 });
  let out = '';
  child.stdout.on('data', (c) => { out += c; });
  await once(child, 'close');
  const checks = Object.fromEntries(JSON.parse(out).checks.map((c) => [c.check, c]));
  fails(checks.spool, /cannot be written: Permission denied/, /as root, or give them the folder/);
  fails(checks['spool.key_file'], /Permission denied/, /./);
});

test('rewrite.key: missing', async (t) => {
  const desk = await clinic(t, { redis: null, relay: false });
  fails((await desk.look({ config: desk.with('k.yaml', { rewrite: { key: '' } }) })).checks['rewrite.key'], /is not set/,
    /openssl rand -hex 32/);
});

test('redis: evicting, not persistent, wrong password, away', async (t) => {
  const desk = await clinic(t, { redis: ['--maxmemory-policy', 'allkeys-lru'], relay: false });
  const { status, checks } = await desk.look();
  assert.equal(status, 1);
  fails(checks['redis memory'], /maxmemory-policy is allkeys-lru: Redis may drop jobs/, /set maxmemory-policy noeviction/);
  assert.equal(checks['redis persistence'].result, 'warn');
  assert.match(checks['redis persistence'].next, /set appendonly yes/);
  await desk.redis.command('CONFIG', 'SET', 'requirepass', 'sesame');
  const refused = await desk.look({ config: desk.with('r.yaml', { redis: { url: desk.redis.url, password: 'wrong' } }) });
  fails(refused.checks.redis, /WRONGPASS|NOAUTH/, /correct redis\.url or redis\.password/);
  assert.doesNotMatch(JSON.stringify(refused.answer), /sesame/);
  const right = await desk.look({ config: desk.with('r.yaml', { redis: { url: desk.redis.url, password: 'sesame' } }) });
  assert.equal(right.checks['redis version'].result, 'ok');
  await desk.redis.stop();
  const away = await desk.look();
  fails(away.checks.redis, /Connection refused/, /start Redis, or correct redis\.url/);
  fails(away.checks.policy, /lies in Redis, which does not answer/, /first Redis/);
});

test('redis: too old', async (t) => {
  const desk = await clinic(t, { redis: null, relay: false });
  const info = 'redis_version:6.2.7\r\nmaxmemory_policy:noeviction\r\naof_enabled:1\r\n';
  const server = net.createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (c) => {
      for (const word of c.toString().match(/\r\n(INFO|EVALSHA|EVAL|HGET|PING)\r\n/g) ?? []) {
        socket.write(word.includes('INFO') ? `$${info.length}\r\n${info}\r\n` : '-ERR not here\r\n');
      }
    });
  });
  server.listen(desk.world.ports.redis, '127.0.0.1');
  await once(server, 'listening');
  desk.world.atEnd(() => server.close());
  const config = desk.with('old.yaml', { redis: { url: `redis://127.0.0.1:${desk.world.ports.redis}/0` } });
  fails((await desk.look({ config })).checks['redis version'], /^6\.2\.7 is too old$/, /install Redis 7 or later/);
});

test('held mail is a warning that leads to dead list', async (t) => {
  const desk = await clinic(t, { relay: false });
  await desk.world.start('ingest');
  await desk.world.start('render');
  await desk.ok('submit', desk.write('m.eml', tooDeep()), '--from', 'a@example.jp', '--to', 'b@example.com');
  await waitFor(async () => (await desk.json('queue')).render.dead === 1, { what: 'a dead letter' });
  const held = (await desk.look()).checks['held mail'];
  assert.deepEqual([held.result, held.text], ['warn', '1 dead letter waits for a decision']);
  assert.match(held.next, /fumibako dead list/);
});

test('policy: none, broken, in a file that is not there', async (t) => {
  const desk = await clinic(t, { relay: false });
  const look = async (config) => (await desk.look(config && { config })).checks.policy;
  assert.equal((await look()).result, 'ok');
  await desk.redis.command('HSET', 'fb:policy', 'document', 'rules: [\n');
  fails(await look(), /^1 errors?; the first: line \d+: /, /fumibako policy check FILE/);
  await desk.redis.command('DEL', 'fb:policy');
  fails(await look(), /no policy is in force/, /fumibako policy apply FILE/);
  fails(await look(desk.with('f.yaml', { policy: { source: 'file:/nonexistent/policy.yaml' } })), /No such file/,
    /correct policy\.source/);
});

test('storages: credentials that are missing, wrong or open to everybody', async (t) => {
  const desk = await clinic(t, { relay: false });
  const look = async () => (await desk.look()).checks;
  fs.chmodSync(desk.auth, 0o644);
  fs.chmodSync(desk.vaultKey, 0o604);
  let checks = await look();
  fails(checks['storage box'], /can be read by everybody/, /chmod o= /);
  fails(checks['storage vault'], /can be read by everybody/, /chmod o= /);
  desk.write('box.json', '{"boxAppSettings": ', 0o600);
  fs.chmodSync(desk.vaultKey, 0o600);
  fs.rmdirSync(desk.vault);
  checks = await look();
  fails(checks['storage box'], /is not JSON \(line 1\)/, /Box's developer console/);
  fails(checks['storage vault'], /vault cannot be written: No such file/, /create it/);
  desk.write('box.json', '{"boxAppSettings": {"clientID": "x"}}', 0o600);
  fails((await look())['storage box'], /no boxAppSettings with clientID and clientSecret/, /Box's developer console/);
  fs.rmSync(desk.auth);
  fs.rmSync(desk.vaultKey);
  checks = await look();
  fails(checks['storage box'], /box\.json: No such file/, /Box's developer console/);
  fails(checks['storage vault'], /vault\.key: No such file/, /restore the vault's key file/);
});

test('relay: nobody, the wrong greeting, silence', async (t) => {
  const desk = await clinic(t, { redis: null, relay: false });
  const look = async () => (await desk.look()).checks.relay;
  const quick = Date.now();
  fails(await look(), /connect/i, /re-injection port or correct rewrite\.relay/);
  const usual = Date.now() - quick; // what all the rest takes on this machine
  const busy = new Relay();
  await busy.start(desk.world.ports.relay, '554 no service\u001b[31m here');
  fails(await look(), /greets with "554 no service/, /re-injection port/);
  assert.doesNotMatch((await desk.ctl('doctor')).stdout, /\u001b/);
  await busy.stop();
  const silent = net.createServer((socket) => socket.on('error', () => {}));
  silent.listen(desk.world.ports.relay, '127.0.0.1');
  await once(silent, 'listening');
  desk.world.atEnd(() => silent.close());
  const before = Date.now();
  fails(await look(), /no answer within 10 seconds/, /re-injection port/);
  assert.ok(Date.now() - before < 45000 + 4 * usual); // ten seconds, and what a machine that stands still for as long adds
});

test('services: absent ones are named, and one that is not ready says why', async (t) => {
  const desk = await clinic(t, { relay: false });
  const { status, checks } = await desk.look();
  assert.equal(status, 1);
  fails(checks.ingest, new RegExp(`nobody answers at ${desk.address}:9101: `), /start fumibako-ingest/);
  const port = desk.world.ports.metrics_ingest;
  const server = (await import('node:http')).createServer((req, res) => res.writeHead(503).end('redis is away\n'));
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  desk.world.atEnd(() => server.close());
  const one = await desk.look({ config: desk.with('one.yaml', { metrics: { listen: `127.0.0.1:${port}` } }) });
  fails(one.checks.service, /^not ready \(503\): redis is away/, /its log says more/);
});

test('in Japanese: the same checks, with words for each of them', async (t) => {
  const desk = await clinic(t, { redis: ['--maxmemory-policy', 'allkeys-lru'], relay: false });
  fs.chmodSync(desk.auth, 0o644);
  const english = (await desk.look()).answer.checks;
  const r = await run(['--config', desk.config, 'doctor', '--json', '--language', 'ja']);
  const japanese = r.json().checks;
  assert.deepEqual(japanese.map((c) => [c.check, c.result]), english.map((c) => [c.check, c.result]));
  const text = (check) => japanese.find((c) => c.check === check);
  assert.match(text('redis memory').text, /^maxmemory-policy が allkeys-lru です。/);
  assert.match(text('storage box').text, /box\.json を誰でも読み取れます$/);
  assert.match(text('storage box').next, /^chmod o= \S+box\.json を実行してください/);
  assert.match(text('ingest').next, /^fumibako-ingest を起動するか/);
  for (const c of japanese) if (c.result !== 'ok') assert.match(c.next, /[ぁ-ん]/, c.check);
  await desk.redis.command('FLUSHALL');
  const bare = (await run(['--config', desk.config, 'doctor', '--json', '--language', 'ja'])).json().checks;
  assert.match(bare.find((c) => c.check === 'policy').text, /^有効なポリシーがありません。/);
  const shown = await run(['--config', desk.config, 'doctor'], { env: { LC_ALL: 'ja_JP.UTF-8' } });
  assert.match(shown.stdout, /\n失敗 \d+ 件、警告 \d+ 件\n$/);
  assert.equal((await run(['--config', desk.config, 'doctor', '--language', 'fr'])).status, 2);
});

/** The literals of a source, pieces put together, without #include and comments. */
function literals(file) {
  const source = fs.readFileSync(path.join(ROOT, 'services/ctl', file), 'utf8').replace(/\/\*[\s\S]*?\*\//g, '').replace(/^#.*$/gm, '');
  return [...source.matchAll(/"(?:[^"\\\n]|\\.)*"(?:\s*"(?:[^"\\\n]|\\.)*")*/g)]
    .map(([m]) => [...m.matchAll(/"((?:[^"\\\n]|\\.)*)"/g)].map((p) => p[1]).join(''));
}

test('nothing that doctor says lacks Japanese words, and both have the same values', () => {
  const names = /^(redis (version|memory|persistence|fail-over)|held mail|storage %s|alarm %s|uid %u|maxmemory-policy noeviction|appendonly yes)$/;
  const rows = literals('doctor_words.c').filter((w) => !w.startsWith('services/'));
  const words = new Map(rows.flatMap((w, i) => (i % 2 === 0 ? [[w, rows[i + 1]]] : [])));
  let count = 0;
  for (const file of ['doctor.c', 'doctor_local.c', 'doctor_net.c']) {
    for (const said of literals(file)) {
      if (!/[a-z]{2,}[^a-z%]* |%[^ ]* [a-z]{2}/i.test(said) || names.test(said) || /^%-|QUIT|http:/.test(said)) continue;
      assert.ok(words.has(said), `${file}: "${said}"`);
      count++;
    }
  }
  assert.ok(count > 60, `${count}`);
  const values = (w) => [...w.matchAll(/%(?:%|[-0-9.]*(?:z|l{0,2})[a-z])/g)].map(([v]) => v.replace(/[-0-9.]/g, ''));
  for (const [en, ja] of words) {
    assert.match(ja, /[^\x00-\x7f]/, en);
    assert.deepEqual(values(ja), values(en), en);
  }
});
