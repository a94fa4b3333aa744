/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as a policy document; what is accepted decides about a message.
 *
 * Checked: a refusal has an error with a text, findings are sorted by line, texts hold no control
 * characters, every decision is complete, and the two ways to decide agree.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/policy/explain.h"
#include "common/policy/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct fb_policy_header_fact headers[] = {{"X-Classification", "Confidential"},
                                                       {"List-Id", ""}};
static const struct fb_policy_attachment_fact attachments[] = {
    {"\xe8\xa6\x8b\xe7\xa9\x8d.xlsx", "application/vnd.ms-excel", 4096},
    {"a.pdf", "application/pdf", 11U << 20}};
static const struct fb_policy_facts facts = {.from = "taro@example.jp",
                                             .subject = "[secure] \xe8\xa6\x8b\xe7\xa9\x8d",
                                             .headers = headers,
                                             .header_count = 2,
                                             .body = "Dear Sir,\nplease find attached",
                                             .attachments = attachments,
                                             .attachment_count = 2,
                                             .size = 12U << 20};

static void check_findings(const struct fb_policy_findings *f, enum fb_status s)
{
    size_t errors = 0;
    for (size_t i = 0; i < f->count; i++) {
        errors += f->items[i].is_error ? 1 : 0;
        FB_ASSERT(f->items[i].text[0] != '\0' && f->items[i].line >= 0);
        FB_ASSERT(i == 0 || f->items[i].line >= f->items[i - 1].line);
        for (const char *p = f->items[i].text; *p != '\0'; p++) {
            FB_ASSERT((unsigned char)*p >= 0x20 && *p != 0x7f);
        }
    }
    FB_ASSERT(errors == f->error_count && (errors == 0) == (s == FB_OK));
}

static void check_path(const struct fb_policy_rule *rule)
{
    struct fb_buf path;
    fb_buf_init(&path, 1U << 16);
    if (fb_policy_expand_path(rule, facts.from, "example.com", 1700000000000,
                              "01HZZZZZZZZZZZZZZZZZZZZZZZ", &path, NULL) == FB_OK) {
        FB_ASSERT(strstr(fb_buf_str(&path), "..") == NULL ||
                  strstr(fb_buf_str(&path), "/../") == NULL);
    }
    fb_buf_deinit(&path);
}

static void decide(const struct fb_policy *p)
{
    static const char *const recipients[] = {"hanako@example.com", "taro@example.jp", "",
                                             "no address"};
    struct fb_policy_decision many[4];
    fb_policy_decide_many(p, &facts, recipients, 4, many);
    for (size_t i = 0; i < 4; i++) {
        struct fb_policy_decision one = fb_policy_decide(p, &facts, recipients[i]);
        FB_ASSERT(one.action == many[i].action && one.rule == many[i].rule &&
                  one.shadow == many[i].shadow);
        FB_ASSERT(one.reason != NULL && strcmp(one.reason, many[i].reason) == 0);
        FB_ASSERT(one.action != FB_ACTION_SECURE ||
                  (one.rule != NULL && one.rule->storage != NULL));
        for (size_t r = 0; r < p->rule_count; r++) {
            struct fb_reasons reasons;
            (void)fb_policy_explain(&p->rules[r], &facts, recipients[i], &reasons);
            for (size_t k = 0; k < 2 * reasons.count; k++) {
                char why[64];
                FB_ASSERT(fb_reason_is_possible(&p->rules[r], &reasons.items[k / 2]));
                fb_reason_words(&p->rules[r], &reasons.items[k / 2], k % 2 == 1, why, sizeof why);
                FB_ASSERT(memchr(why, '\0', sizeof why) != NULL);
            }
            fb_reasons_deinit(&reasons);
        }
    }
    for (size_t r = 0; r < p->rule_count; r++) {
        const char *tag = fb_policy_matched_tag(&p->rules[r], facts.subject);
        size_t at = 0, len = 0;
        FB_ASSERT(tag == NULL || !fb_policy_find_tag(facts.subject, tag, &at, &len) ||
                  at + len <= strlen(facts.subject));
        check_path(&p->rules[r]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fb_policy *policy = NULL;
    struct fb_policy *again = NULL;
    struct fb_policy_findings findings = {0};
    struct fb_policy_findings japanese = {0};
    enum fb_status s = fb_policy_parse(fb_slice_of(data, size), &policy, &findings);
    check_findings(&findings, s);
    FB_ASSERT(fb_policy_parse_in(fb_slice_of(data, size), true, &again, &japanese) == s);
    check_findings(&japanese, s);
    FB_ASSERT(japanese.count == findings.count);
    fb_policy_unref(&again);
    fb_policy_findings_deinit(&japanese);
    if (s == FB_OK) {
        decide(policy);
    }
    FB_ASSERT((s == FB_OK) == (policy != NULL));
    fb_policy_unref(&policy);
    fb_policy_findings_deinit(&findings);
    return 0;
}
