// SPDX-License-Identifier: Apache-2.0
//
// Recall during the pipeline, at each stage: the mail is made to wait there, one mail is recalled as a whole and one for
// one of its two recipients, and then it goes on.  Recalled recipients get no mail and can open nothing, the others get
// theirs, the messages end and the spool is empty.

import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { Smtp, waitFor } from '../support/harness.mjs';
import { Relay } from '../support/relay.mjs';
import { SERVICES, Stack, textOf } from './stack.mjs';
import { plainMail } from './mails.mjs';

const SENDER = 'taro@example.jp';
const WHOLE = ['w1@partner.example.com', 'w2@partner.example.com'];
const ONE = ['o1@partner.example.com', 'o2@partner.example.com'];
const GONE = [...WHOLE, ONE[0]];
const KEPT = ONE[1];
const patience = { timeout: 180000, interval: 100 };

const all = (...without) => SERVICES.filter((s) => !without.includes(s));

async function start(t, { services = SERVICES, relay = {}, policy = {} } = {}) {
  const peer = await Relay.start(relay);
  t.after(() => peer.stop());
  const stack = await Stack.start(t, { postfix: false, services, policy,
    overrides: { rewrite: { relay: `smtp://127.0.0.1:${peer.port}` }, watch: { interval: '1s' }, revoke: { settle: '1s' } } });
  stack.relay = peer;
  stack.redis = (...args) => stack.world.redis.command(...args);
  return stack;
}

async function submit(stack, token, to) {
  const smtp = await Smtp.connect(stack.world.ports.smtp, { timeout: 60000 });
  const reply = await smtp.send({ from: SENDER, to, content: plainMail({ token, from: SENDER, to: to.join(', ') }) });
  smtp.close();
  assert.equal(reply.code, 250, reply.text);
  return reply.id;
}

async function submitBoth(stack) {
  return { whole: await submit(stack, 'whole', WHOLE), one: await submit(stack, 'one', ONE) };
}

function loseNotes(stack) {
  const notes = fs.readdirSync(stack.world.spoolDir, { recursive: true }).filter((f) => /(^|\/)parcel\.0$/.test(f));
  for (const f of notes) fs.rmSync(`${stack.world.spoolDir}/${f}`);
}

const show = async (stack, id) => (await stack.ctl('message', 'show', id, '--json')).json();
const known = (stack, ids) => waitFor(async () => {
  for (const id of Object.values(ids)) if ((await stack.redis('HEXISTS', `fb:{s0}:m:${id}`, 'queued')) !== 1) return false;
  return true;
}, { what: 'Redis to know the mails', ...patience });
const waiting = (stack, stage, n = 2) => waitFor(async () => (await stack.redis('XLEN', `fb:{s0}:${stage}`)) === n,
  { what: `${n} jobs of ${stage}`, ...patience });

/** Recalls one mail as a whole and one for its first recipient; both commands say whether the mail was out. */
async function recallBoth(stack, ids, wasOut = false) {
  for (const args of [[ids.whole], [ids.one, '--recipient', ONE[0]]]) {
    const r = await stack.ctl('message', 'recall', ...args, '--json');
    assert.equal(r.status, 0, r.stdout + r.stderr);
    assert.deepEqual(r.json().recipients.map((x) => x.was_out), args.length === 1 ? [wasOut, wasOut] : [wasOut], r.stdout);
  }
}

/** revoke has written the recall where no loss of Redis reaches it; what it puts off it may not have begun. */
const remembered = (stack) => waitFor(async () => (await stack.world.redis.left('revoke')) === 0,
  { what: 'revoke to have done what it can', ...patience });

/** Every delayed job is due, and what a dead worker had in hand is anybody's. */
async function hurry(stack, ...stages) {
  for (const stage of stages) {
    await stack.world.redis.due(stage);
    for (const [job, consumer] of await stack.redis('XPENDING', `fb:{s0}:${stage}`, 'workers', '-', '+', 100)) {
      await stack.redis('XCLAIM', `fb:{s0}:${stage}`, 'workers', consumer, 0, job, 'IDLE', 600000, 'JUSTID');
    }
  }
}

const ended = async (stack, ids, hurried = []) => waitFor(async () => {
  await hurry(stack, ...hurried);
  for (const id of Object.values(ids)) if ((await show(stack, id)).state !== 'done') return false;
  return true;
}, { what: 'the messages to end', ...patience, interval: 500 });

/** Mails to recipients (letters to the sender apart), by address. */
const mailsTo = (stack) => stack.relay.mails.filter((m) => m.from !== '').flatMap((m) => m.rcpts.map((r) => r.address)).sort();

async function canOpen(stack, login) {
  const box = await stack.box.state();
  const opened = [];
  for (const file of box.files) {
    const r = await stack.box.act({ as: login, do: 'preview', file: file.id });
    if (r.status === 200) opened.push(file.id);
  }
  return opened.length;
}

/** What the sender is told in the end about each of the two recalls. */
const letters = (stack, ids) => waitFor(() => {
  const about = (id) => stack.relay.mails.filter((m) => m.from === '').map((m) => m.content.toString())
    .find((text) => text.startsWith(`X-Fumibako-Id: ${id}`) && /^Message-ID: <recall-[0-9A-Z]{26}-final@/im.test(text));
  const list = [about(ids.whole), about(ids.one)];
  return list.every(Boolean) && list.map((text) => textOf(Buffer.from(text)));
}, { what: 'letters about the recalls', ...patience });

/** The end of it, as the simulator and the relay saw it. */
async function judge(stack, ids, { sent = [KEPT], gone = GONE, state = 'recalled' } = {}) {
  assert.deepEqual(mailsTo(stack), [...sent].sort(), 'who got a mail');
  await waitFor(async () => (await stack.box.state()).collaborations.every((c) => !gone.includes(c.login)),
    { what: 'access of the recalled to go', ...patience });
  const box = await stack.box.state();
  const folder = box.folders.find((f) => f.name === `m-${ids.whole}-0`);
  for (const f of box.folders.filter((x) => /^m-/.test(x.name))) {
    const level = f.shared_link?.effective_access ?? f.shared_link?.access ?? 'collaborators';
    assert.equal(level, 'collaborators', 'no link opens anything by itself');
  }
  if (folder) assert.deepEqual(box.collaborations.filter((c) => c.item.id === folder.id), []);
  for (const login of gone) assert.equal(await canOpen(stack, login), 0, `${login} can open something`);
  if (sent.includes(KEPT) && box.files.length > 0) assert.equal(await canOpen(stack, KEPT), 1, 'the other one can');
  const [whole, one] = [await show(stack, ids.whole), await show(stack, ids.one)];
  assert.deepEqual(whole.recipients.map((r) => r.state), [state, state]);
  assert.deepEqual(one.recipients.map((r) => r.state), [state, 'sent']);
  await waitFor(async () => (await stack.ctl('spool', 'list', '--json')).json().count === 0, { what: 'an empty spool', ...patience });
  assert.deepEqual((await stack.ctl('dead', 'list', '--json')).json(), []);
  for (const stage of ['render', 'upload', 'rewrite', 'revoke']) {
    await waitFor(async () => (await stack.redis('XLEN', `fb:{s0}:${stage}`)) + (await stack.redis('ZCARD', `fb:{s0}:delayed:${stage}`)) === 0,
      { what: `${stage} to be empty`, ...patience });
  }
}

// ---- a service that is not there ----

for (const stage of ['render', 'upload', 'rewrite']) {
  test(`waiting for ${stage}`, async (t) => {
    const stack = await start(t, { services: all(stage) });
    const ids = await submitBoth(stack);
    await waiting(stack, stage);
    await recallBoth(stack, ids);
    await stack.startService(stage);
    await ended(stack, ids);
    await judge(stack, ids);
    if (stage !== 'rewrite') return; // elsewhere the same
    for (const text of await letters(stack, ids)) assert.doesNotMatch(text, /notice was out/);
  });

  test(`waiting for ${stage}, and revoke comes last`, async (t) => {
    const stack = await start(t, { services: all(stage, 'revoke') });
    const ids = await submitBoth(stack);
    await waiting(stack, stage);
    await recallBoth(stack, ids);
    await stack.startService(stage);
    await ended(stack, ids);
    assert.deepEqual(mailsTo(stack), [KEPT]);
    await stack.startService('revoke');
    await judge(stack, ids);
  });

  test(`waiting for ${stage}, and Redis is wiped behind the recall`, async (t) => {
    const stack = await start(t, { services: all(stage) });
    const ids = await submitBoth(stack);
    await waiting(stack, stage);
    await recallBoth(stack, ids);
    await remembered(stack);
    await stack.redis('FLUSHALL');
    await known(stack, ids); // by ingest's replay
    assert.equal((await stack.redis('HEXISTS', `fb:{s0}:m:${ids.whole}`, 'recalled')), 1);
    await stack.startService(stage);
    await ended(stack, ids);
    await judge(stack, ids);
  });
}

// ---- in the middle of a stage ----

/** Direct children of a process. */
const childrenOf = (pid) => fs.readdirSync(`/proc/${pid}/task`)
  .flatMap((tid) => fs.readFileSync(`/proc/${pid}/task/${tid}/children`, 'utf8').trim().split(' ')).filter(Boolean).map(Number);

test('during render', async (t) => {
  const stack = await start(t);
  const zygotes = childrenOf(stack.by.render.pid);
  assert.ok(zygotes.length > 0, 'render has a child that reads mail');
  for (const pid of zygotes) process.kill(pid, 'SIGSTOP');
  let ids;
  try {
    ids = await submitBoth(stack);
    await waitFor(async () => (await stack.redis('XPENDING', 'fb:{s0}:render', 'workers'))[0] === 2, { what: 'render to hold both', ...patience });
    await recallBoth(stack, ids);
  } finally {
    for (const pid of zygotes) process.kill(pid, 'SIGCONT');
  }
  await ended(stack, ids, ['render']);
  await judge(stack, ids);
});

const folders = (box) => box.folders.filter((f) => /^m-/.test(f.name)).length;
const COLLABORATIONS = { method: 'POST', path: '/2.0/collaborations' };
const LINK = { method: 'PUT', path: '/2.0/folders/' };
/* At which calls Box holds both mails, one behind the other. */
const UPLOAD = {
  'the folder is made': { stops: [{ method: 'POST', path: '/files/content' }], is: (box) => folders(box) === 2 && box.files.length === 0 },
  'the file is put': { stops: [COLLABORATIONS], is: (box) => box.files.length === 2 && box.collaborations.length === 0 },
  'one is in and the other is not': { stops: [COLLABORATIONS, COLLABORATIONS], is: (box) => box.collaborations.length === 2 },
  'everybody is in and the link is not made': { stops: [COLLABORATIONS, LINK], is: (box) => box.collaborations.length === 4 },
};
for (const [what, { stops, is }] of Object.entries(UPLOAD)) {
  const isLast = what === Object.keys(UPLOAD).at(-1);
  for (const [isKilled, isLost] of [[false, false], [true, false], ...(isLast ? [[true, true]] : [])]) {
    const also = isLost ? ', and upload is killed behind the recall and its notes are lost'
      : isKilled ? ', and upload is killed behind the recall' : '';
    test(`during upload: ${what}${also}`, async (t) => {
      const stack = await start(t);
      let ids = null;
      for (const match of stops) { // what was held before goes on
        await stack.box.faults([{ match, times: 2, do: { hold: true } }]);
        ids ??= await submitBoth(stack);
        await waitFor(async () => (await stack.box.shownFaults())[0].fired === 2, { what: `both to come to ${match.path}`, ...patience });
      }
      assert.ok(is(await stack.box.state()), what);
      await recallBoth(stack, ids);
      if (isKilled) {
        await stack.by.upload.kill();
        await stack.world.redis.abandon('upload');
      }
      if (isKilled) {
        await remembered(stack); // there is no manifest yet by which it could close anything
        if (isLost) loseNotes(stack); // as a power cut may: they are not synced
        await stack.startService('upload');
      }
      await stack.box.faults([]); // Box does what it was asked for, also by whom is dead
      await ended(stack, ids, isKilled ? ['upload'] : []);
      await judge(stack, ids);
    });
  }
}

// ---- not going on by itself ----

for (const [verb, services] of [['retry', SERVICES], ['release', SERVICES], ['retry', all('revoke')]]) {
  const late = services === SERVICES ? '' : ', and revoke comes last';
  test(`held, recalled, then dead ${verb}${late}`, async (t) => {
    const stack = await start(t, { services });
    await stack.box.faults([{ match: { method: 'POST', path: '/2.0/folders' }, do: { status: 403 } }]);
    const ids = await submitBoth(stack);
    const dead = await waitFor(async () => {
      const list = (await stack.ctl('dead', 'list', '--json')).json();
      return list.length === 2 && list;
    }, { what: 'two dead letters', ...patience, interval: 300 });
    await recallBoth(stack, ids);
    await stack.box.faults([]);
    for (const d of dead) {
      const r = await stack.ctl('dead', verb, d.id);
      assert.equal(r.status, 0, r.stderr);
    }
    await ended(stack, ids);
    assert.deepEqual(mailsTo(stack), [KEPT]);
    if (late) await stack.startService('revoke');
    await judge(stack, ids);
  });
}

test('put off by the relay', async (t) => {
  const stack = await start(t, { relay: { rcpt: () => '451 4.3.0 later' } });
  const ids = await submitBoth(stack);
  await stack.world.redis.putOff('rewrite', 2, patience);
  await recallBoth(stack, ids);
  stack.relay.options = {};
  await ended(stack, ids, ['rewrite']);
  await judge(stack, ids);
});

test('put off by the relay, and Redis is wiped behind the recall: access stays away', async (t) => {
  const stack = await start(t, { relay: { rcpt: () => '451 4.3.0 later' } });
  const ids = await submitBoth(stack);
  await stack.world.redis.putOff('rewrite', 2, patience);
  await recallBoth(stack, ids);
  await remembered(stack);
  await stack.redis('FLUSHALL');
  await known(stack, ids);
  stack.relay.options = {};
  await ended(stack, ids, ['rewrite']);
  await judge(stack, ids);
});

// ---- before and behind ----

test('Redis does not know the mail yet: the command says so, and nothing is promised', async (t) => {
  const stack = await start(t);
  await stack.world.redis.stop();
  const ids = await submitBoth(stack);
  const away = await stack.ctl('message', 'recall', ids.whole);
  assert.equal(away.status, 1);
  assert.match(away.stderr, /^fumibako: .*[Rr]edis/);
  assert.doesNotMatch(away.stderr + away.stdout, /stopped|recalled/);
  stack.by.ingest.signal('SIGSTOP');
  await stack.world.redis.start();
  const unknown = await stack.ctl('message', 'recall', ids.whole);
  assert.equal(unknown.status, 1);
  assert.match(unknown.stderr, /the ledger does not know message/);
  assert.match(unknown.stderr, /fumibako spool list/, 'where to look');
  assert.match(unknown.stderr, /nothing was recalled/);
  assert.equal(unknown.stdout, '');
  stack.by.ingest.signal('SIGCONT');
  await ended(stack, ids);
  assert.deepEqual(mailsTo(stack), [...ONE, ...WHOLE]);
  await recallBoth(stack, ids, true);
  await judge(stack, ids, { sent: [...WHOLE, ...ONE], state: 'sent' });
});

test('while it is being sent: the notice was out, access goes, and the letter says so', async (t) => {
  let goOn;
  let count = 0;
  const isRecalled = new Promise((resolve) => { goOn = () => resolve(null); });
  const stack = await start(t, { relay: { end: (mail) => {
    if (mail.from === '') return null;
    count++;
    return isRecalled;
  } } });
  const ids = await submitBoth(stack);
  await waitFor(() => count === 2, { what: 'both to be sent', ...patience });
  await recallBoth(stack, ids, true);
  goOn();
  await ended(stack, ids);
  await judge(stack, ids, { sent: [...WHOLE, ...ONE], state: 'sent' });
  for (const text of await letters(stack, ids)) assert.match(text, /The notice was out; access was removed/);
});
