/* SPDX-License-Identifier: Apache-2.0
 *
 * The client's current credentials: from the environment, a web identity (STS), the files, the
 * container's agent, or the machine's own, in the order of the AWS tools.  Those that end are
 * fetched anew some minutes before; those that the store refuses, at once (files are rewritten by
 * rotation).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/crypto.h"
#include "common/s3/internal.h"

#define EARLY_MS     300000 /* before they end */
#define AGAIN_MS     5000   /* between two fetches because of refusals */
#define LOOK_MS      10000  /* between two before the end: some agents have no newer ones yet */
#define FETCH_MS     15000
#define MAX_ANSWER   ((size_t)256 << 10)
#define MAX_IDENTITY ((size_t)64 << 10)

static size_t take_body(char *data, size_t size, size_t count, void *ctx)
{
    return fb_buf_add(ctx, data, size * count) == FB_OK ? size * count : 0;
}

static struct curl_slist *header_lines(const struct fb_s3_fetch *f)
{
    struct curl_slist *list = NULL;
    for (size_t i = 0; i < 2 && f->headers[i][0] != NULL; i++) {
        char line[FB_S3_TOKEN];
        int n = snprintf(line, sizeof line, "%s: %s", f->headers[i][0], f->headers[i][1]);
        struct curl_slist *longer =
            n > 0 && (size_t)n < sizeof line ? curl_slist_append(list, line) : NULL;
        fb_wipe(line, sizeof line);
        if (longer == NULL) {
            curl_slist_free_all(list);
            return NULL;
        }
        list = longer;
    }
    return list;
}

enum fb_status fb_s3_fetch(struct fb_s3 *s3, const struct fb_s3_fetch *f, struct fb_buf *out,
                           struct fb_error *err)
{
    long status = 0;
    struct curl_slist *headers = header_lines(f);
    CURL *curl = fb_s3_handle_take(s3);
    fb_buf_init(out, MAX_ANSWER);
    if (curl == NULL) {
        curl_slist_free_all(headers);
        return fb_error_set(err, FB_NO_SPACE, "no memory for a request to %s", f->what);
    }
    bool ok =
        fb_s3_limits(curl, s3, FETCH_MS) &&
        curl_easy_setopt(curl, CURLOPT_URL, f->url) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_WRITEDATA, out) == CURLE_OK &&
        (f->form == NULL || curl_easy_setopt(curl, CURLOPT_POSTFIELDS, f->form) == CURLE_OK) &&
        (f->method == NULL ||
         curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, f->method) == CURLE_OK) &&
        (f->whole_ms == 0 || curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, f->whole_ms) == CURLE_OK) &&
        (!f->is_local || curl_easy_setopt(curl, CURLOPT_NOPROXY, "*") == CURLE_OK) &&
        (f->headers[0][0] == NULL ||
         (headers != NULL && curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers) == CURLE_OK));
    CURLcode rc = ok ? curl_easy_perform(curl) : CURLE_FAILED_INIT;
    if (rc == CURLE_OK) {
        rc = curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    }
    fb_s3_handle_give(s3, curl, rc == CURLE_OK);
    curl_slist_free_all(headers);
    if (rc != CURLE_OK) {
        return fb_error_set(err, FB_NETWORK, "%s: %s", f->what, curl_easy_strerror(rc));
    }
    if (status != 200) {
        char code[64] = "";
        (void)fb_s3_xml_get(fb_slice_buf(out), "Code", code, sizeof code);
        return fb_error_set(err,
                            status == 404                    ? FB_NOT_FOUND
                            : status >= 500 || status == 429 ? FB_AGAIN
                                                             : FB_CONFIG,
                            "%s refuses credentials for S3 (HTTP %ld %s); check the role and "
                            "what it trusts",
                            f->what, status, code);
    }
    return FB_OK;
}

void fb_s3_wipe_buf(struct fb_buf *b)
{
    if (b->ptr != NULL) {
        fb_wipe(b->ptr, b->cap);
    }
    fb_buf_deinit(b);
}

/* The form of AssumeRoleWithWebIdentity, sealed by nothing but the token itself. */
static enum fb_status web_form(struct fb_slice token, struct fb_buf *form)
{
    const char *session = fb_s3_env("AWS_ROLE_SESSION_NAME");
    char *text = fb_slice_dup_str(fb_slice_trim(token));
    enum fb_status s = text != NULL ? FB_OK : FB_CONFIG;
    const char *const parts[][2] = {
        {"Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=", fb_s3_env("AWS_ROLE_ARN")},
        {"&RoleSessionName=", session != NULL ? session : "fumibako"},
        {"&WebIdentityToken=", text},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts && s == FB_OK; i++) {
        s = fb_buf_add_str(form, parts[i][0]);
        s = s == FB_OK ? fb_s3_encode(parts[i][1], false, form) : s;
    }
    if (text != NULL) {
        fb_wipe(text, strlen(text));
        free(text);
    }
    return s;
}

static enum fb_status from_web(struct fb_s3 *s3, struct fb_s3_credentials *c, struct fb_error *err)
{
    const char *path = fb_s3_env("AWS_WEB_IDENTITY_TOKEN_FILE");
    const char *endpoint = fb_s3_env("AWS_ENDPOINT_URL_STS");
    char url[600];
    char expires[64] = "";
    struct fb_buf token;
    struct fb_buf form;
    struct fb_buf answer;
    if (path == NULL || fb_s3_env("AWS_ROLE_ARN") == NULL) {
        return FB_NOT_FOUND;
    }
    int n = endpoint != NULL
                ? snprintf(url, sizeof url, "%s/", endpoint)
                : snprintf(url, sizeof url, "https://sts.%s.amazonaws.com%s/", s3->region,
                           strncmp(s3->region, "cn-", 3) == 0 ? ".cn" : "");
    if (n < 0 || (size_t)n >= sizeof url) {
        return fb_error_set(err, FB_CONFIG, "AWS_ENDPOINT_URL_STS is too long");
    }
    enum fb_status s = fb_read_file(path, MAX_IDENTITY, &token, err);
    if (s != FB_OK) {
        (void)fb_error_prefix(err, "AWS_WEB_IDENTITY_TOKEN_FILE");
        return FB_CONFIG;
    }
    fb_buf_init(&form, 4 * MAX_IDENTITY);
    fb_buf_init(&answer, 0);
    s = web_form(fb_slice_buf(&token), &form);
    const struct fb_s3_fetch f = {.what = "STS", .url = url, .form = fb_buf_str(&form)};
    s = s == FB_OK ? fb_s3_fetch(s3, &f, &answer, err)
                   : fb_error_set(err, FB_CONFIG, "the web identity token of %s is no text", path);
    struct fb_slice xml = fb_slice_buf(&answer);
    if (s == FB_OK && (!fb_s3_xml_get(xml, "AccessKeyId", c->key_id, sizeof c->key_id) ||
                       !fb_s3_xml_get(xml, "SecretAccessKey", c->secret, sizeof c->secret) ||
                       !fb_s3_xml_get(xml, "SessionToken", c->token, sizeof c->token) ||
                       !fb_s3_xml_get(xml, "Expiration", expires, sizeof expires))) {
        s = fb_error_set(err, FB_AGAIN, "STS answers without credentials");
    }
    c->expires_ms = fb_s3_time_ms(expires);
    c->source = FB_S3_FROM_WEB;
    fb_s3_wipe_buf(&token);
    fb_s3_wipe_buf(&form);
    fb_s3_wipe_buf(&answer);
    return s == FB_NOT_FOUND ? FB_CONFIG : s;
}

static enum fb_status fetch_all(struct fb_s3 *s3, struct fb_s3_credentials *c, struct fb_error *err)
{
    enum fb_status s = fb_s3_credentials_env(c);
    if (s == FB_NOT_FOUND) {
        s = from_web(s3, c, err);
    }
    if (s == FB_NOT_FOUND) {
        s = fb_s3_credentials_file(c, err);
    }
    if (s == FB_NOT_FOUND) {
        s = fb_s3_credentials_container(s3, c, err);
    }
    if (s == FB_NOT_FOUND) {
        s = fb_s3_credentials_instance(s3, c, err);
    }
    if (s == FB_NOT_FOUND) {
        return fb_error_set(err, FB_CONFIG,
                            "no credentials for S3: set AWS_ACCESS_KEY_ID and "
                            "AWS_SECRET_ACCESS_KEY, give the machine or the pod a role, or write a "
                            "profile in ~/.aws/credentials");
    }
    return s;
}

enum fb_status fb_s3_credentials_get(struct fb_s3 *s3, struct fb_s3_credentials *c_r,
                                     struct fb_error *err)
{
    (void)pthread_mutex_lock(&s3->lock);
    int64_t expires_ms = s3->credentials.expires_ms;
    int64_t left_ms = expires_ms - fb_now_ms();
    bool is_good =
        s3->has_credentials && (expires_ms == 0 || left_ms > EARLY_MS ||
                                (left_ms > LOOK_MS && fb_mono_ms() - s3->fetched_ms < LOOK_MS));
    if (!is_good) {
        s3->fetched_ms = fb_mono_ms();
    }
    if (s3->has_credentials) {
        *c_r = s3->credentials;
    }
    (void)pthread_mutex_unlock(&s3->lock);
    if (is_good) {
        return FB_OK;
    }
    /* Several threads may fetch at once, for once: better than all waiting for one that hangs. */
    struct fb_s3_credentials fresh = {0};
    enum fb_status s = fetch_all(s3, &fresh, err);
    (void)pthread_mutex_lock(&s3->lock);
    if (s == FB_OK) {
        s3->credentials = fresh;
        s3->has_credentials = true;
        *c_r = fresh;
    } else if (s3->has_credentials && fb_now_ms() < s3->credentials.expires_ms) {
        *c_r = s3->credentials; /* still good for a while */
        s = FB_OK;
    }
    (void)pthread_mutex_unlock(&s3->lock);
    fb_wipe(&fresh, sizeof fresh);
    return s;
}

bool fb_s3_credentials_drop(struct fb_s3 *s3, const struct fb_s3_credentials *c)
{
    if (c->source == FB_S3_FROM_ENV) {
        return false;
    }
    (void)pthread_mutex_lock(&s3->lock);
    int64_t now = fb_mono_ms();
    bool is_newer = !s3->has_credentials || strcmp(s3->credentials.key_id, c->key_id) != 0 ||
                    strcmp(s3->credentials.token, c->token) != 0;
    bool may_fetch = s3->refused_ms == 0 || now - s3->refused_ms >= AGAIN_MS;
    if (!is_newer && may_fetch) {
        s3->has_credentials = false;
        s3->refused_ms = now;
    }
    (void)pthread_mutex_unlock(&s3->lock);
    return is_newer || may_fetch;
}
