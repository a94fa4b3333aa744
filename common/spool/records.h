/* SPDX-License-Identifier: Apache-2.0
 *
 * Plan and parcel in the spool, as upload, rewrite and revoke read and write them. */
#ifndef FB_COMMON_SPOOL_RECORDS_H
#define FB_COMMON_SPOOL_RECORDS_H

#include "common/policy/service_source.h"
#include "common/spool/spool.h"
#include "proto/plan.h"

/* FB_NOT_FOUND or FB_CORRUPT: render must run again. */
FB_MUST_USE enum fb_status fb_spool_plan_load(struct fb_spool_msg *msg, struct fb_plan *plan_r,
                                              struct fb_error *err);
/* The policy that render planned the mail with, which holds for it to its end, whatever came into force since: from
 * beside the mail, or the one that is followed where it is the same, or where none was kept.  A counted reference.
 * FB_CONFIG: none is known. */
FB_MUST_USE enum fb_status fb_spool_policy_load(struct fb_spool_msg *msg,
                                                const struct fb_plan *plan,
                                                struct fb_policy_follow *follow,
                                                struct fb_policy **policy_r, struct fb_error *err);
FB_MUST_USE enum fb_status fb_spool_parcel_load(struct fb_spool_msg *msg, uint32_t branch,
                                                struct fb_parcel *parcel_r, struct fb_error *err);
/* is_final: the manifest is written, too, durable. */
FB_MUST_USE enum fb_status fb_spool_parcel_save(struct fb_spool *spool, struct fb_spool_msg *msg,
                                                uint32_t branch, const struct fb_parcel *parcel,
                                                bool is_final, struct fb_error *err);

#endif
