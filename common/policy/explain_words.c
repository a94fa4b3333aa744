/* SPDX-License-Identifier: Apache-2.0
 *
 * The words of reasons (explain.h), in English and Japanese: one row for each thing that can be said.
 * Places in the words: {found} {term} {terms} {group} {header} {number} {limit}. */
#include "common/policy/explain.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/policy/read.h"

#define MAX_TERM 80 /* bytes of a term that are shown */

#define BIT(about) (1U << (about))
#define ADDRESSES  (BIT(FB_ABOUT_TO) | BIT(FB_ABOUT_FROM))
#define FILES      (BIT(FB_ABOUT_NAME) | BIT(FB_ABOUT_TYPE))
#define TEXTS      (BIT(FB_ABOUT_SUBJECT) | BIT(FB_ABOUT_HEADER) | BIT(FB_ABOUT_BODY))
#define FOUND      FB_REASON_HAS_FOUND
#define TERM       FB_REASON_HAS_TERM
#define TERMS      FB_REASON_HAS_TERMS
#define NUMBER     FB_REASON_HAS_NUMBER
#define LIMIT      FB_REASON_HAS_LIMIT

/* many: of several.  English has another form for several attachments, Japanese for several terms; NULL: the same. */
static const struct row {
    const char *name;
    unsigned abouts; /* of which it can be said */
    unsigned values;
    const char *en, *ja;
    const char *en_many, *ja_many;
} rows[FB_REASON_CODES] = {
    [FB_REASON_DISABLED] = {"disabled", BIT(FB_ABOUT_RULE), 0, .en = "the rule is disabled",
                            .ja = "ルールが無効になっています。"},
    [FB_REASON_NO_CONDITIONS] = {"no_conditions", BIT(FB_ABOUT_RULE), 0,
                                 .en = "the rule has no conditions",
                                 .ja = "条件がないため、すべてのメールに当てはまります。"},
    [FB_REASON_SHADOW] = {"shadow", BIT(FB_ABOUT_RULE), 0, .en = "(shadow: changes nothing)",
                          .ja = "試行中のルールのため、メールには何もしません。"},
    [FB_REASON_ADDRESS_MATCHES] = {"matches", ADDRESSES, FOUND | TERM,
                                   .en = "{found} matches {term}",
                                   .ja = "{found} は「{term}」に一致します。"},
    [FB_REASON_ADDRESS_IN_GROUP] = {"in_group", ADDRESSES, FOUND | TERM,
                                    .en = "{found} is in group {group}",
                                    .ja = "{found} はグループ「{group}」に含まれます。"},
    [FB_REASON_ADDRESS_EXCLUDED] = {"excluded", ADDRESSES, FOUND | TERM,
                                    .en = "{found} is excluded by !{term}",
                                    .ja = "{found} は除外条件「{term}」に一致します。"},
    [FB_REASON_ADDRESS_NO_MATCH] = {"no_match", ADDRESSES, FOUND | TERMS,
                                    .en = "{found} matches none of {terms}",
                                    .ja = "{found} は{terms}に一致しません。",
                                    .ja_many = "{found} は{terms}のいずれにも一致しません。"},
    [FB_REASON_ADDRESS_NOT_EXCLUDED] = {"not_excluded", ADDRESSES, FOUND | TERMS,
                                        .en = "{found} matches none of {terms}",
                                        .ja = "{found} は除外条件{terms}に一致しません。",
                                        .ja_many =
                                            "{found} は除外条件{terms}のいずれにも一致しません。"},
    [FB_REASON_FILE_MATCHES] = {"matches", FILES, FOUND | TERM,
                                .en = "attachment {found} matches {term}",
                                .ja = "「{found}」は「{term}」に一致します。"},
    [FB_REASON_FILE_EXCLUDED] = {"excluded", FILES, FOUND | TERM,
                                 .en = "attachment {found} is excluded by !{term}",
                                 .ja = "「{found}」は除外条件「{term}」に一致します。"},
    [FB_REASON_FILE_NO_MATCH] =
        {"no_match", FILES, TERMS | NUMBER, .en = "the only attachment matches none of {terms}",
         .ja = "{terms}に一致する添付ファイルはありません (全 {number} 個)。",
         .en_many = "none of {number} attachments matches {terms}",
         .ja_many = "{terms}のいずれかに一致する添付ファイルはありません (全 {number} 個)。"},
    [FB_REASON_FILE_NOT_EXCLUDED] =
        {"not_excluded", FILES, TERMS | NUMBER, .en = "the only attachment matches none of {terms}",
         .ja = "除外条件{terms}に一致する添付ファイルはありません (全 {number} 個)。",
         .en_many = "none of {number} attachments matches {terms}",
         .ja_many =
             "除外条件{terms}のいずれかに一致する添付ファイルはありません (全 {number} 個)。"},
    [FB_REASON_FILE_NONE_TO_MATCH] = {"absent", FILES, TERMS,
                                      .en = "there is no attachment to match {terms}",
                                      .ja = "添付ファイルがありません (条件: {terms})。"},
    [FB_REASON_FILE_ABSENT] = {"absent", BIT(FB_ABOUT_PRESENT) | BIT(FB_ABOUT_LARGER), 0,
                               .en = "there is no attachment", .ja = "添付ファイルがありません。"},
    [FB_REASON_FILE_PRESENT] = {"present", BIT(FB_ABOUT_PRESENT), NUMBER, .en = "there is {number}",
                                .ja = "添付ファイルが {number} 個あります。",
                                .en_many = "there are {number}"},
    [FB_REASON_SIZE_OVER] = {"over", BIT(FB_ABOUT_SIZE), NUMBER | LIMIT,
                             .en = "size {number} is over {limit}",
                             .ja = "{number} バイトあり、{limit} バイトを超えています。"},
    [FB_REASON_SIZE_NOT_OVER] = {"not_over", BIT(FB_ABOUT_SIZE), NUMBER | LIMIT,
                                 .en = "size {number} is not over {limit}",
                                 .ja = "{number} バイトで、{limit} バイトを超えていません。"},
    [FB_REASON_LARGEST_OVER] =
        {"over", BIT(FB_ABOUT_LARGER), NUMBER | LIMIT,
         .en = "the largest with {number} is over {limit}",
         .ja = "最大の添付ファイルは {number} バイトあり、{limit} バイトを超えています。"},
    [FB_REASON_LARGEST_NOT_OVER] =
        {"not_over", BIT(FB_ABOUT_LARGER), NUMBER | LIMIT,
         .en = "the largest with {number} is not over {limit}",
         .ja = "最大の添付ファイルは {number} バイトで、{limit} バイトを超えていません。"},
    [FB_REASON_COUNT_OVER] = {"over", BIT(FB_ABOUT_COUNT), NUMBER | LIMIT,
                              .en = "count {number} is over {limit}",
                              .ja = "{number} 個あり、{limit} 個を超えています。"},
    [FB_REASON_COUNT_NOT_OVER] = {"not_over", BIT(FB_ABOUT_COUNT), NUMBER | LIMIT,
                                  .en = "count {number} is not over {limit}",
                                  .ja = "{number} 個で、{limit} 個を超えていません。"},
    [FB_REASON_TEXT_CONTAINS] = {"contains", TEXTS, TERM, .en = "contains {term}",
                                 .ja = "「{term}」を含みます。"},
    [FB_REASON_TEXT_MATCHES] = {"matches", TEXTS, TERM, .en = "matches {term}",
                                .ja = "「{term}」に一致します。"},
    [FB_REASON_TEXT_CONTAINS_EXCLUDED] = {"excluded", TEXTS, TERM,
                                          .en = "contains the excluded {term}",
                                          .ja = "除外条件の「{term}」を含みます。"},
    [FB_REASON_TEXT_MATCHES_EXCLUDED] = {"excluded", TEXTS, TERM,
                                         .en = "matches the excluded {term}",
                                         .ja = "除外条件の「{term}」に一致します。"},
    [FB_REASON_TEXT_NO_MATCH] = {"no_match", TEXTS, TERMS, .en = "contains none of {terms}",
                                 .ja = "{terms}を含みません。",
                                 .ja_many = "{terms}のいずれも含みません。"},
    [FB_REASON_TEXT_NOT_EXCLUDED] = {"not_excluded", TEXTS, TERMS, .en = "contains none of {terms}",
                                     .ja = "除外条件の{terms}を含みません。",
                                     .ja_many = "除外条件の{terms}のいずれも含みません。"},
    [FB_REASON_TEXT_TOO_LONG] = {"too_long", BIT(FB_ABOUT_BODY), 0,
                                 .en = "is too long to be searched to its end",
                                 .ja = "長すぎるため、最後までは調べられません。"},
    [FB_REASON_HEADER_ABSENT] = {"absent", BIT(FB_ABOUT_HEADER), 0, .en = "the mail has none",
                                 .ja = "メールにこのヘッダーがありません。"},
};

static const struct {
    const char *name, *en, *ja;
} labels[FB_ABOUTS] = {
    [FB_ABOUT_RULE] = {"rule", "", ""},
    [FB_ABOUT_TO] = {"to", "to: ", "宛先: "},
    [FB_ABOUT_FROM] = {"from", "from: ", "差出人: "},
    [FB_ABOUT_SIZE] = {"size_over", "size_over: ", "メールのサイズ: "},
    [FB_ABOUT_PRESENT] = {"attachments.present", "attachments.present: ", "添付ファイルの有無: "},
    [FB_ABOUT_LARGER] = {"attachments.larger_than",
                         "attachments.larger_than: ", "添付ファイルのサイズ: "},
    [FB_ABOUT_COUNT] = {"attachments.count_over", "attachments.count_over: ", "添付ファイルの数: "},
    [FB_ABOUT_SUBJECT] = {"subject", "subject: ", "件名: "},
    [FB_ABOUT_NAME] = {"attachments.name", "attachments.name: ", "添付ファイル名: "},
    [FB_ABOUT_TYPE] = {"attachments.type", "attachments.type: ", "添付ファイルの種類: "},
    [FB_ABOUT_HEADER] = {"header", "header {header}: ", "ヘッダー {header}: "},
    [FB_ABOUT_BODY] = {"body", "body: ", "本文: "},
};

const char *fb_reason_about_name(enum fb_reason_about about)
{
    return about < FB_ABOUTS && labels[about].name != NULL ? labels[about].name : "";
}

const char *fb_reason_label(enum fb_reason_about about, bool is_ja)
{
    return about >= FB_ABOUTS ? NULL : is_ja ? labels[about].ja : labels[about].en;
}

const char *fb_reason_code_name(enum fb_reason_code code)
{
    return code < FB_REASON_CODES && rows[code].name != NULL ? rows[code].name : "";
}

struct fb_reason_phrase fb_reason_phrase(enum fb_reason_code code, bool is_ja)
{
    if (code >= FB_REASON_CODES) {
        return (struct fb_reason_phrase){NULL, NULL};
    }
    return is_ja ? (struct fb_reason_phrase){rows[code].ja, rows[code].ja_many}
                 : (struct fb_reason_phrase){rows[code].en, rows[code].en_many};
}

unsigned fb_reason_values(enum fb_reason_code code)
{
    return code < FB_REASON_CODES ? rows[code].values : 0;
}

bool fb_reason_is_possible(const struct fb_policy_rule *rule, const struct fb_reason *reason)
{
    if ((unsigned)reason->about >= FB_ABOUTS || (unsigned)reason->code >= FB_REASON_CODES ||
        (rows[reason->code].abouts & BIT(reason->about)) == 0 ||
        (reason->about == FB_ABOUT_HEADER && reason->header >= rule->header_count)) {
        return false;
    }
    if ((rows[reason->code].values & TERM) == 0) {
        return true;
    }
    const struct fb_policy_terms *terms = fb_reason_terms(rule, reason);
    return terms != NULL && reason->term < terms->count &&
           (reason->code != FB_REASON_ADDRESS_IN_GROUP || terms->items[reason->term].group != NULL);
}

/* ---- from a row to a sentence ---- */

struct text {
    char *at;
    size_t size, len;
};

static void say(struct text *t, const char *fmt, ...) FB_PRINTF(2, 3);
static void say(struct text *t, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(t->at + t->len, t->size - t->len, fmt, args);
    va_end(args);
    if (len > 0) {
        t->len = t->len + (size_t)len < t->size ? t->len + (size_t)len : t->size - 1;
    }
}

static void say_term(struct text *t, const char *term)
{
    char shown[MAX_TERM + 1];
    (void)snprintf(shown, sizeof shown, "%s", term);
    fb_pol_clean_text(shown, sizeof shown);
    say(t, "%s", shown);
}

static size_t count_terms(const struct fb_policy_terms *terms, bool is_negated)
{
    size_t count = 0;
    for (size_t i = 0; terms != NULL && i < terms->count; i++) {
        count += terms->items[i].is_negated == is_negated ? 1 : 0;
    }
    return count;
}

/* English: "!@a, !@b, ...", as the policy has them; Japanese: quoted, and the sentence says that they exclude. */
static void say_terms(struct text *t, const struct fb_policy_terms *terms, bool is_negated,
                      bool is_ja)
{
    size_t said = 0;
    for (size_t i = 0; terms != NULL && i < terms->count; i++) {
        if (terms->items[i].is_negated != is_negated) {
            continue;
        }
        if (said == FB_REASON_TERMS) {
            say(t, "%s", is_ja ? "など" : ", ...");
            return;
        }
        say(t, "%s%s", is_ja ? "「" : said > 0 ? ", " : "", !is_ja && is_negated ? "!" : "");
        say_term(t, terms->items[i].text);
        say(t, "%s", is_ja ? "」" : "");
        said++;
    }
}

static bool is_place(const char *place, size_t len, const char *name)
{
    return strlen(name) == len && memcmp(place, name, len) == 0;
}

static void say_place(struct text *t, const char *place, size_t len,
                      const struct fb_policy_rule *rule, const struct fb_reason *r, bool is_ja)
{
    const struct fb_policy_terms *terms = fb_reason_terms(rule, r);
    const struct fb_policy_term *term =
        terms != NULL && r->term < terms->count ? &terms->items[r->term] : NULL;
    if (is_place(place, len, "found")) {
        say(t, "%s", r->found[0] != '\0' ? r->found : "<>");
    } else if (is_place(place, len, "terms")) {
        say_terms(t, terms, r->holds, is_ja);
    } else if (is_place(place, len, "term") && term != NULL) {
        say_term(t, term->text);
    } else if (is_place(place, len, "group") && term != NULL && term->group != NULL) {
        say_term(t, term->group->name);
    } else if (is_place(place, len, "header") && r->header < rule->header_count) {
        say_term(t, rule->headers[r->header].name);
    } else if (is_place(place, len, "number")) {
        say(t, "%llu", (unsigned long long)r->have);
    } else if (is_place(place, len, "limit")) {
        say(t, "%lld", (long long)fb_reason_limit(rule, r));
    }
}

static void say_words(struct text *t, const char *words, const struct fb_policy_rule *rule,
                      const struct fb_reason *r, bool is_ja)
{
    for (const char *p = words; *p != '\0';) {
        size_t plain = strcspn(p, "{");
        const char *end = p[plain] == '{' ? strchr(p + plain, '}') : NULL;
        say(t, "%.*s", (int)plain, p);
        p += plain;
        if (end != NULL) {
            say_place(t, p + 1, (size_t)(end - p) - 1, rule, r, is_ja);
            p = end + 1;
        }
    }
}

static void say_reason(struct text *t, const struct fb_policy_rule *rule, const struct fb_reason *r,
                       bool is_ja)
{
    struct fb_reason_phrase words = fb_reason_phrase(r->code, is_ja);
    const char *label = fb_reason_label(r->about, is_ja);
    uint64_t count = is_ja ? count_terms(fb_reason_terms(rule, r), r->holds) : r->have;
    FB_ASSERT(words.one != NULL && label != NULL);
    say_words(t, label, rule, r, is_ja);
    say_words(t, count != 1 && words.many != NULL ? words.many : words.one, rule, r, is_ja);
}

void fb_reason_words(const struct fb_policy_rule *rule, const struct fb_reason *reason, bool is_ja,
                     char *out, size_t size)
{
    struct text t = {.at = out, .size = size};
    FB_ASSERT(size > 8);
    out[0] = '\0';
    say_reason(&t, rule, reason, is_ja);
    fb_pol_clean_text(out, size);
}

void fb_reasons_words(const struct fb_policy_rule *rule, const struct fb_reasons *reasons,
                      bool is_ja, char *out, size_t size)
{
    struct text t = {.at = out, .size = size};
    FB_ASSERT(size > 8);
    out[0] = '\0';
    for (size_t i = 0; i < reasons->count; i++) {
        bool is_aside = reasons->items[i].code == FB_REASON_SHADOW;
        say(&t, "%s", i == 0 || is_ja ? "" : is_aside ? " " : "; ");
        say_reason(&t, rule, &reasons->items[i], is_ja);
    }
    fb_pol_clean_text(out, size);
}
