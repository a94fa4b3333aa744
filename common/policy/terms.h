/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists of conditions on one kind of value: parsing them, and asking whether they hold.
 * Internal to common/policy.
 *
 * A list is any-of over its positive terms, and none of its negated terms may match; a list of
 * negated terms alone holds for everything that none of them matches.  Where there are several
 * values (the occurrences of a header, the attachments), a positive term needs one value that
 * matches, a negated one refuses if any does.
 */
#ifndef FB_COMMON_POLICY_TERMS_H
#define FB_COMMON_POLICY_TERMS_H

#include "common/policy/policy.h"
#include "common/policy/read.h"

enum fb_pol_kind {
    FB_POL_SENDER,    /* as FB_POL_RECIPIENT, and "<>" is the null sender */
    FB_POL_RECIPIENT, /* address, "@domain", "@.domain", group, glob, regex */
    FB_POL_TEXT,      /* contains, regex; the first 64 KiB */
    FB_POL_BODY,      /* contains, regex; the first 1 MiB */
    FB_POL_FILE_NAME, /* glob, regex */
    FB_POL_MEDIA_TYPE /* glob, regex */
};

/* Reads the list under key of the map. */
void fb_pol_terms_parse(struct fb_pol_reader *r, const struct fb_pol_scope *scope, const char *key,
                        enum fb_pol_kind kind, struct fb_policy_terms *terms);
/* Reads the items of a list; path names it in findings. */
void fb_pol_terms_parse_list(struct fb_pol_reader *r, const struct fb_yaml *list, const char *path,
                             enum fb_pol_kind kind, struct fb_policy_terms *terms);
void fb_pol_terms_deinit(struct fb_policy_terms *terms);

/* Reads a group's members: compared as fb_pol_address() gives them, sorted, so that look-ups are
 * short. */
void fb_pol_members_parse(struct fb_pol_reader *r, const struct fb_yaml *list, const char *path,
                          struct fb_policy_group *group);
bool fb_pol_group_has(const struct fb_policy_group *group, const char *address);

/* Whether the term's own text matches, whatever its sign.  Addresses as fb_pol_address() gives
 * them. */
bool fb_pol_term_matches(const struct fb_policy_term *term, enum fb_pol_kind kind,
                         const char *value);

/* Why a condition holds or not. */
struct fb_pol_verdict {
    bool is_asked; /* false: the rule has no such condition, and it holds */
    bool holds;
    const struct fb_policy_term
        *term;         /* the positive term that matched, the negated one that refused, or NULL */
    const char *value; /* what it matched; lent */
    bool is_unsure;    /* decided without having seen all of the body */
};

struct fb_pol_verdict fb_pol_terms_check(const struct fb_policy_terms *terms, enum fb_pol_kind kind,
                                         const char *const *values, size_t value_count);

#endif
