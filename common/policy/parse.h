/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of parsing a policy, in the order parse.c calls them.  Internal to common/policy.
 */
#ifndef FB_COMMON_POLICY_PARSE_H
#define FB_COMMON_POLICY_PARSE_H

#include <stdatomic.h>

#include "common/policy/policy.h"
#include "common/policy/read.h"

/* What a struct fb_policy really is; callers see only the first member. */
struct fb_pol_counted {
    struct fb_policy policy;
    atomic_uint refs;
};

/* Names are shown in pages, folders and logs. */
#define FB_POL_NAME_MAX 128

/* Reads `key` as a required name that none of the count objects before has (name is their member,
 * found at stride bytes from one to the next). */
void fb_pol_name(struct fb_pol_reader *r, const struct fb_pol_scope *scope, const void *first_name,
                 size_t count, size_t stride, char **name);

void fb_pol_parse_storages(struct fb_pol_reader *r, const struct fb_pol_scope *root);
void fb_pol_parse_notices(struct fb_pol_reader *r, const struct fb_pol_scope *root);
/* Needs storages, groups and security definitions. */
void fb_pol_parse_rules(struct fb_pol_reader *r, const struct fb_pol_scope *root);
/* What only the whole document shows: unreachable rules, unused groups. */
void fb_pol_check_rules(struct fb_pol_reader *r);
/* NULL, or why the path of a rule is refused; *warning_r (may be NULL) what is odd about it.  Both for fb_pol_words();
 * what was put together in why is there already. */
const char *fb_pol_path_check(const struct fb_pol_reader *r, const char *path, char *why,
                              size_t why_size, const char **warning_r);

#endif
