/* SPDX-License-Identifier: Apache-2.0 */
#include "services/render/pdf_font.h"

#include <string.h>

#define MAX_TABLES 64
#define HEADER     12 /* of the file: version, number of tables, three numbers to search it by */
#define ENTRY      16 /* of a table: name, checksum, place, length */
#define GLYPH_HEAD 10 /* of a glyph: number of contours, its box */
#define MAX_GROWTH 64
#define MAGIC      0xB1B0AFBAU /* the sum of the whole file */

enum { /* of a component */
       WORDS = 0x0001,
       SCALE = 0x0008,
       MORE = 0x0020,
       TWO_SCALES = 0x0040,
       MATRIX = 0x0080,
       INSTRUCTIONS = 0x0100
};

struct table {
    uint8_t name[4];
    struct fb_slice bytes;
};

struct font {
    struct table tables[MAX_TABLES];
    size_t count;
    struct fb_slice head, outlines, places; /* "head", "glyf", "loca" */
    size_t glyphs;
    bool has_long_places;
};

static uint32_t half(struct fb_slice s, size_t at)
{
    return (uint32_t)s.ptr[at] << 8 | s.ptr[at + 1];
}

static uint32_t number(struct fb_slice s, size_t at)
{
    return half(s, at) << 16 | half(s, at + 2);
}

static void put_half(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static void put_number(uint8_t *p, uint32_t v)
{
    put_half(p, v >> 16);
    put_half(p + 2, v & 0xFFFF);
}

static bool is_table(const struct table *t, const char *name)
{
    return memcmp(t->name, name, 4) == 0;
}

static struct fb_slice find(const struct font *f, const char *name)
{
    for (size_t i = 0; i < f->count; i++) {
        if (is_table(&f->tables[i], name)) {
            return f->tables[i].bytes;
        }
    }
    return (struct fb_slice){0};
}

static bool read_font(struct fb_slice s, struct font *f)
{
    if (s.len < HEADER || number(s, 0) != 0x00010000) {
        return false;
    }
    f->count = half(s, 4);
    if (f->count > MAX_TABLES || s.len < HEADER + f->count * ENTRY) {
        return false;
    }
    for (size_t i = 0; i < f->count; i++) {
        size_t entry = HEADER + i * ENTRY;
        size_t at = number(s, entry + 8);
        size_t len = number(s, entry + 12);
        if (at > s.len || len > s.len - at) {
            return false;
        }
        memcpy(f->tables[i].name, s.ptr + entry, 4);
        f->tables[i].bytes = fb_slice_sub(s, at, len);
    }
    struct fb_slice most = find(f, "maxp");
    f->head = find(f, "head");
    f->outlines = find(f, "glyf");
    f->places = find(f, "loca");
    if (most.len < 6 || f->head.len < 54) {
        return false;
    }
    f->glyphs = half(most, 4);
    f->has_long_places = half(f->head, 50) != 0;
    return f->places.len >= (f->glyphs + 1) * (f->has_long_places ? 4 : 2);
}

/* ---- glyphs ---- */

/* The last one of its components says that instructions follow; there they end. */
static enum fb_status add_composite(struct fb_slice glyph, struct fb_buf *out, bool *is_sound_r)
{
    size_t at = GLYPH_HEAD;
    size_t begin = out->len;
    uint32_t flags = MORE;
    enum fb_status s = fb_buf_add_slice(out, glyph);
    while (s == FB_OK && (flags & MORE) != 0) {
        if (at + 4 > glyph.len) {
            *is_sound_r = false;
            return s;
        }
        flags = half(glyph, at);
        put_half(out->ptr + begin + at, flags & ~(uint32_t)INSTRUCTIONS);
        at += 4 + ((flags & WORDS) != 0 ? 4U : 2U);
        at += (flags & SCALE) != 0        ? 2U
              : (flags & TWO_SCALES) != 0 ? 4U
              : (flags & MATRIX) != 0     ? 8U
                                          : 0U;
    }
    if (at > glyph.len) {
        *is_sound_r = false;
    } else if (s == FB_OK) {
        out->len = begin + at;
    }
    return s;
}

static enum fb_status add_glyph(struct fb_slice glyph, struct fb_buf *out, bool *is_sound_r)
{
    static const uint8_t none[2] = {0};
    if (glyph.len < GLYPH_HEAD) {
        *is_sound_r = *is_sound_r && glyph.len == 0;
        return FB_OK;
    }
    if (half(glyph, 0) >= 0x8000) { /* less than no contours: made of other glyphs */
        return add_composite(glyph, out, is_sound_r);
    }
    size_t at = GLYPH_HEAD + 2 * (size_t)half(glyph, 0); /* behind the ends of the contours */
    if (at + 2 > glyph.len || at + 2 + half(glyph, at) > glyph.len) {
        *is_sound_r = false;
        return FB_OK;
    }
    enum fb_status s = fb_buf_add_slice(out, fb_slice_sub(glyph, 0, at));
    s = s == FB_OK ? fb_buf_add(out, none, sizeof none) : s;
    return s == FB_OK
               ? fb_buf_add_slice(out, fb_slice_sub(glyph, at + 2 + half(glyph, at), SIZE_MAX))
               : s;
}

static size_t place_of(const struct font *f, size_t glyph)
{
    return f->has_long_places ? number(f->places, glyph * 4)
                              : 2 * (size_t)half(f->places, glyph * 2);
}

static bool put_place(const struct font *f, size_t glyph, size_t at, struct fb_buf *places)
{
    if (f->has_long_places) {
        put_number(places->ptr + glyph * 4, (uint32_t)at);
        return at <= UINT32_MAX;
    }
    put_half(places->ptr + glyph * 2, (uint32_t)(at / 2));
    return at / 2 <= UINT16_MAX;
}

static enum fb_status align(struct fb_buf *b)
{
    static const uint8_t zeros[4] = {0};
    return fb_buf_add(b, zeros, (4 - b->len % 4) % 4);
}

/* places: as long as the font's. */
static bool lighten_glyphs(const struct font *f, struct fb_buf *outlines, struct fb_buf *places)
{
    bool is_sound = true;
    size_t at = place_of(f, 0);
    enum fb_status s = FB_OK;
    for (size_t i = 0; i < f->glyphs && is_sound && s == FB_OK; i++) {
        size_t next = place_of(f, i + 1);
        is_sound = at <= next && next <= f->outlines.len && put_place(f, i, outlines->len, places);
        if (is_sound) {
            s = add_glyph(fb_slice_sub(f->outlines, at, next - at), outlines, &is_sound);
            s = s == FB_OK ? align(outlines) : s;
        }
        at = next;
    }
    return is_sound && s == FB_OK && put_place(f, f->glyphs, outlines->len, places);
}

/* ---- the file ---- */

static uint32_t sum_of(struct fb_slice s)
{
    uint32_t sum = 0;
    size_t i = 0;
    for (; i + 4 <= s.len; i += 4) {
        sum += number(s, i);
    }
    uint8_t last[4] = {0};
    memcpy(last, s.ptr + i, s.len - i);
    return sum + number(fb_slice_of(last, sizeof last), 0);
}

static bool is_of_instructions(const struct table *t)
{
    return is_table(t, "fpgm") || is_table(t, "prep") || is_table(t, "cvt ");
}

static void put_header(uint8_t *p, size_t count)
{
    uint32_t power = 0;
    while ((size_t)2 << power <= count) {
        power++;
    }
    put_number(p, 0x00010000);
    put_half(p + 4, (uint32_t)count);
    put_half(p + 6, ENTRY << power);
    put_half(p + 8, power);
    put_half(p + 10, (uint32_t)(ENTRY * count) - (ENTRY << power));
}

/* What instructions need, and nobody now: storage, functions, stack... */
static void clear_needs(uint8_t *maxp, size_t len)
{
    if (len >= 32) {
        memset(maxp + 16, 0, 12);
    }
}

static enum fb_status write_font(const struct font *f, struct fb_buf *out)
{
    size_t count = 0;
    size_t entry = HEADER;
    size_t head = 0;
    for (size_t i = 0; i < f->count; i++) {
        count += is_of_instructions(&f->tables[i]) ? 0 : 1;
    }
    enum fb_status s = fb_buf_reserve(out, HEADER + count * ENTRY);
    if (s == FB_OK) {
        out->len = HEADER + count * ENTRY;
        put_header(out->ptr, count);
    }
    for (size_t i = 0; i < f->count && s == FB_OK; i++) {
        const struct table *t = &f->tables[i];
        size_t at = out->len;
        if (is_of_instructions(t)) {
            continue;
        }
        s = fb_buf_add_slice(out, t->bytes);
        if (s != FB_OK) {
            break;
        }
        if (is_table(t, "maxp")) {
            clear_needs(out->ptr + at, t->bytes.len);
        } else if (is_table(t, "head")) {
            head = at;
            put_number(out->ptr + at + 8, 0);
        }
        memcpy(out->ptr + entry, t->name, 4);
        put_number(out->ptr + entry + 4, sum_of(fb_slice_sub(fb_slice_buf(out), at, SIZE_MAX)));
        put_number(out->ptr + entry + 8, (uint32_t)at);
        put_number(out->ptr + entry + 12, (uint32_t)t->bytes.len);
        entry += ENTRY;
        s = align(out);
    }
    if (s == FB_OK) {
        put_number(out->ptr + head + 8, MAGIC - sum_of(fb_slice_buf(out)));
    }
    return s;
}

bool render_pdf_font_lighten(struct fb_slice font, struct fb_buf *out)
{
    struct font f = {0};
    struct fb_buf outlines;
    struct fb_buf places;
    fb_buf_clear(out);
    if (!read_font(font, &f)) {
        return false;
    }
    fb_buf_init(&outlines, font.len + (f.glyphs + 1) * 4 + MAX_GROWTH);
    fb_buf_init(&places, font.len + MAX_GROWTH);
    bool is_done = fb_buf_reserve(&outlines, f.outlines.len) == FB_OK &&
                   fb_buf_add_slice(&places, f.places) == FB_OK &&
                   lighten_glyphs(&f, &outlines, &places);
    for (size_t i = 0; i < f.count && is_done; i++) {
        struct table *t = &f.tables[i];
        t->bytes = is_table(t, "glyf")   ? fb_slice_buf(&outlines)
                   : is_table(t, "loca") ? fb_slice_buf(&places)
                                         : t->bytes;
    }
    is_done = is_done && write_font(&f, out) == FB_OK;
    fb_buf_deinit(&places);
    fb_buf_deinit(&outlines);
    return is_done;
}
