/* SPDX-License-Identifier: Apache-2.0 */
#include "services/render/page.h"

#include <cairo-pdf.h>
#include <pango/pangocairo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "services/render/links.h"
#include "services/render/pdf_flate.h"
#include "services/render/pdf_patch.h"

#define LEADING    0.32       /* of a line's height, below it */
#define FRAMED_MAX (4U << 20) /* bytes that wait for render_pdf_patch() uncompressed */
#define PIXELS_MAX 250000     /* of a picture among them */
#define SMALL_FONT "Liberation Sans, BIZ UDPGothic 8.5"

const struct render_colour render_ink = {0.10, 0.11, 0.13};
const struct render_colour render_grey = {0.42, 0.45, 0.50};
const struct render_colour render_quote_ink = {0.30, 0.34, 0.42};
const struct render_colour render_line_grey = {0.80, 0.82, 0.85};
const struct render_colour render_link_blue = {0.05, 0.31, 0.63};

static cairo_status_t write_pdf(void *closure, const unsigned char *data, unsigned len)
{
    struct render_page *p = closure;
    if (p->write_status == FB_OK) {
        p->write_status = fb_buf_add(p->pdf, data, len);
    }
    if (p->pdf->len - p->pdf_start > FRAMED_MAX) {
        render_flate_set(RENDER_FLATE_QUICK);
    }
    return p->write_status == FB_OK ? CAIRO_STATUS_SUCCESS : CAIRO_STATUS_WRITE_ERROR;
}

void render_page_colour(struct render_page *p, struct render_colour c)
{
    cairo_set_source_rgb(p->cr, c.r, c.g, c.b);
}

void render_page_font(struct render_page *p, const char *font)
{
    PangoFontDescription *d = pango_font_description_from_string(font);
    pango_layout_set_font_description(p->layout, d);
    pango_font_description_free(d);
}

static void draw_page_number(struct render_page *p)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%d", p->number);
    PangoLayout *layout = pango_layout_new(p->context);
    PangoFontDescription *d = pango_font_description_from_string(SMALL_FONT);
    pango_layout_set_font_description(layout, d);
    pango_font_description_free(d);
    pango_layout_set_text(layout, text, -1);
    int w = 0;
    pango_layout_get_size(layout, &w, NULL);
    render_page_colour(p, render_grey);
    cairo_move_to(p->cr, (p->width - (double)w / PANGO_SCALE) / 2,
                  p->height - RENDER_MARGIN_FOOT + 22);
    pango_cairo_show_layout(p->cr, layout);
    g_object_unref(layout);
}

void render_page_image(cairo_surface_t *image)
{
    int64_t pixels =
        (int64_t)cairo_image_surface_get_width(image) * cairo_image_surface_get_height(image);
    bool is_jpeg = cairo_image_surface_get_format(image) == CAIRO_FORMAT_A1; /* see picture.c */
    if (!is_jpeg && pixels > PIXELS_MAX) {
        render_flate_set(RENDER_FLATE_QUICK);
    }
}

/* Cairo 1.16 forgets the tags that were begun on a page (and is in disorder from then on, up to a crash) when
 * a picture, such as an emoji, is the first that is drawn there: a white dot comes first. */
static void begin_page(struct render_page *p)
{
    if (p->is_tagged) {
        cairo_set_source_rgb(p->cr, 1, 1, 1);
        cairo_rectangle(p->cr, 0, 0, 0.1, 0.1);
        cairo_fill(p->cr);
    }
}

enum fb_status render_page_next(struct render_page *p, struct fb_error *err)
{
    const char *tag = render_page_tag_suspend(p); /* the number is none of the letter's words */
    draw_page_number(p);
    cairo_show_page(p->cr);
    begin_page(p);
    if (tag != NULL) {
        render_page_tag_begin(p, tag);
    }
    if (p->number == RENDER_MAX_PAGES) {
        return fb_error_set(err, FB_TOO_BIG, "the body fills more than %d pages", RENDER_MAX_PAGES);
    }
    p->number++;
    p->y = RENDER_MARGIN_TOP;
    return p->write_status == FB_OK ? FB_OK
                                    : fb_error_set(err, FB_TOO_BIG, "the body PDF is too large");
}

void render_page_link_box(struct render_page *p, double x, double y, double w, double h,
                          const char *uri)
{
    char attributes[4600];
    int n = snprintf(attributes, sizeof attributes, "rect=[ %.2f %.2f %.2f %.2f ] uri='%s'", x, y,
                     w, h, uri);
    if (n > 0 && (size_t)n < sizeof attributes) {
        render_page_tag_link(p, attributes);
    }
}

void render_page_link(struct render_page *p, PangoLayoutLine *line, double x, double top,
                      double height, double scale, size_t start, size_t end, const char *uri)
{
    int line_start = pango_layout_line_get_start_index(line);
    int line_end = line_start + pango_layout_line_get_length(line);
    int from = (int)start > line_start ? (int)start : line_start;
    int to = (int)end < line_end ? (int)end : line_end;
    if (from >= to) {
        return;
    }
    int *ranges = NULL;
    int count = 0;
    pango_layout_line_get_x_ranges(line, from, to, &ranges, &count);
    for (int i = 0; i < count; i++) {
        double left = x + (double)ranges[2 * i] / PANGO_SCALE * scale;
        double width = (double)(ranges[2 * i + 1] - ranges[2 * i]) / PANGO_SCALE * scale;
        render_page_link_box(p, left, top, width, height, uri);
    }
    g_free(ranges);
}

void render_page_uri(const char *prefix, struct fb_slice text, char *out, size_t size)
{
    size_t n = (size_t)snprintf(out, size, "%s", prefix);
    for (size_t i = 0; i < text.len && n + 4 < size; i++) {
        uint8_t c = text.ptr[i];
        if (c <= ' ' || c >= 0x7F || strchr("()'\"<>\\", c) != NULL) {
            n += (size_t)snprintf(out + n, size - n, "%%%02X", c);
        } else {
            out[n++] = (char)c;
        }
    }
    out[n] = '\0';
}

/* Where a long word or an address is broken no hyphen may look like a part of it. */
static PangoAttrList *without_hyphens(void)
{
    PangoAttrList *attrs = pango_attr_list_new();
    pango_attr_list_insert(attrs, pango_attr_insert_hyphens_new(FALSE));
    return attrs;
}

static void colour_links(PangoLayout *layout, struct fb_slice text)
{
    PangoAttrList *attrs = without_hyphens();
    struct render_link link = {0};
    for (size_t at = 0; render_link_next(text, at, &link); at = link.end) {
        PangoAttribute *a = pango_attr_foreground_new((guint16)(render_link_blue.r * 65535),
                                                      (guint16)(render_link_blue.g * 65535),
                                                      (guint16)(render_link_blue.b * 65535));
        a->start_index = (guint)link.start;
        a->end_index = (guint)link.end;
        pango_attr_list_insert(attrs, a);
    }
    pango_layout_set_attributes(layout, attrs);
    pango_attr_list_unref(attrs);
}

static bool is_linked(struct fb_slice text)
{
    struct render_link link = {0};
    return render_link_next(text, 0, &link);
}

static void link_line(struct render_page *p, struct fb_slice text, PangoLayoutLine *line, double x,
                      double top, double height)
{
    struct render_link link = {0};
    for (size_t at = 0; render_link_next(text, at, &link); at = link.end) {
        char uri[2200];
        render_page_uri(link.prefix, fb_slice_sub(text, link.start, link.end - link.start), uri,
                        sizeof uri);
        render_page_link(p, line, x, top, height, 1, link.start, link.end, uri);
    }
}

/* Whether the text may go on on the next page. */
static bool may_cross(struct render_page *p, const struct render_page_lines *lines)
{
    double height = 0;
    double count = 0;
    if (lines != NULL) {
        count = (double)render_page_lines_count(lines, &height);
    } else {
        int units = 0;
        PangoLayoutLine *line = pango_layout_get_line_readonly(p->layout, 0);
        pango_layout_line_get_height(line, &units);
        height = (double)units / PANGO_SCALE;
        count = pango_layout_get_line_count(p->layout);
    }
    return p->y + 1.6 * count * height > p->height - RENDER_MARGIN_FOOT;
}

/* Room for a line, on the next page where it ends this one. */
static enum fb_status begin_line(struct render_page *p, double height, struct fb_error *err)
{
    enum fb_status s = FB_OK;
    if (p->y + height > p->height - RENDER_MARGIN_FOOT) {
        s = render_page_next(p, err);
    }
    if (s == FB_OK) {
        render_page_span_begin(p);
    }
    return s;
}

static enum fb_status draw_line(struct render_page *p, PangoLayoutIter *it, double x,
                                struct render_colour c, struct fb_slice linked,
                                struct fb_error *err)
{
    PangoRectangle box;
    pango_layout_iter_get_line_extents(it, NULL, &box);
    double height = (double)box.height / PANGO_SCALE;
    double base = (double)(pango_layout_iter_get_baseline(it) - box.y) / PANGO_SCALE;
    enum fb_status s = begin_line(p, height, err);
    if (s != FB_OK) {
        return s;
    }
    PangoLayoutLine *line = pango_layout_iter_get_line_readonly(it);
    double left = x + (double)box.x / PANGO_SCALE;
    render_page_colour(p, c);
    cairo_move_to(p->cr, left, p->y + base);
    pango_cairo_show_layout_line(p->cr, line);
    if (linked.len > 0) {
        render_page_span_end(p);
        link_line(p, linked, line, x, p->y, height);
    }
    p->y += height * (1 + LEADING);
    return FB_OK;
}

static int rise_of(const PangoItem *item)
{
    int rise = 0;
    for (const GSList *l = item->analysis.extra_attrs; l != NULL; l = l->next) {
        const PangoAttribute *attr = l->data;
        rise = attr->klass->type == PANGO_ATTR_RISE ? ((const PangoAttrInt *)attr)->value : rise;
    }
    return rise;
}

void render_page_level(PangoLayoutLine *line)
{
    for (GSList *l = line->runs; l != NULL; l = l->next) {
        PangoGlyphItem *run = l->data;
        run->y_offset = rise_of(run->item);
    }
}

static enum fb_status draw_layout(struct render_page *p, double x, struct render_colour c,
                                  struct fb_slice linked, struct fb_error *err)
{
    enum fb_status s = FB_OK;
    for (const GSList *l = pango_layout_get_lines_readonly(p->layout); l != NULL; l = l->next) {
        render_page_level(l->data);
    }
    PangoLayoutIter *it = pango_layout_get_iter(p->layout);
    do {
        s = draw_line(p, it, x, c, linked, err);
    } while (s == FB_OK && pango_layout_iter_next_line(it));
    pango_layout_iter_free(it);
    return s;
}

static enum fb_status draw_lines(struct render_page *p, const struct render_page_lines *lines,
                                 double x, struct render_colour c, struct fb_error *err)
{
    double unused = 0;
    size_t count = render_page_lines_count(lines, &unused);
    enum fb_status s = FB_OK;
    for (size_t i = 0; i < count && s == FB_OK; i++) {
        double ascent = 0;
        double height = 0;
        render_page_lines_size(lines, i, &ascent, &height);
        s = begin_line(p, height, err);
        if (s == FB_OK) {
            render_page_lines_show(lines, i, p, x, p->y + ascent, c);
            p->y += height * (1 + LEADING);
        }
    }
    return s;
}

/* Whether each line of the layout, which has no width, stands in `most` as it would with that width. */
static bool fits(PangoLayout *layout, int most)
{
    for (const GSList *l = pango_layout_get_lines_readonly(layout); l != NULL; l = l->next) {
        PangoRectangle box;
        pango_layout_line_get_extents(l->data, NULL, &box);
        if (box.width > most ||
            pango_layout_line_get_resolved_direction(l->data) != PANGO_DIRECTION_LTR) {
            return false;
        }
    }
    return pango_layout_get_alignment(layout) == PANGO_ALIGN_LEFT;
}

/* The lines, where they are cut here; NULL: they are the layout's.  Without a width Pango shapes
 * each text once, with one at least twice. */
static struct render_page_lines *break_lines(struct render_page *p, double width, bool has_links)
{
    int most = (int)(width * PANGO_SCALE);
    pango_layout_set_width(p->layout, -1);
    if (fits(p->layout, most)) {
        return NULL;
    }
    bool is_left = pango_layout_get_alignment(p->layout) == PANGO_ALIGN_LEFT;
    struct render_page_lines *lines =
        is_left && !has_links ? render_page_lines_cut(p->layout, most) : NULL;
    if (lines == NULL) {
        pango_layout_set_width(p->layout, most);
    }
    return lines;
}

/* Lays text out in the column at x and draws it, over pages where needed. */
enum fb_status render_page_text(struct render_page *p, struct fb_slice text, double x, double width,
                                struct render_colour c, bool has_links, struct fb_error *err)
{
    enum fb_status s = FB_OK;
    has_links = has_links && is_linked(text);
    pango_layout_set_text(p->layout, text.len > 0 ? (const char *)text.ptr : "", (int)text.len);
    if (has_links) {
        colour_links(p->layout, text);
    } else if (p->attributes != NULL) {
        pango_layout_set_attributes(p->layout, p->attributes);
    } else {
        PangoAttrList *attrs = without_hyphens();
        pango_layout_set_attributes(p->layout, attrs);
        pango_attr_list_unref(attrs);
    }
    struct render_page_lines *lines = break_lines(p, width, has_links);
    bool is_own = p->is_tagged && p->tag_count == 1 && text.len > 0; /* of the document alone */
    bool is_part = p->uses_spans;
    if (is_own) {
        render_page_tag_begin(p, "P");
    }
    p->has_spans = p->has_spans && is_part;
    p->uses_spans =
        is_part || (p->tag_count > 1 && text.len > 0 && (has_links || may_cross(p, lines)));
    s = lines != NULL ? draw_lines(p, lines, x, c, err)
                      : draw_layout(p, x, c, has_links ? text : (struct fb_slice){0}, err);
    render_page_lines_free(&lines);
    if (!is_part) {
        render_page_span_end(p);
        p->uses_spans = false;
    }
    if (is_own) {
        render_page_tag_end(p, "P");
    }
    return s;
}

static void set_metadata(struct render_page *p, const struct render_letter *l)
{
    char when[40] = "1970-01-01T00:00:00Z";
    time_t seconds = (time_t)(l->date_ms / 1000);
    struct tm tm;
    if (gmtime_r(&seconds, &tm) != NULL && tm.tm_year >= 70 && tm.tm_year < 8100) {
        (void)strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm);
    }
    cairo_pdf_surface_set_metadata(p->surface, CAIRO_PDF_METADATA_TITLE,
                                   l->subject != NULL ? l->subject : "");
    cairo_pdf_surface_set_metadata(p->surface, CAIRO_PDF_METADATA_CREATOR, "Fumibako");
    cairo_pdf_surface_set_metadata(p->surface, CAIRO_PDF_METADATA_CREATE_DATE, when);
    cairo_pdf_surface_set_metadata(p->surface, CAIRO_PDF_METADATA_MOD_DATE, when);
}

void render_page_open(struct render_page *p, const struct render_letter *letter, const char *paper,
                      double margin_x, struct fb_buf *pdf_r)
{
    bool is_letter = strcmp(paper, "Letter") == 0;
    *p = (struct render_page){.width = is_letter ? 612 : 595.28,
                              .height = is_letter ? 792 : 841.89,
                              .y = RENDER_MARGIN_TOP,
                              .margin_x = margin_x,
                              .number = 1,
                              .pdf = pdf_r,
                              .pdf_start = pdf_r->len,
                              .is_tagged = letter->is_tagged,
                              .is_japanese = letter->is_japanese};
    render_flate_set(RENDER_FLATE_FRAME);
    p->surface = cairo_pdf_surface_create_for_stream(write_pdf, p, p->width, p->height);
    cairo_pdf_surface_restrict_to_version(p->surface, CAIRO_PDF_VERSION_1_4); /* pdf_patch.h */
    set_metadata(p, letter);
    p->cr = cairo_create(p->surface);
    PangoFontMap *map = render_page_font_map();
    p->context = pango_font_map_create_context(map);
    g_object_unref(map);
    pango_cairo_update_context(p->cr, p->context);
    pango_cairo_context_set_resolution(p->context, 72); /* a point of a font is one of the page */
    /* Else widths are whole points: two half-width characters (5.25) would not be as wide as a full one. */
    pango_context_set_round_glyph_positions(p->context, FALSE);
    p->layout = pango_layout_new(p->context);
    pango_layout_set_wrap(p->layout, PANGO_WRAP_WORD_CHAR);
    pango_layout_set_auto_dir(p->layout, TRUE);
    PangoLanguage *language = pango_language_from_string(letter->is_japanese ? "ja" : "en");
    pango_context_set_language(p->context, language);
    begin_page(p);
    render_page_tag_begin(p, "Document");
}

void render_page_widen(struct render_page *p, double width)
{
    p->width = width;
    cairo_pdf_surface_set_size(p->surface, p->width, p->height); /* forgets what the page has */
    p->tag_count = 0;
    begin_page(p);
    render_page_tag_begin(p, "Document");
}

struct render_page_deferred {
    struct render_page_deferred *next;
    void (*undo)(void *what);
    void *what;
};

void render_page_defer(struct render_page *p, void (*undo)(void *), void *what)
{
    struct render_page_deferred *d = fb_xcalloc(1, sizeof *d);
    *d = (struct render_page_deferred){p->deferred, undo, what};
    p->deferred = d;
}

static void undo_all(struct render_page *p)
{
    while (p->deferred != NULL) {
        struct render_page_deferred *d = p->deferred;
        p->deferred = d->next;
        d->undo(d->what);
        free(d);
    }
}

enum fb_status render_page_close(struct render_page *p, enum fb_status s, struct fb_error *err)
{
    render_page_tag_end_all(p, 1);
    if (s == FB_OK) {
        draw_page_number(p);
        cairo_show_page(p->cr);
    }
    render_page_tag_end_all(p, 0);
    cairo_status_t cs = cairo_status(p->cr);
    g_object_unref(p->layout);
    g_object_unref(p->context);
    cairo_destroy(p->cr);
    cairo_surface_finish(p->surface);
    cs = cs == CAIRO_STATUS_SUCCESS ? cairo_surface_status(p->surface) : cs;
    cairo_surface_destroy(p->surface);
    render_flate_set(RENDER_FLATE_ZLIB);
    if (s == FB_OK && p->write_status != FB_OK) {
        s = fb_error_set(err, p->write_status, "the body PDF is larger than its limit");
    } else if (s == FB_OK && cs != CAIRO_STATUS_SUCCESS) {
        s = fb_error_set(err, FB_BUG, "cairo: %s", cairo_status_to_string(cs));
    }
    /* Untagged, too: with links alone, Cairo 1.16's table has objects that are none. */
    if (s == FB_OK) {
        const struct render_pdf_patch patch = {p->is_japanese ? "ja" : "en", p->alts,
                                               p->figure_count};
        s = render_pdf_patch(p->pdf, p->pdf_start, &patch);
        s = s == FB_OK ? s : fb_error_set(err, s, "the body PDF is larger than its limit");
    }
    undo_all(p);
    return s;
}
