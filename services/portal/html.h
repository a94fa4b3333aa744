/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes HTML.  Our own words go in as they are, everything that came from outside (subject, addresses, reasons)
 * through html_text alone.  The first failure is kept and nothing is added behind it, so that a page is checked once,
 * at its end. */
#ifndef FB_PORTAL_HTML_H
#define FB_PORTAL_HTML_H

#include "common/buf.h"

struct html {
    struct fb_buf *out;
    bool is_ja;
    enum fb_status status;
};

/* As it is: our own markup and words. */
void html_raw(struct html *h, const char *markup);
/* The same in the reader's language. */
void html_say(struct html *h, const char *ja, const char *en);
/* The same with values that need no escaping: numbers, ids, links that were checked. */
void html_printf(struct html *h, const char *fmt, ...) FB_PRINTF(2, 3);
/* Escaped and made harmless, as common/shown.h says. */
void html_text(struct html *h, const char *text);
/* The same for text of several lines: line ends (LF) stay. */
void html_lines(struct html *h, const char *text);
/* <time> with the time in words. */
void html_time(struct html *h, int64_t ms);

#endif
