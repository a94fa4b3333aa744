/* SPDX-License-Identifier: Apache-2.0
 *
 * Plain text as paragraphs: lines as they are, or joined where format=flowed says so (RFC 3676). */
#ifndef FB_RENDER_FLOWED_H
#define FB_RENDER_FLOWED_H

#include "common/buf.h"

struct render_paragraph {
    struct fb_slice text; /* lent from the scanner's buffer or the body, until the next call */
    int depth;            /* quote depth; the marks are taken off when is_flowed */
    bool is_flowed;
};

struct render_paragraphs {
    struct fb_slice rest;
    bool is_flowed, is_delsp;
    struct fb_buf joined;
};

void render_paragraphs_init(struct render_paragraphs *p, struct fb_slice body, bool is_flowed,
                            bool is_delsp);
void render_paragraphs_deinit(struct render_paragraphs *p);
/* False at the end. A paragraph is at most some kilobytes: longer ones come in pieces, cut between
 * characters. */
bool render_paragraphs_next(struct render_paragraphs *p, struct render_paragraph *paragraph_r);

#endif
