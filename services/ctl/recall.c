/* SPDX-License-Identifier: Apache-2.0
 *
 * fumibako message recall|restore|report */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/evidence_text.h"
#include "common/id.h"
#include "common/ledger/restore.h"
#include "common/recall_preview.h"
#include "services/ctl/ctl.h"

/* ---- evidence, as message show has it too ---- */

void ctl_print_evidence(const struct fb_evidence *e, const char *language, const char *indent)
{
    struct fb_buf words;
    fb_buf_init(&words, FB_EVIDENCE_WORDS + 1);
    if (fb_evidence_words(e, language != NULL ? language : "en", &words) == FB_OK) {
        (void)printf("%s%s\n", indent, fb_buf_str(&words));
    }
    fb_buf_deinit(&words);
}

/* ---- recall ---- */

static bool find_recipient(const struct fb_ledger_message *m, const char *address,
                           uint32_t *index_r)
{
    for (size_t i = 0; i < m->recipient_count; i++) {
        if (strcasecmp(m->recipients[i].address, address) == 0) {
            *index_r = (uint32_t)i;
            return true;
        }
    }
    return false;
}

static void print_next(const struct fb_ledger_message *m, const struct fb_recall_request *q,
                       bool is_access_out)
{
    const char *letter = m->from[0] != '\0' ? "  The sender gets a mail with the result." : "";
    if (!is_access_out) {
        (void)printf("next: `fumibako message report %s` says what became of it.%s\n", m->msg_id,
                     letter);
        return;
    }
    (void)printf(
        "next: access is removed within seconds; `fumibako message report %s` says what was "
        "opened before.%s\n",
        m->msg_id, letter);
    if (!q->takes_content) {
        (void)printf("      `fumibako message restore %s` gives the access back\n", m->msg_id);
    }
}

static void report_recall(const struct ctl *c, const struct fb_ledger_message *m,
                          const struct fb_recall_request *q, const bool *was_out)
{
    const uint32_t *only = q->recipients;
    size_t only_count = q->count;
    json_t *list = json_array();
    size_t count = only_count > 0 ? only_count : m->recipient_count;
    bool is_access_out = false;
    for (size_t i = 0; i < count; i++) {
        const struct fb_ledger_recipient *r = &m->recipients[only_count > 0 ? only[i] : i];
        if (r->address[0] == '\0') {
            continue; /* a rebuilt ledger does not know who was outside the parcels */
        }
        bool is_plain =
            r->branch < m->branch_count && strcmp(m->branches[r->branch].kind, "pass") == 0;
        const char *what =
            !was_out[i] ? "stopped before anything was sent"
            : is_plain  ? "the mail itself was sent, it was not secured: it cannot be taken back"
                        : "the notice was out; access is being taken away";
        is_access_out = is_access_out || (was_out[i] && !is_plain);
        if (c->is_json) {
            (void)json_array_append_new(list, json_pack("{s:o,s:b,s:b}", "address",
                                                        fb_json_text(r->address), "was_out",
                                                        was_out[i], "was_secured", !is_plain));
        } else {
            (void)printf("%-40s %s\n", r->address, what);
        }
    }
    if (c->is_json) {
        ctl_print_json(json_pack("{s:s,s:s,s:b,s:o}", "id", m->msg_id, "recall", q->id, "unsure",
                                 q->is_unsure, "recipients", list));
    } else {
        json_decref(list);
        print_next(m, q, is_access_out);
    }
    if (q->is_unsure) {
        (void)fprintf(
            stderr,
            "fumibako: no replica of Redis has confirmed this recall: a fail-over now may "
            "forget it. Look with `fumibako message report %s` in a minute, and recall "
            "again if %s is not in it\n",
            m->msg_id, q->id);
    }
}

/* Access by one link cannot be taken from one person; said before anything is marked. */
static bool may_recall_alone(const struct fb_ledger_message *m, const struct fb_ledger_recipient *r,
                             struct fb_error *err)
{
    if (r->branch < m->branch_count && fb_ledger_is_by_link(&m->branches[r->branch])) {
        (void)fb_error_set(err, FB_DENIED,
                           "the parcel of %s is open by one link (access: %s): recall the whole "
                           "message, without --recipient",
                           r->address, m->branches[r->branch].access);
        return false;
    }
    return true;
}

/* Marks those that are named, by --recipient or --to; without a name all are meant. */
static enum fb_status ask_for(const struct ctl *c, const struct fb_ledger_message *m, bool *asked,
                              struct fb_error *err)
{
    const struct ctl_list *const lists[] = {&c->recipients, &c->to};
    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < lists[k]->count; i++) {
            uint32_t index = 0;
            if (!find_recipient(m, lists[k]->items[i], &index)) {
                return fb_error_set(err, FB_NOT_FOUND, "%s is no recipient of message %s",
                                    lists[k]->items[i], m->msg_id);
            }
            asked[index] = true;
        }
    }
    for (size_t i = 0; i < m->recipient_count && c->recipients.count + c->to.count == 0; i++) {
        asked[i] = true;
    }
    return FB_OK;
}

/* The numbers of those who are named; none = all. */
static enum fb_status take_numbers(const struct ctl *c, const struct fb_ledger_message *m,
                                   const bool *asked, uint32_t *numbers, size_t *count_r,
                                   struct fb_error *err)
{
    *count_r = 0;
    for (size_t i = 0; i < m->recipient_count && c->recipients.count > 0; i++) {
        if (asked[i]) {
            numbers[(*count_r)++] = (uint32_t)i;
            if (!c->is_preview && !may_recall_alone(m, &m->recipients[i], err)) {
                return FB_DENIED;
            }
        }
    }
    return FB_OK;
}

/* A mail that was accepted while Redis was away is not known yet, and goes out as soon as it is. */
static void say_where(struct fb_error *err, const char *msg_id)
{
    if (err->status == FB_NOT_FOUND) {
        (void)fb_error_set(err, FB_NOT_FOUND,
                           "the ledger does not know message %s, nothing was recalled. If it is in "
                           "`fumibako spool list`, make it known with `fumibako spool replay` and "
                           "recall it then; if Redis was lost since it was sent, run `fumibako "
                           "ledger rebuild` first",
                           msg_id);
    }
}

static const char *effect_words(const char *effect, bool is_ja)
{
    static const struct {
        const char *effect, *en, *ja;
    } words[] = {
        {"stop", "is stopped before anything is sent", "送信前に止めます"},
        {"remove", "access will be taken away", "アクセス権を取り消します"},
        {"plain", "the mail itself was sent, it was not secured: it cannot be taken back",
         "保護されずにそのまま送信済みのため、取り消せません"},
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(words[i].effect, effect) == 0) {
            return is_ja ? words[i].ja : words[i].en;
        }
    }
    return is_ja ? "取り消すアクセス権はありません" : "there is no access to take away";
}

static void print_effects(const json_t *list, bool is_ja)
{
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one)
    {
        const char *effect = json_string_value(json_object_get(one, "effect"));
        (void)printf("%-40s %s\n    %s\n", json_string_value(json_object_get(one, "address")),
                     effect_words(effect != NULL ? effect : "", is_ja),
                     json_string_value(json_object_get(one, "words")));
    }
}

/* What it would do; changes nothing.  Exit 1 where it cannot be done. */
static enum fb_status preview_recall(struct ctl *c, const struct fb_ledger_message *m,
                                     const bool *asked, const struct fb_recall_request *q,
                                     int *code_r, struct fb_error *err)
{
    struct fb_evidence *evidence = NULL;
    bool is_ja = ctl_is_ja(c);
    enum fb_status s = fb_ledger_evidence(c->redis, m, c->config->revoke.settle_ms, &evidence, err);
    if (s != FB_OK) {
        return s;
    }
    const char *why = fb_recall_why_not(m, q->recipients, q->count, is_ja);
    json_t *o = fb_recall_preview(m, evidence, asked, why, q->takes_content, is_ja);
    free(evidence);
    if (c->is_json) {
        ctl_print_json(o);
    } else {
        print_effects(json_object_get(o, "recipients"), is_ja);
        json_decref(o);
        (void)printf("%s\n", why != NULL ? why
                             : is_ja     ? "確認のみです。何も変更していません。"
                                         : "This is a preview: nothing was changed.");
    }
    *code_r = why == NULL ? 0 : FB_EXIT_FAILED;
    return FB_OK;
}

static enum fb_status do_recall(struct ctl *c, const struct fb_ledger_message *m,
                                struct fb_recall_request *q, struct fb_error *err)
{
    struct fb_audit_what what;
    bool *was_out = fb_xcalloc(m->recipient_count + 1, sizeof *was_out);
    fb_id_new(q->id);
    fb_audit_of_recall(m, q->id, q->recipients, q->count, q->takes_content, q->reason, &what);
    enum fb_status s = ctl_audit_what(c, "message.recall", &what, err);
    if (s == FB_OK) {
        s = fb_ledger_recall(c->redis, m->msg_id, q, was_out, err);
    }
    if (s == FB_OK) {
        report_recall(c, m, q, was_out);
    }
    free(was_out);
    return s;
}

int ctl_message_recall(struct ctl *c)
{
    int code = 0;
    struct fb_error err = {0};
    struct fb_ledger_message m = {0};
    if (!ctl_language_ok(c, &code) || !ctl_need_redis(c, &code)) {
        return code;
    }
    if (fb_ledger_get(c->redis, c->words[0], &m, &err) != FB_OK) {
        say_where(&err, c->words[0]);
        return ctl_fail(c, &err);
    }
    bool *asked = fb_xcalloc(m.recipient_count + 1, sizeof *asked);
    uint32_t *numbers = fb_xcalloc(m.recipient_count + 1, sizeof *numbers);
    struct fb_recall_request q = {.recipients = numbers,
                                  .takes_content = c->takes_content,
                                  .actor = "operator",
                                  .source = "fumibako",
                                  .reason = c->reason};
    enum fb_status s = ask_for(c, &m, asked, &err);
    if (s == FB_OK) {
        s = take_numbers(c, &m, asked, numbers, &q.count, &err);
    }
    if (s == FB_OK) {
        s = c->is_preview ? preview_recall(c, &m, asked, &q, &code, &err)
                          : do_recall(c, &m, &q, &err);
    }
    code = s == FB_OK ? code : ctl_fail(c, &err);
    free(asked);
    free(numbers);
    fb_ledger_message_deinit(&m);
    return code;
}

/* ---- restore ---- */

struct restore {
    struct ctl *c;
    const struct fb_ledger_message *m;
    struct fb_evidence *evidence;
    bool *asked, *wanted;
};

static void print_restored(const struct restore *x, const json_t *list, bool is_ja)
{
    size_t i;
    json_t *one;
    bool is_preview = x->c->is_preview;
    const char *given = is_preview ? (is_ja ? "アクセス権を戻します" : "access will be given back")
                                   : "access is being given back";
    json_array_foreach(list, i, one)
    {
        const char *why = json_string_value(json_object_get(one, "reason"));
        (void)printf("%-40s %s\n", json_string_value(json_object_get(one, "address")),
                     why != NULL ? why : given);
    }
    if (is_preview) {
        (void)printf("%s\n", is_ja ? "確認のみです。何も変更していません。"
                                   : "This is a preview: nothing was changed.");
    }
}

static void report_restore(const struct restore *x, size_t count)
{
    bool is_preview = x->c->is_preview;
    bool is_ja = (is_preview || x->c->language != NULL) && ctl_is_ja(x->c);
    json_t *o = fb_restore_answer(x->m, x->evidence, x->asked, x->wanted, is_preview, count, is_ja);
    if (x->c->is_json) {
        ctl_print_json(o);
        return;
    }
    print_restored(x, json_object_get(o, "recipients"), is_ja);
    json_decref(o);
    if (count > 0 && !is_preview) {
        (void)printf("next: the link in the notice works again within seconds; `fumibako message "
                     "show %s` says when, "
                     "and what the storage refused\n",
                     x->m->msg_id);
    }
}

static enum fb_status do_restore(struct restore *x, size_t *count_r, struct fb_error *err)
{
    struct fb_audit_what what;
    size_t possible = 0;
    for (size_t i = 0; i < x->m->recipient_count; i++) {
        possible += x->wanted[i];
    }
    *count_r = possible;
    if (x->c->is_preview || possible == 0) {
        return FB_OK;
    }
    fb_audit_of_restore(x->m, x->wanted, &what);
    enum fb_status s = ctl_audit_what(x->c, "message.restore", &what, err);
    return s == FB_OK ? fb_restore(x->c->redis, x->m, x->wanted, count_r, err) : s;
}

int ctl_message_restore(struct ctl *c)
{
    int code = 0;
    size_t count = 0;
    struct fb_error err = {0};
    struct fb_ledger_message m = {0};
    if (!ctl_language_ok(c, &code) || !ctl_need_message(c, &m, &code)) {
        return code;
    }
    struct restore x = {.c = c,
                        .m = &m,
                        .asked = fb_xcalloc(m.recipient_count + 1, sizeof *x.asked),
                        .wanted = fb_xcalloc(m.recipient_count + 1, sizeof *x.wanted)};
    enum fb_status s =
        fb_ledger_evidence(c->redis, &m, c->config->revoke.settle_ms, &x.evidence, &err);
    if (s == FB_OK) {
        s = ask_for(c, &m, x.asked, &err);
    }
    if (s == FB_OK) {
        s = fb_restore_choose(&m, x.evidence, x.asked, x.wanted, &err);
    }
    if (s == FB_OK) {
        s = do_restore(&x, &count, &err);
    }
    if (s == FB_OK) {
        report_restore(&x, count);
        code = count > 0 ? 0 : FB_EXIT_FAILED;
    } else {
        code = ctl_fail(c, &err);
    }
    free(x.asked);
    free(x.wanted);
    free(x.evidence);
    fb_ledger_message_deinit(&m);
    return code;
}

/* ---- report ---- */

static void print_recall(const struct fb_recall *r)
{
    char when[32];
    ctl_time(r->at_ms, when);
    (void)printf("  recall %s, %s, by ", r->id, when);
    ctl_print_clean(r->actor);
    (void)printf(" (%s), of %s%s", r->source, r->is_all ? "all recipients" : "some recipients",
                 r->takes_content ? ", with the content" : "");
    if (r->reason[0] != '\0') {
        (void)printf(": ");
        ctl_print_clean(r->reason);
    }
    (void)printf("\n    %s",
                 r->jobs_left > 0 ? "it is still being carried out" : "it has been carried out");
    if (r->has_failed) {
        (void)printf(", but not all of it: ");
        ctl_print_clean(r->failure);
        (void)printf("; `fumibako dead list` has the id for dead retry");
    }
    (void)printf("; the sender %s\n", strcmp(r->told, "final") == 0 ? "was told the final result"
                                      : strcmp(r->told, "interim") == 0
                                          ? "was told so far, and is told again"
                                          : "was not told yet");
}

static json_t *recall_json(const struct fb_recall *r)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->count; i++) {
        (void)json_array_append_new(list, json_integer(r->recipients[i]));
    }
    return json_pack("{s:s,s:o,s:o,s:s,s:o,s:b,s:b,s:o,s:I,s:s,s:b,s:o}", "id", r->id, "at",
                     ctl_json_time(r->at_ms), "actor", fb_json_text(r->actor), "source", r->source,
                     "reason", fb_json_text(r->reason), "all", r->is_all, "content",
                     r->takes_content, "recipients", list, "jobs_left", (json_int_t)r->jobs_left,
                     "told", r->told, "failed", r->has_failed, "failure", fb_json_text(r->failure));
}

static void print_report(const struct ctl *c, const struct fb_ledger_message *m,
                         const struct fb_recall *recalls, size_t count,
                         const struct fb_evidence *evidence)
{
    json_t *list = json_array();
    json_t *people = json_array();
    if (!c->is_json) {
        char when[32];
        ctl_time(m->accepted_ms, when);
        (void)printf("%s  accepted %s, from %s\n", m->msg_id, when,
                     m->from[0] != '\0' ? m->from : "<>");
    }
    for (size_t i = 0; i < count; i++) {
        if (c->is_json) {
            (void)json_array_append_new(list, recall_json(&recalls[i]));
        } else {
            print_recall(&recalls[i]);
        }
    }
    for (size_t i = 0; i < m->recipient_count; i++) {
        const char *address = m->recipients[i].address;
        if (address[0] == '\0') {
            continue; /* a rebuilt ledger does not know who was outside the parcels */
        }
        if (c->is_json) {
            (void)json_array_append_new(
                people, json_pack("{s:o,s:o}", "address", fb_json_text(address), "evidence",
                                  fb_json_evidence(&evidence[i], ctl_json_time)));
        } else {
            (void)printf("  %s\n", address);
            ctl_print_evidence(&evidence[i], c->language, "    ");
        }
    }
    if (c->is_json) {
        ctl_print_json(
            json_pack("{s:s,s:o,s:o}", "id", m->msg_id, "recalls", list, "recipients", people));
    } else {
        json_decref(list);
        json_decref(people);
    }
}

int ctl_message_report(struct ctl *c)
{
    int code = 0;
    size_t count = 0;
    struct fb_error err = {0};
    struct fb_ledger_message m = {0};
    struct fb_recall *recalls = NULL;
    struct fb_evidence *evidence = NULL;
    if (!ctl_language_ok(c, &code) || !ctl_need_message(c, &m, &code)) {
        return code;
    }
    enum fb_status s = fb_ledger_recalls(c->redis, m.msg_id, &recalls, &count, &err);
    if (s == FB_OK) {
        s = fb_ledger_evidence(c->redis, &m, c->config->revoke.settle_ms, &evidence, &err);
    }
    if (s == FB_OK) {
        print_report(c, &m, recalls, count, evidence);
    } else {
        code = ctl_fail(c, &err);
    }
    free(evidence);
    fb_recalls_free(recalls, count);
    fb_ledger_message_deinit(&m);
    return code;
}
