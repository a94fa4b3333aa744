// SPDX-License-Identifier: Apache-2.0
// fumibako policy check|show|apply|history|test.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { ROOT, sleep } from '../../support/harness.mjs';
import { Desk, JAPANESE, PLAIN, POLICIES, run, tooDeep } from './kit.mjs';

const fixture = (name) => path.join(POLICIES, name);

/* What check says of each fixture: [line, severity, text]. */
const FINDINGS = {
  'minimal.yaml': [[2, 'warning', 'rules: there is no rule, so all mail passes untouched']],
  'vault-only.yaml': [],
  'box-simulator.yaml': [],
  'unreachable.yaml': [
    [9, 'warning', 'rules[2]: "one of them" is never reached: rules[1] "domain" (line 8) takes everything it would'],
    [11, 'warning', 'rules[4]: "too late" is never reached: rules[3] "the rest" (line 10) takes everything it would'],
  ],
  'broken-syntax.yaml': [
    [3, 'error', 'document: a text that begins with "!" must be in quotes'],
  ],
  'broken-box.yaml': [
    [9, 'error', 'rules[0].security: "password" has password: generated, which Box has only for links with access: anyone'],
    [10, 'error', 'rules[1].security: "counted" has max_downloads, which only a vault can keep'],
    [11, 'warning', 'rules[2].security: proof of "proved" is ignored, Box decides how people log in'],
    [11, 'warning', 'rules[2].security: "proved" has download: false; Box needs the role previewer for it, which not ' +
      'every plan has'],
    [12, 'error', 'rules[3].without_account: no storage of type vault is defined'],
    [12, 'warning', 'rules[3].security: proof of "proved" is ignored, Box decides how people log in'],
    [12, 'warning', 'rules[3].security: "proved" has download: false; Box needs the role previewer for it, which not ' +
      'every plan has'],
  ],
  'broken-many.yaml': [
    [3, 'error', 'storages[0].root: unknown key; known: name, type, auth_file, root_folder, users, box_auth, api_url, ' +
      'upload_url, token_url, events'],
    [4, 'error', 'storages[1].name: "box" is there twice'],
    [4, 'error', 'storages[1].url: must be file:///directory or s3://bucket/prefix, is "http://x/"'],
    [5, 'error', 'storages[2]: "name" is missing'],
    [5, 'error', 'storages[2].type: must be one of box, vault, is "s3"'],
    [7, 'error', 'groups[0].members: a group needs at least one member'],
    [7, 'warning', 'groups[0]: "nobody" is used by no rule'],
    [9, 'error', 'security_definitions[0].access: must be one of recipients, company, anyone, is "all"'],
    [9, 'error', 'security_definitions[0].download: must be true or false (without quotes), is "yes"'],
    [9, 'error', 'security_definitions[0].expires_after: must be a duration such as 30d, 12h or 0, is "30"'],
    [12, 'error', 'rules[0].enable: unknown key; known: name, enabled, when, action, secure, storage, security, path, ' +
      'receipt, without_account, shadow, strip_tag, on_failure, remind_after'],
    [14, 'error', 'rules[0].when.subject: must be a list, is a single value; write [ ] around it'],
    [15, 'error', 'rules[0].when.body: bad regular expression /(/: "(" and ")" do not match'],
    [16, 'error', 'rules[0].when.to: "example.jp" is neither an address, "@domain", a glob, nor the name of a group; ' +
      'known groups: nobody'],
    [16, 'error', 'rules[0].when.to: unknown group "unknown"; known: nobody'],
    [18, 'error', 'rules[0].storage: unknown storage "bxo"; known: box, box'],
    [20, 'error', 'rules[0].path: has a folder name of dots or spaces alone; a path cannot leave its root folder'],
    [21, 'error', 'notice: unknown key; known: storages, groups, security_definitions, rules, pass, notices'],
  ],
};

test('check: every fixture, with exact lines and texts', async () => {
  const seen = fs.readdirSync(POLICIES).filter((f) => f.endsWith('.yaml')).sort();
  assert.deepEqual(seen, Object.keys(FINDINGS).sort());
  for (const [name, want] of Object.entries(FINDINGS)) {
    const json = await run(['policy', 'check', fixture(name), '--json']);
    const { valid, findings } = json.json();
    const errors = want.filter(([, severity]) => severity === 'error');
    assert.deepEqual(findings.map((f) => [f.line, f.severity, f.text]), want, name);
    assert.equal(valid, errors.length === 0, name);
    assert.equal(json.status, errors.length === 0 ? 0 : 1, name);

    const text = await run(['policy', 'check', fixture(name)]);
    assert.equal(text.status, json.status, name);
    for (const [line, severity, words] of want) {
      const out = severity === 'error' ? text.stderr : text.stdout;
      assert.ok(out.split('\n').includes(`${fixture(name)}:${line}: ${severity}: ${words}`), `${name}: ${line} ${words}`);
    }
    if (errors.length === 0) {
      assert.match(text.stdout, /: good: \d+ rules, \d+ storages, version [0-9a-f]{12}\n$/);
    } else {
      assert.match(text.stderr, new RegExp(`: ${errors.length} errors?: it cannot be put in force\\n$`));
    }
  }
});

test('check: a file that is not there, not UTF-8, or no document', async (t) => {
  const desk = await Desk.create(t, { redis: false });
  const missing = await run(['policy', 'check', '/nonexistent/p.yaml']);
  assert.equal(missing.status, 1);
  assert.match(missing.stderr, /^fumibako: \/nonexistent\/p\.yaml: No such file/);
  const json = await run(['policy', 'check', '/nonexistent/p.yaml', '--json']);
  assert.equal(json.json().error.code, 'not_found');
  const cut = `rules:\n  - {name: r, action: secure, storage: "${'箱'.repeat(200)}", security: x}\n`; // a text cut within a character
  for (const content of [Buffer.from([0x72, 0xff, 0xfe, 0x00]), Buffer.from(''), Buffer.from(cut), Buffer.from(`${cut} `),
    Buffer.from(cut.replace('箱', 'x')), Buffer.from(cut.replace('箱', 'xx'))]) {
    const r = await run(['policy', 'check', desk.write('p.yaml', content), '--json']);
    assert.equal(r.status, 1);
    assert.equal(r.json().valid, false);
    assert.ok(r.json().findings.some((f) => f.severity === 'error' && f.text.length > 0));
  }
});

test('apply, show and history: what is in force, who put it there, and when', async (t) => {
  const desk = await Desk.create(t);
  const none = await desk.ctl('policy', 'show');
  assert.equal(none.status, 1);
  assert.match(none.stderr, /no policy is in force: mail is held until one is applied with `fumibako policy apply FILE`/);
  assert.equal(JSON.parse((await desk.ctl('policy', 'show', '--json')).stdout).error.code, 'not_found');
  assert.deepEqual(await desk.json('policy', 'history'), []);

  const refused = await desk.ctl('policy', 'apply', fixture('broken-many.yaml'));
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, /17 errors: it cannot be put in force\n$/);
  const json = await desk.ctl('policy', 'apply', fixture('broken-many.yaml'), '--json');
  assert.deepEqual([json.status, json.json().error.code, json.json().findings.length], [1, 'invalid', 18]);
  assert.equal(await desk.redis.command('EXISTS', 'fb:policy'), 0);
  const warned = await desk.ok('policy', 'apply', fixture('unreachable.yaml'));
  assert.match(warned.stdout, /unreachable\.yaml:9: warning: .*is never reached.*\n.*\nin force: version/);
  await desk.redis.command('DEL', 'fb:policy', 'fb:policy:history');

  const first = await desk.ok('policy', 'apply', fixture('minimal.yaml'), '--comment', '最初');
  assert.match(first.stdout, /in force: version [0-9a-f]{12}, 0 rules/);
  const second = await desk.json('policy', 'apply', fixture('vault-only.yaml'), '--comment', 'second');
  const document = fs.readFileSync(fixture('vault-only.yaml'), 'utf8');
  assert.deepEqual(second.findings, []);
  assert.equal(second.version, createHash('sha256').update(document).digest('hex'));
  assert.equal((await desk.ok('policy', 'show')).stdout, document);
  const shown = await desk.json('policy', 'show');
  assert.deepEqual([shown.version, shown.source, shown.document], [second.version, 'redis', document]);

  const history = await desk.json('policy', 'history');
  assert.deepEqual(history.map((h) => h.comment), ['second', '最初']);
  assert.ok(history.every((h) => h.author.length > 0 && Math.abs(Date.parse(h.at) - Date.now()) < 60000));
  assert.equal((await desk.json('policy', 'history', '--limit', '1')).length, 1);
  assert.match((await desk.ok('policy', 'history')).stdout, /second\n.*最初\n$/);
  assert.deepEqual(history.map((h) => h.number), [2, 1]);

  const diff = await desk.json('policy', 'diff', '1', '2');
  assert.ok(diff.added > 5 && diff.lines.some((l) => l.kind === '+' && /all outbound/.test(l.text)));
  assert.match((await desk.ok('policy', 'diff', '2')).stdout, /^0 added, 0 removed\n$/);
  const late = await desk.ctl('policy', 'rollback', '1', '--if-version', history[1].version);
  assert.equal(late.status, 1);
  assert.match(late.stderr, /another policy is in force: version/);
  const back = await desk.json('policy', 'rollback', '1', '--comment', 'back', '--if-version', second.version);
  assert.deepEqual([back.number, back.version], [3, history[1].version]);
  assert.equal((await desk.ctl('policy', 'rollback', '9')).status, 1);
});

test('versions are numbered without a gap: a change waits for one that is half-way, and not for one that was left behind', async (t) => {
  const desk = await Desk.create(t);
  await desk.ok('policy', 'apply', fixture('minimal.yaml'));
  const half = (number, ago) => JSON.stringify({ version: 'f'.repeat(64), document: 'rules: []\n', at: String(Date.now() - ago), author: 'somebody', comment: 'half-way', number: String(number) });
  const numbers = async () => (await desk.json('policy', 'history')).map((h) => h.number);

  // Another console has written the next number into the history and has not put it in force yet; then it gives it up.  It
  // is waited for for nine seconds: where the machine took more for all of this, it may have been overtaken, and comes again.
  let made = [1];
  for (let isLate = true; isLate;) {
    const begun = Date.now();
    const next = made[0] + 1;
    const entry = half(next, -4000); // its clock is ahead
    await desk.redis.command('LPUSH', 'fb:policy:history', entry);
    const waiting = desk.json('policy', 'apply', fixture('vault-only.yaml'));
    await sleep(300);
    const seen = await numbers();
    await desk.redis.command('LREM', 'fb:policy:history', '1', entry);
    const { number } = await waiting;
    isLate = Date.now() - begun > 8000;
    if (!isLate) assert.deepEqual([seen, number], [[next, ...made], next]);
    if (!isLate) assert.deepEqual(await numbers(), [next, ...made]);
    made = await numbers();
  }

  // That one never came back: it stays in the history, and its number is not used again.
  const [last] = made;
  await desk.redis.command('LPUSH', 'fb:policy:history', half(last + 1, 60000));
  assert.equal((await desk.json('policy', 'apply', fixture('minimal.yaml'))).number, last + 2);
  assert.deepEqual(await numbers(), [last + 2, last + 1, ...made]);

  // What somebody wrote there by hand is no version, and in nobody's way.
  for (const wrong of ['no JSON', '[]', '{"number":{}}', '{"number":"999999999999999999"}', `{"number":${'['.repeat(2000)}`]) {
    await desk.redis.command('LPUSH', 'fb:policy:history', wrong);
    assert.ok((await desk.json('policy', 'apply', fixture('vault-only.yaml'))).number > last + 2, wrong);
  }
});

test('a policy kept in a file is shown from there and not changed from here', async (t) => {
  const desk = await Desk.create(t, { overrides: { policy: { source: `file:${fixture('minimal.yaml')}` } } });
  assert.equal((await desk.ok('policy', 'show')).stdout, fs.readFileSync(fixture('minimal.yaml'), 'utf8'));
  const r = await desk.ctl('policy', 'apply', fixture('vault-only.yaml'));
  assert.equal(r.status, 1);
  assert.match(r.stderr, /policy\.source is file:.*: the services follow that file; change it there/);
});

const POLICY = `storages:
  - {name: vault, type: vault, url: "file:///srv/vault", key_file: /etc/fumibako/vault.key}
security_definitions:
  - {name: code, access: recipients}
rules:
  - {name: inside, when: {to: ["@example.jp"]}, action: pass}
  - {name: never to them, when: {to: ["@rival.example"]}, action: reject}
  - {name: sheets, when: {attachments: {name: ["見積*.xlsx"], larger_than: 2KiB}, subject: ["見積書"]},
     action: secure, storage: vault, security: code}
  - {name: confidential, when: {header: {X-Classification: [confidential]}}, action: secure, storage: vault, security: code}
  - {name: secret words, when: {body: ["極秘"]}, action: secure, storage: vault, security: code}
  - {name: watch, shadow: true, when: {size_over: 10B}, action: secure, storage: vault, security: code}
  - {name: files only, when: {to: ["files@x.example"]}, secure: {body: false}, action: secure, storage: vault, security: code}
`;

const rule = (r, name) => r.rules.find((x) => x.rule === name);

test('test: the rule of each recipient, and why the earlier ones do not take it', async (t) => {
  const desk = await Desk.create(t, { redis: false });
  const policy = desk.write('p.yaml', POLICY);
  const mail = desk.write('m.eml', JAPANESE);
  const args = ['policy', 'test', mail, policy, '--from', 'taro@example.jp', '--to', 'b@example.jp', '--to', 'c@rival.example',
    '--to', 'd@partner.example'];
  const r = await run([...args, '--json']);
  assert.equal(r.status, 0, r.stdout);
  const answer = r.json();
  assert.equal(answer.mail.subject, '見積書 [secure]');
  assert.deepEqual(answer.mail.attachments, [{ name: '見積.xlsx', type: 'application/vnd.ms-excel', size: 3000 }]);
  const [inside, rival, partner] = answer.recipients;
  assert.deepEqual([inside.action, inside.rule, inside.rules.length], ['pass', 'inside', 1]);
  assert.deepEqual([rival.action, rival.rule], ['reject', 'never to them']);
  assert.equal(rule(rival, 'inside').why, 'to: c@rival.example matches none of @example.jp');
  assert.deepEqual([partner.action, partner.rule, partner.storage, partner.security], ['secure', 'sheets', 'vault', 'code']);
  assert.deepEqual(partner.rules.map((x) => [x.rule, x.line, x.matches]),
    [['inside', 6, false], ['never to them', 7, false], ['sheets', 8, true]]);
  assert.match(rule(partner, 'sheets').why, /subject: contains 見積書/);

  assert.deepEqual(rule(rival, 'inside').reasons, [{ condition: 'to', code: 'no_match', holds: false, found: 'c@rival.example', terms: ['@example.jp'],
    text: 'to: c@rival.example matches none of @example.jp' }]);

  const japanese = await run([...args, '--language', 'ja']);
  assert.match(japanese.stdout, /^差出人 taro@example\.jp、件名「見積書 \[secure\]」、\d+ バイト、添付ファイル 1 個\n {2}添付ファイル 見積\.xlsx \(/);
  assert.match(japanese.stdout, /\nb@example\.jp: ルール「inside」により、そのまま送信します\n/);
  assert.match(japanese.stdout, /\nc@rival\.example: ルール「never to them」により拒否します .*\n {2}- ルール「inside」 \(6 行目\): 宛先: c@rival\.example は「@example\.jp」に一致しません。\n/);
  assert.match(japanese.stdout, /\nd@partner\.example: ルール「sheets」により保護します \(保管先 vault、セキュリティ定義「code」\)\n/);
  assert.equal((await run([...args, '--language', 'fr'])).status, 2);
  const text = await run(args);
  assert.match(text.stdout, /subject "見積書 \[secure\]", \d+ bytes, 1 attachment\n {2}attachment 見積\.xlsx/);
  assert.match(text.stdout, /\nb@example\.jp: passed untouched by rule "inside"\n/);
  assert.match(text.stdout, /\nc@rival\.example: rejected by rule "never to them": a delivery report goes to the sender\n/);
  assert.match(text.stdout, /\nd@partner\.example: secured by rule "sheets": storage vault, security "code"\n {2}- rule "inside" \(line 6\): to: /);
});

test('test: LF and CRLF files are the same mail', async (t) => {
  const desk = await Desk.create(t, { redis: false });
  const policy = desk.write('p.yaml', POLICY);
  const answers = [];
  for (const content of [JAPANESE, JAPANESE.replace(/\n/g, '\r\n')]) {
    const r = await run(['policy', 'test', desk.write('m.eml', content), policy, '--from', 'a@example.jp', '--to', 'b@c.example',
      '--json']);
    assert.equal(r.status, 0);
    answers.push(r.json());
  }
  assert.deepEqual(answers[0], answers[1]);
});

test('test: conditions on header, body, size and shadow, and a mail with nothing to secure', async (t) => {
  const desk = await Desk.create(t, { redis: false });
  const policy = desk.write('p.yaml', POLICY);
  const ask = async (content, ...to) => {
    const r = await run(['policy', 'test', desk.write('m.eml', content), policy, '--from', 'taro@example.jp',
      ...to.flatMap((x) => ['--to', x]), '--json']);
    assert.equal(r.status, 0, r.stdout);
    return r.json().recipients;
  };
  const without = JAPANESE.replace('.xlsx', '.docx').replace('.xlsx', '.docx');
  const [header] = await ask(without, 'b@c.example');
  assert.equal(header.rule, 'confidential');
  assert.match(rule(header, 'sheets').why, /^attachments\.name: /);
  const [body] = await ask(without.replace('Confidential', 'public'), 'b@c.example');
  assert.equal(body.rule, 'secret words');
  assert.match(rule(body, 'confidential').why, /X-Classification/i);
  const [none, empty] = await ask(PLAIN, 'b@c.example', 'files@x.example');
  assert.deepEqual([none.action, none.rule, none.reason, none.shadow], ['pass', null, 'no rule', 'watch']);
  assert.match(rule(none, 'watch').why, /\(shadow: changes nothing\)$/);
  assert.deepEqual([empty.action, empty.rule, empty.reason], ['pass', 'files only', 'nothing to secure']);
});

test('test: a delivery report passes before any rule', async (t) => {
  const desk = await Desk.create(t, { redis: false });
  const report = ['From: <>', 'Subject: undeliverable', 'MIME-Version: 1.0',
    'Content-Type: multipart/report; report-type=delivery-status; boundary=r', '', '--r', 'Content-Type: text/plain', '', 'no',
    '--r', 'Content-Type: message/delivery-status', '', 'Reporting-MTA: dns; mx.example.jp', '',
    'Final-Recipient: rfc822; x@example.com', 'Action: failed', 'Status: 5.1.1', '', '--r--', ''].join('\n');
  const r = await run(['policy', 'test', desk.write('m.eml', report), desk.write('p.yaml', POLICY), '--from', '', '--to',
    'd@rival.example', '--json']);
  assert.equal(r.status, 0);
  const { mail, recipients: [only] } = r.json();
  assert.deepEqual([mail.is_delivery_report, only.action, only.reason, only.rule, only.rules],
    [true, 'pass', 'delivery report', null, []]);
});

test('test: without POLICY the one in force is taken', async (t) => {
  const desk = await Desk.create(t);
  const mail = desk.write('m.eml', JAPANESE);
  const args = ['policy', 'test', mail, '--from', 'taro@example.jp', '--to', 'd@partner.example'];
  assert.equal((await desk.ctl(...args)).status, 1);
  await desk.ok('policy', 'apply', desk.write('p.yaml', POLICY));
  assert.equal((await desk.json(...args)).recipients[0].rule, 'sheets');
});

test('test: what cannot be tested says why', async (t) => {
  const desk = await Desk.create(t, { redis: false });
  const policy = desk.write('p.yaml', POLICY);
  const mail = desk.write('m.eml', PLAIN);
  const who = ['--from', 'a@b.jp', '--to', 'c@d.jp'];
  const usage = await run(['policy', 'test', mail, policy, '--from', 'a@b.jp']);
  assert.equal(usage.status, 2);
  assert.match(usage.stderr, /needs --from A \("" for the null sender\) and at least one --to B/);
  const gone = await run(['policy', 'test', '/nonexistent.eml', policy, ...who]);
  assert.equal(gone.status, 1);
  assert.match(gone.stderr, /^fumibako: \/nonexistent\.eml: No such file or directory\n$/);
  const broken = await run(['policy', 'test', mail, fixture('broken-box.yaml'), ...who]);
  assert.equal(broken.status, 1);
  assert.match(broken.stderr, /broken-box\.yaml:\d+: error: /);
  assert.equal((await run(['policy', 'test', mail, fixture('broken-box.yaml'), ...who, '--json'])).json().error.code, 'invalid');
  const deep = await run(['policy', 'test', desk.write('deep.eml', tooDeep()), policy, ...who]);
  assert.equal(deep.status, 1);
  assert.match(deep.stderr, /^fumibako: .*(deep|nest|level)/);
  assert.doesNotMatch(deep.stderr, /secret content/);
  const empty = await run(['policy', 'test', desk.write('empty.eml', ''), policy, ...who, '--json']);
  assert.equal(empty.status, 1);
  assert.match(empty.json().error.message, /the mail is empty$/);
  const config = await run(['--config', desk.write('c.yaml', 'redis: {ulr: x}\n'), 'policy', 'test', mail, policy, ...who]);
  assert.equal(config.status, 78);
  assert.match(config.stderr, /c\.yaml:1: redis\.ulr/);
});

test('test: a mail that is an attack ends within the limits, in words', async (t) => {
  const desk = await Desk.create(t, { redis: false });
  const policy = desk.write('p.yaml', POLICY);
  const attacks = {
    'a million header fields': `${'X: y\n'.repeat(1000000)}\nbody\n`,
    'half a million parts': `Content-Type: multipart/mixed; boundary=b\n\n${'--b\n\nx\n'.repeat(500000)}--b--\n`,
    '50,000 nested groups': `To: ${'g:'.repeat(50000)}\nSubject: x\n\nbody\n`,
    'no line end in 20 MB': `Subject: x\n\n${'x'.repeat(20 << 20)}`,
    'zero bytes': 'Subject: x\0y\n\n\0\0\n',
  };
  for (const [name, content] of Object.entries(attacks)) {
    const before = Date.now();
    const r = await run(['policy', 'test', desk.write('m.eml', content), policy, '--from', 'a@example.jp', '--to', 'b@c.example',
      '--json']);
    assert.ok(r.status === 0 || r.status === 1, `${name}: ${r.status} ${r.stderr}`);
    if (r.status === 1) assert.doesNotMatch(r.json().error.message, /died|without saying/, name);
    else assert.equal(r.json().recipients.length, 1, name);
    assert.ok(Date.now() - before < 90000, name);
  }
});

const CORPUS = path.join(process.env.FUMIBAKO_SHARED ?? path.join(ROOT, '../shared'), 'corpus/files');

test('test: every mail of the corpus is answered or refused in words',
  { skip: !fs.existsSync(CORPUS) && 'needs the corpus in $FUMIBAKO_SHARED' }, async (t) => {
    const desk = await Desk.create(t, { redis: false });
    const policy = desk.write('p.yaml', POLICY);
    const mails = fs.readdirSync(CORPUS, { recursive: true, withFileTypes: true }).filter((e) => e.isFile())
      .map((e) => path.join(e.path ?? e.parentPath, e.name)).filter((_, i) => i % 10 === 0);
    const ask = (mail) => run(['policy', 'test', mail, policy, '--from', 'a@example.jp', '--to', 'b@c.example', '--json']);
    let answered = 0;
    while (mails.length > 0) {
      await Promise.all(mails.splice(0, 4).map(async (mail) => {
        const r = await ask(mail);
        const value = r.json();
        if (r.status === 0) {
          answered++;
          assert.equal(value.recipients.length, 1, mail);
        } else {
          assert.equal(r.status, 1, mail);
          assert.match(value.error.message, /\w/, mail);
          assert.doesNotMatch(value.error.message, /died|refused|without saying/, mail);
        }
      }));
    }
    assert.ok(answered > 0);
  });
