/* SPDX-License-Identifier: Apache-2.0
 *
 * fb_diff: whatever two documents are, the lines that it tells give both of them back, in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/policy/diff.h"

#define ROUNDS 400

struct sides {
    struct fb_buf old, new_;
    size_t old_lines, new_lines, changed;
};

static void add(struct fb_buf *b, struct fb_slice text)
{
    assert_int_equal(fb_buf_add_slice(b, text), FB_OK);
    assert_int_equal(fb_buf_add_char(b, '\n'), FB_OK);
}

static void take(void *ctx, const struct fb_diff_line *l)
{
    struct sides *s = ctx;
    s->changed += l->kind != ' ';
    if (l->kind != '+') {
        assert_int_equal(l->old, ++s->old_lines);
        add(&s->old, l->text);
    } else {
        assert_int_equal(l->old, 0);
    }
    if (l->kind != '-') {
        assert_int_equal(l->new_, ++s->new_lines);
        add(&s->new_, l->text);
    } else {
        assert_int_equal(l->new_, 0);
    }
}

/* How many lines were told as changed. */
static size_t compare(const char *from, const char *to)
{
    struct sides s = {.changed = 0};
    fb_buf_init(&s.old, 1U << 20);
    fb_buf_init(&s.new_, 1U << 20);
    fb_diff(fb_slice_str(from), fb_slice_str(to), take, &s);
    assert_string_equal(fb_buf_str(&s.old), from);
    assert_string_equal(fb_buf_str(&s.new_), to);
    fb_buf_deinit(&s.old);
    fb_buf_deinit(&s.new_);
    return s.changed;
}

static void small_changes_are_told_as_such(void **state)
{
    (void)state;
    assert_int_equal(compare("", ""), 0);
    assert_int_equal(compare("a\nb\nc\n", "a\nb\nc\n"), 0);
    assert_int_equal(compare("a\nb\nc\n", "a\nx\nc\n"), 2);
    assert_int_equal(compare("", "a\nb\n"), 2);
    assert_int_equal(compare("a\nb\n", ""), 2);
    assert_int_equal(compare("a\nb\nc\na\nb\nb\na\n", "c\nb\na\nb\na\nc\n"),
                     5); /* Myers' own example */
    assert_int_equal(compare("rules:\n- a\n- b\n- c\n", "rules:\n- c\n- a\n- b\n"), 2);
}

/* The same with each run. */
static unsigned next_number(unsigned below)
{
    static uint32_t state = 7;
    state = state * 1664525U + 1013904223U;
    return (state >> 16) % below;
}

static void fill(char *out, size_t lines, unsigned letters)
{
    for (size_t i = 0; i < lines; i++) {
        *out++ = (char)('a' + next_number(letters));
        *out++ = '\n';
    }
    *out = '\0';
}

static void both_documents_come_back_whatever_they_are(void **state)
{
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        char from[201], to[201];
        unsigned letters = 1 + next_number(12);
        fill(from, next_number(100), letters);
        fill(to, next_number(100), letters);
        (void)compare(from, to);
    }
}

static void documents_without_anything_in_common_are_replaced_as_a_whole(void **state)
{
    (void)state;
    struct fb_buf from, to;
    fb_buf_init(&from, 1U << 20);
    fb_buf_init(&to, 1U << 20);
    for (int i = 0; i < 3000; i++) {
        assert_int_equal(fb_buf_printf(&from, "old %d\n", i), FB_OK);
        assert_int_equal(fb_buf_printf(&to, "new %d\n", i), FB_OK);
    }
    assert_int_equal(compare(fb_buf_str(&from), fb_buf_str(&to)), 6000);
    fb_buf_deinit(&from);
    fb_buf_deinit(&to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_changes_are_told_as_such),
        cmocka_unit_test(both_documents_come_back_whatever_they_are),
        cmocka_unit_test(documents_without_anything_in_common_are_replaced_as_a_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
