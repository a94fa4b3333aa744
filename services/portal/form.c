/* SPDX-License-Identifier: Apache-2.0 */
#include "services/portal/form.h"

#include <jansson.h>
#include <string.h>

#define END_SIZE   8
#define TOKEN_RAW  (END_SIZE + FB_SHA256_SIZE)
#define COOKIE_RAW 16

/* ---- the form ---- */

static int hex_digit(uint8_t c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* FB_TOO_BIG when it does not fit, FB_INVALID for what no browser sends. */
static enum fb_status decode(struct fb_slice in, char *out, size_t size)
{
    size_t len = 0;
    for (size_t i = 0; i < in.len; i++) {
        int c = in.ptr[i] == '+' ? ' ' : in.ptr[i];
        if (c == '%') {
            int high = i + 2 < in.len ? hex_digit(in.ptr[i + 1]) : -1;
            int low = i + 2 < in.len ? hex_digit(in.ptr[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return FB_INVALID;
            }
            c = high * 16 + low;
            i += 2;
        }
        if (c == '\0') {
            return FB_INVALID;
        }
        if (len + 1 >= size) {
            return FB_TOO_BIG;
        }
        out[len++] = (char)c;
    }
    out[len] = '\0';
    return FB_OK;
}

/* A value that is too long is no value of ours. */
static enum fb_status decode_short(struct fb_slice in, char *out, size_t size)
{
    if (out[0] != '\0') {
        return FB_INVALID; /* given twice */
    }
    return decode(in, out, size) == FB_OK ? FB_OK : FB_INVALID;
}

static enum fb_status add_recipient(struct form *f, struct fb_slice value)
{
    uint32_t n = 0;
    if (value.len == 0 || value.len > 5) {
        return FB_INVALID;
    }
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] < '0' || value.ptr[i] > '9') {
            return FB_INVALID;
        }
        n = n * 10 + (uint32_t)(value.ptr[i] - '0');
    }
    for (size_t i = 0; i < f->count; i++) {
        if (f->recipients[i] == n) {
            return FB_OK;
        }
    }
    if (f->count == FORM_MAX_RECIPIENTS) {
        return FB_INVALID;
    }
    f->recipients[f->count++] = n;
    return FB_OK;
}

bool form_is_utf8(const char *text)
{
    json_t *checked = json_string(text);
    bool is_utf8 = checked != NULL;
    json_decref(checked);
    return is_utf8;
}

/* Line ends and other control characters become blanks, and those at both ends go. */
static void tidy_reason(char *reason)
{
    for (char *p = reason; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f) {
            *p = ' ';
        }
    }
    struct fb_slice text = fb_slice_trim(fb_slice_str(reason));
    memmove(reason, text.ptr, text.len);
    reason[text.len] = '\0';
}

static enum fb_status take(struct form *f, struct fb_slice name, struct fb_slice value)
{
    if (fb_slice_eq_str(name, "token")) {
        return decode_short(value, f->token, sizeof f->token);
    }
    if (fb_slice_eq_str(name, "id")) {
        return decode_short(value, f->id, sizeof f->id);
    }
    if (fb_slice_eq_str(name, "r")) {
        return add_recipient(f, value);
    }
    if (fb_slice_eq_str(name, "scope")) {
        f->is_all = fb_slice_eq_str(value, "all");
        return f->is_all || fb_slice_eq_str(value, "chosen") ? FB_OK : FB_INVALID;
    }
    if (fb_slice_eq_str(name, "reason")) {
        char long_text[4096]; /* before its line ends are made one byte each */
        enum fb_status s = decode(value, long_text, sizeof long_text);
        if (s == FB_OK) {
            tidy_reason(long_text);
            s = !form_is_utf8(long_text)               ? FB_INVALID
                : strlen(long_text) < sizeof f->reason ? FB_OK
                                                       : FB_TOO_BIG;
        }
        if (s == FB_OK) {
            memcpy(f->reason, long_text, strlen(long_text) + 1);
        }
        return s;
    }
    return FB_OK; /* what a browser's helper adds is none of our business */
}

enum fb_status form_parse(struct fb_slice body, struct form *f)
{
    memset(f, 0, sizeof *f);
    bool is_too_long = false;
    bool has_scope = false;
    while (body.len > 0) {
        size_t end = fb_slice_find(body, FB_SLICE_LITERAL("&"));
        struct fb_slice pair = fb_slice_sub(body, 0, end);
        size_t equals = fb_slice_find(pair, FB_SLICE_LITERAL("="));
        struct fb_slice name = fb_slice_sub(pair, 0, equals);
        struct fb_slice value =
            equals == SIZE_MAX ? fb_slice_str(NULL) : fb_slice_sub(pair, equals + 1, pair.len);
        enum fb_status s = take(f, name, value);
        if (s == FB_TOO_BIG) {
            is_too_long = true; /* said only if the rest is a form of ours */
        } else if (s != FB_OK) {
            return s;
        }
        has_scope = has_scope || fb_slice_eq_str(name, "scope");
        body = end == SIZE_MAX ? fb_slice_str(NULL) : fb_slice_sub(body, end + 1, body.len);
    }
    return !has_scope || f->token[0] == '\0' ? FB_INVALID : is_too_long ? FB_TOO_BIG : FB_OK;
}

enum fb_status form_field(struct fb_slice body, const char *name, char *out_r, size_t size)
{
    enum fb_status found = FB_NOT_FOUND;
    out_r[0] = '\0';
    while (body.len > 0) {
        size_t end = fb_slice_find(body, FB_SLICE_LITERAL("&"));
        struct fb_slice pair = fb_slice_sub(body, 0, end);
        size_t equals = fb_slice_find(pair, FB_SLICE_LITERAL("="));
        if (fb_slice_eq_str(fb_slice_sub(pair, 0, equals), name)) {
            struct fb_slice value =
                equals == SIZE_MAX ? fb_slice_str(NULL) : fb_slice_sub(pair, equals + 1, pair.len);
            found = found != FB_NOT_FOUND ? FB_INVALID : decode(value, out_r, size);
            if (found != FB_OK) {
                break;
            }
        }
        body = end == SIZE_MAX ? fb_slice_str(NULL) : fb_slice_sub(body, end + 1, body.len);
    }
    if (found != FB_OK) {
        out_r[0] = '\0';
    }
    return found;
}

/* ---- cookie and token ---- */

static void encode(const uint8_t *raw, size_t len, char *out, size_t size)
{
    struct fb_buf text;
    fb_buf_init(&text, size);
    FB_ASSERT(fb_base64url_encode(fb_slice_of(raw, len), &text) == FB_OK && text.len < size);
    memcpy(out, fb_buf_str(&text), text.len + 1);
    fb_buf_deinit(&text);
}

void form_cookie_new(char cookie_r[FORM_COOKIE_SIZE])
{
    uint8_t raw[COOKIE_RAW];
    fb_random(raw, sizeof raw);
    encode(raw, sizeof raw, cookie_r, FORM_COOKIE_SIZE);
}

bool form_cookie_is_valid(const char *cookie)
{
    return strlen(cookie) == FORM_COOKIE_SIZE - 1 &&
           strspn(cookie, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") ==
               FORM_COOKIE_SIZE - 1;
}

/* The parts hold no NUL, so that no two bindings make the same text. */
static void sign(const struct form_binding *b, const uint8_t end[END_SIZE],
                 uint8_t mac_r[FB_SHA256_SIZE])
{
    const char *const parts[] = {b->step, b->link, b->cookie, b->id};
    struct fb_buf text;
    fb_buf_init(&text, 1024);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        FB_ASSERT(fb_buf_add(&text, parts[i], strlen(parts[i]) + 1) == FB_OK);
    }
    FB_ASSERT(fb_buf_add(&text, end, END_SIZE) == FB_OK);
    fb_hmac_sha256(fb_slice_of(b->key, FB_KEY_SIZE), fb_slice_buf(&text), mac_r);
    fb_buf_deinit(&text);
}

void form_token_make(const struct form_binding *b, int64_t ends_ms, char token_r[FORM_TOKEN_SIZE])
{
    uint8_t raw[TOKEN_RAW];
    for (int i = 0; i < END_SIZE; i++) {
        raw[i] = (uint8_t)((uint64_t)ends_ms >> (56 - 8 * i));
    }
    sign(b, raw, raw + END_SIZE);
    encode(raw, sizeof raw, token_r, FORM_TOKEN_SIZE);
}

bool form_token_is_good(const struct form_binding *b, const char *token, int64_t now_ms)
{
    struct fb_buf raw;
    uint8_t mac[FB_SHA256_SIZE];
    uint64_t ends_ms = 0;
    fb_buf_init(&raw, TOKEN_RAW);
    bool is_good = fb_base64url_decode(fb_slice_str(token), &raw) == FB_OK && raw.len == TOKEN_RAW;
    if (is_good) {
        for (int i = 0; i < END_SIZE; i++) {
            ends_ms = ends_ms << 8 | raw.ptr[i];
        }
        sign(b, raw.ptr, mac);
        is_good = fb_equal_secret(mac, raw.ptr + END_SIZE, sizeof mac) && now_ms >= 0 &&
                  ends_ms > (uint64_t)now_ms;
    }
    fb_buf_deinit(&raw);
    return is_good;
}
