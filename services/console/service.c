/* SPDX-License-Identifier: Apache-2.0 */
#include "services/console/service.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/metrics.h"
#include "common/service.h"
#include "services/console/call.h"
#include "services/console/helper.h"

#define STEP_MS          1000
#define REDIS_TIMEOUT_MS 10000 /* a search through a large ledger */
#define GATE_TIMEOUT_MS  1000  /* of a look at a token before its body is read */
#define DRAIN_MS         10000
#define CONNECTIONS      512   /* administrators, not the public */
#define IDLE_S           30    /* of a connection that is kept open */
#define REQUEST_MS       60000 /* a mail that is handed to the rule tester included */
#define MAX_HEAD         16384
#define MAILS_AT_ONCE    2

struct console_service {
    struct console console;
    struct fb_redis *redis; /* of the main thread */
    struct fb_http_server *server;
};

enum fb_status console_check(const struct fb_config *config, struct fb_error *err)
{
    struct fb_netlist *proxies = NULL;
    if (config->console.listen == NULL || config->console.listen[0] == '\0') {
        return fb_error_set(err, FB_CONFIG,
                            "console.listen: the console needs host:port to listen on");
    }
    enum fb_status s = fb_netlist_new(&config->console.proxies, "console.proxies", &proxies, err);
    fb_netlist_free(&proxies);
    return s == FB_OK ? console_accounts_check(config, err) : s;
}

enum fb_status console_prepare(const struct fb_config *config, struct fb_error *err)
{
    return helper_start(config, err);
}

static enum fb_status start(struct console_service *s, struct fb_error *err)
{
    struct console *c = &s->console;
    enum fb_status status =
        fb_netlist_new(&c->config->console.proxies, "console.proxies", &c->proxies, err);
    if (status == FB_OK) {
        status = fb_redis_pool_new(c->config, CONSOLE_THREADS, REDIS_TIMEOUT_MS, &c->pool, err);
    }
    if (status == FB_OK) {
        status = fb_redis_pool_new(c->config, CONSOLE_READERS, GATE_TIMEOUT_MS, &c->gate, err);
    }
    if (status == FB_OK) {
        status = fb_redis_new(c->config, REDIS_TIMEOUT_MS, &s->redis, err);
    }
    if (status == FB_OK) {
        status = fb_policy_follow_new(c->config, &c->follow, err);
    }
    if (status == FB_OK) {
        status = console_accounts_new(c, err);
    }
    const struct fb_http_options options = {.listen = c->config->console.listen,
                                            .key = "console.listen",
                                            .threads = CONSOLE_THREADS,
                                            .io_threads = CONSOLE_READERS,
                                            .connections = CONNECTIONS,
                                            .idle_s = IDLE_S,
                                            .request_ms = REQUEST_MS,
                                            .max_head = MAX_HEAD,
                                            .max_body = CALL_MAX_BODY,
                                            .body_limit = console_body_limit,
                                            .max_large = MAILS_AT_ONCE,
                                            .max_answer = CALL_MAX_ANSWER,
                                            .handle = console_handle,
                                            .ctx = c};
    return status == FB_OK ? fb_http_server_new(&options, &s->server, err) : status;
}

enum fb_status console_init(const struct fb_config *config, void **ctx_r, struct fb_error *err)
{
    struct console_service *s = fb_xcalloc(1, sizeof *s);
    s->console.config = config;
    FB_ASSERT(pthread_mutex_init(&s->console.lock, NULL) == 0);
    fb_web_raise_file_limit();
    if (config->console.public_url !=
        NULL) { /* else cookies.c believes http://localhost and 127.0.0.1 */
        s->console.is_https =
            fb_web_origin(config->console.public_url, s->console.origin, sizeof s->console.origin);
    }
    enum fb_status status = start(s, err);
    if (status != FB_OK) {
        console_deinit(s);
        return status;
    }
    *ctx_r = s;
    return FB_OK;
}

enum fb_status console_run(void *ctx, struct fb_error *err)
{
    struct console_service *s = ctx;
    (void)err;
    while (!fb_service_stopping()) {
        struct fb_error why = {0};
        int64_t ms = 0;
        bool is_up = fb_redis_time(s->redis, &ms, &why) == FB_OK;
        fb_ready_set(is_up, is_up ? "" : why.text);
        fb_http_server_tick(s->server);
        if (is_up) {
            console_accounts_tick(&s->console, s->redis);
        }
        fb_health_beat();
        struct pollfd stop = {.fd = fb_service_stop_fd(), .events = POLLIN};
        (void)poll(&stop, 1, STEP_MS);
    }
    fb_ready_set(false, "stopping");
    fb_http_server_drain(s->server, DRAIN_MS);
    return FB_OK;
}

void console_deinit(void *ctx)
{
    struct console_service *s = ctx;
    struct console *c = &s->console;
    fb_http_server_free(&s->server);
    helper_stop();
    console_accounts_free(&c->accounts);
    fb_policy_follow_free(&c->follow);
    fb_redis_pool_free(&c->gate);
    fb_redis_pool_free(&c->pool);
    fb_redis_free(&s->redis);
    fb_netlist_free(&c->proxies);
    (void)pthread_mutex_destroy(&c->lock);
    free(s);
}
