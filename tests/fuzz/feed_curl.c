/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/feed_curl.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_REQUEST (256U << 10)

CURLcode __real_curl_easy_perform(CURL *curl);

static struct fb_slice left;
static bool has_left;
static unsigned requests;
static int far_end = -1;
static int near_end = -1;
static uint8_t request[MAX_REQUEST];
static size_t request_len;
static void (*watcher)(struct fb_slice bytes);

void feed_curl_set(struct fb_slice replies)
{
    left = replies;
    has_left = true;
    requests = 0;
}

unsigned feed_curl_requests(void)
{
    return requests;
}

void feed_curl_watch(void (*look)(struct fb_slice bytes))
{
    watcher = look;
}

static bool next_reply(struct fb_slice *reply_r)
{
    if (!has_left) {
        return false;
    }
    const uint8_t *end = left.len > 0 ? memchr(left.ptr, 0x1e, left.len) : NULL;
    size_t n = end != NULL ? (size_t)(end - left.ptr) : left.len;
    *reply_r = fb_slice_sub(left, 0, n);
    has_left = end != NULL;
    left = fb_slice_sub(left, n + 1, SIZE_MAX);
    return true;
}

static void send_all(int fd, struct fb_slice bytes)
{
    while (bytes.len > 0) {
        ssize_t n = send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n <= 0) {
            return; /* what does not fit into the socket is a body that is cut off */
        }
        bytes = fb_slice_sub(bytes, (size_t)n, SIZE_MAX);
    }
}

/* "404+Retry-After: 5\n\n{...}" and "404{...}" */
static void send_short(int fd, struct fb_slice reply)
{
    char head[128];
    struct fb_slice body = fb_slice_sub(reply, 3, SIZE_MAX);
    (void)snprintf(head, sizeof head, "HTTP/1.1 %.3s x\r\n", (const char *)reply.ptr);
    send_all(fd, fb_slice_str(head));
    if (body.len > 0 && body.ptr[0] == '+') {
        body = fb_slice_sub(body, 1, SIZE_MAX);
        size_t end = fb_slice_find(body, FB_SLICE_LITERAL("\n\n"));
        if (end != SIZE_MAX) {
            send_all(fd, fb_slice_sub(body, 0, end + 1));
            body = fb_slice_sub(body, end + 2, SIZE_MAX);
        }
    }
    (void)snprintf(head, sizeof head, "Content-Length: %zu\r\n\r\n", body.len);
    send_all(fd, fb_slice_str(head));
    send_all(fd, body);
}

static curl_socket_t open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *address)
{
    int pair[2];
    struct fb_slice reply;
    (void)ctx;
    (void)purpose;
    (void)address;
    if (far_end >= 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        return CURL_SOCKET_BAD;
    }
    near_end = pair[0];
    far_end = pair[1];
    if (next_reply(&reply)) {
        bool is_short = reply.len >= 3 && isdigit(reply.ptr[0]) && isdigit(reply.ptr[1]) &&
                        isdigit(reply.ptr[2]);
        (is_short ? send_short : send_all)(far_end, reply);
    }
    (void)shutdown(far_end, SHUT_WR);
    return pair[0];
}

/* libcurl 7.88 connects also where CURL_SOCKOPT_ALREADY_CONNECTED was said.  Every other socket stays
 * where it is: nothing in this program has anybody to talk to. */
int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t len)
{
    (void)address;
    (void)len;
    if (fd == near_end) {
        return 0;
    }
    errno = ENETUNREACH;
    return -1;
}

static int is_connected(void *ctx, curl_socket_t fd, curlsocktype purpose)
{
    (void)ctx;
    (void)fd;
    (void)purpose;
    return CURL_SOCKOPT_ALREADY_CONNECTED;
}

/* Reads what was sent, so that a long body finds room; of a request that is too long the rest is
 * lost. */
static void take_request(void)
{
    static uint8_t rest[65536];
    ssize_t n = 0;
    do {
        size_t room = sizeof request - request_len;
        n = recv(far_end, room > 0 ? request + request_len : rest, room > 0 ? room : sizeof rest,
                 MSG_DONTWAIT);
        request_len += n > 0 && room > 0 ? (size_t)n : 0;
    } while (n > 0);
}

static int note_progress(void *ctx, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                         curl_off_t up)
{
    (void)ctx;
    (void)down_total;
    (void)down;
    (void)up_total;
    (void)up;
    if (far_end >= 0) {
        take_request();
    }
    return 0;
}

CURLcode __wrap_curl_easy_perform(CURL *curl)
{
    /* Names are not looked up, and a connection is never used twice. */
    struct curl_slist *to = curl_slist_append(NULL, "::127.0.0.1:1");
    FB_ASSERT(to != NULL && curl_easy_setopt(curl, CURLOPT_CONNECT_TO, to) == CURLE_OK);
    FB_ASSERT(curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, open_socket) == CURLE_OK);
    FB_ASSERT(curl_easy_setopt(curl, CURLOPT_SOCKOPTFUNCTION, is_connected) == CURLE_OK);
    FB_ASSERT(curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, 1L) == CURLE_OK);
    FB_ASSERT(curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, 1L) == CURLE_OK);
    FB_ASSERT(curl_easy_setopt(curl, CURLOPT_NOPROXY, "*") == CURLE_OK);
    FB_ASSERT(curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L) == CURLE_OK);
    FB_ASSERT(curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, note_progress) == CURLE_OK);
    requests++;
    request_len = 0;
    CURLcode rc = __real_curl_easy_perform(curl);
    if (far_end >= 0) {
        take_request();
        if (watcher != NULL && request_len > 0) {
            watcher(fb_slice_of(request, request_len));
        }
        (void)close(far_end);
        far_end = -1;
    }
    (void)curl_easy_setopt(curl, CURLOPT_CONNECT_TO, NULL);
    curl_slist_free_all(to);
    return rc;
}

void feed_curl_check_head(struct fb_slice bytes, const char *const *allowed)
{
    size_t end = fb_slice_find(bytes, FB_SLICE_LITERAL("\r\n\r\n"));
    if (end == SIZE_MAX || bytes.ptr[0] < 'A' || bytes.ptr[0] > 'Z') {
        return; /* TLS, or cut */
    }
    struct fb_slice head = fb_slice_sub(bytes, 0, end + 2);
    for (bool is_first = true; head.len > 0; is_first = false) {
        size_t n = fb_slice_find(head, FB_SLICE_LITERAL("\r\n"));
        struct fb_slice line = fb_slice_sub(head, 0, n);
        FB_ASSERT(line.len > 0 && memchr(line.ptr, '\n', line.len) == NULL &&
                  memchr(line.ptr, '\r', line.len) == NULL);
        bool is_known = is_first && fb_slice_find(line, FB_SLICE_LITERAL(" HTTP/1.1")) != SIZE_MAX;
        for (size_t i = 0; !is_first && allowed[i] != NULL; i++) {
            is_known = is_known || fb_slice_istarts(line, allowed[i]);
        }
        FB_ASSERT(is_known);
        head = fb_slice_sub(head, n + 2, SIZE_MAX);
    }
}
