/* SPDX-License-Identifier: Apache-2.0
 *
 * POST /policy/dry-run: of the last mails, what would another policy have done with them. */
#include <stdlib.h>
#include <string.h>

#include "common/dry_run.h"
#include "services/console/api.h"

/* False: answered. */
static bool take_limit(struct call *c, size_t *limit_r)
{
    const json_t *value = json_object_get(c->body, "limit");
    json_int_t n = value != NULL ? json_integer_value(value) : FB_DRY_RUN_MOST;
    if (n < 1 || n > FB_DRY_RUN_MOST) {
        answer_invalid(c, "limit", "limit は 1 から 1000 までの数です。",
                       "limit is a number from 1 to 1000.");
        return false;
    }
    *limit_r = (size_t)n;
    return true;
}

void api_policy_dry_run(struct call *c)
{
    struct fb_error err = {0};
    struct fb_policy *policy = NULL;
    struct fb_policy_findings findings = {0};
    size_t most = 0;
    const char *document = api_policy_document(c);
    if (document == NULL || !take_limit(c, &most)) {
        return;
    }
    if (fb_policy_parse_in(fb_slice_str(document), c->is_ja, &policy, &findings) != FB_OK) {
        api_policy_findings(c, &findings);
        fb_policy_findings_deinit(&findings);
        return;
    }
    struct fb_policy *old = fb_policy_follow_get(c->console->follow);
    const struct fb_dry_run q = {.policy = policy,
                                 .old = old,
                                 .most = most,
                                 .title_key = c->console->config->rewrite.key,
                                 .shows_subjects = console_may(c->who.role, CONSOLE_SEE_MESSAGES),
                                 .time = call_json_time};
    json_t *result = NULL;
    if (fb_dry_run(c->redis, &q, &result, &err) == FB_OK) {
        answer_json(c, 200, result);
    } else {
        answer_error(c, &err);
    }
    fb_policy_unref(&old);
    fb_policy_unref(&policy);
    fb_policy_findings_deinit(&findings);
}
