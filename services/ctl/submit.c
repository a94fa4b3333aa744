/* SPDX-License-Identifier: Apache-2.0
 *
 * fumibako submit: hands a file to ingest's HTTP listener, as an application would. */
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "services/ctl/ctl.h"

#define MAX_REPLY       65536
#define CONNECT_WAIT_MS 10000L

static size_t take_reply(char *data, size_t size, size_t count, void *ctx)
{
    return fb_buf_add(ctx, data, size * count) == FB_OK ? size * count : 0;
}

static bool add_header(struct curl_slist **list, const char *name, const char *value)
{
    char line[4096];
    int n = snprintf(line, sizeof line, "%s%s", name, value);
    struct curl_slist *longer =
        n > 0 && (size_t)n < sizeof line ? curl_slist_append(*list, line) : NULL;
    if (longer == NULL) {
        return false;
    }
    *list = longer;
    return true;
}

static bool make_headers(const struct ctl *c, struct curl_slist **list)
{
    bool ok = add_header(list, "Content-Type: ", "message/rfc822") &&
              add_header(list, "Authorization: Bearer ", c->config->ingest.token) &&
              add_header(list, "X-Mail-From: ", c->from[0] != '\0' ? c->from : "<>") &&
              add_header(list, "Expect:", "");
    for (size_t i = 0; i < c->to_count && ok; i++) {
        ok = add_header(list, "X-Rcpt-To: ", c->to[i]);
    }
    return ok;
}

static int tell(const struct ctl *c, CURL *curl, struct fb_buf *reply)
{
    long code = 0;
    struct fb_error err = {0};
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &code);
    json_t *json =
        reply->len > 0 ? json_loadb((const char *)reply->ptr, reply->len, 0, NULL) : NULL;
    const char *id = json_string_value(json_object_get(json, "id"));
    int result = 0;
    if (code == 202 && id != NULL) {
        if (c->is_json) {
            ctl_print_json(json_incref(json));
        } else {
            (void)printf("%s\n", id);
        }
    } else {
        const char *why =
            json_string_value(json_object_get(json_object_get(json, "error"), "message"));
        (void)fb_error_set(&err, FB_DENIED, "ingest answered %ld: %s", code,
                           why != NULL ? why : "no reason given");
        result = ctl_fail(c, &err);
    }
    json_decref(json);
    return result;
}

/* One header a value: what would begin another one is refused. */
static bool is_one_line(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f) {
            return false;
        }
    }
    return true;
}

/* 0, or the exit code of what was complained about. */
static int check_words(const struct ctl *c)
{
    if (c->from == NULL || c->to_count == 0) {
        return ctl_usage_error(
            c, "submit needs --from A (\"\" for the null sender) and at least one --to B");
    }
    if (!is_one_line(c->from)) {
        return ctl_usage_error(c, "--from: an address holds no control character");
    }
    for (size_t i = 0; i < c->to_count; i++) {
        if (!is_one_line(c->to[i])) {
            return ctl_usage_error(c, "--to: an address holds no control character");
        }
    }
    return 0;
}

static FILE *open_mail(const char *path, off_t *size_r, struct fb_error *err)
{
    struct stat st;
    FILE *file = fopen(path, "rbe");
    if (file == NULL || fstat(fileno(file), &st) != 0) {
        (void)fb_error_errno(err, FB_NOT_FOUND, errno, "%s", path);
    } else if (!S_ISREG(st.st_mode)) {
        (void)fb_error_set(err, FB_INVALID, "%s is not a file", path);
    } else {
        *size_r = st.st_size;
        return file;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return NULL;
}

static bool prepare(CURL *curl, const struct ctl *c, FILE *file, off_t size, struct fb_buf *reply,
                    struct curl_slist **headers)
{
    char url[300], host[256];
    uint16_t port = 0;
    const char *http = c->config->ingest.http;
    bool is_everywhere = fb_host_port(http, host, sizeof host, &port) && host[0] == '\0';
    (void)snprintf(url, sizeof url, "http://%s%s/v1/messages", is_everywhere ? "127.0.0.1" : "",
                   http);
    return make_headers(c, headers) && curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_POST, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_READDATA, file) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)size) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_HTTPHEADER, *headers) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOPROXY, "*") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_WAIT_MS) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, 60L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_reply) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEDATA, reply) == CURLE_OK;
}

static int post(const struct ctl *c, FILE *file, off_t size)
{
    int code = 0;
    struct fb_error err = {0};
    struct curl_slist *headers = NULL;
    struct fb_buf reply;
    fb_buf_init(&reply, MAX_REPLY);
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    CURL *curl = curl_easy_init();
    FB_ASSERT(curl != NULL);
    CURLcode rc = prepare(curl, c, file, size, &reply, &headers) ? curl_easy_perform(curl)
                                                                 : CURLE_FAILED_INIT;
    if (rc == CURLE_OK) {
        code = tell(c, curl, &reply);
    } else {
        (void)fb_error_set(&err, FB_NETWORK, "ingest at %s: %s; is fumibako-ingest running?",
                           c->config->ingest.http, curl_easy_strerror(rc));
        code = ctl_fail(c, &err);
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    fb_buf_deinit(&reply);
    return code;
}

int ctl_submit(struct ctl *c)
{
    struct fb_error err = {0};
    off_t size = 0;
    int code = check_words(c);
    if (code != 0 || !ctl_need_config(c, &code)) {
        return code;
    }
    if (c->config->ingest.http == NULL || c->config->ingest.token == NULL) {
        (void)fb_error_set(
            &err, FB_CONFIG,
            "submit uses ingest's HTTP listener: set ingest.http and ingest.token_file");
        return ctl_fail(c, &err);
    }
    FILE *file = open_mail(c->words[0], &size, &err);
    if (file == NULL) {
        return ctl_fail(c, &err);
    }
    code = post(c, file, size);
    (void)fclose(file);
    return code;
}
