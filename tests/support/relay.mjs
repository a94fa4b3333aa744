// SPDX-License-Identifier: Apache-2.0
//
// A small real SMTP server in the relay's place, with faults.  Strict where the RFC is: a bare LF or CR, a lone dot that
// is not the end, a command that nobody asked for are recorded as violations, and a test asks that there are none.
//
//   const relay = await Relay.start({ rcpt: (address) => (address.startsWith('no') ? '550 5.1.1 unknown' : null) });
//   ... relay.port ... relay.mails[0].content ...
//   await relay.stop();
//
// Options (all may be changed while it runs, as fields of relay.options):
//   extensions  keywords of EHLO; default: everything that we know
//   greeting, ehlo, helo, mail, rcpt, data, end, rset
//               a reply, or a function that gives one (null = the usual one).  mail(path, params),
//               rcpt(path, params, number), data(transaction), end(mail).  What gives 'DROP' closes without a word,
//               'HANG' says nothing more.  end: 'DROP' comes after the mail was taken: the lost reply of RFC 1047; its
//               function may give a promise.
//   slow        {MAIL: ms, RCPT: ms, DATA: ms, END: ms, GREETING: ms, BYTE: ms between the bytes of each reply}
//   closeAfter  closes the connection, kept and idle, behind so many mails
//   stall       reads nothing more once DATA has begun

import net from 'node:net';
import { once } from 'node:events';

const ALL = ['PIPELINING', 'SIZE 100000000', '8BITMIME', 'SMTPUTF8', 'DSN', 'ENHANCEDSTATUSCODES'];

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export class Relay {
  static async start(options = {}, port = 0, host = '127.0.0.1') {
    const relay = new Relay(options);
    relay.server = net.createServer((socket) => relay.#serve(socket));
    relay.server.listen(port, host);
    await once(relay.server, 'listening');
    relay.server.unref(); // where an earlier hook failed, nobody stops it: the test must end all the same
    relay.port = relay.server.address().port;
    return relay;
  }

  constructor(options) {
    this.options = options;
    this.mails = []; // taken, replied to or not
    this.commands = []; // every command line, of all connections
    this.transcript = []; // {connection, bytes}: what was received, piece by piece
    this.violations = [];
    this.connections = 0;
    this.sockets = new Set();
  }

  async stop() {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }

  #serve(socket) {
    const id = ++this.connections;
    this.sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('error', () => {});
    socket.on('close', () => this.sockets.delete(socket));
    const session = new Session(this, socket, id);
    socket.on('data', (chunk) => {
      this.transcript.push({ connection: id, bytes: chunk });
      session.feed(chunk);
    });
    session.greet();
  }
}

class Session {
  constructor(relay, socket, id) {
    this.relay = relay;
    this.socket = socket;
    this.id = id;
    this.chunks = []; // received, not yet looked at
    this.buffer = Buffer.alloc(0); // of commands
    this.inData = false;
    this.mail = null;
    this.taken = 0;
    this.work = Promise.resolve(); // replies go out in order, whatever waits
  }

  get options() { return this.relay.options; }

  async #say(text) {
    if (this.socket.destroyed) return;
    if (text === 'HANG') { this.isHanging = true; return; }
    if (this.isHanging) return;
    if (text === 'DROP') { this.socket.destroy(); return; }
    const bytes = Buffer.from(`${text}\r\n`);
    const pause = this.options.slow?.BYTE;
    if (!pause) { this.socket.write(bytes); return; }
    for (const byte of bytes) {
      this.socket.write(Buffer.from([byte]));
      await sleep(pause);
    }
  }

  #reply(what, usual, ...args) {
    this.work = this.work.then(async () => {
      const pause = this.options.slow?.[what];
      if (pause) await sleep(pause);
      const option = this.options[what === 'GREETING' ? 'greeting' : what.toLowerCase()];
      const text = (typeof option === 'function' ? option(...args) : option) ?? usual(...args);
      await this.#say(text);
      return text;
    });
    return this.work;
  }

  greet() { this.#reply('GREETING', () => '220 relay.test ESMTP'); }

  #violation(what) { this.relay.violations.push(`connection ${this.id}: ${what}`); }

  feed(chunk) {
    if (this.isStalled) return;
    this.chunks.push(chunk);
    // One step at a time: whether DATA is answered 354 decides how the next bytes are read.
    this.work = this.work.then(() => this.#drain());
  }

  async #drain() {
    while (this.buffer.length > 0 || this.chunks.length > 0) {
      if (this.inData) {
        if (this.buffer.length > 0) {
          this.chunks.unshift(this.buffer);
          this.buffer = Buffer.alloc(0);
        }
        if (this.#takeContent(this.chunks.shift())) await this.dataWork;
        continue;
      }
      this.buffer = Buffer.concat([this.buffer, ...this.chunks.splice(0)]);
      const end = this.buffer.indexOf('\n');
      if (end < 0) return;
      const line = this.buffer.subarray(0, end + 1);
      this.buffer = this.buffer.subarray(end + 1);
      if (line[line.length - 2] !== 0x0d) this.#violation(`bare LF: ${JSON.stringify(line.toString())}`);
      await this.#command(line.toString('utf8').trimEnd());
    }
  }

  /** A piece of the content, up to CRLF . CRLF; true: that was the end.  What lies behind it goes back. */
  #takeContent(chunk) {
    const seen = Buffer.concat([this.tail, chunk]);
    const end = seen.indexOf('\r\n.\r\n');
    if (end < 0) {
      this.parts.push(chunk);
      this.tail = seen.subarray(-4);
      return false;
    }
    const length = end + 5 - this.tail.length;
    this.parts.push(chunk.subarray(0, length));
    this.buffer = chunk.subarray(length);
    const all = Buffer.concat(this.parts);
    const content = all.subarray(0, all.length - 3);
    this.parts = [];
    const text = content.toString('latin1');
    if (/[^\r]\n|^\n/.test(text) || /\r(?!\n)/.test(text)) this.#violation('bare CR or LF in the content');
    if (/(^|\n)\.(?!\.)/.test(text)) this.#violation('a dot that is not doubled');
    if (text.includes('\0')) this.#violation('NUL in the content');
    this.mail.raw = content;
    this.mail.content = Buffer.from(text.replace(/(^|\r\n)\.\./g, '$1.'), 'latin1');
    this.inData = false;
    const mail = this.mail;
    this.mail = null;
    this.dataWork = (async () => {
      const pause = this.options.slow?.END;
      if (pause) await sleep(pause);
      const option = this.options.end;
      const text = (await (typeof option === 'function' ? option(mail) : option)) ?? '250 2.0.0 taken';
      mail.reply = text;
      if (mail.rcpts.length > 0 && (text.startsWith('2') || text === 'DROP' || text === 'HANG')) this.relay.mails.push(mail);
      await this.#say(text);
      if (++this.taken === this.options.closeAfter) this.socket.end();
    })();
    return true;
  }

  async #now(what, usual, ...args) {
    const pause = this.options.slow?.[what];
    if (pause) await sleep(pause);
    const option = this.options[what.toLowerCase()];
    const text = (typeof option === 'function' ? option(...args) : option) ?? usual;
    await this.#say(text);
    return text;
  }

  async #command(line) {
    this.relay.commands.push(line);
    const verb = line.split(' ')[0].toUpperCase();
    const path = /<(.*)>/.exec(line)?.[1] ?? '';
    const params = line.slice(line.lastIndexOf('>') + 1).trim().split(' ').filter(Boolean);
    switch (verb) {
      case 'EHLO': {
        const lines = ['relay.test', ...(this.options.extensions ?? ALL)];
        await this.#now('EHLO', lines.map((l, i) => `250${i === lines.length - 1 ? ' ' : '-'}${l}`).join('\r\n'));
        break;
      }
      case 'HELO': await this.#now('HELO', '250 relay.test'); break;
      case 'MAIL': {
        const reply = await this.#now('MAIL', '250 2.1.0 ok', path, params);
        this.mail = reply.startsWith('2') ? { from: path, params, rcpts: [], refused: [], connection: this.id } : null;
        break;
      }
      case 'RCPT': {
        if (this.mail === null) { await this.#say('503 5.5.1 MAIL first'); break; }
        const number = this.mail.rcpts.length + this.mail.refused.length;
        const reply = await this.#now('RCPT', '250 2.1.5 ok', path, params, number);
        this.mail[reply.startsWith('2') ? 'rcpts' : 'refused'].push({ address: path, params, reply });
        break;
      }
      case 'DATA': {
        if (this.mail === null || (this.mail.rcpts.length === 0 && !this.options.dataForNobody)) {
          await this.#say(this.mail === null ? '503 5.5.1 MAIL first' : '554 5.5.1 no valid recipients');
          break;
        }
        const reply = await this.#now('DATA', '354 go on', this.mail);
        this.inData = reply.startsWith('354');
        this.parts = [];
        this.tail = Buffer.from('\r\n');
        if (this.inData && this.options.stall) { this.isStalled = true; this.socket.pause(); }
        break;
      }
      case 'RSET': this.mail = null; await this.#now('RSET', '250 2.0.0 ok'); break;
      case 'NOOP': await this.#say('250 2.0.0 ok'); break;
      case 'QUIT': await this.#say('221 2.0.0 bye'); this.socket.end(); break;
      default:
        this.#violation(`no command: ${JSON.stringify(line)}`);
        await this.#say('500 5.5.2 what?');
    }
  }
}

/** Header fields of a mail as [name, unfolded value] pairs, and the body. */
export function parseMail(content) {
  const text = content.toString('latin1');
  const end = text.startsWith('\r\n') ? 0 : text.indexOf('\r\n\r\n');
  const head = end < 0 ? text : text.slice(0, end + 2);
  const fields = [];
  for (const line of head.split('\r\n')) {
    if (/^[ \t]/.test(line) && fields.length > 0) fields[fields.length - 1][1] += line;
    else if (line.includes(':')) fields.push([line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]);
  }
  const get = (name) => fields.find(([n]) => n.toLowerCase() === name.toLowerCase())?.[1].trim();
  return { fields, get, head, body: end < 0 ? '' : text.slice(end + (end === 0 ? 2 : 4)) };
}
