// SPDX-License-Identifier: Apache-2.0
// Whether a PDF keeps the rules of PDF/A-3b (ISO 19005-3:2012), as far as a file shows them without a renderer: the clause
// stands beside each rule.  Reads with qpdf, whose own check of syntax is the first rule.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';

const OPERATORS = new Set(('b B b* B* BDC BI BMC BT BX c cm CS cs d d0 d1 Do DP EI EMC ET EX f F f* G g gs h i ID j J K k l '
  + 'm M MP n q Q re RG rg ri s S SC sc SCN scn sh T* Tc Td TD Tf Tj TJ TL Tm Tr Ts Tw Tz v w W W* y \' "').split(' '));
const BLEND = new Set(['Normal', 'Compatible', 'Multiply', 'Screen', 'Overlay', 'Darken', 'Lighten', 'ColorDodge', 'ColorBurn',
  'HardLight', 'SoftLight', 'Difference', 'Exclusion', 'Hue', 'Saturation', 'Color', 'Luminosity']);
const INTENTS = ['RelativeColorimetric', 'AbsoluteColorimetric', 'Perceptual', 'Saturation'];
const MAX_Q = 28; // 6.1.13

/** The objects of a file: {get(value), all: [[name, dict, stream or null]], trailer}. */
export function read(file) {
  const r = spawnSync('qpdf', ['--json=2', '--json-key=qpdf', '--json-stream-data=inline', '--decode-level=generalized', file],
    { maxBuffer: 1 << 29, encoding: 'utf8' });
  if (r.status !== 0 && r.status !== 3) throw new Error(r.stderr);
  const objects = JSON.parse(r.stdout).qpdf[1];
  const get = (v) => {
    for (let i = 0; typeof v === 'string' && /^\d+ \d+ R$/.test(v) && i < 9; i++) {
      const o = objects[`obj:${v}`];
      v = o?.stream ? { ...o.stream.dict, '#data': o.stream.data, '#ref': v } : o?.value;
    }
    return v;
  };
  const all = Object.entries(objects).filter(([k]) => k.startsWith('obj:')).map(([k, o]) => [k, o.stream?.dict ?? o.value, o.stream ?? null]);
  return { get, all, trailer: objects.trailer.value };
}

/** "u:text" and "b:hex" of qpdf's JSON. */
export const text = (v) => (v?.startsWith('u:') ? v.slice(2) : v?.startsWith('b:') ? Buffer.from(v.slice(2), 'hex').toString('latin1') : v);
const data = (stream) => Buffer.from(stream?.['#data'] ?? '', 'base64');

/** Words of a content stream that are operators, one after the other; strings, names and inline images left out. */
function operators(content) {
  const found = [];
  const s = content.toString('latin1');
  for (let i = 0; i < s.length;) {
    const c = s[i];
    if (c === '(') {
      let depth = 1;
      for (i++; i < s.length && depth > 0; i++) {
        if (s[i] === '\\') i++;
        else depth += s[i] === '(' ? 1 : s[i] === ')' ? -1 : 0;
      }
    } else if (c === '<' && s[i + 1] !== '<') {
      i = s.indexOf('>', i) + 1 || s.length;
    } else if (c === '%') {
      i = s.indexOf('\n', i) + 1 || s.length;
    } else if (c === '/') {
      i++;
      while (i < s.length && !/[\s()<>[\]{}/%]/.test(s[i])) i++;
    } else if (/[\s<>[\]{})]/.test(c)) {
      i++;
    } else {
      const word = /[^\s()<>[\]{}/%]+/y;
      word.lastIndex = i;
      const w = word.exec(s)[0];
      i += w.length;
      if (!/^[-+.\d]/.test(w) && !['true', 'false', 'null'].includes(w)) found.push(w);
      if (w === 'ID') i = s.slice(i).search(/\sEI\s/) + i + 1;
    }
  }
  return found;
}

function checkBytes(bytes, bad) {
  const head = bytes.subarray(0, 40).toString('latin1');
  if (!/^%PDF-1\.[0-7]\r?\n%[\x80-\xff]{4}/.test(head)) bad('6.1.2', 'header and binary comment');
  if (!/%%EOF\r?\n?$/.test(bytes.subarray(-16).toString('latin1'))) bad('6.1.3', 'something behind %%EOF');
}

function checkStream(name, dict, bad) {
  for (const key of ['/F', '/FFilter', '/FDecodeParms']) if (dict[key] !== undefined) bad('6.1.7.1', `${name}: stream with ${key}`);
  for (const f of [dict['/Filter'] ?? []].flat()) {
    if (!['/FlateDecode', '/DCTDecode', '/ASCII85Decode', '/ASCIIHexDecode', '/RunLengthDecode', '/CCITTFaxDecode'].includes(f)) {
      bad('6.1.7.2', `${name}: filter ${f}`);
    }
  }
}

function checkImage(name, dict, { get }, bad) {
  if (get(dict['/Interpolate']) === true) bad('6.2.8.1', `${name}: Interpolate`);
  if (dict['/Alternates'] !== undefined || dict['/OPI'] !== undefined) bad('6.2.8.1', `${name}: Alternates or OPI`);
  const space = [get(dict['/ColorSpace']) ?? []].flat();
  if (space.map(get).includes('/DeviceCMYK')) bad('6.2.4.3', `${name}: CMYK`);
  const bits = get(dict['/BitsPerComponent']);
  if (bits !== undefined && ![1, 2, 4, 8, 16].includes(bits)) bad('6.2.8.1', `${name}: ${bits} bits`);
}

function checkFont(name, dict, { get }, bad) {
  const type = dict['/Subtype'];
  if (type === '/Type3') return;
  if (type === '/Type0') {
    const child = get([get(dict['/DescendantFonts'])].flat()[0]);
    if (!/^\/Identity-[HV]$/.test(get(dict['/Encoding']))) bad('6.2.11.3.3', `${name}: encoding`);
    if (child?.['/Type'] !== '/Font') bad('6.2.11', `${name}: no descendant`);
    return;
  }
  const d = get(dict['/FontDescriptor']) ?? {};
  const program = get(d['/FontFile'] ?? d['/FontFile2'] ?? d['/FontFile3']);
  if (!program || data(program).length === 0) bad('6.2.11.4', `${name}: ${dict['/BaseFont']} is not embedded`);
  if (!/^\/[A-Z]{6}\+/.test(dict['/BaseFont'])) bad('6.2.11.4', `${name}: ${dict['/BaseFont']} is no subset`);
  if (d['/CIDSet'] !== undefined || d['/CharSet'] !== undefined) bad('6.2.11.4.2', `${name}: CIDSet, CharSet`);
  if (type === '/CIDFontType2' && get(dict['/CIDToGIDMap']) === undefined) bad('6.2.11.3.2', `${name}: no CIDToGIDMap`);
  if (type === '/TrueType' && (d['/Flags'] & 4) === 0 && !['/WinAnsiEncoding', '/MacRomanEncoding'].includes(
    get(get(dict['/Encoding'])?.['/BaseEncoding'] ?? dict['/Encoding']))) bad('6.2.11.6', `${name}: encoding`);
}

function checkState(name, dict, { get }, bad) {
  if (dict['/TR'] !== undefined || dict['/HTP'] !== undefined) bad('6.2.5', `${name}: TR or HTP`);
  if (dict['/TR2'] !== undefined && get(dict['/TR2']) !== '/Default') bad('6.2.5', `${name}: TR2`);
  for (const m of [get(dict['/BM']) ?? []].flat()) if (!BLEND.has(m.slice(1))) bad('6.2.10', `${name}: blend mode ${m}`);
  const intent = get(dict['/RI']);
  if (intent && !INTENTS.includes(intent.slice(1))) bad('6.2.6', `${name}: rendering intent ${intent}`);
}

function checkAnnotation(name, a, { get }, bad) {
  if (a?.['/Subtype'] !== '/Link') bad('6.3.1', `${name}: annotation ${a?.['/Subtype']}`);
  if ((a?.['/F'] & 4) === 0 || (a?.['/F'] & (1 | 2 | 32 | 256)) !== 0 || a?.['/F'] === undefined) bad('6.3.2', `${name}: flags ${a?.['/F']}`);
  if (a?.['/AP'] !== undefined && !get(a['/AP'])['/N']) bad('6.3.3', `${name}: appearance`);
}

function checkValues(name, v, bad) {
  if (typeof v === 'number' && (Math.abs(v) > 2147483647)) bad('6.1.13', `${name}: number ${v}`);
  if (typeof v === 'string' && v.startsWith('/') && Buffer.byteLength(v) > 128) bad('6.1.13', `${name}: long name`);
  if (typeof v === 'string' && v.length > 32767) bad('6.1.13', `${name}: long string`);
  if (v === null || typeof v !== 'object') return;
  for (const [k, x] of Object.entries(v)) {
    if (['/AA', '/JS', '/JavaScript', '/OpenAction', '/XFA', '/Encrypt', '/Requirements', '/AlternatePresentations'].includes(k)) {
      bad('6.5, 6.6', `${name}: ${k}`);
    }
    checkValues(name, x, bad);
  }
}

function checkContent(name, content, bad) {
  let depth = 0;
  let most = 0;
  const ops = operators(content);
  for (const o of ops) {
    if (!OPERATORS.has(o)) bad('6.2.2', `${name}: operator ${o}`);
    depth += o === 'q' ? 1 : o === 'Q' ? -1 : 0;
    most = Math.max(most, depth);
  }
  if (most > MAX_Q) bad('6.1.13', `${name}: q within q ${most} times`);
  if (depth !== 0) bad('6.2.2', `${name}: q without Q`);
  if (ops.includes('k') || ops.includes('K')) bad('6.2.4.3', `${name}: CMYK`);
}

function checkMetadata(root, info, { get }, bad) {
  const stream = get(root['/Metadata']);
  if (!stream || stream['/Filter'] !== undefined || stream['/Subtype'] !== '/XML') return bad('6.6.2', 'no plain metadata stream');
  const xmp = data(stream).toString('utf8');
  const field = (name) => new RegExp(`<${name}>(?:<rdf:Alt><rdf:li xml:lang="x-default">)?([^<]*)`).exec(xmp)?.[1]
    ?.replace(/&lt;/g, '<').replace(/&gt;/g, '>').replace(/&quot;/g, '"').replace(/&(apos|#39);/g, "'").replace(/&amp;/g, '&');
  const date = (s) => s?.replace(/^D:(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z');
  if (!xmp.startsWith('<?xpacket begin="\uFEFF"') || !/<\?xpacket end="[rw]"\?>\s*$/.test(xmp)) bad('6.6.2', 'packet');
  if (field('pdfaid:part') !== '3' || field('pdfaid:conformance') !== 'B') bad('6.6.4', 'pdfaid');
  for (const [a, b] of [[field('dc:title') || undefined, text(info['/Title'])], [field('pdf:Producer'), text(info['/Producer'])],
    [field('xmp:CreatorTool'), text(info['/Creator'])], [field('xmp:CreateDate'), date(text(info['/CreationDate']))],
    [field('xmp:ModifyDate'), date(text(info['/ModDate']))]]) {
    if (a !== b) bad('6.6.3', `metadata "${a}", information "${b}"`);
  }
}

function checkIntent(root, { get }, bad) {
  const list = get(root['/OutputIntents']) ?? [];
  const intent = get(list[0]);
  const profile = data(get(intent?.['/DestOutputProfile']));
  if (list.length !== 1 || intent['/S'] !== '/GTS_PDFA1' || get(intent['/DestOutputProfile'])['/N'] !== 3) bad('6.2.3', 'output intent');
  if (profile.toString('latin1', 36, 40) !== 'acsp' || profile.toString('latin1', 16, 20) !== 'RGB ' || profile[8] > 4
    || profile.readUInt32BE(0) !== profile.length || !['mntr', 'prtr'].includes(profile.toString('latin1', 12, 16))) bad('6.2.3', 'profile');
}

/** The embedded mail's bytes, or null. */
function checkAttachment(root, { get }, bad) {
  const spec = get(get(root['/AF'])?.[0]);
  if (!spec) return null;
  const stream = get(get(spec['/EF'])?.['/F']);
  const bytes = data(stream);
  const params = get(stream?.['/Params']) ?? {};
  const named = get(get(get(root['/Names'])?.['/EmbeddedFiles'])?.['/Names']) ?? [];
  if (spec['/AFRelationship'] !== '/Source' || !spec['/F'] || !spec['/UF'] || !spec['/Desc'] || spec['/Type'] !== '/Filespec') bad('6.8', 'file specification');
  if (stream?.['/Subtype'] !== '/message/rfc822' || stream['/Type'] !== '/EmbeddedFile') bad('6.8', 'media type');
  if (get(spec['/EF'])['/UF'] !== get(spec['/EF'])['/F']) bad('6.8', 'EF');
  if (params['/Size'] !== bytes.length || !/^u:D:\d{14}Z$/.test(params['/ModDate'])) bad('6.8', 'size or date');
  if (params['/CheckSum'] !== `b:${createHash('md5').update(bytes).digest('hex')}`) bad('6.8', `checksum ${params['/CheckSum']}`);
  if (text(named[0]) !== text(spec['/UF']) || get(named[1]) !== spec) bad('6.8', 'not among the embedded files');
  return bytes;
}

/** {errors: [text], mail: Buffer or null, root, get}: what is against the standard, and the mail inside. */
export function checkArchive(file) {
  const errors = [];
  const bad = (clause, what) => { errors.push(`${clause}: ${what}`); };
  const check = spawnSync('qpdf', ['--check', file], { encoding: 'utf8' });
  if (check.status !== 0) bad('6.1', `qpdf: ${check.stderr || check.stdout}`);
  checkBytes(fs.readFileSync(file), bad);
  const pdf = read(file);
  const { get, all, trailer } = pdf;
  const root = get(trailer['/Root']);
  const info = get(trailer['/Info']) ?? {};
  if (get(trailer['/ID'])?.length !== 2) bad('6.1.3', 'no ID');
  if (trailer['/Encrypt'] !== undefined) bad('6.1.3', 'encrypted');
  const pages = all.filter(([, d]) => d?.['/Type'] === '/Page');
  for (const [name, dict, stream] of all) {
    checkValues(name, dict, bad);
    if (stream) checkStream(name, dict, bad);
    if (dict?.['/Subtype'] === '/Image') checkImage(name, dict, pdf, bad);
    if (dict?.['/Type'] === '/Font') checkFont(name, dict, pdf, bad);
    if (dict?.['/Type'] === '/ExtGState') checkState(name, dict, pdf, bad);
    if (dict?.['/Subtype'] === '/Form' && dict['/Type'] === '/XObject') checkContent(name, Buffer.from(stream.data, 'base64'), bad);
    if (dict?.['/Subtype'] === '/PS' || dict?.['/Ref'] !== undefined) bad('6.2.9', `${name}: XObject`);
    const action = get(dict?.['/A']);
    if (action?.['/S'] && !['/URI', '/GoTo'].includes(action['/S'])) bad('6.5.1', `${name}: action ${action['/S']}`);
  }
  for (const [name, page] of pages) {
    for (const a of get(page['/Annots']) ?? []) checkAnnotation(name, get(a), pdf, bad);
    checkContent(name, Buffer.concat([get(page['/Contents'])].flat().map((c) => data(get(c)))), bad);
  }
  if (pages.length === 0) bad('6.1', 'no pages');
  checkMetadata(root, info, pdf, bad);
  checkIntent(root, pdf, bad);
  if (root['/AcroForm'] !== undefined || root['/OCProperties'] !== undefined || root['/Perms'] !== undefined) bad('6.4', 'catalog');
  if (typeof root['/Lang'] !== 'string') bad('6.7.4', 'no language');
  return { errors, mail: checkAttachment(root, pdf, bad), root, get, all };
}
