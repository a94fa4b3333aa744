/* SPDX-License-Identifier: Apache-2.0
 *
 * One upload job in the hands of handle.c and fallback.c. */
#ifndef FB_UPLOAD_WORK_H
#define FB_UPLOAD_WORK_H

#include "proto/envelope.h"
#include "services/upload/handle.h"
#include "services/upload/pair.h"

/* All of one job, so that one cleanup frees it. */
struct upload_work {
    struct upload_service *service;
    struct storage_sessions *sessions;
    struct fb_redis *redis;
    const struct fb_claim *claim;
    struct fb_spool_msg *msg;
    struct fb_envelope envelope;
    struct fb_plan plan;
    const struct fb_branch *branch;
    struct fb_policy *policy; /* the mail's: what it decides holds to the end */
    struct fb_policy
        *storages; /* where storages are, and how one gets in: as of now, where they still are */
    struct storage_pair pair; /* the fallback's half is open once it is needed */
    int64_t wait_ms;          /* a storage is down or crowded: nothing was done */
    struct fb_parcel parcel;
    struct fb_parcel moved; /* its grants: those who read in the fallback by an earlier try */
    bool *recalled;         /* a flag for each recipient of the branch */
    char parcel_id[FB_PARCEL_ID_SIZE];
};

/* The branch's files, into one storage; fills parcel->files. */
FB_MUST_USE enum fb_status upload_put_parts(struct upload_work *w, const struct storage *storage,
                                            struct storage_session *session,
                                            struct fb_parcel *parcel, struct fb_error *err);
/* The branch's security definition; FB_CONFIG when the policy does not have it. */
FB_MUST_USE enum fb_status upload_security(const struct upload_work *w,
                                           const struct fb_policy_security **security_r,
                                           struct fb_error *err);
/* What letters and a rebuilt ledger need to know of the mail. */
void upload_describe(const struct upload_work *w, struct fb_parcel *parcel);

#endif
