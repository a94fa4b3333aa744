/* SPDX-License-Identifier: Apache-2.0 */
#include "services/watch/service.h"

#include <curl/curl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/id.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/service.h"
#include "services/watch/follow.h"
#include "services/watch/webhook.h"

#define LEASE_MS         10000
#define RENEW_MS         3000
#define STEP_MS          250
#define REDIS_TIMEOUT_MS 5000

bool watch_token(struct watch_service *s, char token_r[FB_LEASE_TOKEN])
{
    (void)pthread_mutex_lock(&s->lock);
    memcpy(token_r, s->token, FB_LEASE_TOKEN);
    (void)pthread_mutex_unlock(&s->lock);
    return token_r[0] != '\0';
}

static void set_token(struct watch_service *s, const char *token)
{
    (void)pthread_mutex_lock(&s->lock);
    bool was_leader = s->token[0] != '\0';
    (void)snprintf(s->token, sizeof s->token, "%s", token);
    (void)pthread_mutex_unlock(&s->lock);
    bool is_leader = token[0] != '\0';
    fb_metric_set("fumibako_watch_leader", NULL, is_leader ? 1 : 0);
    if (was_leader != is_leader) {
        fb_log(FB_INFO, is_leader ? "this process follows the storages' events now"
                                  : "another process follows the storages' events");
    }
}

void watch_token_lost(struct watch_service *s, const char *token)
{
    char now[FB_LEASE_TOKEN];
    if (watch_token(s, now) && strcmp(now, token) == 0) {
        set_token(s, ""); /* the main thread asks for the lease again */
    }
}

enum fb_status watch_init(const struct fb_config *config, void **ctx_r, struct fb_error *err)
{
    struct watch_service *s = fb_xcalloc(1, sizeof *s);
    char id[FB_ID_SIZE];
    s->config = config;
    fb_id_new(id);
    (void)snprintf(s->holder, sizeof s->holder, "watch-%s", id);
    FB_ASSERT(pthread_mutex_init(&s->lock, NULL) == 0);
    enum fb_status st = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK
                            ? FB_OK
                            : fb_error_set(err, FB_BUG, "libcurl cannot be initialised");
    if (st == FB_OK) {
        st = fb_redis_new(config, REDIS_TIMEOUT_MS, &s->redis, err);
    }
    if (st == FB_OK) {
        st = fb_policy_follow_new(config, &s->policy, err);
    }
    if (st == FB_OK && config->watch.listen != NULL) {
        st = watch_webhook_new(config, &s->webhook, err);
    }
    if (st != FB_OK) {
        watch_deinit(s);
        return st;
    }
    *ctx_r = s;
    return FB_OK;
}

void watch_deinit(void *ctx)
{
    struct watch_service *s = ctx;
    watch_webhook_free(&s->webhook);
    fb_policy_follow_free(&s->policy);
    fb_redis_free(&s->redis);
    (void)pthread_mutex_destroy(&s->lock);
    curl_global_cleanup();
    free(s);
}

static void keep_lease(struct watch_service *s)
{
    struct fb_error err = {0};
    char token[FB_LEASE_TOKEN];
    (void)watch_token(s, token);
    enum fb_status st = fb_lease_keep(s->redis, s->holder, LEASE_MS, token, &err);
    bool is_up = st == FB_OK || st == FB_EXISTS;
    if (st == FB_OK || st == FB_EXISTS) {
        set_token(s, st == FB_OK ? token : "");
    }
    /* With Redis away the token stays: nothing can be written, by nobody. */
    fb_ready_set(is_up, is_up ? "" : err.text);
}

static void start_followers(struct watch_service *s)
{
    struct fb_policy *policy = fb_policy_follow_get(s->policy);
    for (size_t i = 0; policy != NULL && i < policy->storage_count; i++) {
        if (policy->storages[i].type == FB_STORAGE_BOX) {
            watch_follower_start(s, &s->followers, policy->storages[i].name);
        }
    }
    fb_policy_unref(&policy);
    watch_followers_reap(&s->followers);
}

enum fb_status watch_run(void *ctx, struct fb_error *err)
{
    struct watch_service *s = ctx;
    int64_t next_ms = 0;
    (void)err;
    while (!fb_service_stopping()) {
        char token[FB_LEASE_TOKEN];
        if (fb_mono_ms() >= next_ms || !watch_token(s, token)) {
            bool was_leader = watch_token(s, token);
            keep_lease(s);
            next_ms = fb_mono_ms() + (was_leader ? RENEW_MS : STEP_MS * 4);
        }
        start_followers(s);
        watch_webhook_tick(s->webhook);
        fb_health_beat();
        struct pollfd p = {.fd = fb_service_stop_fd(), .events = POLLIN};
        (void)poll(&p, 1, STEP_MS);
    }
    fb_ready_set(false, "stopping");
    watch_followers_end(&s->followers);
    struct fb_error own = {0};
    if (fb_lease_end(s->redis, s->holder, &own) != FB_OK) {
        fb_log(FB_INFO, "the lease could not be given back, it ends by itself: %s", own.text);
    }
    return FB_OK;
}
