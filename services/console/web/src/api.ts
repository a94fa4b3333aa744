// SPDX-License-Identifier: Apache-2.0
//
// Calls of /api/v1 as services/console/openapi.json describes it.  What is refused is thrown as a Problem (RFC 9457).
import { currentLanguage } from './language';
import type { PolicyHead } from './types';

export interface ProblemItem { where: string; what: string; line: number }

export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly type: string,
    readonly detail: string,
    readonly errors: ProblemItem[] = [],
    /** Of a conflict: what is in force now. */
    readonly current: PolicyHead | null = null,
  ) {
    super(detail);
  }
}

let csrf = '';
export const setCsrf = (token: string | null | undefined) => { csrf = token ?? ''; };

let signedOut: () => void = () => {};
/** Called when the session has ended. */
export const onSignedOut = (fn: () => void) => { signedOut = fn; };

export type Query = Record<string, string | number | boolean | null | undefined>;

export function url(path: string, query: Query = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== '' && value !== false) search.set(name, String(value));
  }
  const text = search.toString();
  return `/api/v1/${path}${text ? `?${text}` : ''}`;
}

export interface Call {
  method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  query?: Query;
  json?: unknown;
  body?: BodyInit;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

export interface Answer<T> { data: T; etag: string | null }

const text = (value: unknown): string => (typeof value === 'string' ? value : '');

async function problemOf(response: Response): Promise<Problem> {
  let body: Record<string, unknown> = {};
  try { body = await response.json() as Record<string, unknown>; } catch { /* not ours: a proxy's page */ }
  const errors = Array.isArray(body.errors) ? (body.errors as Record<string, unknown>[])
    .map((e) => ({ where: text(e.where), what: text(e.what), line: typeof e.line === 'number' ? e.line : 0 })) : [];
  return new Problem(response.status, text(body.type).split(/[/:]/).at(-1) ?? '', text(body.detail) || text(body.title)
    || `${response.status} ${response.statusText}`, errors, (body.current ?? null) as PolicyHead | null);
}

export async function callWhole<T>(path: string, call: Call = {}): Promise<Answer<T>> {
  const method = call.method ?? 'GET';
  let response: Response;
  try {
    response = await fetch(url(path, call.query), {
      method,
      credentials: 'same-origin',
      cache: 'no-store',
      signal: call.signal ?? null,
      headers: {
        Accept: 'application/json',
        'Accept-Language': currentLanguage(),
        ...(call.json === undefined ? {} : { 'Content-Type': 'application/json' }),
        ...(method === 'GET' ? {} : { 'X-Fumibako-CSRF': csrf }),
        ...call.headers,
      },
      body: call.json === undefined ? call.body ?? null : JSON.stringify(call.json),
    });
  } catch (e) {
    if (e instanceof DOMException && e.name === 'AbortError') throw e;
    throw new Problem(0, 'offline', currentLanguage() === 'ja' ? 'コンソールに接続できません。しばらくしてからやり直してください。'
      : 'The console cannot be reached. Try again in a moment.');
  }
  if (!response.ok) {
    const problem = await problemOf(response);
    if (problem.status === 401 && !path.startsWith('session')) signedOut();
    throw problem;
  }
  const content = response.status === 204 ? '' : await response.text();
  return { data: (content ? JSON.parse(content) : null) as T, etag: response.headers.get('ETag') };
}

export async function call<T>(path: string, options: Call = {}): Promise<T> {
  return (await callWhole<T>(path, options)).data;
}

export const get = <T>(path: string, query: Query = {}, signal?: AbortSignal) =>
  call<T>(path, { query, ...(signal ? { signal } : {}) });
export const post = <T>(path: string, json: unknown = {}, headers: Record<string, string> = {}) =>
  call<T>(path, { method: 'POST', json, headers });

export interface Page<T> { items: T[]; next: string | null }
