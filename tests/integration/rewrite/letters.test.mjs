// SPDX-License-Identifier: Apache-2.0
//
// Letters to the sender: receipt, held, recall report, reminder. Each goes to the sender alone, wakes no responder, says
// what the ledger says at that moment, and holds nothing of the content.

import assert from 'node:assert/strict';
import test from 'node:test';

import { Stage, parseMail, run, secured, waitFor } from './kit.mjs';

const KEY = 'k'.repeat(40);
const NOW = Date.now();
const MINUTE = 60000;
const grants = [{ to: 0 }, { to: 1, state: 'pending' }, { to: 2 }];
const portal = { portal: { public_url: 'https://portal.example.jp' } };
const noPortal = { portal: { public_url: undefined } };

/** A mail to b, c (without an account) and d, in the ledger with its parcel; the rule asks for a receipt. */
function receipted(changes = {}) {
  return secured({ ...changes,
    plan: { branches: [{ kind: 1, to: [0, 1, 2], rule: 'tagged', body: true, attachments: true, subject: 'Report',
      receipt: changes.receipt ?? true }], ...changes.plan },
    parcel: { grants, files: [{ name: 'body.pdf', size: 1000 }, { name: 'plan <1>.pdf', size: 2048 }], ...changes.parcel },
    top: { key: KEY, ...changes.top } });
}

/** The part of that type, decoded, with LF lines. */
function part(mail, type) {
  const text = mail.content.toString('latin1');
  const [, head, body] = new RegExp(`(Content-Type: text/${type}[^]*?)\\r\\n\\r\\n([^]*?)\\r\\n--=_fb_`).exec(text);
  const bytes = /base64/.test(head) ? Buffer.from(body, 'base64')
    : Buffer.from(!/quoted-printable/.test(head) ? body
      : body.replace(/=\r\n/g, '').replace(/=([0-9A-F]{2})/g, (_, h) => String.fromCharCode(parseInt(h, 16))), 'latin1');
  return bytes.toString().replaceAll('\r\n', '\n');
}

const letters = (stage) => stage.relay.mails.filter((m) => m.from === '');
const aLetter = (stage, n = 1) => waitFor(() => letters(stage)[n - 1], { what: `letter ${n}` });
const seedLetter = (stage, ...args) => run('letter_seed', [stage.world.redis.url, ...args.map(String)]).then((r) => {
  assert.equal(r.code, 0, r.stderr);
  return r.stdout.trim();
});
/** All jobs of the stage have ended. */
const idle = (stage) => waitFor(async () => await stage.world.redis.left('rewrite') === 0, { what: 'no job left' });
const seen = (stage, ms) => stage.world.redis.command('HSET', 'fb:{s0}:watch:seen', 'box user ', ms);

/** What the ledger says that the sender was told of the message's recall. */
const told = async (stage, id) => (await stage.world.redis.command('HGETALL', `fb:{s0}:rc:${id}`))
  .find((v, i, all) => i % 2 === 1 && all[i - 1].startsWith('t:'));

/** What every letter must be, whatever it says. */
function checkLetter(stage, mail, messageId) {
  assert.deepEqual(mail.rcpts.map((r) => [r.address, r.params]), [['a@example.jp', ['NOTIFY=NEVER']]]);
  const { fields, get } = parseMail(mail.content);
  assert.deepEqual(fields.map(([name]) => name), ['X-Fumibako-Id', 'From', 'To', 'Date', 'Message-ID', 'Auto-Submitted',
    'X-Auto-Response-Suppress', 'MIME-Version', 'Subject', 'Content-Type']);
  assert.match(get('X-Fumibako-Id'), /^[0-9A-Z]{26}; b=90000; h=[\w-]{43}$/);
  assert.equal(get('From').replace(/\s+/g, ' '), '"Fumibako" <postmaster@example.jp>');
  assert.equal(get('To'), '<a@example.jp>');
  assert.equal(get('Message-ID'), `<${messageId}@example.jp>`);
  assert.equal(get('Auto-Submitted'), 'auto-generated');
  assert.equal(get('X-Auto-Response-Suppress'), 'All');
  for (const form of ['plain', 'html']) {
    for (const secret of ['SECRET', 'Kq7-mZ2', 'box.example/s/1', '1@example.jp']) {
      assert.ok(!part(mail, form).includes(secret), `${secret} in ${form}`);
    }
  }
  assert.deepEqual(stage.relay.violations, []);
  assert.ok(!/example\.(jp|com)/.test(stage.service.output), 'no address in the log');
}

test('the receipt says what went to whom until when, who has no account, and where to look', async (t) => {
  const stage = await Stage.create(t, { config: portal });
  const id = await stage.seed(receipted({ parcel: { password: 'Kq7-mZ2', expires: NOW + 30 * 86400000 } }));
  const letter = await aLetter(stage);
  checkLetter(stage, letter, `receipt-${id}-0`);
  assert.equal(parseMail(letter.content).get('Subject'), 'Receipt: [secure] Report');
  const text = part(letter, 'plain');
  assert.match(text, /- b@example\.com\n {2}- c@example\.com \(no account yet\)\n {2}- d@example\.com\n/);
  assert.match(text, /plan <1>\.pdf \(2\.0 KB\)/);
  assert.match(part(letter, 'html'), /plan &lt;1&gt;\.pdf/);
  assert.match(text, /the password went to them in another mail/);
  assert.match(text, /exactly the address at which they got the notice/);
  assert.match(text, /^https:\/\/portal\.example\.jp\/s\/[\w-]{76}$/m);
  await idle(stage);
  assert.equal(letters(stage).length, 1);
});

test('no receipt where none is asked for, nobody asked, or nothing went out', async (t) => {
  const stage = await Stage.create(t, { relay: { rcpt: (a) => (a === 'x@example.com' ? '550 5.1.1 no' : null) } });
  const quiet = await stage.seed(receipted({ receipt: false }));
  const nobody = await stage.seed(receipted({ envelope: { from: '' } }));
  const to = [{ address: 'x@example.com', notify: 'NEVER' }];
  const refused = await stage.seed(receipted({ envelope: { to },
    plan: { branches: [{ kind: 1, to: [0], rule: 'tagged', body: true, attachments: true, receipt: true }] },
    parcel: { grants: [{ to: 0 }] } }));
  for (const id of [quiet, nobody]) assert.equal(await stage.finished(id), 'sent');
  assert.equal(await stage.finished(refused), 'refused');
  await seedLetter(stage, 'letter', 'receipt', nobody, 0);
  await seedLetter(stage, 'letter', 'receipt', refused, 0);
  await seedLetter(stage, 'letter', 'receipt', '01ARZ3NDEKTSV4RRFFQ69G5FAV', 0);
  await idle(stage);
  assert.equal(letters(stage).filter((m) => /receipt-/.test(m.content.toString('latin1'))).length, 0);
  assert.equal(await stage.dead(), 0);
});

test('the receipt leaves out whom the relay refused, and says whom to ask where there is no portal', async (t) => {
  const relay = { rcpt: (a) => (a === 'b@example.com' ? '550 5.1.1 no' : null) };
  const stage = await Stage.create(t, { relay, config: noPortal });
  const id = await stage.seed(receipted());
  const letter = await waitFor(() => letters(stage).find((m) => m.content.includes(`receipt-${id}-0`)), { what: 'the receipt' });
  const text = part(letter, 'plain');
  assert.ok(!text.includes('- b@example.com'));
  assert.match(text, /- c@example\.com/);
  assert.match(text, new RegExp(`ask the administrator \\(postmaster@example\\.jp\\) and give the mail number ${id}`));
  assert.ok(!text.includes('/s/'));
});

test('a hostile subject and hostile addresses stay values', async (t) => {
  const stage = await Stage.create(t);
  const subject = '</b><script>alert(1)</script>{{recall_link}}\u202Egnp\u2028 \u{1F4E6}';
  const mail = (address) => receipted({ envelope: { to: [{ address }] },
    plan: { subject, language: 'both', branches: [{ kind: 1, to: [0], rule: 'tagged', body: true, attachments: true, receipt: true }] },
    parcel: { grants: [{ to: 0 }] } });
  await stage.seed(mail('"a&amp;\'b"@example.com'));
  const receipt = await aLetter(stage);
  await stage.seed(mail('"<svg/onload=x>"@example.com')); // no relay takes that: the mail is held
  const held = await aLetter(stage, 2);
  for (const letter of [receipt, held]) {
    const html = part(letter, 'html');
    assert.ok(!/<script|<svg/.test(html));
    assert.ok(html.includes('&lt;script&gt;alert(1)&lt;/script&gt;{{recall_link}} gnp'));
    assert.match(part(letter, 'plain'), /お送りになったメール[^]*-----[^]*You sent it at/);
    assert.ok(parseMail(letter.content).get('Subject').startsWith('=?UTF-8?B?'));
  }
  assert.ok(part(receipt, 'html').includes('&quot;a&amp;amp;&#39;b&quot;@example.com'));
  assert.ok(part(held, 'html').includes('&quot;&lt;svg/onload=x&gt;&quot;@example.com'));
});

test('the held letter says who got nothing and why; once it is settled, nothing is said', async (t) => {
  const stage = await Stage.create(t, { starts: false });
  const id = await stage.seed(receipted());
  await stage.world.redis.command('HSET', `fb:{s0}:m:${id}`, 'f:0', 'odd'); // nobody knows such a decision
  await stage.start();
  const letter = await aLetter(stage);
  checkLetter(stage, letter, `held-${id}-0`);
  assert.equal(parseMail(letter.content).get('Subject'), 'Held: [secure] Report');
  const text = part(letter, 'plain');
  assert.match(text, /These recipients have got neither its content nor a notice\./);
  assert.match(text, /- b@example\.com\n {2}- c@example\.com\n {2}- d@example\.com\n/);
  assert.match(text, /An unexpected problem came up/);
  assert.match(text, /If it is not settled by 20\d\d-\d\d-\d\d \d\d:\d\d UTC/);
  assert.ok(!text.includes('odd'), 'no words for technicians');
  assert.equal(await stage.dead(), 1);
  await stage.world.redis.command('HDEL', `fb:{s0}:m:${id}`, 'h:0');
  await seedLetter(stage, 'letter', 'held', id, 0);
  await idle(stage);
  assert.equal(letters(stage).length, 1);
});

test('the held letter marks those whose mail may be out', async (t) => {
  const stage = await Stage.create(t, { starts: false });
  const id = await stage.seed(receipted());
  await stage.world.redis.command('HSET', `fb:{s0}:m:${id}`, 'f:0', 'odd', 's:1', 'sending');
  await stage.start();
  const text = part(await aLetter(stage), 'plain');
  assert.match(text, /- b@example\.com\n {2}- c@example\.com \(may have got it\)\n/);
  assert.ok(!text.includes('got neither'));
});

test('a recall is reported as far as it is known, and once more when all is known', async (t) => {
  const stage = await Stage.create(t, { config: { revoke: { settle: '1m' } } });
  const id = await stage.seed(receipted({ receipt: false, plan: { language: 'both' } }));
  assert.equal(await stage.finished(id), 'sent');
  const recall = await seedLetter(stage, 'recall', id, 0, 1);
  const at = Date.now() - 10 * MINUTE;
  await stage.world.redis.command('HSET', `fb:{s0}:w:${id}-0`, 'n:1:preview', 2, 'o:1', at);
  await seen(stage, Date.now());
  await seedLetter(stage, 'letter', 'recall', id, 0, recall);
  const first = await aLetter(stage);
  checkLetter(stage, first, `recall-${recall}-interim`);
  assert.match(part(first, 'plain'), /For 2 of 2 recipients access is still being removed\./);

  await seedLetter(stage, 'revoked', id);
  await idle(stage);
  assert.equal(await told(stage, id), 'interim');
  await seen(stage, Date.now() + 2 * MINUTE);
  await seedLetter(stage, 'letter', 'recall', id, 0, recall);
  const last = await aLetter(stage, 2);
  checkLetter(stage, last, `recall-${recall}-final`);
  const text = part(last, 'plain');
  assert.match(text, /The recall has ended\. For 1 of 2 recipients the content had been opened before\./);
  assert.match(text, /取り消しは終わりました。宛先 2 名のうち 1 名については、取り消しの前に開かれています。/);
  const when = new Date(at).toISOString().slice(0, 16).replace('T', ' ');
  assert.match(text, new RegExp(`- c@example\\.com\\n {4}The notice was out; access was removed at [^;]+; opened at ${when} UTC; ` +
    'no download recorded as of [^;]+\\.\\n'));
  assert.match(text, /- b@example\.com\n {4}The notice was out; access was removed at [^;]+; no access recorded as of [^;]+\.\n/);
  assert.match(text, /・b@example\.com\n {4}お知らせのメールは送信済みでした。アクセス権は [^。]+に取り消しました。[^。]+の時点で、開かれた記録はありません。\n/);
  assert.ok(!text.includes('d@example.com'), 'd was not recalled');
  assert.match(part(last, 'html'), /wrong &lt;recipient&gt;/);

  await idle(stage);
  assert.equal(letters(stage).length, 2);
  assert.equal(await told(stage, id), 'final');
});

test('letters that waited for the relay go out once, and a final one that came too early comes again', async (t) => {
  const stage = await Stage.create(t, { config: { revoke: { settle: '1m' } } });
  const id = await stage.seed(receipted({ receipt: false }));
  assert.equal(await stage.finished(id), 'sent');
  const recall = await seedLetter(stage, 'recall', id);
  await seen(stage, Date.now());
  await stage.world.redis.command('HSET', `fb:{s0}:rc:${id}`, `t:${recall}`, 'final');
  await seedLetter(stage, 'letter', 'recall', id, 0, recall);
  checkLetter(stage, await aLetter(stage), `recall-${recall}-interim`);
  await idle(stage);
  assert.equal(await stage.world.redis.command('HGET', `fb:{s0}:rc:${id}`, `t:${recall}`), 'interim');
  await seedLetter(stage, 'revoked', id);
  await seen(stage, Date.now() + 2 * MINUTE);
  for (let i = 0; i < 2; i++) {
    await seedLetter(stage, 'letter', 'recall', id, 0, recall);
    await idle(stage);
  }
  assert.equal(letters(stage).length, 2);
});

test('a day later the last word says that the log could not be read', async (t) => {
  const stage = await Stage.create(t);
  const id = await stage.seed(receipted({ receipt: false }));
  assert.equal(await stage.finished(id), 'sent');
  const recall = await seedLetter(stage, 'recall', id);
  await seedLetter(stage, 'revoked', id);
  const key = `fb:{s0}:rc:${id}`;
  const flat = await stage.world.redis.command('HGETALL', key);
  for (let i = 0; i < flat.length; i += 2) {
    const at = flat[i + 1].replace(/\b1\d{12}\b/g, (ms) => String(Number(ms) - 25 * 3600000));
    await stage.world.redis.command('HSET', key, flat[i], at);
  }
  await seedLetter(stage, 'letter', 'recall', id, 0, recall);
  const letter = await aLetter(stage);
  checkLetter(stage, letter, `recall-${recall}-final`);
  const text = part(letter, 'plain');
  assert.match(text, /For 3 of 3 recipients the storage's log could not be read to its end/);
  assert.ok(!/checking again|Everything/.test(text));
});

test('the reminder names who has not opened, and stays away when nobody is left', async (t) => {
  const stage = await Stage.create(t);
  const id = await stage.seed(receipted({ receipt: false }));
  assert.equal(await stage.finished(id), 'sent');
  await stage.world.redis.command('HSET', `fb:{s0}:w:${id}-0`, 'n:0:preview', 1, 'o:0', NOW);
  await seedLetter(stage, 'letter', 'unopened', id, 0);
  const letter = await aLetter(stage);
  checkLetter(stage, letter, `unopened-${id}-0`);
  const text = part(letter, 'plain');
  assert.ok(!text.includes('b@example.com'));
  assert.match(text, /- c@example\.com \(no account yet\)\n {2}- d@example\.com\n/);
  assert.match(text, /nobody reads the storage's log, so they may well have opened it/);
  await seen(stage, Date.now());
  await seedLetter(stage, 'letter', 'unopened', id, 0);
  assert.match(part(await aLetter(stage, 2), 'plain'), /The storage's log was read up to 20/);
  await stage.world.redis.command('HSET', `fb:{s0}:w:${id}-0`, 'n:1:preview', 1, 'n:2:download', 1);
  await seedLetter(stage, 'letter', 'unopened', id, 0);
  await idle(stage);
  assert.equal(letters(stage).length, 2);
});

test('the organisation\'s own texts replace ours', async (t) => {
  const policy = (await import('./kit.mjs')).POLICY + 'notices: {organisation: Example Inc., templates: {' +
    'receipt.en.text: "{{organisation}}: {{subject}} to {{file_count}} files, {{rule}}/{{security}}, {{size}}"}}\n';
  const stage = await Stage.create(t, { policy });
  await stage.seed(receipted());
  const letter = await aLetter(stage);
  assert.equal(part(letter, 'plain').trim(), 'Example Inc.: [secure] Report to 2 files, tagged/s, 3.0 KB');
  assert.match(part(letter, 'html'), /The content of your mail was put in a secure place/);
  assert.match(parseMail(letter.content).get('From'), /^"Example Inc\."\s+<postmaster@example\.jp>$/);
});

test('a letter that is put off comes later, one that is refused is given up, and neither is held or reported', async (t) => {
  let answer = '451 4.3.0 later';
  const stage = await Stage.create(t, { relay: { rcpt: (a) => (a === 'a@example.jp' ? answer : null) } });
  const id = await stage.seed(receipted());
  assert.equal(await stage.finished(id), 'sent');
  await waitFor(async () => await stage.delayed() === 1, { what: 'a letter that waits' });
  assert.equal(letters(stage).length, 0);
  answer = null;
  await stage.hurry();
  checkLetter(stage, await aLetter(stage), `receipt-${id}-0`);

  answer = '550 5.1.1 no such sender';
  const other = await stage.seed(receipted());
  assert.equal(await stage.finished(other), 'sent');
  await idle(stage);
  assert.equal(letters(stage).length, 1);
  assert.equal(await stage.dead(), 0);
  await stage.service.says(/the relay refuses a letter to the sender \(receipt\): 550 5\.1\.1/);
  const state = await stage.ledger(id);
  assert.equal(state.state, 'done', 'the message has ended long before');
});

test('a letter for a relay that is away waits for it', async (t) => {
  const stage = await Stage.create(t);
  const id = await stage.seed(receipted({ receipt: false }));
  assert.equal(await stage.finished(id), 'sent');
  let greets = '421 4.3.2 not now';
  stage.relay.options.greeting = () => greets;
  for (const socket of stage.relay.sockets) socket.destroy();
  await seedLetter(stage, 'letter', 'receipt', id, 0);
  await waitFor(async () => await stage.delayed() === 1, { what: 'a letter that waits' });
  greets = null;
  await stage.hurry();
  checkLetter(stage, await aLetter(stage), `receipt-${id}-0`);
});

test('a crash between the relay\'s reply and the end of the job sends a copy of the very letter, no more', async (t) => {
  const stage = await Stage.create(t);
  const id = await stage.seed(receipted({ receipt: false }));
  assert.equal(await stage.finished(id), 'sent');
  let kills = 1;
  stage.relay.options.end = (mail) => {
    if (mail.from === '' && kills-- > 0) stage.service.kill('SIGKILL');
    return null;
  };
  await seedLetter(stage, 'letter', 'receipt', id, 0);
  await aLetter(stage);
  await stage.service.exited;
  await stage.world.redis.abandon('rewrite');
  await stage.start();
  const copy = await waitFor(() => letters(stage)[1], { timeout: 90000, what: 'the copy' });
  checkLetter(stage, copy, `receipt-${id}-0`);
  await idle(stage);
  assert.equal(letters(stage).length, 2);
  assert.equal(parseMail(letters(stage)[0].content).get('Message-ID'), parseMail(copy.content).get('Message-ID'));
});

test('the reply that was lost on the way makes a copy, too', async (t) => {
  const stage = await Stage.create(t);
  const id = await stage.seed(receipted({ receipt: false }));
  assert.equal(await stage.finished(id), 'sent');
  let drops = 1;
  stage.relay.options.end = (mail) => (mail.from === '' && drops-- > 0 ? 'DROP' : null);
  await seedLetter(stage, 'letter', 'receipt', id, 0);
  await aLetter(stage);
  await waitFor(async () => await stage.delayed() === 1 || letters(stage).length > 1, { what: 'a second try' });
  await stage.hurry();
  checkLetter(stage, await aLetter(stage, 2), `receipt-${id}-0`);
  await idle(stage);
  assert.equal(letters(stage).length, 2);
});
