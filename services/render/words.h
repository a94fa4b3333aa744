/* SPDX-License-Identifier: Apache-2.0
 *
 * Header text to UTF-8: encoded-words (RFC 2047, with the language of RFC 2231), and the raw 8-bit
 * and ISO-2022-JP text that Japanese mailers put into headers against the rules.
 *
 * More tolerant than the RFC where readers are: encoded-words inside of quoted strings and without
 * blanks around them, characters split between two words, blanks inside of a word.
 */
#ifndef FB_RENDER_WORDS_H
#define FB_RENDER_WORDS_H

#include "common/buf.h"

/* Unfolds and decodes a raw header value and adds it to out: valid UTF-8 on one line, control
 * characters as blanks.  FB_TOO_BIG at out's maximum, FB_NO_SPACE without memory. */
FB_MUST_USE enum fb_status render_words_decode(struct fb_slice raw, struct fb_buf *out);
/* The same as a heap string (caller frees) of at most max bytes, cut at a character; NULL without
 * memory. */
char *render_words_dup(struct fb_slice raw, size_t max);
/* Encodes UTF-8 text for a header: ASCII text stays, else UTF-8 encoded-words (B), folded with CRLF
 * and blank. */
FB_MUST_USE enum fb_status render_words_encode(struct fb_slice text, struct fb_buf *out);
/* Adds raw without its line ends and NULs (RFC 5322 2.2.3). */
FB_MUST_USE enum fb_status render_words_unfold(struct fb_slice raw, struct fb_buf *out);
/* The longest prefix of valid UTF-8 text that fits in max bytes without cutting a character. */
size_t render_utf8_cut(struct fb_slice text, size_t max);

#endif
