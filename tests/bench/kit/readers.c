/* SPDX-License-Identifier: Apache-2.0
 *
 * readers PORT COUNT PATH [COOKIE]: so many clients at once fetch the same file from 127.0.0.1, each once, and throw it
 * away where the kernel has it (MSG_TRUNC), so that what is measured is the server.  Prints bytes and seconds.  Ends
 * with 1 when an answer is no 200 or is cut. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_CLIENTS 4096
#define WAIT_MS     60000

struct client {
    int fd;
    char head[8192];
    size_t head_len;
    int64_t left; /* of the body; -1: the head is not whole */
};

static struct client clients[MAX_CLIENTS];
static uint64_t total;

static void fail(const char *what)
{
    fprintf(stderr, "readers: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The head byte by byte is too slow, so what is read behind it counts as body. */
static void read_head(struct client *c)
{
    ssize_t n = recv(c->fd, c->head + c->head_len, sizeof c->head - 1 - c->head_len, MSG_DONTWAIT);
    if (n <= 0) {
        if (n < 0 && errno == EAGAIN) {
            return;
        }
        fail("an answer ended early");
    }
    c->head_len += (size_t)n;
    c->head[c->head_len] = '\0';
    char *end = strstr(c->head, "\r\n\r\n");
    if (end == NULL) {
        return;
    }
    const char *length = strcasestr(c->head, "\r\nContent-Length:");
    if (strncmp(c->head, "HTTP/1.1 200", 12) != 0 || length == NULL || length > end) {
        c->head[c->head_len < 200 ? c->head_len : 200] = '\0';
        fprintf(stderr, "%s\n", c->head);
        fail("not such an answer");
    }
    size_t body = c->head_len - (size_t)(end + 4 - c->head);
    c->left = strtoll(length + 17, NULL, 10) - (int64_t)body;
    total += body;
}

/* False: all is there. */
static int read_some(struct client *c)
{
    if (c->left < 0) {
        read_head(c);
        return c->left != 0;
    }
    size_t want = c->left < (1 << 20) ? (size_t)c->left : 1 << 20;
    ssize_t n = recv(c->fd, NULL, want, MSG_TRUNC | MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) {
        return 1;
    }
    if (n <= 0) {
        fail("an answer was cut");
    }
    c->left -= n;
    total += (uint64_t)n;
    return c->left > 0;
}

/* Each is somebody else to the portal, which counts what a client asks for. */
static void begin(struct client *c, int epoll, uint16_t port, const char *head)
{
    char request[8192];
    unsigned n = (unsigned)(c - clients);
    snprintf(request, sizeof request, "%sX-Forwarded-For: 10.0.%u.%u\r\n\r\n", head, n / 250,
             n % 250 + 1);
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    size_t len = strlen(request);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    c->left = -1;
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to) != 0 ||
        send(c->fd, request, len, 0) != (ssize_t)len ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event) != 0) {
        fail("connect");
    }
}

int main(int argc, char **argv)
{
    char request[4096];
    struct epoll_event events[256];
    int count = argc >= 4 ? (int)strtol(argv[2], NULL, 10) : 0;
    int epoll = epoll_create1(0);
    if (count < 1 || count > MAX_CLIENTS || epoll < 0) {
        fprintf(stderr, "usage: readers PORT COUNT PATH [COOKIE]\n");
        return 2;
    }
    snprintf(request, sizeof request,
             "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n%s%s%s", argv[3],
             argc > 4 ? "Cookie: " : "", argc > 4 ? argv[4] : "", argc > 4 ? "\r\n" : "");
    double begun = now();
    for (int i = 0; i < count; i++) {
        begin(&clients[i], epoll, (uint16_t)strtol(argv[1], NULL, 10), request);
    }
    for (int left = count; left > 0;) {
        int n = epoll_wait(epoll, events, 256, WAIT_MS);
        if (n <= 0) {
            fail("nothing comes");
        }
        for (int i = 0; i < n; i++) {
            struct client *c = events[i].data.ptr;
            if (!read_some(c)) {
                close(c->fd);
                left--;
            }
        }
    }
    printf("%llu %.6f\n", (unsigned long long)total, now() - begun);
    return 0;
}
