/* SPDX-License-Identifier: Apache-2.0
 *
 * Charsets of mail to UTF-8, as the large mail readers understand them rather than as they are
 * registered: ISO-2022-JP with NEC row 13 and half-width kana, Shift_JIS as CP932, EUC-JP with the
 * same extensions, GB2312 as GB18030, ISO-8859-1 as windows-1252.  The output is always valid UTF-8
 * without NUL; what cannot be read becomes U+FFFD.
 *
 * glibc loads its converters as files: call render_charset_init() before the sandbox closes.  One
 * thread.
 */
#ifndef FB_RENDER_CHARSET_H
#define FB_RENDER_CHARSET_H

#include <stdbool.h>

#include "common/buf.h"

/* Opens every converter.  Idempotent; a converter that the system lacks is treated as an unknown
 * charset. */
void render_charset_init(void);

/* Adds bytes, read as charset (NULL, "" or unknown: guessed), to out as UTF-8.  FB_TOO_BIG at out's
 * maximum with out unchanged, FB_NO_SPACE without memory. */
FB_MUST_USE enum fb_status render_charset_to_utf8(struct fb_slice bytes, const char *charset,
                                                  struct fb_buf *out);

/* The charset the bytes look like: valid UTF-8, ISO-2022-JP escapes, Shift_JIS or EUC-JP by the
 * frequency of their kana and common kanji, else windows-1252. */
const char *render_charset_guess(struct fb_slice bytes);

/* True when the name is one that we can read. */
bool render_charset_is_known(const char *charset);
/* True for ISO-2022-JP, Shift_JIS, EUC-JP and their relatives. */
bool render_charset_is_japanese(const char *charset);

bool render_utf8_is_valid(struct fb_slice bytes);
/* Length of the valid sequence at the start of s (0: none), its code point in *cp_r. */
size_t render_utf8_next(struct fb_slice s, uint32_t *cp_r);
/* Writes the 1 to 4 bytes of cp (U+FFFD for what is no scalar value) to out; returns the count. */
size_t render_utf8_put(uint32_t cp, uint8_t out[4]);

#endif
