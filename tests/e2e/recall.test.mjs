// SPDX-License-Identifier: Apache-2.0
//
// A sender is never told more than the evidence says.  200 mails to 600 recipients; they preview and download at random,
// senders recall at random (the whole, or one of the three), and watch and revoke are killed all the while.  In the end
// the simulator's own log is the judge of everything that the ledger holds and that senders were told.
//   FB_SEED repeats a run; FB_RECALL_MAILS sets how many mails (200).

import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { ROOT, Smtp, sleep, waitFor } from '../support/harness.mjs';
import { Relay } from '../support/relay.mjs';
import { Stack, splitMail } from './stack.mjs';
import { plainMail } from './mails.mjs';

// As the programs are shipped: what is tested is their agreement, and it takes many of them.
const release = path.join(ROOT, 'build/release/bin');
if (fs.existsSync(path.join(release, 'fumibako-ingest'))) process.env.FB_BIN = release;

const MAILS = Number(process.env.FB_RECALL_MAILS ?? 200);
const PER_MAIL = 3;
const SENDERS = 8;
const SETTLE_S = 2;

const seed = Number(process.env.FB_SEED ?? Date.now() % 1000000);
let state = seed >>> 0;
function random(below) { // mulberry32: the same seed, the same run
  state = (state + 0x6d2b79f5) >>> 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * below);
}
const oneOf = (list) => list[random(list.length)];

async function start(t, { policy = {}, settle = `${SETTLE_S}s`, users = 40 } = {}) {
  const relay = await Relay.start();
  t.after(() => relay.stop());
  const stack = await Stack.start(t, {
    postfix: false, box: { users }, policy,
    overrides: { rewrite: { relay: `smtp://127.0.0.1:${relay.port}`, concurrency: 8 }, watch: { interval: '1s' }, revoke: { settle } },
  });
  stack.relay = relay;
  stack.port = stack.world.ports.smtp;
  return stack;
}

async function send(stack, mails) {
  await Promise.all(Array.from({ length: 4 }, async (_, k) => {
    const smtp = await Smtp.connect(stack.port, { timeout: 60000 });
    for (let i = k; i < mails.length; i += 4) {
      const reply = await smtp.send({ from: mails[i].from, to: mails[i].to, content: mails[i].content });
      assert.equal(reply?.code, 250, reply?.text);
    }
    smtp.close();
  }));
}

/** Each mail's message id, folder and file, by its first recipient. */
async function locate(stack, mails) {
  const box = await stack.box.state();
  const folders = new Map(box.folders.filter((f) => /^m-/.test(f.name)).map((f) => [f.name, f]));
  const files = Map.groupBy?.(box.files, (f) => f.parent) ?? box.files.reduce((m, f) => m.set(f.parent, [...(m.get(f.parent) ?? []), f]), new Map());
  for (const m of await stack.messages()) {
    const shown = (await stack.ctl('message', 'show', m.id, '--json')).json();
    const mail = mails.find((x) => x.to.includes(shown.recipients[0].address));
    mail.id = m.id;
    mail.folder = folders.get(`m-${m.id}-0`);
    mail.file = files.get(mail.folder.id)[0];
  }
}

/** The plain text of a letter, decoded. */
function plain(raw) {
  const part = /\r?\nContent-Type: text\/plain[^]*?\r?\n\r?\n([^]*?)\r?\n--=_fb/.exec(raw.toString('latin1'));
  const isBase64 = /Content-Transfer-Encoding: base64/.test(part[0].slice(0, part[0].indexOf(part[1])));
  const text = isBase64 ? Buffer.from(part[1], 'base64').toString('utf8')
    : Buffer.from(part[1].replace(/=\r?\n/g, '').replace(/=([0-9A-F]{2})/g, (_, h) => String.fromCharCode(parseInt(h, 16))), 'latin1').toString('utf8');
  return text.replace(/\r\n/g, '\n');
}

const tell = (stack, mail) => stack.relay.mails.filter((m) => m.from === '' && m.rcpts.some((r) => r.address === mail.from))
  .map((m) => ({ head: splitMail(m.content), text: plain(m.content) }))
  .filter((m) => m.text.includes(mail.id));

/** The simulator's accesses by folder and login, each event once. */
function accesses(box) {
  const seen = new Set();
  const list = [];
  for (const e of box.events) {
    const kind = { ITEM_PREVIEW: 'preview', ITEM_DOWNLOAD: 'download' }[e.event_type];
    if (!kind || seen.has(e.event_id)) continue;
    seen.add(e.event_id);
    list.push({ folder: e.source.parent?.id, login: e.created_by.login, kind, at: Date.parse(e.created_at) });
  }
  return list;
}

const minute = (ms) => `${new Date(ms).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
const flat = (text) => text.replace(/\s+/g, ' ');

/** What a letter says of one recipient: from the address to the next one, or to the end of the paragraph. */
function saying(letter, address, others) {
  const at = letter.indexOf(address);
  if (at < 0) return null;
  const rest = letter.slice(at + address.length);
  const ends = [rest.indexOf('\n\n'), ...others.map((o) => rest.indexOf(o))].filter((n) => n >= 0);
  return flat(rest.slice(0, Math.min(...ends, rest.length)));
}

/** A sentence against the simulator's log of that recipient's accesses; problems are added to the list. */
function judge(sentence, { mail, address, log, isFinal, problems }) {
  const wrong = (why) => problems.push(`${mail.id} ${address}: ${why}: "${sentence}"`);
  const first = (kind) => Math.min(...log.filter((a) => a.kind === kind).map((a) => a.at));
  const isOpened = log.length > 0;
  const isDownloaded = log.some((a) => a.kind === 'download');
  if (!/access was removed at/.test(sentence)) {
    if (isFinal) wrong('a final report without a removal');
    return;
  }
  const opened = /(?<!no access recorded; )opened at (.*? UTC)/.exec(sentence)?.[1];
  const downloaded = /downloaded at (.*? UTC): a copy is out of reach/.exec(sentence)?.[1];
  if (downloaded && downloaded !== minute(first('download'))) wrong(`downloaded first at ${isDownloaded ? minute(first('download')) : 'no time'}`);
  if (opened && opened !== minute(first('preview'))) wrong(`opened first at ${isOpened ? minute(first('preview')) : 'no time'}`);
  if (isFinal && isDownloaded !== Boolean(downloaded)) wrong('the simulator says otherwise about a download');
  if (isFinal && isOpened !== Boolean(opened || downloaded)) wrong('the simulator says otherwise about an access');
  if (isFinal && !isOpened && !/no access recorded as of/.test(sentence)) wrong('it is not said that nothing is recorded');
  if (isFinal && /checking again/.test(sentence)) wrong('a final report that is not final');
  if (!isFinal && !/checking again|is being removed/.test(sentence)) wrong('an interim report without a word of what is to come');
}

async function playAll(stack, mails, until) {
  const refused = { early: 0 };
  while (Date.now() < until) {
    const mail = oneOf(mails);
    const as = oneOf(mail.to);
    const res = await stack.box.act({ as, do: oneOf(['preview', 'preview', 'download']), file: mail.file.id });
    if (res.status !== 200 && !mail.recalled.has(as)) refused.early++;
    await sleep(random(40));
  }
  return refused;
}

async function recallSome(stack, mails, until) {
  const open = [...mails];
  const isEnough = () => mails.length - open.length >= mails.length / 10; // however slow the machine is
  while ((Date.now() < until || !isEnough()) && open.length > mails.length / 4) {
    const [mail] = open.splice(random(open.length), 1);
    const who = random(2) === 0 ? mail.to : [mail.to[random(PER_MAIL)]];
    for (const address of who) mail.recalled.add(address); // revoke may close before the command has ended
    const r = await stack.ctl('message', 'recall', mail.id, ...(who.length === PER_MAIL ? [] : ['--recipient', who[0]]));
    assert.equal(r.status, 0, r.stderr);
    mail.isRecalled = true;
    await sleep(50 + random(150));
  }
}

/** What Redis and the logs hold of the first mails that wait for a report. */
async function whyNot(stack, mails) {
  const redis = (...command) => stack.world.redis.command(...command);
  const of = async (m) => [m.id, await redis('HGETALL', `fb:{s0}:rc:${m.id}`), await redis('HGETALL', `fb:{s0}:m:${m.id}`), await redis('HGETALL', `fb:{s0}:g:${m.id}-0`),
    tell(stack, m).map((l) => l.head.get('message-id')),
    ...['revoke', 'rewrite'].map((name) => stack.logs(name).split('\n').filter((line) => line.includes(m.id)))];
  const all = [mails.length, await Promise.all(mails.slice(0, 3).map(of)), await redis('ZRANGE', 'fb:{s0}:due', 0, 20, 'WITHSCORES'),
    await redis('HGETALL', 'fb:{s0}:watch:seen'), Date.now()];
  return `${JSON.stringify(all, null, 1)}\n${stack.logs('revoke').slice(-2000)}`;
}

/** Every stream was read to its end behind that moment, says watch. */
async function caughtUp(stack, moment) {
  await waitFor(async () => {
    const flat = await stack.world.redis.command('HGETALL', 'fb:{s0}:watch:seen');
    const seen = flat.flatMap((name, i) => (i % 2 === 0 && !name.startsWith('from:') ? [Number(flat[i + 1])] : []));
    return seen.length > stack.box.users.length && seen.every((ms) => ms >= moment);
  }, { timeout: 90000, interval: 500, what: 'watch to have read every stream' });
}

async function killSome(stack, until) {
  const kills = { watch: 0, revoke: 0 };
  while (Date.now() < until || kills.watch === 0 || kills.revoke === 0) {
    await sleep(500 + random(2000));
    const service = kills.watch === 0 ? 'watch' : kills.revoke === 0 ? 'revoke' : oneOf(['watch', 'revoke']);
    await stack.running.filter((s) => s.name === service && s.isRunning).at(-1).kill();
    kills[service]++;
    await stack.startService(service);
  }
  return kills;
}

test(`${MAILS} mails, random accesses and recalls, watch and revoke killed: ledger, storage and letters agree`,
  { timeout: 15 * 60000 }, async (t) => {
    console.log(`seed ${seed}`);
    const stack = await start(t, { policy: { notices: { language: 'en' } } });
    const mails = Array.from({ length: MAILS }, (_, i) => {
      const to = Array.from({ length: PER_MAIL }, (_, k) => `r${i * PER_MAIL + k}@partner.example.com`);
      const from = `sender${i % SENDERS}@example.jp`;
      return { from, to, recalled: new Set(), content: plainMail({ token: `t${i}x`, from, to: to.join(', '), subject: `Report ${i}` }) };
    });
    await send(stack, mails);
    await waitFor(() => stack.relay.mails.filter((m) => m.from !== '').length >= MAILS, { timeout: 300000, interval: 500, what: 'all notices' });
    await stack.settled({ timeout: 120000 });
    await locate(stack, mails);

    const until = Date.now() + MAILS * 250;
    const [refused, , kills] = await Promise.all([playAll(stack, mails, until), recallSome(stack, mails, until - 2000), killSome(stack, until)]);
    assert.equal(refused.early, 0, 'whoever was not recalled could open');
    const recalled = mails.filter((m) => m.isRecalled);
    console.log(`kills ${JSON.stringify(kills)}, mails recalled ${recalled.length}, recipients ${recalled.reduce((n, m) => n + m.recalled.size, 0)}`);
    assert.ok(recalled.length >= MAILS / 10 && kills.watch > 0 && kills.revoke > 0, 'the test did something');

    const isFinal = (letter) => /final/i.test(letter.head.get('message-id'));
    await waitFor(() => recalled.every((m) => tell(stack, m).some(isFinal)), { timeout: 180000, interval: 1000, what: 'the final reports' })
      .catch(async (e) => { throw new Error(`${e.message}: ${await whyNot(stack, recalled.filter((m) => !tell(stack, m).some(isFinal)))}`); });
    await stack.settled({ timeout: 120000 });
    await caughtUp(stack, Date.now());

    const box = await stack.box.state();
    const log = accesses(box);
    const problems = [];
    for (const mail of mails) {
      const shown = (await stack.ctl('message', 'show', mail.id, '--json')).json();
      const granted = box.collaborations.filter((c) => c.item.id === mail.folder.id).map((c) => c.login).sort();
      const left = mail.to.filter((a) => !mail.recalled.has(a)).sort();
      if (granted.join() !== left.join()) problems.push(`${mail.id}: the storage lets in ${granted}, not ${left}`);
      for (const r of shown.recipients) {
        const own = log.filter((a) => a.folder === mail.folder.id && a.login === r.address);
        const previews = own.filter((a) => a.kind === 'preview').length;
        const downloads = own.length - previews;
        if (r.previews !== previews || r.downloads !== downloads) {
          problems.push(`${mail.id} ${r.address}: recorded ${r.previews}/${r.downloads}, happened ${previews}/${downloads}`);
        }
        const want = mail.recalled.has(r.address) ? 'recalled' : downloads ? 'downloaded' : previews ? 'opened' : 'active';
        if (r.grant !== want) problems.push(`${mail.id} ${r.address}: the ledger says ${r.grant}, it is ${want}`);
      }
      for (const address of mail.recalled) {
        const res = await stack.box.act({ as: address, do: 'preview', file: mail.file.id });
        if (res.status === 200) problems.push(`${mail.id} ${address}: opens what was recalled`);
      }
      const letters = tell(stack, mail).filter((l) => /recall/.test(l.head.get('message-id')));
      if (!mail.isRecalled && letters.length > 0) problems.push(`${mail.id}: a report without a recall`);
      if (new Set(letters.map((l) => l.head.get('message-id'))).size > 2) problems.push(`${mail.id}: more than two reports`);
      for (const letter of letters) {
        for (const address of mail.recalled) {
          const sentence = saying(letter.text, address, mail.to.filter((a) => a !== address));
          if (sentence === null) problems.push(`${mail.id} ${address}: not in the report`);
          else {
            judge(sentence, { mail, address, isFinal: isFinal(letter), problems,
              log: log.filter((a) => a.folder === mail.folder.id && a.login === address) });
          }
        }
      }
    }
    assert.deepEqual(problems.slice(0, 20), []);
    assert.deepEqual((await stack.ctl('dead', 'list', '--json')).json(), [], 'nothing is held');
  });

for (const [language, mail, words] of [
  ['English', { subject: 'Report', body: 'The report.' }, { opened: /opened at \d{4}-\d\d-\d\d \d\d:\d\d UTC/, unopened: /no access recorded as of \d{4}-\d\d-\d\d \d\d:\d\d UTC/ }],
  ['Japanese', { subject: '報告書', body: '報告書をお送りします。ご確認ください。' },
    { opened: /\d{4}年\d\d月\d\d日 \d\d:\d\d \(日本時間\) に開かれています/, unopened: /\d{4}年\d\d月\d\d日 \d\d:\d\d \(日本時間\) の時点で、開かれた記録はありません/ }],
]) {
  test(`one recipient has opened it and one has not: the recall's report says exactly that, in ${language}`, async (t) => {
    const stack = await start(t, { users: 0, policy: { notices: { language: language === 'English' ? 'en' : 'ja' } } });
    const to = ['opened@partner.example.com', 'unopened@partner.example.com'];
    const subject = `=?UTF-8?B?${Buffer.from(mail.subject).toString('base64')}?=`;
    const content = [`From: taro@example.jp`, `To: ${to.join(', ')}`, `Subject: ${subject}`, 'Date: Fri, 27 Nov 2026 10:15:00 +0900',
      'Message-ID: <one@mail.example.jp>', 'MIME-Version: 1.0', 'Content-Type: text/plain; charset=utf-8', 'Content-Transfer-Encoding: base64', '',
      Buffer.from(`${mail.body}\n`).toString('base64'), ''].join('\r\n');
    const sent = { from: 'taro@example.jp', to, content };
    await send(stack, [sent]);
    await waitFor(() => stack.relay.mails.some((m) => m.from !== ''), { timeout: 180000, what: 'the notice' });
    await stack.settled();
    await locate(stack, [sent]);
    assert.equal((await stack.box.act({ as: to[0], do: 'preview', file: sent.file.id })).status, 200);
    assert.equal((await stack.ctl('message', 'recall', sent.id)).status, 0);
    const letter = await waitFor(() => tell(stack, sent).find((l) => /final/.test(l.head.get('message-id'))), { timeout: 180000, what: 'the final report' });
    const said = to.map((a) => saying(letter.text, a, to.filter((o) => o !== a)));
    assert.match(said[0], words.opened);
    assert.doesNotMatch(said[0], words.unopened);
    assert.match(said[1], words.unopened);
    assert.doesNotMatch(said[1], words.opened);
    t.diagnostic(flat(letter.text).slice(0, 1500));
    const report = await stack.ctl('message', 'report', sent.id, ...(language === 'Japanese' ? ['--lang', 'ja'] : []));
    assert.equal(report.status, 0, report.stderr);
    assert.match(report.stdout, /opened@partner\.example\.com/);
  });
}
