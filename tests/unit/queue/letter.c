/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/queue/letter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct letter *letter_new(uint32_t n, uint32_t passed)
{
    struct letter *l = calloc(1, sizeof(*l));
    assert_non_null(l);
    l->job = render_job();
    l->envelope.reverse_path = strdup("Sender@Example.jp");
    l->envelope.recipients = calloc(n, sizeof(*l->envelope.recipients));
    l->envelope.recipient_count = n;
    memcpy(l->plan.msg_id, l->job.msg_id, sizeof(l->plan.msg_id));
    l->plan.branch_count = passed > 0 ? 2 : 1;
    l->plan.branches = calloc(2, sizeof(*l->plan.branches));
    for (uint32_t b = 0; b < 2; b++) {
        l->plan.branches[b].recipients = calloc(n, sizeof(uint32_t));
    }
    l->plan.branches[0].kind = FB_BRANCH_SECURE;
    l->plan.branches[0].rule = strdup("secure | outbound");
    l->plan.branches[0].storage = strdup("vault");
    l->plan.branches[0].security = strdup("recipients only");
    l->plan.branches[1].kind = FB_BRANCH_PASS;
    l->plan.branches[1].rule = strdup("");
    for (uint32_t i = 0; i < n; i++) {
        char address[64];
        (void)snprintf(address, sizeof(address), "User%u@Example.COM", i);
        l->envelope.recipients[i].address = strdup(address);
        struct fb_branch *b = &l->plan.branches[i < passed ? 1 : 0];
        b->recipients[b->recipient_count++] = i;
    }
    return l;
}

void letter_free(struct letter *l)
{
    for (size_t i = 0; i < l->envelope.recipient_count; i++) {
        free(l->envelope.recipients[i].address);
    }
    free(l->envelope.recipients);
    free(l->envelope.reverse_path);
    for (uint32_t b = 0; b < 2; b++) {
        free(l->plan.branches[b].recipients);
        free(l->plan.branches[b].rule);
        free(l->plan.branches[b].storage);
        free(l->plan.branches[b].security);
    }
    free(l->plan.branches);
    free(l);
}

void accept_letter(struct letter *l)
{
    struct fb_ops *ops = fb_ops_new();
    enum fb_status s = FB_BUG;
    fb_ledger_accepted(q.r, ops, &l->job, &l->envelope, 12345, TTL_MS);
    const struct fb_ops *list[1] = {ops};
    assert_status(FB_OK, fb_queue_enqueue(q.r, &l->job, list, 1, &s, &q.err));
    assert_status(FB_OK, s);
    fb_ops_free(&ops);
}

void plan_letter(struct letter *l)
{
    struct fb_claim claim = take(FB_STAGE_RENDER, "a");
    struct fb_job next[2];
    fb_job_follow(&claim, FB_STAGE_UPLOAD, 0, &next[0]);
    fb_job_follow(&claim, FB_STAGE_REWRITE, 1, &next[1]);
    struct fb_ops *ops = fb_ops_new();
    fb_ledger_planned(q.r, ops, &l->plan, NULL);
    assert_status(FB_OK,
                  fb_queue_advance(q.r, "a", &claim, next, l->plan.branch_count, ops, &q.err));
    fb_ops_free(&ops);
}

void upload_letter(struct letter *l, int64_t expires_ms)
{
    struct fb_claim claim = take(FB_STAGE_UPLOAD, "a");
    const struct fb_branch *b = &l->plan.branches[0];
    char storage[] = "vault";
    char folder[] = "f-1";
    char access[] = "recipients";
    char grant_id[] = "collab-9";
    char active[] = "active";
    struct fb_parcel parcel = {
        .storage = storage, .folder_id = folder, .access = access, .expires_ms = expires_ms};
    parcel.remind_ms = l->remind_ms;
    parcel.purge_ms = l->purge_ms;
    parcel.sends_receipt = l->remind_ms > 0;
    fb_parcel_id_make(l->job.msg_id, 0, parcel.parcel_id);
    parcel.grants = calloc(b->recipient_count, sizeof(*parcel.grants));
    assert_non_null(parcel.grants);
    parcel.grant_count = b->recipient_count;
    for (uint32_t i = 0; i < b->recipient_count; i++) {
        parcel.grants[i] = (struct fb_parcel_grant){
            .recipient = b->recipients[i], .grant_id = grant_id, .state = active};
    }
    struct fb_job next;
    fb_job_follow(&claim, FB_STAGE_REWRITE, 0, &next);
    struct fb_ops *ops = fb_ops_new();
    fb_ledger_uploaded(q.r, ops, &l->plan, 0, &parcel, TTL_MS);
    assert_status(FB_OK, fb_queue_advance(q.r, "a", &claim, &next, 1, ops, &q.err));
    fb_ops_free(&ops);
    free(parcel.grants);
}

struct fb_ledger_message get(const char *msg_id)
{
    struct fb_ledger_message m;
    assert_status(FB_OK, fb_ledger_get(q.r, msg_id, &m, &q.err));
    return m;
}

bool send_branch(struct letter *l, const char *state)
{
    struct fb_claim claim = take(FB_STAGE_REWRITE, "a");
    const struct fb_branch *b = &l->plan.branches[claim.job.branch];
    bool *may = calloc(b->recipient_count, sizeof(bool));
    bool last = false;
    assert_non_null(may);
    assert_status(FB_OK, fb_ledger_claim_sending(q.r, "a", &claim, b->recipients,
                                                 b->recipient_count, may, &q.err));
    for (uint32_t i = 0; i < b->recipient_count; i++) {
        assert_true(may[i]);
    }
    free(may);
    struct fb_ops *ops = fb_ops_new();
    fb_ledger_sent(q.r, ops, l->job.msg_id, claim.job.branch, state);
    assert_status(FB_OK, fb_queue_finish(q.r, "a", &claim, ops, &last, &q.err));
    fb_ops_free(&ops);
    return last;
}

bool collect(void *ctx, const char *id)
{
    struct names *n = ctx;
    (void)snprintf(n->ids[n->count++], sizeof(n->ids[0]), "%s", id);
    return n->count < n->max;
}
