/* SPDX-License-Identifier: Apache-2.0
 *
 * Attributes and links of a mail.  Links: http, https, mailto, tel (a javascript: URL would live on in
 * the PDF). */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "services/render/html_prepare_steps.h"

#define MAX_LENGTH 10000 /* width=, height=...: as for lengths in CSS */
#define MAX_LINK   8192  /* longer than any browser's address line */

enum attribute { ATTR_TEXT, ATTR_WORD, ATTR_LENGTH, ATTR_COUNT, ATTR_COLOUR, ATTR_CLASS, ATTR_ID };

static const struct {
    const char *name;
    enum attribute kind;
} attributes[] = {
    {"abbr", ATTR_TEXT},          {"align", ATTR_WORD},
    {"alt", ATTR_TEXT},           {"bgcolor", ATTR_COLOUR},
    {"border", ATTR_LENGTH},      {"bordercolor", ATTR_COLOUR},
    {"cellpadding", ATTR_LENGTH}, {"cellspacing", ATTR_LENGTH},
    {"class", ATTR_CLASS},        {"clear", ATTR_WORD},
    {"color", ATTR_COLOUR},       {"colspan", ATTR_COUNT},
    {"datetime", ATTR_TEXT},      {"dir", ATTR_WORD},
    {"face", ATTR_TEXT},          {"frame", ATTR_WORD},
    {"headers", ATTR_TEXT},       {"height", ATTR_LENGTH},
    {"hspace", ATTR_LENGTH},      {"id", ATTR_ID},
    {"lang", ATTR_WORD},          {"noshade", ATTR_WORD},
    {"nowrap", ATTR_WORD},        {"reversed", ATTR_WORD},
    {"rowspan", ATTR_COUNT},      {"rules", ATTR_WORD},
    {"scope", ATTR_WORD},         {"size", ATTR_LENGTH},
    {"span", ATTR_COUNT},         {"start", ATTR_LENGTH},
    {"summary", ATTR_TEXT},       {"title", ATTR_TEXT},
    {"type", ATTR_WORD},          {"valign", ATTR_WORD},
    {"value", ATTR_LENGTH},       {"vspace", ATTR_LENGTH},
    {"width", ATTR_LENGTH},
};

enum fb_status render_html_escape(struct fb_buf *out, struct fb_slice text)
{
    enum fb_status s = FB_OK;
    size_t from = 0;
    for (size_t i = 0; i <= text.len && s == FB_OK; i++) {
        uint8_t c = i < text.len ? text.ptr[i] : 0;
        const char *as = c == '&'   ? "&amp;"
                         : c == '<' ? "&lt;"
                         : c == '>' ? "&gt;"
                         : c == '"' ? "&quot;"
                                    : "";
        bool is_control = (c < 0x20 && c != '\t' && c != '\n') || c == 0x7F;
        if (i == text.len || as[0] != '\0' || is_control) {
            s = i > from ? fb_buf_add(out, text.ptr + from, i - from) : FB_OK;
            s = s == FB_OK ? fb_buf_add_str(out, as) : s;
            from = i + 1;
        }
    }
    return s;
}

static enum fb_status put_attribute(struct fb_buf *out, const char *name, struct fb_slice value)
{
    enum fb_status s = fb_buf_printf(out, " %s=\"", name);
    s = s == FB_OK ? render_html_escape(out, value) : s;
    return s == FB_OK ? fb_buf_add_char(out, '"') : s;
}

struct fb_slice render_html_attribute(const GumboNode *node, const char *name)
{
    const GumboAttribute *a = gumbo_get_attribute(&node->v.element.attributes, name);
    return fb_slice_trim(fb_slice_str(a != NULL ? a->value : NULL));
}

long render_html_pixels(struct fb_slice value)
{
    long n = 0;
    size_t i = 0;
    for (; i < value.len && isdigit(value.ptr[i]) && n <= MAX_LENGTH; i++) {
        n = n * 10 + value.ptr[i] - '0';
    }
    return i < value.len && value.ptr[i] == '%' ? 0 : n;
}

static bool is_value_sane(enum attribute kind, struct fb_slice v)
{
    for (size_t i = 0; i < v.len; i++) {
        bool is_word = isalnum(v.ptr[i]) || v.ptr[i] == '-';
        if (((kind == ATTR_WORD || kind == ATTR_COUNT) && !is_word) ||
            (kind == ATTR_LENGTH && !is_word && strchr("%.*+ ", v.ptr[i]) == NULL) ||
            (kind == ATTR_COLOUR && !is_word && strchr("#(), %.", v.ptr[i]) == NULL)) {
            return false;
        }
    }
    switch (kind) {
    case ATTR_LENGTH:
        return v.len < 16 && render_html_pixels(v) <= MAX_LENGTH;
    case ATTR_COUNT:
        return render_html_pixels(v) <= 1000; /* colspan=1000000000 */
    case ATTR_COLOUR:
    case ATTR_WORD:
        return v.len < 64;
    default:
        return true;
    }
}

/* Classes without those of our own containers. */
static enum fb_status put_classes(struct fb_buf *out, struct fb_slice v)
{
    enum fb_status s = FB_OK;
    for (size_t at = 0; at < v.len && s == FB_OK;) {
        size_t end = at;
        while (end < v.len && !isspace(v.ptr[end])) {
            end++;
        }
        struct fb_slice word = fb_slice_sub(v, at, end - at);
        if (word.len > 0 && !fb_slice_istarts(word, "fb-")) {
            s = fb_buf_add_char(out, ' ');
            s = s == FB_OK ? render_html_escape(out, word) : s;
        }
        at = end + 1;
    }
    return s;
}

/* The URL of a link without the white space that browsers skip; empty when it is none that we keep.
 */
static enum fb_status put_link(struct fb_buf *out, struct fb_slice v)
{
    static const char *const schemes[] = {"http://", "https://", "mailto:", "tel:", "#"};
    struct fb_buf url;
    fb_buf_init(&url, MAX_LINK);
    enum fb_status s = FB_OK;
    for (size_t i = 0; i < v.len && s == FB_OK; i++) {
        if (v.ptr[i] > ' ' || (v.ptr[i] == ' ' && url.len > 0)) {
            s = fb_buf_add_char(&url, (char)v.ptr[i]);
        }
    }
    bool is_kept = false;
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0] && s == FB_OK; i++) {
        is_kept = is_kept || (fb_slice_istarts(fb_slice_buf(&url), schemes[i]) &&
                              url.len > strlen(schemes[i]));
    }
    if (s == FB_OK && is_kept) {
        s = put_attribute(out, "href", fb_slice_buf(&url));
    }
    fb_buf_deinit(&url);
    return s == FB_TOO_BIG && out->len < out->max ? FB_OK
                                                  : s; /* an endless link loses its target */
}

static enum fb_status put_style(struct render_html *h, struct fb_slice v, const char *extra,
                                struct fb_buf *out)
{
    struct fb_buf css;
    fb_buf_init(&css, v.len * 2 + 64 + RENDER_HTML_DATA_URL);
    enum fb_status s = render_css_declarations(h, v, &css);
    s = s == FB_OK ? fb_buf_add_str(&css, extra) : s;
    if (s == FB_OK && css.len > 0) {
        s = put_attribute(out, "style", fb_slice_buf(&css));
    }
    fb_buf_deinit(&css);
    return s;
}

static enum fb_status put_background(struct render_html *h, struct fb_slice v, struct fb_buf *out)
{
    size_t mark = out->len;
    enum fb_status s = fb_buf_add_str(out, " background=\"");
    s = s == FB_OK ? render_html_image_url(h, v, out) : s;
    s = s == FB_OK ? fb_buf_add_char(out, '"') : s;
    if (s == FB_NOT_FOUND) {
        out->len = mark;
        s = FB_OK;
    }
    return s;
}

static enum fb_status put_one(struct render_html *h, const GumboAttribute *a, bool is_link,
                              const char *extra, struct fb_buf *out)
{
    struct fb_slice v = fb_slice_trim(fb_slice_str(a->value));
    if (strcmp(a->name, "style") == 0) {
        return put_style(h, v, extra, out);
    }
    if (strcmp(a->name, "background") == 0) {
        return put_background(h, v, out);
    }
    if (is_link && strcmp(a->name, "href") == 0) {
        return put_link(out, v);
    }
    if (is_link && strcmp(a->name, "name") == 0 && !fb_slice_istarts(v, "fb-")) {
        return put_attribute(out, "id", v);
    }
    for (size_t i = 0; i < sizeof attributes / sizeof attributes[0]; i++) {
        enum attribute kind = attributes[i].kind;
        if (strcmp(a->name, attributes[i].name) != 0 || !is_value_sane(kind, v)) {
            continue;
        }
        if (kind == ATTR_CLASS) {
            enum fb_status s = fb_buf_add_str(out, " class=\"");
            s = s == FB_OK ? put_classes(out, v) : s;
            return s == FB_OK ? fb_buf_add_char(out, '"') : s;
        }
        if (kind == ATTR_ID && fb_slice_istarts(v, "fb-")) {
            return FB_OK;
        }
        return put_attribute(out, a->name, v);
    }
    return FB_OK;
}

enum fb_status render_html_attributes_and(struct render_html *h, const GumboNode *node,
                                          const char *extra, struct fb_buf *out)
{
    const GumboVector *list = &node->v.element.attributes;
    enum fb_status s = FB_OK;
    bool is_link = node->v.element.tag == GUMBO_TAG_A;
    bool has_style = false;
    for (unsigned i = 0; i < list->length && s == FB_OK; i++) {
        const GumboAttribute *a = list->data[i];
        has_style = has_style || strcmp(a->name, "style") == 0;
        s = put_one(h, a, is_link, extra, out);
    }
    return s == FB_OK && !has_style && extra[0] != '\0'
               ? put_attribute(out, "style", fb_slice_str(extra))
               : s;
}

enum fb_status render_html_container(struct render_html *h, const GumboNode *node,
                                     const char *own_class, struct fb_buf *out)
{
    enum fb_status s = fb_buf_printf(out, "<%s class=\"%s", own_class, own_class);
    if (node == NULL) {
        return s == FB_OK ? fb_buf_add_str(out, "\">") : s;
    }
    char extra[224] = "";
    struct fb_slice back = render_html_attribute(node, "bgcolor");
    struct fb_slice text = render_html_attribute(node, "text");
    if (back.len > 0 && is_value_sane(ATTR_COLOUR, back)) {
        (void)snprintf(extra, sizeof extra, "background-color:%.*s;", (int)back.len,
                       (const char *)back.ptr);
    }
    if (text.len > 0 && is_value_sane(ATTR_COLOUR, text)) {
        size_t n = strlen(extra);
        (void)snprintf(extra + n, sizeof extra - n, "color:%.*s;", (int)text.len,
                       (const char *)text.ptr);
    }
    size_t used = strlen(extra);
    (void)snprintf(extra + used, sizeof extra - used, "%s", render_html_lost_background(node));
    s = s == FB_OK ? put_classes(out, render_html_attribute(node, "class")) : s;
    s = s == FB_OK ? fb_buf_add_char(out, '"') : s;
    static const char *const kept[] = {"id", "dir", "lang", "style"};
    bool has_style = false;
    for (size_t i = 0; i < sizeof kept / sizeof kept[0] && s == FB_OK; i++) {
        const GumboAttribute *a = gumbo_get_attribute(&node->v.element.attributes, kept[i]);
        if (a != NULL) {
            has_style = has_style || strcmp(kept[i], "style") == 0;
            s = put_one(h, a, false, extra, out);
        }
    }
    if (s == FB_OK && !has_style && extra[0] != '\0') {
        s = put_attribute(out, "style", fb_slice_str(extra));
    }
    return s == FB_OK ? fb_buf_add_char(out, '>') : s;
}

/* "width: 900px" or "675pt" of a style attribute, in px; 0 without one, or when max-width tames it.
 */
static long style_width(struct fb_slice style)
{
    struct fb_slice name = FB_SLICE_LITERAL("width:");
    if (fb_slice_find(style, FB_SLICE_LITERAL("max-width")) != SIZE_MAX) {
        return 0;
    }
    size_t at = fb_slice_find(style, name);
    struct fb_slice value =
        fb_slice_trim(fb_slice_sub(style, at == SIZE_MAX ? style.len : at + name.len, 16));
    size_t digits = 0;
    while (digits < value.len && (isdigit(value.ptr[digits]) || value.ptr[digits] == '.')) {
        digits++;
    }
    struct fb_slice unit = fb_slice_sub(value, digits, 2);
    if (fb_slice_ieq_str(unit, "px")) {
        return render_html_pixels(value);
    }
    return fb_slice_ieq_str(unit, "pt") ? render_html_pixels(value) * 4 / 3 : 0;
}

void render_html_note_width(struct render_html *h, const GumboNode *node)
{
    struct fb_slice style = render_html_attribute(node, "style");
    long width = render_html_pixels(render_html_attribute(node, "width"));
    long styled = style_width(style);
    if (fb_slice_find(style, FB_SLICE_LITERAL("max-width")) != SIZE_MAX) {
        width = 0;
    }
    width = styled > 0 ? styled : width;
    h->widest = width > h->widest ? width : h->widest;
}
