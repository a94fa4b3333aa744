/* SPDX-License-Identifier: Apache-2.0 */
#include "smtp_peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_MS 60000 /* the test's own time-out, never the one that is tested */

struct connection {
    struct smtp_peer *peer;
    int fd;
    struct fb_buf in;
    size_t at;
};

static void fail(struct smtp_peer *p, const char *what, const char *text)
{
    if (p->failure[0] == '\0') {
        (void)snprintf(p->failure, sizeof p->failure, "connection %d: %s \"%.200s\"",
                       p->connections, what, text);
    }
}

static bool more(struct connection *c)
{
    uint8_t chunk[65536];
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    if (poll(&p, 1, PATIENCE_MS) <= 0) {
        return false;
    }
    ssize_t n = recv(c->fd, chunk, sizeof chunk, 0);
    if (n <= 0) {
        return false;
    }
    FB_ASSERT(fb_buf_add(&c->in, chunk, (size_t)n) == FB_OK);
    FB_ASSERT(fb_buf_add(&c->peer->seen, chunk, (size_t)n) == FB_OK);
    return true;
}

static void say(struct connection *c, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        const char *out = text[i] == '~' ? "\r\n" : &text[i];
        if (send(c->fd, out, text[i] == '~' ? 2 : 1, MSG_NOSIGNAL) < 0) {
            return; /* the client may have gone: the test asks it */
        }
    }
}

static void expect_line(struct connection *c, const char *text, size_t len)
{
    for (;;) {
        struct fb_slice have = fb_slice_sub(fb_slice_buf(&c->in), c->at, SIZE_MAX);
        size_t end = fb_slice_find(have, FB_SLICE_LITERAL("\r\n"));
        if (end != SIZE_MAX) {
            if (end < len || memcmp(have.ptr, text, len) != 0) {
                char line[200];
                (void)snprintf(line, sizeof line, "%.*s", (int)(end < 150 ? end : 150),
                               (const char *)have.ptr);
                fail(c->peer, text, line);
            }
            c->at += end + 2;
            return;
        }
        if (!more(c)) {
            fail(c->peer, "no line, wanted", text);
            return;
        }
    }
}

static void expect_content(struct connection *c)
{
    for (;;) {
        struct fb_slice have = fb_slice_sub(fb_slice_buf(&c->in), c->at, SIZE_MAX);
        size_t end = fb_slice_find(have, FB_SLICE_LITERAL("\r\n.\r\n"));
        if (have.len >= 3 && memcmp(have.ptr, ".\r\n", 3) == 0) {
            c->at += 3;
            return;
        }
        if (end != SIZE_MAX) {
            c->at += end + 5;
            return;
        }
        if (!more(c)) {
            fail(c->peer, "no end of the content", "");
            return;
        }
    }
}

static void step(struct connection *c, const char *text, size_t len)
{
    switch (text[0]) {
    case '>':
        say(c, text + 1, len - 1);
        say(c, "~", 1);
        break;
    case '=':
        say(c, text + 1, len - 1);
        break;
    case '<': {
        char want[200] = "";
        memcpy(want, text + 1, len - 1 < sizeof want - 1 ? len - 1 : sizeof want - 1);
        expect_line(c, want, strlen(want));
        break;
    }
    case '*':
        expect_content(c);
        break;
    case '?':
        (void)poll(NULL, 0, (int)strtol(text + 1, NULL, 10));
        break;
    case '!': {
        const struct linger reset = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        break;
    }
    case '.':
        while (more(c)) {
        }
        break;
    default:
        fail(c->peer, "no step of a script", text);
    }
}

static void *serve(void *arg)
{
    struct smtp_peer *p = arg;
    for (int i = 0; p->scripts[i] != NULL; i++) {
        struct connection c = {.peer = p};
        struct pollfd wait = {.fd = p->listener, .events = POLLIN};
        if (poll(&wait, 1, PATIENCE_MS) <= 0 || (c.fd = accept(p->listener, NULL, NULL)) < 0) {
            fail(p, "nobody connects", "");
            break;
        }
        p->connections++;
        fb_buf_init(&c.in, 64U << 20);
        for (const char *at = p->scripts[i]; *at != '\0';) {
            size_t len = strcspn(at, "|");
            step(&c, at, len);
            at += len + (at[len] == '|');
        }
        (void)close(c.fd);
        fb_buf_deinit(&c.in);
    }
    return NULL;
}

void smtp_peer_start(struct smtp_peer *p, const char *const *scripts)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    *p = (struct smtp_peer){.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    for (int i = 0; i < PEER_CONNECTIONS && scripts[i] != NULL; i++) {
        p->scripts[i] = scripts[i];
    }
    fb_buf_init(&p->seen, 256U << 20);
    FB_ASSERT(p->listener >= 0 && bind(p->listener, (struct sockaddr *)&a, sizeof a) == 0);
    FB_ASSERT(listen(p->listener, 8) == 0 &&
              getsockname(p->listener, (struct sockaddr *)&a, &len) == 0);
    p->port = ntohs(a.sin_port);
    FB_ASSERT(pthread_create(&p->thread, NULL, serve, p) == 0);
}

void smtp_peer_stop(struct smtp_peer *p)
{
    (void)pthread_join(p->thread, NULL);
    (void)close(p->listener);
    fb_buf_deinit(&p->seen);
}
