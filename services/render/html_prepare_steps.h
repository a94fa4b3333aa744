/* SPDX-License-Identifier: Apache-2.0
 *
 * The steps of html_prepare, for its own files and their tests.  All append to buffers that the
 * caller initialised; all come back with FB_OK, FB_TOO_BIG or FB_NO_SPACE. */
#ifndef FB_RENDER_HTML_PREPARE_STEPS_H
#define FB_RENDER_HTML_PREPARE_STEPS_H

#include <gumbo.h>

#include "services/render/html_prepare.h"

#define RENDER_HTML_PAGE_PX  644 /* text width of A4 with our margins: see html_prepare_head.c */
#define RENDER_HTML_ZOOM_MIN 0.6 /* made smaller, nobody could read it: the page becomes wider */
#define RENDER_HTML_WIDE_PX                                                                        \
    2400 /* text width of the widest page; what is wider still is made smaller */
#define RENDER_HTML_WIDEST 4000 /* px, at that size on that page */
#define RENDER_HTML_INNER  1900 /* px: of an attached message, which must do with the page at hand */

/* What one letter's preparation carries along. */
struct render_html {
    const struct render_letter *letter;
    struct fb_buf css;      /* the mail's style sheets, filtered and bound to our container */
    struct fb_buf body;     /* the mail's markup */
    long widest;            /* px, the widest fixed width of an element */
    uint64_t pixels;        /* of the images taken so far */
    bool is_plain;          /* second attempt: only <div>, <span> and tables, see html_prepare.c */
    bool *is_image_counted; /* letter->image_count of them */
    const char *scope;      /* in front of each selector; NULL: "#fb-mail " */
    size_t image_base;      /* added to the numbers of images: those of an attached message */
    const GumboNode
        *html_tag; /* lent: whose classes and styles our containers take over; may be NULL */
    const GumboNode *body_tag;
};

/* A copy of html within the limits of depth, attributes and elements.  Comments (conditional ones,
 * too), scripts and other raw text are gone.  A tag counter, not a parser: gumbo still decides what
 * the document is. */
FB_MUST_USE enum fb_status render_html_trim(struct fb_slice html, struct fb_buf *out,
                                            struct fb_error *err);

/* Notes the fixed width of a box, when it has one. */
void render_html_note_width(struct render_html *h, const GumboNode *node);

/* Fills h->css and h->body from the parsed document. */
FB_MUST_USE enum fb_status render_html_tree(struct render_html *h, const GumboNode *root,
                                            struct fb_error *err);

/* An attribute's value without white space around it; empty when it is not there. */
struct fb_slice render_html_attribute(const GumboNode *node, const char *name);
/* The number that a length begins with; 0 without one, and for a percentage. */
long render_html_pixels(struct fb_slice value);
/* ` name="value"` for each attribute of the element that is let through, src excepted, with declarations of ours ("" =
 * none) behind those of the style attribute. */
FB_MUST_USE enum fb_status render_html_attributes_and(struct render_html *h, const GumboNode *node,
                                                      const char *extra, struct fb_buf *out);
/* A declaration for an element whose background image is not shown, where light text stands on it: white on white
 * nobody could read it.  "" for all others. */
const char *render_html_lost_background(const GumboNode *node);
/* The next node in the order of the document, within root; NULL behind the last. */
const GumboNode *render_html_next(const GumboNode *n, const GumboNode *root);
/* Whether an <img> is hidden, or as small as those that only count readers. */
bool render_html_is_counter(const GumboNode *node);
/* An <img>: the image itself when we have it and it is sane, else a box of its size with its text.
 */
FB_MUST_USE enum fb_status render_html_image(struct render_html *h, const GumboNode *node,
                                             struct fb_buf *out);
/* class, style (colours of <body> included), dir and lang of <html> or <body>, for the div in its
 * place. */
FB_MUST_USE enum fb_status render_html_container(struct render_html *h, const GumboNode *node,
                                                 const char *own_class, struct fb_buf *out);
/* The URL that may stand for an image in our document: "cid:N", or the data: URL itself without
 * white space; FB_NOT_FOUND when there is none.  Counts its pixels. */
FB_MUST_USE enum fb_status render_html_image_url(struct render_html *h, struct fb_slice url,
                                                 struct fb_buf *out);

/* Fonts whose letters are symbols. */
enum render_symbols { RENDER_NO_SYMBOLS, RENDER_WINGDINGS, RENDER_SYMBOL };
/* Whether the text of an element is in one of them; parent: that of the element around it. */
enum render_symbols render_html_symbols(const GumboNode *node, enum render_symbols parent);
/* The text with characters of Unicode instead of such letters. */
FB_MUST_USE enum fb_status render_html_symbol_text(enum render_symbols font, struct fb_slice text,
                                                   struct fb_buf *out);

/* A style sheet, without what fetches or leaves the container. */
FB_MUST_USE enum fb_status render_css_sheet(struct render_html *h, struct fb_slice css,
                                            struct fb_buf *out);
/* Declarations ("color: red; ..."): what is allowed of them, each ended by ';'. */
FB_MUST_USE enum fb_status render_css_declarations(struct render_html *h, struct fb_slice css,
                                                   struct fb_buf *out);
/* The text without comments, each string closed on its line, no NUL. */
FB_MUST_USE enum fb_status render_css_clean(struct fb_slice css, struct fb_buf *out);
/* Offset of the first byte of `stops` from `at` on that is outside strings, brackets and escapes;
 * css.len if none. */
size_t render_css_find(struct fb_slice css, size_t at, const char *stops);

/* Everything up to the mail's part of the document. */
FB_MUST_USE enum fb_status render_html_head(const struct render_letter *letter,
                                            struct fb_slice mail_css, struct fb_buf *out);

/* html_prepare_section.c: what follows the mail (section.h), with its style. */
FB_MUST_USE enum fb_status render_html_sections(struct render_html *h, struct fb_buf *out);
/* html_prepare.c: whether a document read again has its mail, and its sections, where they belong. */
bool render_html_is_contained(const GumboOutput *document);

/* Text or a quoted attribute value: & < > " are written as references, control characters left out.
 */
FB_MUST_USE enum fb_status render_html_escape(struct fb_buf *out, struct fb_slice text);

#endif
