/* SPDX-License-Identifier: Apache-2.0
 *
 * A delay warning: the delivery report (Action: delayed) for a branch that is put off longer than
 * rewrite.delay_warning and is still under way.  Composed from the spooled mail. */
#ifndef FB_REWRITE_DELAY_H
#define FB_REWRITE_DELAY_H

#include "proto/envelope.h"
#include "proto/plan.h"
#include "services/rewrite/content.h"
#include "services/rewrite/handle.h"

struct delay {
    struct fb_spool_msg *msg;
    struct fb_envelope envelope;
    struct fb_plan plan;
    struct content content;
    bool is_wanted; /* there is somebody to be told about, and somebody to tell: content is ready */
};

/* What the branch of a letter job has to say now.  Statuses of Redis, spool and journal. */
FB_MUST_USE enum fb_status delay_compose(const struct rewrite_service *service,
                                         struct fb_redis *redis, const struct fb_job *job,
                                         struct delay *d_r, struct fb_error *err);
/* In every state. */
void delay_release(struct delay *d);

#endif
