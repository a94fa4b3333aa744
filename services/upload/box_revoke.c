/* SPDX-License-Identifier: Apache-2.0
 *
 * Closing a parcel, and deleting it.  Everything here may be said twice: what is gone already is
 * done. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/service.h"
#include "services/upload/box_share.h"

static bool is_named(const uint32_t *recipients, size_t count, uint32_t recipient)
{
    for (size_t i = 0; i < count; i++) {
        if (recipients[i] == recipient) {
            return true;
        }
    }
    return false;
}

static bool is_id(const char *text)
{
    return text != NULL && text[0] != '\0' && strlen(text) <= 20 &&
           strspn(text, "0123456789") == strlen(text);
}

static bool has_folder(const struct fb_parcel *parcel)
{
    return is_id(parcel->folder_id);
}

/* ---- the link ---- */

static enum fb_status put_link(struct storage_session *s, const struct fb_parcel *parcel,
                               json_t *link, struct box_reply *r, struct fb_error *err)
{
    char url[512];
    (void)snprintf(url, sizeof url, "%s/folders/%s?fields=shared_link,has_collaborations",
                   s->api_url, parcel->folder_id);
    json_t *body = link != NULL ? json_pack("{s:o}", "shared_link", link) : NULL;
    const struct box_request q = {.method = "PUT",
                                  .url = url,
                                  .user = parcel->user,
                                  .call = "folders.unlink",
                                  .body = body,
                                  .is_safe = true};
    enum fb_status st =
        body != NULL ? box_call(s, &q, r, err) : fb_error_set(err, FB_NO_SPACE, "memory");
    json_decref(body);
    return st;
}

static const char *effective_access(const struct box_reply *r)
{
    const char *access = json_string_value(
        json_object_get(json_object_get(r->json, "shared_link"), "effective_access"));
    return access != NULL ? access : "";
}

/* Whether the link is there for collaborators only.  An enterprise without such links makes it
 * wider. */
static bool narrow_link(struct storage_session *s, const struct fb_parcel *parcel,
                        struct box_reply *r, enum fb_status *status_r, struct fb_error *err)
{
    *status_r = put_link(s, parcel, json_pack("{s:s}", "access", "collaborators"), r, err);
    return *status_r == FB_OK && r->status == 200 &&
           strcmp(effective_access(r), "collaborators") == 0;
}

enum fb_status box_end_link(struct storage_session *s, const struct fb_parcel *parcel,
                            enum storage_end end, bool *is_shared_r, struct fb_error *err)
{
    struct box_reply r = {0};
    enum fb_status st = FB_OK;
    bool has_link = parcel->link != NULL && parcel->link[0] != '\0';
    bool is_narrow = end == STORAGE_FOR_NOW && has_link && narrow_link(s, parcel, &r, &st, err);
    if (!is_narrow && (st == FB_OK || st == FB_DENIED) && r.status != 404) {
        box_reply_deinit(&r);
        st = put_link(s, parcel, json_null(), &r, err);
        if (st == FB_OK && r.status == 200 &&
            json_is_object(json_object_get(r.json, "shared_link"))) {
            st = fb_error_set(err, FB_AGAIN, "Box folders.unlink: the link is still there");
        } else if (st == FB_OK && r.status != 200 && r.status != 404) {
            const struct box_request q = {.call = "folders.unlink"};
            st = box_unexpected(&q, &r, err);
        }
    }
    if (is_shared_r != NULL) {
        /* Where Box does not say, there is a look. */
        *is_shared_r =
            r.status != 404 && !json_is_false(json_object_get(r.json, "has_collaborations"));
    }
    box_reply_deinit(&r);
    return st;
}

/* ---- the grants ---- */

#define MAX_FAILURES 3 /* in a row: the storage is away, not one grant */

/* One call that fails does not keep the others from being made. */
struct closing {
    struct storage_session *s;
    const struct fb_parcel *parcel;
    bool *closed; /* by grant */
    json_t *direct;
    struct fb_error
        error;    /* of the first failure; one that may pass goes before one that does not */
    int failures; /* in a row */
};

static void note(struct closing *c, enum fb_status st, const struct fb_error *err)
{
    c->failures = st == FB_OK ? 0 : c->failures + 1;
    bool is_worse = c->error.status != FB_OK &&
                    fb_status_class(c->error.status) != FB_CLASS_RETRY &&
                    fb_status_class(st) == FB_CLASS_RETRY;
    if (st != FB_OK && (c->error.status == FB_OK || is_worse)) {
        c->error = *err;
        c->error.status = st;
    }
}

static bool is_useless(const struct closing *c)
{
    return c->failures >= MAX_FAILURES || c->error.status == FB_CONFIG || fb_service_stopping();
}

/* Removes every collaboration of one address that the folder has. */
static enum fb_status remove_address(struct closing *c, const char *address, struct fb_error *err)
{
    enum fb_status st =
        c->direct == NULL ? box_collaborations(c->s, c->parcel, &c->direct, NULL, err) : FB_OK;
    size_t i = 0;
    const json_t *one = NULL;
    json_array_foreach(c->direct, i, one)
    {
        char id[32];
        if (st == FB_OK && box_is_of(one, address) && box_json_id(one, "id", id)) {
            st = box_remove_collaboration(c->s, c->parcel, id, err);
        }
    }
    return st;
}

static bool is_gone(const struct fb_parcel_grant *g)
{
    return g->state != NULL && strcmp(g->state, "recalled") == 0;
}

static void close_grants(struct closing *c, const uint32_t *recipients, size_t count)
{
    for (uint32_t i = 0; i < c->parcel->grant_count && !is_useless(c); i++) {
        const struct fb_parcel_grant *g = &c->parcel->grants[i];
        struct fb_error err = {0};
        enum fb_status st = FB_OK;
        if (count > 0 && !is_named(recipients, count, g->recipient)) {
            continue;
        }
        if (!is_gone(g) && is_id(g->grant_id)) {
            st = box_remove_collaboration(c->s, c->parcel, g->grant_id, &err);
        } else if (!is_gone(g) && g->address != NULL && count > 0) {
            st = remove_address(c, g->address, &err);
        }
        note(c, st, &err);
        c->closed[i] = st == FB_OK;
    }
}

static bool is_ours(const struct fb_parcel *parcel, const char *id)
{
    for (uint32_t i = 0; i < parcel->grant_count; i++) {
        const char *grant_id = parcel->grants[i].grant_id;
        if (!is_gone(&parcel->grants[i]) && grant_id != NULL && strcmp(grant_id, id) == 0) {
            return true;
        }
    }
    return false;
}

/* Whoever else is in: let in by somebody's hand, or by a try of upload that ended before it wrote the grants down. */
static void close_others(struct closing *c)
{
    struct fb_error err = {0};
    json_t *direct = NULL;
    enum fb_status st = box_collaborations(c->s, c->parcel, &direct, NULL, &err);
    size_t i = 0;
    const json_t *one = NULL;
    note(c, st, &err);
    json_array_foreach(direct, i, one)
    {
        char id[32];
        if (!is_useless(c) && box_json_id(one, "id", id) && !is_ours(c->parcel, id)) {
            struct fb_error own = {0};
            note(c, box_remove_collaboration(c->s, c->parcel, id, &own), &own);
        }
    }
    json_decref(direct);
}

/* One call a grant, and one for the link, whose answer says whether anybody is in still: the folder's list is read
 * only then.  A link that opens by itself goes first. */
static void close_all(struct closing *c, bool is_by_link, enum storage_end end)
{
    struct fb_error err = {0};
    bool is_shared = true;
    enum fb_status link = FB_OK;
    if (is_by_link) {
        link = box_end_link(c->s, c->parcel, end, &is_shared, &err);
        note(c, link, &err);
    }
    close_grants(c, NULL, 0);
    if (!is_by_link && !is_useless(c)) {
        link = box_end_link(c->s, c->parcel, end, &is_shared, &err);
        note(c, link, &err);
    }
    if (is_shared && !is_useless(c)) {
        close_others(c);
    }
    for (uint32_t i = 0; i < c->parcel->grant_count && is_by_link; i++) {
        c->closed[i] = link == FB_OK;
    }
    /* A grant without an id ended with the others: its address was another one of a person who was in. */
    for (uint32_t i = 0; i < c->parcel->grant_count && !is_by_link; i++) {
        const struct fb_parcel_grant *g = &c->parcel->grants[i];
        c->closed[i] =
            c->closed[i] && (is_gone(g) || is_id(g->grant_id) || c->error.status == FB_OK);
    }
}

/* One link for everybody: it goes when nobody is left whom it was for. */
static bool is_everybody(const struct fb_parcel *parcel, const uint32_t *recipients, size_t count)
{
    for (uint32_t i = 0; i < parcel->grant_count; i++) {
        if (!is_gone(&parcel->grants[i]) &&
            !is_named(recipients, count, parcel->grants[i].recipient)) {
            return false;
        }
    }
    return true;
}

enum fb_status box_revoke(struct storage_session *s, const struct fb_parcel *parcel,
                          const uint32_t *recipients, size_t count, enum storage_end end,
                          bool *closed_r, struct fb_error *err)
{
    if (!has_folder(parcel)) {
        for (uint32_t i = 0; i < parcel->grant_count && closed_r != NULL; i++) {
            closed_r[i] = true;
        }
        return FB_OK;
    }
    bool is_by_link = parcel->access != NULL && strcmp(parcel->access, "recipients") != 0;
    struct closing c = {
        .s = s, .parcel = parcel, .closed = fb_xcalloc(parcel->grant_count + 1, sizeof *c.closed)};
    if (count == 0 || (is_by_link && is_everybody(parcel, recipients, count))) {
        close_all(&c, is_by_link, end);
    } else {
        close_grants(&c, recipients, count);
    }
    if (c.error.status == FB_OK && is_useless(&c)) {
        (void)fb_error_set(&c.error, FB_AGAIN, "stopping");
    }
    for (uint32_t i = 0; i < parcel->grant_count && closed_r != NULL; i++) {
        closed_r[i] = c.closed[i];
    }
    json_decref(c.direct);
    free(c.closed);
    if (c.error.status != FB_OK && err != NULL) {
        *err = c.error;
    }
    return c.error.status;
}

/* ---- deleting ---- */

static enum fb_status delete_call(struct storage_session *s, const struct fb_parcel *parcel,
                                  const char *what, const char *call, const char *denied,
                                  struct fb_error *err)
{
    char url[512];
    struct box_reply r = {0};
    (void)snprintf(url, sizeof url, "%s/folders/%s%s", s->api_url, parcel->folder_id, what);
    const struct box_request q = {
        .method = "DELETE", .url = url, .user = parcel->user, .call = call, .is_safe = true};
    enum fb_status st = box_call(s, &q, &r, err);
    if (st == FB_DENIED && r.status == 403) {
        st = fb_error_set(err, FB_DENIED, "%s (HTTP 403 %s, request %s)", denied, r.code,
                          r.request_id);
    } else if (st == FB_OK && r.status != 204 && r.status != 200 && r.status != 404) {
        st = box_unexpected(&q, &r, err);
    }
    box_reply_deinit(&r);
    return st;
}

enum fb_status box_purge(struct storage_session *s, const struct fb_parcel *parcel,
                         struct fb_error *err)
{
    if (!has_folder(parcel)) {
        return FB_OK;
    }
    /* First access, then content: deleting can be refused or take its time. */
    enum fb_status st = box_revoke(s, parcel, NULL, 0, STORAGE_FOR_GOOD, NULL, err);
    if (st == FB_OK) {
        st = delete_call(s, parcel, "?recursive=true", "folders.delete",
                         "access is ended, but Box does not let the folder be deleted: a retention "
                         "policy, a legal hold or a "
                         "lock is on it; ask the Box administrator",
                         err);
    }
    if (st == FB_OK) {
        st = delete_call(s, parcel, "/trash", "folders.purge",
                         "access is ended and the folder is in the trash, but Box does not let it "
                         "be purged: permanent "
                         "deletion is limited to administrators, or a retention policy is on it; "
                         "it goes with the trash",
                         err);
    }
    return st;
}
