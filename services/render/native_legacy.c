/* SPDX-License-Identifier: Apache-2.0
 *
 * What attributes did before there was CSS: bgcolor, align, cellpadding, <font>... */
#include "services/render/native_internal.h"

static struct nd_length px(float v)
{
    return (struct nd_length){v, ND_PX};
}

bool nd_is_list(GumboTag tag)
{
    return tag == GUMBO_TAG_UL || tag == GUMBO_TAG_OL || tag == GUMBO_TAG_DIR ||
           tag == GUMBO_TAG_MENU || tag == GUMBO_TAG_DL;
}

static bool attribute_length(struct fb_slice v, struct nd_length *l)
{
    size_t used = 0;
    float number = nd_number(v, &used);
    if (used == 0 || number < 0) {
        return false;
    }
    bool is_percent = used < v.len && v.ptr[used] == '%';
    *l = (struct nd_length){number, is_percent ? ND_PERCENT : ND_PX};
    return true;
}

static void align_attribute(struct render_native *n, GumboTag tag, struct fb_slice v,
                            struct nd_style *s)
{
    bool is_left = fb_slice_ieq_str(v, "left");
    bool is_right = fb_slice_ieq_str(v, "right");
    bool is_center = fb_slice_ieq_str(v, "center") || fb_slice_ieq_str(v, "middle");
    if (tag == GUMBO_TAG_IMG || tag == GUMBO_TAG_TABLE) {
        if (is_left || is_right) {
            nd_note(n, ND_FLOAT);
        } else if (tag == GUMBO_TAG_TABLE && is_center) {
            s->margin[ND_LEFT] = s->margin[ND_RIGHT] = (struct nd_length){0, ND_AUTO};
        } else if (tag == GUMBO_TAG_IMG) {
            s->valign = fb_slice_istarts(v, "abs") || is_center ? ND_VMIDDLE
                        : fb_slice_istarts(v, "t")              ? ND_VTOP
                                                                : ND_BASELINE;
        }
    } else if (tag == GUMBO_TAG_HR) {
        s->margin[ND_LEFT] = is_left ? px(0) : (struct nd_length){0, ND_AUTO};
        s->margin[ND_RIGHT] = is_right ? px(0) : (struct nd_length){0, ND_AUTO};
    } else if (is_center || is_right || is_left) {
        s->align = is_center ? ND_CENTER : is_right ? ND_END : ND_START;
        s->align_blocks = s->align;
    } else if (fb_slice_ieq_str(v, "justify")) {
        s->align = ND_JUSTIFY;
    }
}

static void valign_attribute(struct fb_slice v, struct nd_style *s)
{
    s->valign = fb_slice_ieq_str(v, "top")        ? ND_VTOP
                : fb_slice_ieq_str(v, "middle")   ? ND_VMIDDLE
                : fb_slice_ieq_str(v, "center")   ? ND_VMIDDLE
                : fb_slice_ieq_str(v, "bottom")   ? ND_VBOTTOM
                : fb_slice_ieq_str(v, "baseline") ? ND_BASELINE
                                                  : s->valign;
}

static const GumboNode *table_of(const GumboNode *node)
{
    while (node != NULL && node->type == GUMBO_NODE_ELEMENT &&
           node->v.element.tag != GUMBO_TAG_TABLE) {
        node = node->parent;
    }
    return node != NULL && node->type == GUMBO_NODE_ELEMENT ? node : NULL;
}

/* What a cell has from its table's attributes. */
static void cell_attributes(const GumboNode *node, struct nd_style *s)
{
    const GumboNode *table = table_of(node);
    struct nd_length l;
    if (table == NULL) {
        return;
    }
    if (attribute_length(nd_attribute(table, "cellpadding"), &l)) {
        for (int i = 0; i < 4; i++) {
            s->padding[i] = l;
        }
    }
    struct fb_slice border = nd_attribute(table, "border");
    bool has_border = gumbo_get_attribute(&table->v.element.attributes, "border") != NULL &&
                      !(attribute_length(border, &l) && l.v == 0);
    for (int i = 0; i < 4 && has_border; i++) {
        bool is_dark = i == ND_TOP || i == ND_LEFT; /* inset, in Chromium's shades of grey */
        s->border[i] = (struct nd_border){
            .width = 1, .style = ND_SOLID, .colour = is_dark ? 0x9A9A9AFF : 0xEEEEEEFF};
        uint32_t colour = 0;
        if (nd_parse_legacy_colour(nd_attribute(table, "bordercolor"), &colour)) {
            s->border[i].colour = colour;
        }
    }
    if (gumbo_get_attribute(&node->v.element.attributes, "nowrap") != NULL) {
        s->white = ND_NOWRAP;
    }
}

static void table_attributes(struct render_native *n, const GumboNode *node, struct nd_style *s)
{
    struct nd_length l;
    struct fb_slice border = nd_attribute(node, "border");
    if (gumbo_get_attribute(&node->v.element.attributes, "border") != NULL) {
        bool is_number = attribute_length(border, &l);
        for (int i = 0; i < 4; i++) {
            s->border[i].width = is_number ? l.v : 1;
            s->border[i].style = is_number && l.v == 0 ? ND_NO_LINE : ND_SOLID;
            s->border[i].colour = i == ND_TOP || i == ND_LEFT ? 0xEEEEEEFF : 0x9A9A9AFF;
        }
    }
    uint32_t colour = 0;
    if (nd_parse_legacy_colour(nd_attribute(node, "bordercolor"), &colour)) {
        for (int i = 0; i < 4; i++) {
            s->border[i].colour = colour;
        }
    }
    if (attribute_length(nd_attribute(node, "cellspacing"), &l)) {
        s->spacing = l.v;
    }
    if (nd_attribute(node, "frame").len > 0 || nd_attribute(node, "rules").len > 0) {
        nd_note(n, ND_TABLE_FRAME);
    }
}

static void font_attributes(const GumboNode *node, const struct nd_style *parent,
                            struct nd_style *s, struct render_native *n)
{
    static const float sizes[] = {10, 13, 16, 18, 24, 32, 48};
    struct fb_slice face = nd_attribute(node, "face");
    struct fb_slice size = nd_attribute(node, "size");
    size_t used = 0;
    if (face.len > 0) {
        nd_property(n, fb_slice_str("font-family"), face, parent, s);
    }
    if (size.len > 0) {
        bool is_signed = size.ptr[0] == '+' || size.ptr[0] == '-';
        int number = (int)nd_number(size, &used) + (is_signed ? 3 : 0);
        if (used > 0) {
            number = number < 1 ? 1 : number > 7 ? 7 : number;
            s->font_px = sizes[number - 1];
        }
    }
}

static void image_attributes(const GumboNode *node, struct nd_style *s)
{
    struct nd_length l;
    if (attribute_length(nd_attribute(node, "border"), &l) && l.unit == ND_PX) {
        for (int i = 0; i < 4; i++) {
            s->border[i].width = l.v;
            s->border[i].style = l.v > 0 ? ND_SOLID : ND_NO_LINE;
        }
    }
    if (attribute_length(nd_attribute(node, "hspace"), &l)) {
        s->margin[ND_LEFT] = s->margin[ND_RIGHT] = l;
    }
    if (attribute_length(nd_attribute(node, "vspace"), &l)) {
        s->margin[ND_TOP] = s->margin[ND_BOTTOM] = l;
    }
}

static void hr_attributes(const GumboNode *node, struct nd_style *s)
{
    struct nd_length l;
    uint32_t colour = 0;
    bool is_coloured = nd_parse_legacy_colour(nd_attribute(node, "color"), &colour);
    bool is_flat =
        is_coloured || gumbo_get_attribute(&node->v.element.attributes, "noshade") != NULL;
    if (attribute_length(nd_attribute(node, "size"), &l) && l.unit == ND_PX) {
        s->height = px(l.v > 2 ? l.v - 2 : 0);
        if (l.v <= 1) {
            s->border[ND_BOTTOM].width = 0;
        }
    }
    for (int i = 0; i < 4 && is_flat; i++) {
        s->border[i].style = ND_SOLID;
        s->border[i].colour = is_coloured ? colour : 0x808080FF;
    }
    if (is_flat) {
        s->background = s->border[0].colour;
    }
}

static void list_attributes(const GumboNode *node, struct nd_style *s)
{
    static const struct {
        const char *type;
        uint8_t list;
    } types[] = {{"1", ND_DECIMAL},     {"a", ND_LOWER_ALPHA}, {"A", ND_UPPER_ALPHA},
                 {"i", ND_LOWER_ROMAN}, {"I", ND_UPPER_ROMAN}, {"disc", ND_DISC},
                 {"circle", ND_CIRCLE}, {"square", ND_SQUARE}, {"none", ND_NO_MARKER}};
    struct fb_slice type = nd_attribute(node, "type");
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (fb_slice_eq_str(type, types[i].type)) {
            s->list = types[i].list;
        }
    }
}

void nd_legacy(struct render_native *n, const GumboNode *node, const struct nd_style *parent,
               struct nd_style *s)
{
    GumboTag tag = node->v.element.tag;
    struct fb_slice v = nd_attribute(node, "align");
    bool is_sized = s->display >= ND_TABLE || tag == GUMBO_TAG_IMG || tag == GUMBO_TAG_HR ||
                    tag == GUMBO_TAG_PRE;
    uint32_t colour = 0;
    if (s->display == ND_CELL) {
        cell_attributes(node, s);
    } else if (tag == GUMBO_TAG_TABLE) {
        table_attributes(n, node, s);
    } else if (tag == GUMBO_TAG_FONT) {
        font_attributes(node, parent, s, n);
    } else if (tag == GUMBO_TAG_IMG) {
        image_attributes(node, s);
    } else if (tag == GUMBO_TAG_HR) {
        hr_attributes(node, s);
    } else if (nd_is_list(tag) || tag == GUMBO_TAG_LI) {
        list_attributes(node, s);
    }
    if (v.len > 0) {
        align_attribute(n, tag, v, s);
    }
    if (s->display >= ND_ROW_GROUP) {
        valign_attribute(nd_attribute(node, "valign"), s);
    }
    if (is_sized && !attribute_length(nd_attribute(node, "width"), &s->width)) {
        s->width = (struct nd_length){0};
    }
    if (is_sized && tag != GUMBO_TAG_HR &&
        (!attribute_length(nd_attribute(node, "height"), &s->height) ||
         s->height.unit == ND_PERCENT)) {
        s->height = (struct nd_length){0};
    }
    if (s->display >= ND_TABLE && s->width.v == 0) {
        s->width = (struct nd_length){0};
    }
    if (s->display >= ND_TABLE && nd_parse_legacy_colour(nd_attribute(node, "bgcolor"), &colour)) {
        s->background = colour;
    }
    if (tag == GUMBO_TAG_FONT && nd_parse_legacy_colour(nd_attribute(node, "color"), &colour)) {
        s->colour = colour;
    }
    if (nd_attribute(node, "background").len > 0) {
        nd_note(n, ND_BACKGROUND_IMAGE);
    }
    if (fb_slice_ieq_str(nd_attribute(node, "dir"), "rtl")) {
        nd_note(n, ND_DIRECTION);
    }
}
