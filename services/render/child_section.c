/* SPDX-License-Identifier: Apache-2.0 */
#include "services/render/child_section.h"

#include "services/render/section.h"

static bool has_images(const struct fb_policy *policy, const struct fb_plan *plan)
{
    bool is_wanted = false;
    for (uint32_t i = 0; i < plan->branch_count; i++) {
        const struct fb_branch *b = &plan->branches[i];
        if (b->kind != FB_BRANCH_SECURE || !b->secures_body) {
            continue;
        }
        const struct fb_policy_rule *rule = fb_policy_find_rule(policy, b->rule);
        if (rule == NULL || !rule->shows_images) {
            return false; /* the PDF is one for all */
        }
        is_wanted = true;
    }
    return is_wanted;
}

enum fb_status child_read_sections(struct child_talk *t, const struct fb_policy *policy,
                                   const struct fb_plan *plan, struct render_mail *mail,
                                   struct fb_error *err)
{
    struct render_source source = child_source(t);
    const struct render_section_options options = {.has_images = has_images(policy, plan)};
    return render_sections_read(mail, &source, &options, err);
}
