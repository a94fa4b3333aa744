// SPDX-License-Identifier: Apache-2.0
//
// A portal over a vault with parcels in it, and a reader who has passed the door (proof "link"). Parcels are written by
// tests/support/vault_parcel.c; PDFs are made here, a page of plain text each.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { inflateRawSync } from 'node:zlib';
import { World, binDir, request, waitFor } from '../../support/harness.mjs';
import { Client, newId } from './kit.mjs';

export const sha1 = (bytes) => createHash('sha1').update(bytes).digest('hex');

/** A PDF with one line of text on each page. */
export function makePdf(lines) {
  const objects = ['<</Type/Catalog/Pages 2 0 R>>',
    `<</Type/Pages/Count ${lines.length}/Kids[${lines.map((_, i) => `${4 + 2 * i} 0 R`).join(' ')}]>>`,
    '<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>'];
  for (const line of lines) {
    const content = `BT /F1 24 Tf 72 720 Td (${line}) Tj ET`;
    objects.push(`<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents ${objects.length + 2} 0 R/Resources<</Font<</F1 3 0 R>>>>>>`,
      `<</Length ${content.length}>>stream\n${content}\nendstream`);
  }
  let text = '%PDF-1.4\n';
  const at = objects.map((body, i) => {
    const offset = text.length;
    text += `${i + 1} 0 obj\n${body}\nendobj\n`;
    return offset;
  });
  const xref = text.length;
  text += `xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${at.map((o) => `${String(o).padStart(10, '0')} 00000 n \n`).join('')}`;
  return Buffer.from(`${text}trailer<</Size ${objects.length + 1}/Root 1 0 R>>\nstartxref\n${xref}\n%%EOF\n`, 'latin1');
}

/** What is in a zip, by its directory: [{name, isUtf8, isStored, bytes}]. */
export function unzip(zip) {
  let end = zip.length - 22;
  while (zip.readUInt32LE(end) !== 0x06054b50) end--;
  let at = zip.readUInt32LE(end + 16);
  const files = [];
  for (let i = 0; i < zip.readUInt16LE(end + 10); i++) {
    assert.equal(zip.readUInt32LE(at), 0x02014b50);
    const [nameLength, extra, comment] = [28, 30, 32].map((o) => zip.readUInt16LE(at + o));
    const [flags, method] = [zip.readUInt16LE(at + 8), zip.readUInt16LE(at + 10)];
    const local = zip.readUInt32LE(at + 42);
    const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
    const raw = zip.subarray(start, start + zip.readUInt32LE(at + 20));
    files.push({ name: zip.subarray(at + 46, at + 46 + nameLength).toString(), isUtf8: (flags & 0x800) !== 0,
      isStored: method === 0, bytes: method === 0 ? raw : inflateRawSync(raw) });
    at += 46 + nameLength + extra + comment;
  }
  return files;
}

export class Reading {
  static async create(t, overrides = {}, options = {}) {
    const r = new Reading();
    r.world = await World.create(t);
    r.redis = await r.world.startRedis();
    r.dir = r.world.dir;
    r.url = `file://${path.join(r.dir, 'vault')}`;
    r.keyFile = path.join(r.dir, 'vault.key');
    fs.writeFileSync(r.keyFile, `k1:${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
    const policy = path.join(r.dir, 'policy.yaml');
    fs.writeFileSync(policy, [`storages: [{name: vault, type: vault, url: "${r.url}", key_file: ${r.keyFile}}]`,
      'security_definitions: [{name: standard, access: recipients, proof: link}]',
      'rules: [{name: all, action: secure, storage: vault, security: standard}]', ''].join('\n'));
    r.write({ parcel: `${newId()}-0`, grants: [], files: [] }); // makes the vault
    r.service = await r.world.start('portal', { policy: { source: `file:${policy}`, cache: path.join(r.dir, 'policy') }, ...overrides }, options);
    r.base = `http://127.0.0.1:${r.world.ports.portal}`;
    // Ready does not wait for the policy.  As somebody else: this must not use up the requests of the test's own clients.
    const grants = [{ recipient: 0, address: 'first@partner.example.com', secret: randomBytes(32).toString('hex') }];
    const [link] = r.write({ parcel: `${newId()}-0`, grants, files: [] });
    await waitFor(async () => (await request(`${r.base}/r/${link}`, { headers: { 'x-forwarded-for': '198.18.0.1' } })).status === 200,
      { interval: 250, what: 'the vault' });
    return r;
  }

  /** Writes a parcel's state, with files where it is new; gives the links. */
  write(parcel) {
    const run = spawnSync(path.join(binDir(), 'vault_parcel'), { encoding: 'utf8',
      input: JSON.stringify({ url: this.url, key_file: this.keyFile, proof: 'link', ...parcel }) });
    assert.equal(run.status, 0, run.stderr);
    return run.stdout.trim().split('\n');
  }

  /** files: [{name, type, bytes or path, body}]; gives {id, parcel, link, spec, change}. */
  parcel({ files, recipients = ['hanako@partner.example.com'], ...state }) {
    const id = newId();
    const spec = { parcel: `${id}-0`, ...state,
      grants: recipients.map((address, i) => ({ recipient: i, address, secret: randomBytes(32).toString('hex') })),
      files: files.map((f, i) => {
        const file = f.path ?? path.join(this.dir, `${id}-${i}`);
        if (!f.path) fs.writeFileSync(file, f.bytes);
        return { name: f.name, type: f.type, path: file, body: f.body ?? false };
      }) };
    const links = this.write(spec);
    return { id, spec, links, link: links[0], change: (more) => this.write({ ...spec, ...more }) };
  }

  /** The ids of a parcel's files, in their order. */
  static ids(parcel, count) {
    return Array.from({ length: count }, (_, i) => createHash('sha256').update(`${parcel.spec.parcel}/${i}`).digest('hex').slice(0, 16));
  }

  /** A client that has passed the door. */
  async enter(link, headers = {}) {
    const client = new Client(this.base, { headers });
    const door = await client.get(`/r/${link}`);
    assert.equal(door.status, 200, `${door.text}\n${this.service.output}`);
    const opened = await client.post(`/r/${link}/open`, [['token', tokenOf(door.text, 'open')]]);
    assert.equal(opened.status, 303, `${opened.text}\n${this.service.output}`);
    return client;
  }

  /** Downloads as the button does; gives the answer of the POST. */
  async ask(client, link, file) {
    const page = await client.get(`/r/${link}`);
    return client.post(`/r/${link}/download`, [['token', tokenOf(page.text, 'download')], ['file', file]]);
  }
}

/** The token of the first form that goes to this verb. */
export function tokenOf(html, verb) {
  const form = new RegExp(`action="/r/[^"/]+/${verb}[^"]*"[^>]*><input type="hidden" name="token" value="([^"]+)"`).exec(html);
  return form?.[1] ?? null;
}
