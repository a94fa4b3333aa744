// SPDX-License-Identifier: Apache-2.0
import { useInfiniteQuery, useQueryClient } from '@tanstack/react-query';
import { Ban, RotateCw, Send } from '../ui/icons';
import { useState } from 'react';
import { Link } from 'wouter';
import { get, post } from '../api';
import { useWords } from '../language';
import { useSession } from '../session';
import type { Dead, DeadAction, DeadPage } from '../types';
import { Button } from '../ui/controls';
import { Confirm } from '../ui/dialog';
import { Card, Empty, ErrorBox, Facts, Loading, Note, PageHead, Pill, say } from '../ui/page';

type Action = 'retry' | 'release' | 'reject';

function Held({ dead, onAct }: { dead: Dead; onAct: (action: Action) => void }) {
  const { t, time, ago, known } = useWords();
  const { may } = useSession();
  const e = dead.explained;
  const title = may('see_messages') && dead.subject ? dead.subject : dead.letter ? t('held.letter', { kind: known('letter', dead.letter) }) : t('message.n');
  return (
    <Card title={<Link href={`/messages/${dead.message}`}>{title}</Link>} actions={<Pill tone="bad">{known('stage', dead.stage)}</Pill>}>
      <p><strong>{e.what}</strong> {e.meaning}</p>
      <Facts items={[
        [t('sender'), dead.from ?? '–'],
        [t('recipients'), dead.recipients.join(t('list.comma')) || '–'],
        [t('held.since'), `${time(dead.held_at)}${dead.held_at ? ` (${ago(dead.held_at)})` : ''}`],
        [t('held.until'), time(dead.ends_at)],
        [t('held.attempts'), String(dead.attempts)],
      ]} />
      <details className="more"><summary>{t('reason')}</summary><p><code>{dead.status}</code> {dead.reason}</p></details>
      {may('operate') && (
        <div className="actions">
          <Button kind="main" icon={RotateCw} onPress={() => onAct('retry')}>{t('dead.retry')}</Button>
          <Button icon={Ban} onPress={() => onAct('reject')}>{t('dead.reject')}</Button>
          {e.can_release && <Button kind="danger" icon={Send} onPress={() => onAct('release')}>{t('dead.release')}</Button>}
        </div>
      )}
    </Card>
  );
}

export function HeldPage() {
  const { t } = useWords();
  const client = useQueryClient();
  const [asked, ask] = useState<{ dead: Dead; action: Action } | null>(null);
  const query = useInfiniteQuery({
    queryKey: ['dead'],
    initialPageParam: '',
    refetchInterval: 8000,
    queryFn: ({ pageParam, signal }) => get<DeadPage>('dead', { cursor: pageParam, limit: 25 }, signal),
    getNextPageParam: (page) => page.next ?? undefined,
  });
  const items = query.data?.pages.flatMap((p) => p.items) ?? [];
  const total = query.data?.pages[0]?.total ?? 0;
  return (
    <>
      <PageHead title={t('nav.held')} lead={t('held.lead')} />
      <ErrorBox problem={query.error} retry={() => void query.refetch()} />
      {query.isPending && <Loading />}
      {query.data && items.length === 0 && <Empty title={t('held.none')}><p>{t('held.none.text')}</p></Empty>}
      {total > 0 && <p role="status">{t('held.n', { n: total })}</p>}
      {items.map((dead) => <Held key={dead.id} dead={dead} onAct={(action) => ask({ dead, action })} />)}
      {query.hasNextPage && <p><Button isPending={query.isFetchingNextPage} onPress={() => void query.fetchNextPage()}>{t('more')}</Button></p>}
      {asked && (
        <Confirm title={t(`dead.${asked.action}`)} action={t(`dead.${asked.action}`)} isOpen onClose={() => ask(null)} isDanger={asked.action !== 'retry'} reason={t('reason.optional')}
          run={async (reason) => {
            const done = await post<DeadAction>(`dead/${asked.dead.id}/${asked.action}`, reason ? { reason } : {});
            say(done.untold ? t('dead.reject.untold', { why: done.untold }) : t(`dead.${asked.action}.done`));
            await client.invalidateQueries({ queryKey: ['dead'] });
          }}>
          {asked.action === 'release' && <Note tone="bad" title={t('dead.release.warn')} />}
          <p>{asked.dead.explained[asked.action]}</p>
        </Confirm>
      )}
    </>
  );
}
