// SPDX-License-Identifier: Apache-2.0
//
// The judge of a chaos run.  It compares what was given to the MTA with what lies in the mailboxes, in the storage and in the
// ledger, and shares no code with the product.  Facts are plain data (facts() of collect.mjs; made up in oracle.test.mjs).
//
// Each recipient of each mail has one end:
//   notice     a mail with the link of a folder that this parcel's recipients can open and nobody else, whose files are those
//              that went in (SHA-1), and a PDF
//   untouched  the mail as it was, byte for byte
//   held       in `dead list`, with a reason
//   reported   a report to the sender names the recipient, and somebody refused them
//   recalled   stopped before the notice was out
// Anything else is a problem: lost, leaked, swapped, said and not so.  A second copy is allowed where the records explain it:
//   - the relay's record has no answer for the first copy that reached its client, or the client died or could not write its
//     journal right behind it
//   - the MTA's log says that the connection ended between the end of DATA and the answer ("may be sent more than once")

import { createHash } from 'node:crypto';
import { read } from './mime.mjs';

const sha1 = (bytes) => createHash('sha1').update(bytes).digest('hex');
const TOKEN = /cq(\d+)([ban])[0-9a-f]{12}q/g;
const LINK = /https:\/\/app\.box\.com\/[^\s"'<>]+/;
const WRITES_ITS_JOURNAL_MS = 3000; // from the MTA's answer to the sent journal, on a machine that is short of time
const lower = (a) => a.toLowerCase();

const group = (list, key) => {
  const map = new Map();
  for (const x of list) {
    const k = key(x);
    if (!map.has(k)) map.set(k, []);
    map.get(k).push(x);
  }
  return map;
};

export class Oracle {
  constructor(mails) {
    this.mails = mails;
    this.byIndex = new Map(mails.map((m) => [m.i, m]));
    this.rcpts = new Map();
    this.senders = new Set(mails.map((m) => lower(m.from)));
    for (const m of mails) for (const t of m.to) this.rcpts.set(lower(t.address), { mail: m, ...t, copies: [] });
    this.letters = [];
    this.reports = new Map(); // recipient -> reports that name it
    this.problems = [];
  }

  problem(kind, text, mail = null) {
    this.problems.push({ kind, text, mail: mail?.i ?? null });
  }

  /** A mail in a mailbox: {to, from, raw, at}; one after the other, nothing of it is kept but what is asked for later. */
  deliver({ to, from, raw, at }) {
    const mail = read(raw);
    const id = /^([0-9A-Z]{26}); b=(\d+)/.exec(mail.get('x-fumibako-id'));
    const copy = { at, id: id?.[1] ?? null, branch: id ? Number(id[2]) : -1 };
    const rcpt = this.rcpts.get(lower(to));
    if (!rcpt) {
      if (this.senders.has(lower(to))) this.#letter(lower(to), mail, copy);
      else this.problem('wrong recipient', `a mail for ${to}, who is nobody's recipient`);
      return;
    }
    if (from === '') {
      this.#letter(lower(to), mail, copy);
      this.problem('wrong recipient', `a letter went to ${to}`, rcpt.mail);
      return;
    }
    rcpt.copies.push(copy);
    if (rcpt.expect === 'plain') this.#untouched(rcpt, raw);
    else this.#notice(rcpt, mail, copy);
  }

  #untouched(rcpt, raw) {
    const { size } = rcpt.mail.original;
    const tail = raw.subarray(Math.max(0, raw.length - size));
    if (sha1(tail) !== rcpt.mail.original.sha1) this.problem('changed', `${rcpt.address}: the untouched mail is not what was sent`, rcpt.mail);
  }

  #notice(rcpt, mail, copy) {
    this.#leaks(mail, rcpt.mail, `the notice for ${rcpt.address}`);
    copy.link = LINK.exec(mail.readable)?.[0] ?? null;
    if (rcpt.expect !== 'secure') this.problem('leaked', `${rcpt.address} must not get anything`, rcpt.mail);
    if (copy.link === null) this.problem('lost', `the notice for ${rcpt.address} has no link`, rcpt.mail);
    if (copy.id === null) this.problem('disagree', `the notice for ${rcpt.address} has no X-Fumibako-Id`, rcpt.mail);
  }

  /** The own names of files may be shown; content, and anything of another mail, may not. */
  #leaks(mail, own, where) {
    for (const [token, i, kind] of mail.readable.matchAll(TOKEN)) {
      if (own && Number(i) === own.i && kind === 'n') continue;
      this.problem('leaked', `${where} holds ${token}`, own);
      return;
    }
  }

  #letter(to, mail, copy) {
    const name = /^<([a-z]+)-/.exec(mail.get('message-id'))?.[1] ?? '';
    const report = mail.leaves.find((l) => /^message\/delivery-status/.test(l.type));
    const text = mail.leaves.filter((l) => /^text\/plain/.test(l.type)).map((l) => Buffer.from(l.text, 'latin1').toString('utf8')).join('\n');
    // Letters name files, and reports hold the header: neither shows content.
    const shown = [...mail.readable.matchAll(TOKEN)].find(([, , kind]) => kind !== 'n');
    if (shown) this.problem('leaked', `a letter to ${to} holds ${shown[0]}`);
    if (report) {
      for (const [, address] of report.text.matchAll(/^Final-Recipient:[^;]*;\s*(\S+)/gim)) {
        const rcpt = this.rcpts.get(lower(address));
        if (!rcpt) continue;
        if (lower(rcpt.mail.from) !== to) this.problem('wrong recipient', `${to} is told about ${address}, a recipient of ${rcpt.mail.from}`, rcpt.mail);
        if (!/^Action: *failed/im.test(report.text)) continue;
        this.reports.set(lower(address), [...(this.reports.get(lower(address)) ?? []), { ...copy, isMta: name === '' }]);
      }
    }
    this.letters.push({ to, name, ...copy, messageId: mail.get('message-id'), text: name === 'recall' ? text : '' });
  }

  /** Everything else; gives {problems, ends, duplicates, ...}. */
  async judge(facts) {
    this.facts = facts;
    this.#storage();
    this.#ledger();
    this.#explainers();
    const ends = {};
    const duplicates = [];
    for (const [address, r] of this.rcpts) {
      const end = this.#endOf(address, r);
      ends[end] = (ends[end] ?? 0) + 1;
      if (r.copies.length > 1) duplicates.push(this.#explain(address, r));
    }
    for (const d of duplicates) {
      if (d.unexplained) this.problem('twice', `${d.address} has ${d.copies} copies; not explained: ${d.unexplained}`, this.byIndex.get(d.mail));
    }
    await this.#opening();
    this.#recalls();
    return { problems: this.problems, ends, duplicates, letters: Object.fromEntries([...group(this.letters, (l) => l.name || 'mta')].map(([k, v]) => [k, v.length])) };
  }

  // ---- the storage: whose parcels are these? ----

  #storage() {
    const { box } = this.facts;
    const files = group(box.files, (f) => f.parent);
    const collabs = group(box.collaborations.filter((c) => c.item.type === 'folder'), (c) => c.item.id);
    this.folders = new Map();
    this.byLink = new Map();
    for (const f of box.folders) {
      const name = /^m-([0-9A-Z]{26})-(\d+)$/.exec(f.name);
      if (!name) {
        if ((collabs.get(f.id) ?? []).length > 0) this.problem('leaked', `folder ${f.name} is open to ${collabs.get(f.id).map((c) => c.login)}`);
        continue;
      }
      const key = `${name[1]}-${name[2]}`;
      if (this.folders.has(key)) this.problem('twice', `parcel ${key} has two folders`);
      const own = { id: f.id, key, message: name[1], link: f.shared_link, files: files.get(f.id) ?? [], logins: (collabs.get(f.id) ?? []).map((c) => lower(c.login)) };
      this.folders.set(key, own);
      if (f.shared_link) this.byLink.set(f.shared_link.url, own);
      this.#parcel(own);
    }
    for (const f of box.folders) {
      if (f.shared_link && f.shared_link.access !== 'collaborators') this.problem('leaked', `the link of folder ${f.name} is open to ${f.shared_link.access}`);
    }
  }

  /** Who can open a folder is of one mail, and what lies in it is of that mail. */
  #parcel(folder) {
    const people = folder.logins.map((l) => this.rcpts.get(l));
    // Whom the relay does not know, the rule meant all the same.
    const strangers = folder.logins.filter((l, i) => !people[i] || !/^(secure|unknown)$/.test(people[i].expect));
    if (strangers.length > 0) this.problem('wrong recipient', `${strangers} can open ${folder.key}`);
    const mails = new Set(people.filter(Boolean).map((p) => p.mail));
    if (mails.size > 1) this.problem('wrong recipient', `recipients of ${mails.size} mails can open ${folder.key}: ${folder.logins}`);
    this.sha1s ??= new Map(this.mails.flatMap((m) => m.attachments.map((a) => [a.sha1, m])));
    for (const f of folder.files) {
      const owner = this.sha1s.get(f.sha1);
      if (owner) mails.add(owner);
      const token = /cq(\d+)n/.exec(f.name);
      if (token && this.byIndex.has(Number(token[1]))) mails.add(this.byIndex.get(Number(token[1])));
    }
    if (mails.size > 1) this.problem('leaked', `${folder.key} holds or shows more than one mail: ${[...mails].map((m) => m.i)}`);
    folder.mail = [...mails][0] ?? null;
  }

  /** What lies in the folder that a recipient was sent to. */
  #content(folder, mail, address) {
    if (folder.isChecked) return;
    folder.isChecked = true;
    const names = folder.files.map((f) => f.name);
    if (!folder.files.some((f) => /\.pdf$/i.test(f.name) && f.size > 500)) this.problem('lost', `no PDF in ${folder.key} (${names})`, mail);
    const left = folder.files.map((f) => f.sha1);
    for (const a of mail.attachments) {
      const at = left.indexOf(a.sha1);
      if (at < 0) this.problem('lost', `${a.name} of ${address} is not in ${folder.key} (${names})`, mail);
      else left.splice(at, 1);
    }
    if (mail.isExact && left.length !== 1) this.problem('leaked', `${folder.key} holds ${folder.files.length} files, not ${mail.attachments.length + 1}: ${names}`, mail);
  }

  // ---- the ledger ----

  #ledger() {
    const { ledger, dead } = this.facts;
    this.messages = new Map(ledger.map((m) => [m.id, m]));
    this.held = new Map(); // message/branch -> reason
    for (const d of dead) this.held.set(`${d.message}-${d.branch}`, d.reason);
    for (const m of ledger) {
      if (m.state !== 'done' && m.state !== 'held') this.problem('lost', `message ${m.id} is still ${m.state}`);
      m.branches.forEach((b, i) => {
        if (b.state === 'held' && !this.held.has(`${m.id}-${i}`)) this.problem('disagree', `${m.id} branch ${i} is held, and not in the list of held mail`);
      });
    }
    for (const [key, reason] of this.held) if (!reason) this.problem('disagree', `${key} is held without a reason`);
    const open = new Set([...this.held.keys()].map((k) => k.slice(0, 26)));
    for (const id of this.facts.spool) if (!open.has(id)) this.problem('disagree', `message ${id} is still in the spool, and not held`);
  }

  #rowOf(id, address) {
    const m = this.messages.get(id);
    const at = m?.recipients.findIndex((r) => lower(r.address) === address) ?? -1;
    return at < 0 ? null : { message: m, recipient: m.recipients[at], branch: m.branches[m.recipients[at].branch] };
  }

  /** Rows of the ledger for a recipient. */
  #rows(address) {
    this.rowsOf ??= (() => {
      const map = new Map();
      for (const m of this.messages.values()) {
        for (const r of m.recipients) {
          const a = lower(r.address);
          if (!map.has(a)) map.set(a, []);
          map.get(a).push({ message: m, recipient: r, index: r.branch, branch: m.branches[r.branch] });
        }
      }
      return map;
    })();
    return this.rowsOf.get(address) ?? [];
  }

  #endOf(address, r) {
    const reports = this.reports.get(address) ?? [];
    const rows = this.#rows(address);
    const held = rows.filter((x) => this.held.has(`${x.message.id}-${x.index ?? 0}`) || (x.message.state === 'held' && x.message.branches.length === 0));
    const end = this.#oneEnd(address, r, { reports, rows, held });
    const disagree = (text) => this.problem('disagree', `${address}: ${text}`, r.mail);
    if (r.copies.length > 0) {
      for (const c of r.copies) this.#delivered(address, r, c);
      if (held.some((x) => r.copies.some((c) => c.id === x.message.id))) disagree('delivered, and held');
      if (reports.length > 0 && !this.#mayBeBoth(address, r)) disagree('delivered, and the sender was told that it was not');
    }
    if (reports.length > 0 && !this.#isRefused(address, r)) disagree('reported as undeliverable, and nobody refused it');
    return end;
  }

  #oneEnd(address, r, { reports, rows, held }) {
    const mustNot = r.expect === 'refused' || r.expect === 'unknown';
    if (r.copies.length > 0) {
      if (mustNot) this.problem('leaked', `${address} was refused, and has mail`, r.mail);
      return r.expect === 'plain' ? 'untouched' : 'notice';
    }
    if (held.length > 0) return 'held';
    if (reports.length > 0) return 'reported';
    const recalls = this.facts.recalls.filter((x) => (x.stops ?? x.recipients).map(lower).includes(address));
    if (recalls.length > 0 && rows.some((x) => /recalled/.test(x.recipient.state))) return 'recalled';
    // Stopped, and the ledger's record of it went in a wipe: no manifest tells of a mail that had no parcel, nor, of one
    // that had, which notices were stopped (the rebuilt ledger says "sent" of all of them).
    const isRebuilt = rows.length === 0 || rows.every((x) => x.recipient.state === 'sent');
    if (isRebuilt && recalls.some((x) => this.facts.wipes.some((at) => at >= x.at))) return 'recalled';
    this.problem('lost', `${address}: nothing arrived; the ledger says ${rows.map((x) => `${x.message.id} ${x.recipient.state}/${x.branch?.state}`).join(', ') || 'nothing'}`, r.mail);
    return 'lost';
  }

  #delivered(address, r, copy) {
    const mail = r.mail;
    const row = copy.id ? this.#rowOf(copy.id, address) : null;
    if (!row && !this.#mayBeForgotten(copy)) this.problem('disagree', `the ledger does not know ${copy.id} for ${address}`, mail);
    // It went out and its answer was lost; then a recall forbade the next try: nobody can say more than "sending".
    const isUnsure = row?.recipient.state === 'sending' && this.#isRecalled(copy.id, address) && (this.sent.get(address) ?? []).some((t) => t.id === copy.id && t.told !== 'yes');
    if (row && row.recipient.state !== 'sent' && !isUnsure && !this.#mayBeForgotten(copy) && !this.#mayBeBoth(address, r)) {
      this.problem('disagree', `${copy.id} for ${address} is delivered, and ${row.recipient.state} in the ledger`, mail);
    }
    if (r.expect !== 'secure' || !copy.link) return;
    const folder = this.byLink.get(copy.link);
    const isRecalled = this.#isRecalled(copy.id, address);
    if (!folder) {
      const closed = this.folders.get(`${copy.id}-${copy.branch}`);
      if (!closed || !mail.to.filter((t) => t.expect === 'secure').every((t) => this.#isRecalled(copy.id, lower(t.address)))) {
        this.problem('lost', `the link of ${address} leads nowhere (${copy.id}-${copy.branch})`, mail);
      }
      return;
    }
    if (folder.key !== `${copy.id}-${copy.branch}`) this.problem('wrong recipient', `${address} has the link of ${folder.key}, not of ${copy.id}-${copy.branch}`, mail);
    if (folder.mail && folder.mail !== mail) this.problem('wrong recipient', `${address} has the link of mail ${folder.mail.i}`, mail);
    if (!isRecalled && !folder.logins.includes(address)) this.problem('lost', `${address} cannot open ${folder.key}`, mail);
    if (isRecalled && folder.logins.includes(address)) this.problem('leaked', `${address} can still open ${folder.key}, which was recalled`, mail);
    this.#content(folder, mail, address);
  }

  #isRecalled(id, address) {
    this.recalled ??= new Set(this.facts.recalls.flatMap((x) => x.recipients.map((a) => `${x.id} ${lower(a)}`)));
    return this.recalled.has(`${id} ${address}`);
  }

  /** What had ended when Redis lost everything is in the ledger only as far as manifests tell. */
  #mayBeForgotten(copy) {
    return this.facts.wipes.some((at) => copy.at <= at + 15000);
  }

  #isRefused(address, r) {
    if (r.expect === 'refused' || r.expect === 'unknown' || r.mail.kind === 'corpus') return true;
    return this.facts.refusals.some((x) => lower(x.address) === address);
  }

  /** Taken and its answer lost, then refused: both are true, and nobody can know it. */
  #mayBeBoth(address, r) {
    return this.#isRefused(address, r) && (r.copies.length > 1 || (this.sent.get(address) ?? []).some((t) => t.told !== 'yes' || this.#isForgotten(t)))
      || (this.twins.get(r.mail.queue) ?? 0) > 0 && this.#isRefused(address, r);
  }

  // ---- second copies ----

  #explainers() {
    const { transactions, lives, events, mtaLog } = this.facts;
    this.sent = new Map();
    for (const t of transactions) {
      if (t.sent === undefined) continue;
      for (const a of t.rcpts) this.sent.set(lower(a), [...(this.sent.get(lower(a)) ?? []), t]);
    }
    this.deaths = lives.filter((l) => l.service === 'rewrite' && l.to !== null).map((l) => l.to);
    const spans = (kinds, target) => {
      const list = [];
      const begun = new Map();
      for (const e of events) {
        if (!kinds.test(e.kind ?? '') || (target && e.target && !target.test(e.target))) continue;
        if (e.what === 'fault begins') begun.set(e.n, e.at);
        if (e.what === 'fault ends') list.push({ from: begun.get(e.n) ?? e.at, to: e.at, kind: e.kind });
      }
      return list;
    };
    this.badDisk = spans(/^(disk|sync error|write error)/, /^rewrite/);
    this.stops = spans(/^stop/, /^rewrite/);
    this.twins = new Map(); // queue id -> how often the MTA could not know
    for (const line of mtaLog) {
      const m = /postfix\/\S*\[\d+\]: ([0-9A-Za-z]+): to=<.*(?:while sending end of data|sending message body|may be sent more than once)/.exec(line);
      if (m) this.twins.set(m[1], (this.twins.get(m[1]) ?? 0) + 1);
    }
  }

  /** From the MTA's answer to the journal; a relay that was slow, or hung, hands the answer on later than it got it. */
  #betweenOf(t) {
    return { from: t.replied - 100, to: Math.max(t.replied, t.end ?? 0) + WRITES_ITS_JOURNAL_MS };
  }

  /** Between the MTA's answer and the journal: the client died, stood still, or could not write. */
  #isForgotten(t) {
    const { from, to } = this.#betweenOf(t);
    return this.deaths.some((at) => at >= from && at <= to) || [...this.badDisk, ...this.stops].some((s) => s.from <= to && s.to >= from);
  }

  #reasonOf(t) {
    if (t.told !== 'yes') return `the answer was ${t.told === 'gone' ? 'lost: its client had gone' : 'dropped by the relay'}`;
    const { from, to } = this.#betweenOf(t);
    if (this.deaths.some((at) => at >= from && at <= to)) return 'rewrite was killed between the answer and its journal';
    const span = [...this.badDisk, ...this.stops].find((s) => s.from <= to && s.to >= from);
    return span ? `${span.kind} between the answer and the journal` : null;
  }

  #explain(address, r) {
    const reasons = [];
    let unexplained = null;
    const byMessage = group(r.copies, (c) => c.id);
    for (const [id, copies] of byMessage) {
      if (copies.length === 1) continue;
      const sent = (this.sent.get(address) ?? []).filter((t) => t.id === id).sort((a, b) => a.sent - b.sent);
      if (sent.length < copies.length) unexplained = `the relay was given ${id} ${sent.length} times, ${copies.length} arrived`;
      for (const t of sent.slice(0, -1)) {
        const reason = this.#reasonOf(t);
        if (reason) reasons.push(reason);
        else unexplained = `${id} was sent again although the answer of ${new Date(t.replied).toISOString()} was given`;
      }
    }
    const twins = byMessage.size - 1;
    const told = this.twins.get(r.mail.queue) ?? 0;
    if (twins > told) unexplained = `the mail is ${byMessage.size} messages (${[...byMessage.keys()]}), and the MTA's log for ${r.mail.queue} has ${told} lost answers`;
    else for (let i = 0; i < twins; i++) reasons.push('the MTA lost the answer to its DATA and handed the mail in again');
    return { address, mail: r.mail.i, copies: r.copies.length, reasons, unexplained };
  }

  // ---- who can open what ----

  async #opening() {
    if (!this.facts.open) return;
    const tries = [];
    const all = [...this.rcpts].filter(([, r]) => r.expect === 'secure' && r.copies.length > 0);
    all.forEach(([address, r], n) => {
      for (const c of r.copies) {
        const folder = this.folders.get(`${c.id}-${c.branch}`);
        if (!folder) continue;
        tries.push({ address, folder, may: !this.#isRecalled(c.id, address), mail: r.mail });
        const [stranger, other] = all[(n * 7919 + 13) % all.length];
        if (other.mail !== r.mail) tries.push({ address: stranger, folder, may: false, mail: r.mail });
      }
    });
    let next = 0;
    await Promise.all(Array.from({ length: 8 }, async () => {
      while (next < tries.length) {
        const x = tries[next++];
        const status = await this.facts.open(x.address, x.folder.id);
        if (x.may && status !== 200) this.problem('lost', `${x.address} cannot open ${x.folder.key}: ${status}`, x.mail);
        if (!x.may && status === 200) this.problem('leaked', `${x.address} can open ${x.folder.key}`, x.mail);
      }
    }));
  }

  // ---- recalls ----

  #recalls() {
    const letters = group(this.letters.filter((l) => l.name === 'recall'), (l) => l.id);
    for (const x of this.facts.recalls) {
      for (const a of x.recipients) {
        const row = this.#rowOf(x.id, lower(a));
        const folder = [...this.folders.values()].length > 0 ? this.#folderOf(x.id, lower(a)) : null;
        if (folder?.logins.includes(lower(a))) this.problem('leaked', `${a} can open ${folder.key} after its recall`);
        const copies = this.rcpts.get(lower(a))?.copies.filter((c) => c.id === x.id) ?? [];
        if (row && /recalled/.test(row.recipient.state) && copies.length > 0) this.problem('disagree', `${x.id}: ${a} is said to have been stopped, and has the notice`);
      }
      this.#told(x, letters.get(x.id) ?? []);
    }
  }

  #folderOf(id, address) {
    const row = this.#rowOf(id, address);
    return row ? this.folders.get(`${id}-${row.recipient.branch}`) : null;
  }

  /** What the sender was told of a recall against the accesses that there were. */
  #told(x, letters) {
    const last = letters.filter((l) => /-final@/.test(l.messageId)).at(-1);
    if (!last) {
      const isForgotten = this.facts.wipes.some((at) => at >= x.at - 1000);
      if (!isForgotten && x.isSecured) this.problem('disagree', `${x.id} was recalled, and its sender has no final report`);
      return;
    }
    for (const a of x.recipients) {
      const at = last.text.indexOf(a);
      if (at < 0) continue;
      const said = last.text.slice(at + a.length).split(/\n *\n/)[0].replace(/\s+/g, ' ');
      const own = said.split(/[^\s@]+@[^\s@]+/)[0];
      const accessed = this.facts.accesses.some((y) => y.id === x.id && lower(y.address) === lower(a) && y.at <= x.at);
      if (accessed && /no access recorded/.test(own)) this.problem('disagree', `${x.id}: the sender is told that ${a} has not opened, and they have`);
      if (!accessed && /(opened|downloaded) at/.test(own)) this.problem('disagree', `${x.id}: the sender is told that ${a} has opened, and they have not`);
    }
  }
}
