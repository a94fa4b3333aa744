/* SPDX-License-Identifier: Apache-2.0 */
#include "services/render/explain_answer.h"

#include <string.h>

#include "common/json_words.h"
#include "common/policy/explain.h"
#include "proto/plan.h"
#include "services/render/explain.h"
#include "services/render/rpc.h"

static json_t *text_json(struct fb_slice text)
{
    json_t *j = json_stringn((const char *)text.ptr, text.len);
    return j != NULL ? j : json_string("(not UTF-8)");
}

static json_t *rule_name(const struct render_explain_question *q, uint64_t number)
{
    return number == 0 ? json_null() : json_string(q->policy->rules[number - 1].name);
}

/* ---- why ---- */

/* "!@example.jp", as the policy has it. */
static json_t *term_json(const struct fb_policy_term *term)
{
    return term->is_negated ? json_sprintf("!%s", term->text) : json_string(term->text);
}

static json_t *terms_json(const struct fb_policy_terms *terms, bool is_negated)
{
    json_t *list = json_array();
    for (size_t i = 0; i < terms->count && json_array_size(list) < FB_REASON_TERMS; i++) {
        if (terms->items[i].is_negated == is_negated) {
            (void)json_array_append_new(list, term_json(&terms->items[i]));
        }
    }
    return list;
}

/* What programs compare, and the words. */
static json_t *reason_json(const struct fb_policy_rule *rule, const struct fb_reason *r, bool is_ja)
{
    char words[FB_REASON_WORDS];
    unsigned values = fb_reason_values(r->code);
    const struct fb_policy_terms *terms = fb_reason_terms(rule, r);
    fb_reason_words(rule, r, is_ja, words, sizeof words);
    json_t *o =
        json_pack("{s:s,s:s,s:b,s:o}", "condition", fb_reason_about_name(r->about), "code",
                  fb_reason_code_name(r->code), "holds", r->holds, "text", fb_json_text(words));
    if (r->about == FB_ABOUT_HEADER) {
        (void)json_object_set_new(o, "header", json_string(rule->headers[r->header].name));
    }
    if ((values & FB_REASON_HAS_FOUND) != 0) {
        (void)json_object_set_new(o, "found", fb_json_text(r->found));
    }
    if ((values & FB_REASON_HAS_TERM) != 0 && terms != NULL) {
        (void)json_object_set_new(o, "term", term_json(&terms->items[r->term]));
    }
    if ((values & FB_REASON_HAS_TERMS) != 0 && terms != NULL) {
        (void)json_object_set_new(o, "terms", terms_json(terms, r->holds));
    }
    if ((values & FB_REASON_HAS_NUMBER) != 0) {
        (void)json_object_set_new(o, "number", json_integer((json_int_t)r->have));
    }
    if ((values & FB_REASON_HAS_LIMIT) != 0) {
        (void)json_object_set_new(o, "limit", json_integer((json_int_t)fb_reason_limit(rule, r)));
    }
    return o;
}

/* Only what can be said of this rule is believed. */
static bool take_reason(const struct fb_policy_rule *rule, struct fb_slice *in,
                        struct fb_reason *r_r)
{
    uint64_t about = 0;
    uint64_t code = 0;
    uint64_t holds = 0;
    uint64_t header = 0;
    uint64_t term = 0;
    uint64_t have = 0;
    struct fb_slice found;
    if (!render_rpc_take_u64(in, &about) || about >= FB_ABOUTS || !render_rpc_take_u64(in, &code) ||
        code >= FB_REASON_CODES || !render_rpc_take_u64(in, &holds) || holds > 1 ||
        !render_rpc_take_u64(in, &header) || !render_rpc_take_u64(in, &term) ||
        !render_rpc_take_u64(in, &have) || have > INT64_MAX || !render_rpc_take_bytes(in, &found) ||
        found.len >= FB_REASON_FOUND) {
        return false;
    }
    *r_r = (struct fb_reason){.about = (enum fb_reason_about)about,
                              .code = (enum fb_reason_code)code,
                              .holds = holds == 1,
                              .header = (size_t)header,
                              .term = (size_t)term,
                              .have = have};
    fb_reason_set_found(r_r, found);
    return fb_reason_is_possible(rule, r_r);
}

static json_t *take_why(const struct render_explain_question *q, const struct fb_policy_rule *rule,
                        struct fb_slice *in, char why_r[FB_REASON_WHY])
{
    uint64_t count = 0;
    json_t *list = json_array();
    bool ok = render_rpc_take_u64(in, &count) && count <= FB_ABOUTS + rule->header_count;
    struct fb_reasons reasons = {
        .items = fb_xcalloc(FB_ABOUTS + rule->header_count, sizeof(struct fb_reason))};
    while (ok && reasons.count < count) {
        struct fb_reason *r = &reasons.items[reasons.count++];
        ok = take_reason(rule, in, r) &&
             json_array_append_new(list, reason_json(rule, r, q->is_ja)) == 0;
    }
    if (ok) {
        fb_reasons_words(rule, &reasons, q->is_ja, why_r, FB_REASON_WHY);
    } else {
        json_decref(list);
    }
    fb_reasons_deinit(&reasons);
    return ok ? list : NULL;
}

/* ---- rules ---- */

static json_t *take_rules(const struct render_explain_question *q, struct fb_slice *in)
{
    uint64_t count = 0;
    json_t *list = json_array();
    bool ok = render_rpc_take_u64(in, &count) && count <= q->policy->rule_count;
    for (uint64_t i = 0; i < count && ok; i++) {
        uint64_t rule = 0;
        uint64_t matches = 0;
        char why[FB_REASON_WHY];
        json_t *reasons = NULL;
        ok = render_rpc_take_u64(in, &rule) && rule < q->policy->rule_count &&
             render_rpc_take_u64(in, &matches);
        if (ok) {
            const struct fb_policy_rule *r = &q->policy->rules[rule];
            reasons = take_why(q, r, in, why);
            ok = reasons != NULL &&
                 json_array_append_new(list, json_pack("{s:s,s:i,s:b,s:b,s:o,s:o}", "rule", r->name,
                                                       "line", r->line, "matches", matches != 0,
                                                       "shadow", r->is_shadow, "why",
                                                       fb_json_text(why), "reasons", reasons)) == 0;
        }
    }
    if (!ok) {
        json_decref(list);
    }
    return ok ? list : NULL;
}

/* Secured is who a rule secures that has a storage; rejected who a rule rejects. */
static bool is_possible(const struct render_explain_question *q, uint64_t kind, uint64_t rule)
{
    if (kind == FB_BRANCH_PASS) {
        return true; /* by a rule that passes, or for want of anything to secure */
    }
    enum fb_action want = kind == FB_BRANCH_SECURE ? FB_ACTION_SECURE : FB_ACTION_REJECT;
    return rule > 0 && q->policy->rules[rule - 1].action == want;
}

static bool take_recipient(const struct render_explain_question *q, size_t i, struct fb_slice *in,
                           json_t *list)
{
    static const char *const actions[] = {"pass", "secure", "reject"}; /* enum fb_branch_kind */
    uint64_t kind = 0;
    uint64_t rule = 0;
    uint64_t shadow = 0;
    struct fb_slice reason;
    if (!render_rpc_take_u64(in, &kind) || kind > FB_BRANCH_REJECT ||
        !render_rpc_take_bytes(in, &reason) || !render_rpc_take_u64(in, &rule) ||
        rule > q->policy->rule_count || !render_rpc_take_u64(in, &shadow) ||
        shadow > q->policy->rule_count || !is_possible(q, kind, rule)) {
        return false;
    }
    json_t *rules = take_rules(q, in);
    if (rules == NULL) {
        return false;
    }
    json_t *r = json_pack("{s:o,s:s,s:o,s:o,s:o,s:o}", "address", text_json(fb_slice_str(q->to[i])),
                          "action", actions[kind], "reason", text_json(reason), "rule",
                          rule_name(q, rule), "shadow", rule_name(q, shadow), "rules", rules);
    if (r != NULL && kind == FB_BRANCH_SECURE) {
        const struct fb_policy_rule *p = &q->policy->rules[rule - 1];
        (void)json_object_set_new(r, "storage", json_string(p->storage->name));
        (void)json_object_set_new(r, "security", json_string(p->security->name));
    }
    return json_array_append_new(list, r) == 0;
}

static json_t *take_attachments(struct fb_slice *in)
{
    uint64_t shown = 0;
    json_t *list = json_array();
    bool ok = render_rpc_take_u64(in, &shown) && shown <= RENDER_EXPLAIN_MAX_ATTACHMENTS;
    for (uint64_t i = 0; i < shown && ok; i++) {
        struct fb_slice name, type;
        uint64_t size = 0;
        ok = render_rpc_take_bytes(in, &name) && render_rpc_take_bytes(in, &type) &&
             render_rpc_take_u64(in, &size);
        if (ok) {
            (void)json_array_append_new(list,
                                        json_pack("{s:o,s:o,s:I}", "name", text_json(name), "type",
                                                  text_json(type), "size", (json_int_t)size));
        }
    }
    if (!ok) {
        json_decref(list);
    }
    return ok ? list : NULL;
}

static json_t *take_mail(const struct render_explain_question *q, struct fb_slice *in)
{
    struct fb_slice subject;
    uint64_t flags = 0;
    uint64_t count = 0;
    if (!render_rpc_take_bytes(in, &subject) || !render_rpc_take_u64(in, &flags) ||
        !render_rpc_take_u64(in, &count)) {
        return NULL;
    }
    json_t *attachments = take_attachments(in);
    if (attachments == NULL) {
        return NULL;
    }
    return json_pack("{s:o,s:o,s:I,s:I,s:o,s:b,s:b,s:b,s:b}", "from",
                     text_json(fb_slice_str(q->from)), "subject", text_json(subject), "size",
                     (json_int_t)q->size, "attachment_count", (json_int_t)count, "attachments",
                     attachments, "is_delivery_report",
                     (flags & RENDER_EXPLAIN_DELIVERY_REPORT) != 0, "is_auto_reply",
                     (flags & RENDER_EXPLAIN_AUTO_REPLY) != 0, "is_encrypted",
                     (flags & RENDER_EXPLAIN_ENCRYPTED) != 0, "is_already_through",
                     (flags & RENDER_EXPLAIN_OUR_SIGNATURE) != 0);
}

json_t *render_explain_answer(const struct render_explain_question *q, struct fb_slice in)
{
    uint64_t count = 0;
    json_t *list = json_array();
    json_t *mail = take_mail(q, &in);
    bool ok = mail != NULL && render_rpc_take_u64(&in, &count) && count == q->to_count;
    for (size_t i = 0; i < count && ok; i++) {
        ok = take_recipient(q, i, &in, list);
    }
    if (!ok || in.len > 0) {
        json_decref(mail);
        json_decref(list);
        return NULL;
    }
    return json_pack("{s:s,s:o,s:o}", "policy", q->policy->version, "mail", mail, "recipients",
                     list);
}
