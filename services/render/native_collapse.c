/* SPDX-License-Identifier: Apache-2.0 */
#include "services/render/native_table.h"

void nd_table_edges(struct nd_table *t)
{
    struct nd_box *b = t->box;
    nd_edges(b, 0);
    for (int side = 0; side < 4 && t->is_collapsed; side++) {
        b->border[side] = t->grid != NULL ? t->edge[side] / 2 : b->border[side];
        b->padding[side] = 0;
    }
}

/* Which of two borders is seen: hidden wins, then the wider one, then the stronger style. */
static struct nd_border winner(struct nd_border a, struct nd_border b)
{
    static const int strength[] = {
        [ND_NO_LINE] = 0, [ND_HIDDEN] = 9, [ND_SOLID] = 4, [ND_DASHED] = 3,
        [ND_DOTTED] = 2,  [ND_DOUBLE] = 5, [ND_RELIEF] = 1};
    if (a.style == ND_HIDDEN || b.style == ND_HIDDEN) {
        return a.style == ND_HIDDEN ? a : b;
    }
    if (a.width != b.width) {
        return a.width > b.width ? a : b;
    }
    return strength[b.style] > strength[a.style] ? b : a;
}

static const struct nd_box *neighbour(const struct nd_table *t, const struct nd_box *c, int side)
{
    int x = side == ND_LEFT ? c->column - 1 : side == ND_RIGHT ? c->column + c->colspan : c->column;
    int y = side == ND_TOP ? c->row - 1 : side == ND_BOTTOM ? c->row + c->rowspan : c->row;
    bool is_inside = x >= 0 && x < t->column_count && y >= 0 && y < t->row_count;
    return is_inside ? t->grid[(size_t)y * (size_t)t->column_count + (size_t)x] : NULL;
}

static bool is_edge(const struct nd_table *t, const struct nd_box *c, int side)
{
    return side == ND_LEFT    ? c->column == 0
           : side == ND_TOP   ? c->row == 0
           : side == ND_RIGHT ? c->column + c->colspan == t->column_count
                              : c->row + c->rowspan == t->row_count;
}

static struct nd_border side_of(struct nd_table *t, struct nd_box *c, int side)
{
    static const int opposite[] = {ND_BOTTOM, ND_LEFT, ND_TOP, ND_RIGHT};
    struct nd_border b = c->style->border[side];
    const struct nd_box *other = neighbour(t, c, side);
    bool at_edge = is_edge(t, c, side);
    if (other != NULL && other != c) {
        /* The left or upper one of two equal ones. */
        struct nd_border o = other->style->border[opposite[side]];
        b = side == ND_LEFT || side == ND_TOP ? winner(o, b) : winner(b, o);
    }
    if (side == ND_TOP || side == ND_BOTTOM || at_edge) {
        b = winner(b, c->parent->style->border[side]);
    }
    if ((side == ND_TOP && c->row > 0) || (side == ND_BOTTOM && !at_edge)) {
        int row = side == ND_TOP ? c->row - 1 : c->row + c->rowspan;
        b = winner(b, t->rows[row].box->style->border[opposite[side]]);
    }
    return at_edge ? winner(b, t->box->style->border[side]) : b;
}

void nd_table_collapse(struct nd_table *t)
{
    for (int y = 0; y < t->row_count; y++) {
        for (int x = 0; x < t->column_count; x++) {
            struct nd_box *c = t->grid[(size_t)y * (size_t)t->column_count + (size_t)x];
            if (c == NULL || c->used != NULL) {
                continue;
            }
            c->used = nd_alloc(t->n, 4 * sizeof *c->used);
            for (int side = 0; side < 4; side++) {
                c->used[side] = side_of(t, c, side);
                float w = c->used[side].style == ND_HIDDEN ? 0 : c->used[side].width;
                c->used[side].width = w;
                if (is_edge(t, c, side) && w > t->edge[side]) {
                    t->edge[side] = w;
                }
            }
        }
    }
}
