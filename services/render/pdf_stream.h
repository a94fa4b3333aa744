/* SPDX-License-Identifier: Apache-2.0
 *
 * The streams of Cairo's PDF that it did not compress (pdf_flate.h): fonts are made light, all are compressed.
 * ISO 32000-1, 7.3.8, 9.9. */
#ifndef FB_RENDER_PDF_STREAM_H
#define FB_RENDER_PDF_STREAM_H

#include "common/buf.h"
#include "services/render/pdf_flate.h"

/* What is needed again for each of them. */
struct render_pdf_streams {
    struct render_flate_press *press;
    struct fb_buf raw, font;
};

/* max: bytes of one stream that was not compressed. */
void render_pdf_streams_init(struct render_pdf_streams *s, size_t max);
void render_pdf_streams_deinit(struct render_pdf_streams *s);

/* Adds to out the object ("N 0 obj\n" to "endobj\n", with a stream), compressed if it was not.
 * *length_r: the number of the object that held its length and is not needed any more; 0: none. */
FB_MUST_USE enum fb_status render_pdf_stream_add(struct render_pdf_streams *s,
                                                 struct fb_slice object, struct fb_buf *out,
                                                 size_t *length_r);

#endif
