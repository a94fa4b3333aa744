/* SPDX-License-Identifier: Apache-2.0
 *
 * One revoke job in the hands of handle.c, and its parts: taking away (close.c), giving back (restore.c).
 */
#ifndef FB_REVOKE_WORK_H
#define FB_REVOKE_WORK_H

#include "common/ledger/ledger.h"
#include "services/revoke/handle.h"
#include "services/upload/pair.h"

struct revoke_work {
    struct revoke_service *service;
    struct storage_sessions *sessions;
    struct fb_redis *redis;
    const struct fb_claim *claim;
    const struct fb_job *job;
    char parcel_id[FB_PARCEL_ID_SIZE];
    struct fb_ledger_message m;
    bool is_known; /* the ledger has the message */
    struct fb_parcel parcel;
    bool has_parcel, has_manifest;
    struct fb_policy *policy;
    struct storage_pair pair;
    char actor[256], source[16]; /* who asked */
    struct fb_ops *ops;          /* what rides with the end of the claim, however it ends */
};

/* Whether the job is about this recipient. */
bool revoke_is_concerned(const struct revoke_work *w, uint32_t recipient);
/* Whether a recall of this recipient stands, as far as the ledger knows the message. */
bool revoke_is_recalled(const struct revoke_work *w, uint32_t recipient);
/* The grant's state in the ledger; "" where it has none. */
const char *revoke_ledger_state(const struct revoke_work *w, uint32_t recipient);
/* Whether one link opens the parcel for everybody, so that only the whole can be taken away or given
 * back.  In a vault each recipient has a link of their own.  With an open storage. */
bool revoke_is_by_link(const struct revoke_work *w);
/* The manifest as the parcel is now, durable. */
FB_MUST_USE enum fb_status revoke_save(struct revoke_work *w, struct fb_error *err);
/* A line in the parcel's history that is about no grant's state. */
void revoke_history(struct revoke_work *w, const char *event, const char *to);

/* Recall, expiry, purge. */
FB_MUST_USE enum fb_status revoke_close(struct revoke_work *w, struct fb_error *err);
/* Restore. */
FB_MUST_USE enum fb_status revoke_reopen(struct revoke_work *w, struct fb_error *err);

#endif
