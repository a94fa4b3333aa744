// SPDX-License-Identifier: Apache-2.0
//
// Reads mail for the oracle: fields, leaves, everything that somebody could read in it.  On purpose it shares nothing with
// the product, nor with the rest of the tests.

/** Fields (names in lower case) and body of one entity; latin1 text with LF. */
export function entity(text) {
  const end = text.startsWith('\n') ? 0 : text.indexOf('\n\n');
  const head = end < 0 ? text : text.slice(0, end);
  const fields = [];
  for (const line of head.split('\n')) {
    if (/^[ \t]/.test(line) && fields.length > 0) fields[fields.length - 1][1] += line;
    else if (line.includes(':')) fields.push([line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1)]);
  }
  return { body: end < 0 ? '' : text.slice(end + (end === 0 ? 1 : 2)), get: (name) => fields.find(([n]) => n === name)?.[1].trim() ?? '' };
}

const decoded = (body, encoding) => {
  switch (encoding.toLowerCase()) {
    case 'base64': return Buffer.from(body, 'base64').toString('latin1');
    case 'quoted-printable': return body.replace(/=\n/g, '').replace(/=([0-9A-F]{2})/gi, (_, h) => String.fromCharCode(parseInt(h, 16)));
    default: return body;
  }
};

/** Each leaf decoded: {type, text}; text as latin1. */
export function leaves(text, depth = 0) {
  const { get, body } = entity(text);
  const type = get('content-type').toLowerCase();
  const boundary = /boundary=(?:"([^"]+)"|([^;\s]+))/i.exec(get('content-type'));
  if (/^multipart\//.test(type) && boundary && depth < 10) {
    return body.split(`--${boundary[1] ?? boundary[2]}`).slice(1).filter((p) => !p.startsWith('--'))
      .flatMap((p) => leaves(p.replace(/^[ \t]*\n/, ''), depth + 1));
  }
  const own = decoded(body, get('content-transfer-encoding'));
  return /^message\/rfc822/.test(type) && depth < 10 ? [{ type, text: own }, ...leaves(own, depth + 1)] : [{ type, text: own }];
}

const words = (head) => head.replace(/\?=\s+=\?/g, '?==?').replace(/=\?[^?]+\?([bq])\?([^?]*)\?=/gi,
  (_, kind, text) => decoded(kind.toLowerCase() === 'b' ? text : text.replace(/_/g, ' '), kind.toLowerCase() === 'b' ? 'base64' : 'quoted-printable'));

/** A mail as it lies in a Maildir: {text, get, letters: all leaves, readable: everything, in one string}. */
export function read(raw) {
  const text = raw.toString('latin1').replace(/\r\n/g, '\n');
  const { get } = entity(text);
  const all = leaves(text);
  const readable = [text, words(text.slice(0, text.indexOf('\n\n') < 0 ? text.length : text.indexOf('\n\n'))), ...all.map((l) => l.text)].join('\n\0\n');
  return { text, get, leaves: all, readable };
}
