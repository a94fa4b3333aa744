/* SPDX-License-Identifier: Apache-2.0 */
#include "letter_kit.h"

#include <stdio.h>

#define MINUTE (INT64_C(60000))

void letter_kit_init(struct letter_kit *l, enum fb_letter letter, const struct fb_policy *policy)
{
    *l = (struct letter_kit){.job = {.stage = FB_STAGE_REWRITE, .letter = letter}};
    (void)snprintf(l->job.msg_id, sizeof l->job.msg_id, "%s", LETTER_ID);
    if (letter == FB_LETTER_RECALL) {
        (void)snprintf(l->job.recall_id, sizeof l->job.recall_id, "%s", LETTER_RC);
    }
    l->files[0] = (struct fb_parcel_file){.name = kit_lend("report.xlsx"), .size = 1536};
    l->files[1] = (struct fb_parcel_file){.name = kit_lend("plan.pdf"), .size = 2048};
    const char *const addresses[] = {"b@y", "c@y", "d@y", "e@y"};
    for (size_t i = 0; i < 4; i++) {
        l->evidence[i] = (struct fb_evidence){.recipient = (uint32_t)i,
                                              .address = addresses[i],
                                              .kind = FB_EV_CLOSED,
                                              .is_notice_out = true,
                                              .removed_ms = LETTER_NOW - 20 * MINUTE,
                                              .complete_ms = LETTER_NOW - 10 * MINUTE,
                                              .log_until_ms = LETTER_NOW - MINUTE,
                                              .is_final = true};
        l->persons[i].address = addresses[i];
        l->persons[i].evidence = letter == FB_LETTER_RECALL ? &l->evidence[i] : NULL;
    }
    l->facts = (struct letter_facts){.letter = letter,
                                     .policy = policy,
                                     .has_title = true,
                                     .language = "en",
                                     .subject = "Report",
                                     .sender = "a@example.jp",
                                     .postmaster = "postmaster@example.jp",
                                     .msg_id = LETTER_ID,
                                     .accepted_ms = LETTER_NOW - 3 * 86400000LL,
                                     .page = LETTER_PAGE,
                                     .persons = l->persons,
                                     .person_count = 2,
                                     .rule = "tagged",
                                     .security = "s",
                                     .storage = "box",
                                     .access = "recipients",
                                     .expires_ms = LETTER_NOW + 30 * 86400000LL,
                                     .files = l->files,
                                     .file_count = 2,
                                     .has_parcel = true,
                                     .can_download = true,
                                     .password = "",
                                     .since_ms = LETTER_NOW - 3 * 86400000LL,
                                     .now_ms = LETTER_NOW,
                                     .log_until_ms = LETTER_NOW - MINUTE,
                                     .why = FB_CRASHED,
                                     .until_ms = LETTER_NOW + 30 * 86400000LL,
                                     .recalled_ms = LETTER_NOW - 30 * MINUTE,
                                     .actor = "a@example.jp",
                                     .reason = "",
                                     .is_final = letter == FB_LETTER_RECALL};
}
