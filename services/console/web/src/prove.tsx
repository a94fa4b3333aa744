// SPDX-License-Identifier: Apache-2.0
//
// What is delicate asks for a proof of the last minutes: the call is tried, and tried again once a code or a passkey was
// shown.
import { createContext, useCallback, useContext, useRef, useState, type ReactNode } from 'react';
import { Problem, setCsrf } from './api';
import { useWords } from './language';
import { Proof } from './pages/signin';
import { Dialog } from './ui/dialog';

type Prove = <T>(fn: () => Promise<T>) => Promise<T>;
const Context = createContext<Prove>((fn) => fn());
export const useProve = () => useContext(Context);

interface Waiting { resolve: () => void; reject: (e: unknown) => void }

export function ProveProvider({ children }: { children: ReactNode }) {
  const { t } = useWords();
  const [isOpen, open] = useState(false);
  const waiting = useRef<Waiting | null>(null);
  const prove: Prove = useCallback(async (fn) => {
    try {
      return await fn();
    } catch (e) {
      if (!(e instanceof Problem) || e.type !== 'prove-again') throw e;
      await new Promise<void>((resolve, reject) => {
        waiting.current = { resolve, reject: () => reject(e) };
        open(true);
      });
      return fn();
    }
  }, []);
  const end = (isProved: boolean) => {
    open(false);
    const w = waiting.current;
    waiting.current = null;
    if (isProved) w?.resolve();
    else w?.reject(null);
  };
  return (
    <Context.Provider value={prove}>
      {children}
      <Dialog title={t('prove')} isOpen={isOpen} onClose={() => end(false)}>
        <p>{t('prove.text')}</p>
        <Proof needs="any" onAnswer={(a) => { setCsrf(a.csrf); end(true); }} />
      </Dialog>
    </Context.Provider>
  );
}
