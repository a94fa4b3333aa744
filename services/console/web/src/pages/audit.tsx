// SPDX-License-Identifier: Apache-2.0
import { useInfiniteQuery } from '@tanstack/react-query';
import { Download, Search, X } from '../ui/icons';
import { useState } from 'react';
import { get, url } from '../api';
import { useWords } from '../language';
import type { AuditItem, AuditPage as Page } from '../types';
import { Button, Select, TextField } from '../ui/controls';
import { Empty, ErrorBox, Loading, PageHead, Table } from '../ui/page';

const NONE = { user: '', action: '', object: '', since: '', until: '' };
const zoned = (v: string) => (v ? new Date(v).toISOString() : '');
const AREAS = ['policy', 'message', 'dead', 'user', 'account', 'session'] as const;

function Item({ item }: { item: AuditItem }) {
  const { t, time, known } = useWords();
  const [isOpen, open] = useState(false);
  const has = (item.before !== null && item.before !== undefined) || (item.after !== null && item.after !== undefined);
  const show = (v: unknown) => (v === null || v === undefined ? '–' : typeof v === 'string' ? v : JSON.stringify(v, null, 2));
  return (
    <>
      <tr>
        <td className="when">{time(item.time)}</td>
        <td data-label={t('user')}>{item.user}<div className="soft">{known('role', item.role)}</div></td>
        <td>{known('audit', item.action)}<div className="soft mono">{item.action}</div></td>
        <td className="wrap" data-label={t('audit.object')}>{item.object}</td>
        <td data-label={t('audit.from')}>{item.address}<div className="soft">{known('by', item.by)}</div></td>
        <td>{has && <Button kind="quiet" aria-expanded={isOpen} onPress={() => open(!isOpen)}>{isOpen ? t('hide') : t('details')}</Button>}</td>
      </tr>
      {isOpen && (
        <tr className="inner"><td colSpan={6}>
          <div className="two">
            <div><p className="label">{t('audit.before')}</p><pre tabIndex={0}>{show(item.before)}</pre></div>
            <div><p className="label">{t('audit.after')}</p><pre tabIndex={0}>{show(item.after)}</pre></div>
          </div>
        </td></tr>
      )}
    </>
  );
}

export function AuditPage() {
  const { t } = useWords();
  const [form, setForm] = useState(NONE);
  const [filter, setFilter] = useState(NONE);
  const asked = { ...filter, since: zoned(filter.since), until: zoned(filter.until) };
  const query = useInfiniteQuery({
    queryKey: ['audit', filter],
    initialPageParam: '',
    queryFn: ({ pageParam, signal }) => get<Page>('audit', { ...asked, cursor: pageParam, limit: 50 }, signal),
    getNextPageParam: (page) => page.next ?? undefined,
  });
  const items = query.data?.pages.flatMap((p) => p.items) ?? [];
  const set = (f: keyof typeof NONE) => (v: string) => setForm({ ...form, [f]: v });
  return (
    <>
      <PageHead title={t('nav.audit')} lead={t('audit.lead')}>
        <a className="button plain" href={url('audit/export', { ...asked, format: 'csv' })} download><Download size={18} aria-hidden /><span>CSV</span></a>
        <a className="button plain" href={url('audit/export', { ...asked, format: 'ndjson' })} download><Download size={18} aria-hidden /><span>NDJSON</span></a>
      </PageHead>
      <search>
        <form className="filters card" onSubmit={(e) => { e.preventDefault(); setFilter(form); }}>
          <TextField label={t('user')} value={form.user} onChange={set('user')} maxLength={128} name="user" autoComplete="off" />
          <Select label={t('audit.area')} value={form.action || 'all'} onChange={(v) => setForm({ ...form, action: v === 'all' ? '' : v })}
            options={[{ id: 'all', label: t('all') }, ...AREAS.map((a) => ({ id: a, label: t(`area.${a}`) }))]} />
          <TextField label={t('audit.object')} value={form.object} onChange={set('object')} maxLength={200} name="object" autoComplete="off" />
          <TextField label={t('since')} type="datetime-local" value={form.since} onChange={set('since')} />
          <TextField label={t('until')} type="datetime-local" value={form.until} onChange={set('until')} />
          <div className="actions"><Button type="submit" kind="main" icon={Search}>{t('search')}</Button>
            {JSON.stringify(filter) !== JSON.stringify(NONE) && <Button icon={X} onPress={() => { setForm(NONE); setFilter(NONE); }}>{t('clear')}</Button>}</div>
        </form>
      </search>
      <ErrorBox problem={query.error} retry={() => void query.refetch()} />
      {query.isPending && <Loading />}
      {query.data && items.length === 0 && <Empty title={t('audit.none')} />}
      {items.length > 0 && (
        <div className="card flush">
          <Table isStacked label={t('nav.audit')} head={[t('time'), t('user'), t('audit.action'), t('audit.object'), t('audit.from'), '']}>
            {items.map((i) => <Item key={i.id} item={i} />)}
          </Table>
        </div>
      )}
      {query.hasNextPage && <p><Button isPending={query.isFetchingNextPage} onPress={() => void query.fetchNextPage()}>{t('more')}</Button></p>}
    </>
  );
}
