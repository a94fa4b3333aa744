/* SPDX-License-Identifier: Apache-2.0
 *
 * Streams of Cairo's PDF (pdf_flate.h, pdf_font.h, pdf_stream.h): all are compressed in the end, and fonts keep
 * their outlines and nothing that fits them to a screen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fontconfig/fontconfig.h>
#include <ft2build.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include FT_FREETYPE_H
#include FT_TRUETYPE_TABLES_H

#include "services/render/fonts.h"
#include "services/render/pdf_flate.h"
#include "services/render/pdf_font.h"
#include "services/render/pdf_stream.h"
#include "services/render/text_paint.h"

#define BYTES_MAX (16U << 20)

/* As Cairo calls zlib. */
static void deflate_text(const char *text, size_t len, struct fb_buf *out)
{
    uint8_t piece[300]; /* less than the text: in several blocks */
    z_stream z = {.next_in = (Bytef *)(uintptr_t)text, .avail_in = (uInt)len};
    int code = Z_OK;
    fb_buf_init(out, BYTES_MAX);
    assert_int_equal(deflateInit(&z, Z_DEFAULT_COMPRESSION), Z_OK);
    while (code == Z_OK) {
        z.next_out = piece;
        z.avail_out = sizeof piece;
        code = deflate(&z, Z_FINISH);
        assert_int_equal(fb_buf_add(out, piece, sizeof piece - z.avail_out), FB_OK);
    }
    assert_int_equal(code, Z_STREAM_END);
    assert_int_equal(deflateEnd(&z), Z_OK);
}

static void test_streams_are_framed_while_asked_for(void **state)
{
    (void)state;
    static const enum render_flate hows[] = {RENDER_FLATE_FRAME, RENDER_FLATE_QUICK,
                                             RENDER_FLATE_ZLIB};
    char text[5000];
    struct fb_buf out;
    struct fb_buf plain;
    fb_buf_init(&plain, BYTES_MAX);
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = (char)(i % 251);
    }
    for (size_t i = 0; i < sizeof hows / sizeof hows[0]; i++) {
        uint8_t back[sizeof text];
        uLongf n = sizeof back;
        render_flate_set(hows[i]);
        deflate_text(text, sizeof text, &out);
        render_flate_set(RENDER_FLATE_ZLIB);
        bool is_frame = render_flate_unframe(fb_slice_buf(&out), &plain);
        assert_int_equal(is_frame, hows[i] == RENDER_FLATE_FRAME);
        assert_int_equal(uncompress(back, &n, out.ptr, (uLong)out.len),
                         Z_OK); /* valid all the same */
        assert_int_equal(n, sizeof text);
        assert_memory_equal(back, text, sizeof text);
        if (is_frame) {
            assert_memory_equal(plain.ptr, text, sizeof text);
            for (size_t cut = 0; cut < out.len; cut++) { /* none of its beginnings is one */
                assert_false(render_flate_unframe(fb_slice_of(out.ptr, cut), &plain));
            }
        }
        fb_buf_deinit(&out);
    }
    fb_buf_deinit(&plain);
}

static void test_what_is_pressed_is_a_zlib_stream(void **state)
{
    (void)state;
    struct render_flate_press *press = render_flate_press_new();
    static const size_t sizes[] = {0, 1, 100, 70000, 1000};
    static uint8_t text[70000];
    static uint8_t back[sizeof text];
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = (uint8_t)(i * i >> 7);
    }
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct fb_slice stream;
        uLongf n = sizeof back;
        assert_int_equal(render_flate_press(press, fb_slice_of(text, sizes[i]), &stream), FB_OK);
        assert_int_equal(uncompress(back, &n, stream.ptr, (uLong)stream.len), Z_OK);
        assert_int_equal(n, sizes[i]);
        assert_memory_equal(back, text, sizes[i]);
    }
    render_flate_press_free(&press);
}

/* ---- fonts ---- */

static void read_font(const char *name, struct fb_buf *font)
{
    FcResult result = FcResultNoMatch;
    FcChar8 *file = NULL;
    struct fb_error err = {0};
    FcPattern *asked = FcNameParse((const FcChar8 *)name);
    assert_true(FcConfigSubstitute(NULL, asked, FcMatchPattern));
    FcDefaultSubstitute(asked);
    FcPattern *found = FcFontMatch(NULL, asked, &result);
    assert_non_null(found);
    assert_int_equal(FcPatternGetString(found, FC_FILE, 0, &file), FcResultMatch);
    assert_int_equal(fb_read_file((const char *)file, BYTES_MAX, font, &err), FB_OK);
    FcPatternDestroy(found);
    FcPatternDestroy(asked);
}

static void assert_same_glyph(FT_Face a, FT_Face b, FT_UInt glyph)
{
    assert_int_equal(FT_Load_Glyph(a, glyph, FT_LOAD_NO_SCALE), 0);
    assert_int_equal(FT_Load_Glyph(b, glyph, FT_LOAD_NO_SCALE), 0);
    const FT_Outline *x = &a->glyph->outline;
    const FT_Outline *y = &b->glyph->outline;
    assert_int_equal(a->glyph->metrics.horiAdvance, b->glyph->metrics.horiAdvance);
    assert_int_equal(x->n_points, y->n_points);
    assert_int_equal(x->n_contours, y->n_contours);
    if (x->n_points > 0) {
        assert_memory_equal(x->points, y->points, (size_t)x->n_points * sizeof *x->points);
        assert_memory_equal(x->tags, y->tags, (size_t)x->n_points);
    }
}

static void test_fonts_keep_their_outlines(void **state)
{
    (void)state;
    static const char *const names[] = {"BIZ UDGothic", "Liberation Sans", "Liberation Mono:bold"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        FT_Library library = NULL;
        FT_Face a = NULL;
        FT_Face b = NULL;
        FT_ULong size = 0;
        struct fb_buf font;
        struct fb_buf light;
        read_font(names[i], &font);
        fb_buf_init(&light, BYTES_MAX);
        assert_true(render_pdf_font_lighten(fb_slice_buf(&font), &light));
        assert_true(light.len < font.len * 9 / 10);
        assert_int_equal(FT_Init_FreeType(&library), 0);
        assert_int_equal(FT_New_Memory_Face(library, font.ptr, (FT_Long)font.len, 0, &a), 0);
        assert_int_equal(FT_New_Memory_Face(library, light.ptr, (FT_Long)light.len, 0, &b), 0);
        assert_int_equal(a->num_glyphs, b->num_glyphs);
        assert_int_not_equal(FT_Load_Sfnt_Table(b, FT_MAKE_TAG('f', 'p', 'g', 'm'), 0, NULL, &size),
                             0);
        for (FT_Long g = 0; g < a->num_glyphs; g += 1 + a->num_glyphs / 1000) {
            assert_same_glyph(a, b, (FT_UInt)g);
        }
        (void)FT_Done_FreeType(library);
        fb_buf_deinit(&light);
        fb_buf_deinit(&font);
    }
}

/* Cut short, or with bytes of its tables' places and glyphs changed: refused, or a font; never read beyond its end
 * (AddressSanitizer looks on). */
static void test_damaged_fonts_do_no_harm(void **state)
{
    (void)state;
    struct fb_buf font;
    struct fb_buf light;
    size_t count = 0;
    read_font("Liberation Mono", &font);
    fb_buf_init(&light, BYTES_MAX);
    for (size_t i = 0; i < 200; i++) {
        size_t len = i < 100 ? i * 4 : font.len * (i - 100) / 100;
        uint8_t *copy = malloc(len + 1); /* ends where it ends */
        assert_non_null(copy);
        memcpy(copy, font.ptr, len);
        count += render_pdf_font_lighten(fb_slice_of(copy, len), &light) ? 1 : 0;
        free(copy);
    }
    for (size_t i = 0; i < 600; i++) {
        size_t at = i < 300 ? i : (i * 7919 * 13) % font.len;
        uint8_t was = font.ptr[at];
        font.ptr[at] ^= (uint8_t)(0x80 >> i % 8);
        count += render_pdf_font_lighten(fb_slice_buf(&font), &light) ? 1 : 0;
        font.ptr[at] = was;
    }
    assert_in_range(count, 1, 700);
    fb_buf_deinit(&light);
    fb_buf_deinit(&font);
}

/* ---- the whole ---- */

static void test_letters_are_compressed_and_light(void **state)
{
    (void)state;
    struct fb_buf pdf;
    struct fb_buf plain;
    struct fb_error err = {0};
    size_t fonts = 0;
    size_t streams = 0;
    struct render_letter l = {
        .is_tagged = true, .is_japanese = true, .subject = fb_xstrdup("件名 subject")};
    fb_buf_init(&l.body, BYTES_MAX);
    fb_buf_init(&pdf, BYTES_MAX);
    fb_buf_init(&plain, BYTES_MAX);
    assert_int_equal(fb_buf_add_str(&l.body, "本文です。 Some text, https://example.com/\n"),
                     FB_OK);
    assert_int_equal(render_text_paint(&l, "A4", &pdf, &err), FB_OK);
    struct fb_slice rest = fb_slice_buf(&pdf);
    for (size_t at; (at = fb_slice_find(rest, FB_SLICE_LITERAL(">>\nstream\n"))) != SIZE_MAX;) {
        static uint8_t raw[1U << 20];
        uLongf n = sizeof raw;
        rest = fb_slice_sub(rest, at + 10, SIZE_MAX);
        size_t end = fb_slice_find(rest, FB_SLICE_LITERAL("\nendstream\n"));
        assert_int_not_equal(end, SIZE_MAX);
        assert_false(render_flate_unframe(fb_slice_sub(rest, 0, end), &plain));
        assert_int_equal(uncompress(raw, &n, rest.ptr, (uLong)end), Z_OK);
        streams++;
        if (n > 12 && memcmp(raw, "\0\1\0\0", 4) == 0) {
            fonts++;
            struct fb_slice directory = fb_slice_of(raw, n < 300 ? n : 300);
            assert_int_equal(fb_slice_find(directory, FB_SLICE_LITERAL("fpgm")), SIZE_MAX);
        }
    }
    assert_true(fonts >= 3 && streams > 2 * fonts);
    fb_buf_deinit(&plain);
    fb_buf_deinit(&pdf);
    render_letter_deinit(&l);
}

/* What is not written as Cairo writes it stays as it is. */
static void test_other_streams_stay(void **state)
{
    (void)state;
    static const char *const objects[] = {
        "5 0 obj\n<< /Length 6 0 R\n   /Filter /DCTDecode\n>>\nstream\nx\nendstream\nendobj\n",
        "5 0 obj\n<< /Length 3\n   /Filter /FlateDecode\n>>\nstream\nxyz\nendstream\nendobj\n",
        "5 0 obj\n<< /Length 6 0 R\n   /Filter /FlateDecode\n>>\nstream\nxyz\nendstream\nendobj\n",
        "5 0 obj\n<< /Length 6 0 R\n   /Filter /FlateDecode\n>>\nstream\n\nendobj\n",
        "5 0 obj\n<< >>\nstream\n",
        "",
    };
    struct render_pdf_streams streams;
    struct fb_buf out;
    fb_buf_init(&out, BYTES_MAX);
    render_pdf_streams_init(&streams, BYTES_MAX);
    for (size_t i = 0; i < sizeof objects / sizeof objects[0]; i++) {
        size_t length = 9;
        fb_buf_clear(&out);
        assert_int_equal(render_pdf_stream_add(&streams, fb_slice_str(objects[i]), &out, &length),
                         FB_OK);
        assert_int_equal(length, 0);
        assert_string_equal(fb_buf_str(&out), objects[i]);
    }
    render_pdf_streams_deinit(&streams);
    fb_buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams_are_framed_while_asked_for),
        cmocka_unit_test(test_what_is_pressed_is_a_zlib_stream),
        cmocka_unit_test(test_fonts_keep_their_outlines),
        cmocka_unit_test(test_damaged_fonts_do_no_harm),
        cmocka_unit_test(test_letters_are_compressed_and_light),
        cmocka_unit_test(test_other_streams_stay),
    };
    render_text_warm();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
