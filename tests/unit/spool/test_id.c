/* SPDX-License-Identifier: Apache-2.0
 *
 * Ids are unique, in order, and strict when they are read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/id.h"

static void ids_increase_and_tell_their_time(void **state)
{
    (void)state;
    char last[FB_ID_SIZE] = "";
    for (int i = 0; i < 20000; i++) {
        char id[FB_ID_SIZE];
        int64_t before = fb_now_ms();
        fb_id_new(id);
        assert_true(fb_id_is_valid(id));
        assert_true(strcmp(last, id) < 0);
        int64_t at = fb_id_time_ms(id);
        assert_true(at >= before && at <= fb_now_ms());
        memcpy(last, id, sizeof id);
    }
}

static void a_forked_child_makes_other_ids(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        char id[FB_ID_SIZE];
        char mine[FB_ID_SIZE];
        char theirs[FB_ID_SIZE] = "";
        int fds[2];
        fb_id_new(id);
        assert_int_equal(pipe(fds), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        fb_id_new(mine);
        if (pid == 0) {
            _exit(write(fds[1], mine, sizeof mine) == (ssize_t)sizeof mine ? 0 : 1);
        }
        assert_int_equal(read(fds[0], theirs, sizeof theirs), sizeof theirs);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        (void)close(fds[0]);
        (void)close(fds[1]);
        assert_true(fb_id_is_valid(theirs));
        assert_string_not_equal(mine, theirs);
    }
}

static void wrong_ids_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *id;
        bool is_valid;
    } rows[] = {
        {"example of the ULID specification", "01ARZ3NDEKTSV4RRFFQ69G5FAV", true},
        {"largest", "7ZZZZZZZZZZZZZZZZZZZZZZZZZ", true},
        {"past 128 bits", "8ZZZZZZZZZZZZZZZZZZZZZZZZZ", false},
        {"lower case", "01arz3ndektsv4rrffq69g5fav", false},
        {"letter U", "01ARZ3NDEKTSV4RRFFQ69G5FAU", false},
        {"letter I", "01ARZ3NDEKTSV4RRFFQ69G5FAI", false},
        {"short", "01ARZ3NDEKTSV4RRFFQ69G5FA", false},
        {"long", "01ARZ3NDEKTSV4RRFFQ69G5FAVV", false},
        {"slash", "01ARZ3NDEKTSV4RRFFQ69G5F/.", false},
        {"empty", "", false},
        {"none", NULL, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (fb_id_is_valid(rows[i].id) != rows[i].is_valid) {
            fail_msg("%s", rows[i].name);
        }
    }
    assert_int_equal(fb_id_time_ms("01ARZ3NDEKTSV4RRFFQ69G5FAV"), 1469922850259LL);
    assert_int_equal(fb_id_time_ms("nonsense"), 0);
}

static void parcel_ids_come_apart_as_they_were_made(void **state)
{
    (void)state;
    static const uint32_t branches[] = {0, 1, 9, 10, 999, 1000};
    char id[FB_ID_SIZE];
    char back[FB_ID_SIZE];
    char parcel[FB_PARCEL_ID_SIZE];
    uint32_t branch = 0;
    fb_id_new(id);
    for (size_t i = 0; i < sizeof branches / sizeof *branches; i++) {
        fb_parcel_id_make(id, branches[i], parcel);
        assert_true(fb_parcel_id_split(parcel, back, &branch));
        assert_string_equal(back, id);
        assert_int_equal(branch, branches[i]);
    }
    static const char *const wrong[] = {
        "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "01ARZ3NDEKTSV4RRFFQ69G5FAV-",
        "01ARZ3NDEKTSV4RRFFQ69G5FAV-01",
        "01ARZ3NDEKTSV4RRFFQ69G5FAV-1001",
        "01ARZ3NDEKTSV4RRFFQ69G5FAV-00001",
        "01ARZ3NDEKTSV4RRFFQ69G5FAV-1x",
        "01ARZ3NDEKTSV4RRFFQ69G5FAV--1",
        "01ARZ3NDEKTSV4RRFFQ69G5FAV_1",
        "../../../etc/passwd-1",
        "",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (fb_parcel_id_split(wrong[i], back, &branch)) {
            fail_msg("taken: %s", wrong[i]);
        }
    }
    assert_false(fb_parcel_id_split(NULL, back, &branch));
}

static void traceparents_follow_the_standard(void **state)
{
    (void)state;
    char a[FB_TRACE_SIZE];
    char b[FB_TRACE_SIZE];
    fb_trace_new(a);
    fb_trace_new(b);
    assert_true(fb_trace_is_valid(a));
    assert_string_not_equal(a, b);
    static const char good[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    assert_true(fb_trace_is_valid(good));
    static const char *const wrong[] = {
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-011",
        "00-4bf92f3577b34da6a3ce929d0e0e4736+00f067aa0ba902b7-01",
        "",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (fb_trace_is_valid(wrong[i])) {
            fail_msg("taken: %s", wrong[i]);
        }
    }
}

static void random_below_stays_below_and_reaches_all(void **state)
{
    (void)state;
    bool seen[7] = {false};
    for (int i = 0; i < 1000; i++) {
        uint64_t n = fb_random_below(7);
        assert_true(n < 7);
        seen[n] = true;
    }
    for (size_t i = 0; i < 7; i++) {
        assert_true(seen[i]);
    }
    assert_int_equal(fb_random_below(1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_increase_and_tell_their_time),
        cmocka_unit_test(a_forked_child_makes_other_ids),
        cmocka_unit_test(wrong_ids_are_refused),
        cmocka_unit_test(parcel_ids_come_apart_as_they_were_made),
        cmocka_unit_test(traceparents_follow_the_standard),
        cmocka_unit_test(random_below_stays_below_and_reaches_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
