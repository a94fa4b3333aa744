/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes: limits hold, NUL is a byte like others, failure changes nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/buf.h"

static void a_buffer_takes_exactly_its_maximum(void **state)
{
    (void)state;
    for (size_t max = 0; max <= 200; max += 1) {
        struct fb_buf b;
        fb_buf_init(&b, max);
        for (size_t i = 0; i < max; i++) {
            assert_int_equal(fb_buf_add_char(&b, (char)i), FB_OK);
        }
        assert_int_equal(fb_buf_add_char(&b, 'x'), FB_TOO_BIG);
        assert_int_equal(fb_buf_add(&b, "xyz", 3), FB_TOO_BIG);
        assert_int_equal(fb_buf_printf(&b, "%d", 7), FB_TOO_BIG);
        assert_int_equal(b.len, max);
        assert_true(max == 0 || b.ptr[max - 1] == (uint8_t)(max - 1));
        assert_true(b.ptr == NULL || b.ptr[b.len] == '\0');
        fb_buf_deinit(&b);
        assert_int_equal(b.max, max);
    }
}

static void lengths_that_overflow_are_too_big(void **state)
{
    (void)state;
    struct fb_buf b;
    fb_buf_init(&b, SIZE_MAX);
    assert_int_equal(fb_buf_add_str(&b, "abc"), FB_OK);
    assert_int_equal(fb_buf_reserve(&b, SIZE_MAX), FB_TOO_BIG);
    assert_int_equal(fb_buf_reserve(&b, SIZE_MAX - 3), FB_TOO_BIG);
    assert_string_equal(fb_buf_str(&b), "abc");
    fb_buf_deinit(&b);
}

static void bytes_are_consumed_from_the_front(void **state)
{
    (void)state;
    struct fb_buf b;
    fb_buf_init(&b, 100);
    assert_string_equal(fb_buf_str(&b), "");
    fb_buf_consume(&b, 10);
    assert_int_equal(fb_buf_printf(&b, "%s-%d", "abc", 12), FB_OK);
    fb_buf_consume(&b, 0);
    fb_buf_consume(&b, 4);
    assert_string_equal(fb_buf_str(&b), "12");
    fb_buf_consume(&b, 99);
    assert_int_equal(b.len, 0);
    assert_int_equal(fb_buf_add(&b, "a\0b", 3), FB_OK);
    assert_true(fb_slice_eq(fb_slice_buf(&b), fb_slice_of("a\0b", 3)));
    fb_buf_clear(&b);
    assert_string_equal(fb_buf_str(&b), "");
    fb_buf_deinit(&b);
}

static void slices_compare_find_trim_and_cut(void **state)
{
    (void)state;
    struct fb_slice none = {0}, text = FB_SLICE_LITERAL(" \r\n\tTo: x\0y \t");
    assert_true(fb_slice_eq(none, fb_slice_str("")));
    assert_true(fb_slice_eq(fb_slice_str(NULL), none));
    assert_true(fb_slice_eq(fb_slice_trim(text), fb_slice_of("To: x\0y", 7)));
    assert_int_equal(fb_slice_trim(fb_slice_str(" \t\r\n")).len, 0);
    assert_int_equal(fb_slice_trim(none).len, 0);
    assert_true(fb_slice_istarts(fb_slice_str("CONTENT-type"), "content-"));
    assert_false(fb_slice_istarts(fb_slice_str("Cont"), "content"));
    assert_true(fb_slice_ieq_str(fb_slice_str("\xc3\x84x"), "\xc3\x84X"));
    assert_false(fb_slice_ieq_str(fb_slice_str("@"), "`")); /* 32 apart, but no letters */
    assert_false(fb_slice_ieq_str(fb_slice_str("["), "{"));
    assert_int_equal(fb_slice_find(text, fb_slice_of("x\0y", 3)), 8);
    assert_int_equal(fb_slice_find(text, fb_slice_str("z")), SIZE_MAX);
    assert_int_equal(fb_slice_find(none, fb_slice_str("z")), SIZE_MAX);
    assert_int_equal(fb_slice_find(none, none), 0);
    assert_int_equal(fb_slice_sub(text, 4, 3).len, 3);
    assert_int_equal(fb_slice_sub(text, 4, SIZE_MAX).len, text.len - 4);
    assert_int_equal(fb_slice_sub(text, SIZE_MAX, SIZE_MAX).len, 0);
    assert_null(fb_slice_sub(none, 0, 5).ptr);
}

static void text_with_a_nul_has_no_c_string(void **state)
{
    (void)state;
    char *copy = fb_slice_dup_str(fb_slice_str("abc"));
    assert_string_equal(copy, "abc");
    free(copy);
    copy = fb_slice_dup_str((struct fb_slice){0});
    assert_string_equal(copy, "");
    free(copy);
    assert_null(fb_slice_dup_str(fb_slice_of("a\0", 2)));
}

static void hex_goes_there_and_back(void **state)
{
    (void)state;
    uint8_t all[256], back[256];
    char text[513];
    for (int i = 0; i < 256; i++) {
        all[i] = (uint8_t)i;
    }
    fb_hex(all, 256, text);
    assert_true(fb_unhex(text, back, 256));
    assert_memory_equal(all, back, 256);
    assert_true(fb_unhex("aBCd", back, 2));
    assert_int_equal(back[1], 0xcd);
    assert_false(fb_unhex("abc", back, 2));
    assert_false(fb_unhex("abcde", back, 2));
    assert_false(fb_unhex("ag", back, 1));
    assert_false(fb_unhex("", back, 1));
    assert_true(fb_unhex("", back, 0));
}

static void a_bounded_allocation_keeps_its_bound(void **state)
{
    (void)state;
    void *p = fb_alloc_bounded(10, 10);
    assert_non_null(p);
    free(p);
    p = fb_alloc_bounded(0, 0);
    assert_non_null(p);
    free(p);
    assert_null(fb_alloc_bounded(11, 10));
    assert_null(fb_alloc_bounded(SIZE_MAX, SIZE_MAX - 1));
}

static void a_file_is_read_up_to_its_limit(void **state)
{
    (void)state;
    char path[] = "/tmp/fumibako-buf-XXXXXX";
    int fd = mkstemp(path);
    struct fb_buf b;
    struct fb_error err = {0};
    char chunk[1000];
    memset(chunk, 'x', sizeof chunk);
    assert_true(fd >= 0);
    for (int i = 0; i < 40; i++) {
        assert_int_equal(write(fd, chunk, sizeof chunk), sizeof chunk);
    }
    assert_int_equal(fb_read_file(path, 40000, &b, &err), FB_OK);
    assert_int_equal(b.len, 40000);
    fb_buf_deinit(&b);
    assert_int_equal(fb_read_file(path, 39999, &b, &err), FB_TOO_BIG);
    assert_null(b.ptr);
    assert_non_null(strstr(err.text, "larger than 39999 bytes"));
    (void)close(fd);
    (void)unlink(path);
    assert_int_equal(fb_read_file(path, 10, &b, &err), FB_NOT_FOUND);
    assert_non_null(strstr(err.text, "No such file"));
    assert_int_equal(fb_read_file("/tmp", 10, &b, &err), FB_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_buffer_takes_exactly_its_maximum),
        cmocka_unit_test(lengths_that_overflow_are_too_big),
        cmocka_unit_test(bytes_are_consumed_from_the_front),
        cmocka_unit_test(slices_compare_find_trim_and_cut),
        cmocka_unit_test(text_with_a_nul_has_no_c_string),
        cmocka_unit_test(hex_goes_there_and_back),
        cmocka_unit_test(a_bounded_allocation_keeps_its_bound),
        cmocka_unit_test(a_file_is_read_up_to_its_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
