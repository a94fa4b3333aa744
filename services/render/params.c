/* SPDX-License-Identifier: Apache-2.0
 *
 * The parameter reader.  One pass over the unfolded value, no recursion.
 */
#include "services/render/params.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "services/render/charset.h"
#include "services/render/words.h"

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static bool is_sjis_lead(uint8_t c)
{
    return (c >= 0x81 && c <= 0x9F) || (c >= 0xE0 && c <= 0xFC);
}

/* A character that is more than its first byte says: raw Shift_JIS whose second byte is a backslash
 * or a quote's look-alike, ISO-2022-JP between its escapes.  Returns the bytes to take as they are,
 * 0 for none. */
static size_t opaque_run(struct fb_slice s, bool is_utf8)
{
    if (s.ptr[0] == 0x1B && s.len > 2 && s.ptr[1] == '$') {
        size_t end = fb_slice_find(fb_slice_sub(s, 2, s.len), FB_SLICE_LITERAL("\033("));
        return end == SIZE_MAX ? 0 : end + 2;
    }
    if (!is_utf8 && s.len > 1 && is_sjis_lead(s.ptr[0]) && s.ptr[1] >= 0x40 && s.ptr[1] != 0x7F) {
        return 2;
    }
    return 0;
}

/* Reads "..." at the start of s into text; returns the bytes used. */
static size_t read_quoted(struct fb_slice s, bool is_utf8, struct fb_buf *text,
                          enum fb_status *status)
{
    size_t i = 1;
    while (i < s.len && s.ptr[i] != '"' && *status == FB_OK) {
        size_t run = opaque_run(fb_slice_sub(s, i, s.len), is_utf8);
        if (run > 0) {
            *status = fb_buf_add(text, s.ptr + i, run);
            i += run;
            continue;
        }
        /* Only these two are escaped: C:\dir\name stays what it is. */
        if (s.ptr[i] == '\\' && i + 1 < s.len && (s.ptr[i + 1] == '"' || s.ptr[i + 1] == '\\')) {
            i++;
        }
        *status = fb_buf_add(text, s.ptr + i, 1);
        i++;
    }
    return i < s.len ? i + 1 : i;
}

static size_t read_token(struct fb_slice s, bool is_utf8, struct fb_buf *text,
                         enum fb_status *status)
{
    size_t i = 0;
    while (i < s.len && s.ptr[i] != ';') {
        size_t run = opaque_run(fb_slice_sub(s, i, s.len), is_utf8);
        i += run > 0 ? run : 1;
    }
    *status = fb_buf_add_slice(text, fb_slice_trim(fb_slice_sub(s, 0, i)));
    return i;
}

/* Splits "filename*1*" into name, section and extension. */
static void split_name(struct fb_slice s, struct render_param *p)
{
    p->section = -1;
    if (s.len > 1 && s.ptr[s.len - 1] == '*') {
        p->is_extended = true;
        s.len--;
    }
    const uint8_t *star = memchr(s.ptr, '*', s.len);
    if (star != NULL) {
        size_t n = (size_t)(star - s.ptr);
        int number = 0;
        size_t digits = 0;
        for (size_t i = n + 1; i < s.len && digits < 4 && s.ptr[i] >= '0' && s.ptr[i] <= '9'; i++) {
            number = number * 10 + (s.ptr[i] - '0');
            digits++;
        }
        p->section = digits > 0 ? number : 0;
        s.len = n;
    }
    p->name = s;
}

static void read_value(struct fb_slice *s, struct render_params *p)
{
    size_t n = 0;
    size_t i = 0;
    while (i < s->len && s->ptr[i] != ';' && s->ptr[i] != '(') {
        uint8_t c = s->ptr[i++];
        if (!is_blank(c) && c != '"' && n + 1 < sizeof p->value) {
            p->value[n++] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : (char)c;
        }
    }
    p->value[n] = '\0';
    while (i < s->len && s->ptr[i] != ';') {
        i++;
    }
    *s = fb_slice_sub(*s, i, s->len);
}

/* One ";name=value"; false at the end. */
static bool read_param(struct fb_slice *s, bool is_utf8, struct render_params *p,
                       struct fb_buf *text, enum fb_status *status)
{
    struct render_param item = {0};
    size_t i = 0;
    while (i < s->len && (s->ptr[i] == ';' || is_blank(s->ptr[i]))) {
        i++;
    }
    size_t from = i;
    while (i < s->len && s->ptr[i] != '=' && s->ptr[i] != ';') {
        i++;
    }
    struct fb_slice name = fb_slice_trim(fb_slice_sub(*s, from, i - from));
    if (i >= s->len || s->ptr[i] == ';') {
        *s = fb_slice_sub(*s, i, s->len);
        return i < s->len || s->len > 0;
    }
    i++;
    while (i < s->len && is_blank(s->ptr[i])) {
        i++;
    }
    size_t start = text->len;
    if (i < s->len && s->ptr[i] == '"') {
        i += read_quoted(fb_slice_sub(*s, i, s->len), is_utf8, text, status);
        while (i < s->len && s->ptr[i] != ';') {
            i++;
        }
    } else {
        i += read_token(fb_slice_sub(*s, i, s->len), is_utf8, text, status);
    }
    if (*status == FB_OK && name.len > 0) {
        split_name(name, &item);
        item.bytes = fb_slice_of(text->ptr + start, text->len - start);
        p->items[p->count++] = item;
    }
    *s = fb_slice_sub(*s, i, s->len);
    return s->len > 0;
}

enum fb_status render_params_parse(struct fb_slice raw, struct render_params *p)
{
    *p = (struct render_params){0};
    /* Line and unquoted values share one buffer that never moves: the slices point into it. */
    fb_buf_init(&p->text, raw.len * 2 + 16);
    enum fb_status status = fb_buf_reserve(&p->text, raw.len * 2 + 8);
    if (status == FB_OK) {
        status = render_words_unfold(raw, &p->text);
    }
    if (status == FB_OK) {
        struct fb_slice s = fb_slice_buf(&p->text);
        bool is_utf8 = render_utf8_is_valid(s);
        read_value(&s, p);
        while (s.len > 0 && status == FB_OK && p->count < RENDER_PARAMS_MAX) {
            if (!read_param(&s, is_utf8, p, &p->text, &status)) {
                break;
            }
        }
    }
    if (status != FB_OK) {
        render_params_deinit(p);
    }
    return status;
}

void render_params_deinit(struct render_params *p)
{
    fb_buf_deinit(&p->text);
    p->count = 0;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum fb_status add_percent(struct fb_slice s, struct fb_buf *out)
{
    enum fb_status status = FB_OK;
    for (size_t i = 0; i < s.len && status == FB_OK; i++) {
        uint8_t c = s.ptr[i];
        if (c == '%' && s.len - i > 2 && hex_digit(s.ptr[i + 1]) >= 0 &&
            hex_digit(s.ptr[i + 2]) >= 0) {
            c = (uint8_t)(hex_digit(s.ptr[i + 1]) << 4 | hex_digit(s.ptr[i + 2]));
            i += 2;
        }
        status = fb_buf_add(out, &c, 1);
    }
    return status;
}

/* Takes "charset'language'" off the front of an extended value. */
static struct fb_slice take_charset(struct fb_slice s, char *charset, size_t size)
{
    const uint8_t *one = s.len > 0 ? memchr(s.ptr, '\'', s.len) : NULL;
    if (one == NULL) {
        return s;
    }
    size_t n = (size_t)(one - s.ptr);
    const uint8_t *two = memchr(one + 1, '\'', s.len - n - 1);
    if (two == NULL || n >= size) {
        return s;
    }
    (void)snprintf(charset, size, "%.*s", (int)n, (const char *)s.ptr);
    return fb_slice_sub(s, (size_t)(two - s.ptr) + 1, s.len);
}

static const struct render_param *find(const struct render_params *p, const char *name, int section,
                                       bool is_any)
{
    for (size_t i = 0; i < p->count; i++) {
        const struct render_param *item = &p->items[i];
        if (item->section == section && (is_any || item->is_extended) &&
            fb_slice_ieq_str(item->name, name)) {
            return item;
        }
    }
    return NULL;
}

/* name*0, name*1, ... or name* (RFC 2231 3 and 4). */
static enum fb_status get_2231(const struct render_params *p, const char *name,
                               const struct render_param *first, struct fb_buf *out)
{
    struct fb_buf bytes = {0};
    char charset[48] = "";
    bool is_extended = false;
    enum fb_status status = FB_OK;
    fb_buf_init(&bytes, p->text.len + 1);
    const struct render_param *item = first;
    for (int section = first->section; item != NULL && status == FB_OK;) {
        struct fb_slice s = item->bytes;
        if (item->is_extended) {
            is_extended = true;
            s = item == first ? take_charset(s, charset, sizeof charset) : s;
            status = add_percent(s, &bytes);
        } else {
            status = fb_buf_add_slice(&bytes, s);
        }
        item = section < 0 ? NULL : find(p, name, ++section, true);
    }
    if (status == FB_OK && !is_extended) {
        status = render_words_decode(fb_slice_buf(&bytes), out);
    } else if (status == FB_OK) {
        size_t before = out->len;
        status = render_charset_to_utf8(fb_slice_buf(&bytes), charset, out);
        for (size_t i = before; i < out->len; i++) {
            if (out->ptr[i] < 0x20 || out->ptr[i] == 0x7F) {
                out->ptr[i] = ' ';
            }
        }
    }
    fb_buf_deinit(&bytes);
    return status;
}

/* Adds the decoded value to out.  FB_NOT_FOUND when it is absent. */
static enum fb_status get_value(const struct render_params *p, const char *name, struct fb_buf *out)
{
    const struct render_param *item = find(p, name, -1, false);
    if (item == NULL) {
        item = find(p, name, 0, true);
    }
    if (item != NULL) {
        return get_2231(p, name, item, out);
    }
    item = find(p, name, -1, true);
    return item != NULL ? render_words_decode(item->bytes, out) : FB_NOT_FOUND;
}

char *render_params_dup(const struct render_params *p, const char *name, size_t max)
{
    struct fb_buf out = {0};
    char *copy = NULL;
    fb_buf_init(&out, p->text.len * 4 + 64);
    if (get_value(p, name, &out) == FB_OK) {
        struct fb_slice s = fb_slice_buf(&out);
        copy = fb_slice_dup_str(fb_slice_sub(s, 0, render_utf8_cut(s, max)));
    }
    fb_buf_deinit(&out);
    return copy;
}

struct fb_slice render_params_raw(const struct render_params *p, const char *name)
{
    const struct render_param *item = find(p, name, -1, true);
    return item != NULL ? item->bytes : fb_slice_of(NULL, 0);
}
