/* SPDX-License-Identifier: Apache-2.0
 *
 * One call with its retries.
 *
 * What libcurl's signing (CURLOPT_AWS_SIGV4) needs from us, so that versions 7.88 (Debian 12) to
 * 8.14 (Debian 13) sign the same and right:
 *
 * - x-amz-content-sha256 is always set by us: 7.88 signs the hash of nothing for an upload
 * - the query comes sorted and percent-encoded, each name with its "=": 7.88 does neither, 8.x does
 *   it again to the same end
 * - the path comes percent-encoded but for unreserved characters: 8.8 signs "=" and the like
 *   otherwise than it sends them
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/crypto.h"
#include "common/id.h"
#include "common/metrics.h"
#include "common/s3/internal.h"

#define MAX_URL      8192U
#define MAX_PAUSE_MS 10000
#define MS_PER_MIB   1000 /* a body may take that long, on top of the deadline */

struct transfer {
    struct fb_s3 *s3;
    const struct fb_s3_call *call;
    struct fb_s3_reply *reply;
    size_t piece; /* of the body that is sent */
    size_t at;
};

/* ---- the body that goes out ---- */

static size_t send_body(char *out, size_t size, size_t count, void *ctx)
{
    struct transfer *t = ctx;
    size_t room = size * count;
    size_t done = 0;
    while (done < room && t->piece < t->call->body_count) {
        struct fb_slice left = fb_slice_sub(t->call->body[t->piece], t->at, SIZE_MAX);
        size_t take = left.len < room - done ? left.len : room - done;
        if (take > 0) {
            memcpy(out + done, left.ptr, take);
        }
        done += take;
        t->at += take;
        if (take == left.len) {
            t->piece++;
            t->at = 0;
        }
    }
    return done;
}

static int rewind_body(void *ctx, curl_off_t offset, int origin)
{
    struct transfer *t = ctx;
    if (offset != 0 || origin != SEEK_SET) {
        return CURL_SEEKFUNC_CANTSEEK;
    }
    t->piece = 0;
    t->at = 0;
    return CURL_SEEKFUNC_OK;
}

static uint64_t body_size(const struct fb_s3_call *call)
{
    uint64_t size = 0;
    for (size_t i = 0; i < call->body_count; i++) {
        size += call->body[i].len;
    }
    return size;
}

static void body_sha256(const struct fb_s3_call *call, char hex[2 * FB_SHA256_SIZE + 1])
{
    uint8_t digest[FB_SHA256_SIZE];
    struct fb_hash hash;
    fb_hash_init(&hash, FB_HASH_SHA256);
    for (size_t i = 0; i < call->body_count; i++) {
        fb_hash_update(&hash, call->body[i].ptr, call->body[i].len);
    }
    fb_hash_final(&hash, digest);
    fb_hash_deinit(&hash);
    fb_hex(digest, sizeof digest, hex);
}

/* ---- the answer ---- */

static size_t take_header(char *data, size_t size, size_t count, void *ctx)
{
    struct transfer *t = ctx;
    fb_s3_reply_header(t->s3, t->reply, fb_slice_of(data, size * count));
    return size * count;
}

static size_t take_body(char *data, size_t size, size_t count, void *ctx)
{
    struct transfer *t = ctx;
    size_t len = size * count;
    bool is_data = t->call->out != NULL && t->reply->status >= 200 && t->reply->status < 300;
    if (is_data) {
        if (len > t->call->out_size - (size_t)t->reply->length) {
            return 0;
        }
        memcpy(t->call->out + t->reply->length, data, len);
        t->reply->length += len;
        return len;
    }
    return fb_buf_add(&t->reply->body, data, len) == FB_OK ? len : 0;
}

static void reset_reply(struct fb_s3_reply *r)
{
    struct fb_buf body = r->body;
    unsigned tries = r->tries;
    fb_buf_clear(&body);
    *r = (struct fb_s3_reply){.body = body, .tries = tries};
}

void fb_s3_reply_deinit(struct fb_s3_reply *reply)
{
    fb_buf_deinit(&reply->body);
}

/* ---- one try ---- */

static bool add_line(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*list, line);
    if (longer == NULL) {
        return false;
    }
    *list = longer;
    return true;
}

static struct curl_slist *make_headers(const struct fb_s3_call *call, const char *sha256,
                                       const struct fb_s3_credentials *c)
{
    struct curl_slist *list = NULL;
    char *line = fb_xcalloc(1, FB_S3_TOKEN + 64);
    (void)snprintf(line, FB_S3_TOKEN + 64, "x-amz-content-sha256: %s", sha256);
    bool ok = add_line(&list, line) && add_line(&list, "Expect:");
    if (ok && call->has_body) {
        ok = add_line(&list, "Content-Type: application/octet-stream");
    }
    if (ok && c->token[0] != '\0') {
        (void)snprintf(line, FB_S3_TOKEN + 64, "x-amz-security-token: %s", c->token);
        ok = add_line(&list, line);
    }
    for (size_t i = 0; ok && call->headers != NULL && call->headers[i] != NULL; i++) {
        ok = add_line(&list, call->headers[i]);
    }
    fb_wipe(line, FB_S3_TOKEN + 64);
    free(line);
    if (!ok) {
        curl_slist_free_all(list);
        return NULL;
    }
    return list;
}

static bool set_method(CURL *curl, struct transfer *t)
{
    const struct fb_s3_call *call = t->call;
    if (call->has_body) {
        return curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L) == CURLE_OK &&
               curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call->method) == CURLE_OK &&
               curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)body_size(call)) ==
                   CURLE_OK &&
               curl_easy_setopt(curl, CURLOPT_READFUNCTION, send_body) == CURLE_OK &&
               curl_easy_setopt(curl, CURLOPT_READDATA, t) == CURLE_OK &&
               curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, rewind_body) == CURLE_OK &&
               curl_easy_setopt(curl, CURLOPT_SEEKDATA, t) == CURLE_OK;
    }
    if (strcmp(call->method, "HEAD") == 0) {
        return curl_easy_setopt(curl, CURLOPT_NOBODY, 1L) == CURLE_OK;
    }
    if (strcmp(call->method, "GET") == 0) {
        return curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L) == CURLE_OK;
    }
    return curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call->method) == CURLE_OK;
}

static CURLcode perform(struct transfer *t, const char *url, const char *sha256,
                        const struct fb_s3_credentials *c, int64_t time_ms)
{
    struct curl_slist *headers = make_headers(t->call, sha256, c);
    CURL *curl = fb_s3_handle_take(t->s3);
    t->piece = 0;
    t->at = 0;
    bool ok = headers != NULL && curl != NULL && fb_s3_limits(curl, t->s3, time_ms) &&
              set_method(curl, t) && curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_AWS_SIGV4, t->s3->sigv4) == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_USERNAME, c->key_id) == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_PASSWORD, c->secret) == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers) == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body) == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_WRITEDATA, t) == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header) == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_HEADERDATA, t) == CURLE_OK;
    CURLcode rc = ok ? curl_easy_perform(curl) : CURLE_FAILED_INIT;
    if (curl != NULL) {
        fb_s3_handle_give(t->s3, curl, rc == CURLE_OK);
    }
    for (struct curl_slist *h = headers; h != NULL; h = h->next) {
        if (strncmp(h->data, "x-amz-security-token:", 21) == 0) {
            fb_wipe(h->data, strlen(h->data));
        }
    }
    curl_slist_free_all(headers);
    return rc;
}

/* ---- the call ---- */

static enum fb_status make_url(const struct fb_s3 *s3, const struct fb_s3_call *call,
                               struct fb_buf *url, struct fb_error *err)
{
    enum fb_status s = fb_buf_add_str(url, s3->origin);
    if (s == FB_OK && call->key != NULL) {
        if (call->key[0] == '\0' ||
            strlen(s3->prefix) + strnlen(call->key, FB_S3_KEY_SIZE) >= FB_S3_KEY_SIZE) {
            return fb_error_set(err, FB_INVALID, "not a key for S3");
        }
        s = fb_s3_encode(s3->prefix, true, url);
        s = s == FB_OK ? fb_s3_encode(call->key, true, url) : s;
    }
    if (s == FB_OK && call->query != NULL && call->query[0] != '\0') {
        s = fb_buf_printf(url, "?%s", call->query);
    }
    return s == FB_OK ? FB_OK : fb_error_set(err, s, "the address of an S3 object is too long");
}

static void count(const struct fb_s3_call *call, CURLcode rc, long status)
{
    char labels[120];
    if (rc == CURLE_OK) {
        (void)snprintf(labels, sizeof labels, "call=\"%s\",status=\"%ld\"", call->name, status);
    } else {
        (void)snprintf(labels, sizeof labels, "call=\"%s\",status=\"%s\"", call->name,
                       rc == CURLE_OPERATION_TIMEDOUT ? "timeout" : "network");
    }
    fb_metric_add("fumibako_s3_requests_total", labels, 1);
}

/* Full jitter: from nothing to twice as much each time; what the store asks for is the least. */
static int64_t pause_ms(const struct fb_s3 *s3, unsigned tries, int64_t asked_ms)
{
    int64_t top = s3->options.backoff_ms << (tries < 10 ? tries - 1 : 9);
    top = top < MAX_PAUSE_MS ? top : MAX_PAUSE_MS;
    return asked_ms + (int64_t)fb_random_below((uint64_t)top + 1);
}

static void sleep_ms(int64_t ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    (void)nanosleep(&t, NULL); /* woken early: the next try comes early */
}

static enum fb_s3_verdict try_once(struct fb_s3 *s3, const struct fb_s3_call *call, const char *url,
                                   const char *sha256, int64_t time_ms, bool *has_renewed,
                                   struct fb_s3_reply *reply, enum fb_status *status_r,
                                   struct fb_error *err)
{
    struct fb_s3_credentials c = {0};
    struct transfer t = {.s3 = s3, .call = call, .reply = reply};
    enum fb_s3_verdict verdict = FB_S3_RETRY;
    *status_r = fb_s3_credentials_get(s3, &c, err);
    if (*status_r != FB_OK) {
        return *status_r == FB_CONFIG ? FB_S3_FINAL : FB_S3_RETRY;
    }
    reset_reply(reply);
    CURLcode rc = perform(&t, url, sha256, &c, time_ms);
    count(call, rc, reply->status);
    if (rc == CURLE_OK) {
        if (reply->status >= 300 || call->is_error_in_200) {
            fb_s3_reply_error(reply);
        }
        verdict = fb_s3_judge(s3, call, reply, status_r, err);
    } else {
        verdict = fb_s3_judge_network(s3, call, rc, status_r, err);
    }
    if (verdict == FB_S3_RENEW) {
        bool may = !*has_renewed && fb_s3_credentials_drop(s3, &c);
        *has_renewed = true;
        verdict = may ? FB_S3_RENEW : FB_S3_FINAL;
    }
    fb_wipe(&c, sizeof c);
    return verdict;
}

enum fb_status fb_s3_perform(struct fb_s3 *s3, const struct fb_s3_call *call,
                             struct fb_s3_reply *reply, struct fb_error *err)
{
    char sha256[2 * FB_SHA256_SIZE + 1];
    struct fb_buf url;
    bool has_renewed = false;
    *reply = (struct fb_s3_reply){0};
    fb_buf_init(&reply->body, FB_S3_MAX_REPLY);
    fb_buf_init(&url, MAX_URL);
    body_sha256(call, sha256);
    uint64_t mib = ((call->has_body ? body_size(call) : 0) + call->out_size) >> 20;
    int64_t end_ms = fb_mono_ms() + s3->options.deadline_ms + (int64_t)mib * MS_PER_MIB;
    enum fb_status status = make_url(s3, call, &url, err);
    while (status == FB_OK) {
        int64_t left = end_ms - fb_mono_ms();
        if (left < 1) {
            left = 1;
        }
        reply->tries++;
        enum fb_s3_verdict verdict =
            try_once(s3, call, fb_buf_str(&url), sha256, left, &has_renewed, reply, &status, err);
        if (verdict == FB_S3_DONE || verdict == FB_S3_FINAL) {
            break;
        }
        if (verdict == FB_S3_RENEW) {
            status = FB_OK;
            continue;
        }
        int64_t ms = pause_ms(s3, reply->tries, reply->retry_after_ms);
        if (reply->tries >= s3->options.tries || fb_mono_ms() + ms >= end_ms) {
            (void)fb_error_prefix(err, "after %u tries", reply->tries);
            break;
        }
        sleep_ms(ms);
        status = FB_OK;
    }
    fb_buf_deinit(&url);
    return status;
}
