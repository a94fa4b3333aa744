// SPDX-License-Identifier: Apache-2.0
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Activity, Archive, Boxes, FileCode2, FlaskConical, Gauge, History, LogOut, Mail, Menu as MenuIcon, ScrollText, ShieldCheck, Type, UserRound, Users, UsersRound, Waypoints, X, type LucideIcon } from './ui/icons';
import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { Dialog, Modal, ModalOverlay } from './ui/aria';
import { Link, Redirect, Route, Switch as Routes, useLocation } from 'wouter';
import { call, get, onSignedOut, setCsrf } from './api';
import { useWords } from './language';
import { AccountPage } from './pages/account';
import { AuditPage } from './pages/audit';
import type { SessionAnswer } from './pages/enrol';
import { HeldPage } from './pages/held';
import { MessagePage } from './pages/message';
import { MessagesPage } from './pages/messages';
import { NoticesPage } from './pages/notices';
import { OverviewPage } from './pages/overview';
import { DefinitionEditPage, DefinitionsPage, GroupEditPage, GroupsPage, PassPage, StorageEditPage, StoragesPage } from './pages/parts';
import { ReviewPage } from './pages/review';
import { RuleEditPage } from './pages/rule_edit';
import { RulesPage } from './pages/rules';
import { Mark, SignIn } from './pages/signin';
import { SystemPage } from './pages/system';
import { TesterPage } from './pages/tester';
import { UsersPage } from './pages/users';
import { VersionsPage, YamlPage } from './pages/versions';
import { DraftProvider } from './policy/draft';
import { DraftBar } from './policy/parts';
import { ProveProvider } from './prove';
import { mayRole, SessionContext, useSession, type Permission, type Session } from './session';
import type { Overview } from './types';
import { Button } from './ui/controls';
import { ErrorBox, Loading, PageHead, Toasts } from './ui/page';
import { LanguageButton, ThemeButton } from './ui/preferences';
import type { Word } from './words';

interface Place { path: string; word: Word; icon: LucideIcon; needs: Permission }
const PLACES: { word: Word; places: Place[] }[] = [
  { word: 'nav.mail', places: [
    { path: '/', word: 'nav.overview', icon: Gauge, needs: 'see_states' },
    { path: '/messages', word: 'nav.messages', icon: Mail, needs: 'see_states' },
    { path: '/held', word: 'nav.held', icon: Archive, needs: 'see_states' },
  ] },
  { word: 'nav.policy', places: [
    { path: '/policy/rules', word: 'nav.rules', icon: Waypoints, needs: 'see_policy' },
    { path: '/policy/definitions', word: 'nav.definitions', icon: ShieldCheck, needs: 'see_policy' },
    { path: '/policy/storages', word: 'nav.storages', icon: Boxes, needs: 'see_states' },
    { path: '/policy/groups', word: 'nav.groups', icon: UsersRound, needs: 'see_policy' },
    { path: '/policy/notices', word: 'nav.notices', icon: Type, needs: 'see_policy' },
    { path: '/policy/test', word: 'nav.tester', icon: FlaskConical, needs: 'see_policy' },
    { path: '/policy/versions', word: 'nav.versions', icon: History, needs: 'see_policy' },
    { path: '/policy/yaml', word: 'nav.yaml', icon: FileCode2, needs: 'see_policy' },
  ] },
  { word: 'nav.operation', places: [
    { path: '/audit', word: 'nav.audit', icon: ScrollText, needs: 'see_audit' },
    { path: '/system', word: 'nav.system', icon: Activity, needs: 'see_states' },
    { path: '/users', word: 'nav.users', icon: Users, needs: 'manage_users' },
  ] },
];

const isIn = (path: string, place: string) => (place === '/' ? path === '/' : path === place || path.startsWith(`${place}/`));

function Navigation({ onGo }: { onGo?: () => void }) {
  const { t, number } = useWords();
  const { may } = useSession();
  const [path] = useLocation();
  const client = useQueryClient();
  const held = client.getQueriesData<Overview>({ queryKey: ['overview'] }).at(-1)?.[1]?.held_now ?? 0;
  return (
    <nav aria-label={t('nav')}>
      {PLACES.map((group) => {
        const places = group.places.filter((p) => may(p.needs));
        return places.length > 0 && (
          <div key={group.word} className="nav-group">
            <h2 id={`nav-${group.word}`}>{t(group.word)}</h2>
            <ul aria-labelledby={`nav-${group.word}`}>
              {places.map((p) => (
                <li key={p.path}>
                  <Link href={p.path} className="nav-link" {...(isIn(path, p.path) ? { 'aria-current': 'page' as const } : {})} {...(onGo ? { onClick: onGo } : {})}>
                    <p.icon size={18} aria-hidden /><span>{t(p.word)}</span>
                    {p.path === '/held' && held > 0 && <span className="badge">{number(held)}</span>}
                  </Link>
                </li>
              ))}
            </ul>
          </div>
        );
      })}
    </nav>
  );
}

function Shell() {
  const { t, known } = useWords();
  const { session, signOut } = useSession();
  const [isOpen, open] = useState(false);
  const [path] = useLocation();
  useEffect(() => open(false), [path]);
  const who = (
    <div className="who">
      <Link href="/account" className="nav-link" {...(path === '/account' ? { 'aria-current': 'page' as const } : {})}>
        <UserRound size={18} aria-hidden /><span><span className="who-name">{session.user}</span><span className="soft small">{known('role', session.role)}</span></span>
      </Link>
      <Button kind="quiet" icon={LogOut} aria-label={t('signout')} onPress={() => void signOut()} />
    </div>
  );
  return (
    <div className="shell">
      <a className="skip" href="#main">{t('skip')}</a>
      <header className="top">
        <Button kind="quiet" icon={MenuIcon} className="only-small" aria-label={t('menu')} onPress={() => open(true)} />
        <Link href="/" className="brand"><Mark /> <span>Fumibako</span></Link>
        <div className="actions"><LanguageButton /><ThemeButton /></div>
      </header>
      <div className="side"><Navigation />{who}</div>
      <ModalOverlay isOpen={isOpen} onOpenChange={open} isDismissable className="veil drawer-veil">
        <Modal className="drawer">
          <Dialog aria-label={t('menu')} className="drawer-inner">
            <div className="dialog-head"><span className="brand"><Mark /> Fumibako</span><Button kind="quiet" icon={X} aria-label={t('close')} onPress={() => open(false)} /></div>
            <Navigation onGo={() => open(false)} />{who}
          </Dialog>
        </Modal>
      </ModalOverlay>
      <main id="main" className="content" tabIndex={-1}><Pages /></main>
      <DraftBar />
    </div>
  );
}

const numberOf = (text: string | undefined) => (text === 'new' ? null : Number(text));

function Pages() {
  const { t } = useWords();
  const { may } = useSession();
  const page = (path: string, needs: Permission | null, show: (id: string | undefined) => React.ReactNode) => (
    <Route key={path} path={path}>
      {(params: { id?: string }) => (needs === null || may(needs) ? show(params.id) : <PageHead title={t('not-allowed')} lead={t('not-allowed.text')} />)}
    </Route>
  );
  return (
    <Routes>
      {page('/', 'see_states', () => <OverviewPage />)}
      {page('/messages', 'see_states', () => <MessagesPage key={location.search} />)}
      {page('/messages/:id', 'see_states', (id) => <MessagePage key={id} id={id ?? ''} />)}
      {page('/held', 'see_states', () => <HeldPage />)}
      {page('/policy/rules', 'see_policy', () => <RulesPage />)}
      {page('/policy/rules/:id', 'see_policy', (id) => <RuleEditPage key={id} index={numberOf(id)} />)}
      {page('/policy/definitions', 'see_policy', () => <DefinitionsPage />)}
      {page('/policy/definitions/:id', 'see_policy', (id) => <DefinitionEditPage key={id} index={numberOf(id)} />)}
      {page('/policy/storages', 'see_states', () => <StoragesPage />)}
      {page('/policy/storages/:id', 'see_policy', (id) => <StorageEditPage key={id} index={numberOf(id)} />)}
      {page('/policy/groups', 'see_policy', () => <GroupsPage />)}
      {page('/policy/groups/:id', 'see_policy', (id) => <GroupEditPage key={id} index={numberOf(id)} />)}
      {page('/policy/pass', 'see_policy', () => <PassPage />)}
      {page('/policy/notices', 'see_policy', () => <NoticesPage />)}
      {page('/policy/test', 'see_policy', () => <TesterPage />)}
      {page('/policy/review', 'see_policy', () => <ReviewPage />)}
      {page('/policy/versions', 'see_policy', () => <VersionsPage />)}
      {page('/policy/yaml', 'see_policy', () => <YamlPage />)}
      {page('/audit', 'see_audit', () => <AuditPage />)}
      {page('/system', 'see_states', () => <SystemPage />)}
      {page('/users', 'manage_users', () => <UsersPage />)}
      {page('/account', null, () => <AccountPage />)}
      {/* Where the organisation's provider leads back to. */}
      <Route path="/login"><Redirect to="/" replace /></Route>
      <Route><PageHead title={t('not-here')} lead={t('not-here.text')} /></Route>
    </Routes>
  );
}

const isSession = (a: SessionAnswer): a is SessionAnswer & Session => a.user !== null && a.role !== null && a.needs === null && !a.recovery;

export function App() {
  const { language, setLanguage } = useWords();
  const [, go] = useLocation();
  const client = useQueryClient();
  const [answer, setAnswer] = useState<SessionAnswer | null>(null);
  const take = useCallback((a: SessionAnswer) => { setCsrf(a.csrf); setAnswer(a); }, []);
  const query = useQuery({ queryKey: ['session'], queryFn: () => get<SessionAnswer>('session'), staleTime: Infinity, refetchOnWindowFocus: false });
  useEffect(() => { if (query.data) take(query.data); }, [query.data, take]);
  useEffect(() => onSignedOut(() => setAnswer((a) => (a && a.user !== null ? { ...a, user: null, role: null, needs: null } : a))), []);
  const own = answer && isSession(answer) ? answer.language : null;
  useEffect(() => { if ((own === 'ja' || own === 'en') && own !== language && !localStorage.getItem('fumibako.language')) setLanguage(own); }, [own, language, setLanguage]);
  // What the server says in words comes in the language of the page.
  const spoken = useRef(language);
  useEffect(() => {
    if (spoken.current === language) return;
    spoken.current = language;
    void client.invalidateQueries({ predicate: (q) => q.queryKey[0] !== 'session' });
  }, [language, client]);
  const signed = useMemo(() => (answer && isSession(answer) ? {
    session: answer,
    may: (p: Permission) => mayRole(answer.role, p),
    signOut: async () => {
      try { await call('session', { method: 'DELETE' }); } finally {
        client.clear();
        setAnswer({ ...answer, user: null, role: null, needs: null } as SessionAnswer);
        go('/');
      }
    },
    refresh: async () => { take(await get<SessionAnswer>('session')); },
  } : null), [answer, client, go, take]);
  if (query.error && !answer) return <div className="door"><main className="door-main"><ErrorBox problem={query.error} retry={() => void query.refetch()} /></main></div>;
  if (!answer) return <div className="door"><main className="door-main"><Loading /></main></div>;
  return (
    <>
      {signed ? (
        <SessionContext.Provider value={signed}>
          <ProveProvider><DraftProvider key={signed.session.user}><Shell /></DraftProvider></ProveProvider>
        </SessionContext.Provider>
      ) : <SignIn answer={answer} onAnswer={take} />}
      <Toasts />
    </>
  );
}
