// SPDX-License-Identifier: Apache-2.0
//
// Access that was taken back is given back, by the same link; and the ledger says of it what Box confirmed, whatever
// crashes in between.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sleep } from '../../support/harness.mjs';
import { isClosed, TO, uploaded } from './kit.mjs';

const sorted = (b) => b.collaborations.map((c) => c.login).sort();

test('a recalled mail is restored, by the same link, and recalled again', async (t) => {
  const stage = await uploaded(t);
  const link = (await stage.box()).links[0].url;
  await stage.sent();
  for (let round = 0; round < 2; round++) {
    await stage.recall();
    await stage.untilStates('recalled', 'recalled', 'recalled');
    assert.ok(isClosed(await stage.box()));
    const answer = await stage.restore();
    assert.equal(answer.code, 0);
    assert.deepEqual(answer.recipients.map((r) => r.restored), [true, true, true]);
    await stage.untilStates('active', 'active', 'pending');
    const box = await stage.box();
    assert.deepEqual(sorted(box), [...TO].sort());
    assert.equal(box.links[0].url, link);
    assert.ok(box.collaborations.every((c) => c.role === 'viewer'));
    assert.equal((await stage.sim.act(TO[0], 'preview', { file: box.files[0].id })).status, 200);
  }
  await stage.recall('--recipient', TO[2]);
  await stage.untilStates('active', 'active', 'recalled');
  assert.deepEqual(sorted(await stage.box()), TO.slice(0, 2).sort(), 'also the one without an account');
});

test('only those that are named are let in again', async (t) => {
  const stage = await uploaded(t);
  await stage.sent();
  await stage.recall();
  await stage.untilStates('recalled', 'recalled', 'recalled');
  await stage.restore('--to', TO[1]);
  await stage.untilStates('recalled', 'active', 'recalled');
  assert.deepEqual(sorted(await stage.box()), [TO[1]]);
  const again = await stage.restore('--to', TO[1]);
  assert.equal(again.code, 1);
  assert.match(again.recipients[0].reason, /has access already/);
});

test('an open link that was closed opens again with its password', async (t) => {
  const stage = await uploaded(t, { spec: { security: 'open' } });
  const before = (await stage.box()).links[0];
  assert.ok(before.password);
  await stage.sent();
  await stage.recall();
  await stage.untilStates('recalled', 'recalled', 'recalled');
  const file = (await stage.box()).files[0].id;
  assert.equal((await stage.sim.act(null, 'preview', { file, password: before.password })).status, 403);
  const one = await stage.ctl('restore', stage.id, '--to', TO[0]);
  assert.equal(one.code, 1);
  assert.match(one.stdout, /one link/);
  assert.equal((await stage.restore()).code, 0);
  await stage.untilStates('active', 'active', 'active');
  const after = (await stage.box()).links[0];
  assert.equal(after.url, before.url);
  assert.equal(after.password, before.password);
  assert.equal((await stage.sim.act(null, 'preview', { file, password: before.password })).status, 200);
});

test('where the link is gone nothing is opened, and that is said', async (t) => {
  const stage = await uploaded(t);
  await stage.sent();
  await stage.recall();
  await stage.untilStates('recalled', 'recalled', 'recalled');
  const { folder } = await stage.box();
  await stage.sim.api('PUT', `/2.0/folders/${folder.id}`, { shared_link: null });
  await stage.restore();
  await stage.dead(1);
  assert.ok(isClosed(await stage.box()));
  assert.deepEqual(await stage.states(), ['recalled', 'recalled', 'recalled']);
  const told = (await stage.show()).branches[0].history.map((h) => h.event).join('\n');
  assert.match(told, /not given back: the link in the notice is gone/);
});

test('what cannot be given back is refused in words: notice kept back, content deleted', async (t) => {
  const stage = await uploaded(t);
  await stage.recall('--recipient', TO[0]);
  await stage.untilStates('recalled', 'active', 'pending');
  const kept = await stage.restore('--to', TO[0]);
  assert.equal(kept.code, 1);
  assert.match(kept.recipients[0].reason, /notice was kept back/);
  assert.deepEqual(sorted(await stage.box()), TO.slice(1).sort());
  await stage.sent();
  await stage.recall('--content');
  await stage.untilStates('purged', 'purged', 'purged');
  const gone = await stage.restore();
  assert.equal(gone.code, 1);
  assert.match(gone.recipients[1].reason, /content is deleted/);
});

test('a parcel whose time is over is not opened again', async (t) => {
  const stage = await uploaded(t, { spec: { expires_ms: Date.now() + 8000 } });
  await stage.sent();
  await stage.untilStates('expired', 'expired', 'expired');
  const answer = await stage.restore();
  assert.equal(answer.code, 1);
  assert.match(answer.recipients[0].reason, /time is over/);
});

test('recall and restore in quick succession: whatever was asked for last stands', async (t) => {
  const stage = await uploaded(t);
  await stage.sent();
  for (let round = 0; round < 4; round++) {
    await stage.recall();
    await stage.restore();
    if (round % 2 === 0) await stage.recall('--recipient', TO[0]);
  }
  await stage.idle();
  assert.deepEqual(await stage.states(), ['active', 'active', 'pending']);
  assert.deepEqual(sorted(await stage.box()), [...TO].sort());
  await stage.restore();
  await stage.recall();
  await stage.idle();
  assert.deepEqual(await stage.states(), ['recalled', 'recalled', 'recalled']);
  assert.ok(isClosed(await stage.box()));
});

for (const [where, fault] of [
  ['before the link is opened', { method: 'PUT', path: '/folders/' }],
  ['between two invitations', { method: 'POST', path: '/collaborations', after: 1 }],
  ['behind the last invitation', { method: 'POST', path: '/collaborations', after: 2 }],
]) {
  for (const recalledAgain of [false, true]) {
    test(`killed ${where}, ${recalledAgain ? 'and recalled before it runs again: nobody is in' : 'it is finished by another'}`, async (t) => {
      const stage = await uploaded(t);
      await stage.sent();
      await stage.recall();
      await stage.untilStates('recalled', 'recalled', 'recalled');
      await stage.sim.request('DELETE', '/__requests');
      // Done, and the answer never comes: what it was is known to Box alone.
      await stage.sim.faults([{ match: { method: fault.method, path: fault.path }, after: fault.after ?? 0, times: 1, do: { slow_bps: 1 } }]);
      await stage.restore();
      await stage.struck('the call');
      await sleep(300);
      await stage.revoke.kill();
      await stage.redis.abandon('revoke');
      await stage.sim.faults([]);
      assert.deepEqual(await stage.states(), ['recalled', 'recalled', 'recalled'], 'nothing that is not confirmed');
      if (recalledAgain) await stage.recall();
      await stage.start('revoke');
      await stage.idle(90000);
      if (recalledAgain) {
        assert.ok(isClosed(await stage.box()), JSON.stringify((await stage.box()).collaborations));
        assert.deepEqual(await stage.states(), ['recalled', 'recalled', 'recalled']);
      } else {
        assert.deepEqual(sorted(await stage.box()), [...TO].sort());
        assert.deepEqual(await stage.states(), ['active', 'active', 'pending']);
      }
    });
  }
}
