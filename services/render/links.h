/* SPDX-License-Identifier: Apache-2.0
 *
 * Finds what a reader would click in plain text: http, https and mailto URLs, www. names and mail
 * addresses. */
#ifndef FB_RENDER_LINKS_H
#define FB_RENDER_LINKS_H

#include "common/buf.h"

struct render_link {
    size_t start, end;  /* bytes of the text */
    const char *prefix; /* what the text lacks to be a URL: "", "https://" or "mailto:" */
};

/* The next link at or after `from`; false when there is none. Only ASCII, no quotes or control
 * characters inside. */
bool render_link_next(struct fb_slice text, size_t from, struct render_link *link_r);

#endif
