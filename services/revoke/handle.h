/* SPDX-License-Identifier: Apache-2.0
 *
 * One revoke job: takes access to a parcel away from all or some of its recipients, with the content when asked, or
 * gives it back.  The parcel is known by its manifest, so that this works for the parcel's life, with or without the
 * message.
 */
#ifndef FB_REVOKE_HANDLE_H
#define FB_REVOKE_HANDLE_H

#include "common/policy/service_source.h"
#include "common/queue/worker.h"
#include "common/spool/journal.h"
#include "services/revoke/schedule.h"

struct revoke_service {
    const struct fb_config *config;
    struct fb_spool *spool;
    struct fb_journal *journal;
    struct fb_policy_follow *policy;
    struct revoke_schedule *schedule;
};

enum fb_status revoke_thread_init(void *ctx, void **thread_r, struct fb_error *err);
void revoke_thread_deinit(void *ctx, void *thread);
void revoke_handle(void *ctx, void *thread, struct fb_redis *redis, const struct fb_claim *claim,
                   struct fb_outcome *out);
void revoke_before_bury(void *ctx, void *thread, struct fb_redis *redis,
                        const struct fb_claim *claim, struct fb_outcome *out);

#endif
