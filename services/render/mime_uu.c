/* SPDX-License-Identifier: Apache-2.0 */
#include "services/render/mime_uu.h"

#include <string.h>

#include "proto/transfer.h"

static struct fb_slice take_line(struct fb_slice text, size_t *at)
{
    struct fb_slice rest = fb_slice_sub(text, *at, text.len);
    const uint8_t *lf = rest.len > 0 ? memchr(rest.ptr, '\n', rest.len) : NULL;
    size_t n = lf != NULL ? (size_t)(lf - rest.ptr) : rest.len;
    *at += lf != NULL ? n + 1 : n;
    struct fb_slice line = fb_slice_sub(rest, 0, n);
    if (line.len > 0 && line.ptr[line.len - 1] == '\r') {
        line.len--;
    }
    return line;
}

/* "begin 644 name": three or four octal digits. */
static bool read_begin(struct fb_slice line, struct fb_slice *name_r)
{
    size_t i = 6;
    if (line.len < 11 || memcmp(line.ptr, "begin ", 6) != 0) {
        return false;
    }
    while (i < line.len && line.ptr[i] >= '0' && line.ptr[i] <= '7') {
        i++;
    }
    if (i < 9 || i > 10 || i >= line.len || line.ptr[i] != ' ') {
        return false;
    }
    *name_r = fb_slice_trim(fb_slice_sub(line, i, line.len));
    return name_r->len > 0;
}

/* Reads the lines behind "begin"; true when "end" comes and all before it was data.  *at is behind
 * the last line read. */
static bool read_data(struct fb_slice text, size_t *at, struct fb_buf *bytes,
                      enum fb_status *status)
{
    bool is_over = false;
    while (*at < text.len && *status == FB_OK) {
        uint8_t out[72];
        struct fb_slice line = take_line(text, at);
        if (fb_slice_eq_str(line, "end")) {
            return bytes->len > 0;
        }
        if (is_over && line.len == 0) {
            continue;
        }
        int n = line.len > 80   ? -1
                : line.len == 0 ? 0
                                : fb_transfer_uu_line(line.ptr, line.len, out);
        if (n < 0 || (n > 0 && is_over)) {
            return false;
        }
        is_over = n == 0;
        *status = fb_buf_add(bytes, out, (size_t)n);
        if (*status ==
            FB_TOO_BIG) { /* "M" alone says 45 bytes: much more than was sent is no file */
            *status = FB_OK;
            return false;
        }
    }
    return false;
}

bool mime_uu_next(struct fb_slice text, size_t from, struct mime_uu_block *block_r,
                  enum fb_status *status)
{
    size_t at = from;
    fb_buf_init(&block_r->bytes, text.len + FB_TRANSFER_SLACK);
    while (at < text.len && *status == FB_OK) {
        size_t start = at;
        struct fb_slice line = take_line(text, &at);
        if (!read_begin(line, &block_r->name)) {
            continue;
        }
        fb_buf_clear(&block_r->bytes);
        if (read_data(text, &at, &block_r->bytes, status)) {
            block_r->start = start;
            block_r->end = at;
            return true;
        }
    }
    fb_buf_deinit(&block_r->bytes);
    return false;
}
