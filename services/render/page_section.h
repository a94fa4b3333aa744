/* SPDX-License-Identifier: Apache-2.0
 *
 * Sections (section.h) on the pages of the painters with Pango and Cairo, below the body: a heading on
 * its band, rows, text; the body of an attached message, by text_paint.c or native.c; pictures. */
#ifndef FB_RENDER_PAGE_SECTION_H
#define FB_RENDER_PAGE_SECTION_H

#include "services/render/page.h"

/* Draws l's sections where p stands; past RENDER_SECTION_PAGES it says that the rest is attached.
 * FB_TOO_BIG past RENDER_MAX_PAGES. */
FB_MUST_USE enum fb_status
render_page_sections(struct render_page *p, const struct render_letter *l, struct fb_error *err);

#define RENDER_SECTION_PAGES 300 /* of all sections; the files are attached in any case */

/* page_picture.c: how large a section's picture is drawn, in points, within that room; 0: it cannot be. */
void render_page_picture_size(const struct render_section *s, double max_width, double max_height,
                              double *width_r, double *height_r);
/* Draws it at x, y (upper left corner), the right way up.  False when it is broken. */
bool render_page_picture(struct render_page *p, const struct render_section *s, double x, double y,
                         double width, double height);

#endif
