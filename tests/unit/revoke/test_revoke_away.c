/* SPDX-License-Identifier: Apache-2.0
 *
 * A storage that is away is tried by one, and nobody waits for one that is there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */
#include "services/revoke/away.h"

static void three_failures_in_a_row_make_the_others_wait(void **state)
{
    (void)state;
    struct revoke_away *a = revoke_away_new();
    for (int i = 0; i < 2; i++) {
        assert_int_equal(revoke_away_wait(a, "box"), 0);
        revoke_away_tell(a, "box", false);
    }
    assert_int_equal(revoke_away_wait(a, "box"), 0);
    revoke_away_tell(a, "box", false);
    int64_t wait_ms = revoke_away_wait(a, "box");
    assert_true(wait_ms > 0 && wait_ms <= 60000);
    assert_int_equal(revoke_away_wait(a, "vault"), 0);
    revoke_away_free(&a);
}

static void one_answer_lets_all_go_on(void **state)
{
    (void)state;
    struct revoke_away *a = revoke_away_new();
    for (int i = 0; i < 3; i++) {
        revoke_away_tell(a, "box", false);
    }
    assert_true(revoke_away_wait(a, "box") > 0);
    revoke_away_tell(a, "box", true);
    assert_int_equal(revoke_away_wait(a, "box"), 0);
    revoke_away_free(&a);
}

static void failures_with_an_answer_between_are_not_in_a_row(void **state)
{
    (void)state;
    struct revoke_away *a = revoke_away_new();
    for (int i = 0; i < 10; i++) {
        revoke_away_tell(a, "box", false);
        revoke_away_tell(a, "box", false);
        revoke_away_tell(a, "box", true);
    }
    assert_int_equal(revoke_away_wait(a, "box"), 0);
    revoke_away_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_failures_in_a_row_make_the_others_wait),
        cmocka_unit_test(one_answer_lets_all_go_on),
        cmocka_unit_test(failures_with_an_answer_between_are_not_in_a_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
