/* SPDX-License-Identifier: Apache-2.0
 *
 * fumibako policy dry-run|hits: what a policy would have done with the last mails, and what the one in force did. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/dry_run.h"
#include "common/figures.h"
#include "common/json_words.h"
#include "common/policy/store.h"
#include "services/ctl/ctl.h"

static json_int_t number_of(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

/* ---- dry run ---- */

static const char *action_words(const char *action, bool is_ja)
{
    static const struct {
        const char *action, *en, *ja;
    } words[] = {{"secure", "secured", "保護"},
                 {"pass", "passed untouched", "そのまま通過"},
                 {"reject", "rejected", "拒否"}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(words[i].action, action) == 0) {
            return is_ja ? words[i].ja : words[i].en;
        }
    }
    return is_ja ? "不明" : "unknown";
}

static void print_outcome(const json_t *o, bool is_ja)
{
    const char *rule = fb_json_text_of(o, "rule");
    (void)printf("%s", action_words(fb_json_text_of(o, "action"), is_ja));
    if (rule[0] != '\0') {
        (void)printf(is_ja ? " (ルール「" : " (rule \"");
        ctl_print_clean(rule);
        (void)printf(is_ja ? "」)" : "\")");
    }
}

static void print_changes(const json_t *result, bool is_ja)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(result, "changes"), i, one)
    {
        (void)printf("  %6lld  ", (long long)number_of(one, "count"));
        print_outcome(json_object_get(one, "before"), is_ja);
        (void)printf(" -> ");
        print_outcome(json_object_get(one, "after"), is_ja);
        (void)printf("\n");
    }
    json_array_foreach(json_object_get(result, "items"), i, one)
    {
        (void)printf("    %s  %s  ", fb_json_text_of(one, "message"),
                     fb_json_text_of(one, "accepted"));
        ctl_print_clean(fb_json_text_of(one, "from"));
        (void)printf(" -> ");
        ctl_print_clean(fb_json_text_of(one, "address"));
        if (fb_json_text_of(one, "subject")[0] != '\0') {
            (void)printf("  \"");
            ctl_print_clean(fb_json_text_of(one, "subject"));
            (void)printf("\"");
        }
        (void)printf("\n");
    }
}

/* Where nobody knows, it is said what would tell. */
static void print_unknown(const json_t *result, bool is_ja)
{
    size_t i;
    json_t *one;
    long long unknown = (long long)number_of(result, "unknown");
    if (unknown == 0) {
        return;
    }
    (void)printf(is_ja ? "%lld 宛先は判定できません。次のルールの条件 (本文・ヘッダー・添付など) に"
                         "関わる内容は記録に残らないためです。\n"
                         "`fumibako policy test MAIL POLICY` に実際のメールを渡して確認して"
                         "ください。\n"
                       : "%lld recipients cannot be judged: the conditions of these rules look at "
                         "what the record\ndoes not keep (as body, headers or attachments). Ask "
                         "`fumibako policy test MAIL POLICY` with such a mail.\n",
                 unknown);
    json_array_foreach(json_object_get(result, "unknown_rules"), i, one)
    {
        (void)printf("  %6lld  ", (long long)number_of(one, "count"));
        ctl_print_clean(fb_json_text_of(one, "rule"));
        (void)printf("\n");
    }
}

static void print_result(const json_t *result, bool is_ja)
{
    long long mails = (long long)number_of(result, "messages");
    long long recipients = (long long)number_of(result, "recipients");
    long long changed = (long long)number_of(result, "changed");
    if (mails == 0) {
        (void)printf(is_ja ? "記録にメールがありません。\n" : "there is no mail to look at yet\n");
        return;
    }
    (void)printf(is_ja ? "%lld 通 (%lld 宛先) のうち、%lld 宛先の扱いが変わります。\n"
                       : "of the last %lld mails (%lld recipients), %lld recipients would have "
                         "been treated differently\n",
                 mails, recipients, changed);
    print_changes(result, is_ja);
    print_unknown(result, is_ja);
}

static enum fb_status read_policy(const struct ctl *c, struct fb_policy **policy_r,
                                  struct fb_policy_findings *f, struct fb_error *err)
{
    struct fb_buf document = {0};
    enum fb_status s = fb_read_file(c->words[0], FB_POLICY_MAX, &document, err);
    if (s == FB_OK && fb_policy_parse(fb_slice_buf(&document), policy_r, f) != FB_OK) {
        s = fb_error_set(err, FB_INVALID, "%s has errors: `fumibako policy check %s` names them",
                         c->words[0], c->words[0]);
    }
    fb_buf_deinit(&document);
    return s;
}

/* NULL where none is in force, or where it cannot be read any more: then no rule is taken for the one that decided. */
static enum fb_status read_in_force(struct ctl *c, struct fb_policy **old_r, struct fb_error *err)
{
    struct fb_policy_version v = {0};
    struct fb_policy_findings f = {0};
    enum fb_status s = fb_policy_current(c->config, c->redis, &v, err);
    if (s == FB_OK) {
        (void)!fb_policy_parse(fb_slice_buf(&v.document), old_r, &f);
        fb_policy_findings_deinit(&f);
        fb_policy_version_deinit(&v);
    }
    return s == FB_NOT_FOUND ? FB_OK : s;
}

int ctl_policy_dry_run(struct ctl *c)
{
    int code = 0;
    json_t *result = NULL;
    struct fb_error err = {0};
    struct fb_policy *policy = NULL;
    struct fb_policy *old = NULL;
    struct fb_policy_findings f = {0};
    if (c->mails > FB_DRY_RUN_MOST) {
        return ctl_usage_error(c, "--mails takes a number up to 1000");
    }
    if (!ctl_language_ok(c, &code) || !ctl_need_redis(c, &code)) {
        return code;
    }
    enum fb_status s = read_policy(c, &policy, &f, &err);
    if (s == FB_OK) {
        s = read_in_force(c, &old, &err);
    }
    if (s == FB_OK) {
        const struct fb_dry_run q = {.policy = policy,
                                     .old = old,
                                     .most = c->mails > 0 ? (size_t)c->mails : FB_DRY_RUN_MOST,
                                     .title_key = c->config->rewrite.key,
                                     .shows_subjects = true,
                                     .time = c->is_json ? ctl_json_time : ctl_local_time};
        s = fb_dry_run(c->redis, &q, &result, &err);
    }
    if (s != FB_OK) {
        code = ctl_fail(c, &err);
    } else if (c->is_json) {
        ctl_print_json(result);
    } else {
        print_result(result, ctl_is_ja(c));
        json_decref(result);
    }
    fb_policy_unref(&old);
    fb_policy_unref(&policy);
    fb_policy_findings_deinit(&f);
    return code;
}

/* ---- hits ---- */

int ctl_policy_hits(struct ctl *c)
{
    int code = 0;
    size_t i;
    json_t *one;
    json_t *items = NULL;
    struct fb_error err = {0};
    static const char *const fields[] = {"today",        "week",        "month",
                                         "shadow_today", "shadow_week", "shadow_month"};
    if (!ctl_need_redis(c, &code)) {
        return code;
    }
    if (fb_figures_hits(c->redis, &items, &err) != FB_OK) {
        return ctl_fail(c, &err);
    }
    if (c->is_json) {
        ctl_print_json(items);
        return 0;
    }
    (void)printf("%8s %8s %8s  %8s %8s %8s  %s\n", "today", "week", "month", "shadow", "week",
                 "month", "rule");
    json_array_foreach(items, i, one)
    {
        for (size_t k = 0; k < sizeof fields / sizeof fields[0]; k++) {
            (void)printf("%s%8lld",
                         k == 0   ? ""
                         : k == 3 ? "  "
                                  : " ",
                         (long long)number_of(one, fields[k]));
        }
        (void)printf("  ");
        ctl_print_clean(fb_json_text_of(one, "rule"));
        (void)printf("\n");
    }
    json_decref(items);
    (void)printf("recipients that each rule took, or in shadow would have taken; 7 and 31 days, by "
                 "UTC\n");
    return 0;
}
