/* SPDX-License-Identifier: Apache-2.0
 *
 * Text in fonts of symbols.  Outlook writes its smiley as a J in Wingdings, and the bullets of its
 * lists as letters in Wingdings and Symbol; without those fonts the reader sees the letters.  Here they
 * become the characters of Unicode that look like them. */
#include <string.h>
#include <strings.h>

#include "services/render/html_prepare_steps.h"

struct symbol {
    uint8_t from; /* Latin-1 */
    uint16_t to;
    uint8_t high; /* added to `to`, times 0x10000 */
};

static const struct symbol wingdings[] = {
    {0x21, 0x270F, 0}, {0x22, 0x2702, 0}, {0x28, 0x260E, 0}, {0x29, 0x2706, 0}, {0x2A, 0x2709, 0},
    {0x36, 0x231B, 0}, {0x3E, 0x2707, 0}, {0x3F, 0x270D, 0}, {0x41, 0x270C, 0}, {0x42, 0xF44C, 1},
    {0x43, 0xF44D, 1}, {0x44, 0xF44E, 1}, {0x45, 0x261C, 0}, {0x46, 0x261E, 0}, {0x47, 0x261D, 0},
    {0x48, 0x261F, 0}, {0x4A, 0x263A, 0}, {0x4B, 0xF610, 1}, {0x4C, 0x2639, 0}, {0x4D, 0xF4A3, 1},
    {0x4E, 0x2620, 0}, {0x51, 0x2708, 0}, {0x52, 0x263C, 0}, {0x54, 0x2744, 0}, {0x59, 0x2721, 0},
    {0x5B, 0x262F, 0}, {0x6C, 0x25CF, 0}, {0x6D, 0x274D, 0}, {0x6E, 0x25A0, 0}, {0x6F, 0x25A1, 0},
    {0x70, 0x25A1, 0}, {0x71, 0x2751, 0}, {0x72, 0x2752, 0}, {0x73, 0x25C6, 0}, {0x74, 0x25C6, 0},
    {0x75, 0x25C6, 0}, {0x76, 0x2756, 0}, {0x77, 0x25C6, 0}, {0x78, 0x2327, 0}, {0x81, 0x2460, 0},
    {0x82, 0x2461, 0}, {0x83, 0x2462, 0}, {0x84, 0x2463, 0}, {0x85, 0x2464, 0}, {0x86, 0x2465, 0},
    {0x87, 0x2466, 0}, {0x88, 0x2467, 0}, {0x89, 0x2468, 0}, {0x8A, 0x2469, 0}, {0x9E, 0x00B7, 0},
    {0x9F, 0x2022, 0}, {0xA1, 0x25CB, 0}, {0xA2, 0x25CB, 0}, {0xA4, 0x25C9, 0}, {0xA5, 0x25CE, 0},
    {0xA7, 0x25AA, 0}, {0xA8, 0x25FB, 0}, {0xAA, 0x2726, 0}, {0xAB, 0x2605, 0}, {0xAC, 0x2736, 0},
    {0xAD, 0x2734, 0}, {0xAE, 0x2739, 0}, {0xB5, 0x272A, 0}, {0xB6, 0x2730, 0}, {0xD8, 0x27A2, 0},
    {0xDC, 0x27B2, 0}, {0xDF, 0x2190, 0}, {0xE0, 0x2192, 0}, {0xE1, 0x2191, 0}, {0xE2, 0x2193, 0},
    {0xE3, 0x2196, 0}, {0xE4, 0x2197, 0}, {0xE5, 0x2199, 0}, {0xE6, 0x2198, 0}, {0xE8, 0x2794, 0},
    {0xEF, 0x21E6, 0}, {0xF0, 0x21E8, 0}, {0xF1, 0x21E7, 0}, {0xF2, 0x21E9, 0}, {0xFB, 0x2717, 0},
    {0xFC, 0x2714, 0}, {0xFD, 0x2612, 0}, {0xFE, 0x2611, 0},
};

/* Adobe's encoding; letters are Greek. */
static const struct symbol symbol[] = {
    {0x22, 0x2200, 0}, {0x24, 0x2203, 0}, {0x27, 0x220B, 0}, {0x2A, 0x2217, 0}, {0x2D, 0x2212, 0},
    {0x40, 0x2245, 0}, {0x41, 0x0391, 0}, {0x42, 0x0392, 0}, {0x43, 0x03A7, 0}, {0x44, 0x0394, 0},
    {0x45, 0x0395, 0}, {0x46, 0x03A6, 0}, {0x47, 0x0393, 0}, {0x48, 0x0397, 0}, {0x49, 0x0399, 0},
    {0x4A, 0x03D1, 0}, {0x4B, 0x039A, 0}, {0x4C, 0x039B, 0}, {0x4D, 0x039C, 0}, {0x4E, 0x039D, 0},
    {0x4F, 0x039F, 0}, {0x50, 0x03A0, 0}, {0x51, 0x0398, 0}, {0x52, 0x03A1, 0}, {0x53, 0x03A3, 0},
    {0x54, 0x03A4, 0}, {0x55, 0x03A5, 0}, {0x56, 0x03C2, 0}, {0x57, 0x03A9, 0}, {0x58, 0x039E, 0},
    {0x59, 0x03A8, 0}, {0x5A, 0x0396, 0}, {0x61, 0x03B1, 0}, {0x62, 0x03B2, 0}, {0x63, 0x03C7, 0},
    {0x64, 0x03B4, 0}, {0x65, 0x03B5, 0}, {0x66, 0x03C6, 0}, {0x67, 0x03B3, 0}, {0x68, 0x03B7, 0},
    {0x69, 0x03B9, 0}, {0x6A, 0x03D5, 0}, {0x6B, 0x03BA, 0}, {0x6C, 0x03BB, 0}, {0x6D, 0x03BC, 0},
    {0x6E, 0x03BD, 0}, {0x6F, 0x03BF, 0}, {0x70, 0x03C0, 0}, {0x71, 0x03B8, 0}, {0x72, 0x03C1, 0},
    {0x73, 0x03C3, 0}, {0x74, 0x03C4, 0}, {0x75, 0x03C5, 0}, {0x76, 0x03D6, 0}, {0x77, 0x03C9, 0},
    {0x78, 0x03BE, 0}, {0x79, 0x03C8, 0}, {0x7A, 0x03B6, 0}, {0xA3, 0x2264, 0}, {0xA5, 0x221E, 0},
    {0xA7, 0x2663, 0}, {0xA8, 0x2666, 0}, {0xA9, 0x2665, 0}, {0xAA, 0x2660, 0}, {0xAB, 0x2194, 0},
    {0xAC, 0x2190, 0}, {0xAD, 0x2191, 0}, {0xAE, 0x2192, 0}, {0xAF, 0x2193, 0}, {0xB3, 0x2265, 0},
    {0xB4, 0x00D7, 0}, {0xB5, 0x221D, 0}, {0xB7, 0x2022, 0}, {0xB8, 0x00F7, 0}, {0xB9, 0x2260, 0},
    {0xBA, 0x2261, 0}, {0xBB, 0x2248, 0}, {0xBC, 0x2026, 0}, {0xC5, 0x2295, 0}, {0xC6, 0x2205, 0},
    {0xC7, 0x2229, 0}, {0xC8, 0x222A, 0}, {0xCE, 0x2208, 0}, {0xD0, 0x2220, 0}, {0xD2, 0x00AE, 0},
    {0xD3, 0x00A9, 0}, {0xD4, 0x2122, 0}, {0xD6, 0x221A, 0}, {0xD7, 0x22C5, 0}, {0xDB, 0x21D4, 0},
    {0xDC, 0x21D0, 0}, {0xDE, 0x21D2, 0}, {0xE5, 0x2211, 0}, {0xF2, 0x222B, 0},
};

/* Offset of a word in a style, without case; SIZE_MAX. */
static size_t find(struct fb_slice s, const char *word)
{
    size_t len = strlen(word);
    for (size_t i = 0; i + len <= s.len; i++) {
        if (strncasecmp((const char *)s.ptr + i, word, len) == 0) {
            return i;
        }
    }
    return SIZE_MAX;
}

static bool begins(struct fb_slice family, const char *name)
{
    size_t len = strlen(name);
    return family.len >= len && strncasecmp((const char *)family.ptr, name, len) == 0 &&
           (family.len == len || strchr("\"',; ", family.ptr[len]) != NULL);
}

static enum render_symbols of_family(struct fb_slice family)
{
    while (family.len > 0 && strchr("\"': ", family.ptr[0]) != NULL) {
        family = fb_slice_sub(family, 1, SIZE_MAX);
    }
    return begins(family, "Wingdings") && !begins(family, "Wingdings 2") &&
                   !begins(family, "Wingdings 3")
               ? RENDER_WINGDINGS
           : begins(family, "Symbol") ? RENDER_SYMBOL
                                      : RENDER_NO_SYMBOLS;
}

enum render_symbols render_html_symbols(const GumboNode *node, enum render_symbols parent)
{
    struct fb_slice style = render_html_attribute(node, "style");
    struct fb_slice face = render_html_attribute(node, "face");
    size_t at = find(style, "font-family:");
    if (at != SIZE_MAX) {
        return of_family(fb_slice_sub(style, at + 12, SIZE_MAX));
    }
    if (find(style, "font:") != SIZE_MAX) {
        return RENDER_NO_SYMBOLS; /* names another one: that of the blanks behind a bullet */
    }
    return face.len > 0 ? of_family(face) : parent;
}

/* The letter at the start of s, as a byte of Latin-1 or U+F000 and more; its length, 0 for others. */
static size_t letter_at(struct fb_slice s, uint8_t *c_r)
{
    const uint8_t *b = s.ptr;
    if (b[0] < 0x80) {
        *c_r = b[0];
        return 1;
    }
    if ((b[0] == 0xC2 || b[0] == 0xC3) && s.len > 1) {
        *c_r = (uint8_t)((b[0] & 3) << 6 | (b[1] & 0x3F));
        return 2;
    }
    if (b[0] == 0xEF && s.len > 2 && b[1] >= 0x80 && b[1] <= 0x83) {
        *c_r = (uint8_t)((b[1] & 3) << 6 | (b[2] & 0x3F));
        return 3;
    }
    return 0;
}

static const struct symbol *look_up(enum render_symbols font, uint8_t c)
{
    const struct symbol *table = font == RENDER_WINGDINGS ? wingdings : symbol;
    size_t count = font == RENDER_WINGDINGS ? sizeof wingdings / sizeof wingdings[0]
                                            : sizeof symbol / sizeof symbol[0];
    for (size_t i = 0; i < count; i++) {
        if (table[i].from == c) {
            return &table[i];
        }
    }
    return NULL;
}

static enum fb_status put(struct fb_buf *out, const struct symbol *to)
{
    uint8_t b[4];
    size_t n = 0;
    if (to->high > 0) {
        b[n++] = (uint8_t)(0xF0 | to->high >> 2);
        b[n++] = (uint8_t)(0x80 | (to->high & 3) << 4 | to->to >> 12);
    } else if (to->to >= 0x800) {
        b[n++] = (uint8_t)(0xE0 | to->to >> 12);
    } else {
        b[n++] = (uint8_t)(0xC0 | to->to >> 6);
    }
    if (to->high > 0 || to->to >= 0x800) {
        b[n++] = (uint8_t)(0x80 | (to->to >> 6 & 0x3F));
    }
    b[n++] = (uint8_t)(0x80 | (to->to & 0x3F));
    return fb_buf_add(out, b, n);
}

enum fb_status render_html_symbol_text(enum render_symbols font, struct fb_slice text,
                                       struct fb_buf *out)
{
    enum fb_status s = FB_OK;
    while (text.len > 0 && s == FB_OK) {
        uint8_t c = 0;
        size_t n = letter_at(text, &c);
        const struct symbol *to = n > 0 ? look_up(font, c) : NULL;
        n = n > 0 ? n : 1;
        s = to != NULL ? put(out, to) : fb_buf_add(out, text.ptr, n);
        text = fb_slice_sub(text, n, SIZE_MAX);
    }
    return s;
}
