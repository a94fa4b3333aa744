// SPDX-License-Identifier: Apache-2.0
// The check of requests against Box's specification, which is not part of this repository:
// FUMIBAKO_SHARED names the directory that holds box/openapi.json and box/boxcheck.js.
'use strict';
const assert = require('assert');
const crypto = require('crypto');
const fs = require('fs');
const path = require('path');
const { spawnSync } = require('child_process');
const { test } = require('node:test');
const { start, sha1, specificationDir, REPOSITORY } = require('../harness');

const dir = specificationDir();
let hasAjv = true;
try {
  require.resolve('ajv');
} catch {
  hasAjv = false;
}
const missing = hasAjv
  ? 'the specification is not at hand (FUMIBAKO_SHARED)'
  : 'ajv is not installed';
const options = { skip: dir && hasAjv ? false : missing, timeout: 120000 };

// One of every kind of request that the product may send, each as it should be.
async function everything(sim) {
  await sim.jwt();
  const folder = await sim.folder('checked');
  await sim.api('PUT', `folders/${folder.id}`, {
    can_non_owners_invite: false,
    can_non_owners_view_collaborators: false,
  });
  await sim.api('OPTIONS', 'files/content', { name: 'a', size: 1, parent: { id: folder.id } });
  const file = await sim.file('日本語.txt', folder.id, 'small');
  await sim.file('log.bin', folder.id, crypto.randomBytes(200 * 1024)); // beyond what the log keeps
  await sim.file('check.bin', folder.id, crypto.randomBytes(3 * 1024 * 1024)); // or is checked
  await sim.upload('日本語.txt', null, 'two', { to: `files/${file.id}/content` });
  await sim.api(
    'GET',
    `folders/${folder.id}/items?usemarker=true&limit=1000&fields=id,type,name,sha1`
  );
  await sim.invite('folder', folder.id, 'a@example.com', 'viewer', {
    is_access_only: true,
    can_view_path: false,
  });
  const { json: collab } = await sim.invite('folder', folder.id, 'pending@example.com');
  await sim.api('GET', `collaborations/${collab.id}?fields=status,acceptance_requirements_status`);
  await sim.api('PUT', `collaborations/${collab.id}`, { role: 'previewer' });
  await sim.api('GET', `folders/${folder.id}/collaborations?limit=1000`);
  await sim.api('DELETE', `collaborations/${collab.id}`);
  await sim.api('PUT', `folders/${folder.id}?fields=shared_link`, {
    shared_link: { access: 'collaborators' },
  });
  await sim.api('PUT', `files/${file.id}?fields=shared_link`, {
    shared_link: {
      access: 'open',
      password: 'Secret#1234',
      permissions: { can_download: false, can_preview: true },
    },
  });
  await sim.api('PUT', `files/${file.id}?fields=shared_link`, { shared_link: null });
  await sim.api('PUT', `folders/${folder.id}/watermark`, { watermark: { imprint: 'default' } });
  await sim.api('GET', `files/${file.id}/content`);
  await sim.api('GET', 'events?stream_position=now');
  await sim.api(
    'GET',
    'events?stream_type=admin_logs_streaming&stream_position=0&event_type=DOWNLOAD,PREVIEW'
  );
  await sim.api(
    'GET',
    `enterprise_configurations/${sim.app.enterpriseID}?categories=security`,
    undefined,
    { headers: { 'box-version': '2025.0' } }
  );
  await chunked(sim, folder);
  await sim.api('DELETE', `folders/${folder.id}?recursive=true`);
  await sim.api('DELETE', `folders/${folder.id}/trash`);
}

async function chunked(sim, folder) {
  const content = crypto.randomBytes(3 * 1024 * 1024 + 5);
  const { json: session } = await sim.api('POST', '/upload/api/2.0/files/upload_sessions', {
    folder_id: folder.id,
    file_size: content.length,
    file_name: 'c',
  });
  const parts = [];
  for (let at = 0; at < content.length; at += session.part_size) {
    const body = content.subarray(at, at + session.part_size);
    const reply = await sim.request('PUT', session.session_endpoints.upload_part, {
      body,
      headers: {
        authorization: `Bearer ${await sim.token()}`,
        'content-type': 'application/octet-stream',
        'content-length': String(body.length),
        digest: `sha=${sha1(body, 'base64')}`,
        'content-range': `bytes ${at}-${at + body.length - 1}/${content.length}`,
      },
    });
    parts.push(reply.json.part);
  }
  await sim.api('GET', `${session.session_endpoints.list_parts}?limit=1000&offset=0`);
  const done = await sim.api(
    'POST',
    session.session_endpoints.commit,
    { parts },
    { headers: { digest: `sha=${sha1(content, 'base64')}` } }
  );
  assert.strictEqual(done.status, 201, done.text);
}

const settings = { chunk_min: 1000, part_size: 1500000 };

test('right requests of every kind pass the check, large bodies too', options, async () => {
  const sim = await start({ args: ['--check', dir], settings });
  try {
    await everything(sim);
    assert.deepStrictEqual((await sim.state('violations')).violations, []);
    assert.strictEqual(sim.output.stderr, '');
  } finally {
    await sim.stop();
  }
});

test(
  'a wrong request is listed and named on stderr, and answered all the same',
  options,
  async () => {
    const sim = await start({ args: ['--check', dir] });
    try {
      const reply = await sim.api('POST', 'folders?field=id', {
        name: 'x',
        parent: { id: '0' },
        colour: 'red',
      });
      assert.strictEqual(reply.status, 201);
      const { violations } = await sim.state('violations');
      assert.strictEqual(violations.length, 1);
      assert.match(violations[0].problems.join(), /colour/);
      assert.match(violations[0].problems.join(), /query field: not in the specification/);
      assert.match(sim.output.stderr, /boxsim violation: .*colour/);
      const large = await sim.upload('y', '0', Buffer.alloc(2 * 1024 * 1024), {
        attributes: { colour: 'red' },
      });
      assert.strictEqual(large.status, 201);
      assert.match((await sim.state('violations')).violations[1].problems.join(), /colour/);
    } finally {
      await sim.stop();
    }
  }
);

test('a request that the client broke off is not held against it', options, async () => {
  const sim = await start({ args: ['--check', dir] });
  try {
    await sim.faults([{ match: { path: '/files/content$' }, times: 1, do: { drop: 'before' } }]);
    await sim.upload('x', '0', Buffer.alloc(500000)).catch(() => null);
    assert.deepStrictEqual((await sim.state('violations')).violations, []);
  } finally {
    await sim.stop();
  }
});

test('the log can be checked afterwards', options, async () => {
  const sim = await start({ args: ['--log', 'log.ndjson'], files: { 'log.ndjson': '' }, settings });
  try {
    await everything(sim);
    const file = path.join(sim.dir, 'log.ndjson');
    const lines = fs
      .readFileSync(file, 'utf8')
      .trim()
      .split('\n')
      .map((x) => JSON.parse(x));
    assert.ok(lines.length > 25);
    assert.ok(lines.every((x) => (x.body || x.bodyB64 || '').length < 100 * 1024));
    // Versioned calls are in another document than the checked one; the log marks them.
    const plain = lines.filter((x) => x.label !== 'versioned API');
    assert.strictEqual(lines.length - plain.length, 1);
    fs.writeFileSync(file, plain.map((x) => JSON.stringify(x)).join('\n'));
    const { status, stdout } = spawnSync(
      process.execPath,
      [path.join(dir, 'boxcheck.js'), path.join(dir, 'openapi.json'), file],
      {
        encoding: 'utf8',
        env: { ...process.env, NODE_PATH: path.join(REPOSITORY, 'tests', 'node_modules') },
      }
    );
    assert.strictEqual(status, 0, stdout);
    assert.match(stdout, new RegExp(`${plain.length} requests, 0 with violations`));
  } finally {
    await sim.stop();
  }
});
