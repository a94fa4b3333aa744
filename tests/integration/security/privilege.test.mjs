// SPDX-License-Identifier: Apache-2.0
// Least privilege (common/confine.h): what each service opens, connects to and executes in a full run is what the list
// below says, and what it does not need is taken from it by the kernel.  SECURITY.md shows the same list.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { binDir, freePort, request, waitFor } from '../../support/harness.mjs';
import { japaneseMail } from '../../e2e/mails.mjs';
import { descendants } from '../render/kit.mjs';
import { account } from '../console/api-kit.mjs';
import { ALL, Canary, EACCES, EPERM, consoleSettings, handIn, startStack } from './kit.mjs';

const hasStrace = spawnSync('strace', ['-V']).status === 0;
const here = path.dirname(new URL(import.meta.url).pathname);

/** Programs with a sanitizer: its own process may trace us, so that tracing and forking are left to it. */
const isSanitized = spawnSync('nm', ['-D', path.join(binDir(), 'fumibako-ingest')]).stdout.toString().includes('__asan_init');

// r: may be read, w: may be written, by what lies in the world of the test. Listens and peers by name.
const ALLOWED = {
  ingest: { w: ['spool'], r: ['spool.key'], listens: ['smtp', 'lmtp', 'http'], peers: ['redis'] },
  render: { w: ['spool', 'policy'], r: ['spool.key'], listens: [], peers: ['redis'], executes: /chromium|headless|^\/proc\/self\/exe$/ },
  upload: { w: ['spool', 'policy', 'vault'], r: ['spool.key', 'box.json'], listens: [], peers: ['redis', 'box'] },
  rewrite: { w: ['spool', 'policy'], r: ['spool.key'], listens: [], peers: ['redis', 'relay'] },
  revoke: { w: ['spool', 'policy', 'vault'], r: ['spool.key', 'box.json'], listens: [], peers: ['redis', 'box'] },
  watch: { w: ['policy'], r: ['box.json'], listens: [], peers: ['redis', 'box'] },
  portal: { w: ['policy'], r: ['vault', 'vault.key'], listens: ['portal'], peers: ['redis', 'ingest'] },
  fetch: { w: [], r: [], listens: ['fetch'], peers: [] },
  console: { w: ['policy', 'accounts'], r: [], listens: ['console'], peers: ['redis'] },
};
// What every program reads: libraries, fonts, character sets, names, certificates, and its own state.
const SYSTEM = /^\/(usr|lib|lib64|bin|sys\/(devices|fs\/cgroup|kernel\/mm)|proc|etc\/(ld\.so\.(cache|preload)|ssl|hosts|host\.conf|gai\.conf|nsswitch\.conf|resolv\.conf|services|protocols|localtime|passwd|group|fonts|pki)|var\/cache\/fontconfig|dev\/(null|zero|urandom|random))(\/|$)/;

/** The calls of one trace: {reads, writes, connects, binds, executes, denied}. */
function readTrace(files, dir) {
  const seen = { reads: new Set(), writes: new Set(), connects: new Set(), binds: new Set(), executes: new Set(), denied: new Set() };
  for (const file of files) {
    for (const line of fs.readFileSync(file, 'latin1').split('\n')) {
      const open = /open(?:at)?\((?:(\w+)(?:<([^>]*)>)?, )?"([^"]*)", ([A-Z_|0-9]+)/.exec(line);
      const isDenied = /= -1 (EACCES|EPERM)/.test(line);
      if (open) {
        const at = path.resolve(open[2] ?? '/', open[3]);
        if (isDenied) seen.denied.add(line.replace(/^\d+ +/, ''));
        if (/ = \d/.test(line) && !/O_PATH/.test(line)) (/O_WRONLY|O_RDWR|O_CREAT/.test(open[4]) ? seen.writes : seen.reads).add(at.replace(`${dir}/`, '@/'));
      }
      const address = /^[^(]*(connect|bind)\(.*sin_port=htons\((\d+)\)/.exec(line);
      if (address) seen[address[1] === 'bind' ? 'binds' : 'connects'].add(Number(address[2]));
      const run = /execve(?:at)?\("([^"]*)".*= 0$/.exec(line);
      if (run) seen.executes.add(run[1]);
      if (isDenied && !open) seen.denied.add(line.replace(/^\d+ +/, ''));
    }
  }
  return seen;
}

test('what each service opens, connects to and executes in a full run is on its list', { skip: !hasStrace && 'strace is not installed', timeout: 240000 }, async (t) => {
  const stack = await startStack(t, { services: [] });
  const { world } = stack;
  stack.overrides.console = consoleSettings(world);
  const token = await account(world.redis, 'root', 'admin');
  const running = {};
  for (const name of ALL) {
    running[name] = await world.start(name, stack.overrides, {
      wrap: ['strace', '-D', '-ff', '-y', '-qq', '-s', '256', '-o', path.join(world.dir, `trace-${name}`),
        '-e', 'trace=open,openat,connect,bind,execve,execveat,mount,ptrace,unshare,setns,symlinkat,linkat'],
      env: { ASAN_OPTIONS: 'detect_leaks=0' } });
  }
  stack.running = Object.values(running);
  const mail = japaneseMail({ size: 20000 });
  assert.equal((await handIn(stack, mail.content)).code, 250);
  await waitFor(() => stack.relay.mails.length > 0, { timeout: 180000, what: 'the notice' });
  const [message] = await stack.messages();
  await waitFor(async () => (await stack.messages())[0].state === 'done', { timeout: 180000, what: 'the end of the mail' });
  const recall = await stack.ctl('message', 'recall', message.id, '--json');
  assert.equal(recall.status, 0, recall.stdout + recall.stderr);
  await waitFor(async () => (await stack.box.state()).collaborations.length === 0, { timeout: 180000, what: 'the recall' });
  assert.equal((await request(`http://127.0.0.1:${world.ports.portal}/s/none`)).status, 404);
  const asks = { headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' } };
  for (const at of ['/', '/api/v1/overview', '/api/v1/messages', `/api/v1/messages/${message.id}`, '/api/v1/policy', '/api/v1/storages', '/api/v1/audit', '/api/v1/system', '/api/v1/users']) {
    assert.equal((await request(`http://127.0.0.1:${world.ports.console}${at}`, asks)).status, 200, at);
  }
  // A password, which is hashed, and the copy of the accounts, which is written.
  const wrong = await request(`http://127.0.0.1:${world.ports.console}/api/v1/session`, { ...asks, method: 'POST', body: '{"user":"root","password":"x"}' });
  assert.equal(wrong.status, 401);
  await waitFor(() => fs.existsSync(stack.overrides.console.users_file), { what: 'the copy of the accounts' });
  // Nothing of this machine is fetched, so that nothing is called.
  const image = await request(`http://127.0.0.1:${world.ports.fetch}/v1/image`, { method: 'POST', body: JSON.stringify({ url: `http://127.0.0.1:${world.ports.redis}/x.png` }),
    headers: { authorization: `Bearer ${world.fetchToken}`, 'content-type': 'application/json' } });
  assert.ok(image.status >= 400, `${image.status}`);
  for (const service of Object.values(running)) assert.equal((await service.stop()).code, 0, service.output);

  const boxPort = Number(new URL(stack.box.url).port);
  const ports = { redis: world.ports.redis, box: boxPort, relay: stack.relay.port, ingest: world.ports.http };
  const complaints = [];
  const check = (is, what) => { if (!is) complaints.push(what); };
  for (const name of ALL) {
    const files = fs.readdirSync(world.dir).filter((f) => f.startsWith(`trace-${name}.`)).map((f) => path.join(world.dir, f));
    const seen = readTrace(files, world.dir);
    const may = ALLOWED[name];
    const isOwn = (p, list) => list.some((entry) => p === `@/${entry}` || p.startsWith(`@/${entry}/`));
    const config = new RegExp(`^@/${name}-\\d+\\.yaml$`);
    // Browsers have a home below /tmp, which ends with them, and write to their own /proc and /dev/shm.
    const isBrowsers = (p) => name === 'render' && /^\/(tmp\/\.?fumibako-(chromium|new)-|proc\/|dev\/(null|shm)|tmp\/\.org\.chromium|etc\/|$|tmp$|var\/)/.test(p);
    for (const p of seen.writes) check(isOwn(p, may.w) || p === '/dev/null' || isBrowsers(p), `${name} writes ${p}`);
    for (const p of seen.reads) {
      check(SYSTEM.test(p) || isOwn(p, may.w) || isOwn(p, may.r) || config.test(p) || isBrowsers(p) || p === '/' || p === world.dir || p === '@'
        || p.startsWith(binDir()), `${name} reads ${p}`);
    }
    const listens = [...may.listens.map((l) => world.ports[l]), world.ports[`metrics_${name}`]];
    for (const p of seen.binds) check(listens.includes(p), `${name} listens on ${p}`);
    const peers = may.peers.map((p) => ports[p]);
    for (const p of seen.connects) check(peers.includes(p), `${name} connects to ${p}`);
    const own = path.join(binDir(), `fumibako-${name}`);
    for (const p of seen.executes) check(p === own || p.endsWith('/strace') || may.executes?.test(p), `${name} executes ${p}`);
    // What the rules refuse is nothing that the service asked for: no function is lost in silence.
    if (name !== 'render') for (const line of seen.denied) check(false, `${name} was refused: ${line}`);
  }
  assert.deepEqual(complaints, []);
});

test('a service that was taken over cannot reach what is another\'s, run a program, or call out', { timeout: 600000 }, async (t) => {
  const stack = await startStack(t, { services: [] });
  const { world } = stack;
  const library = path.join(world.dir, 'probe.so');
  const built = spawnSync(process.env.CC ?? 'cc', ['-shared', '-fPIC', '-O1', '-o', library, path.join(here, 'probe.c')], { encoding: 'utf8' });
  assert.equal(built.status, 0, built.stderr);
  const canary = await Canary.start(t);
  const secret = (name) => {
    const file = path.join(world.dir, name);
    fs.writeFileSync(file, 'k'.repeat(48), { mode: 0o600 });
    return file;
  };
  const vaultDir = path.join(world.dir, 'vault');
  fs.mkdirSync(vaultDir, { mode: 0o700 });
  fs.writeFileSync(path.join(vaultDir, 'vault.id'), 'x', { mode: 0o600 });
  const files = { rewriteKey: secret('rewrite.key'), vaultKey: secret('vault.key'), box: stack.box.config, spoolKey: world.keyFile };
  const outside = path.join(world.dir, 'outside');
  fs.mkdirSync(outside);

  // The first one makes the spool.
  const order = ['ingest', 'upload', 'revoke', 'watch', 'rewrite', 'portal', 'fetch', 'console', 'render'];
  stack.overrides.console = consoleSettings(world);
  const nobodys = await freePort();
  const found = {};
  let kernel = '';
  for (const name of order) {
    const probes = [
      ...Object.values(files).map((f) => `read ${f}`), `read ${world.spoolDir}/spool.id`, `read ${vaultDir}/vault.id`, 'read /etc/shadow', `write ${outside}/${name}`,
      `write ${vaultDir}/${name}`,
      `connect ${canary.port}`, `connect ${world.ports.redis}`, `bind ${nobodys}`, 'fork',
      'exec /bin/there-is-no-such-program', ...(isSanitized ? [] : ['trace']),
    ];
    const service = await world.start(name, stack.overrides, { ready: false, env: {
      LD_PRELOAD: library, FB_PROBES: probes.join('\n'), FB_PROBE_PORT: String(world.ports[`metrics_${name}`]),
      ASAN_OPTIONS: 'detect_leaks=0:verify_asan_link_order=0' } });
    await waitFor(() => /PROBE end/.test(service.output) || !service.isRunning, { what: `the probes in ${name}` });
    kernel += service.output.match(/this kernel has no [^:"]*/g)?.join() ?? '';
    found[name] = {};
    for (const [, what, arg, errno] of service.output.matchAll(/^PROBE (\S+) (\S+) (\d+)$/gm)) {
      const key = { [files.rewriteKey]: 'rewrite.key', [files.box]: 'box.json', [files.spoolKey]: 'spool.key',
        [files.vaultKey]: 'vault.key', [`${vaultDir}/vault.id`]: 'vault', [`${vaultDir}/${name}`]: 'vault',
        [`${world.spoolDir}/spool.id`]: 'spool', [canary.port]: 'elsewhere', [world.ports.redis]: 'redis',
        [`${outside}/${name}`]: 'outside', [nobodys]: 'port' }[arg] ?? arg;
      found[name][`${what} ${key}`] = Number(errno);
    }
    await service.ready();
    for (const task of fs.readdirSync(`/proc/${service.pid}/task`)) { // rules hold for every thread
      let status;
      try { status = fs.readFileSync(`/proc/${service.pid}/task/${task}/status`, 'utf8'); } catch { continue; } // it has ended
      assert.match(status, /NoNewPrivs:\t1\n/, name);
      assert.match(status, /Seccomp:\t2\n/, name);
    }
    await service.stop();
  }
  if (kernel) t.diagnostic(kernel);
  const hasFiles = !/Landlock \(/.test(kernel);
  const hasTcp = !/Landlock/.test(kernel);

  for (const name of order.filter((n) => n !== 'render')) {
    const got = found[name];
    assert.equal(got['exec /bin/there-is-no-such-program'], EPERM, `${name} may execute`); // ENOENT = it may
    assert.equal(got['fork -'], isSanitized ? got['fork -'] : EPERM, `${name} may fork`);
    if (!isSanitized) assert.equal(got['trace -'], EPERM, `${name} may trace`);
    if (hasFiles) assert.equal(got['write outside'], EACCES, `${name} writes outside of its folders`);
    if (hasTcp) assert.equal(got['bind port'], EACCES, `${name} listens where it likes`);
    if (name !== 'fetch') assert.equal(got['connect redis'], 0, `${name} needs Redis`);
    else if (hasTcp) assert.equal(got['connect redis'], EACCES, 'fetch has no Redis');
  }
  if (hasTcp) {
    for (const name of ['ingest', 'portal', 'rewrite', 'render', 'fetch', 'console']) assert.equal(found[name]['connect elsewhere'], EACCES, `${name} calls out`);
  }
  assert.equal(found.upload['connect elsewhere'], 0, 'a storage may be anywhere: the probe itself works');
  assert.equal(found.ingest['read spool.key'], 0);
  if (hasFiles) {
    for (const secretFile of ['read box.json', 'read rewrite.key', 'read /etc/shadow']) {
      for (const name of ['ingest', 'portal', 'fetch', 'console']) assert.equal(found[name][secretFile], EACCES, `${name}: ${secretFile}`);
    }
    for (const file of ['read spool.key', 'read spool', 'write vault']) assert.equal(found.portal[file], EACCES, `portal: ${file}`);
    for (const file of ['read spool.key', 'read spool', 'read vault', 'read vault.key', 'write vault']) {
      for (const name of ['fetch', 'console']) assert.equal(found[name][file], EACCES, `${name}: ${file}`);
    }
    for (const file of ['read vault.key', 'read vault']) {
      assert.equal(found.portal[file], 0, `portal: ${file}`);
      assert.equal(found.ingest[file], EACCES, `ingest: ${file}`);
    }
    for (const name of ['upload', 'revoke']) assert.equal(found[name]['write vault'], 0, `${name} writes the vault`);
    for (const name of ['ingest', 'rewrite', 'watch']) assert.equal(found[name]['write vault'], EACCES, `${name} writes the vault`);
  }
  assert.equal(canary.calls.length, hasTcp ? 3 : 9, 'upload, revoke and watch alone');
});

test('the console\'s helper runs the programs that it is for and no other, and ends with the console', { skip: !hasStrace && 'strace is not installed', timeout: 600000 }, async (t) => {
  const stack = await startStack(t, { services: [] });
  const { world } = stack;
  stack.overrides.console = consoleSettings(world);
  const token = await account(world.redis, 'root', 'admin');
  const log = path.join(world.dir, 'trace-helper');
  const service = await world.start('console', stack.overrides, { env: { ASAN_OPTIONS: 'detect_leaks=0' },
    wrap: ['strace', '-D', '-ff', '-qq', '-s', '256', '-o', log, '-e', 'trace=execve,execveat'] });
  const ask = async (method, at, body) => {
    const r = await request(`http://127.0.0.1:${world.ports.console}/api/v1${at}`, { method, body: body && JSON.stringify(body), timeout: 60000,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' } });
    assert.ok(r.status < 500, `${at}: ${r.status} ${r.body}`);
    return r;
  };
  const mail = Buffer.from('Subject: x\r\n\r\nHello\r\n').toString('base64');
  const document = 'rules:\n  - {name: all, action: pass}\n';
  // Addresses that would be options, and texts that would be commands, are neither.
  for (const to of ['hanako@example.com', '$(touch${IFS}x)@example.com', '`id`@example.com', '"--config=/etc/passwd"@example.com', ';id;@example.com']) await ask('POST', '/policy/test', { mail, from: '', to: [to], document });
  await ask('POST', '/system/doctor');
  await ask('POST', '/policy/notices/preview', { document });
  const helper = descendants(service.pid).find((p) => p.name === 'console-helper');
  assert.ok(helper, 'there is a helper');
  assert.equal((await service.stop()).code, 0);
  await waitFor(() => !fs.existsSync(`/proc/${helper.pid}`) || /State:\tZ/.test(fs.readFileSync(`/proc/${helper.pid}/status`, 'utf8')), { what: 'the helper to end' });
  const runs = new Set();
  for (const file of fs.readdirSync(world.dir).filter((f) => f.startsWith('trace-helper.'))) {
    for (const line of fs.readFileSync(path.join(world.dir, file), 'latin1').split('\n')) {
      const run = /execve(?:at)?\("([^"]*)".*= 0$/.exec(line) ?? /execve(?:at)?\(\d+, "([^"]*)".*= 0$/.exec(line);
      if (run) runs.add(path.basename(run[1] === '' ? '/proc/self/exe' : run[1]));
    }
  }
  const known = ['fumibako', 'fumibako-console', 'fumibako-render', 'fumibako-rewrite', 'strace', 'exe'];
  assert.deepEqual([...runs].filter((r) => !known.includes(r) && !/chrom|headless/.test(r)), [], 'programs that nobody asked for');
  for (const name of ['fumibako', 'fumibako-render', 'fumibako-rewrite']) assert.ok(runs.has(name), `${name} was run`);
});

test('off means off, required means required, and both are said', async (t) => {
  const stack = await startStack(t, { services: [] });
  const off = await stack.world.start('portal', { ...stack.overrides, security: { confine: 'off' } });
  await waitFor(() => off.log.some((l) => l.level === 'warn' && /security\.confine is off/.test(l.text)), { what: 'a word about it' });
  assert.match(fs.readFileSync(`/proc/${off.pid}/status`, 'utf8'), /NoNewPrivs:\t1\n/);
  await off.stop();
  const required = await stack.world.start('portal', { ...stack.overrides, security: { confine: 'required' } }, { ready: false });
  const how = await Promise.race([required.ready().then(() => 'ready'), required.exited.then(() => 'ended')]).catch(() => 'ended');
  if (how === 'ended') assert.match(required.output, /security\.confine: required, but this kernel has no Landlock/);
});
