/* SPDX-License-Identifier: Apache-2.0
 *
 * Evaluation: facts of one message in, one decision per recipient out, the first rule that matches
 * wins.  Pure: no clock, no file, no log.  Only the condition `to` depends on the recipient, so for
 * a mail to a thousand people each rule's other conditions are asked once.
 *
 * Called by render's sandbox, the console's rule tester and `fumibako policy test`.
 */
#include "common/policy/match.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *text_or_empty(const char *text)
{
    return text != NULL ? text : "";
}

void fb_pol_view_init(struct fb_pol_view *view, const struct fb_policy_facts *facts)
{
    memset(view, 0, sizeof(*view));
    view->facts = facts;
    view->from = fb_pol_address(text_or_empty(facts->from), view->from_text);
    view->names = fb_xcalloc(facts->attachment_count, sizeof(view->names[0]));
    view->types = fb_xcalloc(facts->attachment_count, sizeof(view->types[0]));
    view->values = fb_xcalloc(facts->header_count, sizeof(view->values[0]));
    for (size_t i = 0; i < facts->attachment_count; i++) {
        view->names[i] = text_or_empty(facts->attachments[i].name);
        view->types[i] = text_or_empty(facts->attachments[i].type);
    }
}

void fb_pol_view_deinit(struct fb_pol_view *view)
{
    free(view->names);
    free(view->types);
    free(view->values);
    memset(view, 0, sizeof(*view));
}

size_t fb_pol_condition_count(const struct fb_policy_rule *rule)
{
    return FB_POL_COND_HEADER + rule->header_count + 1;
}

/* Conditions that compare a number or a presence. */
static struct fb_pol_verdict check_plain(bool is_asked, bool holds)
{
    return (struct fb_pol_verdict){.is_asked = is_asked, .holds = !is_asked || holds};
}

static bool has_larger(const struct fb_policy_facts *facts, int64_t limit)
{
    for (size_t i = 0; i < facts->attachment_count; i++) {
        if (limit >= 0 && facts->attachments[i].size > (uint64_t)limit) {
            return true;
        }
    }
    return false;
}

static struct fb_pol_verdict check_header(const struct fb_policy_header_condition *condition,
                                          const struct fb_pol_view *view)
{
    const struct fb_policy_facts *facts = view->facts;
    size_t count = 0;
    for (size_t i = 0; i < facts->header_count; i++) {
        if (facts->headers[i].name != NULL &&
            strcasecmp(facts->headers[i].name, condition->name) == 0) {
            view->values[count++] = text_or_empty(facts->headers[i].value);
        }
    }
    return fb_pol_terms_check(&condition->terms, FB_POL_TEXT, view->values, count);
}

static bool has_negated(const struct fb_policy_terms *terms)
{
    for (size_t i = 0; i < terms->count; i++) {
        if (terms->items[i].is_negated) {
            return true;
        }
    }
    return false;
}

/* What stands behind the searched part may be what a rule is there for: a rule that protects takes
 * the mail, one that lets it pass does not. */
static struct fb_pol_verdict check_body(const struct fb_policy_rule *rule,
                                        const struct fb_policy_facts *facts)
{
    const char *body = text_or_empty(facts->body);
    struct fb_pol_verdict v = fb_pol_terms_check(&rule->body, FB_POL_BODY, &body, 1);
    bool lets_pass = rule->action == FB_ACTION_PASS;
    if (!v.is_asked || !facts->is_body_cut) {
        return v;
    }
    v.is_unsure = lets_pass ? v.holds && has_negated(&rule->body) : !v.holds && v.term == NULL;
    v.holds = v.is_unsure ? !lets_pass : v.holds;
    return v;
}

struct fb_pol_verdict fb_pol_condition_check(const struct fb_policy_rule *rule, size_t condition,
                                             const struct fb_pol_view *view, const char *recipient)
{
    const struct fb_policy_facts *facts = view->facts;
    const char *one = NULL;
    switch (condition) {
    case FB_POL_COND_TO:
        return fb_pol_terms_check(&rule->to, FB_POL_RECIPIENT, &recipient, 1);
    case FB_POL_COND_FROM:
        return fb_pol_terms_check(&rule->from, FB_POL_SENDER, &view->from, 1);
    case FB_POL_COND_SIZE:
        return check_plain(rule->size_over >= 0, facts->size > (uint64_t)rule->size_over);
    case FB_POL_COND_PRESENT:
        return check_plain(rule->attachments_present >= 0,
                           (facts->attachment_count > 0) == (rule->attachments_present == 1));
    case FB_POL_COND_LARGER:
        return check_plain(rule->attachment_larger_than >= 0,
                           has_larger(facts, rule->attachment_larger_than));
    case FB_POL_COND_COUNT:
        return check_plain(rule->attachment_count_over >= 0,
                           facts->attachment_count > (uint64_t)rule->attachment_count_over);
    case FB_POL_COND_SUBJECT:
        one = text_or_empty(facts->subject);
        return fb_pol_terms_check(&rule->subject, FB_POL_TEXT, &one, 1);
    case FB_POL_COND_NAME:
        return fb_pol_terms_check(&rule->attachment_name, FB_POL_FILE_NAME, view->names,
                                  facts->attachment_count);
    case FB_POL_COND_TYPE:
        return fb_pol_terms_check(&rule->attachment_type, FB_POL_MEDIA_TYPE, view->types,
                                  facts->attachment_count);
    default:
        break;
    }
    if (condition - FB_POL_COND_HEADER < rule->header_count) {
        return check_header(&rule->headers[condition - FB_POL_COND_HEADER], view);
    }
    return check_body(rule, facts);
}

/* ---- deciding ---- */

enum { UNKNOWN = 0, HOLDS, FAILS };

/* All conditions but `to`, remembered in *known. */
static bool message_matches(const struct fb_policy_rule *rule, const struct fb_pol_view *view,
                            uint8_t *known)
{
    if (*known == UNKNOWN) {
        size_t count = fb_pol_condition_count(rule);
        *known = HOLDS;
        for (size_t i = FB_POL_COND_TO + 1; i < count && *known == HOLDS; i++) {
            *known = fb_pol_condition_check(rule, i, view, NULL).holds ? HOLDS : FAILS;
        }
    }
    return *known == HOLDS;
}

/* What passes before any rule is asked; NULL when the rules decide. */
static const char *reason_to_pass(const struct fb_policy *p, const struct fb_policy_facts *facts)
{
    if (facts->has_our_signature) {
        return "already through";
    }
    if (facts->is_delivery_report && p->passes_delivery_reports) {
        return "delivery report";
    }
    if (facts->is_auto_reply && p->passes_auto_replies) {
        return "auto reply";
    }
    if (facts->is_encrypted && p->passes_encrypted) {
        return "encrypted";
    }
    return NULL;
}

static struct fb_policy_decision decide_as(const struct fb_policy *p,
                                           const struct fb_pol_view *view, const char *address,
                                           uint8_t *known)
{
    struct fb_policy_decision decision = {.action = FB_ACTION_PASS, .reason = "no rule"};
    for (size_t i = 0; i < p->rule_count; i++) {
        const struct fb_policy_rule *rule = &p->rules[i];
        if (!rule->is_enabled || (rule->is_shadow && decision.shadow != NULL) ||
            !fb_pol_condition_check(rule, FB_POL_COND_TO, view, address).holds ||
            !message_matches(rule, view, &known[i])) {
            continue;
        }
        if (rule->is_shadow) {
            decision.shadow = rule;
            continue;
        }
        decision.action = rule->action;
        decision.rule = rule;
        decision.reason = "rule";
        break;
    }
    return decision;
}

static int strictness(enum fb_action action)
{
    return action == FB_ACTION_REJECT ? 2 : action == FB_ACTION_SECURE ? 1 : 0;
}

/* An address that names a route is judged as each of those that it may lead to, and the strictest
 * decision counts: "spy%evil.example@example.jp" is not inside only because it ends like it. */
static struct fb_policy_decision decide_one(const struct fb_policy *p,
                                            const struct fb_pol_view *view, const char *recipient,
                                            uint8_t *known)
{
    char text[FB_POL_ADDRESS_MAX];
    char next[FB_POL_ADDRESS_MAX];
    const char *address = fb_pol_address(text_or_empty(recipient), text);
    struct fb_policy_decision decision = decide_as(p, view, address, known);
    while (fb_pol_route(address, next)) { /* shorter or with fewer signs each time */
        address = fb_pol_address(next, text);
        struct fb_policy_decision other = decide_as(p, view, address, known);
        if (strictness(other.action) > strictness(decision.action)) {
            other.shadow = decision.shadow;
            decision = other;
        }
    }
    return decision;
}

void fb_policy_decide_many(const struct fb_policy *p, const struct fb_policy_facts *facts,
                           const char *const *recipients, size_t count,
                           struct fb_policy_decision *decisions_r)
{
    const char *reason = reason_to_pass(p, facts);
    struct fb_pol_view view;
    if (reason != NULL) {
        for (size_t i = 0; i < count; i++) {
            decisions_r[i] =
                (struct fb_policy_decision){.action = FB_ACTION_PASS, .reason = reason};
        }
        return;
    }
    uint8_t *known = fb_xcalloc(p->rule_count, sizeof(known[0]));
    fb_pol_view_init(&view, facts);
    for (size_t i = 0; i < count; i++) {
        decisions_r[i] = decide_one(p, &view, recipients[i], known);
    }
    fb_pol_view_deinit(&view);
    free(known);
}

struct fb_policy_decision fb_policy_decide(const struct fb_policy *p,
                                           const struct fb_policy_facts *facts,
                                           const char *recipient)
{
    struct fb_policy_decision decision = {0};
    fb_policy_decide_many(p, facts, &recipient, 1, &decision);
    return decision;
}

const char *fb_policy_matched_tag(const struct fb_policy_rule *rule, const char *subject)
{
    for (size_t i = 0; subject != NULL && i < rule->subject.count; i++) {
        const struct fb_policy_term *term = &rule->subject.items[i];
        size_t len = strlen(term->text);
        if (!term->is_negated && !term->is_regex && len > 2 && term->text[0] == '[' &&
            term->text[len - 1] == ']' &&
            fb_pol_find(subject, FB_POL_SUBJECT_MAX, term->text, NULL, NULL)) {
            return term->text;
        }
    }
    return NULL;
}

bool fb_policy_find_tag(const char *subject, const char *tag, size_t *offset_r, size_t *len_r)
{
    return fb_pol_find(subject, FB_POL_SUBJECT_MAX, tag, offset_r, len_r);
}
