// SPDX-License-Identifier: Apache-2.0
// An S3 server for tests: s3rver, with a front before it that checks every signature by itself (sigv4.mjs), makes
// faults on demand, and adds what s3rver lacks: conditional writes, aborting and listing uploads, SHA-256 checksums.
//
// A fault is asked for by the key: .../fault-<what>-<n>/... befalls the first n requests of each method for that key:
//   500, 503, slowdown   the answer, without touching the store
//   after                the store does it, the answer is lost (connection reset)
//   reset                the connection is reset before anything happens
//   cut                  half of the answer's body, then reset
//   hang                 no answer at all
//   corrupt              one byte of the answer's body is another one
//   inside               CompleteMultipartUpload: 200 with an <Error> inside
// Keys with .../versioned/... keep every version, as a bucket with versions does; .../locked/... forbids deleting one.
// or all requests, by chance: POST /-/faults?rate=0.1&seed=7, with &kind=503 of one kind only; &delay=20 makes each
// answer wait so many milliseconds.  GET /-/counts: what came, and what was wrong with it.
//
// As a program: node s3.mjs [--directory DIR] prints one line of JSON and ends with its standard input.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, readdir, rm, stat } from 'node:fs/promises';
import http from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { sha256, verify } from './sigv4.mjs';

export const KEY_ID = 'S3RVER';
export const SECRET = 'S3RVER';
export const REGION = 'us-east-1';
export const BUCKET = 'fumibako-test';

/** Is s3rver there?  (npm ci in tests/) */
export function hasS3() {
  return existsSync(fileURLToPath(new URL('../node_modules/s3rver/package.json', import.meta.url)));
}

const digest64 = (bytes) => createHash('sha256').update(bytes).digest('base64');

function random(seed) { // mulberry32: the same faults for the same seed
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6D2B79F5) >>> 0;
    let t = a;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

function error(res, status, code, message = code) {
  const body = `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>${message}</Message>` +
    `<RequestId>FRONT${status}</RequestId></Error>`;
  res.writeHead(status, { 'content-type': 'application/xml', 'content-length': Buffer.byteLength(body),
    'x-amz-request-id': `FRONT${status}` });
  res.end(body);
}

class Front {
  constructor(directory, backPort) {
    this.directory = directory;
    this.back = backPort;
    this.agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
    this.faults = new Map();
    this.locks = new Map();
    this.checksums = new Map(); // "bucket/key" or "upload/part" -> base64
    this.counts = { requests: 0, bad: [], faults: 0, calls: {} };
    this.rate = 0;
    this.kind = '';
    this.random = random(1);
    this.delayMs = 0;
    this.versions = []; // {key, id, isMarker}, newest last
    this.keys = [{ keyId: KEY_ID, secret: SECRET }]; // and token, and until (ms): a test may change them
  }

  /** One at a time for a key: s3rver writes in place, S3 is atomic. */
  async locked(key, run) {
    const before = this.locks.get(key) ?? Promise.resolve();
    const mine = before.then(run, run);
    const tail = mine.catch(() => {});
    this.locks.set(key, tail);
    tail.then(() => { if (this.locks.get(key) === tail) this.locks.delete(key); });
    return mine;
  }

  forward(method, target, headers, body) {
    return new Promise((resolve, reject) => {
      const req = http.request({ port: this.back, host: '127.0.0.1', method, path: target, headers, agent: this.agent }, (res) => {
        const parts = [];
        res.on('data', (d) => parts.push(d));
        res.on('end', () => resolve({ status: res.statusCode, headers: res.headers, body: Buffer.concat(parts) }));
        res.on('error', reject);
      });
      req.on('error', reject);
      req.end(body);
    });
  }

  faultOf(method, key) {
    const match = /fault-([a-z0-9]+)-(\d+)/.exec(key);
    if (match) {
      const id = `${method} ${key}`;
      const used = this.faults.get(id) ?? 0;
      if (used < Number(match[2])) {
        this.faults.set(id, used + 1);
        return match[1];
      }
      return '';
    }
    if (this.rate > 0 && this.random() < this.rate) {
      return this.kind || ['500', '503', 'slowdown', 'after', 'reset', 'cut'][Math.floor(this.random() * 6)];
    }
    return '';
  }

  control(req, res, url) {
    if (url.pathname === '/-/faults') {
      this.rate = Number(url.searchParams.get('rate') ?? 0);
      this.random = random(Number(url.searchParams.get('seed') ?? 1));
      this.kind = url.searchParams.get('kind') ?? '';
      this.delayMs = Number(url.searchParams.get('delay') ?? 0);
    }
    const body = JSON.stringify({ ...this.counts, versions: this.versions.length });
    if (url.searchParams.has('reset')) this.counts = { requests: 0, bad: [], faults: 0, calls: {} };
    res.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
    res.end(body);
  }

  /** s3rver answers before its bytes are all in the file; the next one to read it would find a part of them. */
  async written(pathname, size) {
    const file = `${path.join(this.directory, decodeURIComponent(pathname))}._S3rver_object`;
    for (let i = 0; i < 10000; i++) {
      if ((await stat(file).catch(() => null))?.size === size) return;
      await new Promise((r) => setTimeout(r, 2));
    }
  }

  keepVersion(method, pathname, isComplete) {
    const where = decodeURIComponent(pathname);
    if (!where.includes('/versioned/') || (method === 'POST' && !isComplete)) return;
    this.versions.push({ key: where.slice(BUCKET.length + 2), id: `v${this.counts.requests}/+${this.versions.length}`, isMarker: method === 'DELETE' });
  }

  listVersions(res, prefix) {
    const page = this.versions.filter((v) => v.key.startsWith(prefix)).slice(0, 3); // small pages: they are to be asked for again
    const xml = `<?xml version="1.0" encoding="UTF-8"?>\n<ListVersionsResult><IsTruncated>${page.length === 3}</IsTruncated>` +
      page.map((v) => `<${v.isMarker ? 'DeleteMarker' : 'Version'}><Key>${v.key}</Key><VersionId>${v.id}</VersionId>` +
        `</${v.isMarker ? 'DeleteMarker' : 'Version'}>`).join('') + '</ListVersionsResult>';
    res.writeHead(200, { 'content-type': 'application/xml', 'content-length': Buffer.byteLength(xml) });
    res.end(xml);
  }

  deleteVersion(res, pathname, id) {
    const key = decodeURIComponent(pathname).slice(BUCKET.length + 2);
    if (key.includes('/locked/')) return error(res, 403, 'AccessDenied', 'Object is locked');
    this.versions = this.versions.filter((v) => v.key !== key || v.id !== id);
    res.writeHead(204);
    return res.end();
  }

  uploads() { return path.join(this.directory, BUCKET, '._S3rver_uploads'); }

  async listUploads(res, prefix) {
    const ids = await readdir(this.uploads()).catch(() => []);
    let xml = '<?xml version="1.0" encoding="UTF-8"?>\n<ListMultipartUploadsResult>';
    for (const id of ids) {
      const file = path.join(this.uploads(), id, 'key');
      const [key, st] = await Promise.all([readFile(file, 'utf8').catch(() => null), stat(file).catch(() => null)]);
      if (key?.startsWith(prefix)) {
        xml += `<Upload><Key>${key}</Key><UploadId>${id}</UploadId><Initiated>${st.mtime.toISOString()}</Initiated></Upload>`;
      }
    }
    xml += '<IsTruncated>false</IsTruncated></ListMultipartUploadsResult>';
    res.writeHead(200, { 'content-type': 'application/xml', 'content-length': Buffer.byteLength(xml) });
    res.end(xml);
  }

  /** If-None-Match and If-Match; the answer's status, 0 when they hold. */
  async condition(req) {
    const [none, match] = [req.headers['if-none-match'], req.headers['if-match']];
    if (!none && !match) return 0;
    const file = path.join(this.directory, decodeURIComponent(req.url.split('?')[0]));
    const etag = await readFile(`${file}._S3rver_object.md5`, 'utf8').catch(() => null);
    if (none === '*' && etag !== null) return 412;
    if (match && etag === null) return 404;
    if (match && `"${etag}"` !== match) return 412;
    return 0;
  }

  note(method, url, req, body, answer) {
    const where = decodeURIComponent(url.pathname);
    const upload = url.searchParams.get('uploadId');
    if (answer.status >= 300) return {};
    if (method === 'PUT' && upload) {
      this.checksums.set(`${upload}/${url.searchParams.get('partNumber')}`, digest64(body));
      return { 'x-amz-checksum-sha256': digest64(body) };
    }
    if (method === 'PUT') {
      this.checksums.set(where, digest64(body));
      return { 'x-amz-checksum-sha256': digest64(body) };
    }
    if (method === 'POST' && upload) {
      const numbers = [...body.toString().matchAll(/<PartNumber>(\d+)</g)].map((m) => m[1]);
      const all = numbers.map((n) => Buffer.from(this.checksums.get(`${upload}/${n}`) ?? '', 'base64'));
      this.checksums.set(where, `${digest64(Buffer.concat(all))}-${numbers.length}`);
    }
    if ((method === 'HEAD' || method === 'GET') && req.headers['x-amz-checksum-mode'] && this.checksums.has(where)) {
      return { 'x-amz-checksum-sha256': this.checksums.get(where) };
    }
    return {};
  }

  async answer(req, res, body) {
    const url = new URL(req.url, 'http://front');
    const method = req.method;
    const pairs = [];
    for (let i = 0; i < req.rawHeaders.length; i += 2) pairs.push([req.rawHeaders[i], req.rawHeaders[i + 1]]);
    this.counts.requests++;
    const call = `${method}${url.searchParams.has('list-type') ? ' list' : url.searchParams.has('uploads') ? ' uploads' : url.searchParams.has('uploadId') ? ' part' : ''}`;
    this.counts.calls[call] = (this.counts.calls[call] ?? 0) + 1;
    const key = this.keys.find((k) => req.headers.authorization?.includes(`Credential=${k.keyId}/`));
    if (!key) return error(res, 403, 'InvalidAccessKeyId');
    if (key.token && req.headers['x-amz-security-token'] !== key.token) return error(res, 403, 'InvalidToken');
    if (key.until && Date.now() > key.until) {
      this.counts.expired = (this.counts.expired ?? 0) + 1;
      return error(res, 400, 'ExpiredToken', 'The provided token has expired.');
    }
    const wrong = verify({ method, target: req.url, headers: pairs, body }, { ...key, region: REGION });
    if (wrong) {
      this.counts.bad.push(`${method} ${req.url}: ${wrong}`);
      return error(res, 403, 'SignatureDoesNotMatch');
    }
    const given = req.headers['x-amz-checksum-sha256'];
    if (given && given !== digest64(body)) return error(res, 400, 'BadDigest');
    if (this.delayMs > 0) await new Promise((r) => setTimeout(r, this.delayMs));
    const fault = this.faultOf(call, url.pathname);
    if (fault) this.counts.faults++;
    if (fault === '500') return error(res, 500, 'InternalError');
    if (fault === '503') return error(res, 503, 'ServiceUnavailable');
    if (fault === 'slowdown') return error(res, 503, 'SlowDown', 'Please reduce your request rate.');
    if (fault === 'reset') return req.socket.resetAndDestroy();
    if (fault === 'hang') return undefined;
    if (fault === 'inside' && method === 'POST') {
      const xml = '<?xml version="1.0"?>\n<Error><Code>InternalError</Code><Message>again</Message></Error>';
      res.writeHead(200, { 'content-length': Buffer.byteLength(xml) });
      return res.end(xml);
    }
    return this.locked(url.pathname, () => this.pass(req, res, url, body, fault));
  }

  async pass(req, res, url, body, fault) {
    const method = req.method;
    const upload = url.searchParams.get('uploadId');
    if (method === 'GET' && url.searchParams.has('uploads')) return this.listUploads(res, url.searchParams.get('prefix') ?? '');
    const prefix = url.searchParams.get('prefix') ?? '';
    if (method === 'GET' && url.searchParams.has('versions') && prefix.includes('/versioned/')) return this.listVersions(res, prefix);
    if (method === 'DELETE' && url.searchParams.has('versionId')) return this.deleteVersion(res, url.pathname, url.searchParams.get('versionId'));
    if (method === 'DELETE' && upload) {
      const dir = path.join(this.uploads(), path.basename(upload));
      const had = existsSync(dir);
      await rm(dir, { recursive: true, force: true });
      if (!had) return error(res, 404, 'NoSuchUpload');
      res.writeHead(204);
      return res.end();
    }
    if (upload && !existsSync(path.join(this.uploads(), path.basename(upload)))) return error(res, 404, 'NoSuchUpload');
    if (!upload && (method === 'PUT' || method === 'GET')) {
      const status = await this.condition(req);
      if (status === 412) return error(res, 412, 'PreconditionFailed');
      if (status === 404) return error(res, 404, 'NoSuchKey');
    }
    if (method === 'GET' && req.headers.range) { // s3rver breaks off at a range of nothing
      const file = `${path.join(this.directory, decodeURIComponent(url.pathname))}._S3rver_object`;
      const st = await stat(file).catch(() => null);
      if (st?.size === 0) return error(res, 416, 'InvalidRange');
    }
    const headers = { ...req.headers }; // checked here; s3rver knows one key only, and takes requests without any
    delete headers.authorization;
    delete headers['x-amz-security-token'];
    const answer = await this.forward(method, req.url, headers, body);
    if (method === 'PUT' && !upload && answer.status < 300) await this.written(url.pathname, body.length);
    if (answer.status < 300 && ['PUT', 'DELETE', 'POST'].includes(method) && (!upload || method === 'POST')) {
      this.keepVersion(method, url.pathname, Boolean(upload));
    }
    const out = { ...answer.headers, ...this.note(method, url, req, body, answer), 'x-amz-request-id': `R${this.counts.requests}` };
    delete out.connection;
    delete out['keep-alive'];
    delete out['transfer-encoding'];
    if (method !== 'HEAD' && answer.status !== 204) out['content-length'] = answer.body.length;
    if (fault === 'after') return req.socket.resetAndDestroy();
    if (fault === 'corrupt' && answer.body.length > 0) answer.body[answer.body.length >> 1] ^= 1;
    res.writeHead(answer.status, out);
    if (fault === 'cut') {
      res.write(answer.body.subarray(0, answer.body.length >> 1));
      return setTimeout(() => req.socket.resetAndDestroy(), 5);
    }
    return res.end(method === 'HEAD' ? undefined : answer.body);
  }
}

/** Starts both; {port, endpoint, env, counts(), stop()}.  env: what a client's environment needs. */
export async function startS3({ directory = null } = {}) {
  const require = createRequire(import.meta.url);
  const crypto = require('crypto');
  const { createCipheriv } = crypto;
  // s3rver makes continuation tokens with DES, which OpenSSL 3 has no more.  We list by start-after.
  crypto.createCipheriv = (name, ...rest) => (name === 'des'
    ? createCipheriv('aes-128-cbc', Buffer.alloc(16), Buffer.alloc(16)) : createCipheriv(name, ...rest));
  const S3rver = require('s3rver');
  const dir = directory ?? await mkdtemp(path.join(tmpdir(), 'fumibako-s3-'));
  const back = new S3rver({ port: 0, address: '127.0.0.1', silent: true, directory: dir, configureBuckets: [{ name: BUCKET, configs: [] }] });
  const { port: backPort } = await back.run();
  back.httpServer.keepAliveTimeout = 0; // or it ends an idle connection just when the next request is on its way
  const front = new Front(dir, backPort);
  const server = http.createServer((req, res) => {
    const url = new URL(req.url, 'http://front');
    if (url.pathname.startsWith('/-/')) return front.control(req, res, url);
    const parts = [];
    req.on('data', (d) => parts.push(d));
    req.on('error', () => {});
    return req.on('end', () => front.answer(req, res, Buffer.concat(parts)).catch((e) => {
      front.counts.bad.push(`front: ${e.stack}`);
      if (!res.headersSent) error(res, 500, 'InternalError');
    }));
  });
  server.keepAliveTimeout = 60000;
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  const endpoint = `http://127.0.0.1:${port}`;
  return {
    port, endpoint, directory: dir, bucket: BUCKET, front,
    env: { AWS_ACCESS_KEY_ID: KEY_ID, AWS_SECRET_ACCESS_KEY: SECRET, AWS_REGION: REGION, AWS_ENDPOINT_URL_S3: endpoint },
    counts: () => front.counts,
    async stop() {
      server.closeAllConnections?.();
      await new Promise((resolve) => server.close(resolve));
      front.agent.destroy();
      await back.close();
      if (!directory) await rm(dir, { recursive: true, force: true, maxRetries: 10 });
    },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const at = process.argv.indexOf('--directory');
  const s3 = await startS3({ directory: at > 0 ? process.argv[at + 1] : null });
  process.stdout.write(`${JSON.stringify({ port: s3.port, directory: s3.directory })}\n`);
  process.stdin.resume();
  process.stdin.on('end', () => s3.stop().finally(() => process.exit(0)));
}
