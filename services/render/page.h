/* SPDX-License-Identifier: Apache-2.0
 *
 * The pages of a letter's PDF, for the painters that draw with Pango and Cairo (text_paint.c,
 * native*.c): surface, margins, page numbers, metadata, the header block, and links that cannot
 * leave their PDF string.  Runs inside the sandbox.
 */
#ifndef FB_RENDER_PAGE_H
#define FB_RENDER_PAGE_H

#include <cairo.h>
#include <fontconfig/fontconfig.h>
#include <pango/pango.h>

#include "services/render/letter.h"

#define RENDER_MAX_PAGES   2000
#define RENDER_MARGIN_TOP  56.0
#define RENDER_MARGIN_FOOT 62.0
#define RENDER_TAG_DEPTH   40 /* elements in elements: what lies deeper belongs to its ancestor */
#define RENDER_BOOKMARKS   1000
#define RENDER_LEVELS      6 /* of bookmarks */
#define RENDER_FIGURES     200

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
    bool is_tagged;
    const char *tags[RENDER_TAG_DEPTH]; /* open structure elements, the innermost last */
    int tag_count, tags_too_deep;
    bool uses_spans, is_span_open, has_spans; /* has: since the element around them began */
    const char *alts[RENDER_FIGURES];         /* of the figures, in their order */
    size_t figure_count, pdf_start;
    int bookmark_parent[RENDER_LEVELS], bookmark_count;
    PangoAttrList *attributes; /* of the next text without links; NULL: none */
    struct fb_buf *pdf;
    enum fb_status write_status;
    struct render_page_deferred *deferred;
};

/* Begins the PDF that will be appended to pdf_r (the caller's maximum is the limit).  paper: "A4" or
 * "Letter". */
void render_page_open(struct render_page *p, const struct render_letter *letter, const char *paper,
                      double margin_x, struct fb_buf *pdf_r);
/* Ends it, whatever s says came of the drawing; gives s, or what else went wrong: FB_TOO_BIG past
 * the maximum, FB_BUG when Cairo failed. */
FB_MUST_USE enum fb_status render_page_close(struct render_page *p, enum fb_status s,
                                             struct fb_error *err);
/* Before anything is drawn: all pages are `width` wide, as high as they were. */
void render_page_widen(struct render_page *p, double width);
/* undo(what) when the pages are closed: for what they keep pointers to. */
void render_page_defer(struct render_page *p, void (*undo)(void *), void *what);
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
/* Before a picture is drawn: a large one is compressed at once, so that its pixels do not stay in memory. */
void render_page_image(cairo_surface_t *image);
/* A font as Pango's strings name it, for p->layout. */
void render_page_font(struct render_page *p, const char *font);

/* One link annotation for what of bytes [start, end) of the layout's text lies on this line, whose
 * layout is drawn at x, `scale` times its size. */
void render_page_link(struct render_page *p, PangoLayoutLine *line, double x, double top,
                      double height, double scale, size_t start, size_t end, const char *uri);
/* One for a rectangle. */
void render_page_link_box(struct render_page *p, double x, double y, double w, double h,
                          const char *uri);
/* Puts all of a line on one baseline, but for what is raised by an attribute.  Where a line begins with kanji or
 * kana, Pango (1.50) moves what is of another font, by a tenth of its size and more, to where the one font's
 * ideographic baseline is the other's: words of Latin letters stand higher than their neighbours, and Chinese
 * in two fonts dances.  Browsers and printers do not. */
void render_page_level(PangoLayoutLine *line);
/* prefix and text as an URI within Cairo's attribute syntax, and within a PDF string: Cairo 1.16
 * (Debian 12) writes it there as it is, so that a parenthesis would end the string, and what follows
 * it would be an action of the mail's own.  Cut at size. */
void render_page_uri(const char *prefix, struct fb_slice text, char *out, size_t size);

/* ---- page_lines.c ---- */

/* The layout's text, one paragraph laid out without a width, in lines of `width` (Pango's units), as Pango breaks it;
 * NULL where only Pango can do it.  It keeps the layout's text, which must not change until it is freed. */
struct render_page_lines *render_page_lines_cut(PangoLayout *layout, int width);
void render_page_lines_free(struct render_page_lines **lines);
/* *font_height_r: the tallest font's. */
size_t render_page_lines_count(const struct render_page_lines *lines, double *font_height_r);
void render_page_lines_size(const struct render_page_lines *lines, size_t i, double *ascent_r,
                            double *height_r);
/* Draws line i from x on. */
void render_page_lines_show(const struct render_page_lines *lines, size_t i, struct render_page *p,
                            double x, double baseline, struct render_colour c);

/* ---- page_tags.c: structure and outline (ISO 32000-1, 14.8 and 12.3.3) ---- */

/* Opens a structure element: "P", "H1", "L", "LI", "LBody", "Table", "TR", "TH", "TD", "BlockQuote",
 * "Figure", "Sect", "Span"; a constant, since its pointer is kept.  What is drawn until its end is its
 * content.  Cairo marks content in elements without children only: text drawn straight into one that
 * holds another is read aloud by nobody (put "Span" around it).  What stands in no element is ornament.
 * Both do nothing where letters are not tagged. */
void render_page_tag_begin(struct render_page *p, const char *tag);
/* Ends the innermost element, which must be `tag`. */
void render_page_tag_end(struct render_page *p, const char *tag);
/* Opens a "Figure" that stands for its alt text (NULL: none), which must live until the pages are
 * closed. */
void render_page_figure_begin(struct render_page *p, const char *alt);
/* A link annotation, in Cairo's words (tagged or not). */
void render_page_tag_link(struct render_page *p, const char *attributes);
/* Ends elements until `count` are open (p->tag_count). */
void render_page_tag_end_all(struct render_page *p, int count);
/* Ends the innermost element if it is one that holds words, and says which: to be begun again. */
const char *render_page_tag_suspend(struct render_page *p);
/* A "P" whose words come by several calls of render_page_text. */
void render_page_paragraph_begin(struct render_page *p);
void render_page_paragraph_end(struct render_page *p);
/* The words between two links: "Span" where p->uses_spans. */
void render_page_span_begin(struct render_page *p);
void render_page_span_end(struct render_page *p);
/* A bookmark to where p stands: level 0 at the top, below it 1...  title: UTF-8, as shown; blanks
 * become one, it is cut where too long, an empty one makes no bookmark.  Past RENDER_BOOKMARKS
 * nothing is added. */
void render_page_bookmark(struct render_page *p, const char *title, int level);

/* ---- page_warm.c ---- */

/* Our fonts instead of the system's; then samples() paints what letters have, so that later calls
 * (and forks) find it in memory. */
void render_page_warm(void (*samples)(void));
/* Where fonts come from: a reference that the caller gives back. */
PangoFontMap *render_page_font_map(void);
/* Gives Cairo large fonts in a form that is cheaper to it (page_faces.c).  The configuration must have
 * been built and be in nobody's use yet. */
void render_page_faces(FcConfig *config);

#endif
