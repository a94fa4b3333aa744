/* SPDX-License-Identifier: Apache-2.0
 *
 * Parts of the mails that we write: multiparts, and alternative(text, html), where html is
 * related(html, logo) when the policy has a logo. */
#ifndef FB_REWRITE_PARTS_H
#define FB_REWRITE_PARTS_H

#include "services/rewrite/content.h"
#include "services/rewrite/words.h"

FB_MUST_USE enum fb_status parts_boundary(struct content *out, const char *boundary, bool is_last);
/* The Content-Type of a multipart and the empty line; extra: further parameters, "; a=b". */
FB_MUST_USE enum fb_status parts_open(struct content *out, const char *subtype, const char *extra,
                                      char boundary[48]);

/* Adds the text in this form; has_logo: the mail carries the logo. */
typedef enum fb_status parts_write_fn(const void *ctx, enum notice_form form, bool has_logo,
                                      struct fb_buf *out);
/* logo: of the policy, may be NULL; one that cannot be read is logged and left out. */
FB_MUST_USE enum fb_status parts_alternative(struct content *out, const char *logo,
                                             parts_write_fn *write, const void *ctx);

#endif
