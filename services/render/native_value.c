/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "services/render/native_internal.h"

#define MAX_LENGTH 30000 /* px: what the preparation lets through, in inches, is longer */

float nd_number(struct fb_slice v, size_t *used)
{
    char digits[24];
    size_t n = 0;
    while (n < v.len && n + 1 < sizeof digits &&
           (isdigit(v.ptr[n]) || v.ptr[n] == '.' || (n == 0 && strchr("+-", v.ptr[n]) != NULL))) {
        digits[n] = (char)v.ptr[n];
        n++;
    }
    digits[n] = '\0';
    bool is_number = n > 0 && (isdigit((uint8_t)digits[n - 1]) || digits[n - 1] == '.') &&
                     strpbrk(digits, "0123456789") != NULL;
    *used = is_number ? n : 0;
    return is_number ? strtof(digits, NULL) : 0;
}

static float unit_px(struct fb_slice unit, const struct nd_units *u)
{
    const struct {
        const char *name;
        float px;
    } units[] = {{"px", 1},           {"pt", 96.0F / 72},         {"em", u->font_px},
                 {"rem", u->root_px}, {"ex", u->font_px * 0.52F}, {"ch", u->font_px * 0.556F},
                 {"in", 96},          {"cm", 96 / 2.54F},         {"mm", 96 / 25.4F},
                 {"pc", 16},          {"vw", u->page_px / 100}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (fb_slice_ieq_str(unit, units[i].name)) {
            return units[i].px;
        }
    }
    return 0;
}

bool nd_parse_length(struct fb_slice v, const struct nd_units *u, struct nd_length *out)
{
    size_t used = 0;
    if (fb_slice_ieq_str(v, "auto")) {
        *out = (struct nd_length){0, ND_AUTO};
        return true;
    }
    float number = nd_number(v, &used);
    struct fb_slice unit = fb_slice_sub(v, used, SIZE_MAX);
    if (used == 0) {
        return false;
    }
    if (fb_slice_eq_str(unit, "%")) {
        *out = (struct nd_length){number, ND_PERCENT};
        return true;
    }
    float px = unit.len == 0 && number == 0 ? 1 : unit_px(unit, u);
    if (px == 0) {
        return false;
    }
    number *= px;
    number = number > MAX_LENGTH ? MAX_LENGTH : number < -MAX_LENGTH ? -MAX_LENGTH : number;
    *out = (struct nd_length){number, ND_PX};
    return true;
}

static int hex(uint8_t c)
{
    return isdigit(c) ? c - '0' : isxdigit(c) ? tolower(c) - 'a' + 10 : -1;
}

static bool parse_hex(struct fb_slice v, uint32_t *rgba)
{
    uint32_t digits[8];
    if (v.len != 3 && v.len != 4 && v.len != 6 && v.len != 8) {
        return false;
    }
    for (size_t i = 0; i < v.len; i++) {
        int d = hex(v.ptr[i]);
        if (d < 0) {
            return false;
        }
        digits[i] = (uint32_t)d;
    }
    uint32_t c = 0;
    if (v.len <= 4) {
        for (size_t i = 0; i < 4; i++) {
            c = c << 8 | (i < v.len ? digits[i] * 17 : 255);
        }
    } else {
        for (size_t i = 0; i < 8; i += 2) {
            c = c << 8 | (i < v.len ? digits[i] << 4 | digits[i + 1] : 255);
        }
    }
    *rgba = c;
    return true;
}

/* rgb(1, 2, 3), rgba(1 2 3 / 50%) */
static bool parse_rgb(struct fb_slice v, uint32_t *rgba)
{
    uint32_t c = 0;
    int count = 0;
    size_t at = 0;
    while (at < v.len && v.ptr[at] != '(') {
        at++;
    }
    for (at++; at < v.len && count < 4; count++) {
        size_t used = 0;
        while (at < v.len && strchr(" ,/", v.ptr[at]) != NULL) {
            at++;
        }
        float number = nd_number(fb_slice_sub(v, at, SIZE_MAX), &used);
        if (used == 0) {
            break;
        }
        at += used;
        if (at < v.len && v.ptr[at] == '%') {
            number *= count < 3 ? 2.55F : 0.01F;
            at++;
        }
        number = (count < 3 ? number : number * 255) + 0.5F;
        c = c << 8 | (uint32_t)(number < 0 ? 0 : number > 255 ? 255 : number);
    }
    *rgba = count == 3 ? c << 8 | 255 : c;
    return count >= 3;
}

bool nd_parse_colour(struct fb_slice v, uint32_t *rgba)
{
    char name[32];
    PangoColor named;
    if (v.len > 1 && v.ptr[0] == '#') {
        return parse_hex(fb_slice_sub(v, 1, SIZE_MAX), rgba);
    }
    if (fb_slice_istarts(v, "rgb(") || fb_slice_istarts(v, "rgba(")) {
        return parse_rgb(v, rgba);
    }
    if (fb_slice_ieq_str(v, "transparent")) {
        *rgba = 0;
        return true;
    }
    if (fb_slice_ieq_str(v, "windowtext") || fb_slice_ieq_str(v, "canvastext")) {
        *rgba = 0xFF;
        return true;
    }
    if (fb_slice_ieq_str(v, "window") || fb_slice_ieq_str(v, "canvas")) {
        *rgba = 0xFFFFFFFF;
        return true;
    }
    if (v.len == 0 || v.len >= sizeof name || !isalpha(v.ptr[0])) {
        return false;
    }
    for (size_t i = 0; i < v.len; i++) {
        if (!isalpha(v.ptr[i])) { /* X11 has "gray51", CSS has not */
            return false;
        }
        name[i] = (char)tolower(v.ptr[i]);
    }
    name[v.len] = '\0';
    if (!pango_color_parse(&named, name)) {
        return false;
    }
    *rgba = (uint32_t)(named.red >> 8) << 24 | (uint32_t)(named.green >> 8) << 16 |
            (uint32_t)(named.blue >> 8) << 8 | 255;
    return true;
}

bool nd_parse_legacy_colour(struct fb_slice v, uint32_t *rgba)
{
    return nd_parse_colour(v, rgba) || (v.len == 6 && parse_hex(v, rgba));
}

struct fb_slice nd_word(struct fb_slice *rest)
{
    *rest = fb_slice_trim(*rest);
    size_t end = 0;
    int level = 0;
    uint8_t quote = 0;
    for (; end < rest->len; end++) {
        uint8_t c = rest->ptr[end];
        if (quote != 0) {
            quote = c == quote ? 0 : quote;
        } else if (c == '"' || c == '\'') {
            quote = c;
        } else if (c == '(') {
            level++;
        } else if (c == ')') {
            level--;
        } else if (level <= 0 && (c == ' ' || c == '\t' || c == '\n')) {
            break;
        }
    }
    struct fb_slice word = fb_slice_sub(*rest, 0, end);
    *rest = fb_slice_trim(fb_slice_sub(*rest, end, SIZE_MAX));
    return word;
}
