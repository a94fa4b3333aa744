/* SPDX-License-Identifier: Apache-2.0
 *
 * fumibako message list|show (recall, restore, report: recall.c) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/ledger/ledger.h"
#include "services/ctl/ctl.h"

#define MAX_SEARCH  10000 /* what fb_ledger_list gives at most */
#define MAX_HISTORY 100   /* newest lines of a parcel */

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

static json_t *message_json(const struct fb_ledger_message *m)
{
    json_t *recipients = json_array();
    json_t *branches = json_array();
    for (size_t i = 0; i < m->recipient_count; i++) {
        (void)json_array_append_new(recipients, recipient_json(m, &m->recipients[i]));
    }
    for (size_t i = 0; i < m->branch_count; i++) {
        (void)json_array_append_new(branches, branch_json(&m->branches[i]));
    }
    return json_pack("{s:s,s:o,s:o,s:I,s:s,s:o,s:o}", "id", m->msg_id, "accepted",
                     ctl_json_time(m->accepted_ms), "from", fb_json_text(m->from), "size",
                     (json_int_t)m->size, "state", m->state, "recipients", recipients, "branches",
                     branches);
}

struct listing {
    struct ctl *c;
    json_t *list;
    struct fb_error err;
    bool is_failed;
    size_t seen, shown;
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

static bool is_wanted(const struct ctl *c, const struct fb_ledger_message *m)
{
    if (c->state != NULL && strcmp(c->state, m->state) != 0) {
        return false;
    }
    if (c->sender != NULL && strcasecmp(c->sender, m->from) != 0) {
        return false;
    }
    bool has_recipient = c->recipient == NULL;
    bool has_pending = !c->is_pending;
    for (size_t i = 0; i < m->recipient_count; i++) {
        bool is_meant =
            c->recipient == NULL || strcasecmp(c->recipient, m->recipients[i].address) == 0;
        has_recipient = has_recipient || is_meant;
        has_pending = has_pending || (is_meant && is_pending(&m->recipients[i]));
    }
    return has_recipient && has_pending;
}

static bool list_one(void *ctx, const char *msg_id)
{
    struct listing *l = ctx;
    struct fb_ledger_message m = {0};
    l->seen++;
    enum fb_status s = fb_ledger_get(l->c->redis, msg_id, &m, &l->err);
    if (s == FB_NOT_FOUND) {
        return true; /* its time in the ledger is over */
    }
    if (s != FB_OK) {
        l->is_failed = true;
        return false;
    }
    if (is_wanted(l->c, &m)) {
        char when[32];
        l->shown++;
        ctl_time(m.accepted_ms, when);
        if (l->c->is_json) {
            (void)json_array_append_new(l->list, message_json(&m));
        } else {
            (void)printf("%s  %s  %-8s %s -> %zu recipient%s\n", m.msg_id, when, m.state,
                         m.from[0] != '\0' ? m.from : "<>", m.recipient_count,
                         m.recipient_count == 1 ? "" : "s");
            if (l->c->is_pending) {
                print_waiting(&m);
            }
        }
    }
    fb_ledger_message_deinit(&m);
    return l->shown < (size_t)l->c->limit;
}

int ctl_message_list(struct ctl *c)
{
    int code = 0;
    int64_t since = 0;
    int64_t until = INT64_MAX / 2;
    struct listing l = {.c = c, .list = json_array()};
    if ((c->since != NULL && !ctl_parse_time(c->since, &since)) ||
        (c->until != NULL && !ctl_parse_time(c->until, &until))) {
        json_decref(l.list);
        (void)fb_error_set(
            &l.err, FB_INVALID,
            "--since and --until take 2026-11-25, 2026-11-25T10:15:00, or 2h, 3d (ago)");
        (void)ctl_fail(c, &l.err);
        return FB_EXIT_USAGE;
    }
    if (!ctl_need_redis(c, &code)) {
        json_decref(l.list);
        return code;
    }
    const char *address = c->sender != NULL ? c->sender : c->recipient;
    /* Other filters are applied to what comes back, so --limit counts what is shown. */
    enum fb_status s =
        fb_ledger_list(c->redis, address, since, until, MAX_SEARCH, list_one, &l, &l.err);
    if (s != FB_OK || l.is_failed) {
        json_decref(l.list);
        return ctl_fail(c, &l.err);
    }
    if (c->is_json) {
        ctl_print_json(l.list);
    } else {
        json_decref(l.list);
    }
    if (l.seen == MAX_SEARCH && l.shown < (size_t)c->limit) {
        (void)fprintf(stderr,
                      "fumibako: the newest %d messages were searched; narrow it down with --since "
                      "and --until\n",
                      MAX_SEARCH);
    } else if (l.shown == 0 && !c->is_json) {
        (void)printf("no message\n");
    }
    return 0;
}

/* ---- show ---- */

struct history {
    const struct fb_ledger_message *m;
    json_t *list; /* NULL: text */
};

/* One line of a parcel's history (ledger.md): a change of one grant, or a recall. */
static bool tell_history(void *ctx, const char *line)
{
    struct history *h = ctx;
    json_t *e = json_loads(line, 0, NULL);
    const char *to = json_string_value(json_object_get(e, "to"));
    if (to == NULL) {
        json_decref(e);
        return true; /* not one of ours */
    }
    int64_t at = json_integer_value(json_object_get(e, "at"));
    const json_t *index = json_object_get(e, "recipient");
    json_int_t i = json_integer_value(index);
    bool is_known = json_is_integer(index) && i >= 0 && (size_t)i < h->m->recipient_count;
    const char *who = is_known ? h->m->recipients[i].address : "";
    const char *source = json_string_value(json_object_get(e, "source"));
    const char *actor = json_string_value(json_object_get(e, "actor"));
    const char *event = json_string_value(json_object_get(e, "event"));
    event =
        event != NULL ? event : ""; /* watch: what was done, whether or not it changed a state */
    const char *told = event[0] != '\0' ? event : to;
    if (!is_known && event[0] != '\0') {
        who = "somebody else";
    }
    source = source != NULL ? source : "";
    actor = actor != NULL ? actor : "";
    /* Of what was tried at the portal's door: from where, with which browser. */
    const char *network = json_string_value(json_object_get(e, "network"));
    const char *agent = json_string_value(json_object_get(e, "agent"));
    if (h->list != NULL) {
        json_t *one = json_pack("{s:o,s:o,s:s,s:s,s:s,s:s}", "at", ctl_json_time(at), "address",
                                fb_json_text(is_known ? who : ""), "to", to, "event", event,
                                "source", source, "actor", actor);
        if (network != NULL) {
            (void)json_object_set_new(one, "network", fb_json_text(network));
            (void)json_object_set_new(one, "agent", fb_json_text(agent != NULL ? agent : ""));
        }
        (void)json_array_append_new(h->list, one);
    } else {
        char when[32];
        ctl_time(at, when);
        (void)printf("      %s  %s%s%s, by %s", when, who, who[0] != '\0' ? ": " : "", told,
                     source);
        (void)printf("%s%s%s", actor[0] != '\0' ? " (" : "", actor, actor[0] != '\0' ? ")" : "");
        if (network != NULL) {
            (void)printf(", from %s, %s", network, agent != NULL ? agent : "");
        }
        (void)printf("\n");
    }
    json_decref(e);
    return true;
}

static void print_recipient(const struct fb_ledger_message *m, const struct fb_ledger_recipient *r,
                            const struct fb_evidence *e)
{
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
}

static void print_branch(const struct fb_ledger_message *m, uint32_t number,
                         const struct fb_evidence *evidence)
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
            print_recipient(m, &m->recipients[i], &evidence[i]);
        }
    }
}

static enum fb_status print_message(struct ctl *c, const struct fb_ledger_message *m,
                                    struct fb_error *err)
{
    char when[32];
    struct fb_evidence *evidence = NULL;
    enum fb_status s = fb_ledger_evidence(c->redis, m, c->config->revoke.settle_ms, &evidence, err);
    if (s != FB_OK) {
        return s;
    }
    ctl_time(m->accepted_ms, when);
    (void)printf("%s  accepted %s, %llu bytes, from %s: %s\n", m->msg_id, when,
                 (unsigned long long)m->size, m->from[0] != '\0' ? m->from : "<>", m->state);
    for (size_t i = 0; i < m->recipient_count && m->branch_count == 0; i++) {
        print_recipient(m, &m->recipients[i], &evidence[i]); /* nothing is decided yet */
    }
    for (uint32_t b = 0; b < m->branch_count && s == FB_OK; b++) {
        struct history h = {.m = m};
        print_branch(m, b, evidence);
        if (m->branches[b].parcel_id[0] != '\0') {
            s = fb_ledger_history(c->redis, m->branches[b].parcel_id, MAX_HISTORY, tell_history, &h,
                                  err);
        }
    }
    if (s == FB_OK && strcmp(m->state, "held") == 0) {
        (void)printf("next: `fumibako dead list` has the id for dead retry, release or reject\n");
    }
    free(evidence);
    return s;
}

static enum fb_status show_json(struct ctl *c, const struct fb_ledger_message *m,
                                struct fb_error *err)
{
    struct fb_evidence *evidence = NULL;
    enum fb_status s = fb_ledger_evidence(c->redis, m, c->config->revoke.settle_ms, &evidence, err);
    if (s != FB_OK) {
        return s;
    }
    json_t *message = message_json(m);
    for (size_t i = 0; i < m->recipient_count; i++) {
        (void)json_object_set_new(json_array_get(json_object_get(message, "recipients"), i),
                                  "evidence", fb_json_evidence(&evidence[i], ctl_json_time));
    }
    free(evidence);
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
    if (!ctl_need_message(c, &m, &code)) {
        return code;
    }
    enum fb_status s = c->is_json ? show_json(c, &m, &err) : print_message(c, &m, &err);
    fb_ledger_message_deinit(&m);
    return s == FB_OK ? 0 : ctl_fail(c, &err);
}
