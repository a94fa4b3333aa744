// SPDX-License-Identifier: Apache-2.0
// The overlay `dev` as pods, all of it with Redis: mail goes through, pods are as restricted as the manifests say, three
// pods of render and three of upload share the work, and pods that are killed in the midst of it lose nothing.
//   FB_KUBE=play            podman (4.3 or later), kubectl, root; images localhost/fumibako:dev and localhost/fumibako-render:dev
//   FB_IMAGES="PLAIN RENDER"   takes these images instead

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import test from 'node:test';
import { ROOT, Smtp, request } from '../../support/harness.mjs';
import { Relay } from '../../support/relay.mjs';
import { textOf } from '../../e2e/stack.mjs';
import { Play, freshSecrets, inside, lacks, podman, redisImage, rendered } from './play_kit.mjs';

const { parse } = createRequire(import.meta.url)('yaml');
const DEV = ['localhost/fumibako:dev', 'localhost/fumibako-render:dev'];
const given = (process.env.FB_IMAGES ?? '').split(/\s+/).filter((x) => x.includes('/'));
const [plain, render] = given.length === 2 ? given : DEV;
const skip = process.env.FB_KUBE !== 'play' ? 'FB_KUBE=play starts the overlay dev as pods (minutes; podman, root, the images)'
  : spawnSync('kubectl', ['version', '--client']).status !== 0 ? 'kubectl is not installed' : lacks([plain, render]);

const SECRET = 'The plan is called orchid.';
const mail = (token, { secure = false, html = false } = {}) => Buffer.from([
  'From: taro@example.jp', 'To: hanako@example.com', `Subject: ${secure ? '[secure] ' : ''}plan ${token}`,
  `Message-ID: <${token}@mail.example.jp>`, 'Date: Fri, 27 Nov 2026 10:15:00 +0900', 'MIME-Version: 1.0',
  `Content-Type: text/${html ? 'html' : 'plain'}; charset=utf-8`, '',
  html ? `<html><body><h1>${token}</h1><table border="1"><tr><td>${SECRET}</td></tr></table></body></html>` : `${SECRET} ${token}`, '',
].join('\r\n'));
const tokenOf = (m) => /^Subject: .*plan (\S+)/m.exec(m.content.toString())?.[1];
const LINK = /https:\/\/mail\.example\.jp(\/r\/[\w-]{71})/;

test('the overlay dev as pods: mail goes through, and killed pods lose nothing', { skip, timeout: 1500000 }, async (t) => {
  const began = Date.now();
  const told = (text) => console.log(`${((Date.now() - began) / 1000).toFixed(0)} s: ${text}`);
  const play = await Play.create(t, rendered('dev'), { secrets: freshSecrets('fumibako-dev'),
    images: { [DEV[0]]: plain, [DEV[1]]: render, 'docker.io/library/redis:7': redisImage() } });
  await play.start(play.pod('redis'));
  const relay = await Relay.start({}, 0, play.gateway);
  t.after(() => relay.stop());
  play.env.rewrite = { FUMIBAKO_REWRITE_RELAY: `smtp://${play.gateway}:${relay.port}` };
  const ingest = await play.start(play.pod('ingest'));
  for (const n of [1, 2, 3]) for (const s of ['render', 'upload']) await play.start(play.pod(s, n));
  for (const s of ['rewrite', 'revoke', 'watch']) await play.start(play.pod(s));
  const portal = await play.start(play.pod('portal'));
  const console_ = await play.start(play.pod('console'));
  told(`${play.pods.size} pods are ready`);

  for (const name of play.pods.keys()) {
    const { uid, seccomp, peakMb, ...rest } = play.limits(name);
    assert.ok(uid > 0, `${name} runs as ${uid}`);
    assert.equal(seccomp, '2', name);
    const none = '0'.repeat(16);
    assert.deepEqual(rest, { caps: none, effective: none, noNewPrivs: '1', isReadOnly: true }, name);
  }

  // One mail of each kind.
  const smtp = await Smtp.connect(10025, { host: ingest });
  for (const [token, how] of [['untouched', {}], ['kept', { secure: true, html: true }]]) {
    const reply = await smtp.send({ from: 'taro@example.jp', to: ['hanako@example.com'], content: mail(token, how) });
    assert.ok(reply.id, reply.text);
  }
  smtp.close();
  const arrived = (token) => relay.mails.find((m) => tokenOf(m) === token && m.rcpts.length === 1 && m.rcpts[0].address === 'hanako@example.com');
  await play.until(() => arrived('untouched') && arrived('kept'), { timeout: 180000, what: 'both mails' });
  assert.ok(arrived('untouched').content.toString().includes(SECRET));
  const notice = textOf(arrived('kept').content);
  assert.ok(!notice.includes(SECRET), 'content went out');
  const link = LINK.exec(notice)?.[1];
  assert.ok(link, notice);
  told('a mail passed, and one went to the vault');

  // The pages: the recipient's, and the administrators'.
  const behindProxy = (host) => ({ host, 'x-forwarded-for': '192.0.2.7', 'x-forwarded-proto': 'https', 'accept-language': 'en' });
  // The portal started before there was a vault: it looks for it again soon.
  const page = await play.until(async () => {
    const p = await request(`http://${portal}:8081${link}`, { headers: behindProxy('mail.example.jp') });
    return p.status === 200 && p;
  }, { timeout: 60000, interval: 500, what: 'the portal to show the mail' });
  assert.match(page.body.toString(), /Is it you\?|a code is sent/);
  const index = await request(`http://${console_}:8080/`, { headers: behindProxy('fumibako.example.jp') });
  assert.equal(index.status, 200);
  assert.match(index.body.toString(), /<script[^>]+src="\/assets\/[^"]+\/console\.js"/);
  const script = await request(`http://${console_}:8080${/src="(\/assets\/[^"]+\.js)"/.exec(index.body.toString())[1]}`, { headers: behindProxy('fumibako.example.jp') });
  assert.equal(script.status, 200);

  // The operator's pod, as it lies there.
  const manifest = parse(fs.readFileSync(path.join(ROOT, 'k8s/operator.yaml'), 'utf8'), { version: '1.1' });
  await play.start(play.podOf('fumibako-operator', manifest.metadata.labels, manifest.spec, { image: plain }));
  const operator = play.container('fumibako-operator');
  const ctl = (...args) => {
    const r = inside(operator, ['/usr/bin/fumibako', '--json', ...args]);
    assert.equal(r.code, 0, `${args.join(' ')}: ${r.out}${r.err}`);
    return JSON.parse(r.out);
  };
  const { password } = ctl('user', 'add', 'hanako', 'admin');
  const login = await request(`http://${console_}:8080/api/v1/session`, { method: 'POST', body: JSON.stringify({ user: 'hanako', password }),
    headers: { ...behindProxy('fumibako.example.jp'), origin: 'https://fumibako.example.jp', 'content-type': 'application/json' } });
  assert.equal(login.status, 200, login.body.toString());
  assert.match(login.headers['set-cookie'][0], /^__Host-fumibako/);
  told('the pages answer, an administrator signs in');

  // Load, and what a dying node does to pods in the midst of it.
  const count = 180;
  const tokens = Array.from({ length: count }, (_, i) => `load${i}`);
  let taken = 0;
  const queue = tokens.entries();
  const hand = async () => {
    const client = await Smtp.connect(10025, { host: ingest });
    for (const [i, token] of queue) {
      const reply = await client.send({ from: `sender${i % 9}@example.jp`, to: ['hanako@example.com'],
        content: mail(token, { secure: i % 3 === 0, html: i % 2 === 0 }) });
      assert.ok(reply?.id, `${token}: ${reply?.text}`);
      taken++;
    }
    client.close();
  };
  const clients = Array.from({ length: 6 }, hand);
  // (Senders get receipts, too.)
  const delivered = () => relay.mails.filter((m) => m.rcpts[0].address === 'hanako@example.com').map(tokenOf).filter((x) => x?.startsWith('load'));
  const through = () => new Set(delivered());
  await play.until(() => taken > 40 && through().size > 3, { timeout: 240000, what: 'work in hand' });
  for (const name of ['fumibako-render-2', 'fumibako-upload-2', 'fumibako-rewrite']) play.kill(name);
  told(`killed a render, an upload and the rewrite; ${taken} mails were taken, ${through().size} had gone out`);
  await play.start(play.pod('rewrite')); // a Deployment makes a pod anew
  await Promise.all(clients);
  await play.until(() => through().size === count, { timeout: 480000, interval: 200, what: 'every mail' })
    .catch((e) => { throw new Error(`${e.message}: ${tokens.filter((x) => !through().has(x))} are missing; ${JSON.stringify(ctl('queue'))}`); });
  const again = delivered().length - count;
  told(`all ${count} mails came through, ${again} twice`);
  assert.ok(again <= 8, 'no more than were being sent when rewrite was killed (RFC 1047)');
  for (const m of relay.mails) {
    const token = tokenOf(m);
    if (token?.startsWith('load') && Number(token.slice(4)) % 3 === 0) assert.ok(!textOf(m.content).includes(SECRET), `${token} went out in clear`);
  }
  assert.deepEqual(relay.violations, []);
  assert.deepEqual(ctl('dead', 'list'), []);

  // SIGTERM drains: every service ends by itself, and well.
  const names = [...play.pods.keys()].filter((n) => !/redis|operator/.test(n));
  told(`memory at most, of the first process: ${names.map((n) => `${n.replace('fumibako-', '')} ${play.limits(n).peakMb}`).join(', ')} MB`);
  for (const name of names) {
    podman(['stop', '-t', '60', play.container(name)]);
    assert.equal(podman(['inspect', play.container(name), '-f', '{{.State.ExitCode}}']), '0', `${name}: ${play.logs(name)}`);
  }
  told(`${names.length} pods drained`);
});
