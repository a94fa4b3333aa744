/* SPDX-License-Identifier: Apache-2.0
 *
 * What the environment and the two files of the AWS tools say.  The only place besides the
 * configuration that reads the environment: people have these variables set already, and Kubernetes
 * puts them into pods.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/crypto.h"
#include "common/s3/internal.h"

#define MAX_FILE ((size_t)1 << 20)

const char *fb_s3_env(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

static const char *profile_name(void)
{
    const char *name = fb_s3_env("AWS_PROFILE");
    return name != NULL ? name : "default";
}

/* Where a file lies: as the variable says, or below the home directory. */
static bool file_path(const char *variable, const char *below_home, char out[FB_S3_PATH])
{
    const char *given = fb_s3_env(variable);
    const char *home = fb_s3_env("HOME");
    int n = -1;
    if (given != NULL) {
        n = snprintf(out, FB_S3_PATH, "%s", given);
    } else if (home != NULL) {
        n = snprintf(out, FB_S3_PATH, "%s/.aws/%s", home, below_home);
    }
    return n > 0 && n < (int)FB_S3_PATH;
}

/* Is line the head of the profile's section?  "[name]" in credentials, "[profile name]" in config,
 * where default may stand bare. */
static bool is_section(struct fb_slice line, const char *profile, bool is_config)
{
    if (line.len < 3 || line.ptr[0] != '[' || line.ptr[line.len - 1] != ']') {
        return false;
    }
    struct fb_slice name = fb_slice_trim(fb_slice_sub(line, 1, line.len - 2));
    if (is_config && fb_slice_istarts(name, "profile ")) {
        name = fb_slice_trim(fb_slice_sub(name, 8, SIZE_MAX));
    } else if (is_config && strcmp(profile, "default") != 0) {
        return false;
    }
    return fb_slice_eq_str(name, profile);
}

/* The value of key in the profile's section; nested keys ("s3 =" and indented lines below) are
 * found by their name as well. */
static bool find_value(struct fb_slice text, const char *profile, bool is_config, const char *key,
                       char *out, size_t size)
{
    bool is_ours = false;
    size_t key_len = strlen(key);
    while (text.len > 0) {
        size_t end = fb_slice_find(text, FB_SLICE_LITERAL("\n"));
        struct fb_slice line = fb_slice_trim(fb_slice_sub(text, 0, end));
        text = fb_slice_sub(text, end == SIZE_MAX ? text.len : end + 1, SIZE_MAX);
        if (line.len == 0 || line.ptr[0] == '#' || line.ptr[0] == ';') {
            continue;
        }
        if (line.ptr[0] == '[') {
            is_ours = is_section(line, profile, is_config);
            continue;
        }
        if (!is_ours || !fb_slice_istarts(line, key)) {
            continue;
        }
        struct fb_slice rest = fb_slice_trim(fb_slice_sub(line, key_len, SIZE_MAX));
        if (rest.len > 1 && rest.ptr[0] == '=') {
            struct fb_slice value = fb_slice_trim(fb_slice_sub(rest, 1, SIZE_MAX));
            if (value.len < size && memchr(value.ptr, '\0', value.len) == NULL) {
                memcpy(out, value.ptr, value.len);
                out[value.len] = '\0';
                return value.len > 0;
            }
        }
    }
    return false;
}

static bool from_file(const char *variable, const char *below_home, bool is_config, const char *key,
                      char *out, size_t size)
{
    char path[FB_S3_PATH];
    struct fb_buf text;
    bool found = false;
    if (!file_path(variable, below_home, path) ||
        fb_read_file(path, MAX_FILE, &text, NULL) != FB_OK) {
        return false;
    }
    found = find_value(fb_slice_buf(&text), profile_name(), is_config, key, out, size);
    if (text.ptr != NULL) {
        fb_wipe(text.ptr, text.cap);
    }
    fb_buf_deinit(&text);
    return found;
}

/* Credentials may stand in either file; the credentials file wins, as with the tools of AWS. */
static bool from_profile(const char *key, char *out, size_t size)
{
    return from_file("AWS_SHARED_CREDENTIALS_FILE", "credentials", false, key, out, size) ||
           from_file("AWS_CONFIG_FILE", "config", true, key, out, size);
}

static bool copy(const char *value, char *out, size_t size)
{
    size_t len = value != NULL ? strnlen(value, size) : 0;
    if (len == 0 || len == size) {
        return false;
    }
    memcpy(out, value, len + 1);
    return true;
}

enum fb_status fb_s3_settings_load(struct fb_s3_settings *s, struct fb_error *err)
{
    char style[32] = "";
    *s = (struct fb_s3_settings){0};
    if (!copy(fb_s3_env("AWS_ENDPOINT_URL_S3"), s->endpoint, sizeof s->endpoint) &&
        !copy(fb_s3_env("AWS_ENDPOINT_URL"), s->endpoint, sizeof s->endpoint)) {
        (void)from_profile("endpoint_url", s->endpoint, sizeof s->endpoint);
    }
    if (!copy(fb_s3_env("AWS_REGION"), s->region, sizeof s->region) &&
        !copy(fb_s3_env("AWS_DEFAULT_REGION"), s->region, sizeof s->region) &&
        !from_profile("region", s->region, sizeof s->region)) {
        (void)snprintf(s->region, sizeof s->region, "us-east-1");
    }
    if (strspn(s->region, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(s->region)) {
        return fb_error_set(err, FB_CONFIG, "AWS_REGION %s is not the name of a region", s->region);
    }
    if (!copy(fb_s3_env("AWS_CA_BUNDLE"), s->ca_bundle, sizeof s->ca_bundle)) {
        (void)from_profile("ca_bundle", s->ca_bundle, sizeof s->ca_bundle);
    }
    if (from_profile("addressing_style", style, sizeof style)) {
        s->style = strcmp(style, "path") == 0      ? FB_S3_STYLE_PATH
                   : strcmp(style, "virtual") == 0 ? FB_S3_STYLE_VIRTUAL
                                                   : FB_S3_STYLE_AUTO;
    }
    if (s->endpoint[0] != '\0' && strncmp(s->endpoint, "https://", 8) != 0 &&
        strncmp(s->endpoint, "http://", 7) != 0) {
        return fb_error_set(err, FB_CONFIG,
                            "the S3 endpoint %s must begin with https:// (or http://)",
                            s->endpoint);
    }
    return FB_OK;
}

enum fb_status fb_s3_credentials_env(struct fb_s3_credentials *c)
{
    memset(c, 0, sizeof *c);
    c->source = FB_S3_FROM_ENV;
    if (!copy(fb_s3_env("AWS_ACCESS_KEY_ID"), c->key_id, sizeof c->key_id) ||
        !copy(fb_s3_env("AWS_SECRET_ACCESS_KEY"), c->secret, sizeof c->secret)) {
        return FB_NOT_FOUND;
    }
    const char *token = fb_s3_env("AWS_SESSION_TOKEN");
    return token == NULL || copy(token, c->token, sizeof c->token) ? FB_OK : FB_CONFIG;
}

enum fb_status fb_s3_credentials_file(struct fb_s3_credentials *c, struct fb_error *err)
{
    memset(c, 0, sizeof *c);
    c->source = FB_S3_FROM_FILE;
    bool has_id = from_profile("aws_access_key_id", c->key_id, sizeof c->key_id);
    bool has_secret = from_profile("aws_secret_access_key", c->secret, sizeof c->secret);
    if (has_id != has_secret) {
        return fb_error_set(err, FB_CONFIG,
                            "the AWS profile %s has only one of aws_access_key_id and "
                            "aws_secret_access_key",
                            profile_name());
    }
    (void)from_profile("aws_session_token", c->token, sizeof c->token);
    return has_id ? FB_OK : FB_NOT_FOUND;
}
