// SPDX-License-Identifier: Apache-2.0
// Server-side request forgery: no address that stands in a mail, or in an answer of the storage, is called.  A listener
// stands at all of them, and hears nothing.

import assert from 'node:assert/strict';
import http from 'node:http';
import test from 'node:test';
import { hasChromium, base64, bytes } from '../render/kit.mjs';
import { waitFor } from '../../support/harness.mjs';
import { Canary, handIn, startStack } from './kit.mjs';

const HEAD = 'From: taro@example.jp\r\nTo: hanako@partner.example.com\r\nSubject: links\r\nMessage-ID: <l@example.jp>\r\nMIME-Version: 1.0\r\n';
const part = (type, body, extra = '') => `--b\r\nContent-Type: ${type}\r\n${extra}Content-Transfer-Encoding: base64\r\n\r\n${base64(body)}\r\n`;
const svg = (u) => `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"><image href="${u}/svg-image" xlink:href="${u}/svg-xlink"/>`
  + `<use href="${u}/use#a"/><style>@import "${u}/svg-import";</style><script href="${u}/svg-script"/><feImage href="${u}/fe"/><foreignObject><img src="${u}/fo"/></foreignObject></svg>`;

/** Everything in HTML, CSS and SVG that makes a browser fetch, connect or follow. */
const page = (u) => `<!DOCTYPE html SYSTEM "${u}/dtd"><html manifest="${u}/manifest"><head><base href="${u}/base/">
<meta http-equiv="refresh" content="0;url=${u}/refresh"><link rel=stylesheet href="${u}/css"><link rel=preload as=image href="${u}/preload">
<link rel=prefetch href="${u}/prefetch"><link rel=dns-prefetch href="${u}"><link rel=preconnect href="${u}"><link rel=icon href="${u}/icon"><link rel=modulepreload href="${u}/module">
<style>@import url(${u}/import); @import "${u}/import2"; @font-face{font-family:f;src:url(${u}/font.woff2)} body{font-family:f;background:url(${u}/bg);cursor:url(${u}/cursor),auto}
li{list-style-image:url(${u}/list)} p::before{content:url(${u}/content)} div{background-image:image-set("${u}/set" 1x);mask:url(${u}/mask);filter:url(${u}/filter#f);shape-outside:url(${u}/shape);border-image:url(${u}/border) 30}
i{background:u\\72l(${u}/escaped)} b{--x:url(${u}/var);background:var(--x)}</style><script src="${u}/script"></script><script>fetch("${u}/fetch");new WebSocket("${u.replace('http', 'ws')}/ws");new Image().src="${u}/new";navigator.sendBeacon("${u}/beacon")</script></head>
<body background="${u}/body"><p>text</p><img src="${u}/img" srcset="${u}/srcset 2x" onerror="this.src='${u}/onerror'"><img src="//${u.slice(7)}/scheme"><img src="relative.png">
<picture><source srcset="${u}/source"><img src="data:,x"></picture><video src="${u}/video" poster="${u}/poster"></video><audio src="${u}/audio"></audio><track src="${u}/track">
<iframe src="${u}/iframe"></iframe><iframe srcdoc="<img src='${u}/srcdoc'>"></iframe><object data="${u}/object"></object><embed src="${u}/embed"><applet code="${u}/applet"></applet>
<form action="${u}/form"><input type=image src="${u}/input"><button formaction="${u}/button" autofocus onfocus=click()>x</button></form>
<a href="${u}/ping" ping="${u}/pinged">link</a><table background="${u}/table"><tr><td background="${u}/td" style="background:url('${u}/inline')">x</table>
<div style="background-image:url(&quot;${u}/entity&quot;)">d</div><i>i</i><b>b</b><ul><li>l</ul>${svg(u)}<math href="${u}/math"></math><portal src="${u}/portal"></portal>
<img src="file:///etc/passwd"><iframe src="file:///etc/passwd"></iframe><img src="http://169.254.169.254/latest/meta-data/"><!--[if mso]><img src="${u}/mso"><![endif]--><v:fill src="${u}/vml"/></body></html>`;

test('nothing in a mail is fetched: HTML, CSS, SVG, fonts, external bodies; nor do proxies of the environment see anything', {
  skip: !hasChromium && 'chromium-headless-shell is not installed', timeout: 400000 }, async (t) => {
  const canary = await Canary.start(t);
  const stack = await startStack(t, { services: [] });
  // Proxies of the environment are for calls to a storage and to a bucket alone.
  const env = { http_proxy: canary.url, https_proxy: canary.url, HTTP_PROXY: canary.url, HTTPS_PROXY: canary.url, ALL_PROXY: canary.url, all_proxy: canary.url };
  for (const name of ['ingest', 'render', 'rewrite']) await stack.startOne(name, env);
  for (const name of ['upload']) await stack.startOne(name, { no_proxy: '127.0.0.1' });
  const external = `--b\r\nContent-Type: message/external-body; access-type=URL; URL="${canary.url}/external"\r\n\r\nContent-Type: text/html\r\n\r\n\r\n`;
  const mail = bytes(HEAD, `Content-Location: ${canary.url}/location\r\nList-Unsubscribe: <${canary.url}/unsubscribe>\r\nDisposition-Notification-To: x@example.org\r\nContent-Type: multipart/related; boundary=b\r\n\r\n`,
    part('text/html; charset=utf-8', page(canary.url), `Content-Location: ${canary.url}/part\r\nContent-Base: ${canary.url}\r\n`),
    part('image/svg+xml', svg(canary.url), 'Content-ID: <s@x>\r\n'), part('text/xml', `<!DOCTYPE x [<!ENTITY e SYSTEM "${canary.url}/xxe">]><x>&e;</x>`), external, '--b--\r\n');
  assert.equal((await handIn(stack, mail)).code, 250);
  assert.equal((await handIn(stack, bytes(HEAD, 'Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n', base64(svg(canary.url))))).code, 250);
  await waitFor(() => stack.relay.mails.filter((m) => m.rcpts[0].address === 'hanako@partner.example.com').length === 2, { timeout: 180000, what: 'both notices' });
  assert.deepEqual(canary.calls, []);
  const pdfs = (await stack.box.state()).files.filter((f) => f.name.endsWith('.pdf'));
  assert.equal(pdfs.length, 2, 'both bodies were painted, without what lies elsewhere');
});

test('a storage that sends us elsewhere is not followed: redirects, links in answers, and the token goes nowhere else', { timeout: 400000 }, async (t) => {
  const canary = await Canary.start(t);
  const seen = [];
  // Another origin on this very machine, as a storage that was taken over would name it.
  const other = http.createServer((req, res) => { seen.push(`${req.method} ${req.url} ${req.headers.authorization ?? ''}`); res.end('{}'); });
  await new Promise((resolve) => other.listen(0, '127.0.0.1', resolve));
  t.after(() => other.close());
  const elsewhere = `http://127.0.0.1:${other.address().port}`;
  const stack = await startStack(t, { services: ['ingest', 'render', 'upload', 'rewrite'] });
  for (const [status, method, where] of [[307, 'POST', '/2.0/folders'], [308, 'POST', '/upload/api/2.0/files/content'], [302, 'POST', '/2.0/collaborations'],
    [301, 'PUT', '/2.0/folders']]) {
    await stack.box.faults([{ match: { method, path: where }, times: 1,
      do: { status, headers: { location: `${status % 2 ? canary.url : elsewhere}/redirected` } } }]);
    const before = stack.relay.mails.length;
    const said = stack.logs('upload').length;
    assert.equal((await handIn(stack, bytes(HEAD.replace('<l@', `<${method}@`), 'Content-Type: text/plain\r\n\r\nbody\r\n'))).code, 250);
    await waitFor(async () => stack.relay.mails.length > before || /redirect|answers 30|HTTP 30|status 30|30[1278]/.test(stack.logs('upload').slice(said)),
      { what: `upload to say something of ${method} ${where}` });
    await stack.box.faults([]);
  }
  assert.deepEqual(canary.calls, []);
  assert.deepEqual(seen, []);
});
