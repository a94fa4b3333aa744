/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines cut from a text that was shaped once.  Pango shapes what it breaks three times and more: as a
 * whole, up to each place near the end of a line where it might break, and the rest again for the next
 * line; that was a quarter of the processor time of a letter of two pages.  Where shapes do not depend on
 * where lines end, its rules give the same lines from the widths of one shaping (process_item() in its
 * pango-layout.c): the last place to break at before the edge, a blank there without width.  Everything
 * else is Pango's. */
#include <pango/pangocairo.h>
#include <stdlib.h>
#include <string.h>

#include "services/render/page.h"

struct line {
    size_t first, count; /* of the pieces */
    int ascent, height;  /* Pango's units */
};

struct render_page_lines {
    const char *text; /* the layout's */
    struct line *lines;
    PangoGlyphItem **pieces;
    size_t line_count, piece_count;
    int font_height;
};

/* Of one paragraph on one line, by character. */
struct widths {
    int *width;
    const PangoLogAttr *attrs; /* one more */
    int count;
};

/* Scripts whose shapes are the same wherever a line may be broken. */
static bool is_plain_script(guint8 script)
{
    switch (script) {
    case G_UNICODE_SCRIPT_COMMON:
    case G_UNICODE_SCRIPT_LATIN:
    case G_UNICODE_SCRIPT_GREEK:
    case G_UNICODE_SCRIPT_CYRILLIC:
    case G_UNICODE_SCRIPT_HAN:
    case G_UNICODE_SCRIPT_HIRAGANA:
    case G_UNICODE_SCRIPT_KATAKANA:
        return true;
    default:
        return false;
    }
}

/* Of one font: those of another are moved to the baseline of the first one of each line. */
static bool is_plain_run(const PangoGlyphItem *run, const PangoFont *font)
{
    const PangoAnalysis *a = &run->item->analysis;
    bool is_plain =
        a->level == 0 && a->font == font && is_plain_script(a->script) && run->y_offset == 0;
    for (const GSList *l = a->extra_attrs; l != NULL && is_plain; l = l->next) {
        const PangoAttribute *attr = l->data;
        is_plain = attr->klass->type == PANGO_ATTR_FOREGROUND ||
                   attr->klass->type == PANGO_ATTR_INSERT_HYPHENS ||
                   attr->klass->type == PANGO_ATTR_ALLOW_BREAKS;
    }
    return is_plain;
}

static int count_chars(PangoLayoutLine *line)
{
    int count = 0;
    const PangoFont *font = NULL;
    for (const GSList *l = line->runs; l != NULL; l = l->next) {
        const PangoGlyphItem *run = l->data;
        font = font != NULL ? font : run->item->analysis.font;
        if (font == NULL || !is_plain_run(run, font)) {
            return 0;
        }
        count += run->item->num_chars;
    }
    return count;
}

static void measure(PangoLayoutLine *line, const char *text, int *width)
{
    for (const GSList *l = line->runs; l != NULL; l = l->next) {
        PangoGlyphItem *run = l->data;
        pango_glyph_item_get_logical_widths(run, text, width);
        width += run->item->num_chars;
    }
}

/* Where the line that begins at `start` ends; 0: nowhere, or not by these rules. */
static int end_of(const struct widths *w, int start, int64_t most)
{
    int64_t width = 0;
    int end = 0;
    for (int i = start; i < w->count && width <= most; i++) {
        int64_t before = width;
        width += w->width[i];
        if (w->attrs[i + 1].break_inserts_hyphen) {
            return 0;
        }
        bool may_end = i + 1 == w->count || w->attrs[i + 1].is_line_break;
        if (may_end && (w->attrs[i].is_white ? before : width) <= most) {
            end = i + 1;
        }
    }
    return end;
}

static void add_piece(struct render_page_lines *lines, struct line *line, PangoGlyphItem *piece)
{
    PangoRectangle box;
    pango_glyph_string_extents(piece->glyphs, piece->item->analysis.font, NULL, &box);
    int below = line->height - line->ascent;
    line->ascent = -box.y > line->ascent ? -box.y : line->ascent;
    below = box.y + box.height > below ? box.y + box.height : below;
    line->height = line->ascent + below;
    line->count++;
    lines->pieces[lines->piece_count++] = piece;
}

static void drop_blank(const struct render_page_lines *lines)
{
    PangoGlyphString *g = lines->pieces[lines->piece_count - 1]->glyphs;
    int last = g->num_glyphs - 1;
    if (last >= 0 && (last == 0 || g->log_clusters[last] != g->log_clusters[last - 1])) {
        g->glyphs[last].geometry.width = 0;
        g->glyphs[last].glyph = PANGO_GLYPH_EMPTY;
    }
}

/* What is being cut: the piece that comes next begins at the character `at`, in the line `at_line`. */
struct cutter {
    struct render_page_lines *lines;
    const struct widths *w;
    const int *ends; /* of the lines */
    size_t at_line;
    int at;
};

static void take_piece(struct cutter *c, PangoGlyphItem *piece)
{
    struct line *line = &c->lines->lines[c->at_line];
    c->at += piece->item->num_chars;
    if (line->count == 0) {
        line->first = c->lines->piece_count;
    }
    add_piece(c->lines, line, piece);
    bool is_ended = c->at >= c->ends[c->at_line] && c->at_line + 1 < c->lines->line_count;
    if (is_ended && c->w->attrs[c->at - 1].is_white) {
        drop_blank(c->lines);
    }
    while (c->at >= c->ends[c->at_line] && c->at_line + 1 < c->lines->line_count) {
        c->at_line++; /* more than one where a cluster held an end */
    }
}

/* Cuts a run, which begins at c->at, at the ends from..to that lie inside it, and takes the pieces in their order.  In
 * halves: a cut copies all that is cut, and a long text has thousands of ends. */
static void cut(struct cutter *c, PangoGlyphItem *run, size_t from, size_t to)
{
    PangoGlyphItem *head = NULL;
    while (from < to && c->ends[from] <= c->at) {
        from++; /* a cluster held it */
    }
    size_t middle = from;
    while (from < to && head == NULL) {
        const char *text = c->lines->text + run->item->offset;
        middle = from + (to - from) / 2;
        const char *split = g_utf8_offset_to_pointer(text, c->ends[middle] - c->at);
        head = pango_glyph_item_split(run, c->lines->text, (int)(split - text));
        to = head == NULL ? middle : to; /* the last cluster holds it */
    }
    if (head == NULL) {
        take_piece(c, run);
        return;
    }
    cut(c, head, from, middle);
    cut(c, run, middle + 1, to);
}

/* Runs as pieces, those over the end of a line cut there. */
static void cut_runs(struct render_page_lines *lines, PangoLayoutLine *whole,
                     const struct widths *w, const int *ends)
{
    struct cutter c = {.lines = lines, .w = w, .ends = ends};
    for (const GSList *l = whole->runs; l != NULL; l = l->next) {
        PangoGlyphItem *run = pango_glyph_item_copy(l->data);
        size_t to = c.at_line;
        while (to < lines->line_count && ends[to] < c.at + run->item->num_chars) {
            to++;
        }
        cut(&c, run, c.at_line, to);
    }
}

struct render_page_lines *render_page_lines_cut(PangoLayout *layout, int width)
{
    PangoLayoutLine *whole = pango_layout_get_line_readonly(layout, 0);
    int attr_count = 0;
    struct widths w = {.count = count_chars(whole)};
    w.attrs = pango_layout_get_log_attrs_readonly(layout, &attr_count);
    bool has_tabs = strchr(pango_layout_get_text(layout), '\t') != NULL;
    if (w.count == 0 || attr_count != w.count + 1 || width <= 0 || has_tabs) {
        return NULL; /* where a tab goes depends on its line */
    }
    struct render_page_lines *lines = fb_xcalloc(1, sizeof *lines);
    size_t runs = g_slist_length(whole->runs);
    lines->text = pango_layout_get_text(layout);
    w.width = fb_xcalloc((size_t)w.count, sizeof *w.width);
    int *ends = fb_xcalloc((size_t)w.count, sizeof *ends);
    measure(whole, lines->text, w.width);
    int at = 0;
    do {
        at = end_of(&w, at, width);
        ends[lines->line_count] = at;
        lines->line_count += at > 0 ? 1 : 0;
    } while (at > 0 && at < w.count);
    if (at > 0) {
        lines->lines = fb_xcalloc(lines->line_count, sizeof *lines->lines);
        lines->pieces = fb_xcalloc(runs + lines->line_count, sizeof(PangoGlyphItem *));
        pango_layout_line_get_height(whole, &lines->font_height);
        cut_runs(lines, whole, &w, ends);
    } else {
        render_page_lines_free(&lines);
    }
    free(ends);
    free(w.width);
    return lines;
}

void render_page_lines_free(struct render_page_lines **lines)
{
    if (*lines != NULL) {
        for (size_t i = 0; i < (*lines)->piece_count; i++) {
            pango_glyph_item_free((*lines)->pieces[i]);
        }
        free((*lines)->pieces);
        free((*lines)->lines);
        free(*lines);
        *lines = NULL;
    }
}

size_t render_page_lines_count(const struct render_page_lines *lines, double *font_height_r)
{
    *font_height_r = (double)lines->font_height / PANGO_SCALE;
    return lines->line_count;
}

void render_page_lines_size(const struct render_page_lines *lines, size_t i, double *ascent_r,
                            double *height_r)
{
    *ascent_r = (double)lines->lines[i].ascent / PANGO_SCALE;
    *height_r = (double)lines->lines[i].height / PANGO_SCALE;
}

static const PangoAttrColor *colour_of(const PangoGlyphItem *piece)
{
    for (const GSList *l = piece->item->analysis.extra_attrs; l != NULL; l = l->next) {
        const PangoAttribute *attr = l->data;
        if (attr->klass->type == PANGO_ATTR_FOREGROUND) {
            return (const PangoAttrColor *)attr;
        }
    }
    return NULL;
}

void render_page_lines_show(const struct render_page_lines *lines, size_t i, struct render_page *p,
                            double x, double baseline, struct render_colour c)
{
    int width = 0;
    const struct line *line = &lines->lines[i];
    for (size_t k = line->first; k < line->first + line->count; k++) {
        PangoGlyphItem *piece = lines->pieces[k];
        const PangoAttrColor *own = colour_of(piece);
        if (own != NULL) {
            cairo_set_source_rgb(p->cr, own->color.red / 65535.0, own->color.green / 65535.0,
                                 own->color.blue / 65535.0);
        } else {
            render_page_colour(p, c);
        }
        cairo_move_to(p->cr, x + (double)width / PANGO_SCALE, baseline);
        pango_cairo_show_glyph_item(p->cr, lines->text, piece);
        width += pango_glyph_string_get_width(piece->glyphs);
    }
}
