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
#define MAX_ARGS (2 * CTL_MAX_RECIPIENTS + 12)

/* ---- the answer, for people ---- */

static void print_mail(const json_t *mail)
{
    size_t i;
    json_t *a;
    const json_t *list = json_object_get(mail, "attachments");
    json_int_t count = json_integer_value(json_object_get(mail, "attachment_count"));
    (void)printf("from %s, subject \"",
                 fb_json_text_of(mail, "from")[0] != '\0' ? fb_json_text_of(mail, "from") : "<>");
    ctl_print_clean(fb_json_text_of(mail, "subject"));
    (void)printf("\", %lld bytes, %lld attachment%s\n",
                 (long long)json_integer_value(json_object_get(mail, "size")), (long long)count,
                 count == 1 ? "" : "s");
    json_array_foreach(list, i, a)
    {
        (void)printf("  attachment ");
        ctl_print_clean(fb_json_text_of(a, "name"));
        (void)printf(" (");
        ctl_print_clean(fb_json_text_of(a, "type"));
        (void)printf(", %lld bytes)\n", (long long)json_integer_value(json_object_get(a, "size")));
    }
    if (count > (json_int_t)json_array_size(list)) {
        (void)printf("  ... and %lld more\n",
                     (long long)(count - (json_int_t)json_array_size(list)));
    }
}

static void print_outcome(const json_t *r)
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

static void print_answer(const json_t *answer)
{
    size_t i, k;
    json_t *r, *rule;
    print_mail(json_object_get(answer, "mail"));
    json_array_foreach(json_object_get(answer, "recipients"), i, r)
    {
        (void)printf("%s: ", fb_json_text_of(r, "address"));
        print_outcome(r);
        json_array_foreach(json_object_get(r, "rules"), k, rule)
        {
            bool matches = json_is_true(json_object_get(rule, "matches"));
            (void)printf("  %s rule \"%s\" (line %lld): ", matches ? "+" : "-",
                         fb_json_text_of(rule, "rule"),
                         (long long)json_integer_value(json_object_get(rule, "line")));
            ctl_print_clean(fb_json_text_of(rule, "why"));
            (void)printf("\n");
        }
    }
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
    if (c->from == NULL || c->to.count == 0) {
        return ctl_usage_error(
            c, "policy test needs --from A (\"\" for the null sender) and at least one --to B");
    }
    return ctl_ask(c, "fumibako-render", c->word_count > 1 ? c->words[1] : NULL, ask, print_answer);
}
