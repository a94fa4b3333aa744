/* SPDX-License-Identifier: Apache-2.0
 *
 * A title opens for its own message with our key alone, unchanged; else nothing of it is told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/crypto.h"
#include "common/title.h"

#define KEY   "0123456789abcdef0123456789abcdef"
#define MSG   "01ARZ3NDEKTSV4RRFFQ69G5FAV"
#define OTHER "01ARZ3NDEKTSV4RRFFQ69G5FAW"

static char sealed[FB_TITLE_SEALED];

static void seal(const char *key, const char *subject, const char *language)
{
    struct fb_buf b;
    fb_buf_init(&b, FB_TITLE_SEALED);
    assert_int_equal(fb_title_seal(key, MSG, subject, language, &b), FB_OK);
    (void)snprintf(sealed, sizeof sealed, "%s", fb_buf_str(&b));
    fb_buf_deinit(&b);
}

static void assert_denied(const char *key, const char *msg_id, const char *text)
{
    struct fb_title t;
    static const struct fb_title nothing;
    memset(&t, 'x', sizeof t);
    assert_int_equal(fb_title_open(key, msg_id, text, &t), FB_DENIED);
    assert_memory_equal(&t, &nothing, sizeof t);
}

static void what_was_sealed_comes_back(void **state)
{
    (void)state;
    static const struct {
        const char *subject, *language;
    } rows[] = {{"Quote 2026", "en"}, {"見積書", "ja"}, {"", ""}, {"x", "both"}, {NULL, NULL}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fb_title t;
        seal(KEY, rows[i].subject, rows[i].language);
        assert_int_equal(fb_title_open(KEY, MSG, sealed, &t), FB_OK);
        assert_string_equal(t.subject, rows[i].subject != NULL ? rows[i].subject : "");
        assert_string_equal(t.language, rows[i].language != NULL ? rows[i].language : "");
    }
}

static void it_does_not_show_and_is_never_the_same_twice(void **state)
{
    (void)state;
    char first[FB_TITLE_SEALED];
    seal(KEY, "Quote 2026", "en");
    memcpy(first, sealed, sizeof first);
    seal(KEY, "Quote 2026", "en");
    assert_string_not_equal(first, sealed);
    assert_null(strstr(sealed, "Quote"));
}

static void a_long_subject_is_cut_before_a_character(void **state)
{
    (void)state;
    char subject[3 * 400 + 1];
    struct fb_title t;
    for (size_t i = 0; i < 400; i++) {
        memcpy(subject + 3 * i, "あ", 3);
    }
    subject[1200] = '\0';
    seal(KEY, subject, "ja");
    assert_int_equal(fb_title_open(KEY, MSG, sealed, &t), FB_OK);
    assert_int_equal(strlen(t.subject), 1023); /* 341 of 3 bytes: it fits exactly */
    assert_memory_equal(t.subject, subject, 1023);
    seal(KEY, subject + 1200 - 1023, "ja");
    assert_int_equal(fb_title_open(KEY, MSG, sealed, &t), FB_OK);
    assert_int_equal(strlen(t.subject), 1023);
    subject[0] = 'a'; /* shifted by the two bytes that follow: neither is a character */
    seal(KEY, subject, "ja");
    assert_int_equal(fb_title_open(KEY, MSG, sealed, &t), FB_OK);
    assert_true(strlen(t.subject) <= 1023);
    memmove(subject + 1, subject + 3, 1198); /* "a" and whole characters again */
    seal(KEY, subject, "ja");
    assert_int_equal(fb_title_open(KEY, MSG, sealed, &t), FB_OK);
    assert_int_equal(strlen(t.subject), 1021); /* 1 + 340 * 3; one more would be half of one */
}

static void another_message_or_key_opens_nothing(void **state)
{
    (void)state;
    seal(KEY, "Quote 2026", "en");
    assert_denied(KEY, OTHER, sealed);
    assert_denied("another key of thirty-two letters.", MSG, sealed);
    assert_denied(NULL, MSG, sealed);
    assert_denied("", MSG, sealed);
    assert_denied(KEY, MSG, NULL);
    assert_denied(KEY, MSG, "");
}

static void without_a_key_there_is_no_title(void **state)
{
    (void)state;
    seal(NULL, "Quote", "en");
    assert_string_equal(sealed, "");
    seal("", "Quote", "en");
    assert_string_equal(sealed, "");
}

static void every_changed_bit_is_found(void **state)
{
    (void)state;
    struct fb_buf bytes;
    seal(KEY, "Quote 2026", "en");
    fb_buf_init(&bytes, FB_TITLE_SEALED);
    assert_int_equal(fb_base64_decode(fb_slice_str(sealed), &bytes), FB_OK);
    for (size_t bit = 0; bit < bytes.len * 8; bit++) {
        struct fb_buf text;
        fb_buf_init(&text, FB_TITLE_SEALED);
        bytes.ptr[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        assert_int_equal(fb_base64_encode(fb_slice_buf(&bytes), &text), FB_OK);
        assert_denied(KEY, MSG, fb_buf_str(&text));
        bytes.ptr[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        fb_buf_deinit(&text);
    }
    for (size_t len = 0; len < bytes.len; len++) { /* cut, and longer */
        struct fb_buf text;
        fb_buf_init(&text, FB_TITLE_SEALED);
        assert_int_equal(fb_base64_encode(fb_slice_of(bytes.ptr, len), &text), FB_OK);
        assert_denied(KEY, MSG, fb_buf_str(&text));
        fb_buf_deinit(&text);
    }
    assert_int_equal(fb_buf_add_char(&bytes, 'x'), FB_OK);
    struct fb_buf longer;
    fb_buf_init(&longer, FB_TITLE_SEALED);
    assert_int_equal(fb_base64_encode(fb_slice_buf(&bytes), &longer), FB_OK);
    assert_denied(KEY, MSG, fb_buf_str(&longer));
    fb_buf_deinit(&longer);
    fb_buf_deinit(&bytes);
    char *huge = calloc(1, 1U << 20);
    assert_non_null(huge);
    memset(huge, 'A', (1U << 20) - 1);
    assert_denied(KEY, MSG, huge);
    free(huge);
    assert_denied(KEY, MSG, "not base64!");
}

static void what_cannot_be_a_title_is_refused(void **state)
{
    (void)state;
    struct fb_buf b;
    fb_buf_init(&b, FB_TITLE_SEALED);
    assert_int_equal(fb_title_seal(KEY, MSG, "x", "a language", &b), FB_INVALID);
    assert_int_equal(fb_title_seal(KEY, "no id", "x", "en", &b), FB_INVALID);
    assert_int_equal(b.len, 0);
    fb_buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_sealed_comes_back),
        cmocka_unit_test(it_does_not_show_and_is_never_the_same_twice),
        cmocka_unit_test(a_long_subject_is_cut_before_a_character),
        cmocka_unit_test(another_message_or_key_opens_nothing),
        cmocka_unit_test(without_a_key_there_is_no_title),
        cmocka_unit_test(every_changed_bit_is_found),
        cmocka_unit_test(what_cannot_be_a_title_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
