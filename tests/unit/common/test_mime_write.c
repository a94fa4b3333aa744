/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "common/mime_write.h"

static void expect(const char *name, const struct fb_buf *got, const char *want)
{
    if (strcmp(fb_buf_str(got), want) != 0) {
        fail_msg("%s: got\n%s\nwant\n%s", name, fb_buf_str(got), want);
    }
}

static void test_fields_are_encoded_and_folded(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value, *want;
    } rows[] = {
        {"plain", "Hello", "Subject: Hello\r\n"},
        {"empty", "", "Subject:\r\n"},
        {"kana", "あ", "Subject: =?UTF-8?B?44GC?=\r\n"},
        {"cut between characters", "ああああああああああああああ",
         "Subject: =?UTF-8?B?44GC44GC44GC44GC44GC44GC44GC44GC44GC44GC44GC44GC44GC?=\r\n "
         "=?UTF-8?B?44GC?=\r\n"},
        {"looks like an encoded-word",
         "=?UTF-8?Q?x?=", "Subject: =?UTF-8?B?PT9VVEYtOD9RP3g/PQ==?=\r\n"},
        {"a line break cannot bring a field", "a\r\nBcc: x@y",
         "Subject: =?UTF-8?B?YQ0KQmNjOiB4QHk=?=\r\n"},
        {"folded", "a234567890 b234567890 c234567890 d234567890 e234567890 f234567890 g234567890",
         "Subject: a234567890 b234567890 c234567890 d234567890 e234567890 f234567890\r\n "
         "g234567890\r\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fb_buf out;
        fb_buf_init(&out, 65536);
        assert_int_equal(fb_mime_write_field(&out, "Subject", rows[i].value), FB_OK);
        expect(rows[i].name, &out, rows[i].want);
        fb_buf_deinit(&out);
    }
}

static void test_ready_values_keep_their_blanks(void **state)
{
    (void)state;
    struct fb_buf out;
    fb_buf_init(&out, 65536);
    assert_int_equal(fb_mime_write_folded(&out, "Subject", "  a  b\t=?UTF-8?B?44GC?=\r\n c  "),
                     FB_OK);
    expect("folded", &out, "Subject: a  b\t=?UTF-8?B?44GC?= c\r\n");
    fb_buf_deinit(&out);
}

/* RFC 5322 2.1.1: 998 characters at most, whatever the value. */
static void test_no_line_is_too_long(void **state)
{
    (void)state;
    char value[5000];
    for (size_t len = 60; len < sizeof value; len = len * 3 / 2) {
        memset(value, 'x', len);
        value[len] = '\0';
        struct fb_buf out;
        fb_buf_init(&out, 65536);
        assert_int_equal(fb_mime_write_field(&out, "Subject", value), FB_OK);
        assert_int_equal(fb_mime_write_parameter(&out, "filename", value), FB_OK);
        size_t column = 0;
        for (size_t i = 0; i < out.len; i++) {
            column = out.ptr[i] == '\n' ? 0 : column + 1;
            assert_true(column <= 998);
        }
        fb_buf_deinit(&out);
    }
}

static void test_parameters(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value, *want;
    } rows[] = {
        {"plain", "a b.pdf", ";\r\n filename=\"a b.pdf\""},
        {"kana", "あ.pdf", ";\r\n filename*0*=UTF-8''%E3%81%82.pdf"},
        {"quote", "a\".pdf", ";\r\n filename*0*=UTF-8''a%22.pdf"},
        {"a line break cannot bring a field", "a\r\nX: y",
         ";\r\n filename*0*=UTF-8''a%0D%0AX%3A%20y"},
        {"continued", "ああああああ",
         ";\r\n filename*0*=UTF-8''%E3%81%82%E3%81%82%E3%81%82%E3%81%82%E3%81%82%E3;\r\n "
         "filename*1*=%81%82"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fb_buf out;
        fb_buf_init(&out, 65536);
        assert_int_equal(fb_mime_write_parameter(&out, "filename", rows[i].value), FB_OK);
        expect(rows[i].name, &out, rows[i].want);
        fb_buf_deinit(&out);
    }
}

static void test_mailboxes(void **state)
{
    (void)state;
    static const struct {
        const char *name, *display, *want;
    } rows[] = {
        {"none", NULL, "From: <p@x>\r\n"},
        {"empty", "", "From: <p@x>\r\n"},
        {"plain", "Example, Inc.", "From: \"Example, Inc.\"\r\n <p@x>\r\n"},
        {"kana", "例", "From: =?UTF-8?B?5L6L?=\r\n <p@x>\r\n"},
        {"quote", "a\"b", "From: =?UTF-8?B?YSJi?=\r\n <p@x>\r\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fb_buf out;
        fb_buf_init(&out, 65536);
        assert_int_equal(fb_mime_write_mailbox(&out, "From", rows[i].display, "p@x"), FB_OK);
        expect(rows[i].name, &out, rows[i].want);
        fb_buf_deinit(&out);
    }
}

static void test_quoted_printable(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *want;
    } rows[] = {
        {"LF and CRLF", "a\nb\r\nc", "a\r\nb\r\nc\r\n"},
        {"bare CR", "a\rb", "a=0Db\r\n"},
        {"blank at the end of a line", "a \nb\t", "a=20\r\nb=09\r\n"},
        {"equals", "a=b", "a=3Db\r\n"},
        {"long",
         "12345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
         "0",
         "123456789012345678901234567890123456789012345678901234567890123456789012345="
         "\r\n678901234567890\r\n"},
        {"empty", "", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fb_buf out;
        fb_buf_init(&out, 65536);
        assert_int_equal(fb_mime_write_qp(&out, fb_slice_str(rows[i].text)), FB_OK);
        expect(rows[i].name, &out, rows[i].want);
        fb_buf_deinit(&out);
    }
}

/* RFC 2045 6.8 */
static void test_text_in_base64_has_crlf(void **state)
{
    (void)state;
    struct fb_buf out;
    fb_buf_init(&out, 65536);
    assert_int_equal(fb_mime_write_text(&out, "plain", fb_slice_str("あ\nい\r\nう")), FB_OK);
    expect("base64", &out,
           "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: "
           "base64\r\n\r\n44GCDQrjgYQNCuOBhg==\r\n");
    fb_buf_deinit(&out);
}

static void test_dates(void **state)
{
    (void)state;
    char text[48];
    fb_mime_date(1764065700000, text);
    assert_string_equal(text, "Tue, 25 Nov 2025 10:15:00 +0000");
    fb_mime_date(1709164800000, text);
    assert_string_equal(text, "Thu, 29 Feb 2024 00:00:00 +0000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields_are_encoded_and_folded),
        cmocka_unit_test(test_ready_values_keep_their_blanks),
        cmocka_unit_test(test_no_line_is_too_long),
        cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_mailboxes),
        cmocka_unit_test(test_quoted_printable),
        cmocka_unit_test(test_text_in_base64_has_crlf),
        cmocka_unit_test(test_dates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
