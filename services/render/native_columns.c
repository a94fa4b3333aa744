/* SPDX-License-Identifier: Apache-2.0
 *
 * Which width each column of a table gets (CSS Tables 3, 3.9.3). */
#include "services/render/native_table.h"

enum guess { GUESS_MIN, GUESS_PERCENT, GUESS_FIXED, GUESS_MAX };

static float guess(const struct nd_column *k, enum guess g, float inner)
{
    float percent = k->percent * inner / 100;
    if (k->percent > 0) {
        return g >= GUESS_PERCENT && percent > k->min ? percent : k->min;
    }
    if (k->fixed > 0) {
        return g >= GUESS_FIXED ? k->fixed : k->min;
    }
    return g == GUESS_MAX ? k->max : k->min;
}

static float guess_sum(const struct nd_table *t, enum guess g, float inner)
{
    float sum = 0;
    for (int i = 0; i < t->column_count; i++) {
        sum += guess(&t->columns[i], g, inner);
    }
    return sum;
}

/* More than all would like: columns without a width take it first, then those in pixels, then parts. */
static void share_excess(struct nd_table *t, float excess)
{
    for (int kind = 0; kind < 3; kind++) {
        float total = 0;
        int count = 0;
        for (int pass = 0; pass < 2; pass++) {
            for (int i = 0; i < t->column_count; i++) {
                struct nd_column *k = &t->columns[i];
                int is = k->percent > 0 ? 2 : k->fixed > 0 ? 1 : 0;
                float weight = is == 2 ? k->percent : is == 1 ? k->fixed : k->max;
                if (is != kind) {
                    continue;
                }
                if (pass == 0) {
                    total += weight;
                    count++;
                } else {
                    k->w += total > 0 ? excess * weight / total : excess / (float)count;
                }
            }
        }
        if (count > 0) {
            return;
        }
    }
}

void nd_columns_share(struct nd_table *t, float inner)
{
    for (int g = GUESS_MIN; g <= GUESS_MAX; g++) {
        float high = guess_sum(t, (enum guess)g, inner);
        if (inner > high && g < GUESS_MAX) {
            continue;
        }
        float low = g == GUESS_MIN ? high : guess_sum(t, (enum guess)(g - 1), inner);
        float part = high > low ? (inner - low) / (high - low) : 1;
        part = part < 0 ? 0 : part > 1 ? 1 : part;
        for (int i = 0; i < t->column_count; i++) {
            struct nd_column *k = &t->columns[i];
            float to = guess(k, (enum guess)g, inner);
            float from = g == GUESS_MIN ? to : guess(k, (enum guess)(g - 1), inner);
            k->w = from + (to - from) * part;
        }
        if (inner > high) {
            share_excess(t, inner - high);
        }
        return;
    }
}

void nd_columns_share_fixed(struct nd_table *t, float inner)
{
    float used = 0;
    int free_count = 0;
    for (int i = 0; i < t->column_count; i++) {
        t->columns[i].w = -1;
    }
    struct nd_box *row = t->row_count > 0 ? t->rows[0].box : NULL;
    for (struct nd_box *c = row != NULL ? row->first : NULL; c != NULL; c = c->next) {
        if (c->kind == BOX_CELL && c->colspan > 0 && c->style->width.unit != ND_AUTO) {
            float sides = c->style->is_border_box || c->style->width.unit == ND_PERCENT
                              ? 0
                              : nd_cell_sides(c);
            float w = (nd_resolve(c->style->width, inner) + sides) / (float)c->colspan;
            for (int i = 0; i < c->colspan; i++) {
                t->columns[c->column + i].w = w;
            }
        }
    }
    for (int i = 0; i < t->column_count; i++) {
        free_count += t->columns[i].w < 0;
        used += t->columns[i].w > 0 ? t->columns[i].w : 0;
    }
    float rest = inner > used ? inner - used : 0;
    for (int i = 0; i < t->column_count; i++) {
        struct nd_column *k = &t->columns[i];
        if (k->w < 0) {
            k->w = rest / (float)free_count;
        } else if (free_count == 0 && used > 0) {
            k->w = k->w * (used < inner ? inner / used : 1);
        }
    }
}
