/* SPDX-License-Identifier: Apache-2.0
 *
 * The pages of a letter's PDF, for the painters that draw with Pango and Cairo (text_paint.c,
 * native*.c): surface, margins, page numbers, metadata, the header block, and links that cannot
 * leave their PDF string.  Runs inside the sandbox.
 */
#ifndef FB_RENDER_PAGE_H
#define FB_RENDER_PAGE_H

#include <cairo.h>
#include <pango/pango.h>

#include "services/render/letter.h"

#define RENDER_MAX_PAGES   2000
#define RENDER_MARGIN_TOP  56.0
#define RENDER_MARGIN_FOOT 62.0

struct render_colour {
    double r, g, b;
};
extern const struct render_colour render_ink, render_grey, render_quote_ink, render_line_grey,
    render_link_blue;

/* Lengths in points from the upper left corner of the paper; y: where the next line goes. */
struct render_page {
    cairo_surface_t *surface;
    cairo_t *cr;
    PangoContext *context;
    PangoLayout *layout;
    double width, height, y, margin_x;
    int number;
    bool is_japanese;
    struct fb_buf *pdf;
    enum fb_status write_status;
};

/* Begins the PDF that will be appended to pdf_r (the caller's maximum is the limit).  paper: "A4" or
 * "Letter". */
void render_page_open(struct render_page *p, const struct render_letter *letter, const char *paper,
                      double margin_x, struct fb_buf *pdf_r);
/* Ends it, whatever s says came of the drawing; gives s, or what else went wrong: FB_TOO_BIG past
 * the maximum, FB_BUG when Cairo failed. */
FB_MUST_USE enum fb_status render_page_close(struct render_page *p, enum fb_status s,
                                             struct fb_error *err);
/* The next page; FB_TOO_BIG past RENDER_MAX_PAGES. */
FB_MUST_USE enum fb_status render_page_next(struct render_page *p, struct fb_error *err);
/* Subject, sender, recipients, date and attachments, at the top of the first page. */
FB_MUST_USE enum fb_status render_page_head(struct render_page *p, const struct render_letter *l,
                                            struct fb_error *err);
/* Lays text out in the column at x with the font of p->layout and draws it, over pages where needed. */
FB_MUST_USE enum fb_status render_page_text(struct render_page *p, struct fb_slice text, double x,
                                            double width, struct render_colour c, bool has_links,
                                            struct fb_error *err);
void render_page_colour(struct render_page *p, struct render_colour c);
/* A font as Pango's strings name it, for p->layout. */
void render_page_font(struct render_page *p, const char *font);

/* One link annotation for what of bytes [start, end) of the layout's text lies on this line, whose
 * layout is drawn at x, `scale` times its size. */
void render_page_link(struct render_page *p, PangoLayoutLine *line, double x, double top,
                      double height, double scale, size_t start, size_t end, const char *uri);
/* One for a rectangle. */
void render_page_link_box(struct render_page *p, double x, double y, double w, double h,
                          const char *uri);
/* prefix and text as an URI within Cairo's attribute syntax, and within a PDF string: Cairo 1.16
 * (Debian 12) writes it there as it is, so that a parenthesis would end the string, and what follows
 * it would be an action of the mail's own.  Cut at size. */
void render_page_uri(const char *prefix, struct fb_slice text, char *out, size_t size);

/* ---- page_warm.c ---- */

/* Our fonts instead of the system's; then samples() paints what letters have, so that later calls
 * (and forks) find it in memory. */
void render_page_warm(void (*samples)(void));
/* Where fonts come from: a reference that the caller gives back. */
PangoFontMap *render_page_font_map(void);

#endif
