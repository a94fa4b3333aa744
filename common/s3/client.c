/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening and closing a client: where the bucket is, and the connections that wait for use.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/crypto.h"
#include "common/curl_handle.h"
#include "common/s3/internal.h"

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static CURLcode curl_ready = CURLE_FAILED_INIT;

static void start_curl(void)
{
    curl_ready = curl_global_init(CURL_GLOBAL_DEFAULT);
}

enum fb_status fb_s3_encode(const char *text, bool keeps_slash, struct fb_buf *out)
{
    static const char hex[] = "0123456789ABCDEF";
    enum fb_status s = FB_OK;
    for (const char *p = text; *p != '\0' && s == FB_OK; p++) {
        unsigned char c = (unsigned char)*p;
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
        if (is_plain || (c == '/' && keeps_slash)) {
            s = fb_buf_add_char(out, (char)c);
        } else {
            char escaped[4] = {'%', hex[c >> 4], hex[c & 15], '\0'};
            s = fb_buf_add_str(out, escaped);
        }
    }
    return s;
}

static bool is_bucket(const char *name)
{
    size_t len = strlen(name);
    return len >= 3 && len <= 63 && name[0] != '.' && name[0] != '-' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.-") == len;
}

/* A prefix without empty or dotted parts: on its way through proxies it would become another. */
static bool is_prefix(const char *p)
{
    if (strspn(p, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/") !=
            strlen(p) ||
        strstr(p, "//") != NULL) {
        return false;
    }
    for (const char *at = p; at != NULL && *at != '\0'; at = strchr(at, '/')) {
        at += *at == '/' ? 1 : 0;
        if (*at == '.' && (at[1] == '/' || at[1] == '\0' || at[1] == '.')) {
            return false;
        }
    }
    return true;
}

static enum fb_status parse_url(struct fb_s3 *s3, const char *url, enum fb_s3_style *style,
                                struct fb_error *err)
{
    static const char scheme[] = "s3://";
    char text[700];
    int n = snprintf(text, sizeof text, "%s", url != NULL ? url : "");
    if (n < (int)sizeof scheme || (size_t)n >= sizeof text ||
        strncmp(text, scheme, sizeof scheme - 1) != 0) {
        return fb_error_set(err, FB_CONFIG, "an S3 url is s3://BUCKET/PREFIX");
    }
    char *bucket = text + sizeof scheme - 1;
    char *query = strchr(bucket, '?');
    if (query != NULL) {
        *query++ = '\0';
        if (strcmp(query, "style=path") == 0) {
            *style = FB_S3_STYLE_PATH;
        } else if (strcmp(query, "style=virtual") == 0) {
            *style = FB_S3_STYLE_VIRTUAL;
        } else {
            return fb_error_set(err, FB_CONFIG,
                                "an S3 url may end with ?style=path or ?style=virtual, not ?%s",
                                query);
        }
    }
    char *prefix = strchr(bucket, '/');
    if (prefix != NULL) {
        *prefix++ = '\0';
    }
    if (!is_bucket(bucket)) {
        return fb_error_set(err, FB_CONFIG, "%s is not the name of an S3 bucket", bucket);
    }
    if (prefix == NULL) {
        prefix = bucket + strlen(bucket);
    }
    size_t len = strlen(prefix);
    if (len > sizeof s3->prefix - 2 || prefix[0] == '/' || !is_prefix(prefix)) {
        return fb_error_set(err, FB_CONFIG,
                            "the prefix of an S3 url must be of A-Z a-z 0-9 - . _ ~ and single /");
    }
    memcpy(s3->bucket, bucket, strlen(bucket) + 1);
    (void)snprintf(s3->prefix, sizeof s3->prefix, "%s%s", prefix,
                   len > 0 && prefix[len - 1] != '/' ? "/" : "");
    return FB_OK;
}

static enum fb_status set_origin(struct fb_s3 *s3, const struct fb_s3_settings *settings,
                                 struct fb_error *err)
{
    enum fb_s3_style style = s3->options.style;
    char endpoint[600];
    if (style == FB_S3_STYLE_AUTO) {
        style = settings->style;
    }
    if (style == FB_S3_STYLE_AUTO) {
        /* A dot in the name does not fit the certificate of AWS. */
        style = settings->endpoint[0] != '\0' || strchr(s3->bucket, '.') != NULL
                    ? FB_S3_STYLE_PATH
                    : FB_S3_STYLE_VIRTUAL;
    }
    (void)snprintf(endpoint, sizeof endpoint, "%s", settings->endpoint);
    if (endpoint[0] == '\0') {
        (void)snprintf(endpoint, sizeof endpoint, "https://s3.%s.amazonaws.com%s", settings->region,
                       strncmp(settings->region, "cn-", 3) == 0 ? ".cn" : "");
    }
    for (size_t len = strlen(endpoint); len > 0 && endpoint[len - 1] == '/'; len--) {
        endpoint[len - 1] = '\0';
    }
    const char *host = strstr(endpoint, "://") + 3;
    int n = style == FB_S3_STYLE_PATH
                ? snprintf(s3->origin, sizeof s3->origin, "%s/%s/", endpoint, s3->bucket)
                : snprintf(s3->origin, sizeof s3->origin, "%.*s%s.%s/", (int)(host - endpoint),
                           endpoint, s3->bucket, host);
    return n > 0 && (size_t)n < sizeof s3->origin && host[0] != '\0'
               ? FB_OK
               : fb_error_set(err, FB_CONFIG, "the S3 endpoint %s is not usable", endpoint);
}

static void set_defaults(struct fb_s3_options *o)
{
    o->deadline_ms = o->deadline_ms > 0 ? o->deadline_ms : 60000;
    o->connect_ms = o->connect_ms > 0 ? o->connect_ms : 10000;
    o->stall_ms = o->stall_ms > 0 ? o->stall_ms : 20000;
    o->backoff_ms = o->backoff_ms > 0 ? o->backoff_ms : 100;
    o->tries = o->tries > 0 ? o->tries : 10;
}

enum fb_status fb_s3_open(const char *url, const struct fb_s3_options *options, struct fb_s3 **s3_r,
                          struct fb_error *err)
{
    struct fb_s3_settings settings;
    (void)pthread_once(&curl_once, start_curl);
    if (curl_ready != CURLE_OK) {
        return fb_error_set(err, FB_NO_SPACE, "libcurl does not start");
    }
    struct fb_s3 *s3 = fb_xcalloc(1, sizeof *s3);
    s3->options = options != NULL ? *options : (struct fb_s3_options){0};
    set_defaults(&s3->options);
    FB_ASSERT(pthread_mutex_init(&s3->lock, NULL) == 0);
    enum fb_status s = parse_url(s3, url, &s3->options.style, err);
    if (s == FB_OK) {
        s = fb_s3_settings_load(&settings, err);
    }
    if (s == FB_OK) {
        memcpy(s3->region, settings.region, sizeof s3->region);
        memcpy(s3->ca_bundle, settings.ca_bundle, sizeof s3->ca_bundle);
        (void)snprintf(s3->sigv4, sizeof s3->sigv4, "aws:amz:%s:s3", s3->region);
        s = set_origin(s3, &settings, err);
    }
    if (s != FB_OK) {
        fb_s3_close(&s3);
        return s;
    }
    *s3_r = s3;
    return FB_OK;
}

void fb_s3_close(struct fb_s3 **s3_ptr)
{
    struct fb_s3 *s3 = *s3_ptr;
    if (s3 == NULL) {
        return;
    }
    for (size_t i = 0; i < s3->idle_count; i++) {
        fb_curl_free(s3->idle[i]);
    }
    FB_ASSERT(pthread_mutex_destroy(&s3->lock) == 0);
    fb_wipe(&s3->credentials, sizeof s3->credentials);
    free(s3);
    *s3_ptr = NULL;
}

int64_t fb_s3_now_ms(struct fb_s3 *s3)
{
    (void)pthread_mutex_lock(&s3->lock);
    int64_t offset = s3->clock_offset_ms;
    (void)pthread_mutex_unlock(&s3->lock);
    return fb_now_ms() + offset;
}

CURL *fb_s3_handle_take(struct fb_s3 *s3)
{
    CURL *curl = NULL;
    (void)pthread_mutex_lock(&s3->lock);
    if (s3->idle_count > 0) {
        curl = s3->idle[--s3->idle_count];
    }
    (void)pthread_mutex_unlock(&s3->lock);
    return curl != NULL ? curl : fb_curl_new();
}

void fb_s3_handle_give(struct fb_s3 *s3, CURL *curl, bool is_good)
{
    curl = fb_curl_renew(curl); /* forgets the secret as well; the connection stays */
    (void)pthread_mutex_lock(&s3->lock);
    if (is_good && s3->idle_count < FB_S3_MAX_IDLE) {
        s3->idle[s3->idle_count++] = curl;
        curl = NULL;
    }
    (void)pthread_mutex_unlock(&s3->lock);
    if (curl != NULL) {
        fb_curl_free(curl);
    }
}

bool fb_s3_limits(CURL *curl, const struct fb_s3 *s3, int64_t whole_ms)
{
    /* Redirects are not followed: the signature is for one host.  Certificates are checked, which
     * is libcurl's default and stays so. */
    return curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)s3->options.connect_ms) ==
               CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME,
                            (long)((s3->options.stall_ms + 999) / 1000)) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)whole_ms) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, 262144L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, 262144L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_USERAGENT, "fumibako/" FB_VERSION) == CURLE_OK &&
           (s3->ca_bundle[0] == '\0' ||
            curl_easy_setopt(curl, CURLOPT_CAINFO, s3->ca_bundle) == CURLE_OK);
}
