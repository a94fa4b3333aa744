// SPDX-License-Identifier: Apache-2.0
//
// A small load with all that a day may bring: mail to Box, to the vault and untouched, text and HTML, letters and codes,
// readers who get in and who do not, recalls by the sender and by the operator, held, refused and expired mail, a storage
// that says "too many", somebody at the console's door.

import { Client } from '../integration/portal/kit.mjs';
import { request, waitFor } from '../support/harness.mjs';
import { Scene, deepMail, mail, patience } from './scene.mjs';

const ASK_CHROMIUM = '<html><body><div style="columns:2">two columns</div><p style="position:absolute;left:9px">x</p></body></html>';

async function readers(scene) {
  const reader = await scene.reader('code');
  const enter = await scene.askForCode(reader);
  await reader.client.post(enter.action, [...enter.hidden, ['code', '000000']]);
  const again = Scene.forms((await reader.client.get(reader.link)).text).enter;
  await reader.client.post(again.action, [...again.hidden, ['code', scene.codeOf(reader.to)]]);
  const page = (await reader.client.get(reader.link)).text;
  const download = /href="([^"]*\/download[^"]*)"/.exec(page)?.[1];
  if (download) await reader.client.get(download.replace(/&amp;/g, '&'));
  const looks = await scene.reader('look');
  const image = /<img class="sheet" src="([^"]+)"/.exec(await scene.enter(looks))?.[1];
  await looks.client.get(image.replace(/&amp;/g, '&'));
  await new Client(scene.base).get('/s/AAAAAAAAAAAAAAAAAAAAAA'); // no link of ours
}

async function box(scene) {
  const p = await scene.inBox();
  await scene.stack.box.act({ as: p.to, do: 'preview', folder: p.folder.id });
  await scene.stack.box.act({ as: p.to, do: 'download', folder: p.folder.id });
  await scene.ctl('message', 'recall', p.id, '--content', '--reason', 'a test');
  const q = await scene.inBox();
  const { client, form } = await scene.recallForm(q.id);
  await client.post(form.action, form.hidden);
}

async function console_(scene) {
  const base = `http://127.0.0.1:${scene.world.ports.console}`;
  const host = `localhost:${scene.world.ports.console}`;
  const body = JSON.stringify({ user: 'nobody', password: 'wrong wrong wrong' });
  await request(`${base}/api/v1/session`, { method: 'POST', body, headers: { host, origin: `http://${host}`, 'content-type': 'application/json' } });
}

async function fetch_(scene, n) {
  const ask = (token) => request(`http://127.0.0.1:${scene.world.ports.fetch}/v1/image`, { method: 'POST', body: JSON.stringify({ url: `http://10.0.0.1/${n}.png` }),
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' } });
  await ask('wrong');
  await ask(scene.world.fetchToken);
}

/** One round; resolves when all of it has gone through. */
export async function round(scene, n) {
  const to = (kind) => `${kind}${n}@partner.example.com`;
  await Promise.all([
    ...['a', 'b', 'c'].map((k) => scene.send(to(k))),
    scene.send(`pass${n}@elsewhere.example.com`),
    scene.send(to('html'), mail(to('html'), { html: '<p>Hello <b>there</b></p>' })),
    scene.send(to('chromium'), mail(to('chromium'), { html: ASK_CHROMIUM })),
    scene.send(to('deep'), deepMail(to('deep'))),
    scene.send(to('bare'), 'Subject: x\r\n\r\nbare\nline feed\r\n', { refused: true }),
    readers(scene), box(scene), console_(scene), fetch_(scene, n),
  ]);
  await scene.boxFault('too many', [{ match: { method: 'POST', path: '/2.0/folders$' }, times: 1, do: { status: 429, headers: { 'retry-after': '1' } } }]);
  await scene.inBox(to('late'));
  await scene.boxFault('too many', null);
  for (const k of ['a', 'b', 'c', 'html', 'chromium']) await scene.arrives(to(k));
  await waitFor(async () => (await scene.dead()).length > n, { ...patience, what: 'the held mail' });
}
