/* SPDX-License-Identifier: Apache-2.0
 *
 * fumibako dead list|show|retry|release|reject */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/dead_words.h"
#include "common/ledger/ledger.h"
#include "common/queue/queue.h"
#include "common/spool/spool.h"
#include "common/title.h"
#include "proto/envelope.h"
#include "services/ctl/ctl.h"

#define SHOWN_RECIPIENTS 5

static json_t *dead_json(const struct fb_dead *d)
{
    json_t *o =
        json_pack("{s:s,s:s,s:i,s:s,s:i,s:o,s:s,s:o}", "id", d->id, "message", d->job.msg_id,
                  "branch", (int)d->job.branch, "stage", fb_stage_name(d->job.stage), "attempts",
                  (int)d->job.attempt, "held_at", ctl_json_time(d->died_ms), "status", d->status,
                  "reason", fb_json_text(d->reason));
    if (o != NULL && d->job.letter != FB_LETTER_NONE) { /* not a mail: a letter to its sender */
        (void)json_object_set_new(o, "letter", json_string(fb_letter_name(d->job.letter)));
    }
    return o;
}

/* Whose mail it is, as far as the ledger knows it. */
static void add_mail(struct ctl *c, const struct fb_dead *d, json_t *o)
{
    char subject[FB_TITLE_SUBJECT] = "";
    struct fb_error err = {0};
    struct fb_ledger_message m = {0};
    bool is_known =
        d->job.msg_id[0] != '\0' && fb_ledger_get(c->redis, d->job.msg_id, &m, &err) == FB_OK;
    if (is_known) {
        ctl_subject(c, &m, subject);
    }
    (void)json_object_set_new(o, "from", is_known ? fb_json_text(m.from) : json_null());
    (void)json_object_set_new(o, "subject",
                              subject[0] != '\0' ? fb_json_text(subject) : json_null());
    (void)json_object_set_new(o, "recipients",
                              fb_json_addresses(&m, is_known ? SHOWN_RECIPIENTS : 0));
    (void)json_object_set_new(o, "ends_at",
                              ctl_json_time(d->died_ms + c->config->retention.dead_ms));
    fb_ledger_message_deinit(&m);
}

static void print_mail(struct ctl *c, const struct fb_dead *d)
{
    json_t *o = json_object();
    add_mail(c, d, o);
    const char *from = json_string_value(json_object_get(o, "from"));
    const char *subject = json_string_value(json_object_get(o, "subject"));
    const char *to = json_string_value(json_array_get(json_object_get(o, "recipients"), 0));
    if (from != NULL) {
        (void)printf("    from ");
        ctl_print_clean(from[0] != '\0' ? from : "<>");
        (void)printf(" to ");
        ctl_print_clean(to != NULL ? to : "?");
        (void)printf("%s%s", json_array_size(json_object_get(o, "recipients")) > 1 ? ", ..." : "",
                     subject != NULL ? "  \"" : "");
        ctl_print_clean(subject != NULL ? subject : "");
        (void)printf("%s\n", subject != NULL ? "\"" : "");
    }
    json_decref(o);
}

/* Reasons are ours and hold no content; what a relay or a storage said may be in them. */
static void print_dead(const struct fb_dead *d)
{
    char when[32];
    ctl_time(d->died_ms, when);
    char what[64];
    if (d->job.letter != FB_LETTER_NONE) {
        (void)snprintf(what, sizeof what, "letter to %s (%s)",
                       d->job.letter == FB_LETTER_CODE ? "a reader" : "the sender",
                       fb_letter_name(d->job.letter));
    } else {
        (void)snprintf(what, sizeof what, "%s branch %u", fb_stage_name(d->job.stage),
                       d->job.branch);
    }
    (void)printf("%s  %s  %s  %s, attempt %u: %s: ", d->id, when,
                 d->job.msg_id[0] != '\0' ? d->job.msg_id : "(unreadable job)", what,
                 d->job.attempt, d->status);
    ctl_print_clean(d->reason);
    (void)printf("\n");
}

struct listing {
    struct ctl *c;
    json_t *list;
    size_t count, most; /* most 0: all */
};

static bool list_one(void *ctx, const struct fb_dead *d)
{
    struct listing *l = ctx;
    l->count++;
    if (l->most > 0 && l->count > l->most) {
        return false;
    }
    if (l->c->is_json) {
        json_t *o = dead_json(d);
        add_mail(l->c, d, o);
        (void)json_array_append_new(l->list, o);
    } else {
        print_dead(d);
        print_mail(l->c, d);
    }
    return true;
}

int ctl_dead_list(struct ctl *c)
{
    int code = 0;
    struct fb_error err = {0};
    struct listing l = {
        .c = c, .list = json_array(), .most = ctl_was_given(c, "limit") ? (size_t)c->limit : 0};
    if (!ctl_need_redis(c, &code)) {
        json_decref(l.list);
        return code;
    }
    if (fb_dead_list(c->redis, list_one, &l, &err) != FB_OK) {
        json_decref(l.list);
        return ctl_fail(c, &err);
    }
    if (c->is_json) {
        ctl_print_json(l.list);
    } else {
        json_decref(l.list);
        (void)printf(
            "%s",
            l.count == 0
                ? "no mail is held\n"
                : "next: fumibako dead retry ID, dead release ID (sends it UNPROTECTED), or dead "
                  "reject ID (tells the sender)\n");
    }
    return 0;
}

static bool get_dead(struct ctl *c, struct fb_dead *d, int *code_r)
{
    struct fb_error err = {0};
    if (!ctl_need_redis(c, code_r)) {
        return false;
    }
    if (fb_dead_get(c->redis, c->words[0], d, &err) != FB_OK) {
        *code_r = ctl_fail(c, &err);
        return false;
    }
    return true;
}

static void print_words(const struct fb_dead *d, const struct fb_dead_words *w, bool is_ja)
{
    (void)printf("\n%s\n%s\n", w->what, w->meaning);
    (void)printf("\n%s\n  fumibako dead retry %s\n      %s\n",
                 is_ja ? "選べる処置:" : "What you can do:", d->id, w->retry);
    if (w->can_release) {
        (void)printf("  fumibako dead release %s\n      %s\n", d->id, w->release);
    }
    (void)printf("  fumibako dead reject %s\n      %s\n", d->id, w->reject);
    if (!w->can_release) {
        (void)printf("  dead release: %s\n", w->release);
    }
    if (d->job.msg_id[0] != '\0') {
        (void)printf("\n%s: fumibako message show %s\n",
                     is_ja ? "宛先ごとの状況" : "What became of each recipient", d->job.msg_id);
    }
}

int ctl_dead_show(struct ctl *c)
{
    int code = 0;
    struct fb_dead d;
    if (!ctl_language_ok(c, &code) || !get_dead(c, &d, &code)) {
        return code;
    }
    bool is_ja = ctl_is_ja(c);
    struct fb_dead_words w;
    char *from = fb_ledger_sender_of(c->redis, &d);
    fb_dead_words_make(&d, from, c->config->retention.dead_ms, is_ja, &w);
    free(from);
    if (c->is_json) {
        json_t *o = dead_json(&d);
        add_mail(c, &d, o);
        (void)json_object_set_new(o, "explained",
                                  json_pack("{s:s,s:s,s:s,s:s,s:s,s:b}", "what", w.what, "meaning",
                                            w.meaning, "retry", w.retry, "release", w.release,
                                            "reject", w.reject, "can_release", w.can_release));
        ctl_print_json(o);
    } else {
        print_dead(&d);
        print_mail(c, &d);
        print_words(&d, &w, is_ja);
    }
    return code;
}

/* untold: why its sender is not told; NULL = told, or there is nothing to tell. */
static int tell_done(const struct ctl *c, const struct fb_dead *d, const char *action,
                     const char *text, const char *untold)
{
    if (c->is_json) {
        ctl_print_json(json_pack("{s:s,s:s,s:s,s:s?}", "id", d->id, "message", d->job.msg_id,
                                 "action", action, "untold", untold));
    } else if (untold != NULL) {
        (void)printf("%s: is given up; its sender is not told: %s; fumibako message show %s "
                     "follows it\n",
                     d->job.msg_id, untold, d->job.msg_id);
    } else {
        (void)printf("%s: %s; fumibako message show %s follows it\n", d->job.msg_id, text,
                     d->job.msg_id);
    }
    return 0;
}

/* Written down before it is done: it cannot be undone. */
static enum fb_status audit(struct ctl *c, const struct fb_dead *d, const char *action,
                            const char *untold, struct fb_error *err)
{
    char name[32];
    struct fb_audit_what what;
    (void)snprintf(name, sizeof name, "held.%s", action);
    fb_audit_of_held(d, action, c->reason, untold, &what);
    return ctl_audit_what(c, name, &what, err);
}

/* One that something can be done with. */
static bool get_readable(struct ctl *c, struct fb_dead *d, int *code_r)
{
    struct fb_error err = {0};
    if (!get_dead(c, d, code_r)) {
        return false;
    }
    if (d->job.msg_id[0] == '\0') {
        (void)fb_error_set(
            &err, FB_INVALID,
            "dead letter %s holds no job that this version can read; use the version that "
            "wrote it",
            d->id);
        *code_r = ctl_fail(c, &err);
        return false;
    }
    return true;
}

int ctl_dead_retry(struct ctl *c)
{
    int code = 0;
    struct fb_dead d;
    struct fb_error err = {0};
    if (!get_readable(c, &d, &code)) {
        return code;
    }
    if (audit(c, &d, "retry", NULL, &err) != FB_OK ||
        fb_dead_retry(c->redis, d.id, &err) != FB_OK) {
        return ctl_fail(c, &err);
    }
    char text[80];
    (void)snprintf(text, sizeof text, "%s tries it again", fb_stage_name(d.job.stage));
    return tell_done(c, &d, "retry", text, NULL);
}

/* Whether there is a mail to send.  A delivered one may leave a dead letter behind (its branch came
 * to its end by another way), and a spool may have been exchanged: the release would end without a
 * mail, and nobody would hear of it. */
static bool is_spooled(struct ctl *c, const struct fb_dead *d, int *code_r)
{
    struct fb_error err = {0};
    struct fb_spool_msg *msg = NULL;
    if (!ctl_need_spool(c, code_r)) {
        return false;
    }
    enum fb_status s = fb_spool_msg_open(c->spool, d->job.spool_ref, &msg, &err);
    fb_spool_msg_close(&msg);
    if (s == FB_NOT_FOUND) {
        (void)fb_error_set(
            &err, FB_NOT_FOUND,
            "message %s is not in the spool any more, so nothing can be sent: it was "
            "delivered or given up before, or the spool was replaced. Look at "
            "`fumibako message show %s`; `fumibako dead retry %s` ends this dead "
            "letter",
            d->job.msg_id, d->job.msg_id, d->id);
    }
    *code_r = s == FB_OK ? *code_r : ctl_fail(c, &err);
    return s == FB_OK;
}

/* Release and reject hand the branch (or, held before there was a plan, the whole message) to
 * rewrite with a mark that says what to do; mark and job go in one step. */
static int decide(struct ctl *c, const struct fb_dead *d, const char *mark, const char *action,
                  const char *text, const char *untold)
{
    int code = 0;
    struct fb_error err = {0};
    bool is_mail = !fb_job_is_side(&d->job); /* else the ledger says what it is */
    if (is_mail && !is_spooled(c, d, &code)) {
        return code;
    }
    enum fb_status s = audit(c, d, action, untold, &err);
    s = s == FB_OK ? fb_ledger_decide_held(c->redis, d, mark, &err) : s;
    return s == FB_OK ? tell_done(c, d, action, text, untold) : ctl_fail(c, &err);
}

int ctl_dead_release(struct ctl *c)
{
    int code = 0;
    struct fb_dead d;
    struct fb_error err = {0};
    if (!get_readable(c, &d, &code)) {
        return code;
    }
    char *from = fb_ledger_sender_of(c->redis, &d);
    if (from != NULL && !fb_address_is_writable(from)) {
        (void)fb_error_set(&err, FB_DENIED,
                           "message %s cannot be sent on, as its sender's address has an angle "
                           "bracket or a control character: `fumibako dead reject %s` ends it",
                           d.job.msg_id, d.id);
        code = ctl_fail(c, &err);
    } else {
        code = decide(c, &d, "deliver", "release", "goes on UNPROTECTED, as it came", NULL);
    }
    free(from);
    return code;
}

/* What is no mail (a recall, an expiry, a letter, a job that cannot be read) is only taken off the
 * list: nobody is to be told of it by a delivery report. */
static int drop(struct ctl *c, const struct fb_dead *d)
{
    struct fb_error err = {0};
    if (audit(c, d, "reject", NULL, &err) != FB_OK ||
        fb_dead_drop(c->redis, d->id, &err) != FB_OK) {
        return ctl_fail(c, &err);
    }
    if (c->is_json || d->job.msg_id[0] != '\0') {
        return tell_done(c, d, "reject", "is given up", NULL);
    }
    (void)printf("%s: is given up; a mail that it was for gets a new job by itself\n", d->id);
    return 0;
}

int ctl_dead_reject(struct ctl *c)
{
    int code = 0;
    struct fb_dead d;
    if (!get_dead(c, &d, &code)) {
        return code;
    }
    if (d.job.msg_id[0] == '\0' || fb_job_is_side(&d.job)) {
        return drop(c, &d);
    }
    char *from = fb_ledger_sender_of(c->redis, &d);
    code = decide(c, &d, "reject", "reject", "is given up; its sender gets a delivery report",
                  fb_dead_untold(from, false));
    free(from);
    return code;
}
