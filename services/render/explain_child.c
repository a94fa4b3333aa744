/* SPDX-License-Identifier: Apache-2.0
 *
 * The sandboxed half of --explain: parses as a real rendering does, asks the policy, and asks each
 * rule up to the one that took the recipient for its reasons. */
#include <stdlib.h>
#include <string.h>

#include "common/policy/explain.h"
#include "proto/limits.h"
#include "services/render/child_signature.h"
#include "services/render/decide.h"
#include "services/render/explain.h"

struct job {
    struct child_talk talk;
    struct fb_envelope envelope;
    struct fb_policy *policy;
    struct render_mail mail;
    struct fb_plan plan;
    struct fb_buf answer;
};

static enum fb_status read_all(struct job *j, struct fb_error *err)
{
    struct fb_policy_findings findings = {0};
    enum fb_status s = fb_envelope_decode(j->talk.start.envelope, &j->envelope, err);
    struct render_source source = child_source(&j->talk);
    struct render_sink sink = child_sink(&j->talk);
    if (s == FB_OK) {
        s = render_mime_parse(&source, &sink, &j->envelope, &j->mail, err);
    }
    if (s == FB_OK) {
        s = child_look_for_signature(&j->talk, &j->mail, err);
    }
    if (s == FB_OK && fb_policy_parse(j->talk.start.policy, &j->policy, &findings) != FB_OK) {
        s = fb_error_set(err, FB_CONFIG, "the policy cannot be read");
    }
    fb_policy_findings_deinit(&findings);
    if (s == FB_OK) {
        memcpy(j->plan.msg_id, j->talk.start.msg_id,
               strnlen(j->talk.start.msg_id, sizeof j->plan.msg_id - 1));
        s = render_decide(j->policy, &j->mail.facts, &j->envelope, j->talk.start.first_ms, &j->plan,
                          err);
    }
    return s;
}

/* ---- the answer ---- */

static void put_number(struct job *j, uint64_t n, enum fb_status *s)
{
    if (*s == FB_OK) {
        *s = render_rpc_put_u64(&j->answer, n);
    }
}

static void put_text(struct job *j, const char *text, enum fb_status *s)
{
    if (*s == FB_OK) {
        *s = render_rpc_put_bytes(&j->answer, fb_slice_str(text));
    }
}

static void put_facts(struct job *j, enum fb_status *s)
{
    const struct fb_policy_facts *f = &j->mail.facts;
    size_t shown = f->attachment_count < RENDER_EXPLAIN_MAX_ATTACHMENTS
                       ? f->attachment_count
                       : RENDER_EXPLAIN_MAX_ATTACHMENTS;
    put_text(j, f->subject, s);
    put_number(j,
               (f->is_delivery_report ? RENDER_EXPLAIN_DELIVERY_REPORT : 0U) |
                   (f->is_auto_reply ? RENDER_EXPLAIN_AUTO_REPLY : 0U) |
                   (f->is_encrypted ? RENDER_EXPLAIN_ENCRYPTED : 0U) |
                   (f->has_our_signature ? RENDER_EXPLAIN_OUR_SIGNATURE : 0U),
               s);
    put_number(j, f->attachment_count, s);
    put_number(j, shown, s);
    for (size_t i = 0; i < shown; i++) {
        put_text(j, f->attachments[i].name, s);
        put_text(j, f->attachments[i].type, s);
        put_number(j, f->attachments[i].size, s);
    }
}

static size_t rule_number(const struct job *j, const struct fb_policy_rule *rule)
{
    return rule != NULL ? (size_t)(rule - j->policy->rules) + 1 : 0;
}

static void put_reason(struct job *j, const struct fb_reason *r, enum fb_status *s)
{
    put_number(j, r->about, s);
    put_number(j, r->code, s);
    put_number(j, r->holds, s);
    put_number(j, r->header, s);
    put_number(j, r->term, s);
    put_number(j, r->have, s);
    put_text(j, r->found, s);
}

static void put_rules(struct job *j, const char *address, const struct fb_policy_decision *d,
                      enum fb_status *s)
{
    /* Report, automatic reply, encrypted, already through: then no rule was asked. */
    bool is_asked = d->rule != NULL || strcmp(d->reason, "no rule") == 0;
    size_t count = !is_asked         ? 0
                   : d->rule != NULL ? rule_number(j, d->rule)
                                     : j->policy->rule_count;
    put_number(j, count, s);
    for (size_t i = 0; i < count && *s == FB_OK; i++) {
        struct fb_reasons why;
        bool matches = fb_policy_explain(&j->policy->rules[i], &j->mail.facts, address, &why);
        put_number(j, i, s);
        put_number(j, matches, s);
        put_number(j, why.count, s);
        for (size_t k = 0; k < why.count; k++) {
            put_reason(j, &why.items[k], s);
        }
        fb_reasons_deinit(&why);
    }
}

static enum fb_branch_kind kind_of(const struct job *j, uint32_t recipient)
{
    for (uint32_t b = 0; b < j->plan.branch_count; b++) {
        for (uint32_t i = 0; i < j->plan.branches[b].recipient_count; i++) {
            if (j->plan.branches[b].recipients[i] == recipient) {
                return j->plan.branches[b].kind;
            }
        }
    }
    return FB_BRANCH_PASS;
}

static void put_recipients(struct job *j, enum fb_status *s)
{
    put_number(j, j->envelope.recipient_count, s);
    for (size_t i = 0; i < j->envelope.recipient_count && *s == FB_OK; i++) {
        const char *address = j->envelope.recipients[i].address;
        struct fb_policy_decision d = fb_policy_decide(j->policy, &j->mail.facts, address);
        /* What the plan made of it: a rule for attachments alone leaves a mail without any
         * untouched. */
        enum fb_branch_kind kind = kind_of(j, (uint32_t)i);
        bool is_empty = d.rule != NULL && d.action == FB_ACTION_SECURE && kind == FB_BRANCH_PASS;
        put_number(j, kind, s);
        put_text(j, is_empty ? "nothing to secure" : d.reason, s);
        put_number(j, rule_number(j, d.rule), s);
        put_number(j, rule_number(j, d.shadow), s);
        put_rules(j, address, &d, s);
    }
}

void render_explain_child(int fd)
{
    static struct job j; /* the process is one message's: nothing is freed, it ends */
    struct fb_error err = {0};
    child_talk_init(&j.talk, fd);
    fb_buf_init(&j.answer, FB_MAX_PLAN);
    enum fb_status s = child_receive_start(&j.talk, &err);
    if (s == FB_OK) {
        s = read_all(&j, &err);
    }
    if (s == FB_OK) {
        put_facts(&j, &s);
        put_recipients(&j, &s);
        if (s != FB_OK) {
            (void)fb_error_set(&err, s,
                               "the answer is too long: ask for fewer recipients at a time");
        }
    }
    if (s == FB_OK) {
        child_done(&j.talk, fb_slice_buf(&j.answer));
    } else {
        child_fail(&j.talk, s, err.text);
    }
}
