/* SPDX-License-Identifier: Apache-2.0
 *
 * Held mail and dead letters: what happened, and what is decided about it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/accounts/audit_what.h"
#include "common/dead_words.h"
#include "common/queue/queue.h"
#include "common/yaml.h"
#include "services/console/api.h"

#define SHOWN_RECIPIENTS 5
#define MAX_REASON       500

/* ---- one of them ---- */

static void add_mail(struct call *c, const struct fb_dead *d, json_t *o)
{
    struct fb_error err = {0};
    struct fb_ledger_message m = {0};
    bool is_known =
        d->job.msg_id[0] != '\0' && fb_ledger_get(c->redis, d->job.msg_id, &m, &err) == FB_OK;
    (void)json_object_set_new(o, "from", is_known ? fb_json_text(m.from) : json_null());
    (void)json_object_set_new(o, "subject", is_known ? api_subject(c, &m) : json_null());
    (void)json_object_set_new(o, "recipients",
                              fb_json_addresses(&m, is_known ? SHOWN_RECIPIENTS : 0));
    fb_ledger_message_deinit(&m);
}

static json_t *dead_json(struct call *c, const struct fb_dead *d)
{
    struct fb_dead_words w;
    int64_t kept_ms = c->console->config->retention.dead_ms;
    bool is_letter = d->job.letter != FB_LETTER_NONE;
    char *from = fb_ledger_sender_of(c->redis, d);
    fb_dead_words_make(d, from, kept_ms, c->is_ja, &w);
    free(from);
    json_t *o =
        json_pack("{s:s,s:s,s:I,s:s,s:I,s:o,s:o,s:s,s:o,s:s?,s:{s:s,s:s,s:s,s:s,s:s,s:b}}", "id",
                  d->id, "message", d->job.msg_id, "branch", (json_int_t)d->job.branch, "stage",
                  fb_stage_name(d->job.stage), "attempts", (json_int_t)d->job.attempt, "held_at",
                  call_json_time(d->died_ms), "ends_at", call_json_time(d->died_ms + kept_ms),
                  "status", d->status, "reason", fb_json_text(d->reason), "letter",
                  is_letter ? fb_letter_name(d->job.letter) : NULL, "explained", "what", w.what,
                  "meaning", w.meaning, "retry", w.retry, "release", w.release, "reject", w.reject,
                  "can_release", w.can_release);
    add_mail(c, d, o);
    return o;
}

/* ---- the list ---- */

struct listing {
    struct call *c;
    json_t *items;
    int64_t skip;
    size_t limit, total;
};

static bool list_one(void *ctx, const struct fb_dead *d)
{
    struct listing *l = ctx;
    l->total++;
    if ((int64_t)l->total > l->skip && json_array_size(l->items) < l->limit) {
        (void)json_array_append_new(l->items, dead_json(l->c, d));
    }
    return true;
}

/* The cursor is how many were shown: they are few, and the oldest stand first. */
void api_dead_list(struct call *c)
{
    struct fb_error err = {0};
    char next[24] = "";
    struct listing l = {.c = c, .items = json_array()};
    const char *cursor = fb_http_query(c->request, "cursor");
    if (!call_limit(c, &l.limit)) {
        json_decref(l.items);
        return;
    }
    if (cursor != NULL && cursor[0] != '\0' &&
        (!fb_parse_int(cursor, &l.skip) || l.skip < 0 || l.skip > INT32_MAX)) {
        json_decref(l.items);
        answer_invalid(c, "cursor",
                       "cursor が正しくありません。最初のページからやり直してください。",
                       "This is no cursor of ours: begin with the first page.");
        return;
    }
    /* The list holds its own connection busy; what is looked up meanwhile uses the same one between its pages. */
    if (fb_dead_list(c->redis, list_one, &l, &err) != FB_OK) {
        json_decref(l.items);
        answer_error(c, &err);
        return;
    }
    int64_t shown = l.skip + (int64_t)json_array_size(l.items);
    if (shown < (int64_t)l.total) {
        (void)snprintf(next, sizeof next, "%lld", (long long)shown);
    }
    answer_json(c, 200,
                json_pack("{s:o,s:s?,s:I}", "items", l.items, "next", next[0] != '\0' ? next : NULL,
                          "total", (json_int_t)l.total));
}

/* False: answered. */
static bool get_dead(struct call *c, struct fb_dead *d)
{
    struct fb_error err = {0};
    if (fb_dead_get(c->redis, c->params[0], d, &err) != FB_OK) {
        answer_error(c, &err);
        return false;
    }
    return true;
}

void api_dead_get(struct call *c)
{
    struct fb_dead d;
    if (get_dead(c, &d)) {
        answer_json(c, 200, dead_json(c, &d));
    }
}

/* ---- decisions ---- */

/* Written down before it is done: it cannot be undone.  False: answered. */
static bool audit(struct call *c, const struct fb_dead *d, const char *action, const char *untold)
{
    struct fb_error err = {0};
    char name[32];
    struct fb_audit_what w;
    const json_t *reason = json_object_get(c->body, "reason");
    if (reason != NULL && (!json_is_string(reason) || json_string_length(reason) > MAX_REASON)) {
        answer_invalid(c, "reason", "理由は 500 バイトまでの文字列です。",
                       "reason is a text of at most 500 bytes.");
        return false;
    }
    (void)snprintf(name, sizeof name, "held.%s", action);
    fb_audit_of_held(d, action, json_string_value(reason), untold, &w);
    enum fb_status s = console_audit(c, name, w.object, w.before, w.after, &err);
    fb_audit_what_deinit(&w);
    if (s != FB_OK) {
        answer_error(c, &err);
    }
    return s == FB_OK;
}

/* untold: why its sender is not told; NULL = told, or there is nothing to tell. */
static void answer_done(struct call *c, const struct fb_dead *d, const char *action,
                        const char *untold)
{
    answer_json(c, 202,
                json_pack("{s:s,s:s,s:s,s:s?}", "id", d->id, "message", d->job.msg_id, "action",
                          action, "untold", untold));
}

static bool is_readable(struct call *c, const struct fb_dead *d)
{
    if (d->job.msg_id[0] == '\0') {
        answer_problem(
            c, 409, "unreadable",
            "このバージョンでは読み取れないジョブです。作成したバージョンで操作してください。",
            "It holds no job that this version can read: use the version that wrote it.");
    }
    return d->job.msg_id[0] != '\0';
}

void api_dead_retry(struct call *c)
{
    struct fb_dead d;
    struct fb_error err = {0};
    if (!get_dead(c, &d) || !is_readable(c, &d) || !audit(c, &d, "retry", NULL)) {
        return;
    }
    if (fb_dead_retry(c->redis, d.id, &err) == FB_OK) {
        answer_done(c, &d, "retry", NULL);
    } else {
        answer_error(c, &err);
    }
}

/* A delivered mail may leave a dead letter behind (its branch came to its end by another way): there is nothing to send
 * then.  False: answered. */
static bool is_open(struct call *c, const struct fb_dead *d)
{
    struct fb_error err = {0};
    struct fb_ledger_message m = {0};
    enum fb_status s = fb_ledger_get(c->redis, d->job.msg_id, &m, &err);
    bool is_over = s == FB_NOT_FOUND || (s == FB_OK && strcmp(m.state, "done") == 0);
    fb_ledger_message_deinit(&m);
    if (is_over) {
        answer_problem(
            c, 409, "over",
            "このメールの処理はすでに終わっています。「再試行」を選ぶと一覧から消えます。",
            "This mail has come to its end before: nothing can be sent. A retry ends "
            "this entry.");
    } else if (s != FB_OK) {
        answer_error(c, &err);
    }
    return s == FB_OK && !is_over;
}

static void decide(struct call *c, const struct fb_dead *d, const char *mark, const char *action,
                   const char *untold)
{
    struct fb_error err = {0};
    if (fb_ledger_decide_held(c->redis, d, mark, &err) == FB_OK) {
        answer_done(c, d, action, untold);
    } else {
        answer_error(c, &err);
    }
}

void api_dead_release(struct call *c)
{
    struct fb_dead d;
    struct fb_dead_words w;
    if (!get_dead(c, &d) || !is_readable(c, &d)) {
        return;
    }
    char *from = fb_ledger_sender_of(c->redis, &d);
    fb_dead_words_make(&d, from, c->console->config->retention.dead_ms, c->is_ja, &w);
    free(from);
    if (!w.can_release) {
        answer_problem(c, 409, "not-releasable", w.release, w.release);
    } else if (is_open(c, &d) && audit(c, &d, "release", NULL)) {
        decide(c, &d, "deliver", "release", NULL);
    }
}

/* What is no mail is only taken off the list: nobody is to be told of it by a delivery report. */
static void drop(struct call *c, const struct fb_dead *d)
{
    struct fb_error err = {0};
    if (fb_dead_drop(c->redis, d->id, &err) == FB_OK) {
        answer_done(c, d, "reject", NULL);
    } else {
        answer_error(c, &err);
    }
}

void api_dead_reject(struct call *c)
{
    struct fb_dead d;
    if (!get_dead(c, &d)) {
        return;
    }
    char *from = fb_ledger_sender_of(c->redis, &d);
    if (!audit(c, &d, "reject", fb_dead_untold(from, false))) {
        free(from);
        return;
    }
    if (d.job.msg_id[0] == '\0' || fb_job_is_side(&d.job)) {
        drop(c, &d);
    } else {
        decide(c, &d, "reject", "reject", fb_dead_untold(from, c->is_ja));
    }
    free(from);
}
