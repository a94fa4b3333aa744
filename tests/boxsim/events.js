// SPDX-License-Identifier: Apache-2.0
// Event streams: one per user, and the enterprise's.  Previews and downloads reach the owner's
// stream only.  Positions are integers beyond 2^53 and are kept as BigInt: who parses them as a
// double loses events, as with Box.
'use strict';
const crypto = require('crypto');
const { BoxError, badRequest, denied } = require('./errors');
const shapes = require('./shapes');

const BASE_POSITION = 1152922976252290886n;
const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 500;
const KEPT = 100000; // Box keeps weeks; a load test must not keep everything
const ADMIN_KEPT_MS = 14 * 24 * 3600 * 1000;
const STREAMS = ['all', 'changes', 'sync', 'admin_logs', 'admin_logs_streaming'];
const NOT_CHANGES = new Set(['ITEM_PREVIEW', 'ITEM_DOWNLOAD']);

class Stream {
  constructor() {
    this.events = [];
  }

  push(event) {
    this.events.push(event);
    if (this.events.length > KEPT * 1.25) {
      this.events = this.events.slice(-KEPT);
    }
  }

  // Positions grow, so the first event behind one is found by halving.
  firstAfter(position) {
    let low = 0;
    let high = this.events.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.events[middle].position <= position) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }
}

class Events {
  constructor(world) {
    this.world = world;
    this.position = BASE_POSITION;
    this.byUser = new Map();
    this.admin = new Stream();
    this.waiting = new Set();
  }

  stream(user) {
    if (!this.byUser.has(user.id)) {
      this.byUser.set(user.id, new Stream());
    }
    return this.byUser.get(user.id);
  }

  source(node) {
    return {
      ...shapes.mini(node),
      item_type: node.type,
      item_id: node.id,
      item_name: node.name,
      parent: node.parent ? shapes.mini(node.parent) : null,
      owned_by: shapes.userMini(node.owner),
    };
  }

  // userType goes to the owner's stream (and to `alsoTo`), adminType to the enterprise's.
  record(node, by, { userType, adminType, alsoTo = [], details = null, source = null }) {
    this.position += 1n;
    const at = shapes.date(this.world.now());
    const base = {
      type: 'event',
      created_at: at,
      recorded_at: at,
      created_by: shapes.userMini(by),
      source: source || this.source(node),
      session_id: null,
      additional_details: details,
    };
    const make = (type) => ({
      position: this.position,
      at: this.world.now(),
      body: { ...base, event_id: crypto.randomBytes(20).toString('hex'), event_type: type },
    });
    if (userType) {
      const event = make(userType);
      for (const user of new Set([node.owner, ...alsoTo])) {
        this.stream(user).push(event);
        this.wake(user);
      }
    }
    if (adminType) {
      const { service_id: service, ...more } = details || {};
      const event = make(adminType);
      event.body.additional_details = { size: node.size, service_id: service || '', ...more };
      this.admin.push(event);
    }
  }

  static parsePosition(text, end) {
    if (text === null || text === '' || text === 'null' || text === '0') {
      return 0n;
    }
    if (text === 'now') {
      return end;
    }
    if (!/^\d{1,19}$/.test(text)) {
      throw badRequest('stream_position', `Invalid value '${text}'`);
    }
    return BigInt(text);
  }

  static parseLimit(text) {
    if (text === null) {
      return LIMIT_DEFAULT;
    }
    if (!/^\d+$/.test(text) || Number(text) > LIMIT_MAX) {
      throw badRequest('limit', `must be a number up to ${LIMIT_MAX}`);
    }
    return Number(text) || LIMIT_DEFAULT;
  }

  // Filters are ignored, silently, on the streams that do not know them.
  filter(type, query) {
    const since = this.world.now() - ADMIN_KEPT_MS;
    const types = query
      .getAll('event_type')
      .flatMap((x) => x.split(','))
      .filter(Boolean);
    const after = Date.parse(query.get('created_after') || '');
    const before = Date.parse(query.get('created_before') || '');
    if (type === 'all') {
      return () => true;
    }
    if (type === 'changes' || type === 'sync') {
      return (e) => !NOT_CHANGES.has(e.body.event_type);
    }
    const isWanted = (e) => types.length === 0 || types.includes(e.body.event_type);
    if (type === 'admin_logs_streaming') {
      return (e) => isWanted(e) && e.at >= since;
    }
    return (e) => isWanted(e) && !(e.at < after) && !(e.at > before);
  }

  get(ctx) {
    const { query, user } = ctx;
    const type = query.get('stream_type') || 'all';
    if (!STREAMS.includes(type)) {
      throw badRequest('stream_type', `Invalid value '${type}'`);
    }
    const isAdmin = type.startsWith('admin');
    if (isAdmin && !user.service) {
      throw denied();
    }
    if (isAdmin && !this.world.settings.admin_events) {
      throw new BoxError(
        403,
        'insufficient_scope',
        'The request requires higher privileges than provided by the access token.'
      );
    }
    const from = Events.parsePosition(query.get('stream_position'), this.position);
    const limit = Events.parseLimit(query.get('limit'));
    const stream = isAdmin ? this.admin : this.stream(user);
    const passes = this.filter(type, query);
    const entries = [];
    let position = from > this.position ? from : this.position;
    for (let i = stream.firstAfter(from); i < stream.events.length; i += 1) {
      const event = stream.events[i];
      if (!passes(event)) {
        continue;
      }
      if (entries.length >= limit) {
        break;
      }
      entries.push(event.body);
      if (!isAdmin && this.world.settings.event_duplicates) {
        entries.push(event.body);
      }
      position = entries.length >= limit ? event.position : position;
    }
    return this.page(entries, position);
  }

  page(entries, position) {
    const shown = this.world.settings.event_position === 'raw' ? String(position) : `"${position}"`;
    const body =
      `{"chunk_size":${entries.length},"next_stream_position":${shown},` +
      `"entries":${JSON.stringify(entries)}}`;
    return { status: 200, text: body, headers: { 'content-type': 'application/json' } };
  }

  // ---- long poll ----

  servers(ctx) {
    return {
      status: 200,
      body: {
        chunk_size: 1,
        entries: [
          {
            type: 'realtime_server',
            url: `${ctx.base}/subscribe?channel=${ctx.user.id}&stream_type=all`,
            ttl: '10',
            max_retries: '10',
            retry_timeout: this.world.settings.long_poll_s,
          },
        ],
      },
    };
  }

  subscribe(ctx) {
    const user = this.world.users.get(ctx.query.get('channel'));
    if (!user) {
      throw badRequest('channel', 'unknown channel');
    }
    const from = Events.parsePosition(ctx.query.get('stream_position'), this.position);
    const { events } = this.stream(user);
    if (
      ctx.query.has('stream_position') &&
      events.length &&
      events[events.length - 1].position > from
    ) {
      return { status: 200, body: { message: 'new_change' } };
    }
    return new Promise((resolve) => {
      const waiter = { user };
      const done = (message) => {
        clearTimeout(waiter.timer);
        this.waiting.delete(waiter);
        resolve({ status: 200, body: { message } });
      };
      waiter.done = done;
      waiter.timer = setTimeout(() => done('reconnect'), this.world.settings.long_poll_s * 1000);
      this.waiting.add(waiter);
      ctx.onClose(() => done('reconnect'));
    });
  }

  wake(user) {
    for (const waiter of [...this.waiting]) {
      if (waiter.user === user) {
        waiter.done('new_change');
      }
    }
  }

  // For the state dump: everything that is still kept.
  dump() {
    const users = [];
    for (const [id, stream] of this.byUser) {
      for (const event of stream.events) {
        users.push({ stream: id, position: String(event.position), ...event.body });
      }
    }
    const admin = this.admin.events.map((e) => ({ position: String(e.position), ...e.body }));
    return { events: users, admin_events: admin };
  }
}

module.exports = { Events };
