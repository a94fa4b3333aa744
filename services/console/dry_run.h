/* SPDX-License-Identifier: Apache-2.0
 *
 * What a policy would have done with the last mails, by what the ledger keeps of them: sender, recipients, subject and
 * size.  Bodies, header fields and attachments are not kept: where a condition on them decides, and the same condition
 * did not decide before, the outcome is "unknown". */
#ifndef FB_CONSOLE_DRY_RUN_H
#define FB_CONSOLE_DRY_RUN_H

#include "common/ledger/ledger.h"
#include "common/policy/policy.h"

enum dry_action { DRY_SECURE, DRY_PASS, DRY_REJECT, DRY_UNKNOWN };

struct dry_outcome {
    enum dry_action action;
    const char *rule; /* lent; "" = none */
};
const char *dry_action_name(enum dry_action action);

/* What became of recipient i as the record says. */
struct dry_outcome dry_run_before(const struct fb_ledger_message *m, size_t i);
/* What `p` would have done.  old (may be NULL): the policy in force, whose rules are taken for those that decided. */
struct dry_outcome dry_run_after(const struct fb_policy *p, const struct fb_policy *old,
                                 const struct fb_ledger_message *m, const char *subject, size_t i);

#endif
