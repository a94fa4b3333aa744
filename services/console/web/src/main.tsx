// SPDX-License-Identifier: Apache-2.0
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { Problem } from './api';
import { App } from './app';
import { LanguageProvider } from './language';
import { beginTheme } from './ui/preferences';
import './style.css';

beginTheme();
const client = new QueryClient({
  // What was refused is refused again; what failed on the way is tried once more.
  defaultOptions: { queries: { retry: (n, e) => !(e instanceof Problem && e.status >= 400 && e.status < 500) && n < 1, refetchIntervalInBackground: false } },
});

createRoot(document.getElementById('app')!).render(
  <StrictMode>
    <QueryClientProvider client={client}>
      <LanguageProvider><App /></LanguageProvider>
    </QueryClientProvider>
  </StrictMode>,
);
