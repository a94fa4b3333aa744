/* SPDX-License-Identifier: Apache-2.0 */
#include "services/portal/portal.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/language.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/netlist.h"
#include "services/portal/assets.h"
#include "services/portal/reader.h"

#define LINK_LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

/* ---- who asks ---- */

static bool is_method(const struct visit *v, const char *method)
{
    return strcmp(v->request->method, method) == 0;
}

static void take_cookie(struct visit *v)
{
    const char *cookie =
        fb_http_cookie(v->request, v->portal->is_https ? "__Secure-fumibako" : "fumibako");
    if (cookie != NULL && form_cookie_is_valid(cookie)) {
        memcpy(v->cookie, cookie, sizeof v->cookie);
        v->has_cookie = true;
    }
}

/* ---- a form ---- */

/* Our pages make browsers send our origin (page.c); Sec-Fetch-Site says the same where a browser knows it.  One of them
 * has to be there, and none may say otherwise. */
bool portal_is_from_here(const struct visit *v)
{
    const char *origin = fb_http_header(v->request, "Origin");
    const char *site = fb_http_header(v->request, "Sec-Fetch-Site");
    bool has_wrong = (origin != NULL && strcmp(origin, v->portal->origin) != 0) ||
                     (site != NULL && strcmp(site, "same-origin") != 0);
    return !has_wrong && (origin != NULL || site != NULL);
}

bool portal_is_form(const struct visit *v)
{
    static const char type[] = "application/x-www-form-urlencoded";
    const char *given = fb_http_header(v->request, "Content-Type");
    size_t len = sizeof type - 1;
    return given != NULL && strncasecmp(given, type, len) == 0 &&
           (given[len] == '\0' || given[len] == ';' || given[len] == ' ');
}

static void take_form(struct visit *v, const char *step)
{
    struct form form;
    if (v->request->is_too_big) {
        page_error(v, PAGE_TOO_BIG);
        return;
    }
    if (!portal_is_form(v)) {
        page_error(v, PAGE_BAD_TYPE);
        return;
    }
    if (!portal_is_from_here(v)) {
        page_error(v, PAGE_OTHER_SITE);
        return;
    }
    enum fb_status s = form_parse(v->request->body, &form);
    if (s == FB_INVALID) {
        page_error(v, PAGE_BAD_FORM);
        return;
    }
    const struct form_binding binding = {.key = v->portal->form_key,
                                         .step = step,
                                         .link = v->link,
                                         .cookie = v->cookie,
                                         .id = form.id};
    if (!v->has_cookie || !form_token_is_good(&binding, form.token, fb_now_ms())) {
        page_error(v, PAGE_STALE_FORM);
    } else if (s != FB_OK) {
        page_error(v, PAGE_LONG_REASON);
    } else if (strcmp(step, "recall") == 0) {
        recall_act(v, &form);
    } else {
        confirm_page(v, &form);
    }
}

/* ---- paths ---- */

void portal_bad_link(struct visit *v)
{
    bool may = portal_limit_take(v->portal->limit, &v->client, LIMIT_BAD_LINK, fb_mono_ms());
    if (may) { /* else it counts as rate */
        fb_metric_add("fumibako_portal_refused_total", "reason=\"link\"", 1);
    }
    page_error(v, may ? PAGE_NOT_FOUND : PAGE_TOO_MANY);
}

static void redirect_to_page(struct visit *v)
{
    fb_http_answer_header(v->answer, "Location", "/s/%s%s", v->link, page_query(v));
    v->answer->status = 303;
}

/* step: "", "confirm" or "recall". */
static void follow_link(struct visit *v, const char *step)
{
    bool is_get = is_method(v, "GET") || is_method(v, "HEAD");
    take_cookie(v);
    if (is_get && step[0] == '\0') {
        sender_page(v);
    } else if (is_get) {
        redirect_to_page(v); /* an address that was kept, or a reload by hand */
    } else if (is_method(v, "POST") && step[0] != '\0') {
        take_form(v, step);
    } else {
        fb_http_answer_header(v->answer, "Allow", "%s",
                              step[0] == '\0' ? "GET, HEAD" : "GET, HEAD, POST");
        page_error(v, PAGE_BAD_METHOD);
    }
}

/* What stands behind /s/. */
static void check_link(struct visit *v, const char *rest)
{
    static const char *const steps[] = {"", "confirm", "recall"};
    size_t len = strspn(rest, LINK_LETTERS);
    const char *step = NULL;
    const char *behind = rest[len] == '/' ? rest + len + 1 : rest + len;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        if (strcmp(behind, steps[i]) == 0 && (rest[len] == '/') == (i > 0)) {
            step = steps[i];
        }
    }
    if (step == NULL || len == 0 || len >= sizeof v->link) {
        portal_bad_link(v);
        return;
    }
    memcpy(v->link, rest, len);
    struct fb_error err = {0};
    switch (fb_link_check(v->portal->config->rewrite.key, v->link, fb_now_ms(), v->msg_id,
                          &v->ends_ms, &err)) {
    case FB_OK:
        v->page = step[0] == '\0' ? "page" : step;
        follow_link(v, step);
        break;
    case FB_NOT_FOUND:
        v->page = step[0] == '\0' ? "page" : step;
        page_error(v, PAGE_ENDED);
        break;
    default:
        v->link[0] = '\0'; /* it stands in no page of ours */
        portal_bad_link(v);
        break;
    }
}

static void say_robots(struct visit *v)
{
    if (fb_buf_add_str(&v->answer->body, "User-agent: *\nDisallow: /\n") == FB_OK) {
        fb_http_answer_header(v->answer, "Content-Type", "text/plain; charset=utf-8");
        v->answer->status = 200;
    }
}

/* The name changes with the bytes: browsers keep it.  It is no secret, and needs no link. */
static void send_logo(struct visit *v)
{
    const struct brand *b = v->brand;
    bool is_it = b != NULL && b->path[0] != '\0' && strcmp(v->request->path, b->path) == 0;
    if (!is_it || fb_buf_add_slice(&v->answer->body, fb_slice_buf(&b->logo.bytes)) != FB_OK) {
        page_error(v, PAGE_NOT_FOUND);
        return;
    }
    v->page = "logo";
    fb_http_answer_header(v->answer, "Content-Type", "%s", b->logo.type);
    fb_http_answer_replace(v->answer, "Cache-Control", "public, max-age=31536000, immutable");
    v->answer->status = 200;
}

void portal_handle(void *ctx, const struct fb_http_request *request, struct fb_http_answer *answer)
{
    struct visit v = {.portal = ctx, .request = request, .answer = answer, .page = "other"};
    const char *chosen = fb_http_query(request, "lang");
    char labels[96];
    v.chosen = chosen != NULL ? chosen : "";
    v.is_ja = fb_language_is_ja(chosen, fb_http_header(request, "Accept-Language"), false);
    v.brand = brand_take(&v.portal->brands);
    page_headers(&v);
    fb_web_client(request, v.portal->proxies, &v.client);
    if (!portal_limit_take(v.portal->limit, &v.client, LIMIT_REQUEST, fb_mono_ms())) {
        page_error(&v, PAGE_TOO_MANY);
    } else if (strncmp(request->path, "/s/", 3) == 0) {
        check_link(&v, request->path + 3);
    } else if (strncmp(request->path, "/r/", 3) == 0) {
        reader_handle(&v, request->path + 3);
    } else if (strncmp(request->path, ASSETS_PATH, strlen(ASSETS_PATH)) == 0 &&
               (is_method(&v, "GET") || is_method(&v, "HEAD")) && assets_send(&v)) {
        /* answered */
    } else if (strncmp(request->path, BRAND_PATH, strlen(BRAND_PATH)) == 0 &&
               (is_method(&v, "GET") || is_method(&v, "HEAD"))) {
        send_logo(&v);
    } else if (strcmp(request->path, "/robots.txt") == 0 &&
               (is_method(&v, "GET") || is_method(&v, "HEAD"))) {
        say_robots(&v);
    } else {
        page_error(&v, PAGE_NOT_FOUND);
    }
    brand_give(&v.portal->brands, &v.brand);
    (void)snprintf(labels, sizeof labels, "page=\"%s\",status=\"%u\"", v.page, answer->status);
    fb_metric_add("fumibako_portal_requests_total", labels, 1);
}
