// SPDX-License-Identifier: Apache-2.0
// What the tests of render share: ingest and render with a Redis of their own, a policy that secures all mail to the
// outside, and a look at what render left in the spool (render-spool-peek, Poppler's tools).

import { execFile, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { Smtp, World, binDir, waitFor } from '../../support/harness.mjs';

const run = promisify(execFile);

const POLICY = (world) => `
storages:
  - {name: vault, type: vault, url: "file://${world.dir}/vault", key_file: "${world.keyFile}"}
security_definitions:
  - {name: recipients only, access: recipients}
rules:
  - name: secure outbound
    when: {to: ["!@example.jp"]}
    action: secure
    secure: {body: true, attachments: true}
    storage: vault
    security: recipients only
`;

export const CHROMIUM = ['/usr/lib/chromium/chromium-headless-shell', '/usr/lib/chromium/headless_shell',
  '/usr/bin/chromium-headless-shell'].find((p) => fs.existsSync(p));
export const hasChromium = CHROMIUM !== undefined;
export const NEEDS_CHROMIUM = hasChromium ? {} : { skip: 'chromium-headless-shell is not installed' };

/** LF to CRLF. */
export const crlf = (text) => text.replace(/\r?\n/g, '\r\n');
/** Bytes of a message: strings are UTF-8, Buffers as they are; line ends as written. */
export const bytes = (...pieces) => Buffer.concat(pieces.map((p) => Buffer.from(p)));
export const base64 = (data) => Buffer.from(data).toString('base64').replace(/(.{76})/g, '$1\r\n');

/** One process's descendants, as [{pid, parent, name, uid, state, filters}]; filters: how many of seccomp. */
export function descendants(pid) {
  const all = fs.readdirSync('/proc').filter((n) => /^\d+$/.test(n)).flatMap((n) => {
    try {
      const status = fs.readFileSync(`/proc/${n}/status`, 'utf8');
      const field = (name) => new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(status)?.[1];
      return [{ pid: Number(n), parent: Number(field('PPid')), name: field('Name'), uid: Number(field('Uid')),
        state: field('State'), filters: Number(field('Seccomp_filters')) }];
    } catch { return []; }
  });
  const found = [];
  for (let parents = [pid]; parents.length > 0;) {
    const next = all.filter((p) => parents.includes(p.parent));
    found.push(...next);
    parents = next.map((p) => p.pid);
  }
  return found.filter((p) => p.state !== 'Z');
}

export const isAlive = (pid) => {
  try { return !/^State:\s*Z/m.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8')); } catch { return false; }
};

export class RenderWorld {
  static async create(t, { render = {}, ingest = {}, queue = {}, policy = POLICY, env = {}, wrap = [] } = {}) {
    const w = new RenderWorld();
    w.world = await World.create(t);
    w.redis = await w.world.startRedis();
    const file = path.join(w.world.dir, 'policy.yaml');
    fs.writeFileSync(file, policy(w.world));
    // What is to be painted is, on a busy machine too; a test of the limit sets its own.
    w.overrides = { render: { concurrency: 1, timeout: '120s', ...render }, policy: { source: `file:${file}` } };
    w.ingest = await w.world.start('ingest', { ingest, queue });
    w.env = env;
    w.wrap = wrap;
    await w.startRender();
    return w;
  }

  async startRender(options = {}) {
    this.render = await this.world.start('render', this.overrides, { env: this.env, wrap: this.wrap, ...options });
    return this.render;
  }

  /** Sends content (string or Buffer, CRLF) to one recipient outside; gives the message's id. */
  async send(content, { from = 'taro@example.jp', to = ['hanako@example.com'] } = {}) {
    const smtp = await Smtp.connect(this.world.ports.smtp, { timeout: 60000 });
    const reply = await smtp.send({ from, to, content });
    smtp.close();
    if (reply?.code !== 250) throw new Error(`ingest: ${reply?.text}`);
    return reply.id;
  }

  async #entries(stream, id) {
    const entries = await this.redis.command('XRANGE', `fb:{s0}:${stream}`, '-', '+');
    return entries.filter(([, fields]) => fields.some((f) => f.includes(id)))
      .map(([, fields]) => Object.fromEntries(fields.flatMap((f, i) => (i % 2 ? [] : [[f, fields[i + 1]]]))));
  }

  /** How render ended with the message: {dead: {status, reason}} or {plan}.  (The letter about what is held, which a
   *  dead letter brings with it, is no next job.) */
  async outcome(id, timeout = 180000) {
    const found = await waitFor(async () => {
      const dead = await this.#entries('dead', id);
      if (dead.length > 0) return { dead: { status: dead[0].s, reason: dead[0].r } };
      const next = [...await this.#entries('upload', id), ...await this.#entries('rewrite', id)]
        .filter((entry) => !entry.j.includes('letter'));
      return next.length > 0 ? {} : null;
    }, { timeout, interval: 20, what: `render to end with ${id}` });
    return found.dead ? found : { plan: JSON.parse(await this.peek(id, 'plan')) };
  }

  /** All messages that render has ended with: id -> {} or {dead}. */
  async outcomes() {
    const all = new Map();
    for (const stream of ['upload', 'rewrite', 'dead']) {
      for (const [, fields] of await this.redis.command('XRANGE', `fb:{s0}:${stream}`, '-', '+')) {
        const entry = Object.fromEntries(fields.flatMap((f, i) => (i % 2 ? [] : [[f, fields[i + 1]]])));
        const id = /[0-7][0-9A-HJKMNP-TV-Z]{25}/.exec(fields.join('\n'))?.[0];
        if (id) all.set(id, stream === 'dead' ? { dead: { status: entry.s, reason: entry.r } } : {});
      }
    }
    return all;
  }

  async peek(id, ...what) {
    const { stdout } = await run(path.join(binDir(), 'render-spool-peek'),
      [`file://${this.world.spoolDir}`, this.world.keyFile, id, ...what],
      { encoding: what[0] === 'plan' ? 'utf8' : 'buffer', maxBuffer: 300 << 20 });
    return stdout;
  }

  /** Sends and waits; gives {id, plan, pdf: path, text}; throws when the mail was held. */
  async letter(content, options = {}) {
    const id = await this.send(content, options);
    const { plan, dead } = await this.outcome(id, options.timeout);
    if (dead) throw new Error(`held: ${dead.status}: ${dead.reason}`);
    return this.open(id, plan);
  }

  async open(id, plan) {
    const pdf = path.join(this.world.dir, `${id}.pdf`);
    const body = plan.parts.find((p) => p.object === 'body.pdf');
    if (!body) return { id, plan, pdf: null, text: '' };
    fs.writeFileSync(pdf, await this.peek(id, 'get', 'body.pdf'));
    return { id, plan, pdf, text: tool('pdftotext', ['-raw', pdf, '-']) };
  }
}

/** Standard output of one of Poppler's tools. */
export function tool(name, args) {
  const { stdout, status, stderr, error } = spawnSync(name, args, { encoding: 'utf8', maxBuffer: 64 << 20 });
  if (error) throw error;
  if (status !== 0) throw new Error(`${name}: ${stderr}`);
  return stdout;
}

/** pdffonts as objects: name, type, embedded, subset, unicode. */
export function fonts(pdf) {
  return tool('pdffonts', [pdf]).split('\n').slice(2).filter(Boolean).map((line) => {
    const m = /^(\S+)\s+(.*?)\s+\S+\s+(yes|no)\s+(yes|no)\s+(yes|no)\s+\d+/.exec(line);
    return { name: m[1], type: m[2], isEmbedded: m[3] === 'yes', isSubset: m[4] === 'yes', hasUnicode: m[5] === 'yes' };
  });
}

/** Link targets of a PDF. */
export function links(pdf) {
  return [...tool('pdfinfo', ['-url', pdf]).matchAll(/^\s*\d+\s+Annotation\s+(\S+)/gm)].map((m) => m[1]);
}

/** [{r, g, b}] counts of strongly coloured pixels on page 1, to see whether pictures and emoji are there in colour. */
export function colours(pdf, page = 1) {
  const ppm = spawnSync('pdftoppm', ['-r', '40', '-f', String(page), '-l', String(page), pdf], { maxBuffer: 64 << 20 }).stdout;
  const head = /^P6\s+(\d+)\s+(\d+)\s+255\s/.exec(ppm.subarray(0, 40).toString('latin1'));
  const pixels = ppm.subarray(head[0].length);
  const seen = { yellow: 0, red: 0, green: 0, blue: 0 };
  for (let i = 0; i + 2 < pixels.length; i += 3) {
    const [r, g, b] = [pixels[i], pixels[i + 1], pixels[i + 2]];
    if (r > 200 && g > 150 && b < 110) seen.yellow++;
    else if (r > 180 && g < 90 && b < 90) seen.red++;
    else if (g > 150 && r < 110 && b < 110) seen.green++;
    else if (b > 180 && r < 90 && g < 110) seen.blue++;
  }
  return seen;
}
