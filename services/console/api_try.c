/* SPDX-License-Identifier: Apache-2.0
 *
 * What a policy would do: with a mail (render reads it in its sandbox), and with the last mails, by what the ledger
 * knows of them; how often each rule took a recipient. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/figures.h"
#include "common/policy/store.h"
#include "proto/limits.h"
#include "services/console/api.h"
#include "services/console/helper.h"

#define MAX_LISTED (16U << 10) /* of X-Rcpt-To */

/* ---- a mail ---- */

struct trial {
    struct helper_question q;
    struct fb_buf mail;                /* decoded */
    struct fb_buf listed;              /* X-Rcpt-To, cut into addresses */
    struct fb_policy_version in_force; /* where no document was given */
};

static void trial_deinit(struct trial *t)
{
    fb_buf_deinit(&t->mail);
    fb_buf_deinit(&t->listed);
    fb_policy_version_deinit(&t->in_force);
}

static bool is_address(const char *text)
{
    return strlen(text) <= FB_MAX_ADDRESS && strpbrk(text, "\r\n") == NULL && text[0] != '-';
}

static bool add_to(struct call *c, struct trial *t, const char *address)
{
    if (t->q.to_count == HELPER_MAX_TO || address[0] == '\0' || !is_address(address)) {
        answer_invalid(c, "to", "宛先は 1 件から 100 件までのアドレスです。",
                       "to has one to 100 addresses.");
        return false;
    }
    t->q.to[t->q.to_count++] = address;
    return true;
}

/* {"mail", "from", "to", "document"}. */
static bool take_json(struct call *c, struct trial *t)
{
    size_t i;
    json_t *item;
    const char *mail = call_text(c, "mail");
    const char *document = call_text(c, "document");
    t->q.from = call_text(c, "from");
    if (t->q.from == NULL || !is_address(t->q.from)) {
        answer_invalid(c, "from", "差出人のアドレスを指定してください (空も可)。",
                       "from is the envelope sender; it may be empty.");
        return false;
    }
    if (mail == NULL || fb_base64_decode(fb_slice_str(mail), &t->mail) != FB_OK) {
        answer_invalid(c, "mail", "mail はメール全体を Base64 で表したものです。",
                       "mail is the whole mail in base64.");
        return false;
    }
    json_array_foreach(json_object_get(c->body, "to"), i, item)
    {
        if (!add_to(c, t, json_is_string(item) ? json_string_value(item) : "")) {
            return false;
        }
    }
    t->q.mail = fb_slice_buf(&t->mail);
    if (json_object_get(c->body, "document") != NULL) {
        if (document == NULL || strlen(document) > FB_POLICY_MAX) {
            answer_invalid(c, "document", "document は 4 MiB までのポリシー (YAML) です。",
                           "document is a policy (YAML) of at most 4 MiB.");
            return false;
        }
        t->q.document = fb_slice_str(document);
    }
    return true;
}

/* message/rfc822 with the envelope in the headers, as ingest takes it. */
static bool take_mail(struct call *c, struct trial *t)
{
    t->q.from = fb_http_header(c->request, "X-Mail-From");
    t->q.from = t->q.from != NULL ? t->q.from : "";
    if (!is_address(t->q.from) ||
        fb_http_header_list(c->request, "X-Rcpt-To", &t->listed) != FB_OK) {
        answer_invalid(c, "X-Mail-From", "封筒のアドレスが正しくありません。",
                       "The envelope's addresses cannot be used.");
        return false;
    }
    char *rest = t->listed.len > 0 ? (char *)t->listed.ptr : NULL;
    while (rest != NULL) {
        char *comma = strchr(rest, ',');
        if (comma != NULL) {
            *comma = '\0';
        }
        rest += strspn(rest, " \t");
        rest[strcspn(rest, " \t")] = '\0';
        if (!add_to(c, t, rest)) {
            return false;
        }
        rest = comma != NULL ? comma + 1 : NULL;
    }
    t->q.mail = c->request->body;
    return true;
}

static bool has_type(const struct call *c, const char *type)
{
    const char *given = fb_http_header(c->request, "Content-Type");
    struct fb_slice essence = fb_slice_str(given);
    essence = fb_slice_sub(essence, 0, fb_slice_find(essence, FB_SLICE_LITERAL(";")));
    return fb_slice_ieq_str(fb_slice_trim(essence), type);
}

/* False: answered. */
static bool take_trial(struct call *c, struct trial *t)
{
    struct fb_error err = {0};
    bool is_json = has_type(c, "application/json");
    if (!is_json && !has_type(c, "message/rfc822")) {
        answer_problem(c, 415, "not-mail",
                       "Content-Type は application/json または message/rfc822 としてください。",
                       "Send it as application/json or message/rfc822.");
        return false;
    }
    if ((is_json && !call_parse_body(c)) || !(is_json ? take_json(c, t) : take_mail(c, t))) {
        return false;
    }
    if (t->q.to_count == 0) {
        answer_invalid(c, "to", "宛先は 1 件から 100 件までのアドレスです。",
                       "to has one to 100 addresses.");
        return false;
    }
    if (t->q.mail.len == 0) {
        answer_invalid(c, "mail", "メールが空です。", "The mail is empty.");
        return false;
    }
    if (t->q.document.ptr == NULL) {
        if (fb_policy_current(c->console->config, c->redis, &t->in_force, &err) != FB_OK) {
            answer_error(c, &err);
            return false;
        }
        t->q.document = fb_slice_buf(&t->in_force.document);
    }
    return true;
}

/* What render or rewrite could not do: the policy has errors, the mail passes a limit, there is no such rule. */
void api_refusal(struct call *c, const json_t *answer, const char *where)
{
    size_t i;
    json_t *f;
    json_t *errors = json_array();
    const char *message =
        json_string_value(json_object_get(json_object_get(answer, "error"), "message"));
    json_array_foreach(json_object_get(answer, "findings"), i, f)
    {
        const char *severity = json_string_value(json_object_get(f, "severity"));
        if (severity != NULL && strcmp(severity, "error") == 0) {
            json_t *one = json_pack("{s:s}", "where", "document");
            (void)json_object_set(one, "what", json_object_get(f, "text"));
            (void)json_object_set(one, "line", json_object_get(f, "line"));
            (void)json_array_append_new(errors, one);
        }
    }
    if (json_array_size(errors) == 0 && message != NULL) {
        (void)json_array_append_new(errors,
                                    json_pack("{s:s,s:s}", "where", where, "what", message));
    }
    bool is_mail = strcmp(where, "mail") == 0;
    answer_problem_list(
        c, 422, "not-readable",
        is_mail ? "ポリシーまたはメールを読み取れません。" : "ポリシーに誤りがあります。",
        is_mail ? "The policy or the mail cannot be read." : "The policy has errors.", errors);
}

void api_policy_test(struct call *c)
{
    struct trial t = {.q = {.from = "", .is_ja = c->is_ja}};
    struct fb_error err = {0};
    json_t *answer = NULL;
    int exit_code = 0;
    fb_buf_init(&t.mail, CALL_MAX_MAIL);
    fb_buf_init(&t.listed, MAX_LISTED);
    if (take_trial(c, &t)) {
        enum fb_status s = helper_explain(&t.q, &answer, &exit_code, &err);
        if (s == FB_TOO_BIG) {
            answer_problem(c, 422, "invalid",
                           "メールまたは宛先が大きすぎます。宛先を減らすか、fumibako policy test "
                           "で調べてください。",
                           "The mail or its addresses are too large: ask for fewer recipients, or "
                           "use fumibako policy test.");
        } else if (s != FB_OK) {
            answer_error(c, &err);
        } else if (json_object_get(answer, "error") != NULL) {
            api_refusal(c, answer, "mail");
        } else {
            answer_json(c, 200, json_incref(answer));
        }
    }
    json_decref(answer);
    trial_deinit(&t);
}

/* ---- hits ---- */

void api_policy_hits(struct call *c)
{
    struct fb_error err = {0};
    json_t *items = NULL;
    if (fb_figures_hits(c->redis, &items, &err) == FB_OK) {
        answer_json(c, 200, json_pack("{s:o}", "items", items));
    } else {
        answer_error(c, &err);
    }
}
