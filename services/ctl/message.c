/* SPDX-License-Identifier: Apache-2.0
 *
 * fumibako message list|show (recall, restore, report: recall.c) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/ledger/search.h"
#include "common/json_words.h"
#include "common/timeline.h"
#include "common/title.h"
#include "services/ctl/ctl.h"

#define MAX_HISTORY 100 /* newest lines of a parcel */

/* The vault of those without an account, for one who reads there; else "". */
static const char *fallback_of(const struct fb_ledger_message *m,
                               const struct fb_ledger_recipient *r)
{
    return r->is_vault && r->branch < m->branch_count ? m->branches[r->branch].fallback : "";
}

static json_t *recipient_json(const struct fb_ledger_message *m,
                              const struct fb_ledger_recipient *r)
{
    return json_pack("{s:o,s:i,s:s,s:s,s:o,s:I,s:I,s:s,s:o}", "address", fb_json_text(r->address),
                     "branch", (int)r->branch, "state", r->state, "grant", r->grant_state,
                     "grant_at", ctl_json_time(r->grant_ms), "previews", (json_int_t)r->previews,
                     "downloads", (json_int_t)r->downloads, "two_step", r->two_step, "fallback",
                     fb_json_text(fallback_of(m, r)));
}

static json_t *branch_json(const struct fb_ledger_branch *b)
{
    return json_pack("{s:s,s:s,s:o,s:o,s:s,s:o,s:o,s:o}", "kind", b->kind, "state", b->state,
                     "rule", fb_json_text(b->rule), "reason", fb_json_text(b->reason), "parcel",
                     b->parcel_id, "storage", fb_json_text(b->storage), "folder",
                     fb_json_text(b->folder_id), "expires", ctl_json_time(b->expires_ms));
}

static json_t *message_json(const struct ctl *c, const struct fb_ledger_message *m)
{
    char subject[FB_TITLE_SUBJECT];
    ctl_subject(c, m, subject);
    json_t *recipients = json_array();
    json_t *branches = json_array();
    for (size_t i = 0; i < m->recipient_count; i++) {
        (void)json_array_append_new(recipients, recipient_json(m, &m->recipients[i]));
    }
    for (size_t i = 0; i < m->branch_count; i++) {
        (void)json_array_append_new(branches, branch_json(&m->branches[i]));
    }
    return json_pack("{s:s,s:o,s:o,s:o,s:I,s:s,s:b,s:o,s:o,s:o}", "id", m->msg_id, "accepted",
                     ctl_json_time(m->accepted_ms), "from", fb_json_text(m->from), "subject",
                     subject[0] != '\0' ? fb_json_text(subject) : json_null(), "size",
                     (json_int_t)m->size, "state", m->state, "is_recalled", m->is_recalled,
                     "recalled_at", ctl_json_time(m->recalled_ms), "recipients", recipients,
                     "branches", branches);
}

struct listing {
    struct ctl *c;
    json_t *list;
    size_t shown;
    char last[FB_ID_SIZE];
};

/* Invited, and not there yet. */
static bool is_pending(const struct fb_ledger_recipient *r)
{
    return strcmp(r->grant_state, "pending") == 0;
}

static void print_waiting(const struct fb_ledger_message *m)
{
    for (size_t i = 0; i < m->recipient_count; i++) {
        const struct fb_ledger_recipient *r = &m->recipients[i];
        if (is_pending(r)) {
            char when[32];
            ctl_time(r->grant_ms, when);
            (void)printf("    %-40s invited %s, has not accepted%s\n", r->address, when,
                         strcmp(r->two_step, "off") == 0 ? "; two-step login is not set up" : "");
        }
    }
}

/* --pending with --recipient means that this one is. */
static bool is_wanted(const struct ctl *c, const char *recipient, const struct fb_ledger_message *m)
{
    if (!c->is_pending) {
        return true;
    }
    for (size_t i = 0; i < m->recipient_count; i++) {
        if (is_pending(&m->recipients[i]) &&
            (recipient == NULL || strcasecmp(recipient, m->recipients[i].address) == 0)) {
            return true;
        }
    }
    return false;
}

static void print_line(const struct ctl *c, const struct fb_ledger_message *m)
{
    char when[32];
    char subject[FB_TITLE_SUBJECT];
    ctl_time(m->accepted_ms, when);
    ctl_subject(c, m, subject);
    (void)printf("%s  %s  %-8s %s -> %zu recipient%s", m->msg_id, when,
                 m->is_recalled ? "recalled" : m->state, m->from[0] != '\0' ? m->from : "<>",
                 m->recipient_count, m->recipient_count == 1 ? "" : "s");
    if (subject[0] != '\0') {
        (void)printf("  \"");
        ctl_print_clean(subject);
        (void)printf("\"");
    }
    (void)printf("\n");
    if (c->is_pending) {
        print_waiting(m);
    }
}

static void list_one(void *ctx, const struct fb_ledger_message *m)
{
    struct listing *l = ctx;
    const struct ctl *c = l->c;
    const char *recipient = c->recipients.count > 0 ? c->recipients.items[0] : NULL;
    if (!is_wanted(c, recipient, m)) {
        return;
    }
    l->shown++;
    memcpy(l->last, m->msg_id, sizeof l->last);
    if (c->is_json) {
        (void)json_array_append_new(l->list, message_json(c, m));
    } else {
        print_line(c, m);
    }
}

/* Goes on behind the message of --after.  Listings go by the time in the ids, which may be milliseconds before that of
 * acceptance. */
static enum fb_status go_on(struct ctl *c, struct fb_search *q, struct fb_error *err)
{
    struct fb_ledger_message m = {0};
    enum fb_status s = fb_ledger_get(c->redis, c->after, &m, err);
    if (s == FB_OK) {
        q->after_ms = fb_id_time_ms(m.msg_id);
        memcpy(q->after_id, m.msg_id, sizeof q->after_id);
    }
    fb_ledger_message_deinit(&m);
    return s;
}

/* What is asked for; false: it cannot be, which was said. */
static bool take_search(struct ctl *c, struct fb_search *q, int *code_r)
{
    *q = (struct fb_search){.until_ms = INT64_MAX / 4,
                            .sender = c->sender,
                            .subject = c->subject,
                            .state = c->state != NULL ? c->state
                                     : c->is_pending  ? "pending"
                                                      : NULL};
    if ((c->since != NULL && !ctl_parse_time(c->since, &q->since_ms)) ||
        (c->until != NULL && !ctl_parse_time(c->until, &q->until_ms))) {
        *code_r = ctl_usage_error(c, CTL_TIMES);
        return false;
    }
    if (q->state != NULL && !fb_search_knows_state(q->state)) {
        *code_r = ctl_usage_error(
            c, "--state takes open, queued, planned, held, done, recalled or pending");
        return false;
    }
    if (c->recipients.count > 1) {
        *code_r = ctl_usage_error(c, "message list takes one --recipient");
        return false;
    }
    q->recipient = c->recipients.count > 0 ? c->recipients.items[0] : NULL;
    return true;
}

static enum fb_status search(struct ctl *c, struct fb_search *q, struct listing *l, bool *is_more_r,
                             struct fb_error *err)
{
    struct fb_search_end end = {.next = ""};
    size_t most = (size_t)c->limit;
    enum fb_status s = c->after != NULL ? go_on(c, q, err) : FB_OK;
    bool goes_on = s == FB_OK;
    q->title_key = c->config->rewrite.key;
    while (goes_on) {
        size_t left = most - l->shown;
        q->limit = left < FB_SEARCH_PAGE ? left : FB_SEARCH_PAGE;
        s = fb_ledger_search(c->redis, q, list_one, l, &end, err);
        goes_on =
            s == FB_OK && end.next[0] != '\0' && l->shown < most && fb_search_cursor(end.next, q);
    }
    *is_more_r = s == FB_OK && end.next[0] != '\0';
    return s;
}

int ctl_message_list(struct ctl *c)
{
    int code = 0;
    bool is_more = false;
    struct fb_search q;
    struct fb_error err = {0};
    if (!take_search(c, &q, &code) || !ctl_need_redis(c, &code)) {
        return code;
    }
    if (c->subject != NULL && c->config->rewrite.key == NULL) {
        (void)fb_error_set(&err, FB_CONFIG,
                           "--subject needs rewrite.key_file: subjects are sealed with it");
        return ctl_fail(c, &err);
    }
    struct listing l = {.c = c, .list = json_array()};
    if (search(c, &q, &l, &is_more, &err) != FB_OK) {
        json_decref(l.list);
        return ctl_fail(c, &err);
    }
    if (c->is_json) {
        ctl_print_json(l.list);
        return 0;
    }
    json_decref(l.list);
    if (l.shown == 0) {
        (void)printf("no message\n");
    } else if (is_more) {
        (void)fprintf(stderr, "older ones: --after %s\n", l.last);
    }
    return 0;
}

/* ---- show ---- */

struct history {
    const struct fb_ledger_message *m;
    json_t *list;
};

/* One line of a parcel's history (ledger.md): a change of one grant, or a recall. */
static bool tell_history(void *ctx, const char *line)
{
    struct history *h = ctx;
    json_t *e = json_loads(line, 0, NULL);
    if (!json_is_string(json_object_get(e, "to"))) {
        json_decref(e);
        return true; /* not one of ours */
    }
    const json_t *index = json_object_get(e, "recipient");
    json_int_t i = json_integer_value(index);
    bool is_known = json_is_integer(index) && i >= 0 && (size_t)i < h->m->recipient_count;
    json_t *one = json_pack(
        "{s:o,s:o,s:s,s:s,s:s,s:s}", "at",
        ctl_json_time(json_integer_value(json_object_get(e, "at"))), "address",
        fb_json_text(is_known ? h->m->recipients[i].address : ""), "to", fb_json_text_of(e, "to"),
        "event",
        fb_json_text_of(e, "event"), /* watch: what was done, whether or not it changed a state */
        "source", fb_json_text_of(e, "source"), "actor", fb_json_text_of(e, "actor"));
    if (json_is_string(json_object_get(e, "network"))) {
        /* Of what was tried at the portal's door: from where, with which browser. */
        (void)json_object_set_new(one, "network", fb_json_text(fb_json_text_of(e, "network")));
        (void)json_object_set_new(one, "agent", fb_json_text(fb_json_text_of(e, "agent")));
    }
    (void)json_array_append_new(h->list, one);
    json_decref(e);
    return true;
}

static void print_event(const json_t *e)
{
    static const struct {
        const char *key, *before, *behind;
    } more[] = {{"source", ", by ", ""},
                {"actor", " (", ")"},
                {"network", ", from ", ""},
                {"agent", ", ", ""}};
    (void)printf("        %s  %s", fb_json_text_of(e, "at"),
                 json_is_true(json_object_get(e, "by_others")) ? "somebody else: " : "");
    ctl_print_clean(fb_json_text_of(e, "what"));
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++) {
        if (fb_json_text_of(e, more[i].key)[0] != '\0') {
            (void)printf("%s", more[i].before);
            ctl_print_clean(fb_json_text_of(e, more[i].key));
            (void)printf("%s", more[i].behind);
        }
    }
    (void)printf("\n");
}

static void print_recipient(const struct fb_ledger_message *m, size_t number,
                            const struct fb_evidence *e, const json_t *line)
{
    size_t i;
    json_t *event;
    const struct fb_ledger_recipient *r = &m->recipients[number];
    const char *fallback = fallback_of(m, r);
    (void)printf("    %-40s %s%s%s", r->address, r->state,
                 r->grant_state[0] != '\0' ? ", access " : "", r->grant_state);
    if (r->previews > 0 || r->downloads > 0) {
        (void)printf(", seen %llu, downloaded %llu times", (unsigned long long)r->previews,
                     (unsigned long long)r->downloads);
    }
    (void)printf("%s%s", fallback[0] != '\0' ? ", no account: in " : "", fallback);
    (void)printf("%s%s\n", r->two_step[0] != '\0' ? ", two-step login " : "", r->two_step);
    ctl_print_evidence(e, NULL, "      ");
    json_array_foreach(line, i, event)
    {
        print_event(event);
    }
}

static void print_branch(const struct fb_ledger_message *m, uint32_t number,
                         const struct fb_evidence *evidence, const json_t *lines)
{
    const struct fb_ledger_branch *branch = &m->branches[number];
    char when[32];
    (void)printf("  %s", branch->kind[0] != '\0' ? branch->kind : "not planned yet");
    if (branch->rule[0] != '\0') {
        (void)printf(" by rule \"%s\"", branch->rule);
    }
    (void)printf(": %s", branch->state);
    if (branch->reason[0] != '\0') {
        (void)printf(" (%s)", branch->reason);
    }
    if (branch->storage[0] != '\0') {
        ctl_time(branch->expires_ms, when);
        (void)printf(", in %s folder %s, parcel %s, expires %s", branch->storage, branch->folder_id,
                     branch->parcel_id, branch->expires_ms > 0 ? when : "never");
    }
    (void)printf("\n");
    for (size_t i = 0; i < m->recipient_count; i++) {
        if (m->recipients[i].branch == number) {
            print_recipient(m, i, &evidence[i], json_array_get(lines, i));
        }
    }
}

static void print_message(const struct ctl *c, const struct fb_ledger_message *m,
                          const struct fb_evidence *evidence, const json_t *lines)
{
    char when[32];
    char subject[FB_TITLE_SUBJECT];
    ctl_time(m->accepted_ms, when);
    ctl_subject(c, m, subject);
    (void)printf("%s  accepted %s, %llu bytes, from %s: %s%s\n", m->msg_id, when,
                 (unsigned long long)m->size, m->from[0] != '\0' ? m->from : "<>", m->state,
                 m->is_recalled ? ", recalled" : "");
    if (subject[0] != '\0') {
        (void)printf("  subject \"");
        ctl_print_clean(subject);
        (void)printf("\"\n");
    }
    for (size_t i = 0; i < m->recipient_count && m->branch_count == 0; i++) {
        print_recipient(m, i, &evidence[i], json_array_get(lines, i)); /* nothing is decided yet */
    }
    for (uint32_t b = 0; b < m->branch_count; b++) {
        print_branch(m, b, evidence, lines);
    }
    if (strcmp(m->state, "held") == 0) {
        (void)printf("next: `fumibako dead list` has the id for dead retry, release or reject\n");
    }
}

static enum fb_status show_json(struct ctl *c, const struct fb_ledger_message *m,
                                const struct fb_evidence *evidence, json_t *lines,
                                struct fb_error *err)
{
    enum fb_status s = FB_OK;
    json_t *message = message_json(c, m);
    for (size_t i = 0; i < m->recipient_count; i++) {
        json_t *one = json_array_get(json_object_get(message, "recipients"), i);
        (void)json_object_set_new(one, "evidence", fb_json_evidence(&evidence[i], ctl_json_time));
        (void)json_object_set(one, "timeline", json_array_get(lines, i));
    }
    for (size_t b = 0; b < m->branch_count && s == FB_OK; b++) {
        struct history h = {.m = m, .list = json_array()};
        if (m->branches[b].parcel_id[0] != '\0') {
            s = fb_ledger_history(c->redis, m->branches[b].parcel_id, MAX_HISTORY, tell_history, &h,
                                  err);
        }
        (void)json_object_set_new(json_array_get(json_object_get(message, "branches"), b),
                                  "history", h.list);
    }
    if (s == FB_OK) {
        ctl_print_json(message);
    } else {
        json_decref(message);
    }
    return s;
}

int ctl_message_show(struct ctl *c)
{
    int code = 0;
    struct fb_error err = {0};
    struct fb_ledger_message m = {0};
    struct fb_evidence *evidence = NULL;
    json_t *lines = NULL;
    if (!ctl_need_message(c, &m, &code)) {
        return code;
    }
    enum fb_status s =
        fb_ledger_evidence(c->redis, &m, c->config->revoke.settle_ms, &evidence, &err);
    if (s == FB_OK) {
        s = fb_timeline(c->redis, &m, c->is_json ? ctl_json_time : ctl_local_time, &lines, &err);
    }
    if (s == FB_OK && c->is_json) {
        s = show_json(c, &m, evidence, lines, &err);
    } else if (s == FB_OK) {
        print_message(c, &m, evidence, lines);
    }
    json_decref(lines);
    free(evidence);
    fb_ledger_message_deinit(&m);
    return s == FB_OK ? 0 : ctl_fail(c, &err);
}
