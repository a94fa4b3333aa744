// SPDX-License-Identifier: Apache-2.0
//
// A large attachment reaches the storage with constant memory in every service.  FB_LARGE_BYTES sets its size (300 MB;
// the full proof is 2 GB).  Memory of sanitized builds means nothing, so the programs of build/release are taken.

import test from 'node:test';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { once } from 'node:events';
import { ROOT, Smtp, sleep, waitFor } from '../support/harness.mjs';
import { Stack } from './stack.mjs';

const SIZE = Number(process.env.FB_LARGE_BYTES ?? 300e6);
const LIMIT = 64 << 20;
const release = path.join(ROOT, 'build/release/bin');
const skip = fs.existsSync(path.join(release, 'fumibako-upload')) ? false : 'no release build';

/** Most resident memory so far, of a process and of its children except Chromium, each by itself. */
function peaks(pid, out = []) {
  const status = (p) => { try { return fs.readFileSync(`/proc/${p}/status`, 'utf8'); } catch { return ''; } };
  const text = status(pid);
  const name = /^Name:\s+(\S+)/m.exec(text)?.[1] ?? '';
  const hwm = Number(/^VmHWM:\s+(\d+)/m.exec(text)?.[1] ?? 0) * 1024;
  if (!/chrom/i.test(name)) out.push({ pid, name, hwm });
  let children = '';
  try { children = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8'); } catch { /* gone */ }
  if (!/chrom/i.test(name)) for (const c of children.trim().split(' ').filter(Boolean)) peaks(c, out);
  return out;
}

/** Sends a mail with one attachment of SIZE bytes, without holding it; gives its SHA-1. */
async function sendLarge(port) {
  const smtp = await Smtp.connect(port, { timeout: 10 * 60000 });
  await smtp.cmd('EHLO test.example');
  for (const line of ['MAIL FROM:<taro@example.jp>', 'RCPT TO:<hanako@partner.example.com>', 'DATA']) await smtp.cmd(line);
  const hash = createHash('sha1');
  const write = async (text) => { if (!smtp.socket.write(text)) await once(smtp.socket, 'drain'); };
  await write(['From: taro@example.jp', 'To: hanako@partner.example.com', 'Subject: large', 'MIME-Version: 1.0',
    'Content-Type: multipart/mixed; boundary=xx', '', '--xx', 'Content-Type: text/plain', '', 'See the file.', '--xx',
    'Content-Type: application/octet-stream; name="large.bin"', 'Content-Disposition: attachment; filename="large.bin"',
    'Content-Transfer-Encoding: base64', '', ''].join('\r\n'));
  const lines = 20000;
  const block = Buffer.alloc(57 * lines);
  for (let done = 0, n = 0; done < SIZE; n++) {
    block.fill(n & 0xff);
    block.writeUInt32LE(n, 0);
    const piece = block.subarray(0, Math.min(block.length, SIZE - done));
    hash.update(piece);
    await write(`${piece.toString('base64').replace(/.{76}/g, '$&\r\n').replace(/\r\n$/, '')}\r\n`);
    done += piece.length;
  }
  smtp.write('--xx--\r\n.\r\n');
  const reply = await smtp.read();
  smtp.close();
  assert.equal(reply?.code, 250, reply?.text);
  return hash.digest('hex');
}

test(`an attachment of ${(SIZE / 1e6).toFixed(0)} MB arrives whole, and no service holds it in memory`,
  { skip, timeout: 30 * 60000 }, async (t) => {
    const before = process.env.FB_BIN;
    process.env.FB_BIN = release;
    t.after(() => { if (before === undefined) delete process.env.FB_BIN; else process.env.FB_BIN = before; });
    const stack = await Stack.start(t, { postfix: false, overrides: { ingest: { max_message: '4GiB' },
      rewrite: { lifetime: '1d' } } });
    const seen = new Map(); // service and pid -> the most memory it had; children come and go
    const look = () => {
      for (const s of stack.running) {
        for (const p of peaks(s.pid)) seen.set(`${s.name} ${p.pid}`, { service: s.name, ...p });
      }
    };
    const timer = setInterval(look, 100);
    t.after(() => clearInterval(timer));
    const started = Date.now();
    const sha1 = await sendLarge(stack.world.ports.smtp);
    const accepted = Date.now();
    let file;
    await waitFor(async () => {
      const state = await stack.box.state('files');
      file = state.files.find((f) => f.name === 'large.bin');
      return file;
    }, { timeout: 20 * 60000, interval: 1000, what: 'the file in the storage' })
      .catch((e) => { throw new Error(`${e.message}\n${stack.logs()}`); });
    const stored = Date.now();
    assert.equal(file.size, SIZE);
    assert.equal(file.sha1, sha1, 'every byte is the one that was sent');
    await sleep(500);
    look();
    const rows = [...seen.values()];
    for (const s of rows.sort((a, b) => b.hwm - a.hwm)) console.log(`${s.service.padEnd(10)} ${s.name.padEnd(18)} ${(s.hwm / 1048576).toFixed(1)} MiB`);
    console.log(`accepted after ${((accepted - started) / 1000).toFixed(1)} s, stored ${((stored - accepted) / 1000).toFixed(1)} s later`);
    for (const r of rows) assert.ok(r.hwm < LIMIT, `${r.service} (${r.name}) stays under 64 MiB, has ${r.hwm / 1048576}`);
  });
