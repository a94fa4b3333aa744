/* SPDX-License-Identifier: Apache-2.0
 *
 * The sweeper: finds messages that are open, have made no progress for long and have no job
 * anywhere (stream, delayed set, dead letters), and gives them the job of their next undone stage
 * again; a branch that is held and has lost its dead letter gets that again.  Run by ingest now and
 * then; safe in many places and at any time: a shard is looked at by one process at a time, and a job
 * is only added when it was missing in two looks and the message has not moved since.
 *
 * The other half is the replay (replay.h): messages of the spool that Redis does not know at all.
 * Together they make the spool the truth, whatever a fail-over of Redis forgets.
 */
#ifndef FB_COMMON_LEDGER_SWEEP_H
#define FB_COMMON_LEDGER_SWEEP_H

#include "common/redis.h"
#include "common/spool/spool.h"

struct fb_sweep_result {
    uint64_t looked;         /* messages without progress that were looked at */
    uint64_t missing;        /* of them, without a job; they are looked at once more */
    uint64_t requeued;       /* of those, put back: into a queue, or among the dead letters */
    uint64_t orphans;        /* of those, not in the spool any more: nothing can be done */
    char orphan[FB_ID_SIZE]; /* one of them, "" = none */
};

struct fb_sweeper;
/* spool and redis are lent.  patience_ms: without progress for so long, a message is looked at.
 * pause is called between steps, and ends the sweep by false (NULL: no pause). */
struct fb_sweeper *fb_sweeper_new(struct fb_spool *spool, struct fb_redis *redis,
                                  int64_t patience_ms, bool (*pause)(void *ctx), void *ctx);
void fb_sweeper_free(struct fb_sweeper **sweeper);
/* One look at all shards that nobody else is looking at.  FB_NETWORK, FB_AGAIN: Redis is away, or
 * the pause said so.  result_r holds what was done so far in every case. */
FB_MUST_USE enum fb_status fb_sweep(struct fb_sweeper *s, struct fb_sweep_result *result_r,
                                    struct fb_error *err);

#endif
