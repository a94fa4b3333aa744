// SPDX-License-Identifier: Apache-2.0
// What keeps one message from the others, and all of them from the machine: the sandboxes, their ends, and what happens
// when a child, the browser or one of its processes is killed.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import test from 'node:test';
import { binDir, request, sleep, waitFor } from '../../support/harness.mjs';
import { CHROMIUM, NEEDS_CHROMIUM, RenderWorld, base64, bytes, crlf, descendants, isAlive } from './kit.mjs';
import { spawnSync } from 'node:child_process';

const HEAD = 'From: Taro <taro@example.jp>\r\nTo: hanako@example.com\r\nSubject: letter\r\nDate: Fri, 27 Nov 2026 10:00:00 +0900\r\n';
const plain = (text) => `${HEAD}Content-Type: text/plain; charset=utf-8\r\n\r\n${text}\r\n`;
const html = (text) => bytes(HEAD, 'MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n', base64(text), '\r\n');
// Takes its painter some seconds.
const slowText = (times = 1) => bytes(HEAD, 'Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n', base64('a long letter '.repeat(200000 * times)), '\r\n');
const slowPage = () => html('<table>' + '<tr><td>a<td>b<td>c</tr>'.repeat(4000) + '</table>');
const browser = (w) => descendants(w.render.pid).filter((p) => /headless|chrom/i.test(p.name) && !/keeper/.test(p.name));
const zygoteOf = (w) => descendants(w.render.pid).find((p) => p.name === 'render-zygote' && p.parent === w.render.pid);
// A message's child: forked by the zygote, which is named, and outside of Chromium's trees.
function child(w) {
  const zygote = zygoteOf(w);
  return zygote && descendants(zygote.pid).find((p) => p.parent === zygote.pid);
}
// The last step into the sandbox is a filter on top of those that the service gave all of its processes.
function sandboxed(w) {
  const { filters } = zygoteOf(w);
  return waitFor(() => [child(w)].find((c) => c?.filters > filters), { what: 'a child in its sandbox', interval: 2 });
}

test('a message is read and painted in a child without rights: other user, seccomp, no new privileges, no capability', async (t) => {
  const w = await RenderWorld.create(t);
  const id = await w.send(slowText());
  const found = await sandboxed(w);
  // Read anew: the kernel writes a status line by line, and what stood above Seccomp may be older than it.
  const status = fs.readFileSync(`/proc/${found.pid}/status`, 'utf8');
  assert.match(status, /^NoNewPrivs:\t1$/m);
  const limits = fs.readFileSync(`/proc/${found.pid}/limits`, 'utf8');
  assert.match(limits, /Max file size\s+0\s+0/);
  assert.match(limits, /Max core file size\s+0\s+0/);
  assert.match(limits, /Max cpu time\s+\d+/);
  if (process.getuid() === 0) {
    assert.doesNotMatch(status, /^Uid:.*\b0\b/m);
    assert.match(status, /^CapEff:\s+0+$/m);
  }
  await w.outcome(id);
});

test('a killed child costs its message one retry and nobody else anything', async (t) => {
  const w = await RenderWorld.create(t, { render: { concurrency: 2 } });
  const id = await w.send(slowText());
  const victim = await waitFor(() => child(w), { what: 'the child', interval: 2 });
  process.kill(victim.pid, 'SIGKILL');
  const other = await w.letter(plain('the other letter'));
  assert.match(other.text, /the other letter/);
  const { plan, dead } = await w.outcome(id);
  assert.equal(dead, undefined, dead?.reason);
  assert.equal(plan.painter, 'text');
  const line = await waitFor(() => w.render.log.find((l) => l.msg_id === id && l.result === 'retry'), { what: 'a line about the retry' });
  assert.match(line.reason, /child died/);
  assert.equal(await w.render.metric('fumibako_jobs_total', 'stage="render",outcome="retry"'), 1);
});

test('a child that is killed each time: held after one retry, with a reason', async (t) => {
  const w = await RenderWorld.create(t);
  const id = await w.send(slowText(4));
  const killed = new Set();
  const timer = setInterval(() => {
    const c = child(w);
    if (c) { killed.add(c.pid); try { process.kill(c.pid, 'SIGKILL'); } catch { /* it was quicker */ } }
  }, 5);
  const { dead } = await w.outcome(id);
  clearInterval(timer);
  assert.match(dead.reason, /child died/);
  assert.equal(killed.size, 2);
  assert.match((await w.letter(plain('afterwards'))).text, /afterwards/);
});

test('Chromium runs as another user, in its own sandbox, without a network', NEEDS_CHROMIUM, async (t) => {
  const w = await RenderWorld.create(t, { render: { engine: 'chromium' } });
  await w.letter(html('<p>warm</p>'));
  const all = browser(w);
  assert.ok(all.length >= 3, JSON.stringify(all));
  for (const p of all) {
    if (process.getuid() === 0) assert.notEqual(p.uid, 0, JSON.stringify(p));
    assert.doesNotMatch(fs.readFileSync(`/proc/${p.pid}/cmdline`, 'latin1'), /--no-sandbox/);
  }
  const commands = all.map((p) => [p, fs.readFileSync(`/proc/${p.pid}/cmdline`, 'latin1')]);
  const renderers = commands.filter(([, c]) => c.includes('--type=renderer'));
  assert.ok(renderers.length > 0);
  const space = (pid, kind) => fs.readlinkSync(`/proc/${pid}/ns/${kind}`);
  // Another network than ours: there is nothing in it to talk to (where the system allows it).
  const main = commands.find(([, c]) => !c.includes('--type='))[0];
  const filters = () => browser(w).filter((p) => renderers.some(([r]) => r.pid === p.pid)).map((p) => p.filters);
  await waitFor(() => filters().length > 0 && filters().every((n) => n > main.filters), { what: 'the renderers under filters of their own' });
  if (space(main.pid, 'net') === space(process.pid, 'net')) t.diagnostic('this system gives Chromium no network of its own');
  assert.notEqual(space(renderers[0][0].pid, 'net'), space(process.pid, 'net'));
});

for (const [what, pick] of [
  ['browser', (w) => browser(w).find((p) => !fs.readFileSync(`/proc/${p.pid}/cmdline`, 'latin1').includes('--type='))],
  ['renderer', (w) => browser(w).find((p) => fs.readFileSync(`/proc/${p.pid}/cmdline`, 'latin1').includes('--type=renderer'))],
]) {
  test(`kill -9 of Chromium's ${what}, idle and at work: at most one retry, others unharmed, no process left`, NEEDS_CHROMIUM, async (t) => {
    const w = await RenderWorld.create(t, { render: { engine: 'chromium', concurrency: 2 } });
    await w.letter(html('<p>warm</p>'));
    const kill = async () => process.kill((await waitFor(() => pick(w), { what: `a ${what}`, interval: 2 })).pid, 'SIGKILL');
    const before = browser(w).map((p) => p.pid);
    await kill(); // idle
    assert.match((await w.letter(html('<p>after the first kill</p>'))).text, /after the first kill/);
    await waitFor(() => !before.some(isAlive), { what: 'the old browser to be gone' });

    const id = await w.send(slowPage());
    await waitFor(() => child(w), { what: 'the child', interval: 2 });
    await sleep(400);
    const working = browser(w).map((p) => p.pid);
    await kill(); // at work
    const other = await w.letter(plain('plain text goes on'));
    assert.match(other.text, /plain text goes on/);
    const { plan, dead } = await w.outcome(id);
    assert.equal(dead, undefined, dead?.reason);
    assert.equal(plan.painter, 'chromium');
    await w.letter(html('<p>and on</p>'));
    await waitFor(() => working.filter(isAlive).length === 0 || working.every((p) => browser(w).some((q) => q.pid === p)),
      { what: 'no process of the killed browser' });
    const all = [...before, ...working, ...descendants(w.render.pid).map((p) => p.pid)];
    assert.deepEqual(await w.render.stop(), { code: 0, signal: null });
    await waitFor(() => !all.some(isAlive), { what: 'nothing to be left after SIGTERM' });
  });
}

test('kill -9 of render itself leaves no process, and the next one finishes the message', async (t) => {
  const w = await RenderWorld.create(t, { render: { engine: 'chromium' } });
  const id = await w.send(slowText());
  // Stands still, so that nothing but the kernel ends it: a child at work would meet a closed socket sooner or later.
  process.kill((await sandboxed(w)).pid, 'SIGSTOP');
  const all = descendants(w.render.pid).map((p) => p.pid);
  assert.ok(all.length >= 2);
  await w.render.kill();
  await waitFor(() => !all.some(isAlive), { what: 'all of its processes to end' });
  await w.startRender();
  const { plan } = await w.outcome(id); // claimed after three missed heartbeats
  assert.equal(plan.painter, 'text');
});

test('the process that makes children is killed: nothing is held, the service ends and says so, its successor goes on', async (t) => {
  const w = await RenderWorld.create(t);
  await w.letter(plain('first'));
  process.kill(descendants(w.render.pid).find((p) => p.name === 'render-zygote').pid, 'SIGKILL');
  const id = await w.send(plain('second'));
  assert.deepEqual(await w.render.exited, { code: 1, signal: null });
  assert.ok(w.render.log.some((l) => l.level === 'fatal' && /start the service again/.test(l.text)));
  await w.startRender();
  const { plan } = await w.outcome(id);
  assert.match((await w.open(id, plan)).text, /second/);
});

test('a page that takes too long is ended with its browser, and held after one retry', NEEDS_CHROMIUM, async (t) => {
  const w = await RenderWorld.create(t, { render: { engine: 'chromium', timeout: '20s' } });
  // Minutes of painting for Chromium, and little for the child, which has the same limit.
  const id = await w.send(html('<p style="text-shadow:0 0 40px red,0 0 60px blue;box-shadow:0 0 90px red;border-radius:20px">a long letter</p>'.repeat(8000)));
  const begun = Date.now();
  const seen = new Set();
  const timer = setInterval(() => browser(w).forEach((p) => seen.add(p.pid)), 100);
  const { dead } = await w.outcome(id);
  clearInterval(timer);
  assert.match(dead.reason, /Chromium took longer than its time limit/);
  assert.ok(Date.now() - begun < 2 * 2 * 20000 + 60000); // two tries of two limits, as in hostile.test.mjs
  await waitFor(() => ![...seen].some(isAlive), { what: 'the browsers to be gone' });
  assert.match((await w.letter(html('<p>afterwards</p>'))).text, /afterwards/);
});

test('nothing is fetched, whatever the mail asks for', NEEDS_CHROMIUM, async (t) => {
  const seen = [];
  const server = net.createServer((s) => { seen.push(s.remoteAddress); s.destroy(); });
  await new Promise((resolve) => server.listen(0, '0.0.0.0', resolve));
  t.after(() => server.close());
  const u = (n) => `http://127.0.0.1:${server.address().port}/${n}`;
  const w = await RenderWorld.create(t, { render: { engine: 'chromium' } });
  const secret = path.join(w.world.dir, 'secret.txt');
  fs.writeFileSync(secret, 'SECRETFILE');
  fs.chmodSync(secret, 0o644);
  const l = await w.letter(html(`<html><head><base href="${u(0)}"><link rel=stylesheet href="${u(1)}"><link rel=preload as=image href="${u(2)}">
<link rel=icon href="${u(3)}"><link rel=dns-prefetch href="//dns.example"><link rel=preconnect href="${u(4)}"><meta http-equiv=refresh content="0;url=${u(5)}">
<style>@import url(${u(6)});@font-face{font-family:f;src:url(${u(7)})}p{font-family:f;background:url(${u(8)});list-style:url(${u(9)});cursor:url(${u(10)}),auto}
p::after{content:url(${u(11)})} p{border-image:url(${u(12)}) 1;mask:url(${u(13)});filter:url(${u(14)}#f)} \\@import "${u(15)}";</style>
<script src="${u(16)}"></script></head><body background="${u(17)}" onload="fetch('${u(18)}')">
<p style="background-image:url('${u(19)}')">text</p><img src="${u(20)}" srcset="${u(21)} 2x" onerror="location='${u(22)}'"><picture><source srcset="${u(23)}"><img src=x></picture>
<iframe src="${u(24)}"></iframe><iframe src="file://${secret}"></iframe><iframe srcdoc="<img src='${u(25)}'>"></iframe><object data="${u(26)}"></object><object data="file://${secret}"></object>
<embed src="${u(27)}"><video src="${u(28)}" poster="${u(29)}" autoplay></video><audio src="${u(30)}" autoplay></audio>
<svg><image href="${u(31)}"/><use href="${u(32)}#x"/><foreignObject><img src="${u(33)}"></foreignObject></svg><input type=image src="${u(34)}">
<table background="${u(35)}"><tr><td background="${u(36)}">cell</table><a href="${u(37)}" ping="${u(38)}">link</a><form action="${u(39)}"><button>b</button></form>
<math href="${u(40)}"><mi>x</mi></math><img src="//127.0.0.1:${server.address().port}/41"><img src="cid:nobody"><img src="file://${secret}"><bgsound src="${u(42)}"><img lowsrc="${u(43)}" dynsrc="${u(44)}">
<img src="data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg'><image href='${u(45)}'/></svg>"></body></html>`));
  await sleep(500);
  assert.deepEqual(seen, []);
  assert.match(l.text, /text/);
  assert.match(l.text, /cell/);
  assert.doesNotMatch(l.text, /SECRETFILE/);
  const text = await w.letter(plain(`see ${u(50)} and file://${secret}`));
  assert.doesNotMatch(text.text, /SECRETFILE/);
  assert.deepEqual(seen, []);
});

test('without Chromium: HTML that only it paints is held and says why and what to do, all else goes on', async (t) => {
  const w = await RenderWorld.create(t, { render: { chromium: '/nonexistent/chromium' } });
  const { dead } = await w.outcome(await w.send(html('<p style="float:left">x</p>')));
  assert.match(dead.reason, /HTML body needs Chromium.*\/nonexistent\/chromium/);
  assert.match((await w.letter(plain('goes on'))).text, /goes on/);
  assert.equal((await w.letter(html('<p>so does this</p>'))).plan.painter, 'native');
  assert.equal((await request(`http://127.0.0.1:${w.render.metricsPort}/readyz`)).status, 200);
  await w.render.says(/"level":"error".*HTML mail will be held where native/);
});

test('a Chromium that is installed later is found without a restart', NEEDS_CHROMIUM, async (t) => {
  const place = path.join(fs.mkdtempSync('/tmp/fumibako-test-'), 'chromium');
  t.after(() => fs.rmSync(path.dirname(place), { recursive: true, force: true }));
  fs.chmodSync(path.dirname(place), 0o755);
  const w = await RenderWorld.create(t, { render: { engine: 'chromium', chromium: place } });
  assert.match((await w.outcome(await w.send(html('<p>x</p>')))).dead.reason, /needs Chromium/);
  assert.equal(await w.render.metric('fumibako_chromium_usable'), 0);
  fs.writeFileSync(place, `#!/bin/sh\nexec ${CHROMIUM} "$@"\n`, { mode: 0o755 });
  await sleep(31000); // it is looked for each 30 seconds
  assert.match((await w.letter(html('<p>found</p>'))).text, /found/);
  assert.equal(await w.render.metric('fumibako_chromium_usable'), 1);
});

test('a user for Chromium that does not exist is said; no message is touched as root', { skip: process.getuid() !== 0 && 'root only' }, async (t) => {
  const w = await RenderWorld.create(t, { render: { chromium_user: 'no-such-user-here' } }).catch((e) => e);
  assert.ok(w instanceof Error, 'render does not start');
  assert.match(w.message, /render\.chromium_user: no such user/);
});

test('render.engine that does not exist is refused with the choices there are', (t) => {
  const file = path.join(fs.mkdtempSync('/tmp/fumibako-test-'), 'c.yaml');
  t.after(() => fs.rmSync(path.dirname(file), { recursive: true }));
  fs.writeFileSync(file, 'render: {engine: webkit}\n');
  const r = spawnSync(path.join(binDir(), 'fumibako-render'), ['--check', '--config', file], { encoding: 'utf8' });
  assert.equal(r.status, 78);
  assert.match(r.stderr, /render\.engine: "webkit" is not one of auto\|native\|chromium/);
});

test('crlf and bare messages: no letter is logged', async (t) => {
  const w = await RenderWorld.create(t);
  await w.letter(crlf(`${HEAD}Content-Type: text/plain\n\nVERYSECRETWORD\n`).replace('letter', 'SECRETSUBJECT'));
  assert.doesNotMatch(w.render.output, /VERYSECRETWORD|SECRETSUBJECT|hanako@example\.com/);
});
