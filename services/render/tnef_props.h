/* SPDX-License-Identifier: Apache-2.0
 *
 * MAPI property lists inside of winmail.dat (MS-OXTNEF 2.1.3.4): the few properties that we use.
 */
#ifndef FB_RENDER_TNEF_PROPS_H
#define FB_RENDER_TNEF_PROPS_H

#include <stdbool.h>

#include "common/buf.h"

struct tnef_prop {
    bool is_present, is_unicode;
    struct fb_slice bytes; /* lent from the list */
};

struct tnef_props {
    unsigned codepage; /* in: of the file; out: of the message where it says so */
    uint32_t attach_method;
    struct tnef_prop long_name, display_name, mime_type, content_id, attach_data, rtf, html, text;
};

/* Reads a list.  FB_INVALID when it breaks its format. */
FB_MUST_USE enum fb_status tnef_props_read(struct fb_slice data, struct tnef_props *props,
                                           struct fb_error *err);
/* A string property as UTF-8 without the NULs at its end. */
FB_MUST_USE enum fb_status tnef_prop_to_utf8(const struct tnef_prop *p, const char *charset,
                                             struct fb_buf *out);

#endif
