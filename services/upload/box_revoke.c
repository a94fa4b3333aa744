/* SPDX-License-Identifier: Apache-2.0
 *
 * Closing a parcel, and deleting it.  Everything here may be said twice: what is gone already is
 * done. */
#include <stdio.h>
#include <string.h>

#include "common/log.h"
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

/* Removes every collaboration of one address that the folder has. */
static enum fb_status remove_address(struct storage_session *s, const struct fb_parcel *parcel,
                                     const json_t *direct, const char *address,
                                     struct fb_error *err)
{
    enum fb_status st = FB_OK;
    size_t i = 0;
    const json_t *c = NULL;
    json_array_foreach(direct, i, c)
    {
        char id[32];
        if (st == FB_OK && box_is_of(c, address) && box_json_id(c, "id", id)) {
            st = box_remove_collaboration(s, parcel, id, err);
        }
    }
    return st;
}

static enum fb_status revoke_some(struct storage_session *s, const struct fb_parcel *parcel,
                                  const uint32_t *recipients, size_t count, struct fb_error *err)
{
    json_t *direct = NULL;
    enum fb_status st = FB_OK;
    for (uint32_t i = 0; i < parcel->grant_count && st == FB_OK; i++) {
        const struct fb_parcel_grant *g = &parcel->grants[i];
        if (!is_named(recipients, count, g->recipient)) {
            continue;
        }
        if (is_id(g->grant_id)) {
            st = box_remove_collaboration(s, parcel, g->grant_id, err);
        } else if (g->address != NULL) {
            st = direct == NULL ? box_collaborations(s, parcel, &direct, NULL, err) : FB_OK;
            st = st == FB_OK ? remove_address(s, parcel, direct, g->address, err) : st;
        }
    }
    json_decref(direct);
    return st;
}

/* The list says who is in; the grants say who may be invited without being in any list. */
static enum fb_status revoke_all(struct storage_session *s, const struct fb_parcel *parcel,
                                 struct fb_error *err)
{
    json_t *direct = NULL;
    enum fb_status st = box_remove_link(s, parcel, err);
    if (st == FB_OK) {
        st = box_collaborations(s, parcel, &direct, NULL, err);
    }
    size_t i = 0;
    const json_t *c = NULL;
    json_array_foreach(direct, i, c)
    {
        char id[32];
        if (st == FB_OK && box_json_id(c, "id", id)) {
            st = box_remove_collaboration(s, parcel, id, err);
        }
    }
    for (uint32_t g = 0; g < parcel->grant_count && st == FB_OK; g++) {
        const char *id = parcel->grants[g].grant_id;
        bool is_removed = false;
        json_array_foreach(direct, i, c)
        {
            char other[32];
            is_removed =
                is_removed || (id != NULL && box_json_id(c, "id", other) && strcmp(other, id) == 0);
        }
        if (is_id(id) && !is_removed) {
            st = box_remove_collaboration(s, parcel, id, err);
        }
    }
    json_decref(direct);
    return st;
}

/* One link for everybody: it goes when nobody is left whom it was for. */
static bool is_everybody(const struct fb_parcel *parcel, const uint32_t *recipients, size_t count)
{
    for (uint32_t i = 0; i < parcel->grant_count; i++) {
        if (!is_named(recipients, count, parcel->grants[i].recipient)) {
            return false;
        }
    }
    return true;
}

enum fb_status box_revoke(struct storage_session *s, const struct fb_parcel *parcel,
                          const uint32_t *recipients, size_t count, struct fb_error *err)
{
    if (!has_folder(parcel)) {
        return FB_OK;
    }
    bool is_by_link = parcel->access != NULL && strcmp(parcel->access, "recipients") != 0;
    if (count == 0 || (is_by_link && is_everybody(parcel, recipients, count))) {
        return revoke_all(s, parcel, err);
    }
    return revoke_some(s, parcel, recipients, count, err);
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
    enum fb_status st = revoke_all(s, parcel, err);
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
