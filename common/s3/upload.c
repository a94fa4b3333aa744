/* SPDX-License-Identifier: Apache-2.0
 *
 * Streaming an object in: what fits into one part is put in one piece, all else by multipart
 * upload.  Each part is repeated by itself; nothing is visible before the end.
 */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/crypto.h"
#include "common/s3/internal.h"

#define MAX_UPLOAD_ID 512U
#define MAX_QUERY     4096U

struct part {
    char etag[80];
    char sha256[64]; /* as the store confirmed it; "" when it does not know checksums */
};

struct fb_s3_upload {
    struct fb_s3 *s3;
    char key[FB_S3_KEY_SIZE];
    char id[MAX_UPLOAD_ID]; /* "" while nothing was sent */
    size_t part_size;
    uint8_t *bytes;
    size_t len;
    struct part *parts;
    size_t count;
    size_t cap;
    enum fb_status failed;
};

enum fb_status fb_s3_upload_new(struct fb_s3 *s3, const char *key, size_t part_size,
                                struct fb_s3_upload **upload_r, struct fb_error *err)
{
    part_size = part_size > 0 ? part_size : FB_S3_PART;
    if (part_size < FB_S3_MIN_PART || part_size > FB_S3_MAX_PART ||
        strnlen(key, FB_S3_KEY_SIZE) == FB_S3_KEY_SIZE) {
        return fb_error_set(err, FB_INVALID, "not a size of parts or key for S3");
    }
    struct fb_s3_upload *u = fb_xcalloc(1, sizeof *u);
    u->s3 = s3;
    u->part_size = part_size;
    memcpy(u->key, key, strlen(key) + 1);
    u->bytes = fb_alloc_bounded(part_size, FB_S3_MAX_PART);
    if (u->bytes == NULL) {
        free(u);
        return fb_error_set(err, FB_NO_SPACE, "no memory for a part of an S3 object");
    }
    *upload_r = u;
    return FB_OK;
}

static enum fb_status begin(struct fb_s3_upload *u, struct fb_error *err)
{
    char size[64];
    struct fb_s3_reply reply;
    (void)snprintf(size, sizeof size, "x-amz-meta-fb-part-size: %zu", u->part_size);
    const char *headers[] = {"x-amz-checksum-algorithm: SHA256", size, NULL};
    const struct fb_s3_call call = {.name = "CreateMultipartUpload",
                                    .method = "POST",
                                    .key = u->key,
                                    .query = "uploads=",
                                    .headers = headers,
                                    .has_body = true,
                                    .is_error_in_200 = true};
    enum fb_status s = fb_s3_perform(u->s3, &call, &reply, err);
    if (s == FB_OK && (!fb_s3_xml_get(fb_slice_buf(&reply.body), "UploadId", u->id, sizeof u->id) ||
                       u->id[0] == '\0')) {
        s = fb_error_set(err, FB_CORRUPT, "S3 CreateMultipartUpload: no upload id came back");
    }
    fb_s3_reply_deinit(&reply);
    return s;
}

static enum fb_status id_query(const char *before, const char *id, struct fb_buf *query,
                               struct fb_error *err)
{
    enum fb_status s = fb_buf_add_str(query, before);
    s = s == FB_OK ? fb_buf_add_str(query, "uploadId=") : s;
    s = s == FB_OK ? fb_s3_encode(id, false, query) : s;
    return s == FB_OK ? FB_OK : fb_error_set(err, s, "an upload id of S3 is too long");
}

static struct part *next_part(struct fb_s3_upload *u)
{
    if (u->count == u->cap) {
        u->cap = u->cap == 0 ? 16 : u->cap * 2;
        struct part *grown = realloc(u->parts, u->cap * sizeof *grown);
        FB_ASSERT(grown != NULL);
        u->parts = grown;
    }
    struct part *part = &u->parts[u->count++];
    *part = (struct part){0};
    return part;
}

static enum fb_status send_part(struct fb_s3_upload *u, struct fb_error *err)
{
    char number[40];
    char checksum[80];
    char text[48]; /* 44 and a NUL */
    uint8_t digest[FB_SHA256_SIZE];
    struct fb_buf query;
    struct fb_s3_reply reply;
    struct fb_slice body = fb_slice_of(u->bytes, u->len);
    enum fb_status s = u->id[0] != '\0' ? FB_OK : begin(u, err);
    if (s != FB_OK) {
        return s;
    }
    if (u->count == FB_S3_MAX_PARTS) {
        return fb_error_set(err, FB_TOO_BIG, "S3 UploadPart %s: more than %u parts of %zu bytes",
                            u->key, FB_S3_MAX_PARTS, u->part_size);
    }
    fb_sha256(u->bytes, u->len, digest);
    (void)EVP_EncodeBlock((unsigned char *)text, digest, sizeof digest);
    (void)snprintf(checksum, sizeof checksum, "x-amz-checksum-sha256: %s", text);
    (void)snprintf(number, sizeof number, "partNumber=%zu&", u->count + 1);
    fb_buf_init(&query, MAX_QUERY);
    s = id_query(number, u->id, &query, err);
    const char *headers[] = {checksum, NULL};
    const struct fb_s3_call call = {.name = "UploadPart",
                                    .method = "PUT",
                                    .key = u->key,
                                    .query = fb_buf_str(&query),
                                    .headers = headers,
                                    .body = &body,
                                    .body_count = 1,
                                    .has_body = true};
    if (s == FB_OK) {
        s = fb_s3_perform(u->s3, &call, &reply, err);
        if (s == FB_OK && reply.info.etag[0] == '\0') {
            s = fb_error_set(err, FB_CORRUPT, "S3 UploadPart %s: no etag came back", u->key);
        }
        if (s == FB_OK) {
            struct part *part = next_part(u);
            memcpy(part->etag, reply.info.etag, sizeof part->etag);
            if (strcmp(reply.info.sha256, text) == 0) {
                memcpy(part->sha256, text, sizeof text);
            }
            u->len = 0;
        }
        fb_s3_reply_deinit(&reply);
    }
    fb_buf_deinit(&query);
    return s;
}

enum fb_status fb_s3_upload_add(struct fb_s3_upload *u, const void *ptr, size_t len,
                                struct fb_error *err)
{
    const uint8_t *from = ptr;
    if (u->failed != FB_OK) {
        return fb_error_set(err, u->failed, "the upload failed before");
    }
    while (len > 0) {
        if (u->len == u->part_size) {
            u->failed = send_part(u, err);
            if (u->failed != FB_OK) {
                return u->failed;
            }
        }
        size_t room = u->part_size - u->len;
        size_t take = len < room ? len : room;
        memcpy(u->bytes + u->len, from, take);
        u->len += take;
        from += take;
        len -= take;
    }
    return FB_OK;
}

static enum fb_status complete_body(const struct fb_s3_upload *u, struct fb_buf *xml)
{
    enum fb_status s = fb_buf_add_str(
        xml, "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for (size_t i = 0; i < u->count && s == FB_OK; i++) {
        const struct part *p = &u->parts[i];
        size_t len = strlen(p->etag);
        bool is_quoted = len >= 2 && p->etag[0] == '"' && p->etag[len - 1] == '"';
        s = fb_buf_printf(xml, "<Part><PartNumber>%zu</PartNumber><ETag>&quot;%.*s&quot;</ETag>",
                          i + 1, (int)(is_quoted ? len - 2 : len), p->etag + (is_quoted ? 1 : 0));
        if (s == FB_OK && p->sha256[0] != '\0') {
            s = fb_buf_printf(xml, "<ChecksumSHA256>%s</ChecksumSHA256>", p->sha256);
        }
        s = s == FB_OK ? fb_buf_add_str(xml, "</Part>") : s;
    }
    return s == FB_OK ? fb_buf_add_str(xml, "</CompleteMultipartUpload>") : s;
}

/* The answer to an earlier try was lost when the upload is gone and the object is there, as large
 * as we made it. */
static bool is_complete(struct fb_s3_upload *u, uint64_t size)
{
    struct fb_s3_info info = {0};
    return fb_s3_head(u->s3, u->key, &info, NULL) == FB_OK && info.size == size &&
           info.part_size == u->part_size;
}

static enum fb_status complete(struct fb_s3_upload *u, uint64_t size, struct fb_error *err)
{
    struct fb_buf query;
    struct fb_buf xml;
    struct fb_s3_reply reply;
    fb_buf_init(&query, MAX_QUERY);
    fb_buf_init(&xml, FB_S3_MAX_REPLY);
    enum fb_status s = id_query("", u->id, &query, err);
    if (s == FB_OK) {
        s = complete_body(u, &xml);
        s = s == FB_OK ? FB_OK : fb_error_set(err, s, "the list of parts is too long");
    }
    struct fb_slice body = fb_slice_buf(&xml);
    const struct fb_s3_call call = {.name = "CompleteMultipartUpload",
                                    .method = "POST",
                                    .key = u->key,
                                    .query = fb_buf_str(&query),
                                    .body = &body,
                                    .body_count = 1,
                                    .has_body = true,
                                    .is_error_in_200 = true};
    if (s == FB_OK) {
        s = fb_s3_perform(u->s3, &call, &reply, err);
        if (s == FB_NOT_FOUND && is_complete(u, size)) {
            s = FB_OK;
        }
        fb_s3_reply_deinit(&reply);
    }
    if (s == FB_OK) {
        u->id[0] = '\0';
    }
    fb_buf_deinit(&query);
    fb_buf_deinit(&xml);
    return s;
}

enum fb_status fb_s3_upload_commit(struct fb_s3_upload **upload, struct fb_error *err)
{
    struct fb_s3_upload *u = *upload;
    enum fb_status s = u->failed;
    if (s != FB_OK) {
        (void)fb_error_set(err, s, "the upload failed before");
    } else if (u->id[0] == '\0' && u->count == 0) {
        struct fb_slice bytes = fb_slice_of(u->bytes, u->len);
        s = fb_s3_put(u->s3, u->key, &bytes, 1, false, err);
    } else {
        uint64_t size = (uint64_t)u->count * u->part_size + u->len;
        s = u->len > 0 ? send_part(u, err) : FB_OK;
        s = s == FB_OK ? complete(u, size, err) : s;
    }
    fb_s3_upload_abort(upload); /* frees; takes the parts back when it did not come to the end */
    return s;
}

static enum fb_status abort_id(struct fb_s3 *s3, const char *key, const char *id,
                               struct fb_error *err)
{
    struct fb_buf query;
    struct fb_s3_reply reply;
    fb_buf_init(&query, MAX_QUERY);
    enum fb_status s = id_query("", id, &query, err);
    const struct fb_s3_call call = {.name = "AbortMultipartUpload",
                                    .method = "DELETE",
                                    .key = key,
                                    .query = fb_buf_str(&query)};
    if (s == FB_OK) {
        s = fb_s3_perform(s3, &call, &reply, err);
        fb_s3_reply_deinit(&reply);
    }
    fb_buf_deinit(&query);
    return s == FB_NOT_FOUND ? FB_OK : s;
}

void fb_s3_upload_abort(struct fb_s3_upload **upload)
{
    struct fb_s3_upload *u = *upload;
    if (u == NULL) {
        return;
    }
    if (u->id[0] != '\0') {
        struct fb_error err = {0};
        (void)abort_id(u->s3, u->key, u->id, &err); /* else the sweep finds it */
    }
    free(u->parts);
    free(u->bytes);
    free(u);
    *upload = NULL;
}

/* ---- what crashes left behind ---- */

struct left {
    char key[FB_S3_KEY_SIZE];
    char id[MAX_UPLOAD_ID];
};

#define MAX_LEFT 1000U /* of one sweep; the next one takes more */

static enum fb_status list_left(struct fb_s3 *s3, const char *prefix, int64_t before_ms,
                                struct left *left, size_t *count_r, struct fb_error *err)
{
    struct fb_buf query;
    struct fb_s3_reply reply;
    struct fb_slice item = {0};
    fb_buf_init(&query, MAX_QUERY);
    enum fb_status s = fb_buf_add_str(&query, "prefix=");
    s = s == FB_OK ? fb_s3_encode(s3->prefix, false, &query) : s;
    s = s == FB_OK ? fb_s3_encode(prefix, false, &query) : s;
    s = s == FB_OK ? fb_buf_add_str(&query, "&uploads=") : s;
    const struct fb_s3_call call = {
        .name = "ListMultipartUploads", .method = "GET", .query = fb_buf_str(&query)};
    *count_r = 0;
    if (s == FB_OK) {
        s = fb_s3_perform(s3, &call, &reply, err);
        struct fb_slice xml = fb_slice_buf(&reply.body);
        size_t skip = strlen(s3->prefix);
        while (s == FB_OK && *count_r < MAX_LEFT && fb_s3_xml_next(&xml, "Upload", &item)) {
            char time[40] = "";
            char key[FB_S3_KEY_SIZE];
            struct left *l = &left[*count_r];
            if (fb_s3_xml_get(item, "Key", key, sizeof key) &&
                strncmp(key, s3->prefix, skip) == 0 &&
                fb_s3_xml_get(item, "UploadId", l->id, sizeof l->id) &&
                fb_s3_xml_get(item, "Initiated", time, sizeof time) && fb_s3_time_ms(time) > 0 &&
                fb_s3_time_ms(time) < before_ms) {
                memcpy(l->key, key + skip, strlen(key + skip) + 1);
                (*count_r)++;
            }
        }
        fb_s3_reply_deinit(&reply);
    }
    fb_buf_deinit(&query);
    return s;
}

enum fb_status fb_s3_upload_sweep(struct fb_s3 *s3, const char *prefix, int64_t age_ms,
                                  uint64_t *swept_r, struct fb_error *err)
{
    struct left *left = fb_xcalloc(MAX_LEFT, sizeof *left);
    size_t count = 0;
    *swept_r = 0;
    enum fb_status s = list_left(s3, prefix, fb_s3_now_ms(s3) - age_ms, left, &count, err);
    for (size_t i = 0; i < count && s == FB_OK; i++) {
        s = abort_id(s3, left[i].key, left[i].id, err);
        *swept_r += s == FB_OK ? 1 : 0;
    }
    free(left);
    return s;
}
