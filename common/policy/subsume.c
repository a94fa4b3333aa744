/* SPDX-License-Identifier: Apache-2.0
 *
 * Which rules can never take a recipient, because an earlier one takes everything they would.  A
 * proof by pieces: the later rule implies the earlier one when every condition of the earlier is
 * there in the later, equal or narrower.  "Not proved" is no claim that the rule is reachable.
 */
#include "common/policy/parse.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/policy/terms.h"
#include "common/policy/text.h"

/* Comparisons of one check; far more than a real policy needs, and done in a blink. */
#define SUBSUME_BUDGET 2000000

static bool spend(uint64_t *budget)
{
    if (*budget == 0) {
        return false;
    }
    (*budget)--;
    return true;
}

static bool is_address_kind(enum fb_pol_kind kind)
{
    return kind == FB_POL_SENDER || kind == FB_POL_RECIPIENT;
}

static bool is_glob(const char *text)
{
    return strpbrk(text, "*?") != NULL;
}

/* Whether each address that "a@b", "@b" or "@.b" means is one that term means. */
static bool address_within(const char *text, const struct fb_policy_term *term)
{
    char below[FB_POL_ADDRESS_MAX + 8];
    if (strcmp(text, term->text) == 0 && term->group == NULL && !term->is_regex) {
        return true;
    }
    if (text[0] != '@') {
        const char *address = strcmp(text, "<>") == 0 ? "" : text;
        return !is_glob(text) && fb_pol_term_matches(term, FB_POL_SENDER, address);
    }
    if (term->is_regex) {
        return false;
    }
    if (term->group != NULL) {
        /* Some member must be as wide; a look-up of "@b" finds "@b" and the "@.parents" of b. */
        return fb_pol_group_has(term->group, text);
    }
    if (is_glob(term->text)) {
        /* "*@b" and "*" hold every local part. */
        return strcmp(term->text, "*") == 0 ||
               (strncmp(term->text, "*@", 2) == 0 && !is_glob(term->text + 2) &&
                strcmp(term->text + 1, text) == 0);
    }
    if (strncmp(term->text, "@.", 2) != 0) {
        return false;
    }
    /* "@x.b" and "@.x.b" lie within "@.b" */
    (void)snprintf(below, sizeof(below), "x%s%s", text[1] == '.' ? "@x" : "@", text + 1);
    return fb_pol_term_matches(term, FB_POL_SENDER, below);
}

/* Whether whatever matches inner matches outer too (both without their signs). */
static bool term_within(const struct fb_policy_term *inner, const struct fb_policy_term *outer,
                        enum fb_pol_kind kind, uint64_t *budget)
{
    if (!spend(budget)) {
        return false;
    }
    if (inner->is_regex) {
        /* \w and \W are opposites, so case counts here. */
        return outer->is_regex && strcmp(inner->text, outer->text) == 0;
    }
    if (!is_address_kind(kind)) {
        if (outer->is_regex) {
            return false;
        }
        if (kind == FB_POL_TEXT || kind == FB_POL_BODY) {
            return fb_pol_find(inner->text, FB_POL_TERM_MAX, outer->text, NULL, NULL);
        }
        return strcmp(outer->text, "*") == 0 ||
               (!is_glob(inner->text) && fb_pol_glob(outer->text, inner->text));
    }
    if (inner->group == NULL) {
        return address_within(inner->text, outer);
    }
    if (inner->group == outer->group) {
        return true;
    }
    for (size_t i = 0; i < inner->group->member_count; i++) {
        if (!spend(budget) || !address_within(inner->group->members[i], outer)) {
            return false;
        }
    }
    return true;
}

/* Whether no address can match both: only proved for plain addresses and domains. */
static bool terms_apart(const struct fb_policy_term *a, const struct fb_policy_term *b)
{
    bool is_plain = !a->is_regex && !b->is_regex && a->group == NULL && b->group == NULL &&
                    !is_glob(a->text) && !is_glob(b->text) && a->text[0] != '<' &&
                    b->text[0] != '<';
    return is_plain && !address_within(a->text, b) && !address_within(b->text, a);
}

/* A negated term of the earlier rule holds for all that the later rule takes. */
static bool exclusion_implied(const struct fb_policy_term *excluded,
                              const struct fb_policy_terms *later, enum fb_pol_kind kind,
                              uint64_t *budget)
{
    size_t positive_count = 0;
    size_t apart_count = 0;
    for (size_t i = 0; i < later->count; i++) {
        const struct fb_policy_term *term = &later->items[i];
        if (term->is_negated) {
            if (term_within(excluded, term, kind, budget)) {
                return true;
            }
        } else {
            positive_count++;
            apart_count +=
                is_address_kind(kind) && spend(budget) && terms_apart(excluded, term) ? 1 : 0;
        }
    }
    return positive_count > 0 && apart_count == positive_count;
}

/* Whether each member of a group lies within some positive term: they need not all lie within the same. */
static bool members_within(const struct fb_policy_group *group,
                           const struct fb_policy_terms *earlier, uint64_t *budget)
{
    for (size_t i = 0; i < group->member_count; i++) {
        bool is_within = false;
        for (size_t j = 0; j < earlier->count && !is_within; j++) {
            is_within = !earlier->items[j].is_negated && spend(budget) &&
                        address_within(group->members[i], &earlier->items[j]);
        }
        if (!is_within) {
            return false;
        }
    }
    return true;
}

static bool terms_implied(const struct fb_policy_terms *earlier,
                          const struct fb_policy_terms *later, enum fb_pol_kind kind,
                          uint64_t *budget)
{
    size_t earlier_positives = 0;
    size_t later_positives = 0;
    for (size_t i = 0; i < earlier->count; i++) {
        earlier_positives += earlier->items[i].is_negated ? 0 : 1;
        if (earlier->items[i].is_negated &&
            !exclusion_implied(&earlier->items[i], later, kind, budget)) {
            return false;
        }
    }
    if (earlier_positives == 0) {
        return true;
    }
    for (size_t i = 0; i < later->count; i++) {
        bool is_within = false;
        if (later->items[i].is_negated) {
            continue;
        }
        later_positives++;
        for (size_t j = 0; j < earlier->count && !is_within; j++) {
            is_within = !earlier->items[j].is_negated &&
                        term_within(&later->items[i], &earlier->items[j], kind, budget);
        }
        if (!is_within && (later->items[i].group == NULL ||
                           !members_within(later->items[i].group, earlier, budget))) {
            return false;
        }
    }
    return later_positives > 0;
}

static bool headers_implied(const struct fb_policy_rule *earlier,
                            const struct fb_policy_rule *later, uint64_t *budget)
{
    for (size_t i = 0; i < earlier->header_count; i++) {
        bool is_implied = false;
        for (size_t j = 0; j < later->header_count && !is_implied; j++) {
            is_implied = strcasecmp(earlier->headers[i].name, later->headers[j].name) == 0 &&
                         terms_implied(&earlier->headers[i].terms, &later->headers[j].terms,
                                       FB_POL_TEXT, budget);
        }
        if (!is_implied) {
            return false;
        }
    }
    return true;
}

static bool has_positive(const struct fb_policy_terms *terms)
{
    for (size_t i = 0; i < terms->count; i++) {
        if (!terms->items[i].is_negated) {
            return true;
        }
    }
    return false;
}

static bool attachments_implied(const struct fb_policy_rule *earlier,
                                const struct fb_policy_rule *later, uint64_t *budget)
{
    bool later_needs_one = later->attachments_present == 1 || later->attachment_larger_than >= 0 ||
                           later->attachment_count_over >= 0 ||
                           has_positive(&later->attachment_name) ||
                           has_positive(&later->attachment_type);
    if (earlier->attachments_present == 1 && !later_needs_one) {
        return false;
    }
    if (earlier->attachments_present == 0 && later->attachments_present != 0) {
        return false;
    }
    if (earlier->attachment_larger_than >= 0 &&
        later->attachment_larger_than < earlier->attachment_larger_than) {
        return false;
    }
    if (earlier->attachment_count_over >= 0 &&
        later->attachment_count_over < earlier->attachment_count_over) {
        return false;
    }
    return terms_implied(&earlier->attachment_name, &later->attachment_name, FB_POL_FILE_NAME,
                         budget) &&
           terms_implied(&earlier->attachment_type, &later->attachment_type, FB_POL_MEDIA_TYPE,
                         budget);
}

/* Whether everything that later takes was taken by earlier.  budget counts comparisons down; at 0
 * the answer is false. */
static bool subsumes(const struct fb_policy_rule *earlier, const struct fb_policy_rule *later,
                     uint64_t *budget)
{
    if (!spend(budget) || (earlier->size_over >= 0 && later->size_over < earlier->size_over)) {
        return false;
    }
    return terms_implied(&earlier->from, &later->from, FB_POL_SENDER, budget) &&
           terms_implied(&earlier->to, &later->to, FB_POL_RECIPIENT, budget) &&
           terms_implied(&earlier->subject, &later->subject, FB_POL_TEXT, budget) &&
           terms_implied(&earlier->body, &later->body, FB_POL_BODY, budget) &&
           headers_implied(earlier, later, budget) && attachments_implied(earlier, later, budget);
}

/* ---- the checks of the whole document ---- */

static bool uses_group(const struct fb_policy_terms *terms, const struct fb_policy_group *group)
{
    for (size_t i = 0; i < terms->count; i++) {
        if (terms->items[i].group == group) {
            return true;
        }
    }
    return false;
}

static void check_groups(struct fb_pol_reader *r)
{
    const struct fb_policy *p = r->policy;
    for (size_t i = 0; i < p->group_count; i++) {
        const struct fb_policy_group *group = &p->groups[i];
        bool is_used = group->name == NULL;
        for (size_t j = 0; j < p->rule_count && !is_used; j++) {
            is_used = uses_group(&p->rules[j].from, group) || uses_group(&p->rules[j].to, group);
        }
        if (!is_used) {
            fb_pol_warning(r, group->line, "groups[%zu]: \"%.60s\" is used by no rule", i,
                           group->name);
        }
    }
}

void fb_pol_check_rules(struct fb_pol_reader *r)
{
    const struct fb_policy *p = r->policy;
    uint64_t budget = SUBSUME_BUDGET;
    check_groups(r);
    /* A term that was refused is missing from its list, which would make a rule look wider than it
     * is. */
    if (r->findings->error_count > 0) {
        return;
    }
    for (size_t i = 0; i < p->rule_count; i++) {
        const struct fb_policy_rule *later = &p->rules[i];
        for (size_t j = 0; j < i && later->is_enabled; j++) {
            const struct fb_policy_rule *earlier = &p->rules[j];
            if (earlier->is_enabled && !earlier->is_shadow && subsumes(earlier, later, &budget)) {
                fb_pol_warning(
                    r, later->line,
                    "rules[%zu]: \"%.60s\" is never reached: rules[%zu] \"%.60s\" (line %d) takes "
                    "everything it would",
                    i, later->name, j, earlier->name, earlier->line);
                break;
            }
        }
    }
    if (budget == 0) {
        fb_pol_warning(r, 0, "rules: too many conditions to look for rules that are never reached");
    }
}
