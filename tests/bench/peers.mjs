// SPDX-License-Identifier: Apache-2.0
//
// The pipeline against what people would write today: kit/peers.mjs says what is counted.

import os from 'node:os';
import { report } from './lib.mjs';
import { comparePeers } from './kit/peers.mjs';

const begun = os.loadavg();
process.exitCode = report('peers', await comparePeers(), begun) ? 0 : 1;
