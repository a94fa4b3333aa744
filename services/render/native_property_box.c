/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stddef.h>

#include "services/render/native_property.h"

/* ---- boxes ---- */

/* One to four values around a box. */
static void four(struct nd_property *c,
                 void (*set)(struct nd_property *c, struct fb_slice v, int side))
{
    struct fb_slice words[4];
    struct fb_slice rest = c->value;
    int count = 0;
    while (count < 4 && (words[count] = nd_word(&rest)).len > 0) {
        count++;
    }
    static const int pick[4][4] = {{0, 0, 0, 0}, {0, 1, 0, 1}, {0, 1, 2, 1}, {0, 1, 2, 3}};
    for (int side = 0; side < 4 && count > 0; side++) {
        set(c, words[pick[count - 1][side]], side);
    }
}

static void one_margin(struct nd_property *c, struct fb_slice v, int side)
{
    struct nd_length l;
    if (nd_is(v, "inherit")) {
        c->s->margin[side] = c->parent->margin[side];
    } else if (nd_take_length(c, v, &l)) {
        c->s->margin[side] = l;
        if (l.v < 0) {
            nd_note(c->n, ND_NEGATIVE_MARGIN);
        }
    }
}

static void one_padding(struct nd_property *c, struct fb_slice v, int side)
{
    struct nd_length l;
    if (nd_is(v, "inherit")) {
        c->s->padding[side] = c->parent->padding[side];
    } else if (nd_take_length(c, v, &l) && l.unit != ND_AUTO && l.v >= 0) {
        c->s->padding[side] = l;
    }
}

static void set_margins(struct nd_property *c)
{
    four(c, one_margin);
}
static void set_margin(struct nd_property *c)
{
    one_margin(c, c->value, c->arg);
}
static void set_paddings(struct nd_property *c)
{
    four(c, one_padding);
}
static void set_padding(struct nd_property *c)
{
    one_padding(c, c->value, c->arg);
}

static bool border_style(struct fb_slice v, uint8_t *style)
{
    static const struct {
        const char *name;
        uint8_t style;
    } names[] = {{"none", ND_NO_LINE},  {"hidden", ND_HIDDEN},  {"solid", ND_SOLID},
                 {"dashed", ND_DASHED}, {"dotted", ND_DOTTED},  {"double", ND_DOUBLE},
                 {"groove", ND_RELIEF}, {"ridge", ND_RELIEF},   {"inset", ND_RELIEF},
                 {"outset", ND_RELIEF}, {"initial", ND_NO_LINE}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (nd_is(v, names[i].name)) {
            *style = names[i].style;
            return true;
        }
    }
    return false;
}

static bool border_width(struct nd_property *c, struct fb_slice v, float *width)
{
    struct nd_length l;
    struct nd_units u = nd_units_of(c);
    if (nd_is(v, "thin") || nd_is(v, "medium") || nd_is(v, "thick")) {
        *width = nd_is(v, "thin") ? 1 : nd_is(v, "medium") ? 3 : 5;
        return true;
    }
    if (nd_parse_length(v, &u, &l) && l.unit == ND_PX && l.v >= 0) {
        /* A line is never thinner than a pixel, and whole pixels wide. */
        *width = l.v > 0 && l.v < 1 ? 1 : floorf(l.v);
        return true;
    }
    return false;
}

static void whole_border(struct nd_property *c, struct fb_slice v, int side)
{
    struct nd_border b = {.width = 3, .is_current = true};
    struct fb_slice rest = v;
    for (struct fb_slice word; (word = nd_word(&rest)).len > 0;) {
        if (border_style(word, &b.style) || border_width(c, word, &b.width)) {
            continue;
        }
        if (nd_parse_colour(word, &b.colour)) {
            b.is_current = false;
        } else if (nd_is_computed(word)) {
            nd_note(c->n, ND_CALC);
        } else if (!nd_is(word, "currentcolor") && !nd_is(word, "unset")) {
            return; /* not a border: the declaration does nothing */
        }
    }
    c->s->border[side] = b;
}

static void set_border(struct nd_property *c)
{
    for (int side = 0; side < 4; side++) {
        if (c->arg < 0 || c->arg == side) {
            whole_border(c, c->value, side);
        }
    }
}
static void one_border_width(struct nd_property *c, struct fb_slice v, int side)
{
    (void)border_width(c, v, &c->s->border[side].width);
}
static void one_border_style(struct nd_property *c, struct fb_slice v, int side)
{
    (void)border_style(v, &c->s->border[side].style);
}
static void one_border_colour(struct nd_property *c, struct fb_slice v, int side)
{
    struct nd_border *b = &c->s->border[side];
    b->is_current = nd_is(v, "currentcolor");
    if (!b->is_current && !nd_is(v, "initial") && !nd_is(v, "inherit")) {
        (void)nd_take_colour(c, v, &b->colour);
    }
}
static void set_border_widths(struct nd_property *c)
{
    four(c, one_border_width);
}
static void set_border_styles(struct nd_property *c)
{
    four(c, one_border_style);
}
static void set_border_colours(struct nd_property *c)
{
    four(c, one_border_colour);
}
static void set_border_width(struct nd_property *c)
{
    one_border_width(c, c->value, c->arg);
}
static void set_border_style(struct nd_property *c)
{
    one_border_style(c, c->value, c->arg);
}
static void set_border_colour(struct nd_property *c)
{
    one_border_colour(c, c->value, c->arg);
}

static void set_radius(struct nd_property *c)
{
    struct nd_length l;
    struct fb_slice rest = c->value;
    struct fb_slice first = nd_word(&rest);
    if (nd_take_length(c, first, &l)) {
        c->s->radius = l.unit == ND_PX ? l.v : 0;
        if ((rest.len > 0 && l.v != 0) || l.unit == ND_PERCENT) {
            nd_note(c->n, ND_BORDER_STYLE);
        }
    }
}

static void set_collapse(struct nd_property *c)
{
    c->s->is_collapsed =
        nd_is(c->value, "inherit") ? c->parent->is_collapsed : nd_is(c->value, "collapse");
}

static void set_spacing(struct nd_property *c)
{
    struct nd_length l;
    struct fb_slice rest = c->value;
    if (nd_take_length(c, nd_word(&rest), &l) && l.unit == ND_PX && l.v >= 0) {
        c->s->spacing = l.v;
    }
    if (rest.len > 0) {
        struct nd_length other = l;
        (void)nd_take_length(c, rest, &other);
        if (other.v != l.v) {
            nd_note(c->n, ND_TABLE_FRAME);
        }
    }
}

static void set_length(struct nd_property *c)
{
    struct nd_length *l = (struct nd_length *)(void *)((char *)c->s + c->arg);
    struct nd_length got;
    if (nd_is(c->value, "none") || nd_is(c->value, "initial")) {
        *l = (struct nd_length){0};
    } else if (nd_take_length(c, c->value, &got) && got.v >= 0) {
        *l = got;
    }
}

static void set_height(struct nd_property *c)
{
    struct nd_length got;
    if (nd_take_length(c, c->value, &got) && got.v >= 0) {
        c->s->height = got.unit == ND_PERCENT ? (struct nd_length){0} : got;
        /* A part of a height that is not known means nothing, to Chromium as well. */
    }
}

static void set_max_height(struct nd_property *c)
{
    struct nd_length got;
    if (!nd_is(c->value, "none") && !nd_is(c->value, "initial") &&
        !(nd_take_length(c, c->value, &got) && got.unit == ND_PERCENT)) {
        nd_note(c->n, ND_MIN_MAX);
    }
}

static void set_box_sizing(struct nd_property *c)
{
    c->s->is_border_box =
        nd_is(c->value, "border-box") || (nd_is(c->value, "inherit") && c->parent->is_border_box);
}

static void set_display(struct nd_property *c)
{
    static const struct {
        const char *name;
        int display;
    } names[] = {{"none", ND_NONE},
                 {"block", ND_BLOCK},
                 {"inline", ND_INLINE},
                 {"list-item", ND_LIST_ITEM},
                 {"table", ND_TABLE},
                 {"table-row", ND_ROW},
                 {"table-cell", ND_CELL},
                 {"table-row-group", ND_ROW_GROUP},
                 {"table-header-group", ND_HEAD_GROUP},
                 {"table-footer-group", ND_FOOT_GROUP},
                 {"flow-root", ND_BLOCK}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (nd_is(c->value, names[i].name)) {
            c->s->display = (uint8_t)names[i].display;
            return;
        }
    }
    if (nd_is(c->value, "inline-block") || nd_is(c->value, "inline-table")) {
        nd_note(c->n, ND_INLINE_BLOCK); /* taken back for pictures: native_tree.c */
    } else if (nd_is(c->value, "flex") || nd_is(c->value, "inline-flex") ||
               nd_is(c->value, "grid") || nd_is(c->value, "inline-grid")) {
        nd_note(c->n, ND_FLEX);
        c->s->display = ND_BLOCK;
    } else if (!nd_is(c->value, "initial") && !nd_is(c->value, "inherit")) {
        nd_note(c->n, ND_DISPLAY);
    }
}

static void set_visibility(struct nd_property *c)
{
    c->s->is_hidden = nd_is(c->value, "hidden") || nd_is(c->value, "collapse") ||
                      (nd_is(c->value, "inherit") && c->parent->is_hidden);
    if (c->s->is_hidden) {
        nd_note(c->n, ND_DISPLAY);
    }
}

static void set_break(struct nd_property *c)
{
    bool is_page = nd_is(c->value, "always") || nd_is(c->value, "page") ||
                   nd_is(c->value, "left") || nd_is(c->value, "right");
    if (c->arg == 0) {
        c->s->breaks_before = is_page;
    } else if (c->arg == 1) {
        c->s->breaks_after = is_page;
    } else {
        c->s->avoids_break = fb_slice_istarts(c->value, "avoid");
    }
}

static void set_layout(struct nd_property *c)
{
    c->s->is_fixed_layout = nd_is(c->value, "fixed");
}

#define OFFSET(field) ((int)offsetof(struct nd_style, field))

static const struct {
    const char *name;
    void (*set)(struct nd_property *c);
    int arg;
} properties[] = {
    {"border", set_border, -1},
    {"border-bottom", set_border, ND_BOTTOM},
    {"border-bottom-color", set_border_colour, ND_BOTTOM},
    {"border-bottom-style", set_border_style, ND_BOTTOM},
    {"border-bottom-width", set_border_width, ND_BOTTOM},
    {"border-collapse", set_collapse, 0},
    {"border-color", set_border_colours, 0},
    {"border-left", set_border, ND_LEFT},
    {"border-left-color", set_border_colour, ND_LEFT},
    {"border-left-style", set_border_style, ND_LEFT},
    {"border-left-width", set_border_width, ND_LEFT},
    {"border-radius", set_radius, 0},
    {"border-right", set_border, ND_RIGHT},
    {"border-right-color", set_border_colour, ND_RIGHT},
    {"border-right-style", set_border_style, ND_RIGHT},
    {"border-right-width", set_border_width, ND_RIGHT},
    {"border-spacing", set_spacing, 0},
    {"border-style", set_border_styles, 0},
    {"border-top", set_border, ND_TOP},
    {"border-top-color", set_border_colour, ND_TOP},
    {"border-top-style", set_border_style, ND_TOP},
    {"border-top-width", set_border_width, ND_TOP},
    {"border-width", set_border_widths, 0},
    {"box-sizing", set_box_sizing, 0},
    {"break-after", set_break, 1},
    {"break-before", set_break, 0},
    {"break-inside", set_break, 2},
    {"display", set_display, 0},
    {"height", set_height, 0},
    {"margin", set_margins, 0},
    {"margin-bottom", set_margin, ND_BOTTOM},
    {"margin-left", set_margin, ND_LEFT},
    {"margin-right", set_margin, ND_RIGHT},
    {"margin-top", set_margin, ND_TOP},
    {"max-height", set_max_height, 0},
    {"max-width", set_length, OFFSET(max_width)},
    {"min-height", set_length, OFFSET(min_height)},
    {"min-width", set_length, OFFSET(min_width)},
    {"padding", set_paddings, 0},
    {"padding-bottom", set_padding, ND_BOTTOM},
    {"padding-left", set_padding, ND_LEFT},
    {"padding-right", set_padding, ND_RIGHT},
    {"padding-top", set_padding, ND_TOP},
    {"page-break-after", set_break, 1},
    {"page-break-before", set_break, 0},
    {"page-break-inside", set_break, 2},
    {"table-layout", set_layout, 0},
    {"visibility", set_visibility, 0},
    {"width", set_length, OFFSET(width)},
};

bool nd_property_box(struct nd_property *c, struct fb_slice name)
{
    for (size_t i = 0; i < sizeof properties / sizeof properties[0]; i++) {
        if (nd_is(name, properties[i].name)) {
            c->arg = properties[i].arg;
            properties[i].set(c);
            return true;
        }
    }
    return false;
}
