/* SPDX-License-Identifier: Apache-2.0 */
#include "services/rewrite/deliver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/ledger/ledger.h"
#include "common/ledger/recall_again.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/tracing.h"
#include "services/rewrite/relay_watch.h"

#define JOURNAL_TRIES    5
#define JOURNAL_PAUSE_MS 500
#define MAX_ROUNDS       200 /* of at least 100 recipients each, where the relay keeps to the RFC */

static const struct {
    enum fb_sent_kind kind;
    enum target_state state;
} journaled[] = {
    {FB_SENT_NOTICE, TARGET_SENT},
    {FB_SENT_PASS, TARGET_SENT},
    {FB_SENT_REPORT,
     TARGET_REPORTED}, /* last: whoever was sent the notice but not the password is in both */
};

size_t deliver_count(const struct delivery *d, enum target_state state)
{
    size_t n = 0;
    for (size_t i = 0; i < d->target_count; i++) {
        n += d->targets[i].state == state;
    }
    return n;
}

static enum fb_status read_journal(struct delivery *d, const uint32_t *indices, bool *flags,
                                   struct fb_error *err)
{
    enum fb_status s = FB_OK;
    for (size_t k = 0; k < sizeof journaled / sizeof journaled[0] && s == FB_OK; k++) {
        memset(flags, 0, d->target_count * sizeof *flags);
        s = fb_journal_lookup(d->service->journal, d->claim->job.msg_id, journaled[k].kind, indices,
                              d->target_count, flags, err);
        for (size_t i = 0; i < d->target_count && s == FB_OK; i++) {
            if (flags[i]) {
                d->targets[i].state = journaled[k].state;
                d->targets[i].is_out |= journaled[k].state == TARGET_SENT;
            }
        }
    }
    return s;
}

enum fb_status deliver_recall_again(struct delivery *d, struct fb_error *err)
{
    const char *msg_id = d->claim->job.msg_id;
    struct fb_ops *ops = fb_ops_new();
    enum fb_status s = fb_recall_again(d->service->spool, d->redis, &d->service->journal, d->msg,
                                       &d->envelope, true, ops, err);
    if (s == FB_OK && fb_ops_count(ops) > 0) {
        s = fb_queue_change(d->redis, d->claim->shard, ops, err);
        if (s == FB_OK) {
            fb_log_fields(FB_WARN, "a recall that Redis forgot is made again", "msg_id", msg_id,
                          NULL);
        }
    }
    fb_ops_free(&ops);
    return s;
}

enum fb_status deliver_claim(struct delivery *d, struct fb_error *err)
{
    uint32_t *indices = fb_xcalloc(d->target_count + 1, sizeof *indices);
    bool *flags = fb_xcalloc(d->target_count + 1, sizeof *flags);
    for (size_t i = 0; i < d->target_count; i++) {
        indices[i] = d->targets[i].index;
    }
    enum fb_status s = read_journal(d, indices, flags, err);
    size_t open = 0;
    for (size_t i = 0; i < d->target_count; i++) {
        if (d->targets[i].state == TARGET_OPEN) {
            indices[open++] = d->targets[i].index;
        }
    }
    if (s == FB_OK && open > 0) {
        s = fb_ledger_claim_sending(d->redis, fb_worker_consumer(), d->claim, indices, open, flags,
                                    err);
        for (size_t i = 0, n = 0; i < d->target_count && s == FB_OK; i++) {
            if (d->targets[i].state == TARGET_OPEN) {
                d->targets[i].is_claimed = flags[n++];
                d->targets[i].state = d->targets[i].is_claimed ? TARGET_OPEN : TARGET_RECALLED;
            }
        }
    }
    free(flags);
    free(indices);
    return s;
}

/* What an earlier try may have sent keeps its claim: the ledger knows that it was claimed twice. */
void deliver_release(const struct delivery *d, struct fb_ops *ops)
{
    uint32_t *indices = fb_xcalloc(d->target_count + 1, sizeof *indices);
    size_t count = 0;
    for (size_t i = 0; i < d->target_count; i++) {
        if (d->targets[i].is_claimed && !d->targets[i].is_out) {
            indices[count++] = d->targets[i].index;
        }
    }
    if (count > 0) {
        fb_ledger_release_sending(d->redis, ops, d->claim->job.msg_id, indices, count);
    }
    free(indices);
}

void deliver_refused(const struct delivery *d, struct fb_ops *ops)
{
    uint32_t *indices = fb_xcalloc(d->target_count + 1, sizeof *indices);
    size_t count = 0;
    for (size_t i = 0; i < d->target_count; i++) {
        const struct target *t = &d->targets[i];
        if ((t->state == TARGET_REFUSED || t->state == TARGET_REPORTED) && !t->is_out) {
            indices[count++] = t->index;
        }
    }
    if (count > 0) {
        fb_ledger_refused(d->redis, ops, d->claim->job.msg_id, indices, count);
    }
    free(indices);
}

void deliver_out(const struct delivery *d, struct fb_ops *ops)
{
    uint32_t *indices = fb_xcalloc(d->target_count + 1, sizeof *indices);
    size_t count = 0;
    for (size_t i = 0; i < d->target_count; i++) {
        if (d->targets[i].is_out && !d->targets[i].is_claimed) {
            indices[count++] = d->targets[i].index;
        }
    }
    if (count > 0) {
        fb_ledger_out(d->redis, ops, d->claim->job.msg_id, indices, count);
    }
    free(indices);
}

/* The relay's code for one recipient becomes its state. */
static void judge(struct target *t, const struct smtp_recipient *r)
{
    bool is_soft = r->code / 100 == 4;
    if (r->code / 100 == 2) {
        t->state = TARGET_SENT;
        t->is_out = true;
        return;
    }
    t->state = is_soft ? TARGET_PUT_OFF : TARGET_REFUSED;
    const char *status = r->enhanced[0] != '\0' ? r->enhanced : is_soft ? "4.0.0" : "5.0.0";
    (void)snprintf(t->status, sizeof t->status, "%s", status);
    (void)snprintf(t->diagnostic, sizeof t->diagnostic, "%d %.490s", r->code, r->reply);
}

/* The relay has taken the mail: from here on a retry would send it twice.  So a journal that cannot
 * be written is tried again, and then it does not undo the delivery: Redis is told as well, and
 * only if it is lost, too, or if others of the branch must be tried again, the mail arrives twice.
 */
static void remember(struct delivery *d, enum fb_sent_kind kind, const uint32_t *indices,
                     size_t count)
{
    struct fb_error err = {0};
    for (int i = 0; i < JOURNAL_TRIES; i++) {
        if (i > 0) {
            const struct timespec pause = {.tv_nsec = JOURNAL_PAUSE_MS * 1000000L};
            (void)nanosleep(&pause, NULL);
        }
        if (fb_journal_commit(d->service->journal, d->claim->job.msg_id, d->branch_number, kind,
                              indices, count, &err) == FB_OK) {
            return;
        }
    }
    fb_log(FB_ERROR, "the sent journal cannot be written, a mail may arrive twice: %s", err.text);
}

static void count_send(const struct smtp_recipient *recipients, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char label[32];
        (void)snprintf(label, sizeof label, "code=\"%dxx\"", recipients[i].code / 100);
        fb_metric_add("fumibako_relayed_total", label, 1);
    }
}

static void end_span(const struct fb_span *span, const struct smtp_mail *mail, enum fb_status s)
{
    char recipients[24];
    (void)snprintf(recipients, sizeof recipients, "%zu", mail->recipient_count);
    fb_span_end(span, "relay", FB_SPAN_CLIENT, s == FB_OK ? NULL : fb_status_name(s),
                "fumibako.recipients", recipients, "network.protocol.name", "smtp", NULL);
}

static enum fb_status hand_over(struct delivery *d, struct content *content, struct smtp_mail *mail,
                                bool *is_unknown_r, struct fb_error *err)
{
    mail->content = (struct smtp_content){.ctx = content,
                                          .read = content_read,
                                          .size = content_size(content),
                                          .has_8bit = content->has_8bit};
    struct fb_span span;
    fb_span_begin(&span, NULL);
    enum fb_status s = smtp_client_send(d->client, mail, is_unknown_r, err);
    end_span(&span, mail, s);
    relay_watch(s, err);
    if (s == FB_OK) {
        count_send(mail->recipients, mail->recipient_count);
    } else if (*is_unknown_r) {
        fb_log(FB_WARN, "the connection was lost between the end of the mail and the relay's "
                        "reply: it may arrive twice");
    }
    content_rewind(content);
    return s;
}

static struct smtp_recipient recipient_of(const struct delivery *d, size_t target)
{
    const struct fb_recipient *r = &d->envelope.recipients[d->targets[target].index];
    return (struct smtp_recipient){.address = r->address, .notify = r->notify, .orcpt = r->orcpt};
}

static bool wants_success(const struct smtp_recipient *r)
{
    return r->notify != NULL && strcasestr(r->notify, "SUCCESS") != NULL;
}

/* "Too many recipients" for one transaction (RFC 5321 4.5.3.1.10), in words of RFC 3463 or without
 * any. */
static bool is_overflow(const struct smtp_recipient *r)
{
    return r->code == 452 && (r->enhanced[0] == '\0' || strcmp(r->enhanced, "4.5.3") == 0);
}

/* The answer to the whole mail was lost: those that were refused before have their answer all the
 * same. */
static void note_unknown(struct delivery *d, const bool *wants,
                         const struct smtp_recipient *recipients)
{
    for (size_t i = 0, n = 0; i < d->target_count; i++) {
        if (wants[i] && recipients[n++].code / 100 == 2) {
            d->targets[i].is_out = true;
        }
    }
}

/* One transaction for those that wants says; leaves wants to those that another one may take, and
 * says how many were taken. */
static enum fb_status deliver_round(struct delivery *d, struct content *content,
                                    enum fb_sent_kind kind, bool *wants, size_t *sent_r,
                                    struct fb_error *err)
{
    struct smtp_recipient *recipients = fb_xcalloc(d->target_count + 1, sizeof *recipients);
    uint32_t *sent = fb_xcalloc(d->target_count + 1, sizeof *sent);
    size_t count = 0;
    *sent_r = 0;
    for (size_t i = 0; i < d->target_count; i++) {
        if (wants[i]) {
            recipients[count++] = recipient_of(d, i);
        }
    }
    struct smtp_mail mail = {
        .reverse_path = d->envelope.reverse_path,
        .dsn_ret = d->envelope.dsn_ret,
        .dsn_envid = d->envelope.dsn_envid,
        .is_8bit = d->envelope.is_8bit,
        .is_smtputf8 = d->envelope.is_smtputf8,
        .recipients = recipients,
        .recipient_count = count,
    };
    bool is_unknown = false;
    enum fb_status s = count > 0 ? hand_over(d, content, &mail, &is_unknown, err) : FB_OK;
    if (is_unknown) {
        note_unknown(d, wants, recipients);
    }
    for (size_t i = 0, n = 0; i < d->target_count && s == FB_OK; i++) {
        if (wants[i]) {
            const struct smtp_recipient *r = &recipients[n++];
            judge(&d->targets[i], r);
            if (d->targets[i].state == TARGET_SENT) {
                sent[(*sent_r)++] = d->targets[i].index;
                d->targets[i].is_relayed = !mail.relay_has_dsn && wants_success(r);
            }
            wants[i] = is_overflow(r);
        }
    }
    if (*sent_r > 0) {
        remember(d, kind, sent, *sent_r);
    }
    free(sent);
    free(recipients);
    return s;
}

enum fb_status deliver(struct delivery *d, struct content *content, enum fb_sent_kind kind,
                       bool *wants, struct fb_error *err)
{
    enum fb_status s = FB_OK;
    size_t sent = 1;
    for (int round = 0; round < MAX_ROUNDS && sent > 0 && s == FB_OK; round++) {
        s = deliver_round(d, content, kind, wants, &sent, err);
    }
    return s;
}

enum fb_status deliver_password(struct delivery *d, struct content *content, size_t target,
                                struct fb_error *err)
{
    struct smtp_recipient r = recipient_of(d, target);
    struct smtp_mail mail = {
        .reverse_path = d->envelope.reverse_path, .recipients = &r, .recipient_count = 1};
    r.orcpt = NULL;          /* not the mail that it was given for */
    bool is_unknown = false; /* the notice is out in any case */
    enum fb_status s = hand_over(d, content, &mail, &is_unknown, err);
    if (s == FB_OK) {
        judge(&d->targets[target], &r);
        if (d->targets[target].state == TARGET_SENT) {
            remember(d, FB_SENT_PASSWORD, &d->targets[target].index, 1);
        }
    }
    return s;
}

/* ---- reports ---- */

static bool wants_failure(const struct fb_recipient *r)
{
    return r->notify == NULL || strcasestr(r->notify, "FAILURE") != NULL;
}

static enum fb_status send_report(struct delivery *d, const struct report_line *lines, size_t count,
                                  struct fb_error *err)
{
    struct content content;
    struct smtp_recipient sender = {.address = d->envelope.reverse_path, .notify = "NEVER"};
    content_init(&content, d->msg);
    enum fb_status s = compose_report(d->msg, d->service->config->rewrite.key, &d->envelope,
                                      d->has_plan ? &d->plan : NULL, d->branch_number,
                                      d->service->config->rewrite.postmaster, d->service->helo,
                                      lines, count, &content, err);
    if (s == FB_OK) {
        struct smtp_mail mail = {.reverse_path = "", .recipients = &sender, .recipient_count = 1};
        bool is_unknown = false;
        s = hand_over(d, &content, &mail, &is_unknown, err);
    }
    if (s == FB_OK && sender.code / 100 == 4) {
        s = fb_error_set(err, FB_AGAIN, "the relay puts the delivery report off: %d %s",
                         sender.code, sender.enhanced);
    } else if (s == FB_OK && sender.code / 100 == 5) {
        /* a report about a report would be a loop */
        fb_log(FB_ERROR, "the sender cannot be told about the delivery: %d %s", sender.code,
               sender.enhanced);
    }
    content_deinit(&content);
    return s;
}

/* The targets that a report is about; all_r and their count: those that are done with, asked for a
 * report or not. */
static size_t list_lines(const struct delivery *d, bool is_relayed, struct report_line *lines,
                         uint32_t *all, size_t *all_count_r)
{
    size_t count = 0;
    *all_count_r = 0;
    for (size_t i = 0; i < d->target_count; i++) {
        const struct target *t = &d->targets[i];
        const struct fb_recipient *r = &d->envelope.recipients[t->index];
        if (is_relayed ? !t->is_relayed || t->state != TARGET_SENT : t->state != TARGET_REFUSED) {
            continue;
        }
        all[(*all_count_r)++] = t->index;
        if (is_relayed) {
            lines[count++] = (struct report_line){.address = r->address,
                                                  .orcpt = r->orcpt,
                                                  .status = "2.0.0",
                                                  .diagnostic = "",
                                                  .action = REPORT_RELAYED};
        } else if (wants_failure(r)) {
            lines[count++] =
                (struct report_line){.address = r->address,
                                     .orcpt = r->orcpt,
                                     .status = t->status,
                                     .diagnostic = t->diagnostic,
                                     .is_smtp = t->diagnostic[0] >= '2' && t->diagnostic[0] <= '5'};
        }
    }
    return count;
}

enum fb_status deliver_report(struct delivery *d, struct fb_error *err)
{
    struct report_line *lines = fb_xcalloc(d->target_count + 1, sizeof *lines);
    uint32_t *indices = fb_xcalloc(d->target_count + 1, sizeof *indices);
    enum fb_status s = FB_OK;
    size_t all = 0;
    bool is_untold = d->is_given_up && !fb_address_is_writable(d->envelope.reverse_path);
    bool has_sender = d->envelope.reverse_path[0] != '\0' && !is_untold;
    size_t count = list_lines(d, false, lines, indices, &all);
    if (count > 0 && is_untold) {
        fb_log(FB_WARN, "the mail is given up, and its sender is not told: no mail can be written "
                        "to that address");
    }
    if (count > 0 && has_sender) {
        s = send_report(d, lines, count, err);
    }
    if (s == FB_OK && all > 0) {
        remember(d, FB_SENT_REPORT, indices, all);
    }
    /* Not journaled: it is about recipients that have the mail.  A crash right here loses it, a
     * put-off one is tried once: the mail matters, this is a courtesy. */
    count = s == FB_OK && has_sender ? list_lines(d, true, lines, indices, &all) : 0;
    if (count > 0) {
        struct fb_error relayed = {0};
        if (send_report(d, lines, count, &relayed) != FB_OK) {
            fb_log(FB_WARN, "the sender was not told that the mail was passed on: %s",
                   relayed.text);
        }
    }
    free(indices);
    free(lines);
    return s;
}
