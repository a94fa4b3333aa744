/* SPDX-License-Identifier: Apache-2.0
 *
 * What Box tells afterwards: pages of an event stream, the state of a collaboration, and the way to
 * end a link that somebody else made.
 *
 * Events come at least once, in no order, with ids as numbers or strings; the position is a number
 * beyond 2^53 or a string and goes back as it came.  The list of event types is open: what is not
 * known here is passed over.  Previews and downloads reach the owner of a file only, which is the
 * account that made the parcel. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/crypto.h"
#include "common/log.h"
#include "services/upload/box_internal.h"

#define PAGE_LIMIT   500
#define ANONYMOUS_ID "2"

struct type {
    const char *name;
    enum storage_event_kind kind;
};

static const struct type types[] = {
    /* a user's stream */
    {"ITEM_PREVIEW", STORAGE_EVENT_PREVIEW},
    {"ITEM_DOWNLOAD", STORAGE_EVENT_DOWNLOAD},
    {"COLLAB_ADD_COLLABORATOR", STORAGE_EVENT_ACCEPTED},
    {"ITEM_SHARED", STORAGE_EVENT_SHARED},
    {"ITEM_SHARED_CREATE", STORAGE_EVENT_SHARED},
    {"ITEM_SHARED_UPDATE", STORAGE_EVENT_SHARED},
    /* the enterprise's */
    {"PREVIEW", STORAGE_EVENT_PREVIEW},
    {"DOWNLOAD", STORAGE_EVENT_DOWNLOAD},
    {"FILE_WATERMARKED_DOWNLOAD", STORAGE_EVENT_DOWNLOAD},
    {"COLLABORATION_ACCEPT", STORAGE_EVENT_ACCEPTED},
    {"SHARE", STORAGE_EVENT_SHARED},
};

static enum storage_event_kind kind_of(const json_t *event)
{
    const char *name = json_string_value(json_object_get(event, "event_type"));
    for (size_t i = 0; name != NULL && i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(types[i].name, name) == 0) {
            return types[i].kind;
        }
    }
    return STORAGE_EVENT_OTHER;
}

/* "2026-01-01T00:00:00-08:00", with "Z" or a fraction, too; 0 for anything else. */
static int64_t read_time(const char *text)
{
    struct tm tm = {0};
    const char *rest = text != NULL ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
    if (rest == NULL) {
        return 0;
    }
    rest += *rest == '.' ? 1 + strspn(rest + 1, "0123456789") : 0;
    int64_t offset_s = 0;
    if ((*rest == '+' || *rest == '-') && strlen(rest) >= 6) {
        offset_s = ((int64_t)(rest[1] - '0') * 10 + (rest[2] - '0')) * 3600 +
                   ((int64_t)(rest[4] - '0') * 10 + (rest[5] - '0')) * 60;
        offset_s = *rest == '-' ? -offset_s : offset_s;
    }
    return ((int64_t)timegm(&tm) - offset_s) * 1000;
}

/* Whose items the stream tells of; the pool's users are known by the policy. */
static enum fb_status learn_own_id(struct storage_session *s, struct fb_error *err)
{
    char url[512];
    struct box_reply r = {0};
    if (s->own_id[0] != '\0') {
        return FB_OK;
    }
    (void)snprintf(url, sizeof url, "%s/users/me?fields=id,type,login", s->api_url);
    const struct box_request q = {
        .method = "GET", .url = url, .user = "", .call = "users.me", .is_safe = true};
    enum fb_status st = box_call(s, &q, &r, err);
    if (st == FB_OK && (r.status != 200 || !box_json_id(r.json, "id", s->own_id))) {
        st = box_unexpected(&q, &r, err);
    }
    box_reply_deinit(&r);
    return st;
}

static bool is_ours(const struct storage_session *s, const char *id)
{
    bool is_own = strcmp(id, s->own_id) == 0;
    for (size_t i = 0; i < s->storage->user_count; i++) {
        is_own = is_own || strcmp(id, s->storage->users[i].id) == 0;
    }
    return is_own;
}

static void read_actor(const struct storage_session *s, const json_t *event,
                       struct storage_event *e)
{
    const json_t *by = json_object_get(event, "created_by");
    const char *login = json_string_value(json_object_get(by, "login"));
    (void)box_json_id(by, "id", e->actor_id);
    e->is_own = e->actor_id[0] != '\0' && is_ours(s, e->actor_id);
    if (strcmp(e->actor_id, ANONYMOUS_ID) == 0) {
        (void)snprintf(e->actor, sizeof e->actor, "anonymous");
    } else if (login != NULL && login[0] != '\0') {
        (void)snprintf(e->actor, sizeof e->actor, "%s", login);
    } else {
        (void)snprintf(e->actor, sizeof e->actor, "user %s",
                       e->actor_id[0] != '\0' ? e->actor_id : "unknown");
    }
}

/* The two streams name the same things differently. */
static void read_item(const json_t *event, struct storage_event *e)
{
    const json_t *source = json_object_get(event, "source");
    const char *type = json_string_value(json_object_get(source, "item_type"));
    type = type != NULL ? type : json_string_value(json_object_get(source, "type"));
    e->is_folder = type != NULL && strcmp(type, "folder") == 0;
    if (!box_json_id(source, "item_id", e->item_id) &&
        !box_json_id(source, e->is_folder ? "folder_id" : "file_id", e->item_id)) {
        (void)box_json_id(source, "id", e->item_id);
    }
    if (e->is_folder) {
        memcpy(e->folder_id, e->item_id, sizeof e->folder_id);
    } else {
        (void)box_json_id(json_object_get(source, "parent"), "id", e->folder_id);
    }
}

static void read_id(const json_t *event, struct storage_event *e)
{
    uint8_t digest[FB_SHA256_SIZE];
    char number[32];
    const json_t *value = json_object_get(event, "event_id");
    const char *id = json_string_value(value);
    if (id == NULL && box_json_id(event, "event_id", number)) {
        id = number;
    }
    if (id != NULL && id[0] != '\0') {
        fb_sha256(id, strlen(id), digest);
        fb_hex(digest, sizeof digest, e->id);
    }
}

static void read_events(const struct storage_session *s, const json_t *entries,
                        struct storage_events *page)
{
    size_t i = 0;
    const json_t *event = NULL;
    page->items = fb_xcalloc(json_array_size(entries) + 1, sizeof *page->items);
    json_array_foreach(entries, i, event)
    {
        struct storage_event e = {.kind = kind_of(event)};
        if (e.kind == STORAGE_EVENT_OTHER) {
            continue;
        }
        read_id(event, &e);
        read_item(event, &e);
        read_actor(s, event, &e);
        e.at_ms = read_time(json_string_value(json_object_get(event, "created_at")));
        if (e.id[0] == '\0' || e.folder_id[0] == '\0') {
            fb_log(FB_DEBUG, "an event without id or folder is passed over");
            page->has_gap = page->has_gap || (!e.is_own && (e.kind == STORAGE_EVENT_PREVIEW ||
                                                            e.kind == STORAGE_EVENT_DOWNLOAD));
            continue;
        }
        page->items[page->count++] = e;
    }
}

static bool read_position(const json_t *reply, char position[256])
{
    const json_t *value = json_object_get(reply, "next_stream_position");
    const char *text = json_string_value(value);
    if (json_is_integer(value)) { /* 64 bits: exact */
        (void)snprintf(position, 256, "%lld", (long long)json_integer_value(value));
        return true;
    }
    if (text == NULL || text[0] == '\0' || strlen(text) >= 256) {
        return false;
    }
    (void)snprintf(position, 256, "%s", text);
    return true;
}

enum fb_status box_events(struct storage_session *s, const char *user, const char *position,
                          struct storage_events *page_r, struct fb_error *err)
{
    char url[2048];
    struct box_reply r = {0};
    bool is_enterprise = s->storage->follows_enterprise;
    *page_r = (struct storage_events){0};
    enum fb_status st = learn_own_id(s, err);
    if (st != FB_OK) {
        return st;
    }
    char *escaped = curl_easy_escape(s->curl, position, 0);
    (void)snprintf(url, sizeof url, "%s/events?stream_type=%s&stream_position=%s&limit=%d",
                   s->api_url, is_enterprise ? "admin_logs_streaming" : "all",
                   escaped != NULL ? escaped : "", PAGE_LIMIT);
    curl_free(escaped);
    const struct box_request q = {
        .method = "GET", .url = url, .user = user, .call = "events", .is_safe = true};
    st = box_call(s, &q, &r, err);
    const json_t *entries = json_object_get(r.json, "entries");
    if (is_enterprise && r.status == 403) {
        st = fb_error_set(
            err, FB_CONFIG,
            "Box does not let the app read the enterprise's events; give it \"Manage enterprise "
            "properties\" and authorise it again, or set events: user in the storage");
    } else if (st == FB_OK && (r.status != 200 || !json_is_array(entries) ||
                               !read_position(r.json, page_r->position))) {
        st = box_unexpected(&q, &r, err);
    }
    if (st == FB_OK) {
        read_events(s, entries, page_r);
        /* A short page is no end, an empty one or one that does not move is. */
        page_r->is_end = json_array_size(entries) == 0 || strcmp(page_r->position, position) == 0;
    }
    box_reply_deinit(&r);
    return st;
}

/* ---- one grant ---- */

static void read_two_step(const json_t *reply, char two_step[8])
{
    const json_t *value =
        json_object_get(json_object_get(json_object_get(reply, "acceptance_requirements_status"),
                                        "two_factor_authentication_requirement"),
                        "user_has_two_factor_authentication_enabled");
    (void)snprintf(two_step, 8, "%s",
                   json_is_true(value)    ? "on"
                   : json_is_false(value) ? "off"
                                          : "");
}

enum fb_status box_grant_state(struct storage_session *s, const char *user, const char *grant_id,
                               struct storage_grant_state *state_r, struct fb_error *err)
{
    char url[512];
    struct box_reply r = {0};
    *state_r = (struct storage_grant_state){0};
    if (grant_id[0] == '\0' || strspn(grant_id, "0123456789") != strlen(grant_id)) {
        state_r->is_gone = true; /* access by link: nothing to ask about */
        return FB_OK;
    }
    (void)snprintf(url, sizeof url,
                   "%s/collaborations/%.32s?fields=status,accessible_by,"
                   "acceptance_requirements_status",
                   s->api_url, grant_id);
    const struct box_request q = {
        .method = "GET", .url = url, .user = user, .call = "collaborations.get", .is_safe = true};
    enum fb_status st = box_call(s, &q, &r, err);
    const char *status = json_string_value(json_object_get(r.json, "status"));
    if (st == FB_OK && r.status == 404) {
        state_r->is_gone = true;
    } else if (st == FB_OK && (r.status != 200 || status == NULL)) {
        st = box_unexpected(&q, &r, err);
    } else if (st == FB_OK) {
        const json_t *by = json_object_get(r.json, "accessible_by");
        const char *login = json_string_value(json_object_get(by, "login"));
        state_r->is_gone = strcmp(status, "rejected") == 0;
        state_r->is_pending = strcmp(status, "pending") == 0;
        (void)box_json_id(by, "id", state_r->user_id);
        (void)snprintf(state_r->login, sizeof state_r->login, "%s", login != NULL ? login : "");
        read_two_step(r.json, state_r->two_step);
    }
    box_reply_deinit(&r);
    return st;
}

/* ---- a link of somebody else's ---- */

static enum fb_status link_call(struct storage_session *s, const struct box_request *q,
                                struct box_reply *r, struct fb_error *err)
{
    enum fb_status st = box_call(s, q, r, err);
    if (st == FB_OK && r->status != 200 && r->status != 404) {
        st = box_unexpected(q, r, err);
    }
    return st;
}

static json_t *wanted_link(bool is_folder, const char *access)
{
    if (!is_folder) {
        return json_pack("{s:n}", "shared_link");
    }
    /* Narrowed in place: with its address unchanged, the notice's button goes on working. */
    return json_pack("{s:{s:s}}", "shared_link", "access",
                     strcmp(access, "company") == 0 ? "company" : "collaborators");
}

enum fb_status box_close_link(struct storage_session *s, const char *user, const char *item_id,
                              bool is_folder, const char *access, bool *was_open_r,
                              struct fb_error *err)
{
    char url[512];
    struct box_reply r = {0};
    *was_open_r = false;
    if (is_folder && strcmp(access, "anyone") == 0) {
        return FB_OK; /* nothing could be wider than what the rule says */
    }
    (void)snprintf(url, sizeof url, "%s/%s/%.32s?fields=shared_link", s->api_url,
                   is_folder ? "folders" : "files", item_id);
    struct box_request q = {
        .method = "GET", .url = url, .user = user, .call = "links.get", .is_safe = true};
    enum fb_status st = link_call(s, &q, &r, err);
    const json_t *link = json_object_get(r.json, "shared_link");
    const char *level = json_string_value(json_object_get(link, "access"));
    bool is_open = st == FB_OK && r.status == 200 && json_is_object(link) &&
                   (!is_folder || level == NULL || strcmp(level, "open") == 0 ||
                    (strcmp(level, "company") == 0 && strcmp(access, "company") != 0));
    box_reply_deinit(&r);
    r = (struct box_reply){0};
    if (st != FB_OK || !is_open) {
        return st;
    }
    json_t *body = wanted_link(is_folder, access);
    q.method = "PUT";
    q.call = "links.close";
    q.body = body;
    st = body != NULL ? link_call(s, &q, &r, err) : fb_error_set(err, FB_NO_SPACE, "memory");
    level = json_string_value(json_object_get(json_object_get(r.json, "shared_link"), "access"));
    if (st == FB_OK && r.status == 200 && level != NULL &&
        (!is_folder || strcmp(level, "open") == 0)) {
        st = fb_error_set(err, FB_AGAIN, "Box links.close: the link is still there");
    }
    *was_open_r = st == FB_OK;
    box_reply_deinit(&r);
    json_decref(body);
    return st;
}
