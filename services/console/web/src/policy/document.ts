// SPDX-License-Identifier: Apache-2.0
//
// Changes of the policy's YAML text that leave everything else as somebody wrote it: comments, order, blank lines.  A list
// is taken apart into its items' lines; only the item that is changed is written anew, with the comments inside it.
import { Document, isCollection, isMap, isPair, isScalar, isSeq, parseDocument, type Node, type Pair, type YAMLMap, type YAMLSeq } from 'yaml';

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json | undefined };
export type Item = { [key: string]: Json | undefined };
export type Section = 'storages' | 'groups' | 'security_definitions' | 'rules';

const STYLE = { lineWidth: 0, flowCollectionPadding: false } as const;

export class Unreadable extends Error {}

function parse(text: string): Document {
  const doc = parseDocument(text, { keepSourceTokens: true });
  if (doc.errors.length > 0) throw new Unreadable(doc.errors[0]!.message);
  if (doc.contents !== null && !isMap(doc.contents)) throw new Unreadable('not a map');
  return doc;
}

/** The whole policy as plain values; throws Unreadable. */
export function policyOf(text: string): Item {
  return (parse(text).toJS() ?? {}) as Item;
}

/* ---- writing one value ---- */

function same(a: Json | undefined, b: Json | undefined): boolean {
  return JSON.stringify(a ?? null) === JSON.stringify(b ?? null);
}

function made(doc: Document, value: Json): Node {
  const node = doc.createNode(value) as Node;
  // Short lists and maps stand on one line, as in the sample policy.
  if (isSeq(node) && Array.isArray(value) && value.every((v) => typeof v !== 'object' || v === null)) node.flow = true;
  if (isMap(node)) {
    for (const pair of node.items) {
      const key = isScalar(pair.key) ? String(pair.key.value) : '';
      pair.value = made(doc, (value as Item)[key] ?? null);
      if (key === 'secure' && isMap(pair.value)) pair.value.flow = true;
    }
  } else if (isSeq(node) && !node.flow) {
    node.items = (value as Json[]).map((v) => made(doc, v));
  }
  if (isScalar(node) && typeof value === 'string' && value.includes('\n')) node.type = 'BLOCK_LITERAL';
  return node;
}

/** Makes a map hold these values; what stays the same keeps its form and its comments. */
function merge(doc: Document, map: YAMLMap, value: Item) {
  const old = map.toJS(doc) as Item;
  for (const key of Object.keys(old)) {
    if (value[key] === undefined) map.delete(key);
  }
  for (const [key, next] of Object.entries(value)) {
    if (next === undefined || (key in old && same(old[key], next))) continue;
    const node = map.get(key, true) as Node | undefined;
    if (isMap(node) && next !== null && typeof next === 'object' && !Array.isArray(next)) merge(doc, node, next);
    else if (isScalar(node) && (next === null || typeof next !== 'object')) {
      node.value = next;
      if (typeof next === 'string' && next.includes('\n')) node.type = 'BLOCK_LITERAL';
      else if (node.type !== 'QUOTE_DOUBLE' && node.type !== 'QUOTE_SINGLE') node.type = 'PLAIN';
      else if (typeof next !== 'string') node.type = 'PLAIN';
      delete node.source;
    } else map.set(key, made(doc, next));
  }
}

function written(node: Node): string[] {
  const doc = new Document(null);
  doc.contents = node as never;
  return doc.toString(STYLE).replace(/\n+$/, '').split('\n');
}

/** Lines that say the same as an old one look as it did: blanks in front of comments. */
function asBefore(old: string[], next: string[]): string[] {
  const plain = (line: string) => line.replace(/[ \t]+#/g, ' #').trimEnd();
  const known = new Map(old.map((line) => [plain(line), line]));
  return next.map((line) => known.get(plain(line)) ?? line);
}

const indent = (lines: string[], first: string, rest: string) => lines.map((line, i) => (i === 0 ? first + line : line ? rest + line : line));

/* ---- a list as lines ---- */

interface Block { lead: string[]; body: string[]; node: Node }
interface List {
  before: string[]; // up to and with the line of the key
  blocks: Block[];
  gaps: string[][]; // behind each block
  after: string[];
  indent: string; // in front of "- "
}

const sectionPair = (doc: Document, section: string): Pair | undefined =>
  isMap(doc.contents) ? doc.contents.items.find((p) => isScalar(p.key) && p.key.value === section) : undefined;

const lineOf = (text: string, offset: number) => {
  let n = 0;
  for (let i = text.indexOf('\n'); i >= 0 && i < offset; i = text.indexOf('\n', i + 1)) n++;
  return n;
};

/** The line behind the last one of a node, without blank ones and comments that follow. */
function endOf(text: string, node: Node): number {
  const [start, end] = node.range!;
  const content = text.slice(start, end).replace(/\s+$/, '');
  return lineOf(text, start + Math.max(content.length - 1, 0)) + 1;
}

function take(text: string, doc: Document, section: Section): List {
  const lines = text.split('\n');
  const pair = sectionPair(doc, section);
  if (!pair) {
    while (lines.length > 0 && lines.at(-1)!.trim() === '') lines.pop();
    return { before: [...lines, `${section}:`], blocks: [], gaps: [], after: [''], indent: '  ' };
  }
  const keyLine = lineOf(text, (pair.key as Node).range![0]);
  const seq = pair.value as Node | null;
  if (!isSeq(seq) || seq.flow || seq.items.length === 0) {
    // [] or nothing: becomes a list of lines.
    const items = isSeq(seq) ? (seq as YAMLSeq).items as Node[] : [];
    const end = seq?.range && isCollection(seq) ? endOf(text, seq) : keyLine + 1;
    return { before: [...lines.slice(0, keyLine), `${section}:`],
      blocks: items.map((node) => ({ lead: [], body: indent(written(node), '  - ', '    '), node })), gaps: items.map(() => []),
      after: lines.slice(end), indent: '  ' };
  }
  const starts: number[] = [];
  let column = '  ';
  for (const item of seq.items as Node[]) {
    const dash = text.lastIndexOf('-', item.range![0] - 1);
    const line = lineOf(text, dash);
    starts.push(line);
    column = lines[line]!.slice(0, lines[line]!.indexOf('-'));
  }
  const blocks: Block[] = [];
  const gaps: string[][] = [];
  // Comments right behind an item that stand deeper than its dash belong to it.
  const ends = (seq.items as Node[]).map((node) => {
    let end = endOf(text, node);
    while (/^(\s*)#/.exec(lines[end] ?? '')?.[1]?.startsWith(`${column} `)) end++;
    return end;
  });
  const leads = starts.map((start, i) => {
    const least = i === 0 ? keyLine + 1 : ends[i - 1]!;
    let lead = start;
    while (lead > least && /^\s*#/.test(lines[lead - 1]!)) lead--;
    return lead;
  });
  starts.forEach((start, i) => {
    const node = seq.items[i] as Node;
    const end = ends[i]!;
    blocks.push({ lead: lines.slice(leads[i], start), body: lines.slice(start, end), node });
    gaps.push(i + 1 < starts.length ? lines.slice(end, leads[i + 1]) : []);
  });
  const end = ends.at(-1)!;
  return { before: lines.slice(0, leads[0]), blocks, gaps, after: lines.slice(end), indent: column };
}

function put(list: List): string {
  const out = [...list.before];
  if (list.blocks.length === 0) {
    // The key is the last of them that is no comment.
    const at = out.findLastIndex((line) => /^[\w_]+:/.test(line));
    out[at] = out[at]!.replace(/^([\w_]+):.*$/, '$1: []');
  }
  list.blocks.forEach((block, i) => out.push(...block.lead, ...block.body, ...(i + 1 < list.blocks.length ? list.gaps[i]! : [])));
  out.push(...list.after);
  return out.join('\n');
}

const usualGap = (list: List): string[] => (list.gaps.some((g, i) => i + 1 < list.gaps.length && g.some((l) => l.trim() === '')) ? [''] : []);

/** Changes an item, or adds one (index null; at: where, else at the end). */
export function putItem(text: string, section: Section, index: number | null, value: Item, at?: number): string {
  const doc = parse(text);
  const list = take(text, doc, section);
  const clean = prune(value);
  if (index !== null) {
    const block = list.blocks[index];
    if (!block) throw new Unreadable(`${section}[${index}]`);
    if (isMap(block.node)) merge(doc, block.node, clean);
    const node = isMap(block.node) ? block.node : made(doc, clean);
    node.commentBefore = null; // stands in lead
    node.spaceBefore = false;
    const comments = block.body.slice(block.body.findLastIndex((l) => !/^\s*#/.test(l)) + 1);
    block.body = asBefore(block.body, [...indent(written(node), `${list.indent}- `, `${list.indent}  `), ...comments]);
    return put(list);
  }
  const node = made(doc, clean);
  const where = at ?? list.blocks.length;
  list.blocks.splice(where, 0, { lead: [], body: indent(written(node), `${list.indent}- `, `${list.indent}  `), node });
  const gap = usualGap(list);
  // Behind the new one, or, where it is the last, behind the one before it.
  if (where < list.gaps.length) list.gaps.splice(where, 0, gap);
  else {
    if (list.gaps.length > 0) list.gaps[list.gaps.length - 1] = gap;
    list.gaps.push([]);
  }
  return put(list);
}

export function removeItem(text: string, section: Section, index: number): string {
  const list = take(text, parse(text), section);
  list.blocks.splice(index, 1);
  list.gaps.splice(index === list.blocks.length ? Math.max(index - 1, 0) : index, 1);
  return put(list);
}

export function moveItem(text: string, section: Section, from: number, to: number): string {
  const list = take(text, parse(text), section);
  const [block] = list.blocks.splice(from, 1);
  if (block) list.blocks.splice(to, 0, block);
  return put(list);
}

/** Makes a section that is a map (pass, notices) hold these values. */
export function putMap(text: string, section: 'pass' | 'notices', value: Item): string {
  const doc = parse(text);
  const clean = prune(value);
  const lines = text.split('\n');
  const pair = sectionPair(doc, section);
  const map = pair && isMap(pair.value) ? pair.value : null;
  const node = map ?? (made(doc, clean) as YAMLMap);
  let from = lines.length;
  let end = lines.length;
  if (pair && isPair(pair)) {
    from = lineOf(text, (pair.key as Node).range![0]);
    end = pair.value && isCollection(pair.value) ? endOf(text, pair.value as Node) : from + 1;
  } else {
    while (lines.length > 0 && lines.at(-1)!.trim() === '') lines.pop();
    from = lines.length;
    end = from;
    lines.push('');
  }
  if (map) merge(doc, map, clean);
  const body = written(node);
  const content = node.flow ? [`${section}: ${body.join('\n')}`] : node.items.length === 0 ? [`${section}: {}`]
    : [`${section}:`, ...indent(body, '  ', '  ')];
  return [...lines.slice(0, from), ...asBefore(lines.slice(from, end), content), ...lines.slice(end)].join('\n');
}

/** Without what says nothing: undefined, empty conditions. */
export function prune(value: Item): Item {
  const out: Item = {};
  for (const [key, v] of Object.entries(value)) {
    if (v === undefined) continue;
    if (v !== null && typeof v === 'object' && !Array.isArray(v)) {
      const inner = prune(v);
      if (Object.keys(inner).length > 0) out[key] = inner;
    } else out[key] = v;
  }
  return out;
}

/** Changes the names that rules and conditions use, after something was renamed. */
export function renameUses(text: string, section: Section, from: string, to: string): string {
  let out = text;
  const rules = (policyOf(text).rules ?? []) as Item[];
  const inTerms = (v: Json | undefined): Json | undefined => (Array.isArray(v) ? v.map((s) => (typeof s !== 'string' ? s
    : s === from ? to : s === `group:${from}` ? `group:${to}` : s === `!group:${from}` ? `!group:${to}` : s === `!${from}` ? `!${to}` : s)) : v);
  rules.forEach((rule, i) => {
    let next: Item = rule;
    if (section === 'storages') {
      if (rule.storage === from) next = { ...next, storage: to };
      if (rule.without_account === from) next = { ...next, without_account: to };
    }
    if (section === 'security_definitions' && rule.security === from) next = { ...next, security: to };
    if (section === 'groups' && rule.when && typeof rule.when === 'object' && !Array.isArray(rule.when)) {
      next = { ...next, when: { ...rule.when, from: inTerms(rule.when.from), to: inTerms(rule.when.to) } };
    }
    if (!same(prune(next), prune(rule))) out = putItem(out, 'rules', i, next);
  });
  return out;
}

/** The names of rules that use it. */
export function usesOf(policy: Item, section: Section, name: string): string[] {
  const rules = (policy.rules ?? []) as Item[];
  return rules.filter((r) => {
    if (section === 'storages') return r.storage === name || r.without_account === name;
    if (section === 'security_definitions') return r.security === name;
    if (section === 'groups') {
      const when = (r.when ?? {}) as Item;
      return [when.from, when.to].flat().some((v) => typeof v === 'string' && [name, `!${name}`, `group:${name}`, `!group:${name}`].includes(v));
    }
    return false;
  }).map((r) => String(r.name));
}
