/* SPDX-License-Identifier: Apache-2.0
 *
 * What the console answers: JSON, and problems in JSON (RFC 9457) in the caller's language. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "common/yaml.h"
#include "services/console/call.h"

#define WARN_EVERY_MS 10000
#define RETRY_S       5
#define MAX_PAGE      200
#define TIME_MAX      INT64_C(253402300799999) /* the end of the year 9999: RFC 3339 has no other */
#define USUAL_PAGE    50

static void send_json(struct call *c, unsigned status, const char *type, json_t *value)
{
    char *text = value != NULL ? json_dumps(value, JSON_COMPACT) : NULL;
    fb_buf_clear(&c->answer->body);
    if (text == NULL || fb_buf_add_str(&c->answer->body, text) != FB_OK) {
        fb_log(FB_ERROR, "console: an answer to %s could not be written", c->request->method);
        c->answer->status = 500;
    } else {
        c->answer->status = status;
        fb_http_answer_replace(c->answer, "Content-Type", "%s", type);
    }
    free(text);
    json_decref(value);
}

void answer_json(struct call *c, unsigned status, json_t *value)
{
    send_json(c, status, "application/json", value);
}

void answer_empty(struct call *c, unsigned status)
{
    fb_buf_clear(&c->answer->body);
    c->answer->status = status;
}

static const char *title_of(unsigned status)
{
    switch (status) {
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 409:
        return "Conflict";
    case 412:
        return "Precondition Failed";
    case 413:
        return "Content Too Large";
    case 415:
        return "Unsupported Media Type";
    case 422:
        return "Unprocessable Content";
    case 428:
        return "Precondition Required";
    case 429:
        return "Too Many Requests";
    case 502:
        return "Bad Gateway";
    case 503:
        return "Service Unavailable";
    default:
        return "Error";
    }
}

void answer_problem_more(struct call *c, unsigned status, const char *type, const char *ja,
                         const char *en, const char *key, json_t *more)
{
    char uri[96];
    (void)snprintf(uri, sizeof uri, "urn:fumibako:problem:%s", type);
    json_t *problem = json_pack("{s:s,s:s,s:i,s:o}", "type", uri, "title", title_of(status),
                                "status", (int)status, "detail", fb_json_text(c->is_ja ? ja : en));
    if (more != NULL && json_object_set_new(problem, key, more) != 0) {
        json_decref(problem);
        problem = NULL;
    }
    fb_http_answer_replace(c->answer, "Content-Language", "%s", c->is_ja ? "ja" : "en");
    send_json(c, status, "application/problem+json", problem);
}

void answer_problem_list(struct call *c, unsigned status, const char *type, const char *ja,
                         const char *en, json_t *errors)
{
    answer_problem_more(c, status, type, ja, en, "errors", errors);
}

void answer_problem(struct call *c, unsigned status, const char *type, const char *ja,
                    const char *en)
{
    answer_problem_list(c, status, type, ja, en, NULL);
}

void answer_invalid(struct call *c, const char *where, const char *ja, const char *en)
{
    json_t *errors = json_pack("[{s:s,s:s}]", "where", where, "what", c->is_ja ? ja : en);
    answer_problem_list(c, 422, "invalid", ja, en, errors);
}

static void tell_redis(struct call *c, const struct fb_error *err)
{
    int64_t now = fb_mono_ms();
    (void)pthread_mutex_lock(&c->console->lock);
    bool is_due = c->console->warned_ms == 0 || now - c->console->warned_ms >= WARN_EVERY_MS;
    c->console->warned_ms = is_due ? now : c->console->warned_ms;
    (void)pthread_mutex_unlock(&c->console->lock);
    if (is_due) {
        fb_log(FB_WARN, "console: cannot answer now: %s", err->text);
    }
}

void answer_error(struct call *c, const struct fb_error *err)
{
    switch (err->status) {
    case FB_NOT_FOUND:
        answer_problem(c, 404, "not-found",
                       "見つかりません。削除されたか、保存期間が終わっています。",
                       "It is not there: it was removed, or its time is over.");
        break;
    case FB_EXISTS:
        answer_problem(c, 409, "exists", "すでに存在します。", err->text);
        break;
    case FB_INVALID:
    case FB_TOO_BIG:
        answer_problem(c, 422, "invalid", err->text, err->text);
        break;
    case FB_DENIED:
        answer_problem(c, 409, "refused", err->text, err->text);
        break;
    case FB_AGAIN:
    case FB_NETWORK:
    case FB_CONFIG:
    case FB_IO:
    case FB_NO_SPACE:
        tell_redis(c, err);
        fb_http_answer_replace(c->answer, "Retry-After", "%d", RETRY_S);
        answer_problem(c, 503, "unavailable",
                       "現在ご利用いただけません。しばらくしてからやり直してください。",
                       "This cannot be answered now. Try again in a moment.");
        break;
    default:
        fb_log(FB_ERROR, "console: %s", err->text);
        answer_problem(c, 500, "broken", "内部エラーが発生しました。ログを確認してください。",
                       "Something is wrong on our side: look into the log.");
        break;
    }
}

/* ---- what handlers ask for ---- */

json_t *call_json_time(int64_t ms)
{
    char text[40];
    char whole[64];
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    if (ms <= 0 || ms > TIME_MAX || gmtime_r(&seconds, &tm) == NULL ||
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm) == 0) {
        return json_null();
    }
    (void)snprintf(whole, sizeof whole, "%s.%03dZ", text, (int)(ms % 1000));
    return json_string(whole);
}

const char *call_text(const struct call *c, const char *key)
{
    return json_string_value(json_object_get(c->body, key));
}

bool call_limit(struct call *c, size_t *limit_r)
{
    int64_t value = USUAL_PAGE;
    const char *given = fb_http_query(c->request, "limit");
    if (given != NULL && (!fb_parse_int(given, &value) || value < 1 || value > MAX_PAGE)) {
        answer_invalid(c, "limit", "limit は 1 から 200 までの数です。",
                       "limit is a number from 1 to 200.");
        return false;
    }
    *limit_r = (size_t)value;
    return true;
}

/* "2026-11-25", "2026-11-25T10:15:00Z", "...+09:00", with or without a fraction (RFC 3339). */
static bool parse_rfc3339(const char *text, int64_t *ms_r)
{
    struct tm tm = {0};
    int64_t zone = 0;
    const char *end = strptime(text, "%Y-%m-%d", &tm);
    if (end != NULL && (*end == 'T' || *end == ' ')) {
        end = strptime(end + 1, "%H:%M:%S", &tm);
        if (end != NULL && *end == '.') {
            end += 1 + strspn(end + 1, "0123456789");
        }
        if (end != NULL && (*end == '+' || *end == '-')) {
            struct tm off = {0};
            const char *rest = strptime(end + 1, "%H:%M", &off);
            zone = ((int64_t)off.tm_hour * 60 + off.tm_min) * (*end == '+' ? 60 : -60);
            end = rest;
        } else if (end != NULL && *end == 'Z') {
            end++;
        }
    }
    if (end == NULL || *end != '\0') {
        return false;
    }
    *ms_r = ((int64_t)timegm(&tm) - zone) * 1000;
    return true;
}

bool call_time(struct call *c, const char *name, int64_t *ms_r)
{
    int64_t value = 0;
    const char *given = fb_http_query(c->request, name);
    if (given == NULL || given[0] == '\0') {
        return true;
    }
    bool is_good = fb_parse_int(given, &value) ? value >= 0 && value < INT64_MAX / 4
                                               : parse_rfc3339(given, &value);
    if (!is_good) {
        answer_invalid(c, name, "日時は 2026-11-25 または 2026-11-25T10:15:00+09:00 の形式です。",
                       "A time is written as 2026-11-25 or 2026-11-25T10:15:00+09:00.");
        return false;
    }
    *ms_r = value;
    return true;
}
