/* SPDX-License-Identifier: Apache-2.0
 *
 * Outlook's RTF bodies: decompression (MS-OXRTFCP) and what the RTF holds: encapsulated HTML or
 * text (MS-OXRTFEX), else the plain text of the document.
 */
#ifndef FB_RENDER_RTF_H
#define FB_RENDER_RTF_H

#include <stdbool.h>

#include "common/buf.h"

/* FB_INVALID for what is no compressed RTF, FB_TOO_BIG at out's maximum. */
FB_MUST_USE enum fb_status rtf_decompress(struct fb_slice in, struct fb_buf *out);
/* Adds the body in UTF-8 to out. Never recurses; unknown words are skipped. */
FB_MUST_USE enum fb_status rtf_to_body(struct fb_slice rtf, struct fb_buf *out, bool *is_html_r);

#endif
