// SPDX-License-Identifier: Apache-2.0
//
// The README keeps its word: every command that it shows is run, as it stands there but for folders and ports; every
// policy that it shows is checked; every file, folder and subcommand that it names exists; the Japanese one shows the
// same commands.  A shell block without a marker fails: nothing gets in untested.
//
//   <!-- run: quickstart | stack | policy | install | postfix -->  run, the blocks of one kind one after another
//   <!-- run: syntax, ... -->                                      needs a real Box: its syntax is checked
//   <!-- run: no, ... -->                                          not here, and why
//   <!-- policy: whole | rules | storages | notices -->            `fumibako policy check` finds no error

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { Client, formOf } from '../integration/portal/kit.mjs';
import { ROOT, binDir, freeOffset, remove, request, waitFor } from '../support/harness.mjs';

const read = (file) => fs.readFileSync(path.join(ROOT, file), 'utf8');
const READMES = { 'README.md': read('README.md'), 'README.ja.md': read('README.ja.md') };

/** Fenced blocks: {language, mark, text, line}; mark is the comment on the line before. */
function blocks(markdown) {
  const lines = markdown.split('\n');
  const found = [];
  for (let i = 0; i < lines.length; i++) {
    const fence = /^( *)```([a-z]*)$/.exec(lines[i]);
    if (!fence) continue;
    const end = lines.indexOf(`${fence[1]}\`\`\``, i + 1);
    assert.notEqual(end, -1, `the block of line ${i + 1} does not end`);
    const mark = /^ *<!-- (run|policy|config): (.*) -->$/.exec(lines[i - 1] ?? '');
    found.push({ language: fence[2], kind: mark?.[1], mark: mark?.[2], line: i + 1,
      text: lines.slice(i + 1, end).map((l) => l.slice(fence[1].length)).join('\n') + '\n' });
    i = end;
  }
  return found;
}

const marked = (kind, mark) => blocks(READMES['README.md']).filter((b) => b.kind === kind && b.mark.split(',')[0] === mark);
const temporary = (t) => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'fumibako-readme-'));
  t.after(() => remove(dir));
  return dir;
};

function shell(script, { env = {}, timeout = 400000 } = {}) {
  const clean = Object.fromEntries(Object.entries(process.env).filter(([k]) => !k.startsWith('FUMIBAKO_')));
  const r = spawnSync('bash', ['-euo', 'pipefail', '-c', script], { cwd: ROOT, encoding: 'utf8', timeout,
    env: { ...clean, ...env }, stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 64 << 20 });
  return { ...r, all: `${r.stdout}${r.stderr}` };
}

function run(script, options) {
  const r = shell(script, options);
  assert.equal(r.status, 0, `exit ${r.status} ${r.signal ?? ''} of:\n${script}\n${r.all}`);
  return r;
}

test('every shell block says how it is tested, and both languages show the same ones', () => {
  const shown = Object.entries(READMES).map(([name, text]) => blocks(text).filter((b) => ['sh', 'bash'].includes(b.language))
    .map((b) => {
      assert.equal(b.kind, 'run', `${name}:${b.line}: a shell block without <!-- run: ... -->`);
      assert.match(b.mark, /^(quickstart|stack|policy|install|postfix|syntax, .+|no, .+)$/, `${name}:${b.line}`);
      return { mark: b.mark, text: b.text };
    }));
  assert.deepEqual(shown[1], shown[0]);
});

test('both languages have the same sections', () => {
  const shape = (text) => text.split('\n').filter((l) => /^#+ /.test(l)).map((l) => /^#+/.exec(l)[0].length);
  assert.deepEqual(shape(READMES['README.ja.md']), shape(READMES['README.md']));
});

test('files and folders that the documents name exist', () => {
  const names = new Set(['services', 'common', 'proto'].flatMap((dir) =>
    fs.readdirSync(path.join(ROOT, dir), { recursive: true }).map((f) => path.basename(f.toString()))));
  for (const file of ['README.md', 'README.ja.md', 'CONTRIBUTING.md', 'SECURITY.md']) {
    const text = read(file);
    for (const [, target] of text.matchAll(/\]\(([^)#]+)\)/g)) {
      if (!/^https?:/.test(target)) assert.ok(fs.existsSync(path.join(ROOT, target)), `${file}: (${target})`);
    }
    for (const [, name] of text.matchAll(/`((?:services|common|proto|deploy|tests)\/[\w./-]+)/g)) {
      assert.ok(fs.existsSync(path.join(ROOT, name)), `${file}: ${name} does not exist`);
    }
    for (const [, name] of text.matchAll(/`([a-z_]+\.[ch])`/g)) assert.ok(names.has(name), `${file}: ${name} does not exist`);
  }
});

test('subcommands and options of fumibako that the documents name exist', () => {
  const help = run(`${binDir()}/fumibako --help`).stdout;
  const source = read('services/ctl/options.c');
  for (const [name, text] of Object.entries(READMES)) {
    for (const [, command] of text.matchAll(/`fumibako ((?!-)[^`]+)`/g)) {
      const words = command.split(' ').filter((w) => !w.startsWith('--'));
      const known = help.split('\n').some((l) => l.trim().startsWith(`${words[0]} ${words[1] ?? ''}`.trim()));
      assert.ok(known, `${name}: fumibako ${command} is not in --help`);
      for (const [, option] of command.matchAll(/--([a-z-]+)/g)) {
        assert.ok(source.includes(`{"${option}",`), `${name}: fumibako ${command}: --${option}`);
      }
    }
  }
});

test('metrics that the documents name are in the code, and the other way round', () => {
  const sources = ['services', 'common'].flatMap((dir) => fs.readdirSync(path.join(ROOT, dir), { recursive: true })
    .filter((f) => f.toString().endsWith('.c')).map((f) => read(path.join(dir, f.toString())))).join('\n');
  for (const [name, text] of Object.entries(READMES)) {
    for (const [, metric] of text.matchAll(/`(fumibako_(?!destination_)[a-z0-9_]+)/g)) {
      assert.ok(sources.includes(`"${metric}"`), `${name}: ${metric} is nowhere counted`);
    }
    for (const [, metric] of sources.matchAll(/"(fumibako_[a-z0-9_]+)"/g)) {
      assert.ok(text.includes(`\`${metric}`), `${name}: ${metric} is not explained`);
    }
  }
});

test('messages of the troubleshooting table are the words of the programs', () => {
  const folders = ['services', 'common'];
  const sources = folders.flatMap((dir) => fs.readdirSync(path.join(ROOT, dir), { recursive: true })
    .filter((f) => f.toString().endsWith('.c')).map((f) => read(path.join(dir, f.toString()))))
    .concat(read('deploy/local')).join('\n').replace(/"\s*\n\s*"/g, '').replace(/\\"/g, '"');
  for (const [name, text] of Object.entries(READMES)) {
    const table = /^### (?:Troubleshooting|困ったとき)\n([\s\S]*?)\n## /m.exec(text)[1];
    for (const [, message] of table.matchAll(/^\| `([^`]+)`/gm)) {
      for (const piece of message.split(/ ?\.\.\. ?|: unauthorized_client|^554 5\.7\.1 |^550 /).filter(Boolean)) {
        assert.ok(sources.includes(piece), `${name}: no program says "${piece}"`);
      }
    }
  }
});

test('policies that the documents show are good', (t) => {
  const dir = temporary(t);
  const storages = 'storages: [{name: box, type: box, auth_file: /etc/fumibako/box.json}]\n';
  const rest = `${storages}security_definitions: [{name: recipients only}]\n`;
  const around = { whole: '', rules: rest, storages: 'rules: []\n', notices: 'rules: []\n' };
  for (const [name, text] of Object.entries(READMES)) {
    const shown = blocks(text).filter((b) => b.language === 'yaml' && b.kind !== 'config');
    assert.equal(shown.length, 5, name);
    for (const b of shown) {
      assert.ok(b.kind === 'policy' && b.mark in around, `${name}:${b.line}: a YAML block without <!-- policy: ... -->`);
      const file = path.join(dir, 'policy.yaml');
      fs.writeFileSync(file, b.text + around[b.mark]);
      const r = shell(`${binDir()}/fumibako policy check ${file}`);
      assert.equal(r.status, 0, `${name}:${b.line}: ${r.all}`);
    }
  }
  const sample = shell(`${binDir()}/fumibako policy check deploy/policy.sample.yaml`);
  assert.equal(sample.status, 0, sample.all);
});

test('configurations that the documents show are good', (t) => {
  const dir = temporary(t);
  fs.writeFileSync(`${dir}/oidc.secret`, 'a secret of this test\n', { mode: 0o600 });
  for (const [name, text] of Object.entries(READMES)) {
    const shown = blocks(text).filter((b) => b.kind === 'config');
    assert.equal(shown.length, 1, name);
    for (const b of shown) {
      fs.writeFileSync(`${dir}/fumibako.yaml`, b.text.replaceAll('/etc/fumibako', dir), { mode: 0o600 });
      const r = shell(`${binDir()}/fumibako-${b.mark} --config ${dir}/fumibako.yaml --dump-config`);
      assert.equal(r.status, 0, `${name}:${b.line}: ${r.all}`);
    }
  }
});

test('installing: programs, keys and the sample configuration pass their checks, also with a second key', (t) => {
  const dir = temporary(t);
  const local = (s) => s.replaceAll('build/release/bin', binDir()).replaceAll('/usr/local/bin', `${dir}/bin`)
    .replaceAll('cp deploy/fumibako.sample.yaml', `sed 's#/etc/fumibako#${dir}/etc#; s#/var/lib/fumibako#${dir}/var#' deploy/fumibako.sample.yaml >`)
    .replaceAll(/(?<!#)\/etc\/fumibako(?!#)/g, `${dir}/etc`).replaceAll(/(?<!#)\/var\/lib\/fumibako(?!#)/g, `${dir}/var`);
  fs.mkdirSync(`${dir}/bin`);
  const script = marked('run', 'install').map((b) => local(b.text)).join('');
  const r = run(script, { env: { PATH: `${dir}/bin:${process.env.PATH}`, FUMIBAKO_CONFIG: `${dir}/etc/fumibako.yaml` } });
  assert.equal(r.stdout.match(/the configuration is good/g)?.length, 9, r.all);
  const keys = fs.readFileSync(`${dir}/etc/spool.key`, 'utf8').trim().split('\n').map((l) => l.split(':')[0]);
  assert.deepEqual(keys, ['k2', 'k1']);
});

test('the Postfix snippets are good', (t) => {
  if (process.getuid() !== 0 || !fs.existsSync('/usr/sbin/postfix')) return t.skip('needs root and Postfix');
  const dir = temporary(t);
  fs.cpSync('/usr/share/postfix/master.cf.dist', `${dir}/master.cf`);
  fs.writeFileSync(`${dir}/main.cf`, 'compatibility_level = 3.6\nmyhostname = gateway.example.jp\n');
  const text = marked('run', 'postfix').map((b) => b.text).join('');
  const script = text.replaceAll('/etc/postfix', dir).replaceAll('postfix check && postfix reload', `postfix -c ${dir} check`);
  assert.notEqual(script, text);
  const checked = run(script);
  assert.doesNotMatch(checked.all, /warning|error|fatal/, checked.all);
  const services = run(`postconf -c ${dir} -M`);
  assert.match(services.stdout, /^127\.0\.0\.1:10026 +inet .* smtpd .*-o content_filter= /m);
  assert.doesNotMatch(run(`postconf -c ${dir} -n`).stderr, /unused parameter/);
  for (const table of ['transport', 'fumibako_senders']) {
    fs.cpSync(path.join(ROOT, 'deploy/postfix', table), `${dir}/${table}`);
    const made = run(`postmap -c ${dir} ${dir}/${table}`);
    assert.equal(made.all, '');
  }
  assert.equal(run(`postmap -q example.net hash:${dir}/transport || postmap -q '*' hash:${dir}/transport`).stdout.trim(),
    'fumibako:[fumibako.example.jp]:10025');
});

test('what needs a real Box is at least shell', () => {
  const found = marked('run', 'syntax');
  assert.equal(found.length, 1);
  for (const b of found) {
    const r = spawnSync('bash', ['-n'], { input: b.text, encoding: 'utf8' });
    assert.equal(r.status, 0, r.stderr);
  }
});

test('quickstart ends with a notice, twice, and the stack answers the commands of the README', async (t) => {
  const dir = temporary(t);
  const data = `${dir}/stack`;
  const offset = await freeOffset();
  const options = ` --data ${data} --port-offset ${offset}`;
  t.after(() => shell(`deploy/local down${options}`));
  const local = (s) => s.replaceAll('$PWD/build/local', data).replace(/^(deploy\/(?:quickstart|local \w+))/gm, `$1${options}`);

  const script = marked('run', 'quickstart').map((b) => local(b.text)).join('');
  let shown;
  for (const round of ['first', 'second']) {
    const begun = Date.now();
    const r = run(script, { timeout: 600000 });
    shown = r.stdout;
    t.diagnostic(`${round} quickstart: ${((Date.now() - begun) / 1000).toFixed(1)} s`);
    assert.match(r.stdout, /Subject: 契約更新のご案内（御見積）/);
    assert.match(r.stdout, /Take it back /);
    assert.doesNotMatch(r.stdout, /部品Ａ|お打ち合わせ/, 'content of the mail is in the notice');
  }

  // What it says at its end works as well.
  const page = await request(/^and the sender's page +(http:\S+\/s\/\S+)$/m.exec(shown)[1], { headers: { 'accept-language': 'ja' } });
  assert.equal(page.status, 200);
  assert.match(page.body.toString(), /契約更新のご案内（御見積）.*hanako@partner\.example\.com/s);
  const recipient = new Client(`http://127.0.0.1:${8081 + offset}`);
  const door = /^Read it as the recipient +http:\/\/[^/]+(\/r\/\S+)$/m.exec(shown)[1];
  const asked = formOf((await recipient.get(door)).text);
  assert.equal((await recipient.post(asked.action, asked.hidden)).status, 303);
  const showMail = /^it asks for a code; see +(.*)$/m.exec(shown)[1];
  const code = await waitFor(() => /確認コード: (\d{6})/.exec(shell(showMail).stdout)?.[1], { what: 'the mail with the code' });
  const entry = formOf((await recipient.get(door)).text);
  assert.equal((await recipient.post(entry.action, [...entry.hidden, ['code', code]])).status, 303);
  const reading = await recipient.get(door);
  assert.match(reading.text, /契約更新のご案内（御見積）/);
  const body = await recipient.get(`${door}/body.pdf`);
  assert.equal(body.status, 200);
  fs.writeFileSync(`${dir}/body.pdf`, body.body);
  assert.match(run(`pdftotext ${dir}/body.pdf -`).stdout, /お打ち合わせ/);
  const recall = /^Take it back +(.*)$/m.exec(shown)[1];
  assert.match(run(recall).stdout, /^hanako@partner\.example\.com +the notice was out; access is being taken away$/m);
  assert.match(run(/^What became of it +(.*)$/m.exec(shown)[1]).stdout, /hanako@partner\.example\.com/);
  await waitFor(async () => (await recipient.get(`${door}/body.pdf`)).status === 410, { what: 'the recalled mail to be closed' });

  const r = run(['stack', 'policy'].flatMap((kind) => marked('run', kind)).map((b) => local(b.text)).join(''));
  assert.equal(r.stdout.match(/^[0-9A-HJKMNP-TV-Z]{26}$/gm)?.length, 1, r.all); // submit's id
  assert.match(r.stdout, /^hanako@partner\.example\.com: secured by rule|^hanako@partner\.example\.com: passed/m);
  assert.match(r.stdout, /first policy/);

  assert.notEqual(shell(`deploy/local up --data ${dir}/other --port-offset ${offset}`).status, 0, 'a second stack on the same ports');
  run(`deploy/local down${options}`);
  assert.equal(shell(`deploy/local status${options}`).status, 1);
});
