/* SPDX-License-Identifier: Apache-2.0
 *
 * One render job: a sandboxed child reads the message, the policy decides for each recipient, derived objects and the
 * plan go into the spool, and one step hands a job a branch to upload or rewrite.
 */
#ifndef FB_RENDER_HANDLE_H
#define FB_RENDER_HANDLE_H

#include "common/policy/service_source.h"
#include "common/queue/worker.h"
#include "services/render/converse.h"

struct render_worker {
    struct render_service service;
    struct fb_spool *spool;
    struct fb_policy_follow *policy;
};

void render_handle(void *ctx, void *thread, struct fb_redis *redis, const struct fb_claim *claim,
                   struct fb_outcome *out);

#endif
