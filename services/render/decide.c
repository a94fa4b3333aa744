/* SPDX-License-Identifier: Apache-2.0 */
#include "services/render/decide.h"

#include <stdlib.h>
#include <string.h>

#define MAX_PATH 2048
#define DAY_MS   INT64_C(86400000)

/* One branch in the making; slot 0 = untouched, slot 1 + i = the policy's rule i. */
struct slot {
    uint32_t *recipients;
    uint32_t count;
    const struct fb_policy_rule *rule;
    const char *reason;
};

static void slot_add(struct slot *slot, uint32_t recipient, size_t most)
{
    if (slot->recipients == NULL) {
        slot->recipients = fb_xcalloc(most, sizeof *slot->recipients);
    }
    slot->recipients[slot->count++] = recipient;
}

/* A rule that secures only attachments has nothing to do with a mail that has none. */
static bool has_work(const struct fb_policy_rule *rule, const struct fb_policy_facts *facts)
{
    return rule->secures_body || (rule->secures_attachments && facts->attachment_count > 0);
}

/* What rules would have done that only watch. */
static void tell_shadows(const struct fb_policy *policy, const struct fb_policy_decision *decisions,
                         size_t count, struct fb_plan *plan)
{
    uint32_t *taken = fb_xcalloc(policy->rule_count + 1, sizeof *taken);
    struct fb_buf text;
    fb_buf_init(&text, FB_MAX_SHADOWS);
    for (size_t i = 0; i < count; i++) {
        if (decisions[i].shadow != NULL) {
            taken[decisions[i].shadow - policy->rules]++;
        }
    }
    enum fb_status s = FB_OK;
    for (size_t k = 0; k < policy->rule_count && s == FB_OK; k++) {
        if (taken[k] > 0 && strchr(policy->rules[k].name, '\t') == NULL) {
            s = fb_buf_printf(&text, "%u %s\t", taken[k], policy->rules[k].name);
        }
    }
    plan->shadows = text.len > 0 ? fb_xstrdup(fb_buf_str(&text)) : NULL;
    fb_buf_deinit(&text);
    free(taken);
}

static void sort_recipients(const struct fb_policy *policy, const struct fb_policy_facts *facts,
                            const struct fb_envelope *envelope, struct slot *slots,
                            struct fb_plan *plan)
{
    const char **addresses = fb_xcalloc(envelope->recipient_count, sizeof *addresses);
    struct fb_policy_decision *decisions = fb_xcalloc(envelope->recipient_count, sizeof *decisions);
    for (size_t i = 0; i < envelope->recipient_count; i++) {
        addresses[i] = envelope->recipients[i].address;
    }
    fb_policy_decide_many(policy, facts, addresses, envelope->recipient_count, decisions);
    tell_shadows(policy, decisions, envelope->recipient_count, plan);
    for (uint32_t i = 0; i < envelope->recipient_count; i++) {
        struct fb_policy_decision d = decisions[i];
        size_t at = 0;
        const char *reason = d.reason;
        if (d.action == FB_ACTION_REJECT || d.action == FB_ACTION_SECURE) {
            if (d.rule != NULL && (d.action == FB_ACTION_REJECT || has_work(d.rule, facts))) {
                at = 1 + (size_t)(d.rule - policy->rules);
            } else {
                reason = "nothing to secure";
            }
        }
        if (slots[at].count == 0) {
            slots[at].rule = d.rule;
            slots[at].reason = reason;
        } else if (slots[at].rule != d.rule) {
            slots[at].rule = NULL; /* untouched for several reasons: no single rule to name */
            slots[at].reason = "several";
        }
        slot_add(&slots[at], i, envelope->recipient_count);
    }
    free(decisions);
    free(addresses);
}

static const char *domain_of(const char *address)
{
    const char *at = strrchr(address, '@');
    return at != NULL ? at + 1 : "";
}

static enum fb_status fill_secure(struct fb_branch *b, const struct slot *slot,
                                  const struct fb_envelope *envelope, int64_t first_ms,
                                  const char *msg_id, struct fb_error *err)
{
    const struct fb_policy_rule *rule = slot->rule;
    struct fb_buf path;
    fb_buf_init(&path, MAX_PATH);
    enum fb_status s = fb_policy_expand_path(
        rule, envelope->reverse_path, domain_of(envelope->recipients[slot->recipients[0]].address),
        first_ms, msg_id, &path, err);
    if (s == FB_OK) {
        b->storage = fb_xstrdup(rule->storage->name);
        b->security = fb_xstrdup(rule->security->name);
        b->secures_body = rule->secures_body;
        b->secures_attachments = rule->secures_attachments;
        b->path = fb_xstrdup(fb_buf_str(&path));
        b->expires_ms = rule->security->expires_after_s > 0
                            ? first_ms + rule->security->expires_after_s * 1000
                            : 0;
        b->purge_ms = b->expires_ms > 0 && rule->security->purge_after_s > 0
                          ? b->expires_ms + rule->security->purge_after_s * 1000
                          : 0;
        b->remind_ms =
            rule->remind_after_days > 0 ? first_ms + rule->remind_after_days * DAY_MS : 0;
        if (b->expires_ms > 0 && b->remind_ms >= b->expires_ms) {
            b->remind_ms = 0; /* nobody can open it any more: there is nothing to remind of */
        }
        b->sends_receipt = rule->sends_receipt;
        b->on_failure = (uint8_t)rule->on_failure;
    }
    fb_buf_deinit(&path);
    return s;
}

static enum fb_status fill(struct fb_branch *b, struct slot *slot,
                           const struct fb_envelope *envelope, int64_t first_ms, const char *msg_id,
                           bool is_untouched, struct fb_error *err)
{
    b->kind = is_untouched                             ? FB_BRANCH_PASS
              : slot->rule->action == FB_ACTION_REJECT ? FB_BRANCH_REJECT
                                                       : FB_BRANCH_SECURE;
    b->recipients = slot->recipients; /* ownership moves to the plan */
    b->recipient_count = slot->count;
    slot->recipients = NULL;
    b->rule = fb_xstrdup(slot->rule != NULL ? slot->rule->name : "");
    b->reason = fb_xstrdup(slot->reason);
    b->storage = b->security = b->path = NULL;
    if (b->kind == FB_BRANCH_SECURE) {
        struct slot view = *slot;
        view.recipients = b->recipients;
        return fill_secure(b, &view, envelope, first_ms, msg_id, err);
    }
    return FB_OK;
}

enum fb_status render_decide(const struct fb_policy *policy, const struct fb_policy_facts *facts,
                             const struct fb_envelope *envelope, int64_t first_ms,
                             struct fb_plan *plan, struct fb_error *err)
{
    enum fb_status s = FB_OK;
    size_t slot_count = 1 + policy->rule_count;
    struct slot *slots = fb_xcalloc(slot_count, sizeof *slots);
    sort_recipients(policy, facts, envelope, slots, plan);
    uint32_t used = 0;
    for (size_t i = 0; i < slot_count; i++) {
        used += slots[i].count > 0;
    }
    if (used > FB_MAX_BRANCHES - 1) {
        s = fb_error_set(err, FB_TOO_BIG, "more than %d rules took recipients of one message",
                         FB_MAX_BRANCHES - 1);
        goto cleanup;
    }
    plan->branches = fb_xcalloc(used, sizeof *plan->branches);
    for (size_t i = 0; i < slot_count && s == FB_OK; i++) {
        if (slots[i].count > 0) {
            s = fill(&plan->branches[plan->branch_count++], &slots[i], envelope, first_ms,
                     plan->msg_id, i == 0, err);
        }
    }

cleanup:
    for (size_t i = 0; i < slot_count; i++) {
        free(slots[i].recipients);
    }
    free(slots);
    return s;
}
