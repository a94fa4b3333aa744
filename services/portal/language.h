/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FB_PORTAL_LANGUAGE_H
#define FB_PORTAL_LANGUAGE_H

#include <stdbool.h>

/* Whether the reader gets Japanese: chosen ("ja", "en"; NULL or anything else = no choice) first, then what
 * Accept-Language (RFC 9110 12.5.4; may be NULL) likes better, then the fallback. */
bool language_is_ja(const char *chosen, const char *accept, bool fallback_is_ja);

#endif
