// SPDX-License-Identifier: Apache-2.0
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { ToggleButton, ToggleButtonGroup } from '../ui/aria';
import { Link } from 'wouter';
import { get } from '../api';
import { useWords } from '../language';
import type { Alarm, Overview, Series, Stage } from '../types';
import { Chart } from '../ui/chart';
import { Card, ErrorBox, Loaded, Note, PageHead, Pill, Table } from '../ui/page';

export function Alarms({ alarms }: { alarms: Alarm[] }) {
  const { known, ago } = useWords();
  return (
    <>
      {alarms.map((a) => (
        <Note key={`${a.kind} ${a.cause} ${a.who}`} tone="bad" title={`${known('alarm', a.kind)}${a.cause ? ` (${a.cause})` : ''}`}>
          <p>{a.text} <span className="soft">{a.since && ago(a.since)} · {a.who}</span></p>
        </Note>
      ))}
    </>
  );
}

function Stages({ stages }: { stages: Stage[] }) {
  const { t, known, number, span } = useWords();
  return (
    <Table isStacked label={t('queues')} head={[t('stage'), t('queue.waiting'), t('queue.inflight'), t('queue.delayed'), t('queue.held'), t('queue.oldest')]}>
      {stages.map((s) => (
        <tr key={s.stage}>
          <th scope="row">{known('stage', s.stage)}</th>
          <td className="n" data-label={t('queue.waiting')}>{number(s.waiting)}{s.bulk > 0 && <span className="soft"> {t('queue.bulk', { n: s.bulk })}</span>}</td>
          <td className="n" data-label={t('queue.inflight')}>{number(s.inflight)}</td>
          <td className="n" data-label={t('queue.delayed')}>{number(s.delayed)}{s.newer > 0 && <> <Pill tone="warn">{t('queue.newer', { n: s.newer })}</Pill></>}</td>
          <td className="n" data-label={t('queue.held')}>{s.dead > 0 ? <Link href="/held"><Pill tone="bad">{number(s.dead)}</Pill></Link> : number(0)}</td>
          <td className="n" data-label={t('queue.oldest')}>{s.oldest_age_ms > 0 ? <Pill tone={s.oldest_age_ms > 900e3 ? 'bad' : s.oldest_age_ms > 60e3 ? 'warn' : 'calm'}>{span(s.oldest_age_ms)}</Pill> : '–'}</td>
        </tr>
      ))}
    </Table>
  );
}

const RANGES = ['hour', 'day', 'week', 'month'] as const;

function Charts() {
  const { t, number, span } = useWords();
  const [range, setRange] = useState<string>('day');
  const query = useQuery({ queryKey: ['series', range], queryFn: ({ signal }) => get<Series>('overview/series', { range }, signal), refetchInterval: 15000,
    placeholderData: (old) => old });
  return (
    <Card title={t('charts')} actions={(
      <ToggleButtonGroup aria-label={t('charts.range')} selectionMode="single" disallowEmptySelection selectedKeys={[range]} className="toggles"
        onSelectionChange={(keys) => setRange(String([...keys][0]))}>
        {RANGES.map((r) => <ToggleButton key={r} id={r} className="toggle">{t(`range.${r}`)}</ToggleButton>)}
      </ToggleButtonGroup>
    )}>
      <Loaded query={query}>
        {(s) => (
          <div className="charts">
            <Chart label={t('chart.throughput')} least={4} times={s.times} format={(v) => number(v, v < 10 ? 1 : 0)} lines={[
              { label: t('count.accepted'), colour: 1, values: s.accepted }, { label: t('count.sent'), colour: 2, values: s.sent },
              { label: t('count.held'), colour: 3, values: s.held },
            ]} />
            <Chart label={t('chart.latency')} least={4000} times={s.times} format={(v) => span(v)} lines={[{ label: t('chart.latency.line'), colour: 4, values: s.latency_ms }]} />
          </div>
        )}
      </Loaded>
    </Card>
  );
}

export function OverviewPage() {
  const { t, number, time } = useWords();
  const offset = -new Date().getTimezoneOffset();
  const query = useQuery({ queryKey: ['overview', offset], queryFn: ({ signal }) => get<Overview>('overview', { offset: offset === 0 ? undefined : offset }, signal),
    refetchInterval: 3000 });
  const data = query.data;
  return (
    <>
      <PageHead title={t('nav.overview')} lead={data?.policy ? t('overview.policy', { n: data.policy.number, time: time(data.policy.at), author: data.policy.author || '–' }) : undefined} />
      {query.error && data && <ErrorBox problem={query.error} />}
      <Loaded query={query}>
        {(o) => (
          <>
            {!o.policy && <Note tone="warn" title={t('overview.no-policy')}><p>{t('overview.no-policy.text')} <Link href="/policy/rules">{t('nav.rules')}</Link></p></Note>}
            <Alarms alarms={o.alarms} />
            <h2 className="unseen">{t('today')}</h2>
            <dl className="numbers">
              {([['accepted', o.today.accepted], ['secured', o.today.secured], ['opened', o.today.opened], ['recalled', o.today.recalled], ['held', o.held_now]] as const).map(([k, v]) => (
                <div key={k} className={`number ${k === 'held' && v > 0 ? 'bad' : ''}`}>
                  <dt>{k === 'held' ? t('count.held-now') : t(`count.${k}`)}</dt>
                  <dd>{k === 'held' && v > 0 ? <Link href="/held">{number(v)}</Link> : number(v)}</dd>
                </div>
              ))}
            </dl>
            <Card title={t('queues')}>
              <Stages stages={o.stages} />
              {o.due > 0 && <p className="help">{t('queue.due', { n: o.due })}</p>}
            </Card>
          </>
        )}
      </Loaded>
      <Charts />
    </>
  );
}
