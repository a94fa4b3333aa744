// SPDX-License-Identifier: Apache-2.0
// Rules and dashboards: they name what the services really export; promtool is content; each alert fires with its cause and
// not without; each has its runbook, whose commands exist.  monitoring_live.test.mjs has a real Prometheus beside a stack.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { ROOT, binDir } from '../../support/harness.mjs';

const { parse } = createRequire(import.meta.url)('yaml');
const read = (file) => fs.readFileSync(path.join(ROOT, file), 'utf8');
const DIR = path.join(ROOT, 'deploy/prometheus');
const rules = ['recording', 'alerts'].flatMap((f) => parse(read(`deploy/prometheus/${f}.yaml`)).groups);
const alerts = rules.flatMap((g) => g.rules).filter((r) => r.alert);
const recorded = rules.flatMap((g) => g.rules).filter((r) => r.record).map((r) => r.record);
const dashboards = fs.readdirSync(path.join(ROOT, 'deploy/grafana')).filter((f) => f.endsWith('.json'))
  .map((f) => ({ file: f, json: JSON.parse(read(`deploy/grafana/${f}`)) }));
const queries = dashboards.flatMap((d) => d.json.panels.flatMap((p) => (p.targets ?? []).map((t) => ({ where: `${d.file}: ${p.title}`, expr: t.expr }))));
const concrete = (expr) => expr.replaceAll('$__rate_interval', '1m');

/** Metrics and their labels, as README.md's table promises them. */
function promised() {
  const table = read('README.md').split('**Metrics.**')[1].split('**Logs.**')[0];
  const all = {};
  for (const m of table.matchAll(/`(fumibako_[a-z0-9_]+)(?:\{([a-z0-9_,]+)\})?`/g)) {
    all[m[1]] = m[2] ? m[2].split(',') : [];
  }
  for (const m of table.matchAll(/`(fumibako_queue_depth)\{/g)) all[m[1]] = ['stage', 'state'];
  return all;
}
const SCRAPED = ['instance', 'job', 'service']; // labels that the scrape gives

const have = (c) => spawnSync('sh', ['-c', `command -v ${c}`]).status === 0;
const noPromtool = !have('promtool') && 'promtool is not installed (package prometheus)';
const promtool = (...args) => spawnSync('promtool', args, { encoding: 'utf8', cwd: DIR });

test('every metric and label in a rule or a panel is one that README.md and the programs know', () => {
  const known = promised();
  const source = spawnSync('grep', ['-rhoE', '"fumibako_[a-z0-9_]+"', path.join(ROOT, 'common'), path.join(ROOT, 'services'), '--include=*.c'], { encoding: 'utf8' }).stdout;
  const used = new Set();
  for (const { where, expr } of [...queries, ...rules.flatMap((g) => g.rules).map((r) => ({ where: r.alert ?? r.record, expr: r.expr }))]) {
    for (const m of expr.matchAll(/\b(fumibako[:a-z0-9_]+)(?:\{([^}]*)\})?/g)) {
      if (/^"|^$/.test(m[1]) || expr[m.index - 1] === '"' || expr.slice(0, m.index).endsWith('(.+/)?')) continue; // job="fumibako"
      if (m[1].includes(':')) { assert.ok(recorded.includes(m[1]), `${where}: ${m[1]} is not recorded`); continue; }
      const name = m[1].replace(/_bucket$/, '');
      assert.ok(known[name], `${where}: README.md does not know ${name}`);
      assert.ok(source.includes(`"${name}"`), `${where}: no program makes ${name}`);
      for (const label of (m[2] ?? '').matchAll(/(\w+)\s*[=!]~?/g)) {
        assert.ok([...known[name], ...SCRAPED].includes(label[1]), `${where}: ${name} has no label ${label[1]}`);
      }
      used.add(name);
    }
  }
  // What is grouped by, and what an alert's words name, is a label there.
  const labelsOf = (expr) => [...expr.matchAll(/\bfumibako_[a-z0-9_]+/g)].flatMap((m) => known[m[0].replace(/_bucket$/, '')] ?? []);
  const grouped = (expr) => [...expr.matchAll(/\bby \(([^)]*)\)/g)].flatMap((m) => m[1].split(/, */));
  for (const { where, expr } of [...queries, ...rules.flatMap((g) => g.rules).map((r) => ({ where: r.alert ?? r.record, expr: r.expr }))]) {
    for (const label of grouped(expr)) assert.ok([...labelsOf(expr), ...SCRAPED, 'le', 'version'].includes(label), `${where}: there is no label ${label} to group by`);
  }
  for (const a of alerts) {
    const source = rules.flatMap((g) => g.rules).find((r) => r.record && a.expr.includes(r.record))?.expr ?? a.expr;
    const left = /\bby \(/.test(source) ? grouped(source) : /\b(sum|min|max|absent)\(/.test(source) ? [] : SCRAPED;
    for (const m of Object.values(a.annotations).join(' ').matchAll(/\$labels\.(\w+)/g)) assert.ok(left.includes(m[1]), `${a.alert}: its words name ${m[1]}, which is not left`);
  }
  // What README.md has in bold ("alert on these") has an alert.
  const bold = read('README.md').split('**Metrics.**')[1].split('**Logs.**')[0].split('\n').slice(1).filter((l) => /\*\*/.test(l)).flatMap((l) => [...l.split('|')[1].matchAll(/fumibako_[a-z0-9_]+/g)].map((m) => m[0]));
  const alerted = alerts.map((a) => a.expr.replace(/fumibako:(\w+?):\w+/g, 'fumibako_$1')).join(' ');
  const lines = read('README.md').split('**Metrics.**')[1].split('**Logs.**')[0].split('\n').filter((l) => /^\|.*\*\*/.test(l));
  for (const line of lines) {
    const names = [...line.split('|')[1].matchAll(/fumibako_[a-z0-9_]+/g)].map((m) => m[0]);
    assert.ok(names.some((n) => alerted.includes(n)), `no alert on ${names}`);
  }
  assert.ok(bold.length > 10 && used.size > 35, `${used.size} metrics are used`);
});

test('promtool reads the rules, and each alert fires with its cause and not without', { skip: noPromtool }, () => {
  for (const args of [['check', 'rules', 'recording.yaml', 'alerts.yaml'], ['test', 'rules', 'alerts.test.yaml']]) {
    const r = promtool(...args);
    assert.equal(r.status, 0, r.stdout + r.stderr);
  }
  const tested = parse(read('deploy/prometheus/alerts.test.yaml')).tests.map((t) => t.name);
  for (const a of alerts) for (const name of [a.alert, `${a.alert}, without its cause`]) assert.ok(tested.includes(name), name);
});

test('each alert has a severity, words, and a runbook that is there, in both languages', () => {
  const anchorsOf = (file) => [...read(file).matchAll(/^## (.+)$/gm)].map((m) => m[1].toLowerCase().replace(/[^a-z0-9 -]/g, '').replace(/ /g, '-'));
  const anchors = anchorsOf('deploy/runbooks.md');
  assert.deepEqual(anchorsOf('deploy/runbooks.ja.md'), anchors);
  for (const a of alerts) {
    assert.ok(['page', 'ticket'].includes(a.labels.severity), a.alert);
    assert.ok(a.annotations.summary && a.annotations.description, a.alert);
    const [file, anchor] = a.annotations.runbook.split('#');
    assert.equal(file, 'deploy/runbooks.md');
    assert.ok(anchors.includes(anchor), `${a.alert}: no runbook ${anchor}`);
  }
  assert.equal(new Set(alerts.map((a) => a.alert)).size, alerts.length);
});

test('the severities and commands of the runbooks and of the operations guide are true', () => {
  const usage = spawnSync(path.join(binDir(), 'fumibako'), ['--help'], { encoding: 'utf8' }).stdout;
  const lines = usage.split('\n').filter((l) => /^ {2}[a-z]/.test(l));
  for (const file of ['deploy/runbooks.md', 'deploy/runbooks.ja.md']) {
    const parts = read(file).split(/^## /m).slice(1);
    for (const a of alerts) {
      const part = parts.find((p) => p.startsWith(`${a.alert}\n`));
      assert.equal(/^\*(page|ticket)\*/m.exec(part)?.[1], a.labels.severity, `${file}: ${a.alert}`);
      assert.match(part, /^1\. /m, `${file}: ${a.alert} has a step`);
    }
  }
  let count = 0;
  for (const file of ['deploy/runbooks.md', 'deploy/runbooks.ja.md', 'deploy/README.md']) {
    const commands = [...read(file).matchAll(/`(fumibako\s[^`]+)`|^(?:runuser -u fumibako -- )?(fumibako .*)$/gm)].map((m) => (m[1] ?? m[2]).replace(/\s+/g, ' ').split(' ').slice(1));
    for (const words of commands) {
      const verb = words.filter((w) => /^[a-z]+$/.test(w)).slice(0, 2);
      const known = lines.find((l) => `${l.trim()} `.startsWith(`${verb.join(' ')} `)) ?? lines.find((l) => `${l.trim()} `.startsWith(`${verb[0]} `) && verb.length === 1);
      assert.ok(known, `${file}: there is no command "${words.join(' ')}"`);
      for (const option of words.filter((w) => w.startsWith('--'))) assert.ok(usage.includes(option), `${file}: "${words.join(' ')}" has no ${option}`);
      const state = words[words.indexOf('--state') + 1];
      if (words.includes('--state')) assert.match(usage, new RegExp(`--state [a-z|]*\\b${state}\\b`), `${file}: there is no state ${state}`);
      count++;
    }
  }
  assert.ok(count > 40, `${count} commands`);
});

test('each metric that README.md promises is in a panel', () => {
  const shown = queries.map((q) => q.expr).join(' ');
  const missing = Object.keys(promised()).filter((n) => !new RegExp(`\\b${n}(_bucket)?\\b`).test(shown));
  assert.deepEqual(missing, []);
});

test('the operator of Prometheus gets the same rules', () => {
  assert.deepEqual(parse(read('k8s/components/monitoring/rules.yaml')).spec.groups, rules);
});

test('dashboards: every panel has a query that Prometheus can read, a place of its own, and no fixed data source', { skip: noPromtool }, (t) => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'fumibako-panels-'));
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
  const file = path.join(dir, 'panels.yaml');
  fs.writeFileSync(file, JSON.stringify({ groups: [{ name: 'panels', rules: queries.map((q, i) => ({ record: `panel_${i}`, expr: concrete(q.expr) })) }] }));
  const r = promtool('check', 'rules', file);
  assert.equal(r.status, 0, r.stdout + r.stderr);
  assert.deepEqual(dashboards.map((d) => d.json.uid).sort(), ['fumibako-operations', 'fumibako-security']);
  for (const { file: name, json } of dashboards) {
    const ids = json.panels.map((p) => p.id);
    assert.equal(new Set(ids).size, ids.length);
    const cells = new Set();
    for (const p of json.panels) {
      const { x, y, w, h } = p.gridPos;
      assert.ok(x + w <= 24, `${name}: ${p.title} is too wide`);
      for (let i = x; i < x + w; i++) for (let j = y; j < y + h; j++) {
        assert.ok(!cells.has(`${i},${j}`), `${name}: ${p.title} lies on another panel`);
        cells.add(`${i},${j}`);
      }
      if (p.type === 'row') continue;
      assert.equal(p.datasource.uid, '${datasource}');
      assert.ok(p.targets.length > 0 && p.title && p.fieldConfig.defaults.unit, `${name}: ${p.title}`);
    }
    assert.ok(json.schemaVersion >= 39 && json.templating.list.some((v) => v.type === 'datasource'));
  }
});
