// SPDX-License-Identifier: Apache-2.0
// The whole of Fumibako around a relay of ours and the Box simulator, for tests that look at it as an attacker does.

import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { Relay } from '../../support/relay.mjs';
import { Smtp, request, unlessGone, waitFor } from '../../support/harness.mjs';
import { Stack } from '../../e2e/stack.mjs';

export const SERVICES = ['ingest', 'render', 'upload', 'rewrite', 'revoke', 'watch', 'portal'];
/** The administrators' one and the one that asks the web as well, which no mail passes through. */
export const ALL = [...SERVICES, 'fetch', 'console'];
export const EPERM = 1;
export const EACCES = 13;

/** A stack without Postfix: ingest takes mail from the test, the relay keeps what comes out. */
export async function startStack(t, { policy = {}, overrides = {}, services = SERVICES, relay = {}, box = {} } = {}) {
  const out = await Relay.start(relay);
  t.after(() => out.stop());
  const stack = await Stack.start(t, { postfix: false, services, policy, box, overrides: {
    ...overrides, rewrite: { relay: `smtp://127.0.0.1:${out.port}`, ...overrides.rewrite } } });
  stack.relay = out;
  /** One more service, with variables of its own in its environment. */
  stack.startOne = async (name, env = {}) => {
    const running = await stack.world.start(name, stack.overrides, { env });
    (stack.running ??= []).push(running);
    return running;
  };
  return stack;
}

/** Hands bytes to ingest as DATA; the reply to the final dot. */
export async function handIn(stack, content, { from = 'taro@example.jp', to = ['hanako@partner.example.com'] } = {}) {
  const smtp = await Smtp.connect(stack.world.ports.smtp, { timeout: 120000 });
  const reply = await smtp.send({ from, to, content });
  smtp.close();
  return reply;
}

/** A port on which nobody is meant to call: who does is remembered. */
export class Canary {
  static async start(t) {
    const canary = new Canary();
    canary.calls = [];
    canary.server = net.createServer((socket) => {
      canary.calls.push('');
      const n = canary.calls.length - 1;
      socket.on('error', () => {});
      socket.on('data', (d) => { canary.calls[n] += d.toString('latin1'); socket.end('HTTP/1.1 404 no\r\ncontent-length: 0\r\n\r\n'); });
    });
    await new Promise((resolve) => canary.server.listen(0, '127.0.0.1', resolve));
    canary.port = canary.server.address().port;
    canary.url = `http://127.0.0.1:${canary.port}`;
    t.after(() => canary.server.close());
    return canary;
  }
}

/** All files and folders below a folder: {path, mode, uid, isDirectory, isSymbolicLink}. */
export function tree(folder) {
  const all = [];
  const walk = (at) => {
    const stat = fs.lstatSync(at, { throwIfNoEntry: false });
    if (!stat) return;
    all.push({ path: at, mode: stat.mode & 0o7777, uid: stat.uid, isDirectory: stat.isDirectory(), isSymbolicLink: stat.isSymbolicLink(),
      isSocket: stat.isSocket() });
    if (stat.isDirectory()) for (const name of unlessGone(() => fs.readdirSync(at), [])) walk(path.join(at, name));
  };
  walk(folder);
  return all;
}

/** A console's settings: its accounts lie in a folder of their own. */
export const consoleSettings = (world) => {
  const folder = path.join(world.dir, 'accounts');
  fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
  return { users_file: path.join(folder, 'users.json'), password_memory: '19MiB', password_passes: 2 };
};

/** The dead letters, as `fumibako dead list` tells them. */
export async function held(stack) {
  return (await stack.ctl('dead', 'list', '--json')).json();
}

export { request, waitFor };
