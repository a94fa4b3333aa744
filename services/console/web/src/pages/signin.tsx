// SPDX-License-Identifier: Apache-2.0
//
// From nobody to a session: password, second factor (or its enrolment), a password of one's own; a passkey alone; the
// organisation's provider.
import { Building2, KeyRound } from '../ui/icons';
import { useEffect, useRef, useState, type ReactNode } from 'react';
import { Tab, TabList, TabPanel, Tabs } from '../ui/aria';
import { call, post, setCsrf } from '../api';
import { useWords } from '../language';
import { Button, TextField } from '../ui/controls';
import { ErrorBox, useAction } from '../ui/page';
import { LanguageButton, ThemeButton } from '../ui/preferences';
import { canUsePasskeys, showPasskey } from '../webauthn';
import { EnrolPasskey, EnrolTotp, RecoveryCodes, type SessionAnswer } from './enrol';

/** Shows a passkey to the console. */
export async function passkeySession(): Promise<SessionAnswer> {
  const begun = await post<Record<string, unknown>>('session/passkey/options');
  const options = (begun.publicKey ?? begun) as Parameters<typeof showPasskey>[0];
  return post<SessionAnswer>('session/passkey', { credential: await showPasskey(options) });
}

function Door({ title, children }: { title: string; children: ReactNode }) {
  const { t } = useWords();
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => { document.title = `${title} – Fumibako`; heading.current?.focus(); }, [title]);
  return (
    <div className="door">
      <header className="door-head"><span className="brand"><Mark /> Fumibako</span><span className="actions"><LanguageButton /><ThemeButton /></span></header>
      <main className="door-main">
        <div className="card door-card">
          <h1 ref={heading} tabIndex={-1}>{title}</h1>
          {children}
        </div>
        <p className="soft small">{t('door.foot')}</p>
      </main>
    </div>
  );
}

export function Mark() {
  return (
    <svg viewBox="0 0 32 32" width="28" height="28" aria-hidden className="mark">
      <rect width="32" height="32" rx="7" className="mark-box" />
      <path d="M6 8.5h20v4H6zM7.5 12.5h17v11h-17zM12.5 12.5c0 5 7 5 7 0" fill="none" stroke="currentColor" strokeWidth="1.8" strokeLinejoin="round" />
    </svg>
  );
}

function Password({ onAnswer, hasOidc }: { onAnswer: (a: SessionAnswer) => void; hasOidc: boolean }) {
  const { t } = useWords();
  const [user, setUser] = useState('');
  const [password, setPassword] = useState('');
  const [problem, run, isBusy] = useAction();
  const failed = new URLSearchParams(location.search).get('error');
  return (
    <Door title={t('signin')}>
      {failed && <ErrorBox problem={new Error(t('signin.oidc.failed'))} />}
      <form onSubmit={(e) => { e.preventDefault(); void run(async () => onAnswer(await post<SessionAnswer>('session', { user, password }))); }}>
        <TextField label={t('user')} value={user} onChange={setUser} autoComplete="username" isRequired maxLength={128} name="user" />
        <TextField label={t('password')} value={password} onChange={setPassword} type="password" autoComplete="current-password" isRequired maxLength={1024} name="password" />
        <ErrorBox problem={problem} />
        <Button type="submit" kind="main" className="wide-button" isPending={isBusy}>{t('signin.do')}</Button>
      </form>
      {(canUsePasskeys() || hasOidc) && <p className="or"><span>{t('signin.or')}</span></p>}
      {canUsePasskeys() && <Button icon={KeyRound} className="wide-button" onPress={() => run(async () => onAnswer(await passkeySession()))}>{t('signin.passkey')}</Button>}
      {hasOidc && <a className="button plain wide-button" href="/login/oidc"><Building2 size={18} aria-hidden /><span>{t('signin.oidc')}</span></a>}
    </Door>
  );
}

/** The code of the app, a recovery code, or a passkey. */
export function Proof({ onAnswer, needs }: { onAnswer: (a: SessionAnswer) => void; needs: 'totp' | 'passkey' | 'any' }) {
  const { t } = useWords();
  const [code, setCode] = useState('');
  const [recovery, setRecovery] = useState('');
  const [problem, run, isBusy] = useAction();
  return (
    <>
      {needs !== 'passkey' && (
        <form onSubmit={(e) => { e.preventDefault(); void run(async () => onAnswer(await post<SessionAnswer>('session/totp', { code }))); }}>
          <TextField label={t('totp.code')} help={t('totp.code.help')} value={code} onChange={setCode} inputMode="numeric" autoComplete="one-time-code" isRequired maxLength={10} autoFocus name="code" />
          <Button type="submit" kind="main" className="wide-button" isPending={isBusy}>{t('next')}</Button>
        </form>
      )}
      {canUsePasskeys() && (
        <>
          {needs !== 'passkey' && <p className="or"><span>{t('signin.or')}</span></p>}
          <Button icon={KeyRound} kind={needs === 'passkey' ? 'main' : 'plain'} className="wide-button" onPress={() => run(async () => onAnswer(await passkeySession()))}>{t('passkey.use')}</Button>
        </>
      )}
      <ErrorBox problem={problem} />
      <details className="more">
        <summary>{t('recovery.lost')}</summary>
        <form onSubmit={(e) => { e.preventDefault(); void run(async () => onAnswer(await post<SessionAnswer>('session/totp', { recovery }))); }}>
          <TextField label={t('recovery.code')} value={recovery} onChange={setRecovery} autoComplete="off" maxLength={40} isMono name="recovery" />
          <Button type="submit" isDisabled={!recovery}>{t('next')}</Button>
        </form>
      </details>
    </>
  );
}

function Enrol({ onAnswer, user }: { onAnswer: (a: SessionAnswer) => void; user: string }) {
  const { t } = useWords();
  return (
    <Door title={t('enrol')}>
      <p>{t('enrol.text', { user })}</p>
      <Tabs>
        <TabList aria-label={t('enrol')} className="tabs"><Tab id="totp" className="tab">{t('totp')}</Tab><Tab id="passkey" className="tab">{t('passkey')}</Tab></TabList>
        <TabPanel id="totp"><EnrolTotp onDone={onAnswer} /></TabPanel>
        <TabPanel id="passkey"><EnrolPasskey onDone={onAnswer} usual={t('passkey.usual')} /></TabPanel>
      </Tabs>
    </Door>
  );
}

function NewPassword({ onAnswer }: { onAnswer: (a: SessionAnswer) => void }) {
  const { t } = useWords();
  const [fresh, setFresh] = useState('');
  const [again, setAgain] = useState('');
  const [problem, run, isBusy] = useAction();
  return (
    <Door title={t('password.own')}>
      <p>{t('password.own.text')}</p>
      <form onSubmit={(e) => {
        e.preventDefault();
        void run(async () => {
          if (fresh !== again) throw new Error(t('password.differ'));
          onAnswer(await post<SessionAnswer>('account/password', { new: fresh }));
        });
      }}>
        <TextField label={t('password.new')} help={t('password.rules')} value={fresh} onChange={setFresh} type="password" autoComplete="new-password" isRequired maxLength={1024} name="new" />
        <TextField label={t('password.again')} value={again} onChange={setAgain} type="password" autoComplete="new-password" isRequired maxLength={1024} name="again" />
        <ErrorBox problem={problem} />
        <Button type="submit" kind="main" className="wide-button" isPending={isBusy}>{t('password.save')}</Button>
      </form>
    </Door>
  );
}

/** The steps until nothing is missing. */
export function SignIn({ answer, onAnswer }: { answer: SessionAnswer; onAnswer: (a: SessionAnswer) => void }) {
  const { t } = useWords();
  const take = (a: SessionAnswer) => { setCsrf(a.csrf); onAnswer(a); };
  const leave = async () => { try { await call('session', { method: 'DELETE' }); } finally { onAnswer({ ...answer, user: null, role: null, needs: null }); } };
  if (answer.recovery) {
    const { recovery, ...rest } = answer;
    return <Door title={t('recovery')}><RecoveryCodes codes={recovery} onDone={() => onAnswer(rest)} /></Door>;
  }
  if (answer.user === null) return <Password onAnswer={take} hasOidc={answer.oidc ?? false} />;
  if (answer.needs === 'enrol') return <Enrol onAnswer={take} user={answer.user} />;
  if (answer.needs === 'password') return <NewPassword onAnswer={take} />;
  return (
    <Door title={t('second')}>
      <Proof onAnswer={take} needs={answer.needs === 'passkey' ? 'passkey' : 'totp'} />
      <p><Button kind="quiet" onPress={() => void leave()}>{t('signin.other')}</Button></p>
    </Door>
  );
}
