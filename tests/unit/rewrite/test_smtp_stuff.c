/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "services/rewrite/smtp_stuff.h"

static const struct {
    const char *name, *in, *want; /* want NULL = refused */
} rows[] = {
    {"plain", "a\r\nb\r\n", "a\r\nb\r\n.\r\n"},
    {"empty", "", ".\r\n"},
    {"no line end", "a", "a\r\n.\r\n"},
    {"dot alone", ".\r\n", "..\r\n.\r\n"},
    {"dot in the header", ".a: b\r\n\r\n", "..a: b\r\n\r\n.\r\n"},
    {"dots everywhere", "..\r\n...\r\n.", "...\r\n....\r\n..\r\n.\r\n"},
    {"dot in the middle", "a.\r\n b.c\r\n", "a.\r\n b.c\r\n.\r\n"},
    {"smuggled end with LF", "a\n.\r\n", NULL},
    {"smuggled end with CR", "a\r.\r\n", NULL},
    {"smuggled end LF LF", "a\r\n.\n", NULL},
    {"CR at the end", "a\r", NULL},
    {"CR CR LF", "a\r\r\n", NULL},
    {"LF first", "\na\r\n", NULL},
};

static void check(size_t row, size_t step)
{
    struct smtp_stuff s;
    struct fb_buf out;
    enum fb_status st = FB_OK;
    struct fb_slice in = fb_slice_str(rows[row].in);
    fb_buf_init(&out, 4096);
    smtp_stuff_init(&s);
    for (size_t i = 0; i < in.len && st == FB_OK; i += step) {
        st = smtp_stuff_add(&s, fb_slice_sub(in, i, step), &out);
    }
    if (st == FB_OK) {
        st = smtp_stuff_end(&s, &out);
    }
    const char *got = st == FB_OK ? fb_buf_str(&out) : NULL;
    if ((got == NULL) != (rows[row].want == NULL) ||
        (got != NULL && strcmp(got, rows[row].want) != 0)) {
        fail_msg("%s by %zu: got \"%s\", want \"%s\"", rows[row].name, step,
                 got != NULL ? got : "refused",
                 rows[row].want != NULL ? rows[row].want : "refused");
    }
    fb_buf_deinit(&out);
}

static void test_dots_are_doubled_and_only_crlf_ends_a_line(void **state)
{
    (void)state;
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        for (size_t step = 1; step <= 16; step++) {
            check(row, step);
        }
    }
}

static void test_nul_is_refused(void **state)
{
    (void)state;
    struct smtp_stuff s;
    struct fb_buf out;
    fb_buf_init(&out, 4096);
    smtp_stuff_init(&s);
    assert_int_equal(smtp_stuff_add(&s, FB_SLICE_LITERAL("a\0b\r\n"), &out), FB_INVALID);
    fb_buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dots_are_doubled_and_only_crlf_ends_a_line),
        cmocka_unit_test(test_nul_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
