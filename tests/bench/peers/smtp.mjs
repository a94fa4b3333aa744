// SPDX-License-Identifier: Apache-2.0
//
// Receivers of mail that smtp-source is pointed at: ours (with a Redis of its own), smtp-sink, and a Postfix of
// its own in a temporary folder that queues what it gets and holds it.  Each: start(), port, stop().

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { World, freePort, waitFor } from '../../support/harness.mjs';

async function greets(port, process_, what) {
  await waitFor(() => {
    if (process_.exitCode !== null) throw new Error(`${what} ended`);
    return new Promise((resolve, reject) => {
      const socket = net.connect({ port, host: '127.0.0.1' });
      socket.setTimeout(1000, () => socket.destroy(new Error('no greeting')));
      socket.once('data', (data) => { socket.end('QUIT\r\n'); resolve(data.toString().startsWith('220')); });
      socket.once('error', reject);
    });
  }, { timeout: 20000, what: `${what} to greet` });
}

async function ended(child, signal) {
  if (child && child.exitCode === null && child.signalCode === null) {
    child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), 15000);
    await once(child, 'exit');
    clearTimeout(timer);
  }
}

/** fumibako-ingest as it is delivered: durable spool, jobs added in a Redis that appends to disk each second. */
export class Ingest {
  async start(overrides = {}) {
    this.world = await World.create();
    this.redis = await this.world.startRedis(['--appendonly', 'yes', '--appendfsync', 'everysec']);
    this.service = await this.world.start('ingest', overrides);
    this.port = this.world.ports.smtp;
    this.added = 0;
  }

  /** Waits until Redis has a job for each of count more mails. */
  async allAdded(count) {
    this.added += count;
    const want = this.added;
    const jobs = async () => (await this.redis.command('XLEN', 'fb:{s0}:render')) + (await this.redis.command('XLEN', 'fb:{s0}:render:bulk'));
    await waitFor(async () => (await jobs()) >= want,
      { timeout: 60000, interval: 2, what: `${want} jobs in Redis` });
    const have = await jobs();
    if (have !== want) throw new Error(`${have} jobs for ${want} mails`);
  }

  async stop() {
    await this.service?.stop();
    await this.world?.end();
  }
}

/** Postfix' own receiver for tests: throws mail away. */
export class Sink {
  async start() {
    this.port = await freePort();
    this.process = spawn('smtp-sink', [...(process.getuid() === 0 ? ['-u', 'postfix'] : []), `127.0.0.1:${this.port}`, '1000'], { stdio: 'ignore' });
    this.process.on('error', () => {});
    await greets(this.port, this.process, 'smtp-sink');
  }

  async stop() {
    await ended(this.process, 'SIGTERM');
  }
}

const QUEUES = ['active', 'bounce', 'corrupt', 'defer', 'deferred', 'flush', 'hold', 'incoming', 'maildrop', 'pid', 'private',
  'public', 'saved', 'trace'];

/** A Postfix that puts each mail on disk, durably, and holds it there. Needs root. */
export class Postfix {
  async start() {
    this.port = await freePort();
    this.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'fumibako-postfix-'));
    fs.chmodSync(this.dir, 0o755);
    this.queue = path.join(this.dir, 'queue');
    const data = path.join(this.dir, 'data');
    const config = path.join(this.dir, 'config');
    for (const d of [this.queue, data, config]) fs.mkdirSync(d, { mode: 0o755 });
    const uid = Number(execFileSync('id', ['-u', 'postfix'], { encoding: 'utf8' }));
    const postdrop = Number(/:(\d+):[^:]*$/.exec(execFileSync('getent', ['group', 'postdrop'], { encoding: 'utf8' }).trim())[1]);
    fs.chownSync(data, uid, 0);
    for (const q of QUEUES) {
      const dir = path.join(this.queue, q);
      fs.mkdirSync(dir, { mode: 0o700 });
      if (q !== 'pid') fs.chownSync(dir, uid, q === 'public' || q === 'maildrop' ? postdrop : 0);
    }
    fs.chmodSync(path.join(this.queue, 'pid'), 0o755);
    fs.chmodSync(path.join(this.queue, 'public'), 0o710);
    fs.chmodSync(path.join(this.queue, 'maildrop'), 0o730);
    fs.writeFileSync(path.join(config, 'main.cf'), [
      'compatibility_level = 3.6', `queue_directory = ${this.queue}`, `data_directory = ${data}`,
      'mail_owner = postfix', 'setgid_group = postdrop', 'myhostname = mx.example', 'mydestination =',
      'inet_interfaces = 127.0.0.1', 'inet_protocols = ipv4', 'mynetworks = 127.0.0.0/8', 'alias_maps =', 'alias_database =',
      'local_recipient_maps =', 'default_transport = smtp', 'relay_domains = example', 'append_dot_mydomain = no',
      'smtpd_relay_restrictions = permit_mynetworks, reject',
      'smtpd_recipient_restrictions = check_client_access static:HOLD, permit',
      // what would only cost time here, and none of which is durability
      'smtpd_peername_lookup = no', 'smtpd_tls_security_level = none', 'in_flow_delay = 0', 'smtpd_client_connection_count_limit = 0',
      'smtpd_client_event_limit_exceptions = static:all', 'default_process_limit = 200', 'message_size_limit = 0', ''].join('\n'));
    fs.writeFileSync(path.join(config, 'master.cf'), [
      `127.0.0.1:${this.port} inet n - n - - smtpd`, 'cleanup unix n - n - 0 cleanup', 'qmgr unix n - n 300 1 qmgr',
      'rewrite unix - - n - - trivial-rewrite', 'bounce unix - - n - 0 bounce', 'defer unix - - n - 0 bounce',
      'trace unix - - n - 0 bounce', 'flush unix n - n 1000? 0 flush', 'proxymap unix - - n - - proxymap',
      'smtp unix - - n - - smtp', 'error unix - - n - - error', 'retry unix - - n - - error', 'anvil unix - - n - 1 anvil',
      'scache unix - - n - 1 scache', 'showq unix n - n - - showq', ''].join('\n'));
    const master = path.join(execFileSync('postconf', ['-dh', 'daemon_directory'], { encoding: 'utf8' }).trim(), 'master');
    this.process = spawn(master, ['-c', config, '-d'], { stdio: 'ignore' });
    this.process.on('error', () => {});
    await greets(this.port, this.process, 'postfix');
  }

  /** Mails that lie in the queue. */
  held() {
    return fs.readdirSync(path.join(this.queue, 'hold')).length;
  }

  async stop() {
    await ended(this.process, 'SIGTERM');
    if (this.dir) fs.rmSync(this.dir, { recursive: true, force: true });
  }
}
