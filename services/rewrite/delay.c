/* SPDX-License-Identifier: Apache-2.0 */
#include "services/rewrite/delay.h"

#include <stdlib.h>
#include <string.h>

#include "common/ledger/late.h"
#include "common/ledger/ledger.h"
#include "common/spool/records.h"
#include "services/rewrite/compose.h"

/* Who has it, will not get it, or was told of. */
static const enum fb_sent_kind ended[] = {FB_SENT_NOTICE, FB_SENT_PASS, FB_SENT_REPORT,
                                          FB_SENT_RECALLED};

void delay_release(struct delay *d)
{
    content_deinit(&d->content);
    fb_plan_deinit(&d->plan);
    fb_envelope_deinit(&d->envelope);
    fb_spool_msg_close(&d->msg);
}

/* RFC 3461 4.1: without NOTIFY a delay may be told, with it only when it names DELAY. */
static bool wants_delay(const struct fb_recipient *r)
{
    return r->notify == NULL || strcasestr(r->notify, "DELAY") != NULL;
}

static void explain(enum fb_stage stage, struct report_line *line)
{
    switch (stage) {
    case FB_STAGE_REWRITE:
        line->status = "4.4.1";
        line->diagnostic = "the mail server that takes it next does not take it yet";
        break;
    case FB_STAGE_UPLOAD:
        line->status = "4.3.0";
        line->diagnostic = "the secure storage does not take its content yet";
        break;
    default:
        line->status = "4.3.0";
        line->diagnostic = "it waits to be processed";
        break;
    }
}

/* is_over_r: for each of the recipients, whether there is nothing to tell of. */
static enum fb_status ask(const struct rewrite_service *service, struct fb_redis *redis,
                          const char *msg_id, const uint32_t *list, size_t count, bool *is_over_r,
                          struct fb_error *err)
{
    bool *has = fb_xcalloc(count + 1, sizeof *has);
    enum fb_status s = fb_ledger_recalled(redis, msg_id, list, count, is_over_r, err);
    for (size_t k = 0; k < sizeof ended / sizeof ended[0] && s == FB_OK; k++) {
        s = fb_journal_lookup(service->journal, msg_id, ended[k], list, count, has, err);
        for (size_t i = 0; i < count && s == FB_OK; i++) {
            is_over_r[i] = is_over_r[i] || has[i];
            has[i] = false;
        }
    }
    free(has);
    return s;
}

static enum fb_status compose(const struct rewrite_service *service, struct fb_redis *redis,
                              const struct fb_job *job, enum fb_stage stage, bool has_plan,
                              struct delay *d, struct fb_error *err)
{
    const struct fb_branch *branch =
        has_plan && job->branch < d->plan.branch_count ? &d->plan.branches[job->branch] : NULL;
    size_t all = branch != NULL ? branch->recipient_count : d->envelope.recipient_count;
    uint32_t *list = fb_xcalloc(all + 1, sizeof *list);
    bool *is_over = fb_xcalloc(all + 1, sizeof *is_over);
    struct report_line *lines = fb_xcalloc(all + 1, sizeof *lines);
    size_t count = 0;
    for (size_t i = 0; i < all; i++) {
        list[i] = branch != NULL ? branch->recipients[i] : (uint32_t)i;
    }
    enum fb_status s = ask(service, redis, job->msg_id, list, all, is_over, err);
    for (size_t i = 0; i < all && s == FB_OK; i++) {
        const struct fb_recipient *r = &d->envelope.recipients[list[i]];
        if (is_over[i] || !wants_delay(r)) {
            continue;
        }
        struct report_line *line = &lines[count++];
        *line = (struct report_line){.address = r->address,
                                     .orcpt = r->orcpt,
                                     .action = REPORT_DELAYED,
                                     .retry_until_ms = d->envelope.received_ms +
                                                       service->config->rewrite.lifetime_ms};
        explain(stage, line);
    }
    if (s == FB_OK && count > 0) {
        s = compose_report(d->msg, service->config->rewrite.key, &d->envelope,
                           has_plan ? &d->plan : NULL, job->branch,
                           service->config->rewrite.postmaster, service->helo, lines, count,
                           &d->content, err);
        d->is_wanted = s == FB_OK;
    }
    free(lines);
    free(is_over);
    free(list);
    return s;
}

enum fb_status delay_compose(const struct rewrite_service *service, struct fb_redis *redis,
                             const struct fb_job *job, struct delay *d_r, struct fb_error *err)
{
    bool is_late = false;
    bool has_plan = false;
    enum fb_stage stage = FB_STAGE_RENDER;
    *d_r = (struct delay){0};
    enum fb_status s = fb_ledger_late_get(redis, job->msg_id, job->branch, &is_late, &stage, err);
    if (s != FB_OK || !is_late) {
        return s;
    }
    s = fb_spool_msg_open(service->spool, job->spool_ref, &d_r->msg, err);
    if (s == FB_NOT_FOUND) {
        return FB_OK; /* delivered and erased meanwhile */
    }
    content_init(&d_r->content, d_r->msg);
    if (s == FB_OK) {
        s = fb_envelope_decode(fb_spool_msg_envelope(d_r->msg), &d_r->envelope, err);
    }
    if (s != FB_OK || d_r->envelope.reverse_path[0] == '\0') {
        return s; /* about mail of the null sender nobody is told (RFC 3461 6) */
    }
    struct fb_error own = {0};
    s = fb_spool_plan_load(d_r->msg, &d_r->plan, &own);
    has_plan =
        s == FB_OK && fb_plan_check(&d_r->plan, d_r->envelope.recipient_count, &own) == FB_OK;
    return compose(service, redis, job, stage, has_plan, d_r, err);
}
