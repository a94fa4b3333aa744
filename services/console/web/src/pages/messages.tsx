// SPDX-License-Identifier: Apache-2.0
import { useInfiniteQuery } from '@tanstack/react-query';
import { Search, X } from '../ui/icons';
import { useState } from 'react';
import { Link, useLocation, useSearchParams } from 'wouter';
import { get } from '../api';
import { useWords } from '../language';
import { useSession } from '../session';
import type { MessagePage, MessageSummary } from '../types';
import { Button, Select, TextField } from '../ui/controls';
import { Empty, ErrorBox, Loading, PageHead, Pill, Table, type Tone } from '../ui/page';

export const STATE_TONES: Record<string, Tone> = { queued: 'info', planned: 'info', held: 'bad', done: 'good', recalled: 'warn' };

export function MessageState({ state, isRecalled }: { state: string; isRecalled: boolean }) {
  const { known } = useWords();
  const shown = isRecalled ? 'recalled' : state;
  return <Pill tone={STATE_TONES[shown] ?? 'calm'}>{known('message', shown)}</Pill>;
}

function Row({ m, seesSubject }: { m: MessageSummary; seesSubject: boolean }) {
  const { t, time, known } = useWords();
  const more = m.recipient_count - m.recipients.length;
  return (
    <tr>
      <td className="when">{time(m.accepted)}</td>
      <td className="wrap">
        <Link href={`/messages/${m.id}`} className="strong">{seesSubject ? m.subject || t('no-subject') : m.id}</Link>
        <div className="soft">{m.from || '<>'}</div>
      </td>
      <td className="wrap">{m.recipients.map((r) => <div key={r.address}>{r.address}</div>)}{more > 0 && <div className="soft">{t('more.n', { n: more })}</div>}</td>
      <td>{m.kinds.map((k) => <Pill key={k} tone={k === 'secure' ? 'good' : k === 'reject' ? 'bad' : 'calm'}>{known('action', k)}</Pill>)}
        <div className="soft">{m.rules.filter(Boolean).join(t('list.comma'))}</div></td>
      <td><MessageState state={m.state} isRecalled={m.is_recalled} />{m.opened_count > 0 && <div className="soft">{t('opened.n', { n: m.opened_count })}</div>}</td>
    </tr>
  );
}

const FIELDS = ['sender', 'recipient', 'subject', 'state', 'since', 'until'] as const;
type Filter = Record<(typeof FIELDS)[number], string>;

/** The browser's own time becomes one with its zone. */
const zoned = (v: string) => (v ? new Date(v).toISOString() : '');

export function MessagesPage() {
  const { t, time } = useWords();
  const { may } = useSession();
  const [, go] = useLocation();
  const [search] = useSearchParams();
  const filter = Object.fromEntries(FIELDS.map((f) => [f, search.get(f) ?? ''])) as Filter;
  const [form, setForm] = useState<Filter>(filter);
  const seesSubject = may('see_messages');
  const isFiltered = FIELDS.some((f) => filter[f]);
  const query = useInfiniteQuery({
    queryKey: ['messages', filter],
    initialPageParam: '',
    refetchInterval: 15000,
    queryFn: ({ pageParam, signal }) => get<MessagePage>('messages', { ...filter, since: zoned(filter.since), until: zoned(filter.until), cursor: pageParam, limit: 50 }, signal),
    getNextPageParam: (page) => page.next ?? undefined,
  });
  const items = query.data?.pages.flatMap((p) => p.items) ?? [];
  const searchedTo = query.data?.pages.at(-1)?.searched_to ?? null;
  const apply = (next: Filter) => {
    const params = new URLSearchParams(Object.entries(next).filter(([, v]) => v));
    go(`/messages${params.size > 0 ? `?${params.toString()}` : ''}`);
  };
  const set = (f: keyof Filter) => (v: string) => setForm({ ...form, [f]: v });
  return (
    <>
      <PageHead title={t('nav.messages')} lead={seesSubject ? t('messages.lead') : t('messages.lead.helpdesk')} />
      <search>
        <form className="filters card" onSubmit={(e) => { e.preventDefault(); apply(form); }}>
          <TextField label={t('sender')} value={form.sender} onChange={set('sender')} placeholder="taro@example.jp" maxLength={320} name="sender" autoComplete="off" />
          <TextField label={t('recipient')} value={form.recipient} onChange={set('recipient')} placeholder="hanako@partner.example.com" maxLength={320} name="recipient" autoComplete="off" />
          {seesSubject && <TextField label={t('subject.contains')} value={form.subject} onChange={set('subject')} maxLength={200} name="subject" autoComplete="off" />}
          <Select label={t('state')} value={form.state || 'all'} onChange={(v) => setForm({ ...form, state: v === 'all' ? '' : v })}
            options={[{ id: 'all', label: t('all') }, ...(['queued', 'planned', 'done', 'held', 'recalled', 'pending'] as const).map((s) => ({ id: s, label: t(`message.${s}`) }))]} />
          <TextField label={t('since')} type="datetime-local" value={form.since} onChange={set('since')} name="since" />
          <TextField label={t('until')} type="datetime-local" value={form.until} onChange={set('until')} name="until" />
          <div className="actions">
            <Button type="submit" kind="main" icon={Search}>{t('search')}</Button>
            {isFiltered && <Button icon={X} onPress={() => { const none = Object.fromEntries(FIELDS.map((f) => [f, ''])) as Filter; setForm(none); apply(none); }}>{t('clear')}</Button>}
          </div>
        </form>
      </search>
      <ErrorBox problem={query.error} retry={() => void query.refetch()} />
      {query.isPending && <Loading />}
      <p role="status" className="unseen">{query.data ? t('found.n', { n: items.length }) : ''}</p>
      {query.data && items.length === 0 && !query.hasNextPage && <Empty title={isFiltered ? t('messages.none.filter') : t('messages.none')} />}
      {items.length > 0 && (
        <div className="card flush">
          <Table isStacked label={t('nav.messages')} head={[t('accepted'), seesSubject ? t('subject') : t('id'), t('recipients'), t('treatment'), t('state')]}>
            {items.map((m) => <Row key={m.id} m={m} seesSubject={seesSubject} />)}
          </Table>
        </div>
      )}
      {searchedTo && <p className="help">{t('searched.to', { time: time(searchedTo) })}</p>}
      {query.hasNextPage && <p className="actions"><Button isPending={query.isFetchingNextPage} onPress={() => void query.fetchNextPage()}>{searchedTo ? t('search.on') : t('more')}</Button></p>}
    </>
  );
}
