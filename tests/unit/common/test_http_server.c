/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP server's streams: whole, by ranges, in chunks; slow readers, slow handlers and readers that go away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/http_server.h"
#include "tests/support/free_port.h"

#define SIZE    (3U << 20)
#define WAIT_MS 60000

static struct fb_http_server *server;
static uint16_t port;
static atomic_uint begun, freed, reads;
static atomic_bool gate; /* handlers of /wait go on when it is open */

static uint8_t letter(uint64_t offset)
{
    return (uint8_t)('a' + offset * 7 % 26);
}

#define PATTERN (256U << 10)
static uint8_t pattern[PATTERN + 26]; /* letters repeat after 26 */

static ssize_t read_letters(void *ctx, uint64_t offset, void *out, size_t len)
{
    uint64_t size = *(const uint64_t *)ctx;
    atomic_fetch_add(&reads, 1);
    if (offset >= size) {
        return 0;
    }
    len = size - offset < len ? (size_t)(size - offset) : len;
    len = len < PATTERN ? len : PATTERN;
    memcpy(out, pattern + offset % 26, len);
    return (ssize_t)len;
}

static ssize_t read_broken(void *ctx, uint64_t offset, void *out, size_t len)
{
    return offset < 100000 ? read_letters(ctx, offset, out, len) : -1;
}

static void end(void *ctx)
{
    free(ctx);
    atomic_fetch_add(&freed, 1);
}

static void handle(void *ctx, const struct fb_http_request *r, struct fb_http_answer *a)
{
    (void)ctx;
    if (strcmp(r->path, "/wait") == 0) {
        for (int i = 0; i < WAIT_MS / 5 && !atomic_load(&gate); i++) {
            (void)usleep(5000);
        }
        a->status = 200;
        return;
    }
    if (strcmp(r->path, "/page") == 0) {
        assert_int_equal(fb_buf_add_str(&a->body, "page"), FB_OK);
        a->status = 200;
        return;
    }
    uint64_t *size = fb_xcalloc(1, sizeof *size);
    *size = strcmp(r->path, "/huge") == 0 ? 1ULL << 32 : SIZE;
    bool is_chunked = strcmp(r->path, "/chunked") == 0;
    atomic_fetch_add(&begun, 1);
    fb_http_answer_header(a, "ETag", "\"one\"");
    a->stream = (struct fb_http_stream){
        .read = strcmp(r->path, "/broken") == 0 ? read_broken : read_letters,
        .free = end,
        .ctx = size,
        .size = is_chunked ? FB_HTTP_UNKNOWN : *size,
        .is_ranged = !is_chunked,
        .may_block = is_chunked || strcmp(r->path, "/blocking") == 0};
    a->status = 200;
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
                                                .connections = 600,
                                                .idle_s = 60,
                                                .request_ms = 500,
                                                .least_rate = 1U << 14,
                                                .pace_ms = 300,
                                                .max_head = 16384,
                                                .max_body = 1024,
                                                .max_answer = 4096,
                                                .handle = handle};
        if (fb_http_server_new(&options, &server, NULL) != FB_OK) {
            server = NULL;
        }
    }
    for (size_t i = 0; i < sizeof pattern; i++) {
        pattern[i] = letter(i);
    }
    atomic_store(&begun, 0);
    atomic_store(&freed, 0);
    atomic_store(&gate, false);
    return server != NULL ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    atomic_store(&gate, true);
    fb_http_server_free(&server);
    assert_int_equal(atomic_load(&begun), atomic_load(&freed));
    return 0;
}

static int call(const char *method, const char *path, const char *headers)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct timeval wait = {.tv_sec = WAIT_MS / 1000};
    char text[1024];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){8192}, sizeof(int)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    int n = snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%s\r\n",
                     method, path, headers);
    assert_int_equal(send(fd, text, (size_t)n, MSG_NOSIGNAL), n);
    return fd;
}

/* Everything until the connection ends. */
static void read_all(int fd, struct fb_buf *out)
{
    uint8_t bytes[65536];
    ssize_t n;
    while ((n = recv(fd, bytes, sizeof bytes, 0)) > 0) {
        assert_int_equal(fb_buf_add(out, bytes, (size_t)n), FB_OK);
    }
    (void)close(fd);
}

struct got {
    struct fb_buf all;
    struct fb_slice head, body;
    int status;
};

static struct got get(const char *method, const char *path, const char *headers)
{
    struct got g = {0};
    fb_buf_init(&g.all, 2 * SIZE);
    read_all(call(method, path, headers), &g.all);
    size_t end_of_head = fb_slice_find(fb_slice_buf(&g.all), FB_SLICE_LITERAL("\r\n\r\n"));
    assert_true(end_of_head != SIZE_MAX);
    g.head = fb_slice_sub(fb_slice_buf(&g.all), 0, end_of_head + 2);
    g.body = fb_slice_sub(fb_slice_buf(&g.all), end_of_head + 4, SIZE_MAX);
    g.status = (int)strtol((const char *)g.all.ptr + 9, NULL, 10);
    return g;
}

static bool has(const struct got *g, const char *line)
{
    char text[256];
    (void)snprintf(text, sizeof text, "\r\n%s\r\n", line);
    return fb_slice_find(g->head, fb_slice_str(text)) != SIZE_MAX;
}

static void assert_letters(struct fb_slice body, uint64_t first, size_t len)
{
    assert_int_equal(body.len, len);
    for (size_t i = 0; i < len; i++) {
        if (body.ptr[i] != letter(first + i)) {
            fail_msg("byte %zu is wrong", i);
        }
    }
}

static void a_file_comes_whole_and_by_ranges(void **state)
{
    (void)state;
    static const char *const paths[] = {"/file", "/blocking"};
    for (size_t i = 0; i < 2; i++) {
        struct got g = get("GET", paths[i], "");
        assert_int_equal(g.status, 200);
        assert_true(has(&g, "Accept-Ranges: bytes") && has(&g, "Content-Length: 3145728"));
        assert_letters(g.body, 0, SIZE);
        fb_buf_deinit(&g.all);

        g = get("GET", paths[i], "Range: bytes=70001-270000\r\n");
        assert_int_equal(g.status, 206);
        assert_true(has(&g, "Content-Range: bytes 70001-270000/3145728"));
        assert_letters(g.body, 70001, 200000);
        fb_buf_deinit(&g.all);

        g = get("GET", paths[i], "Range: bytes=-10\r\nIf-Range: \"one\"\r\n");
        assert_int_equal(g.status, 206);
        assert_letters(g.body, SIZE - 10, 10);
        fb_buf_deinit(&g.all);
    }
}

static void what_is_no_single_range_is_answered_whole_or_refused(void **state)
{
    (void)state;
    static const char *const whole[] = {"Range: bytes=0-1,5-6\r\n",
                                        "Range: bytes=0-1\r\nRange: bytes=5-6\r\n",
                                        "Range: bytes=5-1\r\n",
                                        "Range: lines=1-2\r\n",
                                        "Range: bytes=0-9\r\nIf-Range: \"two\"\r\n",
                                        "Range: bytes=0-9\r\nIf-Range: W/\"one\"\r\n"};
    for (size_t i = 0; i < sizeof whole / sizeof whole[0]; i++) {
        struct got g = get("GET", "/file", whole[i]);
        assert_int_equal(g.status, 200);
        assert_int_equal(g.body.len, SIZE);
        fb_buf_deinit(&g.all);
    }
    struct got g = get("GET", "/file", "Range: bytes=3145728-\r\n");
    assert_int_equal(g.status, 416);
    assert_true(has(&g, "Content-Range: bytes */3145728"));
    assert_int_equal(g.body.len, 0);
    fb_buf_deinit(&g.all);
}

static void head_tells_the_size_and_sends_nothing(void **state)
{
    (void)state;
    unsigned before = atomic_load(&reads);
    struct got g = get("HEAD", "/file", "Range: bytes=0-9\r\n");
    assert_int_equal(g.status, 200);
    assert_true(has(&g, "Content-Length: 3145728"));
    assert_int_equal(g.body.len, 0);
    assert_int_equal(atomic_load(&reads), before);
    fb_buf_deinit(&g.all);
}

static void an_unknown_size_comes_in_chunks(void **state)
{
    (void)state;
    struct got g = get("GET", "/chunked", "");
    assert_int_equal(g.status, 200);
    assert_true(has(&g, "Transfer-Encoding: chunked"));
    assert_true(g.body.len > SIZE);
    assert_memory_equal(g.body.ptr + g.body.len - 5, "0\r\n\r\n", 5);
    fb_buf_deinit(&g.all);
}

static void a_file_that_fails_is_never_taken_for_whole(void **state)
{
    (void)state;
    struct got g = get("GET", "/broken", "");
    assert_int_equal(g.status, 200);
    assert_true(has(&g, "Content-Length: 3145728"));
    assert_true(g.body.len < SIZE);
    fb_buf_deinit(&g.all);
}

/* 200 clients that take nothing, and two threads. */
static void slow_readers_hold_nobody_up(void **state)
{
    (void)state;
    int slow[200];
    for (size_t i = 0; i < 200; i++) {
        slow[i] = call("GET", i % 2 == 0 ? "/huge" : "/blocking", "");
    }
    struct got g = get("GET", "/page", ""); /* the others are there for ever */
    assert_int_equal(g.status, 200);
    fb_buf_deinit(&g.all);
    g = get("GET", "/blocking", "");
    assert_letters(g.body, 0, SIZE);
    fb_buf_deinit(&g.all);
    for (size_t i = 0; i < 200; i++) {
        (void)close(slow[i]);
    }
}

static void slow_handlers_hold_no_reader_up(void **state)
{
    (void)state;
    int waiting[4];
    for (size_t i = 0; i < 4; i++) {
        waiting[i] = -1;
    }
    int file = call("GET", "/huge", "");
    uint8_t bytes[65536];
    assert_true(recv(file, bytes, sizeof bytes, 0) > 0);
    for (size_t i = 0; i < 4; i++) {
        waiting[i] = call("GET", "/wait", "");
    }
    for (size_t got = 0;
         got < (8U << 20);) { /* both handlers wait: this file is read all the same */
        ssize_t n = recv(file, bytes, sizeof bytes, 0);
        assert_true(n > 0);
        got += (size_t)n;
    }
    atomic_store(&gate, true);
    for (size_t i = 0; i < 4; i++) {
        struct fb_buf all;
        fb_buf_init(&all, 65536);
        read_all(waiting[i], &all);
        assert_memory_equal(all.ptr, "HTTP/1.1 200", 12);
        fb_buf_deinit(&all);
    }
    (void)close(file);
}

/* Ticks until the server has let go of one; false after WAIT_MS.  (The client does not see it: what was sent before is
 * still on its way.) */
static bool is_let_go(void)
{
    int64_t until_ms = fb_mono_ms() + WAIT_MS;
    while (fb_mono_ms() < until_ms) {
        fb_http_server_tick(server);
        (void)usleep(20000);
        if (atomic_load(&freed) > 0) {
            return true;
        }
    }
    return false;
}

static void who_takes_too_little_is_closed_and_who_takes_enough_is_not(void **state)
{
    (void)state;
    uint8_t bytes[65536];
    int stuck = call("GET", "/huge", "");
    assert_true(recv(stuck, bytes, 100, 0) > 0);
    int steady = call("GET", "/huge", "");
    int64_t begin_ms = fb_mono_ms();
    /* Longer than request_ms and several paces. */
    while (fb_mono_ms() - begin_ms < 1500) {
        assert_true(recv(steady, bytes, sizeof bytes, 0) > 0);
        fb_http_server_tick(server);
    }
    assert_true(is_let_go());
    assert_true(recv(steady, bytes, sizeof bytes, 0) > 0);
    (void)close(stuck);
    (void)close(steady);
}

static void who_goes_away_leaves_nothing_behind(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        int fd = call("GET", i % 2 == 0 ? "/huge" : "/chunked", "");
        uint8_t byte;
        assert_int_equal(recv(fd, &byte, 1, 0), 1);
        const struct linger now = {.l_onoff = 1};
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
        (void)close(fd);
    }
    int64_t until_ms = fb_mono_ms() + WAIT_MS;
    while (atomic_load(&freed) < 20 && fb_mono_ms() < until_ms) {
        (void)usleep(5000);
    }
    assert_int_equal(atomic_load(&freed), 20);
}

/* Freed while files are on their way and handlers wait. */
static void a_server_ends_in_the_middle(void **state)
{
    (void)state;
    int fds[6];
    for (size_t i = 0; i < 6; i++) {
        fds[i] = call("GET", i < 2 ? "/wait" : i < 4 ? "/chunked" : "/huge", "");
    }
    (void)usleep(50000);
    atomic_store(&gate, true);
    fb_http_server_drain(server, 100);
    fb_http_server_free(&server);
    for (size_t i = 0; i < 6; i++) {
        (void)close(fds[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_comes_whole_and_by_ranges, start, stop),
        cmocka_unit_test_setup_teardown(what_is_no_single_range_is_answered_whole_or_refused, start,
                                        stop),
        cmocka_unit_test_setup_teardown(head_tells_the_size_and_sends_nothing, start, stop),
        cmocka_unit_test_setup_teardown(an_unknown_size_comes_in_chunks, start, stop),
        cmocka_unit_test_setup_teardown(a_file_that_fails_is_never_taken_for_whole, start, stop),
        cmocka_unit_test_setup_teardown(slow_readers_hold_nobody_up, start, stop),
        cmocka_unit_test_setup_teardown(slow_handlers_hold_no_reader_up, start, stop),
        cmocka_unit_test_setup_teardown(who_takes_too_little_is_closed_and_who_takes_enough_is_not,
                                        start, stop),
        cmocka_unit_test_setup_teardown(who_goes_away_leaves_nothing_behind, start, stop),
        cmocka_unit_test_setup_teardown(a_server_ends_in_the_middle, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
