// SPDX-License-Identifier: Apache-2.0
//
// The people of a chaos run: senders, recipients who open what they got, and whoever recalls.

import { Smtp, request, sleep } from '../support/harness.mjs';
import { Client, formOf, makeLink } from '../integration/portal/kit.mjs';
import { mailOf } from './mails.mjs';
import { seeded } from './random.mjs';

const SESSIONS = 4;
const RECALL_SHARE = 0.02;

/** What is kept of a mail: all but its content. */
function sentMail(m, reply) {
  const { content, ...rest } = m;
  return { ...rest, bytes: content.length, at: Date.now(), queue: /queued as ([0-9A-Za-z]+)/.exec(reply.text)?.[1] ?? null };
}

/**
 * Hands mails 0, 1, ... to the MTA until `isEnough(count)`; no faster than `perSecond`, nor while more than `most` are under way.
 * Gives what the MTA took; what it refuses at once is nobody's loss and is counted.
 */
export async function send(kit, { real, isEnough, perSecond = Infinity, most = 600, mails, signal }) {
  const begun = Date.now();
  let next = 0;
  let refused = 0;
  // What was stopped, is held or came back as a report never arrives: only what Redis and the MTA have open is under way.
  let open = 0;
  let sinceThen = 0;
  const underway = () => open + mails.length - sinceThen;
  const count = async () => {
    while (!signal.isOver && !isEnough(next)) {
      const sent = mails.length;
      const [all, dead] = await Promise.all([kit.redis.command('ZCARD', 'fb:{s0}:open'), kit.redis.command('XLEN', 'fb:{s0}:dead')]).catch(() => [null, null]);
      if (all !== null) [open, sinceThen] = [all - dead + kit.stack.postfix.queued(), sent];
      await sleep(500);
    }
  };
  await Promise.all([count(), ...Array.from({ length: SESSIONS }, async () => {
    let smtp = null;
    while (!signal.isOver && !isEnough(next)) {
      if (underway() > most || next > ((Date.now() - begun) / 1000) * perSecond) { await sleep(100); continue; }
      const m = mailOf(kit.seed, next++, real);
      for (;;) {
        try {
          smtp ??= await Smtp.connect(kit.stack.postfix.port, { timeout: 120000 });
          const reply = await smtp.send({ from: m.from, to: m.to.map((t) => t.address), content: m.content });
          if (reply?.code === 250) mails.push(sentMail(m, reply));
          else if (reply) { refused++; kit.journal.note('the MTA refused', { mail: m.i, kind: m.kind, base: m.base, said: reply.text }); smtp.close(); smtp = null; }
          else throw new Error('the MTA closed');
          break;
        } catch (error) {
          // The MTA is no part of what is tested, and nobody harms it; a mail whose answer is lost would be no test of ours.
          smtp?.close();
          throw new Error(`mail ${m.i} to the MTA: ${error.message}`);
        }
      }
    }
    smtp?.close();
  })]);
  return { refused };
}

/** One recall by the portal's page: true, or why not. */
async function byPortal(kit, id) {
  const client = new Client(`http://127.0.0.1:${kit.world.ports.portal}`);
  const page = await client.get(`/s/${makeLink(id)}`);
  if (page.status !== 200) return { isDone: false };
  const form = formOf(page.text);
  if (!form) return { isDone: false };
  const confirm = await client.post(form.action, [...form.hidden, ['scope', 'all']]);
  if (confirm.status !== 200) return { isDone: false };
  const last = formOf(confirm.text);
  const done = await client.post(last.action, last.hidden);
  return { isDone: done.status === 303 && !/unsure=1/.test(done.headers.location) };
}

async function rowsOf(kit, address) {
  const r = await kit.ctl(['message', 'list', '--recipient', address, '--json'], 20000);
  return r.status === 0 ? r.json() : [];
}

const openAs = async (kit, address, folder) => (await request(`${kit.stack.box.url}/__act`, { method: 'POST', timeout: 60000,
  headers: { 'content-type': 'application/json' }, body: JSON.stringify({ as: address, do: 'download', folder }) })).status;
export { openAs };

/**
 * Takes back about every fiftieth mail, seconds after it was sent, whatever became of it by then; before some of them the
 * recipient opens it.  A recall counts when it was said to be done; where that is not sure, it is asked for again.  One that
 * was not carried out yet when Redis was wiped is asked for again as well, as the handbook says; one whose jobs had ended is not.
 */
export async function recall(kit, { mails, recalls, accesses, wipes, signal }) {
  const r = seeded('recall', kit.seed);
  const due = [];
  let seen = 0;
  /** Asks for one recall whether it has been carried out. */
  const follow = async () => {
    const x = recalls.find((y) => !y.ended && !y.again && Date.now() - (y.asked ?? y.done) > 1000 && Date.now() - y.done < 120000);
    if (!x) return false;
    x.asked = Date.now();
    const answer = await kit.ctl(['message', 'report', x.id, '--json'], 10000).catch(() => ({ status: 1 }));
    if (answer.status === 0 && answer.json().recalls.length > 0 && answer.json().recalls.every((c) => c.jobs_left === 0)) x.ended = x.asked;
    return true;
  };
  const one = async (x) => {
    const { m } = x;
    const rows = await rowsOf(kit, m.to[0].address);
    if (rows.length === 0) return false;
    for (const row of rows) {
      if (x.opensFirst) {
        const folder = row.branches[row.recipients.find((y) => y.address.toLowerCase() === m.to[0].address)?.branch]?.folder;
        if (folder && await openAs(kit, m.to[0].address, folder).catch(() => 0) === 200) accesses.push({ at: Date.now(), id: row.id, address: m.to[0].address, folder });
      }
      const all = x.isAll || m.to.length === 1;
      const begun = Date.now();
      let isDone = false;
      let said = null;
      if (x.byPortal) isDone = (await byPortal(kit, row.id).catch(() => ({ isDone: false }))).isDone;
      if (!isDone) {
        const answer = await kit.ctl(['message', 'recall', row.id, ...(all || x.byPortal ? [] : ['--recipient', m.to[0].address]), '--json'], 30000);
        if (answer.status !== 0) return false;
        said = answer.json();
        if (said.unsure) return false;
      }
      const whom = all || x.byPortal ? m.to.filter((t) => t.expect === 'secure').map((t) => t.address) : [m.to[0].address];
      // Taking back all of it also stops what would have gone out untouched.
      const stops = all || x.byPortal ? m.to.map((t) => t.address) : whom;
      recalls.push({ at: begun, done: Date.now(), id: row.id, recipients: whom, stops, i: m.i, isSecured: true, said });
      kit.journal.note('recalled', { id: row.id, mail: m.i, by: x.byPortal ? 'portal' : 'operator' });
    }
    return true;
  };
  for (;;) {
    for (; seen < mails.length; seen++) {
      const m = mails[seen];
      if (m.to[0].expect !== 'secure' || m.kind === 'corpus' || r.next() >= RECALL_SHARE) continue;
      due.push({ m, at: Date.now() + r.next() ** 2 * 30000, tries: 0, opensFirst: r.next() < 0.5, isAll: r.next() < 0.5, byPortal: r.next() < 0.3 });
    }
    // A wipe forgets recalls that nobody had carried out yet: whoever asked, asks again.
    for (const at of wipes) {
      for (const x of recalls.filter((y) => !y.again && y.done <= at + 1000 && !(y.ended < at))) {
        x.again = true;
        due.push({ m: mails.find((m) => m.i === x.i), at: Date.now() + 10000, tries: 0, opensFirst: false, isAll: true, byPortal: false });
      }
    }
    const now = Date.now();
    const x = due.find((y) => y.at <= now);
    if (x) {
      if (await one(x).catch(() => false)) due.splice(due.indexOf(x), 1);
      else { x.at = Date.now() + 3000; x.tries++; }
      continue;
    }
    if (signal.isOver && (due.length === 0 || signal.isLast)) return { left: due.length };
    if (!await follow()) await sleep(200);
  }
}
