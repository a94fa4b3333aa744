/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening a parcel.  What Box answers is held against what the security definition promises; when
 * Box gave more, or
 * so little that the recipients could not read, the parcel is closed again and the message is held.
 *  Collaborations are
 * in box_collab.c, taking away in box_revoke.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/id.h"
#include "common/log.h"
#include "services/upload/box_share.h"
#include "services/upload/password.h"

/* ---- watermark ---- */

static enum fb_status set_watermark(struct storage_session *s, const struct fb_parcel *parcel,
                                    struct fb_error *err)
{
    char url[512];
    struct box_reply r = {0};
    (void)snprintf(url, sizeof url, "%s/folders/%s/watermark", s->api_url, parcel->folder_id);
    json_t *body = json_pack("{s:{s:s}}", "watermark", "imprint", "default");
    const struct box_request q = {.method = "PUT",
                                  .url = url,
                                  .user = parcel->user,
                                  .call = "folders.watermark",
                                  .body = body,
                                  .is_safe = true};
    enum fb_status st =
        body != NULL ? box_call(s, &q, &r, err) : fb_error_set(err, FB_NO_SPACE, "memory");
    if (st == FB_DENIED || (st == FB_OK && r.status != 200 && r.status != 201)) {
        st = fb_error_set(
            err, FB_DENIED,
            "Box refuses the watermark (HTTP %ld %s); the plan must have watermarking, or the "
            "security definition must not ask for it",
            r.status, r.code);
    }
    box_reply_deinit(&r);
    json_decref(body);
    return st;
}

/* ---- the link ---- */

struct wanted {
    const char *level; /* as Box calls it */
    const char *name;  /* as we call it */
    bool is_open;      /* opens by itself: company, open */
    bool can_download;
    const char *password; /* NULL = none */
    int64_t expires_ms;
};

static json_t *link_body(const struct wanted *w)
{
    json_t *link = json_pack("{s:s}", "access", w->level);
    bool ok = link != NULL;
    if (ok && w->is_open) {
        ok = json_object_set_new(link, "permissions",
                                 json_pack("{s:b}", "can_download", w->can_download)) == 0;
    }
    if (ok && strcmp(w->level, "open") == 0) {
        ok = json_object_set_new(link, "password",
                                 w->password != NULL ? json_string(w->password) : json_null()) == 0;
    }
    if (ok && w->is_open && w->expires_ms > 0) {
        char text[40];
        struct tm tm;
        time_t at = (time_t)(w->expires_ms / 1000);
        ok = gmtime_r(&at, &tm) != NULL &&
             strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm) > 0 &&
             json_object_set_new(link, "unshared_at", json_string(text)) == 0;
    }
    json_t *body = ok ? json_pack("{s:O}", "shared_link", link) : NULL;
    json_decref(link);
    return body;
}

static int rank(const char *level)
{
    return strcmp(level, "open") == 0 ? 2 : strcmp(level, "company") == 0 ? 1 : 0;
}

/* What Box made of the link against what was promised. */
static enum fb_status check_link(const struct storage_session *s, const struct wanted *w,
                                 const json_t *link, bool *can_download_r, struct fb_error *err)
{
    const char *url = json_string_value(json_object_get(link, "url"));
    const char *access = json_string_value(json_object_get(link, "effective_access"));
    const char *permission = json_string_value(json_object_get(link, "effective_permission"));
    if (url == NULL || access == NULL || !box_url_is_trusted(s, url)) {
        return fb_error_set(
            err, FB_DENIED,
            "Box folders.link: the answer has no link, or one that does not lead to Box");
    }
    if (strcmp(access, w->level) != 0) {
        bool is_wider = rank(access) > rank(w->level);
        return fb_error_set(
            err, FB_DENIED,
            "Box makes the link \"%.20s\" where \"%s\" was asked for, so that %s; change the "
            "enterprise's shared link settings or the security definition",
            access, w->level,
            is_wider ? "more people could read than promised" : "those it is for could not read");
    }
    *can_download_r = w->can_download;
    if (!w->is_open) {
        return FB_OK; /* the collaborators' roles decide what it opens */
    }
    bool downloads = permission == NULL || strstr(permission, "preview") == NULL;
    if (downloads && !w->can_download) {
        return fb_error_set(err, FB_DENIED,
                            "Box lets the link download where preview only was promised");
    }
    *can_download_r = downloads;
    if (w->password != NULL && !json_is_true(json_object_get(link, "is_password_enabled"))) {
        return fb_error_set(err, FB_DENIED, "Box made the link without its password");
    }
    if (w->expires_ms > 0 && !json_is_string(json_object_get(link, "unshared_at"))) {
        return fb_error_set(err, FB_DENIED,
                            "Box made the link without its end; expiring links need a paid plan");
    }
    return FB_OK;
}

static enum fb_status set_link(struct storage_session *s, const struct wanted *w,
                               struct fb_parcel *parcel, struct fb_error *err)
{
    char url[512];
    struct box_reply r = {0};
    bool is_made = false;
    bool can_download = false;
    (void)snprintf(url, sizeof url, "%s/folders/%s?fields=shared_link", s->api_url,
                   parcel->folder_id);
    json_t *body = link_body(w);
    const struct box_request q = {.method = "PUT",
                                  .url = url,
                                  .user = parcel->user,
                                  .call = "folders.link",
                                  .body = body,
                                  .is_safe = true};
    enum fb_status st =
        body != NULL ? box_call(s, &q, &r, err) : fb_error_set(err, FB_NO_SPACE, "memory");
    if (st == FB_OK && r.status == 200) {
        const json_t *link = json_object_get(r.json, "shared_link");
        is_made = true;
        st = check_link(s, w, link, &can_download, err);
        if (st == FB_OK) {
            free(parcel->link);
            parcel->link = fb_xstrdup(json_string_value(json_object_get(link, "url")));
            parcel->can_download = can_download;
        }
    } else if (st == FB_OK) {
        st = r.status == 404
                 ? fb_error_set(err, FB_AGAIN, "Box folders.link: the parcel's folder is gone")
                 : fb_error_set(err, FB_DENIED,
                                "Box refuses a link \"%s\"%s (HTTP %ld %s): see the enterprise's "
                                "shared link settings",
                                w->level, w->expires_ms > 0 && w->is_open ? " with an end" : "",
                                r.status, r.code);
    }
    if (is_made && st != FB_OK) {
        struct fb_error own = {0};
        if (box_end_link(s, parcel, STORAGE_FOR_GOOD, NULL, &own) != FB_OK) {
            fb_log(FB_ERROR, "a link that is not as promised could not be taken back: %s",
                   own.text);
        }
    }
    box_reply_deinit(&r);
    json_decref(body);
    return st;
}

/* ---- the whole ---- */

void box_clear_grants(struct fb_parcel *parcel)
{
    for (uint32_t i = 0; i < parcel->grant_count; i++) {
        free(parcel->grants[i].address);
        free(parcel->grants[i].grant_id);
        free(parcel->grants[i].state);
        free(parcel->grants[i].storage);
    }
    free(parcel->grants);
    parcel->grants = NULL;
    parcel->grant_count = 0;
}

void box_set_grant(struct fb_parcel_grant *g, const struct storage_grant_request *request,
                   const char *id, const char *state)
{
    *g = (struct fb_parcel_grant){.recipient = request->recipient,
                                  .address = fb_xstrdup(request->address),
                                  .grant_id = fb_xstrdup(id),
                                  .state = fb_xstrdup(state)};
}

static void grant_by_link(struct fb_parcel *parcel, const struct storage_grant_request *requests,
                          size_t count)
{
    box_clear_grants(parcel);
    parcel->grants = fb_xcalloc(count > 0 ? count : 1, sizeof *parcel->grants);
    for (size_t i = 0; i < count; i++) {
        box_set_grant(&parcel->grants[parcel->grant_count++], &requests[i], "", "active");
    }
}

enum fb_status box_share(struct storage_session *s, const struct fb_policy_security *security,
                         const struct storage_grant_request *requests, size_t count,
                         struct fb_parcel *parcel, struct fb_error *err)
{
    static const struct wanted kinds[] = {
        [FB_ACCESS_RECIPIENTS] = {.level = "collaborators", .name = "recipients"},
        [FB_ACCESS_COMPANY] = {.level = "company", .name = "company", .is_open = true},
        [FB_ACCESS_ANYONE] = {.level = "open", .name = "anyone", .is_open = true},
    };
    struct wanted w = kinds[security->access];
    storage_password(security->is_password_generated && security->access == FB_ACCESS_ANYONE,
                     parcel);
    w.can_download = security->can_download;
    w.password = parcel->password[0] != '\0' ? parcel->password : NULL;
    w.expires_ms = parcel->expires_ms;
    if (w.is_open && w.expires_ms > 0 && w.expires_ms <= fb_now_ms() + 1000) {
        return fb_error_set(err, FB_DENIED,
                            "the parcel's time was over before it could be opened to anybody");
    }
    enum fb_status st = security->is_watermarked ? set_watermark(s, parcel, err) : FB_OK;
    if (st == FB_OK) {
        /* With access by link too: an earlier policy may have let people in. */
        st = box_collaborate(s, w.is_open ? NULL : requests, w.is_open ? 0 : count,
                             security->can_download ? "viewer" : "previewer", parcel, err);
    }
    if (st == FB_OK && w.is_open) {
        grant_by_link(parcel, requests, count);
    }
    if (st == FB_OK) {
        st = set_link(s, &w, parcel, err);
    }
    if (st == FB_OK) {
        free(parcel->access);
        parcel->access = fb_xstrdup(w.name);
        free(s->fresh_folder);
        s->fresh_folder = NULL; /* from now on somebody is in it */
    }
    return st;
}

/* ---- opening it again ---- */

static struct wanted wanted_again(const struct fb_parcel *parcel)
{
    bool is_anyone = strcmp(parcel->access, "anyone") == 0;
    bool is_company = strcmp(parcel->access, "company") == 0;
    bool has_password = parcel->password != NULL && parcel->password[0] != '\0';
    return (struct wanted){.level = is_anyone    ? "open"
                                    : is_company ? "company"
                                                 : "collaborators",
                           .name = parcel->access,
                           .is_open = is_anyone || is_company,
                           .can_download = parcel->can_download,
                           .password = has_password ? parcel->password : NULL,
                           .expires_ms = parcel->expires_ms};
}

/* The notice has one link; a parcel that would need another one stays closed. */
static enum fb_status set_same_link(struct storage_session *s, const struct wanted *w,
                                    struct fb_parcel *parcel, struct fb_error *err)
{
    char *old = fb_xstrdup(parcel->link != NULL ? parcel->link : "");
    enum fb_status st = set_link(s, w, parcel, err);
    if (st == FB_OK && strcmp(old, parcel->link) != 0) {
        struct fb_error own = {0};
        free(parcel->link);
        parcel->link = fb_xstrdup(old);
        st = box_end_link(s, parcel, STORAGE_FOR_GOOD, NULL, &own);
        st = st == FB_OK
                 ? fb_error_set(err, FB_DENIED,
                                "the link in the notice is gone, and Box would make another "
                                "one: the parcel stays closed; send the mail again")
                 : fb_error_set(err, st,
                                "a link that nobody asked for could not be taken "
                                "back: %s",
                                own.text);
    }
    free(old);
    return st;
}

enum fb_status box_reopen(struct storage_session *s, const struct storage_grant_request *requests,
                          size_t count, struct fb_parcel *parcel, struct fb_error *err)
{
    if (parcel->access == NULL || parcel->folder_id == NULL || parcel->folder_id[0] == '\0') {
        return fb_error_set(err, FB_DENIED, "the parcel was never opened to anybody");
    }
    const struct wanted w = wanted_again(parcel);
    if (w.expires_ms > 0 && w.expires_ms <= fb_now_ms() + 1000) {
        return fb_error_set(err, FB_DENIED, "the parcel's time is over: send the mail again");
    }
    enum fb_status st = set_same_link(s, &w, parcel, err);
    if (st == FB_OK && !w.is_open) {
        st = box_let_back_in(s, requests, count, parcel->can_download ? "viewer" : "previewer",
                             parcel, err);
    }
    for (uint32_t i = 0; i < parcel->grant_count && st == FB_OK && w.is_open; i++) {
        free(parcel->grants[i].state);
        parcel->grants[i].state = fb_xstrdup("active");
    }
    return st;
}
