// SPDX-License-Identifier: Apache-2.0
//
// The whole pipeline on a Redis that fails over, with mail flowing meanwhile: every mail arrives, and once.  One stack
// meets all troubles of its kind, one after the other; FB_REDIS_MAILS sets how many mails flow at least through each (25).
// Then mails are recalled while a primary dies: a recall that was answered without a warning is never forgotten.
import assert from 'node:assert/strict';
import { Stack, splitMail } from '../../e2e/stack.mjs';
import { plainMail } from '../../e2e/mails.mjs';
import { Smtp, sleep, waitFor } from '../../support/harness.mjs';
import { hasPostfix } from '../../support/postfix.mjs';

const MAILS = Number(process.env.FB_REDIS_MAILS ?? 25);
const PAUSE_MS = 200;
const RECALLS = 24;

export const options = { skip: hasPostfix() ? false : 'needs root and Postfix', timeout: 10 * 60000 };
const addressOf = (i) => `r${i}@partner.example.com`;

export class Flow {
  /** make(dir): the group; shards of it. */
  static async start(t, make, shards) {
    const flow = new Flow();
    flow.t = t;
    flow.sent = 0;
    flow.stack = await Stack.start(t, {
      redis: async (dir) => { flow.group = await make(dir); return flow.group; }, box: { users: 40 }, workers: { rewrite: 2 },
      overrides: { redis: { shards }, ingest: { sweep_after: '5s' }, watch: { interval: '1s' }, revoke: { settle: '1s' } },
    });
    return flow;
  }

  #arrived(from) {
    let count = 0;
    for (let i = from; i < this.sent; i++) count += this.stack.postfix.delivered(addressOf(i)).length > 0 ? 1 : 0;
    return count;
  }

  /** Hands mails to Postfix while the trouble lasts, and some before and after it. */
  async through(what, trouble) {
    const { stack, t } = this;
    const first = this.sent;
    const smtp = await Smtp.connect(stack.postfix.port, { timeout: 60000 });
    const troubled = { begins: first + Math.floor(MAILS / 3), is: 'ahead', said: '' };
    let [last, most, pause] = [Date.now(), 0, 0];
    for (let after = 0; after < MAILS / 3 || this.sent - first < MAILS; after += troubled.is === 'over' ? 1 : 0) {
      const to = addressOf(this.sent);
      const reply = await smtp.send({ from: 'taro@example.jp', to: [to], content: plainMail({ token: `t${this.sent}x`, to }) });
      assert.equal(reply?.code, 250, reply?.text);
      this.sent++;
      if (troubled.is === 'ahead' && this.sent > troubled.begins) {
        troubled.is = 'there';
        troubled.end = trouble(this.group).then((said) => { troubled.said = said ?? ''; })
          .finally(() => { troubled.is = 'over'; });
        troubled.end.catch(() => {});
      }
      const count = this.#arrived(first);
      if (count > most) {
        if (most > 0) pause = Math.max(pause, Date.now() - last);
        [last, most] = [Date.now(), count];
      }
      await sleep(PAUSE_MS);
    }
    smtp.close();
    await troubled.end;
    t.diagnostic(`${what}${troubled.said}: ${this.sent - first} mails; longest time without an arrival while they came ${pause} ms`);
  }

  /** At rest, everything has arrived once. */
  async arrived() {
    const { stack, t, sent } = this;
    const begun = Date.now();
    await stack.settled({ timeout: 180000 });
    let copies = 0;
    for (let i = 0; i < sent; i++) {
      const mails = stack.postfix.delivered(addressOf(i));
      assert.ok(mails.length > 0, `mail ${i} is lost`);
      copies += mails.length - 1;
      for (const m of mails) assert.match(splitMail(m.raw).body + m.raw.toString('latin1'), /https?:\/\//);
    }
    const folders = (await stack.box.state()).folders.filter((f) => /^m-/.test(f.name));
    t.diagnostic(`${sent} mails, 0 lost, ${copies} copies, ${folders.length} parcels; at rest ${Date.now() - begun} ms after the last`);
    assert.equal(copies, 0, 'a recipient got a mail twice');
    assert.equal(folders.length, sent);
  }

  /** Mail after mail, four at a time, as an operator does: one that fails is asked for again. */
  async #recallAll(mails, progress) {
    const queue = [...mails];
    const worker = async () => {
      for (let mail = queue.shift(); mail !== undefined; mail = queue.shift()) {
        mail.tries = 0;
        for (let r = null; r?.status !== 0; mail.tries++) {
          assert.ok(mail.tries < 60, `${mail.id}: ${r?.stdout}${r?.stderr}`);
          if (r) await sleep(500);
          r = await this.stack.ctl('message', 'recall', mail.id, '--json');
          if (r.status === 0) ({ recall: mail.recall, unsure: mail.unsure } = r.json());
        }
        await progress();
      }
    };
    await Promise.all([worker(), worker(), worker(), worker()]);
  }

  /** Recalls some of the mails that have arrived; failOver begins with the first ones. */
  async recalled(failOver) {
    const { stack, t, group, sent } = this;
    const mails = (await stack.messages()).slice(0, RECALLS).map((m) => ({ id: m.id }));
    assert.equal(mails.length, RECALLS);
    let asked = 0;
    let trouble = null;
    await this.#recallAll(mails, () => { if (++asked === RECALLS / 4) trouble = failOver(group); });
    await trouble;
    const begun = Date.now();
    await stack.settled({ timeout: 180000 });
    const rest = Date.now() - begun;
    // A recall that the command was not sure of may be gone; then it is asked for again, as the command says.
    const told = { unsure: 0, lost: 0, repeated: mails.filter((m) => m.tries > 1).length };
    for (const mail of mails) {
      const report = (await stack.ctl('message', 'report', mail.id, '--json')).json();
      const isThere = report.recalls.some((r) => r.id === mail.recall);
      assert.ok(isThere || mail.unsure, `${mail.id}: a recall is forgotten, and nobody was warned`);
      told.unsure += mail.unsure ? 1 : 0;
      if (!isThere) {
        told.lost++;
        assert.equal((await stack.ctl('message', 'recall', mail.id, '--json')).status, 0);
      }
    }
    await waitFor(async () => (await stack.box.state('collaborations')).collaborations.length === sent - RECALLS,
      { timeout: 60000, interval: 500, what: 'none of them to have access' });
    for (const mail of mails) {
      const report = await waitFor(async () => {
        const r = (await stack.ctl('message', 'report', mail.id, '--json')).json();
        return r.recalls.some((x) => x.told === 'final') && r;
      }, { timeout: 120000, interval: 500, what: `the final report of ${mail.id}` });
      assert.deepEqual(report.recipients.map((r) => r.evidence.kind), ['closed']);
    }
    t.diagnostic(`${RECALLS} recalls: ${told.repeated} asked for again after an error, ${told.unsure} answered with a warning, ` +
      `of them ${told.lost} lost; at rest ${rest} ms after the last; everybody's access ended, and every sender was told`);
  }
}
