/* SPDX-License-Identifier: Apache-2.0 */
#include "services/rewrite/smtp_stuff.h"

#include <string.h>

void smtp_stuff_init(struct smtp_stuff *s)
{
    *s = (struct smtp_stuff){.is_line_start = true};
}

enum fb_status smtp_stuff_add(struct smtp_stuff *s, struct fb_slice in, struct fb_buf *out)
{
    enum fb_status st = FB_OK;
    if (in.len > 0 && memchr(in.ptr, '\0', in.len) != NULL) {
        return FB_INVALID;
    }
    while (in.len > 0 && st == FB_OK) {
        if (s->has_cr) {
            if (in.ptr[0] != '\n') {
                return FB_INVALID;
            }
            s->has_cr = false;
            s->is_line_start = true;
            st = fb_buf_add_char(out, '\n');
            in = fb_slice_sub(in, 1, SIZE_MAX);
            continue;
        }
        if (s->is_line_start && in.ptr[0] == '.') {
            st = fb_buf_add_char(out, '.');
        }
        const uint8_t *cr = memchr(in.ptr, '\r', in.len);
        size_t n = cr != NULL ? (size_t)(cr - in.ptr) + 1 : in.len;
        if (memchr(in.ptr, '\n', n) != NULL) {
            return FB_INVALID;
        }
        if (st == FB_OK) {
            st = fb_buf_add(out, in.ptr, n);
        }
        s->has_cr = cr != NULL;
        s->is_line_start = false;
        in = fb_slice_sub(in, n, SIZE_MAX);
    }
    return st;
}

enum fb_status smtp_stuff_end(struct smtp_stuff *s, struct fb_buf *out)
{
    if (s->has_cr) {
        return FB_INVALID;
    }
    return fb_buf_add_str(out, s->is_line_start ? ".\r\n" : "\r\n.\r\n");
}
