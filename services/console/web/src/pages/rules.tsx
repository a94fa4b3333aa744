// SPDX-License-Identifier: Apache-2.0
import { useQuery } from '@tanstack/react-query';
import { ArrowDown, ArrowUp, Copy, FlaskConical, GripVertical, Pencil, Plus, Trash2 } from '../ui/icons';
import { useState } from 'react';
import { Button as AriaButton, GridList, GridListItem, useDragAndDrop } from '../ui/aria';
import { Link } from 'wouter';
import { get } from '../api';
import { useWords } from '../language';
import { itemsOf, mapOf, textOf, textsOf, flagOf, type Draft } from '../policy/draft';
import { moveItem, putItem, removeItem, type Item } from '../policy/document';
import { PolicyPage } from '../policy/parts';
import type { Hits, RuleHits } from '../types';
import { Button, LinkButton, Switch } from '../ui/controls';
import { Confirm } from '../ui/dialog';
import { Card, Empty, Note, PageHead, Pill, say, type Tone } from '../ui/page';

const TONES: Record<string, Tone> = { secure: 'good', pass: 'calm', reject: 'bad' };

/** The conditions of a rule in words. */
export function useConditions(): (rule: Item) => string[] {
  const { t } = useWords();
  return (rule) => {
    const when = mapOf(rule.when);
    const attachments = mapOf(when.attachments);
    const out: string[] = [];
    const join = (v: string[]) => v.join(t('or'));
    const both = (values: unknown, yes: (v: string) => string, no: (v: string) => string) => {
      const all = textsOf(values);
      const wanted = all.filter((v) => !v.startsWith('!'));
      const unwanted = all.filter((v) => v.startsWith('!')).map((v) => v.slice(1));
      if (wanted.length > 0) out.push(yes(join(wanted)));
      if (unwanted.length > 0) out.push(no(join(unwanted)));
    };
    const list = (key: 'from' | 'to' | 'subject' | 'body', values: unknown) =>
      both(values, (v) => t(`cond.${key}`, { values: v }), (v) => t(`cond.${key}.not`, { values: v }));
    list('from', when.from);
    list('to', when.to);
    list('subject', when.subject);
    list('body', when.body);
    for (const [name, values] of Object.entries(mapOf(when.header))) {
      both(values, (v) => t('cond.header', { name, values: v }), (v) => t('cond.header.not', { name, values: v }));
    }
    if (attachments.present === true) out.push(t('cond.attachments.yes'));
    if (attachments.present === false) out.push(t('cond.attachments.no'));
    if (textsOf(attachments.name).length > 0) out.push(t('cond.attachments.name', { values: textsOf(attachments.name).join(t('or')) }));
    if (textsOf(attachments.type).length > 0) out.push(t('cond.attachments.type', { values: textsOf(attachments.type).join(t('or')) }));
    if (attachments.larger_than !== undefined && attachments.larger_than !== null) out.push(t('cond.attachments.larger', { value: textOf(attachments.larger_than) }));
    if (attachments.count_over !== undefined && attachments.count_over !== null) out.push(t('cond.attachments.count', { value: textOf(attachments.count_over) }));
    if (when.size_over !== undefined && when.size_over !== null) out.push(t('cond.size', { value: textOf(when.size_over) }));
    return out;
  };
}

function Hit({ hits, isShadow }: { hits: RuleHits | undefined; isShadow: boolean }) {
  const { t } = useWords();
  if (!hits) return null;
  return (
    <span className="hits">
      {isShadow ? t('hits.shadow', { today: hits.shadow_today, month: hits.shadow_month }) : t('hits', { today: hits.today, month: hits.month })}
    </span>
  );
}

function RuleList({ draft, mayEdit, hits }: { draft: Draft; mayEdit: boolean; hits: Map<string, RuleHits> }) {
  const { t, known } = useWords();
  const words = useConditions();
  const rules = itemsOf(draft.policy, 'rules');
  const [removing, remove] = useState<number | null>(null);
  const move = (from: number, to: number) => {
    if (from === to || to < 0 || to >= rules.length) return;
    draft.change((text) => moveItem(text, 'rules', from, to));
    say(t('rule.moved', { name: textOf(rules[from]!.name), n: to + 1 }), 'info');
  };
  const { dragAndDropHooks } = useDragAndDrop({
    isDisabled: !mayEdit,
    getItems: (keys) => [...keys].map((k) => ({ 'text/plain': textOf(rules[Number(k)]?.name) })),
    onReorder: (e) => {
      const from = Number([...e.keys][0]);
      const target = Number(e.target.key);
      let to = e.target.dropPosition === 'after' ? target + 1 : target;
      if (from < to) to--;
      move(from, to);
    },
  });
  const change = (i: number, value: Item) => draft.change((text) => putItem(text, 'rules', i, { ...rules[i]!, ...value }));
  return (
    <>
      <GridList aria-label={t('nav.rules')} items={rules.map((rule, id) => ({ id, rule }))} dragAndDropHooks={dragAndDropHooks} className="rules"
        selectionMode="none" dependencies={[rules, hits, mayEdit, t]}>
        {({ id, rule }) => {
          const name = textOf(rule.name);
          const isEnabled = flagOf(rule.enabled, true);
          const isShadow = flagOf(rule.shadow, false);
          const action = textOf(rule.action) || 'secure';
          const conditions = words(rule);
          return (
            <GridListItem id={id} textValue={name} className={`rule ${isEnabled ? '' : 'off'}`}>
              {mayEdit && <AriaButton slot="drag" className="grip" aria-label={t('rule.drag', { name })}><GripVertical size={18} aria-hidden /></AriaButton>}
              <span className="order" aria-hidden>{id + 1}</span>
              <div className="rule-main">
                <p className="rule-name">
                  <Link href={`/policy/rules/${id}`}>{name}</Link>
                  <Pill tone={TONES[action] ?? 'calm'}>{known('action', action)}</Pill>
                  {isShadow && <Pill tone="info">{t('shadow')}</Pill>}
                  {!isEnabled && <Pill tone="warn">{t('disabled')}</Pill>}
                </p>
                <p className="rule-words">{conditions.length > 0 ? conditions.join(t('and')) : t('cond.always')}</p>
                {action === 'secure' && (
                  <p className="rule-words soft">{t('rule.where', { storage: textOf(rule.storage), security: textOf(rule.security) })}</p>
                )}
                <Hit hits={hits.get(name)} isShadow={isShadow} />
              </div>
              <div className="rule-actions">
                {mayEdit && (
                  <>
                    <Switch isSelected={isEnabled} label={t('rule.enable', { name })} onChange={(v) => change(id, { enabled: v ? undefined : false })} />
                    <Button kind="quiet" icon={ArrowUp} isDisabled={id === 0} aria-label={t('rule.up', { name })} onPress={() => move(id, id - 1)} />
                    <Button kind="quiet" icon={ArrowDown} isDisabled={id === rules.length - 1} aria-label={t('rule.down', { name })} onPress={() => move(id, id + 1)} />
                    <Button kind="quiet" icon={Copy} aria-label={t('rule.copy', { name })}
                      onPress={() => draft.change((text) => putItem(text, 'rules', null, { ...rule, name: t('copy.of', { name }), enabled: false }, id + 1))} />
                    <Button kind="quiet" icon={Trash2} aria-label={t('remove.one', { name })} onPress={() => remove(id)} />
                  </>
                )}
                <LinkButton href={`/policy/rules/${id}`} kind="quiet" icon={Pencil}>{mayEdit ? t('edit') : t('show')}</LinkButton>
              </div>
            </GridListItem>
          );
        }}
      </GridList>
      <Confirm title={t('remove.title', { name: removing === null ? '' : textOf(rules[removing]?.name) })} action={t('remove')} isDanger
        isOpen={removing !== null} onClose={() => remove(null)}
        run={async () => draft.change((text) => removeItem(text, 'rules', removing!))}>
        <p>{t('remove.draft')}</p>
      </Confirm>
    </>
  );
}

export function RulesPage() {
  const { t } = useWords();
  const query = useQuery({ queryKey: ['hits'], queryFn: ({ signal }) => get<Hits>('policy/hits', {}, signal), refetchInterval: 60000 });
  const hits = new Map((query.data?.items ?? []).map((h) => [h.rule, h]));
  return (
    <PolicyPage>
      {(draft, mayEdit) => {
        const rules = itemsOf(draft.policy, 'rules');
        const hasStorage = itemsOf(draft.policy, 'storages').length > 0;
        const hasSecurity = itemsOf(draft.policy, 'security_definitions').length > 0;
        return (
          <>
            <PageHead title={t('nav.rules')} lead={t('rules.lead')}>
              <LinkButton href="/policy/test" icon={FlaskConical}>{t('nav.tester')}</LinkButton>
              {mayEdit && <LinkButton href="/policy/rules/new" kind="main" icon={Plus}>{t('rule.new')}</LinkButton>}
            </PageHead>
            {mayEdit && rules.length === 0 && (!hasStorage || !hasSecurity) && (
              <Note title={t('first.title')}>
                <ol className="steps">
                  <li className={hasStorage ? 'done' : ''}><Link href="/policy/storages/new">{t('first.storage')}</Link></li>
                  <li className={hasSecurity ? 'done' : ''}><Link href="/policy/definitions/new">{t('first.security')}</Link></li>
                  <li><Link href="/policy/rules/new">{t('first.rule')}</Link></li>
                </ol>
              </Note>
            )}
            {rules.length === 0 ? <Empty title={t('rules.none')}><p>{t('rules.none.text')}</p></Empty> : <RuleList draft={draft} mayEdit={mayEdit} hits={hits} />}
            {rules.length > 0 && <p className="help">{t('rules.last')}</p>}
            <PassCard draft={draft} />
          </>
        );
      }}
    </PolicyPage>
  );
}

/** What passes before any rule is asked. */
function PassCard({ draft }: { draft: Draft }) {
  const { t } = useWords();
  const pass = mapOf(draft.policy.pass);
  const rows: [string, boolean][] = [
    [t('pass.delivery_reports'), flagOf(pass.delivery_reports, true)],
    [t('pass.auto_replies'), flagOf(pass.auto_replies, false)],
    [t('pass.encrypted'), flagOf(pass.encrypted, true)],
  ];
  return (
    <Card title={t('pass.title')} actions={<LinkButton href="/policy/pass" icon={Pencil}>{t('edit')}</LinkButton>}>
      <ul className="plain">{rows.map(([k, v]) => <li key={k}>{k} <Pill tone={v ? 'good' : 'calm'}>{v ? t('pass.yes') : t('pass.no')}</Pill></li>)}</ul>
    </Card>
  );
}
