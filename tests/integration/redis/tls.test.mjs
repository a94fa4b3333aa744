// SPDX-License-Identifier: Apache-2.0
//
// rediss://: Redis with TLS, and only with the right certificate.  Skipped where the build's hiredis has no TLS
// (Debian 12's; Debian 13's has it).
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { Redis, World, binDir, freePorts, waitFor } from '../../support/harness.mjs';

const walker = path.join(binDir(), 'redis_walk');
const walk = (url, ca) => spawnSync(walker, [url, '3', '4'], { encoding: 'utf8', env: { ...process.env, SSL_CERT_FILE: ca } });
/** Once more where a busy machine left it hardly a step in its four seconds, or stood still for as long as an answer may take. */
function walkFar(url, ca) {
  for (let tries = 1; ; tries++) {
    const r = walk(url, ca);
    const saw = r.status === 0 ? JSON.parse(r.stdout) : null;
    if (tries === 5 || saw === null || (saw.network === 0 && saw.shards.every((s) => s.done > 20))) return r;
  }
}
const probe = walk('rediss://127.0.0.1:1/0', '/dev/null');
const skip = /needs hiredis 1\.0/.test(probe.stderr) ? 'this hiredis has no TLS (Debian 13 has it)' : false;

function openssl(...args) {
  const r = spawnSync('openssl', args, { encoding: 'utf8' });
  assert.equal(r.status, 0, r.stderr);
}

/** A certificate authority and a certificate for `names`: {ca, cert, key}. */
function certificate(dir, name, names) {
  const file = (suffix) => path.join(dir, `${name}.${suffix}`);
  openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', `/CN=CA ${name}`, '-keyout', file('cakey'), '-out', file('ca'));
  openssl('req', '-new', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=redis', '-keyout', file('key'), '-out', file('csr'));
  fs.writeFileSync(file('ext'), `subjectAltName=${names}\n`);
  openssl('x509', '-req', '-in', file('csr'), '-CA', file('ca'), '-CAkey', file('cakey'), '-CAcreateserial', '-days', '2',
    '-extfile', file('ext'), '-out', file('cert'));
  return { ca: file('ca'), cert: file('cert'), key: file('key') };
}

const tlsArgs = (c, port) => ['--tls-port', String(port), '--tls-cert-file', c.cert, '--tls-key-file', c.key,
  '--tls-ca-cert-file', c.ca, '--tls-auth-clients', 'no'];

test('the pipeline\'s client speaks TLS, and refuses a certificate of an unknown authority or another name', { skip }, async (t) => {
  const world = await World.create(t);
  const good = certificate(world.dir, 'good', 'IP:127.0.0.1');
  const other = certificate(world.dir, 'other', 'DNS:elsewhere.example');
  const [tlsPort] = await freePorts(1);
  const redis = await world.startRedis([...tlsArgs(good, tlsPort), '--user', 'walker', 'on', '>secret', '~fb:*', '+@all']);
  const fine = walkFar(`rediss://walker:secret@127.0.0.1:${tlsPort}/0`, good.ca);
  const saw = JSON.parse(fine.stdout);
  assert.equal(saw.wrong + saw.network + saw.again, 0, `${saw.text} ${fine.stderr}`);
  assert.ok(saw.shards.every((s) => s.done > 20), fine.stdout);
  const stranger = JSON.parse(walk(`rediss://127.0.0.1:${tlsPort}/0`, other.ca).stdout);
  assert.equal(stranger.shards[0].done, 0);
  await redis.stop();
  await redis.start([...tlsArgs(other, tlsPort)]);
  const misnamed = JSON.parse(walk(`rediss://127.0.0.1:${tlsPort}/0`, other.ca).stdout);
  assert.equal(misnamed.shards[0].done, 0);
});

test('a cluster with TLS: nodes are found and redirections followed over TLS', { skip }, async (t) => {
  const world = await World.create();
  const cert = certificate(world.dir, 'cluster', 'IP:127.0.0.1');
  const ports = await freePorts(9);
  const nodes = [];
  t.after(async () => {
    for (const node of nodes) await node.stop();
    await world.end();
  });
  for (let i = 0; i < 3; i++) {
    const dir = path.join(world.dir, `node-${i}`);
    fs.mkdirSync(dir);
    const node = new Redis(dir, ports[i]);
    nodes.push(node);
    await node.start([...tlsArgs(cert, ports[3 + i]), '--cluster-enabled', 'yes', '--cluster-port', String(ports[6 + i]), '--tls-cluster', 'yes']);
  }
  const made = spawnSync('redis-cli', ['--tls', '--cacert', cert.ca, '--cluster', 'create',
    ...ports.slice(3, 6).map((p) => `127.0.0.1:${p}`), '--cluster-yes'], { encoding: 'utf8', timeout: 120000 });
  assert.equal(made.status, 0, made.stdout + made.stderr);
  await waitFor(async () => {
    for (const node of nodes) if (!/cluster_state:ok/.test(await node.command('CLUSTER', 'INFO'))) return false;
    return true;
  }, { what: 'the cluster' });
  const r = walkFar(`rediss+cluster://127.0.0.1:${ports[3]},127.0.0.1:${ports[4]}`, cert.ca);
  const saw = JSON.parse(r.stdout);
  assert.equal(saw.wrong, 0, saw.text);
  assert.ok(saw.shards.every((s) => s.done > 20), r.stdout);
});
