/* SPDX-License-Identifier: Apache-2.0
 *
 * One term and lists of terms: see terms.h.  Parsing refuses terms that could never match, because
 * a rule that silently takes nothing lets mail out unprotected.
 */
#include "common/policy/terms.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/policy/text.h"

/* Bounds the memory and time of compiling; each costs some 100 kB at worst. */
#define MAX_REGEXES 1000

static bool is_address_kind(enum fb_pol_kind kind)
{
    return kind == FB_POL_SENDER || kind == FB_POL_RECIPIENT;
}

static bool is_glob(const char *text)
{
    return strpbrk(text, "*?") != NULL;
}

/* ---- groups ---- */

static int compare_members(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool has_member(const struct fb_policy_group *group, const char *text)
{
    return group->member_count > 0 && bsearch(&text, group->members, group->member_count,
                                              sizeof(group->members[0]), compare_members) != NULL;
}

bool fb_pol_group_has(const struct fb_policy_group *group, const char *address)
{
    const char *at = strrchr(address, '@');
    if (has_member(group, address)) {
        return true;
    }
    if (at == NULL) {
        return false;
    }
    if (has_member(group, at)) {
        return true;
    }
    /* "@.example.jp" for each domain above the address' own */
    for (const char *dot = strchr(at, '.'); dot != NULL; dot = strchr(dot + 1, '.')) {
        char parent[FB_POL_ADDRESS_MAX];
        int len = snprintf(parent, sizeof(parent), "@%s", dot);
        if (len > 0 && (size_t)len < sizeof(parent) && has_member(group, parent)) {
            return true;
        }
    }
    return false;
}

/* NULL, or what is wrong with "a@example.jp", "@example.jp" or "@.example.jp". */
static const char *check_address(const char *text)
{
    const char *at = strrchr(text, '@');
    if (at == NULL) {
        return "is no address; a whole domain is written \"@example.jp\"";
    }
    const char *domain = at + 1;
    if (at == text && domain[0] == '.') {
        domain++;
    }
    if (domain[0] == '\0' || domain[0] == '.' || strstr(domain, "..") != NULL ||
        strpbrk(domain, " <>(),;\"") != NULL) {
        return "has no valid domain behind its \"@\"";
    }
    return NULL;
}

void fb_pol_members_parse(struct fb_pol_reader *r, const struct fb_yaml *list, const char *path,
                          struct fb_policy_group *group)
{
    group->members = fb_xcalloc(list->count, sizeof(group->members[0]));
    for (size_t i = 0; i < list->count; i++) {
        const struct fb_yaml *item = &list->items[i];
        const char *text = fb_pol_item(r, item, path, FB_POL_ADDRESS_MAX - 1);
        if (text == NULL) {
            continue;
        }
        const char *wrong = check_address(text);
        if (text[0] == '!' || text[0] == '/' || is_glob(text)) {
            wrong = "a member is an address, \"@domain\" or \"@.domain\"; no \"!\", globs or "
                    "expressions";
        }
        if (wrong != NULL) {
            fb_pol_error(r, item->line, "%s: \"%.80s\": %s", path, text, fb_pol_words(r, wrong));
            continue;
        }
        char address[FB_POL_ADDRESS_MAX];
        group->members[group->member_count++] = fb_xstrdup(fb_pol_address(text, address));
    }
    if (group->member_count == 0) {
        return;
    }
    qsort(group->members, group->member_count, sizeof(group->members[0]), compare_members);
    size_t kept = 1;
    for (size_t i = 1; i < group->member_count; i++) {
        if (strcmp(group->members[i], group->members[kept - 1]) == 0) {
            fb_pol_warning(r, list->line, "%s: \"%.80s\" is there twice", path, group->members[i]);
            free(group->members[i]);
        } else {
            group->members[kept++] = group->members[i];
        }
    }
    group->member_count = kept;
}

/* ---- one term ---- */

static const struct fb_policy_group *find_group(const struct fb_policy *p, const char *name)
{
    for (size_t i = 0; i < p->group_count; i++) {
        if (p->groups[i].name != NULL && strcmp(p->groups[i].name, name) == 0) {
            return &p->groups[i];
        }
    }
    return NULL;
}

/* An address term that is no regular expression. */
static bool parse_address_term(struct fb_pol_reader *r, int line, const char *path,
                               enum fb_pol_kind kind, struct fb_policy_term *term)
{
    bool is_group = strncmp(term->text, "group:", 6) == 0;
    const char *name = is_group ? term->text + 6 : term->text;
    char known[160];
    term->group = find_group(r->policy, name);
    if (term->group != NULL) {
        return true;
    }
    fb_pol_name_list(r, r->policy->group_count > 0 ? &r->policy->groups[0].name : NULL,
                     r->policy->group_count, sizeof(r->policy->groups[0]), known, sizeof(known));
    if (is_group) {
        fb_pol_error(r, line, "%s: unknown group \"%.60s\"; known: %s", path, name, known);
        return false;
    }
    if (strcmp(term->text, "<>") == 0) {
        if (kind != FB_POL_SENDER) {
            fb_pol_error(r, line, "%s: \"<>\" is the null sender; a recipient is never empty",
                         path);
        }
        return kind == FB_POL_SENDER;
    }
    if (!is_glob(term->text)) {
        const char *wrong = check_address(term->text);
        if (wrong != NULL && strchr(term->text, '@') == NULL) {
            fb_pol_error(r, line,
                         "%s: \"%.60s\" is neither an address, \"@domain\", a glob, nor the name "
                         "of a group; "
                         "known groups: %s",
                         path, term->text, known);
            return false;
        }
        if (wrong != NULL) {
            fb_pol_error(r, line, "%s: \"%.80s\" %s", path, term->text, fb_pol_words(r, wrong));
            return false;
        }
    }
    char address[FB_POL_ADDRESS_MAX];
    char *normal = fb_xstrdup(fb_pol_address(term->text, address));
    free(term->text);
    term->text = normal;
    return true;
}

static bool parse_regex_term(struct fb_pol_reader *r, int line, const char *path,
                             struct fb_policy_term *term)
{
    char pattern[FB_POL_TERM_MAX + 1];
    char why[160];
    size_t len = strlen(term->text);
    if (len < 3) {
        fb_pol_error(r, line, "%s: \"%s\" is an empty regular expression", path, term->text);
        return false;
    }
    if (++r->regex_count > MAX_REGEXES) {
        fb_pol_error(r, line, "%s: more than %d regular expressions in the policy", path,
                     MAX_REGEXES);
        return false;
    }
    memcpy(pattern, term->text + 1, len - 2);
    pattern[len - 2] = '\0';
    term->is_regex = fb_pol_regex_compile(&term->regex, pattern, why, sizeof(why));
    if (!term->is_regex) {
        fb_pol_error(r, line, "%s: bad regular expression %.80s: %s", path, term->text,
                     fb_pol_words(r, why));
    }
    return term->is_regex;
}

static bool parse_term(struct fb_pol_reader *r, const struct fb_yaml *item, const char *path,
                       enum fb_pol_kind kind, struct fb_policy_term *term)
{
    const char *text = fb_pol_item(r, item, path, FB_POL_TERM_MAX - 1);
    if (text == NULL) {
        return false;
    }
    term->is_negated = text[0] == '!';
    text += term->is_negated ? 1 : 0;
    if (text[0] == '\0') {
        fb_pol_error(r, item->line, "%s: \"!\" alone negates nothing", path);
        return false;
    }
    term->text = fb_xstrdup(text);
    size_t len = strlen(text);
    if (text[0] == '/' && len > 1 && text[len - 1] == '/') {
        return parse_regex_term(r, item->line, path, term);
    }
    if (text[0] == '/') {
        fb_pol_warning(r, item->line,
                       "%s: \"%.80s\" begins with \"/\" but does not end with one, so it is no "
                       "regular expression",
                       path, text);
    }
    if (is_address_kind(kind)) {
        return parse_address_term(r, item->line, path, kind, term);
    }
    if (kind == FB_POL_MEDIA_TYPE && strchr(text, '/') == NULL && strcmp(text, "*") != 0) {
        fb_pol_error(r, item->line,
                     "%s: \"%.60s\" is no media type such as image/* or application/pdf", path,
                     text);
        return false;
    }
    return true;
}

static void term_deinit(struct fb_policy_term *term)
{
    if (term->is_regex) {
        fb_pol_regex_free(&term->regex);
    }
    free(term->text);
    memset(term, 0, sizeof(*term));
}

bool fb_pol_term_matches(const struct fb_policy_term *term, enum fb_pol_kind kind,
                         const char *value)
{
    size_t max = kind == FB_POL_BODY ? FB_POL_BODY_MAX : FB_POL_SUBJECT_MAX;
    if (term->is_regex) {
        return fb_pol_regex_matches(&term->regex, value, max);
    }
    if (kind == FB_POL_BODY) {
        return fb_pol_find(value, max, term->text, NULL, NULL) ||
               fb_pol_find_wrapped(value, max, term->text, true) ||
               fb_pol_find_wrapped(value, max, term->text, false);
    }
    if (!is_address_kind(kind)) {
        return kind == FB_POL_TEXT ? fb_pol_find(value, max, term->text, NULL, NULL)
                                   : fb_pol_glob(term->text, value);
    }
    if (term->group != NULL) {
        return fb_pol_group_has(term->group, value);
    }
    if (strcmp(term->text, "<>") == 0) {
        return value[0] == '\0';
    }
    if (is_glob(term->text)) {
        return fb_pol_glob(term->text, value);
    }
    const char *at = strrchr(value, '@');
    if (term->text[0] != '@') {
        return strcmp(term->text, value) == 0;
    }
    if (at == NULL) {
        return false;
    }
    if (term->text[1] != '.') {
        return strcmp(term->text, at) == 0;
    }
    /* "@.example.jp": what ends with ".example.jp" and has something before it */
    size_t want = strlen(term->text) - 1;
    size_t have = strlen(at + 1);
    return have > want && strcmp(at + 1 + have - want, term->text + 1) == 0;
}

/* ---- lists ---- */

void fb_pol_terms_parse_list(struct fb_pol_reader *r, const struct fb_yaml *list, const char *path,
                             enum fb_pol_kind kind, struct fb_policy_terms *terms)
{
    terms->items = fb_xcalloc(list->count, sizeof(terms->items[0]));
    for (size_t i = 0; i < list->count; i++) {
        struct fb_policy_term term = {0};
        if (parse_term(r, &list->items[i], path, kind, &term)) {
            terms->items[terms->count++] = term;
        } else {
            term_deinit(&term);
        }
    }
}

void fb_pol_terms_parse(struct fb_pol_reader *r, const struct fb_pol_scope *scope, const char *key,
                        enum fb_pol_kind kind, struct fb_policy_terms *terms)
{
    char path[96];
    const struct fb_yaml *list = fb_pol_list(r, scope, key, FB_POL_MAX_TERMS);
    fb_pol_path(scope, key, path);
    if (list != NULL) {
        fb_pol_terms_parse_list(r, list, path, kind, terms);
    }
}

void fb_pol_terms_deinit(struct fb_policy_terms *terms)
{
    for (size_t i = 0; i < terms->count; i++) {
        term_deinit(&terms->items[i]);
    }
    free(terms->items);
    memset(terms, 0, sizeof(*terms));
}

struct fb_pol_verdict fb_pol_terms_check(const struct fb_policy_terms *terms, enum fb_pol_kind kind,
                                         const char *const *values, size_t value_count)
{
    struct fb_pol_verdict verdict = {.is_asked = terms->count > 0, .holds = true};
    const struct fb_policy_term *taken = NULL;
    size_t positive_count = 0;
    for (size_t i = 0; i < terms->count; i++) {
        const struct fb_policy_term *term = &terms->items[i];
        positive_count += term->is_negated ? 0 : 1;
        for (size_t j = 0; j < value_count && (term->is_negated || taken == NULL); j++) {
            if (!fb_pol_term_matches(term, kind, values[j])) {
                continue;
            }
            verdict.term = term;
            verdict.value = values[j];
            if (term->is_negated) {
                verdict.holds = false;
                return verdict;
            }
            taken = term;
        }
    }
    verdict.holds = positive_count == 0 || taken != NULL;
    return verdict;
}
