/* SPDX-License-Identifier: Apache-2.0
 *
 * The parcel's folder, below the parents that the rule's path names.
 *
 * Which pool user owns a parcel is decided by its id alone (rendezvous hashing), not by load: a
 * worker that died after it
 * made the folder and before it could say so is followed by one that must find the same folder.
 * Ids are random, so the
 * load is even; adding a user moves only the new user's share.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/crypto.h"
#include "common/log.h"
#include "common/metrics.h"
#include "services/upload/box_internal.h"

#define MAX_CACHED 1000
#define MAX_DEPTH  32
#define HOUR_MS    (60 * 60 * 1000)

/* ---- which user ---- */

static const struct fb_policy_box_user *find_user(const struct fb_policy_storage *storage,
                                                  const char *id)
{
    for (size_t i = 0; i < storage->user_count; i++) {
        if (strcmp(storage->users[i].id, id) == 0) {
            return &storage->users[i];
        }
    }
    return NULL;
}

static const struct fb_policy_box_user *choose_user(const struct fb_policy_storage *storage,
                                                    const char *parcel_id)
{
    const struct fb_policy_box_user *best = NULL;
    uint8_t best_hash[FB_SHA256_SIZE] = {0};
    for (size_t i = 0; i < storage->user_count; i++) {
        uint8_t hash[FB_SHA256_SIZE];
        char text[FB_PARCEL_ID_SIZE + 64];
        (void)snprintf(text, sizeof text, "%s\n%.40s", parcel_id, storage->users[i].id);
        fb_sha256(text, strlen(text), hash);
        if (best == NULL || memcmp(hash, best_hash, sizeof hash) > 0) {
            best = &storage->users[i];
            memcpy(best_hash, hash, sizeof hash);
        }
    }
    return best;
}

static void set_text(char **to, const char *text)
{
    if (*to != text) {
        free(*to);
        *to = fb_xstrdup(text);
    }
}

/* Fills parcel->user and gives the folder that everything of that user lies below. */
static const char *settle_user(const struct fb_policy_storage *storage, const char *parcel_id,
                               struct fb_parcel *parcel)
{
    const struct fb_policy_box_user *user = NULL;
    bool is_set = parcel->folder_id != NULL && parcel->folder_id[0] != '\0' && parcel->user != NULL;
    if (parcel->user != NULL && parcel->user[0] != '\0') {
        user = find_user(storage, parcel->user);
    }
    if (user == NULL && !is_set) {
        user = choose_user(storage, parcel_id);
        set_text(&parcel->user, user != NULL ? user->id : "");
    }
    const char *root = user != NULL ? user->root_folder : storage->root_folder;
    return root != NULL && root[0] != '\0' ? root : "0";
}

/* ---- the cache of parents ---- */

static const char *cached(const struct storage_session *s, const char *key)
{
    for (const struct box_folder_cache *f = s->folders; f != NULL; f = f->next) {
        if (strcmp(f->path, key) == 0) {
            return f->id;
        }
    }
    return NULL;
}

void box_forget_folders(struct storage_session *s)
{
    while (s->folders != NULL) {
        struct box_folder_cache *f = s->folders;
        s->folders = f->next;
        free(f->path);
        free(f->id);
        free(f);
    }
    s->folder_count = 0;
}

static void remember(struct storage_session *s, const char *key, const char *id)
{
    if (s->folder_count >= MAX_CACHED) {
        box_forget_folders(s); /* rare; a rule that names a folder per mail is the rule's choice */
    }
    struct box_folder_cache *f = fb_xcalloc(1, sizeof *f);
    f->path = fb_xstrdup(key);
    f->id = fb_xstrdup(id);
    f->next = s->folders;
    s->folders = f;
    s->folder_count++;
}

/* ---- find or make ---- */

/* Whether the folder is the one that we mean: of that name and in that parent.  FB_NOT_FOUND when
 * it is not. */
static enum fb_status check_folder(struct storage_session *s, const char *user, const char *id,
                                   const char *parent, const char *name, struct fb_error *err)
{
    char url[512];
    char parent_id[32] = "";
    struct box_reply r = {0};
    (void)snprintf(url, sizeof url, "%s/folders/%s?fields=id,type,name,parent", s->api_url, id);
    const struct box_request q = {
        .method = "GET", .url = url, .user = user, .call = "folders.get", .is_safe = true};
    enum fb_status st = box_call(s, &q, &r, err);
    if (st == FB_OK && r.status == 200) {
        const char *there = json_string_value(json_object_get(r.json, "name"));
        const json_t *above = json_object_get(r.json, "parent");
        bool has_parent = box_json_id(above, "id", parent_id);
        bool is_it = there != NULL && strcasecmp(there, name) == 0 &&
                     (has_parent ? strcmp(parent_id, parent) == 0
                                 : json_is_null(above) && strcmp(parent, "0") == 0);
        st = is_it ? FB_OK : FB_NOT_FOUND;
    } else if (st == FB_OK) {
        st = r.status == 404 ? FB_NOT_FOUND : box_unexpected(&q, &r, err);
    }
    box_reply_deinit(&r);
    return st;
}

/* The name is taken and Box does not say by what: looks in the parent. */
static enum fb_status look_for(struct storage_session *s, const char *user, const char *parent,
                               const char *name, char id[32], struct fb_error *err)
{
    char path[64];
    long status = 0;
    json_t *entries = NULL;
    (void)snprintf(path, sizeof path, "/folders/%s/items", parent);
    enum fb_status st =
        box_list(s, user, "folders.items", path, "id,type,name", &entries, &status, err);
    if (st != FB_OK) {
        return st;
    }
    size_t i = 0;
    const json_t *entry = NULL;
    st = FB_NOT_FOUND;
    json_array_foreach(entries, i, entry)
    {
        const char *there = json_string_value(json_object_get(entry, "name"));
        const char *type = json_string_value(json_object_get(entry, "type"));
        if (there != NULL && type != NULL && strcmp(type, "folder") == 0 &&
            strcasecmp(there, name) == 0 && box_json_id(entry, "id", id)) {
            st = FB_OK;
            break;
        }
    }
    json_decref(entries);
    return st;
}

static enum fb_status adopt_folder(struct storage_session *s, const char *user, const char *parent,
                                   const char *name, const json_t *reply, char id[32],
                                   struct fb_error *err)
{
    const json_t *conflict = box_conflict(reply);
    const char *type = json_string_value(json_object_get(conflict, "type"));
    if (type != NULL && strcmp(type, "folder") != 0) {
        return fb_error_set(
            err, FB_DENIED,
            "Box folders.create: a %s has the name of a folder that is needed in folder %s; "
            "rename it",
            strcmp(type, "file") == 0 ? "file" : "web link", parent);
    }
    if (box_json_id(conflict, "id", id)) {
        enum fb_status st = check_folder(s, user, id, parent, name, err);
        if (st != FB_NOT_FOUND) {
            return st;
        }
    }
    enum fb_status st = look_for(s, user, parent, name, id, err);
    if (st == FB_NOT_FOUND) {
        return fb_error_set(
            err, FB_AGAIN,
            "Box folders.create: the name is taken in folder %s, yet no folder has it", parent);
    }
    return st;
}

/* Repeating it is safe: a folder that a lost answer had made is found by its name. FB_NOT_FOUND:
 * the parent is gone. */
static enum fb_status make_folder(struct storage_session *s, const char *user, const char *parent,
                                  const char *name, char id[32], bool *is_new_r,
                                  struct fb_error *err)
{
    char url[512];
    struct box_reply r = {0};
    (void)snprintf(url, sizeof url, "%s/folders?fields=id,type,name,parent", s->api_url);
    json_t *body = json_pack("{s:s,s:{s:s}}", "name", name, "parent", "id", parent);
    const struct box_request q = {.method = "POST",
                                  .url = url,
                                  .user = user,
                                  .call = "folders.create",
                                  .body = body,
                                  .is_safe = true};
    enum fb_status st = body != NULL ? box_call(s, &q, &r, err)
                                     : fb_error_set(err, FB_BUG, "a folder's name is no UTF-8");
    *is_new_r = false;
    if (st == FB_OK && r.status == 201) {
        const char *made = json_string_value(json_object_get(r.json, "name"));
        *is_new_r = box_json_id(r.json, "id", id) && made != NULL;
        st = *is_new_r ? FB_OK : box_unexpected(&q, &r, err);
    } else if (st == FB_OK && r.status == 409) {
        st = adopt_folder(s, user, parent, name, r.json, id, err);
    } else if (st == FB_OK) {
        st = r.status == 404 ? FB_NOT_FOUND : box_unexpected(&q, &r, err);
    }
    box_reply_deinit(&r);
    json_decref(body);
    return st;
}

/* FB_NOT_FOUND: a parent that we knew is gone. */
static enum fb_status find_parents(struct storage_session *s, const char *user, const char *root,
                                   const char *path, char id[32], struct fb_error *err)
{
    struct fb_buf key;
    struct fb_buf name;
    enum fb_status st = FB_OK;
    int depth = 0;
    fb_buf_init(&key, 65536);
    fb_buf_init(&name, 4096);
    (void)snprintf(id, 32, "%.31s", root);
    st = fb_buf_printf(&key, "%s\n%s", user, root);
    for (const char *at = path; st == FB_OK && *at != '\0';) {
        size_t len = strcspn(at, "/");
        char *part = fb_slice_dup_str(fb_slice_of(at, len));
        at += len + (at[len] == '/');
        if (part == NULL || len == 0) {
            free(part);
            continue;
        }
        st = ++depth > MAX_DEPTH
                 ? fb_error_set(err, FB_DENIED, "the rule's path has more than %d folders",
                                MAX_DEPTH)
                 : box_safe_name(part, NULL, 0, &name);
        free(part);
        st = st == FB_OK ? fb_buf_printf(&key, "/%s", fb_buf_str(&name)) : st;
        const char *known = st == FB_OK ? cached(s, fb_buf_str(&key)) : NULL;
        if (known != NULL) {
            (void)snprintf(id, 32, "%s", known);
        } else if (st == FB_OK) {
            char parent[32];
            bool is_new = false;
            memcpy(parent, id, sizeof parent);
            st = make_folder(s, user, parent, fb_buf_str(&name), id, &is_new, err);
            if (st == FB_OK) {
                remember(s, fb_buf_str(&key), id);
            }
        }
    }
    fb_buf_deinit(&name);
    fb_buf_deinit(&key);
    return st;
}

/* ---- the parcel's folder ---- */

/* A recipient who may download is a viewer, and a viewer may make an open link of the folder unless
 * the enterprise forbids it (a setting of the Admin Console, without a call that changes it): the
 * metric always says so, the log once an hour. */
static void watch_link_levels(struct storage_session *s, const json_t *levels)
{
    static _Atomic int64_t next_ms;
    bool is_open = false;
    size_t i;
    const json_t *level;
    json_array_foreach(levels, i, level)
    {
        const char *text = json_string_value(level);
        is_open = is_open || (text != NULL && strcmp(text, "collaborators") != 0);
    }
    char label[160];
    (void)snprintf(label, sizeof label, "storage=\"%.128s\"", s->storage->name);
    fb_metric_set("fumibako_storage_foreign_links_allowed", label, is_open ? 1 : 0);
    int64_t now = fb_mono_ms();
    int64_t due = next_ms;
    if (is_open && now >= due && atomic_compare_exchange_strong(&next_ms, &due, now + HOUR_MS)) {
        fb_log(FB_WARN,
               "Box lets recipients who may download make shared links of their own; in the Admin "
               "Console, Content & Sharing, set shared links to \"collaborators only\", or use "
               "download: false");
    }
}

/* Others must neither invite nor see each other; set before anything is in the folder, checked in
 * the answer. */
static enum fb_status restrict_folder(struct storage_session *s, const char *user, const char *id,
                                      const char *name, struct fb_error *err)
{
    char url[512];
    struct box_reply r = {0};
    (void)snprintf(
        url, sizeof url,
        "%s/folders/%s?fields=id,name,can_non_owners_invite,can_non_owners_view_collaborators,"
        "allowed_shared_link_access_levels",
        s->api_url, id);
    json_t *body =
        json_pack("{s:b,s:b}", "can_non_owners_invite", 0, "can_non_owners_view_collaborators", 0);
    const struct box_request q = {.method = "PUT",
                                  .url = url,
                                  .user = user,
                                  .call = "folders.restrict",
                                  .body = body,
                                  .is_safe = true};
    enum fb_status st = box_call(s, &q, &r, err);
    if (st == FB_OK && r.status == 404) {
        st = FB_NOT_FOUND;
    } else if (st == FB_OK && r.status != 200) {
        st = box_unexpected(&q, &r, err);
    } else if (st == FB_OK) {
        const char *there = json_string_value(json_object_get(r.json, "name"));
        if (there == NULL || strcasecmp(there, name) != 0) {
            st = FB_NOT_FOUND; /* renamed by hand, or an id of another enterprise */
        } else if (!json_is_false(json_object_get(r.json, "can_non_owners_invite")) ||
                   !json_is_false(json_object_get(r.json, "can_non_owners_view_collaborators"))) {
            st = fb_error_set(
                err, FB_DENIED,
                "Box folders.restrict: Box keeps the folder open to invitations of others");
        } else {
            watch_link_levels(s, json_object_get(r.json, "allowed_shared_link_access_levels"));
        }
    }
    box_reply_deinit(&r);
    json_decref(body);
    return st;
}

static void set_fresh(struct storage_session *s, const char *id)
{
    free(s->fresh_folder);
    s->fresh_folder = id != NULL ? fb_xstrdup(id) : NULL;
    box_forget_listing(s);
}

enum fb_status box_create(struct storage_session *s, const char *parcel_id, const char *path,
                          struct fb_parcel *parcel, struct fb_error *err)
{
    char name[FB_PARCEL_ID_SIZE + 2];
    char parent[32];
    char id[32] = "";
    const char *root = settle_user(s->storage, parcel_id, parcel);
    enum fb_status st = FB_NOT_FOUND;
    set_text(&parcel->storage, s->storage->name);
    (void)snprintf(name, sizeof name, "m-%s", parcel_id);
    set_fresh(s, NULL);
    if (parcel->folder_id != NULL && parcel->folder_id[0] != '\0') {
        st = restrict_folder(s, parcel->user, parcel->folder_id, name, err);
        if (st != FB_NOT_FOUND) {
            return st;
        }
    }
    for (int round = 0; round < 2 && st == FB_NOT_FOUND; round++) {
        bool is_new = false;
        st = find_parents(s, parcel->user, root, path != NULL ? path : "", parent, err);
        if (st == FB_OK) {
            st = make_folder(s, parcel->user, parent, name, id, &is_new, err);
        }
        if (st == FB_OK) {
            st = restrict_folder(s, parcel->user, id, name, err);
        }
        if (st == FB_OK && is_new) {
            set_fresh(s, id);
        }
        if (st == FB_NOT_FOUND) {
            box_forget_folders(s); /* a parent that we knew was deleted */
        }
    }
    if (st == FB_NOT_FOUND) {
        return fb_error_set(
            err, FB_CONFIG,
            "Box folder %s of storage \"%s\" is not there for user %s: check root_folder, and "
            "that this Box user may write to it",
            root, s->storage->name, parcel->user[0] != '\0' ? parcel->user : "\"service account\"");
    }
    if (st == FB_OK) {
        set_text(&parcel->folder_id, id);
    }
    return st;
}
