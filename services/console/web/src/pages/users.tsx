// SPDX-License-Identifier: Apache-2.0
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Copy, KeyRound, LockOpen, MoreVertical, Pencil, Plus, RotateCcw, Trash2 } from '../ui/icons';
import { useState } from 'react';
import { Menu, MenuItem, MenuTrigger, Popover } from '../ui/aria';
import { call, get, post, type Page } from '../api';
import { useWords } from '../language';
import { useProve } from '../prove';
import { useSession, type Role } from '../session';
import { Button, Choice, Switch, TextField } from '../ui/controls';
import { Confirm, Dialog } from '../ui/dialog';
import { Card, ErrorBox, Loaded, Note, PageHead, Pill, say, Table, useAction } from '../ui/page';
import { ROLES } from './account';

interface User { name: string; role: Role; state: 'active' | 'off'; kind: 'local' | 'oidc'; totp: boolean; must_change: boolean; passkeys: number; tokens: number; recovery_left: number; since: string | null; changed: string | null; locked_until: string | null }
type Doing = { what: 'new' } | { what: 'edit' | 'password' | 'reset' | 'remove'; user: User };

const path = (name: string) => `users/${encodeURIComponent(name)}`;

/** The password that the console has made, shown this once. */
function GivenPassword({ name, password, onClose }: { name: string; password: string; onClose: () => void }) {
  const { t } = useWords();
  return (
    <>
      <Note tone="warn" title={t('password.first', { name })}><p>{t('password.first.help')}</p></Note>
      <p><code className="secret">{password}</code></p>
      <div className="actions end"><Button icon={Copy} onPress={() => void navigator.clipboard.writeText(password).then(() => say(t('copied')))}>{t('copy')}</Button>
        <Button kind="main" onPress={onClose}>{t('close')}</Button></div>
    </>
  );
}

function UserForm({ user, onClose }: { user: User | null; onClose: () => void }) {
  const { t } = useWords();
  const prove = useProve();
  const client = useQueryClient();
  const { session } = useSession();
  const [name, setName] = useState(user?.name ?? '');
  const [role, setRole] = useState<Role>(user?.role ?? 'operator');
  const [made, setMade] = useState<string | null>(null);
  const [isOn, setOn] = useState(user?.state !== 'off');
  const [problem, run, isBusy] = useAction();
  const save = () => run(async () => {
    if (user) await prove(() => call(path(user.name), { method: 'PATCH', json: { role, state: isOn ? 'active' : 'off' } }));
    else setMade((await prove(() => post<{ password: string }>('users', { name, role }))).password);
    await client.invalidateQueries({ queryKey: ['users'] });
    say(t('user.saved', { name }));
    if (user) onClose();
  });
  if (made !== null) return <GivenPassword name={name} password={made} onClose={onClose} />;
  return (
    <form onSubmit={(e) => { e.preventDefault(); void save(); }}>
      {!user && <TextField label={t('user')} help={t('user.name.help')} value={name} onChange={setName} isRequired maxLength={128} autoComplete="off" name="name" />}
      <Choice label={t('role')} value={role} onChange={(v) => setRole(v as Role)} isDisabled={user?.name === session.user} options={ROLES.map((r) => ({ id: r, label: t(`role.${r}`), help: t(`role.${r}.help`) }))} />
      {user && user.name !== session.user && <Switch isSelected={isOn} onChange={setOn}>{t('user.active')}</Switch>}
      <ErrorBox problem={problem} />
      <div className="actions end"><Button onPress={onClose}>{t('cancel')}</Button><Button type="submit" kind="main" isPending={isBusy}>{user ? t('save') : t('user.create')}</Button></div>
    </form>
  );
}

function PasswordForm({ user, onClose }: { user: User; onClose: () => void }) {
  const { t } = useWords();
  const prove = useProve();
  const client = useQueryClient();
  const [made, setMade] = useState<string | null>(null);
  const [problem, run, isBusy] = useAction();
  if (made !== null) return <GivenPassword name={user.name} password={made} onClose={onClose} />;
  return (
    <>
      <p>{t('user.password.text', { name: user.name })}</p>
      <ErrorBox problem={problem} />
      <div className="actions end"><Button onPress={onClose}>{t('cancel')}</Button>
        <Button kind="main" isPending={isBusy} onPress={() => run(async () => { setMade((await prove(() => post<{ password: string }>(`${path(user.name)}/password`))).password); await client.invalidateQueries({ queryKey: ['users'] }); })}>{t('user.password')}</Button></div>
    </>
  );
}

export function UsersPage() {
  const { t, known, date } = useWords();
  const { session } = useSession();
  const prove = useProve();
  const client = useQueryClient();
  const [doing, begin] = useState<Doing | null>(null);
  const [problem, run] = useAction();
  const query = useQuery({ queryKey: ['users'], queryFn: ({ signal }) => get<Page<User>>('users', { limit: 200 }, signal) });
  const end = () => begin(null);
  const again = () => client.invalidateQueries({ queryKey: ['users'] });
  const act = (user: User, key: string) => {
    if (key === 'unlock') void run(async () => { await prove(() => post(`${path(user.name)}/unlock`)); say(t('user.unlocked', { name: user.name })); });
    else begin({ what: key as 'edit' | 'password' | 'reset' | 'remove', user });
  };
  return (
    <>
      <PageHead title={t('nav.users')} lead={t('users.lead')}><Button kind="main" icon={Plus} onPress={() => begin({ what: 'new' })}>{t('user.new')}</Button></PageHead>
      <ErrorBox problem={problem} />
      <Loaded query={query}>
        {(data) => (
          <Card className="flush">
            <Table isStacked label={t('nav.users')} head={[t('user'), t('role'), t('state'), t('factors'), t('created'), t('actions')]}>
              {data.items.map((u) => (
                <tr key={u.name}>
                  <th scope="row">{u.name}{u.name === session.user && <> <Pill tone="info">{t('you')}</Pill></>}{u.kind === 'oidc' && <div className="soft">{t('user.oidc')}</div>}</th>
                  <td data-label={t('role')}>{known('role', u.role)}</td>
                  <td data-label={t('state')}><Pill tone={u.state === 'active' ? 'good' : 'warn'}>{u.state === 'active' ? t('user.active') : t('user.off')}</Pill>{u.locked_until && <> <Pill tone="bad">{t('user.locked')}</Pill></>}{u.must_change && <div className="soft">{t('user.must-change')}</div>}</td>
                  <td data-label={t('factors')}>{u.kind === 'oidc' ? '–' : [u.totp ? t('totp') : '', u.passkeys > 0 ? t('passkeys.n', { n: u.passkeys }) : ''].filter(Boolean).join(t('list.comma')) || <Pill tone="warn">{t('factor.off')}</Pill>}</td>
                  <td data-label={t('created')}>{date(u.since)}</td>
                  <td>
                    <MenuTrigger>
                      <Button kind="quiet" icon={MoreVertical} aria-label={t('actions.for', { name: u.name })} />
                      <Popover className="popover" placement="bottom end">
                        <Menu className="menu" onAction={(k) => act(u, String(k))}>
                          <MenuItem id="edit" className="menu-item" textValue={t('edit')}><Pencil size={16} aria-hidden /> {t('edit')}</MenuItem>
                          {u.kind === 'local' && <MenuItem id="password" className="menu-item" textValue={t('user.password')}><KeyRound size={16} aria-hidden /> {t('user.password')}</MenuItem>}
                          <MenuItem id="reset" className="menu-item" textValue={t('user.reset')}><RotateCcw size={16} aria-hidden /> {t('user.reset')}</MenuItem>
                          <MenuItem id="unlock" className="menu-item" textValue={t('user.unlock')}><LockOpen size={16} aria-hidden /> {t('user.unlock')}</MenuItem>
                          {u.name !== session.user && <MenuItem id="remove" className="menu-item bad" textValue={t('remove')}><Trash2 size={16} aria-hidden /> {t('remove')}</MenuItem>}
                        </Menu>
                      </Popover>
                    </MenuTrigger>
                  </td>
                </tr>
              ))}
            </Table>
          </Card>
        )}
      </Loaded>
      <Dialog title={t('user.new')} isOpen={doing?.what === 'new'} onClose={end}><UserForm user={null} onClose={end} /></Dialog>
      {doing?.what === 'edit' && <Dialog title={doing.user.name} isOpen onClose={end}><UserForm user={doing.user} onClose={end} /></Dialog>}
      {doing?.what === 'password' && <Dialog title={t('user.password')} isOpen onClose={end}><PasswordForm user={doing.user} onClose={end} /></Dialog>}
      {doing?.what === 'reset' && (
        <Confirm title={t('user.reset')} action={t('user.reset')} isDanger isOpen onClose={end} run={async () => { await prove(() => post(`${path(doing.user.name)}/reset`)); await again(); }}>
          <Note tone="warn" title={t('user.reset.text', { name: doing.user.name })} />
        </Confirm>
      )}
      {doing?.what === 'remove' && (
        <Confirm title={t('remove.title', { name: doing.user.name })} action={t('remove')} isDanger isOpen onClose={end} run={async () => { await prove(() => call(path(doing.user.name), { method: 'DELETE' })); await again(); }}>
          <p>{t('user.remove.text')}</p>
        </Confirm>
      )}
    </>
  );
}
