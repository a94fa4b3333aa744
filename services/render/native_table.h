/* SPDX-License-Identifier: Apache-2.0
 *
 * A table's grid, for native_table.c and native_collapse.c. */
#ifndef FB_RENDER_NATIVE_TABLE_H
#define FB_RENDER_NATIVE_TABLE_H

#include "services/render/native_internal.h"

struct nd_column {
    float min, max, fixed, percent; /* fixed, percent: 0 = none */
    float x, w;
};

struct nd_row {
    struct nd_box *box;
    float y, h;
};

struct nd_table {
    struct render_native *n;
    struct nd_box *box;
    int row_count, column_count, row_at;
    struct nd_row *rows;
    struct nd_column *columns;
    struct nd_box **grid; /* of collapsed borders: row by row, who lies there */
    float spacing, top, caption;
    float edge[4]; /* widths of the collapsed borders around it */
    bool is_collapsed, is_cut, is_needed;
    int busy[ND_MAX_COLUMNS]; /* while cells are placed: rows that a cell above still takes */
};

/* Borders of a table as they count for the layout: halves where they collapse. */
void nd_table_edges(struct nd_table *t);
/* CSS 2.1, 17.6.2: sets used[] of each cell to the border that wins at that side. */
void nd_table_collapse(struct nd_table *t);

/* native_columns.c: sets w of each column; inner: what there is for all of them. */
void nd_columns_share(struct nd_table *t, float inner);
void nd_columns_share_fixed(struct nd_table *t, float inner);
float nd_cell_sides(const struct nd_box *c);

#endif
