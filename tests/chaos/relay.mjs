// SPDX-License-Identifier: Apache-2.0
//
// What stands between rewrite and the MTA: it hands on each command and each answer, and does what a relay on a bad day
// does.  It writes down each transaction, so that a second copy can be explained or not:
//   {id, branch, from, rcpts, begin, sent (the final dot is with the MTA), replied, code, told: yes|dropped|gone, end}
//
// fault: null, or {kind, share}; kind is one of
//   away       closes each connection
//   slow       each answer 0.3 to 1.5 s late
//   tempfail   MAIL, or the end of DATA, is answered 4xx; nothing is taken
//   refuse     a recipient is answered 550: the sender must be told
//   partial    some recipients of a transaction are answered 450
//   drop       the MTA takes the mail, the connection ends before the answer
//   cut        the connection ends in the middle of the content
//   hang       the MTA takes the mail, no answer comes for as long as the fault lasts

import net from 'node:net';
import { once } from 'node:events';

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Bytes of a socket, by line or by need. */
class Lines {
  constructor(socket) {
    this.socket = socket;
    this.buffer = Buffer.alloc(0);
    this.isEnded = false;
    const wake = () => { this.wake?.(); this.wake = null; };
    socket.on('data', (c) => {
      this.buffer = this.buffer.length === 0 ? c : Buffer.concat([this.buffer, c]);
      if (this.buffer.length > 1 << 20) socket.pause();
      wake();
    });
    for (const e of ['end', 'close', 'error']) socket.on(e, () => { this.isEnded = true; wake(); });
  }

  async more() {
    if (this.isEnded) return false;
    this.socket.resume();
    await new Promise((resolve) => { this.wake = resolve; });
    return true;
  }

  /** The next line with its end, or null. */
  async line() {
    for (;;) {
      const end = this.buffer.indexOf('\n');
      if (end >= 0) {
        const line = this.buffer.subarray(0, end + 1);
        this.buffer = this.buffer.subarray(end + 1);
        return line;
      }
      if (!await this.more() && this.buffer.indexOf('\n') < 0) return null;
    }
  }

  /** All lines of a reply, or null. */
  async reply() {
    const lines = [];
    for (;;) {
      const line = await this.line();
      if (line === null) return null;
      lines.push(line);
      if (line[3] !== 0x2d) return Buffer.concat(lines);
    }
  }
}

export class ChaosRelay {
  /** random: a generator of its own; isUnknown(address): always refused. */
  static async start(port, backend, random, isUnknown = () => false) {
    const relay = new ChaosRelay();
    Object.assign(relay, { backend, random, isUnknown, transactions: [], refusals: [], fault: null, counts: {} });
    relay.sockets = new Set();
    relay.reached = new Set(); // first recipients of mails that the MTA has
    relay.server = net.createServer((socket) => relay.#serve(socket).catch(() => socket.destroy()));
    relay.server.listen(port, '127.0.0.1');
    await once(relay.server, 'listening');
    relay.port = relay.server.address().port;
    return relay;
  }

  async stop() {
    for (const s of this.sockets) s.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }

  /** Whether the fault of these kinds hits now. */
  #hits(...kinds) {
    const f = this.fault;
    if (!f || !kinds.includes(f.kind) || this.random.next() >= (f.share ?? 1)) return false;
    this.counts[f.kind] = (this.counts[f.kind] ?? 0) + 1;
    return true;
  }

  async #serve(client) {
    this.sockets.add(client);
    client.on('close', () => this.sockets.delete(client));
    client.on('error', () => {});
    client.setNoDelay(true);
    if (this.#hits('away')) { client.destroy(); return; }
    const server = net.connect(this.backend, '127.0.0.1');
    server.setNoDelay(true);
    server.on('error', () => {});
    client.on('close', () => server.end());
    server.on('close', () => client.destroy());
    const from = new Lines(client);
    const to = new Lines(server);
    const say = async (bytes) => {
      if (this.#hits('slow')) await sleep(300 + this.random.next() * 1200);
      client.write(bytes);
    };
    const ask = async (line) => {
      server.write(line);
      return to.reply();
    };
    let greeting = await to.reply();
    if (greeting === null) return;
    await say(greeting);
    let mail = null;
    for (let line = await from.line(); line !== null; line = await from.line()) {
      const text = line.toString('utf8').trimEnd();
      const verb = text.slice(0, 4).toUpperCase();
      const path = /<(.*?)>/.exec(text)?.[1] ?? '';
      if (verb === 'MAIL') {
        if (this.#hits('tempfail')) { await say('451 4.3.0 not now\r\n'); continue; }
        const reply = await ask(line);
        if (reply === null) return;
        if (reply[0] === 0x32) mail = { from: path, rcpts: [], begin: Date.now(), port: client.remotePort };
        await say(reply);
      } else if (verb === 'RCPT') {
        const refusal = this.#refusal(mail, path);
        if (refusal) { await say(`${refusal}\r\n`); continue; }
        const reply = await ask(line);
        if (reply === null) return;
        if (reply[0] === 0x32) mail?.rcpts.push(path);
        await say(reply);
      } else if (verb === 'DATA') {
        const reply = await ask(line);
        if (reply === null) return;
        await say(reply);
        if (!reply.toString().startsWith('354')) continue;
        if (!await this.#content({ client, server, from, to, say, mail: mail ?? { rcpts: [], begin: Date.now() } })) return;
        mail = null;
      } else {
        const reply = await ask(line);
        if (reply === null) return;
        await say(reply);
        if (verb === 'QUIT') { client.end(); return; }
        if (verb === 'RSET') mail = null;
      }
    }
  }

  #refusal(mail, path) {
    if (!mail) return null;
    if (this.isUnknown(path)) return '550 5.1.1 no such person';
    // What has no sender is a report already: nobody could be told that it did not arrive.
    if (mail.from !== '' && this.#hits('refuse')) {
      this.refusals.push({ at: Date.now(), address: path });
      return '550 5.7.1 refused today';
    }
    return this.#hits('partial') ? '450 4.2.1 this mailbox is busy' : null;
  }

  /** The content up to its end, and the answer; false: the connection is over. */
  async #content({ client, server, from, to, say, mail }) {
    this.transactions.push(mail);
    const isCut = this.#hits('cut');
    let tail = Buffer.from('\r\n');
    let head = Buffer.alloc(0);
    for (;;) {
      if (from.buffer.length === 0 && !await from.more()) break;
      if (from.buffer.length === 0) continue;
      const seen = Buffer.concat([tail, from.buffer]);
      const end = seen.indexOf('\r\n.\r\n');
      const take = end < 0 ? from.buffer.length : end + 5 - tail.length;
      const piece = from.buffer.subarray(0, take);
      from.buffer = from.buffer.subarray(take);
      if (head.length < 8192) head = Buffer.concat([head, piece.subarray(0, 8192)]);
      if (end < 0) {
        tail = seen.subarray(-4);
        if (isCut) break;
        if (!server.write(piece)) await Promise.race([once(server, 'drain'), once(server, 'close')]);
        continue;
      }
      const mark = /^X-Fumibako-Id: ([0-9A-Z]{26}); b=(\d+)/m.exec(head.toString('latin1'));
      const letter = mail.from === '' ? /^Message-ID: <([^>]*)>/im.exec(head.toString('latin1'))?.[1] : undefined;
      Object.assign(mail, { id: mark?.[1] ?? null, branch: Number(mark?.[2] ?? -1), letter });
      if (isCut) break;
      if (this.#hits('tempfail')) {
        // The MTA must not have it: its connection ends before the final dot, and so does the client's, after the answer.
        Object.assign(mail, { code: 452, end: Date.now() });
        server.removeAllListeners('close');
        server.destroy();
        client.end('452 4.3.1 no room today\r\n');
        return false;
      }
      mail.sent = Date.now();
      server.write(piece);
      return this.#answer({ client, to, say, mail });
    }
    mail.end = Date.now();
    server.destroy();
    client.destroy();
    return false;
  }

  async #answer({ client, to, say, mail }) {
    const reply = await to.reply();
    Object.assign(mail, { replied: Date.now(), code: reply === null ? 0 : Number(reply.subarray(0, 3)) });
    if (mail.code === 250) for (const a of mail.rcpts) if (/^r\d+@/.test(a)) this.reached.add(a);
    if (reply === null || this.#hits('drop') || client.destroyed) {
      mail.told = client.destroyed ? 'gone' : 'dropped';
      mail.end = Date.now();
      client.destroy();
      return false;
    }
    if (this.#hits('hang')) {
      const fault = this.fault;
      while (this.fault === fault && fault && !client.destroyed) await sleep(50);
    }
    mail.told = client.destroyed ? 'gone' : 'yes';
    await say(reply);
    mail.end = Date.now();
    return !client.destroyed;
  }
}
