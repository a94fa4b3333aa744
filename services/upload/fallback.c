/* SPDX-License-Identifier: Apache-2.0 */
#include "services/upload/fallback.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/metrics.h"

static bool is_of_fallback(const struct fb_parcel_grant *g)
{
    return g->storage != NULL && g->storage[0] != '\0';
}

static bool is_pending(const struct fb_parcel_grant *g)
{
    return !is_of_fallback(g) && g->state != NULL && strcmp(g->state, "pending") == 0;
}

const char *upload_fallback_name(const struct upload_work *w)
{
    if (w->parcel.fallback != NULL && w->parcel.fallback[0] != '\0') {
        return w->parcel.fallback; /* where an earlier try put them, whatever the rule says now */
    }
    const struct fb_policy_rule *rule =
        w->policy != NULL ? fb_policy_find_rule(w->policy, w->branch->rule) : NULL;
    return rule != NULL && rule->without_account != NULL &&
                   strcmp(rule->without_account->name, w->branch->storage) != 0
               ? rule->without_account->name
               : NULL;
}

static void drop_grants(struct fb_parcel *p, bool (*is_one)(const struct fb_parcel_grant *g))
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < p->grant_count; i++) {
        struct fb_parcel_grant *g = &p->grants[i];
        if (is_one(g)) {
            free(g->address);
            free(g->grant_id);
            free(g->state);
            free(g->storage);
            *g = (struct fb_parcel_grant){0};
        } else {
            if (kept != i) {
                p->grants[kept] = *g;
                *g = (struct fb_parcel_grant){0};
            }
            kept++;
        }
    }
    p->grant_count = kept;
}

enum fb_status upload_fallback_split(struct upload_work *w, struct fb_error *err)
{
    if (w->parcel.fallback == NULL || w->parcel.fallback[0] == '\0') {
        return FB_OK;
    }
    enum fb_status s = storage_pair_view(&w->parcel, true, &w->moved, err);
    if (s == FB_OK) {
        drop_grants(&w->parcel, is_of_fallback);
    }
    return s;
}

bool upload_fallback_has(const struct upload_work *w, uint32_t recipient)
{
    for (uint32_t i = 0; i < w->moved.grant_count; i++) {
        if (w->moved.grants[i].recipient == recipient) {
            return true;
        }
    }
    return false;
}

/* ---- the vault's half ---- */

static enum fb_status open_half(struct upload_work *w, const char *name, struct fb_error *err)
{
    enum fb_status s = storage_sessions_get(w->sessions, w->storages, name, w->redis,
                                            &w->pair.fallback, &w->pair.fallback_session, err);
    if (s == FB_OK && w->parcel.fallback == NULL) {
        w->parcel.fallback = fb_xstrdup(name);
    }
    return s;
}

enum fb_status upload_fallback_open(struct upload_work *w, struct fb_error *err)
{
    const char *name = upload_fallback_name(w);
    return name != NULL ? open_half(w, name, err) : FB_OK;
}

static enum fb_status enter(struct upload_work *w, const char *name, struct fb_error *err)
{
    w->wait_ms = storage_away_enter(&w->pair.fallback_stay, name, true);
    return w->wait_ms == 0 ? open_half(w, name, err)
                           : fb_error_set(err, FB_AGAIN,
                                          "storage \"%s\" is down or slow; waiting for it", name);
}

/* Of this branch, and not recalled. */
static bool is_wanted(const struct upload_work *w, uint32_t recipient)
{
    for (uint32_t i = 0; i < w->branch->recipient_count; i++) {
        if (w->branch->recipients[i] == recipient) {
            return !w->recalled[i];
        }
    }
    return false;
}

/* Those of earlier tries and those who are pending now. */
static size_t list_requests(const struct upload_work *w, struct storage_grant_request *requests)
{
    size_t count = 0;
    for (uint32_t i = 0; i < w->moved.grant_count; i++) {
        const struct fb_parcel_grant *g = &w->moved.grants[i];
        if (is_wanted(w, g->recipient)) {
            requests[count++] = (struct storage_grant_request){
                g->recipient, w->envelope.recipients[g->recipient].address};
        }
    }
    for (uint32_t i = 0; i < w->parcel.grant_count; i++) {
        const struct fb_parcel_grant *g = &w->parcel.grants[i];
        if (is_pending(g) && is_wanted(w, g->recipient)) {
            requests[count++] = (struct storage_grant_request){
                g->recipient, w->envelope.recipients[g->recipient].address};
        }
    }
    return count;
}

static enum fb_status fill_vault(struct upload_work *w,
                                 const struct storage_grant_request *requests, size_t count,
                                 struct fb_error *err)
{
    const struct storage *vault = w->pair.fallback;
    struct storage_session *session = w->pair.fallback_session;
    const struct fb_policy_security *security = NULL;
    struct fb_parcel *p = &w->moved;
    memcpy(p->parcel_id, w->parcel_id, sizeof p->parcel_id);
    upload_describe(w, p);
    enum fb_status s = upload_security(w, &security, err);
    if (s == FB_OK) {
        s = vault->create(session, w->parcel_id, w->branch->path, p, err);
    }
    if (s == FB_OK) {
        s = upload_put_parts(w, vault, session, p, err);
    }
    return s == FB_OK ? vault->share(session, security, requests, count, p, err) : s;
}

/* ---- and the storage's ---- */

static enum fb_status take_back(struct upload_work *w, struct fb_error *err)
{
    uint32_t *list = fb_xcalloc(w->parcel.grant_count + 1, sizeof *list);
    size_t count = 0;
    for (uint32_t i = 0; i < w->parcel.grant_count; i++) {
        if (is_pending(&w->parcel.grants[i])) {
            list[count++] = w->parcel.grants[i].recipient;
        }
    }
    enum fb_status s = count > 0 ? w->pair.storage->revoke(w->pair.session, &w->parcel, list, count,
                                                           STORAGE_FOR_NOW, NULL, err)
                                 : FB_OK;
    free(list);
    if (s == FB_OK && count > 0) {
        drop_grants(&w->parcel, is_pending);
        fb_metric_add("fumibako_fallback_total", NULL, (double)count);
        fb_log(FB_INFO, "%zu recipients without an account read in the vault \"%s\"", count,
               w->parcel.fallback);
    }
    return s;
}

/* The vault's grants into the parcel, each with the vault's name.  The memory moves. */
static void join(struct upload_work *w)
{
    struct fb_parcel *p = &w->parcel;
    uint32_t total = p->grant_count + w->moved.grant_count;
    struct fb_parcel_grant *all = fb_xcalloc(total + 1, sizeof *all);
    if (p->grant_count > 0) {
        memcpy(all, p->grants, p->grant_count * sizeof *all);
    }
    for (uint32_t i = 0; i < w->moved.grant_count; i++) {
        struct fb_parcel_grant *g = &all[p->grant_count + i];
        *g = w->moved.grants[i];
        free(g->storage);
        g->storage = fb_xstrdup(p->fallback);
    }
    free(p->grants);
    p->grants = all;
    p->grant_count = total;
    free(w->moved.grants);
    w->moved.grants = NULL;
    w->moved.grant_count = 0;
}

/* What an earlier try put there, for somebody who got an account meanwhile, or for nobody any more. */
static enum fb_status clear_vault(struct upload_work *w, const char *name, struct fb_error *err)
{
    bool is_again =
        w->claim->deliveries > 1 || w->claim->job.attempt > 0 || w->parcel.fallback != NULL;
    if (!is_again) {
        return FB_OK;
    }
    enum fb_status s = enter(w, name, err);
    if (s == FB_OK) {
        memcpy(w->moved.parcel_id, w->parcel_id, sizeof w->moved.parcel_id);
        s = w->pair.fallback->purge(w->pair.fallback_session, &w->moved, err);
    }
    if (s == FB_OK) {
        fb_parcel_deinit(&w->moved);
        storage_away_leave(&w->pair.fallback_stay); /* which may lend the name */
        free(w->parcel.fallback);
        w->parcel.fallback = NULL;
        w->pair.fallback = NULL; /* the parcel has one half again */
    }
    return s;
}

enum fb_status upload_fallback_move(struct upload_work *w, struct fb_error *err)
{
    const char *name = upload_fallback_name(w);
    if (name == NULL) {
        return FB_OK;
    }
    struct storage_grant_request *requests =
        fb_xcalloc((size_t)w->moved.grant_count + w->parcel.grant_count + 1, sizeof *requests);
    size_t count = list_requests(w, requests);
    enum fb_status s = FB_OK;
    if (count == 0) {
        s = clear_vault(w, name, err);
        free(requests);
        return s;
    }
    s = enter(w, name, err);
    if (s == FB_OK) {
        s = fill_vault(w, requests, count, err);
    }
    if (s == FB_OK) {
        s = take_back(w, err);
    }
    if (s == FB_OK) {
        join(w);
    }
    free(requests);
    return s;
}
