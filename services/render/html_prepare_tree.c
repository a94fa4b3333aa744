/* SPDX-License-Identifier: Apache-2.0
 *
 * Walks gumbo's tree, without recursion, and writes the elements that are let through.  Others lose
 * their tags and keep their text; scripts, frames, plug-ins, media, SVG and form controls go with
 * all they hold. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "services/render/html_prepare_steps.h"

#define MAX_FRAMES 2000 /* trim leaves 400 levels; the parser adds some of its own */
#define MAX_CSS    (2U << 20)
#define LONG_WORD  40 /* letters without a place to break */
#define BREAK_EACH 20

enum fate { FATE_UNWRAP, FATE_KEEP, FATE_BLOCK, FATE_DROP };

static enum fate fate_of(GumboTag tag)
{
    switch (tag) {
    case GUMBO_TAG_SCRIPT:
    case GUMBO_TAG_TITLE:
    case GUMBO_TAG_META:
    case GUMBO_TAG_LINK:
    case GUMBO_TAG_BASE:
    case GUMBO_TAG_IFRAME:
    case GUMBO_TAG_FRAMESET:
    case GUMBO_TAG_FRAME:
    case GUMBO_TAG_NOFRAMES:
    case GUMBO_TAG_NOEMBED:
    case GUMBO_TAG_OBJECT:
    case GUMBO_TAG_EMBED:
    case GUMBO_TAG_APPLET:
    case GUMBO_TAG_PARAM:
    case GUMBO_TAG_SVG:
    case GUMBO_TAG_MATH:
    case GUMBO_TAG_VIDEO:
    case GUMBO_TAG_AUDIO:
    case GUMBO_TAG_SOURCE:
    case GUMBO_TAG_TRACK:
    case GUMBO_TAG_CANVAS:
    case GUMBO_TAG_TEMPLATE:
    case GUMBO_TAG_SELECT:
    case GUMBO_TAG_DATALIST:
    case GUMBO_TAG_INPUT:
    case GUMBO_TAG_AREA:
    case GUMBO_TAG_XMP:
        return FATE_DROP;
    case GUMBO_TAG_FORM:
    case GUMBO_TAG_DETAILS:
    case GUMBO_TAG_SUMMARY:
    case GUMBO_TAG_MARQUEE:
    case GUMBO_TAG_FIELDSET:
    case GUMBO_TAG_LEGEND:
        return FATE_BLOCK;
    default:
        return FATE_UNWRAP;
    }
}

static const char *const kept_names[] = {
    "a",      "abbr",     "acronym",    "address", "article", "aside",  "b",     "bdi",
    "bdo",    "big",      "blockquote", "br",      "caption", "center", "cite",  "code",
    "col",    "colgroup", "dd",         "del",     "dfn",     "dir",    "div",   "dl",
    "dt",     "em",       "figcaption", "figure",  "font",    "footer", "h1",    "h2",
    "h3",     "h4",       "h5",         "h6",      "header",  "hgroup", "hr",    "i",
    "ins",    "kbd",      "label",      "li",      "main",    "mark",   "menu",  "nav",
    "nobr",   "ol",       "p",          "pre",     "q",       "rb",     "rp",    "rt",
    "rtc",    "ruby",     "s",          "samp",    "section", "small",  "span",  "strike",
    "strong", "sub",      "sup",        "table",   "tbody",   "td",     "tfoot", "th",
    "thead",  "time",     "tr",         "tt",      "u",       "ul",     "var",   "wbr"};

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, *(const char *const *)b);
}

static bool is_kept(const char *name)
{
    return bsearch(name, kept_names, sizeof kept_names / sizeof kept_names[0], sizeof kept_names[0],
                   compare_names) != NULL;
}

/* For the plain second attempt: what becomes a span there. */
static bool is_inline(const char *name)
{
    static const char *const names[] = {
        "a",      "abbr", "acronym", "b",    "bdi",  "bdo", "big",   "cite",  "code", "del",
        "dfn",    "em",   "font",    "i",    "ins",  "kbd", "label", "mark",  "nobr", "q",
        "rb",     "rp",   "rt",      "rtc",  "ruby", "s",   "samp",  "small", "span", "strike",
        "strong", "sub",  "sup",     "time", "tt",   "u",   "var"};
    return bsearch(name, names, sizeof names / sizeof names[0], sizeof names[0], compare_names) !=
           NULL;
}

static bool is_void(GumboTag tag)
{
    return tag == GUMBO_TAG_BR || tag == GUMBO_TAG_HR || tag == GUMBO_TAG_COL ||
           tag == GUMBO_TAG_WBR;
}

static bool is_table_part(GumboTag tag)
{
    return tag == GUMBO_TAG_TABLE || tag == GUMBO_TAG_TBODY || tag == GUMBO_TAG_THEAD ||
           tag == GUMBO_TAG_TFOOT || tag == GUMBO_TAG_TR || tag == GUMBO_TAG_TD ||
           tag == GUMBO_TAG_TH || tag == GUMBO_TAG_CAPTION || tag == GUMBO_TAG_COL ||
           tag == GUMBO_TAG_COLGROUP;
}

struct frame {
    const GumboNode *node;
    unsigned next;
    const char *end_tag; /* NULL: nothing to close */
    bool is_table;
    enum render_symbols symbols;
};

struct walk {
    struct render_html *h;
    struct frame frames[MAX_FRAMES];
    int depth, written, tables;
    size_t elements;
    int run; /* letters since the last place to break */
};

/* Text; a long word gets places to break, so that a URL in a table does not make the whole letter
 * small. */
static enum fb_status put_words(struct walk *w, struct fb_slice text)
{
    struct fb_buf *out = &w->h->body;
    enum fb_status s = FB_OK;
    size_t from = 0;
    for (size_t i = 0; i < text.len && s == FB_OK; i++) {
        uint8_t c = text.ptr[i];
        if (isspace(c) || c >= 0xE2) { /* from U+2000 on scripts break by themselves */
            w->run = 0;
        } else if ((c & 0xC0) != 0x80 && ++w->run >= LONG_WORD &&
                   (w->run - LONG_WORD) % BREAK_EACH == 0) {
            s = render_html_escape(out, fb_slice_sub(text, from, i - from));
            s = s == FB_OK ? fb_buf_add_str(out, "<wbr>") : s;
            from = i;
        }
    }
    return s == FB_OK ? render_html_escape(out, fb_slice_sub(text, from, SIZE_MAX)) : s;
}

static enum fb_status put_text(struct walk *w, struct fb_slice text)
{
    enum render_symbols symbols = w->frames[w->depth - 1].symbols;
    if (symbols == RENDER_NO_SYMBOLS) {
        return put_words(w, text);
    }
    struct fb_buf unicode;
    fb_buf_init(&unicode, 4U * text.len + 1);
    enum fb_status s = render_html_symbol_text(symbols, text, &unicode);
    s = s == FB_OK ? put_words(w, fb_slice_buf(&unicode)) : s;
    fb_buf_deinit(&unicode);
    return s;
}

/* <style media="...">: as if it stood in an @media rule, of which render_css_sheet knows what to let through. */
static enum fb_status add_media_style(struct render_html *h, struct fb_slice media,
                                      struct fb_slice css)
{
    struct fb_buf sheet;
    if (render_css_find(media, 0, "{};<@") < media.len) {
        return FB_OK; /* no condition */
    }
    fb_buf_init(&sheet, media.len + css.len + 16);
    enum fb_status s = fb_buf_add_str(&sheet, "@media ");
    s = s == FB_OK ? fb_buf_add_slice(&sheet, media) : s;
    s = s == FB_OK ? fb_buf_add_str(&sheet, "{") : s;
    s = s == FB_OK ? fb_buf_add_slice(&sheet, css) : s;
    s = s == FB_OK ? render_css_sheet(h, fb_slice_buf(&sheet), &h->css) : s;
    fb_buf_deinit(&sheet);
    return s;
}

static enum fb_status add_style(struct render_html *h, const GumboNode *node)
{
    const GumboVector *children = &node->v.element.children;
    struct fb_slice media = render_html_attribute(node, "media");
    bool is_always =
        media.len == 0 || fb_slice_ieq_str(media, "all") || fb_slice_ieq_str(media, "screen");
    enum fb_status s = FB_OK;
    for (unsigned i = 0; i < children->length && s == FB_OK; i++) {
        const GumboNode *child = children->data[i];
        if (child->type == GUMBO_NODE_TEXT || child->type == GUMBO_NODE_WHITESPACE ||
            child->type == GUMBO_NODE_CDATA) {
            struct fb_slice css = fb_slice_str(child->v.text.text);
            s = is_always ? render_css_sheet(h, css, &h->css) : add_media_style(h, media, css);
        }
    }
    return s;
}

static void push(struct walk *w, const GumboNode *node, const char *end_tag, bool is_table)
{
    enum render_symbols parent = w->depth > 0 ? w->frames[w->depth - 1].symbols : RENDER_NO_SYMBOLS;
    w->frames[w->depth++] = (struct frame){.node = node,
                                           .end_tag = end_tag,
                                           .is_table = is_table,
                                           .symbols = render_html_symbols(node, parent)};
    w->written += end_tag != NULL;
    w->tables += is_table;
}

static enum fb_status open_element(struct walk *w, const GumboNode *node, struct fb_error *err)
{
    const GumboElement *e = &node->v.element;
    struct fb_buf *out = &w->h->body;
    enum fate fate = e->tag_namespace == GUMBO_NAMESPACE_HTML ? fate_of(e->tag) : FATE_DROP;
    if (w->depth >= MAX_FRAMES) {
        return fb_error_set(err, FB_TOO_BIG, "the HTML body is nested more than %d deep",
                            MAX_FRAMES);
    }
    if (++w->elements > 2U * RENDER_HTML_ELEMENTS) {
        return fb_error_set(err, FB_TOO_BIG, "the HTML body has more than %d elements",
                            RENDER_HTML_ELEMENTS);
    }
    if (e->tag == GUMBO_TAG_STYLE) {
        return add_style(w->h, node);
    }
    if (fate == FATE_DROP) {
        return FB_OK;
    }
    if (e->tag == GUMBO_TAG_IMG || e->tag == GUMBO_TAG_IMAGE) {
        w->run = 0;
        return render_html_image(w->h, node, out);
    }
    const char *name = e->tag != GUMBO_TAG_UNKNOWN ? gumbo_normalized_tagname(e->tag) : "";
    bool is_table = e->tag == GUMBO_TAG_TABLE;
    fate = fate == FATE_UNWRAP && is_kept(name) ? FATE_KEEP : fate;
    if (w->written >= RENDER_HTML_DEPTH ||
        (w->tables >= RENDER_HTML_TABLES && is_table_part(e->tag))) {
        fate = FATE_UNWRAP;
    }
    if (fate == FATE_UNWRAP) {
        push(w, node, NULL, is_table);
        return FB_OK;
    }
    name = fate == FATE_BLOCK ? "section" : name;
    if (w->h->is_plain && !is_table_part(e->tag) && !is_void(e->tag)) {
        name = is_inline(name) ? "span" : "div";
    }
    if (is_table_part(e->tag) || e->tag == GUMBO_TAG_DIV) {
        render_html_note_width(w->h, node);
    }
    enum fb_status s = fb_buf_printf(out, "<%s", name);
    const char *extra = render_html_lost_background(node);
    s = s == FB_OK ? render_html_attributes_and(w->h, node, extra, out) : s;
    s = s == FB_OK ? fb_buf_add_char(out, '>') : s;
    if (e->tag == GUMBO_TAG_PRE && s == FB_OK) {
        s = fb_buf_add_char(out, '\n'); /* the parser takes the first one away */
    }
    if (e->tag != GUMBO_TAG_SPAN && e->tag != GUMBO_TAG_FONT && e->tag != GUMBO_TAG_A) {
        w->run = 0;
    }
    if (s == FB_OK && !is_void(e->tag)) {
        push(w, node, name, is_table);
    }
    return s;
}

static enum fb_status close_element(struct walk *w)
{
    const struct frame *f = &w->frames[--w->depth];
    w->tables -= f->is_table;
    if (f->end_tag == NULL) {
        return FB_OK;
    }
    w->written--;
    return fb_buf_printf(&w->h->body, "</%s>", f->end_tag);
}

static enum fb_status step(struct walk *w, struct fb_error *err)
{
    struct frame *f = &w->frames[w->depth - 1];
    const GumboVector *children = &f->node->v.element.children;
    if (f->next >= children->length) {
        return close_element(w);
    }
    const GumboNode *child = children->data[f->next++];
    switch (child->type) {
    case GUMBO_NODE_ELEMENT:
        return open_element(w, child, err);
    case GUMBO_NODE_TEXT:
    case GUMBO_NODE_CDATA:
    case GUMBO_NODE_WHITESPACE:
        return put_text(w, fb_slice_str(child->v.text.text));
    default: /* comments, templates */
        return FB_OK;
    }
}

enum fb_status render_html_tree(struct render_html *h, const GumboNode *root, struct fb_error *err)
{
    struct walk *w = fb_xcalloc(1, sizeof *w);
    w->h = h;
    h->html_tag = root;
    const GumboVector *children = &root->v.element.children;
    for (unsigned i = 0; i < children->length; i++) {
        const GumboNode *child = children->data[i];
        if (child->type == GUMBO_NODE_ELEMENT && child->v.element.tag == GUMBO_TAG_BODY) {
            h->body_tag = child;
        }
    }
    push(w, root, NULL, false);
    enum fb_status s = FB_OK;
    while (w->depth > 0 && s == FB_OK) {
        s = step(w, err);
    }
    if (s == FB_OK && h->css.len > MAX_CSS) {
        s = fb_error_set(err, FB_TOO_BIG, "the HTML body has more than %u MiB of style sheets",
                         MAX_CSS >> 20);
    }
    free(w);
    return s;
}
