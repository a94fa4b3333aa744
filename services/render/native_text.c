/* SPDX-License-Identifier: Apache-2.0
 *
 * A run of inline content as lines.  Pango shapes and breaks; heights are CSS's (half-leading, whole
 * pixels of ascent and descent, as Chromium has them).  A text is shaped once on one line for its
 * widths, and again only where it does not fit. */
#include <hb.h>
#include <math.h>
#include <pango/pangocairo.h>
#include <stdlib.h>
#include <string.h>

#include "services/render/native_internal.h"

#define SLACK 0.05F /* px: rounding must not break a line that fits */

/* Ascent, descent and line gap of a font at a size, in whole pixels. */
static void metrics_of(PangoFont *font, float px, float *ascent, float *descent, float *gap)
{
    hb_font_extents_t e = {0};
    hb_font_t *hb = font != NULL ? pango_font_get_hb_font(font) : NULL;
    int scale = 0;
    *ascent = roundf(px * 0.9F);
    *descent = roundf(px * 0.21F);
    *gap = roundf(px * 0.03F);
    if (hb != NULL && hb_font_get_h_extents(hb, &e)) {
        hb_font_get_scale(hb, NULL, &scale);
        if (scale != 0) {
            float unit = px / (float)abs(scale);
            *ascent = roundf((float)e.ascender * unit);
            *descent = roundf((float)-e.descender * unit);
            *gap = roundf((float)e.line_gap * unit);
        }
    }
}

static void free_description(void *description)
{
    pango_font_description_free(description);
}

static const struct nd_font *font_of(struct render_native *n, const struct nd_style *s)
{
    for (struct nd_font *f = n->fonts; f != NULL; f = f->next) {
        if (f->px == s->font_px && f->weight == s->weight && f->is_italic == s->is_italic &&
            (f->family == s->family || strcmp(f->family, s->family) == 0)) {
            return f;
        }
    }
    struct nd_font *f = nd_alloc(n, sizeof *f);
    f->family = s->family;
    f->px = s->font_px;
    f->weight = s->weight;
    f->is_italic = s->is_italic;
    f->description = pango_font_description_new();
    nd_defer(n, free_description, f->description);
    pango_font_description_set_family(f->description, s->family);
    pango_font_description_set_absolute_size(f->description, (double)s->font_px * PANGO_SCALE);
    pango_font_description_set_weight(f->description,
                                      s->weight >= 600 ? PANGO_WEIGHT_BOLD : PANGO_WEIGHT_NORMAL);
    pango_font_description_set_style(f->description,
                                     s->is_italic ? PANGO_STYLE_ITALIC : PANGO_STYLE_NORMAL);
    PangoFont *font = pango_context_load_font(n->context, f->description);
    metrics_of(font, f->px, &f->ascent, &f->descent, &f->gap);
    g_clear_object(&font);
    f->next = n->fonts;
    n->fonts = f;
    return f;
}

PangoLayout *nd_layout_new(struct render_native *n, const struct nd_style *s, struct fb_slice text)
{
    PangoLayout *layout = pango_layout_new(n->context);
    nd_defer(n, g_object_unref, layout);
    pango_layout_set_font_description(layout, font_of(n, s)->description);
    pango_layout_set_text(layout, (const char *)text.ptr, (int)text.len);
    return layout;
}

/* ---- objects ---- */

static void object_sides(const struct nd_object *o, float *x, float *y)
{
    const struct nd_style *s = o->style;
    *x = s->border[ND_LEFT].width + s->border[ND_RIGHT].width + nd_resolve(s->padding[ND_LEFT], 0) +
         nd_resolve(s->padding[ND_RIGHT], 0);
    *y = s->border[ND_TOP].width + s->border[ND_BOTTOM].width + nd_resolve(s->padding[ND_TOP], 0) +
         nd_resolve(s->padding[ND_BOTTOM], 0);
}

static void box_size(struct render_native *n, struct nd_object *o, float available)
{
    float x = 0;
    float y = 0;
    object_sides(o, &x, &y);
    if (o->words != NULL) {
        nd_text_measure(n, o->words);
    }
    float w = o->width.unit == ND_PX ? o->width.v : (o->words != NULL ? o->words->max : 0) + x;
    w = w > available ? available : w;
    float inner = w > x ? w - x : 0;
    float h = y;
    if (o->words != NULL) {
        nd_text_layout(n, o->words, inner);
        h += o->words->height;
    } else {
        h += roundf(o->style->font_px * 1.35F);
    }
    o->w = w;
    o->h = o->height.unit == ND_PX ? o->height.v : h;
}

/* Width and height as given, the missing one in proportion; no wider than the page. */
void nd_object_size(struct render_native *n, struct nd_object *o, float available)
{
    if (o->image == NULL) {
        box_size(n, o, available);
        return;
    }
    float x = 0;
    float y = 0;
    object_sides(o, &x, &y);
    float iw = (float)o->image->width;
    float ih = (float)o->image->height;
    float w = o->width.unit == ND_AUTO ? -1 : nd_resolve(o->width, available);
    float h = o->height.unit == ND_PX ? o->height.v : -1;
    bool is_h_auto = h < 0;
    if (w < 0 && h < 0) {
        w = iw;
    } else if (w < 0) {
        w = ih > 0 ? h * iw / ih : h;
    }
    float ratio = !is_h_auto && w > 0 ? h / w : iw > 0 ? ih / iw : 0;
    /* An attribute's height keeps its proportion where our style sheet narrows the picture. */
    float most = n->image_px;
    if (o->max_width.unit != ND_AUTO) {
        float own = nd_resolve(o->max_width, available);
        most = own < most ? own : most;
    }
    if (w > most) {
        w = most;
        h = is_h_auto || w < o->width.v ? w * ratio : h;
    } else if (is_h_auto) {
        h = w * (iw > 0 ? ih / iw : 0);
    }
    o->w = w + x;
    o->h = h + y;
}

static float margin(const struct nd_object *o, enum nd_side side)
{
    return o->style->margin[side].unit == ND_PX ? o->style->margin[side].v : 0;
}

static float object_rise(struct render_native *n, const struct nd_object *o, float line_ascent)
{
    float height = o->h + margin(o, ND_TOP) + margin(o, ND_BOTTOM);
    (void)n;
    switch (o->style->valign) { /* from the baseline up to the lower edge */
    case ND_VMIDDLE:
        return o->style->font_px * 0.26F - height / 2;
    case ND_VTOP:
        return line_ascent - height;
    case ND_VSUB:
        return -o->style->font_px / 5 - 1;
    case ND_VSUPER:
        return o->style->font_px / 3 + 1;
    case ND_VLENGTH:
        return o->style->valign_px;
    default:
        return 0;
    }
}

/* ---- attributes ---- */

static void add_attribute(PangoAttrList *list, PangoAttribute *a, int start, int end)
{
    a->start_index = (guint)start;
    a->end_index = (guint)end;
    pango_attr_list_insert(list, a);
}

static guint16 channel(uint32_t rgba, int shift)
{
    return (guint16)((rgba >> shift & 0xFF) * 257);
}

static int rise_of(const struct nd_style *s)
{
    float px = s->valign == ND_VSUPER    ? s->font_px * 1.2F / 3
               : s->valign == ND_VSUB    ? -s->font_px * 1.2F / 5
               : s->valign == ND_VLENGTH ? s->valign_px
                                         : 0;
    return s->display == ND_INLINE ? (int)(px * PANGO_SCALE) : 0;
}

static void style_run(struct render_native *n, struct nd_text *t, const struct nd_run *r, int end,
                      PangoAttrList *list)
{
    const struct nd_style *s = r->style;
    const struct nd_style *base = t->style;
    int start = r->start;
    if (s->font_px != base->font_px || s->weight != base->weight ||
        s->is_italic != base->is_italic || s->family != base->family) {
        add_attribute(list, pango_attr_font_desc_new(font_of(n, s)->description), start, end);
    }
    add_attribute(list,
                  pango_attr_foreground_new(channel(s->colour, 24), channel(s->colour, 16),
                                            channel(s->colour, 8)),
                  start, end);
    if (s->run_background != 0) {
        add_attribute(list,
                      pango_attr_background_new(channel(s->run_background, 24),
                                                channel(s->run_background, 16),
                                                channel(s->run_background, 8)),
                      start, end);
    }
    if ((s->decoration & 1) != 0) {
        add_attribute(list, pango_attr_underline_new(PANGO_UNDERLINE_SINGLE), start, end);
    }
    if ((s->decoration & 2) != 0) {
        add_attribute(list, pango_attr_strikethrough_new(TRUE), start, end);
    }
    if (s->letter_spacing != 0) {
        add_attribute(list, pango_attr_letter_spacing_new((int)(s->letter_spacing * PANGO_SCALE)),
                      start, end);
    }
    if (rise_of(s) != 0) {
        add_attribute(list, pango_attr_rise_new(rise_of(s)), start, end);
    }
    if (s->white == ND_NOWRAP && base->white != ND_NOWRAP) {
        add_attribute(list, pango_attr_allow_breaks_new(FALSE), start, end);
    }
}

static void shape_object(struct nd_text *t, const struct nd_run *r, int end, PangoAttrList *list)
{
    const struct nd_object *o = &t->objects[r->object];
    float w = o->w + margin(o, ND_LEFT) + margin(o, ND_RIGHT);
    PangoRectangle box = {0, -PANGO_SCALE, (int)(w * PANGO_SCALE), PANGO_SCALE};
    add_attribute(list, pango_attr_shape_new(&box, &box), r->start, end);
}

/* Unicode's rules let a line end behind "https://". */
static void keep_schemes(const struct nd_text *t, PangoAttrList *list)
{
    static const char mark[] = "://";
    struct fb_slice text = fb_slice_buf(&t->text);
    size_t found = 0;
    for (size_t at = 0; at < text.len; at += found + sizeof mark - 1) {
        found = fb_slice_find(fb_slice_sub(text, at, SIZE_MAX), fb_slice_str(mark));
        if (found == SIZE_MAX) {
            return;
        }
        size_t end = at + found + sizeof mark; /* with the character behind it */
        while (end < text.len && (text.ptr[end] & 0xC0) == 0x80) {
            end++;
        }
        end = end < text.len ? end : text.len;
        add_attribute(list, pango_attr_allow_breaks_new(FALSE), (int)(at + found), (int)end);
    }
}

static void set_attributes(struct render_native *n, struct nd_text *t)
{
    PangoAttrList *list = pango_attr_list_new();
    keep_schemes(t, list);
    add_attribute(list, pango_attr_insert_hyphens_new(FALSE), 0, (int)t->text.len);
    for (int i = 0; i < t->run_count; i++) {
        int end = i + 1 < t->run_count ? t->runs[i + 1].start : (int)t->text.len;
        style_run(n, t, &t->runs[i], end, list);
        if (t->runs[i].object >= 0) {
            shape_object(t, &t->runs[i], end, list);
        }
    }
    pango_layout_set_attributes(t->layout, list);
    pango_attr_list_unref(list);
}

/* ---- widths ---- */

static bool is_soft(const struct nd_text *t, int at)
{
    for (int i = 0; i < t->soft_count; i++) {
        if (t->soft[i] == at) {
            return true;
        }
    }
    return false;
}

/* The widest piece between two places to break, of one line. */
static float widest_piece(const struct nd_text *t, PangoLayoutLine *line, const PangoLogAttr *attrs,
                          int attr_count, int first_char)
{
    const char *text = fb_buf_str(&t->text);
    int at = pango_layout_line_get_start_index(line);
    int chars = first_char;
    float widest = 0;
    float piece = 0;
    float blanks = 0; /* at the end of a piece they count for nothing */
    for (GSList *run = line->runs; run != NULL; run = run->next) {
        PangoGlyphItemIter i;
        PangoLayoutRun *item = run->data;
        for (gboolean more = pango_glyph_item_iter_init_start(&i, item, text); more;
             more = pango_glyph_item_iter_next_cluster(&i)) {
            int width = 0;
            for (int g = i.start_glyph; g < i.end_glyph; g++) {
                width += item->glyphs->glyphs[g].geometry.width;
            }
            if (i.start_index >= at) {
                chars += (int)g_utf8_strlen(text + at, i.start_index - at);
                at = i.start_index;
            }
            bool is_white = text[i.start_index] == ' ';
            bool can_break = (chars < attr_count && attrs[chars].is_line_break != 0) ||
                             (t->soft_count > 0 && is_soft(t, i.start_index));
            if (can_break && !(chars > first_char && is_white)) {
                widest = piece > widest ? piece : widest;
                piece = blanks = 0;
            }
            float px = (float)width / PANGO_SCALE;
            if (is_white) {
                blanks += px;
            } else {
                piece += blanks + px;
                blanks = 0;
            }
        }
    }
    return piece > widest ? piece : widest;
}

static void size_objects(struct render_native *n, struct nd_text *t, float available)
{
    for (int i = 0; i < t->object_count; i++) {
        nd_object_size(n, &t->objects[i], available);
    }
}

static void make_layout(struct render_native *n, struct nd_text *t)
{
    t->layout = nd_layout_new(n, t->style, fb_slice_buf(&t->text));
    pango_layout_set_wrap(t->layout, PANGO_WRAP_WORD_CHAR);
    pango_layout_set_auto_dir(t->layout, TRUE);
    if (t->style->indent != 0) {
        pango_layout_set_indent(t->layout, (int)(t->style->indent * PANGO_SCALE));
    }
    set_attributes(n, t);
}

/* A picture whose width is a part of what there is needs nothing of its own. */
static float flexible_width(const struct nd_text *t)
{
    float most = 0;
    for (int i = 0; i < t->object_count; i++) {
        const struct nd_object *o = &t->objects[i];
        bool is_flexible =
            o->image != NULL && (o->width.unit == ND_PERCENT || o->max_width.unit == ND_PERCENT);
        most = is_flexible && o->w > most ? o->w : most;
    }
    return most;
}

void nd_text_measure(struct render_native *n, struct nd_text *t)
{
    if (t->is_measured || nd_is_late(n)) {
        return;
    }
    t->is_measured = true;
    size_objects(n, t, n->layout_px);
    make_layout(n, t);
    const PangoLogAttr *attrs = NULL;
    int attr_count = 0;
    int chars = 0;
    const char *text = fb_buf_str(&t->text);
    bool is_unbroken = t->style->white == ND_NOWRAP || t->style->white == ND_PRE;
    if (!is_unbroken) {
        attrs = pango_layout_get_log_attrs_readonly(t->layout, &attr_count);
    }
    int last = 0;
    for (const GSList *l = pango_layout_get_lines_readonly(t->layout); l != NULL; l = l->next) {
        PangoRectangle box;
        PangoLayoutLine *line = l->data;
        pango_layout_line_get_extents(line, NULL, &box);
        float width = (float)box.width / PANGO_SCALE + t->style->indent;
        t->max = width > t->max ? width : t->max;
        if (!is_unbroken) {
            int start = pango_layout_line_get_start_index(line);
            chars += (int)g_utf8_strlen(text + last, start - last);
            last = start;
            width = widest_piece(t, line, attrs, attr_count, chars);
        }
        t->min = width > t->min ? width : t->min;
    }
    if (is_unbroken && t->max > 2 * n->layout_px) { /* endless: broken all the same */
        t->min = n->layout_px;
    }
    float flexible = flexible_width(t);
    if (flexible > 0 && t->min <= flexible + 1) {
        t->min = 0;
    }
}

/* ---- lines ---- */

struct line_box {
    float above, below;
};

static void grow(struct line_box *b, float above, float below)
{
    b->above = above > b->above ? above : b->above;
    b->below = below > b->below ? below : b->below;
}

static void text_box(const struct nd_style *s, float ascent, float descent, float gap, float rise,
                     struct line_box *b)
{
    float height = s->line_height > 0   ? s->line_height
                   : s->line_height < 0 ? -s->line_height * s->font_px
                                        : ascent + descent + gap;
    float above = ascent + floorf((height - ascent - descent) / 2);
    grow(b, above + rise, height - above - rise);
}

static int run_at(const struct nd_text *t, int offset)
{
    int low = 0;
    int high = t->run_count - 1;
    while (low < high) {
        int middle = (low + high + 1) / 2;
        if (t->runs[middle].start <= offset) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    return low;
}

static void object_box(struct render_native *n, struct nd_object *o, bool is_second,
                       struct line_box *b)
{
    float height = o->h + margin(o, ND_TOP) + margin(o, ND_BOTTOM);
    bool is_line_relative = o->style->valign == ND_VTOP || o->style->valign == ND_VBOTTOM;
    if (!is_line_relative && !is_second) {
        o->rise = object_rise(n, o, 0);
        grow(b, o->rise + height, -o->rise);
    } else if (is_line_relative && is_second) {
        if (b->above + b->below < height) {
            if (o->style->valign == ND_VTOP) {
                b->below = height - b->above;
            } else {
                b->above = height - b->below;
            }
        }
        o->rise = o->style->valign == ND_VTOP ? b->above - height : -b->below;
    }
}

static struct line_box line_box_of(struct render_native *n, struct nd_text *t,
                                   PangoLayoutLine *line)
{
    const struct nd_font *base = font_of(n, t->style);
    struct line_box b = {-1e6F, -1e6F};
    text_box(t->style, base->ascent, base->descent, base->gap, 0, &b);
    for (int pass = 0; pass < 2; pass++) {
        for (GSList *l = line->runs; l != NULL; l = l->next) {
            const PangoLayoutRun *item = l->data;
            /* An item lies within one run: their attributes differ. */
            int first = run_at(t, item->item->offset);
            int end = item->item->offset + item->item->length;
            for (int r = first; r < t->run_count && t->runs[r].start < end; r++) {
                const struct nd_run *run = &t->runs[r];
                if (run->object >= 0) {
                    object_box(n, &t->objects[run->object], pass == 1, &b);
                } else if (pass == 0 && (run->style != t->style || t->style->line_height == 0)) {
                    const struct nd_font *f = font_of(n, run->style);
                    float ascent = f->ascent;
                    float descent = f->descent;
                    float gap = f->gap;
                    if (run->style->line_height == 0) { /* "normal": as the glyphs' fonts need it */
                        float a, d, g;
                        metrics_of(item->item->analysis.font, f->px, &a, &d, &g);
                        ascent = a > ascent ? a : ascent;
                        descent = d > descent ? d : descent;
                    }
                    text_box(run->style, ascent, descent, gap,
                             (float)rise_of(run->style) / PANGO_SCALE, &b);
                }
            }
        }
    }
    return b;
}

static void take_lines(struct render_native *n, struct nd_text *t, float width)
{
    float y = 0;
    int i = 0;
    t->line_count = pango_layout_get_line_count(t->layout);
    t->lines = nd_alloc(n, (size_t)t->line_count * sizeof *t->lines);
    for (const GSList *l = pango_layout_get_lines_readonly(t->layout);
         l != NULL && i < t->line_count; l = l->next, i++) {
        PangoLayoutLine *line = l->data;
        PangoRectangle box;
        pango_layout_line_get_extents(line, NULL, &box);
        float used = (float)box.width / PANGO_SCALE;
        struct line_box b = line_box_of(n, t, line);
        float left = i == 0 ? t->style->indent : 0;
        float rest = width - used - left;
        rest = rest > 0 ? rest : 0;
        bool is_rtl = pango_layout_line_get_resolved_direction(line) == PANGO_DIRECTION_RTL;
        float x = t->style->align == ND_CENTER ? rest / 2
                  : (t->style->align == ND_END) != (is_rtl && t->style->align == ND_START) ? rest
                                                                                           : 0;
        t->lines[i] = (struct nd_row_line){line, x + left, y, b.above + b.below, b.above};
        y += b.above + b.below;
    }
    t->height = y;
}

void nd_text_layout(struct render_native *n, struct nd_text *t, float width)
{
    nd_text_measure(n, t);
    if (t->layout == NULL || (t->lines != NULL && t->width == width)) {
        return;
    }
    float before = 0;
    float after = 0;
    for (int i = 0; i < t->object_count; i++) {
        before += t->objects[i].w;
    }
    size_objects(n, t, width > 0 ? width : n->layout_px);
    for (int i = 0; i < t->object_count; i++) {
        after += t->objects[i].w;
    }
    if (fabsf(before - after) > SLACK) {
        set_attributes(n, t);
    }
    t->width = width;
    bool is_unbroken = t->style->white == ND_NOWRAP || t->style->white == ND_PRE;
    is_unbroken = is_unbroken && t->max <= 2 * n->layout_px;
    bool fits = is_unbroken || (t->max - before + after) <= width + SLACK;
    bool was_broken = pango_layout_get_width(t->layout) >= 0;
    if (!fits) {
        pango_layout_set_justify(t->layout, t->style->align == ND_JUSTIFY);
        pango_layout_set_width(t->layout, (int)((width + SLACK) * PANGO_SCALE));
    } else if (was_broken) {
        pango_layout_set_width(t->layout, -1);
    }
    take_lines(n, t, width);
}
