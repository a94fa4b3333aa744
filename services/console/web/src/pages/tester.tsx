// SPDX-License-Identifier: Apache-2.0
//
// Which rule takes each recipient of a mail, and why: with a mail that is pasted, chosen or dropped here.
import { FileUp, FlaskConical } from '../ui/icons';
import { useEffect, useRef, useState } from 'react';
import { DropZone, FileTrigger, isFileDropItem } from '../ui/aria';
import { post } from '../api';
import { useWords } from '../language';
import { useDraft } from '../policy/draft';
import type { Tested, TestResult } from '../types';
import { Button, Choice, TextField, Texts } from '../ui/controls';
import { Card, ErrorBox, Facts, Note, PageHead, Pill, useAction, type Tone } from '../ui/page';

const MOST = 30 << 20;

function base64(bytes: Uint8Array): string {
  let out = '';
  for (let i = 0; i < bytes.length; i += 0x8000) out += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  return btoa(out);
}

/** The addresses of a header field, as far as they are plain. */
function addresses(mail: string, field: string): string[] {
  const head = mail.slice(0, 65536).replace(/\r\n/g, '\n').split('\n\n')[0]!.replace(/\n[ \t]+/g, ' ');
  const value = head.split('\n').filter((l) => l.toLowerCase().startsWith(`${field}:`)).map((l) => l.slice(field.length + 1)).join(',');
  return [...new Set(value.match(/[^\s<>,;"()]+@[^\s<>,;"()]+/g) ?? [])];
}

function Recipient({ tested }: { tested: Tested }) {
  const { t, known } = useWords();
  const tone: Tone = tested.action === 'secure' ? 'good' : tested.action === 'reject' ? 'bad' : 'calm';
  const why = [tested.rule ? t('test.by', { rule: tested.rule }) : '', tested.reason === 'rule' ? '' : known('reason', tested.reason)].filter(Boolean).join(' ');
  return (
    <Card title={<>{tested.address} <Pill tone={tone}>{known('action', tested.action)}</Pill></>}>
      <p>{why}{tested.action === 'secure' && tested.storage ? ` ${t('rule.where', { storage: tested.storage, security: tested.security ?? '' })}` : ''}</p>
      {tested.shadow && <Note tone="info" title={t('test.shadow', { rule: tested.shadow })} />}
      {tested.rules.length > 0 && (
        <ol className="explain">
          {tested.rules.map((r) => (
            <li key={r.rule} className={r.matches ? 'yes' : 'no'}>
              <span className="sign" aria-hidden>{r.matches ? '✓' : '✕'}</span>
              <div><strong>{r.rule}</strong> <span className="soft">{r.matches ? t('test.matches') : t('test.not')}{r.shadow ? ` · ${t('shadow')}` : ''}</span>
                {r.reasons.map((reason, i) => <p key={`${reason.condition} ${i}`}>{reason.text}</p>)}</div>
            </li>
          ))}
        </ol>
      )}
    </Card>
  );
}

export function TesterPage() {
  const { t, bytes, language } = useWords();
  const draft = useDraft();
  const [mail, setMail] = useState('');
  const [file, setFile] = useState<{ name: string; bytes: Uint8Array } | null>(null);
  const [from, setFrom] = useState('');
  const [to, setTo] = useState<string[]>([]);
  const [which, setWhich] = useState('draft');
  const [result, setResult] = useState<TestResult | null>(null);
  const asked = useRef<{ question: object; language: string } | null>(null);
  const [problem, run, isBusy] = useAction();
  const fill = (text: string) => {
    if (!from) setFrom(addresses(text, 'from')[0] ?? '');
    if (to.length === 0) setTo([...addresses(text, 'to'), ...addresses(text, 'cc')].slice(0, 100));
  };
  const take = (chosen: File | null | undefined) => run(async () => {
    if (!chosen) return;
    if (chosen.size > MOST) throw new Error(t('test.large', { size: bytes(MOST) }));
    const content = new Uint8Array(await chosen.arrayBuffer());
    setFile({ name: chosen.name, bytes: content });
    fill(new TextDecoder('utf-8').decode(content.subarray(0, 65536)));
  });
  const isDraft = draft.isDirty && which === 'draft';
  const start = () => run(async () => {
    setResult(null);
    const content = file?.bytes ?? new TextEncoder().encode(mail);
    if (content.length === 0 || to.length === 0) throw new Error(t('test.missing'));
    const question = { mail: base64(content), from, to, ...(isDraft ? { document: draft.text } : {}) };
    asked.current = { question, language };
    setResult(await post<TestResult>('policy/test', question));
  });
  // The reasons are words of the server: in another language they are asked for again.
  useEffect(() => {
    const last = asked.current;
    if (!last || last.language === language) return;
    asked.current = { ...last, language };
    void run(async () => { setResult(await post<TestResult>('policy/test', last.question)); });
  }, [language, run]);
  return (
    <>
      <PageHead title={t('nav.tester')} lead={t('test.lead')} />
      <div className="split">
        <Card title={t('test.mail')}>
          <DropZone className="drop" getDropOperation={() => 'copy'}
            onDrop={(e) => { const item = e.items.find(isFileDropItem); void item?.getFile().then(take); }}>
            <FileUp size={22} aria-hidden />
            <p>{file ? t('test.file', { name: file.name, size: bytes(file.bytes.length) }) : t('test.drop')}</p>
            <FileTrigger acceptedFileTypes={['.eml', 'message/rfc822']} onSelect={(files) => void take(files?.[0])}><Button>{t('test.choose')}</Button></FileTrigger>
            {file && <Button kind="quiet" onPress={() => setFile(null)}>{t('remove')}</Button>}
          </DropZone>
          {!file && <TextField label={t('test.paste')} value={mail} rows={9} isMono maxLength={MOST} onChange={(v) => { setMail(v); if (v.length > 40) fill(v); }} name="mail" />}
          <TextField label={t('test.from')} help={t('test.from.help')} value={from} onChange={setFrom} maxLength={320} name="from" />
          <Texts label={t('test.to')} values={to} onChange={setTo} placeholder="hanako@partner.example.com" />
          {draft.isDirty && (
            <Choice label={t('test.which')} value={which} onChange={setWhich} options={[{ id: 'draft', label: t('test.which.draft') }, { id: 'now', label: t('test.which.now') }]} />
          )}
          <div className="actions"><Button kind="main" icon={FlaskConical} isPending={isBusy} onPress={start}>{t('test.start')}</Button></div>
          <ErrorBox problem={problem} />
        </Card>
        <div aria-live="polite">
          {result && (
            <>
              <Card title={t('test.seen')}>
                <Facts items={[[t('sender'), result.mail.from ?? ''], [t('subject'), result.mail.subject ?? ''], [t('size'), bytes(result.mail.size ?? 0)],
                  [t('attachments'), (result.mail.attachments ?? []).map((a) => `${a.name ?? ''} (${a.type ?? ''}, ${bytes(a.size ?? 0)})`).join(t('list.comma')) || t('attachments.none')]]} />
              </Card>
              {result.recipients.map((r) => <Recipient key={r.address} tested={r} />)}
            </>
          )}
        </div>
      </div>
    </>
  );
}
