/* SPDX-License-Identifier: Apache-2.0
 *
 * Audit, versions and checks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/accounts/audit.h"
#include "common/json_words.h"
#include "common/system_info.h"
#include "services/console/api.h"
#include "services/console/helper.h"

#define EXPORT_MOST 20000 /* lines of one export */

/* ---- checks: `fumibako doctor` ---- */

/* NULL with an error. */
static json_t *doctor_lines(const struct call *c, struct fb_error *err)
{
    size_t i;
    json_t *line;
    json_t *answer = NULL;
    int exit_code = 0;
    if (helper_doctor(c->is_ja, &answer, &exit_code, err) != FB_OK) {
        return NULL;
    }
    json_t *list = json_array();
    json_array_foreach(json_object_get(answer, "checks"), i, line)
    {
        const char *result = fb_json_text_of(line, "result");
        const char *state = strcmp(result, "ok") == 0     ? "ok"
                            : strcmp(result, "warn") == 0 ? "warning"
                                                          : "error";
        (void)json_array_append_new(list, api_check(fb_json_text_of(line, "check"), state,
                                                    fb_json_text_of(line, "text"),
                                                    fb_json_text_of(line, "next")));
    }
    json_decref(answer);
    return list;
}

json_t *api_check(const char *name, const char *state, const char *text, const char *hint)
{
    return json_pack("{s:s,s:s,s:s,s:s?}", "name", name, "state", state, "text", text, "hint",
                     hint[0] != '\0' ? hint : NULL);
}

void api_answer_checks(struct call *c, json_t *list)
{
    size_t i;
    json_t *line;
    bool is_ok = true;
    json_array_foreach(list, i, line)
    {
        is_ok = is_ok && strcmp(fb_json_text_of(line, "state"), "error") != 0;
    }
    answer_json(c, 200, json_pack("{s:b,s:o}", "is_ok", is_ok, "checks", list));
}

void api_doctor(struct call *c)
{
    struct fb_error err = {0};
    json_t *list = doctor_lines(c, &err);
    if (list == NULL) {
        answer_error(c, &err);
    } else {
        api_answer_checks(c, list);
    }
}

/* ---- audit ---- */

/* False: answered. */
static bool take_filter(struct call *c, struct fb_audit_filter *f)
{
    f->time = call_json_time;
    f->user = fb_http_query(c->request, "user");
    f->action = fb_http_query(c->request, "action");
    f->object = fb_http_query(c->request, "object");
    f->user = f->user != NULL && f->user[0] != '\0' ? f->user : NULL;
    f->action = f->action != NULL && f->action[0] != '\0' ? f->action : NULL;
    f->object = f->object != NULL && f->object[0] != '\0' ? f->object : NULL;
    return call_time(c, "since", &f->since_ms) && call_time(c, "until", &f->until_ms);
}

void api_audit(struct call *c)
{
    struct fb_audit_filter f = {0};
    struct fb_error err = {0};
    size_t limit = 0;
    json_t *items = NULL;
    char *next = NULL;
    const char *cursor = fb_http_query(c->request, "cursor");
    if (!call_limit(c, &limit) || !take_filter(c, &f)) {
        return;
    }
    cursor = cursor != NULL && cursor[0] != '\0' ? cursor : NULL;
    enum fb_status s = fb_audit_list(c->redis, &f, cursor, limit, &items, &next, &err);
    if (s == FB_OK) {
        answer_json(c, 200, json_pack("{s:o,s:s?}", "items", items, "next", next));
    } else if (s == FB_INVALID) {
        answer_invalid(c, "cursor",
                       "cursor が正しくありません。最初のページからやり直してください。",
                       "This is no cursor of ours: begin with the first page.");
    } else {
        answer_error(c, &err);
    }
    free(next);
}

static enum fb_status add_line(void *ctx, struct fb_slice line)
{
    return fb_buf_add(ctx, line.ptr, line.len);
}

/* The newest EXPORT_MOST lines, and as many as fit into an answer; since and until divide what is more. */
void api_audit_export(struct call *c)
{
    struct fb_audit_filter f = {0};
    struct fb_error err = {0};
    const char *name = fb_http_query(c->request, "format");
    bool is_csv = name != NULL && strcmp(name, "csv") == 0;
    if (name != NULL && !is_csv && strcmp(name, "ndjson") != 0) {
        answer_invalid(c, "format", "format は ndjson または csv です。",
                       "format is ndjson or csv.");
        return;
    }
    if (!take_filter(c, &f)) {
        return;
    }
    const struct fb_audit_sink sink = {add_line, &c->answer->body};
    enum fb_status s = fb_audit_export(c->redis, &f, is_csv ? FB_AUDIT_CSV : FB_AUDIT_NDJSON,
                                       EXPORT_MOST, &sink, &err);
    if (s == FB_TOO_BIG) {
        answer_problem(c, 422, "too-big", "件数が多すぎます。期間を短くしてください。",
                       "These are too many lines: choose a shorter time.");
    } else if (s != FB_OK) {
        answer_error(c, &err);
    } else {
        fb_http_answer_replace(c->answer, "Content-Type", "%s",
                               is_csv ? "text/csv; charset=utf-8" : "application/x-ndjson");
        fb_http_answer_header(c->answer, "Content-Disposition",
                              "attachment; filename=\"fumibako-audit.%s\"",
                              is_csv ? "csv" : "ndjson");
        c->answer->status = 200;
    }
}

/* ---- versions ---- */

void api_system(struct call *c)
{
    struct fb_error err = {0};
    json_t *info = NULL;
    if (fb_system_info(c->redis, c->console->config, &info, &err) == FB_OK) {
        (void)json_object_set_new(info, "openapi", json_string("/api/v1/openapi.json"));
        answer_json(c, 200, info);
    } else {
        answer_error(c, &err);
    }
}
