/* SPDX-License-Identifier: Apache-2.0
 *
 * A YAML document as a tree whose every node knows its line (libyaml's document API), with limits:
 * size, depth, node count, no aliases (a "billion laughs" needs them), no duplicate keys.
 */
#ifndef FB_COMMON_YAML_H
#define FB_COMMON_YAML_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"

enum fb_yaml_kind { FB_YAML_SCALAR, FB_YAML_LIST, FB_YAML_MAP };

struct fb_yaml {
    enum fb_yaml_kind kind;
    int line;              /* 1-based */
    char *scalar;          /* scalar: UTF-8, NUL-terminated; "" for an empty value */
    bool is_quoted;        /* scalar written in quotes: never null, never a number */
    struct fb_yaml *items; /* list: the items; map: the values */
    char **keys;           /* map: the keys */
    int *key_lines;
    size_t count;
};

/* FB_INVALID with "line 3: ..." for a syntax error, an alias, a duplicate key or a passed limit. */
FB_MUST_USE enum fb_status fb_yaml_parse(struct fb_slice text, struct fb_yaml **root_r,
                                         struct fb_error *err);
/* Of the English words of an error, or a part of them: the same in another language, with the same conversions in the
 * same order, and with "line %d: " or "line %zu: " where that stands before them. */
typedef const char *(*fb_yaml_words)(const char *en);
/* The same with errors in other words; words may be NULL: English. */
FB_MUST_USE enum fb_status fb_yaml_parse_in(struct fb_slice text, fb_yaml_words words,
                                            struct fb_yaml **root_r, struct fb_error *err);
void fb_yaml_free(struct fb_yaml **root);
/* The value of a key, or NULL. */
const struct fb_yaml *fb_yaml_get(const struct fb_yaml *map, const char *key);
/* An empty, unquoted scalar, `~` or `null`. */
bool fb_yaml_is_null(const struct fb_yaml *node);

/* Scalars of the configuration and the policy.  Each returns false when the text is not of the
 * form. */
bool fb_parse_bool(const char *text, bool *value_r); /* true false yes no on off */
bool fb_parse_int(const char *text, int64_t *value_r);
bool fb_parse_size(const char *text, int64_t *bytes_r);  /* 150MiB, 10MB, 4096 */
bool fb_parse_duration(const char *text, int64_t *ms_r); /* 20s, 5m, 2h, 30d, 500ms; 0 */
bool fb_parse_percent(const char *text, int *percent_r); /* 80% */

#endif
