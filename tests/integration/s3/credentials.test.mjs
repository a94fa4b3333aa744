// SPDX-License-Identifier: Apache-2.0
// Credentials that end while mail flows: ingest asks for the next ones where the AWS tools do (the machine's IMDSv2, STS
// with a web identity, the agent beside a container), no mail is refused, and nothing is signed with what has ended for long.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import test from 'node:test';
import { Smtp, World, sleep } from '../../support/harness.mjs';
import { REGION, hasS3, startS3 } from '../../support/s3.mjs';

const skip = !hasS3() && 's3rver is missing (npm ci in tests/)';
// ms; those of the agent end without its having said so: the store's refusal is what tells
const LIFE = { imds: 4000, sts: 4000, agent: 5500 };

/** Hands out credentials in the three ways; those that it gave are the only ones that the store takes, while they last. */
async function startIssuer(s3) {
  const issuer = { asked: { imds: 0, sts: 0, agent: 0 }, wrong: [] };
  const issue = (source) => {
    const n = ++issuer.asked[source];
    const key = { keyId: `${source.toUpperCase()}${n}`, secret: `secret/${n}+=`, token: `token/${source}==${n}`, until: Date.now() + LIFE[source] };
    s3.front.keys.push(key);
    return { ...key, expiration: new Date(key.until + (source === 'agent' ? 3600000 : 0)).toISOString().replace(/\.\d+/, '') };
  };
  const json = (k) => JSON.stringify({ Code: 'Success', AccessKeyId: k.keyId, SecretAccessKey: k.secret, Token: k.token, Expiration: k.expiration });
  const server = http.createServer(async (req, res) => {
    let body = '';
    for await (const part of req) body += part;
    const send = (status, text) => { res.writeHead(status, { 'content-length': Buffer.byteLength(text) }); res.end(text); };
    const session = req.headers['x-aws-ec2-metadata-token'] === 'session==';
    const expect = (ok, what) => { if (!ok) issuer.wrong.push(`${req.method} ${req.url}: ${what}`); return ok; };
    if (req.url === '/latest/api/token') {
      if (!expect(req.method === 'PUT' && Number(req.headers['x-aws-ec2-metadata-token-ttl-seconds']) > 0, 'not as version 2 asks')) return send(400, '');
      return send(200, 'session==');
    }
    if (req.url.startsWith('/latest/meta-data/iam/security-credentials/')) {
      if (!expect(session, 'no token')) return send(401, '');
      return send(200, req.url.endsWith('/') ? 'mailer' : json(issue('imds')));
    }
    if (req.url === '/agent') {
      if (!expect(req.headers.authorization === 'pod-token', 'not authorised')) return send(403, '');
      return send(200, json(issue('agent')));
    }
    const form = new URLSearchParams(body);
    if (!expect(form.get('Action') === 'AssumeRoleWithWebIdentity' && form.get('WebIdentityToken') === 'identity.token', body)) return send(403, '');
    const k = issue('sts');
    return send(200, `<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>${k.keyId}</AccessKeyId>` +
      `<SecretAccessKey>${k.secret}</SecretAccessKey><SessionToken>${k.token}</SessionToken><Expiration>${k.expiration}</Expiration>` +
      '</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  issuer.url = `http://127.0.0.1:${server.address().port}`;
  issuer.stop = () => { server.closeAllConnections?.(); server.close(); };
  return issuer;
}

test('credentials of the machine, of a web identity and of the container end while mail flows: every mail is taken', { skip }, async (t) => {
  const s3 = await startS3();
  t.after(() => s3.stop());
  s3.front.keys = []; // no fixed ones
  const issuer = await startIssuer(s3);
  t.after(() => issuer.stop());
  const base = { AWS_REGION: REGION, AWS_ENDPOINT_URL_S3: s3.endpoint, HOME: '/nonexistent', AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '' };
  const worldDir = await World.create(t);
  const file = (name, text) => { const f = path.join(worldDir.dir, name); fs.writeFileSync(f, text); return f; };
  const ways = {
    imds: { AWS_EC2_METADATA_SERVICE_ENDPOINT: issuer.url },
    sts: { AWS_WEB_IDENTITY_TOKEN_FILE: file('identity', 'identity.token\n'), AWS_ROLE_ARN: 'arn:aws:iam::1:role/mailer', AWS_ENDPOINT_URL_STS: issuer.url },
    agent: { AWS_CONTAINER_CREDENTIALS_FULL_URI: `${issuer.url}/agent`, AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: file('pod', 'pod-token\n') },
  };
  await Promise.all(Object.entries(ways).map(async ([way, env]) => {
    const world = await World.create(t);
    await world.startRedis();
    const ingest = await world.start('ingest', { spool: { url: `s3://${s3.bucket}/${way}`, key_file: world.keyFile } },
      { env: { ...base, AWS_EC2_METADATA_DISABLED: way === 'imds' ? 'false' : 'true', ...env } });
    const smtp = await Smtp.connect(world.ports.smtp, { timeout: 60000 });
    const until = Date.now() + LIFE[way];
    let count = 0;
    while (Date.now() < until || issuer.asked[way] < 2) {
      const reply = await smtp.send({});
      assert.equal(reply?.code, 250, `${way}: ${reply?.text} ${ingest.output.slice(-1000)}`);
      count++;
      await sleep(100);
    }
    smtp.close();
    t.diagnostic(`${way}: ${count} mails with ${issuer.asked[way]} sets of credentials`);
    assert.ok(!/secret\/|token\//.test(ingest.output), 'no secret is in the log');
  }));
  assert.deepEqual(issuer.wrong, []);
  assert.ok(s3.counts().expired > 0, 'the store refused what had ended');
  assert.deepEqual(s3.counts().bad, []);
});
