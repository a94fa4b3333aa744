/* SPDX-License-Identifier: Apache-2.0
 *
 * The letter: what MIME parsing found of a mail that a reader sees, ready to be painted. Everything
 * is UTF-8 (valid; the parser replaced what was not), and everything is untrusted.
 *
 * Filled by mime_*.c, painted by text_paint.c (plain text) or prepared by html_prepare.c for
 * Chromium.
 */
#ifndef FB_RENDER_LETTER_H
#define FB_RENDER_LETTER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"

struct render_image {
    char *cid;  /* Content-ID without < >, or Content-Location; what an <img src="cid:..."> names */
    char *type; /* "image/png" */
    struct fb_buf bytes;
};

struct render_attachment_line {
    char *name; /* as shown: decoded, control characters removed */
    char *type;
    uint64_t size; /* decoded bytes */
};

struct render_letter {
    bool is_japanese; /* labels of the header block in Japanese, else English */
    char *from, *to, *cc, *date, *subject; /* display text; NULL when the mail has none */
    int64_t date_ms; /* the mail's Date (ms since 1970), 0 when unknown: PDF metadata must not use
                        "now" */
    struct render_attachment_line *attachments;
    size_t attachment_count;
    bool is_html;
    bool is_flowed, is_delsp; /* plain text with format=flowed (RFC 3676) */
    struct fb_buf body;
    struct render_image *images;
    size_t image_count;
};

/* Frees what the letter owns; the struct is the caller's. */
void render_letter_deinit(struct render_letter *l);

#endif
