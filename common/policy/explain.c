/* SPDX-License-Identifier: Apache-2.0
 *
 * Says in words why a rule took a recipient or did not, for `fumibako policy test` and the console.
 * Names the terms of the policy and the addresses and file names of the mail; never prints its
 * subject or body.
 */
#include "common/policy/match.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct words {
    char *text;
    size_t size;
    size_t len;
};

static void say(struct words *w, const char *fmt, ...) FB_PRINTF(2, 3);
static void say(struct words *w, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(w->text + w->len, w->size - w->len, fmt, args);
    va_end(args);
    if (len > 0) {
        w->len = w->len + (size_t)len < w->size ? w->len + (size_t)len : w->size - 1;
    }
}

/* "!@a, !@b" or "@c, @d": the terms of one sign, shortened. */
static void say_terms(struct words *w, const struct fb_policy_terms *terms, bool is_negated)
{
    size_t said = 0;
    for (size_t i = 0; i < terms->count; i++) {
        if (terms->items[i].is_negated != is_negated) {
            continue;
        }
        if (said == 5) {
            say(w, ", ...");
            return;
        }
        say(w, "%s%s%.80s", said > 0 ? ", " : "", is_negated ? "!" : "", terms->items[i].text);
        said++;
    }
}

static const char *noun(enum fb_pol_kind kind)
{
    switch (kind) {
    case FB_POL_SENDER:
    case FB_POL_RECIPIENT:
        return "";
    case FB_POL_FILE_NAME:
    case FB_POL_MEDIA_TYPE:
        return "attachment ";
    case FB_POL_TEXT:
    case FB_POL_BODY:
    default:
        return NULL; /* texts are not repeated */
    }
}

/* Addresses, file names and types: "x matches term". */
static void say_value(struct words *w, const struct fb_policy_terms *terms, enum fb_pol_kind kind,
                      const struct fb_pol_verdict *verdict, const char *value, size_t value_count)
{
    const struct fb_policy_term *term = verdict->term;
    char shown[160];
    const char *what = verdict->value != NULL ? verdict->value : value;
    (void)snprintf(shown, sizeof(shown), "%s%.120s", noun(kind), what[0] != '\0' ? what : "<>");
    if (term != NULL && term->is_negated) {
        say(w, "%s is excluded by !%.80s", shown, term->text);
    } else if (term != NULL && term->group != NULL) {
        say(w, "%s is in group %.80s", shown, term->group->name);
    } else if (term != NULL) {
        say(w, "%s matches %.80s", shown, term->text);
    } else {
        bool is_address = kind == FB_POL_SENDER || kind == FB_POL_RECIPIENT;
        if (is_address) {
            say(w, "%s matches none of ", shown);
        } else if (value_count == 0) {
            say(w, "there is no attachment to match ");
        } else {
            say(w, "none of %zu attachment%s matches ", value_count, value_count == 1 ? "" : "s");
        }
        say_terms(w, terms, verdict->holds);
    }
}

/* Subject, body, headers: what is in them is named by the policy's own terms. */
static void say_text(struct words *w, const struct fb_policy_terms *terms,
                     const struct fb_pol_verdict *verdict)
{
    const struct fb_policy_term *term = verdict->term;
    if (term != NULL) {
        say(w, "%s%s%.80s", term->is_regex ? "matches " : "contains ",
            term->is_negated ? "the excluded " : "", term->text);
    } else {
        say(w, "contains none of ");
        say_terms(w, terms, verdict->holds);
    }
}

static void say_number(struct words *w, const char *what, uint64_t have, int64_t limit, bool holds)
{
    say(w, "%s %llu is %sover %lld", what, (unsigned long long)have, holds ? "" : "not ",
        (long long)limit);
}

static uint64_t largest(const struct fb_policy_facts *facts)
{
    uint64_t size = 0;
    for (size_t i = 0; i < facts->attachment_count; i++) {
        size = facts->attachments[i].size > size ? facts->attachments[i].size : size;
    }
    return size;
}

static void say_header(struct words *w, const struct fb_policy_header_condition *header,
                       const struct fb_pol_view *view, const struct fb_pol_verdict *verdict)
{
    bool is_there = false;
    for (size_t i = 0; i < view->facts->header_count; i++) {
        const char *name = view->facts->headers[i].name;
        is_there = is_there || (name != NULL && strcasecmp(name, header->name) == 0);
    }
    say(w, "header %s: ", header->name);
    if (is_there) {
        say_text(w, &header->terms, verdict);
    } else {
        say(w, "the mail has none");
    }
}

static void say_condition(struct words *w, const struct fb_policy_rule *rule, size_t condition,
                          const struct fb_pol_view *view, const char *recipient,
                          const struct fb_pol_verdict *v)
{
    const struct fb_policy_facts *facts = view->facts;
    switch (condition) {
    case FB_POL_COND_TO:
        say(w, "to: ");
        say_value(w, &rule->to, FB_POL_RECIPIENT, v, recipient, 1);
        return;
    case FB_POL_COND_FROM:
        say(w, "from: ");
        say_value(w, &rule->from, FB_POL_SENDER, v, view->from, 1);
        return;
    case FB_POL_COND_SIZE:
        say_number(w, "size_over: size", facts->size, rule->size_over, v->holds);
        return;
    case FB_POL_COND_PRESENT:
        say(w, "attachments.present: there %s %zu", facts->attachment_count == 1 ? "is" : "are",
            facts->attachment_count);
        return;
    case FB_POL_COND_LARGER:
        say_number(w, "attachments.larger_than: the largest with", largest(facts),
                   rule->attachment_larger_than, v->holds);
        return;
    case FB_POL_COND_COUNT:
        say_number(w, "attachments.count_over: count", facts->attachment_count,
                   rule->attachment_count_over, v->holds);
        return;
    case FB_POL_COND_SUBJECT:
        say(w, "subject: ");
        say_text(w, &rule->subject, v);
        return;
    case FB_POL_COND_NAME:
        say(w, "attachments.name: ");
        say_value(w, &rule->attachment_name, FB_POL_FILE_NAME, v, "", facts->attachment_count);
        return;
    case FB_POL_COND_TYPE:
        say(w, "attachments.type: ");
        say_value(w, &rule->attachment_type, FB_POL_MEDIA_TYPE, v, "", facts->attachment_count);
        return;
    default:
        break;
    }
    if (condition - FB_POL_COND_HEADER < rule->header_count) {
        say_header(w, &rule->headers[condition - FB_POL_COND_HEADER], view, v);
    } else {
        say(w, "body: ");
        if (v->is_unsure) {
            say(w, "is too long to be searched to its end");
        } else {
            say_text(w, &rule->body, v);
        }
    }
}

bool fb_policy_explain(const struct fb_policy_rule *rule, const struct fb_policy_facts *facts,
                       const char *recipient, char *why, size_t why_size)
{
    struct words words = {.text = why, .size = why_size};
    char text[FB_POL_ADDRESS_MAX];
    const char *address = fb_pol_address(recipient != NULL ? recipient : "", text);
    struct fb_pol_view view;
    bool matches = true;
    FB_ASSERT(why_size > 8);
    why[0] = '\0';
    if (!rule->is_enabled) {
        say(&words, "the rule is disabled");
        return false;
    }
    fb_pol_view_init(&view, facts);
    for (size_t i = 0; i < fb_pol_condition_count(rule); i++) {
        struct fb_pol_verdict verdict = fb_pol_condition_check(rule, i, &view, address);
        if (!verdict.is_asked || (!matches && verdict.holds)) {
            continue;
        }
        if (matches && !verdict.holds) {
            /* From here on only what speaks against the rule. */
            matches = false;
            words.len = 0;
            why[0] = '\0';
        }
        say(&words, "%s", words.len > 0 ? "; " : "");
        say_condition(&words, rule, i, &view, address, &verdict);
    }
    if (matches && words.len == 0) {
        say(&words, "the rule has no conditions");
    }
    if (matches && rule->is_shadow) {
        say(&words, " (shadow: changes nothing)");
    }
    fb_pol_view_deinit(&view);
    fb_pol_clean_text(why, why_size);
    return matches;
}
