// SPDX-License-Identifier: Apache-2.0
//
// Ways by which content once got past a rule, or stayed in a mail that a rule had secured, each as a mail through the
// whole stack.  None may bring a word of it to the recipient.

import test from 'node:test';
import assert from 'node:assert/strict';
import { hasPostfix } from '../support/postfix.mjs';
import { waitFor } from '../support/harness.mjs';
import { Stack, everythingIn, textOf } from './stack.mjs';

const needsPostfix = { skip: hasPostfix() ? false : 'needs root and Postfix' };
const SECRET = 'orchid-seven-delta';
const secure = { action: 'secure', storage: 'box', security: 'recipients only' };

const mail = (subject, rest) => Buffer.from([
  'From: taro@example.jp', 'To: hanako@partner.example.com', `Subject: ${subject}`,
  'Date: Fri, 27 Nov 2026 10:15:00 +0900', 'MIME-Version: 1.0', ...rest, ''].join('\r\n'), 'latin1');
const multipart = (type, parts, before = []) => [`Content-Type: multipart/${type}; boundary=b`, '', ...before,
  ...parts.flatMap((part) => ['--b', ...part]), '--b--'];
const html = (text) => ['Content-Type: text/html', '', text];
const plain = (text) => ['Content-Type: text/plain', '', text];
const armor = (...fields) => ['-----BEGIN PGP MESSAGE-----', ...fields, '', 'hQEMA1234567890abcdefghi', '=abcd',
  '-----END PGP MESSAGE-----'];

const RULES = [
  { ...secure, name: 'body alone', when: { subject: ['bodyonly'] }, secure: { body: true, attachments: false } },
  { ...secure, name: 'files alone', when: { subject: ['filesonly'] }, secure: { body: false, attachments: true } },
  { ...secure, name: 'words', when: { subject: ['words'], body: ['top confidential'] } },
  { ...secure, name: 'names', when: { subject: ['names'], attachments: { name: ['*.xlsx'] } } },
  { action: 'pass', name: 'others', when: { subject: ['words', 'names'] } },
  { ...secure, name: 'everything' },
];

const MAILS = {
  calendar: mail('bodyonly: a calendar and AMP repeat the letter', multipart('alternative', [plain(SECRET), html(SECRET),
    ['Content-Type: text/calendar; method=REQUEST', '', `DESCRIPTION:${SECRET}`],
    ['Content-Type: text/x-amp-html', '', `<p>${SECRET}</p>`]])),
  winmail: mail('bodyonly: winmail.dat that cannot be unpacked', multipart('mixed', [plain('hello'),
    ['Content-Type: application/ms-tnef; name=winmail.dat', '', `not TNEF ${SECRET}`]])),
  disguise: mail('filesonly: a workbook that says it is an image of the body', multipart('related', [
    html("hi <img src='cid:i'>"),
    ['Content-Type: image/png; name=secret.xlsx', 'Content-ID: <i>', '', `PK ${SECRET}`]])),
  alternative: mail('words in the HTML alone', multipart('alternative', [plain('See the HTML.'),
    html(`<p>top confi<b></b>dential ${SECRET}</p>`)])),
  wrapped: mail('words in two lines', ['', 'this is top', `confidential ${SECRET}`]),
  forwarded: mail('words in an attached message', multipart('mixed', [plain('FYI'),
    ['Content-Type: message/rfc822', '', 'Subject: inner', '', `top confidential ${SECRET}`]])),
  inside: mail('names in an attached message', multipart('mixed', [plain('FYI'),
    ['Content-Type: message/rfc822', '', 'Content-Type: application/x-xls; name=a.xlsx', '', SECRET]])),
  long: mail('words beyond what is searched', ['', ...Array(160000).fill('x'.repeat(70)), `top confidential ${SECRET}`]),
  comments: mail('a letter in the comments of PGP', ['',
    ...armor(...Array.from({ length: 20 }, (_, i) => `Line ${i}: ${SECRET}`))]),
  preamble: mail('a letter in front of PGP', multipart('encrypted; protocol="application/pgp-encrypted"', [
    ['Content-Type: application/pgp-encrypted', '', 'Version: 1'],
    ['Content-Type: application/octet-stream', '', ...armor()]], ['Dear Hanako,', SECRET])),
  report: mail('a report that brings a file', multipart('report; report-type=delivery-status', [plain('words'),
    ['Content-Type: message/delivery-status', '', 'Reporting-MTA: dns; x'],
    ['Content-Type: application/pdf; name=a.pdf', '', SECRET]])),
};

test('no form of a mail brings content past a rule', needsPostfix, async (t) => {
  const stack = await Stack.start(t, { policy: { rules: RULES } });
  for (const [name, content] of Object.entries(MAILS)) {
    await stack.submit(content, { from: name === 'report' ? '' : 'taro@example.jp', to: [`${name}@partner.example.com`] });
  }
  await waitFor(() => Object.keys(MAILS).every((name) => stack.postfix.delivered(`${name}@partner.example.com`).length > 0),
    { timeout: 180000, what: 'the mails' }).catch(() => {}); // which one is missing is said below
  await stack.settled();
  for (const name of Object.keys(MAILS)) {
    const got = stack.postfix.delivered(`${name}@partner.example.com`);
    assert.equal(got.length, 1, `${name}: one mail\n${stack.logs('render')}`);
    assert.ok(!everythingIn(got[0].raw).includes(SECRET), `${name}: the content is in the mail`);
    assert.match(textOf(got[0].raw), /https?:\/\//, `${name}: the link is there`);
  }
});

// Postfix (allow_percent_hack, swap_bangpath) obeys a route in an address of a domain of its own.
test('an address that leads out by way of the own domain is no address within', needsPostfix, async (t) => {
  const stack = await Stack.start(t, { main: { mydestination: 'example.jp' },
    policy: { rules: [{ ...secure, name: 'out', when: { to: ['!@example.jp'] } }] } });
  const routes = ['a%partner.example.com@example.jp', '"b@partner.example.com"@example.jp',
    'partner.example.com!c@example.jp'];
  for (const route of routes) {
    await stack.submit(mail('a route', ['', SECRET]), { to: [route] });
  }
  await waitFor(async () => (await stack.messages()).length === routes.length, { timeout: 180000, what: 'a message for each route' });
  await stack.settled();
  for (const name of ['a', 'b', 'c']) {
    for (const { raw } of stack.postfix.delivered(`${name}@partner.example.com`)) {
      assert.ok(!everythingIn(raw).includes(SECRET), `${name}: the content went out`);
    }
  }
  assert.equal(routes.length, (await stack.messages()).length);
});
