/* SPDX-License-Identifier: Apache-2.0 */
#include "common/language.h"

#include <string.h>

#include "common/buf.h"

#define FULL 1000 /* q=1 in thousandths */

/* The weight behind a language range: ";q=0.8" is 800.  What is no weight counts as full. */
static int weight_of(struct fb_slice params)
{
    size_t at = fb_slice_find(params, FB_SLICE_LITERAL("q="));
    if (at == SIZE_MAX || at + 2 >= params.len) {
        return FULL;
    }
    const uint8_t *p = params.ptr + at + 2;
    const uint8_t *end = params.ptr + params.len;
    if (*p != '0') {
        return FULL;
    }
    int weight = 0;
    p++;
    if (p < end && *p == '.') {
        p++;
        for (int unit = 100; unit > 0 && p < end && *p >= '0' && *p <= '9'; unit /= 10, p++) {
            weight += unit * (*p - '0');
        }
    }
    return weight;
}

/* "ja" and "ja-JP" are Japanese; "jam" is not. */
static bool is_language(struct fb_slice range, const char *language)
{
    return fb_slice_istarts(range, language) && (range.len == 2 || range.ptr[2] == '-');
}

bool fb_language_is_ja(const char *chosen, const char *accept, bool fallback_is_ja)
{
    int ja = 0;
    int en = 0;
    bool ja_is_first = false;
    if (chosen != NULL && (strcmp(chosen, "ja") == 0 || strcmp(chosen, "en") == 0)) {
        return chosen[0] == 'j';
    }
    struct fb_slice rest = fb_slice_str(accept);
    while (rest.len > 0) {
        size_t comma = fb_slice_find(rest, FB_SLICE_LITERAL(","));
        struct fb_slice item = fb_slice_trim(fb_slice_sub(rest, 0, comma));
        size_t semicolon = fb_slice_find(item, FB_SLICE_LITERAL(";"));
        struct fb_slice range = fb_slice_trim(fb_slice_sub(item, 0, semicolon));
        int weight = semicolon == SIZE_MAX
                         ? FULL
                         : weight_of(fb_slice_sub(item, semicolon, item.len - semicolon));
        if (is_language(range, "ja") && weight > ja) {
            ja = weight;
            ja_is_first = en == 0;
        } else if (is_language(range, "en") && weight > en) {
            en = weight;
        }
        rest = comma == SIZE_MAX ? fb_slice_str(NULL) : fb_slice_sub(rest, comma + 1, rest.len);
    }
    return ja == 0 && en == 0 ? fallback_is_ja : ja > en || (ja == en && ja_is_first);
}

const char *fb_language_ja(const struct fb_language_row *rows, size_t count, const char *en)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rows[i].en, en) == 0) {
            return rows[i].ja;
        }
    }
    return en;
}
