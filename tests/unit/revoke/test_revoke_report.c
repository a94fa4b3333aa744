/* SPDX-License-Identifier: Apache-2.0
 *
 * When a recall's sender is told: never "final" before everything is, and never silent for long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */
#include <string.h>

#include "services/revoke/report.h"

#define S       INT64_C(1000)
#define RECALL  (1000000 * S)
#define MINUTES (60 * S)

struct row {
    const char *name;
    int64_t age_ms;
    uint32_t jobs_left;
    const char *told;
    bool is_final[2];
    bool is_one; /* of the first recipient only */
    const char *from;
    enum revoke_report want;
    int64_t next_ms; /* from now */
};

static const struct row rows[] = {
    {.name = "just asked", .jobs_left = 1, .want = REVOKE_REPORT_LATER, .next_ms = 5 * S},
    {.name = "jobs take long",
     .age_ms = 6 * MINUTES,
     .jobs_left = 1,
     .want = REVOKE_REPORT_INTERIM,
     .next_ms = 15 * S},
    {.name = "told that they take long",
     .age_ms = 7 * MINUTES,
     .jobs_left = 1,
     .told = "interim",
     .want = REVOKE_REPORT_LATER,
     .next_ms = 15 * S},
    {.name = "final evidence, but a job is left",
     .age_ms = S,
     .jobs_left = 1,
     .is_final = {true, true},
     .want = REVOKE_REPORT_LATER,
     .next_ms = 5 * S},
    {.name = "done, the log is open",
     .age_ms = S,
     .is_final = {true, false},
     .want = REVOKE_REPORT_INTERIM,
     .next_ms = 15 * S},
    {.name = "told so, still open",
     .age_ms = 3 * MINUTES,
     .told = "interim",
     .want = REVOKE_REPORT_LATER,
     .next_ms = 15 * S},
    {.name = "all final at once",
     .age_ms = S,
     .is_final = {true, true},
     .want = REVOKE_REPORT_FINAL},
    {.name = "final after an interim letter",
     .age_ms = 20 * MINUTES,
     .told = "interim",
     .is_final = {true, true},
     .want = REVOKE_REPORT_FINAL},
    {.name = "the other recipient is not its business",
     .age_ms = S,
     .is_final = {true, false},
     .is_one = true,
     .want = REVOKE_REPORT_FINAL},
    {.name = "a day without the log",
     .age_ms = 25 * 60 * MINUTES,
     .told = "interim",
     .want = REVOKE_REPORT_FINAL},
    {.name = "a day without the storage",
     .age_ms = 25 * 60 * MINUTES,
     .jobs_left = 1,
     .told = "interim",
     .want = REVOKE_REPORT_FINAL},
    {.name = "told for good",
     .age_ms = 25 * 60 * MINUTES,
     .told = "final",
     .want = REVOKE_REPORT_NONE},
    {.name = "nobody to tell",
     .age_ms = S,
     .is_final = {true, true},
     .from = "",
     .want = REVOKE_REPORT_NONE},
};

static void the_sender_is_told_when_and_as_far_as_it_is_so(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *row = &rows[i];
        char from[32] = "taro@example.jp";
        uint32_t first[1] = {0};
        struct fb_ledger_message m = {.from = from, .recipient_count = 2};
        struct fb_recall recall = {.at_ms = RECALL,
                                   .is_all = !row->is_one,
                                   .recipients = first,
                                   .count = row->is_one ? 1 : 0,
                                   .jobs_left = row->jobs_left};
        const struct fb_evidence evidence[2] = {{.is_final = row->is_final[0]},
                                                {.recipient = 1, .is_final = row->is_final[1]}};
        int64_t next = 0;
        if (row->told != NULL) {
            memcpy(recall.told, row->told, strlen(row->told) + 1);
        }
        if (row->from != NULL) {
            from[0] = '\0';
        }
        int64_t now = RECALL + row->age_ms;
        enum revoke_report got = revoke_report_rule(&m, &recall, evidence, now, &next);
        if (got != row->want || (row->next_ms != 0 && next != now + row->next_ms)) {
            fail_msg("%s: got %d, want %d; next in %lld ms", row->name, (int)got, (int)row->want,
                     (long long)(next - now));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sender_is_told_when_and_as_far_as_it_is_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
