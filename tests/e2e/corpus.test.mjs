// SPDX-License-Identifier: Apache-2.0
//
// Real mails of many mail programs, well-formed and broken, go through the whole pipeline.  Each ends delivered
// (secured or untouched), held with a reason, or refused at the door with a report to its sender; none is lost and
// none leaks.  The oracle compares what went into Postfix with what Maildir, simulator and ledger hold.
//
// The mails are not part of the project: FUMIBAKO_SHARED names their folder.

import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { hasPostfix } from '../support/postfix.mjs';
import { SHARED, Stack, everythingIn, splitMail } from './stack.mjs';

const CORPUS = path.join(SHARED, 'corpus/files');
const skip = !fs.existsSync(CORPUS) ? `no corpus at ${CORPUS}` : hasPostfix() ? false : 'needs root and Postfix';
const PARALLEL = 8;
const ONLY = process.env.FB_CORPUS_ONLY ? new RegExp(process.env.FB_CORPUS_ONLY) : /./;

function corpus() {
  return fs.readFileSync(path.join(SHARED, 'corpus/index.tsv'), 'utf8').split('\n').slice(1).filter(Boolean)
    .map((l) => l.split('\t')[0]).filter((n) => ONLY.test(n)).sort();
}

/** As an MTA would have sent it: lines end in CRLF, and no more than 64 kB of NULs come through. */
const asSent = (bytes) => Buffer.from(bytes.toString('latin1').replace(/\r?\n/g, '\r\n'), 'latin1');

const unquoted = (text) => text.replace(/=$/, '').replace(/=([0-9A-F]{2})/gi, (_, h) => String.fromCharCode(parseInt(h, 16))).trim();

/** Header text with its encoded words (RFC 2047) decoded, as latin1 bytes. */
const decodedHead = (head) => head.replace(/\?=\s+=\?/g, '?==?').replace(/=\?[^?]+\?([bq])\?([^?]*)\?=/gi,
  (_, kind, text) => (kind.toLowerCase() === 'b' ? Buffer.from(text, 'base64').toString('latin1')
    : unquoted(text.replace(/_/g, ' ').replace(/=$/, '')) + (/[_ ]$/.test(text) ? ' ' : '')));

/** Lines of the content that must not be in a notice: long enough to be nobody else's, and in no header field. */
function secretLines(content) {
  const { body } = splitMail(content);
  const raw = content.toString('latin1').replace(/\r\n/g, '\n').slice(0, -body.length || undefined);
  const head = `${raw}\n${decodedHead(raw)}`;
  const lines = new Set(body.split('\n').map((l) => l.trim()).filter((l) => l.length >= 32 && !/^(Content-|--|boundary=)/i.test(l)));
  const pick = [...lines].filter((l) => !head.includes(l) && !head.includes(unquoted(l)) && !/^[-=_*#. ]+$/.test(l));
  return pick.filter((_, i) => i % Math.ceil(pick.length / 400) === 0);
}

test('every mail of the corpus is delivered, held with a reason, or refused with a report; nothing leaks',
  { skip, timeout: 30 * 60000 }, async (t) => {
    const stack = await Stack.start(t, {
      box: { users: 40 },
      policy: { rules: [
        { name: 'partners', when: { to: ['@secured.example'] }, action: 'secure', storage: 'box',
          security: 'recipients only', path: '{sender}/{date:%Y-%m}' },
      ] },
      workers: { render: 1 }, overrides: { render: { concurrency: 2 } },
      main: { smtp_line_length_limit: '0' }, // the MTA shall not fold lines on its way to the filter
    });
    const names = corpus();
    const cases = names.map((name, i) => ({ name, content: asSent(fs.readFileSync(path.join(CORPUS, name))),
      from: `s${i}@example.jp`, secured: `r${i}@secured.example`, plain: `r${i}@plain.example`,
      reference: `r${i}@reference.example` }));
    const queue = [...cases];
    await Promise.all(Array.from({ length: PARALLEL }, async () => {
      for (let c = queue.shift(); c; c = queue.shift()) {
        await stack.submit(c.content, { from: c.from, to: [c.secured, c.plain] }).catch((e) => { c.refusal = e.message; });
        // The same mail past the filter: what the MTA itself makes of it.
        await stack.submit(c.content, { from: c.from, to: [c.reference], port: stack.postfix.back }).catch(() => {});
      }
    }));
    await stack.settled({ timeout: 15 * 60000 });

    const state = await stack.box.state();
    const messages = new Map((await stack.messages()).map((m) => [m.from, m]));
    const outcomes = new Map();
    const problems = [];
    for (const c of cases) {
      const outcome = judge(stack, state, messages.get(c.from), c, problems);
      const folder = c.name.split('/')[0];
      if (!outcomes.has(folder)) outcomes.set(folder, {});
      outcomes.get(folder)[outcome] = (outcomes.get(folder)[outcome] ?? 0) + 1;
    }
    print(outcomes, cases, messages);
    assert.deepEqual(problems, [], 'each mail ends well');
    assert.deepEqual(state.violations ?? [], [], 'each request to Box was as Box describes it');
    for (const s of stack.running) assert.ok(s.isRunning, `${s.name} is still there`);
    assert.ok(!/AddressSanitizer|runtime error:|ThreadSanitizer/.test(stack.logs()), 'no sanitizer report');
  });

function judge(stack, state, message, c, problems) {
  const plain = stack.postfix.delivered(c.plain);
  const secured = stack.postfix.delivered(c.secured);
  const reports = stack.postfix.delivered(c.from);
  const problem = (text) => problems.push(`${c.name}: ${text}`);
  if (c.refusal) {
    // Postfix itself would not have it (a header too large, an address it cannot read): the sender knows at once.
    return 'refused by the MTA';
  }
  if (!message) {
    if (reports.length === 0) problem('no message, no report to the sender: lost');
    return 'refused at the door, sender told';
  }
  if (message.state === 'held') {
    const reasons = message.branches.map((b) => b.reason).filter(Boolean);
    c.reason = reasons.join('; ');
    if (plain.length + secured.length === 0 && message.branches.length > 0 && reasons.length === 0) problem('held without a reason');
    return 'held';
  }
  if (message.state !== 'done') problem(`state ${message.state}`);
  if (plain.length !== 1) problem(`${plain.length} copies for the untouched recipient`);
  if (secured.length !== 1) problem(`${secured.length} copies for the secured recipient`);
  const kinds = Object.fromEntries(message.recipients.map((r) => [r.address, message.branches[r.branch]]));
  const [reference] = stack.postfix.delivered(c.reference);
  if (plain[0] && reference) {
    const bodyOf = (mail) => splitMail(mail.raw).body.replace(/\n+$/, '');
    if (bodyOf(plain[0]) !== bodyOf(reference)) problem('the untouched mail has another body');
  }
  const branch = kinds[c.secured];
  if (branch?.kind === 'pass') {
    if (!/^(encrypted|delivery report)$/.test(branch.reason)) problem(`untouched because of ${JSON.stringify(branch.reason)}`);
    return `untouched (${branch.reason})`;
  }
  if (secured[0]) {
    const seen = everythingIn(secured[0].raw);
    for (const line of secretLines(c.content)) {
      if (seen.includes(line)) { problem(`leak: ${JSON.stringify(line.slice(0, 60))}`); break; }
    }
    const folder = state.folders.find((f) => f.name === `m-${branch.parcel}`);
    if (!folder) problem('no folder in the storage');
    else if (!state.files.some((f) => f.parent === folder.id && /\.pdf$/i.test(f.name))) problem('no PDF');
  }
  return 'secured';
}

function print(outcomes, cases, messages) {
  const columns = [...new Set([...outcomes.values()].flatMap((o) => Object.keys(o)))].sort();
  const total = {};
  console.log(`\n${'source'.padEnd(28)} ${columns.map((c) => c.padStart(12)).join('  ')}`);
  for (const [folder, o] of outcomes) {
    console.log(`${folder.padEnd(28)} ${columns.map((c) => String(o[c] ?? '').padStart(Math.max(12, c.length))).join('  ')}`);
    for (const c of columns) total[c] = (total[c] ?? 0) + (o[c] ?? 0);
  }
  console.log(`${'all'.padEnd(28)} ${columns.map((c) => String(total[c]).padStart(Math.max(12, c.length))).join('  ')}`);
  for (const c of cases.filter((x) => x.reason)) console.log(`held ${c.name}: ${c.reason}`);
  for (const c of cases.filter((x) => !x.refusal && !messages.has(x.from))) console.log(`refused at the door ${c.name}`);
  for (const c of cases.filter((x) => x.refusal)) console.log(`refused by the MTA ${c.name}: ${c.refusal}`);
}
