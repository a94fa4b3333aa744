// SPDX-License-Identifier: Apache-2.0
//
// What mta.test.mjs runs: an Exim from Debian's package beside the Postfix that it may not be installed with, and two
// Harakas, each with the files of deploy/mta, ports and folders replaced.

import { spawn, spawnSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { ROOT, Smtp, freePorts, remove, waitFor } from '../../support/harness.mjs';

const MTA = path.join(ROOT, 'deploy/mta');
const CACHE = path.join(ROOT, 'build/mta');

const run = (command, args, options = {}) => {
  const r = spawnSync(command, args, { encoding: 'utf8', timeout: 300000, ...options });
  if (r.status !== 0) throw new Error(`${command} ${args.join(' ')}: ${r.error ?? ''}${r.stdout}${r.stderr}`);
  return r.stdout;
};

/** One child process with its output kept. */
class Program {
  constructor(command, args, options = {}) {
    this.process = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    this.output = '';
    for (const stream of [this.process.stdout, this.process.stderr]) stream.on('data', (c) => { this.output += c; });
    this.exited = new Promise((resolve) => { this.process.once('exit', resolve); });
  }

  async greets(port) {
    await waitFor(async () => {
      if (this.process.exitCode !== null) return true;
      const smtp = await Smtp.connect(port, { timeout: 10000 });
      smtp.close();
      return smtp.greeting.code === 220;
    }, { timeout: 60000, what: `port ${port}: ${this.output.slice(-2000)}` });
    if (this.process.exitCode !== null) throw new Error(`ended at once:\n${this.output}`);
  }

  async stop() {
    if (this.process.exitCode === null && this.process.signalCode === null) this.process.kill('SIGTERM');
    const timer = setTimeout(() => this.process.kill('SIGKILL'), 10000);
    await this.exited;
    clearTimeout(timer);
  }
}

/** A client that says who it is, as a mail program does. */
export async function submit(port, { content, to, user = 'taro', word = 'the-word-of-taro' }) {
  const from = 'taro@example.jp';
  const smtp = await Smtp.connect(port, { timeout: 60000 });
  try {
    await smtp.cmd('EHLO client.example.jp');
    smtp.greeted = true;
    if (user) {
      const answer = await smtp.cmd(`AUTH PLAIN ${Buffer.from(`\0${user}\0${word}`).toString('base64')}`);
      if (answer.code !== 235) return answer;
    }
    return await smtp.send({ from, to, content });
  } finally {
    smtp.close();
  }
}

// --- Exim -----------------------------------------------------------------------------------------------------------

// What exim4-daemon-light needs and a machine with Postfix may lack; Debian 13 has other names for some.
const EXIM_LIBRARIES = ['libidn12', 'libgnutls-dane0', 'libgnutls-dane0t64', 'libunbound8', 'libevent-2.1-7',
  'libevent-2.1-7t64', 'libprotobuf-c1', 'libnghttp2-14', 'libdb5.3', 'libdb5.3t64', 'libnsl2', 'libtirpc3',
  'libtirpc3t64'];

const libraries = (root) => run('find', [path.join(root, 'usr/lib'), '-name', '*.so*', '-printf', '%h\\n']).split('\n');

/** Shared libraries that neither the system nor the folder has. */
function lacking(root) {
  const env = { ...process.env, LD_LIBRARY_PATH: [...new Set(libraries(root))].filter(Boolean).join(':') };
  const listed = spawnSync('ldd', [path.join(root, 'usr/sbin/exim4')], { encoding: 'utf8', env }).stdout;
  return listed.match(/\S+(?= => not found)/g);
}

/** Debian's Exim, unpacked and not installed: its package excludes every other MTA.  Gives the folder, or why not. */
export function findExim() {
  if (process.getuid() !== 0) return { missing: 'needs root' };
  if (spawnSync('unshare', ['-m', 'true']).status !== 0) return { missing: 'no mount namespaces here' };
  const root = path.join(CACHE, 'exim');
  if (fs.existsSync(root)) return { root };
  const work = fs.mkdtempSync(path.join(os.tmpdir(), 'fumibako-exim-'));
  const to = path.join(work, 'root');
  const unpack = (name) => {
    const r = spawnSync('apt-get', ['download', '-qq', name], { cwd: work, encoding: 'utf8', timeout: 120000 });
    const file = fs.readdirSync(work).find((n) => n.startsWith(`${name}_`));
    if (file) run('dpkg', ['-x', path.join(work, file), to]);
    return file ? null : r.stderr;
  };
  try {
    const why = unpack('exim4-daemon-light');
    if (why !== null) return { missing: `apt-get download exim4-daemon-light: ${why}` };
    fs.mkdirSync(path.join(to, 'usr/lib'), { recursive: true });
    for (const name of EXIM_LIBRARIES) if (lacking(to)) unpack(name);
    if (lacking(to)) return { missing: `libraries of Exim are missing: ${lacking(to)}` };
    fs.mkdirSync(CACHE, { recursive: true });
    fs.cpSync(to, `${root}.new`, { recursive: true, verbatimSymlinks: true });
    fs.renameSync(`${root}.new`, root);
    return { root };
  } finally {
    fs.rmSync(work, { recursive: true, force: true });
  }
}

/** The sections of exim.conf by the words between "# ---- " and " (" or " ----". */
function sections(text) {
  const found = {};
  for (const piece of text.split(/^# ---- /m).slice(1)) {
    found[/^\w+/.exec(piece)[0]] = piece.slice(piece.indexOf('\n') + 1);
  }
  return found;
}

/** What Debian's own configuration has around the example, in short: users, the rest of the ACL, delivery. */
const eximConfig = (example, { dir, sink, root }) => `
exim_path = ${root}/usr/sbin/exim4
primary_hostname = mta.example.jp
domainlist local_domains = local.example.jp
spool_directory = ${dir}/spool
log_file_path = ${dir}/log/%slog
pid_file_path = ${dir}/exim.pid
acl_smtp_rcpt = acl_check_rcpt
host_lookup =
rfc1413_query_timeout = 0s
tls_advertise_hosts =
queue_run_max = 5
${example.main}
begin acl
acl_check_rcpt:
${example.acl}
  accept authenticated = *
  deny message = relay not permitted
begin routers
${example.router}
outside:
  driver = manualroute
  domains = ! +local_domains
  transport = remote_smtp
  route_list = * 127.0.0.1
  self = send
  no_more
begin transports
${example.transport}
remote_smtp:
  driver = smtp
  port = ${sink}
  hosts_avoid_tls = *
.ifdef DKIM_DOMAIN
  dkim_domain = DKIM_DOMAIN
.endif
.ifdef DKIM_SELECTOR
  dkim_selector = DKIM_SELECTOR
.endif
.ifdef DKIM_PRIVATE_KEY
  dkim_private_key = DKIM_PRIVATE_KEY
.endif
begin retry
${example.retry}
* * F,1h,1s
begin authenticators
plain_server:
  driver = plaintext
  public_name = PLAIN
  server_condition = \${if and{{eq{$auth2}{taro}}{eq{$auth3}{the-word-of-taro}}}}
  server_set_id = $auth2
  server_prompts = :
`;

/** A pair of keys for DKIM: the private one in a file, and the record that a name server would give. */
function dkimKey(file) {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  fs.writeFileSync(file, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o644 });
  return `v=DKIM1; k=rsa; p=${publicKey.export({ type: 'spki', format: 'der' }).toString('base64')}`;
}

/** Asks dkimpy, which knows nothing of the signer, about a mail's signature: "valid DOMAIN HEADERS...", or "not valid ...". */
export function verifyDkim(content, { name, record }) {
  const program = `
import sys, dkim
record, name = sys.argv[2].encode(), sys.argv[1].encode()
mail = sys.stdin.buffer.read()
d = dkim.DKIM(mail)
try:
    ok = d.verify(dnsfunc=lambda n, timeout=5: record if n.rstrip(b'.') == name else None)
    print('valid' if ok else 'not valid', d.domain.decode(), b' '.join(x.lower() for x, _ in d.signed_headers).decode())
except dkim.ValidationError as e:
    print('not valid', e)
`;
  return run('/usr/bin/python3', ['-c', program, name, record], { input: content }).trim();
}

export class Exim {
  /** filter: Fumibako's SMTP port; sink: where the world begins. */
  static async start(t, root, { filter, sink, back }) {
    const exim = new Exim();
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'fumibako-exim-'));
    fs.chmodSync(dir, 0o755);
    [exim.port] = await freePorts(1);
    exim.dir = dir;
    exim.record = dkimKey(path.join(dir, 'dkim.pem'));
    const text = fs.readFileSync(path.join(MTA, 'exim.conf'), 'utf8')
      .replaceAll('0.0.0.0.25 : 0.0.0.0.587', `127.0.0.1.${exim.port} : 127.0.0.2.${exim.port}`)
      .replaceAll('10025', String(filter)).replaceAll('10026', String(back))
      .replaceAll('/etc/exim4/dkim/example.jp.pem', path.join(dir, 'dkim.pem'))
      .replaceAll('F,4h,1m;', 'F,4h,1s;');
    fs.writeFileSync(path.join(dir, 'exim4.conf'), eximConfig(sections(text), { dir, sink, root }));
    for (const name of ['spool', 'log']) {
      fs.mkdirSync(path.join(dir, name));
      fs.chownSync(path.join(dir, name), 64999, 64999);
    }
    // A private /etc: Exim's user, its configuration where it was built to look, its libraries.
    fs.writeFileSync(path.join(dir, 'start'), `set -eu
mkdir ${dir}/etc
mount -t tmpfs tmpfs ${dir}/etc
cp -a /etc/. ${dir}/etc/
mount --move ${dir}/etc /etc
echo 'Debian-exim:x:64999:64999::/nonexistent:/usr/sbin/nologin' >>/etc/passwd
echo 'Debian-exim:x:64999:' >>/etc/group
mkdir -p /etc/exim4
install -m 644 ${dir}/exim4.conf /etc/exim4/exim4.conf
find ${root}/usr/lib -name '*.so*' -printf '%h\\n' | sort -u >>/etc/ld.so.conf.d/zz-exim.conf
ldconfig
exec ${root}/usr/sbin/exim4 "$@"
`);
    t.after(() => exim.stop());
    exim.program = new Program('unshare', ['-m', 'sh', path.join(dir, 'start'), '-bdf', '-q1s']);
    try {
      await exim.program.greets(exim.port);
      await exim.program.greets(back);
    } catch (error) {
      throw new Error(`${error.message}\n${exim.program.output}\n${exim.log()}`);
    }
    return exim;
  }

  log() {
    return ['main', 'panic', 'reject'].map((n) => path.join(this.dir, 'log', `${n}log`))
      .filter((f) => fs.existsSync(f)).map((f) => fs.readFileSync(f, 'utf8')).join('');
  }

  /** How many mails lie in its queue. */
  queued() {
    const folder = path.join(this.dir, 'spool/input');
    return fs.existsSync(folder) ? fs.readdirSync(folder).filter((n) => n.endsWith('-H')).length : 0;
  }

  async stop() {
    await this.program?.stop();
    remove(this.dir);
  }
}

// --- Haraka ---------------------------------------------------------------------------------------------------------

// 45 MB from the npm registry: on demand, and not with every run of the tests.
const HARAKA = ['Haraka@3.3.4', 'haraka-plugin-relay@1.0.2', 'haraka-plugin-dkim@1.3.1'];

/** The folder node_modules with Haraka in it, installed at the first time, or why not. */
export function findHaraka() {
  if (process.env.FB_MTA !== 'haraka') return { missing: 'FB_MTA=haraka installs it from npm and runs it' };
  const root = path.join(CACHE, 'haraka');
  const modules = path.join(root, 'node_modules');
  if (!fs.existsSync(path.join(modules, 'haraka-plugin-dkim/package.json'))) {
    fs.mkdirSync(root, { recursive: true });
    fs.writeFileSync(path.join(root, 'package.json'), '{"private": true}\n');
    run('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', '--omit=optional', ...HARAKA], { cwd: root });
  }
  return { modules };
}

/** deploy/mta/haraka: the instance that takes submissions and the one that delivers. */
export class Haraka {
  static async start(t, modules, { filter, back, sink }) {
    const haraka = new Haraka();
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'fumibako-haraka-'));
    haraka.dir = dir;
    haraka.programs = [];
    [haraka.port] = await freePorts(1);
    t.after(() => haraka.stop());
    fs.cpSync(path.join(MTA, 'haraka'), dir, { recursive: true });
    const edit = (file, ...pairs) => {
      let text = fs.readFileSync(path.join(dir, file), 'utf8');
      for (const [from, to] of pairs) {
        if (!text.includes(from)) throw new Error(`${file} has no ${from}`);
        text = text.replaceAll(from, to);
      }
      fs.writeFileSync(path.join(dir, file), text);
    };
    const user = ['user=haraka\ngroup=haraka\n', ''];
    edit('submission/config/smtp.ini', ['0.0.0.0:587', `127.0.0.1:${haraka.port}`], user);
    edit('submission/config/fumibako.ini', ['10025', String(filter)]);
    edit('submission/config/auth_flat_file.ini', ['; taro', 'taro']);
    edit('submission/config/outbound.ini', ['30s,', '5s*20,']); // its smallest step
    edit('delivery/config/smtp.ini', ['127.0.0.1:10026', `127.0.0.1:${back}`], user);
    edit('delivery/config/plugins', ['dkim\n', 'dkim\nworld\n']);
    // In the place of the world's MX records: the sink.
    fs.mkdirSync(path.join(dir, 'delivery/plugins'));
    fs.writeFileSync(path.join(dir, 'delivery/plugins/world.js'), `exports.hook_get_mx = (next) =>
  next(OK, { priority: 0, exchange: '127.0.0.1', port: ${sink} });\n`);
    fs.writeFileSync(path.join(dir, 'delivery/config/outbound.ini'), 'enable_tls=false\n');
    const keys = path.join(dir, 'delivery/config/dkim/example.jp');
    fs.mkdirSync(keys, { recursive: true });
    haraka.record = dkimKey(path.join(keys, 'private'));
    fs.writeFileSync(path.join(keys, 'selector'), 'mail\n');
    for (const [name, port] of [['submission', haraka.port], ['delivery', back]]) {
      fs.mkdirSync(path.join(dir, name, 'queue'));
      fs.symlinkSync(modules, path.join(dir, name, 'node_modules'));
      const binary = path.join(modules, 'Haraka/bin/haraka');
      const program = new Program(process.execPath, [binary, '-c', path.join(dir, name)]);
      haraka.programs.push(program);
      await program.greets(port);
    }
    return haraka;
  }

  log() { return this.programs.map((p) => p.output).join('\n'); }

  /** How many mails lie in the two queues. */
  queued() {
    const queues = ['submission', 'delivery'].map((name) => path.join(this.dir, name, 'queue'));
    return queues.reduce((n, queue) => n + fs.readdirSync(queue).length, 0);
  }

  async stop() {
    await Promise.all(this.programs.map((p) => p.stop()));
    remove(this.dir);
  }
}
