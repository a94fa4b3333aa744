/* SPDX-License-Identifier: Apache-2.0
 *
 * The health port: /metrics, /healthz, /readyz by libmicrohttpd, one thread.  Answers GET only. */
#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/metrics.h"

#define MAX_BODY      (4U << 20)
#define STALE_BEAT_MS 60000

struct fb_metrics_server {
    struct MHD_Daemon *daemon;
};

static pthread_mutex_t ready_lock = PTHREAD_MUTEX_INITIALIZER;
static bool is_ready_now;
static char ready_why[128] = "starting";
static _Atomic int64_t last_beat_ms;

void fb_ready_set(bool is_ready, const char *why)
{
    (void)pthread_mutex_lock(&ready_lock);
    is_ready_now = is_ready;
    (void)snprintf(ready_why, sizeof ready_why, "%s", why != NULL ? why : "");
    (void)pthread_mutex_unlock(&ready_lock);
}

void fb_health_beat(void)
{
    atomic_store(&last_beat_ms, fb_mono_ms());
}

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned code, const char *type,
                              const struct fb_buf *body)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        body->len, body->len > 0 ? (void *)body->ptr : (void *)&(char){0}, MHD_RESPMEM_MUST_COPY);
    if (response == NULL) {
        return MHD_NO;
    }
    enum MHD_Result ok = MHD_add_response_header(response, "Content-Type", type);
    if (ok == MHD_YES) {
        ok = MHD_queue_response(connection, code, response);
    }
    MHD_destroy_response(response);
    return ok;
}

static unsigned ready_text(struct fb_buf *body)
{
    (void)pthread_mutex_lock(&ready_lock);
    bool is_ready = is_ready_now;
    enum fb_status s = fb_buf_printf(body, is_ready ? "ready\n" : "not ready: %s\n", ready_why);
    (void)pthread_mutex_unlock(&ready_lock);
    return is_ready && s == FB_OK ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
}

static unsigned health_text(struct fb_buf *body)
{
    int64_t beat = atomic_load(&last_beat_ms);
    bool is_alive = beat == 0 || fb_mono_ms() - beat < STALE_BEAT_MS;
    enum fb_status s = fb_buf_add_str(body, is_alive ? "alive\n" : "the main loop stands still\n");
    return is_alive && s == FB_OK ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
}

static enum MHD_Result handle(void *cls, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **state)
{
    (void)cls;
    (void)version;
    (void)upload;
    (void)upload_size;
    (void)state;
    struct fb_buf body;
    fb_buf_init(&body, MAX_BODY);
    unsigned code = MHD_HTTP_NOT_FOUND;
    const char *type = "text/plain; charset=utf-8";
    enum fb_status s = FB_OK;
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        code = MHD_HTTP_METHOD_NOT_ALLOWED;
        s = fb_buf_add_str(&body, "only GET is answered here\n");
    } else if (strcmp(url, "/metrics") == 0) {
        s = fb_metrics_render(&body);
        code = MHD_HTTP_OK;
        type = "text/plain; version=0.0.4; charset=utf-8";
    } else if (strcmp(url, "/readyz") == 0) {
        code = ready_text(&body);
    } else if (strcmp(url, "/healthz") == 0) {
        code = health_text(&body);
    } else {
        s = fb_buf_add_str(&body, "known here: /metrics /healthz /readyz\n");
    }
    if (s != FB_OK) {
        code = MHD_HTTP_INTERNAL_SERVER_ERROR;
    }
    enum MHD_Result result = answer(connection, code, type, &body);
    fb_buf_deinit(&body);
    return result;
}

enum fb_status fb_metrics_serve(const char *host, uint16_t port,
                                struct fb_metrics_server **server_r, uint16_t *port_r,
                                struct fb_error *err)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = {0};
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD;
    if (inet_pton(AF_INET, host, &address.v4.sin_addr) == 1) {
        address.v4.sin_family = AF_INET;
        address.v4.sin_port = htons(port);
    } else if (inet_pton(AF_INET6, host, &address.v6.sin6_addr) == 1) {
        address.v6.sin6_family = AF_INET6;
        address.v6.sin6_port = htons(port);
        flags |= MHD_USE_IPv6;
    } else {
        return fb_error_set(err, FB_CONFIG, "metrics.listen: %s is not an IP address", host);
    }
    errno = 0;
    /* Not MHD_OPTION_LISTENING_ADDRESS_REUSE: that is SO_REUSEPORT, and a second service would share the
     * port unnoticed.  A restart needs SO_REUSEADDR only, which is the library's default. */
    struct MHD_Daemon *daemon = MHD_start_daemon(
        flags, port, NULL, NULL, handle, NULL, MHD_OPTION_SOCK_ADDR, &address.any,
        MHD_OPTION_CONNECTION_TIMEOUT, 10U, MHD_OPTION_CONNECTION_LIMIT, 16U, MHD_OPTION_END);
    if (daemon == NULL) {
        return fb_error_errno(err, FB_CONFIG, errno != 0 ? errno : EADDRINUSE,
                              "metrics.listen: cannot listen on %s port %u", host, port);
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT);
    if (port_r != NULL) {
        *port_r = info != NULL ? info->port : port;
    }
    *server_r = fb_xcalloc(1, sizeof **server_r);
    (*server_r)->daemon = daemon;
    return FB_OK;
}

void fb_metrics_stop(struct fb_metrics_server **server)
{
    if (*server != NULL) {
        MHD_stop_daemon((*server)->daemon);
        free(*server);
        *server = NULL;
    }
}
