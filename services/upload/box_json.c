/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading Box's JSON: ids, conflicts, lists of several pages. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "services/upload/box_internal.h"

bool box_json_id(const json_t *object, const char *key, char id[32])
{
    const json_t *value = json_object_get(object, key);
    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        (void)snprintf(id, 32, "%lld", (long long)json_integer_value(value));
        return true;
    }
    const char *text = json_string_value(value);
    size_t len = text != NULL ? strlen(text) : 0;
    if (len == 0 || len > 20 || strspn(text, "0123456789") != len) {
        return false;
    }
    (void)snprintf(id, 32, "%s", text);
    return true;
}

const json_t *box_conflict(const json_t *reply)
{
    const json_t *conflicts = json_object_get(json_object_get(reply, "context_info"), "conflicts");
    return json_is_array(conflicts) ? json_array_get(conflicts, 0) : conflicts;
}

#define MAX_PAGES 64

enum fb_status box_list(struct storage_session *s, const char *user, const char *call,
                        const char *path, const char *fields, json_t **entries_r, long *status_r,
                        struct fb_error *err)
{
    json_t *all = json_array();
    char *marker = NULL;
    enum fb_status st = all != NULL ? FB_OK : fb_error_set(err, FB_NO_SPACE, "memory");
    *status_r = 200;
    for (int page = 0; st == FB_OK && (page == 0 || marker != NULL); page++) {
        struct fb_buf url;
        struct box_reply r = {0};
        fb_buf_init(&url, 8192);
        char *escaped = marker != NULL ? curl_easy_escape(s->curl, marker, 0) : NULL;
        st = fb_buf_printf(&url, "%s%s?limit=1000&fields=%s%s%s%s", s->api_url, path, fields,
                           strstr(path, "/items") != NULL ? "&usemarker=true" : "",
                           escaped != NULL ? "&marker=" : "", escaped != NULL ? escaped : "");
        curl_free(escaped);
        const struct box_request q = {
            .method = "GET", .url = fb_buf_str(&url), .user = user, .call = call, .is_safe = true};
        st = st == FB_OK ? box_call(s, &q, &r, err)
                         : fb_error_set(err, st, "a list's address is too long");
        const json_t *entries = json_object_get(r.json, "entries");
        free(marker);
        marker = NULL;
        if (st == FB_OK && r.status == 404) {
            *status_r = 404;
        } else if (st == FB_OK &&
                   (r.status != 200 || !json_is_array(entries) || page == MAX_PAGES)) {
            st = box_unexpected(&q, &r, err);
        } else if (st == FB_OK) {
            const char *next = json_string_value(json_object_get(r.json, "next_marker"));
            marker = next != NULL && next[0] != '\0' ? fb_xstrdup(next) : NULL;
            st = json_array_extend(all, json_object_get(r.json, "entries")) == 0
                     ? FB_OK
                     : fb_error_set(err, FB_NO_SPACE, "memory");
        }
        box_reply_deinit(&r);
        fb_buf_deinit(&url);
    }
    free(marker);
    if (st != FB_OK) {
        json_decref(all);
        return st;
    }
    *entries_r = all;
    return FB_OK;
}
