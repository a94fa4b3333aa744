/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of watch: one process of several holds the lease, and follows with one thread a storage,
 * so that one that is away holds up no other.
 *
 * 1. Whoever writes carries the token of its time of office (common/ledger/lease.h); the scripts
 *    refuse all others.  What the threads ask here is a courtesy, not the protection.
 * 2. A thread ends by itself when its storage has left the policy, and is joined here. */
#ifndef FB_WATCH_SERVICE_H
#define FB_WATCH_SERVICE_H

#include <pthread.h>

#include "common/ledger/lease.h"
#include "common/policy/service_source.h"

struct watch_service {
    const struct fb_config *config;
    struct fb_policy_follow *policy;
    struct fb_redis *redis; /* of the main thread */
    char holder[40];
    pthread_mutex_t lock;       /* guards token */
    char token[FB_LEASE_TOKEN]; /* "" = not the leader */
    struct watch_follower *followers;
    struct watch_webhook *webhook;
};

enum fb_status watch_init(const struct fb_config *config, void **ctx_r, struct fb_error *err);
enum fb_status watch_run(void *ctx, struct fb_error *err);
void watch_deinit(void *ctx);

/* The token of the time of office; false when another process is leader. */
bool watch_token(struct watch_service *s, char token_r[FB_LEASE_TOKEN]);
/* A script said that this token is refused. */
void watch_token_lost(struct watch_service *s, const char *token);

#endif
