/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/shown.h"

static void see(const char *text, bool is_html, const char *wanted)
{
    struct fb_buf out;
    fb_buf_init(&out, 1024);
    assert_int_equal(fb_shown_add(&out, text, is_html), FB_OK);
    assert_string_equal(fb_buf_str(&out), wanted);
    fb_buf_deinit(&out);
}

static void what_html_reads_as_its_own_is_escaped_in_html_only(void **state)
{
    (void)state;
    see("<a href=\"x\">'&'</a>", true, "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;");
    see("<a href=\"x\">'&'</a>", false, "<a href=\"x\">'&'</a>");
}

static void what_could_pass_for_our_words_becomes_a_blank(void **state)
{
    (void)state;
    static const char *const tricks[] = {
        "\n",           "\r",           "\t",           "\x7f",         "\xC2\x85",
        "\xD8\x9C",     "\xE2\x80\x8B", "\xE2\x80\x8E", "\xE2\x80\x8F", "\xE2\x80\xA8",
        "\xE2\x80\xAE", "\xE2\x81\xA0", "\xE2\x81\xA6", "\xE2\x81\xAF", "\xEF\xBB\xBF"};
    for (size_t i = 0; i < sizeof tricks / sizeof tricks[0]; i++) {
        struct fb_buf text;
        fb_buf_init(&text, 64);
        assert_int_equal(fb_buf_printf(&text, "a%sb", tricks[i]), FB_OK);
        see(fb_buf_str(&text), true, "a b");
        see(fb_buf_str(&text), false, "a b");
        fb_buf_deinit(&text);
    }
}

static void other_letters_and_cut_characters_stay(void **state)
{
    (void)state;
    see("山田 👨\xE2\x80\x8D👩 é", true, "山田 👨\xE2\x80\x8D👩 é"); /* U+200D joins, and stays */
    see("x\xE2\x80", true, "x\xE2\x80");
    see("x\xE2", false, "x\xE2");
    see("", true, "");
}

static void a_full_buffer_is_told(void **state)
{
    (void)state;
    struct fb_buf out;
    fb_buf_init(&out, 4);
    assert_int_not_equal(fb_shown_add(&out, "<<", true), FB_OK);
    fb_buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_html_reads_as_its_own_is_escaped_in_html_only),
        cmocka_unit_test(what_could_pass_for_our_words_becomes_a_blank),
        cmocka_unit_test(other_letters_and_cut_characters_stay),
        cmocka_unit_test(a_full_buffer_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
