/* SPDX-License-Identifier: Apache-2.0
 *
 * Typed reading of the policy's YAML: every mistake becomes a finding with line and path, and
 * reading goes on, so that one check shows them all.  Internal to common/policy.
 *
 * An absent key and a null value are the same: the output keeps the default it had.
 */
#ifndef FB_COMMON_POLICY_READ_H
#define FB_COMMON_POLICY_READ_H

#include "common/policy/policy.h"
#include "common/yaml.h"

/* Lists longer than this are an accident; they bound the time of the checks and of each decision.
 */
#define FB_POL_MAX_RULES 500
#define FB_POL_MAX_NAMED 500 /* storages, security definitions, groups */
#define FB_POL_MAX_TERMS 2000
#define FB_POL_MAX_USERS 1000

struct fb_pol_reader {
    struct fb_policy *policy;
    struct fb_policy_findings *findings;
    size_t regex_count;
    bool is_ja; /* the language of the findings */
};

/* A map of the document and where it lies: "rules[2].when". */
struct fb_pol_scope {
    const struct fb_yaml *map;
    char path[96];
};

/* Of a format or a part of a finding in English: the same in the language of the findings (finding_words.c), with the
 * same conversions in the same order.  What has no row is itself. */
const char *fb_pol_words(const struct fb_pol_reader *r, const char *en)
    __attribute__((format_arg(2)));
/* The same of what is wrong with YAML (yaml_words.c), in Japanese: for fb_yaml_parse_in(). */
const char *fb_pol_yaml_words_ja(const char *en) __attribute__((format_arg(1)));
/* fmt is English and has a row in finding_words.c; so have the words of ours among the values, which the caller gets
 * from fb_pol_words(). */
void fb_pol_finding(struct fb_pol_reader *r, bool is_error, int line, const char *fmt, ...)
    FB_PRINTF(4, 5);
#define fb_pol_error(r, line, ...)   fb_pol_finding((r), true, (line), __VA_ARGS__)
#define fb_pol_warning(r, line, ...) fb_pol_finding((r), false, (line), __VA_ARGS__)
/* Makes a text of buffer size fit for terminals, logs and JSON: "?" for controls and what is no
 * UTF-8, "..." at a cut. */
void fb_pol_clean_text(char *text, size_t size);
void fb_pol_findings_sort(struct fb_policy_findings *f);

/* The map itself as a scope; false (with a finding) when the node is no map. */
bool fb_pol_scope_init(struct fb_pol_reader *r, const struct fb_yaml *node, const char *path,
                       struct fb_pol_scope *scope);
/* The map under key; false when absent or no map. */
bool fb_pol_scope_enter(struct fb_pol_reader *r, const struct fb_pol_scope *outer, const char *key,
                        struct fb_pol_scope *scope);
/* "outer.key"; "key" at the top. */
void fb_pol_path(const struct fb_pol_scope *scope, const char *key, char path[96]);
/* Reports each key of the map that is not in known (ended by NULL). */
void fb_pol_check_keys(struct fb_pol_reader *r, const struct fb_pol_scope *scope,
                       const char *const *known);
/* The value under key, NULL when absent or null. */
const struct fb_yaml *fb_pol_value(const struct fb_pol_scope *scope, const char *key);
/* The list under key with at most max items, NULL when absent, null or (with a finding) no list. */
const struct fb_yaml *fb_pol_list(struct fb_pol_reader *r, const struct fb_pol_scope *scope,
                                  const char *key, size_t max);

/* One line of text without control characters, 1 to max bytes; replaces *text, which the caller
 * frees. */
bool fb_pol_string(struct fb_pol_reader *r, const struct fb_pol_scope *scope, const char *key,
                   size_t max, char **text);
/* As fb_pol_string, but must be there. */
bool fb_pol_required(struct fb_pol_reader *r, const struct fb_pol_scope *scope, const char *key,
                     size_t max, char **text);
/* A scalar of a list: checked as fb_pol_string does; NULL with a finding.  Lent from the node. */
const char *fb_pol_item(struct fb_pol_reader *r, const struct fb_yaml *item, const char *path,
                        size_t max);
void fb_pol_bool(struct fb_pol_reader *r, const struct fb_pol_scope *scope, const char *key,
                 bool *value);
/* The index of the text in names (ended by NULL). */
void fb_pol_enum(struct fb_pol_reader *r, const struct fb_pol_scope *scope, const char *key,
                 const char *const *names, int *value);
void fb_pol_int(struct fb_pol_reader *r, const struct fb_pol_scope *scope, const char *key,
                int64_t min, int64_t max, int64_t *value);
void fb_pol_size(struct fb_pol_reader *r, const struct fb_pol_scope *scope, const char *key,
                 int64_t *bytes);
/* Whole seconds. */
void fb_pol_duration(struct fb_pol_reader *r, const struct fb_pol_scope *scope, const char *key,
                     int64_t max_s, int64_t *seconds);
/* "a, b, c" for messages, shortened with "..."; names[i] is found at stride bytes from the one
 * before. */
void fb_pol_name_list(const struct fb_pol_reader *r, const void *first, size_t count, size_t stride,
                      char *out, size_t size);

#endif
