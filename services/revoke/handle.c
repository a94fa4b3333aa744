/* SPDX-License-Identifier: Apache-2.0 */
#include "services/revoke/handle.h"

#include <stdlib.h>
#include <string.h>

#include "common/ledger/ledger.h"
#include "common/log.h"
#include "common/metrics.h"
#include "proto/limits.h"
#include "services/upload/sessions.h"

struct work {
    struct revoke_service *service;
    struct storage_sessions *sessions;
    struct fb_redis *redis;
    const struct fb_job *job;
    struct fb_parcel parcel;
    struct fb_policy *policy;
    char parcel_id[FB_PARCEL_ID_SIZE];
};

enum fb_status revoke_thread_init(void *ctx, void **thread_r, struct fb_error *err)
{
    (void)err;
    const struct revoke_service *s = ctx;
    *thread_r = storage_sessions_new(s->config);
    return FB_OK;
}

void revoke_thread_deinit(void *ctx, void *thread)
{
    (void)ctx;
    struct storage_sessions *sessions = thread;
    storage_sessions_free(&sessions);
}

/* FB_NOT_FOUND: there is no parcel (yet); upload looks for recalls itself before and after it makes one. */
static enum fb_status load(struct work *w, struct fb_error *err)
{
    struct fb_buf bytes;
    enum fb_status s = fb_spool_manifest_get(w->service->spool, w->parcel_id, &bytes, err);
    if (s != FB_OK) {
        return s;
    }
    s = fb_parcel_decode(fb_slice_buf(&bytes), &w->parcel, err);
    fb_buf_deinit(&bytes);
    if (s != FB_OK) {
        return fb_error_set(err, FB_CORRUPT, "the manifest of parcel %s cannot be read",
                            w->parcel_id);
    }
    return FB_OK;
}

static bool is_concerned(const struct fb_job *job, uint32_t recipient)
{
    for (uint32_t i = 0; i < job->recipient_count; i++) {
        if (job->recipients[i] == recipient) {
            return true;
        }
    }
    return job->recipient_count == 0;
}

static bool takes_content(const struct fb_job *job)
{
    return (job->takes_content || job->op == FB_REVOKE_PURGE) && job->recipient_count == 0;
}

/* What was recalled before an expiry stays recalled: the ledger tells who took access away first. */
static bool is_closed(const struct fb_ledger_message *m, uint32_t recipient)
{
    const char *state = recipient < m->recipient_count ? m->recipients[recipient].grant_state : "";
    return strcmp(state, "recalled") == 0 || strcmp(state, "purged") == 0 ||
           strcmp(state, "expired") == 0;
}

static void close_grant(const struct work *w, const struct fb_ledger_message *m, uint32_t recipient,
                        const char *old_state, const char *grant_id, struct fb_ops *ops)
{
    bool is_expiry = w->job->op == FB_REVOKE_EXPIRE;
    const char *state = takes_content(w->job) ? "purged" : is_expiry ? "expired" : "recalled";
    if (is_concerned(w->job, recipient) && !(is_expiry && is_closed(m, recipient))) {
        fb_ledger_grant(w->redis, ops, w->parcel_id, recipient, old_state, state, grant_id,
                        is_expiry ? "schedule" : "operator", "revoke");
    }
}

/* By the manifest; once that went with the content (a second try behind a crash), by the ledger. */
static enum fb_status ledger_ops(const struct work *w, bool has_parcel, struct fb_ops **ops_r,
                                 struct fb_error *err)
{
    struct fb_ledger_message m = {0};
    enum fb_status s = fb_ledger_get(w->redis, w->job->msg_id, &m, err);
    if (s != FB_OK && s != FB_NOT_FOUND) {
        return s;
    }
    struct fb_ops *ops = fb_ops_new();
    for (uint32_t i = 0; i < w->parcel.grant_count; i++) {
        const struct fb_parcel_grant *g = &w->parcel.grants[i];
        close_grant(w, &m, g->recipient, g->state, g->grant_id, ops);
    }
    for (size_t i = 0; i < m.recipient_count && !has_parcel; i++) {
        const struct fb_ledger_recipient *r = &m.recipients[i];
        if (r->branch == w->job->branch && r->grant_state[0] != '\0') {
            close_grant(w, &m, (uint32_t)i, r->grant_state, r->grant_id, ops);
        }
    }
    if (w->job->recipient_count == 0) {
        fb_ledger_due_set(w->redis, ops, w->parcel_id, 0);
    }
    fb_ledger_message_deinit(&m);
    *ops_r = ops;
    return FB_OK;
}

static enum fb_status revoke(struct work *w, struct fb_error *err)
{
    const struct storage *storage = NULL;
    struct storage_session *session = NULL;
    w->policy = fb_policy_follow_get(w->service->policy);
    if (w->policy == NULL) {
        return fb_error_set(err, FB_CONFIG,
                            "no policy is known: the storage's credentials are in it");
    }
    bool is_by_link =
        strcmp(w->parcel.access, "company") == 0 || strcmp(w->parcel.access, "anyone") == 0;
    if (w->job->op == FB_REVOKE_RESTORE) {
        return fb_error_set(
            err, FB_INVALID,
            "parcel %s: this version takes access away and cannot give it back; send the "
            "mail again",
            w->parcel_id);
    }
    if (w->job->recipient_count > 0 && is_by_link) {
        return fb_error_set(
            err, FB_DENIED,
            "parcel %s is open by one link for everybody: it can only be recalled as a "
            "whole",
            w->parcel_id);
    }
    enum fb_status s = storage_sessions_get(w->sessions, w->policy, w->parcel.storage, w->redis,
                                            &storage, &session, err);
    if (s == FB_OK) {
        s = storage->revoke(session, &w->parcel, w->job->recipients, w->job->recipient_count, err);
    }
    if (s == FB_OK && takes_content(w->job)) {
        s = storage->purge(session, &w->parcel, err);
    }
    return s;
}

void revoke_handle(void *ctx, void *thread, struct fb_redis *redis, const struct fb_claim *claim,
                   struct fb_outcome *out)
{
    struct fb_error err = {0};
    struct work w = {.service = ctx, .sessions = thread, .redis = redis, .job = &claim->job};
    fb_parcel_id_make(claim->job.msg_id, claim->job.branch, w.parcel_id);
    fb_log_context(claim->job.msg_id, w.parcel_id, "revoke", claim->job.trace, claim->job.attempt);
    enum fb_status s = load(&w, &err);
    bool has_parcel = s == FB_OK;
    if (has_parcel) {
        s = revoke(&w, &err);
    } else if (s == FB_NOT_FOUND) {
        s = FB_OK; /* no parcel yet, or none any more: nothing is open */
    }
    if (s == FB_OK) {
        s = ledger_ops(&w, has_parcel, &out->ops, &err);
    }
    if (s == FB_OK && has_parcel && takes_content(w.job)) {
        /* With the content gone there is nothing left that anybody could ask the manifest for. */
        s = fb_spool_manifest_remove(w.service->spool, w.parcel_id, &err);
    }
    if (s == FB_OK) {
        out->kind = FB_OUTCOME_ADVANCE;
        fb_metric_add("fumibako_recalls_total", "outcome=\"revoked\"", 1);
    } else {
        out->kind = fb_status_class(s) == FB_CLASS_RETRY ? FB_OUTCOME_RETRY : FB_OUTCOME_BURY;
        out->reason = err;
        fb_metric_add("fumibako_recalls_total",
                      out->kind == FB_OUTCOME_RETRY ? "outcome=\"retry\"" : "outcome=\"failed\"",
                      1);
    }
    if (s == FB_CONFIG) {
        storage_sessions_forget(w.sessions);
    }
    fb_parcel_deinit(&w.parcel);
    fb_policy_unref(&w.policy);
}
