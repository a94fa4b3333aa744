// SPDX-License-Identifier: Apache-2.0
import { structuredPatch } from 'diff';
import { useMemo } from 'react';
import { useWords } from '../language';
import type { DiffLine } from '../types';

export interface Change { hunks: DiffLine[][]; added: number; removed: number }

/** What became of a text, line by line, with three lines around. */
export function diffTexts(before: string, after: string): Change {
  let added = 0;
  let removed = 0;
  const hunks = structuredPatch('', '', before, after, '', '', { context: 3 }).hunks.map((h) => {
    let old = h.oldStart;
    let next = h.newStart;
    return h.lines.filter((l) => !l.startsWith('\\')).map((line): DiffLine => {
      const kind = line[0] as DiffLine['kind'];
      if (kind === '+') { added++; return { kind, old: null, new: next++, text: line.slice(1) }; }
      if (kind === '-') { removed++; return { kind, old: old++, new: null, text: line.slice(1) }; }
      return { kind: ' ', old: old++, new: next++, text: line.slice(1) };
    });
  });
  return { hunks, added, removed };
}

export function Diff({ change, label }: { change: Change; label: string }) {
  const { t } = useWords();
  if (change.hunks.length === 0) return <p className="soft">{t('diff.none')}</p>;
  return (
    <>
      <p className="diff-sum"><span className="plus">{t('diff.added', { n: change.added })}</span> <span className="minus">{t('diff.removed', { n: change.removed })}</span></p>
      <div className="diff" role="region" aria-label={label} tabIndex={0}>
        <table>
          <thead className="unseen"><tr><th scope="col">{t('diff.old')}</th><th scope="col">{t('diff.new')}</th><th scope="col">{t('diff.kind')}</th><th scope="col">{t('diff.text')}</th></tr></thead>
          {change.hunks.map((hunk, n) => (
            <tbody key={n}>
              {hunk.map((line, i) => (
                <tr key={i} className={line.kind === '+' ? 'plus' : line.kind === '-' ? 'minus' : ''}>
                  <td className="n">{line.old ?? ''}</td><td className="n">{line.new ?? ''}</td>
                  <td className="sign">{line.kind === ' ' ? '' : line.kind === '+' ? <><span aria-hidden>+</span><span className="unseen">{t('diff.plus')}</span></>
                    : <><span aria-hidden>−</span><span className="unseen">{t('diff.minus')}</span></>}</td>
                  <td className="code">{line.text}</td>
                </tr>
              ))}
            </tbody>
          ))}
        </table>
      </div>
    </>
  );
}

export function DiffOf({ before, after, label }: { before: string; after: string; label: string }) {
  const change = useMemo(() => diffTexts(before, after), [before, after]);
  return <Diff change={change} label={label} />;
}
