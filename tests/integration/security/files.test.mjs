// SPDX-License-Identifier: Apache-2.0
// Files and secrets: what the services make is theirs alone, whatever the umask; what somebody else put in the way (links,
// other owners, open modes) is refused in words; secrets stand in no command line, environment, log or core.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { World, binDir, unlessGone, waitFor } from '../../support/harness.mjs';
import { SECRET_EN, japaneseMail } from '../../e2e/mails.mjs';
import { account } from '../console/api-kit.mjs';
import { descendants } from '../render/kit.mjs';
import { ALL, consoleSettings, handIn, startStack, tree } from './kit.mjs';

process.env.FB_REDIS_ACL = '0'; // one password of Redis for all, which is looked for below
const isRoot = process.getuid() === 0;
const isSanitized = spawnSync('nm', ['-D', path.join(binDir(), 'fumibako-ingest')]).stdout.toString().includes('__asan_init');

test('with a umask of 0, all that services make is for their user alone; no secret is anywhere to be read', { timeout: 600000 }, async (t) => {
  const before = process.umask(0); // what children start with
  t.after(() => process.umask(before));
  const secrets = { redis: randomBytes(20).toString('hex'), rewrite: randomBytes(24).toString('hex') };
  const stack = await startStack(t, { services: [] });
  const { world } = stack;
  await account(world.redis, 'root', 'admin');
  await world.redis.command('CONFIG', 'SET', 'requirepass', secrets.redis);
  world.redis.client.socket.destroy();
  const file = (name, text) => {
    fs.writeFileSync(path.join(world.dir, name), text, { mode: 0o600 });
    return path.join(world.dir, name);
  };
  const overrides = { ...stack.overrides,
    redis: { password_file: file('redis.password', secrets.redis) },
    rewrite: { ...stack.overrides.rewrite, key: undefined, key_file: file('rewrite.key', secrets.rewrite) },
    ingest: { token: undefined, token_file: file('token', world.token) }, fetch: { token: undefined, token_file: file('fetch.token', world.fetchToken) }, log: { level: 'debug' } };
  delete overrides.rewrite.key;
  overrides.console = consoleSettings(world);
  stack.running = [];
  for (const name of ALL) {
    const config = world.config(name, overrides);
    delete config.rewrite.key;
    delete config.ingest.token;
    delete config.fetch.token;
    const at = file(`${name}.yaml`, JSON.stringify(config));
    const service = await world.start(name, {}, { args: ['--config', at] }); // the last --config counts
    stack.running.push(service);
  }
  const mail = japaneseMail({ size: 300000 });
  assert.equal((await handIn(stack, mail.content)).code, 250);
  await waitFor(() => stack.relay.mails.length > 0, { timeout: 180000, what: 'the notice' });
  assert.equal((await handIn(stack, mail.content, { to: ['nobody@elsewhere.example'] })).code, 250);

  await waitFor(() => fs.existsSync(overrides.console.users_file), { what: 'the copy of the accounts' });
  const made = [...tree(world.spoolDir), ...tree(path.join(world.dir, 'policy')), ...tree(path.join(world.dir, 'accounts'))];
  assert.ok(made.length > 10);
  for (const f of made) {
    assert.equal(f.mode & 0o077, 0, `${f.path} has mode ${f.mode.toString(8)}`);
    assert.equal(f.uid, process.getuid(), f.path);
    assert.ok(!f.isSymbolicLink && !f.isSocket, f.path);
  }
  for (const f of fs.readdirSync('/tmp').filter((n) => n.startsWith('fumibako-chromium-'))) {
    assert.equal(fs.statSync(path.join('/tmp', f), { throwIfNoEntry: false })?.mode & 0o077, 0, f);
  }
  // The spool is encrypted: no word of the mail, no address of it.
  for (const f of made.filter((m) => !m.isDirectory && !m.path.endsWith('current'))) {
    const bytes = unlessGone(() => fs.readFileSync(f.path).toString('latin1'), ''); // its mail has gone on
    for (const text of [SECRET_EN, 'hanako@partner', 'Launch', mail.messageId]) {
      if (f.path.startsWith(world.spoolDir)) assert.ok(!bytes.includes(text), `${f.path}: ${text}`);
    }
  }
  const box = JSON.parse(fs.readFileSync(stack.box.config, 'utf8'));
  const keys = [secrets.redis, secrets.rewrite, world.token, fs.readFileSync(world.keyFile, 'utf8').trim().slice(3),
    box.boxAppSettings.clientSecret].filter(Boolean);
  for (const service of stack.running) {
    const proc = (name) => fs.readFileSync(`/proc/${service.pid}/${name}`, 'latin1');
    for (const key of keys) {
      for (const where of ['cmdline', 'environ']) assert.ok(!proc(where).includes(key), `${service.name}: a secret in its ${where}`);
      assert.ok(!service.output.includes(key), `${service.name}: a secret in its log`);
    }
    assert.match(proc('limits'), /Max core file size\s+0\s+0/, service.name);
    // Not dumpable: /proc belongs to root and no process of the same user may look into it (root may).
    if (!isSanitized && !isRoot) assert.equal(fs.statSync(`/proc/${service.pid}/mem`).uid, 0, service.name);
    if (isRoot) {
      const wanted = { 'rewrite.key': secrets.rewrite, token: world.token, 'fetch token': world.fetchToken, 'spool key': Buffer.from(fs.readFileSync(world.keyFile, 'utf8').trim().slice(3), 'base64'),
        'spool key file': fs.readFileSync(world.keyFile, 'utf8').trim().slice(3), ...(box.boxAppSettings.clientSecret ? { 'client secret': box.boxAppSettings.clientSecret } : {}) };
      const look = (pid, name) => {
        const found = holds(pid, wanted);
        assert.deepEqual(found.filter((f) => !HOLDS[name].includes(f)), [], `${name} holds secrets that it does not need`);
        if (['rewrite', 'portal', 'console'].includes(name)) assert.ok(found.includes('rewrite.key'), `${name}: the look itself works`);
      };
      look(service.pid, service.name);
      const zygote = descendants(service.pid).find((p) => p.name === `${service.name}-zygote`);
      if (service.name === 'render' || service.name === 'portal') look(zygote.pid, 'zygote');
      if (service.name === 'console') look(descendants(service.pid).find((p) => p.name === 'console-helper').pid, 'helper');
    }
    const dump = spawnSync(path.join(binDir(), `fumibako-${service.name}`), ['--config', path.join(world.dir, `${service.name}.yaml`), '--dump-config'], { encoding: 'utf8' });
    assert.equal(dump.status, 0);
    for (const key of keys) assert.ok(!dump.stdout.includes(key) && !dump.stderr.includes(key), '--dump-config hides secrets');
  }
});

/** Whether bytes stand in a process's own writable memory (the sanitizer's shadow, which holds none, is left out). */
function holds(pid, wanted) {
  const fd = fs.openSync(`/proc/${pid}/mem`, 'r');
  const found = new Set();
  try {
    for (const line of fs.readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n')) {
      const m = /^([0-9a-f]+)-([0-9a-f]+) rw-p \S+ \S+ (\d+)\s*(.*)$/.exec(line);
      if (!m || (m[3] !== '0' && !m[4].startsWith('/'))) continue;
      const [from, to] = [BigInt(`0x${m[1]}`), BigInt(`0x${m[2]}`)];
      if (to - from > 1n << 30n) continue;
      for (let at = from; at < to; at += 4n << 20n) {
        const chunk = Buffer.alloc(Number(to - at < 4n << 20n ? to - at : 4n << 20n));
        try { fs.readSync(fd, chunk, 0, chunk.length, at); } catch { continue; }
        for (const [name, bytes] of Object.entries(wanted)) if (chunk.includes(bytes)) found.add(name);
      }
    }
  } finally {
    fs.closeSync(fd);
  }
  return [...found].sort();
}

// What each process may have in its memory; the children that read mail, and what makes them: nothing.
const HOLDS = {
  ingest: ['spool key', 'token'], render: ['fetch token', 'rewrite.key', 'spool key'], upload: ['client secret', 'spool key'], rewrite: ['rewrite.key', 'spool key'],
  revoke: ['client secret', 'spool key'], watch: ['client secret'], portal: ['rewrite.key', 'token'], fetch: ['fetch token'], console: ['rewrite.key'], zygote: [], helper: [],
};

// As a user without rights, who owns the spool: root would be let through everywhere.
const USER = { uid: 65534, gid: 65534 };
function checkAs(user, args) {
  return spawnSync('setpriv', [`--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups', ...args], { encoding: 'utf8', timeout: 90000, killSignal: 'SIGKILL' });
}

test('links, other owners and open modes in spool, keys and secrets are refused in words', { skip: !isRoot && 'needs root, to be two users' }, async (t) => {
  const world = await World.create(t);
  await world.startRedis();
  fs.chmodSync(world.dir, 0o755);
  const own = (file) => { fs.chownSync(file, USER.uid, USER.gid); return file; };
  const make = (name, mode = 0o600, text = 'k'.repeat(48)) => {
    const file = path.join(world.dir, name);
    fs.writeFileSync(file, text);
    fs.chmodSync(file, mode);
    return own(file);
  };
  own(world.keyFile);
  const key = fs.readFileSync(world.keyFile, 'utf8');
  // Programs may lie where another user cannot go: a copy can.
  const bin = path.join(world.dir, 'bin');
  fs.mkdirSync(bin, { mode: 0o755 });
  for (const p of ['fumibako-ingest', 'fumibako-rewrite']) fs.copyFileSync(path.join(binDir(), p), path.join(bin, p));
  const start = (overrides, program = 'ingest', seconds = 60) => {
    const config = world.config(program, overrides);
    if (overrides.rewrite?.key_file) delete config.rewrite.key;
    if (overrides.ingest?.token_file) delete config.ingest.token;
    const file = make('config.yaml', 0o600, JSON.stringify(config));
    const r = checkAs(USER, ['env', 'ASAN_OPTIONS=detect_leaks=0', 'timeout', String(seconds), path.join(bin, `fumibako-${program}`), '--config', file]);
    return { status: r.status, text: r.stdout + r.stderr };
  };
  const folder = (name, mode = 0o700) => {
    const at = path.join(world.dir, name);
    fs.mkdirSync(at);
    fs.chmodSync(at, mode);
    return own(at);
  };
  const refused = (overrides, words, program) => {
    const r = start(overrides, program);
    assert.ok(r.status === 78 || r.status === 1, `${words}: ${r.status} ${r.text}`);
    assert.match(r.text, words);
  };
  const spool = (at) => ({ spool: { url: `file://${at}`, key_file: world.keyFile } });

  // The spool: a link, a folder that others may write to, another user's; a link or a FIFO inside it.
  const real = folder('real');
  fs.symlinkSync(real, path.join(world.dir, 'link'));
  refused(spool(path.join(world.dir, 'link')), /is not a directory \(a link is not followed\)/);
  refused(spool(folder('open', 0o777)), /can be written by others: chmod 700/);
  const foreign = folder('foreign', 0o755);
  fs.chownSync(foreign, 0, 0);
  refused(spool(foreign), /belongs to user 0, we run as 65534/);
  const inner = folder('inner');
  fs.symlinkSync('/etc', path.join(inner, 'segments'));
  refused(spool(inner), /segments is not a directory \(a link is not followed\)/);
  const fifo = folder('fifo');
  spawnSync('mkfifo', [path.join(fifo, 'spool.id')]);
  own(path.join(fifo, 'spool.id'));
  refused(spool(fifo), /spool\.id is not a regular file/);
  const idLink = folder('id-link');
  fs.symlinkSync('/etc/hostname', path.join(idLink, 'spool.id'));
  refused(spool(idLink), /spool\.id is not a regular file/);

  // Keys and secrets: readable by others, another user's, a folder.
  const good = folder('good');
  for (const mode of [0o644, 0o604, 0o620, 0o602]) {
    refused({ spool: { url: `file://${good}`, key_file: make('open.key', mode, key) } }, /open\.key can be read or changed by others.*chmod 600/);
    refused({ ...spool(good), rewrite: { key_file: make('open.rewrite', mode) } }, /rewrite\.key_file: .*open\.rewrite can be read or changed by others.*chmod 600/, 'rewrite');
    refused({ ...spool(good), ingest: { token_file: make('open.token', mode) } }, /ingest\.token_file: .*open\.token can be read or changed by others/);
  }
  const others = make('others.key', 0o640, key);
  fs.chownSync(others, 1, USER.gid);
  refused({ spool: { url: `file://${good}`, key_file: others } }, /others\.key belongs to user 1/);
  // A secret that Kubernetes mounts: a link to a file of root's that our group may read.
  const mounted = make('mounted.key', 0o440, key);
  fs.chownSync(mounted, 0, USER.gid);
  fs.symlinkSync(mounted, path.join(world.dir, 'mount-link'));
  const ok = start({ spool: { url: `file://${good}`, key_file: path.join(world.dir, 'mount-link') } }, 'ingest', 3);
  assert.equal(ok.status, 124, `it runs until it is ended: ${ok.text}`);
});
