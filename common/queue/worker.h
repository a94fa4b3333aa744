/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of a worker: threads that take jobs of one stage, hand each to `handle` and end the claim as the
 * outcome says.  In here once: reading without prefetch beyond free threads, heartbeat, claim of abandoned jobs,
 * promotion of due retries, back-off, dead letters, drain, metrics, log context.
 */
#ifndef FB_COMMON_QUEUE_WORKER_H
#define FB_COMMON_QUEUE_WORKER_H

#include "common/config.h"
#include "common/queue/queue.h"

enum fb_outcome_kind {
    FB_OUTCOME_ADVANCE, /* next jobs */
    FB_OUTCOME_FINISH,  /* the branch's last stage */
    FB_OUTCOME_RETRY,   /* delay_ms, or back-off when 0 */
    FB_OUTCOME_BURY,    /* held */
    FB_OUTCOME_RELEASE, /* hand back, the stage is paused or draining; with delay_ms: not before that */
    FB_OUTCOME_RESTART, /* derived objects are lost: back to render (fb_queue_restart) */
    FB_OUTCOME_DROP,    /* the claim is not ours any more: touch nothing */
};

struct fb_outcome {
    enum fb_outcome_kind kind;
    struct fb_job *next; /* the worker frees (malloc'ed array) */
    size_t next_count;
    struct fb_ops *ops; /* the worker frees; may be NULL */
    int64_t delay_ms;
    bool is_uncounted;      /* retry: no attempt is counted, but the lifetime holds */
    struct fb_error reason; /* retry, bury */
};

struct fb_worker_config {
    enum fb_stage stage;
    int threads;
    int heartbeat_ms;        /* 10 s; a job is abandoned after three */
    uint32_t max_deliveries; /* crashes before a job is buried: 3 */
    uint32_t max_attempts;   /* failures before a job is buried; 0 = until lifetime_ms */
    int64_t lifetime_ms; /* since acceptance; a job that would retry past it is buried; 0 = none.
                            Letters have neither: they are given up after FB_LETTER_LIFE_MS. */
    void *ctx;
    /* thread_init makes what one thread needs (its own connections); may be NULL. */
    enum fb_status (*thread_init)(void *ctx, void **thread_r, struct fb_error *err);
    void (*thread_deinit)(void *ctx, void *thread);
    /* Works on one job with a Redis connection of this thread for ledger reads and claims.  Must come back in bounded
     * time.  Fills *out (zeroed, ADVANCE). */
    void (*handle)(void *ctx, void *thread, struct fb_redis *redis, const struct fb_claim *claim,
                   struct fb_outcome *out);
    /* Called when FINISH ended the message's last branch; may be NULL. */
    void (*message_done)(void *ctx, void *thread, const struct fb_claim *claim);
    /* Called before a bury, by the retry rules or the outcome: may change *out (e.g. to ADVANCE a bounce, or add
     * ledger ops).  Not for letters.  May be NULL. */
    void (*before_bury)(void *ctx, void *thread, struct fb_redis *redis,
                        const struct fb_claim *claim, struct fb_outcome *out);
};

/* Runs until fb_service_stopping(); then drains: running jobs finish, nothing new is taken, the
 * consumer is forgotten. */
FB_MUST_USE enum fb_status fb_worker_run(const struct fb_config *config,
                                         const struct fb_worker_config *w, struct fb_error *err);
/* A retry that comes within seconds and counts no attempt: what is missing comes by itself (the first policy of a new
 * system, a moment before the process sees it).  Nothing is changed for a job of more than a minute. */
void fb_outcome_soon(const struct fb_claim *claim, struct fb_outcome *out);
/* The spool has no mail of this job: it was delivered and erased, and Redis has forgotten so (the
 * job is an echo), or the spool has lost it.  Nobody can tell which, and nothing can be sent: the
 * branch ends, with a word in the log and a count that people are told of
 * (FumibakoJobWithoutMail). */
void fb_outcome_without_mail(const struct fb_claim *claim, struct fb_outcome *out);
/* The job that follows `claim` in `stage` for `branch` (message, ref, times, trace carried over; attempt 0). */
void fb_job_follow(const struct fb_claim *claim, enum fb_stage stage, uint32_t branch,
                   struct fb_job *job_r);
/* A connection to share the running worker's consumer name in ledger claims. */
const char *fb_worker_consumer(void);

#endif
