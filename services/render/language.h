/* SPDX-License-Identifier: Apache-2.0
 *
 * The language that the notice speaks, by the mail's own text: no dictionary, just scripts.
 */
#ifndef FB_RENDER_LANGUAGE_H
#define FB_RENDER_LANGUAGE_H

#include <stdbool.h>

#include "common/buf.h"

/* "ja" when kana make it Japanese, "en" for text in ASCII letters of some length, "both" when it
 * cannot be told (little text, kanji without kana, another language).  static strings. */
const char *render_language(struct fb_slice subject, struct fb_slice body);
/* Should the labels of the letter be Japanese?  Where the text does not tell, a Japanese charset
 * does. */
bool render_language_is_japanese(const char *language, struct fb_slice subject,
                                 struct fb_slice body, bool has_japanese_charset);

#endif
