/* SPDX-License-Identifier: Apache-2.0
 *
 * Character references of HTML, as far as mail uses them.
 */
#ifndef FB_RENDER_HTML_ENTITIES_H
#define FB_RENDER_HTML_ENTITIES_H

#include "common/buf.h"

/* Reads the reference at the start of s ("&amp;", "&#12354;", "&#x3042;"): its UTF-8 to out, the
 * bytes used as the result; 0 when it is none that we know. */
size_t html_entity_read(struct fb_slice s, uint8_t out[8], size_t *len_r);

#endif
