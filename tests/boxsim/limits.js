// SPDX-License-Identifier: Apache-2.0
// Calls per minute and user.  Buckets refill by real time, not by the simulated clock: a test that
// moves the clock must not be handed fresh budget.
'use strict';
const { BoxError } = require('./errors');

const MINUTE_MS = 60000;

class Bucket {
  constructor() {
    this.tokens = null;
    this.at = 0;
  }

  refill(perMinute, now) {
    if (this.tokens === null) {
      this.tokens = perMinute;
    } else {
      this.tokens = Math.min(perMinute, this.tokens + ((now - this.at) * perMinute) / MINUTE_MS);
    }
    this.at = now;
    return this.tokens >= 1 ? 0 : Math.ceil(((1 - this.tokens) * MINUTE_MS) / perMinute / 1000);
  }
}

class Limits {
  constructor(world) {
    this.world = world;
    this.buckets = new Map();
  }

  reset() {
    this.buckets.clear();
  }

  // An upload counts as a call and as an upload.
  take(user, isUpload) {
    const { rate } = this.world.settings;
    if (!rate) {
      return;
    }
    const now = performance.now();
    if (!this.buckets.has(user.id)) {
      this.buckets.set(user.id, { api: new Bucket(), upload: new Bucket() });
    }
    const { api, upload } = this.buckets.get(user.id);
    let wait = api.refill(rate.api_per_min, now);
    if (isUpload) {
      wait = Math.max(wait, upload.refill(rate.upload_per_min, now));
    }
    if (wait > 0) {
      throw new BoxError(
        429,
        'rate_limit_exceeded',
        'Request rate limit exceeded, please try again later',
        null,
        { 'retry-after': String(wait) }
      );
    }
    api.tokens -= 1;
    if (isUpload) {
      upload.tokens -= 1;
    }
  }
}

module.exports = { Limits };
