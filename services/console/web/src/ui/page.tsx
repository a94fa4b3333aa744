// SPDX-License-Identifier: Apache-2.0
import { AlertTriangle, CheckCircle2, Info, RotateCw, type LucideIcon } from './icons';
import { useCallback, useEffect, useRef, useState, type ReactNode } from 'react';
import { ProgressBar, Toast, ToastContent, ToastQueue,
  ToastRegion, Text, Button as AriaButton } from './aria';
import { Problem, type ProblemItem } from '../api';
import { useWords } from '../language';
import { Button } from './controls';

/** The head of a page; its title becomes the document's, and is where a screen reader goes on. */
export function PageHead({ title, lead, children }: { title: string; lead?: ReactNode; children?: ReactNode }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => { document.title = `${title} – Fumibako`; }, [title]);
  useEffect(() => { heading.current?.focus({ preventScroll: true }); window.scrollTo(0, 0); }, []);
  return (
    <header className="page-head">
      <div>
        <h1 ref={heading} tabIndex={-1}>{title}</h1>
        {lead && <p className="lead">{lead}</p>}
      </div>
      {children && <div className="actions">{children}</div>}
    </header>
  );
}

export function Card({ title, children, actions, className = '', id }: { title?: ReactNode; children: ReactNode; actions?: ReactNode;
  className?: string; id?: string }) {
  return (
    <section className={`card ${className}`} {...(id ? { id } : {})}>
      {(title || actions) && <div className="card-head">{title && <h2>{title}</h2>}{actions && <div className="actions">{actions}</div>}</div>}
      {children}
    </section>
  );
}

export type Tone = 'good' | 'warn' | 'bad' | 'calm' | 'info';
export function Pill({ tone = 'calm', children }: { tone?: Tone; children: ReactNode }) {
  return <span className={`pill ${tone}`}>{children}</span>;
}

export function Note({ tone = 'info', title, children }: { tone?: Tone; title?: ReactNode; children?: ReactNode }) {
  const Icon: LucideIcon = tone === 'good' ? CheckCircle2 : tone === 'info' || tone === 'calm' ? Info : AlertTriangle;
  return (
    <div className={`note ${tone}`}>
      <Icon size={20} aria-hidden />
      <div>{title && <strong>{title}</strong>}{children}</div>
    </div>
  );
}

/** Where something is wrong: a line of the document, in the language of the page, or the name of a field. */
function Where({ of }: { of: ProblemItem }) {
  const { t } = useWords();
  const words = of.line > 0 ? t('line', { n: of.line }) : of.where === 'line 0' ? '' : of.where;
  return words && <code>{words}</code>;
}

/** What went wrong, read out at once. */
export function ErrorBox({ problem, retry }: { problem: unknown; retry?: () => void }) {
  const { t } = useWords();
  const box = problem ? (
    <div className="note bad">
      <AlertTriangle size={20} aria-hidden />
      <div>
        <strong>{problem instanceof Error ? problem.message : String(problem)}</strong>
        {problem instanceof Problem && problem.errors.length > 0 && (
          <ul>{problem.errors.map((e) => <li key={`${e.where} ${e.what}`}><Where of={e} /> {e.what}</li>)}</ul>
        )}
        {retry && <p><Button icon={RotateCw} onPress={retry}>{t('again')}</Button></p>}
      </div>
    </div>
  ) : null;
  return <div role="alert">{box}</div>;
}

export function Loading() {
  const { t } = useWords();
  return <ProgressBar isIndeterminate aria-label={t('loading')} className="loading"><span className="spinner" aria-hidden /><span>{t('loading')}</span></ProgressBar>;
}

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return <div className="empty"><p className="empty-title">{title}</p>{children}</div>;
}

interface Asked<T> { data: T | undefined; error: Error | null; isPending: boolean; refetch: () => unknown }
/** What a query brings: a sign of waiting, what went wrong, or the page. */
export function Loaded<T>({ query, children }: { query: Asked<T>; children: (data: T) => ReactNode }) {
  if (query.data !== undefined) return <>{children(query.data)}</>;
  if (query.error) return <ErrorBox problem={query.error} retry={() => void query.refetch()} />;
  return <Loading />;
}

/** [what went wrong, run, whether it runs, forget what went wrong] */
export function useAction(): [unknown, (fn: () => Promise<unknown>) => Promise<void>, boolean, () => void] {
  const [problem, setProblem] = useState<unknown>(null);
  const [isBusy, setBusy] = useState(false);
  const busy = useRef(false);
  const run = useCallback(async (fn: () => Promise<unknown>) => {
    if (busy.current) return; // an impatient click
    busy.current = true;
    setBusy(true);
    setProblem(null);
    try { await fn(); } catch (e) { setProblem(e); }
    busy.current = false;
    setBusy(false);
  }, []);
  return [problem, run, isBusy, useCallback(() => setProblem(null), [])];
}

interface Said { text: string; tone: Tone }
const said = new ToastQueue<Said>({ maxVisibleToasts: 1 });
/** A short word about what was done; the newest takes the place of the one before it. */
export function say(text: string, tone: Tone = 'good') {
  for (const old of said.visibleToasts) said.close(old.key);
  said.add({ text, tone }, { timeout: 6000 });
}

export function Toasts() {
  const { t } = useWords();
  return (
    <ToastRegion queue={said} className="toasts" aria-label={t('messages.region')}>
      {({ toast }) => (
        <Toast toast={toast} className={`toast ${toast.content.tone}`}>
          <ToastContent><Text slot="title">{toast.content.text}</Text></ToastContent>
          <AriaButton slot="close" className="button quiet square" aria-label={t('close')}>×</AriaButton>
        </Toast>
      )}
    </ToastRegion>
  );
}

/** A table that scrolls by itself where the screen is narrow; with isStacked its rows become blocks there, whose cells say
 *  what they are (data-label). */
export function Table({ label, head, children, isStacked = false }: { label: string; head: ReactNode[]; children: ReactNode; isStacked?: boolean }) {
  return (
    <div className={`table ${isStacked ? 'stack' : ''}`} role="region" aria-label={label} tabIndex={0}>
      <table>
        <thead><tr>{head.map((h, i) => (typeof h === 'string' && h === '' ? <td key={i} /> : <th key={i} scope="col">{h}</th>))}</tr></thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}

export function Facts({ items }: { items: [ReactNode, ReactNode][] }) {
  return <dl className="facts">{items.map(([k, v], i) => <div key={i}><dt>{k}</dt><dd>{v}</dd></div>)}</dl>;
}

export function download(name: string, content: BlobPart, type: string) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
