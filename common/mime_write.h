/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing MIME (RFC 2045, 2047, 2231): encodings and fields for the mails that we compose.  All
 * lines end with CRLF and stay below 78 characters. */
#ifndef FB_COMMON_MIME_WRITE_H
#define FB_COMMON_MIME_WRITE_H

#include "common/buf.h"

/* UTF-8 text (LF or CRLF lines) as a leaf: Content-Type, Content-Transfer-Encoding, empty line,
 * body.  subtype "plain" or "html". */
FB_MUST_USE enum fb_status fb_mime_write_text(struct fb_buf *out, const char *subtype,
                                              struct fb_slice text);
FB_MUST_USE enum fb_status fb_mime_write_qp(struct fb_buf *out, struct fb_slice text);
FB_MUST_USE enum fb_status fb_mime_write_base64(struct fb_buf *out, struct fb_slice bytes);
/* A field with an unstructured UTF-8 value, folded and encoded where needed. name without the
 * colon. */
FB_MUST_USE enum fb_status fb_mime_write_field(struct fb_buf *out, const char *name,
                                               const char *value);
/* A field whose value is ready as it stands (ASCII, perhaps encoded-words): folded between words.
 */
FB_MUST_USE enum fb_status fb_mime_write_folded(struct fb_buf *out, const char *name,
                                                const char *value);
/* `From: "display name" <address>`; display may be NULL or "". */
FB_MUST_USE enum fb_status fb_mime_write_mailbox(struct fb_buf *out, const char *name,
                                                 const char *display, const char *address);
/* `; name="..."` or, beyond ASCII, RFC 2231 `; name*=UTF-8''...` with a fold before it. */
FB_MUST_USE enum fb_status fb_mime_write_parameter(struct fb_buf *out, const char *name,
                                                   const char *value);
/* A boundary that cannot be in the content: 128 random bits. */
void fb_mime_boundary(char boundary[48]);
/* "Wed, 25 Nov 2026 10:15:00 +0000" */
void fb_mime_date(int64_t ms, char out[48]);

#endif
