/* SPDX-License-Identifier: Apache-2.0
 *
 * The enqueue thread.  One rule keeps it simple: a message leaves the backlog only when Redis knows
 * it, or when a replay is owed (needs_replay), which finds it in the spool. */
#include "enqueue.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "common/crypto.h"
#include "common/ledger/ledger.h"
#include "common/ledger/replay.h"
#include "common/log.h"
#include "common/metrics.h"

#define ENQUEUE_BATCH    128
#define MAX_BACKLOG      200000U  /* messages in memory while Redis is away */
#define MAX_RECIPIENTS   1000000U /* of them all: bounds the memory of envelopes */
#define REDIS_TIMEOUT_MS 5000
#define EPOCH_EVERY_MS   1000
#define SWEEP_EVERY_MS   60000
#define SWEEP_SHARE      50 /* a sweep may take one part in so many of the time */
#define EARLY_SHARE      5  /* the same, when Redis may have forgotten something */
#define LOWER_PRIORITY   10
#define RETRY_MS         200
#define PAUSE_BATCHES    8        /* of fresh mail between two batches of a replay */
#define GATHER_NS        8000000L /* a batch that is not full waits so long for company */

struct enqueuer {
    struct fb_spool *spool;
    struct fb_redis *redis;
    struct fb_journal *journal; /* of the replays; opened by the first that needs it */
    int64_t ttl_ms;
    struct fb_pace pace;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    /* under the lock */
    struct pending *first, **end;
    size_t count, recipients;
    bool is_waiting, needs_replay, is_joined;
    atomic_bool is_stopping;
    atomic_llong stop_at_ms; /* monotonic */
    /* the thread's own */
    char (*epochs)[FB_ID_SIZE]; /* by shard */
    int64_t epoch_next_ms, sweep_next_ms;
    int64_t early_next_ms; /* no sweep before, whatever happened */
    uint64_t connections;  /* to Redis, at the last replay */
    bool is_away;          /* said so in the log */
};

void pending_free(struct pending *p)
{
    if (p != NULL) {
        fb_envelope_deinit(&p->envelope);
        free(p);
    }
}

/* ---- telling Redis ---- */

/* Up to ENQUEUE_BATCH messages: status_r[i] is FB_OK or FB_EXISTS where Redis knows them now.  The
 * call's status is that of the connection. */
static enum fb_status send_items(struct fb_redis *redis, struct pending *const *items, size_t count,
                                 int64_t ttl_ms, const struct fb_pace *pace,
                                 enum fb_status *status_r, struct fb_error *err)
{
    FB_ASSERT(count <= ENQUEUE_BATCH);
    struct fb_pace_sender senders[ENQUEUE_BATCH];
    struct fb_job *jobs = fb_xcalloc(count + 1, sizeof *jobs);
    struct fb_ops *ops[ENQUEUE_BATCH] = {NULL};
    for (size_t i = 0; i < count; i++) {
        const struct pending *p = items[i];
        ops[i] = fb_ops_new();
        fb_replay_first_job(redis, ops[i], p->msg_id, p->ref, &p->envelope, p->size, ttl_ms,
                            &jobs[i]);
        fb_pace_sender(pace, p->envelope.reverse_path, &senders[i]);
    }
    enum fb_status s = fb_queue_enqueue_paced(redis, jobs, (const struct fb_ops *const *)ops, count,
                                              pace, senders, status_r, err);
    for (size_t i = 0; i < count; i++) {
        fb_ops_free(&ops[i]);
    }
    free(jobs);
    return s;
}

static size_t take_batch(struct enqueuer *e, struct pending **items)
{
    size_t n = 0;
    (void)pthread_mutex_lock(&e->lock);
    while (n < ENQUEUE_BATCH && e->first != NULL) {
        struct pending *p = e->first;
        e->first = p->next;
        if (e->first == NULL) {
            e->end = &e->first;
        }
        e->count--;
        e->recipients -= p->envelope.recipient_count;
        items[n++] = p;
    }
    (void)pthread_mutex_unlock(&e->lock);
    return n;
}

/* Back to the front, in their order: the oldest mail first.  With several shards to the end: they
 * may be on several nodes, and what waits for one must not keep the others' mail waiting. */
static void put_back(struct enqueuer *e, struct pending **items, size_t n)
{
    bool is_to_end = fb_redis_shard_count(e->redis) > 1;
    (void)pthread_mutex_lock(&e->lock);
    for (size_t i = 0; is_to_end && i < n; i++) {
        items[i]->next = NULL;
        *e->end = items[i];
        e->end = &items[i]->next;
        e->count++;
        e->recipients += items[i]->envelope.recipient_count;
    }
    for (size_t i = is_to_end ? 0 : n; i-- > 0;) {
        items[i]->next = e->first;
        if (e->first == NULL) {
            e->end = &items[i]->next;
        }
        e->first = items[i];
        e->count++;
        e->recipients += items[i]->envelope.recipient_count;
    }
    (void)pthread_mutex_unlock(&e->lock);
}

/* One line when Redis goes, one when it is back. */
static void note_redis(struct enqueuer *e, enum fb_status s, const struct fb_error *err)
{
    if (s != FB_OK && !e->is_away) {
        e->is_away = true;
        fb_log(FB_ERROR, "Redis is away, mail is accepted and waits in the spool: %s", err->text);
    } else if (s == FB_OK && e->is_away) {
        e->is_away = false;
        fb_log(FB_INFO, "Redis is back");
    }
}

/* Sends one batch; false: Redis is away, or busy with something else. */
static bool send_batch(struct enqueuer *e, size_t *sent_r)
{
    struct pending *items[ENQUEUE_BATCH];
    struct pending *later[ENQUEUE_BATCH];
    enum fb_status status[ENQUEUE_BATCH];
    struct fb_error err = {0};
    size_t n = take_batch(e, items), later_count = 0, done = 0;
    *sent_r = n;
    if (n == 0) {
        return true;
    }
    enum fb_status s = send_items(e->redis, items, n, e->ttl_ms, &e->pace, status, &err);
    for (size_t i = 0; i < n; i++) {
        if (status[i] == FB_OK || status[i] == FB_EXISTS) {
            done++;
            pending_free(items[i]);
        } else if (s != FB_OK || fb_status_class(status[i]) == FB_CLASS_RETRY) {
            later[later_count++] = items[i];
        } else {
            /* It will not get better by asking again at once; the sweep will ask again. */
            fb_log_fields(FB_ERROR, "message could not be enqueued, it stays in the spool",
                          "msg_id", items[i]->msg_id, "status", fb_status_name(status[i]), "error",
                          err.text, NULL);
            pending_free(items[i]);
        }
    }
    put_back(e, later, later_count);
    fb_metric_add("fumibako_messages_enqueued_total", NULL, (double)done);
    note_redis(e, s != FB_OK ? s : later_count > 0 ? FB_AGAIN : FB_OK, &err);
    return done > 0 || (s == FB_OK && later_count == 0); /* one node of several may be away */
}

/* ---- finding what Redis does not know ---- */

/* True when a shard was wiped since we looked (or never was set). */
static enum fb_status check_epochs(struct enqueuer *e, bool *is_changed_r, struct fb_error *err)
{
    *is_changed_r = false;
    for (int shard = 0; shard < fb_redis_shard_count(e->redis); shard++) {
        char epoch[FB_ID_SIZE] = "";
        bool is_new = false;
        enum fb_status s = fb_ledger_epoch(e->redis, shard, epoch, &is_new, err);
        if (s != FB_OK) {
            return s;
        }
        if (is_new || strcmp(epoch, e->epochs[shard]) != 0) {
            *is_changed_r = true;
            memcpy(e->epochs[shard], epoch, sizeof epoch);
        }
    }
    return FB_OK;
}

static bool is_owed(struct enqueuer *e)
{
    (void)pthread_mutex_lock(&e->lock);
    bool is = e->needs_replay;
    (void)pthread_mutex_unlock(&e->lock);
    return is;
}

static void owe_replay(struct enqueuer *e)
{
    (void)pthread_mutex_lock(&e->lock);
    e->needs_replay = true;
    (void)pthread_mutex_unlock(&e->lock);
}

/* Between two batches of a replay: fresh mail does not wait for old mail. False ends the replay. */
static bool on_replay_pause(void *ctx)
{
    struct enqueuer *e = ctx;
    size_t sent = 1;
    for (int i = 0; i < PAUSE_BATCHES && sent > 0 && !atomic_load(&e->is_stopping); i++) {
        if (!send_batch(e, &sent)) {
            return false;
        }
    }
    return !atomic_load(&e->is_stopping);
}

static void run_replay(struct enqueuer *e, bool is_sweep)
{
    struct fb_error err = {0};
    struct fb_replay_result result = {0};
    const struct fb_replay replay = {.spool = e->spool,
                                     .redis = e->redis,
                                     .ledger_ttl_ms = e->ttl_ms,
                                     .pace = &e->pace,
                                     .journal = &e->journal,
                                     .pause = on_replay_pause,
                                     .pause_ctx = e};
    int64_t begun = fb_mono_ms();
    /* Cleared before: what is dropped from the backlog while the scan runs needs another one. */
    (void)pthread_mutex_lock(&e->lock);
    e->needs_replay = false;
    (void)pthread_mutex_unlock(&e->lock);
    e->connections = fb_redis_connections(e->redis);
    enum fb_status s = fb_replay(&replay, &result, &err);
    int64_t took = fb_mono_ms() - begun;
    int64_t pause = took * SWEEP_SHARE > SWEEP_EVERY_MS ? took * SWEEP_SHARE : SWEEP_EVERY_MS;
    e->sweep_next_ms = fb_mono_ms() + pause;
    e->early_next_ms = fb_mono_ms() + took * EARLY_SHARE;
    fb_metric_add("fumibako_messages_enqueued_total", NULL, (double)result.enqueued);
    fb_metric_set("fumibako_spool_damaged", NULL, (double)result.damaged);
    if (s != FB_OK) {
        if (!is_sweep) {
            owe_replay(e);
        }
        if (!atomic_load(&e->is_stopping)) {
            if (s == FB_NETWORK || s == FB_AGAIN) { /* else it is the spool */
                note_redis(e, s, &err);
            }
            fb_log(FB_WARN, "replay of the spool was interrupted: %s", err.text);
        }
        return;
    }
    if (!is_sweep || result.enqueued > 0) {
        fb_log(FB_INFO,
               "replay: %llu messages in the spool, %llu enqueued, %llu damaged, %llu not "
               "readable, %lld ms",
               (unsigned long long)result.seen, (unsigned long long)result.enqueued,
               (unsigned long long)result.damaged, (unsigned long long)result.failed,
               (long long)took);
    }
}

/* Epochs each second, replay where one is owed, a sweep now and then. */
static void look_after(struct enqueuer *e)
{
    int64_t now = fb_mono_ms();
    if (now < e->epoch_next_ms) {
        return;
    }
    e->epoch_next_ms = now + EPOCH_EVERY_MS;
    struct fb_error err = {0};
    bool is_changed = false;
    enum fb_status s = check_epochs(e, &is_changed, &err);
    note_redis(e, s, &err);
    if (is_changed) {
        owe_replay(e);
    }
    if (s != FB_OK) {
        return;
    }
    /* A fail-over, or a restart, may have cost the last writes: not to be waited for. */
    if (fb_redis_connections(e->redis) != e->connections && e->sweep_next_ms > e->early_next_ms) {
        e->sweep_next_ms = e->early_next_ms;
    }
    bool is_sweep = !is_owed(e);
    if (!is_sweep || now >= e->sweep_next_ms) {
        run_replay(e, is_sweep);
    }
}

/* ---- the thread ---- */

static void sleep_until_kicked(struct enqueuer *e, int64_t ms, bool is_deaf)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += ms / 1000;
    at.tv_nsec += (ms % 1000) * 1000000L;
    if (at.tv_nsec >= 1000000000L) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000L;
    }
    (void)pthread_mutex_lock(&e->lock);
    e->is_waiting = !is_deaf;
    while ((is_deaf || e->first == NULL) && !atomic_load(&e->is_stopping) &&
           pthread_cond_timedwait(&e->wake, &e->lock, &at) == 0) {
    }
    e->is_waiting = false;
    (void)pthread_mutex_unlock(&e->lock);
}

static bool is_over(struct enqueuer *e)
{
    return atomic_load(&e->is_stopping) &&
           (enqueuer_backlog(e) == 0 || fb_mono_ms() >= atomic_load(&e->stop_at_ms));
}

static void *run(void *arg)
{
    struct enqueuer *e = arg;
    /* Answering mail comes first: in a burst on a busy machine this thread falls behind, makes up
     * full batches, and catches up afterwards.  A thread's own nice value is Linux' doing
     * (setpriority(2)); without it nothing is lost. */
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), getpriority(PRIO_PROCESS, 0) + LOWER_PRIORITY);
    while (!is_over(e)) {
        size_t sent = 0;
        bool is_good = send_batch(e, &sent);
        if (!atomic_load(&e->is_stopping)) {
            look_after(e);
        }
        if (!is_good) {
            sleep_until_kicked(e, RETRY_MS, true);
            if (atomic_load(&e->is_stopping)) {
                (void)nanosleep(&(struct timespec){0, 50000000L}, NULL);
            }
        } else if (sent < ENQUEUE_BATCH) {
            /* Company for the first one saves a round trip each for the others; nobody waits for
             * us. */
            (void)nanosleep(&(struct timespec){0, GATHER_NS}, NULL);
            sleep_until_kicked(e, EPOCH_EVERY_MS / 4, false);
        }
    }
    return NULL;
}

enum fb_status enqueuer_new(const struct fb_config *config, struct fb_spool *spool,
                            struct enqueuer **enqueuer_r, struct fb_error *err)
{
    struct enqueuer *e = fb_xcalloc(1, sizeof *e);
    pthread_condattr_t attr;
    e->spool = spool;
    e->ttl_ms = config->retention.ledger_ms;
    e->end = &e->first;
    e->needs_replay = true;
    enum fb_status s = fb_redis_new(config, REDIS_TIMEOUT_MS, &e->redis, err);
    if (s != FB_OK) {
        free(e);
        return s;
    }
    uint8_t key[32];
    fb_spool_derive_key(spool, FB_PACE_PURPOSE, key);
    fb_pace_init(&e->pace, config, key, fb_redis_shard_count(e->redis));
    fb_wipe(key, sizeof key);
    e->epochs = fb_xcalloc((size_t)fb_redis_shard_count(e->redis), sizeof *e->epochs);
    FB_ASSERT(pthread_mutex_init(&e->lock, NULL) == 0);
    FB_ASSERT(pthread_condattr_init(&attr) == 0);
    FB_ASSERT(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    FB_ASSERT(pthread_cond_init(&e->wake, &attr) == 0);
    (void)pthread_condattr_destroy(&attr);
    int error = pthread_create(&e->thread, NULL, run, e);
    if (error != 0) {
        e->is_joined = true;
        enqueuer_free(&e);
        return fb_error_errno(err, FB_IO, error, "start the enqueue thread");
    }
    *enqueuer_r = e;
    return FB_OK;
}

void enqueuer_add(struct enqueuer *e, struct pending *p)
{
    p->next = NULL;
    (void)pthread_mutex_lock(&e->lock);
    bool has_room =
        e->count < MAX_BACKLOG && e->recipients + p->envelope.recipient_count <= MAX_RECIPIENTS;
    if (has_room) {
        *e->end = p;
        e->end = &p->next;
        e->count++;
        e->recipients += p->envelope.recipient_count;
    } else {
        e->needs_replay = true;
    }
    (void)pthread_mutex_unlock(&e->lock);
    if (!has_room) {
        pending_free(p);
    }
}

void enqueuer_kick(struct enqueuer *e)
{
    (void)pthread_mutex_lock(&e->lock);
    if (e->is_waiting) {
        (void)pthread_cond_signal(&e->wake);
    }
    (void)pthread_mutex_unlock(&e->lock);
}

size_t enqueuer_backlog(struct enqueuer *e)
{
    (void)pthread_mutex_lock(&e->lock);
    size_t count = e->count;
    (void)pthread_mutex_unlock(&e->lock);
    return count;
}

void enqueuer_stop(struct enqueuer *e, int64_t wait_ms)
{
    if (e->is_joined) {
        return;
    }
    atomic_store(&e->stop_at_ms, fb_mono_ms() + wait_ms);
    (void)pthread_mutex_lock(&e->lock);
    atomic_store(&e->is_stopping, true);
    (void)pthread_cond_signal(&e->wake);
    (void)pthread_mutex_unlock(&e->lock);
    (void)pthread_join(e->thread, NULL);
    e->is_joined = true;
    if (e->count > 0) {
        fb_log(FB_WARN, "%zu messages wait in the spool for the next start: Redis is away",
               e->count);
    }
}

void enqueuer_free(struct enqueuer **enqueuer)
{
    struct enqueuer *e = *enqueuer;
    if (e == NULL) {
        return;
    }
    enqueuer_stop(e, 0);
    while (e->first != NULL) {
        struct pending *p = e->first;
        e->first = p->next;
        pending_free(p);
    }
    fb_journal_close(&e->journal);
    fb_redis_free(&e->redis);
    free(e->epochs);
    fb_pace_deinit(&e->pace);
    (void)pthread_cond_destroy(&e->wake);
    (void)pthread_mutex_destroy(&e->lock);
    free(e);
    *enqueuer = NULL;
}
