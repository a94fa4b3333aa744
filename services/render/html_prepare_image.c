/* SPDX-License-Identifier: Apache-2.0
 *
 * Images of a mail: those it carries itself, and those that were fetched for it.  Any other becomes a box of its
 * size with its text, so that nobody learns when the mail was read, and a bomb is found by its header before anything
 * decodes it. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "services/render/html_prepare_steps.h"
#include "services/render/image_size.h"

#define MAX_PIXELS 120000000 /* all images of a letter: 480 MB when decoded */
#define TRACKER_PX 3
#define BOX_MAX    400 /* px, height of the box for an image that we do not show */
#define BOX_PAD_X  9   /* padding and border, as .fb-box in html_prepare_head.c has them */
#define BOX_PAD_Y  4
#define BOX_LINE   16 /* px of a line of its text */
#define BOX_LINES  12
#define BOX_WORD   48 /* px: narrower ones have no word of ours, and grow for one of the mail's */
#define BOX_ROOM_X 190
#define BOX_ROOM_Y 44

static int hex_digit(uint8_t c)
{
    return isdigit(c) ? c - '0' : isxdigit(c) ? tolower(c) - 'a' + 10 : -1;
}

/* Content-IDs are compared without case and with %XX decoded (RFC 2392). */
static bool is_same_cid(struct fb_slice url, const char *cid)
{
    size_t k = 0;
    size_t n = strlen(cid);
    for (size_t i = 0; i < url.len; i++, k++) {
        int c = url.ptr[i];
        if (c == '%' && i + 2 < url.len && hex_digit(url.ptr[i + 1]) >= 0 &&
            hex_digit(url.ptr[i + 2]) >= 0) {
            c = hex_digit(url.ptr[i + 1]) * 16 + hex_digit(url.ptr[i + 2]);
            i += 2;
        }
        if (k >= n || tolower(c) != tolower((uint8_t)cid[k])) {
            return false;
        }
    }
    return k == n && n > 0;
}

static bool take_pixels(struct render_html *h, struct fb_slice bytes)
{
    uint32_t width = 0;
    uint32_t height = 0;
    if (!render_image_is_safe(bytes) || !render_image_size(bytes, &width, &height)) {
        return false;
    }
    uint64_t n = (uint64_t)width * height;
    if (h->pixels + n > MAX_PIXELS) {
        return false;
    }
    h->pixels += n;
    return true;
}

static int base64_digit(uint8_t c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c != 0 ? strchr(digits, c) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

/* data:image/TYPE;base64,... with its bytes decoded to look at the size. */
static enum fb_status put_data_url(struct render_html *h, struct fb_slice url, struct fb_buf *out)
{
    static const char *const types[] = {"data:image/png;base64,", "data:image/jpeg;base64,",
                                        "data:image/jpg;base64,", "data:image/gif;base64,",
                                        "data:image/webp;base64,"};
    size_t at = 0;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        at = fb_slice_istarts(url, types[i]) ? strlen(types[i]) : at;
    }
    if (at == 0 || url.len > RENDER_HTML_DATA_URL) {
        return FB_NOT_FOUND;
    }
    struct fb_buf bytes;
    fb_buf_init(&bytes, url.len);
    enum fb_status s = fb_buf_add_slice(out, fb_slice_sub(url, 0, at));
    uint32_t bits = 0;
    int count = 0;
    for (size_t i = at; i < url.len && s == FB_OK; i++) {
        int d = base64_digit(url.ptr[i]);
        if (d < 0 && !isspace(url.ptr[i]) && url.ptr[i] != '=') {
            s = FB_NOT_FOUND;
        } else if (!isspace(url.ptr[i])) {
            s = fb_buf_add_char(out, (char)url.ptr[i]);
        }
        if (d >= 0 && s == FB_OK) {
            bits = bits << 6 | (uint32_t)d;
            if (++count % 4 != 1) {
                s = fb_buf_add_char(&bytes, (char)(bits >> (6 - 2 * ((count - 1) % 4)) & 0xFF));
            }
        }
    }
    if (s == FB_OK && !take_pixels(h, fb_slice_buf(&bytes))) {
        s = FB_NOT_FOUND;
    }
    fb_buf_deinit(&bytes);
    return s;
}

enum fb_status render_html_image_url(struct render_html *h, struct fb_slice url, struct fb_buf *out)
{
    const struct render_letter *l = h->letter;
    url = fb_slice_trim(url);
    if (fb_slice_istarts(url, "data:")) {
        return put_data_url(h, url, out);
    }
    struct fb_slice cid = fb_slice_istarts(url, "cid:") ? fb_slice_sub(url, 4, SIZE_MAX) : url;
    for (size_t i = 0; i < l->image_count && cid.len > 0; i++) {
        const struct render_image *image = &l->images[i];
        bool is_it = (image->cid != NULL && is_same_cid(cid, image->cid)) ||
                     (image->url != NULL && fb_slice_eq_str(url, image->url));
        if (!is_it) {
            continue;
        }
        if (!h->is_image_counted[i] && !take_pixels(h, fb_slice_buf(&l->images[i].bytes))) {
            return FB_NOT_FOUND;
        }
        h->is_image_counted[i] = true;
        return fb_buf_printf(out, "cid:%zu", h->image_base + i);
    }
    return FB_NOT_FOUND;
}

/* ---- the box in place of an image ---- */

/* A declaration of a style attribute in px or pt, in px; 0 without one.  "max-width" is not "width". */
static long styled(struct fb_slice style, const char *name)
{
    size_t n = strlen(name);
    for (size_t at = 0; at + n < style.len; at++) {
        bool is_start = at == 0 || style.ptr[at - 1] == ';' || isspace(style.ptr[at - 1]);
        if (!is_start || !fb_slice_istarts(fb_slice_sub(style, at, SIZE_MAX), name)) {
            continue;
        }
        struct fb_slice rest = fb_slice_trim(fb_slice_sub(style, at + n, SIZE_MAX));
        if (rest.len == 0 || rest.ptr[0] != ':') {
            continue;
        }
        rest = fb_slice_trim(fb_slice_sub(rest, 1, 16));
        size_t digits = 0;
        while (digits < rest.len && (isdigit(rest.ptr[digits]) || rest.ptr[digits] == '.')) {
            digits++;
        }
        struct fb_slice unit = fb_slice_sub(rest, digits, 2);
        long value = render_html_pixels(fb_slice_sub(rest, 0, digits));
        return fb_slice_ieq_str(unit, "px") && digits > 0   ? value
               : fb_slice_ieq_str(unit, "pt") && digits > 0 ? value * 4 / 3
                                                            : 0;
    }
    return 0;
}

static bool is_hidden(struct fb_slice style)
{
    static const char *const words[] = {"display:none", "display: none", "visibility:hidden",
                                        "visibility: hidden"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (fb_slice_find(style, fb_slice_str(words[i])) != SIZE_MAX) {
            return true;
        }
    }
    return false;
}

static bool is_tiny(const GumboNode *node, const char *name)
{
    struct fb_slice length = render_html_attribute(node, name);
    struct fb_slice style = render_html_attribute(node, "style");
    bool is_number =
        length.len > 0 && isdigit(length.ptr[0]) && memchr(length.ptr, '%', length.len) == NULL;
    long css = styled(style, name);
    return is_number ? render_html_pixels(length) <= TRACKER_PX : css > 0 && css <= TRACKER_PX;
}

bool render_html_is_counter(const GumboNode *node)
{
    return is_tiny(node, "width") || is_tiny(node, "height") ||
           is_hidden(render_html_attribute(node, "style"));
}

static bool is_remote(struct fb_slice url)
{
    return fb_slice_istarts(url, "http://") || fb_slice_istarts(url, "https://") ||
           fb_slice_istarts(url, "//");
}

struct box {
    long width, height; /* px; 0: as the text needs */
    struct fb_slice alt;
    const char *note; /* of ours, behind alt or in its place; "" for none */
};

/* How many lines of a box `width` px wide the text takes, about: at 8.5 pt a Latin letter has 6 px, a kanji 12. */
static long lines_of(struct fb_slice text, long width)
{
    long px = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        px += c < 0x80 ? 6 : c >= 0xE0 ? 12 : c >= 0xC0 ? 7 : 0;
    }
    long room = width - 2 * BOX_PAD_X;
    return px == 0 ? 0 : room <= 0 ? 1000 : (px + room - 1) / room;
}

/* A box is never smaller than its text: what would be cut makes it grow. */
static struct box box_of(const struct render_html *h, const GumboNode *node)
{
    struct fb_slice style = render_html_attribute(node, "style");
    struct box b = {.width = render_html_pixels(render_html_attribute(node, "width")),
                    .height = render_html_pixels(render_html_attribute(node, "height")),
                    .alt = render_html_attribute(node, "alt"),
                    .note = ""};
    b.width = b.width > TRACKER_PX ? b.width : styled(style, "width");
    b.height = b.height > TRACKER_PX ? b.height : styled(style, "height");
    b.width = b.width < RENDER_HTML_PAGE_PX ? b.width : RENDER_HTML_PAGE_PX;
    b.height = b.height < BOX_MAX ? b.height : BOX_MAX;
    bool ja = h->letter->is_japanese;
    if (b.alt.len == 0 && (b.width == 0 || b.width >= BOX_WORD)) {
        b.note = ja ? "画像" : "Image";
    }
    if (is_remote(render_html_attribute(node, "src")) && b.width >= BOX_ROOM_X &&
        b.height >= BOX_ROOM_Y) {
        b.note = b.alt.len > 0
                     ? (ja ? " （外部の画像は表示していません）" : " (remote image, not shown)")
                 : ja ? "外部の画像は表示していません"
                      : "Remote image, not shown";
    }
    long lines = lines_of(b.alt, b.width) + (b.note[0] != '\0');
    if (b.width > 0 && b.alt.len > 0 && (b.width < BOX_WORD || lines > BOX_LINES)) {
        b.width = 0;
    }
    if (b.height > 0 && lines * BOX_LINE + 2 * BOX_PAD_Y > b.height && lines > 0) {
        b.height = 0;
    }
    return b;
}

/* A box of the image's size with its text; nothing for what is there to count readers only. */
static enum fb_status put_box(struct render_html *h, const GumboNode *node, struct fb_buf *out)
{
    bool has_text = render_html_attribute(node, "alt").len > 0;
    if (is_hidden(render_html_attribute(node, "style")) ||
        (!has_text && render_html_is_counter(node))) {
        return FB_OK;
    }
    struct box b = box_of(h, node);
    enum fb_status s = fb_buf_add_str(out, "<span class=\"fb-box\" style=\"");
    if (s == FB_OK && b.width > 0) {
        s = fb_buf_printf(out, "width:%ldpx;", b.width);
    }
    if (s == FB_OK && b.height > 0) {
        s = fb_buf_printf(out, "height:%ldpx;", b.height);
    }
    s = s == FB_OK ? fb_buf_add_str(out, "\">") : s;
    s = s == FB_OK ? render_html_escape(out, b.alt) : s;
    s = s == FB_OK ? fb_buf_add_str(out, b.note) : s;
    return s == FB_OK ? fb_buf_add_str(out, "</span>") : s;
}

enum fb_status render_html_image(struct render_html *h, const GumboNode *node, struct fb_buf *out)
{
    size_t mark = out->len;
    char extra[96] = "";
    long width = render_html_pixels(render_html_attribute(node, "width"));
    long height = render_html_pixels(render_html_attribute(node, "height"));
    if (width > RENDER_HTML_PAGE_PX && height > 0) { /* made smaller by our style: in proportion */
        (void)snprintf(extra, sizeof extra, "height:auto;aspect-ratio:%ld / %ld;", width, height);
    }
    enum fb_status s = fb_buf_add_str(out, "<img src=\"");
    s = s == FB_OK ? render_html_image_url(h, render_html_attribute(node, "src"), out) : s;
    s = s == FB_OK ? fb_buf_add_char(out, '"') : s;
    s = s == FB_OK ? render_html_attributes_and(h, node, extra, out) : s;
    s = s == FB_OK ? fb_buf_add_char(out, '>') : s;
    if (s == FB_NOT_FOUND) {
        out->len = mark;
        return put_box(h, node, out);
    }
    return s;
}
