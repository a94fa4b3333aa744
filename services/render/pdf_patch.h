/* SPDX-License-Identifier: Apache-2.0
 *
 * What Cairo's PDF lacks and its interface does not offer, put in by hand, and its objects packed.  Some
 * hundred microseconds, where a library that reads and writes the whole file takes a millisecond or more,
 * which is a fifth of a letter.
 *
 *   catalog      /Lang, /ViewerPreferences << /DisplayDocTitle true >>   ISO 32000-1, 14.9.2.1, 12.2
 *   annotations  /F 4 (printed with the page)                            12.5.3
 *   figures      /Alt                                                    14.9.3
 *   packing      all that is no stream goes into one compressed object stream, with a cross-reference
 *                stream: a structure of some hundred elements would else double a letter   7.5.7, 7.5.8
 *   streams      what zlib only framed is compressed, fonts are made light (pdf_stream.h)
 *   table        numbers that Cairo gave out and never used are free: it lists them as objects at
 *                places where there is none                              7.5.4
 *
 * For Cairo's own output alone, with a cross-reference table (PDF 1.4), of this very process: what does
 * not look like that stays as it is. */
#ifndef FB_RENDER_PDF_PATCH_H
#define FB_RENDER_PDF_PATCH_H

#include "common/buf.h"

struct render_pdf_patch {
    const char *language; /* "ja", "en-US": a constant of ours */
    const char *const
        *alts; /* of the figures, in the order in which they were begun; UTF-8, NULL: none */
    size_t alt_count;
};

/* pdf: from its byte `from` on, one PDF.  FB_TOO_BIG: it would pass pdf's maximum. */
FB_MUST_USE enum fb_status render_pdf_patch(struct fb_buf *pdf, size_t from,
                                            const struct render_pdf_patch *patch);

#endif
