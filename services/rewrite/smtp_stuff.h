/* SPDX-License-Identifier: Apache-2.0
 *
 * Content as it goes over the wire: dots doubled at line starts (RFC 5321 4.5.2), a last CRLF, the
 * final dot; nothing but CRLF ends a line. */
#ifndef FB_REWRITE_SMTP_STUFF_H
#define FB_REWRITE_SMTP_STUFF_H

#include "common/buf.h"

struct smtp_stuff {
    bool is_line_start, has_cr;
};

void smtp_stuff_init(struct smtp_stuff *s);
/* FB_INVALID: a bare CR or LF or a NUL; what was added to out must not be sent. */
FB_MUST_USE enum fb_status smtp_stuff_add(struct smtp_stuff *s, struct fb_slice in,
                                          struct fb_buf *out);
FB_MUST_USE enum fb_status smtp_stuff_end(struct smtp_stuff *s, struct fb_buf *out);

#endif
