// SPDX-License-Identifier: Apache-2.0
//
// The API, asked for what its own document says and for what it does not: values of the schemas, then broken ones, hostile
// texts, wrong types, too many, too deep; by sessions and tokens of each role, and by nobody.  Nothing may be answered with
// 500 or in another way than the document says, and the console lives on.
// FB_FUZZ_SECONDS: how long (2); FB_FUZZ_SEED: to see the same again.

import assert from 'node:assert/strict';
import test from 'node:test';
import { request } from '../../support/harness.mjs';
import { Cast, ROLES } from './roles-kit.mjs';

const SECONDS = Number(process.env.FB_FUZZ_SECONDS ?? 2);
const SEED = Number(process.env.FB_FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31));

let state = SEED;
const random = () => { // mulberry32
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
};
const pick = (list) => list[Math.floor(random() * list.length)];

const TEXTS = ['', 'x', 'a'.repeat(300), 'あ'.repeat(200), '<script>alert(1)</script>', "' OR 1=1 --", '../../etc/passwd', '%00', '\u0000',
  '\ud800', '\u202e\u2066', '=cmd|calc', '{{7*7}}', '-1', '0', '9223372036854775807', '1e999', 'null', 'true', 's0-1-1', 's99-0-0', '*', '"x"',
  '01ARZ3NDEKTSV4RRFFQ69G5FAV', '2026-11-25', '2026-13-45T99:99:99Z', 'rules: []', 'rules: [', 'a: &a [*a]', '!!binary x', '\r\nX-Evil: 1', ' ', '\t'];

const encode = (text) => (text.isWellFormed?.() === false || /[\ud800-\udfff]/.test(text) ? '%ED%A0%80' : encodeURIComponent(text));

/** A value of a schema, mostly; broken where wild. */
function value(c, schema, wild, depth = 0) {
  if (schema === undefined || depth > 6) return pick(TEXTS);
  if (wild && random() < 0.25) return pick([null, 5, -1, 1e308, true, [], {}, [[[[]]]], pick(TEXTS), { a: pick(TEXTS) }]);
  if (schema.$ref) return value(c, c.document.components.schemas[schema.$ref.split('/').pop()], wild, depth);
  if (schema.enum) return wild && random() < 0.3 ? pick(TEXTS) : pick(schema.enum);
  switch (Array.isArray(schema.type) ? pick(schema.type) : schema.type) {
    case 'object': {
      const out = {};
      for (const [k, s] of Object.entries(schema.properties ?? {})) {
        if ((schema.required ?? []).includes(k) ? !(wild && random() < 0.2) : random() < 0.6) out[k] = value(c, s, wild, depth + 1);
      }
      if (wild && random() < 0.2) out[pick(TEXTS)] = pick(TEXTS);
      return out;
    }
    case 'array': return Array.from({ length: Math.floor(random() * (wild ? 30 : 4)) }, () => value(c, schema.items, wild, depth + 1));
    case 'integer': return wild ? pick([-1, 0, 1, 1.5, 2 ** 53, -(2 ** 63)]) : Math.floor(random() * 100) + 1;
    case 'boolean': return random() < 0.5;
    case 'null': return null;
    default: return pick(TEXTS);
  }
}

/** What these callers send: the cookie and its token, a personal token, or nothing. */
function credentials(cast, people) {
  const how = random();
  if (how < 0.05) return {};
  const who = pick(people);
  if (how < 0.45) return { Authorization: `Bearer ${who.token}` };
  return { Cookie: `fumibako=${who.browser.cookie('fumibako')}`, Origin: cast.desk.origin, 'X-Fumibako-CSRF': random() < 0.02 ? 'x' : who.browser.csrf };
}

test(`no request of the API is answered with 500 (seed ${SEED})`, { timeout: (SECONDS + 600) * 1000 }, async (t) => {
  const cast = await Cast.create(t);
  const c = { document: cast.document.document };
  const service = cast.desk.service;
  let messages, dead;
  const people = [];
  // Who fuzzes ends sessions and changes accounts, recalls mails and decides about them: others take their place.
  const renew = async () => {
    messages = [await cast.mail(), await cast.mail({ state: 'queued' }), '01ARZ3NDEKTSV4RRFFQ69G5FAV', 'x'];
    dead = [(await cast.held()).id, 's0-1-1', 'x'];
    const roles = [...ROLES, ...ROLES, 'admin', 'admin'];
    for (const [i, role] of roles.entries()) people[i] = await cast.member(role, i < ROLES.length ? '' : pick(['', '', 'totp', 'enrol', 'password']), people[i]);
  };
  await renew();
  const r0 = await people[0].browser.api('PUT', '/policy', { document: 'rules:\n  - {name: r, action: pass}\n' }, { 'if-match': '*' });
  assert.equal(r0.status, 200);
  const operations = Object.entries(c.document.paths).flatMap(([form, item]) => Object.entries(item).map(([method, op]) => ({ form, method, op })));
  // What starts other programs takes a second each time: now and then, when there is time.
  const isSlow = ({ form }) => /\/system\/doctor|\/storages\/|\/policy\/test|\/notices\/preview/.test(form);
  const quick = operations.filter((o) => !isSlow(o));
  const seen = {};
  const byOperation = new Map(operations.map((o) => [`${o.method} ${o.form}`, 0]));
  const until = Date.now() + SECONDS * 1000;
  let count = 0;
  while (Date.now() < until || count < quick.length * 2) {
    if (count % 60 === 0) await renew();
    const { form, method, op } = count < quick.length * 2 ? quick[count % quick.length] : SECONDS > 10 && random() < 0.01 ? pick(operations.filter(isSlow)) : pick(quick);
    const wild = random() < 0.7;
    const where = form.replace(/\{(\w+)\}/g, (_, name) => encode(random() < 0.1 ? pick(TEXTS) || 'x' : name === 'id' && form.includes('/messages/') ? pick(messages)
      : name === 'id' && form.includes('/dead/') ? pick(dead) : name === 'name' && form.includes('/users/') ? pick(people).name : wild ? pick(TEXTS) || 'x' : '1'));
    const query = (op.parameters ?? []).map((p) => (p.$ref ? c.document.components.parameters[p.$ref.split('/').pop()] : p))
      .filter((p) => p.in === 'query' && random() < 0.5).map((p) => `${p.name}=${encode(String(value(cast.document, p.schema, wild)))}`);
    const headers = { host: cast.desk.host, 'X-Forwarded-For': `10.${count >> 16 & 255}.${count >> 8 & 255}.${count & 255}`, ...credentials(cast, people) };
    if (random() < 0.3) headers['If-Match'] = pick(['*', '""', `"${'a'.repeat(64)}"`, 'W/"x"', 'x'.repeat(500)]);
    if (random() < 0.3) headers['Idempotency-Key'] = pick(['k', 'x'.repeat(200), '!']);
    if (random() < 0.2) headers['Accept-Language'] = pick(['ja', 'ja;q=0.5, en;q=0.9', ';;;', 'x'.repeat(300)]);
    let body;
    if (method !== 'get') {
      const schema = op.requestBody?.content['application/json']?.schema;
      body = wild && random() < 0.1 ? pick(['', '{', '[]', '"x"', '{"a":', '\u0000', '['.repeat(3000), `{"document":"${'x'.repeat(70000)}"}`])
        : JSON.stringify(value(cast.document, schema ?? { type: 'object' }, wild));
      headers['Content-Type'] = wild && random() < 0.05 ? pick(['text/plain', 'application/json; charset=x', '']) : 'application/json';
    }
    const r = await request(`${cast.desk.base}${where}${query.length > 0 ? `?${query.join('&')}` : ''}`, { method: method.toUpperCase(), headers, body, timeout: 60000 });
    seen[r.status] = (seen[r.status] ?? 0) + 1;
    byOperation.set(`${method} ${form}`, byOperation.get(`${method} ${form}`) + 1);
    const told = `${method} ${where} ${query} ${body?.slice(0, 500)}`.slice(0, 1500);
    assert.ok(r.status < 500 || r.status === 503, `${told}: ${r.status} ${r.body}`);
    if (r.status >= 400 && ![414, 431].includes(r.status)) assert.equal(r.headers['content-type'], 'application/problem+json', `${told}: ${r.status}`);
    assert.equal(r.headers['x-evil'], undefined);
    const at = new URL(where, cast.desk.base).pathname;
    if (at === where && cast.document.operation(method, at) && !where.includes('%2F')) cast.document.check(method.toUpperCase(), at, r.status, r.headers['content-type'] ?? '', r.body.toString());
    count += 1;
  }
  assert.ok(service.isRunning, 'the console runs');
  assert.doesNotMatch(service.output, /AddressSanitizer|runtime error/);
  const counts = [...byOperation].sort((a, b) => a[1] - b[1]);
  console.log(`${count} requests, ${counts.filter(([, n]) => n > 0).length} of ${counts.length} operations, of the least ${counts[0][0]} ${counts[0][1]}: ${JSON.stringify(seen)}`);
});
