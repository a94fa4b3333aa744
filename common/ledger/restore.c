/* SPDX-License-Identifier: Apache-2.0 */
#include "common/ledger/restore.h"

#include <stdlib.h>
#include <string.h>

#include "proto/limits.h"

enum reason {
    MAY,
    DELETED,
    KEPT_BACK,
    OVER,
    PLAIN,
    HAS_ACCESS,
    NOTHING,
    NO_PARCEL,
    TIME_IS_OVER,
    REASON_COUNT
};

static const struct {
    const char *ja, *en;
} words[REASON_COUNT] = {
    [DELETED] = {"内容は削除されています。もう一度送信してください",
                 "the content is deleted: send the mail again"},
    [KEPT_BACK] = {"通知メールは送信を止めており、この先も送信されません。もう一度送信してください",
                   "the notice was kept back and stays so: send the mail again"},
    [OVER] = {"期限が過ぎたか、内容が削除されています。もう一度送信してください",
              "the parcel's time is over or its content is deleted: send the mail again"},
    [PLAIN] = {"メールそのものが送信されており、取り消しは行われていません",
               "the mail itself was sent: nothing was taken back"},
    [HAS_ACCESS] = {"すでに閲覧できます", "has access already"},
    [NOTHING] = {"取り消しは行われていません", "nothing was taken back"},
    [NO_PARCEL] = {"保管された内容がありません。もう一度送信してください",
                   "there is no parcel: send the mail again"},
    [TIME_IS_OVER] = {"期限が過ぎています。もう一度送信してください",
                      "the parcel's time is over: send the mail again"},
};

static enum reason by_kind(const struct fb_evidence *e)
{
    switch (e->kind) {
    case FB_EV_CLOSED:
    case FB_EV_CLOSING:
    case FB_EV_FAILED:
        return e->is_notice_out ? MAY : KEPT_BACK;
    case FB_EV_STOPPED:
    case FB_EV_MAYBE_OUT:
        return KEPT_BACK;
    case FB_EV_ENDED:
        return OVER;
    case FB_EV_PLAIN:
        return PLAIN;
    case FB_EV_OPEN:
        return HAS_ACCESS;
    default:
        return NOTHING;
    }
}

static enum reason reason_of(const struct fb_ledger_message *m, const struct fb_evidence *e)
{
    const struct fb_ledger_recipient *r = &m->recipients[e->recipient];
    if (strcmp(r->grant_state, "purged") == 0) {
        return DELETED;
    }
    enum reason why = by_kind(e);
    if (why != MAY) {
        return why;
    }
    if (r->branch >= m->branch_count || m->branches[r->branch].storage[0] == '\0') {
        return NO_PARCEL;
    }
    int64_t expires = m->branches[r->branch].expires_ms;
    return expires > 0 && expires <= fb_now_ms() ? TIME_IS_OVER : MAY;
}

const char *fb_restore_why_not(const struct fb_ledger_message *m, const struct fb_evidence *e,
                               bool is_ja)
{
    enum reason why = reason_of(m, e);
    return why == MAY ? NULL : is_ja ? words[why].ja : words[why].en;
}

/* One link opens for all, so all of a branch have to be wanted. */
static enum fb_status check_links(const struct fb_ledger_message *m, const bool *wanted,
                                  struct fb_error *err)
{
    for (size_t i = 0; i < m->recipient_count; i++) {
        uint32_t b = m->recipients[i].branch;
        bool is_by_link = wanted[i] && fb_ledger_is_by_link(&m->branches[b]);
        for (size_t k = 0; k < m->recipient_count && is_by_link; k++) {
            if (m->recipients[k].branch == b && !wanted[k]) {
                return fb_error_set(
                    err, FB_DENIED,
                    "the parcel of %s is open by one link (access: %s): it can only be given "
                    "back to all of its recipients, without --to",
                    m->recipients[i].address, m->branches[b].access);
            }
        }
    }
    return FB_OK;
}

enum fb_status fb_restore_choose(const struct fb_ledger_message *m,
                                 const struct fb_evidence *evidence, const bool *asked,
                                 bool *wanted_r, struct fb_error *err)
{
    for (size_t i = 0; i < m->recipient_count; i++) {
        wanted_r[i] = (asked == NULL || asked[i]) && reason_of(m, &evidence[i]) == MAY;
    }
    return check_links(m, wanted_r, err);
}

static enum fb_status restore_branch(struct fb_redis *r, const struct fb_ledger_message *m,
                                     const bool *wanted, uint32_t branch, size_t *count,
                                     struct fb_error *err)
{
    enum fb_status s = FB_OK;
    struct fb_job *job = fb_xcalloc(1, sizeof *job);
    for (size_t at = 0; at < m->recipient_count && s == FB_OK;) {
        *job = (struct fb_job){.stage = FB_STAGE_REVOKE,
                               .op = FB_REVOKE_RESTORE,
                               .branch = branch,
                               .first_ms = fb_now_ms()};
        memcpy(job->msg_id, m->msg_id, sizeof job->msg_id);
        fb_trace_new(job->trace);
        for (; at < m->recipient_count && job->recipient_count < FB_MAX_JOB_RCPT; at++) {
            if (wanted[at] && m->recipients[at].branch == branch) {
                job->recipients[job->recipient_count++] = (uint32_t)at;
            }
        }
        if (job->recipient_count > 0) {
            struct fb_ops *ops = fb_ops_new();
            fb_ledger_restored(r, ops, m->msg_id, branch, job->recipients, job->recipient_count);
            *count += job->recipient_count;
            if (fb_ledger_is_by_link(&m->branches[branch])) {
                job->recipient_count = 0; /* the link is for everybody */
            }
            s = fb_queue_add(r, job, ops, err);
            fb_ops_free(&ops);
        }
    }
    free(job);
    return s;
}

enum fb_status fb_restore(struct fb_redis *r, const struct fb_ledger_message *m, const bool *wanted,
                          size_t *count_r, struct fb_error *err)
{
    enum fb_status s = FB_OK;
    *count_r = 0;
    for (uint32_t b = 0; b < m->branch_count && s == FB_OK; b++) {
        s = restore_branch(r, m, wanted, b, count_r, err);
    }
    return s;
}
