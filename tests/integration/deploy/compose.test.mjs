// SPDX-License-Identifier: Apache-2.0
// deploy/compose.yaml, with remote images, started as a whole: mail goes through and into the vault, the pages answer, and
// who has no business with each other does not reach each other.
//   FB_COMPOSE=up           podman-compose, podman, root; images localhost/fumibako:dev and localhost/fumibako-render:dev
//   FB_IMAGES="PLAIN RENDER"   takes these images instead

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { ROOT, Smtp, freePorts, request, waitFor } from '../../support/harness.mjs';
import { Relay } from '../../support/relay.mjs';
import { textOf } from '../../e2e/stack.mjs';
import { inside, lacks, podman, redisImage } from './play_kit.mjs';

const { parse } = createRequire(import.meta.url)('yaml');
const given = (process.env.FB_IMAGES ?? '').split(/\s+/).filter((x) => x.includes('/'));
const [plain, render] = given.length === 2 ? given : ['localhost/fumibako:dev', 'localhost/fumibako-render:dev'];
const skip = process.env.FB_COMPOSE !== 'up' ? 'FB_COMPOSE=up starts compose.yaml (minutes; podman-compose, root, the images)'
  : spawnSync('podman-compose', ['--version']).status !== 0 ? 'podman-compose is not installed' : lacks([plain, render]);

const PORTS = { ingest: 9101, render: 9102, upload: 9103, rewrite: 9104, revoke: 9105, watch: 9106, console: 9107, portal: 9108, fetch: 9109 };
const POLICY = `storages:
  - {name: vault, type: vault, url: "file:///var/lib/fumibako/vault", key_file: /run/secrets/vault.key}
security_definitions:
  - {name: recipients only, access: recipients, proof: link}
rules:
  - {name: on demand, when: {subject: ["[secure]"]}, action: secure, storage: vault, security: recipients only}
`;
const SECRET = 'The plan is called orchid.';

/** Secrets as the head of compose.yaml says: owner 10001, mode 400. */
function secretsIn(dir) {
  const key = () => `k1:${randomBytes(32).toString('base64')}\n`;
  const token = () => randomBytes(48).toString('base64');
  fs.mkdirSync(dir);
  for (const [name, text] of Object.entries({ 'spool.key': key(), 'vault.key': key(), 'rewrite.key': token(), 'fetch.token': token(), 'box.json': '{}' })) {
    fs.writeFileSync(path.join(dir, name), text, { mode: 0o400 });
    fs.chownSync(path.join(dir, name), 10001, 10001);
  }
}

test('compose.yaml with remote images: a mail goes through, one into the vault, the pages answer', { skip, timeout: 1200000 }, async (t) => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'fumibako-compose-'));
  fs.chmodSync(dir, 0o755);
  const project = `fumibako${process.pid}`;
  const [smtpPort, portalPort, consolePort] = await freePorts(3);
  const relay = await Relay.start({}, 0, '0.0.0.0');
  secretsIn(path.join(dir, 'secrets'));
  const files = ['deploy/compose.yaml', 'deploy/compose.remote-images.yaml'].map((f) => path.join(ROOT, f));
  // Where this machine itself may not have so many files open, its containers may not either (nor Podman's many processes).
  const most = Number(/^Max open files\s+\d+\s+(\d+)/m.exec(fs.readFileSync('/proc/self/limits', 'utf8'))[1]);
  if (most < 65536) {
    const services = files.flatMap((f) => Object.entries(parse(fs.readFileSync(f, 'utf8'), { merge: true }).services));
    files.push(path.join(dir, 'limits.yaml'));
    fs.writeFileSync(files.at(-1), JSON.stringify({ services: Object.fromEntries(services.filter(([, s]) => s.ulimits)
      .map(([name]) => [name, { ulimits: { core: 0, nofile: 4096, nproc: 4096 } }])) }));
  }
  const env = { ...process.env, FUMIBAKO_IMAGE: plain, FUMIBAKO_RENDER_IMAGE: render, REDIS_IMAGE: redisImage(), FUMIBAKO_SECRETS: path.join(dir, 'secrets'),
    FUMIBAKO_HOST_ADDRESS: Object.values(os.networkInterfaces()).flat().find((a) => a.family === 'IPv4' && !a.internal)?.address,
    FUMIBAKO_RELAY: `smtp://host.docker.internal:${relay.port}`, FUMIBAKO_SMTP_PORT: String(smtpPort), FUMIBAKO_PORTAL_PORT: String(portalPort),
    FUMIBAKO_CONSOLE_PORT: String(consolePort) };
  const compose = (args, { input, ok = [0] } = {}) => {
    const r = spawnSync('podman-compose', ['-p', project, ...files.flatMap((f) => ['-f', f]), ...args], { env, input, encoding: 'utf8', timeout: 600000 });
    assert.ok(ok.includes(r.status), `podman-compose ${args.join(' ')}: ${r.stdout}\n${r.stderr}`);
    return r.stdout;
  };
  const container = (s) => `${project}_${s}_1`;
  t.after(async () => {
    compose(['down', '-v', '-t', '5'], { ok: [0, 1, 125] });
    for (const n of ['inside', 'outside', 'images']) podman(['network', 'rm', '-f', `${project}_${n}`], { ok: [0, 1] });
    await relay.stop();
    fs.rmSync(dir, { recursive: true, force: true });
  });
  const said = compose(['up', '-d']);

  const addresses = (s) => podman(['inspect', container(s), '-f', '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}'], { ok: [0, 125] }).split(/\s+/);
  for (const [s, port] of Object.entries(PORTS)) {
    await waitFor(async () => (await request(`http://${addresses(s)[0]}:${port}/readyz`, { timeout: 2000 })).status === 200, { timeout: 180000, interval: 200, what: `${s} to be ready` })
      .catch((e) => { throw new Error(`${e.message}\n${said}\n${spawnSync('podman', ['logs', container(s)], { encoding: 'utf8' }).stderr}`); });
  }
  for (const s of ['redis', ...Object.keys(PORTS)]) {
    const [c] = JSON.parse(podman(['inspect', container(s)]));
    const status = fs.readFileSync(`/proc/${c.State.Pid}/status`, 'utf8');
    assert.match(status, /^Uid:\t[1-9]\d*\t/m, s);
    for (const line of [/^CapBnd:\t0+$/m, /^CapEff:\t0+$/m, /^NoNewPrivs:\t1$/m, /^Seccomp:\t2$/m]) assert.match(status, line, s);
    assert.equal(c.HostConfig.ReadonlyRootfs, true, s);
    for (const m of c.Mounts.filter((x) => x.Type === 'volume')) assert.ok(m.Name.startsWith(`${project}_`), `${s}: ${m.Destination} would stay behind without a name`);
  }

  // As the head of the file says.
  compose(['exec', '-T', 'console', '/usr/bin/fumibako', 'policy', 'apply', '/dev/stdin'], { input: POLICY });
  const added = inside(container('console'), ['/usr/bin/fumibako', '--json', 'user', 'add', 'hanako', 'admin']);
  assert.equal(added.code, 0, added.err);
  const smtp = await Smtp.connect(smtpPort);
  for (const subject of ['plan', '[secure] plan']) {
    await waitFor(async () => (await smtp.send({ content: `From: a@example.jp\r\nTo: b@example.com\r\nSubject: ${subject}\r\nContent-Type: text/html\r\n\r\n<p>${SECRET}</p>\r\n` })).id,
      { what: 'mail to be taken' });
  }
  smtp.close();
  await waitFor(() => relay.mails.length >= 3, { timeout: 180000, what: 'mail, notice and receipt' })
    .catch((e) => { throw new Error(`${e.message}: ${relay.mails.length}\n${['render', 'upload', 'rewrite'].map((s) => spawnSync('podman', ['logs', container(s)], { encoding: 'utf8' }).stderr).join('\n')}`); });
  const of = (to, has) => relay.mails.map((m) => textOf(m.content)).find((m) => new RegExp(`^To: .*${to}`, 'm').test(m) && has(m));
  assert.ok(of('b@example.com', (m) => m.includes(SECRET)), 'the untouched one');
  const notice = of('b@example.com', (m) => !m.includes(SECRET));
  const link = /https:\/\/mail\.example\.jp(\/r\/[\w-]{71})/.exec(notice)?.[1];
  assert.ok(link, notice);
  // The portal started before there was a vault: it looks for it again soon.
  await waitFor(async () => (await request(`http://127.0.0.1:${portalPort}${link}`, { headers: { host: 'mail.example.jp' } })).status === 200,
    { timeout: 60000, interval: 500, what: 'the portal to show the mail' });
  const login = await request(`http://127.0.0.1:${consolePort}/api/v1/session`, { method: 'POST', body: JSON.stringify({ user: 'hanako', password: JSON.parse(added.out).password }),
    headers: { host: 'fumibako.example.jp', origin: 'https://fumibako.example.jp', 'content-type': 'application/json' }, timeout: 90000 });
  assert.equal(login.status, 200, login.body.toString());
  await waitFor(() => inside(container('console'), ['/usr/bin/test', '-s', '/var/lib/fumibako/console/users']).code === 0, { what: 'the copy of the accounts' });

  // Who reaches whom; what lies where.
  const reaches = (s, host, port) => inside(container(s), ['/usr/bin/timeout', '3', '/bin/bash', '-c', `exec 3<>/dev/tcp/${host}/${port}`]).code === 0;
  const redis = addresses('redis')[0];
  for (const s of ['render', 'portal', 'console']) assert.ok(reaches(s, redis, 6379), `${s} has no Redis`);
  assert.ok(!reaches('fetch', redis, 6379) && !reaches('fetch', 'redis', 6379), 'fetch reaches Redis');
  assert.ok(reaches('render', 'fetch', 8025), 'render does not reach fetch');
  const [outside] = JSON.parse(podman(['network', 'inspect', `${project}_outside`]))[0].subnets;
  assert.ok(reaches('rewrite', outside.gateway, relay.port), 'rewrite has no way out');
  assert.ok(!reaches('render', outside.gateway, relay.port), 'render has a way out');
  for (const s of ['watch', 'console', 'fetch']) assert.notEqual(inside(container(s), ['/usr/bin/test', '-e', '/var/lib/fumibako/spool']).code, 0, `${s} has the spool`);
  for (const s of ['ingest', 'render', 'rewrite', 'watch', 'console', 'fetch']) assert.notEqual(inside(container(s), ['/usr/bin/test', '-e', '/run/secrets/vault.key']).code, 0, `${s} has the vault's key`);
});
