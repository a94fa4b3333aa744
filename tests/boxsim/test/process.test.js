// SPDX-License-Identifier: Apache-2.0
'use strict';
const assert = require('assert');
const crypto = require('crypto');
const fs = require('fs');
const net = require('net');
const os = require('os');
const path = require('path');
const { spawnSync } = require('child_process');
const { test } = require('node:test');
const { start, PROGRAM } = require('../harness');

test('it says where it listens, on the loopback address only, and nothing else', async () => {
  const sim = await start();
  try {
    assert.strictEqual(sim.output.stdout, `boxsim listening on ${sim.port}\n`);
    const outside = Object.values(os.networkInterfaces())
      .flat()
      .find((x) => !x.internal && x.family === 'IPv4');
    if (outside) {
      await assert.rejects(
        new Promise((resolve, reject) => {
          net.connect(sim.port, outside.address).on('connect', resolve).on('error', reject);
        }),
        /ECONNREFUSED/
      );
    }
  } finally {
    await sim.stop();
  }
});

test('SIGTERM ends it with 0 and takes its files along, also during a request', async () => {
  const sim = await start();
  const temp = () => fs.readdirSync(sim.dir).filter((x) => x.startsWith('boxsim-'));
  await sim.file('f', '0', Buffer.alloc(1000000));
  assert.strictEqual(temp().length, 1);
  await sim.faults([{ match: { path: '/users/me$' }, do: { delay_ms: 60000 } }]);
  const pending = sim.api('GET', 'users/me').catch(() => 'broken');
  await new Promise((resolve) => setTimeout(resolve, 100));
  const left = new Promise((resolve) => sim.child.once('exit', () => resolve(temp().length)));
  const { code } = await sim.stop();
  assert.deepStrictEqual([code, await left, await pending], [0, 0, 'broken']);
});

test('a missing config file is written as the developer console would, and kept', async () => {
  const sim = await start();
  const { app, configFile } = sim;
  try {
    assert.strictEqual(fs.statSync(configFile).mode & 0o077, 0);
    const { clientID, clientSecret, appAuth } = app.boxAppSettings;
    for (const value of [
      clientID,
      clientSecret,
      appAuth.publicKeyID,
      appAuth.passphrase,
      app.enterpriseID,
    ]) {
      assert.match(value, /^[a-z0-9]{8,}$/);
    }
    assert.match(appAuth.privateKey, /^-----BEGIN ENCRYPTED PRIVATE KEY-----\n/);
    const der = Buffer.from(appAuth.privateKey.replace(/-----[^-]+-----|\s/g, ''), 'base64');
    assert.ok(der.includes(Buffer.from('2a864886f70d01050d', 'hex')), 'PBES2');
    const key = crypto.createPrivateKey({
      key: appAuth.privateKey,
      passphrase: appAuth.passphrase,
    });
    assert.strictEqual(key.asymmetricKeyDetails.modulusLength, 2048);
    const again = await start({ files: { 'box.json': JSON.stringify(app) } });
    try {
      assert.deepStrictEqual(again.app, app);
      assert.strictEqual((await again.jwt()).status, 200);
      assert.strictEqual((await again.ccg()).status, 200);
    } finally {
      await again.stop();
    }
  } finally {
    await sim.stop();
  }
});

test('a wrong command line is 2, a broken file 78, and each says what', () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'boxsim-test-'));
  const bad = path.join(dir, 'bad');
  fs.writeFileSync(bad, '{"do": {"status": "x"}}');
  const run = (...args) => {
    const { status, stderr } = spawnSync(process.execPath, [PROGRAM, ...args], {
      encoding: 'utf8',
    });
    return [status, stderr];
  };
  try {
    const rows = [
      [['--port', '0'], 2, /--config/],
      [['--config', 'x'], 2, /--port/],
      [['--port', '0', '--config', 'x', '--user', '1'], 2, /--user/],
      [['--port', '70000', '--config', 'x'], 2, /--port/],
      [['--port', '0', '--config', 'x', '--rate', 'low'], 2, /--rate/],
      [['--port', '0', '--config', bad], 78, /boxAppSettings/],
      [
        ['--port', '0', '--config', path.join(dir, 'new.json'), '--faults', bad],
        78,
        /bad:1.*status/,
      ],
    ];
    for (const [args, code, text] of rows) {
      const [status, stderr] = run(...args);
      assert.strictEqual(status, code, args.join(' '));
      assert.match(stderr, text);
    }
  } finally {
    fs.rmSync(dir, { recursive: true });
  }
});

test('the state shows everything, and only what was asked for', async () => {
  const sim = await start({ args: ['--users', '1'] });
  try {
    const folder = await sim.folder('parcel');
    const file = await sim.file('f.txt', folder.id, 'content');
    await sim.invite('folder', folder.id, 'pending.x@example.com', 'previewer');
    await sim.api('PUT', `folders/${folder.id}`, { shared_link: { access: 'collaborators' } });
    const state = await sim.state();
    const [f] = state.files;
    assert.deepStrictEqual(
      [f.id, f.name, f.size, f.sha1, f.parent, f.path],
      [file.id, 'f.txt', 7, file.sha1, folder.id, '/parcel/f.txt']
    );
    assert.deepStrictEqual([state.folders[0].name, state.folders[0].parent], ['parcel', '0']);
    const [c] = state.collaborations;
    assert.deepStrictEqual(
      [c.login, c.role, c.status, c.item],
      ['pending.x@example.com', 'previewer', 'pending', { type: 'folder', id: folder.id }]
    );
    assert.deepStrictEqual(
      [state.shared_links[0].access, state.shared_links[0].item.id],
      ['collaborators', folder.id]
    );
    assert.ok(state.events.length > 0 && state.admin_events.length > 0);
    assert.strictEqual(state.users.length, 2);
    assert.deepStrictEqual(state.violations, []);
    await sim.api('DELETE', `folders/${folder.id}?recursive=true`);
    const after = await sim.state('folders,files,trash');
    assert.deepStrictEqual(Object.keys(after), ['folders', 'files', 'trash']);
    assert.deepStrictEqual(
      [after.folders.length, after.files.length, after.trash.files.length],
      [0, 0, 1]
    );
  } finally {
    await sim.stop();
  }
});
