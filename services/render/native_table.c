/* SPDX-License-Identifier: Apache-2.0
 *
 * Tables (CSS Tables 3): the grid, what each column needs, which width it gets, rows and their
 * heights.  Cells are measured once and laid out once, so that tables in tables cost no more than
 * their cells. */
#include <math.h>
#include <string.h>

#include "services/render/native_internal.h"
#include "services/render/native_table.h"

#define MAX_GRID 2000000 /* rows times columns */

/* ---- the grid ---- */

static void each_row(struct nd_box *table, uint8_t group,
                     void (*visit)(struct nd_table *, struct nd_box *), struct nd_table *t)
{
    for (struct nd_box *g = table->first; g != NULL; g = g->next) {
        bool is_loose = g->kind == BOX_ROW && group == ND_ROW_GROUP;
        if (is_loose) {
            visit(t, g);
        }
        bool is_wanted = g->kind == BOX_GROUP && g->group == group;
        for (struct nd_box *r = is_wanted ? g->first : NULL; r != NULL; r = r->next) {
            if (r->kind == BOX_ROW) {
                visit(t, r);
            }
        }
    }
}

static void all_rows(struct nd_box *table, void (*visit)(struct nd_table *, struct nd_box *),
                     struct nd_table *t)
{
    each_row(table, ND_HEAD_GROUP, visit, t);
    each_row(table, ND_ROW_GROUP, visit, t);
    each_row(table, ND_FOOT_GROUP, visit, t);
}

static void count_row(struct nd_table *t, struct nd_box *row)
{
    (void)row;
    t->row_count++;
}

static void place_cells(struct nd_table *t, struct nd_box *row)
{
    int at = 0;
    row->row = t->row_at;
    t->rows[t->row_at].box = row;
    for (struct nd_box *c = row->first; c != NULL; c = c->next) {
        if (c->kind != BOX_CELL) {
            continue;
        }
        while (at < ND_MAX_COLUMNS && t->busy[at] > 0) {
            at++;
        }
        if (at >= ND_MAX_COLUMNS) {
            t->is_cut = true;
            c->column = ND_MAX_COLUMNS; /* lies in no column: not shown */
            c->colspan = 0;
            continue;
        }
        c->column = at;
        c->row = t->row_at;
        c->colspan = at + c->colspan > ND_MAX_COLUMNS ? ND_MAX_COLUMNS - at : c->colspan;
        int rest = t->row_count - t->row_at;
        c->rowspan = c->rowspan > rest ? rest : c->rowspan;
        for (int i = 0; i < c->colspan; i++) {
            t->busy[at + i] = c->rowspan;
        }
        at += c->colspan;
        t->column_count = at > t->column_count ? at : t->column_count;
    }
    for (int i = 0; i < ND_MAX_COLUMNS; i++) {
        t->busy[i] -= t->busy[i] > 0;
    }
    t->row_at++;
}

static void fill_grid(struct nd_table *t, struct nd_box *row)
{
    for (struct nd_box *c = row->first; c != NULL && t->grid != NULL; c = c->next) {
        if (c->kind != BOX_CELL || c->colspan == 0) {
            continue;
        }
        for (int y = c->row; y < c->row + c->rowspan; y++) {
            for (int x = c->column; x < c->column + c->colspan; x++) {
                t->grid[(size_t)y * (size_t)t->column_count + (size_t)x] = c;
            }
        }
    }
}

static struct nd_table *grid_of(struct render_native *n, struct nd_box *b)
{
    if (b->table != NULL) {
        return b->table;
    }
    struct nd_table *t = nd_alloc(n, sizeof *t);
    b->table = t;
    t->n = n;
    t->box = b;
    t->is_collapsed = b->style->is_collapsed;
    t->spacing = t->is_collapsed ? 0 : b->style->spacing;
    all_rows(b, count_row, t);
    t->rows = nd_alloc(n, ((size_t)t->row_count + 1) * sizeof *t->rows);
    all_rows(b, place_cells, t);
    t->columns = nd_alloc(n, ((size_t)t->column_count + 1) * sizeof *t->columns);
    size_t cells = (size_t)t->row_count * (size_t)t->column_count;
    if (t->is_collapsed && cells > 0 && cells <= MAX_GRID) {
        t->grid = nd_alloc(n, cells * sizeof *t->grid);
        all_rows(b, fill_grid, t);
        nd_table_collapse(t);
    }
    return t;
}

/* ---- what columns need ---- */

static void want(struct nd_column *c, struct nd_length l, float sides)
{
    if (l.unit == ND_PX) {
        float w = l.v + sides;
        c->fixed = w > c->fixed ? w : c->fixed;
    } else if (l.unit == ND_PERCENT && l.v > 0) {
        c->percent = l.v > c->percent ? l.v : c->percent;
    }
}

float nd_cell_sides(const struct nd_box *c)
{
    return c->border[ND_LEFT] + c->border[ND_RIGHT] + c->padding[ND_LEFT] + c->padding[ND_RIGHT];
}

static void need_single(struct nd_table *t, struct nd_box *row)
{
    for (struct nd_box *c = row->first; c != NULL; c = c->next) {
        if (c->kind != BOX_CELL || c->colspan == 0) {
            continue;
        }
        nd_measure(t->n, c);
        if (c->colspan == 1) {
            struct nd_column *k = &t->columns[c->column];
            k->min = c->min > k->min ? c->min : k->min;
            k->max = c->max > k->max ? c->max : k->max;
            want(k, c->style->width, c->style->is_border_box ? 0 : nd_cell_sides(c));
        }
    }
}

/* Gives the columns of a wide cell what it needs more than they have, as they would like it. */
static void spread(struct nd_table *t, const struct nd_box *c, float more, bool is_min)
{
    float total = 0;
    for (int i = 0; i < c->colspan; i++) {
        const struct nd_column *k = &t->columns[c->column + i];
        total += k->max > 1 ? k->max : 1;
    }
    for (int i = 0; i < c->colspan; i++) {
        struct nd_column *k = &t->columns[c->column + i];
        float part = more * (k->max > 1 ? k->max : 1) / total;
        if (is_min) {
            k->min += part;
        } else {
            k->max += part;
        }
    }
}

static void need_spanning(struct nd_table *t, struct nd_box *row)
{
    for (struct nd_box *c = row->first; c != NULL; c = c->next) {
        if (c->kind != BOX_CELL || c->colspan < 2) {
            continue;
        }
        float gaps = t->spacing * (float)(c->colspan - 1);
        float min = gaps;
        float max = gaps;
        float percent = 0;
        int free_count = 0;
        for (int i = 0; i < c->colspan; i++) {
            const struct nd_column *k = &t->columns[c->column + i];
            min += k->min;
            max += k->max > k->fixed ? k->max : k->fixed;
            percent += k->percent;
            free_count += k->percent == 0 && k->fixed == 0;
        }
        float wants = c->style->width.unit == ND_PX
                          ? c->style->width.v + (c->style->is_border_box ? 0 : nd_cell_sides(c))
                          : 0;
        float most = c->max > wants ? c->max : wants;
        if (c->min > min) {
            spread(t, c, c->min - min, true);
        }
        if (most > max) {
            spread(t, c, most - max, false);
        }
        if (c->style->width.unit == ND_PERCENT && c->style->width.v > percent && free_count > 0) {
            for (int i = 0; i < c->colspan; i++) {
                struct nd_column *k = &t->columns[c->column + i];
                if (k->percent == 0 && k->fixed == 0) {
                    k->percent = (c->style->width.v - percent) / (float)free_count;
                }
            }
        }
    }
}

static void column_elements(struct nd_table *t)
{
    int at = 0;
    for (struct nd_box *g = t->box->first; g != NULL; g = g->next) {
        if (g->kind != BOX_GROUP || (g->group != ND_COLUMN && g->group != ND_COLUMN_GROUP)) {
            continue;
        }
        struct nd_box *first = g->group == ND_COLUMN_GROUP ? g->first : g;
        for (struct nd_box *c = first; c != NULL; c = g->group == ND_COLUMN ? NULL : c->next) {
            for (int i = 0; c->group == ND_COLUMN && i < c->colspan && at < t->column_count; i++) {
                want(&t->columns[at++], c->style->width, 0);
            }
        }
    }
}

static void audit_percent(struct nd_table *t)
{
    float total = 0;
    for (int i = 0; i < t->column_count; i++) {
        total += t->columns[i].percent;
    }
    if (total > 100.5F) {
        nd_note(t->n, ND_TABLE_PERCENT);
    }
}

static void need(struct nd_table *t)
{
    if (t->is_needed) {
        return;
    }
    t->is_needed = true;
    column_elements(t);
    all_rows(t->box, need_single, t);
    for (int i = 0; i < t->column_count; i++) {
        struct nd_column *k = &t->columns[i];
        k->fixed = k->fixed > 0 && k->fixed < k->min ? k->min : k->fixed;
        k->max = k->max < k->min ? k->min : k->max;
    }
    all_rows(t->box, need_spanning, t);
    audit_percent(t);
}

static float outer_x(const struct nd_table *t)
{
    const struct nd_box *b = t->box;
    float sides = b->border[ND_LEFT] + b->border[ND_RIGHT];
    if (!t->is_collapsed) {
        sides += b->padding[ND_LEFT] + b->padding[ND_RIGHT];
    }
    return sides + t->spacing * (float)(t->column_count + 1);
}

void nd_table_measure(struct render_native *n, struct nd_box *b)
{
    struct nd_table *t = grid_of(n, b);
    nd_table_edges(t);
    need(t);
    float min = 0;
    float max = 0;
    float percents = 0;
    float rest = 0;
    float from_percent = 0;
    for (int i = 0; i < t->column_count; i++) {
        const struct nd_column *k = &t->columns[i];
        float most = k->fixed > 0 ? k->fixed : k->max;
        min += k->min;
        max += most;
        if (k->percent > 0) {
            float whole = most * 100 / k->percent;
            from_percent = whole > from_percent ? whole : from_percent;
            percents += k->percent;
        } else {
            rest += most;
        }
    }
    if (percents > 0 && percents < 99) {
        float whole = rest * 100 / (100 - percents);
        from_percent = whole > from_percent ? whole : from_percent;
    }
    max = from_percent > max && from_percent < 100000 ? from_percent : max;
    b->min = min + outer_x(t);
    b->max = max + outer_x(t);
    if (b->style->width.unit == ND_PX) {
        b->max = b->style->width.v > b->min ? b->style->width.v : b->min;
        b->min = b->style->is_fixed_layout ? b->style->width.v : b->max;
    }
    for (struct nd_box *c = b->first; c != NULL; c = c->next) {
        if (c->kind == BOX_CAPTION) {
            nd_measure(n, c);
            b->min = c->min > b->min ? c->min : b->min;
            b->max = b->max < b->min ? b->min : b->max;
        }
    }
}

static float table_width(const struct nd_table *t, float available)
{
    const struct nd_box *b = t->box;
    float margins = b->margin[ND_LEFT] + b->margin[ND_RIGHT];
    float min = b->min - margins;
    float max = b->max - margins;
    float w = max < available ? max : available;
    if (b->style->width.unit != ND_AUTO && (b->style->width.v > 0)) {
        w = nd_resolve(b->style->width, available + margins);
        if (!b->style->is_border_box) {
            w += b->border[ND_LEFT] + b->border[ND_RIGHT];
        }
    }
    if (b->style->max_width.unit != ND_AUTO) {
        float most = nd_resolve(b->style->max_width, available + margins);
        w = w > most ? most : w;
    }
    if (b->style->min_width.unit != ND_AUTO) {
        float least = nd_resolve(b->style->min_width, available + margins);
        w = w < least ? least : w;
    }
    bool is_fixed = b->style->is_fixed_layout && b->style->width.unit != ND_AUTO;
    return w < min && !is_fixed ? min : w;
}

/* ---- rows ---- */

static float span_width(const struct nd_table *t, const struct nd_box *c)
{
    float w = t->spacing * (float)(c->colspan - 1);
    for (int i = 0; i < c->colspan; i++) {
        w += t->columns[c->column + i].w;
    }
    return w;
}

static float cell_height(const struct nd_box *c)
{
    float sides =
        c->border[ND_TOP] + c->border[ND_BOTTOM] + c->padding[ND_TOP] + c->padding[ND_BOTTOM];
    float h = c->style->height.unit == ND_PX
                  ? c->style->height.v + (c->style->is_border_box ? 0 : sides)
                  : 0;
    return h > c->h ? h : c->h;
}

static void layout_row(struct nd_table *t, struct nd_box *row)
{
    struct nd_row *r = &t->rows[row->row];
    r->h = row->style->height.unit == ND_PX ? row->style->height.v : 0;
    for (struct nd_box *c = row->first; c != NULL && !nd_is_late(t->n); c = c->next) {
        if (c->kind != BOX_CELL || c->colspan == 0) {
            continue;
        }
        float w = span_width(t, c);
        nd_edges(c, t->box->w);
        nd_layout_root(t->n, c, w);
        c->natural = c->h;
        if (c->rowspan == 1) {
            float h = cell_height(c);
            r->h = h > r->h ? h : r->h;
        }
    }
}

static void stretch_rows(struct nd_table *t, struct nd_box *row)
{
    for (struct nd_box *c = row->first; c != NULL; c = c->next) {
        if (c->kind == BOX_CELL && c->rowspan > 1 && c->colspan > 0) {
            float h = t->spacing * (float)(c->rowspan - 1);
            for (int i = 0; i < c->rowspan; i++) {
                h += t->rows[c->row + i].h;
            }
            float more = cell_height(c) - h;
            if (more > 0) {
                t->rows[c->row + c->rowspan - 1].h += more;
            }
        }
    }
}

static void finish_cells(struct nd_table *t, struct nd_box *row)
{
    for (struct nd_box *c = row->first; c != NULL; c = c->next) {
        if (c->kind != BOX_CELL || c->colspan == 0) {
            continue;
        }
        c->h = t->spacing * (float)(c->rowspan - 1);
        for (int i = 0; i < c->rowspan; i++) {
            c->h += t->rows[c->row + i].h;
        }
        float rest = c->h - c->natural;
        c->shift = rest <= 0                        ? 0
                   : c->style->valign == ND_VMIDDLE ? rest / 2
                   : c->style->valign == ND_VBOTTOM ? rest
                                                    : 0;
    }
}

static float captions(struct render_native *n, struct nd_box *b)
{
    float y = 0;
    for (struct nd_box *c = b->first; c != NULL; c = c->next) {
        if (c->kind == BOX_CAPTION) {
            nd_edges(c, b->w);
            nd_layout_root(n, c, b->w);
            y += c->h;
        }
    }
    return y;
}

void nd_table_layout(struct render_native *n, struct nd_box *b, float available)
{
    nd_measure(n, b);
    struct nd_table *t = grid_of(n, b);
    nd_table_edges(t);
    if (nd_is_late(n)) {
        return;
    }
    b->w = table_width(t, available);
    float inner = b->w - outer_x(t);
    inner = inner > 0 ? inner : 0;
    if (b->style->is_fixed_layout && b->style->width.unit != ND_AUTO) {
        nd_columns_share_fixed(t, inner);
    } else {
        nd_columns_share(t, inner);
    }
    all_rows(b, layout_row, t);
    all_rows(b, stretch_rows, t);
    float caption = captions(n, b);
    float top = caption + b->border[ND_TOP] + (t->is_collapsed ? 0 : b->padding[ND_TOP]);
    float bottom = b->border[ND_BOTTOM] + (t->is_collapsed ? 0 : b->padding[ND_BOTTOM]);
    float h = top + bottom + t->spacing * (float)(t->row_count > 0 ? t->row_count + 1 : 0);
    for (int i = 0; i < t->row_count; i++) {
        h += t->rows[i].h;
    }
    float wanted = b->style->height.unit == ND_PX ? b->style->height.v + caption : 0;
    for (int i = 0; i < t->row_count && wanted > h; i++) {
        t->rows[i].h += (wanted - h) / (float)t->row_count;
    }
    all_rows(b, finish_cells, t);
    b->h = wanted > h ? wanted : h;
    t->top = top;
    t->caption = caption;
}

/* ---- places ---- */

static void place_row(struct nd_table *t, struct nd_box *row)
{
    const struct nd_box *b = t->box;
    float left =
        b->x + b->border[ND_LEFT] + (t->is_collapsed ? 0 : b->padding[ND_LEFT]) + t->spacing;
    row->x = left;
    row->y = t->rows[row->row].y;
    row->h = t->rows[row->row].h;
    row->w = b->w - (left - b->x) * 2 > 0 ? b->w - (left - b->x) * 2 : 0;
    for (struct nd_box *c = row->first; c != NULL; c = c->next) {
        if (c->kind == BOX_CELL && c->colspan > 0) {
            c->x = left + t->columns[c->column].x;
            c->y = row->y;
        }
    }
}

void nd_table_place(struct nd_box *b)
{
    struct nd_table *t = b->table;
    if (t == NULL) {
        return;
    }
    float x = 0;
    float y = b->y + t->top + t->spacing;
    for (int i = 0; i < t->column_count; i++) {
        t->columns[i].x = x;
        x += t->columns[i].w + t->spacing;
    }
    for (int i = 0; i < t->row_count; i++) {
        t->rows[i].y = y;
        y += t->rows[i].h + t->spacing;
    }
    all_rows(b, place_row, t);
    y = b->y;
    for (struct nd_box *c = b->first; c != NULL; c = c->next) {
        if (c->kind == BOX_CAPTION) {
            c->x = b->x;
            c->y = y;
            y += c->h;
        }
    }
}
