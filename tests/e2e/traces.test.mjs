// SPDX-License-Identifier: Apache-2.0
//
// A mail's trace, as a collector gets it by OTLP/HTTP: from the client's own context through ingest, render, upload with its
// calls, and rewrite with the relay; nothing of the mail in it; and no mail waits for a collector that is away.
import assert from 'node:assert/strict';
import http from 'node:http';
import { once } from 'node:events';
import { test } from 'node:test';
import { Relay } from '../support/relay.mjs';
import { request, waitFor } from '../support/harness.mjs';
import { Stack } from './stack.mjs';

/** What takes spans, strict about the parts of OTLP's JSON that it has to understand. */
class Collector {
  static async start(status = 200) {
    const c = new Collector();
    Object.assign(c, { spans: [], posts: 0, status, problems: [], authorization: new Set() });
    c.server = http.createServer(async (req, res) => {
      const parts = [];
      for await (const part of req) parts.push(part);
      c.posts++;
      c.authorization.add(req.headers.authorization);
      if (req.method !== 'POST' || req.url !== '/v1/traces' || req.headers['content-type'] !== 'application/json') c.problems.push(`${req.method} ${req.url}`);
      if (c.status === 200) c.#take(JSON.parse(Buffer.concat(parts)));
      res.writeHead(c.status, { 'content-type': 'application/json' });
      res.end('{}');
    });
    c.server.listen(0, '127.0.0.1');
    await once(c.server, 'listening');
    c.url = `http://127.0.0.1:${c.server.address().port}`;
    return c;
  }

  #take(document) {
    for (const r of document.resourceSpans) {
      const about = Object.fromEntries(r.resource.attributes.map((a) => [a.key, a.value.stringValue]));
      for (const s of r.scopeSpans.flatMap((x) => x.spans)) {
        const isWhole = /^[0-9a-f]{32}$/.test(s.traceId) && /^[0-9a-f]{16}$/.test(s.spanId) && /^([0-9a-f]{16})?$/.test(s.parentSpanId ?? '')
          && /^\d{19}$/.test(s.startTimeUnixNano) && BigInt(s.endTimeUnixNano) >= BigInt(s.startTimeUnixNano)
          && s.kind >= 1 && s.kind <= 5 && [0, 2].includes(s.status.code);
        if (!isWhole) this.problems.push(JSON.stringify(s));
        this.spans.push({ ...s, service: about['service.name'], about: Object.fromEntries(s.attributes.map((a) => [a.key, a.value.stringValue])) });
      }
    }
  }

  stop() { return new Promise((resolve) => { this.server.close(resolve); this.server.closeAllConnections(); }); }
}

const MAIL = 'From: taro@example.jp\r\nTo: hanako@partner.example.com\r\nSubject: Kawaguchi\r\n\r\nTop secret Mitaka\r\n';
const TOKEN = 'a token of this test';

async function handIn(stack, headers = {}) {
  const res = await request(`http://127.0.0.1:${stack.world.ports.http}/v1/messages`, { method: 'POST', body: MAIL,
    headers: { 'content-type': 'message/rfc822', authorization: `Bearer ${TOKEN}`, 'x-mail-from': 'taro@example.jp',
      'x-rcpt-to': 'hanako@partner.example.com', ...headers } });
  assert.equal(res.status, 202, res.text);
  return res.json().id;
}

test('one trace shows a mail from the client to the relay, and nothing of its content', async (t) => {
  const relay = await Relay.start();
  const collector = await Collector.start();
  t.after(() => Promise.all([relay.stop(), collector.stop()]));
  const stack = await Stack.start(t, { postfix: false, services: ['ingest', 'render', 'upload', 'rewrite'],
    overrides: { rewrite: { relay: `smtp://127.0.0.1:${relay.port}` }, ingest: { token: TOKEN },
      tracing: { otlp_url: collector.url, token: 'of the collector' } } });
  const id = await handIn(stack, { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' });
  const notices = () => relay.mails.filter((m) => /^To: hanako/m.test(m.content.toString('latin1'))).length; // and not receipts
  // The receipt is part of the trace as well: another rewrite, with a relay of its own, below the first.
  const of = (name, parent) => collector.spans.find((s) => s.name === name && s.traceId === '4bf92f3577b34da6a3ce929d0e0e4736'
    && (parent === undefined || s.parentSpanId === parent?.spanId));
  const rewrite = () => of('rewrite', of('upload'));
  // Each service hands in its own, when it has time.
  await waitFor(() => of('accept') && of('render') && of('upload') && rewrite() && of('relay', rewrite()), { what: 'the spans' });

  assert.deepEqual(collector.problems, []);
  assert.deepEqual([...collector.authorization], ['Bearer of the collector']);
  assert.equal(of('accept').parentSpanId, '00f067aa0ba902b7', 'below the client');
  assert.equal(of('render').parentSpanId, of('accept').spanId);
  assert.equal(of('upload').parentSpanId, of('render').spanId);
  const calls = collector.spans.filter((s) => s.parentSpanId === of('upload').spanId && s.kind === 3);
  assert.ok(calls.length >= 3 && calls.every((c) => c.about['fumibako.storage'] === 'box' && /^2\d\d$/.test(c.about['http.response.status_code'])),
    JSON.stringify(calls.map((c) => [c.name, c.about])));
  for (const stage of ['accept', 'render', 'upload', 'rewrite']) assert.equal(of(stage).about['fumibako.msg_id'], id, stage);
  assert.deepEqual(['accept', 'render', 'upload', 'rewrite'].map((n) => of(n).service), ['ingest', 'render', 'upload', 'rewrite']);
  assert.doesNotMatch(JSON.stringify(collector.spans), /taro|hanako|Kawaguchi|Mitaka|example/);
  const lines = await waitFor(() => {
    const list = stack.by.upload.log.filter((l) => l.msg_id === id);
    return list.length > 0 && list;
  }, { what: 'log lines of the mail' });
  assert.ok(lines.every((l) => l.trace_id === '4bf92f3577b34da6a3ce929d0e0e4736'), 'log lines carry the same id');

  // A client that does not want it measured, and one whose context is none.
  const unwanted = await handIn(stack, { traceparent: '00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-00f067aa0ba902b7-00' });
  const other = await handIn(stack, { traceparent: 'nonsense' });
  await waitFor(() => collector.spans.some((s) => s.name === 'rewrite' && s.about['fumibako.msg_id'] === other), { what: 'the third mail' });
  await waitFor(() => notices() === 3, { what: 'three mails' });
  assert.ok(collector.spans.every((s) => !/^a{32}$/.test(s.traceId) && s.about['fumibako.msg_id'] !== unwanted));
  const begun = collector.spans.filter((s) => s.about['fumibako.msg_id'] === other);
  assert.ok(begun.every((s) => s.traceId === begun[0].traceId && s.traceId !== '4bf92f3577b34da6a3ce929d0e0e4736'), 'a trace of its own');

  // The collector fails, then hangs up: mail goes on.
  collector.status = 503;
  await handIn(stack);
  await waitFor(() => notices() === 4, { what: 'a mail while the collector fails' });
  await collector.stop();
  await handIn(stack);
  await waitFor(() => notices() === 5, { what: 'a mail without a collector' });
});
