// SPDX-License-Identifier: Apache-2.0
//
// What became of one message, for each recipient; recall and restore, which first say what they will do.
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { RotateCcw, Undo2 } from '../ui/icons';
import { useEffect, useRef, useState } from 'react';
import { Link } from 'wouter';
import { call, get, post, Problem } from '../api';
import { useWords } from '../language';
import { useSession } from '../session';
import type { Branch, Event, Message, RecallPreview, RecallResult, Recipient, RestoreResult } from '../types';
import { Button, Checkbox, LinkButton, TextField } from '../ui/controls';
import { Dialog } from '../ui/dialog';
import { Card, ErrorBox, Facts, Loaded, Loading, Note, PageHead, Pill, say, useAction, type Tone } from '../ui/page';
import { MessageState } from './messages';

const GRANT_TONES: Record<string, Tone> = { pending: 'warn', active: 'info', opened: 'good', downloaded: 'good', recalled: 'warn', expired: 'calm', purged: 'calm' };
const EFFECT_TONES: Record<string, Tone> = { stop: 'good', remove: 'good', plain: 'bad', nothing: 'calm' };

function TimeLine({ events, address }: { events: Event[]; address: string }) {
  const { t, time, known } = useWords();
  return (
    <ol className="timeline" aria-label={t('timeline.of', { address })}>
      {events.map((e, i) => (
        <li key={`${e.at ?? ''} ${e.what} ${i}`} className={e.what}>
          <time dateTime={e.at ?? ''}>{time(e.at)}</time>
          <span><strong>{e.by_others && `${t('timeline.others')}: `}{known('event', e.what)}</strong>
            {(e.actor || e.source) && <span className="soft"> {[known('source', e.source), e.actor].filter((w) => w && w !== known('event', e.what)).join(' · ')}</span>}
            {(e.network || e.agent) && <span className="soft small"> {[e.network, e.agent].filter(Boolean).join(' · ')}</span>}
          </span>
        </li>
      ))}
    </ol>
  );
}

function Person({ r, branch }: { r: Recipient; branch: Branch | undefined }) {
  const { t, known, language } = useWords();
  const words = r.evidence.words[language];
  return (
    <Card title={<span className="address">{r.address}</span>} className="person">
      <p className="pills">
        <Pill tone={r.state === 'refused' ? 'bad' : r.state === 'sent' ? 'good' : 'info'}>{known('recipient', r.state)}</Pill>
        {r.grant && <Pill tone={GRANT_TONES[r.grant] ?? 'calm'}>{known('grant', r.grant)}</Pill>}
        {r.is_recalled && <Pill tone="warn">{t('message.recalled')}</Pill>}
        {branch && <Pill tone={branch.kind === 'secure' ? 'good' : branch.kind === 'reject' ? 'bad' : 'calm'}>{known('action', branch.kind)}</Pill>}
      </p>
      {words && <p>{words}</p>}
      <Facts items={[
        ...(branch?.rule ? [[t('rule'), branch.rule] as [string, string]] : []),
        ...(r.previews > 0 || r.downloads > 0 ? [[t('accesses'), t('accesses.n', { previews: r.previews, downloads: r.downloads })] as [string, string]] : []),
        ...(r.two_step ? [[t('two-step'), known('two-step', r.two_step)] as [string, string]] : []),
        ...(r.fallback ? [[t('fallback'), r.fallback] as [string, string]] : []),
      ]} />
      <details className="more" open><summary>{t('timeline')}</summary><TimeLine events={r.timeline} address={r.address} /></details>
    </Card>
  );
}

function Branches({ branches }: { branches: Branch[] }) {
  const { t, known, time } = useWords();
  return (
    <Card title={t('branches')}>
      {branches.map((b) => (
        <div key={b.number} className="branch">
          <p className="pills"><Pill tone={b.kind === 'secure' ? 'good' : b.kind === 'reject' ? 'bad' : 'calm'}>{known('action', b.kind)}</Pill>
            <Pill tone={b.is_held ? 'bad' : 'info'}>{b.is_held ? t('message.held') : known('branch', b.state)}</Pill></p>
          <Facts items={[
            [t('rule'), b.rule || t('no-rule')],
            ...(b.storage ? [[t('rule.storage'), b.storage], [t('security.access'), known('access', b.access)],
              [t('expires'), b.expires ? time(b.expires) : t('never')], ...(b.purges ? [[t('purges'), time(b.purges)]] : []),
              [t('parcel'), <code key="p">{b.parcel}</code>]] as [string, React.ReactNode][] : []),
            ...(b.reason ? [[t('reason'), known('reason', b.reason)] as [string, string]] : []),
            ...(b.forced ? [[t('forced'), known('forced', b.forced)] as [string, string]] : []),
          ]} />
        </div>
      ))}
    </Card>
  );
}

/** A key for this one intention: a second click, or a try after an interrupted answer, does nothing again. */
const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, '0')).join('');

function RecallDialog({ message, onClose }: { message: Message; onClose: () => void }) {
  const { t, known } = useWords();
  const client = useQueryClient();
  const key = useRef(newKey());
  const [chosen, choose] = useState<string[]>(message.recipients.map((r) => r.address));
  const [reason, setReason] = useState('');
  const [content, setContent] = useState(false);
  const [problem, run, isBusy] = useAction();
  const isAll = chosen.length === message.recipients.length;
  const body = { ...(isAll ? {} : { recipients: chosen }), ...(content ? { content } : {}) };
  const preview = useQuery({ queryKey: ['recall', message.id, body], enabled: chosen.length > 0, retry: false, gcTime: 0,
    queryFn: () => post<RecallPreview>(`messages/${message.id}/recall`, { ...body, preview: true }) });
  // Another choice is another intention.
  useEffect(() => { key.current = newKey(); }, [chosen, content]);
  const recall = () => run(async () => {
    const result = await post<RecallResult>(`messages/${message.id}/recall`, { ...body, ...(reason ? { reason } : {}) }, { 'Idempotency-Key': key.current });
    say(result.is_unsure ? t('recall.unsure') : t('recall.done'), result.is_unsure ? 'warn' : 'good');
    await client.invalidateQueries({ queryKey: ['message', message.id] });
    onClose();
  });
  const p = preview.data;
  return (
    <Dialog title={t('recall.title')} isOpen onClose={onClose} isWide>
      <fieldset className="people">
        <legend>{t('recall.who')}</legend>
        {message.recipients.map((r) => {
          const effect = p?.recipients.find((e) => e.address === r.address);
          return (
            <div key={r.address} className="effect">
              <Checkbox isSelected={chosen.includes(r.address)} isDisabled={message.recipients.length === 1}
                onChange={(v) => choose(v ? [...chosen, r.address] : chosen.filter((a) => a !== r.address))}>{r.address}</Checkbox>
              {effect && chosen.includes(r.address) && (
                <p><Pill tone={EFFECT_TONES[effect.effect] ?? 'calm'}>{known('effect', effect.effect)}</Pill> {effect.words}</p>
              )}
            </div>
          );
        })}
      </fieldset>
      {preview.isFetching && <Loading />}
      <ErrorBox problem={preview.error} />
      <div role="status">{p && !p.can && <Note tone="warn" title={p.why_not ?? t('recall.cannot')} />}
        {p?.recipients.some((e) => e.opened) && <Note tone="warn" title={t('recall.opened')} />}</div>
      <Checkbox isSelected={content} onChange={setContent} help={t('recall.content.help')}>{t('recall.content')}</Checkbox>
      <TextField label={t('recall.reason')} value={reason} onChange={setReason} rows={2} maxLength={500} name="reason" />
      <ErrorBox problem={problem} />
      <div className="actions end">
        <Button onPress={onClose}>{t('cancel')}</Button>
        <Button kind="danger" isPending={isBusy} isDisabled={chosen.length === 0 || !p?.can} onPress={recall}>{t('recall.do')}</Button>
      </div>
    </Dialog>
  );
}

function RestoreDialog({ message, onClose }: { message: Message; onClose: () => void }) {
  const { t } = useWords();
  const client = useQueryClient();
  const [problem, run, isBusy] = useAction();
  const preview = useQuery({ queryKey: ['restore', message.id], retry: false, gcTime: 0,
    queryFn: () => post<RestoreResult>(`messages/${message.id}/restore`, { preview: true }) });
  return (
    <Dialog title={t('restore.title')} isOpen onClose={onClose} isWide>
      <p>{t('restore.text')}</p>
      <Loaded query={preview}>
        {(p) => (
          <ul className="plain">
            {p.recipients.map((r) => <li key={r.address}>{r.address} <Pill tone={r.restored ? 'good' : 'calm'}>{r.restored ? t('restore.will') : t('restore.not')}</Pill> {r.reason && <span className="soft">{r.reason}</span>}</li>)}
          </ul>
        )}
      </Loaded>
      <ErrorBox problem={problem} />
      <div className="actions end">
        <Button onPress={onClose}>{t('cancel')}</Button>
        <Button kind="main" isPending={isBusy} isDisabled={!preview.data?.recipients.some((r) => r.restored)} onPress={() => run(async () => {
          await call(`messages/${message.id}/restore`, { method: 'POST', json: {} });
          say(t('restore.done'));
          await client.invalidateQueries({ queryKey: ['message', message.id] });
          onClose();
        })}>{t('restore.do')}</Button>
      </div>
    </Dialog>
  );
}

export function MessagePage({ id }: { id: string }) {
  const { t, time, bytes, known } = useWords();
  const { may } = useSession();
  const [dialog, show] = useState<'recall' | 'restore' | null>(null);
  const query = useQuery({ queryKey: ['message', id], queryFn: ({ signal }) => get<Message>(`messages/${id}`, {}, signal), refetchInterval: 4000,
    retry: (n, e) => !(e instanceof Problem && e.status === 404) && n < 2 });
  const m = query.data;
  const isSecured = m?.branches.some((b) => b.kind === 'secure') || m?.state === 'queued' || m?.state === 'planned' || m?.state === 'held';
  return (
    <>
      <nav className="crumbs" aria-label={t('crumbs')}><Link href="/messages">{t('nav.messages')}</Link></nav>
      <PageHead title={m ? (may('see_messages') ? m.subject || t('no-subject') : t('message.n')) : t('message.n')}>
        {m && may('recall') && (
          <>
            {m.recipients.some((r) => r.is_recalled) && <Button icon={RotateCcw} onPress={() => show('restore')}>{t('restore')}</Button>}
            <Button kind="danger" icon={Undo2} isDisabled={!isSecured} onPress={() => show('recall')}>{t('recall')}</Button>
          </>
        )}
      </PageHead>
      <Loaded query={query}>
        {(message) => (
          <>
            <Card>
              <p className="pills"><MessageState state={message.state} isRecalled={message.is_recalled} /></p>
              <Facts items={[[t('sender'), message.from || '<>'], [t('accepted'), time(message.accepted)], [t('size'), bytes(message.size)], [t('id'), <code key="id">{message.id}</code>],
                ...(message.recalled_at ? [[t('message.recalled'), time(message.recalled_at)] as [string, string]] : [])]} />
              {message.state === 'held' && <Note tone="bad" title={t('held.here')}><p><LinkButton href="/held">{t('nav.held')}</LinkButton></p></Note>}
            </Card>
            {message.recalls.length > 0 && (
              <Card title={t('recalls')}>
                <ul className="plain">
                  {message.recalls.map((r) => (
                    <li key={r.id}>
                      <strong>{time(r.at)}</strong> {known('source', r.source)} {r.actor} {r.reason && <span className="soft">– {r.reason}</span>}{' '}
                      <Pill tone={r.failed ? 'bad' : r.jobs_left > 0 ? 'info' : 'good'}>{r.failed ? t('recall.failed') : r.jobs_left > 0 ? t('recall.running') : t('recall.over')}</Pill>
                      {r.failure && <p>{r.failure}</p>}
                    </li>
                  ))}
                </ul>
              </Card>
            )}
            <div className="cards">{message.recipients.map((r) => <Person key={r.index} r={r} branch={message.branches.find((b) => b.number === r.branch)} />)}</div>
            {message.branches.length > 0 && <Branches branches={message.branches} />}
          </>
        )}
      </Loaded>
      {m && dialog === 'recall' && <RecallDialog message={m} onClose={() => show(null)} />}
      {m && dialog === 'restore' && <RestoreDialog message={m} onClose={() => show(null)} />}
    </>
  );
}
