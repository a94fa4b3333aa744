/* SPDX-License-Identifier: Apache-2.0 */
#include "services/watch/signature.h"

#include <string.h>
#include <time.h>

#include "common/crypto.h"

#define MAX_FUTURE_MS (10 * 60 * 1000) /* clocks differ */

/* RFC 3339; false for anything else. */
static bool read_time(const char *text, int64_t *ms_r)
{
    struct tm tm = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (rest == NULL) {
        return false;
    }
    rest += *rest == '.' ? 1 + strspn(rest + 1, "0123456789") : 0;
    int64_t offset_s = 0;
    if (strcmp(rest, "Z") != 0) {
        if ((*rest != '+' && *rest != '-') || strlen(rest) != 6 || rest[3] != ':' ||
            strspn(rest + 1, "0123456789") != 2 || strspn(rest + 4, "0123456789") != 2) {
            return false;
        }
        offset_s = ((int64_t)(rest[1] - '0') * 10 + (rest[2] - '0')) * 3600 +
                   ((int64_t)(rest[4] - '0') * 10 + (rest[5] - '0')) * 60;
        offset_s = *rest == '-' ? -offset_s : offset_s;
    }
    *ms_r = ((int64_t)timegm(&tm) - offset_s) * 1000;
    return true;
}

static bool fits(const char *key, struct fb_slice signed_bytes, const char *signature)
{
    uint8_t digest[FB_SHA256_SIZE];
    struct fb_buf text;
    if (key == NULL || key[0] == '\0' || signature == NULL) {
        return false;
    }
    fb_buf_init(&text, 64);
    fb_hmac_sha256(fb_slice_str(key), signed_bytes, digest);
    bool is_same = fb_base64_encode(fb_slice_of(digest, sizeof digest), &text) == FB_OK &&
                   strlen(signature) == text.len && fb_equal_secret(text.ptr, signature, text.len);
    fb_buf_deinit(&text);
    return is_same;
}

enum fb_status watch_signature_check(const struct watch_delivery *d, const char *primary_key,
                                     const char *secondary_key, int64_t now_ms,
                                     struct fb_error *err)
{
    int64_t at_ms = 0;
    struct fb_buf all;
    if (d->version == NULL || strcmp(d->version, "1") != 0 || d->algorithm == NULL ||
        strcmp(d->algorithm, "HmacSHA256") != 0) {
        return fb_error_set(err, FB_DENIED, "not a signature of version 1 by HmacSHA256");
    }
    if (d->timestamp == NULL || !read_time(d->timestamp, &at_ms)) {
        return fb_error_set(err, FB_DENIED, "no time of delivery");
    }
    fb_buf_init(&all, d->body.len + 128);
    enum fb_status s = fb_buf_add_slice(&all, d->body);
    s = s == FB_OK ? fb_buf_add_str(&all, d->timestamp) : s;
    bool is_ours = s == FB_OK && (fits(primary_key, fb_slice_buf(&all), d->primary) ||
                                  fits(secondary_key, fb_slice_buf(&all), d->secondary));
    fb_buf_deinit(&all);
    if (!is_ours) {
        return fb_error_set(err, FB_DENIED, "signed by neither key");
    }
    /* Behind the signature: the time of somebody else says nothing. */
    if (now_ms - at_ms > WATCH_DELIVERY_MAX_AGE_MS || at_ms - now_ms > MAX_FUTURE_MS) {
        return fb_error_set(err, FB_DENIED,
                            "delivered more than ten minutes ago (or ahead): "
                            "repeated by somebody, or a clock is wrong");
    }
    return FB_OK;
}
