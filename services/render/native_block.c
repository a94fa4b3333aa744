/* SPDX-License-Identifier: Apache-2.0
 *
 * Blocks one below the other (CSS 2.1, 8.3.1 and 10.3.3): margins collapse, a box whose first content
 * is not there yet has no top yet. */
#include <math.h>
#include <string.h>

#include "services/render/native_internal.h"

#define HEAD_MARGIN_PX (14 * ND_PX_PER_PT) /* page.c leaves so much below the header block */

struct flow {
    float y;
    float positive, negative; /* margins that wait for content */
    struct nd_box *pending;   /* boxes whose top comes with it */
};

float nd_resolve(struct nd_length l, float base)
{
    return l.unit == ND_PX ? l.v : l.unit == ND_PERCENT ? l.v * base / 100 : 0;
}

void nd_edges(struct nd_box *b, float available)
{
    for (int i = 0; i < 4; i++) {
        b->border[i] = b->used != NULL ? b->used[i].width / 2 : b->style->border[i].width;
        b->padding[i] = nd_resolve(b->style->padding[i], available);
        b->margin[i] = b->kind == BOX_CELL ? 0 : nd_resolve(b->style->margin[i], available);
    }
}

static void add_margin(struct flow *f, float margin)
{
    if (margin >= 0) {
        f->positive = margin > f->positive ? margin : f->positive;
    } else {
        f->negative = margin < f->negative ? margin : f->negative;
    }
}

static void settle(struct flow *f)
{
    f->y += f->positive + f->negative;
    f->positive = f->negative = 0;
    for (struct nd_box *b = f->pending; b != NULL;) {
        struct nd_box *next = b->pending;
        b->y = f->y;
        b->is_top_known = true;
        b->pending = NULL;
        b = next;
    }
    f->pending = NULL;
}

static float sides_x(const struct nd_box *b)
{
    return b->border[ND_LEFT] + b->border[ND_RIGHT] + b->padding[ND_LEFT] + b->padding[ND_RIGHT];
}

/* Width of the border box that the style asks for; < 0: none. */
static float wanted_width(const struct nd_box *b, struct nd_length l, float available)
{
    if (l.unit == ND_AUTO) {
        return -1;
    }
    float w = nd_resolve(l, available);
    return b->style->is_border_box ? w : w + sides_x(b);
}

static float block_width(const struct nd_box *b, float available)
{
    float w = wanted_width(b, b->style->width, available);
    if (w < 0) {
        w = available - b->margin[ND_LEFT] - b->margin[ND_RIGHT];
    }
    float most = wanted_width(b, b->style->max_width, available);
    float least = wanted_width(b, b->style->min_width, available);
    w = most >= 0 && w > most ? most : w;
    w = w < least ? least : w;
    return w < sides_x(b) ? sides_x(b) : w;
}

/* Where a box of width w stands within `available`: auto margins, or as <center> has it. */
static float place_x(const struct nd_box *b, float available)
{
    bool is_left = b->style->margin[ND_LEFT].unit == ND_AUTO;
    bool is_right = b->style->margin[ND_RIGHT].unit == ND_AUTO;
    float rest = available - b->w - b->margin[ND_LEFT] - b->margin[ND_RIGHT];
    uint8_t align = b->parent != NULL ? b->parent->style->align_blocks : ND_START;
    if (rest <= 0) {
        return b->margin[ND_LEFT];
    }
    if (is_left || is_right) {
        return b->margin[ND_LEFT] + (is_left ? (is_right ? rest / 2 : rest) : 0);
    }
    return b->margin[ND_LEFT] + (align == ND_CENTER ? rest / 2 : align == ND_END ? rest : 0);
}

static void flow_children(struct render_native *n, struct flow *f, struct nd_box *b, float x,
                          float width);

static float wanted_height(const struct nd_box *b)
{
    float h = b->style->height.unit == ND_PX ? b->style->height.v : 0;
    float least = b->style->min_height.unit == ND_PX ? b->style->min_height.v : 0;
    h = h > least ? h : least;
    float sides =
        b->border[ND_TOP] + b->border[ND_BOTTOM] + b->padding[ND_TOP] + b->padding[ND_BOTTOM];
    return h <= 0 ? 0 : b->style->is_border_box ? h : h + sides;
}

static void flow_block(struct render_native *n, struct flow *f, struct nd_box *b, float x,
                       float available)
{
    nd_edges(b, available);
    b->w = block_width(b, available);
    b->x = x + place_x(b, available);
    float top = b->border[ND_TOP] + b->padding[ND_TOP];
    float bottom = b->border[ND_BOTTOM] + b->padding[ND_BOTTOM];
    float height = wanted_height(b);
    add_margin(f, b->margin[ND_TOP]);
    if (top > 0 || height > 0 || b->style->breaks_before) {
        settle(f);
        b->y = f->y;
        b->is_top_known = true;
        f->y += top;
    } else {
        b->pending = f->pending;
        f->pending = b;
    }
    flow_children(n, f, b, b->x + b->border[ND_LEFT] + b->padding[ND_LEFT], b->w - sides_x(b));
    if (bottom > 0 || height > 0) {
        settle(f);
        f->y += bottom;
        if (f->y < b->y + height) {
            f->y = b->y + height;
        }
    }
    b->h = b->is_top_known ? f->y - b->y : 0;
    add_margin(f, b->margin[ND_BOTTOM]);
}

static void flow_image(struct render_native *n, struct flow *f, struct nd_box *b, float x,
                       float available)
{
    nd_edges(b, available);
    nd_object_size(n, b->object, available);
    b->w = b->object->w;
    b->h = b->object->h;
    add_margin(f, b->margin[ND_TOP]);
    settle(f);
    b->x = x + place_x(b, available);
    b->y = f->y;
    b->is_top_known = true;
    f->y += b->h;
    add_margin(f, b->margin[ND_BOTTOM]);
}

static void flow_table(struct render_native *n, struct flow *f, struct nd_box *b, float x,
                       float available)
{
    nd_edges(b, available);
    nd_table_layout(n, b, available - b->margin[ND_LEFT] - b->margin[ND_RIGHT]);
    add_margin(f, b->margin[ND_TOP]);
    settle(f);
    b->x = x + place_x(b, available);
    b->y = f->y;
    b->is_top_known = true;
    nd_table_place(b);
    f->y += b->h;
    add_margin(f, b->margin[ND_BOTTOM]);
}

static void flow_children(struct render_native *n, struct flow *f, struct nd_box *b, float x,
                          float width)
{
    for (struct nd_box *c = b->first; c != NULL && !nd_is_late(n); c = c->next) {
        switch (c->kind) {
        case BOX_TEXT:
            settle(f);
            nd_text_layout(n, c->text, width);
            c->x = x;
            c->y = f->y;
            c->w = width;
            c->h = c->text->height;
            f->y += c->h;
            break;
        case BOX_TABLE:
            flow_table(n, f, c, x, width);
            break;
        case BOX_IMAGE:
            flow_image(n, f, c, x, width);
            break;
        default:
            flow_block(n, f, c, x, width);
            break;
        }
    }
}

void nd_layout_root(struct render_native *n, struct nd_box *b, float width)
{
    struct flow f = {.y = b->border[ND_TOP] + b->padding[ND_TOP]};
    if (b == n->root) { /* its first margin is one with that of the header block */
        f.positive = (float)(HEAD_MARGIN_PX / n->zoom);
        f.y = -f.positive;
    }
    b->w = width;
    float inner = width - sides_x(b);
    flow_children(n, &f, b, b->border[ND_LEFT] + b->padding[ND_LEFT], inner > 0 ? inner : 0);
    settle(&f);
    b->h = f.y + b->border[ND_BOTTOM] + b->padding[ND_BOTTOM];
}

/* ---- widths that content needs ---- */

static void widen(struct nd_box *b, const struct nd_box *child)
{
    b->min = child->min > b->min ? child->min : b->min;
    b->max = child->max > b->max ? child->max : b->max;
}

static void measure_child(struct render_native *n, struct nd_box *c)
{
    if (c->kind == BOX_TEXT) {
        nd_text_measure(n, c->text);
        c->min = c->text->min;
        c->max = c->text->max;
    } else if (c->kind == BOX_IMAGE) {
        nd_object_size(n, c->object, n->layout_px);
        c->max = c->object->w + c->margin[ND_LEFT] + c->margin[ND_RIGHT];
        bool is_flexible =
            c->object->width.unit == ND_PERCENT || c->object->max_width.unit == ND_PERCENT;
        c->min = is_flexible ? 0 : c->max;
    } else {
        nd_measure(n, c);
    }
}

void nd_measure(struct render_native *n, struct nd_box *b)
{
    if (b->is_measured || nd_is_late(n)) {
        return;
    }
    b->is_measured = true;
    nd_edges(b, 0);
    if (b->kind == BOX_TABLE) {
        nd_table_measure(n, b);
    } else {
        for (struct nd_box *c = b->first; c != NULL; c = c->next) {
            measure_child(n, c);
            widen(b, c);
        }
        b->min += sides_x(b);
        b->max += sides_x(b);
    }
    if (b->style->width.unit == ND_PX && b->kind != BOX_TABLE && b->kind != BOX_CELL) {
        b->min = b->max = wanted_width(b, b->style->width, 0);
    }
    if (b->style->max_width.unit == ND_PX) {
        float most = wanted_width(b, b->style->max_width, 0);
        b->max = b->max > most && most > b->min ? most : b->max;
    }
    if (b->style->min_width.unit == ND_PX) {
        float least = wanted_width(b, b->style->min_width, 0);
        b->min = b->min < least ? least : b->min;
        b->max = b->max < b->min ? b->min : b->max;
    }
    b->min += b->margin[ND_LEFT] + b->margin[ND_RIGHT];
    b->max += b->margin[ND_LEFT] + b->margin[ND_RIGHT];
}
