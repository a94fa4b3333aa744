// SPDX-License-Identifier: Apache-2.0
//
// A second factor: an authenticator app or a passkey; recovery codes, which are shown once.
import { useQuery } from '@tanstack/react-query';
import { Download, KeyRound } from '../ui/icons';
import { useState } from 'react';
import { call, post } from '../api';
import { useWords } from '../language';
import type { Session } from '../session';
import { Button, TextField } from '../ui/controls';
import { download, ErrorBox, Loaded, useAction } from '../ui/page';
import { canUsePasskeys, createPasskey } from '../webauthn';

export interface SessionAnswer extends Omit<Session, 'user' | 'role'> {
  user: string | null;
  role: Session['role'] | null;
  method?: string | null;
  fresh_until?: string | null;
  oidc?: boolean;
  recovery?: string[];
}

interface Enrolment { secret: string; uri: string; qr: { path: string; size: number } }

export function EnrolTotp({ onDone }: { onDone: (answer: SessionAnswer) => void }) {
  const { t } = useWords();
  const [code, setCode] = useState('');
  const [problem, run, isBusy] = useAction();
  const query = useQuery({ queryKey: ['totp'], queryFn: () => post<Enrolment>('account/totp'), staleTime: Infinity, gcTime: 0, retry: false, refetchOnWindowFocus: false });
  return (
    <Loaded query={query}>
      {(e) => (
        <form onSubmit={(ev) => { ev.preventDefault(); void run(async () => onDone(await call<SessionAnswer>('account/totp', { method: 'PUT', json: { code } }))); }}>
          <p>{t('totp.scan')}</p>
          <svg className="qr" viewBox={`0 0 ${e.qr.size} ${e.qr.size}`} role="img" aria-label={t('totp.qr')} shapeRendering="crispEdges">
            <rect width={e.qr.size} height={e.qr.size} fill="#fff" /><path d={e.qr.path} fill="#000" />
          </svg>
          <p className="help">{t('totp.secret')}<br /><code className="secret">{e.secret.replace(/(.{4})(?=.)/g, '$1 ')}</code></p>
          <TextField label={t('totp.code')} value={code} onChange={setCode} inputMode="numeric" autoComplete="one-time-code" maxLength={10} isRequired name="code" />
          <ErrorBox problem={problem} />
          <Button type="submit" kind="main" isPending={isBusy}>{t('totp.confirm')}</Button>
        </form>
      )}
    </Loaded>
  );
}

export function EnrolPasskey({ onDone, usual }: { onDone: (answer: SessionAnswer) => void; usual: string }) {
  const { t } = useWords();
  const [label, setLabel] = useState(usual);
  const [problem, run, isBusy] = useAction();
  if (!canUsePasskeys()) return <p className="soft">{t('passkey.unable')}</p>;
  return (
    <form onSubmit={(e) => {
      e.preventDefault();
      void run(async () => {
        const begun = await post<Record<string, unknown>>('account/passkeys/options');
        const options = (begun.publicKey ?? begun) as Parameters<typeof createPasskey>[0];
        onDone(await post<SessionAnswer>('account/passkeys', { label, credential: await createPasskey(options) }));
      });
    }}>
      <p>{t('passkey.text')}</p>
      <TextField label={t('passkey.label')} value={label} onChange={setLabel} maxLength={60} isRequired name="label" />
      <ErrorBox problem={problem} />
      <Button type="submit" kind="main" icon={KeyRound} isPending={isBusy}>{t('passkey.add')}</Button>
    </form>
  );
}

export function RecoveryCodes({ codes, onDone }: { codes: string[]; onDone: () => void }) {
  const { t } = useWords();
  return (
    <>
      <p>{t('recovery.text')}</p>
      <ul className="codes">{codes.map((c) => <li key={c}><code>{c}</code></li>)}</ul>
      <div className="actions">
        <Button icon={Download} onPress={() => download('fumibako-recovery-codes.txt', `${codes.join('\r\n')}\r\n`, 'text/plain')}>{t('download')}</Button>
        <Button kind="main" onPress={onDone}>{t('recovery.kept')}</Button>
      </div>
    </>
  );
}
