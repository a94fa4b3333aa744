/* SPDX-License-Identifier: Apache-2.0
 *
 * Compression of what stands in a PDF.  Cairo gives each stream to zlib at its default level and lets nobody
 * choose: half of a letter's processor time.  So deflateInit_ is ours in this program, and zlib only frames
 * the bytes while a page is painted that pdf_patch.c goes over afterwards; there fonts lose what no reader
 * uses (pdf_font.h), and libdeflate, which has each stream whole, compresses it in two fifths of the
 * time.  Where Cairo does not come by here, its streams are as it compressed them.
 *
 * RFC 1950, RFC 1951. */
#ifndef FB_RENDER_PDF_FLATE_H
#define FB_RENDER_PDF_FLATE_H

#include "common/buf.h"

enum render_flate {
    RENDER_FLATE_ZLIB,  /* as zlib does it */
    RENDER_FLATE_QUICK, /* compressed, in less time */
    RENDER_FLATE_FRAME  /* framed alone */
};

/* What becomes of streams that this thread begins to write from now on, where the writer asks for zlib's
 * default level. */
void render_flate_set(enum render_flate how);

/* The bytes of a stream that was framed alone, in place of what out holds; false: it is another, or is damaged. */
FB_MUST_USE bool render_flate_unframe(struct fb_slice stream, struct fb_buf *out);

struct render_flate_press;
struct render_flate_press *render_flate_press_new(void);
void render_flate_press_free(struct render_flate_press **p);
/* Compresses in, as a zlib stream that is valid until the next call.  FB_TOO_BIG: no memory for it. */
FB_MUST_USE enum fb_status render_flate_press(struct render_flate_press *p, struct fb_slice in,
                                              struct fb_slice *stream_r);

#endif
