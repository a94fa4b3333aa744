/* SPDX-License-Identifier: Apache-2.0 */
#include "services/render/content_line.h"

#include <ctype.h>
#include <string.h>

#include "proto/transfer.h"
#include "services/render/charset.h"

void content_lines_init(struct content_lines *c, struct fb_slice bytes, const char *charset)
{
    *c = (struct content_lines){.rest = bytes, .charset = charset};
    fb_buf_init(&c->joined, CONTENT_VALUE_MAX);
    if (bytes.len >= 3 && memcmp(bytes.ptr, "\xEF\xBB\xBF", 3) == 0) {
        c->rest = fb_slice_sub(bytes, 3, SIZE_MAX);
    }
}

void content_lines_deinit(struct content_lines *c)
{
    fb_buf_deinit(&c->joined);
}

void content_line_deinit(struct content_line *line)
{
    fb_buf_deinit(&line->value);
}

static struct fb_slice take_raw(struct fb_slice *rest)
{
    const uint8_t *lf = rest->len > 0 ? memchr(rest->ptr, '\n', rest->len) : NULL;
    size_t n = lf != NULL ? (size_t)(lf - rest->ptr) : rest->len;
    struct fb_slice line = fb_slice_sub(*rest, 0, n);
    *rest = fb_slice_sub(*rest, lf != NULL ? n + 1 : n, SIZE_MAX);
    if (line.len > 0 && line.ptr[line.len - 1] == '\r') {
        line.len--;
    }
    return line;
}

static bool has_word(struct fb_slice params, const char *word)
{
    size_t n = strlen(word);
    for (size_t at = 0; at + n <= params.len; at++) {
        bool is_start = at == 0 || strchr(";=,\"", params.ptr[at - 1]) != NULL;
        bool is_end = at + n == params.len || strchr(";,\"", params.ptr[at + n]) != NULL;
        if (is_start && is_end && fb_slice_ieq_str(fb_slice_sub(params, at, n), word)) {
            return true;
        }
    }
    return false;
}

bool content_line_has_type(const struct content_line *line, const char *word)
{
    return has_word(line->types, word);
}

/* The ':' in front of the value: none inside of quotes. */
static size_t colon_of(struct fb_slice s)
{
    bool is_quoted = false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '"') {
            is_quoted = !is_quoted;
        } else if (s.ptr[i] == ':' && !is_quoted) {
            return i;
        }
    }
    return SIZE_MAX;
}

/* Joins a line with those that continue it: blanks in front of the next (RFC 6350 3.2), or, in
 * quoted-printable, "=" at its end.  False: too long. */
static bool join(struct content_lines *c, struct fb_slice line)
{
    size_t colon = colon_of(line);
    bool is_qp = colon != SIZE_MAX && has_word(fb_slice_sub(line, 0, colon), "QUOTED-PRINTABLE");
    fb_buf_clear(&c->joined);
    bool fits = fb_buf_add_slice(&c->joined, line) == FB_OK;
    for (;;) {
        bool is_soft = is_qp && c->joined.len > 0 && c->joined.ptr[c->joined.len - 1] == '=';
        bool is_folded =
            !is_soft && c->rest.len > 0 && (c->rest.ptr[0] == ' ' || c->rest.ptr[0] == '\t');
        if (c->rest.len == 0 || (!is_soft && !is_folded)) {
            return fits;
        }
        struct fb_slice next = take_raw(&c->rest);
        if (is_soft && fits) {
            c->joined.len--;
        }
        next = is_folded ? fb_slice_sub(next, 1, SIZE_MAX) : next;
        fits = fits && fb_buf_add_slice(&c->joined, next) == FB_OK;
        if (!fits) {
            is_qp = false; /* the rest is skipped by its blanks alone */
        }
    }
}

/* The value of CHARSET=. */
static void charset_of(struct fb_slice params, char out[48])
{
    size_t at = 0;
    out[0] = '\0';
    for (; at + 9 <= params.len; at++) {
        if (params.ptr[at] == ';' &&
            fb_slice_istarts(fb_slice_sub(params, at + 1, 8), "CHARSET=")) {
            break;
        }
    }
    size_t n = 0;
    for (at += 9; at < params.len && n < 47 && strchr(";\",", params.ptr[at]) == NULL; at++) {
        out[n++] = (char)params.ptr[at];
    }
    out[n] = '\0';
}

static bool read_value(struct content_lines *c, struct fb_slice raw, struct content_line *line)
{
    char charset[48];
    struct fb_buf bytes;
    fb_buf_init(&bytes, raw.len + FB_TRANSFER_SLACK + 1);
    charset_of(line->types, charset);
    bool is_qp = has_word(line->types, "QUOTED-PRINTABLE");
    enum fb_status s = fb_buf_reserve(&bytes, raw.len + FB_TRANSFER_SLACK);
    if (s == FB_OK && is_qp) {
        struct fb_transfer t;
        fb_transfer_init(&t, FB_ENC_QP);
        size_t n = fb_transfer_step(&t, raw.ptr, raw.len, bytes.ptr);
        bytes.len = n + fb_transfer_end(&t, bytes.ptr + n);
        raw = fb_slice_buf(&bytes);
    }
    if (s == FB_OK) {
        s = render_charset_to_utf8(raw, charset[0] != '\0' ? charset : c->charset, &line->value);
    }
    fb_buf_deinit(&bytes);
    return s == FB_OK;
}

static bool read_line(struct content_lines *c, struct content_line *line)
{
    struct fb_slice all = fb_slice_buf(&c->joined);
    size_t colon = colon_of(all);
    if (colon == SIZE_MAX || colon == 0) {
        return false;
    }
    size_t from = 0;
    size_t n = 0;
    size_t i = 0;
    for (; i < colon && all.ptr[i] != ';'; i++) {
        from = all.ptr[i] == '.' ? i + 1 : from;
    }
    for (size_t k = from; k < i && n + 1 < sizeof line->name; k++) {
        uint8_t ch = all.ptr[k];
        if (!isalnum(ch) && ch != '-' && ch != '_') {
            return false;
        }
        line->name[n++] = (char)toupper(ch);
    }
    line->name[n] = '\0';
    line->types = fb_slice_sub(all, i, colon - i);
    fb_buf_clear(&line->value);
    return n > 0 && read_value(c, fb_slice_sub(all, colon + 1, SIZE_MAX), line);
}

bool content_lines_next(struct content_lines *c, struct content_line *line)
{
    if (line->value.max == 0) {
        fb_buf_init(&line->value, 4U * CONTENT_VALUE_MAX);
    }
    while (c->rest.len > 0) {
        struct fb_slice raw = take_raw(&c->rest);
        if (raw.len > 0 && join(c, raw) && read_line(c, line)) {
            return true;
        }
    }
    return false;
}

bool content_value_next(struct fb_slice *rest, char stop, struct fb_buf *part)
{
    if (rest->ptr == NULL) {
        return false;
    }
    fb_buf_clear(part);
    size_t i = 0;
    enum fb_status s = FB_OK;
    for (; i < rest->len && rest->ptr[i] != (uint8_t)stop && s == FB_OK; i++) {
        uint8_t c = rest->ptr[i];
        if (c == '\\' && i + 1 < rest->len) {
            c = rest->ptr[++i];
            c = c == 'n' || c == 'N' ? '\n' : c;
        }
        s = fb_buf_add_char(part, (char)c);
    }
    bool is_last = i >= rest->len;
    *rest = is_last ? (struct fb_slice){0} : fb_slice_sub(*rest, i + 1, SIZE_MAX);
    return s == FB_OK;
}
