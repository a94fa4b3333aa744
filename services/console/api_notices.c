/* SPDX-License-Identifier: Apache-2.0
 *
 * How the mails of a policy look: rewrite's own words for an invented mail (fumibako-rewrite --preview). */
#include <string.h>

#include "common/policy/store.h"
#include "common/policy/template.h"
#include "services/console/api.h"
#include "services/console/helper.h"

#define MAX_NAME 1000 /* bytes of a rule's name */

/* {"document", "kind", "language", "rule"}, each of them optional; false: answered. */
static bool take_question(struct call *c, struct helper_preview *q)
{
    static const char *const fields[] = {"document", "kind", "language", "rule"};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (json_object_get(c->body, fields[i]) != NULL && call_text(c, fields[i]) == NULL) {
            answer_invalid(c, fields[i], "文字列で指定してください。", "It is a text.");
            return false;
        }
    }
    const char *document = call_text(c, "document");
    const char *kind = call_text(c, "kind");
    const char *language = call_text(c, "language");
    const char *rule = call_text(c, "rule");
    if (document != NULL && strlen(document) > FB_POLICY_MAX) {
        answer_invalid(c, "document", "document は 4 MiB までのポリシー (YAML) です。",
                       "document is a policy (YAML) of at most 4 MiB.");
        return false;
    }
    if (kind != NULL && !fb_policy_template_is_kind(kind)) {
        answer_invalid(c, "kind", "その種類の通知文はありません。",
                       "There is no such kind of notice.");
        return false;
    }
    if (language != NULL && strcmp(language, "ja") != 0 && strcmp(language, "en") != 0) {
        answer_invalid(c, "language", "language は ja または en です。", "language is ja or en.");
        return false;
    }
    if (rule != NULL && (rule[0] == '\0' || strlen(rule) > MAX_NAME)) {
        answer_invalid(c, "rule", "rule はルールの名前です。", "rule is the name of a rule.");
        return false;
    }
    q->document = fb_slice_str(document);
    q->kind = kind != NULL ? kind : "";
    q->language = language != NULL ? language : "";
    q->rule = rule != NULL ? rule : "";
    return true;
}

/* What is wrong with the policy, in the caller's language: the notices' is another matter. */
static void say_findings(const struct call *c, struct fb_slice document, json_t *answer)
{
    struct fb_policy *policy = NULL;
    struct fb_policy_findings f = {0};
    if (json_object_get(answer, "findings") != NULL &&
        fb_policy_parse_in(document, c->is_ja, &policy, &f) != FB_OK) {
        (void)json_object_set_new(answer, "findings", fb_json_findings(&f));
    }
    fb_policy_unref(&policy);
    fb_policy_findings_deinit(&f);
}

void api_notices_preview(struct call *c)
{
    struct helper_preview q;
    struct fb_error err = {0};
    struct fb_policy_version in_force = {0};
    json_t *answer = NULL;
    int exit_code = 0;
    if (!take_question(c, &q)) {
        return;
    }
    enum fb_status s = FB_OK;
    if (q.document.ptr == NULL) {
        s = fb_policy_current(c->console->config, c->redis, &in_force, &err);
        q.document = fb_slice_buf(&in_force.document);
    }
    s = s == FB_OK ? helper_preview(&q, &answer, &exit_code, &err) : s;
    if (s == FB_TOO_BIG) {
        answer_problem(c, 422, "invalid", "ポリシーが大きすぎます。", "The policy is too large.");
    } else if (s != FB_OK) {
        answer_error(c, &err);
    } else if (json_object_get(answer, "error") != NULL) {
        say_findings(c, q.document, answer);
        api_refusal(c, answer, q.rule[0] != '\0' ? "rule" : "document");
    } else {
        answer_json(c, 200, json_incref(answer));
    }
    json_decref(answer);
    fb_policy_version_deinit(&in_force);
}
