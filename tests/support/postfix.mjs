// SPDX-License-Identifier: Apache-2.0
//
// A real Postfix of the test's own: its queue, its configuration and its ports lie in a temporary folder. Mail that
// comes in on `port` goes through the content filter (ingest) when one is given; what comes back on `back` is
// delivered into one Maildir, a copy per recipient.  Needs root, as every Postfix does.

import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { freePorts, remove, waitFor, Smtp } from './harness.mjs';

export const hasPostfix = () => process.getuid() === 0 && fs.existsSync('/usr/sbin/postfix');

export class Postfix {
  /**
   * filter: "smtp:[127.0.0.1]:PORT" or "lmtp:..." or null; main: further lines of main.cf, as an object; master: further
   * lines of master.cf.
   */
  static async start(t, { filter = null, main = {}, master = '', back = null } = {}) {
    const postfix = new Postfix();
    postfix.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'fumibako-postfix-'));
    fs.chmodSync(postfix.dir, 0o755);
    [postfix.port, postfix.back] = await freePorts(2);
    if (back) postfix.back = back;
    postfix.#write(filter, main, master);
    postfix.#run('start');
    t?.after(() => postfix.stop());
    try {
      await waitFor(() => postfix.#greets(postfix.port), { what: 'Postfix' });
      await waitFor(() => postfix.#greets(postfix.back), { what: 'Postfix' });
    } catch (error) {
      throw new Error(`${error.message}\n${postfix.log()}`);
    }
    return postfix;
  }

  async #greets(port) {
    const smtp = await Smtp.connect(port, { timeout: 10000 });
    smtp.close();
    return smtp.greeting.code === 220;
  }

  #write(filter, main, master) {
    for (const [name, owner] of [['config', 0], ['queue', 0], ['data', 'postfix'], ['mail', 'nobody']]) {
      const folder = path.join(this.dir, name);
      fs.mkdirSync(folder);
      if (owner) spawnSync('chown', [owner, folder]);
    }
    this.mail = path.join(this.dir, 'mail');
    const id = (flag, user) => spawnSync('id', [flag, user]).stdout.toString().trim();
    const settings = {
      compatibility_level: '3.6',
      queue_directory: path.join(this.dir, 'queue'),
      data_directory: path.join(this.dir, 'data'),
      maillog_file: path.join(this.dir, 'postfix.log'),
      maillog_file_prefixes: this.dir,
      mail_owner: 'postfix',
      setgid_group: 'postdrop',
      myhostname: 'mta.example.jp',
      mydestination: '',
      mynetworks: '127.0.0.0/8',
      inet_interfaces: '127.0.0.1',
      inet_protocols: 'ipv4',
      smtpd_relay_restrictions: 'permit_mynetworks, reject',
      // Mail for anybody ends in this test's Maildir.
      virtual_mailbox_domains: 'static:all',
      virtual_mailbox_maps: 'static:all/',
      virtual_mailbox_base: this.mail,
      virtual_uid_maps: `static:${id('-u', 'nobody')}`,
      virtual_gid_maps: `static:${id('-g', 'nobody')}`,
      virtual_mailbox_limit: '0',
      mailbox_size_limit: '0',
      message_size_limit: '0',
      smtpd_forbid_bare_newline: 'normalize',
      smtpd_forbid_unauth_pipelining: 'yes',
      disable_mime_output_conversion: 'yes',
      minimal_backoff_time: '2s',
      maximal_backoff_time: '5s',
      queue_run_delay: '2s',
      smtputf8_enable: 'yes',
      local_recipient_maps: '',
      // Dozens of connections in a second are no attack here.
      smtpd_client_connection_count_limit: '0',
      default_process_limit: '200',
      ...main,
    };
    fs.writeFileSync(path.join(this.dir, 'config/main.cf'),
      Object.entries(settings).map(([k, v]) => `${k} = ${v}\n`).join(''));
    const off = 'receive_override_options=no_unknown_recipient_checks,no_header_body_checks,no_milters';
    fs.writeFileSync(path.join(this.dir, 'config/master.cf'), `
127.0.0.1:${this.port} inet n - n - - smtpd${filter ? `
  -o content_filter=${filter}` : ''}
127.0.0.1:${this.back} inet n - n - - smtpd
  -o content_filter=
  -o ${off}
  -o smtpd_authorized_xforward_hosts=127.0.0.0/8
fumibako unix - - n - 20 smtp
  -o smtp_send_xforward_command=yes
  -o disable_mime_output_conversion=yes
  -o smtp_generic_maps=
fumibako-lmtp unix - - n - 20 lmtp
  -o lmtp_send_xforward_command=yes
  -o disable_mime_output_conversion=yes
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
showq unix n - n - - showq
postlog unix-dgram n - n - 1 postlogd
${master}`);
  }

  #run(verb) {
    const r = spawnSync('/usr/sbin/postfix', ['-c', path.join(this.dir, 'config'), verb], { encoding: 'utf8' });
    if (r.status !== 0 && verb === 'start') {
      throw new Error(`postfix ${verb}: ${r.stdout}${r.stderr}\n${this.log()}`);
    }
    return r.status;
  }

  log() {
    try { return fs.readFileSync(path.join(this.dir, 'postfix.log'), 'utf8'); } catch { return ''; }
  }

  /** How many mails lie in Postfix's queue. */
  queued() {
    let n = 0;
    const walk = (folder) => {
      for (const e of fs.existsSync(folder) ? fs.readdirSync(folder, { withFileTypes: true }) : []) {
        if (e.isDirectory()) walk(path.join(folder, e.name)); else n++;
      }
    };
    for (const q of ['incoming', 'active', 'deferred', 'maildrop']) walk(path.join(this.dir, 'queue', q));
    return n;
  }

  /**
   * Everything that was delivered so far: {to, from, raw}, oldest first. `raw` is the mail as the MTA got it back, with
   * LF line ends as a Maildir has, behind the fields that delivery puts on top.
   */
  all() {
    const folder = path.join(this.mail, 'all/new');
    // Thousands of names are not read and sorted again for every look while nothing comes.  A change in the moment of the
    // last look may have left the same time behind.
    const changed = fs.statSync(folder, { throwIfNoEntry: false })?.mtimeMs;
    if (changed !== undefined && changed === this.#changed && changed < this.#looked - 1000) return this.#mails;
    [this.#changed, this.#looked] = [changed, Date.now()];
    const fresh = (changed === undefined ? [] : fs.readdirSync(folder)).filter((name) => !this.#seen.has(name))
      .map((name) => ({ name, at: fs.statSync(path.join(folder, name)).mtimeMs })).sort((a, b) => a.at - b.at);
    for (const { name, at } of fresh) {
      this.#seen.add(name);
      const bytes = fs.readFileSync(path.join(folder, name));
      const head = bytes.toString('latin1', 0, 4096);
      const to = /^Delivered-To: (.*)$/m.exec(head)[1];
      const from = /^Return-Path: <(.*)>$/m.exec(head)[1];
      this.#mails.push({ to, from, raw: bytes, at });
    }
    return this.#mails;
  }

  /** The mails for one recipient. */
  delivered(address) {
    return this.all().filter((m) => m.to.toLowerCase() === address.toLowerCase());
  }

  /** How many different addresses of a domain have mail; what goes back to the senders does not count. */
  reached(domain = 'partner.example.com') {
    return new Set(this.all().map((m) => m.to.toLowerCase()).filter((to) => to.endsWith(`@${domain}`))).size;
  }

  #seen = new Set();
  #mails = [];
  #changed;
  #looked = 0;

  async stop() {
    this.#run('stop');
    await waitFor(() => this.#run('status') !== 0, { timeout: 20000, what: 'Postfix to stop' }).catch(() => {});
    remove(this.dir);
  }
}
