// SPDX-License-Identifier: Apache-2.0
// The pages are made of others' work as well: its licences are served beside them.  That no package of the bundle is left
// out is checked by each build (web/vite.config.ts); here, what a reader gets.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { ROOT, request } from '../../support/harness.mjs';
import { Console } from './api-kit.mjs';

const WEB = path.join(ROOT, 'services/console/web');
const read = (name) => JSON.parse(fs.readFileSync(path.join(WEB, name), 'utf8'));

test('licences.txt lies beside the script and names every package of it, with its version and its licence', async (t) => {
  const c = await Console.create(t);
  const page = (await request(`${c.base}/system`)).body.toString();
  const script = /src="(\/assets\/[0-9a-f]+\/)console\.js"/.exec(page);
  assert.ok(script, page);
  const answer = await request(`${c.base}${script[1]}licences.txt`);
  assert.equal(answer.status, 200);
  assert.equal(answer.headers['content-type'], 'text/plain; charset=utf-8');
  const bundle = (await request(`${c.base}${script[1]}console.js`)).body.toString();
  assert.ok(bundle.includes('"licences.txt"') && bundle.includes('import.meta.url'), 'the page "System" leads to it');

  const parts = answer.body.toString().split(`\n\n${'-'.repeat(80)}\n\n`).map((part) => {
    const [, name, version, licence, text] = /^((?:@[\w-]+\/)?[\w.-]+) (\d\S*) \((.+)\)\n\n([^]+)$/.exec(part) ?? assert.fail(part.slice(0, 100));
    return { name, version, licence, text };
  });
  const lock = read('package-lock.json').packages;
  for (const { name, version, licence, text } of parts) {
    const locked = lock[`node_modules/${name}`];
    assert.equal(locked?.version, version, name);
    assert.ok(!locked.dev, `${name} is for the build alone`);
    assert.ok(licence && text.trim().length > 60, `${name}: ${text}`);
  }
  const names = parts.map((p) => p.name);
  for (const name of Object.keys(read('package.json').dependencies)) assert.ok(names.includes(name), name);
  assert.match(parts.find((p) => p.name === 'react').text, /Copyright .*Permission is hereby granted/s);
});
