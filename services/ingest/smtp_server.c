/* SPDX-License-Identifier: Apache-2.0
 *
 * Listeners, limits of connections, the loop, and its end. */
#include "smtp_server.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/log.h"
#include "common/metrics.h"
#include "smtp_conn.h"

#define BACKLOG        1024
#define MAX_LISTENERS  8
#define ACCEPT_BATCH   64
#define TICK_MS        1000
#define DRAIN_TICK_MS  50
#define LISTEN_ON_MS   500   /* after SIGTERM: load balancers learn of it at about this time */
#define DRAIN_MS       20000 /* then open transactions are cut, too: Kubernetes kills after 30 s */
#define TLS_REFRESH_MS 60000

struct listener {
    struct smtp_server *server;
    evutil_socket_t fd;
    struct event *watch;
    bool is_lmtp;
};

struct smtp_server {
    struct smtp_shared shared;
    const struct fb_netlist *allow;
    struct tls *tls;
    char hostname[256];
    size_t max_connections, max_per_client;
    struct listener listeners[MAX_LISTENERS];
    size_t listener_count;
    bool is_resting; /* out of file descriptors: listeners sleep until the next tick */
    struct event *tick, *stop, *done;
    int64_t stop_ms; /* when SIGTERM came; 0 = not yet */
    int64_t tls_next_ms;
};

/* ---- accepting ---- */

/* A peer that may not have a session is told so where its socket takes it; nothing waits for it. */
static void turn_away(struct smtp_server *s, int fd, int code, const char *enhanced,
                      const char *text)
{
    char reply[512];
    int n = smtp_refuse_connection(reply, sizeof reply, code, enhanced, s->hostname, text);
    if (n > 0) {
        (void)!send(fd, reply, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    (void)shutdown(fd, SHUT_WR);
    (void)close(fd);
    char labels[64];
    (void)snprintf(labels, sizeof labels, "code=\"%d\"", code);
    fb_metric_add("fumibako_connections_refused_total", labels, 1);
}

static void admit(struct smtp_server *s, const struct listener *l, int fd,
                  const struct sockaddr *sa)
{
    struct fb_net_address address;
    if (!fb_net_address_of(sa, &address) || !fb_netlist_has(s->allow, &address)) {
        turn_away(s, fd, 554, "5.7.1", "your network may not connect");
    } else if (s->shared.conn_count >= s->max_connections) {
        turn_away(s, fd, 421, "4.3.2", "too many connections");
    } else if (client_count_get(s->shared.clients, &address) >= s->max_per_client) {
        turn_away(s, fd, 421, "4.7.0", "too many connections from your address");
    } else {
        smtp_conn_open(&s->shared, fd, &address, l->is_lmtp);
    }
}

static void rest(struct smtp_server *s, int error)
{
    if (!s->is_resting) {
        s->is_resting = true;
        fb_log(FB_ERROR, "cannot accept connections: %s", strerror(error));
        for (size_t i = 0; i < s->listener_count; i++) {
            (void)event_del(s->listeners[i].watch);
        }
    }
}

static void on_connection(evutil_socket_t fd, short what, void *arg)
{
    struct listener *l = arg;
    struct smtp_server *s = l->server;
    (void)what;
    s->shared.now_ms = fb_mono_ms();
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        struct sockaddr_storage ss;
        socklen_t len = sizeof ss;
        int peer = accept4(fd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (peer >= 0) {
            admit(s, l, peer, (struct sockaddr *)&ss);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            rest(s, errno);
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return; /* EAGAIN: all taken */
        }
    }
}

static enum fb_status listen_on(struct smtp_server *s, const struct addrinfo *ai, bool is_lmtp)
{
    int on = 1, fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return FB_IO;
    }
    struct listener *l = &s->listeners[s->listener_count];
    bool is_good = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                   /* inherited by what is accepted: one call instead of one per connection */
                   setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0 &&
                   setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) == 0 &&
                   (ai->ai_family != AF_INET6 ||
                    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0) &&
                   bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0;
    if (is_good) {
        *l = (struct listener){s, fd, NULL, is_lmtp};
        l->watch = event_new(s->shared.base, fd, EV_READ | EV_PERSIST, on_connection, l);
        is_good = l->watch != NULL && event_add(l->watch, NULL) == 0;
    }
    if (!is_good) {
        int saved = errno;
        if (l->watch != NULL) {
            event_free(l->watch);
            l->watch = NULL;
        }
        (void)close(fd);
        errno = saved;
        return FB_IO;
    }
    s->listener_count++;
    return FB_OK;
}

/* A name may have several addresses ("localhost"): all that work are listened on, one must. */
static enum fb_status listen_at(struct smtp_server *s, const char *key, const char *where,
                                bool is_lmtp, struct fb_error *err)
{
    char hostname[256], port_text[8];
    uint16_t port;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    if (where == NULL || where[0] == '\0') {
        return FB_OK;
    }
    if (!fb_host_port(where, hostname, sizeof hostname, &port)) {
        return fb_error_set(err, FB_CONFIG, "%s: \"%s\" is not host:port", key, where);
    }
    (void)snprintf(port_text, sizeof port_text, "%u", port);
    int e = getaddrinfo(hostname[0] == '\0' ? NULL : hostname, port_text, &hints, &found);
    if (e != 0) {
        return fb_error_set(err, FB_CONFIG, "%s: %s: %s", key, where, gai_strerror(e));
    }
    size_t before = s->listener_count;
    int error = 0;
    for (struct addrinfo *ai = found; ai != NULL && s->listener_count < MAX_LISTENERS;
         ai = ai->ai_next) {
        if (listen_on(s, ai, is_lmtp) != FB_OK) {
            error = errno;
        }
    }
    freeaddrinfo(found);
    return s->listener_count > before
               ? FB_OK
               : fb_error_errno(err, FB_CONFIG, error, "%s: listen on %s", key, where);
}

static void stop_listening(struct smtp_server *s)
{
    for (size_t i = 0; i < s->listener_count; i++) {
        event_free(s->listeners[i].watch);
        (void)close(s->listeners[i].fd);
    }
    s->listener_count = 0;
}

/* ---- time, and the end ---- */

static bool is_drained(const struct smtp_server *s)
{
    return s->shared.is_draining && s->shared.conn_count == 0;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct smtp_server *s = arg;
    (void)fd;
    (void)what;
    int64_t now = s->shared.now_ms = fb_mono_ms();
    fb_health_beat(); /* the loop turns: that, and nothing of Redis, is what liveness means here */
    fb_metric_set("fumibako_sessions", NULL, (double)s->shared.conn_count);
    if (s->is_resting) {
        s->is_resting = false;
        for (size_t i = 0; i < s->listener_count; i++) {
            (void)event_add(s->listeners[i].watch, NULL);
        }
    }
    if (s->tls != NULL && now >= s->tls_next_ms) {
        s->tls_next_ms = now + TLS_REFRESH_MS;
        tls_refresh(s->tls);
    }
    if (s->stop_ms != 0 && !s->shared.is_draining && now - s->stop_ms >= LISTEN_ON_MS) {
        stop_listening(s);
        s->shared.is_draining = true;
    }
    smtp_conn_look_after(&s->shared, s->stop_ms != 0 && now - s->stop_ms >= DRAIN_MS);
    if (is_drained(s)) {
        (void)event_base_loopbreak(s->shared.base);
    }
}

static void on_stop(evutil_socket_t fd, short what, void *arg)
{
    struct smtp_server *s = arg;
    struct timeval often = {0, DRAIN_TICK_MS * 1000};
    (void)fd;
    (void)what;
    (void)event_del(s->stop);
    s->stop_ms = fb_mono_ms();
    fb_ready_set(false, "stopping");
    fb_log(FB_INFO, "stopping: %zu sessions are open", s->shared.conn_count);
    if (event_add(s->tick, &often) != 0) {
        (void)event_base_loopbreak(s->shared.base);
    }
}

static void on_hold(evutil_socket_t fd, short what, void *arg)
{
    struct smtp_server *s = arg;
    (void)fd;
    (void)what;
    smtp_conn_release(&s->shared);
}

static void on_done(evutil_socket_t fd, short what, void *arg)
{
    struct smtp_server *s = arg;
    uint64_t count;
    (void)what;
    (void)!read(fd, &count, sizeof count);
    smtp_conn_answer_done(&s->shared);
}

/* ---- life ---- */

/* Each session needs a descriptor; the rest is for the spool, Redis, HTTP and metrics. */
static void raise_descriptors(size_t sessions)
{
    struct rlimit limit;
    rlim_t want = (rlim_t)sessions + 256;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < want) {
        limit.rlim_cur = limit.rlim_max < want ? limit.rlim_max : want;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < want) {
            fb_log(FB_WARN, "ingest.max_connections needs %llu file descriptors, the limit is %llu",
                   (unsigned long long)want, (unsigned long long)limit.rlim_cur);
        }
    }
}

static void fill_settings(struct smtp_server *s, const struct fb_config *config)
{
    if (gethostname(s->hostname, sizeof s->hostname - 1) != 0 || s->hostname[0] == '\0') {
        (void)snprintf(s->hostname, sizeof s->hostname, "localhost");
    }
    for (int i = 0; i < 2; i++) {
        s->shared.settings[i] = (struct smtp_settings){
            .hostname = s->hostname,
            .is_lmtp = i == 1,
            .has_tls = s->tls != NULL,
            .max_message = (uint64_t)config->ingest.max_message,
            .max_recipients = (uint32_t)config->ingest.max_recipients,
        };
    }
    s->max_connections = (size_t)config->ingest.max_connections;
    s->max_per_client = (size_t)config->ingest.max_connections_per_client;
    s->shared.command_timeout_ms = config->ingest.command_timeout_ms;
}

/* Descriptors, events and sockets, in the order of need. */
static enum fb_status set_up(struct smtp_server *s, const struct fb_config *config,
                             struct fb_error *err)
{
    struct smtp_shared *sh = &s->shared;
    sh->done_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    sh->base = event_base_new();
    sh->read_buffer = fb_xcalloc(1, TRANSPORT_READ);
    sh->clients = client_count_new();
    if (sh->base == NULL || sh->done_fd < 0) {
        return fb_error_set(err, FB_IO, "make the event loop");
    }
    s->tick = event_new(sh->base, -1, EV_PERSIST, on_tick, s);
    s->done = event_new(sh->base, sh->done_fd, EV_READ | EV_PERSIST, on_done, s);
    sh->hold = evtimer_new(sh->base, on_hold, s);
    struct timeval second = {TICK_MS / 1000, 0};
    if (s->tick == NULL || s->done == NULL || sh->hold == NULL ||
        event_add(s->tick, &second) != 0 || event_add(s->done, NULL) != 0) {
        return fb_error_set(err, FB_IO, "make the event loop");
    }
    enum fb_status status = listen_at(s, "ingest.smtp", config->ingest.smtp, false, err);
    return status == FB_OK ? listen_at(s, "ingest.lmtp", config->ingest.lmtp, true, err) : status;
}

enum fb_status smtp_server_new(const struct fb_config *config, struct acceptor *acceptor,
                               struct tls *tls, const struct fb_netlist *allow,
                               const struct fb_netlist *xforward, struct smtp_server **server_r,
                               struct fb_error *err)
{
    struct smtp_server *s = fb_xcalloc(1, sizeof *s);
    s->allow = allow;
    s->tls = tls;
    s->shared.acceptor = acceptor;
    s->shared.tls = tls;
    s->shared.xforward = xforward;
    s->shared.now_ms = fb_mono_ms();
    FB_ASSERT(pthread_mutex_init(&s->shared.done_lock, NULL) == 0);
    fill_settings(s, config);
    raise_descriptors(s->max_connections);
    enum fb_status status = set_up(s, config, err);
    if (status != FB_OK) {
        smtp_server_free(&s);
        return status;
    }
    acceptor_on_batch(acceptor, smtp_conn_wake, &s->shared);
    *server_r = s;
    return FB_OK;
}

enum fb_status smtp_server_run(struct smtp_server *s, int stop_fd, struct fb_error *err)
{
    s->stop = event_new(s->shared.base, stop_fd, EV_READ | EV_PERSIST, on_stop, s);
    if (s->stop == NULL || event_add(s->stop, NULL) != 0 ||
        event_base_dispatch(s->shared.base) < 0) {
        return fb_error_set(err, FB_IO, "run the event loop");
    }
    return FB_OK;
}

void smtp_server_free(struct smtp_server **server)
{
    struct smtp_server *s = *server;
    if (s == NULL) {
        return;
    }
    stop_listening(s);
    smtp_conn_close_all(&s->shared);
    struct event *events[] = {s->tick, s->done, s->stop, s->shared.hold};
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        if (events[i] != NULL) {
            event_free(events[i]);
        }
    }
    if (s->shared.base != NULL) {
        event_base_free(s->shared.base);
    }
    if (s->shared.done_fd >= 0) {
        (void)close(s->shared.done_fd);
    }
    client_count_free(&s->shared.clients);
    free(s->shared.read_buffer);
    (void)pthread_mutex_destroy(&s->shared.done_lock);
    free(s);
    *server = NULL;
}
