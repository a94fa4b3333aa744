/* SPDX-License-Identifier: Apache-2.0 */
#include "services/upload/away.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "common/alarm.h"
#include "common/buf.h"
#include "common/crypto.h"
#include "common/id.h"
#include "common/metrics.h"
#include "common/service.h"

#define MAX_STORAGES 64 /* more than a policy has; beyond it jobs find out by themselves */
#define FAILURES     3  /* in a row: it is not one parcel */
#define FIRST_MS     2000
#define MOST_MS      30000
#define PROBE_MS     180000 /* a job that tries and never tells does not keep the others for ever */
#define SLOW_MS      5000   /* without an answer: half of the threads are for others */
#define SILENT_MS    10000  /* of a call: as good as failed, while nobody gets an answer */
#define GIVE_UP_MS   20000  /* of a call, when the storage is down */
#define CROWDED_MS   1000   /* until a job that found half of the threads taken comes again */

struct entry {
    char name[128];
    int failures, held;
    bool has_others;
    int64_t pause_ms, until_ms; /* monotonic; until_ms 0: it is up */
    int64_t probe_until_ms;     /* 0: nobody tries */
    int64_t answered_ms;        /* the last answer, or when the first of those held came in */
};

static struct {
    pthread_mutex_t lock;
    struct entry entries[MAX_STORAGES];
    size_t count;
    int threads;
} away = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void show(const struct entry *e)
{
    char labels[160];
    (void)snprintf(labels, sizeof labels, "storage=\"%s\"", e->name);
    for (char *p = labels + strlen("storage=\""); p[1] != '\0'; p++) {
        *p = *p == '"' || *p == '\\' || (unsigned char)*p < 0x20 ? '_' : *p;
    }
    fb_metric_set("fumibako_storage_up", labels, e->until_ms == 0 ? 1 : 0);
}

static struct entry *find_locked(const char *storage)
{
    for (size_t i = 0; i < away.count; i++) {
        if (strcmp(away.entries[i].name, storage) == 0) {
            return &away.entries[i];
        }
    }
    if (away.count == MAX_STORAGES || strlen(storage) >= sizeof away.entries[0].name) {
        return NULL;
    }
    struct entry *e = &away.entries[away.count++];
    *e = (struct entry){.answered_ms = fb_mono_ms()};
    (void)snprintf(e->name, sizeof e->name, "%s", storage);
    show(e);
    return e;
}

static int half(void)
{
    return away.threads > 1 ? away.threads / 2 : 1;
}

static bool is_shared(const struct entry *e)
{
    return e->has_others && away.threads > 0;
}

static bool is_slow(const struct entry *e, int64_t now)
{
    return e->held > 0 && now - e->answered_ms > SLOW_MS;
}

void storage_away_threads(int threads)
{
    (void)pthread_mutex_lock(&away.lock);
    away.threads = threads;
    (void)pthread_mutex_unlock(&away.lock);
}

/* 0: it may go on. */
static int64_t wait_locked(struct entry *e, struct storage_stay *stay, int64_t now)
{
    if (e->until_ms > 0) {
        int64_t until = e->until_ms > e->probe_until_ms ? e->until_ms : e->probe_until_ms;
        if (until > now) {
            /* While somebody tries, perhaps for minutes, the next look is no later than a pause. */
            int64_t most = e->pause_ms > 0 ? e->pause_ms : FIRST_MS;
            return until - now < most ? until - now : most;
        }
        e->probe_until_ms = now + PROBE_MS;
        stay->is_probe = true;
    } else if (is_shared(e) && e->held >= half() && is_slow(e, now)) {
        return CROWDED_MS;
    }
    return 0;
}

int64_t storage_away_enter(struct storage_stay *stay, const char *storage, bool has_others)
{
    int64_t wait_ms = 0;
    *stay = (struct storage_stay){.storage = storage};
    (void)pthread_mutex_lock(&away.lock);
    struct entry *e = find_locked(storage);
    int64_t now = fb_mono_ms();
    if (e != NULL) {
        e->has_others = has_others;
        wait_ms = wait_locked(e, stay, now);
    }
    if (e != NULL && wait_ms == 0) {
        if (e->held++ == 0 && e->until_ms == 0) {
            e->answered_ms = now; /* nobody asked: it has not been silent */
        }
        stay->is_in = true;
    }
    (void)pthread_mutex_unlock(&away.lock);
    /* Spread, so that thousands do not come back at once. */
    return wait_ms > 0 ? wait_ms + (int64_t)fb_random_below((uint64_t)wait_ms / 2 + 1) : 0;
}

void storage_away_leave(struct storage_stay *stay)
{
    if (!stay->is_in) {
        return;
    }
    (void)pthread_mutex_lock(&away.lock);
    struct entry *e = find_locked(stay->storage);
    if (e != NULL) {
        e->held--;
        if (stay->is_probe) { /* it may have ended before it asked: then another one tries */
            e->probe_until_ms = 0;
        }
    }
    (void)pthread_mutex_unlock(&away.lock);
    *stay = (struct storage_stay){.is_in = false};
}

/* What happens at the end of a pause doubles the next; stragglers of the time before do not. */
static bool fail_locked(struct entry *e, int64_t now)
{
    bool was_up = e->until_ms == 0;
    if (++e->failures < FAILURES || (!was_up && e->until_ms > now)) {
        return false;
    }
    e->pause_ms = e->pause_ms == 0            ? FIRST_MS
                  : e->pause_ms * 2 < MOST_MS ? e->pause_ms * 2
                                              : MOST_MS;
    e->until_ms = now + e->pause_ms;
    return was_up;
}

static void raise_alarm(const char *storage)
{
    fb_alarm_raise(FB_ALARM_STORAGE, storage,
                   "storage \"%s\" does not answer: its jobs wait together and are tried again "
                   "until it does, no mail is lost; `fumibako doctor` looks for the reason",
                   storage);
}

void storage_away_tell(const char *storage, bool has_answered)
{
    bool goes_down = false, comes_up = false;
    if (!has_answered && fb_service_stopping()) {
        return; /* we may have broken it off ourselves */
    }
    (void)pthread_mutex_lock(&away.lock);
    struct entry *e = find_locked(storage);
    int64_t now = fb_mono_ms();
    if (e != NULL && has_answered) {
        comes_up = e->until_ms > 0;
        e->failures = 0;
        e->pause_ms = e->until_ms = 0;
        e->answered_ms = now;
    } else if (e != NULL) {
        goes_down = fail_locked(e, now);
    }
    if (goes_down || comes_up) { /* inside the lock: in the order in which it happened */
        show(e);
        if (goes_down) {
            raise_alarm(storage);
        } else {
            fb_alarm_clear(FB_ALARM_STORAGE, storage);
        }
    }
    (void)pthread_mutex_unlock(&away.lock);
}

void storage_away_tell_login(const char *storage, enum fb_status s, const struct fb_error *err)
{
    char cause[FB_ALARM_CAUSE];
    (void)snprintf(cause, sizeof cause, "%.60s, login", storage);
    if (s == FB_CONFIG) {
        fb_alarm_raise(FB_ALARM_STORAGE, cause, "%.250s", err->text);
    } else if (s == FB_OK) {
        fb_alarm_clear(FB_ALARM_STORAGE, cause);
    }
}

bool storage_away_is_down(const char *storage)
{
    (void)pthread_mutex_lock(&away.lock);
    const struct entry *e = find_locked(storage);
    bool is = e != NULL && e->until_ms > 0;
    (void)pthread_mutex_unlock(&away.lock);
    return is;
}

bool storage_away_must_yield(const char *storage, int64_t silent_ms, bool *is_counted)
{
    bool must = false, counts = false;
    (void)pthread_mutex_lock(&away.lock);
    const struct entry *e = find_locked(storage);
    int64_t now = fb_mono_ms();
    if (e != NULL && is_shared(e) && silent_ms >= SLOW_MS && is_slow(e, now)) {
        bool is_down = e->until_ms > 0;
        must = e->held > half() || (is_down && silent_ms >= GIVE_UP_MS);
        counts = !must && !is_down && !*is_counted && silent_ms >= SILENT_MS &&
                 now - e->answered_ms >= SILENT_MS;
    }
    (void)pthread_mutex_unlock(&away.lock);
    if (counts) {
        *is_counted = true;
        storage_away_tell(storage, false);
    }
    return must;
}

void storage_away_reset(void)
{
    (void)pthread_mutex_lock(&away.lock);
    away.count = 0;
    away.threads = 0;
    (void)pthread_mutex_unlock(&away.lock);
}
