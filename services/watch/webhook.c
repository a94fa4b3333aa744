/* SPDX-License-Identifier: Apache-2.0 */
#include "services/watch/webhook.h"

#include <arpa/inet.h>
#include <errno.h>
#include <hiredis/hiredis.h>
#include <jansson.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/crypto.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/redis.h"
#include "services/watch/follow.h"
#include "services/watch/signature.h"

#define MAX_BODY         (1U << 20)
#define REDIS_TIMEOUT_MS 3000
#define SEEN_MS          "1800000" /* longer than a delivery is believed */

struct watch_webhook {
    struct MHD_Daemon *daemon;
    struct fb_redis *redis;
    pthread_mutex_t lock; /* guards redis */
    const char *primary_key, *secondary_key;
};

struct request {
    struct fb_buf body;
    bool is_too_big;
};

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, const char *text)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_PERSISTENT);
    if (response == NULL) {
        return MHD_NO;
    }
    (void)MHD_add_response_header(response, "Content-Type", "text/plain; charset=utf-8");
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
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

static const char *header(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

static enum MHD_Result finish(struct watch_webhook *h, struct MHD_Connection *connection,
                              const struct request *r)
{
    struct fb_error err = {0};
    bool is_new = false;
    const struct watch_delivery d = {
        .body = fb_slice_buf(&r->body),
        .timestamp = header(connection, "BOX-DELIVERY-TIMESTAMP"),
        .version = header(connection, "BOX-SIGNATURE-VERSION"),
        .algorithm = header(connection, "BOX-SIGNATURE-ALGORITHM"),
        .primary = header(connection, "BOX-SIGNATURE-PRIMARY"),
        .secondary = header(connection, "BOX-SIGNATURE-SECONDARY"),
    };
    if (r->is_too_big) {
        count("refused");
        return answer(connection, MHD_HTTP_CONTENT_TOO_LARGE, "too large\n");
    }
    if (watch_signature_check(&d, h->primary_key, h->secondary_key, fb_now_ms(), &err) != FB_OK) {
        count("refused");
        fb_log(FB_WARN, "a webhook is refused: %s", err.text);
        return answer(connection, MHD_HTTP_FORBIDDEN, "the signature is not believed\n");
    }
    if (wake_once(h, d.body, &is_new, &err) != FB_OK) {
        count("failed");
        fb_log(FB_WARN, "a webhook could not be passed on, Box sends it again: %s", err.text);
        return answer(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "try again\n");
    }
    count(is_new ? "taken" : "repeated");
    return answer(connection, MHD_HTTP_OK, "ok\n");
}

static enum MHD_Result handle(void *cls, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **state)
{
    struct request *r = *state;
    (void)url;
    (void)version;
    if (r == NULL) {
        r = fb_xcalloc(1, sizeof *r);
        fb_buf_init(&r->body, MAX_BODY);
        *state = r;
        return strcmp(method, "POST") == 0
                   ? MHD_YES
                   : answer(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only POST is taken here\n");
    }
    if (*upload_size > 0) {
        r->is_too_big = r->is_too_big || fb_buf_add(&r->body, upload, *upload_size) != FB_OK;
        *upload_size = 0;
        return MHD_YES;
    }
    return finish(cls, connection, r);
}

static void completed(void *cls, struct MHD_Connection *connection, void **state,
                      enum MHD_RequestTerminationCode code)
{
    struct request *r = *state;
    (void)cls;
    (void)connection;
    (void)code;
    if (r != NULL) {
        fb_buf_deinit(&r->body);
        free(r);
        *state = NULL;
    }
}

static enum fb_status listen_on(struct watch_webhook *h, const char *where, struct fb_error *err)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = {0};
    char host[256];
    uint16_t port = 0;
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD;
    if (!fb_host_port(where, host, sizeof host, &port)) {
        return fb_error_set(err, FB_CONFIG, "watch.listen: \"%s\" is not host:port", where);
    }
    if (inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host,
                  &address.v4.sin_addr) == 1) {
        address.v4.sin_family = AF_INET;
        address.v4.sin_port = htons(port);
    } else if (inet_pton(AF_INET6, host, &address.v6.sin6_addr) == 1) {
        address.v6.sin6_family = AF_INET6;
        address.v6.sin6_port = htons(port);
        flags |= MHD_USE_IPv6;
    } else {
        return fb_error_set(err, FB_CONFIG, "watch.listen: %s is not an IP address", host);
    }
    errno = 0;
    h->daemon = MHD_start_daemon(flags, port, NULL, NULL, handle, h, MHD_OPTION_SOCK_ADDR,
                                 &address.any, MHD_OPTION_NOTIFY_COMPLETED, completed, NULL,
                                 MHD_OPTION_CONNECTION_TIMEOUT, 20U, MHD_OPTION_CONNECTION_LIMIT,
                                 64U, MHD_OPTION_END);
    return h->daemon != NULL ? FB_OK
                             : fb_error_errno(err, FB_CONFIG, errno != 0 ? errno : EADDRINUSE,
                                              "watch.listen: cannot listen on %s", where);
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
    if (h->daemon != NULL) {
        MHD_stop_daemon(h->daemon);
    }
    fb_redis_free(&h->redis);
    (void)pthread_mutex_destroy(&h->lock);
    free(h);
    *webhook = NULL;
}
