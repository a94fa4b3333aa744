/* SPDX-License-Identifier: Apache-2.0
 *
 * The words of the notice: right language, right facts, and values of strangers that stay values.
 */
#include "compose_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *write_of(struct kit *k, const char *kind, enum notice_form form)
{
    struct fb_buf out;
    fb_buf_init(&out, 1U << 20);
    enum fb_status s = strcmp(kind, "block") == 0 ? notice_write_block(&k->facts, form, &out)
                                                  : notice_write(&k->facts, kind, form, &out);
    assert_int_equal(s, FB_OK);
    char *text = fb_xstrdup(fb_buf_str(&out));
    fb_buf_deinit(&out);
    return text;
}

static void has(struct kit *k, const char *name, const char *kind, enum notice_form form,
                const char *want, bool is_there)
{
    char *text = write_of(k, kind, form);
    if ((strstr(text, want) != NULL) != is_there) {
        fail_msg("%s: %s \"%s\" in:\n%s", name, is_there ? "no" : "unwanted", want, text);
    }
    free(text);
}

static void both(struct kit *k, const char *name, const char *want, bool is_there)
{
    has(k, name, "notice", NOTICE_TEXT, want, is_there);
    has(k, name, "notice", NOTICE_HTML, want, is_there);
}

#define JA "安全な保管場所"
#define EN "kept in a secure place"

static void test_speaks_the_language_of_the_mail(void **state)
{
    struct kit *k = *state;
    static const struct {
        const char *notices, *plan;
        bool ja, en;
    } rows[] = {
        {"{language: auto}", "ja", true, false},  {"{language: auto}", "en", false, true},
        {"{language: auto}", "both", true, true}, {"{}", "ja", true, false},
        {"{language: en}", "ja", false, true},    {"{language: ja}", "en", true, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        kit_policy(k, rows[i].notices);
        k->plan.language = kit_lend(rows[i].plan);
        both(k, rows[i].plan, JA, rows[i].ja);
        both(k, rows[i].plan, EN, rows[i].en);
    }
}

static void test_says_what_where_who_and_until_when(void **state)
{
    struct kit *k = *state;
    static const char *const words[] = {
        "report.xlsx",       "1.5 KB", "b@y, c@y", "2026-01-01 00:00 UTC", "a@example.jp",
        "may be downloaded", "Box"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        both(k, "en", words[i], true);
    }
    has(k, "link", "notice", NOTICE_TEXT, KIT_LINK, true);
    has(k, "link", "notice", NOTICE_HTML, "href=\"https://box.example/s/abc?x=1&amp;y=2\"", true);
    k->plan.language = kit_lend("ja");
    both(k, "ja", "2026年01月01日 09:00 (日本時間)", true);
    both(k, "ja", "アカウントをお持ちでない方", true);
    k->parcel.can_download = false;
    k->parcel.expires_ms = 0;
    both(k, "ja", "閲覧のみ", true);
    both(k, "ja", "期限なし", true);
}

static void test_says_how_to_get_in(void **state)
{
    struct kit *k = *state;
    static const struct {
        const char *access, *vault, *password, *want, *want_not; /* vault: the proof there */
    } rows[] = {
        {"recipients", NULL, "", "If you have no Box account", "password"},
        {"company", NULL, "", "sender&#39;s organisation", "If you have no Box account"},
        {"anyone", NULL, "", "Whoever has this link", "logging in"},
        {"anyone", NULL, "s3cret", "the password comes in another mail", "Whoever"},
        {"recipients", "s", "", "mails a code to the address at which you", "Box"},
        {"recipients", "s", "", "nobody else can open it", "password"},
        {"recipients", "totp", "", "set up an authenticator app", "Box"},
        {"anyone", "link", "", "whoever has it can open it", "mails a code"},
        {"recipients", "members", "", "People with an address in the same domain", "nobody else"},
        {"recipients", "s", "s3cret", "needed as well; it comes in another mail",
         "ask the sender for it"},
        {"recipients", "gone", "", "You need no account", "Box"},
        {"company", "s", "", "b@y, c@y", "organisation"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        k->parcel.access = kit_lend(rows[i].access);
        k->facts.is_vault = rows[i].vault != NULL;
        k->branch.security = rows[i].vault != NULL ? kit_lend(rows[i].vault) : NULL;
        k->parcel.password = kit_lend(rows[i].password);
        has(k, rows[i].access, "notice", NOTICE_HTML, rows[i].want, true);
        has(k, rows[i].access, "notice", NOTICE_HTML, rows[i].want_not, false);
        both(k, rows[i].access, "s3cret", false); /* never beside the link */
    }
    k->facts.is_vault = true;
    k->parcel.password = kit_lend("s3cret");
    k->parcel.password_to_sender = true;
    both(k, "told by the sender", "ask the sender for it", true);
    both(k, "told by the sender", "s3cret", false);
    k->parcel.password_to_sender = false;
    has(k, "password", "password", NOTICE_TEXT, "s3cret", true);
    has(k, "password", "password", NOTICE_HTML, "s3cret", true);
    has(k, "password", "password", NOTICE_TEXT, "https://", false); /* never beside the password */
    has(k, "password", "password", NOTICE_HTML, "https://", false);
}

static void test_values_cannot_become_words_of_ours(void **state)
{
    struct kit *k = *state;
    k->plan.subject =
        kit_lend("<script>alert('1')</script> & \"x\"\r\nLine\u202Egnp.exe\u2028\xc2\x85");
    k->files[0].name = kit_lend("a<img src=x>\n{{password}}.txt");
    k->envelope.reverse_path = kit_lend("\"<b>\"@x");
    k->parcel.password = kit_lend("s3cret");
    has(k, "html", "notice", NOTICE_HTML, "<script", false);
    has(k, "html", "notice", NOTICE_HTML, "<img src=x", false);
    has(k, "html", "notice", NOTICE_HTML, "<b>\"", false);
    has(k, "html", "notice", NOTICE_HTML,
        "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &quot;x&quot;  Line gnp.exe  ",
        true);
    has(k, "text", "notice", NOTICE_TEXT,
        "Subject: <script>alert('1')</script> & \"x\"  Line gnp.exe  \n", true);
    both(k, "placeholder in a name", "s3cret", false);
    both(k, "placeholder in a name", "{{password}}.txt", true);
}

static void test_the_tag_is_gone_from_the_words_too(void **state)
{
    struct kit *k = *state;
    k->plan.subject = kit_lend("Re: [SECURE] Report");
    both(k, "rule keeps it", "[SECURE]", true);
    k->branch.subject = kit_lend("Re: Report");
    both(k, "rule strips it", "[SECURE]", false);
    both(k, "rule strips it", "Re: Report", true);
    k->branch.rule = kit_lend("gone meanwhile");
    both(k, "unknown rule", "Report", true);
}

static void test_long_lists_are_cut(void **state)
{
    struct kit *k = *state;
    const char *readers[25];
    char names[60][16];
    for (size_t i = 0; i < 25; i++) {
        readers[i] = "r@y";
    }
    for (size_t i = 0; i < 60; i++) {
        (void)snprintf(names[i], sizeof names[i], "f%zu.txt", i);
        k->files[i] = (struct fb_parcel_file){.name = names[i], .size = 1};
    }
    k->facts.readers = readers;
    k->facts.reader_count = 25;
    k->parcel.file_count = 60;
    both(k, "readers", "and 5 more", true);
    both(k, "files", "f49.txt", true);
    both(k, "files", "f50.txt", false);
    both(k, "files", "and 10 more", true);
}

static void test_the_policy_may_bring_its_own_words(void **state)
{
    struct kit *k = *state;
    kit_policy(k, "{organisation: \"例 & Co\", templates: {notice.en.text: \"A {{organisation}} "
                  "{{link}} {{file_count}} {{size}}"
                  "{{logo}}{{recipient}}{{msg_id}}|\", notice.en.html: \"<p>{{organisation}} <a "
                  "href='{{link}}'>x</a></p>\"}}");
    k->facts.recipient = "bcc@y";
    char want[200];
    (void)snprintf(want, sizeof want, "A 例 & Co " KIT_LINK " 1 1.5 KBbcc@y%s|", k->plan.msg_id);
    has(k, "text", "notice", NOTICE_TEXT, want, true);
    has(k, "html", "notice", NOTICE_HTML,
        "<p>例 &amp; Co <a href='https://box.example/s/abc?x=1&amp;y=2'>x</a></p>", true);
    has(k, "html", "notice", NOTICE_HTML, EN, false);
    has(k, "html brings its own frame", "notice", NOTICE_HTML, "<table", false);
    k->plan.language = kit_lend("both");
    has(k, "ours for the other language", "notice", NOTICE_TEXT, JA, true);
    has(k, "ours for the other language", "notice", NOTICE_HTML, JA, true);
}

static void test_names_organisation_and_logo(void **state)
{
    struct kit *k = *state;
    has(k, "neither", "notice", NOTICE_HTML, "<img", false);
    kit_policy(k, "{organisation: \"O & Co\", logo: /logo.png}");
    has(k, "name", "notice", NOTICE_HTML, "O &amp; Co", true);
    has(k, "no logo could be loaded", "notice", NOTICE_HTML, "<img", false);
    k->facts.has_logo = true;
    has(k, "logo", "notice", NOTICE_HTML, "<img src=\"cid:logo@fumibako\"", true);
    has(k, "logo", "notice", NOTICE_TEXT, "cid:", false);
}

/* Tables balance, no style sheet, no script, nothing to fetch. */
static void test_html_is_fit_for_mail_readers(void **state)
{
    struct kit *k = *state;
    static const char *const languages[] = {"ja", "en", "both"};
    static const char *const kinds[] = {"notice", "password", "block"};
    static const char *const tags[] = {"table", "tr", "td", "p", "a", "span", "b", "div"};
    kit_policy(k, "{organisation: O}");
    k->facts.has_logo = true;
    for (size_t i = 0; i < 9; i++) {
        k->plan.language = kit_lend(languages[i / 3]);
        char *html = write_of(k, kinds[i % 3], NOTICE_HTML);
        for (size_t t = 0; t < sizeof tags / sizeof tags[0]; t++) {
            char open[16], open2[16], close[16];
            int count = 0;
            (void)snprintf(open, sizeof open, "<%s ", tags[t]);
            (void)snprintf(open2, sizeof open2, "<%s>", tags[t]);
            (void)snprintf(close, sizeof close, "</%s>", tags[t]);
            for (const char *p = html; (p = strchr(p, '<')) != NULL; p++) {
                count +=
                    strncmp(p, open, strlen(open)) == 0 || strncmp(p, open2, strlen(open2)) == 0;
                count -= strncmp(p, close, strlen(close)) == 0;
            }
            if (count != 0) {
                fail_msg("%s %s: %s: %d more opened than closed", languages[i / 3], kinds[i % 3],
                         tags[t], count);
            }
        }
        assert_null(strstr(html, "<style"));
        assert_null(strstr(html, "<script"));
        assert_null(strstr(html, "src=\"http"));
        assert_null(strstr(html, "{{"));
        free(html);
        char *text = write_of(k, kinds[i % 3], NOTICE_TEXT);
        assert_null(strstr(text, "{{"));
        assert_null(strstr(text, "<"));
        free(text);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_speaks_the_language_of_the_mail),
        TEST(test_says_what_where_who_and_until_when),
        TEST(test_says_how_to_get_in),
        TEST(test_values_cannot_become_words_of_ours),
        TEST(test_the_tag_is_gone_from_the_words_too),
        TEST(test_long_lists_are_cut),
        TEST(test_the_policy_may_bring_its_own_words),
        TEST(test_names_organisation_and_logo),
        TEST(test_html_is_fit_for_mail_readers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
