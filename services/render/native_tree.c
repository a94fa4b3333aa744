/* SPDX-License-Identifier: Apache-2.0
 *
 * From elements to boxes.  White space is collapsed here (CSS Text 3, 4.1), so that a text is what is
 * seen of it. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "services/render/native_internal.h"

#define PARAGRAPH        (32U << 10) /* bytes */
#define PIECE            8000        /* of a word */
#define MAX_ELEMENTS     60000       /* some 4 kB each when laid out */
#define AUDITED_DEPTH    100
#define AUDITED_ELEMENTS 20000
#define AUDITED_TABLES   4
#define AUDITED_SOFT     4 /* places to break that html_prepare_tree.c gave to long words */
#define BOX_FONT_PX      (8.5F * 96 / 72)

struct place { /* where the next content goes */
    struct nd_box *block;
    const char *href;
};

static struct nd_box *new_box(struct render_native *n, enum nd_kind kind,
                              const struct nd_style *style, struct nd_box *parent)
{
    struct nd_box *b = nd_alloc(n, sizeof *b);
    b->kind = kind;
    b->style = style;
    b->parent = parent;
    b->colspan = b->rowspan = 1;
    if (parent != NULL) {
        *(parent->last != NULL ? &parent->last->next : &parent->first) = b;
        parent->last = b;
    }
    return b;
}

/* ---- text ---- */

static void close_text(struct render_native *n)
{
    struct nd_text *t = n->text;
    n->text = NULL;
    if (t == NULL) {
        return;
    }
    bool is_collapsing = t->run_count == 0 || t->runs[t->run_count - 1].style->white < ND_PRE ||
                         t->runs[t->run_count - 1].style->white == ND_PRE_LINE;
    if (is_collapsing && t->text.len > 0 && t->text.ptr[t->text.len - 1] == ' ') {
        t->text.len--;
    }
    if (t->text.len > 0 && t->text.ptr[t->text.len - 1] == '\n') { /* the last <br> ends its line */
        t->text.len--;
    }
    while (t->run_count > 1 && t->runs[t->run_count - 1].start >= (int)t->text.len) {
        t->run_count--;
    }
}

static void free_text(void *text)
{
    fb_buf_deinit(&((struct nd_text *)text)->text);
}

static struct nd_text *open_text(struct render_native *n, const struct place *at)
{
    if (n->text == NULL) {
        struct nd_box *b = new_box(n, BOX_TEXT, nd_style_anonymous(n, at->block->style), at->block);
        b->text = n->text = nd_alloc(n, sizeof *b->text);
        n->text->style = at->block->style;
        fb_buf_init(&n->text->text, RENDER_HTML_MAX * 2U);
        nd_defer(n, free_text, n->text);
    }
    return n->text;
}

static void begin_run(struct render_native *n, struct nd_text *t, const struct nd_style *style,
                      const char *href, int object)
{
    const struct nd_run *last = t->run_count > 0 ? &t->runs[t->run_count - 1] : NULL;
    if (last != NULL && last->style == style && last->href == href && last->object < 0 &&
        object < 0) {
        return;
    }
    t->runs = nd_more(n, t->runs, (size_t)t->run_count, &t->run_room, sizeof *t->runs);
    t->runs[t->run_count++] = (struct nd_run){(int)t->text.len, style, href, object};
}

static void put(struct render_native *n, struct nd_text *t, const void *bytes, size_t len)
{
    if (fb_buf_add(&t->text, bytes, len) != FB_OK) {
        n->is_late = true; /* larger than any document that was prepared */
    }
}

static bool is_white(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static gunichar last_char(const struct nd_text *t)
{
    size_t at = t->text.len;
    while (at > 0 && (t->text.ptr[at - 1] & 0xC0) == 0x80) {
        at--;
    }
    return at > 0 ? g_utf8_get_char((const char *)t->text.ptr + at - 1) : 0;
}

static bool is_wide(gunichar c)
{
    bool is_hangul = (c >= 0xAC00 && c <= 0xD7AF) || (c >= 0x1100 && c <= 0x11FF);
    return c >= 0x2E80 && g_unichar_iswide(c) && !is_hangul;
}

/* White space from `from` to `end`: one blank, or nothing after another one, or between two characters
 * of Chinese or Japanese on two lines of the source (CSS Text 3, 4.1.3). */
static void put_blank(struct render_native *n, const struct place *at, const struct nd_style *style,
                      struct fb_slice s, size_t from, size_t end)
{
    struct nd_text *t = n->text;
    if (t == NULL || t->text.len == 0 || strchr(" \n", t->text.ptr[t->text.len - 1]) != NULL) {
        return;
    }
    bool is_line = memchr(s.ptr + from, '\n', end - from) != NULL;
    if (is_line && end < s.len && is_wide(last_char(t)) &&
        is_wide(g_utf8_get_char((const char *)s.ptr + end))) {
        return;
    }
    begin_run(n, t, style, at->href, -1);
    put(n, t, " ", 1);
}

static void put_piece(struct render_native *n, const struct place *at, const struct nd_style *style,
                      struct fb_slice s)
{
    struct nd_text *t = open_text(n, at);
    begin_run(n, t, style, at->href, -1);
    if (style->transform == 0) {
        put(n, t, s.ptr, s.len);
        return;
    }
    char *changed = style->transform == 1   ? g_utf8_strup((const char *)s.ptr, (gssize)s.len)
                    : style->transform == 2 ? g_utf8_strdown((const char *)s.ptr, (gssize)s.len)
                                            : g_strndup((const char *)s.ptr, s.len);
    if (style->transform == 3 && s.len > 0) {
        bool is_start = t->text.len == 0 || strchr(" \n(", t->text.ptr[t->text.len - 1]) != NULL;
        changed[0] = is_start ? (char)toupper((uint8_t)changed[0]) : changed[0];
    }
    put(n, t, changed, strlen(changed));
    g_free(changed);
}

/* Pango's time and memory grow faster than a paragraph: endless ones are laid out in pieces. */
static void split_text(struct render_native *n)
{
    if (n->text != NULL && n->text->text.len >= PARAGRAPH) {
        nd_note(n, ND_SIZE);
        close_text(n);
    }
}

/* Text as it is: lines kept. */
static void put_kept(struct render_native *n, const struct place *at, const struct nd_style *style,
                     struct fb_slice s)
{
    struct nd_text *t = open_text(n, at);
    begin_run(n, t, style, at->href, -1);
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '\n' && t->text.len >= PARAGRAPH) {
            split_text(n);
            t = open_text(n, at);
            begin_run(n, t, style, at->href, -1);
            continue;
        }
        if (s.ptr[i] != '\r') {
            put(n, t, s.ptr + i, 1);
        }
        t->has_break = t->has_break || s.ptr[i] == '\n';
    }
}

static void add_text(struct render_native *n, const struct place *at, const struct nd_style *style,
                     struct fb_slice s)
{
    for (size_t i = 0; i < s.len && !n->is_late;) { /* valid UTF-8: render_html_prepare says so */
        if (s.ptr[i] >= 0xC0) {
            nd_audit_char(n, g_utf8_get_char((const char *)s.ptr + i));
        }
        i += s.ptr[i] < 0x80 ? 1 : (size_t)g_utf8_skip[s.ptr[i]];
    }
    if (style->white == ND_PRE || style->white == ND_PRE_WRAP) {
        put_kept(n, at, style, s);
        return;
    }
    for (size_t i = 0; i < s.len && !n->is_late;) {
        size_t end = i;
        if (is_white(s.ptr[i])) {
            while (end < s.len && is_white(s.ptr[end])) {
                end++;
            }
            if (style->white == ND_PRE_LINE && memchr(s.ptr + i, '\n', end - i) != NULL) {
                put_kept(n, at, style, fb_slice_str("\n"));
            } else {
                put_blank(n, at, style, s, i, end);
            }
        } else {
            while (end < s.len && !is_white(s.ptr[end]) && end - i < PIECE) {
                end += s.ptr[end] < 0x80 ? 1 : (size_t)g_utf8_skip[s.ptr[end]];
            }
            split_text(n);
            put_piece(n, at, style, fb_slice_sub(s, i, end - i));
        }
        i = end;
    }
}

static void add_break(struct render_native *n, const struct place *at, const struct nd_style *style)
{
    struct nd_text *t = open_text(n, at);
    if (t->text.len > 0 && t->text.ptr[t->text.len - 1] == ' ') {
        t->text.len--;
    }
    begin_run(n, t, style, at->href, -1);
    put(n, t, "\n", 1);
    t->has_break = true;
}

/* ---- pictures ---- */

static void put_object(struct render_native *n, const struct place *at,
                       const struct nd_object *object)
{
    static const char mark[] = "\xEF\xBF\xBC";
    struct nd_text *t = open_text(n, at);
    t->objects =
        nd_more(n, t->objects, (size_t)t->object_count, &t->object_room, sizeof *t->objects);
    struct nd_object *o = &t->objects[t->object_count];
    *o = *object;
    o->at = (int)t->text.len;
    o->href = at->href;
    begin_run(n, t, o->style, at->href, t->object_count++);
    put(n, t, mark, sizeof mark - 1);
}

static void add_image(struct render_native *n, const struct place *at, const GumboNode *node,
                      const struct nd_style *parent)
{
    uint64_t outside = n->outside;
    const char *first = n->first_outside;
    struct nd_style *style = nd_style_of(n, node, parent);
    if ((outside & 1ULL << ND_INLINE_BLOCK) == 0 && (n->outside & 1ULL << ND_INLINE_BLOCK) != 0) {
        n->outside &= ~(1ULL << ND_INLINE_BLOCK); /* a picture is one in any case */
        n->first_outside = outside == 0 && n->outside == 0 ? NULL : first;
    }
    struct nd_object o = {.style = style,
                          .image = nd_image_of(n, nd_attribute(node, "src")),
                          .alt = nd_copy(n, nd_attribute(node, "alt")),
                          .width = style->width,
                          .height = style->height,
                          .max_width = style->max_width};
    if (style->display == ND_NONE) {
        n->outside = outside;
        n->first_outside = first;
        return;
    }
    if (style->display == ND_INLINE) {
        put_object(n, at, &o);
        return;
    }
    close_text(n);
    struct nd_box *b = new_box(n, BOX_IMAGE, style, at->block);
    b->object = nd_alloc(n, sizeof *b->object);
    *b->object = o;
    b->object->href = at->href;
}

static bool is_box(const GumboNode *node)
{
    struct fb_slice name = nd_attribute(node, "class");
    return node->v.element.tag == GUMBO_TAG_SPAN && fb_slice_eq_str(name, "fb-box");
}

/* What html_prepare_attr.c puts in place of a picture that is not shown. */
static void add_placeholder(struct render_native *n, const struct place *at, const GumboNode *node,
                            const struct nd_style *parent)
{
    struct nd_style *style = nd_style_anonymous(n, parent);
    style->display = ND_INLINE;
    style->family = "BIZ UDPGothic,Liberation Sans,sans-serif";
    style->font_px = BOX_FONT_PX;
    style->line_height = -1.35F;
    style->weight = 400;
    style->is_italic = false;
    style->decoration = 0;
    style->colour = 0x5D6675FF;
    style->align = ND_CENTER;
    style->white = ND_NORMAL;
    style->valign = ND_VMIDDLE;
    style->is_border_box = true;
    for (int i = 0; i < 4; i++) {
        style->padding[i] = (struct nd_length){i % 2 == 0 ? 3 : 8, ND_PX};
        style->border[i] = (struct nd_border){1, 0xCDD1D9FF, ND_SOLID, false};
    }
    nd_declare(n, nd_attribute(node, "style"), ND_PASS_NORMAL, parent, style);
    struct nd_object o = {.style = style,
                          .width = style->width,
                          .height = style->height,
                          .max_width = {100, ND_PERCENT}};
    struct nd_text *outer = n->text;
    struct nd_box inside = {.style = style};
    struct place within = {&inside, NULL};
    n->text = NULL;
    for (unsigned i = 0; i < node->v.element.children.length; i++) {
        const GumboNode *child = node->v.element.children.data[i];
        if (child->type == GUMBO_NODE_TEXT || child->type == GUMBO_NODE_WHITESPACE) {
            add_text(n, &within, style, fb_slice_str(child->v.text.text));
        }
    }
    o.words = n->text;
    close_text(n);
    n->text = outer;
    put_object(n, at, &o);
}

/* ---- elements ---- */

static bool is_audited(GumboTag tag)
{
    switch (tag) {
    case GUMBO_TAG_RUBY:
    case GUMBO_TAG_RB:
    case GUMBO_TAG_RT:
    case GUMBO_TAG_RTC:
    case GUMBO_TAG_RP:
    case GUMBO_TAG_Q:
    case GUMBO_TAG_BDO:
        return false;
    default:
        return true;
    }
}

static bool is_table_display(uint8_t display)
{
    return display >= ND_TABLE && display <= ND_COLUMN_GROUP;
}

static bool is_table_tag(GumboTag tag)
{
    return tag == GUMBO_TAG_TABLE || tag == GUMBO_TAG_TR || tag == GUMBO_TAG_TD ||
           tag == GUMBO_TAG_TH || tag == GUMBO_TAG_TBODY || tag == GUMBO_TAG_THEAD ||
           tag == GUMBO_TAG_TFOOT || tag == GUMBO_TAG_CAPTION || tag == GUMBO_TAG_COL ||
           tag == GUMBO_TAG_COLGROUP;
}

static uint8_t natural_display(GumboTag tag)
{
    switch (tag) {
    case GUMBO_TAG_TABLE:
        return ND_TABLE;
    case GUMBO_TAG_TR:
        return ND_ROW;
    case GUMBO_TAG_TD:
    case GUMBO_TAG_TH:
        return ND_CELL;
    case GUMBO_TAG_THEAD:
        return ND_HEAD_GROUP;
    case GUMBO_TAG_TFOOT:
        return ND_FOOT_GROUP;
    case GUMBO_TAG_TBODY:
        return ND_ROW_GROUP;
    case GUMBO_TAG_CAPTION:
        return ND_CAPTION;
    default:
        return ND_COLUMN;
    }
}

/* Only tables are tables, and nothing else is one. */
static void correct_display(struct render_native *n, GumboTag tag, struct nd_style *s)
{
    if (s->display == ND_NONE) {
        return;
    }
    if (is_table_tag(tag) && tag != GUMBO_TAG_COLGROUP && s->display != natural_display(tag)) {
        nd_note(n, ND_DISPLAY);
        s->display = natural_display(tag);
    } else if (!is_table_tag(tag) && is_table_display(s->display)) {
        nd_note(n, ND_DISPLAY);
        s->display = ND_BLOCK;
    }
}

static void audit_inline(struct render_native *n, const struct nd_style *s)
{
    bool is_boxed = s->border[ND_TOP].width > 0 || s->border[ND_LEFT].width > 0 ||
                    s->border[ND_BOTTOM].width > 0 || s->border[ND_RIGHT].width > 0;
    for (int side = ND_RIGHT; side <= ND_LEFT; side += 2) {
        is_boxed = is_boxed || s->margin[side].v != 0 || s->padding[side].v != 0;
    }
    if (s->background != 0 && (s->padding[ND_TOP].v != 0 || s->padding[ND_BOTTOM].v != 0)) {
        is_boxed = true;
    }
    if (is_boxed) {
        nd_note(n, ND_INLINE_BOX);
    }
}

static int whole_number(struct fb_slice v, int other)
{
    size_t used = 0;
    float number = nd_number(v, &used);
    return used > 0 && number > -1e6F && number < 1e6F ? (int)number : other;
}

static void number_item(struct render_native *n, const GumboNode *node, struct nd_box *item)
{
    struct nd_box *list = item->parent;
    while (list != NULL && list->tag != GUMBO_TAG_OL && list->tag != GUMBO_TAG_UL &&
           list->kind == BOX_BLOCK) {
        list = list->parent;
    }
    int number = list != NULL && list->kind == BOX_BLOCK ? ++list->column : 1;
    number = whole_number(nd_attribute(node, "value"), number);
    if (list != NULL && list->kind == BOX_BLOCK) {
        list->column = number;
    }
    item->marker = nd_marker(n, item->style->list, number);
}

static void add_children(struct render_native *n, const struct place *at, const GumboNode *node,
                         const struct nd_style *style);

static struct nd_box *box_of(struct render_native *n, const struct place *at, const GumboNode *node,
                             const struct nd_style *style)
{
    static const enum nd_kind kinds[] = {
        [ND_INLINE] = BOX_BLOCK,     [ND_BLOCK] = BOX_BLOCK,     [ND_LIST_ITEM] = BOX_BLOCK,
        [ND_TABLE] = BOX_TABLE,      [ND_ROW_GROUP] = BOX_GROUP, [ND_HEAD_GROUP] = BOX_GROUP,
        [ND_FOOT_GROUP] = BOX_GROUP, [ND_ROW] = BOX_ROW,         [ND_CELL] = BOX_CELL,
        [ND_CAPTION] = BOX_CAPTION,  [ND_COLUMN] = BOX_GROUP,    [ND_COLUMN_GROUP] = BOX_GROUP,
        [ND_NONE] = BOX_BLOCK};
    GumboTag tag = node->v.element.tag;
    struct nd_box *b =
        new_box(n, tag == GUMBO_TAG_HR ? BOX_RULE : kinds[style->display], style, at->block);
    b->tag = tag;
    b->group = style->display;
    if (b->kind == BOX_CELL || style->display == ND_COLUMN) {
        int span = whole_number(nd_attribute(node, b->kind == BOX_CELL ? "colspan" : "span"), 1);
        int rows = whole_number(nd_attribute(node, "rowspan"), 1);
        if (span > ND_MAX_SPAN || rows > ND_MAX_SPAN || rows == 0) {
            nd_note(n, ND_TABLE_SPAN);
        }
        b->colspan = span < 1 ? 1 : span > ND_MAX_SPAN ? ND_MAX_SPAN : span;
        b->rowspan = rows < 1 ? 1 : rows > ND_MAX_SPAN ? ND_MAX_SPAN : rows;
    }
    if (tag == GUMBO_TAG_OL) {
        b->column = whole_number(nd_attribute(node, "start"), 1) - 1;
        if (gumbo_get_attribute(&node->v.element.attributes, "reversed") != NULL) {
            nd_note(n, ND_LIST_STYLE);
        }
    }
    return b;
}

static void add_block(struct render_native *n, const struct place *at, const GumboNode *node,
                      const struct nd_style *style)
{
    struct place inside = *at;
    close_text(n);
    inside.block = box_of(n, at, node, style);
    if (style->display == ND_LIST_ITEM) {
        number_item(n, node, inside.block);
        if (style->is_list_inside && inside.block->marker != NULL) {
            add_text(n, &inside, style, fb_slice_str(inside.block->marker));
            put_kept(n, &inside, style, fb_slice_str(" "));
            inside.block->marker = NULL;
        }
    }
    bool is_table = style->display == ND_TABLE;
    n->tables += is_table;
    if (n->tables > AUDITED_TABLES) {
        nd_note(n, ND_TABLE_DEPTH);
    }
    if (style->display != ND_COLUMN && node->v.element.tag != GUMBO_TAG_HR) {
        add_children(n, &inside, node, style);
    }
    n->tables -= is_table;
    if (inside.block->first == NULL && inside.block->marker != NULL) {
        (void)open_text(n, &inside); /* an empty item has a line all the same */
    }
    close_text(n);
}

static const char *link_of(struct render_native *n, const GumboNode *node, const char *outer)
{
    struct fb_slice href = nd_attribute(node, "href");
    if (node->v.element.tag != GUMBO_TAG_A || href.len == 0) {
        return outer;
    }
    if (href.ptr[0] == '#') { /* a place within the mail */
        return NULL;
    }
    char uri[2200];
    render_page_uri("", href, uri, sizeof uri);
    return nd_copy(n, fb_slice_str(uri));
}

static void add_element(struct render_native *n, const struct place *at, const GumboNode *node,
                        const struct nd_style *parent)
{
    GumboTag tag = node->v.element.tag;
    if (++n->elements > AUDITED_ELEMENTS) {
        nd_note(n, ND_SIZE);
    }
    n->is_late = n->is_late || n->elements > MAX_ELEMENTS;
    if (tag == GUMBO_TAG_BR) {
        add_break(n, at, parent);
    } else if (tag == GUMBO_TAG_WBR) {
        if (n->text != NULL) {
            struct nd_text *t = n->text;
            t->soft = nd_more(n, t->soft, (size_t)t->soft_count, &t->soft_room, sizeof *t->soft);
            t->soft[t->soft_count++] = (int)t->text.len;
            if (t->soft_count > AUDITED_SOFT) {
                nd_note(n, ND_LONG_WORD);
            }
        }
    } else if (tag == GUMBO_TAG_IMG) {
        add_image(n, at, node, parent);
    } else if (is_box(node)) {
        add_placeholder(n, at, node, parent);
    } else {
        uint64_t outside = n->outside;
        const char *first = n->first_outside;
        struct nd_style *style = nd_style_of(n, node, parent);
        if (style->display == ND_NONE) { /* then it does not matter what else it is */
            n->outside = outside;
            n->first_outside = first;
            return;
        }
        struct place inside = {at->block, link_of(n, node, at->href)};
        if (!is_audited(tag)) {
            nd_note(n, ND_ELEMENT);
        }
        correct_display(n, tag, style);
        if (style->display == ND_INLINE) {
            audit_inline(n, style);
            add_children(n, &inside, node, style);
        } else {
            add_block(n, &inside, node, style);
        }
    }
}

static void add_children(struct render_native *n, const struct place *at, const GumboNode *node,
                         const struct nd_style *style)
{
    const GumboVector *children = &node->v.element.children;
    if (++n->depth > ND_MAX_DEPTH || nd_is_late(n)) {
        n->is_late = true;
        return;
    }
    if (n->depth > AUDITED_DEPTH) {
        nd_note(n, ND_DEPTH);
    }
    for (unsigned i = 0; i < children->length && !n->is_late; i++) {
        const GumboNode *child = children->data[i];
        if (n->is_audit_only && n->outside != 0) {
            break; /* somebody else paints it */
        }
        if (child->type == GUMBO_NODE_ELEMENT) {
            add_element(n, at, child, style);
        } else if (child->type == GUMBO_NODE_TEXT || child->type == GUMBO_NODE_WHITESPACE ||
                   child->type == GUMBO_NODE_CDATA) {
            bool is_loose =
                at->block->kind == BOX_TABLE || at->block->kind == BOX_GROUP ||
                at->block->kind == BOX_ROW; /* only white space: the parser sees to it */
            if (!is_loose && !style->is_hidden) {
                add_text(n, at, style, fb_slice_str(child->v.text.text));
            }
        }
    }
    n->depth--;
}

void nd_build(struct render_native *n, const GumboNode *mail)
{
    struct nd_style *style = nd_style_root(n);
    n->root = new_box(n, BOX_BLOCK, style, NULL);
    struct place at = {n->root, NULL};
    add_children(n, &at, mail, style);
    close_text(n);
}
