/* SPDX-License-Identifier: Apache-2.0
 *
 * Why a rule takes a recipient or not: every thing that can be said, with its values, in both languages.
 */
#include "help.h"

static const struct fb_policy_header_fact headers[] = {{"X-Class", "Company Confidential"}};
static const struct fb_policy_attachment_fact files[] = {
    {"見積書.XLSX", "application/vnd.ms-excel", 2000},
    {"photo.jpg", "image/jpeg", 5000},
};
static const struct fb_policy_facts base = {
    .from = "Alice@Example.JP",
    .subject = "Re: [SECURE] 見積の件",
    .headers = headers,
    .header_count = 1,
    .body = "first line\nlast line",
    .attachments = files,
    .attachment_count = 2,
    .size = 10000,
};

static bool is_ascii(const char *text)
{
    while (*text != '\0' && (unsigned char)*text < 0x80) {
        text++;
    }
    return *text == '\0';
}

/* A place in the words that nothing fills would be shown as nothing. */
static void check_places(const char *words)
{
    static const char *const places[] = {"{found}",  "{term}",   "{terms}", "{group}",
                                         "{header}", "{number}", "{limit}"};
    for (const char *p = words; (p = strchr(p, '{')) != NULL; p++) {
        bool is_known = false;
        for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
            is_known = is_known || strncmp(p, places[i], strlen(places[i])) == 0;
        }
        if (!is_known) {
            fail_msg("unknown place in \"%s\"", words);
        }
    }
}

static void everything_that_can_be_said_has_words_in_both_languages(void **state)
{
    (void)state;
    for (int code = 0; code < FB_REASON_CODES; code++) {
        struct fb_reason_phrase en = fb_reason_phrase((enum fb_reason_code)code, false);
        struct fb_reason_phrase ja = fb_reason_phrase((enum fb_reason_code)code, true);
        if (fb_reason_code_name((enum fb_reason_code)code)[0] == '\0' || en.one == NULL ||
            ja.one == NULL || !is_ascii(en.one) || is_ascii(ja.one)) {
            fail_msg("reason %d (\"%s\") lacks a name or words in English or Japanese", code,
                     fb_reason_code_name((enum fb_reason_code)code));
        }
        const char *all[] = {en.one, en.many, ja.one, ja.many};
        for (size_t i = 0; i < 4; i++) {
            check_places(all[i] != NULL ? all[i] : "");
        }
    }
    for (int about = 0; about < FB_ABOUTS; about++) {
        const char *en = fb_reason_label((enum fb_reason_about)about, false);
        const char *ja = fb_reason_label((enum fb_reason_about)about, true);
        if (fb_reason_about_name((enum fb_reason_about)about)[0] == '\0' || en == NULL ||
            ja == NULL || (about != FB_ABOUT_RULE && (!is_ascii(en) || is_ascii(ja)))) {
            fail_msg("condition %d lacks a name or words in English or Japanese", about);
        }
    }
    assert_null(fb_reason_phrase(FB_REASON_CODES, true).one);
    assert_null(fb_reason_label(FB_ABOUTS, true));
    assert_string_equal(fb_reason_code_name(FB_REASON_CODES), "");
    assert_string_equal(fb_reason_about_name(FB_ABOUTS), "");
}

/* What rows of the table below change of the mail. */
enum mail { TWO_FILES, ONE_FILE, NO_FILE, LONG_BODY, NO_SENDER };

static struct fb_policy_facts facts_of(enum mail mail)
{
    struct fb_policy_facts facts = base;
    facts.attachment_count = mail == NO_FILE ? 0 : mail == ONE_FILE ? 1 : 2;
    facts.is_body_cut = mail == LONG_BODY;
    facts.from = mail == NO_SENDER ? "" : facts.from;
    return facts;
}

struct row {
    const char *rule; /* behind "name: r, action: reject" */
    enum mail mail;
    enum fb_reason_about about;
    enum fb_reason_code code;
    const char *en, *ja;
};

/* The mail goes to bob@partner.example.com. */
static const struct row rows[] = {
    {", enabled: false", TWO_FILES, FB_ABOUT_RULE, FB_REASON_DISABLED, "the rule is disabled",
     "ルールが無効になっています。"},
    {"", TWO_FILES, FB_ABOUT_RULE, FB_REASON_NO_CONDITIONS, "the rule has no conditions",
     "条件がないため、すべてのメールに当てはまります。"},
    {", shadow: true", TWO_FILES, FB_ABOUT_RULE, FB_REASON_SHADOW,
     "the rule has no conditions (shadow: changes nothing)",
     "条件がないため、すべてのメールに当てはまります。"
     "試行中のルールのため、メールには何もしません。"},
    {", when: {to: ['@.example.com']}", TWO_FILES, FB_ABOUT_TO, FB_REASON_ADDRESS_MATCHES,
     "to: bob@partner.example.com matches @.example.com",
     "宛先: bob@partner.example.com は「@.example.com」に一致します。"},
    {", when: {from: ['<>']}", NO_SENDER, FB_ABOUT_FROM, FB_REASON_ADDRESS_MATCHES,
     "from: <> matches <>", "差出人: <> は「<>」に一致します。"},
    {", when: {from: [staff]}", TWO_FILES, FB_ABOUT_FROM, FB_REASON_ADDRESS_IN_GROUP,
     "from: alice@example.jp is in group staff",
     "差出人: alice@example.jp はグループ「staff」に含まれます。"},
    {", when: {to: ['!bob@partner.example.com']}", TWO_FILES, FB_ABOUT_TO,
     FB_REASON_ADDRESS_EXCLUDED,
     "to: bob@partner.example.com is excluded by !bob@partner.example.com",
     "宛先: bob@partner.example.com は除外条件「bob@partner.example.com」に一致します。"},
    {", when: {to: [a@b.jp]}", TWO_FILES, FB_ABOUT_TO, FB_REASON_ADDRESS_NO_MATCH,
     "to: bob@partner.example.com matches none of a@b.jp",
     "宛先: bob@partner.example.com は「a@b.jp」に一致しません。"},
    {", when: {to: [a@b.jp, '@c.jp', '!@d.jp', '@e.jp', '@f.jp', '@g.jp', '@h.jp']}", TWO_FILES,
     FB_ABOUT_TO, FB_REASON_ADDRESS_NO_MATCH,
     "to: bob@partner.example.com matches none of a@b.jp, @c.jp, @e.jp, @f.jp, @g.jp, ...",
     "宛先: bob@partner.example.com は「a@b.jp」「@c.jp」「@e.jp」「@f.jp」「@g.jp」など"
     "のいずれにも一致しません。"},
    {", when: {to: ['!@a.jp']}", TWO_FILES, FB_ABOUT_TO, FB_REASON_ADDRESS_NOT_EXCLUDED,
     "to: bob@partner.example.com matches none of !@a.jp",
     "宛先: bob@partner.example.com は除外条件「@a.jp」に一致しません。"},
    {", when: {to: ['!@a.jp', '!@b.jp']}", TWO_FILES, FB_ABOUT_TO, FB_REASON_ADDRESS_NOT_EXCLUDED,
     "to: bob@partner.example.com matches none of !@a.jp, !@b.jp",
     "宛先: bob@partner.example.com は除外条件「@a.jp」「@b.jp」のいずれにも一致しません。"},
    {", when: {attachments: {name: ['*.xlsx']}}", TWO_FILES, FB_ABOUT_NAME, FB_REASON_FILE_MATCHES,
     "attachments.name: attachment 見積書.XLSX matches *.xlsx",
     "添付ファイル名: 「見積書.XLSX」は「*.xlsx」に一致します。"},
    {", when: {attachments: {type: ['!image/*']}}", TWO_FILES, FB_ABOUT_TYPE,
     FB_REASON_FILE_EXCLUDED, "attachments.type: attachment image/jpeg is excluded by !image/*",
     "添付ファイルの種類: 「image/jpeg」は除外条件「image/*」に一致します。"},
    {", when: {attachments: {name: ['*.pdf', '*.doc']}}", TWO_FILES, FB_ABOUT_NAME,
     FB_REASON_FILE_NO_MATCH, "attachments.name: none of 2 attachments matches *.pdf, *.doc",
     "添付ファイル名: 「*.pdf」「*.doc」のいずれかに一致する添付ファイルはありません (全 2 個)。"},
    {", when: {attachments: {type: ['video/*']}}", ONE_FILE, FB_ABOUT_TYPE, FB_REASON_FILE_NO_MATCH,
     "attachments.type: the only attachment matches none of video/*",
     "添付ファイルの種類: 「video/*」に一致する添付ファイルはありません (全 1 個)。"},
    {", when: {attachments: {name: ['!*.pdf']}}", TWO_FILES, FB_ABOUT_NAME,
     FB_REASON_FILE_NOT_EXCLUDED, "attachments.name: none of 2 attachments matches !*.pdf",
     "添付ファイル名: 除外条件「*.pdf」に一致する添付ファイルはありません (全 2 個)。"},
    {", when: {attachments: {name: ['*.pdf']}}", NO_FILE, FB_ABOUT_NAME,
     FB_REASON_FILE_NONE_TO_MATCH, "attachments.name: there is no attachment to match *.pdf",
     "添付ファイル名: 添付ファイルがありません (条件: 「*.pdf」)。"},
    {", when: {attachments: {present: true}}", NO_FILE, FB_ABOUT_PRESENT, FB_REASON_FILE_ABSENT,
     "attachments.present: there is no attachment",
     "添付ファイルの有無: 添付ファイルがありません。"},
    {", when: {attachments: {larger_than: 0}}", NO_FILE, FB_ABOUT_LARGER, FB_REASON_FILE_ABSENT,
     "attachments.larger_than: there is no attachment",
     "添付ファイルのサイズ: 添付ファイルがありません。"},
    {", when: {attachments: {present: true}}", TWO_FILES, FB_ABOUT_PRESENT, FB_REASON_FILE_PRESENT,
     "attachments.present: there are 2", "添付ファイルの有無: 添付ファイルが 2 個あります。"},
    {", when: {attachments: {present: false}}", ONE_FILE, FB_ABOUT_PRESENT, FB_REASON_FILE_PRESENT,
     "attachments.present: there is 1", "添付ファイルの有無: 添付ファイルが 1 個あります。"},
    {", when: {size_over: 9999}", TWO_FILES, FB_ABOUT_SIZE, FB_REASON_SIZE_OVER,
     "size_over: size 10000 is over 9999",
     "メールのサイズ: 10000 バイトあり、9999 バイトを超えています。"},
    {", when: {size_over: 10000}", TWO_FILES, FB_ABOUT_SIZE, FB_REASON_SIZE_NOT_OVER,
     "size_over: size 10000 is not over 10000",
     "メールのサイズ: 10000 バイトで、10000 バイトを超えていません。"},
    {", when: {attachments: {larger_than: 4999}}", TWO_FILES, FB_ABOUT_LARGER,
     FB_REASON_LARGEST_OVER, "attachments.larger_than: the largest with 5000 is over 4999",
     "添付ファイルのサイズ: 最大の添付ファイルは 5000 バイトあり、4999 バイトを超えています。"},
    {", when: {attachments: {larger_than: 5000}}", TWO_FILES, FB_ABOUT_LARGER,
     FB_REASON_LARGEST_NOT_OVER, "attachments.larger_than: the largest with 5000 is not over 5000",
     "添付ファイルのサイズ: 最大の添付ファイルは 5000 バイトで、5000 バイトを超えていません。"},
    {", when: {attachments: {count_over: 1}}", TWO_FILES, FB_ABOUT_COUNT, FB_REASON_COUNT_OVER,
     "attachments.count_over: count 2 is over 1",
     "添付ファイルの数: 2 個あり、1 個を超えています。"},
    {", when: {attachments: {count_over: 2}}", TWO_FILES, FB_ABOUT_COUNT, FB_REASON_COUNT_NOT_OVER,
     "attachments.count_over: count 2 is not over 2",
     "添付ファイルの数: 2 個で、2 個を超えていません。"},
    {", when: {subject: ['[secure]']}", TWO_FILES, FB_ABOUT_SUBJECT, FB_REASON_TEXT_CONTAINS,
     "subject: contains [secure]", "件名: 「[secure]」を含みます。"},
    {", when: {body: ['/^first/']}", TWO_FILES, FB_ABOUT_BODY, FB_REASON_TEXT_MATCHES,
     "body: matches /^first/", "本文: 「/^first/」に一致します。"},
    {", when: {subject: ['!見積']}", TWO_FILES, FB_ABOUT_SUBJECT, FB_REASON_TEXT_CONTAINS_EXCLUDED,
     "subject: contains the excluded 見積", "件名: 除外条件の「見積」を含みます。"},
    {", when: {header: {x-class: ['!/^company/']}}", TWO_FILES, FB_ABOUT_HEADER,
     FB_REASON_TEXT_MATCHES_EXCLUDED, "header x-class: matches the excluded /^company/",
     "ヘッダー x-class: 除外条件の「/^company/」に一致します。"},
    {", when: {body: [foo]}", TWO_FILES, FB_ABOUT_BODY, FB_REASON_TEXT_NO_MATCH,
     "body: contains none of foo", "本文: 「foo」を含みません。"},
    {", when: {body: [foo, bar]}", TWO_FILES, FB_ABOUT_BODY, FB_REASON_TEXT_NO_MATCH,
     "body: contains none of foo, bar", "本文: 「foo」「bar」のいずれも含みません。"},
    {", when: {subject: ['!foo', '!bar']}", TWO_FILES, FB_ABOUT_SUBJECT,
     FB_REASON_TEXT_NOT_EXCLUDED, "subject: contains none of !foo, !bar",
     "件名: 除外条件の「foo」「bar」のいずれも含みません。"},
    {", when: {body: [foo]}", LONG_BODY, FB_ABOUT_BODY, FB_REASON_TEXT_TOO_LONG,
     "body: is too long to be searched to its end",
     "本文: 長すぎるため、最後までは調べられません。"},
    {", when: {header: {X-Other: [a]}}", TWO_FILES, FB_ABOUT_HEADER, FB_REASON_HEADER_ABSENT,
     "header X-Other: the mail has none", "ヘッダー X-Other: メールにこのヘッダーがありません。"},
    {", when: {from: ['@example.jp'], subject: [re]}", TWO_FILES, FB_ABOUT_SUBJECT,
     FB_REASON_TEXT_CONTAINS, "from: alice@example.jp matches @example.jp; subject: contains re",
     "差出人: alice@example.jp は「@example.jp」に一致します。件名: 「re」を含みます。"},
};

static struct fb_policy *policy_of(const char *rule)
{
    char text[2048];
    (void)snprintf(text, sizeof text,
                   "groups: [{name: staff, members: ['@example.jp']}]\n"
                   "rules: [{name: r, action: reject%s}]\n",
                   rule);
    return parse_good(text, NULL);
}

static void check_words(const struct row *row, const struct fb_policy_rule *rule,
                        const struct fb_reasons *reasons, bool is_ja)
{
    char why[FB_REASON_WHY];
    const char *want = is_ja ? row->ja : row->en;
    fb_reasons_words(rule, reasons, is_ja, why, sizeof why);
    if (strcmp(why, want) != 0) {
        fail_msg("\"%s\": got \"%s\", want \"%s\"", row->rule, why, want);
    }
}

static void each_of_them_comes_about_and_reads_well(void **state)
{
    (void)state;
    bool has_code[FB_REASON_CODES] = {false};
    bool has_about[FB_ABOUTS] = {false};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fb_policy *p = policy_of(rows[i].rule);
        struct fb_policy_facts facts = facts_of(rows[i].mail);
        struct fb_reasons reasons;
        struct fb_policy_decision d = fb_policy_decide(p, &facts, "bob@partner.example.com");
        bool matches = fb_policy_explain(&p->rules[0], &facts, "bob@partner.example.com", &reasons);
        assert_int_equal(matches, d.rule != NULL || d.shadow != NULL);
        assert_int_equal(fb_policy_explain(&p->rules[0], &facts, "bob@partner.example.com", NULL),
                         matches);
        const struct fb_reason *last = &reasons.items[reasons.count - 1];
        if (last->about != rows[i].about || last->code != rows[i].code || last->holds != matches ||
            !fb_reason_is_possible(&p->rules[0], last)) {
            fail_msg("\"%s\": got %s %s, want %s %s", rows[i].rule,
                     fb_reason_about_name(last->about), fb_reason_code_name(last->code),
                     fb_reason_about_name(rows[i].about), fb_reason_code_name(rows[i].code));
        }
        check_words(&rows[i], &p->rules[0], &reasons, false);
        check_words(&rows[i], &p->rules[0], &reasons, true);
        has_code[last->code] = has_about[last->about] = true;
        fb_reasons_deinit(&reasons);
        fb_policy_unref(&p);
    }
    for (int i = 0; i < FB_REASON_CODES; i++) {
        if (!has_code[i]) {
            fail_msg("no row brings about reason %d (%s)", i,
                     fb_reason_code_name((enum fb_reason_code)i));
        }
    }
    for (int i = 0; i < FB_ABOUTS; i++) {
        if (!has_about[i]) {
            fail_msg("no row speaks of %s", fb_reason_about_name((enum fb_reason_about)i));
        }
    }
}

static void what_is_found_is_cut_at_a_character_and_cleaned(void **state)
{
    (void)state;
    struct fb_reason r = {0};
    char name[400] = "a\x1b[2J\xff";
    fb_reason_set_found(&r, fb_slice_str(name));
    assert_string_equal(r.found, "a?[2J?");
    for (size_t i = 0; i < 100; i++) {
        memcpy(name + 3 * i, "見", 3);
    }
    name[300] = '\0';
    fb_reason_set_found(&r, fb_slice_str(name));
    size_t len = strlen(r.found);
    assert_true(len < sizeof r.found);
    assert_string_equal(r.found + len - 3, "...");
    assert_int_equal((len - 3) % 3, 0);
    fb_reason_set_found(&r, fb_slice_of(name, 3));
    assert_string_equal(r.found, "見");
}

/* A long term, name or list leaves whole characters and an end that can be seen. */
static void long_values_leave_room_for_the_others(void **state)
{
    (void)state;
    char rule[1200] = ", when: {body: ['";
    size_t at = strlen(rule);
    for (size_t i = 0; i < 100; i++, at += 3) {
        memcpy(rule + at, "秘", 3);
    }
    (void)snprintf(rule + at, sizeof rule - at, "', short]}");
    struct fb_policy *p = policy_of(rule);
    char why[FB_REASON_WHY];
    assert_false(explain(&p->rules[0], &base, "a@b.c", true, why, sizeof why));
    assert_non_null(strstr(why, "秘...」「short」のいずれも含みません。"));
    assert_null(strchr(why, '?'));
    for (size_t size = 9; size < 60; size++) {
        memset(why, 'x', sizeof why);
        assert_false(explain(&p->rules[0], &base, "a@b.c", true, why, size));
        assert_true(strlen(why) < size);
        assert_null(strchr(why, '?'));
        assert_int_equal(why[size], 'x');
    }
    fb_policy_unref(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_that_can_be_said_has_words_in_both_languages),
        cmocka_unit_test(each_of_them_comes_about_and_reads_well),
        cmocka_unit_test(what_is_found_is_cut_at_a_character_and_cleaned),
        cmocka_unit_test(long_values_leave_room_for_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
