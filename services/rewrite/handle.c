/* SPDX-License-Identifier: Apache-2.0 */
#include "services/rewrite/handle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/ledger/ledger.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/spool/records.h"
#include "services/rewrite/code.h"
#include "services/rewrite/deliver.h"
#include "services/rewrite/letter.h"
#include "services/rewrite/notices.h"

enum fb_status rewrite_thread_init(void *ctx, void **thread_r, struct fb_error *err)
{
    const struct rewrite_service *s = ctx;
    struct smtp_client *client = NULL;
    enum fb_status st = smtp_client_new(s->config->rewrite.relay, s->helo, &client, err);
    *thread_r = client;
    return st;
}

void rewrite_thread_deinit(void *ctx, void *thread)
{
    (void)ctx;
    struct smtp_client *client = thread;
    smtp_client_free(&client);
}

/* ---- who ---- */

static int compare_address(const void *a, const void *b)
{
    return strcasecmp(*(const char *const *)a, *(const char *const *)b);
}

/* To and Cc may be as long as the envelope: sorted once, not searched for each. */
static void mark_visible(struct delivery *d)
{
    const char **visible = fb_xcalloc(d->plan.visible_count + 1, sizeof *visible);
    for (uint32_t i = 0; i < d->plan.visible_count; i++) {
        visible[i] = d->plan.visible[i];
    }
    qsort(visible, d->plan.visible_count, sizeof *visible, compare_address);
    for (size_t i = 0; i < d->target_count; i++) {
        const char *address = d->envelope.recipients[d->targets[i].index].address;
        d->targets[i].is_visible = bsearch(&address, visible, d->plan.visible_count,
                                           sizeof *visible, compare_address) != NULL;
    }
    free(visible);
}

static void list_targets(struct delivery *d)
{
    d->target_count = d->branch != NULL ? d->branch->recipient_count : d->envelope.recipient_count;
    d->targets = fb_xcalloc(d->target_count + 1, sizeof *d->targets);
    for (size_t i = 0; i < d->target_count; i++) {
        d->targets[i].index = d->branch != NULL ? d->branch->recipients[i] : (uint32_t)i;
    }
    if (d->has_plan) {
        mark_visible(d);
    }
}

static void refuse_open(struct delivery *d, const char *status, const char *why)
{
    for (size_t i = 0; i < d->target_count; i++) {
        if (d->targets[i].state == TARGET_OPEN) {
            d->targets[i].state = TARGET_REFUSED;
            (void)snprintf(d->targets[i].status, sizeof d->targets[i].status, "%s", status);
            (void)snprintf(d->targets[i].diagnostic, sizeof d->targets[i].diagnostic, "%.500s",
                           why);
        }
    }
}

/* ---- the three kinds of branch ---- */

static enum fb_status send_untouched(struct delivery *d, struct fb_error *err)
{
    struct content content;
    bool *wants = fb_xcalloc(d->target_count + 1, sizeof *wants);
    content_init(&content, d->msg);
    for (size_t i = 0; i < d->target_count; i++) {
        wants[i] = d->targets[i].state == TARGET_OPEN;
    }
    enum fb_status s =
        compose_pass(d->msg, d->service->config->rewrite.key, d->branch_number, &content, err);
    if (s == FB_OK) {
        s = deliver(d, &content, FB_SENT_PASS, wants, err);
    }
    content_deinit(&content);
    free(wants);
    return s;
}

/* Before anybody is claimed: a lost parcel sends the job back to render, and meanwhile a recall must
 * be able to stop everybody.  Where all are recalled there may be no parcel at all. */
static enum fb_status load_parcel(struct delivery *d, const char *forced, struct fb_error *err)
{
    if (forced[0] != '\0' || d->branch == NULL || d->branch->kind != FB_BRANCH_SECURE) {
        return FB_OK;
    }
    enum fb_status s = fb_spool_parcel_load(d->msg, d->branch_number, &d->parcel, err);
    if (s == FB_OK && !notices_have_link(&d->parcel)) {
        s = fb_error_set(err, FB_CORRUPT,
                         "the parcel has no link yet"); /* upload's last word was lost */
    }
    d->has_parcel = s == FB_OK;
    if (s != FB_NOT_FOUND && s != FB_CORRUPT) {
        return s;
    }
    bool *is_recalled = fb_xcalloc(d->target_count + 1, sizeof *is_recalled);
    struct fb_error own = {0};
    enum fb_status asked = notices_ask_recalled(d, is_recalled, &own);
    bool is_all = asked == FB_OK;
    for (size_t i = 0; i < d->target_count; i++) {
        is_all = is_all && is_recalled[i];
    }
    free(is_recalled);
    if (asked != FB_OK) {
        *err = own;
        return asked;
    }
    return is_all ? FB_OK : s;
}

/* ---- the job ---- */

/* What the operator, or a rule's on_failure, decided in place of the plan; for the whole message or
 * for the branch. */
static enum fb_status load_forced(struct delivery *d, char forced[16], bool *is_whole_r,
                                  struct fb_error *err)
{
    const struct fb_job *job = &d->claim->job;
    enum fb_status s = fb_ledger_forced(d->redis, job->msg_id, UINT32_MAX, forced, err);
    *is_whole_r = s == FB_OK && forced[0] != '\0';
    if (s == FB_OK && !*is_whole_r) {
        s = fb_ledger_forced(d->redis, job->msg_id, job->branch, forced, err);
    }
    if (s == FB_OK && forced[0] != '\0' && strcmp(forced, "deliver") != 0 &&
        strcmp(forced, "reject") != 0) {
        s = fb_error_set(err, FB_BUG, "message %s is marked to be \"%s\", which is unknown here",
                         job->msg_id, forced);
    }
    return s;
}

static enum fb_status load(struct delivery *d, char forced[16], struct fb_error *err)
{
    bool is_whole = false;
    enum fb_status s = fb_envelope_decode(fb_spool_msg_envelope(d->msg), &d->envelope, err);
    if (s == FB_OK) {
        s = load_forced(d, forced, &is_whole, err);
    }
    if (s != FB_OK) {
        return s;
    }
    s = fb_spool_plan_load(d->msg, &d->plan, err);
    if (s == FB_OK) {
        s = fb_plan_check(&d->plan, d->envelope.recipient_count, err);
        d->has_plan = s == FB_OK;
    } else if (is_whole) {
        return FB_OK; /* held before there was a plan, and decided by the operator */
    }
    if (s == FB_OK && !is_whole && d->claim->job.branch >= d->plan.branch_count) {
        return fb_error_set(err, FB_BUG, "the plan has no branch %u", d->claim->job.branch);
    }
    if (s == FB_OK && !is_whole) {
        d->branch = &d->plan.branches[d->claim->job.branch];
    }
    return s;
}

static enum fb_status send_branch(struct delivery *d, const char *forced, struct fb_error *err)
{
    if (strcmp(forced, "deliver") == 0) {
        return send_untouched(d, err);
    }
    if (strcmp(forced, "reject") == 0) {
        d->is_given_up = true;
        refuse_open(d, "5.7.1", "the mail was held and then given up");
        return FB_OK;
    }
    switch (d->branch->kind) {
    case FB_BRANCH_PASS:
        return send_untouched(d, err);
    case FB_BRANCH_SECURE:
        return notices_send(d, err);
    default: {
        char why[300];
        (void)snprintf(why, sizeof why, "refused by the rule \"%.200s\"", d->branch->rule);
        refuse_open(d, "5.7.1", why);
        return FB_OK;
    }
    }
}

static bool is_past(const struct delivery *d, int64_t ms)
{
    return fb_now_ms() - d->claim->job.first_ms >= ms;
}

/* RFC 5321 4.5.4.1: after the retry time the sender is told. */
static void give_up_late(struct delivery *d)
{
    if (!is_past(d, d->service->config->rewrite.lifetime_ms)) {
        return;
    }
    for (size_t i = 0; i < d->target_count; i++) {
        if (d->targets[i].state == TARGET_PUT_OFF || d->targets[i].state == TARGET_OPEN) {
            if (d->targets[i].diagnostic[0] == '\0') {
                (void)snprintf(d->targets[i].diagnostic, sizeof d->targets[i].diagnostic,
                               "it could not be sent on in time");
            }
            d->targets[i].state = TARGET_REFUSED;
            (void)snprintf(d->targets[i].status, sizeof d->targets[i].status, "4.4.7");
        }
    }
}

static void release(const struct delivery *d, struct fb_outcome *out)
{
    out->ops = fb_ops_new();
    deliver_release(d, out->ops);
}

/* In the step that ends the branch: there is one for each, or none. */
static void add_receipt(const struct delivery *d, struct fb_outcome *out)
{
    bool is_secured = d->has_parcel && deliver_count(d, TARGET_SENT) > 0;
    if (!is_secured || !d->branch->sends_receipt || d->envelope.reverse_path[0] == '\0') {
        return;
    }
    struct fb_job *letter = fb_xcalloc(1, sizeof *letter);
    fb_job_letter(FB_LETTER_RECEIPT, &d->claim->job, d->branch_number, letter);
    fb_ops_add_job_in(d->redis, out->ops, letter, d->claim->lane);
    free(letter);
}

static void conclude(struct delivery *d, struct fb_outcome *out)
{
    for (size_t i = 0; i < d->target_count; i++) {
        if (d->targets[i].state == TARGET_PUT_OFF) {
            out->kind = FB_OUTCOME_RETRY;
            release(d, out);
            /* without the relay's words: they name addresses, and this is logged */
            (void)fb_error_set(&out->reason, FB_AGAIN,
                               "the relay puts %zu of %zu recipients off: %.3s %s",
                               deliver_count(d, TARGET_PUT_OFF), d->target_count,
                               d->targets[i].diagnostic, d->targets[i].status);
            return;
        }
    }
    size_t refused = deliver_count(d, TARGET_REFUSED) + deliver_count(d, TARGET_REPORTED);
    const char *state = deliver_count(d, TARGET_SENT) > 0 ? "sent"
                        : refused > 0                     ? "refused"
                                                          : "recalled";
    if (strcmp(state, "recalled") == 0) {
        (void)fb_error_set(&out->reason, FB_RECALLED, "recalled before it was sent");
    }
    out->kind = FB_OUTCOME_FINISH;
    out->ops = fb_ops_new();
    fb_ledger_sent(d->redis, out->ops, d->claim->job.msg_id, d->claim->job.branch, state);
    deliver_out(d, out->ops);
    if (strcmp(state, "sent") == 0) {
        deliver_refused(d, out->ops);
    }
    add_receipt(d, out);
}

static void work(struct delivery *d, struct fb_outcome *out, struct fb_error *err)
{
    char forced[16] = "";
    enum fb_status s = load(d, forced, err);
    if (s == FB_OK) {
        list_targets(d);
        s = deliver_recall_again(d, err);
    }
    if (s == FB_OK) {
        s = load_parcel(d, forced, err);
    }
    if (s == FB_OK) {
        s = deliver_claim(d, err);
    }
    bool is_claimed = s == FB_OK; /* before it nobody knows who has the mail or was recalled */
    if (s == FB_OK) {
        s = send_branch(d, forced, err);
    }
    int64_t lifetime = d->service->config->rewrite.lifetime_ms;
    bool is_late = fb_status_class(s) == FB_CLASS_RETRY && is_claimed && is_past(d, lifetime);
    if (s == FB_OK || is_late) {
        give_up_late(d);
        s = deliver_report(d, err);
    }
    if (s == FB_OK) {
        conclude(d, out);
    } else if (s == FB_LOST) {
        out->kind = FB_OUTCOME_RELEASE; /* another worker has it: the queue will say so again */
    } else if (s == FB_NOT_FOUND || s == FB_CORRUPT) {
        out->kind = FB_OUTCOME_RESTART;
        out->reason = *err;
    } else {
        /* Not even the sender can be told: after twice the time it is the operator's. */
        bool is_hopeless = fb_status_class(s) != FB_CLASS_RETRY || is_past(d, 2 * lifetime);
        out->kind = is_hopeless ? FB_OUTCOME_BURY : FB_OUTCOME_RETRY;
        out->reason = *err;
        release(d, out);
        struct fb_policy *policy = s == FB_CONFIG ? fb_policy_follow_get(d->service->policy) : NULL;
        if (policy == NULL && s == FB_CONFIG && !is_hopeless) {
            fb_outcome_soon(d->claim, out);
        }
        fb_policy_unref(&policy);
    }
}

void rewrite_handle(void *ctx, void *thread, struct fb_redis *redis, const struct fb_claim *claim,
                    struct fb_outcome *out)
{
    struct fb_error err = {0};
    struct delivery d = {.service = ctx,
                         .client = thread,
                         .redis = redis,
                         .claim = claim,
                         .branch_number = claim->job.branch};
    fb_log_context(claim->job.msg_id, NULL, "rewrite", claim->job.trace, claim->job.attempt);
    if (claim->job.letter == FB_LETTER_CODE) {
        code_handle(ctx, thread, redis, claim, out);
        return;
    }
    if (claim->job.letter != FB_LETTER_NONE) {
        letter_handle(ctx, thread, redis, claim, out);
        return;
    }
    enum fb_status s = fb_spool_msg_open(d.service->spool, claim->job.spool_ref, &d.msg, &err);
    if (s == FB_OK) {
        work(&d, out, &err);
    } else if (s == FB_NOT_FOUND) {
        fb_outcome_without_mail(claim, out);
    } else {
        out->kind = fb_status_class(s) == FB_CLASS_RETRY ? FB_OUTCOME_RETRY : FB_OUTCOME_BURY;
        out->reason = err;
    }
    free(d.targets);
    fb_parcel_deinit(&d.parcel);
    fb_plan_deinit(&d.plan);
    fb_envelope_deinit(&d.envelope);
    fb_spool_msg_close(&d.msg);
}

/* The rule's on_failure, once: as with upload it is a mark in the ledger, and the job comes again
 * to obey it.  A crash loop is held whatever the rule says: nobody knows what of it went out; and so
 * is what would bounce to an address that no mail can be written to: nobody would hear of it. */
void rewrite_before_bury(void *ctx, void *thread, struct fb_redis *redis,
                         const struct fb_claim *claim, struct fb_outcome *out)
{
    (void)thread;
    struct fb_error err = {0};
    struct delivery d = {.service = ctx, .redis = redis, .claim = claim};
    char forced[16] = "";
    enum fb_status s = fb_spool_msg_open(d.service->spool, claim->job.spool_ref, &d.msg, &err);
    if (s == FB_OK) {
        s = load(&d, forced, &err);
    }
    bool is_ruled = s == FB_OK && d.branch != NULL && d.branch->kind == FB_BRANCH_SECURE &&
                    d.branch->on_failure != FB_FAILURE_HOLD && forced[0] == '\0' &&
                    out->reason.status != FB_CRASHED;
    bool is_deliver = is_ruled && d.branch->on_failure == FB_FAILURE_DELIVER;
    if (is_deliver || (is_ruled && fb_address_is_writable(d.envelope.reverse_path))) {
        fb_log(FB_WARN, "the notice failed for good (%s); the rule says: %s", out->reason.text,
               is_deliver ? "deliver" : "bounce");
        out->kind = FB_OUTCOME_ADVANCE;
        out->next = fb_xcalloc(1, sizeof *out->next);
        out->next_count = 1;
        fb_job_follow(claim, FB_STAGE_REWRITE, claim->job.branch, &out->next[0]);
        out->ops = out->ops == NULL ? fb_ops_new() : out->ops;
        fb_ledger_force(redis, out->ops, claim->job.msg_id, claim->job.branch,
                        is_deliver ? "deliver" : "reject");
    }
    fb_plan_deinit(&d.plan);
    fb_envelope_deinit(&d.envelope);
    fb_spool_msg_close(&d.msg);
}

void rewrite_message_done(void *ctx, void *thread, const struct fb_claim *claim)
{
    (void)thread;
    struct rewrite_service *s = ctx;
    fb_metric_observe("fumibako_message_seconds", NULL,
                      (double)(fb_now_ms() - claim->job.first_ms) / 1000);
    linger_ended(s->linger, claim->job.msg_id, claim->job.spool_ref);
}
