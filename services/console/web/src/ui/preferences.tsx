// SPDX-License-Identifier: Apache-2.0
import { Languages, Monitor, Moon, Sun } from './icons';
import { useEffect, useState } from 'react';
import { useWords } from '../language';
import { Button } from './controls';

export function LanguageButton() {
  const { language, setLanguage } = useWords();
  const other = language === 'ja' ? 'en' : 'ja';
  return (
    <Button kind="quiet" icon={Languages} onPress={() => setLanguage(other)}>
      <span lang={other}>{other === 'ja' ? '日本語' : 'English'}</span>
    </Button>
  );
}

const KEPT = 'fumibako.theme';
type Theme = 'auto' | 'light' | 'dark';
const ICONS = { auto: Monitor, light: Sun, dark: Moon } as const;
const NEXT: Record<Theme, Theme> = { auto: 'light', light: 'dark', dark: 'auto' };

function kept(): Theme {
  const found = localStorage.getItem(KEPT);
  return found === 'light' || found === 'dark' ? found : 'auto';
}

function show(theme: Theme) {
  if (theme === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}
/** Before anything is drawn. */
export const beginTheme = () => show(kept());

export function ThemeButton() {
  const { t } = useWords();
  const [theme, setTheme] = useState<Theme>(kept);
  useEffect(() => {
    show(theme);
    if (theme === 'auto') localStorage.removeItem(KEPT);
    else localStorage.setItem(KEPT, theme);
  }, [theme]);
  return <Button kind="quiet" icon={ICONS[theme]} aria-label={`${t('theme')}: ${t(`theme.${theme}`)}`} onPress={() => setTheme(NEXT[theme])} />;
}
