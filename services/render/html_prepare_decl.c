/* SPDX-License-Identifier: Apache-2.0
 *
 * CSS declarations by allow-list (CSS Syntax 3, read as far as needed): properties, functions, and
 * numbers that a page can hold.  A declaration that is not understood is left out whole; nothing is
 * repaired. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "services/render/html_prepare_steps.h"

#define MAX_NUMBER 10000 /* px, pt, em...: one huge length makes thousands of pages */

/* A name that ends in '*' stands for all that begin with it. */
static const char *const properties[] = {
    "--*",
    "align-*",
    "aspect-ratio",
    "background*",
    "border*",
    "bottom",
    "box-decoration-break",
    "box-shadow",
    "box-sizing",
    "break-*",
    "caption-side",
    "clear",
    "clip",
    "color",
    "column*",
    "content",
    "counter-*",
    "direction",
    "display",
    "empty-cells",
    "flex*",
    "float",
    "font",
    "font-*",
    "gap",
    "grid*",
    "height",
    "hyphens",
    "justify-*",
    "left",
    "letter-spacing",
    "line-break",
    "line-height",
    "list-style*",
    "margin*",
    "max-height",
    "max-width",
    "min-height",
    "min-width",
    "object-fit",
    "object-position",
    "opacity",
    "order",
    "orphans",
    "outline*",
    "overflow",
    "overflow-wrap",
    "overflow-x",
    "overflow-y",
    "padding*",
    "page-break-*",
    "place-*",
    "position",
    "quotes",
    "right",
    "row-gap",
    "tab-size",
    "table-layout",
    "text-*",
    "top",
    "transform",
    "transform-origin",
    "unicode-bidi",
    "vertical-align",
    "visibility",
    "white-space",
    "widows",
    "width",
    "word-break",
    "word-spacing",
    "word-wrap",
    "writing-mode",
    "z-index",
    "zoom",
};

static const char *const functions[] = {
    "rgb",
    "rgba",
    "hsl",
    "hsla",
    "hwb",
    "lab",
    "lch",
    "oklab",
    "oklch",
    "color",
    "color-mix",
    "calc",
    "min",
    "max",
    "clamp",
    "var",
    "linear-gradient",
    "radial-gradient",
    "conic-gradient",
    "repeating-linear-gradient",
    "repeating-radial-gradient",
    "-webkit-linear-gradient",
    "translate",
    "translatex",
    "translatey",
    "scale",
    "scalex",
    "scaley",
    "rotate",
    "skew",
    "skewx",
    "skewy",
    "matrix",
    "rect",
    "inset",
    "minmax",
    "repeat",
    "fit-content",
    "counter",
    "counters",
    "attr",
};

static bool is_ident(uint8_t c)
{
    return isalnum(c) || c == '-' || c == '_' || c >= 0x80;
}

static bool is_listed(struct fb_slice name, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t n = strlen(list[i]);
        bool is_prefix = list[i][n - 1] == '*';
        if (is_prefix
                ? name.len >= n - 1 && strncasecmp((const char *)name.ptr, list[i], n - 1) == 0
                : fb_slice_ieq_str(name, list[i])) {
            return true;
        }
    }
    return false;
}

size_t render_css_find(struct fb_slice css, size_t at, const char *stops)
{
    int level = 0;
    uint8_t quote = 0;
    for (; at < css.len; at++) {
        uint8_t c = css.ptr[at];
        if (c == '\\') {
            at++;
        } else if (quote != 0) {
            quote = c == quote ? 0 : quote;
        } else if (level == 0 && strchr(stops, c) != NULL) {
            return at;
        } else if (c == '"' || c == '\'') {
            quote = c;
        } else if (c == '(' || c == '[') {
            level++;
        } else if ((c == ')' || c == ']') && level > 0) {
            level--;
        } else if (c == '}') { /* a bracket that is never closed ends with its block */
            level = 0;
            if (strchr(stops, c) != NULL) {
                return at;
            }
        }
    }
    return css.len;
}

static size_t comment_end(struct fb_slice css, size_t at)
{
    size_t n = fb_slice_find(fb_slice_sub(css, at + 2, SIZE_MAX), FB_SLICE_LITERAL("*/"));
    return n == SIZE_MAX ? css.len : at + 2 + n + 2;
}

enum fb_status render_css_clean(struct fb_slice css, struct fb_buf *out)
{
    enum fb_status s = fb_buf_reserve(out, css.len + 1);
    uint8_t quote = 0;
    for (size_t i = 0; i < css.len && s == FB_OK;) {
        struct fb_slice rest = fb_slice_sub(css, i, SIZE_MAX);
        uint8_t c = css.ptr[i];
        if (quote == 0 && fb_slice_istarts(rest, "/*")) {
            i = comment_end(css, i);
            s = fb_buf_add_char(out, ' ');
            continue;
        }
        if (quote == 0 && (fb_slice_istarts(rest, "<!--") || fb_slice_istarts(rest, "-->"))) {
            i += c == '<' ? 4 : 3;
            continue;
        }
        i++;
        if (c == '\\') {
            if (i < css.len && css.ptr[i] >= 0x20) {
                s = fb_buf_add(out, css.ptr + i - 1, 2);
                i++;
            }
            continue;
        }
        if (quote != 0 && (c == '\n' || c == '\r' || c == '\f')) {
            s = fb_buf_add_char(out, (char)quote);
            quote = 0;
        } else if (quote != 0) {
            quote = c == quote ? 0 : quote;
        } else if (c == '"' || c == '\'') {
            quote = c;
        }
        if (s == FB_OK && c != '\0') {
            s = fb_buf_add_char(out, (char)(c < 0x20 || c == 0x7F ? ' ' : c));
        }
    }
    return s == FB_OK && quote != 0 ? fb_buf_add_char(out, (char)quote) : s;
}

/* url(...) that begins at `at`: writes what may stand for it; FB_NOT_FOUND when nothing may. */
static enum fb_status put_url(struct render_html *h, struct fb_slice v, size_t at, size_t *end_r,
                              struct fb_buf *out)
{
    size_t close = render_css_find(v, at + 4, ")");
    struct fb_slice url = fb_slice_trim(fb_slice_sub(v, at + 4, close - at - 4));
    *end_r = close < v.len ? close + 1 : close;
    if (url.len >= 2 && (url.ptr[0] == '"' || url.ptr[0] == '\'')) {
        if (url.ptr[url.len - 1] != url.ptr[0]) {
            return FB_NOT_FOUND;
        }
        url = fb_slice_sub(url, 1, url.len - 2);
    }
    enum fb_status s = fb_buf_add_str(out, "url(\"");
    s = s == FB_OK ? render_html_image_url(h, url, out) : s;
    return s == FB_OK ? fb_buf_add_str(out, "\")") : s;
}

/* A string as it is, but for what could end a <style> element. */
static enum fb_status put_string(struct fb_slice v, size_t at, size_t *end_r, struct fb_buf *out)
{
    size_t end = at + 1;
    enum fb_status s = fb_buf_add_char(out, (char)v.ptr[at]);
    while (end < v.len && s == FB_OK) {
        uint8_t c = v.ptr[end++];
        s = c == '<' ? fb_buf_add_str(out, "\\3c ") : fb_buf_add_char(out, (char)c);
        if (c == '\\' && end < v.len && s == FB_OK && v.ptr[end] != '<') {
            s = fb_buf_add_char(out, (char)v.ptr[end++]);
        } else if (c == v.ptr[at]) {
            *end_r = end;
            return s;
        }
    }
    *end_r = end;
    return s == FB_OK ? FB_NOT_FOUND : s; /* without its end */
}

/* A number with its unit; FB_NOT_FOUND when no page could hold it. */
static enum fb_status put_number(struct fb_slice v, size_t at, size_t *end_r, struct fb_buf *out)
{
    char digits[32] = "";
    size_t end = at;
    while (end < v.len && (isdigit(v.ptr[end]) || v.ptr[end] == '.')) {
        end++;
    }
    *end_r = end;
    if (end - at >= sizeof digits) {
        return FB_NOT_FOUND;
    }
    memcpy(digits, v.ptr + at, end - at);
    bool is_exponent = end + 1 < v.len && (v.ptr[end] == 'e' || v.ptr[end] == 'E') &&
                       (isdigit(v.ptr[end + 1]) || v.ptr[end + 1] == '+' || v.ptr[end + 1] == '-');
    if (is_exponent || strtod(digits, NULL) > MAX_NUMBER) {
        return FB_NOT_FOUND;
    }
    return fb_buf_add(out, v.ptr + at, end - at);
}

static enum fb_status put_word(struct render_html *h, struct fb_slice v, size_t at, size_t *end_r,
                               struct fb_buf *out)
{
    size_t end = at;
    while (end < v.len && is_ident(v.ptr[end])) {
        end++;
    }
    struct fb_slice word = fb_slice_sub(v, at, end - at);
    *end_r = end;
    if (end < v.len && v.ptr[end] == '(') {
        if (fb_slice_ieq_str(word, "url")) {
            return put_url(h, v, at, end_r, out);
        }
        if (!is_listed(word, functions, sizeof functions / sizeof functions[0])) {
            return FB_NOT_FOUND;
        }
    }
    return fb_buf_add_slice(out, word);
}

static enum fb_status put_value(struct render_html *h, struct fb_slice v, struct fb_buf *out)
{
    enum fb_status s = FB_OK;
    int level = 0;
    for (size_t i = 0; i < v.len && s == FB_OK;) {
        uint8_t c = v.ptr[i];
        if (c == '"' || c == '\'') {
            s = put_string(v, i, &i, out);
        } else if (c == '#') { /* a colour: its digits are no number */
            size_t end = i + 1;
            while (end < v.len && is_ident(v.ptr[end])) {
                end++;
            }
            s = fb_buf_add(out, v.ptr + i, end - i);
            i = end;
        } else if (isdigit(c) || (c == '.' && i + 1 < v.len && isdigit(v.ptr[i + 1]))) {
            s = put_number(v, i, &i, out);
        } else if (is_ident(c)) {
            s = c == '-' && i + 1 < v.len && (isdigit(v.ptr[i + 1]) || v.ptr[i + 1] == '.')
                    ? fb_buf_add_char(out, (char)v.ptr[i++])
                    : put_word(h, v, i, &i, out);
        } else if (c == '!') {
            struct fb_slice mark = fb_slice_trim(fb_slice_sub(v, i + 1, SIZE_MAX));
            s = fb_slice_ieq_str(mark, "important") ? fb_buf_add_str(out, "!important")
                                                    : FB_NOT_FOUND;
            i = v.len;
        } else if (strchr(" ,/()+*%.[]", c) != NULL) {
            level += c == '(' || c == '[' ? 1 : c == ')' || c == ']' ? -1 : 0;
            s = level < 0 ? FB_NOT_FOUND : fb_buf_add_char(out, (char)c);
            i++;
        } else { /* \ { } @ < > = : ; & and the like have no place in a value that we let through */
            s = FB_NOT_FOUND;
        }
    }
    return s == FB_OK && level != 0 ? FB_NOT_FOUND : s;
}

static bool starts_with_any(struct fb_slice v, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (fb_slice_istarts(v, *words)) {
            return true;
        }
    }
    return false;
}

static bool is_wanted(struct fb_slice name, struct fb_slice value)
{
    static const char *const places[] = {"static",  "relative", "absolute",
                                         "inherit", "initial",  NULL};
    static const char *const scrollers[] = {"auto", "scroll", "overlay", NULL};
    if (fb_slice_ieq_str(name, "position")) { /* fixed stands on every page, over everything */
        return starts_with_any(value, places);
    }
    if (fb_slice_istarts(name, "overflow") && !fb_slice_ieq_str(name, "overflow-wrap")) {
        return !starts_with_any(
            value, scrollers); /* paper does not scroll: the text behind the edge would be lost */
    }
    return is_listed(name, properties, sizeof properties / sizeof properties[0]);
}

static enum fb_status put_declaration(struct render_html *h, struct fb_slice d, struct fb_buf *out)
{
    const uint8_t *colon = memchr(d.ptr, ':', d.len);
    if (colon == NULL) {
        return FB_OK;
    }
    struct fb_slice name = fb_slice_trim(fb_slice_sub(d, 0, (size_t)(colon - d.ptr)));
    struct fb_slice value = fb_slice_trim(fb_slice_sub(d, (size_t)(colon - d.ptr) + 1, SIZE_MAX));
    for (size_t i = 0; i < name.len; i++) {
        if (!is_ident(name.ptr[i]) || name.ptr[i] >= 0x80) {
            return FB_OK;
        }
    }
    if (name.len == 0 || value.len == 0 || !is_wanted(name, value)) {
        return FB_OK;
    }
    size_t mark = out->len;
    enum fb_status s = fb_buf_add_slice(out, name);
    s = s == FB_OK ? fb_buf_add_char(out, ':') : s;
    s = s == FB_OK ? put_value(h, value, out) : s;
    s = s == FB_OK ? fb_buf_add_char(out, ';') : s;
    if (s == FB_NOT_FOUND) {
        out->len = mark;
        s = FB_OK;
    }
    return s;
}

enum fb_status render_css_declarations(struct render_html *h, struct fb_slice css,
                                       struct fb_buf *out)
{
    struct fb_buf clean;
    fb_buf_init(&clean, css.len * 2 + 16);
    enum fb_status s = render_css_clean(css, &clean);
    struct fb_slice in = fb_slice_buf(&clean);
    for (size_t at = 0; at < in.len && s == FB_OK;) {
        size_t end = render_css_find(in, at, ";{}");
        if (end < in.len && in.ptr[end] == '{') { /* a nested rule: left out with its block */
            size_t close = render_css_find(in, end + 1, "}");
            at = close < in.len ? close + 1 : close;
            continue;
        }
        s = put_declaration(h, fb_slice_sub(in, at, end - at), out);
        at = end + 1;
    }
    fb_buf_deinit(&clean);
    return s;
}
