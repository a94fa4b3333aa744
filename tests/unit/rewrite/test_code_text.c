/* SPDX-License-Identifier: Apache-2.0
 *
 * The mail with a reader's code: the code at a glance, whose mail it opens, how long it is valid, and
 * what to do when nobody asked for it; nothing of that mail's content.
 */
#include "compose_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/job.h"

#define PARCEL "01ARZ3NDEKTSV4RRFFQ69G5FAV-3"

static struct code_facts facts_of(const struct kit *k, const char *language)
{
    return (struct code_facts){.policy = k->policy,
                               .language = language,
                               .code = "042917",
                               .to = "b@y",
                               .sender = "a@example.jp",
                               .postmaster = "postmaster@example.jp",
                               .msg_id = "01ARZ3NDEKTSV4RRFFQ69G5FAV",
                               .sent_ms = 1764000000000,
                               .minutes = 10};
}

static void has(const struct code_facts *f, enum notice_form form, const char *want, bool is_there)
{
    struct fb_buf out;
    fb_buf_init(&out, 1U << 20);
    assert_int_equal(code_write(f, form, &out), FB_OK);
    if ((strstr(fb_buf_str(&out), want) != NULL) != is_there) {
        fail_msg("%s \"%s\" in:\n%s", is_there ? "no" : "unwanted", want, fb_buf_str(&out));
    }
    fb_buf_deinit(&out);
}

static void both(const struct code_facts *f, const char *want, bool is_there)
{
    has(f, NOTICE_TEXT, want, is_there);
    has(f, NOTICE_HTML, want, is_there);
}

static void test_says_the_code_whose_mail_how_long_and_what_to_do(void **state)
{
    struct kit *k = *state;
    struct code_facts f = facts_of(k, "en");
    has(&f, NOTICE_TEXT, "Your code is 042917\n", true);
    has(&f, NOTICE_HTML, ">042917<", true);
    both(&f, "the mail that a@example.jp sent you", true);
    both(&f, "within 10 minutes", true);
    both(&f, "If you did not ask for a code you need not do anything", true);
    both(&f, "postmaster@example.jp", true);
    both(&f, "確認コード", false);
    f = facts_of(k, "ja");
    has(&f, NOTICE_TEXT, "確認コード: 042917\n", true);
    both(&f, "a@example.jp からのメールを開くためのコード", true);
    both(&f, "10 分間", true);
    both(&f, "お心当たりのない場合は", true);
    both(&f, "Your code", false);
    f = facts_of(k, "both");
    has(&f, NOTICE_TEXT, "確認コード: 042917\n", true);
    has(&f, NOTICE_TEXT, "Your code is 042917\n", true);
    f = facts_of(k, "en");
    f.sender = ""; /* neither manifest nor ledger: nothing is made up */
    both(&f, "the mail that was sent to you", true);
}

static void test_values_cannot_become_words_of_ours(void **state)
{
    struct kit *k = *state;
    struct code_facts f = facts_of(k, "en");
    f.sender = "<b>\n{{code}}@x";
    has(&f, NOTICE_HTML, "<b>", false);
    has(&f, NOTICE_HTML, "&lt;b&gt; {{code}}@x", true);
    has(&f, NOTICE_TEXT, "<b> {{code}}@x", true);
}

static void test_the_policys_own_text_is_used(void **state)
{
    struct kit *k = *state;
    kit_policy(k, "{organisation: Hako, templates: {code.en.text: \"{{organisation}} {{code}} "
                  "{{valid_minutes}} {{recipient}} {{sender}} [{{subject}}]\"}}");
    struct code_facts f = facts_of(k, "en");
    has(&f, NOTICE_TEXT, "Hako 042917 10 b@y a@example.jp []", true);
}

static void test_the_mail_is_a_letter_with_a_name_of_its_own(void **state)
{
    struct kit *k = *state;
    struct content c;
    struct fb_error err = {0};
    struct fb_job job = {.stage = FB_STAGE_REWRITE,
                         .msg_id = "01ARZ3NDEKTSV4RRFFQ69G5FAV",
                         .branch = 3,
                         .reader = 7,
                         .letter = FB_LETTER_CODE,
                         .first_ms = 1764000000123};
    const struct code_facts f = facts_of(k, "both");
    content_init(&c, NULL);
    if (compose_code(&f, &job, KIT_KEY, &c, &err) != FB_OK) {
        fail_msg("%s", err.text);
    }
    struct fb_buf mail = kit_read(&c);
    const char *text = fb_buf_str(&mail);
    size_t head = (size_t)(strstr(text, "\r\n\r\n") - text);
    char *header = fb_slice_dup_str(fb_slice_of(text, head));
    assert_non_null(strstr(header, "To: <b@y>\r\n"));
    assert_non_null(strstr(header, "Message-ID: <code-" PARCEL "-7-1764000000123@example.jp>\r\n"));
    assert_non_null(strstr(header, "Auto-Submitted: auto-generated\r\n"));
    assert_non_null(strstr(header, "X-Fumibako-Id: "));
    assert_null(strstr(header, "042917")); /* it shows on locked screens */
    free(header);
    fb_buf_deinit(&mail);
    content_deinit(&c);
}

int main(void)
{
#define WITH_KIT(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)
    const struct CMUnitTest tests[] = {
        WITH_KIT(test_says_the_code_whose_mail_how_long_and_what_to_do),
        WITH_KIT(test_values_cannot_become_words_of_ours),
        WITH_KIT(test_the_policys_own_text_is_used),
        WITH_KIT(test_the_mail_is_a_letter_with_a_name_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
