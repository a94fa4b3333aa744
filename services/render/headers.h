/* SPDX-License-Identifier: Apache-2.0
 *
 * The raw header block: reading its fields (RFC 5322 2.2, 4.1), and making the header block of the
 * notice out of it.  Bytes stay what they were: nothing is decoded and encoded again but a Subject
 * whose tag is stripped.
 */
#ifndef FB_RENDER_HEADERS_H
#define FB_RENDER_HEADERS_H

#include <stdbool.h>

#include "common/buf.h"

struct render_field {
    struct fb_slice name;
    struct fb_slice value; /* behind the colon, folded as it came, without the last line end */
    struct fb_slice whole; /* from the name to the last line end, which may be missing at the end of
                              the block */
};

/* Takes the next well-formed field off *rest; false at the end of the block.  Lines without a colon
 * or with blanks in the name are skipped, and so are their continuations. */
bool render_field_next(struct fb_slice *rest, struct render_field *f_r);
/* The first field of that name. */
bool render_field_find(struct fb_slice head, const char *name, struct render_field *f_r);

/* The header block of the notice (proto/plan.h, head_object): the fields in their order without
 * MIME fields, signatures that would be broken, Bcc, Return-Path and our own; CRLF at each line, no
 * bare CR, LF or NUL; ends before the empty line.  FB_TOO_BIG, FB_NO_SPACE. */
FB_MUST_USE enum fb_status render_head_build(struct fb_slice head, struct fb_buf *out);

/* Writes to out the Subject field body `raw` without the first occurrence of tag (ASCII without
 * case) and the blanks behind it: ASCII stays ASCII, else UTF-8 encoded-words.  Without the tag in
 * it, raw is copied unchanged (trimmed). */
FB_MUST_USE enum fb_status render_head_strip_tag(struct fb_slice raw, const char *tag,
                                                 struct fb_buf *out);

#endif
