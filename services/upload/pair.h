/* SPDX-License-Identifier: Apache-2.0
 *
 * A parcel's storage, and beside it the vault of those who have no account there (fb_parcel.fallback).
 * Every recipient reads in one of the two: a grant says in which.  What is done to a parcel is done to
 * both; one that fails does not keep the other from it.
 */
#ifndef FB_UPLOAD_PAIR_H
#define FB_UPLOAD_PAIR_H

#include "services/upload/away.h"
#include "services/upload/sessions.h"

/* Zero: nothing is open. */
struct storage_pair {
    const struct storage *storage;
    struct storage_session *session;
    struct storage_stay stay;
    const struct storage *fallback; /* NULL: the parcel has none */
    struct storage_session *fallback_session;
    struct storage_stay fallback_stay;
};

/* A stay with both, or with neither: 0, else ms to wait (away.h).  The parcel's names are lent until
 * storage_pair_leave. */
int64_t storage_pair_enter(struct storage_pair *pair, const struct fb_parcel *parcel,
                           bool has_others);
void storage_pair_leave(struct storage_pair *pair);
/* Whether one of those it stays with is down. */
bool storage_pair_is_down(const struct storage_pair *pair);
/* Sessions with both; statuses of storage_sessions_get. */
FB_MUST_USE enum fb_status storage_pair_open(struct storage_pair *pair,
                                             struct storage_sessions *sessions,
                                             const struct fb_policy *policy, struct fb_redis *redis,
                                             const struct fb_parcel *parcel, struct fb_error *err);

/* As in struct storage, on both. */
FB_MUST_USE enum fb_status storage_pair_revoke(const struct storage_pair *pair,
                                               const struct fb_parcel *parcel,
                                               const uint32_t *recipients, size_t count,
                                               enum storage_end end, bool *closed_r,
                                               struct fb_error *err);
FB_MUST_USE enum fb_status storage_pair_reopen(const struct storage_pair *pair,
                                               const struct storage_grant_request *requests,
                                               size_t count, struct fb_parcel *parcel,
                                               struct fb_error *err);
FB_MUST_USE enum fb_status storage_pair_purge(const struct storage_pair *pair,
                                              const struct fb_parcel *parcel, struct fb_error *err);

/* A copy of the parcel as one of the two sees it: its name, and its grants alone.  Owned by the caller. */
FB_MUST_USE enum fb_status storage_pair_view(const struct fb_parcel *parcel, bool of_fallback,
                                             struct fb_parcel *view_r, struct fb_error *err);

#endif
