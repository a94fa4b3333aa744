// SPDX-License-Identifier: Apache-2.0
//
// A passkey in a real browser: Chromium's own authenticator (WebAuthn.addVirtualAuthenticator) is enrolled at the first
// log-in and signs in alone afterwards; one that does not verify its user does not.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import test from 'node:test';
import { waitFor } from '../support/harness.mjs';
import { Desk } from './console_kit.mjs';

test('a passkey is set up at the first log-in and is enough for the next one', async (t) => {
  const desk = await Desk.start(t, { services: ['console'] });
  desk.base = `http://localhost:${desk.world.ports.console}`; // no passkeys for an address
  await desk.account('hanako', 'admin');
  const visit = await desk.visit();
  const { page } = visit;
  await page.call('WebAuthn.enable', {});
  const { authenticatorId } = await page.call('WebAuthn.addVirtualAuthenticator', { options: { protocol: 'ctap2', transport: 'internal',
    hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true } });
  const isIn = () => page.evaluate(() => document.querySelector('nav') !== null);

  await visit.fill('User', 'hanako');
  await visit.fill('Password', desk.passwords.get('hanako'));
  await visit.press('Sign in');
  await visit.sees(/Set up two-step login/);
  await visit.press('Passkey');
  await visit.check('enrolment of a passkey');
  await visit.press('Add a passkey');
  await visit.sees(/Recovery codes/);
  await visit.press('I have kept them');
  await waitFor(() => page.evaluate(() => document.querySelector('input[name=new]') !== null), { what: 'the new password' });
  const password = `${randomBytes(12).toString('base64url')}-bY8`;
  await page.type('input[name=new]', password);
  await page.type('input[name=again]', password);
  await visit.press('Change the password');
  await waitFor(isIn, { what: 'to be in' });

  const { credentials } = await page.call('WebAuthn.getCredentials', { authenticatorId });
  assert.equal(credentials.length, 1);
  assert.equal(credentials[0].rpId, 'localhost');
  assert.ok(credentials[0].isResidentCredential);
  for (let i = 0; i < 2; i++) {
    await visit.press('Sign out');
    await visit.press('Sign in with a passkey');
    await waitFor(isIn, { what: 'to be in by the passkey alone' });
  }
  const session = await page.evaluate(async () => (await fetch('/api/v1/session')).json());
  assert.deepEqual([session.user, session.role, session.needs, session.method], ['hanako', 'admin', null, 'passkey']);

  await visit.press('Sign out');
  await page.call('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: false });
  await visit.press('Sign in with a passkey');
  await waitFor(() => page.evaluate(() => document.querySelector('[role=alert]') !== null), { what: 'a refusal' });
  assert.equal((await page.evaluate(async () => (await fetch('/api/v1/session')).json())).user, null);
  assert.ok(!await isIn());
});
