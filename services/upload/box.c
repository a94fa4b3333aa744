/* SPDX-License-Identifier: Apache-2.0
 *
 * Box in the table of storages: opening and closing one thread's session. */
#include "services/upload/box.h"

#include <stdlib.h>
#include <string.h>

#include "common/curl_handle.h"
#include "services/upload/box_internal.h"

#define API_URL    "https://api.box.com/2.0"
#define UPLOAD_URL "https://upload.box.com/api/2.0"

struct box_times box_times = {
    .connect_ms = 10000,
    .low_speed_s = 60,
    .call_ms = 120000,
    .backoff_ms = 1000,
    .patience_ms = 60000,
    .commit_ms = 300000,
};

static char *base_url(const char *given, const char *standard)
{
    char *url = fb_xstrdup(given != NULL && given[0] != '\0' ? given : standard);
    size_t len = strlen(url);
    while (len > 0 && url[len - 1] == '/') {
        url[--len] = '\0';
    }
    return url;
}

static void box_close(struct storage_session *s)
{
    if (s == NULL) {
        return;
    }
    box_forget_folders(s);
    box_forget_listing(s);
    fb_curl_free(s->curl);
    box_auth_close(&s->auth);
    free(s->fresh_folder);
    free(s->api_url);
    free(s->upload_url);
    free(s);
}

static enum fb_status box_open(const struct fb_policy_storage *storage,
                               const struct fb_config *config, struct fb_redis *redis,
                               struct storage_session **session_r, struct fb_error *err)
{
    (void)config;
    struct storage_session *s = fb_xcalloc(1, sizeof *s);
    s->storage = storage;
    s->redis = redis;
    s->api_url = base_url(storage->api_url, API_URL);
    s->upload_url = base_url(storage->upload_url, UPLOAD_URL);
    enum fb_status st = box_auth_open(storage, &s->auth, err);
    if (st == FB_OK) {
        s->curl = fb_curl_new();
        st = s->curl != NULL ? FB_OK : fb_error_set(err, FB_BUG, "libcurl cannot be used");
    }
    if (st != FB_OK) {
        box_close(s);
        return st;
    }
    *session_r = s;
    return FB_OK;
}

const struct storage box_storage = {
    .type = "box",
    .open = box_open,
    .close = box_close,
    .create = box_create,
    .put = box_put,
    .share = box_share,
    .revoke = box_revoke,
    .reopen = box_reopen,
    .purge = box_purge,
    .safe_name = box_safe_name,
    .events = box_events,
    .grant_state = box_grant_state,
    .close_link = box_close_link,
    .check = box_check,
};
