/* SPDX-License-Identifier: Apache-2.0
 *
 * The mail that is shown is an invented one: a quotation from example.jp to two recipients.  Everything that the policy
 * decides (who proves what, until when, whether there is a password) is as its rule says. */
#include "services/rewrite/preview.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/crypto.h"
#include "common/json_words.h"
#include "common/log.h"
#include "common/logo.h"
#include "common/policy/template.h"
#include "common/service.h"
#include "services/rewrite/code_text.h"
#include "services/rewrite/letter_text.h"
#include "services/rewrite/notice_text.h"

#define MAX_TEXT  (4U << 20) /* of one mail in one form */
#define MINUTE_MS INT64_C(60000)
#define HOUR_MS   (60 * MINUTE_MS)
#define DAY_MS    (24 * HOUR_MS)

#define SENDER     "taro.yamada@example.jp"
#define HANAKO     "hanako.sato@example.com"
#define JIRO       "jiro.suzuki@example.net"
#define POSTMASTER "postmaster@example.jp"
#define MSG_ID     "01KB8Q4ZJ7S0M3P9V2X6T1R5WE"
#define PASSWORD   "nami-7421-kaze"
#define PAGE       "https://mail.example.jp/s/EXAMPLE"

/* What all mails of one answer are made of. */
struct sample {
    struct fb_policy *policy;
    const struct fb_policy_rule *rule; /* NULL: the policy has none that secures */
    const struct fb_policy_security *security;
    bool is_vault, is_ja;
    int64_t sent_ms, expires_ms;
    struct fb_parcel parcel;
    struct fb_plan plan;
    struct fb_branch branch;
    struct fb_envelope envelope;
    char logo[FB_LOGO_MAX_BYTES / 3 * 4 + 64]; /* as data: URL; "" = is not shown */
};

/* ---- the mail ---- */

static const char *access_name(const struct fb_policy_security *security)
{
    switch (security != NULL ? security->access : FB_ACCESS_RECIPIENTS) {
    case FB_ACCESS_COMPANY:
        return "company";
    case FB_ACCESS_ANYONE:
        return "anyone";
    default:
        return "recipients";
    }
}

static const char *storage_name(const struct sample *s)
{
    return s->rule != NULL ? s->rule->storage->name : "vault";
}

static const char *rule_name(const struct sample *s)
{
    return s->rule != NULL ? s->rule->name : "";
}

static const char *link_of(const struct sample *s)
{
    return s->is_vault ? "https://mail.example.jp/r/EXAMPLE" : "https://app.box.com/s/EXAMPLE";
}

static void add_file(struct fb_parcel *p, const char *name, uint64_t size)
{
    struct fb_parcel_file *f = &p->files[p->file_count++];
    f->name = fb_xstrdup(name);
    f->file_id = fb_xstrdup("");
    f->size = size;
}

static void make_parcel(struct sample *s)
{
    struct fb_parcel *p = &s->parcel;
    const struct fb_policy_security *security = s->security;
    bool secures_body = s->rule == NULL || s->rule->secures_body;
    bool secures_files = s->rule == NULL || s->rule->secures_attachments;
    bool has_password = security != NULL && security->is_password_generated;
    p->storage = fb_xstrdup(storage_name(s));
    p->user = fb_xstrdup("");
    p->folder_id = fb_xstrdup("");
    p->link = fb_xstrdup(link_of(s));
    p->access = fb_xstrdup(access_name(security));
    p->password = fb_xstrdup(has_password ? PASSWORD : "");
    p->password_to_sender = has_password && security->password_to_sender;
    p->can_download = security == NULL || security->can_download;
    p->expires_ms = s->expires_ms;
    p->files = fb_xcalloc(2, sizeof *p->files);
    if (secures_body) {
        add_file(p, s->is_ja ? "本文.pdf" : "message.pdf", 86231);
    }
    if (secures_files) {
        add_file(p, s->is_ja ? "見積書.xlsx" : "Quotation.xlsx", 245760);
    }
}

/* Anew for each language. */
static void make_mail(struct sample *s, bool is_ja)
{
    fb_parcel_deinit(&s->parcel);
    fb_plan_deinit(&s->plan);
    s->parcel = (struct fb_parcel){0};
    s->plan = (struct fb_plan){.date_ms = s->sent_ms};
    s->is_ja = is_ja;
    make_parcel(s);
    (void)snprintf(s->plan.msg_id, sizeof s->plan.msg_id, "%s", MSG_ID);
    s->plan.subject = fb_xstrdup(is_ja ? "お見積書をお送りします" : "Our quotation");
    s->plan.language = fb_xstrdup(is_ja ? "ja" : "en");
    free(s->policy->notices.language);
    s->policy->notices.language = fb_xstrdup(is_ja ? "ja" : "en");
}

static const struct fb_policy_rule *first_that_secures(const struct fb_policy *p)
{
    const struct fb_policy_rule *other = NULL;
    for (size_t i = 0; i < p->rule_count; i++) {
        const struct fb_policy_rule *r = &p->rules[i];
        if (r->action == FB_ACTION_SECURE && r->storage != NULL && r->is_enabled) {
            return r;
        }
        other = other == NULL && r->action == FB_ACTION_SECURE && r->storage != NULL ? r : other;
    }
    return other;
}

static enum fb_status pick_rule(struct sample *s, const char *name, struct fb_error *err)
{
    s->rule = name != NULL ? fb_policy_find_rule(s->policy, name) : first_that_secures(s->policy);
    if (name != NULL &&
        (s->rule == NULL || s->rule->action != FB_ACTION_SECURE || s->rule->storage == NULL)) {
        return fb_error_set(err, FB_INVALID, "the policy has no rule of that name that secures");
    }
    s->security = s->rule != NULL ? s->rule->security : NULL;
    s->is_vault = s->rule == NULL || s->rule->storage->type == FB_STORAGE_VAULT;
    s->sent_ms = fb_now_ms();
    s->sent_ms -= s->sent_ms % MINUTE_MS;
    if (s->rule == NULL) {
        s->expires_ms = s->sent_ms + 30 * DAY_MS;
    } else if (s->security != NULL && s->security->expires_after_s > 0) {
        s->expires_ms = s->sent_ms + s->security->expires_after_s * 1000;
    }
    return FB_OK;
}

/* ---- notices ---- */

static enum fb_status write_notice(const struct sample *s, const char *kind, enum notice_form form,
                                   bool has_logo, struct fb_buf *out)
{
    static const char *const readers[] = {HANAKO, JIRO};
    struct fb_parcel parcel = s->parcel; /* lent */
    char password[] = PASSWORD;
    bool is_password = strcmp(kind, "password") == 0;
    if (is_password) { /* also where no definition makes one: its text is to be seen */
        parcel.password = password;
    }
    const struct notice_facts f = {.policy = s->policy,
                                   .plan = &s->plan,
                                   .branch = &s->branch,
                                   .parcel = &parcel,
                                   .envelope = &s->envelope,
                                   .link = link_of(s),
                                   .storage = storage_name(s),
                                   .is_vault = s->is_vault,
                                   .recipient = s->is_vault || is_password ? HANAKO : NULL,
                                   .readers = readers,
                                   .reader_count = 2,
                                   .has_logo = has_logo};
    return notice_write(&f, kind, form, out);
}

static enum fb_status write_notice_subject(const struct sample *s, const char *kind,
                                           struct fb_buf *out)
{
    const struct notice_facts f = {
        .policy = s->policy, .plan = &s->plan, .branch = &s->branch, .parcel = &s->parcel};
    return strcmp(kind, "password") == 0 ? notice_write_password_subject(&f, out)
                                         : fb_buf_add_str(out, s->plan.subject);
}

/* ---- letters ---- */

static bool find_letter(const char *kind, enum fb_letter *letter_r)
{
    static const enum fb_letter all[] = {FB_LETTER_RECEIPT, FB_LETTER_HELD, FB_LETTER_UNOPENED,
                                         FB_LETTER_RECALL};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (strcmp(letter_kind(all[i]), kind) == 0) {
            *letter_r = all[i];
            return true;
        }
    }
    return false;
}

/* One who had read it before the recall, one who had not. */
static void make_evidence(const struct sample *s, struct fb_evidence evidence_r[2])
{
    for (uint32_t i = 0; i < 2; i++) {
        evidence_r[i] = (struct fb_evidence){.recipient = i,
                                             .address = i == 0 ? HANAKO : JIRO,
                                             .kind = FB_EV_CLOSED,
                                             .is_notice_out = true,
                                             .removed_ms = s->sent_ms + 2 * HOUR_MS,
                                             .log_until_ms = s->sent_ms + 3 * HOUR_MS,
                                             .complete_ms = s->sent_ms + 3 * HOUR_MS,
                                             .is_final = true};
    }
    evidence_r[0].opened_ms = s->sent_ms + HOUR_MS;
    evidence_r[0].previews = 1;
}

struct letter_sample {
    struct letter_facts facts;
    struct letter_person persons[2];
    struct fb_evidence evidence[2];
};

static void fill_parcel(const struct sample *s, struct letter_facts *f)
{
    f->files = s->parcel.files;
    f->file_count = s->parcel.file_count;
    f->has_parcel = true;
    f->can_download = s->parcel.can_download;
    f->has_password = s->parcel.password[0] != '\0';
    f->password = s->parcel.password_to_sender ? s->parcel.password : "";
    f->is_vault = s->is_vault;
}

static void make_letter(const struct sample *s, enum fb_letter letter, struct letter_sample *l)
{
    int64_t days =
        s->rule != NULL && s->rule->remind_after_days > 0 ? s->rule->remind_after_days : 3;
    *l = (struct letter_sample){.facts = {.letter = letter,
                                          .policy = s->policy,
                                          .has_title = true,
                                          .language = s->plan.language,
                                          .subject = s->plan.subject,
                                          .sender = SENDER,
                                          .postmaster = POSTMASTER,
                                          .msg_id = MSG_ID,
                                          .accepted_ms = s->sent_ms,
                                          .page = PAGE,
                                          .persons = l->persons,
                                          .person_count = 2,
                                          .rule = rule_name(s),
                                          .security = s->security != NULL ? s->security->name : "",
                                          .storage = storage_name(s),
                                          .access = s->parcel.access,
                                          .password = "",
                                          .expires_ms = s->expires_ms,
                                          .since_ms = s->sent_ms,
                                          .now_ms = s->sent_ms + days * DAY_MS,
                                          .log_until_ms = s->sent_ms + days * DAY_MS,
                                          .why = FB_NETWORK,
                                          .until_ms = s->sent_ms + 30 * DAY_MS,
                                          .recalled_ms = s->sent_ms + 2 * HOUR_MS,
                                          .actor = "sender",
                                          .reason = s->is_ja ? "宛先の誤り" : "wrong recipient",
                                          .is_final = true}};
    fill_parcel(s, &l->facts);
    make_evidence(s, l->evidence);
    for (size_t i = 0; i < 2; i++) {
        l->persons[i] = (struct letter_person){
            .address = l->evidence[i].address,
            .is_pending = i == 1 && !s->is_vault && letter == FB_LETTER_RECEIPT,
            .evidence = letter == FB_LETTER_RECALL ? &l->evidence[i] : NULL};
    }
}

/* ---- a mail ---- */

static struct code_facts make_code(const struct sample *s)
{
    return (struct code_facts){.policy = s->policy,
                               .language = s->plan.language,
                               .code = "482915",
                               .to = HANAKO,
                               .sender = SENDER,
                               .postmaster = POSTMASTER,
                               .msg_id = MSG_ID,
                               .sent_ms = s->sent_ms,
                               .minutes = 10};
}

static enum fb_status write_subject(const struct sample *s, const char *kind, struct fb_buf *out)
{
    enum fb_letter letter;
    struct letter_sample l;
    if (strcmp(kind, "code") == 0) {
        const struct code_facts f = make_code(s);
        return code_write_subject(&f, out);
    }
    if (!find_letter(kind, &letter)) {
        return write_notice_subject(s, kind, out);
    }
    make_letter(s, letter, &l);
    return letter_write_subject(&l.facts, out);
}

static enum fb_status write_body(const struct sample *s, const char *kind, enum notice_form form,
                                 struct fb_buf *out)
{
    enum fb_letter letter;
    struct letter_sample l;
    bool has_logo = s->logo[0] != '\0';
    if (strcmp(kind, "code") == 0) {
        struct code_facts f = make_code(s);
        f.has_logo = has_logo;
        return code_write(&f, form, out);
    }
    if (!find_letter(kind, &letter)) {
        return write_notice(s, kind, form, has_logo, out);
    }
    make_letter(s, letter, &l);
    l.facts.has_logo = has_logo;
    return letter_write(&l.facts, form, out);
}

/* A page has no parts that a cid: could name. */
static enum fb_status put_logo(const struct sample *s, struct fb_slice html, struct fb_buf *out)
{
    const struct fb_slice cid = FB_SLICE_LITERAL("cid:" FB_LOGO_CID);
    enum fb_status st = FB_OK;
    for (size_t at; st == FB_OK && (at = fb_slice_find(html, cid)) != SIZE_MAX;) {
        st = fb_buf_add(out, html.ptr, at);
        st = st == FB_OK ? fb_buf_add_str(out, s->logo) : st;
        html = fb_slice_sub(html, at + cid.len, SIZE_MAX);
    }
    return st == FB_OK ? fb_buf_add_slice(out, html) : st;
}

/* NULL with an error. */
static json_t *mail_json(const struct sample *s, const char *kind, struct fb_error *err)
{
    struct fb_buf subject, text, raw, html;
    json_t *o = NULL;
    fb_buf_init(&subject, MAX_TEXT);
    fb_buf_init(&text, MAX_TEXT);
    fb_buf_init(&raw, MAX_TEXT);
    fb_buf_init(&html, MAX_TEXT);
    enum fb_status st = write_subject(s, kind, &subject);
    st = st == FB_OK ? write_body(s, kind, NOTICE_TEXT, &text) : st;
    st = st == FB_OK ? write_body(s, kind, NOTICE_HTML, &raw) : st;
    st = st == FB_OK ? put_logo(s, fb_slice_buf(&raw), &html) : st;
    if (st == FB_OK) {
        o = json_pack("{s:s,s:s,s:s%,s:s%,s:s%}", "kind", kind, "language", s->is_ja ? "ja" : "en",
                      "subject", fb_buf_str(&subject), subject.len, "text", fb_buf_str(&text),
                      text.len, "html", fb_buf_str(&html), html.len);
    }
    if (o == NULL) {
        (void)fb_error_set(err, st != FB_OK ? st : FB_INVALID, "the texts of \"%s\" are too long",
                           kind);
    }
    fb_buf_deinit(&subject);
    fb_buf_deinit(&text);
    fb_buf_deinit(&raw);
    fb_buf_deinit(&html);
    return o;
}

/* ---- the answer ---- */

/* Only a logo that stands in the policy itself. */
static const char *load_logo(struct sample *s)
{
    struct fb_logo logo;
    struct fb_error ignored = {0};
    struct fb_buf text;
    const char *spec = s->policy->notices.logo;
    if (spec == NULL || spec[0] == '\0') {
        return "none";
    }
    if (strncmp(spec, "data:", 5) != 0) {
        return "file";
    }
    fb_buf_init(&text, sizeof s->logo);
    bool is_good = fb_logo_load(spec, &logo, &ignored) == FB_OK &&
                   fb_base64_encode(fb_slice_buf(&logo.bytes), &text) == FB_OK;
    if (is_good) {
        (void)snprintf(s->logo, sizeof s->logo, "data:%s;base64,%s", logo.type, fb_buf_str(&text));
    }
    fb_buf_deinit(&text);
    fb_logo_deinit(&logo);
    return is_good ? "shown" : "none";
}

static enum fb_status add_mails(struct sample *s, const struct preview_question *q, json_t *items,
                                struct fb_error *err)
{
    for (int i = 0; i < 2; i++) {
        if (q->language != NULL && strcmp(q->language, i == 0 ? "ja" : "en") != 0) {
            continue;
        }
        make_mail(s, i == 0);
        for (const struct fb_policy_template_kind *k = fb_policy_template_kinds(); k->name != NULL;
             k++) {
            if (q->kind != NULL && strcmp(q->kind, k->name) != 0) {
                continue;
            }
            json_t *one = mail_json(s, k->name, err);
            if (one == NULL || json_array_append_new(items, one) != 0) {
                return err->status != FB_OK ? err->status : FB_INVALID;
            }
        }
    }
    return FB_OK;
}

static enum fb_status check_question(const struct preview_question *q, struct fb_error *err)
{
    if (q->kind != NULL && !fb_policy_template_is_kind(q->kind)) {
        return fb_error_set(err, FB_INVALID, "there is no such kind of notice");
    }
    if (q->language != NULL && strcmp(q->language, "ja") != 0 && strcmp(q->language, "en") != 0) {
        return fb_error_set(err, FB_INVALID, "the language is ja or en");
    }
    return FB_OK;
}

/* The answer, the caller's.  Changes the policy's notices.language.  FB_INVALID: no such kind, language, or rule that
 * secures. */
static enum fb_status make(struct fb_policy *policy, const struct preview_question *q,
                           json_t **answer_r, struct fb_error *err)
{
    char sender[] = SENDER;
    struct sample *s = fb_xcalloc(1, sizeof *s);
    json_t *items = json_array();
    const char *logo = "none";
    s->policy = policy;
    s->envelope.reverse_path = sender;
    enum fb_status st = check_question(q, err);
    st = st == FB_OK ? pick_rule(s, q->rule, err) : st;
    if (st == FB_OK) {
        s->branch.kind = FB_BRANCH_SECURE;
        s->branch.rule = s->rule != NULL ? s->rule->name : NULL;
        s->branch.security = s->security != NULL ? s->security->name : NULL;
        logo = load_logo(s);
        st = add_mails(s, q, items, err);
    }
    if (st == FB_OK) {
        *answer_r =
            json_pack("{s:s,s:o,s:O}", "logo", logo, "rule",
                      s->rule != NULL ? fb_json_text(s->rule->name) : json_null(), "items", items);
        st = *answer_r != NULL ? FB_OK : fb_error_set(err, FB_BUG, "the answer cannot be made");
    }
    json_decref(items);
    fb_parcel_deinit(&s->parcel);
    fb_plan_deinit(&s->plan);
    free(s);
    return st;
}

/* ---- the program ---- */

bool preview_is_asked(int argc, char **argv)
{
    return argc > 1 && strcmp(argv[1], "--preview") == 0;
}

static bool take_options(int argc, char **argv, struct preview_question *q, const char **path_r)
{
    enum { OPT_KIND = 1, OPT_LANGUAGE, OPT_RULE };
    static const struct option options[] = {{"kind", required_argument, NULL, OPT_KIND},
                                            {"language", required_argument, NULL, OPT_LANGUAGE},
                                            {"rule", required_argument, NULL, OPT_RULE},
                                            {NULL, 0, NULL, 0}};
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (o) {
        case OPT_KIND:
            q->kind = optarg;
            break;
        case OPT_LANGUAGE:
            q->language = optarg;
            break;
        case OPT_RULE:
            q->rule = optarg;
            break;
        default:
            return false;
        }
    }
    *path_r = argv[optind];
    return argc - optind == 1;
}

static enum fb_status answer_policy(const char *path, const struct preview_question *q,
                                    json_t **answer_r, struct fb_error *err)
{
    struct fb_buf document = {0};
    struct fb_policy *policy = NULL;
    struct fb_policy_findings findings = {0};
    enum fb_status s = fb_read_file(path, FB_POLICY_MAX, &document, err);
    bool is_ja = q->language != NULL && strcmp(q->language, "ja") == 0;
    if (s == FB_OK &&
        fb_policy_parse_in(fb_slice_buf(&document), is_ja, &policy, &findings) != FB_OK) {
        *answer_r =
            json_pack("{s:{s:s,s:s},s:o}", "error", "code", fb_status_name(FB_INVALID), "message",
                      "the policy has errors", "findings", fb_json_findings(&findings));
        s = fb_error_set(err, FB_INVALID, "the policy has errors");
    }
    s = s == FB_OK ? make(policy, q, answer_r, err) : s;
    fb_policy_unref(&policy);
    fb_policy_findings_deinit(&findings);
    fb_buf_deinit(&document);
    return s;
}

int preview_main(int argc, char **argv)
{
    struct preview_question q = {0};
    struct fb_error err = {0};
    const char *path = NULL;
    json_t *answer = NULL;
    fb_log_init("rewrite", FB_WARN, false);
    (void)signal(SIGPIPE, SIG_IGN);
    if (!take_options(argc - 1, argv + 1, &q, &path)) { /* "--preview" is its argv[0] */
        (void)fprintf(stderr, "usage: fumibako-rewrite --preview POLICY [--kind KIND] [--language "
                              "ja|en] [--rule RULE]\n");
        return FB_EXIT_USAGE;
    }
    enum fb_status s = answer_policy(path, &q, &answer, &err);
    if (answer == NULL) {
        answer =
            json_pack("{s:{s:s,s:s}}", "error", "code", fb_status_name(s), "message", err.text);
    }
    int code = s == FB_OK ? 0 : FB_EXIT_FAILED;
    if (answer == NULL || json_dumpf(answer, stdout, JSON_COMPACT) != 0 || fflush(stdout) != 0) {
        (void)fprintf(stderr, "fumibako-rewrite: the answer cannot be written\n");
        code = FB_EXIT_FAILED;
    }
    json_decref(answer);
    return code;
}
