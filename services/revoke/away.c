/* SPDX-License-Identifier: Apache-2.0 */
#include "services/revoke/away.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/crypto.h"
#include "common/id.h"
#include "common/log.h"
#include "common/metrics.h"

#define MAX_STORAGES 64 /* more than a policy has; beyond it jobs find out by themselves */
#define FAILURES     3  /* in a row: it is not one parcel */
#define FIRST_MS     5000
#define MOST_MS      60000
#define PROBE_MS     180000 /* a job that tries and never tells does not keep the others for ever */
#define SPREAD_MS    1000

struct entry {
    char name[128];
    int failures;
    int64_t pause_ms, until_ms; /* monotonic; until_ms 0: it is there */
};

struct revoke_away {
    pthread_mutex_t lock;
    struct entry entries[MAX_STORAGES];
    size_t count;
};

struct revoke_away *revoke_away_new(void)
{
    struct revoke_away *a = fb_xcalloc(1, sizeof *a);
    int rc = pthread_mutex_init(&a->lock, NULL);
    FB_ASSERT(rc == 0); /* cannot fail on Linux without attributes */
    return a;
}

void revoke_away_free(struct revoke_away **away)
{
    if (*away != NULL) {
        (void)pthread_mutex_destroy(&(*away)->lock);
        free(*away);
        *away = NULL;
    }
}

static struct entry *find_locked(struct revoke_away *a, const char *storage)
{
    for (size_t i = 0; i < a->count; i++) {
        if (strcmp(a->entries[i].name, storage) == 0) {
            return &a->entries[i];
        }
    }
    if (a->count == MAX_STORAGES || strlen(storage) >= sizeof a->entries[0].name) {
        return NULL;
    }
    struct entry *e = &a->entries[a->count++];
    (void)snprintf(e->name, sizeof e->name, "%s", storage);
    return e;
}

int64_t revoke_away_wait(struct revoke_away *a, const char *storage)
{
    int64_t wait_ms = 0;
    (void)pthread_mutex_lock(&a->lock);
    struct entry *e = find_locked(a, storage);
    int64_t now = fb_mono_ms();
    if (e != NULL && e->until_ms > now) {
        wait_ms = e->until_ms - now + (int64_t)fb_random_below(SPREAD_MS);
        /* The next look is no later than a pause, also while somebody tries for minutes. */
        wait_ms = wait_ms < MOST_MS ? wait_ms : MOST_MS;
    } else if (e != NULL && e->until_ms > 0) {
        e->until_ms = now + PROBE_MS; /* this one tries */
    }
    (void)pthread_mutex_unlock(&a->lock);
    return wait_ms;
}

void revoke_away_tell(struct revoke_away *a, const char *storage, bool has_answered)
{
    bool was_away = false;
    int64_t pause_ms = 0;
    (void)pthread_mutex_lock(&a->lock);
    struct entry *e = find_locked(a, storage);
    if (e != NULL && has_answered) {
        was_away = e->until_ms > 0;
        e->failures = 0;
        e->pause_ms = 0;
        e->until_ms = 0;
    } else if (e != NULL && ++e->failures >= FAILURES) {
        e->pause_ms = e->pause_ms == 0            ? FIRST_MS
                      : e->pause_ms * 2 < MOST_MS ? e->pause_ms * 2
                                                  : MOST_MS;
        pause_ms = e->pause_ms;
        e->until_ms = fb_mono_ms() + pause_ms;
    }
    (void)pthread_mutex_unlock(&a->lock);
    if (was_away) {
        fb_log(FB_INFO, "storage \"%s\" answers again: what waited for it goes on", storage);
    } else if (pause_ms > 0) {
        fb_log(FB_WARN,
               "storage \"%s\" does not answer: its jobs wait together, %lld s to the next try",
               storage, (long long)(pause_ms / 1000));
    }
}
