/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads the configuration by the table: file first, environment over it, then the checks that need
 * two keys. */
#include "common/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/config_table.h"
#include "common/yaml.h"

#define DEFAULT_PATH "/etc/fumibako/fumibako.yaml"
#define MAX_FILE     (1U << 20)
#define MAX_SECRET   65536

/* Where a value came from, for the message: "fumibako.yaml:12" or "$FUMIBAKO_REDIS_URL". */
struct origin {
    char text[300];
};

static void *field(struct fb_config *c, const struct fb_config_row *row)
{
    return (char *)c + row->offset;
}

static bool is_text(enum fb_config_type type)
{
    return type == FB_CT_STRING || type == FB_CT_SECRET || type == FB_CT_CHOICE ||
           type == FB_CT_ADDRESS;
}

static void set_text(struct fb_config *c, const struct fb_config_row *row, const char *value)
{
    char **at = field(c, row);
    if (*at != NULL && row->type == FB_CT_SECRET) {
        explicit_bzero(*at, strlen(*at));
    }
    free(*at);
    *at = value != NULL && value[0] != '\0' ? fb_xstrdup(value) : NULL;
}

static void list_clear(struct fb_string_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i]);
    }
    free(list->items);
    *list = (struct fb_string_list){0};
}

static void list_add(struct fb_string_list *list, struct fb_slice item)
{
    item = fb_slice_trim(item);
    char *text = item.len > 0 ? fb_slice_dup_str(item) : NULL;
    if (text != NULL) {
        char **grown = realloc(list->items, (list->count + 1) * sizeof *grown);
        FB_ASSERT(grown != NULL);
        list->items = grown;
        list->items[list->count++] = text;
    }
}

static void set_list(struct fb_string_list *list, const char *commas)
{
    list_clear(list);
    const char *at = commas;
    while (*at != '\0') {
        size_t n = strcspn(at, ",");
        list_add(list, fb_slice_of(at, n));
        at += n + (at[n] == ',');
    }
}

static bool is_choice(const char *choices, const char *value)
{
    size_t n = strlen(value);
    for (const char *at = choices; *at != '\0';) {
        size_t len = strcspn(at, "|");
        if (len == n && memcmp(at, value, n) == 0) {
            return true;
        }
        at += len + (at[len] == '|');
    }
    return false;
}

static bool parse_number(enum fb_config_type type, const char *text, int64_t *value_r)
{
    int percent = 0;
    switch (type) {
    case FB_CT_INT:
        return fb_parse_int(text, value_r);
    case FB_CT_SIZE:
        return fb_parse_size(text, value_r);
    case FB_CT_DURATION:
        return fb_parse_duration(text, value_r);
    default:
        if (!fb_parse_percent(text, &percent)) {
            return false;
        }
        *value_r = percent;
        return true;
    }
}

static const char *example(enum fb_config_type type)
{
    switch (type) {
    case FB_CT_INT:
        return "a whole number";
    case FB_CT_SIZE:
        return "a size as 150MiB";
    case FB_CT_DURATION:
        return "a time as 20s, 5m, 2h or 30d";
    case FB_CT_PERCENT:
        return "a percentage as 80%";
    default:
        return "host:port as 127.0.0.1:10025";
    }
}

static enum fb_status set_scalar(struct fb_config *c, const struct fb_config_row *row,
                                 const char *value, const struct origin *from, struct fb_error *err)
{
    if (row->type == FB_CT_LIST) {
        set_list(field(c, row), value);
        return FB_OK;
    }
    if (is_text(row->type)) {
        char host[256];
        uint16_t port = 0;
        if (row->type == FB_CT_CHOICE && !is_choice(row->choices, value)) {
            return fb_error_set(err, FB_CONFIG, "%s: %s.%s: \"%s\" is not one of %s", from->text,
                                row->section, row->key, value, row->choices);
        }
        if (row->type == FB_CT_ADDRESS && value[0] != '\0' &&
            !fb_host_port(value, host, sizeof host, &port)) {
            return fb_error_set(err, FB_CONFIG, "%s: %s.%s: \"%s\" is not %s", from->text,
                                row->section, row->key, value, example(row->type));
        }
        set_text(c, row, value);
        return FB_OK;
    }
    int64_t number = 0;
    if (!parse_number(row->type, value, &number)) {
        return fb_error_set(err, FB_CONFIG, "%s: %s.%s: \"%s\" is not %s", from->text, row->section,
                            row->key, value, example(row->type));
    }
    if (number < row->min || number > row->max) {
        return fb_error_set(err, FB_CONFIG, "%s: %s.%s: \"%s\" is out of range (%lld to %lld%s)",
                            from->text, row->section, row->key, value, (long long)row->min,
                            (long long)row->max,
                            row->type == FB_CT_SIZE       ? " bytes"
                            : row->type == FB_CT_DURATION ? " ms"
                                                          : "");
    }
    memcpy(field(c, row), &number, sizeof number);
    return FB_OK;
}

static enum fb_status set_secret_file(struct fb_config *c, const struct fb_config_row *row,
                                      const char *path, const struct origin *from,
                                      struct fb_error *err)
{
    if (path[0] == '\0') {
        return FB_OK;
    }
    struct fb_buf secret;
    struct fb_error why = {0};
    if (fb_read_secret(path, MAX_SECRET, &secret, &why) != FB_OK) {
        return fb_error_set(err, FB_CONFIG, "%s: %s.%s_file: cannot read the secret: %s",
                            from->text, row->section, row->key, why.text);
    }
    struct fb_slice text = fb_slice_trim(fb_slice_buf(&secret));
    enum fb_status s = FB_OK;
    char *value = text.len > 0 ? fb_slice_dup_str(text) : NULL;
    if (value == NULL) {
        s = fb_error_set(err, FB_CONFIG, "%s: %s.%s_file: %s holds no secret (empty, or not text)",
                         from->text, row->section, row->key, path);
    } else {
        set_text(c, row, value);
        explicit_bzero(value, text.len);
        free(value);
    }
    if (secret.ptr != NULL) {
        explicit_bzero(secret.ptr, secret.len);
    }
    fb_buf_deinit(&secret);
    return s;
}

/* The row of a key; is_file_r tells that it was "<secret>_file". */
static const struct fb_config_row *find_row(const char *section, const char *key, bool *is_file_r)
{
    for (size_t i = 0; i < fb_config_row_count; i++) {
        const struct fb_config_row *row = &fb_config_rows[i];
        if (strcmp(row->section, section) != 0) {
            continue;
        }
        size_t n = strlen(row->key);
        *is_file_r = row->type == FB_CT_SECRET && strncmp(key, row->key, n) == 0 &&
                     strcmp(key + n, "_file") == 0;
        if (*is_file_r || strcmp(row->key, key) == 0) {
            return row;
        }
    }
    return NULL;
}

/* "token" beside "token_file": nobody knows which one was meant. */
static bool is_given_twice(const struct fb_config_row *row, const struct fb_yaml *map)
{
    char file[64];
    (void)snprintf(file, sizeof file, "%s_file", row->key);
    const struct fb_yaml *value = fb_yaml_get(map, row->key);
    const struct fb_yaml *path = fb_yaml_get(map, file);
    return row->type == FB_CT_SECRET && value != NULL && path != NULL && !fb_yaml_is_null(value) &&
           !fb_yaml_is_null(path);
}

static bool section_exists(const char *section)
{
    for (size_t i = 0; i < fb_config_row_count; i++) {
        if (strcmp(fb_config_rows[i].section, section) == 0) {
            return true;
        }
    }
    return false;
}

static enum fb_status set_node(struct fb_config *c, const struct fb_config_row *row, bool is_file,
                               const struct fb_yaml *node, const struct origin *from,
                               struct fb_error *err)
{
    if (fb_yaml_is_null(node)) { /* "lmtp: " turns it off */
        if (row->type == FB_CT_LIST) {
            list_clear(field(c, row));
        } else if (is_text(row->type) &&
                   row->type != FB_CT_SECRET) { /* its _file may have given one */
            set_text(c, row, NULL);
        }
        return FB_OK;
    }
    if (row->type == FB_CT_LIST && node->kind == FB_YAML_LIST) {
        list_clear(field(c, row));
        for (size_t i = 0; i < node->count; i++) {
            if (node->items[i].kind != FB_YAML_SCALAR) {
                return fb_error_set(err, FB_CONFIG, "%s: %s.%s: an item is not a text", from->text,
                                    row->section, row->key);
            }
            list_add(field(c, row), fb_slice_str(node->items[i].scalar));
        }
        return FB_OK;
    }
    if (node->kind != FB_YAML_SCALAR) {
        return fb_error_set(err, FB_CONFIG, "%s: %s.%s: a single value is expected", from->text,
                            row->section, row->key);
    }
    return is_file ? set_secret_file(c, row, node->scalar, from, err)
                   : set_scalar(c, row, node->scalar, from, err);
}

static enum fb_status read_section(struct fb_config *c, const char *path, const char *section,
                                   const struct fb_yaml *map, struct fb_error *err)
{
    enum fb_status s = FB_OK;
    for (size_t i = 0; i < map->count && s == FB_OK; i++) {
        struct origin from;
        (void)snprintf(from.text, sizeof from.text, "%s:%d", path, map->key_lines[i]);
        bool is_file = false;
        const struct fb_config_row *row = find_row(section, map->keys[i], &is_file);
        if (row == NULL) {
            s = fb_error_set(err, FB_CONFIG,
                             "%s: %s.%s: unknown key; --dump-config lists the known ones",
                             from.text, section, map->keys[i]);
        } else if (is_given_twice(row, map)) {
            s = fb_error_set(err, FB_CONFIG, "%s: %s.%s and %s.%s_file: give one of them",
                             from.text, section, row->key, section, row->key);
        } else {
            s = set_node(c, row, is_file, &map->items[i], &from, err);
        }
    }
    return s;
}

/* The parser's "line 7: what" becomes "file:7: what", as every other error is written. */
static void prefix_place(struct fb_error *err, const char *path)
{
    static const char word[] = "line ";
    char what[FB_ERROR_MAX];
    char *end = what;
    memcpy(what, err->text, sizeof(what));
    long line =
        strncmp(what, word, sizeof(word) - 1) == 0 ? strtol(what + sizeof(word) - 1, &end, 10) : 0;
    if (line > 0 && end[0] == ':') {
        (void)fb_error_set(err, FB_CONFIG, "%s:%ld: %s", path, line, end + (end[1] == ' ' ? 2 : 1));
    } else {
        (void)fb_error_set(err, FB_CONFIG, "%s: %s", path, what);
    }
}

static enum fb_status read_document(struct fb_config *c, const char *path, struct fb_error *err)
{
    struct fb_buf text;
    struct fb_yaml *root = NULL;
    enum fb_status s = fb_read_file(path, MAX_FILE, &text, err);
    if (s != FB_OK) {
        (void)fb_error_prefix(err, "configuration");
        err->status = FB_CONFIG;
        return FB_CONFIG;
    }
    s = fb_yaml_parse(fb_slice_buf(&text), &root, err);
    if (text.ptr != NULL) {
        explicit_bzero(text.ptr, text.cap); /* it may hold secrets */
    }
    fb_buf_deinit(&text);
    if (s != FB_OK) {
        prefix_place(err, path);
        return FB_CONFIG;
    }
    if (root != NULL && !fb_yaml_is_null(root) && root->kind != FB_YAML_MAP) {
        s = fb_error_set(err, FB_CONFIG, "%s:%d: sections as `redis:` are expected", path,
                         root->line);
    }
    for (size_t i = 0; root != NULL && root->kind == FB_YAML_MAP && i < root->count && s == FB_OK;
         i++) {
        const struct fb_yaml *section = &root->items[i];
        if (!section_exists(root->keys[i])) {
            s = fb_error_set(err, FB_CONFIG, "%s:%d: %s: unknown section", path, root->key_lines[i],
                             root->keys[i]);
        } else if (section->kind == FB_YAML_MAP) {
            s = read_section(c, path, root->keys[i], section, err);
        } else if (!fb_yaml_is_null(section)) {
            s = fb_error_set(err, FB_CONFIG, "%s:%d: %s: keys are expected below it", path,
                             section->line, root->keys[i]);
        }
    }
    fb_yaml_free(&root);
    return s;
}

static enum fb_status read_environment(struct fb_config *c, struct fb_error *err)
{
    enum fb_status s = FB_OK;
    for (size_t i = 0; i < fb_config_row_count && s == FB_OK; i++) {
        const struct fb_config_row *row = &fb_config_rows[i];
        for (int is_file = 0; is_file < 2 && s == FB_OK; is_file++) {
            if (is_file && row->type != FB_CT_SECRET) {
                continue;
            }
            char name[128];
            (void)snprintf(name, sizeof name, "FUMIBAKO_%s_%s%s", row->section, row->key,
                           is_file ? "_FILE" : "");
            for (char *p = name; *p != '\0'; p++) {
                *p = (char)(*p >= 'a' && *p <= 'z' ? *p - 32 : *p);
            }
            const char *value = getenv(name);
            if (value != NULL) {
                struct origin from;
                (void)snprintf(from.text, sizeof from.text, "$%s", name);
                s = is_file ? set_secret_file(c, row, value, &from, err)
                            : set_scalar(c, row, value, &from, err);
            }
        }
    }
    return s;
}

/* scheme://host[:port] and nothing behind it: links are made by putting a path there, and browsers' Origin is
 * compared with it. */
static bool is_origin(const char *url)
{
    size_t scheme = strncmp(url, "https://", 8) == 0 ? 8 : strncmp(url, "http://", 7) == 0 ? 7 : 0;
    const char *host = url + scheme;
    size_t len = strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789.-");
    if (host[0] == '[') {
        len = 1 + strspn(host + 1, "0123456789abcdef:.");
        len = host[len] == ']' ? len + 1 : 0;
    }
    const char *rest = host + len;
    int64_t port = 0;
    return scheme > 0 && len > 0 && len < 256 &&
           (rest[0] == '\0' || (rest[0] == ':' && rest[1] >= '0' && rest[1] <= '9' &&
                                fb_parse_int(rest + 1, &port) && port > 0 && port <= 65535));
}

static enum fb_status check_paths(const char *key, const struct fb_string_list *paths,
                                  struct fb_error *err)
{
    if (paths->count > FB_MAX_PATHS) {
        return fb_error_set(err, FB_CONFIG, "%s: more than %d paths", key, FB_MAX_PATHS);
    }
    for (size_t i = 0; i < paths->count; i++) {
        const char *root = paths->items[i];
        size_t len = strlen(root);
        bool is_up =
            strstr(root, "/../") != NULL || (len >= 3 && strcmp(root + len - 3, "/..") == 0);
        if (root[0] != '/' || root[1] == '\0' || is_up) {
            return fb_error_set(err, FB_CONFIG,
                                "%s: \"%s\" is not a path from /, as /var/lib/fumibako/vault", key,
                                root);
        }
    }
    return FB_OK;
}

/* What one key alone cannot tell. */
static enum fb_status check_together(const struct fb_config *c, struct fb_error *err)
{
    if ((c->ingest.tls_cert_file == NULL) != (c->ingest.tls_key_file == NULL)) {
        return fb_error_set(err, FB_CONFIG,
                            "ingest.tls_cert_file and ingest.tls_key_file: give both or neither");
    }
    if (c->ingest.smtp == NULL && c->ingest.lmtp == NULL &&
        (c->ingest.http == NULL || c->ingest.token == NULL)) {
        return fb_error_set(err, FB_CONFIG,
                            "ingest: no listener is on; set ingest.smtp, ingest.lmtp, or "
                            "ingest.http with ingest.token_file");
    }
    if (c->rewrite.key != NULL && strlen(c->rewrite.key) < 32) {
        return fb_error_set(err, FB_CONFIG, "rewrite.key: shorter than 32 characters");
    }
    if (c->watch.listen != NULL && c->watch.webhook_primary_key == NULL &&
        c->watch.webhook_secondary_key == NULL) {
        return fb_error_set(err, FB_CONFIG,
                            "watch.listen: webhooks are believed by their signature only; set "
                            "watch.webhook_primary_key_file");
    }
    if (c->portal.ingest_url != NULL && !is_origin(c->portal.ingest_url)) {
        return fb_error_set(err, FB_CONFIG,
                            "portal.ingest_url: \"%s\" is not a URL as http://127.0.0.1:10080, in "
                            "small letters, without a path or a slash at its end",
                            c->portal.ingest_url);
    }
    if (c->render.remote_images != NULL && !is_origin(c->render.remote_images)) {
        return fb_error_set(err, FB_CONFIG,
                            "render.remote_images: \"%s\" is not a URL as http://127.0.0.1:8025, "
                            "in small letters, without a path or a slash at its end",
                            c->render.remote_images);
    }
    if (c->fetch.token != NULL && strlen(c->fetch.token) < 32) {
        return fb_error_set(err, FB_CONFIG, "fetch.token: shorter than 32 characters");
    }
    if (c->render.remote_images != NULL && c->fetch.token == NULL) {
        return fb_error_set(err, FB_CONFIG,
                            "render.remote_images: the fetcher asks for a token; set "
                            "fetch.token_file, or leave render.remote_images empty");
    }
    if (c->portal.public_url != NULL && !is_origin(c->portal.public_url)) {
        return fb_error_set(
            err, FB_CONFIG,
            "portal.public_url: \"%s\" is not a URL as https://mail.example.jp, in small "
            "letters, without a path or a slash at its end",
            c->portal.public_url);
    }
    if (c->tracing.otlp_url != NULL && !is_origin(c->tracing.otlp_url)) {
        return fb_error_set(err, FB_CONFIG,
                            "tracing.otlp_url: \"%s\" is not a URL as http://127.0.0.1:4318, in "
                            "small letters, without a path or a slash at its end",
                            c->tracing.otlp_url);
    }
    if (c->console.public_url != NULL && !is_origin(c->console.public_url)) {
        return fb_error_set(err, FB_CONFIG,
                            "console.public_url: \"%s\" is not a URL as "
                            "https://fumibako.example.jp, in small letters, without a path or a "
                            "slash at its end",
                            c->console.public_url);
    }
    if (strcmp(c->policy.source, "redis") != 0 && strncmp(c->policy.source, "file:", 5) != 0) {
        return fb_error_set(err, FB_CONFIG, "policy.source: \"%s\" is neither redis nor file:PATH",
                            c->policy.source);
    }
    enum fb_status s = check_paths("vault.roots", &c->vault.roots, err);
    return s == FB_OK ? check_paths("portal.reads", &c->portal.reads, err) : s;
}

enum fb_status fb_config_load(const char *path, struct fb_config **config_r, struct fb_error *err)
{
    struct fb_config *c = fb_xcalloc(1, sizeof *c);
    enum fb_status s = FB_OK;
    const struct origin built_in = {"built-in default"};
    for (size_t i = 0; i < fb_config_row_count && s == FB_OK; i++) {
        if (fb_config_rows[i].standard != NULL) {
            s = set_scalar(c, &fb_config_rows[i], fb_config_rows[i].standard, &built_in, err);
        }
    }
    if (path == NULL) {
        path = getenv("FUMIBAKO_CONFIG");
    }
    if (path == NULL) {
        path = DEFAULT_PATH;
    }
    if (s == FB_OK) {
        s = read_document(c, path, err);
    }
    if (s == FB_OK) {
        s = read_environment(c, err);
    }
    for (size_t i = 0; i < fb_config_row_count && s == FB_OK; i++) {
        /* An emptied value falls back, where there is a default that may not be missing. */
        const struct fb_config_row *row = &fb_config_rows[i];
        if ((row->type == FB_CT_STRING || row->type == FB_CT_CHOICE) && row->standard != NULL &&
            *(char **)field(c, row) == NULL) {
            set_text(c, row, row->standard);
        }
    }
    if (s == FB_OK) {
        s = check_together(c, err);
        if (s != FB_OK) {
            (void)fb_error_prefix(err, "%s", path);
        }
    }
    if (s != FB_OK) {
        fb_config_free(&c);
        return s;
    }
    *config_r = c;
    return FB_OK;
}

static bool is_kept(const struct fb_config_row *row, const char *const *kept)
{
    char name[64];
    (void)snprintf(name, sizeof name, "%s.%s", row->section, row->key);
    for (; *kept != NULL; kept++) {
        if (strcmp(*kept, name) == 0) {
            return true;
        }
    }
    return false;
}

void fb_config_forget(const struct fb_config *c, const char *const *kept)
{
    for (size_t i = 0; i < fb_config_row_count; i++) {
        const struct fb_config_row *row = &fb_config_rows[i];
        char *const *value = (char *const *)(const void *)((const char *)c + row->offset);
        if (row->type != FB_CT_SECRET || is_kept(row, kept)) {
            continue;
        }
        if (*value != NULL) {
            explicit_bzero(*value, strlen(*value));
        }
        if (value == &c->redis.password) {
            explicit_bzero(c->redis.url, strlen(c->redis.url)); /* it may have one, too */
        }
    }
}

void fb_config_free(struct fb_config **c)
{
    if (*c == NULL) {
        return;
    }
    for (size_t i = 0; i < fb_config_row_count; i++) {
        const struct fb_config_row *row = &fb_config_rows[i];
        if (row->type == FB_CT_LIST) {
            list_clear(field(*c, row));
        } else if (is_text(row->type)) {
            set_text(*c, row, NULL);
        }
    }
    free(*c);
    *c = NULL;
}

bool fb_host_port(const char *text, char *host, size_t host_size, uint16_t *port_r)
{
    const char *colon = strrchr(text, ':');
    const char *end = colon;
    if (colon == NULL) {
        return false;
    }
    if (text[0] == '[') {
        if (colon == text || colon[-1] != ']') {
            return false;
        }
        text++;
        end = colon - 1;
    } else if (memchr(text, ':', (size_t)(colon - text)) != NULL) {
        return false; /* a bare IPv6 address */
    }
    int64_t port = 0;
    if (end == text || (size_t)(end - text) >= host_size || !fb_parse_int(colon + 1, &port) ||
        port < 0 || port > 65535) {
        return false;
    }
    memcpy(host, text, (size_t)(end - text));
    host[end - text] = '\0';
    *port_r = (uint16_t)port;
    return true;
}
