#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// A receiver for trying Fumibako without an MTA: takes mail by SMTP on loopback and keeps each as a file, with
// its envelope in X-Envelope-* lines on top. Not for production.
//   maildrop.mjs --port P --dir DIR
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';

const args = Object.fromEntries(process.argv.slice(2).reduce((pairs, word, i, all) =>
  word.startsWith('--') ? [...pairs, [word.slice(2), all[i + 1]]] : pairs, []));
if (!args.port || !args.dir) {
  console.error('usage: maildrop.mjs --port P --dir DIR');
  process.exit(2);
}
fs.mkdirSync(args.dir, {recursive: true, mode: 0o700});
let count = 0;

function keep(envelope, content) {
  const name = `${new Date().toISOString().replace(/[:.]/g, '-')}-${String(++count).padStart(4, '0')}.eml`;
  const head = `X-Envelope-From: <${envelope.from}>\r\n` + envelope.to.map(a => `X-Envelope-To: <${a}>\r\n`).join('');
  fs.writeFileSync(path.join(args.dir, '.' + name), Buffer.concat([Buffer.from(head), content]), {mode: 0o600});
  fs.renameSync(path.join(args.dir, '.' + name), path.join(args.dir, name));
}

function session(socket) {
  let pending = Buffer.alloc(0);
  let envelope = {from: '', to: []};
  let isData = false;
  const say = line => socket.write(line + '\r\n');
  const address = line => (/<([^>]*)>/.exec(line) || [, ''])[1];
  function command(line) {
    const verb = line.slice(0, 4).toUpperCase();
    if (verb === 'EHLO') say('250-maildrop\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n250-ENHANCEDSTATUSCODES\r\n250 SIZE');
    else if (verb === 'HELO' || verb === 'NOOP') say('250 ok');
    else if (verb === 'MAIL') { envelope = {from: address(line), to: []}; say('250 2.1.0 ok'); }
    else if (verb === 'RCPT') { envelope.to.push(address(line)); say('250 2.1.5 ok'); }
    else if (verb === 'DATA') { isData = true; say('354 go on'); }
    else if (verb === 'RSET') { envelope = {from: '', to: []}; say('250 2.0.0 ok'); }
    else if (verb === 'QUIT') { say('221 2.0.0 bye'); socket.end(); }
    else say('502 5.5.1 unknown');
  }
  socket.on('data', chunk => {
    pending = Buffer.concat([pending, chunk]);
    for (;;) {
      if (isData) {
        const end = pending.indexOf('\r\n.\r\n');
        const isEmpty = pending.subarray(0, 3).toString() === '.\r\n';
        if (end < 0 && !isEmpty) return;
        const raw = isEmpty ? Buffer.alloc(0) : pending.subarray(0, end + 2);
        pending = pending.subarray(isEmpty ? 3 : end + 5);
        keep(envelope, Buffer.from(raw.toString('latin1').replace(/^\.\./gm, '.'), 'latin1'));
        isData = false;
        say('250 2.0.0 kept');
      } else {
        const end = pending.indexOf('\r\n');
        if (end < 0) return;
        const line = pending.subarray(0, end).toString('latin1');
        pending = pending.subarray(end + 2);
        command(line);
      }
    }
  });
  socket.on('error', () => socket.destroy());
  say('220 maildrop');
}

const server = net.createServer(session);
server.listen(Number(args.port), '127.0.0.1', () => console.log(`maildrop listening on ${server.address().port}`));
process.on('SIGTERM', () => process.exit(0));
