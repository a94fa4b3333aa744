/* SPDX-License-Identifier: Apache-2.0
 *
 * The painter of plain text: bounds, equal bytes for equal letters, and links that cannot leave
 * their PDF string.  What the pages look like is read by Poppler in tests/integration/render. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fontconfig/fontconfig.h>
#include <fontconfig/fcfreetype.h> /* needs the one above */
#include <ft2build.h>
#include <zlib.h>

#include FT_FREETYPE_H

#include <stdlib.h>
#include <string.h>

#include "services/render/fonts.h"
#include "services/render/links.h"
#include "services/render/text_paint.h"

static enum fb_status paint_at_most(const char *body, int repeats, const char *paper, size_t max,
                                    struct fb_buf *pdf, struct fb_error *err)
{
    struct render_letter l = {.subject = fb_xstrdup("subject"),
                              .from = fb_xstrdup("a <a@b.c>"),
                              .date_ms = 1700000000000LL};
    fb_buf_init(&l.body, 32U << 20);
    fb_buf_init(pdf, max);
    for (int i = 0; i < repeats; i++) {
        assert_int_equal(fb_buf_add_str(&l.body, body), FB_OK);
    }
    enum fb_status s = render_text_paint(&l, paper, pdf, err);
    render_letter_deinit(&l);
    return s;
}

/* Also within compressed streams: cairo 1.18 puts objects into them. */
static bool stream_holds(struct fb_slice stream, const char *text)
{
    struct fb_buf out;
    z_stream z = {.next_in = (Bytef *)(uintptr_t)stream.ptr, .avail_in = (uInt)stream.len};
    uint8_t piece[16384];
    int code = inflateInit(&z);
    fb_buf_init(&out, 16U << 20);
    while (code == Z_OK) {
        z.next_out = piece;
        z.avail_out = sizeof piece;
        code = inflate(&z, Z_NO_FLUSH);
        assert_int_equal(fb_buf_add(&out, piece, sizeof piece - z.avail_out), FB_OK);
    }
    (void)inflateEnd(&z);
    bool found = fb_slice_find(fb_slice_buf(&out), fb_slice_str(text)) != SIZE_MAX;
    fb_buf_deinit(&out);
    return found;
}

static bool holds(const struct fb_buf *b, const char *text)
{
    struct fb_slice rest = fb_slice_buf(b);
    bool found = fb_slice_find(rest, fb_slice_str(text)) != SIZE_MAX;
    for (size_t at;
         !found && (at = fb_slice_find(rest, FB_SLICE_LITERAL("stream\n"))) != SIZE_MAX;) {
        rest = fb_slice_sub(rest, at + 7, rest.len);
        found = stream_holds(rest, text);
    }
    return found;
}

static void test_equal_letters_give_equal_bytes(void **state)
{
    (void)state;
    struct fb_buf a, b;
    struct fb_error err = {0};
    assert_int_equal(
        paint_at_most("本文 text 😀 https://example.com/\n", 50, "A4", 8U << 20, &a, &err), FB_OK);
    assert_int_equal(
        paint_at_most("本文 text 😀 https://example.com/\n", 50, "A4", 8U << 20, &b, &err), FB_OK);
    assert_int_equal(a.len, b.len);
    assert_memory_equal(a.ptr, b.ptr, a.len);
    assert_true(holds(&a, "URI (https://example.com/)"));
    fb_buf_deinit(&a);
    fb_buf_deinit(&b);
}

static void test_limits(void **state)
{
    (void)state;
    struct fb_buf pdf;
    struct fb_error err = {0};
    assert_int_equal(paint_at_most("x\n", 200000, "A4", 64U << 20, &pdf, &err), FB_TOO_BIG);
    assert_non_null(strstr(err.text, "2000 pages"));
    fb_buf_deinit(&pdf);
    err = (struct fb_error){0};
    assert_int_equal(paint_at_most("some words\n", 100, "A4", 2000, &pdf, &err), FB_TOO_BIG);
    fb_buf_deinit(&pdf);
    assert_int_equal(paint_at_most("x", 1, "Letter", 1U << 20, &pdf, &err), FB_OK);
    assert_true(holds(&pdf, "0 0 612 792"));
    fb_buf_deinit(&pdf);
}

static void test_odd_text_is_painted(void **state)
{
    (void)state;
    static const char *const bodies[] = {"",
                                         "\n",
                                         "\n\n\n\n",
                                         "\t\ttab\n",
                                         "no newline",
                                         "\r\n\r\n",
                                         "\f",
                                         "\xef\xbb\xbf",
                                         "\u202e\u2066\u2069",
                                         "> > > quoted",
                                         "a\u0301\u0301\u0301",
                                         "https://",
                                         "mailto:@",
                                         "www.",
                                         "https://x/'\\)(<<>>",
                                         "\xe2\x80\xa8\xe2\x80\xa9"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct fb_buf pdf;
        struct fb_error err = {0};
        if (paint_at_most(bodies[i], 1, "A4", 4U << 20, &pdf, &err) != FB_OK) {
            fail_msg("%zu: %s", i, err.text);
        }
        fb_buf_deinit(&pdf);
    }
}

/* Found by tests/fuzz/fuzz_paint: what followed a parenthesis became a part of the link's action. */
static void test_a_link_cannot_end_its_string(void **state)
{
    (void)state;
    struct fb_buf pdf;
    struct fb_error err = {0};
    assert_int_equal(
        paint_at_most("https://a.example/)/S/JavaScript/JS(app.alert(1) https://b.example/(c\n", 1,
                      "A4", 8U << 20, &pdf, &err),
        FB_OK);
    assert_true(holds(&pdf, "URI (https://a.example/%29/S/JavaScript/JS%28app.alert%281%29)"));
    assert_true(holds(&pdf, "URI (https://b.example/%28c)"));
    /* The words of the page have it as "example/\\)/S". */
    assert_false(holds(&pdf, "example/)/S/JavaScript"));
    fb_buf_deinit(&pdf);
}

static void test_links(void **state)
{
    (void)state;
    static const struct {
        const char *text, *link, *prefix;
    } rows[] = {
        {"see https://example.com/a?b=1&c=2.", "https://example.com/a?b=1&c=2", ""},
        {"（https://example.com/日本）", "https://example.com/", ""},
        {"(http://a.example/x_(y))", "http://a.example/x_(y)", ""},
        {"<http://a.example/>", "http://a.example/", ""},
        {"www.example.com,", "www.example.com", "https://"},
        {"mail a.b+c@example.co.jp!", "a.b+c@example.co.jp", "mailto:"},
        {"javascript:alert(1)", NULL, NULL},
        {"file:///etc/passwd", NULL, NULL},
        {"a@b", NULL, NULL},
        {"http://", NULL, NULL},
        {"https://x/'),/S/JavaScript", "https://x/", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct render_link link = {0};
        struct fb_slice text = fb_slice_str(rows[i].text);
        bool is_found = render_link_next(text, 0, &link);
        struct fb_slice got =
            is_found ? fb_slice_sub(text, link.start, link.end - link.start) : fb_slice_str("");
        if (is_found != (rows[i].link != NULL) ||
            (is_found && (!fb_slice_eq(got, fb_slice_str(rows[i].link)) ||
                          strcmp(link.prefix, rows[i].prefix) != 0))) {
            fail_msg("%s: got %.*s", rows[i].text, (int)got.len, (const char *)got.ptr);
        }
    }
}

static void test_fonts_conf_is_in_the_program(void **state)
{
    (void)state;
    struct fb_slice conf = render_fonts_conf();
    assert_true(conf.len > 1000 && conf.ptr[conf.len] == '\0');
    assert_true(fb_slice_find(conf, FB_SLICE_LITERAL("BIZ UDPGothic")) != SIZE_MAX);
}

/* page_faces.c: else Cairo copies and searches 55 kB for each character that is new in a letter. */
static void test_cairo_is_spared_the_table_of_characters(void **state)
{
    (void)state;
    FcResult result = FcResultNoMatch;
    FT_Face face = NULL;
    FcPattern *asked = FcNameParse((const FcChar8 *)"BIZ UDGothic");
    assert_true(FcConfigSubstitute(NULL, asked, FcMatchPattern));
    FcDefaultSubstitute(asked);
    FcPattern *found = FcFontMatch(NULL, asked, &result);
    assert_non_null(found);
    assert_int_equal(FcPatternGetFTFace(found, FC_FT_FACE, 0, &face), FcResultMatch);
    assert_int_equal(face->num_charmaps, 0);
    assert_true(face->num_glyphs > 10000);
    FcPatternDestroy(found);
    FcPatternDestroy(asked);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_letters_give_equal_bytes),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_odd_text_is_painted),
        cmocka_unit_test(test_links),
        cmocka_unit_test(test_a_link_cannot_end_its_string),
        cmocka_unit_test(test_fonts_conf_is_in_the_program),
        cmocka_unit_test(test_cairo_is_spared_the_table_of_characters),
    };
    render_text_warm();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
