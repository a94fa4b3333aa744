/* SPDX-License-Identifier: Apache-2.0
 *
 * Asks each condition of a rule as match.c does and keeps what speaks for the rule or against it.
 * No words here: see explain_words.c. */
#include "common/policy/explain.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/policy/match.h"

static enum fb_reason_about about_of(const struct fb_policy_rule *rule, size_t condition)
{
    static const enum fb_reason_about abouts[] = {
        [FB_POL_COND_TO] = FB_ABOUT_TO,           [FB_POL_COND_FROM] = FB_ABOUT_FROM,
        [FB_POL_COND_SIZE] = FB_ABOUT_SIZE,       [FB_POL_COND_PRESENT] = FB_ABOUT_PRESENT,
        [FB_POL_COND_LARGER] = FB_ABOUT_LARGER,   [FB_POL_COND_COUNT] = FB_ABOUT_COUNT,
        [FB_POL_COND_SUBJECT] = FB_ABOUT_SUBJECT, [FB_POL_COND_NAME] = FB_ABOUT_NAME,
        [FB_POL_COND_TYPE] = FB_ABOUT_TYPE,
    };
    _Static_assert(sizeof abouts / sizeof abouts[0] == FB_POL_COND_HEADER, "one for each");
    return condition < FB_POL_COND_HEADER                        ? abouts[condition]
           : condition < FB_POL_COND_HEADER + rule->header_count ? FB_ABOUT_HEADER
                                                                 : FB_ABOUT_BODY;
}

const struct fb_policy_terms *fb_reason_terms(const struct fb_policy_rule *rule,
                                              const struct fb_reason *reason)
{
    switch (reason->about) {
    case FB_ABOUT_TO:
        return &rule->to;
    case FB_ABOUT_FROM:
        return &rule->from;
    case FB_ABOUT_SUBJECT:
        return &rule->subject;
    case FB_ABOUT_NAME:
        return &rule->attachment_name;
    case FB_ABOUT_TYPE:
        return &rule->attachment_type;
    case FB_ABOUT_HEADER:
        return &rule->headers[reason->header].terms;
    case FB_ABOUT_BODY:
        return &rule->body;
    default:
        return NULL;
    }
}

int64_t fb_reason_limit(const struct fb_policy_rule *rule, const struct fb_reason *reason)
{
    return reason->about == FB_ABOUT_SIZE     ? rule->size_over
           : reason->about == FB_ABOUT_LARGER ? rule->attachment_larger_than
           : reason->about == FB_ABOUT_COUNT  ? rule->attachment_count_over
                                              : -1;
}

/* ---- one condition ---- */

static enum fb_reason_code address_code(const struct fb_pol_verdict *v)
{
    if (v->term == NULL) {
        return v->holds ? FB_REASON_ADDRESS_NOT_EXCLUDED : FB_REASON_ADDRESS_NO_MATCH;
    }
    return v->term->is_negated      ? FB_REASON_ADDRESS_EXCLUDED
           : v->term->group != NULL ? FB_REASON_ADDRESS_IN_GROUP
                                    : FB_REASON_ADDRESS_MATCHES;
}

static enum fb_reason_code file_code(const struct fb_pol_verdict *v, size_t attachment_count)
{
    if (v->term != NULL) {
        return v->term->is_negated ? FB_REASON_FILE_EXCLUDED : FB_REASON_FILE_MATCHES;
    }
    return attachment_count == 0 ? FB_REASON_FILE_NONE_TO_MATCH
           : v->holds            ? FB_REASON_FILE_NOT_EXCLUDED
                                 : FB_REASON_FILE_NO_MATCH;
}

static enum fb_reason_code text_code(const struct fb_pol_verdict *v)
{
    if (v->is_unsure) {
        return FB_REASON_TEXT_TOO_LONG;
    }
    if (v->term == NULL) {
        return v->holds ? FB_REASON_TEXT_NOT_EXCLUDED : FB_REASON_TEXT_NO_MATCH;
    }
    if (v->term->is_negated) {
        return v->term->is_regex ? FB_REASON_TEXT_MATCHES_EXCLUDED
                                 : FB_REASON_TEXT_CONTAINS_EXCLUDED;
    }
    return v->term->is_regex ? FB_REASON_TEXT_MATCHES : FB_REASON_TEXT_CONTAINS;
}

static enum fb_reason_code header_code(const struct fb_policy_header_condition *header,
                                       const struct fb_policy_facts *facts,
                                       const struct fb_pol_verdict *v)
{
    for (size_t i = 0; i < facts->header_count; i++) {
        const char *name = facts->headers[i].name;
        if (name != NULL && strcasecmp(name, header->name) == 0) {
            return text_code(v);
        }
    }
    return FB_REASON_HEADER_ABSENT;
}

static uint64_t largest(const struct fb_policy_facts *facts)
{
    uint64_t size = 0;
    for (size_t i = 0; i < facts->attachment_count; i++) {
        size = facts->attachments[i].size > size ? facts->attachments[i].size : size;
    }
    return size;
}

static void judge(struct fb_reason *r, const struct fb_policy_rule *rule,
                  const struct fb_policy_facts *facts, const struct fb_pol_verdict *v)
{
    bool has_files = facts->attachment_count > 0;
    r->have = facts->attachment_count;
    switch (r->about) {
    case FB_ABOUT_TO:
    case FB_ABOUT_FROM:
        r->code = address_code(v);
        return;
    case FB_ABOUT_SIZE:
        r->code = v->holds ? FB_REASON_SIZE_OVER : FB_REASON_SIZE_NOT_OVER;
        r->have = facts->size;
        return;
    case FB_ABOUT_PRESENT:
        r->code = has_files ? FB_REASON_FILE_PRESENT : FB_REASON_FILE_ABSENT;
        return;
    case FB_ABOUT_LARGER:
        r->code = v->holds    ? FB_REASON_LARGEST_OVER
                  : has_files ? FB_REASON_LARGEST_NOT_OVER
                              : FB_REASON_FILE_ABSENT;
        r->have = largest(facts);
        return;
    case FB_ABOUT_COUNT:
        r->code = v->holds ? FB_REASON_COUNT_OVER : FB_REASON_COUNT_NOT_OVER;
        return;
    case FB_ABOUT_NAME:
    case FB_ABOUT_TYPE:
        r->code = file_code(v, facts->attachment_count);
        return;
    case FB_ABOUT_HEADER:
        r->code = header_code(&rule->headers[r->header], facts, v);
        return;
    default:
        r->code = text_code(v);
        return;
    }
}

void fb_reason_set_found(struct fb_reason *reason, struct fb_slice found)
{
    size_t len = found.len < sizeof reason->found ? found.len : sizeof reason->found - 1;
    if (len > 0) {
        memcpy(reason->found, found.ptr, len);
    }
    reason->found[len] = '\0';
    fb_pol_clean_text(reason->found, sizeof reason->found);
}

static void fill(struct fb_reason *r, const struct fb_policy_rule *rule, size_t condition,
                 const struct fb_pol_view *view, const char *recipient,
                 const struct fb_pol_verdict *v)
{
    *r = (struct fb_reason){.about = about_of(rule, condition), .holds = v->holds};
    r->header = r->about == FB_ABOUT_HEADER ? condition - FB_POL_COND_HEADER : 0;
    judge(r, rule, view->facts, v);
    if (v->term != NULL) {
        r->term = (size_t)(v->term - fb_reason_terms(rule, r)->items);
    }
    if ((fb_reason_values(r->code) & FB_REASON_HAS_FOUND) != 0) {
        const char *asked = r->about == FB_ABOUT_FROM ? view->from : recipient;
        fb_reason_set_found(r, fb_slice_str(v->value != NULL ? v->value : asked));
    }
}

/* ---- the rule ---- */

void fb_reasons_deinit(struct fb_reasons *reasons)
{
    free(reasons->items);
    *reasons = (struct fb_reasons){0};
}

static void add_of_rule(struct fb_reasons *reasons, enum fb_reason_code code, bool holds)
{
    reasons->items[reasons->count++] =
        (struct fb_reason){.about = FB_ABOUT_RULE, .code = code, .holds = holds};
}

bool fb_policy_explain(const struct fb_policy_rule *rule, const struct fb_policy_facts *facts,
                       const char *recipient, struct fb_reasons *reasons_r)
{
    size_t conditions = fb_pol_condition_count(rule);
    struct fb_reasons why = {.items = fb_xcalloc(conditions + 2, sizeof(struct fb_reason))};
    char text[FB_POL_ADDRESS_MAX];
    const char *address = fb_pol_address(recipient != NULL ? recipient : "", text);
    struct fb_pol_view view;
    bool matches = rule->is_enabled;
    fb_pol_view_init(&view, facts);
    for (size_t i = 0; i < conditions && rule->is_enabled; i++) {
        struct fb_pol_verdict verdict = fb_pol_condition_check(rule, i, &view, address);
        if (!verdict.is_asked || (!matches && verdict.holds)) {
            continue;
        }
        if (matches && !verdict.holds) {
            /* From here on only what speaks against the rule. */
            matches = false;
            why.count = 0;
        }
        fill(&why.items[why.count++], rule, i, &view, address, &verdict);
    }
    if (!rule->is_enabled) {
        add_of_rule(&why, FB_REASON_DISABLED, false);
    } else if (matches && why.count == 0) {
        add_of_rule(&why, FB_REASON_NO_CONDITIONS, true);
    }
    if (matches && rule->is_shadow) {
        add_of_rule(&why, FB_REASON_SHADOW, true);
    }
    fb_pol_view_deinit(&view);
    if (reasons_r != NULL) {
        *reasons_r = why;
    } else {
        fb_reasons_deinit(&why);
    }
    return matches;
}
