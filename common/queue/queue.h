/* SPDX-License-Identifier: Apache-2.0
 *
 * The queue: Redis streams with one consumer group, as a queue and not as a log (XACK and XDEL always together,
 * never MAXLEN).  Every state change is one Lua script (scripts.c), fenced by ownership of the pending entry: a
 * worker whose job was claimed by another gets FB_LOST and must drop its result.
 *
 *   enqueue -> [stream] -> read (pending, owned) -> advance: next jobs + ledger, in one step
 *                 ^                |-> retry: [delayed] --promote--> [stream]
 *                 |                |-> bury: [dead]
 *                 |                |-> release: back to [stream], same attempt
 *                 +--- reap: idle too long, claimed by another worker; too many deliveries: [dead]
 *
 * Two lanes: what a sender hands in beyond a burst (pace.h) has its own streams, :bulk, which workers take from when
 * the normal one has nothing for them, and for one job in eight when it has.  A job stays in its lane to the end.
 *
 * Keys, all of shard N in one slot: fb:{sN}:STAGE[:bulk], fb:{sN}:delayed:STAGE[:bulk], fb:{sN}:dead,
 * fb:{sN}:pace:<sender>, fb:{sN}:m:<msg_id> and the ledger's.  Names are promises to KEDA and dashboards (README).
 */
#ifndef FB_COMMON_QUEUE_QUEUE_H
#define FB_COMMON_QUEUE_QUEUE_H

#include "common/queue/ops.h"
#include "common/queue/pace.h"
#include "common/redis.h"
#include "proto/job.h"

#define FB_GROUP        "workers"
#define FB_MAX_RESTARTS 3
/* A letter that cannot be sent for so long is given up: it speaks of a state that has passed. */
#define FB_LETTER_LIFE_MS      (INT64_C(24) * 3600 * 1000)
#define FB_LETTER_CODE_LIFE_MS (INT64_C(10) * 60 * 1000) /* of the letter with a code */

#define FB_CLAIM_ID_SIZE 40

/* One job in so many comes out of the bulk lane while both have work. */
#define FB_BULK_SHARE 8

/* Revoke has the normal one only. */
enum fb_lane { FB_LANE_NORMAL, FB_LANE_BULK, FB_LANE_COUNT };

/* A job in this worker's hands. */
struct fb_claim {
    int shard;
    char id[FB_CLAIM_ID_SIZE]; /* stream id */
    enum fb_lane lane;         /* the stream that holds it */
    enum fb_stage stage;
    uint32_t deliveries; /* 1 = first time */
    struct fb_job job;
};

/* All calls use the given connection, which belongs to the calling thread. */

/* Makes the consumer groups (from id 0).  Idempotent; also the answer to NOGROUP. */
FB_MUST_USE enum fb_status fb_queue_prepare(struct fb_redis *r, struct fb_error *err);

/* Adds first jobs (render) for messages, pipelined: per message FB_OK, or FB_EXISTS when it is known already
 * (replay).  ops[i] (may be NULL) are carried out with it.  The call's status is that of the connection;
 * in a cluster, FB_NETWORK when one node of several is away: the statuses of the others' messages hold.
 * pace says who goes into the bulk lane, senders[i] who handed message i in; pace may be NULL (then senders is
 * not looked at): all take the normal one. */
FB_MUST_USE enum fb_status fb_queue_enqueue_paced(struct fb_redis *r, const struct fb_job *jobs,
                                                  const struct fb_ops *const *ops, size_t count,
                                                  const struct fb_pace *pace,
                                                  const struct fb_pace_sender *senders,
                                                  enum fb_status *status_r, struct fb_error *err);
/* The same without a pace. */
FB_MUST_USE enum fb_status fb_queue_enqueue(struct fb_redis *r, const struct fb_job *jobs,
                                            const struct fb_ops *const *ops, size_t count,
                                            enum fb_status *status_r, struct fb_error *err);
/* Adds one job outside the pipeline (revoke). */
FB_MUST_USE enum fb_status fb_queue_add(struct fb_redis *r, const struct fb_job *job,
                                        const struct fb_ops *ops, struct fb_error *err);
/* Adds several jobs outside the pipeline (revoke jobs, letters), all of one shard, together with the ops, in one
 * step.  FB_BUG for jobs of different shards and for none. */
FB_MUST_USE enum fb_status fb_queue_add_many(struct fb_redis *r, const struct fb_job *jobs,
                                             size_t count, const struct fb_ops *ops,
                                             struct fb_error *err);
/* The ops alone, of one shard, in one step. */
FB_MUST_USE enum fb_status fb_queue_change(struct fb_redis *r, int shard, const struct fb_ops *ops,
                                           struct fb_error *err);
/* The letter about what `about` did or met (message, spooled mail, trace and, for a recall's, the recall carried over).
 * Its first_ms is now: FB_LETTER_LIFE_MS later it is given up (the letter with a code: FB_LETTER_CODE_LIFE_MS). */
void fb_job_letter(enum fb_letter letter, const struct fb_job *about, uint32_t branch,
                   struct fb_job *job_r);
/* fb_queue_add as a change in a list: the job goes into its stage's stream in the step that carries the ops out.  What
 * is wrong with the job (it cannot be encoded, it is none beside the pipeline) is kept and comes out of the call that
 * uses the list. */
void fb_ops_add_job(struct fb_redis *r, struct fb_ops *ops, const struct fb_job *job);
/* The same into a lane (a letter about a job goes with it). */
void fb_ops_add_job_in(struct fb_redis *r, struct fb_ops *ops, const struct fb_job *job,
                       enum fb_lane lane);

/* How the lanes were shared between calls; zero at first, one for each reader of a shard's stage. */
struct fb_share {
    uint32_t normal; /* jobs of the normal lane since bulk had its share */
    bool is_dry;     /* the last call found less than it asked for */
};
/* Takes up to max jobs of one shard's stage from both lanes, waiting block_ms at most (0 = do not wait): the normal
 * one first, but FB_BULK_SHARE says what bulk gets at least.  A job that cannot be
 * decoded is buried at once (newer version: put off by 30 s, so that an upgraded worker may take it).  A queue that was
 * wiped gets its groups again; count 0. */
FB_MUST_USE enum fb_status fb_queue_take(struct fb_redis *r, enum fb_stage stage, int shard,
                                         const char *consumer, struct fb_share *share, size_t max,
                                         int block_ms, struct fb_claim *claims_r, size_t *count_r,
                                         struct fb_error *err);
/* The same as if it were the first call. */
FB_MUST_USE enum fb_status fb_queue_read(struct fb_redis *r, enum fb_stage stage, int shard,
                                         const char *consumer, size_t max, int block_ms,
                                         struct fb_claim *claims_r, size_t *count_r,
                                         struct fb_error *err);
/* What this consumer was given before and has not ended: after (re)connecting, because the reply to a read may have
 * been lost on the way.  Starts behind the place in `after` ("0" = from the beginning) and moves it on, through both
 * lanes; an end is reached when it does not move.  Jobs in hand come up, too.  Counts no delivery. */
FB_MUST_USE enum fb_status fb_queue_history(struct fb_redis *r, enum fb_stage stage, int shard,
                                            const char *consumer, char after[FB_CLAIM_ID_SIZE],
                                            size_t max, struct fb_claim *claims_r, size_t *count_r,
                                            struct fb_error *err);
/* Claims jobs idle longer than min_idle_ms; jobs delivered more than max_deliveries times are buried
 * ("crash-loop"),
 * and the sender of a mail among them gets a letter. */
FB_MUST_USE enum fb_status fb_queue_reap(struct fb_redis *r, enum fb_stage stage, int shard,
                                         const char *consumer, int min_idle_ms,
                                         uint32_t max_deliveries, size_t max,
                                         struct fb_claim *claims_r, size_t *count_r,
                                         struct fb_error *err);
/* Heartbeat: the claims are still worked on.  FB_LOST when some are not ours any more (the others are touched). */
FB_MUST_USE enum fb_status fb_queue_touch(struct fb_redis *r, const char *consumer,
                                          const struct fb_claim *claims, size_t count,
                                          struct fb_error *err);
/* Moves due delayed jobs back into their streams, at most max of each lane. */
FB_MUST_USE enum fb_status fb_queue_promote(struct fb_redis *r, enum fb_stage stage, int shard,
                                            size_t max, size_t *count_r, struct fb_error *err);
/* Removes the consumer when nothing is pending for it, else FB_AGAIN (it would be lost for ever). */
FB_MUST_USE enum fb_status fb_queue_forget(struct fb_redis *r, enum fb_stage stage,
                                           const char *consumer, struct fb_error *err);

/* Forgets all other consumers that have nothing pending and did not read for idle_ms. */
FB_MUST_USE enum fb_status fb_queue_sweep(struct fb_redis *r, enum fb_stage stage,
                                          const char *consumer, int64_t idle_ms,
                                          struct fb_error *err);

/* Ends a claim (all fenced: FB_LOST when it is no longer ours).  With FB_AGAIN, FB_NETWORK
 * nothing is known: send it again.  Retry, bury and restart also come back with FB_EXISTS (claim
 * ended) when the branch was finished meanwhile. */

/* Before the work: FB_OK; FB_EXISTS when the job is a repetition of finished work (the claim is ended); FB_LOST. */
FB_MUST_USE enum fb_status fb_queue_check(struct fb_redis *r, const char *consumer,
                                          const struct fb_claim *claim, struct fb_error *err);

/* A lock for one claim at a time: the string fb:{sN}:<name> of the claim's shard holds its id, for ttl_ms at most; a
 * claim that has it already goes on with it.  FB_EXISTS: another claim has it.  FB_LOST: ours is none any more, and
 * nothing is taken, because nothing would give it back.  With FB_AGAIN or FB_NETWORK it may be taken all the same. */
FB_MUST_USE enum fb_status fb_queue_lock(struct fb_redis *r, const char *consumer,
                                         const struct fb_claim *claim, const char *name,
                                         int64_t ttl_ms, struct fb_error *err);
/* Gives it back in the step that ends the claim, if it has it. */
void fb_queue_unlock(struct fb_ops *ops, const struct fb_claim *claim, const char *name);

/* Acknowledges, adds the next jobs and carries out ops in one step.  Done marks: field "d:<stage>:<branch>" of the
 * message hash; FB_EXISTS when it was set already (the work was done by someone else; the claim is ended).
 * Without next jobs the branch ends here, as with finish (an echo of a message that is delivered and erased).  A next
 * job of the same stage and branch takes the claim's place: no mark is set. */
FB_MUST_USE enum fb_status fb_queue_advance(struct fb_redis *r, const char *consumer,
                                            const struct fb_claim *claim, const struct fb_job *next,
                                            size_t next_count, const struct fb_ops *ops,
                                            struct fb_error *err);
/* The end of a branch, at whatever stage: as advance without next jobs, and marks d:rewrite:<branch>; is_last_r: no
 * branch of the message is left (also with FB_EXISTS, so that what follows the end is repeated after a crash).  From
 * render: the whole message has nothing to send. */
FB_MUST_USE enum fb_status fb_queue_finish(struct fb_redis *r, const char *consumer,
                                           const struct fb_claim *claim, const struct fb_ops *ops,
                                           bool *is_last_r, struct fb_error *err);
/* An upload or rewrite job whose derived objects (plan, parcel) are lost goes back to render:
 * the claim is ended, render runs again and adds jobs for the unfinished branches.  FB_CORRUPT
 * after FB_MAX_RESTARTS times: the claim is still ours, bury it. */
FB_MUST_USE enum fb_status fb_queue_restart(struct fb_redis *r, const char *consumer,
                                            const struct fb_claim *claim, struct fb_error *err);
/* Again after delay_ms, attempt + 1. reason is kept for the operator (bounded, no content). */
FB_MUST_USE enum fb_status fb_queue_retry(struct fb_redis *r, const char *consumer,
                                          const struct fb_claim *claim, int64_t delay_ms,
                                          const struct fb_error *reason, const struct fb_ops *ops,
                                          struct fb_error *err);
/* The same without counting an attempt (a setting is wrong, the stage is paused). */
FB_MUST_USE enum fb_status fb_queue_defer(struct fb_redis *r, const char *consumer,
                                          const struct fb_claim *claim, int64_t delay_ms,
                                          const struct fb_error *reason, const struct fb_ops *ops,
                                          struct fb_error *err);
/* Held: to the dead stream with job, stage, reason, attempts, times.  For a job of the pipeline a letter to the sender
 * (FB_LETTER_HELD) is added in the same step, once a stage of the branch. */
FB_MUST_USE enum fb_status fb_queue_bury(struct fb_redis *r, const char *consumer,
                                         const struct fb_claim *claim,
                                         const struct fb_error *reason, const struct fb_ops *ops,
                                         struct fb_error *err);
/* Hands an unfinished claim back (drain): same attempt. */
FB_MUST_USE enum fb_status fb_queue_release(struct fb_redis *r, const char *consumer,
                                            const struct fb_claim *claim, struct fb_error *err);

/* Delay before attempt number `attempt` (0-based): rand(0, min(1 h, 5 s * 2^attempt)), at least 1 s (full jitter). */
int64_t fb_queue_backoff_ms(uint32_t attempt);

struct fb_queue_stats {
    int64_t waiting, inflight, delayed, dead; /* both lanes */
    int64_t bulk;                             /* waiting and in flight in the bulk lane */
    int64_t oldest_age_ms; /* of the waiting and in-flight ones; 0 when there is none */
};
/* Over all shards. */
FB_MUST_USE enum fb_status fb_queue_stats(struct fb_redis *r, enum fb_stage stage,
                                          struct fb_queue_stats *stats_r, struct fb_error *err);
/* How long the oldest job of the pipeline waits in a normal lane, over stages and shards: not in hand, not put off.
 * What one sender handed in at once may wait long in the bulk lane without anything being wrong. */
FB_MUST_USE enum fb_status fb_queue_waiting_age(struct fb_redis *r, int64_t *age_ms_r,
                                                struct fb_error *err);

/* Jobs of a newer version than the workers', which wait for upgraded ones; those of them that a worker met within
 * the last minute.  Over all shards; they are among the delayed ones of fb_queue_stats. */
FB_MUST_USE enum fb_status fb_queue_newer(struct fb_redis *r, enum fb_stage stage, int64_t *count_r,
                                          struct fb_error *err);

/* Dead letters (operator): id is "s<shard>-<stream id>". */
struct fb_dead {
    char id[64];
    struct fb_job job;
    enum fb_lane lane; /* it goes back into that one */
    char reason[FB_ERROR_MAX];
    char status[16];
    int64_t died_ms;
};
/* Oldest first, all shards; stops when each returns false.  A dead letter whose job cannot be decoded has an empty
 * job.msg_id. */
FB_MUST_USE enum fb_status fb_dead_list(struct fb_redis *r,
                                        bool (*each)(void *ctx, const struct fb_dead *d), void *ctx,
                                        struct fb_error *err);
/* FB_NOT_FOUND (also for an id that is none). */
FB_MUST_USE enum fb_status fb_dead_get(struct fb_redis *r, const char *id, struct fb_dead *dead_r,
                                       struct fb_error *err);
/* Back into its stage with attempt 0 (a letter: with its whole life). FB_NOT_FOUND. */
FB_MUST_USE enum fb_status fb_dead_retry(struct fb_redis *r, const char *id, struct fb_error *err);
/* Replaces it by another job (release: a rewrite job that sends untouched; reject: one that reports), in one step
 * with ops. */
FB_MUST_USE enum fb_status fb_dead_replace(struct fb_redis *r, const char *id,
                                           const struct fb_job *job, const struct fb_ops *ops,
                                           struct fb_error *err);
/* Takes it off the list; nothing takes its place. FB_NOT_FOUND. */
FB_MUST_USE enum fb_status fb_dead_drop(struct fb_redis *r, const char *id, struct fb_error *err);
/* Drops dead letters that lie longer than older_than_ms. */
FB_MUST_USE enum fb_status fb_dead_expire(struct fb_redis *r, int64_t older_than_ms,
                                          struct fb_error *err);

#endif
