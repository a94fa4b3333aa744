#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Shows a mail of Fumibako's on a terminal: From, To and Subject decoded, and the first text/plain part. For trying
// it out; no mail reader.
//   show-mail.mjs FILE
import fs from 'node:fs';

const decoder = charset => {
  try { return new TextDecoder(charset); } catch { return new TextDecoder('latin1'); }
};
const words = text => text.replace(/\?=\s+=\?/g, '?==?').replace(/=\?([^?]+)\?([BQbq])\?([^?]*)\?=/g, (all, charset, kind, body) =>
  decoder(charset.split('*')[0]).decode(kind.toUpperCase() === 'B' ? Buffer.from(body, 'base64') : quoted(body.replace(/_/g, ' '))));
const quoted = text => Buffer.from(text.replace(/=\r?\n/g, '').replace(/=([0-9A-F]{2})/gi, (all, hex) => String.fromCharCode(parseInt(hex, 16))), 'latin1');

function split(raw) {
  const end = raw.search(/\r?\n\r?\n/);
  const head = (end < 0 ? raw : raw.slice(0, end)).replace(/\r?\n[ \t]+/g, ' ');
  const field = name => new RegExp(`^${name}:[ \t]*(.*)$`, 'im').exec(head)?.[1].trim() ?? '';
  return {field, body: end < 0 ? '' : raw.slice(end).replace(/^\r?\n\r?\n/, '')};
}

function firstText(raw) {
  const {field, body} = split(raw);
  const type = field('Content-Type') || 'text/plain';
  const boundary = /boundary="?([^";]+)"?/i.exec(type)?.[1];
  if (/^multipart\//i.test(type) && boundary !== undefined) {
    for (const part of body.split('--' + boundary).slice(1, -1)) {
      const text = firstText(part.replace(/^\r?\n/, ''));
      if (text !== null) return text;
    }
    return null;
  }
  if (!/^text\/plain/i.test(type)) return null;
  const encoding = field('Content-Transfer-Encoding').toLowerCase();
  const bytes = encoding === 'base64' ? Buffer.from(body, 'base64')
    : encoding === 'quoted-printable' ? quoted(body) : Buffer.from(body, 'latin1');
  return decoder(/charset="?([^";\s]+)"?/i.exec(type)?.[1] ?? 'utf-8').decode(bytes);
}

if (process.argv.length !== 3) {
  console.error('usage: show-mail.mjs FILE');
  process.exit(2);
}
const raw = fs.readFileSync(process.argv[2], 'latin1');
const {field} = split(raw);
const shown = [...['From', 'To', 'Subject'].map(name => `${name}: ${words(field(name))}`), '',
  ...(firstText(raw) ?? '(no plain text)').trimEnd().split(/\r?\n/)];
// Control characters would reach the terminal.
console.log(shown.map(line => '  | ' + line.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '?')).join('\n'));
