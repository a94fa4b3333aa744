/* SPDX-License-Identifier: Apache-2.0
 *
 * One revoke job from claim to outcome:
 *
 *   sent journal (recall of a mail that may not be out yet) -> turn of the parcel -> manifest -> is the storage away?
 *     -> close.c | restore.c -> ledger, due list, end of the turn: one step with the end of the claim
 *
 * Invariants
 *  1. A recall is durable outside Redis before anything else is done for it: after a loss of Redis the replay sends
 *     nothing to whom it named.
 *  2. However the claim ends, what the storage confirmed by then is in the ops that end it, and so is the turn.
 */
#include "services/revoke/handle.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/metrics.h"
#include "common/service.h"
#include "proto/limits.h"
#include "services/revoke/turn.h"
#include "services/revoke/work.h"

#define TURN_WAIT_MS 500
#define HISTORY_MAX  "-10000"

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

/* ---- what the parts share (work.h) ---- */

bool revoke_is_concerned(const struct revoke_work *w, uint32_t recipient)
{
    for (uint32_t i = 0; i < w->job->recipient_count; i++) {
        if (w->job->recipients[i] == recipient) {
            return true;
        }
    }
    return w->job->recipient_count == 0;
}

bool revoke_is_recalled(const struct revoke_work *w, uint32_t recipient)
{
    return !w->is_known || recipient >= w->m.recipient_count ||
           w->m.recipients[recipient].is_recalled;
}

const char *revoke_ledger_state(const struct revoke_work *w, uint32_t recipient)
{
    return recipient < w->m.recipient_count ? w->m.recipients[recipient].grant_state : "";
}

bool revoke_is_by_link(const struct revoke_work *w)
{
    bool is_open =
        strcmp(w->parcel.access, "company") == 0 || strcmp(w->parcel.access, "anyone") == 0;
    return is_open && strcmp(w->pair.storage->type, "vault") != 0;
}

enum fb_status revoke_save(struct revoke_work *w, struct fb_error *err)
{
    struct fb_buf bytes;
    if (!w->has_manifest) {
        return FB_OK; /* the ledger alone knows this parcel */
    }
    fb_buf_init(&bytes, FB_MAX_MANIFEST);
    enum fb_status s = fb_parcel_encode(&w->parcel, &bytes);
    if (s != FB_OK) {
        s = fb_error_set(err, s, "the manifest cannot be written down");
    } else {
        s = fb_spool_manifest_put(w->service->spool, w->parcel_id, fb_slice_buf(&bytes), err);
    }
    fb_buf_deinit(&bytes);
    return s;
}

void revoke_history(struct revoke_work *w, const char *event, const char *to)
{
    char key[80];
    (void)snprintf(key, sizeof key, "fb:{s%d}:h:%s", w->claim->shard, w->parcel_id);
    json_t *line =
        json_pack("{s:I,s:n,s:s,s:s,s:s,s:s,s:s}", "at", (json_int_t)fb_now_ms(), "recipient",
                  "from", "", "to", to, "event", event, "actor", w->actor, "source", w->source);
    char *text = line != NULL ? json_dumps(line, JSON_COMPACT) : NULL;
    if (text != NULL) {
        fb_ops_add(w->ops, "RPUSH", key, text, NULL);
        fb_ops_add(w->ops, "LTRIM", key, HISTORY_MAX, "-1", NULL);
    }
    free(text);
    json_decref(line);
}

/* ---- what is known ---- */

static enum fb_status load_manifest(struct revoke_work *w, struct fb_error *err)
{
    struct fb_buf bytes;
    enum fb_status s = fb_spool_manifest_get(w->service->spool, w->parcel_id, &bytes, err);
    if (s == FB_NOT_FOUND) {
        return FB_OK;
    }
    if (s != FB_OK) {
        return s;
    }
    s = fb_parcel_decode(fb_slice_buf(&bytes), &w->parcel, err);
    fb_buf_deinit(&bytes);
    if (s == FB_AGAIN) {
        return s; /* newer than this program */
    }
    if (s != FB_OK) {
        return fb_error_set(err, FB_CORRUPT, "the manifest of parcel %s cannot be read",
                            w->parcel_id);
    }
    w->has_parcel = true;
    w->has_manifest = true;
    return FB_OK;
}

/* Without a manifest (it went with the content and the ledger's step did not follow, or somebody lost it) the ledger
 * names folder and grants: that is enough to take away. */
static void load_from_ledger(struct revoke_work *w)
{
    if (w->job->branch >= w->m.branch_count || w->m.branches[w->job->branch].folder_id[0] == '\0') {
        return; /* no parcel yet: nothing is open.  Upload looks for recalls itself, before and after it makes one */
    }
    const struct fb_ledger_branch *b = &w->m.branches[w->job->branch];
    struct fb_parcel *p = &w->parcel;
    memcpy(p->parcel_id, w->parcel_id, sizeof p->parcel_id);
    p->version = FB_PARCEL_VERSION;
    p->storage = fb_xstrdup(b->storage);
    p->user = fb_xstrdup(b->user);
    p->folder_id = fb_xstrdup(b->folder_id);
    p->link = fb_xstrdup("");
    p->password = fb_xstrdup("");
    p->access = fb_xstrdup(b->access[0] != '\0' ? b->access : "recipients");
    p->expires_ms = b->expires_ms;
    bool has_fallback = b->fallback[0] != '\0';
    p->fallback = has_fallback ? fb_xstrdup(b->fallback) : NULL;
    p->grants = fb_xcalloc(w->m.recipient_count + 1, sizeof *p->grants);
    for (size_t i = 0; i < w->m.recipient_count; i++) {
        const struct fb_ledger_recipient *r = &w->m.recipients[i];
        if (r->branch == w->job->branch && r->grant_state[0] != '\0') {
            p->grants[p->grant_count++] = (struct fb_parcel_grant){
                .recipient = (uint32_t)i,
                .address = fb_xstrdup(r->address),
                .grant_id = fb_xstrdup(r->grant_id),
                .state = fb_xstrdup(r->grant_state),
                .storage = has_fallback && r->is_vault ? fb_xstrdup(b->fallback) : NULL};
        }
    }
    w->has_parcel = true;
}

static enum fb_status load_ledger(struct revoke_work *w, struct fb_error *err)
{
    enum fb_status s = fb_ledger_get(w->redis, w->job->msg_id, &w->m, err);
    w->is_known = s == FB_OK;
    return s == FB_NOT_FOUND ? FB_OK : s;
}

/* Who asked, as the recall's record says. */
static enum fb_status find_actor(struct revoke_work *w, struct fb_error *err)
{
    bool is_asked = w->job->op == FB_REVOKE_RECALL || w->job->op == FB_REVOKE_RESTORE;
    (void)snprintf(w->actor, sizeof w->actor, "%s", is_asked ? "operator" : "schedule");
    (void)snprintf(w->source, sizeof w->source, "%s", is_asked ? "fumibako" : "revoke");
    if (w->job->recall_id[0] == '\0') {
        return FB_OK;
    }
    struct fb_recall *list = NULL;
    size_t count = 0;
    enum fb_status s = fb_ledger_recalls(w->redis, w->job->msg_id, &list, &count, err);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(list[i].id, w->job->recall_id) == 0) {
            (void)snprintf(w->actor, sizeof w->actor, "%s", list[i].actor);
            (void)snprintf(w->source, sizeof w->source, "%s", list[i].source);
        }
    }
    fb_recalls_free(list, count);
    return s;
}

/* ---- the steps ---- */

static enum fb_status commit_recall(struct revoke_work *w, struct fb_error *err)
{
    const struct fb_ledger_message *m = &w->m;
    /* Of an ended message everything that there was to send is in the journal; but where its mail
     * stays in the spool behind the end (rewrite/linger.h), it may go through once more. */
    bool is_gone = strcmp(m->state, "done") == 0 && !fb_redis_may_fail_over(w->redis);
    if (w->job->op != FB_REVOKE_RECALL || !w->is_known || is_gone) {
        return FB_OK;
    }
    uint32_t *list = fb_xcalloc(m->recipient_count + 1, sizeof *list);
    bool *has = fb_xcalloc(m->recipient_count + 1, sizeof *has);
    size_t count = 0;
    for (size_t i = 0; i < m->recipient_count; i++) {
        if (m->recipients[i].is_recalled) {
            list[count++] = (uint32_t)i;
        }
    }
    enum fb_status s = count > 0 ? fb_journal_lookup(w->service->journal, m->msg_id,
                                                     FB_SENT_RECALLED, list, count, has, err)
                                 : FB_OK;
    size_t left = 0;
    for (size_t i = 0; i < count; i++) {
        if (!has[i]) {
            list[left++] = list[i];
        }
    }
    if (s == FB_OK && left > 0) {
        s = fb_journal_commit(w->service->journal, m->msg_id, w->job->branch, FB_SENT_RECALLED,
                              list, left, err);
    }
    free(list);
    free(has);
    return s;
}

static enum fb_status open_storage(struct revoke_work *w, struct fb_error *err)
{
    w->policy = fb_policy_follow_get(w->service->policy);
    if (w->policy == NULL) {
        return fb_error_set(err, FB_CONFIG,
                            "no policy is known: the storage's credentials are in it");
    }
    return storage_pair_open(&w->pair, w->sessions, w->policy, w->redis, &w->parcel, err);
}

static enum fb_status work_on_parcel(struct revoke_work *w, int64_t *wait_ms_r,
                                     struct fb_error *err)
{
    enum fb_status s = load_manifest(w, err);
    if (s == FB_OK && !w->has_parcel && w->is_known) {
        load_from_ledger(w);
    }
    if (s == FB_OK && w->job->op == FB_REVOKE_RESTORE && !w->has_manifest) {
        return revoke_reopen(w, err); /* says why not */
    }
    if (s != FB_OK || !w->has_parcel) {
        return s;
    }
    struct fb_policy *policy = fb_policy_follow_get(w->service->policy);
    *wait_ms_r =
        storage_pair_enter(&w->pair, &w->parcel, policy != NULL && policy->storage_count > 1);
    fb_policy_unref(&policy);
    if (*wait_ms_r > 0) {
        return FB_OK;
    }
    s = find_actor(w, err);
    if (s == FB_OK) {
        s = open_storage(w, err);
    }
    if (s == FB_OK) {
        s = w->job->op == FB_REVOKE_RESTORE ? revoke_reopen(w, err) : revoke_close(w, err);
    }
    return s;
}

static const char *metric_of(enum fb_outcome_kind kind)
{
    return kind == FB_OUTCOME_ADVANCE ? "outcome=\"revoked\""
           : kind == FB_OUTCOME_RETRY ? "outcome=\"retry\""
                                      : "outcome=\"failed\"";
}

static void conclude(struct revoke_work *w, enum fb_status s, int64_t wait_ms,
                     const struct fb_error *err, struct fb_outcome *out)
{
    if (wait_ms > 0) {
        out->kind = FB_OUTCOME_RELEASE;
        out->delay_ms = wait_ms;
        return;
    }
    if (s == FB_OK) {
        out->kind = FB_OUTCOME_ADVANCE;
        fb_ledger_recall_job_done(w->redis, w->ops, w->job);
        if (!w->has_parcel && w->job->op != FB_REVOKE_RECALL && w->job->op != FB_REVOKE_RESTORE) {
            /* Nothing is left of the parcel: it does not fall due any more. */
            for (int kind = 0; kind < FB_DUE_REPORT; kind++) {
                fb_ledger_due_add(w->redis, w->ops, (enum fb_due)kind, w->parcel_id, 0);
            }
        }
    } else {
        out->kind = fb_status_class(s) == FB_CLASS_RETRY ? FB_OUTCOME_RETRY : FB_OUTCOME_BURY;
        out->reason = *err;
        out->is_uncounted = storage_pair_is_down(&w->pair);
        if (out->kind == FB_OUTCOME_BURY && w->job->op == FB_REVOKE_RESTORE) {
            char words[FB_ERROR_MAX + 64];
            (void)snprintf(words, sizeof words, "not given back: %s", err->text);
            revoke_history(w, words, "refused");
        }
    }
    fb_metric_add("fumibako_recalls_total", metric_of(out->kind), 1);
}

void revoke_handle(void *ctx, void *thread, struct fb_redis *redis, const struct fb_claim *claim,
                   struct fb_outcome *out)
{
    struct fb_error err = {0};
    struct revoke_work w = {.service = ctx,
                            .sessions = thread,
                            .redis = redis,
                            .claim = claim,
                            .job = &claim->job,
                            .ops = fb_ops_new()};
    int64_t wait_ms = 0;
    fb_parcel_id_make(claim->job.msg_id, claim->job.branch, w.parcel_id);
    fb_log_context(claim->job.msg_id, w.parcel_id, "revoke", claim->job.trace, claim->job.attempt);
    enum fb_status s = revoke_turn_take(redis, claim, w.parcel_id, &err);
    if (s == FB_EXISTS) {
        wait_ms = TURN_WAIT_MS / 2 + (int64_t)fb_random_below(TURN_WAIT_MS);
        s = FB_OK;
    }
    /* Behind the turn: what another job of the parcel changed is seen. */
    if (s == FB_OK && wait_ms == 0) {
        s = load_ledger(&w, &err);
    }
    if (s == FB_OK && wait_ms == 0) {
        s = commit_recall(&w, &err);
    }
    if (s == FB_OK && wait_ms == 0) {
        s = work_on_parcel(&w, &wait_ms, &err);
    }
    conclude(&w, s, wait_ms, &err, out);
    storage_pair_leave(&w.pair);
    revoke_turn_end(w.ops, claim, w.parcel_id);
    if (s == FB_CONFIG) {
        storage_sessions_forget(w.sessions);
    }
    if (w.policy != NULL && w.parcel.storage != NULL && wait_ms == 0) { /* else it was not asked */
        storage_away_tell_login(w.parcel.storage, s, &err);
    }
    out->ops = w.ops;
    fb_ledger_message_deinit(&w.m);
    fb_parcel_deinit(&w.parcel);
    fb_policy_unref(&w.policy);
}

void revoke_before_bury(void *ctx, void *thread, struct fb_redis *redis,
                        const struct fb_claim *claim, struct fb_outcome *out)
{
    (void)ctx;
    (void)thread;
    char parcel_id[FB_PARCEL_ID_SIZE];
    if (out->ops == NULL) { /* a job that ended its worker, again and again */
        out->ops = fb_ops_new();
        fb_parcel_id_make(claim->job.msg_id, claim->job.branch, parcel_id);
        revoke_turn_end(out->ops, claim, parcel_id);
    }
    fb_ledger_recall_job_failed(redis, out->ops, &claim->job, &out->reason);
}
