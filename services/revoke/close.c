/* SPDX-License-Identifier: Apache-2.0
 *
 * Taking away.
 *
 * Invariants
 *  1. The ledger has a grant as closed only when the storage confirmed it, with the time of that.
 *  2. What the storage confirmed is written down, in the manifest and in the ledger, also when another grant of the
 *     same job failed: the next try asks for the failed ones only.
 *  3. A recall closes those for whom it stands now: a restore that was asked for later wins, also when its job is
 *     faster.
 *  4. Access goes before content.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/metrics.h"
#include "services/revoke/work.h"

#define PURGE_AGAIN_MS ((int64_t)24 * 60 * 60 * 1000)

static bool is_closed_state(const char *state)
{
    return strcmp(state, "recalled") == 0 || strcmp(state, "expired") == 0 ||
           strcmp(state, "purged") == 0;
}

static bool is_gone(const struct fb_parcel_grant *g)
{
    return g->state != NULL && strcmp(g->state, "recalled") == 0;
}

static bool is_wanted(const struct revoke_work *w, uint32_t recipient)
{
    return w->job->op != FB_REVOKE_RECALL ||
           (revoke_is_concerned(w, recipient) && revoke_is_recalled(w, recipient));
}

/* Whom it is about: recipients with an open grant; is_whole_r: nobody else is in. */
static size_t list_wanted(const struct revoke_work *w, uint32_t *list, bool *is_whole_r)
{
    size_t count = 0;
    *is_whole_r = w->job->op != FB_REVOKE_RECALL || w->job->recipient_count == 0;
    bool has_other = false;
    for (uint32_t i = 0; i < w->parcel.grant_count; i++) {
        const struct fb_parcel_grant *g = &w->parcel.grants[i];
        if (is_gone(g)) {
            continue;
        }
        if (is_wanted(w, g->recipient)) {
            list[count++] = g->recipient;
        } else {
            has_other = true;
        }
    }
    /* The last ones, one by one, are the whole as well. */
    *is_whole_r = !has_other && (*is_whole_r || count > 0);
    return count;
}

static void write_grants(struct revoke_work *w, const bool *closed, const char *state)
{
    for (uint32_t i = 0; i < w->parcel.grant_count; i++) {
        const struct fb_parcel_grant *g = &w->parcel.grants[i];
        const char *old = revoke_ledger_state(w, g->recipient);
        bool is_told = is_closed_state(old) && strcmp(state, "purged") != 0;
        if (closed[i] && !is_told && strcmp(old, state) != 0 && is_wanted(w, g->recipient)) {
            fb_ledger_grant(w->redis, w->ops, w->parcel_id, g->recipient,
                            old[0] != '\0' ? old : g->state, state, g->grant_id, w->actor,
                            w->source);
        }
    }
}

/* In the manifest, so that neither the next try nor a rebuilt ledger takes them for open. */
static enum fb_status remember(struct revoke_work *w, const bool *closed, struct fb_error *err)
{
    bool has_changed = false;
    for (uint32_t i = 0; i < w->parcel.grant_count; i++) {
        struct fb_parcel_grant *g = &w->parcel.grants[i];
        if (closed[i] && !is_gone(g)) {
            free(g->state);
            g->state = fb_xstrdup("recalled");
            has_changed = true;
        }
    }
    return has_changed ? revoke_save(w, err) : FB_OK;
}

static enum fb_status end_access(struct revoke_work *w, const uint32_t *list, size_t count,
                                 bool is_whole, struct fb_error *err)
{
    bool is_recall = w->job->op == FB_REVOKE_RECALL;
    bool is_final = !is_recall || w->job->takes_content;
    bool *closed = fb_xcalloc(w->parcel.grant_count + 1, sizeof *closed);
    enum fb_status s =
        storage_pair_revoke(&w->pair, &w->parcel, list, is_whole ? 0 : count,
                            is_final && is_whole ? STORAGE_FOR_GOOD : STORAGE_FOR_NOW, closed, err);
    write_grants(w, closed, is_recall ? "recalled" : "expired");
    /* An expiry that is complete needs no manifest: a rebuilt ledger would find it due at once.  What is not complete
     * is remembered, and what is purged next as well. */
    if (is_recall || s != FB_OK || w->job->op == FB_REVOKE_PURGE) {
        struct fb_error own = {0};
        enum fb_status saved = remember(w, closed, &own);
        if (s == FB_OK && saved != FB_OK) {
            s = saved;
            *err = own;
        }
    }
    free(closed);
    return s;
}

/* Closed in the manifest by an earlier try, that was stopped before the ledger had it. */
static void catch_up(struct revoke_work *w)
{
    bool *closed = fb_xcalloc(w->parcel.grant_count + 1, sizeof *closed);
    for (uint32_t i = 0; i < w->parcel.grant_count; i++) {
        const struct fb_parcel_grant *g = &w->parcel.grants[i];
        closed[i] = is_gone(g) && revoke_ledger_state(w, g->recipient)[0] != '\0';
    }
    write_grants(w, closed, "recalled");
    free(closed);
}

/* Said once a reason: it is tried again each day for years, perhaps. */
struct said {
    const char *words;
    bool is_said;
};

static bool look_for_words(void *ctx, const char *line)
{
    struct said *said = ctx;
    said->is_said = strstr(line, said->words) != NULL;
    return true;
}

/* Retention, a legal hold, or a right that only administrators have: no failure of ours, and nothing that goes away
 * soon.  It is written down, told by a metric, and tried again a day later. */
static enum fb_status keep_content(struct revoke_work *w, const struct fb_error *why,
                                   struct fb_error *err)
{
    struct said said = {.words = "content is kept"};
    enum fb_status s = fb_ledger_history(w->redis, w->parcel_id, 1, look_for_words, &said, err);
    if (s != FB_OK) {
        return s;
    }
    if (!said.is_said) {
        char words[FB_ERROR_MAX + 64];
        (void)snprintf(words, sizeof words, "content is kept: %s", why->text);
        revoke_history(w, words, "kept");
    }
    fb_metric_add("fumibako_purges_total", "outcome=\"refused\"", 1);
    fb_log(FB_WARN, "the content is kept by the storage, it is tried again in a day: %s",
           why->text);
    fb_ledger_due_add(w->redis, w->ops, FB_DUE_PURGE, w->parcel_id, fb_now_ms() + PURGE_AGAIN_MS);
    fb_ledger_due_add(w->redis, w->ops, FB_DUE_EXPIRE, w->parcel_id, 0);
    return FB_OK;
}

static enum fb_status delete_content(struct revoke_work *w, struct fb_error *err)
{
    struct fb_error own = {0};
    enum fb_status s = storage_pair_purge(&w->pair, &w->parcel, &own);
    if (s == FB_DENIED) {
        return keep_content(w, &own, err);
    }
    if (s != FB_OK) {
        *err = own;
        return s;
    }
    bool *all = fb_xcalloc(w->parcel.grant_count + 1, sizeof *all);
    memset(all, true, w->parcel.grant_count * sizeof *all);
    write_grants(w, all, "purged");
    free(all);
    fb_metric_add("fumibako_purges_total", "outcome=\"deleted\"", 1);
    for (int kind = 0; kind < FB_DUE_REPORT; kind++) {
        fb_ledger_due_add(w->redis, w->ops, (enum fb_due)kind, w->parcel_id, 0);
    }
    /* With the content gone there is nothing left that anybody could ask the manifest for.  A crash between this and
     * the ledger's step leaves a parcel that the ledger alone describes, and the job finds it gone. */
    return fb_spool_manifest_remove(w->service->spool, w->parcel_id, err);
}

enum fb_status revoke_close(struct revoke_work *w, struct fb_error *err)
{
    const struct fb_job *job = w->job;
    uint32_t *list = fb_xcalloc(w->parcel.grant_count + 1, sizeof *list);
    bool is_whole = false;
    size_t count = list_wanted(w, list, &is_whole);
    enum fb_status s = FB_OK;
    if (!is_whole) { /* else end_access() looks at all of them */
        catch_up(w);
    }
    if (!is_whole && count > 0 && revoke_is_by_link(w)) {
        s = fb_error_set(
            err, FB_DENIED,
            "parcel %s is open by one link for everybody: it can only be recalled as a whole",
            w->parcel_id);
    } else if (is_whole || count > 0) {
        s = end_access(w, list, count, is_whole, err);
    }
    free(list);
    bool is_content =
        job->op == FB_REVOKE_PURGE || (job->op == FB_REVOKE_RECALL && job->takes_content);
    if (s == FB_OK && is_content && is_whole) {
        return delete_content(w, err);
    }
    if (s == FB_OK && is_whole) {
        /* Nobody is in: nothing expires, and nobody has to be reminded of it. */
        fb_ledger_due_add(w->redis, w->ops, FB_DUE_UNOPENED, w->parcel_id, 0);
        if (job->op == FB_REVOKE_EXPIRE) {
            fb_ledger_due_add(w->redis, w->ops, FB_DUE_EXPIRE, w->parcel_id, 0);
        }
    }
    return s;
}
