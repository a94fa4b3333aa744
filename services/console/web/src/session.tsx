// SPDX-License-Identifier: Apache-2.0
//
// Who is signed in, and what this role may: the console decides; the pages only leave out what it would refuse.
import { createContext, useContext } from 'react';

export type Role = 'admin' | 'operator' | 'auditor' | 'helpdesk';
export type Permission = 'see_states' | 'see_messages' | 'recall' | 'operate' | 'see_policy' | 'edit_policy' | 'see_audit' | 'manage_users';

const ALLOWED: Record<Role, Permission[]> = {
  admin: ['see_states', 'see_messages', 'recall', 'operate', 'see_policy', 'edit_policy', 'see_audit', 'manage_users'],
  operator: ['see_states', 'see_messages', 'recall', 'operate', 'see_policy'],
  auditor: ['see_states', 'see_messages', 'see_policy', 'see_audit'],
  helpdesk: ['see_states'],
};

export interface Session {
  user: string;
  role: Role;
  csrf: string;
  language?: string | null;
  needs: 'totp' | 'passkey' | 'enrol' | 'password' | null;
}

export const mayRole = (role: Role, permission: Permission) => ALLOWED[role]?.includes(permission) ?? false;

interface Signed { session: Session; may: (permission: Permission) => boolean; signOut: () => Promise<void>; refresh: () => Promise<void> }
export const SessionContext = createContext<Signed | null>(null);
export function useSession(): Signed {
  const value = useContext(SessionContext);
  if (!value) throw new Error('outside of a session');
  return value;
}
