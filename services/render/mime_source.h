/* SPDX-License-Identifier: Apache-2.0
 *
 * The message as the MIME library sees it: a seekable GMime stream, read through a cache of one
 * block.
 *
 * In front of the body stands a header block that we make: the MIME fields of the message and
 * nothing else.  So the library reads no address and no date, and no broken line or "From " line of
 * an mbox makes it give up.  Fields of parts that the scan masked have an "X" in front.  Leaves are
 * substreams; their bounds are turned into ranges of the message.
 */
#ifndef FB_RENDER_MIME_SOURCE_H
#define FB_RENDER_MIME_SOURCE_H

#include <gmime/gmime.h>

#include "services/render/mime_scan.h"

struct mime_view {
    const struct render_source *source;
    bool is_spooled; /* source is the spooled message itself, not something unpacked */
    struct mime_scan scan;
    struct fb_buf raw_head; /* the message's header block as it is */
    struct fb_buf head;     /* its MIME fields and the empty line */
};

/* Scans source (which must outlive the view) and reads its header block.  Statuses of
 * mime_scan_run. */
FB_MUST_USE enum fb_status mime_view_open(const struct render_source *source, bool is_spooled,
                                          struct mime_view *view_r, struct fb_error *err);
void mime_view_close(struct mime_view *v);
/* Parses the structure.  The object is the caller's (g_object_unref) and lends from the view. */
FB_MUST_USE enum fb_status mime_view_parse(const struct mime_view *v, GMimeObject **object_r,
                                           struct fb_error *err);
/* The range of the source that a leaf's content stream stands for. */
void mime_view_range(const struct mime_view *v, const GMimeStream *stream, uint64_t *offset_r,
                     uint64_t *length_r);

/* A source over memory, which must outlive it. */
struct render_source mime_source_memory(struct fb_slice *bytes);

#endif
