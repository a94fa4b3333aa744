// SPDX-License-Identifier: Apache-2.0
//
// Reading: 200 readers at once fetch one file, out of the vault through the portal (which decrypts, and checks every
// chunk) and, in the same run, the same plain file from nginx with sendfile.  Then one file of 2 GB: the memory of the
// portal before, while and after.
//
// nginx is Debian's, taken apart into a folder of this run: nothing is installed, and no service is started.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, request, sleep, waitFor } from '../support/harness.mjs';
import { Reading } from '../integration/portal/reading_kit.mjs';
import { caseOf, interleave, machine, progress, report, timed } from './lib.mjs';

const READERS = 200;
const SIZE = 32 << 20;
const HUGE = 2 ** 31; // 2 GiB

const cleanups = [];
const before = machine().load_average;

function readers(dir) {
  const program = path.join(dir, 'readers');
  execFileSync('cc', ['-O2', '-D_GNU_SOURCE', '-o', program, fileURLToPath(new URL('kit/readers.c', import.meta.url))]);
  return (port, count, at, cookie = null) => {
    const run = spawnSync(program, [String(port), String(count), at, ...(cookie ? [cookie] : [])], { encoding: 'utf8' });
    assert.equal(run.status, 0, run.stderr);
    const [bytes, seconds] = run.stdout.trim().split(' ').map(Number);
    return { bytes, rate: bytes / seconds / 1e6 };
  };
}

async function startNginx(world, root) {
  const dir = path.join(world.dir, 'nginx');
  fs.mkdirSync(path.join(dir, 'tmp'), { recursive: true });
  if (spawnSync('nginx', ['-v']).status !== 0) {
    fs.chmodSync(dir, 0o755);
    execFileSync('apt-get', ['download', 'nginx'], { cwd: dir, stdio: 'ignore' });
    const [deb] = fs.readdirSync(dir).filter((f) => f.endsWith('.deb'));
    execFileSync('dpkg-deb', ['-x', path.join(dir, deb), dir]);
  }
  const program = fs.existsSync(path.join(dir, 'usr/sbin/nginx')) ? path.join(dir, 'usr/sbin/nginx') : 'nginx';
  const port = await freePort();
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((n) => `${n}_temp_path ${dir}/tmp/${n};`).join(' ');
  fs.writeFileSync(path.join(dir, 'nginx.conf'), `daemon off; pid ${dir}/pid; user root; worker_processes auto; worker_rlimit_nofile 8192;
events { worker_connections 4096; }
http { access_log off; sendfile on; tcp_nopush on; ${paths} server { listen 127.0.0.1:${port} backlog=1024; root ${root}; } }\n`);
  world.spawn(program, ['-e', 'stderr', '-p', dir, '-c', path.join(dir, 'nginx.conf')]);
  await waitFor(async () => (await request(`http://127.0.0.1:${port}/plain`, { method: 'HEAD' })).status === 200, { what: 'nginx' });
  return port;
}

const rss = (pid) => Number(/^VmRSS:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024;

/** An address of a file's ticket, and the cookie with it. */
async function ticket(r, parcel) {
  const client = await r.enter(parcel.link);
  const { location } = (await r.ask(client, parcel.link, Reading.ids(parcel, 1)[0])).headers;
  return [location, [...client.cookies.values()].map((c) => `${c.name}=${c.value}`).join('; ')];
}

const r = await Reading.create({ after: (fn) => cleanups.push(fn) }, { log: { level: 'warn' } });
try {
  const run = readers(r.dir);
  const root = path.join(r.dir, 'www');
  fs.mkdirSync(root, { mode: 0o755 });
  fs.writeFileSync(path.join(root, 'plain'), randomBytes(SIZE));
  const nginx = await startNginx(r.world, root);
  const parcel = r.parcel({ files: [{ name: 'file.bin', type: 'application/octet-stream', path: path.join(root, 'plain') }] });
  const [at, cookie] = await ticket(r, parcel);
  const portal = r.world.ports.portal;
  const small = rss(r.service.pid);
  let most = 0;
  const measure = {
    portal: () => {
      const { bytes, rate } = run(portal, READERS, at, cookie);
      assert.equal(bytes, READERS * SIZE);
      most = Math.max(most, rss(r.service.pid));
      return rate;
    },
    nginx: () => {
      const { bytes, rate } = run(nginx, READERS, '/plain');
      assert.equal(bytes, READERS * SIZE);
      return rate;
    },
  };
  for (const name of ['portal', 'nginx']) measure[name]();
  const got = await interleave(['portal', 'nginx'], (name) => measure[name]());
  progress(`memory of the portal: ${small.toFixed(0)} MB idle, ${most.toFixed(0)} MB behind ${READERS} readers at once`);

  // 2 GB, streamed.
  const huge = path.join(r.dir, 'huge');
  fs.writeFileSync(huge, '');
  fs.truncateSync(huge, HUGE);
  const large = r.parcel({ files: [{ name: 'huge.bin', type: 'application/octet-stream', path: huge }] });
  fs.rmSync(huge);
  const [hugeAt, hugeCookie] = await ticket(r, large);
  await sleep(500);
  const idle = rss(r.service.pid);
  let peak = 0;
  const timer = setInterval(() => { peak = Math.max(peak, rss(r.service.pid)); }, 50);
  const seconds = await timed(path.join(r.dir, 'readers'), [String(portal), '1', hugeAt, hugeCookie]);
  clearInterval(timer);
  progress(`2 GiB: ${(HUGE / seconds / 1e6).toFixed(0)} MB/s; memory of the portal ${idle.toFixed(0)} MB before, ${peak.toFixed(0)} MB at most meanwhile`);
  assert.ok(peak - idle < 32, 'memory is flat');
  const kept = report('reading', [caseOf(`${READERS} readers of ${SIZE >> 20} MiB`, 'MB/s', got.portal, { nginx: got.nginx }, { nginx: 0.5 })], before,
    { memory_mb: { idle: small, readers: most, before_2gb: idle, while_2gb: peak } });
  process.exitCode = kept ? 0 : 1;
} finally {
  for (const fn of cleanups.reverse()) await fn();
}
