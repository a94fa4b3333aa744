/* SPDX-License-Identifier: Apache-2.0
 *
 * The letter with a reader's code: put into rewrite's queue by the portal, right behind the code itself
 * (door.h), and read back by rewrite when it sends it.  The job names the reader and when the code was
 * made; the code lies in `fb:{sN}:pc:<parcel>.<recipient>`, sealed (common/proof_code.h).
 *
 * What was replaced, used, locked or is over since is not there any more for the letter: nothing is sent
 * that would not be taken at the door.
 */
#ifndef FB_COMMON_LEDGER_CODE_H
#define FB_COMMON_LEDGER_CODE_H

#include "common/ledger/door.h"
#include "common/queue/queue.h"

/* made_ms: the now_ms of fb_door_code_ask.  FB_INVALID for what is no parcel's id; statuses of Redis.
 * Without the letter the code stays as it is: the reader asks for another one. */
FB_MUST_USE enum fb_status fb_ledger_code_send(struct fb_redis *r, const char *parcel_id,
                                               uint32_t recipient, int64_t made_ms,
                                               struct fb_error *err);

struct fb_ledger_code {
    char sealed[FB_DOOR_SEALED];
    char to[FB_DOOR_ADDRESS];
    int64_t until_ms; /* the end of the code */
};
/* The code that the letter is for.  FB_NOT_FOUND: it is not to be sent (any more); statuses of Redis.
 * code_r is zeros then. */
FB_MUST_USE enum fb_status fb_ledger_code_get(struct fb_redis *r, const struct fb_job *letter,
                                              int64_t now_ms, struct fb_ledger_code *code_r,
                                              struct fb_error *err);

#endif
