/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections to Redis for the handlers of an HTTP server: as many as it has threads, so that nobody waits
 * for one.  All calls but new and free may be made from any thread.
 */
#ifndef FB_COMMON_REDIS_POOL_H
#define FB_COMMON_REDIS_POOL_H

#include "common/redis.h"

struct fb_redis_pool;

/* count connections of their own; what fb_redis_new returns. */
FB_MUST_USE enum fb_status fb_redis_pool_new(const struct fb_config *config, size_t count,
                                             int timeout_ms, struct fb_redis_pool **pool_r,
                                             struct fb_error *err);
/* When all are given back; NULL is none. */
void fb_redis_pool_free(struct fb_redis_pool **pool);
/* Lends one; there has to be one. */
struct fb_redis *fb_redis_pool_take(struct fb_redis_pool *pool);
void fb_redis_pool_give(struct fb_redis_pool *pool, struct fb_redis *redis);

#endif
