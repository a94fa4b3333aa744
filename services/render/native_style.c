/* SPDX-License-Identifier: Apache-2.0
 *
 * The cascade of one element: what is inherited, the defaults of its tag (Chromium's, and those of
 * html_prepare_head.c), legacy attributes, the mail's rules, its style attribute, !important. */
#include <ctype.h>
#include <string.h>

#include "services/render/html_prepare_steps.h"
#include "services/render/native_internal.h"

#define FAMILY_EN   "Liberation Sans,BIZ UDPGothic,sans-serif"
#define FAMILY_JA   "BIZ UDPGothic,Liberation Sans,sans-serif"
#define FAMILY_PRE  "BIZ UDGothic,Liberation Mono,monospace"
#define MAX_MATCHES 400

static struct nd_length px(float v)
{
    return (struct nd_length){v, ND_PX};
}

static void clear_own(struct nd_style *s)
{
    s->own_decoration = 0;
    s->display = ND_INLINE;
    s->valign = ND_BASELINE;
    s->valign_px = 0;
    s->breaks_before = s->breaks_after = s->avoids_break = false;
    s->is_border_box = s->is_fixed_layout = false;
    s->background = 0;
    for (int i = 0; i < 4; i++) {
        s->margin[i] = px(0);
        s->padding[i] = px(0);
        s->border[i] = (struct nd_border){.width = 3, .is_current = true};
    }
    s->width = s->height = s->min_width = s->max_width = s->min_height = (struct nd_length){0};
    s->radius = 0;
}

struct nd_style *nd_style_anonymous(struct render_native *n, const struct nd_style *parent)
{
    struct nd_style *s = nd_alloc(n, sizeof *s);
    *s = *parent;
    clear_own(s);
    s->display = ND_BLOCK;
    return s;
}

struct nd_style *nd_style_root(struct render_native *n)
{
    struct nd_style *s = nd_alloc(n, sizeof *s);
    clear_own(s);
    s->display = ND_BLOCK;
    s->family = n->is_japanese ? FAMILY_JA : FAMILY_EN;
    s->font_px = 14;
    s->weight = 400;
    s->colour = 0x1A1C21FF;
    s->line_height = -1.5F;
    s->spacing = 0;
    return s;
}

/* ---- defaults of the tags ---- */

static void vertical_margins(struct nd_style *s, float em)
{
    s->margin[ND_TOP] = s->margin[ND_BOTTOM] = px(s->font_px * em);
}

static void heading(struct nd_style *s, float size, float margin)
{
    s->display = ND_BLOCK;
    s->weight = 700;
    s->font_px *= size;
    vertical_margins(s, margin);
}

static void list_defaults(const GumboNode *node, struct nd_style *s)
{
    GumboTag tag = node->v.element.tag;
    int depth = 0;
    int bullets = 0;
    for (const GumboNode *up = node->parent;
         up != NULL && up->type == GUMBO_NODE_ELEMENT && depth < 4; up = up->parent) {
        depth += nd_is_list(up->v.element.tag);
        bullets += nd_is_list(up->v.element.tag) && up->v.element.tag != GUMBO_TAG_DL;
    }
    s->display = ND_BLOCK;
    if (depth == 0) {
        vertical_margins(s, 1);
    }
    if (tag != GUMBO_TAG_DL) {
        s->padding[ND_LEFT] = px(40);
        s->list = tag == GUMBO_TAG_OL ? ND_DECIMAL
                  : bullets == 0      ? ND_DISC
                  : bullets == 1      ? ND_CIRCLE
                                      : ND_SQUARE;
    }
}

static void monospace(struct nd_style *s)
{
    s->family = "monospace";
}

static void table_defaults(GumboTag tag, struct nd_style *s)
{
    switch (tag) {
    case GUMBO_TAG_TABLE:
        s->display = ND_TABLE;
        s->is_border_box = true;
        s->spacing = 2;
        s->is_collapsed = false;
        s->indent = 0;
        if (s->align_blocks != ND_START) { /* <center> centres the table, not what is in it */
            s->align = s->align_blocks = ND_START;
        }
        for (int i = 0; i < 4; i++) {
            s->border[i].colour = 0x808080FF;
            s->border[i].is_current = false;
        }
        break;
    case GUMBO_TAG_THEAD:
    case GUMBO_TAG_TFOOT:
    case GUMBO_TAG_TBODY:
        s->display = tag == GUMBO_TAG_THEAD   ? ND_HEAD_GROUP
                     : tag == GUMBO_TAG_TFOOT ? ND_FOOT_GROUP
                                              : ND_ROW_GROUP;
        s->valign = ND_VMIDDLE;
        break;
    case GUMBO_TAG_TR:
        s->display = ND_ROW;
        break;
    case GUMBO_TAG_TH:
    case GUMBO_TAG_TD:
        s->display = ND_CELL;
        for (int i = 0; i < 4; i++) {
            s->padding[i] = px(1);
        }
        if (tag == GUMBO_TAG_TH) {
            s->weight = 700;
            s->align = s->align == ND_START ? ND_CENTER : s->align;
        }
        break;
    case GUMBO_TAG_CAPTION:
        s->display = ND_CAPTION;
        s->align = s->align_blocks = ND_CENTER;
        break;
    case GUMBO_TAG_COL:
        s->display = ND_COLUMN;
        break;
    default:
        s->display = ND_COLUMN_GROUP;
        break;
    }
}

static void inline_defaults(const GumboNode *node, struct nd_style *s)
{
    switch (node->v.element.tag) {
    case GUMBO_TAG_A:
        if (nd_attribute(node, "href").len > 0) {
            s->colour = 0x0D4FA1FF;
            s->own_decoration = 1;
        }
        break;
    case GUMBO_TAG_B:
    case GUMBO_TAG_STRONG:
        s->weight = 700;
        break;
    case GUMBO_TAG_I:
    case GUMBO_TAG_EM:
    case GUMBO_TAG_CITE:
    case GUMBO_TAG_DFN:
    case GUMBO_TAG_VAR:
        s->is_italic = true;
        break;
    case GUMBO_TAG_U:
    case GUMBO_TAG_INS:
        s->own_decoration = 1;
        break;
    case GUMBO_TAG_S:
    case GUMBO_TAG_STRIKE:
    case GUMBO_TAG_DEL:
        s->own_decoration = 2;
        break;
    case GUMBO_TAG_SMALL:
        s->font_px /= 1.2F;
        break;
    case GUMBO_TAG_BIG:
        s->font_px *= 1.2F;
        break;
    case GUMBO_TAG_SUB:
    case GUMBO_TAG_SUP:
        s->font_px /= 1.2F;
        s->valign = node->v.element.tag == GUMBO_TAG_SUB ? ND_VSUB : ND_VSUPER;
        break;
    case GUMBO_TAG_CODE:
    case GUMBO_TAG_KBD:
    case GUMBO_TAG_SAMP:
    case GUMBO_TAG_TT:
        monospace(s);
        break;
    case GUMBO_TAG_MARK:
        s->background = 0xFFFF00FF;
        s->colour = 0x000000FF;
        break;
    case GUMBO_TAG_NOBR:
        s->white = ND_NOWRAP;
        break;
    default:
        break;
    }
}

static void quote_defaults(const GumboNode *node, struct nd_style *s)
{
    s->display = ND_BLOCK;
    vertical_margins(s, 1);
    s->margin[ND_LEFT] = s->margin[ND_RIGHT] = px(40);
    if (node->v.element.tag == GUMBO_TAG_BLOCKQUOTE &&
        fb_slice_eq_str(nd_attribute(node, "type"), "cite")) {
        vertical_margins(s, 0.5F);
        s->margin[ND_LEFT] = s->margin[ND_RIGHT] = px(0);
        s->padding[ND_LEFT] = px(0.8F * s->font_px);
        s->border[ND_LEFT] =
            (struct nd_border){.width = 2, .style = ND_SOLID, .colour = 0xCDD1D9FF};
        s->colour = 0x4D576BFF;
    }
}

static void defaults(const GumboNode *node, struct nd_style *s)
{
    GumboTag tag = node->v.element.tag;
    static const float sizes[6][2] = {{2, 0.67F}, {1.5F, 0.83F},  {1.17F, 1},
                                      {1, 1.33F}, {0.83F, 1.67F}, {0.67F, 2.33F}};
    switch (tag) {
    case GUMBO_TAG_H1:
    case GUMBO_TAG_H2:
    case GUMBO_TAG_H3:
    case GUMBO_TAG_H4:
    case GUMBO_TAG_H5:
    case GUMBO_TAG_H6:
        heading(s, sizes[tag - GUMBO_TAG_H1][0], sizes[tag - GUMBO_TAG_H1][1]);
        break;
    case GUMBO_TAG_P:
        s->display = ND_BLOCK;
        vertical_margins(s, 1);
        break;
    case GUMBO_TAG_PRE:
        s->display = ND_BLOCK;
        s->family = FAMILY_PRE;
        s->white = ND_PRE_WRAP;
        vertical_margins(s, 1);
        break;
    case GUMBO_TAG_UL:
    case GUMBO_TAG_OL:
    case GUMBO_TAG_DIR:
    case GUMBO_TAG_MENU:
    case GUMBO_TAG_DL:
        list_defaults(node, s);
        break;
    case GUMBO_TAG_LI:
        s->display = ND_LIST_ITEM;
        break;
    case GUMBO_TAG_DD:
        s->display = ND_BLOCK;
        s->margin[ND_LEFT] = px(40);
        break;
    case GUMBO_TAG_BLOCKQUOTE:
    case GUMBO_TAG_FIGURE:
        quote_defaults(node, s);
        break;
    case GUMBO_TAG_CENTER:
        s->display = ND_BLOCK;
        s->align = s->align_blocks = ND_CENTER;
        break;
    case GUMBO_TAG_HR:
        s->display = ND_BLOCK;
        vertical_margins(s, 0.5F);
        s->margin[ND_LEFT] = s->margin[ND_RIGHT] = (struct nd_length){0, ND_AUTO};
        for (int i = 0; i < 4; i++) {
            bool is_dark = i == ND_TOP || i == ND_LEFT;
            s->border[i] = (struct nd_border){
                .width = 1, .style = ND_SOLID, .colour = is_dark ? 0x9A9A9AFF : 0xEEEEEEFF};
        }
        break;
    case GUMBO_TAG_ADDRESS:
        s->is_italic = true;
        s->display = ND_BLOCK;
        break;
    case GUMBO_TAG_DIV:
    case GUMBO_TAG_DT:
    case GUMBO_TAG_SECTION:
    case GUMBO_TAG_ARTICLE:
    case GUMBO_TAG_ASIDE:
    case GUMBO_TAG_NAV:
    case GUMBO_TAG_HEADER:
    case GUMBO_TAG_FOOTER:
    case GUMBO_TAG_HGROUP:
    case GUMBO_TAG_MAIN:
    case GUMBO_TAG_FIGCAPTION:
    case GUMBO_TAG_UNKNOWN: /* fb-html, fb-body */
        s->display = ND_BLOCK;
        break;
    case GUMBO_TAG_TABLE:
    case GUMBO_TAG_THEAD:
    case GUMBO_TAG_TFOOT:
    case GUMBO_TAG_TBODY:
    case GUMBO_TAG_TR:
    case GUMBO_TAG_TH:
    case GUMBO_TAG_TD:
    case GUMBO_TAG_CAPTION:
    case GUMBO_TAG_COL:
    case GUMBO_TAG_COLGROUP:
        table_defaults(tag, s);
        break;
    default:
        inline_defaults(node, s);
        break;
    }
}

/* ---- rules ---- */

static unsigned bucket(char kind, struct fb_slice s)
{
    unsigned h = 2166136261U ^ (unsigned)kind;
    for (size_t i = 0; i < s.len; i++) {
        h = (h ^ (unsigned)tolower(s.ptr[i])) * 16777619U;
    }
    return h % (ND_BUCKETS - 1);
}

struct matches {
    const struct nd_selector *list[MAX_MATCHES];
    int count;
};

static void collect(const struct render_native *n, unsigned which, const GumboNode *node,
                    struct matches *m)
{
    for (const struct nd_selector *s = n->sheet.buckets[which]; s != NULL; s = s->next) {
        if (m->count == MAX_MATCHES || !nd_matches(s, node)) {
            continue;
        }
        int at = m->count++;
        while (at > 0 && (m->list[at - 1]->specificity > s->specificity ||
                          (m->list[at - 1]->specificity == s->specificity &&
                           m->list[at - 1]->order >= s->order))) {
            m->list[at] = m->list[at - 1];
            at--;
        }
        if (at > 0 && m->list[at - 1] == s) { /* from two classes of the same bucket */
            memmove(&m->list[at], &m->list[at + 1], (size_t)(--m->count - at) * sizeof m->list[0]);
        } else {
            m->list[at] = s;
        }
    }
}

static void match(const struct render_native *n, const GumboNode *node, struct matches *m)
{
    const GumboElement *e = &node->v.element;
    struct fb_slice list = nd_attribute(node, "class");
    struct fb_slice id = nd_attribute(node, "id");
    unsigned seen[16];
    int seen_count = 0;
    collect(n, ND_BUCKETS - 1, node, m);
    seen[seen_count++] = ND_BUCKETS - 1;
    if (e->tag != GUMBO_TAG_UNKNOWN) {
        seen[seen_count++] = bucket('t', fb_slice_str(gumbo_normalized_tagname(e->tag)));
    }
    if (id.len > 0) {
        seen[seen_count++] = bucket('#', id);
    }
    for (size_t at = 0; at < list.len && seen_count < 16;) {
        size_t end = at;
        while (end < list.len && !isspace(list.ptr[end])) {
            end++;
        }
        if (end > at) {
            seen[seen_count++] = bucket('.', fb_slice_sub(list, at, end - at));
        }
        at = end + 1;
    }
    for (int i = 1; i < seen_count; i++) {
        bool is_done = false;
        for (int k = 0; k < i; k++) {
            is_done = is_done || seen[k] == seen[i];
        }
        if (!is_done) {
            collect(n, seen[i], node, m);
        }
    }
}

static void apply(struct render_native *n, const struct matches *m, struct fb_slice own, int pass,
                  const struct nd_style *parent, struct nd_style *s)
{
    for (int i = 0; i < m->count; i++) {
        nd_declare(n, m->list[i]->rule->declarations, pass, parent, s);
    }
    if (own.len > 0) {
        nd_declare(n, own, pass, parent, s);
    }
}

static void settle(const GumboNode *node, const struct nd_style *parent, struct nd_style *s)
{
    bool is_inline = s->display == ND_INLINE;
    s->decoration |= s->own_decoration;
    if (is_inline && s->background != 0) {
        s->run_background = s->background;
    } else if (!is_inline) {
        s->run_background = 0;
    }
    for (int i = 0; i < 4; i++) {
        struct nd_border *b = &s->border[i];
        if (b->style == ND_NO_LINE || b->style == ND_HIDDEN) {
            b->width = 0;
        }
        if (b->is_current) {
            b->colour = s->colour;
        }
    }
    if (s->display == ND_ROW || s->display == ND_CELL) {
        /* vertical-align of rows and cells: the one given last, else that of the group. */
        struct fb_slice own = nd_attribute(node, "valign");
        if (s->valign == ND_BASELINE && !fb_slice_ieq_str(own, "baseline")) {
            s->valign = parent->display >= ND_ROW_GROUP ? parent->valign : ND_BASELINE;
        }
    }
}

/* Our margins are in em: of the size that the element has in the end. */
static void follow_font(const GumboNode *node, float before, struct nd_style *s)
{
    static const GumboTag tags[] = {
        GUMBO_TAG_P,  GUMBO_TAG_H1, GUMBO_TAG_H2,  GUMBO_TAG_H3,         GUMBO_TAG_H4,
        GUMBO_TAG_H5, GUMBO_TAG_H6, GUMBO_TAG_PRE, GUMBO_TAG_BLOCKQUOTE, GUMBO_TAG_FIGURE,
        GUMBO_TAG_UL, GUMBO_TAG_OL, GUMBO_TAG_DIR, GUMBO_TAG_MENU,       GUMBO_TAG_DL};
    for (size_t i = 0; before > 0 && i < sizeof tags / sizeof tags[0]; i++) {
        if (node->v.element.tag == tags[i]) {
            s->margin[ND_TOP].v *= s->font_px / before;
            s->margin[ND_BOTTOM].v *= s->font_px / before;
        }
    }
}

struct nd_style *nd_style_of(struct render_native *n, const GumboNode *node,
                             const struct nd_style *parent)
{
    struct nd_style *s = nd_alloc(n, sizeof *s);
    struct matches m;
    struct fb_slice own = nd_attribute(node, "style");
    *s = *parent;
    clear_own(s);
    defaults(node, s);
    nd_legacy(n, node, parent, s);
    m.count = 0;
    match(n, node, &m);
    if (m.count > 0 || own.len > 0) {
        static const int passes[] = {ND_PASS_NORMAL, ND_PASS_IMPORTANT};
        float before = s->font_px;
        for (int fonts = 1; fonts >= 0; fonts--) { /* first: em depends on them */
            if (fonts == 0) {
                follow_font(node, before, s);
            }
            for (size_t i = 0; i < 2; i++) {
                apply(n, &m, own, passes[i] | (fonts != 0 ? ND_PASS_FONTS : 0), parent, s);
            }
        }
    }
    settle(node, parent, s);
    return s;
}
