/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/alarm.h"
#include "common/metrics.h"
#include "tests/support/redis_fixture.h"

static struct redis_fixture redis;

static int start(void **state)
{
    (void)state;
    redis_fixture_start(&redis, 1);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    redis_fixture_stop(&redis);
    return 0;
}

static bool metrics_say(const char *line)
{
    struct fb_buf out;
    fb_buf_init(&out, 1 << 20);
    assert_int_equal(fb_metrics_render(&out), FB_OK);
    bool is_there = strstr(fb_buf_str(&out), line) != NULL;
    fb_buf_deinit(&out);
    return is_there;
}

static size_t listed(struct fb_redis *r, struct fb_alarm_entry *first_r)
{
    struct fb_error err = {0};
    struct fb_alarm_entry *list = NULL;
    size_t count = 0;
    assert_int_equal(fb_alarm_publish(r, &err), FB_OK);
    assert_int_equal(fb_alarm_list(r, &list, &count, &err), FB_OK);
    if (count > 0) {
        *first_r = list[0];
    }
    free(list);
    return count;
}

static void test_raised_until_cleared(void **state)
{
    (void)state;
    struct fb_redis *r = redis_fixture_connect(&redis);
    struct fb_alarm_entry e = {0};
    fb_alarm_reset();
    fb_alarm_clear(FB_ALARM_STORAGE, "box"); /* was never on */
    assert_true(metrics_say("fumibako_alarm{kind=\"storage\"} 0\n"));
    assert_int_equal(listed(r, &e), 0);
    fb_alarm_raise(FB_ALARM_STORAGE, "a|b\n", "line one\nline two");
    fb_alarm_raise(FB_ALARM_STORAGE, "box", "away");
    assert_true(metrics_say("fumibako_alarm{kind=\"storage\"} 2\n"));
    assert_int_equal(listed(r, &e), 2);
    fb_alarm_clear(FB_ALARM_STORAGE, "box");
    assert_int_equal(listed(r, &e), 1);
    assert_string_equal(e.cause, "a?b?");
    assert_string_equal(e.text, "line one?line two");
    assert_int_equal(e.kind, FB_ALARM_STORAGE);
    assert_true(e.since_ms > 0 && e.news_ms == e.since_ms);
    fb_alarm_raise(FB_ALARM_STORAGE, "a|b\n", "another word");
    assert_int_equal(listed(r, &e), 1);
    assert_true(e.news_ms >= e.since_ms);
    assert_string_equal(e.text, "another word");
    fb_alarm_clear(FB_ALARM_STORAGE, "a|b\n");
    assert_int_equal(listed(r, &e), 0);
    assert_true(metrics_say("fumibako_alarm{kind=\"storage\"} 0\n"));
    fb_redis_free(&r);
}

static void test_told_once_an_hour_and_without_news_once_a_day(void **state)
{
    (void)state;
    struct fb_redis *r = redis_fixture_connect(&redis);
    struct fb_error err = {0};
    bool may = false;
    assert_int_equal(fb_alarm_tell(r, FB_ALARM_HELD, 1000, &may, &err), FB_OK);
    assert_true(may);
    assert_int_equal(fb_alarm_tell(r, FB_ALARM_HELD, 2000, &may, &err), FB_OK);
    assert_false(may); /* news, within the hour */
    assert_int_equal(fb_alarm_tell(r, FB_ALARM_RELAY, 1000, &may, &err), FB_OK);
    assert_true(may); /* another kind */
    assert_true(redis_fixture_int(&redis, "TTL", "fb:{s0}:alarm:told:held", NULL) > 3500);
    (void)redis_fixture_int(&redis, "DEL", "fb:{s0}:alarm:told:held", NULL); /* an hour later */
    assert_int_equal(fb_alarm_tell(r, FB_ALARM_HELD, 1000, &may, &err), FB_OK);
    assert_false(may); /* no news */
    assert_int_equal(fb_alarm_tell(r, FB_ALARM_HELD, 2000, &may, &err), FB_OK);
    assert_true(may);
    fb_alarm_untell(r, FB_ALARM_HELD); /* it could not be sent */
    assert_int_equal(fb_alarm_tell(r, FB_ALARM_HELD, 2000, &may, &err), FB_OK);
    assert_true(may);
    fb_redis_free(&r);
}

static void test_strange_and_stale_entries_are_passed_over(void **state)
{
    (void)state;
    static const char *const bad[][2] = {{"unknown|x|who", "1|1|1|text"},
                                         {"held|x|who", "1|1|1|stale"},
                                         {"held", ""},
                                         {"held|x|who2", "not a number|1|1|text"},
                                         {"", "1"}};
    struct fb_redis *r = redis_fixture_connect(&redis);
    struct fb_alarm_entry e = {0};
    fb_alarm_reset();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        (void)redis_fixture_int(&redis, "HSET", "fb:{s0}:alarm", bad[i][0], bad[i][1], NULL);
    }
    assert_int_equal(listed(r, &e), 0);
    fb_redis_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_raised_until_cleared),
        cmocka_unit_test(test_told_once_an_hour_and_without_news_once_a_day),
        cmocka_unit_test(test_strange_and_stale_entries_are_passed_over),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
