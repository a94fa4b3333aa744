/* SPDX-License-Identifier: Apache-2.0
 *
 * What worker.c (threads) and worker_job.c (one job) share.  Nobody else includes it.
 */
#ifndef FB_COMMON_QUEUE_WORKER_INTERNAL_H
#define FB_COMMON_QUEUE_WORKER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "common/queue/worker.h"

enum fb_slot_state { FB_SLOT_FREE, FB_SLOT_READY, FB_SLOT_BUSY };

/* A place for one job in hand; as many as there are job threads. */
struct fb_slot {
    enum fb_slot_state state;
    struct fb_claim claim;
};

struct fb_worker {
    const struct fb_config *config;
    const struct fb_worker_config *w;
    int shards;
    int min_idle_ms;         /* three heartbeats: then others may take the job */
    atomic_bool is_stopping; /* beside fb_service_stopping(): a thread could not start */
    atomic_bool is_drained;  /* no job in hand any more: heartbeat and promotion end */

    pthread_mutex_t lock;
    pthread_cond_t changed; /* CLOCK_MONOTONIC */
    struct fb_slot *slots;
    int free_count;                       /* free and not reserved by a fetcher */
    uint64_t ticket_next, ticket_serving; /* fetchers take slots in turn */
    int fetchers_running;
    int threads_ready;
    struct fb_error start_error;

    /* of the promoting thread alone (worker_watch.c) */
    int64_t watch_next_ms; /* monotonic */
    int64_t dead_seen;
};

struct fb_worker_thread {
    struct fb_worker *worker;
    struct fb_redis *redis;
    void *thread; /* of thread_init */
};

bool fb_worker_stopping(const struct fb_worker *worker);
/* Sleeps at most ms; ends early when the worker stops (or, with until_drained, is drained). */
void fb_worker_sleep(struct fb_worker *worker, int64_t ms, bool until_drained);
/* Works on one claim and ends it. */
void fb_worker_job(struct fb_worker_thread *t, const struct fb_claim *claim);
/* The counters of its jobs stand at zero from the start (common/metrics.h). */
void fb_worker_counters(enum fb_stage stage);
/* Alarms of this stage, each few seconds; for the promoting thread. */
void fb_worker_watch(struct fb_worker *worker, struct fb_redis *r);
/* What puts a job off that is late already also tells the sender, once. */
void fb_worker_tell_late(struct fb_worker_thread *t, const struct fb_claim *claim,
                         struct fb_outcome *out);
/* Hands a claim back that was not begun (drain). */
void fb_worker_hand_back(struct fb_worker_thread *t, const struct fb_claim *claim);

#endif
