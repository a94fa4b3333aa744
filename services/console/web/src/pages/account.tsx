// SPDX-License-Identifier: Apache-2.0
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Copy, KeyRound, LogOut, Plus, RotateCw, Smartphone, Trash2 } from '../ui/icons';
import { useState } from 'react';
import { call, get, post, setCsrf, type Page } from '../api';
import { useWords } from '../language';
import { useProve } from '../prove';
import { useSession, type Role } from '../session';
import { Button, NumberField, Select, TextField } from '../ui/controls';
import { Confirm, Dialog } from '../ui/dialog';
import { Card, ErrorBox, Facts, Loaded, Note, PageHead, Pill, say, Table, useAction } from '../ui/page';
import { EnrolPasskey, EnrolTotp, RecoveryCodes, type SessionAnswer } from './enrol';

interface Passkey { id: string; label: string; since: string | null }
interface Token { id: string; label: string; role: Role; since: string | null; until: string | null }
interface Account { name: string; role: Role; kind: 'local' | 'oidc'; totp: boolean; must_change: boolean; recovery_left: number; since: string | null; passkeys: Passkey[]; tokens: Token[] }
interface SessionItem { id: string; method: string; agent: string; address: string; since: string | null; seen: string | null; until: string | null; is_this: boolean }
export const ROLES: Role[] = ['admin', 'operator', 'auditor', 'helpdesk'];

function useChanged() {
  const client = useQueryClient();
  return () => client.invalidateQueries({ queryKey: ['account'] });
}

function PasswordCard({ account }: { account: Account }) {
  const { t } = useWords();
  const [current, setCurrent] = useState('');
  const [fresh, setFresh] = useState('');
  const [again, setAgain] = useState('');
  const [problem, run, isBusy] = useAction();
  if (account.kind === 'oidc') return <Card title={t('password')}><p>{t('password.oidc')}</p></Card>;
  return (
    <Card title={t('password')}>
      <form onSubmit={(e) => {
        e.preventDefault();
        void run(async () => {
          if (fresh !== again) throw new Error(t('password.differ'));
          const answer = await post<SessionAnswer>('account/password', { current, new: fresh });
          setCsrf(answer.csrf);
          setCurrent(''); setFresh(''); setAgain('');
          say(t('password.saved'));
        });
      }}>
        <input type="text" autoComplete="username" value={account.name} readOnly hidden />
        <TextField label={t('password.current')} value={current} onChange={setCurrent} type="password" autoComplete="current-password" isRequired maxLength={1024} />
        <TextField label={t('password.new')} help={t('password.rules')} value={fresh} onChange={setFresh} type="password" autoComplete="new-password" isRequired maxLength={1024} />
        <TextField label={t('password.again')} value={again} onChange={setAgain} type="password" autoComplete="new-password" isRequired maxLength={1024} />
        <ErrorBox problem={problem} />
        <Button type="submit" kind="main" isPending={isBusy}>{t('password.save')}</Button>
      </form>
    </Card>
  );
}

function FactorsCard({ account }: { account: Account }) {
  const { t, date } = useWords();
  const prove = useProve();
  const changed = useChanged();
  const [open, show] = useState<'totp' | 'passkey' | null>(null);
  const [codes, setCodes] = useState<string[] | null>(null);
  const [removing, remove] = useState<{ path: string; name: string } | null>(null);
  const [problem, run] = useAction();
  const done = (a: SessionAnswer) => { setCsrf(a.csrf); show(null); if (a.recovery) setCodes(a.recovery); void changed(); say(t('factor.added')); };
  // The dialogs ask the console at once: a recent proof comes first.
  const begin = (what: 'totp' | 'passkey') => run(async () => {
    const path = what === 'totp' ? 'account/totp' : 'account/passkeys/options';
    await prove(() => post(path));
    show(what);
  });
  return (
    <Card title={t('factors')}>
      <ul className="plain rows">
        <li><Smartphone size={18} aria-hidden /><span>{t('totp')}</span><Pill tone={account.totp ? 'good' : 'calm'}>{account.totp ? t('factor.on') : t('factor.off')}</Pill>
          <span className="actions"><Button onPress={() => begin('totp')}>{account.totp ? t('factor.renew') : t('factor.set')}</Button>
            {account.totp && <Button kind="quiet" icon={Trash2} aria-label={t('remove.one', { name: t('totp') })} onPress={() => remove({ path: 'account/totp', name: t('totp') })} />}</span></li>
        {account.passkeys.map((k) => (
          <li key={k.id}><KeyRound size={18} aria-hidden /><span>{k.label}<span className="soft"> {date(k.since)}</span></span>
            <span className="actions"><Button kind="quiet" icon={Trash2} aria-label={t('remove.one', { name: k.label })} onPress={() => remove({ path: `account/passkeys/${encodeURIComponent(k.id)}`, name: k.label })} /></span></li>
        ))}
      </ul>
      <div className="actions">
        <Button icon={Plus} onPress={() => begin('passkey')}>{t('passkey.add')}</Button>
        <Button icon={RotateCw} onPress={() => run(async () => setCodes((await prove(() => post<{ recovery: string[] }>('account/recovery'))).recovery))}>{t('recovery.renew')}</Button>
      </div>
      <p className={account.recovery_left < 3 ? 'warn-text' : 'help'}>{t('recovery.left', { n: account.recovery_left })}</p>
      <ErrorBox problem={problem} />
      <Dialog title={t('totp')} isOpen={open === 'totp'} onClose={() => show(null)}><EnrolTotp onDone={done} /></Dialog>
      <Dialog title={t('passkey')} isOpen={open === 'passkey'} onClose={() => show(null)}><EnrolPasskey onDone={done} usual={t('passkey.usual')} /></Dialog>
      <Dialog title={t('recovery')} isOpen={codes !== null} onClose={() => setCodes(null)}>{codes && <RecoveryCodes codes={codes} onDone={() => setCodes(null)} />}</Dialog>
      <Confirm title={t('remove.title', { name: removing?.name ?? '' })} action={t('remove')} isDanger isOpen={removing !== null} onClose={() => remove(null)}
        run={async () => { await prove(() => call(removing!.path, { method: 'DELETE' })); await changed(); }}><p>{t('factor.remove')}</p></Confirm>
    </Card>
  );
}

function TokensCard({ account }: { account: Account }) {
  const { t, date, known } = useWords();
  const { session } = useSession();
  const prove = useProve();
  const changed = useChanged();
  const [isNew, create] = useState(false);
  const [label, setLabel] = useState('');
  const [role, setRole] = useState<Role>(session.role);
  const [days, setDays] = useState(90);
  const [made, setMade] = useState<string | null>(null);
  const [removing, remove] = useState<Token | null>(null);
  const [problem, run, isBusy] = useAction();
  const lesser = ROLES.slice(ROLES.indexOf(session.role));
  const close = () => { create(false); setMade(null); setLabel(''); };
  return (
    <Card title={t('tokens')} actions={<Button icon={Plus} onPress={() => create(true)}>{t('token.new')}</Button>}>
      <p className="help">{t('tokens.text')}</p>
      {account.tokens.length > 0 && (
        <Table isStacked label={t('tokens')} head={[t('name'), t('role'), t('created'), t('ends'), '']}>
          {account.tokens.map((k) => (
            <tr key={k.id}><th scope="row">{k.label}</th><td data-label={t('role')}>{known('role', k.role)}</td><td data-label={t('created')}>{date(k.since)}</td><td data-label={t('ends')}>{date(k.until)}</td>
              <td><Button kind="quiet" icon={Trash2} aria-label={t('remove.one', { name: k.label })} onPress={() => remove(k)} /></td></tr>
          ))}
        </Table>
      )}
      <Dialog title={t('token.new')} isOpen={isNew} onClose={close}>
        {made ? (
          <>
            <Note tone="warn" title={t('token.once')} />
            <p><code className="secret">{made}</code></p>
            <div className="actions end"><Button icon={Copy} onPress={() => void navigator.clipboard.writeText(made).then(() => say(t('copied')))}>{t('copy')}</Button><Button kind="main" onPress={close}>{t('close')}</Button></div>
          </>
        ) : (
          <form onSubmit={(e) => {
            e.preventDefault();
            void run(async () => { setMade((await prove(() => post<{ token: string }>('account/tokens', { label, role, days }))).token); await changed(); });
          }}>
            <TextField label={t('name')} help={t('token.name.help')} value={label} onChange={setLabel} isRequired maxLength={60} />
            <Select label={t('role')} value={role} onChange={(v) => setRole(v as Role)} options={lesser.map((r) => ({ id: r, label: t(`role.${r}`), help: t(`role.${r}.help`) }))} />
            <NumberField label={t('token.days')} value={days} onChange={setDays} min={1} max={366} />
            <ErrorBox problem={problem} />
            <div className="actions end"><Button onPress={close}>{t('cancel')}</Button><Button type="submit" kind="main" isPending={isBusy}>{t('token.make')}</Button></div>
          </form>
        )}
      </Dialog>
      <Confirm title={t('remove.title', { name: removing?.label ?? '' })} action={t('remove')} isDanger isOpen={removing !== null} onClose={() => remove(null)}
        run={async () => { await call(`account/tokens/${removing!.id}`, { method: 'DELETE' }); await changed(); }}><p>{t('token.remove')}</p></Confirm>
    </Card>
  );
}

function SessionsCard() {
  const { t, ago, known } = useWords();
  const client = useQueryClient();
  const [problem, run] = useAction();
  const query = useQuery({ queryKey: ['sessions'], queryFn: ({ signal }) => get<Page<SessionItem>>('account/sessions', {}, signal) });
  const again = () => client.invalidateQueries({ queryKey: ['sessions'] });
  return (
    <Card title={t('sessions')} actions={<Button icon={LogOut} onPress={() => run(async () => { await call('account/sessions', { method: 'DELETE' }); await again(); say(t('sessions.ended')); })}>{t('sessions.end')}</Button>}>
      <ErrorBox problem={problem} />
      <Loaded query={query}>
        {(data) => (
          <Table isStacked label={t('sessions')} head={[t('sessions.browser'), t('audit.from'), t('sessions.method'), t('sessions.seen'), '']}>
            {data.items.map((s) => (
              <tr key={s.id}><td>{s.agent || '–'} {s.is_this && <Pill tone="good">{t('sessions.this')}</Pill>}</td><td data-label={t('audit.from')}>{s.address}</td><td data-label={t('sessions.method')}>{known('method', s.method)}</td><td data-label={t('sessions.seen')}>{s.seen ? ago(s.seen) : '–'}</td>
                <td>{!s.is_this && <Button kind="quiet" onPress={() => run(async () => { await call(`account/sessions/${s.id}`, { method: 'DELETE' }); await again(); })}>{t('sessions.end.one')}</Button>}</td></tr>
            ))}
          </Table>
        )}
      </Loaded>
    </Card>
  );
}

export function AccountPage() {
  const { t, known, date } = useWords();
  const query = useQuery({ queryKey: ['account'], queryFn: ({ signal }) => get<Account>('account', {}, signal) });
  return (
    <>
      <PageHead title={t('nav.account')} />
      <Loaded query={query}>
        {(account) => (
          <>
            <Card><Facts items={[[t('user'), account.name], [t('role'), known('role', account.role)], [t('created'), date(account.since)]]} /></Card>
            <FactorsCard account={account} />
            <PasswordCard account={account} />
            <TokensCard account={account} />
            <SessionsCard />
          </>
        )}
      </Loaded>
    </>
  );
}
