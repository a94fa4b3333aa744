/* SPDX-License-Identifier: Apache-2.0
 *
 * Draws one thing of the list on the page at hand. */
#include <math.h>
#include <pango/pangocairo.h>

#include "services/render/native_internal.h"

struct view { /* from the mail's pixels to the page's points */
    double scale, left, shift;
};

static void set_rgba(cairo_t *cr, uint32_t c)
{
    cairo_set_source_rgba(cr, (c >> 24) / 255.0, (c >> 16 & 0xFF) / 255.0, (c >> 8 & 0xFF) / 255.0,
                          (c & 0xFF) / 255.0);
}

static void round_rectangle(cairo_t *cr, double x, double y, double w, double h, double r)
{
    r = r > w / 2 ? w / 2 : r;
    r = r > h / 2 ? h / 2 : r;
    cairo_new_sub_path(cr);
    cairo_arc(cr, x + w - r, y + r, r, -G_PI / 2, 0);
    cairo_arc(cr, x + w - r, y + h - r, r, 0, G_PI / 2);
    cairo_arc(cr, x + r, y + h - r, r, G_PI / 2, G_PI);
    cairo_arc(cr, x + r, y + r, r, G_PI, G_PI * 1.5);
    cairo_close_path(cr);
}

static void fill(cairo_t *cr, const struct view *v, const struct nd_item *i, double top,
                 double bottom)
{
    double y0 = i->y > top ? i->y : top;
    double y1 = i->y + i->h < bottom ? i->y + i->h : bottom;
    if (y1 <= y0) {
        return;
    }
    set_rgba(cr, i->colour);
    float radius = i->box->style->radius;
    if (radius > 0 && y0 == i->y && y1 == i->y + i->h) {
        round_rectangle(cr, v->left + i->x * v->scale, y0 * v->scale + v->shift, i->w * v->scale,
                        i->h * v->scale, radius * v->scale);
    } else {
        cairo_rectangle(cr, v->left + i->x * v->scale, y0 * v->scale + v->shift, i->w * v->scale,
                        (y1 - y0) * v->scale);
    }
    cairo_fill(cr);
}

static uint32_t shade(uint32_t c, double by)
{
    uint32_t r = (uint32_t)((c >> 24) * by);
    uint32_t g = (uint32_t)((c >> 16 & 0xFF) * by);
    uint32_t b = (uint32_t)((c >> 8 & 0xFF) * by);
    return r << 24 | g << 16 | b << 8 | (c & 0xFF);
}

static void stroke(cairo_t *cr, double x0, double y0, double x1, double y1, double width)
{
    cairo_set_line_width(cr, width);
    cairo_move_to(cr, x0, y0);
    cairo_line_to(cr, x1, y1);
    cairo_stroke(cr);
}

static void line(cairo_t *cr, const struct nd_border *b, double x0, double y0, double x1, double y1,
                 double width, double scale)
{
    double dash[2] = {width * (b->style == ND_DOTTED ? 1 : 2),
                      width * (b->style == ND_DOTTED ? 1 : 2)};
    (void)scale;
    if (b->style == ND_DASHED || b->style == ND_DOTTED) {
        cairo_set_dash(cr, dash, 2, 0);
    }
    if (b->style == ND_DOUBLE && width >= 2 * scale) {
        bool is_flat = fabs(y1 - y0) < 0.01;
        double off = width / 3;
        double dx = is_flat ? 0 : off;
        double dy = is_flat ? off : 0;
        stroke(cr, x0 - dx, y0 - dy, x1 - dx, y1 - dy, width / 3);
        stroke(cr, x0 + dx, y0 + dy, x1 + dx, y1 + dy, width / 3);
    } else {
        stroke(cr, x0, y0, x1, y1, width);
    }
    cairo_set_dash(cr, NULL, 0, 0);
}

/* Four sides of one kind go round as one line; others each on their own.  Borders that collapsed lie
 * on the edge of the box, others inside of it. */
static void border(cairo_t *cr, const struct view *v, const struct nd_item *i, double top,
                   double bottom)
{
    const struct nd_border *sides = i->box != NULL && i->box->used != NULL ? i->box->used
                                    : i->box != NULL                       ? i->box->style->border
                                                     : i->object->style->border;
    bool is_collapsed = i->box != NULL && i->box->used != NULL;
    float radius = i->box != NULL ? i->box->style->radius : i->object->style->radius;
    double x = v->left + i->x * v->scale;
    double y = i->y * v->scale + v->shift;
    double w = i->w * v->scale;
    double h = i->h * v->scale;
    cairo_save(cr);
    if (i->y < top || i->y + i->h > bottom) {
        cairo_rectangle(cr, x - 20, top * v->scale + v->shift - 1, w + 40,
                        (bottom - top) * v->scale + 2);
        cairo_clip(cr);
    }
    if (radius > 0 && !is_collapsed && sides[0].width > 0) {
        double half = sides[0].width * v->scale / 2;
        set_rgba(cr, sides[0].colour);
        cairo_set_line_width(cr, half * 2);
        round_rectangle(cr, x + half, y + half, w - 2 * half, h - 2 * half, radius * v->scale);
        cairo_stroke(cr);
        cairo_restore(cr);
        return;
    }
    for (int side = 0; side < 4; side++) {
        const struct nd_border *b = &sides[side];
        double width = b->width * v->scale;
        double in = is_collapsed ? 0 : width / 2;
        double before = is_collapsed ? sides[(side + 3) % 4].width * v->scale / 2 : 0;
        double after = is_collapsed ? sides[(side + 1) % 4].width * v->scale / 2 : 0;
        if (width <= 0 || b->style == ND_NO_LINE || b->style == ND_HIDDEN ||
            (b->colour & 0xFF) == 0) {
            continue;
        }
        bool is_dark =
            b->style == ND_RELIEF && !is_collapsed && (side == ND_TOP || side == ND_LEFT);
        set_rgba(cr, is_dark ? shade(b->colour, 0.8) : b->colour);
        double out = before > after ? before : after;
        if (side == ND_TOP || side == ND_BOTTOM) {
            double at = side == ND_TOP ? y + in : y + h - in;
            line(cr, b, x - out, at, x + w + out, at, width, v->scale);
        } else {
            double at = side == ND_LEFT ? x + in : x + w - in;
            line(cr, b, at, y - out, at, y + h + out, width, v->scale);
        }
    }
    cairo_restore(cr);
}

static void show_line(struct render_native *n, const struct view *v, PangoLayoutLine *l, double x,
                      double baseline)
{
    cairo_t *cr = n->page.cr;
    render_page_level(l);
    cairo_save(cr);
    cairo_translate(cr, v->left + x * v->scale, baseline * v->scale + v->shift);
    cairo_scale(cr, v->scale, v->scale);
    cairo_move_to(cr, 0, 0);
    pango_cairo_show_layout_line(cr, l);
    cairo_restore(cr);
}

static void text_line(struct render_native *n, const struct view *v, const struct nd_item *i)
{
    const struct nd_row_line *l = &i->text->lines[i->line];
    set_rgba(n->page.cr, i->text->style->colour);
    show_line(n, v, l->line, i->x, i->y + l->baseline);
    double indent = i->line == 0 ? i->text->style->indent : 0;
    if (n->page.uses_spans) { /* links come behind the words of their line */
        render_page_span_end(&n->page);
    }
    for (int r = 0; r < i->text->run_count; r++) {
        const struct nd_run *run = &i->text->runs[r];
        size_t end =
            r + 1 < i->text->run_count ? (size_t)i->text->runs[r + 1].start : i->text->text.len;
        if (run->href != NULL && run->object < 0) {
            render_page_link(&n->page, l->line, v->left + (i->x - indent) * v->scale,
                             i->y * v->scale + v->shift, l->height * v->scale, v->scale,
                             (size_t)run->start, end, run->href);
        }
    }
}

static void image(struct render_native *n, const struct view *v, const struct nd_item *i,
                  double top, double bottom)
{
    const struct nd_object *o = i->object;
    const struct nd_style *s = o->style;
    double x = i->x + s->border[ND_LEFT].width + nd_resolve(s->padding[ND_LEFT], 0);
    double y = i->y + s->border[ND_TOP].width + nd_resolve(s->padding[ND_TOP], 0);
    double w = i->w - 2 * (x - i->x);
    double h = i->h - 2 * (y - i->y);
    bool is_cut = i->y < top || i->y + i->h > bottom;
    cairo_save(n->page.cr);
    if (is_cut) {
        cairo_rectangle(n->page.cr, 0, top * v->scale + v->shift, n->page.width,
                        (bottom - top) * v->scale);
        cairo_clip(n->page.cr);
    }
    border(n->page.cr, v, i, top, bottom);
    render_page_figure_begin(&n->page, o->alt);
    nd_image_draw(n, o->image, v->left + x * v->scale, y * v->scale + v->shift, w * v->scale,
                  h * v->scale);
    render_page_tag_end(&n->page, "Figure");
    cairo_restore(n->page.cr);
    if (o->href != NULL && !is_cut) {
        render_page_link_box(&n->page, v->left + i->x * v->scale, i->y * v->scale + v->shift,
                             i->w * v->scale, i->h * v->scale, o->href);
    }
}

/* The box of a picture that is not shown, with its words in the middle. */
static void placeholder(struct render_native *n, const struct view *v, const struct nd_item *i)
{
    cairo_t *cr = n->page.cr;
    const struct nd_object *o = i->object;
    const double dash[] = {3 * v->scale, 2 * v->scale};
    double x = v->left + i->x * v->scale;
    double y = i->y * v->scale + v->shift;
    cairo_save(cr);
    round_rectangle(cr, x, y, i->w * v->scale, i->h * v->scale, 3 * v->scale);
    cairo_clip_preserve(cr);
    set_rgba(cr, 0xF6F7F9FF);
    cairo_fill_preserve(cr);
    set_rgba(cr, 0xB6BCC8FF);
    cairo_set_line_width(cr, 2 * v->scale); /* the outer half is clipped */
    cairo_set_dash(cr, dash, 2, 0);
    cairo_stroke(cr);
    cairo_set_dash(cr, NULL, 0, 0);
    const struct nd_text *t = o->words;
    render_page_tag_begin(&n->page, "Span");
    for (int k = 0; t != NULL && k < t->line_count; k++) {
        const struct nd_row_line *l = &t->lines[k];
        double left = i->x + (i->w - t->width) / 2 + l->x;
        double above = i->y + (i->h - t->height) / 2;
        set_rgba(cr, o->style->colour);
        show_line(n, v, l->line, left, above + l->y + l->baseline);
    }
    render_page_tag_end(&n->page, "Span");
    cairo_restore(cr);
    if (o->href != NULL) {
        render_page_link_box(&n->page, x, y, i->w * v->scale, i->h * v->scale, o->href);
    }
}

void nd_draw_item(struct render_native *n, const struct nd_item *i, double scale, double left,
                  double shift, double top, double bottom)
{
    const struct view v = {scale, left, shift};
    cairo_t *cr = n->page.cr;
    switch (i->kind) {
    case ITEM_FILL:
        fill(cr, &v, i, top, bottom);
        break;
    case ITEM_BORDER:
        border(cr, &v, i, top, bottom);
        break;
    case ITEM_LINE:
        text_line(n, &v, i);
        break;
    case ITEM_IMAGE:
        image(n, &v, i, top, bottom);
        break;
    case ITEM_BOX:
        placeholder(n, &v, i);
        break;
    case ITEM_MARKER:
        render_page_tag_begin(&n->page, "Lbl");
        set_rgba(cr, i->colour);
        show_line(n, &v, pango_layout_get_line_readonly(i->box->marker_layout, 0), i->x,
                  i->y + i->h);
        render_page_tag_end(&n->page, "Lbl");
        break;
    }
}
