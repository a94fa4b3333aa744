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
    char *url;  /* as <img src> names it, when it was fetched from the web; else NULL */
    struct fb_buf bytes;
};

struct render_attachment_line {
    char *name; /* as shown: decoded, control characters removed */
    char *type;
    uint64_t size; /* decoded bytes */
};

struct render_letter;

enum render_section_kind {
    RENDER_SECTION_NOTE, /* what the mail itself is: signed, encrypted */
    RENDER_SECTION_CALENDAR,
    RENDER_SECTION_CONTACT,
    RENDER_SECTION_REPORT,
    RENDER_SECTION_MESSAGE, /* attached; its rows are its header block */
    RENDER_SECTION_IMAGE
};

struct render_section_row {
    char *label; /* "" continues the row above */
    char *value; /* may have several lines */
};

/* What follows the body, each with a heading (section.h). */
struct render_section {
    enum render_section_kind kind;
    int level;   /* 1; deeper inside of attached messages */
    char *title; /* heading and bookmark */
    struct render_section_row *rows;
    size_t row_count;
    struct fb_buf text;            /* below the rows; LF */
    struct render_letter *message; /* RENDER_SECTION_MESSAGE: whose body is shown; may be NULL */
    struct render_image image;     /* RENDER_SECTION_IMAGE: without bytes when it is broken */
    uint32_t image_width, image_height; /* px, as stored */
    int image_turn;                     /* EXIF orientation, 1 to 8 */
};

struct render_letter {
    bool is_tagged;   /* the PDF gets a structure tree and bookmarks */
    bool is_japanese; /* labels of the header block in Japanese, else English */
    /* Display text; NULL when the mail has none.  People: a mailbox a line. */
    char *from, *to, *cc, *date, *subject;
    int64_t date_ms; /* the mail's Date (ms since 1970), 0 when unknown: PDF metadata must not use
                        "now" */
    struct render_attachment_line *attachments;
    size_t attachment_count;
    bool is_html;
    bool is_flowed, is_delsp; /* plain text with format=flowed (RFC 3676) */
    struct fb_buf body;
    struct render_image *images;
    size_t image_count;
    struct render_section *sections; /* after the body, in this order */
    size_t section_count;
};

#define RENDER_LETTER_IMAGES 480 /* of the letter and its sections; Chromium gets no more */
/* Number of the first image of a section among all of the letter, as Chromium's document names them. */
size_t render_letter_image_base(const struct render_letter *l, size_t section);
/* All images, the letter's and then those of its sections, at most RENDER_LETTER_IMAGES; the list is the
 * caller's (free), what it holds is lent. */
struct render_image *render_letter_all_images(const struct render_letter *l, size_t *count_r);

/* Frees what the letter owns; the struct is the caller's. */
void render_letter_deinit(struct render_letter *l);

#endif
