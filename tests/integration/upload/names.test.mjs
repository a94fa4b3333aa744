// SPDX-License-Identifier: Apache-2.0
//
// File names as Box takes them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openDrive, parcelId, startSim } from './kit.mjs';

const long = (n, ext) => 'あ'.repeat(n) + ext;

const TABLE = [
  // what, name, taken, want
  ['an ordinary name', 'Angebot 2026.pdf', [], 'Angebot 2026.pdf'],
  ['Japanese', '見積書①㈱.xlsx', [], '見積書①㈱.xlsx'],
  ['what Box refuses', 'a/b\\c.txt', [], 'a_b_c.txt'],
  ['what Windows refuses', 'a<b>c:d"e|f?g*h.txt', [], 'a_b_c_d_e_f_g_h.txt'],
  ['control characters', 'a\u0001b\tc\nd\u007fe\u0085.txt', [], 'a_b_c_d_e_.txt'],
  ['right-to-left override', 'invoice\u202Efdp.exe', [], 'invoice_fdp.exe'],
  ['line separators', 'a\u2028b\u2029c', [], 'a_b_c'],
  ['above U+FFFF', '😀 party 𠮷.txt', [], '_ party _.txt'],
  ['byte order mark', '\uFEFFa.txt', [], '_a.txt'],
  ['spaces and dots at the ends', ' . name. . ', [], 'name'],
  ['ideographic spaces at the ends', '\u3000name\u3000', [], 'name'],
  ['a hidden file', '.bashrc', [], 'bashrc'],
  ['nothing', '', [], 'file'],
  ['one dot', '.', [], 'file'],
  ['two dots', '..', [], 'file'],
  ['only spaces and dots', ' . . ', [], 'file'],
  ['a path upwards', '../../etc/passwd', [], '_.._etc_passwd'],
  ['255 characters', long(251, '.pdf'), [], long(251, '.pdf')],
  ['256 characters keep their extension', long(252, '.pdf'), [], long(251, '.pdf')],
  ['very long', long(6000, '.xlsx'), [], long(250, '.xlsx')],
  ['very long without extension', long(300, ''), [], long(255, '')],
  ['a sentence is no extension', `${'a'.repeat(250)}. And this goes on and on.`, [], `${'a'.repeat(250)}. And`],
  ['a cut that ends in a space', `${'a'.repeat(250)} ${'b'.repeat(20)}.pdf`, [], `${'a'.repeat(250)}.pdf`],
  ['the same name again', 'a.pdf', ['a.pdf'], 'a (2).pdf'],
  ['the same name in other case', 'A.PDF', ['a.pdf', 'b.pdf'], 'A (2).PDF'],
  ['a third time', 'a.pdf', ['a.pdf', 'a (2).pdf', 'x'], 'a (3).pdf'],
  ['case beyond ASCII', 'ÄÖ.txt', ['äö.txt'], 'ÄÖ (2).txt'],
  ['full-width case', 'ＡＢ.txt', ['ａｂ.txt'], 'ＡＢ (2).txt'],
  ['Greek final sigma', 'ΛΟΓΟΣ', ['λογος'], 'ΛΟΓΟΣ (2)'],
  ['the same after the map', 'a?.txt', ['a_.txt'], 'a_ (2).txt'],
  ['a long name again', long(251, '.pdf'), [long(251, '.pdf')], `${'あ'.repeat(247)} (2).pdf`],
  ['nothing, twice', '', ['file'], 'file (2)'],
];

test('every name of the table becomes what Box takes, and Box takes it', async (t) => {
  const sim = await startSim(t);
  const drive = await openDrive(t, sim);
  await drive.do('create', { parcel_id: parcelId(), path: '' });
  for (const [what, name, taken, want] of TABLE) {
    const { name: got } = await drive.do('safe_name', { name, taken });
    assert.equal(got, want, what);
    assert.ok([...got].length <= 255, what);
    const put = await drive.ask('put', { name: got, type: 'text/plain', size: 3, seed: 1 });
    assert.equal(put.status, 'ok', `${what}: ${put.error}`);
  }
});

test('bytes that are no UTF-8 become readable', async (t) => {
  const sim = await startSim(t);
  const drive = await openDrive(t, sim);
  for (const [hex, want] of [
    ['82a0.txt'.replace('.txt', '2e747874'), '__.txt'], // Shift_JIS
    ['c0af2e747874', '__.txt'], // overlong slash
    ['eda0802e747874', '_.txt'], // a surrogate
    ['61e3812e747874', 'a_.txt'], // cut in the middle
    ['f09f98802e747874', '_.txt'],
    ['f49080802e747874', '_.txt'], // above U+10FFFF
    ['ff', '_'],
  ]) {
    assert.equal((await drive.do('safe_name', { hex, taken: [] })).name, want, hex);
  }
});

test('two thousand files of one name get different names in bounded time', async (t) => {
  const sim = await startSim(t);
  const drive = await openDrive(t, sim);
  const taken = [];
  for (let i = 0; i < 300; i++) {
    const { name } = await drive.do('safe_name', { name: 'image001.png', taken });
    assert.ok(!taken.includes(name));
    taken.push(name);
  }
  const many = Array.from({ length: 2000 }, (_, i) => (i ? `${'n'.repeat(240)} (${i + 1}).png` : `${'n'.repeat(240)}.png`));
  const answer = await drive.do('safe_name', { name: `${'n'.repeat(240)}.png`, taken: many });
  assert.ok(!many.includes(answer.name));
  assert.ok(answer.ms < 10000, `${answer.ms} ms`);
});

test('folder names of a path are made safe as well', async (t) => {
  const sim = await startSim(t);
  const drive = await openDrive(t, sim);
  await drive.do('create', { parcel_id: parcelId(), path: 'a:b//𠮷/../ c ' });
  const { folders } = await sim.state('folders');
  assert.ok(folders.some((f) => /^\/a_b\/_\/file\/c\/m-/.test(f.path)), folders.map((f) => f.path).join(' '));
});
