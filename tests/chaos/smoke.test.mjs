// SPDX-License-Identifier: Apache-2.0
//
// A minute of chaos with the programs as they are shipped: nothing lost, nothing leaked, each second copy explained.
// `tests/chaos/run` is the long one.

import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { ROOT, remove } from '../support/harness.mjs';
import { hasPostfix } from '../support/postfix.mjs';

const canUnshare = () => spawnSync('unshare', ['--net', '--mount', '--pid', '--mount-proc', '--fork', 'true']).status === 0;
const skip = !hasPostfix() ? 'needs root and Postfix' : canUnshare() ? false : 'no name spaces can be made here';

const release = path.join(ROOT, 'build/release/bin');
const bin = fs.existsSync(path.join(release, 'fumibako-ingest')) ? release : process.env.FB_BIN;
const SEED = process.env.FB_CHAOS_SEED ?? '5';

test('a minute of mail with a fault every three seconds: nothing lost, nothing leaked, all explained', { skip, timeout: 20 * 60000 }, async (t) => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'fumibako-smoke-'));
  t.after(() => remove(dir));
  const child = spawn(path.join(ROOT, 'tests/chaos/run'), ['--minutes', '0.7', '--mails', '150', '--every', '3', '--seed', SEED, '--users', '20'],
    { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, FB_BIN: bin, CHAOS_DIR: path.join(dir, 'chaos') } });
  let output = '';
  child.stdout.on('data', (c) => { output += c; });
  child.stderr.on('data', (c) => { output += c; });
  const [code] = await once(child, 'close');
  t.diagnostic(/^faults +.*$/m.exec(output)?.[0] ?? 'no table');
  t.diagnostic(/^ends +.*$/m.exec(output)?.[0] ?? '');
  t.diagnostic(/^duplicates +.*$/m.exec(output)?.[0] ?? '');
  assert.equal(code, 0, output);
  assert.match(output, /^lost 0, leaked 0, wrong recipient 0, changed 0, twice without explanation 0, disagreements 0, crashes 0$/m);
  assert.match(output, /^faults +([5-9]|\d\d)/m, 'something happened');
});
