/* SPDX-License-Identifier: Apache-2.0
 *
 * Which part of a file a Range header asks for (RFC 9110 14). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/http_range.h"

#define WHOLE FB_HTTP_RANGE_WHOLE
#define PART  FB_HTTP_RANGE_PART
#define NONE  FB_HTTP_RANGE_NONE

static const struct {
    const char *value;
    uint64_t size;
    enum fb_http_range range;
    uint64_t first, last;
} rows[] = {
    {NULL, 1000, WHOLE, 0, 0},
    {"", 1000, WHOLE, 0, 0},
    {"bytes=0-0", 1000, PART, 0, 0},
    {"bytes=0-499", 1000, PART, 0, 499},
    {"bytes=500-999", 1000, PART, 500, 999},
    {"bytes=500-", 1000, PART, 500, 999},
    {"bytes=0-", 1000, PART, 0, 999},
    {"bytes=999-", 1000, PART, 999, 999},
    {"bytes=500-5000", 1000, PART, 500, 999},
    {"bytes=-1", 1000, PART, 999, 999},
    {"bytes=-500", 1000, PART, 500, 999},
    {"bytes=-5000", 1000, PART, 0, 999},
    {"BYTES=1-2", 1000, PART, 1, 2},
    {" bytes=1-2 ", 1000, PART, 1, 2},
    {"bytes= 1-2 ", 1000, PART, 1, 2},
    {"bytes=,1-2,", 1000, PART, 1, 2},
    {"bytes=, , 1-2 ,", 1000, PART, 1, 2},
    /* nothing lies there */
    {"bytes=1000-", 1000, NONE, 0, 0},
    {"bytes=1000-2000", 1000, NONE, 0, 0},
    {"bytes=-0", 1000, NONE, 0, 0},
    {"bytes=0-", 0, NONE, 0, 0},
    {"bytes=18446744073709551615-", 1000, NONE, 0, 0},
    {"bytes=99999999999999999999999-", 1000, NONE, 0, 0},
    /* several: the whole */
    {"bytes=0-1,5-6", 1000, WHOLE, 0, 0},
    {"bytes=0-1, -1", 1000, WHOLE, 0, 0},
    /* cannot be read: ignored */
    {"bytes=5-4", 1000, WHOLE, 0, 0},
    {"bytes=", 1000, WHOLE, 0, 0},
    {"bytes=-", 1000, WHOLE, 0, 0},
    {"bytes=a-b", 1000, WHOLE, 0, 0},
    {"bytes=1-2x", 1000, WHOLE, 0, 0},
    {"bytes=+1-2", 1000, WHOLE, 0, 0},
    {"bytes=1--2", 1000, WHOLE, 0, 0},
    {"bytes=1", 1000, WHOLE, 0, 0},
    {"bytes 1-2", 1000, WHOLE, 0, 0},
    {"items=0-1", 1000, WHOLE, 0, 0},
    /* large files */
    {"bytes=5000000000-", 6000000000ULL, PART, 5000000000ULL, 5999999999ULL},
    {"bytes=-1", UINT64_MAX, PART, UINT64_MAX - 1, UINT64_MAX - 1},
    {"bytes=0-99999999999999999999999", UINT64_MAX, PART, 0, UINT64_MAX - 1},
    {"bytes=-5", 0, WHOLE, 0, 0},
};

static void a_range_is_what_the_rfc_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t first = 0, last = 0;
        enum fb_http_range range = fb_http_range_parse(rows[i].value, rows[i].size, &first, &last);
        if (range != rows[i].range ||
            (range == PART && (first != rows[i].first || last != rows[i].last))) {
            fail_msg("%s of %llu: got %d %llu-%llu", rows[i].value,
                     (unsigned long long)rows[i].size, (int)range, (unsigned long long)first,
                     (unsigned long long)last);
        }
    }
}

static void only_the_very_file_is_continued(void **state)
{
    (void)state;
    assert_true(fb_http_range_is_fresh(NULL, "\"a\""));
    assert_true(fb_http_range_is_fresh(NULL, NULL));
    assert_true(fb_http_range_is_fresh("\"a\"", "\"a\""));
    assert_false(fb_http_range_is_fresh("\"b\"", "\"a\""));
    assert_false(fb_http_range_is_fresh("W/\"a\"", "\"a\""));
    assert_false(fb_http_range_is_fresh("W/\"a\"", "W/\"a\""));
    assert_false(fb_http_range_is_fresh("\"a\"", NULL));
    assert_false(fb_http_range_is_fresh("Sat, 28 Nov 2026 10:00:00 GMT", "\"a\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_range_is_what_the_rfc_says),
        cmocka_unit_test(only_the_very_file_is_continued),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
