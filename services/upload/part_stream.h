/* SPDX-License-Identifier: Apache-2.0
 *
 * A part of the message as an upload_stream: decoded bytes by range from the spool, or a derived
 * object.  Memory
 * does not depend on the part's size. */
#ifndef FB_UPLOAD_PART_STREAM_H
#define FB_UPLOAD_PART_STREAM_H

#include "common/spool/spool.h"
#include "services/upload/storage.h"

struct part_stream;

/* Lends msg and part until free. FB_NOT_FOUND or FB_CORRUPT: the derived object must be rendered
 * again. */
FB_MUST_USE enum fb_status part_stream_new(struct fb_spool_msg *msg, const struct fb_part *part,
                                           struct part_stream **stream_r, struct fb_error *err);
void part_stream_free(struct part_stream **stream);
struct upload_stream *part_stream_get(struct part_stream *stream);

#endif
