// SPDX-License-Identifier: Apache-2.0
//
// The editor of a rule.  A new one secures body and attachments, with what storage and definition there is.
import { FlaskConical, Plus, X } from '../ui/icons';
import { useState } from 'react';
import { useLocation } from 'wouter';
import { useWords } from '../language';
import { flagOf, itemsOf, mapOf, textOf, textsOf, type Draft } from '../policy/draft';
import { putItem, type Item, type Json } from '../policy/document';
import { PolicyPage, SizeField, useNameError } from '../policy/parts';
import { Button, Checkbox, Choice, NumberField, Select, TextField, Texts, type Option } from '../ui/controls';
import { Card, Note, PageHead, say } from '../ui/page';

interface Condition { key: string; label: string }

function useTitle(isNew: boolean, name: string) {
  const { t } = useWords();
  return isNew ? t('rule.new') : name;
}

function Conditions({ when, set, isDisabled, groups }: { when: Item; set: (when: Item) => void; isDisabled: boolean; groups: string[] }) {
  const { t } = useWords();
  const attachments = mapOf(when.attachments);
  const put = (value: Item) => set({ ...when, ...value });
  const attach = (value: Item) => put({ attachments: { ...attachments, ...value } });
  const some = (v: string[]): Json | undefined => (v.length > 0 ? v : undefined);
  const used: Record<string, boolean> = {
    from: when.from !== undefined, to: when.to !== undefined, subject: when.subject !== undefined, body: when.body !== undefined,
    header: when.header !== undefined, attachments: when.attachments !== undefined, size_over: when.size_over !== undefined,
  };
  const [added, add] = useState<string[]>([]);
  const shown = (key: string) => used[key] || added.includes(key);
  const all: Condition[] = ['from', 'to', 'subject', 'body', 'header', 'attachments', 'size_over'].map((key) => ({ key, label: t(`when.${key}` as 'when.from') }));
  const drop = (key: string) => { add(added.filter((k) => k !== key)); put({ [key]: undefined }); };
  const who: Option[] = groups.map((g) => ({ id: `group:${g}`, label: t('group.is', { name: g }) }));
  const part = (key: string, title: string, content: React.ReactNode) => shown(key) && (
    <fieldset key={key} className="condition" disabled={isDisabled}>
      <legend>{title}</legend>
      {!isDisabled && <Button kind="quiet" icon={X} className="corner" aria-label={t('remove.one', { name: title })} onPress={() => drop(key)} />}
      {content}
    </fieldset>
  );
  const headers = Object.entries(mapOf(when.header));
  return (
    <>
      {all.every((c) => !shown(c.key)) && <p className="soft">{t('cond.none')}</p>}
      {part('from', t('when.from'), <Texts label={t('when.from.label')} help={t('when.address.help')} values={textsOf(when.from)} isDisabled={isDisabled}
        suggestions={who} placeholder="@example.jp" onChange={(v) => put({ from: some(v) })} />)}
      {part('to', t('when.to'), <Texts label={t('when.to.label')} help={t('when.to.help')} values={textsOf(when.to)} isDisabled={isDisabled}
        suggestions={who} placeholder="!@example.jp" onChange={(v) => put({ to: some(v) })} />)}
      {part('subject', t('when.subject'), <Texts label={t('when.subject.label')} help={t('when.words.help')} values={textsOf(when.subject)}
        isDisabled={isDisabled} placeholder="[secure]" onChange={(v) => put({ subject: some(v) })} />)}
      {part('body', t('when.body'), <Texts label={t('when.body.label')} help={t('when.body.help')} values={textsOf(when.body)} isDisabled={isDisabled}
        onChange={(v) => put({ body: some(v) })} />)}
      {part('header', t('when.header'), <Headers entries={headers} isDisabled={isDisabled}
        set={(next) => put({ header: next.length > 0 ? Object.fromEntries(next) : undefined })} />)}
      {part('attachments', t('when.attachments'), (
        <>
          <Choice label={t('when.attachments.present')} value={attachments.present === true ? 'yes' : attachments.present === false ? 'no' : 'any'}
            isDisabled={isDisabled} onChange={(v) => attach({ present: v === 'any' ? undefined : v === 'yes' })}
            options={[{ id: 'any', label: t('any') }, { id: 'yes', label: t('attachments.some') }, { id: 'no', label: t('attachments.none') }]} />
          <Texts label={t('when.attachments.name')} help={t('when.attachments.name.help')} values={textsOf(attachments.name)} isDisabled={isDisabled}
            placeholder="*.xlsx" onChange={(v) => attach({ name: some(v) })} />
          <Texts label={t('when.attachments.type')} help={t('when.attachments.type.help')} values={textsOf(attachments.type)} isDisabled={isDisabled}
            placeholder="application/pdf" onChange={(v) => attach({ type: some(v) })} />
          <SizeField label={t('when.attachments.larger')} help={t('zero.none')} value={textOf(attachments.larger_than)} isDisabled={isDisabled}
            onChange={(v) => attach({ larger_than: v || undefined })} />
          <NumberField label={t('when.attachments.count')} help={t('zero.none')} value={Number(attachments.count_over ?? 0)} isDisabled={isDisabled}
            onChange={(v) => attach({ count_over: v > 0 ? v : undefined })} max={10000} />
        </>
      ))}
      {part('size_over', t('when.size_over'), <SizeField label={t('when.size.label')} value={textOf(when.size_over)} isDisabled={isDisabled}
        onChange={(v) => put({ size_over: v || undefined })} />)}
      {!isDisabled && all.some((c) => !shown(c.key)) && (
        <div className="add-condition">
          <p className="label">{t('cond.add')}</p>
          <div className="actions">
            {all.filter((c) => !shown(c.key)).map((c) => <Button key={c.key} icon={Plus} onPress={() => add([...added, c.key])}>{c.label}</Button>)}
          </div>
        </div>
      )}
    </>
  );
}

function Headers({ entries, set, isDisabled }: { entries: [string, Json | undefined][]; set: (next: [string, Json][]) => void; isDisabled: boolean }) {
  const { t } = useWords();
  const [name, setName] = useState('');
  const list = entries.map(([k, v]): [string, Json] => [k, v ?? []]);
  const add = () => {
    if (/^[!-9;-~]+$/.test(name) && !list.some(([k]) => k.toLowerCase() === name.toLowerCase())) { set([...list, [name, []]]); setName(''); }
  };
  return (
    <>
      {list.map(([key, values], i) => (
        <div key={key} className="sub">
          <Texts label={t('when.header.values', { name: key })} help={t('when.words.help')} values={textsOf(values)} isDisabled={isDisabled}
            onChange={(v) => set(list.map((e, n): [string, Json] => (n === i ? [key, v] : e)))} />
          {!isDisabled && <Button kind="quiet" icon={X} onPress={() => set(list.filter((_, n) => n !== i))}>{t('remove.one', { name: key })}</Button>}
        </div>
      ))}
      {!isDisabled && (
        <div className="with-button end">
          <TextField label={t('when.header.name')} value={name} onChange={setName} placeholder="X-Classification" maxLength={100} />
          <Button icon={Plus} isDisabled={!name} onPress={add}>{t('add')}</Button>
        </div>
      )}
    </>
  );
}

const STARTING: Item = { name: '', action: 'secure', secure: { body: true, attachments: true }, when: { to: undefined } };

function Editor({ draft, index, mayEdit }: { draft: Draft; index: number | null; mayEdit: boolean }) {
  const { t } = useWords();
  const [, go] = useLocation();
  const rules = itemsOf(draft.policy, 'rules');
  const storages = itemsOf(draft.policy, 'storages');
  const securities = itemsOf(draft.policy, 'security_definitions');
  const groups = itemsOf(draft.policy, 'groups').map((g) => textOf(g.name));
  const [rule, setRule] = useState<Item>(() => (index !== null ? rules[index] ?? {} : {
    ...STARTING,
    name: rules.some((r) => r.name === t('rule.usual')) ? '' : t('rule.usual'),
    storage: textOf(storages[0]?.name) || undefined,
    security: textOf(securities[0]?.name) || undefined,
    receipt: true,
    on_failure: 'hold',
  }));
  const put = (value: Item) => setRule({ ...rule, ...value });
  const name = textOf(rule.name);
  const action = textOf(rule.action) || 'secure';
  const secure = mapOf(rule.secure);
  const body = flagOf(secure.body, true);
  const attachments = flagOf(secure.attachments, true);
  const nameError = useNameError(rules.map((r) => textOf(r.name)), name, index === null ? null : textOf(rules[index]?.name));
  const [isTried, setTried] = useState(false);
  const title = useTitle(index === null, textOf(rules[index ?? -1]?.name));
  const isBox = storages.some((s) => s.name === rule.storage && s.type === 'box');
  const vaults = storages.filter((s) => s.type === 'vault').map((s) => textOf(s.name));
  const needs = action === 'secure' && (!rule.storage || !rule.security || (!body && !attachments));
  const save = () => {
    setTried(true);
    if (nameError || needs) return;
    const value: Item = action === 'secure' ? { ...rule, secure: { body, attachments } }
      : { ...rule, secure: undefined, storage: undefined, security: undefined, without_account: undefined, path: undefined, receipt: undefined,
        on_failure: undefined, strip_tag: action === 'pass' ? rule.strip_tag : undefined, remind_after: undefined };
    draft.change((text) => putItem(text, 'rules', index, value));
    say(t('draft.taken', { name }));
    go('/policy/rules');
  };
  const isDisabled = !mayEdit;
  return (
    <form className="form" onSubmit={(e) => { e.preventDefault(); save(); }}>
      <PageHead title={title} lead={index === null ? t('rule.new.lead') : undefined} />
      <Card title={t('rule.general')}>
        <TextField label={t('name')} help={t('rule.name.help')} value={name} onChange={(v) => put({ name: v })} isDisabled={isDisabled} maxLength={100}
          error={isTried ? nameError : undefined} isRequired />
        <div className="checks">
          <Checkbox isSelected={flagOf(rule.enabled, true)} isDisabled={isDisabled} onChange={(v) => put({ enabled: v ? undefined : false })}>{t('enabled')}</Checkbox>
          <Checkbox isSelected={flagOf(rule.shadow, false)} isDisabled={isDisabled} help={t('shadow.help')} onChange={(v) => put({ shadow: v || undefined })}>{t('shadow')}</Checkbox>
        </div>
      </Card>
      <Card title={t('rule.when')}>
        <p className="help">{t('rule.when.help')}</p>
        <Conditions when={mapOf(rule.when)} set={(when) => put({ when })} isDisabled={isDisabled} groups={groups} />
      </Card>
      <Card title={t('rule.then')}>
        <Choice label={t('rule.action')} value={action} isDisabled={isDisabled} onChange={(v) => put({ action: v })} options={[
          { id: 'secure', label: t('action.secure.long'), help: t('action.secure.help') },
          { id: 'pass', label: t('action.pass.long'), help: t('action.pass.help') },
          { id: 'reject', label: t('action.reject.long'), help: t('action.reject.help') },
        ]} />
        {action === 'secure' && (
          <>
            <div className="checks" role="group" aria-label={t('secure.what')}>
              <p className="label">{t('secure.what')}</p>
              <Checkbox isSelected={attachments} isDisabled={isDisabled} onChange={(v) => put({ secure: { body, attachments: v } })}>{t('secure.attachments')}</Checkbox>
              <Checkbox isSelected={body} isDisabled={isDisabled} help={t('secure.body.help')} onChange={(v) => put({ secure: { body: v, attachments } })}>{t('secure.body')}</Checkbox>
              {isTried && !body && !attachments && <p className="error">{t('secure.nothing')}</p>}
            </div>
            <div className="two">
              <Select label={t('rule.storage')} value={textOf(rule.storage)} isDisabled={isDisabled} onChange={(v) => put({ storage: v })} placeholder={t('choose')}
                error={isTried && !rule.storage ? t('choose.one') : undefined}
                options={storages.map((s) => ({ id: textOf(s.name), label: textOf(s.name), help: t(s.type === 'vault' ? 'storage.vault' : 'storage.box') }))} />
              <Select label={t('rule.security')} value={textOf(rule.security)} isDisabled={isDisabled} onChange={(v) => put({ security: v })} placeholder={t('choose')}
                error={isTried && !rule.security ? t('choose.one') : undefined}
                options={securities.map((s) => ({ id: textOf(s.name), label: textOf(s.name) }))} />
            </div>
            {(storages.length === 0 || securities.length === 0) && (
              <Note tone="warn" title={t('rule.lacks')}>
                <p>
                  {storages.length === 0 && <Button onPress={() => go('/policy/storages/new')} icon={Plus}>{t('storage.new')}</Button>}{' '}
                  {securities.length === 0 && <Button onPress={() => go('/policy/definitions/new')} icon={Plus}>{t('security.new')}</Button>}
                </p>
              </Note>
            )}
            {isBox && (
              <Select label={t('rule.without')} value={textOf(rule.without_account) || 'invite'} isDisabled={isDisabled}
                onChange={(v) => put({ without_account: v === 'invite' ? undefined : v })}
                options={[{ id: 'invite', label: t('rule.without.invite') }, ...vaults.map((v) => ({ id: v, label: t('rule.without.vault', { name: v }) }))]} />
            )}
            <Choice label={t('rule.failure')} value={textOf(rule.on_failure) || 'hold'} isDisabled={isDisabled} onChange={(v) => put({ on_failure: v })} options={[
              { id: 'hold', label: t('failure.hold') }, { id: 'bounce', label: t('failure.bounce') }, { id: 'deliver', label: t('failure.deliver'), help: t('failure.deliver.help') },
            ]} />
            <div className="checks">
              <Checkbox isSelected={flagOf(rule.receipt, false)} isDisabled={isDisabled} help={t('rule.receipt.help')} onChange={(v) => put({ receipt: v || undefined })}>{t('rule.receipt')}</Checkbox>
            </div>
            <NumberField label={t('rule.remind')} help={t('rule.remind.help')} value={Number(rule.remind_after ?? 0)} isDisabled={isDisabled} max={365}
              onChange={(v) => put({ remind_after: v > 0 ? v : undefined })} />
            <TextField label={t('rule.path')} help={t('rule.path.help')} value={textOf(rule.path)} isDisabled={isDisabled} isMono maxLength={500}
              onChange={(v) => put({ path: v || undefined })} placeholder="{sender}/{date:%Y-%m}" />
          </>
        )}
        {action !== 'reject' && (
          <div className="checks">
            <Checkbox isSelected={flagOf(rule.strip_tag, false)} isDisabled={isDisabled} help={t('rule.strip.help')} onChange={(v) => put({ strip_tag: v || undefined })}>{t('rule.strip')}</Checkbox>
          </div>
        )}
      </Card>
      <div className="actions foot">
        <Button onPress={() => go('/policy/rules')}>{mayEdit ? t('cancel') : t('back')}</Button>
        {index !== null && <Button icon={FlaskConical} onPress={() => go('/policy/test')}>{t('nav.tester')}</Button>}
        {mayEdit && <Button type="submit" kind="main">{t('draft.take')}</Button>}
      </div>
    </form>
  );
}

export function RuleEditPage({ index }: { index: number | null }) {
  const { t } = useWords();
  return (
    <PolicyPage>
      {(draft, mayEdit) => (index !== null && !itemsOf(draft.policy, 'rules')[index]
        ? <PageHead title={t('not-here')} lead={t('not-here.text')} />
        : <Editor key={index ?? 'new'} draft={draft} index={index} mayEdit={mayEdit} />)}
    </PolicyPage>
  );
}
