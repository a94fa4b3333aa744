/* SPDX-License-Identifier: Apache-2.0 */
#include "services/upload/handle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ledger/ledger.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/spool/records.h"
#include "services/upload/away.h"
#include "services/upload/part_stream.h"
#include "services/upload/sessions.h"

/* All of one job, so that one cleanup frees it. */
struct work {
    struct upload_service *service;
    struct storage_sessions *sessions;
    struct fb_redis *redis;
    const struct fb_claim *claim;
    struct fb_spool_msg *msg;
    struct fb_envelope envelope;
    struct fb_plan plan;
    const struct fb_branch *branch;
    struct fb_policy *policy;
    const struct storage *storage;
    struct storage_session *session;
    struct storage_stay stay;
    int64_t wait_ms; /* the storage is down or crowded: nothing was done */
    struct fb_parcel parcel;
    bool *recalled; /* a flag for each recipient of the branch */
    char parcel_id[FB_PARCEL_ID_SIZE];
};

enum fb_status upload_thread_init(void *ctx, void **thread_r, struct fb_error *err)
{
    (void)err;
    const struct upload_service *s = ctx;
    *thread_r = storage_sessions_new(s->config);
    return FB_OK;
}

void upload_thread_deinit(void *ctx, void *thread)
{
    (void)ctx;
    struct storage_sessions *sessions = thread;
    storage_sessions_free(&sessions);
}

static void work_deinit(struct work *w)
{
    storage_away_leave(&w->stay); /* the name is the plan's */
    fb_parcel_deinit(&w->parcel);
    fb_plan_deinit(&w->plan);
    fb_envelope_deinit(&w->envelope);
    fb_policy_unref(&w->policy);
    fb_spool_msg_close(&w->msg);
    free(w->recalled);
}

static enum fb_status open_storage(struct work *w, struct fb_error *err)
{
    w->policy = fb_policy_follow_get(w->service->policy);
    if (w->policy == NULL) {
        return fb_error_set(err, FB_CONFIG,
                            "no policy is known; apply one with `fumibako policy apply`");
    }
    return storage_sessions_get(w->sessions, w->policy, w->branch->storage, w->redis, &w->storage,
                                &w->session, err);
}

static enum fb_status load(struct work *w, struct fb_error *err)
{
    const struct fb_job *job = &w->claim->job;
    enum fb_status s = fb_spool_msg_open(w->service->spool, job->spool_ref, &w->msg, err);
    if (s == FB_OK) {
        s = fb_envelope_decode(fb_spool_msg_envelope(w->msg), &w->envelope, err);
    }
    if (s == FB_OK) {
        s = fb_spool_plan_load(w->msg, &w->plan, err);
    }
    if (s == FB_OK) {
        s = fb_plan_check(&w->plan, w->envelope.recipient_count, err);
    }
    if (s == FB_OK && (job->branch >= w->plan.branch_count ||
                       w->plan.branches[job->branch].kind != FB_BRANCH_SECURE)) {
        s = fb_error_set(err, FB_BUG, "branch %u of the plan is no parcel", job->branch);
    }
    if (s != FB_OK) {
        return s;
    }
    w->branch = &w->plan.branches[job->branch];
    w->recalled = fb_xcalloc(w->branch->recipient_count, sizeof *w->recalled);
    return FB_OK;
}

/* With its turn at the storage; w->wait_ms instead when that is down. */
static enum fb_status load_for_work(struct work *w, struct fb_error *err)
{
    enum fb_status s = load(w, err);
    struct fb_policy *policy = s == FB_OK ? fb_policy_follow_get(w->service->policy) : NULL;
    if (policy != NULL) {
        w->wait_ms = storage_away_enter(&w->stay, w->branch->storage, policy->storage_count > 1);
        fb_policy_unref(&policy);
    }
    return s == FB_OK && w->wait_ms == 0 ? open_storage(w, err) : s;
}

static enum fb_status look_for_recall(struct work *w, size_t *count_r, struct fb_error *err)
{
    *count_r = 0;
    enum fb_status s = fb_ledger_recalled(w->redis, w->claim->job.msg_id, w->branch->recipients,
                                          w->branch->recipient_count, w->recalled, err);
    for (uint32_t i = 0; i < w->branch->recipient_count && s == FB_OK; i++) {
        *count_r += w->recalled[i];
    }
    return s;
}

static void replace(char **text, char *by)
{
    free(*text);
    *text = by;
}

/* What letters to the sender and a ledger that is made again need to know: it stays with the
 * manifest when plan and mail are long erased. */
static void describe(struct work *w)
{
    struct fb_parcel *p = &w->parcel;
    const char *subject = w->plan.subject != NULL ? w->plan.subject : "";
    size_t n = strlen(subject);
    if (n > FB_PARCEL_SUBJECT) {
        n = FB_PARCEL_SUBJECT;
        while (n > 0 && ((unsigned char)subject[n] & 0xC0) == 0x80) {
            n--;
        }
    }
    replace(&p->from, fb_xstrdup(w->envelope.reverse_path));
    replace(&p->subject, fb_slice_dup_str(fb_slice_of(subject, n)));
    replace(&p->language, fb_xstrdup(w->plan.language));
    replace(&p->rule, fb_xstrdup(w->branch->rule));
    p->accepted_ms = w->claim->job.first_ms;
    p->expires_ms = w->branch->expires_ms;
    p->remind_ms = w->branch->remind_ms;
    p->purge_ms = w->branch->purge_ms;
    p->sends_receipt = w->branch->sends_receipt;
}

/* Finds what an earlier try left, so that the same user and folder are used again. */
static enum fb_status begin_parcel(struct work *w, struct fb_error *err)
{
    enum fb_status s = fb_spool_parcel_load(w->msg, w->claim->job.branch, &w->parcel, err);
    if (s == FB_NOT_FOUND || s == FB_CORRUPT) {
        w->parcel = (struct fb_parcel){0};
        s = FB_OK;
    }
    memcpy(w->parcel.parcel_id, w->parcel_id, sizeof w->parcel.parcel_id);
    describe(w);
    if (s == FB_OK) {
        s = w->storage->create(w->session, w->parcel_id, w->branch->path, &w->parcel, err);
    }
    return s == FB_OK ? fb_spool_parcel_save(w->service->spool, w->msg, w->claim->job.branch,
                                             &w->parcel, false, err)
                      : s;
}

static enum fb_status put_part(struct work *w, const struct fb_part *part, char *const *taken,
                               size_t taken_count, struct fb_parcel_file *file,
                               struct fb_error *err)
{
    struct fb_buf name;
    struct part_stream *stream = NULL;
    fb_buf_init(&name, 4096);
    enum fb_status s = w->storage->safe_name(part->name, taken, taken_count, &name);
    if (s != FB_OK) {
        s = fb_error_set(err, s, "a file name cannot be made safe for the storage");
    }
    if (s == FB_OK) {
        s = part_stream_new(w->msg, part, &stream, err);
    }
    if (s == FB_OK) {
        file->name = fb_xstrdup(fb_buf_str(&name));
        s = w->storage->put(w->session, &w->parcel, file->name, part->type, part_stream_get(stream),
                            file, err);
    }
    if (s == FB_OK &&
        (file->size != part->size || memcmp(file->sha1, part->sha1, sizeof file->sha1) != 0)) {
        s = fb_error_set(err, FB_AGAIN,
                         "the storage holds other bytes than were sent; the file is sent again");
    }
    part_stream_free(&stream);
    fb_buf_deinit(&name);
    return s;
}

static enum fb_status put_parts(struct work *w, struct fb_error *err)
{
    const struct fb_branch *b = w->branch;
    for (uint32_t i = 0; i < w->parcel.file_count; i++) {
        free(w->parcel.files[i].name);
        free(w->parcel.files[i].file_id);
    }
    free(w->parcel.files);
    w->parcel.file_count = 0;
    w->parcel.files = fb_xcalloc(b->part_count, sizeof *w->parcel.files);
    char **taken = fb_xcalloc(b->part_count, sizeof *taken);
    enum fb_status s = FB_OK;
    for (uint32_t i = 0; i < b->part_count && s == FB_OK; i++) {
        struct fb_parcel_file *file = &w->parcel.files[w->parcel.file_count++];
        s = put_part(w, &w->plan.parts[b->parts[i]], taken, i, file, err);
        taken[i] = file->name;
    }
    free(taken);
    return s;
}

static enum fb_status share(struct work *w, struct fb_error *err)
{
    const struct fb_policy_security *security =
        fb_policy_find_security(w->policy, w->branch->security);
    if (security == NULL) {
        return fb_error_set(err, FB_CONFIG, "the policy has no security definition \"%s\" any more",
                            w->branch->security);
    }
    struct storage_grant_request *requests =
        fb_xcalloc(w->branch->recipient_count, sizeof *requests);
    size_t count = 0;
    for (uint32_t i = 0; i < w->branch->recipient_count; i++) {
        if (!w->recalled[i]) {
            uint32_t r = w->branch->recipients[i];
            requests[count++] =
                (struct storage_grant_request){r, w->envelope.recipients[r].address};
        }
    }
    enum fb_status s = w->storage->share(w->session, security, requests, count, &w->parcel, err);
    free(requests);
    return s;
}

/* A recall that came while we worked: those grants go at once, the notice is stopped by rewrite's
 * own claim. */
static enum fb_status undo_recalled(struct work *w, struct fb_error *err)
{
    size_t count = 0;
    enum fb_status s = look_for_recall(w, &count, err);
    if (s != FB_OK || count == 0) {
        return s;
    }
    uint32_t *gone = fb_xcalloc(count, sizeof *gone);
    for (uint32_t i = 0, n = 0; i < w->branch->recipient_count; i++) {
        if (w->recalled[i]) {
            gone[n++] = w->branch->recipients[i];
        }
    }
    s = w->storage->revoke(w->session, &w->parcel, gone, count, STORAGE_FOR_NOW, NULL, err);
    free(gone);
    return s;
}

/* All are recalled: nothing is made.  But an earlier try that died may have let them in already,
 * and no manifest tells revoke of it; where a power cut took its notes, too, the folder is found by
 * its name.  FB_OK: there is such a parcel, now closed and known; else FB_RECALLED. */
static enum fb_status close_earlier(struct work *w, struct fb_error *err)
{
    struct fb_error own = {0};
    bool is_again = w->claim->deliveries > 1 || w->claim->job.attempt > 0;
    enum fb_status s = fb_spool_parcel_load(w->msg, w->claim->job.branch, &w->parcel, &own);
    bool has_folder = s == FB_OK && w->parcel.folder_id != NULL && w->parcel.folder_id[0] != '\0';
    if (s != FB_OK && s != FB_NOT_FOUND && s != FB_CORRUPT) {
        *err = own;
        return s;
    }
    if (!has_folder && s != FB_CORRUPT && !is_again) {
        return FB_RECALLED;
    }
    if (has_folder) {
        s = FB_OK;
    } else {
        fb_parcel_deinit(&w->parcel);
        s = begin_parcel(w, err);
    }
    if (s != FB_OK) {
        return s;
    }
    memcpy(w->parcel.parcel_id, w->parcel_id, sizeof w->parcel.parcel_id);
    describe(w);
    s = w->storage->revoke(w->session, &w->parcel, NULL, 0, STORAGE_FOR_GOOD, NULL, err);
    /* No revoke job need come behind this upload: one that was asked for before the plan did not
     * know the parcel.  So the ledger learns here that the access is gone. */
    for (uint32_t i = 0; s == FB_OK && i < w->parcel.grant_count; i++) {
        replace(&w->parcel.grants[i].state, fb_xstrdup("recalled"));
    }
    return s == FB_OK ? fb_spool_parcel_save(w->service->spool, w->msg, w->claim->job.branch,
                                             &w->parcel, true, err)
                      : s;
}

static enum fb_status make_parcel(struct work *w, struct fb_error *err)
{
    size_t recalled = 0;
    enum fb_status s = look_for_recall(w, &recalled, err);
    if (s == FB_OK && recalled == w->branch->recipient_count) {
        return close_earlier(w, err);
    }
    if (s == FB_OK) {
        s = begin_parcel(w, err);
    }
    if (s == FB_OK) {
        s = put_parts(w, err);
    }
    if (s == FB_OK) {
        s = share(w, err);
    }
    if (s == FB_OK) {
        s = fb_spool_parcel_save(w->service->spool, w->msg, w->claim->job.branch, &w->parcel, true,
                                 err);
    }
    return s == FB_OK ? undo_recalled(w, err) : s;
}

static void go_on(struct work *w, struct fb_outcome *out, bool has_parcel)
{
    out->kind = FB_OUTCOME_ADVANCE;
    out->next = fb_xcalloc(1, sizeof *out->next);
    out->next_count = 1;
    fb_job_follow(w->claim, FB_STAGE_REWRITE, w->claim->job.branch, out->next);
    if (has_parcel) {
        out->ops = fb_ops_new();
        fb_ledger_uploaded(w->redis, out->ops, &w->plan, w->claim->job.branch, &w->parcel,
                           w->service->config->retention.ledger_ms);
    }
}

static void wait_for_storage(const struct work *w, struct fb_outcome *out)
{
    out->kind = FB_OUTCOME_RETRY;
    out->is_uncounted = true;
    out->delay_ms = w->wait_ms;
    (void)fb_error_set(&out->reason, FB_AGAIN, "storage \"%s\" is down or slow; waiting for it",
                       w->branch->storage);
}

void upload_handle(void *ctx, void *thread, struct fb_redis *redis, const struct fb_claim *claim,
                   struct fb_outcome *out)
{
    struct fb_error err = {0};
    struct work w = {.service = ctx, .sessions = thread, .redis = redis, .claim = claim};
    fb_parcel_id_make(claim->job.msg_id, claim->job.branch, w.parcel_id);
    fb_log_context(claim->job.msg_id, w.parcel_id, "upload", claim->job.trace, claim->job.attempt);
    enum fb_status s = load_for_work(&w, &err);
    if (s == FB_OK && w.wait_ms > 0) {
        wait_for_storage(&w, out);
    } else if (s == FB_NOT_FOUND && w.msg == NULL) {
        out->kind = FB_OUTCOME_ADVANCE; /* delivered and erased: this job is an echo */
    } else if ((s == FB_NOT_FOUND || s == FB_CORRUPT) && w.msg != NULL) {
        out->kind = FB_OUTCOME_RESTART; /* a crash took derived objects: render makes them again */
        out->reason = err;
    } else {
        if (s == FB_OK) {
            s = make_parcel(&w, &err);
        }
        if (s == FB_OK || s == FB_RECALLED) {
            go_on(&w, out, s == FB_OK);
        } else if (s == FB_CORRUPT) {
            out->kind = FB_OUTCOME_RESTART;
            out->reason = err;
        } else {
            out->kind = fb_status_class(s) == FB_CLASS_RETRY ? FB_OUTCOME_RETRY : FB_OUTCOME_BURY;
            out->reason = err;
            /* Not this parcel's fault: its patience is kept for its own troubles. */
            out->is_uncounted = w.stay.is_in && storage_away_is_down(w.branch->storage);
        }
    }
    if (s == FB_CONFIG) {
        storage_sessions_forget(w.sessions);
    }
    if (w.branch != NULL && w.policy != NULL) { /* else the storage was not asked */
        storage_away_tell_login(w.branch->storage, s, &err);
    }
    work_deinit(&w);
}

/* The rule's on_failure: what rewrite shall do in place of a notice is a mark in the ledger. */
static void fail_as_the_rule_says(struct work *w, struct fb_outcome *out)
{
    if (w->branch == NULL || w->branch->on_failure == FB_FAILURE_HOLD) {
        return;
    }
    struct fb_error reason = out->reason;
    go_on(w, out, false);
    out->ops = fb_ops_new();
    fb_ledger_force(w->redis, out->ops, w->claim->job.msg_id, w->claim->job.branch,
                    w->branch->on_failure == FB_FAILURE_DELIVER ? "deliver" : "reject");
    fb_log(FB_WARN, "the parcel failed for good (%s); the rule says: %s", reason.text,
           w->branch->on_failure == FB_FAILURE_DELIVER ? "deliver" : "bounce");
}

void upload_before_bury(void *ctx, void *thread, struct fb_redis *redis,
                        const struct fb_claim *claim, struct fb_outcome *out)
{
    struct fb_error err = {0};
    struct work w = {.service = ctx, .sessions = thread, .redis = redis, .claim = claim};
    fb_parcel_id_make(claim->job.msg_id, claim->job.branch, w.parcel_id);
    if (load(&w, &err) == FB_OK && open_storage(&w, &err) == FB_OK &&
        fb_spool_parcel_load(w.msg, claim->job.branch, &w.parcel, &err) == FB_OK &&
        w.parcel.folder_id != NULL && w.parcel.folder_id[0] != '\0') {
        /* The manifest keeps what could not be taken back within reach of recall and purge. */
        if (w.storage->revoke(w.session, &w.parcel, NULL, 0, STORAGE_FOR_GOOD, NULL, &err) !=
                FB_OK ||
            fb_spool_parcel_save(w.service->spool, w.msg, claim->job.branch, &w.parcel, true,
                                 &err) != FB_OK) {
            fb_log(FB_WARN, "the half-made parcel of a held message could not be closed: %s",
                   err.text);
        }
    }
    fail_as_the_rule_says(&w, out);
    work_deinit(&w);
}
