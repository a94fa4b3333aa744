// SPDX-License-Identifier: Apache-2.0
import { access } from './access';
import { common } from './common';
import { mail } from './mail';
import { policy } from './policy';
import { states } from './states';

/** [Japanese, English]. */
export const words = { ...common, ...access, ...mail, ...policy, ...states } as const;
export type Word = keyof typeof words;
