// SPDX-License-Identifier: Apache-2.0
//
// From a draft to the version in force: check, what changes, what it would have done, save with a comment.  Where somebody
// else was faster, both changes are shown and put together.
import { useQuery } from '@tanstack/react-query';
import { Download, FlaskConical, RotateCw, Save } from '../ui/icons';
import { useEffect, useRef, useState } from 'react';
import { useLocation } from 'wouter';
import { post, Problem } from '../api';
import { useWords } from '../language';
import { useSession } from '../session';
import { DiffOf } from '../policy/diff';
import type { Draft } from '../policy/draft';
import { PolicyPage } from '../policy/parts';
import type { DryRun, Finding, Outcome, PolicyCheck } from '../types';
import { Button, LinkButton, TextField } from '../ui/controls';
import { Card, download, Empty, ErrorBox, Loading, Note, PageHead, Pill, say, Table, useAction, type Tone } from '../ui/page';

export function Findings({ findings, onLine }: { findings: Finding[]; onLine?: (line: number) => void }) {
  const { t } = useWords();
  return (
    <ul className="findings">
      {findings.map((f, i) => (
        <li key={i} className={f.severity}>
          <Pill tone={f.severity === 'error' ? 'bad' : 'warn'}>{t(`finding.${f.severity}`)}</Pill>
          {f.line > 0 && (onLine ? <Button kind="quiet" onPress={() => onLine(f.line)}>{t('line', { n: f.line })}</Button> : <span className="soft">{t('line', { n: f.line })}</span>)}
          <span>{f.text}</span>
        </li>
      ))}
    </ul>
  );
}

export function useCheck(document: string, isOn: boolean) {
  return useQuery({ queryKey: ['check', document], enabled: isOn, staleTime: Infinity, retry: false,
    queryFn: () => post<PolicyCheck>('policy/check', { document }) });
}

function OutcomeWords({ outcome }: { outcome: Outcome }) {
  const { known, t } = useWords();
  const tone: Tone = outcome.action === 'secure' ? 'good' : outcome.action === 'reject' ? 'bad' : 'calm';
  return <><Pill tone={tone}>{known('action', outcome.action)}</Pill> <span className="soft">{outcome.rule ?? t('no-rule')}</span></>;
}

function DryRunCard({ document }: { document: string }) {
  const { t, time, number } = useWords();
  const { may } = useSession();
  const [result, setResult] = useState<{ document: string; data: DryRun } | null>(null);
  const [problem, run, isBusy] = useAction();
  const data = result?.document === document ? result.data : null;
  return (
    <Card title={t('dry.title')} actions={(
      <Button icon={FlaskConical} isPending={isBusy} onPress={() => run(async () => setResult({ document, data: await post<DryRun>('policy/dry-run', { document, limit: 1000 }) }))}>
        {t('dry.run')}
      </Button>
    )}>
      <p className="help">{t('dry.help')}</p>
      <ErrorBox problem={problem} />
      <div role="status">
        {data && (
          <p><strong>{data.changed === 0 && data.unknown > 0 ? t('dry.known.same', { messages: data.messages, same: data.same }) : data.changed === 0 ? t('dry.same', { messages: data.messages }) : t('dry.changed', { messages: data.messages, recipients: data.recipients, changed: data.changed })}</strong>
            {data.unknown > 0 && <> {t('dry.unknown', { n: number(data.unknown) })}</>}</p>
        )}
      </div>
      {data && data.changes.length > 0 && (
        <Table label={t('dry.title')} head={[t('dry.before'), t('dry.after'), t('dry.count')]}>
          {data.changes.map((c, i) => <tr key={i}><td><OutcomeWords outcome={c.before} /></td><td><OutcomeWords outcome={c.after} /></td><td className="n">{number(c.count)}</td></tr>)}
        </Table>
      )}
      {data && data.unknown_rules.length > 0 && (
        <Table label={t('dry.unknown.rule')} head={[t('dry.unknown.rule'), t('dry.count')]}>
          {data.unknown_rules.map((u) => <tr key={u.rule}><th scope="row">{u.rule}</th><td className="n">{number(u.count)}</td></tr>)}
        </Table>
      )}
      {data && data.items.length > 0 && (
        <details className="more">
          <summary>{t('dry.items')}</summary>
          <Table label={t('dry.items')} head={[t('time'), t('sender'), t('recipient'), ...(may('see_messages') ? [t('subject')] : []), t('dry.before'), t('dry.after')]}>
            {data.items.map((item) => (
              <tr key={`${item.message} ${item.address}`}>
                <td>{time(item.accepted)}</td><td>{item.from}</td><td>{item.address}</td>{may('see_messages') && <td>{item.subject ?? '–'}</td>}
                <td><OutcomeWords outcome={item.before} /></td><td><OutcomeWords outcome={item.after} /></td>
              </tr>
            ))}
          </Table>
        </details>
      )}
    </Card>
  );
}

/** Somebody else's version is in force since: theirs and ours. */
function Conflict({ draft }: { draft: Draft }) {
  const { t, time } = useWords();
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => { place.current?.focus(); }, []);
  const server = draft.server;
  if (!server) return null;
  const merged = draft.merged();
  return (
    <Card className="conflict" title={<span ref={place} tabIndex={-1}>{t('conflict.title')}</span>}>
      <p>{t('conflict.text', { author: server.author || '–', time: time(server.at), number: server.number, comment: server.comment || '–' })}</p>
      <p><strong>{t('conflict.kept')}</strong></p>
      <h3>{t('conflict.theirs')}</h3>
      <DiffOf before={draft.base.document} after={server.document} label={t('conflict.theirs')} />
      <h3>{t('conflict.mine')}</h3>
      <DiffOf before={draft.base.document} after={draft.text} label={t('conflict.mine')} />
      {merged === null ? <Note tone="warn" title={t('conflict.overlap')}><p>{t('conflict.overlap.text')}</p></Note> : <Note tone="good" title={t('conflict.clean')} />}
      <div className="actions">
        {merged !== null && <Button kind="main" onPress={() => { draft.rebase(merged); say(t('conflict.merged')); }}>{t('conflict.merge')}</Button>}
        <Button icon={Download} onPress={() => download('policy-draft.yaml', draft.text, 'application/yaml')}>{t('conflict.download')}</Button>
        {merged === null && <Button onPress={() => { download('policy-draft.yaml', draft.text, 'application/yaml'); draft.rebase(server.document); }}>{t('conflict.begin')}</Button>}
      </div>
    </Card>
  );
}

function Review({ draft, mayEdit }: { draft: Draft; mayEdit: boolean }) {
  const { t } = useWords();
  const [, go] = useLocation();
  const [comment, setComment] = useState('');
  const [problem, run, isBusy] = useAction();
  const check = useCheck(draft.text, draft.isDirty);
  if (!draft.isDirty) return <Empty title={t('review.none')}><p><LinkButton href="/policy/rules">{t('nav.rules')}</LinkButton></p></Empty>;
  const errors = check.data?.findings.filter((f) => f.severity === 'error').length ?? 0;
  const save = () => run(async () => {
    try {
      const saved = await draft.save(comment);
      say(t('saved', { n: saved.number }));
      go('/policy/versions');
    } catch (e) {
      // Another version is in force: it is fetched, and shown beside the draft, which stays.
      if (e instanceof Problem && (e.status === 412 || e.status === 409)) await draft.refetch();
      throw e;
    }
  });
  return (
    <>
      {draft.isBehind && <Conflict draft={draft} />}
      <Card title={t('review.check')} actions={<Button kind="quiet" icon={RotateCw} onPress={() => void check.refetch()}>{t('again')}</Button>}>
        <div role="status">
          {check.isFetching ? <Loading /> : check.data && (check.data.findings.length === 0 ? <Note tone="good" title={t('check.good')} />
            : <Note tone={errors > 0 ? 'bad' : 'warn'} title={errors > 0 ? t('check.errors', { n: errors }) : t('check.warnings')} />)}
        </div>
        <ErrorBox problem={check.error} />
        {check.data && <Findings findings={check.data.findings} />}
        {errors > 0 && <p><LinkButton href="/policy/yaml">{t('nav.yaml')}</LinkButton></p>}
      </Card>
      <Card title={t('review.diff')}>
        <DiffOf before={draft.base.document} after={draft.text} label={t('review.diff')} />
      </Card>
      <DryRunCard document={draft.text} />
      <Card title={t('review.save')}>
        <form onSubmit={(e) => { e.preventDefault(); void save(); }}>
          <TextField label={t('comment')} help={t('comment.help')} value={comment} onChange={setComment} maxLength={500} name="comment" />
          <ErrorBox problem={problem} />
          <div className="actions">
            <Button type="submit" kind="main" icon={Save} isPending={isBusy} isDisabled={!mayEdit && draft.isBroken === null ? true : errors > 0 || check.isPending || draft.isBehind}>{t('activate')}</Button>
            {draft.isBehind && <p className="help">{t('conflict.first')}</p>}
            {errors > 0 && <p className="help">{t('check.first')}</p>}
          </div>
        </form>
      </Card>
    </>
  );
}

export function ReviewPage() {
  const { t } = useWords();
  return (
    <>
      <PageHead title={t('review.title')} lead={t('review.lead')} />
      <PolicyPage>{(draft, mayEdit) => <Review draft={draft} mayEdit={mayEdit} />}</PolicyPage>
    </>
  );
}

