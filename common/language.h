/* SPDX-License-Identifier: Apache-2.0
 *
 * The language that a browser likes. */
#ifndef FB_COMMON_LANGUAGE_H
#define FB_COMMON_LANGUAGE_H

#include <stdbool.h>

/* Whether the reader gets Japanese: chosen ("ja", "en"; NULL or anything else = no choice) first, then what
 * Accept-Language (RFC 9110 12.5.4; may be NULL) likes better, then the fallback. */
bool fb_language_is_ja(const char *chosen, const char *accept, bool fallback_is_ja);

#endif
