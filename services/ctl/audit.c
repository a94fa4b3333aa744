/* SPDX-License-Identifier: Apache-2.0
 *
 * fumibako audit list|export; and the lines that the other commands write. */
#include "common/accounts/audit.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/json_words.h"
#include "services/ctl/ctl.h"

#define MAX_PAGE 200

/* ---- writing ---- */

const char *ctl_author(void)
{
    const char *sudo = getuid() == 0 ? getenv("SUDO_USER") : NULL; /* only root's is sudo's own */
    const struct passwd *pw = getpwuid(getuid());
    return sudo != NULL && sudo[0] != '\0' ? sudo : pw != NULL ? pw->pw_name : "unknown";
}

enum fb_status ctl_audit(struct ctl *c, const char *action, const char *object, json_t *before,
                         json_t *after, struct fb_error *err)
{
    char user[80];
    (void)snprintf(user, sizeof user, "%.60s@shell", ctl_author());
    json_t *who = fb_json_text(user);
    json_t *what = fb_json_text(object);
    const struct fb_audit_line line = {.user = json_string_value(who),
                                       .role = "",
                                       .by = "command",
                                       .address = "",
                                       .action = action,
                                       .object = json_string_value(what),
                                       .before = before,
                                       .after = after};
    enum fb_status s = fb_audit_write(c->redis, &line, c->config->retention.ledger_ms, err);
    json_decref(who);
    json_decref(what);
    return s;
}

enum fb_status ctl_audit_what(struct ctl *c, const char *action, struct fb_audit_what *w,
                              struct fb_error *err)
{
    enum fb_status s = ctl_audit(c, action, w->object, w->before, w->after, err);
    fb_audit_what_deinit(w);
    return s;
}

/* ---- reading ---- */

static bool take_filter(const struct ctl *c, struct fb_audit_filter *f, int *code_r)
{
    *f = (struct fb_audit_filter){
        .user = c->user, .action = c->action, .object = c->object, .time = ctl_json_time};
    if ((c->since != NULL && !ctl_parse_time(c->since, &f->since_ms)) ||
        (c->until != NULL && !ctl_parse_time(c->until, &f->until_ms))) {
        *code_r = ctl_usage_error(c, CTL_TIMES);
        return false;
    }
    return true;
}

static void print_side(const char *head, const json_t *value)
{
    char *text = value != NULL && !json_is_null(value)
                     ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY)
                     : NULL;
    if (text != NULL) {
        (void)printf("    %s ", head);
        ctl_print_clean(text);
        (void)printf("\n");
    }
    free(text);
}

static void print_entry(const json_t *e)
{
    const char *role = fb_json_text_of(e, "role");
    const char *address = fb_json_text_of(e, "address");
    (void)printf("%s  ", fb_json_text_of(e, "time"));
    ctl_print_clean(fb_json_text_of(e, "user"));
    (void)printf(" (%s%s%s%s%s)  ", role, role[0] != '\0' ? ", " : "", fb_json_text_of(e, "by"),
                 address[0] != '\0' ? ", " : "", address);
    ctl_print_clean(fb_json_text_of(e, "action"));
    (void)printf("  ");
    ctl_print_clean(fb_json_text_of(e, "object"));
    (void)printf("\n");
    print_side("before", json_object_get(e, "before"));
    print_side("after ", json_object_get(e, "after"));
}

/* Up to --limit of them, the newest first, in an array that is taken. */
static enum fb_status read_entries(struct ctl *c, const struct fb_audit_filter *f, json_t *list,
                                   char **next_r, struct fb_error *err)
{
    enum fb_status s = FB_OK;
    char *cursor = c->after != NULL ? fb_xstrdup(c->after) : NULL;
    size_t most = (size_t)c->limit;
    do {
        json_t *items = NULL;
        char *next = NULL;
        size_t left = most - json_array_size(list);
        s = fb_audit_list(c->redis, f, cursor, left < MAX_PAGE ? left : MAX_PAGE, &items, &next,
                          err);
        if (s == FB_OK) {
            (void)json_array_extend(list, items);
        }
        json_decref(items);
        free(cursor);
        cursor = next;
    } while (s == FB_OK && cursor != NULL && json_array_size(list) < most);
    *next_r = cursor;
    return s;
}

int ctl_audit_list(struct ctl *c)
{
    int code = 0;
    size_t i;
    json_t *e;
    char *next = NULL;
    struct fb_error err = {0};
    struct fb_audit_filter f;
    if (!take_filter(c, &f, &code) || !ctl_need_redis(c, &code)) {
        return code;
    }
    json_t *list = json_array();
    enum fb_status s = read_entries(c, &f, list, &next, &err);
    if (s != FB_OK) {
        json_decref(list);
        free(next);
        return s == FB_INVALID
                   ? ctl_usage_error(c, "--after takes the id of a line, as --json gives it")
                   : ctl_fail(c, &err);
    }
    if (c->is_json) {
        ctl_print_json(list);
    } else {
        json_array_foreach(list, i, e)
        {
            print_entry(e);
        }
        if (next != NULL) {
            (void)printf("older ones: --after %s\n", next);
        } else if (json_array_size(list) == 0) {
            (void)printf("no line\n");
        }
        json_decref(list);
    }
    free(next);
    return 0;
}

struct out {
    bool is_json;
    size_t count;
};

/* With --json one array, else the lines as they are. */
static enum fb_status put(void *ctx, struct fb_slice line)
{
    struct out *out = ctx;
    if (line.len == 0) {
        return FB_OK; /* NDJSON has no head */
    }
    size_t len = out->is_json ? line.len - 1 : line.len;
    if (out->is_json) {
        (void)fputs(out->count == 0 ? "[\n" : ",\n", stdout);
    }
    out->count++;
    return fwrite(line.ptr, 1, len, stdout) == len ? FB_OK : FB_NO_SPACE;
}

int ctl_audit_export(struct ctl *c)
{
    int code = 0;
    struct fb_error err = {0};
    struct fb_audit_filter f;
    struct out out = {.is_json = c->is_json};
    const struct fb_audit_sink sink = {put, &out};
    bool is_csv = c->format != NULL && strcmp(c->format, "csv") == 0;
    if (c->format != NULL && !is_csv && strcmp(c->format, "ndjson") != 0) {
        return ctl_usage_error(c, "--format takes csv or ndjson");
    }
    if (is_csv && c->is_json) {
        return ctl_usage_error(c, "--json gives one JSON value: leave --format csv out");
    }
    if (!take_filter(c, &f, &code) || !ctl_need_redis(c, &code)) {
        return code;
    }
    enum fb_status s = fb_audit_export(c->redis, &f, is_csv ? FB_AUDIT_CSV : FB_AUDIT_NDJSON,
                                       SIZE_MAX, &sink, &err);
    if (s == FB_OK && c->is_json) {
        (void)fputs(out.count == 0 ? "[]\n" : "\n]\n", stdout);
    }
    if (s == FB_OK && fflush(stdout) == 0) {
        return 0;
    }
    if (err.text[0] == '\0') {
        (void)fb_error_set(&err, s != FB_OK ? s : FB_NO_SPACE, "the export cannot be written");
    }
    if (out.count == 0) {
        return ctl_fail(c, &err);
    }
    (void)fprintf(stderr, "fumibako: the export is not complete: %s\n", err.text);
    return FB_EXIT_FAILED;
}
