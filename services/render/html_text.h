/* SPDX-License-Identifier: Apache-2.0
 *
 * HTML read as text: what policy conditions, the language guess and the plain version of a body
 * need.  A linear scanner and no parser: it must survive 10 MB of anything in milliseconds, and
 * nothing is painted from it.
 */
#ifndef FB_RENDER_HTML_TEXT_H
#define FB_RENDER_HTML_TEXT_H

#include <stdbool.h>

#include "common/buf.h"

/* Adds the visible text of UTF-8 HTML to out: blocks on lines of their own, blanks collapsed,
 * entities decoded. Stops quietly at out's maximum.  FB_NO_SPACE. */
FB_MUST_USE enum fb_status html_text_add(struct fb_slice html, struct fb_buf *out);
/* Is there anything to see: text or an image? */
bool html_text_has_content(struct fb_slice html);
/* The charset that the first 4096 bytes of an HTML document name (WHATWG prescan, roughly); "" when
 * none. */
void html_text_charset(struct fb_slice bytes, char *charset, size_t size);
/* Plain text as HTML: escaped, lines kept. */
FB_MUST_USE enum fb_status html_text_from_plain(struct fb_slice text, struct fb_buf *out);

/* The kept body (proto/plan.h): FB_PLAN_MARK directly behind <body> (or in front of the content),
 * charset declarations replaced by UTF-8. */
FB_MUST_USE enum fb_status html_keep(struct fb_slice html, struct fb_buf *out);

#endif
