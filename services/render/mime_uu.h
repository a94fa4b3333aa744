/* SPDX-License-Identifier: Apache-2.0
 *
 * Files that old mailers write into the text itself: "begin 644 name" ... "end".
 */
#ifndef FB_RENDER_MIME_UU_H
#define FB_RENDER_MIME_UU_H

#include <stdbool.h>

#include "common/buf.h"

struct mime_uu_block {
    size_t start, end;    /* of the whole block in the text, with its lines */
    struct fb_slice name; /* as written; lent from the text */
    struct fb_buf bytes;  /* decoded; the caller frees */
};

/* Finds the next complete block at or behind `from`; false when there is none.  A block whose lines
 * are not uuencoded is text.  FB_NO_SPACE in *status. */
bool mime_uu_next(struct fb_slice text, size_t from, struct mime_uu_block *block_r,
                  enum fb_status *status);

#endif
