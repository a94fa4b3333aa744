/* SPDX-License-Identifier: Apache-2.0
 *
 * What a policy would have done with the last mails, by what the ledger keeps of them: sender, recipients, subject and
 * size.  Bodies, header fields and attachments are not kept: where a condition on them decides, and the same condition
 * did not decide before, the outcome is "unknown".  For the console and the command line. */
#ifndef FB_COMMON_DRY_RUN_H
#define FB_COMMON_DRY_RUN_H

#include <jansson.h>

#include "common/ledger/ledger.h"
#include "common/policy/policy.h"

#define FB_DRY_RUN_MOST 1000 /* mails */

struct fb_dry_run {
    const struct fb_policy *policy;
    const struct fb_policy
        *old;    /* in force; its rules are taken for those that decided.  NULL = none */
    size_t most; /* mails, 1..FB_DRY_RUN_MOST, the newest ones */
    const char
        *title_key; /* rewrite.key, for conditions on the subject; NULL = subjects are not known */
    bool shows_subjects;
    json_t *(*time)(int64_t ms); /* how a moment is written */
};
/* {messages, recipients, same, changed, unknown (recipients each), changes: [{before, after, count}],
 * unknown_rules: [{rule, count}] (whose conditions would decide), items: [{message, accepted, from, subject, address,
 * before, after}] (the first 200 that changed)}; before and after are {action, rule}.  The result is the caller's. */
FB_MUST_USE enum fb_status fb_dry_run(struct fb_redis *r, const struct fb_dry_run *q,
                                      json_t **result_r, struct fb_error *err);

#endif
