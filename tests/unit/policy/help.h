/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of the policy share: parsing a text that must be good, and looking for a finding.
 */
#ifndef FB_TESTS_UNIT_POLICY_HELP_H
#define FB_TESTS_UNIT_POLICY_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/policy/explain.h"
#include "common/policy/policy.h"

/* Storages, groups and security definitions that the rules of the tests use; 12 lines. */
#define PRELUDE                                                                                    \
    "storages:\n"                                                                                  \
    "  - {name: box, type: box, auth_file: box.json}\n"                                            \
    "  - {name: vault, type: vault, url: \"file:///srv/vault\", key_file: k}\n"                    \
    "groups:\n"                                                                                    \
    "  - {name: legal, members: [a@example.jp, \"@law.example.jp\", \"@.courts.example\"]}\n"      \
    "security_definitions:\n"                                                                      \
    "  - {name: plain}\n"                                                                          \
    "  - {name: password, password: generated}\n"                                                  \
    "  - {name: open password, access: anyone, password: generated}\n"                             \
    "  - {name: counted, max_downloads: 5}\n"                                                      \
    "  - {name: view only, download: false, proof: totp}\n"                                        \
    "rules:\n"
#define PRELUDE_LINES 12

static inline void print_findings(const struct fb_policy_findings *f)
{
    for (size_t i = 0; i < f->count; i++) {
        print_message("  line %d: %s: %s\n", f->items[i].line,
                      f->items[i].is_error ? "error" : "warning", f->items[i].text);
    }
}

/* The policy of a text without errors; its warnings go to *findings_r when the caller wants them.
 */
static inline struct fb_policy *parse_good(const char *text, struct fb_policy_findings *findings_r)
{
    struct fb_policy *policy = NULL;
    struct fb_policy_findings findings = {0};
    if (fb_policy_parse(fb_slice_str(text), &policy, &findings) != FB_OK) {
        print_findings(&findings);
        fail_msg("not accepted:\n%s", text);
    }
    if (findings_r != NULL) {
        *findings_r = findings;
    } else {
        fb_policy_findings_deinit(&findings);
    }
    return policy;
}

/* NULL when there is none on the line whose text holds part. */
static inline const struct fb_policy_finding *
find_finding(const struct fb_policy_findings *f, bool is_error, int line, const char *part)
{
    for (size_t i = 0; i < f->count; i++) {
        if (f->items[i].is_error == is_error && f->items[i].line == line &&
            strstr(f->items[i].text, part) != NULL) {
            return &f->items[i];
        }
    }
    return NULL;
}

/* One row of a table: what the text behind a prelude must be told, and on which of its own lines.
 */
struct finding_row {
    const char *name;
    const char *text;
    int line;
    const char *want;
};

/* Whether three words of English follow each other outside of what is quoted from the policy. */
static inline bool has_english(const char *text)
{
    int words = 0, letters = 0;
    bool is_quoted = false;
    for (const char *p = text; *p != '\0'; p++) {
        is_quoted = strncmp(p, "「", 3) == 0 || (is_quoted && strncmp(p, "」", 3) != 0);
        letters = *p >= 'a' && *p <= 'z' ? letters + 1 : 0;
        words = letters == 1 ? words + 1 : letters > 0 || *p == ' ' ? words : 0;
        if (words == 3 && !is_quoted) {
            return true;
        }
    }
    return false;
}

/* The same in Japanese: as many findings, each at the same place, none with words of English. */
static inline void check_japanese(const char *text, const struct fb_policy_findings *english)
{
    struct fb_policy *policy = NULL;
    struct fb_policy_findings f = {0};
    enum fb_status status = fb_policy_parse_in(fb_slice_str(text), true, &policy, &f);
    bool is_same = (status == FB_OK) == (english->error_count == 0) && f.count == english->count &&
                   f.error_count == english->error_count;
    for (size_t i = 0; is_same && i < f.count; i++) {
        const struct fb_policy_finding *en = &english->items[i];
        const char *colon = strstr(en->text, ": ");
        size_t place = colon != NULL ? (size_t)(colon - en->text) + 2 : 0;
        const char *words = f.items[i].text + place;
        is_same = f.items[i].line == en->line && f.items[i].is_error == en->is_error &&
                  strncmp(f.items[i].text, en->text, place) == 0 && strstr(words, "\xe3") != NULL &&
                  !has_english(words);
    }
    if (!is_same) {
        print_findings(english);
        print_findings(&f);
        fail_msg("the Japanese findings differ");
    }
    fb_policy_unref(&policy);
    fb_policy_findings_deinit(&f);
}

static inline void check_finding(const char *prelude, int prelude_lines, bool is_error,
                                 const struct finding_row *row)
{
    char text[8192];
    struct fb_policy *policy = NULL;
    struct fb_policy_findings findings = {0};
    int len = snprintf(text, sizeof(text), "%s%s", prelude, row->text);
    assert_true(len >= 0 && (size_t)len < sizeof(text));
    enum fb_status status = fb_policy_parse(fb_slice_str(text), &policy, &findings);
    int line = row->line > 0 ? row->line + prelude_lines : 0;
    if ((status == FB_OK) == is_error || (policy != NULL) == is_error ||
        findings.error_count != (is_error ? 1 : 0) ||
        find_finding(&findings, is_error, line, row->want) == NULL) {
        print_findings(&findings);
        fail_msg("%s: want %s on line %d: %s", row->name, is_error ? "one error" : "a warning",
                 line, row->want);
    }
    check_japanese(text, &findings);
    fb_policy_unref(&policy);
    fb_policy_findings_deinit(&findings);
}

/* Each row gives exactly one error. */
static inline void check_errors(const char *prelude, int prelude_lines,
                                const struct finding_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        check_finding(prelude, prelude_lines, true, &rows[i]);
    }
}

/* Each row is accepted, with a warning. */
static inline void check_warnings(const char *prelude, int prelude_lines,
                                  const struct finding_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        check_finding(prelude, prelude_lines, false, &rows[i]);
    }
}

/* Whether the rule takes the recipient, and why, in words. */
static inline bool explain(const struct fb_policy_rule *rule, const struct fb_policy_facts *facts,
                           const char *to, bool is_ja, char *why, size_t size)
{
    struct fb_reasons reasons;
    bool matches = fb_policy_explain(rule, facts, to, &reasons);
    for (size_t i = 0; i < reasons.count; i++) {
        assert_true(fb_reason_is_possible(rule, &reasons.items[i]));
    }
    fb_reasons_words(rule, &reasons, is_ja, why, size);
    fb_reasons_deinit(&reasons);
    return matches;
}

static inline void read_source_file(const char *path, struct fb_buf *out)
{
    char full[1024];
    struct fb_error err = {0};
    (void)snprintf(full, sizeof(full), "%s/%s", FB_SOURCE_DIR, path);
    fb_buf_init(out, (size_t)8 * 1024 * 1024);
    if (fb_read_file(full, (size_t)4 * 1024 * 1024, out, &err) != FB_OK) {
        fail_msg("%s: %s", path, err.text);
    }
}

#endif
