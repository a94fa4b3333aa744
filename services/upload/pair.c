/* SPDX-License-Identifier: Apache-2.0 */
#include "services/upload/pair.h"

#include <stdlib.h>
#include <string.h>

#include "common/crypto.h"
#include "proto/limits.h"

static bool has_fallback(const struct fb_parcel *p)
{
    return p->fallback != NULL && p->fallback[0] != '\0';
}

static bool is_of_fallback(const struct fb_parcel_grant *g)
{
    return g->storage != NULL && g->storage[0] != '\0';
}

/* ---- both at once ---- */

int64_t storage_pair_enter(struct storage_pair *pair, const struct fb_parcel *parcel,
                           bool has_others)
{
    int64_t wait_ms = storage_away_enter(&pair->stay, parcel->storage, has_others);
    if (wait_ms == 0 && has_fallback(parcel)) {
        wait_ms = storage_away_enter(&pair->fallback_stay, parcel->fallback, has_others);
        if (wait_ms > 0) {
            storage_away_leave(&pair->stay);
        }
    }
    return wait_ms;
}

void storage_pair_leave(struct storage_pair *pair)
{
    storage_away_leave(&pair->stay);
    storage_away_leave(&pair->fallback_stay);
}

bool storage_pair_is_down(const struct storage_pair *pair)
{
    return (pair->stay.is_in && storage_away_is_down(pair->stay.storage)) ||
           (pair->fallback_stay.is_in && storage_away_is_down(pair->fallback_stay.storage));
}

enum fb_status storage_pair_open(struct storage_pair *pair, struct storage_sessions *sessions,
                                 const struct fb_policy *policy, struct fb_redis *redis,
                                 const struct fb_parcel *parcel, struct fb_error *err)
{
    enum fb_status s = storage_sessions_get(sessions, policy, parcel->storage, redis,
                                            &pair->storage, &pair->session, err);
    if (s == FB_OK && has_fallback(parcel)) {
        s = storage_sessions_get(sessions, policy, parcel->fallback, redis, &pair->fallback,
                                 &pair->fallback_session, err);
    }
    return s;
}

/* ---- one's view of a parcel ---- */

static void drop_grant(struct fb_parcel_grant *g)
{
    free(g->address);
    free(g->grant_id);
    free(g->state);
    free(g->storage);
    fb_wipe(g->secret, sizeof g->secret);
    *g = (struct fb_parcel_grant){0};
}

static void replace(char **text, const char *by)
{
    free(*text);
    *text = fb_xstrdup(by);
}

enum fb_status storage_pair_view(const struct fb_parcel *parcel, bool of_fallback,
                                 struct fb_parcel *view_r, struct fb_error *err)
{
    struct fb_buf bytes;
    struct fb_parcel view = {0};
    fb_buf_init(&bytes, FB_MAX_MANIFEST);
    enum fb_status s = fb_parcel_encode_secret(parcel, &bytes); /* the way to copy all of it */
    if (s == FB_OK) {
        s = fb_parcel_decode(fb_slice_buf(&bytes), &view, err);
    }
    fb_wipe(bytes.ptr, bytes.len);
    fb_buf_deinit(&bytes);
    if (s != FB_OK) {
        return fb_error_set(err, s, "parcel %s cannot be copied", parcel->parcel_id);
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < view.grant_count; i++) {
        struct fb_parcel_grant *g = &view.grants[i];
        if (is_of_fallback(g) != of_fallback) {
            drop_grant(g);
            continue;
        }
        free(g->storage);
        g->storage = NULL;
        if (kept != i) {
            view.grants[kept] = *g;
            *g = (struct fb_parcel_grant){0};
        }
        kept++;
    }
    view.grant_count = kept;
    if (of_fallback) {
        replace(&view.storage, parcel->fallback);
        replace(&view.user, "");
        replace(&view.folder_id, parcel->parcel_id);
        replace(&view.link, "");
    }
    free(view.fallback);
    view.fallback = NULL;
    *view_r = view;
    return FB_OK;
}

static const struct fb_parcel_grant *find(const struct fb_parcel *p, uint32_t recipient)
{
    for (uint32_t i = 0; i < p->grant_count; i++) {
        if (p->grants[i].recipient == recipient) {
            return &p->grants[i];
        }
    }
    return NULL;
}

/* The error that decides what becomes of the job: one that may pass goes before one that does not. */
static enum fb_status worse(enum fb_status a, const struct fb_error *a_err, enum fb_status b,
                            const struct fb_error *b_err, struct fb_error *err)
{
    bool takes_b = a == FB_OK || (b != FB_OK && fb_status_class(a) != FB_CLASS_RETRY &&
                                  fb_status_class(b) == FB_CLASS_RETRY);
    enum fb_status s = takes_b ? b : a;
    if (s != FB_OK && err != NULL) {
        *err = takes_b ? *b_err : *a_err;
    }
    return s;
}

/* ---- taking away ---- */

struct side {
    const struct storage *storage;
    struct storage_session *session;
    bool is_fallback;
};

static enum fb_status revoke_side(const struct side *side, const struct fb_parcel *parcel,
                                  const uint32_t *recipients, size_t count, enum storage_end end,
                                  bool *closed_r, struct fb_error *err)
{
    struct fb_parcel view = {0};
    enum fb_status s = storage_pair_view(parcel, side->is_fallback, &view, err);
    if (s != FB_OK) {
        return s;
    }
    uint32_t *own = fb_xcalloc(count + 1, sizeof *own);
    bool *closed = fb_xcalloc(view.grant_count + 1, sizeof *closed);
    size_t own_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (find(&view, recipients[i]) != NULL) {
            own[own_count++] = recipients[i];
        }
    }
    if (count == 0 || own_count > 0) {
        s = side->storage->revoke(side->session, &view, own, own_count, end, closed, err);
    }
    for (uint32_t i = 0, k = 0; i < parcel->grant_count && closed_r != NULL; i++) {
        if (is_of_fallback(&parcel->grants[i]) == side->is_fallback) {
            closed_r[i] = closed[k++]; /* in the same order */
        }
    }
    free(closed);
    free(own);
    fb_parcel_deinit(&view);
    return s;
}

enum fb_status storage_pair_revoke(const struct storage_pair *pair, const struct fb_parcel *parcel,
                                   const uint32_t *recipients, size_t count, enum storage_end end,
                                   bool *closed_r, struct fb_error *err)
{
    if (pair->fallback == NULL) {
        return pair->storage->revoke(pair->session, parcel, recipients, count, end, closed_r, err);
    }
    const struct side own = {pair->storage, pair->session, false};
    const struct side fallback = {pair->fallback, pair->fallback_session, true};
    struct fb_error a = {0}, b = {0};
    enum fb_status first = revoke_side(&fallback, parcel, recipients, count, end, closed_r, &a);
    enum fb_status second = revoke_side(&own, parcel, recipients, count, end, closed_r, &b);
    return worse(first, &a, second, &b, err);
}

enum fb_status storage_pair_purge(const struct storage_pair *pair, const struct fb_parcel *parcel,
                                  struct fb_error *err)
{
    if (pair->fallback == NULL) {
        return pair->storage->purge(pair->session, parcel, err);
    }
    struct fb_parcel view = {0};
    struct fb_error a = {0}, b = {0};
    enum fb_status first = storage_pair_view(parcel, true, &view, &a);
    if (first == FB_OK) {
        first = pair->fallback->purge(pair->fallback_session, &view, &a);
        fb_parcel_deinit(&view);
    }
    enum fb_status second = storage_pair_view(parcel, false, &view, &b);
    if (second == FB_OK) {
        second = pair->storage->purge(pair->session, &view, &b);
        fb_parcel_deinit(&view);
    }
    return worse(first, &a, second, &b, err);
}

/* ---- giving back ---- */

/* State and id of the view's grants; a secret, where there is one, stays what it was. */
static void merge(struct fb_parcel *parcel, const struct fb_parcel *view)
{
    for (uint32_t i = 0; i < parcel->grant_count; i++) {
        struct fb_parcel_grant *g = &parcel->grants[i];
        const struct fb_parcel_grant *now = find(view, g->recipient);
        if (now != NULL) {
            replace(&g->grant_id, now->grant_id != NULL ? now->grant_id : "");
            replace(&g->state, now->state != NULL ? now->state : "");
        }
    }
}

static enum fb_status reopen_side(const struct side *side,
                                  const struct storage_grant_request *requests, size_t count,
                                  struct fb_parcel *parcel, struct fb_error *err)
{
    struct fb_parcel view = {0};
    enum fb_status s = storage_pair_view(parcel, side->is_fallback, &view, err);
    if (s != FB_OK) {
        return s;
    }
    struct storage_grant_request *own = fb_xcalloc(count + 1, sizeof *own);
    size_t own_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (find(&view, requests[i].recipient) != NULL) {
            own[own_count++] = requests[i];
        }
    }
    if (own_count > 0) {
        s = side->storage->reopen(side->session, own, own_count, &view, err);
        merge(parcel, &view);
    }
    free(own);
    fb_parcel_deinit(&view);
    return s;
}

enum fb_status storage_pair_reopen(const struct storage_pair *pair,
                                   const struct storage_grant_request *requests, size_t count,
                                   struct fb_parcel *parcel, struct fb_error *err)
{
    if (pair->fallback == NULL) {
        return pair->storage->reopen(pair->session, requests, count, parcel, err);
    }
    const struct side own = {pair->storage, pair->session, false};
    const struct side fallback = {pair->fallback, pair->fallback_session, true};
    struct fb_error a = {0}, b = {0};
    enum fb_status first = reopen_side(&own, requests, count, parcel, &a);
    enum fb_status second = reopen_side(&fallback, requests, count, parcel, &b);
    return worse(first, &a, second, &b, err);
}
