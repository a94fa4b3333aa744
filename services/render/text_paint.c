/* SPDX-License-Identifier: Apache-2.0
 *
 * One pass over the paragraphs: each is laid out on its own and drawn line by line, so that a page
 * ends between lines and memory does not grow with the mail. */
#include "services/render/text_paint.h"

#include <cairo-pdf.h>
#include <fontconfig/fontconfig.h>
#include <pango/pangocairo.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "common/log.h"
#include "services/render/flowed.h"
#include "services/render/fonts.h"
#include "services/render/links.h"

#define MAX_PAGES    2000
#define WARM_WAIT_MS 2000
#define MARGIN_X     58.0
#define MARGIN_TOP   56.0
#define MARGIN_FOOT  62.0
#define LABEL_WIDTH  64.0
#define ROW_ROOM     20.0 /* what a label must find on its page */
#define QUOTE_INDENT 10.0
#define LEADING      0.32 /* of a line's height, below it */
#define BODY_JA      "BIZ UDGothic, Noto Sans Mono 10.5"
#define BODY_EN      "Liberation Mono, BIZ UDGothic 9.5"
#define HEAD_JA      "BIZ UDPGothic, Liberation Sans 9.5"
#define HEAD_EN      "Liberation Sans, BIZ UDPGothic 9.5"
#define SMALL_FONT   "Liberation Sans, BIZ UDPGothic 8.5"
#define TITLE_JA     "BIZ UDPGothic, Liberation Sans Bold 15"
#define TITLE_EN     "Liberation Sans, BIZ UDPGothic Bold 15"

struct colour {
    double r, g, b;
};
static const struct colour ink = {0.10, 0.11, 0.13};
static const struct colour grey = {0.42, 0.45, 0.50};
static const struct colour quote_ink = {0.30, 0.34, 0.42};
static const struct colour line_grey = {0.80, 0.82, 0.85};
static const struct colour link_blue = {0.05, 0.31, 0.63};

struct page {
    cairo_surface_t *surface;
    cairo_t *cr;
    PangoContext *context;
    PangoLayout *layout;
    double width, height, y;
    int number;
    bool is_japanese;
    struct fb_buf *pdf;
    enum fb_status write_status;
};

/* Fonts that were found and loaded before the fork.  NULL: each letter finds its own. */
static PangoFontMap *warm_map;

static cairo_status_t write_pdf(void *closure, const unsigned char *data, unsigned len)
{
    struct page *p = closure;
    if (p->write_status == FB_OK) {
        p->write_status = fb_buf_add(p->pdf, data, len);
    }
    return p->write_status == FB_OK ? CAIRO_STATUS_SUCCESS : CAIRO_STATUS_WRITE_ERROR;
}

static void set_colour(struct page *p, struct colour c)
{
    cairo_set_source_rgb(p->cr, c.r, c.g, c.b);
}

static void set_font(struct page *p, const char *font)
{
    PangoFontDescription *d = pango_font_description_from_string(font);
    pango_layout_set_font_description(p->layout, d);
    pango_font_description_free(d);
}

static void draw_page_number(struct page *p)
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
    set_colour(p, grey);
    cairo_move_to(p->cr, (p->width - (double)w / PANGO_SCALE) / 2, p->height - MARGIN_FOOT + 22);
    pango_cairo_show_layout(p->cr, layout);
    g_object_unref(layout);
}

static enum fb_status next_page(struct page *p, struct fb_error *err)
{
    draw_page_number(p);
    cairo_show_page(p->cr);
    if (p->number == MAX_PAGES) {
        return fb_error_set(err, FB_TOO_BIG, "the body fills more than %d pages", MAX_PAGES);
    }
    p->number++;
    p->y = MARGIN_TOP;
    return p->write_status == FB_OK ? FB_OK
                                    : fb_error_set(err, FB_TOO_BIG, "the body PDF is too large");
}

/* One link annotation for what of bytes [start, end) lies on this line. */
static void add_link(struct page *p, PangoLayoutLine *line, double x, double top, double height,
                     const struct render_link *link, const char *uri)
{
    int line_start = pango_layout_line_get_start_index(line);
    int line_end = line_start + pango_layout_line_get_length(line);
    int from = (int)link->start > line_start ? (int)link->start : line_start;
    int to = (int)link->end < line_end ? (int)link->end : line_end;
    if (from >= to) {
        return;
    }
    int *ranges = NULL;
    int count = 0;
    pango_layout_line_get_x_ranges(line, from, to, &ranges, &count);
    for (int i = 0; i < count; i++) {
        char attributes[4600];
        double left = x + (double)ranges[2 * i] / PANGO_SCALE;
        double width = (double)(ranges[2 * i + 1] - ranges[2 * i]) / PANGO_SCALE;
        int n = snprintf(attributes, sizeof attributes, "rect=[ %.2f %.2f %.2f %.2f ] uri='%s'",
                         left, top, width, height, uri);
        if (n > 0 && (size_t)n < sizeof attributes) {
            cairo_tag_begin(p->cr, CAIRO_TAG_LINK, attributes);
            cairo_tag_end(p->cr, CAIRO_TAG_LINK);
        }
    }
    g_free(ranges);
}

/* The URI within Cairo's attribute syntax, and within a PDF string: Cairo 1.16 (Debian 12) writes it there as it is,
 * so that a parenthesis would end the string, and what follows it would be an action of the mail's own. */
static void make_uri(struct fb_slice text, const struct render_link *link, char *out, size_t size)
{
    size_t n = (size_t)snprintf(out, size, "%s", link->prefix);
    for (size_t i = link->start; i < link->end && n + 4 < size; i++) {
        uint8_t c = text.ptr[i];
        if (strchr("()'\\", c) != NULL) {
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
        PangoAttribute *a = pango_attr_foreground_new((guint16)(link_blue.r * 65535),
                                                      (guint16)(link_blue.g * 65535),
                                                      (guint16)(link_blue.b * 65535));
        a->start_index = (guint)link.start;
        a->end_index = (guint)link.end;
        pango_attr_list_insert(attrs, a);
    }
    pango_layout_set_attributes(layout, attrs);
    pango_attr_list_unref(attrs);
}

static void link_line(struct page *p, struct fb_slice text, PangoLayoutLine *line, double x,
                      double top, double height)
{
    struct render_link link = {0};
    for (size_t at = 0; render_link_next(text, at, &link); at = link.end) {
        char uri[2200];
        make_uri(text, &link, uri, sizeof uri);
        add_link(p, line, x, top, height, &link, uri);
    }
}

/* Lays text out in the column at x and draws it, over pages where needed. */
static enum fb_status draw_text(struct page *p, struct fb_slice text, double x, double width,
                                struct colour c, bool has_links, struct fb_error *err)
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
        if (p->y + height > p->height - MARGIN_FOOT) {
            s = next_page(p, err);
        }
        if (s == FB_OK) {
            PangoLayoutLine *line = pango_layout_iter_get_line_readonly(it);
            double left = x + (double)box.x / PANGO_SCALE;
            set_colour(p, c);
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

static void draw_rule(struct page *p)
{
    set_colour(p, line_grey);
    cairo_set_line_width(p->cr, 0.7);
    cairo_move_to(p->cr, MARGIN_X, p->y);
    cairo_line_to(p->cr, p->width - MARGIN_X, p->y);
    cairo_stroke(p->cr);
}

static enum fb_status draw_row(struct page *p, const char *label, const char *value,
                               struct fb_error *err)
{
    if (value == NULL || value[0] == '\0') {
        return FB_OK;
    }
    enum fb_status s = FB_OK;
    if (p->y + ROW_ROOM > p->height - MARGIN_FOOT) {
        s = next_page(p, err);
    }
    double top = p->y;
    set_font(p, p->is_japanese ? HEAD_JA : HEAD_EN);
    /* The label first: text is searched and read aloud in the order in which it was drawn. */
    if (s == FB_OK) {
        s = draw_text(p, fb_slice_str(label), MARGIN_X, LABEL_WIDTH, grey, false, err);
    }
    if (s == FB_OK) {
        p->y = top;
        s = draw_text(p, fb_slice_str(value), MARGIN_X + LABEL_WIDTH,
                      p->width - 2 * MARGIN_X - LABEL_WIDTH, ink, false, err);
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

static enum fb_status draw_attachments(struct page *p, const struct render_letter *l,
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

static enum fb_status draw_head(struct page *p, const struct render_letter *l, struct fb_error *err)
{
    bool ja = l->is_japanese;
    const char *subject = l->subject != NULL && l->subject[0] != '\0' ? l->subject
                          : ja                                        ? "(件名なし)"
                                                                      : "(no subject)";
    set_font(p, ja ? TITLE_JA : TITLE_EN);
    enum fb_status s =
        draw_text(p, fb_slice_str(subject), MARGIN_X, p->width - 2 * MARGIN_X, ink, false, err);
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

static enum fb_status draw_body(struct page *p, const struct render_letter *l, struct fb_error *err)
{
    enum fb_status s = FB_OK;
    struct render_paragraphs paragraphs;
    struct render_paragraph paragraph;
    render_paragraphs_init(&paragraphs, fb_slice_buf(&l->body), l->is_flowed, l->is_delsp);
    set_font(p, l->is_japanese ? BODY_JA : BODY_EN);
    while (s == FB_OK && render_paragraphs_next(&paragraphs, &paragraph)) {
        double indent =
            paragraph.is_flowed ? QUOTE_INDENT * (paragraph.depth < 12 ? paragraph.depth : 12) : 0;
        double top = p->y;
        int page = p->number;
        s = draw_text(p, paragraph.text, MARGIN_X + indent, p->width - 2 * MARGIN_X - indent,
                      paragraph.depth > 0 ? quote_ink : ink, true, err);
        for (int d = 0; d < (int)(indent / QUOTE_INDENT) && page == p->number; d++) {
            set_colour(p, line_grey);
            cairo_rectangle(p->cr, MARGIN_X + d * QUOTE_INDENT, top, 1.6, p->y - top);
            cairo_fill(p->cr);
        }
    }
    render_paragraphs_deinit(&paragraphs);
    return s;
}

static void set_metadata(struct page *p, const struct render_letter *l)
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

enum fb_status render_text_paint(const struct render_letter *letter, const char *paper,
                                 struct fb_buf *pdf_r, struct fb_error *err)
{
    bool is_letter = strcmp(paper, "Letter") == 0;
    struct page p = {.width = is_letter ? 612 : 595.28,
                     .height = is_letter ? 792 : 841.89,
                     .y = MARGIN_TOP,
                     .number = 1,
                     .pdf = pdf_r,
                     .is_japanese = letter->is_japanese};
    p.surface = cairo_pdf_surface_create_for_stream(write_pdf, &p, p.width, p.height);
    set_metadata(&p, letter);
    p.cr = cairo_create(p.surface);
    PangoFontMap *map = warm_map != NULL ? g_object_ref(warm_map) : pango_cairo_font_map_new();
    p.context = pango_font_map_create_context(map);
    pango_cairo_update_context(p.cr, p.context);
    pango_cairo_context_set_resolution(p.context, 72); /* a point of a font is one of the page */
    p.layout = pango_layout_new(p.context);
    pango_layout_set_wrap(p.layout, PANGO_WRAP_WORD_CHAR);
    pango_layout_set_auto_dir(p.layout, TRUE);
    PangoLanguage *language = pango_language_from_string(letter->is_japanese ? "ja" : "en");
    pango_context_set_language(p.context, language);

    enum fb_status s = draw_head(&p, letter, err);
    if (s == FB_OK) {
        s = draw_body(&p, letter, err);
    }
    if (s == FB_OK) {
        draw_page_number(&p);
        cairo_show_page(p.cr);
    }
    cairo_status_t cs = cairo_status(p.cr);
    g_object_unref(p.layout);
    g_object_unref(p.context);
    g_object_unref(map);
    cairo_destroy(p.cr);
    cairo_surface_finish(p.surface);
    cs = cs == CAIRO_STATUS_SUCCESS ? cairo_surface_status(p.surface) : cs;
    cairo_surface_destroy(p.surface);
    if (s == FB_OK && p.write_status != FB_OK) {
        s = fb_error_set(err, p.write_status, "the body PDF is larger than its limit");
    } else if (s == FB_OK && cs != CAIRO_STATUS_SUCCESS) {
        s = fb_error_set(err, FB_BUG, "cairo: %s", cairo_status_to_string(cs));
    }
    return s;
}

/* Pango asks Fontconfig's current configuration: from now on that is ours. */
static void load_fonts(void)
{
    FcConfig *config = FcConfigCreate();
    bool is_done =
        config != NULL &&
        FcConfigParseAndLoadFromMemory(config, render_fonts_conf().ptr, FcTrue) == FcTrue &&
        FcConfigBuildFonts(config) == FcTrue && FcConfigSetCurrent(config) == FcTrue;
    if (!is_done) {
        fb_log(
            FB_ERROR,
            "Fontconfig does not take our fonts.conf: letters are painted with the system's fonts");
    }
    if (config != NULL) {
        FcConfigDestroy(config); /* our reference; the current configuration has its own */
    }
}

/* Waits until this process has one thread. */
static bool is_alone(int timeout_ms)
{
    for (int64_t end = fb_mono_ms() + timeout_ms;;) {
        struct stat tasks = {0};
        /* One link for the folder, one for itself, one for each thread. */
        if (stat("/proc/self/task", &tasks) != 0 || tasks.st_nlink <= 3) {
            return true;
        }
        if (fb_mono_ms() >= end) {
            return false;
        }
        (void)poll(NULL, 0, 2);
    }
}

/* Every font that a letter has, with the scripts that letters have. */
static void paint_samples(void)
{
    static const char text[] =
        "件名 日本語 Latin 123 ①㈱ ｶﾅ “é” עברית العربية 한국어 😀 Ελληνικά Русский ไทย";
    struct fb_buf pdf;
    struct fb_error err = {0};
    fb_buf_init(&pdf, 16U << 20);
    for (int i = 0; i < 2; i++) {
        struct render_letter l = {.is_japanese = i == 0,
                                  .subject = fb_xstrdup(text),
                                  .from = fb_xstrdup(text),
                                  .attachments = fb_xcalloc(1, sizeof *l.attachments),
                                  .attachment_count = 1};
        l.attachments[0] = (struct render_attachment_line){.name = fb_xstrdup(text)};
        fb_buf_init(&l.body, 4096);
        if (fb_buf_printf(&l.body, "%s\n> %s\nhttps://example.com/\n", text, text) != FB_OK ||
            render_text_paint(&l, "A4", &pdf, &err) != FB_OK) {
            fb_log(FB_WARN, "the sample letter cannot be painted: %s", err.text);
        }
        fb_buf_clear(&pdf);
        render_letter_deinit(&l);
    }
    fb_buf_deinit(&pdf);
}

/* Pango asks Fontconfig in threads, and a fork takes along no thread but a lock that one holds.  So
 * the caller may fork only when all have ended.  Up to 1.50 each has one question to answer; a
 * later Pango keeps one as long as its font map lives: then the map is given up, and each letter
 * makes its own. */
void render_text_warm(void)
{
    load_fonts();
    warm_map = pango_cairo_font_map_new();
    paint_samples();
    if (!is_alone(WARM_WAIT_MS)) {
        g_clear_object(&warm_map);
        if (!is_alone(WARM_WAIT_MS)) {
            fb_log(FB_WARN,
                   "a thread of Pango's does not end: painting may hang and then be tried again");
        }
    }
}
