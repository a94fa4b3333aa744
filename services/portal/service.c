/* SPDX-License-Identifier: Apache-2.0 */
#include "services/portal/service.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/metrics.h"
#include "common/service.h"
#include "services/portal/door.h"
#include "services/portal/painter.h"
#include "services/portal/reply.h"

#define STEP_MS          1000
#define REDIS_TIMEOUT_MS 3000
#define DRAIN_MS         10000
#define CONNECTIONS      2048  /* divided among the threads that serve them */
#define IDLE_S           15    /* of a connection that is kept open, or does not say anything */
#define REQUEST_MS       30000 /* from the first byte of a request to the last of its answer */
#define MAX_HEAD         16384 /* cookies of other programs on the same host included */
#define MAX_ANSWER       (12U << 20) /* a painted page; files are streamed */
#define MAX_IO_THREADS   8

struct portal_service {
    struct portal portal;
    struct fb_redis *redis; /* of the main thread */
    struct fb_http_server *server;
};

enum fb_status portal_check(const struct fb_config *config, struct fb_error *err)
{
    struct fb_netlist *proxies = NULL;
    if (config->portal.listen == NULL || config->portal.listen[0] == '\0') {
        return fb_error_set(err, FB_CONFIG,
                            "portal.listen: the portal needs host:port to listen on");
    }
    if (config->portal.public_url == NULL) {
        return fb_error_set(
            err, FB_CONFIG,
            "portal.public_url: the portal needs the URL by which senders reach it, as "
            "https://mail.example.jp");
    }
    if (config->rewrite.key == NULL) {
        return fb_error_set(
            err, FB_CONFIG,
            "rewrite.key: the portal checks the links that rewrite signs; set rewrite.key_file");
    }
    enum fb_status s = fb_netlist_new(&config->portal.proxies, "portal.proxies", &proxies, err);
    fb_netlist_free(&proxies);
    return s;
}

/* No script, nothing from anywhere but our own images (the logo); the one style sheet by its hash. */
static void set_policy(struct portal *p)
{
    uint8_t digest[FB_SHA256_SIZE];
    struct fb_buf hash;
    fb_buf_init(&hash, 64);
    fb_sha256(portal_style, strlen(portal_style), digest);
    FB_ASSERT(fb_base64_encode(fb_slice_of(digest, sizeof digest), &hash) == FB_OK);
    (void)snprintf(p->policy, sizeof p->policy,
                   "default-src 'none'; img-src 'self'; style-src 'sha256-%s'; form-action 'self'; "
                   "base-uri 'none'; "
                   "frame-ancestors 'none'",
                   fb_buf_str(&hash));
    fb_buf_deinit(&hash);
}

/* One for each processor: they decrypt what they send. */
static unsigned io_threads(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 2 ? 2 : n > MAX_IO_THREADS ? MAX_IO_THREADS : (unsigned)n;
}

static enum fb_status start(struct portal_service *s, struct fb_error *err)
{
    struct portal *p = &s->portal;
    enum fb_status status =
        fb_netlist_new(&p->config->portal.proxies, "portal.proxies", &p->proxies, err);
    if (status == FB_OK) {
        status = fb_redis_pool_new(p->config, PORTAL_THREADS, REDIS_TIMEOUT_MS, &p->pool, err);
    }
    if (status == FB_OK) {
        status = fb_redis_new(p->config, REDIS_TIMEOUT_MS, &s->redis, err);
    }
    const struct fb_http_options options = {.listen = p->config->portal.listen,
                                            .key = "portal.listen",
                                            .threads = PORTAL_THREADS,
                                            .io_threads = io_threads(),
                                            .connections = CONNECTIONS,
                                            .idle_s = IDLE_S,
                                            .request_ms = REQUEST_MS,
                                            .max_head = MAX_HEAD,
                                            .max_body = FORM_MAX_BODY,
                                            .body_limit = reply_body_limit,
                                            .max_large = REPLY_AT_ONCE,
                                            .max_answer = MAX_ANSWER,
                                            .handle = portal_handle,
                                            .ctx = p};
    if (status == FB_OK) {
        status = fb_policy_follow_new(p->config, &p->follow, err);
    }
    if (status == FB_OK) {
        p->vaults = reader_vaults_new(p->config, p->follow);
        status = fb_http_server_new(&options, &s->server, err);
    }
    return status;
}

enum fb_status portal_init(const struct fb_config *config, void **ctx_r, struct fb_error *err)
{
    struct portal_service *s = fb_xcalloc(1, sizeof *s);
    struct portal *p = &s->portal;
    p->config = config;
    FB_ASSERT(pthread_mutex_init(&p->lock, NULL) == 0);
    fb_web_raise_file_limit(); /* a connection that downloads has a file as well */
    brand_keeper_init(&p->brands);
    p->is_https = fb_web_origin(config->portal.public_url, p->origin, sizeof p->origin);
    set_policy(p);
    fb_hkdf_sha256(fb_slice_str(config->rewrite.key), fb_slice_str(NULL),
                   FB_SLICE_LITERAL("fumibako portal form 1"), p->form_key, sizeof p->form_key);
    fb_hkdf_sha256(fb_slice_str(config->rewrite.key), fb_slice_str(NULL),
                   FB_SLICE_LITERAL("fumibako portal door 1"), p->door_key, sizeof p->door_key);
    p->limit = portal_limit_new();
    enum fb_status status = start(s, err);
    if (status != FB_OK) {
        portal_deinit(s);
        return status;
    }
    *ctx_r = s;
    return FB_OK;
}

/* Whose pages these are, and where the parcels lie. */
static void follow_policy(struct portal *p)
{
    struct fb_policy *policy = fb_policy_follow_get(p->follow);
    if (policy != NULL) {
        brand_follow(&p->brands, policy);
        reader_vaults_tick(p->vaults);
    }
    fb_policy_unref(&policy);
}

enum fb_status portal_run(void *ctx, struct fb_error *err)
{
    struct portal_service *s = ctx;
    while (!fb_service_stopping() && !painter_is_dead()) {
        struct fb_error why = {0};
        int64_t ms = 0;
        bool is_up = fb_redis_time(s->redis, &ms, &why) == FB_OK;
        follow_policy(&s->portal); /* ready is who opens the vaults, where their policy is known */
        fb_ready_set(is_up, is_up ? "" : why.text);
        fb_http_server_tick(s->server);
        if (is_up) {
            door_watch(&s->portal, s->redis);
        }
        fb_health_beat();
        struct pollfd stop = {.fd = fb_service_stop_fd(), .events = POLLIN};
        (void)poll(&stop, 1, STEP_MS);
    }
    fb_ready_set(false, "stopping");
    fb_http_server_drain(s->server, DRAIN_MS);
    return painter_is_dead() ? fb_error_set(err, FB_IO,
                                            "the process that makes the painters was killed: start "
                                            "the service again")
                             : FB_OK;
}

void portal_deinit(void *ctx)
{
    struct portal_service *s = ctx;
    struct portal *p = &s->portal;
    fb_http_server_free(&s->server); /* and what it streams out of the vaults */
    painter_stop();
    reader_vaults_free(&p->vaults);
    fb_policy_follow_free(&p->follow);
    fb_redis_pool_free(&p->pool);
    fb_redis_free(&s->redis);
    portal_limit_free(&p->limit);
    fb_netlist_free(&p->proxies);
    brand_keeper_deinit(&p->brands);
    fb_wipe(p->form_key, sizeof p->form_key);
    fb_wipe(p->door_key, sizeof p->door_key);
    (void)pthread_mutex_destroy(&p->lock);
    free(s);
}
