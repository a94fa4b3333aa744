/* SPDX-License-Identifier: Apache-2.0 */
#include "common/dry_run.h"

#include <stdlib.h>
#include <string.h>

#include "common/crypto.h"
#include "common/json_words.h"
#include "common/ledger/search.h"
#include "common/policy/explain.h"
#include "common/title.h"

#define SHOWN     200 /* changed recipients that are named */
#define MAX_KINDS 200 /* of changes, and of rules that cannot be judged */

enum dry_action { DRY_SECURE, DRY_PASS, DRY_REJECT, DRY_UNKNOWN };

struct dry_outcome {
    enum dry_action action;
    const char *rule; /* lent; "" = none */
};

static const char *action_name(enum dry_action action)
{
    static const char *const names[] = {"secure", "pass", "reject", "unknown"};
    return names[action];
}

static enum dry_action action_of(const char *kind)
{
    return strcmp(kind, "secure") == 0   ? DRY_SECURE
           : strcmp(kind, "reject") == 0 ? DRY_REJECT
           : strcmp(kind, "pass") == 0   ? DRY_PASS
                                         : DRY_UNKNOWN;
}

/* What became of recipient i as the record says. */
static struct dry_outcome before_of(const struct fb_ledger_message *m, size_t i)
{
    uint32_t b = m->recipients[i].branch;
    if (b >= m->branch_count) {
        return (struct dry_outcome){DRY_UNKNOWN, ""};
    }
    return (struct dry_outcome){action_of(m->branches[b].kind), m->branches[b].rule};
}

/* ---- rules ---- */

/* Whether a rule asks for what the ledger does not keep. */
static bool asks_content(const struct fb_policy_rule *r, bool has_subject)
{
    return r->body.count > 0 || r->header_count > 0 || r->attachments_present >= 0 ||
           r->attachment_name.count > 0 || r->attachment_type.count > 0 ||
           r->attachment_larger_than >= 0 || r->attachment_count_over >= 0 ||
           (r->subject.count > 0 && !has_subject);
}

static bool same_terms(const struct fb_policy_terms *a, const struct fb_policy_terms *b)
{
    bool is_same = a->count == b->count;
    for (size_t i = 0; is_same && i < a->count; i++) {
        is_same = strcmp(a->items[i].text, b->items[i].text) == 0 &&
                  a->items[i].is_negated == b->items[i].is_negated && a->items[i].group == NULL &&
                  b->items[i].group == NULL;
    }
    return is_same;
}

/* Whether two rules take the same mails. */
static bool same_conditions(const struct fb_policy_rule *a, const struct fb_policy_rule *b)
{
    bool is_same = same_terms(&a->from, &b->from) && same_terms(&a->to, &b->to) &&
                   same_terms(&a->subject, &b->subject) && same_terms(&a->body, &b->body) &&
                   same_terms(&a->attachment_name, &b->attachment_name) &&
                   same_terms(&a->attachment_type, &b->attachment_type) &&
                   a->attachments_present == b->attachments_present &&
                   a->attachment_larger_than == b->attachment_larger_than &&
                   a->attachment_count_over == b->attachment_count_over &&
                   a->size_over == b->size_over && a->header_count == b->header_count;
    for (size_t i = 0; is_same && i < a->header_count; i++) {
        is_same = strcmp(a->headers[i].name, b->headers[i].name) == 0 &&
                  same_terms(&a->headers[i].terms, &b->headers[i].terms);
    }
    return is_same;
}

/* The rule without what the ledger does not keep. */
static struct fb_policy_rule without_content(const struct fb_policy_rule *r, bool has_subject)
{
    struct fb_policy_rule known = *r;
    known.body.count = known.attachment_name.count = known.attachment_type.count = 0;
    known.header_count = 0;
    known.attachments_present = -1;
    known.attachment_larger_than = known.attachment_count_over = -1;
    known.subject.count = has_subject ? known.subject.count : 0;
    return known;
}

enum answer { NO, YES, MAYBE };

/* What is known of a rule that asks for content: it decided before, or did not although it could have. */
static enum answer by_history(const struct fb_policy_rule *r, const struct fb_policy *old,
                              const char *decided)
{
    const struct fb_policy_rule *then = old != NULL ? fb_policy_find_rule(old, r->name) : NULL;
    const struct fb_policy_rule *took =
        old != NULL && decided[0] != '\0' ? fb_policy_find_rule(old, decided) : NULL;
    if (then == NULL || !then->is_enabled || then->is_shadow || !same_conditions(r, then)) {
        return MAYBE;
    }
    if (then == took) {
        return YES;
    }
    /* First match wins: rules before the one that took it did not. */
    return took == NULL || then < took ? NO : MAYBE;
}

static enum answer takes(const struct fb_policy_rule *r, const struct fb_policy *old,
                         const struct fb_policy_facts *facts, const char *address,
                         const char *decided, bool has_subject)
{
    struct fb_policy_rule known = without_content(r, has_subject);
    known.is_shadow = false;
    if (!fb_policy_explain(&known, facts, address, NULL)) {
        return NO;
    }
    return asks_content(r, has_subject) ? by_history(r, old, decided) : YES;
}

static enum dry_action of_rule(const struct fb_policy_rule *r)
{
    return r->action == FB_ACTION_SECURE   ? DRY_SECURE
           : r->action == FB_ACTION_REJECT ? DRY_REJECT
                                           : DRY_PASS;
}

/* Decided before any rule was asked, or for a reason that the rules do not give. */
static bool is_outside_rules(const struct fb_ledger_message *m, size_t i)
{
    uint32_t b = m->recipients[i].branch;
    const char *why = b < m->branch_count && !m->branches[b].is_held ? m->branches[b].reason : "";
    return why[0] != '\0' && strcmp(why, "no rule") != 0 && strcmp(why, "rule") != 0;
}

/* What `p` would have done.  old (may be NULL): the policy in force, whose rules are taken for those that decided. */
static struct dry_outcome after_of(const struct fb_policy *p, const struct fb_policy *old,
                                   const struct fb_ledger_message *m, const char *subject, size_t i)
{
    struct dry_outcome before = before_of(m, i);
    const struct fb_policy_facts facts = {
        .from = m->from, .subject = subject != NULL ? subject : "", .body = "", .size = m->size};
    if (is_outside_rules(m, i)) {
        return before; /* a delivery report, an encrypted mail, one without anything to secure */
    }
    for (size_t k = 0; k < p->rule_count; k++) {
        const struct fb_policy_rule *r = &p->rules[k];
        if (!r->is_enabled || r->is_shadow) {
            continue;
        }
        enum answer a =
            takes(r, old, &facts, m->recipients[i].address, before.rule, subject != NULL);
        if (a == YES) {
            return (struct dry_outcome){of_rule(r), r->name};
        }
        if (a == MAYBE) {
            return (struct dry_outcome){DRY_UNKNOWN, r->name};
        }
    }
    return (struct dry_outcome){DRY_PASS, ""};
}

/* ---- the last mails ---- */

struct run {
    struct fb_title_key key; /* of subjects */
    const struct fb_dry_run *q;
    json_t *items, *changes, *doubts;
    json_int_t mails, recipients, same, changed, unknown;
};

static json_t *outcome_json(const struct dry_outcome *o)
{
    return json_pack("{s:s,s:o}", "action", action_name(o->action), "rule",
                     o->rule[0] != '\0' ? fb_json_text(o->rule) : json_null());
}

/* Counts one more of a kind; a new kind is appended.  Takes kind, an object. */
static void count_kind(json_t *list, json_t *kind)
{
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one)
    {
        json_int_t n = json_integer_value(json_object_get(one, "count"));
        (void)json_object_set_new(kind, "count", json_integer(n));
        if (json_equal(one, kind)) {
            (void)json_object_set_new(one, "count", json_integer(n + 1));
            json_decref(kind);
            return;
        }
    }
    (void)json_object_set_new(kind, "count", json_integer(1));
    if (json_array_size(list) < MAX_KINDS) {
        (void)json_array_append(list, kind);
    }
    json_decref(kind);
}

static void compare(struct run *x, const struct fb_ledger_message *m, size_t i, const char *subject)
{
    struct dry_outcome before = before_of(m, i);
    struct dry_outcome after = after_of(x->q->policy, x->q->old, m, subject, i);
    x->recipients++;
    if (after.action == DRY_UNKNOWN) {
        x->unknown++;
        count_kind(x->doubts, json_pack("{s:o}", "rule", fb_json_text(after.rule)));
        return;
    }
    if (after.action == before.action && strcmp(after.rule, before.rule) == 0) {
        x->same++;
        return;
    }
    json_t *was = outcome_json(&before);
    json_t *is = outcome_json(&after);
    x->changed++;
    count_kind(x->changes, json_pack("{s:O,s:O}", "before", was, "after", is));
    if (json_array_size(x->items) < SHOWN) {
        (void)json_array_append_new(
            x->items,
            json_pack("{s:s,s:o,s:o,s:o,s:o,s:O,s:O}", "message", m->msg_id, "accepted",
                      x->q->time(m->accepted_ms), "from", fb_json_text(m->from), "subject",
                      x->q->shows_subjects && subject != NULL ? fb_json_text(subject) : json_null(),
                      "address", fb_json_text(m->recipients[i].address), "before", was, "after",
                      is));
    }
    json_decref(was);
    json_decref(is);
}

static void take_mail(void *ctx, const struct fb_ledger_message *m)
{
    struct run *x = ctx;
    struct fb_title title;
    if (m->branch_count == 0) {
        return; /* nothing is decided yet */
    }
    bool has_title =
        m->title != NULL && fb_title_open_by(&x->key, m->msg_id, m->title, &title) == FB_OK;
    x->mails++;
    for (size_t i = 0; i < m->recipient_count; i++) {
        if (m->recipients[i].address[0] != '\0') {
            compare(x, m, i, has_title ? title.subject : NULL);
        }
    }
    if (has_title) {
        fb_wipe(&title, sizeof title);
    }
}

static enum fb_status look_through(struct fb_redis *r, struct run *x, struct fb_error *err)
{
    struct fb_search q = {.until_ms = INT64_MAX / 4};
    struct fb_search_end end = {.next = ""};
    enum fb_status s = FB_OK;
    size_t left = x->q->most;
    do {
        q.limit = left < FB_SEARCH_PAGE ? left : FB_SEARCH_PAGE;
        s = fb_ledger_search(r, &q, take_mail, x, &end, err);
        left -= q.limit;
    } while (s == FB_OK && left > 0 && end.next[0] != '\0' && fb_search_cursor(end.next, &q));
    return s;
}

enum fb_status fb_dry_run(struct fb_redis *r, const struct fb_dry_run *q, json_t **result_r,
                          struct fb_error *err)
{
    struct run x = {.q = q, .items = json_array(), .changes = json_array(), .doubts = json_array()};
    fb_title_key(q->title_key, &x.key);
    enum fb_status s = look_through(r, &x, err);
    fb_title_key_wipe(&x.key);
    if (s == FB_OK) {
        *result_r =
            json_pack("{s:I,s:I,s:I,s:I,s:I,s:O,s:O,s:O}", "messages", x.mails, "recipients",
                      x.recipients, "same", x.same, "changed", x.changed, "unknown", x.unknown,
                      "changes", x.changes, "unknown_rules", x.doubts, "items", x.items);
    }
    json_decref(x.items);
    json_decref(x.changes);
    json_decref(x.doubts);
    return s;
}
