/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines that are cut here (page_lines.c) are those that Pango breaks, dot by dot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pango/pangocairo.h>
#include <stdlib.h>
#include <string.h>

#include "services/render/page.h"
#include "services/render/text_paint.h"

#define WIDTH  260
#define HEIGHT 400
#define FONT   "BIZ UDGothic 10.5"

static PangoContext *context;

static PangoLayout *layout_of(const char *text, int width)
{
    PangoLayout *layout = pango_layout_new(context);
    PangoFontDescription *d = pango_font_description_from_string(FONT);
    PangoAttrList *attrs = pango_attr_list_new();
    pango_attr_list_insert(attrs, pango_attr_insert_hyphens_new(FALSE));
    PangoAttribute *red = pango_attr_foreground_new(65535, 0, 0);
    red->start_index = 4;
    red->end_index = 40;
    pango_attr_list_insert(attrs, red);
    pango_layout_set_font_description(layout, d);
    pango_layout_set_attributes(layout, attrs);
    pango_layout_set_wrap(layout, PANGO_WRAP_WORD_CHAR);
    pango_layout_set_auto_dir(layout, TRUE);
    pango_layout_set_text(layout, text, -1);
    pango_layout_set_width(layout, width);
    pango_attr_list_unref(attrs);
    pango_font_description_free(d);
    return layout;
}

static cairo_t *paper(void)
{
    cairo_surface_t *s = cairo_image_surface_create(CAIRO_FORMAT_RGB24, WIDTH + 40, HEIGHT);
    cairo_t *cr = cairo_create(s);
    cairo_surface_destroy(s);
    return cr;
}

static void draw_by_pango(cairo_t *cr, PangoLayout *layout)
{
    double y = 0;
    PangoLayoutIter *it = pango_layout_get_iter(layout);
    do {
        PangoRectangle box;
        pango_layout_iter_get_line_extents(it, NULL, &box);
        cairo_set_source_rgb(cr, 0, 0, 1);
        cairo_move_to(cr, (double)box.x / PANGO_SCALE,
                      y + (double)(pango_layout_iter_get_baseline(it) - box.y) / PANGO_SCALE);
        pango_cairo_show_layout_line(cr, pango_layout_iter_get_line_readonly(it));
        y += (double)box.height / PANGO_SCALE;
    } while (pango_layout_iter_next_line(it));
    pango_layout_iter_free(it);
}

static void draw_here(cairo_t *cr, const struct render_page_lines *lines)
{
    struct render_page p = {.cr = cr};
    double y = 0;
    double unused = 0;
    for (size_t i = 0; i < render_page_lines_count(lines, &unused); i++) {
        double ascent = 0;
        double height = 0;
        render_page_lines_size(lines, i, &ascent, &height);
        render_page_lines_show(lines, i, &p, 0, y + ascent, (struct render_colour){0, 0, 1});
        y += height;
    }
}

static bool is_equal(cairo_t *a, cairo_t *b)
{
    cairo_surface_t *sa = cairo_get_target(a);
    cairo_surface_t *sb = cairo_get_target(b);
    cairo_surface_flush(sa);
    cairo_surface_flush(sb);
    size_t size = (size_t)cairo_image_surface_get_stride(sa) * HEIGHT;
    return memcmp(cairo_image_surface_get_data(sa), cairo_image_surface_get_data(sb), size) == 0;
}

/* Whether the lines are cut here; fails where they are, and not as Pango's. */
static bool is_cut(const char *text, int width)
{
    PangoLayout *free_layout = layout_of(text, -1);
    PangoLayout *layout = layout_of(text, width);
    struct render_page_lines *lines = render_page_lines_cut(free_layout, width);
    bool is_done = lines != NULL;
    if (is_done) {
        double unused = 0;
        cairo_t *ours = paper();
        cairo_t *theirs = paper();
        draw_here(ours, lines);
        draw_by_pango(theirs, layout);
        if ((int)render_page_lines_count(lines, &unused) != pango_layout_get_line_count(layout) ||
            !is_equal(ours, theirs)) {
            fail_msg("at %d: %s", width, text);
        }
        cairo_destroy(ours);
        cairo_destroy(theirs);
    }
    render_page_lines_free(&lines);
    g_object_unref(layout);
    g_object_unref(free_layout);
    return is_done;
}

static void test_lines_are_pangos(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "お世話になっております。先日ご依頼いただきました件につきまして、「下記」のとおり（ご報告）"
        "申し上げます。ご確認のうえ、ご不明な点がございましたらお知らせください。",
        "We have gone through the figures of the last quarter once more and found the "
        "difference, which is the well-known freight of a month-old, late delivery.",
        "納期は2026年11月27日（金）です。  Please confirm;  二つの空白  two blanks  each.   ",
        "１　２　３　全角の空白　で　区切った　文　を　折り返し　ます　。　　",
        "      leading blanks, and a dash — then “quotes”, figures 1,000,000.00 and 100 % of it",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        for (int width = 130; width <= WIDTH; width += 7) {
            if (!is_cut(texts[i], width * PANGO_SCALE)) {
                fail_msg("not cut at %d: %s", width, texts[i]);
            }
        }
    }
}

/* What depends on more than widths is left to Pango. */
static void test_other_texts_are_left_to_pango(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "with\ta tab and more words than fit on a single line of this width, surely",
        "two paragraphs and more words than fit\non a single line of this width, surely",
        "a line separator and more words\u2028than fit on a single line of this width",
        "עברית ועוד מילים שלא נכנסות בשורה אחת של הרוחב הזה, בוודאי, בוודאי",
        "some words and עברית and more words than fit on a single line of this width",
        "a letter 😀 of another font and more words than fit on a single line of this",
        "averylongwordthatfitsonnolineofthiswidthandmustbebrokensomewhereinthemiddleofit",
        "ภาษาไทยไม่มีช่องว่างระหว่างคำ จึงต้องหาที่ตัดบรรทัดเอาเองในข้อความยาวเช่นนี้",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_false(is_cut(texts[i], 150 * PANGO_SCALE));
    }
}

static int width_of(struct render_page *p, const char *text)
{
    int width = 0;
    pango_layout_set_text(p->layout, text, -1);
    pango_layout_get_size(p->layout, &width, NULL);
    return width;
}

/* What people line up with blanks stays in columns. */
static void test_two_half_width_characters_are_as_wide_as_a_full_one(void **state)
{
    (void)state;
    struct render_page p;
    struct fb_buf pdf;
    struct fb_error err = {0};
    const struct render_letter l = {.is_japanese = true};
    fb_buf_init(&pdf, 1U << 20);
    render_page_open(&p, &l, "A4", 58, &pdf);
    render_page_font(&p, FONT);
    int full = width_of(&p, "件数　");
    assert_in_range(full, 31 * PANGO_SCALE, 32 * PANGO_SCALE);
    assert_in_range(width_of(&p, "12 ab "), full - 3, full + 3);
    assert_in_range(width_of(&p, "ｶﾅ ｱｲｳ"), full - 3, full + 3);
    assert_int_equal(render_page_close(&p, FB_OK, &err), FB_OK);
    fb_buf_deinit(&pdf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_are_pangos),
        cmocka_unit_test(test_other_texts_are_left_to_pango),
        cmocka_unit_test(test_two_half_width_characters_are_as_wide_as_a_full_one),
    };
    render_text_warm();
    PangoFontMap *map = render_page_font_map();
    context = pango_font_map_create_context(map);
    pango_context_set_round_glyph_positions(context, FALSE); /* as render_page_open() */
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    g_object_unref(context);
    g_object_unref(map);
    return failed;
}
