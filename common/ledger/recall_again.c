/* SPDX-License-Identifier: Apache-2.0
 *
 * Revoke writes each recall to the sent journal before anything else.  So what a loss of Redis takes
 * comes out of it again, and goes into the message's hash before any stage can look.  A parcel that
 * was made before the loss may still be open to them (the loss may have taken the revoke job, too):
 * so each parcel of the plan gets a revoke job again.
 *
 * Who asked, and why, is forgotten; that its sender waits for the final word is not: the recall gets a
 * record again, under the message's own id, as one whose first letter is out (revoke answers a recall
 * within seconds).  The same loss found twice makes the same record.
 */
#include "common/ledger/recall_again.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ledger/internal.h"
#include "common/ledger/recall.h"
#include "common/spool/records.h"
#include "proto/limits.h"
#include "proto/plan.h"

#define READER_NAME "replay"

struct again {
    struct fb_redis *redis;
    struct fb_spool_msg *msg;
    const struct fb_envelope *envelope;
    bool *is_recalled; /* by recipient */
    bool has_record;   /* the recall gets one: Redis has none that covers it */
    struct fb_ops *ops;
};

static void mark_recalled(const struct again *a, bool is_whole)
{
    const char *msg_id = fb_spool_msg_id(a->msg);
    char key[FB_LEDGER_KEY];
    char now[24];
    fb_ledger_key(key, fb_redis_shard(a->redis, msg_id), "m", msg_id);
    (void)snprintf(now, sizeof now, "%" PRId64, fb_now_ms());
    for (uint32_t i = 0; i < a->envelope->recipient_count; i++) {
        char field[24];
        (void)snprintf(field, sizeof field, "x:%" PRIu32, i);
        if (a->is_recalled[i]) {
            fb_ops_add(a->ops, "HSET", key, field, now, NULL);
        }
    }
    if (is_whole) {
        fb_ops_add(a->ops, "HSET", key, "recalled", now, NULL);
    }
}

/* An empty list means the whole branch. */
static void add_revoke(const struct again *a, uint32_t branch, const uint32_t *recipients,
                       uint32_t count)
{
    struct fb_job *job = fb_xcalloc(1, sizeof *job);
    job->stage = FB_STAGE_REVOKE;
    job->branch = branch;
    job->op = FB_REVOKE_RECALL;
    job->first_ms = fb_now_ms();
    (void)snprintf(job->msg_id, sizeof job->msg_id, "%s", fb_spool_msg_id(a->msg));
    (void)snprintf(job->trace, sizeof job->trace, "%s", a->envelope->trace);
    memcpy(job->recipients, recipients, count * sizeof *recipients);
    job->recipient_count = count;
    if (a->has_record) {
        (void)snprintf(job->recall_id, sizeof job->recall_id, "%s", job->msg_id);
        fb_ledger_recall_job_begun(a->redis, a->ops, job);
    }
    fb_ops_add_job(a->redis, a->ops, job);
    free(job);
}

static void revoke_branch(const struct again *a, const struct fb_branch *branch, uint32_t number)
{
    uint32_t gone[FB_MAX_JOB_RCPT] = {0};
    uint32_t count = 0;
    uint32_t all = 0;
    for (uint32_t i = 0; i < branch->recipient_count; i++) {
        all += a->is_recalled[branch->recipients[i]];
    }
    if (all == branch->recipient_count) {
        add_revoke(a, number, gone, 0);
        return;
    }
    for (uint32_t i = 0; i < branch->recipient_count; i++) {
        if (a->is_recalled[branch->recipients[i]]) {
            gone[count++] = branch->recipients[i];
        }
        if (count == FB_MAX_JOB_RCPT || (count > 0 && i + 1 == branch->recipient_count)) {
            add_revoke(a, number, gone, count);
            count = 0;
        }
    }
}

/* Without a plan there is no parcel that could be open. */
static void revoke_parcels(const struct again *a)
{
    struct fb_plan plan = {0};
    if (fb_spool_plan_load(a->msg, &plan, NULL) == FB_OK &&
        fb_plan_check(&plan, a->envelope->recipient_count, NULL) == FB_OK) {
        for (uint32_t b = 0; b < plan.branch_count; b++) {
            if (plan.branches[b].kind == FB_BRANCH_SECURE) {
                revoke_branch(a, &plan.branches[b], b);
            }
        }
    }
    fb_plan_deinit(&plan);
}

/* ---- its record ---- */

static enum fb_status add_record(struct again *a, bool is_whole, struct fb_error *err)
{
    const char *msg_id = fb_spool_msg_id(a->msg);
    size_t count = a->envelope->recipient_count;
    struct fb_recall *known = NULL;
    size_t known_count = 0;
    enum fb_status s = fb_ledger_recalls(a->redis, msg_id, &known, &known_count, err);
    bool *is_covered = fb_xcalloc(count + 1, sizeof *is_covered);
    bool is_whole_covered = false;
    for (size_t k = 0; k < known_count; k++) {
        is_whole_covered = is_whole_covered || known[k].is_all;
        for (size_t i = 0; i < known[k].count; i++) {
            is_covered[known[k].recipients[i]] = known[k].recipients[i] < count;
        }
    }
    for (size_t i = 0; i < count && s == FB_OK; i++) {
        a->has_record = a->has_record || (a->is_recalled[i] && !is_covered[i] && !is_whole_covered);
    }
    if (a->has_record) {
        fb_ledger_recall_record(a->redis, a->ops, msg_id, is_whole ? NULL : a->is_recalled, count);
    }
    free(is_covered);
    fb_recalls_free(known, known_count);
    return s;
}

/* Takes out of the list whom Redis has as recalled, and who has the notice. */
static enum fb_status leave_known(const struct again *a, struct fb_journal *journal,
                                  const uint32_t *indices, struct fb_error *err)
{
    uint32_t count = (uint32_t)a->envelope->recipient_count;
    const char *msg_id = fb_spool_msg_id(a->msg);
    bool *has = fb_xcalloc((size_t)count + 1, sizeof *has);
    enum fb_status s = fb_ledger_recalled(a->redis, msg_id, indices, count, has, err);
    for (uint32_t i = 0; i < count && s == FB_OK; i++) {
        a->is_recalled[i] = a->is_recalled[i] && !has[i];
    }
    if (s == FB_OK) {
        s = fb_journal_lookup(journal, msg_id, FB_SENT_NOTICE, indices, count, has, err);
    }
    for (uint32_t i = 0; i < count && s == FB_OK; i++) {
        a->is_recalled[i] = a->is_recalled[i] && !has[i];
    }
    free(has);
    return s;
}

enum fb_status fb_recall_again(struct fb_spool *spool, struct fb_redis *redis,
                               struct fb_journal **journal, struct fb_spool_msg *msg,
                               const struct fb_envelope *envelope, bool is_known,
                               struct fb_ops *ops, struct fb_error *err)
{
    uint32_t count = (uint32_t)envelope->recipient_count;
    uint32_t all = 0, left = 0;
    enum fb_status s = FB_OK;
    if (*journal == NULL) {
        s = fb_journal_open(spool, READER_NAME, journal, err);
    }
    if (s != FB_OK) {
        return s;
    }
    struct again a = {.redis = redis, .msg = msg, .envelope = envelope, .ops = ops};
    uint32_t *indices = fb_xcalloc((size_t)count + 1, sizeof *indices);
    a.is_recalled = fb_xcalloc((size_t)count + 1, sizeof *a.is_recalled);
    for (uint32_t i = 0; i < count; i++) {
        indices[i] = i;
    }
    s = fb_journal_lookup(*journal, fb_spool_msg_id(msg), FB_SENT_RECALLED, indices, count,
                          a.is_recalled, err);
    for (uint32_t i = 0; i < count && s == FB_OK; i++) {
        all += a.is_recalled[i];
    }
    if (s == FB_OK && all > 0 && is_known) {
        s = leave_known(&a, *journal, indices, err);
    }
    for (uint32_t i = 0; i < count && s == FB_OK; i++) {
        left += a.is_recalled[i];
    }
    if (s == FB_OK && left > 0) {
        s = add_record(&a, left == count, err);
    }
    if (s == FB_OK && left > 0) {
        mark_recalled(&a, all == count);
        revoke_parcels(&a);
    }
    free(a.is_recalled);
    free(indices);
    return s;
}
