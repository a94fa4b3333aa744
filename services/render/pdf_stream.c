/* SPDX-License-Identifier: Apache-2.0 */
#include "services/render/pdf_stream.h"

#include <string.h>

#include "services/render/pdf_font.h"

#define DICTIONARY_MAX 4096

static const char begin[] = "stream\n";
static const char end[] = "\nendstream\nendobj\n";
static const char filter[] = "/Filter /FlateDecode\n";

/* The object's pieces: "N 0 obj\n<< /Length M 0 R\n   /Filter /FlateDecode\n   /Length1 L\n>>\nstream\n", the
 * bytes, "\nendstream\nendobj\n".  Places are those of values in the dictionary. */
struct stream {
    struct fb_slice dictionary, bytes;
    size_t length_at, length_end, length_object;
    size_t plain_at, plain_end; /* of /Length1, of fonts; 0: none */
};

void render_pdf_streams_init(struct render_pdf_streams *s, size_t max)
{
    s->press = render_flate_press_new();
    fb_buf_init(&s->raw, max);
    fb_buf_init(&s->font, max);
}

void render_pdf_streams_deinit(struct render_pdf_streams *s)
{
    render_flate_press_free(&s->press);
    fb_buf_deinit(&s->raw);
    fb_buf_deinit(&s->font);
}

/* Behind word, where the digits are; their end. */
static bool find_number(struct fb_slice s, const char *word, size_t *at_r, size_t *end_r,
                        size_t *number_r)
{
    size_t at = fb_slice_find(s, fb_slice_str(word));
    if (at == SIZE_MAX) {
        return false;
    }
    at += strlen(word);
    *at_r = at;
    *number_r = 0;
    for (; at < s.len && at - *at_r < 12 && s.ptr[at] >= '0' && s.ptr[at] <= '9'; at++) {
        *number_r = *number_r * 10 + (size_t)(s.ptr[at] - '0');
    }
    *end_r = at;
    return at > *at_r;
}

static bool read_stream(struct fb_slice object, struct stream *st)
{
    static const char reference[] = " 0 R\n";
    size_t number = 0;
    size_t at = fb_slice_find(fb_slice_sub(object, 0, DICTIONARY_MAX), fb_slice_str(begin));
    if (at == SIZE_MAX || object.len < at + strlen(begin) + strlen(end)) {
        return false;
    }
    *st = (struct stream){0};
    st->dictionary = fb_slice_sub(object, 0, at + strlen(begin));
    st->bytes =
        fb_slice_sub(object, at + strlen(begin), object.len - at - strlen(begin) - strlen(end));
    if (memcmp(object.ptr + object.len - strlen(end), end, strlen(end)) != 0 ||
        fb_slice_find(st->dictionary, fb_slice_str(filter)) == SIZE_MAX ||
        !find_number(st->dictionary, "/Length ", &st->length_at, &st->length_end,
                     &st->length_object)) {
        return false;
    }
    struct fb_slice rest = fb_slice_sub(st->dictionary, st->length_end, strlen(reference));
    if (!fb_slice_eq_str(rest, reference)) {
        return false;
    }
    st->length_end += strlen(reference) - 1;
    if (!find_number(st->dictionary, "/Length1 ", &st->plain_at, &st->plain_end, &number)) {
        st->plain_at = st->plain_end = 0;
    }
    return st->plain_at == 0 || st->plain_at > st->length_end;
}

static enum fb_status add_dictionary(const struct stream *st, size_t length, size_t plain,
                                     struct fb_buf *out)
{
    struct fb_slice d = st->dictionary;
    size_t from = st->length_end;
    enum fb_status s = fb_buf_add_slice(out, fb_slice_sub(d, 0, st->length_at));
    s = s == FB_OK ? fb_buf_printf(out, "%zu", length) : s;
    if (s == FB_OK && st->plain_at > 0) {
        s = fb_buf_add_slice(out, fb_slice_sub(d, from, st->plain_at - from));
        s = s == FB_OK ? fb_buf_printf(out, "%zu", plain) : s;
        from = st->plain_end;
    }
    return s == FB_OK ? fb_buf_add_slice(out, fb_slice_sub(d, from, SIZE_MAX)) : s;
}

enum fb_status render_pdf_stream_add(struct render_pdf_streams *streams, struct fb_slice object,
                                     struct fb_buf *out, size_t *length_r)
{
    struct stream st;
    struct fb_slice packed;
    *length_r = 0;
    if (!read_stream(object, &st) || !render_flate_unframe(st.bytes, &streams->raw)) {
        return fb_buf_add_slice(out, object);
    }
    bool is_light =
        st.plain_at > 0 && render_pdf_font_lighten(fb_slice_buf(&streams->raw), &streams->font);
    struct fb_slice bytes = fb_slice_buf(is_light ? &streams->font : &streams->raw);
    enum fb_status s = render_flate_press(streams->press, bytes, &packed);
    s = s == FB_OK ? add_dictionary(&st, packed.len, bytes.len, out) : s;
    s = s == FB_OK ? fb_buf_add_slice(out, packed) : s;
    *length_r = st.length_object;
    return s == FB_OK ? fb_buf_add_str(out, end) : s;
}
