/* SPDX-License-Identifier: Apache-2.0
 *
 * The letters to a sender: what they say is what is known, in the right language; values of
 * strangers stay values; the header wakes no responder.
 */
#include "letter_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/trace_header.h"

static char *text_of(const struct letter_facts *f, enum notice_form form)
{
    struct fb_buf out;
    fb_buf_init(&out, 4U << 20);
    assert_int_equal(letter_write(f, form, &out), FB_OK);
    char *text = fb_xstrdup(fb_buf_str(&out));
    fb_buf_deinit(&out);
    return text;
}

static void has(const struct letter_facts *f, const char *want, bool is_there)
{
    for (int form = NOTICE_TEXT; form <= NOTICE_HTML; form++) {
        char *text = text_of(f, (enum notice_form)form);
        if ((strstr(text, want) != NULL) != is_there) {
            fail_msg("%s \"%s\" in:\n%s", is_there ? "no" : "unwanted", want, text);
        }
        free(text);
    }
}

static void subject_is(const struct letter_facts *f, const char *want)
{
    struct fb_buf out;
    fb_buf_init(&out, 8192);
    assert_int_equal(letter_write_subject(f, &out), FB_OK);
    assert_string_equal(fb_buf_str(&out), want);
    fb_buf_deinit(&out);
}

static const enum fb_letter letters[] = {FB_LETTER_RECEIPT, FB_LETTER_HELD, FB_LETTER_RECALL,
                                         FB_LETTER_UNOPENED};
#define LETTER_COUNT (sizeof letters / sizeof letters[0])

static void test_every_letter_says_which_mail_it_is_about_in_its_language(void **state)
{
    struct kit *k = *state;
    for (size_t i = 0; i < LETTER_COUNT; i++) {
        struct letter_kit l;
        letter_kit_init(&l, letters[i], k->policy);
        has(&l.facts, "Report", true);
        has(&l.facts, "2026-11-25 03:00 UTC", true);
        has(&l.facts, "b@y", true);
        has(&l.facts, "c@y", true);
        has(&l.facts, "お送りになった", false);
        has(&l.facts, "{{", false);
        l.facts.language = "ja";
        has(&l.facts, "2026年11月25日 12:00 (日本時間)", true);
        has(&l.facts, "You sent it at", false);
        has(&l.facts, "{{", false);
        l.facts.language = "both";
        has(&l.facts, "お送りになった", true);
        has(&l.facts, "You sent it at", true);
        has(&l.facts, "English follows below.", true);
        l.facts.subject = "";
        has(&l.facts, "(no subject)", true);
        l.facts.has_title = false;
        has(&l.facts, "(not recorded)", true);
    }
}

static void test_subjects_name_the_letter_and_the_mail(void **state)
{
    struct kit *k = *state;
    struct letter_kit l;
    static const struct {
        enum fb_letter letter;
        bool is_final;
        const char *language, *want;
    } rows[] = {
        {FB_LETTER_RECEIPT, false, "en", "Receipt: Report"},
        {FB_LETTER_RECEIPT, false, "ja", "送信の控え: Report"},
        {FB_LETTER_HELD, false, "both", "配送を保留しています (Held): Report"},
        {FB_LETTER_UNOPENED, false, "en", "Not opened yet: Report"},
        {FB_LETTER_RECALL, false, "en", "Recall, interim report: Report"},
        {FB_LETTER_RECALL, true, "ja", "取り消しの結果: Report"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        letter_kit_init(&l, rows[i].letter, k->policy);
        l.facts.language = rows[i].language;
        l.facts.is_final = rows[i].is_final;
        subject_is(&l.facts, rows[i].want);
    }
    l.facts.subject = "";
    subject_is(&l.facts, "取り消しの結果");
    l.facts.subject = "a\r\nBcc: x@y";
    subject_is(&l.facts, "取り消しの結果: a  Bcc: x@y");
}

static void test_the_receipt_says_what_for_whom_and_until_when(void **state)
{
    struct kit *k = *state;
    struct letter_kit l;
    letter_kit_init(&l, FB_LETTER_RECEIPT, k->policy);
    has(&l.facts, "report.xlsx", true);
    has(&l.facts, "1.5 KB", true);
    has(&l.facts, "2026-12-28 03:00 UTC", true);
    has(&l.facts, "these recipients only", true);
    has(&l.facts, "may be downloaded", true);
    has(&l.facts, LETTER_PAGE, true);
    has(&l.facts, "exactly the address", false); /* everybody has an account */
    l.persons[1].is_pending = true;
    has(&l.facts, "exactly the address", true);
    has(&l.facts, "c@y (no account yet)", true);
    has(&l.facts, "b@y (no account yet)", false);
    l.facts.page = "";
    has(&l.facts,
        "ask the administrator (postmaster@example.jp) and give the mail number " LETTER_ID, true);
    l.facts.access = "anyone";
    l.facts.has_password = true;
    has(&l.facts, "whoever has the link (the password went to them in another mail)", true);
    l.facts.has_parcel = false; /* the manifest is lost: nothing is made up */
    l.facts.file_count = 0;
    has(&l.facts, "downloaded", false);
    has(&l.facts, "Inside", false);
    has(&l.facts, "b@y", true);
}

static void test_the_receipt_of_a_vault_says_who_reads_how(void **state)
{
    struct kit *k = *state;
    struct letter_kit l;
    letter_kit_init(&l, FB_LETTER_RECEIPT, k->policy);
    l.facts.is_vault = true;
    has(&l.facts, "these recipients only, each with a link of their own", true);
    l.facts.security = "link";
    has(&l.facts, "whoever has it can open it", true);
    l.facts.security = "members";
    has(&l.facts, "people with an address in their domain", true);
    l.facts.has_password = true;
    has(&l.facts, "(the password went to them in another mail)", true);
    has(&l.facts, "Kq7-mZ2", false);
    l.facts.password = "Kq7-mZ2-rT9";
    has(&l.facts, "Kq7-mZ2-rT9", true);
    has(&l.facts, "It was not sent to the recipients", true);
    has(&l.facts, "another mail", false);
    l.facts.letter = FB_LETTER_UNOPENED; /* only once */
    has(&l.facts, "Kq7-mZ2", false);
    letter_kit_init(&l, FB_LETTER_RECEIPT, k->policy);
    l.persons[1].is_fallback = true;
    has(&l.facts, "c@y (no account: reads on a page that needs none)", true);
    has(&l.facts, "exactly the address", false);
}

static void test_the_held_letter_says_why_and_what_comes_next(void **state)
{
    struct kit *k = *state;
    struct letter_kit l;
    letter_kit_init(&l, FB_LETTER_HELD, k->policy);
    has(&l.facts, "have got neither its content nor a notice", true);
    has(&l.facts, "Its processing broke off repeatedly.", true);
    has(&l.facts, "2026-12-28 03:00 UTC", true);
    has(&l.facts, "postmaster@example.jp", true);
    has(&l.facts, LETTER_PAGE, false);
    for (int s = FB_OK; s < FB_STATUS_COUNT; s++) {
        l.facts.why = (enum fb_status)s;
        has(&l.facts, "Why", true);
    }
    l.persons[1].is_maybe_out = true; /* then nobody may say that nobody has it */
    has(&l.facts, "have got neither", false);
    has(&l.facts, "c@y (may have got it)", true);
    has(&l.facts, "b@y (may", false);
    l.facts.language = "ja";
    has(&l.facts, "次の方には、内容もお知らせも届いていません", false);
    has(&l.facts, "c@y (届いている可能性があります)", true);
}

static void test_the_reminder_admits_that_the_log_is_not_read(void **state)
{
    struct kit *k = *state;
    struct letter_kit l;
    letter_kit_init(&l, FB_LETTER_UNOPENED, k->policy);
    has(&l.facts, "The storage&#39;s log", false);
    has(&l.facts, "log was read up to 2026-11-28 02:59 UTC", true);
    has(&l.facts, "3 day(s) ago", true);
    l.facts.log_until_ms = 0;
    has(&l.facts, "log was read", false);
    has(&l.facts, "so they may well have opened it", true);
    l.facts.language = "ja";
    has(&l.facts, "実際には開かれている可能性があります", true);
}

/* ---- recall ---- */

static void result(const struct letter_facts *facts, const char *en, const char *ja)
{
    struct letter_facts f = *facts;
    f.language = "en";
    has(&f, en, true);
    f.language = "ja";
    has(&f, ja, true);
}

#define GOOD_EN                                                                                    \
    "Everything was taken back in time: as of 2026-11-28 02:59 UTC no access is recorded"
#define GOOD_JA "すべて取り消しが間に合いました。2026年11月28日 11:59 (日本時間) の時点で"

static void test_the_head_line_of_a_recall_is_true(void **state)
{
    struct kit *k = *state;
    struct letter_kit l;
    letter_kit_init(&l, FB_LETTER_RECALL, k->policy);
    result(&l.facts, GOOD_EN, GOOD_JA);

    l.evidence[1].log_until_ms = LETTER_NOW - 300000; /* the one that is known least about counts */
    result(&l.facts, "as of 2026-11-28 02:55 UTC no access", "11:55 (日本時間) の時点で、どの宛先");

    l.evidence[0] = (struct fb_evidence){.kind = FB_EV_STOPPED, .is_final = true};
    result(&l.facts, "as of 2026-11-28 02:55 UTC no access", "11:55 (日本時間) の時点で、どの宛先");
    l.evidence[1] = l.evidence[0];
    result(&l.facts, "Everything was stopped in time: no mail went out.",
           "すべて送信前に止めました。");

    letter_kit_init(&l, FB_LETTER_RECALL, k->policy);
    l.evidence[1].log_from_ms = LETTER_NOW - 86400000; /* then nobody knows that it was in time */
    result(&l.facts, "The recall has ended. Records from before", "取り消しは終わりました。");
    result(&l.facts, "Records from before 2026-11-27 03:00 UTC may be lost.",
           "2026年11月27日 12:00 (日本時間) より前の記録は失われている可能性があります。");
    l.evidence[0] = (struct fb_evidence){.kind = FB_EV_STOPPED, .is_final = true};

    static const struct {
        const char *name;
        struct fb_evidence e;
        const char *en, *ja;
    } rows[] = {
        {"stopped while it was granted",
         {.kind = FB_EV_STOPPED},
         "For 1 of 2 recipients access is not removed yet",
         "宛先 2 名のうち 1 名のアクセス権をまだ取り消せていません。"},
        {"opened",
         {.kind = FB_EV_CLOSED, .previews = 1, .is_final = true, .log_until_ms = 1},
         "For 1 of 2 recipients the content had been opened before.",
         "宛先 2 名のうち 1 名については、取り消しの前に開かれています。"},
        {"by somebody",
         {.kind = FB_EV_CLOSED, .by_others = true, .is_final = true, .log_until_ms = 1},
         "For 1 of 2 recipients the content had been opened before.",
         "宛先 2 名のうち 1 名については、取り消しの前に開かれています。"},
        {"downloaded",
         {.kind = FB_EV_CLOSED, .downloads = 1, .is_final = true, .log_until_ms = 1},
         "For 1 of 2 recipients a copy is out of reach.",
         "宛先 2 名のうち 1 名については、取り戻せないコピーがあります。"},
        {"plain",
         {.kind = FB_EV_PLAIN, .is_final = true},
         "For 1 of 2 recipients a copy is out of reach.",
         "宛先 2 名のうち 1 名については、取り戻せないコピーがあります。"},
        {"maybe out",
         {.kind = FB_EV_MAYBE_OUT},
         "For 1 of 2 recipients a copy is out of reach.",
         "宛先 2 名のうち 1 名については、取り戻せないコピーがあります。"},
        {"failed",
         {.kind = FB_EV_FAILED},
         "For 1 of 2 recipients access could not be removed",
         "宛先 2 名のうち 1 名のアクセス権を取り消せませんでした。"},
        {"still closing",
         {.kind = FB_EV_CLOSING},
         "For 1 of 2 recipients access is not removed yet",
         "宛先 2 名のうち 1 名のアクセス権をまだ取り消せていません。"},
        {"restored",
         {.kind = FB_EV_OPEN},
         "For 1 of 2 recipients the recall was undone since.",
         "宛先 2 名のうち 1 名については、取り消しのあとで元に戻されています。"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        l.evidence[1] = rows[i].e;
        result(&l.facts, rows[i].en, rows[i].ja);
        result(&l.facts, "The recall has ended.", "取り消しは終わりました。");
        l.facts.language = "en";
        has(&l.facts, "Everything", false);
        l.facts.language = "ja";
        has(&l.facts, "すべて", false);
    }
}

static void test_an_interim_report_promises_another_one(void **state)
{
    struct kit *k = *state;
    struct letter_kit l;
    letter_kit_init(&l, FB_LETTER_RECALL, k->policy);
    l.facts.is_final = false;
    l.evidence[0].is_final = false;
    l.evidence[0].complete_ms = LETTER_NOW + 1;
    result(&l.facts, "log is not complete until 2026-11-28 03:01 UTC, checking again",
           "保管場所の記録は 2026年11月28日 12:01 (日本時間) "
           "まで揃わないため、引き続き確認しています");
    result(&l.facts, "You will get another report", "もう一度お知らせします");
    l.facts.language = "en";
    has(&l.facts, "Everything", false);
    /* a day later: the last word, which does not claim that somebody still looks */
    l.facts.is_final = true;
    l.facts.is_given_up = true;
    l.evidence[0].complete_ms = 0;
    l.evidence[1].complete_ms = 0;
    result(&l.facts, "could not be read to its end", "最後まで読み取れ");
    l.facts.language = "both";
    has(&l.facts, "checking again", false);
    has(&l.facts, "引き続き確認", false);
    has(&l.facts, "Everything", false);
    has(&l.facts, "You will get another report", false);
}

static void test_the_reason_is_there_when_one_was_given(void **state)
{
    struct kit *k = *state;
    struct letter_kit l;
    letter_kit_init(&l, FB_LETTER_RECALL, k->policy);
    has(&l.facts, "Reason given", false);
    l.facts.reason = "<b>wrong</b> recipient";
    has(&l.facts, "Reason given", true);
    l.facts.actor = "operator <root>";
    char *html = text_of(&l.facts, NOTICE_HTML);
    assert_null(strstr(html, "<b>wrong"));
    assert_non_null(strstr(html, "&lt;b&gt;wrong&lt;/b&gt; recipient"));
    assert_non_null(strstr(html, "operator &lt;root&gt;"));
    free(html);
}

/* ---- strangers' values ---- */

static void test_values_cannot_become_words_of_ours(void **state)
{
    struct kit *k = *state;
    for (size_t i = 0; i < LETTER_COUNT; i++) {
        struct letter_kit l;
        letter_kit_init(&l, letters[i], k->policy);
        l.facts.subject = "<script>alert('1')</script>{{recipients}}\nLine\u202Egnp.exe\u2028";
        l.facts.sender = "\"<img>\"@x";
        l.persons[0].address = "\"<svg/onload=x>\"@y";
        l.files[0].name = kit_lend("a<img src=x>\n{{postmaster}}.txt");
        char *html = text_of(&l.facts, NOTICE_HTML);
        char *text = text_of(&l.facts, NOTICE_TEXT);
        assert_null(strstr(html, "<script"));
        assert_null(strstr(html, "<svg"));
        assert_null(strstr(html, "<img src=x"));
        assert_non_null(strstr(html, "{{recipients}}")); /* a value, not filled in */
        assert_null(strstr(text, "\nLine"));
        assert_null(strstr(text, "\u202E"));
        assert_null(strstr(html, "\u2028"));
        free(html);
        free(text);
    }
}

static void test_thousands_of_recipients_make_a_bounded_letter(void **state)
{
    struct kit *k = *state;
    struct letter_kit l;
    letter_kit_init(&l, FB_LETTER_RECALL, k->policy);
    struct letter_person *persons = fb_xcalloc(10000, sizeof *persons);
    for (size_t i = 0; i < 10000; i++) {
        persons[i] =
            (struct letter_person){.address = "quiet@example.com", .evidence = &l.evidence[0]};
    }
    l.evidence[1].downloads = 1;
    persons[9999] =
        (struct letter_person){.address = "loud@example.com", .evidence = &l.evidence[1]};
    l.facts.persons = persons;
    l.facts.person_count = 10000;
    has(&l.facts, "loud@example.com", true); /* who has a copy is never among the others */
    has(&l.facts, "and 9500 more", true);
    has(&l.facts, "For 1 of 10000 recipients a copy", true);
    char *html = text_of(&l.facts, NOTICE_HTML);
    assert_true(strlen(html) < 300000);
    free(html);
    free(persons);
}

/* ---- the policy's words ---- */

static void test_the_policy_s_templates_are_used_with_every_placeholder(void **state)
{
    struct kit *k = *state;
    static const struct {
        enum fb_letter letter;
        const char *notices, *want;
    } rows[] = {
        {FB_LETTER_RECEIPT,
         "{templates: {receipt.en.text: \"R {{recipients}}|{{pending}}|{{account_help}}|{{files}}|"
         "{{file_count}}|{{size}}|{{access}}|{{download}}|{{expires}}|{{rule}}|{{security}}|"
         "{{storage}}|{{recall_link}}|{{recall_help}}|{{postmaster}}|{{recipient}}|{{msg_id}}\"}}",
         "R   - b@y\n  - c@y\n|||  - report.xlsx (1.5 KB)\n  - plan.pdf (2.0 KB)\n|2|3.5 KB|these "
         "recipients only|may be downloaded|2026-12-28 03:00 UTC|tagged|s|box|" LETTER_PAGE
         "|On this page you see each recipient's state and can recall the mail. Whoever has the "
         "link can do so, too: do not forward it.|postmaster@example.jp|a@example.jp|" LETTER_ID},
        {FB_LETTER_HELD,
         "{templates: {held.en.text: \"H {{recipients}}|{{reason}}|{{until}}|{{postmaster}}\"}}",
         "H   - b@y\n  - c@y\n|Its processing broke off repeatedly.|2026-12-28 03:00 "
         "UTC|postmaster@example.jp"},
        {FB_LETTER_RECALL,
         "{templates: {recalled.en.text: \"C {{opened}}|{{unopened}}|{{recalled_at}}|{{actor}}|"
         "{{reason}}|{{recall_link}}\"}}",
         "C |b@y, c@y|2026-11-28 02:30 UTC|a@example.jp||" LETTER_PAGE},
        {FB_LETTER_UNOPENED,
         "{templates: {reminder.en.text: \"U "
         "{{recipients}}|{{days}}|{{since}}|{{expires}}|{{log}}\"}}",
         "U   - b@y\n  - c@y\n|3|2026-11-25 03:00 UTC|2026-12-28 03:00 UTC|The storage's log was "
         "read up to 2026-11-28 02:59 UTC."},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct letter_kit l;
        kit_policy(k, rows[i].notices);
        letter_kit_init(&l, rows[i].letter, k->policy);
        char *text = text_of(&l.facts, NOTICE_TEXT);
        assert_string_equal(text, rows[i].want);
        free(text);
        char *html = text_of(&l.facts, NOTICE_HTML); /* not replaced: ours */
        assert_non_null(strstr(html, "You sent it at"));
        free(html);
    }
}

/* ---- the mail ---- */

static void has_field(const struct fb_buf *mail, const char *field, bool is_there)
{
    char line[300];
    (void)snprintf(line, sizeof line, "\r\n%s", field);
    size_t head = fb_slice_find(fb_slice_buf(mail), FB_SLICE_LITERAL("\r\n\r\n"));
    size_t at = fb_slice_find(fb_slice_sub(fb_slice_buf(mail), 0, head + 2), fb_slice_str(line));
    if ((at != SIZE_MAX) != is_there) {
        fail_msg("%s %s in %s", is_there ? "no" : "unwanted", field, fb_buf_str(mail));
    }
}

static void test_the_header_wakes_no_responder_and_is_ours(void **state)
{
    struct kit *k = *state;
    static const char *const names[] = {"receipt-" LETTER_ID "-3", "held-" LETTER_ID "-3",
                                        "recall-" LETTER_RC "-final", "unopened-" LETTER_ID "-3"};
    for (size_t i = 0; i < LETTER_COUNT; i++) {
        struct letter_kit l;
        struct content c;
        struct fb_error err = {0};
        char id[200];
        letter_kit_init(&l, letters[i], k->policy);
        l.job.branch = 3;
        content_init(&c, NULL);
        assert_int_equal(compose_letter(&l.facts, &l.job, KIT_KEY, &c, &err), FB_OK);
        struct fb_buf mail = kit_read(&c);
        (void)snprintf(id, sizeof id, "Message-ID: <%s@example.jp>\r\n", names[i]);
        kit_check_lines(&mail);
        has_field(&mail, id, true);
        has_field(&mail, "From: \"Fumibako\"\r\n <postmaster@example.jp>\r\n", true);
        has_field(&mail, "To: <a@example.jp>\r\n", true);
        has_field(&mail, "Auto-Submitted: auto-generated\r\n", true);
        has_field(&mail, "X-Auto-Response-Suppress: All\r\n", true);
        has_field(&mail, "Date: ", true);
        has_field(&mail, "References", false);
        has_field(&mail, "In-Reply-To", false);
        has_field(&mail, "Reply-To", false);
        has_field(&mail, "Precedence", false);

        /* our signature, over this body, as a letter */
        struct fb_body_hash hash;
        uint8_t digest[32];
        char msg_id[FB_ID_SIZE];
        uint32_t branch = 0;
        struct fb_slice all = fb_slice_buf(&mail);
        size_t head = fb_slice_find(all, FB_SLICE_LITERAL("\r\n\r\n"));
        size_t end = fb_slice_find(all, FB_SLICE_LITERAL("\r\n"));
        assert_true(fb_slice_istarts(all, "X-Fumibako-Id: "));
        assert_int_equal(fb_body_hash_init(&hash), FB_OK);
        assert_int_equal(fb_body_hash_add(&hash, fb_slice_sub(all, head + 4, SIZE_MAX)), FB_OK);
        assert_int_equal(fb_body_hash_final(&hash, digest), FB_OK);
        assert_true(fb_trace_header_verify(KIT_KEY, fb_slice_sub(all, 15, end - 15), digest, msg_id,
                                           &branch));
        assert_string_equal(msg_id, LETTER_ID);
        assert_int_equal(branch, FB_TRACE_LETTER);
        fb_buf_deinit(&mail);
        content_deinit(&c);
    }
}

static void test_interim_and_final_are_two_mails(void **state)
{
    struct kit *k = *state;
    struct letter_kit l;
    struct content c;
    struct fb_error err = {0};
    kit_policy(k, "{organisation: 株式会社 文箱商事}");
    letter_kit_init(&l, FB_LETTER_RECALL, k->policy);
    l.facts.is_final = false;
    l.facts.language = "ja";
    content_init(&c, NULL);
    assert_int_equal(compose_letter(&l.facts, &l.job, KIT_KEY, &c, &err), FB_OK);
    struct fb_buf mail = kit_read(&c);
    kit_check_lines(&mail);
    has_field(&mail, "Message-ID: <recall-" LETTER_RC "-interim@example.jp>\r\n", true);
    has_field(&mail, "From: =?UTF-8?B?", true);
    assert_false(c.has_8bit);
    struct fb_buf text = kit_part(&mail, "text/plain");
    assert_non_null(strstr(fb_buf_str(&text), "取り消しの途中経過です。"));
    fb_buf_deinit(&text);
    fb_buf_deinit(&mail);
    content_deinit(&c);
}

static void test_without_a_key_nothing_goes_out(void **state)
{
    struct kit *k = *state;
    struct letter_kit l;
    struct content c;
    struct fb_error err = {0};
    letter_kit_init(&l, FB_LETTER_RECEIPT, k->policy);
    content_init(&c, NULL);
    assert_int_equal(compose_letter(&l.facts, &l.job, NULL, &c, &err), FB_CONFIG);
    content_deinit(&c);
}

#define WITH_KIT(test) cmocka_unit_test_setup_teardown(test, kit_setup, kit_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_KIT(test_every_letter_says_which_mail_it_is_about_in_its_language),
        WITH_KIT(test_subjects_name_the_letter_and_the_mail),
        WITH_KIT(test_the_receipt_says_what_for_whom_and_until_when),
        WITH_KIT(test_the_receipt_of_a_vault_says_who_reads_how),
        WITH_KIT(test_the_held_letter_says_why_and_what_comes_next),
        WITH_KIT(test_the_reminder_admits_that_the_log_is_not_read),
        WITH_KIT(test_the_head_line_of_a_recall_is_true),
        WITH_KIT(test_an_interim_report_promises_another_one),
        WITH_KIT(test_the_reason_is_there_when_one_was_given),
        WITH_KIT(test_values_cannot_become_words_of_ours),
        WITH_KIT(test_thousands_of_recipients_make_a_bounded_letter),
        WITH_KIT(test_the_policy_s_templates_are_used_with_every_placeholder),
        WITH_KIT(test_the_header_wakes_no_responder_and_is_ours),
        WITH_KIT(test_interim_and_final_are_two_mails),
        WITH_KIT(test_without_a_key_nothing_goes_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
