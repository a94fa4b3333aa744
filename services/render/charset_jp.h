/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of charset.c: the Japanese forms that glibc cannot read as mailers write them.
 */
#ifndef FB_RENDER_CHARSET_JP_H
#define FB_RENDER_CHARSET_JP_H

#include <stdbool.h>

#include "common/buf.h"

/* ISO-2022-JP with JIS X 0212, half-width kana (ESC ( I, SO/SI, raw 8-bit) and NEC's and IBM's rows
 * (CP50221). */
FB_MUST_USE enum fb_status render_charset_from_jis(struct fb_slice s, struct fb_buf *out);
/* EUC-JP with the same rows (CP51932) and JIS X 0212. */
FB_MUST_USE enum fb_status render_charset_from_euc(struct fb_slice s, struct fb_buf *out);
/* True for 7-bit text with an escape to a Japanese set. */
bool render_charset_has_jis_escape(struct fb_slice s);
/* One of glibc's converters by its name there (charset.c). */
FB_MUST_USE enum fb_status render_charset_iconv(struct fb_slice s, const char *name,
                                                struct fb_buf *out);

#endif
