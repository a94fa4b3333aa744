// SPDX-License-Identifier: Apache-2.0
//
// deploy/postfix as an operator would use it: a real Postfix with the snippets appended to its configuration, the local
// stack behind it, the Box simulator behind that.  Only ports and folders differ from what is shipped.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { ROOT, Smtp, binDir, freeOffset, freePorts, remove, waitFor } from '../support/harness.mjs';
import { hasPostfix } from '../support/postfix.mjs';

const read = (file) => fs.readFileSync(path.join(ROOT, file), 'utf8');
const id = (flag, user) => spawnSync('id', [flag, user], { encoding: 'utf8' }).stdout.trim();

/** Postfix with the snippets; filter and back are the ports of ingest and of the way back. */
async function startPostfix(t, { filter, back, port }) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'fumibako-snippets-'));
  fs.chmodSync(dir, 0o755);
  for (const [name, owner] of [['config', 'root'], ['queue', 'root'], ['data', 'postfix'], ['mail', 'nobody']]) {
    fs.mkdirSync(path.join(dir, name));
    spawnSync('chown', [owner, path.join(dir, name)]);
  }
  const local = (text) => text.replaceAll('10025', String(filter)).replaceAll('10026', String(back));
  fs.writeFileSync(path.join(dir, 'config/main.cf'), `compatibility_level = 3.6
queue_directory = ${dir}/queue
data_directory = ${dir}/data
maillog_file = ${dir}/postfix.log
maillog_file_prefixes = ${dir}
mail_owner = postfix
setgid_group = postdrop
myhostname = mta.example.jp
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
virtual_alias_maps = inline:{ {team@example.jp=hanako@partner.example.com, jiro@partner.example.com} }
virtual_mailbox_domains = static:all
virtual_mailbox_maps = static:all/
virtual_mailbox_base = ${dir}/mail
virtual_uid_maps = static:${id('-u', 'nobody')}
virtual_gid_maps = static:${id('-g', 'nobody')}
virtual_mailbox_limit = 0
mailbox_size_limit = 0
local_recipient_maps =
${local(read('deploy/postfix/main.cf'))}`);
  fs.writeFileSync(path.join(dir, 'config/master.cf'), `127.0.0.1:${port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
showq unix n - n - - showq
postlog unix-dgram n - n - 1 postlogd
${local(read('deploy/postfix/master.cf'))}`);
  const postfix = (verb) => spawnSync('/usr/sbin/postfix', ['-c', `${dir}/config`, verb], { encoding: 'utf8' });
  t.after(async () => {
    postfix('stop');
    await waitFor(() => postfix('status').status !== 0, { timeout: 20000, what: 'Postfix to stop' }).catch(() => {});
    remove(dir);
  });
  const started = postfix('start');
  assert.equal(started.status, 0, started.stderr);
  const folder = `${dir}/mail/all/new`;
  return {
    log: () => (fs.existsSync(`${dir}/postfix.log`) ? fs.readFileSync(`${dir}/postfix.log`, 'utf8') : ''),
    mails: () => (fs.existsSync(folder) ? fs.readdirSync(folder) : []).map((name) => fs.readFileSync(path.join(folder, name), 'latin1')),
  };
}

const to = (mail) => /^Delivered-To: (.*)$/m.exec(mail)[1];

test('through the Postfix snippets each recipient of an alias gets one notice, and nothing goes round again', async (t) => {
  if (!hasPostfix()) return t.skip('needs root and Postfix');
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'fumibako-local-'));
  const [port, back] = await freePorts(2);
  const local = (verb, offset) => spawnSync('deploy/local',
    [verb, '--data', dir, '--port-offset', String(offset), '--relay', `127.0.0.1:${back}`],
    { cwd: ROOT, encoding: 'utf8', env: { ...process.env, FB_BIN: binDir() }, timeout: 400000 });
  let offset;
  t.after(() => { local('down', offset); remove(dir); });
  let up;
  for (let tries = 0; tries < 5; tries++) { // a test beside this one may take a port between the look and the start
    offset = await freeOffset([port, back]);
    up = local('up', offset);
    if (!/is in use by another program/.test(up.stderr)) break;
  }
  assert.equal(up.status, 0, up.stderr);
  const postfix = await startPostfix(t, { filter: 10025 + offset, back, port });

  const smtp = await waitFor(() => Smtp.connect(port), { what: 'Postfix' });
  const content = read('deploy/samples/sample-ja.eml').replace(/\r?\n/g, '\r\n');
  const reply = await smtp.send({ from: 'taro@example.jp', to: 'team@example.jp', content });
  smtp.close();
  assert.equal(reply.code, 250);

  await waitFor(() => postfix.mails().length >= 3, { timeout: 180000, what: `two notices and the receipt\n${postfix.log()}` });
  await new Promise((resolve) => setTimeout(resolve, 2000)); // whatever goes round would come now
  const receipts = postfix.mails().filter((mail) => to(mail) === 'taro@example.jp');
  assert.equal(receipts.length, 1, 'the sender has one receipt');
  assert.match(receipts[0], /^Auto-Submitted: auto-generated\r?$/m);
  const mails = postfix.mails().filter((mail) => !receipts.includes(mail));
  assert.deepEqual(mails.map(to).sort(), ['hanako@partner.example.com', 'jiro@partner.example.com']);
  for (const mail of mails) {
    assert.match(mail, /^X-Fumibako-Id: /m);
    assert.match(mail, /^Message-ID: <sample-ja-1@example\.jp>\r?$/m);
    assert.equal(mail.match(/^Subject: .*$/m)[0].trim(), /^Subject: .*$/m.exec(content)[0].trim());
    assert.doesNotMatch(mail, /\.csv"?\r?\nContent-Disposition: attachment/, 'the attachment is still there');
  }
  const sent = new RegExp(`relay=127\\.0\\.0\\.1\\[127\\.0\\.0\\.1\\]:${10025 + offset},.*status=sent`, 'g');
  const handed = await waitFor(() => { // postlogd writes when it has time
    const lines = postfix.log().match(sent) ?? [];
    return lines.length >= 2 && lines;
  }, { what: 'the lines of both deliveries' });
  assert.equal(handed.length, 2, 'one delivery to Fumibako for each real recipient');
});
