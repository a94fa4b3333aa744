// SPDX-License-Identifier: Apache-2.0
//
// The stack that figures are taken from, and who feeds it: durable ingest, real Redis with its append-only file, the Box
// simulator without its limits, smtp-sink in the place of the mail server that takes mail back.

import { Stack } from '../../e2e/stack.mjs';
import { Smtp, sleep, waitFor } from '../../support/harness.mjs';

export const POOL = 100; // users at Box: 240 uploads a minute and user are Box's limit, not ours

/** A stack with smtp-sink behind it; options as of Stack.start(). */
export async function benchStack(services, options = {}) {
  const overrides = { log: { level: 'warn' }, ...options.overrides };
  overrides.ingest = { spool_max: '8GiB', ...options.overrides?.ingest };
  const stack = await Stack.start(null, { postfix: false, services, box: { users: POOL }, ...options, overrides });
  // smtp-sink refuses to run as root.
  const user = process.getuid() === 0 ? ['-u', 'nobody'] : [];
  stack.sink = stack.world.spawn('/usr/sbin/smtp-sink', [...user, `127.0.0.1:${stack.world.ports.relay}`, '1000'], { stdio: 'ignore' });
  await waitFor(async () => { (await Smtp.connect(stack.world.ports.relay)).close(); return true; }, { what: 'smtp-sink' });
  return stack;
}

const sumOverShards = async (stack, command, key) => {
  let sum = 0;
  for (let i = 0; i < stack.shards; i++) sum += await stack.world.redis.command(command, key(i));
  return sum;
};

/** Jobs of a stage, both lanes; messages that are neither done nor held. */
export const depth = async (stack, stage) => await sumOverShards(stack, 'XLEN', (i) => `fb:{s${i}}:${stage}`)
  + await sumOverShards(stack, 'XLEN', (i) => `fb:{s${i}}:${stage}:bulk`);
export const openMessages = (stack) => sumOverShards(stack, 'ZCARD', (i) => `fb:{s${i}}:open`);

/** Sends mails over connections that are kept. */
export class Feeder {
  constructor(port, connections = 4) {
    this.port = port;
    this.idle = [];
    this.waiting = [];
    this.connections = connections;
    this.sent = 0;
    this.bytes = 0;
    this.failures = [];
  }

  async #take() {
    if (this.idle.length > 0) return this.idle.pop();
    if (this.connections > 0) {
      this.connections--;
      return Smtp.connect(this.port, { timeout: 60000 });
    }
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  #give(smtp) {
    const next = this.waiting.shift();
    if (next) next(smtp); else this.idle.push(smtp);
  }

  /** Resolves when the mail is accepted; a refusal is thrown. */
  async send({ from, to, content }) {
    const smtp = await this.#take();
    try {
      const reply = await smtp.send({ from, to, content });
      if (reply?.code !== 250) throw new Error(`the mail was not taken: ${reply?.code} ${reply?.text}`);
      this.sent++;
      this.bytes += content.length;
    } catch (error) {
      smtp.isSpoilt = true;
      throw error;
    } finally {
      if (smtp.isSpoilt) {
        smtp.close();
        this.connections++;
        if (this.waiting.length > 0) this.#give(await this.#take());
      } else {
        this.#give(smtp);
      }
    }
  }

  /** Sends count mails as fast as they are taken. */
  async all(count, mail) {
    let next = 0;
    const one = async () => { while (next < count) await this.send(mail(next++)); };
    await Promise.all(Array.from({ length: Math.max(1, this.connections + this.idle.length) }, one));
  }

  /**
   * Sends `rate` mails a second until `until()`; where more than `most` messages are open it waits, as a machine that is
   * busy with other things cannot be driven. Gives {sent, held}: seconds for which it waited.
   */
  async drive(stack, rate, mail, until, most = 400) {
    const from = this.sent;
    let due = Date.now();
    let held = 0;
    let number = this.number ?? 0;
    let open = 0;
    let looked = 0;
    while (!until()) {
      if (Date.now() - looked > 500) {
        looked = Date.now();
        open = await openMessages(stack);
      }
      if (open > most || this.waiting.length > 20) { // what waits here counts as little as what waits there
        await sleep(200);
        held += 0.2;
        due = Date.now();
        continue;
      }
      if (Date.now() < due) {
        await sleep(Math.min(50, due - Date.now()));
        continue;
      }
      due += 1000 / rate;
      this.send(mail(number++)).catch((e) => { this.failures.push(e.message); });
    }
    this.number = number;
    await waitFor(() => this.waiting.length === 0, { timeout: 60000, what: 'the last mails to be taken' });
    return { sent: this.sent - from, held };
  }

  close() { for (const smtp of this.idle) smtp.close(); }
}

/** Waits until nothing is open any more; gives the seconds that took. */
export async function emptied(stack, timeout = 20 * 60000) {
  const from = process.hrtime.bigint();
  await waitFor(async () => (await openMessages(stack)) === 0, { timeout, interval: 20, what: 'the last notice' });
  return Number(process.hrtime.bigint() - from) / 1e9;
}
