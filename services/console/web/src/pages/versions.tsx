// SPDX-License-Identifier: Apache-2.0
//
// The policy's versions: who put what in force, what changed, back to an earlier one; and the document itself.
import { useInfiniteQuery, useQuery, useQueryClient } from '@tanstack/react-query';
import { Download, History, RotateCcw } from '../ui/icons';
import { useRef, useState } from 'react';
import { callWhole, get, Problem } from '../api';
import { useWords } from '../language';
import { useSession } from '../session';
import { Diff } from '../policy/diff';
import { useDraft } from '../policy/draft';
import { PolicyPage as Guard } from '../policy/parts';
import type { PolicyApplied, PolicyDiff, PolicyHead, PolicyPage, PolicyVersion } from '../types';
import { Button } from '../ui/controls';
import { Confirm } from '../ui/dialog';
import { Card, download, Empty, ErrorBox, Loaded, Loading, Note, PageHead, Pill, say } from '../ui/page';
import { Findings, useCheck } from './review';

function VersionDiff({ from, to }: { from: number; to: number }) {
  const { t } = useWords();
  const query = useQuery({ queryKey: ['diff', from, to], staleTime: Infinity, queryFn: ({ signal }) => get<PolicyDiff>('policy/diff', { from, to }, signal) });
  return <Loaded query={query}>{(data) => <Diff change={data} label={t('versions.diff', { from, to })} />}</Loaded>;
}

function Version({ version, before, isCurrent, onBack }: { version: PolicyHead; before: number | null; isCurrent: boolean; onBack: (() => void) | null }) {
  const { t, time } = useWords();
  const [isOpen, open] = useState(false);
  const [problem, run] = useAction2();
  return (
    <li className="version">
      <div className="version-head">
        <p>
          <strong>{t('version.n', { n: version.number })}</strong> {isCurrent && <Pill tone="good">{t('version.current')}</Pill>}<br />
          <span className="soft">{time(version.at)} · {version.author || '–'}</span>
        </p>
        <p className="version-comment">{version.comment || <span className="soft">{t('comment.none')}</span>}</p>
        <div className="actions">
          {before !== null && <Button kind="quiet" aria-expanded={isOpen} onPress={() => open(!isOpen)}>{isOpen ? t('diff.hide') : t('diff.show')}</Button>}
          <Button kind="quiet" icon={Download} aria-label={t('version.download', { n: version.number })} onPress={() => run(async () => {
            const data = await get<PolicyVersion>(`policy/versions/${version.number}`);
            download(`policy-${version.number}.yaml`, data.document, 'application/yaml');
          })} />
          {onBack && <Button icon={RotateCcw} onPress={onBack}>{t('rollback')}</Button>}
        </div>
      </div>
      <ErrorBox problem={problem} />
      {isOpen && before !== null && <VersionDiff from={before} to={version.number} />}
    </li>
  );
}

function useAction2(): [unknown, (fn: () => Promise<unknown>) => void] {
  const [problem, set] = useState<unknown>(null);
  return [problem, (fn) => { set(null); fn().catch((e: unknown) => set(e)); }];
}

export function VersionsPage() {
  const { t } = useWords();
  const { may } = useSession();
  const draft = useDraft();
  const client = useQueryClient();
  const [back, goBack] = useState<PolicyHead | null>(null);
  const query = useInfiniteQuery({
    queryKey: ['history'],
    initialPageParam: '',
    queryFn: ({ pageParam, signal }) => get<PolicyPage>('policy/history', { cursor: pageParam, limit: 30 }, signal),
    getNextPageParam: (page) => page.next ?? undefined,
  });
  const items = query.data?.pages.flatMap((p) => p.items) ?? [];
  const mayRoll = may('edit_policy') && (draft.server?.is_writable ?? false);
  return (
    <>
      <PageHead title={t('nav.versions')} lead={t('versions.lead')} />
      {query.isPending && <Loading />}
      <ErrorBox problem={query.error} />
      {query.data && items.length === 0 && <Empty title={t('versions.none')} />}
      <ol className="versions">
        {items.map((v, i) => (
          <Version key={v.number} version={v} before={items[i + 1]?.number ?? (query.hasNextPage ? null : null)} isCurrent={v.version === draft.server?.version && i === 0}
            onBack={mayRoll && i > 0 ? () => goBack(v) : null} />
        ))}
      </ol>
      {query.hasNextPage && <p><Button icon={History} isPending={query.isFetchingNextPage} onPress={() => void query.fetchNextPage()}>{t('more')}</Button></p>}
      {back && (
        <Confirm title={t('rollback.title', { n: back.number })} action={t('rollback')} isOpen onClose={() => goBack(null)} reason={t('comment')}
          run={async (comment) => {
            try {
              const { data } = await callWhole<PolicyApplied>('policy/rollback', { method: 'POST', json: { version: String(back.number), comment: comment || t('rollback.comment', { n: back.number }) },
                headers: { 'If-Match': draft.server ? `"${draft.server.version}"` : '*' } });
              say(t('saved', { n: data.number }));
            } catch (e) {
              if (e instanceof Problem && e.status === 412) void client.invalidateQueries();
              throw e;
            }
            await client.invalidateQueries();
          }}>
          <p>{t('rollback.text', { n: back.number })}</p>
          {draft.isDirty && <Note tone="warn" title={t('rollback.draft')} />}
          {items[0] && <VersionDiff from={items[0].number} to={back.number} />}
        </Confirm>
      )}
    </>
  );
}

/* ---- the document ---- */

function Yaml() {
  const { t } = useWords();
  const { may } = useSession();
  const draft = useDraft();
  const area = useRef<HTMLTextAreaElement>(null);
  const gutter = useRef<HTMLPreElement>(null);
  const mayEdit = may('edit_policy') && (draft.server === null || draft.server.is_writable);
  const [asked, ask] = useState<string | null>(null);
  const check = useCheck(asked ?? '', asked !== null);
  const lines = draft.text.split('\n').length;
  const toLine = (line: number) => {
    const element = area.current;
    if (!element) return;
    const start = draft.text.split('\n').slice(0, line - 1).join('\n').length + (line > 1 ? 1 : 0);
    const end = draft.text.indexOf('\n', start);
    element.focus();
    element.setSelectionRange(start, end < 0 ? draft.text.length : end);
    element.scrollTop = Math.max(0, (line - 6) * (element.scrollHeight / Math.max(lines, 1)));
  };
  return (
    <Card>
      <label htmlFor="yaml" className="label">{t('yaml.label')}</label>
      <div className="yaml">
        <pre ref={gutter} aria-hidden>{Array.from({ length: lines }, (_, i) => i + 1).join('\n')}</pre>
        <textarea id="yaml" ref={area} value={draft.text} readOnly={!mayEdit} spellCheck={false} autoCapitalize="off" wrap="off"
          onScroll={(e) => { if (gutter.current) gutter.current.scrollTop = e.currentTarget.scrollTop; }}
          onChange={(e) => draft.setText(e.target.value)} />
      </div>
      <div className="actions">
        <Button onPress={() => ask(draft.text)} isPending={check.isFetching}>{t('check')}</Button>
        <Button icon={Download} onPress={() => download('policy.yaml', draft.text, 'application/yaml')}>{t('download')}</Button>
      </div>
      <ErrorBox problem={check.error} />
      <div role="status">
        {asked === draft.text && check.data && (check.data.findings.length === 0 ? <Note tone="good" title={t('check.good')} /> : <Findings findings={check.data.findings} onLine={toLine} />)}
      </div>
    </Card>
  );
}

export function YamlPage() {
  const { t } = useWords();
  return (
    <>
      <PageHead title={t('nav.yaml')} lead={t('yaml.lead')} />
      <Guard>{() => <Yaml />}</Guard>
    </>
  );
}
