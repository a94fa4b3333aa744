/* SPDX-License-Identifier: Apache-2.0 */
#include "services/upload/handle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ledger/ledger.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/spool/records.h"
#include "services/upload/fallback.h"
#include "services/upload/part_stream.h"
#include "services/upload/work.h"

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

static void work_deinit(struct upload_work *w)
{
    storage_pair_leave(&w->pair); /* the names are the plan's and the parcel's */
    fb_parcel_deinit(&w->parcel);
    fb_parcel_deinit(&w->moved);
    fb_plan_deinit(&w->plan);
    fb_envelope_deinit(&w->envelope);
    fb_policy_unref(&w->policy);
    fb_policy_unref(&w->storages);
    fb_spool_msg_close(&w->msg);
    free(w->recalled);
}

/* A login that was renewed, or a folder that moved, is so for mail on its way as well.  All of one job's storages come
 * from the same policy, since the sessions of another one are closed. */
static bool has_storages(const struct fb_policy *policy, const struct upload_work *w)
{
    const char *fallback = upload_fallback_name(w);
    return policy != NULL && fb_policy_find_storage(policy, w->branch->storage) != NULL &&
           (fallback == NULL || fb_policy_find_storage(policy, fallback) != NULL);
}

static enum fb_status open_storage(struct upload_work *w, struct fb_error *err)
{
    enum fb_status s = fb_spool_policy_load(w->msg, &w->plan, w->service->policy, &w->policy, err);
    if (s != FB_OK) {
        return s;
    }
    w->storages = fb_policy_follow_get(w->service->policy);
    if (!has_storages(w->storages, w)) {
        fb_policy_unref(&w->storages);
        w->storages = fb_policy_ref(w->policy);
    }
    return storage_sessions_get(w->sessions, w->storages, w->branch->storage, w->redis,
                                &w->pair.storage, &w->pair.session, err);
}

static enum fb_status load(struct upload_work *w, struct fb_error *err)
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
static enum fb_status load_for_work(struct upload_work *w, struct fb_error *err)
{
    enum fb_status s = load(w, err);
    struct fb_policy *policy = s == FB_OK ? fb_policy_follow_get(w->service->policy) : NULL;
    if (policy != NULL) {
        w->wait_ms =
            storage_away_enter(&w->pair.stay, w->branch->storage, policy->storage_count > 1);
        fb_policy_unref(&policy);
    }
    return s == FB_OK && w->wait_ms == 0 ? open_storage(w, err) : s;
}

static enum fb_status look_for_recall(struct upload_work *w, size_t *count_r, struct fb_error *err)
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
void upload_describe(const struct upload_work *w, struct fb_parcel *p)
{
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
static enum fb_status begin_parcel(struct upload_work *w, struct fb_error *err)
{
    enum fb_status s = fb_spool_parcel_load(w->msg, w->claim->job.branch, &w->parcel, err);
    if (s == FB_NOT_FOUND || s == FB_CORRUPT) {
        w->parcel = (struct fb_parcel){0};
        s = FB_OK;
    }
    memcpy(w->parcel.parcel_id, w->parcel_id, sizeof w->parcel.parcel_id);
    upload_describe(w, &w->parcel);
    if (s == FB_OK) {
        s = w->pair.storage->create(w->pair.session, w->parcel_id, w->branch->path, &w->parcel,
                                    err);
    }
    return s == FB_OK ? fb_spool_parcel_save(w->service->spool, w->msg, w->claim->job.branch,
                                             &w->parcel, false, err)
                      : s;
}

static enum fb_status put_part(const struct upload_work *w, const struct storage *storage,
                               struct storage_session *session, const struct fb_part *part,
                               char *const *taken, struct fb_parcel *parcel, struct fb_error *err)
{
    struct fb_buf name;
    struct part_stream *stream = NULL;
    struct fb_parcel_file *file = &parcel->files[parcel->file_count - 1];
    fb_buf_init(&name, 4096);
    enum fb_status s = storage->safe_name(part->name, taken, parcel->file_count - 1, &name);
    if (s != FB_OK) {
        s = fb_error_set(err, s, "a file name cannot be made safe for the storage");
    }
    if (s == FB_OK) {
        s = part_stream_new(w->msg, part, &stream, err);
    }
    if (s == FB_OK) {
        file->name = fb_xstrdup(fb_buf_str(&name));
        struct upload_stream *content = part_stream_get(stream);
        content->is_body = w->branch->secures_body && parcel->file_count == 1; /* the first one */
        s = storage->put(session, parcel, file->name, part->type, content, file, err);
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

enum fb_status upload_put_parts(struct upload_work *w, const struct storage *storage,
                                struct storage_session *session, struct fb_parcel *parcel,
                                struct fb_error *err)
{
    const struct fb_branch *b = w->branch;
    for (uint32_t i = 0; i < parcel->file_count; i++) {
        free(parcel->files[i].name);
        free(parcel->files[i].file_id);
    }
    free(parcel->files);
    parcel->file_count = 0;
    parcel->files = fb_xcalloc(b->part_count, sizeof *parcel->files);
    char **taken = fb_xcalloc(b->part_count, sizeof *taken);
    enum fb_status s = FB_OK;
    for (uint32_t i = 0; i < b->part_count && s == FB_OK; i++) {
        parcel->file_count++;
        s = put_part(w, storage, session, &w->plan.parts[b->parts[i]], taken, parcel, err);
        taken[i] = parcel->files[i].name;
    }
    free(taken);
    return s;
}

enum fb_status upload_security(const struct upload_work *w,
                               const struct fb_policy_security **security_r, struct fb_error *err)
{
    *security_r = fb_policy_find_security(w->policy, w->branch->security);
    return *security_r != NULL
               ? FB_OK
               : fb_error_set(err, FB_CONFIG, "the policy has no security definition \"%s\"",
                              w->branch->security);
}

static enum fb_status share(struct upload_work *w, struct fb_error *err)
{
    const struct fb_policy_security *security = NULL;
    enum fb_status s = upload_security(w, &security, err);
    if (s == FB_OK) {
        s = upload_fallback_split(w, err);
    }
    if (s != FB_OK) {
        return s;
    }
    struct storage_grant_request *requests =
        fb_xcalloc(w->branch->recipient_count, sizeof *requests);
    size_t count = 0;
    for (uint32_t i = 0; i < w->branch->recipient_count; i++) {
        uint32_t r = w->branch->recipients[i];
        if (!w->recalled[i] && !upload_fallback_has(w, r)) {
            requests[count++] =
                (struct storage_grant_request){r, w->envelope.recipients[r].address};
        }
    }
    s = w->pair.storage->share(w->pair.session, security, requests, count, &w->parcel, err);
    free(requests);
    return s == FB_OK ? upload_fallback_move(w, err) : s;
}

/* A recall that came while we worked: those grants go at once, the notice is stopped by rewrite's
 * own claim. */
static enum fb_status undo_recalled(struct upload_work *w, struct fb_error *err)
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
    s = storage_pair_revoke(&w->pair, &w->parcel, gone, count, STORAGE_FOR_NOW, NULL, err);
    free(gone);
    return s;
}

/* All are recalled: nothing is made.  But an earlier try that died may have let them in already,
 * and no manifest tells revoke of it; where a power cut took its notes, too, the folder is found by
 * its name.  FB_OK: there is such a parcel, now closed and known; else FB_RECALLED. */
static enum fb_status close_earlier(struct upload_work *w, struct fb_error *err)
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
    upload_describe(w, &w->parcel);
    s = upload_fallback_open(w, err);
    if (s == FB_OK) {
        s = storage_pair_revoke(&w->pair, &w->parcel, NULL, 0, STORAGE_FOR_GOOD, NULL, err);
    }
    /* No revoke job need come behind this upload: one that was asked for before the plan did not
     * know the parcel.  So the ledger learns here that the access is gone. */
    for (uint32_t i = 0; s == FB_OK && i < w->parcel.grant_count; i++) {
        free(w->parcel.grants[i].state);
        w->parcel.grants[i].state = fb_xstrdup("recalled");
    }
    return s == FB_OK ? fb_spool_parcel_save(w->service->spool, w->msg, w->claim->job.branch,
                                             &w->parcel, true, err)
                      : s;
}

static enum fb_status make_parcel(struct upload_work *w, struct fb_error *err)
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
        s = upload_put_parts(w, w->pair.storage, w->pair.session, &w->parcel, err);
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

static void go_on(struct upload_work *w, struct fb_outcome *out, bool has_parcel)
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

static void wait_for_storage(const struct upload_work *w, const struct fb_error *why,
                             struct fb_outcome *out)
{
    out->kind = FB_OUTCOME_RETRY;
    out->is_uncounted = true;
    out->delay_ms = w->wait_ms;
    out->reason = *why;
}

/* Of both storages where there is a fallback; nothing when none was asked. */
static void tell_login(const struct upload_work *w, enum fb_status s, const struct fb_error *err)
{
    const struct storage_stay *fallback = &w->pair.fallback_stay;
    if (w->branch == NULL || w->policy == NULL) {
        return;
    }
    storage_away_tell_login(
        s == FB_CONFIG && fallback->is_in ? fallback->storage : w->branch->storage, s, err);
    if (s == FB_OK && fallback->is_in) {
        storage_away_tell_login(fallback->storage, s, err);
    }
}

void upload_handle(void *ctx, void *thread, struct fb_redis *redis, const struct fb_claim *claim,
                   struct fb_outcome *out)
{
    struct fb_error err = {0};
    struct upload_work w = {.service = ctx, .sessions = thread, .redis = redis, .claim = claim};
    fb_parcel_id_make(claim->job.msg_id, claim->job.branch, w.parcel_id);
    fb_log_context(claim->job.msg_id, w.parcel_id, "upload", claim->job.trace, claim->job.attempt);
    enum fb_status s = load_for_work(&w, &err);
    if (s == FB_OK && w.wait_ms > 0) {
        (void)fb_error_set(&err, FB_AGAIN, "storage \"%s\" is down or slow; waiting for it",
                           w.branch->storage);
        wait_for_storage(&w, &err, out);
    } else if (s == FB_NOT_FOUND && w.msg == NULL) {
        fb_outcome_without_mail(claim, out);
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
        } else if (w.wait_ms > 0) {
            wait_for_storage(&w, &err, out);
        } else {
            out->kind = fb_status_class(s) == FB_CLASS_RETRY ? FB_OUTCOME_RETRY : FB_OUTCOME_BURY;
            out->reason = err;
            /* Not this parcel's fault: its patience is kept for its own troubles. */
            out->is_uncounted = storage_pair_is_down(&w.pair);
            if (w.policy == NULL && s == FB_CONFIG) {
                fb_outcome_soon(claim, out);
            }
        }
    }
    if (s == FB_CONFIG) {
        storage_sessions_forget(w.sessions);
    }
    tell_login(&w, s, &err);
    work_deinit(&w);
}

/* The rule's on_failure: what rewrite shall do in place of a notice is a mark in the ledger.  A bounce to an address
 * that no mail can be written to would tell nobody: that mail is held. */
static void fail_as_the_rule_says(struct upload_work *w, struct fb_outcome *out)
{
    if (w->branch == NULL || w->branch->on_failure == FB_FAILURE_HOLD ||
        (w->branch->on_failure == FB_FAILURE_BOUNCE &&
         !fb_address_is_writable(w->envelope.reverse_path))) {
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
    struct upload_work w = {.service = ctx, .sessions = thread, .redis = redis, .claim = claim};
    fb_parcel_id_make(claim->job.msg_id, claim->job.branch, w.parcel_id);
    if (load(&w, &err) == FB_OK && open_storage(&w, &err) == FB_OK &&
        fb_spool_parcel_load(w.msg, claim->job.branch, &w.parcel, &err) == FB_OK &&
        w.parcel.folder_id != NULL && w.parcel.folder_id[0] != '\0') {
        /* The manifest keeps what could not be taken back within reach of recall and purge. */
        if (upload_fallback_open(&w, &err) != FB_OK ||
            storage_pair_revoke(&w.pair, &w.parcel, NULL, 0, STORAGE_FOR_GOOD, NULL, &err) !=
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
