// SPDX-License-Identifier: Apache-2.0
// Every mail of a corpus through the sandboxed reader and painters: each ends painted, untouched or held with a reason;
// no child dies.  The corpus is no part of the project: FUMIBAKO_SHARED names the folder that holds corpus/.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { ROOT, Smtp, waitFor } from '../../support/harness.mjs';
import { RenderWorld, hasChromium, tool } from './kit.mjs';

const corpus = path.join(process.env.FUMIBAKO_SHARED ?? path.join(ROOT, '../shared'), 'corpus');
const skip = !fs.existsSync(path.join(corpus, 'index.tsv')) ? `no corpus at FUMIBAKO_SHARED (${corpus})`
  : !hasChromium && 'chromium-headless-shell is not installed';

test('each mail of the corpus ends painted, untouched or held with a reason; no child dies', { skip }, async (t) => {
  // What the time limit does is hostile.test.mjs's business: here, a machine may be as slow as it is.
  const w = await RenderWorld.create(t, { render: { concurrency: 2, timeout: '180s' }, queue: { sender_rate: 0 } });
  const names = fs.readFileSync(path.join(corpus, 'index.tsv'), 'utf8').split('\n').slice(1).filter(Boolean).map((l) => l.split('\t')[0]);
  const outcomes = {};
  const count = (what, name) => { (outcomes[what] ??= []).push(name); };
  const ids = new Map();
  const smtp = await Smtp.connect(w.world.ports.smtp, { timeout: 60000 });
  for (const name of names) {
    // As an MTA would hand it over: CRLF lines, no NUL.
    const content = fs.readFileSync(path.join(corpus, 'files', name)).toString('latin1').replace(/\r\n|\r|\n/g, '\r\n').replaceAll('\0', '');
    const reply = await smtp.send({ from: 'taro@example.jp', to: ['hanako@example.com'], content: Buffer.from(content, 'latin1') });
    if (reply.code === 250) ids.set(reply.id, name);
    else count(`refused by ingest: ${reply.text}`, name);
  }
  smtp.close();
  const results = await waitFor(async () => {
    const found = await w.outcomes();
    return found.size >= ids.size && found;
  }, { timeout: 1500000, interval: 500, what: 'the whole corpus' });
  for (const [id, name] of ids) {
    const result = results.get(id);
    assert.ok(result, `${name}: no outcome`);
    if (result.dead) {
      count(`held: ${result.dead.status}: ${result.dead.reason}`, name);
      continue;
    }
    const { plan } = await w.outcome(id);
    const kind = plan.branches.map((b) => b.kind).join();
    count(kind === 'secure' ? `painted by ${plan.painter}` : kind, name);
    if (kind !== 'secure') continue;
    const l = await w.open(id, plan);
    assert.match(tool('pdfinfo', [l.pdf]), /Pages:\s+[1-9]/, name);
    assert.ok(l.text.trim().length > 0, `${name}: a PDF without text`);
    fs.rmSync(l.pdf);
  }
  for (const [what, list] of Object.entries(outcomes)) t.diagnostic(`${list.length} ${what}${list.length < 4 ? `: ${list.join(' ')}` : ''}`);
  assert.deepEqual(Object.keys(outcomes).filter((o) => /crashed|bug|invalid/.test(o)), []);
  assert.deepEqual(w.render.log.filter((l) => l.result === 'retry').map((l) => `${ids.get(l.msg_id)}: ${l.reason}`), []);
});
