/* SPDX-License-Identifier: Apache-2.0
 *
 * The steps of html_prepare, for its own files and their tests.  All append to buffers that the
 * caller initialised; all come back with FB_OK, FB_TOO_BIG or FB_NO_SPACE. */
#ifndef FB_RENDER_HTML_PREPARE_STEPS_H
#define FB_RENDER_HTML_PREPARE_STEPS_H

#include <gumbo.h>

#include "services/render/html_prepare.h"

#define RENDER_HTML_PAGE_PX 644 /* text width of A4 with our margins: see html_prepare_head.c */

/* What one letter's preparation carries along. */
struct render_html {
    const struct render_letter *letter;
    struct fb_buf css;      /* the mail's style sheets, filtered and bound to our container */
    struct fb_buf body;     /* the mail's markup */
    long widest;            /* px, the widest fixed width of an element */
    uint64_t pixels;        /* of the images taken so far */
    bool is_plain;          /* second attempt: only <div>, <span> and tables, see html_prepare.c */
    bool *is_image_counted; /* letter->image_count of them */
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

/* ` name="value"` for each attribute of the element that is let through, src excepted. */
FB_MUST_USE enum fb_status render_html_attributes(struct render_html *h, const GumboNode *node,
                                                  struct fb_buf *out);
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

/* Text or a quoted attribute value: & < > " are written as references, control characters left out.
 */
FB_MUST_USE enum fb_status render_html_escape(struct fb_buf *out, struct fb_slice text);

#endif
