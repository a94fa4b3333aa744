/* SPDX-License-Identifier: Apache-2.0 */
#include "services/revoke/schedule.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/alarm.h"
#include "common/ledger/ledger.h"
#include "common/log.h"
#include "common/metrics.h"
#include "services/revoke/report.h"

#define LOOK_MS          1000
#define LOOK_BUSY_MS     50 /* while there is more than a batch */
#define DEAD_EVERY_MS    (10 * 60 * 1000)
#define WARN_MS          (INT64_C(3) * 24 * 3600 * 1000) /* before held mail is given up */
#define REDIS_TIMEOUT_MS 5000
#define BATCH_MIN        32
#define BATCH_MAX        1000
/* What is taken comes up again after this, should this process end before it has made jobs of it. */
#define TAKEN_MS 15000
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
    size_t batch;
    struct fb_due_item *items; /* BATCH_MAX */
    struct fb_job *jobs;       /* BATCH_MAX */
};

/* ---- what is due ---- */

static void put_off(struct revoke_schedule *s, struct fb_ops *ops, const struct fb_due_item *item,
                    int64_t at_ms)
{
    fb_ledger_due_add(s->redis, ops, item->kind, item->id, at_ms);
}

static void make_job(struct fb_job *job, const struct fb_due_item *item)
{
    *job = (struct fb_job){.stage = FB_STAGE_REVOKE,
                           .op = item->kind == FB_DUE_PURGE ? FB_REVOKE_PURGE : FB_REVOKE_EXPIRE,
                           .first_ms = fb_now_ms()};
    fb_trace_new(job->trace);
    (void)fb_parcel_id_split(item->id, job->msg_id, &job->branch); /* due_take gives good ids */
}

/* Somebody has access and did not use it, as far as the storage told. */
static bool has_unopened(const struct fb_ledger_message *m, uint32_t branch)
{
    for (size_t i = 0; i < m->recipient_count; i++) {
        const struct fb_ledger_recipient *r = &m->recipients[i];
        bool is_open =
            strcmp(r->grant_state, "active") == 0 || strcmp(r->grant_state, "pending") == 0;
        if (r->branch == branch && is_open && r->previews == 0 && r->downloads == 0) {
            return true;
        }
    }
    return false;
}

static enum fb_status remind(struct revoke_schedule *s, const struct fb_due_item *item,
                             struct fb_ops *ops, size_t *count, struct fb_error *err)
{
    struct fb_ledger_message m = {0};
    struct fb_job about = {.stage = FB_STAGE_REVOKE};
    (void)fb_parcel_id_split(item->id, about.msg_id, &about.branch);
    fb_trace_new(about.trace);
    enum fb_status st = fb_ledger_get(s->redis, about.msg_id, &m, err);
    if (st == FB_OK && m.from[0] != '\0' && has_unopened(&m, about.branch)) {
        fb_job_letter(FB_LETTER_UNOPENED, &about, about.branch, &s->jobs[(*count)++]);
    }
    if (st == FB_OK || st == FB_NOT_FOUND) {
        put_off(s, ops, item, 0);
    }
    fb_ledger_message_deinit(&m);
    return st == FB_NOT_FOUND ? FB_OK : st;
}

static enum fb_status report(struct revoke_schedule *s, const struct fb_due_item *item,
                             struct fb_ops *ops, size_t *count, struct fb_error *err)
{
    enum revoke_report what = REVOKE_REPORT_NONE;
    int64_t next_ms = 0;
    struct fb_job about = {.stage = FB_STAGE_REVOKE, .op = FB_REVOKE_RECALL};
    memcpy(about.msg_id, item->id, FB_ID_SIZE - 1); /* "<message>/<recall>" */
    memcpy(about.recall_id, item->id + FB_ID_SIZE, FB_ID_SIZE - 1);
    fb_trace_new(about.trace);
    enum fb_status st = revoke_report_decide(s->redis, s->config, about.msg_id, about.recall_id,
                                             &what, &next_ms, err);
    if (st != FB_OK) {
        return st;
    }
    put_off(s, ops, item,
            what == REVOKE_REPORT_LATER || what == REVOKE_REPORT_INTERIM ? next_ms : 0);
    if (what == REVOKE_REPORT_INTERIM || what == REVOKE_REPORT_FINAL) {
        fb_job_letter(FB_LETTER_RECALL, &about, 0, &s->jobs[(*count)++]);
        fb_ledger_recall_told(s->redis, ops, about.msg_id, about.recall_id,
                              what == REVOKE_REPORT_FINAL ? "final" : "interim");
    }
    return FB_OK;
}

/* One item; what it needs goes into ops and jobs.  An item that cannot be looked at comes again by itself. */
static void handle_item(struct revoke_schedule *s, const struct fb_due_item *item,
                        struct fb_ops *ops, size_t *count)
{
    struct fb_error err = {0};
    enum fb_status st = FB_OK;
    if (item->kind == FB_DUE_EXPIRE || item->kind == FB_DUE_PURGE) {
        make_job(&s->jobs[(*count)++], item);
        put_off(s, ops, item, fb_now_ms() + AGAIN_MS);
    } else if (item->kind == FB_DUE_UNOPENED) {
        st = remind(s, item, ops, count, &err);
    } else {
        st = report(s, item, ops, count, &err);
    }
    if (st != FB_OK) {
        fb_log(FB_WARN, "%s is due and cannot be looked at, it is tried again: %s", item->id,
               err.text);
    }
}

static enum fb_status take_shard(struct revoke_schedule *s, int shard, size_t max, size_t *taken_r,
                                 struct fb_error *err)
{
    size_t count = 0;
    size_t job_count = 0;
    int64_t now = fb_now_ms();
    *taken_r = 0;
    enum fb_status st =
        fb_ledger_due_take(s->redis, shard, now, TAKEN_MS, max, s->items, &count, err);
    if (st != FB_OK || count == 0) {
        return st;
    }
    struct fb_ops *ops = fb_ops_new();
    for (size_t i = 0; i < count; i++) {
        handle_item(s, &s->items[i], ops, &job_count);
    }
    /* Jobs and dates in one step: what is taken is neither lost nor done twice. */
    if (job_count > 0) {
        st = fb_queue_add_many(s->redis, s->jobs, job_count, ops, err);
    } else if (fb_ops_count(ops) > 0) {
        st = fb_queue_change(s->redis, shard, ops, err);
    }
    fb_ops_free(&ops);
    *taken_r = count;
    return st;
}

/* As many as the workers get done between two looks, so that a recall never waits behind thousands of expiries; what
 * is not taken waits in the due list, in order. */
static void adapt(struct revoke_schedule *s, int64_t waiting)
{
    if (waiting == 0) {
        s->batch = s->batch * 2 < BATCH_MAX ? s->batch * 2 : BATCH_MAX;
    } else if ((size_t)waiting > s->batch / 2) {
        s->batch = s->batch / 2 > BATCH_MIN ? s->batch / 2 : BATCH_MIN;
    }
}

/* What waits and for how long, also while the workers have no room for it. */
static enum fb_status show_due(struct revoke_schedule *s, uint64_t *backlog_r, struct fb_error *err)
{
    int64_t now = fb_now_ms();
    int64_t oldest = now;
    enum fb_status st = fb_ledger_due_count(s->redis, now, backlog_r, err);
    if (st == FB_OK) {
        fb_metric_set("fumibako_due_backlog", NULL, (double)*backlog_r);
        st = fb_ledger_due_oldest(s->redis, now, &oldest, err);
    }
    if (st == FB_OK) {
        fb_metric_set("fumibako_due_lag_seconds", NULL, (double)(now - oldest) / 1000);
    }
    return st;
}

static enum fb_status take_due(struct revoke_schedule *s, bool *has_more_r, struct fb_error *err)
{
    struct fb_queue_stats q = {0};
    uint64_t backlog = 0;
    *has_more_r = false;
    enum fb_status st = show_due(s, &backlog, err);
    if (st == FB_OK && backlog > 0) {
        st = fb_queue_stats(s->redis, FB_STAGE_REVOKE, &q, err);
    }
    if (st != FB_OK || backlog == 0) {
        return st;
    }
    adapt(s, q.waiting);
    size_t room = (size_t)q.waiting < s->batch ? s->batch - (size_t)q.waiting : 0;
    for (int shard = 0; shard < fb_redis_shard_count(s->redis) && st == FB_OK && room > 0;
         shard++) {
        size_t taken = 0;
        st = take_shard(s, shard, room, &taken, err);
        room -= taken;
    }
    *has_more_r = true;
    return st;
}

struct dead_walk {
    struct revoke_schedule *schedule;
    int64_t before_ms;
    int64_t soon_ms; /* what died before is given up soon */
    size_t ending;
    enum fb_status status;
    struct fb_error *err;
};

static bool give_up(void *ctx, const struct fb_dead *dead)
{
    struct dead_walk *w = ctx;
    if (dead->died_ms >= w->before_ms && dead->died_ms < w->soon_ms) {
        w->ending++;
    }
    if (dead->died_ms >= w->before_ms || dead->job.msg_id[0] == '\0' ||
        fb_job_is_side(&dead->job)) { /* no mail: recalls that failed, letters to senders */
        return true;
    }
    enum fb_status st = fb_ledger_decide_held(w->schedule->redis, dead, "reject", w->err);
    if (st == FB_OK) {
        fb_log_fields(FB_WARN,
                      "held for longer than retention.dead: given up, as with `fumibako dead "
                      "reject`",
                      "msg_id", dead->job.msg_id, NULL);
    } else if (st != FB_NOT_FOUND) { /* not found: somebody else decided */
        w->status = st;
    }
    return w->status == FB_OK;
}

/* Nothing that was accepted disappears: mail goes back to its sender as a report; only what is no mail is dropped. */
static enum fb_status give_up_dead(struct revoke_schedule *s, struct fb_error *err)
{
    int64_t keep_ms = s->config->retention.dead_ms;
    int64_t warn_ms = keep_ms / 4 < WARN_MS ? keep_ms / 4 : WARN_MS;
    int64_t now = fb_now_ms();
    struct dead_walk w = {
        .schedule = s, .before_ms = now - keep_ms, .soon_ms = now - keep_ms + warn_ms, .err = err};
    enum fb_status st = fb_dead_list(s->redis, give_up, &w, err);
    st = st == FB_OK ? w.status : st;
    if (st == FB_OK && w.ending > 0) {
        fb_alarm_raise(FB_ALARM_HELD_ENDING, "",
                       "%zu held too long without a decision, given up within %lld hours "
                       "(retention.dead): see `fumibako dead list`",
                       w.ending, (long long)(warn_ms / 3600000) + 1);
    } else if (st == FB_OK) {
        fb_alarm_clear(FB_ALARM_HELD_ENDING, "");
    }
    return st == FB_OK ? fb_dead_expire(s->redis, s->config->retention.dead_ms, err) : st;
}

/* How long to the next look. */
static int64_t look(struct revoke_schedule *s)
{
    struct fb_error err = {0};
    bool has_more = false;
    enum fb_status st = take_due(s, &has_more, &err);
    if (st == FB_OK && fb_mono_ms() >= s->dead_next_ms) {
        st = give_up_dead(s, &err);
        s->dead_next_ms = st == FB_OK ? fb_mono_ms() + DEAD_EVERY_MS : s->dead_next_ms;
    }
    if (st != FB_OK) {
        fb_log(FB_WARN, "what is due cannot be looked up, it is tried again: %s", err.text);
    }
    return st == FB_OK && has_more ? LOOK_BUSY_MS : LOOK_MS;
}

static void *keep_time(void *arg)
{
    struct revoke_schedule *s = arg;
    (void)pthread_mutex_lock(&s->lock);
    while (!s->is_stopping) {
        (void)pthread_mutex_unlock(&s->lock);
        int64_t pause_ms = look(s);
        (void)pthread_mutex_lock(&s->lock);
        struct timespec until;
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += pause_ms / 1000;
        until.tv_nsec += (pause_ms % 1000) * 1000000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
        for (int rc = 0; !s->is_stopping && rc == 0;) {
            rc = pthread_cond_timedwait(&s->wake, &s->lock, &until);
        }
    }
    (void)pthread_mutex_unlock(&s->lock);
    return NULL;
}

static void free_schedule(struct revoke_schedule *s)
{
    fb_redis_free(&s->redis);
    free(s->items);
    free(s->jobs);
    free(s);
}

enum fb_status revoke_schedule_new(const struct fb_config *config,
                                   struct revoke_schedule **schedule_r, struct fb_error *err)
{
    struct revoke_schedule *s = fb_xcalloc(1, sizeof *s);
    pthread_condattr_t attr;
    s->config = config;
    s->batch = BATCH_MIN;
    s->items = fb_xcalloc(BATCH_MAX, sizeof *s->items);
    s->jobs = fb_xcalloc(BATCH_MAX, sizeof *s->jobs);
    enum fb_status st = fb_redis_new(config, REDIS_TIMEOUT_MS, &s->redis, err);
    if (st != FB_OK) {
        free_schedule(s);
        return st;
    }
    bool is_made = pthread_condattr_init(&attr) == 0 &&
                   pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0 &&
                   pthread_cond_init(&s->wake, &attr) == 0 &&
                   pthread_mutex_init(&s->lock, NULL) == 0;
    FB_ASSERT(is_made); /* these cannot fail on Linux with such attributes */
    (void)pthread_condattr_destroy(&attr);
    if (pthread_create(&s->thread, NULL, keep_time, s) != 0) {
        free_schedule(s);
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
    free_schedule(s);
    *schedule = NULL;
}
