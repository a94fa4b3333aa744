// SPDX-License-Identifier: Apache-2.0
//
// The other named parts of the policy, each a list and an editor: security definitions, storages, groups; and what passes
// before any rule.
import { Pencil, Plug, Plus, Trash2 } from '../ui/icons';
import { useState, type ReactNode } from 'react';
import { Link, useLocation } from 'wouter';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { get, post } from '../api';
import { useWords } from '../language';
import { useSession } from '../session';
import { flagOf, itemsOf, mapOf, textOf, textsOf, type Draft } from '../policy/draft';
import { putItem, putMap, removeItem, renameUses, usesOf, type Item, type Section } from '../policy/document';
import { DurationField, PolicyPage, SizeField, useNameError } from '../policy/parts';
import type { Checks, Storage, Storages } from '../types';
import { Button, Checkbox, Choice, LinkButton, NumberField, TextField, Texts } from '../ui/controls';
import { Confirm, Dialog } from '../ui/dialog';
import { CheckList, Meter } from '../ui/checks';
import { Card, Empty, ErrorBox, Facts, Loading, Note, PageHead, Pill, say, useAction } from '../ui/page';

const PATHS = { security_definitions: '/policy/definitions', storages: '/policy/storages', groups: '/policy/groups' } as const;
type Named = keyof typeof PATHS;

/* ---- what lists and editors share ---- */

function ListPage({ section, title, lead, newLabel, none, card }: { section: Named; title: string; lead: string; newLabel: string; none: ReactNode;
  card: (item: Item, draft: Draft) => ReactNode }) {
  const { t } = useWords();
  const [removing, remove] = useState<number | null>(null);
  return (
    <PolicyPage>
      {(draft, mayEdit) => {
        const items = itemsOf(draft.policy, section);
        return (
          <>
            <PageHead title={title} lead={lead}>
              {mayEdit && <LinkButton href={`${PATHS[section]}/new`} kind="main" icon={Plus}>{newLabel}</LinkButton>}
            </PageHead>
            {items.length === 0 && none}
            <div className="cards">
              {items.map((item, i) => {
                const name = textOf(item.name);
                const uses = usesOf(draft.policy, section, name);
                return (
                  <Card key={name} title={name} actions={(
                    <>
                      <LinkButton href={`${PATHS[section]}/${i}`} kind="quiet" icon={Pencil}>{mayEdit ? t('edit') : t('show')}</LinkButton>
                      {mayEdit && <Button kind="quiet" icon={Trash2} aria-label={t('remove.one', { name })} onPress={() => remove(i)} />}
                    </>
                  )}>
                    {card(item, draft)}
                    <p className="help">{uses.length > 0 ? t('used.by', { rules: uses.join(t('list.comma')) }) : t('used.by.none')}</p>
                  </Card>
                );
              })}
            </div>
            <Confirm title={t('remove.title', { name: textOf(items[removing ?? -1]?.name) })} action={t('remove')} isDanger isOpen={removing !== null}
              onClose={() => remove(null)} run={async () => draft.change((text) => removeItem(text, section, removing!))}>
              {removing !== null && usesOf(draft.policy, section, textOf(items[removing]?.name)).length > 0
                ? <Note tone="warn" title={t('remove.used')}><p>{usesOf(draft.policy, section, textOf(items[removing]?.name)).join(t('list.comma'))}</p></Note>
                : null}
              <p>{section === 'storages' ? t('remove.storage') : t('remove.draft')}</p>
            </Confirm>
          </>
        );
      }}
    </PolicyPage>
  );
}

function EditPage({ section, index, starting, title, lead, check, children }: { section: Named; index: number | null; starting: Item; title: string; lead?: string;
  check?: (item: Item) => boolean; children: (item: Item, put: (value: Item) => void, isDisabled: boolean, isTried: boolean, draft: Draft) => ReactNode }) {
  const { t } = useWords();
  return (
    <PolicyPage>
      {(draft, mayEdit) => (index !== null && !itemsOf(draft.policy, section)[index] ? <PageHead title={t('not-here')} lead={t('not-here.text')} /> : (
        <EditForm key={index ?? 'new'} draft={draft} mayEdit={mayEdit} section={section} index={index} starting={starting} title={title} lead={lead} check={check}>
          {children}
        </EditForm>
      ))}
    </PolicyPage>
  );
}

function EditForm({ draft, mayEdit, section, index, starting, title, lead, check, children }: { draft: Draft; mayEdit: boolean; section: Named; index: number | null;
  starting: Item; title: string; lead: string | undefined; check: ((item: Item) => boolean) | undefined;
  children: (item: Item, put: (value: Item) => void, isDisabled: boolean, isTried: boolean, draft: Draft) => ReactNode }) {
  const { t } = useWords();
  const [, go] = useLocation();
  const items = itemsOf(draft.policy, section);
  const old = index === null ? null : items[index]!;
  const [item, setItem] = useState<Item>(old ?? starting);
  const [isTried, setTried] = useState(false);
  const name = textOf(item.name);
  const error = useNameError(items.map((i) => textOf(i.name)), name, old ? textOf(old.name) : null);
  const save = () => {
    setTried(true);
    if (error || (check && !check(item))) return;
    draft.change((text) => {
      const next = putItem(text, section as Section, index, item);
      return old && textOf(old.name) !== name ? renameUses(next, section, textOf(old.name), name) : next;
    });
    say(t('draft.taken', { name }));
    go(PATHS[section]);
  };
  const put = (value: Item) => setItem({ ...item, ...value });
  return (
    <form className="form" onSubmit={(e) => { e.preventDefault(); save(); }}>
      <PageHead title={old ? textOf(old.name) : title} lead={lead} />
      <Card>
        <TextField label={t('name')} value={name} onChange={(v) => put({ name: v })} isDisabled={!mayEdit} isRequired maxLength={60}
          help={section === 'storages' && old ? t('storage.rename') : undefined} error={isTried ? error : undefined} />
        {children(item, put, !mayEdit, isTried, draft)}
      </Card>
      <div className="actions foot">
        <Button onPress={() => go(PATHS[section])}>{mayEdit ? t('cancel') : t('back')}</Button>
        {mayEdit && <Button type="submit" kind="main">{t('draft.take')}</Button>}
      </div>
    </form>
  );
}

/* ---- security definitions ---- */

export function DefinitionsPage() {
  const { t, known } = useWords();
  return (
    <ListPage section="security_definitions" title={t('nav.definitions')} lead={t('definitions.lead')} newLabel={t('security.new')}
      none={<Empty title={t('definitions.none')}><p>{t('definitions.none.text')}</p></Empty>}
      card={(item) => {
        const expires = textOf(item.expires_after);
        return (
          <Facts items={[
            [t('security.access'), known('access', textOf(item.access) || 'recipients')],
            [t('security.download'), flagOf(item.download, true) ? t('security.download.yes') : t('security.download.no')],
            [t('security.expires'), expires && expires !== '0' ? expires : t('never')],
            [t('security.proof'), known('proof', textOf(item.proof) || 'code')],
            [t('security.password'), known('password', textOf(item.password) || 'none')],
          ]} />
        );
      }} />
  );
}

export function DefinitionEditPage({ index }: { index: number | null }) {
  const { t } = useWords();
  return (
    <EditPage section="security_definitions" index={index} title={t('security.new')} lead={t('security.lead')}
      starting={{ name: t('security.usual'), access: 'recipients', download: true, expires_after: '30d', proof: 'code' }}>
      {(item, put, isDisabled) => (
        <>
          <Choice label={t('security.access')} value={textOf(item.access) || 'recipients'} isDisabled={isDisabled} onChange={(v) => put({ access: v })} options={[
            { id: 'recipients', label: t('access.recipients.long'), help: t('access.recipients.help') },
            { id: 'company', label: t('access.company.long'), help: t('access.company.help') },
            { id: 'anyone', label: t('access.anyone.long'), help: t('access.anyone.help') },
          ]} />
          <Choice label={t('security.download')} value={flagOf(item.download, true) ? 'yes' : 'no'} isDisabled={isDisabled} onChange={(v) => put({ download: v === 'yes' })}
            options={[{ id: 'yes', label: t('security.download.yes') }, { id: 'no', label: t('security.download.no'), help: t('security.download.help') }]} />
          <DurationField label={t('security.expires')} help={t('security.expires.help')} never={t('security.expires.never')} value={textOf(item.expires_after)}
            isDisabled={isDisabled} onChange={(v) => put({ expires_after: v || undefined, ...(v ? {} : { purge_after: undefined }) })} />
          {textOf(item.expires_after) && textOf(item.expires_after) !== '0' && (
            <DurationField label={t('security.purge')} help={t('security.purge.help')} never={t('security.purge.never')} value={textOf(item.purge_after)}
              isDisabled={isDisabled} onChange={(v) => put({ purge_after: v || undefined })} />
          )}
          <Choice label={t('security.password')} value={textOf(item.password) || 'none'} isDisabled={isDisabled} onChange={(v) => put({ password: v === 'none' ? undefined : v })}
            options={[{ id: 'none', label: t('password.none') }, { id: 'generated', label: t('password.generated'), help: t('password.generated.help') }]} />
          <div className="checks">
            <Checkbox isSelected={flagOf(item.watermark, false)} isDisabled={isDisabled} help={t('security.watermark.help')} onChange={(v) => put({ watermark: v || undefined })}>{t('security.watermark')}</Checkbox>
          </div>
          <details className="more" open={['proof', 'max_downloads', 'trusted_days', 'members', 'reply', 'password_to'].some((k) => item[k] !== undefined)}>
            <summary>{t('security.vault')}</summary>
            <p className="help">{t('security.vault.help')}</p>
            <Choice label={t('security.proof')} value={textOf(item.proof) || 'code'} isDisabled={isDisabled} onChange={(v) => put({ proof: v })} options={[
              { id: 'code', label: t('proof.code'), help: t('proof.code.help') }, { id: 'totp', label: t('proof.totp'), help: t('proof.totp.help') },
              { id: 'link', label: t('proof.link'), help: t('proof.link.help') },
            ]} />
            <div className="two">
              <NumberField label={t('security.trusted')} help={t('security.trusted.help')} value={Number(item.trusted_days ?? 0)} max={90} isDisabled={isDisabled}
                onChange={(v) => put({ trusted_days: v > 0 ? v : undefined })} />
              <NumberField label={t('security.downloads')} help={t('security.downloads.help')} value={Number(item.max_downloads ?? 0)} max={1000000} isDisabled={isDisabled}
                onChange={(v) => put({ max_downloads: v > 0 ? v : undefined })} />
            </div>
            <div className="checks">
              <Checkbox isSelected={flagOf(item.members, false)} isDisabled={isDisabled} help={t('security.members.help')} onChange={(v) => put({ members: v || undefined })}>{t('security.members')}</Checkbox>
              <Checkbox isSelected={flagOf(item.reply, true)} isDisabled={isDisabled} onChange={(v) => put({ reply: v ? undefined : false })}>{t('security.reply')}</Checkbox>
              {item.password === 'generated' && (
                <Checkbox isSelected={item.password_to === 'sender'} isDisabled={isDisabled} help={t('security.to-sender.help')} onChange={(v) => put({ password_to: v ? 'sender' : undefined })}>{t('security.to-sender')}</Checkbox>
              )}
            </div>
          </details>
        </>
      )}
    </EditPage>
  );
}

/* ---- storages ---- */

function StorageTest({ name, onClose }: { name: string; onClose: () => void }) {
  const { t } = useWords();
  const client = useQueryClient();
  const query = useQuery({ queryKey: ['storage-test', name], queryFn: async () => {
    const checks = await post<Checks>(`storages/${encodeURIComponent(name)}/test`);
    void client.invalidateQueries({ queryKey: ['storages'] });
    return checks;
  }, gcTime: 0, retry: false,
    refetchOnWindowFocus: false, staleTime: Infinity });
  return (
    <Dialog title={t('storage.test.title', { name })} isOpen onClose={onClose}>
      {query.isFetching && <Loading />}
      {!query.isFetching && query.error && <ErrorBox problem={query.error} />}
      {!query.isFetching && query.data && <CheckList checks={query.data} good={t('storage.test.good')} bad={t('storage.test.bad')} />}
      <div className="actions end"><Button onPress={() => void query.refetch()} isPending={query.isFetching}>{t('again')}</Button><Button kind="main" onPress={onClose}>{t('close')}</Button></div>
    </Dialog>
  );
}

/** How much is used, as the last look found it. */
function StorageUse({ storage }: { storage: Storage }) {
  const { t, bytes, ago } = useWords();
  const s = storage.state;
  if (!s) return storage.quota !== null && storage.quota > 0 ? <p className="soft">{t('storage.quota.of', { quota: bytes(storage.quota) })}</p> : null;
  const text = (used: number, quota: number | null) => (quota ? t('storage.used.of', { used: bytes(used), quota: bytes(quota) }) : bytes(used));
  const line = (label: string, used: number | null, quota: number | null) => (used === null ? null : quota
    ? <Meter key={label} label={label} value={Math.min(used, quota)} max={quota} text={text(used, quota)} />
    : <p key={label} className="use"><span>{label}</span> <strong>{bytes(used)}</strong> <span className="soft">{quota === 0 ? t('storage.no-limit') : ''}</span></p>);
  return (
    <>
      {line(t('storage.used'), s.used, s.quota)}
      {s.free !== null && <p className="use"><span>{t('storage.free')}</span> <strong>{bytes(s.free)}</strong></p>}
      {s.users.length > 1 && (
        <details className="more">
          <summary>{t('storage.each')}</summary>
          {s.users.map((u) => line(u.user || t('storage.service'), u.used, u.quota))}
        </details>
      )}
      <p className="soft small">{s.at ? t('storage.as-of', { time: ago(s.at) }) : ''}</p>
    </>
  );
}

function StorageState({ storage, onTest }: { storage: Storage; onTest: (() => void) | null }) {
  const { t, known } = useWords();
  const wrong = storage.state?.checks.filter((c) => c.state === 'error') ?? [];
  return (
    <>
      <p><Pill tone={storage.is_ok ? 'good' : 'bad'}>{storage.is_ok ? t('storage.ok') : t('storage.bad')}</Pill></p>
      {storage.alarms.map((a) => <Note key={`${a.kind} ${a.cause} ${a.who}`} tone="bad" title={known('alarm', a.kind)}><p>{a.text}</p></Note>)}
      {wrong.length > 0 && <Note tone="bad" title={t('storage.test.bad')}>{wrong.map((c) => <p key={c.text}>{c.text}</p>)}</Note>}
      <StorageUse storage={storage} />
      {onTest && <p><Button icon={Plug} onPress={onTest}>{t('storage.test')}</Button></p>}
    </>
  );
}

export function StoragesPage() {
  const { t } = useWords();
  const { may } = useSession();
  const [testing, test] = useState<string | null>(null);
  const query = useQuery({ queryKey: ['storages'], queryFn: ({ signal }) => get<Storages>('storages', {}, signal), refetchInterval: 15000 });
  const state = (name: string) => query.data?.items.find((s) => s.name === name);
  const dialog = testing !== null && <StorageTest name={testing} onClose={() => test(null)} />;
  if (!may('see_policy')) {
    return (
      <>
        <PageHead title={t('nav.storages')} lead={t('storages.lead')} />
        <ErrorBox problem={query.error} />
        {query.isPending && <Loading />}
        <div className="cards">{query.data?.items.map((s) => <Card key={s.name} title={s.name}><StorageState storage={s} onTest={null} /></Card>)}</div>
      </>
    );
  }
  return (
    <>
      <ListPage section="storages" title={t('nav.storages')} lead={t('storages.lead')} newLabel={t('storage.new')}
        none={<Empty title={t('storages.none')}><p>{t('storages.none.text')}</p></Empty>}
        card={(item) => {
          const found = state(textOf(item.name));
          return (
            <>
              <Facts items={[[t('storage.type'), item.type === 'vault' ? t('storage.vault') : t('storage.box')],
                [t('storage.place'), <code key="place">{textOf(item.url) || textOf(item.root_folder) || '0'}</code>]]} />
              {found ? <StorageState storage={found} onTest={may('operate') ? () => test(found.name) : null} /> : !query.isPending && <p className="soft">{t('storage.draft')}</p>}
            </>
          );
        }} />
      {dialog}
    </>
  );
}

export function StorageEditPage({ index }: { index: number | null }) {
  const { t } = useWords();
  const isFilled = (i: Item) => (i.type === 'vault' ? Boolean(textOf(i.url) && textOf(i.key_file)) : Boolean(textOf(i.auth_file)));
  return (
    <EditPage section="storages" index={index} title={t('storage.new')} lead={t('storage.lead')} check={isFilled}
      starting={{ name: 'vault', type: 'vault', url: 'file:///var/lib/fumibako/vault', key_file: '/etc/fumibako/vault.key' }}>
      {(item, put, isDisabled, isTried) => {
        const isVault = item.type === 'vault';
        const need = (v: unknown) => (isTried && !textOf(v) ? t('missing') : undefined);
        return (
          <>
            <Choice label={t('storage.type')} value={isVault ? 'vault' : 'box'} isDisabled={isDisabled || index !== null} onChange={(type) => put(type === 'vault'
              ? { type, name: item.name === 'box' ? 'vault' : item.name, url: 'file:///var/lib/fumibako/vault', key_file: '/etc/fumibako/vault.key', auth_file: undefined, root_folder: undefined }
              : { type, name: item.name === 'vault' ? 'box' : item.name, auth_file: '/etc/fumibako/box.json', root_folder: '0', url: undefined, key_file: undefined, quota: undefined })}
            options={[{ id: 'vault', label: t('storage.vault'), help: t('storage.vault.help') }, { id: 'box', label: t('storage.box'), help: t('storage.box.help') }]} />
            {isVault ? (
              <>
                <TextField label={t('storage.url')} help={t('storage.url.help')} value={textOf(item.url)} onChange={(v) => put({ url: v })} isDisabled={isDisabled} isMono error={need(item.url)} isRequired />
                <TextField label={t('storage.key')} help={t('storage.key.help')} value={textOf(item.key_file)} onChange={(v) => put({ key_file: v })} isDisabled={isDisabled} isMono error={need(item.key_file)} isRequired />
                <SizeField label={t('storage.quota')} help={t('zero.none')} value={textOf(item.quota) === '0' ? '' : textOf(item.quota)} onChange={(v) => put({ quota: v || undefined })} isDisabled={isDisabled} />
              </>
            ) : (
              <>
                <TextField label={t('storage.auth')} help={t('storage.auth.help')} value={textOf(item.auth_file)} onChange={(v) => put({ auth_file: v })} isDisabled={isDisabled} isMono error={need(item.auth_file)} isRequired />
                <TextField label={t('storage.root')} help={t('storage.root.help')} value={textOf(item.root_folder)} onChange={(v) => put({ root_folder: v || undefined })} isDisabled={isDisabled} isMono />
                <Texts label={t('storage.users')} help={t('storage.users.help')} isDisabled={isDisabled || (Array.isArray(item.users) && item.users.some((u) => typeof u === 'object'))}
                  values={(Array.isArray(item.users) ? item.users : []).map((u) => textOf(u) || textOf(mapOf(u).id))} onChange={(v) => put({ users: v.length > 0 ? v : undefined })} />
                <Choice label={t('storage.events')} value={textOf(item.events) || 'user'} isDisabled={isDisabled} onChange={(v) => put({ events: v === 'user' ? undefined : v })}
                  options={[{ id: 'user', label: t('storage.events.user') }, { id: 'enterprise', label: t('storage.events.enterprise'), help: t('storage.events.help') }]} />
              </>
            )}
          </>
        );
      }}
    </EditPage>
  );
}

/* ---- groups ---- */

export function GroupsPage() {
  const { t } = useWords();
  return (
    <ListPage section="groups" title={t('nav.groups')} lead={t('groups.lead')} newLabel={t('group.new')}
      none={<Empty title={t('groups.none')}><p>{t('groups.none.text')}</p></Empty>}
      card={(item) => {
        const members = textsOf(item.members);
        return <ul className="tags">{members.slice(0, 12).map((m) => <li key={m} className="tag">{m}</li>)}{members.length > 12 && <li className="soft">{t('more.n', { n: members.length - 12 })}</li>}</ul>;
      }} />
  );
}

export function GroupEditPage({ index }: { index: number | null }) {
  const { t } = useWords();
  return (
    <EditPage section="groups" index={index} title={t('group.new')} starting={{ name: '', members: [] }} check={(i) => textsOf(i.members).length > 0}>
      {(item, put, isDisabled, isTried) => (
        <Texts label={t('group.members')} help={t('group.members.help')} values={textsOf(item.members)} isDisabled={isDisabled} placeholder="@law.example.jp"
          error={isTried && textsOf(item.members).length === 0 ? t('group.empty') : undefined} onChange={(v) => put({ members: v })} />
      )}
    </EditPage>
  );
}

/* ---- what passes before any rule ---- */

export function PassPage() {
  return <PolicyPage>{(draft, mayEdit) => <PassForm draft={draft} mayEdit={mayEdit} />}</PolicyPage>;
}

function PassForm({ draft, mayEdit }: { draft: Draft; mayEdit: boolean }) {
  const { t } = useWords();
  const [, go] = useLocation();
  const [problem, run] = useAction();
  const [pass, setPass] = useState<Item>(() => mapOf(draft.policy.pass));
  const box = (key: 'delivery_reports' | 'auto_replies' | 'encrypted', usual: boolean) => (
    <Checkbox isSelected={flagOf(pass[key], usual)} isDisabled={!mayEdit} help={t(`pass.${key}.help`)} onChange={(v) => setPass({ ...pass, [key]: v })}>{t(`pass.${key}`)}</Checkbox>
  );
  return (
    <form className="form" onSubmit={(e) => { e.preventDefault(); void run(async () => { draft.change((text) => putMap(text, 'pass', pass)); say(t('draft.taken', { name: t('pass.title') })); go('/policy/rules'); }); }}>
      <PageHead title={t('pass.title')} lead={t('pass.lead')} />
      <Card><div className="checks">{box('delivery_reports', true)}{box('auto_replies', false)}{box('encrypted', true)}</div><p className="help"><Link href="/policy/rules">{t('nav.rules')}</Link></p></Card>
      <ErrorBox problem={problem} />
      <div className="actions foot"><Button onPress={() => go('/policy/rules')}>{mayEdit ? t('cancel') : t('back')}</Button>{mayEdit && <Button type="submit" kind="main">{t('draft.take')}</Button>}</div>
    </form>
  );
}
