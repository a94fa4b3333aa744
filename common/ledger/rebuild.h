/* SPDX-License-Identifier: Apache-2.0
 *
 * Rebuild: after a loss of Redis, what recall and expiry need comes back from the manifests that
 * every parcel leaves in the spool: parcels, grants (with those that were recalled), the recipients
 * who have one, sender, title, rule, and what is due.  What was lost for good: recipients without a
 * parcel, the recalls' records, which notices never went out (all count as out) and the history;
 * accesses that the storage still tells about are read again by watch.  Manifests of older programs
 * have less: no sender, title and rule, and grants that were recalled count as open (recalling
 * twice is harmless).
 *
 * Run fb_replay first: messages in flight then are known, and their own jobs bring their parcels
 * back.  Safe to run any number of times, beside running services. */
#ifndef FB_COMMON_LEDGER_REBUILD_H
#define FB_COMMON_LEDGER_REBUILD_H

#include "common/redis.h"
#include "common/spool/spool.h"

struct fb_rebuild_result {
    uint64_t restored;  /* parcels that the ledger knows again */
    uint64_t known;     /* were there */
    uint64_t in_flight; /* of messages that are not delivered yet: left to their jobs */
    uint64_t damaged;   /* manifests that cannot be read; each is logged */
};

/* key: rewrite.key, which seals the titles; NULL = no titles. */
FB_MUST_USE enum fb_status fb_ledger_rebuild(struct fb_spool *spool, struct fb_redis *redis,
                                             int64_t ledger_ttl_ms, const char *key,
                                             struct fb_rebuild_result *result_r,
                                             struct fb_error *err);

#endif
