/* SPDX-License-Identifier: Apache-2.0
 *
 * Giving back.
 *
 * Who asks for a restore takes the recall's mark off the recipients, in the step that adds the job: whatever of recall
 * and restore was asked for last stands, in whatever order their jobs run.
 *
 *   storage opens -> manifest has the new grants -> ledger (with the end of the claim)
 *
 * A crash behind the first step leaves a grant that nobody wrote down: the job finds it by the address when it runs
 * again, and takes it away should the recipient be recalled by then.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "services/revoke/work.h"

static bool is_back(const struct fb_parcel_grant *g)
{
    return g->state != NULL && strcmp(g->state, "recalled") != 0;
}

/* Words for what cannot be given back; FB_OK: it can be tried. */
static enum fb_status look(const struct revoke_work *w, struct fb_error *err)
{
    if (!w->has_manifest) {
        return fb_error_set(err, FB_DENIED,
                            "parcel %s: its content is deleted, or its manifest is lost; send the "
                            "mail again",
                            w->parcel_id);
    }
    if (w->parcel.expires_ms > 0 && w->parcel.expires_ms <= fb_now_ms()) {
        return fb_error_set(err, FB_DENIED, "parcel %s: its time is over; send the mail again",
                            w->parcel_id);
    }
    for (uint32_t i = 0; i < w->parcel.grant_count && revoke_is_by_link(w); i++) {
        if (!revoke_is_concerned(w, w->parcel.grants[i].recipient)) {
            return fb_error_set(err, FB_DENIED,
                                "parcel %s was open by one link for everybody: it can only be "
                                "given back as a whole",
                                w->parcel_id);
        }
    }
    return FB_OK;
}

/* An earlier try of this job may have let them in before it was stopped. */
static enum fb_status undo(struct revoke_work *w, const uint32_t *gone, size_t count,
                           struct fb_error *err)
{
    struct fb_parcel parcel = w->parcel;
    parcel.grants = fb_xcalloc(count, sizeof *parcel.grants);
    parcel.grant_count = 0;
    for (uint32_t i = 0; i < w->parcel.grant_count; i++) {
        for (size_t k = 0; k < count; k++) {
            if (w->parcel.grants[i].recipient == gone[k]) {
                /* Without id and state: it is looked for by its address. */
                parcel.grants[parcel.grant_count++] =
                    (struct fb_parcel_grant){.recipient = gone[k],
                                             .address = w->parcel.grants[i].address,
                                             .storage = w->parcel.grants[i].storage};
            }
        }
    }
    enum fb_status s = parcel.grant_count == 0 ? FB_OK
                                               : storage_pair_revoke(&w->pair, &parcel, gone, count,
                                                                     STORAGE_FOR_NOW, NULL, err);
    free(parcel.grants);
    return s;
}

/* Who has no account yet is asked about (watch). */
static void add_pending(struct revoke_work *w, uint32_t recipient)
{
    struct fb_buf key;
    char member[FB_PARCEL_ID_SIZE + 16];
    char at[24];
    fb_buf_init(&key, 1024);
    (void)snprintf(member, sizeof member, "%s/%" PRIu32, w->parcel_id, recipient);
    (void)snprintf(at, sizeof at, "%" PRId64, fb_now_ms());
    if (fb_buf_printf(&key, "fb:{s%d}:pending:%s", w->claim->shard, w->parcel.storage) == FB_OK) {
        fb_ops_add(w->ops, "ZADD", fb_buf_str(&key), at, member, NULL);
    }
    fb_buf_deinit(&key);
}

static void write_grant(struct revoke_work *w, const struct fb_parcel_grant *g)
{
    fb_ledger_grant(w->redis, w->ops, w->parcel_id, g->recipient,
                    revoke_ledger_state(w, g->recipient), g->state, g->grant_id, w->actor,
                    w->source);
    if (strcmp(g->state, "pending") == 0) {
        add_pending(w, g->recipient);
    }
}

static bool is_asked(const struct storage_grant_request *requests, size_t count, uint32_t recipient)
{
    for (size_t i = 0; i < count; i++) {
        if (requests[i].recipient == recipient) {
            return true;
        }
    }
    return false;
}

static enum fb_status give_back(struct revoke_work *w, const struct storage_grant_request *requests,
                                size_t count, struct fb_error *err)
{
    enum fb_status s = storage_pair_reopen(&w->pair, requests, count, &w->parcel, err);
    bool has_some = false;
    for (uint32_t i = 0; i < w->parcel.grant_count; i++) {
        const struct fb_parcel_grant *g = &w->parcel.grants[i];
        has_some = has_some || (is_back(g) && is_asked(requests, count, g->recipient));
    }
    if (!has_some) {
        return s;
    }
    /* The ledger never tells of access that a lost Redis could not find in the manifest again. */
    struct fb_error own = {0};
    enum fb_status saved = revoke_save(w, &own);
    if (saved != FB_OK) {
        *err = own;
        return saved;
    }
    for (uint32_t i = 0; i < w->parcel.grant_count; i++) {
        const struct fb_parcel_grant *g = &w->parcel.grants[i];
        if (is_back(g) && is_asked(requests, count, g->recipient)) {
            write_grant(w, g);
        }
    }
    return s;
}

/* Ours in the manifest since an earlier try, that did not come to write it into the ledger. */
static void catch_up(struct revoke_work *w)
{
    for (uint32_t i = 0; i < w->parcel.grant_count; i++) {
        const struct fb_parcel_grant *g = &w->parcel.grants[i];
        if (revoke_is_concerned(w, g->recipient) && is_back(g) &&
            strcmp(revoke_ledger_state(w, g->recipient), "recalled") == 0) {
            write_grant(w, g);
        }
    }
}

enum fb_status revoke_reopen(struct revoke_work *w, struct fb_error *err)
{
    enum fb_status s = look(w, err);
    if (s != FB_OK) {
        return s;
    }
    catch_up(w);
    size_t count = 0;
    size_t gone_count = 0;
    struct storage_grant_request *requests =
        fb_xcalloc(w->parcel.grant_count + 1, sizeof *requests);
    uint32_t *gone = fb_xcalloc(w->parcel.grant_count + 1, sizeof *gone);
    for (uint32_t i = 0; i < w->parcel.grant_count; i++) {
        const struct fb_parcel_grant *g = &w->parcel.grants[i];
        if (!revoke_is_concerned(w, g->recipient) || is_back(g)) {
            continue;
        }
        if (w->is_known && revoke_is_recalled(w, g->recipient)) {
            gone[gone_count++] = g->recipient; /* recalled again since this was asked for */
        } else {
            requests[count++] = (struct storage_grant_request){g->recipient, g->address};
        }
    }
    /* One link is for all of them: with one recalled again it stays closed, for the recall that comes. */
    bool is_void = gone_count > 0 && revoke_is_by_link(w);
    if (gone_count > 0) {
        s = undo(w, gone, gone_count, err);
    }
    if (s == FB_OK && count > 0 && !is_void) {
        s = give_back(w, requests, count, err);
        /* The grants may have been moved in memory: requests lend their addresses no longer. */
    }
    free(requests);
    free(gone);
    return s;
}
