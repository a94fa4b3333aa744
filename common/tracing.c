/* SPDX-License-Identifier: Apache-2.0 */
#include "common/tracing.h"

#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/curl_handle.h"
#include "common/log.h"
#include "common/metrics.h"

#define SPANS_MAX    4096 /* waiting for the collector; beyond it the newest are let go */
#define BATCH_MAX    512
#define EVERY_MS     2000
#define STOP_MS      2000
#define POST_MS      5000
#define CONNECT_MS   2000
#define TELL_MS      (10 * 60 * 1000) /* a collector that stays away is told of this often */
#define FIELDS_MAX   12
#define ANSWER_MAX   4096
#define PERCENT      100
#define TRACE_AT     3 /* in a traceparent: 00-<32>-<16>-<2> */
#define SPAN_AT      36
#define FLAGS_AT     53
#define TRACE_DIGITS 32
#define SPAN_DIGITS  16

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    const char *service;
    char *url;           /* of the collector's traces */
    char *authorization; /* header line; NULL = none */
    char instance[33];
    int64_t sample; /* percent */
    json_t *waiting;
    bool is_stopping;
    int64_t told_ms;
    atomic_bool is_on;
} tracing = {.lock = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local const struct fb_span *entered;

static int64_t clock_us(clockid_t clock)
{
    struct timespec t;
    FB_ASSERT(clock_gettime(clock, &t) == 0);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* ---- contexts and spans ---- */

static bool is_chosen(const char *trace)
{
    unsigned digit = (unsigned char)trace[FLAGS_AT + 1];
    return (digit <= '9' ? digit - '0' : digit - 'a' + 10U) % 2 == 1;
}

static void new_span_id(char trace[FB_TRACE_SIZE])
{
    char fresh[FB_TRACE_SIZE];
    fb_trace_new(fresh);
    memcpy(trace + SPAN_AT, fresh + SPAN_AT, SPAN_DIGITS);
}

void fb_tracing_context(const char *parent, char trace_r[FB_TRACE_SIZE])
{
    if (parent != NULL && fb_trace_is_valid(parent)) {
        memcpy(trace_r, parent, FB_TRACE_SIZE);
        new_span_id(trace_r);
        return;
    }
    fb_trace_new(trace_r);
    if (atomic_load(&tracing.is_on) && (int64_t)fb_random_below(PERCENT) >= tracing.sample) {
        trace_r[FLAGS_AT + 1] = '0';
    }
}

static void begin(struct fb_span *span, const char *trace)
{
    memcpy(span->trace, trace, FB_TRACE_SIZE);
    span->begun_us = clock_us(CLOCK_REALTIME);
    span->begun_mono_us = clock_us(CLOCK_MONOTONIC);
}

static bool is_measured(const char *trace)
{
    return atomic_load(&tracing.is_on) && trace != NULL && fb_trace_is_valid(trace) &&
           is_chosen(trace);
}

void fb_span_begin_root(struct fb_span *span, const char *trace, const char *parent)
{
    *span = (struct fb_span){0};
    if (is_measured(trace)) {
        begin(span, trace);
        if (parent != NULL && fb_trace_is_valid(parent)) {
            memcpy(span->parent, parent + SPAN_AT, SPAN_DIGITS);
        }
    }
}

void fb_span_begin(struct fb_span *span, const char *trace)
{
    const char *above = trace == NULL && entered != NULL ? entered->trace : trace;
    *span = (struct fb_span){0};
    if (is_measured(above)) {
        begin(span, above);
        memcpy(span->parent, above + SPAN_AT, SPAN_DIGITS);
        new_span_id(span->trace);
    }
}

void fb_span_enter(const struct fb_span *span)
{
    entered = span;
}

bool fb_span_is_on(const struct fb_span *span)
{
    return span->trace[0] != '\0';
}

static json_t *attribute(const char *key, const char *value)
{
    return json_pack("{s:s, s:{s:s}}", "key", key, "value", "stringValue", value);
}

/* 64-bit numbers are strings in OTLP's JSON. */
static json_t *nanoseconds(int64_t us)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%" PRId64 "000", us);
    return json_string(text);
}

/* NULL when memory ends: the span is let go. */
static json_t *span_json(const struct fb_span *span, const char *name, enum fb_span_kind kind,
                         const char *problem, json_t *attributes)
{
    int64_t took = clock_us(CLOCK_MONOTONIC) - span->begun_mono_us;
    json_t *o = json_pack("{s:s%, s:s%, s:s, s:i, s:o, s:o, s:O, s:{s:i}}", "traceId",
                          span->trace + TRACE_AT, (size_t)TRACE_DIGITS, "spanId",
                          span->trace + SPAN_AT, (size_t)SPAN_DIGITS, "name", name, "kind",
                          (int)kind, "startTimeUnixNano", nanoseconds(span->begun_us),
                          "endTimeUnixNano", nanoseconds(span->begun_us + took), "attributes",
                          attributes, "status", "code", problem != NULL ? 2 : 0);
    if (o != NULL && span->parent[0] != '\0') {
        (void)json_object_set_new(o, "parentSpanId", json_string(span->parent));
    }
    if (o != NULL && problem != NULL) {
        (void)json_object_set_new(json_object_get(o, "status"), "message", json_string(problem));
    }
    return o;
}

void fb_span_end(const struct fb_span *span, const char *name, enum fb_span_kind kind,
                 const char *problem, ...)
{
    if (!fb_span_is_on(span)) {
        return;
    }
    json_t *attributes = json_array();
    va_list fields;
    va_start(fields, problem);
    const char *key = va_arg(fields, const char *);
    for (int i = 0; key != NULL && i < FIELDS_MAX; i++) {
        const char *value = va_arg(fields, const char *);
        if (value != NULL && value[0] != '\0') {
            (void)json_array_append_new(attributes, attribute(key, value));
        }
        key = va_arg(fields, const char *);
    }
    va_end(fields);
    json_t *o = span_json(span, name, kind, problem, attributes);
    json_decref(attributes);
    bool is_kept = false;
    (void)pthread_mutex_lock(&tracing.lock);
    if (o != NULL && tracing.waiting != NULL && json_array_size(tracing.waiting) < SPANS_MAX) {
        is_kept = json_array_append(tracing.waiting, o) == 0;
        if (json_array_size(tracing.waiting) == BATCH_MAX) {
            (void)pthread_cond_signal(&tracing.changed);
        }
    }
    (void)pthread_mutex_unlock(&tracing.lock);
    json_decref(o);
    if (!is_kept) {
        fb_metric_add("fumibako_spans_total", "outcome=\"dropped\"", 1);
    }
}

/* ---- to the collector ---- */

static json_t *document(json_t *spans)
{
    json_t *about = json_pack("[o, o, o]", attribute("service.name", tracing.service),
                              attribute("service.version", FB_VERSION),
                              attribute("service.instance.id", tracing.instance));
    return json_pack("{s:[{s:{s:o}, s:[{s:{s:s, s:s}, s:O}]}]}", "resourceSpans", "resource",
                     "attributes", about, "scopeSpans", "scope", "name", "fumibako", "version",
                     FB_VERSION, "spans", spans);
}

/* Of the answer only the status counts. */
static size_t ignore(char *bytes, size_t size, size_t count, void *ctx)
{
    size_t *seen = ctx;
    (void)bytes;
    *seen += size * count;
    return *seen > ANSWER_MAX ? 0 : size * count;
}

/* One POST; an empty string when it was taken. */
static void post(CURL *curl, const char *body, long timeout_ms, char *why, size_t why_size)
{
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    size_t seen = 0;
    long status = 0;
    if (tracing.authorization != NULL) {
        struct curl_slist *more = curl_slist_append(headers, tracing.authorization);
        headers = more != NULL ? more : headers;
    }
    bool is_set = curl_easy_setopt(curl, CURLOPT_URL, tracing.url) == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body) == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers) == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, timeout_ms) == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS) == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, ignore) == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &seen) == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_USERAGENT, "fumibako/" FB_VERSION) == CURLE_OK;
    CURLcode rc = is_set ? curl_easy_perform(curl) : CURLE_FAILED_INIT;
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    if (status / 100 == 2) {
        why[0] = '\0';
    } else if (rc != CURLE_OK) {
        (void)snprintf(why, why_size, "%s", curl_easy_strerror(rc));
    } else {
        (void)snprintf(why, why_size, "it answered with status %ld", status);
    }
}

static void tell(size_t count, const char *why)
{
    fb_metric_add("fumibako_spans_total",
                  why[0] == '\0' ? "outcome=\"sent\"" : "outcome=\"failed\"", (double)count);
    int64_t now = fb_mono_ms();
    if (why[0] != '\0' && (tracing.told_ms == 0 || now - tracing.told_ms >= TELL_MS)) {
        fb_log(FB_WARN, "the collector of traces does not take spans, they are let go: %s", why);
        tracing.told_ms = now;
    } else if (why[0] == '\0' && tracing.told_ms != 0) {
        fb_log(FB_INFO, "the collector of traces takes spans again");
        tracing.told_ms = 0;
    }
}

static void hand_over(CURL *curl, json_t *spans, long timeout_ms)
{
    char why[256] = "out of memory";
    json_t *o = document(spans);
    char *body = o != NULL ? json_dumps(o, JSON_COMPACT) : NULL;
    if (body != NULL && curl != NULL) {
        post(curl, body, timeout_ms, why, sizeof why);
    }
    tell(json_array_size(spans), why);
    free(body);
    json_decref(o);
}

/* Everything that waits, when there is a batch of it, time has passed, or the end has come. */
static json_t *take(bool *is_last_r)
{
    struct timespec until;
    FB_ASSERT(clock_gettime(CLOCK_MONOTONIC, &until) == 0);
    until.tv_sec += EVERY_MS / 1000;
    (void)pthread_mutex_lock(&tracing.lock);
    int rc = 0;
    while (rc == 0 && !tracing.is_stopping && json_array_size(tracing.waiting) < BATCH_MAX) {
        rc = pthread_cond_timedwait(&tracing.changed, &tracing.lock, &until);
    }
    json_t *spans = tracing.waiting;
    *is_last_r = tracing.is_stopping;
    tracing.waiting = *is_last_r ? NULL : json_array();
    (void)pthread_mutex_unlock(&tracing.lock);
    return spans;
}

static void *run(void *arg)
{
    (void)arg;
    CURL *curl = fb_curl_new();
    for (bool is_last = false; !is_last;) {
        json_t *spans = take(&is_last);
        if (json_array_size(spans) > 0) {
            hand_over(curl, spans, is_last ? STOP_MS : POST_MS);
            curl = curl != NULL ? fb_curl_renew(curl) : fb_curl_new();
        }
        json_decref(spans);
    }
    fb_curl_free(curl);
    return NULL;
}

/* ---- life ---- */

static void release(void)
{
    free(tracing.url);
    if (tracing.authorization != NULL) {
        explicit_bzero(tracing.authorization, strlen(tracing.authorization));
    }
    free(tracing.authorization);
    json_decref(tracing.waiting);
    tracing.url = NULL;
    tracing.authorization = NULL;
    tracing.waiting = NULL;
}

static char *joined(const char *a, const char *b)
{
    size_t size = strlen(a) + strlen(b) + 1;
    char *text = fb_xcalloc(1, size);
    (void)snprintf(text, size, "%s%s", a, b);
    return text;
}

enum fb_status fb_tracing_start(const char *service, const struct fb_config *config,
                                struct fb_error *err)
{
    uint8_t instance[16];
    static const struct fb_counters counters[] = {
        {"fumibako_spans_total", {{"outcome", "sent|failed|dropped"}}}, {NULL, {{NULL, NULL}}}};
    fb_metrics_declare(NULL, counters);
    if (config->tracing.otlp_url == NULL || config->tracing.otlp_url[0] == '\0') {
        return FB_OK;
    }
    fb_random(instance, sizeof instance);
    fb_hex(instance, sizeof instance, tracing.instance);
    tracing.service = service;
    tracing.sample = config->tracing.sample;
    tracing.url = joined(config->tracing.otlp_url, "/v1/traces");
    tracing.authorization = config->tracing.token == NULL
                                ? NULL
                                : joined("Authorization: Bearer ", config->tracing.token);
    tracing.waiting = json_array();
    tracing.is_stopping = false;
    pthread_condattr_t attributes;
    FB_ASSERT(pthread_condattr_init(&attributes) == 0);
    FB_ASSERT(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    FB_ASSERT(pthread_cond_init(&tracing.changed, &attributes) == 0);
    (void)pthread_condattr_destroy(&attributes);
    int rc = pthread_create(&tracing.thread, NULL, run, NULL);
    if (rc != 0) {
        release();
        return fb_error_errno(err, FB_NO_SPACE, rc, "a thread for traces");
    }
    atomic_store(&tracing.is_on, true);
    return FB_OK;
}

void fb_tracing_stop(void)
{
    if (!atomic_exchange(&tracing.is_on, false)) {
        return;
    }
    (void)pthread_mutex_lock(&tracing.lock);
    tracing.is_stopping = true;
    (void)pthread_cond_signal(&tracing.changed);
    (void)pthread_mutex_unlock(&tracing.lock);
    (void)pthread_join(tracing.thread, NULL);
    (void)pthread_cond_destroy(&tracing.changed);
    release();
}
