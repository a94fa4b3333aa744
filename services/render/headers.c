/* SPDX-License-Identifier: Apache-2.0
 *
 * Raw header fields and the notice's header block.
 */
#include "services/render/headers.h"

#include <string.h>

#include "services/render/words.h"

/* Length of the line at the start of s with its LF; all of s when there is none. */
static size_t line_length(struct fb_slice s)
{
    const uint8_t *lf = s.len > 0 ? memchr(s.ptr, '\n', s.len) : NULL;
    return lf != NULL ? (size_t)(lf - s.ptr) + 1 : s.len;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

/* Length of the field name in front of the colon; 0 when the line is none (RFC 5322 2.2, 4.5.3:
 * blanks before ':'). */
static size_t name_length(struct fb_slice line, size_t *colon_r)
{
    size_t n = 0;
    while (n < line.len && line.ptr[n] > 0x20 && line.ptr[n] < 0x7F && line.ptr[n] != ':') {
        n++;
    }
    size_t colon = n;
    while (colon < line.len && is_blank(line.ptr[colon])) {
        colon++;
    }
    if (n == 0 || colon >= line.len || line.ptr[colon] != ':') {
        return 0;
    }
    *colon_r = colon;
    return n;
}

static struct fb_slice without_line_end(struct fb_slice s)
{
    if (s.len > 0 && s.ptr[s.len - 1] == '\n') {
        s.len--;
    }
    if (s.len > 0 && s.ptr[s.len - 1] == '\r') {
        s.len--;
    }
    return s;
}

bool render_field_next(struct fb_slice *rest, struct render_field *f_r)
{
    while (rest->len > 0) {
        size_t n = line_length(*rest);
        size_t colon = 0;
        size_t name = name_length(fb_slice_sub(*rest, 0, n), &colon);
        while (n < rest->len && is_blank(rest->ptr[n])) {
            n += line_length(fb_slice_sub(*rest, n, rest->len));
        }
        struct fb_slice whole = fb_slice_sub(*rest, 0, n);
        *rest = fb_slice_sub(*rest, n, rest->len);
        if (name > 0) {
            f_r->name = fb_slice_sub(whole, 0, name);
            f_r->value = without_line_end(fb_slice_sub(whole, colon + 1, whole.len));
            f_r->whole = whole;
            return true;
        }
    }
    return false;
}

bool render_field_find(struct fb_slice head, const char *name, struct render_field *f_r)
{
    while (render_field_next(&head, f_r)) {
        if (fb_slice_ieq_str(f_r->name, name)) {
            return true;
        }
    }
    return false;
}

/* Fields that do not go into the notice, "prefix*" for a family. */
static const char *const dropped[] = {
    "MIME-Version", /* the notice brings its own MIME fields */
    "Content-*",
    "Lines",
    "DKIM-Signature", /* they sign a body that is no longer there; the relay signs anew */
    "ARC-*",
    "DomainKey-Signature",
    "X-Google-DKIM-Signature",
    "Authentication-Results", /* says that a signature was good which is broken now */
    "Bcc",                    /* never goes to recipients (RFC 5322 3.6.3) */
    "Resent-Bcc",
    "Return-Path",  /* the final MTA adds it (RFC 5321 4.4) */
    "X-Fumibako-*", /* ours: rewrite signs its own */
};

static bool is_dropped(struct fb_slice name)
{
    for (size_t i = 0; i < sizeof dropped / sizeof dropped[0]; i++) {
        size_t n = strlen(dropped[i]);
        if (dropped[i][n - 1] == '*') {
            char prefix[32] = "";
            memcpy(prefix, dropped[i], n - 1 < sizeof prefix ? n - 1 : 0);
            if (fb_slice_istarts(name, prefix)) {
                return true;
            }
        } else if (fb_slice_ieq_str(name, dropped[i])) {
            return true;
        }
    }
    return false;
}

/* Adds one field line by line: CRLF at the ends, bare CR and NUL left out, and lines of blanks
 * alone as well, which some MTAs take for the end of the header. */
static enum fb_status add_field(struct fb_slice whole, struct fb_buf *out)
{
    enum fb_status status = FB_OK;
    while (whole.len > 0 && status == FB_OK) {
        size_t n = line_length(whole);
        struct fb_slice line = without_line_end(fb_slice_sub(whole, 0, n));
        whole = fb_slice_sub(whole, n, whole.len);
        if (fb_slice_trim(line).len > 0) {
            status = render_words_unfold(line, out);
            if (status == FB_OK) {
                status = fb_buf_add_str(out, "\r\n");
            }
        }
    }
    return status;
}

enum fb_status render_head_build(struct fb_slice head, struct fb_buf *out)
{
    enum fb_status status = FB_OK;
    struct render_field f = {0};
    while (status == FB_OK && render_field_next(&head, &f)) {
        if (!is_dropped(f.name)) {
            status = add_field(f.whole, out);
        }
    }
    return status;
}

static size_t find_tag(struct fb_slice text, const char *tag)
{
    for (size_t i = 0; i < text.len; i++) {
        if (fb_slice_istarts(fb_slice_sub(text, i, text.len), tag)) {
            return i;
        }
    }
    return SIZE_MAX;
}

enum fb_status render_head_strip_tag(struct fb_slice raw, const char *tag, struct fb_buf *out)
{
    struct fb_buf text = {0};
    struct fb_buf rest = {0};
    fb_buf_init(&text, raw.len * 4 + 64);
    fb_buf_init(&rest, raw.len * 4 + 64);
    enum fb_status status = render_words_decode(raw, &text);
    struct fb_slice all = fb_slice_buf(&text);
    size_t at = status == FB_OK && tag[0] != '\0' ? find_tag(all, tag) : SIZE_MAX;
    if (status == FB_OK && at == SIZE_MAX) {
        status = fb_buf_add_slice(out, fb_slice_trim(raw));
    } else if (status == FB_OK) {
        size_t end = at + strlen(tag);
        while (end < all.len && is_blank(all.ptr[end])) {
            end++;
        }
        status = fb_buf_add_slice(&rest, fb_slice_sub(all, 0, at));
        if (status == FB_OK) {
            status = fb_buf_add_slice(&rest, fb_slice_sub(all, end, all.len));
        }
        if (status == FB_OK) {
            status = render_words_encode(fb_slice_trim(fb_slice_buf(&rest)), out);
        }
    }
    fb_buf_deinit(&rest);
    fb_buf_deinit(&text);
    return status;
}
