/* SPDX-License-Identifier: Apache-2.0 */
#include "services/render/page_section.h"

#include <string.h>

#include "services/render/html_text.h"
#include "services/render/native.h"
#include "services/render/text_paint.h"

#define LABEL_WIDTH   92.0
#define ROW_GAP       2.0
#define BAND_PADDING  5.5
#define BAND_BAR      3.0
#define LEVEL_INDENT  14.0
#define SECTION_GAP   17.0  /* .fb-part of html_prepare_section.c, less what lies below a line */
#define ROOM          120.0 /* what a heading must find on its page: itself and some rows */
#define MESSAGE_BYTES (256U << 10) /* text of one attached message that is shown */
#define MESSAGE_LINES 2500
#define HTML_BYTES    (1U << 20) /* more HTML is shown as text */
#define ROW_JA        "BIZ UDPGothic, Liberation Sans 9.5"
#define ROW_EN        "Liberation Sans, BIZ UDPGothic 9.5"
#define TITLE_JA      "BIZ UDPGothic, Liberation Sans Bold 11.5"
#define TITLE_EN      "Liberation Sans, BIZ UDPGothic Bold 11.5"

static const struct render_colour band = {0.95, 0.96, 0.975};
static const struct render_colour bar = {0.36, 0.45, 0.60};

static double bottom(const struct render_page *p)
{
    return p->height - RENDER_MARGIN_FOOT;
}

static enum fb_status need(struct render_page *p, double room, struct fb_error *err)
{
    bool is_top = p->y <= RENDER_MARGIN_TOP + 1;
    return p->y + room > bottom(p) && !is_top ? render_page_next(p, err) : FB_OK;
}

/* ---- heading ---- */

static enum fb_status draw_heading(struct render_page *p, const struct render_section *s, double x,
                                   struct fb_error *err)
{
    double width = p->width - p->margin_x - x;
    int w = 0;
    int h = 0;
    render_page_font(p, p->is_japanese ? TITLE_JA : TITLE_EN);
    pango_layout_set_attributes(p->layout, NULL);
    pango_layout_set_text(p->layout, s->title, -1);
    pango_layout_set_width(p->layout,
                           (int)((width - 2 * BAND_PADDING - BAND_BAR - 2) * PANGO_SCALE));
    pango_layout_get_size(p->layout, &w, &h);
    int lines = pango_layout_get_line_count(p->layout);
    double line = (double)h / PANGO_SCALE / (lines > 0 ? lines : 1);
    double height = lines * line * 1.32 + 2 * BAND_PADDING - line * 0.32;
    enum fb_status status = need(p, height + ROOM, err);
    if (status != FB_OK) {
        return status;
    }
    render_page_bookmark(p, s->title, s->level);
    render_page_colour(p, band);
    cairo_rectangle(p->cr, x, p->y, width, height);
    cairo_fill(p->cr);
    render_page_colour(p, bar);
    cairo_rectangle(p->cr, x, p->y, BAND_BAR, height);
    cairo_fill(p->cr);
    double end = p->y + height;
    int page = p->number;
    p->y += BAND_PADDING;
    render_page_tag_begin(p, "H2");
    status = render_page_text(p, fb_slice_str(s->title), x + BAND_BAR + BAND_PADDING + 2,
                              width - 2 * BAND_PADDING - BAND_BAR - 2, render_ink, false, err);
    render_page_tag_end(p, "H2");
    p->y = (page == p->number ? end : p->y) + 8;
    return status;
}

/* ---- rows and text ---- */

static enum fb_status draw_row(struct render_page *p, const struct render_section_row *row,
                               double x, struct fb_error *err)
{
    enum fb_status s = need(p, 20, err);
    double top = p->y;
    int page = p->number;
    render_page_font(p, p->is_japanese ? ROW_JA : ROW_EN);
    render_page_paragraph_begin(p);
    double after = top;
    if (s == FB_OK && row->label[0] != '\0') {
        s = render_page_text(p, fb_slice_str(row->label), x, LABEL_WIDTH - 6, render_grey, false,
                             err);
        after = p->y;
    }
    if (s == FB_OK) {
        p->y = page == p->number ? top : p->y;
        s = render_page_text(p, fb_slice_str(row->value), x + LABEL_WIDTH,
                             p->width - p->margin_x - x - LABEL_WIDTH, render_ink, true, err);
    }
    render_page_paragraph_end(p);
    p->y = (page == p->number && after > p->y ? after : p->y) + ROW_GAP;
    return s;
}

/* Paragraphs are what blank lines part: those who listen hear them as such. */
static enum fb_status draw_text(struct render_page *p, struct fb_slice text, double x,
                                struct fb_error *err)
{
    enum fb_status s = FB_OK;
    bool is_open = false;
    render_page_font(p, p->is_japanese ? ROW_JA : ROW_EN);
    while (text.len > 0 && s == FB_OK) {
        const uint8_t *lf = memchr(text.ptr, '\n', text.len);
        size_t n = lf != NULL ? (size_t)(lf - text.ptr) : text.len;
        struct fb_slice line = fb_slice_sub(text, 0, n);
        text = fb_slice_sub(text, lf != NULL ? n + 1 : n, SIZE_MAX);
        bool is_blank = fb_slice_trim(line).len == 0;
        if (is_blank && is_open) {
            render_page_paragraph_end(p);
        } else if (!is_blank && !is_open) {
            render_page_paragraph_begin(p);
        }
        is_open = !is_blank;
        s = render_page_text(p, line, x, p->width - p->margin_x - x, render_ink, true, err);
    }
    if (is_open) {
        render_page_paragraph_end(p);
    }
    return s;
}

/* ---- an attached message ---- */

/* Within the limits of one message; *is_cut_r: there is more. */
static struct fb_slice cut(struct fb_slice text, bool *is_cut_r)
{
    size_t lines = 0;
    size_t n = 0;
    while (n < text.len && n < MESSAGE_BYTES && lines < MESSAGE_LINES) {
        lines += text.ptr[n++] == '\n';
    }
    while (n > 0 && n < text.len && (text.ptr[n] & 0xC0) == 0x80) {
        n--;
    }
    *is_cut_r = n < text.len;
    return fb_slice_sub(text, 0, n);
}

static enum fb_status draw_as_text(struct render_page *p, const struct render_letter *message,
                                   struct fb_slice text, struct fb_error *err)
{
    bool is_cut = false;
    struct render_letter view = *message; /* lends all it has */
    struct fb_slice shown = cut(text, &is_cut);
    struct fb_buf copy;
    fb_buf_init(&copy, MESSAGE_BYTES + 16);
    enum fb_status s = fb_buf_add_slice(&copy, shown);
    view.body = copy;
    view.is_html = false;
    s = s == FB_OK ? render_text_body(p, &view, err) : fb_error_set(err, s, "no memory");
    if (s == FB_OK && is_cut) {
        const char *more = p->is_japanese ? "（続きは添付ファイルをご覧ください）"
                                          : "(It goes on: see the attachment.)";
        s = draw_text(p, fb_slice_str(more), p->margin_x, err);
    }
    fb_buf_deinit(&copy);
    return s;
}

static enum fb_status draw_message(struct render_page *p, const struct render_letter *message,
                                   struct fb_error *err)
{
    struct fb_slice body = fb_slice_buf(&message->body);
    if (!message->is_html) {
        return draw_as_text(p, message, body, err);
    }
    if (body.len <= HTML_BYTES) {
        struct fb_error why = {0};
        enum fb_status s = render_native_continue(p, message, &why);
        if (s != FB_DENIED) {
            return s == FB_OK ? FB_OK : fb_error_set(err, s, "%s", why.text);
        }
    }
    struct fb_buf text; /* too long or too deep to be laid out: its words */
    fb_buf_init(&text, 2U * MESSAGE_BYTES);
    enum fb_status s = html_text_add(fb_slice_sub(body, 0, 4U * HTML_BYTES), &text);
    s = s == FB_OK ? draw_as_text(p, message, fb_slice_buf(&text), err)
                   : fb_error_set(err, s, "reading an attached message");
    fb_buf_deinit(&text);
    return s;
}

/* ---- a picture ---- */

static enum fb_status draw_image(struct render_page *p, const struct render_section *s,
                                 struct fb_error *err)
{
    double room = bottom(p) - RENDER_MARGIN_TOP;
    double width = p->width - 2 * p->margin_x;
    double w = 0;
    double h = 0;
    /* A heading and its row take about 60 points: two such pictures stand on a page. */
    bool is_wide =
        s->image_turn > 4 ? s->image_height > s->image_width : s->image_width >= s->image_height;
    render_page_picture_size(s, width, (is_wide ? room / 2 : room) - 84, &w, &h);
    if (w <= 0 || h <= 0) {
        return FB_OK;
    }
    enum fb_status status = need(p, h + 6, err);
    if (status != FB_OK) {
        return status;
    }
    render_page_figure_begin(p, s->title);
    bool is_drawn = render_page_picture(p, s, p->margin_x, p->y, w, h);
    render_page_tag_end(p, "Figure");
    if (is_drawn) {
        p->y += h;
        return FB_OK;
    }
    return draw_text(
        p,
        fb_slice_str(p->is_japanese
                         ? "この画像はここには表示できません。添付ファイルをご覧ください。"
                         : "This image cannot be shown here: see the attachment."),
        p->margin_x, err);
}

/* How much stays together: heading, rows and the picture. */
static double image_room(const struct render_page *p, const struct render_section *s)
{
    double w = 0;
    double h = 0;
    double room = bottom(p) - RENDER_MARGIN_TOP;
    bool is_wide =
        s->image_turn > 4 ? s->image_height > s->image_width : s->image_width >= s->image_height;
    render_page_picture_size(s, p->width - 2 * p->margin_x, (is_wide ? room / 2 : room) - 84, &w,
                             &h);
    return h + 60;
}

static enum fb_status draw_section(struct render_page *p, const struct render_section *s,
                                   struct fb_error *err)
{
    double indent = LEVEL_INDENT * (s->level > 1 ? s->level - 1 : 0);
    double x = p->margin_x + indent;
    enum fb_status status = FB_OK;
    p->y += p->y > RENDER_MARGIN_TOP + 1 ? SECTION_GAP : 0;
    if (s->kind == RENDER_SECTION_IMAGE && s->image.bytes.len > 0) {
        status = need(p, image_room(p, s), err);
    }
    status = status == FB_OK ? draw_heading(p, s, x, err) : status;
    for (size_t i = 0; i < s->row_count && status == FB_OK; i++) {
        status = draw_row(p, &s->rows[i], x, err);
    }
    if (status == FB_OK && s->text.len > 0) {
        p->y += s->row_count > 0 ? 6 : 0;
        status = draw_text(p, fb_slice_buf(&s->text), x, err);
    }
    if (status == FB_OK && s->message != NULL) {
        double margin = p->margin_x;
        p->y += 8;
        p->margin_x = x;
        status = draw_message(p, s->message, err);
        p->margin_x = margin;
    }
    if (status == FB_OK && s->kind == RENDER_SECTION_IMAGE && s->image.bytes.len > 0) {
        p->y += 4;
        status = draw_image(p, s, err);
    }
    return status;
}

enum fb_status render_page_sections(struct render_page *p, const struct render_letter *l,
                                    struct fb_error *err)
{
    enum fb_status s = FB_OK;
    int last = p->number + RENDER_SECTION_PAGES;
    size_t i = 0;
    for (; i < l->section_count && s == FB_OK && p->number < last; i++) {
        s = draw_section(p, &l->sections[i], err);
    }
    if (s == FB_OK && i < l->section_count) {
        s = draw_text(p,
                      fb_slice_str(p->is_japanese ? "以降は添付ファイルをご覧ください。"
                                                  : "For the rest, see the attachments."),
                      p->margin_x, err);
    }
    return s;
}
