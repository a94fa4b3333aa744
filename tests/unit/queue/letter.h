/* SPDX-License-Identifier: Apache-2.0
 *
 * A message on its way, for the tests of the ledger: from sender@example.jp to user0@example.com and further ones.
 */
#ifndef FB_TESTS_UNIT_QUEUE_LETTER_H
#define FB_TESTS_UNIT_QUEUE_LETTER_H

#include "tests/unit/queue/queue_test.h"

#define DAY_MS (86400LL * 1000)
#define TTL_MS (400 * DAY_MS)

struct letter {
    struct fb_job job;
    struct fb_envelope envelope;
    struct fb_plan plan;
    int64_t remind_ms, purge_ms;
};

/* n recipients: the first `passed` untouched (branch 1), the rest in a parcel (branch 0). */
struct letter *letter_new(uint32_t n, uint32_t passed);
void letter_free(struct letter *l);
void accept_letter(struct letter *l);
void plan_letter(struct letter *l);
void upload_letter(struct letter *l, int64_t expires_ms);
/* Claims and sends all recipients of the branch that the next rewrite job is for; whether it was the last. */
bool send_branch(struct letter *l, const char *state);
/* The message as the ledger tells it. */
struct fb_ledger_message get(const char *msg_id);

/* What a listing or a history gave: give collect() to it. */
struct names {
    char ids[16][FB_PARCEL_ID_SIZE]; /* longer ones (history lines) are cut */
    size_t count, max;
};
bool collect(void *ctx, const char *id);

#endif
