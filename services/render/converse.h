/* SPDX-License-Identifier: Apache-2.0
 *
 * The parent's side of one message: starts a child, answers what it asks, stores what it derives,
 * ends it.  Not one word of the child is trusted: names, sizes and offsets are checked here or by
 * the plan's decoder, and its time and memory are watched from outside.
 */
#ifndef FB_RENDER_CONVERSE_H
#define FB_RENDER_CONVERSE_H

#include "common/config.h"
#include "common/redis.h"
#include "common/spool/spool.h"
#include "common/zygote.h"
#include "proto/envelope.h"
#include "proto/plan.h"
#include "services/render/engine.h"
#include "services/render/glyphs.h"

struct render_service {
    const struct fb_config *config;
    struct fb_zygote *zygote;
    struct render_engine *engine;
};

struct render_request {
    struct fb_spool_msg *msg;
    const struct fb_envelope *envelope;
    struct fb_slice policy_document;
    const char *policy_version;
    struct fb_redis *redis; /* to verify X-Fumibako-Id */
    int64_t first_ms;
    bool may_fetch; /* a rule of the policy wants remote images */
    bool is_retry;  /* of a mail whose child may have died in "native": auto means Chromium then */
    struct render_glyphs glyphs; /* set to what the child says is missing: checked numbers */
    bool is_unpaintable; /* set when nothing here can paint the body: trying again does not help */
};

/* FB_OK with a checked plan.  FB_CRASHED: the child died, ran out of time or memory.  FB_TOO_BIG,
 * FB_INVALID, FB_CONFIG and others as the child or Chromium said, in words for the operator. */
FB_MUST_USE enum fb_status render_converse(const struct render_service *service,
                                           struct render_request *request, struct fb_plan *plan_r,
                                           struct fb_error *err);

#endif
