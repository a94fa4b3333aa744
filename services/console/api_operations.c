/* SPDX-License-Identifier: Apache-2.0
 *
 * Storages, audit, versions and checks. */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alarm.h"
#include "common/policy/policy.h"
#include "common/yaml.h"
#include "services/console/api.h"
#include "services/console/helper.h"

#define EXPORT_MOST 20000 /* lines of one export */
#define EXPORT_PAGE 200

/* ---- checks: `fumibako doctor` ---- */

static const char *text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text != NULL ? text : "";
}

static json_t *check_json(const char *name, const char *state, const char *text, const char *hint)
{
    return json_pack("{s:s,s:s,s:s,s:s?}", "name", name, "state", state, "text", text, "hint",
                     hint[0] != '\0' ? hint : NULL);
}

/* Its lines, or those of one check (NULL = all).  NULL with an error. */
static json_t *doctor_lines(const char *only, struct fb_error *err)
{
    size_t i;
    json_t *line;
    json_t *answer = NULL;
    int exit_code = 0;
    if (helper_doctor(&answer, &exit_code, err) != FB_OK) {
        return NULL;
    }
    json_t *list = json_array();
    json_array_foreach(json_object_get(answer, "checks"), i, line)
    {
        const char *result = text_of(line, "result");
        const char *state = strcmp(result, "ok") == 0     ? "ok"
                            : strcmp(result, "warn") == 0 ? "warning"
                                                          : "error";
        if (only == NULL || strcmp(only, text_of(line, "check")) == 0) {
            (void)json_array_append_new(list,
                                        check_json(text_of(line, "check"), state,
                                                   text_of(line, "text"), text_of(line, "next")));
        }
    }
    json_decref(answer);
    return list;
}

static void answer_checks(struct call *c, json_t *list)
{
    size_t i;
    json_t *line;
    bool is_ok = true;
    json_array_foreach(list, i, line)
    {
        is_ok = is_ok && strcmp(text_of(line, "state"), "error") != 0;
    }
    answer_json(c, 200, json_pack("{s:b,s:o}", "is_ok", is_ok, "checks", list));
}

void api_doctor(struct call *c)
{
    struct fb_error err = {0};
    json_t *list = doctor_lines(NULL, &err);
    if (list == NULL) {
        answer_error(c, &err);
    } else {
        answer_checks(c, list);
    }
}

/* ---- storages ---- */

static json_t *rules_json(const struct fb_policy *p, const struct fb_policy_storage *s)
{
    json_t *list = json_array();
    for (size_t i = 0; i < p->rule_count; i++) {
        if (p->rules[i].storage == s || p->rules[i].without_account == s) {
            (void)json_array_append_new(list, fb_json_text(p->rules[i].name));
        }
    }
    return list;
}

static json_t *storage_json(struct call *c, const struct fb_policy *p,
                            const struct fb_policy_storage *s, struct fb_error *err)
{
    bool is_box = s->type == FB_STORAGE_BOX;
    const char *place = is_box ? s->root_folder : s->url;
    json_t *alarms = api_alarms(c, s->name, err);
    if (alarms == NULL) {
        return NULL;
    }
    bool is_ok = json_array_size(alarms) == 0;
    return json_pack("{s:o,s:s,s:o,s:I,s:o,s:o,s:o,s:b}", "name", fb_json_text(s->name), "type",
                     is_box ? "box" : "vault", "place", fb_json_text(place != NULL ? place : ""),
                     "users", (json_int_t)s->user_count, "quota",
                     s->quota > 0 ? json_integer((json_int_t)s->quota) : json_null(), "rules",
                     rules_json(p, s), "alarms", alarms, "is_ok", is_ok);
}

void api_storages(struct call *c)
{
    struct fb_error err = {0};
    struct fb_policy *p = fb_policy_follow_get(c->console->follow);
    json_t *items = json_array();
    bool is_good = true;
    for (size_t i = 0; p != NULL && i < p->storage_count && is_good; i++) {
        json_t *one = storage_json(c, p, &p->storages[i], &err);
        is_good = one != NULL && json_array_append_new(items, one) == 0;
    }
    fb_policy_unref(&p);
    if (is_good) {
        answer_json(c, 200, json_pack("{s:o}", "items", items));
    } else {
        json_decref(items);
        answer_error(c, &err);
    }
}

/* What the services say of it now, and what lies on this machine. */
void api_storage_test(struct call *c)
{
    struct fb_error err = {0};
    char check[160];
    size_t i;
    json_t *alarm;
    struct fb_policy *p = fb_policy_follow_get(c->console->follow);
    bool is_known = p != NULL && fb_policy_find_storage(p, c->params[0]) != NULL;
    fb_policy_unref(&p);
    if (!is_known) {
        answer_problem(c, 404, "not-found", "その名前のストレージはありません。",
                       "The policy has no storage of that name.");
        return;
    }
    (void)snprintf(check, sizeof check, "storage %s", c->params[0]);
    json_t *alarms = api_alarms(c, c->params[0], &err);
    json_t *list = alarms != NULL ? doctor_lines(check, &err) : NULL;
    if (list == NULL) {
        json_decref(alarms);
        answer_error(c, &err);
        return;
    }
    json_array_foreach(alarms, i, alarm)
    {
        (void)json_array_append_new(
            list, check_json(text_of(alarm, "who"), "error", text_of(alarm, "text"), ""));
    }
    if (json_array_size(alarms) == 0) {
        (void)json_array_append_new(list,
                                    check_json("services", "ok",
                                               c->is_ja ? "サービスからの障害の報告はありません。"
                                                        : "No service reports trouble with it.",
                                               ""));
    }
    json_decref(alarms);
    answer_checks(c, list);
}

/* ---- audit ---- */

/* False: answered. */
static bool take_filter(struct call *c, struct console_audit_filter *f)
{
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
    struct console_audit_filter f = {0};
    struct fb_error err = {0};
    size_t limit = 0;
    json_t *items = NULL;
    char *next = NULL;
    const char *cursor = fb_http_query(c->request, "cursor");
    if (!call_limit(c, &limit) || !take_filter(c, &f)) {
        return;
    }
    cursor = cursor != NULL && cursor[0] != '\0' ? cursor : NULL;
    enum fb_status s = console_audit_list(c->redis, &f, cursor, limit, &items, &next, &err);
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

static enum fb_status add_page(struct call *c, enum console_audit_format format,
                               const json_t *items)
{
    size_t i;
    json_t *item;
    enum fb_status s = FB_OK;
    json_array_foreach(items, i, item)
    {
        s = s == FB_OK ? console_audit_line(format, item, &c->answer->body) : s;
    }
    return s;
}

static enum fb_status write_export(struct call *c, const struct console_audit_filter *f,
                                   enum console_audit_format format, struct fb_error *err)
{
    char *cursor = NULL;
    size_t count = 0;
    enum fb_status s = console_audit_line(format, NULL, &c->answer->body);
    do {
        json_t *items = NULL;
        char *next = NULL;
        s = s == FB_OK ? console_audit_list(c->redis, f, cursor, EXPORT_PAGE, &items, &next, err)
                       : s;
        s = s == FB_OK ? add_page(c, format, items) : s;
        count += json_array_size(items);
        json_decref(items);
        free(cursor);
        cursor = next;
    } while (s == FB_OK && cursor != NULL && count < EXPORT_MOST);
    free(cursor);
    return s;
}

/* The newest EXPORT_MOST lines, and as many as fit into an answer; since and until divide what is more. */
void api_audit_export(struct call *c)
{
    struct console_audit_filter f = {0};
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
    enum fb_status s = write_export(c, &f, is_csv ? CONSOLE_AUDIT_CSV : CONSOLE_AUDIT_NDJSON, &err);
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

/* A line of INFO, as text; "" when it is not there. */
static void info_text(const char *info, const char *key, char *out, size_t size)
{
    size_t len = strlen(key);
    out[0] = '\0';
    for (const char *at = info; at != NULL && *at != '\0';) {
        if (strncmp(at, key, len) == 0 && at[len] == ':') {
            size_t n = strcspn(at + len + 1, "\r\n");
            (void)snprintf(out, size, "%.*s", (int)(n < size ? n : size - 1), at + len + 1);
            return;
        }
        at = strchr(at, '\n');
        at = at != NULL ? at + 1 : NULL;
    }
}

static json_int_t info_number(const char *info, const char *key)
{
    char text[32];
    int64_t value = 0;
    info_text(info, key, text, sizeof text);
    return fb_parse_int(text, &value) ? (json_int_t)value : 0;
}

static json_t *redis_json(struct call *c, struct fb_error *err)
{
    redisReply *reply = NULL;
    char version[32];
    if (fb_redis_call_at(c->redis, 0, &reply, err, "INFO", NULL) != FB_OK) {
        return NULL;
    }
    const char *info = reply->str != NULL ? reply->str : "";
    info_text(info, "redis_version", version, sizeof version);
    json_t *o = json_pack(
        "{s:s,s:i,s:I,s:I,s:I}", "version", version, "shards", fb_redis_shard_count(c->redis),
        "used_memory", info_number(info, "used_memory"), "max_memory",
        info_number(info, "maxmemory"), "uptime_s", info_number(info, "uptime_in_seconds"));
    freeReplyObject(reply);
    return o;
}

static const char *member(const redisReply *consumer, const char *key, int64_t *number_r)
{
    for (size_t i = 0; i + 1 < consumer->elements; i += 2) {
        const redisReply *name = consumer->element[i];
        const redisReply *value = consumer->element[i + 1];
        if (name->str != NULL && strcmp(name->str, key) == 0) {
            *number_r = value->type == REDIS_REPLY_INTEGER ? (int64_t)value->integer : 0;
            return value->str != NULL ? value->str : "";
        }
    }
    return "";
}

/* Workers read their streams under a name of their own. */
static bool add_workers(struct call *c, enum fb_stage stage, json_t *list, struct fb_error *err)
{
    char key[64];
    redisReply *reply = NULL;
    (void)snprintf(key, sizeof key, "fb:{s0}:%s", fb_stage_name(stage));
    enum fb_status s =
        fb_redis_call(c->redis, &reply, err, "XINFO", "CONSUMERS", key, "workers", NULL);
    if (s != FB_OK) {
        return s == FB_BUG; /* no such stream, or no group yet */
    }
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++) {
        int64_t idle = 0;
        int64_t none = 0;
        char service[32];
        const char *who = member(reply->element[i], "name", &none);
        (void)member(reply->element[i], "idle", &idle);
        (void)snprintf(service, sizeof service, "fumibako-%s", fb_stage_name(stage));
        (void)json_array_append_new(
            list, json_pack("{s:o,s:s,s:s,s:I}", "who", fb_json_text(who), "service", service,
                            "stage", fb_stage_name(stage), "idle_ms", (json_int_t)idle));
    }
    freeReplyObject(reply);
    return true;
}

void api_system(struct call *c)
{
    struct fb_error err = {0};
    json_t *processes = json_array();
    json_t *redis = redis_json(c, &err);
    bool is_good = redis != NULL;
    for (int stage = 0; stage < FB_STAGE_COUNT && is_good; stage++) {
        is_good = add_workers(c, (enum fb_stage)stage, processes, &err);
    }
    if (!is_good) {
        json_decref(processes);
        json_decref(redis);
        answer_error(c, &err);
        return;
    }
    answer_json(c, 200,
                json_pack("{s:s,s:s,s:o,s:o,s:o}", "version", FB_VERSION, "openapi",
                          "/api/v1/openapi.json", "redis", redis, "policy_source",
                          fb_json_text(c->console->config->policy.source), "processes", processes));
}
