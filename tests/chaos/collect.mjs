// SPDX-License-Identifier: Apache-2.0
//
// Brings the facts of a run together for the oracle: mailboxes, storage, ledger, logs.

import fs from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import { openAs } from './drive.mjs';

/** Each mail in the Maildir, one after the other. */
export function* deliveries(folder) {
  for (const name of fs.existsSync(folder) ? fs.readdirSync(folder).sort() : []) {
    const file = path.join(folder, name);
    const raw = fs.readFileSync(file);
    const head = raw.toString('latin1', 0, 4096);
    yield { to: /^Delivered-To: (.*)$/m.exec(head)[1], from: /^Return-Path: <(.*)>$/m.exec(head)[1], raw, at: fs.statSync(file).mtimeMs };
  }
}

async function linesOf(file, pattern) {
  const found = [];
  for await (const line of readline.createInterface({ input: fs.createReadStream(file), crlfDelay: Infinity })) {
    if (pattern.test(line)) found.push(line);
  }
  return found;
}

export async function boxState(kit) {
  const state = {};
  // One at a time: all in one answer would be longer than a string can be.
  for (const part of ['folders', 'files', 'collaborations']) Object.assign(state, await kit.stack.box.state(part));
  return state;
}

async function asked(kit, ...args) {
  const r = await kit.ctl([...args, '--json'], 600000);
  if (r.status !== 0) throw new Error(`fumibako ${args.join(' ')}: ${r.stderr}${r.stdout.slice(0, 500)}`);
  return r.json();
}

/** All messages of the ledger; `message list` gives the newest 10,000 at a time. */
async function messages(kit) {
  const found = new Map();
  for (let until = []; ;) {
    const before = found.size;
    const page = await asked(kit, 'message', 'list', '--limit', '10000', ...until);
    for (const m of page) found.set(m.id, m);
    if (page.length < 10000 || found.size === before) return [...found.values()];
    // Times are in whole seconds: the oldest second may go on on the next page.
    until = ['--until', new Date(Date.parse(page.at(-1).accepted) + 1000).toISOString().replace('.000', '')];
  }
}

export async function facts(kit, { recalls, accesses, wipes }) {
  return {
    box: await boxState(kit),
    ledger: await messages(kit),
    dead: await asked(kit, 'dead', 'list', '--limit', '1000000'),
    spool: (await asked(kit, 'spool', 'list', '--limit', '1000000')).messages.map((m) => m.id),
    transactions: kit.relay.transactions,
    refusals: kit.relay.refusals,
    lives: kit.lives,
    events: kit.journal.events,
    mtaLog: await linesOf(path.join(kit.stack.postfix.dir, 'postfix.log'), /status=(deferred|bounced)/),
    recalls,
    accesses,
    wipes,
    open: (address, folder) => openAs(kit, address, folder),
  };
}
