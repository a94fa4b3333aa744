/* SPDX-License-Identifier: Apache-2.0 */
#include "services/revoke/schedule.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/ledger/ledger.h"
#include "common/log.h"

#define LOOK_EVERY_S     5
#define DEAD_EVERY_MS    (10 * 60 * 1000)
#define REDIS_TIMEOUT_MS 5000
#define BATCH            200
/* A parcel whose job was added comes up again after this.  Job and date are one step in Redis and are lost together:
 * this is for jobs that were buried.  Much sooner, and jobs would pile up as long as a setting is wrong. */
#define AGAIN_MS ((int64_t)24 * 60 * 60 * 1000)

struct revoke_schedule {
    const struct fb_config *config;
    struct fb_redis *redis;
    pthread_t thread;
    pthread_mutex_t lock; /* guards is_stopping */
    pthread_cond_t wake;
    bool is_stopping;
    int64_t dead_next_ms; /* monotonic */
};

struct due_list {
    char parcel_ids[BATCH][FB_PARCEL_ID_SIZE];
    size_t count;
};

static bool take_due(void *ctx, const char *parcel_id)
{
    struct due_list *list = ctx;
    if (strlen(parcel_id) < FB_PARCEL_ID_SIZE) {
        memcpy(list->parcel_ids[list->count++], parcel_id, strlen(parcel_id) + 1);
    }
    return list->count < BATCH;
}

static enum fb_status expire_parcel(struct revoke_schedule *s, const char *parcel_id,
                                    struct fb_error *err)
{
    struct fb_job job = {.stage = FB_STAGE_REVOKE, .op = FB_REVOKE_EXPIRE, .first_ms = fb_now_ms()};
    if (!fb_parcel_id_split(parcel_id, job.msg_id, &job.branch)) {
        fb_log(FB_WARN, "an entry of the due list is no parcel id; it is left alone");
        return FB_OK;
    }
    fb_trace_new(job.trace);
    struct fb_ops *ops = fb_ops_new();
    fb_ledger_due_set(s->redis, ops, parcel_id, fb_now_ms() + AGAIN_MS);
    enum fb_status st = fb_queue_add(s->redis, &job, ops, err);
    fb_ops_free(&ops);
    return st;
}

static enum fb_status expire_parcels(struct revoke_schedule *s, struct fb_error *err)
{
    struct due_list *list = fb_xcalloc(1, sizeof *list);
    enum fb_status st = fb_ledger_due(s->redis, fb_now_ms(), BATCH, take_due, list, err);
    for (size_t i = 0; i < list->count && st == FB_OK; i++) {
        st = expire_parcel(s, list->parcel_ids[i], err);
    }
    free(list);
    return st;
}

struct dead_walk {
    struct revoke_schedule *schedule;
    int64_t before_ms;
    enum fb_status status;
    struct fb_error *err;
};

static bool give_up(void *ctx, const struct fb_dead *dead)
{
    struct dead_walk *w = ctx;
    if (dead->died_ms >= w->before_ms || dead->job.msg_id[0] == '\0' ||
        dead->job.stage == FB_STAGE_REVOKE) {
        return true;
    }
    enum fb_status st = fb_ledger_decide_held(w->schedule->redis, dead, "reject", w->err);
    if (st == FB_OK) {
        fb_log_fields(FB_WARN, "held for longer than retention.dead: given up, its sender is told",
                      "msg_id", dead->job.msg_id, NULL);
    } else if (st != FB_NOT_FOUND) { /* not found: somebody else decided */
        w->status = st;
    }
    return w->status == FB_OK;
}

/* Nothing that was accepted disappears: mail goes back to its sender as a report; only what is no mail is dropped. */
static enum fb_status give_up_dead(struct revoke_schedule *s, struct fb_error *err)
{
    struct dead_walk w = {
        .schedule = s, .before_ms = fb_now_ms() - s->config->retention.dead_ms, .err = err};
    enum fb_status st = fb_dead_list(s->redis, give_up, &w, err);
    st = st == FB_OK ? w.status : st;
    return st == FB_OK ? fb_dead_expire(s->redis, s->config->retention.dead_ms, err) : st;
}

static void look(struct revoke_schedule *s)
{
    struct fb_error err = {0};
    enum fb_status st = expire_parcels(s, &err);
    if (st == FB_OK && fb_mono_ms() >= s->dead_next_ms) {
        st = give_up_dead(s, &err);
        s->dead_next_ms = st == FB_OK ? fb_mono_ms() + DEAD_EVERY_MS : s->dead_next_ms;
    }
    if (st != FB_OK) {
        fb_log(FB_WARN, "what is due cannot be looked up, it is tried again: %s", err.text);
    }
}

static void *keep_time(void *arg)
{
    struct revoke_schedule *s = arg;
    (void)pthread_mutex_lock(&s->lock);
    while (!s->is_stopping) {
        (void)pthread_mutex_unlock(&s->lock);
        look(s);
        (void)pthread_mutex_lock(&s->lock);
        struct timespec until;
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += LOOK_EVERY_S;
        for (int rc = 0; !s->is_stopping && rc == 0;) {
            rc = pthread_cond_timedwait(&s->wake, &s->lock, &until);
        }
    }
    (void)pthread_mutex_unlock(&s->lock);
    return NULL;
}

enum fb_status revoke_schedule_new(const struct fb_config *config,
                                   struct revoke_schedule **schedule_r, struct fb_error *err)
{
    struct revoke_schedule *s = fb_xcalloc(1, sizeof *s);
    pthread_condattr_t attr;
    s->config = config;
    enum fb_status st = fb_redis_new(config, REDIS_TIMEOUT_MS, &s->redis, err);
    if (st != FB_OK) {
        free(s);
        return st;
    }
    bool is_made = pthread_condattr_init(&attr) == 0 &&
                   pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0 &&
                   pthread_cond_init(&s->wake, &attr) == 0 &&
                   pthread_mutex_init(&s->lock, NULL) == 0;
    FB_ASSERT(is_made); /* these cannot fail on Linux with such attributes */
    (void)pthread_condattr_destroy(&attr);
    if (pthread_create(&s->thread, NULL, keep_time, s) != 0) {
        fb_redis_free(&s->redis);
        free(s);
        return fb_error_set(err, FB_AGAIN, "a thread for the schedule cannot be started");
    }
    *schedule_r = s;
    return FB_OK;
}

void revoke_schedule_free(struct revoke_schedule **schedule)
{
    struct revoke_schedule *s = *schedule;
    if (s == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&s->lock);
    s->is_stopping = true;
    (void)pthread_cond_signal(&s->wake);
    (void)pthread_mutex_unlock(&s->lock);
    (void)pthread_join(s->thread, NULL);
    (void)pthread_cond_destroy(&s->wake);
    (void)pthread_mutex_destroy(&s->lock);
    fb_redis_free(&s->redis);
    free(s);
    *schedule = NULL;
}
