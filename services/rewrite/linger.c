/* SPDX-License-Identifier: Apache-2.0 */
#include "services/rewrite/linger.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/ledger/ledger.h"
#include "common/ledger/replay.h"
#include "common/log.h"
#include "common/redis.h"

#define REDIS_TIMEOUT_MS 5000
#define STEP_MS          100
#define AGAIN_MS         2000 /* Redis is away: nothing is erased on its word of before */
#define BATCH            128
#define MAX_WAITING      100000U /* 20 MB; what comes beyond is left to the replay */

struct ended {
    struct ended *next;
    int64_t due_ms; /* monotonic */
    char msg_id[FB_ID_SIZE];
    char ref[FB_REF_SIZE];
};

struct linger {
    struct fb_spool *spool;
    struct fb_journal *journal;
    struct fb_redis *redis; /* the thread's own */
    bool is_patient;        /* another node may take over */
    pthread_t thread;
    atomic_bool is_stopping;
    pthread_mutex_t lock;
    /* under the lock: by the time they are due */
    struct ended *first, **end;
    size_t count;
};

static void erase(struct linger *l, const char *msg_id, const char *ref)
{
    struct fb_error err = {0};
    if (fb_spool_msg_erase(l->spool, ref, msg_id, &err) != FB_OK) {
        fb_log_fields(FB_WARN,
                      "a delivered message could not be erased from the spool, replay will find it "
                      "done",
                      "msg_id", msg_id, "error", err.text, NULL);
        return;
    }
    fb_journal_forget(l->journal, msg_id);
}

static void lock(struct linger *l)
{
    FB_ASSERT(pthread_mutex_lock(&l->lock) == 0);
}

static void unlock(struct linger *l)
{
    FB_ASSERT(pthread_mutex_unlock(&l->lock) == 0);
}

void linger_ended(struct linger *l, const char *msg_id, const char *ref)
{
    if (!l->is_patient) {
        erase(l, msg_id, ref);
        return;
    }
    struct ended *e = fb_xcalloc(1, sizeof *e);
    e->due_ms = fb_mono_ms() + FB_ENDED_KEEP_MS;
    (void)snprintf(e->msg_id, sizeof e->msg_id, "%s", msg_id);
    (void)snprintf(e->ref, sizeof e->ref, "%s", ref);
    lock(l);
    bool has_room = l->count < MAX_WAITING;
    if (has_room) {
        *l->end = e;
        l->end = &e->next;
        l->count++;
    }
    unlock(l);
    if (!has_room) {
        free(e);
    }
}

static size_t take_due(struct linger *l, struct ended *due[BATCH])
{
    size_t n = 0;
    lock(l);
    while (n < BATCH && l->first != NULL && l->first->due_ms <= fb_mono_ms()) {
        due[n++] = l->first;
        l->first = l->first->next;
        l->count--;
        if (l->first == NULL) {
            l->end = &l->first;
        }
    }
    unlock(l);
    return n;
}

/* Redis could not be asked: to the front again. */
static void put_back(struct linger *l, struct ended *due[BATCH], size_t count)
{
    lock(l);
    for (size_t i = count; i-- > 0;) {
        due[i]->due_ms = fb_mono_ms() + AGAIN_MS;
        due[i]->next = l->first;
        if (l->first == NULL) {
            l->end = &due[i]->next;
        }
        l->first = due[i];
        l->count++;
    }
    unlock(l);
}

static enum fb_status ask(struct linger *l, struct ended *const due[BATCH], size_t count,
                          bool is_done[BATCH])
{
    const char *ids[BATCH];
    struct fb_error err = {0};
    for (size_t i = 0; i < count; i++) {
        ids[i] = due[i]->msg_id;
    }
    enum fb_status s = fb_ledger_ended(l->redis, ids, count, is_done, &err);
    if (s != FB_OK) {
        fb_log(FB_DEBUG, "delivered messages stay in the spool for now: %s", err.text);
    }
    return s;
}

static void look(struct linger *l)
{
    struct ended *due[BATCH];
    bool is_done[BATCH] = {false};
    size_t count = take_due(l, due);
    while (count > 0 && !atomic_load(&l->is_stopping)) {
        if (ask(l, due, count, is_done) != FB_OK) {
            put_back(l, due, count);
            return;
        }
        for (size_t i = 0; i < count; i++) {
            if (is_done[i]) {
                erase(l, due[i]->msg_id, due[i]->ref);
            } else {
                fb_log_fields(FB_WARN,
                              "Redis has forgotten that a message ended; it stays in the spool "
                              "until it has ended again",
                              "msg_id", due[i]->msg_id, NULL);
            }
            free(due[i]);
        }
        count = take_due(l, due);
    }
    put_back(l, due, count); /* stopping: freed with the rest */
}

static void *run(void *arg)
{
    struct linger *l = arg;
    while (!atomic_load(&l->is_stopping)) {
        look(l);
        (void)nanosleep(&(struct timespec){0, STEP_MS * 1000000L}, NULL);
    }
    return NULL;
}

enum fb_status linger_new(const struct fb_config *config, struct fb_spool *spool,
                          struct fb_journal *journal, struct linger **linger_r,
                          struct fb_error *err)
{
    struct linger *l = fb_xcalloc(1, sizeof *l);
    l->spool = spool;
    l->journal = journal;
    l->end = &l->first;
    enum fb_status s = fb_redis_new(config, REDIS_TIMEOUT_MS, &l->redis, err);
    if (s != FB_OK) {
        free(l);
        return s;
    }
    l->is_patient = fb_redis_may_fail_over(l->redis);
    FB_ASSERT(pthread_mutex_init(&l->lock, NULL) == 0);
    int e = l->is_patient ? pthread_create(&l->thread, NULL, run, l) : 0;
    if (e != 0) {
        l->is_patient = false;
        linger_free(&l);
        return fb_error_errno(err, FB_AGAIN, e, "start the thread that erases delivered messages");
    }
    *linger_r = l;
    return FB_OK;
}

void linger_free(struct linger **linger)
{
    struct linger *l = *linger;
    if (l == NULL) {
        return;
    }
    atomic_store(&l->is_stopping, true);
    if (l->is_patient) {
        (void)pthread_join(l->thread, NULL);
    }
    while (l->first != NULL) {
        struct ended *e = l->first;
        l->first = e->next;
        free(e);
    }
    (void)pthread_mutex_destroy(&l->lock);
    fb_redis_free(&l->redis);
    free(l);
    *linger = NULL;
}
