/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the audit: a page at a time, and exported. */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/accounts/audit.h"

#define CHUNK       "500"
#define MAX_LOOK    20000 /* entries that one page looks through; the cursor goes on from there */
#define ID_SIZE     44
#define EXPORT_PAGE 200
#define MAX_LINE    (1U << 20) /* of an export: before and after have 64 KiB each, escaped */

static bool is_cursor(const char *text)
{
    const char *dash = strchr(text, '-');
    return strlen(text) < ID_SIZE - 1 && dash != NULL && dash != text && dash[1] != '\0' &&
           strspn(text, "0123456789") == (size_t)(dash - text) &&
           strspn(dash + 1, "0123456789") == strlen(dash + 1);
}

static bool is_word(const json_t *e, const char *key, const char *want)
{
    const char *value = json_string_value(json_object_get(e, key));
    return want == NULL || want[0] == '\0' || (value != NULL && strcmp(value, want) == 0);
}

/* "policy" means "policy.put" as well. */
static bool is_action(const json_t *e, const char *want)
{
    const char *value = json_string_value(json_object_get(e, "action"));
    size_t len = want != NULL ? strlen(want) : 0;
    return len == 0 || (value != NULL && strncmp(value, want, len) == 0 &&
                        (value[len] == '\0' || value[len] == '.'));
}

/* An entry of the reply as it is shown; NULL: the filter leaves it out, or it cannot be read. */
static json_t *read_entry(const redisReply *entry, const struct fb_audit_filter *f)
{
    const redisReply *fields = entry->elements == 2 ? entry->element[1] : NULL;
    if (fields == NULL || fields->elements < 2 || fields->element[1]->type != REDIS_REPLY_STRING) {
        return NULL;
    }
    json_t *e =
        json_loadb(fields->element[1]->str, fields->element[1]->len, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(e) || !is_word(e, "user", f->user) || !is_word(e, "object", f->object) ||
        !is_action(e, f->action)) {
        json_decref(e);
        return NULL;
    }
    (void)json_object_set_new(e, "id", json_string(entry->element[0]->str));
    (void)json_object_set_new(e, "time", f->time(json_integer_value(json_object_get(e, "at"))));
    (void)json_object_del(e, "at");
    return e;
}

struct page {
    json_t *items;
    size_t limit, looked;
    char last[ID_SIZE]; /* the entry that was looked at last */
    bool is_end;
};

static enum fb_status read_chunk(struct fb_redis *r, const struct fb_audit_filter *f,
                                 const char *least, struct page *p, struct fb_error *err)
{
    char from[ID_SIZE + 1];
    redisReply *reply = NULL;
    (void)snprintf(from, sizeof from, "%s", p->last);
    enum fb_status s =
        fb_redis_call(r, &reply, err, "XREVRANGE", FB_AUDIT_KEY, from, least, "COUNT", CHUNK, NULL);
    if (s != FB_OK) {
        return s;
    }
    size_t i = 0;
    for (; i < reply->elements && json_array_size(p->items) < p->limit; i++) {
        const redisReply *entry = reply->element[i];
        bool is_entry = entry->type == REDIS_REPLY_ARRAY && entry->elements == 2 &&
                        entry->element[0]->type == REDIS_REPLY_STRING;
        json_t *e = is_entry ? read_entry(entry, f) : NULL;
        if (e != NULL) {
            (void)json_array_append_new(p->items, e);
        }
        if (is_entry) {
            (void)snprintf(p->last, sizeof p->last, "(%s", entry->element[0]->str);
        }
        p->looked++;
    }
    p->is_end = i == reply->elements && reply->elements < (size_t)strtoul(CHUNK, NULL, 10);
    freeReplyObject(reply);
    return FB_OK;
}

enum fb_status fb_audit_list(struct fb_redis *redis, const struct fb_audit_filter *filter,
                             const char *cursor, size_t limit, json_t **items_r, char **next_r,
                             struct fb_error *err)
{
    char least[24] = "-";
    struct page p = {.items = json_array(), .limit = limit};
    *next_r = NULL;
    if (cursor != NULL && cursor[0] != '\0' && !is_cursor(cursor)) {
        json_decref(p.items);
        return fb_error_set(err, FB_INVALID, "this is no cursor");
    }
    if (filter->since_ms > 0) {
        (void)snprintf(least, sizeof least, "%lld", (long long)filter->since_ms);
    }
    if (cursor != NULL && cursor[0] != '\0') {
        (void)snprintf(p.last, sizeof p.last, "(%s", cursor);
    } else if (filter->until_ms > 0) {
        (void)snprintf(p.last, sizeof p.last, "%lld", (long long)filter->until_ms);
    } else {
        (void)snprintf(p.last, sizeof p.last, "+");
    }
    enum fb_status s = FB_OK;
    while (s == FB_OK && !p.is_end && json_array_size(p.items) < limit && p.looked < MAX_LOOK) {
        s = read_chunk(redis, filter, least, &p, err);
    }
    if (s != FB_OK) {
        json_decref(p.items);
        return s;
    }
    if (!p.is_end && p.last[0] == '(') {
        *next_r = fb_xstrdup(p.last + 1);
    }
    *items_r = p.items;
    return FB_OK;
}

/* ---- export ---- */

static const char *const columns[] = {"time",   "user",   "role",   "by",   "address",
                                      "action", "object", "before", "after"};
#define COLUMNS (sizeof columns / sizeof columns[0])

/* Length of what text begins with of list, which a NULL ends; 0: of none. */
static size_t begins_with(const char *text, const char *const *list)
{
    for (; *list != NULL; list++) {
        if (strncmp(text, *list, strlen(*list)) == 0) {
            return strlen(*list);
        }
    }
    return 0;
}

/* What begins so, a spreadsheet takes for a formula: also in full width, and behind blanks, which some of them drop. */
static bool is_formula(const char *text)
{
    static const char *const signs[] = {"=", "+", "-", "@", "＝", "＋", "－", "＠", NULL};
    static const char *const blanks[] = {" ",      "\t",     "\r",     "\n",     "\u00a0", "\u3000",
                                         "\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", NULL};
    bool has_control = text[0] != '\0' && strchr("\t\r\n", text[0]) != NULL;
    for (size_t n = 0; (n = begins_with(text, blanks)) > 0;) {
        text += n;
    }
    return has_control || begins_with(text, signs) > 0;
}

static enum fb_status add_cell(struct fb_buf *out, const char *text)
{
    enum fb_status s = fb_buf_add_char(out, '"');
    if (s == FB_OK && is_formula(text)) {
        s = fb_buf_add_char(out, '\'');
    }
    for (; *text != '\0' && s == FB_OK; text++) {
        s = *text == '"' ? fb_buf_add_str(out, "\"\"") : fb_buf_add_char(out, *text);
    }
    return s == FB_OK ? fb_buf_add_char(out, '"') : s;
}

static enum fb_status add_row(const json_t *item, struct fb_buf *out)
{
    enum fb_status s = FB_OK;
    for (size_t i = 0; i < COLUMNS && s == FB_OK; i++) {
        const json_t *value = json_object_get(item, columns[i]);
        char *dumped = NULL;
        const char *text = item == NULL ? columns[i] : json_string_value(value);
        if (text == NULL && value != NULL && !json_is_null(value)) {
            dumped = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
            text = dumped;
        }
        s = i > 0 ? fb_buf_add_char(out, ',') : FB_OK;
        if (s == FB_OK) {
            s = add_cell(out, text != NULL ? text : "");
        }
        free(dumped);
    }
    return s == FB_OK ? fb_buf_add_str(out, "\r\n") : s;
}

/* One line of an export, with its end: NDJSON, or CSV (RFC 4180; what a spreadsheet would take for a formula has an
 * apostrophe in front).  item NULL: the head of a CSV, nothing for NDJSON. */
static enum fb_status format_line(enum fb_audit_format format, const json_t *item,
                                  struct fb_buf *out)
{
    if (format == FB_AUDIT_CSV) {
        return add_row(item, out);
    }
    if (item == NULL) {
        return FB_OK;
    }
    char *text = json_dumps(item, JSON_COMPACT);
    enum fb_status s = text != NULL ? fb_buf_add_str(out, text) : FB_NO_SPACE;
    free(text);
    return s == FB_OK ? fb_buf_add_char(out, '\n') : s;
}

static enum fb_status put_line(enum fb_audit_format format, const json_t *item,
                               const struct fb_audit_sink *sink)
{
    struct fb_buf line;
    fb_buf_init(&line, MAX_LINE);
    enum fb_status s = format_line(format, item, &line);
    s = s == FB_OK ? sink->put(sink->ctx, fb_slice_buf(&line)) : s;
    fb_buf_deinit(&line);
    return s;
}

enum fb_status fb_audit_export(struct fb_redis *redis, const struct fb_audit_filter *f,
                               enum fb_audit_format format, size_t most,
                               const struct fb_audit_sink *sink, struct fb_error *err)
{
    char *cursor = NULL;
    size_t count = 0;
    enum fb_status s = put_line(format, NULL, sink);
    do {
        size_t i;
        json_t *item;
        json_t *items = NULL;
        char *next = NULL;
        size_t want = most - count < EXPORT_PAGE ? most - count : EXPORT_PAGE;
        s = s == FB_OK ? fb_audit_list(redis, f, cursor, want, &items, &next, err) : s;
        json_array_foreach(items, i, item)
        {
            s = s == FB_OK ? put_line(format, item, sink) : s;
        }
        count += json_array_size(items);
        json_decref(items);
        free(cursor);
        cursor = next;
    } while (s == FB_OK && cursor != NULL && count < most);
    free(cursor);
    return s;
}
