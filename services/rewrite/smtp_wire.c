/* SPDX-License-Identifier: Apache-2.0 */
#include "services/rewrite/smtp_wire.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_LINE        2048 /* RFC 5321 says 512; enhanced texts of real relays are longer */
#define MAX_REPLY_LINES 200

void smtp_wire_init(struct smtp_wire *w)
{
    *w = (struct smtp_wire){.fd = -1};
    fb_buf_init(&w->in, 65536);
}

void smtp_wire_close(struct smtp_wire *w)
{
    if (w->fd >= 0) {
        (void)close(w->fd);
    }
    w->fd = -1;
    w->in_at = 0;
    fb_buf_deinit(&w->in);
}

static enum fb_status wait_for(int fd, short events, int64_t deadline, struct fb_error *err)
{
    for (;;) {
        int64_t left = deadline - fb_mono_ms();
        if (left <= 0) {
            return fb_error_set(err, FB_NETWORK, "the relay does not answer in time");
        }
        struct pollfd p = {.fd = fd, .events = events};
        int n = poll(&p, 1, (int)left);
        if (n > 0) {
            return FB_OK;
        }
        if (n < 0 && errno != EINTR) {
            return fb_error_errno(err, FB_NETWORK, errno, "poll");
        }
    }
}

static enum fb_status try_address(const struct addrinfo *a, int64_t deadline, int *fd_r,
                                  struct fb_error *err)
{
    int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol);
    if (fd < 0) {
        return fb_error_errno(err, FB_NETWORK, errno, "socket");
    }
    enum fb_status s = FB_OK;
    if (connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
        int problem = errno;
        if (problem == EINPROGRESS) {
            s = wait_for(fd, POLLOUT, deadline, err);
            socklen_t len = sizeof problem;
            problem = 0;
            if (s == FB_OK && getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &len) != 0) {
                problem = errno;
            }
        }
        if (s == FB_OK && problem != 0) {
            s = fb_error_errno(err, FB_NETWORK, problem, "connect");
        }
    }
    if (s != FB_OK) {
        (void)close(fd);
        return s;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    *fd_r = fd;
    return FB_OK;
}

enum fb_status smtp_wire_connect(struct smtp_wire *w, const char *host, uint16_t port,
                                 int timeout_ms, struct fb_error *err)
{
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    char service[8];
    (void)snprintf(service, sizeof service, "%u", port);
    int rc = getaddrinfo(host, service, &hints, &list);
    if (rc != 0) {
        return fb_error_set(err, FB_NETWORK, "relay %s: %s", host, gai_strerror(rc));
    }
    int64_t deadline = fb_mono_ms() + timeout_ms;
    enum fb_status s = FB_NETWORK;
    for (const struct addrinfo *a = list; a != NULL && s != FB_OK; a = a->ai_next) {
        s = try_address(a, deadline, &w->fd, err);
    }
    freeaddrinfo(list);
    if (s != FB_OK) {
        (void)fb_error_prefix(err, "relay %s port %u", host, port);
    }
    fb_buf_clear(&w->in);
    w->in_at = 0;
    return s;
}

enum fb_status smtp_wire_send(struct smtp_wire *w, struct fb_slice bytes, int timeout_ms,
                              struct fb_error *err)
{
    int64_t deadline = fb_mono_ms() + timeout_ms;
    while (bytes.len > 0) {
        ssize_t n = send(w->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            bytes = fb_slice_sub(bytes, (size_t)n, SIZE_MAX);
        } else if (n < 0 && errno == EAGAIN) {
            if (wait_for(w->fd, POLLOUT, deadline, err) != FB_OK) {
                return FB_NETWORK;
            }
        } else if (n < 0 && errno != EINTR) {
            return fb_error_errno(err, FB_NETWORK, errno, "send to the relay");
        }
    }
    return FB_OK;
}

/* The next line without its line end; lent until the next call. */
static enum fb_status read_line(struct smtp_wire *w, int64_t deadline, struct fb_slice *line_r,
                                struct fb_error *err)
{
    for (;;) {
        struct fb_slice have = fb_slice_sub(fb_slice_buf(&w->in), w->in_at, SIZE_MAX);
        const uint8_t *lf = have.len > 0 ? memchr(have.ptr, '\n', have.len) : NULL;
        if (lf != NULL) {
            *line_r = fb_slice_trim(fb_slice_sub(have, 0, (size_t)(lf - have.ptr)));
            w->in_at += (size_t)(lf - have.ptr) + 1;
            return FB_OK;
        }
        if (have.len > MAX_LINE) {
            return fb_error_set(err, FB_NETWORK,
                                "the relay's reply has a line of more than %d bytes", MAX_LINE);
        }
        fb_buf_consume(&w->in, w->in_at);
        w->in_at = 0;
        if (wait_for(w->fd, POLLIN, deadline, err) != FB_OK) {
            return FB_NETWORK;
        }
        uint8_t chunk[4096];
        ssize_t n = recv(w->fd, chunk, sizeof chunk, MSG_DONTWAIT);
        if (n == 0) {
            return fb_error_set(err, FB_NETWORK, "the relay closed the connection");
        }
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            return fb_error_errno(err, FB_NETWORK, errno, "receive from the relay");
        }
        if (n > 0 && fb_buf_add(&w->in, chunk, (size_t)n) != FB_OK) {
            return fb_error_set(err, FB_NETWORK, "the relay sends more than it was asked");
        }
    }
}

/* "5.7.1 text": takes the enhanced code off (RFC 2034). */
static void split_enhanced(struct smtp_reply *r)
{
    int dots = 0;
    size_t n = 0;
    while ((isdigit((unsigned char)r->text[n]) || r->text[n] == '.') && n < sizeof r->enhanced) {
        dots += r->text[n++] == '.';
    }
    r->enhanced[0] = '\0';
    if (dots == 2 && n >= 5 && n < sizeof r->enhanced &&
        (r->text[n] == ' ' || r->text[n] == '\0') && strchr("245", r->text[0]) != NULL) {
        memcpy(r->enhanced, r->text, n);
        r->enhanced[n] = '\0';
    }
}

enum fb_status smtp_wire_reply(struct smtp_wire *w, int timeout_ms, struct smtp_reply *reply_r,
                               void (*line)(void *ctx, struct fb_slice text), void *ctx,
                               struct fb_error *err)
{
    int64_t deadline = fb_mono_ms() + timeout_ms;
    for (int lines = 0; lines < MAX_REPLY_LINES; lines++) {
        struct fb_slice l = {0};
        enum fb_status s = read_line(w, deadline, &l, err);
        if (s != FB_OK) {
            return s;
        }
        if (l.len < 3 || !isdigit(l.ptr[0]) || !isdigit(l.ptr[1]) || !isdigit(l.ptr[2]) ||
            l.ptr[0] < '2' || l.ptr[0] > '5' || (l.len > 3 && l.ptr[3] != ' ' && l.ptr[3] != '-')) {
            return fb_error_set(err, FB_NETWORK, "the relay's reply is no SMTP reply");
        }
        struct fb_slice text = fb_slice_sub(l, 4, SIZE_MAX);
        if (l.len > 3 && l.ptr[3] == '-') {
            if (line != NULL) {
                line(ctx, text);
            }
            continue;
        }
        if (line != NULL) {
            line(ctx, text);
        }
        reply_r->code = (l.ptr[0] - '0') * 100 + (l.ptr[1] - '0') * 10 + (l.ptr[2] - '0');
        size_t n = text.len < sizeof reply_r->text - 1 ? text.len : sizeof reply_r->text - 1;
        for (size_t i = 0; i < n; i++) {
            reply_r->text[i] = text.ptr[i] < 0x20 || text.ptr[i] == 0x7f ? '?' : (char)text.ptr[i];
        }
        reply_r->text[n] = '\0';
        split_enhanced(reply_r);
        return FB_OK;
    }
    return fb_error_set(err, FB_NETWORK, "the relay's reply has more than %d lines",
                        MAX_REPLY_LINES);
}

bool smtp_wire_is_idle(const struct smtp_wire *w)
{
    struct pollfd p = {.fd = w->fd, .events = POLLIN};
    return w->fd >= 0 && w->in_at == w->in.len && poll(&p, 1, 0) == 0;
}
