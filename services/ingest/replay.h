/* SPDX-License-Identifier: Apache-2.0
 *
 * Finds the messages of the spool that Redis does not know, and enqueues them.  Harmless at any
 * time and from any number of processes: enqueueing is idempotent. */
#ifndef FB_INGEST_REPLAY_H
#define FB_INGEST_REPLAY_H

#include "common/redis.h"
#include "common/spool/spool.h"

struct replay_result {
    uint64_t seen;     /* live messages in the spool */
    uint64_t enqueued; /* of them, unknown before */
    uint64_t failed;   /* could not be read (key missing, damaged): they stay where they are */
    uint64_t damaged;  /* places in segments that hold no record */
};

/* Scans all; pause is called between batches, and ends the replay by false (FB_AGAIN).  FB_NETWORK,
 * FB_AGAIN: Redis is away; FB_IO: the spool cannot be read. result_r holds what was done so far in
 * every case. */
FB_MUST_USE enum fb_status replay_run(struct fb_spool *spool, struct fb_redis *redis,
                                      int64_t ttl_ms, bool (*pause)(void *ctx), void *ctx,
                                      struct replay_result *result_r, struct fb_error *err);

#endif
