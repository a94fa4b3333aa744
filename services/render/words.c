/* SPDX-License-Identifier: Apache-2.0
 *
 * RFC 2047 both ways.
 */
#include "services/render/words.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "services/render/charset.h"
#include "proto/transfer.h"

#define WORD_MAX 8192 /* the RFC says 75; broken mailers write a whole subject as one word */

struct word {
    char charset[48];
    bool is_base64;
    struct fb_slice text;
    size_t length; /* of the whole "=?...?=" */
};

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

/* Reads an encoded-word at the start of s. */
static bool read_word(struct fb_slice s, struct word *w)
{
    size_t n = 2;
    size_t c = 0;
    if (s.len < 8 || s.ptr[0] != '=' || s.ptr[1] != '?') {
        return false;
    }
    while (n < s.len && s.ptr[n] != '?' && s.ptr[n] > ' ' && s.ptr[n] < 0x7F &&
           c + 1 < sizeof w->charset) {
        w->charset[c++] = (char)s.ptr[n++];
    }
    w->charset[c] = '\0';
    if (c == 0 || s.len - n < 5 || s.ptr[n] != '?' || s.ptr[n + 2] != '?') {
        return false;
    }
    uint8_t kind = s.ptr[n + 1] | 0x20;
    if (kind != 'b' && kind != 'q') {
        return false;
    }
    w->is_base64 = kind == 'b';
    n += 3;
    size_t end = fb_slice_find(fb_slice_sub(s, n, WORD_MAX), FB_SLICE_LITERAL("?="));
    if (end == SIZE_MAX) {
        return false;
    }
    w->text = fb_slice_sub(s, n, end);
    w->length = n + end + 2;
    return true;
}

static enum fb_status add_word_bytes(const struct word *w, struct fb_buf *bytes)
{
    struct fb_transfer t;
    uint8_t out[WORD_MAX + FB_TRANSFER_SLACK];
    uint8_t text[WORD_MAX];
    fb_transfer_init(&t, w->is_base64 ? FB_ENC_BASE64 : FB_ENC_QP);
    for (size_t i = 0; i < w->text.len; i++) {
        text[i] = !w->is_base64 && w->text.ptr[i] == '_' ? ' ' : w->text.ptr[i];
    }
    size_t n = fb_transfer_step(&t, text, w->text.len, out);
    n += fb_transfer_end(&t, out + n);
    return fb_buf_add(bytes, out, n);
}

enum fb_status render_words_unfold(struct fb_slice raw, struct fb_buf *out)
{
    enum fb_status status = FB_OK;
    size_t from = 0;
    for (size_t i = 0; raw.len > 0 && i <= raw.len && status == FB_OK; i++) {
        if (i == raw.len || raw.ptr[i] == '\r' || raw.ptr[i] == '\n' || raw.ptr[i] == '\0') {
            status = fb_buf_add(out, raw.ptr + from, i - from);
            from = i + 1;
        }
    }
    return status;
}

static enum fb_status flush_word(struct fb_buf *bytes, const char *charset, struct fb_buf *out)
{
    enum fb_status status =
        bytes->len > 0 ? render_charset_to_utf8(fb_slice_buf(bytes), charset, out) : FB_OK;
    fb_buf_clear(bytes);
    return status;
}

static bool is_all_blank(struct fb_slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!is_blank(s.ptr[i])) {
            return false;
        }
    }
    return true;
}

static enum fb_status decode_unfolded(struct fb_slice s, struct fb_buf *bytes, struct fb_buf *out)
{
    enum fb_status status = FB_OK;
    char charset[48] = "";
    size_t from = 0; /* start of the plain text that is not yet given */
    size_t at = 0;
    bool was_word = false;
    while (at < s.len && status == FB_OK) {
        struct word w = {0};
        if (s.ptr[at] != '=' || !read_word(fb_slice_sub(s, at, s.len), &w)) {
            at++;
            continue;
        }
        struct fb_slice gap = fb_slice_sub(s, from, at - from);
        bool is_joined = was_word && is_all_blank(gap);
        /* One character may be split between two words (forbidden, and done by many mailers). */
        if (!is_joined || strcasecmp(charset, w.charset) != 0) {
            status = flush_word(bytes, charset, out);
            (void)snprintf(charset, sizeof charset, "%s", w.charset);
        }
        if (status == FB_OK && !is_joined) {
            status = render_charset_to_utf8(gap, NULL, out);
        }
        if (status == FB_OK) {
            status = add_word_bytes(&w, bytes);
        }
        at += w.length;
        from = at;
        was_word = true;
    }
    if (status == FB_OK) {
        status = flush_word(bytes, charset, out);
    }
    if (status == FB_OK && !(was_word && is_all_blank(fb_slice_sub(s, from, s.len)))) {
        status = render_charset_to_utf8(fb_slice_sub(s, from, s.len), NULL, out);
    }
    return status;
}

enum fb_status render_words_decode(struct fb_slice raw, struct fb_buf *out)
{
    struct fb_buf line = {0};
    struct fb_buf bytes = {0};
    size_t before = out->len;
    fb_buf_init(&line, raw.len + 1);
    fb_buf_init(&bytes, raw.len + 1);
    enum fb_status status = render_words_unfold(raw, &line);
    if (status == FB_OK) {
        status = decode_unfolded(fb_slice_trim(fb_slice_buf(&line)), &bytes, out);
    }
    for (size_t i = before; i < out->len; i++) {
        if (out->ptr[i] < 0x20 || out->ptr[i] == 0x7F) {
            out->ptr[i] = ' '; /* an encoded line end must not become a header */
        }
    }
    fb_buf_deinit(&bytes);
    fb_buf_deinit(&line);
    return status;
}

size_t render_utf8_cut(struct fb_slice text, size_t max)
{
    if (text.len <= max) {
        return text.len;
    }
    while (max > 0 && (text.ptr[max] & 0xC0) == 0x80) {
        max--;
    }
    return max;
}

char *render_words_dup(struct fb_slice raw, size_t max)
{
    struct fb_buf text = {0};
    char *copy = NULL;
    fb_buf_init(&text, raw.len * 4 + 64);
    if (render_words_decode(raw, &text) == FB_OK) {
        struct fb_slice all = fb_slice_buf(&text);
        copy = fb_slice_dup_str(fb_slice_sub(all, 0, render_utf8_cut(all, max)));
    }
    fb_buf_deinit(&text);
    return copy;
}

static enum fb_status add_encoded_word(struct fb_slice s, bool is_first, struct fb_buf *out)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    enum fb_status status = is_first ? FB_OK : fb_buf_add_str(out, "\r\n ");
    if (status == FB_OK) {
        status = fb_buf_add_str(out, "=?UTF-8?B?");
    }
    for (size_t i = 0; i < s.len && status == FB_OK; i += 3) {
        uint32_t bits = (uint32_t)s.ptr[i] << 16;
        bits |= i + 1 < s.len ? (uint32_t)s.ptr[i + 1] << 8 : 0;
        bits |= i + 2 < s.len ? (uint32_t)s.ptr[i + 2] : 0;
        char quad[4] = {alphabet[bits >> 18], alphabet[bits >> 12 & 63], alphabet[bits >> 6 & 63],
                        alphabet[bits & 63]};
        if (i + 1 >= s.len) {
            quad[2] = '=';
        }
        if (i + 2 >= s.len) {
            quad[3] = '=';
        }
        status = fb_buf_add(out, quad, 4);
    }
    return status == FB_OK ? fb_buf_add_str(out, "?=") : status;
}

/* ASCII text: folded in front of a blank where a line would pass 76 characters. */
static enum fb_status add_folded(struct fb_slice s, struct fb_buf *out)
{
    enum fb_status status = FB_OK;
    size_t column = 9; /* "Subject: " */
    while (s.len > 0 && status == FB_OK) {
        size_t n = 1;
        while (n < s.len && !is_blank(s.ptr[n])) {
            n++;
        }
        /* A line of blanks alone is obsolete (RFC 5322 4.2): fold only in front of text. */
        if (is_blank(s.ptr[0]) && column + n > 76 && column > 9 && n > 1) {
            status = fb_buf_add_str(out, "\r\n");
            column = 0;
        }
        if (status == FB_OK) {
            status = fb_buf_add(out, s.ptr, n);
        }
        column += n;
        s = fb_slice_sub(s, n, s.len);
    }
    return status;
}

enum fb_status render_words_encode(struct fb_slice text, struct fb_buf *out)
{
    enum fb_status status = FB_OK;
    size_t plain = 0; /* leading ASCII words ("Re: ") stay readable */
    size_t i = 0;
    while (i < text.len && text.ptr[i] < 0x80) {
        plain = is_blank(text.ptr[i]) ? i + 1 : plain;
        i++;
    }
    bool has_word = fb_slice_find(text, FB_SLICE_LITERAL("=?")) != SIZE_MAX;
    if (i == text.len && !has_word) {
        return add_folded(text, out);
    }
    if (has_word || plain > 50) {
        plain = 0; /* text that looks like an encoded-word must not become one */
    }
    status = fb_buf_add(out, text.ptr, plain);
    text = fb_slice_sub(text, plain, text.len);
    /* 75 characters a word, and 78 a line with what stands before it: 45 bytes make 60 characters.
     */
    size_t room = plain > 0 ? 24 : 42;
    for (bool is_first = true; text.len > 0 && status == FB_OK; is_first = false) {
        size_t n = render_utf8_cut(text, room);
        n = n > 0 ? n : text.len;
        status = add_encoded_word(fb_slice_sub(text, 0, n), is_first, out);
        text = fb_slice_sub(text, n, text.len);
        room = 45;
    }
    return status;
}
