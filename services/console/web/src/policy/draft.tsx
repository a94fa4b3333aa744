// SPDX-License-Identifier: Apache-2.0
//
// The draft of the policy: everybody edits a draft of their own, which lies in this browser's tab until it is saved.  It
// knows the version that it was begun from; the console refuses it when another one is in force by then (If-Match), and the
// draft stays as it is until its owner has decided.
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { createContext, useCallback, useContext, useEffect, useMemo, useState, type ReactNode } from 'react';
import { callWhole, Problem } from '../api';
import { useSession } from '../session';
import type { Policy, PolicyApplied, PolicyHead } from '../types';
import { policyOf, Unreadable, type Item } from './document';
import { mergeTexts } from './merge';

interface Base { head: PolicyHead | null; etag: string | null; document: string }
interface Kept { user: string; base: Base; text: string }
const KEPT = 'fumibako.draft';

function load(user: string): Kept | null {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? 'null') as Kept | null;
    return kept && kept.user === user && typeof kept.text === 'string' ? kept : null;
  } catch {
    return null;
  }
}

export interface Draft {
  /** The policy in force; null while it is loaded, or where there is none yet. */
  server: Policy | null;
  isLoading: boolean;
  error: Error | null;
  refetch: () => unknown;
  /** The text that is shown and edited: the draft, else what is in force. */
  text: string;
  policy: Item;
  isBroken: string | null; // the text is no YAML that can be edited in forms
  isDirty: boolean;
  base: Base;
  /** Somebody else's version is in force since the draft was begun. */
  isBehind: boolean;
  change: (fn: (text: string) => string) => void;
  setText: (text: string) => void;
  undo: () => void;
  canUndo: boolean;
  discard: () => void;
  save: (comment: string) => Promise<PolicyApplied>;
  /** The draft's changes upon the version in force; null where both changed the same lines. */
  merged: () => string | null;
  /** Goes on from the version in force with this text. */
  rebase: (text: string) => void;
}

const Context = createContext<Draft | null>(null);
const EMPTY: Base = { head: null, etag: null, document: '' };

export function DraftProvider({ children }: { children: ReactNode }) {
  const { session, may } = useSession();
  const client = useQueryClient();
  const user = session.user;
  const [kept, setKept] = useState<Kept | null>(() => load(user));
  const [past, setPast] = useState<string[]>([]);
  const query = useQuery({
    queryKey: ['policy'],
    enabled: may('see_policy'),
    refetchInterval: 30000,
    queryFn: async ({ signal }): Promise<{ policy: Policy; etag: string | null } | null> => {
      try {
        const { data, etag } = await callWhole<Policy>('policy', { signal });
        return { policy: data, etag };
      } catch (e) {
        if (e instanceof Problem && e.status === 404) return null;
        throw e;
      }
    },
  });
  const server = query.data?.policy ?? null;
  const now: Base = useMemo(() => (query.data ? { head: query.data.policy, etag: query.data.etag, document: query.data.policy.document } : EMPTY),
    [query.data]);
  const isDirty = kept !== null && kept.text !== kept.base.document;
  const base = kept?.base ?? now;
  const text = kept?.text ?? now.document;

  useEffect(() => {
    if (isDirty) sessionStorage.setItem(KEPT, JSON.stringify(kept));
    else sessionStorage.removeItem(KEPT);
  }, [kept, isDirty]);
  useEffect(() => {
    if (!isDirty) return undefined;
    const warn = (e: BeforeUnloadEvent) => { e.preventDefault(); };
    window.addEventListener('beforeunload', warn);
    return () => window.removeEventListener('beforeunload', warn);
  }, [isDirty]);

  const setText = useCallback((next: string) => {
    setPast((p) => [...p.slice(-49), text]);
    setKept((k) => ({ user, base: k && k.text !== k.base.document ? k.base : now, text: next }));
  }, [text, now, user]);
  const change = useCallback((fn: (text: string) => string) => setText(fn(text)), [setText, text]);
  const forget = useCallback(() => { setKept(null); setPast([]); }, []);

  const [policy, isBroken] = useMemo((): [Item, string | null] => {
    try {
      return [policyOf(text), null];
    } catch (e) {
      if (e instanceof Unreadable) return [{}, e.message];
      throw e;
    }
  }, [text]);

  const value: Draft = {
    server,
    isLoading: query.isPending && may('see_policy'),
    error: query.error,
    refetch: query.refetch,
    text,
    policy,
    isBroken,
    isDirty,
    base,
    isBehind: isDirty && !query.isPending && base.etag !== now.etag,
    change,
    setText,
    undo: () => {
      const last = past.at(-1);
      if (last === undefined) return;
      setPast(past.slice(0, -1));
      setKept(last === base.document ? null : { user, base, text: last });
    },
    canUndo: past.length > 0,
    discard: forget,
    save: async (comment) => {
      const { data } = await callWhole<PolicyApplied>('policy', {
        method: 'PUT', json: { document: text, comment }, headers: { 'If-Match': base.etag ?? '*' } });
      forget();
      await client.invalidateQueries();
      return data;
    },
    merged: () => mergeTexts(base.document, now.document, text),
    rebase: (next) => { setPast([]); setKept({ user, base: now, text: next }); },
  };
  return <Context.Provider value={value}>{children}</Context.Provider>;
}

export function useDraft(): Draft {
  const value = useContext(Context);
  if (!value) throw new Error('outside of DraftProvider');
  return value;
}

export const itemsOf = (policy: Item, section: 'storages' | 'groups' | 'security_definitions' | 'rules'): Item[] => {
  const list = policy[section];
  return Array.isArray(list) ? list.filter((v): v is Item => v !== null && typeof v === 'object' && !Array.isArray(v)) : [];
};
export const textOf = (v: unknown): string => (typeof v === 'string' ? v : typeof v === 'number' || typeof v === 'boolean' ? String(v) : '');
export const textsOf = (v: unknown): string[] => (Array.isArray(v) ? v.map(textOf) : v === null || v === undefined || v === '' ? [] : [textOf(v)]);
export const flagOf = (v: unknown, usual: boolean): boolean => (typeof v === 'boolean' ? v : usual);
export const mapOf = (v: unknown): Item => (v !== null && typeof v === 'object' && !Array.isArray(v) ? v as Item : {});
