// SPDX-License-Identifier: Apache-2.0
//
// What the pages of the policy share: the bar of the draft, the fields of sizes and times, the notes of who may not edit.
import { GitCompareArrows, Trash2, Undo2 } from '../ui/icons';
import { useState, type ReactNode } from 'react';
import { useLocation } from 'wouter';
import { Button, LinkButton, NumberField, Select } from '../ui/controls';
import { Confirm } from '../ui/dialog';
import { Empty, ErrorBox, Loading, Note } from '../ui/page';
import { useWords } from '../language';
import { useSession } from '../session';
import { useDraft, type Draft } from './draft';

/** "30d" as number and unit, and back. */
export function splitUnit(value: string, units: string[]): [number, string] {
  const found = /^\s*(\d+)\s*([A-Za-z]*)\s*$/.exec(value);
  if (!found) return [0, units[0]!];
  const unit = units.find((u) => u.toLowerCase() === found[2]!.toLowerCase()) ?? units[0]!;
  return [Number(found[1]), unit];
}

const DURATIONS = ['d', 'h', 'm'];
export function DurationField({ label, help, value, onChange, isDisabled = false, never }: { label: string; help?: string; value: string;
  onChange: (value: string) => void; isDisabled?: boolean; never: string }) {
  const { t } = useWords();
  const [n, unit] = splitUnit(value || '0', DURATIONS);
  const put = (count: number, u: string) => onChange(count > 0 ? `${count}${u}` : '');
  return (
    <div className="pair">
      <NumberField label={label} help={n === 0 ? never : help} value={n} onChange={(v) => put(v, unit)} max={36500} isDisabled={isDisabled} />
      <Select label={t('unit')} value={unit} onChange={(u) => put(n, u)} isDisabled={isDisabled}
        options={[{ id: 'd', label: t('unit.d') }, { id: 'h', label: t('unit.h') }, { id: 'm', label: t('unit.m') }]} />
    </div>
  );
}

const SIZES = ['MiB', 'kB', 'MB', 'KiB', 'GiB', 'TiB', 'GB'];
export function SizeField({ label, help, value, onChange, isDisabled = false }: { label: string; help?: string; value: string;
  onChange: (value: string) => void; isDisabled?: boolean }) {
  const { t } = useWords();
  const [n, unit] = splitUnit(value || '0', ['', ...SIZES]);
  const shown = n > 0 && unit === '' ? 'B' : unit || 'MiB';
  const put = (count: number, u: string) => onChange(count > 0 ? `${count}${u === 'B' ? '' : u}` : '');
  return (
    <div className="pair">
      <NumberField label={label} help={help} value={n} onChange={(v) => put(v, shown)} isDisabled={isDisabled} />
      <Select label={t('unit')} value={shown} onChange={(u) => put(n, u)} isDisabled={isDisabled}
        options={[...(shown === 'B' ? ['B'] : []), ...SIZES].map((u) => ({ id: u, label: u }))} />
    </div>
  );
}

/** The draft waits at the foot of each page until it is saved or thrown away. */
export function DraftBar() {
  const { t } = useWords();
  const draft = useDraft();
  const [path] = useLocation();
  const [isAsking, ask] = useState(false);
  if (!draft.isDirty) return null;
  return (
    <aside className="draft-bar" aria-label={t('draft')}>
      <p>
        <strong>{t('draft.unsaved')}</strong>
        <span>{draft.isBehind ? t('draft.behind') : t('draft.only-here')}</span>
      </p>
      <div className="actions">
        <Button icon={Undo2} isDisabled={!draft.canUndo} onPress={draft.undo}>{t('undo')}</Button>
        <Button icon={Trash2} onPress={() => ask(true)}>{t('discard')}</Button>
        {path !== '/policy/review' && <LinkButton href="/policy/review" kind="main" icon={GitCompareArrows}>{t('review')}</LinkButton>}
      </div>
      <Confirm title={t('discard.title')} action={t('discard')} isOpen={isAsking} onClose={() => ask(false)} isDanger
        run={async () => draft.discard()}>
        <p>{t('discard.text')}</p>
      </Confirm>
    </aside>
  );
}

/** A page of the policy: while it is loaded, what went wrong, whether one may edit. */
export function PolicyPage({ children }: { children: (draft: Draft, mayEdit: boolean) => ReactNode }) {
  const { t } = useWords();
  const draft = useDraft();
  const { may } = useSession();
  if (draft.isLoading) return <Loading />;
  if (draft.error && !draft.server) return <ErrorBox problem={draft.error} retry={() => void draft.refetch()} />;
  const isFile = draft.server !== null && !draft.server.is_writable;
  const mayEdit = may('edit_policy') && !isFile && draft.isBroken === null;
  return (
    <>
      {isFile && <Note tone="info" title={t('policy.from-file')}><p>{t('policy.from-file.text', { source: draft.server!.source })}</p></Note>}
      {draft.isBroken !== null && (
        <Note tone="bad" title={t('policy.broken')}><p>{t('policy.broken.text')} <code>{draft.isBroken}</code></p>
          <p><LinkButton href="/policy/yaml">{t('nav.yaml')}</LinkButton></p></Note>
      )}
      {children(draft, mayEdit)}
    </>
  );
}

export function NoneYet({ title, children }: { title: string; children?: ReactNode }) {
  return <Empty title={title}>{children}</Empty>;
}

/** Why a name cannot be taken. */
export function useNameError(names: string[], name: string, own: string | null): string | undefined {
  const { t } = useWords();
  if (!name.trim()) return t('name.missing');
  if (name !== own && names.includes(name)) return t('name.taken');
  return undefined;
}
