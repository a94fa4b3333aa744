/* SPDX-License-Identifier: Apache-2.0 */
#include "services/render/carrier.h"

#include <string.h>

#include "services/render/charset.h"

enum company { DOCOMO, AU, SOFTBANK, COMPANY_COUNT };

#define FIRST_CODE 0xF300U /* of Shift_JIS */
#define CODES      0x0900U
#define CELLS      188U /* of a lead byte */

static uint16_t rows[COMPANY_COUNT][CODES]; /* number of the row, from 1 */
static bool is_built;
static bool is_softbank; /* the sender */

static void build(void)
{
    for (size_t i = 0; i < render_carrier_row_count && !is_built; i++) {
        const uint32_t *codes = render_carrier_rows + i * RENDER_CARRIER_FIELDS + 2;
        for (int c = 0; c < COMPANY_COUNT; c++) {
            if (codes[c] >= FIRST_CODE && codes[c] < FIRST_CODE + CODES) {
                rows[c][codes[c] - FIRST_CODE] = (uint16_t)(i + 1);
            }
        }
    }
    is_built = true;
}

void render_carrier_look(struct fb_slice from)
{
    static const char *const hosts[] = {"softbank.ne.jp", "vodafone.ne.jp", "disney.ne.jp",
                                        "jp-t.ne.jp", "ymobile.ne.jp"};
    is_softbank = false;
    for (size_t at = 0; at < from.len; at++) {
        for (size_t i = 0; i < sizeof hosts / sizeof hosts[0] && !is_softbank; i++) {
            bool is_start = at > 0 && (from.ptr[at - 1] == '@' || from.ptr[at - 1] == '.');
            is_softbank = is_start && fb_slice_istarts(fb_slice_sub(from, at, SIZE_MAX), hosts[i]);
        }
    }
}

/* The Shift_JIS code that CP932 reads as this private character: rows F0 to F9 of 188 cells. */
static uint32_t code_of(uint32_t cell)
{
    uint32_t trail = cell % CELLS;
    return (0xF0 + cell / CELLS) << 8 | (0x40 + trail + (trail >= 63 ? 1 : 0));
}

static uint32_t softbank_code(uint32_t c)
{
    static const uint16_t bases[] = {0xF941, 0xF741, 0xF7A1, 0xF9A1, 0xFB41, 0xFBA1};
    uint32_t page = (c >> 8) - 0xE0;
    uint32_t n = (c & 0xFF) - 1; /* from 0 */
    if (page >= sizeof bases / sizeof bases[0] || n >= 0x5A) {
        return 0;
    }
    uint32_t code = bases[page] + n;
    return (bases[page] & 0xFF) == 0x41 && n >= 0x7F - 0x41 ? code + 1 : code;
}

static const uint32_t *row_of(enum company company, uint32_t code)
{
    uint16_t row =
        code >= FIRST_CODE && code < FIRST_CODE + CODES ? rows[company][code - FIRST_CODE] : 0;
    return row > 0 ? render_carrier_rows + (row - 1U) * RENDER_CARRIER_FIELDS : NULL;
}

/* The row of a private character; NULL: none. */
static const uint32_t *find(uint32_t c, bool is_unicode)
{
    const uint32_t *row = NULL;
    if (is_softbank && is_unicode) {
        row = row_of(SOFTBANK, softbank_code(c));
    } else if (is_softbank && c >= 0xE000 && c <= 0xE757) {
        row = row_of(SOFTBANK, code_of(c - 0xE000));
    }
    if (row == NULL && is_unicode && c >= 0xEA80 && c <= 0xEB88) {
        return row_of(AU, code_of(c - 0xEA80 + 3 * CELLS)); /* from F340 */
    }
    if (row == NULL && c >= 0xE000 && c <= 0xE757) {
        uint32_t code = code_of(c - 0xE000);
        bool is_au = code < 0xF800 && (!is_unicode || code >= 0xF640);
        row = row_of(is_au ? AU : DOCOMO, code);
    }
    return row;
}

static enum fb_status put_row(const uint32_t *row, struct fb_buf *out)
{
    const uint32_t chars[] = {row[0], row[1] == 0x20E3 ? 0xFE0F : row[1],
                              row[1] == 0x20E3 ? 0x20E3 : 0};
    enum fb_status s = FB_OK;
    for (size_t i = 0; i < sizeof chars / sizeof chars[0] && chars[i] != 0 && s == FB_OK; i++) {
        uint8_t utf8[4];
        s = fb_buf_add(out, utf8, render_utf8_put(chars[i], utf8));
    }
    return s;
}

/* Text up to the first symbol, and that; *used_r octets are done with. */
static enum fb_status put_next(struct fb_slice text, bool is_unicode, struct fb_buf *out,
                               size_t *used_r)
{
    size_t at = 0;
    const uint32_t *row = NULL;
    while (at < text.len && row == NULL) {
        const uint8_t *lead = memchr(text.ptr + at, 0xEE, text.len - at); /* U+E000 to U+EFFF */
        uint32_t c = 0;
        at = lead != NULL ? (size_t)(lead - text.ptr) : text.len;
        if (lead != NULL && render_utf8_next(fb_slice_sub(text, at, 4), &c) == 3) {
            row = find(c, is_unicode);
        }
        at += row == NULL && lead != NULL ? 1 : 0;
    }
    *used_r = row != NULL ? at + 3 : text.len;
    enum fb_status s = fb_buf_add(out, text.ptr, at);
    return s == FB_OK && row != NULL ? put_row(row, out) : s;
}

enum fb_status render_carrier_replace(struct fb_buf *out, size_t from, bool is_unicode)
{
    if (out->len <= from || memchr(out->ptr + from, 0xEE, out->len - from) == NULL) {
        return FB_OK;
    }
    build();
    struct fb_buf text;
    struct fb_slice rest = fb_slice_sub(fb_slice_buf(out), from, SIZE_MAX);
    fb_buf_init(&text, out->max - from);
    enum fb_status s = FB_OK;
    while (rest.len > 0 && s == FB_OK) {
        size_t used = 0;
        s = put_next(rest, is_unicode, &text, &used);
        rest = fb_slice_sub(rest, used, SIZE_MAX);
    }
    if (s == FB_OK) {
        out->len = from;
        s = fb_buf_add_slice(out, fb_slice_buf(&text)); /* it fits: text's maximum says so */
    }
    fb_buf_deinit(&text);
    return s;
}
