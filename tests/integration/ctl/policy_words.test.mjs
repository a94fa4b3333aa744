// SPDX-License-Identifier: Apache-2.0
// What is found in a policy comes in the reader's language, and nothing that can be found lacks Japanese words.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { ROOT } from '../../support/harness.mjs';
import { Desk, POLICIES, run } from './kit.mjs';

const BROKEN = path.join(POLICIES, 'broken-many.yaml');
const place = (f) => [f.line, f.severity, f.text.replace(/: .*/, '')];

test('check: the same findings at the same places, in the language of --language or LC_*', async () => {
  const look = async (args, env) => (await run(['policy', 'check', BROKEN, '--json', ...args], { env })).json().findings;
  const english = await look(['--language', 'en'], { LC_ALL: 'ja_JP.UTF-8' });
  const japanese = await look(['--language', 'ja'], { LC_ALL: 'C.UTF-8' });
  assert.deepEqual(await look([], { LC_ALL: 'ja_JP.UTF-8' }), japanese);
  assert.deepEqual(await look([], { LC_ALL: 'C.UTF-8' }), english);
  assert.deepEqual(japanese.map(place), english.map(place));
  for (const f of japanese) assert.match(f.text, /[ぁ-ん]/);
  const unknown = (list) => list.find((f) => f.text.includes('bxo')).text;
  assert.equal(unknown(english), 'rules[0].storage: unknown storage "bxo"; known: box, box');
  assert.equal(unknown(japanese), 'rules[0].storage: 保管先「bxo」はありません。使える保管先: box, box');

  const shown = await run(['policy', 'check', BROKEN, '--language', 'ja']);
  assert.equal(shown.status, 1);
  assert.match(shown.stderr, /:5: error: storages\[2\]: 「name」を指定してください\n/);
  assert.match(shown.stderr, /: 誤りが 17 件あるため、有効にできません\n$/);
  const good = await run(['policy', 'check', path.join(POLICIES, 'vault-only.yaml'), '--language', 'ja']);
  assert.match(good.stdout, /: 誤りはありません: ルール 1 件、保管先 1 件、版 [0-9a-f]{12}\n$/);
  const other = await run(['policy', 'check', BROKEN, '--language', 'fr']);
  assert.equal(other.status, 2);
  assert.match(other.stderr, /--language takes ja or en/);
});

test('apply and rollback: in Japanese', async (t) => {
  const desk = await Desk.create(t);
  const refused = await desk.ctl('policy', 'apply', BROKEN, '--language', 'ja', '--json');
  assert.deepEqual([refused.status, refused.json().error.code, refused.json().findings.length], [1, 'invalid', 18]);
  assert.ok(refused.json().findings.every((f) => /[ぁ-ん]/.test(f.text)));
  const warned = await desk.ok('policy', 'apply', path.join(POLICIES, 'minimal.yaml'), '--language', 'ja');
  assert.match(warned.stdout, /:2: warning: rules: ルールがないため、すべてのメールがそのまま送信されます\n有効になりました: 版 [0-9a-f]{12}、ルール 0 件、番号 1。/);
  assert.match((await desk.ok('policy', 'rollback', '1', '--language', 'ja')).stdout, /\n有効になりました: .*番号 2。/);
});

/** The literals of a source, pieces put together, without #include and comments. */
function literals(file) {
  const source = fs.readFileSync(path.join(ROOT, 'common', file), 'utf8').replace(/^#.*$/gm, '');
  const code = source.replace(/"(?:[^"\\\n]|\\.)*"|\/\*[\s\S]*?\*\/|'(?:[^'\\\n]|\\.)+'/g, (m) => (m.startsWith('"') ? m : ' '));
  return [...code.matchAll(/"(?:[^"\\\n]|\\.)*"(?:\s*"(?:[^"\\\n]|\\.)*")*/g)]
    .map(([m]) => [...m.matchAll(/"((?:[^"\\\n]|\\.)*)"/g)].map((p) => p[1]).join(''));
}

const prose = /[a-z]{2,}[^a-z%]* |%[^ ]* [a-z]{2}|: %|\ba [a-z]+$/i;

test('nothing that is found in a policy lacks Japanese words, and both have the same values', () => {
  const words = new Map(['policy/finding_words.c', 'policy/yaml_words.c'].flatMap((file) => {
    const rows = literals(file);
    assert.equal(rows.length % 2, 0, file);
    return rows.flatMap((w, i) => (i % 2 === 0 ? [[w, rows[i + 1]]] : []));
  }));
  // Faults of other things than a document, places of both languages, the parts of a complaint of libyaml.
  const others = /^(path of rule.*|line |document: %s|%s\.path: %s|out of memory|line %zu: %s(%s%s)?|cannot start any token)$/;
  const sources = fs.readdirSync(path.join(ROOT, 'common/policy')).filter((f) => /^(parse.*|findings|read|terms|subsume|regex|path)\.c$/.test(f));
  let count = 0;
  for (const file of [...sources.map((f) => `policy/${f}`), 'yaml.c']) {
    for (const said of literals(file).filter((w) => prose.test(w) && !others.test(w))) {
      assert.ok(words.has(said), `${file}: "${said}"`);
      count++;
    }
  }
  assert.ok(count > 120, `${count}`);
  const values = (w) => [...w.replace(/%(YAML|TAG)/g, '').matchAll(/%(?:%|[-0-9.*]*(?:z|l{0,2})[a-zA-Z])/g)].map(([v]) => v);
  for (const [en, ja] of words) {
    if (!/^%s: \\"%\.80s\\":? %s$/.test(en)) assert.match(ja, /[^\x00-\x7f「」]/, en);
    assert.deepEqual(values(ja), values(en), en);
    const at = /^((?:line %d|line 1|document|notices\.logo|(?:%s|rules|groups)[^ :]*): )/.exec(en)?.[1] ?? '';
    assert.ok(ja.startsWith(at), en);
  }
});
