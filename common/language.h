/* SPDX-License-Identifier: Apache-2.0
 *
 * The reader's language: which it is, and words of ours in it. */
#ifndef FB_COMMON_LANGUAGE_H
#define FB_COMMON_LANGUAGE_H

#include <stdbool.h>
#include <stddef.h>

/* Whether the reader gets Japanese: chosen ("ja", "en"; NULL or anything else = no choice) first, then what
 * Accept-Language (RFC 9110 12.5.4; may be NULL) likes better, then the fallback. */
bool fb_language_is_ja(const char *chosen, const char *accept, bool fallback_is_ja);

/* What a program says where it says it, in English, and the same in Japanese: formats with the same conversions in the
 * same order, or plain words. */
struct fb_language_row {
    const char *en, *ja;
};

/* The Japanese of `en`; what has no row is itself. */
const char *fb_language_ja(const struct fb_language_row *rows, size_t count, const char *en)
    __attribute__((format_arg(3)));

#endif
