// SPDX-License-Identifier: Apache-2.0
//
// Japanese and English: words by key, dates and numbers by Intl.  The choice is kept in the browser; without one the
// browser's own language counts.
import { createContext, useContext, useEffect, useMemo, useState, type ReactNode } from 'react';
import { I18nProvider } from './ui/aria';
import { words, type Word } from './words';

export type Language = 'ja' | 'en';
const KEPT = 'fumibako.language';

function first(): Language {
  const kept = localStorage.getItem(KEPT);
  if (kept === 'ja' || kept === 'en') return kept;
  return navigator.language.toLowerCase().startsWith('ja') ? 'ja' : 'en';
}

let current: Language = first();
/** For calls of the API, which answers in this language. */
export const currentLanguage = (): Language => current;

export type Values = Record<string, string | number>;
export type Translate = (key: Word, values?: Values) => string;

interface Speaker {
  language: Language;
  setLanguage: (language: Language) => void;
  t: Translate;
  /** A word whose key is made of a value from outside, as a state; the value itself when there is none. */
  known: (prefix: string, value: string | null | undefined) => string;
  number: (value: number, digits?: number) => string;
  percent: (value: number) => string;
  bytes: (value: number) => string;
  time: (value: string | number | null | undefined) => string;
  date: (value: string | number | null | undefined) => string;
  ago: (value: string | number) => string;
  span: (ms: number) => string;
}

const Context = createContext<Speaker | null>(null);

const has = (key: string): key is Word => Object.hasOwn(words, key);

function speaker(language: Language, setLanguage: (language: Language) => void): Speaker {
  const locale = language === 'ja' ? 'ja-JP' : 'en-GB';
  const index = language === 'ja' ? 0 : 1;
  const t: Translate = (key, values) => words[key][index].replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = values?.[name];
    return value === undefined ? whole : typeof value === 'number' ? new Intl.NumberFormat(locale).format(value) : value;
  });
  const number = (value: number, digits = 0) => new Intl.NumberFormat(locale, { maximumFractionDigits: digits }).format(value);
  const when = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'medium' });
  const day = new Intl.DateTimeFormat(locale, { dateStyle: 'medium' });
  const relative = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' });
  const valid = (value: string | number | null | undefined) => {
    const date = value === null || value === undefined || value === '' ? null : new Date(value);
    return date && !Number.isNaN(date.getTime()) ? date : null;
  };
  const unit = (value: number, name: string, digits = 0) => new Intl.NumberFormat(locale, { style: 'unit', unit: name,
    unitDisplay: 'short', maximumFractionDigits: digits }).format(value);
  const span = (ms: number) => {
    if (ms < 1000) return unit(ms, 'millisecond');
    if (ms < 60e3) return unit(ms / 1000, 'second', 1);
    if (ms < 3600e3) return unit(ms / 60e3, 'minute', 1);
    if (ms < 86400e3) return unit(ms / 3600e3, 'hour', 1);
    return unit(ms / 86400e3, 'day', 1);
  };
  return {
    language,
    setLanguage,
    t,
    known: (prefix, value) => {
      const key = `${prefix}.${value ?? ''}`;
      return has(key) ? t(key) : value ?? '';
    },
    number,
    percent: (value) => new Intl.NumberFormat(locale, { style: 'percent', maximumFractionDigits: 0 }).format(value),
    bytes: (value) => {
      const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'];
      let n = 0;
      let left = value;
      while (left >= 1000 && n < units.length - 1) { left /= 1000; n++; }
      return n === 0 ? `${number(left)} B` : unit(left, units[n]!, left < 100 ? 1 : 0);
    },
    time: (value) => { const d = valid(value); return d ? when.format(d) : '–'; },
    date: (value) => { const d = valid(value); return d ? day.format(d) : '–'; },
    ago: (value) => {
      const d = valid(value);
      if (!d) return '–';
      const s = (d.getTime() - Date.now()) / 1000;
      const abs = Math.abs(s);
      if (abs < 60) return relative.format(Math.round(s), 'second');
      if (abs < 3600) return relative.format(Math.round(s / 60), 'minute');
      if (abs < 86400) return relative.format(Math.round(s / 3600), 'hour');
      return relative.format(Math.round(s / 86400), 'day');
    },
    span,
  };
}

export function LanguageProvider({ children }: { children: ReactNode }) {
  const [language, set] = useState<Language>(current);
  const value = useMemo(() => speaker(language, (next) => {
    localStorage.setItem(KEPT, next);
    current = next;
    set(next);
  }), [language]);
  useEffect(() => { document.documentElement.lang = language; }, [language]);
  return (
    <Context.Provider value={value}>
      <I18nProvider locale={language === 'ja' ? 'ja-JP' : 'en-GB'}>{children}</I18nProvider>
    </Context.Provider>
  );
}

export function useWords(): Speaker {
  const value = useContext(Context);
  if (!value) throw new Error('outside of LanguageProvider');
  return value;
}
