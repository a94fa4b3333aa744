/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP server's bodies: small ones for everybody, large ones where the head allows it, few at the same time, and at
 * a pace. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/http_server.h"
#include "tests/support/free_port.h"

#define SMALL      1024U
#define LARGE      (256U << 10)
#define REQUEST_MS 3000

static struct fb_http_server *server;
static uint16_t port;

static size_t limit(void *ctx, const struct fb_http_request *head)
{
    (void)ctx;
    return strcmp(head->path, "/large") == 0 && fb_http_query(head, "t") != NULL ? LARGE : SMALL;
}

/* 200 with the length of the body, 413, 503. */
static void handle(void *ctx, const struct fb_http_request *r, struct fb_http_answer *a)
{
    (void)ctx;
    a->status = r->is_busy ? 503 : r->is_too_big ? 413 : 200;
    assert_int_equal(fb_buf_printf(&a->body, "[%zu]", r->body.len), FB_OK);
}

static int start(void **state)
{
    (void)state;
    for (int i = 0; i < 20 && server == NULL; i++) {
        char where[32];
        port = free_port();
        (void)snprintf(where, sizeof where, "127.0.0.1:%u", port);
        const struct fb_http_options options = {.listen = where,
                                                .key = "test",
                                                .threads = 2,
                                                .io_threads = 2,
                                                .connections = 20,
                                                .idle_s = 60,
                                                .request_ms = REQUEST_MS,
                                                .max_head = 16384,
                                                .max_body = SMALL,
                                                .body_limit = limit,
                                                .max_large = 1,
                                                .max_answer = 4096,
                                                .handle = handle};
        if (fb_http_server_new(&options, &server, NULL) != FB_OK) {
            server = NULL;
        }
    }
    return server != NULL ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    fb_http_server_free(&server);
    return 0;
}

static int begin(const char *path, size_t size)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval wait = {.tv_sec = 60};
    char head[256];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) == 0 &&
                connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    int n = snprintf(head, sizeof head,
                     "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", path, size);
    assert_int_equal(send(fd, head, (size_t)n, MSG_NOSIGNAL), n);
    return fd;
}

/* False: the server closed. */
static bool put(int fd, size_t size)
{
    static const char bytes[16384] = {'x'};
    while (size > 0) {
        ssize_t n = send(fd, bytes, size < sizeof bytes ? size : sizeof bytes, MSG_NOSIGNAL);
        if (n <= 0) {
            return false;
        }
        size -= (size_t)n;
    }
    return true;
}

/* The status, 0 when the server closed without one; `text`: what the body must have. */
static int finish(int fd, const char *text)
{
    char answer[2048];
    size_t len = 0;
    int status = 0;
    ssize_t n = 0;
    while (len + 1 < sizeof answer &&
           (n = recv(fd, answer + len, sizeof answer - 1 - len, 0)) > 0) {
        len += (size_t)n;
        answer[len] = '\0';
        if (strchr(answer, ']') != NULL) {
            break;
        }
    }
    answer[len] = '\0';
    if (len > 12) {
        status = (int)strtol(answer + 9, NULL, 10);
        if (text != NULL && status != 503) {
            assert_non_null(strstr(answer, text));
        }
    }
    (void)close(fd);
    return status;
}

static int post(const char *path, size_t size, const char *text)
{
    int fd = begin(path, size);
    assert_true(put(fd, size));
    return finish(fd, text);
}

/* Who had the one place of large bodies before has its answer a moment before the place is free. */
static int post_large(size_t size, const char *text)
{
    int status = 503;
    for (int i = 0; i < 5000 && status == 503; i++) {
        status = post("/large?t=1", size, text);
        (void)usleep(status == 503 ? 2000 : 0);
    }
    return status;
}

static void only_a_head_that_may_has_a_large_body(void **state)
{
    (void)state;
    assert_int_equal(post("/x", SMALL, "[1024]"), 200);
    assert_int_equal(post("/x", SMALL + 1, "[0]"), 413);
    assert_int_equal(post("/large", SMALL + 1, "[0]"), 413);
    assert_int_equal(post_large(LARGE, "[262144]"), 200);
    assert_int_equal(post_large(LARGE + 1, "[0]"), 413);
    assert_int_equal(post_large((size_t)LARGE * 2, "[0]"), 413);
}

/* A large body that has the one place, for certain: another one is sent away, and it is not. */
static int begin_held(void)
{
    for (useconds_t wait_us = 50000; wait_us < 10000000; wait_us *= 2) {
        int fd = begin("/large?t=1", LARGE);
        assert_true(put(fd, 5000));
        (void)usleep(wait_us); /* its head is seen meanwhile */
        int status = post("/large?t=1", 5000, NULL);
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (status == 503 && poll(&p, 1, 0) == 0) {
            return fd;
        }
        (void)close(fd); /* on a slow machine the other one came first */
        (void)usleep(wait_us);
    }
    fail_msg("it never has the place");
    return -1;
}

static void of_large_bodies_no_more_are_held_than_may_be(void **state)
{
    (void)state;
    int first = begin_held();
    int status = 503;
    assert_int_equal(post("/x", 10, "[10]"), 200); /* small ones go on */
    assert_true(put(first, LARGE - 5000));
    assert_int_equal(finish(first, "[262144]"), 200);
    for (int i = 0; i < 5000 && status != 200; i++) {
        status = post("/large?t=1", 5000, NULL);
        (void)usleep(2000);
    }
    assert_int_equal(status, 200);
}

/* 16 KiB a second are enough for a large body; a small one has to be there in time. */
static void a_large_body_may_take_its_time_while_it_comes(void **state)
{
    (void)state;
    bool is_taken = false;
    for (int tries = 0; !is_taken; tries++) {
        int64_t longest_ms = 0;
        int64_t last_ms = fb_mono_ms();
        bool is_open = true;
        int large = begin("/large?t=1", LARGE);
        int small = begin("/x", SMALL);
        for (size_t i = 0; i < 16; i++) {
            (void)usleep(REQUEST_MS * 1000 / 6);
            fb_http_server_tick(server);
            is_open = is_open && put(large, LARGE / 16);
            (void)put(small, 1);
            int64_t now_ms = fb_mono_ms();
            longest_ms = now_ms - last_ms > longest_ms ? now_ms - last_ms : longest_ms;
            last_ms = now_ms;
        }
        is_taken = finish(large, is_open ? "[262144]" : NULL) == 200;
        assert_int_equal(finish(small, NULL), 0);
        /* Else this machine stood still, and nothing came in time. */
        assert_true(is_taken || (longest_ms > REQUEST_MS / 2 && tries < 20));
    }

    int stalled = begin("/large?t=1", LARGE);
    assert_true(put(stalled, 1000));
    for (int i = 0; i < 6; i++) {
        (void)usleep(REQUEST_MS * 1000 / 4);
        fb_http_server_tick(server);
    }
    assert_int_equal(finish(stalled, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_a_head_that_may_has_a_large_body, start, stop),
        cmocka_unit_test_setup_teardown(of_large_bodies_no_more_are_held_than_may_be, start, stop),
        cmocka_unit_test_setup_teardown(a_large_body_may_take_its_time_while_it_comes, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
