// SPDX-License-Identifier: Apache-2.0
// fumibako completion: real shells complete our command lines.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { run } from './kit.mjs';

/** The commands as the help names them: "group name". */
async function commands() {
  const help = (await run(['--help'])).stdout;
  return [...help.matchAll(/^ {2}([a-z]+)(?: ([a-z-]+))?(?= |$)/gm)].filter((m) => !m[0].startsWith('  --'))
    .map((m) => [m[1], m[2]]);
}

async function script(t, shell) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'fb-completion-'));
  t.after(() => fs.rmSync(dir, { recursive: true }));
  const r = await run(['completion', shell]);
  assert.equal(r.status, 0, r.stderr);
  const file = path.join(dir, shell === 'zsh' ? '_fumibako' : `fumibako.${shell}`);
  fs.writeFileSync(file, r.stdout);
  fs.writeFileSync(path.join(dir, 'offer 1.yaml'), '');
  return { dir, file };
}

const has = (shell) => spawnSync(shell, ['-c', 'true']).status === 0;

test('bash completes commands, options, values and files', async (t) => {
  const { dir, file } = await script(t, 'bash');
  // As bash calls it: the words before the cursor, the last one begun.
  const ask = (...words) => execFileSync('bash', ['-c',
    'set -u; source "$1"; shift; complete -p fumibako >/dev/null; COMP_WORDS=(fumibako "$@"); COMP_CWORD=$#; _fumibako; printf "%s\\n" "${COMPREPLY[@]-}"',
    'bash', file, ...words], { cwd: dir, encoding: 'utf8' }).trim().split('\n').filter(Boolean);
  const all = await commands();
  assert.ok(all.length > 40);
  assert.deepEqual(ask('').sort(), [...new Set(all.map(([group]) => group))].sort());
  for (const group of new Set(all.filter(([, name]) => name).map(([g]) => g))) {
    assert.deepEqual(ask(group, '').sort(), all.filter(([g]) => g === group).map(([, name]) => name).sort(), group);
  }
  assert.deepEqual(ask('mess'), ['message']);
  assert.deepEqual(ask('message', 'list', '--st'), ['--state']);
  assert.deepEqual(ask('message', 'list', '--state', ''), ['open', 'queued', 'planned', 'held', 'done', 'recalled', 'pending']);
  assert.deepEqual(ask('--config', 'x', '--json', 'user', 'role', 'anna', 'o'), ['operator']);
  assert.deepEqual(ask('user', 'role', ''), [], 'a name is the caller\'s');
  assert.deepEqual(ask('policy', 'apply', 'off'), ['offer 1.yaml']);
  assert.deepEqual(ask('--config', 'off'), ['offer 1.yaml']);
  assert.deepEqual(ask('policy', 'apply', '--comment', 'off'), []);
  assert.deepEqual(ask('completion', ''), ['bash', 'zsh', 'fish']);
  assert.ok(ask('message', 'recall', 'x', '--').includes('--preview'));
  assert.ok(!ask('queue', '--').includes('--preview'));
  assert.equal((await run(['completion', 'tcsh'])).status, 2);
});

test('fish completes them, too', { skip: !has('fish') && 'fish is not installed' }, async (t) => {
  const { dir, file } = await script(t, 'fish');
  const ask = (line) => execFileSync('fish', ['--no-config', '-c', 'source $argv[1]; complete -C $argv[2]', file, line],
    { cwd: dir, encoding: 'utf8', env: { ...process.env, HOME: dir } }).trim().split('\n').map((l) => l.split('\t')[0]).filter(Boolean);
  assert.deepEqual(ask('fumibako ').sort(), [...new Set((await commands()).map(([group]) => group))].sort());
  assert.deepEqual(ask('fumibako message l'), ['list']);
  assert.deepEqual(ask('fumibako message list --state h'), ['held']);
  assert.deepEqual(ask('fumibako user role anna o'), ['operator']);
  assert.deepEqual(ask('fumibako policy apply off').map((f) => f.replace(/\\/g, '')), ['offer 1.yaml']);
});

test('zsh completes them, too', { skip: !has('zsh') && 'zsh is not installed' }, async (t) => {
  const { dir } = await script(t, 'zsh');
  // A zsh on a terminal of its own; what it writes behind the tab is the completed line.
  const ask = (line) => execFileSync('zsh', ['-f', '-c', `
    zmodload zsh/zpty
    zpty z env TERM=dumb PS1= zsh -f -i
    zpty -w z 'PS1= RPS1=; unsetopt zle_bracketed_paste; fpath=(${dir} $fpath); autoload -Uz compinit; compinit -u -d ${dir}/dump; cd ${dir}; print -r -- RE''ADY'
    while zpty -r z said '*READY*'; do [[ $said == *READY* ]] && break; done
    zpty -w -n z "$1"$'\\t'
    sleep 0.2
    zpty -w -n z $'\\x01print -r -- "<'$'\\x05>"\\n'
    while zpty -r z said; do print -r -- $said; [[ $said == '<'*'>'* ]] && break; done
    zpty -d z`, 'zsh', line], { encoding: 'utf8', timeout: 90000 }).match(/^<(.*)>\s*$/m)?.[1].trim();
  assert.equal(ask('fumibako mess'), 'fumibako message');
  assert.equal(ask('fumibako message rest'), 'fumibako message restore');
  assert.equal(ask('fumibako message list --state h'), 'fumibako message list --state held');
  assert.equal(ask('fumibako user role anna op'), 'fumibako user role anna operator');
  assert.match(ask('fumibako policy apply off'), /offer\\ 1\.yaml/);
});
