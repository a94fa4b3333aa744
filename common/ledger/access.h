/* SPDX-License-Identifier: Apache-2.0
 *
 * What a storage tells about a parcel after it was sent: who looked, who fetched, who accepted an
 * invitation, who made a link.  Written by watch alone, each event once, together with the position
 * in the storage's stream; keys in ledger.md.
 *
 * 1. An event is recorded once, however often it comes: its id is a key that lives longer than any
 *    stream reaches back.
 * 2. A grant never goes back: pending, active, opened, downloaded; what is recalled, expired or
 *    purged stays so.  An access that changes no state is still in the history and counted.
 * 3. The position moves only from the one that was read (FB_AGAIN), and only for the leader in
 *    office (FB_LOST): a process that was stopped and wakes up writes nothing.
 */
#ifndef FB_COMMON_LEDGER_ACCESS_H
#define FB_COMMON_LEDGER_ACCESS_H

#include "common/ledger/lease.h"
#include "common/ledger/ledger.h"

#define FB_POSITION_SIZE 256

enum fb_ledger_event_kind {
    FB_EVENT_PREVIEW,
    FB_EVENT_DOWNLOAD,
    FB_EVENT_ACCEPTED,
    FB_EVENT_LINK_REMOVED,  /* somebody's own link was found and ended */
    FB_EVENT_LINK_NOT_OPEN, /* when we looked it was gone, or no wider than the rule */
    FB_EVENT_LINK_ALLOWED,  /* the rule opens the parcel to anyone who has a link: it stays */
    FB_EVENT_LINK_REMAINS   /* it could not be ended */
};

struct fb_ledger_event {
    const char *id; /* of the storage's event, as 64 hex digits */
    const char *parcel_id;
    enum fb_ledger_event_kind kind;
    uint32_t recipient; /* UINT32_MAX: somebody else */
    int64_t at_ms;
    const char *actor;   /* a login, or words */
    const char *user_id; /* is remembered for the recipient; "" = not known */
    const char *source;
};

struct fb_ledger_page {
    const char *token;                       /* of fb_lease_keep */
    const char *stream;                      /* NULL: no position */
    const char *old_position, *new_position; /* "" = none yet */
    const struct fb_ledger_event *events;
    size_t count;
    /* Events of folders that no parcel has yet are put by, and taken out once they are settled. */
    const char *const *park_ids, *const *park_texts;
    size_t park_count;
    const char *const *settled_ids;
    size_t settled_count;
};

enum fb_ledger_recorded { FB_EVENT_KNOWN, FB_EVENT_RECORDED, FB_EVENT_CHANGED };

/* All of it, or (other shards first) so much that the same page may be given again.  recorded_r has
 * count entries. */
FB_MUST_USE enum fb_status fb_ledger_record(struct fb_redis *r, const struct fb_ledger_page *page,
                                            enum fb_ledger_recorded *recorded_r,
                                            struct fb_error *err);
/* The stored position; "" when there is none. */
FB_MUST_USE enum fb_status fb_ledger_position(struct fb_redis *r, const char *stream,
                                              char position_r[FB_POSITION_SIZE],
                                              struct fb_error *err);
/* All streams are read from their start again, and are taken as unread until then; what is recorded
 * stays recorded once. */
FB_MUST_USE enum fb_status fb_ledger_positions_forget(struct fb_redis *r, struct fb_error *err);
/* What was put by, at most `limit`. */
FB_MUST_USE enum fb_status fb_ledger_parked(struct fb_redis *r, size_t limit,
                                            bool (*each)(void *ctx, const char *id,
                                                         const char *text),
                                            void *ctx, struct fb_error *err);

/* With fb_ledger_uploaded: the way back from the folder to the parcel. */
void fb_ledger_folder(struct fb_redis *r, struct fb_ops *ops, const struct fb_parcel *parcel,
                      int64_t ttl_s);
/* FB_NOT_FOUND: no parcel has this folder (yet, or any more). */
FB_MUST_USE enum fb_status fb_ledger_folder_parcel(struct fb_redis *r, const char *storage,
                                                   const char *folder_id,
                                                   char parcel_id_r[FB_PARCEL_ID_SIZE],
                                                   struct fb_error *err);
/* The recipient who was seen with this user id; FB_NOT_FOUND. */
FB_MUST_USE enum fb_status fb_ledger_user_recipient(struct fb_redis *r, const char *parcel_id,
                                                    const char *user_id, uint32_t *recipient_r,
                                                    struct fb_error *err);

/* ---- pending grants, to be asked about ---- */

/* When it is asked about next; 0 = no more. */
FB_MUST_USE enum fb_status fb_ledger_pending_set(struct fb_redis *r, const char *storage,
                                                 const char *parcel_id, uint32_t recipient,
                                                 int64_t at_ms, struct fb_error *err);
FB_MUST_USE enum fb_status
fb_ledger_pending_due(struct fb_redis *r, const char *storage, int64_t until_ms, size_t limit,
                      bool (*each)(void *ctx, const char *parcel_id, uint32_t recipient), void *ctx,
                      struct fb_error *err);
/* What the storage tells of a recipient's two-step login: "on", "off". */
FB_MUST_USE enum fb_status fb_ledger_two_step_set(struct fb_redis *r, const char *parcel_id,
                                                  uint32_t recipient, const char *state,
                                                  struct fb_error *err);

#endif
