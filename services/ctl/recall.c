/* SPDX-License-Identifier: Apache-2.0
 *
 * fumibako message recall|restore|report */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/evidence_text.h"
#include "common/ledger/restore.h"
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

static bool find_wanted(const struct ctl *c, const struct fb_ledger_message *m, uint32_t *index_r,
                        struct fb_error *err)
{
    if (!find_recipient(m, c->recipient, index_r)) {
        (void)fb_error_set(err, FB_NOT_FOUND, "%s is no recipient of message %s", c->recipient,
                           m->msg_id);
        return false;
    }
    return may_recall_alone(m, &m->recipients[*index_r], err);
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

int ctl_message_recall(struct ctl *c)
{
    int code = 0;
    struct fb_error err = {0};
    struct fb_ledger_message m = {0};
    uint32_t only[1] = {0};
    size_t only_count = c->recipient != NULL ? 1 : 0;
    if (!ctl_need_redis(c, &code)) {
        return code;
    }
    if (fb_ledger_get(c->redis, c->words[0], &m, &err) != FB_OK) {
        say_where(&err, c->words[0]);
        return ctl_fail(c, &err);
    }
    bool *was_out = fb_xcalloc(m.recipient_count + 1, sizeof *was_out);
    struct fb_recall_request request = {.recipients = only,
                                        .count = only_count,
                                        .takes_content = c->takes_content,
                                        .actor = "operator",
                                        .source = "fumibako",
                                        .reason = c->reason};
    if (only_count > 0 && !find_wanted(c, &m, &only[0], &err)) {
        code = ctl_fail(c, &err);
    } else if (fb_ledger_recall(c->redis, m.msg_id, &request, was_out, &err) != FB_OK) {
        code = ctl_fail(c, &err);
    } else {
        report_recall(c, &m, &request, was_out);
    }
    free(was_out);
    fb_ledger_message_deinit(&m);
    return code;
}

/* ---- restore ---- */

struct restore {
    struct ctl *c;
    const struct fb_ledger_message *m;
    struct fb_evidence *evidence;
    bool *wanted;
};

static void report_restore(const struct restore *x, const bool *asked, size_t count)
{
    const struct fb_ledger_message *m = x->m;
    json_t *list = json_array();
    for (size_t i = 0; i < m->recipient_count; i++) {
        const char *address = m->recipients[i].address;
        if (!asked[i] || address[0] == '\0') {
            continue;
        }
        const char *why = x->wanted[i] ? NULL : fb_restore_why_not(m, &x->evidence[i], false);
        if (x->c->is_json) {
            (void)json_array_append_new(
                list, json_pack("{s:o,s:b,s:s}", "address", fb_json_text(address), "restored",
                                x->wanted[i], "reason", why != NULL ? why : ""));
        } else {
            (void)printf("%-40s %s\n", address, why != NULL ? why : "access is being given back");
        }
    }
    if (x->c->is_json) {
        ctl_print_json(json_pack("{s:s,s:o}", "id", m->msg_id, "recipients", list));
        return;
    }
    json_decref(list);
    if (count > 0) {
        (void)printf("next: the link in the notice works again within seconds; `fumibako message "
                     "show %s` says when, "
                     "and what the storage refused\n",
                     m->msg_id);
    }
}

static enum fb_status choose(struct restore *x, bool *asked, struct fb_error *err)
{
    const struct fb_ledger_message *m = x->m;
    for (size_t i = 0; i < x->c->to_count; i++) {
        uint32_t index = 0;
        if (!find_recipient(m, x->c->to[i], &index)) {
            return fb_error_set(err, FB_NOT_FOUND, "%s is no recipient of message %s", x->c->to[i],
                                m->msg_id);
        }
        asked[index] = true;
    }
    for (size_t i = 0; i < m->recipient_count; i++) {
        asked[i] = asked[i] || x->c->to_count == 0;
    }
    return fb_restore_choose(m, x->evidence, asked, x->wanted, err);
}

int ctl_message_restore(struct ctl *c)
{
    int code = 0;
    size_t count = 0;
    struct fb_error err = {0};
    struct fb_ledger_message m = {0};
    if (!ctl_need_message(c, &m, &code)) {
        return code;
    }
    struct restore x = {
        .c = c, .m = &m, .wanted = fb_xcalloc(m.recipient_count + 1, sizeof *x.wanted)};
    bool *asked = fb_xcalloc(m.recipient_count + 1, sizeof *asked);
    enum fb_status s =
        fb_ledger_evidence(c->redis, &m, c->config->revoke.settle_ms, &x.evidence, &err);
    if (s == FB_OK) {
        s = choose(&x, asked, &err);
    }
    if (s == FB_OK) {
        s = fb_restore(c->redis, &m, x.wanted, &count, &err);
    }
    if (s == FB_OK) {
        report_restore(&x, asked, count);
        code = count > 0 ? 0 : FB_EXIT_FAILED;
    } else {
        code = ctl_fail(c, &err);
    }
    free(asked);
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
    if (c->language != NULL && strcmp(c->language, "ja") != 0 && strcmp(c->language, "en") != 0) {
        return ctl_usage_error(c, "--language takes ja or en");
    }
    if (!ctl_need_message(c, &m, &code)) {
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
