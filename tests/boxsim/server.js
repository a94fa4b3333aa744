// SPDX-License-Identifier: Apache-2.0
// One request from socket to reply:
//
//   fault --drop before--> closed
//     |-- status --> its answer
//     v
//   token -> limits -> handler -> rest of the body -> counted, logged, checked -> reply
//                                                              \-- drop after --> closed
//
// The body is read to its end before the reply goes out, refused or not; see uploads.js for why.
'use strict';
const http = require('http');
const { setTimeout: sleep } = require('timers/promises');
const { Auth } = require('./auth');
const { BoxError, OAuthError, BadTokenError, badRequest, newRequestId } = require('./errors');
const { Events } = require('./events');
const { Faults } = require('./faults');
const { Limits } = require('./limits');
const { Router } = require('./router');

const JSON_MAX = 8 * 1024 * 1024; // ten thousand parts in a commit take about one
const SLOW_STEP_MS = 50;

class ClientGone extends Error {}

// One request, as handlers see it.
class Context {
  constructor(sim, req, url) {
    this.sim = sim;
    this.world = sim.world;
    this.events = sim.events;
    this.req = req;
    this.headers = req.headers;
    this.query = url.searchParams;
    this.params = {};
    this.user = null;
    this.requestId = newRequestId();
    this.base = `http://${req.headers.host || `127.0.0.1:${sim.port}`}`;
    this.slowBps = 0;
    this.captured = [];
    this.capturedBytes = 0;
    this.size = 0;
    this.isComplete = false;
    this.closers = [];
  }

  // The body, once; counted, captured as far as the log and the check need it, slowed by a fault.
  async *chunks() {
    try {
      // Left early by a handler's error, the stream must live on: the rest is drained, then
      // answered.
      for await (const chunk of this.req.iterator({ destroyOnReturn: false })) {
        this.size += chunk.length;
        const room = this.sim.traffic.captureMax - this.capturedBytes;
        if (room > 0) {
          const piece = Buffer.from(chunk.subarray(0, room));
          this.captured.push(piece);
          this.capturedBytes += piece.length;
        }
        if (this.slowBps) {
          await sleep((chunk.length * 1000) / this.slowBps);
        }
        yield chunk;
      }
    } catch (error) {
      throw this.req.destroyed && !this.req.complete ? new ClientGone(error.message) : error;
    }
    this.isComplete = this.req.complete;
  }

  async bytes() {
    const held = [];
    let size = 0;
    for await (const chunk of this.chunks()) {
      size += chunk.length;
      if (size <= JSON_MAX) {
        held.push(chunk);
      }
    }
    if (size > JSON_MAX) {
      throw new BoxError(413, 'request_entity_too_large', 'Request Entity Too Large');
    }
    return Buffer.concat(held);
  }

  async json({ optional = false, array = false } = {}) {
    const bytes = await this.bytes();
    if (optional && bytes.length === 0) {
      return {};
    }
    let body;
    try {
      body = JSON.parse(bytes.toString('utf8'));
    } catch {
      throw badRequest('body', 'the entity body is not JSON');
    }
    if (body === null || typeof body !== 'object' || Array.isArray(body) !== array) {
      throw badRequest('body', `the entity body must be a JSON ${array ? 'array' : 'object'}`);
    }
    return body;
  }

  async form() {
    return new URLSearchParams((await this.bytes()).toString('utf8'));
  }

  async drain() {
    if (!this.isComplete && !this.req.readableEnded && !this.req.destroyed) {
      for await (const chunk of this.chunks()) {
        void chunk;
      }
    }
    this.isComplete = this.req.complete;
  }

  onClose(closer) {
    this.closers.push(closer);
  }
}

const oauthRoutes = [
  ['POST', '/oauth2/token', async (ctx) => ctx.sim.auth.grant(await ctx.form()), { open: true }],
  ['POST', '/oauth2/revoke', async (ctx) => ctx.sim.auth.revoke(await ctx.form()), { open: true }],
];

const eventRoutes = [
  ['GET', '/2.0/events', (ctx) => ctx.sim.events.get(ctx)],
  ['OPTIONS', '/2.0/events', (ctx) => ctx.sim.events.servers(ctx)],
  ['GET', '/subscribe', (ctx) => ctx.sim.events.subscribe(ctx), { open: true }],
];

class Simulator {
  constructor({ world, app, traffic, faults }) {
    this.world = world;
    this.traffic = traffic;
    this.faults = faults;
    this.auth = new Auth(world, app);
    this.limits = new Limits(world);
    this.events = new Events(world);
    this.sessions = new Map();
    this.downloads = new Map();
    this.preflights = 0;
    this.port = 0;
    this.router = new Router([
      oauthRoutes,
      eventRoutes,
      require('./folders').routes,
      require('./files').routes,
      require('./uploads').routes,
      require('./sessions').routes,
      require('./collabs').routes,
      require('./people').routes,
      require('./governance').routes,
    ]);
    this.control = new Router([require('./control').routes]);
    world.onExpire = (what, subject) => this.expired(what, subject);
    this.server = http.createServer((req, res) => this.serve(req, res));
    this.server.requestTimeout = 0; // a slow upload is what some tests are about
    this.server.keepAliveTimeout = 65000;
  }

  expired(what, subject) {
    if (what === 'link') {
      this.events.record(subject, this.world.service, {
        userType: 'ITEM_SHARED_UNSHARE',
        adminType: 'SHARE_EXPIRATION',
      });
    } else {
      this.events.record(subject.node, this.world.service, {
        userType: 'COLLAB_REMOVE_COLLABORATOR',
        adminType: 'COLLABORATION_EXPIRATION',
        details: { collab_id: subject.id },
      });
    }
  }

  listen(port) {
    return new Promise((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen(port, '127.0.0.1', () => {
        this.port = this.server.address().port;
        resolve(this.port);
      });
    });
  }

  close() {
    this.server.close();
    this.server.closeAllConnections();
  }

  async serve(req, res) {
    try {
      const url = new URL(req.url, 'http://boxsim');
      const ctx = new Context(this, req, url);
      res.on('close', () => ctx.closers.forEach((close) => close()));
      this.world.sweep();
      if (url.pathname.startsWith('/__')) {
        await this.serveControl(ctx, req, res, url.pathname);
      } else {
        await this.serveBox(ctx, req, res, url.pathname);
      }
    } catch (error) {
      if (!(error instanceof ClientGone)) {
        process.stderr.write(`boxsim: ${req.method} ${req.url}: ${error.stack}\n`);
      }
      res.destroy();
    }
  }

  async serveControl(ctx, req, res, path) {
    const { route, params } = this.control.find(req.method, path);
    const reply = await this.attempt(ctx, async () => {
      if (!route) {
        throw new BoxError(404, 'not_found', 'No such test call');
      }
      ctx.params = params;
      return route.handler(ctx);
    });
    await ctx.drain();
    await this.send(res, ctx, reply, {});
  }

  async serveBox(ctx, req, res, path) {
    const fault = this.faults.pick(req.method, path) || {};
    const { route, params, isKnownPath } = this.router.find(req.method, path);
    const template = route ? route.template : '(unknown)';
    ctx.params = params || {};
    ctx.slowBps = fault.slow_bps || 0;
    if (fault.hold) {
      await this.faults.changed;
    }
    if (fault.delay_ms) {
      await sleep(fault.delay_ms);
    }
    if (fault.drop === 'before') {
      this.note(ctx, req, template, 'dropped');
      req.socket.destroy();
      return;
    }
    let reply = null;
    if (fault.status === undefined || fault.effect || fault.drop === 'after') {
      reply = await this.attempt(ctx, () => this.perform(ctx, route, isKnownPath));
    } else if (path === '/oauth2/token') {
      this.auth.burnUnanswered(await ctx.form());
    }
    await ctx.drain();
    if (fault.drop === 'after') {
      this.note(ctx, req, template, 'dropped');
      req.socket.destroy();
      return;
    }
    reply = fault.status === undefined ? reply : Faults.reply(fault);
    this.note(ctx, req, template, reply.status);
    await this.send(res, ctx, reply, fault);
  }

  // Errors that are part of the contract become replies; anything else is our own fault: 500.
  async attempt(ctx, work) {
    try {
      return await work();
    } catch (error) {
      if (
        error instanceof BoxError ||
        error instanceof OAuthError ||
        error instanceof BadTokenError
      ) {
        return error.reply(ctx.requestId);
      }
      if (error instanceof ClientGone) {
        throw error;
      }
      process.stderr.write(`boxsim: ${ctx.req.method} ${ctx.req.url}: ${error.stack}\n`);
      return new BoxError(500, 'internal_server_error', error.message).reply(ctx.requestId);
    }
  }

  async perform(ctx, route, isKnownPath) {
    if (!route || !route.options.open) {
      ctx.user = this.auth.authenticate(ctx.headers);
      this.limits.take(ctx.user, Boolean(route && route.options.isUpload));
    }
    if (!route) {
      throw isKnownPath
        ? new BoxError(405, 'method_not_allowed', 'Method Not Allowed')
        : new BoxError(404, 'not_found', 'Not Found');
    }
    return route.handler(ctx);
  }

  note(ctx, req, template, status) {
    this.traffic.count(req.method, template, status);
    if (template !== '/dl/{ticket}' && template !== '/subscribe') {
      // other hosts than the API's
      this.traffic.seen({
        method: req.method,
        url: req.url,
        rawHeaders: req.rawHeaders,
        captured: Buffer.concat(ctx.captured),
        size: ctx.size,
        isComplete: ctx.isComplete,
        status,
      });
    }
  }

  async send(res, ctx, reply, fault) {
    const text =
      reply.text !== undefined
        ? reply.text
        : reply.body === undefined
          ? ''
          : JSON.stringify(reply.body);
    const whole = Buffer.from(text);
    const headers = {
      // The simulated clock, so that a client can correct its own by it.
      date: new Date(this.world.now()).toUTCString(),
      'box-request-id': ctx.requestId,
      ...(reply.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...reply.headers,
    };
    if (reply.stream) {
      headers['content-length'] = String(reply.length);
    } else if (reply.status !== 204 && reply.status !== 304) {
      headers['content-length'] = String(whole.length);
    }
    res.sendDate = false;
    res.writeHead(reply.status, headers);
    if (!reply.stream && !fault.slow_bps && fault.truncate === undefined) {
      res.end(whole);
      return;
    }
    await trickle(res, reply.stream || [whole], fault);
  }
}

// Until the client has taken what it was sent, or has gone.
function writable(res) {
  return new Promise((resolve) => {
    const done = () => {
      res.off('drain', done);
      res.off('close', done);
      resolve();
    };
    res.on('drain', done);
    res.on('close', done);
  });
}

// Writes with back pressure, slowly or not to the end when a fault says so.
async function trickle(res, chunks, fault) {
  let left = fault.truncate === undefined ? Infinity : fault.truncate;
  const step = fault.slow_bps
    ? Math.max(Math.floor((fault.slow_bps * SLOW_STEP_MS) / 1000), 1)
    : Infinity;
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length && left > 0;) {
      const piece = chunk.subarray(at, at + Math.min(step, left, chunk.length - at));
      at += piece.length;
      left -= piece.length;
      if (res.destroyed) {
        return;
      }
      if (!res.write(piece)) {
        await writable(res);
      }
      if (fault.slow_bps) {
        await sleep((piece.length * 1000) / fault.slow_bps);
      }
    }
  }
  if (fault.truncate !== undefined) {
    // Let what was written leave before the connection breaks.
    await new Promise((resolve) => res.write('', resolve));
    await sleep(SLOW_STEP_MS);
    res.destroy();
    return;
  }
  res.end();
}

module.exports = { Simulator };
