/* SPDX-License-Identifier: Apache-2.0
 *
 * One call of Box.
 *
 * Invariants
 *  1. The token goes to trusted origins only, also when Box's own answer named the URL.
 *  2. Every call ends: connecting, standing still and the whole have limits, and the pauses
 *     together too.
 *  3. What may have taken effect is not repeated in here unless repeating it does no harm: a 503
 *     can come after the
 *     work was done.  The caller looks first.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/curl_handle.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/service.h"
#include "common/tracing.h"
#include "services/upload/away.h"
#include "services/upload/box_internal.h"

#define LOW_SPEED    512L  /* bytes a second */
#define SLOWEST      32768 /* bytes a second of a body: above it a whole call takes its time */
#define MAX_TRIES    6
#define MAX_PAUSE_MS 30000
#define MAX_BODY_S   86400

/* ---- reading the answer ---- */

struct incoming {
    struct fb_buf body;
    struct box_reply *reply;
    bool is_too_big;
};

static size_t take_body(char *data, size_t size, size_t count, void *ctx)
{
    struct incoming *in = ctx;
    size_t len = size * count;
    if (fb_buf_add(&in->body, data, len) != FB_OK) {
        in->is_too_big = true;
        return 0;
    }
    return len;
}

/* Seconds, or an HTTP date; -1 when it is neither. */
static int64_t parse_retry_after(const char *text)
{
    char *end = NULL;
    if (text[0] >= '0' && text[0] <= '9') {
        long long seconds = strtoll(text, &end, 10);
        return *end == '\0' && seconds >= 0 && seconds < MAX_BODY_S ? seconds * 1000 : -1;
    }
    int64_t at_s = (int64_t)curl_getdate(text, NULL);
    int64_t wait_ms = at_s * 1000 - fb_now_ms();
    return at_s <= 0 || wait_ms > MAX_BODY_S * 1000LL ? -1 : wait_ms > 0 ? wait_ms : 0;
}

static bool header_is(struct fb_slice line, const char *name, char *out, size_t size)
{
    if (!fb_slice_istarts(line, name)) {
        return false;
    }
    struct fb_slice value = fb_slice_trim(fb_slice_sub(line, strlen(name), SIZE_MAX));
    (void)snprintf(out, size, "%.*s", (int)(value.len < size ? value.len : size - 1),
                   (const char *)value.ptr);
    return true;
}

static size_t take_header(char *data, size_t size, size_t count, void *ctx)
{
    struct incoming *in = ctx;
    struct fb_slice line = fb_slice_of(data, size * count);
    char text[64];
    if (fb_slice_istarts(line, "http/")) {
        in->reply->retry_after_ms = -1; /* of an answer before this one (1xx) */
    } else if (header_is(line, "retry-after:", text, sizeof text)) {
        in->reply->retry_after_ms = parse_retry_after(text);
    } else if (in->reply->request_id[0] == '\0') {
        (void)header_is(line, "box-request-id:", in->reply->request_id,
                        sizeof in->reply->request_id);
    }
    return size * count;
}

static void copy_word(const json_t *object, const char *key, char *out, size_t size)
{
    const char *text = json_string_value(json_object_get(object, key));
    if (text == NULL) {
        return;
    }
    (void)snprintf(out, size, "%s", text);
    for (char *p = out; *p != '\0'; p++) {
        *p = (unsigned char)*p < 0x20 || *p == 0x7f ? '?' : *p;
    }
}

static void read_reply(const struct fb_buf *body, struct box_reply *r)
{
    r->json = body->len > 0 ? json_loadb(fb_buf_str(body), body->len, 0, NULL) : NULL;
    if (r->status >= 400 && r->json != NULL) {
        copy_word(r->json, "code", r->code, sizeof r->code);
        copy_word(r->json, "message", r->message, sizeof r->message);
        copy_word(r->json, "request_id", r->request_id, sizeof r->request_id);
    }
}

void box_reply_deinit(struct box_reply *r)
{
    json_decref(r->json);
    *r = (struct box_reply){.retry_after_ms = -1};
}

/* ---- one request ---- */

static bool set_body(CURL *curl, const struct box_request *q, const char *json)
{
    if (q->mime != NULL) {
        return curl_easy_setopt(curl, CURLOPT_MIMEPOST, q->mime) == CURLE_OK;
    }
    const void *bytes = json != NULL ? json : q->bytes;
    size_t len = json != NULL ? strlen(json) : q->bytes_len;
    if (bytes != NULL) {
        return curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len) == CURLE_OK &&
               curl_easy_setopt(curl, CURLOPT_POSTFIELDS, bytes) == CURLE_OK &&
               curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, q->method) == CURLE_OK;
    }
    if (strcmp(q->method, "GET") == 0) {
        return curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L) == CURLE_OK;
    }
    return curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, q->method) == CURLE_OK;
}

static bool set_limits(CURL *curl, const struct box_request *q)
{
    /* Protocols: an answer must not send us to file: or ftp:; redirects are not followed at all. */
    int64_t whole_ms = box_times.call_ms + (int64_t)q->body_size * 1000 / SLOWEST;
    return curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, box_times.connect_ms) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, LOW_SPEED) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, box_times.low_speed_s) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)whole_ms) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_USERAGENT, "fumibako/" FB_VERSION) == CURLE_OK;
}

static bool add_line(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*list, line);
    if (longer == NULL) {
        return false;
    }
    *list = longer;
    return true;
}

static struct curl_slist *make_headers(const struct box_request *q, const char *token)
{
    struct curl_slist *list = NULL;
    struct fb_buf line;
    fb_buf_init(&line, 16384);
    bool ok = fb_buf_printf(&line, "Authorization: Bearer %s", token) == FB_OK &&
              add_line(&list, fb_buf_str(&line)) && add_line(&list, "Expect:") &&
              (q->body == NULL || add_line(&list, "Content-Type: application/json"));
    for (const struct curl_slist *h = q->headers; h != NULL && ok; h = h->next) {
        ok = add_line(&list, h->data);
    }
    if (line.ptr != NULL) {
        explicit_bzero(line.ptr, line.len);
    }
    fb_buf_deinit(&line);
    if (!ok) {
        curl_slist_free_all(list);
        return NULL;
    }
    return list;
}

static void free_headers(struct curl_slist *list)
{
    if (list != NULL) {
        explicit_bzero(list->data, strlen(list->data)); /* the first has the token */
        curl_slist_free_all(list);
    }
}

void box_label(const char *text, char *out, size_t size)
{
    (void)snprintf(out, size, "%s", text);
    for (char *p = out; *p != '\0'; p++) {
        *p = *p == '"' || *p == '\\' || (unsigned char)*p < 0x20 ? '_' : *p;
    }
}

static void count(const struct storage_session *s, const struct box_request *q, CURLcode rc,
                  long status)
{
    char labels[200];
    char name[100];
    box_label(s->storage->name, name, sizeof name);
    if (rc != CURLE_OK) {
        (void)snprintf(labels, sizeof labels, "storage=\"%s\",call=\"%s\",status=\"%s\"", name,
                       q->call, rc == CURLE_OPERATION_TIMEDOUT ? "timeout" : "network");
    } else {
        (void)snprintf(labels, sizeof labels, "storage=\"%s\",call=\"%s\",status=\"%ld\"", name,
                       q->call, status);
    }
    fb_metric_add("fumibako_storage_requests_total", labels, 1);
}

static void end_span(const struct fb_span *span, const struct storage_session *s,
                     const struct box_request *q, CURLcode rc, long status)
{
    char code[24];
    (void)snprintf(code, sizeof code, "%ld", status);
    const char *problem = rc != CURLE_OK ? "network" : status >= 400 ? code : NULL;
    fb_span_end(span, q->call, FB_SPAN_CLIENT, problem, "fumibako.storage", s->storage->name,
                "http.response.status_code", rc == CURLE_OK ? code : NULL, NULL);
}

static int on_progress(void *ctx, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                       curl_off_t up)
{
    struct box_watching *w = ctx;
    int64_t now = fb_mono_ms();
    (void)down_total;
    (void)up_total;
    if (down + up != w->moved) {
        w->moved = down + up;
        w->moved_ms = now;
    } else if (storage_away_must_yield(w->storage, now - w->moved_ms, &w->is_counted)) {
        w->has_yielded = true;
    }
    return w->has_yielded ? 1 : 0;
}

bool box_watch(CURL *curl, const char *storage, struct box_watching *w)
{
    *w = (struct box_watching){.storage = storage, .moved_ms = fb_mono_ms()};
    return curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_XFERINFODATA, w) == CURLE_OK;
}

/* CURLE_OK: r has status, headers and JSON. */
static CURLcode perform(struct storage_session *s, const struct box_request *q, const char *token,
                        const char *json, struct box_reply *r)
{
    struct incoming in = {.reply = r};
    struct curl_slist *headers = make_headers(q, token);
    struct box_watching watching;
    struct fb_span span;
    CURL *curl = s->curl;
    fb_span_begin(&span, NULL);
    fb_buf_init(&in.body, BOX_MAX_REPLY);
    bool ok = headers != NULL && curl_easy_setopt(curl, CURLOPT_URL, q->url) == CURLE_OK &&
              set_limits(curl, q) && set_body(curl, q, json) &&
              box_watch(curl, s->storage->name, &watching) &&
              curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers) == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body) == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_WRITEDATA, &in) == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header) == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_HEADERDATA, &in) == CURLE_OK;
    CURLcode rc = ok ? curl_easy_perform(curl) : CURLE_FAILED_INIT;
    rc = ok && watching.has_yielded ? CURLE_OPERATION_TIMEDOUT : rc; /* which it was about to be */
    if (rc == CURLE_OK) {
        rc = curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &r->status);
    }
    s->curl = fb_curl_renew(curl);
    if (rc == CURLE_OK) {
        read_reply(&in.body, r);
    }
    count(s, q, rc, r->status);
    end_span(&span, s, q, rc, r->status);
    if (rc == CURLE_OK && r->status >= 400) {
        fb_log(FB_DEBUG, "Box %s: HTTP %ld %s: %s", q->call, r->status, r->code, r->message);
    }
    free_headers(headers);
    fb_buf_deinit(&in.body);
    return rc;
}

/* ---- what an answer means ---- */

enum verdict { DONE, PASSING_UNDONE, PASSING_UNKNOWN, TOKEN, FINAL };

static enum fb_status network_error(const struct box_request *q, CURLcode rc, struct fb_error *err)
{
    bool is_tls = rc == CURLE_PEER_FAILED_VERIFICATION || rc == CURLE_SSL_CACERT_BADFILE;
    return fb_error_set(err, is_tls ? FB_CONFIG : FB_NETWORK, "Box %s: %s%s", q->call,
                        curl_easy_strerror(rc),
                        is_tls ? "; check the machine's CA certificates and its clock" : "");
}

static enum verdict judge_network(const struct box_request *q, CURLcode rc, struct fb_error *err)
{
    (void)network_error(q, rc, err);
    switch (rc) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
        return PASSING_UNDONE;
    case CURLE_ABORTED_BY_CALLBACK: /* our own side could not read the body */
    case CURLE_FAILED_INIT:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return FINAL;
    default:
        return PASSING_UNKNOWN;
    }
}

static enum fb_status forbidden(const struct box_request *q, const struct box_reply *r,
                                struct fb_error *err)
{
    if (strcmp(r->code, "storage_limit_exceeded") == 0) {
        return fb_error_set(
            err, FB_NO_SPACE,
            "Box %s: the storage of the Box user is full; raise its quota (PUT /users: "
            "space_amount) or empty its trash",
            q->call);
    }
    if (strcmp(r->code, "insufficient_scope") == 0) {
        return fb_error_set(
            err, FB_CONFIG,
            "Box %s: the app lacks a scope (insufficient_scope); give it \"Write all files "
            "and folders\" and authorise it again in the Admin Console",
            q->call);
    }
    return fb_error_set(err, FB_DENIED, "Box %s: not allowed (HTTP 403 %s, request %s)", q->call,
                        r->code[0] != '\0' ? r->code : "without a code", r->request_id);
}

static bool is_callers(long status)
{
    return (status >= 200 && status < 300) || status == 400 || status == 404 || status == 409 ||
           status == 410 || status == 412 || status == 416;
}

static enum verdict judge(const struct box_request *q, const struct box_reply *r,
                          struct fb_error *err)
{
    const long status = r->status;
    if (status == 409 && (strcmp(r->code, "operation_blocked_temporary") == 0 ||
                          strcmp(r->code, "name_temporarily_reserved") == 0)) {
        (void)fb_error_set(err, FB_AGAIN, "Box %s: %s", q->call, r->code);
        return PASSING_UNDONE;
    }
    if (status == 200 || status == 201) {
        /* Half an answer is none: what Box did is not known. */
        if (r->json == NULL) {
            (void)fb_error_set(err, FB_NETWORK, "Box %s: HTTP %ld without JSON", q->call, status);
            return PASSING_UNKNOWN;
        }
        return DONE;
    }
    if (is_callers(status)) {
        return DONE;
    }
    if (status == 401) {
        (void)fb_error_set(
            err, FB_CONFIG,
            "Box %s: a fresh token is refused (HTTP 401); check that the app is enabled and "
            "authorised in the Admin Console",
            q->call);
        return TOKEN;
    }
    if (status == 403) {
        (void)forbidden(q, r, err);
        return FINAL;
    }
    if (status == 507) {
        (void)fb_error_set(
            err, FB_NO_SPACE,
            "Box %s: the storage is full (HTTP 507); raise the quota of the Box user", q->call);
        return FINAL;
    }
    if (status == 413) {
        (void)fb_error_set(err, FB_TOO_BIG,
                           "Box %s: the file is larger than the plan allows (HTTP 413)", q->call);
        return FINAL;
    }
    if (status == 429 || status == 408 || status >= 500 || status < 400) {
        (void)fb_error_set(err, FB_AGAIN, "Box %s: HTTP %ld %s", q->call, status, r->code);
        return status == 429 ? PASSING_UNDONE : PASSING_UNKNOWN;
    }
    (void)box_unexpected(q, r, err);
    return FINAL;
}

enum fb_status box_unexpected(const struct box_request *q, const struct box_reply *r,
                              struct fb_error *err)
{
    if (r->status < 400) {
        return fb_error_set(err, FB_AGAIN, "Box %s: HTTP %ld with an answer that was not expected",
                            q->call, r->status);
    }
    return fb_error_set(err, FB_DENIED, "Box %s: refused (HTTP %ld %s, request %s)", q->call,
                        r->status, r->code[0] != '\0' ? r->code : "without a code", r->request_id);
}

bool box_is_passing(enum fb_status status)
{
    return status == FB_AGAIN || status == FB_NETWORK;
}

/* ---- pauses ---- */

static int64_t pause_ms(int attempt, int64_t asked_ms)
{
    if (asked_ms >= 0) {
        return asked_ms;
    }
    int64_t base = box_times.backoff_ms << (attempt < 6 ? attempt - 1 : 5);
    int64_t ms = base / 2 + (int64_t)fb_random_below((uint64_t)base + 1);
    return ms < MAX_PAUSE_MS ? ms : MAX_PAUSE_MS;
}

bool box_backoff(int attempt, int64_t asked_ms)
{
    int64_t ms = pause_ms(attempt, asked_ms);
    return ms <= MAX_PAUSE_MS && box_sleep(ms);
}

/* ---- a call ---- */

struct attempt {
    char *token;
    bool has_renewed;
    int64_t paused_ms;
    int number;
};

static enum fb_status try_once(struct storage_session *s, const struct box_request *q,
                               const char *json, struct attempt *a, struct box_reply *r,
                               enum verdict *verdict_r, struct fb_error *err)
{
    *verdict_r = FINAL;
    enum fb_status st =
        box_limit_take(s, q->user, q->is_upload ? BOX_LIMIT_UPLOADS : BOX_LIMIT_CALLS, err);
    if (st == FB_OK) {
        st = box_auth_token(s->auth, q->user, &a->token, err);
    }
    if (st != FB_OK) {
        return st;
    }
    CURLcode rc = perform(s, q, a->token, json, r);
    *verdict_r = rc == CURLE_OK ? judge(q, r, err) : judge_network(q, rc, err);
    if (rc == CURLE_OK && r->status < 500 && r->status != 408) {
        storage_away_tell(s->storage->name, true);
    }
    if (*verdict_r == TOKEN) {
        box_auth_drop(s->auth, q->user, a->token);
        *verdict_r = a->has_renewed ? FINAL : TOKEN;
        a->has_renewed = true;
    }
    explicit_bzero(a->token, strlen(a->token));
    free(a->token);
    a->token = NULL;
    if (r->status == 429) {
        box_limit_pause(s, q->user, pause_ms(a->number, r->retry_after_ms));
    }
    return *verdict_r == DONE ? FB_OK : err->status;
}

/* What the next call of anybody would meet, too. */
static bool is_as_if_away(enum fb_status st, enum verdict verdict, const struct box_reply *r)
{
    bool is_asked = verdict == PASSING_UNDONE || verdict == PASSING_UNKNOWN;
    return is_asked ? r->status == 0 || r->status == 408 || r->status >= 500
                    : st == FB_NETWORK && r->status == 0; /* no token */
}

/* Others need the thread: to wait for a storage that is down is the queue's business. */
static bool is_crowded(const struct storage_session *s, const struct box_reply *r)
{
    bool ignored = true;
    bool has_answer = r->status > 0 && r->status < 500;
    return !has_answer && (storage_away_is_down(s->storage->name) ||
                           storage_away_must_yield(s->storage->name, INT64_MAX, &ignored));
}

enum fb_status box_call(struct storage_session *s, const struct box_request *q, struct box_reply *r,
                        struct fb_error *err)
{
    struct fb_error own = {0};
    struct attempt a = {0};
    enum verdict verdict = FINAL;
    enum fb_status st = FB_OK;
    *r = (struct box_reply){.retry_after_ms = -1};
    if (!box_url_is_trusted(s, q->url)) {
        return fb_error_set(
            err, FB_DENIED,
            "Box %s: the address is neither Box's nor the policy's; the token is not sent "
            "there",
            q->call);
    }
    char *json = q->body != NULL ? json_dumps(q->body, JSON_COMPACT) : NULL;
    if (q->body != NULL && json == NULL) {
        return fb_error_set(err, FB_BUG, "Box %s: the request cannot be written as JSON", q->call);
    }
    for (;;) {
        a.number++;
        box_reply_deinit(r);
        st = try_once(s, q, json, &a, r, &verdict, &own);
        bool repeats = verdict == TOKEN || verdict == PASSING_UNDONE ||
                       (verdict == PASSING_UNKNOWN && q->is_safe);
        if (!repeats || a.number >= MAX_TRIES || is_crowded(s, r)) {
            break;
        }
        int64_t ms = verdict == TOKEN ? 0 : pause_ms(a.number, r->retry_after_ms);
        a.paused_ms += ms;
        if (a.paused_ms > box_times.patience_ms || !box_sleep(ms)) {
            break;
        }
    }
    free(json);
    if (is_as_if_away(st, verdict, r)) {
        storage_away_tell(s->storage->name, false);
    }
    if (st != FB_OK && err != NULL) {
        *err = own;
    }
    return st;
}
