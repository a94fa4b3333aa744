// SPDX-License-Identifier: Apache-2.0
import { structuredPatch } from 'diff';

interface Hunk { start: number; end: number; lines: string[] } // of the base's lines, from 0

function hunksOf(base: string, next: string): Hunk[] {
  return structuredPatch('', '', base, next, '', '', { context: 0 }).hunks.map((h) => ({
    start: h.oldStart - 1,
    end: h.oldStart - 1 + h.oldLines,
    lines: h.lines.filter((l) => l.startsWith('+')).map((l) => l.slice(1)),
  }));
}

const same = (a: Hunk, b: Hunk) => a.start === b.start && a.end === b.end && a.lines.join('\n') === b.lines.join('\n');
/** Whether two changes touch the same lines, or both add at the same place. */
const meet = (a: Hunk, b: Hunk) => (a.start < b.end && b.start < a.end) || a.start === b.start;

/** Two changes of one text become one; null where both change the same lines. */
export function mergeTexts(base: string, theirs: string, mine: string): string | null {
  if (base === theirs) return mine;
  if (base === mine) return theirs;
  const a = hunksOf(base, theirs);
  const b = hunksOf(base, mine).filter((h) => !a.some((other) => same(h, other)));
  if (b.some((h) => a.some((other) => meet(h, other)))) return null;
  const lines = base.split('\n');
  for (const h of [...a, ...b].sort((x, y) => y.start - x.start || y.end - x.end)) lines.splice(h.start, h.end - h.start, ...h.lines);
  return lines.join('\n');
}
