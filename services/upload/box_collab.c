/* SPDX-License-Identifier: Apache-2.0
 *
 * Collaborations of a parcel's folder.  An invitation is no idempotent call: whatever is not
 * certain is looked up in the
 * folder's list first.  Box sends no mail (notify=false); our notice is the mail.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/log.h"
#include "services/upload/box_share.h"

#define FIELDS "id,type,status,role,accessible_by,invite_email,item"
#define TRIES  3

/* ---- what is there ---- */

bool box_is_of(const json_t *c, const char *address)
{
    const char *login =
        json_string_value(json_object_get(json_object_get(c, "accessible_by"), "login"));
    const char *invited = json_string_value(json_object_get(c, "invite_email"));
    return (login != NULL && strcasecmp(login, address) == 0) ||
           (invited != NULL && strcasecmp(invited, address) == 0);
}

static const json_t *find_id(const json_t *list, const char *id)
{
    size_t i = 0;
    const json_t *c = NULL;
    json_array_foreach(list, i, c)
    {
        char other[32];
        if (box_json_id(c, "id", other) && strcmp(other, id) == 0) {
            return c;
        }
    }
    return NULL;
}

/* Collaborations of the folder above; an empty list for the root, which cannot have any. */
static enum fb_status list_above(struct storage_session *s, const struct fb_parcel *parcel,
                                 json_t **list_r, struct fb_error *err)
{
    char url[512];
    char id[32] = "0";
    struct box_reply r = {0};
    (void)snprintf(url, sizeof url, "%s/folders/%s?fields=id,type,parent", s->api_url,
                   parcel->folder_id);
    const struct box_request q = {
        .method = "GET", .url = url, .user = parcel->user, .call = "folders.get", .is_safe = true};
    enum fb_status st = box_call(s, &q, &r, err);
    if (st == FB_OK && r.status == 200) {
        (void)box_json_id(json_object_get(r.json, "parent"), "id", id);
    } else if (st == FB_OK && r.status != 404) {
        st = box_unexpected(&q, &r, err);
    }
    box_reply_deinit(&r);
    if (st == FB_OK && strcmp(id, "0") != 0) {
        char path[80];
        long status = 0;
        (void)snprintf(path, sizeof path, "/folders/%s/collaborations", id);
        return box_list(s, parcel->user, "folders.collaborations", path, FIELDS, list_r, &status,
                        err);
    }
    if (st == FB_OK) {
        *list_r = json_array();
    }
    return st;
}

/* Where a collaboration was made: 1 here, 0 above, -1 Box does not say (an invitation without an
 * account). */
static int is_here(const json_t *c, const struct fb_parcel *parcel)
{
    char id[32];
    return box_json_id(json_object_get(c, "item"), "id", id) ? strcmp(id, parcel->folder_id) == 0
                                                             : -1;
}

enum fb_status box_collaborations(struct storage_session *s, const struct fb_parcel *parcel,
                                  json_t **direct_r, json_t **inherited_r, struct fb_error *err)
{
    char path[80];
    long status = 0;
    json_t *all = NULL;
    json_t *above = NULL;
    (void)snprintf(path, sizeof path, "/folders/%s/collaborations", parcel->folder_id);
    enum fb_status st =
        box_list(s, parcel->user, "folders.collaborations", path, FIELDS, &all, &status, err);
    json_t *direct = json_array();
    json_t *inherited = json_array();
    size_t i = 0;
    json_t *c = NULL;
    json_array_foreach(all, i, c)
    {
        char id[32];
        int here = is_here(c, parcel);
        if (st == FB_OK && here < 0 && above == NULL) {
            st = list_above(s, parcel, &above, err);
        }
        if (st != FB_OK) {
            break;
        }
        if (box_json_id(c, "id", id)) {
            bool is_ours = here == 1 || (here < 0 && find_id(above, id) == NULL);
            if (json_array_append(is_ours ? direct : inherited, c) != 0) {
                st = fb_error_set(err, FB_NO_SPACE, "memory");
            }
        }
    }
    json_decref(all);
    json_decref(above);
    if (st != FB_OK || inherited_r == NULL) {
        json_decref(inherited);
    } else {
        *inherited_r = inherited;
    }
    if (st != FB_OK) {
        json_decref(direct);
    } else {
        *direct_r = direct;
    }
    return st;
}

enum fb_status box_remove_collaboration(struct storage_session *s, const struct fb_parcel *parcel,
                                        const char *id, struct fb_error *err)
{
    char url[512];
    struct box_reply r = {0};
    (void)snprintf(url, sizeof url, "%s/collaborations/%s", s->api_url, id);
    const struct box_request q = {.method = "DELETE",
                                  .url = url,
                                  .user = parcel->user,
                                  .call = "collaborations.delete",
                                  .is_safe = true};
    enum fb_status st = box_call(s, &q, &r, err);
    if (st == FB_OK && r.status != 204 && r.status != 200 && r.status != 404) {
        st = box_unexpected(&q, &r, err);
    }
    box_reply_deinit(&r);
    return st;
}

/* ---- letting one in ---- */

struct entry {
    struct storage_session *s;
    struct fb_parcel *parcel;
    const char *role;
    const struct storage_grant_request *request;
};

/* accepted: active; pending: they will be when they have an account, or a second factor. */
static const char *state_of(const json_t *c)
{
    const char *status = json_string_value(json_object_get(c, "status"));
    return status == NULL                    ? NULL
           : strcmp(status, "accepted") == 0 ? "active"
           : strcmp(status, "pending") == 0  ? "pending"
                                             : NULL;
}

static void add_grant(const struct entry *e, const char *id, const char *state)
{
    box_set_grant(&e->parcel->grants[e->parcel->grant_count++], e->request, id, state);
}

static enum fb_status set_role(const struct entry *e, const char *id, struct fb_error *err)
{
    char url[512];
    struct box_reply r = {0};
    (void)snprintf(url, sizeof url, "%s/collaborations/%s", e->s->api_url, id);
    json_t *body = json_pack("{s:s}", "role", e->role);
    const struct box_request q = {.method = "PUT",
                                  .url = url,
                                  .user = e->parcel->user,
                                  .call = "collaborations.update",
                                  .body = body,
                                  .is_safe = true};
    enum fb_status st =
        body != NULL ? box_call(e->s, &q, &r, err) : fb_error_set(err, FB_NO_SPACE, "memory");
    if (st == FB_OK && r.status == 200) {
        const char *role = json_string_value(json_object_get(r.json, "role"));
        if (role == NULL || strcmp(role, e->role) != 0) {
            st = fb_error_set(
                err, FB_DENIED,
                "Box does not give recipient %u the role \"%s\"; enable it for the enterprise",
                e->request->recipient, e->role);
        }
    } else if (st == FB_OK) {
        st = r.status == 404 ? fb_error_set(err, FB_AGAIN,
                                            "Box collaborations.update: the collaboration is gone")
                             : box_unexpected(&q, &r, err);
    }
    box_reply_deinit(&r);
    json_decref(body);
    return st;
}

/* A collaboration that is there: its role is made right.  One that was rejected is not there. */
static enum fb_status take_collaboration(const struct entry *e, const json_t *c,
                                         struct fb_error *err)
{
    char id[32];
    const char *state = state_of(c);
    const char *role = json_string_value(json_object_get(c, "role"));
    if (!box_json_id(c, "id", id)) {
        return fb_error_set(err, FB_AGAIN, "Box collaborations.create: the answer has no id");
    }
    if (state == NULL) {
        enum fb_status st = box_remove_collaboration(e->s, e->parcel, id, err);
        return st == FB_OK ? FB_NOT_FOUND : st;
    }
    if (role == NULL || strcmp(role, e->role) != 0) {
        enum fb_status st = set_role(e, id, err);
        if (st != FB_OK) {
            struct fb_error own = {0};
            if (box_remove_collaboration(e->s, e->parcel, id, &own) != FB_OK) {
                fb_log(
                    FB_ERROR,
                    "a collaboration with another role than promised could not be taken back: %s",
                    own.text);
            }
            return st;
        }
    }
    add_grant(e, id, state);
    return FB_OK;
}

static const json_t *find_address(const json_t *list, const char *address)
{
    size_t i = 0;
    const json_t *c = NULL;
    json_array_foreach(list, i, c)
    {
        if (box_is_of(c, address)) {
            return c;
        }
    }
    return NULL;
}

/* Box says that this person is in already, or the answer was lost. FB_NOT_FOUND: they are not. */
static enum fb_status look_for(const struct entry *e, bool is_said, struct fb_error *err)
{
    json_t *direct = NULL;
    json_t *inherited = NULL;
    enum fb_status st = box_collaborations(e->s, e->parcel, &direct, &inherited, err);
    if (st != FB_OK) {
        return st;
    }
    const json_t *c = find_address(direct, e->request->address);
    if (c != NULL) {
        st = take_collaboration(e, c, err);
    } else if (!is_said) {
        st = FB_NOT_FOUND;
    } else if (json_array_size(inherited) > 0) {
        st = fb_error_set(
            err, FB_DENIED,
            "recipient %u gets in by a collaboration of a folder above the parcel, which a recall "
            "could not end; take the collaborators off the root folder",
            e->request->recipient);
    } else if (e->parcel->grant_count > 0) {
        /* Another address of a person who is in by this very mail: what ends that grant ends this
         * one. */
        add_grant(e, "", "active");
    } else {
        st = fb_error_set(
            err, FB_DENIED,
            "Box says that recipient %u is in the folder already (its owner?), and lists no "
            "collaboration that a recall could end",
            e->request->recipient);
    }
    json_decref(direct);
    json_decref(inherited);
    return st;
}

static bool is_already(const struct box_reply *r)
{
    return (r->status == 400 || r->status == 409) &&
           strcmp(r->code, "user_already_collaborator") == 0;
}

static enum fb_status refusal(const struct entry *e, const struct box_reply *r,
                              struct fb_error *err)
{
    if (strcmp(r->code, "forbidden_by_policy") == 0) {
        return fb_error_set(
            err, FB_DENIED,
            "Box forbids to invite recipient %u (forbidden_by_policy): allow the domain in "
            "Admin Console, Enterprise Settings, Content & Sharing",
            e->request->recipient);
    }
    return fb_error_set(err, FB_DENIED,
                        "Box refuses to invite recipient %u as \"%s\" (HTTP %ld %s, request %s)",
                        e->request->recipient, e->role, r->status,
                        r->code[0] != '\0' ? r->code : "without a code", r->request_id);
}

/* FB_EXISTS: is in already. */
static enum fb_status invite_once(const struct entry *e, bool asks_access_only, struct box_reply *r,
                                  struct fb_error *err)
{
    char url[512];
    (void)snprintf(url, sizeof url, "%s/collaborations?notify=false&fields=" FIELDS, e->s->api_url);
    json_t *body = json_pack("{s:{s:s,s:s},s:{s:s,s:s},s:s}", "item", "type", "folder", "id",
                             e->parcel->folder_id, "accessible_by", "type", "user", "login",
                             e->request->address, "role", e->role);
    if (body != NULL && asks_access_only &&
        json_object_set_new(body, "is_access_only", json_true()) != 0) {
        json_decref(body);
        body = NULL;
    }
    const struct box_request q = {.method = "POST",
                                  .url = url,
                                  .user = e->parcel->user,
                                  .call = "collaborations.create",
                                  .body = body};
    enum fb_status st =
        body != NULL ? box_call(e->s, &q, r, err)
                     : fb_error_set(err, FB_DENIED, "the address of recipient %u is no UTF-8",
                                    e->request->recipient);
    json_decref(body);
    return st == FB_OK && is_already(r) ? FB_EXISTS : st;
}

/* is_access_only hides the folder from the recipient's own list and its path from their eyes; not
 * every plan has it. */
static enum fb_status invite(const struct entry *e, struct fb_error *err)
{
    struct box_reply r = {0};
    bool asks = !e->s->lacks_access_only;
    enum fb_status st = invite_once(e, asks, &r, err);
    bool is_refused =
        (st == FB_OK && r.status == 400) ||
        (st == FB_DENIED && r.status == 403 && strcmp(r.code, "forbidden_by_policy") != 0);
    if (asks && is_refused) {
        box_reply_deinit(&r);
        st = invite_once(e, false, &r, err);
        if (st == FB_OK && r.status == 201) {
            e->s->lacks_access_only = true;
            fb_log(FB_INFO, "Box knows no is_access_only here; recipients will see parcels in "
                            "their own list of folders");
        }
    }
    if (st == FB_OK && r.status == 201) {
        st = take_collaboration(e, r.json, err);
    } else if (st == FB_OK && r.status == 404) {
        st = fb_error_set(err, FB_AGAIN, "Box collaborations.create: the parcel's folder is gone");
    } else if (st == FB_OK || (st == FB_DENIED && r.status == 403)) {
        st = refusal(e, &r, err);
    }
    box_reply_deinit(&r);
    return st;
}

static enum fb_status let_in(const struct entry *e, const json_t *direct, struct fb_error *err)
{
    enum fb_status st = FB_NOT_FOUND;
    const json_t *c = find_address(direct, e->request->address);
    if (c != NULL) {
        st = take_collaboration(e, c, err);
    }
    for (int attempt = 1; st == FB_NOT_FOUND; attempt++) {
        st = invite(e, err);
        if (st == FB_EXISTS) {
            st = look_for(e, true, err);
        } else if (box_is_passing(st) && attempt < TRIES && box_backoff(attempt, -1)) {
            enum fb_status there = look_for(e, false, err);
            st = there;
        }
        if (st == FB_NOT_FOUND && attempt == TRIES) {
            return fb_error_set(err, FB_AGAIN,
                                "Box collaborations.create: recipient %u is in and not in",
                                e->request->recipient);
        }
    }
    return st;
}

/* ---- everybody ---- */

static bool is_asked_for(const json_t *c, const struct storage_grant_request *requests,
                         size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (box_is_of(c, requests[i].address)) {
            return true;
        }
    }
    return false;
}

static enum fb_status put_out_others(struct storage_session *s,
                                     const struct storage_grant_request *requests, size_t count,
                                     const struct fb_parcel *parcel, const json_t *direct,
                                     struct fb_error *err)
{
    enum fb_status st = FB_OK;
    size_t i = 0;
    const json_t *c = NULL;
    json_array_foreach(direct, i, c)
    {
        char id[32];
        if (st == FB_OK && box_json_id(c, "id", id) && !is_asked_for(c, requests, count)) {
            st = box_remove_collaboration(s, parcel, id, err);
        }
    }
    return st;
}

enum fb_status box_collaborate(struct storage_session *s,
                               const struct storage_grant_request *requests, size_t count,
                               const char *role, struct fb_parcel *parcel, struct fb_error *err)
{
    json_t *direct = NULL;
    enum fb_status st = FB_OK;
    if (s->fresh_folder == NULL || strcmp(s->fresh_folder, parcel->folder_id) != 0) {
        /* An earlier try, perhaps for somebody whose mail was recalled since. */
        st = box_collaborations(s, parcel, &direct, NULL, err);
        if (st == FB_OK) {
            st = put_out_others(s, requests, count, parcel, direct, err);
        }
    }
    box_clear_grants(parcel);
    parcel->grants = fb_xcalloc(count > 0 ? count : 1, sizeof *parcel->grants);
    for (size_t i = 0; i < count && st == FB_OK; i++) {
        const struct entry e = {.s = s, .parcel = parcel, .role = role, .request = &requests[i]};
        st = let_in(&e, direct, err);
    }
    json_decref(direct);
    return st;
}

/* ---- letting back in ---- */

static struct fb_parcel_grant *find_grant(const struct fb_parcel *parcel, uint32_t recipient)
{
    for (uint32_t i = 0; i < parcel->grant_count; i++) {
        if (parcel->grants[i].recipient == recipient) {
            return &parcel->grants[i];
        }
    }
    return NULL;
}

static bool is_in(const struct fb_parcel_grant *g)
{
    return g->state != NULL && strcmp(g->state, "recalled") != 0;
}

/* The new grant takes the place of the one that was taken back. */
static void replace_grant(struct fb_parcel *parcel, struct fb_parcel_grant *fresh)
{
    struct fb_parcel_grant *g = find_grant(parcel, fresh->recipient);
    if (g != NULL) {
        free(g->address);
        free(g->grant_id);
        free(g->state);
        *g = *fresh;
        return;
    }
    struct fb_parcel_grant *more = fb_xcalloc((size_t)parcel->grant_count + 1, sizeof *more);
    if (parcel->grant_count > 0) {
        memcpy(more, parcel->grants, parcel->grant_count * sizeof *more);
    }
    free(parcel->grants);
    parcel->grants = more;
    parcel->grants[parcel->grant_count++] = *fresh;
}

enum fb_status box_let_back_in(struct storage_session *s,
                               const struct storage_grant_request *requests, size_t count,
                               const char *role, struct fb_parcel *parcel, struct fb_error *err)
{
    json_t *direct = NULL;
    enum fb_status st = box_collaborations(s, parcel, &direct, NULL, err);
    /* What is collected: lent grants of those who are in, then what is made here. */
    struct fb_parcel now = *parcel;
    now.grants = fb_xcalloc(parcel->grant_count + count + 1, sizeof *now.grants);
    now.grant_count = 0;
    for (uint32_t i = 0; i < parcel->grant_count; i++) {
        if (is_in(&parcel->grants[i])) {
            now.grants[now.grant_count++] = parcel->grants[i];
        }
    }
    uint32_t lent = now.grant_count;
    for (size_t i = 0; i < count && st == FB_OK; i++) {
        const struct entry e = {.s = s, .parcel = &now, .role = role, .request = &requests[i]};
        st = let_in(&e, direct, err);
    }
    uint32_t made = now.grant_count;
    for (uint32_t i = lent; i < made; i++) {
        replace_grant(parcel, &now.grants[i]);
    }
    free(now.grants);
    json_decref(direct);
    return st;
}
