/* SPDX-License-Identifier: Apache-2.0 */
#include "common/shown.h"

/* Bytes of a character at p that could deceive; 0 when it is none. */
static size_t trick_length(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;
    if (u[0] < 0x20 || u[0] == 0x7f) {
        return 1;
    }
    if ((u[0] == 0xC2 && u[1] >= 0x80 && u[1] <= 0x9F) || (u[0] == 0xD8 && u[1] == 0x9C)) {
        return 2;
    }
    bool is_format =
        u[0] == 0xE2 && ((u[1] == 0x80 && ((u[2] == 0x8B || u[2] == 0x8E || u[2] == 0x8F) ||
                                           (u[2] >= 0xA8 && u[2] <= 0xAE))) ||
                         (u[1] == 0x81 && u[2] >= 0xA0 && u[2] <= 0xAF));
    bool is_bom = u[0] == 0xEF && u[1] == 0xBB && u[2] == 0xBF;
    return is_format || is_bom ? 3 : 0;
}

static const char *entity(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

enum fb_status fb_shown_add(struct fb_buf *out, const char *text, bool is_html)
{
    enum fb_status s = FB_OK;
    while (*text != '\0' && s == FB_OK) {
        size_t trick = trick_length(text);
        const char *as = is_html ? entity(*text) : NULL;
        s = trick > 0    ? fb_buf_add_char(out, ' ')
            : as != NULL ? fb_buf_add_str(out, as)
                         : fb_buf_add_char(out, *text);
        text += trick > 0 ? trick : 1;
    }
    return s;
}
