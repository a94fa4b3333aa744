// SPDX-License-Identifier: Apache-2.0
//
// All of Fumibako's services, Prometheus, and the people around them: senders, readers of Box and of the vault, somebody at
// the console, a relay and a Box that do as they are told.

import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { Relay } from '../support/relay.mjs';
import { Smtp, request, sleep, waitFor } from '../support/harness.mjs';
import { Stack, textOf } from '../e2e/stack.mjs';
import { Client, formOf, makeLink } from '../integration/portal/kit.mjs';
import { Monitor } from './monitor.mjs';

export const SERVICES = ['ingest', 'render', 'upload', 'rewrite', 'revoke', 'watch', 'portal', 'console', 'fetch'];
export const SENDER = 'taro@example.jp';
export const patience = { timeout: 120000, interval: 200 };

const POLICY = {
  security_definitions: [{ name: 'recipients only', access: 'recipients', expires_after: '30d' },
    { name: 'code', access: 'recipients', proof: 'code', expires_after: '30d' },
    { name: 'link', access: 'recipients', proof: 'link', expires_after: '30d' },
    { name: 'look', access: 'recipients', proof: 'link', download: false, expires_after: '30d' }],
  rules: [{ name: 'with a code', when: { to: ['@code.example.com'] }, action: 'secure', storage: 'vault', security: 'code' },
    { name: 'by the link', when: { to: ['@link.example.com'] }, action: 'secure', storage: 'vault', security: 'link' },
    { name: 'to look at', when: { to: ['@look.example.com'] }, action: 'secure', storage: 'vault', security: 'look' },
    { name: 'Box', when: { to: ['@partner.example.com'] }, action: 'secure', storage: 'box', security: 'recipients only', receipt: true }],
};

const b64 = (text) => Buffer.from(text).toString('base64');

/** A mail of its own; html: its body is that. */
export function mail(to, { subject = 'Report', html = null, text = 'Hello\r\n', more = [] } = {}) {
  const head = [`From: ${SENDER}`, `To: ${to}`, `Subject: ${subject}`, `Message-ID: <${randomBytes(8).toString('hex')}@example.jp>`,
    'MIME-Version: 1.0', ...more];
  return [...head, `Content-Type: text/${html ? 'html' : 'plain'}; charset=utf-8`, 'Content-Transfer-Encoding: base64', '', b64(html ?? text), ''].join('\r\n');
}

/** Nested deeper than anything that is read: it is held. */
export function deepMail(to) {
  const lines = [`From: ${SENDER}`, `To: ${to}`, 'Subject: deep', 'MIME-Version: 1.0'];
  for (let i = 0; i < 80; i++) lines.push(`Content-Type: multipart/mixed; boundary=b${i}`, '', `--b${i}`);
  return [...lines, 'Content-Type: text/plain', '', 'inside', ''].join('\r\n');
}

export class Scene {
  static async start(t, { factor = 60, overrides = {}, users = 6, prometheus = true } = {}) {
    const scene = new Scene();
    scene.factor = factor;
    scene.boxFaults = new Map();
    scene.relay = await Relay.start({});
    scene.stack = await Stack.start(t, { postfix: false, services: [], vault: true, policy: POLICY, box: { users, check: false }, overrides: {
      rewrite: { relay: `smtp://127.0.0.1:${scene.relay.port}` }, watch: { interval: '2s' }, revoke: { settle: '1s' },
      ingest: { sweep_after: '1s' }, ...overrides } });
    scene.world = scene.stack.world;
    scene.world.atEnd(() => scene.relay.stop());
    scene.redis = scene.world.redis;
    await scene.stack.box.settings({ allowed_shared_link_access_levels: ['collaborators'] });
    await Promise.all(SERVICES.map((s) => scene.stack.startService(s)));
    scene.base = `http://127.0.0.1:${scene.world.ports.portal}`;
    if (!prometheus) return scene;
    scene.monitor = await Monitor.start(scene.world, SERVICES, { factor });
    await waitFor(async () => (await scene.monitor.ask('sum(up)'))[0]?.value[1] === String(SERVICES.length), { timeout: 60000, interval: 300, what: 'all services up' });
    return scene;
  }

  get by() { return this.stack.by; }
  ctl(...args) { return this.stack.ctl(...args); }

  /** Hands a mail in; gives its id (or the refusal, where one is expected). */
  async send(to, content = mail(to), { from = SENDER, refused = false } = {}) {
    const smtp = await Smtp.connect(this.world.ports.smtp, { timeout: 90000 });
    try {
      const reply = await smtp.send({ from, to: [to], content });
      if (refused) return reply;
      if (reply?.code !== 250) throw new Error(`not taken: ${reply?.code} ${reply?.text}`);
      return reply.id;
    } finally {
      smtp.close();
    }
  }

  /** The mails that the relay was given for somebody. */
  inbox(who) { return this.relay.mails.filter((m) => m.rcpts.some((r) => r.address === who)); }

  arrives(who, count = 1) { return waitFor(() => this.inbox(who).length >= count, { ...patience, what: `mail for ${who}` }); }

  async show(id) { return (await this.ctl('message', 'show', id, '--json')).json(); }

  /** A mail that lies in Box: its id, folder and files. */
  async inBox(to = `p${randomBytes(4).toString('hex')}@partner.example.com`) {
    const id = await this.send(to);
    await this.arrives(to);
    const state = await this.stack.box.state();
    const folder = state.folders.find((f) => f.name.includes(id));
    const files = state.files.filter((f) => f.parent === folder.id);
    const grants = state.collaborations.filter((c) => c.item.id === folder.id);
    return { id, to, folder, files, grants };
  }

  /** A reader with the link of a mail in the vault. */
  async reader(domain) {
    const to = `r${randomBytes(4).toString('hex')}@${domain}.example.com`;
    const id = await this.send(to);
    await this.arrives(to);
    const text = textOf(this.inbox(to)[0].content);
    const link = new RegExp(`${this.base}(/r/[A-Za-z0-9_-]{71})(?![A-Za-z0-9_-])`).exec(text)[1];
    await waitFor(async () => (await request(this.base + link)).status !== 503, { ...patience, what: 'the portal to have the vault' });
    return { id, to, link, client: new Client(this.base) };
  }

  /** The forms of a page by the last word of where they go. */
  static forms(html) {
    const all = {};
    for (const [whole] of html.matchAll(/<form [\s\S]*?<\/form>/g)) {
      const form = formOf(whole);
      all[form.action.split('?')[0].split('/').pop()] ??= form;
    }
    return all;
  }

  /** In by the link alone; gives the page. */
  async enter({ client, link }) {
    const [door] = Object.values(Scene.forms((await client.get(link)).text));
    await client.post(door.action, door.hidden);
    return (await client.get(link)).text;
  }

  /** Asks for a code, gives the form that takes it. */
  async askForCode({ client, link, to }) {
    const before = this.inbox(to).length;
    const form = Scene.forms((await client.get(link)).text).code;
    await client.post(form.action, form.hidden);
    await this.arrives(to, before + 1);
    return Scene.forms((await client.get(link)).text).enter;
  }

  codeOf(to) { return /(?:確認コード|code)[^0-9]{1,40}(\d{6})\b/i.exec(textOf(this.inbox(to).at(-1).content))[1]; }

  async dead() { return (await this.ctl('dead', 'list', '--json')).json(); }

  /** All dead letters: what can be done again is, what cannot be goes back to its sender. */
  async decideAll() {
    for (const d of await this.dead()) {
      if (d.status === 'invalid') continue; // of the sender to whom nobody can write
      const r = await this.ctl('dead', d.stage === 'render' ? 'reject' : 'retry', d.id);
      if (r.status !== 0) throw new Error(`dead ${d.id}: ${r.stdout}${r.stderr}`);
    }
  }

  /** The sender's page of a mail: its form, filled in as far as a recall of everybody goes. */
  async recallForm(id) {
    const client = new Client(this.base);
    const page = await client.get(`/s/${makeLink(id)}`);
    const first = formOf(page.text);
    const asked = await client.post(first.action, [...first.hidden, ['scope', 'all']]);
    const form = formOf(asked.text);
    return { client, form, text: asked.text };
  }

  /** What Box answers besides the truth; null takes it back. */
  async boxFault(name, list) {
    if (list === null) this.boxFaults.delete(name); else this.boxFaults.set(name, list);
    await this.stack.box.faults([...this.boxFaults.values()].flat());
  }

  /** Does something again and again until the function that it gives is called. */
  again(ms, fn) {
    let isOver = false;
    const work = (async () => {
      while (!isOver) {
        await fn().catch(() => {});
        await sleep(ms);
      }
    })();
    return async () => { isOver = true; await work; };
  }

  /** Another life of a service, with other settings. */
  async restart(name, overrides = null, { ready = true } = {}) {
    await this.by[name].stop();
    const merged = { ...this.stack.overrides };
    for (const [section, keys] of Object.entries(overrides ?? {})) merged[section] = { ...merged[section], ...keys };
    this.by[name] = await this.world.start(name, merged, { ready });
    this.stack.running.push(this.by[name]);
  }

  /** The segments of the spool in which a message lies. */
  segmentsOf(id) {
    const dir = `${this.world.spoolDir}/segments`;
    return fs.readdirSync(dir).map((f) => `${dir}/${f}`).filter((f) => fs.readFileSync(f).includes(id));
  }
}
