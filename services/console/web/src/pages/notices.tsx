// SPDX-License-Identifier: Apache-2.0
//
// The letters that Fumibako writes: our texts or one's own.
import { FileUp, RotateCcw, Trash2 } from '../ui/icons';
import { FileTrigger } from '../ui/aria';
import { useEffect, useMemo, useState } from 'react';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { call } from '../api';
import { useWords } from '../language';
import { itemsOf, mapOf, textOf, type Draft } from '../policy/draft';
import { putMap, type Item } from '../policy/document';
import { PolicyPage } from '../policy/parts';
import { Button, Choice, Select, TextField } from '../ui/controls';
import { HtmlFrame } from '../ui/mail_preview';
import { Card, ErrorBox, Loading, PageHead, say } from '../ui/page';
import type { NoticesPreview } from '../types';

const KINDS = ['notice', 'password', 'receipt', 'held', 'recalled', 'reminder', 'code'] as const;
const PLACES: Record<string, string[]> = {
  notice: ['link', 'files', 'file_count', 'size', 'expires', 'download', 'recipients', 'proof', 'storage'],
  password: ['password', 'link', 'expires'],
  receipt: ['recipients', 'pending', 'account_help', 'files', 'file_count', 'size', 'access', 'download', 'expires', 'rule', 'security', 'storage', 'recall_link', 'recall_help', 'postmaster', 'password'],
  held: ['recipients', 'reason', 'next', 'until', 'postmaster'],
  recalled: ['result', 'recipients', 'opened', 'unopened', 'recalled_at', 'actor', 'reason', 'recall_link', 'recall_help', 'postmaster'],
  reminder: ['recipients', 'pending', 'account_help', 'since', 'days', 'log', 'expires', 'recall_link', 'recall_help', 'postmaster'],
  code: ['code', 'valid_minutes', 'postmaster'],
};
const EVERYWHERE = ['organisation', 'logo', 'subject', 'sender', 'recipient', 'date', 'msg_id'];
const MUST: Record<string, string> = { notice: 'link', password: 'password', code: 'code' };

const LOGO_MOST = 256 * 1024;
const LOGO_TYPES = ['image/png', 'image/jpeg', 'image/gif'];

/** A file that is chosen here becomes part of the policy, so that every server has it. */
function Logo({ value, onChange, mayEdit }: { value: string; onChange: (value: string | undefined) => void; mayEdit: boolean }) {
  const { t } = useWords();
  const [problem, tell] = useState<string | null>(null);
  const take = (file: File | undefined) => {
    if (!file) return;
    if (file.size > LOGO_MOST || !LOGO_TYPES.includes(file.type)) { tell(t('notices.logo.wrong')); return; }
    const reader = new FileReader();
    reader.onload = () => { tell(null); onChange(String(reader.result)); };
    reader.onerror = () => tell(t('notices.logo.wrong'));
    reader.readAsDataURL(file);
  };
  return (
    <>
      {value.startsWith('data:')
        ? <div className="logo"><span className="label">{t('notices.logo')}</span><img src={value} alt={t('notices.logo')} /></div>
        : <TextField label={t('notices.logo')} help={t('notices.logo.help')} value={value} isDisabled={!mayEdit} isMono maxLength={400000} onChange={(v) => onChange(v || undefined)} />}
      <ErrorBox problem={problem} />
      {mayEdit && (
        <div className="actions">
          <FileTrigger acceptedFileTypes={LOGO_TYPES} onSelect={(files) => take(files?.[0])}><Button icon={FileUp}>{t('notices.logo.choose')}</Button></FileTrigger>
          {value.startsWith('data:') && <Button kind="quiet" icon={Trash2} onPress={() => onChange(undefined)}>{t('remove')}</Button>}
        </div>
      )}
    </>
  );
}

/** A value, once it has stood still for a moment. */
function useSettled<T>(value: T): T {
  const [settled, settle] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => settle(value), 400);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}

/** What the console makes of it now, in both languages. */
function Preview({ document, kind, form, rules }: { document: string; kind: string; form: string; rules: string[] }) {
  const { t, known } = useWords();
  const [rule, setRule] = useState('');
  const settled = useSettled(document);
  const asked = rules.includes(rule) ? rule : '';
  const query = useQuery({
    queryKey: ['notices-preview', kind, asked, settled],
    queryFn: ({ signal }) => call<NoticesPreview>('policy/notices/preview', { method: 'POST', signal, json: { document: settled, kind, ...(asked ? { rule: asked } : {}) } }),
    placeholderData: keepPreviousData, retry: false, staleTime: 60000, gcTime: 60000, refetchOnWindowFocus: false,
  });
  const isLate = settled !== document || query.isFetching;
  const items = query.data?.items.filter((i) => i.kind === kind) ?? [];
  return (
    <Card title={t('preview')} className="preview">
      <p className="help">{t('preview.help')}{query.data?.logo === 'file' && <> {t('preview.logo')}</>}</p>
      {rules.length > 1 && (
        <Select label={t('preview.rule')} value={asked || rules[0]!} onChange={setRule} options={rules.map((r) => ({ id: r, label: r }))} />
      )}
      <ErrorBox problem={query.error} />
      {query.isPending && <Loading />}
      <div className="mails" aria-busy={isLate}>
        {items.map((m) => (
          <section key={m.language} className="mail" lang={m.language} aria-label={`${known('letter', kind)}, ${m.language === 'ja' ? '日本語' : 'English'}`}>
            <h3>{m.language === 'ja' ? '日本語' : 'English'}</h3>
            <p className="mail-subject"><span className="soft">{t('subject')}</span> <strong>{m.subject}</strong></p>
            {form === 'html' ? <HtmlFrame html={m.html} title={`${t('preview')}: ${m.subject}`} /> : <pre className="mail-text" tabIndex={0}>{m.text}</pre>}
          </section>
        ))}
      </div>
    </Card>
  );
}

function Editor({ draft, mayEdit }: { draft: Draft; mayEdit: boolean }) {
  const { t, known, language: own } = useWords();
  const [notices, setNotices] = useState<Item>(() => mapOf(draft.policy.notices));
  const [kind, setKind] = useState<string>('notice');
  const [language, setLanguage] = useState<'ja' | 'en'>(own);
  const [form, setForm] = useState('html');
  const templates = mapOf(notices.templates);
  const key = `${kind}.${language}.${form}`;
  const text = textOf(templates[key]);
  const setTemplate = (v: string) => {
    const next: Item = { ...templates, [key]: v || undefined };
    setNotices({ ...notices, templates: Object.values(next).some((x) => x !== undefined) ? next : undefined });
  };
  const document = useMemo(() => (draft.text || notices !== mapOf(draft.policy.notices) ? putMap(draft.text, 'notices', notices) : ''), [draft, notices]);
  const isChanged = document !== draft.text && JSON.stringify(notices) !== JSON.stringify(mapOf(draft.policy.notices));
  // What is tried may have no rules yet: a policy needs the word at least.
  const tried = useMemo(() => { const text = document || draft.text; return 'rules' in draft.policy ? text : `${text}${text && !text.endsWith('\n') ? '\n' : ''}rules: []\n`; }, [document, draft]);
  const rules = itemsOf(draft.policy, 'rules').filter((r) => (textOf(r.action) || 'secure') === 'secure').map((r) => textOf(r.name));
  const must = MUST[kind];
  const error = text && must && !new RegExp(`\\{\\{\\s*${must}\\s*\\}\\}`).test(text) ? t('notices.must', { name: `{{${must}}}` }) : undefined;
  return (
    <>
      <Card title={t('notices.all')}>
        <TextField label={t('notices.organisation')} value={textOf(notices.organisation)} isDisabled={!mayEdit} maxLength={200}
          onChange={(v) => setNotices({ ...notices, organisation: v || undefined })} />
        <Choice label={t('notices.language')} value={textOf(notices.language) || 'auto'} isDisabled={!mayEdit} onChange={(v) => setNotices({ ...notices, language: v })}
          options={[{ id: 'auto', label: t('notices.auto'), help: t('notices.auto.help') }, { id: 'ja', label: '日本語' }, { id: 'en', label: 'English' }]} />
        <Logo value={textOf(notices.logo)} mayEdit={mayEdit} onChange={(logo) => setNotices({ ...notices, logo })} />
      </Card>
      <Card title={t('notices.own')}>
        <Select label={t('notices.kind')} value={kind} onChange={setKind} options={KINDS.map((k) => ({ id: k, label: known('letter', k) + (Object.keys(templates).some((x) => x.startsWith(`${k}.`)) ? ' ●' : '') }))} />
        <div className="two">
          <Choice label={t('language')} value={language} onChange={(v) => setLanguage(v as 'ja' | 'en')} options={[{ id: 'ja', label: '日本語' }, { id: 'en', label: 'English' }]} />
          <Choice label={t('notices.form')} value={form} onChange={setForm} options={[{ id: 'html', label: 'HTML' }, { id: 'text', label: t('notices.text') }]} />
        </div>
        <TextField key={key} label={t('notices.template', { key })} help={text ? undefined : t('notices.ours')} error={error} value={text} rows={10} isMono maxLength={100000}
          isDisabled={!mayEdit} onChange={setTemplate} />
        <p className="help">{t('notices.places')} {[...(PLACES[kind] ?? []), ...EVERYWHERE].map((p) => <code key={p}>{`{{${p}}}`} </code>)}</p>
        {text && mayEdit && <Button icon={RotateCcw} onPress={() => setTemplate('')}>{t('notices.back')}</Button>}
      </Card>
      <Preview document={tried} kind={kind} form={form} rules={rules} />
      {mayEdit && (
        <div className="actions foot">
          <Button isDisabled={!isChanged} onPress={() => setNotices(mapOf(draft.policy.notices))}>{t('undo')}</Button>
          <Button kind="main" isDisabled={!isChanged || Boolean(error)} onPress={() => { draft.setText(document); say(t('draft.taken', { name: t('nav.notices') })); }}>{t('draft.take')}</Button>
        </div>
      )}
    </>
  );
}

export function NoticesPage() {
  const { t } = useWords();
  return (
    <>
      <PageHead title={t('nav.notices')} lead={t('notices.lead')} />
      <PolicyPage>{(draft, mayEdit) => <Editor key={draft.isDirty ? 'draft' : draft.base.etag ?? ''} draft={draft} mayEdit={mayEdit} />}</PolicyPage>
    </>
  );
}
