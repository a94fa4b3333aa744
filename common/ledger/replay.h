/* SPDX-License-Identifier: Apache-2.0
 *
 * Replay: everything in the spool that Redis does not know is enqueued again.  Run by `fumibako spool replay` and
 * `ledger rebuild`; ingest has a replay of its own, which works in batches beside its traffic
 * (services/ingest/replay.c).  Safe to run anywhere, any number of times: the
 * enqueue script takes each message once. */
#ifndef FB_COMMON_LEDGER_REPLAY_H
#define FB_COMMON_LEDGER_REPLAY_H

#include "common/redis.h"
#include "common/spool/spool.h"

struct fb_replay_result {
    uint64_t enqueued, known, damaged;
};

FB_MUST_USE enum fb_status fb_replay(struct fb_spool *spool, struct fb_redis *redis,
                                     int64_t ledger_ttl_ms, struct fb_replay_result *result_r,
                                     struct fb_error *err);

#endif
