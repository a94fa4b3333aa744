/* SPDX-License-Identifier: Apache-2.0
 *
 * Credentials that what a program runs in hands out: the agent beside a container (ECS, EKS Pod
 * Identity), and the machine itself (EC2's IMDSv2, whose version 1 is not asked: anything that can
 * be made to fetch an address could ask it).  Both answer the same JSON.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/crypto.h"
#include "common/s3/internal.h"

#define INSTANCE_MS 3000 /* it is on this machine; where there is none nobody should wait long */
#define ROLE_SIZE   256U

static bool json_text(const json_t *object, const char *key, char *out, size_t size)
{
    const char *text = json_string_value(json_object_get(object, key));
    int n = text != NULL ? snprintf(out, size, "%s", text) : -1;
    return n > 0 && (size_t)n < size;
}

/* {"AccessKeyId", "SecretAccessKey", "Token", "Expiration"} */
static enum fb_status read_answer(struct fb_buf *answer, const char *what,
                                  struct fb_s3_credentials *c, struct fb_error *err)
{
    char expires[64] = "";
    enum fb_status s = FB_OK;
    json_t *json = json_loadb(fb_buf_str(answer), answer->len, 0, NULL);
    if (!json_text(json, "AccessKeyId", c->key_id, sizeof c->key_id) ||
        !json_text(json, "SecretAccessKey", c->secret, sizeof c->secret)) {
        s = fb_error_set(err, FB_AGAIN, "%s answers without credentials", what);
    }
    (void)json_text(json, "Token", c->token, sizeof c->token);
    (void)json_text(json, "Expiration", expires, sizeof expires);
    c->expires_ms = fb_s3_time_ms(expires);
    json_decref(json);
    return s;
}

/* Plain HTTP only to this machine, or to the addresses that AWS has set aside for it. */
static bool is_near(const char *url)
{
    static const char *const near[] = {"http://127.0.0.1",       "http://localhost",
                                       "http://[::1]",           "http://169.254.170.2",
                                       "http://169.254.170.23",  "http://[fd00:ec2::23]",
                                       "http://169.254.169.254", "http://[fd00:ec2::254]"};
    bool is_near = strncmp(url, "https://", 8) == 0;
    for (size_t i = 0; i < sizeof near / sizeof *near && !is_near; i++) {
        size_t len = strlen(near[i]);
        char next = strncmp(url, near[i], len) == 0 ? url[len] : 'x';
        is_near = next == ':' || next == '/' || next == '\0';
    }
    return is_near;
}

static enum fb_status container_url(char *url, size_t size, struct fb_error *err)
{
    const char *relative = fb_s3_env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    const char *full = fb_s3_env("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    if (relative == NULL && full == NULL) {
        return FB_NOT_FOUND;
    }
    int n = relative != NULL ? snprintf(url, size, "http://169.254.170.2%s%s",
                                        relative[0] == '/' ? "" : "/", relative)
                             : snprintf(url, size, "%s", full);
    if (n < 0 || (size_t)n >= size) {
        return fb_error_set(err, FB_CONFIG, "AWS_CONTAINER_CREDENTIALS_*_URI is too long");
    }
    if (!is_near(url)) {
        return fb_error_set(err, FB_CONFIG,
                            "AWS_CONTAINER_CREDENTIALS_FULL_URI leads by plain HTTP to another "
                            "machine");
    }
    return FB_OK;
}

enum fb_status fb_s3_credentials_container(struct fb_s3 *s3, struct fb_s3_credentials *c,
                                           struct fb_error *err)
{
    const char *file = fb_s3_env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    const char *given = fb_s3_env("AWS_CONTAINER_AUTHORIZATION_TOKEN");
    char url[1024];
    char *token = NULL;
    struct fb_buf answer;
    enum fb_status s = container_url(url, sizeof url, err);
    if (s != FB_OK) {
        return s;
    }
    if (file != NULL) {
        struct fb_buf bytes;
        s = fb_read_file(file, FB_S3_TOKEN / 2, &bytes, err);
        if (s != FB_OK) {
            (void)fb_error_prefix(err, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
            return FB_CONFIG;
        }
        token = fb_slice_dup_str(fb_slice_trim(fb_slice_buf(&bytes)));
        fb_s3_wipe_buf(&bytes);
        given = token;
    }
    const struct fb_s3_fetch f = {
        .what = "the container's agent",
        .url = url,
        .is_local = true,
        .headers = {{given != NULL ? "Authorization" : NULL, given}},
    };
    s = fb_s3_fetch(s3, &f, &answer, err);
    s = s == FB_NOT_FOUND ? FB_CONFIG : s;
    if (s == FB_OK) {
        s = read_answer(&answer, f.what, c, err);
    }
    c->source = FB_S3_FROM_CONTAINER;
    fb_s3_wipe_buf(&answer);
    if (token != NULL) {
        fb_wipe(token, strlen(token));
        free(token);
    }
    return s;
}

/* ---- the machine ---- */

static enum fb_status instance_base(char *base, size_t size, struct fb_error *err)
{
    const char *given = fb_s3_env("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    const char *mode = fb_s3_env("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");
    const char *off = fb_s3_env("AWS_EC2_METADATA_DISABLED");
    if (off != NULL && (off[0] == 't' || off[0] == 'T')) {
        return FB_NOT_FOUND;
    }
    if (given == NULL) {
        given = mode != NULL && (mode[0] == 'I' || mode[0] == 'i') && strchr(mode, '6') != NULL
                    ? "http://[fd00:ec2::254]"
                    : "http://169.254.169.254";
    }
    int n = snprintf(base, size, "%s", given);
    if (n < 1 || (size_t)n >= size || !is_near(base)) {
        return fb_error_set(err, FB_CONFIG,
                            "AWS_EC2_METADATA_SERVICE_ENDPOINT leads by plain HTTP to another "
                            "machine");
    }
    if (base[n - 1] == '/') {
        base[n - 1] = '\0';
    }
    return FB_OK;
}

/* The first line of an answer, as text that may stand in a header or a path. */
static bool first_line(const struct fb_buf *answer, char *out, size_t size)
{
    struct fb_slice all = fb_slice_buf(answer);
    size_t end = fb_slice_find(all, FB_SLICE_LITERAL("\n"));
    struct fb_slice line = fb_slice_trim(fb_slice_sub(all, 0, end));
    for (size_t i = 0; i < line.len; i++) {
        if (line.ptr[i] <= 0x20 || line.ptr[i] >= 0x7f) {
            return false;
        }
    }
    if (line.len == 0 || line.len >= size) {
        return false;
    }
    memcpy(out, line.ptr, line.len);
    out[line.len] = '\0';
    return true;
}

static enum fb_status ask_instance(struct fb_s3 *s3, const char *base, const char *path,
                                   const char *token, struct fb_buf *answer, struct fb_error *err)
{
    char url[1024];
    int n = snprintf(url, sizeof url, "%s%s", base, path);
    const struct fb_s3_fetch f = {
        .what = "the machine's metadata service (IMDSv2)",
        .url = url,
        .method = token == NULL ? "PUT" : NULL,
        .is_local = true,
        .whole_ms = INSTANCE_MS,
        .headers = {{token == NULL ? "X-aws-ec2-metadata-token-ttl-seconds"
                                   : "X-aws-ec2-metadata-token",
                     token == NULL ? "300" : token}},
    };
    FB_ASSERT(n > 0 && (size_t)n < sizeof url);
    return fb_s3_fetch(s3, &f, answer, err);
}

enum fb_status fb_s3_credentials_instance(struct fb_s3 *s3, struct fb_s3_credentials *c,
                                          struct fb_error *err)
{
    static const char roles[] = "/latest/meta-data/iam/security-credentials/";
    char base[512], token[512], path[sizeof roles + ROLE_SIZE];
    struct fb_buf answer;
    enum fb_status s = instance_base(base, sizeof base, err);
    if (s != FB_OK) {
        return s;
    }
    c->source = FB_S3_FROM_INSTANCE;
    s = ask_instance(s3, base, "/latest/api/token", NULL, &answer, err);
    bool is_there = s == FB_OK && first_line(&answer, token, sizeof token);
    fb_s3_wipe_buf(&answer);
    if (!is_there) {
        /* Most machines have no such service: that is no error of one which had it before. */
        bool had_it = s3->has_credentials && s3->credentials.source == FB_S3_FROM_INSTANCE;
        return had_it ? fb_error_set(err, FB_AGAIN,
                                     "the machine's metadata service (IMDSv2) does "
                                     "not answer any more")
                      : FB_NOT_FOUND;
    }
    memcpy(path, roles, sizeof roles);
    s = ask_instance(s3, base, roles, token, &answer, err);
    if (s == FB_NOT_FOUND ||
        (s == FB_OK && !first_line(&answer, path + sizeof roles - 1, ROLE_SIZE))) {
        s = fb_error_set(err, FB_CONFIG,
                         "this machine has no role (the metadata service names none): attach an "
                         "instance profile, or set AWS_ACCESS_KEY_ID");
    }
    fb_s3_wipe_buf(&answer);
    if (s == FB_OK) {
        s = ask_instance(s3, base, path, token, &answer, err);
        s = s == FB_OK ? read_answer(&answer, "the machine's metadata service", c, err) : s;
        fb_s3_wipe_buf(&answer);
    }
    fb_wipe(token, sizeof token);
    return s == FB_NOT_FOUND ? FB_CONFIG : s;
}
