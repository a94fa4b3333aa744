/* SPDX-License-Identifier: Apache-2.0
 *
 * The content scanner, for every split of every input: where the content ends, what is handed on,
 * what is noticed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "smtp_data.h"

static void collect(void *ctx, const uint8_t *ptr, size_t len)
{
    assert_int_equal(fb_buf_add(ctx, ptr, len), FB_OK);
}

/* With its length, so that a NUL may stand inside. */
#define BYTES(s) s, sizeof(s) - 1

struct row {
    const char *name;
    enum scan_mode mode;
    const char *in;
    size_t in_len;
    const char *out;
    size_t out_len;
    bool has_end; /* SCAN_DOT: the end was seen; */
    size_t left;  /* and so many octets stand behind it */
    bool has_bare;
    uint32_t received;
    bool is_8bit;
};

static const struct row rows[] = {
    {"one line", SCAN_DOT, BYTES("a\r\n.\r\n"), BYTES("a\r\n"), true, 0, false, 0, false},
    {"empty content", SCAN_DOT, BYTES(".\r\n"), BYTES(""), true, 0, false, 0, false},
    {"what follows is left alone", SCAN_DOT, BYTES("a\r\n.\r\nQUIT\r\n"), BYTES("a\r\n"), true, 6,
     false, 0, false},
    {"stuffed dots", SCAN_DOT, BYTES("..\r\n..a\r\n...\r\n.b\r\n.\r\n"),
     BYTES(".\r\n.a\r\n..\r\nb\r\n"), true, 0, false, 0, false},
    {"dot inside a line", SCAN_DOT, BYTES("a.b\r\na.\r\n.\r\n"), BYTES("a.b\r\na.\r\n"), true, 0,
     false, 0, false},
    {"8 bit", SCAN_DOT, BYTES("\xe6\x96\x87\r\n.\r\n"), BYTES("\xe6\x96\x87\r\n"), true, 0, false,
     0, true},
    {"LF . LF", SCAN_DOT, BYTES("a\n.\nb\r\n.\r\n"), NULL, 0, true, 0, true, 0, false},
    {"LF . CRLF", SCAN_DOT, BYTES("a\n.\r\nb\r\n.\r\n"), NULL, 0, true, 0, true, 0, false},
    {"CRLF . LF", SCAN_DOT, BYTES("a\r\n.\nb\r\n.\r\n"), NULL, 0, true, 0, true, 0, false},
    {"CRLF . CR CRLF", SCAN_DOT, BYTES("a\r\n.\r\r\nb\r\n.\r\n"), NULL, 0, true, 0, true, 0, false},
    {"CR . CR", SCAN_DOT, BYTES("a\r.\rb\r\n.\r\n"), NULL, 0, true, 0, true, 0, false},
    {"CR . CRLF", SCAN_DOT, BYTES("a\r.\r\nb\r\n.\r\n"), NULL, 0, true, 0, true, 0, false},
    {"LF . CR", SCAN_DOT, BYTES("a\n.\rb\r\n.\r\n"), NULL, 0, true, 0, true, 0, false},
    {"CRLF . CR", SCAN_DOT, BYTES("a\r\n.\rb\r\n.\r\n"), NULL, 0, true, 0, true, 0, false},
    {"CRLF . NUL CRLF", SCAN_DOT, BYTES("a\r\n.\0\r\nb\r\n.\r\n"), NULL, 0, true, 0, true, 0,
     false},
    {"CRLF NUL . CRLF", SCAN_DOT, BYTES("a\r\n\0.\r\nb\r\n.\r\n"), NULL, 0, true, 0, true, 0,
     false},
    {"CR CRLF . CRLF holds a true end", SCAN_DOT, BYTES("a\r\r\n.\r\nb\r\n.\r\n"), NULL, 0, true, 6,
     true, 0, false},
    {"LF LF does not end the header", SCAN_DOT, BYTES("a:\n\nReceived: x\r\n\r\n.\r\n"), NULL, 0,
     true, 0, true, 0, false},
    {"Received in the header only", SCAN_DOT,
     BYTES("Received: a\r\nRECEIVED:b\r\n received: c\r\nReceivedd: d\r\nX: \r\n\r\nReceived: "
           "e\r\n.\r\n"),
     BYTES(
         "Received: a\r\nRECEIVED:b\r\n received: c\r\nReceivedd: d\r\nX: \r\n\r\nReceived: e\r\n"),
     true, 0, false, 2, false},
    {"raw keeps dots", SCAN_RAW, BYTES(".\r\n..\r\n"), BYTES(".\r\n..\r\n"), false, 0, false, 0,
     false},
    {"raw gets its last CRLF", SCAN_RAW, BYTES("a\r\nb"), BYTES("a\r\nb\r\n"), false, 0, false, 0,
     false},
    {"raw with CR at the end", SCAN_RAW, BYTES("a\r"), NULL, 0, false, 0, true, 0, false},
    {"raw with bare LF", SCAN_RAW, BYTES("a\nb\r\n"), NULL, 0, false, 0, true, 0, false},
    {"raw, nothing", SCAN_RAW, BYTES(""), BYTES(""), false, 0, false, 0, false},
    {"lenient LF", SCAN_LENIENT, BYTES("a\nb\r\n\n.\nReceived:\n"),
     BYTES("a\r\nb\r\n\r\n.\r\nReceived:\r\n"), false, 0, false, 0, false},
    {"lenient, no last line end", SCAN_LENIENT, BYTES("a\n\nb"), BYTES("a\r\n\r\nb\r\n"), false, 0,
     false, 0, false},
    {"lenient refuses bare CR", SCAN_LENIENT, BYTES("a\rb\n"), NULL, 0, false, 0, true, 0, false},
    {"lenient refuses NUL", SCAN_LENIENT, BYTES("a\0b\n"), NULL, 0, false, 0, true, 0, false},
};

/* Feeds in two pieces, or (cut == SIZE_MAX) octet by octet. */
static void run(const struct row *r, size_t cut)
{
    struct fb_buf out;
    struct scan s;
    fb_buf_init(&out, 1U << 20);
    scan_init(&s, r->mode, collect, &out);
    bool is_end = false;
    size_t at = 0;
    while (at < r->in_len && !is_end) {
        size_t n = cut == SIZE_MAX ? 1 : at < cut ? cut - at : r->in_len - at;
        size_t used = scan_feed(&s, (const uint8_t *)r->in + at, n, &is_end);
        assert_true(used == n || is_end);
        at += used;
    }
    if (r->mode != SCAN_DOT) {
        scan_finish(&s);
    }
    if (is_end != r->has_end || (is_end && r->in_len - at != r->left) ||
        s.has_bare != r->has_bare || s.received != r->received ||
        (!r->has_bare && s.is_8bit != r->is_8bit)) {
        fail_msg("%s, cut at %zu: end %d, left %zu, bare %d, received %u, 8bit %d", r->name, cut,
                 is_end, r->in_len - at, s.has_bare, s.received, s.is_8bit);
    }
    if (!r->has_bare) {
        if (out.len != r->out_len || (out.len > 0 && memcmp(out.ptr, r->out, out.len) != 0)) {
            fail_msg("%s, cut at %zu: got \"%s\", want \"%s\"", r->name, cut, fb_buf_str(&out),
                     r->out);
        }
        assert_int_equal(s.size, out.len);
    }
    fb_buf_deinit(&out);
}

static void test_every_split_gives_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (size_t cut = 0; cut <= rows[i].in_len; cut++) {
            run(&rows[i], cut);
        }
        run(&rows[i], SIZE_MAX);
    }
}

/* The fast ways must agree with the slow one: random contents of awkward octets, in one piece and
 * octet by octet. */
static void test_fast_way_agrees_with_slow_way(void **state)
{
    (void)state;
    static const char *const pieces[] = {
        "\r\n", "\r\n",    "\r\n.",  ".",
        "a",    "abc def", "\r\n..", "\xff",
        "\r",   "\n",      "",       "a long enough line of a mail to make blocks of many of them"};
    uint32_t seed = 20240229;
    for (int round = 0; round < 400; round++) {
        struct fb_buf in, out[2];
        struct scan s[2];
        size_t used[2] = {0};
        bool is_end[2] = {false};
        fb_buf_init(&in, 1U << 20);
        assert_int_equal(fb_buf_add_str(&in, "A: b\r\n\r\n"), FB_OK);
        size_t count = 10 + (size_t)round * 4;
        for (size_t i = 0; i < count; i++) {
            seed = seed * 1664525U + 1013904223U;
            size_t kinds = sizeof pieces / sizeof pieces[0];
            const char *piece = pieces[(seed >> 16) % kinds];
            /* mostly clean rounds, so that blocks do pass */
            bool is_bare = strcmp(piece, "\r") == 0 || strcmp(piece, "\n") == 0;
            if (!is_bare || round % 4 == 0) {
                assert_int_equal(fb_buf_add_str(&in, piece), FB_OK);
            }
        }
        for (int k = 0; k < 2; k++) {
            fb_buf_init(&out[k], 1U << 20);
            scan_init(&s[k], SCAN_DOT, collect, &out[k]);
            while (used[k] < in.len && !is_end[k]) {
                used[k] +=
                    scan_feed(&s[k], in.ptr + used[k], k == 0 ? in.len - used[k] : 1, &is_end[k]);
            }
        }
        assert_int_equal(used[0], used[1]);
        assert_int_equal(is_end[0], is_end[1]);
        assert_int_equal(s[0].has_bare, s[1].has_bare);
        assert_int_equal(s[0].is_8bit, s[1].is_8bit);
        assert_int_equal(s[0].line, s[1].line);
        assert_int_equal(s[0].size, s[1].size);
        assert_int_equal(out[0].len, out[1].len);
        if (out[0].len > 0) {
            assert_memory_equal(out[0].ptr, out[1].ptr, out[0].len);
        }
        fb_buf_deinit(&in);
        fb_buf_deinit(&out[0]);
        fb_buf_deinit(&out[1]);
    }
}

static void drop(void *ctx, const uint8_t *ptr, size_t len)
{
    (void)ctx, (void)ptr, (void)len;
}

static bool line_is_long(size_t len, size_t piece)
{
    char *text = malloc(len + 2);
    assert_non_null(text);
    memset(text, 'x', len);
    memcpy(text + len, "\r\n", 2);
    struct scan s;
    bool is_end;
    scan_init(&s, SCAN_DOT, drop, NULL);
    scan_feed(&s, (const uint8_t *)"\r\n", 2, &is_end); /* past the header */
    for (size_t at = 0; at < len + 2; at += piece) {
        size_t n = len + 2 - at < piece ? len + 2 - at : piece;
        scan_feed(&s, (const uint8_t *)text + at, n, &is_end);
    }
    free(text);
    return s.has_long_line;
}

static void test_line_limit_is_exact(void **state)
{
    (void)state;
    assert_false(line_is_long(SMTP_MAX_LINE, 65536));
    assert_true(line_is_long(SMTP_MAX_LINE + 1, 65536));
    assert_false(line_is_long(SMTP_MAX_LINE, 1000));
    assert_true(line_is_long(SMTP_MAX_LINE + 1, 1000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_split_gives_the_same),
        cmocka_unit_test(test_fast_way_agrees_with_slow_way),
        cmocka_unit_test(test_line_limit_is_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
