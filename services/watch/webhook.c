/* SPDX-License-Identifier: Apache-2.0 */
#include "services/watch/webhook.h"

#include <hiredis/hiredis.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/crypto.h"
#include "common/http_server.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/redis.h"
#include "services/watch/follow.h"
#include "services/watch/signature.h"

#define MAX_BODY         (1U << 20)
#define MAX_HEAD         16384
#define CONNECTIONS      64
#define IDLE_S           20
#define REQUEST_MS       20000
#define MAX_ANSWER       1024
#define REDIS_TIMEOUT_MS 3000
#define SEEN_MS          "1800000" /* longer than a delivery is believed */

struct watch_webhook {
    struct fb_http_server *server;
    struct fb_redis *redis;
    pthread_mutex_t lock; /* guards redis */
    const char *primary_key, *secondary_key;
};

static void answer(struct fb_http_answer *a, unsigned status, const char *text)
{
    a->status = status;
    fb_http_answer_header(a, "Content-Type", "text/plain; charset=utf-8");
    FB_ASSERT(fb_buf_add_str(&a->body, text) == FB_OK); /* MAX_ANSWER is more */
}

static void count(const char *outcome)
{
    char labels[64];
    (void)snprintf(labels, sizeof labels, "outcome=\"%s\"", outcome);
    fb_metric_add("fumibako_webhooks_total", labels, 1);
}

/* BOX-DELIVERY-ID changes with each try; the body's id does not. */
static enum fb_status wake_once(struct watch_webhook *h, struct fb_slice body, bool *is_new_r,
                                struct fb_error *err)
{
    uint8_t digest[FB_SHA256_SIZE];
    char hex[2 * FB_SHA256_SIZE + 1];
    char key[128];
    json_t *o = json_loadb((const char *)body.ptr, body.len, 0, NULL);
    const char *id = json_string_value(json_object_get(o, "id"));
    fb_sha256(id != NULL ? (const void *)id : body.ptr, id != NULL ? strlen(id) : body.len, digest);
    json_decref(o);
    fb_hex(digest, sizeof digest, hex);
    (void)snprintf(key, sizeof key, "fb:{s0}:watch:hook:%s", hex);
    redisReply *reply = NULL;
    (void)pthread_mutex_lock(&h->lock);
    enum fb_status s =
        fb_redis_call(h->redis, &reply, err, "SET", key, "1", "NX", "PX", SEEN_MS, NULL);
    *is_new_r = s == FB_OK && reply->type != REDIS_REPLY_NIL;
    if (s == FB_OK) {
        freeReplyObject(reply);
    }
    if (*is_new_r) {
        s = fb_redis_call(h->redis, &reply, err, "INCR", WATCH_WAKE_KEY, NULL);
        if (s == FB_OK) {
            freeReplyObject(reply);
        }
    }
    (void)pthread_mutex_unlock(&h->lock);
    return s;
}

static void handle(void *ctx, const struct fb_http_request *r, struct fb_http_answer *out)
{
    struct watch_webhook *h = ctx;
    struct fb_error err = {0};
    bool is_new = false;
    const struct watch_delivery d = {
        .body = r->body,
        .timestamp = fb_http_header(r, "BOX-DELIVERY-TIMESTAMP"),
        .version = fb_http_header(r, "BOX-SIGNATURE-VERSION"),
        .algorithm = fb_http_header(r, "BOX-SIGNATURE-ALGORITHM"),
        .primary = fb_http_header(r, "BOX-SIGNATURE-PRIMARY"),
        .secondary = fb_http_header(r, "BOX-SIGNATURE-SECONDARY"),
    };
    if (strcmp(r->method, "POST") != 0) {
        answer(out, 405, "only POST is taken here\n");
    } else if (r->is_too_big) {
        count("refused");
        answer(out, 413, "too large\n");
    } else if (watch_signature_check(&d, h->primary_key, h->secondary_key, fb_now_ms(), &err) !=
               FB_OK) {
        count("refused");
        fb_log(FB_WARN, "a webhook is refused: %s", err.text);
        answer(out, 403, "the signature is not believed\n");
    } else if (wake_once(h, d.body, &is_new, &err) != FB_OK) {
        count("failed");
        fb_log(FB_WARN, "a webhook could not be passed on, Box sends it again: %s", err.text);
        answer(out, 503, "try again\n");
    } else {
        count(is_new ? "taken" : "repeated");
        answer(out, 200, "ok\n");
    }
}

static enum fb_status listen_on(struct watch_webhook *h, const char *where, struct fb_error *err)
{
    const struct fb_http_options options = {.listen = where,
                                            .key = "watch.listen",
                                            .threads = 1,
                                            .connections = CONNECTIONS,
                                            .idle_s = IDLE_S,
                                            .request_ms = REQUEST_MS,
                                            .max_head = MAX_HEAD,
                                            .max_body = MAX_BODY,
                                            .max_answer = MAX_ANSWER,
                                            .handle = handle,
                                            .ctx = h};
    return fb_http_server_new(&options, &h->server, err);
}

void watch_webhook_tick(struct watch_webhook *webhook)
{
    if (webhook != NULL) {
        fb_http_server_tick(webhook->server);
    }
}

enum fb_status watch_webhook_new(const struct fb_config *config, struct watch_webhook **webhook_r,
                                 struct fb_error *err)
{
    struct watch_webhook *h = fb_xcalloc(1, sizeof *h);
    h->primary_key = config->watch.webhook_primary_key;
    h->secondary_key = config->watch.webhook_secondary_key;
    FB_ASSERT(pthread_mutex_init(&h->lock, NULL) == 0);
    enum fb_status s = fb_redis_new(config, REDIS_TIMEOUT_MS, &h->redis, err);
    if (s == FB_OK) {
        s = listen_on(h, config->watch.listen, err);
    }
    if (s != FB_OK) {
        watch_webhook_free(&h);
        return s;
    }
    *webhook_r = h;
    return FB_OK;
}

void watch_webhook_free(struct watch_webhook **webhook)
{
    struct watch_webhook *h = *webhook;
    if (h == NULL) {
        return;
    }
    fb_http_server_free(&h->server);
    fb_redis_free(&h->redis);
    (void)pthread_mutex_destroy(&h->lock);
    free(h);
    *webhook = NULL;
}
