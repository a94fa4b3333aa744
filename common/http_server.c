/* SPDX-License-Identifier: Apache-2.0 */
#include "common/http_server.h"

#include <errno.h>
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
#include "common/http_internal.h"

#define MAX_DROPPED                                                                                \
    (1U << 20) /* body read after it was too big, so that the answer is not lost to a reset */
#define DRAIN_STEP_US 20000
#define NUL_SHOWN     '\x1a' /* SUBSTITUTE: part of no name, address or id */

/* A connection, known from its start to its end, so that tick can find the slow ones. */
struct peer {
    struct peer *next, **at;
    int fd;
    int64_t since_ms; /* start of the connection, or end of its last request */
    struct http_pace pace;
};

struct fb_http_server {
    struct fb_http_options o;
    struct MHD_Daemon *daemon;
    struct http_pool *pool;
    MHD_socket listen_fd; /* what MHD_quiesce_daemon gave back; or MHD_INVALID_SOCKET */
    atomic_bool is_draining;
    atomic_size_t active;
    atomic_uint large;    /* requests whose body may pass max_body */
    pthread_mutex_t lock; /* guards peers */
    struct peer *peers;
};

/* received -> (suspended) handled in the pool -> (resumed) answered */
struct request {
    struct http_job job; /* first: it is found by it */
    struct fb_http_server *server;
    struct fb_buf body;
    size_t limit; /* of the body */
    size_t dropped;
    bool is_too_big;
    bool is_large, is_busy; /* counted in large; would have been */
    struct fb_http_request asked;
    struct fb_http_answer answer;
    bool is_handled; /* answer is valid */
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

static char *header_value(const char *fmt, va_list args) FB_PRINTF(1, 0);
static char *header_value(const char *fmt, va_list args)
{
    char value[2048];
    int n = vsnprintf(value, sizeof value, fmt, args);
    FB_ASSERT(n >= 0 && (size_t)n < sizeof value && strpbrk(value, "\r\n") == NULL);
    return fb_xstrdup(value);
}

static void add_header(struct fb_http_answer *a, const char *name, char *value)
{
    FB_ASSERT(a->header_count < FB_HTTP_MAX_HEADERS);
    a->headers[a->header_count].name = name;
    a->headers[a->header_count++].value = value;
}

void fb_http_answer_header(struct fb_http_answer *a, const char *name, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    add_header(a, name, header_value(fmt, args));
    va_end(args);
}

void fb_http_answer_replace(struct fb_http_answer *a, const char *name, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *value = header_value(fmt, args);
    va_end(args);
    for (size_t i = 0; i < a->header_count; i++) {
        if (strcmp(a->headers[i].name, name) == 0) {
            free(a->headers[i].value);
            a->headers[i].value = value;
            return;
        }
    }
    add_header(a, name, value);
}

static void answer_deinit(struct fb_http_answer *a)
{
    for (size_t i = 0; i < a->header_count; i++) {
        free(a->headers[i].value);
    }
    if (a->stream.free != NULL) {
        a->stream.free(a->stream.ctx);
    }
    fb_buf_deinit(&a->body);
}

/* ---- one request ---- */

static struct peer *peer_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info != NULL ? info->socket_context : NULL;
}

/* The body goes over to the library. */
static struct MHD_Response *body_response(struct fb_http_answer *a)
{
    if (a->body.len == 0) {
        return MHD_create_response_from_buffer(0, &(char){0}, MHD_RESPMEM_MUST_COPY);
    }
    struct MHD_Response *response =
        MHD_create_response_from_buffer(a->body.len, a->body.ptr, MHD_RESPMEM_MUST_FREE);
    if (response != NULL) {
        fb_buf_init(&a->body, 0);
    }
    return response;
}

/* From now on the client's pace counts, and no clock. */
static void begin_stream(struct fb_http_server *s, struct MHD_Connection *connection)
{
    struct peer *p = peer_of(connection);
    (void)MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, 0U);
    (void)pthread_mutex_lock(&s->lock);
    if (p != NULL) {
        http_pace_begin(&p->pace, p->fd, fb_mono_ms());
    }
    (void)pthread_mutex_unlock(&s->lock);
}

static enum MHD_Result send_answer(struct request *r)
{
    struct fb_http_server *s = r->server;
    struct fb_http_answer *a = &r->answer;
    struct MHD_Connection *connection = r->asked.connection;
    unsigned status = a->status;
    bool is_stream = a->stream.read != NULL;
    struct MHD_Response *response =
        is_stream ? http_stream_response(&r->asked, a, s->pool, &status) : body_response(a);
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
    if (ok == MHD_YES && is_stream) {
        begin_stream(s, connection);
    }
    if (ok == MHD_YES) {
        ok = MHD_queue_response(connection, status, response);
    }
    MHD_destroy_response(response);
    return ok;
}

static struct fb_http_request describe(struct MHD_Connection *connection, const char *url,
                                       const char *method)
{
    const union MHD_ConnectionInfo *peer =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    return (struct fb_http_request){.method = method,
                                    .path = url,
                                    .peer = peer != NULL ? peer->client_addr : NULL,
                                    .connection = connection};
}

/* In a thread of the pool, while the library leaves the connection alone. */
static void handle(struct http_job *job)
{
    struct request *r = (struct request *)(void *)job;
    struct MHD_Connection *connection = r->asked.connection;
    r->server->o.handle(r->server->o.ctx, &r->asked, &r->answer);
    r->is_handled = true;
    MHD_resume_connection(connection);
}

static enum MHD_Result answer(struct MHD_Connection *connection, const char *url,
                              const char *method, struct request *r)
{
    if (r->is_handled) {
        return send_answer(r);
    }
    r->asked = describe(connection, url, method);
    r->asked.body = fb_slice_buf(&r->body);
    r->asked.is_too_big = r->is_too_big;
    r->asked.is_busy = r->is_busy;
    r->answer.status = MHD_HTTP_INTERNAL_SERVER_ERROR;
    fb_buf_init(&r->answer.body, r->server->o.max_answer);
    MHD_suspend_connection(connection);
    http_pool_add(r->server->pool, &r->job);
    return MHD_YES;
}

/* A large body is held only while few others are. */
static struct request *begin(struct fb_http_server *s, struct MHD_Connection *connection,
                             const char *url, const char *method)
{
    struct request *r = fb_xcalloc(1, sizeof *r);
    r->job.run = handle;
    r->server = s;
    r->limit = s->o.max_body;
    if (s->o.body_limit != NULL) {
        const struct fb_http_request head = describe(connection, url, method);
        r->limit = s->o.body_limit(s->o.ctx, &head);
    }
    if (r->limit > s->o.max_body) {
        r->is_large = atomic_fetch_add(&s->large, 1) < s->o.max_large;
        r->is_busy = !r->is_large;
        if (r->is_busy) {
            atomic_fetch_sub(&s->large, 1);
        }
    }
    fb_buf_init(&r->body, r->limit);
    atomic_fetch_add(&s->active, 1);
    return r;
}

/* A large body may take its time, as long as it comes. */
static void give_time(struct fb_http_server *s, struct MHD_Connection *connection, size_t size)
{
    struct peer *p = peer_of(connection);
    if (p != NULL) {
        (void)pthread_mutex_lock(&s->lock);
        int64_t now_ms = fb_mono_ms();
        p->since_ms += (int64_t)(size * 1000 / FB_HTTP_BODY_RATE);
        p->since_ms = p->since_ms < now_ms ? p->since_ms : now_ms;
        (void)pthread_mutex_unlock(&s->lock);
    }
}

static enum MHD_Result take_body(struct fb_http_server *s, struct MHD_Connection *connection,
                                 struct request *r, const char *data, size_t *size)
{
    bool is_kept = !r->is_too_big && !r->is_busy;
    if (is_kept && fb_buf_add(&r->body, data, *size) != FB_OK) {
        r->is_too_big = true;
        fb_buf_deinit(&r->body); /* its memory, too */
        fb_buf_init(&r->body, 0);
    }
    if (r->is_large || r->is_busy) {
        give_time(s, connection, *size);
    }
    if (r->is_too_big || r->is_busy) {
        r->dropped += *size;
    }
    *size = 0;
    size_t most = r->limit > s->o.max_body ? r->limit : s->o.max_body;
    return r->dropped > most + MAX_DROPPED ? MHD_NO : MHD_YES;
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
        *state = begin(s, connection, url, method);
        return MHD_YES;
    }
    return *size > 0 ? take_body(s, connection, r, data, size) : answer(connection, url, method, r);
}

static void on_completed(void *ctx, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode code)
{
    struct fb_http_server *s = ctx;
    struct request *r = *state;
    struct peer *p = peer_of(connection);
    bool was_stream = false;
    if (p != NULL) {
        (void)pthread_mutex_lock(&s->lock);
        p->since_ms = fb_mono_ms();
        was_stream = p->pace.since_ms != 0;
        p->pace = (struct http_pace){0};
        (void)pthread_mutex_unlock(&s->lock);
    }
    if (was_stream && code == MHD_REQUEST_TERMINATED_COMPLETED_OK) {
        (void)MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, s->o.idle_s);
    }
    if (r != NULL) {
        answer_deinit(&r->answer);
        fb_buf_deinit(&r->body);
        if (r->is_large) {
            atomic_fetch_sub(&s->large, 1);
        }
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
    int64_t now_ms = fb_mono_ms();
    (void)pthread_mutex_lock(&s->lock);
    for (struct peer *p = s->peers; p != NULL; p = p->next) {
        bool is_slow = p->pace.since_ms != 0 ? !http_pace_is_kept(&p->pace, p->fd, now_ms, &s->o)
                                             : p->since_ms < now_ms - s->o.request_ms;
        if (is_slow && p->fd >= 0) {
            (void)shutdown(p->fd, SHUT_RDWR); /* the library sees the end, and closes it */
        }
    }
    (void)pthread_mutex_unlock(&s->lock);
}

/* A NUL would end the path or a value before its end: "/users/root%00x" must not be "/users/root". */
static size_t unescape(void *ctx, struct MHD_Connection *connection, char *text)
{
    (void)ctx;
    (void)connection;
    size_t len = MHD_http_unescape(text);
    for (char *nul = memchr(text, '\0', len); nul != NULL;
         nul = memchr(nul, '\0', len - (size_t)(nul - text))) {
        *nul = NUL_SHOWN;
    }
    return len;
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
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME;
    if (found->ai_family == AF_INET6) {
        flags |= MHD_USE_IPv6;
    }
    errno = 0;
    /* No MHD_USE_ERROR_LOG: the library's own lines could hold pieces of requests. */
    s->daemon = MHD_start_daemon(
        flags, port, NULL, NULL, on_request, s, MHD_OPTION_SOCK_ADDR, found->ai_addr,
        MHD_OPTION_THREAD_POOL_SIZE, s->o.io_threads, MHD_OPTION_CONNECTION_TIMEOUT, s->o.idle_s,
        MHD_OPTION_CONNECTION_LIMIT, s->o.connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        s->o.max_head, MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, s, MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL, MHD_OPTION_END);
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
    s->o.io_threads = s->o.io_threads > 0 ? s->o.io_threads : 1;
    s->o.least_rate = s->o.least_rate > 0 ? s->o.least_rate : FB_HTTP_LEAST_RATE;
    s->o.pace_ms = s->o.pace_ms > 0 ? s->o.pace_ms : FB_HTTP_PACE_MS;
    s->listen_fd = MHD_INVALID_SOCKET;
    FB_ASSERT(pthread_mutex_init(&s->lock, NULL) == 0);
    enum fb_status status = http_pool_new(s->o.threads, &s->pool, err);
    if (status == FB_OK) {
        status = start(s, err);
    }
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
    if (s->pool != NULL) {
        http_pool_stop(s->pool); /* the library stops only when no connection is suspended */
    }
    if (s->daemon != NULL) {
        MHD_stop_daemon(s->daemon);
    }
    http_pool_free(&s->pool);
    if (s->listen_fd != MHD_INVALID_SOCKET) {
        (void)close(s->listen_fd);
    }
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
    *server = NULL;
}
