/* SPDX-License-Identifier: Apache-2.0
 *
 * Behind the 250: a thread that tells Redis about committed messages (the `render` jobs), in
 * pipelined batches. Nobody waits for it.  What it could not tell, because Redis is away or the
 * backlog is full, it tells later: the backlog first, and whatever it lacks is found by a replay
 * scan of the spool (common/ledger/replay.h).
 *
 *  - at start, and when a shard's epoch is missing or changed (Redis was wiped): replay at once;
 *  - every minute or so: a sweep, the same scan, for what a fail-over of Redis lost without a
 *    trace; and soon after each new connection to Redis, which may be another one now.
 */
#ifndef FB_INGEST_ENQUEUE_H
#define FB_INGEST_ENQUEUE_H

#include "common/config.h"
#include "common/redis.h"
#include "common/spool/spool.h"
#include "proto/envelope.h"

/* A committed message that Redis does not know yet. */
struct pending {
    struct pending *next;
    char msg_id[FB_ID_SIZE];
    char ref[FB_REF_SIZE];
    uint64_t size;
    struct fb_envelope envelope;
};
void pending_free(struct pending *p);

struct enqueuer;

/* Starts the thread; spool is lent.  Signals are blocked by the caller. */
FB_MUST_USE enum fb_status enqueuer_new(const struct fb_config *config, struct fb_spool *spool,
                                        struct enqueuer **enqueuer_r, struct fb_error *err);
/* Takes p. Never blocks, never fails: past the backlog's bound p is dropped and left to the replay.
 */
void enqueuer_add(struct enqueuer *e, struct pending *p);
/* There is something new: wakes the thread (once per group commit). */
void enqueuer_kick(struct enqueuer *e);
/* Messages that wait in memory. */
size_t enqueuer_backlog(struct enqueuer *e);
/* Tells what is left, for at most wait_ms (the spool keeps the rest for the next start), then ends
 * the thread. */
void enqueuer_stop(struct enqueuer *e, int64_t wait_ms);
void enqueuer_free(struct enqueuer **enqueuer);

#endif
