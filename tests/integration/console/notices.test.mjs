// SPDX-License-Identifier: Apache-2.0
// What readers will get by a policy, shown before it is in force: rewrite's own words, by the API and the command line; and the
// frame in which HTML is shown, where nothing of it can run or load.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { promisify } from 'node:util';
import { binDir, request } from '../../support/harness.mjs';
import { Console } from './api-kit.mjs';

const run = promisify(execFile);
const KINDS = ['notice', 'password', 'receipt', 'code', 'reminder', 'held', 'recalled'];
const PIXEL = 'R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7';
const document = ({ definition = '', notices = '{organisation: 株式会社サンプル}', storage = 'vault' } = {}) => `storages:
  - {name: vault, type: vault, url: "file:///srv/fumibako/vault", key_file: /etc/fumibako/vault.key}
  - {name: box, type: box, auth_file: /etc/fumibako/box.json, root_folder: "0"}
security_definitions:
  - {name: recipients only, access: recipients${definition}}
rules:
  - {name: secure outbound, when: {from: ["@example.jp"]}, action: secure, storage: ${storage}, security: recipients only}
notices: ${notices}
`;

test('the mails of a policy are shown in both languages, with what the rule and its definition say', async (t) => {
  const c = await Console.create(t);
  const ask = (body, language = 'en') => c.call('auditor', 'POST', '/api/v1/policy/notices/preview', { body, language });
  const good = async (body) => { const r = await ask(body); assert.equal(r.status, 200, r.body.toString().slice(0, 500)); return r.json; };
  assert.equal((await ask({})).status, 404, 'there is no policy yet');

  const all = await good({ document: document() });
  assert.deepEqual(all.items.map((i) => `${i.kind} ${i.language}`).sort(), KINDS.flatMap((k) => [`${k} en`, `${k} ja`]).sort());
  assert.deepEqual([all.logo, all.rule], ['none', 'secure outbound']);
  for (const i of all.items) {
    assert.doesNotMatch(i.subject + i.text + i.html, /\{\{|\}\}/, `${i.kind} ${i.language}: a placeholder is left`);
    assert.match(i.html, /株式会社サンプル/, `${i.kind} ${i.language}`);
    assert.ok(i.language === 'ja' ? /[ぁ-ん]/.test(i.text) : !/[ぁ-ん]/.test(i.text), `${i.kind} ${i.language}: ${i.text}`);
  }
  const of = (answer, kind, language) => answer.items.find((i) => i.kind === kind && i.language === language);
  assert.match(of(all, 'notice', 'ja').text, /アカウントの登録は不要です。.*確認コード/s);
  assert.match(of(all, 'notice', 'en').text, /Until: no end/);
  assert.match(of(all, 'password', 'en').text, /nami-7421-kaze/);
  assert.match(of(all, 'recalled', 'en').text, /For 1 of 2 recipients the content had been opened before/);

  const box = await good({ document: document({ storage: 'box', definition: ', expires_after: 7d, download: false' }), kind: 'notice', language: 'en' });
  assert.equal(box.items.length, 1);
  assert.match(box.items[0].text, /logging in to Box/);
  assert.match(box.items[0].text, /reading only, no download/);
  assert.doesNotMatch(box.items[0].text, /no end/);
  assert.equal(box.items[0].language, 'en');

  // A policy's own text is filled in; its values are escaped in HTML, the text itself is the policy's.
  const own = await good({ document: document({ notices: '{organisation: "<b>A&B</b>", templates: {notice.ja.html: "<p onclick=x()>{{organisation}} {{link}}</p>"}}' }), kind: 'notice' });
  assert.match(of(own, 'notice', 'ja').html, /<p onclick=x\(\)>&lt;b&gt;A&amp;B&lt;\/b&gt; https:\/\/mail\.example\.jp\/r\/EXAMPLE<\/p>/);
  assert.match(of(own, 'notice', 'en').html, /&lt;b&gt;A&amp;B/);

  // A logo in the policy is shown; one that is a file is neither read nor shown.
  const logo = await good({ document: document({ notices: `{logo: "data:image/gif;base64,${PIXEL}"}` }), kind: 'notice', language: 'ja' });
  assert.equal(logo.logo, 'shown');
  assert.ok(logo.items[0].html.includes(`src="data:image/gif;base64,${PIXEL}"`));
  const file = await good({ document: document({ notices: `{logo: ${path.join(c.world.dir, 'spool.key')}}` }), kind: 'notice' });
  assert.equal(file.logo, 'file');
  assert.doesNotMatch(JSON.stringify(file), /cid:|k1:/);

  // Wrong questions, and a policy with errors, in the caller's language; the helper serves on.
  for (const [body, where] of [[{ document: document(), kind: 'poem' }, 'kind'], [{ document: document(), language: 'fr' }, 'language'],
    [{ document: document(), rule: 'no such rule' }, 'rule'], [{ document: 7 }, 'document'], [{ document: 'rules: [' }, 'document']]) {
    const r = await ask(body, 'ja');
    assert.equal(r.status, 422, `${where}: ${r.body}`);
    assert.equal(r.json.errors[0].where, where);
  }
  assert.equal((await c.call('helpdesk', 'POST', '/api/v1/policy/notices/preview', { body: {} })).status, 403);
  assert.equal((await c.call(null, 'POST', '/api/v1/policy/notices/preview', { body: {} })).status, 401);

  // Without a document: what is in force.
  await c.ok('admin', 'PUT', '/api/v1/policy', { body: { document: document({ notices: '{organisation: In Force Inc.}' }) }, headers: { 'If-Match': '*' } });
  assert.match((await good({ kind: 'receipt', language: 'en' })).items[0].html, /In Force Inc\./);

  // The same by the command line.
  const config = path.join(c.world.dir, 'ctl.yaml');
  fs.writeFileSync(config, JSON.stringify(c.world.config('ctl')));
  const ctl = async (...args) => run(path.join(binDir(), 'fumibako'), ['--config', config, ...args]).catch((e) => e);
  const text = await ctl('notices', 'preview', '--language', 'ja');
  assert.match(text.stdout, /パスワードのお知らせ: お見積書をお送りします/);
  assert.doesNotMatch(text.stdout, /Receipt:/);
  const one = JSON.parse((await ctl('notices', 'preview', '--kind', 'receipt', '--language', 'en', '--json')).stdout);
  assert.equal(one.items.length, 1);
  assert.match(one.items[0].html, /In Force Inc\./);
  const edited = path.join(c.world.dir, 'edited.yaml');
  fs.writeFileSync(edited, document({ notices: '{organisation: Not Yet Ltd.}' }));
  assert.match((await ctl('notices', 'preview', edited, '--kind', 'held', '--json')).stdout, /Not Yet Ltd\./);
  fs.writeFileSync(edited, 'rules: [');
  const bad = await ctl('notices', 'preview', edited);
  assert.equal(bad.code, 1);
  assert.match(bad.stderr, /edited\.yaml:2: error:/);
  assert.equal((await ctl('notices', 'preview', '--kind', 'poem')).code, 1);
});

test('the frame for a mail\'s HTML is ours alone, has an origin of its own, and lets nothing load', async (t) => {
  const c = await Console.create(t);
  const { status, headers, body } = await request(`${c.base}/preview-frame`);
  assert.equal(status, 200);
  const policy = Object.fromEntries(headers['content-security-policy'].split('; ').map((d) => [d.split(' ')[0], d.split(' ').slice(1).join(' ')]));
  const script = /<script>(.*)<\/script>/s.exec(body.toString())[1];
  assert.deepEqual(policy, { 'default-src': "'none'", 'script-src': `'sha256-${createHash('sha256').update(script).digest('base64')}'`,
    'style-src': "'unsafe-inline'", 'img-src': 'data:', 'base-uri': "'none'", 'form-action': "'none'", 'frame-ancestors': "'self'", sandbox: 'allow-scripts' });
  assert.equal(headers['x-frame-options'], 'SAMEORIGIN');
  assert.equal(headers['x-content-type-options'], 'nosniff');
  assert.equal(headers['referrer-policy'], 'no-referrer');
});
