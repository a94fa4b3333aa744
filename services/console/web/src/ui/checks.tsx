// SPDX-License-Identifier: Apache-2.0
import { CheckCircle2, AlertTriangle, XCircle } from './icons';
import { Label, Meter as AriaMeter } from './aria';
import { useWords } from '../language';
import type { Checks } from '../types';
import { Note } from './page';

const ICONS = { ok: CheckCircle2, warning: AlertTriangle, error: XCircle } as const;

export function CheckList({ checks, good, bad }: { checks: Checks; good: string; bad: string }) {
  const { t, known } = useWords();
  return (
    <>
      <div role="status"><Note tone={checks.is_ok ? 'good' : 'bad'} title={checks.is_ok ? good : bad} /></div>
      <ul className="checklist">
        {checks.checks.map((c, i) => {
          const Icon = ICONS[c.state];
          return (
            <li key={`${c.name} ${i}`} className={c.state}>
              <Icon size={18} role="img" aria-label={t(`check.${c.state}`)} />
              <div><strong>{known('step', c.name)}</strong> <span>{c.text}</span>{c.hint && <p className="help">{c.hint}</p>}</div>
            </li>
          );
        })}
      </ul>
    </>
  );
}

export function Meter({ label, value, max, text }: { label: string; value: number; max: number; text: string }) {
  return (
    <AriaMeter value={value} maxValue={max} valueLabel={text} className="meter">
      {({ percentage, valueText }) => (
        <>
          <div className="meter-head"><Label>{label}</Label><span>{valueText}</span></div>
          <div className="bar"><div className={`fill ${percentage > 90 ? 'bad' : percentage > 75 ? 'warn' : ''}`} style={{ width: `${percentage}%` }} /></div>
        </>
      )}
    </AriaMeter>
  );
}
