/* SPDX-License-Identifier: Apache-2.0
 *
 * Letters of each kind, as the composing functions want them. */
#ifndef FB_TESTS_UNIT_REWRITE_LETTER_KIT_H
#define FB_TESTS_UNIT_REWRITE_LETTER_KIT_H

#include "compose_kit.h"

#define LETTER_NOW  (INT64_C(1795834800000)) /* 2026-11-28 03:00 UTC */
#define LETTER_PAGE "https://portal.example.jp/s/AbC-123_x"
#define LETTER_ID   "01ARZ3NDEKTSV4RRFFQ69G5FAV"
#define LETTER_RC   "01BX5ZZKBKACTAV9WEVGEMMVRZ"

struct letter_kit {
    struct letter_facts facts;
    struct letter_person persons[4];
    struct fb_evidence evidence[4];
    struct fb_parcel_file files[2];
    struct fb_job job;
};

/* A letter about an English mail of a@example.jp to b@y and c@y; recall: both closed, nothing seen,
 * final. */
void letter_kit_init(struct letter_kit *l, enum fb_letter letter, const struct fb_policy *policy);

#endif
