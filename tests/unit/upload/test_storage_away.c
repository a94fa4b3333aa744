/* SPDX-License-Identifier: Apache-2.0
 *
 * A storage that is down is tried by one, nobody waits for one that is there, and a slow one leaves
 * threads to others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */
#include "common/alarm.h"
#include "common/log.h"
#include "common/metrics.h"
#include "services/upload/away.h"

static int64_t now_ms; /* what the module takes for the time */

int64_t __wrap_fb_mono_ms(void);
int64_t __wrap_fb_mono_ms(void)
{
    return now_ms;
}

static int begin(void **state)
{
    (void)state;
    fb_log_init("test", FB_FATAL, false);
    now_ms = 1000000;
    storage_away_reset();
    fb_alarm_reset();
    return 0;
}

static void fails(int times)
{
    for (int i = 0; i < times; i++) {
        storage_away_tell("box", false);
    }
}

static int64_t enter(struct storage_stay *stay, const char *storage)
{
    return storage_away_enter(stay, storage, true);
}

static void three_failures_in_a_row_make_its_jobs_wait_and_nobody_else(void **state)
{
    (void)state;
    struct storage_stay a, b;
    fails(2);
    storage_away_tell("box", true);
    fails(2);
    assert_int_equal(enter(&a, "box"), 0);
    storage_away_leave(&a);
    fails(1);
    assert_true(storage_away_is_down("box"));
    int64_t wait_ms = enter(&a, "box");
    assert_in_range(wait_ms, 1, 3000);
    storage_away_leave(&a); /* was not in */
    assert_int_equal(enter(&b, "vault"), 0);
    assert_false(storage_away_is_down("vault"));
    storage_away_leave(&b);
}

static void one_tries_at_the_end_of_each_pause_and_pauses_grow(void **state)
{
    (void)state;
    struct storage_stay probe, other;
    int64_t pause = 2000;
    fails(3);
    for (int i = 0; i < 8; i++) {
        now_ms += pause - 1;
        assert_true(enter(&other, "box") > 0);
        now_ms += 1;
        assert_int_equal(enter(&probe, "box"), 0);
        assert_true(probe.is_probe);
        assert_true(enter(&other, "box") > 0);
        now_ms += 7000; /* it takes its time, and fails */
        assert_true(enter(&other, "box") > 0);
        fails(1);
        storage_away_leave(&probe);
        pause = pause * 2 < 30000 ? pause * 2 : 30000;
    }
    fails(5); /* stragglers do not make it longer */
    now_ms += pause;
    assert_int_equal(enter(&probe, "box"), 0);
    storage_away_tell("box", true);
    assert_int_equal(enter(&other, "box"), 0);
    storage_away_leave(&other);
    storage_away_leave(&probe);
    assert_false(storage_away_is_down("box"));
}

static void one_that_could_not_even_try_leaves_it_to_the_next(void **state)
{
    (void)state;
    struct storage_stay probe;
    fails(3);
    now_ms += 2000;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(enter(&probe, "box"), 0);
        storage_away_leave(&probe);
    }
}

static void a_slow_storage_keeps_half_of_the_threads_at_most(void **state)
{
    (void)state;
    struct storage_stay a[8], more;
    bool is_counted = false;
    storage_away_threads(8);
    for (int i = 0; i < 8; i++) { /* while it answers it may have all */
        assert_int_equal(enter(&a[i], "box"), 0);
    }
    now_ms += 4000;
    assert_false(storage_away_must_yield("box", 4000, &is_counted));
    now_ms += 2000;
    int yielded = 0;
    for (int i = 0; i < 8; i++) {
        if (storage_away_must_yield("box", 6000, &is_counted)) {
            storage_away_leave(&a[i]);
            yielded++;
        }
    }
    assert_int_equal(yielded, 4);
    assert_true(enter(&more, "box") > 0);
    assert_int_equal(enter(&more, "vault"), 0);
    storage_away_leave(&more);
    storage_away_tell("box", true); /* an answer, and it may have more again */
    assert_int_equal(enter(&more, "box"), 0);
    storage_away_leave(&more);
}

static void silent_calls_count_as_failures_and_are_given_up_when_it_is_down(void **state)
{
    (void)state;
    struct storage_stay a[3];
    bool is_counted[3] = {false};
    storage_away_threads(8);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(enter(&a[i], "box"), 0);
    }
    now_ms += 11000;
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < 3; i++) {
            assert_false(storage_away_must_yield("box", 11000, &is_counted[i]));
        }
    }
    assert_true(storage_away_is_down("box"));
    now_ms += 10000;
    assert_true(storage_away_must_yield("box", 21000, &is_counted[0]));
    for (int i = 0; i < 3; i++) {
        storage_away_leave(&a[i]);
    }
}

static void the_only_storage_may_be_slow_with_all_threads(void **state)
{
    (void)state;
    struct storage_stay a[4], more;
    bool is_counted = false;
    storage_away_threads(4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(storage_away_enter(&a[i], "box", false), 0);
    }
    now_ms += 60000;
    assert_false(storage_away_must_yield("box", 60000, &is_counted));
    assert_int_equal(storage_away_enter(&more, "box", false), 0);
    storage_away_leave(&more);
    for (int i = 0; i < 4; i++) {
        storage_away_leave(&a[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(three_failures_in_a_row_make_its_jobs_wait_and_nobody_else, begin),
        cmocka_unit_test_setup(one_tries_at_the_end_of_each_pause_and_pauses_grow, begin),
        cmocka_unit_test_setup(one_that_could_not_even_try_leaves_it_to_the_next, begin),
        cmocka_unit_test_setup(a_slow_storage_keeps_half_of_the_threads_at_most, begin),
        cmocka_unit_test_setup(silent_calls_count_as_failures_and_are_given_up_when_it_is_down,
                               begin),
        cmocka_unit_test_setup(the_only_storage_may_be_slow_with_all_threads, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
