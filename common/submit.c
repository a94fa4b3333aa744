/* SPDX-License-Identifier: Apache-2.0 */
#include "common/submit.h"

#include <curl/curl.h>
#include <jansson.h>
#include <pthread.h>
#include <string.h>

#include "common/config.h"

#define MAX_REPLY  65536
#define MAX_REASON 200
#define STALL_S    60L
#define HTTP_BUSY  503
#define HTTP_TAKEN 202
#define MAX_HEADER 4096

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool is_curl_ready;

static void prepare_curl(void)
{
    is_curl_ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

void fb_submit_url(const char *listener, char url_r[FB_SUBMIT_URL_SIZE])
{
    char host[256];
    uint16_t port = 0;
    bool is_everywhere = fb_host_port(listener, host, sizeof host, &port) && host[0] == '\0';
    (void)snprintf(url_r, FB_SUBMIT_URL_SIZE, "http://%s%s", is_everywhere ? "127.0.0.1" : "",
                   listener);
}

bool fb_submit_is_one_line(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f) {
            return false;
        }
    }
    return true;
}

static size_t take_reply(char *data, size_t size, size_t count, void *ctx)
{
    return fb_buf_add(ctx, data, size * count) == FB_OK ? size * count : 0;
}

static bool add_header(struct curl_slist **list, const char *name, const char *value)
{
    char line[MAX_HEADER];
    int n = snprintf(line, sizeof line, "%s%s", name, value);
    struct curl_slist *longer =
        n > 0 && (size_t)n < sizeof line ? curl_slist_append(*list, line) : NULL;
    explicit_bzero(line, sizeof line); /* the token */
    if (longer == NULL) {
        return false;
    }
    *list = longer;
    return true;
}

static bool make_headers(const struct fb_submit *s, struct curl_slist **list)
{
    bool ok = add_header(list, "Content-Type: ", "message/rfc822") &&
              add_header(list, "Authorization: Bearer ", s->token) &&
              add_header(list, "X-Mail-From: ", s->from[0] != '\0' ? s->from : "<>") &&
              add_header(list, "Expect:", "");
    for (size_t i = 0; i < s->to_count && ok; i++) {
        ok = add_header(list, "X-Rcpt-To: ", s->to[i]);
    }
    return ok;
}

/* No proxy: ingest is one of ours, and its token is for nobody else. */
static bool prepare(CURL *curl, const struct fb_submit *s, struct fb_buf *reply,
                    struct curl_slist **headers)
{
    char url[FB_SUBMIT_URL_SIZE + 16];
    (void)snprintf(url, sizeof url, "%s/v1/messages", s->url);
    uint64_t size = s->file != NULL ? s->size : s->mail.len;
    bool ok = make_headers(s, headers) && curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_POST, 1L) == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)size) == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_HTTPHEADER, *headers) == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_NOPROXY, "*") == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)s->connect_ms) == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)s->total_ms) == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L) == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, STALL_S) == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_reply) == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_WRITEDATA, reply) == CURLE_OK;
    if (s->file != NULL) {
        return ok && curl_easy_setopt(curl, CURLOPT_READDATA, s->file) == CURLE_OK;
    }
    const char *bytes = s->mail.len > 0 ? (const char *)s->mail.ptr : "";
    return ok && curl_easy_setopt(curl, CURLOPT_POSTFIELDS, bytes) == CURLE_OK;
}

/* What ingest answered. */
static enum fb_status judge(CURL *curl, const struct fb_buf *reply, char id_r[FB_ID_SIZE],
                            struct fb_error *err)
{
    long code = 0;
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &code);
    json_t *json =
        reply->len > 0 ? json_loadb((const char *)reply->ptr, reply->len, 0, NULL) : NULL;
    const char *id = json_string_value(json_object_get(json, "id"));
    const char *why = json_string_value(json_object_get(json_object_get(json, "error"), "message"));
    enum fb_status status = FB_OK;
    if (code == HTTP_TAKEN && id != NULL && fb_id_is_valid(id)) {
        memcpy(id_r, id, FB_ID_SIZE);
    } else {
        status =
            fb_error_set(err, code == HTTP_BUSY ? FB_AGAIN : FB_DENIED, "ingest answered %ld: %.*s",
                         code, MAX_REASON, why != NULL ? why : "no reason given");
    }
    json_decref(json);
    return status;
}

static bool are_words_good(const struct fb_submit *s)
{
    bool ok = fb_submit_is_one_line(s->from) && fb_submit_is_one_line(s->token);
    for (size_t i = 0; i < s->to_count && ok; i++) {
        ok = fb_submit_is_one_line(s->to[i]);
    }
    return ok;
}

/* Before the last byte of the mail was sent ingest cannot have taken it. */
static bool has_sent_all(CURL *curl, const struct fb_submit *s)
{
    curl_off_t sent = 0;
    uint64_t size = s->file != NULL ? s->size : s->mail.len;
    return curl_easy_getinfo(curl, CURLINFO_SIZE_UPLOAD_T, &sent) != CURLE_OK ||
           (uint64_t)sent >= size;
}

enum fb_status fb_submit_mail(const struct fb_submit *submit, char id_r[FB_ID_SIZE],
                              bool *is_unsure_r, struct fb_error *err)
{
    struct curl_slist *headers = NULL;
    struct fb_buf reply;
    enum fb_status status = FB_OK;
    *is_unsure_r = false;
    if (!are_words_good(submit)) {
        return fb_error_set(err, FB_INVALID, "an address or the token holds a control character");
    }
    (void)pthread_once(&once, prepare_curl);
    FB_ASSERT(is_curl_ready);
    fb_buf_init(&reply, MAX_REPLY);
    CURL *curl = curl_easy_init();
    FB_ASSERT(curl != NULL);
    CURLcode rc =
        prepare(curl, submit, &reply, &headers) ? curl_easy_perform(curl) : CURLE_FAILED_INIT;
    if (rc == CURLE_OK) {
        status = judge(curl, &reply, id_r, err);
    } else {
        *is_unsure_r = rc != CURLE_FAILED_INIT && has_sent_all(curl, submit);
        const char *where = strstr(submit->url, "://");
        status = fb_error_set(err, FB_NETWORK, "ingest at %s: %s; is fumibako-ingest running?",
                              where != NULL ? where + 3 : submit->url, curl_easy_strerror(rc));
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    fb_buf_deinit(&reply);
    return status;
}
