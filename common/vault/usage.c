/* SPDX-License-Identifier: Apache-2.0
 *
 * How much a vault holds, counted once for all threads of the process that have it open.  Between
 * countings what this process puts is added; other processes count for themselves, so that a quota
 * may be passed by what they put in between.
 */
#include <pthread.h>
#include <string.h>

#include "common/vault/internal.h"

#define COUNT_EVERY_MS 30000
#define LIST_EVERY_MS  300000 /* counting a bucket is paid for by the thousand */
#define COUNT_SHARE    20     /* counting takes at most 1/20 of the time */
#define MAX_VAULTS     64     /* more than a policy has; the others are counted each time */

struct counted {
    char id[FB_ID_SIZE];
    uint64_t bytes;
    int64_t next_ms; /* monotonic */
};

static struct {
    pthread_mutex_t lock;
    struct counted vaults[MAX_VAULTS];
    size_t count;
} usage = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct counted *find_locked(const char *id)
{
    for (size_t i = 0; i < usage.count; i++) {
        if (strcmp(usage.vaults[i].id, id) == 0) {
            return &usage.vaults[i];
        }
    }
    if (usage.count == MAX_VAULTS) {
        return NULL;
    }
    struct counted *c = &usage.vaults[usage.count++];
    *c = (struct counted){.next_ms = 0};
    memcpy(c->id, id, sizeof c->id);
    return c;
}

enum fb_status fb_vault_usage(struct fb_vault *v, uint64_t *bytes_r, struct fb_error *err)
{
    enum fb_status s = FB_OK;
    uint64_t bytes = 0;
    FB_ASSERT(pthread_mutex_lock(&usage.lock) == 0);
    struct counted *c = find_locked(v->id);
    int64_t now = fb_mono_ms();
    if (c == NULL || c->next_ms == 0 || now >= c->next_ms) {
        s = v->backend->usage(v, &bytes, err);
        int64_t least = v->s3 != NULL ? LIST_EVERY_MS : COUNT_EVERY_MS;
        int64_t pause = (fb_mono_ms() - now) * COUNT_SHARE;
        if (s == FB_OK && c != NULL) {
            c->bytes = bytes;
            c->next_ms = now + (pause > least ? pause : least);
        }
    } else {
        bytes = c->bytes;
    }
    FB_ASSERT(pthread_mutex_unlock(&usage.lock) == 0);
    if (s == FB_OK) {
        *bytes_r = bytes;
    }
    return s;
}

void fb_vault_usage_add(struct fb_vault *v, uint64_t bytes)
{
    FB_ASSERT(pthread_mutex_lock(&usage.lock) == 0);
    struct counted *c = find_locked(v->id);
    if (c != NULL && c->next_ms != 0) {
        c->bytes += bytes;
    }
    FB_ASSERT(pthread_mutex_unlock(&usage.lock) == 0);
}

/* Room may have been made by a purge since the last counting. */
static void count_again(struct fb_vault *v)
{
    FB_ASSERT(pthread_mutex_lock(&usage.lock) == 0);
    struct counted *c = find_locked(v->id);
    int64_t soon = fb_mono_ms() + 1000;
    if (c != NULL && c->next_ms > soon) {
        c->next_ms = soon;
    }
    FB_ASSERT(pthread_mutex_unlock(&usage.lock) == 0);
}

enum fb_status fb_vault_usage_room(struct fb_vault *v, uint64_t bytes, struct fb_error *err)
{
    uint64_t used = 0;
    if (v->quota == 0) {
        return FB_OK;
    }
    enum fb_status s = fb_vault_usage(v, &used, err);
    if (s == FB_OK && (bytes > v->quota || used > v->quota - bytes)) {
        if (v->s3 == NULL) {
            count_again(v);
        }
        s = fb_error_set(
            err, FB_NO_SPACE,
            "the vault is full: %llu bytes are in use, a file of %llu bytes would pass "
            "its quota of %llu; raise the quota in the policy, or let parcels be purged "
            "(purge_after, fumibako message recall ID --content)",
            (unsigned long long)used, (unsigned long long)bytes, (unsigned long long)v->quota);
    }
    return s;
}
