/* SPDX-License-Identifier: Apache-2.0
 *
 * One request goes through three kinds of calls of libmicrohttpd: the head (checked at once; what
 * is wrong with it is answered at once), pieces of the body, the end (suspended until the commit is
 * done, then answered). */
#include "http.h"

#include <errno.h>
#include <jansson.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/crypto.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/web.h"
#include "pressure.h"
#include "smtp_command.h"
#include "smtp_data.h"

#define THREADS           2
#define IDLE_S            120
#define HEAD_BYTES        (64U << 10) /* and per recipient: */
#define HEAD_BYTES_PER_TO 400U
#define MAX_HEAD_BYTES    (4U << 20)
#define MAX_DROPPED                                                                                \
    (1U << 20) /* body read after a refusal, so that the answer is not lost to a reset */
#define RETRY_AFTER "30"

struct http_server {
    struct MHD_Daemon *daemon;
    struct acceptor *acceptor;
    const struct fb_netlist *allow;
    uint64_t max_message;
    size_t max_recipients;
    char *token;
    atomic_bool is_draining;
    atomic_size_t active, committing;
    pthread_mutex_t held_lock;
    struct request *held; /* committed, answered a little later */
    MHD_socket listen_fd; /* what MHD_quiesce_daemon gave back; or MHD_INVALID_SOCKET */
};

struct request {
    struct http_server *server;
    struct MHD_Connection *connection;
    struct acceptance *acceptance;
    struct fb_envelope envelope;
    size_t recipient_cap;
    struct scan scan;
    enum fb_status content_status;
    uint64_t dropped;
    /* the answer */
    unsigned status; /* 0 = none yet */
    const char *code;
    char message[160];
    struct request *next; /* of those held */
    int64_t answer_at_ms;
    bool is_committed; /* the commit is over; set before the connection resumes */
    char id[FB_ID_SIZE];
};

/* ---- answers ---- */

static void refuse(struct request *r, unsigned status, const char *code, const char *message)
{
    if (r->status == 0) {
        r->status = status;
        r->code = code;
        (void)snprintf(r->message, sizeof r->message, "%s", message);
    }
}

static void refuse_status(struct request *r, enum fb_status s)
{
    refuse(r, s == FB_NO_SPACE ? MHD_HTTP_SERVICE_UNAVAILABLE : MHD_HTTP_INTERNAL_SERVER_ERROR,
           fb_status_name(s),
           s == FB_NO_SPACE ? "The spool is full; try again later."
                            : "The message could not be stored; try again.");
}

static void refuse_pressure(struct request *r)
{
    char text[sizeof r->message];
    (void)snprintf(text, sizeof text, "No mail is taken now: %s. Try again later.", pressure_why());
    refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, fb_status_name(FB_NO_SPACE), text);
}

static enum MHD_Result answer(struct request *r)
{
    bool is_good = r->status == MHD_HTTP_ACCEPTED;
    json_t *body =
        is_good ? json_pack("{s:s}", "id", r->id)
                : json_pack("{s:{s:s,s:s}}", "error", "code", r->code, "message", r->message);
    char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
    json_decref(body);
    if (text == NULL) {
        return MHD_NO;
    }
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        free(text);
        return MHD_NO;
    }
    enum MHD_Result result = MHD_add_response_header(response, "Content-Type", "application/json");
    if (r->status == MHD_HTTP_SERVICE_UNAVAILABLE && result == MHD_YES) {
        result = MHD_add_response_header(response, "Retry-After", RETRY_AFTER);
    }
    if (r->status == MHD_HTTP_UNAUTHORIZED && result == MHD_YES) {
        result = MHD_add_response_header(response, "WWW-Authenticate", "Bearer");
    }
    if (r->status == MHD_HTTP_METHOD_NOT_ALLOWED && result == MHD_YES) {
        result = MHD_add_response_header(response, "Allow", "POST");
    }
    if (result == MHD_YES) {
        result = MHD_queue_response(r->connection, r->status, response);
    }
    MHD_destroy_response(response);
    if (!is_good) {
        char labels[64];
        (void)snprintf(labels, sizeof labels, "reason=\"http_%u\"", r->status);
        fb_metric_add("fumibako_messages_rejected_total", labels, 1);
    }
    return result;
}

/* ---- the head ---- */

static const char *header(const struct request *r, const char *name)
{
    return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

/* "<a@b>" and "a@b" are the same. */
static struct fb_slice address_of(const char *value)
{
    struct fb_slice s = fb_slice_trim(fb_slice_str(value));
    if (s.len >= 2 && s.ptr[0] == '<' && s.ptr[s.len - 1] == '>') {
        s = fb_slice_sub(s, 1, s.len - 2);
    }
    return s;
}

/* Keeps an address; anything above ASCII makes the mail an SMTPUTF8 one. */
static bool take_address(struct request *r, struct fb_slice address, char **copy_r)
{
    if (!smtp_is_ascii(address)) {
        r->envelope.is_smtputf8 = true;
    }
    *copy_r = fb_slice_dup_str(address);
    return *copy_r != NULL;
}

static enum MHD_Result on_header(void *ctx, enum MHD_ValueKind kind, const char *name,
                                 const char *value)
{
    struct request *r = ctx;
    struct fb_envelope *e = &r->envelope;
    (void)kind;
    if (strcasecmp(name, "X-Rcpt-To") != 0) {
        return MHD_YES;
    }
    struct fb_slice address = address_of(value);
    char *copy = NULL;
    if (!smtp_address_is_valid(address, true)) {
        refuse(r, MHD_HTTP_BAD_REQUEST, "bad_recipient",
               "An X-Rcpt-To header is not a mail address.");
    } else if (e->recipient_count >= r->server->max_recipients) {
        refuse(r, MHD_HTTP_BAD_REQUEST, "too_many_recipients",
               "There are too many X-Rcpt-To headers.");
    } else if (!take_address(r, address, &copy)) {
        refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, "no_memory", "Out of memory; try again later.");
    } else {
        if (e->recipient_count == r->recipient_cap) {
            r->recipient_cap = r->recipient_cap == 0 ? 8 : r->recipient_cap * 2;
            e->recipients = realloc(e->recipients, r->recipient_cap * sizeof *e->recipients);
            FB_ASSERT(e->recipients != NULL);
        }
        e->recipients[e->recipient_count++] = (struct fb_recipient){.address = copy};
    }
    return r->status == 0 ? MHD_YES : MHD_NO;
}

static void read_envelope(struct request *r)
{
    const char *from = header(r, "X-Mail-From");
    if (from == NULL) {
        refuse(r, MHD_HTTP_BAD_REQUEST, "no_sender", "The X-Mail-From header is missing.");
        return;
    }
    struct fb_slice address = address_of(from);
    if (address.len > 0 && !smtp_address_is_valid(address, true)) {
        refuse(r, MHD_HTTP_BAD_REQUEST, "bad_sender",
               "The X-Mail-From header is not a mail address.");
        return;
    }
    if (!take_address(r, address, &r->envelope.reverse_path)) {
        refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, "no_memory", "Out of memory; try again later.");
        return;
    }
    const char *trace = header(r, "traceparent"); /* whose trace this mail is part of */
    if (fb_trace_is_valid(trace)) {
        memcpy(r->envelope.trace, trace, sizeof r->envelope.trace);
    }
    (void)MHD_get_connection_values(r->connection, MHD_HEADER_KIND, on_header, r);
    if (r->status == 0 && r->envelope.recipient_count == 0) {
        refuse(r, MHD_HTTP_BAD_REQUEST, "no_recipient", "The X-Rcpt-To header is missing.");
    }
}

static void read_client(struct request *r)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    struct fb_net_address address;
    char text[46];
    if (info != NULL && info->client_addr != NULL &&
        fb_net_address_of(info->client_addr, &address)) {
        fb_net_address_text(&address, text, sizeof text);
        r->envelope.client_address = fb_xstrdup(text);
    }
    r->envelope.protocol = fb_xstrdup("HTTP");
}

static void on_content(void *ctx, const uint8_t *ptr, size_t len)
{
    struct request *r = ctx;
    if (r->content_status != FB_OK || r->scan.has_bare || r->scan.has_long_line ||
        r->acceptance == NULL) {
        return;
    }
    if (r->scan.size > r->server->max_message) {
        r->content_status = FB_TOO_BIG;
    } else {
        r->content_status = accept_add(r->acceptance, ptr, len);
    }
}

static void check_head(struct request *r, const char *method, const char *url)
{
    const char *type = header(r, "Content-Type");
    const char *length = header(r, "Content-Length");
    if (!fb_web_is_bearer(header(r, "Authorization"), r->server->token)) {
        refuse(r, MHD_HTTP_UNAUTHORIZED, "unauthorized", "The bearer token is missing or wrong.");
    } else if (strcmp(url, "/v1/messages") != 0) {
        refuse(r, MHD_HTTP_NOT_FOUND, "not_found", "There is nothing here; POST to /v1/messages.");
    } else if (strcmp(method, "POST") != 0) {
        refuse(r, MHD_HTTP_METHOD_NOT_ALLOWED, "method", "Only POST is allowed here.");
    } else if (type == NULL || strncasecmp(type, "message/rfc822", 14) != 0 ||
               (type[14] != '\0' && type[14] != ';' && type[14] != ' ')) {
        refuse(r, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, "content_type",
               "Content-Type must be message/rfc822.");
    } else if (length != NULL && strtoull(length, NULL, 10) > r->server->max_message) {
        refuse(r, MHD_HTTP_CONTENT_TOO_LARGE, "too_big", "The message is too big.");
    } else if (atomic_load(&r->server->is_draining)) {
        refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, "stopping", "The service is stopping; try again.");
    } else if (acceptor_may_accept(r->server->acceptor) != FB_OK) {
        refuse_pressure(r);
    } else {
        read_envelope(r);
    }
}

/* Everything but the body is known. */
static enum MHD_Result begin(struct request *r, const char *method, const char *url)
{
    check_head(r, method, url);
    if (r->status != 0) {
        /* Who sends "Expect: 100-continue", no body, or no right to be here, hears at once. */
        bool has_body =
            header(r, "Content-Length") != NULL || header(r, "Transfer-Encoding") != NULL;
        bool is_patient = header(r, "Expect") != NULL;
        return has_body && !is_patient && r->status != MHD_HTTP_UNAUTHORIZED ? MHD_YES : answer(r);
    }
    read_client(r);
    struct fb_error err = {0};
    enum fb_status s = accept_open(r->server->acceptor, &r->acceptance, &err);
    if (s != FB_OK) {
        fb_log(FB_ERROR, "cannot begin a message: %s", err.text);
        refuse_status(r, s);
        return answer(r);
    }
    scan_init(&r->scan, SCAN_LENIENT, on_content, r);
    return MHD_YES;
}

/* ---- the body and its end ---- */

static void check_content(struct request *r)
{
    if (r->scan.has_bare) {
        refuse(r, MHD_HTTP_BAD_REQUEST, "bare_cr", "The message holds a bare CR or a NUL.");
    } else if (r->scan.has_long_line) {
        refuse(r, MHD_HTTP_BAD_REQUEST, "long_line", "A line of the message is too long.");
    } else if (r->content_status == FB_TOO_BIG || r->scan.size > r->server->max_message) {
        refuse(r, MHD_HTTP_CONTENT_TOO_LARGE, "too_big", "The message is too big.");
    } else if (r->scan.received > SMTP_MAX_RECEIVED) {
        refuse(r, MHD_HTTP_BAD_REQUEST, "loop",
               "The message has too many Received headers; is it looping?");
    } else if (r->content_status != FB_OK) {
        refuse_status(r, r->content_status);
    }
}

static enum MHD_Result take_body(struct request *r, const char *data, size_t *size)
{
    if (r->status == 0) {
        bool is_end;
        (void)scan_feed(&r->scan, (const uint8_t *)data, *size, &is_end);
        check_content(r);
        if (r->status != 0) {
            accept_abort(&r->acceptance);
        }
    } else {
        r->dropped += *size;
    }
    *size = 0;
    return r->dropped > MAX_DROPPED ? MHD_NO : MHD_YES;
}

/* In the committer thread. The connection is suspended, so nobody else touches the request. */
static void on_done(void *ctx, enum fb_status status, const char *msg_id)
{
    struct request *r = ctx;
    struct http_server *server = r->server;
    memcpy(r->id, msg_id, sizeof r->id);
    if (status == FB_OK) {
        r->status = MHD_HTTP_ACCEPTED;
    } else {
        refuse_status(r, status);
    }
    r->is_committed = true;
    int delay_ms = pressure_delay_ms();
    if (delay_ms > 0 && !atomic_load(&server->is_draining)) {
        r->answer_at_ms = fb_mono_ms() + delay_ms;
        (void)pthread_mutex_lock(&server->held_lock);
        r->next = server->held;
        server->held = r;
        (void)pthread_mutex_unlock(&server->held_lock);
        return;
    }
    MHD_resume_connection(r->connection); /* r may be gone from here on */
    atomic_fetch_sub(&server->committing, 1);
}

void http_server_tick(struct http_server *s)
{
    struct request *due = NULL;
    if (s == NULL) {
        return;
    }
    int64_t now = fb_mono_ms();
    bool is_draining = atomic_load(&s->is_draining);
    (void)pthread_mutex_lock(&s->held_lock);
    for (struct request **at = &s->held; *at != NULL;) {
        struct request *r = *at;
        if (is_draining || now >= r->answer_at_ms) {
            *at = r->next;
            r->next = due;
            due = r;
        } else {
            at = &r->next;
        }
    }
    (void)pthread_mutex_unlock(&s->held_lock);
    while (due != NULL) {
        struct request *r = due;
        due = r->next;
        MHD_resume_connection(r->connection); /* r may be gone from here on */
        atomic_fetch_sub(&s->committing, 1);
    }
}

static enum MHD_Result end(struct request *r)
{
    if (r->is_committed || r->status != 0) {
        return answer(r);
    }
    scan_finish(&r->scan);
    check_content(r);
    if (r->status == 0 && r->scan.size == 0) {
        refuse(r, MHD_HTTP_BAD_REQUEST, "empty", "The message is empty.");
    }
    if (r->status != 0) {
        accept_abort(&r->acceptance);
        return answer(r);
    }
    r->envelope.is_8bit = r->scan.is_8bit;
    atomic_fetch_add(&r->server->committing, 1);
    MHD_suspend_connection(r->connection); /* before the commit: its end resumes */
    accept_commit(&r->acceptance, &r->envelope, on_done, r);
    return MHD_YES;
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **request)
{
    struct request *r = *request;
    (void)version;
    if (r == NULL) {
        r = fb_xcalloc(1, sizeof *r);
        r->server = ctx;
        r->connection = connection;
        *request = r;
        atomic_fetch_add(&r->server->active, 1);
        return begin(r, method, url);
    }
    return *size > 0 ? take_body(r, data, size) : end(r);
}

static void on_completed(void *ctx, struct MHD_Connection *connection, void **request,
                         enum MHD_RequestTerminationCode code)
{
    struct http_server *s = ctx;
    struct request *r = *request;
    (void)connection;
    (void)code;
    if (r != NULL) {
        accept_abort(&r->acceptance);
        fb_envelope_deinit(&r->envelope);
        free(r);
        *request = NULL;
        atomic_fetch_sub(&s->active, 1);
    }
}

static enum MHD_Result may_connect(void *ctx, const struct sockaddr *sa, socklen_t len)
{
    const struct http_server *s = ctx;
    struct fb_net_address address;
    (void)len;
    return fb_net_address_of(sa, &address) && fb_netlist_has(s->allow, &address) ? MHD_YES : MHD_NO;
}

/* ---- life ---- */

static enum fb_status start(struct http_server *s, const struct fb_config *config,
                            struct fb_error *err)
{
    char hostname[256], port_text[8];
    uint16_t port;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    if (!fb_host_port(config->ingest.http, hostname, sizeof hostname, &port)) {
        return fb_error_set(err, FB_CONFIG, "ingest.http: \"%s\" is not host:port",
                            config->ingest.http);
    }
    (void)snprintf(port_text, sizeof port_text, "%u", port);
    int e = getaddrinfo(hostname[0] == '\0' ? NULL : hostname, port_text, &hints, &found);
    if (e != 0) {
        return fb_error_set(err, FB_CONFIG, "ingest.http: %s: %s", config->ingest.http,
                            gai_strerror(e));
    }
    size_t head = HEAD_BYTES + s->max_recipients * HEAD_BYTES_PER_TO;
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME;
    if (found->ai_family == AF_INET6) {
        flags |= MHD_USE_IPv6;
    }
    s->daemon = MHD_start_daemon(
        flags, port, may_connect, s, on_request, s, MHD_OPTION_SOCK_ADDR, found->ai_addr,
        MHD_OPTION_THREAD_POOL_SIZE, (unsigned)THREADS, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)IDLE_S, MHD_OPTION_CONNECTION_LIMIT, (unsigned)config->ingest.max_connections,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)config->ingest.max_connections_per_client,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, head < MAX_HEAD_BYTES ? head : (size_t)MAX_HEAD_BYTES,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_END);
    int error = errno;
    freeaddrinfo(found);
    return s->daemon != NULL ? FB_OK
                             : fb_error_errno(err, FB_CONFIG, error, "ingest.http: listen on %s",
                                              config->ingest.http);
}

enum fb_status http_server_new(const struct fb_config *config, struct acceptor *acceptor,
                               const struct fb_netlist *allow, struct http_server **server_r,
                               struct fb_error *err)
{
    *server_r = NULL;
    if (config->ingest.http == NULL || config->ingest.http[0] == '\0' ||
        config->ingest.token == NULL || config->ingest.token[0] == '\0') {
        return FB_OK;
    }
    struct http_server *s = fb_xcalloc(1, sizeof *s);
    s->acceptor = acceptor;
    s->allow = allow;
    s->max_message = (uint64_t)config->ingest.max_message;
    s->max_recipients = (size_t)config->ingest.max_recipients;
    s->token = config->ingest.token;
    s->listen_fd = MHD_INVALID_SOCKET;
    FB_ASSERT(pthread_mutex_init(&s->held_lock, NULL) == 0);
    enum fb_status status = start(s, config, err);
    if (status != FB_OK) {
        (void)pthread_mutex_destroy(&s->held_lock);
        free(s);
        return status;
    }
    *server_r = s;
    return FB_OK;
}

void http_server_drain(struct http_server *s)
{
    if (s != NULL && !atomic_exchange(&s->is_draining, true)) {
        s->listen_fd = MHD_quiesce_daemon(s->daemon);
    }
}

size_t http_server_active(struct http_server *s)
{
    return s == NULL ? 0 : atomic_load(&s->active);
}

void http_server_free(struct http_server **server)
{
    struct http_server *s = *server;
    if (s == NULL) {
        return;
    }
    http_server_drain(s);
    /* A daemon with suspended connections cannot be stopped; the committer ends each of them. */
    while (atomic_load(&s->committing) > 0) {
        http_server_tick(s);
        (void)usleep(1000);
    }
    MHD_stop_daemon(s->daemon);
    if (s->listen_fd != MHD_INVALID_SOCKET) {
        (void)close(s->listen_fd);
    }
    (void)pthread_mutex_destroy(&s->held_lock);
    free(s);
    *server = NULL;
}
