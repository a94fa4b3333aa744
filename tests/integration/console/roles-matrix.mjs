// SPDX-License-Identifier: Apache-2.0
//
// One row for each operation of the OpenAPI document; roles.test.mjs goes through them, and fails for an operation without a
// row.  A row says
//   may    the roles that may, or 'open' (anybody, nobody as well), or 'signed' (whoever is signed in)
//   good   makes a call that must work: {path, body, headers, status}; status is 200 where it is not told.  It is given the
//          cast (roles-kit.mjs) and who is to call, and is called anew for each caller
//   token  false: a personal token is refused (403), as it is for what only its owner may do in a browser
//   needs  'signed' only: the steps of the log-in that need not be done yet; {step: status}, other steps are refused
//   bad    further calls that must be refused, made by an administrator: [what, change of the good call, status]
//   free   parameters and members of the body of which any value is taken
//   slow   it starts another program: fewer callers, fewer broken bodies
// What is bad about parameters of usual names, about wrong types and about bodies that are no JSON need not be said here.

import { totp } from './accounts-kit.mjs';
import { RECOVERY } from './roles-kit.mjs';

const EVERYBODY = ['admin', 'operator', 'auditor', 'helpdesk'];
const READERS = ['admin', 'operator', 'auditor'];
const OPERATORS = ['admin', 'operator'];
const AUDITORS = ['admin', 'auditor'];
const ADMINS = ['admin'];

const to = (path, more = {}) => () => ({ path, ...more });
const NOBODYS_ID = '01ARZ3NDEKTSV4RRFFQ69G5FAV';
const MAIL = Buffer.from('Subject: hello\r\nFrom: taro@example.jp\r\n\r\nHello\r\n').toString('base64');
export const POLICY = `# the matrix
storages:
  - {name: vault, type: vault, url: "file:///srv/vault", key_file: /etc/fumibako/vault.key}
security_definitions:
  - {name: code, access: recipients}
rules:
  - {name: outbound, when: {to: ["!@example.jp"]}, action: secure, storage: vault, security: code}
`;

const reason = [['a reason that is too long', { body: { reason: 'x'.repeat(501) } }, 422]];
const nobodys = (form) => [['a message that is not there', { path: form.replace('{id}', NOBODYS_ID) }, 404]];
const onHeld = (verb) => ({
  may: OPERATORS, bad: [...reason, ['one that is not there', { path: `/dead/s0-1-1/${verb}` }, 404]],
  good: async (cast) => ({ path: `/dead/${(await cast.held()).id}/${verb}`, body: { reason: 'looked at' }, status: 202 }),
});
const ifMatch = [
  ['without If-Match', { headers: { 'if-match': null } }, 428], ['an If-Match that is none', { headers: { 'if-match': 'W/"x"' } }, 422],
  ['another version', { headers: { 'if-match': `"${'0'.repeat(64)}"` } }, 412], ['as if there were none', { headers: { 'if-match': '*' } }, 412],
  ['a comment that is too long', { comment: 'x'.repeat(501) }, 422]];
const broken = [['a policy with errors', { set: { document: 'rules: [' } }, 422]];

const aboutUser = (rest, more) => ({ may: ADMINS, token: false,
  good: async (cast) => ({ path: `/users/${(await cast.member('helpdesk')).name}${rest}`, ...more?.call }),
  bad: [['somebody who is not there', { path: `/users/nobody-of-that-name${rest}` }, 404], ...(more?.bad ?? [])] });

export const MATRIX = {
  'GET /api/v1/openapi.json': { may: 'open', good: to('/openapi.json') },
  'GET /api/v1/overview': { may: EVERYBODY, good: to('/overview?offset=540') },
  'GET /api/v1/overview/series': { may: EVERYBODY, good: to('/overview/series?range=day') },
  'GET /api/v1/queues': { may: EVERYBODY, good: to('/queues') },
  'GET /api/v1/system': { may: EVERYBODY, good: to('/system') },

  'GET /api/v1/messages': { may: EVERYBODY, good: to('/messages?limit=3&state=done&sender=taro@example.jp') },
  'GET /api/v1/messages/{id}': { may: EVERYBODY, bad: nobodys('/messages/{id}'), good: async (cast) => ({ path: `/messages/${await cast.mail()}` }) },
  'POST /api/v1/messages/{id}/recall': { may: OPERATORS,
    good: async (cast) => ({ path: `/messages/${await cast.mail()}/recall`, body: { reason: 'wrong address', recipients: ['hanako@example.com'] }, status: 202 }),
    bad: [...nobodys('/messages/{id}/recall'), ...reason, ['somebody else', { body: { recipients: ['somebody@else.example'] } }, 422],
      ['a key that is too long', { headers: { 'idempotency-key': 'k'.repeat(129) } }, 422]] },
  'POST /api/v1/messages/{id}/restore': { may: OPERATORS,
    good: async (cast) => ({ path: `/messages/${await cast.mail()}/restore`, body: { preview: true, recipients: ['hanako@example.com'] } }),
    bad: [...nobodys('/messages/{id}/restore'), ['somebody else', { body: { recipients: ['somebody@else.example'] } }, 422]] },

  'GET /api/v1/policy': { may: READERS, good: to('/policy') },
  'PUT /api/v1/policy': { may: ADMINS, bad: [...ifMatch, ...broken, ['none', { set: { document: undefined } }, 422]],
    good: async (cast) => ({ path: '/policy', body: { document: `${POLICY}# ${Math.random()}\n`, comment: 'by the matrix' }, headers: { 'if-match': (await cast.policy()).etag } }) },
  'POST /api/v1/policy/check': { may: READERS, good: to('/policy/check', { body: { document: POLICY } }), bad: [['none', { body: {} }, 422]] },
  'GET /api/v1/policy/history': { may: READERS, good: to('/policy/history') },
  'GET /api/v1/policy/versions/{version}': { may: READERS, good: to('/policy/versions/1'), bad: [['one that is not there', { path: '/policy/versions/999' }, 404]] },
  'GET /api/v1/policy/diff': { may: READERS, good: to('/policy/diff?from=1&to=1'), bad: [['from nothing', { path: '/policy/diff' }, 422]] },
  'POST /api/v1/policy/diff': { may: READERS, good: to('/policy/diff', { body: { document: `${POLICY}# more\n` } }), bad: [['none', { body: {} }, 422]] },
  'POST /api/v1/policy/rollback': { may: ADMINS, bad: [...ifMatch, ['a version that is not there', { set: { version: '999' } }, 404]],
    good: async (cast) => ({ path: '/policy/rollback', body: { version: '1', comment: 'back' }, headers: { 'if-match': (await cast.policy()).etag } }) },
  'POST /api/v1/policy/test': { may: READERS, slow: true, good: to('/policy/test', { body: { mail: MAIL, from: 'taro@example.jp', to: ['hanako@example.com'] } }),
    bad: [...broken, ['no base64', { set: { mail: '!' } }, 422], ['nobody to send to', { set: { to: [] } }, 422], ['no address', { set: { to: ['-x'] } }, 422],
      ['no mail at all', { set: { mail: '' } }, 422], ['no sender', { set: { from: undefined } }, 422],
      ['an option in place of a sender', { set: { from: '--config=/etc/passwd' } }, 422]] },
  'POST /api/v1/policy/notices/preview': { may: READERS, slow: true, good: to('/policy/notices/preview', { body: { document: POLICY, kind: 'notice', language: 'ja' } }),
    bad: [...broken, ['no such kind', { set: { kind: 'novel' } }, 422], ['another language', { set: { language: 'fr' } }, 422],
      ['no such rule', { set: { rule: '--config' } }, 422], ['a rule without a name', { set: { rule: '' } }, 422], ['a number for a kind', { set: { kind: 7 } }, 422]] },
  'POST /api/v1/policy/dry-run': { may: READERS, good: to('/policy/dry-run', { body: { document: POLICY, limit: 10 } }),
    bad: [...broken, ['a limit of 0', { set: { limit: 0 } }, 422], ['too many', { set: { limit: 1001 } }, 422]] },
  'GET /api/v1/policy/hits': { may: READERS, good: to('/policy/hits') },

  'GET /api/v1/dead': { may: EVERYBODY, good: to('/dead') },
  'GET /api/v1/dead/{id}': { may: EVERYBODY, good: async (cast) => ({ path: `/dead/${(await cast.held()).id}` }) },
  'POST /api/v1/dead/{id}/retry': onHeld('retry'),
  'POST /api/v1/dead/{id}/release': onHeld('release'),
  'POST /api/v1/dead/{id}/reject': onHeld('reject'),

  'GET /api/v1/storages': { may: EVERYBODY, good: to('/storages') },
  'POST /api/v1/storages/{name}/test': { may: OPERATORS, slow: true, good: to('/storages/vault/test') },
  'GET /api/v1/audit': { may: AUDITORS, good: to('/audit?user=first&action=user&object=user%20first'), free: ['user', 'action', 'object'] },
  'GET /api/v1/audit/export': { may: AUDITORS, good: to('/audit/export?format=ndjson'), free: ['user', 'action', 'object'] },
  'POST /api/v1/system/doctor': { may: OPERATORS, slow: true, good: to('/system/doctor') },

  'GET /api/v1/session': { may: 'open', good: to('/session') },
  'POST /api/v1/session': { may: 'open', good: async (cast) => ({ path: '/session', body: { user: 'first', password: cast.first } }),
    bad: [['a wrong password', { set: { password: 'x' } }, 401], ['nobody', { set: { user: '' } }, 401], ['no password', { set: { password: undefined } }, 422]] },
  'DELETE /api/v1/session': { may: 'signed', needs: { totp: 204, passkey: 204, enrol: 204, password: 204 }, good: to('/session', { status: 204 }) },
  'POST /api/v1/session/totp': { may: 'signed', token: 409, needs: { totp: 200, passkey: 200, enrol: 409, password: 200 },
    good: to('/session/totp', { body: { recovery: RECOVERY } }),
    bad: [['a wrong code', { body: { code: '000000' } }, 401], ['both', { body: { code: '000000', recovery: RECOVERY } }, 422], ['none', { body: {} }, 422]] },
  'POST /api/v1/session/passkey/options': { may: 'open', token: false, csrf: true, good: to('/session/passkey/options') },
  'POST /api/v1/session/passkey': { may: 'open', token: false, csrf: true,
    good: async (cast, who) => {
      if (!who.isIn) return { path: '/session/passkey', body: { credential: {} } };
      const owner = who.name ? who : await cast.member('helpdesk');
      const { key } = await cast.passkey(owner);
      const options = await who.browser.good('POST', '/session/passkey/options');
      return { path: '/session/passkey', body: { credential: key.get(options) } };
    },
    bad: [['a passkey that is none', { body: { credential: {} } }, 401], ['none', { body: {} }, 422]] },

  'GET /api/v1/account': { may: 'signed', token: true, needs: { enrol: 200, password: 200 }, good: to('/account') },
  'PATCH /api/v1/account': { may: 'signed', token: false, good: to('/account', { body: { language: 'ja' } }), bad: [['another language', { body: { language: 'fr' } }, 422]] },
  'POST /api/v1/account/password': { may: 'signed', token: false, needs: { password: 200 },
    good: async (cast) => ({ path: '/account/password', body: { current: cast.first, new: 'another one that nobody guesses' } }),
    bad: [['a short one', { set: { new: 'short' } }, 422], ['a wrong current one', { set: { current: 'x' } }, 422], ['no current one', { set: { current: undefined } }, 422]] },
  'POST /api/v1/account/totp': { may: 'signed', token: false, needs: { enrol: 200 }, good: to('/account/totp') },
  'PUT /api/v1/account/totp': { may: 'signed', token: false, needs: { enrol: 200 },
    good: async (cast, who) => ({ path: '/account/totp', body: { code: who.isIn ? totp((await who.browser.good('POST', '/account/totp')).secret) : '000000' } }),
    bad: [['a wrong code', { body: { code: 'abcdef' } }, 422]] },
  'DELETE /api/v1/account/totp': { may: 'signed', token: false,
    good: async (cast, who) => {
      if (who.name) { await cast.app(who); await cast.passkey(who); }
      return { path: '/account/totp', status: 204 };
    } },
  'POST /api/v1/account/recovery': { may: 'signed', token: false, good: to('/account/recovery') },
  'POST /api/v1/account/passkeys/options': { may: 'signed', token: false, needs: { enrol: 200 }, good: to('/account/passkeys/options') },
  'POST /api/v1/account/passkeys': { may: 'signed', token: false, needs: { enrol: 200 },
    good: async (cast, who) => ({ path: '/account/passkeys', body: { label: 'telephone',
      credential: who.isIn ? cast.authenticator().create(await who.browser.good('POST', '/account/passkeys/options')) : {} } }),
    bad: [['a passkey that is none', { set: { credential: { id: 'x' } } }, 422]], free: ['label'] },
  'DELETE /api/v1/account/passkeys/{id}': { may: 'signed', token: false,
    good: async (cast, who) => {
      if (!who.name) return { path: '/account/passkeys/x', status: 204 };
      await cast.app(who);
      return { path: `/account/passkeys/${(await cast.passkey(who)).id}`, status: 204 };
    } },
  'POST /api/v1/account/tokens': { may: 'signed', token: false, good: to('/account/tokens', { body: { label: 'a program', days: 7, role: 'helpdesk' }, status: 201 }),
    bad: [['no name', { set: { label: '' } }, 422], ['no day', { set: { days: 0 } }, 422], ['too many days', { set: { days: 367 } }, 422], ['no role', { set: { role: 'root' } }, 422]] },
  'DELETE /api/v1/account/tokens/{id}': { may: 'signed', token: false,
    good: async (cast, who) => ({ path: `/account/tokens/${who.name ? (await (await cast.session(who)).good('GET', '/account')).tokens[0].id : 'x'}`, status: 204 }) },
  'GET /api/v1/account/sessions': { may: 'signed', token: false, good: to('/account/sessions') },
  'DELETE /api/v1/account/sessions': { may: 'signed', token: false, good: to('/account/sessions', { status: 204 }) },
  'DELETE /api/v1/account/sessions/{id}': { may: 'signed', token: false,
    good: async (cast, who) => {
      if (!who.name) return { path: '/account/sessions/x', status: 204 };
      const { items } = await (await cast.session(who)).good('GET', '/account/sessions');
      return { path: `/account/sessions/${items.find((s) => s.is_this).id}`, status: 204 };
    } },

  'GET /api/v1/users': { may: ADMINS, good: to('/users?limit=2'), free: ['cursor'] },
  'POST /api/v1/users': { may: ADMINS, token: false,
    good: async (cast) => ({ path: '/users', body: { name: cast.name(), role: 'helpdesk' }, status: 201 }),
    bad: [['no name', { set: { name: '' } }, 422], ['a name that cannot be', { set: { name: '<b>' } }, 422], ['one that is there', { set: { name: 'FIRST' } }, 409],
      ['no role', { set: { role: 'root' } }, 422]] },
  'PATCH /api/v1/users/{name}': aboutUser('', { call: { body: { role: 'operator', state: 'off' } }, bad: [['nothing', { body: {} }, 422],
    ['no role', { body: { role: 'root' } }, 422], ['no state', { body: { state: 'gone' } }, 422]] }),
  'DELETE /api/v1/users/{name}': aboutUser('', { call: { status: 204 } }),
  'POST /api/v1/users/{name}/password': aboutUser('/password'),
  'POST /api/v1/users/{name}/reset': aboutUser('/reset'),
  'POST /api/v1/users/{name}/unlock': aboutUser('/unlock'),

  // Without a provider there is none; oidc.test.mjs has one.
  'GET /login/oidc': { may: 'open', good: to('/login/oidc', { status: 404 }) },
  'GET /login/oidc/callback': { may: 'open', good: to('/login/oidc/callback?code=x&state=y', { status: 404 }) },
};
