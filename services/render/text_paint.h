/* SPDX-License-Identifier: Apache-2.0
 *
 * Paints a plain-text letter as PDF with Pango and Cairo: header block, list of attachments, body;
 * live links, embedded subset fonts, searchable text, any script that the fonts have.  Runs inside
 * the sandbox.
 */
#ifndef FB_RENDER_TEXT_PAINT_H
#define FB_RENDER_TEXT_PAINT_H

#include "services/render/letter.h"
#include "services/render/page.h"

/* Appends the PDF to pdf_r (the caller's maximum is the limit).  paper: "A4" or "Letter".  The same
 * letter always gives the same bytes. FB_TOO_BIG past the maximum or MAX_PAGES pages, FB_BUG when
 * Cairo fails: with structure (is_tagged), it may do without. */
FB_MUST_USE enum fb_status render_text_paint(const struct render_letter *letter, const char *paper,
                                             struct fb_buf *pdf_r, struct fb_error *err);

/* Draws a plain-text body where p stands, in the column between its margins. */
FB_MUST_USE enum fb_status render_text_body(struct render_page *p, const struct render_letter *l,
                                            struct fb_error *err);

/* Loads fonts and paints letters as people send them (page_samples.c), so that later calls (and forks)
 * find in memory what they need. */
void render_text_warm(void);

#endif
