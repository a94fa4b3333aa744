/* SPDX-License-Identifier: Apache-2.0
 *
 * A mail that is put off, at whatever stage, longer than rewrite.delay_warning: its sender is told,
 * once (RFC 5321 4.5.4.1, RFC 3461 4.1).  A letter job in the step that puts the mail off; rewrite
 * looks then whether the mail is still late, and who wants to know. */
#include <stdlib.h>

#include "common/ledger/late.h"
#include "common/log.h"
#include "common/queue/worker_internal.h"

void fb_worker_tell_late(struct fb_worker_thread *t, const struct fb_claim *claim,
                         struct fb_outcome *out)
{
    const struct fb_job *job = &claim->job;
    int64_t patience_ms = t->worker->config->rewrite.delay_warning_ms;
    bool is_put_off =
        out->kind == FB_OUTCOME_RETRY || (out->kind == FB_OUTCOME_RELEASE && out->delay_ms > 0);
    bool is_told = true;
    if (!is_put_off || patience_ms == 0 || fb_job_is_side(job) ||
        fb_now_ms() - job->first_ms < patience_ms ||
        fb_ledger_late_told(t->redis, job->msg_id, job->branch, &is_told, NULL) != FB_OK ||
        is_told) {
        return; /* an unanswered question is asked again with the next delay */
    }
    struct fb_job *letter = fb_xcalloc(1, sizeof *letter);
    fb_job_letter(FB_LETTER_HELD, job, job->branch, letter);
    out->ops = out->ops != NULL ? out->ops : fb_ops_new();
    fb_ledger_late_tell(t->redis, out->ops, job);
    fb_ops_add_job_in(t->redis, out->ops, letter, claim->lane);
    free(letter);
    fb_log(FB_INFO, "the mail is late, its sender is told");
}
