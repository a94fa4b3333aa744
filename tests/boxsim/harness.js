// SPDX-License-Identifier: Apache-2.0
// Starts a simulator for a test and speaks to it: a fresh process, a port given by the kernel,
// files in a directory of its own.
'use strict';
const { spawn } = require('child_process');
const crypto = require('crypto');
const fs = require('fs');
const http = require('http');
const os = require('os');
const path = require('path');

const PROGRAM = path.join(__dirname, 'boxsim');
const REPOSITORY = path.join(__dirname, '..', '..');
const START_MS = 120000; // it makes keys and reads a specification, on a busy machine
const JWT_GRANT = 'urn:ietf:params:oauth:grant-type:jwt-bearer';

const sha1 = (data, form = 'hex') => crypto.createHash('sha1').update(data).digest(form);

// Where Box's specification and the checker for it may be; null when they are not there.
function specificationDir() {
  const shared = process.env.FUMIBAKO_SHARED || path.join(REPOSITORY, '..', 'shared');
  const dir = path.join(shared, 'box');
  return ['boxcheck.js', 'openapi.json'].every((x) => fs.existsSync(path.join(dir, x)))
    ? dir
    : null;
}

class Sim {
  constructor({ child, dir, port, output }) {
    Object.assign(this, { child, dir, port, output });
    this.base = `http://127.0.0.1:${port}`;
    this.configFile = path.join(dir, 'box.json');
    this.app = JSON.parse(fs.readFileSync(this.configFile, 'utf8'));
    this.tokens = new Map();
  }

  get pid() {
    return this.child.pid;
  }

  // { status, headers, text, json } of one raw request; body: a string, bytes, or a stream.
  request(method, url, { headers = {}, body } = {}) {
    return new Promise((resolve, reject) => {
      const req = http.request(
        new URL(url, this.base),
        { method, headers, agent: false },
        (res) => {
          const held = [];
          res.on('data', (x) => held.push(x));
          res.on('error', reject);
          res.on('end', () => {
            const bytes = Buffer.concat(held);
            let json;
            try {
              json = JSON.parse(bytes.toString());
            } catch {
              json = undefined;
            }
            resolve({
              status: res.statusCode,
              headers: res.headers,
              bytes,
              text: bytes.toString(),
              json,
            });
          });
        }
      );
      req.on('error', reject);
      if (body && typeof body.pipe === 'function') {
        body.pipe(req);
      } else {
        req.end(body);
      }
    });
  }

  // A call of Box's API as the service account, or as the managed user `as`.
  async api(method, url, json, { as, headers = {}, token } = {}) {
    const bearer = token || (await this.token(as));
    const all = { authorization: `Bearer ${bearer}`, ...headers };
    let body;
    if (json !== undefined) {
      body = JSON.stringify(json);
      all['content-type'] = 'application/json';
      all['content-length'] = String(Buffer.byteLength(body));
    }
    return this.request(
      method,
      url.startsWith('/') || url.startsWith('http') ? url : `/2.0/${url}`,
      { headers: all, body }
    );
  }

  async upload(
    name,
    parent,
    content,
    { as, headers = {}, attributes = {}, to = 'files/content' } = {}
  ) {
    const { body, type } = form([
      [
        'attributes',
        JSON.stringify({ name, ...(parent ? { parent: { id: parent } } : {}), ...attributes }),
      ],
      ['file', content, 'file.bin'],
    ]);
    return this.request('POST', `/upload/api/2.0/${to}`, {
      body,
      headers: {
        authorization: `Bearer ${await this.token(as)}`,
        'content-type': type,
        'content-length': String(body.length),
        'content-md5': sha1(content),
        ...headers,
      },
    });
  }

  async folder(name, parent = '0', options) {
    return (await this.api('POST', 'folders', { name, parent: { id: parent } }, options)).json;
  }

  async file(name, parent, content) {
    return (await this.upload(name, parent, content)).json.entries[0];
  }

  invite(type, id, login, role = 'viewer', more = {}) {
    return this.api('POST', 'collaborations?notify=false', {
      item: { type, id },
      accessible_by: { type: 'user', login },
      role,
      ...more,
    });
  }

  act(as, what, item) {
    return this.request('POST', '/__act', { body: JSON.stringify({ as, do: what, ...item }) });
  }

  async state(only) {
    return (await this.request('GET', `/__state${only ? `?only=${only}` : ''}`)).json;
  }

  config(settings) {
    return this.request('POST', '/__config', { body: JSON.stringify(settings) });
  }

  faults(list) {
    return this.request('POST', '/__faults', { body: JSON.stringify(list) });
  }

  // ---- tokens ----

  assertion(claims = {}, header = {}) {
    const { clientID, appAuth } = this.app.boxAppSettings;
    const all = {
      iss: clientID,
      sub: this.app.enterpriseID,
      box_sub_type: 'enterprise',
      aud: 'https://api.box.com/oauth2/token',
      jti: crypto.randomUUID(),
      exp: Math.floor(Date.now() / 1000) + 45,
      ...claims,
    };
    const part = (x) => Buffer.from(JSON.stringify(x)).toString('base64url');
    const signed = `${part({ alg: 'RS256', typ: 'JWT', kid: appAuth.publicKeyID, ...header })}.${part(all)}`;
    const signature = crypto.sign('RSA-SHA256', Buffer.from(signed), {
      key: appAuth.privateKey,
      passphrase: appAuth.passphrase,
    });
    return `${signed}.${signature.toString('base64url')}`;
  }

  tokenRequest(form) {
    const { clientID, clientSecret } = this.app.boxAppSettings;
    return this.request('POST', '/oauth2/token', {
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({
        client_id: clientID,
        client_secret: clientSecret,
        ...form,
      }).toString(),
    });
  }

  jwt(claims, header, form) {
    return this.tokenRequest({
      grant_type: JWT_GRANT,
      assertion: this.assertion(claims, header),
      ...form,
    });
  }

  ccg(form) {
    return this.tokenRequest({
      grant_type: 'client_credentials',
      box_subject_type: 'enterprise',
      box_subject_id: this.app.enterpriseID,
      ...form,
    });
  }

  async token(as) {
    const key = as || '';
    if (!this.tokens.has(key)) {
      const reply = await this.ccg(as ? { box_subject_type: 'user', box_subject_id: as } : {});
      this.tokens.set(key, reply.json.access_token);
    }
    return this.tokens.get(key);
  }

  // Resolves to { code, signal }.
  stop(signal = 'SIGTERM') {
    return new Promise((resolve) => {
      const done = (code, by) => {
        fs.rmSync(this.dir, { recursive: true, force: true });
        resolve({ code, signal: by });
      };
      if (this.child.exitCode !== null || this.child.signalCode !== null) {
        done(this.child.exitCode, this.child.signalCode);
        return;
      }
      this.child.once('exit', done);
      this.child.kill(signal);
    });
  }
}

// multipart/form-data; a part is [name, content, file name].
function form(parts) {
  const boundary = `----boxsim${crypto.randomBytes(8).toString('hex')}`;
  const pieces = [];
  for (const [name, content, filename] of parts) {
    pieces.push(
      Buffer.from(
        `--${boundary}\r\nContent-Disposition: form-data; name="${name}"` +
          `${filename ? `; filename="${filename}"\r\nContent-Type: application/octet-stream` : ''}\r\n\r\n`
      )
    );
    pieces.push(Buffer.from(content), Buffer.from('\r\n'));
  }
  pieces.push(Buffer.from(`--${boundary}--\r\n`));
  return {
    body: Buffer.concat(pieces),
    type: `multipart/form-data; boundary=${boundary}`,
    boundary,
  };
}

// args: further command line; settings: POST /__config right after the start; files: written into
// the directory first, and named in args as they are.
async function start({ args = [], settings = null, files = {}, env = {} } = {}) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'boxsim-test-'));
  for (const [name, content] of Object.entries(files)) {
    fs.writeFileSync(path.join(dir, name), content);
  }
  const child = spawn(
    process.execPath,
    [
      PROGRAM,
      '--port',
      '0',
      '--config',
      path.join(dir, 'box.json'),
      ...args.map((x) => (x in files ? path.join(dir, x) : x)),
    ],
    { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, TMPDIR: dir, ...env } }
  );
  const output = { stdout: '', stderr: '' };
  child.stderr.on('data', (x) => {
    output.stderr += x;
  });
  const port = await new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error(`no start: ${output.stderr}`));
    }, START_MS);
    child.once('exit', (code) => reject(new Error(`exit ${code}: ${output.stderr}`)));
    child.stdout.on('data', (x) => {
      output.stdout += x;
      const found = /^boxsim listening on (\d+)\n/.exec(output.stdout);
      if (found) {
        clearTimeout(timer);
        resolve(Number(found[1]));
      }
    });
  });
  const sim = new Sim({ child, dir, port, output });
  if (settings) {
    await sim.config(settings);
  }
  return sim;
}

module.exports = { start, form, sha1, specificationDir, PROGRAM, REPOSITORY };
