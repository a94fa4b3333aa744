/* SPDX-License-Identifier: Apache-2.0
 *
 * Removing for good.  In a bucket that keeps versions, deleting only hides an object: here every
 * version of it is deleted, and the marks that hide it.
 */
#include <stdio.h>
#include <string.h>

#include "common/s3/internal.h"

#define MAX_QUERY   8192U
#define MAX_VERSION 1024U
#define MAX_ROUNDS  100000U /* of 1,000 versions: more is a listing that never ends */

/* ---- what can be seen ---- */

/* A page of keys, worked on when it is complete. */
struct page {
    struct fb_buf keys; /* each with its NUL */
    size_t count;
};

static bool keep(void *ctx, const struct fb_s3_entry *entry)
{
    struct page *page = ctx;
    size_t len = strlen(entry->key) + 1;
    if (page->count == 1000 || fb_buf_add(&page->keys, entry->key, len) != FB_OK) {
        return false;
    }
    page->count++;
    return true;
}

static enum fb_status delete_seen(struct fb_s3 *s3, const char *prefix, struct fb_error *err)
{
    enum fb_status s = FB_OK;
    size_t count = 1;
    for (unsigned round = 0; round < MAX_ROUNDS && count > 0 && s == FB_OK; round++) {
        struct page page = {0};
        fb_buf_init(&page.keys, (size_t)1000 * FB_S3_KEY_SIZE);
        s = fb_s3_list(s3, prefix, NULL, keep, &page, err);
        count = page.count;
        for (size_t at = 0; at < page.keys.len && s == FB_OK;) {
            const char *key = (const char *)page.keys.ptr + at;
            s = fb_s3_delete(s3, key, err);
            at += strlen(key) + 1;
        }
        fb_buf_deinit(&page.keys);
    }
    return s;
}

/* ---- versions ---- */

static enum fb_status list_query(const struct fb_s3 *s3, const char *prefix, struct fb_buf *query)
{
    enum fb_status s = fb_buf_add_str(query, "prefix=");
    s = s == FB_OK ? fb_s3_encode(s3->prefix, false, query) : s;
    s = s == FB_OK ? fb_s3_encode(prefix, false, query) : s;
    return s == FB_OK ? fb_buf_add_str(query, "&versions=") : s;
}

static enum fb_status delete_version(struct fb_s3 *s3, const char *key, const char *version,
                                     struct fb_error *err)
{
    struct fb_buf query;
    struct fb_s3_reply reply;
    fb_buf_init(&query, MAX_QUERY);
    enum fb_status s = fb_buf_add_str(&query, "versionId=");
    s = s == FB_OK ? fb_s3_encode(version, false, &query) : s;
    if (s != FB_OK) {
        s = fb_error_set(err, FB_INVALID, "S3 DeleteObject %s: the version's id is too long", key);
    } else {
        const struct fb_s3_call call = {.name = "DeleteObjectVersion",
                                        .method = "DELETE",
                                        .key = key,
                                        .query = fb_buf_str(&query)};
        s = fb_s3_perform(s3, &call, &reply, err);
        fb_s3_reply_deinit(&reply);
        s = s == FB_NOT_FOUND ? FB_OK : s;
    }
    fb_buf_deinit(&query);
    return s;
}

/* Deletes what a page names under one tag. */
static enum fb_status delete_listed(struct fb_s3 *s3, struct fb_slice xml, const char *tag,
                                    size_t *count, struct fb_error *err)
{
    struct fb_slice item = {0};
    size_t skip = strlen(s3->prefix);
    enum fb_status s = FB_OK;
    while (s == FB_OK && fb_s3_xml_next(&xml, tag, &item)) {
        char key[FB_S3_KEY_SIZE];
        char version[MAX_VERSION];
        if (!fb_s3_xml_get(item, "Key", key, sizeof key) || strncmp(key, s3->prefix, skip) != 0 ||
            !fb_s3_xml_get(item, "VersionId", version, sizeof version)) {
            return fb_error_set(err, FB_CORRUPT, "S3 ListObjectVersions: an entry cannot be read");
        }
        s = delete_version(s3, key + skip, version, err);
        *count += 1;
    }
    return s;
}

/* One page from the start, which is the next one once it is deleted.  *is_end_r: nothing is left,
 * or the store has no versions (it then answers another listing, or that it cannot). */
static enum fb_status delete_page(struct fb_s3 *s3, const char *query, bool *is_end_r,
                                  struct fb_error *err)
{
    struct fb_s3_reply reply;
    struct fb_error own = {0};
    const struct fb_s3_call call = {.name = "ListObjectVersions", .method = "GET", .query = query};
    enum fb_status s = fb_s3_perform(s3, &call, &reply, &own);
    struct fb_slice xml = fb_slice_buf(&reply.body);
    struct fb_slice listing = {0};
    size_t count = 0;
    *is_end_r = true;
    if (reply.status == 501 || reply.status == 405 || strcmp(reply.code, "NotImplemented") == 0) {
        s = FB_OK;
    } else if (s != FB_OK) {
        if (err != NULL) {
            *err = own;
        }
    } else if (fb_s3_xml_next(&xml, "ListVersionsResult", &listing)) {
        s = delete_listed(s3, listing, "Version", &count, err);
        if (s == FB_OK) {
            s = delete_listed(s3, listing, "DeleteMarker", &count, err);
        }
        *is_end_r = count == 0;
    }
    fb_s3_reply_deinit(&reply);
    return s;
}

enum fb_status fb_s3_purge(struct fb_s3 *s3, const char *prefix, struct fb_error *err)
{
    struct fb_buf query;
    bool is_end = false;
    fb_buf_init(&query, MAX_QUERY);
    /* What can be seen first: right for every store, and nobody finds it while versions go. */
    enum fb_status s = delete_seen(s3, prefix, err);
    if (s == FB_OK && list_query(s3, prefix, &query) != FB_OK) {
        s = fb_error_set(err, FB_INVALID, "S3 ListObjectVersions: the prefix is too long");
    }
    for (unsigned round = 0; round < MAX_ROUNDS && !is_end && s == FB_OK; round++) {
        s = delete_page(s3, fb_buf_str(&query), &is_end, err);
    }
    if (s == FB_CONFIG && err != NULL) {
        /* These credentials have just deleted what could be seen. */
        const struct fb_error own = *err;
        s = fb_error_set(
            err, FB_DENIED,
            "older versions are kept: the bucket has a lock on them, or the credentials "
            "lack ListBucketVersions and DeleteObjectVersion (%.300s)",
            own.text);
    }
    fb_buf_deinit(&query);
    return s;
}
