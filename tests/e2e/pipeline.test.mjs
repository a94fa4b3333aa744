// SPDX-License-Identifier: Apache-2.0
//
// The whole way of a mail, with real parts: Postfix, content filter, Redis, the Box simulator, Postfix, Maildir.

import test from 'node:test';
import assert from 'node:assert/strict';
import { hasPostfix } from '../support/postfix.mjs';
import { sleep, waitFor } from '../support/harness.mjs';
import { Stack, everythingIn, pdfText, splitMail, textOf } from './stack.mjs';
import { japaneseMail, plainMail, SECRET, SECRET_EN } from './mails.mjs';

const needsPostfix = { skip: hasPostfix() ? false : 'needs root and Postfix' };

/** No byte of the content: neither the raw encoded lines nor the decoded text, nor the attachments. */
function assertNoContent(notice, mail) {
  const seen = everythingIn(notice);
  const text = textOf(notice);
  assert.ok(!text.includes(SECRET) && !text.includes(SECRET_EN), 'the body is in the notice');
  const own = splitMail(mail.content).body.split('\n').filter((l) => l.length >= 40 && !l.startsWith('Content-'));
  assert.ok(own.length > 100, 'the test looks for something');
  for (const line of own) assert.ok(!seen.includes(line), `a line of the content is in the notice: ${line}`);
  for (const a of mail.attachments) {
    for (let at = 0; at + 24 <= a.bytes.length; at += 997) {
      assert.ok(!seen.includes(a.bytes.toString('latin1', at, at + 24)), `bytes of ${a.name} are in the notice`);
    }
  }
}

const parcelFolders = (state) => state.folders.filter((f) => /^m-/.test(f.name));
const filesIn = (state, folder) => state.files.filter((f) => f.parent === folder.id);
const loginsOn = (state, folder) => state.collaborations
  .filter((c) => c.item.id === folder.id).map((c) => c.login).sort();

test('a mail goes through Postfix, Box and back: same header, link for content, open to its recipients only',
  needsPostfix, async (t) => {
    const stack = await Stack.start(t, {});
    const mail = japaneseMail({ to: '"Hanako" <hanako@partner.example.com>', cc: 'jiro@other.example' });
    const everybody = ['hanako@partner.example.com', 'jiro@other.example', 'secretly@third.example'];
    await stack.submit(mail.content, { to: everybody });
    await waitFor(() => everybody.every((r) => stack.postfix.delivered(r).length > 0),
      { timeout: 180000, what: 'the notices' }).catch((e) => { throw new Error(`${e.message}\n${stack.logs()}\n${stack.postfix.log()}`); });
    await stack.settled();

    const original = splitMail(mail.content);
    for (const r of everybody) {
      const mails = stack.postfix.delivered(r);
      assert.equal(mails.length, 1, `${r} got one mail`);
      assert.equal(mails[0].from, 'taro@example.jp', 'the reverse-path is the sender');
      const notice = splitMail(mails[0].raw);
      for (const field of ['subject', 'from', 'to', 'cc', 'date', 'message-id', 'references', 'in-reply-to']) {
        assert.equal(notice.get(field), original.get(field), `${field} is unchanged`);
      }
      assert.equal(notice.all('dkim-signature').length, 0, 'a signature that no longer holds is gone');
      assert.equal(notice.all('x-fumibako-id').length, 1);
      assertNoContent(mails[0].raw, mail);
      const text = textOf(mails[0].raw);
      assert.match(text, /http:\/\/127\.0\.0\.1:\d+\/|https:\/\/[a-z.]*box\.com\//, 'the link is there');
      assert.ok(text.includes('見積書（最終版）.xlsx'), 'the notice names the attachments');
      assert.ok(!text.includes('secretly@third.example') || r === 'secretly@third.example',
        `the notice of ${r} does not name the blind copy`);
    }

    const state = await stack.box.state();
    const folders = parcelFolders(state);
    assert.equal(folders.length, 1, 'one parcel, one folder');
    const files = filesIn(state, folders[0]);
    assert.deepEqual(files.filter((f) => !/\.pdf$/.test(f.name)).map((f) => f.sha1).sort(),
      mail.attachments.map((a) => a.sha1).sort(), 'attachments have the SHA-1 that was sent');
    assert.ok(files.some((f) => f.name === '見積書（最終版）.xlsx'), 'and their names');
    const pdfs = files.filter((f) => /\.pdf$/.test(f.name));
    assert.equal(pdfs.length, 1);
    const pdf = pdfText(await stack.box.content(pdfs[0].id)).replace(/\s+/g, '');
    assert.ok(pdf.includes(SECRET.replace(/\s+/g, '')), 'the PDF holds the body');
    assert.ok(pdf.includes(SECRET_EN.replace(/\s+/g, '')));
    assert.ok(pdf.includes('山田太郎') && pdf.includes('【見積書】ご確認のお願い'), 'the PDF shows sender and subject');
    assert.ok(!pdf.includes('secretly@third.example'), 'the PDF does not name the blind copy');
    assert.deepEqual(loginsOn(state, folders[0]), [...everybody].sort(), 'only the recipients are collaborators');
    assert.equal(folders[0].can_non_owners_view_collaborators, false, 'recipients cannot see each other in Box');
    assert.equal(folders[0].can_non_owners_invite, false);
    assert.deepEqual(state.violations ?? [], [], 'every request was as Box describes it');

    // Who is not a recipient gets nothing; a recipient opens and downloads.
    assert.equal((await stack.box.act({ as: 'stranger@evil.example', do: 'download', file: pdfs[0].id })).status, 403);
    assert.equal((await stack.box.act({ as: 'jiro@other.example', do: 'download', file: pdfs[0].id })).status, 200);

    // Nothing is left behind, and what happened is on record.
    const [message] = await stack.messages();
    assert.equal(message.state, 'done');
    const shown = await stack.ctl('message', 'show', message.id);
    assert.equal(shown.status, 0);
    assert.match(shown.stdout, /hanako@partner\.example\.com/);

    // The logs name nobody and nothing.
    const logs = stack.logs();
    for (const word of [SECRET, SECRET_EN, 'hanako', 'jiro', 'secretly', 'taro@', '見積', 'photo.jpg', 'box.com', stack.world.token]) {
      assert.ok(!logs.includes(word), `the logs hold ${word}`);
    }

    // Recall: access goes, the ledger shows it.
    const recall = await stack.ctl('message', 'recall', message.id, '--recipient', 'jiro@other.example');
    assert.equal(recall.status, 0, recall.stderr);
    await waitFor(async () => loginsOn(await stack.box.state(), folders[0]).length === 2, { what: 'one grant to go' });
    assert.equal((await stack.box.act({ as: 'jiro@other.example', do: 'preview', file: pdfs[0].id })).status, 403);
    assert.equal((await stack.ctl('message', 'recall', message.id, '--content')).status, 0);
    await waitFor(async () => filesIn(await stack.box.state(), folders[0]).length === 0, { what: 'the content to go' });
    await waitFor(async () => (await stack.ctl('message', 'show', message.id, '--json')).json().recipients
      .every((r) => /recalled|purged/.test(r.grant)), { what: 'the ledger to show it' });
  });

test('one mail under three rules: untouched within, attachments only for one, everything secured for the other',
  needsPostfix, async (t) => {
    const stack = await Stack.start(t, { policy: {
      rules: [
        { name: 'within', when: { to: ['@example.jp'] }, action: 'pass' },
        { name: 'partner', when: { to: ['@partner.example.com'] }, action: 'secure',
          secure: { body: false, attachments: true }, storage: 'box', security: 'recipients only' },
        { name: 'others', when: { to: ['!@example.jp'] }, action: 'secure', storage: 'box', security: 'recipients only' },
      ],
    } });
    const mail = japaneseMail({ to: 'jiro@example.jp, hanako@partner.example.com', cc: 'ken@other.example' });
    const everybody = ['jiro@example.jp', 'hanako@partner.example.com', 'ken@other.example'];
    await stack.submit(mail.content, { to: everybody });
    await waitFor(() => everybody.every((r) => stack.postfix.delivered(r).length > 0), { timeout: 180000, what: 'the mails' });
    await stack.settled();

    const sent = mail.content.toString('latin1').replace(/\r\n/g, '\n');
    const untouched = stack.postfix.delivered('jiro@example.jp')[0].raw.toString('latin1');
    assert.ok(untouched.endsWith(sent.slice(sent.indexOf('DKIM-Signature'))), 'byte for byte, its signature too');
    assert.equal(splitMail(Buffer.from(untouched, 'latin1')).all('x-fumibako-id').length, 1, 'but for one trace header');

    const kept = stack.postfix.delivered('hanako@partner.example.com')[0].raw;
    const keptText = textOf(kept);
    assert.ok(keptText.includes(SECRET), 'attachments only: the body stays');
    assert.match(keptText, /https?:\/\//, 'with the link added');
    for (const a of mail.attachments) {
      assert.ok(!everythingIn(kept).includes(a.bytes.toString('latin1', 0, 64)), `${a.name} is not in it`);
    }
    assertNoContent(stack.postfix.delivered('ken@other.example')[0].raw, mail);

    const state = await stack.box.state();
    const folders = parcelFolders(state);
    assert.equal(folders.length, 2, 'a parcel per rule');
    const logins = folders.map((f) => loginsOn(state, f));
    assert.deepEqual(logins.sort(), [['hanako@partner.example.com'], ['ken@other.example']]);
    const partner = folders.find((f) => loginsOn(state, f)[0] === 'hanako@partner.example.com');
    assert.equal(filesIn(state, partner).length, 2, 'attachments only: no PDF');
    assert.deepEqual(state.violations ?? [], []);
  });

test('a tag in the subject selects a rule and is stripped; a refused recipient is reported to the sender',
  needsPostfix, async (t) => {
    const stack = await Stack.start(t, { policy: { rules: [
      { name: 'refuse', when: { to: ['@forbidden.example'] }, action: 'reject' },
      { name: 'tagged', when: { subject: ['[secure]'] }, action: 'secure', storage: 'box', security: 'recipients only',
        strip_tag: true },
    ] } });
    await stack.submit(plainMail({ token: 'tagged', to: 'a@x.example', subject: '[SECURE] Figures for May' }),
      { to: ['a@x.example', 'b@forbidden.example'] });
    await waitFor(() => stack.postfix.delivered('a@x.example').length && stack.postfix.delivered('taro@example.jp').length,
      { timeout: 180000, what: 'notice and report' });
    const notice = splitMail(stack.postfix.delivered('a@x.example')[0].raw);
    assert.equal(notice.get('subject'), 'Figures for May');
    const report = stack.postfix.delivered('taro@example.jp')[0];
    assert.equal(report.from, '', 'a report has the null reverse-path');
    const text = everythingIn(report.raw);
    assert.match(text, /multipart\/report/);
    assert.match(text, /Final-Recipient: rfc822; ?b@forbidden\.example/i);
    assert.match(text, /Action: failed/);
    assert.ok(!text.includes('body-tagged-end'), 'the report does not carry the content');
    assert.equal(stack.postfix.delivered('b@forbidden.example').length, 0);
  });

test('nobody outruns a rule with a forged trace header, and what was through once passes untouched',
  needsPostfix, async (t) => {
    const stack = await Stack.start(t, {});
    const forged = Buffer.from(plainMail({ token: 'forged', to: 'a@x.example' }).toString()
      .replace('Subject:', 'X-Fumibako-Id: 01ARZ3NDEKTSV4RRFFQ69G5FAV; b=0; h=AAAA\r\nSubject:'));
    await stack.submit(forged, { to: ['a@x.example'] });
    await waitFor(() => stack.postfix.delivered('a@x.example').length, { timeout: 180000, what: 'the notice' });
    const notice = stack.postfix.delivered('a@x.example')[0];
    assert.ok(!everythingIn(notice.raw).includes('body-forged-end'), 'secured all the same');
    assert.equal(splitMail(notice.raw).all('x-fumibako-id').length, 1, 'the forged header is gone');

    // The notice itself, coming through again (a loop of the MTA), is sent on as it is.
    const again = notice.raw.toString('latin1').replace(/^(Return-Path|X-Original-To|Delivered-To):.*\n/gm, '');
    await stack.submit(Buffer.from(again.replace(/\n/g, '\r\n'), 'latin1'), { to: ['a@x.example'] });
    await waitFor(() => stack.postfix.delivered('a@x.example').length === 2, { timeout: 180000, what: 'the second' });
    const second = stack.postfix.delivered('a@x.example')[1];
    assert.equal(splitMail(second.raw).body, splitMail(notice.raw).body);
    // The same header on other content, or to somebody else, counts for nothing.
    const stolen = Buffer.from(plainMail({ token: 'stolen', to: 'a@x.example' }).toString()
      .replace('Subject:', `X-Fumibako-Id: ${splitMail(notice.raw).get('x-fumibako-id')}\r\nSubject:`));
    await stack.submit(stolen, { to: ['a@x.example'] });
    await waitFor(() => stack.postfix.delivered('a@x.example').length === 3, { timeout: 180000, what: 'the third' });
    assert.ok(!everythingIn(stack.postfix.delivered('a@x.example')[2].raw).includes('body-stolen-end'));
  });

test('the same through LMTP', needsPostfix, async (t) => {
  const stack = await Stack.start(t, { transport: 'fumibako-lmtp' });
  await stack.submit(plainMail({ token: 'lmtp', to: 'a@x.example' }), { to: ['a@x.example', 'b@y.example'] });
  await waitFor(() => ['a@x.example', 'b@y.example'].every((r) => stack.postfix.delivered(r).length === 1),
    { timeout: 180000, what: 'the notices' });
  assert.ok(!everythingIn(stack.postfix.delivered('b@y.example')[0].raw).includes('body-lmtp-end'));
});

test('what has expired is closed by the schedule, and the ledger says so', needsPostfix, async (t) => {
  const stack = await Stack.start(t, { policy: { security_definitions: [
    { name: 'recipients only', access: 'recipients', expires_after: '1h' }] } });
  await stack.submit(plainMail({ token: 'brief', to: 'a@x.example' }), { to: ['a@x.example', 'b@y.example'] });
  await waitFor(() => stack.postfix.delivered('a@x.example').length, { timeout: 180000, what: 'the notice' });
  const [folder] = parcelFolders(await stack.box.state());
  assert.deepEqual(loginsOn(await stack.box.state(), folder), ['a@x.example', 'b@y.example']);
  const [{ id }] = await stack.messages();
  assert.equal((await stack.ctl('message', 'recall', id, '--recipient', 'b@y.example')).status, 0);
  await waitFor(async () => loginsOn(await stack.box.state(), folder).length === 1, { what: 'the recall' });
  const { redis } = stack.world;
  const parcel = folder.name.slice(2);
  const ends = Number(await redis.command('ZSCORE', 'fb:{s0}:due', parcel));
  assert.ok(Math.abs(ends - Date.now() - 3600000) < 600000, 'it is due an hour after it was made');
  await redis.command('HSET', `fb:{s0}:g:${parcel}`, 'expires', String(Date.now())); // which is now
  await redis.command('ZADD', 'fb:{s0}:due', 'XX', String(Date.now()), parcel);
  await waitFor(async () => loginsOn(await stack.box.state(), folder).length === 0, { what: 'the expiry' });
  const grants = await waitFor(async () => {
    const { recipients } = (await stack.ctl('message', 'show', id, '--json')).json();
    return recipients.some((r) => r.grant === 'expired') && Object.fromEntries(recipients.map((r) => [r.address, r.grant]));
  }, { what: 'the ledger to say so' });
  assert.deepEqual(grants, { 'a@x.example': 'expired', 'b@y.example': 'recalled' });
  const due = await stack.world.redis.command('ZRANGE', 'fb:{s0}:due', 0, -1);
  assert.deepEqual(due.filter((m) => !m.startsWith('report:')), [], 'nothing is due any more but what the sender is told of the recall');
});

test('mail that stays held longer than retention.dead goes back to its sender as a report, never away in silence',
  needsPostfix, async (t) => {
    const stack = await Stack.start(t, { services: ['ingest', 'render', 'rewrite'] });
    const deep = Array.from({ length: 80 }, (_, i) => `Content-Type: multipart/mixed; boundary=b${i}\r\n\r\n--b${i}\r\n`);
    await stack.submit(Buffer.from(`From: taro@example.jp\r\nTo: a@x.example\r\nSubject: deep\r\nMIME-Version: 1.0\r\n${deep.join('')}\r\nend\r\n`),
      { to: ['a@x.example'] });
    const [held] = await waitFor(async () => {
      const list = (await stack.ctl('dead', 'list', '--json')).json();
      return list.length > 0 && list;
    }, { timeout: 180000, what: 'the mail to be held' });
    assert.match(JSON.stringify(held), /nested more than 64 deep/, 'and says why');
    const told = () => stack.postfix.delivered('taro@example.jp').map((m) => everythingIn(m.raw));
    await waitFor(() => told().length === 1, { timeout: 180000, what: 'the letter to the sender' });
    assert.match(told()[0], /Message-ID: <held-/);
    assert.equal(stack.postfix.all().length, 1);
    await sleep(1500); // past the shortest retention
    stack.overrides = { ...stack.overrides, retention: { dead: '1s' } };
    await stack.startService('revoke');
    await waitFor(() => told().some((m) => /Final-Recipient: rfc822; ?a@x\.example/i.test(m)), { timeout: 180000, what: 'the report' });
    await waitFor(async () => (await stack.ctl('dead', 'list', '--json')).json().length === 0, { what: 'the mail not to be held any more' });
  });
