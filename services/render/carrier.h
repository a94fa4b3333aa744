/* SPDX-License-Identifier: Apache-2.0
 *
 * Emoji from before Unicode had them: Japanese phone companies put them into private characters of
 * Unicode and into unused rows of Shift_JIS and ISO-2022-JP.  They become Unicode's.
 *
 *   docomo    Shift_JIS F89F to F9FC, U+E63E to U+E757 (the same when CP932 reads it)
 *   au        Shift_JIS F340 to F48D, F640 to F7FC; JIS rows 85 to 88 (for F640 to F7FC);
 *             U+EA80 to U+EB88, U+E468 to U+E5DF.  JIS rows 89 to 92 are kanji of NEC and IBM to all
 *             others, names of people among them: they stay kanji.
 *   SoftBank  U+E001 to U+E537, Shift_JIS F741 to F7FA and F941 to F9ED: only where the sender's
 *             address is of that company.  The former is where Windows has characters that people
 *             drew themselves, the latter are others' codes.  Shift_JIS from FB41 on stays kanji.
 *
 * What has no row in the table stays private: a missing character, which is told (glyphs.h).
 */
#ifndef FB_RENDER_CARRIER_H
#define FB_RENDER_CARRIER_H

#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

/* Looks at the From field of the mail that is read next: what it says stays until the next call.
 * One thread, as the charsets (charset.h). */
void render_carrier_look(struct fb_slice from);
/* Replaces them in out from octet `from` on, which is UTF-8.  is_unicode: it came as such; false: CP932
 * read it.  FB_TOO_BIG at out's maximum, FB_NO_SPACE without memory; out is then unchanged. */
FB_MUST_USE enum fb_status render_carrier_replace(struct fb_buf *out, size_t from, bool is_unicode);

/* ---- carrier_table.c ---- */

#define RENDER_CARRIER_FIELDS 5
extern const uint32_t render_carrier_rows[];
extern const size_t render_carrier_row_count;

#endif
