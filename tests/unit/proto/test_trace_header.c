/* SPDX-License-Identifier: Apache-2.0
 *
 * X-Fumibako-Id: only what our key made over this very body is believed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/trace_header.h"

#define ID  "01J8ZQ4W8N7Y2V3K5M6P9R0STX"
#define KEY "an operator's key of 32 characters or more"

static void hash(const char *body, size_t piece, uint8_t hash_r[32])
{
    struct fb_body_hash h;
    struct fb_slice rest = fb_slice_str(body);
    assert_int_equal(fb_body_hash_init(&h), FB_OK);
    for (; rest.len > 0; rest = fb_slice_sub(rest, piece, SIZE_MAX)) {
        assert_int_equal(fb_body_hash_add(&h, fb_slice_sub(rest, 0, piece)), FB_OK);
    }
    assert_int_equal(fb_body_hash_final(&h, hash_r), FB_OK);
}

static const char *make(uint32_t branch, const char *body, struct fb_buf *value)
{
    uint8_t h[32];
    hash(body, SIZE_MAX, h);
    fb_buf_init(value, 256);
    assert_int_equal(fb_trace_header_make(KEY, ID, branch, h, value), FB_OK);
    return fb_buf_str(value);
}

static bool is_believed(const char *key, const char *value, const char *body, uint32_t *branch_r)
{
    uint8_t h[32];
    char id[FB_ID_SIZE] = "";
    hash(body, SIZE_MAX, h);
    bool is_ours = fb_trace_header_verify(key, fb_slice_str(value), h, id, branch_r);
    assert_true(!is_ours || strcmp(id, ID) == 0);
    return is_ours;
}

static void our_header_is_believed(void **state)
{
    (void)state;
    static const uint32_t branches[] = {0, 1, 9, 10, 999, 1000};
    for (size_t i = 0; i < sizeof branches / sizeof branches[0]; i++) {
        struct fb_buf value;
        uint32_t branch = 7777;
        char folded[300];
        (void)make(branches[i], "body\r\n", &value);
        assert_true(is_believed(KEY, fb_buf_str(&value), "body\r\n", &branch));
        assert_int_equal(branch, branches[i]);
        (void)snprintf(folded, sizeof folded, " \t%s\r\n", fb_buf_str(&value));
        assert_true(is_believed(KEY, folded, "body\r\n", &branch));
        fb_buf_deinit(&value);
    }
}

static void nothing_else_is_believed(void **state)
{
    (void)state;
    struct fb_buf value;
    uint32_t branch = 0;
    const char *ours = make(3, "body\r\n", &value);
    assert_false(is_believed(KEY, ours, "other\r\n", &branch));
    assert_false(is_believed("another key of 32 characters or more..", ours, "body\r\n", &branch));
    assert_false(is_believed(NULL, ours, "body\r\n", &branch));
    assert_false(is_believed(KEY, "", "body\r\n", &branch));
    assert_false(is_believed(KEY, ID, "body\r\n", &branch));
    assert_false(is_believed(KEY, ID "; b=3; h=", "body\r\n", &branch));
    char text[300];
    for (size_t at = 0; at < value.len; at++) {
        (void)snprintf(text, sizeof text, "%s", ours);
        text[at] = text[at] == '4' ? '5' : '4';
        assert_false(is_believed(KEY, text, "body\r\n", &branch));
        text[at] = '\0';
        assert_false(is_believed(KEY, text, "body\r\n", &branch));
    }
    (void)snprintf(text, sizeof text, "%sA", ours);
    assert_false(is_believed(KEY, text, "body\r\n", &branch));
    fb_buf_deinit(&value);
}

static void without_a_key_no_header_is_made(void **state)
{
    (void)state;
    struct fb_buf value;
    uint8_t h[32] = {0};
    fb_buf_init(&value, 256);
    assert_int_equal(fb_trace_header_make(NULL, ID, 0, h, &value), FB_CONFIG);
    assert_int_equal(value.len, 0);
}

/* An MTA may end the body with one line end more or less; everything inside counts. */
static void the_hash_of_a_body_forgets_line_ends_at_its_end_only(void **state)
{
    (void)state;
    static const struct {
        const char *name, *one, *other;
        bool are_equal;
    } rows[] = {
        {"none and one", "a", "a\r\n", true},
        {"one and three", "a\r\n", "a\r\n\r\n\r\n", true},
        {"empty and line ends", "", "\r\n\r\n", true},
        {"inside", "a\r\nb", "a\r\n\r\nb", false},
        {"at the start", "\r\na", "a", false},
        {"bare CR at the end", "a\r", "a", false},
        {"bare CR before a line end", "a\r\r\n", "a", false},
        {"bare LF", "a\n", "a", false},
        {"a blank", "a \r\n", "a\r\n", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t one[32], other[32];
        hash(rows[i].one, SIZE_MAX, one);
        hash(rows[i].other, SIZE_MAX, other);
        if ((memcmp(one, other, 32) == 0) != rows[i].are_equal) {
            fail_msg("%s: want %s", rows[i].name, rows[i].are_equal ? "equal" : "different");
        }
    }
}

static void the_hash_does_not_depend_on_how_the_body_is_cut(void **state)
{
    (void)state;
    static const char body[] = "\r\n\r\r\n\ra\r\n\r\nb\n\nc\r\r\r\nd\r\n\r\n";
    uint8_t whole[32], pieces[32];
    hash(body, SIZE_MAX, whole);
    for (size_t piece = 1; piece < sizeof body; piece++) {
        hash(body, piece, pieces);
        assert_memory_equal(whole, pieces, 32);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_header_is_believed),
        cmocka_unit_test(nothing_else_is_believed),
        cmocka_unit_test(without_a_key_no_header_is_made),
        cmocka_unit_test(the_hash_of_a_body_forgets_line_ends_at_its_end_only),
        cmocka_unit_test(the_hash_does_not_depend_on_how_the_body_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
