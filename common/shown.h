/* SPDX-License-Identifier: Apache-2.0
 *
 * Values from mail as people may see them, in notices, letters and pages. */
#ifndef FB_COMMON_SHOWN_H
#define FB_COMMON_SHOWN_H

#include <stdbool.h>

#include "common/buf.h"

/* Appends text (UTF-8) so that it cannot pass for words of ours: control characters, line
 * separators, and characters that are invisible or turn the order of others (U+061C, U+200B,
 * U+200E-200F, U+2028-202E, U+2060-206F, U+FEFF) become blanks; with is_html the five characters of
 * HTML become entities, so that it is fit for element content and quoted attributes.  FB_TOO_BIG or
 * FB_NO_SPACE of the buffer. */
FB_MUST_USE enum fb_status fb_shown_add(struct fb_buf *out, const char *text, bool is_html);

#endif
