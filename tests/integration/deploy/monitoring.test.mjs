// SPDX-License-Identifier: Apache-2.0
// Rules and dashboards: they name what the services really export; promtool is content; each alert fires with its cause and
// not without; each has its runbook.  Then a real Prometheus scrapes a running stack, is asked what each panel asks, and
// an alert comes and goes.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { ROOT, Smtp, freePort, request, waitFor } from '../../support/harness.mjs';
import { Relay } from '../../support/relay.mjs';
import { Stack } from '../../e2e/stack.mjs';

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

test('each alert has a severity, words, and a runbook that is there', () => {
  const runbooks = read('deploy/runbooks.md');
  const anchors = [...runbooks.matchAll(/^## (.+)$/gm)].map((m) => m[1].toLowerCase().replace(/[^a-z0-9 -]/g, '').replace(/ /g, '-'));
  for (const a of alerts) {
    assert.ok(['page', 'ticket'].includes(a.labels.severity), a.alert);
    assert.ok(a.annotations.summary && a.annotations.description, a.alert);
    const [file, anchor] = a.annotations.runbook.split('#');
    assert.equal(file, 'deploy/runbooks.md');
    assert.ok(anchors.includes(anchor), `${a.alert}: no runbook ${anchor}`);
  }
  assert.equal(new Set(alerts.map((a) => a.alert)).size, alerts.length);
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

// What has no value until the thing happens, which this stack does not see.
const RARE = /rejected|portal_refused|connections_refused|purges|foreign_links|webhooks|letters|watch_failures|s3_requests|portal_recalls|deleted_pending|accesses|queue_newer|bulk|storage_limit|sweep|damaged|recalled\|lost|recalls_total|limit_remaining|fumibako_alarm/;

test('a real Prometheus: every panel is answered, and an alert comes with its cause and goes with it', { skip: !have('prometheus') && 'prometheus is not installed' }, async (t) => {
  const relay = await Relay.start({});
  t.after(() => relay.stop());
  const stack = await Stack.start(t, { postfix: false, services: [], overrides: { rewrite: { relay: `smtp://127.0.0.1:${relay.port}`, alarm_mail: 'off' }, watch: { interval: '1s' } } });
  const services = ['ingest', 'render', 'upload', 'rewrite', 'revoke', 'watch', 'portal', 'console'];
  await Promise.all(services.map((s) => stack.startService(s)));
  const { dir, ports } = stack.world;
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const scrape = parse(read('deploy/prometheus/scrape.yaml')).scrape_configs;
  assert.deepEqual(scrape[0].static_configs.map((c) => c.labels.service).sort(), [...services].sort());
  scrape[0].scrape_interval = '1s';
  for (const c of scrape[0].static_configs) c.targets = [`127.0.0.1:${ports[`metrics_${c.labels.service}`]}`];
  for (const f of ['recording', 'alerts']) { // at once, not after minutes
    fs.writeFileSync(path.join(dir, `${f}.yaml`), read(`deploy/prometheus/${f}.yaml`).replace(/^ +for: .*\n/gm, '').replace('interval: 30s', 'interval: 1s'));
  }
  fs.writeFileSync(path.join(dir, 'prometheus.yml'), JSON.stringify({ global: { evaluation_interval: '1s' }, scrape_configs: scrape,
    rule_files: [path.join(dir, 'recording.yaml'), path.join(dir, 'alerts.yaml')] }));
  stack.world.spawn('prometheus', [`--config.file=${dir}/prometheus.yml`, `--storage.tsdb.path=${dir}/tsdb`, `--web.listen-address=127.0.0.1:${port}`, '--log.level=error']);
  const ask = async (expr) => (await request(`${url}/api/v1/query?query=${encodeURIComponent(expr)}`)).json();
  await waitFor(async () => (await ask('sum(up)')).data.result[0]?.value[1] === String(services.length), { timeout: 30000, what: 'all services up' });

  for (let round = 0; round < 3; round++) {
    const smtp = await Smtp.connect(ports.smtp);
    for (let i = 0; i < 2; i++) {
      const reply = await smtp.send({ from: 'taro@example.jp', to: [`p${round}${i}@partner.example.com`], content: `From: taro@example.jp\r\nSubject: m${round}${i}\r\n\r\nHello\r\n` });
      assert.equal(reply.code, 250, reply.text);
    }
    smtp.close();
    await waitFor(() => relay.mails.length >= (round + 1) * 2, { timeout: 60000, what: 'the notices' });
    await request(`http://127.0.0.1:${ports.portal}/s/AAAAAAAAAAAAAAAAAAAAAA`);
  }
  let empty = [];
  await waitFor(async () => {
    empty = [];
    for (const q of queries) {
      const answer = await ask(concrete(q.expr));
      assert.equal(answer.status, 'success', `${q.where}: ${answer.error}`);
      if (answer.data.result.length === 0 && !RARE.test(q.expr)) empty.push(`${q.where}: ${q.expr}`);
    }
    return empty.length === 0;
  }, { timeout: 30000, interval: 500, what: 'an answer to each panel' }).catch((e) => assert.fail(`${e.message}: ${empty.join('\n')}`));

  const firing = async (name) => (await ask(`ALERTS{alertname="${name}",alertstate="firing"}`)).data.result.length;
  assert.equal(await firing('FumibakoServiceDown'), 0);
  assert.equal(await firing('FumibakoRedisNotTold'), 0);
  await stack.by.portal.stop();
  await waitFor(() => firing('FumibakoServiceDown'), { timeout: 30000, what: 'the alert' });
  await stack.startService('portal');
  await waitFor(async () => await firing('FumibakoServiceDown') === 0, { timeout: 30000, what: 'its end' });
});
