/* SPDX-License-Identifier: Apache-2.0
 *
 * Fonts and characters: what no font has is counted and named, what mails are written with is there, and
 * senders' families have their replacements. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pango/pangocairo.h>

#include <stdlib.h>
#include <string.h>

#include "services/render/glyphs.h"
#include "services/render/head_text.h"
#include "services/render/page.h"
#include "services/render/text_paint.h"

static uint64_t missing(const char *text)
{
    struct render_glyphs g = {0};
    render_glyphs_look(&g, fb_slice_str(text));
    return g.missing;
}

/* What Pango has no glyph for, which is what the reader sees. */
static int unknown_to_pango(const char *text)
{
    PangoFontMap *map = render_page_font_map();
    PangoContext *context = pango_font_map_create_context(map);
    PangoLayout *layout = pango_layout_new(context);
    PangoFontDescription *d =
        pango_font_description_from_string("BIZ UDPGothic, Liberation Sans 10");
    pango_layout_set_font_description(layout, d);
    pango_layout_set_text(layout, text, -1);
    int count = pango_layout_get_unknown_glyphs_count(layout);
    pango_font_description_free(d);
    g_object_unref(layout);
    g_object_unref(context);
    g_object_unref(map);
    return count;
}

static void test_what_mails_are_written_with_is_there(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "Latin ÄÖÜßéøŁ Ελληνικά Русский עברית العربية ไทย हिन्दी",
        "日本語 ①②③ ㈱㈲ Ⅰⅱ ㍻㋿ № ℡ ﾊﾝｶｸ 髙橋 﨑山 "
        "俱剝𠮟吞噓姸屢幷彅",
        "𠮷野家 𣘺本 𡈽屋 𩸽 𠀋𡚴𡸴 葛\U000E0100城 葛\U000E0101飾 辻\U000E0100",
        "か゚き゚ あ゙ い゙ ゔ ㇷ゚ ヷヸヹヺ",
        "▁▂▃▄▅▆▇█ ╭╮╰╯ ─│┌┐└┘━┃ ■□◆◇○●★☆♪ ✔✗➢❖",
        "︐︑︒︓︔︕︖︗︘︙ ︰︱︲︳︴︵︶﹁﹂﹃﹄﹇﹈",
        "尊敬的客户，您好！感谢您对我们公司的关注。 敬請查收；歡迎隨時與我們聯絡。 안녕하세요",
        "😀🥹🫠🩷",
        "👩🏿‍💻 👨‍👩‍👧‍👦",
        "🇯🇵 🏳️‍🌈",
        "1️⃣ ☎️ ㊗️ 🈁",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (missing(texts[i]) > 0 || unknown_to_pango(texts[i]) > 0) {
            fail_msg("missing in: %s", texts[i]);
        }
    }
}

/* The first glyph of a text, and how many there are. */
static PangoGlyph glyph_of(const char *family, const char *text, int *count_r)
{
    PangoFontMap *map = render_page_font_map();
    PangoContext *context = pango_font_map_create_context(map);
    PangoLayout *layout = pango_layout_new(context);
    PangoFontDescription *d = pango_font_description_from_string(family);
    pango_layout_set_font_description(layout, d);
    pango_layout_set_text(layout, text, -1);
    const PangoLayoutLine *line = pango_layout_get_line_readonly(layout, 0);
    const PangoGlyphItem *run = line->runs->data;
    PangoGlyph glyph = run->glyphs->glyphs[0].glyph;
    *count_r = 0; /* that are seen */
    for (int i = 0; i < run->glyphs->num_glyphs; i++) {
        *count_r += run->glyphs->glyphs[i].glyph != PANGO_GLYPH_EMPTY;
    }
    assert_null(line->runs->next);
    pango_font_description_free(d);
    g_object_unref(layout);
    g_object_unref(context);
    g_object_unref(map);
    return glyph;
}

static void test_fonts_stand_on_one_baseline(void **state)
{
    (void)state;
    PangoFontMap *map = render_page_font_map();
    PangoContext *context = pango_font_map_create_context(map);
    PangoLayout *layout = pango_layout_new(context);
    PangoFontDescription *d = pango_font_description_from_string("Liberation Sans, Meiryo 20");
    pango_layout_set_font_description(layout, d);
    pango_layout_set_markup(layout, "目标 Tokyo<span rise='5000'>2</span> の", -1);
    PangoLayoutLine *line = pango_layout_get_line(layout, 0);
    render_page_level(line);
    int raised = 0;
    for (const GSList *l = line->runs; l != NULL; l = l->next) {
        const PangoGlyphItem *run = l->data;
        raised += run->y_offset != 0;
        assert_true(run->y_offset == 0 || run->y_offset == 5000);
    }
    assert_int_equal(raised, 1);
    assert_true(g_slist_length(line->runs) >= 4);
    pango_font_description_free(d);
    g_object_unref(layout);
    g_object_unref(context);
    g_object_unref(map);
}

/* Unicode's IVD: names of people and places are written with the very shape that was chosen. */
static void test_variation_sequences_choose_their_shape(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {{"葛\U000E0100", "葛\U000E0101"},
                                           {"辻\U000E0100", "辻\U000E0101"},
                                           {"祇\U000E0100", "祇\U000E0101"}};
    static const char *const families[] = {"BIZ UDGothic", "BIZ UDMincho", "MS Mincho"};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        for (size_t f = 0; f < sizeof families / sizeof families[0]; f++) {
            int counts[2];
            PangoGlyph a = glyph_of(families[f], pairs[i][0], &counts[0]);
            PangoGlyph b = glyph_of(families[f], pairs[i][1], &counts[1]);
            if (a == b || counts[0] != 1 || counts[1] != 1) {
                fail_msg("%s in %s: glyphs %u and %u", pairs[i][0], families[f], a, b);
            }
        }
    }
}

static void test_missing_characters_are_counted_as_painters_miss_them(void **state)
{
    (void)state;
    static const char text[] = "a \U00018B00 \u0378 b \u0378\n";
    struct render_glyphs g = {0};
    render_glyphs_look(&g, fb_slice_str(text));
    assert_int_equal(g.missing, unknown_to_pango(text));
    assert_int_equal(g.block_count, 2);
    assert_string_equal(render_glyphs_block(g.blocks[0]), "Tangut and Khitan");
    assert_string_equal(render_glyphs_block(g.blocks[1]), "Greek and Cyrillic");
    assert_int_equal(missing("\uE63E\uF8FF\U000F0000"), 3); /* private, whatever a font says */
    assert_int_equal(missing("\u200D\uFE0F\u00AD\u3000\u2028\uFEFF \t\n\u2066\U000E0041"), 0);
    assert_int_equal(missing("\xff\xfe\xf4\xbf\xbf\xbf\xe3"), 0); /* no UTF-8: no characters */
    assert_null(render_glyphs_block(UINT32_MAX));
}

static void test_all_of_a_letter_is_looked_at(void **state)
{
    (void)state;
    struct render_attachment_line file = {.name = fb_xstrdup("\uE000.pdf")};
    struct render_letter l = {.subject = fb_xstrdup("\uE000"),
                              .from = fb_xstrdup("\uE000"),
                              .to = fb_xstrdup("\uE000"),
                              .attachments = &file,
                              .attachment_count = 1};
    struct render_glyphs g = {0};
    fb_buf_init(&l.body, 100);
    assert_int_equal(fb_buf_add_str(&l.body, "\uE000\uE000"), FB_OK);
    render_glyphs_look_letter(&g, &l);
    assert_int_equal(g.missing, 6);
    assert_int_equal(g.block_count, 1);
    GumboOutput *tree = gumbo_parse("<style>p{content:'\uE000'}</style><p>\uE000<b>\uE000</b>");
    g = (struct render_glyphs){0};
    render_glyphs_look_tree(&g, tree->document);
    assert_int_equal(g.missing, 2);
    gumbo_destroy_output(&kGumboDefaultOptions, tree);
    free(l.subject);
    free(l.from);
    free(l.to);
    free(file.name);
    fb_buf_deinit(&l.body);
}

static void test_families_that_senders_name(void **state)
{
    (void)state;
    static const char *const rows[][2] = {{"MS Gothic", "BIZ UDGothic"},
                                          {"MS PGothic", "BIZ UDPGothic"},
                                          {"MS Mincho", "BIZ UDMincho"},
                                          {"MS PMincho", "BIZ UDPMincho"},
                                          {"Meiryo", "BIZ UDPGothic"},
                                          {"Yu Gothic", "BIZ UDPGothic"},
                                          {"Yu Mincho", "BIZ UDPMincho"},
                                          {"Calibri", "Carlito"},
                                          {"Times", "Liberation Serif"},
                                          {"ＭＳ ゴシック", "BIZ UDGothic"},
                                          {"ＭＳ　ゴシック", "BIZ UDGothic"},
                                          {"MSゴシック", "BIZ UDGothic"},
                                          {"ＭＳ Ｐゴシック", "BIZ UDPGothic"},
                                          {"MS Pゴシック", "BIZ UDPGothic"},
                                          {"メイリオ", "BIZ UDPGothic"},
                                          {"Meiryo UI", "BIZ UDPGothic"},
                                          {"游ゴシック Light", "BIZ UDPGothic"},
                                          {"ヒラギノ角ゴ ProN W6", "BIZ UDPGothic"},
                                          {"HiraKakuProN-W3", "BIZ UDPGothic"},
                                          {"HG丸ｺﾞｼｯｸM-PRO", "BIZ UDPGothic"},
                                          {"ＭＳ 明朝", "BIZ UDMincho"},
                                          {"MS P明朝", "BIZ UDPMincho"},
                                          {"游明朝 Demibold", "BIZ UDPMincho"},
                                          {"ヒラギノ明朝 ProN W3", "BIZ UDPMincho"},
                                          {"Calibri Light", "Carlito"},
                                          {"Cambria", "Caladea"},
                                          {"Arial", "Liberation Sans"},
                                          {"Times New Roman", "Liberation Serif"},
                                          {"Courier New", "Liberation Mono"},
                                          {"微软雅黑", "Droid Sans Fallback"},
                                          {"新細明體", "Droid Sans Fallback"},
                                          {"맑은 고딕", "NanumGothic"},
                                          {"nobody knows it", "Liberation Sans"},
                                          {"Segoe UI Emoji", "Noto Color Emoji"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        FcResult result = FcResultMatch;
        FcChar8 *family = NULL;
        FcPattern *asked = FcPatternCreate();
        assert_true(FcPatternAddString(asked, FC_FAMILY, (const FcChar8 *)rows[i][0]));
        assert_true(FcConfigSubstitute(NULL, asked, FcMatchPattern));
        FcDefaultSubstitute(asked);
        FcPattern *found = FcFontMatch(NULL, asked, &result);
        assert_non_null(found);
        assert_int_equal(FcPatternGetString(found, FC_FAMILY, 0, &family), FcResultMatch);
        if (strcmp((const char *)family, rows[i][1]) != 0) {
            fail_msg("%s: got %s, want %s", rows[i][0], (const char *)family, rows[i][1]);
        }
        FcPatternDestroy(found);
        FcPatternDestroy(asked);
    }
}

static void test_words_of_the_header_block(void **state)
{
    (void)state;
    static const char people[] =
        "山田 太郎 <a@example.jp>\nb@example.jp\n< <c@example.jp>\nundisclosed:;";
    static const char *const want[][2] = {{"山田 太郎", " <a@example.jp>"},
                                          {"b@example.jp", ""},
                                          {"<", " <c@example.jp>"},
                                          {"undisclosed:;", ""}};
    struct fb_slice rest = fb_slice_str(people);
    struct fb_slice name, address;
    char text[48];
    for (size_t i = 0; i < 4; i++) {
        assert_true(render_head_person(&rest, &name, &address));
        assert_true(fb_slice_eq_str(name, want[i][0]) && fb_slice_eq_str(address, want[i][1]));
    }
    assert_false(render_head_person(&rest, &name, &address));
    assert_int_equal(render_head_count(people), 4);
    assert_int_equal(render_head_count(NULL), 0);
    render_head_size(1023, text);
    assert_string_equal(text, "1023\u00a0B");
    render_head_size(1536, text);
    assert_string_equal(text, "1.5\u00a0KB");
    render_head_size(UINT64_MAX, text);
    render_head_more(true, SIZE_MAX, text);
    const struct render_letter none = {.is_japanese = true};
    assert_true(fb_slice_eq_str(render_head_subject(&none), "（件名なし）"));
    assert_true(render_head_subject_pt(fb_slice_of(people, 601)) < 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_mails_are_written_with_is_there),
        cmocka_unit_test(test_fonts_stand_on_one_baseline),
        cmocka_unit_test(test_variation_sequences_choose_their_shape),
        cmocka_unit_test(test_missing_characters_are_counted_as_painters_miss_them),
        cmocka_unit_test(test_all_of_a_letter_is_looked_at),
        cmocka_unit_test(test_families_that_senders_name),
        cmocka_unit_test(test_words_of_the_header_block),
    };
    render_text_warm();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
