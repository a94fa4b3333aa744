// SPDX-License-Identifier: Apache-2.0
// What cmake/flags.cmake promises, read from the programs as they are shipped (the release preset), and not from flags.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { ROOT } from '../support/harness.mjs';

const release = process.env.FB_RELEASE ?? path.join(ROOT, 'build/release');
const bin = path.join(release, 'bin');
const PROGRAMS = ['fumibako', ...['ingest', 'render', 'upload', 'rewrite', 'revoke', 'watch', 'portal'].map((s) => `fumibako-${s}`)];
const readelf = (...args) => spawnSync('readelf', args, { encoding: 'utf8', maxBuffer: 1 << 28 }).stdout;
const missing = PROGRAMS.some((p) => !fs.existsSync(path.join(bin, p))) && `${bin} is not built`;

for (const program of PROGRAMS) {
  test(`${program} is hardened`, { skip: missing }, () => {
    const file = path.join(bin, program);
    const lacks = [];
    const need = (is, what) => { if (!is) lacks.push(what); };
    const header = readelf('-hW', file);
    const segments = readelf('-lW', file);
    const dynamic = readelf('-dW', file);
    const symbols = readelf('-sW', file);
    need(/Type:\s+DYN/.test(header) && /Flags:.*\bPIE\b/.test(dynamic), 'PIE');
    need(/GNU_RELRO/.test(segments), 'RELRO');
    need(/BIND_NOW|Flags:.*\bNOW\b/.test(dynamic), 'BIND_NOW (full RELRO)');
    need(/GNU_STACK\s.*\sRW\s/.test(segments), 'a stack without execution');
    need(!/LOAD\s.*\sRWE\s/.test(segments), 'no segment that is writable and executable');
    need(!/\((RPATH|RUNPATH)\)/.test(dynamic), 'no search path of its own for libraries');
    need(!/TEXTREL/.test(dynamic), 'no text relocations');
    need(/__stack_chk_fail/.test(symbols), 'the stack protector');
    need((symbols.match(/UND __\w+_chk(@|\s)/g) ?? []).length > 3, '_FORTIFY_SOURCE');
    need(!/__(asan|tsan|ubsan)_/.test(symbols), 'no sanitizer');
    if (process.arch === 'x64') need(/x86 feature:.*SHSTK/.test(readelf('-nW', file)), 'the mark for a shadow stack (CET)');
    assert.deepEqual(lacks, []);
  });
}

test('every file of ours is compiled with the flags that leave no trace in a program', { skip: missing }, () => {
  const commands = JSON.parse(fs.readFileSync(path.join(release, 'compile_commands.json'), 'utf8'));
  assert.ok(commands.length > 100);
  const flags = ['-D_FORTIFY_SOURCE=3', '-fstack-protector-strong', '-fstack-clash-protection',
    ...(process.arch === 'x64' ? ['-fcf-protection=full'] : [])];
  const lacks = commands.flatMap((c) => flags.filter((f) => !c.command.split(' ').includes(f)).map((f) => `${path.relative(ROOT, c.file)}: ${f}`));
  assert.deepEqual(lacks, []);
});
