// SPDX-License-Identifier: Apache-2.0
//
// Whether Node can read its sources, all in one process: `node --check` would begin a new one for each.  The names come on
// standard input; what is no JavaScript is named, and ends it with 1.  Run with --experimental-vm-modules.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import vm from 'node:vm';

/** As Node decides it: by the ending, else by the nearest package.json. */
function isModule(file) {
  if (file.endsWith('.mjs')) return true;
  if (file.endsWith('.cjs')) return false;
  for (let dir = path.dirname(path.resolve(file)); ; dir = path.dirname(dir)) {
    const about = path.join(dir, 'package.json');
    if (fs.existsSync(about)) return JSON.parse(fs.readFileSync(about, 'utf8')).type === 'module';
    if (dir === path.dirname(dir)) return false;
  }
}

for (const file of fs.readFileSync(0, 'utf8').split('\n').filter(Boolean)) {
  const text = fs.readFileSync(file, 'utf8');
  try {
    if (isModule(file)) new vm.SourceTextModule(text, { identifier: file });
    // What Node puts around it lets it return.
    else vm.compileFunction(text.replace(/^#!.*/, ''), ['exports', 'require', 'module', '__filename', '__dirname'], { filename: file });
  } catch (error) {
    process.exitCode = 1;
    // Node itself says in which line.
    const { stderr } = spawnSync(process.execPath, ['--check', file], { encoding: 'utf8', timeout: 30000 });
    console.log(stderr ? stderr.split('\n').slice(0, 5).join('\n') : `${file}: ${error}`);
  }
}
