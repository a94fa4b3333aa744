/* SPDX-License-Identifier: Apache-2.0
 *
 * The threads of a worker: job threads, one fetcher a shard with a connection of its own (it
 * blocks), a heartbeat that no job can hold up, and a promoter that also tidies and says whether we
 * are ready.
 *
 * A fetcher first reserves free slots and asks Redis for no more than those: what waits in our
 * hands cannot be taken by another pod.  With several shards the fetchers reserve in turn
 * (tickets), and block shortly when there are fewer free slots than shards.
 *
 * Drain: fetchers end, job threads finish what runs and hand back what did not begin, heartbeat
 * ends last, the consumer is forgotten.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/metrics.h"
#include "common/queue/worker_internal.h"
#include "common/service.h"

#define TIMEOUT_MS     5000
#define BLOCK_MS       1000 /* also how long a drain waits for a quiet fetcher */
#define BLOCK_SHORT_MS 200
#define PROMOTE_MS     1000
#define PROMOTE_MAX    500
#define SWEEP_MS       (10 * 60 * 1000)
#define SWEEP_IDLE_MS  (60 * 60 * 1000)
#define RETRY_MS       500
#define HARD_DELIVERIES                                                                            \
    3 /* beyond max_deliveries: buried by the reaper itself, should even the burying crash us */

static char consumer[128];

const char *fb_worker_consumer(void)
{
    return consumer;
}

/* Unique for ever: two containers may share host name and process id, and a name taken twice would
 * defeat the fence. */
static void make_consumer(void)
{
    char host[65] = "";
    uint8_t bytes[6];
    char hex[13];
    if (gethostname(host, sizeof(host) - 1) != 0 || host[0] == '\0') {
        (void)snprintf(host, sizeof(host), "worker");
    }
    fb_random(bytes, sizeof(bytes));
    fb_hex(bytes, sizeof(bytes), hex);
    hex[12] = '\0';
    (void)snprintf(consumer, sizeof(consumer), "%s-%ld-%s", host, (long)getpid(), hex);
}

bool fb_worker_stopping(const struct fb_worker *worker)
{
    return atomic_load(&worker->is_stopping) || fb_service_stopping();
}

static void wait_locked(struct fb_worker *worker, int64_t ms)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += (ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    int rc = pthread_cond_timedwait(&worker->changed, &worker->lock, &until);
    FB_ASSERT(rc == 0 || rc == ETIMEDOUT);
}

/* In short steps: a signal handler cannot wake a condition. */
void fb_worker_sleep(struct fb_worker *worker, int64_t ms, bool until_drained)
{
    int64_t until = fb_mono_ms() + ms;
    int64_t left = ms;
    while (left > 0 &&
           !(until_drained ? atomic_load(&worker->is_drained) : fb_worker_stopping(worker))) {
        int64_t step = left < 100 ? left : 100;
        struct timespec pause = {.tv_sec = 0, .tv_nsec = step * 1000000};
        (void)nanosleep(&pause, NULL);
        left = until - fb_mono_ms();
    }
}

/* ---- fetchers ---- */

struct fetcher {
    struct fb_worker *worker;
    int shard;
    struct fb_redis *redis;
    struct fb_claim *claims;
    struct fb_share share; /* between the lanes */
    bool wants_history;    /* after (re)connecting: the reply to a read may have been lost */
    char after[FB_CLAIM_ID_SIZE];
    int64_t reap_at_ms;
    bool is_failing;
    pthread_t thread;
};

/* Waits a little for free slots; 0 when there are none. */
static int reserve(struct fb_worker *worker, bool *is_scarce_r)
{
    int n = 0;
    (void)pthread_mutex_lock(&worker->lock);
    uint64_t ticket = worker->ticket_next++;
    while (!fb_worker_stopping(worker) &&
           (ticket != worker->ticket_serving || worker->free_count == 0)) {
        wait_locked(worker, 100);
    }
    while (ticket != worker->ticket_serving) { /* stopping: all go through, in turn */
        wait_locked(worker, 100);
    }
    worker->ticket_serving++;
    if (!fb_worker_stopping(worker)) {
        n = worker->shards == 1 ? worker->free_count
                                : (worker->free_count + worker->shards - 1) / worker->shards;
        *is_scarce_r = worker->free_count < worker->shards;
        worker->free_count -= n;
    }
    (void)pthread_cond_broadcast(&worker->changed);
    (void)pthread_mutex_unlock(&worker->lock);
    return n;
}

static bool is_in_hand_locked(const struct fb_worker *worker, const struct fb_claim *claim)
{
    for (int i = 0; i < worker->w->threads; i++) {
        const struct fb_slot *slot = &worker->slots[i];
        if (slot->state != FB_SLOT_FREE && slot->claim.shard == claim->shard &&
            slot->claim.lane == claim->lane && strcmp(slot->claim.id, claim->id) == 0) {
            return true;
        }
    }
    return false;
}

/* Claims into slots; what history or reap gave us a second time is in hand already.  Gives unused
 * slots back. */
static void dispatch(struct fb_worker *worker, const struct fb_claim *claims, size_t count,
                     int reserved)
{
    (void)pthread_mutex_lock(&worker->lock);
    for (size_t i = 0; i < count; i++) {
        if (is_in_hand_locked(worker, &claims[i])) {
            continue;
        }
        int at = 0;
        while (worker->slots[at].state != FB_SLOT_FREE) {
            at++; /* reserved > 0: there is one */
            FB_ASSERT(at < worker->w->threads);
        }
        worker->slots[at].state = FB_SLOT_READY;
        worker->slots[at].claim = claims[i];
        reserved--;
        FB_ASSERT(reserved >= 0);
    }
    worker->free_count += reserved;
    (void)pthread_cond_broadcast(&worker->changed);
    (void)pthread_mutex_unlock(&worker->lock);
}

static enum fb_status fetch_once(struct fetcher *f, size_t max, bool is_scarce, size_t *count_r,
                                 struct fb_error *err)
{
    struct fb_worker *worker = f->worker;
    const struct fb_worker_config *w = worker->w;
    enum fb_status s = FB_OK;
    if (f->wants_history) {
        char before[FB_CLAIM_ID_SIZE];
        memcpy(before, f->after, sizeof(before));
        s = fb_queue_history(f->redis, w->stage, f->shard, consumer, f->after, max, f->claims,
                             count_r, err);
        f->wants_history = s != FB_OK || strcmp(before, f->after) != 0;
        return s;
    }
    if (fb_mono_ms() >= f->reap_at_ms) {
        f->reap_at_ms = fb_mono_ms() + worker->min_idle_ms / 3 +
                        (int64_t)fb_random_below((uint64_t)w->heartbeat_ms);
        s = fb_queue_reap(f->redis, w->stage, f->shard, consumer, worker->min_idle_ms,
                          w->max_deliveries + HARD_DELIVERIES, max, f->claims, count_r, err);
        if (s != FB_OK || *count_r > 0) {
            f->reap_at_ms = 0; /* there may be more */
            return s;
        }
    }
    return fb_queue_take(f->redis, w->stage, f->shard, consumer, &f->share, max,
                         is_scarce ? BLOCK_SHORT_MS : BLOCK_MS, f->claims, count_r, err);
}

static void *fetch(void *arg)
{
    struct fetcher *f = arg;
    struct fb_worker *worker = f->worker;
    while (!fb_worker_stopping(worker)) {
        bool is_scarce = false;
        int reserved = reserve(worker, &is_scarce);
        if (reserved == 0) {
            continue;
        }
        struct fb_error err = {.status = FB_OK};
        size_t count = 0;
        enum fb_status s = fetch_once(f, (size_t)reserved, is_scarce, &count, &err);
        dispatch(worker, f->claims, count, reserved);
        if (s != FB_OK) {
            if (!f->is_failing) {
                fb_log(FB_WARN, "%s shard %d: no jobs can be read: %s",
                       fb_stage_name(worker->w->stage), f->shard, err.text);
            }
            f->is_failing = true;
            f->wants_history = true;
            (void)snprintf(f->after, sizeof(f->after), "0");
            fb_worker_sleep(worker, RETRY_MS / 2 + (int64_t)fb_random_below(RETRY_MS), false);
        } else if (f->is_failing) {
            f->is_failing = false;
            fb_log(FB_INFO, "%s shard %d: jobs are read again", fb_stage_name(worker->w->stage),
                   f->shard);
        }
    }
    (void)pthread_mutex_lock(&worker->lock);
    worker->fetchers_running--;
    (void)pthread_cond_broadcast(&worker->changed);
    (void)pthread_mutex_unlock(&worker->lock);
    return NULL;
}

/* ---- job threads ---- */

/* The next claim for this thread; NULL when nothing will come any more. */
static struct fb_slot *next_slot(struct fb_worker *worker)
{
    struct fb_slot *found = NULL;
    (void)pthread_mutex_lock(&worker->lock);
    for (;;) {
        for (int i = 0; found == NULL && i < worker->w->threads; i++) {
            if (worker->slots[i].state == FB_SLOT_READY) {
                found = &worker->slots[i];
                found->state = FB_SLOT_BUSY;
            }
        }
        if (found != NULL || worker->fetchers_running == 0) {
            break;
        }
        wait_locked(worker, 1000);
    }
    (void)pthread_mutex_unlock(&worker->lock);
    return found;
}

static void free_slot(struct fb_worker *worker, struct fb_slot *slot)
{
    (void)pthread_mutex_lock(&worker->lock);
    slot->state = FB_SLOT_FREE;
    worker->free_count++;
    (void)pthread_cond_broadcast(&worker->changed);
    (void)pthread_mutex_unlock(&worker->lock);
}

static enum fb_status start_thread(struct fb_worker_thread *t)
{
    struct fb_worker *worker = t->worker;
    struct fb_error err = {.status = FB_OK};
    enum fb_status s = fb_redis_new(worker->config, TIMEOUT_MS, &t->redis, &err);
    if (s == FB_OK && worker->w->thread_init != NULL) {
        s = worker->w->thread_init(worker->w->ctx, &t->thread, &err);
    }
    (void)pthread_mutex_lock(&worker->lock);
    worker->threads_ready++;
    if (s != FB_OK) {
        if (worker->start_error.status == FB_OK) {
            worker->start_error = err;
            worker->start_error.status = s;
        }
        atomic_store(&worker->is_stopping, true);
    }
    (void)pthread_cond_broadcast(&worker->changed);
    (void)pthread_mutex_unlock(&worker->lock);
    return s;
}

static void *work(void *arg)
{
    struct fb_worker_thread t = {.worker = arg};
    struct fb_worker *worker = t.worker;
    if (start_thread(&t) == FB_OK) {
        struct fb_slot *slot = next_slot(worker);
        while (slot != NULL) {
            if (fb_worker_stopping(worker)) {
                fb_worker_hand_back(&t, &slot->claim);
            } else {
                fb_worker_job(&t, &slot->claim);
            }
            free_slot(worker, slot);
            slot = next_slot(worker);
        }
        if (worker->w->thread_deinit != NULL) {
            worker->w->thread_deinit(worker->w->ctx, t.thread);
        }
    }
    fb_redis_free(&t.redis);
    return NULL;
}

/* ---- heartbeat, promotion ---- */

struct keeper {
    struct fb_worker *worker;
    struct fb_redis *redis;
    pthread_t thread;
};

static size_t in_hand(struct fb_worker *worker, struct fb_claim *claims)
{
    size_t count = 0;
    (void)pthread_mutex_lock(&worker->lock);
    for (int i = 0; i < worker->w->threads; i++) {
        if (worker->slots[i].state != FB_SLOT_FREE) {
            claims[count++] = worker->slots[i].claim;
        }
    }
    (void)pthread_mutex_unlock(&worker->lock);
    return count;
}

static void *beat(void *arg)
{
    struct keeper *k = arg;
    struct fb_worker *worker = k->worker;
    struct fb_claim *claims = fb_xcalloc((size_t)worker->w->threads, sizeof(*claims));
    int64_t pause = worker->w->heartbeat_ms;
    while (!atomic_load(&worker->is_drained)) {
        fb_worker_sleep(worker, pause, true);
        struct fb_error err = {.status = FB_OK};
        size_t count = in_hand(worker, claims);
        enum fb_status s =
            count > 0 ? fb_queue_touch(k->redis, consumer, claims, count, &err) : FB_OK;
        if (s != FB_OK) { /* LOST may also be a job that ended since we looked */
            fb_log(s == FB_LOST ? FB_DEBUG : FB_WARN, "%s", err.text);
        }
        pause = s == FB_OK || s == FB_LOST || worker->w->heartbeat_ms < RETRY_MS
                    ? worker->w->heartbeat_ms
                    : RETRY_MS;
    }
    free(claims);
    return NULL;
}

static enum fb_status promote_all(struct keeper *k, struct fb_error *err)
{
    enum fb_status failed = FB_OK; /* of one node: the others go on */
    for (int shard = 0; shard < k->worker->shards; shard++) {
        enum fb_status s = FB_OK;
        size_t count = PROMOTE_MAX;
        for (int round = 0; s == FB_OK && count >= PROMOTE_MAX && round < 20; round++) {
            s = fb_queue_promote(k->redis, k->worker->w->stage, shard, PROMOTE_MAX, &count, err);
        }
        failed = s != FB_OK ? s : failed;
    }
    return failed;
}

static void *promote(void *arg)
{
    struct keeper *k = arg;
    struct fb_worker *worker = k->worker;
    int64_t sweep_at = fb_mono_ms() + (int64_t)fb_random_below(SWEEP_MS);
    while (!atomic_load(&worker->is_drained)) {
        struct fb_error err = {.status = FB_OK};
        enum fb_status s = promote_all(k, &err);
        if (s == FB_OK && fb_mono_ms() >= sweep_at) {
            sweep_at = fb_mono_ms() + SWEEP_MS / 2 + (int64_t)fb_random_below(SWEEP_MS);
            s = fb_queue_sweep(k->redis, worker->w->stage, consumer, SWEEP_IDLE_MS, &err);
        }
        fb_worker_watch(worker, k->redis);
        fb_health_beat();
        if (fb_worker_stopping(worker)) {
            fb_ready_set(false, "draining");
        } else {
            fb_ready_set(s == FB_OK, s == FB_OK ? "" : err.text);
        }
        fb_worker_sleep(worker, PROMOTE_MS * 3 / 4 + (int64_t)fb_random_below(PROMOTE_MS / 2),
                        true);
    }
    return NULL;
}

/* ---- gauges ---- */

/* The scrape's own connection; a callback cannot be taken back, so this outlives the worker. */
static struct {
    pthread_mutex_t lock;
    struct fb_redis *redis; /* NULL: no worker runs */
    enum fb_stage stage;
    bool is_registered;
} gauges = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void set_depth(const char *state, int64_t value)
{
    char labels[64];
    (void)snprintf(labels, sizeof(labels), "stage=\"%s\",state=\"%s\"", fb_stage_name(gauges.stage),
                   state);
    fb_metric_set("fumibako_queue_depth", labels, (double)value);
}

static void collect(void *ctx)
{
    (void)ctx;
    (void)pthread_mutex_lock(&gauges.lock);
    struct fb_queue_stats stats;
    /* With Redis away the last values stand; the scrape goes on. */
    if (gauges.redis != NULL && fb_queue_stats(gauges.redis, gauges.stage, &stats, NULL) == FB_OK) {
        char labels[64];
        set_depth("waiting", stats.waiting);
        set_depth("inflight", stats.inflight);
        set_depth("delayed", stats.delayed);
        set_depth("dead", stats.dead);
        (void)snprintf(labels, sizeof(labels), "stage=\"%s\"", fb_stage_name(gauges.stage));
        fb_metric_set("fumibako_queue_oldest_age_seconds", labels,
                      (double)stats.oldest_age_ms / 1000.0);
        fb_metric_set("fumibako_queue_bulk_depth", labels, (double)stats.bulk);
        int64_t newer = 0;
        if (fb_queue_newer(gauges.redis, gauges.stage, &newer, NULL) == FB_OK) {
            fb_metric_set("fumibako_queue_newer", labels, (double)newer);
        }
    }
    (void)pthread_mutex_unlock(&gauges.lock);
}

static enum fb_status gauges_start(const struct fb_config *config, enum fb_stage stage,
                                   struct fb_error *err)
{
    (void)pthread_mutex_lock(&gauges.lock);
    enum fb_status s = fb_redis_new(config, 1000, &gauges.redis, err);
    gauges.stage = stage;
    bool is_first = !gauges.is_registered;
    gauges.is_registered = true;
    (void)pthread_mutex_unlock(&gauges.lock);
    fb_worker_counters(stage);
    if (is_first) {
        fb_metrics_on_scrape(collect, NULL);
    }
    return s;
}

static void gauges_stop(void)
{
    (void)pthread_mutex_lock(&gauges.lock);
    fb_redis_free(&gauges.redis);
    (void)pthread_mutex_unlock(&gauges.lock);
}

/* ---- run ---- */

static void start(pthread_t *thread, void *(*body)(void *), void *arg)
{
    int rc = pthread_create(thread, NULL, body, arg);
    FB_ASSERT(rc == 0); /* out of threads at start: nothing is in hand yet */
}

/* Until Redis is there or we are told to stop. */
static void prepare(struct fb_worker *worker, struct fb_redis *redis)
{
    int64_t told_ms = INT64_MIN;
    struct fb_error err = {.status = FB_OK};
    while (!fb_worker_stopping(worker) && fb_queue_prepare(redis, &err) != FB_OK) {
        fb_ready_set(false, err.text);
        if (told_ms == INT64_MIN || fb_mono_ms() - told_ms > 10000) {
            told_ms = fb_mono_ms();
            fb_log(FB_WARN, "waiting for Redis: %s", err.text);
        }
        fb_worker_sleep(worker, RETRY_MS, false);
    }
}

static void forget(struct fb_worker *worker, struct fb_redis *redis)
{
    struct fb_error err = {.status = FB_OK};
    for (int i = 0; i < 5; i++) {
        enum fb_status s = fb_queue_forget(redis, worker->w->stage, consumer, &err);
        if (s == FB_OK) {
            return;
        }
        if (s == FB_AGAIN && !fb_redis_error_is(&err, "LOADING")) {
            break; /* something is pending: the reaper of another worker takes it */
        }
        struct timespec pause = {.tv_sec = 0, .tv_nsec = 200000000};
        (void)nanosleep(&pause, NULL);
    }
    fb_log(FB_INFO, "consumer %s stays: %s", consumer, err.text);
}

static void run_threads(struct fb_worker *worker, struct fetcher *fetchers,
                        struct keeper keepers[2])
{
    int threads = worker->w->threads;
    pthread_t *workers = fb_xcalloc((size_t)threads, sizeof(*workers));
    worker->fetchers_running = worker->shards;
    for (int i = 0; i < threads; i++) {
        start(&workers[i], work, worker);
    }
    (void)pthread_mutex_lock(&worker->lock);
    while (worker->threads_ready < threads) {
        wait_locked(worker, 100);
    }
    (void)pthread_mutex_unlock(&worker->lock);
    start(&keepers[0].thread, beat, &keepers[0]);
    start(&keepers[1].thread, promote, &keepers[1]);
    for (int i = 0; i < worker->shards; i++) {
        start(&fetchers[i].thread, fetch, &fetchers[i]);
    }
    for (int i = 0; i < worker->shards; i++) {
        (void)pthread_join(fetchers[i].thread, NULL);
    }
    fb_ready_set(false, "draining");
    for (int i = 0; i < threads; i++) {
        (void)pthread_join(workers[i], NULL);
    }
    atomic_store(&worker->is_drained, true);
    (void)pthread_join(keepers[0].thread, NULL);
    (void)pthread_join(keepers[1].thread, NULL);
    free(workers);
}

enum fb_status fb_worker_run(const struct fb_config *config, const struct fb_worker_config *w,
                             struct fb_error *err)
{
    FB_ASSERT(w->threads > 0 && w->heartbeat_ms > 0 && w->max_deliveries > 0 && w->handle != NULL);
    struct fb_worker worker = {
        .config = config, .w = w, .min_idle_ms = 3 * w->heartbeat_ms, .free_count = w->threads};
    struct fb_redis *redis = NULL;
    struct fetcher *fetchers = NULL;
    struct keeper keepers[2] = {{.worker = &worker}, {.worker = &worker}};
    make_consumer();
    pthread_condattr_t attr;
    FB_ASSERT(pthread_mutex_init(&worker.lock, NULL) == 0 && pthread_condattr_init(&attr) == 0);
    FB_ASSERT(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0 &&
              pthread_cond_init(&worker.changed, &attr) == 0);
    (void)pthread_condattr_destroy(&attr);
    enum fb_status s = fb_redis_new(config, TIMEOUT_MS, &redis, err);
    for (int i = 0; s == FB_OK && i < 2; i++) {
        s = fb_redis_new(config, TIMEOUT_MS, &keepers[i].redis, err);
    }
    if (s != FB_OK) {
        goto cleanup;
    }
    worker.shards = fb_redis_shard_count(redis);
    worker.slots = fb_xcalloc((size_t)w->threads, sizeof(*worker.slots));
    fetchers = fb_xcalloc((size_t)worker.shards, sizeof(*fetchers));
    for (int i = 0; s == FB_OK && i < worker.shards; i++) {
        fetchers[i] =
            (struct fetcher){.worker = &worker, .shard = i, .wants_history = true, .after = "0"};
        fetchers[i].claims = fb_xcalloc((size_t)w->threads, sizeof(*fetchers[i].claims));
        s = fb_redis_new(config, TIMEOUT_MS, &fetchers[i].redis, err);
    }
    if (s == FB_OK) {
        s = gauges_start(config, w->stage, err);
    }
    if (s != FB_OK) {
        goto cleanup;
    }
    prepare(&worker, redis);
    fb_log(FB_INFO, "%s: %d threads, %d shards, consumer %s", fb_stage_name(w->stage), w->threads,
           worker.shards, consumer);
    run_threads(&worker, fetchers, keepers);
    gauges_stop();
    forget(&worker, redis);
    if (worker.start_error.status != FB_OK) {
        s = worker.start_error.status;
        if (err != NULL) {
            *err = worker.start_error;
        }
    }
cleanup:
    for (int i = 0; fetchers != NULL && i < worker.shards; i++) {
        fb_redis_free(&fetchers[i].redis);
        free(fetchers[i].claims);
    }
    free(fetchers);
    free(worker.slots);
    fb_redis_free(&keepers[0].redis);
    fb_redis_free(&keepers[1].redis);
    fb_redis_free(&redis);
    (void)pthread_cond_destroy(&worker.changed);
    (void)pthread_mutex_destroy(&worker.lock);
    return s;
}
