/* SPDX-License-Identifier: Apache-2.0
 *
 * White on white: a newsletter writes white text on a dark picture that lies on its server.  The picture is not shown,
 * and without a colour in its place the text would not be, either. */
#include <ctype.h>
#include <string.h>

#include "services/render/html_prepare_steps.h"

#define MAX_LOOK 400 /* elements below the background that are looked at */
#define LIGHT    0xB0
#define DARK     "background-color:#4d576b;"

static int hex(uint8_t c)
{
    return isdigit(c) ? c - '0' : isxdigit(c) ? tolower(c) - 'a' + 10 : -1;
}

/* "#fff", "#f5f5f5", "white", "rgb(255, ...": as mails write it. */
static bool is_light(struct fb_slice v)
{
    v = fb_slice_trim(v);
    if (fb_slice_istarts(v, "white") || fb_slice_istarts(v, "ivory") ||
        fb_slice_istarts(v, "snow")) {
        return true;
    }
    if (fb_slice_istarts(v, "rgb(") || fb_slice_istarts(v, "rgba(")) {
        size_t numbers = 0;
        for (size_t i = 4; i < v.len && numbers < 3;) {
            long n = render_html_pixels(fb_slice_sub(v, i, SIZE_MAX));
            bool is_digit = isdigit(v.ptr[i]) != 0;
            if (is_digit && n < LIGHT) {
                return false;
            }
            numbers += is_digit;
            while (is_digit && i < v.len && isdigit(v.ptr[i])) {
                i++;
            }
            i += !is_digit;
        }
        return numbers == 3;
    }
    size_t digits = 0;
    while (v.len > 0 && v.ptr[0] == '#' && digits + 1 < v.len && hex(v.ptr[digits + 1]) >= 0) {
        digits++;
    }
    size_t step = digits == 6 || digits == 8 ? 2 : 1;
    bool is_all = digits == 3 || digits == 4 || step == 2;
    for (size_t i = 0; i < 3 && is_all; i++) {
        is_all = hex(v.ptr[1 + i * step]) >= LIGHT >> 4;
    }
    return is_all;
}

/* The value of a declaration; empty when it is not there.  "background-color" is not "color". */
static struct fb_slice value_of(struct fb_slice style, const char *name)
{
    for (size_t at = 0; at < style.len;) {
        size_t end = render_css_find(style, at, ";");
        struct fb_slice one = fb_slice_trim(fb_slice_sub(style, at, end - at));
        size_t colon = render_css_find(one, 0, ":");
        if (fb_slice_ieq_str(fb_slice_trim(fb_slice_sub(one, 0, colon)), name)) {
            return fb_slice_trim(fb_slice_sub(one, colon + 1, SIZE_MAX));
        }
        at = end + 1;
    }
    return fb_slice_str(NULL);
}

static bool has_light_text(const GumboNode *node)
{
    return is_light(value_of(render_html_attribute(node, "style"), "color")) ||
           (node->v.element.tag == GUMBO_TAG_BODY &&
            is_light(render_html_attribute(node, "text"))) ||
           (node->v.element.tag == GUMBO_TAG_FONT &&
            is_light(render_html_attribute(node, "color")));
}

static bool is_elsewhere(struct fb_slice url)
{
    return fb_slice_istarts(url, "http://") || fb_slice_istarts(url, "https://") ||
           fb_slice_istarts(url, "//");
}

/* Whether a picture of the web is all the background that it has. */
static bool has_lost(const GumboNode *node)
{
    struct fb_slice style = render_html_attribute(node, "style");
    struct fb_slice image = value_of(style, "background-image");
    struct fb_slice all = value_of(style, "background");
    bool is_lost = is_elsewhere(render_html_attribute(node, "background"));
    const struct fb_slice both[] = {image, all};
    for (size_t i = 0; i < 2; i++) {
        size_t at = fb_slice_find(both[i], FB_SLICE_LITERAL("url("));
        struct fb_slice url =
            fb_slice_trim(fb_slice_sub(both[i], at == SIZE_MAX ? both[i].len : at + 4, SIZE_MAX));
        bool is_quoted = url.len > 0 && (url.ptr[0] == '"' || url.ptr[0] == '\'');
        is_lost = is_lost || is_elsewhere(fb_slice_sub(url, is_quoted, SIZE_MAX));
    }
    /* A colour beside the picture stays when that goes. */
    bool has_colour =
        render_html_attribute(node, "bgcolor").len > 0 ||
        value_of(style, "background-color").len > 0 ||
        memchr(all.ptr != NULL ? all.ptr : (const uint8_t *)"", '#', all.len) != NULL ||
        fb_slice_find(all, FB_SLICE_LITERAL("rgb")) != SIZE_MAX;
    return is_lost && !has_colour;
}

const char *render_html_lost_background(const GumboNode *node)
{
    if (!has_lost(node)) {
        return "";
    }
    int looked = 0;
    for (const GumboNode *n = node; n != NULL && looked < MAX_LOOK; n = render_html_next(n, node)) {
        if (n->type == GUMBO_NODE_ELEMENT) {
            looked++;
            if (has_light_text(n)) {
                return DARK;
            }
        }
    }
    return "";
}
