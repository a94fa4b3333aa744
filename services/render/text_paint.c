/* SPDX-License-Identifier: Apache-2.0
 *
 * One pass over the paragraphs: each is laid out on its own and drawn line by line, so that a page
 * ends between lines and memory does not grow with the mail. */
#include "services/render/text_paint.h"

#include <stdlib.h>

#include "common/log.h"
#include "services/render/flowed.h"
#include "services/render/page.h"

#define MARGIN_X     58.0
#define QUOTE_INDENT 10.0
#define BODY_JA      "BIZ UDGothic, Noto Sans Mono 10.5"
#define BODY_EN      "Liberation Mono, BIZ UDGothic 9.5"

static enum fb_status draw_body(struct render_page *p, const struct render_letter *l,
                                struct fb_error *err)
{
    enum fb_status s = FB_OK;
    struct render_paragraphs paragraphs;
    struct render_paragraph paragraph;
    render_paragraphs_init(&paragraphs, fb_slice_buf(&l->body), l->is_flowed, l->is_delsp);
    render_page_font(p, l->is_japanese ? BODY_JA : BODY_EN);
    while (s == FB_OK && render_paragraphs_next(&paragraphs, &paragraph)) {
        double indent =
            paragraph.is_flowed ? QUOTE_INDENT * (paragraph.depth < 12 ? paragraph.depth : 12) : 0;
        double top = p->y;
        int page = p->number;
        s = render_page_text(p, paragraph.text, p->margin_x + indent,
                             p->width - 2 * p->margin_x - indent,
                             paragraph.depth > 0 ? render_quote_ink : render_ink, true, err);
        for (int d = 0; d < (int)(indent / QUOTE_INDENT) && page == p->number; d++) {
            render_page_colour(p, render_line_grey);
            cairo_rectangle(p->cr, p->margin_x + d * QUOTE_INDENT, top, 1.6, p->y - top);
            cairo_fill(p->cr);
        }
    }
    render_paragraphs_deinit(&paragraphs);
    return s;
}

enum fb_status render_text_paint(const struct render_letter *letter, const char *paper,
                                 struct fb_buf *pdf_r, struct fb_error *err)
{
    struct render_page p;
    render_page_open(&p, letter, paper, MARGIN_X, pdf_r);
    enum fb_status s = render_page_head(&p, letter, err);
    if (s == FB_OK) {
        s = draw_body(&p, letter, err);
    }
    return render_page_close(&p, s, err);
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

void render_text_warm(void)
{
    render_page_warm(paint_samples);
}
