/* SPDX-License-Identifier: Apache-2.0
 *
 * What each property does to a style.  What is not understood is noted: the document is then outside
 * of the audited subset, and painted by somebody else if there is one. */
#include <ctype.h>
#include <math.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "services/render/html_prepare_steps.h"
#include "services/render/native_property.h"

#define MAX_FONT_PX 400
#define MIN_FONT_PX 0.5F

typedef void property_fn(struct nd_property *c);

bool nd_is(struct fb_slice v, const char *word)
{
    return fb_slice_ieq_str(v, word);
}

struct nd_units nd_units_of(const struct nd_property *c)
{
    return (struct nd_units){c->s->font_px, 16, c->n->layout_px};
}

bool nd_is_computed(struct fb_slice v)
{
    for (size_t i = 0; i + 1 < v.len; i++) {
        if (v.ptr[i] == '(' && !fb_slice_istarts(v, "rgb")) {
            return true;
        }
    }
    return false;
}

/* A length; notes what is none. */
bool nd_take_length(struct nd_property *c, struct fb_slice v, struct nd_length *out)
{
    struct nd_units u = nd_units_of(c);
    if (nd_parse_length(v, &u, out)) {
        return true;
    }
    bool is_keyword = nd_is(v, "inherit") || nd_is(v, "initial") || nd_is(v, "unset") ||
                      nd_is(v, "normal") || nd_is(v, "none") || v.len == 0;
    /* "100" without a unit is no length to Chromium either: the declaration does nothing. */
    size_t used = 0;
    (void)nd_number(v, &used);
    if (nd_is_computed(v)) {
        nd_note(c->n, ND_CALC);
    } else if (!is_keyword && used != v.len) {
        nd_note(c->n, ND_UNIT);
    }
    return false;
}

/* ---- colour and background ---- */

bool nd_take_colour(struct nd_property *c, struct fb_slice v, uint32_t *out)
{
    if (nd_parse_colour(v, out)) {
        return true;
    }
    if (nd_is(v, "currentcolor")) {
        *out = c->s->colour;
        return true;
    }
    bool is_broken = v.len > 0 && v.ptr[0] == '#'; /* then the declaration does nothing */
    if (!is_broken && !nd_is(v, "inherit") && !nd_is(v, "initial") && !nd_is(v, "unset")) {
        nd_note(c->n, nd_is_computed(v) ? ND_CALC : ND_COLOUR);
    }
    return false;
}

static void set_colour(struct nd_property *c)
{
    if (nd_is(c->value, "inherit")) {
        c->s->colour = c->parent->colour;
    } else {
        (void)nd_take_colour(c, c->value, &c->s->colour);
    }
}

static void set_background(struct nd_property *c)
{
    uint32_t found = 0;
    struct fb_slice rest = c->value;
    for (struct fb_slice word; (word = nd_word(&rest)).len > 0;) {
        uint32_t rgba = 0;
        if (nd_parse_colour(word, &rgba)) {
            found = rgba;
        } else if (fb_slice_istarts(word, "url(") ||
                   fb_slice_find(word, FB_SLICE_LITERAL("gradient(")) != SIZE_MAX) {
            nd_note(c->n, ND_BACKGROUND_IMAGE);
        } else if (nd_is(word, "inherit")) {
            found = c->parent->background;
        } else if (nd_is_computed(word)) {
            nd_note(c->n, ND_CALC);
        } else if (word.ptr[0] == '#') {
            return; /* an impossible colour: the declaration does nothing */
        }
    }
    c->s->background = found;
}

static void set_background_colour(struct nd_property *c)
{
    if (nd_is(c->value, "initial") || nd_is(c->value, "unset")) {
        c->s->background = 0;
    } else if (nd_is(c->value, "inherit")) {
        c->s->background = c->parent->background;
    } else {
        (void)nd_take_colour(c, c->value, &c->s->background);
    }
}

static void set_background_image(struct nd_property *c)
{
    if (!nd_is(c->value, "none") && !nd_is(c->value, "initial")) {
        nd_note(c->n, ND_BACKGROUND_IMAGE);
    }
}

/* ---- fonts ---- */

static void set_family(struct nd_property *c)
{
    struct fb_buf list;
    struct fb_slice v = c->value;
    if (nd_is(v, "inherit")) {
        c->s->family = c->parent->family;
        return;
    }
    if (nd_is(v, "initial") || nd_is(v, "unset") || fb_slice_istarts(v, "var(")) {
        nd_note(c->n, ND_FONT);
        return;
    }
    fb_buf_init(&list, 1000);
    enum fb_status s = FB_OK;
    for (size_t at = 0; at < v.len && s == FB_OK;) {
        size_t end = render_css_find(v, at, ",");
        struct fb_slice name = fb_slice_trim(fb_slice_sub(v, at, end - at));
        if (name.len >= 2 && (name.ptr[0] == '"' || name.ptr[0] == '\'')) {
            name = fb_slice_trim(fb_slice_sub(name, 1, name.len - 2));
        }
        s = list.len > 0 ? fb_buf_add_char(&list, ',') : FB_OK;
        for (size_t i = 0; i < name.len && s == FB_OK; i++) {
            bool is_odd = name.ptr[i] < ' ' || name.ptr[i] == ',' || name.ptr[i] == ':';
            s = fb_buf_add_char(&list, is_odd ? ' ' : (char)name.ptr[i]);
        }
        at = end + 1;
    }
    if (list.len > 0) {
        c->s->family = nd_copy(c->n, fb_slice_buf(&list));
    }
    fb_buf_deinit(&list);
}

static void set_size(struct nd_property *c)
{
    static const struct {
        const char *name;
        float px;
    } names[] = {{"xx-small", 9}, {"x-small", 10}, {"small", 13},    {"medium", 16},
                 {"large", 18},   {"x-large", 24}, {"xx-large", 32}, {"xxx-large", 48}};
    float base = c->parent->font_px;
    struct nd_units u = {base, 16, c->n->layout_px};
    struct nd_length l;
    float px = -1;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        px = nd_is(c->value, names[i].name) ? names[i].px : px;
    }
    if (nd_is(c->value, "smaller")) {
        px = base / 1.2F;
    } else if (nd_is(c->value, "larger")) {
        px = base * 1.2F;
    } else if (nd_is(c->value, "inherit")) {
        px = base;
    } else if (px < 0 && nd_parse_length(c->value, &u, &l) && l.unit != ND_AUTO) {
        px = l.unit == ND_PERCENT ? base * l.v / 100 : l.v;
    } else if (px < 0) {
        if (nd_is_computed(c->value)) {
            nd_note(c->n, ND_CALC);
        }
        return;
    }
    if (px < 0) {
        return;
    }
    c->s->font_px = px > MAX_FONT_PX ? MAX_FONT_PX : px < MIN_FONT_PX ? MIN_FONT_PX : px;
}

static void set_weight(struct nd_property *c)
{
    size_t used = 0;
    float number = nd_number(c->value, &used);
    if (nd_is(c->value, "bold") || nd_is(c->value, "bolder")) {
        c->s->weight = 700;
    } else if (nd_is(c->value, "normal") || nd_is(c->value, "lighter") ||
               nd_is(c->value, "initial")) {
        c->s->weight = 400;
    } else if (nd_is(c->value, "inherit")) {
        c->s->weight = c->parent->weight;
    } else if (used == c->value.len && number >= 1 && number <= 1000) {
        /* There are two weights of each face: bold from 600 on. */
        c->s->weight = number >= 600 ? 700 : 400;
    }
}

static void set_slant(struct nd_property *c)
{
    if (nd_is(c->value, "inherit")) {
        c->s->is_italic = c->parent->is_italic;
    } else {
        c->s->is_italic = nd_is(c->value, "italic") || fb_slice_istarts(c->value, "oblique");
    }
}

static void set_line_height(struct nd_property *c)
{
    size_t used = 0;
    float number = nd_number(c->value, &used);
    struct nd_length l;
    if (nd_is(c->value, "normal") || nd_is(c->value, "initial")) {
        c->s->line_height = 0;
    } else if (nd_is(c->value, "inherit")) {
        c->s->line_height = c->parent->line_height;
    } else if (used > 0 && used == c->value.len && number >= 0) {
        c->s->line_height = number == 0 ? 0.01F : -number;
    } else if (nd_take_length(c, c->value, &l) && l.unit != ND_AUTO && l.v >= 0) {
        float px = l.unit == ND_PERCENT ? c->s->font_px * l.v / 100 : l.v;
        c->s->line_height = px < 0.01F ? 0.01F : px;
    }
}

/* font: [style] [variant] [weight] size[/line-height] family */
static void set_font(struct nd_property *c)
{
    struct fb_slice rest = c->value;
    struct fb_slice word = nd_word(&rest);
    if (rest.len == 0) {
        if (nd_is(word, "inherit")) {
            c->s->family = c->parent->family;
            c->s->font_px = c->parent->font_px;
            c->s->weight = c->parent->weight;
            c->s->line_height = c->parent->line_height;
        } else if (!nd_is(word, "initial")) {
            nd_note(c->n, ND_FONT);
        }
        return;
    }
    c->s->is_italic = false;
    c->s->weight = 400;
    c->s->line_height = 0;
    for (; word.len > 0; word = nd_word(&rest)) {
        size_t used = 0;
        float number = nd_number(word, &used);
        bool is_weight = used == word.len && number >= 100;
        struct nd_property one = *c;
        one.value = word;
        if (nd_is(word, "italic") || nd_is(word, "oblique")) {
            c->s->is_italic = true;
        } else if (nd_is(word, "bold") || nd_is(word, "bolder") || is_weight) {
            set_weight(&one);
        } else if (!nd_is(word, "normal") && !nd_is(word, "small-caps")) {
            size_t slash = render_css_find(word, 0, "/");
            one.value = fb_slice_sub(word, 0, slash);
            set_size(&one);
            if (slash < word.len) {
                one.value = fb_slice_sub(word, slash + 1, SIZE_MAX);
                set_line_height(&one);
            }
            one.value = rest;
            set_family(&one);
            return;
        }
    }
}

/* ---- text ---- */

static void set_align(struct nd_property *c)
{
    static const struct {
        const char *name;
        uint8_t align, blocks;
    } names[] = {{"left", ND_START, ND_START},
                 {"start", ND_START, ND_START},
                 {"initial", ND_START, ND_START},
                 {"right", ND_END, ND_START},
                 {"end", ND_END, ND_START},
                 {"center", ND_CENTER, ND_START},
                 {"justify", ND_JUSTIFY, ND_START},
                 {"-webkit-left", ND_START, ND_START},
                 {"-webkit-center", ND_CENTER, ND_CENTER},
                 {"-webkit-right", ND_END, ND_END}};
    if (nd_is(c->value, "inherit")) {
        c->s->align = c->parent->align;
        c->s->align_blocks = c->parent->align_blocks;
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (nd_is(c->value, names[i].name)) {
            c->s->align = names[i].align;
            c->s->align_blocks = names[i].blocks;
        }
    }
}

static void set_decoration(struct nd_property *c)
{
    struct fb_slice rest = c->value;
    uint8_t lines = 0;
    for (struct fb_slice word; (word = nd_word(&rest)).len > 0;) {
        lines |= nd_is(word, "underline") ? 1 : nd_is(word, "line-through") ? 2 : 0;
        if (nd_is(word, "overline") || nd_is(word, "wavy") || nd_is(word, "dashed")) {
            nd_note(c->n, ND_PROPERTY);
        }
    }
    c->s->own_decoration = lines;
}

static void set_white(struct nd_property *c)
{
    static const char *const names[] = {"normal", "nowrap", "pre", "pre-wrap", "pre-line"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (nd_is(c->value, names[i])) {
            c->s->white = (uint8_t)i;
            return;
        }
    }
    if (nd_is(c->value, "inherit")) {
        c->s->white = c->parent->white;
    } else if (!nd_is(c->value, "initial")) {
        nd_note(c->n, ND_WHITE_SPACE);
    }
}

static void set_transform(struct nd_property *c)
{
    static const char *const names[] = {"none", "uppercase", "lowercase", "capitalize"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        c->s->transform = nd_is(c->value, names[i]) ? (uint8_t)i : c->s->transform;
    }
}

static void set_letter_spacing(struct nd_property *c)
{
    struct nd_length l;
    if (nd_is(c->value, "normal")) {
        c->s->letter_spacing = 0;
    } else if (nd_take_length(c, c->value, &l) && l.unit == ND_PX) {
        c->s->letter_spacing = l.v;
    }
}

static void set_zero_length(struct nd_property *c) /* what must be 0 or normal */
{
    struct nd_length l;
    if (!nd_is(c->value, "normal") && !nd_is(c->value, "initial") && !nd_is(c->value, "inherit") &&
        nd_take_length(c, c->value, &l) && l.v != 0) {
        nd_note(c->n, (enum nd_feature)c->arg);
    }
}

static void set_indent(struct nd_property *c)
{
    struct nd_length l;
    if (nd_take_length(c, c->value, &l) && l.unit == ND_PX) {
        c->s->indent = l.v;
        if (l.v < 0) {
            nd_note(c->n, ND_NEGATIVE_MARGIN);
        }
    } else if (l.unit == ND_PERCENT && l.v != 0) {
        nd_note(c->n, ND_UNIT);
    }
}

static void set_valign(struct nd_property *c)
{
    static const struct {
        const char *name;
        uint8_t v;
    } names[] = {{"baseline", ND_BASELINE},  {"initial", ND_BASELINE}, {"sub", ND_VSUB},
                 {"super", ND_VSUPER},       {"top", ND_VTOP},         {"text-top", ND_VTOP},
                 {"middle", ND_VMIDDLE},     {"center", ND_BASELINE},  {"bottom", ND_VBOTTOM},
                 {"text-bottom", ND_VBOTTOM}};
    struct nd_length l;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (nd_is(c->value, names[i].name)) {
            c->s->valign = names[i].v;
            return;
        }
    }
    if (nd_is(c->value, "inherit")) {
        c->s->valign = c->parent->valign;
    } else if (nd_take_length(c, c->value, &l)) {
        c->s->valign = l.v == 0 ? ND_BASELINE : ND_VLENGTH;
        c->s->valign_px = l.unit == ND_PERCENT ? l.v * c->s->font_px * 0.012F : l.v;
    }
}

/* ---- lists ---- */

static bool list_word(struct fb_slice v, uint8_t *type)
{
    static const char *const names[] = {"disc",        "circle",      "square",
                                        "decimal",     "lower-alpha", "upper-alpha",
                                        "lower-roman", "upper-roman", "none"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (nd_is(v, names[i])) {
            *type = (uint8_t)i;
            return true;
        }
    }
    if (nd_is(v, "lower-latin") || nd_is(v, "upper-latin")) {
        *type = nd_is(v, "lower-latin") ? ND_LOWER_ALPHA : ND_UPPER_ALPHA;
        return true;
    }
    return false;
}

static void set_list(struct nd_property *c)
{
    struct fb_slice rest = c->value;
    for (struct fb_slice word; (word = nd_word(&rest)).len > 0;) {
        if (nd_is(word, "inside") || nd_is(word, "outside")) {
            c->s->is_list_inside = nd_is(word, "inside");
        } else if (nd_is(word, "inherit")) {
            c->s->list = c->parent->list;
        } else if (!list_word(word, &c->s->list) && !nd_is(word, "initial")) {
            nd_note(c->n, ND_LIST_STYLE);
        }
    }
}

static const struct {
    const char *name;
    property_fn *set;
    int arg;
} properties[] = {
    {"background", set_background, 0},
    {"background-color", set_background_colour, 0},
    {"background-image", set_background_image, 0},
    {"color", set_colour, 0},
    {"font", set_font, 0},
    {"font-family", set_family, 0},
    {"font-size", set_size, 0},
    {"font-style", set_slant, 0},
    {"font-weight", set_weight, 0},
    {"letter-spacing", set_letter_spacing, 0},
    {"line-height", set_line_height, 0},
    {"list-style", set_list, 0},
    {"list-style-image", set_list, 0},
    {"list-style-position", set_list, 0},
    {"list-style-type", set_list, 0},
    {"text-align", set_align, 0},
    {"text-decoration", set_decoration, 0},
    {"text-decoration-line", set_decoration, 0},
    {"text-indent", set_indent, 0},
    {"text-transform", set_transform, 0},
    {"vertical-align", set_valign, 0},
    {"white-space", set_white, 0},
    {"word-spacing", set_zero_length, ND_SPACING},
};

void nd_property(struct render_native *n, struct fb_slice name, struct fb_slice value,
                 const struct nd_style *parent, struct nd_style *s)
{
    struct nd_property c = {n, parent, s, value, 0};
    for (size_t i = 0; i < sizeof properties / sizeof properties[0]; i++) {
        if (nd_is(name, properties[i].name)) {
            c.arg = properties[i].arg;
            properties[i].set(&c);
            return;
        }
    }
    if (nd_property_box(&c, name) || nd_property_audit(&c, name)) {
        return;
    }
    if (!fb_slice_istarts(name, "--")) { /* a variable that nobody asks for does nothing */
        nd_note(n, ND_PROPERTY);
    }
}

void nd_declare(struct render_native *n, struct fb_slice declarations, int pass,
                const struct nd_style *parent, struct nd_style *s)
{
    for (size_t at = 0; at < declarations.len;) {
        size_t end = render_css_find(declarations, at, ";");
        struct fb_slice d = fb_slice_sub(declarations, at, end - at);
        size_t colon = render_css_find(d, 0, ":");
        struct fb_slice value = fb_slice_trim(fb_slice_sub(d, colon + 1, SIZE_MAX));
        size_t mark = render_css_find(value, 0, "!");
        bool is_important = mark < value.len;
        struct fb_slice name = fb_slice_trim(fb_slice_sub(d, 0, colon));
        if (colon < d.len && is_important == ((pass & ND_PASS_IMPORTANT) != 0) &&
            fb_slice_istarts(name, "font") == ((pass & ND_PASS_FONTS) != 0)) {
            nd_property(n, name, fb_slice_trim(fb_slice_sub(value, 0, mark)), parent, s);
        }
        at = end + 1;
    }
}
