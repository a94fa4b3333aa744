/* SPDX-License-Identifier: Apache-2.0
 *
 * The texts that an organisation can replace in `notices.templates`: their keys and the
 * placeholders that each knows.  A key is "<kind>.<ja|en>.<text|html>", a placeholder in a text is
 * {{name}} (in HTML its value is escaped, in text it is not).
 */
#ifndef FB_COMMON_POLICY_TEMPLATE_H
#define FB_COMMON_POLICY_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>

struct fb_policy_template_kind {
    const char *name;
    const char *required; /* the placeholder without which the text would be useless, or NULL */
    const char *const *placeholders; /* ended by NULL; those of every kind are not repeated here */
};

/* All kinds, ended by one whose name is NULL. */
const struct fb_policy_template_kind *fb_policy_template_kinds(void);
bool fb_policy_template_is_kind(const char *name);
/* Placeholders that every kind knows, ended by NULL. */
const char *const *fb_policy_template_common(void);
/* The kind of a key such as "notice.ja.html"; NULL when it is no key. */
const struct fb_policy_template_kind *fb_policy_template_find(const char *key);
bool fb_policy_template_knows(const struct fb_policy_template_kind *kind, const char *name,
                              size_t len);
/* The next placeholder at or behind text: its name and length, and where the text goes on behind
 * "}}".  NULL when there is none; a "{{" without its "}}" is none. */
const char *fb_policy_template_next(const char *text, size_t *len_r, const char **rest_r);

#endif
