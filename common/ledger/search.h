/* SPDX-License-Identifier: Apache-2.0
 *
 * Searching the ledger a page at a time, newest first.  Part of ledger.h.
 *
 * Sender, recipient and "not ended" have indexes (listing.h, open); what else is asked for is compared with the
 * records themselves, a batch at a time, for FB_SEARCH_MS and FB_SEARCH_MOST of them at most, so that a page comes at
 * once whatever is asked for: then it ends early (is_cut), and its cursor goes on from there.  There is no index of
 * subjects: they are sealed, and one that can be searched would tell them.
 */
#ifndef FB_COMMON_LEDGER_SEARCH_H
#define FB_COMMON_LEDGER_SEARCH_H

#include "common/ledger/ledger.h"

#define FB_SEARCH_MOST   5000 /* records that one call looks at */
#define FB_SEARCH_MS     50   /* and begins no other batch after */
#define FB_SEARCH_PAGE   200
#define FB_SEARCH_CURSOR 56

struct fb_search {
    const char *sender, *recipient; /* NULL = any; without case */
    const char *subject;   /* is in the subject, without case of ASCII letters; NULL = any */
    const char *title_key; /* rewrite.key, for subject */
    const char *
        state; /* open (not ended) queued planned held done recalled pending; NULL = any (fb_search_knows_state) */
    int64_t since_ms, until_ms;
    size_t limit; /* 1..FB_SEARCH_PAGE */
    /* From behind this one on; "" = from the newest. */
    int64_t after_ms;
    char after_id[FB_ID_SIZE];
};
bool fb_search_knows_state(const char *state);
/* Reads a cursor into q; false: it is none. */
bool fb_search_cursor(const char *cursor, struct fb_search *q);

struct fb_search_end {
    char next[FB_SEARCH_CURSOR]; /* "" = there is no more */
    bool is_cut;                 /* it ended early, at messages of at_ms */
    int64_t at_ms;
};
/* each gets messages with their grants, for the time of the call. */
FB_MUST_USE enum fb_status
fb_ledger_search(struct fb_redis *r, const struct fb_search *q,
                 void (*each)(void *ctx, const struct fb_ledger_message *m), void *ctx,
                 struct fb_search_end *end_r, struct fb_error *err);

#endif
