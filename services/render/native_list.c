/* SPDX-License-Identifier: Apache-2.0
 *
 * From boxes to a list of what is drawn, in the order of the document: text is searched and read aloud
 * in that order.  Notes what no page's end may cut, and which heads of tables are repeated. */
#include "services/render/native_internal.h"

#define HEAD_MAX 200.0F /* px: a higher head is not repeated */
#define ROW_MAX  160.0F /* px: a lower row stays whole */

static struct nd_item *add(struct render_native *n, enum nd_item_kind kind, float x, float y,
                           float w, float h)
{
    n->items = nd_more(n, n->items, n->item_count, &n->item_room, sizeof *n->items);
    struct nd_item *i = &n->items[n->item_count++];
    *i = (struct nd_item){.kind = kind, .x = x, .y = y, .w = w, .h = h};
    return i;
}

static void keep(struct render_native *n, float top, float bottom)
{
    if (bottom > top) {
        n->keeps = nd_more(n, n->keeps, n->keep_count, &n->keep_room, sizeof *n->keeps);
        n->keeps[n->keep_count++] = (struct nd_keep){top, bottom};
    }
}

static void force_break(struct render_native *n, float y)
{
    n->breaks = nd_more(n, n->breaks, n->break_count, &n->break_room, sizeof *n->breaks);
    n->breaks[n->break_count++] = y;
}

static void note_right(struct render_native *n, float right)
{
    n->widest = right > n->widest ? right : n->widest;
}

static bool has_border(const struct nd_box *b)
{
    for (int side = 0; side < 4; side++) {
        if ((b->used != NULL ? b->used[side].width : b->style->border[side].width) > 0) {
            return true;
        }
    }
    return false;
}

static void list_decoration(struct render_native *n, const struct nd_box *b, float x, float y,
                            float w, float h)
{
    bool is_table = b->kind == BOX_TABLE;
    bool is_drawn = has_border(b) && !(is_table && b->style->is_collapsed);
    if ((b->style->background & 0xFF) != 0 && w > 0 && h > 0) {
        struct nd_item *i = add(n, ITEM_FILL, x, y, w, h);
        i->colour = b->style->background;
        i->box = b;
    }
    if (is_drawn) {
        add(n, ITEM_BORDER, x, y, w, h)->box = b;
    }
}

/* ---- text ---- */

static void list_objects(struct render_native *n, struct nd_box *owner, int line, float x, float y)
{
    const struct nd_text *t = owner->text;
    const struct nd_row_line *l = &t->lines[line];
    int start = pango_layout_line_get_start_index(l->line);
    int end = start + pango_layout_line_get_length(l->line);
    for (int i = 0; i < t->object_count; i++) {
        const struct nd_object *o = &t->objects[i];
        if (o->at < start || o->at >= end) {
            continue;
        }
        int at = 0;
        pango_layout_line_index_to_x(l->line, o->at, FALSE, &at);
        const struct nd_style *s = o->style;
        float left = s->margin[ND_LEFT].unit == ND_PX ? s->margin[ND_LEFT].v : 0;
        float below = s->margin[ND_BOTTOM].unit == ND_PX ? s->margin[ND_BOTTOM].v : 0;
        float ox = x + l->x + (float)at / PANGO_SCALE + left;
        float oy = y + l->y + l->baseline - o->rise - below - o->h;
        struct nd_item *item = add(n, o->image != NULL ? ITEM_IMAGE : ITEM_BOX, ox, oy, o->w, o->h);
        item->object = o;
        item->owner = owner;
        keep(n, oy, oy + o->h);
        note_right(n, ox + o->w);
    }
}

static void list_text(struct render_native *n, struct nd_box *b, float x, float y)
{
    const struct nd_text *t = b->text;
    for (int i = 0; i < t->line_count; i++) {
        const struct nd_row_line *l = &t->lines[i];
        PangoRectangle box;
        pango_layout_line_get_extents(l->line, NULL, &box);
        float w = (float)box.width / PANGO_SCALE;
        struct nd_item *item = add(n, ITEM_LINE, x + l->x, y + l->y, w, l->height);
        item->text = t;
        item->line = i;
        item->owner = b;
        keep(n, y + l->y, y + l->y + l->height);
        note_right(n, x + l->x + w);
        list_objects(n, b, i, x, y);
    }
    if (t->line_count >= 2) { /* neither the first nor the last line stands alone */
        const struct nd_row_line *last = &t->lines[t->line_count - 2];
        keep(n, y, y + t->lines[1].y + t->lines[1].height);
        keep(n, y + last->y, y + t->height);
    }
}

static const struct nd_box *first_text(const struct nd_box *b)
{
    for (const struct nd_box *c = b->first; c != NULL; c = c->first) {
        if (c->kind == BOX_TEXT) {
            return c;
        }
        if (c->kind == BOX_TABLE) {
            return NULL;
        }
    }
    return NULL;
}

static void list_marker(struct render_native *n, struct nd_box *b, float x, float y)
{
    const struct nd_box *text = first_text(b);
    if (b->marker == NULL) {
        return;
    }
    b->marker_layout = nd_layout_new(n, b->style, fb_slice_str(b->marker));
    int w = 0;
    int base = pango_layout_get_baseline(b->marker_layout);
    pango_layout_get_size(b->marker_layout, &w, NULL);
    bool is_symbol = b->style->list <= ND_SQUARE;
    float gap = b->style->font_px * (is_symbol ? 0.72F : 0.28F);
    const struct nd_row_line *l =
        text != NULL && text->text->line_count > 0 ? &text->text->lines[0] : NULL;
    float baseline = l != NULL ? text->y - b->y + l->baseline : (float)base / PANGO_SCALE;
    float left = x + b->border[ND_LEFT] + b->padding[ND_LEFT];
    struct nd_item *item = add(n, ITEM_MARKER, left - (float)w / PANGO_SCALE - gap, y,
                               (float)w / PANGO_SCALE, baseline + 2);
    item->box = item->owner = b;
    item->colour = b->style->colour;
    item->h = baseline;
}

/* ---- boxes ---- */

static void list_children(struct render_native *n, struct nd_box *b, float ox, float oy);

static void list_row(struct render_native *n, struct nd_box *row, float ox, float oy)
{
    list_decoration(n, row, ox + row->x, oy + row->y, row->w, row->h);
    if (row->h <= ROW_MAX || row->style->avoids_break) {
        keep(n, oy + row->y, oy + row->y + row->h);
    }
    for (struct nd_box *c = row->first; c != NULL; c = c->next) {
        if (c->kind == BOX_CELL && c->colspan > 0) {
            list_decoration(n, c, ox + c->x, oy + c->y, c->w, c->h);
            note_right(n, ox + c->x + c->w);
            list_children(n, c, ox + c->x, oy + c->y + c->shift);
        }
    }
}

static void list_group(struct render_native *n, struct nd_box *g, float ox, float oy)
{
    struct nd_box *last = NULL;
    struct nd_box *first = NULL;
    for (struct nd_box *r = g->first; r != NULL; r = r->next) {
        if (r->kind == BOX_ROW) {
            first = first == NULL ? r : first;
            last = r;
        }
    }
    if (first != NULL) {
        list_decoration(n, g, ox + first->x, oy + first->y, first->w, last->y + last->h - first->y);
    }
    for (struct nd_box *r = g->first; r != NULL; r = r->next) {
        if (r->kind == BOX_ROW) {
            list_row(n, r, ox, oy);
        }
    }
}

static void list_groups(struct render_native *n, struct nd_box *b, uint8_t group, float ox,
                        float oy)
{
    for (struct nd_box *g = b->first; g != NULL; g = g->next) {
        if (g->kind == BOX_GROUP && g->group == group) {
            list_group(n, g, ox, oy);
        } else if (g->kind == BOX_ROW && group == ND_ROW_GROUP) {
            list_row(n, g, ox, oy);
        }
    }
}

static void list_table(struct render_native *n, struct nd_box *b, float ox, float oy)
{
    for (struct nd_box *c = b->first; c != NULL; c = c->next) {
        if (c->kind == BOX_CAPTION) {
            list_decoration(n, c, ox + c->x, oy + c->y, c->w, c->h);
            list_children(n, c, ox + c->x, oy + c->y);
        }
    }
    list_decoration(n, b, ox + b->x, oy + b->y, b->w, b->h);
    note_right(n, ox + b->x + b->w);
    size_t before = n->item_count;
    list_groups(n, b, ND_HEAD_GROUP, ox, oy);
    if (n->item_count > before) {
        float top = 1e9F;
        float bottom = 0;
        for (struct nd_box *g = b->first; g != NULL; g = g->next) {
            for (struct nd_box *r = g->group == ND_HEAD_GROUP ? g->first : NULL; r != NULL;
                 r = r->next) {
                top = oy + r->y < top ? oy + r->y : top;
                bottom = oy + r->y + r->h > bottom ? oy + r->y + r->h : bottom;
            }
        }
        if (bottom - top <= HEAD_MAX && bottom > top) {
            n->heads = nd_more(n, n->heads, n->head_count, &n->head_room, sizeof *n->heads);
            n->heads[n->head_count++] =
                (struct nd_head){top, bottom, oy + b->y + b->h, (int)before, (int)n->item_count};
            keep(n, top, bottom + 20); /* with the first row's beginning */
        }
    }
    list_groups(n, b, ND_ROW_GROUP, ox, oy);
    list_groups(n, b, ND_FOOT_GROUP, ox, oy);
}

static void list_block(struct render_native *n, struct nd_box *b, float ox, float oy)
{
    float x = ox + b->x;
    float y = oy + b->y;
    if (b->style->breaks_before) {
        force_break(n, y);
    }
    list_decoration(n, b, x, y, b->w, b->h);
    note_right(n, x + b->w);
    if (b->kind == BOX_RULE) {
        keep(n, y, y + b->h);
    }
    bool is_heading = b->tag >= GUMBO_TAG_H1 && b->tag <= GUMBO_TAG_H6;
    if (is_heading) { /* not without what it is the heading of */
        keep(n, y, y + b->h + b->margin[ND_BOTTOM] + 20);
    }
    if (b->style->avoids_break) {
        keep(n, y, y + b->h);
    }
    list_marker(n, b, x, y);
    list_children(n, b, ox, oy);
    if (b->style->breaks_after) {
        force_break(n, y + b->h);
    }
}

static void list_children(struct render_native *n, struct nd_box *b, float ox, float oy)
{
    for (struct nd_box *c = b->first; c != NULL && !nd_is_late(n); c = c->next) {
        if (c->kind == BOX_TEXT) {
            list_text(n, c, ox + c->x, oy + c->y);
        } else if (c->kind == BOX_TABLE) {
            list_table(n, c, ox, oy);
        } else if (c->kind == BOX_IMAGE) {
            list_decoration(n, c, ox + c->x, oy + c->y, c->w, c->h);
            struct nd_item *item = add(n, ITEM_IMAGE, ox + c->x, oy + c->y, c->w, c->h);
            item->object = c->object;
            item->owner = c;
            keep(n, oy + c->y, oy + c->y + c->h);
            note_right(n, ox + c->x + c->w);
        } else {
            list_block(n, c, ox, oy);
        }
    }
}

void nd_list(struct render_native *n)
{
    list_children(n, n->root, 0, 0);
}
