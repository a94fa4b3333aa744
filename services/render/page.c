/* SPDX-License-Identifier: Apache-2.0 */
#include "services/render/page.h"

#include <cairo-pdf.h>
#include <pango/pangocairo.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "services/render/links.h"

#define LABEL_WIDTH 64.0
#define ROW_ROOM    20.0 /* what a label must find on its page */
#define LEADING     0.32 /* of a line's height, below it */
#define HEAD_JA     "BIZ UDPGothic, Liberation Sans 9.5"
#define HEAD_EN     "Liberation Sans, BIZ UDPGothic 9.5"
#define SMALL_FONT  "Liberation Sans, BIZ UDPGothic 8.5"
#define TITLE_JA    "BIZ UDPGothic, Liberation Sans Bold 15"
#define TITLE_EN    "Liberation Sans, BIZ UDPGothic Bold 15"

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

enum fb_status render_page_next(struct render_page *p, struct fb_error *err)
{
    draw_page_number(p);
    cairo_show_page(p->cr);
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
        cairo_tag_begin(p->cr, CAIRO_TAG_LINK, attributes);
        cairo_tag_end(p->cr, CAIRO_TAG_LINK);
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

static void colour_links(PangoLayout *layout, struct fb_slice text)
{
    PangoAttrList *attrs = pango_attr_list_new();
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

/* Lays text out in the column at x and draws it, over pages where needed. */
enum fb_status render_page_text(struct render_page *p, struct fb_slice text, double x, double width,
                                struct render_colour c, bool has_links, struct fb_error *err)
{
    enum fb_status s = FB_OK;
    pango_layout_set_text(p->layout, text.len > 0 ? (const char *)text.ptr : "", (int)text.len);
    pango_layout_set_width(p->layout, (int)(width * PANGO_SCALE));
    if (has_links) {
        colour_links(p->layout, text);
    } else {
        pango_layout_set_attributes(p->layout, NULL);
    }
    PangoLayoutIter *it = pango_layout_get_iter(p->layout);
    do {
        PangoRectangle box;
        pango_layout_iter_get_line_extents(it, NULL, &box);
        double height = (double)box.height / PANGO_SCALE;
        double base = (double)(pango_layout_iter_get_baseline(it) - box.y) / PANGO_SCALE;
        if (p->y + height > p->height - RENDER_MARGIN_FOOT) {
            s = render_page_next(p, err);
        }
        if (s == FB_OK) {
            PangoLayoutLine *line = pango_layout_iter_get_line_readonly(it);
            double left = x + (double)box.x / PANGO_SCALE;
            render_page_colour(p, c);
            cairo_move_to(p->cr, left, p->y + base);
            pango_cairo_show_layout_line(p->cr, line);
            if (has_links) {
                link_line(p, text, line, x, p->y, height);
            }
            p->y += height * (1 + LEADING);
        }
    } while (s == FB_OK && pango_layout_iter_next_line(it));
    pango_layout_iter_free(it);
    return s;
}

static void draw_rule(struct render_page *p)
{
    render_page_colour(p, render_line_grey);
    cairo_set_line_width(p->cr, 0.7);
    cairo_move_to(p->cr, p->margin_x, p->y);
    cairo_line_to(p->cr, p->width - p->margin_x, p->y);
    cairo_stroke(p->cr);
}

static enum fb_status draw_row(struct render_page *p, const char *label, const char *value,
                               struct fb_error *err)
{
    if (value == NULL || value[0] == '\0') {
        return FB_OK;
    }
    enum fb_status s = FB_OK;
    if (p->y + ROW_ROOM > p->height - RENDER_MARGIN_FOOT) {
        s = render_page_next(p, err);
    }
    double top = p->y;
    render_page_font(p, p->is_japanese ? HEAD_JA : HEAD_EN);
    /* The label first: text is searched and read aloud in the order in which it was drawn. */
    if (s == FB_OK) {
        s = render_page_text(p, fb_slice_str(label), p->margin_x, LABEL_WIDTH, render_grey, false,
                             err);
    }
    if (s == FB_OK) {
        p->y = top;
        s = render_page_text(p, fb_slice_str(value), p->margin_x + LABEL_WIDTH,
                             p->width - 2 * p->margin_x - LABEL_WIDTH, render_ink, false, err);
    }
    p->y += 0.5;
    return s;
}

static void format_size(uint64_t size, char *out, size_t out_size)
{
    if (size < 1024) {
        (void)snprintf(out, out_size, "%u B", (unsigned)size);
    } else if (size < 1024 * 1024) {
        (void)snprintf(out, out_size, "%.1f KB", (double)size / 1024);
    } else {
        (void)snprintf(out, out_size, "%.1f MB", (double)size / (1024 * 1024));
    }
}

static enum fb_status draw_attachments(struct render_page *p, const struct render_letter *l,
                                       struct fb_error *err)
{
    enum fb_status s = FB_OK;
    for (size_t i = 0; i < l->attachment_count && s == FB_OK; i++) {
        char size[32];
        struct fb_buf row;
        fb_buf_init(&row, 8192);
        format_size(l->attachments[i].size, size, sizeof size);
        s = fb_buf_printf(&row, "%s  (%s)", l->attachments[i].name, size);
        if (s == FB_OK) {
            s = draw_row(p,
                         i > 0            ? ""
                         : l->is_japanese ? "添付ファイル"
                                          : "Attachments",
                         fb_buf_str(&row), err);
        }
        fb_buf_deinit(&row);
    }
    return s;
}

enum fb_status render_page_head(struct render_page *p, const struct render_letter *l,
                                struct fb_error *err)
{
    bool ja = l->is_japanese;
    const char *subject = l->subject != NULL && l->subject[0] != '\0' ? l->subject
                          : ja                                        ? "(件名なし)"
                                                                      : "(no subject)";
    render_page_font(p, ja ? TITLE_JA : TITLE_EN);
    enum fb_status s = render_page_text(p, fb_slice_str(subject), p->margin_x,
                                        p->width - 2 * p->margin_x, render_ink, false, err);
    p->y += 8;
    const struct {
        const char *ja, *en, *value;
    } rows[] = {{"差出人", "From", l->from},
                {"宛先", "To", l->to},
                {"CC", "Cc", l->cc},
                {"日時", "Date", l->date}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0] && s == FB_OK; i++) {
        s = draw_row(p, ja ? rows[i].ja : rows[i].en, rows[i].value, err);
    }
    if (s == FB_OK) {
        s = draw_attachments(p, l, err);
    }
    p->y += 5;
    draw_rule(p);
    p->y += 14;
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
                              .is_japanese = letter->is_japanese};
    p->surface = cairo_pdf_surface_create_for_stream(write_pdf, p, p->width, p->height);
    set_metadata(p, letter);
    p->cr = cairo_create(p->surface);
    PangoFontMap *map = render_page_font_map();
    p->context = pango_font_map_create_context(map);
    g_object_unref(map);
    pango_cairo_update_context(p->cr, p->context);
    pango_cairo_context_set_resolution(p->context, 72); /* a point of a font is one of the page */
    p->layout = pango_layout_new(p->context);
    pango_layout_set_wrap(p->layout, PANGO_WRAP_WORD_CHAR);
    pango_layout_set_auto_dir(p->layout, TRUE);
    PangoLanguage *language = pango_language_from_string(letter->is_japanese ? "ja" : "en");
    pango_context_set_language(p->context, language);
}

enum fb_status render_page_close(struct render_page *p, enum fb_status s, struct fb_error *err)
{
    if (s == FB_OK) {
        draw_page_number(p);
        cairo_show_page(p->cr);
    }
    cairo_status_t cs = cairo_status(p->cr);
    g_object_unref(p->layout);
    g_object_unref(p->context);
    cairo_destroy(p->cr);
    cairo_surface_finish(p->surface);
    cs = cs == CAIRO_STATUS_SUCCESS ? cairo_surface_status(p->surface) : cs;
    cairo_surface_destroy(p->surface);
    if (s == FB_OK && p->write_status != FB_OK) {
        s = fb_error_set(err, p->write_status, "the body PDF is larger than its limit");
    } else if (s == FB_OK && cs != CAIRO_STATUS_SUCCESS) {
        s = fb_error_set(err, FB_BUG, "cairo: %s", cairo_status_to_string(cs));
    }
    return s;
}
