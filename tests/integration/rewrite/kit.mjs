// SPDX-License-Identifier: Apache-2.0
//
// The rewrite service alone between a seeded spool and queue and a relay of ours: what ingest, render and upload would
// have left is put there by bin/mail_seed (tests/unit/rewrite/mail_seed.c).

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';

import { World, binDir, sleep, waitFor } from '../../support/harness.mjs';
import { Relay, parseMail } from '../../support/relay.mjs';

export { Relay, parseMail, sleep, waitFor };

export const POLICY = `
storages: [{name: box, type: box, auth_file: /x.json, root_folder: "0"}]
security_definitions: [{name: s}]
rules:
  - {name: tagged, when: {subject: ["[secure]"]}, action: secure, storage: box, security: s, strip_tag: true}
`;

/** Runs a program of ours to its end; input goes to its standard input. */
export async function run(program, args, input) {
  const child = spawn(path.join(binDir(), program), args, { stdio: ['pipe', 'pipe', 'pipe'] });
  const out = [];
  const err = [];
  child.stdout.on('data', (c) => out.push(c));
  child.stderr.on('data', (c) => err.push(c));
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const timer = setTimeout(() => child.kill('SIGKILL'), 120000);
  const [code] = await once(child, 'close');
  clearTimeout(timer);
  return { code, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() };
}

/** Our SMTP client as a program: one object of results for each mail. */
export async function smtpSend(port, { options = [], from = 'a@example.jp', to = ['b@example.com'], mail }) {
  const result = await run('smtp_send', [...options, `smtp://127.0.0.1:${port}`, from, ...to], mail);
  if (result.code !== 0) throw new Error(`smtp_send ended with ${result.code}: ${result.stderr}`);
  return result.stdout.trim().split('\n').map((l) => JSON.parse(l));
}

export class Stage {
  static async create(t, { relay = {}, policy = POLICY, config = {}, starts = true } = {}) {
    const stage = new Stage();
    stage.world = await World.create(t);
    await stage.world.startRedis();
    stage.relay = await Relay.start(relay, stage.world.ports.relay);
    t.after(() => stage.relay.stop());
    stage.policyFile = path.join(stage.world.dir, 'policy.yaml');
    fs.writeFileSync(stage.policyFile, policy);
    stage.overrides = { policy: { source: `file:${stage.policyFile}`, cache: path.join(stage.world.dir, 'cache') }, ...config,
      rewrite: { relay: `smtp://127.0.0.1:${stage.world.ports.relay}`, key: 'k'.repeat(40),
        postmaster: 'postmaster@example.jp', helo: 'gw.example.jp', ...config.rewrite } };
    if (starts) await stage.start();
    return stage;
  }

  async start(options) {
    this.service = await this.world.start('rewrite', this.overrides, options);
    return this.service;
  }

  /** One message; spec as mail_seed takes it, with plain strings where it wants base64.  Resolves with its id. */
  async seed(spec) {
    const base64 = (s) => Buffer.from(s).toString('base64');
    const result = await run('mail_seed', [], JSON.stringify({
      spool: `file://${this.world.spoolDir}`, key_file: this.world.keyFile, redis: this.world.redis.url, ...spec,
      content: base64(spec.content),
      objects: Object.fromEntries(Object.entries(spec.objects ?? {}).map(([k, v]) => [k, base64(v)])),
    }));
    if (result.code !== 0) throw new Error(`mail_seed: ${result.stderr}`);
    return result.stdout.trim();
  }

  ledger(id) { return this.world.redis.command('HGETALL', `fb:{s0}:m:${id}`).then((flat) => pairs(flat)); }

  /** Resolves when the branch is finished: the state that rewrite gave it. */
  async finished(id, branch = 0, timeout = 60000) {
    return waitFor(async () => {
      const ledger = await this.ledger(id);
      return ledger[`d:rewrite:${branch}`] === undefined ? null : ledger[`bs:${branch}`];
    }, { timeout, what: `branch ${branch} of ${id} to end` });
  }

  async delayed() { return this.world.redis.command('ZCARD', 'fb:{s0}:delayed:rewrite'); }

  /** Makes every delayed job due now. */
  async hurry() {
    await this.world.redis.due('rewrite');
  }

  async dead() { return this.world.redis.command('XLEN', 'fb:{s0}:dead'); }
}

function pairs(flat) {
  const out = {};
  for (let i = 0; i < flat.length; i += 2) out[flat[i]] = flat[i + 1];
  return out;
}

export const HEAD = 'Received: from mua by mx; Tue, 25 Nov 2025 10:15:00 +0000\r\nMessage-ID: <1@example.jp>\r\n' +
  'Subject: [secure] Report\r\nFrom: A <a@example.jp>\r\nTo: b@example.com\r\nCc: c@example.com\r\n' +
  'Date: Tue, 25 Nov 2025 10:15:00 +0000\r\n';

/** A mail to b (To), c (Cc) and d (Bcc), all secured by one rule. */
export function secured(changes = {}) {
  return {
    envelope: { from: 'a@example.jp', to: [{ address: 'b@example.com' }, { address: 'c@example.com' }, { address: 'd@example.com' }],
      ...changes.envelope },
    content: `${HEAD}DKIM-Signature: v=1; b=x\r\n\r\nTOP SECRET BODY\r\n`,
    objects: { head: HEAD, ...changes.objects },
    plan: { subject: '[secure] Report', language: 'en', visible: ['b@example.com', 'C@example.com'],
      branches: [{ kind: 1, to: [0, 1, 2], rule: 'tagged', body: true, attachments: true, subject: 'Report' }],
      ...changes.plan },
    parcels: { 0: { link: 'https://box.example/s/1', download: true, expires: 1900000000000,
      files: [{ name: 'body.pdf', size: 1000 }], ...changes.parcel } },
    ...changes.top,
  };
}

/** A mail to b and c that no rule takes. */
export function untouched(changes = {}) {
  return {
    envelope: { from: 'a@example.jp', to: [{ address: 'b@example.com' }, { address: 'c@example.com' }], ...changes.envelope },
    content: changes.content ?? 'Subject: x\r\n\r\nbody\r\n.dot\r\n',
    objects: { head: 'Subject: x\r\n' },
    plan: { subject: 'x', language: 'en', visible: ['b@example.com'], branches: [{ kind: 0, to: [0, 1] }], ...changes.plan },
    ...changes.top,
  };
}

/** Lines of a delivery report's machine part, as groups of {field: value}. */
export function deliveryStatus(mail) {
  const text = mail.content.toString('latin1');
  const part = /Content-Type: message\/delivery-status\r\n\r\n([^]*?)\r\n--/.exec(text)[1];
  return part.trim().split('\r\n\r\n').map((group) => Object.fromEntries(group.split('\r\n').map((l) => {
    const at = l.indexOf(':');
    return [l.slice(0, at).toLowerCase(), l.slice(at + 1).trim()];
  })));
}
