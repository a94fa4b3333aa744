/* SPDX-License-Identifier: Apache-2.0 */
#include "common/exchange.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#define MAX_POLL_MS 60000

/* Waits until the socket is ready for events. */
static enum fb_status wait_for(int fd, short events, int64_t until_ms)
{
    for (;;) {
        int64_t left = until_ms - fb_mono_ms();
        struct pollfd p = {.fd = fd, .events = events};
        if (left <= 0) {
            return FB_CRASHED;
        }
        int n = poll(&p, 1, left < MAX_POLL_MS ? (int)left : MAX_POLL_MS);
        if (n > 0) {
            return FB_OK;
        }
        if (n < 0 && errno != EINTR) {
            return FB_NETWORK;
        }
    }
}

static bool is_not_yet(ssize_t n)
{
    return n < 0 && (errno == EAGAIN || errno == EINTR);
}

enum fb_status fb_exchange_send(int fd, const void *ptr, size_t len, int64_t until_ms)
{
    const uint8_t *at = ptr;
    while (len > 0) {
        enum fb_status s = wait_for(fd, POLLOUT, until_ms);
        if (s != FB_OK) {
            return s;
        }
        ssize_t n = send(fd, at, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n <= 0 && !is_not_yet(n)) {
            return FB_NETWORK;
        }
        at += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return FB_OK;
}

enum fb_status fb_exchange_receive(int fd, void *ptr, size_t len, int64_t until_ms)
{
    uint8_t *at = ptr;
    while (len > 0) {
        enum fb_status s = wait_for(fd, POLLIN, until_ms);
        if (s != FB_OK) {
            return s;
        }
        ssize_t n = recv(fd, at, len, MSG_DONTWAIT);
        if (n <= 0 && !is_not_yet(n)) {
            return FB_NETWORK;
        }
        at += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return FB_OK;
}
