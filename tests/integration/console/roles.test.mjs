// SPDX-License-Identifier: Apache-2.0
//
// Every operation of the OpenAPI document, with everybody who may ask for it: what is allowed, what is refused, what is bad.
// Each answer is compared with the document.  roles-matrix.mjs says who may what, independently of the program and of the
// document: an operation that has no row there fails.

import assert from 'node:assert/strict';
import test from 'node:test';
import { request, waitFor } from '../../support/harness.mjs';
import { Cast, NEEDS, ROLES, call } from './roles-kit.mjs';
import { MATRIX, POLICY } from './roles-matrix.mjs';

const NOT_A_TOKEN = `fbt.${Buffer.from('first').toString('base64url')}.${'A'.repeat(43)}`;
const isChange = (method) => !['GET', 'HEAD'].includes(method);

async function begin(t) {
  const cast = await Cast.create(t);
  cast.complaints = [];
  cast.admin = await cast.member('admin');
  const r = await cast.admin.browser.api('PUT', '/policy', { document: POLICY }, { 'if-match': '*' });
  assert.equal(r.status, 200, r.body.toString());
  await waitFor(async () => (await cast.admin.browser.good('GET', '/storages')).items.length > 0, { what: 'the console follows the policy' });
  cast.operations = Object.entries(cast.document.document.paths).flatMap(([form, item]) => Object.entries(item)
    .map(([method, op]) => ({ key: `${method.toUpperCase()} ${form}`, method: method.toUpperCase(), form, op, row: MATRIX[`${method.toUpperCase()} ${form}`] })));
  return cast;
}

/** Makes a call; another status than what is wanted, which may be a list, is complained of at the end. */
async function expect(cast, browser, o, request_, wanted, what) {
  const r = await call(browser, cast, { method: o.method, ...request_ });
  if (![wanted].flat().includes(r.status)) {
    cast.complaints.push(`${o.key}, ${what}: ${r.status} and not ${wanted}: ${r.body.toString().slice(0, 200)}`);
  }
  return r;
}

/** What is refused with 403 says why in one of these ways. */
function reason(r, types, what) {
  assert.ok(types.includes(r.json?.type?.split(':').pop()), `${what}: ${r.body.toString().slice(0, 300)}`);
}

/** Who may, says the row. */
const may = (row, role) => row.may === 'open' || row.may === 'signed' || row.may.includes(role);

async function refused(cast, o) {
  const { row } = o;
  const audit = () => cast.redis.command('XLEN', 'fb:{s0}:console:audit');
  const any = async () => { const { path, body, headers } = await row.good(cast, {}); return { path, body, headers }; };
  const before = await audit();
  if (row.may !== 'open') {
    await expect(cast, cast.stranger(), o, await any(), 401, 'nobody');
    await expect(cast, cast.stranger(NOT_A_TOKEN), o, await any(), 401, 'a token that is none');
    await expect(cast, cast.stranger('x'), o, await any(), 401, 'not even the form of a token');
  }
  for (const role of ROLES) {
    const who = await cast.member(role);
    if (!may(row, role)) {
      reason(await expect(cast, who.browser, o, await any(), 403, `a session of ${role}`), ['forbidden'], o.key);
      reason(await expect(cast, cast.stranger(who.token), o, await any(), 403, `a token of ${role}`), ['forbidden'], o.key);
    } else if (row.token === false) {
      reason(await expect(cast, cast.stranger(who.token), o, await any(), 403, `a token of ${role}`), ['session-only', 'csrf'], o.key);
    }
  }
  for (const need of row.may === 'open' ? [] : NEEDS.filter((n) => row.needs?.[n] === undefined)) {
    const who = await cast.member('admin', need);
    reason(await expect(cast, who.browser, o, await any(), 403, `before ${need}`), ['second-factor', 'change-password'], o.key);
  }
  if (isChange(o.method)) {
    const who = await cast.member('admin');
    const foreign = await any();
    for (const headers of [{ origin: 'https://evil.example' }, { origin: null, 'sec-fetch-site': 'cross-site' }]) {
      reason(await expect(cast, who.browser, o, { ...foreign, headers: { ...foreign.headers, ...headers } }, 403, 'from another site'), ['csrf'], o.key);
    }
    if (row.may !== 'open' || row.csrf) {
      reason(await expect(cast, who.browser, o, { ...foreign, headers: { ...foreign.headers, 'x-fumibako-csrf': null } }, 403, 'without its token'), ['csrf'], o.key);
    }
  }
  assert.equal(await audit(), before, `${o.key}: what is refused changes nothing`);
}

async function allowed(cast, o) {
  const { row } = o;
  const ask = async (who, wanted, what) => {
    const { status = 200, ...good } = await row.good(cast, { ...who, isIn: true });
    await expect(cast, who.browser, o, good, wanted ?? status, what);
  };
  if (row.may === 'open') await ask({ browser: cast.stranger() }, undefined, 'nobody');
  for (const role of ROLES.filter((r) => may(row, r))) {
    const who = await cast.member(role);
    await ask(who, undefined, `a session of ${role}`);
    if (row.token !== false && !row.slow) {
      const other = await cast.member(role);
      await ask({ ...other, browser: cast.stranger(other.token) }, typeof row.token === 'number' ? row.token : undefined, `a token of ${role}`);
    }
  }
  for (const need of row.may === 'open' ? NEEDS : Object.keys(row.needs ?? {})) {
    await ask(await cast.member('operator', need), row.needs?.[need], `before ${need}`);
  }
}

test('each operation has its row, and is open to whom the row names: by session and by token, in each step of the log-in', async (t) => {
  const cast = await begin(t);
  assert.deepEqual(cast.operations.filter((o) => !o.row).map((o) => o.key), [], 'new operations need a row in roles-matrix.mjs');
  assert.deepEqual(Object.keys(MATRIX).filter((k) => !cast.operations.some((o) => o.key === k)), [], 'rows of operations that are no more');
  const roles = {};
  for (const o of cast.operations) {
    // The document's word for it means the same roles everywhere.
    const permission = o.op['x-fumibako-permission'];
    const name = String(o.row.may);
    assert.equal(roles[permission] ?? name, name, `${o.key}: ${permission}`);
    roles[permission] = name;
    await refused(cast, o);
    await allowed(cast, o);
  }
  assert.deepEqual(cast.complaints, []);
  assert.deepEqual(roles, { open: 'open', signed: 'signed', see_states: 'admin,operator,auditor,helpdesk', see_policy: 'admin,operator,auditor',
    recall: 'admin,operator', operate: 'admin,operator', edit_policy: 'admin', see_audit: 'admin,auditor', manage_users: 'admin' });
});

// ---- bad input ----

const LONG = 'x'.repeat(2000);
const BAD = { // by the name of a parameter
  limit: ['0', '201', '-1', '1.5', 'x', '9'.repeat(30), '%00'], cursor: ['%00-', '-', 'x', '1-', '..%2f', '%ff'], since: ['yesterday', '2026-13-45', '2026-11-25T99:00', '-5'],
  until: ['tomorrow', '2026-11-25T10:15:00+99x'], state: ['lost', "'"], range: ['year', '0'], offset: ['1000', '-1000', 'x'], format: ['xlsx', '..'],
  sender: [LONG], recipient: [LONG], subject: [LONG], from: ['x', '..%2fx', '-1'], to: ['x', '*', LONG],
};
const BAD_PARTS = ['x', '*', '%20', '%27%20OR%201=1', '..%2f..%2fetc%2fpasswd', '%ff%fe', 'a%00b', 'x'.repeat(300), '%3Cscript%3E', '-1', '%0d%0aX-Evil:%201'];
const deep = `{"a":${'['.repeat(3000)}${']'.repeat(3000)}}`;
const BAD_BODIES = [['no JSON', '{', 400], ['a list', '[]', 400], ['null', 'null', 400], ['twice the same', '{"a":1,"a":2}', 400], ['too deep', deep, 400], ['no text', Buffer.from([0xff, 0xfe]).toString('latin1'), 400],
  ['too large', `{"a":"${'x'.repeat(5 << 20)}"}`, 413]];
const BAD_TYPES = ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'application/jsonx', null];

/** The good call with one change; `set` replaces members of the body. */
function changed(good, { path, body, set, comment, headers } = {}) {
  return { path: path ?? good.path, headers: { ...good.headers, ...headers },
    body: body ?? (set || comment ? { ...good.body, ...set, ...(comment ? { comment } : {}) } : good.body) };
}

const wrongOf = (schema) => ({ string: [5, null, ['x'], { a: 1 }], integer: ['1', 1.5, null, []], boolean: ['yes', 1], array: ['x', 5, [5], { a: 1 }], object: ['x', 5, []] }[schema.type] ?? []);

async function badParameters(cast, o, fresh) {
  const { row, op } = o;
  for (const p of (op.parameters ?? []).map((x) => (x.$ref ? cast.document.document.components.parameters[x.$ref.split('/').pop()] : x))) {
    if (row.free?.includes(p.name)) continue;
    if (p.in === 'path') {
      for (const part of BAD_PARTS) {
        const { good, browser } = await fresh();
        await expect(cast, browser, o, { ...good, path: o.form.replace('/api/v1', '').replace(`{${p.name}}`, part) }, 404, `${p.name}=${part}`);
      }
    } else if (p.in === 'query') {
      assert.ok(BAD[p.name], `${o.key}: what is a bad value of ${p.name}?`);
      for (const value of BAD[p.name]) {
        const { good, browser } = await fresh();
        const [path, query] = good.path.split('?');
        const rest = (query ?? '').split('&').filter((x) => x !== '' && !x.startsWith(`${p.name}=`));
        await expect(cast, browser, o, { path: `${path}?${[...rest, `${p.name}=${value}`].join('&')}` }, [404, 422], `${p.name}=${value}`);
      }
    } else {
      assert.ok(row.bad?.some(([, change]) => Object.keys(change.headers ?? {}).includes(p.name.toLowerCase())) || row.slow, `${o.key}: what is a bad ${p.name}?`);
    }
  }
}

async function badBodies(cast, o, fresh) {
  const { row, op } = o;
  const content = op.requestBody?.content['application/json'];
  if (!content) {
    if (!isChange(o.method)) return;
    // No body is asked for: whatever comes is refused, or not looked at.
    for (const [body, type] of [['{', 'application/json'], ['x', 'text/plain'], ['x'.repeat(5 << 20) + 1, 'application/json']]) {
      const { good, browser } = await fresh();
      const r = await call(browser, cast, { method: o.method, path: good.path, body, headers: { ...good.headers, 'content-type': type, 'content-length': String(Buffer.byteLength(body)) } });
      assert.ok(r.status < 500, `${o.key}: ${r.status}`);
    }
    return;
  }
  for (const [what, body, status] of BAD_BODIES.filter(([, , s]) => o.form !== '/api/v1/policy/test' || s !== 413)) {
    const { good, browser } = await fresh();
    await expect(cast, browser, o, { ...good, body }, status, what);
  }
  for (const type of BAD_TYPES) {
    const { good, browser } = await fresh();
    await expect(cast, browser, o, { ...good, body: '{}', headers: { ...good.headers, 'content-type': type } }, 415, `Content-Type ${type}`);
  }
  const schema = content.schema.$ref ? cast.document.document.components.schemas[content.schema.$ref.split('/').pop()] : content.schema;
  for (const [name, of] of Object.entries(schema.properties)) {
    if (row.free?.includes(name)) continue;
    for (const value of wrongOf(of)) {
      const { good, browser } = await fresh();
      await expect(cast, browser, o, changed(good, { set: { [name]: value } }), 422, `${name}=${JSON.stringify(value)}`);
    }
  }
  for (const name of schema.required ?? []) {
    const { good, browser } = await fresh();
    await expect(cast, browser, o, changed(good, { set: { [name]: undefined } }), [401, 422], `without ${name}`);
  }
}

test('bad parameters, bodies, types and headers of each operation are refused with what is wrong', async (t) => {
  const cast = await begin(t);
  for (const o of cast.operations.filter((x) => x.row)) {
    const fresh = async () => {
      const who = await cast.member('admin');
      const { status, ...good } = await o.row.good(cast, { ...who, isIn: true });
      return { good, browser: who.browser };
    };
    await badParameters(cast, o, fresh);
    await badBodies(cast, o, fresh);
    for (const [what, change, status] of o.row.bad ?? []) {
      const { good, browser } = await fresh();
      const r = await expect(cast, browser, o, changed(good, change), status, what);
      if (r.status === 422) assert.ok(r.json.errors.length > 0 && r.json.errors.every((e) => e.where && e.what), `${o.key}, ${what}: where?`);
    }
  }
  assert.deepEqual(cast.complaints, []);
  // What the document says of bad input was all seen.
  const seen = cast.document.covered;
  const unseen = cast.operations.flatMap((o) => ['400', '413', '415', '422'].filter((s) => o.op.responses[s] && !seen.has(`${o.key} ${s}`)).map((s) => `${o.key} ${s}`));
  // The rule tester takes mails, larger ones than are sent here.
  assert.deepEqual(unseen.filter((u) => u !== 'POST /api/v1/policy/test 413'), []);
  assert.ok(cast.desk.service.isRunning);
});

test('without Redis each operation says so, in both languages, and nobody is let in', async (t) => {
  const cast = await begin(t);
  const { token } = cast.admin;
  const calls = [];
  for (const o of cast.operations) calls.push({ o, ...await o.row.good(cast, {}) });
  await cast.redis.stop();
  for (const { o, path, body, headers } of calls) {
    if (['/openapi.json', '/login/oidc'].some((p) => path.startsWith(p))) continue;
    const who = o.row.may === 'open' ? cast.stranger() : cast.stranger(token);
    const r = await expect(cast, who, o, { path, body, headers: { ...headers, 'accept-language': 'ja' } }, [503, ...(o.row.may === 'open' && o.method === 'GET' ? [200] : [])], 'without Redis');
    if (r.status === 200) assert.equal(r.json.user, null);
    else assert.match(r.json.detail, /ください/);
  }
  assert.deepEqual(cast.complaints, []);
  const health = await request(`http://127.0.0.1:${cast.desk.service.metricsPort}/healthz`);
  assert.equal(health.status, 200);
});
