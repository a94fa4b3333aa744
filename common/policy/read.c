/* SPDX-License-Identifier: Apache-2.0
 *
 * Typed reading of the policy's YAML: see read.h.  Knows types and limits, no key of the policy.
 */
#include "common/policy/read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fb_pol_path(const struct fb_pol_scope *scope, const char *key, char path[96])
{
    (void)snprintf(path, 96, "%.60s%s%.32s", scope->path, scope->path[0] != '\0' ? "." : "", key);
}

static const char *kind_name(const struct fb_pol_reader *r, const struct fb_yaml *node)
{
    switch (node->kind) {
    case FB_YAML_LIST:
        return fb_pol_words(r, "a list");
    case FB_YAML_MAP:
        return fb_pol_words(r, "a map");
    case FB_YAML_SCALAR:
    default:
        return fb_pol_words(r, "a single value");
    }
}

bool fb_pol_scope_init(struct fb_pol_reader *r, const struct fb_yaml *node, const char *path,
                       struct fb_pol_scope *scope)
{
    scope->map = node;
    (void)snprintf(scope->path, sizeof(scope->path), "%s", path);
    if (node->kind != FB_YAML_MAP) {
        fb_pol_error(r, node->line, "%s: must be a map (key: value), is %s",
                     path[0] != '\0' ? path : "document", kind_name(r, node));
        return false;
    }
    return true;
}

bool fb_pol_scope_enter(struct fb_pol_reader *r, const struct fb_pol_scope *outer, const char *key,
                        struct fb_pol_scope *scope)
{
    char path[96];
    const struct fb_yaml *node = fb_pol_value(outer, key);
    if (node == NULL) {
        return false;
    }
    fb_pol_path(outer, key, path);
    return fb_pol_scope_init(r, node, path, scope);
}

void fb_pol_check_keys(struct fb_pol_reader *r, const struct fb_pol_scope *scope,
                       const char *const *known)
{
    size_t known_count = 0;
    char names[200];
    while (known[known_count] != NULL) {
        known_count++;
    }
    fb_pol_name_list(r, known, known_count, sizeof(known[0]), names, sizeof(names));
    for (size_t i = 0; i < scope->map->count; i++) {
        bool is_known = false;
        for (size_t j = 0; j < known_count && !is_known; j++) {
            is_known = strcmp(scope->map->keys[i], known[j]) == 0;
        }
        if (!is_known) {
            char path[96];
            fb_pol_path(scope, scope->map->keys[i], path);
            fb_pol_error(r, scope->map->key_lines[i], "%s: unknown key; known: %s", path, names);
        }
    }
}

const struct fb_yaml *fb_pol_value(const struct fb_pol_scope *scope, const char *key)
{
    const struct fb_yaml *node = fb_yaml_get(scope->map, key);
    return node != NULL && !fb_yaml_is_null(node) ? node : NULL;
}

const struct fb_yaml *fb_pol_list(struct fb_pol_reader *r, const struct fb_pol_scope *scope,
                                  const char *key, size_t max)
{
    const struct fb_yaml *node = fb_pol_value(scope, key);
    char path[96];
    if (node == NULL) {
        return NULL;
    }
    fb_pol_path(scope, key, path);
    if (node->kind != FB_YAML_LIST) {
        fb_pol_error(r, node->line, "%s: must be a list, is %s; write [ ] around it", path,
                     kind_name(r, node));
        return NULL;
    }
    if (node->count > max) {
        fb_pol_error(r, node->line, "%s: has %zu items, at most %zu are allowed", path, node->count,
                     max);
        return NULL;
    }
    return node;
}

const char *fb_pol_item(struct fb_pol_reader *r, const struct fb_yaml *item, const char *path,
                        size_t max)
{
    if (item->kind != FB_YAML_SCALAR) {
        fb_pol_error(r, item->line, "%s: must be a text, is %s", path, kind_name(r, item));
        return NULL;
    }
    if (item->scalar[0] == '\0' || fb_yaml_is_null(item)) {
        fb_pol_error(r, item->line, "%s: must not be empty", path);
        return NULL;
    }
    if (strlen(item->scalar) > max) {
        fb_pol_error(r, item->line, "%s: is longer than %zu bytes", path, max);
        return NULL;
    }
    for (const unsigned char *p = (const unsigned char *)item->scalar; *p != '\0'; p++) {
        /* C0, DEL, and C1 (U+0080 to U+009F is C2 80 to C2 9F). */
        if (*p < 0x20 || *p == 0x7f || (*p == 0xc2 && p[1] < 0xa0)) {
            fb_pol_error(r, item->line, "%s: must be one line without control characters", path);
            return NULL;
        }
    }
    return item->scalar;
}

bool fb_pol_string(struct fb_pol_reader *r, const struct fb_pol_scope *scope, const char *key,
                   size_t max, char **text)
{
    const struct fb_yaml *node = fb_pol_value(scope, key);
    char path[96];
    if (node == NULL) {
        return false;
    }
    fb_pol_path(scope, key, path);
    const char *value = fb_pol_item(r, node, path, max);
    if (value == NULL) {
        return false;
    }
    free(*text);
    *text = fb_xstrdup(value);
    return true;
}

bool fb_pol_required(struct fb_pol_reader *r, const struct fb_pol_scope *scope, const char *key,
                     size_t max, char **text)
{
    if (fb_pol_value(scope, key) == NULL) {
        fb_pol_error(r, scope->map->line, "%s: \"%s\" is missing", scope->path, key);
        return false;
    }
    return fb_pol_string(r, scope, key, max, text);
}

/* The scalar under key, NULL when absent or (with a finding) not of the wanted form. */
static const struct fb_yaml *scalar(struct fb_pol_reader *r, const struct fb_pol_scope *scope,
                                    const char *key, char path[96])
{
    const struct fb_yaml *node = fb_pol_value(scope, key);
    fb_pol_path(scope, key, path);
    if (node != NULL && node->kind != FB_YAML_SCALAR) {
        fb_pol_error(r, node->line, "%s: must be a single value, is %s", path, kind_name(r, node));
        return NULL;
    }
    return node;
}

void fb_pol_bool(struct fb_pol_reader *r, const struct fb_pol_scope *scope, const char *key,
                 bool *value)
{
    char path[96];
    const struct fb_yaml *node = scalar(r, scope, key, path);
    if (node != NULL && (node->is_quoted || !fb_parse_bool(node->scalar, value))) {
        fb_pol_error(r, node->line, "%s: must be true or false (without quotes), is \"%.40s\"",
                     path, node->scalar);
    }
}

void fb_pol_enum(struct fb_pol_reader *r, const struct fb_pol_scope *scope, const char *key,
                 const char *const *names, int *value)
{
    char path[96];
    const struct fb_yaml *node = scalar(r, scope, key, path);
    size_t count = 0;
    char list[120];
    if (node == NULL) {
        return;
    }
    for (; names[count] != NULL; count++) {
        if (strcmp(names[count], node->scalar) == 0) {
            *value = (int)count;
            return;
        }
    }
    fb_pol_name_list(r, names, count, sizeof(names[0]), list, sizeof(list));
    fb_pol_error(r, node->line, "%s: must be one of %s, is \"%.40s\"", path, list, node->scalar);
}

void fb_pol_int(struct fb_pol_reader *r, const struct fb_pol_scope *scope, const char *key,
                int64_t min, int64_t max, int64_t *value)
{
    char path[96];
    const struct fb_yaml *node = scalar(r, scope, key, path);
    int64_t number = 0;
    if (node == NULL) {
        return;
    }
    if (node->is_quoted || !fb_parse_int(node->scalar, &number)) {
        fb_pol_error(r, node->line, "%s: must be a whole number (without quotes), is \"%.40s\"",
                     path, node->scalar);
    } else if (number < min || number > max) {
        fb_pol_error(r, node->line, "%s: must be between %lld and %lld, is %lld", path,
                     (long long)min, (long long)max, (long long)number);
    } else {
        *value = number;
    }
}

void fb_pol_size(struct fb_pol_reader *r, const struct fb_pol_scope *scope, const char *key,
                 int64_t *bytes)
{
    char path[96];
    const struct fb_yaml *node = scalar(r, scope, key, path);
    if (node != NULL && !fb_parse_size(node->scalar, bytes)) {
        fb_pol_error(r, node->line, "%s: must be a size such as 10MiB, 500kB or 4096, is \"%.40s\"",
                     path, node->scalar);
    }
}

void fb_pol_duration(struct fb_pol_reader *r, const struct fb_pol_scope *scope, const char *key,
                     int64_t max_s, int64_t *seconds)
{
    char path[96];
    const struct fb_yaml *node = scalar(r, scope, key, path);
    int64_t ms = 0;
    if (node == NULL) {
        return;
    }
    if (!fb_parse_duration(node->scalar, &ms)) {
        fb_pol_error(r, node->line, "%s: must be a duration such as 30d, 12h or 0, is \"%.40s\"",
                     path, node->scalar);
    } else if (ms % 1000 != 0 || ms / 1000 > max_s) {
        fb_pol_error(r, node->line, "%s: must be whole seconds and at most %lldd, is \"%.40s\"",
                     path, (long long)(max_s / 86400), node->scalar);
    } else {
        *seconds = ms / 1000;
    }
}

void fb_pol_name_list(const struct fb_pol_reader *r, const void *first, size_t count, size_t stride,
                      char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        const char *name = NULL;
        memcpy(&name, (const char *)first + i * stride, sizeof(name));
        size_t len = name != NULL ? strlen(name) : 0;
        if (len == 0) {
            continue;
        }
        /* ", " before, and room for ", ..." behind */
        if (used + len + 2 + 6 > size) {
            (void)snprintf(out + used, size - used, "%s...", used > 0 ? ", " : "");
            return;
        }
        used += (size_t)snprintf(out + used, size - used, "%s%s", used > 0 ? ", " : "", name);
    }
    if (used == 0) {
        (void)snprintf(out, size, "%s", fb_pol_words(r, "none"));
    }
}
