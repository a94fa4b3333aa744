// SPDX-License-Identifier: Apache-2.0
//
// Every alert of deploy/prometheus/alerts.yaml: its cause is made, it fires, the cause is mended, it ends.  `run` starts this.

import { parseArgs } from 'node:util';
import { ALERTS } from './monitor.mjs';
import { RUN } from './causes.mjs';
import { playGroup } from './play.mjs';
import { Scene } from './scene.mjs';

const { values } = parseArgs({ options: { factor: { type: 'string', default: '60' }, only: { type: 'string', default: '' }, logs: { type: 'boolean', default: false } } });
const factor = Number(values.factor);
const only = new RegExp(values.only);
const groups = RUN.map((g) => g.filter((c) => Object.keys(c.alerts).some((n) => only.test(n)))).filter((g) => g.length > 0);

const begun = Date.now();
const line = (...cells) => console.log(`| ${cells.join(' | ')} |`);
const seconds = (n) => (n === undefined ? '-' : n.toFixed(0));
const rows = [];
const scene = await Scene.start(null, { factor });
line('alert', 'cause', 'fired after, s', 'ended after, s', 'it says');
line('---', '---', '---', '---', '---');
try {
  for (const group of groups) {
    rows.push(...await playGroup(scene, group, { say: (r) => line(r.name, r.what, seconds(r.seconds), seconds(r.ended), r.error ? `FAILED: ${r.error}` : r.summary) }));
  }
  if (values.logs) console.log(scene.stack.logs());
} finally {
  await scene.stack.end().catch((error) => { rows.push({ name: 'end', error: error.message }); });
}
const missing = values.only ? [] : ALERTS.map((a) => a.alert).filter((n) => !rows.some((r) => r.name === n));
const failed = rows.filter((r) => r.error);
for (const r of failed) console.log(`FAILED ${r.name}: ${r.error}`);
if (missing.length > 0) console.log(`without a cause here: ${missing.join(', ')}`);
const good = new Set(rows.filter((r) => !r.error).map((r) => r.name)).size;
console.log(`${good} alerts fired and ended, ${failed.length} failed, ${missing.length} without a cause, factor ${factor}, ${((Date.now() - begun) / 60000).toFixed(1)} minutes`);
process.exit(failed.length > 0 || missing.length > 0 ? 1 : 0);
