/* SPDX-License-Identifier: Apache-2.0
 *
 * The conditions of one rule, one by one, so that the decision (match.c) and its explanation
 * (explain.c) ask the very same questions.  Internal to common/policy.
 */
#ifndef FB_COMMON_POLICY_MATCH_H
#define FB_COMMON_POLICY_MATCH_H

#include "common/policy/policy.h"
#include "common/policy/terms.h"
#include "common/policy/text.h"

/* In the order in which they are asked: the cheap ones first, the body last. */
enum fb_pol_condition {
    FB_POL_COND_TO,
    FB_POL_COND_FROM,
    FB_POL_COND_SIZE,
    FB_POL_COND_PRESENT,
    FB_POL_COND_LARGER,
    FB_POL_COND_COUNT,
    FB_POL_COND_SUBJECT,
    FB_POL_COND_NAME,
    FB_POL_COND_TYPE,
    FB_POL_COND_HEADER, /* this one and the header_count - 1 behind it */
    /* FB_POL_COND_HEADER + header_count is the body */
};

/* One message as the conditions see it. */
struct fb_pol_view {
    const struct fb_policy_facts *facts;
    const char *from; /* as fb_pol_address() gives it */
    const char **names;
    const char **types;
    const char **values; /* room for as many as there are headers */
    char from_text[FB_POL_ADDRESS_MAX];
};

void fb_pol_view_init(struct fb_pol_view *view, const struct fb_policy_facts *facts);
void fb_pol_view_deinit(struct fb_pol_view *view);

size_t fb_pol_condition_count(const struct fb_policy_rule *rule);
/* recipient as fb_pol_address() gives it; asked for FB_POL_COND_TO only. */
struct fb_pol_verdict fb_pol_condition_check(const struct fb_policy_rule *rule, size_t condition,
                                             const struct fb_pol_view *view, const char *recipient);

#endif
