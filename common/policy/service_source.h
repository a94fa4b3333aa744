/* SPDX-License-Identifier: Apache-2.0
 *
 * The policy as a service follows it: the source that the configuration names, polled by a thread of its own. */
#ifndef FB_COMMON_POLICY_SERVICE_SOURCE_H
#define FB_COMMON_POLICY_SERVICE_SOURCE_H

#include "common/config.h"
#include "common/policy/policy.h"
#include "common/redis.h"

/* Keys of the policy in Redis (fumibako policy apply writes them, services read them). */
#define FB_POLICY_KEY         "fb:policy"         /* hash: version, document, at, author, comment */
#define FB_POLICY_HISTORY_KEY "fb:policy:history" /* list, newest first: the same as JSON objects */

struct fb_policy_follow;

/* Starts following; the policy may still be unknown when it returns. */
FB_MUST_USE enum fb_status fb_policy_follow_new(const struct fb_config *config,
                                                struct fb_policy_follow **follow_r,
                                                struct fb_error *err);
void fb_policy_follow_free(struct fb_policy_follow **follow);
/* A counted reference to the newest good policy, or NULL when none is known: mail must then be held.  */
struct fb_policy *fb_policy_follow_get(struct fb_policy_follow *follow);

#endif
