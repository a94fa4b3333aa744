/* SPDX-License-Identifier: Apache-2.0
 *
 * Which messages there are, by time: of all, and of each sender and recipient.  Part of the ledger's inside.
 *
 * A year of them lies in memory, so an entry is the message's id and nothing else, as its 128 bits: it says when the
 * message came, and sorts by that.  Of all, those of an hour are one string (l:t:<hour>), and l:hours tells the hours.
 * A recipient has a sorted set without scores (l:a:<address>), a sender one for each 30 days (l:s:<period>:<address>),
 * so that the sets stay small enough for Redis to keep them compact.
 */
#ifndef FB_COMMON_LEDGER_LISTING_H
#define FB_COMMON_LEDGER_LISTING_H

#include "common/ledger/internal.h"

/* ingest: the message is listed, for its sender ("" = none) and its recipients, until ttl_ms from now are over. */
void fb_listing_add(struct fb_ops *ops, int shard, const char *msg_id,
                    const struct fb_envelope *envelope, int64_t ttl_ms);
/* The key of a recipient's list; of a sender's, at the time of msg_id; of the hour's, and the hour as text. */
#define FB_LISTING_HOUR 24
void fb_listing_recipient_key(char key_r[FB_LEDGER_KEY], int shard, const char *address);
void fb_listing_sender_key(char key_r[FB_LEDGER_KEY], int shard, const char *address,
                           const char *msg_id);
void fb_listing_hour_key(char key_r[FB_LEDGER_KEY], int shard, const char *msg_id,
                         char hour_r[FB_LISTING_HOUR]);
/* Gives at least the newest `limit` of a shard that came between two times, in no order, some more than once: of a
 * sender or recipient (folded; fb_ledger_fold), or of all (NULL). */
FB_MUST_USE enum fb_status fb_listing_read(struct fb_redis *r, int shard, const char *address,
                                           int64_t low_ms, int64_t high_ms, size_t limit,
                                           void (*each)(void *ctx, const char *id, int64_t at_ms),
                                           void *ctx, struct fb_error *err);
/* How many entries an address has in a shard, by and large. */
FB_MUST_USE enum fb_status fb_listing_count(struct fb_redis *r, int shard, const char *address,
                                            int64_t *count_r, struct fb_error *err);

#endif
