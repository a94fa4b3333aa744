/* SPDX-License-Identifier: Apache-2.0
 *
 * What pressure is, and what follows from it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */
#include "services/ingest/pressure.h"

#define GIB (1ULL << 30)

static int percent_of(double quotient)
{
    return (int)(quotient * 100 + 0.5);
}

static void the_largest_decides_and_refusal_ends_below_nine_tenths_only(void **state)
{
    (void)state;
    static const struct {
        double redis;
        bool is_full;
        int delay_ms;
    } steps[] = {
        {0, false, 0},       {0.79, false, 0},    {0.9, false, 2500}, {0.999, false, 4975},
        {1.0, true, 5000},   {7.0, true, 5000},   {0.95, true, 3750}, {0.9, true, 2500},
        {0.89, false, 2250}, {0.95, false, 3750}, {0.5, false, 0},
    };
    struct pressure_state s = {.is_full = false};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        s.of[PRESSURE_AGE] = 0.1;
        s.of[PRESSURE_REDIS] = steps[i].redis;
        pressure_decide(&s);
        assert_int_equal(s.is_full, steps[i].is_full);
        assert_in_range(s.delay_ms, steps[i].delay_ms > 2 ? steps[i].delay_ms - 2 : 0,
                        steps[i].delay_ms + 2);
        assert_int_equal(s.cause, steps[i].redis > 0.1 ? PRESSURE_REDIS : PRESSURE_AGE);
    }
}

static void what_others_keep_on_the_disk_takes_room_but_is_no_pressure(void **state)
{
    (void)state;
    /* 100 GiB, others hold 70: an empty spool is at ease, with 10 GiB to its mark. */
    assert_int_equal(percent_of(pressure_of_spool(0, 70, 100 * GIB, 80, 0)), 0);
    assert_int_equal(percent_of(pressure_of_spool(5 * GIB, 75, 100 * GIB, 80, 0)), 50);
    assert_int_equal(percent_of(pressure_of_spool(9 * GIB, 79, 100 * GIB, 80, 0)), 90);
    assert_int_equal(percent_of(pressure_of_spool(10 * GIB, 80, 100 * GIB, 80, 0)), 100);
    assert_int_equal(percent_of(pressure_of_spool(0, 88, 100 * GIB, 80, 0)), 110);
    assert_int_equal(percent_of(pressure_of_spool(3 * GIB, 10, 100 * GIB, 80, 4LL << 30)), 75);
    assert_int_equal(percent_of(pressure_of_spool(3 * GIB, 0, 0, 80, 0)), 0); /* a bucket */
}

static void redis_counts_by_its_maxmemory_and_without_one_not_at_all(void **state)
{
    (void)state;
    assert_int_equal(percent_of(pressure_of_redis("# Memory\r\nused_memory:1000\r\n"
                                                  "used_memory_human:1K\r\nmaxmemory:0\r\n",
                                                  90)),
                     0);
    assert_int_equal(percent_of(pressure_of_redis("# Memory\r\nused_memory:900\r\n"
                                                  "total_system_memory:5\r\nmaxmemory:1000\r\n",
                                                  90)),
                     100);
    assert_int_equal(percent_of(pressure_of_redis("used_memory:950\r\nmaxmemory:1000\r\n"
                                                  "maxmemory_human:1K\r\n"
                                                  "mem_not_counted_for_evict:500\r\n",
                                                  90)),
                     50);
    assert_int_equal(percent_of(pressure_of_redis("", 90)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_largest_decides_and_refusal_ends_below_nine_tenths_only),
        cmocka_unit_test(what_others_keep_on_the_disk_takes_room_but_is_no_pressure),
        cmocka_unit_test(redis_counts_by_its_maxmemory_and_without_one_not_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
