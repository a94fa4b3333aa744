/* SPDX-License-Identifier: Apache-2.0
 *
 * Replay: everything in the spool that Redis does not know is enqueued again, and who was recalled
 * before is recalled again, in the same step.  Run by ingest (at its start, after a loss of Redis,
 * and now and then), by `fumibako spool replay` and `fumibako ledger rebuild`.  Harmless at any
 * time and from any number of processes: the enqueue script takes each message once. */
#ifndef FB_COMMON_LEDGER_REPLAY_H
#define FB_COMMON_LEDGER_REPLAY_H

#include "common/queue/ops.h"
#include "common/queue/pace.h"
#include "common/redis.h"
#include "common/spool/journal.h"
#include "common/spool/spool.h"
#include "proto/envelope.h"

/* So long a message stays in the spool behind its end where a fail-over of Redis may forget that
 * (Sentinel, Cluster): longer than a fail-over takes, and than its loss reaches back. */
#define FB_ENDED_KEEP_MS 30000

struct fb_replay {
    struct fb_spool *spool;
    struct fb_redis *redis;
    int64_t ledger_ttl_ms;
    const struct fb_pace *pace; /* lanes of the senders; NULL: all take the normal one */
    /* Who was recalled.  Opened here when the first message needs it (NULL before), read on from
     * where it is at the next replay, closed by the caller. */
    struct fb_journal **journal;
    /* Called between batches; false ends the replay (FB_AGAIN).  NULL: no pause. */
    bool (*pause)(void *ctx);
    void *pause_ctx;
};

struct fb_replay_result {
    uint64_t seen;     /* live messages in the spool */
    uint64_t enqueued; /* of them, unknown before */
    uint64_t known;    /* of them, known to Redis */
    uint64_t failed;   /* could not be read (key missing, damaged): they stay where they are */
    uint64_t damaged;  /* places in segments that hold no record */
};

/* Scans all.  FB_NETWORK, FB_AGAIN: Redis is away, or the pause said so; FB_IO, FB_CORRUPT: spool
 * or journal cannot be read.  result_r holds what was done so far in every case.  A message that
 * Redis knows as ended is erased: whoever ended it died before it could. */
FB_MUST_USE enum fb_status fb_replay(const struct fb_replay *replay,
                                     struct fb_replay_result *result_r, struct fb_error *err);

/* The first job of a spooled message, and (added to ops) what the ledger is told with it. */
void fb_replay_first_job(struct fb_redis *redis, struct fb_ops *ops, const char *msg_id,
                         const char *ref, const struct fb_envelope *envelope, uint64_t size,
                         int64_t ledger_ttl_ms, struct fb_job *job_r);

#endif
