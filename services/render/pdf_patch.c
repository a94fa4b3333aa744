/* SPDX-License-Identifier: Apache-2.0 */
#include "services/render/pdf_patch.h"

#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "services/render/pdf_stream.h"

#define ENTRY       20 /* bytes of one in the table: "0000000015 00000 n \n" */
#define MAX_OBJECTS 4000000

struct object {     /* zeros: none */
    size_t at, end; /* in the old file: "N 0 obj\n" to "endobj\n" */
    size_t place;   /* in the new file; or, packed, index in the object stream */
    bool is_packed;
};

struct work {
    const struct render_pdf_patch *patch;
    struct fb_slice old;
    size_t table, count, root; /* first entry, entries, number of the catalog */
    size_t first;              /* byte of the first object */
    struct object *objects;
    size_t figures, packed_count;
    struct fb_buf index, packed; /* of the object stream: "number offset " and the objects */
    struct render_pdf_streams streams;
};

static bool take_number(struct fb_slice *s, size_t *number_r)
{
    size_t n = 0;
    size_t i = 0;
    for (; i < s->len && i < 12 && s->ptr[i] >= '0' && s->ptr[i] <= '9'; i++) {
        n = n * 10 + (size_t)(s->ptr[i] - '0');
    }
    *s = fb_slice_sub(*s, i, SIZE_MAX);
    *number_r = n;
    return i > 0;
}

static bool take(struct fb_slice *s, const char *word)
{
    size_t n = strlen(word);
    if (s->len < n || memcmp(s->ptr, word, n) != 0) {
        return false;
    }
    *s = fb_slice_sub(*s, n, SIZE_MAX);
    return true;
}

/* "startxref\nN\n%%EOF\n" at the end, "xref\n0 N\n" there, "/Root N 0 R" behind its entries. */
static bool read_table(struct work *w, size_t *xref_r)
{
    static const char key[] = "startxref\n";
    struct fb_slice end = fb_slice_sub(w->old, w->old.len > 48 ? w->old.len - 48 : 0, SIZE_MAX);
    size_t found = fb_slice_find(end, fb_slice_str(key));
    size_t xref = 0;
    end = fb_slice_sub(end, found == SIZE_MAX ? end.len : found + strlen(key), SIZE_MAX);
    if (!take_number(&end, &xref) || xref >= w->old.len) {
        return false;
    }
    *xref_r = xref;
    struct fb_slice s = fb_slice_sub(w->old, xref, SIZE_MAX);
    if (!take(&s, "xref\n0 ") || !take_number(&s, &w->count) || !take(&s, "\n") ||
        w->count > MAX_OBJECTS || w->count * ENTRY > s.len) {
        return false;
    }
    w->table = (size_t)(s.ptr - w->old.ptr);
    s = fb_slice_sub(s, w->count * ENTRY, SIZE_MAX);
    found = fb_slice_find(s, fb_slice_str("/Root "));
    s = fb_slice_sub(s, found == SIZE_MAX ? s.len : found + 6, SIZE_MAX);
    return take_number(&s, &w->root) && w->root < w->count;
}

static int compare(const void *a, const void *b)
{
    const struct object *x = *(struct object *const *)a;
    const struct object *y = *(struct object *const *)b;
    return x->at < y->at ? -1 : x->at > y->at ? 1 : 0;
}

/* Where object N stands; false where it is not. */
static bool find_object(const struct work *w, size_t number, size_t *at_r)
{
    struct fb_slice entry = fb_slice_sub(w->old, w->table + number * ENTRY, ENTRY);
    bool is_used = entry.len == ENTRY && entry.ptr[17] == 'n';
    size_t n = 0;
    if (!is_used || !take_number(&entry, at_r) || *at_r >= w->table) {
        return false;
    }
    struct fb_slice s = fb_slice_sub(w->old, *at_r, w->table - *at_r);
    return take_number(&s, &n) && n == number && take(&s, " 0 obj\n");
}

/* Each goes on up to the next one, the last one up to the table. */
static bool find_objects(struct work *w, size_t xref)
{
    struct object **order = fb_xcalloc(w->count + 1, sizeof *order);
    size_t count = 0;
    bool is_sound = true;
    for (size_t i = 1; i < w->count; i++) {
        if (find_object(w, i, &w->objects[i].at)) {
            order[count++] = &w->objects[i];
        } else {
            w->objects[i].at = 0;
        }
    }
    qsort(order, count, sizeof *order, compare);
    for (size_t i = 0; i < count && is_sound; i++) {
        struct object *o = order[i];
        o->end = i + 1 < count ? order[i + 1]->at : xref;
        struct fb_slice s = fb_slice_sub(w->old, o->at, o->end - o->at);
        is_sound = s.len > 14 && memcmp(s.ptr + s.len - 7, "endobj\n", 7) == 0;
        o->is_packed =
            is_sound && !(s.len > 24 && memcmp(s.ptr + s.len - 17, "endstream\n", 10) == 0);
    }
    w->first = count > 0 ? order[0]->at : 0;
    free(order);
    return is_sound && w->first > 8 && memcmp(w->old.ptr, "%PDF-1.4", 8) == 0;
}

/* Text as a PDF string (7.9.2.2): "(...)" or "<FEFF...>". */
static enum fb_status add_string(struct fb_buf *out, const char *utf8)
{
    glong count = 0;
    gunichar2 *units = g_utf8_to_utf16(utf8, -1, NULL, &count, NULL);
    enum fb_status s = fb_buf_add_str(out, "<FEFF");
    for (glong i = 0; i < count && units != NULL && s == FB_OK; i++) {
        s = fb_buf_printf(out, "%04X", units[i]);
    }
    g_free(units);
    return s == FB_OK ? fb_buf_add_str(out, ">") : s;
}

static enum fb_status add_alt(struct work *w)
{
    const char *alt = w->figures < w->patch->alt_count ? w->patch->alts[w->figures] : NULL;
    w->figures++;
    if (alt == NULL || alt[0] == '\0') {
        return FB_OK;
    }
    enum fb_status s = fb_buf_add_str(&w->packed, "   /Alt ");
    if (s == FB_OK) {
        s = add_string(&w->packed, alt);
    }
    return s == FB_OK ? fb_buf_add_str(&w->packed, "\n") : s;
}

/* The dictionary's beginning, known word by word, and what comes in behind it. */
static enum fb_status add_beginning(struct work *w, size_t number, struct fb_slice *rest)
{
    static const char figure[] = "<< /Type /StructElem\n   /S /Figure\n";
    static const char link[] = "<< /Type /Annot\n   /Subtype /Link\n";
    static const char catalog[] = "<< /Type /Catalog\n";
    if (take(rest, figure)) {
        enum fb_status s = fb_buf_add_str(&w->packed, figure);
        return s == FB_OK ? add_alt(w) : s;
    }
    if (take(rest, link)) {
        return fb_buf_printf(&w->packed, "%s   /F 4\n", link);
    }
    if (number == w->root && take(rest, catalog)) {
        return fb_buf_printf(&w->packed,
                             "%s   /Lang (%s)\n   /ViewerPreferences << /DisplayDocTitle true >>\n",
                             catalog, w->patch->language);
    }
    return FB_OK;
}

static enum fb_status pack(struct work *w, size_t number, struct object *o)
{
    struct fb_slice s = fb_slice_sub(w->old, o->at, o->end - o->at - 7);
    size_t n = 0;
    enum fb_status st = fb_buf_printf(&w->index, "%zu %zu ", number, w->packed.len);
    (void)(take_number(&s, &n) && take(&s, " 0 obj\n"));
    o->place = w->packed_count++;
    if (st == FB_OK) {
        st = add_beginning(w, number, &s);
    }
    return st == FB_OK ? fb_buf_add_slice(&w->packed, s) : st;
}

/* A stream has its length in it where it was compressed here; the object that held it comes later. */
static enum fb_status add_stream(struct work *w, size_t number, struct object *o,
                                 struct fb_buf *out)
{
    size_t length = 0;
    o->place = out->len;
    enum fb_status s = render_pdf_stream_add(
        &w->streams, fb_slice_sub(w->old, o->at, o->end - o->at), out, &length);
    if (length > number && length < w->count) {
        w->objects[length] = (struct object){0};
    }
    return s;
}

/* In the order of their numbers, which is that in which Cairo was asked for them. */
static enum fb_status write_objects(struct work *w, struct fb_buf *out)
{
    enum fb_status s = fb_buf_add_str(out, "%PDF-1.5");
    if (s == FB_OK) {
        s = fb_buf_add_slice(out, fb_slice_sub(w->old, 8, w->first - 8));
    }
    for (size_t i = 1; i < w->count && s == FB_OK; i++) {
        struct object *o = &w->objects[i];
        if (o->is_packed) {
            s = pack(w, i, o);
        } else if (o->end > 0) {
            s = add_stream(w, i, o, out);
        }
    }
    return s;
}

/* dict: what the stream's dictionary holds besides its length and filter. */
static enum fb_status write_stream(struct work *w, struct fb_buf *out, size_t number,
                                   const char *dict, struct fb_slice a, struct fb_slice b)
{
    struct fb_buf *text = &w->streams.raw;
    struct fb_slice packed = {0};
    fb_buf_clear(text);
    enum fb_status s = fb_buf_add_slice(text, a);
    s = s == FB_OK ? fb_buf_add_slice(text, b) : s;
    s = s == FB_OK ? render_flate_press(w->streams.press, fb_slice_buf(text), &packed) : s;
    if (s == FB_OK) {
        s = fb_buf_printf(out, "%zu 0 obj\n<< %s /Filter /FlateDecode /Length %zu >>\nstream\n",
                          number, dict, packed.len);
    }
    s = s == FB_OK ? fb_buf_add_slice(out, packed) : s;
    return s == FB_OK ? fb_buf_add_str(out, "\nendstream\nendobj\n") : s;
}

/* Type, place, index: one byte, four, four (7.5.8.3). */
static enum fb_status add_entry(struct fb_buf *b, uint8_t type, size_t x, size_t y)
{
    const uint8_t bytes[9] = {type,       (uint8_t)(x >> 24), (uint8_t)(x >> 16), (uint8_t)(x >> 8),
                              (uint8_t)x, (uint8_t)(y >> 24), (uint8_t)(y >> 16), (uint8_t)(y >> 8),
                              (uint8_t)y};
    return fb_buf_add(b, bytes, sizeof bytes);
}

static enum fb_status write_table(struct work *w, size_t pack_at, struct fb_buf *out)
{
    struct fb_buf entries;
    char dict[256];
    size_t at = out->len;
    size_t info = 0;
    struct fb_slice end = fb_slice_sub(w->old, w->table + w->count * ENTRY, SIZE_MAX);
    size_t found = fb_slice_find(end, fb_slice_str("/Info "));
    struct fb_slice number = fb_slice_sub(end, found == SIZE_MAX ? end.len : found + 6, SIZE_MAX);
    bool has_info = take_number(&number, &info);
    (void)snprintf(dict, sizeof dict, "/Type /XRef /Size %zu /W [1 4 4] /Root %zu 0 R",
                   w->count + 2, w->root);
    if (has_info) {
        size_t n = strlen(dict);
        (void)snprintf(dict + n, sizeof dict - n, " /Info %zu 0 R", info);
    }
    fb_buf_init(&entries, out->max);
    enum fb_status s = add_entry(&entries, 0, 0, 65535);
    for (size_t i = 1; i < w->count && s == FB_OK; i++) {
        const struct object *o = &w->objects[i];
        s = o->is_packed ? add_entry(&entries, 2, w->count, o->place)
            : o->end > 0 ? add_entry(&entries, 1, o->place, 0)
                         : add_entry(&entries, 0, 0, 65535);
    }
    if (s == FB_OK) {
        s = add_entry(&entries, 1, pack_at, 0);
    }
    if (s == FB_OK) {
        s = add_entry(&entries, 1, at, 0);
    }
    if (s == FB_OK) {
        s = write_stream(w, out, w->count + 1, dict, fb_slice_buf(&entries), (struct fb_slice){0});
    }
    fb_buf_deinit(&entries);
    return s == FB_OK ? fb_buf_printf(out, "startxref\n%zu\n%%%%EOF\n", at) : s;
}

static enum fb_status write_all(struct work *w, struct fb_buf *out)
{
    char dict[96];
    enum fb_status s = write_objects(w, out);
    size_t pack_at = out->len;
    (void)snprintf(dict, sizeof dict, "/Type /ObjStm /N %zu /First %zu", w->packed_count,
                   w->index.len);
    if (s == FB_OK) {
        s = write_stream(w, out, w->count, dict, fb_slice_buf(&w->index), fb_slice_buf(&w->packed));
    }
    return s == FB_OK ? write_table(w, pack_at, out) : s;
}

enum fb_status render_pdf_patch(struct fb_buf *pdf, size_t from,
                                const struct render_pdf_patch *patch)
{
    struct work w = {.patch = patch, .old = fb_slice_sub(fb_slice_buf(pdf), from, SIZE_MAX)};
    size_t xref = 0;
    if (!read_table(&w, &xref)) {
        return FB_OK;
    }
    struct fb_buf out;
    enum fb_status s = FB_OK;
    fb_buf_init(&out, pdf->max - from);
    fb_buf_init(&w.index, pdf->max);
    fb_buf_init(&w.packed, pdf->max);
    render_pdf_streams_init(&w.streams, pdf->max);
    w.objects = fb_xcalloc(w.count + 1, sizeof *w.objects);
    if (find_objects(&w, xref)) {
        s = fb_buf_reserve(&out, w.old.len);
        s = s == FB_OK ? write_all(&w, &out) : s;
        if (s == FB_OK) {
            pdf->len = from;
            s = fb_buf_add_slice(pdf, fb_slice_buf(&out));
        }
    }
    free(w.objects);
    render_pdf_streams_deinit(&w.streams);
    fb_buf_deinit(&w.packed);
    fb_buf_deinit(&w.index);
    fb_buf_deinit(&out);
    return s;
}
