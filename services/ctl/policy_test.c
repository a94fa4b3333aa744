/* SPDX-License-Identifier: Apache-2.0
 *
 * fumibako policy test: which rule takes each recipient of a mail, and why the earlier ones do not.
 * The mail is read by `fumibako-render --explain`, because content is parsed in render's sandbox
 * and nowhere else; what comes back is shown. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "services/ctl/ctl.h"
#include "common/json_words.h"
#include "common/run.h"

#define TIMEOUT_MS                                                                                 \
    (10 * 60 * 1000) /* render has its own, by size; this one is for a render that hangs */
#define MAX_ARGS (2 * CTL_MAX_RECIPIENTS + 14)

/* ---- the answer, for people ---- */

static void print_attachment(const json_t *a, bool is_ja)
{
    (void)printf(is_ja ? "  添付ファイル " : "  attachment ");
    ctl_print_clean(fb_json_text_of(a, "name"));
    (void)printf(" (");
    ctl_print_clean(fb_json_text_of(a, "type"));
    (void)printf(is_ja ? ", %lld バイト)\n" : ", %lld bytes)\n",
                 (long long)json_integer_value(json_object_get(a, "size")));
}

static void print_mail(const json_t *mail, bool is_ja)
{
    size_t i;
    json_t *a;
    const json_t *list = json_object_get(mail, "attachments");
    const char *from = fb_json_text_of(mail, "from");
    long long size = (long long)json_integer_value(json_object_get(mail, "size"));
    long long count = (long long)json_integer_value(json_object_get(mail, "attachment_count"));
    long long more = count - (long long)json_array_size(list);
    (void)printf(is_ja ? "差出人 %s、件名「" : "from %s, subject \"",
                 from[0] != '\0' ? from : "<>");
    ctl_print_clean(fb_json_text_of(mail, "subject"));
    if (is_ja) {
        (void)printf("」、%lld バイト、添付ファイル %lld 個\n", size, count);
    } else {
        (void)printf("\", %lld bytes, %lld attachment%s\n", size, count, count == 1 ? "" : "s");
    }
    json_array_foreach(list, i, a)
    {
        print_attachment(a, is_ja);
    }
    if (more > 0) {
        (void)printf(is_ja ? "  ... ほか %lld 個\n" : "  ... and %lld more\n", more);
    }
}

/* What passes although no rule says so. */
static const char *reason_ja(const char *reason)
{
    static const struct {
        const char *reason, *ja;
    } rows[] = {
        {"no rule", "どのルールにも当てはまらないため"},
        {"delivery report", "配送状況の通知のため"},
        {"auto reply", "自動返信のため"},
        {"encrypted", "すでに暗号化されているため"},
        {"already through", "処理済みのメールのため"},
        {"nothing to secure", "保護する内容がないため"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(rows[i].reason, reason) == 0) {
            return rows[i].ja;
        }
    }
    return reason;
}

static void print_outcome_ja(const json_t *r)
{
    const char *action = fb_json_text_of(r, "action");
    const char *reason = fb_json_text_of(r, "reason");
    const char *rule = json_string_value(json_object_get(r, "rule"));
    const char *shadow = json_string_value(json_object_get(r, "shadow"));
    const char *name = rule != NULL ? rule : "";
    if (strcmp(action, "secure") == 0) {
        (void)printf("ルール「%s」により保護します (保管先 %s、セキュリティ定義「%s」)", name,
                     fb_json_text_of(r, "storage"), fb_json_text_of(r, "security"));
    } else if (strcmp(action, "reject") == 0) {
        (void)printf("ルール「%s」により拒否します (差出人に配送不能の通知を送ります)", name);
    } else if (rule != NULL && strcmp(reason, "rule") == 0) {
        (void)printf("ルール「%s」により、そのまま送信します", name);
    } else if (rule != NULL) {
        (void)printf("ルール「%s」が当てはまりますが、%s、そのまま送信します", name,
                     reason_ja(reason));
    } else {
        (void)printf("%s、そのまま送信します", reason_ja(reason));
    }
    if (shadow != NULL) {
        (void)printf(" (試行中のルール「%s」も当てはまります)", shadow);
    }
    (void)printf("\n");
}

static void print_outcome_en(const json_t *r)
{
    const char *action = fb_json_text_of(r, "action");
    const char *rule = json_string_value(json_object_get(r, "rule"));
    if (strcmp(action, "secure") == 0) {
        (void)printf("secured by rule \"%s\": storage %s, security \"%s\"",
                     rule != NULL ? rule : "", fb_json_text_of(r, "storage"),
                     fb_json_text_of(r, "security"));
    } else if (strcmp(action, "reject") == 0) {
        (void)printf("rejected by rule \"%s\": a delivery report goes to the sender",
                     rule != NULL ? rule : "");
    } else if (rule != NULL && strcmp(fb_json_text_of(r, "reason"), "rule") == 0) {
        (void)printf("passed untouched by rule \"%s\"", rule);
    } else if (rule != NULL) {
        (void)printf("passed untouched: rule \"%s\" takes it, but there is %s", rule,
                     fb_json_text_of(r, "reason"));
    } else if (strcmp(fb_json_text_of(r, "reason"), "no rule") == 0) {
        (void)printf("passed untouched: no rule takes it");
    } else {
        (void)printf("passed untouched before any rule: %s", fb_json_text_of(r, "reason"));
    }
    const char *shadow = json_string_value(json_object_get(r, "shadow"));
    if (shadow != NULL) {
        (void)printf(" (shadow rule \"%s\" would have taken it)", shadow);
    }
    (void)printf("\n");
}

static void print_answer(const json_t *answer, bool is_ja)
{
    size_t i, k;
    json_t *r, *rule;
    print_mail(json_object_get(answer, "mail"), is_ja);
    json_array_foreach(json_object_get(answer, "recipients"), i, r)
    {
        (void)printf("%s: ", fb_json_text_of(r, "address"));
        if (is_ja) {
            print_outcome_ja(r);
        } else {
            print_outcome_en(r);
        }
        json_array_foreach(json_object_get(r, "rules"), k, rule)
        {
            (void)printf(is_ja ? "  %s ルール「%s」 (%lld 行目): "
                               : "  %s rule \"%s\" (line %lld): ",
                         json_is_true(json_object_get(rule, "matches")) ? "+" : "-",
                         fb_json_text_of(rule, "rule"),
                         (long long)json_integer_value(json_object_get(rule, "line")));
            ctl_print_clean(fb_json_text_of(rule, "why")); /* render's, in this language */
            (void)printf("\n");
        }
    }
}

static void print_en(const json_t *answer)
{
    print_answer(answer, false);
}

static void print_ja(const json_t *answer)
{
    print_answer(answer, true);
}

/* ---- the question ---- */

/* For the limits and the key of our signature.  Who writes policies need not be able to read
 * /etc/fumibako: with a POLICY, a configuration that was not asked for and cannot be read is done
 * without. */
static const char *config_for_render(const struct ctl *c)
{
    struct fb_error err = {0};
    struct fb_config *probe = NULL;
    const char *path = c->config_path != NULL ? c->config_path : ctl_config_path();
    bool is_asked_for =
        c->config_path != NULL || c->word_count < 2 || getenv("FUMIBAKO_CONFIG") != NULL;
    if (path == NULL || is_asked_for || fb_config_load(path, &probe, &err) == FB_OK) {
        fb_config_free(&probe);
        return path;
    }
    return NULL;
}

static enum fb_status ask(const struct ctl *c, const char *policy_path, int fd, struct fb_buf *out,
                          int *exit_r, struct fb_error *err)
{
    size_t n = 0;
    char **argv = fb_xcalloc(MAX_ARGS, sizeof *argv);
    argv[n++] = fb_xstrdup("fumibako-render");
    argv[n++] = fb_xstrdup("--explain");
    argv[n++] = fb_xstrdup("--from");
    argv[n++] = fb_xstrdup(c->from);
    argv[n++] = fb_xstrdup("--language");
    argv[n++] = fb_xstrdup(ctl_language(c));
    for (size_t i = 0; i < c->to.count; i++) {
        argv[n++] = fb_xstrdup("--to");
        argv[n++] = fb_xstrdup(c->to.items[i]);
    }
    const char *config = config_for_render(c);
    if (config != NULL) {
        argv[n++] = fb_xstrdup("--config");
        argv[n++] = fb_xstrdup(config);
    }
    argv[n++] = fb_xstrdup("--");
    argv[n++] = fb_xstrdup(policy_path);
    argv[n++] = fb_xstrdup(c->words[0]);
    enum fb_status s = fb_run(argv, fd, TIMEOUT_MS, out, exit_r, err);
    for (size_t i = 0; i < n; i++) {
        free(argv[i]);
    }
    free(argv);
    return s;
}

int ctl_policy_test(struct ctl *c)
{
    int code = 0;
    if (!ctl_language_ok(c, &code)) {
        return code;
    }
    if (c->from == NULL || c->to.count == 0) {
        return ctl_usage_error(
            c, "policy test needs --from A (\"\" for the null sender) and at least one --to B");
    }
    return ctl_ask(c, "fumibako-render", c->word_count > 1 ? c->words[1] : NULL, ask,
                   ctl_is_ja(c) ? print_ja : print_en);
}
