/* SPDX-License-Identifier: Apache-2.0 */
#include "sweeper.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "common/alarm.h"
#include "common/ledger/sweep.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/redis.h"

#define REDIS_TIMEOUT_MS 5000
#define MIN_EVERY_MS     1000
#define MAX_EVERY_MS     300000
#define SHARE            20 /* a sweep may take one part in so many of the time */
#define LOWER_PRIORITY   10
#define CARRY_MS         1000

struct sweeper {
    struct fb_redis *redis;
    struct fb_sweeper *sweeper;
    int64_t every_ms;
    int64_t carry_next_ms; /* monotonic */
    pthread_t thread;
    atomic_bool is_stopping;
};

static bool goes_on(void *ctx)
{
    struct sweeper *s = ctx;
    return !atomic_load(&s->is_stopping);
}

static void sweep(struct sweeper *s)
{
    struct fb_error err = {0};
    struct fb_sweep_result result = {0};
    enum fb_status st = fb_sweep(s->sweeper, &result, &err);
    if (st != FB_OK) {
        fb_log(FB_DEBUG, "the sweep was interrupted: %s",
               err.text); /* the enqueue thread says so */
    }
    fb_metric_add("fumibako_sweep_requeued_total", NULL, (double)result.requeued);
    if (result.requeued > 0) {
        fb_alarm_raise(FB_ALARM_REPAIRED, "jobs",
                       "%llu jobs were lost and put back: did Redis fail over, or did somebody "
                       "change its data?",
                       (unsigned long long)result.requeued);
    } else if (st == FB_OK) {
        fb_alarm_clear(FB_ALARM_REPAIRED, "jobs");
    }
    if (st == FB_OK) {
        fb_metric_set("fumibako_sweep_orphans", NULL, (double)result.orphans);
    }
    if (st == FB_OK && result.orphans == 0) {
        fb_alarm_clear(FB_ALARM_REPAIRED, "orphans");
    }
    if (result.orphans > 0) {
        fb_alarm_raise(
            FB_ALARM_REPAIRED, "orphans",
            "%llu open messages are not in the spool: restore the spool from its backup, "
            "or tell their senders",
            (unsigned long long)result.orphans);
        fb_log_fields(FB_ERROR,
                      "a message is open and its mail is not in the spool: restore the spool from "
                      "its backup, or look at the message and tell its sender",
                      "msg_id", result.orphan, NULL);
    }
}

/* ingest has no worker that does it. */
static void carry_alarms(struct sweeper *s)
{
    struct fb_error err = {0};
    if (fb_mono_ms() >= s->carry_next_ms) {
        s->carry_next_ms = fb_mono_ms() + CARRY_MS;
        if (fb_alarm_publish(s->redis, &err) != FB_OK) {
            fb_log(FB_DEBUG, "alarms cannot be carried to Redis now: %s", err.text);
        }
    }
}

static void *run(void *arg)
{
    struct sweeper *s = arg;
    int64_t next_ms = fb_mono_ms() + s->every_ms;
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), getpriority(PRIO_PROCESS, 0) + LOWER_PRIORITY);
    while (!atomic_load(&s->is_stopping)) {
        int64_t begun = fb_mono_ms();
        if (begun >= next_ms) {
            sweep(s);
            int64_t pause = (fb_mono_ms() - begun) * SHARE;
            next_ms = fb_mono_ms() + (pause > s->every_ms ? pause : s->every_ms);
        }
        carry_alarms(s);
        (void)nanosleep(&(struct timespec){0, 100000000L}, NULL);
    }
    return NULL;
}

enum fb_status sweeper_new(const struct fb_config *config, struct fb_spool *spool,
                           struct sweeper **sweeper_r, struct fb_error *err)
{
    struct sweeper *s = fb_xcalloc(1, sizeof *s);
    int64_t patience = config->ingest.sweep_after_ms;
    s->every_ms = patience / 4 < MIN_EVERY_MS   ? MIN_EVERY_MS
                  : patience / 4 > MAX_EVERY_MS ? MAX_EVERY_MS
                                                : patience / 4;
    enum fb_status st = fb_redis_new(config, REDIS_TIMEOUT_MS, &s->redis, err);
    if (st != FB_OK) {
        free(s);
        return st;
    }
    s->sweeper = fb_sweeper_new(spool, s->redis, patience, goes_on, s);
    int e = pthread_create(&s->thread, NULL, run, s);
    if (e != 0) {
        fb_sweeper_free(&s->sweeper);
        fb_redis_free(&s->redis);
        free(s);
        return fb_error_errno(err, FB_IO, e, "start the sweeper's thread");
    }
    *sweeper_r = s;
    return FB_OK;
}

void sweeper_free(struct sweeper **sweeper)
{
    struct sweeper *s = *sweeper;
    if (s == NULL) {
        return;
    }
    atomic_store(&s->is_stopping, true);
    (void)pthread_join(s->thread, NULL);
    fb_sweeper_free(&s->sweeper);
    fb_redis_free(&s->redis);
    free(s);
    *sweeper = NULL;
}
