/* SPDX-License-Identifier: Apache-2.0
 *
 * Whole objects: put, get, head, delete, list.
 */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/crypto.h"
#include "common/s3/internal.h"

#define MAX_QUERY 4096U

/* The digest of the pieces, as S3's checksum header wants it and as our own note. */
struct checksum_lines {
    char standard[80];
    char own[100];
    char hex[2 * FB_SHA256_SIZE + 1];
};

static void make_lines(const struct fb_slice *pieces, size_t count, struct checksum_lines *lines)
{
    uint8_t digest[FB_SHA256_SIZE];
    char text[48]; /* 44 and a NUL */
    struct fb_hash hash;
    fb_hash_init(&hash, FB_HASH_SHA256);
    for (size_t i = 0; i < count; i++) {
        fb_hash_update(&hash, pieces[i].ptr, pieces[i].len);
    }
    fb_hash_final(&hash, digest);
    fb_hash_deinit(&hash);
    fb_hex(digest, sizeof digest, lines->hex);
    (void)EVP_EncodeBlock((unsigned char *)text, digest, sizeof digest);
    (void)snprintf(lines->standard, sizeof lines->standard, "x-amz-checksum-sha256: %s", text);
    (void)snprintf(lines->own, sizeof lines->own, "x-amz-meta-fb-sha256: %s", lines->hex);
}

static enum fb_status put(struct fb_s3 *s3, const char *key, const struct fb_slice *pieces,
                          size_t count, const char *condition, struct fb_error *err)
{
    struct checksum_lines lines;
    struct fb_s3_reply reply;
    struct fb_s3_info info = {0};
    uint64_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += pieces[i].len;
    }
    if (size > FB_S3_MAX_PUT) {
        return fb_error_set(err, FB_TOO_BIG, "S3 PutObject %s: more than 1 GiB in one piece", key);
    }
    make_lines(pieces, count, &lines);
    const char *headers[] = {lines.standard, lines.own, condition, NULL};
    const struct fb_s3_call call = {.name = "PutObject",
                                    .method = "PUT",
                                    .key = key,
                                    .headers = headers,
                                    .body = pieces,
                                    .body_count = count,
                                    .has_body = true};
    enum fb_status s = fb_s3_perform(s3, &call, &reply, err);
    fb_s3_reply_deinit(&reply);
    if (s == FB_EXISTS) {
        /* An earlier try may have done it and its answer was lost: then the object is ours.  (Tries
         * are not counted here: libcurl by itself repeats what it sent on a kept connection that
         * broke.) */
        if (fb_s3_head(s3, key, &info, NULL) == FB_OK && info.size == size &&
            strcmp(info.own_sha256, lines.hex) == 0) {
            s = FB_OK;
        }
    }
    return s;
}

enum fb_status fb_s3_put(struct fb_s3 *s3, const char *key, const struct fb_slice *pieces,
                         size_t count, bool is_new, struct fb_error *err)
{
    return put(s3, key, pieces, count, is_new ? "If-None-Match: *" : NULL, err);
}

enum fb_status fb_s3_replace(struct fb_s3 *s3, const char *key, struct fb_slice bytes,
                             const char *etag, struct fb_error *err)
{
    char line[120];
    (void)snprintf(line, sizeof line, "If-Match: %s", etag);
    return put(s3, key, &bytes, 1, line, err);
}

enum fb_status fb_s3_get(struct fb_s3 *s3, const char *key, uint64_t offset, void *out, size_t len,
                         const char *etag, size_t *got_r, struct fb_s3_info *info_r,
                         struct fb_error *err)
{
    char range[80];
    char match[120];
    struct fb_s3_reply reply;
    *got_r = 0;
    if (len == 0 || offset > (UINT64_MAX >> 1) - len) {
        return fb_error_set(err, FB_INVALID, "S3 GetObject %s: not a range", key);
    }
    (void)snprintf(range, sizeof range, "Range: bytes=%llu-%llu", (unsigned long long)offset,
                   (unsigned long long)(offset + len - 1));
    (void)snprintf(match, sizeof match, "If-Match: %s", etag != NULL ? etag : "");
    const char *headers[] = {range, etag != NULL ? match : NULL, NULL};
    const struct fb_s3_call call = {.name = "GetObject",
                                    .method = "GET",
                                    .key = key,
                                    .headers = headers,
                                    .out = out,
                                    .out_size = len};
    enum fb_status s = fb_s3_perform(s3, &call, &reply, err);
    if (s == FB_OK && reply.status == 200 && offset > 0) {
        s = fb_error_set(err, FB_DENIED, "S3 GetObject %s: the store does not know ranges", key);
    }
    if (s == FB_OK) {
        uint64_t total = reply.has_range       ? reply.range_total
                         : reply.status == 416 ? 0 /* some do not say */
                                               : reply.length;
        uint64_t want = total > offset ? total - offset : 0;
        want = want < len ? want : len;
        if (reply.status != 416 && reply.length != want) {
            s = fb_error_set(err, FB_CORRUPT, "S3 GetObject %s: %llu bytes came of %llu", key,
                             (unsigned long long)reply.length, (unsigned long long)want);
        } else {
            *got_r = reply.status == 416 ? 0 : (size_t)reply.length;
            if (info_r != NULL) {
                *info_r = reply.info;
                info_r->size = total;
            }
        }
    }
    fb_s3_reply_deinit(&reply);
    return s;
}

enum fb_status fb_s3_head(struct fb_s3 *s3, const char *key, struct fb_s3_info *info_r,
                          struct fb_error *err)
{
    static const char *const headers[] = {"x-amz-checksum-mode: ENABLED", NULL};
    struct fb_s3_reply reply;
    const struct fb_s3_call call = {
        .name = "HeadObject", .method = "HEAD", .key = key, .headers = headers};
    enum fb_status s = fb_s3_perform(s3, &call, &reply, err);
    if (s == FB_OK) {
        *info_r = reply.info;
    }
    fb_s3_reply_deinit(&reply);
    return s;
}

enum fb_status fb_s3_delete(struct fb_s3 *s3, const char *key, struct fb_error *err)
{
    struct fb_s3_reply reply;
    const struct fb_s3_call call = {.name = "DeleteObject", .method = "DELETE", .key = key};
    enum fb_status s = fb_s3_perform(s3, &call, &reply, err);
    fb_s3_reply_deinit(&reply);
    return s == FB_NOT_FOUND ? FB_OK : s;
}

/* ---- listing ---- */

typedef bool entry_fn(void *ctx, const struct fb_s3_entry *entry);

static enum fb_status list_query(const struct fb_s3 *s3, const char *prefix, const char *after,
                                 struct fb_buf *query)
{
    enum fb_status s = fb_buf_add_str(query, "list-type=2&prefix=");
    s = s == FB_OK ? fb_s3_encode(s3->prefix, false, query) : s;
    s = s == FB_OK ? fb_s3_encode(prefix, false, query) : s;
    if (s == FB_OK && after[0] != '\0') {
        /* By name, not by continuation token: those hold characters that stores decode in various
         * ways, and a page that is asked for twice is the same page. */
        s = fb_buf_add_str(query, "&start-after=");
        s = s == FB_OK ? fb_s3_encode(s3->prefix, false, query) : s;
        s = s == FB_OK ? fb_s3_encode(after, false, query) : s;
    }
    return s;
}

/* Hands a page on; after: the last key of it. */
static enum fb_status read_page(const struct fb_s3 *s3, struct fb_slice xml, entry_fn *each,
                                void *ctx, char after[FB_S3_KEY_SIZE], bool *goes_on,
                                struct fb_error *err)
{
    struct fb_slice item = {0};
    char flag[16] = "";
    size_t skip = strlen(s3->prefix);
    size_t count = 0;
    if (!fb_s3_xml_get(xml, "IsTruncated", flag, sizeof flag)) {
        return fb_error_set(err, FB_CORRUPT, "S3 ListObjectsV2: not a listing");
    }
    while (fb_s3_xml_next(&xml, "Contents", &item)) {
        char key[FB_S3_KEY_SIZE];
        char number[24] = "";
        char time[40] = "";
        if (!fb_s3_xml_get(item, "Key", key, sizeof key) || strncmp(key, s3->prefix, skip) != 0 ||
            !fb_s3_xml_get(item, "Size", number, sizeof number) ||
            !fb_s3_xml_get(item, "LastModified", time, sizeof time)) {
            return fb_error_set(err, FB_CORRUPT, "S3 ListObjectsV2: an entry cannot be read");
        }
        if (strcmp(key + skip, after) <= 0) {
            return fb_error_set(err, FB_CORRUPT, "S3 ListObjectsV2: the listing is not in order");
        }
        memcpy(after, key + skip, strlen(key + skip) + 1);
        const struct fb_s3_entry entry = {
            .key = key + skip, .size = fb_s3_number(number), .modified_ms = fb_s3_time_ms(time)};
        count++;
        if (!each(ctx, &entry)) {
            *goes_on = false;
            return FB_OK;
        }
    }
    *goes_on = strcmp(flag, "true") == 0;
    return *goes_on && count == 0
               ? fb_error_set(err, FB_CORRUPT, "S3 ListObjectsV2: an empty page that goes on")
               : FB_OK;
}

enum fb_status fb_s3_list(struct fb_s3 *s3, const char *prefix, const char *after, entry_fn *each,
                          void *ctx, struct fb_error *err)
{
    char last[FB_S3_KEY_SIZE];
    bool goes_on = true;
    enum fb_status s = FB_OK;
    int n = snprintf(last, sizeof last, "%s", after != NULL ? after : "");
    if (n < 0 || (size_t)n >= sizeof last) {
        return fb_error_set(err, FB_INVALID, "not a key for S3");
    }
    while (goes_on && s == FB_OK) {
        struct fb_s3_reply reply;
        struct fb_buf query;
        fb_buf_init(&query, MAX_QUERY);
        s = list_query(s3, prefix, last, &query);
        const struct fb_s3_call call = {
            .name = "ListObjectsV2", .method = "GET", .query = fb_buf_str(&query)};
        if (s == FB_OK) {
            s = fb_s3_perform(s3, &call, &reply, err);
            if (s == FB_OK) {
                s = read_page(s3, fb_slice_buf(&reply.body), each, ctx, last, &goes_on, err);
            }
            fb_s3_reply_deinit(&reply);
        } else {
            s = fb_error_set(err, FB_INVALID, "S3 ListObjectsV2: the prefix is too long");
        }
        fb_buf_deinit(&query);
    }
    return s;
}

/* ---- reading through ---- */

/* Follows the checksum of the whole and, for multipart, of each part. */
struct follow {
    struct fb_hash whole;
    struct fb_hash part;
    struct fb_hash parts;
    uint64_t part_size;
    uint64_t in_part;
    uint64_t count;
};

static void end_part(struct follow *f)
{
    uint8_t digest[FB_SHA256_SIZE];
    fb_hash_final(&f->part, digest);
    fb_hash_update(&f->parts, digest, sizeof digest);
    f->in_part = 0;
    f->count++;
}

static void follow(struct follow *f, const uint8_t *ptr, size_t len)
{
    fb_hash_update(&f->whole, ptr, len);
    while (f->part_size > 0 && len > 0) {
        uint64_t room = f->part_size - f->in_part;
        size_t take = len < room ? len : (size_t)room;
        fb_hash_update(&f->part, ptr, take);
        f->in_part += take;
        ptr += take;
        len -= take;
        if (f->in_part == f->part_size) {
            end_part(f);
        }
    }
}

static enum fb_status check_whole(struct follow *f, const char *key, const struct fb_s3_info *info,
                                  struct fb_error *err)
{
    uint8_t digest[FB_SHA256_SIZE];
    char have[96] = "";
    char hex[2 * FB_SHA256_SIZE + 1];
    bool is_composite = strchr(info->sha256, '-') != NULL;
    fb_hash_final(&f->whole, digest);
    fb_hex(digest, sizeof digest, hex);
    bool is_good = info->own_sha256[0] == '\0' || strcmp(info->own_sha256, hex) == 0;
    if (info->sha256[0] != '\0' && (!is_composite || f->part_size > 0)) {
        if (is_composite) {
            if (f->in_part > 0) {
                end_part(f);
            }
            fb_hash_final(&f->parts, digest);
        }
        int n = EVP_EncodeBlock((unsigned char *)have, digest, sizeof digest);
        if (is_composite) {
            (void)snprintf(have + n, sizeof have - (size_t)n, "-%llu",
                           (unsigned long long)f->count);
        }
        is_good = is_good && strcmp(have, info->sha256) == 0;
    }
    return is_good ? FB_OK
                   : fb_error_set(err, FB_CORRUPT,
                                  "S3 GetObject %s: the bytes are not those that were written "
                                  "(checksum)",
                                  key);
}

enum fb_status fb_s3_read(struct fb_s3 *s3, const char *key,
                          bool (*sink)(void *ctx, struct fb_slice bytes), void *ctx,
                          struct fb_s3_info *info_r, struct fb_error *err)
{
    struct fb_s3_info info = {0};
    struct follow f = {0};
    enum fb_status s = fb_s3_head(s3, key, &info, err);
    if (s != FB_OK) {
        return s;
    }
    size_t block = info.size < FB_S3_PART ? (size_t)info.size : FB_S3_PART;
    uint8_t *bytes = fb_alloc_bounded(block > 0 ? block : 1, FB_S3_PART);
    if (bytes == NULL) {
        return fb_error_set(err, FB_NO_SPACE, "no memory to read an S3 object");
    }
    f.part_size = info.part_size;
    fb_hash_init(&f.whole, FB_HASH_SHA256);
    fb_hash_init(&f.part, FB_HASH_SHA256);
    fb_hash_init(&f.parts, FB_HASH_SHA256);
    for (uint64_t at = 0; at < info.size && s == FB_OK;) {
        size_t want = info.size - at < block ? (size_t)(info.size - at) : block;
        size_t got = 0;
        s = fb_s3_get(s3, key, at, bytes, want, info.etag[0] != '\0' ? info.etag : NULL, &got, NULL,
                      err);
        if (s == FB_EXISTS || (s == FB_OK && got < want)) {
            s = fb_error_set(err, FB_AGAIN, "S3 GetObject %s: replaced while it was read", key);
        }
        if (s == FB_OK) {
            follow(&f, bytes, got);
            at += got;
            s = sink(ctx, fb_slice_of(bytes, got)) ? FB_OK : FB_LOST;
        }
    }
    if (s == FB_OK) {
        s = check_whole(&f, key, &info, err);
    } else if (s == FB_LOST) {
        (void)fb_error_set(err, FB_LOST, "S3 GetObject %s: stopped by its reader", key);
    }
    fb_hash_deinit(&f.whole);
    fb_hash_deinit(&f.part);
    fb_hash_deinit(&f.parts);
    free(bytes);
    if (s == FB_OK && info_r != NULL) {
        *info_r = info;
    }
    return s;
}
