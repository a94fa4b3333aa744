// SPDX-License-Identifier: Apache-2.0
import { X } from './icons';
import { useState, type ReactNode } from 'react';
import { Button as AriaButton, Dialog as AriaDialog, Heading, Modal, ModalOverlay } from './aria';
import { useWords } from '../language';
import { Button, TextField } from './controls';
import { ErrorBox, useAction } from './page';

export function Dialog({ title, isOpen, onClose, children, isWide = false, role }: { title: string; isOpen: boolean; onClose: () => void;
  children: ReactNode; isWide?: boolean; role?: 'alertdialog' | 'dialog' }) {
  const { t } = useWords();
  return (
    <ModalOverlay isOpen={isOpen} onOpenChange={(open) => { if (!open) onClose(); }} isDismissable={role !== 'alertdialog'} className="veil">
      <Modal className={`modal ${isWide ? 'wide' : ''}`}>
        <AriaDialog className="dialog" role={role ?? 'dialog'}>
          <div className="dialog-head">
            <Heading slot="title">{title}</Heading>
            <AriaButton className="button quiet square" aria-label={t('close')} onPress={onClose}><X size={20} aria-hidden /></AriaButton>
          </div>
          {children}
        </AriaDialog>
      </Modal>
    </ModalOverlay>
  );
}

/** Asks before something is done; with `reason`, a text goes along. */
export function Confirm({ title, children, action, isOpen, onClose, run, isDanger = false, reason }: { title: string; children: ReactNode;
  action: string; isOpen: boolean; onClose: () => void; run: (reason: string) => Promise<unknown>; isDanger?: boolean; reason?: string }) {
  const { t } = useWords();
  const [why, setWhy] = useState('');
  const [problem, start, isBusy, clear] = useAction();
  const close = () => { clear(); setWhy(''); onClose(); };
  return (
    <Dialog title={title} isOpen={isOpen} onClose={close} role="alertdialog">
      {children}
      {reason && <TextField label={reason} value={why} onChange={setWhy} rows={2} maxLength={500} />}
      <ErrorBox problem={problem} />
      <div className="actions end">
        <Button onPress={close}>{t('cancel')}</Button>
        <Button kind={isDanger ? 'danger' : 'main'} isPending={isBusy} onPress={() => start(async () => { await run(why); close(); })}>{action}</Button>
      </div>
    </Dialog>
  );
}
