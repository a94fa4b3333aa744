/* SPDX-License-Identifier: Apache-2.0
 *
 * From facts to branches: asks the policy for every recipient and gathers those whom the same rule
 * took.  Pure; runs in the sandbox, because regular expressions meet untrusted text there. */
#ifndef FB_RENDER_DECIDE_H
#define FB_RENDER_DECIDE_H

#include "common/policy/policy.h"
#include "proto/envelope.h"
#include "proto/plan.h"

/* Fills plan->branches (kind, recipients, rule, reason, storage, security, path, flags,
 * expires_ms).  The order is that of the policy's rules, untouched recipients first, so that the
 * same policy always gives the same branch numbers. */
FB_MUST_USE enum fb_status render_decide(const struct fb_policy *policy,
                                         const struct fb_policy_facts *facts,
                                         const struct fb_envelope *envelope, int64_t first_ms,
                                         struct fb_plan *plan, struct fb_error *err);

#endif
