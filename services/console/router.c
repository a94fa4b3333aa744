/* SPDX-License-Identifier: Apache-2.0
 *
 * From a path to its handler: who asks is found out, the permission compared, the body read as JSON. */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/language.h"
#include "common/metrics.h"
#include "common/yaml.h"
#include "services/console/call.h"

#define MAX_DEPTH  16 /* of JSON in a request */
#define API_PREFIX "/api/"

/* ---- paths ---- */

/* Whether path is of this form; params_r has what stands for {...}. */
static bool fits(const char *form, const char *path, char params_r[][CALL_PARAM_SIZE])
{
    size_t n = 0;
    while (*form != '\0') {
        if (*form != '{') {
            if (*form++ != *path++) {
                return false;
            }
            continue;
        }
        size_t len = strcspn(path, "/");
        if (len == 0 || len >= CALL_PARAM_SIZE || n == CALL_PARAMS) {
            return false;
        }
        memcpy(params_r[n], path, len);
        params_r[n++][len] = '\0';
        path += len;
        form = strchr(form, '}') + 1;
    }
    return *path == '\0';
}

static bool is_method(const struct call *c, const char *method)
{
    const char *given = c->request->method;
    return strcmp(given, method) == 0 || (strcmp(given, "HEAD") == 0 && strcmp(method, "GET") == 0);
}

/* The route of method and path.  allow_r: the methods that the path knows, when it has no such one. */
static const struct console_route *find(struct call *c, char allow_r[64])
{
    const struct console_route *const tables[] = {api_routes, account_routes};
    allow_r[0] = '\0';
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++) {
        for (const struct console_route *r = tables[t]; r->method != NULL; r++) {
            char params[CALL_PARAMS][CALL_PARAM_SIZE] = {{0}};
            if (!fits(r->path, c->request->path, params)) {
                continue;
            }
            if (is_method(c, r->method)) {
                memcpy(c->params, params, sizeof c->params);
                return r;
            }
            size_t len = strlen(allow_r);
            (void)snprintf(allow_r + len, 64 - len, "%s%s", len > 0 ? ", " : "", r->method);
        }
    }
    return NULL;
}

/* ---- the body ---- */

static bool is_json(const struct call *c)
{
    static const char type[] = "application/json";
    const char *given = fb_http_header(c->request, "Content-Type");
    size_t len = sizeof type - 1;
    return given != NULL && strncasecmp(given, type, len) == 0 &&
           (given[len] == '\0' || given[len] == ';' || given[len] == ' ');
}

/* jansson bounds its own recursion at 2048, which is more than anything of ours needs. */
static bool is_deep(const json_t *value, int depth)
{
    const char *key;
    json_t *item;
    size_t i;
    if (depth > MAX_DEPTH) {
        return true;
    }
    if (json_is_object(value)) {
        json_object_foreach((json_t *)(uintptr_t)value, key, item)
        {
            if (is_deep(item, depth + 1)) {
                return true;
            }
        }
    }
    json_array_foreach(value, i, item)
    {
        if (is_deep(item, depth + 1)) {
            return true;
        }
    }
    return false;
}

bool call_parse_body(struct call *c)
{
    json_error_t why;
    c->body = json_loadb((const char *)c->request->body.ptr, c->request->body.len,
                         JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(c->body) || is_deep(c->body, 0)) {
        answer_problem(c, 400, "not-json", "JSON のオブジェクトとして読み取れません。",
                       "It cannot be read as an object of JSON.");
        return false;
    }
    return true;
}

/* What comes with a GET or DELETE is not looked at: no handler has a use for it (RFC 9110, 9.3.1, 9.3.5). */
static bool may_have_body(const struct call *c)
{
    return !is_method(c, "GET") && strcmp(c->request->method, "DELETE") != 0;
}

/* False: answered. */
static bool take_body(struct call *c, const struct console_route *r)
{
    if (!may_have_body(c)) {
        return true;
    }
    if (c->request->is_too_big) {
        answer_problem(c, 413, "too-big", "送信されたデータが大きすぎます。",
                       "What was sent is too large.");
        return false;
    }
    if (c->request->is_busy) {
        answer_problem(c, 503, "busy",
                       "ほかのメールを処理中です。しばらくしてからやり直してください。",
                       "Other mails are being looked at. Try again in a moment.");
        return false;
    }
    if (r->takes_bytes || c->request->body.len == 0) {
        return true;
    }
    if (!is_json(c)) {
        answer_problem(c, 415, "not-json", "Content-Type は application/json としてください。",
                       "Send it as Content-Type: application/json.");
        return false;
    }
    return call_parse_body(c);
}

/* ---- a call ---- */

static void refuse(struct call *c)
{
    if (c->who.by == CONSOLE_BY_NOBODY) {
        fb_http_answer_header(c->answer, "WWW-Authenticate", "Bearer realm=\"fumibako\"");
        answer_problem(c, 401, "sign-in", "サインインしてください。", "Sign in first.");
    } else if (c->who.need != CONSOLE_NEEDS_NOTHING) {
        answer_problem(c, 403, "second-factor", "二段階認証を完了してください。",
                       "Complete the two-step login first.");
    } else {
        answer_problem(c, 403, "forbidden", "この操作を行う権限がありません。",
                       "Your role does not allow this.");
    }
}

/* Whether the caller may; false: answered.  An error of what knows the accounts closes the door. */
static bool is_allowed(struct call *c, const struct console_route *r)
{
    struct fb_error err = {0};
    if (r->access == ROUTE_OPEN) {
        return true;
    }
    enum fb_status s = console_authenticate(c, &c->who, &err);
    if (s == FB_DENIED) { /* known, but without the token that a change needs */
        answer_problem(c, 403, "csrf", "ページを再読み込みしてから、もう一度お試しください。",
                       "Reload the page and try again.");
        return false;
    }
    if (s != FB_OK && s != FB_NOT_FOUND) {
        answer_error(c, &err);
        return false;
    }
    bool is_known = s == FB_OK && c->who.by != CONSOLE_BY_NOBODY;
    bool may = is_known && (r->access == ROUTE_SIGNED || (c->who.need == CONSOLE_NEEDS_NOTHING &&
                                                          console_may(c->who.role, r->permission)));
    if (!may) {
        if (!is_known) {
            c->who = (struct console_who){.by = CONSOLE_BY_NOBODY};
        }
        refuse(c);
    }
    return may;
}

static const char *api(struct call *c)
{
    char allow[64];
    const struct console_route *r = find(c, allow);
    if (r == NULL && allow[0] != '\0') {
        fb_http_answer_header(c->answer, "Allow", "%s", allow);
        answer_problem(c, 405, "method", "このアドレスはそのメソッドに対応していません。",
                       "This address does not know that method.");
        return "other";
    }
    if (r == NULL) {
        answer_problem(c, 404, "not-found", "見つかりません。", "There is nothing here.");
        return "other";
    }
    c->redis = fb_redis_pool_take(c->console->pool);
    if (is_allowed(c, r) && take_body(c, r)) {
        r->handle(c);
    }
    fb_redis_pool_give(c->console->pool, c->redis);
    json_decref(c->body);
    return r->path;
}

static void count(const struct call *c, const char *path)
{
    char labels[160];
    (void)snprintf(labels, sizeof labels, "path=\"%s\",method=\"%s\",status=\"%u\"", path,
                   is_method(c, "GET") ? "GET" : "other", c->answer->status);
    fb_metric_add("fumibako_console_requests_total", labels, 1);
}

static bool is_api_path(const char *path)
{
    return strncmp(path, API_PREFIX, strlen(API_PREFIX)) == 0 || strncmp(path, "/login/", 7) == 0;
}

void console_handle(void *ctx, const struct fb_http_request *request, struct fb_http_answer *answer)
{
    struct call c = {.console = ctx, .request = request, .answer = answer};
    int64_t began = fb_mono_ms();
    c.is_ja = fb_language_is_ja(NULL, fb_http_header(request, "Accept-Language"), false);
    bool is_api = is_api_path(request->path);
    console_security_headers(c.console, is_api, answer);
    fb_web_client(request, c.console->proxies, &c.client);
    if (is_api) {
        const char *path = api(&c);
        count(&c, path);
        fb_metric_observe("fumibako_console_request_seconds", "",
                          (double)(fb_mono_ms() - began) / 1000);
    } else {
        assets_send(&c);
        count(&c, "page");
    }
}

/* More than anybody may send, as far as the head tells. */
static bool may_be_large(const struct fb_http_request *head)
{
    int64_t length = 0;
    const char *given = fb_http_header(head, "Content-Length");
    return given != NULL ? !fb_parse_int(given, &length) || length > (int64_t)CALL_ANYBODYS
                         : fb_http_header(head, "Transfer-Encoding") != NULL;
}

/* Memory and the few places of large bodies are for those who may use them. */
size_t console_body_limit(void *ctx, const struct fb_http_request *head)
{
    if (!may_be_large(head) || !console_is_known(ctx, head)) {
        return CALL_ANYBODYS;
    }
    bool is_mail = strcmp(head->path, "/api/v1/policy/test") == 0;
    return is_mail ? CALL_MAX_MAIL : CALL_MAX_BODY;
}
