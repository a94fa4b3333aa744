/* SPDX-License-Identifier: Apache-2.0 */
#include "common/http_server.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/config.h"

#define MAX_DROPPED                                                                                \
    (1U << 20) /* body read after it was too big, so that the answer is not lost to a reset */
#define DRAIN_STEP_US 20000

/* A connection, known from its start to its end, so that tick can find the slow ones. */
struct peer {
    struct peer *next, **at;
    int fd;
    int64_t since_ms; /* start of the connection, or end of its last request */
};

struct fb_http_server {
    struct fb_http_options o;
    struct MHD_Daemon *daemon;
    MHD_socket listen_fd; /* what MHD_quiesce_daemon gave back; or MHD_INVALID_SOCKET */
    atomic_bool is_draining;
    atomic_size_t active;
    pthread_mutex_t lock; /* guards peers */
    struct peer *peers;
};

struct request {
    struct fb_buf body;
    size_t dropped;
    bool is_too_big;
};

/* ---- what the handler asks and says ---- */

static const char *lookup(const struct fb_http_request *r, enum MHD_ValueKind kind,
                          const char *name)
{
    const char *value = NULL;
    size_t len = 0;
    /* "?a" has no value, "?a=" an empty one: the same to us. */
    if (MHD_lookup_connection_value_n(r->connection, kind, name, strlen(name), &value, &len) !=
        MHD_YES) {
        return NULL;
    }
    return value != NULL ? value : "";
}

const char *fb_http_header(const struct fb_http_request *r, const char *name)
{
    return lookup(r, MHD_HEADER_KIND, name);
}

const char *fb_http_query(const struct fb_http_request *r, const char *name)
{
    return lookup(r, MHD_GET_ARGUMENT_KIND, name);
}

const char *fb_http_cookie(const struct fb_http_request *r, const char *name)
{
    return lookup(r, MHD_COOKIE_KIND, name);
}

struct list {
    const char *name;
    struct fb_buf *out;
    bool has_any;
    enum fb_status status;
};

static enum MHD_Result add_to_list(void *ctx, enum MHD_ValueKind kind, const char *name,
                                   const char *value)
{
    struct list *list = ctx;
    (void)kind;
    if (strcasecmp(name, list->name) == 0 && list->status == FB_OK) {
        list->status = fb_buf_add_str(list->out, list->has_any ? ", " : "");
        list->has_any = true;
        if (list->status == FB_OK && value != NULL) {
            list->status = fb_buf_add_str(list->out, value);
        }
    }
    return MHD_YES;
}

enum fb_status fb_http_header_list(const struct fb_http_request *r, const char *name,
                                   struct fb_buf *out)
{
    struct list list = {.name = name, .out = out, .status = FB_OK};
    (void)MHD_get_connection_values(r->connection, MHD_HEADER_KIND, add_to_list, &list);
    return list.status;
}

void fb_http_answer_header(struct fb_http_answer *a, const char *name, const char *fmt, ...)
{
    char value[1024];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(value, sizeof value, fmt, args);
    va_end(args);
    FB_ASSERT(n >= 0 && (size_t)n < sizeof value && strpbrk(value, "\r\n") == NULL);
    FB_ASSERT(a->header_count < FB_HTTP_MAX_HEADERS);
    a->headers[a->header_count].name = name;
    a->headers[a->header_count++].value = fb_xstrdup(value);
}

static void answer_deinit(struct fb_http_answer *a)
{
    for (size_t i = 0; i < a->header_count; i++) {
        free(a->headers[i].value);
    }
    fb_buf_deinit(&a->body);
}

/* ---- one request ---- */

static enum MHD_Result send_answer(const struct fb_http_server *s,
                                   struct MHD_Connection *connection,
                                   const struct fb_http_answer *a)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        a->body.len, a->body.len > 0 ? (void *)a->body.ptr : (void *)&(char){0},
        MHD_RESPMEM_MUST_COPY);
    if (response == NULL) {
        return MHD_NO;
    }
    enum MHD_Result ok = MHD_YES;
    for (size_t i = 0; i < a->header_count && ok == MHD_YES; i++) {
        ok = MHD_add_response_header(response, a->headers[i].name, a->headers[i].value);
    }
    if (ok == MHD_YES && atomic_load(&s->is_draining)) {
        ok = MHD_add_response_header(response, "Connection", "close");
    }
    if (ok == MHD_YES) {
        ok = MHD_queue_response(connection, a->status, response);
    }
    MHD_destroy_response(response);
    return ok;
}

static enum MHD_Result answer(struct fb_http_server *s, struct MHD_Connection *connection,
                              const char *url, const char *method, const struct request *r)
{
    struct fb_http_answer a = {.status = MHD_HTTP_INTERNAL_SERVER_ERROR};
    const union MHD_ConnectionInfo *peer =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct fb_http_request request = {
        .method = method,
        .path = url,
        .body = fb_slice_buf(&r->body),
        .is_too_big = r->is_too_big,
        .peer = peer != NULL ? peer->client_addr : NULL,
        .connection = connection,
    };
    fb_buf_init(&a.body, s->o.max_answer);
    s->o.handle(s->o.ctx, &request, &a);
    enum MHD_Result result = send_answer(s, connection, &a);
    answer_deinit(&a);
    return result;
}

static enum MHD_Result take_body(const struct fb_http_server *s, struct request *r,
                                 const char *data, size_t *size)
{
    if (!r->is_too_big && fb_buf_add(&r->body, data, *size) != FB_OK) {
        r->is_too_big = true;
        fb_buf_clear(&r->body);
    }
    if (r->is_too_big) {
        r->dropped += *size;
    }
    *size = 0;
    return r->dropped > s->o.max_body + MAX_DROPPED ? MHD_NO : MHD_YES;
}

struct framing {
    unsigned lengths, encodings;
    bool is_odd;
};

static enum MHD_Result look_at_framing(void *ctx, enum MHD_ValueKind kind, const char *name,
                                       const char *value)
{
    struct framing *f = ctx;
    (void)kind;
    f->is_odd = f->is_odd || strpbrk(name, " \t") != NULL; /* "Content-Length : 5" */
    if (strcasecmp(name, "Content-Length") == 0) {
        f->lengths++;
    } else if (strcasecmp(name, "Transfer-Encoding") == 0) {
        f->encodings++;
        f->is_odd = f->is_odd || value == NULL || strcasecmp(value, "chunked") != 0;
    }
    return MHD_YES;
}

/* The library takes the first of several lengths, and an encoding before a length. */
static bool is_ambiguous(struct MHD_Connection *connection)
{
    struct framing f = {0};
    (void)MHD_get_connection_values(connection, MHD_HEADER_KIND, look_at_framing, &f);
    return f.is_odd || f.lengths + f.encodings > 1;
}

/* Before the body is read: the library closes the connection then. */
static enum MHD_Result refuse(struct MHD_Connection *connection)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(0, &(char){0}, MHD_RESPMEM_MUST_COPY);
    if (response == NULL) {
        return MHD_NO;
    }
    enum MHD_Result ok = MHD_add_response_header(response, "Connection", "close");
    if (ok == MHD_YES) {
        ok = MHD_queue_response(connection, MHD_HTTP_BAD_REQUEST, response);
    }
    MHD_destroy_response(response);
    return ok;
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **state)
{
    struct fb_http_server *s = ctx;
    struct request *r = *state;
    (void)version;
    if (r == NULL && is_ambiguous(connection)) {
        return refuse(connection);
    }
    if (r == NULL) {
        r = fb_xcalloc(1, sizeof *r);
        fb_buf_init(&r->body, s->o.max_body);
        *state = r;
        atomic_fetch_add(&s->active, 1);
        return MHD_YES;
    }
    return *size > 0 ? take_body(s, r, data, size) : answer(s, connection, url, method, r);
}

static struct peer *peer_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info != NULL ? info->socket_context : NULL;
}

static void on_completed(void *ctx, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode code)
{
    struct fb_http_server *s = ctx;
    struct request *r = *state;
    struct peer *p = peer_of(connection);
    (void)code;
    if (p != NULL) {
        (void)pthread_mutex_lock(&s->lock);
        p->since_ms = fb_mono_ms();
        (void)pthread_mutex_unlock(&s->lock);
    }
    if (r != NULL) {
        fb_buf_deinit(&r->body);
        free(r);
        *state = NULL;
        atomic_fetch_sub(&s->active, 1);
    }
}

/* ---- connections ---- */

/* The end is told before the library closes the socket, so that a descriptor in the list is never somebody else's. */
static void on_connection(void *ctx, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct fb_http_server *s = ctx;
    (void)pthread_mutex_lock(&s->lock);
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        struct peer *p = fb_xcalloc(1, sizeof *p);
        p->fd = info != NULL ? info->connect_fd : -1;
        p->since_ms = fb_mono_ms();
        p->next = s->peers;
        p->at = &s->peers;
        if (p->next != NULL) {
            p->next->at = &p->next;
        }
        s->peers = p;
        *socket_context = p;
    } else if (*socket_context != NULL) {
        struct peer *p = *socket_context;
        *p->at = p->next;
        if (p->next != NULL) {
            p->next->at = p->at;
        }
        free(p);
        *socket_context = NULL;
    }
    (void)pthread_mutex_unlock(&s->lock);
}

void fb_http_server_tick(struct fb_http_server *s)
{
    int64_t before_ms = fb_mono_ms() - s->o.request_ms;
    (void)pthread_mutex_lock(&s->lock);
    for (struct peer *p = s->peers; p != NULL; p = p->next) {
        if (p->since_ms < before_ms && p->fd >= 0) {
            (void)shutdown(p->fd, SHUT_RDWR); /* the library sees the end, and closes it */
        }
    }
    (void)pthread_mutex_unlock(&s->lock);
}

/* ---- life ---- */

static enum fb_status start(struct fb_http_server *s, struct fb_error *err)
{
    char host[256], port_text[8];
    uint16_t port = 0;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    if (!fb_host_port(s->o.listen, host, sizeof host, &port)) {
        return fb_error_set(err, FB_CONFIG, "%s: \"%s\" is not host:port", s->o.key, s->o.listen);
    }
    (void)snprintf(port_text, sizeof port_text, "%u", port);
    int e = getaddrinfo(host, port_text, &hints, &found);
    if (e != 0) {
        return fb_error_set(err, FB_CONFIG, "%s: %s: %s", s->o.key, s->o.listen, gai_strerror(e));
    }
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD;
    if (found->ai_family == AF_INET6) {
        flags |= MHD_USE_IPv6;
    }
    errno = 0;
    /* No MHD_USE_ERROR_LOG: the library's own lines could hold pieces of requests. */
    s->daemon = MHD_start_daemon(
        flags, port, NULL, NULL, on_request, s, MHD_OPTION_SOCK_ADDR, found->ai_addr,
        MHD_OPTION_THREAD_POOL_SIZE, s->o.threads, MHD_OPTION_CONNECTION_TIMEOUT, s->o.idle_s,
        MHD_OPTION_CONNECTION_LIMIT, s->o.connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        s->o.max_head, MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, s, MHD_OPTION_END);
    int error = errno != 0 ? errno : EADDRINUSE;
    freeaddrinfo(found);
    return s->daemon != NULL ? FB_OK
                             : fb_error_errno(err, FB_CONFIG, error, "%s: cannot listen on %s",
                                              s->o.key, s->o.listen);
}

enum fb_status fb_http_server_new(const struct fb_http_options *options,
                                  struct fb_http_server **server_r, struct fb_error *err)
{
    struct fb_http_server *s = fb_xcalloc(1, sizeof *s);
    s->o = *options;
    s->listen_fd = MHD_INVALID_SOCKET;
    FB_ASSERT(pthread_mutex_init(&s->lock, NULL) == 0);
    enum fb_status status = start(s, err);
    if (status != FB_OK) {
        fb_http_server_free(&s);
        return status;
    }
    *server_r = s;
    return FB_OK;
}

void fb_http_server_drain(struct fb_http_server *s, int64_t timeout_ms)
{
    int64_t end_ms = fb_mono_ms() + timeout_ms;
    if (!atomic_exchange(&s->is_draining, true)) {
        s->listen_fd = MHD_quiesce_daemon(s->daemon);
    }
    while (atomic_load(&s->active) > 0 && fb_mono_ms() < end_ms) {
        fb_http_server_tick(s);
        (void)usleep(DRAIN_STEP_US);
    }
}

void fb_http_server_free(struct fb_http_server **server)
{
    struct fb_http_server *s = *server;
    if (s == NULL) {
        return;
    }
    if (s->daemon != NULL) {
        MHD_stop_daemon(s->daemon);
    }
    if (s->listen_fd != MHD_INVALID_SOCKET) {
        (void)close(s->listen_fd);
    }
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
    *server = NULL;
}
