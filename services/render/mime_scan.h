/* SPDX-License-Identifier: Apache-2.0
 *
 * A first look at the whole message, in one pass and in constant memory: is it small enough in
 * every respect for the MIME library, which keeps parts, header fields and the text between parts
 * in memory?
 *
 * The scan follows boundaries as the library does (RFC 2046 5.1).  Where it had to choose it counts
 * more, never less.
 */
#ifndef FB_RENDER_MIME_SCAN_H
#define FB_RENDER_MIME_SCAN_H

#include "services/render/mime.h"

#define MIME_SCAN_PART_HEADER_LINES                                                                \
    50000 /* all part headers together: 2000 parts with 25 fields each */
#define MIME_SCAN_PART_HEADER_BYTES (4U << 20)
#define MIME_SCAN_OUTSIDE_BYTES                                                                    \
    (16U << 20) /* preambles and epilogues together: the library keeps them */
#define MIME_SCAN_FIELD_BYTES                                                                      \
    (32U << 10) /* a longer MIME field is not read: its cost grows with the square */
#define MIME_SCAN_BOUNDARY_MAX 256 /* RFC 2046 says 70 */
#define MIME_SCAN_MASKS_MAX    512

struct mime_scan {
    uint64_t head_size;   /* bytes of the top header block, without the empty line */
    uint64_t body_offset; /* where the body starts */
    uint32_t part_count;
    /* Offsets of fields that the library must not see: its view has "X" as their first letter. Such
     * a field is too long, or a multipart Content-Type whose boundary is missing or never comes, so
     * that the part is read as the text it is. */
    uint64_t masks[MIME_SCAN_MASKS_MAX];
    uint32_t mask_count;
};

/* FB_TOO_BIG with the limit in words; what source returns. */
FB_MUST_USE enum fb_status mime_scan_run(const struct render_source *source,
                                         struct mime_scan *scan_r, struct fb_error *err);

#endif
