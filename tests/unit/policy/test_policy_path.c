/* SPDX-License-Identifier: Apache-2.0
 *
 * The parent folders of a parcel: whatever the mail holds, the result is a relative path of names
 * that every storage takes, and the same for every retry.
 */
#include "help.h"

/* 2026-02-03 23:59:59 UTC, which is the next day in Japan. */
#define WHEN_MS 1770163199000LL
#define MSG_ID  "01ARZ3NDEKTSV4RRFFQ69G5FAV"

static void expand(const char *path, const char *sender, const char *domain, struct fb_buf *out)
{
    char text[2048];
    struct fb_error err = {0};
    (void)snprintf(text, sizeof(text),
                   PRELUDE "  - {name: 'A/B: \"C\".', storage: box, security: plain, path: '%s'}\n",
                   path);
    struct fb_policy *p = parse_good(text, NULL);
    fb_buf_init(out, 65536);
    assert_int_equal(
        fb_policy_expand_path(&p->rules[0], sender, domain, WHEN_MS, MSG_ID, out, &err), FB_OK);
    fb_policy_unref(&p);
}

static void placeholders_and_sanitizing(void **state)
{
    (void)state;
    static const struct {
        const char *name, *path, *sender, *domain, *want;
    } rows[] = {
        {"sample", "{sender}/{date:%Y-%m}", "Alice@Example.JP", "x.jp", "alice@example.jp/2026-02"},
        {"no path", "~", "a@b.c", "x.jp", "~"},
        {"domains", "{sender_domain} to {recipient_domain}", "a@B.C", "X.jp", "b.c to x.jp"},
        {"rule is cleaned", "{rule}", "a@b.c", "x", "A_B_ _C_"},
        {"id", "{msg_id}", "a@b.c", "x", MSG_ID},
        {"date default", "{date}", "a@b.c", "x", "2026-02-03"},
        {"date with folders", "{date:%Y/%m/%d}", "a@b.c", "x", "2026/02/03"},
        {"date, all conversions", "{date:%y%m%d%H-%j-%G-W%V 100%%}", "a@b.c", "x",
         "26020323-034-2026-W06 100%"},
        {"null sender", "{sender}/{sender_domain}/x", "", "x", "_/_/x"},
        {"slash in an address", "{sender}", "a/../b@c.d", "x", "a_.._b@c.d"},
        {"address of dots", "{sender}/y", "..", "x", "_/y"},
        {"dots at the ends", "{sender}", ".a@b.c.", "x", "a@b.c"},
        {"literal at the ends", " . a. /b", "a@b.c", "x", "a/b"},
        {"forbidden", "{sender}", "\\<>:\"|?*@c", "x", "________@c"},
        {"controls", "{sender}", "a\x01\x7f\xc2\x85\n@c", "x", "a____@c"},
        {"bidirectional", "{sender}", "a\xe2\x80\xae@c", "x", "a_@c"},
        {"zero width", "{sender}", "a\xe2\x80\x8b\xef\xbb\xbf@c", "x", "a__@c"},
        {"not utf-8", "{sender}", "a\xff\xc3@c", "x", "a__@c"},
        {"surrogate", "{sender}", "a\xed\xa0\x80@c", "x", "a___@c"},
        {"beyond the BMP", "{sender}", "a\xf0\x9f\x98\x80@c", "x", "a_@c"},
        {"Japanese stays", "件名/{sender}", "社長@例え.jp", "x", "件名/社長@例え.jp"},
        {"Japanese date", "{date:%Y年%m月}", "a@b.c", "x", "2026年02月"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fb_buf out;
        expand(rows[i].path, rows[i].sender, rows[i].domain, &out);
        if (strcmp(fb_buf_str(&out), rows[i].want) != 0) {
            fail_msg("%s: got \"%s\", want \"%s\"", rows[i].name, fb_buf_str(&out), rows[i].want);
        }
        fb_buf_deinit(&out);
    }
}

static void an_absent_path_is_no_folder(void **state)
{
    (void)state;
    struct fb_policy *p =
        parse_good(PRELUDE "  - {name: r, storage: box, security: plain}\n", NULL);
    struct fb_buf out;
    fb_buf_init(&out, 100);
    assert_int_equal(fb_policy_expand_path(&p->rules[0], "a@b.c", "x", WHEN_MS, MSG_ID, &out, NULL),
                     FB_OK);
    assert_int_equal(out.len, 0);
    fb_buf_deinit(&out);
    fb_policy_unref(&p);
}

static void a_name_is_cut_at_255_characters(void **state)
{
    (void)state;
    char sender[900];
    struct fb_buf out;
    memset(sender, 'a', 254);
    (void)snprintf(sender + 254, sizeof(sender) - 254, " .社@b.c");
    expand("{sender}/x", sender, "d", &out);
    assert_int_equal(out.len, 254 + 2); /* the space at the cut is trimmed */
    fb_buf_deinit(&out);
    sender[0] = '\0';
    for (size_t i = 0; i < 256; i++) {
        memcpy(sender + 3 * i, "社", 4);
    }
    expand("{sender}", sender, "d", &out);
    assert_int_equal(out.len, 255 * 3);
    fb_buf_deinit(&out);
}

static void a_full_buffer_keeps_what_it_had(void **state)
{
    (void)state;
    struct fb_policy *p = parse_good(
        PRELUDE "  - {name: r, storage: box, security: plain, path: '{sender}'}\n", NULL);
    struct fb_buf out;
    struct fb_error err = {0};
    fb_buf_init(&out, 8);
    assert_int_equal(fb_buf_add_str(&out, "root/"), FB_OK);
    assert_int_equal(
        fb_policy_expand_path(&p->rules[0], "alice@b.c", "x", WHEN_MS, MSG_ID, &out, &err),
        FB_TOO_BIG);
    assert_string_equal(fb_buf_str(&out), "root/");
    assert_int_equal(fb_policy_expand_path(&p->rules[0], "a", "x", -1, MSG_ID, &out, &err),
                     FB_INVALID);
    assert_int_equal(fb_policy_expand_path(&p->rules[0], "a", "x", INT64_MAX, MSG_ID, &out, &err),
                     FB_INVALID);
    assert_int_equal(fb_policy_expand_path(&p->rules[0], "abc", "x", WHEN_MS, MSG_ID, &out, &err),
                     FB_OK);
    assert_string_equal(fb_buf_str(&out), "root/abc");
    fb_buf_deinit(&out);
    fb_policy_unref(&p);
}

static void paths_that_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *path, *want;
    } rows[] = {
        {"..", "dots or spaces alone"},
        {"a/..", "dots or spaces alone"},
        {"{sender}/ . /x", "dots or spaces"},
        {"../{sender}", "dots or spaces"},
        {"/a", "empty folder name"},
        {"a/", "empty folder name"},
        {"a//b", "empty folder name"},
        {"{date:/}", "empty folder name"},
        {"{date:%Y/}", "empty folder name"},
        {"{date:..}", "dots or spaces"},
        {"{date:%}", "date conversion"},
        {"{date:%c}", "date conversion"},
        {"{date:}", "unknown placeholder"},
        {"{}", "unknown placeholder {}"},
        {"{Sender}", "unknown placeholder"},
        {"{sender", "counterpart"},
        {"sender}", "counterpart"},
        {"{{sender}}", "counterpart"},
        {"a/b/c/d/e/f/g/h/i/j/k", "more than 10 folders"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[256];
        struct finding_row row = {rows[i].path, text, 1, rows[i].want};
        (void)snprintf(text, sizeof(text),
                       "- {name: r, storage: box, security: plain, path: \"%s\"}\n", rows[i].path);
        check_errors(PRELUDE, PRELUDE_LINES, &row, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(placeholders_and_sanitizing),
        cmocka_unit_test(an_absent_path_is_no_folder),
        cmocka_unit_test(a_name_is_cut_at_255_characters),
        cmocka_unit_test(a_full_buffer_keeps_what_it_had),
        cmocka_unit_test(paths_that_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
