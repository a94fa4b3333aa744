/* SPDX-License-Identifier: Apache-2.0
 *
 * From a mail's HTML to a document that Chromium may print: sanitised by allow-lists, with our
 * header block on top.  Runs inside the sandboxed child (no network, no files); pure computation on
 * memory.
 *
 *   html_prepare_trim.c   before the parser: depth, attributes and formatting are cut so that its
 *                         time stays linear
 *   html_prepare_tree.c   walks gumbo's tree: which elements are let through
 *   html_prepare_attr.c   which attributes and links are let through
 *   html_prepare_image.c  images, and the boxes in place of those that are not shown
 *   html_prepare_remote.c which images lie elsewhere, for those who may fetch them
 *   html_prepare_light.c  light text whose dark background does not come with the mail
 *   html_prepare_css.c    style sheets: rules, and selectors that cannot leave the mail's container
 *   html_prepare_decl.c   declarations: allow-list of properties and functions
 *   html_prepare_symbol.c text in Wingdings and Symbol
 *   html_prepare_head.c   the document around it: header block, page, our own style
 */
#ifndef FB_RENDER_HTML_PREPARE_H
#define FB_RENDER_HTML_PREPARE_H

#include <gumbo.h>

#include "services/render/letter.h"

#define RENDER_HTML_MAX                                                                            \
    (10U << 20) /* bytes of HTML: more is no letter, and Chromium takes minutes for it */
#define RENDER_HTML_DEPTH                                                                          \
    400 /* deeper elements lose their tags, not their text; threads reach about 120 */
#define RENDER_HTML_ATTRIBUTES 100        /* an element; further ones are cut off */
#define RENDER_HTML_ELEMENTS   200000     /* a table of 10,000 rows and 10 columns has 110,000 */
#define RENDER_HTML_TABLES     24         /* tables in tables: layout time grows with each level */
#define RENDER_HTML_DATA_URL   (4U << 20) /* one data: image, as text */

/* Appends the whole document (UTF-8) to html_r, which the caller initialised with its maximum.
 * Images are named cid:N, N the index into letter->images.  FB_OK; FB_TOO_BIG with the limit in
 * words; FB_NO_SPACE. */
FB_MUST_USE enum fb_status render_html_prepare(const struct render_letter *letter,
                                               struct fb_buf *html_r, struct fb_error *err);

/* An image that the HTML only points to. */
struct render_html_remote {
    char *source; /* as the mail writes it, without white space around it: render_image.url */
    char *url;    /* for HTTP: absolute, ASCII */
};
#define RENDER_REMOTE_COUNT 50   /* a letter; a newsletter has about thirty */
#define RENDER_REMOTE_URL   2048 /* bytes; longer ones are not fetched */
/* The images of http and https URLs that the HTML shows, each once, in their order, at most RENDER_REMOTE_COUNT; none
 * that is there to count readers only.  The caller frees the two strings of each.  FB_TOO_BIG as for
 * render_html_prepare. */
FB_MUST_USE enum fb_status render_html_remote(const struct render_letter *letter,
                                              struct render_html_remote list_r[RENDER_REMOTE_COUNT],
                                              size_t *count_r, struct fb_error *err);

/* The finished document as it was read again for the proof; what it points to lies in html_r. */
struct render_html_document {
    GumboOptions options;
    GumboOutput *tree;
};
/* As render_html_prepare, and hands out the tree; the caller deinits it. */
FB_MUST_USE enum fb_status render_html_prepare_document(const struct render_letter *letter,
                                                        struct fb_buf *html_r,
                                                        struct render_html_document *document_r,
                                                        struct fb_error *err);
void render_html_document_deinit(struct render_html_document *d);

#endif
