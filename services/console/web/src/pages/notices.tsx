// SPDX-License-Identifier: Apache-2.0
//
// The letters that Fumibako writes: our texts or one's own, with a preview in both languages.
import { useQuery } from '@tanstack/react-query';
import { Eye, RotateCcw } from '../ui/icons';
import { useEffect, useMemo, useRef, useState } from 'react';
import { Tab, TabList, TabPanel, Tabs } from '../ui/aria';
import { post } from '../api';
import { useWords } from '../language';
import { mapOf, textOf, type Draft } from '../policy/draft';
import { putMap, type Item } from '../policy/document';
import { PolicyPage } from '../policy/parts';
import type { Notice } from '../types';
import { Button, Choice, Select, TextField } from '../ui/controls';
import { Card, ErrorBox, Loading, PageHead, say } from '../ui/page';

const KINDS = ['notice', 'password', 'receipt', 'held', 'recalled', 'reminder', 'code'] as const;
const PREVIEWED = ['notice', 'receipt', 'held', 'recalled', 'delay'];
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

/** A letter's HTML in a frame without scripts.  Our Content-Security-Policy knows no style attributes: they become styles
 *  that are set, which it allows. */
function Frame({ html, title, language }: { html: string; title: string; language: string }) {
  const frame = useRef<HTMLIFrameElement>(null);
  const [height, setHeight] = useState(320);
  useEffect(() => {
    const inner = frame.current?.contentDocument;
    if (!inner) return;
    const letter = new DOMParser().parseFromString(html.replace(/(<[^>]*?\s)style=/gi, '$1data-look=').replace(/<style\b[\s\S]*?<\/style>/gi, (all) =>
      `<template data-sheet>${all.replace(/<\/?style[^>]*>/gi, '')}</template>`), 'text/html');
    for (const bad of letter.querySelectorAll('script, iframe, object, embed, link, meta, base, form')) bad.remove();
    const sheets = [...letter.querySelectorAll('template[data-sheet]')].map((s) => (s as HTMLTemplateElement).innerHTML.replace(/&gt;/g, '>').replace(/&amp;/g, '&'));
    inner.body.replaceChildren(...[...letter.body.childNodes].map((n) => inner.importNode(n, true)));
    for (const e of inner.querySelectorAll<HTMLElement>('*')) {
      const look = e.getAttribute('data-look');
      if (look !== null) e.style.cssText = look;
      e.removeAttribute('data-look');
      if (e instanceof inner.defaultView!.HTMLAnchorElement) e.removeAttribute('href');
    }
    const look = letter.body.getAttribute('data-look');
    if (look !== null) inner.body.style.cssText = look;
    inner.documentElement.lang = language;
    inner.documentElement.style.colorScheme = 'light';
    inner.documentElement.style.background = '#fff';
    const view = inner.defaultView as (Window & typeof globalThis) | null;
    if (view) {
      inner.adoptedStyleSheets = sheets.map((text) => {
        const sheet = new view.CSSStyleSheet();
        sheet.replaceSync(text);
        return sheet;
      });
    }
    setHeight(Math.min(1200, inner.documentElement.scrollHeight + 24));
  }, [html, language]);
  return <iframe ref={frame} title={title} sandbox="allow-same-origin" className="letter" height={height} />;
}

function Preview({ document, kind, language }: { document: string; kind: string; language: 'ja' | 'en' }) {
  const { t, known } = useWords();
  const query = useQuery({ queryKey: ['notice', kind, language, document], retry: false, staleTime: Infinity,
    queryFn: () => post<Notice>('notices/preview', { kind, language, ...(document ? { document } : {}) }) });
  if (query.isPending) return <Loading />;
  if (query.error) return <ErrorBox problem={query.error} />;
  const title = t('preview.title', { kind: known('letter', kind), language: language === 'ja' ? '日本語' : 'English' });
  return (
    <>
      <p lang={language}><strong>{t('subject')}:</strong> {query.data.subject}</p>
      {query.data.html && <Frame html={query.data.html} title={title} language={language} />}
      <details className="more"><summary>{t('preview.text')}</summary><pre lang={language} className="plain-text" tabIndex={0}>{query.data.text}</pre></details>
    </>
  );
}

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
  const [shown, show] = useState(document);
  useEffect(() => { const timer = setTimeout(() => show(document), 700); return () => clearTimeout(timer); }, [document]);
  return (
    <>
      <div className="split">
        <div>
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
        </div>
        <Card title={<><Eye size={18} aria-hidden /> {t('preview')}</>} className="sticky">
          {PREVIEWED.includes(kind) ? (
            <Tabs selectedKey={language} onSelectionChange={(k) => setLanguage(k as 'ja' | 'en')}>
              <TabList aria-label={t('language')} className="tabs"><Tab id="ja" className="tab">日本語</Tab><Tab id="en" className="tab">English</Tab></TabList>
              <TabPanel id="ja"><Preview document={shown} kind={kind} language="ja" /></TabPanel>
              <TabPanel id="en"><Preview document={shown} kind={kind} language="en" /></TabPanel>
            </Tabs>
          ) : <p className="soft">{t('preview.none')}</p>}
        </Card>
      </div>
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
