/* SPDX-License-Identifier: Apache-2.0
 *
 * One pass over the paragraphs: each is laid out on its own and drawn line by line, so that a page
 * ends between lines and memory does not grow with the mail. */
#include "services/render/text_paint.h"

#include <stdlib.h>

#include "common/log.h"
#include "services/render/flowed.h"
#include "services/render/forwarded.h"
#include "services/render/page.h"
#include "services/render/page_section.h"

#define MARGIN_X     58.0
#define QUOTE_INDENT 10.0
#define BODY_JA      "BIZ UDGothic, Noto Sans Mono 10.5"
#define BODY_EN      "Liberation Mono, BIZ UDGothic 9.5"

/* Lines up to a blank one, or one that is quoted deeper or less deep, are a paragraph to those who
 * listen. */
struct structure {
    bool is_open;
    int depth; /* block quotations */
};

static void end_paragraph(struct render_page *p, struct structure *t)
{
    if (t->is_open) {
        render_page_paragraph_end(p);
        t->is_open = false;
    }
}

static void structure_line(struct render_page *p, struct structure *t, int depth, bool is_blank)
{
    if (is_blank || depth != t->depth) {
        end_paragraph(p, t);
    }
    for (; t->depth > depth && !is_blank; t->depth--) {
        render_page_tag_end(p, "BlockQuote");
    }
    for (; t->depth < depth && !is_blank; t->depth++) {
        render_page_tag_begin(p, "BlockQuote");
    }
    if (!is_blank && !t->is_open) {
        render_page_paragraph_begin(p);
        t->is_open = true;
    }
}

static enum fb_status draw_paragraph(struct render_page *p,
                                     const struct render_paragraph *paragraph, struct fb_error *err)
{
    double indent =
        paragraph->is_flowed ? QUOTE_INDENT * (paragraph->depth < 12 ? paragraph->depth : 12) : 0;
    double top = p->y;
    int page = p->number;
    enum fb_status s = render_page_text(
        p, paragraph->text, p->margin_x + indent, p->width - 2 * p->margin_x - indent,
        paragraph->depth > 0 ? render_quote_ink : render_ink, true, err);
    for (int d = 0; d < (int)(indent / QUOTE_INDENT) && page == p->number; d++) {
        render_page_colour(p, render_line_grey);
        cairo_rectangle(p->cr, p->margin_x + d * QUOTE_INDENT, top, 1.6, p->y - top);
        cairo_fill(p->cr);
    }
    return s;
}

enum fb_status render_text_body(struct render_page *p, const struct render_letter *l,
                                struct fb_error *err)
{
    enum fb_status s = FB_OK;
    struct structure structure = {0};
    struct render_paragraphs paragraphs;
    struct render_paragraph paragraph;
    char title[RENDER_FORWARDED_TITLE];
    render_paragraphs_init(&paragraphs, fb_slice_buf(&l->body), l->is_flowed, l->is_delsp);
    render_page_font(p, l->is_japanese ? BODY_JA : BODY_EN);
    render_page_bookmark(p, l->is_japanese ? "本文" : "Message", 0);
    for (struct fb_slice rest = paragraphs.rest;
         s == FB_OK && render_paragraphs_next(&paragraphs, &paragraph); rest = paragraphs.rest) {
        structure_line(p, &structure, paragraph.depth, fb_slice_trim(paragraph.text).len == 0);
        if (p->is_tagged && render_forwarded_begins(rest, title)) {
            render_page_bookmark(p, title, 1);
        }
        s = draw_paragraph(p, &paragraph, err);
    }
    if (s == FB_OK) {
        structure_line(p, &structure, 0, true);
        for (; structure.depth > 0; structure.depth--) {
            render_page_tag_end(p, "BlockQuote");
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
        s = render_text_body(&p, letter, err);
    }
    if (s == FB_OK) {
        s = render_page_sections(&p, letter, err);
    }
    return render_page_close(&p, s, err);
}
