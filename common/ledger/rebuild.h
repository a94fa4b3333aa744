/* SPDX-License-Identifier: Apache-2.0
 *
 * Rebuild: after a loss of Redis, what recall and expiry need comes back from the manifests that
 * every parcel leaves in the spool: parcels, grants, the recipients who have one, the expiry.  What
 * was lost for good: the sender, recipients without a parcel, which grants were recalled meanwhile
 * (recalling twice is harmless) and the history; accesses that the storage still tells about are
 * read again by watch.
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

FB_MUST_USE enum fb_status fb_ledger_rebuild(struct fb_spool *spool, struct fb_redis *redis,
                                             int64_t ledger_ttl_ms,
                                             struct fb_rebuild_result *result_r,
                                             struct fb_error *err);

#endif
