// SPDX-License-Identifier: Apache-2.0
// Preview only: painted pages with the reader's mark, and no way to the bytes behind them.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import test from 'node:test';
import { descendants } from '../render/kit.mjs';
import { waitFor } from '../../support/harness.mjs';
import { visible } from './kit.mjs';
import { Reading, makePdf, tokenOf } from './reading_kit.mjs';

const BODY = { name: '本文.pdf', type: 'application/pdf', bytes: makePdf(['First page', 'Second page']), body: true };
const PLAN = { name: 'plan.pdf', type: 'application/pdf', bytes: makePdf(['The plan']) };
const SHEET = { name: 'sheet.xlsx', type: 'application/vnd.ms-excel', bytes: Buffer.from('PK not really') };
const BROKEN = { name: 'broken.pdf', type: 'application/pdf', bytes: Buffer.from('%PDF-1.7 nothing') };

const isPng = (body) => body.subarray(0, 8).equals(Buffer.from([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10]));

test('a preview is painted pages, each with the mark, and a clear word about what cannot be shown', async (t) => {
  const r = await Reading.create(t);
  const parcel = r.parcel({ files: [BODY, PLAN, SHEET, BROKEN], download: false });
  const [body, plan, sheet, broken] = Reading.ids(parcel, 4);
  const client = await r.enter(parcel.link);
  const page = await client.get(`/r/${parcel.link}`);
  const text = visible(page.text);
  assert.match(text, /read on this page only\. Each page carries your address and the time/);
  assert.match(text, /sheet\.xlsx Excel workbook, 13 B Files of this kind cannot be shown here/);
  assert.doesNotMatch(page.text, /\/download|body\.pdf|<script|>Download/);
  const images = [...page.text.matchAll(/<img class="sheet" src="([^"]+)" width="(\d+)" height="(\d+)"( loading="lazy")? alt="([^"]+)"/g)];
  assert.deepEqual(images.map((m) => [m[1], m[5]]), [[`/r/${parcel.link}/page/${body}/1.png`, 'Page 1 of 2, as a picture'],
    [`/r/${parcel.link}/page/${body}/2.png`, 'Page 2 of 2, as a picture']]);
  const first = await client.get(images[0][1]);
  assert.equal(first.status, 200);
  assert.ok(isPng(first.body));
  assert.equal(first.body.readUInt32BE(16), Number(images[0][2]));
  assert.equal(first.headers['content-type'], 'image/png');
  assert.match(first.headers['cache-control'], /no-store/);
  // The same page for somebody who may download is another image: without the mark.
  const open = r.parcel({ files: [BODY] });
  const plain = await (await r.enter(open.link)).get(`/r/${open.link}/page/${Reading.ids(open, 1)[0]}/1.png`);
  assert.ok(isPng(plain.body) && plain.body.length < first.body.length / 2, `${plain.body.length} against ${first.body.length}`);

  const shown = await client.get(`/r/${parcel.link}?show=${plan}`);
  assert.match(shown.text, new RegExp(`/page/${plan}/1\\.png`));
  assert.ok(isPng((await client.get(`/r/${parcel.link}/page/${plan}/1.png`)).body));
  assert.match(visible((await client.get(`/r/${parcel.link}?show=${broken}`)).text), /broken\.pdf This file cannot be shown here/);
  assert.match(visible((await client.get(`/r/${parcel.link}?show=${sheet}`)).text), /sheet\.xlsx This file cannot be shown here/);
  for (const no of [`${plan}/2.png`, `${plan}/0.png`, `${plan}/01.png`, `${plan}/1.pdf`, `${plan}/1`, `${sheet}/1.png`, `${broken}/1.png`,
    `${plan}/99999999999.png`, `${'0'.repeat(16)}/1.png`, '../1.png', `${plan}`]) {
    assert.equal((await client.get(`/r/${parcel.link}/page/${no}`)).status, 404, no);
  }
});

test('a preview has no way to the original bytes', async (t) => {
  const r = await Reading.create(t);
  const parcel = r.parcel({ files: [BODY, PLAN], download: false });
  const [body, plan] = Reading.ids(parcel, 2);
  const client = await r.enter(parcel.link);
  // Tickets and tokens as they were given while it could be downloaded: the parcel decides anew.
  parcel.change({ download: true });
  const tickets = [];
  for (const file of [body, plan, 'all']) tickets.push((await r.ask(client, parcel.link, file)).headers.location);
  const token = tokenOf((await client.get(`/r/${parcel.link}`)).text, 'download');
  for (const at of tickets) assert.equal((await client.get(at)).status, 200);
  parcel.change({ download: false });

  const answers = [];
  const take = async (what, answer) => { answers.push([what, await answer]); };
  for (const at of tickets) await take(at, client.get(at));
  for (const at of tickets) await take(`range of ${at}`, client.get(at, { headers: { range: 'bytes=0-99' } }));
  for (const file of [body, plan, 'all']) await take(`download ${file}`, client.post(`/r/${parcel.link}/download`, [['token', token], ['file', file]]));
  for (const headers of [{}, { 'sec-fetch-dest': 'empty' }, { range: 'bytes=0-' }]) await take('body', client.get(`/r/${parcel.link}/body.pdf`, { headers }));
  for (const query of ['', '?view=script', '?view=pdf', `?show=${body}`, `?show=${plan}&view=x`]) await take(`page ${query}`, client.get(`/r/${parcel.link}${query}`));
  await take('image', client.get(`/r/${parcel.link}/page/${plan}/1.png`));
  for (const [what, answer] of answers) {
    assert.ok(!answer.body.includes('%PDF') && !answer.body.includes('The plan') && !answer.body.includes('First page'), what);
    assert.ok(!/pdf|zip|octet/.test(answer.headers['content-type'] ?? ''), what);
    if (!/^(page|image)/.test(what)) assert.equal(answer.status, 403, what);
  }
});

test('whoever looks at the page with a mark by definition gets pictures, and may still download', async (t) => {
  const r = await Reading.create(t);
  const parcel = r.parcel({ files: [BODY], watermark: true });
  const client = await r.enter(parcel.link);
  const page = await client.get(`/r/${parcel.link}`);
  assert.match(page.text, /<img class="sheet"/);
  assert.equal((await client.get(`/r/${parcel.link}/body.pdf`)).status, 403);
  const [body] = Reading.ids(parcel, 1);
  const asked = await r.ask(client, parcel.link, body);
  assert.equal(asked.status, 303);
  assert.ok((await client.get(asked.headers.location)).body.equals(BODY.bytes));
});

test('the portal cannot fork; its painters are made by a process from before, which ends with it', async (t) => {
  const r = await Reading.create(t);
  const zygote = descendants(r.service.pid).find((p) => p.name === 'portal-zygote');
  assert.ok(zygote, 'there is a zygote');
  const parcel = r.parcel({ files: [BODY], download: false });
  const client = await r.enter(parcel.link);
  const [body] = Reading.ids(parcel, 1);
  // Three are painted at once; whose turn does not come within ten seconds is told to come again, and does.
  const answers = [];
  const ask = async () => {
    const { status } = await client.get(`/r/${parcel.link}/page/${body}/1.png`);
    answers.push(status);
    return status !== 503;
  };
  await Promise.all(Array.from({ length: 8 }, () => waitFor(ask, { interval: 1000, what: 'an image' })));
  assert.deepEqual(answers.filter((s) => s !== 503), Array(8).fill(200));
  await waitFor(() => descendants(zygote.pid).length === 0, { what: 'the painters to end' });
  assert.equal((await r.service.stop()).code, 0);
  await waitFor(() => !fs.existsSync(`/proc/${zygote.pid}`), { what: 'the zygote to end' });
});
