/* SPDX-License-Identifier: Apache-2.0
 *
 * What the ledger says of a recipient who reads in a vault, and what is written of it.  The portal asks with each
 * request, and records openings and downloads; keys in ledger.md.
 *
 * 1. The vault's own state decides as well, and alone where the ledger knows nothing (Redis was lost): both must allow.
 * 2. A grant never goes back: pending, active, opened, downloaded; what is recalled, expired or purged stays so.
 * 3. One script checks, counts and writes, so that no download goes past max_downloads and none is counted after a
 *    recall.
 */
#ifndef FB_COMMON_LEDGER_READING_H
#define FB_COMMON_LEDGER_READING_H

#include "common/ledger/access.h"

enum fb_reading {
    FB_READING_ALLOWED,
    FB_READING_RECALLED, /* the sender or an operator took it back */
    FB_READING_ENDED,    /* its time is over, or its content was deleted */
    FB_READING_USED_UP   /* downloaded as often as allowed */
};

/* Whether the recipient may read now.  Changes nothing. */
FB_MUST_USE enum fb_status fb_ledger_reading_check(struct fb_redis *r, const char *msg_id,
                                                   const char *parcel_id, uint32_t recipient,
                                                   enum fb_reading *reading_r,
                                                   struct fb_error *err);
/* An access: FB_EVENT_PREVIEW or FB_EVENT_DOWNLOAD, by actor (an address) at this moment.  max_downloads: of this
 * grant, 0 = any number.  Nothing is written unless *reading_r is FB_READING_ALLOWED. */
FB_MUST_USE enum fb_status
fb_ledger_reading_record(struct fb_redis *r, const char *parcel_id, uint32_t recipient,
                         enum fb_ledger_event_kind kind, const char *actor, int64_t max_downloads,
                         enum fb_reading *reading_r, struct fb_error *err);
/* How often this grant was downloaded. */
FB_MUST_USE enum fb_status fb_ledger_reading_downloads(struct fb_redis *r, const char *parcel_id,
                                                       uint32_t recipient, int64_t *count_r,
                                                       struct fb_error *err);

/* What somebody did at the door: a line in the parcel's history. */
struct fb_reading_attempt {
    const char *event;   /* "code asked", "code wrong", ... */
    const char *address; /* whose mailbox is to be proved */
    const char *network; /* 203.0.113.0/24 */
    const char *agent;   /* User-Agent; cut at 200 bytes */
};
FB_MUST_USE enum fb_status fb_ledger_reading_attempt(struct fb_redis *r, const char *parcel_id,
                                                     uint32_t recipient,
                                                     const struct fb_reading_attempt *attempt,
                                                     struct fb_error *err);

#endif
