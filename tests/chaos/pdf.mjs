// SPDX-License-Identifier: Apache-2.0
//
// Reads PDFs out of the storage: each must hold the token of its own mail's body, and of no other.

import { spawn } from 'node:child_process';
import { once } from 'node:events';

async function textOf(bytes) {
  const child = spawn('pdftotext', ['-raw', '-', '-'], { stdio: ['pipe', 'pipe', 'ignore'] });
  const out = [];
  child.stdout.on('data', (c) => out.push(c));
  child.stdin.on('error', () => {});
  child.stdin.end(bytes);
  await once(child, 'close');
  return Buffer.concat(out).toString();
}

/** Looks into at most `most` of them, spread over the run. */
export async function judgePdfs(kit, oracle, most) {
  const folders = [...oracle.folders.values()].map((f) => ({ ...f, mail: f.mail ?? f.logins.map((l) => oracle.rcpts.get(l)?.mail).find(Boolean) }))
    .filter((f) => f.mail?.hasBodyToken && f.files.length > 0);
  const step = Math.max(1, Math.ceil(folders.length / most));
  const problems = [];
  let read = 0;
  for (let i = 0; i < folders.length; i += step) {
    const f = folders[i];
    const pdf = f.files.find((x) => /\.pdf$/i.test(x.name) && !f.mail.attachments.some((a) => a.sha1 === x.sha1));
    if (!pdf) continue;
    read++;
    const found = new Set([...(await textOf(await kit.stack.box.content(pdf.id))).matchAll(/cq(\d+)b[0-9a-f]{12}q/g)].map(([, n]) => Number(n)));
    if (!found.has(f.mail.i)) problems.push({ kind: 'lost', text: `the PDF of ${f.key} does not hold its mail`, mail: f.mail.i });
    if ([...found].some((n) => n !== f.mail.i)) problems.push({ kind: 'leaked', text: `the PDF of ${f.key} holds mail ${[...found]}`, mail: f.mail.i });
  }
  return { read, problems };
}
