// SPDX-License-Identifier: Apache-2.0
//
// The judge of the chaos runs can say no: made-up losses, leaks, swaps, and second copies with and without an excuse.

import test from 'node:test';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mailOf, TOKEN } from './mails.mjs';
import { Oracle } from './oracle.mjs';
import { schedule } from './schedule.mjs';

const SEED = 'oracle';
const idOf = (i, twin = 0) => `01HAAAAAAAAAAAAAAAAA${String(i).padStart(5, '0')}${twin}`;
const sha1 = (bytes) => createHash('sha1').update(bytes).digest('hex');
const NOW = 1800000000000;
const MAILS = Array.from({ length: 600 }, (_, i) => mailOf(SEED, i));

/** Facts of a run in which all went well; each test spoils something. */
function world(count = 80) {
  const mails = [];
  const contents = new Map();
  const w = { mails, deliveries: [], contents, facts: { box: { folders: [], files: [], collaborations: [] }, ledger: [], dead: [], spool: [], transactions: [],
    refusals: [], lives: [], events: [], mtaLog: [], recalls: [], accesses: [], wipes: [] } };
  for (let i = 0; i < count; i++) {
    const { content, ...mail } = MAILS[i];
    mail.queue = `Q${i}`;
    contents.set(i, content);
    mails.push(mail);
    message(w, mail, idOf(i));
  }
  w.opens = null;
  w.facts.open = async (address, folder) => {
    if (w.opens) { const s = w.opens(address, folder); if (s) return s; }
    return w.facts.box.collaborations.some((c) => c.item.id === folder && c.login === address) ? 200 : 403;
  };
  return w;
}

/** One message of a mail: what storage, ledger and mailboxes hold of it in the end. */
function message(w, mail, id) {
  const secure = mail.to.filter((t) => t.expect === 'secure');
  const m = { id, from: mail.from, state: 'done', recipients: [], branches: [] };
  const branch = (kind, state) => m.branches.push({ kind, state, reason: '' }) - 1;
  if (secure.length > 0) {
    const b = branch('secure', 'sent');
    const folder = `7${id}`;
    w.facts.box.folders.push({ id: folder, name: `m-${id}-${b}`, shared_link: { url: `https://app.box.com/s/${id.toLowerCase()}`, access: 'collaborators' } });
    w.facts.box.files.push({ id: `8${id}`, parent: folder, name: 'message.pdf', size: 20000, sha1: sha1(`pdf ${id}`) });
    mail.attachments.forEach((a, k) => w.facts.box.files.push({ id: `9${k}${id}`, parent: folder, ...a }));
    for (const t of secure) {
      w.facts.box.collaborations.push({ item: { type: 'folder', id: folder }, login: t.address });
      m.recipients.push({ address: t.address, branch: b, state: 'sent', grant: 'active' });
      w.deliveries.push(notice(mail, t.address, id, b));
    }
    w.facts.transactions.push({ id, branch: b, rcpts: secure.map((t) => t.address), from: mail.from, sent: NOW, replied: NOW + 5, code: 250, told: 'yes', end: NOW + 6 });
  }
  for (const t of mail.to.filter((x) => x.expect === 'plain')) {
    const b = branch('pass', 'sent');
    m.recipients.push({ address: t.address, branch: b, state: 'sent', grant: '' });
    w.deliveries.push({ to: t.address, from: mail.from, at: NOW, raw: Buffer.concat([Buffer.from(`Delivered-To: ${t.address}\nX-Fumibako-Id: ${id}; b=${b}; h=x\n`),
      Buffer.from(w.contents.get(mail.i).toString('latin1').replace(/\r\n/g, '\n'), 'latin1')]) });
  }
  for (const t of mail.to.filter((x) => x.expect === 'refused' || x.expect === 'unknown')) {
    const b = branch('reject', 'refused');
    m.recipients.push({ address: t.address, branch: b, state: 'refused', grant: '' });
    w.deliveries.push(report(mail.from, t.address, id));
  }
  w.facts.ledger.push(m);
}

const notice = (mail, to, id, b, { link = `https://app.box.com/s/${id.toLowerCase()}`, text = '', at = NOW } = {}) => ({ to, from: mail.from, at, raw: Buffer.from(
  [`Delivered-To: ${to}`, `X-Fumibako-Id: ${id}; b=${b}; h=x`, `Subject: ${mail.subject}`, 'MIME-Version: 1.0', 'Content-Type: multipart/alternative; boundary="=_b"', '',
    '--=_b', 'Content-Type: text/plain; charset=utf-8', 'Content-Transfer-Encoding: base64', '', Buffer.from(`Read it here: ${link}\n${mail.attachments.map((a) => a.name)}\n${text}\n`).toString('base64'),
    '--=_b--', ''].join('\n')) });

const report = (sender, address, id) => ({ to: sender, from: '', at: NOW, raw: Buffer.from([`X-Fumibako-Id: ${id}; b=1; h=x`, `Message-ID: <dsn-${id}-1@example.jp>`,
  'Content-Type: multipart/report; report-type=delivery-status; boundary="=_r"', '', '--=_r', 'Content-Type: text/plain', '', 'Not delivered.', '--=_r',
  'Content-Type: message/delivery-status', '', 'Reporting-MTA: dns; x', '', `Final-Recipient: rfc822; ${address}`, 'Action: failed', 'Status: 5.7.1', '', '--=_r--', ''].join('\n')) });

async function judge(w) {
  const oracle = new Oracle(w.mails);
  for (const d of w.deliveries) oracle.deliver(d);
  return oracle.judge(w.facts);
}

const first = (w, f) => w.mails.find(f);
const ofKind = (w, kind) => first(w, (m) => m.kind === kind);
const deliveryOf = (w, address) => w.deliveries.find((d) => d.to === address);
const kinds = (verdict) => [...new Set(verdict.problems.map((p) => p.kind))].sort();
const rewrite = (delivery, fn) => { delivery.raw = Buffer.from(fn(delivery.raw.toString('latin1')), 'latin1'); };

test('a run in which all went well has no problems, and each recipient has an end', async () => {
  const w = world(600);
  const verdict = await judge(w);
  assert.deepEqual(verdict.problems, []);
  assert.equal(Object.values(verdict.ends).reduce((a, b) => a + b, 0), w.mails.reduce((n, m) => n + m.to.length, 0));
  for (const end of ['notice', 'untouched', 'reported']) assert.ok(verdict.ends[end] > 0, end);
  assert.ok(w.mails.some((m) => m.to.some((t) => t.expect === 'plain') && m.to.some((t) => t.expect === 'secure')), 'some mails go both ways');
});

const SPOILT = [
  ['a notice that never came', 'lost', (w) => { const m = ofKind(w, 'text'); w.deliveries = w.deliveries.filter((d) => d.to !== m.to[0].address); }],
  ['an untouched mail that never came', 'lost', (w) => { const m = ofKind(w, 'plain'); w.deliveries = w.deliveries.filter((d) => d.to !== m.to[0].address); }],
  ['a refused mail of which nobody is told', 'lost', (w) => { const m = ofKind(w, 'refused'); w.deliveries = w.deliveries.filter((d) => !d.raw.includes(m.to[0].address)); }],
  ['a file that is not in the storage', 'lost', (w) => { const m = ofKind(w, 'attached'); w.facts.box.files = w.facts.box.files.filter((f) => f.sha1 !== m.attachments[0].sha1); }],
  ['a file with another content', 'lost', (w) => { const m = ofKind(w, 'attached'); w.facts.box.files.find((f) => f.sha1 === m.attachments[0].sha1).sha1 = sha1('x'); }],
  ['a parcel without a PDF', 'lost', (w) => { const m = ofKind(w, 'text'); w.facts.box.files = w.facts.box.files.filter((f) => f.parent !== `7${idOf(m.i)}`); }],
  ['a link that leads nowhere', 'lost', (w) => { const m = ofKind(w, 'text'); w.facts.box.folders = w.facts.box.folders.filter((f) => f.id !== `7${idOf(m.i)}`); }],
  ['a recipient who cannot open', 'lost', (w) => { const m = ofKind(w, 'text'); w.facts.box.collaborations = w.facts.box.collaborations.filter((c) => c.login !== m.to[0].address); }],
  ['a message that is still under way', 'lost', (w) => { w.facts.ledger[3].state = 'planned'; }],
  ['a body in the notice', 'leaked', (w) => { const m = ofKind(w, 'text'); const [token] = w.contents.get(m.i).toString().match(TOKEN) ?? []; const at = w.deliveries.indexOf(deliveryOf(w, m.to[0].address));
    w.deliveries[at] = notice(m, m.to[0].address, idOf(m.i), 0, { text: token ?? 'cq1b000000000000q' }); }],
  ['the content of an attachment in the notice', 'leaked', (w) => { const m = ofKind(w, 'attached'); const at = w.deliveries.indexOf(deliveryOf(w, m.to[0].address));
    w.deliveries[at] = notice(m, m.to[0].address, idOf(m.i), 0, { text: `cq${m.i}a0123456789abq` }); }],
  ['the name of another mail\'s file in the notice', 'leaked', (w) => { const m = ofKind(w, 'attached'); const at = w.deliveries.indexOf(deliveryOf(w, m.to[0].address));
    w.deliveries[at] = notice(m, m.to[0].address, idOf(m.i), 0, { text: `cq${m.i + 1}n0123456789abq` }); }],
  ['a body in a report', 'leaked', (w) => { const m = ofKind(w, 'refused'); rewrite(w.deliveries.find((d) => d.raw.includes(m.to[0].address)), (t) => t.replace('Not delivered.', `cq${m.i}b0123456789abq`)); }],
  ['the mail itself in place of the notice', 'leaked', (w) => { const m = ofKind(w, 'text'); deliveryOf(w, m.to[0].address).raw = Buffer.from(w.contents.get(m.i).toString('latin1').replace(/\r\n/g, '\n'), 'latin1'); }],
  ['a mail for somebody whom a rule refuses', 'leaked', (w) => { const m = ofKind(w, 'refused'); w.deliveries.push(notice(m, m.to[0].address, idOf(m.i), 0)); }],
  ['a folder with an open link', 'leaked', (w) => { w.facts.box.folders[2].shared_link.access = 'open'; }],
  ['a parent folder that somebody can open', 'leaked', (w) => { w.facts.box.folders.push({ id: '1', name: 'taro@example.jp', shared_link: null }); w.facts.box.collaborations.push({ item: { type: 'folder', id: '1' }, login: w.mails[0].to[0].address }); }],
  ['a file that nobody sent', 'leaked', (w) => { const m = ofKind(w, 'text'); w.facts.box.files.push({ id: '5', parent: `7${idOf(m.i)}`, name: 'x.bin', size: 5, sha1: sha1('y') }); }],
  ['another mail\'s file in the folder', 'leaked', (w) => { const m = ofKind(w, 'attached'); const other = ofKind(w, 'text'); w.facts.box.files.find((f) => f.sha1 === m.attachments[0].sha1).parent = `7${idOf(other.i)}`; }],
  ['somebody who can open what is not theirs', 'leaked', (w) => { w.opens = () => 200; }],
  ['a folder that a stranger is let into', 'wrong recipient', (w) => { const m = ofKind(w, 'text'); w.facts.box.collaborations.push({ item: { type: 'folder', id: `7${idOf(m.i)}` }, login: 'mallory@example.com' }); }],
  ['a folder that another mail\'s recipient is let into', 'wrong recipient', (w) => { const [a, b] = w.mails.filter((m) => m.kind === 'text'); w.facts.box.collaborations.push({ item: { type: 'folder', id: `7${idOf(a.i)}` }, login: b.to[0].address }); }],
  ['two notices with each other\'s links', 'wrong recipient', (w) => { const [a, b] = w.mails.filter((m) => m.kind === 'text'); for (const [x, y] of [[a, b], [b, a]]) { const at = w.deliveries.indexOf(deliveryOf(w, x.to[0].address));
    w.deliveries[at] = notice(x, x.to[0].address, idOf(x.i), 0, { link: `https://app.box.com/s/${idOf(y.i).toLowerCase()}` }); } }],
  ['a notice in a stranger\'s mailbox', 'wrong recipient', (w) => { const m = ofKind(w, 'text'); w.deliveries.push(notice(m, 'mallory@example.com', idOf(m.i), 0)); }],
  ['a report to the wrong sender', 'wrong recipient', (w) => { const m = ofKind(w, 'refused'); const d = w.deliveries.find((x) => x.raw.includes(m.to[0].address)); d.to = w.mails.find((x) => x.from !== m.from).from; }],
  ['an untouched mail with a byte changed', 'changed', (w) => { const m = ofKind(w, 'plain'); rewrite(deliveryOf(w, m.to[0].address), (t) => `${t.slice(0, -20)}!${t.slice(-19)}`); }],
  ['a message that the ledger does not know', 'disagree', (w) => { w.facts.ledger.splice(w.facts.ledger.findIndex((m) => m.id === idOf(ofKind(w, 'text').i)), 1); }],
  ['a recipient who has the notice and is recalled in the ledger', 'disagree', (w) => { const m = ofKind(w, 'text'); w.facts.ledger.find((x) => x.id === idOf(m.i)).recipients[0].state = 'recalled'; }],
  ['a mail that stays in the spool', 'disagree', (w) => { w.facts.spool.push(idOf(5)); }],
  ['a mail that is delivered and held', 'disagree', (w) => { const m = ofKind(w, 'text'); w.facts.dead.push({ message: idOf(m.i), branch: 0, reason: 'why' }); }],
  ['a report although nobody refused', 'disagree', (w) => { const m = ofKind(w, 'text'); w.deliveries = w.deliveries.filter((d) => d.to !== m.to[0].address); w.deliveries.push(report(m.from, m.to[0].address, idOf(m.i))); }],
  ['a recall after which the recipient can open', 'leaked', (w) => { const m = ofKind(w, 'text'); w.facts.recalls.push({ at: NOW, id: idOf(m.i), recipients: [m.to[0].address], isSecured: false }); }],
  ['a recall without a report', 'disagree', (w) => { const m = ofKind(w, 'text'); w.facts.recalls.push({ at: NOW, id: idOf(m.i), recipients: [m.to[0].address], isSecured: true }); w.facts.box.collaborations = w.facts.box.collaborations.filter((c) => c.login !== m.to[0].address); }],
  ['a second copy of a notice', 'twice', (w) => { const m = ofKind(w, 'text'); w.deliveries.push(notice(m, m.to[0].address, idOf(m.i), 0)); w.facts.transactions.push({ ...w.facts.transactions.find((t) => t.id === idOf(m.i)), sent: NOW + 60000, replied: NOW + 60005 }); }],
  ['a second message of one mail', 'twice', (w) => { message(w, ofKind(w, 'text'), idOf(99998, 1)); }],
  ['a second folder of one parcel', 'twice', (w) => { w.facts.box.folders.push({ ...w.facts.box.folders[0], id: '6' }); }],
];

for (const [what, kind, spoil] of SPOILT) {
  test(`it sees ${what}`, async () => {
    const w = world(600);
    spoil(w);
    const verdict = await judge(w);
    assert.ok(kinds(verdict).includes(kind), `${kind} expected, found ${JSON.stringify(verdict.problems.slice(0, 3))}`);
  });
}

test('a second copy is explained by a lost answer, a death in between, a disk that did not write, and by nothing else', async () => {
  for (const [excuse, change] of [
    ['dropped', (w, t) => { t.told = 'dropped'; }],
    ['gone', (w, t) => { t.told = 'gone'; }],
    ['killed', (w, t) => { w.facts.lives.push({ service: 'rewrite', to: t.replied + 50 }); }],
    ['disk full', (w, t) => { w.facts.events.push({ what: 'fault begins', n: 1, kind: 'disk full', at: t.replied - 10 }, { what: 'fault ends', n: 1, kind: 'disk full', at: t.replied + 900 }); }],
    [null, (w, t) => { w.facts.lives.push({ service: 'rewrite', to: t.replied + 50000 }, { service: 'render', to: t.replied + 50 }); }],
  ]) {
    const w = world();
    const m = ofKind(w, 'text');
    const t = w.facts.transactions.find((x) => x.id === idOf(m.i));
    w.deliveries.push(notice(m, m.to[0].address, idOf(m.i), 0, { at: NOW + 60005 }));
    w.facts.transactions.push({ ...t, sent: NOW + 60000, replied: NOW + 60005 });
    change(w, t);
    const { problems, duplicates } = await judge(w);
    assert.equal(duplicates.length, 1);
    if (excuse === null) assert.deepEqual([...new Set(problems.map((p) => p.kind))], ['twice']);
    else assert.deepEqual([problems, duplicates[0].unexplained], [[], null], excuse);
  }
});

test('a mail handed in twice is explained by the MTA\'s own log, once for each second copy', async () => {
  const w = world();
  const m = ofKind(w, 'text');
  message(w, m, idOf(99998, 1));
  const line = `Nov 28 07:00:00 mta postfix/fumibako/smtp[12]: ${m.queue}: to=<${m.to[0].address}>, relay=127.0.0.1[127.0.0.1]:10025, status=deferred (lost connection with 127.0.0.1[127.0.0.1] while sending end of data -- message may be sent more than once)`;
  w.facts.mtaLog.push(line);
  assert.deepEqual((await judge(w)).problems, []);
  const again = world();
  const n = ofKind(again, 'text');
  message(again, n, idOf(99998, 1));
  message(again, n, idOf(99999, 1));
  again.facts.mtaLog.push(line);
  assert.deepEqual(kinds(await judge(again)), ['twice']);
});

test('held mail is an end when it is in the list of held mail, with a reason', async () => {
  const hold = (w, reason) => {
    const m = ofKind(w, 'text');
    w.deliveries = w.deliveries.filter((d) => d.to !== m.to[0].address);
    const row = w.facts.ledger.find((x) => x.id === idOf(m.i));
    row.state = 'held';
    row.branches[0].state = 'held';
    if (reason !== null) w.facts.dead.push({ message: idOf(m.i), branch: 0, reason });
  };
  const fine = world();
  hold(fine, 'the storage is full');
  const verdict = await judge(fine);
  assert.deepEqual([verdict.problems, verdict.ends.held], [[], 1]);
  const silent = world();
  hold(silent, '');
  assert.deepEqual(kinds(await judge(silent)), ['disagree']);
  const unlisted = world();
  hold(unlisted, null);
  assert.deepEqual(kinds(await judge(unlisted)), ['disagree', 'lost']);
});

test('what a recall stopped has ended, untouched parts and what a wipe made the ledger forget included, and nothing else has', async () => {
  const run = async ({ isForgotten, recall, wipedAt, state = 'recalled' }) => {
    const w = world();
    const m = w.mails.find((x) => x.kind === 'many' && x.to.some((t) => t.expect === 'plain'));
    const id = idOf(m.i);
    const own = m.to.map((t) => t.address);
    w.deliveries = w.deliveries.filter((d) => !own.includes(d.to));
    w.facts.box.folders = w.facts.box.folders.filter((f) => !f.name.includes(id));
    const row = w.facts.ledger.find((x) => x.id === id);
    if (isForgotten) w.facts.ledger = w.facts.ledger.filter((x) => x !== row);
    else for (const r of row.recipients) r.state = state;
    if (recall) w.facts.recalls.push({ at: NOW, id, recipients: m.to.filter((t) => t.expect === 'secure').map((t) => t.address), ...recall(own), isSecured: false });
    if (wipedAt) w.facts.wipes.push(wipedAt);
    return kinds(await judge(w));
  };
  const all = (own) => ({ stops: own });
  assert.deepEqual(await run({ recall: all }), []);
  assert.deepEqual(await run({ isForgotten: true, recall: all, wipedAt: NOW + 1000 }), []);
  assert.deepEqual(await run({ isForgotten: true, recall: all, wipedAt: NOW - 1000 }), ['lost']);
  assert.deepEqual(await run({ isForgotten: true, recall: all }), ['lost']);
  assert.deepEqual(await run({ state: 'sent', recall: all, wipedAt: NOW + 1000 }), []);
  assert.deepEqual(await run({ state: 'sent', recall: all, wipedAt: NOW - 1000 }), ['lost']);
  assert.deepEqual(await run({ isForgotten: true, wipedAt: NOW + 1000 }), ['lost']);
  assert.deepEqual(await run({ recall: () => ({}) }), ['lost']); // not asked for those who get it untouched
});

test('a mail whose answer was lost and that was recalled then may be "sending" in the ledger; another may not', async () => {
  const run = async (told, isRecalled) => {
    const w = world();
    const m = ofKind(w, 'text');
    const [{ address }] = m.to;
    w.facts.ledger.find((x) => x.id === idOf(m.i)).recipients[0].state = 'sending';
    w.facts.transactions.find((x) => x.id === idOf(m.i)).told = told;
    if (isRecalled) {
      w.facts.recalls.push({ at: NOW + 1000, id: idOf(m.i), recipients: [address], isSecured: false });
      w.facts.box.collaborations = w.facts.box.collaborations.filter((c) => c.login !== address);
    }
    return kinds(await judge(w));
  };
  assert.deepEqual(await run('dropped', true), []);
  assert.deepEqual(await run('yes', true), ['disagree']);
  assert.deepEqual(await run('dropped', false), ['disagree']);
});

test('a report on a recall that says less or more than what happened is seen', async () => {
  const run = async (said, accessed) => {
    const w = world();
    const m = ofKind(w, 'text');
    const id = idOf(m.i);
    const [{ address }] = m.to;
    w.facts.box.collaborations = w.facts.box.collaborations.filter((c) => c.login !== address);
    w.facts.recalls.push({ at: NOW + 1000, id, recipients: [address], isSecured: true });
    if (accessed) w.facts.accesses.push({ at: NOW, id, address, folder: `7${id}` });
    w.deliveries.push({ to: m.from, from: '', at: NOW, raw: Buffer.from([`X-Fumibako-Id: ${id}; b=90000; h=x`, `Message-ID: <recall-${id}-final@example.jp>`,
      'Content-Type: text/plain; charset=utf-8', '', `  - ${address}`, `    The notice was out; access was removed at 2027-01-15 08:00 UTC; ${said}.`, '', 'end', ''].join('\n')) });
    return (await judge(w)).problems.map((p) => p.kind);
  };
  assert.deepEqual(await run('no access recorded as of 2027-01-15 08:00 UTC', false), []);
  assert.deepEqual(await run('no access recorded as of 2027-01-15 08:00 UTC', true), ['disagree']);
  assert.deepEqual(await run('opened at 2027-01-15 08:00 UTC', false), ['disagree']);
  assert.deepEqual(await run('opened at 2027-01-15 08:00 UTC', true), []);
});

test('the same seed gives the same mails and the same faults at the same times; another one others', () => {
  const entries = (seed, n = 500) => { const s = schedule(seed, 5); return Array.from({ length: n }, () => s.next().value); };
  assert.deepEqual(entries(1), entries(1));
  assert.notDeepEqual(entries(1), entries(2));
  const list = entries(3, 2000);
  const mean = list.at(-1).at / list.length / 1000;
  assert.ok(mean > 3.5 && mean < 6.5, `${mean} s between faults`);
  assert.ok(new Set(list.map((e) => e.kind)).size > 30, 'of all kinds');
  const hash = (seed) => sha1(Buffer.concat(Array.from({ length: 50 }, (_, i) => mailOf(seed, i).content)));
  assert.equal(hash('a'), hash('a'));
  assert.notEqual(hash('a'), hash('b'));
});
