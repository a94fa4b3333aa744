/* SPDX-License-Identifier: Apache-2.0 */
#include "services/fetch/service.h"

#include <curl/curl.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/crypto.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/service.h"
#include "common/web.h"
#include "services/fetch/shelf.h"

#define STEP_MS     1000
#define DRAIN_MS    (FETCH_TIME_MS + 1000)
#define CONNECTIONS 512
#define IDLE_S      30
#define REQUEST_MS  15000 /* of them at most 5 s for the image, or for one that is on its way */
#define MAX_HEAD    8192
#define MAX_BODY    16384 /* a URL of FETCH_MAX_URL, escaped */
#define MAX_ANSWER  (FETCH_MAX_BYTES + 1024U)

struct fetch_service {
    const struct fb_config *config;
    struct fetch_rules rules;
    struct fetch_shelf *shelf;
    struct fb_http_server *server;
};

/* ---- answers ---- */

static void refuse(struct fb_http_answer *out, unsigned status, const char *code,
                   const char *message)
{
    json_t *body = json_pack("{s:{s:s,s:s}}", "error", "code", code, "message", message);
    char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    FB_ASSERT(text != NULL);
    json_decref(body);
    out->status = status;
    fb_http_answer_header(out, "Content-Type", "application/json");
    FB_ASSERT(fb_buf_add_str(&out->body, text) == FB_OK);
    free(text);
}

static void refuse_outcome(struct fb_http_answer *out, enum fetch_outcome outcome)
{
    static const struct {
        unsigned status;
        const char *message;
    } answers[FETCH_OUTCOMES] = {
        [FETCH_OK] = {500, "this is no failure"},
        [FETCH_REFUSED] = {403, "this URL leads to nothing on the public web"},
        [FETCH_MISSING] = {404, "the server did not answer with the image"},
        [FETCH_TYPE] = {415, "it is no PNG, JPEG, GIF or WebP"},
        [FETCH_TOO_BIG] = {413, "the image is too large"},
        [FETCH_TIMEOUT] = {504, "the server took too long"},
        [FETCH_FAILED] = {502, "the server cannot be talked to"},
    };
    refuse(out, answers[outcome].status, fetch_outcome_name(outcome), answers[outcome].message);
}

static void count(const char *outcome)
{
    char labels[64];
    (void)snprintf(labels, sizeof labels, "outcome=\"%s\"", outcome);
    fb_metric_add("fumibako_fetches_total", labels, 1);
}

/* ---- the call ---- */

static void get(void *ctx, const char *url, struct fetch_image *image_r)
{
    const struct fetch_service *s = ctx;
    int64_t start = fb_mono_ms();
    fetch_download(&s->rules, url, image_r);
    fb_metric_observe("fumibako_fetch_seconds", NULL, (double)(fb_mono_ms() - start) / 1000);
}

static void answer_image(struct fetch_service *s, const char *url, const char *host,
                         struct fb_http_answer *out)
{
    bool is_kept = false;
    struct fetch_shelved *shelved = fetch_shelf_ask(s->shelf, url, &is_kept);
    const struct fetch_image *image = fetch_shelved_get(shelved);
    count(is_kept ? "kept" : fetch_outcome_name(image->outcome));
    fb_log_fields(is_kept || image->outcome == FETCH_OK ? FB_DEBUG : FB_INFO,
                  image->outcome == FETCH_OK ? "an image" : "an image is not to be had", "host",
                  host, "outcome", fetch_outcome_name(image->outcome), NULL);
    if (image->outcome != FETCH_OK) {
        refuse_outcome(out, image->outcome);
    } else if (fb_buf_add_slice(&out->body, fb_slice_buf(&image->bytes)) == FB_OK) {
        out->status = 200;
        fb_http_answer_header(out, "Content-Type", "%s", image->type);
    }
    fetch_shelf_release(s->shelf, &shelved);
}

static void answer_request(struct fetch_service *s, const struct fb_http_request *r,
                           struct fb_http_answer *out)
{
    char host[256];
    json_t *body = json_loadb((const char *)r->body.ptr, r->body.len, 0, NULL);
    const char *url = json_string_value(json_object_get(body, "url"));
    if (url == NULL) {
        refuse(out, 400, "invalid", "the body is {\"url\": \"https://...\"}");
    } else if (!fetch_url_is_sane(url, host, sizeof host)) {
        count(fetch_outcome_name(FETCH_REFUSED));
        refuse_outcome(out, FETCH_REFUSED);
    } else {
        answer_image(s, url, host, out);
    }
    json_decref(body);
}

static void handle(void *ctx, const struct fb_http_request *r, struct fb_http_answer *out)
{
    struct fetch_service *s = ctx;
    if (strcmp(r->path, "/v1/image") != 0) {
        refuse(out, 404, "not_found", "there is only /v1/image here");
    } else if (strcmp(r->method, "POST") != 0) {
        refuse(out, 405, "invalid", "only POST is taken here");
    } else if (!fb_web_is_bearer(fb_http_header(r, "Authorization"), s->config->fetch.token)) {
        count("denied");
        fb_log(FB_WARN, "a request without the right token is refused; render and fetch need the "
                        "same fetch.token");
        fb_http_answer_header(out, "WWW-Authenticate", "Bearer");
        refuse(out, 401, "denied", "the bearer token is missing or wrong");
    } else if (r->is_too_big || r->body.len == 0) {
        refuse(out, r->is_too_big ? 413 : 400, "invalid", "the body is {\"url\": \"https://...\"}");
    } else {
        answer_request(s, r, out);
    }
}

/* ---- life ---- */

enum fb_status fetch_check(const struct fb_config *config, struct fb_error *err)
{
    struct fb_netlist *list = NULL;
    if (config->fetch.listen == NULL) {
        return fb_error_set(err, FB_CONFIG,
                            "fetch.listen: the fetcher needs host:port to listen on");
    }
    if (config->fetch.token == NULL) {
        return fb_error_set(err, FB_CONFIG,
                            "fetch.token: the fetcher answers render alone; set fetch.token_file");
    }
    enum fb_status s = fb_netlist_new(&config->fetch.allow, "fetch.allow", &list, err);
    fb_netlist_free(&list);
    if (s == FB_OK) {
        s = fb_netlist_new(&config->fetch.deny, "fetch.deny", &list, err);
        fb_netlist_free(&list);
    }
    return s;
}

static enum fb_status start(struct fetch_service *s, struct fb_error *err)
{
    const struct fb_http_options options = {.listen = s->config->fetch.listen,
                                            .key = "fetch.listen",
                                            .threads = (unsigned)s->config->fetch.concurrency,
                                            .connections = CONNECTIONS,
                                            .idle_s = IDLE_S,
                                            .request_ms = REQUEST_MS,
                                            .max_head = MAX_HEAD,
                                            .max_body = MAX_BODY,
                                            .max_answer = MAX_ANSWER,
                                            .handle = handle,
                                            .ctx = s};
    enum fb_status st = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK
                            ? FB_OK
                            : fb_error_set(err, FB_BUG, "libcurl cannot be initialised");
    if (st == FB_OK) {
        st = fb_netlist_new(&s->config->fetch.allow, "fetch.allow", &s->rules.allow, err);
    }
    if (st == FB_OK) {
        st = fb_netlist_new(&s->config->fetch.deny, "fetch.deny", &s->rules.deny, err);
    }
    if (st == FB_OK) {
        s->shelf = fetch_shelf_new(s->config->fetch.keep_ms, get, s);
        st = fb_http_server_new(&options, &s->server, err);
    }
    return st;
}

enum fb_status fetch_init(const struct fb_config *config, void **ctx_r, struct fb_error *err)
{
    struct fetch_service *s = fb_xcalloc(1, sizeof *s);
    s->config = config;
    enum fb_status st = start(s, err);
    if (st != FB_OK) {
        fetch_deinit(s);
        return st;
    }
    if (config->fetch.allow.count > 0) {
        fb_log(FB_WARN, "fetch.allow: images are fetched from networks besides the public ones, "
                        "on any port");
    }
    *ctx_r = s;
    return FB_OK;
}

enum fb_status fetch_run(void *ctx, struct fb_error *err)
{
    struct fetch_service *s = ctx;
    (void)err;
    fb_ready_set(true, "");
    while (!fb_service_stopping()) {
        fb_http_server_tick(s->server);
        fb_metric_set("fumibako_fetch_kept_bytes", NULL, (double)fetch_shelf_bytes(s->shelf));
        fb_health_beat();
        struct pollfd stop = {.fd = fb_service_stop_fd(), .events = POLLIN};
        (void)poll(&stop, 1, STEP_MS);
    }
    fb_ready_set(false, "stopping");
    fb_http_server_drain(s->server, DRAIN_MS);
    return FB_OK;
}

void fetch_deinit(void *ctx)
{
    struct fetch_service *s = ctx;
    fb_http_server_free(&s->server);
    fetch_shelf_free(&s->shelf);
    fb_netlist_free(&s->rules.deny);
    fb_netlist_free(&s->rules.allow);
    curl_global_cleanup();
    free(s);
}
