/* SPDX-License-Identifier: Apache-2.0
 *
 * Why a rule takes a recipient or does not: as facts, one for each condition (explain.c), and in words, English or
 * Japanese (explain_words.c).  For `fumibako policy test` and the console's rule tester.
 *
 * A fact names the terms of the policy and the addresses and file names of the mail; never its subject or body.  It
 * holds no pointer and means something together with its rule only, so that render's sandboxed child can say it to
 * its parent, which has the rule and need not believe the child.
 */
#ifndef FB_COMMON_POLICY_EXPLAIN_H
#define FB_COMMON_POLICY_EXPLAIN_H

#include "common/policy/policy.h"

#define FB_REASON_FOUND 128  /* with its NUL: what is longer ends in "..." */
#define FB_REASON_WORDS 768  /* the words of one reason */
#define FB_REASON_WHY   2048 /* those of all reasons of a rule */
#define FB_REASON_TERMS 5    /* of those that were looked for in vain, so many are named */

/* What is spoken of: the rule as a whole, or one of its conditions. */
enum fb_reason_about {
    FB_ABOUT_RULE,
    FB_ABOUT_TO,
    FB_ABOUT_FROM,
    FB_ABOUT_SIZE,
    FB_ABOUT_PRESENT,
    FB_ABOUT_LARGER,
    FB_ABOUT_COUNT,
    FB_ABOUT_SUBJECT,
    FB_ABOUT_NAME,
    FB_ABOUT_TYPE,
    FB_ABOUT_HEADER,
    FB_ABOUT_BODY,
    FB_ABOUTS
};

/* What is said of it.  Each has its own words in explain_words.c, in both languages. */
enum fb_reason_code {
    FB_REASON_DISABLED,
    FB_REASON_NO_CONDITIONS,
    FB_REASON_SHADOW,
    FB_REASON_ADDRESS_MATCHES,
    FB_REASON_ADDRESS_IN_GROUP,
    FB_REASON_ADDRESS_EXCLUDED,
    FB_REASON_ADDRESS_NO_MATCH,
    FB_REASON_ADDRESS_NOT_EXCLUDED,
    FB_REASON_FILE_MATCHES,
    FB_REASON_FILE_EXCLUDED,
    FB_REASON_FILE_NO_MATCH,
    FB_REASON_FILE_NOT_EXCLUDED,
    FB_REASON_FILE_NONE_TO_MATCH,
    FB_REASON_FILE_ABSENT,
    FB_REASON_FILE_PRESENT,
    FB_REASON_SIZE_OVER,
    FB_REASON_SIZE_NOT_OVER,
    FB_REASON_LARGEST_OVER,
    FB_REASON_LARGEST_NOT_OVER,
    FB_REASON_COUNT_OVER,
    FB_REASON_COUNT_NOT_OVER,
    FB_REASON_TEXT_CONTAINS,
    FB_REASON_TEXT_MATCHES,
    FB_REASON_TEXT_CONTAINS_EXCLUDED,
    FB_REASON_TEXT_MATCHES_EXCLUDED,
    FB_REASON_TEXT_NO_MATCH,
    FB_REASON_TEXT_NOT_EXCLUDED,
    FB_REASON_TEXT_TOO_LONG,
    FB_REASON_HEADER_ABSENT,
    FB_REASON_CODES
};

struct fb_reason {
    enum fb_reason_about about;
    enum fb_reason_code code;
    bool holds;
    size_t header; /* FB_ABOUT_HEADER: which of the rule's */
    size_t term;   /* of the condition: the one that matched or refused, where the code has one */
    uint64_t have; /* bytes or attachments, where the code has a number */
    char found[FB_REASON_FOUND]; /* address, file name or type, where the code has one */
};

struct fb_reasons {
    struct fb_reason *items;
    size_t count;
};
void fb_reasons_deinit(struct fb_reasons *reasons);

/* Whether `rule` takes the recipient; a disabled rule takes nobody, a shadow rule is asked as if it were live.
 * reasons_r (NULL: not wanted; else deinit it) says why: all conditions where it does, only those that speak against
 * it where it does not. */
bool fb_policy_explain(const struct fb_policy_rule *rule, const struct fb_policy_facts *facts,
                       const char *recipient, struct fb_reasons *reasons_r);

/* Puts an address, file name or type into its place: cut, "?" for controls and for what is no UTF-8. */
void fb_reason_set_found(struct fb_reason *reason, struct fb_slice found);
/* Whether this can be said of the rule: nothing else may be given to the functions below. */
bool fb_reason_is_possible(const struct fb_policy_rule *rule, const struct fb_reason *reason);

/* For programs: the condition as a policy writes it ("attachments.name", "header"), "rule" for the whole; and the
 * verdict ("no_match").  "" for what is none. */
const char *fb_reason_about_name(enum fb_reason_about about);
const char *fb_reason_code_name(enum fb_reason_code code);

/* Which values a code has. */
enum fb_reason_value {
    FB_REASON_HAS_FOUND = 1,
    FB_REASON_HAS_TERM = 2, /* items[term] of fb_reason_terms() */
    FB_REASON_HAS_TERMS =
        4, /* fb_reason_terms(): the negated ones where the reason holds, else the others */
    FB_REASON_HAS_NUMBER = 8,
    FB_REASON_HAS_LIMIT = 16
};
unsigned fb_reason_values(enum fb_reason_code code);
/* Lent by the rule; NULL for a condition that has no terms. */
const struct fb_policy_terms *fb_reason_terms(const struct fb_policy_rule *rule,
                                              const struct fb_reason *reason);
int64_t fb_reason_limit(const struct fb_policy_rule *rule, const struct fb_reason *reason);

/* "to: a@b.example matches none of @example.jp"; what has no room is cut. */
void fb_reason_words(const struct fb_policy_rule *rule, const struct fb_reason *reason, bool is_ja,
                     char *out, size_t size);
/* All of them, one behind the other.  size: at least 9; FB_REASON_WHY is good. */
void fb_reasons_words(const struct fb_policy_rule *rule, const struct fb_reasons *reasons,
                      bool is_ja, char *out, size_t size);

/* The words with their {places}, for the test that none is missing; many: of several things, NULL where it is the
 * same. */
struct fb_reason_phrase {
    const char *one, *many;
};
struct fb_reason_phrase fb_reason_phrase(enum fb_reason_code code, bool is_ja);
const char *fb_reason_label(enum fb_reason_about about, bool is_ja);

#endif
