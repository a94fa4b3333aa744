/* SPDX-License-Identifier: Apache-2.0
 *
 * One storage's thread: reads its streams (the account's own and each pool user's, or the
 * enterprise's one) from the stored position to the end, and what was put by; asks about pending
 * grants. */
#ifndef FB_WATCH_FOLLOW_H
#define FB_WATCH_FOLLOW_H

#include <stdatomic.h>

#include "services/upload/sessions.h"
#include "services/watch/service.h"

#define WATCH_WAKE_KEY "fb:{s0}:watch:wake" /* counted up by webhooks, of any process */

struct watch_follower {
    struct watch_follower *next;
    struct watch_service *service;
    char *name; /* of the storage */
    pthread_t thread;
    atomic_bool is_over;
};

/* Does nothing where the storage has its thread. */
void watch_follower_start(struct watch_service *s, struct watch_follower **list, const char *name);
void watch_followers_reap(struct watch_follower **list); /* those that are over */
void watch_followers_end(struct watch_follower **list);  /* all, when the service stops */

/* What one round has at hand. */
struct watch_round {
    struct watch_service *service;
    struct fb_redis *redis;
    const char *name; /* of the storage */
    char label[100];  /* the same, fit for a metric's label */
    const struct storage *storage;
    struct storage_session *session;
    const char *source; /* in ledger and history: "events" or "enterprise events" */
    char token[FB_LEASE_TOKEN];
};

#endif
