// SPDX-License-Identifier: Apache-2.0
import { useQuery } from '@tanstack/react-query';
import { Stethoscope } from '../ui/icons';
import { useState } from 'react';
import { get, post } from '../api';
import { useWords } from '../language';
import { useSession } from '../session';
import type { Checks, System } from '../types';
import { CheckList, Meter } from '../ui/checks';
import { Button } from '../ui/controls';
import { Card, ErrorBox, Facts, Loaded, PageHead, Table, useAction } from '../ui/page';

/** Beside our own script; not written into the call, as Vite would look for the file before it is made. */
const ownScript = import.meta.url;

export function SystemPage() {
  const { t, bytes, span, number, known } = useWords();
  const { may } = useSession();
  const [checks, setChecks] = useState<Checks | null>(null);
  const [problem, run, isBusy] = useAction();
  const query = useQuery({ queryKey: ['system'], queryFn: ({ signal }) => get<System>('system', {}, signal), refetchInterval: 15000 });
  return (
    <>
      <PageHead title={t('nav.system')} lead={t('system.lead')}>
        {may('operate') && <Button kind="main" icon={Stethoscope} isPending={isBusy} onPress={() => run(async () => setChecks(await post<Checks>('system/doctor')))}>{t('doctor.run')}</Button>}
      </PageHead>
      <ErrorBox problem={problem} />
      {checks && <Card title={t('doctor')}><CheckList checks={checks} good={t('doctor.good')} bad={t('doctor.bad')} /></Card>}
      <Loaded query={query}>
        {(s) => (
          <>
            <Card title={t('system.versions')}>
              <Facts items={[['Fumibako', s.version], ['API', <a key="api" href="/api/v1/openapi.json">OpenAPI {s.openapi}</a>], [t('system.policy'), s.policy_source], [t('system.licences'), <a key="licences" href={new URL('licences.txt', ownScript).href} target="_blank" rel="noopener">{t('system.licences.link')}</a>],
                ['Redis', `${s.redis.version} · ${t('system.shards', { n: s.redis.shards })} · ${t('system.uptime', { time: span(s.redis.uptime_s * 1000) })}`]]} />
              {s.redis.max_memory > 0 ? <Meter label={t('system.memory')} value={s.redis.used_memory} max={s.redis.max_memory} text={t('storage.used.of', { used: bytes(s.redis.used_memory), quota: bytes(s.redis.max_memory) })} />
                : <p className="soft">{t('system.memory')}: {bytes(s.redis.used_memory)}</p>}
            </Card>
            <Card title={t('system.workers', { n: number(s.processes.length) })}>
              {s.processes.length === 0 ? <p className="soft">{t('system.workers.none')}</p> : (
                <Table label={t('system.workers', { n: s.processes.length })} head={[t('system.process'), t('stage'), t('system.seen')]}>
                  {s.processes.map((p) => <tr key={`${p.who} ${p.stage}`}><th scope="row" className="mono">{p.who}</th><td>{known('stage', p.stage)}</td><td>{span(p.idle_ms)}</td></tr>)}
                </Table>
              )}
            </Card>
          </>
        )}
      </Loaded>
    </>
  );
}
