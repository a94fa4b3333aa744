/* SPDX-License-Identifier: Apache-2.0
 *
 * One upload job: a parcel.  Order, so that a crash never leaves content shared too widely or a
 * second folder:
 *
 *   1. folder m-<parcel id>, restricted            (storage.create, idempotent by name)
 *   2. files, each verified by size and SHA-1      (storage.put, adopts equal ones)
 *   3. grants, and the link                        (storage.share)
 *   4. manifest, durable: recall finds the parcel even when Redis is lost
 *   5. derived object parcel.<branch> for rewrite
 *   6. was it recalled meanwhile? then those grants go at once
 *   7. one step: acknowledge, next job, ledger     <- here the duty passes on
 */
#ifndef FB_UPLOAD_HANDLE_H
#define FB_UPLOAD_HANDLE_H

#include "common/policy/service_source.h"
#include "common/queue/worker.h"
#include "common/spool/spool.h"

struct upload_service {
    const struct fb_config *config;
    struct fb_spool *spool;
    struct fb_policy_follow *policy;
};

enum fb_status upload_thread_init(void *ctx, void **thread_r, struct fb_error *err);
void upload_thread_deinit(void *ctx, void *thread);
void upload_handle(void *ctx, void *thread, struct fb_redis *redis, const struct fb_claim *claim,
                   struct fb_outcome *out);
/* Before a parcel is held: what was shared of it is taken back. */
void upload_before_bury(void *ctx, void *thread, struct fb_redis *redis,
                        const struct fb_claim *claim, struct fb_outcome *out);

#endif
