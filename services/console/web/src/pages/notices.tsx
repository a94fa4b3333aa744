// SPDX-License-Identifier: Apache-2.0
//
// The letters that Fumibako writes: our texts or one's own.
import { RotateCcw } from '../ui/icons';
import { useMemo, useState } from 'react';
import { useWords } from '../language';
import { mapOf, textOf, type Draft } from '../policy/draft';
import { putMap, type Item } from '../policy/document';
import { PolicyPage } from '../policy/parts';
import { Button, Choice, Select, TextField } from '../ui/controls';
import { Card, PageHead, say } from '../ui/page';

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

function Editor({ draft, mayEdit }: { draft: Draft; mayEdit: boolean }) {
  const { t, known, language: own } = useWords();
  const [notices, setNotices] = useState<Item>(() => mapOf(draft.policy.notices));
  const [kind, setKind] = useState<string>('notice');
  const [language, setLanguage] = useState<'ja' | 'en'>(own);
  const [form, setForm] = useState('text');
  const templates = mapOf(notices.templates);
  const key = `${kind}.${language}.${form}`;
  const text = textOf(templates[key]);
  const setTemplate = (v: string) => {
    const next: Item = { ...templates, [key]: v || undefined };
    setNotices({ ...notices, templates: Object.values(next).some((x) => x !== undefined) ? next : undefined });
  };
  const document = useMemo(() => (draft.text || notices !== mapOf(draft.policy.notices) ? putMap(draft.text, 'notices', notices) : ''), [draft, notices]);
  const isChanged = document !== draft.text && JSON.stringify(notices) !== JSON.stringify(mapOf(draft.policy.notices));
  const must = MUST[kind];
  const error = text && must && !new RegExp(`\\{\\{\\s*${must}\\s*\\}\\}`).test(text) ? t('notices.must', { name: `{{${must}}}` }) : undefined;
  return (
    <>
      <Card title={t('notices.all')}>
        <TextField label={t('notices.organisation')} value={textOf(notices.organisation)} isDisabled={!mayEdit} maxLength={200}
          onChange={(v) => setNotices({ ...notices, organisation: v || undefined })} />
        <Choice label={t('notices.language')} value={textOf(notices.language) || 'auto'} isDisabled={!mayEdit} onChange={(v) => setNotices({ ...notices, language: v })}
          options={[{ id: 'auto', label: t('notices.auto'), help: t('notices.auto.help') }, { id: 'ja', label: '日本語' }, { id: 'en', label: 'English' }]} />
        <TextField label={t('notices.logo')} help={t('notices.logo.help')} value={textOf(notices.logo)} isDisabled={!mayEdit} isMono maxLength={400000}
          onChange={(v) => setNotices({ ...notices, logo: v || undefined })} />
      </Card>
      <Card title={t('notices.own')}>
        <Select label={t('notices.kind')} value={kind} onChange={setKind} options={KINDS.map((k) => ({ id: k, label: known('letter', k) + (Object.keys(templates).some((x) => x.startsWith(`${k}.`)) ? ' ●' : '') }))} />
        <div className="two">
          <Choice label={t('language')} value={language} onChange={(v) => setLanguage(v as 'ja' | 'en')} options={[{ id: 'ja', label: '日本語' }, { id: 'en', label: 'English' }]} />
          <Choice label={t('notices.form')} value={form} onChange={setForm} options={[{ id: 'text', label: t('notices.text') }, { id: 'html', label: 'HTML' }]} />
        </div>
        <TextField key={key} label={t('notices.template', { key })} help={text ? undefined : t('notices.ours')} error={error} value={text} rows={10} isMono maxLength={100000}
          isDisabled={!mayEdit} onChange={setTemplate} />
        <p className="help">{t('notices.places')} {[...(PLACES[kind] ?? []), ...EVERYWHERE].map((p) => <code key={p}>{`{{${p}}}`} </code>)}</p>
        {text && mayEdit && <Button icon={RotateCcw} onPress={() => setTemplate('')}>{t('notices.back')}</Button>}
      </Card>
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
