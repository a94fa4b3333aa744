/* SPDX-License-Identifier: Apache-2.0
 *
 * Builds the tree of common/yaml.h from libyaml's events.  Events and not libyaml's own document,
 * because that one has already followed the aliases (YAML 1.1, 7.1) by the time we could look.
 * Knows no key of anybody; never prints a value, since a configuration holds secrets.  Called by
 * the configuration and the policy.
 */
#include "common/yaml.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <yaml.h>

/* A policy of 4 MiB has room for 100,000 group members; more is an accident. */
#define YAML_MAX_BYTES ((size_t)4 * 1024 * 1024)
/* Our deepest document needs 7; each level is one stack frame here. */
#define YAML_MAX_DEPTH 32
#define YAML_MAX_NODES 200000
/* Keys are compared with each other, so a map may not be long enough to make that slow. */
#define YAML_MAX_KEYS 1024

struct builder {
    yaml_parser_t parser;
    struct fb_slice text;
    size_t node_count;
    struct fb_error *err;
    fb_yaml_words words; /* NULL: English */
};

static enum fb_status build_node(struct builder *b, const yaml_event_t *event, int depth,
                                 struct fb_yaml *node);

/* What is said of a fault, in the caller's words. */
static const char *say(const struct builder *b, const char *en) __attribute__((format_arg(2)));

static const char *say(const struct builder *b, const char *en)
{
    return b->words != NULL ? b->words(en) : en;
}

static enum fb_status no_memory(struct builder *b)
{
    return fb_error_set(b->err, FB_NO_SPACE, "out of memory");
}

static int line_of(const yaml_event_t *event)
{
    return event->start_mark.line < INT_MAX ? (int)event->start_mark.line + 1 : INT_MAX;
}

static void node_deinit(struct fb_yaml *node)
{
    if (node->scalar != NULL) {
        explicit_bzero(node->scalar, strlen(node->scalar)); /* perhaps a password */
    }
    free(node->scalar);
    for (size_t i = 0; i < node->count; i++) {
        node_deinit(&node->items[i]);
        if (node->keys != NULL) {
            free(node->keys[i]);
        }
    }
    free(node->items);
    free(node->keys);
    free(node->key_lines);
    memset(node, 0, sizeof(*node));
}

/* Addresses, negations and globs begin with characters that mean something to YAML.  Says so when
 * libyaml stumbled over one of them; NULL otherwise. */
static const char *quoting_hint(const yaml_parser_t *p)
{
    static const struct {
        const char *complaint, *hint;
    } hints[] = {
        {"tag", "a text that begins with \"!\" must be in quotes"},
        {"alias", "a text that begins with \"*\" must be in quotes"},
        {"anchor", "a text that begins with \"&\" must be in quotes"},
        {"cannot start any token",
         "a text that begins with \"@\", \"%\" or \"`\" must be in quotes"},
    };
    const char *texts[2] = {p->context, p->problem};
    for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++) {
        for (size_t j = 0; j < 2; j++) {
            if (texts[j] != NULL && strstr(texts[j], hints[i].complaint) != NULL) {
                return hints[i].hint;
            }
        }
    }
    return NULL;
}

/* libyaml's own complaint.  Its reader (bad UTF-8, control characters) knows an offset and no line.
 */
static enum fb_status syntax_error(struct builder *b)
{
    const yaml_parser_t *p = &b->parser;
    size_t line = p->problem_mark.line + 1;
    if (p->error == YAML_MEMORY_ERROR) {
        return no_memory(b);
    }
    if (p->error == YAML_READER_ERROR) {
        line = 1;
        for (size_t i = 0; i < p->problem_offset && i < b->text.len; i++) {
            line += b->text.ptr[i] == '\n' ? 1 : 0;
        }
    }
    const char *hint = quoting_hint(p);
    if (hint != NULL) {
        return fb_error_set(b->err, FB_INVALID, "line %zu: %s", line, say(b, hint));
    }
    return fb_error_set(b->err, FB_INVALID, "line %zu: %s%s%s", line,
                        say(b, p->problem != NULL ? p->problem : "not YAML"),
                        p->context != NULL ? " " : "",
                        p->context != NULL ? say(b, p->context) : "");
}

static enum fb_status next_event(struct builder *b, yaml_event_t *event)
{
    memset(event, 0, sizeof(*event));
    if (yaml_parser_parse(&b->parser, event) == 0) {
        return syntax_error(b);
    }
    return FB_OK;
}

/* Room for one more item; the arrays grow by doubling. */
static enum fb_status grow(struct builder *b, struct fb_yaml *node)
{
    bool is_full = node->count == 0 || (node->count & (node->count - 1)) == 0;
    size_t room = node->count == 0 ? 1 : node->count * 2;
    if (!is_full) {
        return FB_OK;
    }
    struct fb_yaml *items = reallocarray(node->items, room, sizeof(*items));
    if (items == NULL) {
        return no_memory(b);
    }
    node->items = items;
    if (node->kind == FB_YAML_MAP) {
        char **keys = reallocarray(node->keys, room, sizeof(*keys));
        if (keys == NULL) {
            return no_memory(b);
        }
        node->keys = keys;
        int *key_lines = reallocarray(node->key_lines, room, sizeof(*key_lines));
        if (key_lines == NULL) {
            return no_memory(b);
        }
        node->key_lines = key_lines;
    }
    return FB_OK;
}

/* A tag is refused: nobody needs one, and `to: [!@example.jp]` without quotes is one by accident.
 */
static enum fb_status check_tag(struct builder *b, const yaml_event_t *event,
                                const yaml_char_t *tag)
{
    if (tag == NULL) {
        return FB_OK;
    }
    return fb_error_set(b->err, FB_INVALID,
                        say(b, "line %d: a text that begins with \"!\" must be in quotes"),
                        line_of(event));
}

static enum fb_status build_scalar(struct builder *b, const yaml_event_t *event,
                                   struct fb_yaml *node)
{
    const char *value = (const char *)event->data.scalar.value;
    size_t len = event->data.scalar.length;
    enum fb_status status = check_tag(b, event, event->data.scalar.tag);
    if (status != FB_OK) {
        return status;
    }
    if (memchr(value, '\0', len) != NULL) {
        return fb_error_set(b->err, FB_INVALID, say(b, "line %d: a NUL character is not allowed"),
                            node->line);
    }
    node->kind = FB_YAML_SCALAR;
    node->is_quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    node->scalar = strndup(value, len);
    return node->scalar != NULL ? FB_OK : no_memory(b);
}

static enum fb_status build_list(struct builder *b, const yaml_event_t *start, int depth,
                                 struct fb_yaml *node)
{
    enum fb_status status = check_tag(b, start, start->data.sequence_start.tag);
    node->kind = FB_YAML_LIST;
    for (bool is_open = true; status == FB_OK && is_open;) {
        yaml_event_t event;
        status = next_event(b, &event);
        if (status == FB_OK && event.type == YAML_SEQUENCE_END_EVENT) {
            is_open = false;
        } else if (status == FB_OK) {
            status = grow(b, node);
            if (status == FB_OK) {
                struct fb_yaml *item = &node->items[node->count];
                memset(item, 0, sizeof(*item));
                node->count++;
                status = build_node(b, &event, depth + 1, item);
            }
        }
        yaml_event_delete(&event);
    }
    return status;
}

/* Reads the key's event into the map's next free place; the value is still empty then. */
static enum fb_status build_key(struct builder *b, const yaml_event_t *event, struct fb_yaml *node)
{
    struct fb_yaml key = {.line = line_of(event)};
    if (event->type == YAML_ALIAS_EVENT) {
        return fb_error_set(b->err, FB_INVALID,
                            say(b, "line %d: aliases are not supported; a text that begins with "
                                   "\"*\" must be in quotes"),
                            key.line);
    }
    if (event->type != YAML_SCALAR_EVENT) {
        return fb_error_set(b->err, FB_INVALID, say(b, "line %d: a key must be plain text"),
                            key.line);
    }
    enum fb_status status = build_scalar(b, event, &key);
    for (size_t i = 0; status == FB_OK && i < node->count; i++) {
        if (strcmp(node->keys[i], key.scalar) == 0) {
            status =
                fb_error_set(b->err, FB_INVALID,
                             say(b, "line %d: the key \"%.64s\" is there twice (first on line %d)"),
                             key.line, key.scalar, node->key_lines[i]);
        }
    }
    if (status == FB_OK && node->count >= YAML_MAX_KEYS) {
        status = fb_error_set(b->err, FB_INVALID, say(b, "line %d: more than %d keys in one map"),
                              key.line, YAML_MAX_KEYS);
    }
    if (status == FB_OK) {
        status = grow(b, node);
    }
    if (status == FB_OK) {
        memset(&node->items[node->count], 0, sizeof(node->items[0]));
        node->keys[node->count] = key.scalar;
        node->key_lines[node->count] = key.line;
        node->count++;
        key.scalar = NULL;
    }
    node_deinit(&key);
    return status;
}

static enum fb_status build_map(struct builder *b, const yaml_event_t *start, int depth,
                                struct fb_yaml *node)
{
    enum fb_status status = check_tag(b, start, start->data.mapping_start.tag);
    node->kind = FB_YAML_MAP;
    for (bool is_open = true; status == FB_OK && is_open;) {
        yaml_event_t key;
        status = next_event(b, &key);
        if (status == FB_OK && key.type == YAML_MAPPING_END_EVENT) {
            is_open = false;
        } else if (status == FB_OK) {
            status = build_key(b, &key, node);
        }
        yaml_event_delete(&key);
        if (status == FB_OK && is_open) {
            yaml_event_t value;
            status = next_event(b, &value);
            if (status == FB_OK) {
                status = build_node(b, &value, depth + 1, &node->items[node->count - 1]);
            }
            yaml_event_delete(&value);
        }
    }
    return status;
}

static enum fb_status build_node(struct builder *b, const yaml_event_t *event, int depth,
                                 struct fb_yaml *node)
{
    node->line = line_of(event);
    if (depth >= YAML_MAX_DEPTH) {
        return fb_error_set(b->err, FB_INVALID, say(b, "line %d: nested deeper than %d levels"),
                            node->line, YAML_MAX_DEPTH);
    }
    if (++b->node_count > YAML_MAX_NODES) {
        return fb_error_set(b->err, FB_INVALID, say(b, "line %d: more than %d values"), node->line,
                            YAML_MAX_NODES);
    }
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return build_scalar(b, event, node);
    case YAML_SEQUENCE_START_EVENT:
        return build_list(b, event, depth, node);
    case YAML_MAPPING_START_EVENT:
        return build_map(b, event, depth, node);
    case YAML_ALIAS_EVENT:
        return fb_error_set(b->err, FB_INVALID,
                            say(b, "line %d: aliases are not supported; a text that begins with "
                                   "\"*\" must be in quotes"),
                            node->line);
    default:
        return fb_error_set(b->err, FB_INVALID, say(b, "line %d: not YAML"), node->line);
    }
}

/* STREAM-START [DOCUMENT-START node DOCUMENT-END] STREAM-END; an empty stream is a null root on
 * line 1. */
static enum fb_status build_stream(struct builder *b, struct fb_yaml *root)
{
    enum fb_status status = FB_OK;
    bool has_root = false;
    root->line = 1;
    for (bool is_open = true; status == FB_OK && is_open;) {
        yaml_event_t event;
        status = next_event(b, &event);
        if (status == FB_OK) {
            switch (event.type) {
            case YAML_STREAM_START_EVENT:
            case YAML_DOCUMENT_END_EVENT:
                break;
            case YAML_DOCUMENT_START_EVENT:
                if (has_root) {
                    status =
                        fb_error_set(b->err, FB_INVALID, say(b, "line %d: more than one document"),
                                     line_of(&event));
                }
                break;
            case YAML_STREAM_END_EVENT:
                is_open = false;
                break;
            default:
                has_root = true;
                status = build_node(b, &event, 0, root);
                break;
            }
        }
        yaml_event_delete(&event);
    }
    if (status == FB_OK && !has_root) {
        root->kind = FB_YAML_SCALAR;
        root->scalar = strdup("");
        status = root->scalar != NULL ? FB_OK : no_memory(b);
    }
    return status;
}

enum fb_status fb_yaml_parse(struct fb_slice text, struct fb_yaml **root_r, struct fb_error *err)
{
    return fb_yaml_parse_in(text, NULL, root_r, err);
}

enum fb_status fb_yaml_parse_in(struct fb_slice text, fb_yaml_words words, struct fb_yaml **root_r,
                                struct fb_error *err)
{
    struct builder b = {.text = text, .err = err, .words = words};
    struct fb_yaml *root = NULL;
    enum fb_status status = FB_OK;

    if (text.len > YAML_MAX_BYTES) {
        return fb_error_set(err, FB_INVALID,
                            say(&b, "line 1: the document is larger than %zu bytes"),
                            YAML_MAX_BYTES);
    }
    if (yaml_parser_initialize(&b.parser) == 0) {
        return no_memory(&b);
    }
    root = calloc(1, sizeof(*root));
    if (root == NULL) {
        status = no_memory(&b);
        goto cleanup;
    }
    yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&b.parser, text.ptr != NULL ? text.ptr : (const uint8_t *)"",
                                 text.len);
    status = build_stream(&b, root);
    if (status == FB_OK) {
        *root_r = root;
        root = NULL;
    }

cleanup:
    fb_yaml_free(&root);
    yaml_parser_delete(&b.parser);
    return status;
}

void fb_yaml_free(struct fb_yaml **root)
{
    if (*root != NULL) {
        node_deinit(*root);
        free(*root);
        *root = NULL;
    }
}

const struct fb_yaml *fb_yaml_get(const struct fb_yaml *map, const char *key)
{
    if (map == NULL || map->kind != FB_YAML_MAP) {
        return NULL;
    }
    for (size_t i = 0; i < map->count; i++) {
        if (strcmp(map->keys[i], key) == 0) {
            return &map->items[i];
        }
    }
    return NULL;
}

bool fb_yaml_is_null(const struct fb_yaml *node)
{
    if (node->kind != FB_YAML_SCALAR || node->is_quoted) {
        return false;
    }
    return node->scalar[0] == '\0' || strcmp(node->scalar, "~") == 0 ||
           strcasecmp(node->scalar, "null") == 0;
}

bool fb_parse_bool(const char *text, bool *value_r)
{
    static const char *const names[] = {"false", "true", "no", "yes", "off", "on"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcasecmp(text, names[i]) == 0) {
            *value_r = i % 2 == 1;
            return true;
        }
    }
    return false;
}

/* Decimal digits at the start of text; end_r is the first character behind them. */
static bool parse_digits(const char *text, int64_t *value_r, const char **end_r)
{
    int64_t value = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, *p - '0', &value)) {
            return false;
        }
    }
    if (p == text) {
        return false;
    }
    *value_r = value;
    *end_r = p;
    return true;
}

bool fb_parse_int(const char *text, int64_t *value_r)
{
    bool is_negative = text[0] == '-';
    const char *end = NULL;
    int64_t value = 0;
    if (!parse_digits(text + (is_negative ? 1 : 0), &value, &end) || *end != '\0') {
        return false;
    }
    *value_r = is_negative ? -value : value;
    return true;
}

struct unit {
    const char *name;
    int64_t factor;
};

static bool parse_with_unit(const char *text, const struct unit *units, size_t unit_count,
                            int64_t *value_r)
{
    const char *end = NULL;
    int64_t value = 0;
    if (!parse_digits(text, &value, &end)) {
        return false;
    }
    while (*end == ' ') {
        end++;
    }
    for (size_t i = 0; i < unit_count; i++) {
        if (strcasecmp(end, units[i].name) == 0) {
            return !__builtin_mul_overflow(value, units[i].factor, value_r);
        }
    }
    return false;
}

bool fb_parse_size(const char *text, int64_t *bytes_r)
{
    static const struct unit units[] = {
        {"", 1},
        {"B", 1},
        {"KB", 1000},
        {"KiB", 1024},
        {"MB", 1000 * 1000},
        {"MiB", 1024 * 1024},
        {"GB", 1000 * 1000 * 1000},
        {"GiB", 1024 * 1024 * 1024},
        {"TB", (int64_t)1000 * 1000 * 1000 * 1000},
        {"TiB", (int64_t)1024 * 1024 * 1024 * 1024},
    };
    int64_t value = 0;
    if (!parse_with_unit(text, units, sizeof(units) / sizeof(units[0]), &value)) {
        return false;
    }
    *bytes_r = value;
    return true;
}

bool fb_parse_duration(const char *text, int64_t *ms_r)
{
    static const struct unit units[] = {
        {"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 3600 * 1000}, {"d", 24 * 3600 * 1000},
    };
    int64_t value = 0;
    /* A number alone is refused (seconds or days?), except for zero. */
    if (strcmp(text, "0") == 0) {
        *ms_r = 0;
        return true;
    }
    if (!parse_with_unit(text, units, sizeof(units) / sizeof(units[0]), &value)) {
        return false;
    }
    *ms_r = value;
    return true;
}

bool fb_parse_percent(const char *text, int *percent_r)
{
    const char *end = NULL;
    int64_t value = 0;
    if (!parse_digits(text, &value, &end) || strcmp(end, "%") != 0 || value > 100) {
        return false;
    }
    *percent_r = (int)value;
    return true;
}
