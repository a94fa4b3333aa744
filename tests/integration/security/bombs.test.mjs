// SPDX-License-Identifier: Apache-2.0
// Small mails that want to become large: archives, compressed RTF in winmail.dat, uuencode, nested messages, base64 of
// nothing.  Memory is bounded by render.memory, the disk by a small multiple of the mail, the time by render.timeout; what
// is too much is held with a reason.  (tests/integration/render/hostile.test.mjs has the shapes of MIME, HTML, CSS, images.)

import assert from 'node:assert/strict';
import fs from 'node:fs';
import test, { after, before } from 'node:test';
import { deflateRawSync, gzipSync } from 'node:zlib';
import { RenderWorld, base64, bytes, descendants } from '../render/kit.mjs';
import { multipart, tnef } from '../render/mails.mjs';
import { tree } from './kit.mjs';

const MEMORY_MB = 256;
let w;
before(async () => {
  w = await RenderWorld.create(null, { render: { timeout: '20s', memory: `${MEMORY_MB}MiB` }, ingest: { max_message: '64MiB' } });
});
after(async () => { await w.world.end(); });

const HEAD = 'From: Taro <taro@example.jp>\r\nTo: hanako@example.com\r\nSubject: bomb\r\nDate: Fri, 27 Nov 2026 10:00:00 +0900\r\n';
const attached = (name, data, type = 'application/octet-stream') => multipart('mixed', HEAD, [bytes('Content-Type: text/plain\r\n\r\nsee below\r\n'),
  bytes(`Content-Type: ${type}; name="${name}"\r\nContent-Disposition: attachment; filename="${name}"\r\nContent-Transfer-Encoding: base64\r\n\r\n`, base64(data), '\r\n')]);

/** A zip of one file that unpacks to size zeros, said often: all names lead to the same data. */
function zipBomb(size, entries) {
  const data = deflateRawSync(Buffer.alloc(size), { level: 9 });
  const head = (central, i) => {
    const name = Buffer.from(`f${i}`);
    const b = Buffer.alloc(central ? 46 : 30);
    b.writeUInt32LE(central ? 0x02014b50 : 0x04034b50, 0);
    const at = central ? 6 : 4;
    b.writeUInt16LE(20, at); b.writeUInt16LE(8, at + 4);
    b.writeUInt32LE(data.length, at + 14); b.writeUInt32LE(size, at + 18); b.writeUInt16LE(name.length, at + 22);
    return Buffer.concat([b, name]);
  };
  const local = Buffer.concat([head(false, 0), data]);
  const central = Buffer.concat(Array.from({ length: entries }, (_, i) => head(true, i)));
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0); end.writeUInt16LE(entries, 8); end.writeUInt16LE(entries, 10);
  end.writeUInt32LE(central.length, 12); end.writeUInt32LE(local.length, 16);
  return Buffer.concat([local, central, end]);
}

/** winmail.dat whose body is compressed RTF: 17 octets of output for each two of input. */
function rtfBomb(length) {
  const run = Buffer.concat([Buffer.from([0xff]), Buffer.concat(Array.from({ length: 8 }, () => Buffer.from([0x00, 0x0f])))]);
  const packed = Buffer.concat([Buffer.from([0x00]), Buffer.from('{\\rtf1 \\'), ...Array.from({ length: Math.ceil(length / run.length) }, () => run)]);
  const head = Buffer.alloc(16);
  head.writeUInt32LE(packed.length + 12, 0); head.writeUInt32LE(0xfffffff0, 4); head.write('LZFu', 8, 'latin1');
  const value = Buffer.concat([head, packed]);
  const props = Buffer.alloc(16);
  props.writeUInt32LE(1, 0); props.writeUInt32LE(0x10090102, 4); props.writeUInt32LE(1, 8); props.writeUInt32LE(value.length, 12);
  const data = Buffer.concat([props, value, Buffer.alloc((4 - value.length % 4) % 4)]);
  const attribute = Buffer.alloc(9);
  attribute.writeUInt8(1, 0); attribute.writeUInt32LE(0x00069003, 1); attribute.writeUInt32LE(data.length, 5);
  const sum = Buffer.alloc(2);
  sum.writeUInt16LE(data.reduce((n, b) => (n + b) & 0xffff, 0));
  return Buffer.concat([tnef([['a.txt', Buffer.from('small')]]), attribute, data, sum]);
}

const uu = (lines) => `begin 644 a.bin\r\n${`M${'!'.repeat(60)}\r\n`.repeat(lines)}\`\r\nend\r\n`;
const CASES = [
  { name: 'a zip that unpacks to 100 GB', mail: () => attached('a.zip', zipBomb(10 << 20, 10000), 'application/zip'), files: 1 },
  { name: 'gzip in gzip in gzip', mail: () => attached('a.gz', gzipSync(gzipSync(gzipSync(Buffer.alloc(20 << 20)))), 'application/gzip'), files: 1 },
  { name: 'compressed RTF of 2 MB that wants 17 MB', mail: () => attached('winmail.dat', rtfBomb(2 << 20), 'application/ms-tnef') },
  { name: 'compressed RTF of 15 MB that wants 120 MB', mail: () => attached('winmail.dat', rtfBomb(15 << 20), 'application/ms-tnef') },
  { name: '400 winmail.dat in one another', mail: () => attached('winmail.dat', Array.from({ length: 400 }).reduce((inner) => tnef([['winmail.dat', inner]]), Buffer.from('end')), 'application/ms-tnef') },
  { name: 'uuencode in 200,000 lines', mail: () => `${HEAD}\r\n${uu(200000)}` },
  { name: '3,000 uuencoded files', mail: () => `${HEAD}\r\n${uu(1).repeat(3000)}` },
  { name: '1,000 nested boundaries that begin alike', mail: () => `${HEAD}MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n`
    + Array.from({ length: 1000 }, (_, i) => `--${'b'.repeat(i + 1)}\r\nContent-Type: multipart/mixed; boundary=${'b'.repeat(i + 2)}\r\n\r\n`).join('') },
  { name: 'a boundary that is never there, 20 MB behind it', mail: () => `${HEAD}MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n${`${'-'.repeat(70)}\r\n`.repeat(280000)}` },
  { name: 'a boundary of 100,000 octets', mail: () => `${HEAD}MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="${'b'.repeat(100000)}"\r\n\r\nx\r\n` },
  { name: 'RFC 2231 in 9,000 pieces', mail: () => `${HEAD}MIME-Version: 1.0\r\nContent-Type: application/x-y${Array.from({ length: 9000 }, (_, i) => `;\r\n name*${i}*=%41`).join('')}\r\n\r\nx\r\n` },
];

const disk = () => tree(w.world.spoolDir).filter((f) => !f.isDirectory).reduce((n, f) => n + (fs.statSync(f.path, { throwIfNoEntry: false })?.size ?? 0), 0);

for (const c of CASES) {
  test(`${c.name}: bounded in memory, time and disk`, { timeout: 400000 }, async (t) => {
    const mail = Buffer.from(c.mail());
    const used = disk();
    let peak = 0;
    const timer = setInterval(() => {
      for (const p of descendants(w.render.pid)) {
        try { peak = Math.max(peak, Number(/RssAnon:\s+(\d+)/.exec(fs.readFileSync(`/proc/${p.pid}/status`, 'utf8'))?.[1] ?? 0) >> 10); } catch { /* it has ended */ }
      }
    }, 50);
    const start = Date.now();
    const id = await w.send(mail);
    const { plan, dead } = await w.outcome(id, 100000);
    clearInterval(timer);
    const ms = Date.now() - start;
    const grown = disk() - used;
    t.diagnostic(`${(mail.length / 1e6).toFixed(1)} MB, ${dead ? `held: ${dead.reason}` : `${plan.parts.length} parts`}, ${ms} ms, ${peak} MB, disk ${(grown / 1e6).toFixed(1)} MB`);
    assert.ok(ms < 90000, `${ms} ms`);
    assert.ok(peak < 2 * MEMORY_MB, `${peak} MB`); // sanitizers need more than the limit
    assert.ok(grown < 2.5 * mail.length + (8 << 20), `${grown} octets on disk for ${mail.length}`);
    if (dead) assert.ok(dead.reason.length > 10, 'the reason says something');
    if (c.files) assert.ok(plan || /time limit/.test(dead.reason), dead?.reason); // on a machine that does too much
    if (c.files && plan) assert.equal(plan.parts.filter((p) => p.object !== 'body.pdf').length, c.files, 'an archive is one file, and stays closed');
    assert.match((await w.letter(`${HEAD}Content-Type: text/plain\r\n\r\nA good letter behind it.\r\n`)).text, /A good letter behind it/);
  });
}
