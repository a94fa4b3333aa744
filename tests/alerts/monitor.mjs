// SPDX-License-Identifier: Apache-2.0
//
// A real Prometheus beside a stack, with the rules as they are shipped in a shorter time: each duration of a rule (`for:`, a
// range, an interval, a limit in seconds) is divided by one factor, nothing else is touched.

import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { ROOT, freePort, request, waitFor } from '../support/harness.mjs';

const { parse } = createRequire(import.meta.url)('yaml');
const UNITS = { ms: 1, s: 1000, m: 60000, h: 3600000, d: 86400000 };
const read = (file) => fs.readFileSync(path.join(ROOT, file), 'utf8');

/** "5m" in a shorter time. */
export function shorter(duration, factor) {
  const [, n, unit] = /^(\d+)(ms|s|m|h|d)$/.exec(duration);
  return `${Math.max(1, Math.round(Number(n) * UNITS[unit] / factor))}ms`;
}

/** An expression in a shorter time: its ranges, and what it compares seconds with. */
export const shorterExpr = (expr, factor) => expr
  .replace(/\[(\d+(?:ms|s|m|h|d))\]/g, (_, d) => `[${shorter(d, factor)}]`)
  .replace(/(_seconds(?::max)?\)? > )(\d+)$/, (_, head, n) => `${head}${Number(n) / factor}`);

const GROUPS = ['recording', 'alerts'].flatMap((f) => parse(read(`deploy/prometheus/${f}.yaml`)).groups);
export const ALERTS = GROUPS.flatMap((g) => g.rules).filter((r) => r.alert);

const shorterGroups = (factor) => GROUPS.map((g) => ({ ...g, interval: '500ms',
  rules: g.rules.map((r) => ({ ...r, expr: shorterExpr(r.expr, factor), ...(r.for ? { for: shorter(r.for, factor) } : {}) })) }));

/** Each query of each panel: {where, expr}. */
export function panels() {
  const dir = path.join(ROOT, 'deploy/grafana');
  return fs.readdirSync(dir).filter((f) => f.endsWith('.json')).flatMap((file) => JSON.parse(read(`deploy/grafana/${file}`)).panels
    .flatMap((p) => (p.targets ?? []).map((t) => ({ where: `${file}: ${p.title} (${t.refId})`, expr: t.expr }))));
}

/** As Grafana fills it in for a scrape interval of a second. */
export const concrete = (expr, interval = '10s') => expr.replaceAll('$__rate_interval', interval);

export class Monitor {
  /** services: which are scraped, from the ports of the world. */
  static async start(world, services, { factor }) {
    const m = new Monitor();
    Object.assign(m, { world, factor, services, dir: world.dir, port: await freePort(), seen: [] });
    m.url = `http://127.0.0.1:${m.port}`;
    fs.writeFileSync(path.join(m.dir, 'rules.yaml'), JSON.stringify({ groups: shorterGroups(factor) }));
    m.configure();
    m.process = world.spawn('prometheus', [`--config.file=${m.dir}/prometheus.yml`, `--storage.tsdb.path=${m.dir}/tsdb`,
      `--web.listen-address=127.0.0.1:${m.port}`, '--query.lookback-delta=15s', '--log.level=error']);
    await waitFor(async () => (await request(`${m.url}/-/ready`)).status === 200, { timeout: 120000, interval: 200, what: 'Prometheus' });
    return m;
  }

  /** The shipped scrape configuration, each second, at the ports of this test; without it where `scrapes` is false. */
  configure({ scrapes = true } = {}) {
    const config = parse(read('deploy/prometheus/scrape.yaml').replace(/^ +# +(- \{targets.*)$/gm, '      $1')).scrape_configs;
    config[0].scrape_interval = '1s';
    config[0].static_configs = config[0].static_configs.filter((c) => this.services.includes(c.labels.service));
    for (const c of config[0].static_configs) c.targets = [`127.0.0.1:${this.world.ports[`metrics_${c.labels.service}`]}`];
    fs.writeFileSync(path.join(this.dir, 'prometheus.yml'), JSON.stringify({ global: { evaluation_interval: '500ms' },
      scrape_configs: scrapes ? config : [], rule_files: [path.join(this.dir, 'rules.yaml')] }));
    this.process?.kill('SIGHUP');
  }

  /** All samples that a query gives now. */
  async ask(expr) {
    const answer = (await request(`${this.url}/api/v1/query?query=${encodeURIComponent(expr)}`)).json();
    if (answer.status !== 'success') throw new Error(`${expr}: ${answer.error}`);
    return answer.data.result;
  }

  /** Until a counter of a process that has just begun was scraped twice. */
  async seesFrom0(series) {
    await waitFor(async () => Number((await this.ask(`count_over_time(${series}[3s])`))[0]?.value[1] ?? 0) >= 2, { timeout: 120000, interval: 200, what: series });
  }

  /** The firing alerts of a name. */
  async firing(name) {
    const all = (await request(`${this.url}/api/v1/alerts`)).json().data.alerts;
    return all.filter((a) => a.labels.alertname === name && a.state === 'firing');
  }

  /** Until it fires, with all of `labels`; gives how it stands to a reader, and after how many seconds. */
  async fires(name, { timeout, labels = {}, keep } = {}) {
    const begun = Date.now();
    const alert = await waitFor(async () => {
      await keep?.();
      return (await this.firing(name)).find((a) => Object.entries(labels).every(([k, v]) => a.labels[k] === v));
    }, { timeout, interval: 300, what: `${name} to fire` });
    return { seconds: (Date.now() - begun) / 1000, summary: alert.annotations.summary, severity: alert.labels.severity };
  }

  async ends(name, { timeout }) {
    const begun = Date.now();
    await waitFor(async () => (await this.firing(name)).length === 0, { timeout, interval: 300, what: `${name} to end` });
    return (Date.now() - begun) / 1000;
  }
}
