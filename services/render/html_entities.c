/* SPDX-License-Identifier: Apache-2.0 */
#include "services/render/html_entities.h"

#include <string.h>

#include "services/render/charset.h"

static const struct {
    const char *name;
    uint32_t cp;
} entities[] = {
    {"amp", '&'},       {"lt", '<'},        {"gt", '>'},        {"quot", '"'},
    {"apos", '\''},     {"nbsp", 0xA0},     {"iexcl", 0xA1},    {"cent", 0xA2},
    {"pound", 0xA3},    {"yen", 0xA5},      {"sect", 0xA7},     {"uml", 0xA8},
    {"copy", 0xA9},     {"laquo", 0xAB},    {"reg", 0xAE},      {"deg", 0xB0},
    {"plusmn", 0xB1},   {"acute", 0xB4},    {"micro", 0xB5},    {"para", 0xB6},
    {"middot", 0xB7},   {"raquo", 0xBB},    {"frac12", 0xBD},   {"iquest", 0xBF},
    {"Agrave", 0xC0},   {"Aacute", 0xC1},   {"Acirc", 0xC2},    {"Atilde", 0xC3},
    {"Auml", 0xC4},     {"Aring", 0xC5},    {"AElig", 0xC6},    {"Ccedil", 0xC7},
    {"Egrave", 0xC8},   {"Eacute", 0xC9},   {"Ecirc", 0xCA},    {"Euml", 0xCB},
    {"Iacute", 0xCD},   {"Ntilde", 0xD1},   {"Oacute", 0xD3},   {"Ocirc", 0xD4},
    {"Otilde", 0xD5},   {"Ouml", 0xD6},     {"times", 0xD7},    {"Oslash", 0xD8},
    {"Uacute", 0xDA},   {"Uuml", 0xDC},     {"szlig", 0xDF},    {"agrave", 0xE0},
    {"aacute", 0xE1},   {"acirc", 0xE2},    {"atilde", 0xE3},   {"auml", 0xE4},
    {"aring", 0xE5},    {"aelig", 0xE6},    {"ccedil", 0xE7},   {"egrave", 0xE8},
    {"eacute", 0xE9},   {"ecirc", 0xEA},    {"euml", 0xEB},     {"igrave", 0xEC},
    {"iacute", 0xED},   {"icirc", 0xEE},    {"iuml", 0xEF},     {"ntilde", 0xF1},
    {"ograve", 0xF2},   {"oacute", 0xF3},   {"ocirc", 0xF4},    {"otilde", 0xF5},
    {"ouml", 0xF6},     {"divide", 0xF7},   {"oslash", 0xF8},   {"ugrave", 0xF9},
    {"uacute", 0xFA},   {"ucirc", 0xFB},    {"uuml", 0xFC},     {"ndash", 0x2013},
    {"mdash", 0x2014},  {"lsquo", 0x2018},  {"rsquo", 0x2019},  {"sbquo", 0x201A},
    {"ldquo", 0x201C},  {"rdquo", 0x201D},  {"bdquo", 0x201E},  {"bull", 0x2022},
    {"hellip", 0x2026}, {"lsaquo", 0x2039}, {"rsaquo", 0x203A}, {"euro", 0x20AC},
    {"trade", 0x2122},  {"larr", 0x2190},   {"uarr", 0x2191},   {"rarr", 0x2192},
    {"darr", 0x2193},   {"ensp", 0x20},     {"emsp", 0x20},     {"thinsp", 0x20},
    {"zwnj", 0x200C},   {"zwj", 0x200D},    {"shy", 0xAD},
};

static size_t read_number(struct fb_slice s, uint32_t *cp_r)
{
    bool is_hex = s.len > 2 && (s.ptr[2] | 0x20) == 'x';
    size_t i = is_hex ? 3 : 2;
    uint32_t cp = 0;
    size_t from = i;
    for (; i < s.len && i - from < 8; i++) {
        uint8_t c = s.ptr[i];
        uint8_t low = c | 0x20;
        if (c >= '0' && c <= '9') {
            cp = cp * (is_hex ? 16 : 10) + (c - '0');
        } else if (is_hex && low >= 'a' && low <= 'f') {
            cp = cp * 16 + (low - 'a' + 10U);
        } else {
            break;
        }
    }
    if (i == from) {
        return 0;
    }
    *cp_r = cp == 0 ? 0xFFFD : cp;
    return i < s.len && s.ptr[i] == ';' ? i + 1 : i;
}

size_t html_entity_read(struct fb_slice s, uint8_t out[8], size_t *len_r)
{
    uint32_t cp = 0;
    if (s.len > 2 && s.ptr[1] == '#') {
        size_t used = read_number(s, &cp);
        *len_r = used > 0 ? render_utf8_put(cp, out) : 0;
        return used;
    }
    for (size_t i = 0; i < sizeof entities / sizeof entities[0]; i++) {
        size_t n = strlen(entities[i].name);
        if (s.len > n + 1 && s.ptr[n + 1] == ';' && memcmp(s.ptr + 1, entities[i].name, n) == 0) {
            *len_r = render_utf8_put(entities[i].cp, out);
            return n + 2;
        }
    }
    return 0;
}
