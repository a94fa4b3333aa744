/* SPDX-License-Identifier: Apache-2.0
 *
 * Box is tried: each account logs in (https://developer.box.com/reference/get-users-me/, which also says what it uses
 * and may use), and finds the folder of its parcels.  Nothing is written: a folder of ours would stay in the trash.  */
#include <stdio.h>
#include <string.h>

#include "services/upload/box_internal.h"

#define MOST_USERS 16                       /* of a pool; the others are like them */
#define UNLIMITED  INT64_C(999999999999999) /* Box's way to say that there is no limit */

static void read_space(const json_t *me, struct fb_storage_space *space_r)
{
    const json_t *used = json_object_get(me, "space_used");
    const json_t *amount = json_object_get(me, "space_amount");
    /* Large ones come as 1.0e15. */
    if (json_is_number(used) && json_number_value(used) >= 0 && json_number_value(used) < 9e18) {
        space_r->used = (int64_t)json_number_value(used);
    }
    if (json_is_number(amount) && json_number_value(amount) < 9e18) {
        int64_t quota = (int64_t)json_number_value(amount);
        space_r->quota = quota < 0 || quota >= UNLIMITED ? 0 : quota;
    }
}

static enum fb_status ask_me(struct storage_session *s, const char *user,
                             struct fb_storage_space *space_r, struct fb_error *err)
{
    char url[512];
    struct box_reply r = {0};
    (void)snprintf(url, sizeof url, "%s/users/me?fields=id,type,space_used,space_amount",
                   s->api_url);
    const struct box_request q = {
        .method = "GET", .url = url, .user = user, .call = "users.me", .is_safe = true};
    enum fb_status st = box_call(s, &q, &r, err);
    if (st == FB_OK && r.status == 200 && r.json != NULL) {
        read_space(r.json, space_r);
    } else if (st == FB_OK) {
        st = box_unexpected(&q, &r, err);
    }
    box_reply_deinit(&r);
    return st;
}

static enum fb_status ask_folder(struct storage_session *s, const char *user, const char *folder,
                                 struct fb_error *err)
{
    char url[512];
    struct box_reply r = {0};
    (void)snprintf(url, sizeof url, "%s/folders/%s?fields=id,type,permissions", s->api_url, folder);
    const struct box_request q = {
        .method = "GET", .url = url, .user = user, .call = "folders.get", .is_safe = true};
    enum fb_status st = box_call(s, &q, &r, err);
    if (st == FB_OK && r.status == 404) {
        st =
            fb_error_set(err, FB_CONFIG,
                         "Box folder %s is not there for this account: check root_folder, and that "
                         "the account may see it",
                         folder);
    } else if (st == FB_OK && (r.status != 200 || r.json == NULL)) {
        st = box_unexpected(&q, &r, err);
    } else if (st == FB_OK && json_is_false(json_object_get(json_object_get(r.json, "permissions"),
                                                            "can_upload"))) {
        st = fb_error_set(err, FB_CONFIG,
                          "this account may not upload to Box folder %s: make it an editor or "
                          "co-owner of the folder",
                          folder);
    }
    box_reply_deinit(&r);
    return st;
}

static int64_t sum(int64_t a, int64_t b)
{
    int64_t both = 0;
    return a < 0 || b < 0 || __builtin_add_overflow(a, b, &both) ? -1 : both;
}

/* All together: no quota where one account has none. */
static void add_space(struct fb_storage_space *all, const struct fb_storage_space *one,
                      bool is_first)
{
    if (is_first) {
        *all = *one;
        return;
    }
    all->used = sum(all->used, one->used);
    all->quota = all->quota == 0 || one->quota == 0 ? 0 : sum(all->quota, one->quota);
}

/* False: there is no use in trying the next one. */
static bool try_account(struct storage_session *s, const char *user, const char *folder,
                        bool is_first, struct fb_storage_report *report)
{
    struct fb_error err = {0};
    struct fb_storage_space space = {-1, -1, -1};
    int64_t since = fb_mono_ms();
    enum fb_status st = ask_me(s, user, &space, &err);
    struct fb_storage_step_result *step =
        fb_storage_report_add(report, FB_STORAGE_LOGIN, user, since, st, &err);
    if (st != FB_OK) {
        return !box_is_passing(st); /* Box is away for all of them */
    }
    if (step != NULL) {
        step->space = space;
    }
    add_space(&report->space, &space, is_first);
    since = fb_mono_ms();
    st = ask_folder(s, user, folder[0] != '\0' ? folder : "0", &err);
    (void)fb_storage_report_add(report, FB_STORAGE_FOLDER, user, since, st, &err);
    return true;
}

void box_check(struct storage_session *s, bool writes, struct fb_storage_report *report)
{
    const struct fb_policy_storage *storage = s->storage;
    const char *root = storage->root_folder != NULL ? storage->root_folder : "";
    (void)writes;
    if (storage->user_count == 0) {
        (void)try_account(s, "", root, true, report);
        return;
    }
    for (size_t i = 0; i < storage->user_count && i < MOST_USERS; i++) {
        const struct fb_policy_box_user *user = &storage->users[i];
        const char *folder = user->root_folder != NULL ? user->root_folder : "";
        if (!try_account(s, user->id, folder, i == 0, report)) {
            break;
        }
    }
}
