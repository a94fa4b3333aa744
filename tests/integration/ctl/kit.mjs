// SPDX-License-Identifier: Apache-2.0
//
// What the tests of `fumibako` share: a world with a configuration for the command line, the program itself, mails, and a
// relay that takes everything.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { ROOT, World, binDir } from '../../support/harness.mjs';

export const POLICIES = path.join(ROOT, 'tests/fixtures/policies');

/** {status, stdout, stderr, json()}; wrong JSON is an error of the test that asks for it. */
export async function run(args, { env = {}, cwd } = {}) {
  const clean = Object.fromEntries(Object.entries(process.env).filter(([k]) => !k.startsWith('FUMIBAKO_')));
  const child = spawn(path.join(binDir(), 'fumibako'), args, { stdio: ['ignore', 'pipe', 'pipe'], cwd,
    env: { ...clean, ...env } });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (c) => { stdout += c; });
  child.stderr.on('data', (c) => { stderr += c; });
  const timer = setTimeout(() => child.kill('SIGKILL'), 180000);
  const [status] = await once(child, 'close');
  clearTimeout(timer);
  return { status, stdout, stderr, json: () => JSON.parse(stdout) };
}

export class Desk {
  static async create(t, { redis = true, overrides = {} } = {}) {
    const desk = new Desk();
    desk.world = await World.create();
    t.after(() => desk.world.end());
    fs.chmodSync(desk.world.dir, 0o711);
    if (redis) desk.redis = await desk.world.startRedis();
    desk.overrides = overrides;
    desk.config = desk.write('fumibako.yaml', JSON.stringify(desk.world.config('ctl', overrides), null, 2));
    return desk;
  }

  write(name, content, mode = 0o644) {
    const file = path.join(this.world.dir, name);
    fs.writeFileSync(file, content, { mode });
    fs.chmodSync(file, mode);
    return file;
  }

  ctl(...args) { return run(['--config', this.config, ...args]); }

  async ok(...args) {
    const r = await this.ctl(...args);
    if (r.status !== 0) throw new Error(`fumibako ${args.join(' ')} ended with ${r.status}: ${r.stdout}${r.stderr}`);
    return r;
  }

  async json(...args) { return (await this.ok(...args, '--json')).json(); }

  /** A relay that takes every mail: .mails is what came. */
  async relay() {
    const relay = new Relay();
    await relay.start(this.world.ports.relay);
    this.world.atEnd(() => relay.stop());
    return relay;
  }
}

/** As small as SMTP can be: each mail as {from, to, content}. */
export class Relay {
  mails = [];
  #sockets = new Set();

  async start(port, greeting = '220 relay.test ESMTP') {
    this.server = net.createServer((socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('error', () => {});
      socket.write(`${greeting}\r\n`);
      let buffer = '';
      let mail = { to: [] };
      let isData = false;
      socket.on('data', (c) => {
        buffer += c.toString('latin1');
        for (;;) {
          const end = buffer.indexOf(isData ? '\r\n.\r\n' : '\r\n');
          if (end < 0) return;
          const line = buffer.slice(0, end);
          buffer = buffer.slice(end + (isData ? 5 : 2));
          if (isData) {
            mail.content = Buffer.from(`${line}\r\n`.replace(/^\.\./gm, '.'), 'latin1').toString('utf8');
            this.mails.push(mail);
            mail = { to: [] };
            isData = false;
            socket.write('250 2.0.0 taken\r\n');
          } else if (/^EHLO/i.test(line)) {
            socket.write('250-relay.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 ENHANCEDSTATUSCODES\r\n');
          } else if (/^MAIL FROM:/i.test(line)) {
            mail.from = /<(.*?)>/.exec(line)[1];
            socket.write('250 2.1.0 ok\r\n');
          } else if (/^RCPT TO:/i.test(line)) {
            mail.to.push(/<(.*?)>/.exec(line)[1]);
            socket.write('250 2.1.5 ok\r\n');
          } else if (/^DATA/i.test(line)) {
            isData = true;
            buffer = `\r\n${buffer}`.slice(2);
            socket.write('354 go\r\n');
          } else if (/^QUIT/i.test(line)) {
            socket.end('221 bye\r\n');
          } else {
            socket.write('250 ok\r\n');
          }
        }
      });
    });
    this.server.listen(port, '127.0.0.1');
    await once(this.server, 'listening');
  }

  stop() {
    for (const socket of this.#sockets) socket.destroy();
    return new Promise((resolve) => this.server.close(resolve));
  }
}

/** A mail of a mailer in Japan: ISO-2022-JP subject, RFC 2231 file name, one attachment. */
export const JAPANESE = [
  'From: =?ISO-2022-JP?B?GyRCO0VCQBsoQg==?= <taro@example.jp>',
  'To: hanako@partner.example.com',
  'Subject: =?ISO-2022-JP?B?GyRCOCtAUT1xGyhC?= [secure]', // 見積書
  'Date: Fri, 27 Nov 2026 10:00:00 +0900',
  'Message-ID: <1@example.jp>',
  'X-Classification: Confidential',
  'MIME-Version: 1.0',
  'Content-Type: multipart/mixed; boundary=b',
  '',
  '--b',
  'Content-Type: text/plain; charset=utf-8',
  '',
  'お世話になっております。極秘です。',
  '--b',
  "Content-Type: application/vnd.ms-excel; name*=UTF-8''%E8%A6%8B%E7%A9%8D.xlsx",
  "Content-Disposition: attachment; filename*=UTF-8''%E8%A6%8B%E7%A9%8D.xlsx",
  'Content-Transfer-Encoding: base64',
  '',
  Buffer.alloc(3000, 'x').toString('base64').replace(/.{76}/g, '$&\n'),
  '--b--',
  '',
].join('\n');

export const PLAIN = 'From: taro@example.jp\nTo: hanako@example.com\nSubject: plain\n\nhello\n';

/** Nested deeper than any limit: render holds it at once. */
export function tooDeep() {
  let head = 'From: taro@example.jp\nSubject: deep\nMIME-Version: 1.0\n';
  for (let i = 0; i < 80; i++) head += `Content-Type: multipart/mixed; boundary=b${i}\n\n--b${i}\n`;
  return `${head}Content-Type: text/plain\n\nsecret content\n`;
}
