/* SPDX-License-Identifier: Apache-2.0
 *
 * What is to be done at a time: part of ledger.h.  Entries of all kinds share one sorted set a
 * shard; revoke takes those that are due in batches.  An entry that was taken comes again after a
 * while until somebody removes it, so a crash loses nothing and two processes do not do the same
 * at once.
 */
#ifndef FB_COMMON_LEDGER_DUE_H
#define FB_COMMON_LEDGER_DUE_H

#include "common/queue/queue.h"

enum fb_due {
    FB_DUE_EXPIRE,   /* the parcel's access ends */
    FB_DUE_PURGE,    /* its content is deleted */
    FB_DUE_UNOPENED, /* its sender is told who did not open it yet */
    FB_DUE_REPORT,   /* a recall's sender is told what became of it */
    FB_DUE_COUNT
};

#define FB_MAX_DUE_TAKE 1000

struct fb_due_item {
    enum fb_due kind;
    char id[64];   /* the parcel's id; REPORT: "<message id>/<recall id>" */
    int64_t at_ms; /* when it was due */
};

/* at 0 = remove. */
void fb_ledger_due_add(struct fb_redis *r, struct fb_ops *ops, enum fb_due kind, const char *id,
                       int64_t at_ms);
/* When the parcel expires; 0 = no more (revoke, once it is done). */
void fb_ledger_due_set(struct fb_redis *r, struct fb_ops *ops, const char *parcel_id,
                       int64_t expires_ms);
/* Takes up to max (FB_MAX_DUE_TAKE at most) entries of a shard that are due at now_ms, earliest
 * first, and puts them off to now_ms + again_ms, in one step. */
FB_MUST_USE enum fb_status fb_ledger_due_take(struct fb_redis *r, int shard, int64_t now_ms,
                                              int64_t again_ms, size_t max,
                                              struct fb_due_item *items_r, size_t *count_r,
                                              struct fb_error *err);
/* How many entries of all shards are due at until_ms. */
FB_MUST_USE enum fb_status fb_ledger_due_count(struct fb_redis *r, int64_t until_ms,
                                               uint64_t *count_r, struct fb_error *err);
/* When the entry that waits longest fell due, of all shards; until_ms where nothing is due. */
FB_MUST_USE enum fb_status fb_ledger_due_oldest(struct fb_redis *r, int64_t until_ms,
                                                int64_t *at_ms_r, struct fb_error *err);

#endif
